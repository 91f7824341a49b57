"""lab.access-decided: the owner answers a request for lab time, or a booking falls away before use."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.lab import ACCESS, AccessRequest, Resource, Span
from hub.domain.quantities import MINUTE
from hub.domain.reasons import Reason
from hub.events import Names, Sentence
from hub.events.lab._common import (
    in_words,
    known_request,
    known_resource,
    local,
    not_operational,
    out_of_service,
    slot_id,
    void_minutes,
)
from hub.events.lab._slots import minutes_that_day, rebooked, running
from hub.ledger.posting import instrument_account, pend, usage_account
from hub.ledger.state import Applied, Rejected, Verdict, View
from schemas.envelope import to_millis
from schemas.records import LabAccessDecided

LIFE = ACCESS
REASONS = frozenset(
    {
        Reason.CONTENT_INVALID,
        Reason.UNKNOWN_REFERENCE,
        Reason.NOT_WRITER,
        Reason.STALE_VERSION,
        Reason.ILLEGAL_TRANSITION,
        Reason.SLOT_CONFLICT,
        Reason.QUOTA_EXCEEDED,
    }
)
_ANSWERS = ("approved", "denied", "waitlisted")  # to a request; they cite the version looked at
_DECISIONS = (*_ANSWERS, "cancelled", "cancelled_by_owner", "no_show")


def decide(event: LabAccessDecided, view: View) -> Verdict:
    """Hold the slot and its minutes when approved; set both free when an approved booking falls away.

    Minutes are whole, a begun one counts. Source: NEMO reservations; CERIF decision.
    """
    if event.decision not in _DECISIONS:
        return Rejected(
            Reason.CONTENT_INVALID,
            f"{event.decision!r} is no decision on a request; use one of {', '.join(_DECISIONS)}",
        )
    request = known_request(event, event.request_id, view)
    if not isinstance(request, AccessRequest):
        return request
    refusal = (
        _wrong_side(event, request)
        or _stale(event, request, view)
        or _impossible(request, event.decision)
    )
    if refusal is not None:
        return refusal
    if event.decision == "approved":
        return _approve(event, request, view)
    freed = [request.slot] if request.state == "approved" else []
    return Applied(
        void_minutes(view.book, request.id),
        (_after(request, event.decision), *rebooked(view, request.resource_id, freed=freed)),
        request.concerned(),
    )


def _wrong_side(event: LabAccessDecided, request: AccessRequest) -> Rejected | None:
    sides = sorted({getattr(request, role) for role in ACCESS.roles(event.decision)})
    if event.envelope.member in sides:
        return None
    return Rejected(
        Reason.NOT_WRITER,
        f"{event.envelope.member} says {event.decision} of request {request.id}; only {', '.join(sides)} may, ask them",
        about=request,
    )


def _stale(event: LabAccessDecided, request: AccessRequest, view: View) -> Rejected | None:
    newest = view.version("lab", request.id, request.home)
    if event.decision not in _ANSWERS or event.envelope.decides_version == newest:
        return None
    return Rejected(
        Reason.STALE_VERSION,
        f"request {request.id} is at version {newest} of {request.home}, "
        f"the decision is on version {event.envelope.decides_version}; read the newest version and decide again",
        about=request,
        version=newest,
    )


def _impossible(request: AccessRequest, decision: str) -> Rejected | None:
    if ACCESS.step(request.state, decision) is not None:
        return None
    possible = [name for name in ACCESS.possible(request.state) if name in _DECISIONS]
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"request {request.id} is {request.state}, {decision} is not possible; "
        f"possible: {', '.join(possible) or 'nothing, the request is closed'}",
        about=request,
    )


def _after(request: AccessRequest, step: str) -> AccessRequest:
    reached = ACCESS.step(request.state, step)
    return request if reached is None else replace(request, state=reached.after)


def _approve(event: LabAccessDecided, request: AccessRequest, view: View) -> Verdict:
    """The request becomes a booking, unless there is no room at some moment; the one it replaces makes room for it."""
    span = Span(
        request.span.start_ms if event.start is None else to_millis(event.start),
        request.span.end_ms if event.end is None else to_millis(event.end),
    )
    if not request.span.start_ms <= span.start_ms < span.end_ms <= request.span.end_ms:
        return Rejected(
            Reason.CONTENT_INVALID,
            f"the slot runs {in_words(span)}, request {request.id} {in_words(request.span)}; "
            "give a slot within the time asked for",
            about=request,
        )
    resource = known_resource(request, view)
    if not isinstance(resource, Resource):
        return resource
    booked = replace(_after(request, "approved"), span=span)
    given_up = _replaced(request, view)
    without = given_up[0].id if given_up else None
    refusal = (
        not_operational(resource)
        or out_of_service(resource, span)
        or _full(booked, resource, without, view)
        or _too_much_that_day(booked, resource, without, view)
    )
    if refusal is not None:
        return refusal
    return _book(booked, given_up, view)


def _book(booked: AccessRequest, given_up: list[AccessRequest], view: View) -> Applied:
    held = pend(
        slot_id(booked.id),
        booked.span.minutes,
        MINUTE,
        instrument_account(booked.owner, booked.home),
        usage_account(booked.home, booked.owner),
    )
    freed = [old.slot for old in given_up if old.state == "approved"]
    return Applied(
        (*(posting for old in given_up for posting in void_minutes(view.book, old.id)), held),
        (
            booked,
            *(_after(old, "replaced") for old in given_up),
            *rebooked(view, booked.resource_id, taken=[booked.slot], freed=freed),
        ),
        booked.concerned(),
    )


def _replaced(request: AccessRequest, view: View) -> list[AccessRequest]:
    """The request that falls away with this approval; none when it was used or closed meanwhile."""
    old = view.find(AccessRequest, request.replaces) if request.replaces is not None else None
    return [old] if old and ACCESS.step(old.state, "replaced") else []


def _full(
    booked: AccessRequest, resource: Resource, without: str | None, view: View
) -> Rejected | None:
    taken = running(view, resource.id, booked.span, without)
    if taken < resource.capacity:
        return None
    return Rejected(
        Reason.SLOT_CONFLICT,
        f"resource {resource.id} has {taken} bookings at a moment {in_words(booked.span)}, room for {resource.capacity}; "
        "approve another slot, waitlist or deny",
        about=resource,
    )


def _too_much_that_day(
    booked: AccessRequest, resource: Resource, without: str | None, view: View
) -> Rejected | None:
    limit, wanted = resource.policy.minutes_per_day, booked.slot
    had = minutes_that_day(view, wanted, resource.id, without)
    if limit is None or had + wanted.minutes <= limit:
        return None
    return Rejected(
        Reason.QUOTA_EXCEEDED,
        f"{booked.home} has {had} minutes of {resource.id} that day, {wanted.minutes} more are over the {limit} it may have; "
        "approve a shorter slot or deny",
        about=resource,
    )


_EN = {
    "approved": "approves",
    "denied": "denies",
    "waitlisted": "puts on the waiting list",
    "cancelled": "cancels",
    "cancelled_by_owner": "cancels",
    "no_show": "reports as missed",
}
_ZH = {
    "approved": "批准",
    "denied": "未予批准",
    "waitlisted": "将其列入候补",
    "cancelled_by_owner": "取消预约",
    "no_show": "报告无人到场",
}


def sentence(event: LabAccessDecided, names: Names) -> Sentence:
    word = _EN.get(event.decision, event.decision)
    en = f" from {local(event.start)}" if event.start else ""
    en += f" until {local(event.end)}" if event.end else ""
    zh = f"，自{local(event.start)}" if event.start else ""
    zh += f"，至{local(event.end)}" if event.end else ""
    if event.decision == "cancelled":
        return Sentence(
            f"{names.en(event.home)} {word} its request for {event.resource_id} of {names.en(event.owner)}",
            f"{names.zh(event.home)}取消对{names.zh(event.owner)}{event.resource_id}的使用申请",
        )
    return Sentence(
        f"{names.en(event.owner)} {word} the request of {names.en(event.home)} for {event.resource_id}{en}",
        f"{names.zh(event.owner)}对{names.zh(event.home)}使用{event.resource_id}的申请："
        f"{_ZH.get(event.decision, event.decision)}{zh}",
    )
