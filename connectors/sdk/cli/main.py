"""`alliance connector`: begin, try, run, watch and lead the connector of a campus folder.

Exit codes: 0 well, 1 findings, 2 configuration, 3 no connection, 4 no permission.
"""

from __future__ import annotations

import logging
import random
from pathlib import Path

import typer

from connectors.sdk.cli import cases as cases_cli
from connectors.sdk.cli import conformance as conformance_cli
from connectors.sdk.cli import control as control_cli
from connectors.sdk.cli import key as key_cli
from connectors.sdk.cli import parked as parked_cli
from connectors.sdk.cli import start as start_cli
from connectors.sdk.cli import status as status_cli
from connectors.sdk.cli import try_out as try_cli
from connectors.sdk.cli.common import config_of, fail, quiet_logs, run_until_signal
from connectors.sdk.clock import SystemClock
from connectors.sdk.contract import ConfigError
from connectors.sdk.runtime.host import folders, host

app = typer.Typer(help="Connect a campus by configuration.", no_args_is_help=True)
start_cli.register(app)
try_cli.register(app)
app.command("test")(cases_cli.cases_command)
app.command("conformance")(conformance_cli.conformance_command)


@app.command("run")
def run_command(
    dirs: list[Path] = typer.Argument(help="Folders, or a folder of folders.", metavar="DIR..."),
    quiet: bool = typer.Option(False, "--quiet", help="Log only what is wrong."),
) -> None:
    """Run the connectors of these folders in one process, until SIGTERM.

    Example: alliance connector run my-campus
    """
    quiet_logs(logging.WARNING if quiet else logging.INFO)
    configs = [config_of(folder) for folder in folders(dirs)]
    try:
        run_until_signal(host(configs, SystemClock(), random.Random()))  # noqa: S311, jitter, not secrets
    except ConfigError as error:
        fail(error)


status_cli.register(app)
control_cli.register(app)
app.add_typer(parked_cli.app, name="parked")
app.add_typer(key_cli.app, name="key")
