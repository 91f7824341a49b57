"""Achievements on their way into use, and posts that several members advertise together."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support.oracle_books import Books, Done, Fact, after_day_ms, need

# Achievements

WAY = (
    "disclosed",
    "published",
    "negotiating",
    "signed",
    "registered",
    "implemented",
    "income_shared",
)
ENDS = ("withdrawn", "terminated")
BOUND = ("signed", "registered", "implemented", "income_shared")


def _may_become(before: str, after: str) -> bool:
    if before in ENDS:
        return False
    if after in ENDS:
        return (after == "terminated") == (before in BOUND)
    return before == after or WAY.index(after) == WAY.index(before) + 1


def achievement_changed(books: Books, event: Any) -> Done:
    owners = {share.member: share.share_percent for share in event.owners}
    income = [share.member for share in event.income_shares]
    need(event.status in WAY + ENDS, "CONTENT_INVALID")
    need(1 <= event.maturity <= 9, "CONTENT_INVALID")
    need(owners and len(owners) == len(event.owners), "CONTENT_INVALID")
    need(all(share > 0 for share in owners.values()), "CONTENT_INVALID")
    need(sum(owners.values(), Decimal(0)) == 100, "CONTENT_INVALID")
    need(all(share.amount > 0 for share in event.income_shares), "CONTENT_INVALID")
    need(len(set(income)) == len(income), "CONTENT_INVALID")
    need(event.visibility in ("public", "members", "owners"), "CONTENT_INVALID")
    books.need_members(*owners)
    need(event.owner in owners, "NOT_WRITER")
    known = books.get("achievement", event.achievement_id)
    if known is None:
        need(event.status == "disclosed", "ILLEGAL_TRANSITION")
    else:
        need(known["owner"] == event.owner, "NOT_WRITER")
        need(_may_become(known["state"], event.status), "ILLEGAL_TRANSITION")
    if event.project_id is not None:
        project = books.find("project", event.project_id)
        need(event.owner in project["partners"], "ILLEGAL_TRANSITION")
    if known is not None and known["state"] in BOUND:
        need(known["owners"] == owners, "ILLEGAL_TRANSITION")
    if event.status == "signed":
        need(event.mode is not None and event.contract_kind is not None, "CONTENT_INVALID")
    if event.status == "registered":
        need(event.contract_registration_no is not None, "CONTENT_INVALID")
    if event.status == "income_shared":
        need(income, "CONTENT_INVALID")
    need(set(income) <= set(owners), "NOT_WRITER")
    need(event.status == "income_shared" or not income, "CONTENT_INVALID")
    had = dict(known["income"]) if known else {}
    were = set(known["owners"]) if known else set()
    for share in event.income_shares:
        had[share.member] = had.get(share.member, Decimal(0)) + share.amount
    books.put(
        "achievement", event.achievement_id, state=event.status, owner=event.owner, owners=owners, income=had
    )  # fmt: skip
    seen = books.members if event.visibility in ("public", "members") else {*owners, *were}
    return Done(frozenset(seen))


def achievement_turn(fact: Fact) -> set[str]:
    return {fact["owner"]} if fact["state"] not in ENDS else set()


# Postings

POSTING_LIFE = {
    "planned": {"planned", "open", "cancelled"},
    "open": {"open", "closed", "cancelled"},
    "closed": {"closed", "filled", "cancelled"},
    "filled": set(),
    "cancelled": set(),
}


def posting_changed(books: Books, event: Any) -> Done:
    counts = (event.accepted, event.offered, event.interviewed, event.applied)
    need(event.status in POSTING_LIFE, "CONTENT_INVALID")
    need(event.headcount >= 1, "CONTENT_INVALID")
    need(event.opens_on <= event.closes_on, "CONTENT_INVALID")
    need(min(counts) >= 0 and sorted(counts) == list(counts), "CONTENT_INVALID")
    need(len(set(event.members)) == len(event.members), "CONTENT_INVALID")
    books.need_members(*event.members)
    need(event.recruiter in event.members, "NOT_WRITER")
    known = books.get("posting", event.posting_id)
    if known is None:
        need(event.status in ("planned", "open"), "ILLEGAL_TRANSITION")
    else:
        need(known["recruiter"] == event.recruiter, "NOT_WRITER")
        need(event.status in POSTING_LIFE[known["state"]], "ILLEGAL_TRANSITION")
        grown = all(new >= old for new, old in zip(counts, known["counts"], strict=True))
        need(grown, "ILLEGAL_TRANSITION")
    need(event.accepted <= event.headcount, "QUOTA_EXCEEDED")
    need(event.status != "filled" or event.accepted >= 1, "ILLEGAL_TRANSITION")
    if event.status == "open" and (known is None or known["state"] == "planned"):
        need(not books.day_over(event.closes_on), "DEADLINE_PASSED")
    books.put(
        "posting", event.posting_id, state=event.status, recruiter=event.recruiter, counts=counts,
        closes=event.closes_on,
    )  # fmt: skip
    return Done(frozenset(books.members))


def posting_due(fact: Fact) -> int | None:
    return after_day_ms(fact["closes"]) if fact["state"] == "open" else None


def posting_turn(fact: Fact) -> set[str]:
    return {fact["recruiter"]} if fact["state"] in ("planned", "open", "closed") else set()
