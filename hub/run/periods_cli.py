"""`alliance period`: which periods the ledger has closed, and closing the running one."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from hub.domain.period import Period
from hub.events import rules
from hub.flow.close import NAME, Closed, checked_name, close_period
from hub.flow.log import replay_log
from hub.ledger.state import State
from hub.ledger.statement import time_text
from hub.settings import read_settings, require_bootstrap
from schemas.envelope import to_millis
from schemas.members import load_alliance
from schemas.records import Close

app = typer.Typer(help="Periods of the ledger: list and close them.", no_args_is_help=True)


@app.command("list")
def list_periods(
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """List closed periods and the running one. Recomputes the ledger to be sure of them."""
    settings = read_settings()
    members = frozenset(load_alliance(settings.alliance_file).members)
    with Progress(transient=True, disable=as_json, console=Console(stderr=True)) as progress:
        task = progress.add_task("reading the ledger", total=None)
        replayed = asyncio.run(
            replay_log(
                require_bootstrap(settings),
                members,
                rules(),
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        )
    found = listed(replayed.state)
    if as_json:
        print(json.dumps(found))
        return
    table = Table("period", "first", "last", "closed", "balances root")
    for one in found["periods"]:
        table.add_row(
            one["period"], str(one["first_seq"]), str(one["last_seq"]), one["closed_at"], one["balances_root"]
        )  # fmt: skip
    table.add_row("open", str(found["open"]["first_seq"]), str(found["open"]["last_seq"]), "-", "-")
    Console(markup=False, highlight=False, emoji=False).print(table)


def listed(state: State) -> dict[str, Any]:
    """Closed periods in their order, and the running one."""
    periods = sorted(state.things.get(Period.KIND, {}).values(), key=lambda one: one.first_seq)
    return {
        "periods": [
            {
                "period": one.name,
                "first_seq": one.first_seq,
                "last_seq": one.last_seq,
                "balances_root": one.balances_root.hex(),
                "closed_at": time_text(one.closed_ms),
            }
            for one in periods
        ],
        "open": {"first_seq": state.closed_to + 1, "last_seq": state.head.seq},
    }


@app.command("close")
def close(
    name: str = typer.Argument(
        help="Name of the period, such as 2026-2027-1. Each is closed once."
    ),
    wait: float = typer.Option(60.0, min=0.1, help="Wait so many seconds for the ledger's answer."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Close the running period: all entries since the last close become its content for ever.

    What comes later is booked in the next period, whatever day it speaks of. Needs a running sequencer.
    """
    settings = read_settings()
    asked = Close(
        period=checked_name(name),
        clock=f"{NAME}.{settings.instance}.{secrets.token_hex(8)}",
        number=time.time_ns() // 1_000_000,
    )
    with Progress(transient=True, disable=as_json, console=Console(stderr=True)) as progress:
        task = progress.add_task("reading the ledger", total=None)
        closed = asyncio.run(
            close_period(
                require_bootstrap(settings),
                asked,
                wait,
                lambda done, total: progress.update(task, completed=done, total=total),
            )
        )
    print(json.dumps(shown(closed)) if as_json else _told(closed))


def shown(closed: Closed) -> dict[str, Any]:
    """The closed period as values."""
    record = closed.record
    return {
        "period": record.period,
        "first_seq": record.first_seq,
        "last_seq": record.last_seq,
        "closed_seq": closed.seq,
        "accounts": record.accounts,
        "balances_root": record.balances_root.hex(),
        "closed_at": time_text(to_millis(record.closed_at)),
    }


def _told(closed: Closed) -> str:
    record = closed.record
    return (
        f"{record.period} closed by entry {closed.seq}: entries {record.first_seq} to {record.last_seq}, "
        f"{record.accounts} accounts\nbalances root {record.balances_root.hex()}"
    )
