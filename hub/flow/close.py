"""Closing a period: operators ask, the ledger answers. Writes the request to `ledger.in` and waits for what became of it.

The request holds no time and no sum: the ledger's own rules say what the period has. Asking while no sequencer runs is
not lost; the request is answered when one does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hub.errors import RetryLater, SettingsError
from hub.flow.kafka import Outgoing, Reader, plain_reader, producer
from hub.ledger.head import GENESIS, Head, read_entry
from hub.ledger.statement import OPEN
from schemas import topics
from schemas.codec import decode, encode
from schemas.envelope import from_millis
from schemas.records import Admitted, Close, Entry, PeriodClosed

NAME = "hub.operator"
NAME_CHARACTERS = 64  # ours: it stands in file names and headings


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed period, and the entry that closed it."""

    record: PeriodClosed
    seq: int


@dataclass(slots=True)
class _Following:
    """The log as far as it was read: its head, and the periods it closed."""

    head: Head = GENESIS
    offset: int = 0

    def take(self, value: bytes | None) -> Entry | None:
        entry = read_entry(value)
        head = self.head.extended_by(entry, value or b"") if entry else None
        if head is None:
            return None
        self.head = head
        return entry


def checked_name(name: str) -> str:
    """The name, if a period may have it. Raises `SettingsError` otherwise."""
    if name == OPEN or not name.isprintable() or not 0 < len(name) <= NAME_CHARACTERS:
        raise SettingsError(
            f"period name {name[:80]!r}: wanted 1 to {NAME_CHARACTERS} printable characters other than {OPEN!r}, "
            "such as 2026-2027-1"
        )
    return name


def request(asked: Close) -> Outgoing:
    """The request as a message of the ledger's input. Nobody signs it; it moves nothing."""
    admitted = Admitted(
        source_topic="",
        source_partition=0,
        source_offset=asked.number,
        published_at=from_millis(0),
        key_id="",
        signature=b"",
        event=encode(asked),
    )
    return Outgoing(NAME.encode(), encode(admitted), [])


async def close_period(
    bootstrap: str,
    asked: Close,
    within_s: float,
    progress: Callable[[int, int], None] | None = None,
) -> Closed:
    """Ask the ledger to close the period, and wait for its entry. `asked.clock` and `.number` name this request alone.

    `progress` gets (records read, records in all) while the log is read up to now. Raises `SettingsError` when a period of
    that name is closed, `RetryLater` when no answer comes in time.
    """
    log = _Following()
    async with plain_reader(bootstrap, [(topics.LEDGER_ENTRIES, 0)], NAME) as reader:
        end = await reader.end(topics.LEDGER_ENTRIES)
        while log.offset < end:
            for entry in await _entries(reader, log):
                if entry.event_type == PeriodClosed.EVENT and entry.subject == asked.period:
                    raise SettingsError(_known(asked.period, _record(entry)))
            if progress is not None:
                progress(log.offset, end)
        async with producer(bootstrap, NAME) as writer:
            for ack in await writer.send(topics.LEDGER_IN, [request(asked)]):
                await ack
        try:
            async with asyncio.timeout(within_s):
                return await _answer(reader, log, asked)
        except TimeoutError as error:
            raise RetryLater(
                f"the ledger has not answered within {within_s:g} s; the request stands in ledger.in and is answered "
                "when a sequencer runs (`alliance run sequencer`), see `alliance period list`"
            ) from error


async def _answer(reader: Reader, log: _Following, asked: Close) -> Closed:
    value, cause = encode(asked), 0
    while True:
        for entry in await _entries(reader, log):
            if entry.event == value:
                if entry.outcome != "applied":
                    raise SettingsError(entry.detail)
                cause = entry.seq
            elif cause and entry.event_type == PeriodClosed.EVENT and entry.refers_to == cause:
                return Closed(_record(entry), entry.seq)


async def _entries(reader: Reader, log: _Following) -> list[Entry]:
    """The next entries that count."""
    found = []
    for message in await reader.batch(200, 2000):
        log.offset = message.offset + 1
        entry = log.take(message.value)
        if entry is not None:
            found.append(entry)
    return found


def _record(entry: Entry) -> PeriodClosed:
    record: Any = decode(entry.event)
    if not isinstance(record, PeriodClosed):
        raise SettingsError(f"entry {entry.seq} is no closed period; run `alliance ledger verify`")
    return record


def _known(name: str, record: PeriodClosed) -> str:
    return (
        f"period {name} holds entries {record.first_seq} to {record.last_seq}; choose another name"
    )
