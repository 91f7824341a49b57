"""Rulings: which clause decides, how much it allows, and in whose words it is explained."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from connectors.sandbox import rules as campus
from hub.recognition.builtin import default_rules
from hub.recognition.evaluate import (
    Facts,
    Held,
    evaluate,
    found_text,
    passed_over,
    percent_of,
    recorded_milli,
)
from hub.recognition.explain import explain
from hub.recognition.language import FACTS, RuleSet, parse
from hub.recognition.ruleset import CATEGORIES, OUTCOMES, REASONS

FULL = Facts(host_milli=3000, home_milli=3000, overlap_percent=90)


def rules(*clauses: str, head: str = "") -> RuleSet:
    """A rule set of these `when` and `then`, positive with home's credits at last."""
    written = "".join(f"[[rule]]\n{clause}\n" for clause in clauses)
    last = '[[rule]]\nthen = { outcome = "positive", credits = "home", reason = "equivalent" }\n'
    start = 'id = "r"\nversion = 1\nowner = "10610"\nscheme = "cn_credit"\ntitle = { zh = "规则", en = "Rules" }\n'
    return parse(f"{start}{head}\n{written}{last}")


def test_the_default_decides_as_the_campuses_do() -> None:
    """Over all combinations: whoever decided by the regulations so far keeps to the default rules."""
    milli = [None, *range(0, 5001, 500)]
    hosts = [value for value in milli if value is not None]
    for home, host, overlap, earned in product(milli, hosts, range(101), (False, True)):
        decided = campus.recognize(home, host, overlap, already_earned=earned)
        facts = Facts(
            already_earned=earned,
            home_course=home is not None,
            overlap_percent=overlap,
            host_milli=host,
            home_milli=home,
        )
        ruling = evaluate(default_rules(), facts)
        assert (ruling.outcome, ruling.limit_milli, ruling.reason) == (
            decided.outcome, decided.milli, decided.reason,
        )  # fmt: skip
        assert ruling.outcome == "negative" or ruling.category in (None, decided.category)


@pytest.mark.parametrize("notation", ["percent_100", "five_level", "letter"])
def test_the_default_counts_grades_as_the_campuses_do(notation: str) -> None:
    """A grade must not change between transcript and rules."""
    for percent in range(101):
        label = campus.mark(notation, percent).label
        assert percent_of(default_rules(), notation, label) == campus.to_percent(notation, label)


def test_what_was_not_passed_is_not_recognized() -> None:
    """Whatever else is true of it."""
    ruling = evaluate(default_rules(), replace(FULL, passed=False))
    assert (ruling.outcome, ruling.reason, ruling.limit_milli) == ("negative", "below_pass", 0)


def test_the_first_clause_that_holds_decides() -> None:
    """Order is the only thing that settles between two rules."""
    ruleset = rules(
        'name = "a"\nwhen = { passed = true, attempt_no = "<= 2" }\nthen = { outcome = "negative", reason = "x-a" }',
        'name = "b"\nwhen = { attempt_no = [1, 2] }\nthen = { outcome = "negative", reason = "x-b" }',
    )
    first = evaluate(ruleset, Facts(passed=True, attempt_no=2))
    assert (first.clause, first.clause_name, first.reason) == (1, "a", "x-a")
    assert first.because == (Held("passed", "true", "true"), Held("attempt_no", "<= 2", "2"))
    second = evaluate(ruleset, Facts(passed=False, attempt_no=2))
    assert (second.clause, second.because) == (2, (Held("attempt_no", "one of 1, 2", "2"),))
    last = evaluate(ruleset, Facts(passed=True, attempt_no=3))
    assert (last.clause, last.clause_name, last.because) == (3, "", ())


@pytest.mark.parametrize("fact", FACTS)
def test_a_condition_on_something_unknown_is_false(fact: str) -> None:
    """Not knowing is neither yes nor no."""
    values = ("true", "false") if FACTS[fact].kind == "truth" else ('">= 0"', '"<= 0"')
    then = 'then = { outcome = "negative", reason = "x-n" }'
    ruleset = rules(*(f"when = {{ {fact} = {value} }}\n{then}" for value in values))
    assert evaluate(ruleset, Facts()).clause == 3


def test_what_follows_from_known_facts_is_known() -> None:
    """Home has a course that has credits; the difference is never stated apart from them."""
    facts = Facts(host_milli=2000, home_milli=3500)
    assert facts.found("difference") == 1500
    assert facts.found("home_course") == 1
    assert replace(facts, home_course=False).found("home_course") == 0
    assert Facts(host_milli=2000).found("difference") is None
    assert Facts(host_milli=2000).found("home_course") is None
    assert found_text("difference", facts) == "1.5"
    assert found_text("home_course", facts) == "true"
    assert found_text("passed", Facts(passed=False)) == "false"
    assert found_text("passed", Facts()) == "not known"


@pytest.mark.parametrize(
    ("credits", "host", "home", "limit"),
    [
        ("home", 3000, 3000, 3000),
        ("home", 2500, 3000, 3000),
        ("home", 2000, 4000, 3000),  # tolerance
        ("home", 4000, 3000, 3000),
        ("home", 4000, None, 4000),
        ("home", 9000, 9000, 8000),  # cap
        ("host", 3000, 2000, 3000),
        ("lower", 3000, 2000, 2000),
        ("lower", 2000, 3000, 2000),
        ("lower", 2000, None, 2000),
        ("home", None, 3000, 0),
        ("home", -5000, 3000, 0),
    ],
)
def test_no_more_is_recorded_than_the_formula_the_tolerance_and_the_cap_allow(
    credits: str, host: int | None, home: int | None, limit: int
) -> None:
    """Credits must not come from nowhere, whatever a rule says."""
    ruleset = rules(
        f'when = {{ passed = true }}\nthen = {{ outcome = "positive", credits = "{credits}", reason = "equivalent" }}',
        head='[credits]\ntolerance = "1"\ncase_cap = 8',
    )
    ruling = evaluate(ruleset, Facts(passed=True, host_milli=host, home_milli=home))
    assert (ruling.clause, ruling.limit_milli) == (1, limit)


def test_awards_in_other_schemes_are_brought_into_the_rule_sets() -> None:
    """By the way the university gave; without one the answer is that there is none. Down, never up."""
    ruleset = rules(head='[credits]\nhours_per_credit = "16"\nschemes = { ects = "0.5", x-points = "0.333" }')  # fmt: skip
    assert recorded_milli(ruleset, "cn_credit", 2500) == 2500
    assert recorded_milli(ruleset, "hour", 40_000) == 2500
    assert recorded_milli(ruleset, "hour", 1) == 0
    assert recorded_milli(ruleset, "ects", 7500) == 3750
    assert recorded_milli(ruleset, "ects", 1) == 0
    assert recorded_milli(ruleset, "x-points", 1000) == 333
    assert recorded_milli(ruleset, "x-other", 1000) is None
    assert recorded_milli(rules(), "hour", 16_000) is None


def test_grades_are_percent_by_the_universitys_table() -> None:
    """A label that is not in it is not guessed at."""
    ruleset = rules(head='[grades.x-stars]\n"★★" = 90')
    assert percent_of(ruleset, "x-stars", "★★") == 90
    assert percent_of(ruleset, "x-stars", "★") is None
    assert percent_of(ruleset, "letter", "A") is None
    for label, percent in {"85": 85, "0": 0, "100": 100, " 85.9 ": 85, "101": None, "8x": None, "٨": None, "": None}.items():  # fmt: skip
        assert percent_of(ruleset, "percent_100", label) == percent


def test_a_ruling_is_explained_in_both_languages() -> None:
    """The student may ask why."""
    facts = Facts(overlap_percent=50, host_milli=3000, home_milli=2500)
    words = explain(default_rules(), facts, evaluate(default_rules(), facts))
    assert words.en == (
        "Rule 4 “less than two thirds overlap” of alliance-default version 1 decides: "
        "overlap of content in percent: 50, asked for < 67. "
        "Recognized in part: counts as an elective only. "
        "At most 3 credits are recorded as elective: host 3, home 2.5, tolerance 1, cap of a case none."
    )
    assert words.zh == (
        "适用alliance-default第1版第4条“less than two thirds overlap”："
        "内容重合度（%）为50，条件为< 67。部分认定：只能作为选修。"
        "至多记3学分，类别为选修：接收学校3，本校2.5，容差1，单次上限无。"
    )


def test_a_refusal_and_a_last_rule_are_explained_too() -> None:
    """There is not always a condition, and not always a text for the reason."""
    ruleset = rules('when = { passed = false, awards = [1, 2] }\nthen = { outcome = "negative", reason = "x-own" }')  # fmt: skip
    facts = Facts(passed=False, awards=1)
    words = explain(ruleset, facts, evaluate(ruleset, facts))
    assert words.en.endswith("Not recognized: x-own. Nothing is recorded.")
    assert "成绩合格为否，条件为否；接收学校课程数为1，条件为以下之一 1, 2" in words.zh
    words = explain(ruleset, Facts(), evaluate(ruleset, Facts()))
    assert "Rule 2 of r version 1 decides: no rule before it holds." in words.en
    assert "此前各条均不适用" in words.zh
    assert "接收学校未知" in words.zh


@pytest.mark.parametrize("reason", REASONS)
def test_every_word_of_the_language_has_words_for_people(reason: str) -> None:
    """A new reason, fact or category without a text would show its code, or fail."""
    for category, outcome in product(CATEGORIES, OUTCOMES):
        credits = "" if outcome == "negative" else 'credits = "host", '
        then = f'{{ outcome = "{outcome}", {credits}category = "{category}", reason = "{reason}" }}'
        ruleset = rules(*(f'when = {{ {fact} = {"true" if FACTS[fact].kind == "truth" else 1} }}\nthen = {then}' for fact in FACTS))  # fmt: skip
        for fact in FACTS:
            known = Facts(host_milli=1000, home_milli=2000) if fact == "difference" else Facts()
            name = fact.replace("_credits", "_milli")
            if fact != "difference":
                known = replace(known, **{name: 1000 if FACTS[fact].kind == "credits" else 1})
            words = explain(ruleset, known, evaluate(ruleset, known))
            assert f": {reason}." not in words.en
            assert f"：{reason}。" not in words.zh


def test_clauses_passed_over_tell_what_they_missed() -> None:
    """The office that expected another rule sees why it did not hold."""
    missed = [
        (clause.number, failing.fact)
        for clause, failing in passed_over(default_rules(), replace(FULL, home_milli=4500))
    ]
    assert missed == [
        (1, "passed"), (2, "already_earned"), (3, "overlap_percent"), (4, "overlap_percent"), (5, "home_course"),
    ]  # fmt: skip
