"""Commands over a real broker: from the hub's `/connect` to a connector process, its answer, and what heartbeats then say."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import aiokafka
import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from starlette.applications import Starlette

from connectors.reference.conformance import both_ways
from connectors.sdk.testing import write_alliance, write_folder
from hub.api.connect import Connect
from hub.api.kafka_view import Broker
from hub.api.overview import Watch
from hub.store.projector import run_projector
from hub.store.queries import Reader
from hub.store.tables import open_engine
from schemas import topics
from schemas.codec import decode
from schemas.members import load_alliance
from schemas.records import ConnectorCommandAnswer
from tests.support.readmodel import FakeKafka

pytestmark = pytest.mark.kafka


@asynccontextmanager
async def hub(folder: Path, bootstrap: str) -> AsyncIterator[httpx.AsyncClient]:
    """The hub's read model and its `/connect`, as the console process has them."""
    stop = asyncio.Event()
    url = f"sqlite:///{folder / 'hub.db'}"
    projecting = asyncio.create_task(run_projector(bootstrap, url, stop))
    engine = open_engine(url)
    view = FakeKafka(Broker(bootstrap, reachable=True))
    alliance = load_alliance(folder / "alliance.toml")
    watch = Watch(Reader(engine), alliance, view, lambda: datetime.now(UTC))
    transport = httpx.ASGITransport(Starlette(routes=Connect(watch, operate=True).routes()))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://hub/connect") as client:
            yield client
    finally:
        stop.set()
        await projecting
        engine.dispose()


async def topics_made(bootstrap: str, code: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    names = [topics.inbox(code), topics.outbox(code), topics.HEARTBEATS, topics.COMMANDS, topics.COMMAND_ANSWERS]  # fmt: skip
    await admin.create_topics([NewTopic(name, 1, 1) for name in names])
    await admin.close()


@asynccontextmanager
async def answers(bootstrap: str, code: str) -> AsyncIterator[list[ConnectorCommandAnswer]]:
    """What this member's connector answers from now on."""
    consumer = aiokafka.AIOKafkaConsumer(topics.COMMAND_ANSWERS, bootstrap_servers=bootstrap)
    await consumer.start()
    await consumer.seek_to_end()
    found: list[ConnectorCommandAnswer] = []

    async def hear() -> None:
        async for message in consumer:
            said = decode(message.value)
            if isinstance(said, ConnectorCommandAnswer) and said.member == code:
                found.append(said)

    hearing = asyncio.create_task(hear())
    try:
        yield found
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing
        await consumer.stop()


async def until(done: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not await done():  # noqa: ASYNC110, what is awaited happens in other processes
            await asyncio.sleep(0.2)


async def started(folder: Path) -> asyncio.subprocess.Process:
    call = "from connectors.sdk.cli.main import app; app()"
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", call, "run", "--quiet", str(folder)
    )


def test_the_hub_pauses_a_connector_and_lets_it_go_on(tmp_path: Path, broker: str) -> None:
    """The campus accepts nothing inbound: the order goes by Kafka, and what becomes of it is seen by its heartbeats."""
    code = str(random.randrange(20_000, 99_999))
    write_alliance(tmp_path, [code])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    case = both_ways()
    case.tables = f'[runtime]\nheartbeat_s = 0.5\nhttp = "127.0.0.1:{port}"\n' + case.tables
    write_folder(tmp_path / code, case, code=code, bootstrap=broker)
    name = f"{code}.campus"

    async def story() -> None:
        await topics_made(broker, code)
        process = await started(tmp_path / code)
        async with hub(tmp_path, broker) as client, answers(broker, code) as said:

            async def state_is(wanted: str) -> bool:
                reply = await client.get(f"/connectors/{name}/status")
                return reply.status_code == 200 and reply.json()["connector"]["state"] == wanted

            async def answered(count: int) -> bool:
                return len(said) >= count

            await until(lambda: state_is("RUNNING"))
            assert (await client.put(f"/connectors/{name}/pause")).status_code == 202
            await until(lambda: state_is("PAUSED"))
            await until(lambda: answered(1))
            assert (said[0].verb, said[0].outcome) == ("pause", "done")
            status = (await client.get(f"/connectors/{name}/status")).json()
            assert [task["state"] for task in status["tasks"]] == ["PAUSED", "PAUSED"]
            assert "hub operator" in status["connector"]["trace"]

            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as local:
                assert (await local.get("/connectors")).json() == [name]
                assert (await local.get(f"/connectors/{name}/status")).json()["connector"]["state"] == "PAUSED"  # fmt: skip
                assert (await local.get("/readyz")).status_code == 200
                assert f'hub_connector_state{{connector="{name}",state="paused"}} 1' in (await local.get("/metrics")).text  # fmt: skip

            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            process = await started(tmp_path / code)
            await until(lambda: state_is("PAUSED"))
            assert len(said) == 1  # the command is not executed again
            assert (await client.put(f"/connectors/{name}/resume")).status_code == 202
            await until(lambda: state_is("RUNNING"))
            await until(lambda: answered(2))
            assert said[1].verb == "resume"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0

    asyncio.run(story())
