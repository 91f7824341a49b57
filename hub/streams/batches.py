"""Batches of unacknowledged events, and the one place that acknowledges.

Faust by itself acknowledges an event when the stream moves on, and also when its agent raised. Here an event is
acknowledged only after everything that follows from it is in Kafka: `unacked` hands out, `settle` acknowledges.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from hub.errors import RetryLater

MOST_EVENTS = 2000
# The first event of a batch waits this long for others: so much older is what the output topics show, at most.
WITHIN_S = 0.5

log = structlog.get_logger(__name__)


class Message(Protocol):
    """The Kafka record of an event; `timestamp` in seconds, `generation_id` of the assignment it was read under."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    value: bytes | None
    generation_id: int | None


class Event(Protocol):
    """A Faust event, as far as we use it."""

    @property
    def message(self) -> Message: ...

    def ack(self) -> object: ...


class Stream(Protocol):
    """A Faust stream; its abstract type lacks `noack`."""

    def noack(self) -> Stream: ...

    def events(self) -> AsyncIterable[Event]: ...


async def unacked(
    stream: Stream, most: int = MOST_EVENTS, within_s: float = WITHIN_S
) -> AsyncIterator[list[Event]]:
    """The stream's events in order, in batches of about `most` or of what came within `within_s`.

    Ends with the stream and raises what the stream raises. Whoever takes a batch must `settle` it.
    """
    arrived: asyncio.Queue[Event] = asyncio.Queue(most)
    full = asyncio.Event()

    async def read() -> None:
        async for event in stream.noack().events():
            await arrived.put(event)
            if arrived.full():
                full.set()

    reading = asyncio.create_task(read())
    try:
        while first := await _first(arrived, reading):
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await full.wait()
            full.clear()
            batch = [first]
            while not arrived.empty():
                batch.append(arrived.get_nowait())
            yield batch
    finally:
        reading.cancel()


async def _first(arrived: asyncio.Queue[Event], reading: asyncio.Task[None]) -> Event | None:
    """The next event, or None at the end of the stream."""
    getting = asyncio.create_task(arrived.get())
    try:
        await asyncio.wait({getting, reading}, return_when=asyncio.FIRST_COMPLETED)
        if getting.done():
            return getting.result()
        if not arrived.empty():
            return await getting
        await reading
        return None
    finally:
        getting.cancel()


async def settle(
    batch: Sequence[Event],
    effect: Callable[[Sequence[Event]], Awaitable[None]],
    generation: Callable[[], int | None],
) -> None:
    """Do what follows from a batch, then acknowledge it.

    Events read under an earlier assignment are left alone: whoever has the partition now gets them again. While the
    effect asks to `RetryLater`, it is tried again here, because going on would break the order. Any other exception
    passes through with nothing acknowledged.
    """
    while current := [event for event in batch if event.message.generation_id == generation()]:
        try:
            await effect(current)
        except RetryLater as error:
            log.warning(
                "retry_later", events=len(current), reason=str(error), after_s=error.after_s
            )
            await asyncio.sleep(error.after_s)
        else:
            for event in current:
                event.ack()
            return
