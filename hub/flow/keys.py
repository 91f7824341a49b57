"""Keys that members made after the configuration: read from the topic of what the ledger applied about members.

Owns nothing that must be kept: a worker reads the topic from its beginning when it starts, and reads on when it meets a
key that it does not know. Only additions matter here. Whether a key still counts is the ledger's to say, by its own order
(`KEY_REVOKED`); a worker that forgot revoked keys would answer differently from one that has not heard yet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import structlog

from hub.flow.kafka import Message, Reader, answered
from schemas import topics
from schemas.codec import UnknownSchema, Unreadable, decode
from schemas.envelope import KEY_ID, SIGNATURE, header
from schemas.records import MemberKeyChanged
from schemas.signing import Verifier

log = structlog.get_logger("keys")

TOPIC = topics.domain("member")
BATCH = 500


def learn(message: Message, members: Collection[str], verifier: Verifier) -> str | None:
    """Take the key that an applied member.key-changed brings; its id, or None where there is nothing to learn.

    The event is signed by a key known before, so whoever writes the topic cannot bring in keys of its own.
    """
    value = message.value or b""
    try:
        event = decode(value)
    except (Unreadable, UnknownSchema):
        return None
    if not isinstance(event, MemberKeyChanged) or event.public_key is None:
        return None
    signer = (header(message.headers, KEY_ID) or b"").decode(errors="replace")
    signature = header(message.headers, SIGNATURE) or b""
    if event.code not in members or verifier.owner(signer) != event.code:
        return None
    if verifier.owner(event.key_id) is not None or not verifier.valid(signer, value, signature):
        return None
    verifier.add(event.key_id, event.code, event.public_key)
    return event.key_id


def unknown(messages: Iterable[Message], verifier: Verifier) -> set[str]:
    """Ids of keys that messages name and nobody here knows."""
    named = {
        (header(message.headers, KEY_ID) or b"").decode(errors="replace") for message in messages
    }
    return {name for name in named if name and verifier.owner(name) is None}


class LedgerKeys:
    """Reads on in the topic when asked, and adds what it learns to the verifier."""

    def __init__(self, reader: Reader, members: Collection[str], verifier: Verifier) -> None:
        self._reader = reader
        self._members = members
        self._verifier = verifier
        self._next = 0

    async def read_on(self) -> list[str]:
        """Learn up to the topic's end as it is now. Raises `RetryLater` when Kafka does not answer in time."""
        end = await answered(self._reader.end(TOPIC), f"looking for the end of {TOPIC}")
        return await answered(self._read_to(end), f"reading keys from {TOPIC}")

    async def look_for(self, messages: Iterable[Message]) -> None:
        """Read on, once, if a message names a key that is not known; afterwards it may still be unknown."""
        missing = unknown(messages, self._verifier)
        if missing:
            learned = await self.read_on()
            log.info("looked_for_keys", unknown=len(missing), learned=learned)

    async def _read_to(self, end: int) -> list[str]:
        learned: list[str] = []
        while self._next < end:
            for message in await self._reader.batch(200, BATCH):
                self._next = message.offset + 1
                name = learn(message, self._members, self._verifier)
                if name is not None:
                    learned.append(name)
        return learned
