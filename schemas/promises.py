"""Promises: the hub's word, signed, that it has an event and will have it in the ledger in time.

Owns what is signed. A promise that is over without a receipt is proof, to anybody with the hub's public key, that the hub
dropped an event. Its key signs nothing else; the payload type keeps its signatures apart from those of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from schemas.envelope import to_millis
from schemas.records import Promise
from schemas.signing import PROMISE_TYPE, Signer, key_id, verify_as


def event_hash(value: bytes) -> bytes:
    """The name of an event in a promise: SHA-256 of its framed bytes, 32 bytes."""
    return sha256(value).digest()


def statement(member: str, merge_by_ms: int, event_hashes: Sequence[bytes]) -> bytes:
    """What is signed: member, time in milliseconds since 1970, each hash in hex; a newline after each."""
    lines = (member, str(merge_by_ms), *(one.hex() for one in event_hashes))
    return "".join(f"{line}\n" for line in lines).encode()


def promise(
    signer: Signer, member: str, values: Sequence[bytes], made_at: datetime, merge_by: datetime
) -> Promise:
    """The promise for these framed events of a member."""
    hashes = tuple(event_hash(value) for value in values)
    signed = statement(member, to_millis(merge_by), hashes)
    signature = signer.sign_as(PROMISE_TYPE, signed)
    return Promise(member, hashes, made_at, merge_by, signer.key_id, signature)


def kept_to(said: Promise, public: bytes) -> bool:
    """Whether the holder of this key (32 raw bytes) made the promise, so that it can be held to it."""
    signed = statement(said.member, to_millis(said.merge_by), said.event_hashes)
    return said.key_id == key_id(public) and verify_as(public, PROMISE_TYPE, signed, said.signature)
