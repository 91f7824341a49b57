"""Learning plans: what a student will study at the host, and what it will count as at home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hub.domain.life import Living, Machine, steps

PLAN = Machine(
    kind="plan",
    title_en="Learning plan",
    title_zh="学习计划与学分对接",
    steps=(
        *steps("home", "proposed returned agreed: proposed -> proposed", ": proposed -> proposed"),
        *steps(
            "home|host",
            "proposed: approved -> proposed",
            "proposed: approved_by_both -> agreed",
            "proposed: returned -> returned",
        ),
    ),
    waits={"proposed": "home|host"},
    source="Erasmus Without Paper learning agreements (omobility-las), 学分对接表; the names of the steps are ours",
)


@dataclass(frozen=True, slots=True)
class Plan(Living):
    """The newest plan of an enrollment, under the enrollment's id: there is one for each.

    `version` counts the proposals, `approved_by` are the sides (`home`, `host`) that approved the one with that hash.
    """

    KIND: ClassVar[str] = "plan"
    LIFE: ClassVar[Machine] = PLAN
    enrollment_id: str
    plan_id: str
    home: str
    host: str
    version: int
    plan_hash: str
    approved_by: tuple[str, ...]
    state: str
    decide_by_ms: int | None = None

    @property
    def id(self) -> str:
        return self.enrollment_id

    def turn(self) -> tuple[str, ...]:
        """The sides that have not approved yet."""
        if self.state != "proposed":
            return ()
        return tuple(
            member
            for side, member in (("home", self.home), ("host", self.host))
            if side not in self.approved_by
        )

    def deadline_ms(self) -> int | None:
        return self.decide_by_ms if self.state == "proposed" else None

    def summary(self) -> str:
        """The hash too: both sides must hold the same plan, not only one in the same state."""
        return f"{self.state} {self.plan_hash[:16]}"
