"""Personnel: teachers lent to other members and borrowed from them, the hours they teach, and secondments.

The side that did not propose an appointment answers it. Home looks at the hours of a month before the host reports the
next, and nobody moves when it is another's turn: a rerun ends alike whatever the order of messages.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from connectors.sandbox import rules
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
from connectors.sandbox.offices import shapes_personnel as shapes
from connectors.sandbox.offices._agreements import find
from connectors.sandbox.offices.shapes_common import (
    data,
    localized,
    localized_from,
    text,
    thousandths,
)
from connectors.sandbox.seeds import make_id
from connectors.sandbox.shapes import Row
from connectors.sandbox.store import Change, Effect

TABLES = """
-- Teachers of other members, as their offerings name them.
CREATE TABLE colleague (staff_id TEXT PRIMARY KEY, member TEXT NOT NULL) STRICT;

CREATE TABLE appointment (
  appointment_id TEXT PRIMARY KEY, staff_id TEXT NOT NULL, home TEXT NOT NULL, host TEXT NOT NULL, proposer TEXT NOT NULL,
  role TEXT NOT NULL, unit TEXT, rank TEXT, from_date TEXT NOT NULL, to_date TEXT NOT NULL, hours_milli INTEGER,
  offering_id TEXT, agreement_id TEXT, state TEXT, doing TEXT, cause TEXT
) STRICT;
CREATE TABLE delivery (
  delivery_id TEXT PRIMARY KEY, appointment_id TEXT NOT NULL, kind TEXT NOT NULL, students TEXT NOT NULL,
  period_start TEXT NOT NULL, period_end TEXT NOT NULL, hours_milli INTEGER NOT NULL, confirm_by TEXT,
  offered_milli INTEGER, disputes INTEGER NOT NULL DEFAULT 0, state TEXT, doing TEXT, cause TEXT
) STRICT;
CREATE INDEX delivery_appointment ON delivery (appointment_id);

CREATE TABLE secondment (
  secondment_id TEXT PRIMARY KEY, staff_id TEXT NOT NULL, lender TEXT NOT NULL, borrower TEXT NOT NULL,
  post TEXT NOT NULL, kind TEXT NOT NULL, from_date TEXT NOT NULL, to_date TEXT NOT NULL, agreement_id TEXT, state TEXT,
  doing TEXT, cause TEXT
) STRICT;
"""
EFFECTS = (
    Effect("appointment", "state", "appointment_id", "NEW.state"),
    Effect("delivery", "state", "delivery_id", "NEW.state"),
    Effect("secondment", "state", "secondment_id", "NEW.state || ' ' || NEW.to_date"),
)
RESOURCES: Mapping[str, str] = {
    "appointment": "teaching.appointment-changed",
    "teaching-hours": "teaching.delivered",
    "secondment": "teaching.secondment-changed",
}

SECOND_LOAN_SHARE = 0.8
INVITATION_SHARE = 0.8
NO_LIMIT_SHARE = 0.3  # of the appointments: without a limit of hours
UNANSWERED_SHARE = 0.08  # of the reports of hours
DISPUTED_SHARE = 0.25
DISPUTED_AGAIN_SHARE = 0.3
CONFIRM_DAYS = 14
SECOND_SECONDMENT_SHARE = 0.4
LEFT_EARLY_SHARE = 0.3

V = TypeVar("V")


class _Fate(StrEnum):
    """What becomes of a proposal. Both sides draw it: in life they would have talked on the telephone."""

    DECLINED = "declined"
    UNANSWERED = "unanswered"
    TAKEN_BACK = "taken_back"  # by the proposer, before an answer
    CALLED_OFF = "called_off"  # after approval, before the first day
    CALLED_BACK = "called_back"  # in the middle
    LASTING = "lasting"  # still there at the end of the term
    EXTENDED = "extended"
    DONE = "done"


# Of the first proposals by the proposer's place in the alliance: each is there whatever the seed.
_APPOINTMENTS = (
    _Fate.DONE, _Fate.DONE, _Fate.DECLINED, _Fate.DONE, _Fate.UNANSWERED, _Fate.DONE,
    _Fate.DONE, _Fate.CALLED_OFF, _Fate.CALLED_BACK, _Fate.DONE, _Fate.TAKEN_BACK, _Fate.DONE,
)  # fmt: skip
_SECONDMENTS = (
    _Fate.DONE, _Fate.LASTING, _Fate.DECLINED, _Fate.EXTENDED, _Fate.DONE,
    _Fate.CALLED_BACK, _Fate.UNANSWERED, _Fate.LASTING, _Fate.CALLED_OFF, _Fate.EXTENDED,
)  # fmt: skip
_ROLES = {"lecturer": 30, "co_lecturer": 30, "thesis_supervisor": 20, "committee": 10, "guest": 10}
_TAUGHT = {"thesis_supervisor": "supervision", "committee": "examination"}  # the others: lectures
_ASSESSMENTS = {"outstanding": 25, "competent": 60, "basic": 10, "not": 5}
_DISPUTES = {"hours_too_high": 50, "not_taught": 20, "wrong_period": 20, "counted_twice": 10}
_HALF = 500  # hours are counted in halves; thousandths of an hour


def _drawn(desk: Desk, shares: Mapping[V, float], *about: str) -> V:
    return rules.choose(list(shares), list(shares.values()), desk.draw(*about))


def _dealt(desk: Desk, fates: Sequence[_Fate], thing: str, proposer: str, thing_id: str) -> _Fate:
    """By the proposer's place for its first proposal, drawn for the others."""
    if thing_id == make_id(str(desk.seed), thing, proposer, "0"):
        return fates[sorted(desk.members).index(proposer) % len(fates)]
    return rules.choose(fates, [1] * len(fates), desk.draw("fate", thing_id))


def _partners(desk: Desk, kind: str, candidates: Iterable[str], *, lends: bool) -> list[str]:
    """Members in drawn order; those first with which we have an agreement of the kind."""

    def order(member: str) -> tuple[bool, float]:
        sender, receiver = (desk.code, member) if lends else (member, desk.code)
        covered = find(desk, kind, sender, receiver) is not None
        return not covered, desk.draw("partner", kind, str(lends), desk.code, member)

    return sorted(candidates, key=order)


def _own_staff(desk: Desk, thing_id: str) -> sqlite3.Row:
    """One of our people."""
    people = desk.store.all("SELECT * FROM staff ORDER BY staff_id")
    return people[int(desk.draw("person", thing_id) * len(people))]


# Appointments


def propose(desk: Desk) -> None:
    """Lend teachers to one or two members, and invite one whose course stands in another member's catalogue."""
    loans = 1 + (desk.draw("loans", desk.code) < SECOND_LOAN_SHARE)
    hosts = _partners(desk, "teacher", desk.others(), lends=True)
    for number, host in enumerate(hosts[:loans]):
        appointment_id = make_id(str(desk.seed), "loan", desk.code, str(number))
        person = _own_staff(desk, appointment_id)
        rank = shapes.RANKS.get(person["title"])
        courses = desk.store.all(
            "SELECT offering_id FROM catalogue WHERE host = ? AND status = 'active' ORDER BY 1",
            host,
        )
        _propose(desk, appointment_id, person["staff_id"], desk.code, host, rank, courses)
    if desk.draw("invites", desk.code) < INVITATION_SHARE:
        _invite(desk)


def _invite(desk: Desk) -> None:
    known = [row[0] for row in desk.store.all("SELECT DISTINCT member FROM colleague ORDER BY 1")]
    for home in _partners(desk, "teacher", known, lends=False)[:1]:
        appointment_id = make_id(str(desk.seed), "invitation", desk.code, home)
        people = desk.store.all(
            "SELECT staff_id FROM colleague WHERE member = ? ORDER BY staff_id", home
        )
        person = people[int(desk.draw("person", appointment_id) * len(people))]["staff_id"]
        courses = desk.store.all(
            "SELECT offering_id FROM offering WHERE status = 'active' ORDER BY 1"
        )
        _propose(desk, appointment_id, person, home, desk.code, None, courses)


def _propose(
    desk: Desk,
    appointment_id: str,
    person: str,
    home: str,
    host: str,
    rank: str | None,
    courses: list[sqlite3.Row],
) -> None:
    role = _drawn(desk, _ROLES, "role", appointment_id)
    course = courses[int(desk.draw("course", appointment_id) * len(courses))] if courses else None
    months = _months(desk, appointment_id)
    limited = desk.draw("limited", appointment_id) >= NO_LIMIT_SHARE
    first = desk.day()
    desk.db.execute(
        "INSERT INTO appointment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
        (
            appointment_id,
            person,
            home,
            host,
            desk.code,
            role,
            f"{host}-{desk.site.fields[0]}" if host == desk.code else None,
            rank,
            first.isoformat(),
            (first + timedelta(days=30 * months + 14)).isoformat(),
            months * _monthly(desk, appointment_id) if limited else None,
            course["offering_id"] if course and role in ("lecturer", "co_lecturer") else None,
            find(desk, "teacher", home, host, first),
        ),
    )
    _say(desk, _appointment(desk, appointment_id), "proposed", None)


def _months(desk: Desk, appointment_id: str) -> int:
    return 2 + int(desk.draw("months", appointment_id) * 3)


def _monthly(desk: Desk, appointment_id: str) -> int:
    """Hours of a usual month, in thousandths."""
    return _HALF * (8 + int(desk.draw("monthly", appointment_id) * 17))


def _say(
    desk: Desk,
    row: Row,
    step: str,
    because: str | None,
    reason: str | None = None,
    *,
    mark: bool = True,
) -> None:
    """Publish a step of an appointment. A step meant wrongly is not marked: nobody waits for it."""
    desk.publish(
        "appointment",
        row["appointment_id"],
        shapes.appointment(row, step, reason),
        step=step,
        to=[row["home"], row["host"]],
        case=row["appointment_id"],
        because=because,
    )
    if mark:
        desk.db.execute(
            "UPDATE appointment SET doing = ? WHERE appointment_id = ?",
            (step, row["appointment_id"]),
        )


def _appointment(desk: Desk, appointment_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM appointment WHERE appointment_id = ?", appointment_id)
    if row is None:
        raise Contradiction(
            f"appointment {appointment_id} is not here; the other side's proposal should have come before"
        )
    return row


def _fate(desk: Desk, appointment: Row) -> _Fate:
    proposer, appointment_id = appointment["proposer"], appointment["appointment_id"]
    return _dealt(desk, _APPOINTMENTS, "loan", proposer, appointment_id)


def _appointment_received(desk: Desk, told: Received) -> None:
    said = told.record
    if said["step"] == "proposed":
        hours = said["max_hours"]
        desk.db.execute(
            "INSERT INTO appointment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'proposed', NULL, ?)",
            (
                said["appointment_id"],
                said["staff_id"],
                said["home"],
                said["host"],
                said["envelope"]["member"],
                said["role"],
                said["unit"],
                said["rank"],
                said["from_date"],
                said["to_date"],
                None if hours is None else thousandths(hours),
                said["offering_id"],
                said["agreement_id"],
                told.event_id,
            ),
        )
        _answer(desk, _appointment(desk, said["appointment_id"]), told.event_id)
    else:
        row = _walk(desk, said["appointment_id"], said["step"], told.event_id)
        _perhaps_call_off(desk, row, told.event_id)


def _answer(desk: Desk, row: sqlite3.Row, because: str) -> None:
    fate = _fate(desk, row)
    if fate is _Fate.DECLINED:
        _say(desk, row, "declined", because, "schedule")
    elif fate not in (_Fate.UNANSWERED, _Fate.TAKEN_BACK):
        _say(desk, row, "approved", because)


def _perhaps_call_off(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """One of the two sides thinks better of what was just approved."""
    if row["state"] != "approved" or _fate(desk, row) is not _Fate.CALLED_OFF:
        return
    home_does = desk.draw("who-calls-off", row["appointment_id"]) < 0.5
    if desk.code == row["home" if home_does else "host"]:
        _say(desk, row, "revoked", because, "staff_request" if home_does else "funding")


def _appointment_settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Go on from the ledger's word. An approval that it refused for want of places becomes a refusal by us."""
    row = _appointment(desk, change.subject)
    desk.db.execute(
        "UPDATE appointment SET doing = NULL WHERE appointment_id = ? AND doing = ?",
        (change.subject, change.step),
    )
    if settled.applied:
        row = _walk(desk, change.subject, change.step, change.event_id)
        _follow_up(desk, row, change.event_id)
    elif change.step == "approved" and row["doing"] == "approved" and row["state"] == "proposed":
        _say(desk, row, "declined", change.event_id, "x-no-places")


def _follow_up(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """After an own step."""
    if row["state"] == "proposed" and _fate(desk, row) is _Fate.TAKEN_BACK:
        _say(desk, row, "revoked", because, "schedule")
    elif row["state"] == "active":
        _teach(desk, row, because)
    else:
        _perhaps_call_off(desk, row, because)


def _walk(desk: Desk, appointment_id: str, step: str, cause: str) -> sqlite3.Row:
    """Take a step that the ledger applied; the row as it is then."""
    desk.db.execute(
        "UPDATE appointment SET state = ?, cause = ? WHERE appointment_id = ?",
        ("active" if step == "started" else step, cause, appointment_id),
    )
    return _appointment(desk, appointment_id)


# Hours


def begin_teaching(desk: Desk) -> None:
    """Borrowed teachers begin; their hours follow month by month."""
    for row in desk.store.all(
        "SELECT * FROM appointment WHERE host = ? AND state = 'approved' AND doing IS NULL ORDER BY 1",
        desk.code,
    ):
        _say(desk, row, "started", row["cause"])


def _teach(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """What comes next here: the hours of another month, or the end. Home calls some teachers back after the first."""
    reported = _reported(desk, row["appointment_id"])
    if reported and _fate(desk, row) is _Fate.CALLED_BACK:
        return
    if reported < _months(desk, row["appointment_id"]):
        _report(desk, row, reported + 1, None, because)
    else:
        _say(desk, row, "ended", because)


def _reported(desk: Desk, appointment_id: str) -> int:
    return desk.store.count(
        "SELECT count(*) FROM delivery WHERE appointment_id = ? AND state IS NOT NULL",
        appointment_id,
    )


def _report(desk: Desk, row: sqlite3.Row, month: int, at_most: int | None, because: str) -> None:
    """Report the hours of a month. A busy one may exceed what was agreed on; the ledger refuses, then `at_most` counts."""
    delivery_id = make_id(row["appointment_id"], "hours", str(month))
    factor = 0.75 + 0.5 * desk.draw("busy", delivery_id)
    hours = round(_monthly(desk, row["appointment_id"]) * factor / _HALF) * _HALF
    begins = date.fromisoformat(row["from_date"]) + timedelta(days=30 * (month - 1))
    kind = _TAUGHT.get(row["role"], "lecture")
    desk.db.execute(
        "INSERT INTO delivery (delivery_id, appointment_id, kind, students, period_start, period_end, hours_milli, "
        "confirm_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (delivery_id) DO UPDATE SET "
        "hours_milli = excluded.hours_milli",
        (
            delivery_id,
            row["appointment_id"],
            kind,
            json.dumps(_supervised(desk, row["appointment_id"]) if kind == "supervision" else []),
            begins.isoformat(),
            (begins + timedelta(days=29)).isoformat(),
            hours if at_most is None else min(hours, at_most),
            desk.day(CONFIRM_DAYS).isoformat(),
        ),
    )
    delivery = _delivery(desk, delivery_id)
    _tell(desk, delivery, "reported", delivery["hours_milli"], because)


def _supervised(desk: Desk, appointment_id: str) -> list[str]:
    """One or two students of ours."""
    ours = [row[0] for row in desk.store.all("SELECT student_id FROM student ORDER BY 1")]
    first = int(desk.draw("students", appointment_id) * len(ours))
    return ours[first : first + 2]


def _hours_left(desk: Desk, row: sqlite3.Row) -> int:
    """Hours agreed on that are not used up yet, in thousandths."""
    used = desk.store.count(
        "SELECT coalesce(sum(coalesce(offered_milli, hours_milli)), 0) FROM delivery "
        "WHERE appointment_id = ? AND state IS NOT NULL",
        row["appointment_id"],
    )
    return int(row["hours_milli"] or 0) - used


def _tell(
    desk: Desk,
    row: sqlite3.Row,
    step: str,
    milli: int,
    because: str | None,
    reason: str | None = None,
    *,
    mark: bool = True,
) -> None:
    """Publish a step about hours."""
    appointed = _appointment(desk, row["appointment_id"])
    desk.publish(
        "teaching-hours",
        row["delivery_id"],
        shapes.hours(appointed, row, step, milli, reason),
        step=step,
        to=[appointed["home"], appointed["host"]],
        case=row["appointment_id"],
        because=because,
    )
    if mark:
        desk.db.execute(
            "UPDATE delivery SET doing = ? WHERE delivery_id = ?", (step, row["delivery_id"])
        )


def _delivery(desk: Desk, delivery_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM delivery WHERE delivery_id = ?", delivery_id)
    if row is None:
        raise Contradiction(
            f"report of hours {delivery_id} is not here; it should have come before what is said about it"
        )
    return row


def _hours_received(desk: Desk, told: Received) -> None:
    said = told.record
    milli = thousandths(said["hours"])
    if said["step"] == "reported":
        desk.db.execute(
            "INSERT INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, 'reported', NULL, ?)",
            (
                said["delivery_id"],
                said["appointment_id"],
                said["kind"],
                json.dumps(said["students"]),
                said["period_start"],
                said["period_end"],
                milli,
                said["confirm_by"],
                told.event_id,
            ),
        )
        _look_at(desk, _delivery(desk, said["delivery_id"]), told.event_id)
        return
    row = _take_hours(desk, said["delivery_id"], said["step"], milli, told.event_id)
    if row["state"] == "disputed":
        _offer(desk, row, told.event_id)
    elif row["state"] == "offered":
        _look_at_offer(desk, row, told.event_id)
    else:
        _teach(desk, _appointment(desk, row["appointment_id"]), told.event_id)


def _take_hours(desk: Desk, delivery_id: str, step: str, milli: int, cause: str) -> sqlite3.Row:
    """Take a step that the ledger applied; the row as it is then. A dispute voids the offer before it."""
    row = _delivery(desk, delivery_id)
    offered = {"offered": milli, "disputed": None}.get(step, row["offered_milli"])
    desk.db.execute(
        "UPDATE delivery SET state = ?, offered_milli = ?, disputes = ?, cause = ? WHERE delivery_id = ?",
        (step, offered, row["disputes"] + (step == "disputed"), cause, delivery_id),
    )
    return _delivery(desk, delivery_id)


def _look_at(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """Home asks the teacher; some reports lie about."""
    chance = desk.draw("hours", row["delivery_id"])
    if chance < UNANSWERED_SHARE:
        return
    if chance < UNANSWERED_SHARE + DISPUTED_SHARE:
        _dispute(desk, row, because)
    else:
        _tell(desk, row, "confirmed", row["hours_milli"], because)


def _dispute(desk: Desk, row: sqlite3.Row, because: str) -> None:
    reason = _drawn(desk, _DISPUTES, "dispute", row["delivery_id"])
    _tell(desk, row, "disputed", row["hours_milli"], because, reason)


def _offer(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """Three quarters of what was reported, the second time the half."""
    share = 0.75 if row["disputes"] < 2 else 0.5
    _tell(desk, row, "offered", round(row["hours_milli"] * share / _HALF) * _HALF, because)


def _look_at_offer(desk: Desk, row: sqlite3.Row, because: str) -> None:
    again = desk.draw("hours-again", row["delivery_id"]) < DISPUTED_AGAIN_SHARE
    if again and row["disputes"] < 2:
        _dispute(desk, row, because)
    else:
        _tell(desk, row, "settled", row["offered_milli"], because)


def _hours_settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Go on from the ledger's word. A report of more than is left is followed by one of what is left."""
    row = _delivery(desk, change.subject)
    desk.db.execute(
        "UPDATE delivery SET doing = NULL WHERE delivery_id = ? AND doing = ?",
        (change.subject, change.step),
    )
    appointed = _appointment(desk, row["appointment_id"])
    if settled.applied:
        milli = round(change.data["contactHours"] * 1000)
        row = _take_hours(desk, change.subject, change.step, milli, change.event_id)
        if row["state"] in ("confirmed", "settled"):
            _perhaps_call_back(desk, appointed, change.event_id)
    elif change.step == "reported" and settled.reason == "QUOTA_EXCEEDED":
        left = _hours_left(desk, appointed)
        if 0 < left < row["hours_milli"]:
            month = _reported(desk, row["appointment_id"]) + 1
            _report(desk, appointed, month, left, change.event_id)
        else:
            _say(desk, appointed, "ended", change.event_id)


def _perhaps_call_back(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """Home needs its teacher after the first month."""
    first = _reported(desk, row["appointment_id"]) == 1
    if row["state"] == "active" and first and _fate(desk, row) is _Fate.CALLED_BACK:
        _say(desk, row, "revoked", because, "academic")


# Secondments


def second(desk: Desk) -> None:
    """Send one or two people to work at other members for half a year or a whole one."""
    count = 1 + (desk.draw("secondments", desk.code) < SECOND_SECONDMENT_SHARE)
    posts = data("posts.toml")["secondment"]
    borrowers = _partners(desk, "secondment", desk.others(), lends=True)
    for number, borrower in enumerate(borrowers[:count]):
        secondment_id = make_id(str(desk.seed), "secondment", desk.code, str(number))
        post = posts[int(desk.draw("post", secondment_id) * len(posts))]
        days = 182 if desk.draw("length", secondment_id) < 0.5 else 365
        desk.db.execute(
            "INSERT INTO secondment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
            (
                secondment_id,
                _own_staff(desk, secondment_id)["staff_id"],
                desk.code,
                borrower,
                json.dumps(localized(post["zh"], post["en"]), ensure_ascii=False),
                post["kind"],
                desk.day().isoformat(),
                desk.day(days - 1).isoformat(),
                find(desk, "secondment", desk.code, borrower),
            ),
        )
        _write(desk, _secondment(desk, secondment_id), "proposed", None)


def _write(
    desk: Desk,
    row: Row,
    step: str,
    because: str | None,
    reason: str | None = None,
    assessment: str | None = None,
    *,
    mark: bool = True,
) -> None:
    """Publish a step of a secondment."""
    desk.publish(
        "secondment",
        row["secondment_id"],
        shapes.secondment(row, step, assessment, reason),
        step=step,
        to=[row["lender"], row["borrower"]],
        case=row["secondment_id"],
        because=because,
    )
    if mark:
        desk.db.execute(
            "UPDATE secondment SET doing = ? WHERE secondment_id = ?", (step, row["secondment_id"])
        )


def _secondment(desk: Desk, secondment_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM secondment WHERE secondment_id = ?", secondment_id)
    if row is None:
        raise Contradiction(
            f"secondment {secondment_id} is not here; the lender's proposal should have come before"
        )
    return row


def _secondment_received(desk: Desk, told: Received) -> None:
    said = told.record
    if said["step"] == "proposed":
        desk.db.execute(
            "INSERT INTO secondment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'proposed', NULL, ?)",
            (
                said["secondment_id"],
                said["staff_id"],
                said["lender"],
                said["borrower"],
                json.dumps(localized_from(said["post"]), ensure_ascii=False),
                said["kind"],
                said["from_date"],
                said["to_date"],
                said["agreement_id"],
                told.event_id,
            ),
        )
        row = _secondment(desk, said["secondment_id"])
    else:
        row = _stay(desk, said["secondment_id"], said["step"], said["to_date"], told.event_id)
    _go_on(desk, row, said["step"], told.event_id)


def _secondment_settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Go on from the ledger's word. An approval that it refused for want of places becomes a refusal by us."""
    row = _secondment(desk, change.subject)
    desk.db.execute(
        "UPDATE secondment SET doing = NULL WHERE secondment_id = ? AND doing = ?",
        (change.subject, change.step),
    )
    if settled.applied:
        row = _stay(desk, change.subject, change.step, change.data["endDate"], change.event_id)
        _go_on(desk, row, change.step, change.event_id)
    elif change.step == "approved" and row["doing"] == "approved" and row["state"] == "proposed":
        _write(desk, row, "declined", change.event_id, "x-no-places")


def _stay(desk: Desk, secondment_id: str, step: str, until: str, cause: str) -> sqlite3.Row:
    """Take a step that the ledger applied; the row as it is then."""
    row = _secondment(desk, secondment_id)
    last = until if step in ("extended", "ended") else row["to_date"]
    desk.db.execute(
        "UPDATE secondment SET state = ?, to_date = ?, cause = ? WHERE secondment_id = ?",
        ("started" if step == "extended" else step, last, cause, secondment_id),
    )
    return _secondment(desk, secondment_id)


def _go_on(desk: Desk, row: sqlite3.Row, step: str, because: str) -> None:
    """What we do after a step, own or told: the side whose turn it is acts, the other does nothing."""
    fate = _dealt(desk, _SECONDMENTS, "secondment", row["lender"], row["secondment_id"])
    if desk.code == row["lender"]:
        _go_on_lending(desk, row, step, fate, because)
    else:
        _go_on_borrowing(desk, row, step, fate, because)


def _go_on_lending(desk: Desk, row: sqlite3.Row, step: str, fate: _Fate, because: str) -> None:
    if (step, fate) == ("approved", _Fate.CALLED_OFF):
        _write(desk, row, "recalled", because, "staff_request")
    elif (step, fate) == ("started", _Fate.CALLED_BACK):
        _write(desk, row, "recalled", because, "academic")
    elif (step, fate) == ("started", _Fate.EXTENDED):
        later = date.fromisoformat(row["to_date"]) + timedelta(days=91)
        _write(desk, {**dict(row), "to_date": later.isoformat()}, "extended", because)


def _go_on_borrowing(desk: Desk, row: sqlite3.Row, step: str, fate: _Fate, because: str) -> None:
    if step == "proposed" and fate is _Fate.DECLINED:
        _write(desk, row, "declined", because, "funding")
    elif step == "proposed" and fate is not _Fate.UNANSWERED:
        _write(desk, row, "approved", because)
    elif step == "approved" and fate is not _Fate.CALLED_OFF:
        _write(desk, row, "started", because)
    elif (step, fate) in (("started", _Fate.DONE), ("extended", _Fate.EXTENDED)):
        _assess(desk, row, because)


def _assess(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """The end, some weeks early for a few."""
    last = date.fromisoformat(row["to_date"])
    if desk.draw("leaves-early", row["secondment_id"]) < LEFT_EARLY_SHARE:
        last -= timedelta(days=7 * (1 + int(desk.draw("weeks", row["secondment_id"]) * 8)))
    grade = _drawn(desk, _ASSESSMENTS, "assessment", row["secondment_id"])
    ended = {**dict(row), "to_date": last.isoformat()}
    _write(desk, ended, "ended", because, assessment=grade)


# Mistakes


def err(desk: Desk) -> None:
    """Mistakes: approving an own proposal, approving other hours than proposed, confirming other hours than reported,
    ending a secondment that began on another day."""
    own = desk.store.one(
        "SELECT * FROM appointment WHERE proposer = ? AND state IS NOT NULL ORDER BY state != 'proposed', 1",
        desk.code,
    )
    if own:
        _say(desk, own, "approved", own["cause"], mark=False)
    asked = desk.store.one(
        "SELECT * FROM appointment WHERE proposer != ? AND state = 'proposed' ORDER BY 1", desk.code
    )
    if asked:
        more: dict[str, Any] = {**dict(asked), "hours_milli": (asked["hours_milli"] or 0) + 4000}
        _say(desk, more, "approved", asked["cause"], mark=False)
    reported = desk.store.one(
        "SELECT d.* FROM delivery d JOIN appointment a USING (appointment_id) WHERE a.home = ? "
        "AND d.state = 'reported' ORDER BY 1",
        desk.code,
    )
    if reported:
        fewer = reported["hours_milli"] - _HALF
        _tell(desk, reported, "confirmed", fewer, reported["cause"], mark=False)
    here = desk.store.one(
        "SELECT * FROM secondment WHERE borrower = ? AND state = 'started' ORDER BY 1", desk.code
    )
    if here:
        first = date.fromisoformat(here["from_date"]) - timedelta(days=30)
        longer = {**dict(here), "from_date": first.isoformat()}
        _write(desk, longer, "ended", here["cause"], assessment="competent", mark=False)


# What others tell, and what is here


def _offering_received(desk: Desk, told: Received) -> None:
    """Whom other members' courses name can be invited."""
    said = told.record
    desk.db.executemany(
        "INSERT OR IGNORE INTO colleague VALUES (?, ?)",
        [(teacher, said["host"]) for teacher in said["teachers"]],
    )


def _cases(desk: Desk) -> list[Case]:
    return [*_appointment_cases(desk), *_delivery_cases(desk), *_secondment_cases(desk)]


def _appointment_cases(desk: Desk) -> list[Case]:
    return [
        _case(
            "appointment",
            row["appointment_id"],
            row["state"]
            if row["hours_milli"] is None
            else f"{row['state']} {text(row['hours_milli'])} hours",
        )
        for row in desk.store.all("SELECT * FROM appointment WHERE state IS NOT NULL")
    ]


def _delivery_cases(desk: Desk) -> list[Case]:
    rows = desk.store.all(
        "SELECT delivery_id, state, coalesce(offered_milli, hours_milli) AS milli FROM delivery "
        "WHERE state IS NOT NULL"
    )
    return [
        _case("delivery", row["delivery_id"], f"{row['state']} {text(row['milli'])} hours")
        for row in rows
    ]


def _secondment_cases(desk: Desk) -> list[Case]:
    rows = desk.store.all(
        "SELECT secondment_id, state, to_date FROM secondment WHERE state IS NOT NULL"
    )
    return [
        _case("secondment", row["secondment_id"], f"{row['state']} until {row['to_date']}")
        for row in rows
    ]


def _case(kind: str, thing_id: str, summary: str) -> Case:
    return {"kind": kind, "id": thing_id, "summary": summary}


PHASES: Mapping[str, Phase] = {
    "appointments": propose,
    "teaching": begin_teaching,
    "secondments": second,
    "mistakes": err,
}
RECEIVES: Mapping[str, Receive] = {
    "offering.changed": _offering_received,
    "teaching.appointment-changed": _appointment_received,
    "teaching.delivered": _hours_received,
    "teaching.secondment-changed": _secondment_received,
}
SETTLES: Mapping[str, Settle] = {
    "appointment": _appointment_settled,
    "teaching-hours": _hours_settled,
    "secondment": _secondment_settled,
}
CASES = _cases
