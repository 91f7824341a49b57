"""A connector as a process on a real broker, killed as processes are."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from connectors.sdk.state.file import State, Taken
from connectors.sdk.testing import (
    OFFERING_MAPPING,
    Case,
    FakeHub,
    offering_row,
    their_request,
    write_alliance,
    write_folder,
)
from schemas import topics
from schemas.codec import decode
from schemas.records import Heartbeat

pytestmark = pytest.mark.kafka

TABLES = """
[source.campus]
kind = "http_poll"
base_url = "http://127.0.0.1:{port}"
path = "/changes"
params = {{ after = "{{cursor}}", limit = "50" }}
records = "items"
more = "hasMore"
cursor = "number"
initial = "0"
every_s = 0.1
mapping = "mapping/offering.toml"
[sink.campus]
kind = "http_push"
base_url = "http://127.0.0.1:{port}"
path = "/inbox"
batch = 50
"""


class Campus:
    """A campus system behind HTTP: a list of changes, and what it was told."""

    def __init__(self) -> None:
        self.rows: list[dict] = []
        self.told: Counter[str] = Counter()
        self.down = False
        campus = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                return

            def _answer(self, value: object) -> None:
                body = b"no" if campus.down else json.dumps(value).encode()
                self.send_response(500 if campus.down else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                start, limit = int(query["after"][0]), int(query["limit"][0])
                rows = campus.rows[start : start + limit]
                self._answer({"items": rows, "hasMore": start + limit < len(campus.rows)})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._answer(
                    {"results": [] if campus.down else [campus.take(i) for i in body["items"]]}
                )

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.port = self._server.server_address[1]

    def take(self, item: dict) -> dict:
        key = f"{item['kind']}:{item['eventId']}:{item.get('outcome', '')}"
        new = key not in self.told
        self.told[key] += new
        return {"eventId": item["eventId"], "status": "applied" if new else "duplicate"}

    def happen(self, count: int) -> None:
        self.rows += [offering_row(len(self.rows) + 1 + i) for i in range(count)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Hub(FakeHub):
    """The fake hub's decisions, on the real broker's topics."""

    def __init__(self, bootstrap: str, codes: list[str]) -> None:
        super().__init__()
        self.bootstrap, self.codes = bootstrap, codes
        self.first_seen: dict[str, list[str]] = {code: [] for code in codes}

    @asynccontextmanager
    async def working(self) -> AsyncIterator["Hub"]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        names = [f(code) for code in self.codes for f in (topics.inbox, topics.outbox)]
        await admin.create_topics([NewTopic(n, 1, 1) for n in (*names, topics.HEARTBEATS)])
        await admin.close()
        self._producer = aiokafka.AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        consumer = aiokafka.AIOKafkaConsumer(
            *(topics.outbox(code) for code in self.codes),
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="earliest",
        )
        beats = aiokafka.AIOKafkaConsumer(topics.HEARTBEATS, bootstrap_servers=self.bootstrap)
        for client in (self._producer, consumer, beats):
            await client.start()
        tasks = [
            asyncio.create_task(self._decide(consumer)),
            asyncio.create_task(self._hear(beats)),
        ]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for client in (self._producer, consumer, beats):
                await client.stop()

    async def _decide(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        async for message in consumer:
            record = decode(message.value)
            code = topics.owner(message.topic)
            new = record.envelope.event_id not in self._known
            await self._admit(code, record, message)
            if new:
                self.first_seen[code].append(record.envelope.event_id)

    async def _hear(self, beats: aiokafka.AIOKafkaConsumer) -> None:
        async for message in beats:
            beat = decode(message.value)
            if isinstance(beat, Heartbeat) and beat.member in self.codes:
                self.heartbeats.append(beat)

    async def _put(self, member: str, value: bytes, headers: list) -> None:
        await self._producer.send(topics.inbox(member), value, headers=headers, partition=0)


class World:
    """Campuses, their folders and one hub, under member codes nobody else uses."""

    def __init__(self, folder: Path, bootstrap: str, count: int) -> None:
        self.codes = [str(code) for code in random.sample(range(20_000, 99_999), count + 1)]
        self.bootstrap = bootstrap
        self.hub = Hub(bootstrap, self.codes)
        self.signers = write_alliance(folder, self.codes)
        self.campuses = {code: Campus() for code in self.codes[:count]}
        self.folders = []
        for code, campus in self.campuses.items():
            case = Case(
                TABLES.format(port=campus.port), mappings={"offering.toml": OFFERING_MAPPING}
            )
            write_folder(folder / code, case, code=code, bootstrap=bootstrap)
            self.folders.append(folder / code)

    async def start(self) -> asyncio.subprocess.Process:
        call = "from connectors.sdk.cli.main import app; app()"
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", call, "run", "--quiet", *map(str, self.folders)
        )  # fmt: skip

    def close(self) -> None:
        for campus in self.campuses.values():
            campus.close()


@pytest.fixture
def world(tmp_path: Path, broker: str) -> AsyncIterator[Callable[[int], World]]:
    made = []

    def make(count: int) -> World:
        made.append(World(tmp_path, broker, count))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def until(done: Callable[[], bool], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not done():  # noqa: ASYNC110, what is awaited happens in other processes
            await asyncio.sleep(0.05)


async def end(process: asyncio.subprocess.Process) -> int:
    process.send_signal(signal.SIGTERM)
    return await asyncio.wait_for(process.wait(), 15)


def test_kill_9_at_random_moments_loses_and_doubles_nothing(world):
    """What the conformance suite proves step by step, once more with a real process, broker, disk and HTTP."""
    there = world(1)
    ours, theirs = there.codes
    campus = there.campuses[ours]
    requests = [their_request(number, theirs, ours) for number in range(1, 201)]

    async def story():
        async with there.hub.working():
            for life in range(5):
                campus.happen(100)
                for request in requests[life * 40 : life * 40 + 40]:
                    await there.hub.deliver(ours, request, there.signers[theirs])
                process = await there.start()
                before = len(there.hub.first_seen[ours])
                await until(lambda before=before: len(there.hub.first_seen[ours]) > before)
                await asyncio.sleep(random.random() * 0.3)
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
            campus.happen(100)
            process = await there.start()
            await until(lambda: len(campus.told) == 800)
            assert await end(process) == 0

    asyncio.run(story())
    assert there.hub.first_seen[ours] == [row["eventId"] for row in campus.rows]
    assert set(campus.told.values()) == {1}
    told = {key.split(":")[1] for key in campus.told}
    assert told == {row["eventId"] for row in campus.rows} | {r.envelope.event_id for r in requests}


def test_a_campus_that_is_down_slows_nobody_else_in_the_process(world):
    """Twenty campuses share four processes; one server in the cellar must not matter to the others."""
    there = world(3)
    down, *well = there.campuses

    async def story():
        async with there.hub.working():
            there.campuses[down].down = True
            for campus in there.campuses.values():
                campus.happen(300)
            process = await there.start()
            await until(lambda: all(len(there.campuses[code].told) == 300 for code in well))
            assert there.hub.first_seen[down] == []
            await until(
                lambda: any(
                    b.state == "degraded" and b.member == down for b in there.hub.heartbeats
                )
            )
            there.campuses[down].down = False
            await until(lambda: len(there.campuses[down].told) == 300)
            assert await end(process) == 0
            await until(lambda: there.hub.heartbeats[-1].state == "stopped")

    asyncio.run(story())


def test_an_inbox_made_anew_is_shown_and_not_skipped(world):
    """Someone deleted the broker's disk: going on from the new start could skip a decision, so a person must look."""
    there = world(2)
    lost, well = there.campuses
    state = State(there.folders[0] / "state.db")
    state.commit_inbox(Taken(position=999, seq=999), 0)
    state.close()

    async def story():
        async with there.hub.working():
            there.campuses[well].happen(20)
            process = await there.start()
            await until(lambda: len(there.campuses[well].told) == 20)
            await until(
                lambda: any(b.state == "failed" and b.member == lost for b in there.hub.heartbeats)
            )
            assert await end(process) == 0
        beat = next(b for b in there.hub.heartbeats if b.state == "failed")
        assert "has no offset 999 any more" in beat.reason
        assert beat.inbox_position == 999

    asyncio.run(story())
