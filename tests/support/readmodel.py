"""Sample records for tests of store, API and console: a chained ledger without a sequencer, and what lies beside it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hub.api.kafka_view import Broker, TopicOffsets
from hub.flow.admission import GROUP as ADMISSION_GROUP
from hub.flow.delivery import GROUP as DELIVERY_GROUP
from hub.ledger.head import GENESIS, Head, entry_hash
from hub.store.fold import Taken
from schemas import topics
from schemas.codec import encode
from schemas.records import (
    ConnectorPart,
    CourseRef,
    Credit,
    CreditAwarded,
    DeadLetter,
    EnrollmentRequested,
    Entry,
    Envelope,
    Grade,
    Heartbeat,
    LangText,
    MemberActivity,
    Posting,
    Record,
    StudentErased,
    Term,
    TopicRate,
)

START = datetime(2026, 9, 1, 8, tzinfo=UTC)


def envelope(number: int, member: str, subject: str, at: datetime) -> Envelope:
    return Envelope(
        f"0198f000-0000-7000-8000-{number:012d}", f"//{member}/campus", member, subject, subject, at, at,
        1, None, None, None, None, None, None, None,
    )  # fmt: skip


def award(
    number: int, host: str = "10611", home: str = "10610", at: datetime = START
) -> CreditAwarded:
    """Event number `number`: 3.5 credits awarded by the host."""
    return CreditAwarded(
        envelope(number, host, f"aw-{number}", at),
        f"aw-{number}", f"st-{number}", home, host, f"en-{number}", None,
        CourseRef(host, "CS101", None), f"of-{host}-1",
        (LangText("en", "Algorithms"), LangText("zh", "算法设计")), Term("2026-2027", 1, 2),
        Credit("hours16", Decimal("3.500")), None, "passed", Grade("percent", "88", Decimal("88.000")),
        (), 1, True, date(2026, 12, 20), None, None, None,
    )  # fmt: skip


def request(
    number: int, home: str = "10610", host: str = "10611", at: datetime = START
) -> EnrollmentRequested:
    """Event number `number`: the home asks the host to admit a student."""
    return EnrollmentRequested(
        envelope(number, home, f"en-{number}", at),
        f"en-{number}", f"st-{number}", home, host, f"of-{host}-1", Term("2026-2027", 1, 2),
        "course", "on_site", None, None, None, True, None, None,
    )  # fmt: skip


@dataclass
class Chain:
    """Entries that extend each other, as records of `ledger.entries`."""

    head: Head = GENESIS
    taken: list[Taken] = field(default_factory=list)

    def add(
        self,
        event: CreditAwarded | EnrollmentRequested | StudentErased,
        outcome: str = "applied",
        reason: str | None = None,
        postings: Sequence[Posting] = (),
        detail: str = "",
        flags: tuple[str, ...] = (),
    ) -> Entry:
        """Append an entry about the event, decided when it occurred."""
        framed = encode(event)
        seq, at = self.head.seq + 1, event.envelope.occurred_at
        entry = Entry(
            seq, self.head.hash, seq - 1, 0, event.envelope.event_id, hashlib.sha256(framed).digest(),
            event.EVENT, event.envelope.source, event.envelope.member, event.envelope.subject,
            topics.outbox(event.envelope.member), 0, seq, at, outcome, reason, detail, None, None, None, 1, at, at, (),
            tuple(postings), (), flags, framed, "0123456789abcdef", bytes(64),
        )  # fmt: skip
        value = encode(entry)
        self.put(value)
        self.head = Head(seq, entry_hash(value))
        return entry

    def put(self, value: bytes | None) -> None:
        """Append any record, void ones too."""
        self.taken.append(Taken(topics.LEDGER_ENTRIES, 0, len(self.taken), value))


def pend(number: int, amount: int = 3500, action: str = "pend") -> Posting:
    return Posting(
        action, "10611/issued", f"10610/st-{number}", "credit.hours16", amount, f"aw-{number}"
    )


def heartbeat(
    member: str, state: str = "running", reason: str = "", at: datetime = START,
    parts: Sequence[ConnectorPart] = (),
) -> Heartbeat:  # fmt: skip
    return Heartbeat(
        member, "campus", "0.1.0", state, reason, "41", 3, 7, 120, 118, at,
        mapping_hash="", reader_schemas=(), parts=tuple(parts), backfills=(), host="", pid=0, started_at=None,
    )  # fmt: skip


def activity(member: str, events: int, at: datetime = START) -> MemberActivity:
    return MemberActivity(
        member, events, events - 2, 2, 0, 0, 0, {"credit.awarded": events}, at, at, events
    )


def rate(topic: str, in_minute: int, at: datetime = START) -> TopicRate:
    return TopicRate(topic, in_minute * 3, at, in_minute, in_minute, at)


def dead_letter(offset: int, member: str = "10618", at: datetime = START) -> DeadLetter:
    return DeadLetter(
        topics.outbox(member), 0, offset, member, "BAD_SIGNATURE",
        "signature does not match key 5d1f0c; the body was changed after signing",
        "签名与密钥不符，请用当前密钥重新签名后再发送。", "The signature does not match; sign again with the current key.",
        None, "credit.awarded", None, b"\x00\x00", (), at, at,
    )  # fmt: skip


def taken(topic: str, records: Sequence[Record | None]) -> list[Taken]:
    """Records as fetched from a topic, offsets from 0; None is a tombstone."""
    return [
        Taken(topic, 0, offset, None if record is None else encode(record))
        for offset, record in enumerate(records)
    ]


def alliance_day(
    members: Sequence[str], now: datetime, entries: int = 400, seed: int = 7
) -> list[Taken]:
    """Everything the console shows, for a busy ten minutes before `now`."""
    rng = random.Random(seed)
    chain = Chain()
    for number in range(entries):
        home, host = rng.sample(list(members), 2)
        share = number / entries
        at = now - timedelta(seconds=600 * (1 - share) ** 1.3)
        event = (
            award(number, host, home, at) if rng.random() < 0.5 else request(number, home, host, at)
        )
        draw = rng.random()
        if draw < 0.86:
            chain.add(event, postings=[pend(number)] if isinstance(event, CreditAwarded) else [])
        elif draw < 0.93:
            chain.add(
                event, "rejected", "QUOTA_EXCEEDED", detail="offering has 0 seats left, 1 needed"
            )
        elif draw < 0.97:
            chain.add(event, "duplicate", "SAME_EVENT")
        else:
            chain.add(event, "parked", "UNKNOWN_REFERENCE", detail="offering is not known yet")
    found = list(chain.taken)
    beats = []
    for index, member in enumerate(members):
        if index == 17:
            continue
        beats.append(
            heartbeat(member, at=now - timedelta(seconds=240 if index == 11 else index % 3))
        )
    beats[3] = heartbeat(
        members[3], "degraded", "mapping/result.toml: grade 'A++' has no code in grades.csv", now
    )
    beats[8] = heartbeat(members[8], "failed", "campus answers 503 for 4 min", now)
    beats[14] = heartbeat(members[14], "paused", "paused by operator", now)
    found += taken(topics.HEARTBEATS, beats)
    found += taken(
        topics.MEMBER_ACTIVITY, [activity(m, 30 + 7 * i, now) for i, m in enumerate(members)]
    )
    found += taken(topics.TOPIC_RATES, [rate(topics.LEDGER_ENTRIES, 240, now)])
    found += taken(topics.DEAD_LETTERS, [dead_letter(4, at=now), dead_letter(9, members[5], now)])
    return found


class FakeKafka:
    """A broker view without a broker: tests change `broker` and the console follows."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def snapshot(self) -> Broker:
        return self.broker

    async def run(self) -> None:
        await asyncio.Event().wait()


def sample_broker(members: Sequence[str], records: Sequence[Taken], now: datetime) -> Broker:
    """A cluster that holds the records and whose groups have read nearly everything."""
    ends = Counter(record.topic for record in records)
    ends[topics.LEDGER_IN] = ends[topics.LEDGER_ENTRIES]
    for domain in ("enrollment", "credit", "offering", "project", "member"):
        ends[topics.domain(domain)] = 61
    for index, member in enumerate(members):
        ends[topics.outbox(member)] = 20 + index
        ends[topics.inbox(member)] = 7
    outboxes = {(topics.outbox(member), 0): ends[topics.outbox(member)] for member in members}
    return Broker(
        "127.0.0.1:9092",
        reachable=True,
        error="",
        at=now,
        topics={
            name: TopicOffsets(name, {0: 0}, {0: end}, end / 100 if index % 3 else 0.0)
            for index, (name, end) in enumerate(sorted(ends.items()))
        },
        committed={
            ADMISSION_GROUP: outboxes | {(topics.outbox(members[2]), 0): 18},
            DELIVERY_GROUP: {(topics.LEDGER_ENTRIES, 0): ends[topics.LEDGER_ENTRIES]},
        },
    )
