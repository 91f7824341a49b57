"""Rules of the recognition events: in whole, in part, a little more, not at all; and never twice."""

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
    mapping,
    postings,
)


@pytest.fixture
def ledger() -> Ledger:
    """Two passed awards of one student, `w1` of 3 and `w2` of 2 credits, in no case yet."""
    made = Ledger()
    made.awarded("w1", "3")
    made.awarded("w2", "2")
    return made


# Opening a case


def test_a_case_claims_its_awards_and_moves_nothing(ledger: Ledger) -> None:
    """The hosts are told that their awards are looked at."""
    entry = ledger.applied(ledger.ask("r1", ["w1", "w2"]))
    assert (postings(entry), entry.audience) == ([], (HOST,))
    assert {ledger.find(Award, name).case for name in ("w1", "w2")} == {"r1"}


def test_a_case_id_is_used_once(ledger: Ledger) -> None:
    """Even by another student's case."""
    ledger.ask("r1", ["w1"])
    assert_refused(ledger.ask("r1", ["w2"]), "ILLEGAL_TRANSITION", "r1", "id of its own")


@pytest.mark.parametrize("names", [[], ["w1", "w1"]])
def test_a_case_names_each_of_its_awards_once(ledger: Ledger, names: list[str]) -> None:
    """An award named twice would count twice."""
    entry = ledger.ask("r1", names, student_id="student", home=HOME)
    assert_refused(entry, "UNKNOWN_REFERENCE", "r1", "name each award once")


def test_a_case_waits_for_its_awards_one_after_the_other() -> None:
    """Each arrival wakes it; while one is missing it waits again, for that one."""
    ledger = Ledger()
    ledger.enrolled("e-w1", student_id="student")
    ledger.enrolled("e-w2", student_id="student")
    assert_waits(ledger.ask("r1", ["w1", "w2"], student_id="student"), "UNKNOWN_REFERENCE", "w1")
    ledger.award("w1", "e-w1")
    assert_waits(ledger.last[1], "UNKNOWN_REFERENCE", "w2")
    ledger.award("w2", "e-w2")
    assert [entry.outcome for entry in ledger.last] == ["applied", "applied"]


@pytest.mark.parametrize("wrong", [{"student_id": "another"}, {"home": OTHER}])
def test_a_case_is_about_the_awards_student_at_home(ledger: Ledger, wrong: dict[str, str]) -> None:
    """One student's credits never become another's."""
    assert_refused(ledger.ask("r1", ["w1"], **wrong), "NOT_WRITER", "w1", "another student")


@pytest.mark.parametrize(
    ("said", "found"),
    [({"amount": "0", "kind": "revoked"}, "revoked"), ({"result": "failed"}, "not passed")],
)
def test_only_passed_awards_that_stand_are_recognized(
    ledger: Ledger, said: dict[str, str], found: str
) -> None:
    """The refusal says which one and why."""
    ledger.correct("w1", **said)
    entry = ledger.ask("r1", ["w2", "w1"])
    assert_refused(entry, "ILLEGAL_TRANSITION", f"w1 is {found}", "leave it out")
    ledger.applied(ledger.ask("r2", ["w2"]))


def test_an_award_is_in_one_open_case(ledger: Ledger) -> None:
    """Two cases for one award would count it twice."""
    ledger.ask("r1", ["w1"])
    assert_refused(ledger.ask("r2", ["w1", "w2"]), "DUPLICATE_CREDIT", "w1", "r1", "requested")


@pytest.mark.parametrize("outcome", ["positive", "partially_positive"])
def test_an_award_is_recognized_once(ledger: Ledger, outcome: str) -> None:
    """The second case is refused, whatever the first recognized of it."""
    ledger.ask("r1", ["w1", "w2"])
    ledger.applied(ledger.rule("r1", "2", "5", outcome=outcome))
    for name in ("w1", "w2"):
        assert_refused(ledger.ask("r2", [name]), "DUPLICATE_CREDIT", name, "r1", outcome)


def test_after_a_negative_decision_a_new_case_may_be_opened(ledger: Ledger) -> None:
    """An appeal: the credits are reserved again and can be recognized, once."""
    ledger.ask("r1", ["w1"])
    ledger.applied(ledger.rule("r1", "0"))
    assert ledger.claim() == (2000, 0)
    entry = ledger.applied(ledger.ask("r2", ["w1"]))
    assert postings(entry) == [("pend", 3000)]
    assert_refused(ledger.ask("r3", ["w1"]), "DUPLICATE_CREDIT", "r2")
    entry = ledger.applied(ledger.rule("r2", "3"))
    assert postings(entry) == [("post", 3000), ("move", 3000)]
    assert (ledger.claim(), ledger.recognized()) == ((2000, 3000), 3000)
    assert_refused(ledger.ask("r4", ["w1"]), "DUPLICATE_CREDIT", "r2")


def test_an_appeal_is_about_the_award_as_it_is_by_then(ledger: Ledger) -> None:
    """Corrected after the negative decision: the new amount is what waits."""
    ledger.ask("r1", ["w1"])
    ledger.rule("r1", "0")
    ledger.applied(ledger.correct("w1", "3.5"))
    assert postings(ledger.applied(ledger.ask("r2", ["w1"]))) == [("pend", 3500)]
    ledger.applied(ledger.correct("w1", "4"))
    ledger.applied(ledger.rule("r2", "4", "4"))
    assert ledger.recognized() == 4000


# Deciding it


def test_a_decision_waits_for_its_case(ledger: Ledger) -> None:
    """One home writes both; a restored backup may still turn them round."""
    entry = ledger.rule("r9", "3")
    assert_waits(entry, "UNKNOWN_REFERENCE", "r9", "credit.recognition-requested")


def test_full_recognition_posts_the_award_and_gives_the_student_the_homes_credits(
    ledger: Ledger,
) -> None:
    """The claim is settled; the student's account grows by what the home says."""
    ledger.ask("r1", ["w1", "w2"])
    entry = ledger.applied(ledger.rule("r1", "5", "5"))
    assert postings(entry) == [("post", 3000), ("post", 2000), ("move", 5000)]
    assert (entry.audience, ledger.claim(), ledger.recognized()) == ((HOST,), (0, 5000), 5000)
    case = ledger.find(Recognition, "r1")
    assert (case.state, case.original_milli, case.recognized_milli) == ("positive", 5000, 5000)


def test_partial_recognition_voids_the_rest(ledger: Ledger) -> None:
    """Awarded is recognized plus not recognized: no thousandth is left waiting."""
    ledger.ask("r1", ["w1", "w2"])
    entry = ledger.applied(ledger.rule("r1", "4", "5", outcome="partially_positive"))
    assert postings(entry) == [("post", 3000), ("post", 1000), ("void", 1000), ("move", 4000)]
    assert (ledger.claim(), ledger.recognized()) == ((0, 4000), 4000)


def test_the_last_thousandth_is_voided_too(ledger: Ledger) -> None:
    """A rest that stays pending would wait for ever."""
    ledger.ask("r1", ["w1"])
    entry = ledger.applied(ledger.rule("r1", "2.999"))
    assert postings(entry) == [("post", 2999), ("void", 1), ("move", 2999)]
    assert ledger.claim() == (2000, 2999)


def test_credits_capped_by_the_home_course_void_the_surplus(ledger: Ledger) -> None:
    """Same content, smaller home course: the host's surplus is forfeited."""
    ledger.ask("r1", ["w1"])
    entry = ledger.applied(ledger.rule("r1", "2"))
    assert postings(entry) == [("post", 2000), ("void", 1000), ("move", 2000)]


def test_an_award_mapped_negative_is_voided_beside_a_positive_one(ledger: Ledger) -> None:
    """One award is recognized, the other is not."""
    ledger.ask("r1", ["w1", "w2"])
    maps = [mapping(["w1"], "3"), mapping(["w2"], "0", "negative")]
    entry = ledger.applied(ledger.rule("r1", "3", "5", outcome="partially_positive", mappings=maps))
    assert postings(entry) == [("post", 3000), ("void", 2000), ("move", 3000)]


@pytest.mark.parametrize("recognized", ["3.001", "4"])
def test_a_home_may_record_up_to_one_credit_more(ledger: Ledger, recognized: str) -> None:
    """Home courses come in their own sizes; the host's claim is still what it awarded."""
    ledger.ask("r1", ["w1"])
    entry = ledger.applied(ledger.rule("r1", recognized))
    milli = int(float(recognized) * 1000)
    assert postings(entry) == [("post", 3000), ("move", milli)]
    assert (ledger.claim(), ledger.recognized()) == ((2000, 3000), milli)


def test_more_than_the_tolerance_is_refused(ledger: Ledger) -> None:
    """The refusal says how much would be possible; the case stays open."""
    ledger.ask("r1", ["w1"])
    entry = ledger.rule("r1", "4.001")
    assert_refused(entry, "QUOTA_EXCEEDED", "r1", "4.001", "for 3 ", "at most 4 ")
    ledger.applied(ledger.rule("r1", "4"))


def test_credits_come_from_the_awards_that_are_mapped(ledger: Ledger) -> None:
    """The tolerance is one credit for what is mapped, not a way to count an award that is not."""
    ledger.ask("r1", ["w1", "w2"])
    entry = ledger.rule("r1", "3.5", "5", mappings=[mapping(["w2"], "3.5")])
    assert_refused(entry, "QUOTA_EXCEEDED", "3.5", "for 2 ", "at most 3 ")
    entry = ledger.rule("r1", "3", "5", mappings=[mapping([], "3")])
    assert_refused(entry, "QUOTA_EXCEEDED", "for 0 ", "at most 1 ")


def test_a_negative_decision_voids_all(ledger: Ledger) -> None:
    """The hosts are told, nothing is recognized."""
    ledger.ask("r1", ["w1", "w2"])
    entry = ledger.applied(ledger.rule("r1", "0", "5"))
    assert postings(entry) == [("void", 3000), ("void", 2000)]
    assert (ledger.claim(), ledger.recognized(), entry.audience) == ((0, 0), 0, (HOST,))
    assert ledger.find(Recognition, "r1").state == "negative"


def test_the_faculty_stage_decides_nothing_for_good(ledger: Ledger) -> None:
    """Only academic affairs closes a case; the faculty may speak more than once before."""
    ledger.ask("r1", ["w1"])
    for recognized in ("3", "0"):
        entry = ledger.applied(ledger.rule("r1", recognized, stage="faculty"))
        assert (postings(entry), entry.audience) == ([], (HOST,))
        assert ledger.find(Recognition, "r1").state == "faculty_decided"
    ledger.applied(ledger.rule("r1", "3"))


@pytest.mark.parametrize("outcome", ["positive", "partially_positive", "negative"])
@pytest.mark.parametrize("stage", ["faculty", "academic_affairs"])
def test_a_closed_case_stays_closed(ledger: Ledger, outcome: str, stage: str) -> None:
    """To decide again, open a new case."""
    ledger.ask("r1", ["w1"])
    ledger.applied(ledger.rule("r1", "0" if outcome == "negative" else "3", outcome=outcome))
    entry = ledger.rule("r1", "3", stage=stage)
    assert_refused(entry, "ILLEGAL_TRANSITION", "r1", outcome, "new case")


@pytest.mark.parametrize("wrong", [{"student_id": "another"}, {"home": OTHER}])
def test_only_the_home_decides_for_its_student(ledger: Ledger, wrong: dict[str, str]) -> None:
    """Neither another home nor for another student."""
    ledger.ask("r1", ["w1"])
    assert_refused(ledger.rule("r1", "3", **wrong), "NOT_WRITER", "r1", HOME)


@pytest.mark.parametrize(
    "wrong", [{"stage": "rector"}, {"stage": ""}, {"outcome": "maybe"}, {"outcome": "requested"}]
)
def test_stages_and_outcomes_are_known_words(ledger: Ledger, wrong: dict[str, Any]) -> None:
    """The refusal lists them."""
    ledger.ask("r1", ["w1"])
    entry = ledger.rule("r1", "3", **wrong)
    assert_refused(
        entry, "ILLEGAL_TRANSITION", repr(next(iter(wrong.values()))), "academic_affairs"
    )


@pytest.mark.parametrize("original", ["2.999", "3.001", "0", "-3"])
def test_a_decision_is_on_the_awards_as_they_are(ledger: Ledger, original: str) -> None:
    """An award corrected since makes the decision stale."""
    ledger.ask("r1", ["w1"])
    assert_refused(ledger.rule("r1", "2", original), "STALE_VERSION", "worth 3 ", "decide again")


def test_an_award_corrected_meanwhile_makes_the_decision_stale(ledger: Ledger) -> None:
    """The office decided from the first transcript."""
    ledger.ask("r1", ["w1"])
    ledger.correct("w1", "2.5")
    assert_refused(ledger.rule("r1", "3", "3"), "STALE_VERSION", "worth 2.5", "on 3;")
    ledger.applied(ledger.rule("r1", "2.5", "2.5"))


def test_a_revoked_award_counts_no_longer_in_its_case(ledger: Ledger) -> None:
    """It cannot be recognized, and nothing of it is left to void."""
    ledger.ask("r1", ["w1", "w2"])
    ledger.correct("w1", "0", "revoked")
    assert_refused(ledger.rule("r1", "5", "5"), "STALE_VERSION", "worth 2 ")
    entry = ledger.rule("r1", "4", "2", mappings=[mapping(["w1", "w2"], "4")])
    assert_refused(entry, "QUOTA_EXCEEDED", "for 2 ", "at most 3 ")
    entry = ledger.applied(ledger.rule("r1", "2", "2"))
    assert postings(entry) == [("post", 2000), ("move", 2000)]


def test_a_case_of_nothing_but_revoked_awards_is_closed_negative(ledger: Ledger) -> None:
    """There is nothing to recognize; the case must still come to an end."""
    ledger.ask("r1", ["w1"])
    ledger.correct("w1", "0", "revoked")
    assert postings(ledger.applied(ledger.rule("r1", "0", "0"))) == []


@pytest.mark.parametrize(
    ("recognized", "outcome", "maps"),
    [
        ("0", "positive", [mapping(["w1"], "0")]),
        ("3", "negative", [mapping(["w1"], "3")]),
        ("3", "positive", [mapping(["w1"], "2")]),
        ("3", "positive", []),
        ("3", "positive", [mapping(["w1"], "3", "negative")]),
        ("-1", "positive", [mapping(["w1"], "-1")]),
        ("3", "positive", [mapping(["w1"], "4"), mapping([], "-1")]),
    ],
)
def test_outcome_total_and_mappings_agree(
    ledger: Ledger, recognized: str, outcome: str, maps: list[Any]
) -> None:
    """Three statements of one amount; where they differ nobody knows which was meant."""
    ledger.ask("r1", ["w1"])
    entry = ledger.rule("r1", recognized, outcome=outcome, mappings=maps)
    assert_refused(entry, "ILLEGAL_TRANSITION", "r1", outcome, "agree")


@pytest.mark.parametrize("names", [["w1", "w1"], ["w1", "w2"], ["w9"]])
def test_a_decision_maps_each_award_of_its_case_once(ledger: Ledger, names: list[str]) -> None:
    """An award of no case, or of another one, cannot be slipped in."""
    ledger.ask("r1", ["w1"])
    entry = ledger.rule("r1", "3", mappings=[mapping(names, "3")])
    assert_refused(entry, "DUPLICATE_CREDIT", "r1", "map each of its awards once")


def test_an_award_in_two_mappings_is_refused(ledger: Ledger) -> None:
    """Two home courses for one award go into one mapping."""
    ledger.ask("r1", ["w1"])
    maps = [mapping(["w1"], "1"), mapping(["w1"], "2")]
    assert_refused(ledger.rule("r1", "3", mappings=maps), "DUPLICATE_CREDIT", "r1")


def test_home_credits_are_of_the_homes_scheme(ledger: Ledger) -> None:
    """The claim is settled in the host's unit, the student gets the home's."""
    ledger.ask("r1", ["w1"])
    ledger.applied(
        ledger.rule(
            "r1", "3", mappings=[mapping(["w1"], "3", scheme="hour")],
            recognized_credits_total=credit("3", "hour"),
        )
    )  # fmt: skip
    assert ledger.claim() == (2000, 3000)
    assert ledger.recognized(unit="credit.hour") == 3000
