"""The reading rule of the ledger log: which records count.

A record counts only if it extends the head its reader already has; anything else in the partition is void for every
reader (late writes of a second sequencer, repeats of a retry). Whoever reads `ledger.entries` reads through this.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.errors import LedgerCorrupt
from schemas.codec import UnknownSchema, Unreadable, decode
from schemas.records import Entry
from schemas.tlog.merkle import leaf_hash


def entry_hash(value: bytes) -> bytes:
    """Hash of a log record: the leaf hash of RFC 6962 over the framed entry."""
    return leaf_hash(value)


def read_entry(value: bytes | None) -> Entry | None:
    """The entry of a log record, or None for anything else: that is void like an entry that extends nothing.

    Raises `LedgerCorrupt` for a schema of a newer hub: to call it void would hide all that follow.
    """
    try:
        record = decode(value or b"")
    except UnknownSchema as error:
        raise LedgerCorrupt(f"ledger.entries was written by a newer hub: {error}") from error
    except Unreadable:
        return None
    return record if isinstance(record, Entry) else None


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry a reader has accepted: its sequence number and the hash of its bytes."""

    seq: int
    hash: bytes

    def extended_by(self, entry: Entry, value: bytes) -> Head | None:
        """The new head if the record counts, None if it is void. `value` is the record's framed bytes."""
        if entry.seq != self.seq + 1 or entry.prev_hash != self.hash:
            return None
        return Head(entry.seq, entry_hash(value))


GENESIS = Head(0, bytes(32))
