"""Tables of the read model, the same on SQLite and PostgreSQL, and how to open them.

Owns the layout. There are no migrations: every row follows from the topics, so a store whose layout differs from
this file is emptied and read again from offset 0. Times are whole milliseconds since 1970 (`Millis`).
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeDecorator

from hub.database import engine_of
from schemas.envelope import from_millis, to_millis


class Millis(TypeDecorator[datetime]):
    """An aware UTC time as whole milliseconds since 1970: sorts, and means the same in both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_millis(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_millis(value)


class Words(TypeDecorator[str]):
    """Text as people wrote it. A NUL, which Avro allows and PostgreSQL's text does not, becomes U+FFFD."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.replace("\x00", "\ufffd")


metadata = MetaData()
_Seq = BigInteger().with_variant(Integer, "sqlite")  # SQLite's row id is 64 bits under this name


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


entries = Table(
    "entries",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    Column("event_id", Words, nullable=False),
    Column("event_type", Words, nullable=False),
    Column("member", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("reason", Words),
    Column("detail", Words, nullable=False),
    Column("refers_to", BigInteger),
    Column("effective_at", Millis, nullable=False),
    Column("ledger_at", Millis, nullable=False),
    Column("published_at", Millis, nullable=False),
    Column("source_topic", Words, nullable=False),
    Column("source_partition", Integer, nullable=False),
    Column("source_offset", BigInteger, nullable=False),
    Column("input_offset", BigInteger, nullable=False),
    Column("postings", JSON, nullable=False),
    Column("flags", JSON, nullable=False),
    Column("value", LargeBinary, nullable=False),  # the framed entry, verbatim: what the hash is of
    Index("entries_event", "event_id", "seq"),
    Index("entries_member", "member", "seq"),
    Index("entries_outcome", "outcome", "seq"),
)
# Of a quiet alliance the log is ticks for days; the newest entries that say something are found without them.
TICK = "ledger.tick"
no_tick = entries.c.event_type != TICK
Index("entries_no_tick", entries.c.seq, sqlite_where=no_tick, postgresql_where=no_tick)

# An amount is pending or posted, out of a source or into a destination: two-phase transfers.
balances = Table(
    "balances",
    metadata,
    Column("account", Words, primary_key=True),
    Column("unit", Words, primary_key=True),
    _count("pending_in"),
    _count("posted_in"),
    _count("pending_out"),
    _count("posted_out"),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("outcome", Words, primary_key=True),
    Column("reason", Words, primary_key=True),  # empty when there is none
    _count("entries"),
)

# Entries by decision time, in steps of fold.STEP_MS; older than fold.KEPT_MS is dropped.
pulse = Table(
    "pulse",
    metadata,
    Column("at", Millis, primary_key=True),
    Column("outcome", Words, primary_key=True),
    _count("entries"),
)

# The next three have one column per field of the record they keep the latest of.
member_activity = Table(
    "member_activity",
    metadata,
    Column("member", Words, primary_key=True),
    *(
        _count(name)
        for name in ("events", "applied", "rejected", "duplicate", "conflict", "parked")
    ),
    Column("by_type", JSON, nullable=False),
    Column("first_at", Millis, nullable=False),
    Column("last_at", Millis, nullable=False),
    _count("last_seq"),
)

topic_rates = Table(
    "topic_rates",
    metadata,
    Column("topic", Words, primary_key=True),
    _count("messages"),
    Column("minute", Millis, nullable=False),
    _count("in_minute"),
    _count("previous_minute"),
    Column("last_at", Millis, nullable=False),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("member", Words, primary_key=True),
    Column("connector", Words, primary_key=True),
    Column("version", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("cursor", Words, nullable=False),
    *(
        _count(name)
        for name in ("outbox_events", "inbox_position", "published_total", "applied_total")
    ),
    Column("at", Millis, nullable=False),
    Column("value", LargeBinary, nullable=False),  # the framed heartbeat: its parts are in there
)

# Admission may refuse the same message twice after a crash; its source position keeps the first.
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("source_topic", Words, primary_key=True),
    Column("source_partition", Integer, primary_key=True),
    Column("source_offset", BigInteger, primary_key=True),
    Column("letter_offset", BigInteger, nullable=False, unique=True),
    Column("member", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("event_type", Words),
    Column("refused_at", Millis, nullable=False),
    Column("value", LargeBinary, nullable=False),  # the framed dead letter, verbatim
)

# Students whose home destroyed their keys. Dead letters that name one are not kept: what was refused may hold anything,
# and unlike the ledger it proves nothing. Entries stay as they are, under a pseudonym that leads to nobody.
erased_students = Table(
    "erased_students",
    metadata,
    Column("student_id", Words, primary_key=True),
)

# Open cases as hub.cases has them, one column per field but for the next actors: those are rows of `turns`.
open_cases = Table(
    "open_cases",
    metadata,
    Column("kind", Words, primary_key=True),
    Column("id", Words, primary_key=True),
    Column("state", Words, nullable=False),
    Column("next_actors", JSON, nullable=False),
    Column("due_at", Millis),
    Column("opened_at", Millis, nullable=False),
    Column("since", Millis, nullable=False),
    Column("flag", Words),
    Column("seq", BigInteger, nullable=False),
    Index("open_cases_since", "since", "kind", "id"),
)

# Who has to act on which open case: a search key beside `open_cases.next_actors`.
turns = Table(
    "turns",
    metadata,
    Column("member", Words, primary_key=True),
    Column("kind", Words, primary_key=True),
    Column("id", Words, primary_key=True),
    Index("turns_case", "kind", "id"),
)

# How far this store has read. The head belongs to ledger.entries alone and is what the reading rule needs.
position = Table(
    "position",
    metadata,
    Column("topic", Words, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("head_offset", BigInteger, nullable=False),  # -1 before the first entry
)

layout = Table("layout", metadata, Column("fingerprint", Words, primary_key=True))


def open_engine(database_url: str) -> Engine:
    """An engine for `sqlite:///file` or `postgresql://...` (through pg8000). Creates nothing.

    Raises `SettingsError` for another database or a missing driver. The caller disposes it.
    """
    # NORMAL may lose the last commits with the machine's power, position included, so they are read again.
    return engine_of(database_url, "ALLIANCE_DATABASE", "NORMAL")


def prepare(engine: Engine) -> bool:
    """Make the tables, after dropping those of another layout. Returns whether it made them. Projector only.

    The layout's row is written last, so a crash on the way ends in doing it again.
    """
    wanted = _fingerprint()
    with engine.begin() as connection:
        connection.execute(CreateTable(layout, if_not_exists=True))
        if connection.execute(select(layout.c.fingerprint)).scalar() == wanted:
            return False
        metadata.drop_all(connection)
        metadata.create_all(connection)
        connection.execute(layout.insert().values(fingerprint=wanted))
    return True


def _fingerprint() -> str:
    ddl = "".join(str(CreateTable(table)) for table in metadata.sorted_tables)
    return hashlib.sha256(ddl.encode()).hexdigest()


def clear(engine: Engine) -> None:
    """Forget everything read, so that the projector starts again at offset 0."""
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            if table is not layout:
                connection.execute(table.delete())


StoreError = DBAPIError  # the database is away, locked, or not made yet
