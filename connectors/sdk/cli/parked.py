"""`alliance connector parked`: what could not pass and why, trying it again, giving it up.

Works beside a running connector, which then does it as a command, and on the folder of one that is stopped. Looking and
trials need neither. Exit codes: 0 well, 1 something is or stays parked, 2 configuration, 3 no connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import structlog
import typer

from connectors.sdk.cli import asking
from connectors.sdk.clock import SystemClock
from connectors.sdk.config import Config, load_config
from connectors.sdk.contract import ConfigError, ConnectorError, Context, Transient
from connectors.sdk.private.vault import Vault, open_vault
from connectors.sdk.runtime.breaker import Breaker
from connectors.sdk.runtime.deliverer import Deliverer, OpenSink
from connectors.sdk.runtime.incoming import unparked
from connectors.sdk.runtime.kafka import Incoming
from connectors.sdk.runtime.outgoing import Mapper
from connectors.sdk.runtime.redrive import Redriver, SourceQueues, check, chosen, sources_now
from connectors.sdk.state.file import State
from connectors.sdk.state.parking import Cause, Choice, Parked
from schemas import envelope
from schemas.codec import Unreadable, decode, to_json
from schemas.envelope import from_millis, rfc3339

FINDINGS, CONFIG, CONNECTION = 1, 2, 3
_LOOK_S = 0.1  # between two looks at what a running connector has answered
T = TypeVar("T")

app = typer.Typer(help="See, try again or give up what could not pass.", no_args_is_help=True)
_DIR = typer.Argument(help="Folder with connector.toml.", metavar="DIR")
_JSON = typer.Option(False, "--json", help="Print JSON.")
_WAIT = typer.Option(60.0, "--wait", help="How long to wait for a running connector, in seconds.")
_BY = typer.Option("", "--by", help="Who does it; default: who is logged in.")


@app.command("ls")
def ls_command(folder: Path = _DIR, as_json: bool = _JSON) -> None:
    """What is parked, by cause: how many keys, how many things with what waits behind them, since when, and the first words."""
    with closing(_state(_config(folder))) as state:
        causes = [cause_facts(cause) for cause in state.parking.causes()]
        stopped = {part: said for part, (said, _) in state.parking.breakers().items() if said}
    if as_json:
        print(json.dumps({"causes": causes, "breakers": stopped}, ensure_ascii=False))
    else:
        for cause in causes:
            print(cause_line(cause))
        for part, said in stopped.items():
            print(f"{part}: {said}")
        if causes:
            print(f"first of each: alliance connector parked show {folder} NUMBER")
        else:
            print("nothing is parked")
    if causes or stopped:
        raise typer.Exit(FINDINGS)


def cause_facts(cause: Cause) -> dict[str, Any]:
    """One cause, for `--json`."""
    return {
        "part": cause.part,
        "code": cause.code,
        "fingerprint": cause.fingerprint,
        "keys": cause.keys,
        "things": cause.things,
        "waiting": cause.waiting,
        "oldest_at": rfc3339(from_millis(cause.oldest_at)),
        "first": cause.first,
        "brief": cause.brief,
    }


def cause_line(cause: Mapping[str, Any]) -> str:
    """The same in one line."""
    waiting = f", {cause['waiting']} tried again soon" if cause["waiting"] else ""
    return (
        f"{cause['fingerprint']} {cause['part']} {cause['code']}: {cause['keys']} keys, {cause['things']} in all{waiting}, "
        f"oldest {cause['oldest_at']} (number {cause['first']}): {cause['brief']}"
    )


@app.command("show")
def show_command(
    folder: Path = _DIR,
    number: int = typer.Argument(help="Number of a parked thing.", metavar="NUMBER"),
    as_json: bool = _JSON,
) -> None:
    """Print one parked thing: why, what it is, and what it waits behind. It holds personal data and stays on this machine."""
    with closing(_state(_config(folder))) as state:
        row = state.parking.row(number)
        if row is None:
            _fail(
                f"nothing is parked under number {number}; run: alliance connector parked ls {folder}"
            )
        facts = _row_facts(row, state.parking.head_of(row))
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    payload = facts.pop("payload")
    for name, value in facts.items():
        print(f"{name:12} {value}")
    print(json.dumps(payload, ensure_ascii=False, indent=2))


def _row_facts(row: Parked, head: int) -> dict[str, Any]:
    return {
        "number": row.number,
        "part": row.part,
        "stage": row.stage,
        "id": row.id,
        "key": row.key,
        "code": row.code,
        "fingerprint": row.fingerprint,
        "reason": row.reason,
        "blocked_by": head if head != row.number else None,
        "attempts": row.attempts,
        "redrives": row.redrives,
        "first_at": rfc3339(from_millis(row.first_at)),
        "last_at": rfc3339(from_millis(row.last_at)),
        "due_at": None if row.due_at is None else rfc3339(from_millis(row.due_at)),
        "payload": _readable(row),
    }


def _readable(row: Parked) -> Any:
    """A record as the campus told it, a message as it reads; bytes only where nothing else can be said."""
    if row.stage == "map":
        return row.payload["data"]
    try:
        value = (
            bytes.fromhex(row.payload["value"])
            if row.stage == "reused"
            else unparked(row.payload).value
        )
        return to_json(decode(value))
    except Unreadable:
        return row.payload


@app.command("redrive")
def redrive_command(
    folder: Path = _DIR,
    number: int | None = typer.Argument(None, help="Number of a head.", metavar="[NUMBER]"),
    cause: str = typer.Option("", "--cause", help="A fingerprint or a code, as ls shows them."),
    key: str = typer.Option("", "--key", help="One key."),
    part: str = typer.Option("", "--part", help="source.NAME, sink.NAME or inbox."),
    everything: bool = typer.Option(False, "--all", help="All that is parked."),
    dry: bool = typer.Option(False, "--dry-run", help="Only say what would pass; changes nothing."),
    by: str = _BY,
    wait: float = _WAIT,
    as_json: bool = _JSON,
) -> None:
    """Try parked things again with mappings and code tables as they are now: of each key in order, until one does not pass.

    Says first how many would. Exit 1 when something stays parked. Example: alliance connector parked redrive my-campus --cause MAP_UNKNOWN_CODE --dry-run
    """
    config = _config(folder)
    args = {"number": number, "cause": cause, "key": key, "part": part, "all": everything}
    try:
        choice = chosen(args)
        foreseen = _rehearsed(config, choice)
        if dry:
            _print(foreseen, as_json=as_json)
            raise typer.Exit(FINDINGS if foreseen["failed"] or foreseen["behind"] else 0)
        if not as_json:
            print(foreseen["brief"])
        answer = _done(config, "redrive", args, by, "", wait, lambda r: r.on_redrive(args))
    except ConnectorError as error:
        _fail(str(error), CONNECTION if isinstance(error, Transient) else CONFIG)
    _print(answer, as_json=as_json)
    if answer["stopped"]:
        raise typer.Exit(CONNECTION)
    if answer["failed"] or answer["behind"] or answer["waiting"]:
        raise typer.Exit(FINDINGS)


@app.command("drop")
def drop_command(
    folder: Path = _DIR,
    numbers: list[int] = typer.Argument(help="Numbers of parked things.", metavar="NUMBER..."),
    why: str = typer.Option("", "--why", help="The reason; it is kept with your name."),
    by: str = _BY,
    wait: float = _WAIT,
    as_json: bool = _JSON,
) -> None:
    """Give parked things up for good: they never pass. What waited behind them goes on. Needs --why."""
    config = _config(folder)
    if not why.strip():
        _fail(
            "a dropped record is gone; say why, with --why: whoever asks for it will want to know"
        )
    with closing(_state(config)) as state:
        missing = [number for number in numbers if state.parking.row(number) is None]
    if missing:
        _fail(
            f"nothing is parked under number {missing[0]}; run: alliance connector parked ls {folder}"
        )
    args = {"numbers": numbers}
    full = {**args, "by": by or asking.user(), "why": why}
    try:
        answer = _done(config, "drop", args, by, why, wait, lambda r: r.on_drop(full))
    except ConnectorError as error:
        _fail(str(error), CONNECTION if isinstance(error, Transient) else CONFIG)
    print(json.dumps(answer, ensure_ascii=False) if as_json else answer["brief"])


def _print(answer: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
        return
    for one in answer["failed"]:
        print(f"not  {one['number']} {one['code']}: {one['reason']}")
    for one in answer["waiting"]:
        print(f"soon {one['number']}: {one['reason']}")
    if answer["stopped"]:
        print(f"stopped: {answer['stopped']}")
    print(answer["brief"])


# How it is done -------------------------------------------------------------------------------------------------------


def _done(
    config: Config, verb: str, args: Mapping[str, Any], by: str, why: str, wait_s: float,
    work: Callable[[Redriver], Awaitable[dict[str, Any]]],
) -> dict[str, Any]:  # fmt: skip
    """By the connector if it runs, else here. Raises `ConnectorError`."""
    from connectors.sdk.runtime.host import (  # imports every part of a connector
        FolderLock,
        is_running,
    )

    if is_running(config):
        return _asked(config, verb, args, by or asking.user(), why, wait_s)
    lock = FolderLock(config)
    try:
        with closing(State(config.state_path)) as state:
            return asyncio.run(_with_redriver(config, state, work))
    finally:
        lock.release()


def _asked(
    config: Config, verb: str, args: Mapping[str, Any], by: str, why: str, wait_s: float
) -> dict[str, Any]:
    """Let the running connector do it, and wait for its answer."""
    command = asking.ask(config, verb, args, why=why, wait_s=wait_s, by=by)
    if command.outcome is None:
        raise Transient(
            f"the connector has not answered in {wait_s:g} s; it will do it all the same: "
            "look with alliance connector parked ls"
        )
    answer = dict(command.answer or {})
    if command.outcome != "done":
        raise ConfigError(str(answer.get("error") or answer.get("brief")))
    return answer


def _rehearsed(config: Config, choice: Choice) -> dict[str, Any]:
    """A trial, in this process: it changes nothing, so it may look on while the connector runs."""

    async def rehearse(redriver: Redriver) -> dict[str, Any]:
        return redriver.rehearse(choice).to_json(dry=True)

    with closing(_state(config)) as state:
        check(state, choice)
        return asyncio.run(_with_redriver(config, state, rehearse, dry=True))


async def _with_redriver(
    config: Config, state: State, work: Callable[[Redriver], Awaitable[T]], *, dry: bool = False
) -> T:
    """The parts of a stopped connector that trying again needs. A trial needs no keys of students."""
    structlog.configure(
        processors=[structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    clock = SystemClock()
    log = structlog.get_logger("connector")
    vault: Vault | None = None if dry else open_vault(config.private)
    runtime = config.runtime
    breaker = Breaker(state, runtime.parked_keys_limit, round(1000 * runtime.parked_window_s))
    sources = {
        f"source.{one.name}": SourceQueues(
            one.name, Mapper(one, config.signer, state, vault), state, vault, clock
        )
        for one in config.sources
    }
    sinks: Sequence[OpenSink] = [
        OpenSink(one, one.kind.open(one.options, _context(config, one.name)))
        for one in config.sinks
    ]
    deliverer = Deliverer(config, sinks, state, _NoInbox(), clock, vault, None, log, breaker)
    now_ms = lambda: envelope.to_millis(clock.now())  # noqa: E731, shorter than a function beside it
    redriver = Redriver(sources, deliverer, state, breaker, now_ms, partial(sources_now, config))
    try:
        return await work(redriver)
    finally:
        await deliverer.close()
        if vault is not None:
            vault.store.close()


class _NoInbox:
    """Trying again reads nothing new."""

    async def take(self, limit: int) -> Sequence[Incoming]:
        raise ConfigError(f"no inbox is open here, {limit} messages were asked for")


def _context(config: Config, name: str) -> Context:
    return Context(config.folder, config.member.code, name, SystemClock())


def _config(folder: Path) -> Config:
    try:
        config = load_config(folder)
    except ConfigError as error:
        _fail(str(error))
    if not config.state_path.exists():
        _fail(f"{folder}: never ran; run: alliance connector run {folder}")
    return config


def _state(config: Config) -> State:
    return State(config.state_path, readonly=True)


def _fail(said: str, code: int = CONFIG) -> NoReturn:
    print(said, file=sys.stderr)
    raise typer.Exit(code)
