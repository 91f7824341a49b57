"""Messages between a log and a witness: the call add-checkpoint and its answers. Owns the bytes, not the transport.

What a witness checks and stores, and in which order, is not here: check and store must be one step.
Source: C2SP tlog-witness at 5ba5ee8. The call sign-subtree is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from schemas.tlog.checkpoint import Checkpoint
from schemas.tlog.errors import Malformed
from schemas.tlog.note import SIGNATURE_LIMIT, Signature, split_note
from schemas.tlog.proof import check_proof_lines, hash_lines, parse_hash_lines, split_head
from schemas.tlog.wire import checked_hash, checked_number, from_decimal, shown, utf8

ADD_CHECKPOINT = "add-checkpoint"  # path below the submission prefix, called by POST
SIZE_CONTENT_TYPE = "text/x.tlog.size"  # of the answer CONFLICT
_OLD = "old "


class Status(IntEnum):
    """What a witness answers."""

    COSIGNED = 200  # body: signature lines
    MALFORMED = 400  # also: the old size is above the size of the checkpoint
    UNTRUSTED = 403  # no signature of a key trusted for the origin, or a false one
    UNKNOWN_LOG = 404
    CONFLICT = 409  # the old size is not the one last cosigned; body: the size that is
    INCONSISTENT = (
        422  # the proof fails, or the roots of equal sizes differ, or size 0 has another root
    )


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """The request: the size the witness knows, the proof from there, the signed checkpoint as the log gave it."""

    old_size: int
    proof: tuple[bytes, ...]
    note: bytes

    def __post_init__(self) -> None:
        checked_number(self.old_size, "old size")
        check_proof_lines(len(self.proof))
        for found in self.proof:
            checked_hash(found, "proof hash")
        if self.old_size > self.checkpoint.size:
            raise Malformed(
                "old size",
                self.old_size,
                f"at most the size {self.checkpoint.size} of the checkpoint",
            )

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint inside, not yet believed."""
        return Checkpoint.parse(split_note(self.note)[0])

    def to_bytes(self) -> bytes:
        """The body."""
        return f"{_OLD}{self.old_size}\n{hash_lines(self.proof)}\n".encode("ascii") + self.note

    @classmethod
    def parse(cls, body: bytes) -> AddCheckpoint:
        """The request of a body; what is refused here is answered with `Status.MALFORMED`."""
        head, note = split_head(body, ADD_CHECKPOINT)
        first, *lines = head.split("\n")
        if not first.startswith(_OLD):
            raise Malformed("old size line", shown(first), f"{_OLD}<size>")
        return cls(
            from_decimal(first.removeprefix(_OLD), "old size"), parse_hash_lines(lines), note
        )


def cosigned_body(signatures: Sequence[Signature]) -> bytes:
    """Body of `Status.COSIGNED`."""
    _check_lines(len(signatures))
    return "".join(signature.line() for signature in signatures).encode()


def parse_cosigned_body(body: bytes) -> tuple[Signature, ...]:
    """The signature lines of an answer. The client still verifies them, and ignores keys it does not know."""
    text = utf8(body, "cosignatures")
    if not text.endswith("\n"):
        raise Malformed("cosignatures", "no newline at the end", "one")
    lines = text.removesuffix("\n").split("\n")
    _check_lines(len(lines))
    return tuple(Signature.parse(line, f"cosignature {at}") for at, line in enumerate(lines, 1))


def conflict_body(size: int) -> bytes:
    """Body of `Status.CONFLICT`: the size last cosigned."""
    return f"{checked_number(size, 'known size')}\n".encode("ascii")


def parse_conflict_body(body: bytes) -> int:
    """The size a witness last cosigned."""
    text = utf8(body, "known size")
    if not text.endswith("\n"):
        raise Malformed("known size", shown(text), "a number and a newline")
    return from_decimal(text.removesuffix("\n"), "known size")


def _check_lines(lines: int) -> None:
    if not 1 <= lines <= SIGNATURE_LIMIT:
        raise Malformed("cosignatures", f"{lines} lines", f"1 to {SIGNATURE_LIMIT}")
