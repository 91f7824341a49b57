"""Proofs made from the files of the log: what a receipt holds. Owns no transport; every hash is checked against the root."""

from __future__ import annotations

from collections.abc import Iterator

from hub.ledger.head import read_entry
from hub.transparency.files import WITNESSED, LogFiles
from schemas.codec import encode
from schemas.records import Receipt, Receipts
from schemas.tlog.checkpoint import Checkpoint
from schemas.tlog.merkle import inclusion_proof
from schemas.tlog.note import split_note
from schemas.tlog.proof import LogProof
from schemas.tlog.tiles import TILE_WIDTH, TileReader
from schemas.tlog.wire import HASH_BYTES

MESSAGE_BYTES = 500_000  # below Kafka's default of 1 MiB for a batch
MESSAGE_PROOFS = 200


def receipts(
    files: LogFiles, checkpoint: Checkpoint, old_size: int
) -> Iterator[tuple[str, Receipt]]:
    """Member and receipt of each entry behind the first `old_size`, in order; entries of nobody's event are left out.

    Raises `BadTile` and `FileNotFoundError` when the files are not the log's.
    """
    reader = TileReader(files.read, checkpoint.size, checkpoint.root)
    for bundle in range(old_size // TILE_WIDTH, -(-checkpoint.size // TILE_WIDTH)):
        for at, value in enumerate(reader.entries(bundle)):
            index = bundle * TILE_WIDTH + at
            entry = read_entry(value) if index >= old_size else None
            if entry is not None and entry.member:
                path = inclusion_proof(index, checkpoint.size, reader.read_hash)
                yield entry.member, Receipt(index, value, path)


class Parcels:
    """Receipts of one checkpoint, gathered by member into messages of `MESSAGE_BYTES` and `MESSAGE_PROOFS` at most."""

    def __init__(self, checkpoint_note: bytes) -> None:
        self._note = checkpoint_note.decode()
        self._open: dict[str, list[Receipt]] = {}
        self._bytes: dict[str, int] = {}

    def add(self, member: str, receipt: Receipt) -> bytes | None:
        """Put a receipt in; the framed message that has become full by it, if any."""
        weight = len(receipt.entry) + (HASH_BYTES + 1) * len(receipt.path) + 16
        held = self._open.setdefault(member, [])
        full = None
        known = self._bytes.get(member, len(self._note))
        if held and (known + weight > MESSAGE_BYTES or len(held) == MESSAGE_PROOFS):
            full = self._message(held)
            held.clear()
            known = len(self._note)
        held.append(receipt)
        self._bytes[member] = known + weight
        return full

    def rest(self) -> Iterator[tuple[str, bytes]]:
        """Member and message of what is not sent yet."""
        for member, held in self._open.items():
            if held:
                yield member, self._message(held)

    def _message(self, held: list[Receipt]) -> bytes:
        return encode(Receipts(self._note, tuple(held)))


def witnessed_checkpoint(files: LogFiles) -> tuple[Checkpoint, bytes] | None:
    """The newest witnessed checkpoint of the folder, with its note; None before the first."""
    note = files.read_if_there(WITNESSED)
    return None if note is None else (Checkpoint.parse(split_note(note)[0]), note)


def log_proof(files: LogFiles, checkpoint: Checkpoint, note: bytes, index: int) -> LogProof:
    """The proof of one entry as a file of C2SP tlog-proof, with the entry as its extra data: the file speaks for itself."""
    reader = TileReader(files.read, checkpoint.size, checkpoint.root)
    path = inclusion_proof(index, checkpoint.size, reader.read_hash)
    return LogProof(index, path, note, reader.entry(index))
