"""Academic affairs, catalog: the campus's profile, its courses, and the places it opens to other members."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from connectors.sandbox import shapes
from connectors.sandbox.desk import Desk, Holdings, Phase, Receive, Received, Settle, Settled
from connectors.sandbox.store import Change, Effect

TABLES = """
CREATE TABLE course (
  course_id TEXT PRIMARY KEY, code TEXT NOT NULL, title TEXT NOT NULL, scheme TEXT NOT NULL,
  credit_milli INTEGER NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX course_title ON course (title);

-- Own offerings. body: as entered; in_force: as the ledger holds it.
CREATE TABLE offering (
  offering_id TEXT PRIMARY KEY, course_id TEXT NOT NULL, body TEXT NOT NULL, in_force TEXT, capacity INTEGER,
  status TEXT, cause TEXT
) STRICT;
-- Other members' offerings and profiles, as told by the alliance.
CREATE TABLE catalogue (
  offering_id TEXT PRIMARY KEY, host TEXT NOT NULL, title TEXT NOT NULL, start_date TEXT NOT NULL, mode TEXT NOT NULL,
  status TEXT NOT NULL, capacity INTEGER NOT NULL, cause TEXT
) STRICT;
CREATE TABLE partner (code TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL, cause TEXT) STRICT;
"""
EFFECTS = (
    Effect("offering", "capacity, status", "offering_id", "NEW.status || ' ' || NEW.capacity"),
    Effect("catalogue", "status, capacity", "offering_id", "NEW.status || ' ' || NEW.capacity"),
    Effect("partner", "status", "code", "NEW.status"),
)
RESOURCES: Mapping[str, str] = {
    "profile": "member.profile-changed",
    "offering": "offering.changed",
}

RAISED_SHARE = 0.3  # of the offerings with more requests than seats


class Unfit(Exception):
    """An object put to the campus lacks something; the message says what."""


def publish_profile(desk: Desk) -> None:
    """Tell the alliance who we are."""
    events = sorted(set(desk.store.events.values()))
    body = shapes.profile(desk.site, events, events)
    desk.publish("profile", desk.code, body, step="active", to=desk.others())


def publish_offerings(desk: Desk) -> None:
    """Open every offering that was not published yet."""
    rows = desk.store.all(
        "SELECT offering_id, body FROM offering WHERE offering_id NOT IN (SELECT subject FROM change) ORDER BY 1"
    )
    for row in rows:
        publish_offering(desk, json.loads(row["body"]))


def publish_offering(desk: Desk, body: Mapping[str, Any]) -> None:
    """Tell of an offering as it now stands, with its course in full."""
    course = desk.store.one("SELECT body FROM course WHERE course_id = ?", body["course"])
    if course is None:
        raise Unfit(
            f"offering {body['offeringId']} is of course {body['course']}, which is not here"
        )
    whole = {**body, "course": json.loads(course["body"])}
    desk.publish("offering", body["offeringId"], whole, step="changed", to=desk.others())


def raise_capacity(desk: Desk) -> None:
    """Some hosts find a bigger room where more students asked than there are seats."""
    rows = desk.store.all(
        "SELECT o.offering_id, o.body, o.capacity, count(*) AS asked FROM offering o "
        "JOIN enrollment e USING (offering_id) WHERE e.host = ? AND e.state = 'pending' "
        "GROUP BY o.offering_id HAVING asked > o.capacity ORDER BY 1",
        desk.code,
    )
    for row in rows:
        if desk.draw("raise", row["offering_id"]) < RAISED_SHARE:
            change_capacity(desk, row["body"], row["capacity"] + 3)


def change_capacity(desk: Desk, body: str, capacity: int) -> None:
    """Enter another number of seats for an offering and publish it."""
    changed = {**json.loads(body), "maxNumberStudents": capacity}
    _enter(desk, changed)
    publish_offering(desk, changed)


def shrink_too_far(desk: Desk) -> None:
    """A mistake: fewer seats than are taken. The ledger refuses it."""
    row = desk.store.one(
        "SELECT o.body, count(*) AS taken FROM offering o JOIN seat USING (offering_id) WHERE seat.host = ? "
        "GROUP BY o.offering_id HAVING taken > 1 ORDER BY o.offering_id LIMIT 1",
        desk.code,
    )
    if row:
        change_capacity(desk, row["body"], 1)


def put_course(desk: Desk, body: Mapping[str, Any]) -> bool:
    """Enter or change a course; published offerings of it are published anew. False when nothing changed.

    Raises `Unfit`.
    """
    for name in ("courseId", "primaryCode", "name", "studyLoad"):
        if not body.get(name):
            raise Unfit(f"course has no {name}; send an Open Education API Course")
    course_id = body["courseId"]
    text = json.dumps(body, ensure_ascii=False)
    known = desk.store.one("SELECT body FROM course WHERE course_id = ?", course_id)
    if known and known["body"] == text:
        return False
    load = body["studyLoad"]
    desk.db.execute(
        "INSERT INTO course VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (course_id) DO UPDATE SET code = excluded.code, "
        "title = excluded.title, scheme = excluded.scheme, credit_milli = excluded.credit_milli, body = excluded.body",
        (
            course_id,
            body["primaryCode"]["code"],
            body["name"][0]["value"],
            shapes.SCHEMES.get(load["studyLoadUnit"], load["studyLoadUnit"]),
            round(load["value"] * 1000),
            text,
        ),
    )
    published = desk.store.all(
        "SELECT body FROM offering WHERE course_id = ? AND offering_id IN (SELECT subject FROM change)",
        course_id,
    )
    for row in published:
        publish_offering(desk, json.loads(row["body"]))
    return True


def put_offering(desk: Desk, body: Mapping[str, Any]) -> bool:
    """Enter or change an offering and publish it. False when nothing changed. Raises `Unfit`."""
    for name in ("offeringId", "name", "startDate", "maxNumberStudents"):
        if not body.get(name):
            raise Unfit(f"offering has no {name}; send an Open Education API CourseOffering")
    course = body.get("course")
    course_id = course.get("courseId") if isinstance(course, dict) else course
    if desk.store.one("SELECT 1 FROM course WHERE course_id = ?", course_id) is None:
        raise Unfit(
            f"offering is of course {course_id!r}, which is not here; PUT /courses/{course_id} first"
        )
    entered = {**body, "course": course_id}
    known = desk.store.one("SELECT body FROM offering WHERE offering_id = ?", body["offeringId"])
    if known and json.loads(known["body"]) == entered:
        return False
    _enter(desk, entered)
    publish_offering(desk, entered)
    return True


def _enter(desk: Desk, body: Mapping[str, Any]) -> None:
    desk.db.execute(
        "INSERT INTO offering (offering_id, course_id, body) VALUES (?, ?, ?) "
        "ON CONFLICT (offering_id) DO UPDATE SET course_id = excluded.course_id, body = excluded.body",
        (body["offeringId"], body["course"], json.dumps(body, ensure_ascii=False)),
    )


def _offering_settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Take what the ledger holds; a refused change is taken back."""
    if not settled.applied:
        desk.db.execute(
            "UPDATE offering SET body = coalesce(in_force, body) WHERE offering_id = ?",
            (change.subject,),
        )
        return
    body = change.data
    body["course"] = body["course"]["courseId"]
    desk.db.execute(
        "UPDATE offering SET in_force = ?, capacity = ?, status = ?, cause = ? WHERE offering_id = ?",
        (
            json.dumps(body, ensure_ascii=False),
            body["maxNumberStudents"],
            body.get("state", "active"),
            change.event_id,
            change.subject,
        ),
    )


def _offering_received(desk: Desk, told: Received) -> None:
    said = told.record
    titles = {text["lang"]: text["value"] for text in said["titles"]}
    desk.db.execute(
        "INSERT INTO catalogue VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (offering_id) DO UPDATE SET "
        "title = excluded.title, start_date = excluded.start_date, mode = excluded.mode, status = excluded.status, "
        "capacity = excluded.capacity, cause = excluded.cause",
        (
            said["offering_id"],
            said["host"],
            titles.get("zh") or next(iter(titles.values()), ""),
            said["start_date"] or "",
            said["mode"],
            said["status"],
            said["capacity"],
            told.event_id,
        ),
    )


def _profile_received(desk: Desk, told: Received) -> None:
    said = told.record
    desk.db.execute(
        "INSERT INTO partner VALUES (?, ?, ?, ?) ON CONFLICT (code) DO UPDATE SET name = excluded.name, "
        "status = excluded.status, cause = excluded.cause",
        (said["code"], said["name_zh"], said["status"], told.event_id),
    )


def _profile_settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Our own profile is only told, nothing follows."""


def holdings(desk: Desk) -> Holdings:
    """Our offerings, with the seats that admissions gave."""
    return {
        "offerings": desk.rows(
            "SELECT o.offering_id AS offeringId, o.capacity, "
            "(SELECT count(*) FROM seat WHERE seat.offering_id = o.offering_id) AS seatsTaken "
            "FROM offering o WHERE o.capacity IS NOT NULL ORDER BY 1"
        )
    }


PHASES: Mapping[str, Phase] = {
    "profiles": publish_profile,
    "offerings": publish_offerings,
    "capacity": raise_capacity,
    "mistakes": shrink_too_far,
}
RECEIVES: Mapping[str, Receive] = {
    "member.profile-changed": _profile_received,
    "offering.changed": _offering_received,
}
SETTLES: Mapping[str, Settle] = {"profile": _profile_settled, "offering": _offering_settled}
