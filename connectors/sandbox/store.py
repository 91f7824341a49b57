"""One campus's database: SQLite, one file, one writer.

Owns transactions, the change feed and the tables that all offices use; each office brings its own. A change row is
written in the same transaction as the business rows it tells of (an outbox), numbered in commit order. Columns named
`state` hold what the ledger has decided, never what the campus hopes for; a step that waits for its outcome stands in
`doing`. `journal` is written by triggers, one row for each effect on a business row with the event that caused it: an
event applied twice would show there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

_TABLES = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE phase (name TEXT PRIMARY KEY, changes INTEGER NOT NULL) STRICT;

CREATE TABLE student (
  student_id TEXT PRIMARY KEY, number TEXT NOT NULL, name TEXT NOT NULL, level TEXT NOT NULL, major TEXT NOT NULL
) STRICT;
CREATE TABLE staff (staff_id TEXT PRIMARY KEY, name TEXT NOT NULL, title TEXT NOT NULL, unit TEXT NOT NULL) STRICT;

CREATE TABLE change (
  number INTEGER PRIMARY KEY AUTOINCREMENT, resource TEXT NOT NULL, event_id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL,
  step TEXT NOT NULL, occurred_at TEXT NOT NULL, recorded_at TEXT NOT NULL, version INTEGER NOT NULL,
  decides_version INTEGER, correlation_id TEXT, causation_id TEXT, supersedes_id TEXT, audience TEXT NOT NULL,
  data TEXT NOT NULL, outcome TEXT, ledger_seq INTEGER, reason TEXT, message TEXT
) STRICT;
CREATE INDEX change_subject ON change (subject);
CREATE INDEX change_outcome ON change (outcome, resource, audience);
CREATE TABLE inbox (
  kind TEXT NOT NULL, event_id TEXT NOT NULL, outcome TEXT NOT NULL, event TEXT NOT NULL, ledger_seq INTEGER,
  PRIMARY KEY (kind, event_id, outcome)
) STRICT, WITHOUT ROWID;
CREATE TABLE journal (cause TEXT NOT NULL, thing TEXT NOT NULL, id TEXT NOT NULL, said TEXT NOT NULL) STRICT;
CREATE INDEX journal_thing ON journal (id);
"""


class Effect(NamedTuple):
    """A table whose changes the journal notes: columns that count, and SQL for the thing's id and what is said of it.

    The table has a column `cause`, the event of the newest change. One event may change a row once. A second effect on
    the same table has `on_insert` false, or each new row would be noted twice.
    """

    table: str
    columns: str
    key: str
    said: str
    on_insert: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """What the offices bring to the database: SQL of their tables, effects, and events by resource of the feed."""

    tables: Sequence[str]
    effects: Sequence[Effect]
    events: Mapping[str, str]


def _script(layout: Layout) -> str:
    """All of an empty database, in one transaction."""
    triggers = (f"{trigger};" for trigger in _triggers(layout.effects))
    return "\n".join(("BEGIN IMMEDIATE;", _TABLES, *layout.tables, *triggers, "COMMIT;"))


def _triggers(effects: Iterable[Effect]) -> Iterator[str]:
    for number, (table, columns, key, said, on_insert) in enumerate(effects):
        note = f"INSERT INTO journal SELECT NEW.cause, '{table}', NEW.{key}, {said}"
        yield (
            f"CREATE TRIGGER journal_update_{number} AFTER UPDATE OF {columns} ON {table} "
            f"WHEN NEW.cause IS NOT NULL AND {said} IS NOT NULL BEGIN {note}; END"
        )
        if on_insert:
            yield (
                f"CREATE TRIGGER journal_insert_{number} AFTER INSERT ON {table} "
                f"WHEN NEW.cause IS NOT NULL AND {said} IS NOT NULL BEGIN {note}; END"
            )


@dataclass(frozen=True, slots=True)
class Change:
    """An own change, as the outcome finds it. `step` says what it wanted to do to `subject`."""

    event_id: str
    resource: str
    subject: str
    step: str
    outcome: str | None
    body: str

    @property
    def data(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self.body)
        return values


class Store:
    """The database of one campus. Not for use by two threads or two processes at once."""

    def __init__(self, path: Path, layout: Layout) -> None:
        """Open, or create with empty tables. WAL: what is committed survives a kill of the process."""
        new = not path.exists()
        self.events: Final = layout.events
        self.db: Final = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        if new:
            self.db.executescript(_script(layout))

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; one writer."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """All or nothing inside a transaction."""
        self.db.execute("SAVEPOINT item")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK TO item")
            self.db.execute("RELEASE item")
            raise
        self.db.execute("RELEASE item")

    def setting(self, name: str, default: str = "") -> str:
        row = self.db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def set(self, name: str, value: str) -> None:
        self.db.execute(
            "INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def one(self, sql: str, *values: object) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.db.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, *values: object) -> list[sqlite3.Row]:
        return self.db.execute(sql, values).fetchall()

    def count(self, sql: str, *values: object) -> int:
        return int(self.db.execute(sql, values).fetchone()[0])

    def next_version(self, subject: str) -> int:
        """The number of our next statement about a subject. A refused one never reached the ledger and uses none up."""
        return 1 + self.count(
            "SELECT coalesce(max(version), 0) FROM change WHERE subject = ? AND outcome IS NOT 'refused'",
            subject,
        )

    def changes_json(self, after: int, limit: int) -> bytes:
        """A page of the change feed, ready to send: stored bodies are passed on as they are."""
        rows = self.db.execute(
            "SELECT number, resource, event_id, occurred_at, recorded_at, version, decides_version, correlation_id, "
            "causation_id, supersedes_id, data FROM change WHERE number > ? ORDER BY number LIMIT ?",
            (after, limit + 1),
        ).fetchall()
        items = ",".join(
            f'{{"changeNumber":{row[0]},"resource":"{row[1]}","eventId":"{row[2]}","occurredAt":"{row[3]}",'
            f'"recordedAt":"{row[4]}","version":{row[5]},"decidesVersion":{"null" if row[6] is None else row[6]},'
            f'"correlationId":{_quoted(row[7])},"causationId":{_quoted(row[8])},"supersedesId":{_quoted(row[9])},'
            f'"data":{row[10]}}}'
            for row in rows[:limit]
        )
        more = "true" if len(rows) > limit else "false"
        return f'{{"items":[{items}],"hasMore":{more}}}'.encode()

    def own_change(self, event_id: str) -> Change | None:
        row = self.one(
            "SELECT event_id, resource, subject, step, outcome, data FROM change WHERE event_id = ?",
            event_id,
        )
        return Change(*row) if row else None


def _quoted(text: str | None) -> str:
    return "null" if text is None else json.dumps(text)
