"""The console's look at a real broker: who cosigned which size of the ledger, read from `ledger.cosignatures`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hub.api.kafka_view import Broker, KafkaPoller
from hub.api.log_view import cosignature_reader
from hub.console.app import utc_now
from hub.flow.kafka import Outgoing, Writer, producer
from hub.run.topics_cli import apply_all
from schemas import topics
from schemas.tlog.checkpoint import Checkpoint, sign_checkpoint
from tests.support.broker import private_broker
from tests.support.transparency import ALLIANCE, ELEVEN, KEY, ORIGIN, cosigned

ROOT = Path(__file__).parents[2]
GIVE_UP_S = 60.0


@pytest.mark.kafka
def test_the_console_sees_who_cosigns(tmp_path: Path) -> None:
    """What lay there when it started, what comes later, and neither junk nor what a witness did not sign."""
    with private_broker(tmp_path) as broker:
        asyncio.run(_cosigned(broker.bootstrap))


async def _cosigned(bootstrap: str) -> None:
    await apply_all(bootstrap, ROOT / "alliance.toml")
    poller = KafkaPoller(bootstrap, utc_now, cosignature_reader(ALLIANCE.policy(), ORIGIN))
    async with producer(bootstrap, "witnesses") as writer:
        for size in range(1, 101):  # more than it looks back to
            await cosign(writer, size, ELEVEN[:10])
        await send(writer, b"10610", b"junk")
        task = asyncio.create_task(poller.run())
        try:
            found = await until(poller, lambda broker: bool(broker.cosigned))
            assert found.cosigned == dict.fromkeys(ELEVEN[:10], 100)
            await cosign(writer, 101, ELEVEN[8:])
            found = await until(poller, lambda broker: 101 in broker.cosigned.values())
            assert found.cosigned == dict.fromkeys(ELEVEN[:8], 100) | dict.fromkeys(ELEVEN[8:], 101)
            assert found.end(topics.COSIGNATURES) == 1004
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def cosign(writer: Writer, size: int, codes: tuple[str, ...]) -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), [KEY])
    for code in codes:
        await send(writer, code.encode(), cosigned(note, code).value)


async def send(writer: Writer, key: bytes, value: bytes) -> None:
    await asyncio.gather(*await writer.send(topics.COSIGNATURES, [Outgoing(key, value, [])]))


async def until(poller: KafkaPoller, there: Callable[[Broker], bool]) -> Broker:
    """The first snapshot that has it."""
    async with asyncio.timeout(GIVE_UP_S):
        while not there(poller.snapshot()):  # noqa: ASYNC110 - a poller tells nobody that it has polled
            await asyncio.sleep(0.1)
    return poller.snapshot()
