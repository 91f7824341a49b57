"""The one command, `alliance`. Finds its subcommands by entry point and imports each only when called.

So neither `hub` nor `connectors` imports the other to offer one command, and a campus that installed without the
extra `hub` gets a sentence instead of a stack trace.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points, version
from typing import Any

import typer
from typer.core import TyperGroup

from hub.errors import HubError

_HELP = {
    "alerts": "Alerts: what is wrong and who was told; try notifiers, silence what is known.",
    "bench": "Measure the path of value against a plain Faust agent.",
    "broker": "A real Kafka on this machine, without Docker.",
    "cases": "Open cases by who acts next, and for how long.",
    "catalogue": "Event types: who may state what, why it is refused, which clause it serves.",
    "connector": "Run and look after a campus's connector.",
    "console": "API and operators' console.",
    "demo": "One term of the alliance, end to end.",
    "erase": "Destroy a student's keys, so that nobody can read the private parts any more.",
    "ledger": "Look at the ledger and verify it.",
    "members": "Members of the alliance and their keys.",
    "period": "Periods of the ledger: list and close them.",
    "reconcile": "Compare every campus database with the ledger.",
    "rules": "Rules of recognition: check, try, explain, compare with the past.",
    "run": "Run a part of the hub as a process.",
    "sandbox": "Simulated campuses for demo, tests and training.",
    "schemas": "Event types and their schemas.",
    "statement": "Statements of account between two members.",
    "topics": "Plan and create the topics.",
    "up": "The whole alliance on this machine, to try a connector on.",
    "verify": "Check the ledger with public keys alone, trusting nobody.",
}


class Commands(TyperGroup):
    """Subcommands of the entry-point group `alliance.commands`."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # Typer vendors Click untyped
        return sorted({point.name for point in entry_points(group="alliance.commands")})

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # the same
        points = [
            point for point in entry_points(group="alliance.commands") if point.name == cmd_name
        ]
        if not points:
            return None
        try:
            app: Any = points[0].load()
        except ModuleNotFoundError as error:
            print(
                f"alliance: `alliance {cmd_name}` needs {error.name}, which is not installed; "
                "run: pip install 'alliance-hub[hub,sandbox]'",
                file=sys.stderr,
            )
            sys.exit(2)
        command = typer.main.get_group(app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _HELP.get(name, "")) for name in self.list_commands(ctx)])


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def alliance(
    show_version: bool = typer.Option(False, "--version", help="Print the version and end."),
) -> None:
    """Alliance Hub: signed events between universities, one ledger all can verify."""
    if show_version:
        print(f"alliance-hub {version('alliance-hub')}")
        raise typer.Exit


def main() -> None:
    """Run the command; our own errors are a sentence and exit code 1, never a stack trace."""
    import logging

    from schemas.catalogue import CatalogueError
    from schemas.members import AllianceFileError

    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # its retries are not news
    try:
        app(prog_name="alliance")
    except (HubError, AllianceFileError, CatalogueError) as error:
        print(f"alliance: {error}", file=sys.stderr)
        sys.exit(1)
