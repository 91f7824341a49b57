"""lab.access-requested: a member asks for time on another's resource."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub.domain.enrollment import Enrollment
from hub.domain.flags import FlagName, flag
from hub.domain.lab import ACCESS, AccessRequest, Resource, Span
from hub.domain.practice import Placement
from hub.domain.project import Project
from hub.domain.reasons import Reason
from hub.domain.times import DAY_MS, is_over
from hub.events import Names, Sentence, title
from hub.events.lab._common import (
    known_resource,
    local,
    not_operational,
    out_of_service,
)
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting, waits_for_thing
from schemas.envelope import from_millis, to_millis
from schemas.records import LabAccessRequested

LIFE = ACCESS
REASONS = frozenset(
    {
        Reason.ILLEGAL_TRANSITION,
        Reason.UNKNOWN_REFERENCE,
        Reason.NOT_WRITER,
        Reason.CONTENT_INVALID,
        Reason.DEADLINE_PASSED,
        Reason.QUOTA_EXCEEDED,
        Reason.SLOT_CONFLICT,
    }
)
LONGEST = timedelta(days=366)  # a booking stands in the calendar of every day it touches
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)  # where the calendar ends


def decide(event: LabAccessRequested, view: View) -> Verdict:
    """Open the request. Nothing is held before the owner approves; it expires when it starts or at `decide_by`.

    Source: NEMO reservation policy; CERIF resource request.
    """
    known = view.find(AccessRequest, event.request_id)
    if known:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"request {event.request_id} exists and is {known.state}; give a new request an id of its own",
            about=known,
        )
    resource = known_resource(event, view)
    if not isinstance(resource, Resource):
        return resource
    span = Span(to_millis(event.start), to_millis(event.end))
    refusal = (
        _fault(event)
        or not_operational(resource)
        or _late(event, view)
        or _beyond_limits(resource, span, view.now_ms)
        or _unqualified(event, resource)
        or out_of_service(resource, span)
        or _within_project(event, view)
        or _within_enrollment(event, view)
        or _within_placement(event, view)
        or _not_replaceable(event, view)
    )
    if refusal is not None:
        return refusal
    request = AccessRequest(
        event.request_id, event.resource_id, event.home, event.owner, span, "requested",
        span.start_ms if event.decide_by is None else min(to_millis(event.decide_by), span.start_ms),
        event.replaces_request_id,
    )  # fmt: skip
    return Applied(changes=(request,), audience=frozenset({event.owner}))


def _fault(event: LabAccessRequested) -> Rejected | None:
    if event.start >= event.end:
        fault = (
            f"runs from {local(event.start)} to {local(event.end)}; the end must be after the start"
        )
    elif event.end - event.start > LONGEST or event.end > _LATEST:
        fault = (
            f"runs from {local(event.start)} to {local(event.end)}; "
            f"a booking has {LONGEST.days} days at most and ends before the year {_LATEST.year}"
        )
    elif event.replaces_request_id == event.request_id:
        fault = "replaces itself; name another request or none"
    else:
        return None
    return Rejected(Reason.CONTENT_INVALID, f"request {event.request_id} {fault}")


def _late(event: LabAccessRequested, view: View) -> Rejected | None:
    ends = [("start", event.start)]
    if event.decide_by is not None:
        ends.append(("decide_by", event.decide_by))
    for name, at in ends:
        if is_over(to_millis(at), view.now_ms):
            return Rejected(
                Reason.DEADLINE_PASSED,
                f"{name} is {local(at)}, the ledger's clock shows {local(from_millis(view.now_ms))}; ask for a later time",
            )
    return None


def _beyond_limits(resource: Resource, span: Span, now_ms: int) -> Rejected | None:
    policy, length = resource.policy, span.minutes
    ahead_ms = span.start_ms - now_ms if now_ms > 0 else 0
    if policy.min_minutes is not None and length < policy.min_minutes:
        fault = f"{length} minutes, {policy.min_minutes} at least can be booked"
    elif policy.max_minutes is not None and length > policy.max_minutes:
        fault = f"{length} minutes, {policy.max_minutes} at most can be booked"
    elif policy.horizon_days is not None and ahead_ms > policy.horizon_days * DAY_MS:
        fault = (
            f"a start {ahead_ms // DAY_MS} days ahead, {policy.horizon_days} at most can be booked"
        )
    elif policy.minutes_per_day is not None and length > policy.minutes_per_day:
        fault = f"{length} minutes, a member gets {policy.minutes_per_day} a day at most"
    else:
        return None
    return Rejected(
        Reason.QUOTA_EXCEEDED,
        f"the request asks for {fault} of {resource.id}; choose another time",
        about=resource,
    )


def _unqualified(event: LabAccessRequested, resource: Resource) -> Rejected | None:
    wanted = resource.policy.qualification
    if wanted is None or event.qualification == wanted:
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"resource {resource.id} asks for the qualification {wanted}, the user has {event.qualification or 'none'}; "
        f"let {resource.owner} train the user first",
        about=resource,
    )


def _within_project(event: LabAccessRequested, view: View) -> Rejected | Waiting | None:
    if event.project_id is None:
        return None
    project = view.find(Project, event.project_id)
    if project is None:
        return _unknown(Project.KIND, event.project_id, "project.changed")
    if event.home in project.members and project.state in ("funded", "active"):
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"project {project.id} is {project.state}, of {', '.join(project.members)}; wanted one of {event.home} that is "
        "funded or active; name another project or none",
        about=project,
    )


def _within_enrollment(event: LabAccessRequested, view: View) -> Rejected | Waiting | None:
    if event.enrollment_id is None:
        return None
    case = view.find(Enrollment, event.enrollment_id)
    if case is None:
        return _unknown(Enrollment.KIND, event.enrollment_id, "enrollment.requested")
    return _does_not_cover(event, case, ("associated", "active"))


def _within_placement(event: LabAccessRequested, view: View) -> Rejected | Waiting | None:
    if event.placement_id is None:
        return None
    placement = view.find(Placement, event.placement_id)
    if placement is None:
        return _unknown(Placement.KIND, event.placement_id, "practice.placement-changed")
    return _does_not_cover(event, placement, ("approved", "ongoing", "mid_checked"))


def _unknown(kind: str, thing_id: str, predecessor: str) -> Waiting:
    return Waiting(
        waits_for_thing(kind, thing_id),
        Reason.UNKNOWN_REFERENCE,
        f"{kind} {thing_id} is not known yet; it waits for {predecessor}",
    )


def _does_not_cover(
    event: LabAccessRequested, stay: Enrollment | Placement, states: tuple[str, ...]
) -> Rejected | None:
    if (stay.home, stay.host) == (event.home, event.owner) and stay.state in states:
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"{stay.KIND} {stay.id} is {stay.state}, of a student of {stay.home} at {stay.host}; wanted one of {event.home} "
        f"at {event.owner} that is {' or '.join(states)}; name another or none",
        about=stay,
    )


def _not_replaceable(event: LabAccessRequested, view: View) -> Rejected | Waiting | None:
    if event.replaces_request_id is None:
        return None
    old = view.find(AccessRequest, event.replaces_request_id)
    if old is None:
        return _unknown(AccessRequest.KIND, event.replaces_request_id, "lab.access-requested")
    same = (old.home, old.resource_id) == (event.home, event.resource_id)
    if same and ACCESS.step(old.state, "replaced") is not None:
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"request {old.id} is {old.state}, of {old.home} for {old.resource_id}; wanted an open one of {event.home} for "
        f"{event.resource_id}; replace none",
        about=old,
    )


def expire(request: AccessRequest, view: View) -> Applied:
    """The owner did not decide in time."""
    over = replace(request, state="expired")
    told = frozenset({request.home, request.owner})
    return Applied(changes=(over,), audience=told, flags=(flag(FlagName.EXPIRED, over, told=told),))


OVERDUE = {AccessRequest.KIND: expire}


def sentence(event: LabAccessRequested, names: Names) -> Sentence:
    start, end = local(event.start), local(event.end)
    purpose_en, purpose_zh = title(event.purpose, "en"), title(event.purpose, "zh")
    return Sentence(
        f"{names.en(event.home)} asks {names.en(event.owner)} for {event.resource_id} from {start} to {end}"
        + (f": {purpose_en}" if purpose_en else ""),
        f"{names.zh(event.home)}向{names.zh(event.owner)}申请使用{event.resource_id}，{start}至{end}"
        + (f"：{purpose_zh}" if purpose_zh else ""),
    )
