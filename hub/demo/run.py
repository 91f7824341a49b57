"""The demo's course: prepare, start, run the term, count, stop."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from hub.broker.admin import describe
from hub.broker.kafka import stop as stop_broker
from hub.broker.resolve import Broker, BrokerSettings, resolve_broker
from hub.demo.chaos import Chaos
from hub.demo.trust import Trust, show_trust
from hub.errors import HubError, LedgerCorrupt, SettingsError
from hub.events import rules
from hub.flow.kafka import plain_reader
from hub.flow.latency import latencies
from hub.flow.log import replay_log
from hub.ledger.audit import Audit
from hub.reconcile.compare import Decided, Reconciliation, reconcile
from hub.reconcile.fetch import fetch_holdings, read_campuses
from hub.run.supervisor import Supervisor, alliance_command, stop_leftovers
from hub.run.topics_cli import apply_all
from hub.security.keys import hub_keygen, keygen
from hub.settings import Settings
from schemas import topics
from schemas.members import load_alliance
from schemas.records import Entry

HUB_PARTS = (
    "admission", "sequencer", "clock", "delivery", "projector", "streams", "signer", "receipts", "auditor",
)  # fmt: skip
SETTLE_S = 60.0
START_S = 60.0
POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `folder` and the broker's own folder are emptied first, unless `keep`.

    `without` are members whose campus answers, but whose connector somebody else runs.
    """

    folder: Path
    alliance_file: Path
    students: int
    seed: int
    hosts: int  # processes that the twenty connectors share
    chaos: bool
    http: str
    keep: bool = False
    without: frozenset[str] = frozenset()

    @property
    def broker_state(self) -> Path:
        return self.folder.parent / f"{self.folder.name}-broker"


@dataclass(slots=True)
class Demo:
    """A running demo: its processes and where things are."""

    plan: Plan
    broker: Broker
    supervisor: Supervisor
    say: Callable[[str], None]
    killed: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.plan.http}/"

    @property
    def campuses(self) -> dict[str, str]:
        """Base URL of each campus by member code."""
        return read_campuses(self.plan.folder / "sandbox.toml")


class TermFailed(HubError):
    """The term did not come to its end; the message names the reason and the log."""


@asynccontextmanager
async def running(
    plan: Plan, settings: Settings, say: Callable[[str], None]
) -> AsyncIterator[Demo]:
    """Everything up, from the broker to the console; all of it stopped at the end, by process id."""
    left = stop_leftovers(plan.folder / "log")
    if left:
        say(f"stopped {len(left)} processes that an earlier run left behind")
    say("looking for a broker")
    broker_settings = BrokerSettings.read(
        state=plan.broker_state, bootstrap=settings.bootstrap or None
    )
    if not settings.bootstrap and not plan.keep:
        await asyncio.to_thread(_fresh_broker, broker_settings)
    broker = await asyncio.to_thread(resolve_broker, broker_settings)
    say(broker.note)
    try:
        await (_resume if is_kept(plan) else _prepare)(plan, broker, say)
        supervisor = Supervisor(
            plan.folder / "log",
            {
                "ALLIANCE_FILE": str(plan.folder / "alliance.toml"),
                "ALLIANCE_BOOTSTRAP": broker.bootstrap,
                "ALLIANCE_STATE": str(plan.folder),
                "ALLIANCE_HTTP": plan.http,
                "ALLIANCE_TICK_S": "1",
            },
        )
        try:
            await _start(plan, supervisor, say)
            demo = Demo(plan, broker, supervisor, say)
            await _until_up(
                supervisor,
                [*(f"{url}/health" for url in demo.campuses.values()), f"{demo.url}livez"],
            )
            yield demo
        finally:
            say("stopping")
            await supervisor.stop()
    finally:
        if broker.owned:
            await asyncio.to_thread(stop_broker, broker_settings.state)


def is_kept(plan: Plan) -> bool:
    """Whether an earlier run's alliance goes on."""
    return plan.keep and (plan.folder / "sandbox.toml").exists()


async def _resume(plan: Plan, broker: Broker, say: Callable[[str], None]) -> None:
    """Go on with the alliance of an earlier run. Its connectors find the broker where it is now."""
    members = load_alliance(plan.folder / "alliance.toml").members
    if not any(topic.name == topics.LEDGER_ENTRIES for topic in await describe(broker.bootstrap)):
        raise SettingsError(
            f"{plan.folder} holds an alliance whose ledger is not at {broker.bootstrap}; "
            "run again with --fresh to begin anew, or name its broker in ALLIANCE_BOOTSTRAP"
        )
    for path in (plan.folder / "connectors").glob("*/connector.toml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(
            re.sub(r'(?m)^bootstrap = ".*"$', f'bootstrap = "{broker.bootstrap}"', text), "utf-8"
        )
    say(f"going on with {len(members)} members")


def _fresh_broker(settings: BrokerSettings) -> None:
    """The demo's own broker starts empty, whatever an earlier run left."""
    stop_broker(settings.state)
    shutil.rmtree(settings.state, ignore_errors=True)


async def _prepare(plan: Plan, broker: Broker, say: Callable[[str], None]) -> None:
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir(parents=True)
    configuration = plan.folder / "alliance.toml"
    shutil.copy(plan.alliance_file, configuration)
    made = keygen(configuration, plan.folder / "keys")
    hub_keygen(configuration, plan.folder / "hub-keys")
    say(f"made keys for {len(made)} members and the hub")
    members = list(load_alliance(configuration).members)
    if any(topic.name == topics.LEDGER_ENTRIES for topic in await describe(broker.bootstrap)):
        raise SettingsError(
            f"there is a ledger at {broker.bootstrap} already; the demo wants an empty cluster: "
            "unset ALLIANCE_BOOTSTRAP, name another, or with Docker run: docker compose down --volumes"
        )
    changes = await apply_all(broker.bootstrap, configuration)
    say(f"created {len({change.topic for change in changes})} topics, published the schemas")
    process = await asyncio.create_subprocess_exec(
        *alliance_command("sandbox", "init"), "--out", str(plan.folder), "--bootstrap", broker.bootstrap,
        "--seed", str(plan.seed), "--students", str(plan.students), "--base-port", str(_free_ports(len(members))),
        "--alliance", str(configuration),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise TermFailed(f"alliance sandbox init failed: {output.decode(errors='replace').strip()}")
    say(f"made {len(members)} campuses with {plan.students} students")


def _free_ports(count: int) -> int:
    """The first of `count` neighboring ports that are free on loopback."""
    for base in range(18700, 60000, count):
        try:
            for port in range(base, base + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise SettingsError(
        f"no {count} neighboring ports are free on 127.0.0.1; stop something and try again"
    )


async def _start(plan: Plan, supervisor: Supervisor, say: Callable[[str], None]) -> None:
    await supervisor.start(
        "campuses", alliance_command("sandbox", "campuses", "--dir", str(plan.folder))
    )
    for part in HUB_PARTS:
        await supervisor.start(part, alliance_command("run", part))
    await supervisor.start("console", alliance_command("console"))
    folders = sorted(
        str(path)
        for path in (plan.folder / "connectors").iterdir()
        if path.name not in plan.without
    )
    for number in range(plan.hosts):
        await supervisor.start(
            f"connectors-{number + 1}",
            alliance_command("connector", "run", *folders[number :: plan.hosts]),
        )
    say(
        f"started {len(HUB_PARTS)} hub processes, console, {len(folders)} campuses, "
        f"{len(folders)} connectors in {plan.hosts} processes"
    )


async def _until_up(supervisor: Supervisor, urls: list[str]) -> None:
    """Wait until every address answers. Raises `TermFailed` naming the first that does not within a minute."""
    deadline = time.monotonic() + START_S
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        for url in urls:
            while True:
                supervisor.raise_if_failed()
                try:
                    await client.get(url)
                    break
                except httpx.TransportError as error:
                    if time.monotonic() > deadline:
                        raise TermFailed(
                            f"{url} does not answer after {START_S:.0f} s ({error!r}); logs: {supervisor.folder}"
                        ) from error
                    await asyncio.sleep(0.1)


async def run_term(demo: Demo, progress: Callable[[dict[str, Any]], None]) -> None:
    """One term, phase by phase. Raises `TermFailed` when it does not settle, `PartFailed` when a process is given up."""
    plan = demo.plan
    command = alliance_command("sandbox", "term", "--dir", str(plan.folder), "--json-lines")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    over = asyncio.Event()
    chaos = Chaos(demo.supervisor, _victims(plan), plan.seed)
    killer = asyncio.create_task(chaos.run(over)) if plan.chaos else None
    watcher = asyncio.create_task(_give_up(demo.supervisor, process))
    try:
        if process.stdout is None or process.stderr is None:
            raise TermFailed("the term has no output")
        async for line in process.stdout:
            try:
                progress(json.loads(line))
            except ValueError:
                demo.say(line.decode(errors="replace").rstrip())
        errors = (await process.stderr.read()).decode(errors="replace").strip()
        code = await process.wait()
        demo.supervisor.raise_if_failed()
        if code:
            raise TermFailed(
                f"the term ended early (exit code {code}): {errors[-1000:]}\nlogs: {demo.supervisor.folder}"
            )
        over.set()
        if killer is not None:
            await killer
            demo.killed = chaos.killed
    finally:
        over.set()
        for task in (killer, watcher):
            if task is not None:
                task.cancel()
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _victims(plan: Plan) -> list[str]:
    hub = ("admission", "sequencer", "clock", "delivery", "signer", "receipts")
    return [*hub, "connectors-1", f"connectors-{plan.hosts}"]


async def _give_up(supervisor: Supervisor, process: asyncio.subprocess.Process) -> None:
    await supervisor.failed.wait()
    process.terminate()


@dataclass(slots=True)
class Result:
    """What came out, every figure counted."""

    members: int
    reconciliation: Reconciliation
    audit: Audit
    breaches: list[tuple[str, str]]
    head: str
    entries: int
    seconds: float
    latency_ms: dict[str, float]
    killed: list[str]
    seed: int
    trust: Trust = field(default_factory=Trust)

    def as_json(self) -> dict[str, Any]:
        """The fields of `alliance demo --json`. `lost`: sent by a campus, without outcome; `doubled`: effects twice."""
        events = self.reconciliation.events
        return {
            "members": self.members,
            "events": events,
            "events_by_type": {name: self.audit.types[name] for name in sorted(rules().decide)},
            "flags": dict(sorted(self.audit.flags.items())),
            "outcomes": dict(sorted(self.audit.outcomes.items())),
            "lost": len(self.reconciliation.lost),
            "doubled": len(self.reconciliation.doubled),
            "unreconciled": len(self.reconciliation.differences),
            "invariants": "ok"
            if not self.breaches
            else f"broken: {self.breaches[0][0]} {self.breaches[0][1]}",
            "ledger_head": self.head,
            "ledger_entries": self.entries,
            "seconds": round(self.seconds, 1),
            "events_per_s": round(events / self.seconds, 1) if self.seconds else 0.0,
            "latency_ms": {"p50": self.latency_ms["p50"], "p99": self.latency_ms["p99"]},
            **self.trust.as_json(),
            "kills": len(self.killed),
            "seed": self.seed,
        }

    @property
    def is_good(self) -> bool:
        return self.reconciliation.is_clean and not self.breaches and self.trust.is_good


async def count(demo: Demo, seconds: float) -> Result:
    """Campuses, ledger, inboxes: read all of it again and count. Waits up to a minute for the last outcomes."""
    alliance = load_alliance(demo.plan.folder / "alliance.toml")
    members = frozenset(alliance.members)
    deadline = time.monotonic() + SETTLE_S
    while True:
        holdings = await fetch_holdings(demo.campuses)
        audit, decided = Audit(alliance.verifier()), Decided()
        breaches: list[tuple[str, str]] = []

        def see(entry: Entry, audit: Audit = audit, decided: Decided = decided) -> None:
            audit.see(entry)
            decided.see(entry)

        try:
            replayed = await replay_log(demo.broker.bootstrap, members, rules(), see=see)
        except LedgerCorrupt as error:
            raise TermFailed(f"the ledger does not verify: {error}") from error
        result = reconcile(holdings, replayed.state, decided)
        if result.is_clean or time.monotonic() > deadline:
            break
        await asyncio.sleep(POLL_S)
    breaches = audit.finish(replayed.state)
    demo.say("closing the period, waiting for receipts, verifying the log")
    trust = await show_trust(demo.plan.folder, demo.supervisor.env, f"term-{demo.plan.seed}")
    return Result(
        members=len(holdings),
        reconciliation=result,
        audit=audit,
        breaches=breaches,
        head=replayed.state.head.hash.hex(),
        entries=replayed.state.head.seq,
        seconds=seconds,
        latency_ms=await _latency(demo.broker.bootstrap, sorted(members)),
        killed=demo.killed,
        seed=demo.plan.seed,
        trust=trust,
    )


async def _latency(bootstrap: str, members: list[str]) -> dict[str, float]:
    inboxes = [topics.inbox(member) for member in members]
    async with plain_reader(bootstrap, [(inbox, 0) for inbox in inboxes], "demo") as reader:
        return await latencies(reader, dict.fromkeys(inboxes, 0))
