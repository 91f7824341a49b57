"""`alliance sandbox`: twenty simulated campuses and a term to lead them through."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import typer

from connectors.sandbox.folders import SandboxError, read_places, write_sandbox
from schemas.members import AllianceFileError, load_alliance

app = typer.Typer(
    help="Simulated campuses, to try connectors, the hub and people on.", no_args_is_help=True
)

FOLDER = typer.Option(Path(".state/sandbox"), "--dir", help="Folder made by init.")


@app.command()
def init(
    out: Path = typer.Option(Path(".state/sandbox"), help="Folder to write."),
    bootstrap: str = typer.Option(
        "127.0.0.1:9092", envvar="ALLIANCE_BOOTSTRAP", help="Broker for the connectors."
    ),
    seed: int = typer.Option(7, help="The same seed gives the same people, courses and decisions."),
    students: int = typer.Option(2000, min=20, help="Students of all campuses together."),
    base_port: int = typer.Option(18700, help="First of the campuses' ports."),
    alliance: Path | None = typer.Option(
        None, envvar="ALLIANCE_FILE", help="alliance.toml; otherwise that in the folder, or here."
    ),
) -> None:
    """Write a database and a connector folder for each member of the alliance."""
    path = alliance or (
        out / "alliance.toml" if (out / "alliance.toml").exists() else Path("alliance.toml")
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        places = write_sandbox(out, load_alliance(path), bootstrap, seed, students, base_port)
    except (SandboxError, AllianceFileError) as error:
        raise _ended(error) from None
    print(
        f"{len(places)} campuses with {students} students in {out}, ports {places[0].port} to {places[-1].port}, seed {seed}"
    )
    missing = [name for name in ("alliance.toml", "keys") if not (out / name).exists()]
    if missing:
        print(
            f"the connectors still need {' and '.join(missing)} in {out}: alliance members keygen"
        )


@app.command()
def campuses(
    folder: Path = FOLDER,
    log_level: str = typer.Option(
        "warning", help="info tells of each batch, as JSON lines on standard error."
    ),
) -> None:
    """Serve all campuses, one port each, until SIGTERM or Ctrl-C."""
    from connectors.sandbox.server import serve

    _log_at(log_level)
    try:
        places = read_places(folder)
        _run(
            serve(
                places,
                lambda: print(
                    f"{len(places)} campuses answer on ports {places[0].port} to {places[-1].port}",
                    flush=True,
                ),
            )
        )
    except (SandboxError, FileNotFoundError) as error:
        raise _ended(error) from None


@app.command()
def term(
    folder: Path = FOLDER,
    json_lines: bool = typer.Option(False, "--json-lines", help="Print progress as JSON lines."),
    until: str = typer.Option("", help="Stop after this phase."),
    limit_s: float = typer.Option(300, help="Seconds a phase may take to settle."),
) -> None:
    """Lead all campuses through one term; phases done before are skipped."""
    from connectors.sandbox.term import NotSettled, run_term, shown_as_bar, shown_as_lines

    try:
        places = read_places(folder)
        with shown_as_lines() if json_lines else shown_as_bar() as show:
            asyncio.run(run_term(places, show, until=until or None, limit_s=limit_s))
    except (SandboxError, NotSettled) as error:
        raise _ended(error) from None


def _ended(error: Exception) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(1)


def _log_at(level: str) -> None:
    import logging

    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping().get(level.upper(), logging.WARNING)
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)


if __name__ == "__main__":
    app(prog_name="alliance sandbox")
