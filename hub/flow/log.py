"""Reading `ledger.entries` from Kafka through the reading rule."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from hub.flow.kafka import plain_reader
from hub.flow.snapshots import Start, without_collection
from hub.ledger.replay import Replay
from hub.ledger.state import Rules, State
from hub.rebuild.rebuild import Rebuild
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
    start: Start | None = None,
) -> Replayed:
    """Read the log and recompute it. `see` gets each accepted entry, `progress` (records read, records in all).

    Who wants to look at the ledger's state while it grows gives an empty one as `state`. Without a snapshot to `start`
    from, the whole log is read: only that proves anything.

    A long log is recomputed on two cores where there are two (`hub.rebuild.rebuild`).
    Raises `LedgerCorrupt` where the log is not what the rules make of its events, `AheadEnded` when the second process ended.
    """
    if start is not None:
        replay, last = Replay(rules, start.state, start.state.head), start.next_offset
    else:
        replay, last = Replay(rules, state or State(members)), 0
    with without_collection():
        return await _recomputed(bootstrap, Rebuild(replay, see), last, progress)


async def _recomputed(
    bootstrap: str,
    rebuild: Rebuild,
    last: int,
    progress: Callable[[int, int], None] | None,
) -> Replayed:
    with rebuild:
        async for values, offset, end in _values(bootstrap, last):
            rebuild.expect(end - last)
            rebuild.take(values)
            if progress is not None:
                progress(offset, end)
            last = offset
            if offset >= end:
                break
        rebuild.finish()
    return Replayed(rebuild.replay, last)


async def _values(bootstrap: str, offset: int) -> AsyncIterator[tuple[list[bytes], int, int]]:
    async with plain_reader(bootstrap, [(topics.LEDGER_ENTRIES, 0)], "hub.log") as reader:
        end = await reader.end(topics.LEDGER_ENTRIES)
        reader.seek(topics.LEDGER_ENTRIES, offset)
        while offset < end:
            messages = await reader.batch(500, 2000)
            for message in messages:
                offset = message.offset + 1
            yield [message.value or b"" for message in messages], offset, end
            end = await reader.end(topics.LEDGER_ENTRIES)
