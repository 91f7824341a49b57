"""Cases of a rule set: facts and the ruling the office expects of them, in `<name>.cases.toml` beside the rules.

A rule set is changed by people who do not program; cases tell them what a change does before a student is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hub.domain.quantities import credits_text
from hub.recognition.evaluate import Facts, Ruling, evaluate
from hub.recognition.language import FACTS, MOST_BYTES, RulesUnfit
from hub.recognition.lines import Path
from hub.recognition.reading import Misfit, Reader, Table, amount, count, one_of, plain_text, truth
from hub.recognition.ruleset import CATEGORIES, OUTCOMES, REASONS, Clause, RuleSet

ANY = "any"  # as category: the rules ask for none
MOST_CASES_BYTES = 32 * MOST_BYTES


class CasesUnfit(RulesUnfit):
    """A text is no list of cases, or facts are not what the language knows."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is expected is given as text, by outcome, credits, category and reason; what is not given may be any."""

    name: str
    facts: Facts
    expected: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """`wrong` are the expectations that failed: what, expected, found."""

    case: Case
    ruling: Ruling
    wrong: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """`unreached` are clauses that decided no case."""

    results: tuple[Result, ...]
    unreached: tuple[Clause, ...]

    @property
    def failed(self) -> int:
        return sum(bool(result.wrong) for result in self.results)


def run_cases(ruleset: RuleSet, cases: Iterable[Case]) -> Report:
    """Every case against the rules."""
    results = tuple(_run(ruleset, case) for case in cases)
    reached = {result.ruling.clause for result in results}
    return Report(results, tuple(c for c in ruleset.clauses if c.number not in reached))


def _run(ruleset: RuleSet, case: Case) -> Result:
    ruling = evaluate(ruleset, case.facts)
    found = {
        "outcome": ruling.outcome,
        "credits": credits_text(ruling.limit_milli),
        "category": ruling.category or ANY,
        "reason": ruling.reason,
    }
    wrong = tuple((what, want, found[what]) for what, want in case.expected if found[what] != want)
    return Result(case, ruling, wrong)


def read_cases(text: str) -> tuple[Case, ...]:
    """Read `[[case]]` tables of name, facts and expect. Raises `CasesUnfit` with all that is wrong."""
    read = Reader("the cases")
    document = read.document(text, MOST_CASES_BYTES)
    cases = [] if document is None else list(_cases(read, document))
    if read.failed:
        raise CasesUnfit(read.sorted_findings())
    return tuple(cases)


def read_facts(values: Mapping[str, object]) -> Facts:
    """Facts by their names in the language. Raises `CasesUnfit`."""
    read = Reader("the facts")
    facts = _facts(read, {"facts": values}, ("facts",))
    if read.failed:
        raise CasesUnfit(read.findings)
    return facts


def _cases(read: Reader, document: Table) -> Iterable[Case]:
    read.table(document, (), ("case",))
    for place, row in enumerate(read.rows(document, "case")):
        path: Path = ("case", place)
        read.keys(path, row, ("name", "facts", "expect"))
        name = read.value(row, (*path, "name"), plain_text) or ""
        yield Case(name, _facts(read, row, (*path, "facts")), tuple(_expected(read, row, path)))


def _facts(read: Reader, parent: Table, path: Path) -> Facts:
    given = read.table(parent, path, (), tuple(FACTS), noun="fact")
    values = {name: read.value(given, (*path, name), _reads(name)) for name in FACTS}
    host, home = values.pop("host_credits"), values.pop("home_credits")
    values.pop("difference")
    return Facts(host_milli=host, home_milli=home, **values)  # type: ignore[arg-type]  # truths are bool, see _reads


def _reads(name: str) -> Callable[[object], int]:
    fact = FACTS[name]
    if name == "difference":
        return _follows
    if fact.kind == "truth":
        return truth
    return amount(0, "0 or more") if fact.kind == "credits" else count(fact.low, fact.high)


def _follows(_: object) -> int:
    raise Misfit("follows from home_credits and host_credits; give these instead")


def _expected(read: Reader, row: Table, path: Path) -> Iterable[tuple[str, str]]:
    path = (*path, "expect")
    given = read.table(row, path, (), ("outcome", "credits", "category", "reason"))
    if "expect" in row and not given:
        read.say(path, "expects nothing; give outcome, credits, category or reason")
    credits = read.value(given, (*path, "credits"), amount(0, "0 or more"))
    texts = {
        "outcome": read.value(given, (*path, "outcome"), one_of(OUTCOMES)),
        "credits": None if credits is None else credits_text(credits),
        "category": read.value(given, (*path, "category"), one_of((*CATEGORIES, ANY))),
        "reason": read.value(given, (*path, "reason"), one_of(REASONS, own=True)),
    }
    return ((what, text) for what, text in texts.items() if text is not None)
