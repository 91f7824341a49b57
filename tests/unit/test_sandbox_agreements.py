"""Agreements of the simulated campuses: proposed, approved by the same words, and used while their places last."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.offices import _agreements
from connectors.sandbox.report import applied_twice
from connectors.sandbox.seeds import TERM_STARTS
from hub.domain.agreement import Agreement
from hub.flow.personal import suspected
from schemas.codec import decode
from tests.support.campuses import Campuses, facts

PHASES = ("agreements", "offerings", "requests", "capacity", "decisions", "withdrawals", "start", "mistakes")  # fmt: skip
STUDENTS = 400
SEED = 7


def _term(folder: Path, shuffle: int) -> Campuses:
    found = Campuses(folder, seed=SEED, students=STUDENTS, shuffle=shuffle)
    for phase in PHASES:
        found.run(phase)
    return found


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campuses]:
    """The part of a term that deals with agreements on studies."""
    found = _term(tmp_path_factory.mktemp("agreements"), shuffle=1)
    yield found
    found.close()


def _things(alliance: Campuses) -> dict[str, Agreement]:
    return alliance.state.things["agreement"]  # type: ignore[return-value]


def _said(alliance: Campuses, event: str, outcome: str = "applied") -> list[Any]:
    """Events of a type with that outcome, in the ledger's order."""
    return [
        decode(entry.event)
        for entry in alliance.sent()
        if (entry.event_type, entry.outcome) == (event, outcome)
    ]


def test_every_party_holds_the_agreements_as_the_ledger_does(alliance: Campuses) -> None:
    """Replaced proposals, approvals that crossed with them and ended agreements included."""
    for code, holdings in alliance.holdings().items():
        held = {c["id"]: c["summary"] for c in holdings["cases"] if c["kind"] == "agreement"}
        known = _things(alliance).values()
        assert held == {a.id: a.summary() for a in known if code in a.concerned()}


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


def test_each_member_proposes_and_every_state_is_reached(alliance: Campuses) -> None:
    """Some wait for a partner that never answers, some were ended; staff policy is one for the whole alliance."""
    proposed = [said for said in _said(alliance, "agreement.changed") if said.step == "proposed"]
    assert {said.party for said in proposed} == set(alliance.codes)
    found = list(_things(alliance).values())
    assert {agreement.state for agreement in found} == {"proposed", "in_effect", "terminated"}
    kinds = Counter(agreement.kind for agreement in found)
    assert kinds["staff_policy"] == 1
    assert set(kinds) == {"student_studies", "practice", "teacher", "secondment", "staff_policy"}
    assert any(len(agreement.parties) == 3 for agreement in found)


def test_a_replaced_proposal_is_approved_anew_by_all(alliance: Campuses) -> None:
    """What one partner approved in haste does not count for the better conditions that follow."""
    said = _said(alliance, "agreement.changed")
    proposals = Counter(event.agreement_id for event in said if event.step == "proposed")
    replaced = [_things(alliance)[name] for name, times in proposals.items() if times == 2]
    assert {agreement.state for agreement in replaced} >= {"proposed", "in_effect"}
    for agreement in replaced:
        hashes = [event.conditions_hash for event in said if event.agreement_id == agreement.id]
        assert agreement.conditions_hash == hashes[-1] != hashes[0]


def test_only_what_is_in_effect_is_found_for_use(alliance: Campuses) -> None:
    """Of the right kind, between these two, in either direction, in its years."""
    for code, campus in alliance.open.items():
        for partner in campus.desk.others():
            for kind in ("student_studies", "practice", "teacher", "secondment"):
                fitting = {
                    agreement.id
                    for agreement in _things(alliance).values()
                    if agreement.state == "in_effect"
                    and agreement.kind == kind
                    and {code, partner} <= set(agreement.parties)
                }
                for pair in ((code, partner), (partner, code)):
                    found = _agreements.find(campus.desk, kind, *pair, TERM_STARTS)
                    assert found in fitting if fitting else found is None
                    far = TERM_STARTS.replace(year=2040)
                    assert _agreements.find(campus.desk, kind, *pair, far) is None


def test_the_places_of_an_agreement_are_those_of_the_ledger(alliance: Campuses) -> None:
    """An office counts against them before it accepts."""
    limited = 0
    for agreement in _things(alliance).values():
        desk = alliance.open[agreement.parties[0]].desk
        for quota in agreement.quotas:
            limited += 1
            found = _agreements.places(desk, agreement.id, quota.sender, quota.receiver)
            assert found == quota.per_year
        assert _agreements.places(desk, agreement.id, "nobody", agreement.parties[0]) is None
    assert limited > 20


@pytest.mark.parametrize(
    ("day", "year"), [("2026-08-31", "2025-2026"), ("2026-09-01", "2026-2027"), ("2027-02-01", "2026-2027")]
)  # fmt: skip
def test_an_academic_year_begins_in_september(day: str, year: str) -> None:
    """As the ledger counts, or an agreement would be named outside its years."""
    assert _agreements.academic_year(TERM_STARTS.fromisoformat(day)) == year


def test_a_request_names_the_agreement_of_the_two(alliance: Campuses) -> None:
    """And none where there is none: most students go without."""
    asked = _said(alliance, "enrollment.requested")
    for event in asked:
        desk = alliance.open[event.home].desk
        wanted = _agreements.find(desk, "student_studies", event.home, event.host, TERM_STARTS)
        assert event.agreement_id == wanted
        assert event.activity == "course" or event.agreement_id
    assert {event.activity for event in asked} == {"course", "exchange_term"}


def test_no_more_are_accepted_than_an_agreement_has_places(alliance: Campuses) -> None:
    """Mostly the host's own count denies; where its office did not count, the ledger refuses and then it denies."""
    denied = Counter(
        json.loads(row["data"])["reason"]
        for campus in alliance.open.values()
        for row in campus.store.all("SELECT data FROM change WHERE step = 'denied'")
    )
    assert denied["x-no-places"] > 0
    refused = [
        entry.detail
        for entry in alliance.sent()
        if (entry.event_type, entry.reason) == ("enrollment.decided", "QUOTA_EXCEEDED")
    ]
    assert any("agree on more or deny" in (detail or "") for detail in refused)
    taken = Counter(
        (case.agreement_id, case.home, case.host)  # type: ignore[attr-defined]
        for case in alliance.state.things["enrollment"].values()
        if case.agreement_id and case.state in ("associated", "active")  # type: ignore[attr-defined]
    )
    for (agreement_id, home, host), heads in taken.items():
        quota = _things(alliance)[agreement_id].quota(home, host)
        assert quota is not None
        assert heads <= quota.per_year


def test_without_the_phase_of_agreements_nobody_names_one(tmp_path: Path) -> None:
    """A term led through without agreements is one of single courses."""
    alliance = Campuses(tmp_path, students=40)
    for phase in ("offerings", "requests"):
        alliance.run(phase)
    asked = _said(alliance, "enrollment.requested")
    alliance.close()
    assert {(event.agreement_id, event.activity) for event in asked} == {(None, "course")}


def test_mistakes_are_refused_and_change_nothing(alliance: Campuses) -> None:
    """A second approval, an approval of what was replaced, a quota for a stranger."""
    refused = {
        reason
        for event, outcome, reason in alliance.by_type()
        if (event, outcome) == ("agreement.changed", "rejected")
    }
    assert refused == {"ILLEGAL_TRANSITION", "STALE_VERSION", "CONTENT_INVALID"}


def test_no_agreement_holds_personal_data(alliance: Campuses) -> None:
    """The hub looks for it at the door."""
    sent = [entry for entry in alliance.sent() if entry.event_type == "agreement.changed"]
    assert [suspected(decode(entry.event), entry.event) for entry in sent] == [None] * len(sent)
