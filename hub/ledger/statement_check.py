"""Checks a statement of account that somebody handed over, offline: does it add up, and is it what the ledger closed on?

Nothing in the file is believed. A closed period's statement is bound to the ledger by the root in its
`ledger.period-closed` entry: every account has a proof under that root, and every line moves an account that no other
pair shares. What it cannot show by itself: its opening (the statement before shows that, see `succession_problems`), and
that no account of the pair is left out and that the entries have the numbers and days it says; who doubts that makes the
statement anew from the ledger (`anew_problems`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from hub.errors import LedgerCorrupt
from hub.ledger.apply import HUB
from hub.ledger.balances import BalanceProof, balance_line, line_fault
from hub.ledger.chart import classify, decimal_text, read_posting, unit_of
from hub.ledger.statement import (
    ACTIONS,
    FORMAT,
    NOTHING,
    OPEN,
    Counters,
    PeriodContent,
    Place,
    added,
    age_days,
    changes,
    direction,
    nets,
    statement,
    time_text,
    totals,
)
from schemas.codec import Unreadable, decode
from schemas.envelope import to_millis
from schemas.records import Entry, PeriodClosed, Posting
from schemas.tlog.checkpoint import Checkpoint
from schemas.tlog.errors import Forged
from schemas.tlog.merkle import leaf_hash, verify_inclusion
from schemas.tlog.note import split_note
from schemas.tlog.policy import Policy
from schemas.tlog.proof import LogProof, verify_proof

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PLACES_LIMIT = 1 << 40  # ours: more entries or accounts than any ledger has


class Problem(NamedTuple):
    """What is wrong. `kind` is form, sums, proof, period or log; `text` names the place, what was found and wanted."""

    kind: str
    text: str


class _Fault(Exception):
    """The values are not those of a statement at all."""


@dataclass(frozen=True, slots=True)
class _Item:
    source: str
    destination: str
    unit: str
    amount: int
    open: int
    seq: int
    opened_ms: int


@dataclass(frozen=True, slots=True)
class _Line:
    seq: int
    posting: Posting
    direction: str
    late: bool
    effective_ms: int
    ledger_ms: int


@dataclass(frozen=True, slots=True)
class _Proof:
    line: str
    balance: Counters
    proof: BalanceProof


@dataclass(frozen=True, slots=True)
class _Account:
    role: str
    opening: Counters
    closing: Counters
    proof: _Proof | None


@dataclass(frozen=True, slots=True)
class _Statement:
    """A statement as read: everything there, everything of its type; nothing believed."""

    origin: str
    member: str
    other: str | None
    unit: str | None
    name: str
    first_seq: int
    last_seq: int
    began_ms: int | None
    ended_ms: int
    closed_seq: int | None
    size: int | None
    root: bytes | None
    units: list[dict[str, Any]]
    lines: list[_Line]
    accounts: dict[Place, _Account]
    open_before: dict[str, _Item]
    open_items: dict[str, _Item]
    closed_entry: bytes | None
    log_proof: bytes | None

    @property
    def pair(self) -> tuple[str, ...]:
        return tuple(sorted({self.member, self.other or self.member}))

    @property
    def closing(self) -> dict[Place, Counters]:
        return {place: account.closing for place, account in self.accounts.items()}

    @property
    def opening(self) -> dict[Place, Counters]:
        return {place: account.opening for place, account in self.accounts.items()}


def check_statement(values: object, policy: Policy | None = None) -> list[Problem]:
    """All that is wrong with a statement; empty when it holds.

    With a policy the period's closing entry must have been logged and cosigned as the policy wants; without one the
    checkpoint's signatures are not looked at.
    """
    try:
        found = _read(values)
    except _Fault as fault:
        return [Problem("form", str(fault))]
    checks = (_lines, _sums, _units, _items, _proofs, _closed)
    problems = [problem for check in checks for problem in check(found)]
    return [*problems, *_logged(found, policy)]


def succession_problems(before: object, after: object) -> list[Problem]:
    """Why the second statement does not go on where the first, of the period before, ended. Both must hold by themselves."""
    try:
        first, second = _read(before), _read(after)
    except _Fault as fault:
        return [Problem("form", str(fault))]
    of = [(one.origin, one.member, one.other, one.unit) for one in (first, second)]
    if of[0] != of[1]:
        return [
            Problem("period", f"statements of {of[0]} and of {of[1]}; both must be of the same")
        ]
    problems = []
    if second.first_seq != first.last_seq + 1 or second.began_ms != first.ended_ms:
        problems.append(
            Problem(
                "period",
                f"{first.name} ends with entry {first.last_seq}, {second.name} begins with {second.first_seq}; "
                "wanted the next entry and the time of the close",
            )
        )
    for place in sorted(first.accounts.keys() | second.accounts.keys()):
        ended, began = first.closing.get(place, NOTHING), second.opening.get(place, NOTHING)
        if ended != began:
            problems.append(
                Problem(
                    "period",
                    f"{place[0]} in {place[1]}: closing {tuple(ended)}, opening after it {tuple(began)}; they must be the same",
                )
            )
    if first.open_items != second.open_before:
        problems.append(
            Problem("period", f"open items of {first.name} are not those {second.name} begins with")
        )
    return problems


def mirror_problems(one: object, other: object) -> list[Problem]:
    """Why two statements of one period, each member's of the other, do not agree (I14). Both must hold by themselves."""
    try:
        first, second = _read(one), _read(other)
    except _Fault as fault:
        return [Problem("form", str(fault))]
    mirrored = (first.member, first.other) == (second.other, second.member)
    if not mirrored or (first.first_seq, first.last_seq) != (second.first_seq, second.last_seq):
        return [Problem("period", "these are not two sides of one pair in one period")]
    mine, theirs = nets(first.closing, first.member), nets(second.closing, second.member)
    problems = [
        Problem(
            "sums",
            f"net({first.member}, {second.member}) is {mine.get(unit, (0, 0))} {unit}, "
            f"net({second.member}, {first.member}) is {theirs.get(unit, (0, 0))}; one must be the other's negative",
        )
        for unit in sorted(mine.keys() | theirs.keys())
        if any(a + b for a, b in zip(mine.get(unit, (0, 0)), theirs.get(unit, (0, 0)), strict=True))
    ]
    moved = [[(line.seq, line.posting) for line in side.lines] for side in (first, second)]
    if moved[0] != moved[1]:
        problems.append(Problem("sums", "the two list different entries"))
    return problems


def anew_problems(values: object, content: PeriodContent) -> list[Problem]:
    """How a statement differs from the one made from the entries themselves; words and proof of logging aside."""
    try:
        found = _read(values)
    except _Fault as fault:
        return [Problem("form", str(fault))]
    made = statement(content, found.member, found.other, origin=found.origin, unit=found.unit)
    held: Mapping[str, Any] = values if isinstance(values, dict) else {}
    return [
        Problem(
            "sums", f"{name}: the entries make it otherwise{_first_difference(held[name], one)}"
        )
        for name, one in made.items()
        if name != "log_proof" and _without_words(held[name]) != _without_words(one)
    ]


def _without_words(found: Any) -> Any:
    if not isinstance(found, list):
        return found
    return [{k: v for k, v in one.items() if k not in ("en", "zh")} for one in found]


def _first_difference(found: Any, wanted: Any) -> str:
    if not isinstance(found, list) or not isinstance(wanted, list):
        return f", found {found}, wanted {wanted}"
    for at, (one, other) in enumerate(
        zip(_without_words(found), _without_words(wanted), strict=False)
    ):
        if one != other:
            return f", first at {at}: found {one}, wanted {other}"
    return f", found {len(found)} of {len(wanted)}"


# What it says of itself


def _lines(found: _Statement) -> Iterator[Problem]:
    last = 0
    for line in found.lines:
        where = f"entry {line.seq}"
        if not found.first_seq <= line.seq <= found.last_seq:
            yield Problem("period", f"{where} is outside {found.first_seq} to {found.last_seq}")
        if line.seq < last:
            yield Problem("sums", f"{where} stands behind entry {last}; wanted in order")
        last = max(last, line.seq)
        if line.posting.amount <= 0:
            yield Problem("sums", f"{where}: amount {line.posting.amount}, wanted above 0")
        if found.unit is not None and line.posting.unit != found.unit:
            yield Problem("sums", f"{where} is in {line.posting.unit}, wanted {found.unit}")
        late = found.began_ms is not None and line.effective_ms < found.began_ms
        if line.late != late:
            yield Problem(
                "period", f"{where}: prior_period is {line.late}, its day makes it {late}"
            )
        try:
            way = read_posting(line.posting)
        except LedgerCorrupt as error:
            yield Problem("sums", f"{where}: {error}")
            continue
        if way.pair != found.pair:
            yield Problem(
                "sums", f"{where} is of {' and '.join(way.pair)}, wanted {' and '.join(found.pair)}"
            )
        elif line.direction != direction(way, found.member):
            yield Problem(
                "sums",
                f"{where}: direction {line.direction}, wanted {direction(way, found.member)}",
            )


def _sums(found: _Statement) -> Iterator[Problem]:
    """Opening and entries make the closing, for each account."""
    sums = found.opening
    for line in found.lines:
        for place, change in changes(line.posting):
            if place not in sums:
                yield Problem(
                    "sums", f"entry {line.seq} moves {place[0]} in {place[1]}, which is not listed"
                )
                sums[place] = NOTHING
            sums[place] = added(sums[place], change)
    for place, account in found.accounts.items():
        where = f"{place[0]} in {place[1]}"
        known = classify(place[0])
        if known is None or unit_of(place[1]) is None or known.role.name != account.role:
            yield Problem("sums", f"{where} is no {account.role} account of the chart")
        elif not set(known.members) <= set(found.pair):
            yield Problem("sums", f"{where} is not an account of {' and '.join(found.pair)}")
        if sums[place] != account.closing:
            yield Problem(
                "sums",
                f"{where}: opening and entries make {tuple(sums[place])}, closing says {tuple(account.closing)}",
            )
        if any(value < 0 for value in (*account.opening, *account.closing)):
            yield Problem("sums", f"{where}: a counter is below 0")
    for side, counters in (("opening", found.opening), ("closing", found.closing)):
        for unit in sorted({unit for _, unit in counters}):
            of_unit = [held for (_, of), held in counters.items() if of == unit]
            off = (sum(held.net for held in of_unit), sum(held.pending for held in of_unit))
            if any(off):
                yield Problem("sums", f"{side} in {unit} is off by {off[0]}, pending by {off[1]}")


def _units(found: _Statement) -> Iterator[Problem]:
    """The summary repeats what accounts and entries say."""
    listed = [str(values["unit"]) for values in found.units]
    wanted = sorted({unit for _, unit in found.accounts})
    if listed != wanted:
        yield Problem("sums", f"the summary is of units {listed}, the accounts are of {wanted}")
        return
    for side, counters in (("opening", found.opening), ("closing", found.closing)):
        net = nets(counters, found.member)
        for values in found.units:
            unit = str(values["unit"])
            posted, pending = net.get(unit, (0, 0))
            shown = {
                "posted": str(posted), "posted_decimal": decimal_text(posted, unit),
                "pending": str(pending), "pending_decimal": decimal_text(pending, unit),
            }  # fmt: skip
            if values[side] != (shown if found.other else None):
                yield Problem(
                    "sums", f"{side} in {unit}: {values[side]}, the accounts make it {shown}"
                )
    for values in found.units:
        moved = totals(
            (line.posting.action, line.direction, line.posting.amount)
            for line in found.lines
            if line.posting.unit == values["unit"]
        )
        shown_sums = {
            name: {way: str(amount) for way, amount in sums.items()} for name, sums in moved.items()
        }
        if values["moved"] != shown_sums:
            yield Problem(
                "sums",
                f"moved in {values['unit']}: {values['moved']}, entries make it {shown_sums}",
            )


def _items(found: _Statement) -> Iterator[Problem]:
    """What was open, what was opened, and what was settled make what is open."""
    left = {name: item.open for name, item in found.open_before.items()}
    opened = dict(found.open_before)
    for name, item in opened.items():
        if item.seq >= found.first_seq or not 0 < item.open <= item.amount:
            yield Problem("sums", f"{name!r} cannot be open before the period: {_told(item)}")
    for line in found.lines:
        posting, where = line.posting, f"entry {line.seq}"
        name = posting.pending_id or ""
        if posting.action == "pend":
            if not name or left.get(name):
                yield Problem("sums", f"{where} opens {name!r}, which is open or has no id")
            left[name] = posting.amount
            opened[name] = _Item(
                posting.source, posting.destination, posting.unit, posting.amount, posting.amount, line.seq, line.ledger_ms
            )  # fmt: skip
        elif posting.action in ("post", "void"):
            if name not in opened or posting.amount > left[name]:
                yield Problem(
                    "sums",
                    f"{where} settles {posting.amount} of {name!r}, open is {left.get(name, 'nothing')}",
                )
                continue
            left[name] -= posting.amount
            ends = (posting.source, posting.destination, posting.unit)
            if ends != (opened[name].source, opened[name].destination, opened[name].unit):
                yield Problem("sums", f"{where} settles {name!r} between other accounts")
    wanted = {
        name: _Item(
            item.source, item.destination, item.unit, item.amount, left[name], item.seq, item.opened_ms
        )
        for name, item in opened.items()
        if left[name]
    }  # fmt: skip
    for name in sorted(wanted.keys() | found.open_items.keys()):
        if wanted.get(name) != found.open_items.get(name):
            yield Problem(
                "sums",
                f"open item {name!r} is {_told(found.open_items.get(name))}, entries make it {_told(wanted.get(name))}",
            )
    for side, items, counters in (
        ("opening", found.open_before, found.opening),
        ("closing", found.open_items, found.closing),
    ):
        pending: dict[Place, Counters] = {}
        for item in items.values():
            held = Posting("pend", item.source, item.destination, item.unit, item.open, "")
            for place, change in changes(held):
                pending[place] = added(pending.get(place, NOTHING), change)
        for place in sorted(pending.keys() | counters.keys()):
            said, made = counters.get(place, NOTHING), pending.get(place, NOTHING)
            if (said.pending_in, said.pending_out) != (made.pending_in, made.pending_out):
                yield Problem(
                    "sums",
                    f"{side} of {place[0]} in {place[1]} has {said.pending_in} in and {said.pending_out} out pending, "
                    f"open items make {made.pending_in} and {made.pending_out}",
                )


def _told(item: _Item | None) -> str:
    return (
        "missing" if item is None else f"{item.open} of {item.amount} {item.unit}, entry {item.seq}"
    )


# What the ledger says


def _proofs(found: _Statement) -> Iterator[Problem]:
    if found.root is None or found.size is None:
        return
    for (account, unit), held in found.accounts.items():
        where = f"{account} in {unit}"
        if held.proof is None:
            yield Problem("proof", f"{where} has no proof under the period's root; ask for one")
            continue
        balance = held.proof.balance
        line = balance_line(account, unit, balance)
        if held.proof.line.encode("utf-8", "surrogatepass") != line:
            yield Problem("proof", f"{where}: the line is {held.proof.line!r}, wanted {line!r}")
        fault = line_fault(line, held.proof.proof, found.size, found.root)
        if fault:
            yield Problem("proof", f"{where}: {fault}")
        known = classify(account)
        shared = known is None or known.role.shared
        if any(own > whole for own, whole in zip(held.closing, balance, strict=True)) or (
            not shared and held.closing != balance
        ):
            yield Problem(
                "proof",
                f"{where}: closing {tuple(held.closing)}, the period closed with {tuple(balance)}"
                + (" of all pairs together" if shared else ""),
            )


def _closed(found: _Statement) -> Iterator[Problem]:
    """The period is the one that its entry closed."""
    closed = (found.closed_seq, found.size, found.root, found.closed_entry)
    if found.name == OPEN:
        if any(part is not None for part in closed) or found.log_proof is not None:
            yield Problem("period", "the period is open and has what only a closed one has")
        return
    if any(part is None for part in closed):
        yield Problem("period", f"period {found.name} is closed, and its closing entry is missing")
        return
    try:
        entry = decode(found.closed_entry or b"")
        record = decode(entry.event) if isinstance(entry, Entry) else None
    except Unreadable as error:
        yield Problem("period", f"the closing entry cannot be read: {error}")
        return
    if not isinstance(entry, Entry) or not isinstance(record, PeriodClosed) or entry.member != HUB:
        yield Problem("period", "closed_entry is no ledger.period-closed of the hub")
        return
    said = (
        record.period, record.first_seq, record.last_seq, to_millis(record.closed_at), record.accounts,
        record.balances_root, entry.seq,
    )  # fmt: skip
    wanted = (
        found.name, found.first_seq, found.last_seq, found.ended_ms, found.size, found.root, found.closed_seq,
    )  # fmt: skip
    for name, is_, should in zip(
        ("name", "first_seq", "last_seq", "ended_at", "accounts", "balances_root", "closed_seq"),
        wanted, said, strict=True,
    ):  # fmt: skip
        if is_ != should:
            yield Problem(
                "period", f"period.{name} is {_hex(is_)}, the closing entry says {_hex(should)}"
            )


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _logged(found: _Statement, policy: Policy | None) -> Iterator[Problem]:
    """The closing entry is in the log, and witnesses saw that log."""
    if found.log_proof is None or found.closed_entry is None:
        if policy is not None and found.name != OPEN:
            yield Problem("log", "no log_proof of the closing entry, a policy wants one")
        return
    leaf = leaf_hash(found.closed_entry)
    try:
        proof = LogProof.parse(found.log_proof)
        checkpoint = Checkpoint.parse(split_note(proof.checkpoint)[0])
        if proof.index + 1 != found.closed_seq:
            yield Problem("log", f"the proof is of entry {proof.index + 1}, not {found.closed_seq}")
        if checkpoint.origin != found.origin:
            yield Problem(
                "log", f"the log is {checkpoint.origin!r}, the statement's {found.origin!r}"
            )
        if policy is not None:
            verify_proof(proof, leaf, policy)
        else:
            verify_inclusion(proof.index, checkpoint.size, leaf, proof.hashes, checkpoint.root)
    except Forged as error:
        yield Problem("log", str(error))


# Reading


def _read(values: object) -> _Statement:
    top = _Part("statement", values)
    if top.text("format") != FORMAT:
        raise _Fault(f"format is {top.text('format')!r}, wanted {FORMAT}")
    period = _Part("period", top.any("period"))
    root = period.text_or_none("balances_root")
    if root is not None and not _HASH.fullmatch(root):
        raise _Fault(f"period.balances_root is {root[:80]!r}, wanted 64 hexadecimal digits")
    ended_ms = period.time("ended_at")
    found = _Statement(
        origin=top.text("origin"),
        member=top.text("member"),
        other=top.text_or_none("other"),
        unit=top.text_or_none("unit"),
        name=period.text("name"),
        first_seq=period.count("first_seq"),
        last_seq=period.count("last_seq"),
        began_ms=None if period.any("began_at") is None else period.time("began_at"),
        ended_ms=ended_ms,
        closed_seq=period.count_or_none("closed_seq"),
        size=period.count_or_none("accounts"),
        root=None if root is None else bytes.fromhex(root),
        units=[_unit(part) for part in top.parts("units")],
        lines=[_line(part) for part in top.parts("entries")],
        accounts=_accounts(top.parts("accounts")),
        open_before=_open_items(top.parts("open_before"), ended_ms),
        open_items=_open_items(top.parts("open_items"), ended_ms),
        closed_entry=top.data_or_none("closed_entry"),
        log_proof=top.data_or_none("log_proof"),
    )
    top.parts("disputes")  # what they say is in no account
    if found.other == found.member:
        raise _Fault(f"member and other are both {found.member}; of a member alone, other is null")
    return found


class _Part:
    """An object of the values, and the name of its place for messages."""

    def __init__(self, place: str, values: object) -> None:
        if not isinstance(values, dict):
            raise _Fault(f"{place} is {_kind(values)}, wanted an object")
        self.place = place
        self.values: Mapping[str, Any] = values

    def any(self, name: str) -> Any:
        if name not in self.values:
            raise _Fault(f"{self.place}.{name} is missing")
        return self.values[name]

    def _of(self, name: str, kind: type, wanted: str) -> Any:
        found = self.any(name)
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            raise _Fault(f"{self.place}.{name} is {_kind(found)}, wanted {wanted}")
        return found

    def text(self, name: str) -> str:
        return str(self._of(name, str, "a text"))

    def text_or_none(self, name: str) -> str | None:
        return None if self.any(name) is None else self.text(name)

    def flag(self, name: str) -> bool:
        return bool(self._of(name, bool, "true or false"))

    def count(self, name: str) -> int:
        found = int(self._of(name, int, "a whole number"))
        if not 0 <= found < _PLACES_LIMIT:
            raise _Fault(f"{self.place}.{name} is {found}, wanted 0 to {_PLACES_LIMIT - 1}")
        return found

    def count_or_none(self, name: str) -> int | None:
        return None if self.any(name) is None else self.count(name)

    def amount(self, name: str) -> int:
        found = self.text(name)
        if not _INTEGER.fullmatch(found) or found == "-0":
            raise _Fault(f"{self.place}.{name} is {found[:40]!r}, wanted an integer as text")
        return int(found)

    def time(self, name: str) -> int:
        found = self.text(name)
        try:
            at_ms = to_millis(datetime.fromisoformat(found))
        except (ValueError, TypeError, OverflowError):  # TypeError: a time without a zone
            at_ms = 0
        if time_text(at_ms) != found:
            raise _Fault(
                f"{self.place}.{name} is {found[:40]!r}, wanted a time such as {time_text(at_ms)}"
            )
        return at_ms

    def parts(self, name: str) -> list[_Part]:
        found = self._of(name, list, "a list")
        return [_Part(f"{self.place}.{name}[{at}]", one) for at, one in enumerate(found)]

    def data_or_none(self, name: str) -> bytes | None:
        found = self.text_or_none(name)
        if found is None:
            return None
        try:
            return base64.b64decode(found, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _Fault(f"{self.place}.{name} is no base64: {error}") from None

    def shown(self, name: str, amount: int, unit: str) -> None:
        """The decimal that people read is the amount that was checked."""
        if self.text(name) != decimal_text(amount, unit):
            raise _Fault(
                f"{self.place}.{name} is {self.text(name)[:40]!r}, wanted {decimal_text(amount, unit)}"
            )


def _kind(value: object) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"


def _unit(part: _Part) -> dict[str, Any]:
    part.text("unit")
    return {name: part.any(name) for name in ("unit", "opening", "moved", "closing")}


def _line(part: _Part) -> _Line:
    for name in ("event_id", "event_type", "member", "subject"):
        part.text(name)
    if part.text("kind") not in ACTIONS:
        raise _Fault(f"{part.place}.kind is {part.text('kind')[:40]!r}, wanted one of {ACTIONS}")
    posting = Posting(
        part.text("kind"), part.text("source"), part.text("destination"), part.text("unit"), part.amount("amount"),
        part.text_or_none("pending_id"),
    )  # fmt: skip
    part.shown("decimal", posting.amount, posting.unit)
    if bool(posting.pending_id) != (posting.action in ("pend", "post", "void")):
        raise _Fault(
            f"{part.place}.pending_id is {posting.pending_id!r} with kind {posting.action}; "
            "pend, post and void have one, move and reverse have none"
        )
    return _Line(
        part.count("seq"), posting, part.text("direction"), part.flag("prior_period"), part.time("effective_at"),
        part.time("ledger_at"),
    )  # fmt: skip


def _counters(part: _Part) -> Counters:
    return Counters(*(part.amount(name) for name in Counters._fields))


def _accounts(parts: list[_Part]) -> dict[Place, _Account]:
    found: dict[Place, _Account] = {}
    for part in parts:
        place = (part.text("account"), part.text("unit"))
        if place in found:
            raise _Fault(f"{part.place} lists {place[0]} in {place[1]} a second time")
        opening = _counters(_Part(f"{part.place}.opening", part.any("opening")))
        closing = _counters(_Part(f"{part.place}.closing", part.any("closing")))
        part.shown("net_decimal", closing.net, place[1])
        proof = part.any("proof")
        proof = None if proof is None else _proof(_Part(f"{part.place}.proof", proof))
        found[place] = _Account(part.text("role"), opening, closing, proof)
    return found


def _proof(part: _Part) -> _Proof:
    path = part.any("path")
    if not isinstance(path, list) or not all(
        isinstance(one, str) and _HASH.fullmatch(one) for one in path
    ):
        raise _Fault(f"{part.place}.path is no list of hashes in hexadecimal")
    proof = BalanceProof(part.count("index"), tuple(bytes.fromhex(one) for one in path))
    balance = _counters(_Part(f"{part.place}.balance", part.any("balance")))
    return _Proof(part.text("line"), balance, proof)


def _open_items(parts: list[_Part], ended_ms: int) -> dict[str, _Item]:
    found: dict[str, _Item] = {}
    for part in parts:
        item = _Item(
            part.text("source"), part.text("destination"), part.text("unit"), part.amount("amount"),
            part.amount("open"), part.count("seq"), part.time("opened_at"),
        )  # fmt: skip
        part.shown("open_decimal", item.open, item.unit)
        age = age_days(item.opened_ms, ended_ms)
        if part.count("age_days") != age:
            raise _Fault(f"{part.place}.age_days is {part.count('age_days')}, wanted {age}")
        if part.text("pending_id") in found:
            raise _Fault(f"{part.place} lists {part.text('pending_id')!r} a second time")
        found[part.text("pending_id")] = item
    return found
