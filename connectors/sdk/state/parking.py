"""What could not pass, why, and what waits behind it: tables `parked`, `dropped` and `breakers` of the state file.

Owns the order of parked things. Things of one key form a queue: its head could not pass, the rest never had its turn and
must not overtake it. A head leaves by passing or by being dropped; then the next one's turn is at once. Things without a
key stand alone. The commits are `State`'s.

A head with a `due_at` is not parked for good: it is tried again then, without anyone's help.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS parked (
  number INTEGER PRIMARY KEY AUTOINCREMENT, part TEXT NOT NULL, stage TEXT NOT NULL, id TEXT NOT NULL, key TEXT,
  code TEXT NOT NULL, fingerprint TEXT NOT NULL, reason TEXT NOT NULL, brief TEXT NOT NULL, payload TEXT NOT NULL,
  contents BLOB, attempts INTEGER NOT NULL, redrives INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
  due_at INTEGER, since INTEGER, UNIQUE (part, stage, id));
CREATE INDEX IF NOT EXISTS parked_keys ON parked (part, key, number) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS parked_due ON parked (part, due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS dropped (
  number INTEGER PRIMARY KEY, part TEXT NOT NULL, key TEXT, stage TEXT NOT NULL, code TEXT NOT NULL,
  digest TEXT NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS breakers (
  part TEXT PRIMARY KEY, reason TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
"""
INDEX = "parked_due"  # the newest thing of this layout: a file that has it needs no upgrade

BLOCKED = "BLOCKED"  # never tried: an earlier one of its key is parked
MAP, SINK_REJECTED, RETRY_BUDGET = "MAP", "SINK_REJECTED", "RETRY_BUDGET"
NOT_NOW = "NOT_NOW"  # tried again by itself
READ, VERIFY, EVENT_ID_REUSED = "READ", "VERIFY", "EVENT_ID_REUSED"
INBOX = "inbox"  # the part of messages that never got as far as a sink
CODES = {
    "map": MAP, "push": SINK_REJECTED, "read": READ, "verify": VERIFY, "reused": EVENT_ID_REUSED
}  # fmt: skip

_FIELDS = (
    "stage, id, reason, brief, payload, part, key, code, contents, due_at, since, number, attempts, redrives, "
    "first_at, last_at"
)
_HEAD = "(p.key IS NULL OR p.number = (SELECT min(number) FROM parked h WHERE h.part = p.part AND h.key = p.key))"
_QUEUE = "CASE WHEN p.key IS NULL THEN 1 ELSE (SELECT count(*) FROM parked q WHERE q.part = p.part AND q.key = p.key) END"
_UPSERT = """
INSERT INTO parked (part, stage, id, key, code, fingerprint, reason, brief, payload, contents, attempts, redrives, first_at,
  last_at, due_at, since)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)
ON CONFLICT (part, stage, id) DO UPDATE SET
  payload = excluded.payload, contents = excluded.contents, key = excluded.key, last_at = excluded.last_at
"""
_STILL_BLOCKED = (
    ", due_at = CASE WHEN payload <> excluded.payload THEN excluded.last_at ELSE due_at END"
)
_FAILED_AGAIN = (
    ", code = excluded.code, fingerprint = excluded.fingerprint, reason = excluded.reason, brief = excluded.brief, "
    "attempts = attempts + 1, due_at = excluded.due_at, since = coalesce(since, excluded.since)"
)


@dataclass(frozen=True, slots=True)
class Parked:
    """One thing that could not pass, with why. Times in milliseconds since 1970.

    `stage` is map, reused, read, verify or push; `payload` is JSON to try again; `part` is `source.x`, `sink.x` or `inbox`.
    `brief` and `code` hold no values, so they may leave the campus. `contents` is the hash of what a record held, where
    only its newest contents count. `since` is when it began to be tried by itself. What the table alone knows is 0 before.
    """

    stage: str
    id: str
    reason: str
    brief: str
    payload: Any
    part: str = ""
    key: str | None = None
    code: str = ""
    contents: bytes | None = None
    due_at: int | None = None
    since: int | None = None
    number: int = 0
    attempts: int = 1
    redrives: int = 0
    first_at: int = 0
    last_at: int = 0

    @property
    def fingerprint(self) -> str:
        """The same for all that have one cause: part, code, and the field or file at fault. No values."""
        return sha256(f"{self.part}\n{self.code}\n{self.brief}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Failure:
    """A parked thing was tried again in vain. With `due_at` it will be tried then, by itself (ms since 1970)."""

    number: int
    reason: str
    brief: str
    code: str
    due_at: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which parked things are meant: all that fit what is given. `cause` is a fingerprint or a code."""

    part: str | None = None
    number: int | None = None
    cause: str | None = None
    key: str | None = None
    due_before: int | None = None
    ripe_at: int | None = None  # not what is to be tried by itself later than this

    def clause(self) -> tuple[str, tuple[Any, ...]]:
        """As SQL over `parked p`."""
        parts: list[str] = ["1"]
        values: list[Any] = []
        for name in ("part", "number", "key"):
            if (value := getattr(self, name)) is not None:
                parts.append(f"p.{name} = ?")
                values.append(value)
        if self.cause is not None:
            parts.append("(p.fingerprint = ? OR p.code = ?)")
            values += [self.cause, self.cause]
        if self.due_before is not None:
            parts.append("p.due_at <= ?")
            values.append(self.due_before)
        if self.ripe_at is not None:
            parts.append("(p.due_at IS NULL OR p.due_at <= ?)")
            values.append(self.ripe_at)
        return " AND ".join(parts), tuple(values)


@dataclass(frozen=True, slots=True)
class Cause:
    """Parked things of one cause. `keys` counts heads, `things` also what waits behind them; `waiting` heads are retried by themselves."""

    part: str
    code: str
    fingerprint: str
    keys: int
    things: int
    waiting: int
    oldest_at: int
    brief: str
    first: int


class Parking:
    """The tables, on the connection of a `State`; methods that change something run inside its commits.

    Which keys are held is known without asking the file. Another process may let go of some (`alliance erase`): then more
    is parked than need be, and tried again at once.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._held: dict[str, set[str]] = {}
        self._parts: set[str] = set()
        self._touched: set[tuple[str, str | None]] = set()
        for part, key in db.execute("SELECT DISTINCT part, key FROM parked"):
            self._parts.add(part)
            if key is not None:
                self._held.setdefault(part, set()).add(key)

    # Reading --------------------------------------------------------------------------------------------------------

    def held(self, part: str) -> Collection[str]:
        """Keys of a part that something parked holds."""
        return self._held.get(part, ())

    def has(self, part: str) -> bool:
        """Whether a part has anything parked."""
        return part in self._parts

    def among(self, part: str, ids: Sequence[str]) -> dict[str, bytes | None]:
        """Those of these records that are parked, with the hash of their contents where only the newest count."""
        if not self.has(part):
            return {}
        rows = self._db.execute(
            "SELECT id, contents FROM parked WHERE part = ? AND stage = 'map' AND id IN (SELECT value FROM json_each(?))",
            (part, json.dumps(ids)),
        )
        return dict(rows.fetchall())

    def rows(self, choice: Choice | None = None, *, heads: bool = False) -> list[Parked]:
        """What is parked, oldest first; with `heads` only what is not behind another."""
        clause, values = (choice or Choice()).clause()
        head = f" AND {_HEAD}" if heads else ""
        found = self._db.execute(
            f"SELECT {_FIELDS} FROM parked p WHERE {clause}{head} ORDER BY number",  # noqa: S608, no outside text
            values,
        )
        return [_row(row) for row in found]

    def heads(self, choice: Choice) -> list[tuple[int, str | None]]:
        """Numbers and keys of the heads that are meant, oldest first."""
        clause, values = choice.clause()
        found = self._db.execute(
            f"SELECT number, key FROM parked p WHERE {clause} AND {_HEAD} ORDER BY number",  # noqa: S608, no outside text
            values,
        )
        return [(row[0], row[1]) for row in found]

    def queue(self, part: str, key: str, limit: int = -1) -> list[Parked]:
        """The first of a key, in order."""
        found = self._db.execute(
            f"SELECT {_FIELDS} FROM parked WHERE part = ? AND key = ? ORDER BY number LIMIT ?",  # noqa: S608, no outside text
            (part, key, limit),
        )
        return [_row(row) for row in found]

    def size(self, part: str, key: str) -> int:
        """How many wait in a key's queue, its head included."""
        return int(
            self._one("SELECT count(*) FROM parked WHERE part = ? AND key = ?", part, key)[0]
        )

    def row(self, number: int) -> Parked | None:
        """One parked thing."""
        return next(iter(self.rows(Choice(number=number))), None)

    def head_of(self, row: Parked) -> int:
        """The number of the head that a parked thing waits behind; its own if it is the head."""
        if row.key is None:
            return row.number
        return self.queue(row.part, row.key, 1)[0].number

    def next_due(self, parts: Sequence[str]) -> int | None:
        """When the next head of these parts is to be tried again (ms since 1970)."""
        marks = ", ".join("?" * len(parts))
        row = self._db.execute(
            f"SELECT min(due_at) FROM parked p WHERE part IN ({marks}) AND due_at IS NOT NULL AND {_HEAD}",  # noqa: S608, marks only
            tuple(parts),
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def count(self) -> tuple[int, str]:
        """How many are parked until a person acts, and what is wrong with the newest, in words that may leave the campus."""
        if not self._parts:
            return 0, ""
        count: int = self._db.execute("SELECT count(*) FROM parked").fetchone()[0]
        row = self._db.execute(
            "SELECT brief FROM parked WHERE due_at IS NULL AND code <> ? ORDER BY number DESC LIMIT 1",
            (BLOCKED,),
        ).fetchone()
        return count - self.waiting()[0], "" if row is None else str(row[0])

    def waiting(self) -> tuple[int, str]:
        """How many will be tried without anyone's help: due heads and what is behind them; and why the newest waits."""
        if not self._parts:
            return 0, ""
        row = self._db.execute(
            f"SELECT coalesce(sum({_QUEUE}), 0) FROM parked p WHERE due_at IS NOT NULL AND {_HEAD}"  # noqa: S608, no outside text
        ).fetchone()
        newest = self._one(
            "SELECT brief FROM parked WHERE due_at IS NOT NULL ORDER BY number DESC LIMIT 1"
        )
        return int(row[0]), "" if newest is None else str(newest[0])

    def causes(self) -> list[Cause]:
        """What is parked, by cause; most first."""
        found = self._db.execute(
            "SELECT part, code, fingerprint, count(*), sum(queue), sum(due_at IS NOT NULL), min(first_at), min(number) "  # noqa: S608, no outside text
            f"FROM (SELECT p.*, {_QUEUE} AS queue FROM parked p WHERE {_HEAD}) GROUP BY part, code, fingerprint "
            "ORDER BY sum(queue) DESC, min(number)"
        ).fetchall()
        causes = []
        for part, code, mark, keys, things, waiting, oldest_at, first in found:
            (brief,) = self._one("SELECT brief FROM parked WHERE number = ?", first)
            causes.append(Cause(part, code, mark, keys, things, waiting, oldest_at, brief, first))
        return causes

    def by_part(self) -> dict[str, tuple[int, int]]:
        """For each part with something parked: how many heads, and how many things in all."""
        if not self._parts:
            return {}
        found = self._db.execute(
            f"SELECT part, count(*), sum({_QUEUE}) FROM parked p WHERE {_HEAD} GROUP BY part"  # noqa: S608, no outside text
        )
        return {row[0]: (row[1], row[2]) for row in found}

    def new_heads(self, part: str, after: int) -> list[int]:
        """When the heads of a part were parked, those after a time (ms since 1970), oldest first."""
        found = self._db.execute(
            "SELECT first_at FROM parked WHERE part = ? AND first_at > ? AND code <> ? ORDER BY first_at",
            (part, after, BLOCKED),
        )
        return [row[0] for row in found]

    def about(self, names: Collection[str]) -> list[Parked]:
        """The campus's own records that could not be mapped and mention one of these names."""
        return [
            row
            for row in self.rows()
            if row.stage == "map"
            and (mentions(row.payload["data"], names) or mentions(row.key, names))
        ]

    def dropped(self) -> list[dict[str, Any]]:
        """What people dropped, newest first: number, part, key, stage, code, digest, by, why, at."""
        found = self._db.execute(
            "SELECT number, part, key, stage, code, digest, by, why, at FROM dropped ORDER BY at DESC, number DESC"
        )
        names = ("number", "part", "key", "stage", "code", "digest", "by", "why", "at")
        return [dict(zip(names, row, strict=True)) for row in found]

    # Changes, within a commit ---------------------------------------------------------------------------------------

    def park(self, rows: Sequence[Parked], now: int) -> None:
        """Park these, in order. One that is parked already keeps its place and is counted once more."""
        for row in rows:
            again = _STILL_BLOCKED if row.code == BLOCKED else _FAILED_AGAIN
            values = (
                row.part, row.stage, row.id, row.key, row.code, row.fingerprint, row.reason, row.brief,
                json.dumps(row.payload), row.contents, 0 if row.code == BLOCKED else 1, now, now, row.due_at, row.since,
            )  # fmt: skip
            self._db.execute(_UPSERT + again, tuple(_storable(value) for value in values))
            self._touched.add((row.part, _storable(row.key)))
        for part, key in {(row.part, row.key) for row in rows if row.code == BLOCKED}:
            # Whatever held this key may have gone meanwhile, with an erased student: it is the head, then.
            self._db.execute(
                f"UPDATE parked AS p SET due_at = ? WHERE part = ? AND key = ? AND code = ? AND {_HEAD}",  # noqa: S608, no outside text
                (now, part, key, BLOCKED),
            )

    def passed(self, numbers: Sequence[int], now: int) -> None:
        """These are through. Of each key the next one's turn is at once."""
        for number in numbers:
            row = self._db.execute(
                "DELETE FROM parked WHERE number = ? RETURNING part, key", (number,)
            ).fetchone()
            if row is not None:
                self._free(row[0], row[1], now)

    def mended(self, part: str, ids: Sequence[str], now: int) -> None:
        """Records of these names passed after all, or their newest contents did."""
        for id in ids:
            row = self._db.execute(
                "DELETE FROM parked WHERE part = ? AND stage = 'map' AND id = ? RETURNING key",
                (part, id),
            ).fetchone()
            if row is not None:
                self._free(part, row[0], now)

    def _free(self, part: str, key: str | None, now: int) -> None:
        self._touched.add((part, key))
        if key is not None:
            self._db.execute(
                "UPDATE parked SET due_at = ? WHERE code = ? AND number = "
                "(SELECT min(number) FROM parked WHERE part = ? AND key = ?)",
                (now, BLOCKED, part, key),
            )

    def failed(self, failures: Sequence[Failure], now: int, *, commanded: bool) -> None:
        """Heads that were tried again in vain stay where they are. A person's attempts are counted apart."""
        for one in failures:
            found = self._one("SELECT part FROM parked WHERE number = ?", one.number)
            if found is None:  # gone meanwhile, with an erased student
                continue
            mark = Parked("", "", "", one.brief, None, found[0], code=one.code).fingerprint
            self._db.execute(
                "UPDATE parked SET reason = ?1, brief = ?2, code = ?3, fingerprint = ?4, attempts = attempts + 1, "
                "redrives = redrives + ?5, last_at = ?6, due_at = ?7, "
                "since = CASE WHEN ?7 IS NOT NULL THEN coalesce(since, ?6) END WHERE number = ?8",
                (
                    _storable(one.reason), one.brief, one.code, mark, int(commanded), now, one.due_at, one.number,
                ),
            )  # fmt: skip

    def drop(self, row: Parked, by: str, why: str, now: int) -> None:
        """A person gives it up. Who, when and why stay, and a hash of what it was."""
        digest = sha256(json.dumps(row.payload, sort_keys=True).encode()).hexdigest()
        self._db.execute(
            "INSERT INTO dropped VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row.number, row.part, row.key, row.stage, row.code, digest, by, why, now),
        )
        self.passed([row.number], now)

    def forget(self, names: Collection[str]) -> list[str]:
        """Drop what `about` finds, and the names in what was dropped before; ids of the former."""
        rows = self.about(names)
        self.passed([row.number for row in rows], 0)
        for number, key in self._db.execute(
            "SELECT number, key FROM dropped WHERE key IS NOT NULL"
        ).fetchall():
            if mentions(key, names):
                self._db.execute("UPDATE dropped SET key = NULL WHERE number = ?", (number,))
        return [row.id for row in rows]

    def settled(self) -> None:
        """The commit is done, or undone: what is known of the keys it touched is read again."""
        for part, key in self._touched:
            if self._one("SELECT 1 FROM parked WHERE part = ? LIMIT 1", part):
                self._parts.add(part)
            else:
                self._parts.discard(part)
            if key is None:
                continue
            keys = self._held.setdefault(part, set())
            if self._one("SELECT 1 FROM parked WHERE part = ? AND key = ? LIMIT 1", part, key):
                keys.add(key)
            else:
                keys.discard(key)
        self._touched.clear()

    # Breakers -------------------------------------------------------------------------------------------------------

    def breakers(self) -> dict[str, tuple[str, int]]:
        """Of each part whose breaker ever opened: why it is open (empty: it is closed), and since when (ms since 1970)."""
        found = self._db.execute("SELECT part, reason, at FROM breakers")
        return {row[0]: (row[1], row[2]) for row in found}

    def set_breaker(self, part: str, reason: str, now: int) -> None:
        """Open, for this reason, or closed (no reason)."""
        self._db.execute("INSERT OR REPLACE INTO breakers VALUES (?, ?, ?)", (part, reason, now))

    def _one(self, query: str, *values: Any) -> Any:
        return self._db.execute(query, values).fetchone()


def _row(row: Sequence[Any]) -> Parked:
    return Parked(row[0], row[1], row[2], row[3], json.loads(row[4]), *row[5:])


def upgrade(db: sqlite3.Connection) -> None:
    """Bring a table `parked` of an earlier version into this layout. What was parked stays parked, each alone."""
    columns = {row[1] for row in db.execute("PRAGMA table_info(parked)")}
    if not columns or "number" in columns:
        return
    db.execute("BEGIN IMMEDIATE")
    before = db.execute(
        "SELECT stage, id, reason, brief, payload, at FROM parked ORDER BY rowid"
    ).fetchall()
    db.execute("DROP TABLE parked")
    for statement in TABLES.split(";")[:-1]:
        db.execute(statement)
    for stage, id, reason, brief, payload, at in before:
        part, code = (
            _part_before(stage, brief, json.loads(payload)),
            CODES.get(stage, stage.upper()),
        )
        row = Parked(stage, id, reason, brief, None, part, code=code)
        values = (part, stage, id, None, code, row.fingerprint, reason, brief, payload, None, 1, at, at, None, None)  # fmt: skip
        db.execute(_UPSERT, values)
    db.execute("COMMIT")


def _part_before(stage: str, brief: str, payload: Any) -> str:
    if stage == "map":
        return f"source.{payload['source']}"
    return brief.partition(":")[0] if stage == "push" else INBOX


def mentions(data: Any, names: Collection[str]) -> bool:
    """Whether a campus's record holds one of the names: as a value or a key, or as a whole word of a longer text.

    The number 42 is no mention of 7421042, and none of 42.5.
    """
    if isinstance(data, Mapping):
        return any(mentions(key, names) or mentions(value, names) for key, value in data.items())
    if isinstance(data, list):
        return any(mentions(item, names) for item in data)
    if data is None or isinstance(data, bool):
        return False
    text = str(data)
    return any(name and _has_word(text, name) for name in names)


def _has_word(text: str, name: str) -> bool:
    if name not in text:
        return False
    # ASCII: Chinese text has no spaces around a number.
    whole = rf"(?<![\w.-]){re.escape(name)}(?![\w-])(?!\.\w)"
    return re.search(whole, text, re.ASCII) is not None


def _storable(value: Any) -> Any:
    """Text from elsewhere may hold half a surrogate pair, which no file can."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
