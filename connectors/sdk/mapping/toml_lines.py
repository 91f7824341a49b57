"""On which line of a TOML file a key stands. `tomllib` reads values and forgets where they were.

Owns the finding only: a text is read by `tomllib` first, and what that takes is walked here. Source of the grammar:
https://toml.io/en/v1.0.0.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Part: TypeAlias = str | int  # a key, or the place in a list, from 0

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")  # also inside lists
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
_TEXT = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:\'{0,2})|' + _QUOTED.pattern, re.DOTALL
)
_PLAIN_VALUE = re.compile(r"[^,\]}#\r\n]*")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)")


class TomlFault(ValueError):
    """The text is no TOML. `line` is where reading stopped, or None at the end of the text."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of one file's keys, tables and list items, from 1. `file` is the name that messages show."""

    file: str
    found: dict[tuple[Part, ...], int] = field(default_factory=dict)

    def line(self, path: Sequence[Part]) -> int | None:
        """The line of a key or, where it is not in the file (a missing key), of the nearest table around it."""
        held = tuple(path)
        while held:
            if held in self.found:
                return self.found[held]
            held = held[:-1]
        return None

    def at(self, path: Sequence[Part]) -> str:
        """File and line as editors understand them: `connector.toml:12`; the file alone where no line is known."""
        line = self.line(path)
        return self.file if line is None else f"{self.file}:{line}"

    def said(self, path: Sequence[Part], what: str) -> str:
        """A refusal: file, line, key and what is to be done about it."""
        key = ".".join(str(part) for part in path)
        return f"{self.at(path)}: {key}: {what}" if key else f"{self.at(path)}: {what}"


def read_toml(path: Path) -> tuple[dict[str, Any], Lines]:
    """The values of a file, and their lines. Raises `OSError`, and `TomlFault` with the line."""
    return parse_toml(path.read_text(encoding="utf-8"), str(path))


def parse_toml(text: str, file: str) -> tuple[dict[str, Any], Lines]:
    """The values of a text, and their lines. Raises `TomlFault`."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        found = _AT_LINE.search(said)
        words = _AT_LINE.sub("", said)
        raise TomlFault(
            f"not TOML: {words[:1].lower()}{words[1:]}; correct that line",
            int(found[1]) if found else None,
        ) from error
    walk = _Walk(text)
    walk.file()
    return values, Lines(file, walk.found)


class _Walk:
    """Goes through a text that is known to be TOML."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[tuple[Part, ...], int] = {}
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._last: dict[tuple[Part, ...], int] = {}  # newest item of each [[list]]

    def file(self) -> None:
        table: tuple[Part, ...] = ()
        self._skip(_BETWEEN)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BETWEEN)

    def _header(self) -> tuple[Part, ...]:
        start = self.at
        item = self.text.startswith("[[", start)
        self.at += 2 if item else 1
        names = self._key()
        self.at += 2 if item else 1
        path: tuple[Part, ...] = ()
        for i, name in enumerate(names):
            path = (*path, name)
            if item and i == len(names) - 1:
                self._note(path, start)
                self._last[path] = self._last.get(path, -1) + 1
            if path in self._last:
                path = (*path, self._last[path])
            self._note(path, start)
        return path

    def _pair(self, table: tuple[Part, ...]) -> None:
        start = self.at
        path = table
        for name in self._key():
            path = (*path, name)
            self._note(path, start)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> list[str]:
        names: list[str] = []
        while True:
            self._skip(_SPACE)
            bare = self.text[self.at] not in "\"'"
            match = (_BARE if bare else _QUOTED).match(self.text, self.at)
            if match is None:
                raise AssertionError(f"no key at {self.at}: tomllib took what is no TOML")
            self.at = match.end()
            names.append(match[0] if bare else tomllib.loads(f"key = {match[0]}")["key"])
            self._skip(_SPACE)
            if self.text[self.at : self.at + 1] != ".":
                return names
            self.at += 1

    def _value(self, path: tuple[Part, ...]) -> None:
        match self.text[self.at]:
            case "[":
                self._list(path)
            case "{":
                self._table(path)
            case '"' | "'":
                self._skip(_TEXT)
            case _:
                self._skip(_PLAIN_VALUE)

    def _list(self, path: tuple[Part, ...]) -> None:
        self.at += 1
        place = 0
        self._skip(_BETWEEN)
        while self.text[self.at] != "]":
            self._note((*path, place), self.at)
            self._value((*path, place))
            place += 1
            self._past_comma()
        self.at += 1

    def _table(self, path: tuple[Part, ...]) -> None:
        self.at += 1
        self._skip(_BETWEEN)
        while self.text[self.at] != "}":
            self._pair(path)
            self._past_comma()
        self.at += 1

    def _past_comma(self) -> None:
        self._skip(_BETWEEN)
        if self.text[self.at] == ",":
            self.at += 1
            self._skip(_BETWEEN)

    def _note(self, path: tuple[Part, ...], start: int) -> None:
        self.found.setdefault(path, bisect_right(self._starts, start))

    def _skip(self, what: re.Pattern[str]) -> None:
        match = what.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
