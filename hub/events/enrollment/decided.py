"""enrollment.decided: the host accepts, denies or queues a request; accepting reserves a seat."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.enrollment import ENROLLMENT
from hub.domain.offering import Offering
from hub.domain.quantities import SEAT
from hub.domain.reasons import Reason
from hub.events import Names, Sentence
from hub.events._agreements import take_places
from hub.events.enrollment._common import known_case, seat_id, under_agreement, walk
from hub.ledger.posting import enrolled_account, pend, seats_account
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting
from schemas.records import EnrollmentDecided

LIFE = ENROLLMENT
REASONS = frozenset(
    {Reason.NOT_WRITER, Reason.UNKNOWN_REFERENCE, Reason.ILLEGAL_TRANSITION, Reason.QUOTA_EXCEEDED}
)
_DECISIONS = frozenset({"accepted", "denied", "queued"})


def decide(event: EnrollmentDecided, view: View) -> Verdict:
    """Give the student one seat of the offering the host accepted them for.

    Seats are whole places of one offering. The decision must cite the home's newest version of the request.
    Source: Open Education API v6, association state `associated`; Erasmus Without Paper, HTTP 409 rule.
    """
    case = known_case(event, view)
    if isinstance(case, (Rejected, Waiting)):
        return case
    newest = view.version("enrollment", event.enrollment_id, case.home)
    if event.envelope.decides_version != newest:
        return Rejected(
            Reason.STALE_VERSION,
            f"enrollment {event.enrollment_id} is at version {newest} of {case.home}, "
            f"the decision is on version {event.envelope.decides_version}; read the newest version and decide again",
            about=case,
            version=newest,
        )
    reached = walk(case, event.decision, _DECISIONS)
    if isinstance(reached, Rejected):
        return reached
    changed = replace(case, state=reached)
    audience = frozenset({case.home})
    if event.decision != "accepted":
        return Applied(changes=(changed,), audience=audience)
    offering = view.find(Offering, event.offering_id)
    seats = seats_account(case.host, case.offering_id)
    seats_left = view.book.balance(seats, SEAT).available
    if offering is None or offering.state != "active":
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"offering {event.offering_id} is {offering.state if offering else 'unknown'}, wanted active; deny the request",
            about=offering,
        )
    if seats_left < 1:
        return Rejected(
            Reason.QUOTA_EXCEEDED,
            f"offering {event.offering_id} has {seats_left} seats left, 1 needed; raise the capacity or deny",
            about=offering,
        )
    places = take_places(view, under_agreement(case))
    if isinstance(places, Rejected):
        return places
    taken = pend(
        seat_id(case.enrollment_id),
        1,
        SEAT,
        seats,
        enrolled_account(case.host, case.offering_id, case.home),
    )
    return Applied(postings=(taken, *places), changes=(changed,), audience=audience)


_ZH = {"accepted": "接收", "denied": "未接收", "queued": "将其列入候补"}


def sentence(event: EnrollmentDecided, names: Names) -> Sentence:
    return Sentence(
        f"{names.en(event.host)} {event.decision} a student of {names.en(event.home)}",
        f"{names.zh(event.host)}对{names.zh(event.home)}一名学生的选课申请：{_ZH.get(event.decision, event.decision)}",
    )
