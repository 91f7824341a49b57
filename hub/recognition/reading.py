"""Tables of TOML read into values, with findings instead of exceptions: people want all that is wrong at once.

A reader returns a value in any case; whoever builds something of it looks at `failed` first. What is absent is None
without a finding, because `table` reports it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from hub.domain.quantities import MILLI
from hub.recognition.lines import (
    MOST_NESTED,
    MOST_PARTS,
    Lines,
    Path,
    deep_line,
    line_of,
    nested,
    scan,
)

ERROR, WARNING = "error", "warning"
OWN = r"x-[a-z0-9_-]+"
BIGGEST = 999_999  # whole part of a number: the schemas' decimals have nine digits, three of them decimals

T = TypeVar("T")
Table = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is error or warning; `line` counts from 1 and is None where it is not certain."""

    level: str
    line: int | None
    where: str
    message: str

    def __str__(self) -> str:
        line = "" if self.line is None else f"line {self.line}: "
        return f"{line}{self.level}: {self.where}: {self.message}"


class Misfit(ValueError):
    """One value is not what is wanted. The message names found, wanted, next step."""


@dataclass(slots=True)
class Reader:
    """`whole_name` is what a path of no keys is called."""

    whole_name: str
    lines: Lines = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return any(finding.level == ERROR for finding in self.findings)

    def say(self, path: Path, message: str, level: str = ERROR) -> None:
        self.findings.append(Finding(level, line_of(self.lines, path), self.where(path), message))

    def where(self, path: Path) -> str:
        """`("rule", 2, "when", "passed")` as `rule 3, when.passed`."""
        if len(path) > 1 and isinstance(path[1], int):
            inner = ".".join(map(str, path[2:]))
            return f"{path[0]} {path[1] + 1}{', ' if inner else ''}{inner}"
        return ".".join(map(str, path)) or self.whole_name

    def sorted_findings(self) -> list[Finding]:
        return sorted(self.findings, key=lambda finding: finding.line or 0)

    def document(self, text: str, limit_bytes: int) -> Table | None:
        """The text as TOML, or None and a finding."""
        size = len(text.encode(errors="surrogatepass"))
        if size > limit_bytes:
            self.say((), f"{size} bytes, at most {limit_bytes} are allowed; shorten it")
            return None
        if text.startswith("\ufeff"):
            self.say((), "starts with a byte order mark; save it as UTF-8 without one")
            return None
        if deep := deep_line(text):
            said = f"a key of more than {MOST_PARTS} parts joined by dots; correct that line"
            self.findings.append(Finding(ERROR, deep, self.whole_name, said))
            return None
        if nested(text) > MOST_NESTED:
            self.say(
                (), f"brackets stand more than {MOST_NESTED} deep; rules need no more than three"
            )
            return None
        try:
            document = tomllib.loads(text, parse_float=Decimal)
        except ValueError as error:  # also integers of thousands of digits
            said = re.sub(r" \(at .*\)$", "", str(error))
            line = re.search(r"\(at line (\d+)", str(error))
            message = f"is not TOML: {said}; correct that place, https://toml.io tells how"
            self.findings.append(
                Finding(ERROR, int(line[1]) if line else None, self.whole_name, message)
            )
            return None
        self.lines = scan(text, document)
        return document

    def table(
        self,
        parent: Table,
        path: Path,
        required: Sequence[str],
        optional: Sequence[str] = (),
        noun: str = "key",
    ) -> Table:
        """The table at the last key of `path`; empty if absent or none."""
        value = parent.get(str(path[-1]), {}) if path else parent
        if not isinstance(value, dict):
            self.say(path, f"found {shown(value)}, wanted a table; write {path[-1]} = {{ ... }}")
            return {}
        if not path or str(path[-1]) in parent:
            self.keys(path, value, required, optional, noun)
        return value

    def keys(
        self,
        path: Path,
        table: Table,
        required: Sequence[str],
        optional: Sequence[str] = (),
        noun: str = "key",
    ) -> None:
        """Whether a table has what it must have, and nothing else."""
        known = (*required, *optional)
        for key in table:
            if key not in known:
                said = f"unknown {noun}; known here: {', '.join(known)}; correct or remove it"
                self.say((*path, key), said)
        for key in required:
            if key not in table:
                self.say(path, f"{key} is missing; add it")

    def rows(self, parent: Table, key: str) -> Sequence[Table]:
        """The tables of a list [[key]]; empty, with a finding, if there are none."""
        value = parent.get(key)
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            return value
        if key in parent:
            self.say((key,), f"found {shown(value)}, wanted a list of tables; write [[{key}]]")
        return ()

    def value(self, table: Table, path: Path, read: Callable[[object], T]) -> T | None:
        """The last key of `path` by `read`, which raises `Misfit`."""
        key = str(path[-1])
        if key not in table:
            return None
        try:
            return read(table[key])
        except Misfit as error:
            self.say(path, str(error))
            return None


def shown(value: object) -> str:
    """A value as it may stand in a message, however long or deep."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:60] + "…")
    if isinstance(value, int):
        return str(value) if abs(value) <= 10**12 else "a very large number"
    if isinstance(value, Decimal):
        return str(value)[:60]
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return "a date or time"


def plain_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Misfit(f"found {shown(value)}, wanted a text; put it in quotes")
    return value


def matching(pattern: str, wanted: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise Misfit(f"found {shown(value)}, wanted {wanted}; correct it")
        return value

    return read


def one_of(options: Sequence[str], *, own: bool = False) -> Callable[[object], str]:
    """Reads one of the words, or with `own` a university's own word x-..."""
    wanted = f"one of {', '.join(options)}{' or x-...' if own else ''}"
    return matching("|".join((*options, OWN) if own else options), wanted)


def truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise Misfit(f"found {shown(value)}, wanted true or false without quotes; correct it")
    return value


def amount(low_milli: int, wanted: str) -> Callable[[object], int]:
    """Reads thousandths, not below `low_milli`."""

    def read(value: object) -> int:
        milli = thousandths(value)
        if milli < low_milli:
            raise Misfit(f"found {shown(value)}, wanted {wanted}; raise it")
        return milli

    return read


def count(low: int, high: int = BIGGEST) -> Callable[[object], int]:
    """Reads whole numbers from `low` to `high`."""

    def read(value: object) -> int:
        number = whole_number(value)
        if not low <= number <= high:
            raise Misfit(f"found {shown(value)}, wanted {low} to {high}; correct it")
        return number

    return read


def whole_number(value: object) -> int:
    number, rest = divmod(thousandths(value), MILLI)
    if rest:
        raise Misfit(f"found {shown(value)}, wanted a whole number; round it")
    return number


def thousandths(value: object) -> int:
    """A TOML number, or one in quotes, in thousandths. By its digits: nothing is rounded, no exponent is worked out."""
    is_number = isinstance(value, str | int | Decimal) and not isinstance(value, bool)
    short = is_number and not (isinstance(value, int) and abs(value) > BIGGEST)
    found = re.fullmatch(r"(-?)([0-9]+)(?:\.([0-9]+))?", str(value).strip()) if short else None
    if is_number and (not short or (found and len(found[2].lstrip("0")) > len(str(BIGGEST)))):
        raise Misfit(f"found {shown(value)}, wanted a number of at most {BIGGEST}; correct it")
    if not found:
        raise Misfit(f'found {shown(value)}, wanted a number like 2 or "2.5"; correct it')
    decimals = (found[3] or "").rstrip("0")
    if len(decimals) > 3:
        raise Misfit(
            f"found {shown(value)}, which has more than 3 decimals; round it to thousandths"
        )
    milli = int(found[2]) * MILLI + int(decimals.ljust(3, "0"))
    return -milli if found[1] else milli
