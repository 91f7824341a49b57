"""Things with a life that the rules look at, and the tables of their lives.

A thing is a frozen value; a rule that changes it returns a new one. Source of the enrollment table: Erasmus Without
Paper nominations v3 and Open Education API association states; the split of `associated` and `active` is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class MemberProfile:
    KIND: ClassVar[str] = "member"
    code: str
    status: str

    @property
    def id(self) -> str:
        return self.code


@dataclass(frozen=True, slots=True)
class Offering:
    """`capacity` is in seats."""

    KIND: ClassVar[str] = "offering"
    offering_id: str
    host: str
    capacity: int
    status: str

    @property
    def id(self) -> str:
        return self.offering_id


@dataclass(frozen=True, slots=True)
class Enrollment:
    KIND: ClassVar[str] = "enrollment"
    enrollment_id: str
    student_id: str
    home: str
    host: str
    offering_id: str
    state: str

    @property
    def id(self) -> str:
        return self.enrollment_id


@dataclass(frozen=True, slots=True)
class Award:
    """`milli` are thousandths of a credit of `scheme`."""

    KIND: ClassVar[str] = "award"
    award_id: str
    student_id: str
    home: str
    host: str
    scheme: str
    milli: int
    passed: bool
    state: str  # awarded, revoked
    case: str | None  # the recognition case that claims it
    decided: bool  # a final decision fell, positive or not
    pending_id: str | None  # the pending posting that waits for the home's decision
    revision: int

    @property
    def id(self) -> str:
        return self.award_id


@dataclass(frozen=True, slots=True)
class Recognition:
    KIND: ClassVar[str] = "recognition"
    recognition_id: str
    student_id: str
    home: str
    award_ids: tuple[str, ...]
    state: str  # requested, faculty_decided, positive, partially_positive, negative
    original_milli: int  # what the awards were worth when the final decision fell
    recognized_milli: int

    @property
    def id(self) -> str:
        return self.recognition_id


@dataclass(frozen=True, slots=True)
class Project:
    KIND: ClassVar[str] = "project"
    project_id: str
    lead: str
    members: tuple[str, ...]
    status: str

    @property
    def id(self) -> str:
        return self.project_id


@dataclass(frozen=True, slots=True)
class Participant:
    KIND: ClassVar[str] = "participant"
    project_id: str
    person_id: str
    employer: str
    position: str
    state: str  # active, left

    @property
    def id(self) -> str:
        return participant_id(self.project_id, self.person_id)


def participant_id(project_id: str, person_id: str) -> str:
    """Both ids may hold slashes (ORCID); the length keeps `a/b` with `c` apart from `a` with `b/c`."""
    return f"{len(project_id)}/{project_id}/{person_id}"


Thing: TypeAlias = (
    MemberProfile | Offering | Enrollment | Award | Recognition | Project | Participant
)

# (state, step) -> state; the step is named as in the events.
ENROLLMENT: dict[tuple[str, str], str] = {
    ("pending", "accepted"): "associated",
    ("pending", "queued"): "queued",
    ("queued", "accepted"): "associated",
    ("pending", "denied"): "denied",
    ("queued", "denied"): "denied",
    ("pending", "withdrawn"): "cancelled",
    ("queued", "withdrawn"): "cancelled",
    ("associated", "withdrawn"): "cancelled",
    ("pending", "cancelled"): "cancelled",
    ("queued", "cancelled"): "cancelled",
    ("associated", "cancelled"): "cancelled",
    ("associated", "started"): "active",
    ("active", "finished"): "finished",
    ("active", "withdrawn"): "withdrawn",
}

# From where to where a project or an offering may go; staying is always allowed.
PROJECT: dict[str, frozenset[str]] = {
    "idea": frozenset({"drafted", "terminated"}),
    "drafted": frozenset({"submitted", "terminated"}),
    "submitted": frozenset({"funded", "declined", "terminated"}),
    "funded": frozenset({"active", "terminated"}),
    "active": frozenset({"completed", "terminated"}),
    "declined": frozenset(),
    "completed": frozenset(),
    "terminated": frozenset(),
}
OFFERING: dict[str, frozenset[str]] = {
    "concept": frozenset({"active", "cancelled"}),
    "active": frozenset({"inactive", "cancelled"}),
    "inactive": frozenset({"active", "cancelled"}),
    "cancelled": frozenset(),
}
