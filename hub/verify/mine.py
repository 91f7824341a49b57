"""A campus's own outbox (`state.db` of its connector): is every event it signed in the ledger, or still in time?

Reads the connector's tables and changes nothing. What is in them was checked when it came; here it is checked again, so
that neither the connector nor its file has to be trusted.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hub.verify.outcome import Code, Failure, reading
from hub.verify.proofs import entry_of
from hub.verify.trust import Signed, open_signed
from schemas.codec import Unreadable, decode
from schemas.envelope import from_millis as moment
from schemas.envelope import rfc3339, to_millis
from schemas.promises import kept_to
from schemas.records import Promise
from schemas.tlog.merkle import leaf_hash, split_hashes, verify_inclusion
from schemas.tlog.policy import Policy

_HASH_BYTES = 32
_EVENTS = """
SELECT o.event_id, o.event, o.hash, o.value, o.sent_at, o.outcome, o.seq, o.answered_at, p.merge_by, n.value
FROM outbox o LEFT JOIN promises p ON p.event_hash = o.hash LEFT JOIN promise_notes n ON n.id = p.note ORDER BY o.change
"""
_RECEIPTS = """
SELECT r.event_id, r.idx, r.outcome, r.event_hash, r.entry, r.path, r.checkpoint, o.value
FROM receipts r LEFT JOIN outbox o ON o.event_id = r.event_id ORDER BY r.idx
"""


@dataclass(frozen=True, slots=True)
class Late:
    """An event whose time is over. Time in milliseconds since 1970."""

    event_id: str
    event: str
    since_ms: int
    why: str

    def values(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "event_id": self.event_id,
            "event": self.event,
            "since": rfc3339(moment(self.since_ms)),
            "why": self.why,
        }


@dataclass(slots=True)
class Mine:
    """What the outbox shows. `receipts` counts entries proven, `unsent` events that nobody promised anything about yet."""

    events: int = 0
    receipts: int = 0
    proven: int = 0
    in_time: int = 0
    unsent: int = 0
    overdue: list[Late] = field(default_factory=list)
    evidence: list[dict[str, object]] = field(default_factory=list)

    def failure(self, place: str) -> Failure | None:
        """What is worst about it, or None."""
        if self.evidence:
            first = self.evidence[0]
            code = Code.EQUIVOCATION if first["kind"] == "equivocation" else Code.MISSING
            return Failure(
                code, f"{place}, evidence {first['number']}", first["reason"], "an honest hub",
                "alliance connector status shows all of it",
            )  # fmt: skip
        if self.overdue:
            late = self.overdue[0]
            return Failure(
                Code.MISSING, f"{place}, event {late.event_id} ({late.event})", late.why,
                "a receipt by now", "ask the hub's operators; a broken promise is proof against them",
            )  # fmt: skip
        return None


@dataclass(frozen=True, slots=True)
class Times:
    """When to stop waiting, in milliseconds: since 1970, and how long."""

    now_ms: int
    receipt_after_ms: int
    promise_after_ms: int


def check_outbox(path: Path, policy: Policy, promise_key: bytes | None, times: Times) -> Mine:
    """Check every event, promise and receipt of a connector's state file. Raises `Failure` for a false one."""
    if not path.is_file():
        raise Failure(
            Code.UNREADABLE, str(path), "no such file", "a connector's state.db",
            "it lies in the connector's folder",
        )  # fmt: skip
    try:
        with closing(_opened(path)) as db:
            return _check(db, str(path), policy, promise_key, times)
    except sqlite3.Error as error:
        raise Failure(
            Code.UNREADABLE, str(path), f"{type(error).__name__}: {error}", "a connector's state.db with receipts",
            "start this version of the connector once, it brings the file up to date",
        ) from error  # fmt: skip


def _opened(path: Path) -> sqlite3.Connection:
    """One moment of the file, while its connector goes on; of a copy on a disk that cannot be written, the whole file."""
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    db = sqlite3.connect(uri, uri=True)
    try:
        db.execute("BEGIN")
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        db.close()
        if path.with_name(f"{path.name}-wal").exists():
            raise  # what is in there would be passed over
        db = sqlite3.connect(f"{uri}&immutable=1", uri=True)
    return db


def _check(
    db: sqlite3.Connection, place: str, policy: Policy, promise_key: bytes | None, times: Times
) -> Mine:
    found = Mine()
    indices: dict[str, set[int]] = {}
    for event_id, index in _receipts(db, place, policy):
        found.receipts += 1
        indices.setdefault(event_id, set()).add(index)
    for row in db.execute(_EVENTS):
        found.events += 1
        _place_event(found, row, indices.get(row[0], set()), times)
        if row[9] is not None:
            _check_promise(row, promise_key, place)
    found.evidence = [
        dict(zip(("number", "kind", "event_id", "reason"), row, strict=True))
        for row in db.execute("SELECT number, kind, event_id, reason FROM evidence ORDER BY number")
    ]
    return found


def _place_event(found: Mine, row: tuple[Any, ...], indices: set[int], times: Times) -> None:
    """Where one event of the outbox stands."""
    event_id, event, _, _, sent_at, _, seq, answered_at, merge_by, _ = row
    late: Late | None = None
    if seq is not None and seq - 1 in indices:
        found.proven += 1
        return
    if answered_at is not None and seq is not None:
        late = Late(
            event_id, event, answered_at + times.receipt_after_ms,
            f"outcome since {rfc3339(moment(answered_at))} and no receipt of entry {seq}",
        )  # fmt: skip
    elif indices:
        found.proven += 1  # parked: the ledger has it, and waits for another
        return
    elif merge_by is not None:
        late = Late(
            event_id, event, merge_by, f"promised until {rfc3339(moment(merge_by))} and no receipt"
        )
    elif sent_at is not None:
        late = Late(
            event_id, event, sent_at + times.promise_after_ms,
            f"sent at {rfc3339(moment(sent_at))}, neither promise nor receipt since",
        )  # fmt: skip
    if late is None:
        found.unsent += 1
    elif late.since_ms <= times.now_ms:
        found.overdue.append(late)
    else:
        found.in_time += 1


def _check_promise(row: tuple[Any, ...], promise_key: bytes | None, place: str) -> None:
    event_id, event_hash, merge_by, value = row[0], row[2], row[8], row[9]
    at = f"{place}, promise of event {event_id}"
    try:
        said = decode(value)
    except Unreadable as error:
        raise Failure(Code.MALFORMED, at, error, "a promise") from error
    if not isinstance(said, Promise):
        raise Failure(Code.MALFORMED, at, said.EVENT, Promise.EVENT)
    if event_hash not in said.event_hashes or to_millis(said.merge_by) != merge_by:
        raise Failure(Code.SIGNATURE, at, "a promise of other events or times", "one of this event")
    if promise_key is not None and not kept_to(said, promise_key):
        raise Failure(
            Code.SIGNATURE, at, f"key {said.key_id}", "a signature of the hub's promise key"
        )


def _receipts(db: sqlite3.Connection, place: str, policy: Policy) -> Iterator[tuple[str, int]]:
    """Event and index of every receipt, each verified."""
    signed: dict[int, Signed] = {}
    for row in db.execute(_RECEIPTS):
        event_id, index, outcome, event_hash, packed, path, checkpoint, value = row
        at = f"{place}, receipt of event {event_id}"
        if checkpoint not in signed:
            signed[checkpoint] = _checkpoint(db, checkpoint, policy, at)
        entry_bytes = _unpacked(packed, at)
        if len(path) % _HASH_BYTES:
            raise Failure(Code.MALFORMED, f"{at}, path", f"{len(path)} bytes", "whole hashes")
        under = signed[checkpoint]
        with reading(at):
            verify_inclusion(
                index, under.size, leaf_hash(entry_bytes), split_hashes(path), under.root
            )
        entry = entry_of(entry_bytes, index, at)
        told = (entry.event_id, entry.outcome, entry.event_hash)
        if told != (event_id, outcome, event_hash) or (value is not None and entry.event != value):
            raise Failure(
                Code.PROOF, at, f"entry {entry.seq} about {entry.event_id}, {entry.outcome}, event "
                f"{entry.event_hash.hex()}", f"{event_id}, {outcome}, event {event_hash.hex()} as signed here",
            )  # fmt: skip
        yield event_id, index


def _checkpoint(db: sqlite3.Connection, number: int, policy: Policy, place: str) -> Signed:
    row = db.execute("SELECT note FROM checkpoints WHERE id = ?", (number,)).fetchone()
    if row is None:
        raise Failure(Code.UNREADABLE, place, f"no checkpoint {number}", "the one it leads to")
    return open_signed(bytes(row[0]), policy, f"{place}, checkpoint {number}")


def _unpacked(packed: bytes, place: str) -> bytes:
    try:
        return zlib.decompress(packed)
    except zlib.error as error:
        raise Failure(Code.MALFORMED, f"{place}, entry", error, "a stored entry") from error
