"""Ed25519 (RFC 8032) by libsodium where PyNaCl is installed, by `cryptography` alone otherwise. Both say the same.

The standard leaves open what becomes of points of small order, and the two libraries differ there: whoever makes such a
key, or such a signature, is taken by OpenSSL and refused by libsodium. An event that one machine takes and another
refuses would look like the hub's fraud, so libsodium's rule (crypto_sign/ed25519/ref10/open.c) holds for both.
libsodium takes half the CPU of OpenSSL per check (`make bench`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

try:
    from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
    from nacl.exceptions import BadSignatureError
except ImportError:  # the stand-alone verifier
    SODIUM = False
else:
    SODIUM = True

KEY_BYTES = 32
SIGNATURE_BYTES = 64

Check = Callable[[bytes, bytes], bool]  # (message, signature) -> whether the key signed it
Sign = Callable[[bytes], bytes]

# The y of every point of order 1, 2, 4 or 8, with its spellings beyond the prime. Source: libsodium, ed25519_ref10.c,
# ge25519_has_small_order; a property test finds them again by computing.
_PRIME = 2**255 - 19
_EIGHTH = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
_SMALL = frozenset({0, 1, _PRIME - 1, _PRIME, _PRIME + 1, _EIGHTH, _PRIME - _EIGHTH})


def checks(public: bytes) -> Check:
    """The check of one public key. A key of another length than 32 bytes signs nothing."""
    if len(public) != KEY_BYTES:
        return _nothing
    return partial(_sodium_check, public) if SODIUM else openssl_checks(public)


def signs(seed: bytes) -> tuple[bytes, Sign]:
    """The public key of a seed of 32 secret bytes, and its signing. Raises `ValueError` for another length."""
    if len(seed) != KEY_BYTES:
        raise ValueError(f"a private key has {len(seed)} bytes, wanted {KEY_BYTES}")
    if not SODIUM:
        return openssl_signs(seed)
    public, secret = crypto_sign_seed_keypair(seed)

    def sign(message: bytes) -> bytes:
        return crypto_sign(message, secret)[:SIGNATURE_BYTES]

    return public, sign


def openssl_signs(seed: bytes) -> tuple[bytes, Sign]:
    """As `signs`, whatever is installed."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private.public_key().public_bytes_raw(), private.sign


def openssl_checks(public: bytes) -> Check:
    """As `checks` for 32 bytes, whatever is installed."""
    if _y(public) >= _PRIME or _y(public) in _SMALL:
        return _nothing
    key = Ed25519PublicKey.from_public_bytes(public)

    def check(message: bytes, signature: bytes) -> bool:
        if len(signature) != SIGNATURE_BYTES or _y(signature[:KEY_BYTES]) in _SMALL:
            return False
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return check


def _y(point: bytes) -> int:
    """The coordinate in 32 bytes, without the bit for the sign of x."""
    return int.from_bytes(point, "little") & (2**255 - 1)


def _sodium_check(public: bytes, message: bytes, signature: bytes) -> bool:
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True


def _nothing(_message: bytes, _signature: bytes) -> bool:
    return False
