"""The hub's part of the benchmark: the real processes on a real broker, fed with signed events.

Throughput is from the first event sent to the last delivery in an inbox, over waves of all types. Latency is from the
Kafka time of the event in `member.<code>.out` to that of its delivery in `member.<code>.in`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hub.bench.cpu import cpu_seconds
from hub.bench.workload import Signed
from hub.broker.kafka import resident_mb
from hub.errors import HubError
from hub.flow.kafka import Outgoing, Reader, Writer, plain_reader, producer
from hub.flow.latency import latencies
from hub.run.supervisor import Supervisor
from schemas import topics

CHUNK = 500
PATIENCE_S = 300.0


class BenchStuck(HubError):
    """The expected messages did not arrive in time."""


@dataclass(slots=True)
class Throughput:
    """One wave set: events, seconds, CPU seconds by process, broker included."""

    events: int = 0
    seconds: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict)
    by_type: dict[str, float] = field(default_factory=dict)


def by_member(events: Iterable[Signed]) -> dict[str, list[Outgoing]]:
    """Events as records for each member's outbox."""
    found: dict[str, list[Outgoing]] = {}
    for event in events:
        found.setdefault(event.member, []).append(Outgoing(event.key, event.value, event.headers))
    return found


async def blast(writer: Writer, events: Sequence[Signed]) -> None:
    """Send everything as fast as Kafka takes it."""
    for start in range(0, len(events), CHUNK * 20):
        acks = [
            ack
            for member, records in by_member(events[start : start + CHUNK * 20]).items()
            for ack in await writer.send(topics.outbox(member), records)
        ]
        await asyncio.gather(*acks)


async def ends(reader: Reader, names: Sequence[str]) -> int:
    """The sum of the end offsets of the topics."""
    return sum((await reader.ends(names)).values())


async def until(reader: Reader, names: Sequence[str], wanted: int) -> float:
    """Wait until the topics hold `wanted` messages in all; return the monotonic time of seeing it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = await ends(reader, names)
        if found >= wanted:
            return time.monotonic()
        if time.monotonic() > deadline:
            raise BenchStuck(
                f"{found} of {wanted} messages after {PATIENCE_S:.0f} s; read the logs of the parts"
            )
        await asyncio.sleep(0.02)


def cpu_of(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


async def throughput(
    bootstrap: str,
    members: Sequence[str],
    waves: Iterable[tuple[str, list[Signed]]],
    pids: Mapping[str, int],
) -> Throughput:
    """Blast wave after wave; each event makes one outcome and one delivery."""
    inboxes = [topics.inbox(member) for member in members]
    result = Throughput()
    async with (
        producer(bootstrap, "bench") as writer,
        plain_reader(bootstrap, [(i, 0) for i in inboxes], "bench") as reader,
    ):
        for name, events in waves:
            before, cpu = await ends(reader, inboxes), cpu_of(pids)
            began = time.monotonic()
            await blast(writer, events)
            seconds = await until(reader, inboxes, before + 2 * len(events)) - began
            for part, used in cpu_of(pids).items():
                result.cpu_s[part] = result.cpu_s.get(part, 0.0) + used - cpu[part]
            result.events += len(events)
            result.seconds += seconds
            result.by_type[name] = round(len(events) / seconds, 1)
    return result


async def latency(
    bootstrap: str, members: Sequence[str], events: Sequence[Signed], per_second: int
) -> dict[str, float]:
    """Send at a fixed rate; return p50, p99 and maximum in milliseconds over all deliveries."""
    inboxes = [topics.inbox(member) for member in members]
    async with plain_reader(bootstrap, [(i, 0) for i in inboxes], "bench") as reader:
        starts = await reader.ends(inboxes)
        async with producer(bootstrap, "bench") as writer:
            began, step = time.monotonic(), max(1, per_second // 50)
            for index in range(0, len(events), step):
                await asyncio.sleep(max(0.0, began + index / per_second - time.monotonic()))
                for member, records in by_member(events[index : index + step]).items():
                    await writer.send(topics.outbox(member), records)
        await until(reader, inboxes, sum(starts.values()) + 2 * len(events))
        return await latencies(reader, starts)


async def stage_rates(
    bootstrap: str,
    members: Sequence[str],
    events: Sequence[Signed],
    supervisor: Supervisor,
    commands: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, float]]:
    """Each stage alone, its input waiting: events/s on one core and CPU microseconds per event.

    The clock starts at the stage's first output, so that its start-up does not count.
    """
    inboxes = [topics.inbox(member) for member in members]
    outputs = {
        "admission": [topics.LEDGER_IN],
        "sequencer": [topics.LEDGER_ENTRIES],
        "delivery": inboxes,
    }
    expected = {"admission": len(events), "sequencer": len(events), "delivery": 2 * len(events)}
    rates: dict[str, dict[str, float]] = {}
    names = [topics.LEDGER_IN, topics.LEDGER_ENTRIES, *inboxes]
    async with (
        producer(bootstrap, "bench") as writer,
        plain_reader(bootstrap, [(n, 0) for n in names], "bench") as reader,
    ):
        before = {stage: await ends(reader, tops) for stage, tops in outputs.items()}
        await blast(writer, events)
        for stage, tops in outputs.items():
            await supervisor.start(stage, commands[stage])
            pid = supervisor.pid(stage) or 0
            await until(reader, tops, before[stage] + 1)
            began, cpu, first = time.monotonic(), cpu_seconds(pid), await ends(reader, tops)
            ended = await until(reader, tops, before[stage] + expected[stage])
            share = 1 - (first - before[stage]) / expected[stage]
            rates[stage] = {
                "events_per_s": round(len(events) * share / max(ended - began, 1e-3), 1),
                "cpu_us_per_event": round(
                    (cpu_seconds(pid) - cpu) / max(len(events) * share, 1) * 1e6, 1
                ),
                "resident_mb": round(resident_mb(pid) or 0.0, 1),
            }
            await supervisor.stop(stage)
    return rates
