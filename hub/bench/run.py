"""The benchmark's course: one broker, the hub's stages, then the plain Faust baseline, in the same run."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.bench import measure
from hub.bench.workload import Case, Maker, Signed, make_cases, offerings, waves
from hub.broker import admin
from hub.broker.kafka import stop as stop_broker
from hub.broker.resolve import Broker, BrokerSettings, resolve_broker
from hub.flow.kafka import Outgoing, Writer, plain_reader, producer
from hub.flow.plan import topic_plan
from hub.run.supervisor import Supervisor, alliance_command
from hub.security.keys import keygen
from schemas import topics
from schemas.members import load_alliance
from schemas.signing import load_signer

STAGES = ("admission", "sequencer", "delivery")
BASELINE_PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: cases per wave (six waves), events of the latency run, their rate a second."""

    cases: int
    stage_events: int
    latency_events: int
    per_second: int = 300


async def run_bench(
    folder: Path, alliance_file: Path, size: Size, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure and return the report. The broker is our own, fresh, on this machine, and is stopped at the end."""
    settings = BrokerSettings.read(
        {**os.environ, "ALLIANCE_BOOTSTRAP": ""}, state=folder.parent / "bench-broker"
    )
    await asyncio.to_thread(_start_clean, folder, settings.state)
    broker = await asyncio.to_thread(resolve_broker, settings)
    try:
        return await _measure(folder, alliance_file, broker, size, seed, say)
    finally:
        await asyncio.to_thread(stop_broker, settings.state)


def _start_clean(folder: Path, broker_state: Path) -> None:
    stop_broker(broker_state)
    for path in (broker_state, folder):
        shutil.rmtree(path, ignore_errors=True)
    folder.mkdir(parents=True)


async def _measure(
    folder: Path,
    alliance_file: Path,
    broker: Broker,
    size: Size,
    seed: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    configuration = folder / "alliance.toml"
    shutil.copy(alliance_file, configuration)
    keygen(configuration, folder / "keys")
    alliance = load_alliance(configuration)
    members = list(alliance.members)
    await admin.apply(broker.bootstrap, topic_plan(members))
    signers = {code: load_signer(folder / "keys" / f"{code}.key") for code in members}
    maker = Maker(signers, seed)
    say("signing the workload")
    cases = make_cases(members, size.cases, seed)
    signed = list(waves(maker, cases))
    env = {"ALLIANCE_FILE": str(configuration), "ALLIANCE_BOOTSTRAP": broker.bootstrap}
    commands = {stage: alliance_command("run", stage) for stage in STAGES}
    report: dict[str, Any] = {"machine": _machine(), "broker": broker.version, "seed": seed}
    async with AsyncExitStack() as stack:
        supervisor = Supervisor(folder / "log", env)
        stack.push_async_callback(supervisor.stop)
        say("each stage alone")
        await _warm_up(broker.bootstrap, members, offerings(maker, members), supervisor, commands)
        stage_cases = _more(members, size.stage_events, seed + 1, 1)
        report["stages"] = await measure.stage_rates(
            broker.bootstrap, members, next(waves(maker, stage_cases))[1], supervisor, commands
        )
        say("end to end, as fast as it goes")
        for stage, command in commands.items():
            await supervisor.start(stage, command)
        await _settled(broker.bootstrap, members, maker, seed)
        pids = {stage: supervisor.pid(stage) or 0 for stage in STAGES}
        if broker.pid:
            pids["broker"] = broker.pid
        through = await measure.throughput(broker.bootstrap, members, signed, pids)
        report["end_to_end"] = _summary(through)
        say(f"end to end at {size.per_second} events a second")
        paced = _more(members, size.latency_events, seed + 3, 3)
        report["latency_ms"] = await measure.latency(
            broker.bootstrap, members, next(waves(maker, paced))[1], size.per_second
        )
    say("the same job on a plain Faust agent with a table")
    report["baseline"] = await _baseline(folder, broker, configuration, members, signed, env)
    report["ratio"] = round(
        report["end_to_end"]["events_per_s"] / max(report["baseline"]["events_per_s"], 0.1), 2
    )
    report["cpu_ratio"] = round(
        report["baseline"]["cpu_us_per_event"]["worker"]
        / max(sum(report["end_to_end"]["cpu_us_per_event"][stage] for stage in STAGES), 0.1),
        2,
    )
    return report


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def _more(members: Sequence[str], count: int, seed: int, block: int) -> list[Case]:
    """Cases with numbers of their own."""
    return [
        Case(case.number + block * 100_000_000, case.home, case.host, case.offering_id)
        for case in make_cases(members, count, seed)
    ]


def _summary(through: measure.Throughput) -> dict[str, Any]:
    return {
        "events": through.events,
        "events_per_s": round(through.events / through.seconds, 1),
        "events_per_s_by_type": through.by_type,
        "cpu_us_per_event": {
            name: round(used / through.events * 1e6, 1) for name, used in through.cpu_s.items()
        },
    }


async def _warm_up(
    bootstrap: str,
    members: Sequence[str],
    events: Sequence[Signed],
    supervisor: Supervisor,
    commands: Mapping[str, Sequence[str]],
) -> None:
    """Bring the offerings into the ledger with all stages, then stop these."""
    inboxes = [topics.inbox(member) for member in members]
    for stage, command in commands.items():
        await supervisor.start(stage, command)
    async with (
        producer(bootstrap, "bench") as writer,
        plain_reader(bootstrap, [(i, 0) for i in inboxes], "bench") as reader,
    ):
        await measure.blast(writer, events)
        await measure.until(reader, inboxes, len(events) * len(members))
    await supervisor.stop(*commands)


async def _settled(bootstrap: str, members: Sequence[str], maker: Maker, seed: int) -> None:
    """A few events through the running stages, so that start-up is over when the clock starts."""
    inboxes = [topics.inbox(member) for member in members]
    few = next(waves(maker, _more(members, 200, seed + 2, 2)))[1]
    async with (
        producer(bootstrap, "bench") as writer,
        plain_reader(bootstrap, [(i, 0) for i in inboxes], "bench") as reader,
    ):
        before = await measure.ends(reader, inboxes)
        await measure.blast(writer, few)
        await measure.until(reader, inboxes, before + 2 * len(few))


async def _baseline(
    folder: Path,
    broker: Broker,
    configuration: Path,
    members: Sequence[str],
    signed: Sequence[tuple[str, list[Signed]]],
    env: Mapping[str, str],
) -> dict[str, Any]:
    """The same signed events through `hub.bench.faust_baseline`, its own process."""
    from hub.bench.faust_baseline import BaselineTopics  # Faust is not for the hub's part

    names = BaselineTopics("", tuple(members))
    await admin.apply(broker.bootstrap, [admin.TopicSpec(*spec) for spec in names.plan()])
    events = [event for _, wave in signed for event in wave]
    log_file = await asyncio.to_thread((folder / "log" / "baseline.log").open, "wb")
    async with producer(broker.bootstrap, "bench") as writer:
        before = measure.cpu_of({"broker": broker.pid or 0})["broker"]
        await _feed(writer, names.events, events)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "hub.bench.faust_baseline", broker.bootstrap,
            "--alliance", str(configuration), "--expected", str(len(events)),
            stdout=asyncio.subprocess.PIPE,
            stderr=log_file,
            env={**os.environ, **env},
        )  # fmt: skip
        try:
            output, _ = await asyncio.wait_for(process.communicate(), measure.PATIENCE_S)
        finally:
            log_file.close()
            if process.returncode is None:
                process.terminate()
                await process.wait()
        used = measure.cpu_of({"broker": broker.pid or 0})["broker"] - before
    if process.returncode:
        raise measure.BenchStuck(
            f"the baseline ended early; read {folder / 'log' / 'baseline.log'}"
        )
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return {
        "events": result["events"],
        "events_per_s": round(result["events"] / result["seconds"], 1),
        "cpu_us_per_event": {
            "worker": round(result["cpu_seconds"] / result["events"] * 1e6, 1),
            "broker": round(used / result["events"] * 1e6, 1),
        },
    }


async def _feed(writer: Writer, topic: str, events: Sequence[Signed]) -> None:
    """Spread the events over the partitions by key, as a keyed producer would."""
    parts: dict[int, list[Outgoing]] = {}
    for event in events:
        record = Outgoing(event.key, event.value, event.headers)
        parts.setdefault(zlib.crc32(event.key) % BASELINE_PARTITIONS, []).append(record)
    for partition, records in parts.items():
        await asyncio.gather(*await writer.send(topic, records, partition))
