"""Cases: what an office expects of its rules, and what it is told where they differ."""

from __future__ import annotations

from importlib.resources import files

import pytest

from hub.recognition.builtin import default_rules
from hub.recognition.cases import CasesUnfit, read_cases, read_facts, run_cases
from hub.recognition.evaluate import Facts
from hub.recognition.language import FACTS, parse

EXAMPLES = files("hub.recognition").joinpath("examples")
CASE = """\
[[case]]
name = "half"
facts = { overlap_percent = 50, host_credits = "2.5", home_credits = 3, passed = true }
expect = { outcome = "partially_positive", credits = 2.5, category = "elective", reason = "elective_only" }
"""


@pytest.mark.parametrize("name", ["undergraduate", "medical"])
def test_the_examples_do_what_their_cases_say_and_each_rule_has_one(name: str) -> None:
    """An example whose rules were never tried is a guess."""
    text = {kind: EXAMPLES.joinpath(f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("toml", "cases.toml")}  # fmt: skip
    report = run_cases(parse(text["toml"]), read_cases(text["cases.toml"]))
    assert [(result.case.name, result.wrong) for result in report.results if result.wrong] == []
    assert report.unreached == ()
    assert report.failed == 0


def test_a_case_is_read_as_facts_and_expectations() -> None:
    """Credits are thousandths; what is not given may be any."""
    (case,) = read_cases(CASE)
    assert case.facts == Facts(passed=True, overlap_percent=50, host_milli=2500, home_milli=3000)
    assert case.expected == (
        ("outcome", "partially_positive"),
        ("credits", "2.5"),
        ("category", "elective"),
        ("reason", "elective_only"),
    )


def test_a_failing_case_tells_what_it_expected_and_what_was_found() -> None:
    """And the clauses nobody thought of are named."""
    text = CASE.replace("2.5, cat", "3, cat").replace('"elective",', '"any",')
    report = run_cases(default_rules(), read_cases(text))
    assert report.failed == 1
    assert report.results[0].wrong == (("credits", "3", "2.5"), ("category", "any", "elective"))
    assert [clause.number for clause in report.unreached] == [1, 2, 3, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("old", "new", "at", "said"),
    [
        ("[[case]]", "[[cases]]", 1, "unknown key; known here: case"),
        ('name = "half"\n', "", 1, "name is missing"),
        ('"half"', "5", 2, "wanted a text"),
        ("overlap_percent", "overlap", 3, "unknown fact"),
        ("= 50", "= 101", 3, "wanted 0 to 100"),
        ("= 50", '= "< 50"', 3, "wanted a number"),
        ("passed = true", 'passed = "true"', 3, "wanted true or false"),
        ("passed = true", "passed = true, difference = 1", 3, "give these instead"),
        ("passed = true", "passed = true, attempt_no = 0", 3, "wanted 1 to"),
        ('host_credits = "2.5"', "host_credits = -1", 3, "wanted 0 or more"),
        ('outcome = "partially_positive"', 'outcome = "maybe"', 4, "wanted one of positive"),
        ("reason = ", "because = ", 4, "unknown key"),
        ('category = "elective"', 'category = ""', 4, "required, elective, general, any"),
        ("expect = {", "expect = {}\nx = {", 4, "expects nothing"),
        ("[[case]]", "case = 5\n[x]", 1, "wanted a list of tables; write [[case]]"),
        ("[[case]]", "[[case", 1, "is not TOML"),
    ],
)
def test_a_slip_in_a_case_is_named_with_its_line(old: str, new: str, at: int, said: str) -> None:
    """Cases are written by the same people."""
    assert old in CASE
    with pytest.raises(CasesUnfit) as raised:
        read_cases(CASE.replace(old, new, 1))
    found = [finding for finding in raised.value.findings if said in finding.message]
    assert [finding.line for finding in found] == [at]


def test_no_cases_are_no_proof() -> None:
    """An empty file must not pass as tested."""
    with pytest.raises(CasesUnfit, match="case is missing"):
        read_cases("")


def test_facts_are_read_by_their_names_in_the_language() -> None:
    """Every fact but the one that follows from others."""
    values: dict[str, object] = {
        name: True if fact.kind == "truth" else "1" for name, fact in FACTS.items() if name != "difference"
    }  # fmt: skip
    facts = read_facts(values)
    assert facts == Facts(True, True, True, True, 1, 1000, 1000, 1, 1, 1, 1, 1)
    with pytest.raises(CasesUnfit, match=r"facts\.weight: unknown fact"):
        read_facts({"weight": 1})
