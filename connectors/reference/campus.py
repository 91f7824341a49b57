"""The campus's own system: offers courses, sends a student now and then, admits those of others.

This is the part that a real campus already has. It knows nothing of Kafka, Avro or signatures; it keeps a numbered list
of its changes, each with an id made when the change was made, and takes what the alliance tells it at most once.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from schemas.envelope import rfc3339

_COURSES_EACH = (
    20  # a new course after so many enrollments, so that partners that came late learn of one
)
_EPOCH = uuid.UUID("6f0c1e7a-52c1-4b0e-9d55-6a3f5a1f8c11")  # namespace of the ids made here


@dataclass(slots=True)
class Campus:
    """One campus. `changes` only grows; change n is the n-th item after `first`."""

    code: str
    enroll_every_s: float
    seats: int
    changes: list[dict[str, Any]] = field(default_factory=list)
    first: int = 0
    courses: dict[str, str] = field(
        default_factory=dict
    )  # other members' courses: offering id to host
    states: dict[str, str] = field(default_factory=dict)  # enrollment id to what we know of it
    outcomes: dict[str, str] = field(
        default_factory=dict
    )  # event id to the ledger's newest word on it
    flags: dict[tuple[str, str], str] = field(
        default_factory=dict
    )  # kind and id of a case to the newest flag on it
    taken: set[str] = field(default_factory=set)  # keys of deliveries applied
    _next_at: datetime | None = None

    def resume(self, number: int) -> None:
        """Count on from a change that an earlier life of this campus told of."""
        if not self.changes:
            self.first = max(self.first, number)

    def work(self, now: datetime) -> None:
        """What the day brings: courses first, then now and then a student for another campus."""
        if self._next_at is None:
            self.offer(now)
            self._next_at = now
        if now < self._next_at or not self.courses:
            return
        self._next_at = now + timedelta(seconds=self.enroll_every_s)
        self._request(now)
        if len(self.changes) % _COURSES_EACH == 0:
            self.offer(now)

    def after(self, number: int) -> list[dict[str, Any]]:
        """The changes after that number, oldest first."""
        return self.changes[max(0, number - self.first) :]

    def take(self, item: Mapping[str, Any], now: datetime) -> bool:
        """Apply a delivery; False when it was applied before. Raises `ValueError` when it makes no sense here."""
        key = f"{item['kind']}:{item['eventId']}:{item.get('outcome', '')}"
        if key in self.taken:
            return False
        if item["kind"] == "outcome":
            self.outcomes[item["eventId"]] = item["outcome"]
        elif item["kind"] == "flag":
            said = item["record"]
            self.flags[said["case_kind"], said["case_id"]] = said["flag"]
        else:
            self._learn(item["event"], item["record"], now)
        self.taken.add(key)
        return True

    def _learn(self, event: str, record: Mapping[str, Any], now: datetime) -> None:
        if event == "offering.changed":
            self.courses[record["offering_id"]] = record["host"]
        elif event == "enrollment.requested":
            if record["host"] != self.code:
                raise ValueError(f"enrollment {record['enrollment_id']} is for {record['host']}")
            self.states[record["enrollment_id"]] = "pending"
            self._decide(record, now)
        elif event == "enrollment.decided":
            self.states[record["enrollment_id"]] = record["decision"]

    def offer(self, now: datetime) -> None:
        """A new course for students of other members."""
        number = self._next_number()
        self._tell(now, "offering", 1, offeringId=f"ref-{self.code}-{number}", places=self.seats)

    def _request(self, now: datetime) -> None:
        number = self._next_number()
        offering = sorted(self.courses)[number % len(self.courses)]
        enrollment = str(uuid.uuid5(_EPOCH, f"{self.code}/{number}"))
        self.states[enrollment] = "requested"
        self._tell(
            now, "request", 1, enrollmentId=enrollment, offeringId=offering, host=self.courses[offering],
            studentId=f"urn:alliance:student:{self.code}:{enrollment[:8]}",
        )  # fmt: skip

    def _decide(self, record: Mapping[str, Any], now: datetime) -> None:
        self._tell(
            now, "decision", 1, enrollmentId=record["enrollment_id"], offeringId=record["offering_id"],
            home=record["home"], decides=record["envelope"]["aggregate_version"],
        )  # fmt: skip

    def _next_number(self) -> int:
        return self.first + len(self.changes) + 1

    def _tell(self, now: datetime, resource: str, version: int, **data: Any) -> None:
        number = self._next_number()
        self.changes.append(
            {
                "number": number,
                "resource": resource,
                "eventId": str(uuid.uuid4()),
                "at": rfc3339(now),
                "startDate": now.date().isoformat(),
                "version": version,
                **data,
            }
        )
