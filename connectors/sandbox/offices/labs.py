"""Laboratories: resources opened to the others, time booked on theirs, and what use was made of ours.

Half of the instruments are given away by lot: who asks for one waits until all have asked, so the outcome does not hang
on whose message was faster. For any other resource each member has a time of its own, and gets it when it asks.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta

from connectors.sandbox import rules
from connectors.sandbox.desk import (
    SHANGHAI,
    Case,
    Contradiction,
    Desk,
    Flag,
    Flagged,
    Phase,
    Receive,
    Received,
    Settle,
    Settled,
)
from connectors.sandbox.offices import shapes_labs as shapes
from connectors.sandbox.offices.shapes_labs import Booking
from connectors.sandbox.seeds import make_id
from connectors.sandbox.shapes import Body
from connectors.sandbox.store import Change, Effect

TABLES = """
-- ahead: states it will come to by itself. body: the newest that we said, of our own only.
CREATE TABLE lab_resource (
  resource_id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, capacity INTEGER NOT NULL,
  shortest INTEGER NOT NULL, longest INTEGER, per_day INTEGER, qualification TEXT, body TEXT, ahead TEXT NOT NULL,
  state TEXT, cause TEXT
) STRICT;
-- start_ms and end_ms: what was asked for, once approved what was given. urgent: nobody can answer so fast.
CREATE TABLE lab_request (
  request_id TEXT PRIMARY KEY, resource_id TEXT NOT NULL, home TEXT NOT NULL, owner TEXT NOT NULL,
  start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, urgent INTEGER NOT NULL, body TEXT, replaces TEXT,
  home_version INTEGER NOT NULL, request_event TEXT NOT NULL, state TEXT, doing TEXT, cause TEXT
) STRICT;
CREATE INDEX lab_request_resource ON lab_request (resource_id);
CREATE TABLE lab_usage (
  usage_id TEXT PRIMARY KEY, request_id TEXT, owner TEXT NOT NULL, home TEXT NOT NULL, minutes INTEGER NOT NULL,
  supersedes TEXT, body TEXT, state TEXT, doing TEXT, cause TEXT
) STRICT;
"""
EFFECTS = (
    Effect("lab_resource", "state", "resource_id", "NEW.state"),
    Effect("lab_request", "state", "request_id", "NEW.state"),
    Effect("lab_usage", "state", "usage_id", "NEW.state || ' ' || NEW.minutes"),
)
RESOURCES: Mapping[str, str] = {
    "resource": "lab.resource-changed",
    "access-request": "lab.access-requested",
    "access-decision": "lab.access-decided",
    "usage": "lab.usage-recorded",
}

WISHES = 7  # of a member for resources that are not given away by lot
LOTS = 3  # of a member for those that are
EACH_CAUSE = 2  # of the wishes at most so many for placements, for enrollments and for projects
BY_LOT_SHARE = 0.5  # of the instruments
URGENT_S = 8  # an urgent wish is of no use later; it takes the ledger's clock to close it
NOBODY_ANSWERS_S = 60
DENIED_SHARE = 0.07
NARROWED_SHARE = 0.1
CANCELLED_SHARE = 0.06
MOVED_SHARE = 0.1
LOT_RETURNED_SHARE = 0.08
KEPT_WAITING_SHARE = 0.5
BROKEN_SHARE = 0.25
REPAIRED_SHARE = 0.6
NO_SHOW_SHARE = 0.06
STILL_TO_COME_SHARE = 0.04
CORRECTED_SHARE = 0.15
VALIDATED_SHARE = 0.7

# Days ahead and hours. No two members share a time of a resource that is not given away by lot.
_FIRST_DAY = 7
_HOURS = (8, 10, 14, 16)
_WINDOW = 120  # minutes from one of the hours to the next
_LOT_TIMES = ((18, 9), (18, 10), (19, 14))  # the first two overlap

# (state, step) -> state of a request, as in the ledger. Source: NEMO reservations, CERIF decision.
_STEPS: Mapping[tuple[str, str], str] = {
    ("requested", "approved"): "approved",
    ("waitlisted", "approved"): "approved",
    ("requested", "denied"): "denied",
    ("waitlisted", "denied"): "denied",
    ("requested", "waitlisted"): "waitlisted",
    ("requested", "cancelled"): "cancelled",
    ("waitlisted", "cancelled"): "cancelled",
    ("approved", "cancelled"): "cancelled",
    ("approved", "cancelled_by_owner"): "cancelled",
    ("approved", "no_show"): "no_show",
}


# Resources


def register(desk: Desk) -> None:
    """Open two to four resources to the others."""
    place = sorted(desk.members).index(desk.code)
    for item in shapes.chosen(desk.seed, desk.site, place):
        resource_id = make_id(str(desk.seed), desk.code, "resource", item.en)
        others = sorted(desk.others(), key=lambda member: desk.draw("joint", resource_id, member))
        room = 101 + int(desk.draw("room", resource_id) * 400)
        since = desk.day(-400 - int(desk.draw("age", resource_id) * 2000))
        body = shapes.resource(
            item,
            resource_id,
            desk.code,
            sorted(others[:2]) if item.kind == "joint_lab" else [],
            f"{desk.site.city}校区{room}",
            since.isoformat(),
        )
        desk.db.execute(
            "INSERT INTO lab_resource VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, NULL, NULL)",
            (
                resource_id,
                desk.code,
                item.kind,
                item.room_for,
                item.shortest,
                item.longest or None,
                item.per_day or None,
                item.qualification,
                " ".join(item.states[1:]),
            ),
        )
        _tell(desk, body, None)


def _tell(desk: Desk, body: Body, because: str | None) -> None:
    desk.publish(
        "resource",
        body["resourceId"],
        body,
        step=body["state"],
        to=desk.others(),
        because=because,
    )


def _resource_settled(desk: Desk, change: Change, settled: Settled) -> None:
    """On to the next state that lies ahead."""
    if not settled.applied:
        return
    row = desk.store.one("SELECT ahead FROM lab_resource WHERE resource_id = ?", change.subject)
    step, _, rest = (row["ahead"] if row else "").partition(" ")
    desk.db.execute(
        "UPDATE lab_resource SET state = ?, body = ?, ahead = ?, cause = ? WHERE resource_id = ?",
        (change.step, change.body, rest, change.event_id, change.subject),
    )
    if step:
        _tell(desk, change.data | {"state": step}, change.event_id)


def _resource_received(desk: Desk, told: Received) -> None:
    said = told.record
    policy = said["policy"]
    desk.db.execute(
        "INSERT INTO lab_resource VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, '', ?, ?) ON CONFLICT (resource_id) DO UPDATE SET "
        "shortest = excluded.shortest, longest = excluded.longest, per_day = excluded.per_day, "
        "qualification = excluded.qualification, state = excluded.state, cause = excluded.cause",
        (
            said["resource_id"],
            said["owner"],
            said["kind"],
            said["capacity"],
            policy["min_minutes"] or 1,
            policy["max_minutes"],
            policy["minutes_per_day"],
            policy["qualification"],
            said["status"],
            told.event_id,
        ),
    )


def _by_lot(desk: Desk, resource: sqlite3.Row) -> bool:
    """Whether a resource is given away by lot; everyone knows which are."""
    return (
        resource["kind"] == "instrument"
        and desk.draw("by-lot", resource["resource_id"]) < BY_LOT_SHARE
    )


# Wishes of our people


@dataclass(frozen=True, slots=True)
class _Cause:
    """For whom and within what somebody asks, and whose resources fit."""

    requester_id: str
    owners: frozenset[str]
    project_id: str | None = None
    enrollment_id: str | None = None
    placement_id: str | None = None


def ask(desk: Desk) -> None:
    """Ask for time on others' resources: within enrollments, projects and placements of ours, or without."""
    there = desk.store.all(
        "SELECT * FROM lab_resource WHERE owner != ? AND state = 'operational' ORDER BY resource_id",
        desk.code,
    )
    lots = [row for row in there if _by_lot(desk, row)]
    lots.sort(key=lambda row: desk.draw("lot-wish", desk.code, row["resource_id"]))
    free = [row for row in there if not _by_lot(desk, row)]
    free.sort(key=lambda row: desk.draw("lab-wish", desk.code, row["resource_id"]))
    causes = _causes(desk)
    asked = 0
    for cause in causes:
        resource = next((row for row in free if row["owner"] in cause.owners), None)
        if resource is None or asked == WISHES:
            continue
        free.remove(resource)
        _request(desk, _wanted(desk, resource, cause, _own_time(desk, resource), "own"))
        asked += 1
    anyone = causes[-1]
    for resource in lots[:LOTS]:
        _request(desk, _wanted(desk, resource, anyone, _lot_time(desk, resource), "lot"))
    if free:
        wanted = _wanted(desk, free[0], anyone, _own_time(desk, free[0]), "urgent")
        soon = desk.now() + timedelta(seconds=URGENT_S)
        _request(desk, replace(wanted, answer_by=soon), urgent=True)


def _causes(desk: Desk) -> list[_Cause]:
    """What our people need a laboratory for, the most particular first, and in the end for nothing that is known."""
    return [
        *_placements(desk),
        *_enrollments(desk),
        *_projects(desk),
        *(_Cause(_person(desk, str(i)), frozenset(desk.others())) for i in range(WISHES)),
    ]


def _enrollments(desk: Desk) -> Iterator[_Cause]:
    rows = desk.store.all(
        "SELECT * FROM enrollment WHERE home = ? AND state IN ('associated', 'active') AND doing IS NULL ORDER BY 1",
        desk.code,
    )
    rows.sort(key=lambda row: desk.draw("lab-study", row["enrollment_id"]))
    for row in rows[:EACH_CAUSE]:
        yield _Cause(
            row["student_id"], frozenset({row["host"]}), enrollment_id=row["enrollment_id"]
        )


def _projects(desk: Desk) -> Iterator[_Cause]:
    """Projects of ours in which we have somebody; instruments of the other partners."""
    rows = desk.store.all(
        "SELECT project_id, members, min(person_id) AS person_id FROM project JOIN project_member USING (project_id) "
        "WHERE status IN ('funded', 'active') AND employer = ? AND state = 'active' GROUP BY project_id ORDER BY 1",
        desk.code,
    )
    rows.sort(key=lambda row: desk.draw("lab-project", desk.code, row["project_id"]))
    for row in rows[:EACH_CAUSE]:
        partners = frozenset(row["members"].split(",")) - {desk.code}
        yield _Cause(row["person_id"], partners, project_id=row["project_id"])


def _placements(desk: Desk) -> Iterator[_Cause]:
    rows = desk.store.all(
        "SELECT placement_id, host, json_extract(body, '$.persons[0]') AS student_id FROM placement "
        "WHERE home = ? AND state IN ('approved', 'ongoing', 'mid_checked') AND doing IS NULL ORDER BY 1",
        desk.code,
    )
    rows.sort(key=lambda row: desk.draw("lab-placement", row["placement_id"]))
    for row in rows[:EACH_CAUSE]:
        yield _Cause(row["student_id"], frozenset({row["host"]}), placement_id=row["placement_id"])


def _person(desk: Desk, number: str) -> str:
    people = desk.store.all("SELECT staff_id FROM staff ORDER BY 1")
    return str(people[int(desk.draw("lab-person", desk.code, number) * len(people))][0])


def _own_time(desk: Desk, resource: sqlite3.Row, *, second: bool = False) -> tuple[int, int]:
    """The time of a resource that is ours when we ask for it, and another one in case we move."""
    resource_id = resource["resource_id"]
    order = sorted(desk.members, key=lambda member: desk.draw("turn", resource_id, member))
    turn = order.index(desk.code) + (len(order) if second else 0)
    day, hour = divmod(turn, len(_HOURS))
    length = (60, 90, 120)[int(desk.draw("length", resource_id, desk.code) * 3)]
    return _time(desk, resource, _FIRST_DAY + day, _HOURS[hour], length)


def _lot_time(desk: Desk, resource: sqlite3.Row) -> tuple[int, int]:
    point = desk.draw("lot-time", resource["resource_id"], desk.code)
    return _time(desk, resource, *_LOT_TIMES[int(point * len(_LOT_TIMES))], _WINDOW)


def _time(desk: Desk, resource: sqlite3.Row, day: int, hour: int, length: int) -> tuple[int, int]:
    """A time so many days ahead, of a length in minutes that the owner's limits allow."""
    limits = [limit for limit in (resource["longest"], resource["per_day"]) if limit]
    start = datetime.combine(desk.day(day), time(hour), SHANGHAI)
    start_ms = round(start.timestamp() * 1000)
    return start_ms, shapes.later(
        start_ms, min(max(length, resource["shortest"]), *limits, _WINDOW)
    )


def _wanted(
    desk: Desk, resource: sqlite3.Row, cause: _Cause, span: tuple[int, int], what: str
) -> Booking:
    request_id = make_id(str(desk.seed), desk.code, "lab", resource["resource_id"], what)
    answer_by = None
    if desk.draw("answer-by", request_id) < 0.3:
        answer_by = datetime.combine(desk.day(4), time(18), SHANGHAI)
    return Booking(
        request_id,
        resource["resource_id"],
        resource["owner"],
        desk.code,
        cause.requester_id,
        *span,
        resource["qualification"],
        cause.project_id,
        cause.enrollment_id,
        cause.placement_id,
        answer_by=answer_by,
        remote=desk.draw("remote", request_id) < 0.2,
    )


def _request(
    desk: Desk, wanted: Booking, *, urgent: bool = False, because: str | None = None
) -> None:
    body = shapes.request(wanted)
    event_id = desk.publish(
        "access-request",
        wanted.request_id,
        body,
        step="requested",
        to=[wanted.owner],
        case=wanted.request_id,
        because=because,
    )
    desk.db.execute(
        "INSERT INTO lab_request VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, NULL, 'requested', NULL)",
        (
            wanted.request_id,
            wanted.resource_id,
            wanted.home,
            wanted.owner,
            wanted.start_ms,
            wanted.end_ms,
            int(urgent),
            json.dumps(body, ensure_ascii=False),
            wanted.replaces,
            event_id,
        ),
    )


def _request_settled(desk: Desk, change: Change, settled: Settled) -> None:
    if settled.applied:
        desk.db.execute(
            "UPDATE lab_request SET state = 'requested', doing = NULL, cause = ? WHERE request_id = ?",
            (change.event_id, change.subject),
        )
    else:
        desk.db.execute(
            "UPDATE lab_request SET doing = NULL WHERE request_id = ?", (change.subject,)
        )


def _reconsider(desk: Desk, row: sqlite3.Row, step: str, because: str) -> None:
    """Some of our people give back what they got or wait for, some would rather come another day."""
    resource = _resource(desk, row["resource_id"])
    chance = desk.draw("reconsider", row["request_id"])
    if step == "waitlisted" and chance < LOT_RETURNED_SHARE:
        _decide(desk, row, "cancelled", "user_request", because=because)
    elif step == "approved" and not _by_lot(desk, resource) and row["replaces"] is None:
        if chance < CANCELLED_SHARE:
            _decide(desk, row, "cancelled", "user_request", because=because)
        elif chance < CANCELLED_SHARE + MOVED_SHARE:
            _move(desk, row, resource, because)


def _move(desk: Desk, row: sqlite3.Row, resource: sqlite3.Row, because: str) -> None:
    """A booking is not moved; a new one takes its place when it is approved."""
    old = json.loads(row["body"])
    start_ms, end_ms = _own_time(desk, resource, second=True)
    moved = Booking(
        make_id("lab-moved", row["request_id"]),
        row["resource_id"],
        row["owner"],
        desk.code,
        old["personId"],
        start_ms,
        end_ms,
        old["qualification"],
        old["projectId"],
        old["associationId"],
        old["placementId"],
        replaces=row["request_id"],
        remote=old["remote"],
    )
    _request(desk, moved, because=because)


# Answers to others, and what becomes of bookings


def _request_received(desk: Desk, told: Received) -> None:
    """Answer at once, except what is given away by lot, and what is so urgent that nobody reads it in time."""
    said = told.record
    asked, by = said["envelope"]["occurred_at"], said["decide_by"]
    urgent = by is not None and (shapes.millis(by) - shapes.millis(asked) < NOBODY_ANSWERS_S * 1000)
    desk.db.execute(
        "INSERT INTO lab_request VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, 'requested', NULL, ?)",
        (
            said["request_id"],
            said["resource_id"],
            said["home"],
            said["owner"],
            shapes.millis(said["start"]),
            shapes.millis(said["end"]),
            int(urgent),
            said["replaces_request_id"],
            said["envelope"]["aggregate_version"],
            told.event_id,
            told.event_id,
        ),
    )
    if not urgent:
        _answer(desk, _booking(desk, said["request_id"]))


def _answer(desk: Desk, row: sqlite3.Row) -> None:
    resource = _resource(desk, row["resource_id"])
    closed = desk.store.setting("lots_drawn")
    if _by_lot(desk, resource) and not closed:
        _decide(desk, row, "waitlisted", "in_use")
    elif row["replaces"] is None and desk.draw("turned-down", row["request_id"]) < DENIED_SHARE:
        _decide(desk, row, "denied", "training_needed")
    elif _has_room(desk, row, resource):
        _decide(desk, row, "approved", None, slot=_narrowed(desk, row))
    else:
        _decide(desk, row, "denied" if closed else "waitlisted", "slot_taken")


def _narrowed(desk: Desk, row: sqlite3.Row) -> tuple[int, int] | None:
    """Now and then half an hour less than was asked for."""
    length = shapes.minutes(row["start_ms"], row["end_ms"])
    if length < 90 or desk.draw("narrow", row["request_id"]) >= NARROWED_SHARE:
        return None
    return row["start_ms"], shapes.later(row["end_ms"], -30)


def _has_room(desk: Desk, row: sqlite3.Row, resource: sqlite3.Row) -> bool:
    """Whether our calendar has room at every moment; approvals under way are in it already."""
    taken = desk.store.all(
        "SELECT start_ms, end_ms FROM lab_request WHERE resource_id = ? AND request_id NOT IN (?, ?) "
        "AND (state IN ('approved', 'used') OR doing = 'approved') AND start_ms < ? AND end_ms > ?",
        row["resource_id"],
        row["request_id"],
        row["replaces"] or "",
        row["end_ms"],
        row["start_ms"],
    )
    # Most are there at once when one of them has just begun.
    begins = {row["start_ms"], *(max(slot["start_ms"], row["start_ms"]) for slot in taken)}
    most: int = max(sum(slot["start_ms"] <= at < slot["end_ms"] for slot in taken) for at in begins)
    return most < int(resource["capacity"])


def _decide(
    desk: Desk,
    row: sqlite3.Row,
    step: str,
    reason: str | None,
    *,
    slot: tuple[int, int] | None = None,
    because: str | None = None,
    on_version: int | None = None,
    mark: bool = True,
) -> None:
    """Publish a decision, an answer on the newest version of the request that we know."""
    answers = step in ("approved", "denied", "waitlisted")
    desk.publish(
        "access-decision",
        row["request_id"],
        shapes.decision(row, step, reason, slot),
        step=step,
        to=[row["home"], row["owner"]],
        decides=(on_version or row["home_version"]) if answers else None,
        case=row["request_id"],
        because=because or row["cause"] or row["request_event"],
    )
    if mark:
        desk.db.execute(
            "UPDATE lab_request SET doing = ? WHERE request_id = ?", (step, row["request_id"])
        )


def _decision_settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Go on from the ledger's word. An approval that it refused for want of room becomes a denial."""
    row = _booking(desk, change.subject)
    desk.db.execute(
        "UPDATE lab_request SET doing = NULL WHERE request_id = ? AND doing = ?",
        (change.subject, change.step),
    )
    if settled.applied:
        body = change.data
        start, end = body["startDateTime"], body["endDateTime"]
        _walk(desk, row, change.step, change.event_id, start, end)
        if change.step == "approved" and desk.store.setting("lots_drawn"):
            _use(desk, _booking(desk, change.subject))
    elif (
        change.step == "approved"
        and row["doing"] == "approved"
        and settled.reason != "STALE_VERSION"
        and row["state"] in ("requested", "waitlisted")
    ):
        _decide(desk, row, "denied", "slot_taken")


def _decision_received(desk: Desk, told: Received) -> None:
    said = told.record
    row = _booking(desk, said["request_id"])
    step = said["decision"]
    _walk(desk, row, step, told.event_id, said["start"], said["end"])
    if row["home"] == desk.code:
        _reconsider(desk, row, step, told.event_id)
    else:
        desk.db.execute(
            "UPDATE lab_request SET home_version = ? WHERE request_id = ?",
            (said["envelope"]["aggregate_version"], row["request_id"]),
        )


def _walk(
    desk: Desk, row: sqlite3.Row, step: str, event_id: str, start: str | None, end: str | None
) -> None:
    """Take a step that the ledger applied. Raises `Contradiction` when it is not possible from here."""
    reached = _STEPS.get((row["state"], step))
    if reached is None:
        raise Contradiction(
            f"request {row['request_id']} is {row['state']} here, the ledger applied {step}; "
            "an earlier message is missing, deliver it first"
        )
    desk.db.execute(
        "UPDATE lab_request SET state = ?, start_ms = ?, end_ms = ?, cause = ? WHERE request_id = ?",
        (
            reached,
            shapes.millis(start) if start else row["start_ms"],
            shapes.millis(end) if end else row["end_ms"],
            event_id,
            row["request_id"],
        ),
    )
    if step == "approved" and row["replaces"]:
        desk.db.execute(
            "UPDATE lab_request SET state = 'cancelled', cause = ? WHERE request_id = ? "
            "AND state IN ('requested', 'waitlisted', 'approved')",
            (event_id, row["replaces"]),
        )


def _request_flagged(desk: Desk, told: Flagged) -> None:
    """A request that nobody answered in time is over at both universities. Other flags are for people."""
    if told.flag == "expired":
        row = _booking(desk, told.case_id)
        desk.db.execute(
            "UPDATE lab_request SET state = ?, cause = ? WHERE request_id = ?",
            (told.state, told.event_id, row["request_id"]),
        )


def _booking(desk: Desk, request_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM lab_request WHERE request_id = ?", request_id)
    if row is None:
        raise Contradiction(
            f"request {request_id} is not here; its lab.access-requested should have come before"
        )
    return row


def _resource(desk: Desk, resource_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM lab_resource WHERE resource_id = ?", resource_id)
    if row is None:
        raise Contradiction(
            f"resource {resource_id} is not here; its lab.resource-changed should have come before"
        )
    return row


# Use


def use(desk: Desk) -> None:
    """Something breaks down, the lots are drawn, and the time that was booked is used. Slots are those to come."""
    desk.store.set("lots_drawn", "1")
    _break_down(desk)
    _draw_lots(desk)
    for row in _ours(desk, "approved"):
        _use(desk, row)
    _show_around(desk)


def _ours(desk: Desk, state: str) -> list[sqlite3.Row]:
    """Requests for our resources in a state, with no step of ours under way."""
    return desk.store.all(
        "SELECT * FROM lab_request WHERE owner = ? AND state = ? AND doing IS NULL ORDER BY 1",
        desk.code,
        state,
    )


def _break_down(desk: Desk) -> None:
    """Some resources cannot be used at a time that was booked: out of service now, or only then."""
    booked: dict[str, sqlite3.Row] = {}
    for row in _ours(desk, "approved"):
        booked.setdefault(row["resource_id"], row)
    for resource_id, first in booked.items():
        if desk.draw("broken", resource_id) >= BROKEN_SHARE:
            continue
        down = desk.draw("down", resource_id) < 0.5
        if down and desk.draw("repaired", resource_id) < REPAIRED_SHARE:
            desk.db.execute(
                "UPDATE lab_resource SET ahead = 'operational' WHERE resource_id = ?",
                (resource_id,),
            )
        body = json.loads(_resource(desk, resource_id)["body"])
        start_ms, end_ms = first["start_ms"], first["end_ms"]
        _tell(
            desk,
            shapes.with_outage(body, start_ms, end_ms, "outage" if down else "operational"),
            first["cause"],
        )
        for row in _ours(desk, "approved"):
            if (
                row["resource_id"] == resource_id
                and row["start_ms"] < end_ms
                and start_ms < row["end_ms"]
            ):
                _decide(desk, row, "cancelled_by_owner", "outage")


def _draw_lots(desk: Desk) -> None:
    """Whoever is drawn first gets the time; the others are denied, or wait on in case somebody stays away.

    A sloppy office promises one time too many; the ledger refuses, and the office denies.
    """
    waiting = _ours(desk, "waitlisted")
    waiting.sort(key=lambda row: desk.draw("lot", row["request_id"]))
    careless = rules.is_sloppy(desk.seed, desk.code)
    for row in waiting:
        if _has_room(desk, row, _resource(desk, row["resource_id"])):
            _decide(desk, row, "approved", None)
        elif careless:
            careless = False
            _decide(desk, row, "approved", None)
        elif desk.draw("kept-waiting", row["request_id"]) >= KEPT_WAITING_SHARE:
            _decide(desk, row, "denied", "slot_taken")


def _use(desk: Desk, row: sqlite3.Row) -> None:
    """The time was used, or nobody came, or it is so far ahead that nothing can be said."""
    chance = desk.draw("use", row["request_id"])
    if chance < NO_SHOW_SHARE:
        _decide(desk, row, "no_show", "missed")
    elif chance >= NO_SHOW_SHARE + STILL_TO_COME_SHARE:
        end_ms = shapes.later(row["end_ms"], _overrun(desk, row["request_id"]))
        usage_id = make_id(str(desk.seed), "lab-usage", row["request_id"])
        body = _measured(desk, usage_id, row, row["start_ms"], end_ms)
        body["validated"] = desk.draw("checked-at-once", usage_id) < 0.1
        _record(desk, body, row["cause"])
        desk.db.execute(
            "UPDATE lab_request SET doing = 'used' WHERE request_id = ?", (row["request_id"],)
        )


def _overrun(desk: Desk, request_id: str) -> int:
    """Minutes longer (or, below zero, shorter) than what was booked."""
    chance = desk.draw("overrun", request_id)
    if chance < 0.15:
        return 10 + int(chance / 0.15 * 50)
    return -15 if chance > 0.8 else 0


def _show_around(desk: Desk) -> None:
    """People of another member are trained, without a booking and free of charge."""
    resource = desk.store.one(
        "SELECT * FROM lab_resource WHERE owner = ? AND state = 'operational' ORDER BY resource_id LIMIT 1",
        desk.code,
    )
    guests = sorted(desk.others(), key=lambda member: desk.draw("guest", desk.code, member))
    if resource is None or not guests:
        return
    start_ms, end_ms = _time(desk, resource, _FIRST_DAY - 1, 12, 45)
    nobody = {
        "resource_id": resource["resource_id"],
        "owner": desk.code,
        "home": guests[0],
        "request_id": None,
    }
    usage_id = make_id(str(desk.seed), "lab-training", resource["resource_id"])
    operator = _person(desk, usage_id)
    _record(desk, shapes.usage(usage_id, nobody, start_ms, end_ms, operator, training=True), None)


def _measured(desk: Desk, usage_id: str, row: sqlite3.Row, start_ms: int, end_ms: int) -> Body:
    """A record of use with what is charged for it."""
    resource = json.loads(_resource(desk, row["resource_id"])["body"])
    training = desk.draw("training", usage_id) < 0.1
    samples = None
    if resource["instrument"]:
        samples = 1 + int(desk.draw("samples", usage_id) * 12)
    minutes = shapes.minutes(start_ms, end_ms)
    charge = shapes.charge(resource["price"], minutes, samples)
    waived = charge is not None and desk.draw("waived", usage_id) < 0.1
    operator = _person(desk, usage_id)
    return shapes.usage(usage_id, row, start_ms, end_ms, operator, training=training) | {
        "samples": samples,
        "charge": charge,
        "waived": waived,
        "waiveReason": "联盟合作，免收费用" if waived else None,
    }


def _record(desk: Desk, body: Body, because: str | None) -> None:
    """Publish a record of use that was not said yet."""
    usage_id = body["usageId"]
    start_ms, end_ms = shapes.millis(body["startDateTime"]), shapes.millis(body["endDateTime"])
    desk.db.execute(
        "INSERT INTO lab_usage VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
        (
            usage_id,
            body["bookingId"],
            desk.code,
            body["homeOrganization"],
            shapes.minutes(start_ms, end_ms),
            body["supersedes"],
            json.dumps(body, ensure_ascii=False),
        ),
    )
    _say(desk, body, because)


def _say(desk: Desk, body: Body, because: str | None) -> None:
    step = "validated" if body["validated"] else "recorded"
    desk.publish(
        "usage",
        body["usageId"],
        body,
        step=step,
        to=[body["homeOrganization"]],
        case=body["bookingId"],
        because=because,
    )
    desk.db.execute("UPDATE lab_usage SET doing = ? WHERE usage_id = ?", (step, body["usageId"]))


def _usage_settled(desk: Desk, change: Change, settled: Settled) -> None:
    """A new record is checked: mended by another one, made final, or left for later."""
    row = desk.store.one("SELECT * FROM lab_usage WHERE usage_id = ?", change.subject)
    if row is None:
        raise Contradiction(f"record of use {change.subject} is not here; restore it from a backup")
    if not settled.applied:
        desk.db.execute("UPDATE lab_usage SET doing = NULL WHERE usage_id = ?", (change.subject,))
        return
    desk.db.execute(
        "UPDATE lab_usage SET doing = NULL, state = ?, cause = ? WHERE usage_id = ?",
        (change.step, change.event_id, change.subject),
    )
    if row["state"] is not None:
        return
    _close(desk, row, change.event_id)
    chance = desk.draw("checked", change.subject)
    if row["supersedes"] is None and row["request_id"] and chance < CORRECTED_SHARE:
        _correct(desk, change)
    elif change.step == "recorded" and chance < CORRECTED_SHARE + VALIDATED_SHARE:
        _say(desk, change.data | {"validated": True}, change.event_id)


def _correct(desk: Desk, change: Change) -> None:
    """The clock was read wrongly: a quarter of an hour more, charged by what was noted before."""
    wrong = change.data
    row = _booking(desk, wrong["bookingId"])
    end_ms = shapes.later(shapes.millis(wrong["endDateTime"]), 15)
    usage_id = make_id("lab-usage-again", change.subject)
    start_ms = shapes.millis(wrong["startDateTime"])
    body = _measured(desk, usage_id, row, start_ms, end_ms) | {"supersedes": change.subject}
    _record(desk, body, change.event_id)


def _usage_received(desk: Desk, told: Received) -> None:
    said = told.record
    usage_id = said["usage_id"]
    known = desk.store.one("SELECT 1 FROM lab_usage WHERE usage_id = ?", usage_id)
    state = "validated" if said["validated"] else "recorded"
    if known:
        desk.db.execute(
            "UPDATE lab_usage SET state = ?, cause = ? WHERE usage_id = ?",
            (state, told.event_id, usage_id),
        )
        return
    row = {
        "usage_id": usage_id,
        "request_id": said["request_id"],
        "owner": said["owner"],
        "home": said["home"],
        "minutes": shapes.minutes(shapes.millis(said["start"]), shapes.millis(said["end"])),
        "supersedes": said["supersedes_usage_id"],
        "state": state,
        "cause": told.event_id,
    }
    desk.db.execute(
        "INSERT INTO lab_usage VALUES (:usage_id, :request_id, :owner, :home, :minutes, :supersedes, NULL, :state, NULL, "
        ":cause)",
        row,
    )
    _close(desk, row, told.event_id)


def _close(desk: Desk, row: sqlite3.Row | Mapping[str, object], event_id: str) -> None:
    """What a new record ends: the booking it is of, or the record it mends."""
    if row["supersedes"]:
        desk.db.execute(
            "UPDATE lab_usage SET state = 'superseded', cause = ? WHERE usage_id = ?",
            (event_id, row["supersedes"]),
        )
    elif row["request_id"]:
        desk.db.execute(
            "UPDATE lab_request SET state = 'used', doing = NULL, cause = ? WHERE request_id = ?",
            (event_id, row["request_id"]),
        )


# Mistakes


def err(desk: Desk) -> None:
    """Mistakes: a time given twice, an answer to what was taken back since, too long a time, use under another's booking."""
    for row in _ours(desk, "waitlisted"):
        if not _has_room(desk, row, _resource(desk, row["resource_id"])):
            _decide(desk, row, "approved", None, mark=False)
            break
    gone = desk.store.one(
        "SELECT * FROM lab_request WHERE owner = ? AND state = 'cancelled' AND home_version > 1 ORDER BY 1",
        desk.code,
    )
    if gone:
        _decide(desk, gone, "approved", None, on_version=1, mark=False)
    if sorted(desk.members).index(desk.code) % 2:
        _ask_too_much(desk)
    else:
        _use_anothers(desk)


def _ask_too_much(desk: Desk) -> None:
    there = desk.store.all(
        "SELECT * FROM lab_resource WHERE owner != ? AND state = 'operational' AND longest IS NOT NULL",
        desk.code,
    )
    there.sort(key=lambda row: desk.draw("too-long", desk.code, row["resource_id"]))
    for resource in there[:1]:
        start_ms, _ = _time(desk, resource, _FIRST_DAY, 6, 60)
        span = (start_ms, shapes.later(start_ms, resource["longest"] + 60))
        cause = _Cause(_person(desk, "long"), frozenset())
        _request(desk, _wanted(desk, resource, cause, span, "too-long"))


def _use_anothers(desk: Desk) -> None:
    used = desk.store.one(
        "SELECT * FROM lab_request WHERE owner = ? AND state = 'used' ORDER BY 1", desk.code
    )
    strangers = [member for member in desk.others() if used and member != used["home"]]
    if used and strangers:
        usage_id = make_id("lab-usage-wrong", used["request_id"])
        body = _measured(desk, usage_id, used, used["start_ms"], used["end_ms"])
        _record(desk, body | {"homeOrganization": strangers[0]}, used["cause"])


def _cases(desk: Desk) -> list[Case]:
    """Our resources, requests by us and to us, and use of ours and by us."""
    rows = desk.store.all(
        "SELECT 'resource' AS kind, resource_id AS id, state AS summary FROM lab_resource "
        "WHERE owner = ? AND state IS NOT NULL "
        "UNION ALL SELECT 'access', request_id, state FROM lab_request WHERE state IS NOT NULL "
        "UNION ALL SELECT 'usage', usage_id, state || ', ' || minutes || ' minutes' FROM lab_usage "
        "WHERE state IS NOT NULL",
        desk.code,
    )
    return [{"kind": row["kind"], "id": row["id"], "summary": row["summary"]} for row in rows]


def work(desk: Desk) -> int:
    """Requests that are answered at once, and urgent ones that wait for the ledger's clock."""
    return desk.store.count(
        "SELECT count(*) FROM lab_request WHERE state = 'requested' AND doing IS NULL AND (urgent OR owner = ?)",
        desk.code,
    )


PHASES: Mapping[str, Phase] = {
    "resources": register,
    "access": ask,
    "usage": use,
    "mistakes": err,
}
RECEIVES: Mapping[str, Receive] = {
    "lab.resource-changed": _resource_received,
    "lab.access-requested": _request_received,
    "lab.access-decided": _decision_received,
    "lab.usage-recorded": _usage_received,
}
SETTLES: Mapping[str, Settle] = {
    "resource": _resource_settled,
    "access-request": _request_settled,
    "access-decision": _decision_settled,
    "usage": _usage_settled,
}
FLAGS: Mapping[str, Flag] = {"access": _request_flagged}
CASES = _cases
