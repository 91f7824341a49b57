"""What the log needs of Kafka, and of each topic only its first partition. Owns no client: `hub.run` plugs one in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from schemas.envelope import Headers


class Message(Protocol):
    """A record as read."""

    @property
    def topic(self) -> str:
        """Where it stands."""

    @property
    def offset(self) -> int:
        """Its place in the topic."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its content; None when there is none or it could not be read."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Its headers."""


class Source(Protocol):
    """Reads topics from their beginning, or from where it is sent."""

    async def batch(self, timeout_ms: int, most: int) -> Sequence[Message]:
        """The next messages; empty when none came in time."""

    async def begin(self, topic: str) -> int:
        """Offset of the oldest record."""

    async def end(self, topic: str) -> int:
        """Offset behind the newest record."""

    def seek(self, topic: str, offset: int) -> None:
        """Go on reading there."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record to write."""

    key: bytes
    value: bytes
    headers: Headers


class Sink(Protocol):
    """Writes."""

    async def send(self, topic: str, records: Sequence[Record]) -> None:
        """Append in order. Returns when all replicas have them."""


class Bus(Protocol):
    """Kafka."""

    def reader(self, *topics: str) -> AbstractAsyncContextManager[Source]:
        """A reader of these topics, in no group."""

    def writer(self) -> AbstractAsyncContextManager[Sink]:
        """An idempotent writer."""


SPAN = 500  # messages of one look


async def backwards(source: Source, topic: str) -> AsyncIterator[list[Message]]:
    """A topic from its end to its beginning, in pieces of `SPAN` messages, until the caller has seen enough.

    Where the source reads on afterwards is for the caller to say.
    """
    begin, end = await source.begin(topic), await source.end(topic)
    while end > begin:
        start = max(begin, end - SPAN)
        yield await _between(source, topic, start, end)
        end = start


async def _between(source: Source, topic: str, start: int, end: int) -> list[Message]:
    """The messages of a topic from offset `start` to before `end`; those of other topics are passed over."""
    source.seek(topic, start)
    found: list[Message] = []
    while start < end:
        for message in await source.batch(200, 2 * SPAN):
            if message.topic == topic and start <= message.offset < end:
                found.append(message)
                start = message.offset + 1
    return found
