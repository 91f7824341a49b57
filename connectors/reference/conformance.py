"""The reference campus for the conformance suite."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from connectors.reference.campus import Campus
from connectors.sdk.testing import START, US, Case

_MAPPINGS = Path(__file__).parent / "sample" / "mapping"


class _Obedient(Campus):
    """Does only what the test says, and writes down what it was told."""

    def __init__(self, told: list[str], poison: set[str]) -> None:
        super().__init__(US, enroll_every_s=1, seats=30)
        self._told, self._poison = told, poison
        self.offered: list[str] = []  # each delivery, each time it is brought

    def work(self, now: datetime) -> None:
        return

    def take(self, item: Mapping[str, Any], now: datetime) -> bool:
        self.offered.append(item["eventId"])
        if item["eventId"] in self._poison:
            raise ValueError("no such course")
        new = super().take(item, now)
        if new:
            self._told.append(f"{item['kind']}:{item['eventId']}:{item.get('outcome', '')}")
        return new


def both_ways() -> Case:
    """Source and sink of one campus."""
    told: list[str] = []
    poison: set[str] = set()
    spoiled: list[int] = []
    campus = _Obedient(told, poison)

    def happen(count: int) -> None:
        for _ in range(count):
            campus.offer(START)

    def spoil() -> None:
        happen(1)
        campus.changes[-1]["startDate"] = "someday"
        spoiled.append(1)

    tables = """
[source.campus]
kind = "reference"
select = "resource"
[source.campus.mappings]
offering = "mapping/offering.toml"
request = "mapping/request.toml"
decision = "mapping/decision.toml"
[sink.campus]
kind = "reference"
"""
    return Case(
        tables,
        mappings={path.name: path.read_text("utf-8") for path in _MAPPINGS.glob("*.toml")},
        transport=campus,
        happen=happen,
        spoil=spoil,
        to_tell=lambda: len(campus.changes) - len(spoiled),
        told=told,
        poison=poison,
    )


CASES = {"both ways": both_ways}
