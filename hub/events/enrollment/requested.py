"""enrollment.requested: a home university asks a host to admit one of its students."""

from __future__ import annotations

from hub.domain.reasons import Reason
from hub.domain.things import Enrollment, Offering
from hub.events import Names, Sentence
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting, waits_for_thing
from schemas.records import EnrollmentRequested


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
        )
    offering = view.find(Offering, event.offering_id)
    if offering is None:
        return Waiting(
            waits_for_thing(Offering.KIND, event.offering_id),
            Reason.UNKNOWN_REFERENCE,
            f"offering {event.offering_id} is not known yet; it waits for offering.changed of {event.host}",
        )
    if offering.host != event.host:
        return Rejected(
            Reason.UNKNOWN_REFERENCE,
            f"offering {event.offering_id} belongs to {offering.host}, the request names {event.host}; correct it",
        )
    if offering.status != "active":
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"offering {event.offering_id} is {offering.status}, wanted active; choose another offering",
        )
    if not event.home_active_registration:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"student of {event.home} has no active registration at home; register the student first",
        )
    case = Enrollment(
        event.enrollment_id, event.student_id, event.home, event.host, event.offering_id, "pending"
    )
    return Applied(changes=(case,), audience=frozenset({event.host}))


def sentence(event: EnrollmentRequested, names: Names) -> Sentence:
    return Sentence(
        f"{names.en(event.home)} asks {names.en(event.host)} to admit one of its students",
        f"{names.zh(event.home)}为一名学生向{names.zh(event.host)}申请选课",
    )
