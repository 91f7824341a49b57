"""From the bytes of a file to rows: lines, encodings, CSV and JSON Lines. Pure over a stream, and strict.

Owns what makes a file unreadable (`BadFile`) and what makes one row so (`Row.fault`). No message holds a value of the
file, only lines, bytes and names of columns: messages leave the campus.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from connectors.file_drop.options import Format
from connectors.sdk import changes

# What may stand at the very start of a text, by https://www.unicode.org/faq/utf_bom.html
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\x84\x31\x95\x33": "gb18030",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_FEED = 10  # the byte at which a line ends


class BadFile(Exception):
    """A file that must not be taken. `cut`: it ended too early, so more of it may come."""

    def __init__(self, message: str, *, cut: bool = False) -> None:
        super().__init__(message)
        self.cut = cut


@dataclass(frozen=True, slots=True)
class Row:
    """One row. It takes the bytes from `start` up to `end`, and the lines from `line` to `last`, counted from 1.

    `cells` are the texts of a CSV row, `data` what the mapping is to see. With a `fault` the row cannot be read.
    """

    line: int
    last: int
    start: int
    end: int
    cells: Sequence[str]
    data: Any
    fault: str = ""


class _Lines:
    """Decoded lines of a stream; `offset` and `line` say what was taken so far."""

    def __init__(self, stream: BinaryIO, form: Format, offset: int, line: int) -> None:
        self._stream = stream
        self._limit = form.line_bytes
        self._encoding = "utf-8" if form.encoding == "utf-8-sig" else form.encoding
        self.offset = offset
        self.line = line
        self.ended = True  # whether the last line taken had its line feed

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._stream.readline(self._limit + 1)
        if not raw:
            raise StopIteration
        self.line += 1
        self.ended = raw[-1] == _FEED
        if len(raw) > self._limit:
            raise BadFile(
                f"line {self.line} is longer than {self._limit} bytes; correct the export, or raise format.line_bytes"
            )
        if 0 in raw:
            at = self.offset + raw.index(0)
            raise BadFile(
                f"line {self.line}, byte {at}: a NUL; the file is damaged or in UTF-16, export it anew as text"
            )
        try:
            text = raw.decode(self._encoding)
        except UnicodeDecodeError as error:
            self._undecodable(raw, error)
        self.offset += len(raw)
        return text

    def _undecodable(self, raw: bytes, error: UnicodeDecodeError) -> NoReturn:
        at = f"line {self.line}, byte {self.offset + error.start}"
        if not self.ended and error.end == len(raw):
            raise BadFile(
                f"{at}: the file ends inside a character: half-written, deliver it anew", cut=True
            ) from None
        raise BadFile(
            f"{at}: is not {self._encoding}; correct format.encoding, or the export"
        ) from None


@dataclass(frozen=True, slots=True)
class Layout:
    """A format with what a file's head says: its columns, and where its rows begin (byte and lines before)."""

    form: Format
    columns: tuple[str, ...]
    key: tuple[int, ...]  # places of the key's columns
    names: tuple[str, ...]  # of the key's columns
    compared: tuple[int, ...]  # places of the columns that count as contents, by name
    without: frozenset[str]
    seed: Any  # a hash that has seen the names of the compared columns
    start: int
    line: int

    def key_of(self, row: Row) -> str | None:
        """The row's key as one text; None when a part of it is missing."""
        if self.form.type == "csv":
            parts = [row.cells[place] for place in self.key]
            if any(not part or part in self.form.null for part in parts):
                return None
        else:
            found = [row.data.get(name) for name in self.names]
            if any(part in (None, "") or isinstance(part, (bool, dict, list)) for part in found):
                return None
            parts = [str(part) for part in found]
        return parts[0] if len(parts) == 1 else json.dumps(parts, ensure_ascii=False)

    def of_key(self, key: str) -> dict[str, str]:
        """What is still known of a row that is gone: the columns of its key."""
        parts = [key] if len(self.names) == 1 else json.loads(key)
        return dict(zip(self.names, parts, strict=True))

    def hash_of(self, row: Row) -> bytes:
        """Of the row's contents, whatever the order of its columns. No value holds a NUL, so it can part them."""
        if self.form.type == "jsonl":
            kept = {name: value for name, value in row.data.items() if name not in self.without}
            return changes.digest(kept)
        sum_of = self.seed.copy()
        cells = row.cells
        sum_of.update("\0".join([cells[place] for place in self.compared]).encode())
        return bytes(sum_of.digest())


def layout_of(
    stream: BinaryIO, form: Format, key: Sequence[str] = (), without: Sequence[str] = ()
) -> Layout:
    """Read a file's head. Leaves the stream where it is afterwards. Raises `BadFile`."""
    start = _mark(stream, form)
    line = 0
    columns = form.columns
    if form.type == "csv" and form.header:
        stream.seek(start)
        lines = _Lines(stream, form, start, 0)
        found = next(_cells(lines, form), None)
        if found is None:
            raise BadFile("the file is empty, wanted a header; deliver it anew", cut=True)
        if not lines.ended:
            raise BadFile(
                "the file ends inside its header: half-written, deliver it anew", cut=True
            )
        columns = _header(found[2], form)
        start, line = lines.offset, lines.line
    for name in (*key, *without):
        if form.type == "csv" and name not in columns:
            raise BadFile(
                f"there is no column {name}, found {', '.join(columns)}; correct key and compare_without, or the export"
            )
    compared = sorted(set(columns) - set(without))
    seed = hashlib.blake2b("\0".join([*compared, ""]).encode(), digest_size=16)
    return Layout(
        form,
        columns,
        tuple(columns.index(name) for name in key) if form.type == "csv" else (),
        tuple(key),
        tuple(columns.index(name) for name in compared),
        frozenset(without),
        seed,
        start,
        line,
    )


def _mark(stream: BinaryIO, form: Format) -> int:
    """How many bytes a byte order mark takes. One that contradicts the format is a fault of the file."""
    stream.seek(0)
    head = stream.read(4)
    for mark, encoding in _MARKS.items():
        if not head.startswith(mark):
            continue
        if encoding == form.encoding:
            return len(mark)
        wanted = 'set format.encoding = "utf-8-sig"' if encoding == "utf-8-sig" else "export it so"
        wanted = wanted if encoding != "gb18030" else 'set format.encoding = "gb18030"'
        raise BadFile(
            f"begins with the byte order mark of {encoding}, wanted {form.encoding}; {wanted}"
        )
    return 0


def _header(found: Sequence[str], form: Format) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in found)
    if "" in columns or len(set(columns)) < len(columns):
        raise BadFile("the header has a column without name, or one twice; correct the export")
    missing = [name for name in form.columns if name not in columns]
    if missing:
        raise BadFile(
            f"the header has no {', '.join(missing)}, found {len(columns)} other columns; correct format or the export"
        )
    return columns


def rows(
    stream: BinaryIO, layout: Layout, offset: int, line: int, before: int = 0
) -> Iterator[Row]:
    """The rows from that byte of the stream on; `line` lines of the file stand before it. Raises `BadFile`.

    Where the stream is a piece of a file, `before` bytes stand before it, and rows count from the start of the file.
    """
    stream.seek(offset)
    lines = _Lines(stream, layout.form, before + offset, line)
    return (_csv_rows if layout.form.type == "csv" else _json_rows)(lines, layout)


def _cells(lines: _Lines, form: Format) -> Iterator[tuple[int, int, list[str]]]:
    """Line, first byte and cells of each row that is not blank. Quotes may hold line feeds: a row can take several lines."""
    reader = csv.reader(lines, delimiter=form.delimiter, quotechar=form.quote, strict=True)
    while True:
        line, start = lines.line + 1, lines.offset
        try:
            found = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cut = "unexpected end" in str(error)
            said = "a quote is never closed: half-written or" if cut else f"{error}:"
            raise BadFile(
                f"line {line}: {said} no CSV with this delimiter and quote; correct format, or the export",
                cut=cut,
            ) from None
        if found:
            yield line, start, found


def _csv_rows(lines: _Lines, layout: Layout) -> Iterator[Row]:
    form, columns, null = layout.form, layout.columns, frozenset(layout.form.null)
    for line, start, cells in _cells(lines, form):
        end = lines.offset
        if not lines.ended:
            _without_end(lines, form, len(cells) < len(columns))
        if len(cells) != len(columns):
            fault = f"line {line} has {len(cells)} columns, wanted {len(columns)}; correct the row"
            yield Row(line, lines.line, start, end, cells, None, fault)
        else:
            values = [None if cell in null else cell for cell in cells] if null else cells
            yield Row(line, lines.line, start, end, cells, dict(zip(columns, values, strict=True)))


def _without_end(lines: _Lines, form: Format, short: bool) -> None:  # noqa: FBT001, private
    """The last line has no line feed: a fault if it is short as well, or if the format wants one."""
    if short or form.final_newline:
        raise BadFile(
            f"line {lines.line} breaks off at the end of the file: half-written, deliver it anew",
            cut=True,
        )


def _json_rows(lines: _Lines, layout: Layout) -> Iterator[Row]:
    start = lines.offset
    for text in lines:
        end, line = lines.offset, lines.line
        if text.strip():
            data, fault = _json(text)
            if not lines.ended:
                _without_end(lines, layout.form, bool(fault))
            yield Row(line, lines.line, start, end, (text,), data, fault and f"line {line} {fault}")
        start = end


def _json(text: str) -> tuple[Any, str]:
    """A JSON object, or why it is none."""
    try:
        data = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None, "is no JSON; correct the row"
    if not isinstance(data, dict):
        return None, f"is {type(data).__name__}, wanted an object; correct the row"
    return data, ""


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)
