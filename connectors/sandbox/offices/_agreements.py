"""Agreements to act under: what other offices ask before they name one.

Reads the table of the office `agreements`, which is empty before the phase of that name. A place is taken when the
receiver accepts; whoever decides on that counts its own and compares with `places`.
"""

from __future__ import annotations

import json
from datetime import date

from connectors.sandbox.desk import Desk


def academic_year(day: date) -> str:
    """`2026-2027` for a day from September 2026 to August 2027."""
    first = day.year if day.month >= 9 else day.year - 1
    return f"{first}-{first + 1}"


def find(desk: Desk, kind: str, sender: str, receiver: str, on: date | None = None) -> str | None:
    """An agreement of that kind to act under, or None.

    It is in effect, both are parties, and it covers the academic year of the day: today, unless another is given. Of
    several it is the same one whenever asked.
    """
    year = academic_year(on or desk.day())
    rows = desk.store.all(
        "SELECT agreement_id, parties FROM agreement WHERE state = 'in_effect' AND kind = ? "
        "AND first_year <= ? AND last_year >= ? ORDER BY agreement_id",
        kind,
        year,
        year,
    )
    both = {sender, receiver}
    return next(
        (row["agreement_id"] for row in rows if both <= set(row["parties"].split(","))), None
    )


def places(desk: Desk, agreement_id: str, sender: str, receiver: str) -> int | None:
    """How many an agreement lets go from sender to receiver in each academic year; None where it sets no limit."""
    row = desk.store.one("SELECT body FROM agreement WHERE agreement_id = ?", agreement_id)
    conditions = json.loads(row["body"])["cooperationConditions"] if row else {"mobilities": []}
    return next(
        (
            int(quota["mobilitiesPerYear"])
            for quota in conditions["mobilities"]
            if (quota["sendingOrganization"], quota["receivingOrganization"]) == (sender, receiver)
        ),
        None,
    )
