"""Signatures: Ed25519 (RFC 8032) over DSSE's pre-authentication encoding of the exact bytes sent.

The bytes are never encoded again for a check, so a connector in any language can sign. Source of the encoding:
github.com/secure-systems-lab/dsse, protocol.md. libsodium does the curve (half the CPU of OpenSSL per check, `make
bench`), `cryptography` the key files.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

_SIGNATURE_BYTES = 64
PAYLOAD_TYPE = "application/vnd.alliance.event+avro"
_PREFIX = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} ".encode()


def pre_authentication_encoding(body: bytes) -> bytes:
    """What is signed: the payload type and the body, each after its length, so that neither can pass for the other."""
    return b"%b%d %b" % (_PREFIX, len(body), body)


def key_id(public: bytes) -> str:
    """The name of a key: the first 16 hex digits of SHA-256 over its 32 raw bytes."""
    return hashlib.sha256(public).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Signer:
    """A member's private key. Never printed: the repr shows the key id alone."""

    key_id: str
    _private: SigningKey

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"

    def sign(self, body: bytes) -> bytes:
        """64 bytes of signature over the framed event."""
        return self._private.sign(pre_authentication_encoding(body)).signature

    @property
    def public(self) -> bytes:
        """32 raw bytes of the public key."""
        return bytes(self._private.verify_key)

    def pem(self) -> bytes:
        """PKCS #8, unencrypted; the file's mode protects it."""
        return Ed25519PrivateKey.from_private_bytes(bytes(self._private)).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def new_signer(seed: bytes | None = None) -> Signer:
    """A new key pair; `seed` is its 32 secret bytes, where they exist already."""
    private = SigningKey(seed) if seed else SigningKey.generate()
    return Signer(key_id(bytes(private.verify_key)), private)


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


class Verifier:
    """Public keys by id, each with the member it belongs to. Loading a key costs more than a check: load once."""

    def __init__(self, keys: dict[str, tuple[str, bytes]]) -> None:
        self._keys = {name: (member, VerifyKey(raw)) for name, (member, raw) in keys.items()}

    def owner(self, name: str) -> str | None:
        """The member a key belongs to, or None for an unknown key."""
        found = self._keys.get(name)
        return found[0] if found else None

    def valid(self, name: str, body: bytes, signature: bytes) -> bool:
        """Whether the key signed exactly these bytes."""
        found = self._keys.get(name)
        if found is None or len(signature) != _SIGNATURE_BYTES:
            return False
        try:
            found[1].verify(pre_authentication_encoding(body), signature)
        except BadSignatureError:
            return False
        return True
