"""A clock that stands still while anyone works, and then jumps."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

from connectors.sdk.testing.names import START

_SETTLE_ROUNDS = 40  # turns of the event loop after which only sleepers are left


class FakeClock:
    """A clock that stands still while anyone works, then jumps to the next sleeper's time."""

    def __init__(self) -> None:
        self._elapsed_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = itertools.count()

    def now(self) -> datetime:
        return START + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        await self._timer(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        both = (self._timer(seconds), asyncio.ensure_future(event.wait()))
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()

    def _timer(self, seconds: float) -> asyncio.Future[None]:
        timer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + seconds, next(self._number), timer))
        return timer

    async def until(self, done: Callable[[], bool], within_s: float = 600) -> bool:
        """Let everyone work, jumping in time, until `done()`; False when that takes longer than `within_s`."""
        last = self._elapsed_s + within_s
        while True:
            for _ in range(_SETTLE_ROUNDS):
                await asyncio.sleep(0)
                if done():
                    return True
            if not self._sleepers or self._sleepers[0][0] > last:
                return False
            at, _, timer = heapq.heappop(self._sleepers)
            self._elapsed_s = max(at, self._elapsed_s)
            if not timer.done():
                timer.set_result(None)
