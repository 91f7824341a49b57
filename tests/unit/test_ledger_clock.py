"""Time in the ledger: ticks, deadlines, flags, and parked events that waited too long."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from hub.domain.credit import Recognition
from hub.domain.enrollment import Enrollment
from hub.domain.flags import MESSAGES, FlagName, flag
from hub.errors import LedgerCorrupt
from hub.events import rules
from hub.flow.clock import tick
from hub.flow.delivery import deliveries
from hub.flow.kafka import Message
from hub.flow.sequencer import read_input
from hub.ledger.apply import apply
from hub.ledger.audit import Audit
from hub.ledger.posting import move
from hub.ledger.replay import Replay
from hub.ledger.state import Applied, Rules, State
from schemas import topics
from schemas.codec import decode
from schemas.envelope import KIND, LEDGER_SEQ, header
from schemas.records import CaseFlagged, Entry, Tick
from tests.support.ledger import HOME, HOST, MEMBERS, T0_MS, Ledger, assert_refused

T0 = datetime.fromtimestamp(T0_MS / 1000, UTC)  # 2026-09-21 in Shanghai
VALID = date(2026, 10, 1)
OVER = datetime(2026, 10, 1, 16, tzinfo=UTC)  # midnight in Shanghai


def flagged(entry: Entry) -> CaseFlagged:
    record = decode(entry.event)
    assert isinstance(record, CaseFlagged)
    return record


@pytest.fixture
def ledger() -> Ledger:
    """A request of the home that is valid until 1 October."""
    made = Ledger()
    made.offer()
    made.applied(made.request("e1", valid_until=VALID))
    return made


def test_a_tick_is_an_entry_of_the_hub_itself_and_moves_nothing(ledger: Ledger) -> None:
    """The ledger accounts for every input; whoever reads the log sees when it looked at its clock."""
    ledger.tick(T0 + timedelta(days=1))
    (entry,) = ledger.last
    assert (entry.event_type, entry.outcome, entry.member, entry.key_id) == (
        "ledger.tick",
        "applied",
        "",
        "",
    )
    assert (entry.postings, entry.audience, entry.changes) == ((), (), ())
    assert ledger.state.now_ms == ledger.state.ledger_ms == T0_MS + 86_400_000


def test_rules_see_the_time_of_the_last_tick_and_none_before_the_first(ledger: Ledger) -> None:
    """Entries between two ticks are decided by the same time, whatever Kafka's stamps say."""
    late = ledger.applied(ledger.request("e2", valid_until=date(2020, 1, 1)))
    assert late.outcome == "applied"
    ledger.tick(T0 + timedelta(days=1))
    assert_refused(
        ledger.request("e3", valid_until=date(2020, 1, 1)), "DEADLINE_PASSED", "2020-01-01"
    )


def test_three_days_before_those_whose_turn_it_is_are_reminded_once(ledger: Ledger) -> None:
    """The host has to decide; a reminder at every tick would be read by nobody."""
    assert ledger.tick(OVER - timedelta(days=3, seconds=1)) == []
    (entry,) = ledger.tick(OVER - timedelta(days=3))
    record = flagged(entry)
    assert (record.flag, record.case_kind, record.case_id, record.state) == (
        "deadline_near",
        "enrollment",
        "e1",
        "pending",
    )
    assert (record.next_actors, record.due_at, entry.audience) == ((HOST,), OVER, (HOST,))
    assert (record.cause_seq, record.cause_event_id) == (entry.seq - 1, None)
    assert (record.message_en, record.message_zh) == MESSAGES[FlagName.DEADLINE_NEAR]
    assert ledger.tick(OVER - timedelta(days=1)) == []


def test_a_deadline_falls_at_the_end_of_its_day_in_shanghai(ledger: Ledger) -> None:
    """A millisecond earlier the request is still good."""
    ledger.tick(OVER - timedelta(days=2))
    assert ledger.tick(OVER - timedelta(milliseconds=1)) == []
    (entry,) = ledger.tick(OVER)
    assert (entry.flags, entry.audience) == (("expired",), (HOME, HOST))
    assert [(c.kind, c.state, c.next_actors, c.closed) for c in entry.changes] == [
        ("enrollment", "expired", (), True)
    ]
    assert ledger.find(Enrollment, "e1").state == "expired"
    assert ledger.tick(OVER + timedelta(days=9)) == []


def test_who_acts_in_time_hears_nothing(ledger: Ledger) -> None:
    """A decision takes the deadline away."""
    ledger.applied(ledger.decide("e1", "accepted"))
    assert ledger.tick(OVER + timedelta(days=1)) == []
    assert ledger.find(Enrollment, "e1").state == "associated"


def test_a_thing_that_goes_on_keeps_its_deadline(ledger: Ledger) -> None:
    """Put on the waiting list, the request still expires on its day, with one reminder in all."""
    ledger.tick(OVER - timedelta(days=3))
    ledger.applied(ledger.decide("e1", "queued"))
    assert [e.flags for e in ledger.tick(OVER)] == [("expired",)]


def test_a_deadline_set_within_three_days_is_not_near(ledger: Ledger) -> None:
    """Whoever sets it knows."""
    ledger.tick(T0 + timedelta(days=1))
    soon = (T0 + timedelta(days=3)).date()
    ledger.applied(ledger.request("e2", valid_until=soon))
    assert [e.flags for e in ledger.tick(T0 + timedelta(days=5))] == [("expired",)]


def test_deadlines_fall_in_their_own_order_however_late_the_tick(ledger: Ledger) -> None:
    """A clock that stood still for a month makes up for it, the same for every reader."""
    ledger.applied(ledger.request("e0", valid_until=VALID))
    ledger.applied(ledger.request("e2", valid_until=VALID - timedelta(days=1)))
    fallen = ledger.tick(OVER + timedelta(days=30))
    assert [(e.subject, e.flags[0]) for e in fallen] == [
        ("e2", "deadline_near"), ("e0", "deadline_near"), ("e1", "deadline_near"),
        ("e2", "expired"), ("e0", "expired"), ("e1", "expired"),
    ]  # fmt: skip
    assert [e.input_index for e in fallen] == [1, 2, 3, 4, 5, 6]


def test_a_flag_comes_with_the_event_that_raises_it() -> None:
    """The home is asked to look at its decision again; the hub decides nothing itself."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.applied(ledger.rule("r1", "3"))
    corrected = ledger.correct("w1", "2")
    (flag_entry,) = ledger.last[1:]
    record = flagged(flag_entry)
    assert (record.flag, record.case_kind, record.case_id) == (
        "award_corrected_after_decision",
        "recognition",
        "r1",
    )
    assert (record.cause_seq, record.cause_event_id) == (corrected.seq, corrected.event_id)
    assert (record.next_actors, flag_entry.audience, flag_entry.refers_to) == (
        (HOME,),
        (HOME,),
        corrected.seq,
    )
    assert (flag_entry.postings, flag_entry.changes) == ((), ())
    assert ledger.find(Recognition, "r1").state == "positive"


def test_a_flag_goes_to_inboxes_alone_under_a_number_of_its_own(ledger: Ledger) -> None:
    """An inbox has at most one message for each number, or a reader would take the second for a repeat."""
    *_, entry = ledger.tick(OVER)
    told = list(deliveries(entry, MEMBERS))
    assert [topic for topic, _ in told] == [topics.inbox(HOME), topics.inbox(HOST)]
    for _, message in told:
        assert header(message.headers, KIND) == b"flag"
        assert header(message.headers, LEDGER_SEQ) == str(entry.seq).encode()
        assert header(message.headers, "ce_id") == entry.event_id.encode()
        assert header(message.headers, "ce_source") == b"urn:alliance:hub"
        assert decode(message.value) == flagged(entry)


def test_a_tick_is_told_to_nobody(ledger: Ledger) -> None:
    """It concerns nobody."""
    ledger.tick(T0 + timedelta(days=1))
    assert list(deliveries(ledger.last[0], MEMBERS)) == []


def test_a_deadline_that_was_lifted_and_set_again_rings_once() -> None:
    """A plan returned and proposed anew with the same day is one deadline, not two."""
    ledger = Ledger()
    ledger.enrolled("e1", "associated", valid_until=None)
    plan = {"plan_id": "p1", "enrollment_id": "e1", "home": HOME, "host": HOST}
    student = {"student_id": "student-of-e1", "decide_by": VALID}
    for number in (1, 2):
        base = ledger.record("enrollment.plan-proposed", **plan, **student, plan_hash=f"{number}")
        ledger.applied(ledger.say(base))
        if number == 1:
            ledger.applied(ledger.tell("enrollment.plan-decided", **plan, side="host", by=HOST,
                                       decides_hash="1", decision="returned"))  # fmt: skip
    assert [e.flags[0] for e in ledger.tick(OVER)] == ["deadline_near", "deadline_over"]


def test_a_deadline_that_is_over_when_it_is_set_is_told_at_the_next_look() -> None:
    """Between two ticks the audit has nothing to blame: nobody has looked yet."""
    ledger = Ledger()
    ledger.tick(T0 + timedelta(days=1))
    secondment = {"secondment_id": "s1", "staff_id": "x", "lender": HOME, "borrower": HOST, "agreement_id": None,
                  "from_date": date(2026, 9, 22), "to_date": date(2026, 9, 24)}  # fmt: skip
    for step, by in (("proposed", HOME), ("approved", HOST)):
        ledger.applied(ledger.tell("teaching.secondment-changed", step=step, by=by, **secondment))
    ledger.tick(T0 + timedelta(days=5))
    ledger.applied(
        ledger.tell("teaching.secondment-changed", step="started", by=HOST, **secondment)
    )
    assert Audit().finish(ledger.state) == []
    assert [e.flags for e in ledger.tick()] == [("deadline_over",)]
    assert Audit().finish(ledger.state) == []


# Parked too long


def test_an_event_that_waited_too_long_is_rejected_and_says_what_to_do() -> None:
    """14 days by default; the log says how long, so every reader gives up at the same place."""
    ledger = Ledger()
    parked = ledger.request("e1", "physics", valid_until=None)
    assert parked.outcome == "parked"
    assert ledger.tick(T0 + timedelta(days=13)) == []
    (entry,) = ledger.tick(T0 + timedelta(days=14, seconds=1))
    assert (entry.outcome, entry.reason) == ("rejected", "REFERENCE_TIMEOUT")
    assert (entry.refers_to, entry.event_id, entry.member) == (parked.seq, parked.event_id, HOME)
    assert "thing offering physics" in entry.detail
    assert ledger.state.parked_count() == 0
    ledger.offer("physics")
    assert len(ledger.last) == 1, "what was given up does not come back"


def test_a_gap_that_nobody_fills_is_given_up_and_later_versions_with_it() -> None:
    """Version 3 waits for 2, 4 for 3; each is told."""
    ledger = Ledger()
    ledger.offer("o1")
    third = ledger.offer("o1", version=3)
    fourth = ledger.offer("o1", version=4)
    given_up = ledger.tick(T0 + timedelta(seconds=60), parked_after_s=10)
    assert [(e.event_id, e.reason) for e in given_up] == [
        (third.event_id, "VERSION_GAP_TIMEOUT"),
        (fourth.event_id, "VERSION_GAP_TIMEOUT"),
    ]
    ledger.applied(ledger.offer("o1", version=2))
    assert ledger.state.version("offering", "o1", HOST) == 2


def test_what_a_given_up_event_holds_back_is_released_by_it() -> None:
    """A rejected statement uses its version up, also when it was given up; the next one goes on from there."""
    ledger = Ledger()
    first = ledger.request("e1", "physics", valid_until=None)
    ledger.offer()
    second = ledger.request("e1", valid_until=None)
    assert second.outcome == "parked"
    given_up, released = ledger.tick(T0 + timedelta(seconds=60), parked_after_s=58)
    assert (given_up.event_id, given_up.reason) == (first.event_id, "REFERENCE_TIMEOUT")
    assert (released.event_id, released.outcome) == (second.event_id, "applied")


# Only members move value


def test_a_deadline_that_would_move_value_stops_the_ledger(ledger: Ledger) -> None:
    """The hub's own entries are signed by nobody; they may void what is pending, never post or move."""

    def generous(thing: Enrollment, view: object) -> Applied:
        over = replace(thing, state="expired")
        return Applied((move(1, "seat", "a", "b"),), (over,), flags=(flag(FlagName.EXPIRED, over),))

    bent = Rules(rules().decide, {Enrollment.KIND: generous})
    given = replace(ledger.inputs[-1], offset=99, event=Tick("c", 1, 60), event_type=Tick.EVENT,
                    timestamp_ms=T0_MS + 40 * 86_400_000)  # fmt: skip
    with pytest.raises(LedgerCorrupt, match="only members can"):
        apply(ledger.state, given, bent)


def test_ticks_and_flags_replay_like_everything_else(ledger: Ledger) -> None:
    """From the log alone: the tick says what it asked for, Kafka's stamp is the entry's time."""
    ledger.request("e2", "physics", valid_until=None)
    ledger.tick(OVER, parked_after_s=60)
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    for written in ledger.entries:
        assert replay.feed(written.value) is not None
    assert replay.state == ledger.state


def test_a_tick_in_the_same_millisecond_replays() -> None:
    """Under load Kafka stamps many inputs alike, and the ledger's time runs ahead of the stamps."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.at_ms -= 60_000
    ledger.tick()
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    for written in ledger.entries:
        assert replay.feed(written.value) is not None
    assert replay.state == ledger.state


def test_the_clock_writes_what_the_sequencer_reads() -> None:
    """A tick in `ledger.in` looks like an admitted event; nobody signed it."""
    sent = tick("7", 3, 60)
    message = Message(topics.LEDGER_IN, 0, 5, T0_MS, sent.key, sent.value, ())
    item = read_input(message)
    assert (item.event, item.event_type) == (Tick("hub.clock.7", 3, 60), "ledger.tick")
    assert (item.key_id, item.signature, item.timestamp_ms) == ("", b"", T0_MS)


def test_a_refusal_names_the_entry_and_the_version_it_refers_to(ledger: Ledger) -> None:
    """So that the sender need not search: where the thing in the way was last changed."""
    decided = ledger.applied(ledger.decide("e1", "denied"))
    again = ledger.decide("e1", "accepted")
    assert (again.reason, again.about_seq) == ("ILLEGAL_TRANSITION", decided.seq)
    old = ledger.offer(version=1)
    assert (old.reason, old.about_version, old.about_seq) == ("STALE_VERSION", 1, None)


def test_an_entry_tells_which_things_it_changed_and_whose_turn_it_is(ledger: Ledger) -> None:
    """Open cases, console and statistics need no rules of their own."""
    entry: Any = ledger.applied(ledger.decide("e1", "queued"))
    (change,) = entry.changes
    assert (change.kind, change.id, change.state) == ("enrollment", "e1", "queued")
    assert (change.next_actors, change.due_at, change.closed) == ((HOST,), OVER, False)
