"""What a rule may ask for: the closed list of facts, and comparisons with them.

A condition is kept as spans of integers, so that holding, covering and never holding are one question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from hub.domain.quantities import MILLI, credits_text
from hub.recognition.reading import BIGGEST, Misfit, shown, thousandths, truth, whole_number

Span: TypeAlias = tuple[int | None, int | None]  # both ends in; None is open
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"


@dataclass(frozen=True, slots=True)
class Fact:
    """What a condition may ask for. `low` and `high` are its range: thousandths, whole numbers, or 0 and 1."""

    kind: str  # truth, whole or credits
    low: int
    high: int


_MOST = BIGGEST * MILLI
FACTS: dict[str, Fact] = {
    "passed": Fact("truth", 0, 1),
    "already_earned": Fact("truth", 0, 1),
    "in_plan": Fact("truth", 0, 1),
    "home_course": Fact("truth", 0, 1),
    "overlap_percent": Fact("whole", 0, 100),
    "host_credits": Fact("credits", 0, _MOST),
    "home_credits": Fact("credits", 0, _MOST),
    "difference": Fact("credits", -_MOST, _MOST),
    "grade_percent": Fact("whole", 0, 100),
    "attempt_no": Fact("whole", 1, BIGGEST),
    "days_since_award": Fact("whole", 0, BIGGEST),
    "awards": Fact("whole", 1, BIGGEST),
    "courses": Fact("whole", 1, BIGGEST),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds if the fact is known and lies in one of the spans (both ends in, None is open)."""

    fact: str
    wanted: str  # for people
    spans: tuple[Span, ...]

    def holds(self, found: int | None) -> bool:
        return found is not None and any(
            (low is None or low <= found) and (high is None or found <= high)
            for low, high in self.spans
        )


def read_condition(name: str, fact: Fact, value: object) -> Condition:
    """One line of `when`. Raises `Misfit`."""
    if fact.kind == "truth":
        said = truth(value)
        return Condition(name, str(said).lower(), ((int(said), int(said)),))
    number = whole_number if fact.kind == "whole" else thousandths
    if isinstance(value, list):
        if not value:
            raise Misfit("found an empty list, which never holds; name the values")
        listed = sorted({number(item) for item in value})
        wanted = f"one of {', '.join(_unit_text(fact, item) for item in listed)}"
        return Condition(name, wanted, tuple((item, item) for item in listed))
    if isinstance(value, str):
        return _comparison(name, fact, value)
    at = number(value)
    return Condition(name, f"= {_unit_text(fact, at)}", ((at, at),))


def _comparison(name: str, fact: Fact, text: str) -> Condition:
    number = whole_number if fact.kind == "whole" else thousandths
    if between := re.fullmatch(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*", text):
        low, high = number(between[1]), number(between[2])
        if low > high:
            raise Misfit(f"found {shown(text)}, which never holds; write the lower end first")
        wanted = f"{_unit_text(fact, low)}..{_unit_text(fact, high)}"
        return Condition(name, wanted, ((low, high),))
    found = re.fullmatch(rf"\s*(<=?|>=?|=)?\s*({_NUMBER})\s*", text)
    if not found:
        wanted = 'a comparison like "< 67", ">= 1", "= 3" or "3..5"'
        raise Misfit(f"found {shown(text)}, wanted {wanted}; correct it")
    sign, at = found[1] or "=", number(found[2])
    span: Span = {
        "<": (None, at - 1), "<=": (None, at), "=": (at, at), ">=": (at, None), ">": (at + 1, None),
    }[sign]  # fmt: skip
    return Condition(name, f"{sign} {_unit_text(fact, at)}", (span,))


def _unit_text(fact: Fact, units: int) -> str:
    return credits_text(units) if fact.kind == "credits" else str(units)
