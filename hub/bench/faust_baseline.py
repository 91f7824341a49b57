"""What the hub is measured against: the same job as a team would first write it with Faust.

One agent over one topic of four partitions. For each event it checks the signature, decodes, updates a balance per pair
of home and host in a table, appends to an entries topic, and delivers to the other university's inbox. Settings are
Faust's defaults, but for the web server and the leader topic, which would cost it something. What is arguable is
decided in its favor: the entry is the event as it came, nothing is chained, judged or deduplicated. It loses or doubles
counts when killed; only its speed matters here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hub.streams.worker import own_command_line
from schemas.codec import decode
from schemas.envelope import KEY_ID, SIGNATURE
from schemas.members import load_alliance
from schemas.records import CreditAwarded
from schemas.signing import Verifier

with own_command_line():
    import faust
    from faust.types import StreamT

PARTITIONS = 4
MILLI = 1000


@dataclass(frozen=True, slots=True)
class BaselineTopics:
    """Topics of one run; `prefix` makes them this run's own. They must exist before it starts, see `plan`."""

    prefix: str
    members: tuple[str, ...]

    @property
    def app_id(self) -> str:
        return f"{self.prefix}baseline"

    @property
    def events(self) -> str:
        """Signed framed events with the headers of the envelope, as in a member's outbox, partitioned by key."""
        return f"{self.prefix}baseline.events"

    @property
    def entries(self) -> str:
        return f"{self.prefix}baseline.entries"

    def inbox(self, member: str) -> str:
        return f"{self.prefix}baseline.{member}.in"

    def plan(self) -> list[tuple[str, int, dict[str, str]]]:
        """(name, partitions, settings) of every topic, the table's changelog included."""
        names = [self.events, self.entries, *(self.inbox(member) for member in self.members)]
        changelog = (f"{self.app_id}-balances-changelog", PARTITIONS, {"cleanup.policy": "compact"})
        return [(name, PARTITIONS, {}) for name in names] + [changelog]


@dataclass(frozen=True, slots=True)
class Measured:
    """From the first event handled until everything sent was in Kafka; CPU of this process alone."""

    events: int
    seconds: float
    cpu_seconds: float


@dataclass(slots=True)
class _Clock:
    """Counts events and holds the times of the first one."""

    expected: int
    done: asyncio.Event
    events: int = 0
    began: float = 0.0
    cpu_before: float = 0.0

    def tick(self) -> None:
        if not self.events:
            self.began, self.cpu_before = time.monotonic(), _cpu_s()
        self.events += 1
        if self.events >= self.expected:
            self.done.set()

    def read(self) -> Measured:
        return Measured(self.events, time.monotonic() - self.began, _cpu_s() - self.cpu_before)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def build_app(
    bootstrap: str, topics: BaselineTopics, verifier: Verifier, clock: _Clock
) -> faust.App:
    """The naive design."""
    app = faust.App(
        topics.app_id,
        broker=[f"kafka://{address.strip()}" for address in bootstrap.split(",")],
        topic_partitions=PARTITIONS,
        topic_disable_leader=True,
        web_enabled=False,
    )
    events = app.topic(topics.events, key_serializer="raw", value_serializer="raw")
    entries = app.topic(topics.entries, key_serializer="raw", value_serializer="raw")
    inboxes = {
        member: app.topic(topics.inbox(member), key_serializer="raw", value_serializer="raw")
        for member in topics.members
    }
    balances = app.Table("balances", partitions=PARTITIONS, default=dict)

    @app.agent(events, name="ledger")
    async def ledger(stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            headers: Mapping[str, bytes] = dict(event.message.headers or ())
            value: bytes = event.message.value
            key_id = headers[KEY_ID].decode()
            if verifier.valid(key_id, value, headers[SIGNATURE]):
                record: Any = decode(value)
                home = getattr(record, "home", record.envelope.member)
                host = getattr(record, "host", home)
                pair = f"{home}>{host}"
                credit = record.credits.value if isinstance(record, CreditAwarded) else 0
                before = balances[pair]
                balances[pair] = {
                    "events": before.get("events", 0) + 1,
                    "credit_milli": before.get("credit_milli", 0) + int(credit * MILLI),
                }
                other = host if record.envelope.member == home else home
                await entries.send(key=event.message.key, value=value, headers=dict(headers))
                await inboxes[other].send(key=event.message.key, value=value, headers=dict(headers))
            clock.tick()

    return app


async def run(
    bootstrap: str,
    topics: BaselineTopics,
    verifier: Verifier,
    expected_events: int,
    stop: asyncio.Event,
) -> Measured | None:
    """Handle events until there were `expected_events`; None when `stop` was set or Faust gave up before."""
    clock = _Clock(expected_events, asyncio.Event())
    app = build_app(bootstrap, topics, verifier, clock)
    await app.start()
    waiting = [
        asyncio.create_task(clock.done.wait()),
        asyncio.create_task(stop.wait()),
        asyncio.create_task(app.wait_until_stopped()),
    ]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not clock.done.is_set():
            return None
        await app.producer.flush()
        return clock.read()
    finally:
        for task in waiting:
            task.cancel()
        await app.stop()


async def _main(arguments: argparse.Namespace) -> int:
    alliance = load_alliance(arguments.alliance)
    topics = BaselineTopics(arguments.prefix, tuple(alliance.members))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    measured = await run(arguments.bootstrap, topics, alliance.verifier(), arguments.expected, stop)
    if measured is None:
        return 1
    print(json.dumps(asdict(measured)), flush=True)  # noqa: T201 (the result, read by the bench)
    return 0


def main() -> int:
    """`python -m hub.bench.faust_baseline BOOTSTRAP --alliance FILE --expected N [--prefix P]`; prints one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m hub.bench.faust_baseline", description=__doc__)
    parser.add_argument("bootstrap", help="host:port of the broker")
    parser.add_argument("--alliance", type=Path, required=True, help="alliance.toml with keys")
    parser.add_argument("--expected", type=int, required=True, help="events to handle")
    parser.add_argument("--prefix", default="", help="stands before every topic name")
    return asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
