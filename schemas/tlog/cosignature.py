"""Cosignatures: a cosigner's word that a checkpoint continues everything it saw before, and when it looked.

Owns both kinds, Ed25519 (0x04) and ML-DSA-44 (0x06), and their keys. The time comes from the caller.
Source: C2SP tlog-cosignature at 5ba5ee8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from schemas.tlog.checkpoint import Checkpoint
from schemas.tlog.errors import Forged, Malformed
from schemas.tlog.note import (
    ED25519_KEY_BYTES,
    ED25519_SIGNATURE_BYTES,
    Signature,
    check_id,
    check_name,
    check_text,
    check_type,
    ed25519_public,
    ed25519_sign,
    ed25519_verifies,
    format_private,
    format_vkey,
    key_id,
    parse_private,
    parse_vkey,
)
from schemas.tlog.wire import checked_hash, checked_number, encodable

ED25519_COSIGNATURE = 0x04
ML_DSA_44_COSIGNATURE = 0x06
COSIGNATURE_TYPES = (ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE)
TIMESTAMP_BYTES = 8  # seconds since 1970, below 2**63
SEED_BYTES = 32  # of both algorithms
ML_DSA_44_KEY_BYTES = 1312  # FIPS 204, table 2
ML_DSA_44_SIGNATURE_BYTES = 2420  # FIPS 204, table 2
_KEY_BYTES = {ED25519_COSIGNATURE: ED25519_KEY_BYTES, ML_DSA_44_COSIGNATURE: ML_DSA_44_KEY_BYTES}
_SIGNATURE_BYTES = {
    ED25519_COSIGNATURE: ED25519_SIGNATURE_BYTES,
    ML_DSA_44_COSIGNATURE: ML_DSA_44_SIGNATURE_BYTES,
}
_LABEL = b"subtree/v1\n\0"
_NAME_BYTES_LIMIT = 255


@dataclass(frozen=True, slots=True)
class Subtree:
    """The leaves from `start` to before `end` of the log `origin`, and the root over them. A checkpoint starts at 0."""

    origin: str
    start: int
    end: int
    root: bytes

    def __post_init__(self) -> None:
        checked_number(self.end, "end of subtree")
        if not 0 <= self.start <= self.end:
            raise Malformed("start of subtree", self.start, f"0 to {self.end}")
        checked_hash(self.root, "root of subtree")


def ed25519_message(timestamp_s: int, text: str) -> bytes:
    """Header line, time line, the whole checkpoint text with its extension lines."""
    return f"cosignature/v1\ntime {timestamp_s}\n{text}".encode()


def ml_dsa_44_message(cosigner: str, timestamp_s: int, subtree: Subtree) -> bytes:
    """The structure `cosigned_message`. It names the cosigner and leaves extension lines out."""
    if subtree.start and timestamp_s:
        raise Malformed(
            "timestamp of a subtree", timestamp_s, "0 where the subtree starts behind 0"
        )
    return b"".join(
        (
            _LABEL,
            _short(cosigner, "cosigner name"),
            timestamp_s.to_bytes(TIMESTAMP_BYTES, "big"),
            _short(subtree.origin, "log origin"),
            subtree.start.to_bytes(8, "big"),
            subtree.end.to_bytes(8, "big"),
            subtree.root,
        )
    )


def _short(text: str, place: str) -> bytes:
    """A text behind its length in one byte."""
    data = encodable(text, place)
    if not 1 <= len(data) <= _NAME_BYTES_LIMIT:
        raise Malformed(place, f"{len(data)} bytes", f"1 to {_NAME_BYTES_LIMIT}")
    return bytes([len(data)]) + data


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    """A cosigner's public key."""

    name: str
    key_type: int
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        check_type(self.key_type, COSIGNATURE_TYPES)
        if len(self.public_key) != _KEY_BYTES[self.key_type]:
            raise Malformed(
                "cosigner key", f"{len(self.public_key)} bytes", _KEY_BYTES[self.key_type]
            )

    @property
    def key_id(self) -> bytes:
        """Four bytes; with the name they tell the key and its algorithm."""
        return key_id(self.name, self.key_type, self.public_key)

    @property
    def vkey(self) -> str:
        """The text form others are given."""
        return format_vkey(self.name, self.key_type, self.public_key)

    @classmethod
    def from_vkey(cls, text: str) -> CosignatureVerifier:
        """The key of a text form with signature type 0x04 or 0x06."""
        return cls(*parse_vkey(text))

    def verify(self, text: str, signature: bytes) -> bool:
        """Whether this cosigner signed the checkpoint `text` at the time `signature` carries."""
        try:
            timestamp_s, made = _split(signature, self.key_type)
            if self.key_type == ED25519_COSIGNATURE:
                Checkpoint.parse(text)
                return ed25519_verifies(self.public_key, made, ed25519_message(timestamp_s, text))
            return self.verify_subtree(_whole_tree(text), signature)
        except Forged:
            return False

    def verify_subtree(self, subtree: Subtree, signature: bytes) -> bool:
        """Whether this cosigner signed `subtree`; only ML-DSA-44 can."""
        check_type(self.key_type, (ML_DSA_44_COSIGNATURE,))
        try:
            timestamp_s, made = _split(signature, self.key_type)
            message = ml_dsa_44_message(self.name, timestamp_s, subtree)
        except Forged:
            return False
        return _ml_dsa_44_verifies(self.public_key, made, message)


@dataclass(frozen=True, slots=True)
class CosignatureSigner:
    """A cosigner's private key. What it promises by signing, its owner has checked before.

    Ed25519 signs the same bytes at every call; ML-DSA-44 draws fresh randomness inside the library (FIPS 204, hedged).
    """

    name: str
    key_type: int
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        check_type(self.key_type, COSIGNATURE_TYPES)
        if len(self.seed) != SEED_BYTES:
            raise Malformed("cosigner seed", f"{len(self.seed)} bytes", SEED_BYTES)

    @property
    def verifier(self) -> CosignatureVerifier:
        """The public side."""
        public_of = _PUBLIC_OF[self.key_type]
        return CosignatureVerifier(self.name, self.key_type, public_of(self.seed))

    @property
    def private_text(self) -> str:
        """The text form to be kept secret."""
        return format_private(self.name, self.key_type, self.seed, self.verifier.key_id)

    @classmethod
    def from_private_text(cls, text: str) -> CosignatureSigner:
        """The key of a private text form with signature type 0x04 or 0x06."""
        name, key_type, seed, found_id = parse_private(text)
        signer = cls(name, key_type, seed)
        check_id(found_id, signer.verifier.key_id)
        return signer

    def cosign(self, text: str, timestamp_s: int) -> Signature:
        """The signature line for the checkpoint `text`, made at `timestamp_s`."""
        checked_number(timestamp_s, "timestamp")
        check_text(text)
        tree = _whole_tree(text)
        if self.key_type == ML_DSA_44_COSIGNATURE:
            return self.cosign_subtree(tree, timestamp_s)
        return self._line(timestamp_s, ed25519_sign(self.seed, ed25519_message(timestamp_s, text)))

    def cosign_subtree(self, subtree: Subtree, timestamp_s: int = 0) -> Signature:
        """The signature for a subtree; only ML-DSA-44 can."""
        check_type(self.key_type, (ML_DSA_44_COSIGNATURE,))
        checked_number(timestamp_s, "timestamp")
        message = ml_dsa_44_message(self.name, timestamp_s, subtree)
        return self._line(timestamp_s, MLDSA44PrivateKey.from_seed_bytes(self.seed).sign(message))

    def at(self, timestamp_s: int) -> CosignerAt:
        """This key as a signer of notes, at one time: a log may sign its own checkpoints so."""
        return CosignerAt(self, timestamp_s)

    def _line(self, timestamp_s: int, made: bytes) -> Signature:
        stamp = timestamp_s.to_bytes(TIMESTAMP_BYTES, "big")
        return Signature(self.name, self.verifier.key_id, stamp + made)


@dataclass(frozen=True, slots=True)
class CosignerAt:
    """A cosigner's key and the time it signs at, in the shape `sign_note` takes."""

    signer: CosignatureSigner
    timestamp_s: int

    @property
    def name(self) -> str:
        """Key name."""
        return self.signer.name

    @property
    def key_id(self) -> bytes:
        """Four bytes; with the name they tell the key and its algorithm."""
        return self.signer.verifier.key_id

    def sign(self, text: str) -> bytes:
        """Timestamp and signature."""
        return self.signer.cosign(text, self.timestamp_s).signature


def timestamp_of(signature: Signature, key_type: int) -> int:
    """When the cosigner signed, in seconds since 1970. Believe it only of a verified signature."""
    check_type(key_type, COSIGNATURE_TYPES)
    return _split(signature.signature, key_type)[0]


def _split(signature: bytes, key_type: int) -> tuple[int, bytes]:
    """Timestamp and signature proper of a `timestamped_signature`."""
    wanted = TIMESTAMP_BYTES + _SIGNATURE_BYTES[key_type]
    if len(signature) != wanted:
        raise Malformed("cosignature", f"{len(signature)} bytes", wanted)
    timestamp_s = int.from_bytes(signature[:TIMESTAMP_BYTES], "big")
    return checked_number(timestamp_s, "timestamp"), signature[TIMESTAMP_BYTES:]


def _whole_tree(text: str) -> Subtree:
    checkpoint = Checkpoint.parse(text)
    return Subtree(checkpoint.origin, 0, checkpoint.size, checkpoint.root)


def _ml_dsa_44_public(seed: bytes) -> bytes:
    return MLDSA44PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()


def _ml_dsa_44_verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


_PUBLIC_OF: dict[int, Callable[[bytes], bytes]] = {
    ED25519_COSIGNATURE: ed25519_public,
    ML_DSA_44_COSIGNATURE: _ml_dsa_44_public,
}
