"""Posts that members want to fill. Counts of people only; nobody who applies is known here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from hub.domain.life import START, Living, Machine, moves
from hub.domain.times import day_over_ms

JOB_POSTING = Machine(
    kind="posting",
    title_en="Post to fill",
    title_zh="招聘岗位",
    steps=moves(
        "recruiter",
        {
            START: "planned open",
            "planned": "open cancelled",
            "open": "closed cancelled",
            "closed": "filled cancelled",
        },
    ),
    waits={"planned": "recruiter", "open": "recruiter", "closed": "recruiter"},
    source="ours: joint recruitment of the alliance (高校引才大会)",
)


@dataclass(frozen=True, slots=True)
class JobPosting(Living):
    """`counts` are people up to now: applied, interviewed, offered, accepted. Not a posting of the book."""

    KIND: ClassVar[str] = "posting"
    LIFE: ClassVar[Machine] = JOB_POSTING
    posting_id: str
    recruiter: str
    members: tuple[str, ...]
    headcount: int
    counts: tuple[int, int, int, int]
    closes_on: date
    state: str

    @property
    def id(self) -> str:
        return self.posting_id

    def deadline_ms(self) -> int | None:
        return day_over_ms(self.closes_on) if self.state == "open" else None

    def concerned(self) -> frozenset[str]:
        return frozenset(self.members)

    def summary(self) -> str:
        return f"{self.state} {self.counts[-1]} of {self.headcount} accepted"
