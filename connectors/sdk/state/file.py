"""What a connector must not forget: one SQLite file per campus folder.

Owns the tables and their transactions. An event's row is written with the cursor that covers it, in one commit, before
anything is published; it leaves when its outcome was brought to the campus and, where a policy says whom to believe, a
receipt shows that entry of the ledger. So kill -9 at any moment loses nothing, and what is then sent again carries the
same event id. What proofs consist of is in `connectors.sdk.trust.proofs`.

Events of the connector's own commands (a new key, an erasure) are named in table `own`, in the commit that queues them: the
campus knows nothing of them, so their outcomes are kept there instead of being brought to it.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from connectors.sdk.contract import Seen
from connectors.sdk.state import backfill, commands, parking
from connectors.sdk.state.parking import EVENT_ID_REUSED, Failure, Parked, Parking
from connectors.sdk.state.scrub import scrubbed
from connectors.sdk.trust import proofs
from connectors.sdk.trust.proofs import Evidence, Proofs, Proven
from schemas.envelope import Headers

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursors (source TEXT PRIMARY KEY, cursor TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
  change INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, event TEXT NOT NULL, topic TEXT NOT NULL,
  key BLOB NOT NULL, value BLOB NOT NULL, headers TEXT NOT NULL,
  sent_at INTEGER, tries INTEGER NOT NULL DEFAULT 0, outcome TEXT,
  hash BLOB, seq INTEGER, answered_at INTEGER);
CREATE INDEX IF NOT EXISTS unsent ON outbox (change) WHERE sent_at IS NULL;
CREATE TABLE IF NOT EXISTS refusals (topic TEXT, partition INTEGER, offset INTEGER,
  PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (source TEXT, key TEXT, hash BLOB NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (source, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS own (
  number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, event TEXT NOT NULL, about TEXT NOT NULL, queued_at INTEGER NOT NULL,
  outcome TEXT, reason TEXT NOT NULL DEFAULT '', seq INTEGER, answered_at INTEGER);
"""
# Since receipts: hash of the event, the entry that the campus was told of, and when (milliseconds since 1970).
_COLUMNS = {"hash": "BLOB", "seq": "INTEGER", "answered_at": "INTEGER"}
# ?1: how long an event may have its outcome without its receipt, ?2: now.
_OVERDUE = """
SELECT event_id, event, min(coalesce(merge_by, 1 << 62), coalesce(answered_at + ?1, 1 << 62)) AS since,
  coalesce(merge_by, 1 << 62) <= coalesce(answered_at + ?1, 1 << 62) AS promised
FROM (
  SELECT o.event_id, o.event, o.answered_at, CASE WHEN EXISTS (SELECT 1 FROM receipts r WHERE r.event_id = o.event_id)
    THEN NULL ELSE p.merge_by END AS merge_by
  FROM outbox o LEFT JOIN promises p ON p.event_hash = o.hash)
WHERE since <= ?2
"""
_INDEX = "CREATE INDEX IF NOT EXISTS by_hash ON outbox (hash)"


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


@dataclass(slots=True)
class Mapped:
    """What a page comes to. `mended` are ids of records parked earlier that pass now.

    When parked things are tried again: `passed` are numbers of those that pass, `failed` the heads that do not.
    """

    events: list[Outgoing] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    passed: list[int] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answered:
    """An outcome of an event of ours. `seq` is its entry's; None when the ledger never saw the event."""

    event_id: str
    outcome: str
    seq: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Own:
    """An event of a command of the connector's own. `about` is what the command wants to remember of it, as JSON.

    `outcome` is None before the first, `parked` before the last. Times in milliseconds since 1970.
    """

    event_id: str
    event: str
    about: Any
    queued_at: int
    outcome: str | None
    reason: str
    seq: int | None
    answered_at: int | None


@dataclass(frozen=True, slots=True)
class Overdue:
    """An event whose receipt should be here. `since` is when it should have come, in milliseconds since 1970."""

    event_id: str
    event: str
    since: int
    promised: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """What a batch of the inbox changes here once the campus has it. Times in milliseconds since 1970."""

    position: int
    seq: int
    done: Sequence[Answered] = ()
    waiting: Sequence[Answered] = ()
    refusals: Sequence[tuple[str, int, int]] = ()
    parked: Sequence[Parked] = ()
    applied: int = 0
    proven: Proven = field(default_factory=Proven)
    passed: Sequence[int] = ()  # numbers of what was parked


class State:
    """The file. One connection, one thread; every method is one transaction."""

    SYNCHRONOUS = "FULL"  # a commit survives the loss of power

    def __init__(self, path: Path | str, *, readonly: bool = False) -> None:
        target = f"{Path(path).resolve().as_uri()}?mode=ro" if readonly else str(path)
        self._db = sqlite3.connect(target, isolation_level=None, uri=readonly)
        if not readonly:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={self.SYNCHRONOUS}")
            parking.upgrade(self._db)
            self._db.executescript(
                _TABLES + parking.TABLES + proofs.TABLES + commands.TABLES + backfill.TABLES
            )
            self._upgrade()
        elif not self._is_current():
            State(path).close()  # reading wants the layout of this version, too
        self.proofs = Proofs(self._db)
        self.parking = Parking(self._db)
        self.commands = commands.Commands(self._db, self._transaction)
        self.backfills = backfill.Backfills(self._db, self._transaction)

    def close(self) -> None:
        """Close the file; an open transaction is undone."""
        self._db.close()

    def _is_current(self) -> bool:
        """Whether the file has this version's layout."""
        row = self._db.execute(
            "SELECT count(*) FROM sqlite_master WHERE name IN ('by_hash', 'own', ?)",
            (parking.INDEX,),
        ).fetchone()
        return int(row[0]) == 3

    def _upgrade(self) -> None:
        """Give a file of an earlier version the columns it lacks; what it holds stays."""
        if self._is_current():
            return
        there = {row[1] for row in self._db.execute("PRAGMA table_info(outbox)")}
        self._db.execute("BEGIN IMMEDIATE")
        for name, kind in _COLUMNS.items():
            if name not in there:
                self._db.execute(f"ALTER TABLE outbox ADD COLUMN {name} {kind}")
        rows = self._db.execute("SELECT change, value FROM outbox WHERE hash IS NULL").fetchall()
        self._db.executemany(
            "UPDATE outbox SET hash = ? WHERE change = ?",
            [(sha256(value).digest(), change) for change, value in rows],
        )
        self._db.execute(_INDEX)
        self._db.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            self.parking.settled()
            raise
        self._db.execute("COMMIT")
        self.parking.settled()

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

    def commit_page(
        self, source: str, cursor: str | None, mapped: Mapped, now: int, *, commanded: bool = False
    ) -> int:
        """Events, parked records and the cursor after them (None: it stays), all or nothing.

        The number of events that are new: one already waiting here is not stored again. `commanded`: a person had what
        is parked tried again.
        """
        part = f"source.{source}"
        with self._transaction() as db:
            added = self._enqueue(mapped.events)
            reused = self._reused(part, mapped.events) if added < len(mapped.events) else []
            rows = [row if row.part else replace(row, part=part) for row in mapped.parked]
            self.parking.mended(part, mapped.mended, now)
            self.parking.passed(mapped.passed, now)
            self.parking.failed(mapped.failed, now, commanded=commanded)
            self.parking.park([*rows, *reused], now)
            db.executemany(
                "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)",
                [(source, item.key, item.hash, item.version) for item in mapped.seen],
            )
            if cursor is not None:
                db.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (source, cursor))
        return added

    def _enqueue(self, events: Sequence[Outgoing]) -> int:
        """Events at the end of the outbox, but for those that wait there. How many are new."""
        before = self._db.total_changes
        self._db.executemany(
            "INSERT INTO outbox (event_id, event, topic, key, value, headers, hash) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (event_id) DO NOTHING",
            [
                (
                    e.event_id,
                    e.event,
                    e.topic,
                    e.key,
                    e.value,
                    _packed(e.headers),
                    sha256(e.value).digest(),
                )
                for e in events
            ],
        )
        return self._db.total_changes - before

    def _reused(self, part: str, events: Sequence[Outgoing]) -> list[Parked]:
        """Events whose id another one of the outbox has: ids must never be used again."""
        found = []
        for event in events:
            row = self._db.execute("SELECT value FROM outbox WHERE event_id = ?", (event.event_id,))
            if row.fetchone()[0] != event.value:
                said = f"{event.event} reuses the id of another event"
                reason = f"{said}: {event.event_id}; make a new id for each change at the source"
                payload = {"source": None, "value": event.value.hex()}
                found.append(
                    Parked(
                        "reused", event.event_id, reason, said, payload, part, code=EVENT_ID_REUSED
                    )
                )
        return found

    # The connector's own events -------------------------------------------------------------------------------------

    def queue_own(
        self, event: Outgoing, now: int, about: Any = None, counted: tuple[str, Seen] | None = None
    ) -> bool:
        """An event of a command of ours, marked as such, with the number it used up; all or nothing.

        One that was queued before is not queued again, even if it has left meanwhile: False.
        """
        with self._transaction() as db:
            new = db.execute(
                "INSERT OR IGNORE INTO own (event_id, event, about, queued_at) VALUES (?, ?, ?, ?)",
                (event.event_id, event.event, json.dumps(about), now),
            ).rowcount
            if not new:
                return False
            self._enqueue([event])
            if counted is not None:
                source, seen = counted
                db.execute(
                    "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)",
                    (source, seen.key, seen.hash, seen.version),
                )
        return True

    def own(self, event: str | None = None, limit: int = -1) -> list[Own]:
        """Events of our own commands, of all types if none is named, newest first."""
        rows = self._db.execute(
            "SELECT event_id, event, about, queued_at, outcome, reason, seq, answered_at FROM own "
            "WHERE ?1 IS NULL OR event = ?1 ORDER BY number DESC LIMIT ?2",
            (event, limit),
        )
        return [Own(r[0], r[1], json.loads(r[2]), *r[3:]) for r in rows]

    def own_ids(self, event_ids: Sequence[str]) -> set[str]:
        """Those of these events that are of our own commands."""
        marks = ", ".join("?" * len(event_ids))
        rows = self._db.execute(
            f"SELECT event_id FROM own WHERE event_id IN ({marks})",  # noqa: S608, marks only
            tuple(event_ids),
        )
        return {row[0] for row in rows}

    # To the hub -----------------------------------------------------------------------------------------------------

    def unsent(self, limit: int) -> list[Outgoing]:
        """Events never published, in the order of change."""
        return self._outgoing("sent_at IS NULL", (), limit)

    def unsent_size(self, limit: int) -> tuple[int, int]:
        """How many events were never published, counted up to `limit`, and their bytes."""
        row = self._db.execute(
            "SELECT count(*), coalesce(sum(bytes), 0) FROM "
            "(SELECT length(value) AS bytes FROM outbox WHERE sent_at IS NULL LIMIT ?)",
            (limit,),
        ).fetchone()
        return int(row[0]), int(row[1])

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
        """Which of these events have no final outcome, with what is known so far (`parked` or None)."""
        marks = ", ".join("?" * len(event_ids))
        rows = self._db.execute(
            f"SELECT event_id, outcome FROM outbox WHERE answered_at IS NULL AND event_id IN ({marks})",  # noqa: S608, marks only
            tuple(event_ids),
        )
        return dict(rows.fetchall())

    def expected(self, event_ids: Sequence[str]) -> dict[str, bytes]:
        """Hash of the bytes we signed, for those of these events that are in the outbox."""
        marks = ", ".join("?" * len(event_ids))
        rows = self._db.execute(
            f"SELECT event_id, hash FROM outbox WHERE event_id IN ({marks})",  # noqa: S608, marks only
            tuple(event_ids),
        )
        return dict(rows.fetchall())

    def refusal_seen(self, refusal: tuple[str, int, int]) -> bool:
        """Whether the refusal of that message was taken before."""
        row = self._db.execute(
            "SELECT 1 FROM refusals WHERE topic = ? AND partition = ? AND offset = ?", refusal
        ).fetchone()
        return row is not None

    def commit_inbox(self, taken: Taken, now: int, *, receipts: bool = False) -> None:
        """The campus has the batch: events with their final outcome leave, and the position moves on.

        With `receipts`, an event the ledger has leaves only once its receipt is here, too.
        """
        with self._transaction() as db:
            self._note_answers([*taken.done, *taken.waiting], now)
            for one in taken.done:
                db.execute(
                    "UPDATE outbox SET outcome = ?, seq = ?, answered_at = ? WHERE event_id = ?",
                    (one.outcome, one.seq, now, one.event_id),
                )
                if not receipts or one.seq is None:
                    self._leave(one.event_id)
            db.executemany(
                "UPDATE outbox SET outcome = 'parked' WHERE event_id = ?",
                [(one.event_id,) for one in taken.waiting],
            )
            db.executemany("INSERT OR IGNORE INTO refusals VALUES (?, ?, ?)", taken.refusals)
            self.parking.passed(taken.passed, now)
            self.parking.park(taken.parked, now)
            self.proofs.take(taken.proven, now)
            answered = [one.event_id for one in taken.done]
            shown = [one.event_id for one in taken.proven.receipts]
            self._complete([*answered, *shown], now)
            self._add("applied_total", taken.applied)
            self._set("inbox_position", taken.position)
            self._set("inbox_seq", taken.seq)

    def _note_answers(self, answers: Sequence[Answered], now: int) -> None:
        """How far the hub has come with our events, see `overdue`; and what it said of the connector's own."""
        for one in answers:
            found = self._db.execute(
                "SELECT change FROM outbox WHERE event_id = ?", (one.event_id,)
            ).fetchone()
            if found and found[0] > self._fact("answered_change", 0):
                self._set("answered_change", found[0])
        self._db.executemany(
            "UPDATE own SET outcome = ?, reason = ?, seq = ?, answered_at = ? WHERE event_id = ?",
            [(one.outcome, one.reason, one.seq, now, one.event_id) for one in answers],
        )
        if answers:
            self._set("answered_at", now)

    def _complete(self, event_ids: Sequence[str], now: int) -> None:
        """Let go of events whose outcome the campus has and whose receipt shows that very entry with that very outcome."""
        for event_id in event_ids:
            row = self._db.execute(
                "SELECT o.outcome, o.seq, r.outcome, r.entry FROM outbox o JOIN receipts r "
                "ON r.event_id = o.event_id AND r.idx = o.seq - 1 WHERE o.event_id = ? AND o.answered_at IS NOT NULL",
                (event_id,),
            ).fetchone()
            if row is None:
                continue
            told, seq, shown, entry = row
            if told == shown:
                self._leave(event_id)
                self._add("final_total", 1)
                continue
            said = (
                f"the hub said {told} for event {event_id}, entry {seq} of the ledger says {shown}"
            )
            reason = f"{said}; the campus acted on what it was told, tell the hub's operators"
            self.proofs.accuse(
                [Evidence("outcome", event_id, reason, said, zlib.decompress(entry))], now
            )

    def _leave(self, event_id: str) -> None:
        row = self._db.execute("SELECT hash FROM outbox WHERE event_id = ?", (event_id,)).fetchone()
        if row is not None:
            self.proofs.forget_promise(row[0])
            self._db.execute("DELETE FROM outbox WHERE event_id = ?", (event_id,))

    def release_answered(self) -> int:
        """Receipts are not wanted (any more): events with their final outcome leave. How many did."""
        rows = self._db.execute(
            "SELECT event_id FROM outbox WHERE answered_at IS NOT NULL"
        ).fetchall()
        if rows:
            with self._transaction():
                for (event_id,) in rows:
                    self._leave(event_id)
        return len(rows)

    def drop_evidence(self, number: int) -> None:
        """People have settled it, or it was none."""
        with self._transaction():
            self.proofs.drop_evidence(number)

    # The log, as a witness sees it ----------------------------------------------------------------------------------

    def checkpoints_position(self) -> int:
        """Next offset of the log's checkpoints to look at."""
        return int(self._fact("checkpoints_position", 0))

    def checkpoints_taken(self, position: int) -> None:
        """What was cosigned before this offset is with the hub."""
        with self._transaction():
            self._set("checkpoints_position", position)

    def witness(self, decide: Callable[[Proofs], T]) -> T:
        """Let `decide` compare with what we stand by and change it, as one step that no other comes between.

        When this returns, the file has it: a cosignature may leave now, and not before.
        """
        with self._transaction():
            return decide(self.proofs)

    # For people -----------------------------------------------------------------------------------------------------

    def parked(self, *stages: str) -> list[Parked]:
        """What is parked, oldest first; of all stages if none is named."""
        return [row for row in self.parking.rows() if not stages or row.stage in stages]

    def parked_about(self, names: Collection[str]) -> list[str]:
        """Ids of the campus's own records that could not be mapped and mention one of these names."""
        return [row.id for row in self.parking.about(names)]

    def forget_parked(self, names: Collection[str]) -> list[str]:
        """Drop what `parked_about` finds; ids of those dropped. `scrub` then overwrites where they stood."""
        ids = self.parked_about(names)
        if ids:
            with self._transaction():
                self.parking.forget(names)
                self._set("scrub", 1)
        return ids

    def parked_count(self) -> tuple[int, str]:
        """How many are parked, and what is wrong with the newest, in words that may leave the campus."""
        return self.parking.count()

    def repark(self, change: Callable[[Parking], T], applied: int = 0) -> T:
        """Change what is parked, as one commit; `applied` deliveries reached the campus before it."""
        with self._transaction():
            self._add("applied_total", applied)
            return change(self.parking)

    def drop_parked(self, numbers: Sequence[int], by: str, why: str, now: int) -> list[Parked]:
        """Give up these parked things, with who and why. What was dropped: one may have gone meanwhile.

        A record of which only the newest contents count is not parked again until it changes; its number stays unused.
        """
        dropped: list[Parked] = []
        with self._transaction() as db:
            for row in filter(None, (self.parking.row(number) for number in numbers)):
                self.parking.drop(row, by, why, now)
                dropped.append(row)
                if row.contents is None or row.key is None:
                    continue
                source = row.part.partition(".")[2]
                before = self.seen(source, row.key)
                db.execute(
                    "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)",
                    (source, row.key, row.contents, before.version if before else 0),
                )
        return dropped

    def scrub(self) -> bool:
        """Rewrite the file and empty its log, if something was forgotten since. False: another process is at it; again later."""
        if not self._fact("scrub", 0):
            return True
        if not scrubbed(self._db):
            return False
        with self._transaction():
            self._set("scrub", 0)
        return True

    def counts(self) -> Mapping[str, int]:
        """outbox_events, unsent_events, published_total, applied_total, final_total.

        final_total counts events that ever left with outcome and receipt.
        """
        outbox, unsent = self._db.execute(
            "SELECT count(*), count(*) FILTER (WHERE sent_at IS NULL) FROM outbox"
        ).fetchone()
        return {
            "outbox_events": outbox,
            "unsent_events": unsent,
            "published_total": self._fact("published_total", 0),
            "applied_total": self._fact("applied_total", 0),
            "final_total": self._fact("final_total", 0),
        }

    def receipts_overdue(self, now: int, receipt_after_ms: int, limit: int = -1) -> list[Overdue]:
        """Events whose promise is over with no receipt at all, and those with an outcome and no receipt of it so long."""
        rows = self._db.execute(
            f"{_OVERDUE} ORDER BY since, event_id LIMIT ?3", (receipt_after_ms, now, limit)
        )
        return [Overdue(row[0], row[1], row[2], bool(row[3])) for row in rows]

    def receipts_overdue_count(self, now: int, receipt_after_ms: int) -> tuple[int, str]:
        """How many there are, and the id of the oldest."""
        (count,) = self._db.execute(
            f"SELECT count(*) FROM ({_OVERDUE})",  # noqa: S608, no outside text
            (receipt_after_ms, now),
        ).fetchone()
        oldest = self.receipts_overdue(now, receipt_after_ms, 1) if count else []
        return count, oldest[0].event_id if oldest else ""

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
