"""How far a reading got, as the text that is stored with each page. Pure.

The text begins with a word for people: the safe cursor, or `sweep` for a collection. What follows is for the next
reading. A word alone, as a person writes it, begins a reading there and remembers nothing, so all is told again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from connectors.http_poll.cursors import CursorTable, Mark, read
from connectors.http_poll.paging import Position
from connectors.sdk.changes import digest

START = "start"  # of a collection, no sweep under way


@dataclass(frozen=True, slots=True)
class Sweep:
    """One reading of a list, under way when `since` is set.

    `at`: everything up to it is taken; `seen`: what is remembered, with its cursor value; `since`: what was asked for;
    `started`: when, in milliseconds; `top`: the highest value met; `position`: of the next page; `tail`: which records the
    page before ended with.
    """

    at: str
    seen: Mapping[str, str] = field(default_factory=dict)
    since: str | None = None
    started: int = 0
    top: str = ""
    position: Position = None
    tail: Sequence[str] = ()

    def text(self) -> str:
        """The text to store."""
        if self.since is None and not self.seen and not any(map(str.isspace, self.at)):
            return self.at
        facts: dict[str, Any] = {"at": self.at, "seen": dict(self.seen)}
        if self.since is not None:
            facts |= {
                "since": self.since, "started": self.started, "top": self.top, "position": self.position,
                "tail": list(self.tail),
            }  # fmt: skip
        word = "_".join(self.at.split()) or "-"
        return (
            f"{word} {json.dumps(facts, separators=(',', ':'), ensure_ascii=False, sort_keys=True)}"
        )

    def anew(self) -> Sweep:
        """The same reading from its first page."""
        return replace(self, position=None, tail=())


def sweep_of(text: str) -> Sweep:
    """The reading that a text tells of."""
    _, _, rest = text.partition(" ")
    if rest.startswith("{"):
        try:
            return Sweep(**json.loads(rest))
        except (ValueError, TypeError):
            pass  # a person's text that merely looks like ours
    return Sweep(text)


def identity(record: Any, id: Any, value: str) -> str:
    """Under what a change is remembered: its id and cursor value, or without an id its contents. 72 bits in hex."""
    return digest(record if id is None else [str(id), value]).hex()[:18]


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a page: its cursor value and what it is remembered by."""

    mark: Mark
    identity: str
    number: int  # in its answer, from 1
    data: Any


def unread(names: Sequence[str], tail: Sequence[str]) -> int | None:
    """Of a page that overlaps the one before, the first record that was not in it.

    Lists lose records while they are read, and move up. None: no record of the page before is met, so there may be some
    between the two that nobody has read.
    """
    for known in reversed(tail):
        if known in names:
            return len(names) - list(reversed(names)).index(known)
    return None


def by_value(rows: Sequence[Row], since: Mark, *, more: bool) -> tuple[Sequence[Row], Mark | None]:
    """Without paging, what of an answer may be taken, and from which value to ask on; None after the last answer.

    A page may end between changes of one value. An API that lists changes *from* a value repeats them; one that lists
    changes *after* it never would, so the last value's changes are left for the next answer. Raises `ValueError` when
    that leads nowhere.
    """
    if not more:
        return rows, None
    if any(later.mark < earlier.mark for earlier, later in pairwise(rows)):
        raise ValueError(
            "changes are not in the order of their cursor, yet there is more; have them ordered"
        )
    repeats = any(row.mark == since for row in rows)
    kept = rows if repeats else [row for row in rows if row.mark < rows[-1].mark]
    if not kept or kept[-1].mark <= since:
        raise ValueError(
            f"says there is more, but {len(rows)} changes have no two values after {since.text}; "
            "raise the page size in params, or write paging"
        )
    return kept, kept[-1].mark


def remembered(seen: Mapping[str, str], first: Mark, table: CursorTable) -> dict[str, str]:
    """What the next reading may meet again, from a value on: the newest `remember` of it.

    What is dropped beyond that is told once more and answered `duplicate`; nothing is lost.
    """
    marks = {name: read(value, table.format) for name, value in seen.items()}
    kept = sorted(
        (name for name, mark in marks.items() if mark >= first),
        key=lambda name: (marks[name].order, name),
    )
    return {name: seen[name] for name in kept[len(kept) - min(len(kept), table.remember) :]}
