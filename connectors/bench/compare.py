"""Sources alone, without what a connector adds, beside the plainest loop that reads the same."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from connectors.sdk.clock import SystemClock
from connectors.sdk.contract import Context, Seen, Source
from connectors.sdk.discovery import kinds
from connectors.sdk.testing import US, offering_row

OUTBOX = """
CREATE TABLE hub_outbox (
  position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, aggregatetype TEXT NOT NULL,
  aggregateid TEXT NOT NULL, type TEXT NOT NULL, payload TEXT, version INTEGER, time TEXT, taken_at TEXT);
CREATE INDEX hub_outbox_waiting ON hub_outbox (position) WHERE taken_at IS NULL;
"""
_COLUMNS = "id,title,credits,start,teacher,room,capacity,note"
_CHANGED_EACH = 100  # one row of so many differs in the second export


class _Told:
    """The table `seen` of a state file that only this measure writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute(
            "CREATE TABLE seen (source TEXT, key TEXT, hash BLOB NOT NULL, version INTEGER NOT NULL, "
            "PRIMARY KEY (source, key)) WITHOUT ROWID"
        )

    def get(self, key: str) -> Seen | None:
        row = self._db.execute(
            "SELECT key, hash, version FROM seen WHERE source = 'campus' AND key = ?", (key,)
        ).fetchone()
        return None if row is None else Seen(*row)

    def path(self) -> Path:
        return self._path

    def store(self, seen: list[Seen]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT OR REPLACE INTO seen VALUES ('campus', ?, ?, ?)",
            [(one.key, one.hash, one.version) for one in seen],
        )
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()


def _opened(kind: str, options: Mapping[str, Any], context: Context) -> Source:
    found = kinds()[kind].source
    if found is None:
        raise LookupError(f"{kind} is no source")
    source: Source = found.open(found.options.model_validate(options), context)
    return source


def outbox(folder: Path, rows: int) -> Path:
    """An SQLite file with an outbox table of so many rows."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "campus.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"PRAGMA journal_mode = WAL; {OUTBOX}")
        db.execute("BEGIN")
        made = (offering_row(n) for n in range(1, rows + 1))
        db.executemany(
            "INSERT INTO hub_outbox (id, aggregatetype, aggregateid, type, payload) VALUES (?, 'offering', ?, 'changed', ?)",
            ((row["eventId"], row["id"], json.dumps(row)) for row in made),
        )
        db.execute("COMMIT")
    return path


def outbox_at(url: str, rows: int) -> None:
    """The same table in another database. Raises where there is one already: it may be a campus's own."""
    import sqlalchemy as sa  # of the extra `sql`

    engine = sa.create_engine(url)
    made = [offering_row(n) for n in range(1, rows + 1)]
    with engine.begin() as db:
        for statement in OUTBOX.split(";\n")[:2]:
            db.execute(sa.text(statement.replace("INTEGER PRIMARY KEY AUTOINCREMENT", "BIGSERIAL PRIMARY KEY")
                               .replace("taken_at TEXT", "taken_at TIMESTAMPTZ")))  # fmt: skip
        db.execute(
            sa.text(
                "INSERT INTO hub_outbox (id, aggregatetype, aggregateid, type, payload) "
                "VALUES (:id, 'offering', :about, 'changed', :payload)"
            ),
            [{"id": r["eventId"], "about": r["id"], "payload": json.dumps(r)} for r in made],
        )
    engine.dispose()


def drop_outbox(url: str) -> None:
    """Remove what `outbox_at` made."""
    import sqlalchemy as sa

    engine = sa.create_engine(url)
    with engine.begin() as db:
        db.execute(sa.text("DROP TABLE hub_outbox"))
    engine.dispose()


def rows_of_outbox(folder: Path, rows: int, url: str | None = None) -> int:
    """Rows a second that `sql_outbox` reads and marks, in pages of 1,000; in SQLite, or where the URL points."""
    made_there = url is not None
    if url is None:
        url = f"sqlite:///{outbox(folder, rows)}"
    else:
        outbox_at(url, rows)
    options = {
        "dsn": url,
        "table": "hub_outbox",
        "order": {"strategy": "mark"},
        "batch": 1_000,
    }

    async def read() -> float:
        source = _opened("sql_outbox", options, Context(folder, US, "campus", SystemClock()))
        begun, cursor, found, more = time.perf_counter(), None, 0, True
        while found < rows and more:
            page = await source.page(cursor)
            await source.ack(page.cursor)
            cursor, more = page.cursor, page.more or bool(page.items)
            found += len(page.items)
        took_s = time.perf_counter() - begun
        await source.close()
        if found != rows:
            raise LookupError(f"read {found} rows of {rows}")
        return took_s

    try:
        return round(rows / asyncio.run(read()))
    finally:
        if made_there:
            drop_outbox(url)


def plain_select(folder: Path, rows: int) -> int:
    """The same rows by a plain SELECT, each payload read as JSON."""
    begun = time.perf_counter()
    with closing(sqlite3.connect(folder / "campus.db")) as db:
        for row in db.execute("SELECT * FROM hub_outbox ORDER BY position"):
            json.loads(row[5])
    return round(rows / (time.perf_counter() - begun))


def export(path: Path, rows: int, round_: int) -> None:
    """A full export; a few rows differ from round to round."""
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write(_COLUMNS + "\n")
        for n in range(rows):
            places = 30 + (round_ if n % _CHANGED_EACH == 0 else 0)
            out.write(
                f"course-{n},课程 {n},2.5,2026-09-07,teacher-{n % 900},R{n % 80},{places},-\n"
            )


def diff(folder: Path, rows: int) -> int:
    """Rows a second of comparing an export with the one before it, from the file to the changes."""
    folder.mkdir(parents=True, exist_ok=True)
    drop = folder / "drop"
    drop.mkdir(exist_ok=True)
    options = {
        "location": "drop", "pattern": "courses.csv", "mode": "full_snapshot", "key": "id", "batch": 5_000,
        "ready": {"type": "rename"},
    }  # fmt: skip
    told = _Told(folder / "state.db")

    async def swept(source: Source, cursor: str | None) -> tuple[int, str | None]:
        found, begun = 0, False
        while True:
            page = await source.page(cursor)
            told.store([item.seen for item in page.items if item.seen])
            if page.cursor != cursor:
                await source.ack(page.cursor)
            cursor, found = page.cursor, found + len(page.items)
            begun = begun or bool(page.items)
            if begun and not page.more:
                return found, cursor

    async def measure() -> float:
        context = Context(folder, US, "campus", SystemClock(), memory=told)
        source = _opened("file_drop", options, context)
        export(drop / "courses.csv", rows, 0)
        _, cursor = await swept(source, None)
        export(drop / "next", rows, 1)
        (drop / "next").rename(drop / "courses.csv")
        begun = time.perf_counter()
        found, _ = await swept(source, cursor)
        took_s = time.perf_counter() - begun
        await source.close()
        if found != -(-rows // _CHANGED_EACH):
            raise LookupError(f"found {found} changes in {rows} rows")
        return took_s

    try:
        return round(rows / asyncio.run(measure()))
    finally:
        told.close()


def plain_csv(folder: Path, rows: int) -> int:
    """The same file through `csv.DictReader`, nothing compared."""
    path = folder / "plain.csv"
    export(path, rows, 1)
    begun = time.perf_counter()
    with path.open(encoding="utf-8", newline="") as lines:
        for _ in csv.DictReader(lines):
            pass
    return round(rows / (time.perf_counter() - begun))
