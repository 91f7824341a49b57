"""Invariants of the ledger, recomputed from its entries by anyone who has them.

Names follow the design: I1-I17 of the ledger, L1-L8 of the catalogue, as far as they are checked here. Each breach names the place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hub.domain.credit import Recognition
from hub.domain.lab import HOLDS_TIME, AccessRequest, Resource, Span, most_at_once
from hub.domain.quantities import TOLERANCE_MILLI
from hub.ledger.apply import HUB
from hub.ledger.posting import STOCKS
from hub.ledger.state import State
from schemas.envelope import from_millis
from schemas.records import Entry, Posting
from schemas.signing import Verifier

WHAT = {
    "I1": "amounts of every posting are positive",
    "I2": "per unit, what went out equals what came in, pending and posted",
    "I3": "every pending amount is posted, voided or open, and no more than once",
    "I4": "nothing is taken back that was not moved before",
    "I5": "sequence numbers are dense and ledger times increase",
    "I6": "every input has exactly one outcome, in order, without gaps",
    "I7": "every event id is decided at most once",
    "I9": "every event is signed by the member it speaks for; the hub's own entries move no value",
    "I11": "no stock gives out more than it has",
    "I17": "nothing stays beyond its deadline without a flag",
    "L1": "every unit between members adds up to zero",
    "L2": "an award is recognized in at most one case",
    "L3": "recognized credits exceed awarded ones by the tolerance at most",
    "L7": "no resource is booked by more at a time than it has room for",
    "L8": "no quota of an agreement is overdrawn",
}


@dataclass(slots=True)
class Audit:
    """Looks at each accepted entry once (`see`), at the end state at last (`finish`)."""

    verifier: Verifier | None = None
    breaches: list[tuple[str, str]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)  # of members' events
    types: Counter[str] = field(default_factory=Counter)  # the same
    flags: Counter[str] = field(default_factory=Counter)  # cases flagged, by flag
    _seq: int = 0
    _input: int = -1
    _ledger_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    _decided: dict[str, int] = field(default_factory=dict)
    _moved: Counter[tuple[str, str, str]] = field(
        default_factory=Counter
    )  # source, destination, unit

    def see(self, entry: Entry) -> None:
        """Check one entry in log order."""
        if entry.member == HUB:
            self.flags.update(entry.flags)
        else:
            self.outcomes[entry.outcome] += 1
            self.types[entry.event_type] += 1
        if entry.seq != self._seq + 1 or entry.ledger_at <= self._ledger_at:
            self._breach("I5", f"entry {entry.seq} follows {self._seq}")
        self._seq, self._ledger_at = entry.seq, entry.ledger_at
        if entry.input_index == 0:
            if entry.input_offset != self._input + 1:
                self._breach(
                    "I6", f"entry {entry.seq}: input {entry.input_offset} after {self._input}"
                )
            self._input = entry.input_offset
        if entry.outcome in ("applied", "rejected"):
            first = self._decided.setdefault(entry.event_id, entry.seq)
            if first != entry.seq:
                self._breach(
                    "I7", f"event {entry.event_id} is decided by entries {first} and {entry.seq}"
                )
        for posting in entry.postings:
            if posting.amount <= 0:
                self._breach("I1", f"entry {entry.seq}: {posting.amount} {posting.unit}")
            self._see_moved(entry, posting)
        if entry.member == HUB:
            if any(posting.action != "void" for posting in entry.postings):
                self._breach("I9", f"entry {entry.seq}: the hub itself moves value")
        elif self.verifier is not None and not (
            self.verifier.owner(entry.key_id) == entry.member
            and self.verifier.valid(entry.key_id, entry.event, entry.signature)
        ):
            self._breach(
                "I9", f"entry {entry.seq}: signature of key {entry.key_id}, member {entry.member}"
            )

    def _see_moved(self, entry: Entry, posting: Posting) -> None:
        """A reversal goes the way back of what was moved, and takes back no more than that."""
        way = (posting.source, posting.destination, posting.unit)
        if posting.action in ("move", "post"):
            self._moved[way] += posting.amount
        elif posting.action == "reverse":
            back = (posting.destination, posting.source, posting.unit)
            self._moved[back] -= posting.amount
            if self._moved[back] < 0:
                self._breach(
                    "I4",
                    f"entry {entry.seq}: {posting.amount} {posting.unit} back from {posting.source}",
                )

    def finish(self, state: State) -> list[tuple[str, str]]:
        """Check the end state; return all breaches as (invariant, place)."""
        for check in (_sums, _pendings, _stocks, _bookings, _deadlines, _awards, _cases):
            self.breaches += check(state)
        return self.breaches

    def _breach(self, name: str, place: str) -> None:
        self.breaches.append((name, place))


def _sums(state: State) -> Iterable[tuple[str, str]]:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (_, unit), balance in state.book.balances.items():
        totals[unit][0] += balance.pending_in - balance.pending_out
        totals[unit][1] += balance.net
    for unit, (pending, posted) in sorted(totals.items()):
        if pending or posted:
            yield "I2", f"{unit}: pending differs by {pending}, posted by {posted}"
            if posted:
                yield "L1", f"{unit}: off by {posted}"


def _pendings(state: State) -> Iterable[tuple[str, str]]:
    for name, pending in state.book.pendings.items():
        if not 0 <= pending.open <= pending.amount:
            yield "I3", f"{name}: {pending.open} of {pending.amount} {pending.unit} open"


def _stocks(state: State) -> Iterable[tuple[str, str]]:
    for (account, unit), balance in state.book.balances.items():
        if account.startswith(STOCKS) and balance.available < 0:
            yield "I11", f"{account}: {balance.available} {unit} available"
            if account.startswith("quota:"):
                yield "L8", f"{account}: {balance.available} {unit} left"


def _bookings(state: State) -> Iterable[tuple[str, str]]:
    """From the requests themselves: the calendars that the rules look at could be wrong."""
    spans: dict[str, list[Span]] = defaultdict(list)
    requests: Mapping[str, AccessRequest] = state.things.get(AccessRequest.KIND, {})
    for request in requests.values():
        if request.state in HOLDS_TIME:
            spans[request.resource_id].append(request.span)
    for resource_id, booked in spans.items():
        resource = state.find(Resource, resource_id)
        room, most = resource.capacity if resource else 0, most_at_once(booked)
        if most > room:
            yield "L7", f"resource {resource_id}: {most} bookings at a time, room for {room}"


def _deadlines(state: State) -> Iterable[tuple[str, str]]:
    for alarm in state.alarms:
        still = state.deadlines.get((alarm.kind, alarm.id)) == (alarm.due_ms, alarm.set_seq)
        seen = alarm.at_ms <= state.now_ms and alarm.set_seq < state.tick_seq
        if still and seen:
            yield (
                "I17",
                f"{alarm.kind} {alarm.id}: due at {from_millis(alarm.due_ms)}, nothing was said",
            )


def _awards(state: State) -> Iterable[tuple[str, str]]:
    cases: Mapping[str, Recognition] = state.things.get(Recognition.KIND, {})
    used: Counter[str] = Counter()
    for case in cases.values():
        if case.state in ("positive", "partially_positive"):
            used.update(case.award_ids)
    for award_id, count in used.items():
        if count > 1:
            yield "L2", f"award {award_id} is recognized in {count} cases"


def _cases(state: State) -> Iterable[tuple[str, str]]:
    for case in state.things.get(Recognition.KIND, {}).values():
        if case.recognized_milli > case.original_milli + TOLERANCE_MILLI:
            yield (
                "L3",
                f"case {case.recognition_id}: {case.recognized_milli} of {case.original_milli} thousandths",
            )
