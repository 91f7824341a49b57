"""Legal office: disputes with other members about results and hours, from the claim to its end.

One dispute for each member that has something to dispute, at the end of the term, when nothing else happens to the item:
while a dispute is open the ledger lets nobody change what it is about. What follows from its end other offices do by
ordinary events.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum

from connectors.sandbox.desk import (
    Case,
    Contradiction,
    Desk,
    Phase,
    Receive,
    Received,
    Settle,
    Settled,
)
from connectors.sandbox.offices import credit
from connectors.sandbox.seeds import make_id
from connectors.sandbox.shapes import Body
from connectors.sandbox.store import Change, Effect

TABLES = """
-- votes: resolution by arbiter, JSON; resolution: proposed last, agreed to or decided. Both empty before the first.
CREATE TABLE dispute (
  dispute_id TEXT PRIMARY KEY, claimant TEXT NOT NULL, respondent TEXT NOT NULL, arbiters TEXT NOT NULL,
  kind TEXT NOT NULL, item_id TEXT NOT NULL, resolution TEXT NOT NULL, votes TEXT NOT NULL, state TEXT, cause TEXT
) STRICT;
"""
EFFECTS = (
    Effect(
        "dispute",
        "state, resolution, votes",
        "dispute_id",
        "NEW.state || ' ' || NEW.resolution || ' ' || NEW.votes",
    ),
)
RESOURCES: Mapping[str, str] = {"dispute": "dispute.changed"}

ARBITERS = 3


class _Way(StrEnum):
    """How a dispute goes, by the claimant's place in the alliance: each way is taken whatever the seed.

    Both sides know it; in life they would find out by talking.
    """

    CORRECTED = "corrected"  # the host admits a mistake; once it is settled, it corrects the award
    DECIDED = "decided"  # two of three arbiters uphold the award
    WITHDRAWN = "withdrawn"  # the answer convinces the claimant
    HOURS = "hours"  # about hours confirmed in error; after one proposal of each side they stay as they are
    HASTY = "hasty"  # the host corrects before anything is settled, and hears DISPUTED
    SILENT = "silent"  # nobody answers; the case stays open


_ORDER = (
    _Way.CORRECTED, _Way.DECIDED, _Way.WITHDRAWN, _Way.HOURS, _Way.CORRECTED, _Way.HASTY, _Way.DECIDED, _Way.HOURS,
    _Way.WITHDRAWN, _Way.SILENT,
)  # fmt: skip
_GROUNDS = {_Way.DECIDED: "rules", _Way.WITHDRAWN: "identity", _Way.SILENT: "quality"}


def _way(desk: Desk, claimant: str) -> _Way:
    return _ORDER[sorted(desk.members).index(claimant) % len(_ORDER)]


def claim(desk: Desk) -> None:
    """Dispute one item of another member's making, if there is one."""
    way = _way(desk, desk.code)
    item = _hours(desk) if way is _Way.HOURS else _award(desk)
    if item is None:
        return
    kind, item_id, respondent = item
    dispute_id = make_id(str(desk.seed), desk.code, "dispute", item_id)
    others = sorted(
        (member for member in desk.others() if member != respondent),
        key=lambda member: desk.draw("arbiter", dispute_id, member),
    )
    arbiters = sorted(others[:ARBITERS]) if way is _Way.DECIDED else []
    row = {
        "dispute_id": dispute_id,
        "claimant": desk.code,
        "respondent": respondent,
        "arbiters": ",".join(arbiters),
        "kind": kind,
        "item_id": item_id,
    }
    desk.db.execute(
        "INSERT INTO dispute VALUES (:dispute_id, :claimant, :respondent, :arbiters, :kind, :item_id, '', '{}', NULL, "
        "NULL)",
        row,
    )
    about = {
        "about": {"kind": kind, "id": item_id},
        "respondent": respondent,
        "arbiters": arbiters,
        "ground": _GROUNDS.get(way, "amount"),
    }
    _say(desk, row, "open", None, None, about)


def _award(desk: Desk) -> tuple[str, str, str] | None:
    """A result of a student of ours at another member."""
    rows = desk.store.all(
        "SELECT award_id, host FROM award WHERE home = ? AND host != ? AND state = 'awarded' AND result = 'passed' "
        "ORDER BY award_id",
        desk.code,
        desk.code,
    )
    row = min(rows, key=lambda one: desk.draw("disputed", one["award_id"]), default=None)
    return None if row is None else ("award", row["award_id"], row["host"])


def _hours(desk: Desk) -> tuple[str, str, str] | None:
    """Hours that a teacher of ours gave elsewhere and that we confirmed."""
    row = desk.store.one(
        "SELECT d.delivery_id, a.host FROM delivery d JOIN appointment a USING (appointment_id) "
        "WHERE a.home = ? AND d.state IN ('confirmed', 'settled') AND d.doing IS NULL ORDER BY 1",
        desk.code,
    )
    return None if row is None else ("delivery", row["delivery_id"], row["host"])


def _say(
    desk: Desk,
    row: Mapping[str, str] | sqlite3.Row,
    step: str,
    resolution: str | None,
    because: str | None,
    about: Body | None = None,
) -> None:
    """Take a step; the ledger tells the two and the arbiters."""
    dispute_id = row["dispute_id"]
    statement = hashlib.sha256(f"{dispute_id} {desk.code} {step}".encode()).hexdigest()
    body = {
        "disputeId": dispute_id,
        "organization": desk.code,
        "step": step,
        "resolution": resolution,
        "statementHash": statement if step in ("open", "answer") else None,
    }
    desk.publish(
        "dispute",
        dispute_id,
        body | (about or {}),
        step=step,
        to=[row["claimant"], row["respondent"], *_arbiters(row)],
        case=dispute_id,
        because=because,
    )


def _arbiters(row: Mapping[str, str] | sqlite3.Row) -> Sequence[str]:
    return row["arbiters"].split(",") if row["arbiters"] else []


def _received(desk: Desk, told: Received) -> None:
    said = told.record
    if said["step"] == "open":
        desk.db.execute(
            "INSERT INTO dispute VALUES (?, ?, ?, ?, ?, ?, '', '{}', NULL, NULL)",
            (
                said["dispute_id"],
                said["party"],
                said["respondent"],
                ",".join(said["arbiters"]),
                said["about_kind"],
                said["about_id"],
            ),
        )
    row = _take(
        desk, told.event_id, said["dispute_id"], said["party"], said["step"], said["resolution"]
    )
    _react(desk, row, said["step"], said["party"], told.event_id)


def _settled(desk: Desk, change: Change, settled: Settled) -> None:
    """A vote that came after the decision is refused and changes nothing."""
    if not settled.applied:
        return
    resolution = change.data["resolution"]
    row = _take(desk, change.event_id, change.subject, desk.code, change.step, resolution)
    _react(desk, row, change.step, desk.code, change.event_id)


def _take(
    desk: Desk, event_id: str, dispute_id: str, party: str, step: str, said: str | None
) -> sqlite3.Row:
    """What a party said, as the ledger applied it. Raises `Contradiction` when the dispute is not here."""
    row = _known(desk, dispute_id)
    state, resolution, votes = row["state"], row["resolution"], json.loads(row["votes"])
    match step:
        case "propose" | "agree":
            state, resolution = ("proposed" if step == "propose" else "settled"), said
        case "withdraw":
            state, resolution = "withdrawn", ""
        case "decide":
            votes[party] = said
            [(first, count)] = Counter(votes.values()).most_common(1)
            if 2 * count > len(_arbiters(row)):
                state, resolution = "decided", first
        case _:
            state = {"open": "open", "answer": "answered"}[step]
    desk.db.execute(
        "UPDATE dispute SET state = ?, resolution = ?, votes = ?, cause = ? WHERE dispute_id = ?",
        (state, resolution, json.dumps(votes, sort_keys=True), event_id, dispute_id),
    )
    return _known(desk, dispute_id)


def _known(desk: Desk, dispute_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM dispute WHERE dispute_id = ?", dispute_id)
    if row is None:
        raise Contradiction(
            f"dispute {dispute_id} is not here; the event that opened it should have come before"
        )
    return row


def _react(desk: Desk, row: sqlite3.Row, step: str, party: str, because: str) -> None:
    """What this office does next, as claimant, respondent or arbiter."""
    way = _way(desk, row["claimant"])
    if row["respondent"] == desk.code:
        _respond(desk, row, step, party, way, because)
    elif row["claimant"] == desk.code:
        _pursue(desk, row, step, party, way, because)
    elif step == "answer":
        _say(desk, row, "decide", _vote(desk, row), because)


def _vote(desk: Desk, row: sqlite3.Row) -> str:
    """One of the arbiters stands alone with its view."""
    alone = min(_arbiters(row), key=lambda member: desk.draw("dissents", row["dispute_id"], member))
    return "void" if alone == desk.code else "uphold"


def _respond(desk: Desk, row: sqlite3.Row, step: str, party: str, way: _Way, because: str) -> None:
    if step == "open" and way is not _Way.SILENT:
        if way is _Way.HASTY:
            credit.amend_by_id(desk, row["item_id"])
        _say(desk, row, "answer", None, because)
    elif step == "answer" and way in (_Way.CORRECTED, _Way.HASTY, _Way.HOURS):
        _say(desk, row, "propose", "uphold" if way is _Way.HOURS else "correct", because)
    elif step == "propose" and party != desk.code:
        _say(desk, row, "agree", row["resolution"], because)
    elif row["state"] == "settled" and row["resolution"] == "correct" and row["kind"] == "award":
        credit.amend_by_id(desk, row["item_id"])


def _pursue(desk: Desk, row: sqlite3.Row, step: str, party: str, way: _Way, because: str) -> None:
    if step == "answer" and way is _Way.WITHDRAWN:
        _say(desk, row, "withdraw", None, because)
    elif step == "propose" and party != desk.code:
        if way is _Way.HOURS:  # in words of its own, to the same end
            _say(desk, row, "propose", "x-uphold-and-recount", because)
        else:
            _say(desk, row, "agree", row["resolution"], because)


def err(desk: Desk) -> None:
    """A mistake: going on with a dispute that is over."""
    over = desk.store.one(
        "SELECT * FROM dispute WHERE claimant = ? AND state IN ('settled', 'withdrawn', 'decided') ORDER BY 1",
        desk.code,
    )
    if over and sorted(desk.members).index(desk.code) % 4 == 0:
        _say(desk, over, "withdraw", None, over["cause"])


def _cases(desk: Desk) -> list[Case]:
    rows = desk.store.all("SELECT * FROM dispute WHERE state IS NOT NULL")
    return [
        {
            "kind": "dispute",
            "id": row["dispute_id"],
            "summary": f"{row['state']} {row['resolution']}".rstrip(),
        }
        for row in rows
    ]


PHASES: Mapping[str, Phase] = {"disputes": claim, "mistakes": err}
RECEIVES: Mapping[str, Receive] = {"dispute.changed": _received}
SETTLES: Mapping[str, Settle] = {"dispute": _settled}
CASES = _cases
