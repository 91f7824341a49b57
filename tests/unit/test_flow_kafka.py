"""The typed client: what it does when the one beneath it answers no more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition

from hub.errors import RetryLater
from hub.flow.kafka import QUIET_S, Outgoing, Reader, Writer, answered

PLACE = TopicPartition("ledger.entries", 0)
STEP_MS = 500
QUIET_STEPS = int(1000 * QUIET_S / STEP_MS)


class Client:
    """A consumer that stands at `position` and hands nothing out."""

    def __init__(self, end: int, position: int = 3) -> None:
        self.end, self.at, self.asked = end, position, 0
        self.found: dict[Any, list[Any]] = {}

    async def getmany(self, *_: object, timeout_ms: int, max_records: int) -> dict[Any, list[Any]]:
        found, self.found = self.found, {}
        return found

    def assignment(self) -> set[TopicPartition]:
        return {PLACE}

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked += 1
        return dict.fromkeys(places, self.end)

    async def position(self, place: TopicPartition) -> int:
        return self.at


class Record:
    """A Kafka record."""

    topic, partition, offset, timestamp = PLACE.topic, 0, 3, 1_790_000_000_000
    key = value = None
    headers = ()


async def wait(reader: Reader, steps: int) -> None:
    for _ in range(steps):
        await reader.batch(STEP_MS, 100)


def test_a_reader_that_is_given_nothing_although_there_is_something_says_so() -> None:
    """A client that lost its way after a broker's death is silent for ever; the part would look idle, not broken."""
    reader = Reader(Client(end=5))
    with pytest.raises(RetryLater, match="messages up to 5, read is up to 3"):
        asyncio.run(wait(reader, 2 * QUIET_STEPS))


def test_it_waits_twice_as_long_before_it_says_so() -> None:
    """A message may have come between looking and asking."""
    client = Client(end=5)
    asyncio.run(wait(Reader(client), 2 * QUIET_STEPS - 1))
    assert client.asked == 1


def test_a_quiet_topic_is_quiet() -> None:
    """Nights and holidays are no fault."""
    client = Client(end=3)
    asyncio.run(wait(Reader(client), 10 * QUIET_STEPS))
    assert client.asked == 10


def test_a_message_ends_the_suspicion() -> None:
    """Slow is not stuck."""

    async def slowly() -> None:
        client = Client(end=5)
        reader = Reader(client)
        for _ in range(4):
            await wait(reader, QUIET_STEPS + 1)
            client.found = {PLACE: [Record()]}
            assert len(await reader.batch(STEP_MS, 100)) == 1

    asyncio.run(slowly())


def test_a_call_that_is_never_answered_ends() -> None:
    """The part ends with a reason and is started again, from what is written."""

    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RetryLater, match="committing: Kafka"):
        asyncio.run(answered(never(), "committing", within_s=0.01))


def test_what_the_call_says_is_passed_on() -> None:
    """A time limit must not hide a refusal."""

    async def refused() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(answered(refused(), "writing"))


def test_a_write_that_is_never_acknowledged_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The future of a batch that the client forgot is awaited by nobody else."""
    monkeypatch.setattr(answered, "__defaults__", (0.01,))

    class Producer:
        def create_batch(self) -> Any:
            return self

        def append(self, **_: object) -> object:
            return object()

        async def send_batch(self, *_: object, **__: object) -> asyncio.Future[Any]:
            return asyncio.get_running_loop().create_future()

    async def send() -> None:
        for ack in await Writer(Producer()).send("ledger.in", [Outgoing(None, b"x", [])]):
            await ack

    with pytest.raises(RetryLater, match=r"writing to ledger\.in"):
        asyncio.run(send())
