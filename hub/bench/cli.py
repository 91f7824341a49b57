"""`alliance bench`: the figures of the path of value and of the ledger at growing sizes, as JSON."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID, TimeRemainingColumn

from hub.bench.ledger import ladder
from hub.bench.run import Size, run_bench
from hub.settings import Settings, read_settings

app = typer.Typer(help="Measure the path of value against a plain Faust agent.")
err = Console(stderr=True)

FULL = 1_000_000


@app.callback(invoke_without_command=True)
def bench(
    out: Path = typer.Option(
        Path(".state/bench.json"), "--out", help="Where the JSON report goes."
    ),
    quick: bool = typer.Option(
        False, "--quick", help="A tenth of the events: does it run, not how fast."
    ),
    seed: int = typer.Option(7, help="Seed of the workload."),
    ledger_sizes: str = typer.Option(
        "10000,100000", help="Entries of the ledger's ladder; empty for none."
    ),
    full: bool = typer.Option(False, "--full", help="The ladder up to a million entries as well."),
    ledger_only: bool = typer.Option(False, "--ledger-only", help="The ladder alone; no broker."),
) -> None:
    """Start a fresh broker and the hub's stages, feed them signed events, then the baseline; write the report."""
    settings = read_settings()
    sizes = _sizes(ledger_sizes, full=full, quick=quick)
    report: dict[str, Any] = {}
    if not ledger_only:
        size = Size(1_000, 2_000, 1_500) if quick else Size(8_000, 20_000, 9_000)
        report = asyncio.run(
            run_bench(
                settings.state.absolute() / "bench",
                settings.alliance_file,
                size,
                seed,
                lambda text: err.print(text, style="dim"),
            )
        )
        report["connectors"] = _connectors(quick=quick)
    if sizes:
        report["ledger"] = _ladder(settings, sizes)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


def _connectors(*, quick: bool) -> dict[str, Any]:
    """The connectors' own figures, by their own command: no code of the hub knows them."""
    command = [sys.executable, "-m", "connectors.bench", *(["--quick"] if quick else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603, our own module
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _sizes(text: str, *, full: bool, quick: bool) -> list[int]:
    """Sizes of the ladder. Raises `typer.BadParameter`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) >= 100 for part in parts):
        raise typer.BadParameter(
            f"--ledger-sizes is {text!r}, wanted numbers from 100 such as 10000,100000"
        )
    return [int(part) // (10 if quick else 1) for part in parts] + ([FULL] if full else [])


def _ladder(settings: Settings, sizes: list[int]) -> dict[str, Any]:
    with Progress(*Progress.get_default_columns()[:3], TimeRemainingColumn(), console=err) as shown:
        tasks: dict[tuple[str, int], TaskID] = {}

        def progress(step: str, done: int, entries: int) -> None:
            task = tasks.get((step, entries))
            if task is None:
                title = f"ledger of {entries:,}: {step}"
                task = tasks[step, entries] = shown.add_task(title, total=entries)
            shown.update(task, completed=done)

        return ladder(settings.state.absolute() / "bench-ledger", sizes, progress)
