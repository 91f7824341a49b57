"""Placements of the simulated campuses: proposed by the host, endorsed at home, carried through, awarded, recognized."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.offices import practice
from connectors.sandbox.report import applied_twice
from hub.domain.practice import Placement
from hub.flow.personal import suspected
from schemas.codec import decode, to_json
from tests.support.campuses import Campuses, differences, facts

PHASES = (
    "agreements", "offerings", "requests", "decisions", "start", "projects", "placements", "results", "regrades",
    "recognition", "corrections", "mistakes",
)  # fmt: skip
STUDENTS = 200
SEED = 7


def _term(folder: Path, shuffle: int) -> Campuses:
    found = Campuses(folder, seed=SEED, students=STUDENTS, shuffle=shuffle)
    for phase in PHASES:
        found.run(phase)
    return found


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campuses]:
    """The part of a term that deals with placements and their credits."""
    found = _term(tmp_path_factory.mktemp("practice"), shuffle=1)
    yield found
    found.close()


def _things(alliance: Campuses) -> dict[str, Placement]:
    return alliance.state.things["placement"]  # type: ignore[return-value]


def _said(alliance: Campuses, event: str = "practice.placement-changed") -> list[Any]:
    """Applied events of a type, in the ledger's order."""
    return [
        decode(entry.event)
        for entry in alliance.sent()
        if (entry.event_type, entry.outcome) == (event, "applied")
    ]


def test_home_host_and_supervisors_members_hold_what_the_ledger_holds(alliance: Campuses) -> None:
    """A colleague of a third member guides, too: that member is told of every step."""
    thirds = 0
    for code, holdings in alliance.holdings().items():
        held = {c["id"]: c["summary"] for c in holdings["cases"] if c["kind"] == "placement"}
        known = [p for p in _things(alliance).values() if code in p.concerned()]
        assert held == {p.id: p.summary() for p in known}
        thirds += sum(code not in (p.home, p.host) for p in known)
    assert thirds > 0
    assert differences(alliance) == []


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


def test_every_step_and_kind_of_placement_occurs(alliance: Campuses) -> None:
    """Refusals by home and by host among them."""
    said = _said(alliance)
    assert {event.step for event in said} == set(practice.STATES)
    assert {event.kind for event in said} == {
        "production_practice", "graduation_design", "social_practice", "cultural_event", "joint_project_course",
    }  # fmt: skip
    ended = [event for event in said if event.step == "terminated"]
    assert {event.envelope.member == event.home for event in ended} == {True, False}
    assert all(event.reason_code for event in ended)


def test_some_work_in_a_project_and_some_under_an_agreement(alliance: Campuses) -> None:
    """Both are checked by the ledger: a project under way of both, an agreement on practice in effect."""
    proposed = [event for event in _said(alliance) if event.step == "proposed"]
    assert any(event.project_id for event in proposed)
    assert any(event.agreement_id for event in proposed)
    assert any(not event.project_id and not event.agreement_id for event in proposed)


def test_home_endorses_with_a_supervisor_of_its_own(alliance: Campuses) -> None:
    """From then on both sides guide."""
    for event in _said(alliance):
        members = {supervisor.member for supervisor in event.supervisors}
        assert event.host in members
        assert event.home in members or event.step in ("proposed", "terminated")


def test_no_more_are_placed_than_an_agreement_has_places(alliance: Campuses) -> None:
    """Home's own count declines; where its office did not count, the ledger refuses and then it declines."""
    counted = alliance.by_type()
    assert counted["practice.placement-changed", "rejected", "QUOTA_EXCEEDED"] > 0
    declined = [event for event in _said(alliance) if event.reason_code == "x-no-places"]
    assert declined
    placed: Counter[tuple[str, str, str]] = Counter()
    for placement in _things(alliance).values():
        if placement.agreement_id and placement.state not in ("proposed", "terminated"):
            key = (placement.agreement_id, placement.home, placement.host)
            placed[key] += len(placement.students)
    for (agreement_id, home, host), heads in placed.items():
        agreement: Any = alliance.state.things["agreement"][agreement_id]
        assert heads <= agreement.quota(home, host).per_year


def test_each_student_of_a_graded_placement_gets_the_credits(alliance: Campuses) -> None:
    """A cultural event is completed without credits and never graded."""
    awarded = Counter(
        (event.placement_id, event.student_id)
        for event in _said(alliance, "credit.awarded")
        if event.placement_id
    )
    due = {
        (placement.id, student)
        for placement in _things(alliance).values()
        if placement.state == "graded"
        for student in placement.students
    }
    assert set(awarded) == due
    assert set(awarded.values()) == {1}
    kinds = {event.placement_id: event.kind for event in _said(alliance)}
    completed = [p for p in _things(alliance).values() if p.state == "completed"]
    assert {kinds[placement.id] for placement in completed} == {"cultural_event"}


def test_home_recognizes_credits_of_a_placement_like_others(alliance: Campuses) -> None:
    """Every passed one is asked for and decided, except those that were revoked."""
    placed = [
        event
        for event in _said(alliance, "credit.awarded")
        if event.placement_id and event.result == "passed"
    ]
    assert placed
    awards = alliance.state.things["award"]
    cases = alliance.state.things["recognition"]
    outcomes = set()
    for event in placed:
        award: Any = awards[event.award_id]
        if award.state == "awarded":
            case: Any = cases[award.case]
            outcomes.add(case.state)
    assert "partially_positive" in outcomes
    assert outcomes <= {"positive", "partially_positive", "negative"}


def test_mistakes_are_refused_and_change_nothing(alliance: Campuses) -> None:
    """Beginning what is over, credits for what was not completed, an end before the start."""
    refused = {
        (event, reason) for event, outcome, reason in alliance.by_type() if outcome == "rejected"
    }
    assert refused >= {
        ("practice.placement-changed", "ILLEGAL_TRANSITION"),
        ("practice.placement-changed", "CONTENT_INVALID"),
        ("credit.awarded", "ILLEGAL_TRANSITION"),
    }


def test_no_placement_holds_personal_data(alliance: Campuses) -> None:
    """The hub looks for it at the door; people are named by pseudonym."""
    sent = [entry for entry in alliance.sent() if entry.event_type.startswith("practice.")]
    assert [suspected(decode(entry.event), entry.event) for entry in sent] == [None] * len(sent)
    for event in _said(alliance):
        assert all(student.startswith("urn:alliance:student:") for student in event.students)


def test_a_step_of_a_placement_that_is_not_here_is_put_aside(alliance: Campuses) -> None:
    """Its proposal is missing; it waits until that was delivered."""
    step = next(
        entry for entry in alliance.sent() if entry.event_type == "practice.placement-changed"
    )
    record = to_json(decode(step.event)) | {"placement_id": "unknown", "step": "started"}
    item = {
        "kind": "event",
        "event": step.event_type,
        "eventId": "lost-1",
        "ledgerSeq": 0,
        "record": record,
    }
    answer = alliance.open[record["home"]].inbox([item])[0]
    assert answer.status == "rejected"
    assert "placement unknown is not here" in answer.message
