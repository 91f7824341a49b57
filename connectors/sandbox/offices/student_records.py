"""Student records: who visits us and what their home told us of them; and, at home, the erasure of a student.

Names, contacts and transcripts arrive deciphered beside the event and never stand in the ledger. Whoever asks to be erased
is taken out of the register here; the connector destroys the keys and adds their names to the event. Then every campus
drops what it kept of that student.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

from connectors.sandbox.desk import (
    Desk,
    Holdings,
    Phase,
    Receive,
    Received,
    Settle,
    Settled,
)
from connectors.sandbox.store import Change, Effect
from schemas.envelope import rfc3339

TABLES = """
CREATE TABLE visitor (enrollment_id TEXT PRIMARY KEY, student_id TEXT NOT NULL, name TEXT, contact TEXT) STRICT;
CREATE TABLE transcript (award_id TEXT PRIMARY KEY, student_id TEXT NOT NULL, said TEXT NOT NULL) STRICT;
CREATE TABLE erased (student_id TEXT PRIMARY KEY, home TEXT NOT NULL, state TEXT, doing TEXT, cause TEXT) STRICT;
"""
EFFECTS = (Effect("erased", "state", "student_id", "NEW.state"),)
RESOURCES: Mapping[str, str] = {"student-erasure": "student.erased"}

ERASING_PLACES = (
    0,
    5,
)  # by the member's place in the alliance: where one student asks to be erased
BACKUP_DAYS = 30  # after which no backup has the keys any more


def erase(desk: Desk) -> None:
    """One student of a few members is erased: the first who was somewhere else and has no way to go there."""
    place = sorted(desk.members).index(desk.code)
    if place not in ERASING_PLACES:
        return
    row = desk.store.one(
        "SELECT student_id FROM student WHERE student_id IN (SELECT student_id FROM enrollment WHERE state = 'finished') "
        "AND student_id NOT IN (SELECT student_id FROM enrollment WHERE state <> 'finished' OR doing IS NOT NULL) "
        "ORDER BY 1"
    )
    if row is None:
        return
    now = desk.now()
    desk.publish(
        "student-erasure",
        row["student_id"],
        {
            "personId": row["student_id"],
            "erasedAt": rfc3339(now),
            "backupsClearAt": rfc3339(now + timedelta(days=BACKUP_DAYS)),
        },
        step="erased",
        to=desk.others(),
    )
    desk.db.execute(
        "INSERT INTO erased VALUES (?, ?, NULL, 'erased', NULL)", (row["student_id"], desk.code)
    )


def _settled(desk: Desk, change: Change, settled: Settled) -> None:
    desk.db.execute("UPDATE erased SET doing = NULL WHERE student_id = ?", (change.subject,))
    if settled.applied:
        _forget(desk, change.subject, desk.code, change.event_id)


def _erased_received(desk: Desk, told: Received) -> None:
    _forget(desk, told.record["student_id"], told.record["home"], told.event_id)


def _forget(desk: Desk, student_id: str, home: str, event_id: str) -> None:
    """Drop what names the student. What the books hold stays: it leads to nobody."""
    for table in ("visitor", "transcript", "student"):
        desk.db.execute(f"DELETE FROM {table} WHERE student_id = ?", (student_id,))  # noqa: S608, names of tables
    desk.db.execute(
        "INSERT INTO erased VALUES (?, ?, 'erased', NULL, ?) ON CONFLICT (student_id) DO UPDATE SET "
        "state = excluded.state, cause = excluded.cause",
        (student_id, home, event_id),
    )


def _visitor_received(desk: Desk, told: Received) -> None:
    if told.private is not None:
        desk.db.execute(
            "INSERT INTO visitor VALUES (?, ?, ?, ?)",
            (
                told.record["enrollment_id"],
                told.record["student_id"],
                told.private.get("name"),
                told.private.get("contact"),
            ),
        )


def _transcript_received(desk: Desk, told: Received) -> None:
    if told.private is not None:
        said = json.dumps(told.private, ensure_ascii=False, sort_keys=True)
        desk.db.execute(
            "INSERT INTO transcript VALUES (?, ?, ?)",
            (told.record["award_id"], told.record["student_id"], said),
        )


def holdings(desk: Desk) -> Holdings:
    """Visitors with what their home told us, transcripts from other members, and who was erased."""
    return {
        "visitors": desk.rows(
            "SELECT enrollment_id AS enrollmentId, student_id AS studentId, name, contact FROM visitor ORDER BY 1"
        ),
        "transcripts": desk.rows(
            "SELECT award_id AS awardId, student_id AS studentId, said FROM transcript ORDER BY 1"
        ),
        "erased": desk.rows(
            "SELECT student_id AS studentId, home FROM erased WHERE state IS NOT NULL ORDER BY 1"
        ),
    }


PHASES: Mapping[str, Phase] = {"erasures": erase}
RECEIVES: Mapping[str, Receive] = {
    "student.erased": _erased_received,
    "enrollment.requested": _visitor_received,
    "credit.awarded": _transcript_received,
}
SETTLES: Mapping[str, Settle] = {"student-erasure": _settled}
