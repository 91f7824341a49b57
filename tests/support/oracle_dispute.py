"""Disputes, and the keys that members sign with: what the alliance agreed on, without signatures or hashes.

Whether a key is what its name says, and signed its own name, the harness knows: it made the key. What stands still is not
kept: whoever asks looks through the disputes that are not over.
"""

from __future__ import annotations

import re
from typing import Any

from tests.support.oracle_books import DAY_MS, Books, Done, Fact, need

OPEN = ("open", "answered", "proposed")
BETWEEN_HOME_AND_HOST = ("appointment", "award", "delivery", "enrollment", "plan")
GROUNDS = ("amount", "identity", "quality", "late", "rules")
RESOLUTIONS = ("uphold", "correct", "void")
FROM = {
    "answer": ("open",),
    "propose": OPEN,
    "agree": ("proposed",),
    "withdraw": OPEN,
    "decide": OPEN,
}


def _known_word(word: str, words: tuple[str, ...]) -> bool:
    return word in words or word.startswith("x-")


def changed(books: Books, event: Any) -> Done:
    said_once = (event.about_kind, event.about_id, event.respondent, event.ground)
    need(event.step == "open" or event.step in FROM, "CONTENT_INVALID")
    if event.step == "open":
        need(all(said_once), "CONTENT_INVALID")
        need(_known_word(event.ground, GROUNDS), "CONTENT_INVALID")
    else:
        need(not any(said_once) and not event.arbiters, "CONTENT_INVALID")
    if event.step in ("propose", "agree", "decide"):
        need(event.resolution is not None, "CONTENT_INVALID")
        need(_known_word(event.resolution, RESOLUTIONS), "CONTENT_INVALID")
    else:
        need(event.resolution is None, "CONTENT_INVALID")
    if event.statement_hash is not None:
        need(re.fullmatch("[0-9a-f]{64}", event.statement_hash), "CONTENT_INVALID")
    return _opened(books, event) if event.step == "open" else _gone_on(books, event)


def _opened(books: Books, event: Any) -> Done:
    need(books.get("dispute", event.dispute_id) is None, "ILLEGAL_TRANSITION")
    books.need_members(event.respondent, *event.arbiters)
    people = (event.party, event.respondent, *event.arbiters)
    need(len(set(people)) == len(people), "CONTENT_INVALID")
    need(event.about_kind in (*BETWEEN_HOME_AND_HOST, "recognition"), "CONTENT_INVALID")
    books.find(event.about_kind, event.about_id)
    item = (event.about_kind, event.about_id)
    theirs = _whose(books, *item)
    need({event.party, event.respondent} <= theirs, "NOT_WRITER")
    holds = [item]
    if event.about_kind == "award":
        case = books.get("recognition", books.all("award")[event.about_id]["case"])
        if case is not None and case["state"] in ("requested", "faculty_decided"):
            holds.append(("recognition", books.all("award")[event.about_id]["case"]))
    need(not any(held(books, *thing) for thing in holds), "DISPUTED")
    books.put(
        "dispute", event.dispute_id, state="open", claimant=event.party, respondent=event.respondent,
        arbiters=tuple(event.arbiters), holds=holds, proposer=None, resolution=None, votes={},
        opened_ms=books.now_ms, ended_ms=None, due_ms=books.now_ms + 30 * DAY_MS if books.now_ms else None,
    )  # fmt: skip
    return Done(frozenset(people) | theirs)


def _gone_on(books: Books, event: Any) -> Done:
    case = books.find("dispute", event.dispute_id)
    both = {case["claimant"], case["respondent"]}
    by: dict[str, set[str]] = {
        "answer": {case["respondent"]},
        "propose": both,
        "agree": both - {case["proposer"]},
        "withdraw": {case["claimant"]},
        "decide": set(case["arbiters"]),
    }
    need(event.party in by[event.step], "NOT_WRITER")
    need(
        case["state"] in OPEN, "ILLEGAL_TRANSITION"
    )  # of one that is over nothing else is looked at
    if event.step == "agree" and case["proposer"] is not None:
        need(event.resolution == case["resolution"], "CONTENT_INVALID")
    need(case["state"] in FROM[event.step], "ILLEGAL_TRANSITION")
    told = {*both, *case["arbiters"]}.union(*(_whose(books, *thing) for thing in case["holds"]))
    said: dict[str, Any] = {}
    if event.step == "answer":
        said = {"state": "answered"}
    elif event.step == "propose":
        said = {"state": "proposed", "proposer": event.party, "resolution": event.resolution}
    elif event.step in ("agree", "withdraw"):
        said = {"state": "settled" if event.step == "agree" else "withdrawn"}
    else:
        votes = case["votes"] | {event.party: event.resolution}
        alike = [one for one in votes.values() if one == event.resolution]
        said = {"votes": votes}
        if len(alike) > len(case["arbiters"]) - len(alike):
            said |= {"state": "decided"}
    if said.get("state", "open") not in OPEN:
        said |= {"ended_ms": books.now_ms}
    books.put("dispute", event.dispute_id, **said)
    return Done(frozenset(told))


def _whose(books: Books, kind: str, name: str) -> set[str]:
    fact = books.all(kind)[name]
    if kind != "recognition":
        return {fact["home"], fact["host"]}
    return {fact["home"], *(books.all("award")[award]["host"] for award in fact["awards"])}


def held(books: Books, kind: str, name: str) -> bool:
    """Whether a dispute that is not over is about it."""
    return any(
        (kind, name) in case["holds"] and case["state"] in OPEN
        for case in books.all("dispute").values()
    )


def ever_held(books: Books, kind: str, name: str) -> bool:
    return any((kind, name) in case["holds"] for case in books.all("dispute").values())


def paused_ms(books: Books, kind: str, name: str) -> int:
    """How long it stood still in disputes that are over. Before the clock's first look there was no time to lose."""
    return sum(
        case["ended_ms"] - case["opened_ms"]
        for case in books.all("dispute").values()
        if (kind, name) in case["holds"] and case["ended_ms"] is not None and case["opened_ms"]
    )


def due(case: Fact) -> int | None:
    due_ms: int | None = case["due_ms"] if case["state"] in OPEN else None
    return due_ms


def turn(case: Fact) -> set[str]:
    if case["state"] == "open":
        return {case["respondent"]}
    if case["state"] == "answered":
        return {one for one in case["arbiters"] if one not in case["votes"]} or {case["claimant"]}
    if case["state"] == "proposed":
        return {case["claimant"], case["respondent"]} - {case["proposer"]}
    return set()


# Keys


def key_changed(books: Books, event: Any) -> Done:
    need(event.action in ("add", "rotate", "revoke"), "CONTENT_INVALID")
    need(re.fullmatch("[0-9a-f]{16}", event.key_id), "CONTENT_INVALID")
    gone = event.replaces
    if event.action == "revoke":
        need(event.public_key is None and event.possession is None, "CONTENT_INVALID")
        need(event.replaces is None and event.reason is not None, "CONTENT_INVALID")
        words = ("superseded", "retired", "lost", "compromised")
        need(_known_word(event.reason, words), "CONTENT_INVALID")
        gone = event.key_id
    else:
        need((event.action == "rotate") == (event.replaces is not None), "CONTENT_INVALID")
        need(event.replaces != event.key_id, "CONTENT_INVALID")
        need(gone is None or re.fullmatch("[0-9a-f]{16}", gone), "CONTENT_INVALID")
        shown = (event.code, event.key_id, event.public_key, event.possession)
        need(shown in books.genuine, "CONTENT_INVALID")
        known = _key(books, event.code, event.key_id)
        need(known is None or known["member"] == event.code, "NOT_WRITER")
        need(known is None, "ILLEGAL_TRANSITION")
    if gone is not None:
        old = _key(books, event.code, gone)
        need(old is None or old["member"] == event.code, "NOT_WRITER")
        need(old is None or old["state"] == "valid", "ILLEGAL_TRANSITION")
        held = gone if books.get("key", gone) else f"{event.code}/{gone}"
        books.put("key", held, member=event.code, state="revoked")
    if event.action != "revoke":
        books.put("key", event.key_id, member=event.code, state="valid")
    return Done(frozenset(books.members))


def _key(books: Books, member: str, key: str) -> Any:
    """A key that somebody showed to hold, or else what this member said of one it never showed."""
    return books.get("key", key) or books.get("key", f"{member}/{key}")


def signs(books: Books, key: str, member: str) -> bool:
    """Whether the key still speaks for the member. One that nobody told of is one of the first."""
    known = _key(books, member, key)
    return known is None or (known["member"], known["state"]) == (member, "valid")
