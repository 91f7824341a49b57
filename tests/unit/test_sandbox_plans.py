"""Learning plans of the simulated campuses: proposed by home, answered by the host, agreed by both on one hash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.offices import plans
from connectors.sandbox.report import applied_twice
from hub.domain.plan import Plan
from schemas.codec import decode
from tests.support.campuses import Campuses, facts

PHASES = (
    "agreements", "offerings", "requests", "decisions", "plans", "withdrawals", "start", "dropouts", "results",
    "mistakes",
)  # fmt: skip
STUDENTS = 400
SEED = 7


def _term(folder: Path, shuffle: int) -> Campuses:
    found = Campuses(folder, seed=SEED, students=STUDENTS, shuffle=shuffle)
    for phase in PHASES:
        found.run(phase)
    return found


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campuses]:
    """The part of a term that deals with learning plans."""
    found = _term(tmp_path_factory.mktemp("plans"), shuffle=1)
    yield found
    found.close()


def _things(alliance: Campuses) -> dict[str, Plan]:
    return alliance.state.things["plan"]  # type: ignore[return-value]


def _said(alliance: Campuses, event: str) -> list[Any]:
    """Applied events of a type, in the ledger's order."""
    return [
        decode(entry.event)
        for entry in alliance.sent()
        if (entry.event_type, entry.outcome) == (event, "applied")
    ]


def test_both_sides_hold_the_same_plan_as_the_ledger(alliance: Campuses) -> None:
    """State and hash: two that hold an agreed plan of different content would not have agreed."""
    for code, holdings in alliance.holdings().items():
        held = {c["id"]: c["summary"] for c in holdings["cases"] if c["kind"] == "plan"}
        known = _things(alliance).values()
        assert held == {p.id: p.summary() for p in known if code in p.concerned()}


def test_nothing_is_put_aside_or_done_twice(alliance: Campuses) -> None:
    """In the ledger's order everything fits; batches that come again change nothing."""
    assert alliance.rejected == []
    assert sum(applied_twice(campus.desk) for campus in alliance.open.values()) == 0


def test_other_batches_and_repeats_end_alike(alliance: Campuses, tmp_path: Path) -> None:
    """A rerun with the same seed must decide alike, whoever hears first."""
    again = _term(tmp_path, shuffle=42)
    ended = {code: facts(holdings) for code, holdings in again.holdings().items()}
    again.close()
    assert ended == {code: facts(holdings) for code, holdings in alliance.holdings().items()}


def test_every_state_is_reached_and_nobody_waits_for_an_answer(alliance: Campuses) -> None:
    """What is still proposed has the host's word and waits for a signature at home."""
    found = list(_things(alliance).values())
    assert {plan.state for plan in found} == {"proposed", "returned", "agreed"}
    waiting = [plan for plan in found if plan.state == "proposed"]
    assert {plan.approved_by for plan in waiting} == {("host",)}


def test_each_home_plans_for_some_of_its_students(alliance: Campuses) -> None:
    """About seven each whatever the number of students; who goes for a whole term comes first."""
    homes = Counter(plan.home for plan in _things(alliance).values())
    assert set(homes) == set(alliance.codes)
    assert max(homes.values()) == plans.MOST_PLANS


def test_a_plan_names_the_course_that_the_student_was_accepted_for(alliance: Campuses) -> None:
    """And maps each course that stays to one at home."""
    enrollments = alliance.state.things["enrollment"]
    for plan in _said(alliance, "enrollment.plan-proposed"):
        enrollment: Any = enrollments[plan.enrollment_id]
        assert plan.studied[0].offering_id == enrollment.offering_id
        mapped = sorted(place for mapping in plan.mappings for place in mapping.studied)
        staying = [i for i, course in enumerate(plan.studied) if course.change != "deleted"]
        assert mapped == staying
        assert plan.student_confirmed_on is not None


def test_a_returned_plan_is_proposed_anew_with_other_content(alliance: Campuses) -> None:
    """Returned by the host or by home's own faculty; a few students then go without."""
    proposals: dict[str, list[str]] = {}
    for plan in _said(alliance, "enrollment.plan-proposed"):
        proposals.setdefault(plan.enrollment_id, []).append(plan.plan_hash)
    returned = {
        said.enrollment_id: said
        for said in _said(alliance, "enrollment.plan-decided")
        if said.decision == "returned"
    }
    assert {said.side for said in returned.values()} == {"home", "host"}
    assert all(said.comment for said in returned.values())
    states = Counter(_things(alliance)[name].state for name in returned if len(proposals[name]) > 1)
    assert states["agreed"] > 0
    for hashes in proposals.values():
        assert len(set(hashes)) == len(hashes)


def test_plans_for_a_term_change_after_its_start_and_those_for_a_course_do_not(
    alliance: Campuses,
) -> None:
    """The ledger keeps an agreed plan of a short stay as it is; no office asks for what is refused."""
    changed = [
        plan
        for plan in _said(alliance, "enrollment.plan-proposed")
        if any(course.change for course in plan.studied)
    ]
    assert changed
    enrollments = alliance.state.things["enrollment"]
    for plan in changed:
        enrollment: Any = enrollments[plan.enrollment_id]
        assert enrollment.activity == "exchange_term"
        assert [course.change for course in plan.studied[-2:]] == ["inserted", "deleted"]
        assert len({course.offering_id for course in plan.studied}) == len(plan.studied)
    assert any(_things(alliance)[plan.enrollment_id].state == "agreed" for plan in changed)


def test_mistakes_are_refused_and_change_nothing(alliance: Campuses) -> None:
    """A word on a plan that was replaced, one for the other side, a change after the end."""
    refused = {
        (event, reason) for event, outcome, reason in alliance.by_type() if outcome == "rejected"
    }
    assert refused >= {
        ("enrollment.plan-decided", "STALE_VERSION"),
        ("enrollment.plan-decided", "NOT_WRITER"),
        ("enrollment.plan-proposed", "ILLEGAL_TRANSITION"),
    }


def test_a_decision_on_a_plan_that_is_not_here_is_put_aside(alliance: Campuses) -> None:
    """Its proposal is missing; guessing would make two truths."""
    lost = {
        "plan_id": "unknown",
        "enrollment_id": "unknown",
        "side": "home",
        "decision": "approved",
        "decides_hash": "",
    }
    answer = alliance.open["10611"].inbox(
        [
            {
                "kind": "event",
                "event": "enrollment.plan-decided",
                "eventId": "lost-1",
                "ledgerSeq": 0,
                "record": lost,
            }
        ]
    )[0]
    assert answer.status == "rejected"
    assert "plan unknown is not here" in answer.message
