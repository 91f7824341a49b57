"""Every entry again from the signed events, every invariant again from the postings.

The rules are those of this installation: an entry names the version of the rules that made it, and another version is
refused by name. Amounts, keys and places are checked by `hub.ledger.audit`, whose arithmetic is not that of the rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import zip_longest
from typing import Any

from hub.errors import LedgerCorrupt
from hub.events import rules
from hub.ledger.apply import RULE_VERSION, Known, Written, apply, confirm
from hub.ledger.audit import WHAT, Audit
from hub.ledger.entry import Decision
from hub.ledger.head import GENESIS, Head
from hub.ledger.looking import Looked
from hub.ledger.replay import input_looked_at, input_of
from hub.ledger.state import Input, Rules, State
from hub.ledger.statement import StatementFold
from hub.rebuild.ahead import WORTH_IT, Ahead, AheadEnded
from hub.verify.outcome import Code, Failure
from schemas.codec import UnknownSchema, Unreadable, decode
from schemas.members import Alliance
from schemas.records import Entry
from schemas.tlog.merkle import Frontier

GROWTH = "I13"
INVARIANTS = WHAT | {
    GROWTH: "all checkpoints at hand are of one growing log",
    "I16": "each event of a member has a receipt, or its promised time is not over",
}
ELSEWHERE = {"I16": "alliance verify mine, at the member: only its outbox knows what was sent"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one invariant: `ok`, `ok to entry N`, `broken`, `not asked` or `elsewhere`."""

    name: str
    result: str
    place: str = ""


@dataclass(slots=True)
class Recompute:
    """Takes the entries in their order (`feed`), answers what holds at the end (`finish`).

    `roots` are the roots signed for some sizes: the log must have had them then (I13).
    """

    alliance: Alliance
    asked: Collection[str]
    roots: Mapping[int, tuple[bytes, str]] = field(default_factory=dict)  # by size: root, place
    rules: Rules = field(default_factory=rules)
    head: Head = GENESIS
    void: int = 0
    audit: Audit = field(init=False)
    state: State = field(init=False)
    breach: tuple[str, str] | None = None
    _statements: StatementFold | None = None
    _waiting: deque[Written] = field(default_factory=deque)
    _input: Input | None = None
    _frontier: Frontier = field(default_factory=Frontier)
    _leaves: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.audit = Audit(self.alliance.verifier() if "I9" in self.asked else None)
        self.state = State(frozenset(self.alliance.members))
        if "I14" in self.asked:
            self._statements = StatementFold(periods=_none, pairs=_none)  # sums alone

    def feed(self, value: bytes, *, void_allowed: bool, looked: Looked | None = None) -> bool:
        """Take one record; whether it counts. Only a broker's topic has void ones: who reads leaves refuses them.

        What `hub.ledger.looking` said of it saves reading it and writing it again, unless it is not what the rules make.
        Raises `Failure` at an entry that the rules make otherwise: nothing behind it can be judged.
        """
        if looked is not None and looked.decision is not None and not self._waiting:
            entry, head = self._confirm(value, looked, looked.decision)
        else:
            found = self._read(value, void_allowed=void_allowed)
            if found is None:
                return False
            entry, head = found
        self._see(entry, value)
        self._note_breach()
        self.head = head
        self._grow(head)
        return True

    def _confirm(self, value: bytes, looked: Looked, decision: Decision) -> tuple[Entry, Head]:
        """The entry of a record of which the decision alone is left to compare."""
        seq = self.head.seq + 1
        head = Head(seq, looked.hash)
        try:
            self._input = input_looked_at(seq, looked)
            found = confirm(self.state, self._input, self.rules, Known(decision, head, tell=True))
        except LedgerCorrupt as error:
            raise _unfit(seq, error) from error
        self._waiting.extend(found.written)
        if found.entry is not None:
            return found.entry, head
        entry = self._entry(value, void_allowed=False)
        raise _difference(entry, found.written[0].entry) if entry else self._does_not_follow(entry)

    def _read(self, value: bytes, *, void_allowed: bool) -> tuple[Entry, Head] | None:
        """The entry of a record, recomputed and compared; None if it is void."""
        entry = self._entry(value, void_allowed=void_allowed)
        head = self.head.extended_by(entry, value) if entry else None
        if entry is None or head is None:
            if not void_allowed:
                raise self._does_not_follow(entry)
            self.void += 1
            return None
        if entry.rule_version != RULE_VERSION:
            raise Failure(
                Code.OTHER_RULES, f"entry {entry.seq}, field rule_version", entry.rule_version, RULE_VERSION,
                f"install the alliance-verify whose rules are version {entry.rule_version}; "
                f"this one has version {RULE_VERSION}",
            )  # fmt: skip
        self._compare(entry, value)
        return entry, head

    def _entry(self, value: bytes, *, void_allowed: bool) -> Entry | None:
        try:
            record = decode(value)
        except UnknownSchema as error:
            raise Failure(
                Code.OTHER_RULES, f"record behind entry {self.head.seq}", f"schema id {error.schema_id}",
                "one of this installation", "install a newer alliance-verify",
            ) from error  # fmt: skip
        except Unreadable as error:
            if void_allowed:
                return None
            raise Failure(
                Code.ENTRY, f"leaf {self.head.seq}", error, f"entry {self.head.seq + 1}"
            ) from error
        return record if isinstance(record, Entry) else None

    def _does_not_follow(self, entry: Entry | None) -> Failure:
        seq = self.head.seq + 1
        if entry is None or entry.seq != seq:
            found = f"entry {entry.seq}" if entry else "another record"
            return Failure(Code.ENTRY, f"leaf {seq - 1}, field seq", found, f"entry {seq}")
        return Failure(
            Code.ENTRY,
            f"entry {seq}, field prev_hash",
            entry.prev_hash.hex(),
            f"{self.head.hash.hex()}, the hash of entry {seq - 1}",
        )

    def _compare(self, entry: Entry, value: bytes) -> None:
        if not self._waiting:
            if entry.input_index != 0:
                raise Failure(
                    Code.ENTRY,
                    f"entry {entry.seq}, field input_index",
                    entry.input_index,
                    f"0: by the rules nothing more follows from input {self.state.next_input - 1}",
                )
            try:
                self._input = input_of(entry)
                self._waiting.extend(apply(self.state, self._input, self.rules))
            except LedgerCorrupt as error:
                raise _unfit(entry.seq, error) from error
        wanted = self._waiting.popleft()
        if wanted.value != value:
            raise _difference(entry, wanted.entry)

    def _see(self, entry: Entry, value: bytes) -> None:
        self.audit.see(entry, value, self._event_of(entry))
        if self._statements is None:
            return
        try:
            self._statements.see(entry)
        except LedgerCorrupt as error:
            self.audit.breaches.append(("I14", str(error)))
            self._statements = None  # its sums are of no use any more

    def _event_of(self, entry: Entry) -> Any:
        """The decoded event, where it was decoded just now."""
        item = self._input
        return item.event if item is not None and item.value == entry.event else None

    def _note_breach(self) -> None:
        if self.breach is None:
            self.breach = next((b for b in self.audit.breaches if b[0] in self.asked), None)

    def _grow(self, head: Head) -> None:
        """The hash of an entry is its leaf hash; where a root was signed, the tree must have it."""
        self._leaves.append(head.hash)
        if head.seq not in self.roots and len(self._leaves) < 4096:
            return
        root = self.root()
        wanted = self.roots.get(head.seq)
        if wanted is not None and wanted[0] != root and self.breach is None:
            self.breach = (
                GROWTH,
                f"{wanted[1]}: root {wanted[0].hex()} at size {head.seq}, the entries make {root.hex()}",
            )

    def root(self) -> bytes:
        """The root over all entries so far."""
        self._frontier = self._frontier.extend(self._leaves)
        self._leaves.clear()
        return self._frontier.root()

    def rest(self) -> int:
        """How many entries of the last input are not there yet: a checkpoint may stand between them."""
        return len(self._waiting)

    def finish(self) -> tuple[list[Verdict], Failure | None]:
        """Every invariant with its verdict, and the first breach as a failure."""
        for written in self._waiting:  # the state holds them already
            self._see(written.entry, written.value)
        if self._statements is not None:
            self.audit.breaches += [("I14", fault) for fault in self._statements.faults()]
        breaches = self.audit.finish(self.state)
        self._note_breach()
        if self.breach is not None and self.breach[0] == GROWTH:
            breaches = [self.breach, *breaches]
        return verdicts(self.asked, breaches), self.failure()

    def stopped(self, error: Failure) -> tuple[Failure, list[Verdict]]:
        """What is wrong first where `error` ended the reading, and what is known by then of each invariant."""
        broken = [("I8", str(error))] if error.code == Code.ENTRY else []
        found = [
            Verdict(one.name, f"ok to entry {self.head.seq}") if one.result == "ok" else one
            for one in verdicts(self.asked, [*self.audit.breaches, *broken])
        ]
        return self.failure() or error, found

    def failure(self) -> Failure | None:
        """The first breach."""
        if self.breach is None:
            return None
        name, place = self.breach
        code = Code.SIGNATURE if name == "I9" else Code.INVARIANT
        return Failure(code, name, place, INVARIANTS[name])


def feed_all(
    work: Recompute, chunks: Iterable[Sequence[bytes]], records: int, *, void_allowed: bool
) -> None:
    """Feed records, of which so many are to come, as far as known: on two cores where that is worth it and there are two.

    Raises as `Recompute.feed`, and `Failure` when the second process ended.
    """
    ahead = Ahead.start(work.head) if records >= WORTH_IT else None
    if ahead is None:
        for chunk in chunks:
            for value in chunk:
                work.feed(value, void_allowed=void_allowed)
        return
    unread: list[Failure] = []
    with ahead:
        try:
            for done in ahead.over(_until_unread(chunks, unread)):
                # Where a record could not be judged ahead, it is here, and with a place for it.
                for value, looked in zip_longest(done.values, done.found):
                    work.feed(
                        value,
                        void_allowed=void_allowed,
                        looked=looked,
                    )
        except AheadEnded as error:
            raise Failure(
                Code.UNREADABLE, f"entry {work.head.seq + 1}", error, "a second process that reads ahead",
                "is memory short? try again",
            ) from error  # fmt: skip
    if unread:
        raise unread[0]


def _until_unread(
    chunks: Iterable[Sequence[bytes]], unread: list[Failure]
) -> Iterator[Sequence[bytes]]:
    """Chunks up to one that cannot be read; that failure is kept: one in the chunks before it comes first."""
    try:
        yield from chunks
    except Failure as error:
        unread.append(error)


def _none(_: object) -> bool:
    return False


def verdicts(asked: Collection[str], breaches: Iterable[tuple[str, str]]) -> list[Verdict]:
    """One line for each invariant there is, with the first place where it is broken."""
    first: dict[str, str] = {}
    for name, place in breaches:
        first.setdefault(name, place)
    found = []
    for name in INVARIANTS:
        if name in ELSEWHERE:
            found.append(Verdict(name, "elsewhere", ELSEWHERE[name]))
        elif name not in asked:
            found.append(Verdict(name, "not asked"))
        else:
            found.append(Verdict(name, "broken" if name in first else "ok", first.get(name, "")))
    return found


def _unfit(seq: int, error: LedgerCorrupt) -> Failure:
    return Failure(Code.ENTRY, f"entry {seq}", error, "what the rules make of an event")


def _difference(found: Entry, wanted: Entry) -> Failure:
    for item in fields(Entry):
        has, rules_make = getattr(found, item.name), getattr(wanted, item.name)
        if has != rules_make:
            return Failure(Code.ENTRY, f"entry {found.seq}, field {item.name}", has, rules_make)
    return Failure(
        Code.ENTRY, f"entry {found.seq}", "other bytes of the same fields", "the hub's own spelling"
    )
