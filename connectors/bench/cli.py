"""`python -m connectors.bench`: figures of kinds, mappings and comparisons, as JSON. `make bench` runs it as well."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from connectors.bench.compare import diff, plain_csv, plain_select, rows_of_outbox
from connectors.bench.mappings import mappings
from connectors.bench.whole import kinds_of
from connectors.sdk.cli.common import quiet_logs

app = typer.Typer(help="Measure connectors in this process, without a broker.")
err = Console(stderr=True)
AIMS = {"mapping_us": 40, "sql_outbox_rows_per_s": 5_000, "file_drop_diff_rows_per_s": 20_000}


@app.callback(invoke_without_command=True)
def bench(
    out: Path | None = typer.Option(
        None, "--out", help="Put the report under `connectors` of this JSON file."
    ),
    quick: bool = typer.Option(False, "--quick", help="A tenth: does it run, not how fast."),
    postgres: str | None = typer.Option(
        None, "--postgres", help="URL of an empty database, for an outbox there too."
    ),
    as_json: bool = typer.Option(True, "--json/--table", help="JSON, or lines for people."),
) -> None:
    """Whole connectors of each kind, mappings, rows of an outbox, the comparison of two exports."""
    quiet_logs(logging.CRITICAL)
    report = measured(10 if quick else 1, postgres)
    if out is not None:
        whole = json.loads(out.read_text("utf-8")) if out.exists() else {}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({**whole, "connectors": report}, indent=2) + "\n", "utf-8")
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        for name, value in report.items():
            print(f"{name}: {value}")


def measured(part: int, postgres: str | None = None) -> dict[str, Any]:
    """The report; sizes are divided by `part`. `postgres` is the URL of an empty database."""
    with tempfile.TemporaryDirectory(prefix="alliance-bench-") as name:
        folder = Path(name)
        err.print("mappings", style="dim")
        report: dict[str, Any] = {"aims": AIMS, "mapping_us": mappings(2_000 // part)}
        rows, listed = 50_000 // part, 200_000 // part
        err.print(f"an outbox of {rows:,} rows", style="dim")
        report["sql_outbox_rows_per_s"] = rows_of_outbox(folder / "outbox", rows)
        if postgres is not None:
            report["sql_outbox_postgres_rows_per_s"] = rows_of_outbox(folder, rows, postgres)
        report["plain_select_rows_per_s"] = plain_select(folder / "outbox", rows)
        err.print(f"two exports of {listed:,} rows", style="dim")
        report["file_drop_diff_rows_per_s"] = diff(folder / "export", listed)
        report["plain_csv_rows_per_s"] = plain_csv(folder / "export", listed)
        report["kinds"] = kinds_of(
            folder / "kinds", 5_000 // part, lambda kind: err.print(kind, style="dim")
        )
    return report
