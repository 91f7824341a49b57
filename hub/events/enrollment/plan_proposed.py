"""enrollment.plan-proposed: home proposes what a student will study at the host, and what it will count as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from hub.domain.enrollment import Enrollment
from hub.domain.plan import PLAN, Plan
from hub.domain.quantities import CreditAmount, credit_milli, credits_text
from hub.domain.reasons import Reason
from hub.domain.times import day_of, day_over_ms, is_over
from hub.events import Names, Sentence, title
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from schemas.records import EnrollmentPlanProposed

LIFE = PLAN
REASONS = frozenset(
    {
        Reason.UNKNOWN_REFERENCE,
        Reason.NOT_WRITER,
        Reason.ILLEGAL_TRANSITION,
        Reason.CONTENT_INVALID,
        Reason.DEADLINE_PASSED,
    }
)
_PLANNABLE = ("pending", "queued", "associated", "active")
_SHORT = ("course", "summer_school")  # stays whose agreed plan stays as it is


def decide(event: EnrollmentPlanProposed, view: View) -> Verdict:
    """Keep the newest plan of the enrollment; what was approved before it is void.

    The hash was held against the courses and the mapping at admission. Nothing moves: a plan is a promise.
    Source: Erasmus Without Paper learning agreements, changes proposed by the sending institution.
    """
    case = view.find(Enrollment, event.enrollment_id)
    if case is None:
        return waits_until_known(
            Enrollment,
            event.enrollment_id,
            f"enrollment {event.enrollment_id} is not known yet; it waits for enrollment.requested of {event.home}",
        )
    plan = view.find(Plan, event.enrollment_id)
    refusal = (
        _not_for(event, case)
        or _invalid(event)
        or _late(event, view)
        or _settled(event, case, plan)
    )
    if refusal:
        return refusal
    proposed = Plan(
        event.enrollment_id, event.plan_id, case.home, case.host, plan.version + 1 if plan else 1, event.plan_hash, (),
        "proposed", _decide_by_ms(event),
    )  # fmt: skip
    return Applied(changes=(proposed,), audience=frozenset({case.host}))


def _not_for(event: EnrollmentPlanProposed, case: Enrollment) -> Rejected | None:
    """Why the enrollment is none to plan for."""
    if (event.student_id, event.home, event.host) != (case.student_id, case.home, case.host):
        return Rejected(
            Reason.NOT_WRITER,
            f"enrollment {case.id} is of student {case.student_id} between {case.home} and {case.host}, "
            f"the plan says {event.student_id}, {event.home} and {event.host}; correct the plan",
            about=case,
        )
    if case.state not in _PLANNABLE:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"enrollment {case.id} is {case.state}, wanted one of {', '.join(_PLANNABLE)}; "
            "request a new enrollment and plan for that",
            about=case,
        )
    return None


def _invalid(event: EnrollmentPlanProposed) -> Rejected | None:
    fault = _fault(event)
    return Rejected(Reason.CONTENT_INVALID, f"plan {event.plan_id} {fault}") if fault else None


def _fault(event: EnrollmentPlanProposed) -> str | None:
    """What is wrong with the courses or the mapping."""
    if not event.studied:
        return "has no course at the host; name at least one"
    amounts = [course.credits for course in event.studied]
    amounts += [course.credits for course in event.recognized]
    least = min(map(credit_milli, amounts))
    if least < 0:
        return f"has a course of {credits_text(least)} credits, wanted 0 or more; correct it"
    studied = [place for mapping in event.mappings for place in mapping.studied]
    recognized = [place for mapping in event.mappings for place in mapping.recognized]
    return _misplaced("studied", studied, event.studied) or _misplaced(
        "recognized", recognized, event.recognized
    )


def _misplaced(side: str, places: Sequence[int], courses: Sequence[object]) -> str | None:
    """What is wrong with the positions that the mapping names on one side."""
    strays = sorted({place for place in places if not 0 <= place < len(courses)})
    if strays:
        return (
            f"maps {side} course {strays[0]}, positions are 0 to {len(courses) - 1}; correct the mapping"
            if courses
            else f"maps {side} course {strays[0]} and lists none; list it or correct the mapping"
        )
    twice = sorted(place for place, times in Counter(places).items() if times > 1)
    if twice:
        return f"maps {side} course {twice[0]} twice, wanted at most once; correct the mapping"
    return None


def _decide_by_ms(event: EnrollmentPlanProposed) -> int | None:
    return None if event.decide_by is None else day_over_ms(event.decide_by)


def _late(event: EnrollmentPlanProposed, view: View) -> Rejected | None:
    if not is_over(_decide_by_ms(event), view.now_ms):
        return None
    return Rejected(
        Reason.DEADLINE_PASSED,
        f"plan {event.plan_id} is to be decided by {event.decide_by}, the ledger's day is {day_of(view.now_ms)}; "
        "publish it again with a later day",
    )


def _settled(event: EnrollmentPlanProposed, case: Enrollment, plan: Plan | None) -> Rejected | None:
    """Why the plan that is there cannot be followed by this one."""
    if plan is None:
        return None
    if plan.plan_id != event.plan_id:
        obstacle = f"enrollment {case.id} has plan {plan.plan_id}, the event says {event.plan_id}; keep the id"
    elif plan.state == "agreed" and case.activity in _SHORT:
        obstacle = f"plan {plan.plan_id} is agreed and enrollment {case.id} is a {case.activity}; its plan stays as agreed"
    elif plan.plan_hash == event.plan_hash and plan.state != "returned":
        obstacle = f"plan {plan.plan_id} is {plan.state} with the same content {plan.plan_hash[:16]}; there is nothing to change"
    else:
        return None
    return Rejected(Reason.ILLEGAL_TRANSITION, obstacle, about=plan)


class _Course(Protocol):
    @property
    def credits(self) -> CreditAmount: ...


def _sum(courses: Iterable[_Course]) -> str:
    """Credits of all courses together; by scheme, for 1 ECTS is not 1 credit of a Chinese university."""
    sums: dict[str, int] = {}
    for course in courses:
        sums[course.credits.scheme] = sums.get(course.credits.scheme, 0) + credit_milli(
            course.credits
        )
    return " + ".join(
        credits_text(milli) if scheme == "cn_credit" else f"{credits_text(milli)} {scheme}"
        for scheme, milli in sums.items()
    )


def sentence(event: EnrollmentPlanProposed, names: Names) -> Sentence:
    studied = [course for course in event.studied if course.change != "deleted"]
    more, planned = len(studied) - 1, len(event.recognized)
    first = studied[0].titles if studied else ()
    return Sentence(
        f"{names.en(event.home)} plans for one of its students at {names.en(event.host)}: {title(first, 'en')}"
        f"{f' and {more} more' if more > 0 else ''} ({_sum(studied) or 0} credits), to count as {planned} "
        f"course{'' if planned == 1 else 's'} at home ({_sum(event.recognized) or 0} credits)",
        f"{names.zh(event.home)}为一名学生提出在{names.zh(event.host)}的学习计划：“{title(first, 'zh')}”"
        f"{f'等{more + 1}门课程' if more > 0 else ''}（{_sum(studied) or 0}学分），对接本校{planned}门课程"
        f"（{_sum(event.recognized) or 0}学分）",
    )
