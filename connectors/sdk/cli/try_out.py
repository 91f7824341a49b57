"""`alliance connector lint`, `check`, `sample`, `dry-run` and `doctor`: everything short of running."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import typer

from connectors.sdk.cli.checks import Check, connections, machine
from connectors.sdk.cli.common import (
    CONFIG,
    DIR,
    FINDINGS,
    JSON,
    config_of,
    exit_code,
    fail,
    print_json,
    quiet_logs,
    run_until_signal,
)
from connectors.sdk.cli.lint import Finding, faults_of, findings_of
from connectors.sdk.cli.trying import Refused, Tried, attempt, begun, chosen, records
from connectors.sdk.clock import SystemClock
from connectors.sdk.config import Config, load_config
from connectors.sdk.contract import ConfigError, ConnectorError, Item

_SOURCE = typer.Option(None, "--source", help="Name of one source; all if left out.")
_FROM = typer.Option(None, "--from", help="Cursor to begin after; the start if left out.")


def register(app: typer.Typer) -> None:
    """Add these commands to `alliance connector`."""
    app.command("lint")(lint_command)
    app.command("check")(check_command)
    app.command("sample")(sample_command)
    app.command("dry-run")(dry_run_command)
    app.command("doctor")(doctor_command)


def lint_command(folder: Path = DIR, as_json: bool = JSON) -> None:
    """Read configuration, mappings and code tables; name file, line and fix of all that is wrong. No network.

    Exit 1 when something would be left out in silence or is never used, 2 when it cannot run. Example: alliance connector
    lint my-campus
    """
    config: Config | None = None
    found: list[Finding]
    try:
        config = load_config(folder)
        found = findings_of(config)
    except ConfigError as error:
        found = faults_of(str(error))
    if as_json:
        print_json({"folder": str(folder), "findings": [one.to_json() for one in found]})
    else:
        for one in found:
            print(one, file=sys.stderr if one.severity == "fault" else sys.stdout)
        if config is not None:
            print(_summary(config, found))
    if config is None:
        raise typer.Exit(CONFIG)
    if any(one.severity == "warning" for one in found):
        raise typer.Exit(FINDINGS)


def _summary(config: Config, found: list[Finding]) -> str:
    mappings = sum(len(source.mappings) for source in config.sources)
    warnings = sum(one.severity == "warning" for one in found)
    return (
        f"{config.folder}: member {config.member.code}, {len(config.sources)} sources with {mappings} mappings, "
        f"{len(config.sinks)} sinks: {warnings or 'no'} findings"
    )


def check_command(folder: Path = DIR, as_json: bool = JSON) -> None:
    """Open every connection and say what answers, and what the broker lets us do. Changes nothing.

    Example: alliance connector check my-campus
    """
    config = config_of(folder)
    _tell(connections(config, SystemClock()), as_json=as_json)


def doctor_command(folder: Path = DIR, as_json: bool = JSON) -> None:
    """What `check` does, and look at the machine: versions, keys, disk, our files, clocks, certificates. Changes nothing.

    Exit 1 for warnings. Example: alliance connector doctor my-campus
    """
    config = config_of(folder)

    async def both() -> AsyncIterator[Check]:
        async for one in machine(config, SystemClock()):
            yield one
        async for one in connections(config, SystemClock()):
            yield one

    _tell(both(), as_json=as_json)


def _tell(checks: AsyncIterator[Check], *, as_json: bool) -> None:
    """Each line as it comes; the exit code is that of the worst."""
    quiet_logs(logging.WARNING)
    found: list[Check] = []

    async def all_of_them() -> None:
        async for one in checks:
            found.append(one)
            if not as_json:
                print(one, flush=True)

    run_until_signal(all_of_them())
    if as_json:
        print_json([one.to_json() for one in found])
    codes = [exit_code(one.error) if one.error else FINDINGS for one in found if one.state != "ok"]
    if codes:
        raise typer.Exit(max(codes))


def sample_command(
    folder: Path = DIR,
    count: int = typer.Option(3, "-n", min=1, help="Records of each source."),
    source: str | None = _SOURCE,
    cursor: str | None = _FROM,
) -> None:
    """Print raw records of each source, a JSON line each, as mappings see them. They may be about people: they stay on this machine.

    Example: alliance connector sample my-campus -n 1
    """
    config = config_of(folder)
    quiet_logs(logging.WARNING)
    print(
        "these are records of your campus, possibly about people; nothing of them leaves this machine unless you send it",
        file=sys.stderr,
    )

    async def all_of_them() -> None:
        for one in chosen(config, source):
            async for item in records(config, one, SystemClock(), count=count, cursor=cursor):
                print_json(_raw(one.name, item))

    try:
        run_until_signal(all_of_them())
    except ConnectorError as error:
        fail(error)


def _raw(source: str, item: Item) -> dict[str, Any]:
    return {"source": source, "origin": item.origin, "key": item.key, "record": item.data}


def dry_run_command(
    folder: Path = DIR,
    count: int = typer.Option(
        20, "-n", min=1, help="Records of each source, from the start or --from."
    ),
    show: bool = typer.Option(True, help="Print each event."),
    source: str | None = _SOURCE,
    cursor: str | None = _FROM,
    as_json: bool = JSON,
) -> None:
    """Read, map and encode real records; print events, refusals and coverage. Publishes and stores nothing.

    Exit 1 if a record would be refused. Example: alliance connector dry-run my-campus -n 1000 --no-show
    """
    config = config_of(folder)
    quiet_logs(logging.WARNING)
    tried: list[Tried] = []
    faults: list[ConnectorError] = []

    def seen(item: Item, result: dict[str, Any] | Refused | None) -> None:
        if as_json:
            return
        if isinstance(result, Refused):
            print(f"FAULT {item.origin}: {result.message}", flush=True)
        elif result is not None and show:
            print_json(result)

    async def all_of_them() -> None:
        for one in chosen(config, source):
            mine = begun(one)
            tried.append(mine)
            try:
                async with _Counting(mine, count, shown=not as_json and not show):
                    await attempt(
                        config, one, SystemClock(), mine, count=count, cursor=cursor, seen=seen
                    )
            except ConnectorError as error:
                faults.append(error)
                print(f"source.{one.name}: {error}", file=sys.stderr)
            if not as_json:
                _print_tried(mine)

    try:
        run_until_signal(all_of_them())
    except ConnectorError as error:
        fail(error)
    if as_json:
        print_json({"published": 0, "sources": [one.to_json() for one in tried]})
    codes = [exit_code(error) for error in faults]
    codes += [FINDINGS for one in tried if one.refused]
    if codes:
        raise typer.Exit(max(codes))


def _print_tried(tried: Tried) -> None:
    left_out = f", {tried.left_out} left out" if tried.left_out else ""
    print(
        f"source.{tried.source}: {tried.records} records read, {len(tried.events)} pass, {len(tried.refused)} refused"
        f"{left_out}, nothing published"
    )
    for line in tried.coverage.lines():
        print(f"  {line}")


class _Counting:
    """A line on a terminal that says how many records were read, where nothing else is printed meanwhile."""

    def __init__(self, tried: Tried, count: int, *, shown: bool) -> None:
        self._tried = tried
        self._count = count
        self._shown = shown and sys.stderr.isatty()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if self._shown:
            self._task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        while True:
            print(f"\r{self._tried.records} of at most {self._count} records", end="", file=sys.stderr, flush=True)  # fmt: skip
            await asyncio.sleep(0.5)

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            print("\r" + " " * 50 + "\r", end="", file=sys.stderr)
