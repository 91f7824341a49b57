"""Proofs of logging: one file that shows, offline, that an entry is in a log and that witnesses saw that log.

Owns the file and the order of the checks; keys and quorum come from a policy.
Source: C2SP tlog-proof at 5ba5ee8.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.tlog.checkpoint import Checkpoint
from schemas.tlog.cosignature import ML_DSA_44_COSIGNATURE
from schemas.tlog.errors import Malformed, Unsigned
from schemas.tlog.merkle import PROOF_LIMIT, verify_inclusion
from schemas.tlog.note import Note, open_note, split_note
from schemas.tlog.policy import Policy
from schemas.tlog.wire import (
    checked_hash,
    checked_number,
    from_base64,
    from_decimal,
    hash_from_base64,
    shown,
    to_base64,
    utf8,
)

HEADER = "c2sp.org/tlog-proof@v1"
SUFFIX = ".tlog-proof"
_EXTRA = "extra "
_INDEX = "index "


@dataclass(frozen=True, slots=True)
class LogProof:
    """Index, inclusion proof and signed checkpoint; `extra` is for the application and nobody vouches for it."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def __post_init__(self) -> None:
        checked_number(self.index, "proof index")
        check_proof_lines(len(self.hashes))
        for found in self.hashes:
            checked_hash(found, "proof hash")
        Checkpoint.parse(split_note(self.checkpoint)[0])

    def to_bytes(self) -> bytes:
        """The file."""
        extra = f"{_EXTRA}{to_base64(self.extra)}\n" if self.extra else ""
        head = f"{HEADER}\n{extra}{_INDEX}{self.index}\n{hash_lines(self.hashes)}\n"
        return head.encode("ascii") + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> LogProof:
        """The proof of a file. Nothing is verified here."""
        head, checkpoint = split_head(data, "proof")
        lines = head.split("\n")
        if lines.pop(0) != HEADER:
            raise Malformed("first line of a proof", shown(head.split("\n", 1)[0]), HEADER)
        extra = b""
        if lines and lines[0].startswith(_EXTRA):
            extra = from_base64(lines.pop(0).removeprefix(_EXTRA), "extra line")
            if not extra:
                raise Malformed("extra line", "no data", "data, or no such line")
        if not lines or not lines[0].startswith(_INDEX):
            raise Malformed("index line", shown(lines[0] if lines else ""), f"{_INDEX}<number>")
        index = from_decimal(lines.pop(0).removeprefix(_INDEX), "proof index")
        return cls(index, parse_hash_lines(lines), checkpoint, extra)


@dataclass(frozen=True, slots=True)
class Logged:
    """What a verified proof shows: the checkpoint, its note, and the witnesses by their names in the policy."""

    checkpoint: Checkpoint
    note: Note
    witnesses: frozenset[str]


def verify_checkpoint(data: bytes, policy: Policy) -> Logged:
    """The signed checkpoint, if a log of the policy signed it under its own origin and its quorum cosigned it."""
    note = open_note(data, policy.verifiers())
    checkpoint = Checkpoint.parse(note.text)
    _check_log_signed(checkpoint, note, policy)
    witnesses = policy.witness_names(note.verified)
    if not policy.met_by(witnesses):
        names = ", ".join(sorted(witnesses)) or "no witness"
        raise Unsigned(
            f"checkpoint of {shown(checkpoint.origin)}",
            shown(names),
            f"the quorum {shown(policy.quorum)}",
        )
    return Logged(checkpoint, note, witnesses)


def _check_log_signed(checkpoint: Checkpoint, note: Note, policy: Policy) -> None:
    """Ours: an extension line that no signature of the log covers is refused, since ML-DSA-44 leaves such lines out."""
    signed = {signature.key for signature in note.verified}
    keys = [
        key for key in policy.log_verifiers(checkpoint.origin) if (key.name, key.key_id) in signed
    ]
    place = f"checkpoint of {shown(checkpoint.origin)}"
    if not keys:
        raise Unsigned(place, "no signature of this log", "one by a log key of the policy")
    if checkpoint.extensions and all(key.key_type == ML_DSA_44_COSIGNATURE for key in keys):
        raise Unsigned(place, "extension lines outside its signature", "no extension lines")


def verify_proof(proof: LogProof, leaf: bytes, policy: Policy) -> Logged:
    """What `proof` shows of the entry with leaf hash `leaf`, or a `Forged` that says what is missing.

    Timestamps of cosignatures are signed but not judged here.
    """
    logged = verify_checkpoint(proof.checkpoint, policy)
    verify_inclusion(
        proof.index, logged.checkpoint.size, leaf, proof.hashes, logged.checkpoint.root
    )
    return logged


def split_head(data: bytes, place: str) -> tuple[str, bytes]:
    """The lines before the first empty line, without the last newline, and the signed checkpoint behind it."""
    head, blank, checkpoint = data.partition(b"\n\n")
    if not blank:
        raise Malformed(place, "no empty line", "one before the checkpoint")
    return utf8(head, place), checkpoint


def hash_lines(hashes: tuple[bytes, ...]) -> str:
    """One hash per line."""
    return "".join(f"{to_base64(one)}\n" for one in hashes)


def parse_hash_lines(lines: list[str]) -> tuple[bytes, ...]:
    """The hashes of the lines."""
    check_proof_lines(len(lines))
    return tuple(hash_from_base64(line, f"proof hash {at}") for at, line in enumerate(lines, 1))


def check_proof_lines(lines: int) -> None:
    """Refuse a proof longer than any tree is high."""
    if lines > PROOF_LIMIT:
        raise Malformed("proof", f"{lines} hashes", f"at most {PROOF_LIMIT}")
