"""The simulated offices decide by the regulations, by the seed, and by nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox import rules
from connectors.sandbox.rules import Plan
from hub.domain.enrollment import ENROLLMENT

credits_milli = st.integers(1, 20).map(lambda halves: halves * 500)
overlaps = st.integers(0, 100)


def test_the_campus_walks_an_enrollment_along_the_same_table_as_the_ledger() -> None:
    """Two tables, one life: a campus that walked otherwise would drift from the book."""
    table = {
        (step.before, step.name): step.after
        for step in ENROLLMENT.steps
        if step.before and step.name != "expired"
    }
    assert table == rules.ENROLLMENT_STEPS


@pytest.mark.parametrize(
    ("home", "host", "outcome", "milli", "reason"),
    [
        (3000, 4000, "positive", 3000, "same_content_credit_capped"),
        (3000, 3000, "positive", 3000, "equivalent"),
        (3000, 2500, "positive", 3000, "raised_to_home_credit"),
        (3000, 2000, "positive", 3000, "raised_to_home_credit"),
        (3000, 1500, "partially_positive", 1500, "credit_shortfall"),
    ],
)
def test_home_records_its_own_credits_within_one_credit_of_tolerance(
    home: int, host: int, outcome: str, milli: int, reason: str
) -> None:
    """A surplus is forfeited, a small shortfall raised, a larger one left to the student to make up."""
    ruling = rules.recognize(home, host, 90, already_earned=False)
    assert (ruling.outcome, ruling.milli, ruling.reason) == (outcome, milli, reason)


@given(home=credits_milli, host=credits_milli, overlap=overlaps)
def test_a_course_is_not_recognized_twice(home: int, host: int, overlap: int) -> None:
    """Nobody gets the same home course again for another university's."""
    ruling = rules.recognize(home, host, overlap, already_earned=True)
    assert (ruling.outcome, ruling.milli, ruling.reason) == ("negative", 0, "already_earned")


@given(home=st.none() | credits_milli, host=credits_milli, overlap=st.integers(0, 66))
def test_content_that_overlaps_by_less_than_two_thirds_counts_as_an_elective_at_most(
    home: int | None, host: int, overlap: int
) -> None:
    """Two thirds of the content must be shared to replace a required course."""
    ruling = rules.recognize(home, host, overlap, already_earned=False)
    assert ruling.category == "elective"
    assert ruling.reason in ("elective_only", "content_overlap_low")
    assert ruling.milli in (0, host)


@given(home=st.none() | credits_milli, host=credits_milli, overlap=overlaps, earned=st.booleans())
def test_recognition_never_gives_more_than_one_credit_above_the_award(
    home: int | None, host: int, overlap: int, earned: bool
) -> None:
    """The ledger refuses more; the office must not even try. Negative means nothing, positive something."""
    ruling = rules.recognize(home, host, overlap, already_earned=earned)
    assert 0 <= ruling.milli <= host + rules.TOLERANCE_MILLI
    assert (ruling.milli == 0) == (ruling.outcome == "negative")


@pytest.mark.parametrize(
    ("notation", "labels"),
    [
        ("five_level", ["优秀", "良好", "中等", "及格", "不及格"]),
        ("letter", ["A", "B", "C", "D", "F"]),
    ],
)
def test_levels_and_letters_count_as_95_85_75_65_55(notation: str, labels: list[str]) -> None:
    """The table that Chinese universities use."""
    assert [rules.to_percent(notation, label) for label in labels] == [95, 85, 75, 65, 55]


@given(
    percent=st.integers(0, 100), notation=st.sampled_from(["percent_100", "five_level", "letter"])
)
def test_a_notation_never_turns_a_pass_into_a_fail(percent: int, notation: str) -> None:
    """Converted there and back, a student who passed still passes."""
    mark = rules.mark(notation, percent)
    assert mark.passed == (percent >= 60)
    assert (rules.to_percent(notation, mark.label) >= 60) == mark.passed


def test_an_unknown_grade_names_the_known_ones() -> None:
    """A transcript with another table must not be guessed at."""
    with pytest.raises(ValueError, match="A, B, C, D, F"):
        rules.to_percent("letter", "A++")


@given(
    seed=st.integers(0, 99),
    requests=st.lists(st.uuids().map(str), unique=True, max_size=30),
    capacity=st.integers(0, 12),
    shuffle=st.randoms(use_true_random=False),
)
def test_admissions_do_not_depend_on_the_order_of_arrival(
    seed: int, requests: list[str], capacity: int, shuffle: random.Random
) -> None:
    """Kafka brings twenty members' requests in any order; a rerun must decide alike."""
    shuffled = shuffle.sample(requests, len(requests))
    first = rules.admissions(seed, "10611", "o", capacity, requests)
    assert list(first.items()) == list(
        rules.admissions(seed, "10611", "o", capacity, shuffled).items()
    )


@given(
    seed=st.integers(0, 99),
    requests=st.lists(st.uuids().map(str), unique=True, max_size=30),
    capacity=st.integers(0, 12),
)
def test_a_host_promises_its_seats_and_a_sloppy_one_at_most_one_more(
    seed: int, requests: list[str], capacity: int
) -> None:
    """Over-accepting by one is what makes the ledger's QUOTA_EXCEEDED really occur."""
    plans = rules.admissions(seed, "10611", "o", capacity, requests)
    seats = [plan for plan in plans.values() if plan in (Plan.ACCEPT, Plan.QUEUE_ACCEPT)]
    assert set(plans) == set(requests)
    assert len(seats) <= capacity + rules.is_sloppy(seed, "10611")


@given(point=st.floats(0, 1, exclude_max=True), weights=st.lists(st.floats(0.1, 9), min_size=1))
def test_a_choice_falls_within_the_options(point: float, weights: list[float]) -> None:
    """Rounding at the upper edge must not run off the list."""
    assert rules.choose(list(range(len(weights))), weights, point) < len(weights)
