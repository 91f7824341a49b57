"""Which streams have been silent for too long: as their campus declared it, else as they used to speak. Pure.

A connector knows its expectation whole, with days of the week and grace, and says so when it is missed. Here its word
counts, and behind it stands a bound that no week end or short holiday reaches, should it not say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import quantiles

from schemas.records import Heartbeat

DAYS_OFF = timedelta(days=4)  # which days are expected only the campus knows
BURST = timedelta(minutes=10)  # events nearer than that are one act of speaking
FEW = 12  # acts of speaking before a rhythm is believed
SPAN = timedelta(days=7)  # what they must cover: a whole week, with its nights and its Sunday
LEAST = timedelta(hours=6)
SAYS_SO = "expected every"  # in the reason of a part that misses its records


@dataclass(frozen=True, slots=True)
class Silence:
    """A stream that should have spoken. `stream` is a source of a connector, or empty for all of a member's events."""

    member: str
    stream: str
    last_at: datetime | None
    expected_s: float
    learned: bool


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a member speaks: with pauses of at most `usual_s`, nine times of ten."""

    last_at: datetime
    usual_s: float

    @property
    def limit_s(self) -> float:
        return max(2 * self.usual_s, LEAST.total_seconds())


def declared(beats: Iterable[Heartbeat], now: datetime) -> list[Silence]:
    """Sources that miss records by what their campus declared. A paused source is not expected to speak."""
    found = []
    for beat in beats:
        for part in beat.parts:
            if part.expected_s is None or part.state in ("paused", "stopped"):
                continue
            expected = timedelta(seconds=part.expected_s)
            since = part.last_record_at or beat.started_at
            bound = max(2 * expected, expected + DAYS_OFF)
            late = since is not None and now - since > bound
            if late or (part.state == "degraded" and SAYS_SO in part.reason):
                stream = f"{beat.connector}/{part.name}"
                found.append(
                    Silence(
                        beat.member, stream, part.last_record_at, part.expected_s, learned=False
                    )
                )
    return found


def rhythm(times: Sequence[datetime]) -> Rhythm | None:
    """How somebody speaks, from the times of its newest events in any order; None while too few are known."""
    ordered = sorted(times)
    if not ordered or ordered[-1] - ordered[0] < SPAN:
        return None
    pauses = [(b - a).total_seconds() for a, b in pairwise(ordered) if b - a > BURST]
    if len(pauses) < FEW:
        return None
    return Rhythm(ordered[-1], quantiles(pauses, n=10, method="inclusive")[8])


def learned(rhythms: Iterable[tuple[str, Rhythm]], now: datetime) -> list[Silence]:
    """Members that have been silent for twice their usual pause."""
    return [
        Silence(member, "", found.last_at, found.usual_s, learned=True)
        for member, found in rhythms
        if (now - found.last_at).total_seconds() > found.limit_s
    ]
