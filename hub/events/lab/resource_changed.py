"""lab.resource-changed: an owner opens an instrument, a laboratory or another facility, or changes what can be booked."""

from __future__ import annotations

from hub.domain.lab import RESOURCE, Policy, Resource, Span
from hub.domain.life import START
from hub.domain.reasons import Reason
from hub.events import Names, Sentence, title
from hub.ledger.state import Applied, Rejected, Verdict, View
from schemas.envelope import to_millis
from schemas.records import LabResourceChanged

LIFE = RESOURCE
REASONS = frozenset(
    {
        Reason.CONTENT_INVALID,
        Reason.UNKNOWN_MEMBER,
        Reason.NOT_WRITER,
        Reason.ILLEGAL_TRANSITION,
    }
)


def decide(event: LabResourceChanged, view: View) -> Verdict:
    """Keep the newest limits, outages and status. Bookings made before stay; the owner cancels those it cannot keep.

    Capacity counts bookings at the same time. Nothing moves. Source: PIDINST 1.0, NEMO policies.
    """
    refusal = _refusal(event, view)
    if refusal is not None:
        return refusal
    policy = event.policy
    resource = Resource(
        event.resource_id, event.owner, event.capacity, event.status,
        Policy(
            policy.min_minutes, policy.max_minutes, policy.horizon_days, policy.minutes_per_day, policy.qualification
        ),
        tuple(Span(to_millis(outage.start), to_millis(outage.end)) for outage in event.outages),
    )  # fmt: skip
    return Applied(changes=(resource,), audience=view.members)


def _refusal(event: LabResourceChanged, view: View) -> Rejected | None:
    fault = _fault(event)
    if fault:
        return Rejected(Reason.CONTENT_INVALID, f"resource {event.resource_id} {fault}")
    strangers = [member for member in event.joint_members if member not in view.members]
    if strangers:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"resource {event.resource_id} names {', '.join(strangers)}, no member of the alliance; correct the code",
        )
    known = view.find(Resource, event.resource_id)
    if known and known.owner != event.owner:
        return Rejected(
            Reason.NOT_WRITER,
            f"resource {event.resource_id} belongs to {known.owner}, not {event.owner}; use an id of your own",
            about=known,
        )
    if known and known.capacity != event.capacity:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"resource {event.resource_id} has room for {known.capacity}, the event says {event.capacity}; "
            "register another resource",
            about=known,
        )
    return _impossible(event, known)


def _fault(event: LabResourceChanged) -> str | None:
    """What is wrong with the description."""
    policy = event.policy
    limits = (
        policy.min_minutes,
        policy.max_minutes,
        policy.horizon_days,
        policy.minutes_per_day,
    )
    if event.status not in RESOURCE.states:
        return f"has status {event.status!r}; use one of {', '.join(RESOURCE.states)}"
    if event.capacity < 1:
        return f"has capacity {event.capacity}; it must have room for one at least"
    if any(limit is not None and limit < 1 for limit in limits):
        return f"has the limits {limits}; each must be one at least, or null for no limit"
    if policy.min_minutes and policy.max_minutes and policy.min_minutes > policy.max_minutes:
        return f"has bookings of {policy.min_minutes} to {policy.max_minutes} minutes; the shortest must not be longer"
    if any(outage.start >= outage.end for outage in event.outages):
        return "has an outage that ends before it starts; correct its times"
    if event.price is not None and event.price.amount < 0:
        return f"costs {event.price.amount} {event.price.unit}; a price must not be negative"
    return None


def _impossible(event: LabResourceChanged, known: Resource | None) -> Rejected | None:
    before = known.state if known else START
    stays = event.status == before and not RESOURCE.closed(before)
    if stays or RESOURCE.step(before, event.status) is not None:
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"resource {event.resource_id} is {before or 'new'} and cannot become {event.status!r}; "
        f"possible: {', '.join(RESOURCE.possible(before)) or 'nothing'}",
        about=known,
    )


_ZH = {"registered": "已登记", "operational": "开放", "outage": "停用", "retired": "退役"}


def sentence(event: LabResourceChanged, names: Names) -> Sentence:
    return Sentence(
        f"{names.en(event.owner)} shares {title(event.titles, 'en')}, room for {event.capacity} at a time ({event.status})",
        f"{names.zh(event.owner)}共享“{title(event.titles, 'zh')}”，可同时容纳{event.capacity}项预约"
        f"（{_ZH.get(event.status, event.status)}）",
    )
