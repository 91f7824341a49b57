"""The clock: asks the ledger, now and then, to look at its time. The tick itself holds none: Kafka stamps it.

Two clocks at once do no harm: a tick at which nothing is due changes nothing but the ledger's time. Without a clock
nothing expires and nobody is reminded; all else goes on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count

import structlog
from aiokafka.errors import KafkaError

from hub.flow.kafka import Outgoing, producer
from schemas import topics
from schemas.codec import encode
from schemas.envelope import from_millis
from schemas.records import Admitted, Tick

log = structlog.get_logger("clock")

NAME = "hub.clock"


def tick(instance: str, number: int, parked_after_s: int) -> Outgoing:
    """A tick as a message of the ledger's input. Nobody signs it; it moves nothing."""
    record = Tick(f"{NAME}.{instance}", number, parked_after_s)
    admitted = Admitted(
        source_topic="",
        source_partition=0,
        source_offset=number,
        published_at=from_millis(0),
        key_id="",
        signature=b"",
        event=encode(record),
    )
    return Outgoing(NAME.encode(), encode(admitted), [])


async def run_clock(
    bootstrap: str, every_s: float, parked_after_s: int, stop: asyncio.Event, instance: str = "1"
) -> None:
    """Tick every `every_s` seconds until `stop` is set.

    Parked events are given up after `parked_after_s` seconds. Tries again when the broker does not take a tick.
    """
    numbers = count(1)
    while not stop.is_set():
        try:
            async with producer(bootstrap, f"{NAME}.{instance}") as writer:
                log.info("started", every_s=every_s, parked_after_s=parked_after_s)
                while not stop.is_set():
                    for ack in await writer.send(
                        topics.LEDGER_IN, [tick(instance, next(numbers), parked_after_s)]
                    ):
                        await ack
                    await _pause(stop, every_s)
        except (KafkaError, OSError) as error:
            log.warning("tick_failed", error=repr(error), after_s=every_s)
            await _pause(stop, every_s)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
