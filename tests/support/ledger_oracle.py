"""A second ledger, written from the rules as the alliance states them and from nothing else.

It keeps facts in plain dictionaries and counts seats and credits anew whenever asked; no postings, no accounts, no
hashes. It knows the outcome of an event, not its reason. Where it and the hub's rules differ, one of them is wrong.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

ZERO, ONE = Decimal(0), Decimal(1)

LIFE = {
    "pending": {"accepted": "associated", "queued": "queued", "denied": "denied",
                "withdrawn": "cancelled", "cancelled": "cancelled"},
    "queued": {"accepted": "associated", "denied": "denied", "withdrawn": "cancelled", "cancelled": "cancelled"},
    "associated": {"started": "active", "withdrawn": "cancelled", "cancelled": "cancelled"},
    "active": {"finished": "finished", "withdrawn": "withdrawn"},
}  # fmt: skip
SEATED = {"associated", "active", "finished", "withdrawn"}  # withdrawn: after the start only
OFFERING_LIFE = {
    "concept": {"active", "cancelled"},
    "active": {"inactive", "cancelled"},
    "inactive": {"active", "cancelled"},
    "cancelled": set(),
}
PROJECT_LIFE = {
    "idea": {"drafted", "terminated"},
    "drafted": {"submitted", "terminated"},
    "submitted": {"funded", "declined", "terminated"},
    "funded": {"active", "terminated"},
    "active": {"completed", "terminated"},
    "declined": set(),
    "completed": set(),
    "terminated": set(),
}


class Oracle:
    """Hears events one by one and says what becomes of each."""

    def __init__(self, members: tuple[str, ...]) -> None:
        self.members = members
        self.first: dict[str, Any] = {}  # event id -> the event first heard under it
        self.newest: Counter[tuple[str, str, str]] = Counter()
        self.waiting: list[Any] = []
        self.offerings: dict[str, dict[str, Any]] = {}
        self.enrollments: dict[str, dict[str, Any]] = {}
        self.awards: dict[str, dict[str, Any]] = {}
        self.cases: dict[str, dict[str, Any]] = {}
        self.projects: dict[str, dict[str, Any]] = {}
        self.people: dict[tuple[str, str], dict[str, str]] = {}

    def hear(self, event: Any) -> list[tuple[str, str]]:
        """(event id, outcome) of this event, then of those that waited for it, in the order of their waiting."""
        name = event.envelope.event_id
        if name in self.first:
            return [(name, "duplicate" if self.first[name] == event else "conflict")]
        self.first[name] = event
        told = [(name, self._decide(event))]
        while ready := next((e for e in self.waiting if self._misses(e) != e_missed(self, e)), None):
            self.waiting.remove(ready)
            self._missed.pop(ready.envelope.event_id)
            told.append((ready.envelope.event_id, self._decide(ready)))
        return told

    # What an event waits for is remembered, so that it is looked at again when that came, and not before.

    @property
    def _missed(self) -> dict[str, Any]:
        return self.__dict__.setdefault("_missed_by_event", {})

    def _place(self, event: Any) -> tuple[str, str, str]:
        e = event.envelope
        return (event.EVENT.split(".")[0], e.subject, e.member)

    def _misses(self, event: Any) -> Any:
        """What the event has to wait for now, or None."""
        gap = event.envelope.aggregate_version - self.newest[self._place(event)]
        if gap > 1:
            return ("version", event.envelope.aggregate_version - 1)
        return None

    def _decide(self, event: Any) -> str:
        place, version = self._place(event), event.envelope.aggregate_version
        if version <= self.newest[place]:
            return "rejected"
        verdict = "parked" if version > self.newest[place] + 1 else self._rule(event)
        if verdict == "parked":
            self.waiting.append(event)
            return verdict
        self.newest[place] = version
        return verdict
