"""Kafka as the transparency log wants it: `hub.flow.kafka` behind the protocols of `hub.transparency.bus`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from hub.flow.kafka import Outgoing, Writer, plain_reader, producer
from hub.transparency.bus import Record, Sink, Source


class KafkaBus:
    """One process's way to the broker; `name` is what the broker knows it by."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self._bootstrap, self._name = bootstrap, name

    def reader(self, *topics: str) -> AbstractAsyncContextManager[Source]:
        """A reader of these topics, in no group."""
        return plain_reader(self._bootstrap, [(topic, 0) for topic in topics], self._name)

    @asynccontextmanager
    async def writer(self) -> AsyncIterator[Sink]:
        """An idempotent writer."""
        async with producer(self._bootstrap, self._name) as writer:
            yield KafkaSink(writer)


class KafkaSink:
    """Writes and waits."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def send(self, topic: str, records: Sequence[Record]) -> None:
        """Append in order. Returns when all replicas have them."""
        outgoing = [Outgoing(record.key, record.value, record.headers) for record in records]
        await asyncio.gather(*await self._writer.send(topic, outgoing))
