"""The state from the log: accept what counts, recompute every entry, compare byte for byte.

The sequencer starts with it, `alliance ledger verify` is it, and so is every reader that wants to trust nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any

from hub.errors import LedgerCorrupt
from hub.ledger.apply import Written, apply
from hub.ledger.head import GENESIS, Head, read_entry
from hub.ledger.state import Input, Rules, State
from schemas.codec import Unreadable, decode
from schemas.envelope import to_millis
from schemas.records import Close, Entry, Tick


def input_of(entry: Entry) -> Input:
    """The input that an entry accounts for, from the entry alone. Raises `LedgerCorrupt` when it holds no event."""
    try:
        event: Any = decode(entry.event)
    except Unreadable as error:
        raise LedgerCorrupt(f"entry {entry.seq} holds no event: {error}") from error
    if not isinstance(event, (Tick, Close)) and not hasattr(event, "envelope"):
        raise LedgerCorrupt(f"entry {entry.seq} holds a {event.EVENT}, which is no input")
    return Input(
        offset=entry.input_offset,
        timestamp_ms=to_millis(entry.ledger_at),
        event=event,
        event_type=event.EVENT,
        value=entry.event,
        key_id=entry.key_id,
        signature=entry.signature,
        source_topic=entry.source_topic,
        source_partition=entry.source_partition,
        source_offset=entry.source_offset,
        published_ms=to_millis(entry.published_at),
    )


@dataclass(slots=True)
class Replay:
    """Reads log records in partition order. `head` is what this reader accepted, `void` how many it did not.

    `event` is the decoded event of the entry accepted last, where it was decoded for it: None for what follows from an input.
    """

    rules: Rules
    state: State
    head: Head = GENESIS
    void: int = 0
    event: Any = None
    _expected: deque[Written] = field(default_factory=deque)

    def feed(self, value: bytes) -> Entry | None:
        """Take one record; return its entry, or None if it is void.

        Raises `LedgerCorrupt`, naming the entry and the first field that differs, when an accepted entry is not what
        the rules make of its event.
        """
        entry = read_entry(value)
        head = self.head.extended_by(entry, value) if entry else None
        if entry is None or head is None:
            self.void += 1
            return None
        if not self._expected:
            if entry.input_index != 0:
                raise LedgerCorrupt(
                    f"entry {entry.seq} follows from its input {entry.input_offset}, but nothing does by the rules"
                )
            item = input_of(entry)
            self._expected.extend(apply(self.state, item, self.rules))
            self.event = item.event
        else:
            self.event = None
        wanted = self._expected.popleft()
        if wanted.value != value:
            raise LedgerCorrupt(_difference(entry, wanted.entry))
        self.head = head
        return entry

    def rest(self) -> list[Written]:
        """Entries of the last input that are not there yet: its writer died between two batches. Write them first."""
        return list(self._expected)


def _difference(found: Entry, wanted: Entry) -> str:
    for item in fields(Entry):
        if getattr(found, item.name) != getattr(wanted, item.name):
            return (
                f"entry {found.seq}: {item.name} is {getattr(found, item.name)!r}, "
                f"the rules make it {getattr(wanted, item.name)!r}; the log was not written by these rules"
            )
    return f"entry {found.seq}: same fields, other bytes"
