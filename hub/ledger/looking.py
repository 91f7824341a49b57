"""What can be said of a log record without the ledger's state: whether it counts, what its input was, what it decided.

It needs no state, so it can run ahead of the recomputing, in another process (`hub.rebuild.ahead`). All values are plain
ones, to be handed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hub.errors import LedgerCorrupt
from hub.ledger.entry import ENTRY_BYTES, Decision, decision_of, is_said_by
from hub.ledger.head import Head, read_entry
from schemas.codec import Unreadable, decode, encode
from schemas.envelope import to_millis
from schemas.records import Entry


class Looked(NamedTuple):
    """A record that counts: its hash, the input it accounts for, and its decision where that alone is left to recompute.

    `decision` is None where the record's bytes must be made again and compared: for what follows from an input, the
    hub's own inputs, and whatever does not read as this hub writes it.
    """

    hash: bytes
    input_index: int
    input_offset: int
    ledger_ms: int
    published_ms: int
    key_id: str
    signature: bytes
    source_topic: str
    source_partition: int
    source_offset: int
    event: bytes
    decision: Decision | None


class Looking:
    """Looks at records in partition order, from a head on."""

    __slots__ = ("head",)

    def __init__(self, head: Head) -> None:
        self.head = head

    def look(self, value: bytes) -> Looked | None:
        """One record; None if it is void. Raises `LedgerCorrupt` for one of a newer hub."""
        entry = read_entry(value)
        head = self.head.extended_by(entry, value) if entry else None
        if entry is None or head is None:
            return None
        self.head = head
        return Looked(
            head.hash,
            entry.input_index,
            entry.input_offset,
            to_millis(entry.ledger_at),
            to_millis(entry.published_at),
            entry.key_id,
            entry.signature,
            entry.source_topic,
            entry.source_partition,
            entry.source_offset,
            entry.event,
            decision_of(entry) if _is_ours(entry, value) else None,
        )

    def many(self, values: Iterable[bytes]) -> tuple[list[Looked | None], str]:
        """Records up to the first that cannot be judged, and why it cannot; an empty text if all can."""
        found: list[Looked | None] = []
        for value in values:
            try:
                found.append(self.look(value))
            except LedgerCorrupt as error:
                return found, str(error)
        return found, ""


def _is_ours(entry: Entry, value: bytes) -> bool:
    """Whether the bytes follow from the entry's fields and the fields from its event, but for what was decided."""
    if entry.input_index != 0 or len(value) > ENTRY_BYTES:
        return False
    try:
        return is_said_by(entry, decode(entry.event)) and encode(entry) == value
    except (Unreadable, ValueError, TypeError):
        return False
