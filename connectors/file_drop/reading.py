"""One spooled file, read in pieces small enough to leave the event loop free: checked whole first, then told in pages.

Plain functions over a file of ours; each is called in a thread. Nothing here moves a file or remembers one.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from connectors.file_drop.options import DropOptions
from connectors.file_drop.rows import BadFile, Layout, Row, layout_of, rows
from connectors.sdk.contract import Item, Permanent
from connectors.sdk.memory import Comparison, Found, Listed, Todo, Twice

_ROWS_AT_ONCE = 5_000  # checked in one go, in some 20 ms


def sha256_of(path: Path) -> str:
    """The hash of a file's contents, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def layout_in(path: Path, options: DropOptions) -> Layout:
    """What the head of a file says. Raises `BadFile`."""
    with path.open("rb") as stream:
        return layout_of(stream, options.format, options.key, options.compare_without)


def rows_in(path: Path, layout: Layout, offset: int, line: int, count: int) -> list[Row]:
    """At most so many rows from that byte on. Raises `BadFile`."""
    with path.open("rb") as stream:
        return list(islice(rows(stream, layout, offset, line), count))


def rows_at(path: Path, layout: Layout, found: Sequence[Todo]) -> list[Row | None]:
    """The rows that stand at those places; None for a record that is gone."""
    out: list[Row | None] = []
    with path.open("rb") as stream:
        for one in found:
            if one.key is not None and not one.hash:
                out.append(None)
                continue
            stream.seek(one.start)
            alone = io.BytesIO(stream.read(one.stop - one.start))
            out.append(next(rows(alone, layout, 0, one.line - 1, one.start)))
    return out


def unreadable(row: Row, origin: str, fault: str) -> Item:
    """A row that cannot be read, to be parked with its texts and the reason."""
    said = Permanent(fault, f"a row that cannot be read: {fault}", code="READ")
    return Item({"cells": list(row.cells)}, origin, fault=said)


class Check:
    """Reads a file whole before any of it is told. With a `comparison` its rows are put there."""

    def __init__(self, path: Path, options: DropOptions, comparison: Comparison | None) -> None:
        self._path = path
        self._options = options
        self._comparison = comparison
        self._layout: Layout | None = None
        self._offset = self._line = 0
        self._first_fault = ""
        self.rows = 0
        self.bad = 0

    @property
    def layout(self) -> Layout:
        """What the file's head says, once a step was taken."""
        if self._layout is None:
            self._layout = layout_in(self._path, self._options)
            self._offset, self._line = self._layout.start, self._layout.line
        return self._layout

    def step(self) -> bool:
        """Some more rows; whether these were the last. Raises `BadFile`."""
        layout = self.layout
        found = rows_in(self._path, layout, self._offset, self._line, _ROWS_AT_ONCE)
        listed = []
        for row in found:
            key = layout.key_of(row) if self._options.key and not row.fault else ""
            if row.fault or key is None:
                self._note(row)
            elif self._comparison is not None:
                listed.append(Listed(key, layout.hash_of(row), row.line, row.start, row.end))
        self._compare(listed)
        self.rows += len(found)
        if len(found) < _ROWS_AT_ONCE:
            self._judge()
            return True
        self._offset, self._line = found[-1].end, found[-1].last
        return False

    def _note(self, row: Row) -> None:
        fault = (
            row.fault or f"line {row.line} has no {', '.join(self._options.key)}; correct the row"
        )
        self._first_fault = self._first_fault or fault
        self.bad += 1
        if self._comparison is not None:
            self._comparison.add_unreadable(row.line, row.start, row.end, fault)

    def _compare(self, listed: Sequence[Listed]) -> None:
        if self._comparison is not None:
            try:
                self._comparison.add(listed)
            except Twice as error:
                raise BadFile(f"{error}; correct key, or the export") from None

    def _judge(self) -> None:
        if self.bad > self._options.max_bad_rows * self.rows:
            raise BadFile(
                f"{self.bad} of {self.rows} rows cannot be read, at most {self._options.max_bad_rows:.1%} may; "
                f"the first: {self._first_fault}"
            )


def guarded(options: DropOptions, rows_found: int, found: Found) -> None:
    """Whether a full export may be true. Raises `BadFile` when a person must say so."""
    guard = options.guard
    if rows_found < guard.min_rows:
        raise BadFile(f"{rows_found} rows, wanted at least {guard.min_rows} (guard.min_rows)")
    if found.gone > guard.max_delete * found.before:
        raise BadFile(
            f"{found.gone} of {found.before} keys that were published are gone, at most "
            f"{guard.max_delete:.1%} may (guard.max_delete)"
        )
