"""What holds for every rule set anyone may write, and for every case: it has an answer, within limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.recognition.evaluate import Facts, evaluate, passed_over, percent_of, recorded_milli
from hub.recognition.explain import explain
from hub.recognition.language import FACTS, Clause, RuleSet, RulesUnfit, lint, parse, text_hash
from hub.recognition.ruleset import CATEGORIES, FORMULAS, REASONS

usual = settings(deadline=None)


def decimals(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(lambda milli: f"{'-' if milli < 0 else ''}{abs(milli) // 1000}.{abs(milli) % 1000:03}")  # fmt: skip


def numbers(fact: str) -> st.SearchStrategy[str]:
    """Close enough together that conditions and facts meet."""
    if FACTS[fact].kind == "credits":
        return decimals(-3000 if fact == "difference" else 0, 5000)
    return st.integers(0, 100 if fact.endswith("percent") else 5).map(str)


@st.composite
def conditions(draw: st.DrawFn, fact: str) -> str:
    if FACTS[fact].kind == "truth":
        return f"{fact} = {draw(st.sampled_from(['true', 'false']))}"
    ends = sorted([draw(numbers(fact)), draw(numbers(fact))], key=float)
    sign = draw(st.sampled_from(["< ", "<=", "> ", ">= ", "= ", ""]))
    return draw(
        st.sampled_from(
            [
                f'{fact} = "{sign}{ends[0]}"',
                f'{fact} = "{ends[0]}..{ends[1]}"',
                f"{fact} = [{ends[0]}, {ends[1]}]",
                f"{fact} = {ends[0]}",
            ]
        )
    )


@st.composite
def verdicts(draw: st.DrawFn) -> str:
    reason = draw(st.sampled_from([*REASONS, "x-own"]))
    outcome = draw(st.sampled_from(["positive", "partially_positive", "negative"]))
    formula = "" if outcome == "negative" else f', credits = "{draw(st.sampled_from(FORMULAS))}"'
    category = draw(st.sampled_from(["", *(f', category = "{name}"' for name in CATEGORIES)]))
    return f'then = {{ outcome = "{outcome}", reason = "{reason}"{formula}{category} }}'


@st.composite
def rule_texts(draw: st.DrawFn) -> str:
    """The text of a valid rule set."""
    tolerance, cap = draw(decimals(0, 2000)), draw(st.none() | decimals(1, 6000))
    lines = ['id = "r"', "version = 1", 'owner = "10610"', 'scheme = "cn_credit"', 'title = { zh = "z", en = "e" }']  # fmt: skip
    lines += ["[credits]", f"tolerance = {tolerance}", *([f'case_cap = "{cap}"'] if cap else [])]
    for facts in draw(st.lists(st.sets(st.sampled_from(sorted(FACTS)), min_size=1, max_size=3), max_size=8)):  # fmt: skip
        asked = ", ".join(draw(conditions(fact)) for fact in sorted(facts))
        lines += ["[[rule]]", f"when = {{ {asked} }}", draw(verdicts())]
    return "\n".join([*lines, "[[rule]]", draw(verdicts()), ""])


def known(values: st.SearchStrategy[int]) -> st.SearchStrategy[int | None]:
    return st.none() | values


milli = known(st.integers(0, 5000) | st.integers(-(10**12), 10**12))
small = known(st.integers(0, 5) | st.integers(-(10**9), 10**9))
percent = known(st.integers(0, 100) | st.integers(-(10**9), 10**9))
truth = st.none() | st.booleans()
all_facts = st.builds(
    Facts, truth, truth, truth, truth, percent, milli, milli, percent, small, small, small, small
)


def holds(clause: Clause, facts: Facts) -> bool:
    """An oracle that reads the condition as people do, from its words."""
    for condition in clause.conditions:
        found = facts.found(condition.fact)
        if found is None:
            return False
        kind = FACTS[condition.fact].kind

        def at(text: str, kind: str = kind) -> int:
            sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text)
            whole, _, rest = digits.partition(".")
            return sign * (int(whole) * 1000 + int(rest.ljust(3, "0"))) if kind == "credits" else int(text)  # fmt: skip

        sign, _, number = condition.wanted.partition(" ")
        if kind == "truth":
            good = condition.wanted == ("true" if found else "false")
        elif sign == "one":
            good = found in [at(item) for item in number.removeprefix("of ").split(", ")]
        elif ".." in condition.wanted:
            low, _, high = condition.wanted.partition("..")
            good = at(low) <= found <= at(high)
        else:
            good = {
                "<": found < at(number), "<=": found <= at(number), "=": found == at(number),
                ">=": found >= at(number), ">": found > at(number),
            }[sign]  # fmt: skip
        if not good:
            return False
    return True


@usual
@given(text=rule_texts(), facts=all_facts)
def test_every_case_has_one_answer_within_limits(text: str, facts: Facts) -> None:
    """The ledger asks this of a stranger's text; it must neither wait nor stumble nor mint credits."""
    ruleset = parse(text)
    ruling = evaluate(ruleset, facts)
    clause = ruleset.clauses[ruling.clause - 1]
    assert (ruling.outcome, ruling.category, ruling.reason) == (clause.outcome, clause.category, clause.reason)  # fmt: skip
    assert ruling.limit_milli >= 0
    assert ruling.limit_milli <= max(0, (facts.host_milli or 0) + ruleset.tolerance_milli)
    assert ruling.limit_milli == 0 or facts.host_milli is not None
    assert ruleset.case_cap_milli is None or ruling.limit_milli <= ruleset.case_cap_milli
    assert ruling.outcome != "negative" or ruling.limit_milli == 0


@usual
@given(text=rule_texts(), facts=all_facts)
def test_the_first_clause_that_holds_decides(text: str, facts: Facts) -> None:
    """Against an oracle that reads the words of the conditions; those passed over say what they missed."""
    ruleset = parse(text)
    first = next(clause for clause in ruleset.clauses if holds(clause, facts))
    ruling = evaluate(ruleset, facts)
    assert (ruling.clause, len(ruling.because)) == (first.number, len(first.conditions))
    missed = list(passed_over(ruleset, facts))
    assert [clause.number for clause, _ in missed] == list(range(1, first.number))
    assert not any(condition.holds(facts.found(condition.fact)) for _, condition in missed)
    words = explain(ruleset, facts, ruling)
    assert words.en
    assert words.zh


@usual
@given(text=rule_texts(), facts=all_facts)
def test_knowing_nothing_leads_to_the_last_clause(text: str, facts: Facts) -> None:
    """What is not known can hold nowhere."""
    ruleset = parse(text)
    assert evaluate(ruleset, Facts()).clause == len(ruleset.clauses)


@usual
@given(text=rule_texts(), facts=all_facts)
def test_a_rule_said_never_to_decide_never_does(text: str, facts: Facts) -> None:
    """The warning must not make someone remove a rule that counts. For facts that can be, that is."""
    possible = all(
        found is None or FACTS[fact].low <= found <= FACTS[fact].high
        for fact in FACTS
        for found in [facts.found(fact)]
    )
    never = {finding.where for finding in lint(text) if "can never decide" in finding.message}
    assert not possible or f"rule {evaluate(parse(text), facts).clause}" not in never


@usual
@given(text=rule_texts())
def test_the_same_text_is_the_same_rule_set(text: str) -> None:
    """Everyone who replays the ledger reads the same rules."""
    assert parse(text) == parse(text)
    assert hash(parse(text)) == hash(parse(text))
    assert all(finding.level == "warning" for finding in lint(text))


@st.composite
def spoiled_texts(draw: st.DrawFn) -> str:
    """Rule sets with a piece cut out and something else put in."""
    text = draw(rule_texts())
    start = draw(st.integers(0, len(text)))
    end = min(len(text), start + draw(st.integers(0, 12)))
    rubbish = draw(st.text(max_size=8) | st.sampled_from(["[[", "]]", "= {", '"""', "1e999", "\n[rule]\n", "-inf", "[[rule]]"]))  # fmt: skip
    return text[:start] + rubbish + text[end:]


@usual
@given(text=st.text() | spoiled_texts())
def test_any_text_is_a_rule_set_or_says_what_it_lacks(text: str) -> None:
    """Nothing but `RulesUnfit` comes out, whatever a member signs; line numbers are lines of the text."""
    findings = lint(text)
    lines = text.count("\n") + 1
    assert all(finding.line is None or 1 <= finding.line <= lines for finding in findings)
    assert len(text_hash(text)) == 64
    errors = tuple(finding for finding in findings if finding.level == "error")
    if errors:
        with pytest.raises(RulesUnfit) as raised:
            parse(text)
        assert raised.value.findings == errors
    else:
        assert isinstance(parse(text), RuleSet)


@given(
    amount=st.integers(0, 10**9), scheme=st.sampled_from(["cn_credit", "hour", "ects", "x-other"])
)
def test_a_conversion_never_rounds_up(amount: int, scheme: str) -> None:
    """Thousandths that nobody awarded would add up."""
    ruleset = parse(
        'id = "r"\nversion = 1\nowner = "o"\nscheme = "cn_credit"\ntitle = { zh = "z", en = "e" }\n'
        '[credits]\nhours_per_credit = 17\nschemes = { ects = "0.667" }\n'
        '[[rule]]\nthen = { outcome = "negative", reason = "x-n" }\n'
    )
    found = recorded_milli(ruleset, scheme, amount)
    numerator, denominator = {"cn_credit": (1, 1), "hour": (1000, 17_000), "ects": (667, 1000)}.get(scheme, (0, 1))  # fmt: skip
    if scheme == "x-other":
        assert found is None
    else:
        assert found is not None
        assert found * denominator <= amount * numerator < (found + 1) * denominator


@given(scheme=st.text(), label=st.text())
def test_any_grade_has_a_percent_or_none(scheme: str, label: str) -> None:
    """Transcripts say all kinds of things."""
    ruleset = parse(
        'id = "r"\nversion = 1\nowner = "o"\nscheme = "cn_credit"\ntitle = { zh = "z", en = "e" }\n'
        '[[rule]]\nthen = { outcome = "negative", reason = "x-n" }\n'
    )
    assert percent_of(ruleset, scheme, label) in {None, *range(101)}
