"""What must be forgettable: salts, data keys and private parts, in a file of their own (`private.db`, mode 0600).

Apart from `state.db`, because the two need opposite care: the state file may stand in every backup, and this one only in
backups that end, or an erased student's keys would live on there. Data keys lie in it wrapped for our own encryption
key, which is another file again. SQLite overwrites what is deleted (`secure_delete`); `scrub` rewrites the file and
empties its log, so that nothing of it is left in free pages.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connectors.sdk.state.scrub import scrubbed
from schemas.records import WrappedKey

_BUSY_S = 10.0  # `alliance erase` and a running connector write the same file
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS students (local_id TEXT PRIMARY KEY, salt BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pseudonyms (
  student_id TEXT PRIMARY KEY, local_id TEXT NOT NULL, host TEXT NOT NULL, purpose TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS data_keys (
  key_id TEXT PRIMARY KEY, student_id TEXT NOT NULL, home TEXT NOT NULL, host TEXT NOT NULL,
  ephemeral BLOB NOT NULL, sealed BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS data_keys_student ON data_keys (student_id, host);
CREATE TABLE IF NOT EXISTS payloads (
  number INTEGER PRIMARY KEY, student_id TEXT NOT NULL, event_id TEXT NOT NULL, ours INTEGER NOT NULL,
  value BLOB NOT NULL, sent_at INTEGER, UNIQUE (student_id, event_id));
CREATE INDEX IF NOT EXISTS payloads_unsent ON payloads (number) WHERE ours AND sent_at IS NULL;
CREATE TABLE IF NOT EXISTS reads (
  at INTEGER NOT NULL, key_id TEXT NOT NULL, event_id TEXT NOT NULL, purpose TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS erasures (
  event_id TEXT PRIMARY KEY, student_id TEXT NOT NULL, ours INTEGER NOT NULL, version INTEGER NOT NULL,
  key_ids TEXT NOT NULL, at INTEGER NOT NULL, backups_clear_at INTEGER NOT NULL, queued_at INTEGER);
CREATE INDEX IF NOT EXISTS erasures_student ON erasures (student_id);
"""


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A student's data key as it lies here: wrapped for us. `host` is the other university it is shared with."""

    key_id: str
    student_id: str
    home: str
    host: str
    wrapped: WrappedKey


@dataclass(frozen=True, slots=True)
class StoredPayload:
    """A payload as it stands, or will stand, in `private.payloads`; an empty value erases the one before."""

    student_id: str
    event_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that was carried out here. Times in milliseconds since 1970; `queued` once its event waits to be sent."""

    event_id: str
    student_id: str
    version: int
    key_ids: tuple[str, ...]
    at_ms: int
    backups_clear_ms: int
    queued: bool


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held of one pseudonym, and what its erasure will destroy."""

    student_id: str
    key_ids: tuple[str, ...]
    payloads: int


@dataclass(frozen=True, slots=True)
class Read:
    """A data key was taken out of its wrapping: when (milliseconds since 1970), for which event, for what."""

    at_ms: int
    key_id: str
    event_id: str
    purpose: str


class PrivateStore:
    """The file. One connection, one thread; every method is one transaction, or part of the one around it."""

    SYNCHRONOUS = "FULL"  # a commit survives the loss of power

    def __init__(self, path: Path, member: str) -> None:
        self._path = path
        self._member = member
        if not path.exists():
            os.close(
                os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            )  # SQLite gives its log the same mode
        self._db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
        self._depth = 0
        for pragma in ("journal_mode=WAL", f"synchronous={self.SYNCHRONOUS}", "secure_delete=ON"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Close the file; an open transaction is undone."""
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[sqlite3.Connection]:
        """One commit for all that happens inside."""
        if self._depth:
            yield self._db
            return
        self._begin()
        try:
            yield self._db
        except BaseException:
            self._depth = 0
            self._db.execute("ROLLBACK")
            raise
        self._depth = 0
        self._commit()

    def _begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._depth = 1

    def _commit(self) -> None:
        self._db.execute("COMMIT")

    # Pseudonyms -----------------------------------------------------------------------------------------------------

    def salt(self, local_id: str, fresh: bytes) -> bytes:
        """The student's salt; `fresh` becomes it if there is none."""
        with self.together() as db:
            db.execute("INSERT OR IGNORE INTO students VALUES (?, ?)", (local_id, fresh))
            row = db.execute("SELECT salt FROM students WHERE local_id = ?", (local_id,)).fetchone()
        return bytes(row[0])

    def keep_pseudonym(self, student_id: str, local_id: str, host: str, purpose: str) -> None:
        """Remember whose pseudonym it is: answers come back under it."""
        with self.together() as db:
            db.execute(
                "INSERT OR IGNORE INTO pseudonyms VALUES (?, ?, ?, ?)",
                (student_id, local_id, host, purpose),
            )

    def local_id(self, student_id: str) -> str | None:
        """Who a pseudonym is at our campus; None for another's, an erased one or one that the campus made itself."""
        row = self._db.execute(
            "SELECT local_id FROM pseudonyms WHERE student_id = ?", (student_id,)
        ).fetchone()
        return None if row is None else str(row[0])

    # Keys -----------------------------------------------------------------------------------------------------------

    def keep_key(self, key: HeldKey) -> None:
        """A key that we made, or that a home shared with us. One that is known stays as it is."""
        with self.together() as db:
            db.execute(
                "INSERT OR IGNORE INTO data_keys VALUES (?, ?, ?, ?, ?, ?)",
                (
                    key.key_id, key.student_id, key.home, key.host, key.wrapped.ephemeral,
                    key.wrapped.sealed,
                ),
            )  # fmt: skip

    def key(self, key_id: str) -> HeldKey | None:
        """The key of that name, or None."""
        return self._key("key_id = ?", key_id)

    def key_for(self, student_id: str, host: str) -> HeldKey | None:
        """The newest key of a student and the host that shares it, or None."""
        return self._key("student_id = ? AND host = ?", student_id, host)

    def _key(self, where: str, *values: str) -> HeldKey | None:
        row = self._db.execute(
            "SELECT key_id, student_id, home, host, ephemeral, sealed FROM data_keys "  # noqa: S608, no outside text
            f"WHERE {where} ORDER BY rowid DESC LIMIT 1",
            values,
        ).fetchone()
        if row is None:
            return None
        wrapped = WrappedKey(self._member, bytes(row[4]), bytes(row[5]))
        return HeldKey(row[0], row[1], row[2], row[3], wrapped)

    def note_read(self, read: Read) -> None:
        """Who looks after personal data must be able to say when it was read."""
        with self.together() as db:
            db.execute(
                "INSERT INTO reads VALUES (?, ?, ?, ?)",
                (read.at_ms, read.key_id, read.event_id, read.purpose),
            )

    def reads(self) -> list[Read]:
        """All unwrappings, oldest first."""
        rows = self._db.execute("SELECT at, key_id, event_id, purpose FROM reads ORDER BY rowid")
        return [Read(*row) for row in rows]

    # Payloads -------------------------------------------------------------------------------------------------------

    def keep_payload(self, payload: StoredPayload, *, ours: bool) -> None:
        """Ours will be published; another's is kept to be read. The first that came under a key stays."""
        with self.together() as db:
            db.execute(
                "INSERT OR IGNORE INTO payloads (student_id, event_id, ours, value) VALUES (?, ?, ?, ?)",
                (payload.student_id, payload.event_id, ours, payload.value),
            )

    def payload(self, student_id: str, event_id: str) -> bytes | None:
        """The framed payload; empty when it was erased, None when it never came."""
        row = self._db.execute(
            "SELECT value FROM payloads WHERE student_id = ? AND event_id = ?",
            (student_id, event_id),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def unsent(self, limit: int) -> list[StoredPayload]:
        """Payloads and erasing messages that the broker does not have yet, in the order they were made."""
        rows = self._db.execute(
            "SELECT student_id, event_id, value FROM payloads WHERE ours AND sent_at IS NULL "
            "ORDER BY number LIMIT ?",
            (limit,),
        )
        return [StoredPayload(row[0], row[1], bytes(row[2])) for row in rows]

    def mark_sent(self, payloads: Sequence[StoredPayload], now_ms: int) -> None:
        """The broker has these; one that was erased meanwhile still waits."""
        with self.together() as db:
            db.executemany(
                "UPDATE payloads SET sent_at = ? WHERE student_id = ? AND event_id = ? AND value = ?",
                [(now_ms, p.student_id, p.event_id, p.value) for p in payloads],
            )

    def position(self) -> int:
        """The next offset of `private.payloads` to take."""
        row = self._db.execute("SELECT value FROM facts WHERE name = 'position'").fetchone()
        return 0 if row is None else int(row[0])

    def move_on(self, position: int) -> None:
        """Taken up to here."""
        with self.together() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES ('position', ?)", (position,))

    # Erasure --------------------------------------------------------------------------------------------------------

    def holdings(self, student: str) -> list[Holding]:
        """What is held of a student: `student` is a pseudonym, or the campus's own id, which may have several."""
        names = [
            row[0]
            for row in self._db.execute(
                "SELECT student_id FROM pseudonyms WHERE local_id = ?1 OR student_id = ?1 "
                "UNION SELECT student_id FROM data_keys WHERE student_id = ?1 "
                "UNION SELECT student_id FROM payloads WHERE student_id = ?1 AND length(value) > 0 "
                "ORDER BY 1",
                (student,),
            )
        ]
        return [Holding(name, self._key_ids(name), self._payload_count(name)) for name in names]

    def names(self, student: str) -> set[str]:
        """All names of a student that are known here: our own id and the pseudonyms; `student` is one of them."""
        rows = self._db.execute(
            "SELECT local_id, student_id FROM pseudonyms WHERE local_id = ?1 OR local_id = "
            "(SELECT local_id FROM pseudonyms WHERE student_id = ?1)",
            (student,),
        )
        return {student, *(name for row in rows for name in row)}

    def _key_ids(self, student_id: str) -> tuple[str, ...]:
        rows = self._db.execute(
            "SELECT key_id FROM data_keys WHERE student_id = ? ORDER BY key_id", (student_id,)
        )
        return tuple(row[0] for row in rows)

    def _payload_count(self, student_id: str) -> int:
        row = self._db.execute(
            "SELECT count(*) FROM payloads WHERE student_id = ? AND length(value) > 0",
            (student_id,),
        ).fetchone()
        return int(row[0])

    def erase(
        self,
        student_id: str,
        event_id: str,
        at_ms: int,
        backups_clear_ms: int,
        *,
        queued: bool = False,
    ) -> Erasure:
        """Destroy what is held of one of our students, in one commit: salt, pseudonym, data keys, private parts.

        In the same commit each payload becomes an erasing message that waits to be sent, and the erasure is noted, so
        that its event can be made after any crash; `queued` if the campus has made it. The same event id again changes
        nothing. A student's salt goes with the first of the pseudonyms.
        """
        known = [erasure for erasure in self.erasures() if erasure.event_id == event_id]
        if known:
            return known[0]
        with self.together() as db:
            key_ids = self._destroy(db, student_id)
            row = db.execute("SELECT local_id FROM pseudonyms WHERE student_id = ?", (student_id,))
            for (local_id,) in row.fetchall():
                db.execute("DELETE FROM students WHERE local_id = ?", (local_id,))
            db.execute("DELETE FROM pseudonyms WHERE student_id = ?", (student_id,))
            db.execute(
                "UPDATE payloads SET value = x'', ours = 1, sent_at = NULL WHERE student_id = ? AND length(value) > 0",
                (student_id,),
            )
            version = 1 + int(
                db.execute(
                    "SELECT count(*) FROM erasures WHERE student_id = ?", (student_id,)
                ).fetchone()[0]
            )
            db.execute(
                "INSERT INTO erasures VALUES (?, ?, 1, ?, ?, ?, ?, ?)",
                (
                    event_id, student_id, version, json.dumps(key_ids), at_ms, backups_clear_ms,
                    at_ms if queued else None,
                ),
            )  # fmt: skip
            self._scrub_later(db)
        return Erasure(
            event_id, student_id, version, key_ids, at_ms, backups_clear_ms, queued=queued
        )

    def forget(self, student_id: str, home: str, event_id: str, at_ms: int) -> int:
        """Destroy our copies of keys and private parts of another's student, whose home said so. How many keys there were."""
        with self.together() as db:
            owners = db.execute(
                "SELECT count(*) FROM data_keys WHERE student_id = ? AND home <> ?",
                (student_id, home),
            ).fetchone()[0]
            if owners:
                return 0  # another's student: its own home has not said so
            key_ids = self._destroy(db, student_id)
            db.execute(
                "UPDATE payloads SET value = x'', ours = 0 WHERE student_id = ?", (student_id,)
            )
            db.execute(
                "INSERT OR IGNORE INTO erasures VALUES (?, ?, 0, 0, ?, ?, ?, ?)",
                (event_id, student_id, json.dumps(key_ids), at_ms, at_ms, at_ms),
            )
            self._scrub_later(db)
        return len(key_ids)

    def _destroy(self, db: sqlite3.Connection, student_id: str) -> tuple[str, ...]:
        key_ids = self._key_ids(student_id)
        db.execute(
            "UPDATE data_keys SET ephemeral = zeroblob(length(ephemeral)), sealed = zeroblob(length(sealed)) "
            "WHERE student_id = ?",
            (student_id,),
        )
        db.execute("DELETE FROM data_keys WHERE student_id = ?", (student_id,))
        return key_ids

    def _scrub_later(self, db: sqlite3.Connection) -> None:
        db.execute("INSERT OR REPLACE INTO facts VALUES ('scrub', 1)")

    def scrub(self) -> bool:
        """Rewrite the file and empty its log, if something was destroyed since. False: another process reads; again later."""
        row = self._db.execute("SELECT value FROM facts WHERE name = 'scrub'").fetchone()
        if row is None:
            return True
        if not scrubbed(self._db):
            return False
        with self.together() as db:
            db.execute("DELETE FROM facts WHERE name = 'scrub'")
        return True

    def is_erased(self, student_id: str) -> bool:
        """Whether a student was erased: what still comes of one is not kept."""
        row = self._db.execute(
            "SELECT 1 FROM erasures WHERE student_id = ? LIMIT 1", (student_id,)
        ).fetchone()
        return row is not None

    def erasures(self) -> list[Erasure]:
        """Erasures of our own students, oldest first."""
        rows = self._db.execute(
            "SELECT event_id, student_id, version, key_ids, at, backups_clear_at, queued_at FROM erasures "
            "WHERE ours ORDER BY rowid"
        )
        return [
            Erasure(r[0], r[1], r[2], tuple(json.loads(r[3])), r[4], r[5], r[6] is not None)
            for r in rows
        ]

    def erase_payload(self, student_id: str, event_id: str) -> None:
        """An erasing message for a payload that came for a student erased before."""
        with self.together() as db:
            db.execute(
                "INSERT OR IGNORE INTO payloads (student_id, event_id, ours, value) VALUES (?, ?, 1, x'')",
                (student_id, event_id),
            )

    def mark_queued(self, event_id: str, now_ms: int) -> None:
        """The erasure's event stands in the outbox."""
        with self.together() as db:
            db.execute("UPDATE erasures SET queued_at = ? WHERE event_id = ?", (now_ms, event_id))

    def unsent_erasing(self) -> int:
        """How many erasing messages wait to be sent."""
        row = self._db.execute(
            "SELECT count(*) FROM payloads WHERE ours AND sent_at IS NULL AND length(value) = 0"
        ).fetchone()
        return int(row[0])
