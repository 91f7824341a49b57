"""Typed questions to the read model: `Reader`.

Owns reading; never writes and never makes tables, so any number of processes may hold one beside the projector.
Calls block: from a coroutine, run them in a thread. Every method raises `StoreUnavailable` while the database is away
or the projector has not made its tables yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Engine,
    Row,
    Select,
    and_,
    case,
    func,
    literal,
    select,
    tuple_,
    type_coerce,
)

from hub.errors import RetryLater
from hub.ledger.head import GENESIS, Head
from hub.store import tables
from hub.store.fold import Key, Position
from schemas import topics
from schemas.codec import decode
from schemas.envelope import from_millis, to_millis
from schemas.records import DeadLetter, Entry, Heartbeat, MemberActivity, OpenCase, TopicRate

CaseOrder: TypeAlias = Literal["age", "due"]  # longest waiting first; next deadline first
_TEN_MINUTES_MS = 600_000
NO_DEADLINE = 10**17  # milliseconds; sorts after every time of a calendar


class StoreUnavailable(RetryLater):
    """The read model cannot be asked now."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A ledger entry and the hash of its bytes."""

    entry: Entry
    hash: bytes


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter and its offset in the topic of dead letters, which orders them."""

    offset: int
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many entries had this outcome for this reason (empty when applied)."""

    outcome: str
    reason: str
    entries: int


@dataclass(frozen=True, slots=True)
class Beat:
    """How many entries had this outcome in the step (`fold.STEP_MS`) that starts at `at`."""

    at: datetime
    outcome: str
    entries: int


@dataclass(frozen=True, slots=True)
class Balance:
    """Amounts of one unit in one account; whole seats or thousandths of a credit."""

    account: str
    unit: str
    pending_in: int
    posted_in: int
    pending_out: int
    posted_out: int


class CasePlace(NamedTuple):
    """Where a case stands in an order: its time there in milliseconds since 1970, then what tells it from others."""

    at_ms: int
    kind: str
    id: str


def case_place(found: OpenCase, order: CaseOrder) -> CasePlace:
    """Where a case stands in the list of that order."""
    at = found.since if order == "age" else found.due_at
    return CasePlace(NO_DEADLINE if at is None else to_millis(at), found.kind, found.id)


@dataclass(frozen=True, slots=True)
class Turns:
    """Open cases in which a member has to act next; `oldest` is since when the longest waiting one waits."""

    member: str
    open: int
    overdue: int
    flagged: int
    oldest: datetime


class Reader:
    """Asks the read model. Hold one per process; it is safe to use from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _rows(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(statement).all()
        except tables.StoreError as error:
            raise StoreUnavailable(
                f"the read model does not answer ({type(error.orig).__name__}: {error.orig}); "
                "start `alliance run projector`, or see ALLIANCE_DATABASE"
            ) from error

    def positions(self) -> dict[Key, Position]:
        """How far the store has read each topic."""
        return {
            (row.topic, row.partition): Position(
                row.next_offset, Head(row.head_seq, bytes(row.head_hash)), row.head_offset
            )
            for row in self._rows(select(tables.position))
        }

    def head(self) -> Head:
        """The newest ledger entry in the store, `GENESIS` when there is none."""
        found = self.positions().get((topics.LEDGER_ENTRIES, 0))
        return found.head if found else GENESIS

    def outcomes(self) -> list[OutcomeCount]:
        """All entries by outcome and reason, most frequent first."""
        t = tables.outcomes
        rows = self._rows(select(t).order_by(t.c.entries.desc(), t.c.outcome, t.c.reason))
        return [OutcomeCount(row.outcome, row.reason, row.entries) for row in rows]

    def pulse(self, since: datetime) -> list[Beat]:
        """Entries by decision time and outcome, oldest first, quiet steps left out."""
        t = tables.pulse
        rows = self._rows(select(t).where(t.c.at >= since).order_by(t.c.at, t.c.outcome))
        return [Beat(row.at, row.outcome, row.entries) for row in rows]

    def entries(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        outcome: str | None = None,
        member: str | None = None,
    ) -> list[StoredEntry]:
        """Entries with a seq above `after`, oldest first."""
        t = tables.entries
        wanted = select(t.c.value, t.c.hash).where(t.c.seq > after).order_by(t.c.seq).limit(limit)
        if outcome is not None:
            wanted = wanted.where(t.c.outcome == outcome)
        if member is not None:
            wanted = wanted.where(t.c.member == member)
        return [_stored(row) for row in self._rows(wanted)]

    def newest(self, limit: int) -> list[StoredEntry]:
        """The newest entries, newest first; without ticks, which say nothing."""
        t = tables.entries
        wanted = select(t.c.value, t.c.hash).where(tables.no_tick)
        rows = self._rows(wanted.order_by(t.c.seq.desc()).limit(limit))
        return [_stored(row) for row in rows]

    def entry(self, seq: int) -> StoredEntry | None:
        """One entry, or None when the store does not have it (yet)."""
        t = tables.entries
        rows = self._rows(select(t.c.value, t.c.hash).where(t.c.seq == seq))
        return _stored(rows[0]) if rows else None

    def seq_of(self, event_id: str, up_to: int | None = None) -> int | None:
        """The newest entry about an event, at `up_to` or before; None when there is none."""
        t = tables.entries
        wanted = select(func.max(t.c.seq)).where(t.c.event_id == event_id)
        if up_to is not None:
            wanted = wanted.where(t.c.seq <= up_to)
        found = self._rows(wanted)[0][0]
        return None if found is None else int(found)

    def still_parked(self) -> int:
        """How many parked events wait for a predecessor now: none of their later entries decided them."""
        t, later = tables.entries, tables.entries.alias()
        decided = (
            select(later.c.seq)
            .where(later.c.event_id == t.c.event_id, later.c.seq > t.c.seq)
            .where(later.c.outcome.in_(("applied", "rejected")))
            .exists()
        )
        rows = self._rows(select(func.count()).where(t.c.outcome == "parked", ~decided))
        return int(rows[0][0])

    def balances(self, account_prefix: str = "") -> list[Balance]:
        """Balances of the accounts that start with the prefix, by account and unit."""
        t = tables.balances
        rows = self._rows(
            select(t)
            .where(t.c.account.startswith(account_prefix, autoescape=True))
            .order_by(t.c.account, t.c.unit)
        )
        return [Balance(**row._mapping) for row in rows]

    def activity(self) -> dict[str, MemberActivity]:
        """What each member did so far, by code."""
        rows = self._rows(select(tables.member_activity))
        return {row.member: MemberActivity.from_avro(dict(row._mapping)) for row in rows}

    def topic_rates(self) -> dict[str, TopicRate]:
        """The last counted minute of each topic."""
        return {
            row.topic: TopicRate.from_avro(dict(row._mapping))
            for row in self._rows(select(tables.topic_rates))
        }

    def open_cases(
        self,
        *,
        member: str | None = None,
        kind: str | None = None,
        due_before: datetime | None = None,
        order: CaseOrder = "age",
        after: CasePlace | None = None,
        limit: int = 100,
    ) -> list[OpenCase]:
        """Open cases behind `after` in the order. `member` has to act next; those without deadline are due last."""
        t = tables.open_cases
        place = _case_place_columns(order)
        wanted = select(t).order_by(*place).limit(limit)
        if member is not None:
            turns = tables.turns
            this = and_(turns.c.kind == t.c.kind, turns.c.id == t.c.id)
            wanted = wanted.join(turns, this).where(turns.c.member == member)
        if kind is not None:
            wanted = wanted.where(t.c.kind == kind)
        if due_before is not None:
            wanted = wanted.where(t.c.due_at < due_before)
        if after is not None:
            kind_and_id = (literal(name, tables.Words) for name in (after.kind, after.id))
            behind = tuple_(literal(after.at_ms, BigInteger), *kind_and_id)
            wanted = wanted.where(tuple_(*place) > behind)
        return [OpenCase.from_avro(dict(row._mapping)) for row in self._rows(wanted)]

    def turns(self, now: datetime) -> list[Turns]:
        """Open cases by next actor, those with most overdue ones first, then with most."""
        t, turns = tables.open_cases, tables.turns
        overdue = func.sum(case((t.c.due_at < now, 1), else_=0)).label("overdue")
        open_ = func.count().label("open")
        wanted = (
            select(turns.c.member, open_, overdue)
            .add_columns(func.count(t.c.flag).label("flagged"), func.min(t.c.since).label("oldest"))
            .join(turns, and_(turns.c.kind == t.c.kind, turns.c.id == t.c.id))
            .group_by(turns.c.member)
            .order_by(overdue.desc(), open_.desc(), turns.c.member)
        )
        return [
            Turns(row.member, int(row.open), int(row.overdue), int(row.flagged), row.oldest)
            for row in self._rows(wanted)
        ]

    def heartbeats(self) -> list[Heartbeat]:
        """The latest heartbeat of each connector, by member and connector."""
        t = tables.heartbeats
        rows = self._rows(select(t.c.value).order_by(t.c.member, t.c.connector))
        found = [decode(bytes(row.value)) for row in rows]
        return [beat for beat in found if isinstance(beat, Heartbeat)]

    def event_times(self, member: str, newest: int = 20_000) -> list[datetime]:
        """When the ledger decided on this member's newest events, oldest first; one time for each ten minutes that had any."""
        t = tables.entries
        at_ms = type_coerce(t.c.ledger_at, BigInteger)
        recent = (
            select((at_ms // _TEN_MINUTES_MS).label("step"))
            .where(t.c.member == member)
            .order_by(t.c.seq.desc())
            .limit(newest)
            .subquery()
        )
        steps = self._rows(select(recent.c.step).distinct().order_by(recent.c.step))
        return [from_millis(int(row.step) * _TEN_MINUTES_MS) for row in steps]

    def dead_letters(self, *, after: int = -1, limit: int = 100) -> list[StoredLetter]:
        """Dead letters with an offset above `after`, oldest first."""
        t = tables.dead_letters
        wanted = select(t.c.letter_offset, t.c.value).where(t.c.letter_offset > after)
        return [_letter(r) for r in self._rows(wanted.order_by(t.c.letter_offset).limit(limit))]

    def newest_dead_letters(self, limit: int) -> list[StoredLetter]:
        """The newest dead letters, newest first."""
        t = tables.dead_letters
        wanted = select(t.c.letter_offset, t.c.value).order_by(t.c.letter_offset.desc())
        return [_letter(row) for row in self._rows(wanted.limit(limit))]

    def dead_letter_count(self) -> int:
        rows = self._rows(select(func.count()).select_from(tables.dead_letters))
        return int(rows[0][0])


def _case_place_columns(order: CaseOrder) -> tuple[ColumnElement[Any], ...]:
    t = tables.open_cases
    if order == "age":
        return type_coerce(t.c.since, BigInteger), t.c.kind, t.c.id
    return func.coalesce(type_coerce(t.c.due_at, BigInteger), NO_DEADLINE), t.c.kind, t.c.id


def _stored(row: Row[Any]) -> StoredEntry:
    entry = decode(bytes(row.value))
    if not isinstance(entry, Entry):
        raise StoreUnavailable("the store holds something else than ledger entries; empty it")
    return StoredEntry(entry, bytes(row.hash))


def _letter(row: Row[Any]) -> StoredLetter:
    letter = decode(bytes(row.value))
    if not isinstance(letter, DeadLetter):
        raise StoreUnavailable("the store holds something else than dead letters; empty it")
    return StoredLetter(row.letter_offset, letter)
