"""`alliance verify`: the checks of `hub.verify`, as they are, under the one command.

Their own command line takes the arguments: it needs nothing but the standard library, so that it can be installed alone.
"""

from __future__ import annotations

from collections.abc import Callable

import typer

from hub.verify.cli import COMMANDS, main
from hub.verify.outcome import MEANING

app = typer.Typer(
    help="Verify the ledger with public keys alone: receipts, copies, recomputation, erasure.",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in MEANING.items()),
    no_args_is_help=True,
)
_AS_THEY_ARE = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _passed_on(name: str) -> Callable[[typer.Context], None]:
    def check(context: typer.Context) -> None:
        raise typer.Exit(main([name, *context.args], "alliance verify"))

    return check


for _name, _command in COMMANDS.items():
    app.command(_name, help=_command.help, context_settings=_AS_THEY_ARE, add_help_option=False)(
        _passed_on(_name)
    )
