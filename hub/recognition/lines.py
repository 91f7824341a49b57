"""Where a key stands in TOML text. tomllib does not tell, and a finding without a line is hard to use.

A scan for headers and keys at the start of a line, not a second parser: if anything it found is not in the parsed
document, or the text has strings over several lines, it says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]  # keys, and places in lists from 0
Lines: TypeAlias = dict[Path, int]

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""
_KEYS = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_KEYS})[ \t]*\]\]?[ \t\r]*(?:#.*)?")
MOST_NESTED = 60  # brackets; rules need three
MOST_PARTS = 20  # of a key; the longest that means anything has four
_DEEP = re.compile(rf"[ \t\[]*{_PART}(?:[ \t]*\.[ \t]*{_PART}){{{MOST_PARTS}}}")
_KEY = re.compile(rf"[ \t]*({_KEYS})[ \t]*=")


def scan(text: str, document: Mapping[str, object]) -> Lines:
    """The line of each header and key, from 1; nothing if the scan and the parsed document disagree."""
    if '"""' in text or "'''" in text:
        return {}
    found: Lines = {}
    newest: dict[Path, int] = {}  # list of tables -> place of the last one so far
    table: Path = ()
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.fullmatch(line):
            table = _table(_parts(header[2]), newest, adds=header[1] == "[[")
            found.setdefault(table, number)
            found.setdefault(table[:-1] if header[1] == "[[" else table, number)  # the list, too
        elif key := _KEY.match(line):
            for path in accumulate(_parts(key[1]), lambda path, part: (*path, part), initial=table):
                found.setdefault(path, number)
    found.pop((), None)
    return found if all(_is_there(document, path) for path in found) else {}


def deep_line(text: str) -> int | None:
    """The first line with a key of too many parts: tomllib takes seconds for one of thousands."""
    return next((n for n, line in enumerate(text.split("\n"), 1) if _DEEP.match(line)), None)


def nested(text: str) -> int:
    """How deep brackets stand, those in texts and comments counted too.

    tomllib gives up at a depth that hangs on who calls it, and every reader of the ledger must find the same.
    """
    depth = deepest = 0
    for sign in text:
        depth = max(0, depth + (sign in "[{") - (sign in "]}"))
        deepest = max(deepest, depth)
    return deepest


def line_of(lines: Lines, path: Path) -> int | None:
    """The line of the key, or of the nearest table around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _parts(keys: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, keys)]


def _table(keys: list[str], newest: dict[Path, int], *, adds: bool) -> Path:
    path: Path = ()
    for depth, key in enumerate(keys, 1):
        path = (*path, key)
        if adds and depth == len(keys):
            newest[path] = newest.get(path, -1) + 1
        if path in newest:
            path = (*path, newest[path])
    return path


def _is_there(document: object, path: Path) -> bool:
    for part in path:
        try:
            document = document[part]  # type: ignore[index]  # what cannot be indexed raises
        except (KeyError, IndexError, TypeError):
            return False
    return True
