"""Open cases on a real broker: the worker killed at random, and again after its state is dropped, ends exactly right."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from hub.broker.admin import TopicSpec, apply
from hub.streams import cases
from hub.streams.plan import CASES_TABLE, Names, streams_topics
from schemas.codec import decode
from schemas.records import OpenCase
from tests.integration.test_streams import (
    PATIENCE_S,
    delete_topics,
    drop_states,
    stopped,
    topics_for,
    worker,
    write,
)
from tests.support.case_entries import Happened, case_values, plainly_open, some_happened
from tests.support.entries import with_voids

pytestmark = pytest.mark.kafka

ENTRIES = 3000


@dataclass
class Watch:
    """The topic of cases as a reader sees it: the newest record of each key, records without value deleting theirs."""

    consumer: Any
    open: dict[str, OpenCase] = field(default_factory=dict)
    published: list[tuple[str, OpenCase | None]] = field(default_factory=list)

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not enough():
                found = await self.consumer.getmany(timeout_ms=200)
                for message in (item for items in found.values() for item in items):
                    self._see(message.key.decode(), message.value)

    def _see(self, key: str, value: bytes | None) -> None:
        if value is None:
            self.open.pop(key, None)
            self.published.append((key, None))
            return
        case = decode(value)
        assert isinstance(case, OpenCase)
        self.open[key] = case
        self.published.append((key, case))

    def newest(self) -> int:
        return max((case.seq for _, case in self.published if case is not None), default=0)


@asynccontextmanager
async def watching(bootstrap: str, topic: str) -> AsyncIterator[Watch]:
    """Read a topic of cases from its beginning."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        yield Watch(consumer)
    finally:
        await consumer.stop()


async def kept(bootstrap: str, names: Names) -> tuple[dict[str, OpenCase], cases.Place]:
    """What a worker would begin with: the changelog's newest values and the place."""
    topic = TopicPartition(names.changelog(CASES_TABLE), 0)
    values: dict[str, bytes] = {}
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([topic])
        await consumer.seek_to_beginning()
        end = (await consumer.end_offsets([topic]))[topic]
        while await consumer.position(topic) < end:
            for message in (await consumer.getmany(timeout_ms=500)).get(topic, []):
                values.pop(message.key.decode(), None)
                if message.value is not None:
                    values[message.key.decode()] = message.value
    finally:
        await consumer.stop()
    place = cases.from_bytes(values.pop("ledger.entries"))
    found = {key: cases.open_case(value) for key, value in values.items()}
    return {key: case for key, case in found.items() if case is not None}, place


def test_a_worker_killed_at_random_ends_with_the_cases_that_are_open(broker: str) -> None:
    """SIGKILL between the cases and the place loses no closing and opens nothing for good; the state can be dropped."""
    asyncio.run(_killed_and_dropped(broker, seed=random.randrange(2**32)))


async def _killed_and_dropped(bootstrap: str, seed: int) -> None:
    print(f"seed {seed}")  # noqa: T201 (shown when the test fails)
    rng = random.Random(seed)
    happened = some_happened(ENTRIES, seed, cases=300)
    wanted = plainly_open(happened)
    log = with_voids(case_values(happened), seed)
    names = await topics_for(bootstrap)
    async with watching(bootstrap, names.cases) as watch, asyncio.TaskGroup() as writing:
        writing.create_task(write(bootstrap, names.entries, log, slices=12))
        for part in range(1, 6):
            async with worker(bootstrap, names) as process:
                goal = rng.randrange(ENTRIES * part // 12, ENTRIES * (part + 1) // 12)
                await watch.until(lambda goal=goal: watch.newest() >= goal)  # type: ignore[misc]  # bound at once
                await asyncio.sleep(rng.random() / 2)
                process.kill()
        async with worker(bootstrap, names) as process:
            await watch.until(lambda: watch.open == wanted)
            await _settled(bootstrap, names, len(log))
            assert await stopped(process) == 0
    assert (await kept(bootstrap, names))[0] == wanted
    _check_published(watch, happened)

    await drop_states(bootstrap, names)
    async with worker(bootstrap, names) as process:
        await _settled(bootstrap, names, len(log))
        assert await stopped(process) == 0
    assert (await kept(bootstrap, names))[0] == wanted
    async with watching(bootstrap, names.cases) as again:
        await again.until(lambda: again.open == wanted)

    await delete_topics(bootstrap, [names.changelog(CASES_TABLE)])  # this one alone
    await apply(bootstrap, [TopicSpec(*topic) for topic in streams_topics(names)])
    async with worker(bootstrap, names) as process:
        await _settled(bootstrap, names, len(log))
        assert await stopped(process) == 0
    assert (await kept(bootstrap, names))[0] == wanted


def test_a_second_worker_goes_on_with_the_cases_of_a_killed_one(broker: str) -> None:
    """It has nothing of them while it stands by, and reads them all when Kafka gives it the partition."""
    asyncio.run(_taken_over(broker))


async def _taken_over(bootstrap: str) -> None:
    happened = some_happened(ENTRIES, seed=3, cases=300)
    wanted = plainly_open(happened)
    log = with_voids(case_values(happened), seed=3)
    names = await topics_for(bootstrap)
    async with (
        watching(bootstrap, names.cases) as watch,
        asyncio.TaskGroup() as writing,
        worker(bootstrap, names) as first,
        worker(bootstrap, names, "2") as second,
    ):
        writing.create_task(write(bootstrap, names.entries, log, slices=12))
        await watch.until(lambda: watch.newest() > ENTRIES // 4)
        first.kill()
        await watch.until(lambda: watch.open == wanted)
        await _settled(bootstrap, names, len(log))
        assert await stopped(second) == 0
    assert (await kept(bootstrap, names))[0] == wanted
    _check_published(watch, happened)


async def _settled(bootstrap: str, names: Names, records: int) -> None:
    """The place is behind the last record."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                if (await kept(bootstrap, names))[1].next_offset == records:
                    return
            except KeyError:
                pass  # no place yet
            await asyncio.sleep(0.3)


def _check_published(watch: Watch, happened: Sequence[Happened]) -> None:
    """Whose turn it is was right for its place in the ledger whenever it was published, after a kill too."""
    for key, case in watch.published:
        if case is not None:
            plain = plainly_open(happened[: case.seq])[key]
            assert (case.state, case.next_actors) == (plain.state, plain.next_actors), key
