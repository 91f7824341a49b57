"""One shape for the records of both versions. Pure; a field that is missing or of another type than the specification's
comes out as None, so that the mapping says what is wrong with it.

How many students are enrolled or waiting stays out: that changes with each of them, and is no news of the offering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.ooapi.options import PLACES, Collection, Version

Record = Mapping[str, Any]
# Version 6 spells these its own way; mappings see version 5's.
_NAMES = {
    "programmeId": "programId",
    "programmeType": "programType",
    "organisationId": "organizationId",
    "organisationType": "organizationType",
}


def identifier(record: Any, version: Version, collection: Collection) -> str | None:
    """The id of a record, or None when it has none."""
    found = record.get(PLACES[version, collection].id) if isinstance(record, dict) else None
    return found if isinstance(found, str) and found else None


def course_of(record: Record) -> str | Record | None:
    """The course of an offering: whole where the API expanded it, else its id."""
    found = record.get("course") or record.get("courseId")
    return found if isinstance(found, str | dict) else None


def shaped(record: Record, collection: Collection, course: Record | None = None) -> dict[str, Any]:
    """A record in the shape that mappings see. `course` is the offering's, once it is known."""
    if collection == "offerings":
        return offering(record, course)
    if collection == "courses":
        return course_shape(record)
    renamed = {_NAMES.get(name, name): value for name, value in record.items()}
    return renamed | {"code": _code(record)}


def offering(record: Record, course: Record | None) -> dict[str, Any]:
    """An offering with its course."""
    own = course if course is not None else record.get("course")
    opens, closes = _enrollment(record)
    return {
        "offeringId": record.get("offeringId") or record.get("courseOfferingId"),
        "code": _code(record),
        "offeringType": record.get("offeringType") or "course",
        "name": _texts(record.get("name")),
        "course": course_shape(own) if isinstance(own, dict) else {"courseId": course_of(record)},
        "startDate": _day(record.get("startDate") or record.get("startDateTime")),
        "endDate": _day(record.get("endDate") or record.get("endDateTime")),
        "enrollmentOpens": opens,
        "enrollmentCloses": closes,
        "modes": _list(record.get("modeOfDelivery") or record.get("modesOfDelivery")),
        "languages": _list(record.get("teachingLanguage") or record.get("teachingLanguages")),
        "capacity": _whole(record.get("maxNumberStudents")),
        "minStudents": _whole(record.get("minNumberStudents")),
        "resultValueType": record.get("resultValueType"),
        # Version 5 has no state: what is listed can be taken.
        "state": record.get("state") or "active",
        "ext": record.get("ext") or {},
    }


def course_shape(record: Record) -> dict[str, Any]:
    """A course."""
    loads = _list(record.get("studyLoad"))
    return {
        "courseId": record.get("courseId"),
        "code": _code(record),
        "name": _texts(record.get("name")),
        "credits": _credits(loads),
        "contactHours": next(
            (load.get("value") for load in loads if _unit(load) == "contact_time"), None
        ),
        "modes": _list(record.get("modeOfDelivery") or record.get("modesOfDelivery")),
        "languages": _list(record.get("teachingLanguage") or record.get("teachingLanguages")),
        "fieldsOfStudy": record.get("fieldsOfStudy"),
        "level": record.get("level"),
        "ext": record.get("ext") or {},
    }


def _code(record: Record) -> Any:
    code = record.get("primaryCode")
    return code.get("code") if isinstance(code, dict) else None


def _texts(value: Any) -> list[Any]:
    """Texts with a language; those that are empty say nothing."""
    return [one for one in _list(value) if isinstance(one, dict) and one.get("value")]


def _list(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, list) else [value]


def _day(value: Any) -> str | None:
    """The day as the campus's own clock has it: what stands before the T."""
    return value.partition("T")[0] if isinstance(value, str) and value else None


def _whole(value: Any) -> Any:
    """Version 6 has `number` where whole ones are meant: 200.0 is 200."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _enrollment(record: Record) -> tuple[str | None, str | None]:
    """First and last day to ask for a place. Version 6 has periods by target group: from the first to the last of them."""
    periods = [one for one in _list(record.get("enrolmentPeriods")) if isinstance(one, dict)]
    if not periods:
        return _day(record.get("enrollStartDate")), _day(record.get("enrollEndDate"))
    starts = [day for one in periods if (day := _day(one.get("startDateTime")))]
    ends = [_day(one.get("endDateTime")) for one in periods]
    known = [day for day in ends if day]
    return min(starts, default=None), max(known) if known and len(known) == len(ends) else None


def _unit(load: Any) -> Any:
    return load.get("studyLoadUnit") if isinstance(load, dict) else None


def _credits(loads: Sequence[Any]) -> dict[str, Any] | None:
    """Of several study loads the one in credits: ECTS first, then a unit of the campus's own, then hours."""
    rank = {"ects": 0, "sp": 2, "sbu": 3, "hour": 4, "contact_time": 5}
    usable = [load for load in loads if isinstance(load, dict)]
    best = min(usable, key=lambda load: rank.get(str(_unit(load)), 1), default=None)
    return None if best is None else {"unit": _unit(best), "value": best.get("value")}
