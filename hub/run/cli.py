"""`alliance run <part>`: one process of the hub. All parts find each other through Kafka."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable

import structlog
import typer

from hub.settings import Settings, read_settings, require_bootstrap
from hub.telemetry import configure_logs
from schemas.members import Alliance, load_alliance

app = typer.Typer(help="Run a part of the hub as a process.", no_args_is_help=True)
log = structlog.get_logger("run")
_asked = {"metrics": ""}  # what the command line said, for the part it starts


@app.callback()
def options(
    metrics: str = typer.Option(
        "", help="host:port for /metrics, /livez and /readyz; else ALLIANCE_METRICS_PORT_BASE."
    ),
) -> None:
    """Run a part of the hub as a process."""
    _asked["metrics"] = metrics


Part = Callable[[Settings, str, Alliance, asyncio.Event], Awaitable[None]]


def wall_ms() -> int:
    """The wall clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


async def _admission(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    from hub.flow.admission import load_promiser, run_admission

    key = settings.hub_keys / "promises.key"
    promiser = load_promiser(key, alliance, settings.merge_s * 1000)
    await run_admission(bootstrap, alliance, stop, wall_ms, settings.instance, promiser)


async def _sequencer(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    from hub.events import rules
    from hub.flow.sequencer import run_sequencer

    await run_sequencer(bootstrap, alliance, rules(), stop, settings.instance, settings.snapshots)


async def _auditor(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    from hub.events import rules
    from hub.flow.auditor import run_auditor

    await run_auditor(
        bootstrap, alliance, rules(), stop, settings.snapshots, every=settings.snapshot_every
    )


async def _clock(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    from hub.flow.clock import run_clock

    await run_clock(bootstrap, settings.tick_s, settings.parked_after_s, stop, settings.instance)


async def _delivery(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    from hub.flow.delivery import run_delivery

    await run_delivery(bootstrap, alliance, stop, settings.instance)


async def _projector(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    from hub.store.projector import run_projector

    await run_projector(bootstrap, settings.database_url, stop)


async def _streams(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    from hub.streams.worker import run_streams

    await run_streams(bootstrap, stop, instance=settings.instance)


async def _signer(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    from hub.run.kafka_bus import KafkaBus
    from hub.transparency.signer import load_key, run_signer

    key = load_key(settings.hub_keys / "log.key", alliance)
    bus = KafkaBus(bootstrap, f"hub.signer.{settings.instance}")
    await run_signer(bus, key, settings.tlog, settings.signer_database_url, stop)


async def _receipts(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    from hub.run.kafka_bus import KafkaBus
    from hub.transparency.files import LogFiles
    from hub.transparency.receipts import load_policy, run_receipts

    policy = load_policy(settings.policy_file, alliance)
    bus = KafkaBus(bootstrap, f"hub.receipts.{settings.instance}")
    files = LogFiles(settings.tlog)
    await run_receipts(bus, policy, alliance.origin, files, frozenset(alliance.members), stop)


async def _alerts(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    from hub.run.alerts_cli import run_alerts

    await run_alerts(settings, bootstrap, alliance, stop)


PARTS: dict[str, Part] = {
    "admission": _admission,
    "sequencer": _sequencer,
    "auditor": _auditor,
    "clock": _clock,
    "delivery": _delivery,
    "projector": _projector,
    "streams": _streams,
    "signer": _signer,
    "receipts": _receipts,
    "alerts": _alerts,
}


async def _until_stopped(name: str, settings: Settings, alliance: Alliance) -> None:
    from hub.watch.exposition import Counted, address_of, exposed

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    address = address_of(name, list(PARTS), os.environ, _asked["metrics"])
    counted = Counted(name, settings.instance, time.time)
    async with exposed(counted, address):
        await PARTS[name](settings, require_bootstrap(settings), alliance, stop)


def run_part(name: str) -> None:
    """Run one part in this process until SIGTERM or Ctrl-C."""
    settings = read_settings()
    alliance = load_alliance(settings.alliance_file)
    configure_logs()
    gc.freeze()  # what start-up made stays; the ledger's state only grows, so look at it seldom
    gc.set_threshold(50_000, 20, 100)
    if name == "streams":  # Faust brings its own loop handling
        asyncio.run(_until_stopped(name, settings, alliance))
        return
    import uvloop

    uvloop.run(_until_stopped(name, settings, alliance))


@app.command()
def admission() -> None:
    """Check events of the members' outboxes and pass them to the ledger's input."""
    run_part("admission")


@app.command()
def sequencer() -> None:
    """Apply the rules in order and append to the ledger (one is active, others stand by)."""
    run_part("sequencer")


@app.command()
def auditor() -> None:
    """Recompute every entry as it is written, and leave snapshots for a quick start."""
    run_part("auditor")


@app.command()
def clock() -> None:
    """Make the ledger look at its clock every ALLIANCE_TICK_S seconds, so that deadlines fall."""
    run_part("clock")


@app.command()
def delivery() -> None:
    """Deliver outcomes and events to the members' inboxes."""
    run_part("delivery")


@app.command()
def projector() -> None:
    """Keep the read model of API and console."""
    run_part("projector")


@app.command()
def signer() -> None:
    """Keep the log's files and sign its checkpoints (one only; it alone holds the log's key)."""
    run_part("signer")


@app.command()
def receipts() -> None:
    """Collect the members' cosignatures and send receipts for what a quorum has seen."""
    run_part("receipts")


@app.command()
def streams() -> None:
    """Run the stream processors (member activity, topic rates, open cases)."""
    run_part("streams")


@app.command()
def alerts() -> None:
    """Work out alerts from what is wrong, and tell people (see `alliance alerts`)."""
    run_part("alerts")
