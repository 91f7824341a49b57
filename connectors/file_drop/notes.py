"""What is remembered of whole files, beside the cursor: which contents were taken, which files stay where they are, and why
some were rejected. A small SQLite file in the campus folder; without it files are told again, under the same event ids.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from connectors.file_drop.folder import Entry

_TABLES = """
CREATE TABLE IF NOT EXISTS taken (number INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, name TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejected (name TEXT PRIMARY KEY, why TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """Under what name and when some contents were last taken, and whether nothing was since."""

    name: str
    at: str
    newest: bool


class Notes:
    """The file. None: in memory, for looking without leaving anything."""

    def __init__(self, path: Path | None) -> None:
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        # Losing the newest notes with the power is harmless: the cursor knows the file in hand.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def taken(self, sha256: str) -> Taken | None:
        """When these contents were last taken; None: never."""
        row = self._db.execute(
            "SELECT name, at, number = (SELECT max(number) FROM taken) FROM taken WHERE sha256 = ?",
            (sha256,),
        ).fetchone()
        return None if row is None else Taken(row[0], row[1], bool(row[2]))

    def take(self, sha256: str, name: str, at: str) -> None:
        """These contents are done with; they are the newest."""
        if (known := self.taken(sha256)) is not None and known.newest:
            return
        self._db.execute(
            "INSERT OR REPLACE INTO taken (number, sha256, name, at) "
            "VALUES ((SELECT coalesce(max(number), 0) + 1 FROM taken), ?, ?, ?)",
            (sha256, name, at),
        )

    def stays(self, entry: Entry) -> bool:
        """Whether a file was dealt with and left where it is."""
        row = self._db.execute(
            "SELECT size, mtime FROM kept WHERE name = ?", (entry.name,)
        ).fetchone()
        return bool(row == (entry.size, entry.mtime))

    def keep(self, entry: Entry) -> None:
        """It is dealt with and stays."""
        self._db.execute(
            "INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", (entry.name, entry.size, entry.mtime)
        )

    def reject(self, name: str, why: str) -> None:
        """Why, in words that may leave the campus."""
        self._db.execute("INSERT OR REPLACE INTO rejected VALUES (?, ?)", (name, why))

    def why(self, name: str) -> str | None:
        """Why it was rejected; None when it was not, or that is over."""
        row = self._db.execute("SELECT why FROM rejected WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def accept(self, name: str) -> None:
        """A person wants it, or it is gone."""
        self._db.execute("DELETE FROM rejected WHERE name = ?", (name,))

    def rejected(self) -> list[tuple[str, str]]:
        """Names and reasons, by name."""
        return self._db.execute("SELECT name, why FROM rejected ORDER BY name").fetchall()
