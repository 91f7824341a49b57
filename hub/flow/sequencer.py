"""The sequencer: fixes the order, applies the rules, appends to the log. One is active, any number stand by.

Correctness does not rest on being alone: an entry counts only if it extends the head (`hub.ledger.head`), so of two
sequencers the first valid one wins at each place and the other reads again. There is no offset to commit: the position
in `ledger.in` is inside the newest accepted entry. The consumer group only says who works and who waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import structlog

from hub.errors import LedgerCorrupt
from hub.flow.kafka import (
    BATCH_BYTES,
    Message,
    OnAssignment,
    Outgoing,
    Reader,
    Writer,
    cut,
    group_reader,
    producer,
)
from hub.flow.log import replay_log
from hub.flow.snapshots import newest_start
from hub.ledger.apply import Written, apply
from hub.ledger.state import Input, Rules
from schemas import topics
from schemas.codec import Unreadable, decode
from schemas.envelope import to_millis
from schemas.members import Alliance
from schemas.records import Admitted

log = structlog.get_logger("sequencer")

GROUP = "hub.sequencer"
BATCH = 1000


class LostTheHead(Exception):
    """Someone else appended, or it is not known what happened to a batch: read the log again."""


def read_input(message: Message) -> Input:
    """A message of `ledger.in` as the rules take it. Raises `LedgerCorrupt` for anything admission did not write."""
    try:
        admitted = decode(message.value or b"")
        if not isinstance(admitted, Admitted):
            raise LedgerCorrupt(
                f"ledger.in offset {message.offset} holds a {type(admitted).__name__}; only admission may write this topic"
            )
        event: Any = decode(admitted.event)
    except Unreadable as error:
        raise LedgerCorrupt(
            f"ledger.in offset {message.offset} cannot be read: {error}; only admission may write this topic, "
            "and the sequencer must not be older than admission"
        ) from error
    return Input(
        offset=message.offset,
        timestamp_ms=message.timestamp_ms,
        event=event,
        event_type=event.EVENT,
        value=admitted.event,
        key_id=admitted.key_id,
        signature=admitted.signature,
        source_topic=admitted.source_topic,
        source_partition=admitted.source_partition,
        source_offset=admitted.source_offset,
        published_ms=to_millis(admitted.published_at),
    )


async def run_sequencer(
    bootstrap: str,
    alliance: Alliance,
    rules: Rules,
    stop: asyncio.Event,
    instance: str = "1",
    snapshots: Path | None = None,
) -> None:
    """Work, or stand by, until `stop` is set. Raises `LedgerCorrupt` when the books disagree: do not restart blindly.

    It starts from the newest snapshot in the folder that the log bears out, else from the log's beginning.
    """
    listener = OnAssignment()
    async with group_reader(bootstrap, [topics.LEDGER_IN], GROUP, instance, listener) as reader:
        while not stop.is_set():
            if (topics.LEDGER_IN, 0) not in reader.assigned():
                await asyncio.sleep(0.05)
                continue
            try:
                # A producer that lost a batch may never send another: its numbering has a hole. So, a new one each time.
                async with producer(bootstrap, f"{GROUP}.{instance}") as writer:
                    await _lead(
                        bootstrap, alliance, rules, stop, listener, reader, writer, snapshots
                    )
            except LostTheHead as doubt:
                log.warning("read_again", why=str(doubt))


async def _lead(
    bootstrap: str,
    alliance: Alliance,
    rules: Rules,
    stop: asyncio.Event,
    listener: OnAssignment,
    reader: Reader,
    writer: Writer,
    snapshots: Path | None,
) -> None:
    generation = listener.generation
    members = frozenset(alliance.members)
    start = await newest_start(bootstrap, snapshots, members) if snapshots else None
    log_read = await replay_log(bootstrap, members, rules, start=start)
    state, end = log_read.state, log_read.end_offset
    if generation != listener.generation:
        return
    reader.seek(topics.LEDGER_IN, state.next_input)
    log.info("leading", seq=state.head.seq, next_input=state.next_input, void=log_read.replay.void)
    unconfirmed = await _append(writer, log_read.replay.rest())
    while not stop.is_set() and generation == listener.generation:
        messages = await reader.batch(10 if unconfirmed else 500, BATCH)
        groups = [apply(state, read_input(message), rules) for message in messages]
        end = await _confirm(unconfirmed, end)
        unconfirmed = await _append(writer, [written for group in groups for written in group])
        if messages:
            log.info("sequenced", events=len(messages), seq=state.head.seq)
    await _confirm(unconfirmed, end)


async def _append(writer: Writer, written: Sequence[Written]) -> list[tuple[Awaitable[int], int]]:
    """Send in batches of a size Kafka likes; what one input released may be cut, a successor writes the rest first."""
    records = [Outgoing(item.entry.subject.encode(), item.value, []) for item in written]
    return [
        (await writer.send_whole(topics.LEDGER_ENTRIES, records[start:end]), end - start)
        for start, end in cut(records, BATCH_BYTES)
    ]


async def _confirm(unconfirmed: list[tuple[Awaitable[int], int]], end: int) -> int:
    """Wait for the batches; they count only if each stands right behind the last accepted record."""
    for ack, count in unconfirmed:
        try:
            offset = await ack
        except Exception as error:
            raise LostTheHead(
                f"a batch of {count} entries was not acknowledged: {error!r}"
            ) from error
        if offset != end:
            raise LostTheHead(
                f"a batch landed at offset {offset}, {end} was expected: another sequencer writes too"
            )
        end += count
    return end
