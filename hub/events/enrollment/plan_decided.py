"""enrollment.plan-decided: home or host approves a learning plan or returns it; both make it agreed."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.plan import PLAN, Plan
from hub.domain.reasons import Reason
from hub.events import Names, Sentence, title
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from schemas.records import EnrollmentPlanDecided

LIFE = PLAN
REASONS = frozenset(
    {
        Reason.UNKNOWN_REFERENCE,
        Reason.NOT_WRITER,
        Reason.CONTENT_INVALID,
        Reason.STALE_VERSION,
        Reason.ILLEGAL_TRANSITION,
    }
)
_SIDES = ("home", "host")
_DECISIONS = ("approved", "returned")


def decide(event: EnrollmentPlanDecided, view: View) -> Verdict:
    """Take one side's word on the plan with that hash: both approvals make it agreed, one return ends the proposal.

    Source: Erasmus Without Paper learning agreements, approval and comment of a proposal.
    """
    plan = view.find(Plan, event.enrollment_id)
    if plan is None:
        return waits_until_known(
            Plan,
            event.enrollment_id,
            f"enrollment {event.enrollment_id} has no plan yet; it waits for enrollment.plan-proposed of {event.home}",
        )
    refusal = _not_asked(event, plan) or _not_open(event, plan)
    if refusal:
        return refusal
    approved = {*plan.approved_by, event.side} if event.decision == "approved" else set()
    by_both = approved == set(_SIDES)
    step = PLAN.step(plan.state, "approved_by_both" if by_both else event.decision)
    if step is None:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"plan {plan.plan_id} is {plan.state}, wanted proposed; nothing is to decide until home proposes a plan",
            about=plan,
        )
    decided = replace(plan, state=step.after, approved_by=tuple(sorted(approved)))
    return Applied(changes=(decided,), audience=frozenset({plan.home, plan.host}))


def _not_asked(event: EnrollmentPlanDecided, plan: Plan) -> Rejected | None:
    """Why the sender has no say, or says nothing that is understood."""
    named = (event.plan_id, event.home, event.host)
    if named != (plan.plan_id, plan.home, plan.host):
        return Rejected(
            Reason.NOT_WRITER,
            f"enrollment {plan.id} has plan {plan.plan_id} between {plan.home} and {plan.host}, "
            f"the event says {' '.join(named)}; correct the event",
            about=plan,
        )
    if event.side not in _SIDES or event.decision not in _DECISIONS:
        return Rejected(
            Reason.CONTENT_INVALID,
            f"plan {plan.plan_id} is {event.decision!r} by side {event.side!r}, wanted {' or '.join(_DECISIONS)} "
            f"by {' or '.join(_SIDES)}; correct the event",
            about=plan,
        )
    member = plan.home if event.side == "home" else plan.host
    if event.envelope.member != member:
        return Rejected(
            Reason.NOT_WRITER,
            f"the {event.side} of plan {plan.plan_id} is {member}, the event is signed by {event.envelope.member}; "
            f"ask {member}",
            about=plan,
        )
    return None


def _not_open(event: EnrollmentPlanDecided, plan: Plan) -> Rejected | None:
    """Why this plan is not to be decided, or not any more."""
    if event.decides_hash != plan.plan_hash:
        return Rejected(
            Reason.STALE_VERSION,
            f"plan {plan.plan_id} has content {plan.plan_hash[:16]} since its proposal {plan.version}, "
            f"the decision is on {event.decides_hash[:16]}; read the newest plan and decide again",
            about=plan,
        )
    if event.side in plan.approved_by:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"plan {plan.plan_id} is {plan.state}, approved by {' and '.join(plan.approved_by)}; "
            "nothing is left for this side to decide",
            about=plan,
        )
    return None


_ZH = {"approved": "同意", "returned": "退回"}


def sentence(event: EnrollmentPlanDecided, names: Names) -> Sentence:
    en, zh = title(event.comment, "en"), title(event.comment, "zh")
    by_home = event.envelope.member == event.home
    return Sentence(
        f"{names.en(event.envelope.member)} {event.decision} the learning plan of "
        f"{'one of its students at ' if by_home else 'a student of '}{names.en(event.host if by_home else event.home)}"
        f"{f': {en}' if en else ''}",
        f"{names.zh(event.envelope.member)}{_ZH.get(event.decision, event.decision)}"
        f"{f'本校一名学生在{names.zh(event.host)}' if by_home else f'{names.zh(event.home)}一名学生'}的学习计划"
        f"{f'：{zh}' if zh else ''}",
    )
