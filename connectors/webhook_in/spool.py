"""Messages that were accepted and not yet taken: a SQLite file beside the state file.

A message is on disk before its sender hears 2xx, and leaves when the page that took it is stored. Ids of messages are
remembered longer, so that one sent again is known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_TABLES = """
CREATE TABLE IF NOT EXISTS born (at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS waiting (
  number INTEGER PRIMARY KEY AUTOINCREMENT, webhook_id TEXT NOT NULL, sent_s INTEGER NOT NULL,
  received_ms INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS known (webhook_id TEXT PRIMARY KEY, received_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS known_by_time ON known (received_ms);
"""


class Taken(Enum):
    """What became of a message."""

    STORED = "stored"
    KNOWN = "known"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Message:
    """A genuine message as it came. `sent_s`: seconds since 1970, by the sender; `received_ms`: milliseconds, by us."""

    webhook_id: str
    sent_s: int
    received_ms: int
    body: bytes


class Spool:
    """The file of one source. Used by one process at a time, which the folder's lock sees to."""

    def __init__(self, path: Path, now_ms: int, *, readonly: bool = False) -> None:
        target = f"file:{path}?mode=ro" if readonly else path
        self._db = sqlite3.connect(target, isolation_level=None, uri=readonly)
        if not readonly:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")  # 2xx means that a power cut loses nothing
            self._db.execute("PRAGMA secure_delete=ON")  # records of students
            self._db.executescript(_TABLES)
            self._db.execute(
                "INSERT INTO born SELECT ? WHERE NOT EXISTS (SELECT 1 FROM born)", (now_ms,)
            )
        # A file that was lost and made again counts from 1 anew; its name keeps an old cursor from skipping that.
        (born_ms,) = self._db.execute("SELECT at_ms FROM born").fetchone()
        self.name = f"{born_ms:x}"

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def count(self) -> int:
        """Messages that wait."""
        return int(self._db.execute("SELECT count(*) FROM waiting").fetchone()[0])

    def accept(self, messages: Sequence[Message], limit: int) -> list[Taken]:
        """Store what is new, in one commit, as long as fewer than `limit` wait. Raises `sqlite3.Error`: nothing is stored."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            room = limit - self.count()
            found: list[Taken] = []
            for message in messages:
                taken = self._accept(message, room=room > 0)
                room -= taken is Taken.STORED
                found.append(taken)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return found

    def _accept(self, message: Message, *, room: bool) -> Taken:
        known = "SELECT 1 FROM known WHERE webhook_id = ?"
        if self._db.execute(known, (message.webhook_id,)).fetchone():
            return Taken.KNOWN
        if not room:
            return Taken.FULL
        self._db.execute(
            "INSERT INTO known VALUES (?, ?)", (message.webhook_id, message.received_ms)
        )
        self._db.execute(
            "INSERT INTO waiting (webhook_id, sent_s, received_ms, body) VALUES (?, ?, ?, ?)",
            (message.webhook_id, message.sent_s, message.received_ms, message.body),
        )
        return Taken.STORED

    def after(self, cursor: str | None, limit: int) -> list[tuple[str, Message]]:
        """Messages behind a cursor, oldest first, each with its own cursor."""
        name, _, number = (cursor or "").rpartition("-")
        after = int(number) if name == self.name and number.isdigit() else 0
        rows = self._db.execute(
            "SELECT number, webhook_id, sent_s, received_ms, body FROM waiting WHERE number > ? ORDER BY number LIMIT ?",
            (after, limit),
        )
        return [(f"{self.name}-{row[0]}", Message(*row[1:])) for row in rows]

    def forget(self, cursor: str, known_before_ms: int) -> None:
        """Drop messages up to a cursor of this file, and ids received before a time."""
        name, _, number = cursor.rpartition("-")
        if name == self.name and number.isdigit():
            self._db.execute("DELETE FROM waiting WHERE number <= ?", (int(number),))
        self._db.execute("DELETE FROM known WHERE received_ms < ?", (known_before_ms,))
