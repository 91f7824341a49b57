"""Enrollments: a student of one member in an offering of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hub.domain.life import CLOCK, Living, Machine, steps

ENROLLMENT = Machine(
    kind="enrollment",
    title_en="Enrollment",
    title_zh="跨校选课",
    steps=(
        *steps("home", ": requested -> pending"),
        *steps(
            "host",
            "pending queued: accepted -> associated",
            "pending: queued -> queued",
            "pending queued: denied -> denied",
            "pending queued associated: cancelled -> cancelled",
            "associated: started -> active",
            "active: finished -> finished",
        ),
        *steps(
            "home",
            "pending queued associated: withdrawn -> cancelled",
            "active: withdrawn -> withdrawn",
        ),
        *steps(CLOCK, "pending queued: expired -> expired"),
    ),
    waits={"pending": "host", "queued": "host", "associated": "host", "active": "host"},
    source="Erasmus Without Paper nominations v3, Open Education API association states; "
    "the split of associated and active is ours",
)


@dataclass(frozen=True, slots=True)
class Enrollment(Living):
    """`valid_until_ms` is when the request expires while the host has not decided."""

    KIND: ClassVar[str] = "enrollment"
    LIFE: ClassVar[Machine] = ENROLLMENT
    enrollment_id: str
    student_id: str
    home: str
    host: str
    offering_id: str
    state: str
    activity: str = "course"
    year: str = ""
    agreement_id: str | None = None
    valid_until_ms: int | None = None

    @property
    def id(self) -> str:
        return self.enrollment_id

    def deadline_ms(self) -> int | None:
        return self.valid_until_ms if self.state in ("pending", "queued") else None
