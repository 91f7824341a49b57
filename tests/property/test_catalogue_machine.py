"""The whole catalogue, twenty members, a running clock: the ledger and an oracle that shares no line with it agree.

After every step: what became of each event and why, who is told, which flags the clock raised; states, deadlines, seats,
places, hours, days, minutes, money and credits; and the audit finds nothing.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from hub.domain.times import DAY_MS
from hub.events import rules
from hub.ledger.replay import Replay
from hub.ledger.state import State
from schemas.envelope import from_millis
from tests.support.histories_catalogue import THEME_NAMES, step_of
from tests.support.histories_twins import Twins
from tests.support.histories_world import CODES
from tests.support.ledger import HOME, HOST, Ledger

usual = settings(
    deadline=None,
    max_examples=2000,
    stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
)
long = settings(usual, max_examples=200_000)
STEP_BYTES = (
    8  # a step's fields are read from one number, which draws faster than a dozen strategies
)


class Alliance(RuleBasedStateMachine):
    """Twenty members who act rightly, wrongly, late and twice; the clock goes on by seconds, days and weeks."""

    @initialize(turn=st.integers(0, len(CODES) - 1), theme=st.sampled_from(THEME_NAMES))
    def begins(self, turn: int, theme: str) -> None:
        self.twins = Twins(turn)
        self.theme = theme

    @rule(drawn=st.binary(min_size=STEP_BYTES, max_size=STEP_BYTES))
    def happens(self, drawn: bytes) -> None:
        step = step_of(int.from_bytes(drawn, "little"), self.theme)
        note(str(step))
        self.twins.take(step)
        self.twins.check()

    def teardown(self) -> None:
        if not hasattr(self, "twins"):
            return
        replay = Replay(rules(), State(frozenset(CODES)))
        for written in self.twins.ledger.entries:
            replay.feed(written.value)
        assert replay.state == self.twins.ledger.state


def test_ledger_and_oracle_agree_after_every_step_of_any_alliance() -> None:
    """Two thousand lives of twenty members."""
    run_state_machine_as_test(Alliance, settings=usual)


@pytest.mark.slow
def test_ledger_and_oracle_agree_in_two_hundred_thousand_lives() -> None:
    """The same, a hundred times as often."""
    run_state_machine_as_test(Alliance, settings=long)


def proposed_twice(due_days: int) -> Ledger:
    """A plan that was returned and proposed again, to be decided by the same day."""
    ledger = Ledger()
    ledger.tick()
    ledger.enrolled(valid_until=None)
    last_day = from_millis(ledger.at_ms + due_days * DAY_MS).date()
    facts = {"enrollment_id": "e1", "plan_id": "plan", "home": HOME, "host": HOST}
    proposal = facts | {"student_id": "student-of-e1", "decide_by": last_day}
    decision = facts | {"side": "host", "decision": "returned", "decides_hash": "content"}
    ledger.applied(ledger.tell("enrollment.plan-proposed", plan_hash="content", **proposal))
    ledger.applied(ledger.tell("enrollment.plan-decided", by=HOST, **decision))
    ledger.applied(ledger.tell("enrollment.plan-proposed", plan_hash="content", **proposal))
    return ledger


def test_a_deadline_that_was_lifted_and_set_again_rings_once() -> None:
    """An office that is reminded twice of one thing stops reading reminders."""
    ledger = proposed_twice(due_days=10)
    rung = ledger.tick(from_millis(ledger.at_ms + 30 * DAY_MS))
    assert [entry.flags for entry in rung] == [("deadline_near",), ("deadline_over",)]
