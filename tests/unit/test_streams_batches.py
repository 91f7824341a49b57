"""Acknowledged after the effect, in order, and never for an assignment that is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from hub.errors import RetryLater
from hub.streams.batches import Event, settle, unacked
from hub.streams.plan import Names, streams_topics
from schemas import topics
from schemas.catalogue import catalogue


@dataclass
class FakeMessage:
    offset: int
    generation_id: int | None = 1
    topic: str = "ledger.entries"
    partition: int = 0
    timestamp: float = 0.0
    value: bytes | None = b""


@dataclass
class FakeEvent:
    message: FakeMessage
    acked: bool = False

    def ack(self) -> bool:
        self.acked = True
        return True


@dataclass
class FakeStream:
    """Hands out events, waits where it finds a number of seconds, raises where it finds an exception."""

    steps: Sequence[FakeEvent | float | Exception]
    acknowledges_by_itself: bool = True

    def noack(self) -> FakeStream:
        return FakeStream(self.steps, acknowledges_by_itself=False)

    async def events(self) -> AsyncIterator[FakeEvent]:
        assert not self.acknowledges_by_itself
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step


def some(*offsets: int) -> list[FakeEvent]:
    return [FakeEvent(FakeMessage(offset)) for offset in offsets]


async def gathered(stream: FakeStream, most: int, within_s: float) -> list[list[int]]:
    return [
        [event.message.offset async for event in _each(batch)]
        async for batch in unacked(stream, most, within_s)
    ]


async def _each(batch: Sequence[Event]) -> AsyncIterator[Event]:
    for event in batch:
        yield event


def test_events_come_in_order_in_batches_of_what_came_within_the_time() -> None:
    """One publication per batch: this is what keeps output from following input one to one."""
    stream = FakeStream([*some(0, 1, 2), 0.2, *some(3, 4)])
    assert asyncio.run(gathered(stream, most=100, within_s=0.05)) == [[0, 1, 2], [3, 4]]


def test_a_full_batch_does_not_wait() -> None:
    """Under load the next batch starts when the last one is done."""
    began = time.monotonic()
    batches = asyncio.run(gathered(FakeStream([*some(*range(10)), 0.1]), most=4, within_s=60))
    assert [offset for batch in batches for offset in batch] == list(range(10))
    assert all(len(batch) <= 5 for batch in batches[:-1])
    assert time.monotonic() - began < 30


def test_what_the_stream_raises_reaches_the_agent() -> None:
    """A stream that broke must not look like a quiet one."""

    async def drain() -> None:
        async for _ in unacked(FakeStream([*some(0), OSError("gone")]), 10, 0.01):
            pass

    with pytest.raises(OSError, match="gone"):
        asyncio.run(drain())


def test_an_event_is_acknowledged_after_the_effect_and_only_then() -> None:
    """Killed in between, the event comes again and is recognized; the other way round it would be lost."""
    batch = some(0, 1)

    async def effect(events: Sequence[Event]) -> None:
        assert [event.message.offset for event in events] == [0, 1]
        assert not any(event.acked for event in batch)

    asyncio.run(settle(batch, effect, lambda: 1))
    assert all(event.acked for event in batch)


def test_a_failed_effect_acknowledges_nothing() -> None:
    """Faust by itself would acknowledge an event whose agent raised."""
    batch = some(0)

    async def effect(_: Sequence[Event]) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(settle(batch, effect, lambda: 1))
    assert not batch[0].acked


def test_an_effect_that_asks_for_later_is_tried_again_in_place() -> None:
    """Going on to the next batch would count it before this one."""
    batch, tries = some(0), [1, 2]

    async def effect(_: Sequence[Event]) -> None:
        if tries.pop() == 2:
            raise RetryLater("the broker restarts", after_s=0.01)

    asyncio.run(settle(batch, effect, lambda: 1))
    assert batch[0].acked
    assert tries == []


def test_events_of_an_earlier_assignment_are_left_alone() -> None:
    """Another worker has the partition now and gets them; writing our state over its newer one would lose counts."""
    old, new = some(0, 1)
    new.message.generation_id = 2
    seen: list[int] = []

    async def effect(events: Sequence[Event]) -> None:
        seen.extend(event.message.offset for event in events)

    asyncio.run(settle([old, new], effect, lambda: 2))
    assert seen == [1]
    assert (old.acked, new.acked) == (False, True)
    asyncio.run(settle([old], effect, lambda: 2))
    assert seen == [1]


def test_the_topic_plan_names_the_changelogs_that_faust_will_use() -> None:
    """With auto-creation off Faust waits for ever for a topic that is not there."""
    assert [(name, partitions) for name, partitions, _ in streams_topics()] == [
        ("alliance-streams-member-activity-changelog", 1),
        ("alliance-streams-topic-rates-changelog", 1),
        ("alliance-streams-cases-changelog", 1),
    ]
    assert all(config["cleanup.policy"] == "compact" for _, _, config in streams_topics())
    assert Names().domains == [topics.domain(name) for name in catalogue().domains()]
    assert Names("test.").app_id == "test.alliance-streams"
