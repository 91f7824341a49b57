"""Delivery: tells each member what concerns it, and the domain topics what was applied.

Stateless but for its position, which is committed with the head it belongs to. Every output carries the entry's
sequence number; after a crash delivery looks at the end of each output and goes on where that one stopped, so that an
output holds each number once, in order. Should two deliveries ever work at once, readers pass over numbers they have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

import structlog

from hub.domain.reasons import ADVICE, Outcome, Reason
from hub.errors import LedgerCorrupt
from hub.flow.kafka import (
    OnAssignment,
    Outgoing,
    Reader,
    Writer,
    group_reader,
    newest_seqs,
    plain_reader,
    producer,
)
from hub.ledger.head import GENESIS, Head, read_entry
from schemas import topics
from schemas.catalogue import Schema, catalogue
from schemas.codec import encode, schema_of
from schemas.envelope import (
    KEY_ID,
    KIND,
    LEDGER_SEQ,
    PUBLISHED_AT,
    SIGNATURE,
    Headers,
    rfc3339,
    to_millis,
)
from schemas.members import Alliance
from schemas.records import Entry
from schemas.records import Outcome as OutcomeRecord

log = structlog.get_logger("delivery")

GROUP = "hub.delivery"
HUB_SOURCE = "urn:alliance:hub"
BATCH = 1000


def outcome_record(entry: Entry) -> OutcomeRecord:
    """What the sender is told about its event."""
    advice = ADVICE[Reason(entry.reason)] if entry.reason else None
    return OutcomeRecord(
        event_id=entry.event_id,
        event_type=entry.event_type,
        subject=entry.subject,
        outcome=entry.outcome,
        seq=entry.seq,
        refers_to=entry.refers_to,
        about_seq=entry.about_seq,
        about_version=entry.about_version,
        reason=entry.reason,
        developer_message=entry.detail,
        user_message_zh=advice.zh if advice else "",
        user_message_en=advice.en if advice else "",
        next_actor=advice.next_actor if advice else None,
        retryable=advice.retryable if advice else False,
        retry_when=advice.retry_when.value if advice else "",
        source_topic=entry.source_topic,
        source_partition=entry.source_partition,
        source_offset=entry.source_offset,
        decided_at=entry.ledger_at,
    )


def deliveries(entry: Entry, members: Collection[str]) -> Iterable[tuple[str, Outgoing]]:
    """The messages an entry causes, as (topic, message): the sender's outcome, then the event for those concerned.

    At most one for each topic, so that a reader can tell a repeat by the entry's number. A flag goes to the inboxes
    alone. A university that left the alliance has no inbox any more; its entries still concern others.
    """
    key = entry.subject.encode()
    seq, published = str(entry.seq).encode(), str(to_millis(entry.published_at)).encode()
    if entry.member in members:
        yield (
            topics.inbox(entry.member),
            Outgoing(
                key,
                encode(outcome_record(entry)),
                [(KIND, b"outcome"), (LEDGER_SEQ, seq), (PUBLISHED_AT, published)],
            ),
        )
    if entry.outcome != Outcome.APPLIED:
        return
    schema = schema_of(entry.event)
    event = Outgoing(key, entry.event, _event_headers(entry, schema, seq, published))
    if schema.is_event():
        yield topics.domain(schema.domain), event
    for member in entry.audience:
        if member in members:
            yield topics.inbox(member), event


def _event_headers(entry: Entry, schema: Schema, seq: bytes, published: bytes) -> Headers:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", entry.event_id.encode()),
        ("ce_type", schema.ce_type.encode()),
        ("ce_source", (entry.source or HUB_SOURCE).encode()),
        ("ce_subject", entry.subject.encode()),
        ("ce_time", rfc3339(entry.effective_at).encode()),
        ("content-type", b"application/avro"),
        (KEY_ID, entry.key_id.encode()),
        (SIGNATURE, entry.signature),
        (KIND, b"event" if schema.is_event() else b"flag"),
        (LEDGER_SEQ, seq),
        (PUBLISHED_AT, published),
    ]


def note_of(head: Head) -> str:
    """The head as the note of a commit."""
    return f"{head.seq}:{head.hash.hex()}"


def head_of(note: str) -> Head:
    """The head a commit's note holds. Raises `LedgerCorrupt` when it holds none."""
    seq, _, digest = note.partition(":")
    if not seq.isdecimal() or len(digest) != 64:
        raise LedgerCorrupt(
            f"position of {GROUP} has the note {note!r}, wanted seq:hash; reset the group's offsets to 0"
        )
    return Head(int(seq), bytes.fromhex(digest))


async def run_delivery(
    bootstrap: str, alliance: Alliance, stop: asyncio.Event, instance: str = "1"
) -> None:
    """Deliver, or stand by, until `stop` is set."""
    members = frozenset(alliance.members)
    listener = OnAssignment()
    async with group_reader(
        bootstrap, [topics.LEDGER_ENTRIES], GROUP, instance, listener
    ) as reader:
        while not stop.is_set():
            if (topics.LEDGER_ENTRIES, 0) not in reader.assigned():
                await asyncio.sleep(0.05)
                continue
            async with producer(bootstrap, f"{GROUP}.{instance}") as writer:
                await _deliver(bootstrap, members, stop, listener, reader, writer)


async def _deliver(
    bootstrap: str,
    members: frozenset[str],
    stop: asyncio.Event,
    listener: OnAssignment,
    reader: Reader,
    writer: Writer,
) -> None:
    generation = listener.generation
    committed = await reader.committed(topics.LEDGER_ENTRIES)
    offset, head = (committed[0], head_of(committed[1])) if committed else (0, GENESIS)
    done = await _delivered(bootstrap, members)
    reader.seek(topics.LEDGER_ENTRIES, offset)
    log.info("delivering", seq=head.seq, ahead=max(done.values(), default=0) - head.seq)
    while not stop.is_set() and generation == listener.generation:
        messages = await reader.batch(500, BATCH)
        if not messages:
            continue
        out: dict[str, list[Outgoing]] = {}
        for message in messages:
            entry = read_entry(message.value)
            extended = head.extended_by(entry, message.value or b"") if entry else None
            if entry is None or extended is None:
                continue
            head = extended
            for topic, record in deliveries(entry, members):
                if entry.seq > done[topic]:
                    out.setdefault(topic, []).append(record)
        acks = [ack for topic, records in out.items() for ack in await writer.send(topic, records)]
        await asyncio.gather(*acks)
        await reader.commit({(topics.LEDGER_ENTRIES, 0): (messages[-1].offset + 1, note_of(head))})
        log.info(
            "delivered", entries=len(messages), messages=sum(map(len, out.values())), seq=head.seq
        )


async def _delivered(bootstrap: str, members: frozenset[str]) -> dict[str, int]:
    """The newest sequence number in each output."""
    outputs = [topics.domain(name) for name in catalogue().domains()]
    outputs += [topics.inbox(member) for member in sorted(members)]
    async with plain_reader(bootstrap, [(output, 0) for output in outputs], GROUP) as reader:
        return await newest_seqs(reader, outputs)
