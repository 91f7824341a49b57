"""What a reader of the log may find wrong. Owns the errors of `schemas.tlog`; leaves what to do next to the caller.

Forged
├── Malformed      the bytes do not follow their format
├── BadSignature   a key we know did not make this signature
├── Unsigned       none of the keys that had to sign has signed
├── BadProof       the hashes do not lead to the root
└── BadTile        a tile or a bundle is not the one the root commits to
"""

from __future__ import annotations


class Forged(ValueError):
    """No honest log or witness publishes this. The message names the place, the value found and the value wanted."""

    def __init__(self, place: str, found: object, wanted: object) -> None:
        super().__init__(f"{place}: found {found}, wanted {wanted}")
        self.place = place
        self.found = str(found)
        self.wanted = str(wanted)


class Malformed(Forged):
    """The bytes do not follow their format; nothing in them was believed."""


class BadSignature(Forged):
    """The line names a key we know, and that key did not sign this text. The whole note falls."""


class Unsigned(Forged):
    """The note is well formed, but the keys that had to sign it have not."""


class BadProof(Forged):
    """The proof does not connect what it claims to connect."""


class BadTile(Forged):
    """The content of a tile or bundle is not what the root of the tree commits to."""
