"""Bodies of change rows of the office `plans`: a learning plan with its two lists of courses, and words on it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

from connectors.sandbox.shapes import Row, study_load

Body: TypeAlias = dict[str, Any]


def plan(
    plan_id: str,
    enrollment: Row,
    components: Sequence[Body],
    recognized: Sequence[Body],
    mappings: Sequence[tuple[Sequence[int], Sequence[int]]],
    confirmed: date,
    decide_by: date,
) -> Body:
    """`enrollment`: a row of that table; mappings are positions in the two lists."""
    return {
        "learningPlanId": plan_id,
        "association": _association(enrollment),
        "components": list(components),
        "recognized": list(recognized),
        "mappings": [
            {"components": list(studied), "courses": list(courses)} for studied, courses in mappings
        ],
        "studentConfirmedDate": confirmed.isoformat(),
        "decideBy": decide_by.isoformat(),
    }


def _association(enrollment: Row) -> Body:
    return {
        "associationId": enrollment["enrollment_id"],
        "personId": enrollment["student_id"],
        "homeOrganization": enrollment["home"],
        "organization": enrollment["host"],
    }


def component(course: Row, name: Sequence[Mapping[str, str]], change: str | None) -> Body:
    """A course at the host; `change` against the plan agreed before: inserted, deleted or None."""
    return {
        "offeringId": course["offering_id"],
        "code": course["code"],
        "name": list(name),
        "startDate": course["start_date"],
        "modeOfDelivery": course["mode"],
        "studyLoad": study_load(course["scheme"], course["credit_milli"]),
        "change": change,
        "reason": "timetable" if change else None,
    }


def recognized(code: str, category: str, scheme: str, milli: int, conditions: str | None) -> Body:
    """A course at home that the studied ones shall count as."""
    return {
        "code": code,
        "category": category,
        "studyLoad": study_load(scheme, milli),
        "conditions": conditions,
    }


def decision(plan: Row, side: str, said: str, comment: tuple[str, str] | None, unit: str) -> Body:
    """A side's word on the plan with the hash that it has read. `plan`: a row of the table study_plan."""
    return {
        "learningPlanId": plan["plan_id"],
        "association": _association(plan),
        "side": side,
        "planHash": plan["hash"],
        "decision": said,
        "comment": [
            {"language": "zh-CN", "value": comment[0]},
            {"language": "en-GB", "value": comment[1]},
        ]
        if comment
        else [],
        "unit": unit,
    }
