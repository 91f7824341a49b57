"""Recomputing a long log: on two cores where there are two, else on one. The state is the same either way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

from hub.ledger.replay import Replay
from hub.rebuild.ahead import WORTH_IT, Ahead
from schemas.records import Entry


class Rebuild:
    """Feeds chunks of records to a replay, in partition order. Use it as a context manager, and `finish` at the end.

    `see` gets each accepted entry.
    """

    def __init__(self, replay: Replay, see: Callable[[Entry], None] | None = None) -> None:
        self.replay = replay
        self.ahead: Ahead | None = None
        self._see = see
        self._alone: bool | None = None  # nobody said yet how much is to come

    def __enter__(self) -> Rebuild:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.ahead is not None:
            self.ahead.__exit__(kind, error, trace)

    def expect(self, records: int) -> None:
        """So many records are to come, as far as known. What is said before the first chunk decides: for few, one process does."""
        if self._alone is None:
            self.ahead = Ahead.start(self.replay.head) if records >= WORTH_IT else None
            self._alone = self.ahead is None

    def take(self, values: Sequence[bytes]) -> None:
        """One chunk. With a second process it is the one before that is recomputed meanwhile.

        Raises `LedgerCorrupt` as `Replay.feed`, and `AheadEnded`.
        """
        self.expect(0)
        if self.ahead is not None:
            self._turn(self.ahead, values)
            return
        for value in values:
            entry = self.replay.feed(value)
            if entry is not None and self._see is not None:
                self._see(entry)

    def finish(self) -> None:
        """What is still with the second process. Raises as `take`."""
        if self.ahead is not None:
            self._turn(self.ahead, None)

    def _turn(self, ahead: Ahead, values: Sequence[bytes] | None) -> None:
        done = ahead.turn(values)
        if done is None:
            return
        for value, looked in zip(done.values, done.found, strict=False):
            self.replay.feed_looked(value, looked, tell=self._see is not None)
            if self._see is not None and self.replay.told is not None:
                self._see(self.replay.told)
        done.check()
