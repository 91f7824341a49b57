"""Code tables: a campus's words and the alliance's, in a CSV file that offices can edit.

Owns the file's form, the days on which a line holds, and looking up in both directions. Columns: `local` and `alliance`;
if wanted `valid_from` and `valid_to` (days, both included), `preferred` (yes: of several local words this one is written
back) and `note` (for people).
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

WANTED = ("local", "alliance")
KNOWN = (*WANTED, "valid_from", "valid_to", "preferred", "note")
_LONGEST_SHOWN = 120  # characters
_YES = ("yes", "y", "true", "1", "x", "是")
_NO = ("", "no", "n", "false", "0", "否")


class UnknownCode(ValueError):
    """The table has no line for this value on this day."""


@dataclass(frozen=True, slots=True)
class Code:
    """One line of a table. `first` and `last` are days, None without a limit."""

    local: str
    alliance: str
    line: int
    first: date | None = None
    last: date | None = None
    preferred: bool = False

    def holds(self, on: date | None) -> bool:
        """Whether the line counts on that day; without a day only lines without limits do."""
        if self.first is None and self.last is None:
            return True
        if on is None:
            return False
        return (self.first is None or self.first <= on) and (self.last is None or on <= self.last)

    def overlaps(self, other: Code) -> bool:
        """Whether there is a day on which both count."""
        starts = max(self.first or date.min, other.first or date.min)
        return starts <= min(self.last or date.max, other.last or date.max)


@dataclass(frozen=True, slots=True)
class CodeTable:
    """A table, read. `file` is its name in messages (`codes/mode.csv`)."""

    file: str
    rows: Sequence[Code] = ()

    @property
    def dated(self) -> bool:
        """Whether the day matters."""
        return any(row.first or row.last for row in self.rows)

    def by_local(self, normalize: bool = False) -> Mapping[str, Sequence[Code]]:  # noqa: FBT001, FBT002 (a mapping's option)
        """The lines of each local value, in their Unicode compatibility form if wanted."""
        found: dict[str, list[Code]] = {}
        for row in self.rows:
            found.setdefault(folded(row.local) if normalize else row.local, []).append(row)
        return found

    def by_alliance(self) -> Mapping[str, Sequence[Code]]:
        """The lines of each alliance value, those that are preferred first."""
        found: dict[str, list[Code]] = {}
        for row in sorted(self.rows, key=lambda row: not row.preferred):
            found.setdefault(row.alliance, []).append(row)
        return found

    def ambiguous(self) -> Iterator[str]:
        """What cannot be looked up from the alliance's side: values with several local ones and none preferred."""
        for value, rows in self.by_alliance().items():
            chosen = [row for row in rows if row.preferred] or rows
            doubled = [
                row
                for row in chosen
                if any(row.overlaps(other) for other in chosen if other is not row)
            ]
            if doubled:
                said = ", ".join(f"{row.local!r} (line {row.line})" for row in doubled)
                yield (
                    f"{self.file}: {shown(value)} may be {said}; write yes in the column preferred of one of them"
                )


def looked_up(rows: Mapping[str, Sequence[Code]], value: str, on: date | None, file: str) -> Code:
    """The line of a value that counts on a day. Raises `UnknownCode`."""
    found = rows.get(value)
    if found is None:
        raise UnknownCode(f"value {shown(value)} is not in {file}; add a line there")
    for row in found:
        if row.holds(on):
            return row
    day = "without a day" if on is None else f"on {on}"
    lines = " and ".join(str(row.line) for row in found)
    raise UnknownCode(
        f"value {shown(value)} does not hold {day} by line {lines} of {file}; correct its days or add a line"
    )


def code_text(value: Any) -> str:
    """The value as a table's cell has it: as JSON writes it, texts without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        raise ValueError(f"value {shown(value)} is no code; name a path inside it")
    return str(value)


def shown(value: Any) -> str:
    """The value for a message, cut short: a wrong path may hold a whole document."""
    said = repr(value)
    return said if len(said) <= _LONGEST_SHOWN else f"{said[:_LONGEST_SHOWN]}..."


def folded(text: str) -> str:
    """Full-width digits, letters and signs as plain ones (Unicode normalization form KC), no space around.

    Source: https://www.unicode.org/reports/tr15/
    """
    return unicodedata.normalize("NFKC", text).strip()


def read_codes(path: Path) -> tuple[CodeTable, list[str]]:
    """A table and what is wrong with it, each fault with file and line. Raises `OSError`."""
    file = f"{path.parent.name}/{path.name}"
    faults: list[str] = []
    rows: list[Code] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            head = [cell.strip() for cell in next(reader, [])]
            faults += _head_faults(path, head)
            if not faults:
                for cells in reader:
                    if any(cell.strip() for cell in cells):
                        row = _row(path, reader.line_num, head, cells, faults)
                        rows += [row] if row else []
    except UnicodeDecodeError as error:
        faults.append(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8")
    except csv.Error as error:
        faults.append(f"{path}: {error}; correct its quotes")
    faults += _doubles(path, rows)
    return CodeTable(file, tuple(rows)), faults


def _head_faults(path: Path, head: Sequence[str]) -> Iterator[str]:
    for name in WANTED:
        if name not in head:
            yield f"{path}:1: has no column {name!r}; its head is local,alliance"
    for name in head:
        if name not in KNOWN:
            yield f"{path}:1: column {name!r} is not known; write one of {', '.join(KNOWN)}, or note for remarks"
    if len(set(head)) < len(head):
        yield f"{path}:1: a column is there twice; remove one"


def _row(
    path: Path, line: int, head: Sequence[str], cells: Sequence[str], faults: list[str]
) -> Code | None:
    at = f"{path}:{line}"
    if len(cells) != len(head):
        faults.append(
            f"{at}: {len(cells)} cells, wanted {len(head)}; put a value with a comma in double quotes"
        )
        return None
    given = dict(zip(head, cells, strict=True))
    before = len(faults)
    for name in WANTED:
        if not given[name].strip():
            faults.append(f"{at}: {name} is empty; fill it or remove the line")
        elif given[name] != given[name].strip():
            faults.append(f"{at}: {name} {given[name]!r} has spaces around it; remove them")
    first, last = (_day(at, name, given.get(name, ""), faults) for name in KNOWN[2:4])
    if first and last and last < first:
        faults.append(f"{at}: valid_to {last} is before valid_from {first}; exchange them")
    wanted = given.get("preferred", "").strip().lower()
    if wanted not in (*_YES, *_NO):
        faults.append(f"{at}: preferred is {wanted!r}; write yes or nothing")
    if len(faults) > before:
        return None
    return Code(given["local"], given["alliance"], line, first, last, wanted in _YES)


def _day(at: str, name: str, text: str, faults: list[str]) -> date | None:
    if not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        faults.append(f"{at}: {name} {text!r} is no day such as 2026-09-01; correct it")
        return None


def _doubles(path: Path, rows: Sequence[Code]) -> Iterator[str]:
    """Lines that say two things about one local value on one day."""
    known: dict[str, list[Code]] = {}
    for row in rows:
        for other in known.get(row.local, ()):
            if row.overlaps(other):
                same = (row.first, row.last) == (other.first, other.last)
                what = "is there already" if same else "holds on the same days as"
                yield (
                    f"{path}:{row.line}: {row.local!r} {what}{' in' if same else ''} line {other.line}; "
                    + ("remove one" if same else "correct valid_from and valid_to")
                )
                break
        known.setdefault(row.local, []).append(row)
