"""What if other rules of recognition had held: a past period weighed again, decision by decision.

Owns the comparison. The ledger is replayed as it is; nothing is written, and no decision is made again: what a university
decided stands, this tells which of its decisions another rule set would not have allowed or would have bounded otherwise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from hub.domain.credit import Award, Recognition
from hub.domain.quantities import credits_text
from hub.domain.times import day_of
from hub.events.credit._weigh import Weighed, cited, facts_of, weighed
from hub.ledger.state import Rejected, State
from hub.recognition.builtin import default_rules
from hub.recognition.evaluate import Ruling, evaluate
from hub.recognition.ruleset import NEGATIVE, RuleSet
from schemas.codec import decode
from schemas.envelope import to_millis
from schemas.records import CreditRecognitionDecided, Entry

EVENT = CreditRecognitionDecided.EVENT


@dataclass(frozen=True, slots=True)
class Period:
    """Days of the ledger, both included; None is open."""

    since: date | None = None
    until: date | None = None

    def has(self, entry: Entry) -> bool:
        day = day_of(to_millis(entry.ledger_at))
        return (self.since is None or self.since <= day) and (
            self.until is None or day <= self.until
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """One mapping of a final decision: what was recorded, what the rules then and the other rules allow."""

    seq: int
    recognition_id: str
    decision_no: str
    award_ids: tuple[str, ...]
    courses: tuple[str, ...]
    recorded_milli: int
    decided: str  # outcome as decided
    then: Ruling
    then_rules: str
    other: Ruling

    @property
    def change(self) -> str:
        """`refused`, `less`, `more`, `category`, `outcome` or `` for none: what the other rules change."""
        if self.recorded_milli > self.other.limit_milli:
            return "refused" if self.other.outcome == NEGATIVE else "less"
        if self.other.limit_milli > max(self.then.limit_milli, self.recorded_milli):
            return "more"
        if self.other.category != self.then.category:
            return "category"
        return "outcome" if self.other.outcome != self.then.outcome else ""

    def as_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "recognition_id": self.recognition_id,
            "decision_no": self.decision_no,
            "award_ids": list(self.award_ids),
            "courses": list(self.courses),
            "recorded": credits_text(self.recorded_milli),
            "decided": self.decided,
            "then": _ruling(self.then) | {"rules": self.then_rules},
            "other": _ruling(self.other),
            "change": self.change,
        }


def _ruling(ruling: Ruling) -> dict[str, Any]:
    return {
        "outcome": ruling.outcome,
        "limit": credits_text(ruling.limit_milli),
        "category": ruling.category,
        "reason": ruling.reason,
        "clause": ruling.clause,
        "clause_name": ruling.clause_name,
    }


@dataclass(slots=True)
class WhatIf:
    """Sees each accepted entry right after it was applied to `state`; collects the decisions of `member`."""

    rules: RuleSet
    member: str
    period: Period
    state: State
    compared: list[Compared] = field(default_factory=list)

    def see(self, entry: Entry) -> None:
        """Weigh the mappings of a final decision that was applied."""
        if (entry.event_type, entry.outcome, entry.member) != (EVENT, "applied", self.member):
            return
        event = decode(entry.event)
        if not isinstance(event, CreditRecognitionDecided) or event.stage != "academic_affairs":
            return
        case = self.state.find(Recognition, event.recognition_id)
        if case is None or not self.period.has(entry):
            return
        found = [self.state.find(Award, award_id) for award_id in case.award_ids]
        awards = [award for award in found if award and award.passed]
        for item in weighed(event.mappings, awards):
            self._compare(entry, event, case, item)

    def _compare(
        self, entry: Entry, event: CreditRecognitionDecided, case: Recognition, item: Weighed
    ) -> None:
        then = cited(case, item, self.state)
        then = default_rules() if then is None or isinstance(then, Rejected) else then
        now_ms = self.state.now_ms
        self.compared.append(
            Compared(
                entry.seq,
                case.recognition_id,
                event.decision_no,
                item.mapping.award_ids,
                tuple(course.home_course_code for course in item.mapping.to),
                item.recorded,
                item.mapping.outcome,
                evaluate(then, facts_of(item, then, now_ms)),
                f"{then.id} version {then.version}",
                evaluate(self.rules, facts_of(item, self.rules, now_ms)),
            )
        )

    def changed(self) -> list[Compared]:
        """Those that the other rules change."""
        return [item for item in self.compared if item.change]

    def as_json(self) -> dict[str, Any]:
        changed = self.changed()
        return {
            "rules": {"id": self.rules.id, "version": self.rules.version},
            "member": self.member,
            "decisions": len(self.compared),
            "changed": len(changed),
            "by_change": dict(sorted(Counter(item.change for item in changed).items())),
            "recorded": credits_text(sum(item.recorded_milli for item in self.compared)),
            "recorded_at_most": credits_text(
                sum(min(item.recorded_milli, item.other.limit_milli) for item in self.compared)
            ),
            "changes": [item.as_json() for item in changed],
        }
