"""Rules of appointments and of the hours taught under them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from hub.domain.quantities import HOUR, PLACE
from hub.domain.teaching import APPOINTMENT, DELIVERY, Appointment, Delivery
from hub.events import Names, sentence
from hub.events.teaching import appointment_changed, delivered
from hub.ledger.posting import (
    filled_account,
    hours_account,
    lent_account,
    quota_account,
    taught_account,
    workload_account,
)
from schemas import records as r
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

NAMES = Names({HOME: ("Sichuan University", "四川大学"), HOST: ("Chongqing", "重庆大学")})
# Who takes a step when the home proposed.
SIGNERS = {"proposed": HOME, "approved": HOST, "declined": HOST, "started": HOST, "ended": HOST, "revoked": HOME}  # fmt: skip
WAYS = {
    "": (),
    "proposed": ("proposed",),
    "approved": ("proposed", "approved"),
    "declined": ("proposed", "declined"),
    "active": ("proposed", "approved", "started"),
    "ended": ("proposed", "approved", "started", "ended"),
    "revoked": ("proposed", "revoked"),
}
HOURS_SIGNERS = {"reported": HOST, "confirmed": HOME, "disputed": HOME, "offered": HOST, "settled": HOME}  # fmt: skip
HOURS_WAYS = {
    "": (),
    "reported": ("reported",),
    "confirmed": ("reported", "confirmed"),
    "disputed": ("reported", "disputed"),
    "offered": ("reported", "disputed", "offered"),
    "settled": ("reported", "disputed", "offered", "settled"),
}


def hours(amount: str) -> Decimal:
    """As a schema writes them, three decimals."""
    return Decimal(amount).quantize(Decimal("0.001"))


def appoint(ledger: Ledger, step: str, **said: Any) -> r.Entry:
    """A step of appointment `a1`: a teacher of HOME at HOST for at most 12 hours."""
    facts = {
        "appointment_id": "a1", "staff_id": "t1", "home": HOME, "host": HOST, "offering_id": None,
        "max_hours": hours("12"), "by": SIGNERS.get(step, HOST),
    } | said  # fmt: skip
    return ledger.tell("teaching.appointment-changed", step=step, **facts)


def teach(ledger: Ledger, step: str, amount: str = "8", **said: Any) -> r.Entry:
    """A step of delivery `d1` under `a1`: 8 hours."""
    facts = {
        "delivery_id": "d1", "appointment_id": "a1", "staff_id": "t1", "home": HOME, "host": HOST,
        "hours": hours(amount), "by": HOURS_SIGNERS.get(step, HOST),
    } | said  # fmt: skip
    return ledger.tell("teaching.delivered", step=step, **facts)


def appointed(state: str, **said: Any) -> Ledger:
    """A ledger with appointment `a1` in that state; its members have said what leads there."""
    ledger = Ledger()
    for step in WAYS[state]:
        ledger.applied(appoint(ledger, step, **said))
    return ledger


def taught(state: str, amount: str = "8", **said: Any) -> Ledger:
    """A ledger with delivery `d1` in that state, under an active appointment."""
    ledger = appointed("active", **said)
    for step in HOURS_WAYS[state]:
        ledger.applied(teach(ledger, step, amount))
    return ledger


def agreed(ledger: Ledger, *quotas: tuple[str, str, int], kind: str = "teacher") -> None:
    """Agreement `g1` between HOME and HOST in effect for 2026-2027, with those quotas."""
    conditions = replace(
        ledger.record("agreement.changed").conditions,
        kind=kind, first_year="2026-2027", last_year="2026-2027",
        quotas=tuple(r.AgreementQuota(*quota) for quota in quotas),
    )  # fmt: skip
    for step, party in (("proposed", HOME), ("approved", HOST)):
        said = {"party": party, "parties": (HOME, HOST), "conditions": conditions, "step": step}
        ledger.applied(ledger.tell("agreement.changed", agreement_id="g1", **said))


def places(ledger: Ledger) -> tuple[int, int, int]:
    """Places of HOME at HOST under `g1`: left, reserved, filled."""
    book, where = ledger.state.book, ("g1", HOME, HOST, "2026-2027")
    filled = book.balance(filled_account(*where), PLACE)
    left = book.balance(quota_account(*where), PLACE).available
    return left, filled.pending_in, filled.posted_in


def lent(ledger: Ledger) -> tuple[int, int]:
    """Thousandths of hours of HOME's teachers at HOST: pending, and agreed."""
    balance = ledger.state.book.balance(lent_account(HOME, HOST), HOUR)
    return balance.pending_in, balance.posted_in


def stock(ledger: Ledger) -> int:
    """Thousandths of hours left under `a1`."""
    return ledger.state.book.balance(hours_account("a1"), HOUR).available


def turn(entry: r.Entry) -> tuple[str, ...]:
    """Whose turn it is after an entry with one change."""
    (change,) = entry.changes
    return change.next_actors


# Appointments


def test_the_life_of_an_appointment_is_the_agreed_one() -> None:
    """What campuses were told, line by line; the tests below take the table for granted."""
    agreed_lines = """
        proposed approved approved
        proposed declined declined
        approved started active
        active ended ended
        proposed revoked revoked
        approved revoked revoked
        active revoked revoked
    """
    lines = [line.split() for line in agreed_lines.strip().splitlines()]
    table = {(step.before, step.name): step.after for step in APPOINTMENT.steps if step.before}
    assert {(before, step): after for before, step, after in lines} == table


@pytest.mark.parametrize("signer", [HOME, HOST])
@pytest.mark.parametrize("step", SIGNERS)
@pytest.mark.parametrize("state", WAYS)
def test_an_appointment_goes_on_only_along_its_table_by_the_right_side(
    state: str, step: str, signer: str
) -> None:
    """Home proposed: the host answers, starts and ends; both may revoke. The wrong side is told before the state is."""
    ledger = appointed(state)
    entry = appoint(ledger, step, by=signer)
    right = step in ("proposed", "revoked") or signer == HOST
    if step == "proposed":
        if state:
            assert_refused(entry, "ILLEGAL_TRANSITION", "a1", state, "id of its own")
        else:
            assert entry.outcome == "applied"
    elif not state:
        assert_waits(entry, "UNKNOWN_REFERENCE", "a1", HOME, HOST)
    elif not right:
        assert_refused(entry, "NOT_WRITER", f"{step} is stated by {HOST}", f"ask {HOST}")
    elif reached := APPOINTMENT.step(state, step):
        assert entry.outcome == "applied", entry.detail
        assert ledger.find(Appointment, "a1").state == reached.after
        assert {entry.member, *entry.audience} == {HOME, HOST}
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"is {state}", step, "possible:")
        assert ledger.find(Appointment, "a1").state == state


@pytest.mark.parametrize(("proposer", "counterpart"), [(HOME, HOST), (HOST, HOME)])
@pytest.mark.parametrize("step", ["approved", "declined"])
def test_the_side_that_did_not_propose_answers(proposer: str, counterpart: str, step: str) -> None:
    """A host asks for a teacher as often as a home offers one; nobody answers oneself."""
    ledger = Ledger()
    entry = ledger.applied(appoint(ledger, "proposed", by=proposer))
    assert turn(entry) == (counterpart,)
    assert entry.audience == (counterpart,)
    assert_refused(appoint(ledger, step, by=proposer), "NOT_WRITER", f"ask {counterpart}")
    entry = ledger.applied(appoint(ledger, step, by=counterpart))
    assert entry.audience == (proposer,)
    assert turn(entry) == ((HOST,) if step == "approved" else ())


@pytest.mark.parametrize(
    ("state", "actors"),
    [("proposed", (HOST,)), ("approved", (HOST,)), ("active", (HOST,)), ("declined", ()), ("ended", ()), ("revoked", ())],
)  # fmt: skip
def test_the_host_is_next_from_approval_to_the_end(state: str, actors: tuple[str, ...]) -> None:
    """The host sees the teacher come and go; closed appointments wait for nobody."""
    ledger = appointed(state)
    (change,) = ledger.last[0].changes
    assert (change.kind, change.id, change.state) == ("appointment", "a1", state)
    assert change.next_actors == actors
    assert change.closed == (actors == ())


def test_a_step_nobody_knows_is_refused() -> None:
    """The steps are listed; it is told before anything else."""
    entry = appoint(Ledger(), "paused", host="99999")
    assert_refused(entry, "CONTENT_INVALID", "'paused'", "approved, declined")


def test_an_appointment_is_between_two_members() -> None:
    """A code that is no member would wait for ever; lending to oneself is no business of the alliance."""
    ledger = Ledger()
    assert_refused(appoint(ledger, "proposed", host="99999"), "UNKNOWN_MEMBER", "99999")
    assert_refused(appoint(ledger, "proposed", home="99999"), "UNKNOWN_MEMBER", "99999")
    entry = appoint(ledger, "proposed", host=HOME)
    assert_refused(entry, "ILLEGAL_TRANSITION", f"between {HOME} and itself")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"from_date": date(2027, 1, 16), "to_date": date(2027, 1, 15)}, "before its first day 2027-01-16"),
        ({"max_hours": hours("0")}, "lends 0.000 hours"),
        ({"max_hours": hours("-1")}, "lends -1.000 hours"),
    ],
)  # fmt: skip
def test_an_appointment_has_days_in_order_and_hours_above_zero(said: Any, told: str) -> None:
    """A limit of no hours would lend nothing; without a limit the field is empty."""
    assert_refused(appoint(Ledger(), "proposed", **said), "CONTENT_INVALID", told)


def test_one_day_is_an_appointment() -> None:
    """A guest lecture begins and ends on the same day."""
    ledger = Ledger()
    day = date(2026, 10, 9)
    ledger.applied(appoint(ledger, "proposed", from_date=day, to_date=day, max_hours=hours("0.5")))


def test_an_appointment_that_would_be_over_is_not_proposed() -> None:
    """The last day is over when it has ended in Shanghai, and not a moment before."""
    ledger = Ledger()
    ledger.tick(datetime(2027, 1, 15, 15, 59, 58, tzinfo=UTC))
    ledger.applied(appoint(ledger, "proposed", appointment_id="a0"))
    ledger.tick(datetime(2027, 1, 15, 16, tzinfo=UTC))
    entry = appoint(ledger, "proposed")
    assert_refused(entry, "DEADLINE_PASSED", "2027-01-15", "2027-01-16", "later day")


def test_an_appointment_waits_for_its_course() -> None:
    """Two outboxes have no order between them."""
    ledger = Ledger()
    entry = appoint(ledger, "proposed", offering_id="calculus")
    assert_waits(entry, "UNKNOWN_REFERENCE", "calculus", f"offering.changed of {HOST}")
    ledger.offer("calculus")
    assert ledger.last[1].outcome == "applied"


def test_the_course_is_the_hosts() -> None:
    """A teacher lent to one member does not teach another's course."""
    ledger = Ledger()
    ledger.offer("calculus", host=OTHER)
    entry = appoint(ledger, "proposed", offering_id="calculus")
    assert_refused(entry, "NOT_WRITER", f"belongs to {OTHER}", HOST)


@pytest.mark.parametrize("said", [{"staff_id": "t2"}, {"home": OTHER}, {"host": FOURTH}])
def test_a_later_step_names_the_same_people(said: dict[str, str]) -> None:
    """Else a step would reach another member's appointment."""
    ledger = appointed("proposed")
    assert_refused(appoint(ledger, "approved", **said), "NOT_WRITER", "t1", HOME, HOST, "correct")


def test_a_step_that_overtook_the_proposal_waits_for_it() -> None:
    """The host's word may be here before the home's."""
    ledger = Ledger()
    assert_waits(appoint(ledger, "approved"), "UNKNOWN_REFERENCE", "a1", "proposal")
    appoint(ledger, "proposed")
    assert [entry.outcome for entry in ledger.last] == ["applied", "applied"]
    assert ledger.find(Appointment, "a1").state == "approved"


def test_approval_lends_the_hours_from_the_homes_workload() -> None:
    """In thousandths, at once; a proposal moves nothing."""
    ledger = Ledger()
    assert not postings(ledger.applied(appoint(ledger, "proposed")))
    (lending,) = ledger.applied(appoint(ledger, "approved")).postings
    assert lending == r.Posting("move", workload_account(HOME), hours_account("a1"), HOUR, 12_000, None)  # fmt: skip
    assert stock(ledger) == 12_000


def test_an_appointment_without_a_limit_lends_nothing_beforehand() -> None:
    """Hours then count as they are taught."""
    ledger = appointed("proposed", max_hours=None)
    assert not postings(ledger.applied(appoint(ledger, "approved", max_hours=None)))


@pytest.mark.parametrize(
    ("proposed", "approved", "told"),
    [
        (hours("12"), hours("8"), ("12 hours", "8 hours")),
        (hours("12"), None, ("12 hours", "no limit")),
        (None, hours("8"), ("no limit", "8 hours")),
    ],
)
def test_an_approval_is_of_the_hours_proposed(proposed: Any, approved: Any, told: Any) -> None:
    """Hours move only if both sides signed the same number."""
    ledger = appointed("proposed", max_hours=proposed)
    entry = appoint(ledger, "approved", max_hours=approved)
    assert_refused(entry, "STALE_VERSION", *told, "approve what was proposed")


@pytest.mark.parametrize("step", ["ended", "revoked"])
def test_hours_left_over_stay_lent(step: str) -> None:
    """Reports of hours taught may come after the end; what nobody takes does no harm."""
    ledger = appointed("active")
    assert not postings(ledger.applied(appoint(ledger, step)))
    assert stock(ledger) == 12_000


def test_an_approval_takes_a_place_of_the_agreement_and_the_start_uses_it_up() -> None:
    """One teacher, one place of the year in which the appointment begins."""
    ledger = Ledger()
    agreed(ledger, (HOME, HOST, 2))
    appoint(ledger, "proposed", agreement_id="g1")
    assert places(ledger) == (2, 0, 0)
    entry = ledger.applied(appoint(ledger, "approved"))
    assert postings(entry) == [("move", 12_000), ("pend", 1)]
    assert places(ledger) == (1, 1, 0)
    assert postings(ledger.applied(appoint(ledger, "started"))) == [("post", 1)]
    assert places(ledger) == (1, 0, 1)
    assert not postings(ledger.applied(appoint(ledger, "revoked")))
    assert places(ledger) == (1, 0, 1)


@pytest.mark.parametrize("signer", [HOME, HOST])
def test_revoking_before_the_start_gives_the_place_back(signer: str) -> None:
    """Another teacher can have it."""
    ledger = Ledger()
    agreed(ledger, (HOME, HOST, 1))
    appoint(ledger, "proposed", agreement_id="g1")
    appoint(ledger, "approved")
    assert postings(ledger.applied(appoint(ledger, "revoked", by=signer))) == [("void", 1)]
    assert places(ledger) == (1, 0, 0)


def test_without_a_place_left_an_appointment_is_not_approved() -> None:
    """It stays proposed: agree on more places, or decline. Declining moves nothing."""
    ledger = Ledger()
    agreed(ledger, (HOME, HOST, 1))
    for name in ("a1", "a2"):
        appoint(ledger, "proposed", appointment_id=name, agreement_id="g1")
    ledger.applied(appoint(ledger, "approved"))
    entry = appoint(ledger, "approved", appointment_id="a2")
    assert_refused(entry, "QUOTA_EXCEEDED", "g1", "0 places left", HOME, HOST, "2026-2027")
    assert not postings(ledger.applied(appoint(ledger, "declined", appointment_id="a2")))


def test_an_agreement_without_a_quota_for_the_direction_sets_no_limit() -> None:
    """The quota of the other direction is not touched."""
    ledger = Ledger()
    agreed(ledger, (HOST, HOME, 0))
    appoint(ledger, "proposed", agreement_id="g1", max_hours=None)
    assert not postings(ledger.applied(appoint(ledger, "approved", max_hours=None)))


def test_an_appointment_waits_for_its_agreement() -> None:
    """The agreement's entry may be a moment later."""
    ledger = Ledger()
    assert_waits(appoint(ledger, "proposed", agreement_id="g1"), "UNKNOWN_REFERENCE", "g1")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("student_studies", {}),
        ("teacher", {"host": OTHER}),
        ("teacher", {"from_date": date(2027, 9, 1), "to_date": date(2027, 12, 31)}),
    ],
)
def test_the_agreement_covers_the_appointment(kind: str, said: dict[str, Any]) -> None:
    """Its kind, its parties, its years: the year is that of the first day."""
    ledger = Ledger()
    agreed(ledger, kind=kind)
    entry = appoint(ledger, "proposed", agreement_id="g1", **said)
    assert_refused(entry, "ILLEGAL_TRANSITION", "g1", kind, "another agreement")


def test_the_host_is_reminded_of_an_appointment_whose_last_day_is_over() -> None:
    """Three days before and at the end; it stays active, only the host knows whether it went on. Else nothing is due."""
    ledger = appointed("approved")
    assert ledger.last[0].changes[0].due_at is None
    ledger.applied(appoint(ledger, "started"))
    assert ledger.last[0].changes[0].due_at == datetime(2027, 1, 15, 16, tzinfo=UTC)
    (near,) = ledger.tick(datetime(2027, 1, 12, 16, tzinfo=UTC))
    assert (near.flags, near.audience) == (("deadline_near",), (HOST,))
    (over,) = ledger.tick(datetime(2027, 1, 15, 16, tzinfo=UTC))
    assert (over.flags, over.audience) == (("deadline_over",), (HOST,))
    assert not over.changes
    assert ledger.find(Appointment, "a1").state == "active"
    ledger.applied(appoint(ledger, "ended"))
    assert ledger.tick(datetime(2027, 3, 1, tzinfo=UTC)) == []


def test_campus_and_ledger_agree_on_state_and_hours_of_an_appointment() -> None:
    """And both sides' campuses hold it, whoever proposed."""
    thing = appointed("approved").find(Appointment, "a1")
    assert thing.summary() == "approved 12 hours"
    assert replace(thing, hours_milli=None).summary() == "approved"
    assert thing.concerned() == {HOME, HOST}


# Hours taught


def test_the_life_of_hours_taught_is_the_agreed_one() -> None:
    """A dispute may go round as often as it takes; nothing is decided by the clock."""
    agreed_lines = """
        reported confirmed confirmed
        reported disputed disputed
        disputed offered offered
        offered settled settled
        offered disputed disputed
    """
    lines = [line.split() for line in agreed_lines.strip().splitlines()]
    table = {(step.before, step.name): step.after for step in DELIVERY.steps if step.before}
    assert {(before, step): after for before, step, after in lines} == table


@pytest.mark.parametrize("signer", [HOME, HOST])
@pytest.mark.parametrize("step", HOURS_SIGNERS)
@pytest.mark.parametrize("state", HOURS_WAYS)
def test_hours_go_on_only_along_their_table_by_the_right_side(
    state: str, step: str, signer: str
) -> None:
    """The host reports and offers, home confirms, disputes and settles. The wrong side is told first."""
    ledger = taught(state)
    entry = teach(ledger, step, by=signer)
    if signer != HOURS_SIGNERS[step]:
        assert_refused(entry, "NOT_WRITER", f"{step} is stated by {HOURS_SIGNERS[step]}")
    elif step == "reported":
        if state:
            assert_refused(entry, "ILLEGAL_TRANSITION", "d1", state, "id of its own")
        else:
            assert entry.outcome == "applied"
    elif not state:
        assert_waits(entry, "UNKNOWN_REFERENCE", "d1", f"report of {HOST}")
    elif reached := DELIVERY.step(state, step):
        assert entry.outcome == "applied", entry.detail
        assert ledger.find(Delivery, "d1").state == reached.after
        assert entry.audience == ((HOST,) if signer == HOME else (HOME,))
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"is {state}", step, "possible:")
        assert ledger.find(Delivery, "d1").state == state


@pytest.mark.parametrize(
    ("state", "actors"),
    [("reported", (HOME,)), ("disputed", (HOST,)), ("offered", (HOME,)), ("confirmed", ()), ("settled", ())],
)  # fmt: skip
def test_whose_turn_it_is_with_hours(state: str, actors: tuple[str, ...]) -> None:
    """Home answers reports and offers, the host answers disputes."""
    assert turn(taught(state).last[0]) == actors


def test_a_step_of_hours_that_nobody_knows_is_refused() -> None:
    """Before the appointment is looked for."""
    assert_refused(teach(Ledger(), "paid"), "CONTENT_INVALID", "'paid'", "confirmed, disputed")


def test_hours_wait_for_their_appointment() -> None:
    """And are parked until it is known, not until it has started."""
    ledger = Ledger()
    entry = teach(ledger, "reported")
    assert_waits(entry, "UNKNOWN_REFERENCE", "a1", "teaching.appointment-changed")
    appoint(ledger, "proposed")
    assert_refused(ledger.last[1], "ILLEGAL_TRANSITION", "a1", "proposed", "active or ended")


@pytest.mark.parametrize("said", [{"staff_id": "t2"}, {"home": OTHER}, {"host": FOURTH}])
def test_hours_are_of_the_appointments_teacher_and_members(said: dict[str, str]) -> None:
    """Else one member would lend another's hours."""
    ledger = appointed("active")
    assert_refused(teach(ledger, "reported", **said), "NOT_WRITER", "a1", "t1", HOME, HOST)


@pytest.mark.parametrize("state", [state for state in WAYS if state])
def test_hours_are_reported_once_the_teacher_has_started(state: str) -> None:
    """After the end, too: reports come at the end of term. Revoked or not begun, nothing was taught."""
    entry = teach(appointed(state), "reported")
    if state in ("active", "ended"):
        assert entry.outcome == "applied", entry.detail
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"a1 is {state}", "active or ended")


@pytest.mark.parametrize(
    ("step", "amount"),
    [("reported", "0"), ("reported", "-1"), ("confirmed", "0"), ("offered", "-1"), ("settled", "-1"), ("disputed", "-1")],
)  # fmt: skip
def test_hours_are_above_zero(step: str, amount: str) -> None:
    """Only an offer may be nothing at all, and what answers it."""
    entry = teach(appointed("active"), step, amount)
    assert_refused(entry, "CONTENT_INVALID", f"{amount} hours", step)


def test_the_period_of_hours_is_in_order() -> None:
    """Its last day is not before the first."""
    ledger = appointed("active")
    entry = teach(ledger, "reported", period_start=date(2026, 10, 2), period_end=date(2026, 10, 1))
    assert_refused(entry, "CONTENT_INVALID", "2026-10-01", "2026-10-02")


def test_reported_hours_come_from_the_stock_of_the_appointment() -> None:
    """They are pending until home has answered."""
    ledger = appointed("active")
    (held,) = ledger.applied(teach(ledger, "reported", "10.5")).postings
    assert held == r.Posting("pend", hours_account("a1"), lent_account(HOME, HOST), HOUR, 10_500, "hours/d1")  # fmt: skip
    assert (stock(ledger), lent(ledger)) == (1_500, (10_500, 0))


def test_hours_without_a_limit_are_counted_from_zero() -> None:
    """There is no stock to run out; what was taught has an account of its own for the two members."""
    ledger = appointed("active", max_hours=None)
    (held,) = ledger.applied(teach(ledger, "reported", "500")).postings
    assert (held.source, held.amount) == (taught_account(HOST, HOME), 500_000)
    ledger.applied(teach(ledger, "confirmed", "500"))
    assert lent(ledger) == (0, 500_000)


def test_no_more_hours_are_reported_than_are_left() -> None:
    """Pending ones count as taken; the last half hour can be had."""
    ledger = appointed("active")
    ledger.applied(teach(ledger, "reported", "11.5"))
    entry = teach(ledger, "reported", "0.501", delivery_id="d2")
    assert_refused(entry, "QUOTA_EXCEEDED", "a1", "0.5 hours left", "0.501 reported")
    ledger.applied(teach(ledger, "reported", "0.5", delivery_id="d3"))


def test_confirmed_hours_count() -> None:
    """All that were reported."""
    ledger = taught("reported")
    assert postings(ledger.applied(teach(ledger, "confirmed"))) == [("post", 8_000)]
    assert (stock(ledger), lent(ledger)) == (4_000, (0, 8_000))


def test_home_confirms_exactly_what_was_reported() -> None:
    """A confirmation of another number was of another report."""
    ledger = taught("reported")
    entry = teach(ledger, "confirmed", "7")
    assert_refused(entry, "STALE_VERSION", "8 hours", "of 7", "dispute")


def test_disputed_hours_are_flagged_to_the_host() -> None:
    """They stay pending; the host must offer others or explain."""
    ledger = taught("reported")
    entry = ledger.applied(teach(ledger, "disputed"))
    assert (entry.flags, postings(entry)) == (("hours_disputed",), [])
    (flagged,) = ledger.last[1:]
    assert (flagged.event_type, flagged.audience) == ("hub.case-flagged", (HOST,))
    assert lent(ledger) == (8_000, 0)


def test_settled_hours_count_and_the_rest_falls_away() -> None:
    """Back to the stock of the appointment."""
    ledger = taught("disputed")
    assert not postings(ledger.applied(teach(ledger, "offered", "6")))
    entry = ledger.applied(teach(ledger, "settled", "6"))
    assert postings(entry) == [("post", 6_000), ("void", 2_000)]
    assert (stock(ledger), lent(ledger)) == (6_000, (0, 6_000))


@pytest.mark.parametrize(("offer", "moved"), [("8", [("post", 8_000)]), ("0", [("void", 8_000)])])
def test_all_or_nothing_can_be_settled(offer: str, moved: list[tuple[str, int]]) -> None:
    """The host may insist on its report, or drop it."""
    ledger = taught("disputed")
    ledger.applied(teach(ledger, "offered", offer))
    assert postings(ledger.applied(teach(ledger, "settled", offer))) == moved


def test_no_more_is_offered_than_was_reported() -> None:
    """More hours are a report of their own."""
    entry = teach(taught("disputed"), "offered", "8.001")
    assert_refused(entry, "QUOTA_EXCEEDED", "8 hours", "8.001 offered")


def test_home_settles_for_exactly_what_was_offered() -> None:
    """Not for what was reported, nor for an offer before the last."""
    ledger = taught("disputed")
    for offer in ("5", "6"):
        ledger.applied(teach(ledger, "offered", offer))
        ledger.applied(teach(ledger, "disputed"))
    ledger.applied(teach(ledger, "offered", "7"))
    for other in ("8", "6"):
        assert_refused(teach(ledger, "settled", other), "STALE_VERSION", "7 hours", f"of {other}")
    ledger.applied(teach(ledger, "settled", "7"))


def test_an_offer_can_be_disputed_again() -> None:
    """The host is told again, and the offer is gone."""
    ledger = taught("offered", "8")
    entry = ledger.applied(teach(ledger, "disputed", "0"))
    assert entry.flags == ("hours_disputed",)
    assert ledger.find(Delivery, "d1").offered_milli is None


def test_later_steps_are_under_the_same_appointment() -> None:
    """The same teacher may have two at the same host."""
    ledger = taught("reported")
    for step in WAYS["active"]:
        ledger.applied(appoint(ledger, step, appointment_id="a2"))
    entry = teach(ledger, "confirmed", appointment_id="a2")
    assert_refused(entry, "NOT_WRITER", "under appointment a1", "a2")


def test_a_confirmation_that_overtook_the_report_waits_for_it() -> None:
    """Home may be quicker through Kafka than the host."""
    ledger = appointed("active")
    assert_waits(teach(ledger, "confirmed"), "UNKNOWN_REFERENCE", "d1", HOST)
    teach(ledger, "reported")
    assert [entry.outcome for entry in ledger.last] == ["applied", "applied"]


def test_home_is_reminded_of_hours_it_should_confirm() -> None:
    """At the day set by the host; nothing is decided for home."""
    ledger = taught("reported")
    assert ledger.last[0].changes[0].due_at == datetime(2027, 2, 1, 16, tzinfo=UTC)
    flags = ledger.tick(datetime(2027, 2, 1, 16, tzinfo=UTC))
    mine = [(entry.flags, entry.audience) for entry in flags if entry.subject == "d1"]
    assert mine == [(("deadline_near",), (HOME,)), (("deadline_over",), (HOME,))]
    assert ledger.find(Delivery, "d1").state == "reported"
    ledger.applied(teach(ledger, "confirmed"))


@pytest.mark.parametrize("state", ["disputed", "offered", "confirmed"])
def test_answered_hours_have_no_deadline(state: str) -> None:
    """The day to confirm was for the report."""
    assert taught(state).find(Delivery, "d1").deadline_ms() is None


def test_hours_may_have_no_day_to_confirm() -> None:
    """Then nobody is reminded."""
    ledger = appointed("active")
    ledger.applied(teach(ledger, "reported", confirm_by=None))
    assert ledger.last[0].changes[0].due_at is None


def test_hours_whose_day_to_confirm_is_over_are_not_reported() -> None:
    """Home could not answer in time. Later steps do not look at it."""
    ledger = taught("reported")
    ledger.tick(datetime(2027, 2, 1, 16, tzinfo=UTC))
    entry = teach(ledger, "reported", "1", delivery_id="d2")
    assert_refused(entry, "DEADLINE_PASSED", "2027-02-01", "2027-02-02", "later day")
    ledger.applied(teach(ledger, "disputed"))


@pytest.mark.parametrize(
    ("state", "told"),
    [("reported", "reported 8 hours"), ("disputed", "disputed 8 hours"), ("settled", "settled 5 hours")],
)  # fmt: skip
def test_campus_and_ledger_agree_on_state_and_hours(state: str, told: str) -> None:
    """The hours that were offered last, once there is an offer."""
    ledger = taught("disputed" if state == "settled" else state)
    if state == "settled":
        ledger.applied(teach(ledger, "offered", "5"))
        ledger.applied(teach(ledger, "settled", "5"))
    thing = ledger.find(Delivery, "d1")
    assert thing.summary() == told
    assert thing.concerned() == {HOME, HOST}


# Reasons and sentences


def test_the_rules_of_teaching_tell_their_tables() -> None:
    """Readers of the catalogue look there."""
    assert appointment_changed.LIFE is APPOINTMENT
    assert delivered.LIFE is DELIVERY


@pytest.mark.parametrize(
    ("step", "said", "english", "chinese"),
    [
        ("proposed", {}, "proposed the appointment of a teacher of Sichuan University at Chongqing", "提出聘任"),
        ("started", {}, "reported the start of", "报告到任"),
        ("ended", {"max_hours": None}, "(2026-09-07 to 2027-01-15)", "（2026-09-07至2027-01-15）"),
        ("approved", {}, "as co lecturer (2026-09-07 to 2027-01-15, at most 12 hours)", "任合作授课教师"),
        ("x-moved", {"role": "x-dean{}"}, "x-moved", "任x-dean{}"),
    ],
)  # fmt: skip
def test_an_appointment_as_a_sentence(step: str, said: Any, english: str, chinese: str) -> None:
    """Who, from where to where, as what, how long; unknown words stand for themselves."""
    facts = {"home": HOME, "host": HOST, "max_hours": hours("12"), "step": step, "by": HOST} | said
    text = sentence(Ledger().record("teaching.appointment-changed", **facts), NAMES)
    assert english in text.en
    assert chinese in text.zh


@pytest.mark.parametrize(
    ("step", "said", "english", "chinese"),
    [
        ("reported", {}, "Chongqing reported 10.5 hours of lectures at Chongqing by a teacher of Sichuan", "讲授10.5课时"),
        ("offered", {"hours": hours("1")}, "offered to settle for 1 hour of", "提出按以下课时结清"),
        ("x-paid", {"kind": "x-club"}, "x-paid 10.5 hours of x-club", "x-club10.5课时"),
    ],
)  # fmt: skip
def test_hours_as_a_sentence(step: str, said: Any, english: str, chinese: str) -> None:
    """Who says it, how many, of what."""
    facts = {"home": HOME, "host": HOST, "step": step, "by": HOST} | said
    text = sentence(Ledger().record("teaching.delivered", **facts), NAMES)
    assert english in text.en
    assert chinese in text.zh
