"""Agreements as their text has them: who approved what, and how many places are still free in a year."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from tests.support.oracle_books import Books, Done, Fact, need
from tests.support.oracle_rules import read

LAST_YEARS = 9  # an agreement runs ten years at most


def _first(year: str) -> int:
    """The calendar year an academic year begins in."""
    found = re.fullmatch(r"(\d{4})-(\d{4})", year)
    need(found and int(found[2]) == int(found[1]) + 1, "CONTENT_INVALID")
    return int(year[:4])


def years(first: str, last: str) -> list[str]:
    return [f"{start}-{start + 1}" for start in range(int(first[:4]), int(last[:4]) + 1)]


def _sound(event: Any) -> None:
    conditions = event.conditions
    first, last = _first(conditions.first_year), _first(conditions.last_year)
    pairs = [(quota.sender, quota.receiver) for quota in conditions.quotas]
    need(first <= last <= first + LAST_YEARS, "CONTENT_INVALID")
    need(all(quota.per_year >= 0 for quota in conditions.quotas), "CONTENT_INVALID")
    need(all(a != b and {a, b} <= set(event.parties) for a, b in pairs), "CONTENT_INVALID")
    need(len(set(pairs)) == len(pairs), "CONTENT_INVALID")
    need((conditions.credit_cap or Decimal(0)) >= 0, "CONTENT_INVALID")
    need((conditions.total_days_per_year or 0) >= 0, "CONTENT_INVALID")
    need(event.step in ("proposed", "approved", "terminated"), "CONTENT_INVALID")


def changed(books: Books, event: Any) -> Done:
    name, parties = event.agreement_id, set(event.parties)
    need(len(event.parties) >= 2 and len(parties) == len(event.parties), "CONTENT_INVALID")
    books.need_members(*parties)
    need(event.party in parties, "NOT_WRITER")
    _sound(event)
    text = event.conditions.rule_set
    rules = read(books, text, name) if text is not None else None
    if event.step == "proposed":
        known = books.get("agreement", name)
        need(known is None or known["state"] == "proposed", "ILLEGAL_TRANSITION")
        need(known is None or set(known["parties"]) == parties, "ILLEGAL_TRANSITION")
        books.put(
            "agreement", name, state="proposed", parties=event.parties, conditions=event.conditions,
            hash=event.conditions_hash, approved={event.party},
        )  # fmt: skip
        return Done(frozenset(parties))
    known = books.find("agreement", name)
    need(set(known["parties"]) == parties, "NOT_WRITER")
    if event.step == "terminated":
        need(known["state"] in ("proposed", "in_effect"), "ILLEGAL_TRANSITION")
        books.put("agreement", name, state="terminated")
        return Done(frozenset(parties))
    need(known["state"] == "proposed", "ILLEGAL_TRANSITION")
    need(known["hash"] == event.conditions_hash, "STALE_VERSION")
    need(event.party not in known["approved"], "ILLEGAL_TRANSITION")
    approved = known["approved"] | {event.party}
    agreed = approved == parties
    books.put("agreement", name, state="in_effect" if agreed else "proposed", approved=approved)
    if agreed:
        known["granted"] = True
        if rules is not None:
            books.put("rules", rules[0], state="", owner=name, texts=rules[1])
    return Done(frozenset(parties))


def turn(fact: Fact) -> set[str]:
    return set(fact["parties"]) - fact["approved"] if fact["state"] == "proposed" else set()


# Using one


def check_use(
    books: Books, name: str | None, kind: str, sender: str, receiver: str, year: str
) -> None:
    """An agreement that something rests on: in effect, of that kind, between the two, in that year."""
    if name is None:
        return
    known = books.find("agreement", name)
    conditions = known["conditions"]
    fits = (
        known["state"] == "in_effect"
        and conditions.kind == kind
        and {sender, receiver} <= set(known["parties"])
        and year in years(conditions.first_year, conditions.last_year)
    )
    need(fits, "ILLEGAL_TRANSITION")


def quota(books: Books, name: str | None, sender: str, receiver: str) -> int | None:
    """Places a year from sender to receiver; None if the agreement does not limit them."""
    known = books.get("agreement", name)
    for item in known["conditions"].quotas if known else ():
        if (item.sender, item.receiver) == (sender, receiver):
            return int(item.per_year)
    return None


def places_left(books: Books, name: str, sender: str, receiver: str, year: str) -> int:
    """The quota less everybody who holds a place of it."""
    held: int = sum(
        fact["places"]
        for kind in ("enrollment", "placement", "appointment", "secondment")
        for fact in books.all(kind).values()
        if fact.get("places") and fact["use"] == (name, sender, receiver, year)
    )
    return (quota(books, name, sender, receiver) or 0) - held


def places_for(books: Books, fact: Fact, count: int) -> int:
    """How many places a thing takes when it is accepted; refused if there are not so many."""
    name, sender, receiver, year = fact["use"]
    if name is None or quota(books, name, sender, receiver) is None:
        return 0
    need(places_left(books, name, sender, receiver, year) >= count, "QUOTA_EXCEEDED")
    return count
