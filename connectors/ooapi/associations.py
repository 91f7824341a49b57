"""What of the alliance's events an association of the Open Education API holds. Pure.

Owns ids, states and results; asking and answering is `sink`'s.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.ooapi.options import SinkOptions
from connectors.sdk.contract import Delivery
from schemas.codec import to_json

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:alliance:ooapi:association")
# States of both versions; only version 5 writes `canceled`.
_DECIDED = {"accepted": "associated", "denied": "denied", "queued": "queued"}
_STATUS = {
    "started": "associated",
    "finished": "",  # no state that a remote side may set: the campus knows from its own results
    "withdrawn": "cancelled",
    "cancelled": "cancelled",
    "expired": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to stand in the association of an enrollment. `new` is its whole body where it does not exist yet."""

    association_id: str
    changes: dict[str, Any]
    new: dict[str, Any] | None = None


def association_id(enrollment_id: str) -> str:
    """The id of an enrollment's association: the specification wants a UUID, and the same enrollment gives the same."""
    return str(uuid.uuid5(_SPACE, enrollment_id))


def wanted(delivery: Delivery, options: SinkOptions) -> Wanted | str:
    """What a delivery comes to, or in words why the API has no place for it."""
    if delivery.kind != "event":
        return f"the API has no place for {delivery.kind}s; write {delivery.kind}s = false for this sink"
    record = to_json(delivery.record)
    enrollment = record.get("enrollment_id")
    if delivery.event not in _PARTS:
        known = ", ".join(sorted(_PARTS))
        return (
            f"the API has no place for {delivery.event}; name in `events` of this sink only {known}"
        )
    if not isinstance(enrollment, str):
        return f"this {delivery.event} names no enrollment, and associations are of enrollments"
    changes = _PARTS[delivery.event](record, options)
    mark = {"ext": {"alliance": mark_of(delivery)}}
    where = association_id(enrollment)
    new = None
    if delivery.event == "enrollment.requested":
        new = {
            "associationId": where,
            "associationType": "courseOfferingAssociation",
            "role": "student",
            "state": "pending",
            **options.offering(record["offering_id"]),
            **_person(delivery, record),
            **changes,
            **mark,
        }
        if options.version == "6":
            del new["associationType"]
        if options.issuer is not None:
            name = "organizationId" if options.version == "5" else "organisationId"
            new["issuer"] = {name: options.issuer}
    return Wanted(where, {**changes, **mark}, new)


def mark_of(delivery: Delivery) -> dict[str, Any]:
    """What the association remembers of the newest event of a member, to know it again."""
    about = to_json(delivery.record)["envelope"]
    return {about["member"]: {"eventId": delivery.event_id, "version": about["aggregate_version"]}}


def known(association: Mapping[str, Any], delivery: Delivery) -> str:
    """`same`, `newer` or empty: how the association stands to a delivery."""
    ((member, ours),) = mark_of(delivery).items()
    ext = association.get("ext")
    marks = ext.get("alliance") if isinstance(ext, dict) else None
    mark = marks.get(member) if isinstance(marks, dict) else None
    if not isinstance(mark, dict) or not isinstance(mark.get("version"), int):
        return ""
    if mark.get("eventId") == delivery.event_id:
        return "same"
    return "newer" if mark["version"] > ours["version"] else ""


def _state(state: str, options: SinkOptions) -> str:
    return "canceled" if state == "cancelled" and options.version == "5" else state


def _requested(record: Mapping[str, Any], options: SinkOptions) -> dict[str, Any]:
    return {"remoteState": "pending"}


def _decided(record: Mapping[str, Any], options: SinkOptions) -> dict[str, Any]:
    return {"remoteState": _DECIDED[record["decision"]]} if record["decision"] in _DECIDED else {}


def _changed(record: Mapping[str, Any], options: SinkOptions) -> dict[str, Any]:
    state = _STATUS.get(record["new_status"], "")
    return {"remoteState": _state(state, options)} if state else {}


def _awarded(record: Mapping[str, Any], options: SinkOptions) -> dict[str, Any]:
    grade = record.get("grade") or {}
    result: dict[str, Any] = {
        "state": "completed",
        "pass": record["result"] if record["result"] in ("passed", "failed") else "unknown",
        "score": grade.get("label"),
        "studyLoad": {
            "studyLoadUnit": record["credits"]["scheme"],
            "value": float(record["credits"]["value"]),
        },
        "ext": {"gradeScheme": grade.get("scheme"), "awardId": record["award_id"]},
    }
    if options.version == "5":
        result["resultDate"] = record["assessed_on"]
    else:
        # The event has a day; the specification wants a moment. Midnight in China, where the day was counted.
        result["resultDateTime"] = f"{record['assessed_on']}T00:00:00+08:00"
        result["final"] = record["final"]
    return {"result": {name: value for name, value in result.items() if value is not None}}


_PARTS = {
    "enrollment.requested": _requested,
    "enrollment.decided": _decided,
    "enrollment.status-changed": _changed,
    "credit.awarded": _awarded,
}


def _person(delivery: Delivery, record: Mapping[str, Any]) -> dict[str, Any]:
    """The student: by our own id where it is one of ours, else by the pseudonym; with a name only where home gave one."""
    person: dict[str, Any] = {"personId": delivery.local_id or record["student_id"]}
    name = (delivery.private or {}).get("name")
    return {"person": person | ({"displayName": name} if name else {})}
