"""Laboratories, instruments and other resources that members open to each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import ClassVar, NamedTuple

from hub.domain.life import CLOCK, START, Living, Machine, moves, steps
from hub.domain.times import day_of, minutes
from schemas.envelope import from_millis

RESOURCE = Machine(
    kind="resource",
    title_en="Shared resource",
    title_zh="共享资源",
    steps=moves(
        "owner",
        {
            START: "registered operational",
            "registered": "operational retired",
            "operational": "outage retired",
            "outage": "operational retired",
        },
    ),
    waits={},
    source="PIDINST metadata schema, NEMO tools",
)
ACCESS = Machine(
    kind="access",
    title_en="Request for lab time",
    title_zh="仪器与实验室使用申请",
    steps=(
        *steps(
            "home",
            ": requested -> requested",
            "requested waitlisted approved: cancelled -> cancelled",
        ),
        *steps(
            "owner",
            "requested waitlisted: approved -> approved",
            "requested waitlisted: denied -> denied",
            "requested: waitlisted -> waitlisted",
            "requested waitlisted approved: replaced -> cancelled",
            "approved: cancelled_by_owner -> cancelled",
            "approved: no_show -> no_show",
            "approved: used -> used",
        ),
        *steps(CLOCK, "requested waitlisted: expired -> expired"),
    ),
    waits={"requested": "owner", "waitlisted": "owner", "approved": "owner"},
    source="CERIF resource request, decision and usage statement; NEMO reservations, where a booking is replaced, not moved",
)
USAGE = Machine(
    kind="usage",
    title_en="Use of a resource",
    title_zh="资源使用记录",
    steps=steps(
        "owner",
        ": recorded -> recorded",
        ": validated -> validated",
        "recorded: validated -> validated",
        "recorded validated: superseded -> superseded",
    ),
    waits={"recorded": "owner"},
    source="NEMO usage events, validated and waived",
)
HOLDS_TIME = ("approved", "used")  # states of a request whose slot is in the calendar


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of a booking; None is no limit. `minutes_per_day` is for one using member and day."""

    min_minutes: int | None = None
    max_minutes: int | None = None
    horizon_days: int | None = None
    minutes_per_day: int | None = None
    qualification: str | None = None


class Span(NamedTuple):
    """From `start_ms` to just before `end_ms`."""

    start_ms: int
    end_ms: int

    def overlaps(self, other: Span) -> bool:
        return self.start_ms < other.end_ms and other.start_ms < self.end_ms

    @property
    def minutes(self) -> int:
        return minutes(from_millis(self.start_ms), from_millis(self.end_ms))


class Slot(NamedTuple):
    """Time given to an approved request of `home`."""

    start_ms: int
    end_ms: int
    request_id: str
    home: str
    minutes: int

    @property
    def span(self) -> Span:
        return Span(self.start_ms, self.end_ms)


@dataclass(frozen=True, slots=True)
class Resource(Living):
    """`capacity` is how many may use it at a time."""

    KIND: ClassVar[str] = "resource"
    LIFE: ClassVar[Machine] = RESOURCE
    resource_id: str
    owner: str
    capacity: int
    state: str
    policy: Policy = Policy()
    outages: tuple[Span, ...] = ()

    @property
    def id(self) -> str:
        return self.resource_id


@dataclass(frozen=True, slots=True)
class AccessRequest(Living):
    """`span` is what was asked for, once approved what was given. It expires at `due_ms` while the owner has not decided."""

    KIND: ClassVar[str] = "access"
    LIFE: ClassVar[Machine] = ACCESS
    request_id: str
    resource_id: str
    home: str
    owner: str
    span: Span
    state: str
    due_ms: int
    replaces: str | None = None

    @property
    def id(self) -> str:
        return self.request_id

    @property
    def slot(self) -> Slot:
        """The time that it takes when it is approved."""
        return Slot(*self.span, self.request_id, self.home, self.span.minutes)

    def deadline_ms(self) -> int | None:
        return self.due_ms if self.state in ("requested", "waitlisted") else None


@dataclass(frozen=True, slots=True)
class Usage(Living):
    """`charged` is what the home owes for it: a unit and thousandths of it; None when nothing is charged or all is waived."""

    KIND: ClassVar[str] = "usage"
    LIFE: ClassVar[Machine] = USAGE
    usage_id: str
    resource_id: str
    owner: str
    home: str
    request_id: str | None
    span: Span
    charged: tuple[str, int] | None
    supersedes: str | None
    state: str

    @property
    def id(self) -> str:
        return self.usage_id

    @property
    def minutes(self) -> int:
        return self.span.minutes

    def concerned(self) -> frozenset[str]:
        return frozenset({self.owner, self.home})

    def summary(self) -> str:
        return f"{self.state}, {self.minutes} minutes"


@dataclass(frozen=True, slots=True)
class Calendar:
    """Approved slots of a resource that touch one day of the alliance, sorted."""

    KIND: ClassVar[str] = "calendar"
    resource_id: str
    day: str
    slots: tuple[Slot, ...]

    @property
    def id(self) -> str:
        return calendar_id(self.resource_id, self.day)


def calendar_id(resource_id: str, day: str) -> str:
    """A day has ten characters, so a slash in the resource's id does no harm."""
    return f"{resource_id}/{day}"


def days(span: Span) -> list[str]:
    """The days of the alliance that a span touches; one that ends at midnight does not touch the next."""
    first = day_of(span.start_ms)
    count = (day_of(span.end_ms - 1) - first).days + 1
    return [(first + timedelta(days=number)).isoformat() for number in range(count)]


def most_at_once(spans: Iterable[Span]) -> int:
    """How many spans run at the same moment, at most."""
    # Sorted, an end comes before a start at the same moment: who leaves at ten makes room for who comes at ten.
    turns = sorted(turn for span in spans for turn in ((span.start_ms, 1), (span.end_ms, -1)))
    return max(accumulate(change for _, change in turns), default=0)
