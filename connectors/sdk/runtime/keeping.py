"""How a part of a connector keeps going: its step is repeated, what fails is tried again after a growing pause, and people may
hold it.

A `Gate` is what people want of one part. It closes between two steps, never within one, and cuts short nothing but waiting.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from connectors.sdk.clock import Clock
from connectors.sdk.contract import ConnectorError, Permanent, RetryLater, Transient
from connectors.sdk.runtime.kafka import Inbox, Incoming

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_FIRST_PAUSE_FAILED_S, _LONGEST_PAUSE_FAILED_S = 5.0, 120.0  # a person must act first

Wish: TypeAlias = Literal["running", "paused"]


@dataclass(slots=True)
class Health:
    """How each part is: `running`, `degraded` (being retried) or `failed` (a person must act), with a reason."""

    parts: dict[str, tuple[str, str]] = field(default_factory=dict)

    def say(self, part: str, state: str, reason: str = "") -> bool:
        """Note it; whether that is news."""
        news = self.parts.get(part, ("running", "")) != (state, reason)
        self.parts[part] = (state, reason)
        return news

    def overall(self) -> tuple[str, str]:
        """The worst part speaks."""
        for state in ("failed", "degraded"):
            reasons = [f"{part}: {why}" for part, (how, why) in self.parts.items() if how == state]
            if reasons:
                return state, "; ".join(reasons)
        return "running", ""


class Interrupted(Exception):
    """Waiting was cut short by a command; nothing was lost. Only `Keeper` answers it."""


class Gate:
    """What people want of a step. `release` lets go of connections that are to be opened anew."""

    def __init__(self, release: Callable[[], Awaitable[None]] | None = None) -> None:
        self.wanted: Wish = "running"
        self.rested = asyncio.Event()  # set while the part stands still
        self.nudged = asyncio.Event()  # set by a command until the part has seen it
        self._restarting = False
        self._release = release

    @property
    def closed(self) -> bool:
        return self.wanted != "running"

    def want(self, wanted: Wish) -> None:
        """Hold the part, or let it go on; it obeys when its step is over."""
        if self.wanted != wanted:
            self.wanted = wanted
            self.rested.clear()
            self.nudged.set()

    def restart(self) -> None:
        """Let go of connections when the step is over, and try again at once what waits to be retried."""
        self._restarting = True
        self.nudged.set()

    async def obey(self) -> bool:
        """Between two steps: return when the part may go on. Whether anything was asked of it."""
        if not self.nudged.is_set() and not self.closed:
            return False
        while True:
            self.nudged.clear()
            if self._restarting and self._release is not None:
                await self._release()
            self._restarting = False
            if not self.closed:
                return True
            self.rested.set()
            await self.nudged.wait()


class GatedClock:
    """A clock whose waiting ends early when a command comes; whoever waits for the next round may begin it."""

    def __init__(self, clock: Clock, gate: Gate) -> None:
        self._clock, self._gate = clock, gate

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.wait(self._gate.nudged, seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        await self._clock.wait(event, seconds)


class GatedInbox:
    """An inbox whose waiting ends with `Interrupted` when a command comes. Messages stay where they are."""

    def __init__(self, inbox: Inbox, gate: Gate) -> None:
        self._inbox, self._gate = inbox, gate

    async def take(self, limit: int) -> Sequence[Incoming]:
        taking = asyncio.ensure_future(self._inbox.take(limit))
        nudged = asyncio.ensure_future(self._gate.nudged.wait())
        try:
            await asyncio.wait((taking, nudged), return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                return taking.result()
            raise Interrupted
        finally:
            nudged.cancel()
            if not taking.done():
                taking.cancel()


class Keeper:
    """Repeats the steps of one connector's parts, and notes in `health` how each is."""

    def __init__(self, health: Health, clock: Clock, rng: random.Random, log: Any) -> None:
        self._health = health
        self._clock = clock
        self._rng = rng
        self._log = log

    async def keep(
        self, part: str, step: Callable[[], Awaitable[None]], gate: Gate | None = None
    ) -> None:
        """Repeat a step. Whatever fails is tried again after a pause; the reason shows in heartbeat and status."""
        gate = gate or Gate()
        clock = GatedClock(self._clock, gate)
        failures = 0
        while True:
            if gate.closed:
                self._health.say(part, "running")  # what it failed at is nobody's trouble now
            if await gate.obey():
                failures = 0
            try:
                await step()
            except Interrupted:
                continue
            except Exception as error:  # noqa: BLE001, the outermost loop: one campus's surprise must not end the others
                state, pause_s = self._judge(error, failures)
                failures += 1
                if self._health.say(part, state, said(error)):
                    surprise = error if not isinstance(error, ConnectorError) else None
                    self._log.warning(
                        "step_failed", part=part, state=state, reason=str(error), retry_in_s=round(pause_s, 2),
                        exc_info=surprise,
                    )  # fmt: skip
                await clock.sleep(pause_s)
                continue
            failures = 0
            if self._health.say(part, "running"):
                self._log.info("step_recovered", part=part)

    def _judge(self, error: Exception, failures: int) -> tuple[str, float]:
        """State and pause in seconds: exponential with jitter, unless the other side named its pause."""
        if isinstance(error, RetryLater):
            # A pause of 0 s, or a date that is over, must not become a storm of questions.
            return "degraded", max(error.after_s, _FIRST_PAUSE_S)
        first, longest = _FIRST_PAUSE_FAILED_S, _LONGEST_PAUSE_FAILED_S
        if isinstance(error, Transient):
            first, longest = _FIRST_PAUSE_S, _LONGEST_PAUSE_S
        pause_s = min(first * 2 ** min(failures, 10), longest) * self._rng.uniform(0.5, 1.0)
        return ("degraded" if isinstance(error, Transient) else "failed"), pause_s


def said(error: Exception) -> str:
    """The reason in words that may leave the campus. What a surprise says may hold anything, so only the log has it."""
    if isinstance(error, Permanent):
        return error.brief
    if isinstance(error, ConnectorError):
        return str(error) or type(error).__name__
    return f"unexpected {type(error).__name__}; the connector's log has the rest"
