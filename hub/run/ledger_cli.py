"""`alliance ledger`: look at the log, and recompute all of it."""

from __future__ import annotations

import asyncio
import json

import typer
from rich.progress import Progress

from hub.errors import LedgerCorrupt
from hub.events import rules
from hub.flow.log import replay_log
from hub.ledger.audit import WHAT, Audit
from hub.settings import read_settings, require_bootstrap
from schemas.members import load_alliance

app = typer.Typer(help="Look at the ledger and verify it.", no_args_is_help=True)


@app.command()
def verify(
    signatures: bool = typer.Option(True, help="Check every member's signature again."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Recompute every entry from the signed events and check the invariants. Exit code 1 on the first breach."""
    settings = read_settings()
    alliance = load_alliance(settings.alliance_file)
    audit = Audit(alliance.verifier() if signatures else None)
    try:
        with Progress(transient=True, disable=as_json) as progress:
            task = progress.add_task("reading the ledger", total=None)
            replayed = asyncio.run(
                replay_log(
                    require_bootstrap(settings),
                    frozenset(alliance.members),
                    rules(),
                    see=audit.see,
                    progress=lambda done, total: progress.update(task, completed=done, total=total),
                )
            )
        breaches = audit.finish(replayed.state)
        head = replayed.state.head
    except LedgerCorrupt as error:
        print(
            json.dumps({"verify": "corrupt", "detail": str(error)})
            if as_json
            else f"corrupt: {error}"
        )
        raise typer.Exit(1) from None
    if as_json:
        print(
            json.dumps(
                {
                    "verify": "breach" if breaches else "ok",
                    "seq": head.seq,
                    "head": head.hash.hex(),
                    "outcomes": dict(audit.outcomes),
                    "flags": dict(audit.flags),
                    "breaches": breaches,
                }
            )
        )
    else:
        broken = {name for name, _ in breaches}
        for name, meaning in WHAT.items():
            print(f"{'BROKEN' if name in broken else 'ok    '} {name:4} {meaning}")
        for name, place in breaches:
            print(f"{name}: {place}")
        print(
            f"{head.seq} entries, head {head.hash.hex()}, {replayed.replay.void} void records passed over"
        )
    if breaches:
        raise typer.Exit(1)
