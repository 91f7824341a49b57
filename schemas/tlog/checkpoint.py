"""Checkpoints: the note text that says how large a log is and what its root is. Owns the text; signing is the note's.

Source: C2SP tlog-checkpoint at 5ba5ee8.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.tlog.errors import Malformed
from schemas.tlog.note import Note, Signature, Signs, Verifies, check_text, open_note, sign_note
from schemas.tlog.wire import (
    checked_hash,
    checked_number,
    from_decimal,
    hash_from_base64,
    shown,
    to_base64,
)

_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Origin, size and root of a log. Extension lines are opaque, and an ML-DSA-44 cosignature does not cover them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or "\n" in line:
                raise Malformed("checkpoint", f"line {shown(line)}", "a line that is not empty")
        checked_number(self.size, "checkpoint size")
        checked_hash(self.root, "checkpoint root")
        check_text(self.text())

    def text(self) -> str:
        """The note text."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint a note text spells."""
        lines = text.removesuffix("\n").split("\n")
        if not text.endswith("\n") or len(lines) < _LINES:
            raise Malformed("checkpoint", f"{text.count(chr(10))} whole lines", f"{_LINES} or more")
        origin, size, root, *extensions = lines
        return cls(
            origin,
            from_decimal(size, "checkpoint size"),
            hash_from_base64(root, "checkpoint root"),
            tuple(extensions),
        )


def sign_checkpoint(
    checkpoint: Checkpoint, signers: Iterable[Signs], signatures: Iterable[Signature] = ()
) -> bytes:
    """The signed checkpoint, with lines others gave before ours.

    The caller answers for the promise behind it: a log signs no checkpoint that is inconsistent with an earlier one.
    """
    return sign_note(checkpoint.text(), signers, signatures)


def open_checkpoint(data: bytes, verifiers: Iterable[Verifies]) -> tuple[Checkpoint, Note]:
    """The checkpoint, if one of `verifiers` signed it; whose signatures are enough is for the caller or a policy."""
    note = open_note(data, verifiers)
    return Checkpoint.parse(note.text), note
