"""Campuses for the conformance suite: outbox tables in an SQLite file that fails on demand."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.sdk.testing import OFFERING_MAPPING, Case, offering_row

# What SQLite says where other databases have users and rights.
_NO_RIGHT = ("attempt to write a readonly database", "SQLITE_READONLY")
_LOCKED = ("database is locked", "SQLITE_BUSY")
_LOST = ("disk I/O error", "SQLITE_IOERR")
FAULTS = ("connection lost", "locked", "commit lost", "401")


def sqlite_error(words: str, name: str) -> sqlite3.OperationalError:
    """An error as the driver raises it."""
    error = sqlite3.OperationalError(words)
    error.sqlite_errorname = name
    return error


class CampusFile:
    """A campus's SQLite file, as `connectors.sdk.database.Stage`: it can fail before a statement, or at a commit.

    `connection lost` and `locked` are said before anything was done, `commit lost` in place of a commit that is then not
    made, `lost answer` after a commit that was made. `each_commit` is called whenever one was made.
    """

    def __init__(self, script: str) -> None:
        folder = Path(tempfile.mkdtemp(prefix="alliance-sql-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = folder / "campus.db"
        self.each_commit: Callable[[], None] = lambda: None
        self.connected: Callable[[sqlite3.Connection], None] = lambda connection: None
        self.statements: list[str] = []
        self._faults: list[str] = []
        with closing(self.connect()) as db:
            db.executescript(f"PRAGMA journal_mode = WAL; {script}")

    def connect(self) -> sqlite3.Connection:
        """A connection beside those of the kind."""
        db = sqlite3.connect(self.path, isolation_level=None)
        db.execute("PRAGMA synchronous = OFF").close()  # what a process wrote outlives it
        self.connected(db)
        return db

    def execute(self, statement: str, *values: Any) -> list[Any]:
        """One statement of the campus itself."""
        with closing(self.connect()) as db:
            return db.execute(statement, values).fetchall()

    def fault(self, mode: str, times: int) -> None:
        """Fail the next times in this way."""
        self._faults = [mode] * times

    def opened(self, engine: sa.Engine) -> None:
        """Put the faults between SQLAlchemy and the driver."""

        def connect(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute("PRAGMA synchronous = OFF").close()
            self.connected(connection)

        def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> None:
            self.statements.append(statement)
            self._fail({"connection lost": _LOST, "locked": _LOCKED, "401": _NO_RIGHT})

        commit = engine.dialect.do_commit

        def do_commit(connection: Any) -> None:
            self._fail({"commit lost": _LOST})
            commit(connection)
            self.each_commit()
            self._fail({"lost answer": _LOST})

        sa.event.listen(engine, "connect", connect)
        sa.event.listen(engine, "do_execute", execute)
        sa.event.listen(engine, "do_executemany", execute)
        engine.dialect.do_commit = do_commit  # type: ignore[method-assign,assignment]  # no event covers it

    def _fail(self, modes: dict[str, tuple[str, str]]) -> None:
        if self._faults and self._faults[-1] in modes:
            raise sqlite_error(*modes[self._faults.pop()])


OUTBOX = """
CREATE TABLE hub_outbox (
  position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, aggregatetype TEXT NOT NULL,
  aggregateid TEXT NOT NULL, type TEXT NOT NULL, payload TEXT, version INTEGER, time TEXT, taken_at TEXT);
"""


def _outbox(order: str, after: str = "") -> Case:
    campus = CampusFile(OUTBOX)
    made: list[int] = []
    spoiled: list[int] = []

    def write(payload: str) -> None:
        number = len(made) + len(spoiled) + 1
        row = offering_row(number)
        campus.execute(
            "INSERT INTO hub_outbox (id, aggregatetype, aggregateid, type, payload) VALUES (?, 'offering', ?, 'changed', ?)",
            row["eventId"], row["id"], payload,
        )  # fmt: skip

    def happen(count: int) -> None:
        for _ in range(count):
            write(json.dumps(offering_row(len(made) + len(spoiled) + 1)))
            made.append(1)

    def spoil() -> None:
        write(json.dumps(offering_row(len(made) + len(spoiled) + 1))[:-9])  # half a JSON
        spoiled.append(1)

    tables = f"""
[source.campus]
kind = "sql_outbox"
dsn = "sqlite:///{campus.path}"
table = "hub_outbox"
order = {order}
batch = 2
mapping = "mapping/offering.toml"
{after}
"""
    # All but the event's id is in the payload.
    mapping = re.sub(r'"(at|version|id|titles|start|credits)"(?=\n|,| \})', r'"payload.\1"', OFFERING_MAPPING)  # fmt: skip
    return Case(
        tables,
        mappings={"offering.toml": mapping},
        transport=campus,
        happen=happen,
        spoil=spoil,
        to_tell=lambda: len(made),
        faults=FAULTS,
        fault=campus.fault,
    )


CASES = {
    "mark": lambda: _outbox('{ strategy = "mark" }'),
    "mark, then delete": lambda: _outbox('{ strategy = "mark" }', 'after = "delete"'),
    "gap wait": lambda: _outbox('{ strategy = "gap_wait", max_s = 3 }'),
}
