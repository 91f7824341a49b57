"""A second reading of a source from an older place, while the first goes on: what is kept of it, and how far it is.

Owns table `backfills` of the state file. Reading is in `connectors.sdk.runtime.backfiller`. A row is written with each page, after
the page's events: one that a kill cut short reads its last page again, with the same event ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from connectors.sdk.state.commands import Transaction

TABLES = """
CREATE TABLE IF NOT EXISTS backfills (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL, start TEXT, until TEXT, cursor TEXT,
  rate REAL NOT NULL, state TEXT NOT NULL, pages INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0,
  rows_total INTEGER, active_ms INTEGER NOT NULL DEFAULT 0, started_at INTEGER NOT NULL, ended_at INTEGER,
  by_whom TEXT NOT NULL, why TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS backfill_under_way ON backfills (source) WHERE ended_at IS NULL;
"""
State: TypeAlias = Literal["running", "paused", "stopped", "done"]
_COLUMNS = (
    "id, source, start, until, cursor, rate, state, pages, rows, rows_total, active_ms, started_at, ended_at, "
    "by_whom, why"
)


@dataclass(frozen=True, slots=True)
class Backfill:
    """One backfill. `start` None: from the beginning; `until` None: to what the source has last.

    `rate` is in records a second, 0 for no limit of its own. `active_ms` is the time spent on it, pauses not counted;
    `started_at` and `ended_at` are milliseconds since 1970.
    """

    id: str
    source: str
    start: str | None
    until: str | None
    cursor: str | None
    rate: float
    state: State
    pages: int
    rows: int
    rows_total: int | None
    active_ms: int
    started_at: int
    ended_at: int | None
    by: str
    why: str

    @property
    def rows_per_s(self) -> float:
        """Records a second so far."""
        return self.rows * 1000 / self.active_ms if self.active_ms else 0.0

    @property
    def part_done(self) -> float | None:
        """From 0 to 1, where the source could count; more records than counted are no more than all."""
        if self.state == "done":
            return 1.0
        if not self.rows_total:
            return None
        return min(1.0, self.rows / self.rows_total)

    @property
    def left_s(self) -> float | None:
        """Seconds left at the speed so far, where that can be told."""
        if self.rows_total is None or not self.rows_per_s:
            return None
        return max(0, self.rows_total - self.rows) / self.rows_per_s

    def to_json(self) -> dict[str, Any]:
        """What `backfill status --json` prints."""
        return {
            "id": self.id,
            "source": self.source,
            "state": self.state,
            "from": self.start,
            "to": self.until,
            "cursor": self.cursor,
            "pages": self.pages,
            "rows": self.rows,
            "rows_total": self.rows_total,
            "rows_per_s": round(self.rows_per_s, 2),
            "percent": None if self.part_done is None else round(100 * self.part_done, 1),
            "left_s": None if self.left_s is None else round(self.left_s),
            "rate": self.rate,
            "by": self.by,
            "why": self.why,
        }


def reached(cursor: str, until: str | None) -> bool:
    """Whether a page's cursor is at or behind the end. Cursors are opaque, so this knows equal ones and whole numbers."""
    if until is None:
        return False
    if cursor == until:
        return True
    numbers = cursor.isascii() and cursor.isdigit() and until.isascii() and until.isdigit()
    return numbers and int(cursor) >= int(until)


class Backfills:
    """The table. Methods that change something are one commit each."""

    def __init__(self, db: sqlite3.Connection, transaction: Transaction) -> None:
        self._db = db
        self._transaction = transaction

    def under_way(self, source: str) -> Backfill | None:
        """The one backfill of a source that has not ended, running or paused."""
        found = self._rows("WHERE source = ? AND ended_at IS NULL", source)
        return found[0] if found else None

    def newest(self) -> list[Backfill]:
        """The newest backfill of each source, by source."""
        return self._rows(
            "WHERE number IN (SELECT max(number) FROM backfills GROUP BY source) ORDER BY source"
        )

    def get(self, id: str) -> Backfill | None:
        """The backfill that a command began."""
        found = self._rows("WHERE id = ?", id)
        return found[0] if found else None

    def _rows(self, where: str, *values: Any) -> list[Backfill]:
        rows: Sequence[Sequence[Any]] = self._db.execute(
            f"SELECT {_COLUMNS} FROM backfills {where}",  # noqa: S608, columns and conditions of this class
            values,
        ).fetchall()
        return [Backfill(*row) for row in rows]

    def start(
        self, id: str, source: str, start: str | None, until: str | None, *, rate: float, by: str, why: str, now: int
    ) -> None:  # fmt: skip
        """Begin one. A command begins it once."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO backfills (id, source, start, until, cursor, rate, state, started_at, by_whom, why) "
                "VALUES (?1, ?2, ?3, ?4, ?3, ?5, 'running', ?6, ?7, ?8)",
                (id, source, start, until, rate, now, by, why),
            )

    def counted(self, id: str, rows_total: int) -> None:
        """The source says how many records there are."""
        with self._transaction() as db:
            db.execute("UPDATE backfills SET rows_total = ? WHERE id = ?", (rows_total, id))

    def advance(
        self, id: str, cursor: str, rows: int, active_ms: int, ended_at: int | None
    ) -> None:
        """A page is stored; with `ended_at` it was the last."""
        with self._transaction() as db:
            db.execute(
                "UPDATE backfills SET cursor = ?, pages = pages + 1, rows = rows + ?, active_ms = active_ms + ?, "
                "ended_at = ?, state = CASE WHEN ? IS NULL THEN state ELSE 'done' END "
                "WHERE id = ? AND ended_at IS NULL",
                (cursor, rows, active_ms, ended_at, ended_at, id),
            )

    def set_state(self, id: str, state: State, now: int) -> None:
        """Pause it, let it go on, or stop it for good."""
        with self._transaction() as db:
            db.execute(
                "UPDATE backfills SET state = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL",
                (state, now if state == "stopped" else None, id),
            )
