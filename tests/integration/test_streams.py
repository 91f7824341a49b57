"""The stream processors on a real broker: killed at random, they count exactly; dropped, they count again."""

from __future__ import annotations

import asyncio
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from hub.broker.admin import TopicSpec, apply, end_offsets
from hub.errors import SettingsError
from hub.streams.plan import Names, streams_topics
from schemas.codec import decode
from schemas.records import MemberActivity, TopicRate
from tests.support.entries import MEMBERS, Told, ledger_values, some_told, with_voids
from tests.unit.test_streams_activity import plainly_counted

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
ENTRIES = 3000
DOMAIN_MESSAGES = 800
PATIENCE_S = 120.0  # a killed worker's session takes up to 10 s to end; machines of CI are slow
MINUTE_MS = 60_000
T0 = 1_790_000_000_000 - 1_790_000_000_000 % MINUTE_MS


async def topics_for(bootstrap: str) -> Names:
    """A set of topics of this test alone."""
    names = Names(f"t{uuid.uuid4().hex[:12]}.")
    compacted = {"cleanup.policy": "compact"}
    # Kept for ever as in the plan: the timestamps below are old enough for Kafka to delete at once.
    specs = [TopicSpec(name, 1, {"retention.ms": "-1"}) for name in names.inputs]
    specs += [TopicSpec(name, 1, compacted) for name in names.outputs]
    specs += [TopicSpec(*topic) for topic in streams_topics(names)]
    await apply(bootstrap, specs)
    return names


@asynccontextmanager
async def worker(
    bootstrap: str, names: Names, instance: str = "1"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process, from where it listens to signals; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.streams_worker", bootstrap, names.prefix, instance),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def stopped(process: asyncio.subprocess.Process) -> int:
    process.terminate()
    return await process.wait()


async def write(bootstrap: str, topic: str, values: Sequence[bytes], slices: int = 1) -> None:
    """Append values in order; in several slices, so that a reader meets the log while it grows."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    await producer.start()
    try:
        size = -(-len(values) // slices)
        for start in range(0, len(values), size):
            for number, value in enumerate(values[start : start + size], start):
                await producer.send(topic, value, partition=0, timestamp_ms=_stamp(number))
            await producer.flush()
            if slices > 1:
                await asyncio.sleep(1)
    finally:
        await producer.stop()


def _stamp(number: int) -> int:
    """Kafka's time of the nth message: 150 a minute."""
    return T0 + number * 400


@dataclass
class Watch:
    """Everything the processors published, in order, and the newest of it by topic and key."""

    consumer: Any
    published: list[MemberActivity | TopicRate] = field(default_factory=list)
    newest: dict[str, MemberActivity | TopicRate] = field(default_factory=dict)

    async def until(
        self, enough: Callable[[Mapping[str, MemberActivity | TopicRate]], bool]
    ) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not enough(self.newest):
                found = await self.consumer.getmany(timeout_ms=200)
                for message in (item for items in found.values() for item in items):
                    record = decode(message.value)
                    assert isinstance(record, MemberActivity | TopicRate)
                    self.published.append(record)
                    self.newest[message.key.decode()] = record

    def counted_entries(self) -> int:
        return max(
            (r.last_seq for r in self.newest.values() if isinstance(r, MemberActivity)), default=0
        )


@asynccontextmanager
async def watching(bootstrap: str, names: Names) -> AsyncIterator[Watch]:
    """Watch both outputs from their present ends on."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        outputs = [TopicPartition(names.activity, 0), TopicPartition(names.rates, 0)]
        consumer.assign(outputs)
        for output, end in (await consumer.end_offsets(outputs)).items():
            consumer.seek(output, end)
        yield Watch(consumer)
    finally:
        await consumer.stop()


async def delete_topics(bootstrap: str, topics: Sequence[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics(list(topics))
        async with asyncio.timeout(PATIENCE_S):
            while set(topics) & set(await admin.list_topics()):  # noqa: ASYNC110 (Kafka offers no event)
                await asyncio.sleep(0.1)
    finally:
        await admin.close()


async def drop_states(bootstrap: str, names: Names) -> None:
    """What README.md tells operators to do to count again: delete the changelogs, make them again."""
    await delete_topics(bootstrap, names.changelogs)
    await apply(bootstrap, [TopicSpec(*topic) for topic in streams_topics(names)])


def expected_activity(told: Sequence[Told]) -> dict[str, MemberActivity]:
    return {member: plainly_counted(told, member) for member in MEMBERS}


def all_counted(told: Sequence[Told], names: Names) -> Callable[[Mapping[str, Any]], bool]:
    wanted = expected_activity(told)

    def enough(newest: Mapping[str, Any]) -> bool:
        return all(newest.get(member) == counts for member, counts in wanted.items()) and all(
            name in newest and newest[name].messages >= DOMAIN_MESSAGES for name in names.domains
        )

    return enough


def test_workers_killed_three_times_count_exactly_and_again_after_their_state_is_dropped(
    broker: str,
) -> None:
    """SIGKILL at any moment neither loses nor doubles a count, and nothing the processors hold is needed."""
    asyncio.run(_killed_and_dropped(broker, seed=random.randrange(2**32)))


async def _killed_and_dropped(bootstrap: str, seed: int) -> None:
    print(f"seed {seed}")  # noqa: T201 (shown when the test fails)
    rng = random.Random(seed)
    told = some_told(ENTRIES, seed)
    log = with_voids(ledger_values(told), seed)
    names = await topics_for(bootstrap)
    began = time.monotonic()
    async with watching(bootstrap, names) as watch, asyncio.TaskGroup() as writing:
        writing.create_task(write(bootstrap, names.entries, log, slices=12))
        for name in names.domains:
            writing.create_task(write(bootstrap, name, [b"x"] * DOMAIN_MESSAGES, slices=8))
        for part in (1, 2, 3):
            async with worker(bootstrap, names) as process:
                goal = rng.randrange(ENTRIES * part // 8, ENTRIES * (part + 1) // 8)
                await watch.until(lambda _, goal=goal: watch.counted_entries() >= goal)  # type: ignore[misc]  # bound at once
                await asyncio.sleep(rng.random())
                process.kill()
        async with worker(bootstrap, names) as process:
            await watch.until(all_counted(told, names))
            assert await stopped(process) == 0
    _check_published(watch, told, names)
    per_member = sum(isinstance(item, MemberActivity) for item in watch.published) / len(MEMBERS)
    assert per_member <= 2 * (time.monotonic() - began) + 8  # twice a second and member, 4 starts

    await drop_states(bootstrap, names)
    async with watching(bootstrap, names) as again, worker(bootstrap, names) as process:
        await again.until(all_counted(told, names))
        assert await stopped(process) == 0
    _check_published(again, told, names)
    assert again.newest == watch.newest


def _check_published(watch: Watch, told: Sequence[Told], names: Names) -> None:
    """Not only the last counts are right: each one ever published was right for its place in the ledger."""
    for record in watch.published:
        if isinstance(record, MemberActivity):
            assert record == plainly_counted(told[: record.last_seq], record.member)
        else:
            assert record.topic in names.domains
            newest = _stamp(record.messages - 1) - T0
            assert record.in_minute == (newest % MINUTE_MS) // 400 + 1
            assert record.previous_minute == (150 if newest >= MINUTE_MS else 0)


def test_a_second_worker_takes_over_from_a_killed_one(broker: str) -> None:
    """It stands by until Kafka gives it the partitions, reads the state the first one left, and goes on from there."""
    asyncio.run(_taken_over(broker))


async def _taken_over(bootstrap: str) -> None:
    told = some_told(ENTRIES, seed=2)
    log = with_voids(ledger_values(told), seed=2)
    names = await topics_for(bootstrap)
    async with (
        watching(bootstrap, names) as watch,
        asyncio.TaskGroup() as writing,
        worker(bootstrap, names) as first,
        worker(bootstrap, names, "2") as second,
    ):
        writing.create_task(write(bootstrap, names.entries, log, slices=12))
        for name in names.domains:
            writing.create_task(write(bootstrap, name, [b"x"] * DOMAIN_MESSAGES, slices=8))
        await watch.until(lambda _: watch.counted_entries() > ENTRIES // 4)
        first.kill()
        await watch.until(all_counted(told, names))
        assert await stopped(second) == 0
    _check_published(watch, told, names)


def test_a_missing_topic_is_named_instead_of_waited_for(broker: str) -> None:
    """Faust alone would wait for ever without a word."""

    async def start() -> None:
        from hub.streams.position import require_topics

        names = await topics_for(broker)
        await delete_topics(broker, names.changelogs[:1])
        await require_topics(broker, names)

    with pytest.raises(
        SettingsError, match=r"member-activity-changelog; run: alliance topics apply"
    ):
        asyncio.run(start())


def test_processors_run_inside_our_own_process_and_leave_nothing_open(broker: str) -> None:
    """`alliance run streams` starts them without Faust's command line, and stops them by an event."""

    async def run() -> None:
        from hub.streams.worker import run_streams

        names = await topics_for(broker)
        told = some_told(50, seed=1)
        await write(broker, names.entries, ledger_values(told))
        stop = asyncio.Event()
        async with watching(broker, names) as watch, asyncio.TaskGroup() as running:
            running.create_task(run_streams(broker, stop, names))
            wanted = expected_activity(told)
            await watch.until(lambda newest: dict(newest) == wanted)
            stop.set()
        ends = await end_offsets(broker, names.changelogs)
        assert ends[names.changelogs[0]] == {0: 1}

    asyncio.run(run())
