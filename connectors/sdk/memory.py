"""What a source's records held when they were last published, as kinds may read it. Written only with a page's commit.

`Comparison` holds all that a campus lists now against it: the way from a full export to its changes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.sdk.contract import Seen
from connectors.sdk.state.file import State

_TABLES = """
CREATE TABLE listed (key TEXT PRIMARY KEY, hash BLOB NOT NULL, line INTEGER, start INTEGER, stop INTEGER) WITHOUT ROWID;
CREATE TABLE todo (place INTEGER PRIMARY KEY, key TEXT, hash BLOB, line INTEGER, start INTEGER, stop INTEGER, fault TEXT);
"""
_CHANGED = """
INSERT INTO todo (key, hash, line, start, stop)
SELECT l.key, l.hash, l.line, l.start, l.stop FROM listed l
LEFT JOIN state.seen s ON s.source = ? AND s.key = l.key
WHERE s.key IS NULL OR s.hash <> l.hash ORDER BY l.line
"""
_GONE = """
FROM state.seen s WHERE s.source = ? AND s.hash <> x'' AND NOT EXISTS (SELECT 1 FROM listed l WHERE l.key = s.key)
"""


class SeenMemory:
    """One source's rows of the table `seen`."""

    def __init__(self, state: State, source: str, path: Path) -> None:
        self._state = state
        self._source = source
        self._path = path

    def get(self, key: str) -> Seen | None:
        """What is remembered of one record."""
        return self._state.seen(self._source, key)

    def path(self) -> Path:
        """The state file."""
        return self._path


@dataclass(frozen=True, slots=True)
class Listed:
    """One record of a listing: its key, the hash of its contents, and where it stands (line; bytes start up to stop)."""

    key: str
    hash: bytes
    line: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Todo:
    """One change that a comparison found. An empty hash: the record is gone. `fault` instead of a key: it cannot be read.

    `place` orders the changes of one comparison, from 1.
    """

    place: int
    key: str | None
    hash: bytes
    line: int
    start: int
    stop: int
    fault: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a comparison came to, in records. `before` were published and not gone."""

    before: int
    changed: int
    gone: int


class Twice(Exception):
    """One key stands in a listing twice."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"lines {first} and {second} have the same key")


class Comparison:
    """A listing against the memory of one source. Kept in a file of its own that is gone with the process.

    May be used from other threads, one at a time.
    """

    def __init__(self) -> None:
        # An empty name is a private file, which SQLite deletes as soon as it is open: memory stays bounded, nothing stays.
        self._db = sqlite3.connect("", isolation_level=None, uri=True, check_same_thread=False)
        self._lock = threading.Lock()
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Forget it all."""
        with self._lock:
            self._db.close()

    def add(self, listed: Sequence[Listed]) -> None:
        """Some of what is listed. Raises `Twice`."""
        rows = [(one.key, one.hash, one.line, one.start, one.stop) for one in listed]
        with self._lock:
            self._db.execute("BEGIN")
            try:
                self._db.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?)", rows)
            except sqlite3.IntegrityError:
                raise self._twice(listed) from None
            finally:
                self._db.execute("COMMIT")

    def _twice(self, listed: Iterable[Listed]) -> Twice:
        """Those before the second one were stored, so the first of another line is it."""
        for one in listed:
            row = self._db.execute("SELECT line FROM listed WHERE key = ?", (one.key,)).fetchone()
            if row is not None and row[0] != one.line:
                return Twice(row[0], one.line)
        return Twice(0, 0)

    def add_unreadable(self, line: int, start: int, stop: int, fault: str) -> None:
        """A record whose key is unknown. It comes first, and nothing can be called gone any more."""
        with self._lock:
            self._db.execute(
                "INSERT INTO todo (line, start, stop, fault) VALUES (?, ?, ?, ?)",
                (line, start, stop, fault),
            )

    def against(self, state: Path | None, source: str, gone_too: bool) -> Found:  # noqa: FBT001, called through a thread
        """Hold it against the state file (None: nothing was published): what changed in its order, then what is gone.

        Without `gone_too` nothing is called gone, nor with unreadable records: each of those might be it.
        """
        with self._lock:
            db = self._db
            where = "" if state is None else f"{state.resolve().as_uri()}?mode=ro"
            db.execute("ATTACH ? AS state", (where,))
            if state is None:
                db.execute("CREATE TABLE state.seen (source TEXT, key TEXT, hash BLOB)")
            try:
                (unreadable,) = db.execute("SELECT count(*) FROM todo").fetchone()
                (before,) = db.execute(
                    "SELECT count(*) FROM state.seen WHERE source = ? AND hash <> x''", (source,)
                ).fetchone()
                changed = db.execute(_CHANGED, (source,)).rowcount
                gone = 0
                if gone_too and not unreadable:
                    gone = db.execute(
                        f"INSERT INTO todo (key, hash) SELECT s.key, x'' {_GONE} ORDER BY s.key",
                        (source,),
                    ).rowcount
            finally:
                db.execute("DETACH state")
        return Found(before, changed, gone)

    def todo(self, after: int, limit: int) -> list[Todo]:
        """The changes behind that place."""
        with self._lock:
            rows = self._db.execute(
                "SELECT place, key, hash, line, start, stop, fault FROM todo WHERE place > ? ORDER BY place LIMIT ?",
                (after, limit),
            ).fetchall()
        return [
            Todo(r[0], r[1], r[2] or b"", r[3] or 0, r[4] or 0, r[5] or 0, r[6] or "") for r in rows
        ]
