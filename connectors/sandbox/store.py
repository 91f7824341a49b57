"""One campus's database: SQLite, one file, one writer.

Owns tables, transactions and the change feed. A change row is written in the same transaction as the business rows it
tells of (an outbox), numbered in commit order. Columns named `state` hold what the ledger has decided, never what the
campus hopes for; a step that waits for its outcome stands in `doing`. `journal` is written by triggers, one row for each
effect on a business row with the event that caused it: an event applied twice would show there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# Resources of the change feed, with the alliance event that each becomes.
EVENTS: Final[dict[str, str]] = {
    "profile": "member.profile-changed",
    "offering": "offering.changed",
    "enrollment-request": "enrollment.requested",
    "enrollment-decision": "enrollment.decided",
    "enrollment-status": "enrollment.status-changed",
    "result": "credit.awarded",
    "result-correction": "credit.award-corrected",
    "recognition-request": "credit.recognition-requested",
    "recognition-decision": "credit.recognition-decided",
    "project": "project.changed",
    "project-member": "project.member-changed",
}

_SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE phase (name TEXT PRIMARY KEY, changes INTEGER NOT NULL) STRICT;

CREATE TABLE student (
  student_id TEXT PRIMARY KEY, number TEXT NOT NULL, name TEXT NOT NULL, level TEXT NOT NULL, major TEXT NOT NULL
) STRICT;
CREATE TABLE staff (staff_id TEXT PRIMARY KEY, name TEXT NOT NULL, title TEXT NOT NULL, unit TEXT NOT NULL) STRICT;
CREATE TABLE course (
  course_id TEXT PRIMARY KEY, code TEXT NOT NULL, title TEXT NOT NULL, scheme TEXT NOT NULL,
  credit_milli INTEGER NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX course_title ON course (title);

-- Own offerings. body: as entered; in_force: as the ledger holds it.
CREATE TABLE offering (
  offering_id TEXT PRIMARY KEY, course_id TEXT NOT NULL, body TEXT NOT NULL, in_force TEXT, capacity INTEGER,
  status TEXT, cause TEXT
) STRICT;
-- Other members' offerings and profiles, as told by the alliance.
CREATE TABLE catalogue (
  offering_id TEXT PRIMARY KEY, host TEXT NOT NULL, title TEXT NOT NULL, start_date TEXT NOT NULL, mode TEXT NOT NULL,
  status TEXT NOT NULL, capacity INTEGER NOT NULL, cause TEXT
) STRICT;
CREATE TABLE partner (code TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL, cause TEXT) STRICT;

CREATE TABLE enrollment (
  enrollment_id TEXT PRIMARY KEY, student_id TEXT NOT NULL, home TEXT NOT NULL, host TEXT NOT NULL,
  offering_id TEXT NOT NULL, state TEXT, doing TEXT, plan TEXT, home_version INTEGER NOT NULL, request_event TEXT,
  cause TEXT
) STRICT;
CREATE INDEX enrollment_offering ON enrollment (offering_id);
-- Leaving before the start gives the seat back, leaving later does not.
CREATE VIEW seat AS
  SELECT enrollment_id, offering_id, host FROM enrollment WHERE state IN ('associated', 'active', 'finished', 'withdrawn');

CREATE TABLE award (
  award_id TEXT PRIMARY KEY, enrollment_id TEXT NOT NULL, student_id TEXT NOT NULL, home TEXT NOT NULL,
  host TEXT NOT NULL, title TEXT NOT NULL, scheme TEXT NOT NULL, credit_milli INTEGER NOT NULL,
  first_milli INTEGER NOT NULL, result TEXT NOT NULL, notation TEXT NOT NULL, grade TEXT NOT NULL, state TEXT, doing TEXT,
  recognition_id TEXT, recognition_state TEXT, award_event TEXT, cause TEXT
) STRICT;
CREATE INDEX award_recognition ON award (recognition_id);

CREATE TABLE recognition (
  recognition_id TEXT PRIMARY KEY, number INTEGER NOT NULL, student_id TEXT NOT NULL, awards TEXT NOT NULL,
  course_code TEXT NOT NULL, course_milli INTEGER, category TEXT NOT NULL, overlap INTEGER NOT NULL, state TEXT,
  doing TEXT, recognized_milli INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, cause TEXT
) STRICT;
CREATE INDEX recognition_student ON recognition (student_id);

CREATE TABLE project (
  project_id TEXT PRIMARY KEY, lead TEXT NOT NULL, members TEXT NOT NULL, body TEXT, status TEXT, cause TEXT
) STRICT;
CREATE TABLE project_member (
  project_id TEXT NOT NULL, person_id TEXT NOT NULL, employer TEXT NOT NULL, position TEXT NOT NULL, state TEXT,
  cause TEXT, PRIMARY KEY (project_id, person_id)
) STRICT;

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
# Each thing with the columns whose change is an effect, its id and what the journal says of it.
_EFFECTS = (
    ("offering", "capacity, status", "offering_id", "NEW.status || ' ' || NEW.capacity"),
    ("catalogue", "status, capacity", "offering_id", "NEW.status || ' ' || NEW.capacity"),
    ("partner", "status", "code", "NEW.status"),
    ("enrollment", "state", "enrollment_id", "NEW.state"),
    ("award", "state, credit_milli, result", "award_id", "NEW.state || ' ' || NEW.credit_milli"),
    ("award", "recognition_state", "award_id", "'recognition ' || NEW.recognition_state"),
    ("recognition", "state", "recognition_id", "NEW.state || ' ' || NEW.recognized_milli"),
    ("project", "status", "project_id", "NEW.status"),
    (
        "project_member",
        "state",
        "project_id || '/' || NEW.person_id",
        "NEW.state || ' ' || NEW.position",
    ),
)


def _triggers() -> Iterator[str]:
    for number, (table, columns, key, said) in enumerate(_EFFECTS):
        note = f"INSERT INTO journal SELECT NEW.cause, '{table}', NEW.{key}, {said}"
        yield (
            f"CREATE TRIGGER journal_update_{number} AFTER UPDATE OF {columns} ON {table} "
            f"WHEN NEW.cause IS NOT NULL AND {said} IS NOT NULL BEGIN {note}; END"
        )
        if not columns.startswith("recognition_state"):
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

    def __init__(self, path: Path) -> None:
        """Open, or create with empty tables. WAL: what is committed survives a kill of the process."""
        new = not path.exists()
        self.db: Final = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        if new:
            with self.transaction():
                for statement in _SCHEMA.split(";\n"):
                    self.db.execute(statement)
                for statement in _triggers():
                    self.db.execute(statement)

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
