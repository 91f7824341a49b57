"""Placements: practice, graduation designs and joint course projects of students of one member at another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hub.domain.life import Living, Machine, steps

PLACEMENT = Machine(
    kind="placement",
    title_en="Practice placement",
    title_zh="联合实践与毕业设计",
    steps=(
        *steps(
            "host",
            ": proposed -> proposed",
            "approved: started -> ongoing",
            "ongoing: mid_checked -> mid_checked",
            "ongoing mid_checked: completed -> completed",
            "completed: graded -> graded",
        ),
        *steps("home", "proposed: endorsed -> approved"),
        *steps("home|host", "proposed approved ongoing mid_checked: terminated -> terminated"),
    ),
    waits={
        "proposed": "home",
        "approved": "host",
        "ongoing": "host",
        "mid_checked": "host",
        "completed": "host",
    },
    source="Erasmus Without Paper student traineeships; endorsement by the home's supervisor is ours",
)


@dataclass(frozen=True, slots=True)
class Placement(Living):
    """`guides` are the members of its supervisors, `ends_ms` is when its last day is over."""

    KIND: ClassVar[str] = "placement"
    LIFE: ClassVar[Machine] = PLACEMENT
    placement_id: str
    home: str
    host: str
    students: tuple[str, ...]
    guides: tuple[str, ...]
    state: str
    year: str
    agreement_id: str | None
    ends_ms: int

    @property
    def id(self) -> str:
        return self.placement_id

    def deadline_ms(self) -> int | None:
        return self.ends_ms if self.state in ("ongoing", "mid_checked") else None

    def concerned(self) -> frozenset[str]:
        return frozenset({self.home, self.host, *self.guides})
