"""What holds for every history: replay, repetition, order between members, an independent oracle, the invariants."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from hub.domain.credit import Award, Recognition
from hub.domain.enrollment import Enrollment
from hub.domain.offering import Offering
from hub.domain.quantities import SEAT
from hub.events import Names, rules, sentence
from hub.flow.delivery import deliveries
from hub.ledger.apply import apply
from hub.ledger.audit import Audit
from hub.ledger.posting import seats_account
from hub.ledger.replay import Replay
from hub.ledger.state import State
from schemas.catalogue import catalogue
from schemas.codec import decode, encode
from tests.support.histories_twins import line_of
from tests.support.ledger import MEMBERS, Ledger
from tests.support.ledger_histories import (
    AMOUNTS,
    CASES,
    KINDS,
    PLANS,
    TWISTS,
    Speaker,
    Step,
    by_member,
    steps,
    told,
    whole_cases,
)
from tests.support.ledger_oracle import Oracle
from tests.support.strategies import records_of

usual = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
long = settings(usual, max_examples=1000)
# Of a set length each: hypothesis likes short lists, and a recognition is seven steps away.
histories = st.integers(0, 60).flatmap(lambda size: st.lists(steps(), min_size=size, max_size=size))


# (a) Replay


def replaying_gives_the_same_bytes_and_state(history: list[Step]) -> None:
    ledger = told(history)
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    for written in ledger.entries:
        assert replay.feed(written.value) is not None
    assert (replay.state, replay.void, replay.rest()) == (ledger.state, 0, [])
    again = State(frozenset(MEMBERS))
    values = [w.value for given in ledger.inputs for w in apply(again, given, rules())]
    assert values == [written.value for written in ledger.entries]


@usual
@given(histories)
def test_replaying_any_history_gives_the_same_bytes_and_the_same_state(history: list[Step]) -> None:
    """From the log, and from the inputs: a second reader, a restart and an auditor all see one ledger."""
    replaying_gives_the_same_bytes_and_state(history)


@usual
@given(histories, st.integers(0, 100))
def test_a_restart_anywhere_goes_on_with_the_same_bytes(history: list[Step], percent: int) -> None:
    """A sequencer that reads back half the log writes the other half as the first one would have."""
    ledger = told(history)
    cut = len(ledger.entries) * percent // 100
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    for written in ledger.entries[:cut]:
        replay.feed(written.value)
    rest = [written.value for written in replay.rest()]
    for given_ in ledger.inputs[replay.state.next_input :]:
        rest += [written.value for written in apply(replay.state, given_, rules())]
    assert rest == [written.value for written in ledger.entries[cut:]]


# (b) Twice, and in another order


@usual
@given(histories, st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_repeats_anywhere_are_duplicates_and_move_nothing(
    history: list[Step], repeats: list[tuple[int, int]]
) -> None:
    """Kafka, connectors and admission may each deliver again; of any history, the balances stay as they were."""
    once = told(history)
    events = [given.event for given in once.inputs]
    twice = Ledger()
    extra = 0
    for number, event in enumerate(events):
        twice.say(event)
        for after, which in repeats:
            if after == number and which <= number:
                assert twice.say(events[which]).outcome in ("duplicate", "conflict")
                extra += 1
    assert twice.state.book == once.state.book
    assert twice.state.things == once.state.things
    assert twice.state.versions == once.state.versions
    counted = Counter(twice.state.outcomes) - Counter(once.state.outcomes)
    assert counted.total() == extra
    assert set(counted) <= {"duplicate"}


@st.composite
def mixtures(draw: st.DrawFn) -> list[Any]:
    """The outboxes of whole cases, mixed at random, with repeats of what was said."""
    boxes = by_member(whole_cases(draw(st.integers(1, 4))))
    mixed: list[Any] = []
    while boxes:
        member = draw(st.sampled_from(sorted(boxes)))
        mixed.append(boxes[member].pop(0))
        if not boxes[member]:
            del boxes[member]
        if draw(st.integers(0, 3)) == 0:
            mixed.append(draw(st.sampled_from(mixed)))
    return mixed


@usual
@given(mixtures())
def test_any_mixture_of_outboxes_with_repeats_ends_the_same(mixed: list[Any]) -> None:
    """Between members there is no order; parking makes one, and nothing is left waiting."""
    ledger = Ledger()
    for event in mixed:
        ledger.say(event)
    straight = Ledger()
    for event in sorted(
        {event.envelope.event_id: event for event in mixed}.values(),
        key=lambda event: event.envelope.event_id,
    ):
        straight.say(event)
    assert ledger.state.things == straight.state.things
    assert ledger.state.book.balances == straight.state.book.balances
    assert ledger.state.parked_count() == 0
    repeats = len(mixed) - len(straight.inputs)
    assert ledger.state.outcomes.get("duplicate", 0) == repeats
    assert ledger.state.outcomes["applied"] == len(straight.inputs)


# Anything at all


anything = st.sampled_from(catalogue().events()).flatmap(records_of)


@usual
@given(st.lists(anything, min_size=1, max_size=6))
def test_no_event_that_can_be_encoded_stops_the_path(events: list[Any]) -> None:
    """Fields of a mad campus: any text, any number, any day. Decided, told, put into words, and replayed."""
    ledger = Ledger()
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    for event in events:
        ledger.say(decode(encode(event)))
        for entry in ledger.last:
            assert list(deliveries(entry, MEMBERS)) or entry.member not in MEMBERS
        assert all(sentence(event, Names({})))
    for written in ledger.entries:
        assert replay.feed(written.value) is not None


# (e) The oracle


def assert_agree(ledger: Ledger, oracle: Oracle) -> None:
    """Both books answer a person's questions alike."""
    for offering in oracle.books.all("offering"):
        held = ledger.find(Offering, offering)
        assert oracle.seats_free(offering) == ledger.seats(offering, held.host)[0]
    for plan in PLANS:
        waiting, _ = ledger.claim(plan.home, plan.host)
        assert oracle.credits_waiting(plan.home, plan.host) == Decimal(waiting) / 1000
        recognized = ledger.recognized(plan.student, plan.home)
        assert oracle.credits_recognized(plan.student) == Decimal(recognized) / 1000
        case = ledger.find(Enrollment, plan.enrollment)
        assert (case and case.state) == oracle.state("enrollment", plan.enrollment)
    assert ledger.state.parked_count() == len(oracle.waiting)


def both_agree(history: list[Step]) -> None:
    ledger, oracle = Ledger(), Oracle(MEMBERS)
    speaker = Speaker(ledger)
    for step in history:
        event = speaker.record(step)
        ledger.say(event)
        heard = oracle.hear(decode(ledger.inputs[-1].value), ledger.at_ms)
        details = [(entry.reason, entry.detail) for entry in ledger.last]
        assert heard == [line_of(entry) for entry in ledger.last], details
        assert_agree(ledger, oracle)


@settings(usual, max_examples=150)
@given(histories)
def test_an_oracle_written_from_the_rules_text_agrees(history: list[Step]) -> None:
    """Outcome, reason, seats and credits after every event, by a second ledger that shares no line with the first."""
    both_agree(history)


@pytest.mark.slow
@long
@given(st.lists(steps(), min_size=60, max_size=120))
def test_long_histories_agree_with_the_oracle_and_replay(history: list[Step]) -> None:
    """The same, thousands of times and longer."""
    both_agree(history)
    replaying_gives_the_same_bytes_and_state(history)


# (c), (d) The invariants, after every step


class Alliance(RuleBasedStateMachine):
    """Four members who act rightly, wrongly, late and twice; the ledger takes whatever they say."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.speaker = Speaker(self.ledger)
        self.audit = Audit()
        self.seen = 0
        self.late: list[Any] = []
        self.first: dict[str, Any] = {}

    def hear(self, event: Any) -> Any:
        self.first.setdefault(event.envelope.event_id, event)
        entry = self.ledger.say(event)  # whatever a member says, nothing is raised
        for written in self.ledger.entries[self.seen :]:
            self.audit.see(written.entry)
        self.seen = len(self.ledger.entries)
        return entry

    @rule(step=steps())
    def says(self, step: Step) -> None:
        self.hear(self.speaker.record(step))

    @rule(step=steps())
    def keeps_for_later(self, step: Step) -> None:
        self.late.append(self.speaker.record(step))

    @rule(which=st.integers(0, 5))
    def says_late(self, which: int) -> None:
        if self.late:
            self.hear(self.late.pop(which % len(self.late)))

    @rule(which=st.integers(0, 200))
    def says_again(self, which: int) -> None:
        if self.ledger.inputs:
            event = self.ledger.inputs[which % len(self.ledger.inputs)].event
            first = self.first[event.envelope.event_id]
            assert self.hear(event).outcome == ("duplicate" if event == first else "conflict")

    @rule(which=st.integers(0, 200), step=steps())
    def says_something_else_under_an_old_id(self, which: int, step: Step) -> None:
        if self.ledger.inputs:
            old = self.ledger.inputs[which % len(self.ledger.inputs)].event.envelope.event_id
            event = self.speaker.record(step)
            event = replace(event, envelope=replace(event.envelope, event_id=old))
            outcome = "duplicate" if event == self.first[old] else "conflict"
            assert self.hear(event).outcome == outcome

    @invariant()
    def the_audit_finds_nothing(self) -> None:
        audit = Audit(breaches=list(self.audit.breaches))
        assert audit.finish(self.ledger.state) == []

    @invariant()
    def seats_are_never_overdrawn(self) -> None:
        for offering in self.ledger.state.things.get(Offering.KIND, {}).values():
            account = seats_account(offering.host, offering.offering_id)
            free = self.ledger.state.book.balance(account, SEAT).available
            holders = [
                case
                for case in self.ledger.state.things.get(Enrollment.KIND, {}).values()
                if case.offering_id == offering.offering_id
                and case.state in ("associated", "active", "finished", "withdrawn")
            ]
            assert free >= 0
            assert free + len(holders) == offering.capacity

    @invariant()
    def awarded_is_waiting_plus_decided(self) -> None:
        """No thousandth of a credit is lost between award and decision."""
        book = self.ledger.state.book
        awards = self.ledger.state.things.get(Award.KIND, {}).values()
        for award in awards:
            pending = book.pendings.get(award.pending_id or "")
            if award.pending_id is None:
                assert award.decided or not award.passed
            else:
                assert pending is not None
                assert (pending.open, pending.amount) == (award.milli, award.milli)
        still_open = {award.pending_id for award in awards if award.pending_id}
        for name, pending in book.pendings.items():
            if name.startswith("award/") and name not in still_open:
                assert pending.open == 0

    @invariant()
    def an_award_counts_once(self) -> None:
        cases = self.ledger.state.things.get(Recognition.KIND, {})
        counted = Counter(
            award_id
            for case in cases.values()
            if case.state != "negative"
            for award_id in case.award_ids
        )
        assert not counted or max(counted.values()) == 1

    def teardown(self) -> None:
        replay = Replay(rules(), State(frozenset(MEMBERS)))
        for written in self.ledger.entries:
            replay.feed(written.value)
        assert replay.state == self.ledger.state


def test_the_invariants_hold_after_every_step_of_any_alliance() -> None:
    """Members acting rightly, wrongly, late and twice; no exception leaves the ledger, and no invariant breaks."""
    run_state_machine_as_test(
        Alliance, settings=settings(usual, max_examples=60, stateful_step_count=40)
    )


@pytest.mark.slow
def test_the_invariants_hold_in_long_lives_of_many_alliances() -> None:
    """The same, thousands of times and longer."""
    run_state_machine_as_test(Alliance, settings=settings(long, stateful_step_count=120))


ABOUT = (
    "credit.award-corrected", "credit.awarded", "credit.recognition-decided", "credit.recognition-requested",
    "enrollment.decided", "enrollment.requested", "enrollment.status-changed", "member.profile-changed",
    "offering.changed", "project.changed", "project.member-changed",
)  # fmt: skip


def test_the_generator_reaches_every_outcome_and_most_reasons() -> None:
    """A generator that never gets to a recognition tests half: counted over fixed seeds."""
    rng = random.Random(1)
    reached: Counter[tuple[str, str]] = Counter()
    reasons: set[str] = set()
    for _ in range(150):
        ledger = told([_drawn(rng) for _ in range(60)])
        for written in ledger.entries:
            reached[written.entry.event_type, written.entry.outcome] += 1
            reasons.add(written.entry.reason or "")
    for event in ABOUT:
        assert reached[event, "applied"], event
        if event != "member.profile-changed":
            assert reached[event, "rejected"], event
    assert {"parked", "applied", "rejected"} <= {outcome for _, outcome in reached}
    assert reasons >= {
        "ILLEGAL_TRANSITION", "STALE_VERSION", "VERSION_GAP", "UNKNOWN_REFERENCE", "DUPLICATE_CREDIT",
        "QUOTA_EXCEEDED", "NOT_WRITER", "UNKNOWN_MEMBER",
    }  # fmt: skip
    assert len(CASES) == 5


def _drawn(rng: Any) -> Step:
    return Step(
        rng.choice(KINDS), rng.randrange(5), rng.randrange(6), rng.choice(AMOUNTS), rng.choice(TWISTS),
        rng.choice((0, 0, 0, 0, 0, 0, 0, -1, 1, 2)),
    )  # fmt: skip
