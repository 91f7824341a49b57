"""Records of topics into rows: what each record changes, and the one transaction that also moves the position.

Owns the meaning of postings for balances. Leaves fetching to `projector`. A record below the position is a repeat and
changes nothing, a record that does not extend the ledger's head is void (`hub.ledger.head`), so any batching, crash
or redelivery ends in the same rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine, Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from hub.errors import HubError, LedgerCorrupt, RetryLater
from hub.ledger.head import GENESIS, Head, entry_hash
from hub.store import tables
from schemas import topics
from schemas.codec import UnknownSchema, Unreadable, decode
from schemas.envelope import from_millis, to_millis
from schemas.records import (
    DeadLetter,
    Entry,
    Heartbeat,
    MemberActivity,
    OpenCase,
    Posting,
    TopicRate,
)

log = structlog.get_logger()

STEP_MS = 10_000  # one bar of the console's plot
KEPT_MS = 24 * 3_600_000
ERASED = "student.erased"


class LogReplaced(HubError):
    """A topic is not the one this store was read from, as after a broker was made anew. Clear the store."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A record as fetched."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None  # matters where a record without value deletes what has its key


@dataclass(frozen=True, slots=True)
class Position:
    """How far one partition was read. `head` and `head_offset` matter for the ledger alone."""

    next_offset: int = 0
    head: Head = GENESIS
    head_offset: int = -1


Key = tuple[str, int]
T = TypeVar("T", Entry, DeadLetter, Heartbeat, MemberActivity, OpenCase, TopicRate)
Positions = Mapping[Key, Position]


def load_positions(connection: Connection) -> dict[Key, Position]:
    """Where to go on reading, by topic and partition; what is missing starts at 0."""
    return {
        (row.topic, row.partition): Position(
            row.next_offset, Head(row.head_seq, bytes(row.head_hash)), row.head_offset
        )
        for row in connection.execute(select(tables.position))
    }


def fold(engine: Engine, positions: Positions, batch: Sequence[Taken]) -> dict[Key, Position]:
    """Write a batch and its positions in one transaction; returns all positions afterwards.

    `batch` keeps the order within each partition. Raises `RetryLater` when another projector moved the position
    meanwhile (nothing is written; load the positions again), `LogReplaced` when the ledger was replaced.
    """
    after = dict(positions)
    by_key: dict[Key, list[Taken]] = defaultdict(list)
    for record in batch:
        by_key[record.topic, record.partition].append(record)
    with engine.begin() as connection:
        for key, records in by_key.items():
            before = after.get(key, Position())
            new = [record for record in records if record.offset >= before.next_offset]
            if key[0] == topics.LEDGER_ENTRIES:
                _same_ledger(before, records)
            if not new:
                continue
            moved = replace(before, next_offset=new[-1].offset + 1)
            if key[0] == topics.LEDGER_ENTRIES:
                counted, moved = _extend(moved, new)
            _move(connection, key, before if key in after else None, moved)
            if key[0] == topics.LEDGER_ENTRIES:
                _write_entries(connection, counted)
            else:
                _LATEST[key[0]](connection, new)
            after[key] = moved
    return after


def _same_ledger(before: Position, records: Iterable[Taken]) -> None:
    """The projector starts at the head's own record: if it is another one, so is the ledger."""
    for record in records:
        if record.offset == before.head_offset and (
            record.value is None or entry_hash(record.value) != before.head.hash
        ):
            raise LogReplaced(
                f"{record.topic} offset {record.offset} is not entry {before.head.seq} of this store; "
                "the store is emptied and read again"
            )


def _move(connection: Connection, key: Key, before: Position | None, after: Position) -> None:
    """First statement of the transaction: takes the write lock, and fails if another process was faster."""
    table = tables.position
    values = {
        "next_offset": after.next_offset,
        "head_seq": after.head.seq,
        "head_hash": after.head.hash,
        "head_offset": after.head_offset,
    }
    if before is None:
        statement = _insert(connection, table).values(topic=key[0], partition=key[1], **values)
        done = connection.execute(statement.on_conflict_do_nothing())
    else:
        done = connection.execute(
            table.update()
            .where(table.c.topic == key[0], table.c.partition == key[1])
            .where(table.c.next_offset == before.next_offset)
            .values(**values)
        )
    if done.rowcount != 1:
        raise RetryLater(
            f"position of {key[0]}/{key[1]} is no longer {before.next_offset if before else 'unset'}: "
            "another projector writes this store; run one"
        )


# --- the ledger


def _extend(
    position: Position, records: Iterable[Taken]
) -> tuple[list[tuple[Entry, Head, bytes]], Position]:
    """The entries that count, each with its head and bytes, and the position after them."""
    counted: list[tuple[Entry, Head, bytes]] = []
    head, head_offset = position.head, position.head_offset
    for record in records:
        entry = _decoded(record, Entry)
        if entry is None or record.value is None:
            continue
        extended = head.extended_by(entry, record.value)
        if extended is None:
            log.info("void_entry_ignored", offset=record.offset, seq=entry.seq, head_seq=head.seq)
            continue
        head, head_offset = extended, record.offset
        counted.append((entry, head, record.value))
    return counted, replace(position, head=head, head_offset=head_offset)


def _write_entries(connection: Connection, counted: Sequence[tuple[Entry, Head, bytes]]) -> None:
    if not counted:
        return
    connection.execute(
        tables.entries.insert(), [_entry_row(entry, head, value) for entry, head, value in counted]
    )
    found = [entry for entry, _, _ in counted]
    _add(connection, tables.balances, balance_changes(p for e in found for p in e.postings))
    said = [entry for entry in found if entry.member]  # ticks and flags are the hub's own
    _add(
        connection,
        tables.outcomes,
        _counted(Counter((entry.outcome, entry.reason or "") for entry in said)),
    )
    _add(
        connection,
        tables.pulse,
        _counted(Counter((_step(entry), entry.outcome) for entry in said)),
    )
    _forget(connection, [entry for entry in said if entry.event_type == ERASED])
    oldest = found[-1].ledger_at - timedelta(milliseconds=KEPT_MS)
    connection.execute(tables.pulse.delete().where(tables.pulse.c.at < oldest))


def _forget(connection: Connection, entries: Iterable[Entry]) -> None:
    """Drop the dead letters that name a student who was erased; those that come later are not written."""
    students = sorted({entry.subject for entry in entries if entry.outcome == "applied"})
    if not students:
        return
    statement = _insert(connection, tables.erased_students).on_conflict_do_nothing()
    connection.execute(statement, [{"student_id": student} for student in students])
    t = tables.dead_letters
    rows = connection.execute(select(t.c.letter_offset, t.c.value)).all()
    gone = [row.letter_offset for row in rows if _names(bytes(row.value), students)]
    if gone:
        connection.execute(
            t.delete().where(t.c.letter_offset == bindparam("of_letter")),
            [{"of_letter": offset} for offset in gone],
        )


def _names(value: bytes, students: Iterable[str]) -> bool:
    """Whether a framed message names a student: Avro writes texts as they are."""
    return any(student.encode() in value for student in students)


def _entry_row(entry: Entry, head: Head, value: bytes) -> dict[str, Any]:
    columns = {column.name for column in tables.entries.columns}
    row = {name: item for name, item in entry.to_avro().items() if name in columns}
    return row | {"hash": head.hash, "value": value}


def _step(entry: Entry) -> Any:
    millis = to_millis(entry.ledger_at)
    return from_millis(millis - millis % STEP_MS)


def _counted(counts: Mapping[tuple[Any, Any], int]) -> dict[tuple[Any, Any], dict[str, int]]:
    return {key: {"entries": count} for key, count in counts.items()}


def balance_changes(postings: Iterable[Posting]) -> dict[tuple[str, str], dict[str, int]]:
    """What postings change, by account and unit; amounts in whole seats or thousandths of a credit.

    Raises `LedgerCorrupt` for an action this version does not know: counting on would make the balances wrong.
    """
    changes: dict[tuple[str, str], dict[str, int]] = defaultdict(
        lambda: {"pending_in": 0, "posted_in": 0, "pending_out": 0, "posted_out": 0}
    )
    for posting in postings:
        pending, posted = _effect(posting)
        for account, side in ((posting.source, "out"), (posting.destination, "in")):
            change = changes[account, posting.unit]
            change[f"pending_{side}"] += pending
            change[f"posted_{side}"] += posted
    return dict(changes)


def _effect(posting: Posting) -> tuple[int, int]:
    """What is added to the pending and to the posted amount of both accounts."""
    amount = posting.amount
    match posting.action:
        case "pend":
            return amount, 0
        case "post":
            return -amount, amount
        case "void":
            return -amount, 0
        case "move" | "reverse":  # a reversal already has source and destination exchanged
            return 0, amount
    raise LedgerCorrupt(
        f"posting action {posting.action!r}, wanted pend, post, void, move or reverse; upgrade the hub"
    )


# --- topics of which the latest counts


def _latest(
    table: Table, kind: type[T], whole: str = ""
) -> Callable[[Connection, Sequence[Taken]], None]:
    """A writer that keeps the newest record for each primary key of `table`; column `whole` gets its bytes."""
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key]

    def write(connection: Connection, records: Sequence[Taken]) -> None:
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for record in records:
            found = _decoded(record, kind)
            if found is not None:
                values = found.to_avro() | ({whole: record.value} if whole else {})
                rows[tuple(values[key] for key in keys)] = {name: values[name] for name in names}
        if not rows:
            return
        statement = _insert(connection, table)
        excluded = {name: statement.excluded[name] for name in names if name not in keys}
        connection.execute(
            statement.on_conflict_do_update(index_elements=keys, set_=excluded), list(rows.values())
        )

    return write


def _write_dead_letters(connection: Connection, records: Sequence[Taken]) -> None:
    rows = []
    erased = connection.execute(select(tables.erased_students.c.student_id)).scalars().all()
    for record in records:
        letter = _decoded(record, DeadLetter)
        if letter is not None and not _names(record.value or b"", erased):
            values = letter.to_avro()
            row = {c.name: values[c.name] for c in tables.dead_letters.columns if c.name in values}
            rows.append(row | {"letter_offset": record.offset, "value": record.value})
    if rows:
        statement = _insert(connection, tables.dead_letters).on_conflict_do_nothing()
        connection.execute(statement, rows)


def _write_cases(connection: Connection, records: Sequence[Taken]) -> None:
    """Keep the newest record of each open case; a record without value closes the case that its key names."""
    found: dict[tuple[str, str], OpenCase | None] = {}
    for record in records:
        if record.value is None:
            kind, _, case_id = (record.key or b"").decode(errors="replace").partition("/")
            found[kind, case_id] = None
        elif (case := _decoded(record, OpenCase)) is not None:
            found[case.kind, case.id] = case
    if not found:
        return
    for table in (tables.turns, tables.open_cases):
        this = (table.c.kind == bindparam("of_kind"), table.c.id == bindparam("of_id"))
        connection.execute(
            table.delete().where(*this),
            [{"of_kind": kind, "of_id": case_id} for kind, case_id in found],
        )
    still_open = [case for case in found.values() if case is not None]
    if still_open:
        connection.execute(tables.open_cases.insert(), [case.to_avro() for case in still_open])
        connection.execute(
            tables.turns.insert(),
            [
                {"member": member, "kind": case.kind, "id": case.id}
                for case in still_open
                for member in sorted(set(case.next_actors))
            ],
        )


_LATEST: Mapping[str, Callable[[Connection, Sequence[Taken]], None]] = {
    topics.MEMBER_ACTIVITY: _latest(tables.member_activity, MemberActivity),
    topics.TOPIC_RATES: _latest(tables.topic_rates, TopicRate),
    topics.CASES: _write_cases,
    topics.HEARTBEATS: _latest(tables.heartbeats, Heartbeat, whole="value"),
    topics.DEAD_LETTERS: _write_dead_letters,
}

READ_TOPICS = (topics.LEDGER_ENTRIES, *_LATEST)


# --- helpers


def _decoded(record: Taken, kind: type[T]) -> T | None:
    """The record, or None for what is no readable record of that kind (a tombstone among them).

    Raises `HubError` for a ledger entry written by a newer hub: calling it void would hide all that follow.
    """
    if record.value is None:
        return None
    try:
        found = decode(record.value)
    except Unreadable as error:
        if kind is Entry and isinstance(error, UnknownSchema):
            raise HubError(f"{record.topic} offset {record.offset}: {error}") from error
        log.warning("record_skipped", topic=record.topic, offset=record.offset, error=str(error))
        return None
    return found if isinstance(found, kind) else None


def _insert(connection: Connection, table: Table) -> Any:
    """An insert that can say `on conflict`, in the words of the database at hand."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def _add(
    connection: Connection, table: Table, changes: Mapping[tuple[Any, Any], Mapping[str, int]]
) -> None:
    """Add to the counters of rows by their two-column primary key, making rows that are not there."""
    if not changes:
        return
    first, second = (column.name for column in table.primary_key)
    rows = [{first: key[0], second: key[1], **values} for key, values in changes.items()]
    statement = _insert(connection, table)
    sums = {
        name: table.c[name] + statement.excluded[name]
        for name in rows[0]
        if name not in (first, second)
    }
    connection.execute(
        statement.on_conflict_do_update(index_elements=[first, second], set_=sums), rows
    )
