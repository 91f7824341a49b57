"""The statute's clauses, in `clauses.toml`: what event types are there for."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause in short, in both languages. Nothing can serve one that is `outside`: it is policy."""

    id: str
    en: str
    zh: str
    outside: bool = False


def read_clauses(text: str) -> list[Clause]:
    """The clauses of a file, in its order."""
    return [Clause(**row) for row in tomllib.loads(text)["clause"]]


@cache
def clauses() -> tuple[Clause, ...]:
    """The clauses of this installation."""
    return tuple(read_clauses((files("schemas") / "clauses.toml").read_text(encoding="utf-8")))
