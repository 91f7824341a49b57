"""Rules of the award events: credits wait for the home's decision, and are corrected, never edited."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.credit import Award, Recognition
from tests.support.ledger import (
    HOME,
    HOST,
    OTHER,
    Ledger,
    assert_refused,
    assert_waits,
    credit,
    postings,
)


@pytest.fixture
def ledger() -> Ledger:
    """A started enrollment `e1`."""
    made = Ledger()
    made.enrolled("e1", student_id="student")
    return made


def test_awarded_credits_wait_for_the_home(ledger: Ledger) -> None:
    """Thousandths of a credit, pending between host and home; the home is told."""
    entry = ledger.applied(ledger.award("w1", "e1", "2.5"))
    assert postings(entry) == [("pend", 2500)]
    assert entry.audience == (HOME,)
    assert ledger.claim() == (2500, 0)


@pytest.mark.parametrize(
    ("amount", "result"), [("3", "failed"), ("0", "passed"), ("3", "x-withdrawn")]
)
def test_nothing_moves_without_a_passed_result(ledger: Ledger, amount: str, result: str) -> None:
    """A failed result is a fact worth keeping and worth no credits."""
    entry = ledger.applied(ledger.award("w1", "e1", amount, result=result))
    assert postings(entry) == []
    assert not ledger.find(Award, "w1").passed


def test_an_award_id_is_used_once(ledger: Ledger) -> None:
    """A new grade is a correction, not a second award."""
    ledger.award("w1", "e1")
    entry = ledger.award("w1", "e1")
    assert_refused(entry, "ILLEGAL_TRANSITION", "w1", "credit.award-corrected")
    assert ledger.claim() == (3000, 0)


def test_an_award_goes_to_a_member(ledger: Ledger) -> None:
    """Nobody else could recognize it."""
    assert_refused(ledger.award("w1", "e1", home="99999"), "UNKNOWN_MEMBER", "'99999'")


@pytest.mark.parametrize("placement", [None, "p1"])
def test_an_award_names_its_enrollment_or_its_placement(
    ledger: Ledger, placement: str | None
) -> None:
    """Credits come from one stay; with none or two nobody could say from which."""
    enrollment = "e1" if placement else None
    entry = ledger.tell(
        "credit.awarded",
        award_id="w1",
        enrollment_id=enrollment,
        placement_id=placement,
        host=HOST,
        home=HOME,
    )
    assert_refused(entry, "CONTENT_INVALID", "w1", "name one of the two")


def test_an_award_waits_for_its_enrollment() -> None:
    """Restored from a backup, a campus may send its results first."""
    ledger = Ledger()
    assert_waits(ledger.award("w1", "e1"), "UNKNOWN_REFERENCE", "e1", "enrollment.requested")


@pytest.mark.parametrize("wrong", [{"student_id": "another"}, {"home": OTHER}, {"host": OTHER}])
def test_an_award_is_for_the_enrollments_student_home_and_host(
    ledger: Ledger, wrong: dict[str, str]
) -> None:
    """Each of the three is checked."""
    assert_refused(ledger.award("w1", "e1", **wrong), "NOT_WRITER", "e1", "correct the award")


@pytest.mark.parametrize("state", ["pending", "associated"])
def test_no_award_before_the_start(state: str) -> None:
    """The refusal names the state and what is wanted."""
    ledger = Ledger()
    ledger.enrolled("e1", state)
    assert_refused(ledger.award("w1", "e1"), "ILLEGAL_TRANSITION", state, "active or finished")


def test_an_award_after_the_end_is_usual() -> None:
    """Grades come weeks after the last lecture."""
    ledger = Ledger()
    ledger.enrolled("e1", "finished")
    ledger.applied(ledger.award("w1", "e1"))


def test_no_award_after_a_withdrawal(ledger: Ledger) -> None:
    """Who left gets none."""
    ledger.move("e1", "withdrawn")
    assert_refused(ledger.award("w1", "e1"), "ILLEGAL_TRANSITION", "withdrawn")


def test_credits_are_not_negative(ledger: Ledger) -> None:
    """The schema's decimal has a sign; in awards and in corrections it has no meaning."""
    assert_refused(ledger.award("w1", "e1", "-0.001"), "QUOTA_EXCEEDED", "-0.001")
    ledger.award("w1", "e1")
    assert_refused(ledger.correct("w1", "-1"), "QUOTA_EXCEEDED", "-1.000")
    assert ledger.claim() == (3000, 0)


def test_a_correction_voids_the_old_amount_and_reserves_the_new(ledger: Ledger) -> None:
    """Both stay on record; the sum that waits is the new one."""
    ledger.award("w1", "e1")
    entry = ledger.applied(ledger.correct("w1", "3.5"))
    assert postings(entry) == [("void", 3000), ("pend", 3500)]
    assert (ledger.claim(), entry.flags, entry.audience) == ((3500, 0), (), (HOME,))
    entry = ledger.applied(ledger.correct("w1", "2"))
    assert postings(entry) == [("void", 3500), ("pend", 2000)]


def test_a_revoked_award_waits_no_longer(ledger: Ledger) -> None:
    """Nothing is left to recognize, and the award is closed for good."""
    ledger.award("w1", "e1")
    assert postings(ledger.applied(ledger.correct("w1", "0", "revoked"))) == [("void", 3000)]
    assert ledger.claim() == (0, 0)
    assert_refused(ledger.correct("w1", "3"), "ILLEGAL_TRANSITION", "w1 is revoked", "new award")


def test_a_failed_result_can_become_a_passed_one_and_back(ledger: Ledger) -> None:
    """An appeal succeeds; later it is found that it should not have."""
    ledger.award("w1", "e1", "3", result="failed")
    assert postings(ledger.applied(ledger.correct("w1", result="passed"))) == [("pend", 3000)]
    assert postings(ledger.applied(ledger.correct("w1", result="failed"))) == [("void", 3000)]
    assert postings(ledger.applied(ledger.correct("w1", "0", "revoked"))) == []


def test_a_correction_may_change_the_scheme(ledger: Ledger) -> None:
    """Each amount is voided in the unit in which it was reserved."""
    ledger.award("w1", "e1")
    ledger.applied(ledger.correct("w1", credits=credit("6", "ects")))
    assert ledger.claim() == (0, 0)
    assert ledger.claim(unit="credit.ects") == (6000, 0)


def test_a_correction_waits_for_its_award() -> None:
    """Like every event about a thing not known yet."""
    assert_waits(Ledger().correct("w9"), "UNKNOWN_REFERENCE", "w9", "credit.awarded")


@pytest.mark.parametrize("wrong", [{"student_id": "another"}, {"home": OTHER}, {"host": OTHER}])
def test_only_the_awarding_host_corrects(ledger: Ledger, wrong: dict[str, str]) -> None:
    """Another host could else revoke what it never gave."""
    ledger.award("w1", "e1")
    assert_refused(ledger.correct("w1", **wrong), "NOT_WRITER", HOST, HOME, "w1")


@pytest.mark.parametrize("kind", ["deleted", "", "Amended"])
def test_a_correction_amends_or_revokes(ledger: Ledger, kind: str) -> None:
    """Other kinds are for later versions of the rules."""
    ledger.award("w1", "e1")
    entry = ledger.correct("w1", kind=kind)
    assert_refused(entry, "ILLEGAL_TRANSITION", repr(kind), "amended or revoked")


def test_a_correction_in_an_open_case_is_flagged() -> None:
    """The home's office has the old figure on its desk."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    entry = ledger.applied(ledger.correct("w1", "2"))
    assert entry.flags == ("award_corrected_in_open_case",)
    assert ledger.claim() == (2000, 0)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"amount": "4"}, ("awarded", 4000, True, "cn_credit")),
        ({"amount": "2", "result": "failed"}, ("awarded", 2000, False, "cn_credit")),
        ({"amount": "0", "kind": "revoked"}, ("revoked", 0, False, "cn_credit")),
        ({"credits": credit("6", "ects")}, ("awarded", 6000, True, "ects")),
    ],
)
def test_a_correction_after_the_decision_is_applied_and_flagged_and_moves_nothing(
    said: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """The hub never decides again: what was recognized stays until the home says otherwise."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.applied(ledger.rule("r1", "3"))
    entry = ledger.applied(ledger.correct("w1", **said))
    assert (postings(entry), entry.flags) == ([], ("award_corrected_after_decision",))
    award = ledger.find(Award, "w1")
    assert (award.state, award.milli, award.passed, award.scheme) == expected
    assert (ledger.claim(), ledger.recognized()) == ((0, 3000), 3000)
    assert ledger.find(Recognition, "r1").recognized_milli == 3000


def test_an_award_revoked_after_the_decision_is_closed_for_corrections() -> None:
    """Before and after the decision alike."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.rule("r1", "3")
    ledger.applied(ledger.correct("w1", "0", "revoked"))
    assert_refused(ledger.correct("w1", "3"), "ILLEGAL_TRANSITION", "revoked")
