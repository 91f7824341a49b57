"""What a campus shows of itself: its holdings (to compare with the ledger) and its status (to see whether it is quiet)."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.desk import Desk
from connectors.sandbox.store import EVENTS


def holdings(desk: Desk) -> dict[str, Any]:
    """Everything the ledger knows too. Things whose first event the ledger did not apply are left out."""
    store = desk.store
    return {
        "member": desk.code,
        "sent": [
            {
                "eventId": row["event_id"],
                "event": EVENTS[row["resource"]],
                "subject": row["subject"],
                "outcome": row["outcome"],
                "ledgerSeq": row["ledger_seq"],
            }
            for row in store.all("SELECT * FROM change ORDER BY number")
        ],
        "applied": store.count("SELECT count(*) FROM inbox WHERE kind = 'event'"),
        "appliedTwice": applied_twice(desk),
        "enrollments": _rows(
            desk,
            "SELECT enrollment_id AS enrollmentId, student_id AS studentId, home, host, offering_id AS offeringId, state "
            "FROM enrollment WHERE state IS NOT NULL ORDER BY 1",
        ),
        "offerings": _rows(
            desk,
            "SELECT o.offering_id AS offeringId, o.capacity, "
            "(SELECT count(*) FROM seat WHERE seat.offering_id = o.offering_id) AS seatsTaken "
            "FROM offering o WHERE o.capacity IS NOT NULL ORDER BY 1",
        ),
        "awards": _rows(
            desk,
            "SELECT award_id AS awardId, student_id AS studentId, home, host, scheme, credit_milli AS creditMilli, result, "
            "state FROM award WHERE state IS NOT NULL ORDER BY 1",
        ),
        "recognitions": _rows(
            desk,
            "SELECT recognition_id AS recognitionId, student_id AS studentId, state, recognized_milli AS recognizedMilli "
            "FROM recognition WHERE state IS NOT NULL ORDER BY 1",
        ),
        "projects": _rows(
            desk,
            "SELECT project_id AS projectId, lead, status FROM project WHERE status IS NOT NULL ORDER BY 1",
        ),
        "projectMembers": _rows(
            desk,
            "SELECT project_id AS projectId, person_id AS personId, employer, state FROM project_member "
            "WHERE state IS NOT NULL ORDER BY 1, 2",
        ),
    }


def applied_twice(desk: Desk) -> int:
    """Effects that one event had on one thing more than once, as the journal saw them. Zero, or the inbox is broken."""
    return desk.store.count(
        "SELECT count(*) FROM (SELECT 1 FROM journal GROUP BY cause, thing, id HAVING count(*) > 1)"
    )


def status(desk: Desk) -> dict[str, Any]:
    """Counts of changes by outcome, what was sent to whom and received, and work that waits for an office."""
    store = desk.store
    outcomes = {
        row[0] or "none": row[1]
        for row in store.all("SELECT outcome, count(*) FROM change GROUP BY outcome")
    }
    oldest = store.one(
        "SELECT resource, event_id, occurred_at, outcome FROM change WHERE outcome IS NULL OR outcome = 'parked' "
        "ORDER BY number LIMIT 1"
    )
    last = store.one("SELECT name FROM phase ORDER BY rowid DESC LIMIT 1")
    return {
        "member": desk.code,
        "phase": last["name"] if last else None,
        "changes": sum(outcomes.values()),
        "outcomes": outcomes,
        "open": outcomes.get("none", 0) + outcomes.get("parked", 0),
        "oldestOpen": _oldest(oldest) if oldest else None,
        "work": _work(desk),
        "sent": [
            [
                EVENTS[row["resource"]],
                row["audience"].split(",") if row["audience"] else [],
                row["n"],
            ]
            for row in store.all(
                "SELECT resource, audience, count(*) AS n FROM change WHERE outcome = 'applied' GROUP BY 1, 2"
            )
        ],
        "received": {
            row[0]: row[1]
            for row in store.all(
                "SELECT event, count(*) FROM inbox WHERE kind = 'event' GROUP BY event"
            )
        },
    }


def _oldest(row: Any) -> dict[str, Any]:
    return {
        "event": EVENTS[row["resource"]],
        "eventId": row["event_id"],
        "since": row["occurred_at"],
        "outcome": row["outcome"],
    }


def _work(desk: Desk) -> int:
    """Cases where it is this campus's turn: requests after closing, recognition cases between their stages."""
    waiting = desk.store.count(
        "SELECT count(*) FROM recognition WHERE state = 'requested' AND doing IS NULL"
    )
    if desk.store.setting("closed"):
        waiting += desk.store.count(
            "SELECT count(*) FROM enrollment WHERE host = ? AND state IN ('pending', 'queued') AND doing IS NULL",
            desk.code,
        )
    return waiting


def _rows(desk: Desk, sql: str) -> list[dict[str, Any]]:
    return [dict(row) for row in desk.store.all(sql)]
