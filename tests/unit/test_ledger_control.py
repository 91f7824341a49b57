"""What is no member's fact but steers the book: revoked keys, things that stand still in a dispute, closed periods."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from heapq import heappush
from typing import Any

import pytest

from hub.domain.credit import Award, Recognition
from hub.domain.dispute import Frozen
from hub.domain.enrollment import Enrollment
from hub.domain.keys import REVOKED, VALID, MemberKey
from hub.domain.life import Thing
from hub.domain.period import Period
from hub.domain.times import SHANGHAI
from hub.events import rules
from hub.ledger.apply import ENTRY_BYTES, apply
from hub.ledger.audit import Audit
from hub.ledger.balances import balance_lines, balances_root
from hub.ledger.replay import Replay
from hub.ledger.state import Alarm, Deadline, Input, Rules, State
from schemas.codec import decode, encode
from schemas.envelope import to_millis
from schemas.records import Close, Entry, PeriodClosed
from schemas.tlog.merkle import Frontier, leaf_hash
from tests.support.ledger import (
    HOME,
    HOST,
    MEMBERS,
    OTHER,
    Ledger,
    assert_refused,
)

KEY = "21fe31dfa154a261"  # the one the ledger of the tests signs with
T0 = datetime(2026, 9, 21, tzinfo=UTC)
VALID_UNTIL = date(2026, 10, 1)
OVER = datetime(2026, 10, 2, tzinfo=SHANGHAI)  # the day is over


def put(ledger: Ledger, *things: Thing) -> None:
    """As if a rule had changed these things with the newest entry."""
    for thing in things:
        ledger.state.things.setdefault(thing.KIND, {})[thing.id] = thing
        ledger.state.changed_at[thing.KIND, thing.id] = ledger.state.head.seq


def close(ledger: Ledger, period: str) -> list[Entry]:
    """Operators ask for the close of a period."""
    ledger.at_ms += 1000
    asked = Close(period, "operator", 1)
    given = Input(
        len(ledger.inputs), ledger.at_ms, asked, asked.EVENT, encode(asked), "", b"", "", 0, 0, ledger.at_ms,
    )  # fmt: skip
    ledger.inputs.append(given)
    written = apply(ledger.state, given, rules())
    ledger.entries += written
    ledger.last = [item.entry for item in written]
    return ledger.last


def replayed(ledger: Ledger) -> State:
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    for written in ledger.entries:
        assert replay.feed(written.value) is not None
    return replay.state


# Keys


@pytest.mark.parametrize(
    "key",
    [MemberKey(KEY, HOST, b"", REVOKED), MemberKey(KEY, OTHER, bytes(32), VALID)],
    ids=["revoked", "of another member"],
)
def test_an_event_under_a_key_that_does_not_count_is_rejected(key: MemberKey) -> None:
    """Admission may still have taken it; what counts is the place in the log."""
    ledger = Ledger()
    revoked_by = ledger.offer("a")
    put(ledger, key)
    entry = ledger.offer("b")
    assert_refused(entry, "KEY_REVOKED", KEY, f"since entry {revoked_by.seq}", "sign with a key")
    assert entry.about_seq == revoked_by.seq
    assert (entry.postings, entry.changes) == ((), ())


def test_a_key_that_counts_is_taken() -> None:
    """An added key is as good as a first one."""
    ledger = Ledger()
    put(ledger, MemberKey(KEY, HOST, bytes(32), VALID))
    ledger.applied(ledger.offer("a"))


def test_a_revoked_key_uses_no_version_up() -> None:
    """Who stole a key could otherwise spoil every number its owner is going to use."""
    ledger = Ledger()
    ledger.offer("a")
    put(ledger, MemberKey(KEY, HOST, b"", REVOKED))
    for version in (2, 3, 9):
        assert_refused(ledger.offer("a", version=version), "KEY_REVOKED")
    assert ledger.state.version("offering", "a", HOST) == 1
    put(ledger, MemberKey(KEY, HOST, b"", VALID))
    ledger.applied(ledger.offer("a", capacity=5, version=2))


def test_what_was_parked_under_a_key_is_rejected_if_the_key_is_revoked_meanwhile() -> None:
    """It takes effect behind the revocation, and there the key does not count."""
    ledger = Ledger()
    parked = ledger.request("e1")
    put(ledger, MemberKey(KEY, HOME, b"", REVOKED))
    host = ledger.record("offering.changed", offering_id="calculus", host=HOST, capacity=2)
    ledger.at_ms += 1000
    given = Input(
        len(ledger.inputs), ledger.at_ms, host, host.EVENT, encode(host), "another-key", bytes(64), "t", 0, 1, 1,
    )  # fmt: skip
    offer, released = (item.entry for item in apply(ledger.state, given, rules()))
    assert offer.outcome == "applied"
    assert (released.reason, released.refers_to) == ("KEY_REVOKED", parked.seq)
    assert ledger.find(Enrollment, "e1") is None


# Disputes


def frozen(ledger: Ledger, kind: str, thing_id: str) -> None:
    put(ledger, Frozen(kind, thing_id, "d1", since_ms=ledger.state.now_ms))


def settled(ledger: Ledger, kind: str, thing_id: str) -> None:
    held = ledger.state.things["frozen"][f"{kind}/{thing_id}"]
    paused = held.paused_ms + ledger.state.now_ms - held.since_ms
    put(ledger, replace(held, dispute_id="", paused_ms=paused))


@pytest.fixture
def pending() -> Ledger:
    """A request that expires when 1 October is over, in a ledger that looked at its clock once."""
    ledger = Ledger()
    ledger.tick(T0)
    ledger.enrolled("e1", "pending", valid_until=VALID_UNTIL)
    return ledger


def test_what_stands_still_in_a_dispute_cannot_be_changed(pending: Ledger) -> None:
    """Not by its own parties either; the refusal names the dispute."""
    frozen(pending, "enrollment", "e1")
    before = pending.seats()
    assert_refused(pending.decide("e1", "accepted"), "DISPUTED", "enrollment e1", "dispute d1")
    assert pending.seats() == before
    assert pending.find(Enrollment, "e1").state == "pending"
    settled(pending, "enrollment", "e1")
    pending.applied(pending.decide("e1", "accepted"))


def test_a_dispute_holds_nothing_but_its_item(pending: Ledger) -> None:
    """Another enrollment in the same offering goes on."""
    frozen(pending, "enrollment", "e1")
    pending.applied(pending.request("e2", valid_until=None))
    pending.applied(pending.decide("e2", "accepted"))


def test_the_deadline_of_a_thing_in_dispute_stands_still(pending: Ledger) -> None:
    """No reminder, no expiry, however long the dispute takes; then the time that was left is left again."""
    pending.tick(T0 + timedelta(days=2))
    frozen(pending, "enrollment", "e1")
    for days in (8, 20, 40):
        assert pending.tick(T0 + timedelta(days=days)) == []
    assert Audit().finish(pending.state) == []
    assert pending.find(Enrollment, "e1").state == "pending"
    settled(pending, "enrollment", "e1")
    again = OVER + timedelta(days=38)
    assert pending.tick(again - timedelta(milliseconds=1)) == []
    assert [entry.flags for entry in pending.tick(again)] == [("expired",)]
    assert ("enrollment", "e1") not in pending.state.deadlines


def test_a_deadline_does_not_change_another_thing_that_stands_still() -> None:
    """A case that expires frees its awards; one of them is in dispute, so the case waits with it."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.tick(T0)
    due = Deadline(to_millis(T0 + timedelta(days=10)), ledger.state.head.seq)
    put(ledger, replace(ledger.find(Recognition, "r1"), due_ms=due.due_ms))
    ledger.state.deadlines["recognition", "r1"] = due
    heappush(ledger.state.alarms, Alarm(due.due_ms, "recognition", "r1", *due))
    frozen(ledger, "award", "w1")
    told = ledger.tick(T0 + timedelta(days=12))
    assert [(entry.subject, entry.flags) for entry in told if entry.subject == "r1"] == []
    assert ledger.find(Award, "w1").case == "r1"
    settled(ledger, "award", "w1")
    assert [(entry.subject, entry.flags) for entry in ledger.tick()] == [("r1", ("expired",))]
    assert ledger.find(Award, "w1").case is None


def test_a_deadline_whose_effect_fits_no_entry_is_flagged_and_leaves_the_thing_as_it_is(
    pending: Ledger,
) -> None:
    """A member chooses how much hangs on a case. If such an expiry halted the ledger, one member could halt all."""

    def endless(thing: Enrollment, view: object) -> Any:
        usual = rules().overdue[Enrollment.KIND](thing, pending.state)
        more = tuple(
            replace(thing, enrollment_id=f"{n:01000}", valid_until_ms=None) for n in range(70)
        )
        return replace(usual, changes=(*usual.changes, *more))

    bent = Rules(rules().decide, {**rules().overdue, Enrollment.KIND: endless})
    pending.tick(OVER - timedelta(days=1))
    before = pending.seats()
    tick = decode(pending.entries[0].entry.event)
    given = Input(
        len(pending.inputs), to_millis(OVER), tick, "ledger.tick", encode(tick), "", b"", "", 0, 0, to_millis(OVER),
    )  # fmt: skip
    _, told = (item.entry for item in apply(pending.state, given, bent))
    assert (told.flags, told.postings, told.changes) == (("deadline_over",), (), ())
    assert pending.find(Enrollment, "e1").state == "pending"
    assert pending.seats() == before


# Periods


@pytest.fixture
def term() -> Ledger:
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.applied(ledger.rule("r1", "2"))
    return ledger


def test_a_close_is_answered_by_two_entries(term: Ledger) -> None:
    """What the operators asked, and what the period holds: every entry so far and a root over every balance."""
    last, lines = term.state.head.seq, balance_lines(term.state.book)
    asked, closed = close(term, "2026-2027-1")
    assert (asked.event_type, asked.outcome, asked.member) == ("ledger.close", "applied", "")
    assert (closed.event_type, closed.refers_to) == ("ledger.period-closed", asked.seq)
    assert (closed.input_offset, closed.input_index) == (asked.input_offset, 1)
    record = decode(closed.event)
    assert isinstance(record, PeriodClosed)
    assert (record.first_seq, record.last_seq, record.accounts) == (1, last, len(lines))
    assert record.balances_root == Frontier().extend(leaf_hash(line) for line in lines).root()
    assert (closed.postings, closed.audience, closed.key_id) == ((), (), "")
    assert record.closed_at == closed.ledger_at


def test_periods_follow_each_other_without_a_gap(term: Ledger) -> None:
    """The entries of the close itself belong to the next period."""
    close(term, "one")
    first = term.find(Period, "one")
    term.applied(term.offer("late"))
    last = term.state.head.seq
    close(term, "two")
    second = term.find(Period, "two")
    assert (second.first_seq, second.last_seq) == (first.last_seq + 1, last)
    assert second.balances_root != first.balances_root
    assert term.state.closed_to == last


def test_a_period_is_closed_once(term: Ledger) -> None:
    """The second close of a name changes nothing; a closed period has one content for ever."""
    close(term, "one")
    known, closed_to = term.find(Period, "one"), term.state.closed_to
    term.applied(term.offer("late"))
    (again,) = close(term, "one")
    assert (again.outcome, again.reason) == ("rejected", "PERIOD_CLOSED")
    assert f"entries 1 to {known.last_seq}" in again.detail
    assert again.about_seq is not None
    assert (term.find(Period, "one"), term.state.closed_to) == (known, closed_to)


def test_what_comes_late_is_booked_in_the_open_period(term: Ledger) -> None:
    """The closed root stays true: it is over the balances as they stood then."""
    close(term, "one")
    root = term.find(Period, "one").balances_root
    term.applied(term.offer("late", capacity=7))
    assert term.find(Period, "one").balances_root == root != balances_root(term.state.book)


def test_closes_replay_byte_for_byte(term: Ledger) -> None:
    """From the log alone, the refused one too."""
    close(term, "one")
    close(term, "one")
    term.offer("late")
    close(term, "two")
    assert replayed(term) == term.state
    assert Audit().finish(term.state) == []
    assert all(len(written.value) <= ENTRY_BYTES for written in term.entries)
