"""`alliance bench`: the figures of the path of value, as JSON."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import typer
from rich.console import Console

from hub.bench.run import Size, run_bench
from hub.settings import read_settings

app = typer.Typer(help="Measure the path of value against a plain Faust agent.")
err = Console(stderr=True)


@app.callback(invoke_without_command=True)
def bench(
    out: Path = typer.Option(
        Path(".state/bench.json"), "--out", help="Where the JSON report goes."
    ),
    quick: bool = typer.Option(
        False, "--quick", help="A tenth of the events: does it run, not how fast."
    ),
    seed: int = typer.Option(7, help="Seed of the workload."),
) -> None:
    """Start a fresh broker and the hub's stages, feed them signed events, then the baseline; write the report."""
    settings = read_settings()
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
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))
