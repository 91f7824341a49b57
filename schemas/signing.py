"""Signatures: Ed25519 (RFC 8032) over DSSE's pre-authentication encoding of the exact bytes sent.

The bytes are never encoded again for a check, so a connector in any language can sign. Source of the encoding:
github.com/secure-systems-lab/dsse, protocol.md. `schemas.curve` does the curve, `cryptography` the key files.

Two forms stand for an event. A plain signature has 64 bytes. A page signature covers up to 1,024 events that one member
sends together: Ed25519 once over the root of their Merkle tree (RFC 6962, as the ledger's own), then for each event its
index, the number of events (both 4 bytes, big endian) and the way from its leaf to the root. Each event proves its
signature alone, and whoever checks many pays for one check of the curve a page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from os import urandom
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.curve import SIGNATURE_BYTES, Check, Sign, checks, signs
from schemas.tlog.merkle import leaf_hash

PAYLOAD_TYPE = "application/vnd.alliance.event+avro"
PAGE_TYPE = "application/vnd.alliance.page"  # the root over a page of events
PROMISE_TYPE = "application/vnd.alliance.promise"  # admission's promises, see schemas.promises
KEY_TYPE = "application/vnd.alliance.key"  # that a member holds the private half of a new key

PAGE_LIMIT = 1024  # events; a way to the root then has at most ten hashes
_HASH_BYTES = 32
_PAGE_HEAD = SIGNATURE_BYTES + 8
PAGE_SIGNATURE_BYTES = _PAGE_HEAD + 10 * _HASH_BYTES  # the longest signature there is
_PAGES_KEPT = 4096  # checked pages a verifier remembers, some 200 bytes each


@cache
def _prefix(payload_type: str) -> bytes:
    return f"DSSEv1 {len(payload_type.encode())} {payload_type} ".encode()


def pre_authentication_encoding(body: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """What is signed: the payload type and the body, each after its length, so that neither can pass for the other."""
    return b"%b%d %b" % (_prefix(payload_type), len(body), body)


def key_id(public: bytes) -> str:
    """The name of a key: the first 16 hex digits of SHA-256 over its 32 raw bytes."""
    return hashlib.sha256(public).hexdigest()[:16]


def possession_body(member: str, name: str) -> bytes:
    """What a member signs under `KEY_TYPE` with the new key of that name, to show that it holds it."""
    return f"{member}\n{name}\n".encode()


@dataclass(frozen=True, slots=True)
class Signer:
    """A member's private key. Never printed: the repr shows the key id alone."""

    key_id: str
    public: bytes  # 32 raw bytes
    _seed: bytes
    _sign: Sign = field(compare=False)

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"

    def sign(self, body: bytes) -> bytes:
        """64 bytes of signature over the framed event."""
        return self.sign_as(PAYLOAD_TYPE, body)

    def sign_as(self, payload_type: str, body: bytes) -> bytes:
        """64 bytes of signature over something else than an event."""
        return self._sign(pre_authentication_encoding(body, payload_type))

    def pem(self) -> bytes:
        """PKCS #8, unencrypted; the file's mode protects it."""
        return Ed25519PrivateKey.from_private_bytes(self._seed).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def new_signer(seed: bytes | None = None) -> Signer:
    """A new key pair; `seed` is its 32 secret bytes, where they exist already."""
    seed = urandom(32) if seed is None else seed
    public, sign = signs(seed)
    return Signer(key_id(public), public, seed, sign)


def load_signer(path: Path) -> Signer:
    """Read a private key made by `alliance members keygen`.

    Raises `ValueError` when the file holds no Ed25519 private key, `OSError` when it cannot be read.
    """
    private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError(
            f"{path} holds a {type(private).__name__}, wanted Ed25519; run: alliance members keygen"
        )
    return new_signer(private.private_bytes_raw())


def sign_page(signer: Signer, bodies: Sequence[bytes]) -> list[bytes]:
    """A signature for each of the framed events, in their order; a single event gets a plain one.

    Raises `ValueError` for more than `PAGE_LIMIT` events.
    """
    size = len(bodies)
    if size > PAGE_LIMIT:
        raise ValueError(f"a page of {size} events, wanted at most {PAGE_LIMIT}; split it")
    if size < 2:
        return [signer.sign(body) for body in bodies]
    # One row for each height: complete pairs are joined, an odd last node goes up as it is. That is RFC 6962's tree.
    rows = [[leaf_hash(body) for body in bodies]]
    while len(rows[-1]) > 1:
        below = rows[-1]
        joined = [_joined(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
        rows.append(joined + below[len(joined) * 2 :])
    signed = signer.sign_as(PAGE_TYPE, _page(rows[-1][0], size))
    return [b"".join((signed, _head(index, size), *_path(rows, index))) for index in range(size)]


def _joined(left: bytes, right: bytes) -> bytes:
    """A node of the tree, as `schemas.tlog.merkle.node_hash`, without the call: this runs ten times for each event."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _head(index: int, size: int) -> bytes:
    return index.to_bytes(4, "big") + size.to_bytes(4, "big")


def _page(root: bytes, size: int) -> bytes:
    return root + size.to_bytes(4, "big")


def _path(rows: list[list[bytes]], index: int) -> list[bytes]:
    """The hashes beside the way from a leaf to the root, lowest first."""
    found = []
    for row in rows[:-1]:
        if (index ^ 1) < len(row):
            found.append(row[index ^ 1])
        index >>= 1
    return found


@lru_cache(maxsize=8192)  # of half a million there are: strangers choose the numbers
def _turns(index: int, size: int) -> tuple[bool, ...]:
    """For each hash of the path, lowest first, whether it stands to the left."""
    found = []
    while size > 1:
        if (index ^ 1) < size:
            found.append(bool(index & 1))
        index >>= 1
        size = (size + 1) >> 1
    return tuple(found)


def _root(body: bytes, index: int, size: int, path: bytes) -> bytes | None:
    """The root that the event and its path make, or None when they cannot belong to a page."""
    if not (2 <= size <= PAGE_LIMIT and index < size):
        return None
    turns = _turns(index, size)
    if len(path) != len(turns) * _HASH_BYTES:
        return None
    sha256 = hashlib.sha256
    node = sha256(b"\x00" + body).digest()
    at = 0
    for on_the_left in turns:
        beside = path[at : at + _HASH_BYTES]
        node = sha256(b"\x01" + (beside + node if on_the_left else node + beside)).digest()
        at += _HASH_BYTES
    return node


@lru_cache(maxsize=256)
def _loaded(public: bytes) -> Check:
    return checks(public)


def verify_as(public: bytes, payload_type: str, body: bytes, signature: bytes) -> bool:
    """Whether this raw public key signed these bytes as this type. Anything malformed is not signed; nothing is raised."""
    return _loaded(public)(pre_authentication_encoding(body, payload_type), signature)


class Verifier:
    """Public keys by id, each with the member it belongs to.

    Not a value: the edge that owns it adds and removes keys as the ledger tells, so each reader of the ledger has its own.
    """

    def __init__(self, keys: dict[str, tuple[str, bytes]]) -> None:
        self._keys: dict[str, tuple[str, bytes, Check]] = {}
        self._pages: dict[tuple[bytes, bytes, int, bytes], None] = {}  # valid ones, oldest first
        for name, (member, public) in keys.items():
            self.add(name, member, public)

    def add(self, name: str, member: str, public: bytes) -> None:
        """Take the key from now on; one of the same name is replaced. Raises `ValueError` for other than 32 bytes."""
        if len(public) != _HASH_BYTES:
            raise ValueError(
                f"key {name} of {member} has {len(public)} bytes, wanted 32 raw bytes of Ed25519"
            )
        self._keys[name] = (member, public, checks(public))

    def remove(self, name: str) -> None:
        """Know the key no longer, not even in pages checked before. A name that is not known is no error."""
        self._keys.pop(name, None)

    def owner(self, name: str) -> str | None:
        """The member a key belongs to, or None for an unknown key."""
        found = self._keys.get(name)
        return found[0] if found else None

    def valid(self, name: str, body: bytes, signature: bytes) -> bool:
        """Whether the key signed exactly these bytes, alone or in a page."""
        found = self._keys.get(name)
        if found is None:
            return False
        _, public, check = found
        if len(signature) <= SIGNATURE_BYTES:
            return check(pre_authentication_encoding(body), signature)
        index = int.from_bytes(signature[SIGNATURE_BYTES : SIGNATURE_BYTES + 4], "big")
        size = int.from_bytes(signature[SIGNATURE_BYTES + 4 : _PAGE_HEAD], "big")
        root = _root(body, index, size, signature[_PAGE_HEAD:])
        if root is None:
            return False
        page = (public, root, size, signature[:SIGNATURE_BYTES])
        if page in self._pages:
            return True
        # Only what is valid is kept, so nobody can push it out by sending rubbish.
        if not check(pre_authentication_encoding(_page(root, size), PAGE_TYPE), page[3]):
            return False
        if len(self._pages) >= _PAGES_KEPT:
            del self._pages[next(iter(self._pages))]
        self._pages[page] = None
        return True
