"""International office and its like at home: agreements with other members, proposed, approved, replaced, ended.

Who may act under one asks `_agreements`. An approval repeats the conditions as they were read; the connector takes the
hash over them, so nobody approves what changed meanwhile.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from enum import StrEnum
from itertools import permutations
from typing import Any

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
from connectors.sandbox.offices import shapes_agreements as shapes
from connectors.sandbox.offices._agreements import academic_year
from connectors.sandbox.seeds import TERM_STARTS, make_id
from connectors.sandbox.store import Change, Effect

TABLES = """
-- body: the newest proposal; before: the one it replaced; approved: parties that gave their word to the newest.
CREATE TABLE agreement (
  agreement_id TEXT PRIMARY KEY, kind TEXT NOT NULL, proposer TEXT NOT NULL, parties TEXT NOT NULL,
  first_year TEXT NOT NULL, last_year TEXT NOT NULL, body TEXT NOT NULL, before TEXT, approved TEXT NOT NULL,
  state TEXT, cause TEXT
) STRICT;
"""
EFFECTS = (
    Effect("agreement", "state, approved", "agreement_id", "NEW.state || ' ' || NEW.approved"),
)
RESOURCES: Mapping[str, str] = {"agreement": "agreement.changed"}

SECOND_SHARE = 0.65
THREE_PARTIES_SHARE = 0.2
TIGHT_SHARE = 0.4  # of the quotas for studies: so few places that they run out

# By the member's place in the alliance, so that each kind is there whatever the seed.
_FIRST = ("student_studies", "practice", "teacher", "student_studies", "practice", "secondment")
_SECOND = ("student_studies", "practice", "student_studies", "teacher", "secondment")
_STAFF_POLICY = "staff_policy"  # one in the alliance, of the first member and two others


class _Fate(StrEnum):
    """What becomes of a proposal. Partners draw it too: in life they would have been told by telephone."""

    AGREED = "agreed"
    REPLACED = "replaced"  # better conditions follow, then all approve
    SILENT = "silent"  # replaced, and still one partner never answers
    GIVEN_UP = "given_up"  # the proposer takes it back before anyone approved
    ENDED = "ended"  # in effect, and ended at once


_SHARES = (
    (_Fate.GIVEN_UP, 0.07),
    (_Fate.SILENT, 0.14),
    (_Fate.REPLACED, 0.28),
    (_Fate.ENDED, 0.38),
)  # upper ends


def _fate(desk: Desk, agreement_id: str) -> _Fate:
    chance = desk.draw("agreement-fate", agreement_id)
    return next((fate for fate, end in _SHARES if chance < end), _Fate.AGREED)


def propose(desk: Desk) -> None:
    """Propose one or two agreements."""
    place = sorted(desk.members).index(desk.code)
    kinds = [_FIRST[place % len(_FIRST)]]
    if place == 0:
        kinds.append(_STAFF_POLICY)
    elif desk.draw("second-agreement", desk.code) < SECOND_SHARE:
        kinds.append(_SECOND[int(desk.draw("second-kind", desk.code) * len(_SECOND))])
    for number, kind in enumerate(kinds):
        _propose(desk, make_id(str(desk.seed), desk.code, "agreement", str(number)), kind)


def _propose(desk: Desk, agreement_id: str, kind: str) -> None:
    three = kind == _STAFF_POLICY or desk.draw("three", agreement_id) < THREE_PARTIES_SHARE
    partners = sorted(desk.others(), key=lambda member: desk.draw("party", agreement_id, member))
    parties = [desk.code, *partners[: 2 if three else 1]]
    if len(parties) < 2:
        return  # alone in the alliance
    body = shapes.agreement(
        agreement_id,
        parties,
        kind,
        _years(desk, kind),
        {pair: _places(desk, kind, agreement_id, *pair) for pair in permutations(parties, 2)}
        if kind != _STAFF_POLICY
        else {},
        f"https://{desk.site.domain}/agreements/{agreement_id}",
    )
    _say(desk, body, "proposed", None)


def _years(desk: Desk, kind: str) -> tuple[str, str]:
    """Three academic years: for studies from that of the courses, else from now."""
    first = academic_year(TERM_STARTS if kind == "student_studies" else desk.day())
    begins = int(first[:4])
    return first, f"{begins + 2}-{begins + 3}"


def _places(desk: Desk, kind: str, agreement_id: str, sender: str, receiver: str) -> int:
    chance = desk.draw("places", agreement_id, sender, receiver)
    if kind == "student_studies":
        tight = desk.draw("tight", agreement_id, sender, receiver) < TIGHT_SHARE
        return 1 + int(chance * 2) if tight else 15 + int(chance * 20)
    return {"practice": 1 + int(chance * 4), "teacher": 6 + int(chance * 6)}.get(
        kind, 5 + int(chance * 5)
    )


def _say(desk: Desk, body: dict[str, Any], step: str, because: str | None) -> None:
    desk.publish(
        "agreement",
        body["agreementId"],
        shapes.said(body, desk.code, step, desk.day()),
        step=step,
        to=body["parties"],
        case=body["agreementId"],
        because=because,
    )


def _received(desk: Desk, told: Received) -> None:
    said = told.record
    row = _take(desk, told.event_id, shapes.from_record(said), said["party"], said["step"])
    if said["step"] == "proposed":
        _answer(desk, row, told.event_id)
    elif row["proposer"] == desk.code:
        _end(desk, row, told.event_id)


def _settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Go on from the ledger's word. A refused approval was of conditions replaced since; those are approved already."""
    if not settled.applied:
        return
    row = _take(desk, change.event_id, change.data, desk.code, change.step)
    if change.step == "proposed":
        _follow_up(desk, row, change.event_id)


def _take(desk: Desk, event_id: str, body: Mapping[str, Any], party: str, step: str) -> sqlite3.Row:
    """What a party said, as the ledger applied it. Raises `Contradiction` when the agreement is not here."""
    agreement_id = body["agreementId"]
    if step == "proposed":
        _take_proposal(desk, event_id, body, party)
    elif step == "approved":
        row = _known(desk, agreement_id)
        approved = sorted({*row["approved"].split(","), party})
        state = "in_effect" if approved == sorted(row["parties"].split(",")) else "proposed"
        desk.db.execute(
            "UPDATE agreement SET approved = ?, state = ?, cause = ? WHERE agreement_id = ?",
            (",".join(approved), state, event_id, agreement_id),
        )
    else:
        _known(desk, agreement_id)
        desk.db.execute(
            "UPDATE agreement SET state = ?, cause = ? WHERE agreement_id = ?",
            (step, event_id, agreement_id),
        )
    return _known(desk, agreement_id)


def _take_proposal(desk: Desk, event_id: str, body: Mapping[str, Any], party: str) -> None:
    conditions = body["cooperationConditions"]
    desk.db.execute(
        "INSERT INTO agreement VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?, 'proposed', ?) "
        "ON CONFLICT (agreement_id) DO UPDATE SET kind = excluded.kind, first_year = excluded.first_year, "
        "last_year = excluded.last_year, before = body, body = excluded.body, approved = excluded.approved, "
        "state = excluded.state, cause = excluded.cause",
        (
            body["agreementId"],
            conditions["cooperationType"],
            party,
            ",".join(body["parties"]),
            conditions["startAcademicYear"],
            conditions["endAcademicYear"],
            json.dumps(body, ensure_ascii=False),
            party,
            event_id,
        ),
    )


def _known(desk: Desk, agreement_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM agreement WHERE agreement_id = ?", agreement_id)
    if row is None:
        raise Contradiction(
            f"agreement {agreement_id} is not here; the proposal of another party should have come before"
        )
    return row


def _answer(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """Approve a proposal, or hold back: until a better one comes, or for ever."""
    fate = _fate(desk, row["agreement_id"])
    partners = [party for party in row["parties"].split(",") if party != row["proposer"]]
    first = row["before"] is None
    # Of two partners one is hasty and approves what is about to be replaced; it has to approve again.
    hasty = len(partners) > 1 and partners[0] == desk.code
    holds_back = {
        _Fate.GIVEN_UP: True,
        _Fate.SILENT: partners[-1] == desk.code or (first and not hasty),
        _Fate.REPLACED: first and not hasty,
    }
    if not holds_back.get(fate, False):
        _say(desk, json.loads(row["body"]), "approved", because)


def _follow_up(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """After an own proposal: take it back, or replace it once by one that runs a year longer with more places."""
    fate = _fate(desk, row["agreement_id"])
    body = json.loads(row["body"])
    if fate is _Fate.GIVEN_UP:
        _say(desk, body, "terminated", because)
    elif fate in (_Fate.REPLACED, _Fate.SILENT) and row["before"] is None:
        _say(desk, _improved(body), "proposed", because)


def _improved(body: dict[str, Any]) -> dict[str, Any]:
    conditions = body["cooperationConditions"]
    ends = int(conditions["endAcademicYear"][:4]) + 1
    more = [
        quota | {"mobilitiesPerYear": quota["mobilitiesPerYear"] + 1}
        for quota in conditions["mobilities"]
    ]
    return body | {
        "cooperationConditions": conditions
        | {"endAcademicYear": f"{ends}-{ends + 1}", "mobilities": more}
    }


def _end(desk: Desk, row: sqlite3.Row, because: str) -> None:
    if row["state"] == "in_effect" and _fate(desk, row["agreement_id"]) is _Fate.ENDED:
        _say(desk, json.loads(row["body"]), "terminated", because)


def err(desk: Desk) -> None:
    """Mistakes: approving twice, approving conditions that were replaced, a quota for somebody who is no party."""
    place = sorted(desk.members).index(desk.code)
    stale = desk.store.one(
        "SELECT * FROM agreement WHERE state = 'proposed' AND before IS NOT NULL AND proposer != ? ORDER BY 1",
        desk.code,
    )
    if stale and desk.code not in stale["approved"].split(","):
        _say(desk, json.loads(stale["before"]), "approved", stale["cause"])
    done = desk.store.one("SELECT * FROM agreement WHERE state = 'in_effect' ORDER BY 1")
    if done and place % 3 == 0:
        _say(desk, json.loads(done["body"]), "approved", done["cause"])
    if done and place % 3 == 1:
        _say(desk, _with_stranger(desk, json.loads(done["body"])), "proposed", None)


def _with_stranger(desk: Desk, body: dict[str, Any]) -> dict[str, Any]:
    stranger = next(
        (member for member in desk.members if member not in body["parties"]), "no-member"
    )
    quota = {
        "sendingOrganization": stranger,
        "receivingOrganization": desk.code,
        "mobilitiesPerYear": 5,
    }
    return body | {
        "agreementId": make_id(str(desk.seed), desk.code, "agreement", "stranger"),
        "cooperationConditions": body["cooperationConditions"] | {"mobilities": [quota]},
    }


def _cases(desk: Desk) -> list[Case]:
    rows = desk.store.all("SELECT agreement_id, state FROM agreement")
    return [
        {"kind": "agreement", "id": row["agreement_id"], "summary": row["state"]} for row in rows
    ]


PHASES: Mapping[str, Phase] = {"agreements": propose, "mistakes": err}
RECEIVES: Mapping[str, Receive] = {"agreement.changed": _received}
SETTLES: Mapping[str, Settle] = {"agreement": _settled}
CASES = _cases
