"""Lag, retention, clocks, cluster and disk, judged from values."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import TopicPartition

from hub.watch.kafka import MessageTimes
from hub.watch.sampling import Clocks, Reading, Sampler
from hub.watch.view import (
    Disk,
    Headroom,
    ReaderLag,
    Retention,
    Skew,
    cluster_of,
    headrooms,
    retention_of,
    skew,
)
from hub.watch.watcher import Watcher
from schemas.codec import encode
from schemas.envelope import to_millis
from tests.support.readmodel import START, heartbeat

GIB = 1024**3


@pytest.mark.parametrize(
    ("position", "first", "end", "lag", "lost", "ahead"),
    [
        (10, 0, 10, 0, 0, 0),
        (4, 0, 10, 6, 0, 0),
        (4, 6, 10, 4, 2, 0),  # retention was here before the reader
        (12, 0, 10, 0, 0, 2),  # the topic was made anew
    ],
)
def test_lost_messages_are_counted_apart_from_those_that_wait(
    position: int, first: int, end: int, lag: int, lost: int, ahead: int
) -> None:
    """What is gone is no lag: no reader will ever catch up on it."""
    found = ReaderLag("reader", "topic", 0, position, first, end)
    assert (found.lag_messages, found.lost, found.ahead) == (lag, lost, ahead)


@pytest.mark.parametrize(
    ("config", "retention_s", "by_size"),
    [
        ({"cleanup.policy": "delete", "retention.ms": "604800000", "retention.bytes": "-1"}, 604_800, False),
        ({"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}, None, False),
        ({"cleanup.policy": "compact", "retention.ms": "604800000"}, None, False),
        ({"cleanup.policy": "compact,delete", "retention.ms": "1000"}, 1, False),
        ({"cleanup.policy": "delete", "retention.ms": "1000", "retention.bytes": "4096"}, 1, True),
        ({}, None, False),
    ],
)  # fmt: skip
def test_retention_is_read_as_kafka_means_it(
    config: dict[str, str], retention_s: float | None, by_size: bool
) -> None:
    """A compacted topic keeps the newest of each key; only time and size take messages from who is late."""
    assert retention_of("topic", config) == Retention("topic", retention_s, by_size)


def test_headroom_is_that_of_the_slowest_reader() -> None:
    """One reader in time does not help the one that is late."""
    lags = [
        ReaderLag("quick", "a", 0, 9, 0, 10, lag_s=5),
        ReaderLag("slow", "a", 0, 2, 0, 10, lag_s=900),
        ReaderLag("done", "b", 0, 10, 0, 10, lag_s=0),
        ReaderLag("unknown", "c", 0, 1, 0, 10),
        ReaderLag("kept for ever", "d", 0, 1, 0, 10, lag_s=1e6),
    ]
    kept = {name: Retention(name, 1000) for name in "abc"} | {"d": Retention("d", None)}
    assert headrooms(lags, kept) == [Headroom("a", "slow", 1000, 100)]
    assert headrooms(lags, kept)[0].is_short


def test_a_late_heartbeat_does_not_make_a_clock_slow() -> None:
    """Networks only delay; the least delayed heartbeat is nearest to the truth."""
    assert skew([-0.2, -9.0, -0.1]) == -0.1
    assert not Skew("10611", "campus", skew([-0.2, -9.0]), "broker", 2).is_bad
    assert Skew("10611", "campus", skew([62.0, 61.5]), "broker", 2).is_bad
    assert Skew("10611", "campus", skew([-62.0, -61.5]), "broker", 2).is_bad


def test_a_clock_is_held_against_one_time_only() -> None:
    """Broker's time and arrival are not mixed: the second is late by the poll."""
    clocks = Clocks()
    clocks.saw("10611", "campus", -1.9, "arrival")
    clocks.saw("10611", "campus", -0.1, "broker")
    assert clocks.all() == (Skew("10611", "campus", -0.1, "broker", 1),)
    for number in range(100):
        clocks.saw("10611", "campus", -60.0 - number, "broker")
    assert clocks.all()[0].skew_s == -60.0 - 85  # the clock was set; the newest fifteen count


def test_partitions_that_lack_something_are_named() -> None:
    """An operator starts the broker that is missing; which partitions it holds tells which that is."""
    described = [
        {
            "topic": "ledger.in",
            "partitions": [
                {"partition": 0, "leader": 1, "replicas": [1, 2], "isr": [1]},
                {"partition": 1, "leader": -1, "replicas": [2, 1], "isr": []},
                {"partition": 2, "leader": 1, "replicas": [1, 2], "isr": [1, 2]},
            ],
        }
    ]
    found = cluster_of(described, 1, 1)
    assert found.partitions == 3
    assert found.under_replicated == ("ledger.in-0", "ledger.in-1")
    assert found.leaderless == ("ledger.in-1",)


@pytest.mark.parametrize(
    ("free", "total", "severity"),
    [
        (GIB - 1, 100 * GIB, "error"),
        (4 * GIB, 100 * GIB, "warning"),
        (4 * GIB, 20 * GIB, ""),  # a small disk with a fifth of it free
        (6 * GIB, 1000 * GIB, ""),
    ],
)
def test_a_disk_is_full_before_it_is_full(free: int, total: int, severity: str) -> None:
    """Kafka and SQLite do not end well on a full disk."""
    assert Disk(free, total).severity == severity


def test_readers_of_topics_that_are_gone_say_nothing() -> None:
    """A deleted topic's committed offset is no lag."""
    sampler = Sampler()
    readings = [Reading("group", "gone", 0, 5), Reading("group", "here", 0, 5)]
    lags = sampler.sample(readings, {("here", 0): 1}, {("here", 0): 9}, 0)
    assert lags == [ReaderLag("group", "here", 0, 5, 1, 9)]


@dataclass
class Record:
    timestamp: int


class Visitor:
    """A consumer that knows the times of some messages."""

    def __init__(self, times: dict[tuple[str, int, int], int]) -> None:
        self.times, self.at, self.assigned = times, dict[Any, int](), list[int]()

    def assign(self, partitions: Sequence[Any]) -> None:
        self.assigned.append(len(partitions))

    def seek(self, partition: Any, offset: int) -> None:
        self.at[partition] = offset

    async def getmany(self, *partitions: Any, timeout_ms: int) -> dict[Any, list[Record]]:
        await asyncio.sleep(0)
        return {
            p: [Record(self.times[(p.topic, p.partition, self.at[p])])]
            for p in partitions
            if (p.topic, p.partition, self.at[p]) in self.times
        }


def test_the_time_of_a_message_is_read_once() -> None:
    """A message keeps its time; a reader that stands still must not cost a fetch at each look."""
    visitor = Visitor({("a", 0, 7): 1234, ("b", 0, 1): 5678})
    times = MessageTimes(at_once=1)

    async def look() -> None:
        for _ in range(4):
            await times.look_up(visitor, [("a", 0, 7), ("b", 0, 1)])

    asyncio.run(look())
    assert visitor.assigned == [1, 1]  # one at each look, until all are known
    assert (times.get("a", 0, 7), times.get("b", 0, 1), times.get("a", 0, 8)) == (1234, 5678, None)
    assert set(visitor.at) == {TopicPartition("a", 0), TopicPartition("b", 0)}


def test_known_times_are_bounded() -> None:
    """The console runs for months."""
    visitor = Visitor({("a", 0, offset): offset for offset in range(100)})
    times = MessageTimes(most=10)

    async def look() -> None:
        for offset in range(100):
            await times.look_up(visitor, [("a", 0, offset)])

    asyncio.run(look())
    assert [times.get("a", 0, offset) for offset in (89, 90, 99)] == [None, 90, 99]


@dataclass
class Beaten:
    """A message with a heartbeat, as Kafka's client gives it."""

    value: bytes
    timestamp: int
    timestamp_type: int


def test_heartbeats_tell_clocks_and_positions() -> None:
    """The broker's time where there is one; what is no heartbeat says nothing."""
    now_ms = to_millis(START)
    watcher = Watcher([], lambda: now_ms)
    fast = encode(heartbeat("10611", at=START + timedelta(seconds=62)))
    watcher.heard([Beaten(fast, now_ms, 1), Beaten(b"none", now_ms, 1)], now_ms=now_ms, live=True)
    slow = encode(heartbeat("10618", at=START - timedelta(seconds=9)))
    watcher.heard([Beaten(slow, now_ms - 9000, 0)], now_ms=now_ms, live=False)
    assert watcher.sampler.clocks.all() == (Skew("10611", "campus", 62.0, "broker", 1),)
    watcher.heard([Beaten(slow, now_ms - 9000, 0)], now_ms=now_ms, live=True)
    assert watcher.sampler.clocks.all()[1] == Skew("10618", "campus", -9.0, "arrival", 1)
    readings = {one.reader: one for one in watcher._of_connectors(now_ms)}
    assert readings["10611.campus"] == Reading("10611.campus", "member.10611.in", 0, 7, alive=True)
    assert not watcher._of_connectors(now_ms + 20_000)[0].alive
