"""What a rule set may say, and what its author is told about a slip."""

from __future__ import annotations

import re
import time
from importlib.resources import files
from typing import Any

import pytest

from hub.errors import HubError
from hub.recognition.builtin import default_rules, default_text
from hub.recognition.language import RuleSet, RulesUnfit, lint, parse, text_hash

EXAMPLES = files("hub.recognition").joinpath("examples")

GOOD = """\
id = "10610-undergraduate"
version = 3
owner = "10610"
title = { zh = "本科生学分认定办法", en = "Undergraduates" }
source = "校教〔2013〕19号"
scheme = "cn_credit"

[credits]
tolerance = "1"
case_cap = 30
hours_per_credit = "16"

[credits.schemes]
ects = 0.5

[deadlines]
request_days = 14
decide_days = "28"

[grades.letter]
A = 95
B = 85
C = 75
D = 65
F = 55

[[rule]]
name = "little"
when = { overlap_percent = "< 40" }
then = { outcome = "negative", reason = "content_overlap_low" }

[[rule]]
when = { overlap_percent = "< 67" }
then = { outcome = "partially_positive", credits = "host", category = "elective", reason = "elective_only" }

[[rule]]
then = { outcome = "positive", credits = "home", reason = "equivalent" }
"""


def line(fragment: str, text: str = GOOD) -> int:
    """The line, from 1, that holds the fragment first."""
    return text[: text.index(fragment)].count("\n") + 1


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


def with_condition(condition: str) -> str:
    return changed('overlap_percent = "< 40"', condition)


def spans(condition: str) -> Any:
    (found,) = parse(with_condition(condition)).clauses[0].conditions
    return found.spans


def test_a_rule_set_is_read_into_thousandths() -> None:
    """From here on there is no decimal and no float."""
    rules = parse(GOOD)
    assert (rules.id, rules.version, rules.owner) == ("10610-undergraduate", 3, "10610")
    assert (rules.title_zh, rules.title_en) == ("本科生学分认定办法", "Undergraduates")
    assert rules.source == "校教〔2013〕19号"
    assert (rules.tolerance_milli, rules.case_cap_milli) == (1000, 30_000)
    assert (rules.hours_per_credit_milli, rules.schemes) == (16_000, (("ects", 500),))
    assert (rules.request_days, rules.decide_days) == (14, 28)
    assert dict(rules.grades)["letter"][0] == ("A", 95)
    assert [(c.number, c.name, c.credits) for c in rules.clauses] == [
        (1, "little", "none"),
        (2, "", "host"),
        (3, "", "home"),
    ]
    assert lint(GOOD) == []


def test_a_rule_set_is_a_value() -> None:
    """The ledger keeps rule sets as things: equal by content, usable as keys."""
    assert parse(GOOD) == parse(GOOD + "# a remark\n")
    assert len({parse(GOOD), parse(GOOD), default_rules()}) == 2
    assert text_hash(GOOD) != text_hash(GOOD + "# a remark\n")
    assert text_hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("passed = true", ((1, 1),)),
        ("passed = false", ((0, 0),)),
        ("overlap_percent = 50", ((50, 50),)),
        ('overlap_percent = "50"', ((50, 50),)),
        ('overlap_percent = "= 50"', ((50, 50),)),
        ('overlap_percent = "<50"', ((None, 49),)),
        ('overlap_percent = "<= 50"', ((None, 50),)),
        ('overlap_percent = " > 50 "', ((51, None),)),
        ('overlap_percent = ">= 50"', ((50, None),)),
        ('overlap_percent = "50..60"', ((50, 60),)),
        ("attempt_no = [3, 1]", ((1, 1), (3, 3))),
        ('host_credits = "< 0.5"', ((None, 499),)),
        ("host_credits = 2.125", ((2125, 2125),)),
        ('host_credits = "0.5 .. 2"', ((500, 2000),)),
        ('host_credits = [1, "2.5"]', ((1000, 1000), (2500, 2500))),
        ('difference = "> -1"', ((-999, None),)),
        ('difference = "-2..-0.5"', ((-2000, -500),)),
    ],
)
def test_conditions_are_spans_of_integers(condition: str, wanted: Any) -> None:
    """Below 67 is up to 66; below 0.5 credits is up to 0.499."""
    assert spans(condition) == wanted


# Fragment of GOOD, what replaces it, fragment on whose line the error is, what the message says.
SLIPS = [
    ('id = "10610-undergraduate"\n', "", None, "id is missing; add it"),
    ('id = "10610-undergraduate"', 'id = "a b"', "id =", "letters, digits"),
    ("version = 3", "version = 0", "version", "found 0, wanted 1 to 999999"),
    ("version = 3", "version = 1.5", "version", "found 1.5, wanted a whole number"),
    ("version = 3", "version = true", "version", "found true, wanted a number"),
    ("version = 3", "version = 3\ncolor = 1", "color", "unknown key; known here: id, version"),
    ("version = 3", f"version = {10**400}", "version", "found a very large number"),
    ("version = 3", "version = 2000000", "version", "found 2000000, wanted a number of at most 999999"),
    ('owner = "10610"', "owner = 10610", "owner", "found 10610, wanted a text; put it in quotes"),
    ('owner = "10610"', 'owner = " "', "owner", "found ' ', wanted a text"),
    (', en = "Undergraduates"', "", "title", "en is missing"),
    ('title = { zh = "本科生学分认定办法", en = "Undergraduates" }', 'title = "x"', "title", "found 'x', wanted a table"),
    ('scheme = "cn_credit"', 'scheme = "points"', "scheme", "found 'points', wanted cn_credit, ects, hour or x-..."),
    ("[credits]\n", "[credits]\nlimit = 1\n", "limit", "unknown key"),
    ('tolerance = "1"', 'tolerance = "-0.5"', "tolerance", "found '-0.5', wanted 0 or more"),
    ('tolerance = "1"', 'tolerance = "0.0005"', "tolerance", "more than 3 decimals"),
    ('tolerance = "1"', "tolerance = 1e2", "tolerance", "found 1E+2, wanted a number like"),
    ('tolerance = "1"', "tolerance = 1e999999999", "tolerance", "wanted a number like"),
    ('tolerance = "1"', "tolerance = nan", "tolerance", "wanted a number like"),
    ('tolerance = "1"', 'tolerance = "1234567"', "tolerance", "at most 999999"),
    ('tolerance = "1"', 'tolerance = "one"', "tolerance", "wanted a number like"),
    ('tolerance = "1"', "tolerance = 2026-09-01", "tolerance", "found a date or time"),
    ("case_cap = 30", "case_cap = 0", "case_cap", "more than 0"),
    ('hours_per_credit = "16"', "hours_per_credit = [16]", "hours_per_credit", "found a list"),
    ("ects = 0.5", "ects = 0", "ects", "more than 0"),
    ("ects = 0.5", "points = 1", "points", "unknown scheme"),
    ("ects = 0.5", "cn_credit = 1", "cn_credit = 1", "a second way"),
    ("ects = 0.5", "hour = 0.1", "hour = 0.1", "a second way"),
    ("[credits.schemes]\nects = 0.5", "schemes = 1", "schemes", "wanted a table"),
    ("request_days = 14", "request_days = 0", "request_days", "wanted 1 to"),
    ("request_days = 14", "request_days = 1.5", "request_days", "whole number"),
    ("A = 95", "A = 101", "A = 101", "wanted 0 to 100"),
    ("[grades.letter]", "[grades.stars]", "[grades", "unknown notation"),
    ("[grades.letter]", "[[grades.letter]]", "[[grades", "found a list, wanted grades"),
    ("[grades.letter]", "[grades.pass_fail]\n[grades.letter]", "[grades", "found a table, wanted grades"),
    ("[[rule]]", "[[rules]]\n[[rule]]", "[[rules", "unknown key"),
    ('name = "little"', 'name = ""', "name", "wanted a text"),
    ('name = "little"', 'title = "little"', 'title = "little"', "unknown key; known here: then, name, when"),
    ('{ overlap_percent = "< 40" }', '{ overlap = "< 40" }', "when", "unknown fact; known here: passed"),
    ('{ overlap_percent = "< 40" }', '"< 40"', "when", "wanted a table"),
    ('{ overlap_percent = "< 40" }', "{ passed = 1 }", "when", "found 1, wanted true or false"),
    ('{ overlap_percent = "< 40" }', "{ overlap_percent = true }", "when", "found true, wanted a number"),
    ('"< 40"', '"~ 40"', "when", "wanted a comparison like"),
    ('"< 40"', '"< forty"', "when", "wanted a comparison like"),
    ('"< 40"', '"< 39.5"', "when", "wanted a whole number"),
    ('"< 40"', '"60..40"', "when", "the lower end first"),
    ('"< 40"', "[]", "when", "an empty list, which never holds"),
    ('"< 40"', '["< 40"]', "when", "wanted a number"),
    ('overlap_percent = "< 40"', 'difference = "< 0.0001"', "when", "more than 3 decimals"),
    ('outcome = "negative", ', "", "then", "outcome is missing"),
    ('outcome = "negative"', 'outcome = "refused"', "then", "found 'refused', wanted one of positive"),
    ('outcome = "negative"', 'outcome = "negative", credits = "host"', "then", "outcome negative with credits host"),
    ('outcome = "negative"', 'outcome = "positive"', "then", "outcome positive without credits"),
    ('outcome = "negative"', 'outcome = "positive", credits = "none"', "then", "outcome positive without credits"),
    ('outcome = "negative"', 'outcome = "positive", credits = "all"', "then", "wanted one of none, host, home, lower"),
    ("content_overlap_low", "too_little", "then", "found 'too_little', wanted one of equivalent"),
    ('reason = "content_overlap_low"', 'reason = "x-A"', "then", "x-..."),
    ('"elective"', '"optional"', 'then = { outcome = "part', "wanted one of required, elective, general"),
    ('then = { outcome = "negative", reason = "content_overlap_low" }\n', "", "[[rule]]", "then is missing"),
    ('when = { overlap_percent = "< 67" }\n', "", None, "never reached"),
    ('[[rule]]\nthen = {', '[[rule]]\nwhen = { passed = true }\nthen = {', "when = { passed", "the last rule has conditions"),
    ('[[rule]]\nwhen', '[[rule]]\nname = "little"\nwhen', 'name = "little"\nwhen = { overlap_percent = "< 67"', "is the name of an earlier rule"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "said"), SLIPS)
def test_a_slip_is_named_with_its_line(old: str, new: str, place: str | None, said: str) -> None:
    """One error for one slip, where it is, with what to do."""
    text = changed(old, new)
    (found,) = lint(text)
    assert found.level == "error"
    assert said in found.message
    if place:
        assert found.line == line(place, text)
    with pytest.raises(RulesUnfit) as raised:
        parse(text)
    assert raised.value.findings == (found,)
    assert isinstance(raised.value, HubError)
    assert isinstance(raised.value, ValueError)
    assert said in str(raised.value)


def test_a_rule_without_conditions_before_the_last_is_named_by_its_header() -> None:
    """Rules below it would look as if they counted."""
    text = changed('when = { overlap_percent = "< 67" }\n', "")
    (found,) = lint(text)
    assert (found.where, found.line) == ("rule 2", line("[[rule]]\nthen", text))


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ('id = "a"\nversion =\n', 2, "is not TOML"),
        ("id = 1\nid = 2\n", 2, "is not TOML"),
        ("a = " + "[" * 20_000, None, "brackets stand more than 60 deep"),
        ("a = " + "9" * 5_000, None, "is not TOML"),
        ("\ufeff" + GOOD, None, "byte order mark"),
        ("# " + "学" * 11_000, None, "at most 32768 are allowed"),
        ("", None, "id is missing"),
        ("rule = 5\n", 1, "wanted a list of tables; write [[rule]]"),
        ("rule = []\n", 1, "wanted a list of tables"),
        ("grades = 5\n", 1, "wanted tables"),
    ],
)
def test_what_is_no_rule_set_at_all_is_said_to_be_none(
    text: str, at: int | None, said: str
) -> None:
    """Whatever a member signs into the field, nobody who reads it may stumble."""
    found = [finding for finding in lint(text) if said in finding.message]
    assert [(finding.level, finding.line) for finding in found] == [("error", at)]


def test_more_than_64_rules_are_refused() -> None:
    """A regulation of that length is a program."""
    rule = (
        '[[rule]]\nwhen = { attempt_no = %d }\nthen = { outcome = "negative", reason = "x-n" }\n\n'
    )
    head, _, last = GOOD.rpartition("[[rule]]")
    head = head[: head.index("[[rule]]")]
    most = "".join(rule % number for number in range(1, 64))
    assert lint(f"{head}{most}[[rule]]{last}") == []
    (found,) = lint(f"{head}{most}{rule % 64}[[rule]]{last}")
    assert "65 rules, at most 64 are allowed" in found.message


def test_all_errors_are_told_at_once_and_in_their_order() -> None:
    """An office that mends one slip per mail gives up."""
    text = changed("version = 3", "version = 0").replace('"< 67"', '"< x"')
    text = text.replace("request_days = 14", "request_days = 0")
    assert [finding.where for finding in lint(text)] == [
        "version",
        "deadlines.request_days",
        "rule 2, when.overlap_percent",
    ]


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ('tolerance = "1"', 'tolerance = "1.001"', "tolerance", "1.001 credits; practice is at most 1"),
        ("request_days = 14\n", "", "[deadlines]", "request_days not given"),
        ('[deadlines]\nrequest_days = 14\ndecide_days = "28"\n', "", None, "request_days and decide_days not given"),
        ("D = 65\nF = 55\n", "", "[grades.letter]", "no percent for D, F"),
        ('outcome = "negative"', 'outcome = "negative", category = "elective"', "then", "has no effect"),
        ('"< 67"', '"< 40"', "[[rule]]\nwhen", "earlier rules decide all of it by overlap_percent alone"),
        ('"< 67"', '"< 40", passed = true', "[[rule]]\nwhen", "earlier rules decide all of it by overlap_percent alone"),
        ('"< 67"', "[1, 39]", "[[rule]]\nwhen", "earlier rules decide all of it by overlap_percent alone"),
        ('"< 67"', '"> 100"', "[[rule]]\nwhen", "overlap_percent is never > 100"),
        ('"< 40"', '"< 0"', "[[rule]]", "overlap_percent is never < 0"),
    ],
)  # fmt: skip
def test_what_is_allowed_and_seldom_meant_is_a_warning(
    old: str, new: str, place: str | None, said: str
) -> None:
    """It still parses: the university has the last word."""
    text = changed(old, new)
    (found,) = lint(text)
    assert (found.level, found.line) == ("warning", line(place, text) if place else None)
    assert said in found.message
    assert parse(text).id == "10610-undergraduate"


def rules_on(*conditions: str) -> str:
    head = GOOD[: GOOD.index("[[rule]]")]
    rule = '[[rule]]\nwhen = {{ {} }}\nthen = {{ outcome = "negative", reason = "x-n" }}\n\n'
    return head + "".join(map(rule.format, conditions)) + GOOD[GOOD.rindex("[[rule]]") :]


@pytest.mark.parametrize(
    ("conditions", "unreached"),
    [
        (('overlap_percent = "< 40"', 'overlap_percent = "40..66"', 'overlap_percent = "< 60"'), [3]),
        (('overlap_percent = "< 40"', 'overlap_percent = "42..66"', 'overlap_percent = "< 60"'), []),
        (("passed = true", "passed = false", "passed = true, in_plan = true"), [3]),
        (('in_plan = true, awards = ">= 2"', "awards = 3, in_plan = true, passed = true"), [2]),
        (('in_plan = true, awards = ">= 2"', "awards = 3"), []),
        (('in_plan = true, awards = ">= 2"', "awards = [1, 3], in_plan = true"), []),
        (('difference = "> 1"', 'difference = "> 0"', 'difference = "0.5..9"', 'difference = "< 0"'), [3]),
        (('difference = "> 1"', 'difference = "> 0.5"', 'home_credits = "> 1"'), []),
    ],
)  # fmt: skip
def test_a_rule_that_never_decides_is_found(
    conditions: tuple[str, ...], unreached: list[int]
) -> None:
    """Someone believes in that rule."""
    found = [finding.where for finding in lint(rules_on(*conditions))]
    assert found == [f"rule {number}" for number in unreached]


def test_lines_are_told_in_every_style_of_toml() -> None:
    """Offices write tables as they like."""
    text = changed(
        'when = { overlap_percent = "< 67" }\n',
        "[rule.when]  # spelled out\n'overlap_percent' = 67.5\n[rule . then]\noutcome = 1\n[rule.x]\ny.z = 1\n",
    ).replace('then = { outcome = "partially_positive"', 'a = { outcome = "partially_positive"')
    where = {finding.where: finding.line for finding in lint(text)}
    assert where["rule 2, when.overlap_percent"] == line("'overlap_percent'", text)
    assert where["rule 2, then.outcome"] == line("outcome = 1", text)
    assert where["rule 2, x"] == line("[rule.x]", text)


@pytest.mark.parametrize(
    "distraction",
    [
        'x = """\nversion = 0\n"""\n',
        "x = '''\n[credits]\n'''\n",
        'x = [\n["credits"]\n]\n',
    ],
)
def test_no_line_is_told_where_it_is_not_certain(distraction: str) -> None:
    """A wrong line costs more than none."""
    text = distraction + changed("version = 3", "version = 0")
    assert {finding.line for finding in lint(text)} == {None}


@pytest.mark.parametrize("text", ["[%s]", "%s = 1", "x = {%s = 1}"])
def test_no_text_keeps_the_ledger_waiting(text: str) -> None:
    """A key of thousands of parts is cheap to sign, and every sequencer reads it."""
    spoiled = text % ".".join(["a"] * 15_000)
    started = time.process_time()
    assert lint(spoiled)
    assert time.process_time() - started < 2


def test_a_rule_set_that_could_leave_a_case_without_answer_cannot_be_made() -> None:
    """Also not by a program that builds it without the language."""
    rules = parse(GOOD)
    values = {name: getattr(rules, name) for name in RuleSet.__slots__}
    with pytest.raises(ValueError, match="the last clause must hold"):
        RuleSet(**values | {"clauses": rules.clauses[:2]})


@pytest.mark.parametrize("name", ["undergraduate.toml", "medical.toml"])
def test_the_examples_are_beyond_reproach(name: str) -> None:
    """People copy them."""
    assert lint(EXAMPLES.joinpath(name).read_text(encoding="utf-8")) == []


def test_the_default_is_beyond_reproach() -> None:
    """It holds for whoever says nothing."""
    assert lint(default_text()) == []
    assert default_rules() is default_rules()
    assert (default_rules().id, default_rules().version) == ("alliance-default", 1)
    assert default_rules().tolerance_milli == 1000


def test_the_readme_shows_a_rule_set_that_is_one() -> None:
    """An example with an error teaches the error."""
    text = files("hub.recognition").joinpath("README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert lint(blocks[0]) == []
