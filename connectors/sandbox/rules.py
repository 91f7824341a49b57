"""What the simulated offices decide: admissions, grades, recognition. Pure: no clock, no storage.

Chance is a hash over the seed and the id of the thing decided on, never over the order of arrival, so that a rerun
with the same seed decides alike.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import TypeVar

T = TypeVar("T")

# (state, step) -> state of an enrollment. Source: Open Education API association states and Erasmus Without Paper
# nominations, with `active` split off `associated`; the alliance's ledger walks the same table.
ENROLLMENT_STEPS: Mapping[tuple[str, str], str] = {
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

PASS_MARK = 60  # of 100, as in Chinese practice
TOLERANCE_MILLI = (
    1000  # home records its own credits while the host's are lower by one credit at most
)


def draw(seed: int, *parts: str) -> float:
    """A number in [0, 1) that depends on nothing but the seed and the parts."""
    text = f"{seed}/{'/'.join(parts)}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "big") / (1 << 56)


def choose(options: Sequence[T], weights: Sequence[float], point: float) -> T:
    """The option at `point` (in [0, 1)) of the options laid side by side as wide as their weights."""
    edges = list(accumulate(weights))
    return options[min(bisect_right(edges, point * edges[-1]), len(options) - 1)]


class Plan(StrEnum):
    """What the host's office means to answer a request."""

    ACCEPT = "accept"
    DENY = "deny"  # prerequisites missing
    DENY_FULL = "deny_full"
    QUEUE_ACCEPT = "queue_accept"  # first to the waiting list, then a seat
    QUEUE_DENY = "queue_deny"


DENIED_SHARE = 0.07
QUEUED_SHARE = 0.06
SLOPPY_HOSTS = 0.3  # offices that now and then promise one seat too many


def is_sloppy(seed: int, host: str) -> bool:
    """Whether the office of a host over-accepts where an offering is full."""
    return draw(seed, "sloppy", host) < SLOPPY_HOSTS


def admissions(
    seed: int, host: str, offering_id: str, capacity: int, requests: Iterable[str]
) -> dict[str, Plan]:
    """Answers to all requests for one offering, in the order they are to be sent.

    `capacity` is in seats. Those refused for their studies take no seat; the others get seats in drawn order. A
    sloppy host gives one seat more than it has; the ledger refuses that one.
    """
    order = sorted(requests, key=lambda request: (draw(seed, "order", request), request))
    seats = capacity
    if is_sloppy(seed, host) and draw(seed, "over", offering_id) < 0.5:
        seats += 1
    plans: dict[str, Plan] = {}
    for request in order:
        chance = draw(seed, "admit", request)
        if chance < DENIED_SHARE:
            plans[request] = Plan.DENY
        elif chance < DENIED_SHARE + QUEUED_SHARE:
            plans[request] = Plan.QUEUE_ACCEPT if seats > 0 else Plan.QUEUE_DENY
            seats -= 1
        elif seats > 0:
            plans[request] = Plan.ACCEPT
            seats -= 1
        else:
            plans[request] = Plan.DENY_FULL
    return plans


@dataclass(frozen=True, slots=True)
class Mark:
    """A result in the awarding university's notation. `numeric` only where the notation has numbers."""

    notation: str  # percent_100, five_level or letter
    label: str
    numeric: int | None
    passed: bool


_LEVELS = {
    "five_level": ("优秀", "良好", "中等", "及格", "不及格"),
    "letter": ("A", "B", "C", "D", "F"),
}
_LEVEL_FLOORS = (90, 80, 70, 60, 0)
# Midpoints that Chinese universities record for five-level grades (95/85/75/65/55).
_LEVEL_PERCENT = (95, 85, 75, 65, 55)


def mark(notation: str, percent: int) -> Mark:
    """A percentage written in a notation. Raises `KeyError` for a notation that is not simulated."""
    passed = percent >= PASS_MARK
    if notation == "percent_100":
        return Mark(notation, str(percent), percent, passed)
    level = next(i for i, floor in enumerate(_LEVEL_FLOORS) if percent >= floor)
    return Mark(notation, _LEVELS[notation][level], None, passed)


def to_percent(notation: str, label: str) -> int:
    """A grade as a percentage: five-level and letter grades count as 95, 85, 75, 65 and 55.

    Raises `ValueError` for a label the notation does not have.
    """
    if notation == "percent_100":
        return int(label)
    labels = _LEVELS.get(notation, ())
    if label not in labels:
        raise ValueError(
            f"grade {label!r} is not in notation {notation}; known: {', '.join(labels) or 'none'}"
        )
    return _LEVEL_PERCENT[labels.index(label)]


def percent_drawn(seed: int, award_id: str) -> int:
    """A percentage that about 8 % of the students fail: mostly 60 to 95, as exam results go."""
    point = draw(seed, "percent", award_id)
    if point < 0.08:
        return 35 + int(point / 0.08 * 25)
    spread = (draw(seed, "p1", award_id) + draw(seed, "p2", award_id)) / 2
    return 60 + int(spread * 41)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the home university decides about one mapping. `milli` are thousandths of a credit."""

    outcome: str  # positive, partially_positive or negative
    milli: int
    category: str  # required, elective or general
    reason: str


def recognize(
    home_milli: int | None, host_milli: int, overlap_percent: int, *, already_earned: bool
) -> Ruling:
    """Weigh awarded credits against the home course they are to replace.

    `home_milli` is None where home has no such course. Sources: regulations of Chinese universities on credit
    recognition: no second recognition of a course; content must overlap by two thirds, else elective at most; of a
    host's surplus home's credits are recorded and the rest is forfeited; up to one credit less is raised to home's;
    with more than one credit less the student keeps the host's and makes up the difference.
    """
    if already_earned:
        return Ruling("negative", 0, "required", "already_earned")
    if home_milli is None or overlap_percent * 3 < 200:
        if overlap_percent < 40:
            return Ruling("negative", 0, "elective", "content_overlap_low")
        return Ruling("partially_positive", host_milli, "elective", "elective_only")
    if host_milli > home_milli:
        return Ruling("positive", home_milli, "required", "same_content_credit_capped")
    if host_milli == home_milli:
        return Ruling("positive", home_milli, "required", "equivalent")
    if home_milli - host_milli <= TOLERANCE_MILLI:
        return Ruling("positive", home_milli, "required", "raised_to_home_credit")
    return Ruling("partially_positive", host_milli, "required", "credit_shortfall")


def overlap_drawn(seed: int, home: str, course_title: str, *, same_title: bool) -> int:
    """Percent of the content two courses share: high where home teaches a course of that name."""
    point = draw(seed, "overlap", home, course_title)
    return 55 + int(point**0.5 * 46) if same_title else 25 + int(point * 45)
