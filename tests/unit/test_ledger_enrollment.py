"""Rules of the enrollment events: the life of a request, and the seat it takes and gives back."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.enrollment import ENROLLMENT, Enrollment
from tests.support.ledger import (
    HOME,
    HOST,
    OTHER,
    Ledger,
    assert_refused,
    assert_waits,
    postings,
)

STATES = (
    "pending",
    "queued",
    "denied",
    "cancelled",
    "associated",
    "active",
    "finished",
    "withdrawn",
)
# How to get to each state; `decided` steps are the host's answers, the others changes of status.
WAYS = {
    "pending": (),
    "queued": ("queued",),
    "denied": ("denied",),
    "cancelled": ("cancelled",),
    "associated": ("accepted",),
    "active": ("accepted", "started"),
    "finished": ("accepted", "started", "finished"),
    "withdrawn": ("accepted", "started", "withdrawn"),
}
DECISIONS = ("accepted", "queued", "denied")
CHANGES = ("started", "finished", "cancelled", "withdrawn")


@pytest.fixture
def ledger() -> Ledger:
    """An offering with two seats."""
    made = Ledger()
    made.offer(capacity=2)
    return made


def take(ledger: Ledger, step: str, enrollment_id: str = "e1", **said: Any) -> Any:
    if step in DECISIONS:
        return ledger.decide(enrollment_id, step, **said)
    return ledger.move(enrollment_id, step, **said)


def at(ledger: Ledger, state: str) -> None:
    ledger.applied(ledger.request("e1"))
    for step in WAYS[state]:
        ledger.applied(take(ledger, step))


def test_the_life_of_an_enrollment_is_the_agreed_one() -> None:
    """What campuses were told, line by line; the tests below take the table for granted."""
    agreed = """
        pending accepted associated
        pending queued queued
        pending denied denied
        pending withdrawn cancelled
        pending cancelled cancelled
        queued accepted associated
        queued denied denied
        queued withdrawn cancelled
        queued cancelled cancelled
        associated started active
        associated withdrawn cancelled
        associated cancelled cancelled
        active finished finished
        active withdrawn withdrawn
    """
    lines = [line.split() for line in agreed.strip().splitlines()]
    table = {(step.before, step.name): step.after for step in ENROLLMENT.steps}
    del table["", "requested"], table["pending", "expired"], table["queued", "expired"]
    assert {(state, step): reached for state, step, reached in lines} == table


def test_a_request_opens_a_case_and_moves_no_seat(ledger: Ledger) -> None:
    """The host decides first; the host, and only the host, is told."""
    entry = ledger.applied(ledger.request("e1"))
    assert entry.audience == (HOST,)
    assert ledger.find(Enrollment, "e1").state == "pending"
    assert ledger.seats() == (2, 0)


def test_a_request_names_a_member_as_host(ledger: Ledger) -> None:
    """A code that is no member would wait for ever."""
    entry = ledger.request("e1", host="99999")
    assert_refused(entry, "UNKNOWN_MEMBER", "'99999'")


def test_a_request_goes_to_another_university(ledger: Ledger) -> None:
    """Courses at home are the campus's own business."""
    assert_refused(ledger.request("e1", home=HOST), "ILLEGAL_TRANSITION", HOST, "at home")


def test_an_enrollment_id_is_used_once(ledger: Ledger) -> None:
    """A second request under the id would take over the first one's case."""
    ledger.request("e1")
    assert_refused(ledger.request("e1"), "ILLEGAL_TRANSITION", "e1", "pending", "id of its own")


def test_an_enrollment_id_of_another_home_cannot_be_used_again(ledger: Ledger) -> None:
    """Ids are the alliance's, not a member's."""
    ledger.request("e1")
    assert_refused(ledger.request("e1", home=OTHER), "ILLEGAL_TRANSITION", "e1")
    assert ledger.find(Enrollment, "e1").home == HOME


def test_a_request_waits_for_its_offering() -> None:
    """Two outboxes have no order between them: the request may be here first."""
    ledger = Ledger()
    assert_waits(ledger.request("e1"), "UNKNOWN_REFERENCE", "calculus", HOST)
    ledger.offer(capacity=1)
    assert [(entry.outcome, entry.event_type) for entry in ledger.last] == [
        ("applied", "offering.changed"),
        ("applied", "enrollment.requested"),
    ]


def test_a_request_names_the_host_of_the_offering(ledger: Ledger) -> None:
    """Else one host would decide on the seats of another."""
    entry = ledger.request("e1", host=OTHER)
    assert_refused(entry, "UNKNOWN_REFERENCE", HOST, OTHER)


@pytest.mark.parametrize("status", ["inactive", "cancelled"])
def test_a_request_needs_an_active_offering(ledger: Ledger, status: str) -> None:
    """A closed offering takes no requests, and the home is told what it is."""
    ledger.applied(ledger.offer(status=status))
    assert_refused(ledger.request("e1"), "ILLEGAL_TRANSITION", status, "wanted active")


def test_a_request_needs_a_student_registered_at_home(ledger: Ledger) -> None:
    """The alliance's clause: only active students of the home take part."""
    entry = ledger.request("e1", home_active_registration=False)
    assert_refused(entry, "ILLEGAL_TRANSITION", HOME, "no active registration")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("step", DECISIONS + CHANGES)
def test_an_enrollment_walks_its_table_and_nothing_else(
    ledger: Ledger, state: str, step: str
) -> None:
    """Every state against every step: applied where the table says so, else refused with what is possible."""
    at(ledger, state)
    entry = take(ledger, step)
    walked = ENROLLMENT.step(state, step)
    if walked:
        assert entry.outcome == "applied", entry.detail
        assert ledger.find(Enrollment, "e1").state == walked.after
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"e1 is {state}", step, "possible:")
        assert ledger.find(Enrollment, "e1").state == state


@pytest.mark.parametrize("decision", [*CHANGES, "pending", "", "ACCEPTED"])
def test_a_decision_is_accepted_denied_or_queued(ledger: Ledger, decision: str) -> None:
    """A host that "decides" `withdrawn` would speak for the home, and leave the seat reserved for ever."""
    at(ledger, "associated")
    assert_refused(ledger.decide("e1", decision), "ILLEGAL_TRANSITION", repr(decision), "accepted")
    assert ledger.seats() == (1, 1)


@pytest.mark.parametrize("step", [*DECISIONS, "active", ""])
@pytest.mark.parametrize("by", [HOME, HOST])
def test_a_change_of_status_admits_nobody(ledger: Ledger, step: str, by: str) -> None:
    """A home that "changes the status" to accepted would admit its own student, without a seat."""
    at(ledger, "pending")
    entry = ledger.move("e1", step, by=by)
    assert_refused(entry, "ILLEGAL_TRANSITION", repr(step), "started")
    assert ledger.find(Enrollment, "e1").state == "pending"


def test_accepting_reserves_one_seat(ledger: Ledger) -> None:
    """Reserved is taken: the seat is gone for others before the course starts."""
    at(ledger, "pending")
    entry = ledger.applied(ledger.decide("e1", "accepted"))
    assert postings(entry) == [("pend", 1)]
    assert entry.audience == (HOME,)
    assert (ledger.seats(), ledger.seats_of()) == ((1, 1), (1, 0))


def test_accepting_from_the_queue_reserves_one_seat(ledger: Ledger) -> None:
    """Queueing takes none."""
    at(ledger, "queued")
    assert ledger.seats() == (2, 0)
    ledger.applied(ledger.decide("e1", "accepted"))
    assert ledger.seats() == (1, 1)


def test_no_acceptance_without_a_free_seat(ledger: Ledger) -> None:
    """Two seats, three students: the third is refused, and may be denied with the next version."""
    for name in ("e1", "e2", "e3"):
        ledger.request(name)
    ledger.applied(ledger.decide("e1", "accepted"))
    ledger.applied(ledger.decide("e2", "accepted"))
    entry = ledger.decide("e3", "accepted")
    assert_refused(entry, "QUOTA_EXCEEDED", "calculus", "0 seats left", "1 needed")
    assert ledger.find(Enrollment, "e3").state == "pending"
    assert ledger.seats() == (0, 2)
    ledger.applied(ledger.decide("e3", "denied"))


def test_a_seat_made_later_can_be_given(ledger: Ledger) -> None:
    """`raise the capacity` is an advice that works."""
    ledger.offer(capacity=0)
    ledger.request("e1")
    assert ledger.decide("e1", "accepted").reason == "QUOTA_EXCEEDED"
    ledger.applied(ledger.offer(capacity=1))
    ledger.applied(ledger.decide("e1", "accepted"))


def test_no_acceptance_into_an_offering_that_is_not_active(ledger: Ledger) -> None:
    """A host that closed the offering meanwhile denies what is open."""
    at(ledger, "pending")
    ledger.applied(ledger.offer(status="inactive"))
    assert_refused(ledger.decide("e1", "accepted"), "ILLEGAL_TRANSITION", "inactive", "deny")
    ledger.applied(ledger.decide("e1", "denied"))


def test_starting_uses_the_reserved_seat_up(ledger: Ledger) -> None:
    """Reserved becomes used; the number of free seats stays."""
    at(ledger, "associated")
    entry = ledger.applied(ledger.move("e1", "started"))
    assert postings(entry) == [("post", 1)]
    assert (ledger.seats(), ledger.seats_of()) == ((1, 1), (0, 1))


@pytest.mark.parametrize(("step", "by"), [("cancelled", HOST), ("withdrawn", HOME)])
def test_leaving_before_the_start_gives_the_seat_back(ledger: Ledger, step: str, by: str) -> None:
    """The next student gets it."""
    at(ledger, "associated")
    entry = ledger.applied(ledger.move("e1", step, by=by))
    assert postings(entry) == [("void", 1)]
    assert (ledger.seats(), ledger.seats_of()) == ((2, 0), (0, 0))
    for name in ("e2", "e3"):
        ledger.enrolled(name, "associated")


@pytest.mark.parametrize(("step", "by"), [("cancelled", HOST), ("withdrawn", HOME)])
@pytest.mark.parametrize("state", ["pending", "queued"])
def test_leaving_without_a_seat_moves_nothing(
    ledger: Ledger, state: str, step: str, by: str
) -> None:
    """What was never taken cannot be given back."""
    at(ledger, state)
    assert postings(ledger.applied(ledger.move("e1", step, by=by))) == []
    assert ledger.seats() == (2, 0)


def test_withdrawing_after_the_start_keeps_the_seat_used(ledger: Ledger) -> None:
    """The place in the course was used; nobody can start in its stead."""
    at(ledger, "active")
    assert postings(ledger.applied(ledger.move("e1", "withdrawn"))) == []
    assert (ledger.seats(), ledger.seats_of()) == ((1, 1), (0, 1))


def test_a_decision_names_the_homes_newest_version(ledger: Ledger) -> None:
    """A host must not decide on a request that the home has changed since."""
    at(ledger, "pending")
    for seen in (None, 0, 2):
        entry = ledger.tell(
            "enrollment.decided", enrollment_id="e1", home=HOME, host=HOST,
            offering_id="calculus", decision="accepted", decides=seen,
        )  # fmt: skip
        assert_refused(entry, "STALE_VERSION", "version 1", f"version {seen}", "decide again")
    ledger.applied(ledger.decide("e1", "accepted", decides=1))


def test_a_decision_on_a_request_withdrawn_meanwhile_is_stale(ledger: Ledger) -> None:
    """The withdrawal used the home's version 2; the host's answer was to version 1."""
    at(ledger, "pending")
    ledger.applied(ledger.move("e1", "withdrawn"))
    assert_refused(ledger.decide("e1", "accepted", decides=1), "STALE_VERSION", "version 2")


@pytest.mark.parametrize("step", ["accepted", "started"])
def test_a_step_of_an_unknown_case_waits_for_the_request(ledger: Ledger, step: str) -> None:
    """The host's word may overtake the home's."""
    entry = take(ledger, step, "e9")
    assert_waits(entry, "UNKNOWN_REFERENCE", "e9", "enrollment.requested", HOME)


@pytest.mark.parametrize("step", ["accepted", "cancelled"])
@pytest.mark.parametrize("wrong", [{"home": OTHER}, {"host": OTHER}, {"offering_id": "chemistry"}])
def test_a_step_names_the_parties_of_the_case(
    ledger: Ledger, step: str, wrong: dict[str, str]
) -> None:
    """Each of the three is checked: a member cannot move a case it has no part in."""
    at(ledger, "pending")
    entry = take(ledger, step, **wrong)
    assert_refused(entry, "NOT_WRITER", HOME, HOST, "calculus", next(iter(wrong.values())))
    assert ledger.find(Enrollment, "e1").state == "pending"


@pytest.mark.parametrize(
    ("step", "by", "writer"),
    [("started", HOME, HOST), ("finished", HOME, HOST), ("cancelled", HOME, HOST), ("withdrawn", HOST, HOME)],
)  # fmt: skip
def test_each_change_of_status_has_one_writer(
    ledger: Ledger, step: str, by: str, writer: str
) -> None:
    """The schema lets home and host sign; which of them depends on the step."""
    at(ledger, "associated")
    assert_refused(ledger.move("e1", step, by=by), "NOT_WRITER", f"by {writer}", by)


def test_both_sides_are_told_of_a_change_of_status(ledger: Ledger) -> None:
    """The sender gets its outcome, the other side the event."""
    at(ledger, "associated")
    assert ledger.move("e1", "started").audience == (HOME,)
    assert ledger.move("e1", "withdrawn").audience == (HOST,)
