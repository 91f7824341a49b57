"""Statements of account: what two members, or one alone, moved in a period, from what it began to how it ended.

`StatementFold` makes them from entries alone, so the hub and a member offline make the same. A period is a stretch of
sequence numbers, so what one begins with is what the one before ended with. `statement` writes one as plain values for
JSON; checking those is in `hub.ledger.statement_check`, other forms in `hub.ledger.statement_text` and `hub.ledger.journal`.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from hub.errors import LedgerCorrupt
from hub.ledger.apply import HUB
from hub.ledger.balances import BalanceTree, balance_line, balance_lines
from hub.ledger.chart import Way, classify, decimal_text, read_posting
from hub.ledger.posting import Book
from schemas.codec import decode, encode
from schemas.envelope import from_millis, to_millis
from schemas.records import DisputeChanged, Entry, PeriodClosed, Posting

FORMAT = "alliance-statement/1"
OPEN = "open"  # the period that is not closed yet
ACTIONS = ("pend", "post", "void", "move", "reverse")
DAY_MS = 86_400_000

Pair: TypeAlias = tuple[str, ...]  # sorted; one member alone is a pair of one
Place: TypeAlias = tuple[str, str]  # account, unit
Said: TypeAlias = tuple[str, str]  # English, Chinese
Tell: TypeAlias = Callable[[Entry], Said | None]


class Counters(NamedTuple):
    """The four counters of an account, as far as one pair moved them."""

    pending_in: int = 0
    posted_in: int = 0
    pending_out: int = 0
    posted_out: int = 0

    @property
    def net(self) -> int:
        """Posted in less posted out."""
        return self.posted_in - self.posted_out

    @property
    def pending(self) -> int:
        """Pending in less pending out."""
        return self.pending_in - self.pending_out


NOTHING = Counters()


@dataclass(frozen=True, slots=True)
class Line:
    """One posting of a statement. `late` marks what is of a day before the period began. Times in ms since 1970."""

    seq: int
    event_id: str
    event_type: str
    member: str
    subject: str
    effective_ms: int
    ledger_ms: int
    late: bool
    posting: Posting
    way: Way
    said: Said | None


@dataclass(frozen=True, slots=True)
class OpenItem:
    """A pending amount of which `open` is neither posted nor voided; opened by entry `seq`."""

    pending_id: str
    source: str
    destination: str
    unit: str
    amount: int
    open: int
    seq: int
    ledger_ms: int


@dataclass(frozen=True, slots=True)
class DisputeItem:
    """A dispute of the pair about a thing; `ended_seq` is None as long as it goes on."""

    dispute_id: str
    kind: str
    thing_id: str
    claimant: str
    respondent: str
    state: str
    seq: int
    ledger_ms: int
    ended_seq: int | None


@dataclass(frozen=True, slots=True)
class PairContent:
    """What a pair has in a period."""

    opening: Mapping[Place, Counters]
    closing: Mapping[Place, Counters]
    lines: tuple[Line, ...]
    open_before: tuple[OpenItem, ...]
    open_after: tuple[OpenItem, ...]
    disputes: tuple[DisputeItem, ...]


NO_CONTENT = PairContent({}, {}, (), (), (), ())


@dataclass(frozen=True, slots=True)
class PeriodContent:
    """A period with all its pairs. For the running one, what stands there only once it is closed is None."""

    name: str
    first_seq: int
    last_seq: int
    began_ms: int | None  # when the one before was closed; None for the first
    ended_ms: int  # when it was closed; for the running one the newest entry's time
    closed_entry: Entry | None
    balances_root: bytes | None
    tree: BalanceTree | None
    book: Mapping[Place, Counters]  # the whole book as it stood
    pairs: Mapping[Pair, PairContent]

    def of(self, *members: str) -> PairContent:
        """The content of a pair, or of a member alone; empty when it moved nothing yet."""
        return self.pairs.get(tuple(sorted(set(members))), NO_CONTENT)


@dataclass(slots=True)
class _Running:
    """A pair's part of the book as it goes."""

    counters: dict[Place, Counters] = field(default_factory=dict)
    flows: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    items: dict[str, OpenItem] = field(default_factory=dict)
    opening: dict[Place, Counters] = field(default_factory=dict)
    open_before: tuple[OpenItem, ...] = ()
    kept: list[tuple[Entry, Posting, Way, Said | None]] = field(default_factory=list)


def everything(_: object) -> bool:
    """Keeps all periods, or all pairs."""
    return True


class StatementFold:
    """Sees each accepted entry once, in order. `contents` are the closed periods that `periods` asks for by name.

    `pairs` says of whom lines are kept, `tell` what an entry says in words. Sums are kept of all pairs, and the whole
    book beside them, so that each can be held against the other.
    """

    def __init__(
        self,
        periods: Callable[[str], bool] = everything,
        pairs: Callable[[Pair], bool] = everything,
        tell: Tell | None = None,
    ) -> None:
        self.book = Book()
        self.contents: list[PeriodContent] = []
        self._wanted, self._pairs_wanted, self._tell = periods, pairs, tell
        self._pairs: dict[Pair, _Running] = {}
        self._disputes: dict[str, DisputeItem] = {}
        self._seq = self._closed_to = self._ledger_ms = 0
        self._began_ms: int | None = None

    def see(self, entry: Entry) -> None:
        """Take the next entry. Raises `LedgerCorrupt` for a gap, an unknown account or a false close."""
        if entry.seq != self._seq + 1:
            raise LedgerCorrupt(
                f"entry {entry.seq} follows {self._seq}; a statement is made from every entry in order"
            )
        self._seq, self._ledger_ms = entry.seq, to_millis(entry.ledger_at)
        self.book.apply(entry.postings)
        for posting in entry.postings:
            self._take(entry, posting, read_posting(posting))
        if entry.outcome == "applied":
            self._look_for_disputes(entry)
        if entry.event_type == PeriodClosed.EVENT and entry.member == HUB:
            self._close(entry)

    def running(self) -> PeriodContent:
        """The period that is not closed yet."""
        return self._content(OPEN, self._closed_to + 1, self._seq, self._ledger_ms, None)

    def period(self, name: str) -> PeriodContent | None:
        """A kept period by name, `open` for the running one; None when there is none."""
        if name == OPEN:
            return self.running()
        return next((content for content in self.contents if content.name == name), None)

    def faults(self) -> list[str]:
        """Where the sum of all statements is not the trial balance, or two sides of a pair disagree (I14). All periods."""
        return [*self._sum_faults(), *self._pair_faults()]

    def _sum_faults(self) -> Iterator[str]:
        totals: dict[Place, Counters] = {}
        for running in self._pairs.values():
            for place, counters in running.counters.items():
                totals[place] = added(totals.get(place, NOTHING), counters)
        book = _frozen(self.book)
        for account, unit in sorted(totals.keys() | book.keys()):
            summed, wanted = (sums.get((account, unit), NOTHING) for sums in (totals, book))
            if summed != wanted:
                yield f"{account} in {unit}: all statements together have {tuple(summed)}, the book {tuple(wanted)}"

    def _pair_faults(self) -> Iterator[str]:
        for pair, running in sorted(self._pairs.items()):
            for unit in sorted({unit for _, unit in running.counters}):
                nets = [c.net for (_, found), c in running.counters.items() if found == unit]
                if sum(nets):
                    yield f"{' and '.join(pair)}: {unit} is off by {sum(nets)} between them"
            if len(pair) == 2:
                yield from self._net_faults(pair, running)

    @staticmethod
    def _net_faults(pair: Pair, running: _Running) -> Iterator[str]:
        one, other = (nets(running.counters, member) for member in pair)
        for unit in sorted(running.flows.keys() | one.keys() | other.keys()):
            net, back = one.get(unit, (0, 0))[0], other.get(unit, (0, 0))[0]
            if net != -back or net != running.flows.get(unit, 0):
                yield (
                    f"net({pair[0]}, {pair[1]}) is {net} {unit}, net({pair[1]}, {pair[0]}) is {back}, "
                    f"postings between them make it {running.flows.get(unit, 0)}"
                )

    def _take(self, entry: Entry, posting: Posting, way: Way) -> None:
        running = self._pairs.setdefault(way.pair, _Running())
        for place, change in changes(posting):
            running.counters[place] = added(running.counters.get(place, NOTHING), change)
        if way.giver != way.taker and posting.action in ("post", "move", "reverse"):
            sign = 1 if way.taker == way.pair[0] else -1
            running.flows[posting.unit] += sign * posting.amount
        _take_item(running.items, posting, entry.seq, self._ledger_ms)
        if self._pairs_wanted(way.pair):
            said = self._tell(entry) if self._tell is not None else None
            running.kept.append((entry, posting, way, said))

    def _look_for_disputes(self, entry: Entry) -> None:
        for change in entry.changes:
            if change.kind != "dispute":
                continue
            known = self._disputes.get(change.id)
            if known is None:
                event: Any = decode(entry.event)
                if not isinstance(event, DisputeChanged) or event.respondent is None:
                    continue
                known = DisputeItem(
                    change.id, event.about_kind or "", event.about_id or "", entry.member, event.respondent,
                    change.state, entry.seq, self._ledger_ms, None,
                )  # fmt: skip
            ended = entry.seq if change.closed else None
            self._disputes[change.id] = replace(known, state=change.state, ended_seq=ended)

    def _close(self, entry: Entry) -> None:
        record: Any = decode(entry.event)
        if not isinstance(record, PeriodClosed):
            raise LedgerCorrupt(f"entry {entry.seq} closes a period and holds a {record.EVENT}")
        stretch = (self._closed_to + 1, entry.seq - 2)  # the request stands between
        if (record.first_seq, record.last_seq) != stretch:
            raise LedgerCorrupt(
                f"entry {entry.seq} closes {record.first_seq} to {record.last_seq} as {record.period}, "
                f"wanted {stretch[0]} to {stretch[1]}; periods follow each other without gaps"
            )
        tree = BalanceTree(balance_lines(self.book))
        if (tree.root(), len(tree)) != (record.balances_root, record.accounts):
            raise LedgerCorrupt(
                f"entry {entry.seq} closes {record.period} over {record.accounts} accounts with root "
                f"{record.balances_root.hex()}; the postings make it {len(tree)} accounts with root {tree.root().hex()}"
            )
        if self._wanted(record.period):
            at_ms = to_millis(record.closed_at)
            content = self._content(record.period, *stretch, at_ms, entry)
            self.contents.append(replace(content, tree=tree, balances_root=record.balances_root))
        self._closed_to, self._began_ms = record.last_seq, to_millis(record.closed_at)
        for running in self._pairs.values():
            running.opening, running.kept = dict(running.counters), []
            running.open_before = tuple(running.items.values())
        self._disputes = {
            name: item for name, item in self._disputes.items() if item.ended_seq is None
        }

    def _content(
        self, name: str, first: int, last: int, ended_ms: int, closed: Entry | None
    ) -> PeriodContent:
        pairs = {
            pair: PairContent(
                running.opening,
                dict(running.counters),
                tuple(_line(self._began_ms, *kept) for kept in running.kept),
                running.open_before,
                tuple(running.items.values()),
                self._disputes_of(pair),
            )
            for pair, running in sorted(self._pairs.items())
            if self._pairs_wanted(pair)
        }
        for item in self._disputes.values():
            pair = tuple(sorted((item.claimant, item.respondent)))
            if pair not in pairs and self._pairs_wanted(pair):
                pairs[pair] = replace(NO_CONTENT, disputes=self._disputes_of(pair))
        return PeriodContent(
            name, first, last, self._began_ms, ended_ms, closed, None, None, _frozen(self.book), pairs
        )  # fmt: skip

    def _disputes_of(self, pair: Pair) -> tuple[DisputeItem, ...]:
        return tuple(
            item
            for item in self._disputes.values()
            if tuple(sorted((item.claimant, item.respondent))) == pair
        )


def _frozen(book: Book) -> dict[Place, Counters]:
    return {
        place: Counters(b.pending_in, b.posted_in, b.pending_out, b.posted_out)
        for place, b in book.balances.items()
    }


def _line(
    began_ms: int | None, entry: Entry, posting: Posting, way: Way, said: Said | None
) -> Line:
    effective_ms = to_millis(entry.effective_at)
    late = began_ms is not None and effective_ms < began_ms
    return Line(
        entry.seq, entry.event_id, entry.event_type, entry.member, entry.subject, effective_ms,
        to_millis(entry.ledger_at), late, posting, way, said,
    )  # fmt: skip


def _take_item(items: dict[str, OpenItem], posting: Posting, seq: int, ledger_ms: int) -> None:
    name = posting.pending_id or ""
    if posting.action == "pend":
        items[name] = OpenItem(
            name, posting.source, posting.destination, posting.unit, posting.amount, posting.amount, seq, ledger_ms
        )  # fmt: skip
    elif posting.action in ("post", "void"):
        left = items[name].open - posting.amount
        if left:
            items[name] = replace(items[name], open=left)
        else:
            del items[name]


def changes(posting: Posting) -> tuple[tuple[Place, Counters], tuple[Place, Counters]]:
    """What a posting adds to the counters of its two ends."""
    amount, action = posting.amount, posting.action
    pending = {"pend": amount, "post": -amount, "void": -amount}.get(action, 0)
    posted = amount if action in ("post", "move", "reverse") else 0
    return (
        ((posting.source, posting.unit), Counters(0, 0, pending, posted)),
        ((posting.destination, posting.unit), Counters(pending, posted, 0, 0)),
    )


def added(one: Counters, other: Counters) -> Counters:
    """Both together."""
    return Counters(*(a + b for a, b in zip(one, other, strict=True)))


def nets(counters: Mapping[Place, Counters], member: str) -> dict[str, tuple[int, int]]:
    """By unit, what a member has of the other of a pair: posted, pending. Read off the chart's measure accounts."""
    found: dict[str, tuple[int, int]] = {}
    for (name, unit), held in counters.items():
        account = classify(name)
        if account is None or not account.role.measure:
            continue
        sign = 1 if account.parts[account.role.side] == member else -1
        posted, pending = found.get(unit, (0, 0))
        found[unit] = (posted + sign * held.net, pending + sign * held.pending)
    return found


# Plain values


def statement(
    content: PeriodContent,
    member: str,
    other: str | None = None,
    *,
    origin: str = "",
    unit: str | None = None,
    log_proof: bytes = b"",
) -> dict[str, Any]:
    """The statement of a member with another, or with itself alone, as values for JSON: no number is a float.

    Amounts are strings of the ledger's integers (thousandths, or whole units by the chart), with a decimal beside them
    where people read. `unit` leaves out all others. `log_proof` is a C2SP tlog-proof of the entry that closed the period.
    """
    whole = content.of(member, other or member)
    part = whole if unit is None else _of_unit(whole, unit)
    places = sorted(part.closing)
    closed = content.closed_entry
    return {
        "format": FORMAT,
        "origin": origin,
        "member": member,
        "other": other,
        "unit": unit,
        "period": {
            "name": content.name,
            "first_seq": content.first_seq,
            "last_seq": content.last_seq,
            "began_at": None if content.began_ms is None else time_text(content.began_ms),
            "ended_at": time_text(content.ended_ms),
            "closed_seq": None if closed is None else closed.seq,
            "accounts": None if content.tree is None else len(content.tree),
            "balances_root": None if content.balances_root is None else content.balances_root.hex(),
        },
        "units": list(_units(part, member, other)),
        "entries": [_entry_values(line, member) for line in part.lines],
        "accounts": [_account_values(content, part, place) for place in places],
        "open_before": [_item_values(item, content.ended_ms) for item in part.open_before],
        "open_items": [_item_values(item, content.ended_ms) for item in part.open_after],
        "disputes": [_dispute_values(item, content.ended_ms) for item in part.disputes],
        "closed_entry": None if closed is None else _base64(encode(closed)),
        "log_proof": _base64(log_proof) if log_proof else None,
    }


def statements(
    content: PeriodContent,
    member: str,
    *,
    origin: str = "",
    unit: str | None = None,
    log_proof: bytes = b"",
) -> list[dict[str, Any]]:
    """All statements of a member in a period: with each other member it ever moved something with, and alone."""
    others = [
        next((name for name in pair if name != member), None)
        for pair in content.pairs
        if member in pair
    ]
    return [
        statement(content, member, other, origin=origin, unit=unit, log_proof=log_proof)
        for other in sorted(others, key=lambda name: name or "")
    ]


def _of_unit(part: PairContent, unit: str) -> PairContent:
    def only(counters: Mapping[Place, Counters]) -> dict[Place, Counters]:
        return {place: held for place, held in counters.items() if place[1] == unit}

    def items(found: Iterable[OpenItem]) -> tuple[OpenItem, ...]:
        return tuple(item for item in found if item.unit == unit)

    return PairContent(
        only(part.opening), only(part.closing), tuple(line for line in part.lines if line.posting.unit == unit),
        items(part.open_before), items(part.open_after), part.disputes,
    )  # fmt: skip


def _units(part: PairContent, member: str, other: str | None) -> Iterator[dict[str, Any]]:
    opening, closing = nets(part.opening, member), nets(part.closing, member)
    for unit in sorted({unit for _, unit in part.closing}):
        moved = totals(
            (line.posting.action, direction(line.way, member), line.posting.amount)
            for line in part.lines
            if line.posting.unit == unit
        )
        yield {
            "unit": unit,
            "opening": _net_values(opening.get(unit, (0, 0)), unit) if other else None,
            "moved": {
                name: {way: str(amount) for way, amount in sums.items()}
                for name, sums in moved.items()
            },
            "closing": _net_values(closing.get(unit, (0, 0)), unit) if other else None,
        }


def totals(moves: Iterable[tuple[str, str, int]]) -> dict[str, dict[str, int]]:
    """Sums of (kind, direction, amount) by kind and direction; all kinds there are, in one order."""
    sums: dict[str, dict[str, int]] = {}
    for action, way, amount in moves:
        held = sums.setdefault(action, {})
        held[way] = held.get(way, 0) + amount
    return {
        name: {way: sums[name][way] for way in sorted(sums[name])}
        for name in ACTIONS
        if name in sums
    }


def direction(way: Way, member: str) -> str:
    """How a posting looks from a member: `in`, `out`, or `own` when both ends are on its side."""
    if way.giver == way.taker:
        return "own"
    return "in" if way.taker == member else "out"


def _net_values(net: tuple[int, int], unit: str) -> dict[str, str]:
    posted, pending = net
    return {
        "posted": str(posted),
        "posted_decimal": decimal_text(posted, unit),
        "pending": str(pending),
        "pending_decimal": decimal_text(pending, unit),
    }


def _entry_values(line: Line, member: str) -> dict[str, Any]:
    posting = line.posting
    values: dict[str, Any] = {
        "seq": line.seq,
        "event_id": line.event_id,
        "event_type": line.event_type,
        "member": line.member,
        "subject": line.subject,
        "effective_at": time_text(line.effective_ms),
        "ledger_at": time_text(line.ledger_ms),
        "prior_period": line.late,
        "kind": posting.action,
        "direction": direction(line.way, member),
        "source": posting.source,
        "destination": posting.destination,
        "unit": posting.unit,
        "amount": str(posting.amount),
        "decimal": decimal_text(posting.amount, posting.unit),
        "pending_id": posting.pending_id,
    }
    return values if line.said is None else values | {"en": line.said[0], "zh": line.said[1]}


def _account_values(content: PeriodContent, part: PairContent, place: Place) -> dict[str, Any]:
    account, unit = place
    closing = part.closing[place]
    known = classify(account)
    return {
        "account": account,
        "unit": unit,
        "role": known.role.name if known else None,
        "opening": _counter_values(part.opening.get(place, NOTHING)),
        "closing": _counter_values(closing),
        "net_decimal": decimal_text(closing.net, unit),
        "proof": _proof_values(content, place),
    }


def _proof_values(content: PeriodContent, place: Place) -> dict[str, Any] | None:
    if content.tree is None:
        return None
    held = content.book[place]
    proof = content.tree.prove(*place, held)
    return {
        "line": balance_line(*place, held).decode("utf-8", "surrogatepass"),
        "balance": _counter_values(held),
        "index": proof.index,
        "path": [one.hex() for one in proof.path],
    }


def _counter_values(counters: Counters) -> dict[str, str]:
    return {name: str(value) for name, value in counters._asdict().items()}


def _item_values(item: OpenItem, ended_ms: int) -> dict[str, Any]:
    return {
        "pending_id": item.pending_id,
        "source": item.source,
        "destination": item.destination,
        "unit": item.unit,
        "amount": str(item.amount),
        "open": str(item.open),
        "open_decimal": decimal_text(item.open, item.unit),
        "seq": item.seq,
        "opened_at": time_text(item.ledger_ms),
        "age_days": age_days(item.ledger_ms, ended_ms),
    }


def _dispute_values(item: DisputeItem, ended_ms: int) -> dict[str, Any]:
    return {
        "dispute_id": item.dispute_id,
        "about_kind": item.kind,
        "about_id": item.thing_id,
        "claimant": item.claimant,
        "respondent": item.respondent,
        "state": item.state,
        "seq": item.seq,
        "opened_at": time_text(item.ledger_ms),
        "ended_seq": item.ended_seq,
        "age_days": age_days(item.ledger_ms, ended_ms),
    }


def age_days(since_ms: int, until_ms: int) -> int:
    """Whole days."""
    return max(0, until_ms - since_ms) // DAY_MS


def time_text(at_ms: int) -> str:
    """Milliseconds since 1970 as `2027-01-31T23:59:59.000Z`."""
    return from_millis(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
