"""The language of rule sets: text -> `RuleSet`, or findings that say what to mend.

Total by construction: clauses are read from the top, the first that holds decides, the last has no condition, and a
condition on something unknown is false. There is no loop, no arithmetic and no reference to another rule set, so a
rule set answers every case in one pass. Amounts are thousandths.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import partial

from hub.errors import HubError
from hub.recognition.conditions import FACTS, Condition, Fact, read_condition
from hub.recognition.doubts import doubts
from hub.recognition.lines import Path
from hub.recognition.reading import (
    ERROR,
    OWN,
    WARNING,
    Finding,
    Reader,
    Table,
    amount,
    count,
    matching,
    one_of,
    plain_text,
    shown,
)
from hub.recognition.ruleset import (
    CATEGORIES,
    FORMULAS,
    NEGATIVE,
    OUTCOMES,
    REASONS,
    Clause,
    Grades,
    RuleSet,
)

__all__ = [
    "FACTS", "NEGATIVE", "Clause", "Condition", "Fact", "Finding", "RuleSet", "RulesUnfit", "lint", "parse", "text_hash",
]  # fmt: skip

MOST_BYTES = 32 * 1024
MOST_CLAUSES = 64
_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_SCHEMES = "cn_credit, ects, hour or x-..."
_SCHEME = r"cn_credit|ects|hour|" + OWN
_GRADES = r"five_level|letter|pass_fail|" + OWN


class RulesUnfit(HubError, ValueError):
    """A text is no rule set. `findings` are its errors."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(map(str, self.findings)))


def parse(text: str) -> RuleSet:
    """Read a rule set. Raises `RulesUnfit` with all that is wrong."""
    ruleset, findings = _read(text)
    if ruleset is None:
        raise RulesUnfit([finding for finding in findings if finding.level == ERROR])
    return ruleset


def lint(text: str) -> list[Finding]:
    """Errors by line; warnings only where there is no error, because they are about what the rules mean."""
    return _read(text)[1]


def text_hash(text: str) -> str:
    """SHA-256 over the text's UTF-8 bytes, in hex: two texts under one id and version are two rule sets."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _read(text: str) -> tuple[RuleSet | None, list[Finding]]:
    read = Reader("the rule set")
    document = read.document(text, MOST_BYTES)
    ruleset = None if document is None else _ruleset(read, document)
    if ruleset is not None:
        for path, message in doubts(ruleset):
            read.say(path, message, WARNING)
    return ruleset, read.sorted_findings()


def _ruleset(read: Reader, document: Table) -> RuleSet | None:
    required = ("id", "version", "owner", "title", "scheme", "rule")
    top = read.table(document, (), required, ("source", "credits", "deadlines", "grades"))
    title = read.table(top, ("title",), ("zh", "en"))
    in_credits = ("tolerance", "case_cap", "hours_per_credit", "schemes")
    amounts = read.table(top, ("credits",), (), in_credits)
    days = read.table(top, ("deadlines",), (), ("request_days", "decide_days"))
    zero_or_more, above_zero = amount(0, "0 or more"), amount(1, "more than 0")
    rule_id = matching(_ID, "at most 64 letters, digits, dots and dashes")
    scheme = matching(_SCHEME, _SCHEMES)
    tolerance = read.value(amounts, ("credits", "tolerance"), zero_or_more)
    values = {
        "id": read.value(top, ("id",), rule_id),
        "version": read.value(top, ("version",), count(1)),
        "owner": read.value(top, ("owner",), plain_text),
        "title_zh": read.value(title, ("title", "zh"), plain_text),
        "title_en": read.value(title, ("title", "en"), plain_text),
        "source": read.value(top, ("source",), plain_text),
        "scheme": read.value(top, ("scheme",), scheme),
        "tolerance_milli": tolerance or 0,
        "case_cap_milli": read.value(amounts, ("credits", "case_cap"), above_zero),
        "hours_per_credit_milli": read.value(amounts, ("credits", "hours_per_credit"), above_zero),
        "schemes": _schemes(read, amounts, top.get("scheme")),
        "request_days": read.value(days, ("deadlines", "request_days"), count(1)),
        "decide_days": read.value(days, ("deadlines", "decide_days"), count(1)),
        "grades": tuple(_grades(read, top)),
        "clauses": tuple(_clauses(read, top)),
    }
    return None if read.failed else RuleSet(**values)  # type: ignore[arg-type]  # no finding: every required one is there


def _schemes(read: Reader, amounts: Table, own: object) -> tuple[tuple[str, int], ...]:
    path = ("credits", "schemes")
    table = amounts.get("schemes", {})
    if not isinstance(table, dict):
        read.say(path, f"found {shown(table)}, wanted a table; write [credits.schemes]")
        return ()
    for name in table:
        if not re.fullmatch(_SCHEME, name):
            read.say((*path, name), f"unknown scheme, wanted {_SCHEMES}; correct it")
        elif name == own or (name == "hour" and "hours_per_credit" in amounts):
            read.say((*path, name), "a second way to convert this scheme; remove it")
    factors = {name: read.value(table, (*path, name), amount(1, "more than 0")) for name in table}
    return tuple((name, factor) for name, factor in factors.items() if factor)


def _grades(read: Reader, top: Table) -> Iterator[tuple[str, Grades]]:
    tables = top.get("grades", {})
    if not isinstance(tables, dict):
        read.say(("grades",), f"found {shown(tables)}, wanted tables; write [grades.five_level]")
        return
    for notation in tables:
        path = ("grades", notation)
        table = tables[notation]
        if not re.fullmatch(_GRADES, notation):
            wanted = "five_level, letter, pass_fail or x-..."
            read.say(path, f"unknown notation, wanted {wanted}; correct or remove it")
        elif not isinstance(table, dict) or not table:
            read.say(path, f'found {shown(table)}, wanted grades like "优秀" = 95; add them')
        else:
            percents = {label: read.value(table, (*path, label), count(0, 100)) for label in table}
            yield notation, tuple((label, at) for label, at in percents.items() if at is not None)


def _clauses(read: Reader, top: Table) -> Iterator[Clause]:
    rows = read.rows(top, "rule")
    if len(rows) > MOST_CLAUSES:
        what = f"{len(rows)} rules, at most {MOST_CLAUSES} are allowed"
        read.say(("rule", MOST_CLAUSES), f"{what}; join some")
        return
    names: set[str] = set()
    for place, row in enumerate(rows):
        path: Path = ("rule", place)
        read.keys(path, row, ("then",), ("name", "when"))
        name = read.value(row, (*path, "name"), plain_text) or ""
        if name and name in names:
            read.say(
                (*path, "name"), f"{shown(name)} is the name of an earlier rule, too; give another"
            )
        names.add(name)
        conditions = tuple(_conditions(read, row, path))
        _check_place(read, row, path, is_last=place + 1 == len(rows))
        yield _clause(read, row, path, name, conditions)


def _check_place(read: Reader, row: Table, path: Path, *, is_last: bool) -> None:
    asks = bool(row.get("when"))
    if is_last and asks:
        what = "the last rule has conditions, so some cases have no answer"
        read.say((*path, "when"), f"{what}; add a rule without `when` after it")
    if not is_last and not asks:
        what = "has no conditions, so the rules after it are never reached"
        read.say(path, f"{what}; give it a `when` or make it the last")


def _conditions(read: Reader, row: Table, path: Path) -> Iterator[Condition]:
    path = (*path, "when")
    when = read.table(row, path, (), tuple(FACTS), noun="fact")
    for name, fact in FACTS.items():
        condition = read.value(when, (*path, name), partial(read_condition, name, fact))
        if condition:
            yield condition


def _clause(
    read: Reader, row: Table, path: Path, name: str, conditions: tuple[Condition, ...]
) -> Clause:
    path = (*path, "then")
    then = read.table(row, path, ("outcome", "reason"), ("credits", "category"))
    outcome = read.value(then, (*path, "outcome"), one_of(OUTCOMES)) or ""
    formula = read.value(then, (*path, "credits"), one_of(("none", *FORMULAS))) or "none"
    if outcome == NEGATIVE and formula != "none":
        what = f"outcome negative with credits {formula}"
        read.say(path, f"{what}; remove credits or change the outcome")
    if outcome in OUTCOMES[:2] and then.get("credits", "none") == "none":
        what = f"outcome {outcome} without credits"
        read.say(path, f"{what}; add credits, one of {', '.join(FORMULAS)}")
    category = read.value(then, (*path, "category"), one_of(CATEGORIES))
    reason = read.value(then, (*path, "reason"), one_of(REASONS, own=True)) or ""
    number = int(path[1]) + 1
    return Clause(number, name, conditions, outcome, formula, category, reason)
