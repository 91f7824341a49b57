"""How a part of a connector keeps going: its step is repeated, and what fails is tried again after a growing pause."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from connectors.sdk.clock import Clock
from connectors.sdk.contract import ConnectorError, Permanent, RetryLater, Transient

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_FIRST_PAUSE_FAILED_S, _LONGEST_PAUSE_FAILED_S = 5.0, 120.0  # a person must act first


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


class Keeper:
    """Repeats the steps of one connector's parts, and notes in `health` how each is."""

    def __init__(self, health: Health, clock: Clock, rng: random.Random, log: Any) -> None:
        self._health = health
        self._clock = clock
        self._rng = rng
        self._log = log

    async def keep(self, part: str, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a step. Whatever fails is tried again after a pause; the reason shows in heartbeat and status."""
        failures = 0
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001, the outermost loop: one campus's surprise must not end the others
                state, pause_s = self._judge(error, failures)
                failures += 1
                if self._health.say(part, state, said(error)):
                    surprise = error if not isinstance(error, ConnectorError) else None
                    self._log.warning(
                        "step_failed", part=part, state=state, reason=str(error), retry_in_s=round(pause_s, 2),
                        exc_info=surprise,
                    )  # fmt: skip
                await self._clock.sleep(pause_s)
                continue
            failures = 0
            if self._health.say(part, "running"):
                self._log.info("step_recovered", part=part)

    def _judge(self, error: Exception, failures: int) -> tuple[str, float]:
        """State and pause in seconds: exponential with jitter, unless the other side named its pause."""
        if isinstance(error, RetryLater):
            return "degraded", error.after_s
        first, longest = _FIRST_PAUSE_FAILED_S, _LONGEST_PAUSE_FAILED_S
        if isinstance(error, Transient):
            first, longest = _FIRST_PAUSE_S, _LONGEST_PAUSE_S
        pause_s = min(first * 2 ** min(failures, 10), longest) * self._rng.uniform(0.5, 1.0)
        return ("degraded" if isinstance(error, Transient) else "failed"), pause_s


def said(error: Exception) -> str:
    """The reason in words that may leave the campus."""
    return error.brief if isinstance(error, Permanent) else str(error) or type(error).__name__
