"""`alliance reconcile`: every campus database against the ledger."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import typer

from hub.events import rules
from hub.flow.log import replay_log
from hub.reconcile.compare import Decided, Reconciliation, reconcile
from hub.reconcile.fetch import fetch_holdings, read_campuses
from hub.settings import read_settings, require_bootstrap
from schemas.members import load_alliance

app = typer.Typer(help="Compare every campus database with the ledger.")

SHOWN = 50


@app.callback(invoke_without_command=True)
def reconcile_command(
    campuses: Path = typer.Option(
        ..., "--campuses", help="TOML file of [[campus]] with code and url."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Read the whole ledger, ask each campus for its holdings, report each difference. Exit code 1 if there is one."""
    settings = read_settings()
    result = asyncio.run(
        reconcile_all(
            require_bootstrap(settings),
            frozenset(load_alliance(settings.alliance_file).members),
            read_campuses(campuses),
        )
    )
    if as_json:
        print(json.dumps(asdict(result), ensure_ascii=False))
    else:
        show(result)
    if not result.is_clean:
        raise typer.Exit(1)


async def reconcile_all(
    bootstrap: str, members: frozenset[str], campuses: dict[str, str]
) -> Reconciliation:
    """Holdings first, then the log: what a campus knows must be in the ledger read after it."""
    holdings = await fetch_holdings(campuses)
    decided = Decided()
    replayed = await replay_log(bootstrap, members, rules(), see=decided.see)
    return reconcile(holdings, replayed.state, decided)


def show(result: Reconciliation) -> None:
    """Print the result for a person."""
    for event_id in result.lost[:SHOWN]:
        print(f"lost: event {event_id} was sent and has no outcome; look at its connector's outbox")
    for what in result.doubled[:SHOWN]:
        print(f"doubled: {what}")
    for difference in result.differences[:SHOWN]:
        print(difference)
    print(
        f"{result.campuses} campuses, {result.events} events: {len(result.lost)} lost, {len(result.doubled)} doubled, "
        f"{len(result.differences)} differences"
    )
