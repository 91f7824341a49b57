"""A system that is down is left alone: after some failures in a row only one call each so often tries whether it is back.

Owns counting and opening; what counts as a failure is the client's word.
"""

from __future__ import annotations

from pydantic import Field

from connectors.sdk.contract import Options


class BreakerTable(Options):
    """`breaker = { open_after, probe_s }`: failures in a row that open it, seconds between two probes."""

    open_after: int = Field(default=5, ge=1)
    probe_s: float = Field(default=30, gt=0)


class Breaker:
    """Closed until `open_after` failures in a row, then one probe each `probe_s`. Times are seconds that only grow.

    Every call that was let through ends in exactly one of `succeeded`, `failed` and `given_up`.
    """

    def __init__(self, table: BreakerTable) -> None:
        self._table = table
        self._failures = 0
        self._opened = -1.0
        self._probing = False

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._failures

    @property
    def probing(self) -> bool:
        """Whether a probe is under way: its outcome decides for whoever asks meanwhile."""
        return self._probing

    def wait_s(self, now: float) -> float:
        """0 lets a call through, which must then be reported; otherwise the seconds until a probe is due."""
        if self._failures < self._table.open_after:
            return 0.0
        left = self._opened + self._table.probe_s - now
        if left > 0:
            return left
        self._probing = True
        return 0.0

    def succeeded(self) -> None:
        """The system answered."""
        self._failures = 0
        self._probing = False

    def failed(self, now: float) -> None:
        """It did not, or said that it is unwell."""
        self._failures += 1
        self._opened = now
        self._probing = False

    def given_up(self) -> None:
        """The call ended without word of the system's health: cancelled, or held back by a limit."""
        self._probing = False
