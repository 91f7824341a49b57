"""State and input to entries: the heart of the ledger. Deterministic: no clock, no randomness, no I/O.

Every input gets exactly one outcome entry (duplicates and refusals too). Entries that follow from it stand in the same
group: a flag for each case that needs a person, and the decisions of parked events that it released. Time is an input,
too: at a TICK the ledger looks at its clock, and what is overdue is flagged or expires. Replaying the same inputs gives
byte-identical entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from hub.domain.dispute import Frozen, frozen_id
from hub.domain.flags import MESSAGES, Flag, FlagName, flag
from hub.domain.keys import REVOKED, MemberKey
from hub.domain.life import Living, Thing
from hub.domain.period import Period
from hub.domain.reasons import Outcome, Reason
from hub.domain.times import NEAR_MS
from hub.errors import LedgerCorrupt
from hub.ledger.balances import balances_root
from hub.ledger.entry import DETAIL_CHARS as DETAIL_CHARS
from hub.ledger.entry import ENTRY_BYTES as ENTRY_BYTES
from hub.ledger.entry import HUB as HUB
from hub.ledger.entry import RULE_VERSION as RULE_VERSION
from hub.ledger.entry import (
    Decision,
    Said,
    change_rows,
    make_entry,
    posting_rows,
    said_by_hub,
    said_by_member,
)
from hub.ledger.head import Head, entry_hash
from hub.ledger.seen import Seen
from hub.ledger.state import (
    Alarm,
    Applied,
    Deadline,
    Input,
    Parked,
    Rejected,
    Rules,
    State,
    Verdict,
    Waiting,
    WaitKey,
    known_key,
    waits_for_thing,
    waits_for_version,
)
from schemas.codec import encode
from schemas.envelope import from_millis
from schemas.records import CaseFlagged, Close, Entry, PeriodClosed, Tick

_NOTHING = Applied()

# By what a parked event waits for, see `waits_for_version` and `waits_for_thing`.
_TIMEOUTS = {"version": Reason.VERSION_GAP_TIMEOUT, "thing": Reason.REFERENCE_TIMEOUT}


@dataclass(frozen=True, slots=True)
class Written:
    """An entry and its framed bytes, as they stand in the log."""

    entry: Entry
    value: bytes


class Known(NamedTuple):
    """An outcome entry that stands in the log: what it says was decided, and the head with it.

    Who gives it vouches for the rest: that it extends the head, that its bytes are those that its fields encode to, and
    that it tells of its event what the event says (`hub.ledger.entry.is_said_by`). `tell` asks for the entry.
    """

    decision: Decision
    head: Head
    tell: bool = False


class Confirmed(NamedTuple):
    """Whether a known entry `stands`, the entry if it was asked for, and what else the input makes.

    Where it does not stand, `written` are all entries of the input, and the first differs from the log's.
    """

    stands: bool
    entry: Entry | None
    written: list[Written]


def judge(state: State, item: Input, rules: Rules) -> Verdict:
    """What becomes of a first-seen event: its key, the order of its versions, its type's rule, disputes. Changes nothing."""
    unsigned = _signable(state, item)
    if unsigned is not None:
        return unsigned
    envelope = item.event.envelope
    domain = item.event_type.partition(".")[0]
    last = state.version(domain, envelope.subject, envelope.member)
    if envelope.aggregate_version <= last:
        return Rejected(
            Reason.STALE_VERSION,
            f"{envelope.subject} is at version {last} of member {envelope.member}, "
            f"the event says {envelope.aggregate_version}; publish version {last + 1}",
            version=last,
        )
    if envelope.aggregate_version > last + 1:
        missing = envelope.aggregate_version - 1
        return Waiting(
            waits_for_version(domain, envelope.subject, envelope.member, missing),
            Reason.VERSION_GAP,
            f"{envelope.subject} is at version {last} of member {envelope.member}, "
            f"the event says {envelope.aggregate_version}; it waits for version {missing}",
        )
    verdict = rules.decide[item.event_type](item.event, state)
    held = _held(state, verdict.changes) if isinstance(verdict, Applied) else None
    return held or verdict


def _signable(state: State, item: Input) -> Rejected | None:
    """Whether the key still counts at this place of the log. A key the ledger never heard of is one of the first."""
    if MemberKey.KIND not in state.things:  # no member changed a key yet
        return None
    member = item.event.envelope.member
    key = known_key(state, member, item.key_id)
    if key is None or (key.state != REVOKED and key.member == member):
        return None
    said = "revoked" if key.state == REVOKED else f"another's, not of {member},"
    return Rejected(
        Reason.KEY_REVOKED,
        f"key {item.key_id} of member {key.member} is {said} since entry {state.seq_of(key)}; "
        "sign with a key that counts",
        about=key,
    )


def _held(state: State, things: Iterable[Thing]) -> Rejected | None:
    """Whether a dispute holds one of the things that would change."""
    if Frozen.KIND not in state.things:
        return None
    for thing in things:
        frozen = state.find(Frozen, frozen_id(thing.KIND, thing.id))
        if frozen is not None and frozen.dispute_id and not isinstance(thing, Frozen):
            return Rejected(
                Reason.DISPUTED,
                f"{thing.KIND} {thing.id} stands still in dispute {frozen.dispute_id}; settle that first",
                about=state.things[Frozen.KIND][frozen.id],
            )
    return None


def apply(state: State, item: Input, rules: Rules) -> list[Written]:
    """Take one input into the state and return its entries, the outcome first, then what follows from it.

    Raises `LedgerCorrupt` when a rule would break the book; the state is then of no further use.
    """
    return _take(_Group(state, item.offset, rules), item)


def confirm(state: State, item: Input, rules: Rules, known: Known) -> Confirmed:
    """As `apply`, for an input whose outcome entry stands in the log already.

    If the rules decide what that entry says, its bytes need not be made again.
    """
    group = _Group(state, item.offset, rules, known=known)
    written = _take(group, item)
    return Confirmed(group.stands, group.told, written)


def _take(group: _Group, item: Input) -> list[Written]:
    state = group.state
    if item.offset < state.next_input:
        raise LedgerCorrupt(
            f"input {item.offset} was accounted for already (next is {state.next_input})"
        )
    if isinstance(item.event, Tick):
        group.look_at_the_clock(item, item.event)
    elif isinstance(item.event, Close):
        group.close_period(item, item.event)
    else:
        group.hear(item)
    group.release()
    state.next_input = item.offset + 1
    return group.written


class _TooLarge(LedgerCorrupt):
    """An entry that no bundle of the log takes: a member's event is rejected then, a deadline has no effect but a flag."""


@dataclass(slots=True)
class _Group:
    """The entries that one input makes, in the making."""

    state: State
    offset: int
    rules: Rules
    written: list[Written] = field(default_factory=list)
    released: list[Parked] = field(default_factory=list)
    known: Known | None = None
    stands: bool = False  # what is known is what the rules decide
    told: Entry | None = None

    def hear(self, item: Input) -> None:
        """A member's event: decide it, or say that its id was used."""
        event_hash = hashlib.sha256(item.value).digest()
        said = said_by_member(item, event_hash)
        first = self.state.seen.meet(said.event_id, event_hash, self.state.head.seq + 1)
        if first is not None:
            self._again(said, first, item.timestamp_ms)
            return
        self._decide(item, said, judge(self.state, item, self.rules), None, item.timestamp_ms)

    def release(self) -> None:
        """Decide the parked events that wait no longer, those parked first first."""
        while self.released:
            self.released.sort(key=lambda parked: parked.seq)
            parked = self.released.pop(0)
            item = parked.input
            said = said_by_member(item, parked.event_hash)
            self._decide(item, said, judge(self.state, item, self.rules), parked.seq, 0)

    def look_at_the_clock(self, item: Input, tick: Tick) -> None:
        """Flag what is near its deadline, let expire what is over, give up on what waited too long."""
        at_ms = max(item.timestamp_ms, self.state.ledger_ms + 1)  # what a replay finds in the entry
        said = said_by_hub(f"tick/{item.offset}", item.event_type, tick.clock, item.value, at_ms)
        seq = self._enter(said, Applied(), None, at_ms)
        now_ms = self.state.now_ms = self.state.ledger_ms
        self.state.tick_seq = seq
        while self.state.alarms and self.state.alarms[0].at_ms <= now_ms:
            self._ring(heappop(self.state.alarms), seq)
        self._give_up(now_ms - tick.parked_after_s * 1000)

    def close_period(self, item: Input, asked: Close) -> None:
        """All entries since the last close become a period; its content never changes again."""
        at_ms = max(item.timestamp_ms, self.state.ledger_ms + 1)
        said = said_by_hub(f"close/{item.offset}", item.event_type, asked.period, item.value, at_ms)
        known = self.state.find(Period, asked.period)
        if known is not None:
            refusal = Rejected(
                Reason.PERIOD_CLOSED,
                f"period {asked.period} holds entries {known.first_seq} to {known.last_seq}; choose another name",
                about=known,
            )
            self._enter(said, refusal, None, at_ms)
            return
        period = Period(
            asked.period,
            self.state.closed_to + 1,
            self.state.head.seq,
            balances_root(self.state.book),
            at_ms,
        )
        self._closed(period, self._enter(said, Applied(), None, at_ms))

    def _closed(self, period: Period, cause_seq: int) -> None:
        at_ms = self.state.ledger_ms + 1
        record = PeriodClosed(
            period=period.name,
            first_seq=period.first_seq,
            last_seq=period.last_seq,
            accounts=len(self.state.book.balances),
            balances_root=period.balances_root,
            closed_at=from_millis(at_ms),
        )
        said = said_by_hub(
            f"closed/{self.offset}", record.EVENT, period.name, encode(record), at_ms
        )
        self._enter(said, Applied(), cause_seq, 0)
        self.state.closed_to = period.last_seq
        self._take_effect(Applied(changes=(period,)))

    def _ring(self, alarm: Alarm, cause_seq: int) -> None:
        if self.state.deadlines.get((alarm.kind, alarm.id)) != (alarm.due_ms, alarm.set_seq):
            return  # the thing went on meanwhile, or has another deadline
        if self._stands_still(alarm):
            return
        thing: Living = self.state.things[alarm.kind][alarm.id]
        if alarm.at_ms < alarm.due_ms:
            self._flag(flag(FlagName.DEADLINE_NEAR, thing), Applied(), cause_seq, None)
            return
        overdue = self.rules.overdue.get(alarm.kind)
        effect = (
            overdue(thing, self.state)
            if overdue
            else Applied(flags=(flag(FlagName.DEADLINE_OVER, thing),))
        )
        if any(posting.action != "void" for posting in effect.postings):
            raise LedgerCorrupt(
                f"the deadline of {alarm.kind} {alarm.id} would move value; only members can"
            )
        if _held(self.state, effect.changes) is not None:  # it would change what a dispute holds
            heappush(self.state.alarms, alarm._replace(at_ms=self.state.now_ms + 1))
            return
        try:
            self._flag(effect.flags[0], effect, cause_seq, None)
        except (
            _TooLarge
        ):  # a member can make such a case; it stays as it is, and people must look at it
            self._flag(flag(FlagName.DEADLINE_OVER, thing), Applied(), cause_seq, None)

    def _stands_still(self, alarm: Alarm) -> bool:
        """A dispute stops the clock of what it is about; nobody is reminded of a deadline that was moved."""
        frozen = self.state.find(Frozen, frozen_id(alarm.kind, alarm.id))
        if frozen is None:
            return False
        again_ms = alarm.due_ms + frozen.paused_ms
        if frozen.dispute_id:
            again_ms = max(again_ms, self.state.now_ms + 1)
        if alarm.at_ms >= again_ms:
            return False
        if alarm.at_ms >= alarm.due_ms:
            heappush(self.state.alarms, alarm._replace(at_ms=again_ms))
        return True

    def _give_up(self, before_ms: int) -> None:
        late = [
            (key, parked)
            for key, waiting in self.state.parked.items()
            for parked in waiting
            if parked.since_ms <= before_ms
        ]
        for key, parked in sorted(late, key=lambda item: item[1].seq):
            waiting = self.state.parked.get(key, [])
            if not any(other is parked for other in waiting):
                continue  # released by one before it
            waiting.remove(parked)
            if not waiting:
                del self.state.parked[key]
            refusal = Rejected(
                _TIMEOUTS[key[0]],
                f"entry {parked.seq} parked this event until {' '.join(key)} comes; "
                "it did not come in time, publish it first, then this again as a new event",
            )
            said = said_by_member(parked.input, parked.event_hash)
            self._decide(parked.input, said, refusal, parked.seq, 0)

    def _decide(
        self, item: Input, said: Said, verdict: Verdict, refers_to: int | None, timestamp_ms: int
    ) -> None:
        try:
            seq = self._enter(said, verdict, refers_to, timestamp_ms)
        except _TooLarge as error:
            verdict = Rejected(Reason.TOO_LARGE, str(error))
            seq = self._enter(said, verdict, refers_to, timestamp_ms)
        self._settle(item, said.event_hash, verdict)
        if isinstance(verdict, Applied):
            for raised in verdict.flags:
                self._flag(raised, Applied(), seq, said.event_id)

    def _settle(self, item: Input, event_hash: bytes, verdict: Verdict) -> None:
        """Carry the verdict on an event into the state."""
        if isinstance(verdict, Waiting):
            parked = Parked(item, event_hash, self.state.head.seq, self.state.ledger_ms)
            self.state.parked.setdefault(verdict.key, []).append(parked)
            return
        if isinstance(verdict, Rejected) and verdict.reason is Reason.KEY_REVOKED:
            return  # who stole a key must not use up its owner's version numbers
        envelope = item.event.envelope
        place = (item.event_type.partition(".")[0], envelope.subject, envelope.member)
        version = self.state.versions.get(place, 0) + 1
        if envelope.aggregate_version == version:  # a rejected statement uses its version up, too
            self.state.versions[place] = version
            if self.state.parked:
                self._came(waits_for_version(*place, version))
        if isinstance(verdict, Applied):
            self._take_effect(verdict)

    def _take_effect(self, effect: Applied) -> None:
        state, seq = self.state, self.state.head.seq
        state.book.apply(effect.postings)
        for thing in effect.changes:
            state.things.setdefault(thing.KIND, {})[thing.id] = thing
            state.changed_at[thing.KIND, thing.id] = seq
            if isinstance(thing, Living):
                _watch(state, thing)
            if state.parked:
                self._came(waits_for_thing(thing.KIND, thing.id))

    def _came(self, key: WaitKey) -> None:
        self.released += self.state.parked.pop(key, ())

    def _flag(self, raised: Flag, effect: Applied, cause_seq: int, cause: str | None) -> None:
        """An entry that tells people; at a deadline it carries what the deadline does."""
        case, at_ms = raised.case, self.state.ledger_ms + 1
        en, zh = MESSAGES[raised.name]
        due = self.state.deadlines.get((case.KIND, case.id))
        record = CaseFlagged(
            flag=raised.name.value,
            case_kind=case.KIND,
            case_id=case.id,
            state=case.state,
            next_actors=tuple(sorted(raised.actors)),
            due_at=None if due is None else from_millis(due.due_ms),
            cause_seq=cause_seq,
            cause_event_id=cause,
            message_en=en,
            message_zh=zh,
            flagged_at=from_millis(at_ms),
        )
        name = f"flag/{self.offset}/{len(self.written) + self.stands}"
        said = said_by_hub(name, record.EVENT, case.id, encode(record), at_ms)
        told = frozenset(raised.actors) | raised.told
        self._enter(said, Applied(effect.postings, effect.changes, told, (raised,)), cause_seq, 0)
        self._take_effect(effect)

    def _again(self, said: Said, seen: Seen, timestamp_ms: int) -> None:
        if seen.event_hash == said.event_hash:
            verdict = Rejected(Reason.SAME_EVENT, f"entry {seen.seq} has this event; nothing to do")
            outcome = Outcome.DUPLICATE
        else:
            verdict = Rejected(
                Reason.SAME_ID_OTHER_CONTENT,
                f"entry {seen.seq} has event {said.event_id} with hash {seen.event_hash.hex()[:16]}, "
                f"this one hashes to {said.event_hash.hex()[:16]}; publish the new content under a new event id",
            )
            outcome = Outcome.CONFLICT
        self._enter(said, verdict, seen.seq, timestamp_ms, outcome)

    def _enter(
        self,
        said: Said,
        verdict: Verdict,
        refers_to: int | None,
        timestamp_ms: int,
        outcome: Outcome | None = None,
    ) -> int:
        """Make the entry that extends the head, and move the head; its seq. Raises `_TooLarge`, with nothing changed."""
        state = self.state
        # Hybrid logical clock: Kafka's time, never backwards.
        ledger_ms = max(timestamp_ms, state.ledger_ms + 1)
        effect = verdict if isinstance(verdict, Applied) else _NOTHING
        refused = verdict if isinstance(verdict, Rejected) else None
        outcome = outcome or _outcome(verdict)
        decision = Decision(
            outcome.value,
            None if isinstance(verdict, Applied) else verdict.reason.value,
            "" if isinstance(verdict, Applied) else verdict.detail[:DETAIL_CHARS],
            refers_to,
            state.seq_of(refused.about) if refused else None,
            refused.version if refused else None,
            ledger_ms,
            tuple(sorted(effect.audience - {said.member})),
            posting_rows(effect.postings),
            change_rows(effect.changes),
            tuple([raised.name.value for raised in effect.flags]),
        )
        if self.known is not None and self.known.decision == decision:
            head = self.known.head
            self.stands = True
            if self.known.tell:
                self.told = make_entry(state.head, self.offset, 0, said, decision, effect.postings)
        else:
            head = self._write(said, decision, effect)
        self.known = None
        state.ledger_ms = ledger_ms
        state.head = head
        state.outcomes[decision.outcome] = state.outcomes.get(decision.outcome, 0) + 1
        return head.seq

    def _write(self, said: Said, decision: Decision, effect: Applied) -> Head:
        """Make the entry's bytes; the head that they give."""
        index = len(self.written) + self.stands
        entry = make_entry(self.state.head, self.offset, index, said, decision, effect.postings)
        value = encode(entry)
        if len(value) > ENTRY_BYTES:
            raise _TooLarge(
                f"the entry of this event has {len(value)} bytes with all that it moves, at most {ENTRY_BYTES} fit "
                "the log; split the event or use shorter ids"
            )
        self.written.append(Written(entry, value))
        return Head(entry.seq, entry_hash(value))


def _watch(state: State, thing: Living) -> None:
    """Set the alarms of a thing's deadline, unless it is the one they are set for."""
    key, due_ms = (thing.KIND, thing.id), thing.deadline_ms()
    known = state.deadlines.get(key)
    if due_ms is None:
        state.deadlines.pop(key, None)
    elif known is None or known.due_ms != due_ms:
        deadline = state.deadlines[key] = Deadline(due_ms, state.head.seq)
        if due_ms - NEAR_MS > state.now_ms:  # who sets a deadline within days knows of it
            heappush(state.alarms, Alarm(due_ms - NEAR_MS, *key, *deadline))
        heappush(state.alarms, Alarm(due_ms, *key, *deadline))


def _outcome(verdict: Verdict) -> Outcome:
    if isinstance(verdict, Applied):
        return Outcome.APPLIED
    return Outcome.PARKED if isinstance(verdict, Waiting) else Outcome.REJECTED
