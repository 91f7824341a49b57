"""The command `alliance` as it is registered, to hold command lines in documents and in the compose file against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from hub.cli import app


def fault(words: Sequence[str], *, whole: bool = False) -> str | None:
    """What is wrong with `alliance <words>`, or None.

    Without `whole`, arguments and required options may be left out, as prose does. With it, the line must parse as it
    stands. Nothing is run.
    """
    command: Any = typer.main.get_command(app)
    context: Any = command.make_context("alliance", [], resilient_parsing=True)
    rest = list(words)
    while rest and hasattr(command, "get_command"):
        if rest[0].startswith("-") or not command.list_commands(context):
            break  # an option, or an argument of a command that has no subcommands
        found = command.get_command(context, rest[0])
        if found is None:
            return f"alliance {' '.join(words)}: {command.name or 'alliance'} has no command {rest[0]!r}"
        command = found
        context = command.make_context(
            rest.pop(0), [], parent=context, resilient_parsing=True, allow_extra_args=True
        )
    return _parse_fault(command, rest) if whole else _options_fault(command, words, rest)


def _options_fault(command: Any, words: Sequence[str], rest: list[str]) -> str | None:
    known = {
        name: parameter
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help": None, "-h": None}
    takes_argument = any(parameter.param_type_name == "argument" for parameter in command.params)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            name = word.split("=")[0]
            if name not in known:
                return f"alliance {' '.join(words)}: {command.name} has no option {name}"
            option = known[name]
            if option is not None and not option.is_flag and "=" not in word and rest:
                rest.pop(0)
        elif not takes_argument:
            return f"alliance {' '.join(words)}: {command.name} takes no {word!r}"
    return None


def _parse_fault(command: Any, rest: list[str]) -> str | None:
    try:
        command.make_context(command.name, rest)
    except Exception as error:  # noqa: BLE001 - the parser's own errors have no public base class in Typer
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        return f"{command.name} {' '.join(rest)}: {said}"
    return None
