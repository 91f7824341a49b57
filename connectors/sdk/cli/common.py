"""What the commands of `alliance connector` share: exit codes, plain errors, the loop that a signal ends."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import structlog
import typer

from connectors.sdk.config import Config, load_config
from connectors.sdk.contract import ConfigError, ConnectorError, NoPermission, Transient

FINDINGS, CONFIG, CONNECTION, PERMISSION = 1, 2, 3, 4

DIR = typer.Argument(help="Folder with connector.toml.", metavar="DIR")
JSON = typer.Option(False, "--json", help="Print JSON.")


def exit_code(error: ConnectorError) -> int:
    """3 no connection, 4 no permission, 2 anything else that a person must change."""
    if isinstance(error, NoPermission):
        return PERMISSION
    return CONNECTION if isinstance(error, Transient) else CONFIG


def fail(error: ConnectorError) -> NoReturn:
    """Say it and end."""
    print(error, file=sys.stderr)
    raise typer.Exit(exit_code(error)) from None


def config_of(folder: Path) -> Config:
    """A folder's configuration, or the end with code 2."""
    try:
        return load_config(folder)
    except ConfigError as error:
        fail(error)


def print_json(value: Any) -> None:
    """One line, for programs."""
    print(json.dumps(value, ensure_ascii=False))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def run_until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run until done, or until SIGTERM or SIGINT asks for the end."""

    async def until_signal() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            return

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(until_signal())


def quiet_logs(level: int) -> None:
    """One JSON line each on standard error; aiokafka's own lines repeat what ours say."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
