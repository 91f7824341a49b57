"""The same job as a team would first write it with Faust: one agent, one table, Faust's defaults.

For each event: check the signature, decode, count it in a table by pair of universities, write an entry, tell the
inboxes. No order across partitions, no duplicate check, no rules: less than the hub does, so the comparison is kind to
it. Runs as its own process: `python -m hub.bench.faust_baseline <alliance.toml> <bootstrap> <events>`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from schemas.codec import decode, encode
from schemas.envelope import KEY_ID, SIGNATURE, from_millis, header
from schemas.members import load_alliance
from schemas.records import Admitted

APP = "baseline"
IN = "baseline.out"
ENTRIES = "baseline.entries"
PARTITIONS = 4


def baseline_topics(members: Sequence[str]) -> list[tuple[str, int]]:
    """Topics it needs, as (name, partitions); Faust cannot create them where auto-creation is off."""
    names = [IN, ENTRIES, f"{APP}-pairs-changelog", f"{APP}-__assignor-__leader"]
    return [(name, PARTITIONS) for name in names] + [
        (inbox(member), PARTITIONS) for member in members
    ]


def inbox(member: str) -> str:
    return f"baseline.{member}.in"


def command(configuration: Path, bootstrap: str, events: int) -> list[str]:
    """The command line of the baseline's process."""
    return [
        sys.executable,
        "-P",
        "-m",
        "hub.bench.faust_baseline",
        str(configuration),
        bootstrap,
        str(events),
    ]


async def run(configuration: Path, bootstrap: str, expected: int) -> dict[str, float]:
    """Count `expected` events; return events, seconds and CPU seconds from the first event on."""
    arguments, sys.argv = sys.argv, sys.argv[:1]  # Faust reads the command line at import
    import faust

    sys.argv = arguments
    alliance = load_alliance(configuration)
    verifier = alliance.verifier()
    app = faust.App(
        APP,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
    )
    source = app.topic(
        IN, value_type=bytes, key_type=bytes, value_serializer="raw", key_serializer="raw"
    )
    entries = app.topic(ENTRIES, value_serializer="raw", key_serializer="raw")
    inboxes = {
        m: app.topic(inbox(m), value_serializer="raw", key_serializer="raw")
        for m in alliance.members
    }
    pairs = app.Table("pairs", default=int, partitions=PARTITIONS)
    over, started = asyncio.Event(), [0.0, 0.0]
    seen = 0

    @app.agent(source, name="count")
    async def count(stream: Any) -> None:
        nonlocal seen
        async for event in stream.events():
            if seen == 0:
                started[:] = [time.perf_counter(), time.process_time()]
            seen += 1
            headers = list((event.headers or {}).items())
            key, signature = header(headers, KEY_ID) or b"", header(headers, SIGNATURE) or b""
            if not verifier.valid(key.decode(), event.value, signature):
                continue
            record: Any = decode(event.value)
            member = record.envelope.member
            other = next(
                (
                    m
                    for m in (getattr(record, "host", member), getattr(record, "home", member))
                    if m != member
                ),
                member,
            )
            pairs[f"{member}:{other}"] += 1
            entry = Admitted(
                IN, 0, event.message.offset, from_millis(0), key.decode(), signature, event.value
            )
            await entries.send(key=event.key, value=encode(entry))
            await inboxes[member].send(key=event.key, value=event.value)
            await inboxes[other].send(key=event.key, value=event.value)
            if seen >= expected:
                over.set()

    await app.start()
    sys.stdout.write("ready\n")  # the bench waits for it
    sys.stdout.flush()
    await over.wait()
    await app.producer.flush()
    result = {
        "events": float(seen),
        "seconds": time.perf_counter() - started[0],
        "cpu_seconds": time.process_time() - started[1],
    }
    await app.stop()
    return result


if __name__ == "__main__":
    found = asyncio.run(run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
    sys.stdout.write(json.dumps(found) + "\n")
