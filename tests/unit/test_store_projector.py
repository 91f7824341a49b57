"""The projector finds its place again, whatever the broker did meanwhile. No broker: a consumer over lists."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from hub.ledger.head import Head
from hub.store import projector, tables
from hub.store.fold import Taken
from hub.store.queries import Reader, StoreUnavailable
from schemas import topics
from tests.support.readmodel import Chain, award, heartbeat, pend, taken


class Log:
    """Topics as lists. `first` is what retention left; `fails` connections are refused before one works."""

    def __init__(self, records: Iterable[Taken]) -> None:
        self.topics: dict[str, list[Taken]] = {}
        self.first: dict[str, int] = {}
        self.fails = 0
        for record in records:
            self.topics.setdefault(record.topic, []).append(record)

    def consumer(self, **_: object) -> FakeConsumer:
        return FakeConsumer(self)


class FakeConsumer:
    """As much of AIOKafkaConsumer as the projector uses; gives at most three records at a time."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._at: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        if self._log.fails:
            self._log.fails -= 1
            raise KafkaConnectionError("refused")

    async def stop(self) -> None:
        self._at.clear()

    async def topics(self) -> set[str]:
        return set(self._log.topics)

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[Any, int]:
        return {p: self._log.first.get(p.topic, 0) for p in partitions}

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[Any, int]:
        return {p: len(self._log.topics[p.topic]) for p in partitions}

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._at = dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._at[partition] = offset

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[Any, list[Taken]]:
        await asyncio.sleep(0.001)
        found = {}
        for partition, at in self._at.items():
            records = self._log.topics[partition.topic][at : at + 3]
            if records:
                found[partition] = records
                self._at[partition] = at + len(records)
        return found


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hub.db'}"


def project(monkeypatch: pytest.MonkeyPatch, log: Log, url: str, until: Head) -> Reader:
    """Run the projector over the log until the store has that head."""
    monkeypatch.setattr(projector, "AIOKafkaConsumer", log.consumer)
    monkeypatch.setattr(projector, "RETRY_S", 0.01)
    monkeypatch.setattr(projector, "NEW_TOPICS_S", 0.01)
    engine = tables.open_engine(url)
    reader = Reader(engine)

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(projector.run_projector("nowhere:1", url, stop))
        async with asyncio.timeout(20):
            while not task.done() and not _reached(reader, until):  # noqa: ASYNC110 - rows tell no event
                await asyncio.sleep(0.01)
            stop.set()
            await task

    try:
        asyncio.run(run())
    finally:
        engine.dispose()
    return reader


def _reached(reader: Reader, until: Head) -> bool:
    try:
        return reader.head() == until
    except StoreUnavailable:
        return False


def chain(first: int, count: int) -> Chain:
    made = Chain()
    for number in range(first, first + count):
        made.add(award(number), postings=[pend(number)])
    return made


def test_reading_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A restart neither skips nor repeats, and takes up topics that were missing before."""
    ours = chain(0, 7)
    log = Log(ours.taken)
    log.fails = 2
    project(monkeypatch, log, url, ours.head)
    ours.add(award(90))
    log.topics[topics.LEDGER_ENTRIES] = ours.taken
    log.topics[topics.HEARTBEATS] = taken(topics.HEARTBEATS, [heartbeat("10610")])
    reader = project(monkeypatch, log, url, ours.head)
    assert [stored.entry.seq for stored in reader.entries()] == list(range(1, 9))
    assert sum(count.entries for count in reader.outcomes()) == 8


def test_a_new_broker_means_a_new_read_model(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Whether the new ledger is shorter or longer than the old one, no old entry stays."""
    for other in (chain(100, 3), chain(200, 9)):
        project(monkeypatch, Log(chain(0, 6).taken), url, chain(0, 6).head)
        reader = project(monkeypatch, Log(other.taken), url, other.head)
        assert [s.entry.event_id for s in reader.entries()] == [
            s.entry.event_id for s in reader.entries() if s.entry.seq <= other.head.seq
        ]
        assert len(reader.entries()) == other.head.seq
        assert {b.account for b in reader.balances("10610/st-0")} == set()


def test_retention_faster_than_the_store_is_no_error(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Old heartbeats may be gone; the newest is what counts."""
    ours = chain(0, 1)
    beats = taken(topics.HEARTBEATS, [heartbeat("10610"), heartbeat("10611"), heartbeat("10613")])
    log = Log([*ours.taken, *beats])
    log.first[topics.HEARTBEATS] = 2
    reader = project(monkeypatch, log, url, ours.head)
    assert [beat.member for beat in reader.heartbeats()] == ["10613"]
