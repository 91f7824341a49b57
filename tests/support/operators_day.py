"""A hub with something on every page that operators ask for: connectors with parts, orders, messages, one event's way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from hub.api.kafka_view import TopicOffsets
from hub.flow.delivery import deliveries
from hub.ledger.head import read_entry
from hub.store import tables
from hub.store.fold import fold
from hub.store.queries import Reader
from schemas import topics
from schemas.catalogue import catalogue
from schemas.codec import encode
from schemas.envelope import event_headers
from schemas.members import Alliance, load_alliance
from schemas.records import (
    Admitted,
    BackfillProgress,
    ConnectorCommand,
    ConnectorCommandAnswer,
    ConnectorPart,
    Entry,
    Heartbeat,
)
from tests.support.message_topics import FakeMessages
from tests.support.readmodel import (
    Chain,
    FakeKafka,
    award,
    dead_letter,
    heartbeat,
    sample_broker,
    taken,
)

HOST, HOME = "10611", "10610"
SCHEMAS_READ = tuple(sorted(f"{one.event}/{one.version}" for one in catalogue().by_id.values()))


@dataclass
class Day:
    """The parts of an application, and the entry whose way is in the topics."""

    engine: Engine
    reader: Reader
    alliance: Alliance
    kafka: FakeKafka
    messages: FakeMessages
    entry: Entry


def operators_day(folder: Path, now: datetime) -> Day:
    """A read model in `folder` and topics that go with it, a minute before `now`. The caller disposes the engine."""
    alliance = load_alliance(Path(__file__).parents[2] / "alliance.toml")
    engine = tables.open_engine(f"sqlite:///{folder / 'operators.db'}")
    tables.prepare(engine)
    at = now - timedelta(minutes=1)
    chain = Chain()
    for number in range(1, 6):
        chain.add(award(number, HOST, HOME, at))
    event = award(6, HOST, HOME, at)
    entry = replace(
        chain.add(event),
        audience=(HOME,),
        published_at=at + timedelta(milliseconds=40),
        ledger_at=at + timedelta(milliseconds=90),
    )
    chain.taken.pop()
    chain.put(encode(entry))
    letter = replace(dead_letter(0, HOST, at), event_id="0198f000-0000-7000-8000-00000000dead")
    records = (
        chain.taken + taken(topics.HEARTBEATS, beats(now)) + taken(topics.DEAD_LETTERS, [letter])
    )
    fold(engine, {}, records)
    messages = FakeMessages()
    _way(messages, entry, alliance, at)
    _orders(messages, now)
    messages.put(topics.inbox("10650"), b'{"student": "Zhang Wei"}', now, key=b"2026012345678")
    messages.put(topics.inbox("10650"), b"\x00\x00\x0f\xff\xff\x01", now)
    messages.put(topics.inbox("10650"), None, now, key=b"gone")
    broker = sample_broker(list(alliance.members), records, now)
    more = [topics.COMMANDS, topics.COMMAND_ANSWERS, topics.HEARTBEATS]
    known = dict(broker.topics) | {name: TopicOffsets(name, {0: 0}, {0: 2}, 0.0) for name in more}
    kafka = FakeKafka(replace(broker, topics=known))
    return Day(engine, Reader(engine), alliance, kafka, messages, entry)


def beats(now: datetime) -> list[Heartbeat]:
    """Four connectors: one well, one with a parked key and a backfill, one held by an operator, one silent."""
    well = (
        ConnectorPart("source.grades", "sql_outbox", "running", "", "4711", 0, 0, now - timedelta(seconds=9), 3600, 2),
        ConnectorPart("sink.lms", "http_push", "running", "", None, 0, 0, None, None, None),
    )  # fmt: skip
    odd = (
        ConnectorPart("source.rows", "sql_rows", "degraded", "grade <b>A++</b> has no code in grades.csv", "2026-09-01T08:00:00Z|7", 1, 3, now - timedelta(hours=2), 600, 5400),
    )  # fmt: skip
    return [
        replace(heartbeat(HOME, at=now, parts=well), mapping_hash="0123456789abcdef", reader_schemas=SCHEMAS_READ,
                host="sis-1", pid=4242, started_at=now - timedelta(days=3)),
        replace(heartbeat(HOST, "degraded", "1 key parked", now, odd), reader_schemas=("credit.awarded/1",),
                backfills=(BackfillProgress("rows", "running", 12, 6000, 9000),)),
        heartbeat("10650", "paused", "paused by operator", now),
        heartbeat("10618", at=now - timedelta(minutes=5)),
    ]  # fmt: skip


def _way(messages: FakeMessages, entry: Entry, alliance: Alliance, at: datetime) -> None:
    """The event in every topic it passes, each a little later."""
    event, schema = award(6, HOST, HOME, at), catalogue().newest["credit.awarded"]
    headers = event_headers(event.envelope, schema, "0123456789abcdef", bytes(64))
    key = event.envelope.partition_key.encode()
    messages.put(
        entry.source_topic, event, entry.published_at, headers, key, offset=entry.source_offset
    )
    admitted = Admitted(
        entry.source_topic, 0, entry.source_offset, entry.published_at, entry.key_id, bytes(64), entry.event
    )  # fmt: skip
    messages.put(topics.LEDGER_IN, admitted, at + timedelta(milliseconds=90), offset=entry.input_offset)  # fmt: skip
    messages.put(topics.LEDGER_ENTRIES, entry, at + timedelta(milliseconds=120), offset=entry.seq - 1)  # fmt: skip
    for topic, message in deliveries(entry, alliance.members):
        assert read_entry(message.value) is None
        messages.put(topic, message.value, at + timedelta(milliseconds=150), message.headers, message.key)  # fmt: skip


def _orders(messages: FakeMessages, now: datetime) -> None:
    """Two orders, of which one was answered, and an answer whose order is no longer kept."""
    first, second = now - timedelta(minutes=30), now - timedelta(minutes=3)
    for number, (verb, at, why) in enumerate([("restart", first, "new certificate"), ("pause", second, "SIS upgrade <tonight>")]):  # fmt: skip
        messages.put(topics.COMMANDS, ConnectorCommand(f"c-{number}", "10650", "campus", verb, "{}", "li.na at 10.0.0.7", why, at), at)  # fmt: skip
    messages.put(topics.COMMAND_ANSWERS, ConnectorCommandAnswer("c-old", HOME, "campus", "stop", "refused", "not allowed here", first - timedelta(days=9)), first)  # fmt: skip
    messages.put(topics.COMMAND_ANSWERS, ConnectorCommandAnswer("c-0", "10650", "campus", "restart", "done", "", first), first)  # fmt: skip
