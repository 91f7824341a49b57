"""The state from the log: accept what counts, recompute every entry, compare byte for byte.

The sequencer starts with it, `alliance ledger verify` is it, and so is every reader that wants to trust nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any

from hub.errors import LedgerCorrupt
from hub.ledger.apply import Confirmed, Known, Written, apply, confirm
from hub.ledger.head import GENESIS, Head, read_entry
from hub.ledger.looking import Looked
from hub.ledger.state import Input, Rules, State
from schemas.avro_plain import maker
from schemas.codec import Unreadable, decode
from schemas.envelope import to_millis
from schemas.records import Close, Entry, Tick

_new_input = maker(Input)  # one for every entry: a frozen class sets its fields slowly


def input_of(entry: Entry) -> Input:
    """The input that an entry accounts for, from the entry alone. Raises `LedgerCorrupt` when it holds no event."""
    return _input(
        entry.seq, entry.event, entry.input_offset, to_millis(entry.ledger_at), entry.key_id, entry.signature,
        entry.source_topic, entry.source_partition, entry.source_offset, to_millis(entry.published_at),
    )  # fmt: skip


def input_looked_at(seq: int, looked: Looked) -> Input:
    """As `input_of`, for an entry that was looked at."""
    return _input(
        seq, looked.event, looked.input_offset, looked.ledger_ms, looked.key_id, looked.signature,
        looked.source_topic, looked.source_partition, looked.source_offset, looked.published_ms,
    )  # fmt: skip


def _input(
    seq: int,
    value: bytes,
    offset: int,
    ledger_ms: int,
    key_id: str,
    signature: bytes,
    source_topic: str,
    source_partition: int,
    source_offset: int,
    published_ms: int,
) -> Input:
    try:
        event: Any = decode(value)
    except Unreadable as error:
        raise LedgerCorrupt(f"entry {seq} holds no event: {error}") from error
    if not isinstance(event, (Tick, Close)) and not hasattr(event, "envelope"):
        raise LedgerCorrupt(f"entry {seq} holds a {event.EVENT}, which is no input")
    made: Input = _new_input(
        offset, ledger_ms, event, event.EVENT, value, key_id, signature, source_topic, source_partition, source_offset,
        published_ms,
    )  # fmt: skip
    return made


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
    told: Entry | None = None
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

    def feed_looked(self, value: bytes, looked: Looked | None, *, tell: bool = False) -> bool:
        """As `feed`, for a record that `hub.ledger.looking` looked at; whether it counts. `tell` asks for its entry, in `told`.

        What was said of it there saves reading it, and writing it again for a comparison.
        """
        self.event = self.told = None
        if looked is None:
            self.void += 1
            return False
        head = Head(self.head.seq + 1, looked.hash)
        if not self._expected:
            stands, self.told, follow = self._confirm(head, looked, tell=tell)
            self._expected.extend(follow)
            if stands:
                self.head = head
                return True
        wanted = self._expected.popleft()
        if wanted.value != value:
            found = read_entry(value)
            raise LedgerCorrupt(
                _difference(found, wanted.entry) if found else f"entry {head.seq} cannot be read"
            )
        self.head = head
        if tell:
            self.told = wanted.entry
        return True

    def _confirm(self, head: Head, looked: Looked, *, tell: bool) -> Confirmed:
        """What the rules make of the input of a record: whether that record, and what else."""
        if looked.input_index != 0:
            raise LedgerCorrupt(
                f"entry {head.seq} follows from its input {looked.input_offset}, but nothing does by the rules"
            )
        item = input_looked_at(head.seq, looked)
        self.event = item.event
        if looked.decision is None:
            return Confirmed(stands=False, entry=None, written=apply(self.state, item, self.rules))
        return confirm(self.state, item, self.rules, Known(looked.decision, head, tell))

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
