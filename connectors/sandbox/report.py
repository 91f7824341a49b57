"""What a campus shows of itself: its holdings (to compare with the ledger) and its status (to see whether it is quiet)."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.desk import Desk
from connectors.sandbox.offices import directory


def holdings(desk: Desk) -> dict[str, Any]:
    """Everything the ledger knows too. Things whose first event the ledger did not apply are left out."""
    store = desk.store
    return {
        "member": desk.code,
        "sent": [
            {
                "eventId": row["event_id"],
                "event": store.events[row["resource"]],
                "subject": row["subject"],
                "outcome": row["outcome"],
                "ledgerSeq": row["ledger_seq"],
            }
            for row in store.all("SELECT * FROM change ORDER BY number")
        ],
        "applied": store.count("SELECT count(*) FROM inbox WHERE kind = 'event'"),
        "appliedTwice": applied_twice(desk),
        "cases": directory.cases(desk),
        **directory.holdings(desk),
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
        "oldestOpen": _oldest(desk, oldest) if oldest else None,
        "work": directory.work(desk),
        "sent": [
            [
                store.events[row["resource"]],
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


def _oldest(desk: Desk, row: Any) -> dict[str, Any]:
    return {
        "event": desk.store.events[row["resource"]],
        "eventId": row["event_id"],
        "since": row["occurred_at"],
        "outcome": row["outcome"],
    }
