"""Stops a part of a connector that parks one key after another: then it is not the records that are wrong.

Owns when a part stops and what lets it go on. What would be parked beyond the limit is not: the cursor stays before it, so
that a corrected mapping finds the whole term where it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from connectors.sdk.contract import ConfigError
from connectors.sdk.state.file import State
from connectors.sdk.state.parking import BLOCKED, Parked


def opens(recent: int, new: int, limit: int) -> bool:
    """Whether `new` keys more are too many, after `recent` within the window."""
    return new > 0 and recent + new > limit


def new_keys(rows: Sequence[Parked]) -> int:
    """How many keys these rows park; what stands alone counts as one, what waits behind another not at all."""
    heads = [row for row in rows if row.code != BLOCKED and row.due_at is None]
    return len({(row.part, row.key) for row in heads if row.key}) + sum(
        not row.key for row in heads
    )


class Breaker:
    """The breakers of one connector's parts. Times in milliseconds since 1970."""

    def __init__(self, state: State, limit: int, window_ms: int) -> None:
        self._state = state
        self._limit = limit
        self._window_ms = window_ms
        self._recent: dict[str, deque[int]] = {}
        self._granted: set[str] = set()  # one page more, whatever it parks
        self._known = state.parking.breakers()

    def reason(self, part: str) -> str:
        """Why the part's breaker is open; empty when it is closed."""
        return self._known.get(part, ("", 0))[0]

    def check(self, part: str) -> None:
        """Raises `ConfigError` while the breaker is open."""
        if reason := self.reason(part):
            raise ConfigError(reason)

    def admit(self, part: str, rows: Sequence[Parked], now: int) -> None:
        """Ask before these are parked. Opens, and raises `ConfigError`, when they would be too many."""
        held = self._state.parking.held(part)
        fresh = [row for row in rows if row.key is None or row.key not in held]
        new = new_keys(fresh)
        recent = self._times(part, now)
        if part not in self._granted and opens(len(recent), new, self._limit):
            newest = next(row for row in reversed(fresh) if row.code != BLOCKED)
            minutes = max(1, round(self._window_ms / 60_000))
            reason = (
                f"breaker open: {len(recent) + new} keys parked in {minutes} min, newest cause {newest.code}: "
                f"{newest.brief}; at most {self._limit} (runtime.parked_keys_limit). Correct it, then: "
                "alliance connector parked redrive DIR --all; or, if it is to go on so: alliance connector resume DIR"
            )
            self._note(part, reason, now)
            raise ConfigError(reason)
        self._granted.discard(part)
        recent.extend([now] * new)

    def close(self, part: str, now: int, *, grant: bool = False) -> None:
        """Let the part go on, counting from now. With `grant` its next step may park as much as it likes."""
        if grant and self.reason(part):
            self._granted.add(part)
        self._recent[part] = deque()
        if self.reason(part):
            self._note(part, "", now)

    def tried_again(self, part: str, now: int) -> None:
        """All that the part had parked was tried again: if that left few enough, it goes on."""
        if self.reason(part) and self._state.parking.by_part().get(part, (0, 0))[0] < self._limit:
            self.close(part, now)

    def _note(self, part: str, reason: str, now: int) -> None:
        self._state.repark(lambda parking: parking.set_breaker(part, reason, now))
        self._known[part] = (reason, now)

    def _times(self, part: str, now: int) -> deque[int]:
        """When keys of this part were parked, within the window."""
        since = max(now - self._window_ms, self._known.get(part, ("", 0))[1])
        if part not in self._recent:
            self._recent[part] = deque(self._state.parking.new_heads(part, since))
        times = self._recent[part]
        while times and times[0] <= since:
            times.popleft()
        return times
