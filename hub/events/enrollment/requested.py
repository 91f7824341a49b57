"""enrollment.requested: a home university asks a host to admit one of its students."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.enrollment import ENROLLMENT, Enrollment
from hub.domain.flags import FlagName, flag
from hub.domain.offering import Offering
from hub.domain.reasons import Reason
from hub.domain.times import day_of, day_over_ms, is_over
from hub.events import Names, Sentence
from hub.events._agreements import covered
from hub.events.enrollment._common import under_agreement
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from schemas.records import EnrollmentRequested

LIFE = ENROLLMENT
REASONS = frozenset(
    {
        Reason.UNKNOWN_MEMBER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.DEADLINE_PASSED,
    }
)


def decide(event: EnrollmentRequested, view: View) -> Verdict:
    """Open the case as `pending`. No seat moves before the host decides."""
    if event.host not in view.members:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"host {event.host!r} is not a member of the alliance; correct the code",
        )
    if event.host == event.home:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"home and host are both {event.home}; enroll at home instead",
        )
    known = view.find(Enrollment, event.enrollment_id)
    if known:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"enrollment {event.enrollment_id} exists and is {known.state}; give a new request an id of its own",
            about=known,
        )
    offering = view.find(Offering, event.offering_id)
    if offering is None:
        return waits_until_known(
            Offering,
            event.offering_id,
            f"offering {event.offering_id} is not known yet; it waits for offering.changed of {event.host}",
        )
    if offering.host != event.host:
        return Rejected(
            Reason.UNKNOWN_REFERENCE,
            f"offering {event.offering_id} belongs to {offering.host}, the request names {event.host}; correct it",
            about=offering,
        )
    if offering.state != "active":
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"offering {event.offering_id} is {offering.state}, wanted active; choose another offering",
            about=offering,
        )
    if not event.home_active_registration:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"student of {event.home} has no active registration at home; register the student first",
        )
    valid_until_ms = None if event.valid_until is None else day_over_ms(event.valid_until)
    if is_over(valid_until_ms, view.now_ms):
        return Rejected(
            Reason.DEADLINE_PASSED,
            f"the request is valid until {event.valid_until}, the ledger's day is {day_of(view.now_ms)}; "
            "publish a new request that is valid longer",
        )
    case = Enrollment(
        event.enrollment_id, event.student_id, event.home, event.host, event.offering_id, "pending",
        event.activity, event.term.academic_year, event.agreement_id, valid_until_ms,
    )  # fmt: skip
    refusal = covered(view, under_agreement(case))
    if refusal is not None:
        return refusal
    return Applied(changes=(case,), audience=frozenset({event.host}))


def expire(case: Enrollment, view: View) -> Applied:
    """Nobody decided while the request was valid."""
    over = replace(case, state="expired")
    told = frozenset({case.home, case.host})
    return Applied(changes=(over,), audience=told, flags=(flag(FlagName.EXPIRED, over, told=told),))


OVERDUE = {Enrollment.KIND: expire}


def sentence(event: EnrollmentRequested, names: Names) -> Sentence:
    return Sentence(
        f"{names.en(event.home)} asks {names.en(event.host)} to admit one of its students",
        f"{names.zh(event.home)}为一名学生向{names.zh(event.host)}申请选课",
    )
