"""Formats of what only a student's two universities may read: pseudonym, private part, commitment and wrapped key.

Pure: keys, salts, nonces and ephemeral keys come in as arguments. Who keeps them is another matter
(`connectors.sdk.private.store`). Four formats, all under the name `pc-v1`:

- pseudonym: HMAC-SHA256 under the home university's secret over local id, host, purpose and the student's salt. Another
  host or purpose gives another pseudonym; without the salt nobody can make it again, not even with the secret.
- private part: JSON, padded, under AES-256-GCM with the student's data key; bound to student, event and key.
- commitment: SHA-256 over `pc-v1`, nonce and ciphertext. Of the ciphertext and never of the plaintext, since a grade has a
  handful of values and would be guessed.
- wrapped key: the data key for one member, X25519 with a key made for this wrapping, HKDF-SHA256, AES-256-GCM.

Sources: RFC 2104 (HMAC), RFC 5869 (HKDF), RFC 7748 (X25519), NIST SP 800-38D (GCM).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.records import PrivatePart, PrivatePayload, WrappedKey

KEY_BYTES = 32  # data keys, home secrets, salts, X25519 keys
NONCE_BYTES = 12  # what GCM is made for
_TAG_BYTES = 16
_PAD_BYTES = 64  # the ledger shows the size: steps of 64 bytes tell little of a name's length
_VERSION = b"pc-v1"
_WRAPPING_NONCE = bytes(
    NONCE_BYTES
)  # the wrapping key is used once: it comes from a new ephemeral key

Part: TypeAlias = Mapping[str, Any]


class PrivateError(Exception):
    """A private part or its key cannot be used; the message says what was found and what to do."""


class NotCommitted(PrivateError):
    """The payload is not the one the signed event commits to."""


class Undecipherable(PrivateError):
    """This key does not open these bytes: another key, another student or event, or bytes that were changed."""


def _length_prefixed(*parts: bytes) -> bytes:
    """Each part after its length in four bytes, so that no two lists of parts give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _bound(use: str, *names: str) -> bytes:
    return _length_prefixed(_VERSION, use.encode(), *(name.encode() for name in names))


def pseudonym(
    home_key: bytes, *, home: str, local_id: str, host: str, purpose: str, salt: bytes
) -> str:
    """A student's name towards one host for one purpose: `urn:alliance:student:<home>:<32 hex digits>`.

    `home_key` and `salt` have 32 bytes. Raises `PrivateError` for another length.
    """
    _sized(home_key, "the home secret")
    _sized(salt, "a student's salt")
    message = _length_prefixed(local_id.encode(), host.encode(), purpose.encode(), salt)
    opaque = hmac.new(home_key, message, hashlib.sha256).hexdigest()[:32]
    return f"urn:alliance:student:{home}:{opaque}"


def key_id(data_key: bytes) -> str:
    """The name of a data key: 32 hex digits that follow from it, so that a key given under a name is checked."""
    _sized(data_key, "a data key")
    return hashlib.sha256(_bound("key id") + data_key).hexdigest()[:32]


def commitment(nonce: bytes, ciphertext: bytes) -> bytes:
    """What the event in the ledger holds of its private part; 32 bytes."""
    return hashlib.sha256(_VERSION + nonce + ciphertext).digest()


def part_of(nonce: bytes, ciphertext: bytes, key: str) -> PrivatePart:
    """The event's field for a sealed part."""
    return PrivatePart(key, commitment(nonce, ciphertext), len(ciphertext))


def seal(part: Part, data_key: bytes, nonce: bytes, *, student_id: str, event_id: str) -> bytes:
    """The part's ciphertext, tag included. A nonce must never be used twice under one key: take 12 random bytes.

    Raises `PrivateError` for a value that JSON writes in more than one way (a float), or not at all.
    """
    _sized(nonce, "a nonce", NONCE_BYTES)
    plain = _plain(part)
    bound = _bound("private part", student_id, event_id, key_id(data_key))
    return AESGCM(data_key).encrypt(nonce, plain, bound)


def checked(payload: PrivatePayload, part: PrivatePart) -> PrivatePayload:
    """The payload, if it is the one that the event commits to. Needs no key. Raises `NotCommitted`."""
    said = f"payload of event {payload.event_id}"
    if payload.key_id != part.key_id:
        raise NotCommitted(
            f"{said} names the key {payload.key_id}, the event {part.key_id}; ask its writer to publish it again"
        )
    if len(payload.ciphertext) != part.size:
        raise NotCommitted(
            f"{said} has {len(payload.ciphertext)} bytes of ciphertext, the event says {part.size}; "
            "ask its writer to publish it again"
        )
    if commitment(payload.nonce, payload.ciphertext) != part.commitment:
        raise NotCommitted(
            f"{said} has another commitment than the event; ask its writer to publish it again"
        )
    return payload


def unseal(payload: PrivatePayload, data_key: bytes) -> dict[str, Any]:
    """The private part. Raises `Undecipherable`; compare with the event first (`checked`)."""
    if len(payload.nonce) != NONCE_BYTES or len(payload.ciphertext) < _TAG_BYTES:
        raise Undecipherable(
            f"payload of event {payload.event_id} has a nonce of {len(payload.nonce)} and {len(payload.ciphertext)} bytes, "
            f"wanted {NONCE_BYTES} and at least {_TAG_BYTES}; ask its writer to publish it again"
        )
    bound = _bound("private part", payload.student_id, payload.event_id, key_id(data_key))
    try:
        plain = AESGCM(data_key).decrypt(payload.nonce, payload.ciphertext, bound)
        found = json.loads(plain)
    except (InvalidTag, ValueError) as error:
        raise Undecipherable(
            f"payload of event {payload.event_id} does not open with key {key_id(data_key)}; "
            "was it written for another student, event or key?"
        ) from error
    if not isinstance(found, dict):
        raise Undecipherable(
            f"payload of event {payload.event_id} holds no object; ask its writer to publish it again"
        )
    return found


def wrap(
    data_key: bytes, public: bytes, ephemeral: bytes, *, member: str, student_id: str
) -> WrappedKey:
    """The data key for a member whose X25519 public key is `public`. `ephemeral` are 32 random bytes, for this call alone."""
    secret = X25519PrivateKey.from_private_bytes(_sized(ephemeral, "an ephemeral key"))
    sender = secret.public_key().public_bytes_raw()
    shared = _shared(secret, public)
    bound = _bound("wrapped key", member, student_id, key_id(data_key))
    sealed = AESGCM(_wrapping_key(shared, sender, public, bound)).encrypt(
        _WRAPPING_NONCE, data_key, bound
    )
    return WrappedKey(member, sender, sealed)


def unwrap(wrapped: WrappedKey, private: X25519PrivateKey, *, student_id: str, key: str) -> bytes:
    """The data key named `key`. Raises `Undecipherable` when it was wrapped for another member, student or name."""
    public = private.public_key().public_bytes_raw()
    bound = _bound("wrapped key", wrapped.member, student_id, key)
    try:
        shared = _shared(private, wrapped.ephemeral)
        wrapping = AESGCM(_wrapping_key(shared, wrapped.ephemeral, public, bound))
        data_key = wrapping.decrypt(_WRAPPING_NONCE, wrapped.sealed, bound)
    except (InvalidTag, PrivateError, ValueError) as error:
        raise Undecipherable(
            f"key {key} of {student_id}, wrapped for {wrapped.member}, does not open with our encryption key; "
            "is the public half in alliance.toml the one of this file?"
        ) from error
    if len(data_key) != KEY_BYTES or key_id(data_key) != key:
        raise Undecipherable(
            f"what was wrapped as key {key} of {student_id} is another key; tell the university that wrapped it"
        )
    return data_key


def read_private_key(text: str) -> X25519PrivateKey:
    """A member's decryption key from the text of `<code>.encryption`. Raises `PrivateError`."""
    return X25519PrivateKey.from_private_bytes(read_secret(text, "an encryption key"))


def read_secret(text: str, said: str = "the home secret") -> bytes:
    """32 bytes from their base64 text. Raises `PrivateError`."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PrivateError(
            f"{said} is no base64; make 32 random bytes and write them in base64"
        ) from error
    return _sized(raw, said)


def _sized(value: bytes, said: str, wanted: int = KEY_BYTES) -> bytes:
    if len(value) != wanted:
        raise PrivateError(f"{said} has {len(value)} bytes, wanted {wanted}; make a new one")
    return value


def _plain(part: Part) -> bytes:
    """Keys in order, no spaces between, spaces behind."""
    _exact(part, "private")
    try:
        text = json.dumps(part, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        plain = text.encode()
    except (TypeError, ValueError) as error:
        raise PrivateError(f"the private part has no JSON form: {error}") from error
    return plain + b" " * (-len(plain) % _PAD_BYTES)


def _exact(value: Any, at: str) -> None:
    if isinstance(value, Mapping):
        for name, item in value.items():
            _exact(item, f"{at}.{name}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _exact(item, f"{at}[{index}]")
    elif not isinstance(value, (str, int, type(None))):
        raise PrivateError(
            f"{at} is a {type(value).__name__}, wanted text, a whole number, true, false or null; write it as text"
        )


def _shared(private: X25519PrivateKey, public: bytes) -> bytes:
    """The agreed secret. Raises `PrivateError` for a point of low order, which agrees on a secret everyone knows."""
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise PrivateError("an X25519 public key is not usable; make a new one") from error


def _wrapping_key(shared: bytes, sender: bytes, receiver: bytes, bound: bytes) -> bytes:
    derive = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=sender + receiver, info=bound)
    return derive.derive(shared)
