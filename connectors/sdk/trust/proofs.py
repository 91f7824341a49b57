"""What a connector keeps because it trusts nobody: promises, receipts, evidence, what it cosigned, keys it learned.

Owns these tables of the state file and how they change; the commits are `State`'s. Whoever audits a campus reads them:

    promises, promise_notes   hash of an event still in the outbox -> merge_by (ms since 1970), and the promise, framed, once
    receipts, checkpoints     event id and index of an entry -> its way to the root, and the signed checkpoint once
    evidence                  what the ledger said that cannot be true, with the bytes that show it
    witnessed                 signed checkpoints we stand by, by origin and size; the largest is what we know of the log
    member_keys               keys that members added or revoked since `alliance.toml`
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from schemas.tlog.merkle import EMPTY_ROOT

TABLES = """
CREATE TABLE IF NOT EXISTS promise_notes (id INTEGER PRIMARY KEY, value BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS promises (event_hash BLOB PRIMARY KEY, merge_by INTEGER NOT NULL, note INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoints (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, note BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS receipts (
  event_id TEXT NOT NULL, idx INTEGER NOT NULL, outcome TEXT NOT NULL, event_hash BLOB NOT NULL, leaf_hash BLOB NOT NULL,
  entry BLOB NOT NULL, path BLOB NOT NULL, checkpoint INTEGER NOT NULL, PRIMARY KEY (event_id, idx)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS evidence (
  number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, event_id TEXT NOT NULL,
  reason TEXT NOT NULL, brief TEXT NOT NULL, payload BLOB NOT NULL, digest BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS witnessed (
  origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL, PRIMARY KEY (origin, size)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS member_keys (
  key_id TEXT PRIMARY KEY, member TEXT NOT NULL, public BLOB, valid INTEGER NOT NULL) WITHOUT ROWID;
"""
EVIDENCE_LIMIT = 1_000  # rows; who floods us with nonsense must not fill the disk
WITNESSED_LIMIT = 1_000  # checkpoints of an origin whose roots we can still hold against another
RETRIED = "receipt"  # evidence of this kind is looked at again by each start: alliance.toml may have been behind
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Promised:
    """A promise of the hub, verified: its framed bytes, and the events it covers. Time in milliseconds since 1970."""

    value: bytes
    merge_by: int
    event_hashes: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Held:
    """A verified receipt. `index` is the entry's seq less one, `checkpoint` the cosigned note it leads to."""

    event_id: str
    index: int
    outcome: str
    event_hash: bytes
    leaf_hash: bytes
    entry: bytes
    path: Sequence[bytes]
    size: int
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that an honest hub does not say. `brief` may leave the campus; `payload` are the bytes that show it.

    `kind`: receipt (does not prove what it should), promise (not the hub's), outcome (other than the ledger's),
    equivocation (two logs under one name), inconsistent (a checkpoint that is not shown to extend what we stand by).
    """

    kind: str
    event_id: str
    reason: str
    brief: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class LearnedKey:
    """A key that a member added (`valid`) or revoked after `alliance.toml` was written. `public` None: known from there."""

    key_id: str
    member: str
    public: bytes | None
    valid: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What we stand by: the largest checkpoint of a log that we verified, and its signed note (empty before the first)."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    note: bytes = b""


@dataclass(slots=True)
class Proven:
    """What a batch of the inbox brings besides deliveries."""

    promises: list[Promised] = field(default_factory=list)
    receipts: list[Held] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    keys: list[LearnedKey] = field(default_factory=list)

    def add(self, more: Proven) -> None:
        """As one with what another message brought."""
        self.promises += more.promises
        self.receipts += more.receipts
        self.evidence += more.evidence
        self.keys += more.keys


class Proofs:
    """The tables, on the connection of a `State`; methods that change something run inside its commits."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    # Changes, within a commit ---------------------------------------------------------------------------------------

    def take(self, proven: Proven, now: int) -> None:
        """Store what was proven; nothing stored twice."""
        for promise in proven.promises:
            self._promise(promise)
        for receipt in proven.receipts:
            self._receipt(receipt)
        self.accuse(proven.evidence, now)
        self._db.executemany(
            "INSERT OR REPLACE INTO member_keys VALUES (?, ?, ?, ?)",
            [(key.key_id, key.member, key.public, key.valid) for key in proven.keys],
        )

    def _promise(self, promise: Promised) -> None:
        """Only what is still on its way needs a promise; the earliest promise binds."""
        wanted = [
            one
            for one in promise.event_hashes
            if self._one("SELECT 1 FROM outbox WHERE hash = ?", one)
            and not self._one("SELECT 1 FROM promises WHERE event_hash = ?", one)
        ]
        if not wanted:
            return
        self._db.execute("INSERT OR IGNORE INTO promise_notes (value) VALUES (?)", (promise.value,))
        (number,) = self._one("SELECT id FROM promise_notes WHERE value = ?", promise.value)
        self._db.executemany(
            "INSERT INTO promises VALUES (?, ?, ?)",
            [(one, promise.merge_by, number) for one in wanted],
        )

    def _receipt(self, held: Held) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO checkpoints (size, note) VALUES (?, ?)",
            (held.size, held.checkpoint),
        )
        (number,) = self._one("SELECT id FROM checkpoints WHERE note = ?", held.checkpoint)
        self._db.execute(
            "INSERT OR IGNORE INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                held.event_id, held.index, held.outcome, held.event_hash, held.leaf_hash,
                zlib.compress(held.entry), b"".join(held.path), number,
            ),
        )  # fmt: skip

    def accuse(self, found: Iterable[Evidence], now: int) -> None:
        """Keep evidence, each once."""
        for one in found:
            full = self.evidence_count() >= EVIDENCE_LIMIT
            digest = sha256(f"{one.kind}\n{one.event_id}\n".encode() + one.payload).digest()
            if not full:
                self._db.execute(
                    "INSERT OR IGNORE INTO evidence (at, kind, event_id, reason, brief, payload, digest) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (now, one.kind, one.event_id, one.reason, one.brief, one.payload, digest),
                )

    def drop_evidence(self, number: int) -> None:
        """It turned out to be none, or people have settled it."""
        self._db.execute("DELETE FROM evidence WHERE number = ?", (number,))

    def forget_promise(self, event_hash: bytes) -> None:
        """The promise was kept."""
        found = self._one("SELECT note FROM promises WHERE event_hash = ?", event_hash)
        if found is None:
            return
        self._db.execute("DELETE FROM promises WHERE event_hash = ?", (event_hash,))
        if not self._one("SELECT 1 FROM promises WHERE note = ? LIMIT 1", found[0]):
            self._db.execute("DELETE FROM promise_notes WHERE id = ?", found)

    def stand_by(self, origin: str, known: Known) -> None:
        """From now on this checkpoint is what we know of the log."""
        self._db.execute(
            "INSERT INTO witnessed VALUES (?, ?, ?, ?)",
            (origin, known.size, known.root, known.note),
        )
        self._db.execute(
            "DELETE FROM witnessed WHERE origin = ? AND size <= "
            "(SELECT size FROM witnessed WHERE origin = ? ORDER BY size DESC LIMIT 1 OFFSET ?)",
            (origin, origin, WITNESSED_LIMIT),
        )

    # Reading --------------------------------------------------------------------------------------------------------

    def known(self, origin: str) -> Known:
        """The largest checkpoint of a log that we stand by."""
        row = self._one(
            "SELECT size, root, note FROM witnessed WHERE origin = ? ORDER BY size DESC LIMIT 1",
            origin,
        )
        return Known() if row is None else Known(*row)

    def known_at(self, origin: str, size: int) -> Known | None:
        """The checkpoint of just that size, if we have stood by one and still have it."""
        row = self._one(
            "SELECT size, root, note FROM witnessed WHERE origin = ? AND size = ?", origin, size
        )
        return None if row is None else Known(*row)

    def held(self, event_id: str) -> list[Held]:
        """The receipts of an event, in the order of the ledger."""
        rows = self._db.execute(
            "SELECT r.event_id, idx, outcome, event_hash, leaf_hash, entry, path, size, note FROM receipts r "
            "JOIN checkpoints c ON c.id = r.checkpoint WHERE r.event_id = ? ORDER BY idx",
            (event_id,),
        )
        return [
            Held(id, at, outcome, hash_, leaf, zlib.decompress(entry), _hashes(path), size, note)
            for id, at, outcome, hash_, leaf, entry, path, size, note in rows
        ]

    def held_hashes(self, event_ids: Sequence[str]) -> dict[str, set[bytes]]:
        """Hashes of the events' bytes, for those of these ids that have receipts."""
        marks = ", ".join("?" * len(event_ids))
        rows = self._db.execute(
            f"SELECT event_id, event_hash FROM receipts WHERE event_id IN ({marks})",  # noqa: S608, marks only
            tuple(event_ids),
        )
        found: dict[str, set[bytes]] = {}
        for event_id, one in rows:
            found.setdefault(event_id, set()).add(one)
        return found

    def promised(self, event_ids: Sequence[str]) -> set[str]:
        """Those of these events that the hub promised to have in the ledger."""
        marks = ", ".join("?" * len(event_ids))
        rows = self._db.execute(
            "SELECT event_id FROM outbox JOIN promises ON event_hash = hash "  # noqa: S608, marks only
            f"WHERE event_id IN ({marks})",
            tuple(event_ids),
        )
        return {row[0] for row in rows}

    def evidence_count(self) -> int:
        """How many pieces of evidence are kept."""
        return int(self._one("SELECT count(*) FROM evidence")[0])

    def evidence(self) -> list[tuple[int, Evidence]]:
        """All evidence with its number, oldest first."""
        rows = self._db.execute(
            "SELECT number, kind, event_id, reason, brief, payload FROM evidence ORDER BY number"
        )
        return [(row[0], Evidence(*row[1:])) for row in rows]

    def newest_brief(self) -> str:
        """What the newest evidence shows, in words that may leave the campus."""
        row = self._one("SELECT brief FROM evidence ORDER BY number DESC LIMIT 1")
        return "" if row is None else str(row[0])

    def learned_keys(self) -> list[LearnedKey]:
        """Keys that changed since `alliance.toml`."""
        rows = self._db.execute("SELECT key_id, member, public, valid FROM member_keys")
        return [LearnedKey(row[0], row[1], row[2], bool(row[3])) for row in rows]

    def _one(self, query: str, *values: Any) -> Any:
        return self._db.execute(query, values).fetchone()


def _hashes(path: bytes) -> tuple[bytes, ...]:
    return tuple(path[at : at + _HASH_BYTES] for at in range(0, len(path), _HASH_BYTES))
