"""Teachers at another member: appointments, the hours they gave, and secondments."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support.oracle_agreement import check_use, places_for
from tests.support.oracle_books import (
    Books,
    Done,
    Fact,
    Flag,
    after_day_ms,
    need,
    told,
    walk,
    year_of,
)
from tests.support.oracle_practice import signed_by

ZERO = Decimal(0)

# Appointments

APPOINTMENT = {
    "proposed": {"approved": "approved", "declined": "declined", "revoked": "revoked"},
    "approved": {"started": "active", "revoked": "revoked"},
    "active": {"ended": "ended", "revoked": "revoked"},
}


def appointment_changed(books: Books, event: Any) -> Done:
    name, signer = event.appointment_id, event.envelope.member
    steps = ("proposed", "approved", "declined", "started", "ended", "revoked")
    need(event.step in steps, "CONTENT_INVALID")
    books.need_members(event.home, event.host)
    need(event.home != event.host, "ILLEGAL_TRANSITION")
    need(event.from_date <= event.to_date, "CONTENT_INVALID")
    need(event.max_hours is None or event.max_hours > 0, "CONTENT_INVALID")
    both = told(event.home, event.host)
    if event.step == "proposed":
        _propose(books, event)
        return both
    known = books.find("appointment", name)
    named = (event.staff_id, event.home, event.host)
    need((known["staff"], known["home"], known["host"]) == named, "NOT_WRITER")
    if event.step in ("started", "ended"):
        need(signer == known["host"], "NOT_WRITER")
    if event.step in ("approved", "declined"):
        need(signer != known["proposer"], "NOT_WRITER")
    reached = walk(APPOINTMENT, known["state"], event.step)
    places = known["places"]
    if event.step == "approved":
        need(event.max_hours == known["max_hours"], "STALE_VERSION")
        places = places_for(books, known, 1)
    elif known["state"] in ("proposed", "approved") and reached in ("declined", "revoked"):
        places = 0
    books.put("appointment", name, state=reached, places=places)
    if event.step == "approved":
        known["stock"] = known["max_hours"]
    return both


def _propose(books: Books, event: Any) -> None:
    need(books.get("appointment", event.appointment_id) is None, "ILLEGAL_TRANSITION")
    need(not books.day_over(event.to_date), "DEADLINE_PASSED")
    if event.offering_id is not None:
        need(books.find("offering", event.offering_id)["host"] == event.host, "NOT_WRITER")
    use = (event.agreement_id, event.home, event.host, year_of(event.from_date))
    check_use(books, event.agreement_id, "teacher", *use[1:])
    books.put(
        "appointment", event.appointment_id, state="proposed", staff=event.staff_id, home=event.home,
        host=event.host, proposer=event.envelope.member, to=event.to_date, max_hours=event.max_hours,
        use=use, places=0, stock=None,
    )  # fmt: skip


def appointment_due(fact: Fact) -> int | None:
    return after_day_ms(fact["to"]) if fact["state"] == "active" else None


def appointment_turn(fact: Fact) -> set[str]:
    if fact["state"] == "proposed":
        return {fact["home"], fact["host"]} - {fact["proposer"]}
    return {fact["host"]} if fact["state"] in ("approved", "active") else set()


def hours_left(books: Books, name: str) -> Decimal:
    """Hours of an appointment that nobody reported yet."""
    taken = (hours_taken(fact) for fact in books.all("delivery").values() if fact["about"] == name)
    return Decimal(books.all("appointment")[name]["stock"]) - sum(taken, ZERO)


# Hours

DELIVERY = {
    "reported": {"confirmed": "confirmed", "disputed": "disputed"},
    "disputed": {"offered": "offered"},
    "offered": {"settled": "settled", "disputed": "disputed"},
}
REPORTERS = {
    "reported": ("host",), "confirmed": ("home",), "disputed": ("home",), "offered": ("host",), "settled": ("home",),
}  # fmt: skip


def hours_taken(fact: Fact) -> Decimal:
    """Hours that are waiting or agreed: those offered once that is settled, else those reported."""
    return Decimal(fact["offered"] if fact["state"] == "settled" else fact["hours"])


def delivered(books: Books, event: Any) -> Done:
    name = event.delivery_id
    need(event.step in REPORTERS, "CONTENT_INVALID")
    appointment = books.find("appointment", event.appointment_id)
    named = (event.staff_id, event.home, event.host)
    need((appointment["staff"], appointment["home"], appointment["host"]) == named, "NOT_WRITER")
    signed_by(event, REPORTERS[event.step])
    nothing = event.step in (
        "disputed",
        "offered",
        "settled",
    )  # an offer of nothing, and its answers
    need(event.hours > 0 or (event.hours == 0 and nothing), "CONTENT_INVALID")
    need(event.period_start <= event.period_end, "CONTENT_INVALID")
    both = told(event.home, event.host)
    if event.step == "reported":
        need(not books.day_over(event.confirm_by), "DEADLINE_PASSED")
        need(books.get("delivery", name) is None, "ILLEGAL_TRANSITION")
        need(appointment["state"] in ("active", "ended"), "ILLEGAL_TRANSITION")
        if appointment["stock"] is not None:
            need(hours_left(books, event.appointment_id) >= event.hours, "QUOTA_EXCEEDED")
        books.put(
            "delivery", name, state="reported", about=event.appointment_id, home=event.home, host=event.host,
            hours=event.hours, offered=None, confirm_by=event.confirm_by,
        )  # fmt: skip
        return both
    known = books.find("delivery", name)
    need(known["about"] == event.appointment_id, "NOT_WRITER")
    reached = walk(DELIVERY, known["state"], event.step)
    if event.step == "confirmed":
        need(event.hours == known["hours"], "STALE_VERSION")
    elif event.step == "offered":
        need(event.hours <= known["hours"], "QUOTA_EXCEEDED")
        known["offered"] = event.hours
    elif event.step == "settled":
        need(event.hours == known["offered"], "STALE_VERSION")
    books.put("delivery", name, state=reached)
    disputed = (Flag("hours_disputed", "delivery", name, (event.host,)),)
    return Done(both.told, disputed if event.step == "disputed" else ())


def delivery_due(fact: Fact) -> int | None:
    waits = fact["state"] == "reported" and fact["confirm_by"] is not None
    return after_day_ms(fact["confirm_by"]) if waits else None


def delivery_turn(fact: Fact) -> set[str]:
    side = {"reported": "home", "disputed": "host", "offered": "home"}.get(fact["state"])
    return {fact[side]} if side else set()


# Secondments

SECONDMENT = {
    "proposed": {"approved": "approved", "declined": "declined", "recalled": "recalled"},
    "approved": {"started": "started", "recalled": "recalled"},
    "started": {"extended": "started", "ended": "ended", "recalled": "recalled"},
}
SECONDERS = {
    "proposed": ("lender",), "approved": ("borrower",), "declined": ("borrower",), "started": ("borrower",),
    "extended": ("lender",), "ended": ("borrower",), "recalled": ("lender",),
}  # fmt: skip


def secondment_changed(books: Books, event: Any) -> Done:
    name = event.secondment_id
    need(event.step in SECONDERS, "CONTENT_INVALID")
    books.need_members(event.lender, event.borrower)
    need(event.lender != event.borrower, "ILLEGAL_TRANSITION")
    signed_by(event, SECONDERS[event.step])
    need(event.from_date <= event.to_date, "CONTENT_INVALID")
    both = told(event.lender, event.borrower)
    if event.step == "proposed":
        need(books.get("secondment", name) is None, "ILLEGAL_TRANSITION")
        need(not books.day_over(event.to_date), "DEADLINE_PASSED")
        use = (event.agreement_id, event.lender, event.borrower, year_of(event.from_date))
        check_use(books, event.agreement_id, "secondment", *use[1:])
        books.put(
            "secondment", name, state="proposed", staff=event.staff_id, lender=event.lender,
            borrower=event.borrower, since=event.from_date, to=event.to_date, use=use, places=0, days=0,
        )  # fmt: skip
        return both
    known = books.find("secondment", name)
    named = (event.staff_id, event.lender, event.borrower)
    need((known["staff"], known["lender"], known["borrower"]) == named, "NOT_WRITER")
    reached = walk(SECONDMENT, known["state"], event.step)
    said: dict[str, Any] = {"state": reached}
    if event.step == "extended":
        need(event.to_date > known["to"], "CONTENT_INVALID")
        said["to"] = event.to_date
    elif event.step == "ended":
        need(event.assessment in ("outstanding", "competent", "basic", "not"), "CONTENT_INVALID")
        need(known["since"] == event.from_date, "CONTENT_INVALID")
        need(event.to_date <= known["to"], "CONTENT_INVALID")
        said["days"] = (event.to_date - known["since"]).days + 1
    elif event.step == "approved":
        said["places"] = places_for(books, known, 1)
    elif event.step in ("recalled", "declined") and known["state"] != "started":
        said["places"] = 0
    books.put("secondment", name, **said)
    return both


def secondment_due(fact: Fact) -> int | None:
    return after_day_ms(fact["to"]) if fact["state"] == "started" else None


def secondment_turn(fact: Fact) -> set[str]:
    return {fact["borrower"]} if fact["state"] in ("proposed", "approved", "started") else set()
