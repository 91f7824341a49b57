"""How many calls a campus allows us. Owns the counting of our calls and the campus's own words about what is left.

What was counted is forgotten when the process ends: a limit per day begins anew with each start, and what the campus
says then (429, `Retry-After`) still holds.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence

from pydantic import Field

from connectors.sdk.contract import Options

_LONGEST_S = (
    3600.0  # a reset further away is taken for a time of day that was written where seconds belong
)


class Rate(Options):
    """At most `calls` in any `per_s` seconds."""

    calls: int = Field(ge=1, le=100_000)
    per_s: float = Field(gt=0)


class Budget:
    """Several limits at once. Times are seconds that only grow.

    The times of the newest calls are kept, not a bucket of tokens: a bucket lets nearly twice the calls through in one
    window, and campuses that count windows answer with 429.
    """

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._rates = [(rate, deque[float](maxlen=rate.calls)) for rate in rates]
        self._closed_until = 0.0

    def wait_s(self, now: float) -> float:
        """0 counts a call as made; otherwise the seconds until there is room for one."""
        room = [
            taken[0] + rate.per_s - now for rate, taken in self._rates if len(taken) == rate.calls
        ]
        wait_s = max([0.0, self._closed_until - now, *room])
        if wait_s == 0:
            for _, taken in self._rates:
                taken.append(now)
        return wait_s

    def spent(self, now: float) -> str:
        """Which limit a call waits for, in words."""
        for rate, taken in self._rates:
            if len(taken) == rate.calls and taken[0] + rate.per_s > now:
                return f"our own limit of {rate.calls} calls in {rate.per_s:g} s is used up"
        return "that system said that our calls are used up"

    def hear(self, headers: Mapping[str, str], now: float) -> None:
        """Note what an answer says is left, and for how long."""
        left, reset_s = remaining(headers)
        if left == 0 and reset_s is not None and reset_s <= _LONGEST_S:
            self._closed_until = max(self._closed_until, now + reset_s)


def remaining(headers: Mapping[str, str]) -> tuple[int | None, float | None]:
    """Calls left and seconds until there are more, as far as an answer tells.

    Source: draft-ietf-httpapi-ratelimit-headers, both forms in use: the fields `RateLimit-Remaining` and
    `RateLimit-Reset` (until draft 07), and `RateLimit: "name";r=0;t=30` (since draft 08).
    https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
    """
    one = headers.get("ratelimit", "")
    if found := dict(re.findall(r";\s*([rt])\s*=\s*(\d+)", one)):
        return _whole(found.get("r")), _whole(found.get("t"))
    return (
        _whole(headers.get("ratelimit-remaining")),
        _whole(headers.get("ratelimit-reset")),
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,12}", text.strip()) else None
