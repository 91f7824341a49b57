"""Awards of credits and the cases in which a home university recognizes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hub.domain.life import CLOCK, Living, Machine, steps

AWARD = Machine(
    kind="award",
    title_en="Award of credits",
    title_zh="学分授予",
    steps=(
        *steps(
            "host",
            ": awarded -> awarded",
            "awarded: amended -> awarded",
            "awarded: revoked -> revoked",
        ),
        *steps(CLOCK, "awarded: expired -> expired"),
    ),
    waits={"awarded": "home"},
    source="Erasmus Without Paper transcripts of records v3, ELMO 2.1; corrections are ours",
)
RECOGNITION = Machine(
    kind="recognition",
    title_en="Recognition of credits",
    title_zh="学分认定",
    steps=(
        *steps(
            "home",
            ": requested -> requested",
            "requested: faculty -> faculty_decided",
            "faculty_decided: faculty -> faculty_decided",
            "requested faculty_decided: positive -> positive",
            "requested faculty_decided: partially_positive -> partially_positive",
            "requested faculty_decided: negative -> negative",
        ),
        *steps(CLOCK, "requested faculty_decided: expired -> expired"),
    ),
    waits={"requested": "home", "faculty_decided": "home"},
    source="ELMO 2.1 ResultOfRecognition; two stages as at Chinese universities (学院, 教务处)",
)


@dataclass(frozen=True, slots=True)
class Award(Living):
    """`milli` are thousandths of a credit of `scheme`. An award rests on an enrollment or on a placement."""

    KIND: ClassVar[str] = "award"
    LIFE: ClassVar[Machine] = AWARD
    award_id: str
    student_id: str
    home: str
    host: str
    scheme: str
    milli: int
    passed: bool
    state: str
    case: str | None  # the recognition case that claims it
    decided: bool  # a final decision fell, positive or not
    pending_id: str | None  # the pending posting that waits for the home's decision
    revision: int
    agreement_id: str | None = None
    contact_hours_milli: int | None = None
    awarded_ms: int = 0  # the ledger's clock then
    due_ms: int | None = None  # when the home must have asked for recognition, by its own rules

    @property
    def id(self) -> str:
        return self.award_id

    def concerned(self) -> frozenset[str]:
        return frozenset({self.home, self.host})

    def turn(self) -> tuple[str, ...]:
        open_ = self.state == "awarded" and self.passed and not self.decided and self.case is None
        return (self.home,) if open_ else ()

    def deadline_ms(self) -> int | None:
        return self.due_ms if self.turn() else None


@dataclass(frozen=True, slots=True)
class Recognition(Living):
    KIND: ClassVar[str] = "recognition"
    LIFE: ClassVar[Machine] = RECOGNITION
    recognition_id: str
    student_id: str
    home: str
    award_ids: tuple[str, ...]
    state: str
    original_milli: int  # what the awards were worth when the final decision fell
    recognized_milli: int
    due_ms: int | None = None
    rules_id: str | None = None  # the home's own rules when the case was opened,
    rules_version: int = 0  # and their newest version: an older one may not be cited

    @property
    def id(self) -> str:
        return self.recognition_id

    def deadline_ms(self) -> int | None:
        return self.due_ms if self.turn() else None


@dataclass(frozen=True, slots=True)
class Earned:
    """A home course that a student has by recognition: it is not recognized a second time."""

    KIND: ClassVar[str] = "earned"
    home: str
    student_id: str
    course_code: str
    recognition_id: str

    @property
    def id(self) -> str:
        return earned_id(self.home, self.student_id, self.course_code)


def earned_id(home: str, student_id: str, course_code: str) -> str:
    """Ids and codes may hold slashes; the length keeps `a/b` with `c` apart from `a` with `b/c`."""
    return f"{home}/{len(student_id)}/{student_id}/{course_code}"
