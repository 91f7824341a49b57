"""`alliance connector test`: try the cases of a folder's mappings.

Exit codes: 0 well, 1 a case failed, 2 configuration.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import typer

from connectors.sdk.config import FILE as CONFIG_FILE
from connectors.sdk.contract import ConfigError
from connectors.sdk.mapping.cases import FOLDER, run_cases

FINDINGS, CONFIG = 1, 2


def cases_command(
    folder: Path = typer.Argument(help="Folder with connector.toml.", metavar="DIR"),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Try the cases of mappings: a campus's record, and the event or refusal that must come of it. No network.

    Example: alliance connector test my-campus
    """
    try:
        if not (folder / "mapping").is_dir() and not (folder / CONFIG_FILE).exists():
            raise ConfigError(f"{folder}: has no folder mapping; name a campus's folder")
        report = run_cases(folder)
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(CONFIG) from None
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        for line in report.lines():
            print(line)
        if not report.findings:
            print(f"note: write cases as {folder / FOLDER}/<mapping>/<name>.toml")
    if report.failed:
        raise typer.Exit(FINDINGS)
