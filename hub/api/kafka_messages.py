"""Single messages of topics, fetched when somebody looks: `Messages`.

Owns the Kafka client for that. Each look has a connection of its own, since people look rarely; nothing is committed, no
topic is read from end to end, and a look ends after `WITHIN_S` with what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from hub.api.kafka_close import closed
from hub.flow.kafka import Message

WITHIN_S = 5.0
START_S = 5.0  # for the connection; a broker that is away must not hold the page


@dataclass(frozen=True, slots=True)
class Ask:
    """At most `most` messages of a partition: from `offset`, else from the time `at_ms` (Kafka's, since 1970), else the newest."""

    topic: str
    partition: int = 0
    most: int = 1
    offset: int | None = None
    at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """What was found for an ask. `first` and `end` are the partition's oldest and next offset, `start` where reading began.

    `whole`: all asked for was read; else the time was over first.
    """

    ask: Ask
    first: int
    end: int
    start: int
    messages: tuple[Message, ...]
    whole: bool


class Messages(Protocol):
    """Where messages are looked up."""

    async def read(self, bootstrap: str, asks: Sequence[Ask]) -> list[Got]:
        """What was found for each ask, in their order; each partition may be asked for once, and must exist.

        Raises `KafkaError`, `OSError` or `TimeoutError`.
        """


class KafkaMessages:
    """The cluster itself."""

    async def read(self, bootstrap: str, asks: Sequence[Ask]) -> list[Got]:
        if not asks:
            return []
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, request_timeout_ms=5000
        )
        try:
            async with asyncio.timeout(START_S):
                await consumer.start()
            async with asyncio.timeout(2 * WITHIN_S):
                return await _read(consumer, asks)
        finally:
            await closed(consumer.stop)


async def _read(consumer: Any, asks: Sequence[Ask]) -> list[Got]:
    by_partition = {TopicPartition(ask.topic, ask.partition): ask for ask in asks}
    first = await consumer.beginning_offsets(list(by_partition))
    end = await consumer.end_offsets(list(by_partition))
    times = {p: ask.at_ms for p, ask in by_partition.items() if ask.at_ms is not None}
    near = await consumer.offsets_for_times(times) if times else {}
    consumer.assign(list(by_partition))
    starts: dict[Any, int] = {}
    for partition, ask in by_partition.items():
        starts[partition] = _start(ask, first[partition], end[partition], near.get(partition))
        consumer.seek(partition, starts[partition])
    found: dict[Any, list[Message]] = {partition: [] for partition in by_partition}
    left = {p for p in by_partition if starts[p] < end[p]}
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while left and (left_s := deadline - asyncio.get_running_loop().time()) > 0:
        got = await consumer.getmany(*left, timeout_ms=int(min(left_s, 0.5) * 1000))
        for partition, records in got.items():
            found[partition] += [_message(one) for one in records if one.offset < end[partition]]
        for partition in list(left):
            enough = len(found[partition]) >= by_partition[partition].most
            if enough or await consumer.position(partition) >= end[partition]:
                left.discard(partition)
    return [
        Got(ask, first[p], end[p], starts[p], tuple(found[p][: ask.most]), p not in left)
        for p, ask in by_partition.items()
    ]


def _start(ask: Ask, first: int, end: int, near: Any) -> int:
    if ask.offset is not None:
        return min(max(ask.offset, first), end)
    if ask.at_ms is not None:
        return end if near is None else max(int(near.offset), first)
    return max(first, end - ask.most)


def _message(one: Any) -> Message:
    return Message(
        one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, one.headers
    )
