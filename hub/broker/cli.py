"""`alliance broker`: start, stop and look after the broker of this machine. Decides nothing itself.

Exit codes: 0 ok, 1 findings, 2 settings or nothing to run, 3 no connection.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from hub.broker import kafka
from hub.broker.doctor import Finding, Level, examine
from hub.broker.errors import BrokerError, RungUnavailable, Unreachable
from hub.broker.resolve import BrokerSettings, resolve_broker, use_running
from hub.errors import SettingsError

FINDINGS: Final = 1
CONFIG: Final = 2
CONNECTION: Final = 3
STYLES: Final = {
    Level.OK: "green",
    Level.UNUSED: "dim",
    Level.PROBLEM: "bold red",
    Level.UNREACHABLE: "bold red",
}

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A real Kafka on this machine, without Docker.",
)

State = Annotated[
    Path | None, typer.Option(help="State folder; else ALLIANCE_STATE, else ./.state.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def start(
    state: State = None,
    offline: Annotated[bool, typer.Option(help="Never use the network to fetch Kafka.")] = False,
    as_json: Json = False,
) -> None:
    """Start the broker, or find the one that runs; print its address and why this one."""
    with _plain_errors():
        broker = resolve_broker(BrokerSettings.read(state=state, offline=offline))
    if as_json:
        _print_json(asdict(broker))
        return
    print(broker.bootstrap)
    Console(stderr=True, highlight=False, soft_wrap=True).print(broker.note, markup=False)


@app.command()
def stop(state: State = None) -> None:
    """Stop the broker this state folder started; data stays."""
    with _plain_errors():
        settings = BrokerSettings.read(state=state)
        stopped = kafka.stop(settings.state)
    print("stopped" if stopped else f"no broker of {settings.state} is running")


@app.command()
def status(state: State = None, as_json: Json = False) -> None:
    """Tell whether the broker of this state folder runs; exit code 3 if not."""
    with _plain_errors():
        settings = BrokerSettings.read(state=state)
        try:
            broker = use_running(settings)
        except RungUnavailable as reason:
            if as_json:
                _print_json({"running": False, "reason": reason.found})
            else:
                print(f"not running: {reason}. Start it with `alliance broker start`")
            raise typer.Exit(CONNECTION) from None
        memory_mb = kafka.resident_mb(broker.pid) if broker.pid else None
    if as_json:
        _print_json({"running": True, **asdict(broker), "memory_mb": memory_mb})
    else:
        print(f"{broker.bootstrap}: {broker.note}, {memory_mb or 0:.0f} MB resident")


@app.command()
def doctor(
    state: State = None,
    offline: Annotated[bool, typer.Option(help="Judge as `start --offline` would.")] = False,
    as_json: Json = False,
) -> None:
    """Look at every way to a broker and say what to do; exit code 1 with problems."""
    with _plain_errors():
        findings = examine(BrokerSettings.read(state=state, offline=offline))
    if as_json:
        _print_json([asdict(finding) for finding in findings])
    else:
        _print_findings(findings)
    levels = {finding.level for finding in findings}
    if Level.UNREACHABLE in levels:
        raise typer.Exit(CONNECTION)
    if Level.PROBLEM in levels:
        raise typer.Exit(FINDINGS)


@app.command()
def reset(
    state: State = None,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, delete every message.")] = False,
) -> None:
    """Stop the broker and delete its data: every topic, message and group of this state folder."""
    with _plain_errors():
        folder = kafka.broker_dir(BrokerSettings.read(state=state).state)
        if not yes:
            print(
                f"would delete {folder} with every message in it; repeat with --yes",
                file=sys.stderr,
            )
            raise typer.Exit(CONFIG)
        kafka.reset(folder.parent)
    print(f"deleted {folder}")


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Our own errors become a sentence and an exit code, never a stack trace."""
    try:
        yield
    except (BrokerError, SettingsError) as error:
        print(f"alliance broker: {error}", file=sys.stderr)
        code = CONNECTION if isinstance(error, Unreachable) else CONFIG
        raise typer.Exit(code) from error


def _print_findings(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        level = Text(f"{finding.level:<12}", style=STYLES[finding.level])
        console.print(level, Text(f"{finding.check:<9} {finding.found}"), sep="")
        if finding.next_step:
            console.print(Text(f"{'':<22}next: {finding.next_step}", style="dim"))


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))
