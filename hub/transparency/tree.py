"""One signer's log: entries become tiles, tiles a checkpoint, in steps that a crash may cut anywhere.

The order of a step is files, record, `checkpoint` file, topic. What is on the disk before the record says so is only more
than anybody was told of; what the record says and nobody was told is told at the next start. Owns the order and what is
refused; reading Kafka and pacing are `signer`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hub.errors import LedgerCorrupt
from hub.ledger.head import Head, read_entry
from hub.transparency.bus import Message
from hub.transparency.files import CHECKPOINT, LogFiles
from hub.transparency.record import NO_OFFSET, Signed, SignerRecord
from schemas.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from schemas.tlog.errors import Forged
from schemas.tlog.merkle import consistency_proof, leaf_hash, verify_consistency
from schemas.tlog.note import Signer, Verifier
from schemas.tlog.tiles import TileReader, Tiles
from schemas.tlog.witness import AddCheckpoint

STEP_ENTRIES = 8192  # of one step: bounds memory while a long log is read again


@dataclass(frozen=True, slots=True)
class Publication:
    """What the topic is to be told: a checkpoint, and the body of add-checkpoint that leads to it."""

    checkpoint: Checkpoint
    request: bytes


@dataclass(frozen=True, slots=True)
class _Leaf:
    """An entry that counts, and where it stands."""

    value: bytes
    head: Head
    offset: int


class SigningLog:
    """The tree, its files and its record. `in_topic` is the newest checkpoint that the topic holds.

    Two things may be ahead of the tree: the record, when files are lost, and checkpoints that were published, when the
    record is lost. Both are roots the tree has to pass through; before that nothing is signed.
    """

    def __init__(
        self, key: Signer, files: LogFiles, record: SignerRecord, in_topic: Checkpoint | None
    ) -> None:
        self._key, self._files, self._record = key, files, record
        self.signed = record.newest()
        self._in_topic = in_topic
        self._to_pass = self._ahead(_checkpoint_file(files, key.verifier), in_topic)
        self._tiles, self.why_rebuilt = self._load()
        self._at = self.signed if self._tiles.size else Signed()  # the tree as it stands
        self._head = self._at.head
        self._proven = self._at.head_offset == NO_OFFSET
        self._written: list[str] = []
        self._pending: list[_Leaf] = []
        self.void = 0
        if self._tiles.size == self.signed.size:
            self._to_pass = [one for one in self._to_pass if one.size > self.signed.size]

    def _ahead(self, *published: Checkpoint | None) -> list[Checkpoint]:
        """The roots to pass through, smallest first. Raises `LedgerCorrupt` when two have one size."""
        found = [one for one in published if one is not None and one.size >= self.signed.size]
        if self.signed.size:
            found.append(Checkpoint(self._key.name, self.signed.size, self.signed.root))
        by_size: dict[int, Checkpoint] = {}
        for one in sorted(found, key=lambda checkpoint: checkpoint.size):
            other = by_size.setdefault(one.size, one)
            if other.root != one.root:
                raise LedgerCorrupt(
                    f"size {one.size} of {self._key.name} was signed with root {one.root.hex()} and with {other.root.hex()}, "
                    "wanted one; sign nothing more, keep both checkpoints and find out which entries differ"
                )
        return list(by_size.values())

    def _load(self) -> tuple[Tiles, str]:
        """The tree of the record from its files, or the empty one and why it has to be read again."""
        if not self.signed.size:
            return Tiles(), ""
        lacking = next(self._files.missing(self.signed.size), None)
        if lacking is not None:
            return Tiles(), f"{lacking} is missing or cut short"
        try:
            return Tiles.load(self.signed.size, self.signed.root, self._files.read), ""
        except (Forged, OSError) as broken:
            return Tiles(), str(broken)

    @property
    def next_offset(self) -> int:
        """Where to read `ledger.entries`: at the last entry of the tree, which proves that it is still the same ledger."""
        return max(self._at.head_offset, 0)

    @property
    def size(self) -> int:
        """Entries in the tree and the files."""
        return self._tiles.size

    @property
    def pending(self) -> int:
        """Entries read and not yet in the tree."""
        return len(self._pending)

    @property
    def behind(self) -> Checkpoint | None:
        """The largest tree signed before, while this one is not there yet."""
        return self._to_pass[-1] if self._to_pass else None

    @property
    def told(self) -> bool:
        """Whether nothing waits to be signed or published."""
        return not self._pending and self._size_in_topic == self.signed.size

    @property
    def _size_in_topic(self) -> int:
        return self._in_topic.size if self._in_topic else 0

    def feed(self, messages: Iterable[Message]) -> None:
        """Take records of `ledger.entries`, in order, through the reading rule. Raises `LedgerCorrupt`."""
        for message in messages:
            value = message.value or b""
            if not self._proven:
                self._prove(message.offset, value)
                continue
            entry = read_entry(value)
            head = self._head.extended_by(entry, value) if entry else None
            if head is None:
                self.void += 1
                continue
            self._head = head
            self._pending.append(_Leaf(value, head, message.offset))

    def _prove(self, offset: int, value: bytes) -> None:
        """The first record read is the last one of the tree."""
        if offset != self._at.head_offset or leaf_hash(value) != self._at.head_hash:
            raise LedgerCorrupt(
                f"ledger.entries offset {offset} has the hash {leaf_hash(value).hex()}, the signer's record says offset "
                f"{self._at.head_offset} and hash {self._at.head_hash.hex()}; this is another ledger than the one signed: "
                "use its own ALLIANCE_TLOG and ALLIANCE_SIGNER_DATABASE, or find out who replaced it"
            )
        self._proven = True

    def step(self) -> Publication | None:
        """Grow, sign, and say what is to be published. Call again while `told` is False and after `published`.

        Raises `LedgerCorrupt` where the tree is not what was signed before, `AnotherSigner` when the record changed hands.
        """
        self._grow()
        if self._to_pass:
            return None
        if self._at.size > self.signed.size:
            self._advance()
        if not self.signed.size:
            return None
        checkpoint = Checkpoint(self._key.name, self.signed.size, self.signed.root)
        note = sign_checkpoint(checkpoint, [self._key])
        self._files.write({CHECKPOINT: note})
        if self._size_in_topic >= self.signed.size:
            return None
        proof = self._proof(self._size_in_topic)
        self._check(self._size_in_topic, self._in_topic.root if self._in_topic else None, proof)
        return Publication(checkpoint, AddCheckpoint(self._size_in_topic, proof, note).to_bytes())

    def published(self, publication: Publication) -> None:
        """The topic has it."""
        self._in_topic = publication.checkpoint
        self._files.drop_parts(self._written)
        self._written.clear()

    def _grow(self) -> None:
        """Put what is pending into the files, up to the next root to pass through, and compare that."""
        room = STEP_ENTRIES
        if self._to_pass:
            room = min(room, self._to_pass[0].size - self._tiles.size)
        taken, self._pending = self._pending[:room], self._pending[room:]
        if taken:
            try:
                self._tiles, files = self._tiles.grow([leaf.value for leaf in taken])
            except Forged as broken:  # a ledger from before entries had a limit
                raise LedgerCorrupt(
                    f"an entry from seq {self._tiles.size + 1} on cannot be a leaf: {broken}; a ledger with such entries cannot "
                    "be published as a log, begin a new one"
                ) from broken
            self._files.write(files)
            self._written += files
            last = taken[-1]
            self._at = Signed(self._tiles.size, self._tiles.root(), last.head.hash, last.offset)
        if self._to_pass and self._at.size == self._to_pass[0].size:
            self._compare(self._to_pass.pop(0))

    def _compare(self, before: Checkpoint) -> None:
        if before.root != self._at.root:
            raise LedgerCorrupt(
                f"the entries make {self._at.named()}, {before.root.hex()} was signed for that size; "
                "ledger.entries was changed, or this is another ledger: find out which before anything is signed"
            )

    def _advance(self) -> None:
        """Sign for a larger tree: first that it continues the old one, as the files have it, then the record."""
        self._check(self.signed.size, self.signed.root, self._proof(self.signed.size))
        self._record.advance(self.signed, self._at)
        self.signed = self._at

    def _proof(self, old_size: int) -> tuple[bytes, ...]:
        """That the first `old_size` entries are unchanged, from the files as they lie there."""
        try:
            reader = TileReader(self._files.read, self._at.size, self._at.root)
            return consistency_proof(old_size, self._at.size, reader.read_hash)
        except (Forged, FileNotFoundError) as broken:
            raise LedgerCorrupt(
                f"the files of {self._at.named()} cannot be used: {broken}; nothing was signed. Start the signer again: "
                "it makes lost files anew from ledger.entries"
            ) from broken

    def _check(self, old_size: int, old_root: bytes | None, proof: tuple[bytes, ...]) -> None:
        """Refuse to sign or publish what does not continue `old_root`."""
        if not old_size or old_root is None:
            return
        try:
            verify_consistency(old_size, self._at.size, old_root, self._at.root, proof)
        except Forged as broken:
            raise LedgerCorrupt(
                f"{self._at.named()} does not continue size {old_size} with root {old_root.hex()}: {broken}; "
                "nothing was signed. Keep files and record, and find out which entries differ"
            ) from broken


def _checkpoint_file(files: LogFiles, verifier: Verifier) -> Checkpoint | None:
    """What the folder says was signed last. Raises `LedgerCorrupt` when another key or nobody signed it."""
    data = files.read_if_there(CHECKPOINT)
    if data is None:
        return None
    try:
        return open_checkpoint(data, [verifier])[0]
    except Forged as broken:
        raise LedgerCorrupt(
            f"{files.folder / CHECKPOINT} is not a checkpoint of {verifier.name}: {broken}; this folder is another log's, "
            "or the file is damaged: name the right ALLIANCE_TLOG and key, or take the file away"
        ) from broken
