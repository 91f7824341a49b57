"""What the enrollment rules share: finding the case, and walking its table."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from hub.domain.enrollment import ENROLLMENT, Enrollment
from hub.domain.quantities import SEAT
from hub.domain.reasons import Reason
from hub.events._agreements import Use, settle_places
from hub.ledger.posting import Book
from hub.ledger.state import Rejected, View, Waiting, waits_until_known
from schemas.records import Posting


class AboutEnrollment(Protocol):
    """An event about a known enrollment."""

    @property
    def enrollment_id(self) -> str: ...
    @property
    def home(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def offering_id(self) -> str: ...


def known_case(event: AboutEnrollment, view: View) -> Enrollment | Rejected | Waiting:
    """The enrollment the event is about, or why there is none."""
    case = view.find(Enrollment, event.enrollment_id)
    if case is None:
        return waits_until_known(
            Enrollment,
            event.enrollment_id,
            f"enrollment {event.enrollment_id} is not known yet; it waits for enrollment.requested of {event.home}",
        )
    named = (event.home, event.host, event.offering_id)
    if named != (case.home, case.host, case.offering_id):
        return Rejected(
            Reason.NOT_WRITER,
            f"enrollment {event.enrollment_id} is between {case.home} and {case.host} for {case.offering_id}, "
            f"the event says {' '.join(named)}; correct the event",
            about=case,
        )
    return case


def walk(case: Enrollment, step: str, steps: Collection[str]) -> str | Rejected:
    """The state after a step, or why it is not possible. `steps` are those the event type may take."""
    if step not in steps:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"{step!r} is no step of this event; use one of {', '.join(sorted(steps))}",
        )
    reached = ENROLLMENT.step(case.state, step)
    if reached is None:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"enrollment {case.enrollment_id} is {case.state}, {step} is not possible; "
            f"possible: {', '.join(ENROLLMENT.possible(case.state)) or 'nothing, the case is closed'}",
            about=case,
        )
    return reached.after


def seat_id(enrollment_id: str) -> str:
    """The pending amount that holds the seat of an enrollment."""
    return f"seat/{enrollment_id}"


def under_agreement(case: Enrollment) -> Use:
    """What the enrollment takes of its agreement."""
    return Use(
        case.agreement_id,
        "student_studies",
        case.home,
        case.host,
        case.year,
        f"enrollment/{case.id}",
    )


def settle_seat(book: Book, action: str, enrollment_id: str) -> tuple[Posting, ...]:
    """Post or void the reserved seat and the place of the agreement, if they are reserved."""
    places = settle_places(book, action, f"enrollment/{enrollment_id}")
    pending = book.pendings.get(seat_id(enrollment_id))
    if pending is None or pending.open == 0 or pending.unit != SEAT:
        return places
    return (book.settle(action, seat_id(enrollment_id), 1), *places)
