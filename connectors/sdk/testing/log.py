"""The hub's transparency log in memory, for tests: it signs, has its checkpoints cosigned, and can be told to lie.

`FakeHub` enters what it decides here when it has one. Keys follow from the members' codes, so that two logs of the same
members are the same log to a policy: that is what an equivocating hub looks like.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from schemas import topics
from schemas.codec import encode
from schemas.promises import event_hash, promise
from schemas.records import Entry, Promise, Receipt, Receipts, Record
from schemas.signing import new_signer
from schemas.tlog.checkpoint import Checkpoint, sign_checkpoint
from schemas.tlog.cosignature import ED25519_COSIGNATURE, CosignatureSigner
from schemas.tlog.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
)
from schemas.tlog.note import Signature, Signer
from schemas.tlog.witness import AddCheckpoint

ORIGIN = "test.example/ledger"
_HOUR = timedelta(hours=1)


class FakeLog:
    """Entries and what proves them. `quorum` of the witnesses, one for each member, must have cosigned a checkpoint."""

    def __init__(self, codes: Sequence[str], quorum: int, now: datetime) -> None:
        self.signer = Signer(ORIGIN, b"log".ljust(32, b"."))
        self.promises = new_signer(b"promises".ljust(32, b"."))
        self.witnesses = {
            code: CosignatureSigner(
                f"u{code}.example/witness", ED25519_COSIGNATURE, f"w{code}".encode().ljust(32, b".")
            )
            for code in codes
        }
        self.quorum = quorum
        self.entries: list[bytes] = []
        self.published: list[bytes] = []  # requests to cosign, as the topic of checkpoints has them
        self.now = now
        self._leaves: list[bytes] = []
        self._published_size = 0

    def enter(self, member: str, record: Record, value: bytes, outcome: str) -> Entry:
        """The next entry of the ledger, about these framed bytes."""
        about = getattr(record, "envelope", None)
        seq = len(self.entries) + 1
        entry = Entry(
            seq=seq,
            prev_hash=self._leaves[-1] if self._leaves else bytes(32),
            input_offset=seq - 1,
            input_index=0,
            event_id=about.event_id if about else f"flag/{seq}",
            event_hash=event_hash(value),
            event_type=record.EVENT,
            source="",
            member=member,
            subject=about.subject if about else "",
            source_topic=topics.outbox(member),
            source_partition=0,
            source_offset=0,
            published_at=self.now,
            outcome=outcome,
            reason=None,
            detail="",
            refers_to=None,
            about_seq=None,
            about_version=None,
            rule_version=1,
            effective_at=self.now,
            ledger_at=self.now,
            audience=(),
            postings=(),
            changes=(),
            flags=(),
            event=value,
            key_id="",
            signature=b"",
        )
        self.append(encode(entry))
        return entry

    def append(self, entry: bytes) -> None:
        """Any bytes as the next entry."""
        self.entries.append(entry)
        self._leaves.append(leaf_hash(entry))

    def root(self, size: int) -> bytes:
        """Root over the first entries."""
        return self._over(0, size) if size else EMPTY_ROOT

    def _over(self, start: int, end: int) -> bytes:
        if end - start == 1:
            return self._leaves[start]
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        return node_hash(self._over(start, middle), self._over(middle, end))

    def _hash(self, level: int, index: int) -> bytes:
        return self._over(index << level, (index + 1) << level)

    def checkpoint(self, size: int | None = None) -> bytes:
        """The signed checkpoint of a size, nobody else's line in it."""
        size = len(self.entries) if size is None else size
        return sign_checkpoint(Checkpoint(ORIGIN, size, self.root(size)), [self.signer])

    def witnessed(self, size: int | None = None, by: Sequence[str] | None = None) -> bytes:
        """A checkpoint with cosignatures of these members, by default of just enough."""
        size = len(self.entries) if size is None else size
        names = list(self.witnesses)[: self.quorum] if by is None else by
        found = Checkpoint(ORIGIN, size, self.root(size))
        lines: list[Signature] = [
            self.witnesses[name].cosign(found.text(), int(self.now.timestamp())) for name in names
        ]
        made = Signature(ORIGIN, self.signer.key_id, self.signer.sign(found.text()))
        return sign_checkpoint(found, [], [made, *lines])

    def receipt(self, index: int, size: int | None = None) -> Receipt:
        """The entry at an index with its way to the root."""
        size = len(self.entries) if size is None else size
        return Receipt(index, self.entries[index], inclusion_proof(index, size, self._hash))

    def receipts(self, indexes: Sequence[int], note: bytes | None = None) -> Receipts:
        """The receipts of these entries under one checkpoint."""
        proofs = tuple(self.receipt(index) for index in indexes)
        return Receipts((note or self.witnessed()).decode(), proofs)

    def promise(
        self, member: str, values: Sequence[bytes], merge_by: datetime | None = None
    ) -> Promise:
        """The hub's promise for these framed events."""
        return promise(self.promises, member, values, self.now, merge_by or self.now + _HOUR)

    def ask(self, old: int | None = None, size: int | None = None) -> AddCheckpoint:
        """The request to cosign the checkpoint of a size, by default the next one to publish."""
        old = self._published_size if old is None else old
        size = len(self.entries) if size is None else size
        proof = consistency_proof(old, size, self._hash)
        return AddCheckpoint(old, proof, self.checkpoint(size))

    def publish(self) -> bytes:
        """The next request to cosign, as the topic gets it."""
        body = self.ask().to_bytes()
        self._published_size = len(self.entries)
        self.published.append(body)
        return body

    def tables(self) -> str:
        """What an alliance.toml says of the log."""
        public = base64.b64encode(self.promises.public).decode()
        return (
            f'\n[log]\ncheckpoint_key = "{self.signer.verifier.vkey}"\npromise_key = "{public}"\n'
            f"[quorum]\nSichuan = {self.quorum}\n"
        )

    def member_table(self, code: str) -> str:
        """What it says of a member's witness, inside the member's table."""
        return f'[member.witness]\nvkey = "{self.witnesses[code].verifier.vkey}"\n'


def other_history(log: FakeLog, change: Callable[[bytes], bytes]) -> FakeLog:
    """A second log under the same name and keys, whose entries `change` makes of those of the first."""
    other = FakeLog(list(log.witnesses), log.quorum, log.now)
    for entry in log.entries:
        other.append(change(entry))
    return other
