"""What the hub needs of a Kafka broker, asked of a real one.

This is the probe a new Kafka version has to pass before `KAFKA_VERSION` moves (decision 2):
`KAFKA_HOME=<unpacked kafka> pytest tests/integration/test_broker.py`.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition

from hub.broker import admin, kafka
from hub.broker.admin import Change, ChangeKind, TopicSpec
from hub.broker.errors import BrokerError, TopicConflict, Unreachable
from hub.broker.resolve import BrokerSettings, Rung, resolve_broker
from tests.support.broker import private_broker

pytestmark = pytest.mark.kafka

NEEDS_CRAMJAM = pytest.mark.skipif(
    find_spec("cramjam") is None, reason="cramjam, aiokafka's codec package, is not installed"
)


@pytest.fixture
def topic() -> str:
    return f"probe.{uuid4().hex[:12]}"


@pytest.mark.parametrize(
    "codec",
    [
        "gzip",
        pytest.param("snappy", marks=NEEDS_CRAMJAM),
        pytest.param("lz4", marks=NEEDS_CRAMJAM),
        pytest.param("zstd", marks=NEEDS_CRAMJAM),
    ],
)
def test_idempotent_messages_come_back_whole_and_in_order(
    broker: str, topic: str, codec: str
) -> None:
    """The path of value rests on acks=all, idempotence and the order within a partition."""
    values = [f"{number} ".encode() * 50 for number in range(300)]

    async def round_trip() -> list[bytes]:
        await admin.apply(broker, [TopicSpec(topic, 1)])
        await send(broker, topic, values, compression_type=codec)
        return await read(broker, topic, len(values))

    assert asyncio.run(round_trip()) == values


def test_a_static_member_comes_back_without_disturbing_the_others(broker: str, topic: str) -> None:
    """Restarting one worker must not stop the rest of its group, nor lose or repeat its offsets."""

    async def restart_one() -> tuple[set[Any], set[Any], int, list[bytes]]:
        await admin.apply(broker, [TopicSpec(topic, 2)])
        stayer_watch = Rebalances()
        stayer = await member(broker, topic, "stayer", stayer_watch)
        leaver = await member(broker, topic, "leaver")
        await until(lambda: len(stayer.assignment()) == len(leaver.assignment()) == 1)
        before, settled = leaver.assignment(), stayer_watch.count
        (mine,) = before
        await send(broker, topic, [b"1", b"2"], partition=mine.partition)
        first = await take(leaver, 2)
        await leaver.commit({mine: first[0].offset + 1})
        await leaver.stop()
        leaver = await member(broker, topic, "leaver")
        again = await take(leaver, 1)
        after = leaver.assignment()
        await leaver.stop()
        await stayer.stop()
        return before, after, stayer_watch.count - settled, [message.value for message in again]

    before, after, rebalances, again = asyncio.run(restart_one())
    assert after == before
    assert rebalances == 0
    assert again == [b"2"]


def test_offsets_can_be_found_by_time_and_by_end(broker: str, topic: str) -> None:
    """Backfill starts at a time; lag is counted from the end."""
    times_ms = [1_700_000_000_000, 1_700_000_060_000, 1_700_000_120_000]

    async def ask() -> tuple[int, int, dict[str, dict[int, int]]]:
        await admin.apply(broker, [TopicSpec(topic, 1)])
        partition = TopicPartition(topic, 0)
        async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
            for moment in times_ms:
                await producer.send_and_wait(topic, b"x", partition=0, timestamp_ms=moment)
        async with AIOKafkaConsumer(bootstrap_servers=broker) as consumer:
            found = await consumer.offsets_for_times({partition: times_ms[1] - 1})
        answer = found[partition]
        return answer.offset, answer.timestamp, await admin.end_offsets(broker, [topic, "absent"])

    assert asyncio.run(ask()) == (1, times_ms[1], {topic: {0: 3}})


def test_applying_a_plan_leaves_nothing_to_do(broker: str, topic: str) -> None:
    """`apply` returns only when the cluster shows the result, although KRaft answers earlier."""
    specs = [TopicSpec(topic, 1), TopicSpec(f"{topic}.log", 3, {"cleanup.policy": "compact"})]

    async def create_and_change() -> tuple[list[Change], list[Change], list[Change]]:
        created = await admin.apply(broker, specs)
        wider = [TopicSpec(topic, 4, {"retention.ms": "-1"}), specs[1]]
        changed = await admin.apply(broker, wider)
        return created, changed, await admin.plan(broker, wider)

    created, changed, rest = asyncio.run(create_and_change())
    assert [(change.topic, change.kind) for change in created] == [
        (topic, ChangeKind.CREATE),
        (f"{topic}.log", ChangeKind.CREATE),
    ]
    assert changed == [
        Change(topic, ChangeKind.ADD_PARTITIONS, "partitions", "1", "4"),
        Change(topic, ChangeKind.ALTER_CONFIG, "retention.ms", "604800000", "-1"),
    ]
    assert rest == []


def test_altering_one_setting_keeps_what_others_set(broker: str, topic: str) -> None:
    """The old AlterConfigs request replaces the whole set; an operator's override must survive."""

    async def alter() -> admin.TopicState:
        await admin.apply(broker, [TopicSpec(topic, 1, {"retention.ms": "1000000"})])
        await admin.apply(broker, [TopicSpec(topic, 1, {"max.message.bytes": "2000000"})])
        return next(state for state in await admin.describe(broker) if state.name == topic)

    state = asyncio.run(alter())
    assert state.overrides == {"retention.ms": "1000000", "max.message.bytes": "2000000"}
    assert state.config["cleanup.policy"] == "delete"


def test_a_topic_with_too_many_partitions_is_refused_before_anything_changes(
    broker: str, topic: str
) -> None:
    """Partitions cannot be taken away, and a ledger with two of them would have no order."""

    async def narrow() -> list[Change]:
        await admin.apply(broker, [TopicSpec(topic, 2)])
        specs = [TopicSpec(topic, 1), TopicSpec(f"{topic}.new", 1)]
        with pytest.raises(TopicConflict, match=f"{topic} has 2, 1 declared"):
            await admin.apply(broker, specs)
        return await admin.plan(broker, specs)

    assert [change.kind for change in asyncio.run(narrow())] == [
        ChangeKind.TOO_MANY_PARTITIONS,
        ChangeKind.CREATE,
    ]


def test_a_refused_setting_is_named(broker: str, topic: str) -> None:
    """An operator must see which topic the cluster refused and why."""
    specs = [TopicSpec(topic, 1, {"retention.ms": "soon"})]
    with pytest.raises(BrokerError, match=f"create topic {topic}.*retention.ms"):
        asyncio.run(admin.apply(broker, specs))


def test_nobody_at_the_address_is_said_plainly() -> None:
    """A wrong address must not look like an empty cluster."""
    with pytest.raises(Unreachable, match=r"no Kafka broker answers at 127\.0\.0\.1:1 "):
        asyncio.run(admin.describe("127.0.0.1:1"))


def test_a_killed_node_comes_back_with_its_data_and_its_port(tmp_path: Path, topic: str) -> None:
    """What was acknowledged survives kill -9, and clients find the node where it was."""
    with private_broker(tmp_path) as first:
        spec = TopicSpec(topic, 2, {"retention.ms": "-1"})
        asyncio.run(admin.apply(first.bootstrap, [spec]))
        asyncio.run(send(first.bootstrap, topic, [b"kept"], partition=1))
        assert first.pid is not None
        kill(first.pid)
        with private_broker(tmp_path) as second:
            assert (second.rung, second.bootstrap) == (Rung.JAVA, first.bootstrap)
            assert second.pid != first.pid
            assert asyncio.run(admin.plan(second.bootstrap, [spec])) == []
            assert asyncio.run(read(second.bootstrap, topic, 1)) == [b"kept"]


def test_two_state_folders_run_two_brokers_that_do_not_meet(
    broker: str, tmp_path: Path, topic: str
) -> None:
    """A demo beside a test run must not see its messages, nor stop its broker."""
    with private_broker(tmp_path) as other:
        asyncio.run(admin.apply(broker, [TopicSpec(topic, 1)]))
        assert other.bootstrap != broker
        assert asyncio.run(admin.plan(other.bootstrap, [TopicSpec(topic, 1)])) != []
        environ = {**os.environ, "ALLIANCE_BOOTSTRAP": ""}
        again = resolve_broker(BrokerSettings.read(environ, state=tmp_path))
        assert (again.rung, again.pid) == (Rung.RUNNING, other.pid)
        assert kafka.stop(tmp_path)
    assert asyncio.run(admin.describe_cluster(broker)).brokers == 1


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Counts how often a consumer had to give its partitions back, which starts each rebalance."""

    def __init__(self) -> None:
        self.count = 0

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.count += 1

    def on_partitions_assigned(self, assigned: Any) -> None:
        pass


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    asyncio.run(until(lambda: not kafka.command_line(pid)))


async def member(
    bootstrap: str, topic: str, name: str, watch: Rebalances | None = None
) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=f"group.{topic}",
        group_instance_id=name,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6000,
        heartbeat_interval_ms=500,
    )
    consumer.subscribe([topic], listener=watch)
    await consumer.start()
    return consumer


async def send(
    bootstrap: str, topic: str, values: Sequence[bytes], partition: int = 0, **options: Any
) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, **options
    ) as producer:
        sent = [await producer.send(topic, value, partition=partition) for value in values]
        await asyncio.gather(*sent)


async def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        return [message.value for message in await take(consumer, count)]


async def take(consumer: AIOKafkaConsumer, count: int) -> list[Any]:
    taken: list[Any] = []
    deadline = time.monotonic() + 60
    while len(taken) < count and time.monotonic() < deadline:
        for messages in (await consumer.getmany(timeout_ms=500)).values():
            taken += messages
    return taken


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 -- nobody tells us
        await asyncio.sleep(0.05)
    assert condition()
