"""What each record of a collection held last, so that one that is gone can be told as it was, with the state `inactive`.

A file beside the state file. Losing it loses no event: a record that is then gone is parked, for its contents are unknown.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any


class Last:
    """The newest contents by id. `path` None keeps them nowhere."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def keep(self, records: Mapping[str, Any]) -> None:
        """Remember records, in one commit."""
        if self._path is None or not records:
            return
        rows = [(key, json.dumps(data, ensure_ascii=False)) for key, data in records.items()]
        with closing(self._open(self._path)) as db:
            db.execute("BEGIN")
            db.executemany("INSERT OR REPLACE INTO last VALUES (?, ?)", rows)
            db.execute("COMMIT")

    def get(self, key: str) -> dict[str, Any] | None:
        """What a record held."""
        if self._path is None:
            return None
        with closing(self._open(self._path)) as db:
            row = db.execute("SELECT body FROM last WHERE key = ?", (key,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def _open(self, path: Path) -> sqlite3.Connection:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute(
            "CREATE TABLE IF NOT EXISTS last (key TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID"
        )
        return db
