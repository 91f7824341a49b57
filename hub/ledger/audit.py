"""Invariants of the ledger, recomputed from its entries by anyone who has them.

Names follow the design: I1-I17 of the ledger, L1-L8 of the catalogue, as far as entries show them. What an entry must be
by the rules is replayed elsewhere; here amounts are added up from the postings alone, by an arithmetic of their own, and
held against what the rules made of them. Each breach names the place, what was found and what was wanted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hub.domain.credit import Recognition
from hub.domain.lab import HOLDS_TIME, AccessRequest, Resource, Span, most_at_once
from hub.domain.quantities import TOLERANCE_MILLI, credit_milli
from hub.errors import LedgerCorrupt
from hub.ledger.apply import HUB
from hub.ledger.balances import balance_line
from hub.ledger.chart import read_posting
from hub.ledger.head import entry_hash
from hub.ledger.posting import STOCKS, Balance
from hub.ledger.state import State
from schemas.catalogue import catalogue
from schemas.codec import Unreadable, decode
from schemas.envelope import from_millis
from schemas.records import CaseFlagged, Close, Entry, PeriodClosed, Posting, Tick
from schemas.signing import Verifier, key_id
from schemas.tlog.merkle import Frontier, leaf_hash
from schemas.topics import outbox

WHAT = {
    "I1": "amounts of every posting are positive, its action is a known one",
    "I2": "per unit, what went out equals what came in, pending and posted",
    "I3": "every pending amount is posted, voided or open, and no more than once",
    "I4": "nothing is taken back that was not moved before",
    "I5": "sequence numbers are dense, hashes link, ledger times increase",
    "I6": "every input has exactly one outcome, in order, without gaps",
    "I7": "every event id is decided at most once, and every statement takes effect at most once",
    "I8": "the postings alone give the balances and open amounts of the recomputed ledger",
    "I9": "every event is signed by a member entitled to state it, with a key that counted then; the hub moves no value",
    "I10": "a student gets the credits the home's decision lists, above what hosts awarded by the tolerance at most",
    "I11": "no stock gives out more than it has, at any entry",
    "I12": "periods are adjacent, closed once, and their balances recompute",
    "I14": "every posting is between two members or of one, by the chart; what one has of the other, the other owes it",
    "I15": "entries hold events of the catalogue and the hub's own records, nothing else",
    "I17": "nothing stays beyond its deadline without a flag, nothing parked beyond its time",
    "L1": "every unit between members adds up to zero",
    "L2": "an award is recognized in at most one case",
    "L3": "recognized credits exceed awarded ones by the tolerance at most",
    "L7": "no resource is booked by more at a time than it has room for",
    "L8": "no quota of an agreement is overdrawn",
}


# Decoded for what they say, whoever looks: the others only where signatures are checked.
_TOLD = frozenset(
    {"credit.recognition-decided", "member.key-changed", Tick.EVENT, PeriodClosed.EVENT}
)
_OF_THE_HUB = (Tick, Close, PeriodClosed, CaseFlagged)
_CONVERSION = "conversion:"  # where recognized credits come from, see `hub.ledger.posting`


@dataclass(slots=True)
class Open:
    """What became of a pending amount, by the postings."""

    way: tuple[str, str, str]  # source, destination, unit
    amount: int
    settled: int = 0


@dataclass(slots=True)
class Keys:
    """Whose key counts at which entry: those of the configuration first, then what members' entries add and revoke."""

    first: Verifier
    added: dict[str, Verifier] = field(default_factory=dict)
    revoked: dict[str, int] = field(default_factory=dict)  # key id, the entry that revoked it

    def fault(self, entry: Entry) -> str | None:
        """Why the signature of a member's entry does not count, or None."""
        verifier = self.added.get(entry.key_id, self.first)
        owner = verifier.owner(entry.key_id)
        if owner != entry.member:
            return f"key {entry.key_id} belongs to {owner or 'nobody known by then'}, wanted one of {entry.member}"
        if not verifier.valid(entry.key_id, entry.event, entry.signature):
            return f"the signature is not one of key {entry.key_id} over this event"
        revoked = self.revoked.get(entry.key_id)
        if revoked is not None and entry.outcome == "applied":
            return f"key {entry.key_id} was revoked by entry {revoked}, wanted a key that counts"
        return None

    def take(self, entry: Entry, event: Any) -> str | None:
        """An applied member.key-changed: it counts from the next entry on. Why it must not have been applied, or None."""
        gone = event.key_id if event.action == "revoke" else event.replaces
        for name in (event.key_id, gone or event.key_id):
            owner = self.added.get(name, self.first).owner(name)
            if owner not in (None, entry.member):
                return f"changes key {name} of {owner}, wanted one of {entry.member}"
        if event.public_key is not None:
            if key_id(event.public_key) != event.key_id:
                return f"key {event.key_id} has the name of another"
            self.added[event.key_id] = Verifier({event.key_id: (entry.member, event.public_key)})
        if gone is not None:
            self.revoked[gone] = entry.seq
        return None


@dataclass(slots=True)
class Audit:
    """Looks at each accepted entry once (`see`), at the end state at last (`finish`).

    With a verifier of the members' first keys, signatures are checked, and each event is read again: who may state it,
    what is in it.
    """

    verifier: Verifier | None = None
    breaches: list[tuple[str, str]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)  # of members' events
    types: Counter[str] = field(default_factory=Counter)  # the same
    flags: Counter[str] = field(default_factory=Counter)  # cases flagged, by flag
    balances: dict[tuple[str, str], Balance] = field(default_factory=dict)
    pendings: dict[str, Open] = field(default_factory=dict)
    _keys: Keys | None = None
    _seq: int = 0
    _hash: bytes = b""
    _input: int = -1
    _index: int = -1
    _ledger_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    _parked_after_s: int | None = None
    _periods: set[str] = field(default_factory=set)
    _closed_to: int = 0
    _decided: dict[str, int] = field(default_factory=dict)
    _stated: dict[tuple[str, str, str], int] = field(default_factory=dict)  # newest version applied
    _moved: Counter[tuple[str, str, str]] = field(
        default_factory=Counter
    )  # source, destination, unit

    def __post_init__(self) -> None:
        if self.verifier is not None:
            self._keys = Keys(self.verifier)

    def see(self, entry: Entry, value: bytes = b"", event: Any = None) -> None:
        """Check one entry in log order.

        Who has the framed entry or its decoded event gives them: then the hashes are linked, and nothing is decoded twice.
        """
        self._count(entry)
        self._check_place(entry, value)
        for posting in entry.postings:
            self._book(entry, posting)
        if entry.member == HUB:
            if any(posting.action != "void" for posting in entry.postings):
                self._breach(
                    "I9", f"entry {entry.seq}: the hub itself moves value, wanted voids at most"
                )
        elif self._keys is not None:
            fault = self._keys.fault(entry)
            if fault:
                self._breach("I9", f"entry {entry.seq}: {fault}")
                return
        if event is None and (self._keys is not None or entry.event_type in _TOLD):
            try:
                event = decode(entry.event)
            except Unreadable as error:
                self._breach("I15", f"entry {entry.seq}: {error}")
        if event is not None:
            self._read(entry, event)

    def _count(self, entry: Entry) -> None:
        if entry.member == HUB:
            self.flags.update(entry.flags)
        else:
            self.outcomes[entry.outcome] += 1
            self.types[entry.event_type] += 1

    def _check_place(self, entry: Entry, value: bytes) -> None:
        """Where the entry stands: after which entry, for which input, the how manieth about its event."""
        if entry.seq != self._seq + 1 or entry.ledger_at <= self._ledger_at:
            self._breach("I5", f"entry {entry.seq} follows {self._seq}")
        if self._hash and entry.prev_hash != self._hash:
            self._breach(
                "I5",
                f"entry {entry.seq}: prev_hash {entry.prev_hash.hex()}, wanted {self._hash.hex()}",
            )
        self._seq, self._ledger_at = entry.seq, entry.ledger_at
        self._hash = entry_hash(value) if value else b""
        if entry.input_index == 0:
            if entry.input_offset != self._input + 1:
                self._breach(
                    "I6", f"entry {entry.seq}: input {entry.input_offset} after {self._input}"
                )
            self._input = entry.input_offset
        elif (entry.input_offset, entry.input_index) != (self._input, self._index + 1):
            self._breach(
                "I6",
                f"entry {entry.seq}: place {entry.input_index} of input {entry.input_offset}, "
                f"after place {self._index} of {self._input}",
            )
        self._index = entry.input_index
        if entry.outcome in ("applied", "rejected"):
            first = self._decided.setdefault(entry.event_id, entry.seq)
            if first != entry.seq:
                self._breach(
                    "I7", f"event {entry.event_id} is decided by entries {first} and {entry.seq}"
                )

    def _book(self, entry: Entry, posting: Posting) -> None:
        """Add one posting up; each side has its own counters."""
        amount = posting.amount
        if amount <= 0:
            self._breach("I1", f"entry {entry.seq}: {amount} {posting.unit}, wanted more than 0")
        try:
            read_posting(posting)
        except LedgerCorrupt as error:
            self._breach("I14", f"entry {entry.seq}: {error}")
        out = self.balances.setdefault((posting.source, posting.unit), Balance())
        into = self.balances.setdefault((posting.destination, posting.unit), Balance())
        match posting.action:
            case "pend":
                out.pending_out += amount
                into.pending_in += amount
                self._open(entry, posting)
            case "post" | "void":
                out.pending_out -= amount
                into.pending_in -= amount
                self._settle(entry, posting)
            case "move" | "reverse":
                pass
            case other:
                self._breach("I1", f"entry {entry.seq}: action {other!r}")
        if posting.action in ("move", "reverse", "post"):
            out.posted_out += amount
            into.posted_in += amount
            self._see_moved(entry, posting)
        if posting.source.startswith(STOCKS):
            self._check_stock(entry, posting, out)

    def _open(self, entry: Entry, posting: Posting) -> None:
        name = posting.pending_id or ""
        if not name or name in self.pendings:
            self._breach("I3", f"entry {entry.seq}: pending amount {name!r} is opened again")
        way = (posting.source, posting.destination, posting.unit)
        self.pendings[name] = Open(way, posting.amount)

    def _settle(self, entry: Entry, posting: Posting) -> None:
        known = self.pendings.get(posting.pending_id or "")
        way = (posting.source, posting.destination, posting.unit)
        if known is None or known.way != way or known.settled + posting.amount > known.amount:
            left = known.amount - known.settled if known else 0
            self._breach(
                "I3",
                f"entry {entry.seq}: {posting.action} of {posting.amount} {posting.unit} on "
                f"{posting.pending_id}, of which {left} is open",
            )
        if known is not None:
            known.settled += posting.amount

    def _see_moved(self, entry: Entry, posting: Posting) -> None:
        """A reversal goes the way back of what was moved, and takes back no more than that."""
        way = (posting.source, posting.destination, posting.unit)
        if posting.action != "reverse":
            self._moved[way] += posting.amount
            return
        back = (posting.destination, posting.source, posting.unit)
        self._moved[back] -= posting.amount
        if self._moved[back] < 0:
            self._breach(
                "I4",
                f"entry {entry.seq}: {posting.amount} {posting.unit} back from {posting.source}",
            )

    def _check_stock(self, entry: Entry, posting: Posting, stock: Balance) -> None:
        left = stock.posted_in - stock.posted_out - stock.pending_out
        if left < 0:
            place = f"entry {entry.seq}: {posting.source} has {left} {posting.unit} left"
            self._breach("I11", place)
            if posting.source.startswith("quota:"):
                self._breach("L8", place)

    def _read(self, entry: Entry, event: Any) -> None:
        """What the event itself says, beside what its entry repeats of it."""
        own = entry.member == HUB
        if own != isinstance(event, _OF_THE_HUB) or (not own and not _is_event(event)):
            self._breach("I15", f"entry {entry.seq}: {event.EVENT} of member {entry.member!r}")
            return
        private = getattr(event, "private", None)
        if private is not None and len(private.commitment) != 32:
            self._breach("I15", f"entry {entry.seq}: private part that is no commitment")
        if isinstance(event, Tick):
            self._parked_after_s = event.parked_after_s
        elif isinstance(event, PeriodClosed):
            self._close(entry, event)
        if own:
            return
        self._check_authority(entry, event)
        if entry.outcome == "applied":
            self._take_effect(entry, event)

    def _check_authority(self, entry: Entry, event: Any) -> None:
        """The writers of an event are fields of it, named by its schema."""
        writers = catalogue().newest[event.EVENT].writer
        entitled = sorted({str(getattr(event, name)) for name in writers})
        if event.envelope.member != entry.member or entry.member not in entitled:
            self._breach(
                "I9",
                f"entry {entry.seq}: {event.EVENT} stated by {entry.member} for {event.envelope.member}, "
                f"wanted {' or '.join(entitled)}",
            )
        if entry.source_topic != outbox(entry.member):
            self._breach(
                "I9", f"entry {entry.seq}: from {entry.source_topic}, wanted {outbox(entry.member)}"
            )

    def _take_effect(self, entry: Entry, event: Any) -> None:
        envelope = event.envelope
        place = (event.EVENT.partition(".")[0], envelope.subject, envelope.member)
        if envelope.aggregate_version <= self._stated.get(place, 0):
            self._breach(
                "I7",
                f"entry {entry.seq}: version {envelope.aggregate_version} of {envelope.subject} by "
                f"{envelope.member} takes effect after version {self._stated[place]}",
            )
        self._stated[place] = envelope.aggregate_version
        if event.EVENT == "member.key-changed" and self._keys is not None:
            fault = self._keys.take(entry, event)
            if fault:
                self._breach("I9", f"entry {entry.seq}: {fault}")
        self._check_given(entry, event)

    def _check_given(self, entry: Entry, event: Any) -> None:
        """I10: a credit counts as a credit, there is no rate; what a home adds of its own is the tolerance at most."""
        given = sum(p.amount for p in entry.postings if p.source.startswith(_CONVERSION))
        wanted = posted = 0
        if event.EVENT == "credit.recognition-decided":
            final = event.stage == "academic_affairs" and event.outcome != "negative"
            wanted = credit_milli(event.recognized_credits_total) if final else 0
            posted = sum(p.amount for p in entry.postings if p.action == "post")
        if given != wanted or not 0 <= given - posted <= TOLERANCE_MILLI:
            self._breach(
                "I10",
                f"entry {entry.seq}: gives {given} thousandths of a credit for {posted} posted, the decision lists {wanted}",
            )

    def _close(self, entry: Entry, closed: PeriodClosed) -> None:
        """I12: the period starts behind the last one and ends before the entry that asked for its close."""
        place = f"entry {entry.seq}, period {closed.period}"
        found = (closed.first_seq, closed.last_seq)
        wanted = (self._closed_to + 1, (entry.refers_to or 0) - 1)
        if found != wanted or closed.last_seq >= entry.seq or closed.period in self._periods:
            again = ", which is closed already" if closed.period in self._periods else ""
            self._breach("I12", f"{place}: entries {found}, wanted {wanted}{again}")
        lines = sorted(balance_line(*key, balance) for key, balance in self.balances.items())
        root = Frontier().extend(map(leaf_hash, lines)).root()
        if (closed.accounts, closed.balances_root) != (len(lines), root):
            self._breach(
                "I12",
                f"{place}: {closed.accounts} accounts under {closed.balances_root.hex()}, "
                f"wanted {len(lines)} under {root.hex()}",
            )
        self._periods.add(closed.period)
        self._closed_to = closed.last_seq

    def finish(self, state: State) -> list[tuple[str, str]]:
        """Check the end state; return all breaches as (invariant, place)."""
        for check in (_sums, _pendings, _stocks, _bookings, _deadlines, _awards, _cases):
            self.breaches += check(state)
        self.breaches += self._left_parked(state)
        if self._seq == state.head.seq:  # this audit saw what made the state
            self.breaches += self._other_books(state)
        return self.breaches

    def _left_parked(self, state: State) -> Iterator[tuple[str, str]]:
        if self._parked_after_s is None:
            return
        before_ms = state.now_ms - self._parked_after_s * 1000
        for key, waiting in state.parked.items():
            for parked in waiting:
                if parked.since_ms <= before_ms:
                    yield "I17", f"entry {parked.seq}: still parked until {' '.join(key)} comes"

    def _other_books(self, state: State) -> Iterator[tuple[str, str]]:
        """I8: both books in one order, so that the place named is the first that differs."""
        for key in sorted(self.balances.keys() | state.book.balances.keys()):
            found, wanted = state.book.balances.get(key), self.balances.get(key)
            if found != wanted:
                yield "I8", f"{key[0]} in {key[1]}: {found}, by the postings {wanted}"
        for name in sorted(self.pendings.keys() | state.book.pendings.keys()):
            pending, own = state.book.pendings.get(name), self.pendings.get(name)
            left = own.amount - own.settled if own else None
            if left != (pending.open if pending else None):
                yield "I8", f"{name}: {pending}, by the postings {left} is open"

    def _breach(self, name: str, place: str) -> None:
        self.breaches.append((name, place))


def _is_event(event: Any) -> bool:
    return catalogue().newest[event.EVENT].is_event()


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
