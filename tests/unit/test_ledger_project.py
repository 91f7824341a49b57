"""Rules of the project and member events: partners, people, and who is told."""

from __future__ import annotations

import pytest

from hub.domain.member import MemberProfile
from hub.domain.project import PROJECT, Participant, Project, participant_id
from tests.support.ledger import (
    FOURTH,
    HOME,
    HOST,
    OTHER,
    Ledger,
    assert_refused,
    assert_waits,
    organization,
)


def test_a_project_is_known_to_all_its_partners_once() -> None:
    """Members are sorted and the lead is one of them, named among the organizations or not."""
    ledger = Ledger()
    entry = ledger.applied(
        ledger.project(organizations=(organization(OTHER), organization(HOST), organization(HOST)))
    )
    assert ledger.find(Project, "p1").members == (HOME, HOST, OTHER)
    assert entry.audience == (HOST, OTHER)


def test_partners_that_left_are_told_so() -> None:
    """Else they would keep the project as theirs."""
    ledger = Ledger()
    ledger.project("p1", HOST, OTHER)
    entry = ledger.applied(ledger.project("p1", HOST))
    assert entry.audience == (HOST, OTHER)
    assert ledger.find(Project, "p1").members == (HOME, HOST)


def test_partners_are_members_of_the_alliance() -> None:
    """The refusal names the stranger."""
    assert_refused(Ledger().project("p1", HOST, "99999"), "UNKNOWN_MEMBER", "99999")


def test_only_the_lead_changes_a_project() -> None:
    """A partner with a wish asks the lead."""
    ledger = Ledger()
    ledger.project("p1", HOST)
    assert_refused(ledger.project("p1", HOME, lead=HOST), "NOT_WRITER", f"led by {HOME}", HOST)


@pytest.mark.parametrize("before", PROJECT.states)
@pytest.mark.parametrize("after", PROJECT.states)
def test_a_project_changes_status_only_along_its_table(before: str, after: str) -> None:
    """Staying is allowed, all else is in the table."""
    ledger = Ledger()
    ledger.applied(ledger.project(status=before))
    entry = ledger.project(status=after)
    if after == before or PROJECT.step(before, after):
        assert entry.outcome == "applied", entry.detail
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", before, after, "possible:")
        assert ledger.find(Project, "p1").state == before


def test_an_unknown_status_is_refused() -> None:
    """For a new project and for a known one."""
    ledger = Ledger()
    assert_refused(ledger.project(status="running"), "ILLEGAL_TRANSITION", "running", "active")
    ledger.project(status="active")
    assert_refused(ledger.project(status="running"), "ILLEGAL_TRANSITION", "active", "running")


def test_a_person_joins_changes_role_leaves_and_joins_again() -> None:
    """The employer says so, all other partners are told."""
    ledger = Ledger()
    ledger.project("p1", HOST, OTHER)
    for action, state in (("joined", "active"), ("role_changed", "active"), ("left", "left"), ("joined", "active")):  # fmt: skip
        entry = ledger.applied(ledger.person(action))
        assert entry.audience == (HOME, OTHER)
        assert ledger.find(Participant, participant_id("p1", "person-1")).state == state


@pytest.mark.parametrize(
    ("before", "action"),
    [((), "role_changed"), ((), "left"), (("joined",), "joined"), (("joined", "left"), "left"),
     (("joined", "left"), "role_changed"), ((), "promoted"), (("joined",), "promoted")],
)  # fmt: skip
def test_a_persons_part_has_an_order(before: tuple[str, ...], action: str) -> None:
    """Nobody leaves who did not join, nobody joins twice, and there are three actions."""
    ledger = Ledger()
    ledger.project("p1", HOST)
    for step in before:
        ledger.applied(ledger.person(step))
    assert_refused(ledger.person(action), "ILLEGAL_TRANSITION", repr(action), "p1", "join first")


def test_a_part_in_an_unknown_project_waits_for_it() -> None:
    """The employer's word may overtake the lead's."""
    ledger = Ledger()
    assert_waits(ledger.person("joined"), "UNKNOWN_REFERENCE", "p1", "project.changed")
    ledger.project("p1", HOST)
    assert ledger.last[1].outcome == "applied"


def test_only_partners_send_people() -> None:
    """A member that is no partner is told whom to ask."""
    ledger = Ledger()
    ledger.project("p1", HOST)
    assert_refused(ledger.person("joined", FOURTH), "NOT_WRITER", FOURTH, "p1", f"ask {HOME}")


def test_an_active_person_belongs_to_the_employer_that_sent_them() -> None:
    """A second employer cannot end the part; after the first did, it may send the person itself."""
    ledger = Ledger()
    ledger.project("p1", HOST, OTHER)
    ledger.applied(ledger.person("joined", HOST))
    assert_refused(ledger.person("left", OTHER), "NOT_WRITER", f"for {HOST}")
    ledger.applied(ledger.person("left", HOST))
    ledger.applied(ledger.person("joined", OTHER))
    assert ledger.find(Participant, participant_id("p1", "person-1")).employer == OTHER


def test_ids_with_slashes_do_not_run_into_each_other() -> None:
    """`a/b` with person `c` and `a` with person `b/c` are two parts; person ids are URLs (ORCID)."""
    ledger = Ledger()
    ledger.project("a/b", HOST)
    ledger.project("a", OTHER)
    ledger.applied(ledger.person("joined", HOST, "a/b", person_id="c"))
    ledger.applied(ledger.person("joined", OTHER, "a", person_id="b/c"))


def test_a_profile_goes_to_every_other_member() -> None:
    """Connectors look there for what a member produces and consumes."""
    ledger = Ledger()
    entry = ledger.applied(ledger.tell("member.profile-changed", code=HOST, status="paused"))
    assert entry.audience == (HOME, OTHER, FOURTH)
    assert ledger.find(MemberProfile, HOST).status == "paused"
