"""What the broker says about topics and consumer groups, polled in the background.

Owns the two Kafka clients of the console. Nobody waits for the broker: `snapshot` answers at once with the newest
poll, and says since when the broker has been silent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from hub.api.kafka_close import closed
from hub.api.log_view import ReadCosignature
from hub.flow.admission import GROUP as ADMISSION_GROUP
from hub.flow.delivery import GROUP as DELIVERY_GROUP
from hub.streams.plan import Names
from hub.watch.kafka import FETCH_BYTES
from hub.watch.view import Watched
from hub.watch.watcher import Positions, Watcher
from schemas import topics
from schemas.envelope import to_millis

log = structlog.get_logger()

POLL_S = 2.0
TIMEOUT_S = 8.0
COSIGNATURES_BACK = 500  # messages; the newest 25 checkpoints of twenty members
BEATS_BACK = 200  # messages; the newest ten or so of twenty members
GROUPS = (ADMISSION_GROUP, DELIVERY_GROUP, Names().app_id)
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
    has the largest size of the ledger that each witness was seen to cosign in `ledger.cosignatures`. `watched` is what
    was found beyond offsets.
    """

    bootstrap: str
    reachable: bool = False
    error: str = ""
    at: datetime | None = None
    topics: Mapping[str, TopicOffsets] = field(default_factory=dict)
    committed: Mapping[str, Mapping[tuple[str, int], int]] = field(default_factory=dict)
    cosigned: Mapping[str, int] = field(default_factory=dict)
    watched: Watched = field(default_factory=Watched)

    def end(self, topic: str) -> int | None:
        """Sum of a topic's end offsets, None while it is unknown."""
        found = self.topics.get(topic)
        return sum(found.end.values()) if found else None


class KafkaView(Protocol):
    """What the console needs of Kafka. `run` keeps the snapshot fresh until it is cancelled."""

    def snapshot(self) -> Broker: ...

    async def run(self) -> None: ...


class KafkaPoller:
    """The real view: polls a cluster every `POLL_S`, and reconnects after errors.

    `folder` is where the hub keeps its state, for the room on its disk; `positions` says what the read model has read.
    """

    def __init__(
        self,
        bootstrap: str,
        clock: Callable[[], datetime],
        read_cosignature: ReadCosignature | None = None,
        *,
        folder: Path | None = None,
        positions: Positions | None = None,
        groups: tuple[str, ...] = GROUPS,
    ) -> None:
        self._clock, self._read_cosignature = clock, read_cosignature
        self._cosigned: dict[str, int] = {}
        self._watcher = Watcher(groups, lambda: to_millis(clock()), folder, positions)
        self._broker = Broker(bootstrap)
        self._history: deque[tuple[datetime, dict[str, int]]] = deque(maxlen=RATE_POLLS)

    def snapshot(self) -> Broker:
        return self._broker

    async def run(self) -> None:
        while True:
            try:
                async with _clients(self._broker.bootstrap) as clients:
                    await self._poll_on(*clients)
            except Exception as error:  # noqa: BLE001 - outermost loop of a worker: the console outlives any surprise
                self._lost(error)
            await asyncio.sleep(POLL_S)

    async def _poll_on(self, admin: Any, consumer: Any, visitor: Any) -> None:
        """Poll until it fails. Who looks is told then, and not when the clients are closed: that takes its time."""
        while True:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    self._broker = await self._poll(admin, consumer, visitor)
            except Exception as error:  # noqa: BLE001 - whatever it is, other clients may do better
                self._lost(error)
                return
            await asyncio.sleep(POLL_S)

    def _lost(self, error: Exception) -> None:
        said = str(error) or type(error).__name__
        if self._broker.reachable or self._broker.error != said:
            log.warning("broker_unreachable", bootstrap=self._broker.bootstrap, error=said)
        self._broker = replace(self._broker, reachable=False, error=said)
        self._history.clear()

    async def _poll(self, admin: Any, consumer: Any, visitor: Any) -> Broker:
        described = await admin.describe_topics()
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            if not topic["is_internal"]
            for partition in topic["partitions"]
        ]
        if partitions:
            await _known(consumer, {partition.topic for partition in partitions})
        first = await consumer.beginning_offsets(partitions) if partitions else {}
        end = await consumer.end_offsets(partitions) if partitions else {}
        now = self._clock()
        sums: dict[str, int] = {}
        for partition, offset in end.items():
            sums[partition.topic] = sums.get(partition.topic, 0) + offset
        await self._follow(consumer, first, end)
        watched = await self._watcher.look(
            admin, visitor, self._broker.bootstrap, described, _by_place(first), _by_place(end)
        )
        rates = self._rates(now, sums)
        oldest, newest = _by_topic(first), _by_topic(end)
        self._history.append((now, sums))
        return Broker(
            bootstrap=self._broker.bootstrap,
            reachable=True,
            error="",
            at=now,
            topics={
                name: TopicOffsets(
                    name,
                    oldest.get(name, {}),
                    newest[name],
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
            watched=watched,
        )

    async def _follow(
        self, consumer: Any, first: Mapping[Any, int], end: Mapping[Any, int]
    ) -> None:
        """Take in cosignatures and heartbeats that came since the last poll; at the start, the newest ones."""
        cosignatures = TopicPartition(topics.COSIGNATURES, 0)
        beats = TopicPartition(topics.HEARTBEATS, 0)
        back = {beats: BEATS_BACK}
        if self._read_cosignature is not None:
            back[cosignatures] = COSIGNATURES_BACK
        followed = {partition: count for partition, count in back.items() if partition in end}
        live = consumer.assignment() == set(followed)
        if not live:
            consumer.assign(list(followed))
            for partition, count in followed.items():
                consumer.seek(partition, max(first[partition], end[partition] - count))
        if not followed:
            return
        found = await consumer.getmany(*followed, timeout_ms=0, max_records=COSIGNATURES_BACK)
        self._watcher.heard(found.get(beats, ()), now_ms=to_millis(self._clock()), live=live)
        if self._read_cosignature is not None:
            for message in found.get(cosignatures, ()):
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
async def _clients(bootstrap: str) -> AsyncIterator[tuple[Any, Any, Any]]:
    """One that asks, one that follows topics, and one that looks at single messages."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    visitor = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await admin.start()
            await consumer.start()
            await visitor.start()
        yield admin, consumer, visitor
    finally:
        for close in (visitor.stop, consumer.stop, admin.close):
            await closed(close)


async def _known(consumer: Any, names: Collection[str]) -> None:
    """Have the metadata of all these topics at once.

    Left alone, aiokafka 0.14 asks for that of the first topic it does not know, pauses, and begins again: a thousand topics
    take minutes. It offers no public way to name them all.
    """
    await consumer._client.set_topics(names)


def _by_topic(offsets: Mapping[Any, int]) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for partition, offset in offsets.items():
        found.setdefault(partition.topic, {})[partition.partition] = offset
    return found


def _by_place(offsets: Mapping[Any, int]) -> dict[tuple[str, int], int]:
    return {(p.topic, p.partition): offset for p, offset in offsets.items()}


async def _committed(admin: Any, group: str) -> dict[tuple[str, int], int] | None:
    """What a group has committed, nothing for one that never did; None when its coordinator does not say."""
    try:
        found = await admin.list_consumer_group_offsets(group)
    except KafkaError as error:
        log.debug("group_unknown", group=group, error=str(error))
        return None
    return {(p.topic, p.partition): item.offset for p, item in found.items() if item.offset >= 0}
