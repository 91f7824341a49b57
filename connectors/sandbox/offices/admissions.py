"""Admissions: requests for own students at other members, answers to requests from them, and the course of studies."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from connectors.sandbox import rules, shapes
from connectors.sandbox.desk import (
    Contradiction,
    Desk,
    Flag,
    Flagged,
    Holdings,
    Phase,
    Receive,
    Received,
    Settle,
    Settled,
)
from connectors.sandbox.offices import _agreements
from connectors.sandbox.rules import Plan
from connectors.sandbox.seeds import TERM_STARTS, make_id
from connectors.sandbox.store import Change, Effect

TABLES = """
CREATE TABLE enrollment (
  enrollment_id TEXT PRIMARY KEY, student_id TEXT NOT NULL, home TEXT NOT NULL, host TEXT NOT NULL,
  offering_id TEXT NOT NULL, activity TEXT NOT NULL, agreement_id TEXT, state TEXT, doing TEXT, plan TEXT,
  home_version INTEGER NOT NULL, request_event TEXT, cause TEXT
) STRICT;
CREATE INDEX enrollment_offering ON enrollment (offering_id);
-- Leaving before the start gives the seat back, leaving later does not.
CREATE VIEW seat AS
  SELECT enrollment_id, offering_id, host FROM enrollment WHERE state IN ('associated', 'active', 'finished', 'withdrawn');
"""
EFFECTS = (Effect("enrollment", "state", "enrollment_id", "NEW.state"),)
RESOURCES: Mapping[str, str] = {
    "enrollment-request": "enrollment.requested",
    "enrollment-decision": "enrollment.decided",
    "enrollment-status": "enrollment.status-changed",
}

SECOND_COURSE_SHARE = 0.08
WITHDRAWN_SHARE = 0.04
CANCELLED_SHARE = 0.01
DROPPED_OUT_SHARE = 0.025
VALID_DAYS = 14  # a request the host has not answered by then expires
EXCHANGE_SHARE = 0.5  # of the requests under an agreement: for a term, not for one course
PARTNER_PULL = 1.5  # how much likelier a student asks where there is an agreement
OVERLOOKED_SHARE = 0.25  # of the requests beyond an agreement's places: nobody counted

_FIRST_STEP = {
    Plan.ACCEPT: "accepted",
    Plan.DENY: "denied",
    Plan.DENY_FULL: "denied",
    Plan.QUEUE_ACCEPT: "queued",
    Plan.QUEUE_DENY: "queued",
}
_SEATED = (Plan.ACCEPT, Plan.QUEUE_ACCEPT)
_FULL = "x-no-seats"
_NO_PLACES = "x-no-places"  # the agreement's places of the year are taken


def request(desk: Desk) -> None:
    """Students ask for a course at another member, some for two, popular ones more often."""
    offers = desk.store.all("SELECT * FROM catalogue WHERE status = 'active' ORDER BY offering_id")
    if not offers:
        return
    ours = {row[0] for row in desk.store.all("SELECT title FROM course")}
    agreed = {
        host: _agreements.find(desk, "student_studies", desk.code, host, TERM_STARTS)
        for host in sorted({row["host"] for row in offers})
    }
    weights = [
        (0.2 + 5 * desk.draw("popular", row["offering_id"]) ** 5)
        * (3 if row["title"] in ours else 1)
        * (PARTNER_PULL if agreed[row["host"]] else 1)
        for row in offers
    ]
    for student in desk.store.all("SELECT * FROM student ORDER BY student_id"):
        wishes = 2 if desk.draw("wishes", student["student_id"]) < SECOND_COURSE_SHARE else 1
        for wish in range(wishes):
            point = desk.draw("wish", student["student_id"], str(wish))
            offer = rules.choose(offers, weights, point)
            _request(desk, student, offer, agreed[offer["host"]])


def _request(
    desk: Desk, student: sqlite3.Row, offer: sqlite3.Row, agreement_id: str | None
) -> None:
    enrollment_id = make_id(
        str(desk.seed), "enrollment", student["student_id"], offer["offering_id"]
    )
    known = desk.store.one("SELECT 1 FROM enrollment WHERE enrollment_id = ?", enrollment_id)
    if known:
        return
    exchange = agreement_id and desk.draw("exchange", enrollment_id) < EXCHANGE_SHARE
    activity = "exchange_term" if exchange else "course"
    body = shapes.enrollment_request(
        enrollment_id, student, desk.code, offer, desk.day(VALID_DAYS), desk.site.domain
    )
    body |= {"activity": activity, "agreementId": agreement_id}
    event_id = desk.publish(
        "enrollment-request",
        enrollment_id,
        body,
        step="requested",
        to=[offer["host"]],
        case=enrollment_id,
    )
    desk.db.execute(
        "INSERT INTO enrollment VALUES (?, ?, ?, ?, ?, ?, ?, NULL, 'requested', NULL, 1, ?, NULL)",
        (
            enrollment_id,
            student["student_id"],
            desk.code,
            offer["host"],
            offer["offering_id"],
            activity,
            agreement_id,
            event_id,
        ),
    )


def decide_all(desk: Desk) -> None:
    """Enrollment has closed: answer all requests, offering by offering. Later ones are answered as they come."""
    desk.store.set("closed", "1")
    waiting: dict[str, list[str]] = {}
    for row in _own(desk, "host", "pending"):
        waiting.setdefault(row["offering_id"], []).append(row["enrollment_id"])
    for offering_id in sorted(waiting):
        found = desk.store.one("SELECT capacity FROM offering WHERE offering_id = ?", offering_id)
        seats = (found["capacity"] or 0) - _seats_taken(desk, offering_id) if found else 0
        plans = rules.admissions(desk.seed, desk.code, offering_id, seats, waiting[offering_id])
        for enrollment_id, plan in plans.items():
            row = _known(desk, enrollment_id)
            beyond = plan in _SEATED and not _place_left(desk, row)
            plan = Plan.DENY_FULL if beyond else plan
            desk.db.execute(
                "UPDATE enrollment SET plan = ? WHERE enrollment_id = ?", (plan, enrollment_id)
            )
            _answer(desk, row, _FIRST_STEP[plan], _NO_PLACES if beyond else _reason(plan))


def withdraw(desk: Desk) -> None:
    """Before the start: some students change their minds, some hosts cancel."""
    for state in ("queued", "associated"):
        for row in _own(desk, "home", state):
            if desk.draw("withdraw", row["enrollment_id"]) < WITHDRAWN_SHARE:
                _report(desk, row, "withdrawn", TERM_STARTS - timedelta(days=10), "student_request")
    for row in _own(desk, "host", "associated"):
        if desk.draw("cancel", row["enrollment_id"]) < CANCELLED_SHARE:
            _report(desk, row, "cancelled", TERM_STARTS - timedelta(days=7), "academic")


def start(desk: Desk) -> None:
    """The term begins for everyone who was accepted."""
    for row in _own(desk, "host", "associated"):
        _report(desk, row, "started", TERM_STARTS, None)


def drop_out(desk: Desk) -> None:
    """In the middle of the term some are called back home."""
    for row in _own(desk, "home", "active"):
        if desk.draw("drop", row["enrollment_id"]) < DROPPED_OUT_SHARE:
            reason = (
                "force_majeure"
                if desk.draw("why", row["enrollment_id"]) < 0.3
                else "student_request"
            )
            _report(desk, row, "withdrawn", TERM_STARTS + timedelta(days=50), reason)


def finish(desk: Desk, enrollment: sqlite3.Row, day: date) -> None:
    """The course is over for one student."""
    _report(desk, enrollment, "finished", day, None)


def active(desk: Desk) -> Sequence[sqlite3.Row]:
    """Other members' students in courses here, with no step under way."""
    return _own(desk, "host", "active")


def err(desk: Desk) -> None:
    """Mistakes: starting a finished course, and a decision on a request that was withdrawn since."""
    done = desk.store.one(
        "SELECT * FROM enrollment WHERE host = ? AND state = 'finished' ORDER BY 1", desk.code
    )
    if done:
        _report(desk, done, "started", TERM_STARTS, None, mark=False)
    gone = desk.store.one(
        "SELECT * FROM enrollment WHERE host = ? AND state = 'cancelled' AND home_version > 1 ORDER BY 1",
        desk.code,
    )
    if gone:
        _answer(desk, gone, "accepted", None, on_version=1, mark=False)


_OWN = {
    "home": "SELECT * FROM enrollment WHERE home = ? AND state = ? AND doing IS NULL ORDER BY 1",
    "host": "SELECT * FROM enrollment WHERE host = ? AND state = ? AND doing IS NULL ORDER BY 1",
}


def _own(desk: Desk, side: str, state: str) -> list[sqlite3.Row]:
    """Enrollments where we are home or host, in a state, with no step of ours under way."""
    return desk.store.all(_OWN[side], desk.code, state)


def _known(desk: Desk, enrollment_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM enrollment WHERE enrollment_id = ?", enrollment_id)
    if row is None:
        raise Contradiction(
            f"enrollment {enrollment_id} is not here; its enrollment.requested should have come before"
        )
    return row


def _seats_taken(desk: Desk, offering_id: str) -> int:
    """Seats as this office counts them: given, and promised with the ledger's word still to come."""
    return desk.store.count(
        "SELECT count(*) FROM enrollment LEFT JOIN seat USING (enrollment_id) "
        "WHERE enrollment.offering_id = ? AND (seat.host IS NOT NULL OR doing = 'accepted')",
        offering_id,
    )


def _place_left(desk: Desk, row: sqlite3.Row) -> bool:
    """Whether the agreement of a request has a place left, as this office counts them. Now and then it does not count."""
    if row["agreement_id"] is None:
        return True
    places = _agreements.places(desk, row["agreement_id"], row["home"], row["host"])
    if places is None or desk.draw("overlooked", row["enrollment_id"]) < OVERLOOKED_SHARE:
        return True
    taken = desk.store.count(
        "SELECT count(*) FROM enrollment e LEFT JOIN seat s USING (enrollment_id) "
        "WHERE e.agreement_id = ? AND e.home = ? AND e.host = ? AND (s.host IS NOT NULL OR doing = 'accepted' "
        "OR (plan = ? AND state IN ('pending', 'queued')))",
        row["agreement_id"],
        row["home"],
        row["host"],
        Plan.QUEUE_ACCEPT,
    )
    return taken < places


def _reason(plan: Plan) -> str | None:
    if plan is Plan.DENY:
        return "x-prerequisites-missing"
    return _FULL if plan in (Plan.DENY_FULL, Plan.QUEUE_ACCEPT, Plan.QUEUE_DENY) else None


def _answer(
    desk: Desk,
    row: sqlite3.Row,
    step: str,
    reason: str | None,
    *,
    on_version: int | None = None,
    mark: bool = True,
) -> None:
    """Publish a decision on the newest version of the request we know."""
    position = (
        1 + int(desk.draw("position", row["enrollment_id"]) * 9) if step == "queued" else None
    )
    desk.publish(
        "enrollment-decision",
        row["enrollment_id"],
        shapes.decision(row, step, reason, position),
        step=step,
        to=[row["home"]],
        decides=on_version or row["home_version"],
        case=row["enrollment_id"],
        because=row["request_event"],
    )
    _mark(desk, row, step if mark else None)


def _report(
    desk: Desk, row: sqlite3.Row, step: str, day: date, reason: str | None, *, mark: bool = True
) -> None:
    """Publish a change of status."""
    desk.publish(
        "enrollment-status",
        row["enrollment_id"],
        shapes.status(row, step, day, reason),
        step=step,
        to=[row["home"], row["host"]],
        case=row["enrollment_id"],
        because=row["cause"],
    )
    _mark(desk, row, step if mark else None)


def _mark(desk: Desk, row: sqlite3.Row, step: str | None) -> None:
    if step:
        desk.db.execute(
            "UPDATE enrollment SET doing = ? WHERE enrollment_id = ?", (step, row["enrollment_id"])
        )


def _walk(desk: Desk, row: sqlite3.Row, step: str, event_id: str) -> str:
    """Take a step that the ledger applied. Raises `Contradiction` when it is not possible from here."""
    reached = rules.ENROLLMENT_STEPS.get((row["state"], step))
    if reached is None:
        raise Contradiction(
            f"enrollment {row['enrollment_id']} is {row['state']} here, the ledger applied {step}; "
            "an earlier message is missing, deliver it first"
        )
    desk.db.execute(
        "UPDATE enrollment SET state = ?, cause = ? WHERE enrollment_id = ?",
        (reached, event_id, row["enrollment_id"]),
    )
    return reached


def _request_received(desk: Desk, told: Received) -> None:
    said = told.record
    desk.db.execute(
        "INSERT INTO enrollment VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', NULL, NULL, ?, ?, ?)",
        (
            said["enrollment_id"],
            said["student_id"],
            said["home"],
            said["host"],
            said["offering_id"],
            said["activity"],
            said["agreement_id"],
            said["envelope"]["aggregate_version"],
            told.event_id,
            told.event_id,
        ),
    )
    if desk.store.setting("closed"):
        _answer_late(desk, _known(desk, said["enrollment_id"]))


def _answer_late(desk: Desk, row: sqlite3.Row) -> None:
    """After the closing date whoever comes first is served."""
    found = desk.store.one(
        "SELECT capacity FROM offering WHERE offering_id = ?", row["offering_id"]
    )
    free = found is not None and (found["capacity"] or 0) > _seats_taken(desk, row["offering_id"])
    place = _place_left(desk, row)
    reason = None if free and place else _FULL if place else _NO_PLACES
    _answer(desk, row, "denied" if reason else "accepted", reason)


def _decision_received(desk: Desk, told: Received) -> None:
    row = _known(desk, told.record["enrollment_id"])
    _walk(desk, row, told.record["decision"], told.event_id)


def _status_received(desk: Desk, told: Received) -> None:
    row = _known(desk, told.record["enrollment_id"])
    _walk(desk, row, told.record["new_status"], told.event_id)
    if told.record["new_status"] == "withdrawn":
        desk.db.execute(
            "UPDATE enrollment SET home_version = ? WHERE enrollment_id = ?",
            (told.record["envelope"]["aggregate_version"], row["enrollment_id"]),
        )


def _settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Go on from the ledger's word. What it refused did not happen; an acceptance it refused becomes a denial."""
    row = _known(desk, change.subject)
    desk.db.execute(
        "UPDATE enrollment SET doing = NULL WHERE enrollment_id = ? AND doing = ?",
        (change.subject, change.step),
    )
    if settled.applied:
        _go_on(desk, row, change)
    elif (
        change.step == "accepted"
        and row["doing"] == "accepted"
        and settled.reason != "STALE_VERSION"
        and row["state"] in ("pending", "queued")
    ):
        _answer(desk, row, "denied", _FULL)


def _go_on(desk: Desk, row: sqlite3.Row, change: Change) -> None:
    if change.step == "requested":
        desk.db.execute(
            "UPDATE enrollment SET state = 'pending', cause = ? WHERE enrollment_id = ?",
            (change.event_id, change.subject),
        )
        return
    _walk(desk, row, change.step, change.event_id)
    if change.step == "queued":
        seat = row["plan"] == Plan.QUEUE_ACCEPT
        _answer(desk, row, "accepted" if seat else "denied", None if seat else _FULL)


def _flagged(desk: Desk, told: Flagged) -> None:
    """A request that nobody answered in time is over at both universities. Other flags are for people."""
    if told.flag == "expired":
        row = _known(desk, told.case_id)
        desk.db.execute(
            "UPDATE enrollment SET state = ?, cause = ? WHERE enrollment_id = ?",
            (told.state, told.event_id, row["enrollment_id"]),
        )


def holdings(desk: Desk) -> Holdings:
    """Enrollments from here and to here."""
    return {
        "enrollments": desk.rows(
            "SELECT enrollment_id AS enrollmentId, student_id AS studentId, home, host, offering_id AS offeringId, state "
            "FROM enrollment WHERE state IS NOT NULL ORDER BY 1"
        )
    }


def work(desk: Desk) -> int:
    """Requests that wait for an answer, once enrollment has closed."""
    if not desk.store.setting("closed"):
        return 0
    return desk.store.count(
        "SELECT count(*) FROM enrollment WHERE host = ? AND state IN ('pending', 'queued') AND doing IS NULL",
        desk.code,
    )


PHASES: Mapping[str, Phase] = {
    "requests": request,
    "decisions": decide_all,
    "withdrawals": withdraw,
    "start": start,
    "dropouts": drop_out,
    "mistakes": err,
}
RECEIVES: Mapping[str, Receive] = {
    "enrollment.requested": _request_received,
    "enrollment.decided": _decision_received,
    "enrollment.status-changed": _status_received,
}
SETTLES: Mapping[str, Settle] = {
    "enrollment-request": _settled,
    "enrollment-decision": _settled,
    "enrollment-status": _settled,
}
FLAGS: Mapping[str, Flag] = {"enrollment": _flagged}
