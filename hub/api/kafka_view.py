"""What the broker says about topics and consumer groups, polled in the background.

Owns the two Kafka clients of the console. Nobody waits for the broker: `snapshot` answers at once with the newest
poll, and says since when the broker has been silent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from hub.api.log_view import ReadCosignature
from hub.flow.admission import GROUP as ADMISSION_GROUP
from hub.flow.delivery import GROUP as DELIVERY_GROUP
from schemas import topics

log = structlog.get_logger()

POLL_S = 2.0
TIMEOUT_S = 8.0
COSIGNATURES_BACK = 500  # messages; the newest 25 checkpoints of twenty members
RATE_POLLS = 6  # rates are measured over the last ten seconds or so


@dataclass(frozen=True, slots=True)
class TopicOffsets:
    """A topic's partitions: oldest offset kept, and the offset the next message gets, by partition number."""

    name: str
    first: Mapping[int, int]
    end: Mapping[int, int]
    rate_per_s: float | None = None  # None until two polls have seen it

    @property
    def messages(self) -> int:
        """Messages kept; an upper bound where the topic is compacted."""
        return sum(self.end.values()) - sum(self.first.values())


@dataclass(frozen=True, slots=True)
class Broker:
    """The newest poll. `at` is when it succeeded; `error` says why the one after it did not, and is empty
    before the first.

    `committed` has the groups that are known, each with what it committed; a group may have committed nothing. `cosigned`
    has the largest size of the ledger that each witness was seen to cosign in `ledger.cosignatures`.
    """

    bootstrap: str
    reachable: bool = False
    error: str = ""
    at: datetime | None = None
    topics: Mapping[str, TopicOffsets] = field(default_factory=dict)
    committed: Mapping[str, Mapping[tuple[str, int], int]] = field(default_factory=dict)
    cosigned: Mapping[str, int] = field(default_factory=dict)

    def end(self, topic: str) -> int | None:
        """Sum of a topic's end offsets, None while it is unknown."""
        found = self.topics.get(topic)
        return sum(found.end.values()) if found else None


class KafkaView(Protocol):
    """What the console needs of Kafka. `run` keeps the snapshot fresh until it is cancelled."""

    def snapshot(self) -> Broker: ...

    async def run(self) -> None: ...


class KafkaPoller:
    """The real view: polls a cluster every `POLL_S`, and reconnects after errors."""

    def __init__(
        self,
        bootstrap: str,
        clock: Callable[[], datetime],
        read_cosignature: ReadCosignature | None = None,
    ) -> None:
        self._clock, self._read_cosignature = clock, read_cosignature
        self._cosigned: dict[str, int] = {}
        self._broker = Broker(bootstrap)
        self._history: deque[tuple[datetime, dict[str, int]]] = deque(maxlen=RATE_POLLS)

    def snapshot(self) -> Broker:
        return self._broker

    async def run(self) -> None:
        while True:
            try:
                async with _clients(self._broker.bootstrap) as (admin, consumer):
                    while True:
                        async with asyncio.timeout(TIMEOUT_S):
                            self._broker = await self._poll(admin, consumer)
                        await asyncio.sleep(POLL_S)
            except Exception as error:  # noqa: BLE001 - outermost loop of a worker: the console outlives any surprise
                said = str(error) or type(error).__name__
                if self._broker.reachable or self._broker.error != said:
                    log.warning("broker_unreachable", bootstrap=self._broker.bootstrap, error=said)
                self._broker = replace(self._broker, reachable=False, error=said)
                self._history.clear()
            await asyncio.sleep(POLL_S)

    async def _poll(self, admin: Any, consumer: Any) -> Broker:
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await admin.describe_topics()
            if not topic["is_internal"]
            for partition in topic["partitions"]
        ]
        first = await consumer.beginning_offsets(partitions) if partitions else {}
        end = await consumer.end_offsets(partitions) if partitions else {}
        now = self._clock()
        sums: dict[str, int] = {}
        for partition, offset in end.items():
            sums[partition.topic] = sums.get(partition.topic, 0) + offset
        await self._read_cosignatures(consumer, first, end)
        rates = self._rates(now, sums)
        self._history.append((now, sums))
        return Broker(
            bootstrap=self._broker.bootstrap,
            reachable=True,
            error="",
            at=now,
            topics={
                name: TopicOffsets(
                    name,
                    {p.partition: offset for p, offset in first.items() if p.topic == name},
                    {p.partition: offset for p, offset in end.items() if p.topic == name},
                    rates.get(name),
                )
                for name in sorted(sums)
            },
            committed={
                group: offsets
                for group in (ADMISSION_GROUP, DELIVERY_GROUP)
                if (offsets := await _committed(admin, group)) is not None
            },
            cosigned=dict(self._cosigned),
        )

    async def _read_cosignatures(
        self, consumer: Any, first: Mapping[Any, int], end: Mapping[Any, int]
    ) -> None:
        """Take in what has come to `ledger.cosignatures` since the last poll; at the start, its newest messages."""
        partition = TopicPartition(topics.COSIGNATURES, 0)
        if self._read_cosignature is None or partition not in end:
            return
        if not consumer.assignment():
            consumer.assign([partition])
            consumer.seek(partition, max(first[partition], end[partition] - COSIGNATURES_BACK))
        batch = await consumer.getmany(partition, timeout_ms=0, max_records=COSIGNATURES_BACK)
        for message in batch.get(partition, ()):
            for name, size in self._read_cosignature(message.value or b"").items():
                self._cosigned[name] = max(size, self._cosigned.get(name, 0))

    def _rates(self, now: datetime, sums: Mapping[str, int]) -> dict[str, float]:
        if not self._history:
            return {}
        then, before = self._history[0]
        seconds = (now - then).total_seconds()
        if seconds <= 0:
            return {}
        return {
            name: max(0, total - before[name]) / seconds
            for name, total in sums.items()
            if name in before
        }


@asynccontextmanager
async def _clients(bootstrap: str) -> AsyncIterator[tuple[Any, Any]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await admin.start()
            await consumer.start()
        yield admin, consumer
    finally:
        await consumer.stop()
        await admin.close()


async def _committed(admin: Any, group: str) -> dict[tuple[str, int], int] | None:
    """What a group has committed, nothing for one that never did; None when its coordinator does not say."""
    try:
        found = await admin.list_consumer_group_offsets(group)
    except KafkaError as error:
        log.debug("group_unknown", group=group, error=str(error))
        return None
    return {(p.topic, p.partition): item.offset for p, item in found.items() if item.offset >= 0}
