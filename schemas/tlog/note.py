"""Signed notes: a text, and the lines of those who signed it. Owns the note, Ed25519 keys and their text forms.

Cosignatures sign another message under the same lines: `schemas.tlog.cosignature`.
Source: C2SP signed-note at 5ba5ee8. The private text form is ours to choose; it is the one of Go's sumdb notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.tlog.errors import BadSignature, Malformed, Unsigned
from schemas.tlog.wire import encodable, from_base64, shown, to_base64, utf8

ED25519 = 0x01  # signature type of this specification
KEY_ID_BYTES = 4
ED25519_KEY_BYTES = 32
ED25519_SIGNATURE_BYTES = 64
SIGNATURE_LIMIT = 64  # lines in a note; ours. The specification asks for 16 at least, an alliance may have 30 witnesses.
DASH = "\N{EM DASH} "
PRIVATE = "PRIVATE+KEY+"

_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f]")
_ID = re.compile("[0-9a-f]{8}")
# Unicode spaces (property White_Space) beside the controls, written out: the meaning of a name must not move with Python.
_NOT_IN_NAMES = re.compile(
    r"[\x00-\x20+\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
)  # fmt: skip


class Verifies(Protocol):
    """A public key under its name."""

    @property
    def name(self) -> str:
        """Key name, as in the signature line."""

    @property
    def key_id(self) -> bytes:
        """Four bytes; with the name they tell the key and its algorithm."""

    def verify(self, text: str, signature: bytes) -> bool:
        """Whether this key made `signature`, the bytes after the key id, for `text`."""


class Signs(Protocol):
    """A private key under its name."""

    @property
    def name(self) -> str:
        """Key name, as in the signature line."""

    @property
    def key_id(self) -> bytes:
        """Four bytes; with the name they tell the key and its algorithm."""

    def sign(self, text: str) -> bytes:
        """The bytes after the key id."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line. Says nothing about whether it is true."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.key_id) != KEY_ID_BYTES or not self.signature:
            raise Malformed(
                "signature",
                f"{len(self.key_id)} and {len(self.signature)} bytes",
                "4 and at least 1",
            )

    @property
    def key(self) -> tuple[str, bytes]:
        """What tells the key."""
        return self.name, self.key_id

    def line(self) -> str:
        """The line, with its newline."""
        return f"{DASH}{self.name} {to_base64(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str, place: str = "signature line") -> Signature:
        """The signature of a line given without its newline."""
        name, space, encoded = line.removeprefix(DASH).partition(" ")
        if not line.startswith(DASH) or not space:
            raise Malformed(place, shown(line), f"{shown(DASH)}<key name> <base64>")
        data = from_base64(encoded, place)
        return cls(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class Note:
    """A text that at least one known key has signed, and whose it is."""

    text: str
    verified: tuple[Signature, ...]
    unverified: tuple[Signature, ...] = ()  # of keys we do not know; to pass on, never to believe

    def to_bytes(self) -> bytes:
        """The note with all its lines, those verified first."""
        return join_note(self.text, (*self.verified, *self.unverified))


@dataclass(frozen=True, slots=True)
class Verifier:
    """An Ed25519 public key that checks notes."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        _check_key(self.public_key, "Ed25519 public key")

    @property
    def key_id(self) -> bytes:
        """Four bytes; with the name they tell the key and its algorithm."""
        return key_id(self.name, ED25519, self.public_key)

    @property
    def key_type(self) -> int:
        """Signature type."""
        return ED25519

    @property
    def vkey(self) -> str:
        """The text form others are given."""
        return format_vkey(self.name, ED25519, self.public_key)

    @classmethod
    def from_vkey(cls, text: str) -> Verifier:
        """The key of a text form with signature type 0x01."""
        name, key_type, public_key = parse_vkey(text)
        check_type(key_type, (ED25519,))
        return cls(name, public_key)

    def verify(self, text: str, signature: bytes) -> bool:
        """Whether this key signed `text`."""
        return ed25519_verifies(self.public_key, signature, text.encode())


@dataclass(frozen=True, slots=True)
class Signer:
    """An Ed25519 private key that signs notes."""

    name: str
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        _check_key(self.seed, "Ed25519 seed")

    @property
    def verifier(self) -> Verifier:
        """The public side."""
        return Verifier(self.name, ed25519_public(self.seed))

    @property
    def key_id(self) -> bytes:
        """Four bytes; with the name they tell the key and its algorithm."""
        return self.verifier.key_id

    @property
    def private_text(self) -> str:
        """The text form to be kept secret."""
        return format_private(self.name, ED25519, self.seed, self.key_id)

    @classmethod
    def from_private_text(cls, text: str) -> Signer:
        """The key of a private text form with signature type 0x01."""
        name, key_type, seed, found_id = parse_private(text)
        check_type(key_type, (ED25519,))
        signer = cls(name, seed)
        check_id(found_id, signer.key_id)
        return signer

    def sign(self, text: str) -> bytes:
        """The signature of `text`."""
        return ed25519_sign(self.seed, text.encode())


def key_id(name: str, key_type: int, public_key: bytes) -> bytes:
    """The first four bytes of SHA-256 over name, newline, type and key. Source: signed-note, Signatures."""
    return sha256(encodable(name, "key name") + b"\n" + bytes([key_type]) + public_key).digest()[
        :KEY_ID_BYTES
    ]


def format_vkey(name: str, key_type: int, public_key: bytes) -> str:
    """<name>+<id in hex>+<base64 of type and key>. Source: signed-note, Verifier keys."""
    encoded = to_base64(bytes([key_type]) + public_key)
    return f"{name}+{key_id(name, key_type, public_key).hex()}+{encoded}"


def parse_vkey(text: str) -> tuple[str, int, bytes]:
    """Name, signature type and public key of a text form; the type is left to the caller."""
    name, found_id, key = _key_parts(text, "vkey")
    check_id(found_id, key_id(name, key[0], key[1:]))
    return name, key[0], key[1:]


def format_private(name: str, key_type: int, seed: bytes, public_id: bytes) -> str:
    """PRIVATE+KEY+<name>+<id of the public key in hex>+<base64 of type and seed>."""
    return f"{PRIVATE}{name}+{public_id.hex()}+{to_base64(bytes([key_type]) + seed)}"


def parse_private(text: str) -> tuple[str, int, bytes, bytes]:
    """Name, signature type, seed and the key id found; whoever derives the public key checks that id."""
    if not text.startswith(PRIVATE):
        raise Malformed("private key", "another beginning", PRIVATE)
    name, found_id, key = _key_parts(text.removeprefix(PRIVATE), "private key")
    return name, key[0], key[1:], found_id


def _key_parts(text: str, place: str) -> tuple[str, bytes, bytes]:
    """What both text forms share. No message shows the last part, which may be secret."""
    name, _, rest = text.partition("+")
    found_id, _, encoded = rest.partition("+")
    check_name(name)
    if not _ID.fullmatch(found_id):
        raise Malformed(f"{place} of {name}", "another key id", "8 lowercase hexadecimal digits")
    try:
        key = from_base64(encoded, place)
    except Malformed:
        raise Malformed(
            f"{place} of {name}", "a key that is not canonical base64", "base64 of type and key"
        ) from None
    if not key:
        raise Malformed(f"{place} of {name}", "no key", "base64 of type and key")
    return name, bytes.fromhex(found_id), key


def check_name(name: str) -> None:
    """Refuse an empty key name, and one with a space, a plus or a control character."""
    if not name or _NOT_IN_NAMES.search(name):
        raise Malformed("key name", shown(name), "characters other than spaces, plus and controls")
    encodable(name, "key name")


def check_type(found: int, wanted: Sequence[int]) -> None:
    """Refuse a signature type the caller does not speak."""
    if found not in wanted:
        raise Malformed(
            "signature type", f"{found:#04x}", " or ".join(f"{one:#04x}" for one in wanted)
        )


def check_id(found: bytes, wanted: bytes) -> None:
    """Refuse a key id that belongs to another name or key."""
    if found != wanted:
        raise Malformed("key id", found.hex(), wanted.hex())


def _check_key(key: bytes, place: str) -> None:
    if len(key) != ED25519_KEY_BYTES:
        raise Malformed(place, f"{len(key)} bytes", f"{ED25519_KEY_BYTES} bytes")


def sign_note(text: str, signers: Iterable[Signs], signatures: Iterable[Signature] = ()) -> bytes:
    """The note of `text` with the given lines first and those of `signers` after them."""
    check_text(text)
    made = [Signature(signer.name, signer.key_id, signer.sign(text)) for signer in signers]
    return join_note(text, (*signatures, *made))


def join_note(text: str, signatures: Sequence[Signature]) -> bytes:
    """Text, blank line, signature lines."""
    check_text(text)
    _check_count(len(signatures))
    return (text + "\n" + "".join(signature.line() for signature in signatures)).encode()


def split_note(data: bytes) -> tuple[str, tuple[Signature, ...]]:
    """Text and signature lines of a well-formed note. Nothing is verified here."""
    note = utf8(data, "note")
    control = _CONTROLS.search(note)
    if control:
        raise Malformed(
            "note", f"{shown(control[0])} at {control.start()}", "no control character but newline"
        )
    if not note.endswith("\n"):
        raise Malformed("note", "no newline at the end", "one")
    text, blank, lines = note.rpartition("\n\n")
    if not blank:
        raise Malformed("note", "no blank line", "one between text and signatures")
    found = lines.removesuffix("\n").split("\n")
    _check_count(len(found))
    return text + "\n", tuple(
        Signature.parse(line, f"signature line {at}") for at, line in enumerate(found, 1)
    )


def check_text(text: str) -> None:
    """Refuse what no note can carry as its text."""
    encodable(text, "note text")
    control = _CONTROLS.search(text)
    if control:
        raise Malformed("note text", shown(control[0]), "no control character but newline")
    if not text.endswith("\n"):
        raise Malformed("note text", "no newline at the end", "one")


def _check_count(lines: int) -> None:
    if not 1 <= lines <= SIGNATURE_LIMIT:
        raise Malformed("note", f"{lines} signature lines", f"1 to {SIGNATURE_LIMIT}")


def open_note(data: bytes, verifiers: Iterable[Verifies]) -> Note:
    """The note, if one of `verifiers` signed it and no line in their name is false.

    A line of an unknown key is ignored, even where the name or the id alone is known. A line that repeats another is
    dropped. Source: signed-note, Signatures.
    """
    text, signatures = split_note(data)
    known = _by_key(verifiers)
    verified: list[Signature] = []
    unverified: list[Signature] = []
    for signature in dict.fromkeys(signatures):
        verifier = known.get(signature.key)
        if verifier is None:
            unverified.append(signature)
        elif verifier.verify(text, signature.signature):
            verified.append(signature)
        else:
            raise BadSignature(
                f"signature of {signature.name}",
                signature.key_id.hex(),
                "one this key made of this text",
            )
    if not verified:
        names = ", ".join(sorted({signature.name for signature in unverified}))
        raise Unsigned("note", f"signatures of {shown(names)}", f"one of {len(known)} known keys")
    return Note(text, tuple(verified), tuple(unverified))


def _by_key(verifiers: Iterable[Verifies]) -> dict[tuple[str, bytes], Verifies]:
    known: dict[tuple[str, bytes], Verifies] = {}
    for verifier in verifiers:
        other = known.setdefault((verifier.name, verifier.key_id), verifier)
        if other != verifier:
            raise Malformed(
                "verifiers", f"two keys of {verifier.name} with one id", "one key for a name and id"
            )
    return known


def ed25519_public(seed: bytes) -> bytes:
    """The public key of a seed. Source: RFC 8032."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """The signature, the same at every call. Source: RFC 8032."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def ed25519_verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature is one of this key over this message. Source: RFC 8032."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
