"""Facts of one mapping -> `Ruling`. The first clause that holds decides; what it allows is held within limits.

Amounts are thousandths of a credit in the rule set's scheme; `recorded_milli` brings an award there. Nothing here raises,
whatever the facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hub.domain.quantities import MILLI, credits_text
from hub.recognition.conditions import FACTS, Condition
from hub.recognition.ruleset import NEGATIVE, Clause, RuleSet


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one mapping: awards on the left, home courses on the right. None is not known."""

    passed: bool | None = None
    already_earned: bool | None = None
    in_plan: bool | None = None
    home_course: bool | None = None  # home has such a course; follows from home_milli
    overlap_percent: int | None = None
    host_milli: int | None = None
    home_milli: int | None = None
    grade_percent: int | None = None
    attempt_no: int | None = None
    days_since_award: int | None = None
    awards: int | None = None
    courses: int | None = None

    @property
    def difference_milli(self) -> int | None:
        """Home's credits minus the host's."""
        if self.home_milli is None or self.host_milli is None:
            return None
        return self.home_milli - self.host_milli

    def found(self, fact: str) -> int | None:
        """A fact by its name in the language; true is 1, false 0."""
        if fact == "home_course" and self.home_course is None and self.home_milli is not None:
            return 1
        value: int | None = getattr(self, _FIELDS.get(fact, fact))
        return None if value is None else int(value)


_FIELDS = {
    "host_credits": "host_milli",
    "home_credits": "home_milli",
    "difference": "difference_milli",
}


@dataclass(frozen=True, slots=True)
class Held:
    """A condition of the deciding clause, and what was found."""

    fact: str
    wanted: str
    found: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """`limit_milli` is the most that may be recorded; `category`, if any, is what the recorded course must have."""

    outcome: str  # positive, partially_positive or negative
    limit_milli: int
    category: str | None
    reason: str
    clause: int  # from 1
    clause_name: str  # empty if it has none
    because: tuple[Held, ...]


def evaluate(ruleset: RuleSet, facts: Facts) -> Ruling:
    """The ruling of the first clause whose conditions all hold; the last has none."""
    clause = next(
        clause for clause in ruleset.clauses if next(_failing(clause, facts), None) is None
    )
    return Ruling(
        clause.outcome,
        _limit_milli(ruleset, clause, facts),
        clause.category,
        clause.reason,
        clause.number,
        clause.name,
        tuple(Held(c.fact, c.wanted, found_text(c.fact, facts)) for c in clause.conditions),
    )


def passed_over(ruleset: RuleSet, facts: Facts) -> Iterator[tuple[Clause, Condition]]:
    """The clauses before the deciding one, each with the first of its conditions that does not hold."""
    for clause in ruleset.clauses:
        failing = next(_failing(clause, facts), None)
        if failing is None:
            return
        yield clause, failing


def found_text(fact: str, facts: Facts) -> str:
    """A fact as in the language; `not known` if it is not."""
    found = facts.found(fact)
    if found is None:
        return "not known"
    kind = FACTS[fact].kind
    if kind == "truth":
        return "true" if found else "false"
    return credits_text(found) if kind == "credits" else str(found)


def recorded_milli(ruleset: RuleSet, scheme: str, milli: int) -> int | None:
    """An awarded amount in the rule set's scheme, rounded down to thousandths; None if the set has no way there."""
    if scheme == ruleset.scheme:
        return milli
    if scheme == "hour" and ruleset.hours_per_credit_milli:
        return milli * MILLI // ruleset.hours_per_credit_milli
    factor = dict(ruleset.schemes).get(scheme)
    return None if factor is None else milli * factor // MILLI


def percent_of(ruleset: RuleSet, scheme: str, label: str) -> int | None:
    """A grade as percent, by the rule set's table; whole percents of percent_100 as they stand, rounded down."""
    if scheme == "percent_100":
        found = re.fullmatch(r"([0-9]{1,3})(?:\.[0-9]+)?", label.strip())
        return int(found[1]) if found and int(found[1]) <= 100 else None
    return dict(dict(ruleset.grades).get(scheme, ())).get(label)


def _failing(clause: Clause, facts: Facts) -> Iterator[Condition]:
    return (c for c in clause.conditions if not c.holds(facts.found(c.fact)))


def _limit_milli(ruleset: RuleSet, clause: Clause, facts: Facts) -> int:
    """The least of the clause's formula, host + tolerance and the case's cap. Without awarded credits nothing is recorded."""
    host = facts.host_milli
    if clause.outcome == NEGATIVE or host is None:
        return 0
    home = host if facts.home_milli is None else facts.home_milli
    formula = {"none": 0, "host": host, "home": home, "lower": min(host, home)}[clause.credits]
    cap = formula if ruleset.case_cap_milli is None else ruleset.case_cap_milli
    return max(0, min(formula, host + ruleset.tolerance_milli, cap))
