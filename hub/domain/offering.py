"""Courses that a host opens to students of other members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hub.domain.life import START, Living, Machine, moves

OFFERING = Machine(
    kind="offering",
    title_en="Course offering",
    title_zh="开放课程",
    steps=moves(
        "host",
        {
            START: "concept active inactive cancelled",
            "concept": "active cancelled",
            "active": "inactive cancelled",
            "inactive": "active cancelled",
        },
    ),
    waits={},
    source="Open Education API v6, offeringState",
)


@dataclass(frozen=True, slots=True)
class Offering(Living):
    """`capacity` is in seats."""

    KIND: ClassVar[str] = "offering"
    LIFE: ClassVar[Machine] = OFFERING
    offering_id: str
    host: str
    capacity: int
    state: str

    @property
    def id(self) -> str:
        return self.offering_id
