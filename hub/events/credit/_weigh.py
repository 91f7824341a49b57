"""Holding a final decision against the rules of recognition it cites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.domain.agreement import Agreement
from hub.domain.credit import Award, Recognition
from hub.domain.quantities import credit_milli, credits_text, milli
from hub.domain.reasons import Reason
from hub.domain.times import DAY_MS
from hub.events._rules import own_rules
from hub.ledger.state import Rejected, View
from hub.recognition.builtin import default_rules
from hub.recognition.evaluate import Facts, Ruling, evaluate, recorded_milli
from hub.recognition.registered import RegisteredRules
from hub.recognition.ruleset import RuleSet
from schemas.records import RecognitionMapping


@dataclass(frozen=True, slots=True)
class Weighed:
    """A positive mapping with the awards it rests on and the amount it records, in thousandths of a credit."""

    mapping: RecognitionMapping
    awards: Sequence[Award]
    recorded: int


def weighed(mappings: Iterable[RecognitionMapping], awards: Sequence[Award]) -> list[Weighed]:
    """The mappings with the awards that they name."""
    return [
        Weighed(
            mapping,
            [award for award in awards if award.award_id in mapping.award_ids],
            sum(credit_milli(course.credits) for course in mapping.to),
        )
        for mapping in mappings
    ]


def against_rules(case: Recognition, items: Sequence[Weighed], view: View) -> Rejected | None:
    """Why the rules do not allow the decision; None when they do."""
    by_rules: dict[str, tuple[RuleSet, int]] = {}
    for item in items:
        rules = cited(case, item, view)
        if isinstance(rules, Rejected):
            return rules
        if rules is None:
            continue
        refusal = _against(case, item, rules, view)
        if refusal:
            return refusal
        by_rules[rules.id] = (rules, by_rules.get(rules.id, (rules, 0))[1] + item.recorded)
    for rules, total in by_rules.values():
        if rules.case_cap_milli is not None and total > rules.case_cap_milli:
            return Rejected(
                Reason.RULES_NOT_MET,
                f"case {case.id} records {credits_text(total)} credits, rules {rules.id} version {rules.version} allow "
                f"{credits_text(rules.case_cap_milli)} in one case; recognize less",
            )
    return None


def cited(case: Recognition, item: Weighed, view: View) -> RuleSet | Rejected | None:
    """The rules that a mapping follows; None for a home without rules of its own that found no facts to weigh."""
    mapping = item.mapping
    registered = view.find(RegisteredRules, mapping.rule_id)
    entitled = {case.home, *(award.agreement_id for award in item.awards)}
    own = own_rules(case.home, view)
    if registered is None or registered.owner not in entitled:
        if own is None:
            return default_rules() if mapping.facts else None
        return Rejected(
            Reason.STALE_VERSION,
            f"case {case.id} cites rules {mapping.rule_id!r}, {case.home} registered {own.id} up to version "
            f"{own.newest.number}; cite these, or those of the awards' agreement",
            about=own,
            version=own.newest.number,
        )
    oldest = case.rules_version if registered.id == case.rules_id else 0
    rules = registered.version(mapping.rule_version)
    if rules is None or mapping.rule_version < oldest:
        return Rejected(
            Reason.STALE_VERSION,
            f"case {case.id} cites version {mapping.rule_version} of rules {registered.id}; versions "
            f"{oldest or registered.versions[0].number} to {registered.newest.number} hold for it, decide by one of these",
            about=registered,
            version=registered.newest.number,
        )
    return rules


def facts_of(item: Weighed, rules: RuleSet, now_ms: int) -> Facts:
    """What is known of a mapping: from the awards what the ledger has, from the decision what the home found."""
    found = item.mapping.facts
    amounts = [recorded_milli(rules, award.scheme, award.milli) for award in item.awards]
    awarded_ms = max((award.awarded_ms for award in item.awards), default=0)
    return Facts(
        passed=all(award.passed for award in item.awards),
        already_earned=found.already_earned if found else None,
        in_plan=found.in_plan if found else None,
        overlap_percent=found.overlap_percent if found else None,
        host_milli=None if None in amounts else sum(amount or 0 for amount in amounts),
        home_milli=milli(found.home_credits) if found and found.home_credits is not None else None,
        grade_percent=found.grade_percent if found else None,
        days_since_award=(now_ms - awarded_ms) // DAY_MS if awarded_ms else None,
        awards=len(item.awards),
        courses=len(item.mapping.to),
    )


def _against(case: Recognition, item: Weighed, rules: RuleSet, view: View) -> Rejected | None:
    ruling = evaluate(rules, facts_of(item, rules, view.now_ms))
    fault = _fault(item, rules, ruling)
    if fault is None:
        return None
    clause = f"clause {ruling.clause} ({ruling.clause_name or ruling.reason})"
    return Rejected(
        Reason.RULES_NOT_MET,
        f"case {case.id} {fault} by {clause} of rules {rules.id} version {rules.version}; decide within it",
    )


def _fault(item: Weighed, rules: RuleSet, ruling: Ruling) -> str | None:
    schemes = {course.credits.scheme for course in item.mapping.to}
    if schemes - {rules.scheme}:
        return f"records credits in {', '.join(sorted(schemes))}, wanted {rules.scheme}"
    if item.recorded > ruling.limit_milli:
        return f"records {credits_text(item.recorded)} credits, {credits_text(ruling.limit_milli)} are allowed"
    categories = {course.category for course in item.mapping.to}
    if ruling.category and categories - {ruling.category}:
        return f"records a course as {', '.join(sorted(categories))}, wanted {ruling.category}"
    return None


def credit_cap(awards: Sequence[Award], view: View) -> tuple[Agreement, int] | None:
    """The agreement of these awards with the smallest credit cap, and that cap in thousandths."""
    named = {award.agreement_id for award in awards if award.agreement_id}
    agreements = [view.find(Agreement, agreement_id) for agreement_id in sorted(named)]
    capped = [
        (agreement, agreement.credit_cap_milli)
        for agreement in agreements
        if agreement and agreement.credit_cap_milli is not None
    ]
    return min(capped, key=lambda item: item[1], default=None)
