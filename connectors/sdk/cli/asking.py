"""Asking a connector for something from another process: through its state file, where it runs, else on the file itself.

Owns the choice between the two. A connector that runs answers within a second or two; one that does not is changed under its
folder's lock, so that it cannot start meanwhile.
"""

from __future__ import annotations

import getpass
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from connectors.sdk.clock import SystemClock
from connectors.sdk.config import Config
from connectors.sdk.contract import ConfigError
from connectors.sdk.runtime import backfiller
from connectors.sdk.runtime.control import move_cursor
from connectors.sdk.runtime.host import FolderLock, is_running
from connectors.sdk.state.commands import Command, Wanted
from connectors.sdk.state.file import State
from schemas import envelope

WAIT_S = 10.0
_LOOK_S = 0.1

Offline = Callable[[State, Mapping[str, Any]], dict[str, Any]]


def ask(
    config: Config, verb: str, args: Mapping[str, Any], *, why: str = "", wait_s: float = WAIT_S, offline: Offline | None = None,
    by: str = "",
) -> Command:  # fmt: skip
    """Have a verb carried out. The command, with its outcome unless that did not come within `wait_s` (0: do not wait).

    `offline` does it where the connector does not run; None: it must run. Raises `ConnectorError`.
    """
    now = envelope.to_millis(SystemClock().now())
    command = Command(str(uuid.uuid4()), verb, args, by or user(), why, now)
    if not config.state_path.exists():
        raise ConfigError(
            f"{config.folder}: never ran; run: alliance connector run {config.folder}"
        )
    if is_running(config):
        with closing(State(config.state_path)) as state:
            state.commands.write(command)
            return _answered(state, command, wait_s)
    if offline is None:
        raise ConfigError(
            f"{config.folder}: does not run, so there is nothing to {verb}; run: alliance connector run {config.folder}"
        )
    with locked(config), closing(State(config.state_path)) as state:
        given = {**args, "command": command.id, "by": command.by, "why": why}
        answer = offline(state, given)
        done = replace(command, taken_at=now, done_at=now, outcome="done", answer=answer)
        state.commands.write(done)
        return done


def user() -> str:
    """Who is logged in."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without names
        return "unknown"


def _answered(state: State, command: Command, wait_s: float) -> Command:
    until = time.monotonic() + wait_s
    while True:
        found = state.commands.get(command.id) or command
        if found.outcome is not None or time.monotonic() >= until:
            return found
        time.sleep(_LOOK_S)


@contextmanager
def locked(config: Config) -> Iterator[None]:
    """The folder, while nobody runs its connector."""
    lock = FolderLock(config)
    try:
        yield
    finally:
        lock.release()


# What can be done without the connector -----------------------------------------------------------------------------


def part_names(config: Config) -> list[str]:
    """The parts of a connector, in the order of connector.toml."""
    return [
        *(f"source.{source.name}" for source in config.sources),
        *(f"sink.{sink.name}" for sink in config.sinks),
    ]


def _meant(config: Config, args: Mapping[str, Any]) -> list[str]:
    wanted = args.get("part")
    found = [name for name in part_names(config) if wanted in (None, name)]
    if not found:
        raise ConfigError(f"no part {wanted!r}; write one of {', '.join(part_names(config))}")
    return found


def holds(config: Config, how: str) -> Offline:
    """Pause or stop parts from their next start on."""

    def offline(state: State, args: Mapping[str, Any]) -> dict[str, Any]:
        names = _meant(config, args)
        now = envelope.to_millis(SystemClock().now())
        state.commands.want([Wanted(name, how, args["by"], args["why"], now) for name in names])
        return {"brief": f"{', '.join(names)} {how} from the next start on", "settled": True}

    return offline


def lets_go(config: Config) -> Offline:
    """Let parts run from their next start on."""

    def offline(state: State, args: Mapping[str, Any]) -> dict[str, Any]:
        names = _meant(config, args)
        state.commands.want_running(names)
        return {"brief": f"{', '.join(names)} will run from the next start on"}

    return offline


def moves_cursor(state: State, args: Mapping[str, Any]) -> dict[str, Any]:
    """Set, reset or undo a cursor."""
    now = envelope.to_millis(SystemClock().now())
    return move_cursor(state.commands, state.cursor, args, now)


def orders_backfill(state: State, args: Mapping[str, Any]) -> dict[str, Any]:
    """Start, pause, resume or stop a backfill; it goes on when the connector runs."""
    now = envelope.to_millis(SystemClock().now())
    return backfiller.order(state, str(args["source"]), args, now)


def source_named(config: Config, name: str) -> Any:
    """A source's configuration. Raises `ConfigError` when there is none of that name."""
    for source in config.sources:
        if source.name == name.removeprefix("source."):
            return source
    names = ", ".join(source.name for source in config.sources) or "none"
    raise ConfigError(f"no source {name!r}; this connector has {names}")
