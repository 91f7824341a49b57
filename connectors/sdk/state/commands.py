"""What people asked of a connector: one row for each command, what they want of each part, and where cursors were before.

Owns these tables of the state file, on the connection of a `State`. Another process writes commands while the connector
runs (`alliance connector pause`), the hub's come over Kafka; both are rows here before they have any effect.

    commands        each once; open until `done_at`. One that a kill cut short is executed again: executing is repeatable.
    wanted          parts that should not run, so that a pause outlives the process
    cursor_history  each change of a cursor by people, for `undo`
    progress        when each source last gave a record

Times are whole milliseconds since 1970.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

TABLES = """
CREATE TABLE IF NOT EXISTS commands (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, origin TEXT NOT NULL, verb TEXT NOT NULL, args TEXT NOT NULL,
  by_whom TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL,
  taken_at INTEGER, done_at INTEGER, outcome TEXT, answer TEXT, told_at INTEGER);
CREATE INDEX IF NOT EXISTS commands_open ON commands (number) WHERE done_at IS NULL;
CREATE INDEX IF NOT EXISTS commands_untold ON commands (number)
  WHERE origin = 'hub' AND done_at IS NOT NULL AND told_at IS NULL;
CREATE TABLE IF NOT EXISTS wanted (
  part TEXT PRIMARY KEY, state TEXT NOT NULL, by_whom TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursor_history (
  number INTEGER PRIMARY KEY, command TEXT NOT NULL UNIQUE, source TEXT NOT NULL, before TEXT, after TEXT,
  by_whom TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS progress (
  source TEXT PRIMARY KEY, since INTEGER NOT NULL, last_record_at INTEGER) WITHOUT ROWID;
"""
Transaction: TypeAlias = Callable[[], AbstractContextManager[sqlite3.Connection]]
Outcome: TypeAlias = Literal["done", "failed", "refused"]
_COLUMNS = "id, origin, verb, args, by_whom, why, at, taken_at, done_at, outcome, answer"


@dataclass(frozen=True, slots=True)
class Command:
    """Something that was asked. `origin` is `local` or `hub`; `outcome` and `answer` are None while it is open."""

    id: str
    verb: str
    args: Mapping[str, Any]
    by: str
    why: str
    at: int
    origin: str = "local"
    taken_at: int | None = None
    done_at: int | None = None
    outcome: Outcome | None = None
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A part that people do not want to run: `paused` or `stopped`."""

    part: str
    state: str
    by: str
    why: str
    at: int


@dataclass(frozen=True, slots=True)
class Moved:
    """A cursor that people changed. None: before the first page."""

    source: str
    before: str | None
    after: str | None
    by: str
    why: str
    at: int


class Commands:
    """The tables. Methods that change something are one commit each."""

    def __init__(self, db: sqlite3.Connection, transaction: Transaction) -> None:
        self._db = db
        self._transaction = transaction

    # Commands -------------------------------------------------------------------------------------------------------

    def write(self, command: Command) -> bool:
        """Ask for something. False: a command of this id is known already."""
        with self._transaction():
            return self._insert(command)

    def receive(self, commands: Sequence[Command], position: int) -> int:
        """Commands of the hub, and the offset behind them, in one commit. How many are new."""
        with self._transaction() as db:
            new = sum(self._insert(command) for command in commands)
            db.execute("INSERT OR REPLACE INTO facts VALUES ('commands_position', ?)", (position,))
        return new

    def _insert(self, command: Command) -> bool:
        done = self._db.execute(
            "INSERT OR IGNORE INTO commands (id, origin, verb, args, by_whom, why, at, done_at, outcome, answer) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                command.id, command.origin, command.verb, json.dumps(dict(command.args)), command.by, command.why,
                command.at, command.done_at, command.outcome,
                None if command.answer is None else json.dumps(dict(command.answer)),
            ),
        )  # fmt: skip
        return done.rowcount == 1

    def position(self) -> int:
        """Next offset of the hub's commands to read."""
        row = self._db.execute(
            "SELECT value FROM facts WHERE name = 'commands_position'"
        ).fetchone()
        return 0 if row is None else int(row[0])

    def open(self) -> list[Command]:
        """What is to be executed, in the order it was asked."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM commands WHERE done_at IS NULL ORDER BY number"  # noqa: S608, column names
        )
        return [_command(row) for row in rows]

    def get(self, id: str) -> Command | None:
        """One command, with its answer once there is one."""
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM commands WHERE id = ?",  # noqa: S608, column names
            (id,),
        ).fetchone()
        return None if row is None else _command(row)

    def newest(self, limit: int) -> list[Command]:
        """The last commands, newest first."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM commands ORDER BY number DESC LIMIT ?",  # noqa: S608, column names
            (limit,),
        )
        return [_command(row) for row in rows]

    def take(self, id: str, now: int) -> None:
        """Note that it is being executed."""
        with self._transaction() as db:
            db.execute("UPDATE commands SET taken_at = ? WHERE id = ?", (now, id))

    def finish(self, id: str, outcome: Outcome, answer: Mapping[str, Any], now: int) -> None:
        """It is executed, or cannot be; the first answer stays."""
        with self._transaction() as db:
            db.execute(
                "UPDATE commands SET done_at = ?, outcome = ?, answer = ? WHERE id = ? AND done_at IS NULL",
                (now, outcome, json.dumps(dict(answer)), id),
            )

    def untold(self) -> list[Command]:
        """Commands of the hub whose answers the hub does not have."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM commands WHERE origin = 'hub' AND done_at IS NOT NULL "  # noqa: S608, column names
            "AND told_at IS NULL ORDER BY number"
        )
        return [_command(row) for row in rows]

    def told(self, ids: Sequence[str], now: int) -> None:
        """The hub has these answers."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE commands SET told_at = ? WHERE id = ?", [(now, id) for id in ids]
            )

    # Parts ----------------------------------------------------------------------------------------------------------

    def wanted(self) -> dict[str, Wanted]:
        """Parts that should not run, by name."""
        rows = self._db.execute("SELECT part, state, by_whom, why, at FROM wanted")
        return {row[0]: Wanted(*row) for row in rows}

    def want(self, wanted: Sequence[Wanted]) -> None:
        """From now on these should not run."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO wanted VALUES (?, ?, ?, ?, ?)",
                [(one.part, one.state, one.by, one.why, one.at) for one in wanted],
            )

    def want_running(self, parts: Sequence[str]) -> None:
        """From now on these should run."""
        with self._transaction() as db:
            db.executemany("DELETE FROM wanted WHERE part = ?", [(part,) for part in parts])

    # Cursors --------------------------------------------------------------------------------------------------------

    def move_cursor(
        self, command: str, source: str, to: str | None, *, by: str, why: str, now: int
    ) -> Moved:
        """Put a source's cursor elsewhere (None: before its first page). A command does it once."""
        with self._transaction() as db:
            row = db.execute("SELECT cursor FROM cursors WHERE source = ?", (source,)).fetchone()
            moved = Moved(source, None if row is None else row[0], to, by, why, now)
            new = db.execute(
                "INSERT OR IGNORE INTO cursor_history (command, source, before, after, by_whom, why, at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (command, source, moved.before, to, by, why, now),
            ).rowcount
            if new and to is None:
                db.execute("DELETE FROM cursors WHERE source = ?", (source,))
            elif new:
                db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (source, to))
        return moved

    def moves(self, source: str) -> list[Moved]:
        """What people did to a cursor, newest first."""
        rows = self._db.execute(
            "SELECT source, before, after, by_whom, why, at FROM cursor_history WHERE source = ? ORDER BY number DESC",
            (source,),
        )
        return [Moved(*row) for row in rows]

    # Progress -------------------------------------------------------------------------------------------------------

    def last_record_at(self, source: str) -> int | None:
        """When the source last gave a record, as far as it was noted."""
        row = self._db.execute(
            "SELECT last_record_at FROM progress WHERE source = ?", (source,)
        ).fetchone()
        return None if row is None else row[0]

    def since(self, source: str) -> int | None:
        """When the source was first watched."""
        row = self._db.execute("SELECT since FROM progress WHERE source = ?", (source,)).fetchone()
        return None if row is None else int(row[0])

    def note_progress(self, last: Mapping[str, int | None], now: int) -> None:
        """When sources last gave a record (None: not yet)."""
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO progress VALUES (?1, ?2, ?3) "
                "ON CONFLICT (source) DO UPDATE SET last_record_at = coalesce(?3, last_record_at)",
                [(source, now, at) for source, at in last.items()],
            )


def _command(row: Sequence[Any]) -> Command:
    return Command(
        id=row[0], origin=row[1], verb=row[2], args=json.loads(row[3]), by=row[4], why=row[5], at=row[6],
        taken_at=row[7], done_at=row[8], outcome=row[9], answer=None if row[10] is None else json.loads(row[10]),
    )  # fmt: skip
