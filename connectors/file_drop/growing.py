"""Reads files that only grow, such as logs: from the byte that was told last, through rotation and renaming.

Owns which file is which. A file is known by the hash of its first bytes, so one that was renamed goes on where it stood,
and one that begins anew under an old name is read from its start. Files are never moved or deleted here.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from itertools import islice

from connectors.file_drop.folder import Entry, Folder, Work
from connectors.file_drop.options import DropOptions
from connectors.file_drop.reading import unreadable
from connectors.file_drop.rows import BadFile, Layout, Row, layout_of, rows
from connectors.file_drop.spool import Spool
from connectors.sdk.contract import ConfigError, Context, Item, Page

_HEAD_BYTES = 4_096  # by which a file is known
_HEADER_BYTES = 65_536  # within which a header must end
_PIECE_BYTES = 8 * 1024 * 1024  # read at once, so that a file that grew much is no burden
_MARKS = 100  # files remembered; a log that was rotated away longer ago is forgotten


@dataclass(frozen=True, slots=True)
class Mark:
    """A file and how far it is told: its first `known` bytes have that hash; bytes and lines before the next row."""

    name: str
    head: str
    known: int
    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class _Known:
    """A listed file, its first bytes, and where it stands (None: new)."""

    entry: Entry
    head: bytes
    mark: Mark | None


def marks_of(cursor: str | None) -> list[Mark]:
    """What a cursor remembers. Raises `ConfigError` when it is no cursor of ours."""
    try:
        return [Mark(**one) for one in json.loads(cursor)["growing"]] if cursor else []
    except (ValueError, TypeError, LookupError) as error:
        raise ConfigError(
            "the cursor is none of file_drop with mode = append; reset it, or set one that was shown"
        ) from error


def cursor_of(marks: Sequence[Mark]) -> str:
    """The cursor; the oldest marks are forgotten."""
    return json.dumps({"growing": [asdict(mark) for mark in marks[-_MARKS:]]})


def is_same(mark: Mark, head: bytes) -> bool:
    """Whether a file with these first bytes is the one that was marked."""
    return len(head) >= mark.known and _hash(head[: mark.known]) == mark.head


def _hash(head: bytes) -> str:
    return hashlib.sha256(head).hexdigest()[:32]


def recognized(files: Sequence[tuple[Entry, bytes]], marks: Sequence[Mark]) -> list[_Known]:
    """Which of the files is which: by its own name and first bytes, else by first bytes alone; new ones come last.

    A copy of a file that is still there is none of its own, so it is left out until the other is gone.
    """
    at_home = {
        entry.name: mark
        for entry, head in files
        for mark in marks
        if mark.name == entry.name and is_same(mark, head)
    }
    taken = set(at_home.values())
    found = []
    for entry, head in files:
        mark = at_home.get(entry.name)
        if mark is None:
            alike = [one for one in marks if is_same(one, head)]
            mark = next((one for one in alike if one not in taken), None)
            if mark is None and alike:
                continue
            taken |= {mark} if mark else set()
        found.append(_Known(entry, head, mark))
    return sorted(found, key=lambda one: one.mark is None)


class GrowingFiles:
    """The growing files of one folder."""

    def __init__(self, options: DropOptions, context: Context, folder: Folder, work: Work) -> None:
        self._options = options
        self._folder = folder
        self._work = work
        self._context = context
        self._spool: Spool | None = None
        self._looked: dict[
            str, Entry
        ] = {}  # files with nothing to tell after that cursor, as they were
        self._cursor: str | None = None

    async def check(self) -> str:
        """Look into the folder."""
        return await self._folder.check()

    async def page(self, cursor: str | None) -> Page:
        """The next rows of the first file that has some."""
        if cursor != self._cursor:
            self._looked, self._cursor = {}, cursor
        marks = marks_of(cursor)
        listed = [one for one in await self._folder.entries() if self._matches(one.name)]
        listed.sort(key=lambda one: (one.mtime, one.name))  # what was rotated away comes first
        if all(self._looked.get(one.name) == one for one in listed):
            return Page([], cursor or "", more=False)
        files = [(one, await self._bytes(one.name, 0, _HEADER_BYTES)) for one in listed]
        for known in recognized(files, marks):
            items, mark = await self._grown(known)
            if mark is not None and mark != known.mark:
                others = [one for one in marks if one != known.mark]
                return Page(items, cursor_of([*others, mark]), more=True)
        self._looked = {one.name: one for one in listed}
        return Page([], cursor or "", more=False)

    async def ack(self, cursor: str) -> None:
        """The files stay as they are."""

    async def close(self) -> None:
        """Let go of files and connections."""
        if self._spool is not None:
            self._spool.close()
        await self._folder.close()

    def _matches(self, name: str) -> bool:
        return not name.startswith(".") and fnmatchcase(name, self._options.pattern)

    async def _bytes(self, name: str, start: int, count: int) -> bytes:
        if self._spool is None:
            self._spool = Spool(self._context)
            self._spool.tidy()
        path = self._spool.new()
        try:
            await self._folder.fetch(name, path, start, count)
            return path.read_bytes()
        finally:
            path.unlink(missing_ok=True)

    async def _grown(self, known: _Known) -> tuple[list[Item], Mark | None]:
        """New whole rows of one file, and where it stands after them (None: nowhere yet)."""
        name, head, mark = known.entry.name, known.head, known.mark
        moved = None if mark is None else replace(mark, name=name)
        if b"\n" not in head:
            self._refuse_long(name, head, _HEADER_BYTES)
            return [], moved
        try:
            layout = layout_of(io.BytesIO(head), self._options.format, self._options.key)
        except BadFile as error:
            raise ConfigError(f"{name}: {error}") from error
        offset, line = (mark.offset, mark.line) if mark else (layout.start, layout.line)
        if known.entry.size < offset:
            raise ConfigError(
                f"{name}: {known.entry.size} bytes, and {offset} were told: somebody cut it; put the rest back, or move it "
                "out of the folder so that another can begin"
            )
        piece = await self._bytes(name, offset, min(known.entry.size - offset, _PIECE_BYTES))
        whole = piece[: piece.rfind(b"\n") + 1]
        if not whole:
            self._refuse_long(name, piece, self._options.format.line_bytes)
            return [], moved
        if (await self._bytes(name, 0, _HEAD_BYTES))[: len(head)] != head[:_HEAD_BYTES]:
            return [], None  # it was renamed between two looks; the next one sees which is which
        found = await self._work(self._rows, name, whole, layout, offset, line)
        if not found:
            return [], moved
        after = found[-1]
        told = min(_HEAD_BYTES, after.end)
        items = [self._item(row, name, layout) for row in found]
        return items, Mark(name, _hash(head[:told]), told, after.end, after.last)

    def _rows(self, name: str, whole: bytes, layout: Layout, offset: int, line: int) -> list[Row]:
        """Whole rows of a piece of whole lines. A quote that is still open waits for what will follow."""
        found: list[Row] = []
        try:
            for row in islice(
                rows(io.BytesIO(whole), layout, 0, line, offset), self._options.batch
            ):
                found.append(row)
        except BadFile as error:
            if not found and not error.cut:
                raise ConfigError(f"{name}: {error}") from error
        return found

    def _refuse_long(self, name: str, held: bytes, most: int) -> None:
        if len(held) >= most:
            raise ConfigError(
                f"{name}: no line end within {most} bytes; correct the export, or raise format.line_bytes"
            )

    def _item(self, row: Row, name: str, layout: Layout) -> Item:
        origin = f"file:{name}#L{row.line}"
        if row.fault:
            return unreadable(row, origin, row.fault)
        return Item(row.data, origin, layout.key_of(row) if self._options.key else None)
