"""Watching a real group on a real broker: verdicts, seconds, retention, losses. Only the clock is the test's."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete

from hub.api.kafka_view import KafkaPoller
from hub.broker.admin import TopicSpec, apply
from hub.broker.resolve import BrokerSettings, resolve_broker
from hub.watch.burrow import Status
from hub.watch.kafka import FETCH_BYTES
from hub.watch.view import ReaderLag, Watched
from hub.watch.watcher import Watcher
from schemas import topics
from tests.support.broker import private_broker

pytestmark = pytest.mark.kafka
HOUR_MS = 3_600_000


@dataclass
class Watching:
    """A topic, its writer, and a watcher whose clock the test moves."""

    bootstrap: str
    admin: Any
    visitor: Any
    producer: Any
    topic: str = field(default_factory=lambda: f"test.watch-{uuid4().hex[:8]}")
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def __post_init__(self) -> None:
        self.group = f"{self.topic}.group"
        self.watcher = Watcher([self.group], lambda: self.now_ms)

    async def write(self, count: int) -> None:
        for _ in range(count):
            await self.producer.send_and_wait(self.topic, b"x")

    async def look(self, times: int = 1) -> Watched:
        """Look so often, ten seconds apart."""
        partition = TopicPartition(self.topic, 0)
        for _ in range(times):
            self.now_ms += 10_000
            described = await self.admin.describe_topics([self.topic])
            first = (await self.visitor.beginning_offsets([partition]))[partition]
            end = (await self.visitor.end_offsets([partition]))[partition]
            place = (self.topic, 0)
            watched = await self.watcher.look(
                self.admin, self.visitor, self.bootstrap, described, {place: first}, {place: end}
            )
        return watched

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Any]:
        """A member of the group, which has its partition."""
        consumer = AIOKafkaConsumer(
            self.topic, bootstrap_servers=self.bootstrap, group_id=self.group, enable_auto_commit=False,
            auto_offset_reset="earliest", session_timeout_ms=6000, heartbeat_interval_ms=500,
        )  # fmt: skip
        await consumer.start()
        try:
            async with asyncio.timeout(60):
                while not consumer.assignment():  # noqa: ASYNC110 - what is awaited happens at the broker
                    await asyncio.sleep(0.05)
            yield consumer
        finally:
            await consumer.stop()

    async def commit(self, consumer: Any, offset: int) -> None:
        await consumer.commit({TopicPartition(self.topic, 0): offset})


@asynccontextmanager
async def watching(bootstrap: str) -> AsyncIterator[Watching]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    visitor = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=FETCH_BYTES
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    for client in (admin, visitor, producer):
        await client.start()
    world = Watching(bootstrap, admin, visitor, producer)
    config = {"retention.ms": str(HOUR_MS)}
    await admin.create_topics([NewTopic(world.topic, 1, 1, topic_configs=config)])
    try:
        yield world
    finally:
        await producer.stop()
        await visitor.stop()
        await admin.delete_topics([world.topic])
        await admin.close()


def verdict(watched: Watched) -> Status:
    (group,) = watched.groups
    return group.status


def lag(watched: Watched) -> ReaderLag:
    (found,) = watched.lags
    return found


def test_a_group_that_stops_comes_back_and_falls_behind_is_judged_so(broker: str) -> None:
    """The three verdicts operators act on, from what a real broker says of a real group."""

    async def story() -> None:
        async with watching(broker) as world:
            await world.write(20)
            async with world.reader() as consumer:
                await world.commit(consumer, 20)
                well = await world.look(16)
                assert verdict(well) is Status.OK
                assert (lag(well).lag_messages, lag(well).lag_s) == (0, 0)

            await world.write(5)
            written_ms = time.time_ns() // 1_000_000
            gone = await world.look(20)
            assert verdict(gone) is Status.STOP
            assert lag(gone).lag_messages == 5
            waited_s = (world.now_ms - written_ms) / 1000
            assert lag(gone).lag_s == pytest.approx(waited_s, abs=60)  # five sends took no minute
            (room,) = gone.headrooms
            assert room.retention_s == HOUR_MS / 1000
            assert room.headroom_s == pytest.approx(room.retention_s - (lag(gone).lag_s or 0))

            async with world.reader() as consumer:
                await world.commit(consumer, 25)
                assert verdict(await world.look(2)) is Status.OK

                for step in range(16):
                    await world.write(3)
                    await world.commit(consumer, 26 + step)
                    slow = await world.look()
                assert verdict(slow) is Status.WARN

                stuck = await world.look(16)
                assert verdict(stuck) is Status.STALL

            partition = TopicPartition(world.topic, 0)
            await world.admin.delete_records({partition: RecordsToDelete(before_offset=60)})
            lost = lag(await world.look())
            assert (lost.position, lost.first, lost.lost) == (41, 60, 19)

    asyncio.run(story())


def test_the_console_sees_the_cluster_and_its_disk(broker: str, tmp_path: Path) -> None:
    """The poller's own clients, in the order it uses them; with many topics, which were once asked for one by one."""
    many = [f"t{uuid4().hex[:8]}.many-{number}" for number in range(200)]

    async def story() -> Watched:
        await apply(broker, [TopicSpec(name, 1) for name in many])
        try:
            return await seen()
        finally:
            admin = AIOKafkaAdminClient(bootstrap_servers=broker)
            await admin.start()
            await admin.delete_topics(many)
            await admin.close()

    async def seen() -> Watched:
        poller = KafkaPoller(broker, lambda: datetime.now(UTC), folder=tmp_path)
        polling = asyncio.create_task(poller.run())
        try:
            async with asyncio.timeout(60):
                while not poller.snapshot().reachable:  # noqa: ASYNC110 - polled by the task
                    await asyncio.sleep(0.1)
            return poller.snapshot().watched
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    watched = asyncio.run(story())
    assert watched.cluster is not None
    assert watched.cluster.brokers >= 1
    assert watched.cluster.leaderless == ()
    assert watched.disk is not None
    assert watched.disk.total_bytes > watched.disk.free_bytes > 0


def test_the_console_sees_the_broker_go_and_come_back(tmp_path: Path) -> None:
    """Clients that followed topics do not close without their broker; the poller must not wait for them."""

    async def until(poller: KafkaPoller, *, reachable: bool) -> None:
        async with asyncio.timeout(60):
            while poller.snapshot().reachable is not reachable:  # noqa: ASYNC110 - polled by the task
                await asyncio.sleep(0.1)

    async def story(bootstrap: str, pid: int) -> None:
        await apply(bootstrap, [TopicSpec(topics.HEARTBEATS, 1)])
        poller = KafkaPoller(bootstrap, lambda: datetime.now(UTC))
        polling = asyncio.create_task(poller.run())
        try:
            await until(poller, reachable=True)
            os.kill(pid, signal.SIGKILL)
            await until(poller, reachable=False)
            await asyncio.to_thread(restart)
            await until(poller, reachable=True)
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)

    def restart() -> None:
        environ = {**os.environ, "ALLIANCE_BROKER": "java", "ALLIANCE_BOOTSTRAP": ""}
        again = resolve_broker(BrokerSettings.read(environ, state=tmp_path))
        assert again.bootstrap == node.bootstrap

    with private_broker(tmp_path) as node:
        if node.pid is None:
            pytest.skip("the broker is not a process of ours, so it cannot be killed")
        asyncio.run(story(node.bootstrap, node.pid))
