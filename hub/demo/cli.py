"""`alliance demo`: one term, from an empty machine to a reconciled ledger."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from hub.demo.run import Demo, Plan, Result, count, run_term, running
from hub.settings import read_settings

app = typer.Typer(help="One term of the alliance, end to end.")
err = Console(stderr=True)


@app.callback(invoke_without_command=True)
def demo(
    exit_: bool = typer.Option(
        False, "--exit", help="End when the term is over; else the console stays open."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object as the last line."),
    chaos: bool = typer.Option(
        False, "--chaos", help="Kill processes at random moments (SIGKILL)."
    ),
    seed: int = typer.Option(7, help="Seed of the term and of the kills."),
    students: int = typer.Option(2000, min=20, help="Students over all campuses."),
    hosts: int = typer.Option(4, min=2, max=20, help="Processes that host the connectors."),
) -> None:
    """Start a broker, the hub, twenty campuses and their connectors; run one term; count what came out."""
    settings = read_settings()
    plan = Plan(
        folder=settings.state.absolute() / "demo",
        alliance_file=settings.alliance_file,
        students=students,
        seed=seed,
        hosts=hosts,
        chaos=chaos,
        http=settings.http,
    )
    result = asyncio.run(_demo(plan, stay=not exit_, as_json=as_json))
    if as_json and exit_:
        print(json.dumps(result.as_json()), flush=True)
    if not result.is_good:
        raise typer.Exit(1)


async def _demo(plan: Plan, *, stay: bool, as_json: bool) -> Result:
    settings = read_settings()
    err.print(f"seed {plan.seed}" + (", with kills" if plan.chaos else ""))
    async with running(
        plan, settings, lambda text: err.print(text, style="dim", highlight=False)
    ) as demo:
        err.print(f"console: [bold]{demo.url}[/]")
        began = time.monotonic()
        await _term(demo)
        seconds = time.monotonic() - began
        err.print("counting: campuses, ledger, inboxes")
        result = await count(demo, seconds)
        if not as_json:
            show(result, demo)
        if stay:
            if as_json:
                print(json.dumps(result.as_json()), flush=True)
            err.print(f"console: [bold]{demo.url}[/]  (Ctrl-C ends)")
            await until_interrupted()
        return result


async def until_interrupted() -> None:
    """Until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def _term(demo: Demo) -> None:
    columns = (
        TextColumn("{task.description:14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[events]} events"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        tasks: dict[str, Any] = {}

        def take(line: dict[str, Any]) -> None:
            phase = str(line.get("phase", "term"))
            if phase not in tasks:
                tasks[phase] = progress.add_task(phase, events=0)
            progress.update(
                tasks[phase],
                completed=line.get("done", 0),
                total=line.get("total"),
                events=line.get("events", 0),
            )

        await run_term(demo, take)


def show(result: Result, demo: Demo) -> None:
    """The result for a person."""
    values = result.as_json()
    out = Console()
    table = Table(title="One term of the alliance", show_header=False)
    table.add_row("members", str(values["members"]))
    table.add_row(
        "events", f"{values['events']} in {values['seconds']} s ({values['events_per_s']} a second)"
    )
    for outcome, number in values["outcomes"].items():
        table.add_row(f"  {outcome}", str(number))
    for flag, number in values["flags"].items():
        table.add_row(f"flag {flag}", str(number))
    for name in ("lost", "doubled", "unreconciled", "invariants"):
        table.add_row(name, str(values[name]))
    receipts = values["receipts"]
    table.add_row(
        "receipts",
        ", ".join(f"{count} {name}" for name, count in receipts.items() if count) or "none",
    )
    table.add_row("verify", str(values["verify"]))
    latency = values["latency_ms"]
    table.add_row("latency", f"p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms")
    table.add_row(
        "ledger", f"{values['ledger_entries']} entries, head {values['ledger_head'][:16]}…"
    )
    if result.killed:
        table.add_row(
            "killed", f"{len(result.killed)} times: {', '.join(sorted(set(result.killed)))}"
        )
    out.print(table)
    for difference in result.reconciliation.differences[:20]:
        out.print(str(difference))
    for name, place in result.breaches[:20]:
        out.print(f"{name}: {place}")
    out.print(f"logs: {demo.supervisor.folder}")
