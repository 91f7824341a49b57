"""A ledger log to read: entries that chain, with whatever outcomes a test wants, and void records between them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub.ledger.head import GENESIS, Head, entry_hash
from schemas.codec import encode
from schemas.records import Entry

START = datetime(2026, 9, 1, tzinfo=UTC)
MEMBERS = ("10610", "10611", "10614", "M-AMU")
TYPES = ("enrollment.requested", "enrollment.decided", "credit.awarded")
OUTCOMES = ("applied", "applied", "applied", "rejected", "duplicate", "conflict", "parked")


@dataclass(frozen=True, slots=True)
class Told:
    """What an entry says, as far as anything counts it."""

    member: str = "10610"
    event_type: str = "enrollment.requested"
    outcome: str = "applied"
    input_index: int = 0


def entry(head: Head, told: Told) -> Entry:
    """The entry that extends `head`."""
    at = START + timedelta(milliseconds=head.seq + 1)
    return Entry(
        seq=head.seq + 1,
        prev_hash=head.hash,
        input_offset=head.seq,
        input_index=told.input_index,
        event_id=f"event-{head.seq + 1}",
        event_hash=bytes(32),
        event_type=told.event_type,
        source=f"urn:alliance:member:{told.member}:campus",
        member=told.member,
        subject="subject",
        source_topic=f"member.{told.member}.out",
        source_partition=0,
        source_offset=head.seq,
        published_at=at,
        outcome=told.outcome,
        reason=None,
        detail="",
        refers_to=None,
        about_seq=None,
        about_version=None,
        rule_version=1,
        effective_at=at,
        ledger_at=at,
        audience=(),
        postings=(),
        changes=(),
        flags=(),
        event=b"event",
        key_id="21fe31dfa154a261",
        signature=bytes(64),
    )


def ledger_values(told: Sequence[Told]) -> list[bytes]:
    """The framed entries of a log, from the first on."""
    values, head = [], GENESIS
    for item in told:
        value = encode(entry(head, item))
        head = Head(head.seq + 1, entry_hash(value))
        values.append(value)
    return values


def with_voids(values: Sequence[bytes], seed: int) -> list[bytes]:
    """The log as a real partition may hold it: with repeats of a retry, late writes of a second sequencer, and noise."""
    rng = random.Random(seed)
    log: list[bytes] = []
    for number, value in enumerate(values):
        log.append(value)
        if rng.random() < 0.1:
            log.append(rng.choice(values[: number + 1]))
        if rng.random() < 0.05:
            log.append(encode(entry(Head(number, bytes(32)), Told("10614", outcome="rejected"))))
        if rng.random() < 0.02:
            log.append(b"not an entry")
    return log


def some_told(count: int, seed: int) -> list[Told]:
    """A mixed history of several members."""
    rng = random.Random(seed)
    return [
        Told(rng.choice(MEMBERS), rng.choice(TYPES), rng.choice(OUTCOMES), int(rng.random() < 0.1))
        for _ in range(count)
    ]
