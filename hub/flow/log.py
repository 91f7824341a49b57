"""Reading `ledger.entries` from Kafka through the reading rule."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from hub.flow.kafka import plain_reader
from hub.ledger.replay import Replay
from hub.ledger.state import Rules, State
from schemas import topics
from schemas.records import Entry


@dataclass(frozen=True, slots=True)
class Replayed:
    """The ledger's state at the end of the log, and the offset after its newest record."""

    replay: Replay
    end_offset: int

    @property
    def state(self) -> State:
        return self.replay.state


async def replay_log(
    bootstrap: str,
    members: frozenset[str],
    rules: Rules,
    see: Callable[[Entry], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    state: State | None = None,
) -> Replayed:
    """Read the whole log and recompute it. `see` gets each accepted entry, `progress` (records read, records in all).

    Who wants to look at the ledger's state while it grows gives an empty one as `state`.

    Raises `LedgerCorrupt` where the log is not what the rules make of its events.
    """
    replay = Replay(rules, state or State(members))
    async for values, offset, end in _values(bootstrap):
        for value in values:
            entry = replay.feed(value)
            if entry is not None and see is not None:
                see(entry)
        if progress is not None:
            progress(offset, end)
        last = offset
        if offset >= end:
            return Replayed(replay, last)
    return Replayed(replay, 0)


async def _values(bootstrap: str) -> AsyncIterator[tuple[list[bytes], int, int]]:
    async with plain_reader(bootstrap, [(topics.LEDGER_ENTRIES, 0)], "hub.log") as reader:
        end = await reader.end(topics.LEDGER_ENTRIES)
        offset = 0
        while offset < end:
            messages = await reader.batch(500, 2000)
            for message in messages:
                offset = message.offset + 1
            yield [message.value or b"" for message in messages], offset, end
            end = await reader.end(topics.LEDGER_ENTRIES)
