"""The log read again: what counts, what is void, what is recomputed, and what an auditor sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.errors import LedgerCorrupt
from hub.events import rules
from hub.ledger.apply import Written
from hub.ledger.audit import WHAT, Audit
from hub.ledger.head import GENESIS, Head, entry_hash
from hub.ledger.posting import Balance, Pending
from hub.ledger.replay import Replay
from hub.ledger.state import Alarm, Deadline, State
from schemas.codec import encode
from schemas.records import Entry, Outcome, Posting
from schemas.signing import Verifier, new_signer
from tests.support.ledger import HOST, MEMBERS, T0_MS, Ledger, credit, mapping


def fresh() -> Replay:
    return Replay(rules(), State(frozenset(MEMBERS)))


def read(*written: Written) -> Replay:
    replay = fresh()
    for item in written:
        replay.feed(item.value)
    return replay


@pytest.fixture
def ledger() -> Ledger:
    """A case with a rejection, a duplicate, a parked event and its release."""
    made = Ledger()
    made.request("e-w1", student_id="student")
    made.offer(capacity=-1)
    made.offer(capacity=2)
    made.again(made.entries[0].entry)
    made.decide("e-w1", "accepted")
    made.move("e-w1", "started")
    made.applied(made.award("w1", "e-w1"))
    made.applied(made.ask("r1", ["w1"]))
    made.applied(made.rule("r1", "2"))
    return made


# The reading rule


def test_the_log_begins_at_seq_1_with_a_zero_hash(ledger: Ledger) -> None:
    """Genesis is fixed, so that two ledgers never share a first entry by chance."""
    first = ledger.entries[0]
    assert (first.entry.seq, first.entry.prev_hash) == (1, bytes(32))
    assert GENESIS.extended_by(first.entry, first.value) == Head(1, entry_hash(first.value))


def test_the_hash_is_the_leaf_hash_of_rfc_6962() -> None:
    """A Merkle tree over the log can be added without touching it. Vector: the leaf of the empty string."""
    assert entry_hash(b"").hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )


@pytest.mark.parametrize(
    "wrong", [{"seq": 1}, {"seq": 3}, {"prev_hash": bytes(32)}, {"seq": 0, "prev_hash": bytes(32)}]
)
def test_a_record_that_does_not_extend_the_head_is_void(
    ledger: Ledger, wrong: dict[str, Any]
) -> None:
    """Repeats, gaps, and entries on another past."""
    replay = read(ledger.entries[0])
    other = replace(ledger.entries[1].entry, **wrong)
    assert replay.feed(encode(other)) is None
    assert (replay.head.seq, replay.void) == (1, 1)
    assert replay.feed(ledger.entries[1].value) is not None


# Replay


def test_replaying_the_log_gives_the_state_that_wrote_it(ledger: Ledger) -> None:
    """Byte for byte, and nothing is left open."""
    replay = read(*ledger.entries)
    assert replay.state == ledger.state
    assert replay.head == ledger.state.head
    assert replay.rest() == []


def test_a_group_that_breaks_off_is_known_to_be_unfinished(ledger: Ledger) -> None:
    """A sequencer that died between two batches: its successor writes the rest."""
    ledger.request("e2", "physics")
    ledger.offer("physics", host=HOST)
    replay = read(*ledger.entries[:-1])
    assert [item.value for item in replay.rest()] == [ledger.entries[-1].value]
    replay.feed(ledger.entries[-1].value)
    assert replay.rest() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcome": "rejected"}, "outcome is 'rejected'"),
        ({"detail": "edited"}, "detail is 'edited'"),
        ({"audience": ("10614",)}, "audience"),
        ({"flags": ("seen",)}, "flags"),
        ({"rule_version": 1}, "rule_version is 1"),
        ({"member": "10614"}, "member is '10614'"),
        ({"subject": "physics"}, "subject is 'physics'"),
        ({"event_hash": bytes(32)}, "event_hash"),
        ({"event_type": "project.changed"}, "event_type is 'project.changed'"),
        ({"event_type": "nothing.known"}, "event_type is 'nothing.known'"),
        ({"event": b""}, "holds no event"),
        ({"event": b"\0\0\0\0\1"}, "entry 1 holds"),
        ({"postings": ()}, "postings"),
        ({"input_index": 1}, "follows from its input"),
        ({"refers_to": 1}, "refers_to is 1"),
        ({"effective_at": None}, "effective_at"),
    ],
)
def test_an_edited_entry_is_named_with_the_first_field_that_differs(
    change: dict[str, Any], said: str
) -> None:
    """Whoever holds the keys of the broker can write anything; a reader that recomputes sees it."""
    ledger = Ledger()
    ledger.offer(capacity=2)
    entry = ledger.entries[0].entry
    if "effective_at" in change:
        change = {"effective_at": entry.effective_at + timedelta(days=1)}
    with pytest.raises(LedgerCorrupt, match=said):
        fresh().feed(encode(replace(entry, **change)))


def test_a_swapped_event_is_found(ledger: Ledger) -> None:
    """The entry's fields are recomputed from the event inside it."""
    other = Ledger()
    other.offer("physics", capacity=7)
    forged = replace(ledger.entries[1].entry, event=other.entries[0].entry.event)
    replay = read(ledger.entries[0])
    with pytest.raises(LedgerCorrupt, match="entry 2"):
        replay.feed(encode(forged))


def test_a_dropped_entry_voids_all_that_follows(ledger: Ledger) -> None:
    """The chain does not close over a hole; the reader stays where it was."""
    replay = read(*ledger.entries[:3], *ledger.entries[4:])
    assert (replay.head.seq, replay.void) == (3, len(ledger.entries) - 4)


def test_what_is_no_entry_is_void(ledger: Ledger) -> None:
    """An operator's slip in the topic must not stop the ledger: nothing can be taken out of a topic again."""
    at = ledger.entries[0].entry.ledger_at
    told = Outcome("id", "offering.changed", "s", "applied", 1, None, None, None, None, "", "", "", None, False,
                   "", "t", 0, 0, at)  # fmt: skip
    replay = fresh()
    for junk in (b"", b"hello", b"\0\0\0", ledger.entries[0].value[:-1], encode(told)):
        assert replay.feed(junk) is None
    assert replay.void == 5
    assert replay.feed(ledger.entries[0].value) is not None


def test_an_entry_of_a_newer_hub_stops_the_reader() -> None:
    """To call it void would hide all that follow, from this reader only."""
    with pytest.raises(LedgerCorrupt, match="newer hub"):
        fresh().feed(b"\0\0\xff\xff\xff" + b"entry")


# The audit


def audited(entries: list[Entry], state: State, verifier: Verifier | None = None) -> set[str]:
    audit = Audit(verifier)
    for entry in entries:
        audit.see(entry)
    return {name for name, _ in audit.finish(state)}


def test_a_sound_ledger_has_no_breach(ledger: Ledger) -> None:
    """All kinds of outcome are in it."""
    assert set(ledger.state.outcomes) == {"applied", "rejected", "duplicate", "parked"}
    assert audited([item.entry for item in ledger.entries], ledger.state) == set()


def _gap(entries: list[Entry]) -> None:
    del entries[3]


def _clock(entries: list[Entry]) -> None:
    entries[3] = replace(entries[3], ledger_at=entries[2].ledger_at)


def _input_twice(entries: list[Entry]) -> None:
    entries[-1] = replace(entries[-1], input_offset=entries[-2].input_offset)


def _input_missing(entries: list[Entry]) -> None:
    entries[-1] = replace(entries[-1], input_offset=entries[-1].input_offset + 1)


def _decided_twice(entries: list[Entry]) -> None:
    entries[-1] = replace(entries[-1], event_id=entries[-2].event_id)


def _amount(entries: list[Entry]) -> None:
    posting = replace(entries[-1].postings[0], amount=0)
    entries[-1] = replace(entries[-1], postings=(posting,))


def _taken_back(entries: list[Entry]) -> None:
    back = Posting("reverse", "student:10610:x", "conversion:10610", "credit.cn_credit", 1, None)
    entries[-1] = replace(entries[-1], postings=(back,))


@pytest.mark.parametrize(
    ("breach", "edit"),
    [("I5", _gap), ("I5", _clock), ("I6", _input_twice), ("I6", _input_missing), ("I7", _decided_twice), ("I1", _amount),
     ("I4", _taken_back)],
)  # fmt: skip
def test_the_audit_sees_a_breach_in_the_entries(
    ledger: Ledger, breach: str, edit: Callable[[list[Entry]], None]
) -> None:
    """An auditor that never finds anything proves nothing."""
    entries = [item.entry for item in ledger.entries]
    edit(entries)
    assert breach in audited(entries, ledger.state)


def _one_sided(state: State) -> None:
    state.book.balances["claim:10610:10611", "credit.cn_credit"].posted_in += 1


def _overdrawn(state: State) -> None:
    state.book.balances["seats:10611:calculus", "seat"].posted_out += 9


def _over_settled(state: State) -> None:
    state.book.pendings["p"] = Pending("a", "b", "seat", 1, -1)


def _second_case(state: State) -> None:
    cases = state.things["recognition"]
    cases["r2"] = replace(cases["r1"], recognition_id="r2", state="positive")


def _generous(state: State) -> None:
    cases = state.things["recognition"]
    cases["r1"] = replace(cases["r1"], recognized_milli=4001)


def _silent(state: State) -> None:
    state.deadlines["enrollment", "e-w1"] = Deadline(T0_MS, 1)
    state.alarms.append(Alarm(T0_MS, "enrollment", "e-w1", T0_MS, 1))
    state.now_ms, state.tick_seq = T0_MS, 2


def _overfilled(state: State) -> None:
    for account, side in (
        ("quota:a1:10610:10611:2026-2027", "posted_out"),
        ("filled:a1", "posted_in"),
    ):
        setattr(state.book.balances.setdefault((account, "place"), Balance()), side, 1)


@pytest.mark.parametrize(
    ("breaches", "edit"),
    [({"I2", "I8", "L1"}, _one_sided), ({"I11", "I2", "I8", "L1"}, _overdrawn), ({"I3", "I8"}, _over_settled), ({"L2"}, _second_case), ({"L3"}, _generous),
     ({"I17"}, _silent), ({"I11", "I8", "L8"}, _overfilled)],
)  # fmt: skip
def test_the_audit_sees_a_breach_in_the_end_state(
    ledger: Ledger, breaches: set[str], edit: Callable[[State], None]
) -> None:
    """Each invariant of the state has one edit; who edits balances disagrees with the postings, too (I8)."""
    edit(ledger.state)
    assert audited([item.entry for item in ledger.entries], ledger.state) == breaches


def test_the_hubs_own_entries_move_no_value(ledger: Ledger) -> None:
    """Nobody signed them: an operator who could post would own the ledger."""
    ledger.tick()
    tick = ledger.last[0]
    assert audited([item.entry for item in ledger.entries], ledger.state) == set()
    posted = replace(tick, postings=(Posting("move", "a", "b", "seat", 1, None),))
    entries = [item.entry for item in ledger.entries[:-1]]
    assert audited([*entries, posted], ledger.state) == {"I8", "I9", "I14"}


def test_a_second_case_after_a_negative_one_is_no_breach() -> None:
    """L2 counts recognized credits, not looks at them."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.rule("r1", "0")
    ledger.ask("r2", ["w1"])
    ledger.applied(ledger.rule("r2", "3"))
    assert audited([item.entry for item in ledger.entries], ledger.state) == set()


def test_the_audit_checks_that_the_member_signed() -> None:
    """The right key, of the right member, over these bytes."""
    ledger = Ledger()
    ledger.offer()
    entry = ledger.entries[0].entry
    signer, other = new_signer(b"1" * 32), new_signer(b"2" * 32)
    verifier = Verifier({signer.key_id: (HOST, signer.public), other.key_id: ("10614", other.public)})  # fmt: skip
    good = replace(entry, key_id=signer.key_id, signature=signer.sign(entry.event))
    assert audited([good], ledger.state, verifier) == set()
    for bad in (
        replace(good, signature=bytes(64)),
        replace(good, key_id="0" * 16),
        replace(good, event=good.event + b"\0"),
        replace(good, key_id=other.key_id, signature=other.sign(entry.event)),
    ):
        assert audited([bad], ledger.state, verifier) == {"I9"}


def test_every_invariant_that_can_be_breached_is_explained() -> None:
    """`alliance ledger verify` prints the meaning beside the name."""
    assert set(WHAT) == {
        "I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I14", "I15", "I17", "L1", "L2", "L3", "L7", "L8",
    }  # fmt: skip


def test_ledger_times_are_kafkas_to_the_millisecond() -> None:
    """No float on the way: it would lose a millisecond now and then."""
    ledger = Ledger()
    entries = [ledger.offer(f"o{number}") for number in range(50)]
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=T0_MS)
    assert [e.ledger_at for e in entries] == [start + timedelta(seconds=n) for n in range(50)]


def test_a_tolerated_surplus_is_no_breach() -> None:
    """L3 knows the tolerance of one credit."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.applied(ledger.rule("r1", "4", mappings=[mapping(["w1"], "4")]))
    assert audited([item.entry for item in ledger.entries], ledger.state) == set()
    assert credit("4").value == 4
