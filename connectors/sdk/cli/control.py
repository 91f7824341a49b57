"""`alliance connector pause|resume|stop|restart`, `cursor` and `backfill`: asking a connector for something.

Exit codes as `connectors.sdk.cli.main`: 0 done, 1 not done or not yet, 2 configuration, 3 no connection, 4 no permission.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from connectors.sdk.cli import asking
from connectors.sdk.cli.asking import Offline, ask
from connectors.sdk.clock import SystemClock
from connectors.sdk.config import Config, SourceConfig, load_config
from connectors.sdk.contract import (
    ConfigError,
    ConnectorError,
    Context,
    NoPermission,
    Page,
    Transient,
    place,
)
from connectors.sdk.runtime.silence import spoken
from connectors.sdk.state.backfill import Backfill
from connectors.sdk.state.commands import Command
from connectors.sdk.state.file import State
from schemas.envelope import from_millis, rfc3339

FINDINGS, CONFIG, CONNECTION, PERMISSION = 1, 2, 3, 4
_LOOK_S = 1.0
_COMMANDS_SHOWN = 5  # by status, newest first

cursor_app = typer.Typer(help="See and move where a source stands.", no_args_is_help=True)
backfill_app = typer.Typer(
    help="Read a source again from an older place, beside its live reading.", no_args_is_help=True
)
_DIR = typer.Argument(help="Folder with connector.toml.", metavar="DIR")
_SOURCE = typer.Argument(help="Name of the source.", metavar="SOURCE")
_PART = typer.Option(None, "--part", help="source.<name> or sink.<name>; all parts if left out.")
_WHY = typer.Option("", "--why", help="For those who wonder later; heartbeats show it to the hub.")
_WAIT = typer.Option(True, "--wait/--no-wait", help="Wait up to 10 s for the answer.")
_JSON = typer.Option(False, "--json", help="Print JSON.")


def register(app: typer.Typer) -> None:
    """Add these commands to `alliance connector`."""
    for verb, command in (
        ("pause", pause_command),
        ("resume", resume_command),
        ("stop", stop_command),
        ("restart", restart_command),
    ):
        app.command(verb)(command)
    app.add_typer(cursor_app, name="cursor")
    app.add_typer(backfill_app, name="backfill")


def facts(state: State) -> dict[str, Any]:
    """What people hold, and their newest commands, for `status`."""
    return {
        "held": [
            {"part": one.part, "state": one.state, "by": one.by, "why": one.why, "at": rfc3339(from_millis(one.at))}
            for one in sorted(state.commands.wanted().values(), key=lambda one: one.part)
        ],
        "commands": [
            {"id": one.id, "verb": one.verb, "by": one.by, "origin": one.origin, "outcome": one.outcome}
            for one in state.commands.newest(_COMMANDS_SHOWN)
        ],
    }  # fmt: skip


def print_rows(found: Mapping[str, Any]) -> None:
    """The same, in lines."""
    for row in found["held"]:
        why = f": {row['why']}" if row["why"] else ""
        print(
            f"held             {row['part']} {row['state']} by {row['by']} since {row['at']}{why}"
        )
    for row in found["commands"]:
        said = row["outcome"] or "no answer yet"
        print(f"command          {row['verb']} by {row['by']} ({row['id']}): {said}")


def _fail(error: ConnectorError) -> NoReturn:
    print(error, file=sys.stderr)
    code = CONNECTION if isinstance(error, Transient) else CONFIG
    raise typer.Exit(PERMISSION if isinstance(error, NoPermission) else code) from None


def _config(folder: Path) -> Config:
    try:
        return load_config(folder)
    except ConfigError as error:
        _fail(error)


def _ask(
    config: Config, verb: str, args: Mapping[str, Any], *, why: str, wait: bool, offline: Offline | None
) -> Command:  # fmt: skip
    given = {name: value for name, value in args.items() if value is not None}
    try:
        return ask(
            config, verb, given, why=why, wait_s=asking.WAIT_S if wait else 0, offline=offline
        )
    except ConnectorError as error:
        _fail(error)


def _show(config: Config, command: Command, *, as_json: bool, waited: bool) -> None:
    """Say what came of it. Exit 1 unless it is done; who did not want to wait is told how to look."""
    answer = command.answer or {}
    if as_json:
        print(
            json.dumps({"id": command.id, "outcome": command.outcome, **answer}, ensure_ascii=False)
        )
    elif command.outcome is None:
        print(
            f"accepted as {command.id}, no answer yet; see: alliance connector status {config.folder}"
        )
    else:
        print(answer.get("error") or answer.get("brief") or command.outcome)
    if command.outcome != "done" and (waited or command.outcome is not None):
        raise typer.Exit(FINDINGS)


# Parts --------------------------------------------------------------------------------------------------------------


def pause_command(
    folder: Path = _DIR, part: str | None = _PART, why: str = _WHY, wait: bool = _WAIT, as_json: bool = _JSON
) -> None:  # fmt: skip
    """Finish the step under way and read and deliver no more, until resumed. Nothing is lost; connections stay open."""
    _part_command(folder, "pause", part, why=why, wait=wait, as_json=as_json)


def resume_command(
    folder: Path = _DIR, part: str | None = _PART, why: str = _WHY, wait: bool = _WAIT, as_json: bool = _JSON
) -> None:  # fmt: skip
    """Let what was paused or stopped go on where it stood, and retry at once what waits to be retried."""
    _part_command(folder, "resume", part, why=why, wait=wait, as_json=as_json)


def stop_command(
    folder: Path = _DIR, part: str | None = _PART, why: str = _WHY, wait: bool = _WAIT, as_json: bool = _JSON
) -> None:  # fmt: skip
    """Like pause, and close the connections to the campus. Heartbeats go on; the process does not end."""
    _part_command(folder, "stop", part, why=why, wait=wait, as_json=as_json)


def restart_command(
    folder: Path = _DIR, part: str | None = _PART, why: str = _WHY, wait: bool = _WAIT, as_json: bool = _JSON
) -> None:  # fmt: skip
    """Close the connections to the campus and open them anew. Configuration is not read again: for that, end the process."""
    _part_command(folder, "restart", part, why=why, wait=wait, as_json=as_json)


def _part_command(
    folder: Path, verb: str, part: str | None, *, why: str, wait: bool, as_json: bool
) -> None:  # fmt: skip
    config = _config(folder)
    offline = {
        "pause": asking.holds(config, "paused"),
        "stop": asking.holds(config, "stopped"),
        "resume": asking.lets_go(config),
    }.get(verb)
    command = _ask(config, verb, {"part": part}, why=why, wait=wait, offline=offline)
    _show(config, command, as_json=as_json, waited=wait)


# Cursors ------------------------------------------------------------------------------------------------------------


@cursor_app.command("show")
def cursor_show_command(folder: Path = _DIR, source: str = _SOURCE, as_json: bool = _JSON) -> None:
    """Where a source stands, and what people did to that."""
    config = _config(folder)
    name = _source(config, source).name
    if not config.state_path.exists():
        _fail(ConfigError(f"{folder}: never ran; run: alliance connector run {folder}"))
    with closing(State(config.state_path, readonly=True)) as state:
        cursor, moves = state.cursor(name), state.commands.moves(name)
    history = [
        {"at": rfc3339(from_millis(m.at)), "before": m.before, "after": m.after, "by": m.by, "why": m.why}
        for m in moves
    ]  # fmt: skip
    if as_json:
        print(json.dumps({"source": name, "cursor": cursor, "moved": history}, ensure_ascii=False))
        return
    print(f"source.{name}: {_shown(cursor)}")
    for row in history:
        words = f"  {row['at']} {_shown(row['before'])} -> {_shown(row['after'])} by {row['by']}"
        print(f"{words}: {row['why']}" if row["why"] else words)


@cursor_app.command("set")
def cursor_set_command(
    folder: Path = _DIR,
    source: str = _SOURCE,
    cursor: str = typer.Argument(help="As `cursor show` and the kind's README write it."),
    yes: bool = typer.Option(False, "--yes", help="Do it; else only show what would be read."),
    why: str = _WHY,
    as_json: bool = _JSON,
) -> None:
    """Put a source elsewhere. Shows the page it would read from there; changes nothing without --yes."""
    _move(folder, source, "set", cursor, yes=yes, why=why, as_json=as_json)


@cursor_app.command("reset")
def cursor_reset_command(
    folder: Path = _DIR,
    source: str = _SOURCE,
    yes: bool = typer.Option(False, "--yes", help="Do it; else only show what would be read."),
    why: str = _WHY,
    as_json: bool = _JSON,
) -> None:
    """Put a source before its first page. What is published again carries the same event ids."""
    _move(folder, source, "reset", None, yes=yes, why=why, as_json=as_json)


@cursor_app.command("undo")
def cursor_undo_command(
    folder: Path = _DIR,
    source: str = _SOURCE,
    yes: bool = typer.Option(False, "--yes", help="Do it; else only show what would be read."),
    why: str = _WHY,
    as_json: bool = _JSON,
) -> None:
    """Put a source where it stood before people last moved it."""
    _move(folder, source, "undo", None, yes=yes, why=why, as_json=as_json)


def _move(
    folder: Path, source: str, action: str, to: str | None, *, yes: bool, why: str, as_json: bool
) -> None:  # fmt: skip
    config = _config(folder)
    found = _source(config, source)
    if not config.state_path.exists():
        _fail(ConfigError(f"{folder}: never ran; run: alliance connector run {folder}"))
    with closing(State(config.state_path, readonly=True)) as state:
        now, moves = state.cursor(found.name), state.commands.moves(found.name)
    if action == "undo":
        if not moves:
            _fail(
                ConfigError(
                    f"the cursor of source.{found.name} was never moved by people; nothing to undo"
                )
            )
        to = moves[0].before
    preview = _preview(config, found, to)
    if not as_json:
        print(
            f"source.{found.name} stands at {_shown(now)}; from {_shown(to)} it would read {_read(preview)}"
        )
    if not yes:
        if as_json:
            print(
                json.dumps(
                    {"cursor": now, "to": to, "preview": _page_json(preview)}, ensure_ascii=False
                )
            )
        else:
            print("nothing changed; add --yes to move it")
        return
    args = {"source": found.name, "action": action, "cursor": to if action == "set" else None}
    command = _ask(config, "cursor", args, why=why, wait=True, offline=asking.moves_cursor)
    _show(config, command, as_json=as_json, waited=True)


def _preview(config: Config, source: SourceConfig, cursor: str | None) -> Page:
    async def one_page() -> Page:
        context = Context(config.folder, config.member.code, source.name, SystemClock())
        opened = source.kind.open(source.options, context)
        try:
            return await opened.page(cursor)
        finally:
            await opened.close()

    try:
        return asyncio.run(one_page())
    except ConnectorError as error:
        _fail(error)


def _page_json(page: Page) -> dict[str, Any]:
    origins = [item.origin for item in page.items]
    ends = {"first": origins[0], "last": origins[-1]} if origins else {"first": None, "last": None}
    return {"records": len(origins), **ends, "cursor": page.cursor, "more": page.more}


def _read(page: Page) -> str:
    told = _page_json(page)
    if not page.items:
        return "nothing"
    more = ", and there is more" if page.more else ""
    return f"{told['records']} records, {told['first']} to {told['last']}{more}"


def _shown(cursor: str | None) -> str:
    return "the start" if cursor is None else place(cursor)


def _source(config: Config, name: str) -> SourceConfig:
    try:
        found: SourceConfig = asking.source_named(config, name)
    except ConfigError as error:
        _fail(error)
    return found


# Backfills ----------------------------------------------------------------------------------------------------------


@backfill_app.command("start")
def backfill_start_command(
    folder: Path = _DIR,
    source: str = _SOURCE,
    start: str | None = typer.Option(None, "--from", help="Cursor; from the start if left out."),
    until: str | None = typer.Option(None, "--to", help="Cursor; where live stands if left out."),
    rate: float = typer.Option(0, "--rate", min=0, help="Records a second at most; 0: no limit."),
    why: str = _WHY,
    wait: bool = _WAIT,
    as_json: bool = _JSON,
) -> None:
    """Read a source again from an older place up to where live stands now. The same events get the same ids."""
    args = {"from": start, "to": until, "rate": rate}
    _backfill(folder, source, "start", args, why=why, wait=wait, as_json=as_json)


@backfill_app.command("pause")
def backfill_pause_command(
    folder: Path = _DIR, source: str = _SOURCE, why: str = _WHY, wait: bool = _WAIT, as_json: bool = _JSON
) -> None:  # fmt: skip
    """Hold a backfill after the page under way."""
    _backfill(folder, source, "pause", {}, why=why, wait=wait, as_json=as_json)


@backfill_app.command("resume")
def backfill_resume_command(
    folder: Path = _DIR, source: str = _SOURCE, why: str = _WHY, wait: bool = _WAIT, as_json: bool = _JSON
) -> None:  # fmt: skip
    """Let a backfill go on where it was."""
    _backfill(folder, source, "resume", {}, why=why, wait=wait, as_json=as_json)


@backfill_app.command("stop")
def backfill_stop_command(
    folder: Path = _DIR, source: str = _SOURCE, why: str = _WHY, wait: bool = _WAIT, as_json: bool = _JSON
) -> None:  # fmt: skip
    """End a backfill for good. What it stored is published."""
    _backfill(folder, source, "stop", {}, why=why, wait=wait, as_json=as_json)


def _backfill(
    folder: Path, source: str, action: str, args: Mapping[str, Any], *, why: str, wait: bool, as_json: bool
) -> None:  # fmt: skip
    config = _config(folder)
    given = {**args, "source": _source(config, source).name, "action": action}
    command = _ask(config, "backfill", given, why=why, wait=wait, offline=asking.orders_backfill)
    _show(config, command, as_json=as_json, waited=wait)


@backfill_app.command("status")
def backfill_status_command(
    folder: Path = _DIR,
    follow: bool = typer.Option(False, "--follow", help="Until none is under way, or Ctrl-C."),
    as_json: bool = _JSON,
) -> None:
    """The newest backfill of each source: pages, records, speed and, where the source can count, percent and time left."""
    config = _config(folder)
    if not config.state_path.exists():
        _fail(ConfigError(f"{folder}: never ran; run: alliance connector run {folder}"))
    with closing(State(config.state_path, readonly=True)) as state:
        jobs = state.backfills.newest()
        if as_json:
            print(json.dumps([job.to_json() for job in jobs], ensure_ascii=False))
        elif not jobs:
            print("no backfill so far")
        elif Console().is_terminal:
            _bars(state, follow=follow)
        else:
            for job in jobs:
                print(progress_line(job))


def _bars(state: State, *, follow: bool) -> None:
    text = TextColumn("{task.fields[words]}")
    with Progress(TextColumn("source.{task.description}"), BarColumn(), text) as progress:
        tasks: dict[str, TaskID] = {}
        while True:
            jobs = state.backfills.newest()
            for job in jobs:
                done = job.part_done
                if job.source not in tasks:
                    tasks[job.source] = progress.add_task(job.source, total=None, words="")
                progress.update(
                    tasks[job.source],
                    total=None if done is None else 1.0, completed=done or 0.0, words=progress_line(job),
                )  # fmt: skip
            if not follow or not any(job.state == "running" for job in jobs):
                return
            time.sleep(_LOOK_S)


def progress_line(job: Backfill) -> str:
    """A backfill in one line."""
    words = f"{job.source}: {job.state}, {job.pages} pages, {job.rows} records"
    if job.rows_per_s:
        words += f", {job.rows_per_s:.1f} a second"
    if job.part_done is not None:
        words += f", {100 * job.part_done:.0f} %"
    if job.state == "running" and job.left_s is not None:
        words += f", {_left(job.left_s)} left"
    return words


def _left(seconds: float) -> str:
    return spoken(timedelta(seconds=round(seconds)))
