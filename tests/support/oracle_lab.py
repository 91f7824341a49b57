"""Instruments and rooms lent to each other: the calendar of a resource, and how long it was used."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support.oracle_books import (
    DAY_MS,
    Books,
    Done,
    Fact,
    begun_minutes,
    ms_of,
    need,
    overlap,
    refuse,
    shanghai_day,
    told,
    walk,
)
from tests.support.oracle_practice import signed_by

STATUSES = ("registered", "operational", "outage", "retired")
RESOURCE_LIFE = {
    "registered": {"registered", "operational", "retired"},
    "operational": {"operational", "outage", "retired"},
    "outage": {"outage", "operational", "retired"},
    "retired": set(),
}
LIMITS = ("min_minutes", "max_minutes", "horizon_days", "minutes_per_day")
WAITING = ("requested", "waitlisted")
BOOKED = ("approved", "used")  # in the calendar; what happened stays there


def resource_changed(books: Books, event: Any) -> Done:
    policy = event.policy
    need(event.status in STATUSES, "CONTENT_INVALID")
    need(event.capacity >= 1, "CONTENT_INVALID")
    need(
        all(getattr(policy, name) is None or getattr(policy, name) > 0 for name in LIMITS),
        "CONTENT_INVALID",
    )
    if policy.min_minutes is not None and policy.max_minutes is not None:
        need(policy.min_minutes <= policy.max_minutes, "CONTENT_INVALID")
    need(all(outage.start < outage.end for outage in event.outages), "CONTENT_INVALID")
    need(event.price is None or event.price.amount >= 0, "CONTENT_INVALID")
    books.need_members(*event.joint_members)
    known = books.get("resource", event.resource_id)
    if known is None:
        need(event.status in ("registered", "operational"), "ILLEGAL_TRANSITION")
    else:
        need(known["owner"] == event.owner, "NOT_WRITER")
        need(known["capacity"] == event.capacity, "ILLEGAL_TRANSITION")
        need(event.status in RESOURCE_LIFE[known["state"]], "ILLEGAL_TRANSITION")
    books.put(
        "resource", event.resource_id, state=event.status, owner=event.owner, capacity=event.capacity,
        policy=policy, outages=[(outage.start, outage.end) for outage in event.outages],
    )  # fmt: skip
    return Done(frozenset(books.members))


# Asking


def access_requested(books: Books, event: Any) -> Done:
    need(books.get("access", event.request_id) is None, "ILLEGAL_TRANSITION")
    resource = books.find("resource", event.resource_id)
    need(resource["owner"] == event.owner, "NOT_WRITER")
    need(event.start < event.end, "CONTENT_INVALID")
    need(event.replaces_request_id != event.request_id, "CONTENT_INVALID")
    need(resource["state"] == "operational", "ILLEGAL_TRANSITION")
    need(not books.is_over(ms_of(event.start)), "DEADLINE_PASSED")
    need(event.decide_by is None or not books.is_over(ms_of(event.decide_by)), "DEADLINE_PASSED")
    _within(books, resource, event)
    _free_of_outages(resource, (event.start, event.end))
    _reason_given(books, event)
    if event.replaces_request_id is not None:
        old = books.find("access", event.replaces_request_id)
        same = (old["home"], old["resource"]) == (event.home, event.resource_id)
        need(same and old["state"] in (*WAITING, "approved"), "ILLEGAL_TRANSITION")
    books.put(
        "access", event.request_id, state="requested", resource=event.resource_id, home=event.home,
        owner=event.owner, span=(event.start, event.end), slot=None, replaces=event.replaces_request_id,
        due=min(event.decide_by or event.start, event.start),
    )  # fmt: skip
    return told(event.owner)


def _within(books: Books, resource: Fact, event: Any) -> None:
    policy, minutes = resource["policy"], begun_minutes(event.start, event.end)
    need(policy.min_minutes is None or minutes >= policy.min_minutes, "QUOTA_EXCEEDED")
    need(policy.max_minutes is None or minutes <= policy.max_minutes, "QUOTA_EXCEEDED")
    if books.now_ms > 0 and policy.horizon_days is not None:
        ahead = ms_of(event.start) - books.now_ms
        need(ahead <= policy.horizon_days * DAY_MS, "QUOTA_EXCEEDED")
    need(policy.minutes_per_day is None or minutes <= policy.minutes_per_day, "QUOTA_EXCEEDED")
    if policy.qualification is not None:
        need(policy.qualification == event.qualification, "ILLEGAL_TRANSITION")


def _free_of_outages(resource: Fact, span: tuple[datetime, datetime]) -> None:
    if any(overlap(span, outage) for outage in resource["outages"]):
        refuse("SLOT_CONFLICT")


def _reason_given(books: Books, event: Any) -> None:
    """What justifies the use, where the request names something, still goes on."""
    pair = (event.home, event.owner)
    if event.project_id is not None:
        project = books.find("project", event.project_id)
        need(event.home in project["partners"], "ILLEGAL_TRANSITION")
        need(project["state"] in ("funded", "active"), "ILLEGAL_TRANSITION")
    if event.enrollment_id is not None:
        case = books.find("enrollment", event.enrollment_id)
        need((case["home"], case["host"]) == pair, "ILLEGAL_TRANSITION")
        need(case["state"] in ("associated", "active"), "ILLEGAL_TRANSITION")
    if event.placement_id is not None:
        case = books.find("placement", event.placement_id)
        need((case["home"], case["host"]) == pair, "ILLEGAL_TRANSITION")
        need(case["state"] in ("approved", "ongoing", "mid_checked"), "ILLEGAL_TRANSITION")


def access_due(fact: Fact) -> int | None:
    return ms_of(fact["due"]) if fact["state"] in WAITING else None


def access_turn(fact: Fact) -> set[str]:
    return {fact["owner"]} if fact["state"] in (*WAITING, "approved") else set()


def expire_access(books: Books, name: str) -> set[str]:
    fact = books.put("access", name, state="expired")
    return {fact["home"], fact["owner"]}


# Answering

ACCESS = {
    "requested": {"approved": "approved", "denied": "denied", "waitlisted": "waitlisted", "cancelled": "cancelled"},
    "waitlisted": {"approved": "approved", "denied": "denied", "cancelled": "cancelled"},
    "approved": {"cancelled": "cancelled", "cancelled_by_owner": "cancelled", "no_show": "no_show"},
}  # fmt: skip
DECIDERS = {
    "approved": ("owner",), "denied": ("owner",), "waitlisted": ("owner",), "cancelled": ("home",),
    "cancelled_by_owner": ("owner",), "no_show": ("owner",),
}  # fmt: skip


def access_decided(books: Books, event: Any) -> Done:
    name = event.request_id
    need(event.decision in DECIDERS, "CONTENT_INVALID")
    known = books.find("access", name)
    named = (event.resource_id, event.home, event.owner)
    need((known["resource"], known["home"], known["owner"]) == named, "NOT_WRITER")
    signed_by(event, DECIDERS[event.decision])
    if event.decision in ("approved", "denied", "waitlisted"):
        newest = books.newest.get(("lab", name, known["home"]), 0)
        need(event.envelope.decides_version == newest, "STALE_VERSION")
    reached = walk(ACCESS, known["state"], event.decision)
    if event.decision == "approved":
        _book(books, event, name, known)
    else:
        books.put("access", name, state=reached)
    return told(known["home"], known["owner"])


def _book(books: Books, event: Any, name: str, known: Fact) -> None:
    asked = known["span"]
    slot = (event.start or asked[0], event.end or asked[1])
    need(asked[0] <= slot[0] < slot[1] <= asked[1], "CONTENT_INVALID")
    resource = books.all("resource")[known["resource"]]
    need(resource["state"] == "operational", "ILLEGAL_TRANSITION")
    _free_of_outages(resource, slot)
    old = books.get("access", known["replaces"])
    moved = old is not None and old["state"] in (*WAITING, "approved")
    booked = [
        fact for other, fact in calendar(books, known["resource"]).items()
        if not (moved and other == known["replaces"])
    ]  # fmt: skip
    if most_at_once([fact["slot"] for fact in booked], slot) >= resource["capacity"]:
        refuse("SLOT_CONFLICT")
    limit = resource["policy"].minutes_per_day
    if limit is not None:
        day = shanghai_day(slot[0])
        had = sum(
            begun_minutes(*fact["slot"]) for fact in booked
            if fact["home"] == known["home"] and shanghai_day(fact["slot"][0]) == day
        )  # fmt: skip
        need(had + begun_minutes(*slot) <= limit, "QUOTA_EXCEEDED")
    if moved:
        books.put("access", known["replaces"], state="cancelled")
    books.put("access", name, state="approved", slot=slot)


def calendar(books: Books, resource: str) -> dict[str, Fact]:
    """Who has a slot of a resource."""
    return {
        name: fact for name, fact in books.all("access").items()
        if fact["resource"] == resource and fact["state"] in BOOKED
    }  # fmt: skip


def most_at_once(slots: list[tuple[datetime, datetime]], within: tuple[datetime, datetime]) -> int:
    """The most slots that are taken at one moment of a span, looked at minute by minute where one begins."""
    moments = [within[0], *(slot[0] for slot in slots if within[0] <= slot[0] < within[1])]
    tiny = timedelta(milliseconds=1)
    return max(sum(overlap(slot, (at, at + tiny)) for slot in slots) for at in moments)


# Using


def usage_recorded(books: Books, event: Any) -> Done:
    resource = books.find("resource", event.resource_id)
    need(resource["owner"] == event.owner, "NOT_WRITER")
    books.need_members(event.home)
    need(event.start < event.end, "CONTENT_INVALID")
    need(event.samples is None or event.samples >= 0, "CONTENT_INVALID")
    need(event.charge is None or event.charge.amount >= 0, "CONTENT_INVALID")
    need(not event.waived or event.waive_reason, "CONTENT_INVALID")
    need(event.supersedes_usage_id != event.usage_id, "CONTENT_INVALID")
    known = books.get("usage", event.usage_id)
    if known is not None:
        same = known["content"] == _content(event)
        need(same and known["state"] == "recorded" and event.validated, "ILLEGAL_TRANSITION")
        books.put("usage", event.usage_id, state="validated")
        return told(event.home)
    old = event.supersedes_usage_id
    if old is not None:
        before = books.find("usage", old)
        named = (event.resource_id, event.home)
        need((before["resource"], before["home"]) == named, "NOT_WRITER")
        need(before["state"] != "superseded", "ILLEGAL_TRANSITION")
        need(before["request"] == event.request_id, "CONTENT_INVALID")
        books.put("usage", old, state="superseded")
    elif event.request_id is not None:
        request = books.find("access", event.request_id)
        named_all = (event.resource_id, event.home, event.owner)
        need((request["resource"], request["home"], request["owner"]) == named_all, "NOT_WRITER")
        need(request["state"] == "approved", "ILLEGAL_TRANSITION")
        books.put("access", event.request_id, state="used")
    charged = _charged(event)
    books.put(
        "usage", event.usage_id, state="validated" if event.validated else "recorded", resource=event.resource_id,
        owner=event.owner, home=event.home, request=event.request_id, span=(event.start, event.end),
        unit=charged[0], charge=charged[1], content=_content(event),
    )  # fmt: skip
    return told(event.home)


def _charged(event: Any) -> tuple[str, Decimal]:
    if event.charge is None or event.waived or not event.charge.amount:
        return "", Decimal(0)
    return event.charge.unit.lower(), event.charge.amount


def _content(event: Any) -> tuple[Any, ...]:
    """What a record says, so that a validation can say it once more."""
    span = (event.start, event.end)
    return (
        event.resource_id,
        event.home,
        event.request_id,
        span,
        _charged(event),
        event.supersedes_usage_id,
    )


def usage_turn(fact: Fact) -> set[str]:
    return {fact["owner"]} if fact["state"] == "recorded" else set()


def minutes_reserved(books: Books, owner: str, home: str) -> int:
    return sum(
        begun_minutes(*fact["slot"]) for fact in books.all("access").values()
        if (fact["owner"], fact["home"], fact["state"]) == (owner, home, "approved")
    )  # fmt: skip


def minutes_used(books: Books, owner: str, home: str) -> int:
    return sum(
        begun_minutes(*fact["span"]) for fact in books.all("usage").values()
        if (fact["owner"], fact["home"]) == (owner, home) and fact["state"] != "superseded"
    )  # fmt: skip


def owed(books: Books, owner: str, home: str, unit: str) -> Decimal:
    return sum(
        (fact["charge"] for fact in books.all("usage").values()
         if (fact["owner"], fact["home"], fact["unit"]) == (owner, home, unit) and fact["state"] != "superseded"),
        Decimal(0),
    )  # fmt: skip
