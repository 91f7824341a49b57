"""What a connector must not forget: one SQLite file per campus folder.

Owns the tables and their transactions. An event's row is written with the cursor that covers it, in one commit, before
anything is published; it leaves when its outcome was brought to the campus. So kill -9 at any moment loses nothing,
and what is then sent again carries the same event id.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.envelope import Headers

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursors (source TEXT PRIMARY KEY, cursor TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
  change INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, event TEXT NOT NULL, topic TEXT NOT NULL,
  key BLOB NOT NULL, value BLOB NOT NULL, headers TEXT NOT NULL,
  sent_at INTEGER, tries INTEGER NOT NULL DEFAULT 0, outcome TEXT);
CREATE INDEX IF NOT EXISTS unsent ON outbox (change) WHERE sent_at IS NULL;
CREATE TABLE IF NOT EXISTS refusals (topic TEXT, partition INTEGER, offset INTEGER,
  PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parked (
  stage TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL, brief TEXT NOT NULL,
  payload TEXT NOT NULL, UNIQUE (stage, id));
CREATE TABLE IF NOT EXISTS seen (source TEXT, key TEXT, hash BLOB NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (source, key)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event as it will be published, byte for byte. `change` orders it; 0 until stored."""

    event_id: str
    event: str
    topic: str
    key: bytes
    value: bytes
    headers: Headers
    change: int = 0


@dataclass(frozen=True, slots=True)
class Parked:
    """One thing that could not pass, with why. `stage` is map, reused, read, verify or push; `payload` is JSON to try again."""

    stage: str
    id: str
    reason: str
    brief: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Seen:
    """Contents of a collection's record at its newest published version."""

    key: str
    hash: bytes
    version: int


@dataclass(slots=True)
class Mapped:
    """What a page comes to. `mended` are ids of records parked earlier that pass now."""

    events: list[Outgoing] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a batch of the inbox changes here once the campus has it. Times in milliseconds since 1970."""

    position: int
    seq: int
    done: Sequence[str] = ()
    waiting: Sequence[str] = ()
    refusals: Sequence[tuple[str, int, int]] = ()
    parked: Sequence[Parked] = ()
    applied: int = 0


class State:
    """The file. One connection, one thread; every method is one transaction."""

    def __init__(self, path: Path | str, *, readonly: bool = False) -> None:
        target = f"{Path(path).resolve().as_uri()}?mode=ro" if readonly else str(path)
        self._db = sqlite3.connect(target, isolation_level=None, uri=readonly)
        if not readonly:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the file; an open transaction is undone."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _fact(self, name: str, default: Any) -> Any:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return default if row is None else row[0]

    def _set(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _add(self, name: str, amount: int) -> None:
        if amount:
            self._set(name, self._fact(name, 0) + amount)

    # The campus's changes -------------------------------------------------------------------------------------------

    def cursor(self, source: str) -> str | None:
        """Where the source stands, or None before its first page."""
        row = self._db.execute("SELECT cursor FROM cursors WHERE source = ?", (source,)).fetchone()
        return None if row is None else str(row[0])

    def seen(self, source: str, key: str) -> Seen | None:
        """What a collection's record held when it was last published."""
        row = self._db.execute(
            "SELECT hash, version FROM seen WHERE source = ? AND key = ?", (source, key)
        ).fetchone()
        return None if row is None else Seen(key, row[0], row[1])

    def commit_page(self, source: str, cursor: str | None, mapped: Mapped, now: int) -> int:
        """Events, parked records and the cursor after them (None: it stays), all or nothing.

        The number of events that are new: one already waiting here is not stored again.
        """
        with self._transaction() as db:
            before = db.total_changes
            db.executemany(
                "INSERT INTO outbox (event_id, event, topic, key, value, headers) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (event_id) DO NOTHING",
                [
                    (e.event_id, e.event, e.topic, e.key, e.value, _packed(e.headers))
                    for e in mapped.events
                ],
            )
            added = db.total_changes - before
            reused = self._reused(mapped.events) if added < len(mapped.events) else []
            self._park([*mapped.parked, *reused], now)
            db.executemany(
                "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)",
                [(source, item.key, item.hash, item.version) for item in mapped.seen],
            )
            db.executemany(
                "DELETE FROM parked WHERE stage = 'map' AND id = ?", [(id,) for id in mapped.mended]
            )
            if cursor is not None:
                db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (source, cursor))
        return added

    def _reused(self, events: Sequence[Outgoing]) -> list[Parked]:
        """Events whose id another one of the outbox has: ids must never be used again."""
        found = []
        for event in events:
            row = self._db.execute("SELECT value FROM outbox WHERE event_id = ?", (event.event_id,))
            if row.fetchone()[0] != event.value:
                said = f"{event.event} reuses the id of another event"
                reason = f"{said}: {event.event_id}; make a new id for each change at the source"
                payload = {"source": None, "value": event.value.hex()}
                found.append(Parked("reused", event.event_id, reason, said, payload))
        return found

    def _park(self, parked: Sequence[Parked], now: int) -> None:
        rows = [(p.stage, p.id, now, p.reason, p.brief, json.dumps(p.payload)) for p in parked]
        self._db.executemany(
            "INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?, ?)",
            [tuple(_storable(value) for value in row) for row in rows],
        )

    # To the hub -----------------------------------------------------------------------------------------------------

    def unsent(self, limit: int) -> list[Outgoing]:
        """Events never published, in the order of change."""
        return self._outgoing("sent_at IS NULL", (), limit)

    def unsent_count(self) -> int:
        """How many events were never published."""
        row = self._db.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL").fetchone()
        return int(row[0])

    def overdue(self, now: int, resend_after_ms: int, limit: int) -> list[Outgoing]:
        """Events published, still without outcome, and due to be published again.

        Outcomes come in the order of publishing. So an event is overdue when a later one has its outcome, or when
        the hub has said nothing at all for that long; a hub that is merely behind is not sent everything twice.
        Each further try waits twice as long.
        """
        quiet = self._fact("answered_at", 0) + resend_after_ms <= now
        return self._outgoing(
            "outcome IS NULL AND sent_at + (? << min(tries - 1, 8)) <= ? AND (change < ? OR ?)",
            (resend_after_ms, now, self._fact("answered_change", 0), quiet),
            limit,
        )

    def _outgoing(self, where: str, values: tuple[Any, ...], limit: int) -> list[Outgoing]:
        rows = self._db.execute(
            "SELECT event_id, event, topic, key, value, headers, change FROM outbox "  # noqa: S608, no outside text
            f"WHERE {where} ORDER BY change LIMIT ?",
            (*values, limit),
        )
        return [Outgoing(r[0], r[1], r[2], r[3], r[4], _unpacked(r[5]), r[6]) for r in rows]

    def mark_sent(self, events: Sequence[Outgoing], now: int) -> None:
        """The broker has these."""
        with self._transaction() as db:
            new = db.executemany(
                "UPDATE outbox SET sent_at = ?, tries = tries + 1 WHERE change = ?",
                [(now, event.change) for event in events],
            ).rowcount
            self._add("published_total", new)

    # From the hub ---------------------------------------------------------------------------------------------------

    def inbox_position(self) -> tuple[int, int]:
        """Next offset to take, and the largest ledger seq taken."""
        return self._fact("inbox_position", 0), self._fact("inbox_seq", 0)

    def waiting(self, event_ids: Sequence[str]) -> dict[str, str | None]:
        """Which of these events are still in the outbox, with the outcome known so far (`parked` or None)."""
        marks = ", ".join("?" * len(event_ids))
        rows = self._db.execute(
            f"SELECT event_id, outcome FROM outbox WHERE event_id IN ({marks})",  # noqa: S608, marks only
            tuple(event_ids),
        )
        return dict(rows.fetchall())

    def refusal_seen(self, refusal: tuple[str, int, int]) -> bool:
        """Whether the refusal of that message was taken before."""
        row = self._db.execute(
            "SELECT 1 FROM refusals WHERE topic = ? AND partition = ? AND offset = ?", refusal
        ).fetchone()
        return row is not None

    def commit_inbox(self, taken: Taken, now: int) -> None:
        """The campus has the batch: events with their final outcome leave, and the position moves on."""
        with self._transaction() as db:
            answered = [(id,) for id in (*taken.done, *taken.waiting)]
            for row in answered:
                found = db.execute("SELECT change FROM outbox WHERE event_id = ?", row).fetchone()
                if found and found[0] > self._fact("answered_change", 0):
                    self._set("answered_change", found[0])
            if answered:
                self._set("answered_at", now)
            db.executemany("DELETE FROM outbox WHERE event_id = ?", [(id,) for id in taken.done])
            db.executemany(
                "UPDATE outbox SET outcome = 'parked' WHERE event_id = ?",
                [(id,) for id in taken.waiting],
            )
            db.executemany("INSERT OR IGNORE INTO refusals VALUES (?, ?, ?)", taken.refusals)
            self._park(taken.parked, now)
            self._add("applied_total", taken.applied)
            self._set("inbox_position", taken.position)
            self._set("inbox_seq", taken.seq)

    # For people -----------------------------------------------------------------------------------------------------

    def parked(self, *stages: str) -> list[Parked]:
        """What is parked, oldest first; of all stages if none is named."""
        rows = self._db.execute(
            "SELECT stage, id, reason, brief, payload FROM parked ORDER BY rowid"
        )
        return [
            Parked(r[0], r[1], r[2], r[3], json.loads(r[4]))
            for r in rows
            if not stages or r[0] in stages
        ]

    def parked_ids(self, stage: str) -> set[str]:
        """Names of what is parked at a stage."""
        rows = self._db.execute("SELECT id FROM parked WHERE stage = ?", (stage,))
        return {row[0] for row in rows}

    def parked_count(self) -> tuple[int, str]:
        """How many are parked, and what is wrong with the newest, in words that may leave the campus."""
        count: int = self._db.execute("SELECT count(*) FROM parked").fetchone()[0]
        row = self._db.execute("SELECT brief FROM parked ORDER BY rowid DESC LIMIT 1").fetchone()
        return count, "" if row is None else str(row[0])

    def unpark(self, stage: str, id: str) -> None:
        """It has passed after all."""
        self._db.execute("DELETE FROM parked WHERE stage = ? AND id = ?", (stage, id))

    def counts(self) -> Mapping[str, int]:
        """outbox_events, unsent_events, published_total, applied_total."""
        outbox, unsent = self._db.execute(
            "SELECT count(*), count(*) FILTER (WHERE sent_at IS NULL) FROM outbox"
        ).fetchone()
        return {
            "outbox_events": outbox,
            "unsent_events": unsent,
            "published_total": self._fact("published_total", 0),
            "applied_total": self._fact("applied_total", 0),
        }

    def cursors(self) -> dict[str, str]:
        """All cursors by source."""
        return dict(
            self._db.execute("SELECT source, cursor FROM cursors ORDER BY source").fetchall()
        )

    def say_health(self, state: str, reason: str, now: int) -> None:
        """Keep the newest health for `alliance connector status`."""
        with self._transaction():
            self._set("health", json.dumps([state, reason, now]))

    def health(self) -> tuple[str, str, int]:
        """State, reason and when it was said (milliseconds since 1970)."""
        state, reason, at = json.loads(self._fact("health", '["stopped", "", 0]'))
        return state, reason, at


def _packed(headers: Headers) -> str:
    return json.dumps([(name, value.decode("latin-1")) for name, value in headers])


def _unpacked(text: str) -> Headers:
    return [(name, value.encode("latin-1")) for name, value in json.loads(text)]


def _storable(value: Any) -> Any:
    """Text from elsewhere may hold half a surrogate pair, which no file can."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
