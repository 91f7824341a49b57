"""The plot of outcomes as numbers: stacked bars over the last minutes. The template only draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.store.fold import STEP_MS
from hub.store.queries import Beat
from schemas.envelope import from_millis, to_millis

STEPS = 60
WIDTH, HEIGHT = 600, 100  # units of the drawing; the page stretches it
STACK = ("applied", "duplicate", "parked", "rejected", "conflict")  # bottom to top


@dataclass(frozen=True, slots=True)
class Part:
    """One outcome in one bar, in units of the drawing."""

    outcome: str
    entries: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of time."""

    at: datetime
    x: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Bars from old to new; `top` is the number of entries that the full height means."""

    bars: tuple[Bar, ...]
    top: int
    step: float = WIDTH / STEPS


def plot(pulse: Sequence[Beat], now: datetime) -> Plot:
    """The last `STEPS` steps up to now. Quiet steps have no parts."""
    last = to_millis(now) // STEP_MS * STEP_MS
    starts = [
        from_millis(last) - timedelta(milliseconds=STEP_MS * (STEPS - 1 - i)) for i in range(STEPS)
    ]
    counts = {(beat.at, beat.outcome): beat.entries for beat in pulse}
    top = max((sum(counts.get((at, name), 0) for name in STACK) for at in starts), default=0)
    bars = []
    for index, at in enumerate(starts):
        filled, parts = 0.0, []
        for name in STACK:
            entries = counts.get((at, name), 0)
            if entries:
                height = HEIGHT * entries / top
                filled += height
                parts.append(Part(name, entries, round(HEIGHT - filled, 2), round(height, 2)))
        bars.append(Bar(at, round(index * WIDTH / STEPS, 2), tuple(parts)))
    return Plot(tuple(bars), top)
