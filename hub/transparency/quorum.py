"""Which cosignatures there are for which checkpoints, and which checkpoint has enough of them.

Owns no transport and no clock. Memory is bounded by `KEPT`, whatever anybody sends.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from hub.errors import LedgerCorrupt
from schemas.tlog.checkpoint import Checkpoint, open_checkpoint
from schemas.tlog.errors import BadSignature, Forged, Malformed, Unsigned
from schemas.tlog.note import Note, Signature, join_note, split_note
from schemas.tlog.policy import Policy

KEPT = 256  # checkpoints, and cosignatures of each witness


@dataclass(frozen=True, slots=True)
class Candidate:
    """A checkpoint that the log signed."""

    checkpoint: Checkpoint
    note: Note

    @property
    def size(self) -> int:
        """Entries under it."""
        return self.checkpoint.size


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint with the cosignatures that meet the policy."""

    checkpoint: Checkpoint
    note: bytes
    witnesses: tuple[str, ...]


class Quorum:
    """What is known of checkpoints larger than the one witnessed last, of `size` entries."""

    def __init__(self, policy: Policy, origin: str, size: int = 0) -> None:
        self._policy, self._origin, self.size = policy, origin, size
        self._by_key = {
            (witness.verifier.name, witness.verifier.key_id): witness
            for witness in policy.witnesses
        }
        self._candidates: dict[int, Candidate] = {}
        self._given: dict[str, OrderedDict[int, tuple[str, Signature]]] = {
            witness.name: OrderedDict() for witness in policy.witnesses
        }
        self.refused: Counter[str] = Counter()  # bad cosignatures by who sent them

    @property
    def newest(self) -> Candidate | None:
        """The largest checkpoint that is not witnessed yet."""
        return self._candidates[max(self._candidates)] if self._candidates else None

    def propose(self, data: bytes) -> None:
        """Take a checkpoint in. Raises `Forged` when the log has not signed it, `LedgerCorrupt` for a second root of a size."""
        checkpoint, note = open_checkpoint(data, self._policy.log_verifiers(self._origin))
        if checkpoint.origin != self._origin:
            raise Malformed("origin of a checkpoint", checkpoint.origin, self._origin)
        if checkpoint.size <= self.size:
            return
        found = Candidate(checkpoint, note)
        other = self._candidates.setdefault(checkpoint.size, found)
        if other.checkpoint.root != checkpoint.root:
            raise LedgerCorrupt(
                f"size {checkpoint.size} of {self._origin} was signed with root {checkpoint.root.hex()} and with "
                f"{other.checkpoint.root.hex()}, wanted one; keep both checkpoints and find out which entries differ"
            )
        if len(self._candidates) > KEPT:
            del self._candidates[min(self._candidates)]

    def cosign(self, sender: str, data: bytes) -> None:
        """Take the cosignatures of a note in. A bad one counts for its sender and raises `Forged`."""
        try:
            text, signatures = split_note(data)
            for signature in signatures:
                self._add(text, signature)
        except Forged:
            self.refused[sender] += 1
            raise

    def add(self, witness: str, text: str, signatures: tuple[Signature, ...]) -> None:
        """Take in what a witness answered; lines of keys we do not know are its own business. Raises `Forged`."""
        for signature in signatures:
            if signature.key in self._by_key:
                try:
                    self._add(text, signature)
                except Forged:
                    self.refused[witness] += 1
                    raise

    def _add(self, text: str, signature: Signature) -> None:
        checkpoint = Checkpoint.parse(text)
        witness = self._by_key.get(signature.key)
        if witness is None:
            raise Unsigned("cosignature", signature.name, "the key of a witness of the policy")
        if checkpoint.origin != self._origin:
            raise Malformed("origin of a cosigned checkpoint", checkpoint.origin, self._origin)
        given = self._given[witness.name]
        known = given.get(checkpoint.size)
        if checkpoint.size <= self.size or (known is not None and known[0] == text):
            return
        if not witness.verifier.verify(text, signature.signature):
            raise BadSignature(
                f"cosignature of {witness.name} for size {checkpoint.size}",
                signature.key_id.hex(),
                "one this key made of this text",
            )
        given[checkpoint.size] = text, signature
        if len(given) > KEPT:
            given.popitem(last=False)

    def best(self) -> Witnessed | None:
        """The largest checkpoint with enough cosignatures."""
        for size in sorted(self._candidates, reverse=True):
            candidate = self._candidates[size]
            lines = dict(self._lines(candidate))
            if self._policy.met_by(lines):
                note = join_note(candidate.note.text, (*candidate.note.verified, *lines.values()))
                return Witnessed(candidate.checkpoint, note, tuple(lines))
        return None

    def _lines(self, candidate: Candidate) -> Iterator[tuple[str, Signature]]:
        """Cosignatures of a checkpoint by witness, in the policy's order."""
        for name, given in self._given.items():
            found = given.get(candidate.size)
            if found is not None and found[0] == candidate.note.text:
                yield name, found[1]

    def witnessed(self, size: int) -> None:
        """A checkpoint of this size is published with enough cosignatures: forget it and what came before."""
        if size <= self.size:
            return
        self.size = size
        for old in [one for one in self._candidates if one <= size]:
            del self._candidates[old]
        for given in self._given.values():
            for old in [one for one in given if one <= size]:
                del given[old]

    def missing(self) -> tuple[str, ...]:
        """Witnesses who have cosigned nothing since the last witnessed checkpoint."""
        return tuple(name for name, given in self._given.items() if not given)
