"""Planted bugs: a copy of one module with one line changed, put wherever the hub uses what the module defines."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from hub.events import rules
from hub.ledger.state import Rules
from tests.support import ledger

USERS = ("hub.", "tests.support.ledger")


@dataclass(frozen=True, slots=True)
class Bug:
    """What is wrong, where, and in histories about what it shows."""

    what: str
    module: str
    right: str
    wrong: str
    theme: str


def plant(patch: pytest.MonkeyPatch, bug: Bug) -> None:
    """Make the bug hold in this process until the patch is undone. Fails if the line to change is not there once."""
    module = importlib.import_module(bug.module)
    copies = _copies(module, bug)
    right = rules()
    for user in [user for name, user in sys.modules.items() if name.startswith(USERS)]:
        for name, value in list(vars(user).items()):
            if isinstance(value, FunctionType) and value in copies:
                patch.setattr(user, name, copies[value])
    wrong = Rules(
        {event: copies.get(decide, decide) for event, decide in right.decide.items()},
        {kind: copies.get(act, act) for kind, act in right.overdue.items()},
    )
    patch.setattr(ledger, "rules", lambda: wrong)


def _copies(module: ModuleType, bug: Bug) -> dict[Any, Any]:
    """The module's functions, each with its counterpart in the copy."""
    path = Path(str(module.__file__))
    source = path.read_text(encoding="utf-8")
    if source.count(bug.right) != 1:
        raise AssertionError(
            f"{path} has {bug.right!r} {source.count(bug.right)} times, wanted once; choose another line to spoil"
        )
    copy = ModuleType(bug.module)
    exec(compile(source.replace(bug.right, bug.wrong), path, "exec"), vars(copy))  # noqa: S102  our own source
    return {
        value: vars(copy)[name]
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and value.__module__ == bug.module
    }
