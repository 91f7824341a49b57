"""What an entry is made of: what its event says, what the rules decide, and where it stands.

Owns the record alone. What is decided, and what follows from it, is `hub.ledger.apply`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

from hub.domain.life import Living
from hub.ledger.head import Head
from hub.ledger.state import Input
from schemas.avro_plain import maker
from schemas.envelope import from_millis, to_millis
from schemas.records import Change, Entry, Posting

RULE_VERSION = 3
DETAIL_CHARS = 1000  # of a refusal; it quotes fields, which are as long as a member likes
ENTRY_BYTES = 65_535  # what an entry bundle of the log takes (C2SP tlog-tiles: a 16-bit length)
HUB: Final = ""  # the member of entries that no member signs

# action, source, destination, unit, amount, pending id
PostingRow: TypeAlias = tuple[str, str, str, str, int, str | None]
# kind, id, state, next actors, deadline in milliseconds since 1970, closed
ChangeRow: TypeAlias = tuple[str, str, str, tuple[str, ...], int | None, bool]

# One for every event: what a frozen class does by itself takes longer than writing the bytes.
_entry, _change = maker(Entry), maker(Change)


class Said(NamedTuple):
    """What an entry tells of its event: whose it is, what it is about, its bytes."""

    event_id: str
    event_type: str
    member: str
    source: str
    subject: str
    value: bytes
    event_hash: bytes
    key_id: str
    signature: bytes
    source_topic: str
    source_partition: int
    source_offset: int
    published_ms: int
    effective_at: datetime


class Decision(NamedTuple):
    """What an entry says beside its event and its place, as plain values: what the rules made of the event, and when."""

    outcome: str
    reason: str | None
    detail: str
    refers_to: int | None
    about_seq: int | None
    about_version: int | None
    ledger_ms: int
    audience: tuple[str, ...]
    postings: tuple[PostingRow, ...]
    changes: tuple[ChangeRow, ...]
    flags: tuple[str, ...]


def said_by_member(item: Input, event_hash: bytes) -> Said:
    """A member's event."""
    envelope = item.event.envelope
    return Said(
        envelope.event_id, item.event_type, envelope.member, envelope.source, envelope.subject, item.value, event_hash,
        item.key_id, item.signature, item.source_topic, item.source_partition, item.source_offset, item.published_ms,
        envelope.occurred_at,
    )  # fmt: skip


def said_by_hub(event_id: str, event_type: str, subject: str, value: bytes, at_ms: int) -> Said:
    """Something of the hub's own. No member signed it; it moves no value."""
    return Said(
        event_id, event_type, HUB, "", subject, value, hashlib.sha256(value).digest(), "", b"", "", 0, 0, at_ms,
        from_millis(at_ms),
    )  # fmt: skip


def posting_rows(postings: Iterable[Posting]) -> tuple[PostingRow, ...]:
    """Postings as plain values."""
    return tuple(
        [(p.action, p.source, p.destination, p.unit, p.amount, p.pending_id) for p in postings]
    )


def change_rows(things: Iterable[object]) -> tuple[ChangeRow, ...]:
    """What readers of the log are told of changed things, as plain values."""
    return tuple(
        [
            (
                thing.KIND, thing.id, thing.state, tuple(sorted(thing.turn())), thing.deadline_ms(),
                thing.LIFE.closed(thing.state),
            )
            for thing in things
            if isinstance(thing, Living)
        ]
    )  # fmt: skip


def make_entry(
    head: Head,
    input_offset: int,
    input_index: int,
    said: Said,
    decision: Decision,
    postings: tuple[Posting, ...],
) -> Entry:
    """The entry that extends `head`; `postings` are those of the decision."""
    made: Entry = _entry(
        seq=head.seq + 1,
        prev_hash=head.hash,
        input_offset=input_offset,
        input_index=input_index,
        event_id=said.event_id,
        event_hash=said.event_hash,
        event_type=said.event_type,
        source=said.source,
        member=said.member,
        subject=said.subject,
        source_topic=said.source_topic,
        source_partition=said.source_partition,
        source_offset=said.source_offset,
        published_at=from_millis(said.published_ms),
        outcome=decision.outcome,
        reason=decision.reason,
        detail=decision.detail,
        refers_to=decision.refers_to,
        about_seq=decision.about_seq,
        about_version=decision.about_version,
        rule_version=RULE_VERSION,
        effective_at=said.effective_at,
        ledger_at=from_millis(decision.ledger_ms),
        audience=decision.audience,
        postings=postings,
        changes=tuple(
            [
                _change(kind, name, state, actors, None if due_ms is None else from_millis(due_ms), closed)
                for kind, name, state, actors, due_ms, closed in decision.changes
            ]
        ),
        flags=decision.flags,
        event=said.value,
        key_id=said.key_id,
        signature=said.signature,
    )  # fmt: skip
    return made


def decision_of(entry: Entry) -> Decision:
    """What an entry that was read says of the rules' decision."""
    return Decision(
        entry.outcome, entry.reason, entry.detail, entry.refers_to, entry.about_seq, entry.about_version,
        to_millis(entry.ledger_at), entry.audience, posting_rows(entry.postings),
        tuple(
            (
                change.kind, change.id, change.state, change.next_actors,
                None if change.due_at is None else to_millis(change.due_at), change.closed,
            )
            for change in entry.changes
        ),
        entry.flags,
    )  # fmt: skip


def is_said_by(entry: Entry, event: Any) -> bool:
    """Whether all that an entry tells of a member's event is what the event says.

    Then the entry's bytes follow from its place, its input and its `Decision`, by rules of this version.
    """
    envelope = getattr(event, "envelope", None)
    return envelope is not None and (
        entry.event_id, entry.event_type, entry.member, entry.source, entry.subject, entry.event_hash,
        entry.effective_at, entry.rule_version,
    ) == (
        envelope.event_id, event.EVENT, envelope.member, envelope.source, envelope.subject,
        hashlib.sha256(entry.event).digest(), envelope.occurred_at, RULE_VERSION,
    )  # fmt: skip
