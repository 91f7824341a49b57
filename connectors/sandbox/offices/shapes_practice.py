"""Bodies of change rows of the office `practice`: placements, and results of those who completed one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

from connectors.sandbox.rules import Mark
from connectors.sandbox.shapes import SCHEMES, UNITS, score, study_load

Body: TypeAlias = dict[str, Any]


def placement(
    placement_id: str,
    kind: str,
    host: str,
    home: str,
    students: Sequence[str],
    supervisors: Sequence[Body],
    topic: tuple[str, str],
    site: str | None,
    days: tuple[date, date],
    milli: int | None,
    project_id: str | None,
    agreement_id: str | None,
) -> Body:
    """`milli`: thousandths of a credit for each student; None where nothing is awarded."""
    return {
        "placementId": placement_id,
        "placementType": kind,
        "organization": host,
        "homeOrganization": home,
        "persons": list(students),
        "supervisors": list(supervisors),
        "name": [
            {"language": "zh-CN", "value": topic[0]},
            {"language": "en-GB", "value": topic[1]},
        ],
        "site": site,
        "startDate": days[0].isoformat(),
        "endDate": days[1].isoformat(),
        "studyLoad": None if milli is None else study_load("cn_credit", milli),
        "projectId": project_id,
        "resourceId": None,
        "agreementId": agreement_id,
    }


def supervisor(person_id: str, member: str, role: str) -> Body:
    return {"personId": person_id, "organization": member, "role": role}


def from_record(record: Mapping[str, Any]) -> Body:
    """The placement of a received event in the campus's own form: what is said next repeats it."""
    languages = {"zh": "zh-CN", "en": "en-GB"}
    credits = record["credits"]
    return {
        "placementId": record["placement_id"],
        "placementType": record["kind"],
        "organization": record["host"],
        "homeOrganization": record["home"],
        "persons": list(record["students"]),
        "supervisors": [
            supervisor(person["staff_id"], person["member"], person["role"])
            for person in record["supervisors"]
        ],
        "name": [
            {"language": languages.get(text["lang"], text["lang"]), "value": text["value"]}
            for text in record["topic"]
        ],
        "site": record["site"],
        "startDate": record["start_date"],
        "endDate": record["end_date"],
        "studyLoad": None
        if credits is None
        else {
            "studyLoadUnit": UNITS.get(credits["scheme"], credits["scheme"]),
            "value": float(credits["value"]),
        },
        "projectId": record["project_id"],
        "resourceId": record["resource_id"],
        "agreementId": record["agreement_id"],
    }


def result(award_id: str, student_id: str, placement: Body, mark: Mark, day: date) -> Body:
    """What a student gets for a placement; `placement` as the campus keeps it."""
    return {
        "resultId": award_id,
        "association": {
            "personId": student_id,
            "homeOrganization": placement["homeOrganization"],
            "organization": placement["organization"],
        },
        "placement": {
            "placementId": placement["placementId"],
            "startDate": placement["startDate"],
            "code": CODES.get(placement["placementType"], "SJ0000"),
            "name": placement["name"],
        },
        "studyLoad": placement["studyLoad"],
        "pass": "passed" if mark.passed else "failed",
        **score(mark),
        "attempt": 1,
        "final": True,
        "resultDate": day.isoformat(),
    }


def load(placement: Body) -> tuple[str, int]:
    """Scheme and thousandths of a credit that a placement is worth to each student."""
    found = placement["studyLoad"]
    unit = found["studyLoadUnit"]
    return SCHEMES.get(unit, unit), round(found["value"] * 1000)


# The host's codes for practical work in the place of a course's.
CODES = {
    "production_practice": "SJ1001",
    "graduation_design": "SJ2001",
    "social_practice": "SJ3001",
    "joint_project_course": "SJ4001",
}
