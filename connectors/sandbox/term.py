"""The driver of a term: begins each phase at all campuses and waits until the alliance is quiet again.

Quiet is: no change without a final outcome, no office with work, every applied event received by each member it
addresses, and no number changed for a second. It knows the campuses by their HTTP interface alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx

from connectors.sandbox.folders import Place
from connectors.sandbox.offices.directory import PHASES

if TYPE_CHECKING:
    from rich.console import Console

Status: TypeAlias = Mapping[str, Any]

POLL_S = 0.4
SETTLED_S = 1.0


class NotSettled(Exception):
    """A phase did not come to rest in time; the message names campus and reason."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a phase is. `done` of `total` changes of this phase have their outcome; `events` counts the whole term."""

    phase: str
    done: int
    total: int
    events: int
    settled: bool = False


Show: TypeAlias = Callable[[Progress], None]


@dataclass(slots=True)
class _Watch:
    """When the numbers last changed."""

    last: list[Status] = field(default_factory=list)
    since: float = 0.0

    def unchanged_s(self, statuses: Sequence[Status], now: float) -> float:
        if list(statuses) != self.last:
            self.last, self.since = list(statuses), now
        return now - self.since


def unsettled(statuses: Sequence[Status]) -> list[str]:
    """Why the alliance is not quiet: one line for each campus and reason. Pure."""
    reasons = []
    for status in statuses:
        if status["open"]:
            oldest = status["oldestOpen"]
            state = "is parked" if oldest["outcome"] == "parked" else "has no outcome"
            reasons.append(
                f"campus {status['member']}: {status['open']} changes are open; {oldest['event']} {oldest['eventId']} "
                f"of {oldest['since']} {state}; look at its connector and at the hub"
            )
        if status["work"]:
            reasons.append(f"campus {status['member']}: {status['work']} cases wait for its office")
    return reasons + _undelivered(statuses)


def _undelivered(statuses: Sequence[Status]) -> list[str]:
    addressed: Counter[tuple[str, str]] = Counter()
    for status in statuses:
        for event, audience, count in status["sent"]:
            for member in audience:
                addressed[member, event] += count
    received = {
        (status["member"], event): count
        for status in statuses
        for event, count in status["received"].items()
    }
    ours = {status["member"] for status in statuses}
    return [
        f"campus {member}: has {received.get((member, event), 0)} of {count} {event} "
        "addressed to it; look at delivery and at its connector"
        for (member, event), count in sorted(addressed.items())
        if member in ours and received.get((member, event), 0) < count
    ]


@dataclass(frozen=True, slots=True)
class _Line:
    """The way to the campuses. A campus that does not answer is asked again until `deadline` (monotonic seconds)."""

    client: httpx.AsyncClient
    places: Sequence[Place]
    deadline: float

    async def begin(self, phase: str) -> bool:
        """Begin a phase everywhere; whether any campus had something to do."""
        answers = await asyncio.gather(
            *(self._call("POST", place, "/sim/phase", {"phase": phase}) for place in self.places)
        )
        return any(answer["changes"] for answer in answers)

    async def statuses(self) -> list[Status]:
        return list(
            await asyncio.gather(
                *(self._call("GET", place, "/sim/status") for place in self.places)
            )
        )

    async def _call(
        self, method: str, place: Place, path: str, body: object = None
    ) -> dict[str, Any]:
        while True:
            try:
                response = await self.client.request(method, place.url + path, json=body)
                response.raise_for_status()
                answer: dict[str, Any] = response.json()
            except (httpx.HTTPError, ValueError) as error:
                if time.monotonic() > self.deadline:
                    raise NotSettled(
                        f"campus {place.code}: {method} {place.url}{path} failed ({type(error).__name__}: {error}); "
                        "is `alliance sandbox campuses` running?"
                    ) from error
                await asyncio.sleep(POLL_S)
            else:
                return answer


async def run_term(
    places: Sequence[Place],
    show: Show,
    *,
    until: str | None = None,
    limit_s: float = 300,
    settled_s: float = SETTLED_S,
    transport: httpx.AsyncBaseTransport | None = None,
) -> None:
    """Lead the campuses through the phases, up to and with `until` (all of them by default).

    Raises `NotSettled` when a phase takes more than `limit_s` seconds or a campus does not answer.
    """
    if until is not None and until not in PHASES:
        raise NotSettled(f"phase {until!r} is unknown; the term has {', '.join(PHASES)}")
    async with httpx.AsyncClient(timeout=30, transport=transport) as client:
        for phase in PHASES:
            line = _Line(client, places, time.monotonic() + limit_s)
            await _phase(line, phase, show, limit_s, settled_s)
            if phase == until:
                return


async def _phase(line: _Line, phase: str, show: Show, limit_s: float, settled_s: float) -> None:
    before = _settled_count(await line.statuses())
    begun = await line.begin(phase)
    watch = _Watch()
    while True:
        statuses = await line.statuses()
        reasons = unsettled(statuses)
        now = time.monotonic()
        still_s = watch.unchanged_s(statuses, now)
        quiet = not reasons and (still_s >= settled_s or not begun)
        total = sum(status["changes"] for status in statuses)
        show(Progress(phase, _settled_count(statuses) - before, total - before, total, quiet))
        if quiet:
            return
        if now > line.deadline:
            raise NotSettled(_said(phase, limit_s, reasons))
        await asyncio.sleep(POLL_S)


def _said(phase: str, limit_s: float, reasons: Sequence[str]) -> str:
    shown = reasons[:10] or ["numbers keep changing"]
    more = f"\n  and {len(reasons) - 10} more" if len(reasons) > 10 else ""
    return f"phase {phase} did not settle in {limit_s:.0f} s:\n  " + "\n  ".join(shown) + more


def _settled_count(statuses: Sequence[Status]) -> int:
    return sum(status["changes"] - status["open"] for status in statuses)


@contextmanager
def shown_as_lines() -> Iterator[Show]:
    """Progress as JSON lines on standard output, one when something changed."""
    last: list[Progress] = []

    def show(progress: Progress) -> None:
        if last == [progress]:
            return
        last[:] = [progress]
        line = {
            "phase": progress.phase,
            "done": progress.done,
            "total": progress.total,
            "events": progress.events,
        }
        sys.stdout.write(json.dumps(line | ({"settled": True} if progress.settled else {})) + "\n")
        sys.stdout.flush()

    yield show


@contextmanager
def shown_as_bar() -> Iterator[Show]:
    """Progress as a bar for each phase on a terminal, as a line for each phase elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console()
    if not console.is_terminal:
        yield lambda progress: _print_settled(console, progress)
        return
    tasks: dict[str, Any] = {}
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(TextColumn("{task.description:<14}"), *columns, console=console) as bars:

        def show(progress: Progress) -> None:
            if progress.phase not in tasks:
                tasks[progress.phase] = bars.add_task(progress.phase)
            total = max(progress.total, 1)
            done = total if progress.settled else min(progress.done, total)
            bars.update(tasks[progress.phase], total=total, completed=done)

        yield show


def _print_settled(console: Console, progress: Progress) -> None:
    if progress.settled:
        console.print(
            f"{progress.phase}: {progress.done} of {progress.total} settled, {progress.events} events so far"
        )
