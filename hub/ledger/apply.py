"""State and input to entries: the heart of the ledger. Deterministic: no clock, no randomness, no I/O.

Every input gets exactly one outcome entry (duplicates and refusals too); the entries of parked events that it released
follow in the same group. Replaying the same inputs gives byte-identical entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub.domain.reasons import Outcome, Reason
from hub.errors import LedgerCorrupt
from hub.ledger.head import Head, entry_hash
from hub.ledger.state import (
    Applied,
    Input,
    Parked,
    Rejected,
    Rules,
    Seen,
    State,
    Verdict,
    Waiting,
    WaitKey,
    waits_for_thing,
    waits_for_version,
)
from schemas.codec import encode
from schemas.records import Entry, Posting

RULE_VERSION = 1
DETAIL_CHARS = 1000  # of a refusal; it quotes fields, which are as long as a member likes
POSTINGS_CHARS = (
    500_000  # of all names in the postings of an entry, which must fit one Kafka message
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Written:
    """An entry and its framed bytes, as they stand in the log."""

    entry: Entry
    value: bytes


def judge(state: State, item: Input, rules: Rules) -> Verdict:
    """What becomes of a first-seen event: order of its versions, then its type's rule. Changes nothing."""
    envelope = item.event.envelope
    domain = item.event_type.partition(".")[0]
    last = state.version(domain, envelope.subject, envelope.member)
    if envelope.aggregate_version <= last:
        return Rejected(
            Reason.STALE_VERSION,
            f"{envelope.subject} is at version {last} of member {envelope.member}, "
            f"the event says {envelope.aggregate_version}; publish version {last + 1}",
        )
    if envelope.aggregate_version > last + 1:
        missing = envelope.aggregate_version - 1
        return Waiting(
            waits_for_version(domain, envelope.subject, envelope.member, missing),
            Reason.VERSION_GAP,
            f"{envelope.subject} is at version {last} of member {envelope.member}, "
            f"the event says {envelope.aggregate_version}; it waits for version {missing}",
        )
    verdict = rules[item.event_type](item.event, state)
    size = _size(verdict.postings) if isinstance(verdict, Applied) else 0
    if size > POSTINGS_CHARS:
        return Rejected(
            Reason.TOO_LARGE,
            f"the postings of this event have {size} characters, at most {POSTINGS_CHARS} fit an entry; "
            "split the event or use shorter ids",
        )
    return verdict


def _size(postings: Iterable[Posting]) -> int:
    return sum(
        50
        + len(posting.source)
        + len(posting.destination)
        + len(posting.unit)
        + len(posting.pending_id or "")
        for posting in postings
    )


def apply(state: State, item: Input, rules: Rules) -> list[Written]:
    """Take one input into the state and return its entries, the outcome first, then what it released.

    Raises `LedgerCorrupt` when a rule would break the book; the state is then of no further use.
    """
    if item.offset < state.next_input:
        raise LedgerCorrupt(
            f"input {item.offset} was accounted for already (next is {state.next_input})"
        )
    written: list[Written] = []
    released: list[Parked] = []
    envelope = item.event.envelope
    event_hash = hashlib.sha256(item.value).digest()
    seen = state.seen.get(envelope.event_id)
    if seen is None:
        state.seen[envelope.event_id] = Seen(event_hash, state.head.seq + 1)
        verdict = judge(state, item, rules)
        written.append(
            _enter(state, item, item.offset, 0, event_hash, verdict, None, item.timestamp_ms)
        )
        released += _settle(state, item, verdict)
    else:
        written.append(_enter_again(state, item, event_hash, seen))
    while released:
        released.sort(key=lambda parked: parked.seq)
        parked = released.pop(0)
        written.append(_release(state, parked, item.offset, len(written), rules, released))
    state.next_input = item.offset + 1
    return written


def _release(
    state: State, parked: Parked, offset: int, index: int, rules: Rules, released: list[Parked]
) -> Written:
    item = parked.input
    verdict = judge(state, item, rules)
    event_hash = hashlib.sha256(item.value).digest()
    entry = _enter(state, item, offset, index, event_hash, verdict, parked.seq, 0)
    released += _settle(state, item, verdict)
    return entry


def _settle(state: State, item: Input, verdict: Verdict) -> list[Parked]:
    """Carry the verdict into the state; return the parked inputs that need wait no longer."""
    envelope = item.event.envelope
    domain = item.event_type.partition(".")[0]
    if isinstance(verdict, Waiting):
        state.parked.setdefault(verdict.key, []).append(Parked(item, state.head.seq))
        return []
    keys: list[WaitKey] = []
    last = state.version(domain, envelope.subject, envelope.member)
    if envelope.aggregate_version == last + 1:  # a rejected statement uses its version up, too
        state.versions[domain, envelope.subject, envelope.member] = last + 1
        keys.append(waits_for_version(domain, envelope.subject, envelope.member, last + 1))
    if isinstance(verdict, Applied):
        state.book.apply(verdict.postings)
        for thing in verdict.changes:
            state.things.setdefault(thing.KIND, {})[thing.id] = thing
            keys.append(waits_for_thing(thing.KIND, thing.id))
    return [parked for key in keys for parked in state.parked.pop(key, ())]


def _enter_again(state: State, item: Input, event_hash: bytes, seen: Seen) -> Written:
    if seen.event_hash == event_hash:
        verdict = Rejected(Reason.SAME_EVENT, f"entry {seen.seq} has this event; nothing to do")
        outcome = Outcome.DUPLICATE
    else:
        verdict = Rejected(
            Reason.SAME_ID_OTHER_CONTENT,
            f"entry {seen.seq} has event {item.event.envelope.event_id} with hash {seen.event_hash.hex()[:16]}, "
            f"this one hashes to {event_hash.hex()[:16]}; publish the new content under a new event id",
        )
        outcome = Outcome.CONFLICT
    return _enter(
        state, item, item.offset, 0, event_hash, verdict, seen.seq, item.timestamp_ms, outcome
    )


def _enter(
    state: State,
    item: Input,
    offset: int,
    index: int,
    event_hash: bytes,
    verdict: Verdict,
    refers_to: int | None,
    timestamp_ms: int,
    outcome: Outcome | None = None,
) -> Written:
    """Make the entry that extends the head, and move the head."""
    envelope = item.event.envelope
    state.ledger_ms = max(
        timestamp_ms, state.ledger_ms + 1
    )  # hybrid logical clock: Kafka's time, never backwards
    effect = verdict if isinstance(verdict, Applied) else Applied()
    outcome = outcome or _outcome(verdict)
    entry = Entry(
        seq=state.head.seq + 1,
        prev_hash=state.head.hash,
        input_offset=offset,
        input_index=index,
        event_id=envelope.event_id,
        event_hash=event_hash,
        event_type=item.event_type,
        member=envelope.member,
        subject=envelope.subject,
        source_topic=item.source_topic,
        source_partition=item.source_partition,
        source_offset=item.source_offset,
        published_at=_time(item.published_ms),
        outcome=outcome.value,
        reason=None if isinstance(verdict, Applied) else verdict.reason.value,
        detail="" if isinstance(verdict, Applied) else verdict.detail[:DETAIL_CHARS],
        refers_to=refers_to,
        rule_version=RULE_VERSION,
        effective_at=envelope.occurred_at,
        ledger_at=_time(state.ledger_ms),
        audience=tuple(sorted(effect.audience - {envelope.member})),
        postings=effect.postings,
        flags=effect.flags,
        event=item.value,
        key_id=item.key_id,
        signature=item.signature,
    )
    value = encode(entry)
    state.head = Head(entry.seq, entry_hash(value))
    state.outcomes[outcome.value] = state.outcomes.get(outcome.value, 0) + 1
    return Written(entry, value)


def _outcome(verdict: Verdict) -> Outcome:
    if isinstance(verdict, Applied):
        return Outcome.APPLIED
    return Outcome.PARKED if isinstance(verdict, Waiting) else Outcome.REJECTED


def _time(millis: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=millis)
