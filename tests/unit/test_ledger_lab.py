"""Rules of the lab events: resources, requests for time on them, bookings, use and what it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hub.domain.enrollment import Enrollment
from hub.domain.lab import ACCESS, RESOURCE, USAGE, AccessRequest, Calendar, Resource, Span, Usage
from hub.domain.practice import Placement
from hub.domain.quantities import MINUTE
from hub.domain.reasons import Reason
from hub.domain.times import SHANGHAI
from hub.events import Names, event_rules, sentence
from hub.ledger.audit import Audit
from hub.ledger.posting import (
    charged_account,
    instrument_account,
    owed_account,
    usage_account,
)
from schemas import records as r
from schemas.envelope import to_millis
from tests.support.ledger import (
    FOURTH,
    HOME,
    HOST,
    OTHER,
    Ledger,
    assert_refused,
    assert_waits,
    postings,
)

STRANGER = "99999"
FREE = r.BookingPolicy(None, None, None, None, None)


def at(hour: int, minute: int = 0, *, day: int = 12) -> datetime:
    """A time of October 2026 in Shanghai, some weeks after the ledger's first event."""
    return datetime(2026, 10, day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)


def limits(**said: Any) -> r.BookingPolicy:
    names = ("min_minutes", "max_minutes", "horizon_days", "minutes_per_day", "qualification")
    return r.BookingPolicy(*(said.get(name) for name in names))


def share(ledger: Ledger, **said: Any) -> r.Entry:
    facts = {
        "resource_id": "gpc",
        "owner": HOST,
        "capacity": 1,
        "policy": FREE,
        "outages": (),
        "status": "operational",
    }
    return ledger.tell("lab.resource-changed", **(facts | said))


def ask(ledger: Ledger, request_id: str = "r1", **said: Any) -> r.Entry:
    """A request for nine to eleven on the twelfth."""
    facts = {
        "resource_id": "gpc",
        "home": HOME,
        "owner": HOST,
        "start": at(9),
        "end": at(11),
        "project_id": None,
        "qualification": None,
        "decide_by": None,
    }
    return ledger.tell("lab.access-requested", request_id=request_id, **(facts | said))


def answer(ledger: Ledger, decision: str, request_id: str = "r1", **said: Any) -> r.Entry:
    request = ledger.find(AccessRequest, request_id)
    facts = {"resource_id": "gpc", "home": request.home if request else HOME, "owner": HOST} | said
    if "by" not in facts:
        facts["by"] = facts["home"] if decision == "cancelled" else facts["owner"]
    if "decides" not in facts:
        facts["decides"] = ledger.state.version("lab", request_id, facts["home"])
    return ledger.tell("lab.access-decided", request_id=request_id, decision=decision, **facts)


def use(ledger: Ledger, usage_id: str = "u1", **said: Any) -> r.Entry:
    """Use from nine to eleven under request r1, free of charge."""
    facts = {
        "resource_id": "gpc",
        "home": HOME,
        "owner": HOST,
        "request_id": "r1",
        "start": at(9),
        "end": at(11),
        "charge": None,
    }
    return ledger.tell("lab.usage-recorded", usage_id=usage_id, **(facts | said))


def cny(amount: str, unit: str = "cny") -> r.Charge:
    return r.Charge(unit, Decimal(amount).quantize(Decimal("0.001")))


def shared(**said: Any) -> Ledger:
    """A ledger in which the resource `gpc` of the host can be booked."""
    ledger = Ledger()
    ledger.applied(share(ledger, **said))
    return ledger


def booked(request_id: str = "r1", ledger: Ledger | None = None, **said: Any) -> Ledger:
    ledger = ledger or shared()
    ledger.applied(ask(ledger, request_id, **said))
    ledger.applied(answer(ledger, "approved", request_id))
    return ledger


def minutes_of(ledger: Ledger, home: str = HOME) -> tuple[int, int]:
    """Minutes of a home on the host's resources: held, and used. Both sides of the book agree."""
    out = ledger.state.book.balance(instrument_account(HOST, home), MINUTE)
    into = ledger.state.book.balance(usage_account(home, HOST), MINUTE)
    assert (out.pending_out, -out.net) == (into.pending_in, into.net)
    return into.pending_in, into.net


def owed(ledger: Ledger, unit: str = "cny") -> int:
    into = ledger.state.book.balance(owed_account(HOME, HOST), unit).net
    assert ledger.state.book.balance(charged_account(HOST, HOME), unit).net == -into
    return into


def state_of(ledger: Ledger, request_id: str = "r1") -> str:
    return str(ledger.find(AccessRequest, request_id).state)


def slots(ledger: Ledger, day: int = 12) -> list[str]:
    """Requests in the calendar of a day of October."""
    calendar = ledger.find(Calendar, f"gpc/2026-10-{day:02}")
    return [slot.request_id for slot in calendar.slots] if calendar else []


# Resources


def test_a_resource_is_told_to_the_whole_alliance_and_moves_nothing() -> None:
    """Everyone may book it; nobody's turn is it."""
    ledger = Ledger()
    entry = ledger.applied(share(ledger, policy=limits(min_minutes=30)))
    assert set(entry.audience) == {HOME, OTHER, FOURTH}
    assert postings(entry) == []
    assert [(change.kind, change.state, change.next_actors) for change in entry.changes] == [
        ("resource", "operational", ())
    ]


STATUS_MOVES = {
    "": {"registered", "operational"},
    "registered": {"registered", "operational", "retired"},
    "operational": {"operational", "outage", "retired"},
    "outage": {"operational", "outage", "retired"},
    "retired": set(),
}


@pytest.mark.parametrize("before", STATUS_MOVES)
@pytest.mark.parametrize("after", ["registered", "operational", "outage", "retired"])
def test_a_resource_changes_its_status_along_the_table(before: str, after: str) -> None:
    """A statement of the same status changes other fields; what is retired stays so."""
    ledger = Ledger()
    for status in {
        "": (),
        "registered": ("registered",),
        "outage": ("operational", "outage"),
        "retired": ("operational", "retired"),
    }.get(before, ("operational",)):
        ledger.applied(share(ledger, status=status))
    entry = share(ledger, status=after)
    if after in STATUS_MOVES[before]:
        ledger.applied(entry)
        assert ledger.find(Resource, "gpc").state == after
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"is {before or 'new'}", after)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"status": "broken"}, "status 'broken'"),
        ({"capacity": 0}, "capacity 0"),
        ({"policy": limits(min_minutes=0)}, "limits (0,"),
        ({"policy": limits(max_minutes=-1)}, "-1"),
        ({"policy": limits(horizon_days=0)}, "limits"),
        ({"policy": limits(minutes_per_day=0)}, "limits"),
        ({"policy": limits(min_minutes=61, max_minutes=60)}, "61 to 60 minutes"),
        ({"outages": (r.Outage(at(9), at(9), None),)}, "ends before it starts"),
        ({"price": r.Price("cny_per_hour", Decimal("-0.001"))}, "costs -0.001"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(said: dict[str, Any], words: str) -> None:
    """Rules that read such limits later would refuse everything or nothing."""
    assert_refused(share(Ledger(), **said), "CONTENT_INVALID", words)


def test_limits_may_be_as_narrow_as_one() -> None:
    """The bounds belong to what is allowed."""
    narrow = limits(min_minutes=1, max_minutes=1, horizon_days=1, minutes_per_day=1)
    shared(policy=narrow, price=r.Price("cny_per_use", Decimal("0.000")))


def test_those_who_run_a_resource_together_are_members() -> None:
    """A code that is nobody's is a slip of the pen."""
    ledger = Ledger()
    assert_refused(share(ledger, joint_members=(OTHER, STRANGER)), "UNKNOWN_MEMBER", STRANGER)
    ledger.applied(share(ledger, joint_members=(OTHER,)))


def test_a_resource_belongs_to_its_owner_and_keeps_its_capacity() -> None:
    """Bookings were weighed against the capacity; a smaller one would overbook them in hindsight."""
    ledger = shared(capacity=2)
    assert_refused(share(ledger, owner=OTHER), "NOT_WRITER", HOST, OTHER)
    assert_refused(share(ledger, capacity=3), "ILLEGAL_TRANSITION", "room for 2", "says 3")
    assert_refused(share(ledger, capacity=1), "ILLEGAL_TRANSITION", "room for 2")


# Requests


def test_a_request_is_told_to_the_owner_and_holds_nothing() -> None:
    """Its turn is the owner's until it starts."""
    ledger = shared()
    entry = ledger.applied(ask(ledger))
    assert entry.audience == (HOST,)
    assert postings(entry) == []
    (change,) = entry.changes
    assert (change.kind, change.state, change.next_actors) == ("access", "requested", (HOST,))
    assert change.due_at == at(9)
    assert slots(ledger) == []


@pytest.mark.parametrize(("decide_by", "due"), [(at(8), at(8)), (at(10), at(9))])
def test_a_request_is_due_when_it_starts_or_before(decide_by: datetime, due: datetime) -> None:
    """An answer after the start is of no use to anyone."""
    ledger = shared()
    (change,) = ledger.applied(ask(ledger, decide_by=decide_by)).changes
    assert change.due_at == due


def test_a_request_id_is_used_once() -> None:
    """A second request under it could not be told from the first."""
    ledger = shared()
    ask(ledger)
    assert_refused(ask(ledger), "ILLEGAL_TRANSITION", "r1 exists and is requested")


def test_a_request_waits_for_its_resource() -> None:
    """Two members' outboxes have no order between them."""
    ledger = Ledger()
    assert_waits(ask(ledger), "UNKNOWN_REFERENCE", "resource gpc", HOST)
    ledger.applied(share(ledger))
    assert state_of(ledger) == "requested"


def test_a_request_names_the_owner_of_the_resource() -> None:
    """It would be told to the wrong university."""
    ledger = shared()
    assert_refused(ask(ledger, owner=OTHER), "NOT_WRITER", HOST, OTHER)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"end": at(9)}, "the end must be after the start"),
        ({"end": at(8)}, "the end must be after the start"),
        ({"end": at(9) + timedelta(days=366, milliseconds=1)}, "366 days at most"),
        (
            {
                "start": datetime(9999, 12, 31, 20, tzinfo=UTC),
                "end": datetime(9999, 12, 31, 21, tzinfo=UTC),
            },
            "before the year 9999",
        ),
        ({"replaces_request_id": "r1"}, "replaces itself"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(said: dict[str, Any], words: str) -> None:
    """A booking of a thousand years would fill the calendar of every day in them."""
    assert_refused(ask(shared(), **said), "CONTENT_INVALID", words)


def test_a_request_may_run_for_a_year() -> None:
    """Libraries and campuses are lent for long; the bound belongs to what is allowed."""
    ledger = shared()
    ledger.applied(ask(ledger, end=at(9) + timedelta(days=366)))


@pytest.mark.parametrize("status", ["registered", "outage", "retired"])
def test_only_an_operational_resource_can_be_asked_for(status: str) -> None:
    """Nobody can use another."""
    ledger = Ledger()
    if status != "registered":
        share(ledger)
    ledger.applied(share(ledger, status=status))
    assert_refused(ask(ledger), "ILLEGAL_TRANSITION", f"is {status}", "wanted operational")


@pytest.mark.parametrize(
    ("said", "words"),
    [({}, "start is 2026-10-12 09:00"), ({"start": at(10), "decide_by": at(9)}, "decide_by is")],
)
def test_a_request_that_comes_too_late_is_refused(said: dict[str, Any], words: str) -> None:
    """A deadline is over at its very millisecond, and not one before."""
    ledger = shared()
    ledger.tick(at(9))
    assert_refused(ask(ledger, **said), "DEADLINE_PASSED", words, "shows 2026-10-12 09:00")
    ledger = shared()
    ledger.tick(at(9) - timedelta(milliseconds=1))
    ledger.applied(ask(ledger, **said))


@pytest.mark.parametrize(
    ("policy", "minutes", "said"),
    [
        (limits(min_minutes=30), 29, "29 minutes, 30 at least"),
        (limits(min_minutes=30), 30, None),
        (limits(max_minutes=60), 61, "61 minutes, 60 at most"),
        (limits(max_minutes=60), 60, None),
        (limits(minutes_per_day=90), 91, "91 minutes, a member gets 90 a day"),
        (limits(minutes_per_day=90), 90, None),
    ],
)
def test_a_request_keeps_within_the_lengths_that_can_be_booked(
    policy: r.BookingPolicy, minutes: int, said: str | None
) -> None:
    """The limits are the owner's; the bounds belong to what is allowed."""
    ledger = shared(policy=policy)
    entry = ask(ledger, end=at(9) + timedelta(minutes=minutes))
    if said is None:
        ledger.applied(entry)
    else:
        assert_refused(entry, "QUOTA_EXCEEDED", said)


def test_a_begun_minute_counts() -> None:
    """One millisecond more than the longest booking is too long."""
    ledger = shared(policy=limits(max_minutes=60))
    entry = ask(ledger, end=at(10) + timedelta(milliseconds=1))
    assert_refused(entry, "QUOTA_EXCEEDED", "61 minutes")


def test_a_request_is_not_made_too_far_ahead() -> None:
    """Counted from the ledger's clock; before its first look at the clock there is no ahead."""
    ledger = shared(policy=limits(horizon_days=2))
    ledger.applied(ask(ledger, "r0"))
    ledger.tick(at(9, day=10))
    ledger.applied(ask(ledger))
    late = ask(ledger, "r2", start=at(9) + timedelta(milliseconds=1))
    assert_refused(late, "QUOTA_EXCEEDED", "2 days ahead", "2 at most")


@pytest.mark.parametrize("has", [None, "gpc-advanced"])
def test_a_user_has_the_qualification_asked_for(has: str | None) -> None:
    """Otherwise the owner trains the user first."""
    ledger = shared(policy=limits(qualification="gpc-basic"))
    assert_refused(ask(ledger, qualification=has), "ILLEGAL_TRANSITION", "gpc-basic", has or "none")
    ledger.applied(ask(ledger, "r2", qualification="gpc-basic"))


@pytest.mark.parametrize(
    ("start", "end", "meets"),
    [
        (at(7), at(9), False),
        (at(8), at(9, 1), True),
        (at(9, 30), at(9, 40), True),
        (at(8), at(12), True),
        (at(10), at(11), False),
    ],
)
def test_no_time_in_an_outage_can_be_asked_for(start: datetime, end: datetime, meets: bool) -> None:
    """Outage from nine to ten: who leaves at nine or comes at ten does not meet it."""
    ledger = shared(outages=(r.Outage(at(9), at(10), None),))
    entry = ask(ledger, start=start, end=end)
    if meets:
        assert_refused(
            entry, "SLOT_CONFLICT", "out of service from 2026-10-12 09:00 to 2026-10-12 10:00"
        )
    else:
        ledger.applied(entry)


@pytest.mark.parametrize("status", ["funded", "active"])
def test_a_request_under_a_project_waits_for_it_and_needs_it_running(status: str) -> None:
    """The project is why the time is given."""
    ledger = shared()
    assert_waits(ask(ledger, project_id="p1"), "UNKNOWN_REFERENCE", "project p1")
    ledger.applied(ledger.project("p1", OTHER, status=status))
    assert state_of(ledger) == "requested"
    stranger = ask(ledger, "r2", home=FOURTH, project_id="p1")
    assert_refused(stranger, "ILLEGAL_TRANSITION", f"project p1 is {status}, of {HOME}, {OTHER}")


@pytest.mark.parametrize("status", ["submitted", "completed"])
def test_a_project_that_does_not_run_gives_no_reason_for_a_request(status: str) -> None:
    """It is not granted yet, or over."""
    ledger = shared()
    steps = ("active", "completed") if status == "completed" else (status,)
    for step in steps:
        ledger.applied(ledger.project("p1", OTHER, status=step))
    assert_refused(ask(ledger, project_id="p1"), "ILLEGAL_TRANSITION", f"is {status}")


@pytest.mark.parametrize("state", ["associated", "active"])
def test_a_request_under_an_enrollment_waits_for_it_and_needs_it_open(state: str) -> None:
    """A student of another member, or at another, gets no time by it."""
    ledger = shared()
    assert_waits(ask(ledger, "r0", enrollment_id="e1"), "UNKNOWN_REFERENCE", "enrollment e1")
    ledger.enrolled("e1", state)
    ledger.applied(ask(ledger, enrollment_id="e1"))
    other = ask(ledger, "r2", home=OTHER, enrollment_id="e1")
    assert_refused(other, "ILLEGAL_TRANSITION", f"e1 is {state}, of a student of {HOME} at {HOST}")
    ledger.applied(share(ledger, resource_id="library", owner=OTHER))
    elsewhere = ask(ledger, "r3", resource_id="library", owner=OTHER, enrollment_id="e1")
    assert_refused(elsewhere, "ILLEGAL_TRANSITION", f"wanted one of {HOME} at {OTHER}")


@pytest.mark.parametrize("state", ["pending", "finished"])
def test_an_enrollment_that_is_not_open_gives_no_reason(state: str) -> None:
    """The student is not there yet, or no more."""
    ledger = shared()
    ledger.enrolled("e1", state)
    assert ledger.find(Enrollment, "e1").state == state
    assert_refused(ask(ledger, enrollment_id="e1"), "ILLEGAL_TRANSITION", f"is {state}")


@pytest.mark.parametrize(
    ("state", "fits"),
    [
        ("proposed", False),
        ("approved", True),
        ("ongoing", True),
        ("mid_checked", True),
        ("completed", False),
        ("graded", False),
        ("terminated", False),
    ],
)
def test_a_request_under_a_placement_waits_for_it_and_needs_it_open(state: str, fits: bool) -> None:
    """A placement counts from its approval to its last day of work."""
    ledger = shared()
    assert_waits(ask(ledger, "r0", placement_id="s1"), "UNKNOWN_REFERENCE", "placement s1")
    placement = Placement(
        placement_id="s1", home=HOME, host=HOST, students=("student",), guides=(HOME,), state=state,
        year="2026-2027", agreement_id=None, ends_ms=to_millis(at(0)),
    )  # fmt: skip
    ledger.state.things["placement"] = {"s1": placement}
    entry = ask(ledger, placement_id="s1")
    if fits:
        ledger.applied(entry)
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"placement s1 is {state}")
    other = ask(ledger, "r2", home=OTHER, placement_id="s1")
    assert_refused(other, "ILLEGAL_TRANSITION", f"wanted one of {OTHER}")


ACCESS_STATES = (
    "requested",
    "waitlisted",
    "approved",
    "denied",
    "cancelled",
    "no_show",
    "used",
    "expired",
)


def reached(state: str, capacity: int = 1) -> Ledger:
    """A ledger in which request r1 is in that state."""
    ledger = shared(capacity=capacity)
    ledger.applied(ask(ledger))
    if state == "expired":
        ledger.tick(at(9))
    elif state != "requested":
        if state not in ("waitlisted", "approved", "denied", "cancelled"):
            ledger.applied(answer(ledger, "approved"))
        ledger.applied(use(ledger) if state == "used" else answer(ledger, state))
    assert state_of(ledger) == state
    return ledger


def test_a_request_that_replaces_another_waits_for_it() -> None:
    """They come from one member, and yet perhaps from two of its systems."""
    ledger = shared()
    assert_waits(ask(ledger, "r2", replaces_request_id="r1"), "UNKNOWN_REFERENCE", "access r1")
    ask(ledger)
    assert state_of(ledger, "r2") == "requested"


@pytest.mark.parametrize("state", ACCESS_STATES)
def test_only_an_open_request_is_replaced(state: str) -> None:
    """What is closed needs no replacing."""
    ledger = reached(state)
    entry = ask(ledger, "r2", start=at(14), end=at(15), replaces_request_id="r1")
    if state in ("requested", "waitlisted", "approved"):
        ledger.applied(entry)
        assert state_of(ledger) == state, "it falls away only when the new one is approved"
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"request r1 is {state}")


def test_a_request_replaces_only_one_of_the_same_member_and_resource() -> None:
    """Nobody gives up what is another's, nor time on another instrument."""
    ledger = shared()
    ask(ledger)
    other = ask(ledger, "r2", home=OTHER, replaces_request_id="r1")
    assert_refused(other, "ILLEGAL_TRANSITION", f"of {HOME} for gpc", f"open one of {OTHER}")
    share(ledger, resource_id="nmr")
    elsewhere = ask(ledger, "r3", resource_id="nmr", replaces_request_id="r1")
    assert_refused(elsewhere, "ILLEGAL_TRANSITION", "for nmr")


@pytest.mark.parametrize("state", ["requested", "waitlisted"])
def test_a_request_without_answer_expires_when_it_is_due(state: str) -> None:
    """Home looks for another time; both hear of it, once."""
    ledger = reached(state)
    ledger.tick(at(9) - timedelta(milliseconds=1))
    assert state_of(ledger) == state
    (entry,) = ledger.tick(at(9))
    assert (entry.flags, entry.audience) == (("expired",), (HOME, HOST))
    assert [(c.state, c.next_actors, c.due_at, c.closed) for c in entry.changes] == [
        ("expired", (), None, True)
    ]
    assert ledger.tick(at(10)) == []


def test_the_owner_is_reminded_three_days_before() -> None:
    """The request is still open then."""
    ledger = shared()
    ledger.tick(at(9, day=1))
    ask(ledger)
    (entry,) = ledger.tick(at(9, day=9))
    assert (entry.flags, entry.audience) == (("deadline_near",), (HOST,))
    assert state_of(ledger) == "requested"


@pytest.mark.parametrize("state", ["approved", "denied", "cancelled", "no_show", "used"])
def test_what_was_answered_has_no_deadline(state: str) -> None:
    """A booking stays when its time comes."""
    ledger = reached(state)
    assert ledger.tick(at(12)) == []
    assert state_of(ledger) == state


# Decisions

LEGAL = {
    ("requested", "approved"): "approved",
    ("requested", "denied"): "denied",
    ("requested", "waitlisted"): "waitlisted",
    ("requested", "cancelled"): "cancelled",
    ("waitlisted", "approved"): "approved",
    ("waitlisted", "denied"): "denied",
    ("waitlisted", "cancelled"): "cancelled",
    ("approved", "cancelled"): "cancelled",
    ("approved", "cancelled_by_owner"): "cancelled",
    ("approved", "no_show"): "no_show",
}
DECISIONS = ("approved", "denied", "waitlisted", "cancelled", "cancelled_by_owner", "no_show")


@pytest.mark.parametrize("state", ACCESS_STATES)
@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("by", [HOME, HOST])
def test_a_decision_is_taken_by_its_side_in_its_states(state: str, decision: str, by: str) -> None:
    """The whole table: home may only cancel, the owner does everything else."""
    ledger = reached(state, capacity=2)
    entry = answer(ledger, decision, by=by)
    if by != (HOME if decision == "cancelled" else HOST):
        assert_refused(entry, "NOT_WRITER", by, decision)
    elif (state, decision) in LEGAL:
        ledger.applied(entry)
        assert state_of(ledger) == LEGAL[state, decision]
        assert entry.audience == ((HOST,) if by == HOME else (HOME,))
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"is {state}, {decision} is not possible")


@pytest.mark.parametrize("decision", ["used", "replaced", "requested", "expired", ""])
def test_other_steps_of_the_table_are_no_decisions(decision: str) -> None:
    """They follow from other events or from the clock."""
    assert_refused(answer(reached("approved"), decision), "CONTENT_INVALID", repr(decision))


def test_a_decision_waits_for_its_request() -> None:
    """Two members' outboxes have no order between them."""
    ledger = shared()
    assert_waits(answer(ledger, "approved", decides=1), "UNKNOWN_REFERENCE", "request r1", HOME)
    ask(ledger)
    assert state_of(ledger) == "approved"


@pytest.mark.parametrize("wrong", [{"home": OTHER}, {"owner": OTHER}, {"resource_id": "nmr"}])
def test_a_decision_names_the_parties_of_its_request(wrong: dict[str, str]) -> None:
    """A slip in an id must not decide on another's request."""
    entry = answer(reached("requested"), "approved", **wrong)
    assert_refused(entry, "NOT_WRITER", "r1 is of", *wrong.values())


@pytest.mark.parametrize("decision", ["approved", "denied", "waitlisted"])
@pytest.mark.parametrize("version", [None, 2])
def test_an_answer_cites_the_version_it_looked_at(decision: str, version: int | None) -> None:
    """The home may have said more meanwhile, such as that it cancels."""
    entry = answer(reached("requested"), decision, decides=version)
    assert_refused(entry, "STALE_VERSION", "at version 1", str(version))
    assert entry.about_version == 1


@pytest.mark.parametrize("decision", ["cancelled", "cancelled_by_owner", "no_show"])
def test_what_ends_a_booking_cites_no_version(decision: str) -> None:
    """It is a fact, not an answer."""
    ledger = reached("approved")
    ledger.applied(answer(ledger, decision, decides=None))


def test_an_approval_holds_the_slot_and_its_minutes() -> None:
    """The minutes wait for the use; it is the owner's turn to record it."""
    ledger = shared()
    ask(ledger)
    entry = ledger.applied(answer(ledger, "approved"))
    (held,) = entry.postings
    assert (held.action, held.amount, held.unit, held.pending_id) == (
        "pend",
        120,
        "minute",
        "slot/r1",
    )
    assert (held.source, held.destination) == (f"instrument:{HOST}:{HOME}", f"usage:{HOME}:{HOST}")
    assert minutes_of(ledger) == (120, 0)
    assert slots(ledger) == ["r1"]
    (change,) = entry.changes
    assert (change.state, change.next_actors, change.due_at) == ("approved", (HOST,), None)


@pytest.mark.parametrize("decision", ["denied", "waitlisted"])
def test_other_answers_hold_nothing(decision: str) -> None:
    """Only an approval takes time out of the calendar."""
    ledger = reached("requested")
    assert postings(ledger.applied(answer(ledger, decision))) == []
    assert slots(ledger) == []


@pytest.mark.parametrize("decision", ["cancelled", "cancelled_by_owner", "no_show"])
def test_a_booking_that_falls_away_frees_slot_and_minutes(decision: str) -> None:
    """Another can have the time."""
    ledger = reached("approved")
    assert postings(ledger.applied(answer(ledger, decision))) == [("void", 120)]
    assert minutes_of(ledger) == (0, 0)
    assert slots(ledger) == []
    booked("r2", ledger, home=OTHER)


def test_the_owner_may_give_a_narrower_slot() -> None:
    """What is held is what was given, and that is freed."""
    ledger = reached("requested")
    entry = ledger.applied(answer(ledger, "approved", start=at(9, 30), end=at(10)))
    assert postings(entry) == [("pend", 30)]
    assert ledger.find(AccessRequest, "r1").span == Span(to_millis(at(9, 30)), to_millis(at(10)))
    booked("r2", ledger, home=OTHER, start=at(10), end=at(11))
    assert postings(ledger.applied(answer(ledger, "cancelled"))) == [("void", 30)]
    assert slots(ledger) == ["r2"]


@pytest.mark.parametrize(
    "slot",
    [
        {"start": at(8, 59)},
        {"end": at(11, 1)},
        {"start": at(10), "end": at(10)},
        {"start": at(11)},
        {"end": at(9)},
    ],
)
def test_a_slot_lies_within_the_time_asked_for(slot: dict[str, datetime]) -> None:
    """The user has no other time."""
    entry = answer(reached("requested"), "approved", **slot)
    assert_refused(entry, "CONTENT_INVALID", "request r1 from 2026-10-12 09:00")


def test_an_approval_needs_the_resource_as_it_is_now() -> None:
    """It may have broken down, or be taken out of service, after the request."""
    ledger = reached("requested")
    share(ledger, outages=(r.Outage(at(10, 30), at(12), None),))
    assert_refused(answer(ledger, "approved"), "SLOT_CONFLICT", "out of service from")
    share(ledger, status="outage")
    assert_refused(answer(ledger, "approved"), "ILLEGAL_TRANSITION", "gpc is outage")
    share(ledger, outages=(r.Outage(at(10, 30), at(12), None),))
    ledger.applied(answer(ledger, "approved", end=at(10, 30)))


@pytest.mark.parametrize("capacity", [1, 3])
def test_no_more_bookings_run_at_a_time_than_there_is_room_for(capacity: int) -> None:
    """The owner can approve another slot or let the request wait."""
    ledger = shared(capacity=capacity)
    for number in range(capacity):
        booked(f"b{number}", ledger, home=OTHER)
    ask(ledger, start=at(10, 59), end=at(12))
    full = answer(ledger, "approved")
    assert_refused(full, "SLOT_CONFLICT", f"{capacity} bookings", f"room for {capacity}")
    ledger.applied(answer(ledger, "approved", start=at(11)))


def test_bookings_one_after_the_other_do_not_add_up() -> None:
    """What counts is each moment: two short bookings in a row take one place, not two."""
    ledger = shared(capacity=2)
    booked("b1", ledger, start=at(9), end=at(10))
    booked("b2", ledger, start=at(10), end=at(11))
    booked("r1", ledger)
    ask(ledger, "r2", start=at(10, 59), end=at(12))
    assert_refused(answer(ledger, "approved", "r2"), "SLOT_CONFLICT", "2 bookings")


def test_a_booking_over_midnight_stands_in_both_days() -> None:
    """Whoever asks for the early morning must find it; one that ends at midnight is over."""
    ledger = booked(start=at(23), end=at(1, day=13))
    assert (slots(ledger, 12), slots(ledger, 13)) == (["r1"], ["r1"])
    ask(ledger, "r2", start=at(0, 30, day=13), end=at(2, day=13))
    assert_refused(answer(ledger, "approved", "r2"), "SLOT_CONFLICT")
    answer(ledger, "cancelled")
    assert (slots(ledger, 12), slots(ledger, 13)) == ([], [])
    booked("r3", ledger, start=at(22), end=at(0, day=13))
    assert (slots(ledger, 12), slots(ledger, 13)) == (["r3"], [])


def test_the_minutes_of_a_member_on_a_day_are_limited() -> None:
    """Other members, days and resources do not count, and what was given back neither."""
    ledger = shared(capacity=5, policy=limits(minutes_per_day=150))
    booked("r1", ledger)
    booked("o1", ledger, home=OTHER)
    ask(ledger, "r2", end=at(9, 31))
    entry = answer(ledger, "approved", "r2")
    assert_refused(entry, "QUOTA_EXCEEDED", f"{HOME} has 120 minutes", "31 more", "150")
    ledger.applied(answer(ledger, "approved", "r2", end=at(9, 30)))
    booked("r3", ledger, start=at(9, day=13), end=at(11, day=13))
    share(ledger, resource_id="nmr", policy=limits(minutes_per_day=150))
    ask(ledger, "n1", resource_id="nmr")
    ledger.applied(answer(ledger, "approved", "n1", resource_id="nmr"))
    answer(ledger, "cancelled", "r1")
    booked("r4", ledger)


def test_a_booking_over_midnight_counts_for_the_day_it_begins() -> None:
    """The day is that of Shanghai: eleven at night is three in the afternoon, UTC."""
    ledger = shared(capacity=5, policy=limits(minutes_per_day=120))
    booked("r1", ledger, start=at(23), end=at(1, day=13))
    ask(ledger, "r2", start=at(22), end=at(22, 1))
    assert_refused(answer(ledger, "approved", "r2"), "QUOTA_EXCEEDED", "has 120 minutes")
    booked("r3", ledger, start=at(0, day=13), end=at(2, day=13))


def test_a_booking_that_is_replaced_makes_room_for_the_new_one() -> None:
    """It is never moved: the new one takes its place in one step, so that nobody comes between."""
    ledger = shared(policy=limits(minutes_per_day=120))
    booked("r1", ledger)
    ask(ledger, "r2", start=at(10), end=at(12), replaces_request_id="r1")
    entry = ledger.applied(answer(ledger, "approved", "r2"))
    assert postings(entry) == [("void", 120), ("pend", 120)]
    assert minutes_of(ledger) == (120, 0)
    assert {change.id: change.state for change in entry.changes} == {
        "r2": "approved",
        "r1": "cancelled",
    }
    assert slots(ledger) == ["r2"]
    booked("r3", ledger, home=OTHER, start=at(9), end=at(10))


@pytest.mark.parametrize("state", ["requested", "waitlisted"])
def test_a_request_that_is_replaced_before_its_approval_held_nothing(state: str) -> None:
    """Only the new one is booked, and the deadline of the old one is gone with it."""
    ledger = reached(state)
    ask(ledger, "r2", start=at(10), end=at(12), replaces_request_id="r1")
    assert postings(ledger.applied(answer(ledger, "approved", "r2"))) == [("pend", 120)]
    assert state_of(ledger) == "cancelled"
    assert ledger.tick(at(9)) == []


@pytest.mark.parametrize("decision", ["denied", "waitlisted"])
def test_a_booking_stays_while_its_replacement_is_not_approved(decision: str) -> None:
    """Asking for another time must not cost the one there is."""
    ledger = reached("approved")
    ask(ledger, "r2", start=at(10), end=at(12), replaces_request_id="r1")
    ledger.applied(answer(ledger, decision, "r2"))
    assert (state_of(ledger), slots(ledger)) == ("approved", ["r1"])


def test_a_booking_that_was_used_is_replaced_no_more() -> None:
    """What happened stays in the calendar and counts."""
    ledger = reached("approved")
    ask(ledger, "r2", start=at(10), end=at(12), replaces_request_id="r1")
    ledger.applied(use(ledger))
    assert_refused(answer(ledger, "approved", "r2"), "SLOT_CONFLICT")
    ledger.applied(answer(ledger, "approved", "r2", start=at(11)))
    assert state_of(ledger) == "used"


def test_an_owner_books_its_own_resource_in_the_same_calendar() -> None:
    """Its people and those of the others meet at one instrument."""
    ledger = booked(home=HOST)
    ask(ledger, "r2")
    assert_refused(answer(ledger, "approved", "r2"), "SLOT_CONFLICT")


# Use


@pytest.mark.parametrize(
    ("end", "moved", "posted"),
    [
        (at(11), [("post", 120)], 120),
        (at(10), [("post", 60), ("void", 60)], 60),
        (at(11, 30), [("post", 120), ("move", 30)], 150),
    ],
)
def test_use_posts_the_minutes_as_they_were(
    end: datetime, moved: list[tuple[str, int]], posted: int
) -> None:
    """What was held and not used goes back, what was used beyond it is added."""
    ledger = booked()
    entry = ledger.applied(use(ledger, end=end))
    assert postings(entry) == moved
    assert minutes_of(ledger) == (0, posted)
    assert entry.audience == (HOME,)
    assert [(c.kind, c.state, c.next_actors) for c in entry.changes] == [
        ("usage", "recorded", (HOST,)),
        ("access", "used", ()),
    ]
    assert slots(ledger) == ["r1"], "it happened"


def test_use_without_a_booking_moves_its_minutes_at_once() -> None:
    """People walk in; the minutes count like others."""
    ledger = shared()
    entry = ledger.applied(use(ledger, request_id=None, end=at(9) + timedelta(seconds=90)))
    assert postings(entry) == [("move", 2)]
    assert minutes_of(ledger) == (0, 2)


def test_a_use_waits_for_resource_and_request() -> None:
    """The owner's record may overtake the home's request."""
    ledger = Ledger()
    assert_waits(use(ledger), "UNKNOWN_REFERENCE", "resource gpc")
    share(ledger)
    assert [entry.outcome for entry in ledger.last] == ["applied", "parked"]
    assert_waits(ledger.last[1], "UNKNOWN_REFERENCE", "request r1")
    ask(ledger)
    assert ledger.last[1].reason == "ILLEGAL_TRANSITION", "known now, and not approved"


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        ({"owner": OTHER}, "NOT_WRITER", f"belongs to {HOST}"),
        ({"home": STRANGER}, "UNKNOWN_MEMBER", STRANGER),
        ({"home": OTHER}, "NOT_WRITER", f"r1 is of {HOME}"),
        ({"end": at(9)}, "CONTENT_INVALID", "after the start"),
        ({"samples": -1}, "CONTENT_INVALID", "-1 samples"),
        ({"charge": cny("-1")}, "CONTENT_INVALID", "-1.000 cny"),
        ({"waived": True, "waive_reason": None}, "CONTENT_INVALID", "why"),
        ({"waived": True, "waive_reason": " "}, "CONTENT_INVALID", "why"),
        ({"supersedes_usage_id": "u1"}, "CONTENT_INVALID", "itself"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(
    said: dict[str, Any], reason: str, words: str
) -> None:
    """Minutes and money move by it, so it is looked at closely."""
    assert_refused(use(booked(), **said), reason, words)


def test_a_request_for_another_resource_covers_no_use_of_this_one() -> None:
    """The booking of one instrument says nothing about another."""
    ledger = booked()
    share(ledger, resource_id="nmr")
    assert_refused(use(ledger, resource_id="nmr"), "NOT_WRITER", "for gpc", "nmr")


@pytest.mark.parametrize("state", [state for state in ACCESS_STATES if state != "approved"])
def test_only_an_approved_request_is_used_and_only_once(state: str) -> None:
    """The minutes of any other are not held."""
    entry = use(reached(state), "u2")
    assert_refused(entry, "ILLEGAL_TRANSITION", f"request r1 is {state}, wanted approved")


@pytest.mark.parametrize(
    ("said", "unit", "milli"),
    [
        ({"charge": cny("140.5")}, "cny", 140_500),
        ({"charge": cny("2", "X-Token")}, "x-token", 2000),
        ({"charge": cny("0")}, "cny", 0),
        ({"charge": cny("5"), "waived": True, "waive_reason": "training"}, "cny", 0),
        ({"charge": None}, "cny", 0),
    ],
)
def test_a_charge_is_owed_unless_it_is_waived(said: dict[str, Any], unit: str, milli: int) -> None:
    """In thousandths of its unit, from the owner's side to the home's."""
    ledger = booked()
    entry = ledger.applied(use(ledger, **said))
    assert owed(ledger, unit) == milli
    assert len(entry.postings) == 1 + (milli > 0)


def test_a_record_is_validated_once_and_moves_nothing_then() -> None:
    """The same content again, as final."""
    ledger = booked()
    use(ledger, charge=cny("140"))
    assert_refused(use(ledger, charge=cny("140")), "ILLEGAL_TRANSITION", "u1 is recorded")
    entry = ledger.applied(use(ledger, charge=cny("140"), validated=True))
    assert postings(entry) == []
    assert entry.audience == (HOME,)
    assert [(c.state, c.next_actors) for c in entry.changes] == [("validated", ())]
    again = use(ledger, charge=cny("140"), validated=True)
    assert_refused(again, "ILLEGAL_TRANSITION", "u1 is validated")


@pytest.mark.parametrize(
    "other",
    [
        {"home": OTHER},
        {"request_id": None},
        {"start": at(8)},
        {"end": at(12)},
        {"charge": cny("150")},
        {"waived": True, "waive_reason": "training"},
        {"supersedes_usage_id": "u0"},
    ],
)
def test_a_record_is_not_changed_by_validating_it(other: dict[str, Any]) -> None:
    """Other minutes or another charge would stand in the record and not in the book; a new record supersedes."""
    ledger = booked()
    use(ledger, charge=cny("140"))
    entry = use(ledger, **({"charge": cny("140"), "validated": True} | other))
    assert_refused(entry, "ILLEGAL_TRANSITION", "u1 is recorded", "charged 140 cny", "supersedes")


def test_a_record_may_be_valid_from_the_start() -> None:
    """Not every owner looks twice."""
    ledger = booked()
    ledger.applied(use(ledger, validated=True))
    assert ledger.find(Usage, "u1").state == "validated"


@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize("request_id", ["r1", None])
def test_a_superseding_record_takes_back_all_that_the_old_one_moved(
    validated: bool, request_id: str | None
) -> None:
    """The way back is a reversal; nothing is edited. Even what was validated can be mended."""
    ledger = booked()
    use(ledger, request_id=request_id, charge=cny("140"), validated=validated)
    entry = ledger.applied(
        use(
            ledger,
            "u2",
            request_id=request_id,
            end=at(10),
            charge=cny("70"),
            supersedes_usage_id="u1",
        )
    )
    assert postings(entry) == [
        ("reverse", 120),
        ("reverse", 140_000),
        ("move", 60),
        ("move", 70_000),
    ]
    held = 0 if request_id else 120
    assert (minutes_of(ledger), owed(ledger)) == ((held, 60), 70_000)
    assert [(c.id, c.state, c.closed) for c in entry.changes] == [
        ("u2", "recorded", False),
        ("u1", "superseded", True),
    ]


def test_a_superseding_record_may_waive_or_add_a_charge() -> None:
    """Old and new charge are weighed each for itself."""
    ledger = booked()
    use(ledger, charge=cny("140"))
    waived = {"charge": cny("140"), "waived": True, "waive_reason": "instrument failed"}
    ledger.applied(use(ledger, "u2", supersedes_usage_id="u1", **waived))
    assert owed(ledger) == 0
    ledger.applied(use(ledger, "u3", supersedes_usage_id="u2", charge=cny("9", "x-token")))
    assert (owed(ledger), owed(ledger, "x-token")) == (0, 9000)
    assert minutes_of(ledger) == (0, 120)


def test_a_superseding_record_waits_for_the_old_one() -> None:
    """An owner may have several systems."""
    ledger = booked()
    assert_waits(use(ledger, "u2", supersedes_usage_id="u1"), "UNKNOWN_REFERENCE", "usage u1")
    ledger.applied(use(ledger))
    assert ledger.find(Usage, "u1").state == "superseded"
    assert minutes_of(ledger) == (0, 120)


def test_a_superseding_record_is_about_the_same_use() -> None:
    """Same resource, home and request, and each record is superseded once."""
    ledger = booked()
    share(ledger, resource_id="nmr")
    use(ledger)
    old = {"supersedes_usage_id": "u1"}
    assert_refused(use(ledger, "u2", home=OTHER, **old), "NOT_WRITER", f"by {HOME}", OTHER)
    assert_refused(use(ledger, "u3", resource_id="nmr", **old), "NOT_WRITER", "of gpc", "nmr")
    other = use(ledger, "u4", request_id=None, **old)
    assert_refused(other, "CONTENT_INVALID", "under request r1", "None")
    ledger.applied(use(ledger, "u5", **old))
    assert_refused(use(ledger, "u6", **old), "ILLEGAL_TRANSITION", "u1 is superseded")
    assert_refused(use(ledger, validated=True), "ILLEGAL_TRANSITION", "u1 is superseded")


# What holds of all of them


def test_the_audit_finds_a_resource_with_too_many_bookings() -> None:
    """From the requests, not from the calendar that the rules trust."""
    ledger = booked()
    assert Audit().finish(ledger.state) == []
    ledger.state.things["calendar"].clear()
    booked("r2", ledger, home=OTHER, start=at(10), end=at(12))
    assert Audit().finish(ledger.state) == [
        ("L7", "resource gpc: 2 bookings at a time, room for 1")
    ]


def test_campuses_are_told_of_every_change_and_agree_on_few_words() -> None:
    """What reconciliation compares."""
    ledger = booked()
    use(ledger, end=at(10))
    request, usage = ledger.find(AccessRequest, "r1"), ledger.find(Usage, "u1")
    assert (request.summary(), usage.summary()) == ("used", "recorded, 60 minutes")
    assert request.concerned() == usage.concerned() == {HOME, HOST}


@pytest.mark.parametrize(
    ("event", "life"),
    [
        ("lab.resource-changed", RESOURCE),
        ("lab.access-requested", ACCESS),
        ("lab.access-decided", ACCESS),
        ("lab.usage-recorded", USAGE),
    ],
)
def test_each_file_offers_its_table(event: str, life: object) -> None:
    """The catalogue prints it; unknown references wait in all but the first."""
    found = event_rules()[event]
    assert found.life is life
    assert (Reason.UNKNOWN_REFERENCE in found.reasons) == (life is not RESOURCE)


def test_events_read_as_sentences() -> None:
    """For people, with names, amounts and Shanghai's time."""
    ledger, names = Ledger(), Names({HOME: ("Sichuan", "川大"), HOST: ("Chongqing", "重大")})
    said = [
        sentence(ledger.record("lab.resource-changed"), names),
        sentence(ledger.record("lab.access-requested"), names),
        sentence(ledger.record("lab.access-decided"), names),
        sentence(ledger.record("lab.access-decided", decision="cancelled", by=HOME), names),
        sentence(ledger.record("lab.usage-recorded"), names),
    ]
    assert [line.en for line in said] == [
        "Chongqing shares Gel permeation chromatograph, room for 1 at a time (operational)",
        "Sichuan asks Chongqing for 10611-chem-gpc-02 from 2027-04-26 09:00 to 2027-04-26 11:00: "
        "Molar mass of recycled polyethylene samples",
        "Chongqing approves the request of Sichuan for 10611-chem-gpc-02",
        "Sichuan cancels its request for 10611-chem-gpc-02 of Chongqing",
        "Chongqing records 105 minutes on 10611-chem-gpc-02 used by Sichuan, 140 cny charged",
    ]
    assert [line.zh for line in said] == [
        "重大共享“凝胶渗透色谱仪”，可同时容纳1项预约（开放）",
        "川大向重大申请使用10611-chem-gpc-02，2027-04-26 09:00至2027-04-26 11:00：回收聚乙烯样品的分子量测定",
        "重大对川大使用10611-chem-gpc-02的申请：批准",
        "川大取消对重大10611-chem-gpc-02的使用申请",
        "重大记录川大使用10611-chem-gpc-02共105分钟，收费140 cny",
    ]


def test_sentences_bear_the_last_moment_there_is() -> None:
    """It has no date in Shanghai, and a member may write it."""
    last = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
    for event in ("lab.access-requested", "lab.access-decided", "lab.usage-recorded"):
        assert all(sentence(Ledger().record(event, start=last, end=last), Names({})))
