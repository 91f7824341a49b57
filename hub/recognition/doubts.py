"""Warnings: what the language allows and a university seldom means.

A clause is called unreached when earlier ones decide whatever it asks for. That looks at one fact at a time and at one
earlier clause at a time: several clauses on several facts together may cover a clause without being noticed. It never
says so of a clause that can decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TypeAlias

from hub.domain.quantities import MILLI, credits_text
from hub.recognition.conditions import FACTS, Condition, Span
from hub.recognition.lines import Path
from hub.recognition.ruleset import NEGATIVE, Clause, RuleSet

# Labels that transcripts in these notations are known to carry; others differ too much to ask for.
_LABELS = {
    "five_level": ("优秀", "良好", "中等", "及格", "不及格"),
    "letter": ("A", "B", "C", "D", "F"),
}
_Closed: TypeAlias = tuple[int, int]


def doubts(ruleset: RuleSet) -> Iterator[tuple[Path, str]]:
    """Where, and what is doubtful there."""
    if ruleset.tolerance_milli > MILLI:
        found = credits_text(ruleset.tolerance_milli)
        yield ("credits", "tolerance"), f"{found} credits; practice is at most 1, check it"
    days = {"request_days": ruleset.request_days, "decide_days": ruleset.decide_days}
    if missing := [name for name, given in days.items() if given is None]:
        what = f"{' and '.join(missing)} not given, so cases may wait for ever"
        yield ("deadlines",), f"{what}; add them under [deadlines]"
    for notation, table in ruleset.grades:
        known = dict(table)
        if gaps := [label for label in _LABELS.get(notation, ()) if label not in known]:
            what = f"no percent for {', '.join(gaps)}, so such a grade counts as not known"
            yield ("grades", notation), f"{what}; add it"
    for place, clause in enumerate(ruleset.clauses):
        if clause.outcome == NEGATIVE and clause.category:
            yield ("rule", place, "then"), "a category without credits has no effect; remove it"
        if why := _unreached(clause, ruleset.clauses[:place]):
            yield ("rule", place), f"can never decide: {why}; remove it or move it up"


def _unreached(clause: Clause, earlier: Sequence[Clause]) -> str | None:
    for condition in clause.conditions:
        alone = [
            c.conditions[0]
            for c in earlier
            if len(c.conditions) == 1 and c.conditions[0].fact == condition.fact
        ]
        if not _possible(condition):
            return f"{condition.fact} is never {condition.wanted}"
        if _covered(condition, alone):
            return f"earlier rules decide all of it by {condition.fact} alone"
    for other in earlier:
        asked = {condition.fact: condition for condition in clause.conditions}
        if all(c.fact in asked and _covered(asked[c.fact], [c]) for c in other.conditions):
            return f"rule {other.number} decides all of it"
    return None


def _covered(condition: Condition, by: Sequence[Condition]) -> bool:
    """Whether whatever `condition` holds for, one of the others, on the same fact, holds for too."""
    joined = _joined(chain.from_iterable(map(_possible, by)))
    return all(any(low <= a and b <= high for low, high in joined) for a, b in _possible(condition))


def _possible(condition: Condition) -> list[_Closed]:
    """The condition's spans as far as the fact can go."""
    fact = FACTS[condition.fact]
    closed = [_closed(span, fact.low, fact.high) for span in condition.spans]
    return [(low, high) for low, high in closed if low <= high]


def _closed(span: Span, least: int, most: int) -> _Closed:
    low, high = span
    return (least if low is None else max(low, least), most if high is None else min(high, most))


def _joined(spans: Iterator[_Closed]) -> list[_Closed]:
    """The same numbers in as few spans as possible: 0..39 and 40..66 are 0..66."""
    joined: list[_Closed] = []
    for low, high in sorted(spans):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined
