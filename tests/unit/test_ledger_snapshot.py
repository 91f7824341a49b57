"""The ledger's state as bytes: all of it comes back, and nothing else passes for it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from hub.domain.dispute import Dispute, Frozen
from hub.domain.keys import ErasedStudent, MemberKey
from hub.domain.period import Period
from hub.events import machines, rules
from hub.ledger import snapshot
from hub.ledger.apply import apply
from hub.ledger.audit import Audit
from hub.ledger.replay import Replay
from hub.ledger.seen import NAME_BYTES, Seen, SeenIds
from hub.ledger.snapshot import (
    FORMAT,
    Mark,
    SnapshotUnfit,
    dump,
    dump_audit,
    load,
    load_audit,
    mark_of,
    read_mark,
)
from hub.ledger.state import State
from schemas.tlog.merkle import Frontier
from tests.support.histories_catalogue import drawn
from tests.support.histories_twins import told
from tests.support.ledger import HOME, HOST, Ledger, event_id

SEEDS = range(24)
THINGS = (
    MemberKey("k1", HOME, bytes(32), "revoked"),
    ErasedStudent("s1", HOME, ("k1", "k2")),
    Dispute("d1", HOME, HOST, (), (("award", "w1"),), "grade", "open"),
    Frozen("award", "w1", "d1", 5, 7),
    Period("2026-1", 1, 9, bytes(32), 11),
)


@pytest.fixture(scope="module")
def ledgers() -> list[Ledger]:
    """Histories about everything in the catalogue."""
    return [told(drawn(seed, 40), 0).ledger for seed in SEEDS]


@pytest.fixture
def ledger() -> Ledger:
    """A case with something parked, something open and something settled."""
    made = Ledger()
    made.in_case("r1", "3", "2")
    made.rule("r1", "3", "5")
    made.request("e9", "physics")
    made.enrolled("e8", "pending")
    made.tick()
    return made


def frontier(ledger: Ledger) -> Frontier:
    following = [written.entry.prev_hash for written in ledger.entries[1:]]
    return Frontier().extend([*following, ledger.state.head.hash])


def saved(ledger: Ledger) -> bytes:
    mark = mark_of(ledger.state, len(ledger.entries) - 1, frontier(ledger), "rules")
    return b"".join(dump(ledger.state, mark))


def sealed(content: bytes) -> bytes:
    """As if it had been written so."""
    return content + sha256(content).digest()


# All of it comes back


def test_every_state_comes_back_as_it_was(ledgers: list[Ledger]) -> None:
    """Field by field, of whatever kind."""
    for ledger in ledgers:
        assert load(saved(ledger)) == ledger.state


def test_the_histories_hold_things_of_every_kind(ledgers: list[Ledger]) -> None:
    """A kind that is in no history is tested by nobody."""
    kinds = {kind for ledger in ledgers for kind, things in ledger.state.things.items() if things}
    by_hand = {thing.KIND for thing in THINGS}
    living = {machine.kind for machine in machines()} - by_hand
    assert kinds >= living | {"calendar", "earned", "rules"}
    assert any(ledger.state.parked for ledger in ledgers)
    assert any(ledger.state.deadlines for ledger in ledgers)


def test_things_that_no_member_states_come_back(ledger: Ledger) -> None:
    """Keys, erasures, disputes, periods."""
    for thing in THINGS:
        ledger.state.things.setdefault(thing.KIND, {})[thing.id] = thing
        ledger.state.changed_at[thing.KIND, thing.id] = 3
    assert load(saved(ledger)) == ledger.state


def test_the_order_of_things_comes_back(ledgers: list[Ledger]) -> None:
    """What a rule or a report walks through, it walks through as before."""
    for ledger in ledgers:
        found = load(saved(ledger))
        for kind, things in ledger.state.things.items():
            assert list(found.things[kind]) == list(things)
        assert list(found.book.balances) == list(ledger.state.book.balances)
        assert list(found.parked) == list(ledger.state.parked)


def test_a_start_from_a_snapshot_goes_on_byte_for_byte(ledgers: list[Ledger]) -> None:
    """The rest of each history, on the state loaded and on the one that was never written."""
    for ledger in ledgers:
        half = len(ledger.inputs) // 2
        first = Ledger(sorted(ledger.state.members))
        for item in ledger.inputs[:half]:
            first._take(item)
        first.state = load(saved(first))
        rest = [w.value for item in ledger.inputs[half:] for w in apply(first.state, item, rules())]
        assert rest == [written.value for written in ledger.entries[len(first.entries) :]]
        assert first.state == ledger.state


def test_an_empty_ledger_has_a_snapshot(ledger: Ledger) -> None:
    """Nothing is special about the beginning."""
    state = State(frozenset({HOME, HOST}))
    assert load(b"".join(dump(state, mark_of(state, -1, Frontier(), "r")))) == state


def test_a_large_state_is_cut_and_put_together(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of three rows, so that every table has several."""
    monkeypatch.setattr(snapshot, "_CHUNK", 3)
    assert load(saved(ledger)) == ledger.state


def test_the_mark_says_what_a_reader_must_compare(ledger: Ledger) -> None:
    """Before anything of the state is read."""
    mark = read_mark(saved(ledger))
    assert (mark.seq, mark.hash) == (ledger.state.head.seq, ledger.state.head.hash)
    assert (mark.offset, mark.rules) == (len(ledger.entries) - 1, "rules")
    assert mark.members == tuple(sorted(ledger.state.members))
    assert mark.frontier == frontier(ledger)


def test_a_snapshot_has_the_same_bytes_from_the_log_and_from_a_snapshot(ledger: Ledger) -> None:
    """Two auditors that agree write the same file."""
    replay = Replay(rules(), State(ledger.state.members))
    for written in ledger.entries:
        replay.feed(written.value)
    assert load(saved(ledger)) == replay.state
    again = Ledger()
    again.state, again.entries = load(saved(ledger)), ledger.entries
    assert load(saved(again)) == replay.state


# The audit goes on, too


def test_an_audit_goes_on_where_it_was(ledger: Ledger) -> None:
    """What it has added up by then is as if it had read the log from the start."""
    whole, half = Audit(), Audit()
    for written in ledger.entries:
        whole.see(written.entry, written.value)
    for written in ledger.entries[:9]:
        half.see(written.entry, written.value)
    mark = mark_of(ledger.state, 0, frontier(ledger), "rules")
    half = load_audit(b"".join(dump_audit(half, mark)), mark)
    for written in ledger.entries[9:]:
        half.see(written.entry, written.value)
    assert half == whole
    assert half.finish(ledger.state) == []


def test_an_audit_of_another_place_is_not_taken(ledger: Ledger) -> None:
    """State and sums belong together."""
    mark = mark_of(ledger.state, 0, frontier(ledger), "rules")
    data = b"".join(dump_audit(Audit(), mark))
    with pytest.raises(SnapshotUnfit, match="audit is not that of entry"):
        load_audit(data, replace(mark, offset=1))


# Nothing else passes for it


@pytest.mark.parametrize("share", range(0, 100, 3))
def test_a_snapshot_that_was_cut_off_is_refused(ledger: Ledger, share: int) -> None:
    """A full disk, a copy that broke off."""
    data = saved(ledger)
    with pytest.raises(SnapshotUnfit):
        load(data[: len(data) * share // 100])


def test_a_flipped_bit_is_refused_wherever_it_is(ledger: Ledger) -> None:
    """A disk that forgets says nothing."""
    data = saved(ledger)
    for at in range(0, len(data), 97):
        bad = bytearray(data)
        bad[at] ^= 4
        with pytest.raises(SnapshotUnfit):
            load(bytes(bad))


def test_another_format_is_refused() -> None:
    """Of a later hub, or no snapshot at all."""
    with pytest.raises(SnapshotUnfit, match="wanted"):
        read_mark(FORMAT.replace(b"1", b"2") + b"{}\n")


@pytest.mark.parametrize(
    "line", [b"{}", b"[]", b"x", b'{"seq": 1}', b"\xff", b"[" * 10_000], ids=range(6)
)
def test_a_mark_that_cannot_be_read_is_refused(line: bytes) -> None:
    """With a named reason, whatever stands there."""
    with pytest.raises(SnapshotUnfit):
        read_mark(FORMAT + line + b"\n")


def _richer(state: State, mark: Mark) -> tuple[State, Mark]:
    changed = deepcopy(state)
    next(iter(changed.book.balances.values())).posted_in += 1
    return changed, mark


def _further(state: State, mark: Mark) -> tuple[State, Mark]:
    return state, replace(mark, hash=bytes(32))


def _shorter_tree(state: State, mark: Mark) -> tuple[State, Mark]:
    return state, replace(mark, frontier=Frontier().append(bytes(32)))


def _more_members(state: State, mark: Mark) -> tuple[State, Mark]:
    return state, replace(mark, members=(*mark.members, "99999"))


@pytest.mark.parametrize("edit", [_richer, _further, _shorter_tree, _more_members])
def test_a_state_that_is_not_the_marks_is_refused(ledger: Ledger, edit: Any) -> None:
    """Whole and well sealed, but state and mark do not belong together."""
    state, mark = edit(ledger.state, mark_of(ledger.state, 0, frontier(ledger), "rules"))
    with pytest.raises(SnapshotUnfit):
        load(b"".join(dump(state, mark)))


class _Call:
    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call[0], self._call[1:]


@pytest.mark.parametrize(
    "call",
    [_Call(os.getcwd), _Call(eval, "1"), _Call(rules), _Call(getattr, "a", "b"), _Call(Ledger)],
    ids=["os", "builtins", "hub", "getattr", "tests"],
)
def test_a_snapshot_makes_values_and_calls_nothing(ledger: Ledger, call: _Call) -> None:
    """A pickle may name any function; here it is refused before it runs."""
    mark = mark_of(ledger.state, 0, frontier(ledger), "rules")
    piece = pickle.dumps(("versions", call), protocol=5)
    content = FORMAT + mark.to_line() + len(piece).to_bytes(8, "big") + piece
    with pytest.raises(SnapshotUnfit, match="is no value of the ledger"):
        load(sealed(content))


@pytest.mark.parametrize(
    "piece",
    [
        ("state", {"nothing": 1}),
        ("state", None),
        ("things", 1),
        ("versions", 7),
        "one",
        ("things", ("a", {"x": 1}, [])),
    ],
    ids=range(6),
)
def test_pieces_that_make_no_state_are_refused(ledger: Ledger, piece: object) -> None:
    """Sealed by a program that means something else by them."""
    written = pickle.dumps(piece, protocol=5)
    content = saved(ledger)[:-32] + len(written).to_bytes(8, "big") + written
    with pytest.raises(SnapshotUnfit):
        load(sealed(content))


def test_a_piece_that_nobody_knows_is_refused(ledger: Ledger) -> None:
    """Written by a later hub: what is left out may matter."""
    content = saved(ledger)[:-32]
    piece = pickle.dumps(("more", {}), protocol=5)
    with pytest.raises(SnapshotUnfit, match="'more'"):
        load(sealed(content + len(piece).to_bytes(8, "big") + piece))


# Ids that were seen


def names(count: int) -> Iterator[str]:
    return (event_id(number) for number in range(count))


def test_every_id_is_found_and_no_other() -> None:
    """Enough of them that buckets hold several, with what was said first."""
    seen = SeenIds()
    for number, name in enumerate(names(40_000)):
        if number % 2:
            assert seen.meet(name, sha256(name.encode()).digest(), number) is None
    assert len(seen) == 20_000
    assert max(map(len, seen.names.values())) > NAME_BYTES
    for number, name in enumerate(names(40_000)):
        wanted = Seen(sha256(name.encode()).digest(), number) if number % 2 else None
        assert seen.get(name) == wanted


def test_the_first_entry_of_an_id_stays_the_first() -> None:
    """Whatever comes under it later is compared with that one."""
    seen = SeenIds()
    assert seen.meet("a", b"1" * 32, 1) is None
    assert seen.meet("a", b"2" * 32, 2) == seen.get("a") == Seen(b"1" * 32, 1)
    assert len(seen) == 1


def test_a_match_across_two_rows_is_no_match() -> None:
    """The end of one row and the beginning of the next may spell a third."""
    seen = SeenIds()
    seen.meet("a", bytes(32), 1)
    (place,) = seen.names
    name = bytes(seen.names[place])
    seen.names[place] = bytearray(b"\0" * 8 + name + b"\1" * 8 + name)
    seen.facts[place] = bytearray(bytes(38) * 2 + b"\7" * 38)
    assert seen.get("a") == Seen(b"\7" * 32, int.from_bytes(b"\7" * 6, "big"))
    seen.names[place] = bytearray(b"\0" * 8 + name + b"\1" * 8)
    assert seen.get("a") is None
