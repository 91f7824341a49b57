"""A rule set as a value, and the words it may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hub.recognition.conditions import Condition

NEGATIVE = "negative"
OUTCOMES = ("positive", "partially_positive", NEGATIVE)
FORMULAS = ("host", "home", "lower")
CATEGORIES = ("required", "elective", "general")
# Source: catalogue, credit.recognition-decided `reason_code`; x-... is a university's own.
REASONS = (
    "equivalent", "same_content_credit_capped", "raised_to_home_credit", "package_substitution", "elective_only",
    "below_pass", "content_overlap_low", "credit_shortfall", "not_in_plan", "already_earned", "deadline_passed",
    "no_agreement", "award_revoked",
)  # fmt: skip

Grades: TypeAlias = tuple[tuple[str, int], ...]  # label, percent


@dataclass(frozen=True, slots=True)
class Clause:
    """`credits` is the formula of the most that may be recorded: none, host, home or lower."""

    number: int  # from 1, as people count
    name: str  # empty if it has none
    conditions: tuple[Condition, ...]
    outcome: str
    credits: str
    category: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What `parse` makes of a text. Its last clause has no condition."""

    id: str
    version: int
    owner: str
    title_zh: str
    title_en: str
    source: str | None
    scheme: str
    tolerance_milli: int
    case_cap_milli: int | None
    hours_per_credit_milli: int | None
    schemes: tuple[tuple[str, int], ...]  # scheme, factor in thousandths
    request_days: int | None
    decide_days: int | None
    grades: tuple[tuple[str, Grades], ...]  # notation, its table
    clauses: tuple[Clause, ...]

    def __post_init__(self) -> None:
        if not self.clauses or self.clauses[-1].conditions:
            raise ValueError(f"rule set {self.id}: the last clause must hold for every case")
