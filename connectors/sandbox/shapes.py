"""Bodies of change rows: the objects of the campus's own interface, shaped like the Open Education API.

Pure. camelCase names, localized texts as lists of {language, value}, study load with its unit. What the API has no word
for stands under `x-` values or `ext`, as it asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Protocol, TypeAlias

from connectors.sandbox.rules import Mark, Ruling
from connectors.sandbox.seeds import Site, rule_set

Body: TypeAlias = dict[str, Any]


class Row(Protocol):
    """A row of a table of the campus, or a dict with its columns."""

    def __getitem__(self, column: str, /) -> Any: ...


UNITS = {"cn_credit": "x-cn-credit", "ects": "ects", "hour": "hour"}
SCHEMES = {unit: scheme for scheme, unit in UNITS.items()}
_VALUE_TYPES = {"percent_100": "0-100", "five_level": "x-five-level", "letter": "US-letter"}

STATES = {
    "accepted": "associated",
    "denied": "denied",
    "queued": "queued",
    "started": "x-started",
    "finished": "finished",
    "cancelled": "cancelled",
    "withdrawn": "x-withdrawn",
}


def study_load(scheme: str, milli: int) -> Body:
    """Thousandths of a credit as a study load: 2500 -> 2.5, 3000 -> 3."""
    value = milli / 1000
    return {
        "studyLoadUnit": UNITS.get(scheme, scheme),
        "value": int(value) if value.is_integer() else value,
    }


def score(mark: Mark) -> Body:
    return {
        "resultValueType": _VALUE_TYPES[mark.notation],
        "score": mark.label,
        "numericScore": mark.numeric,
    }


def profile(site: Site, produces: Sequence[str], consumes: Sequence[str]) -> Body:
    name, version, text = rule_set(site)
    return {
        "organizationType": "root",
        "primaryCode": {"codeType": "identifier", "code": site.code},
        "name": [
            {"language": "zh-CN", "value": site.name_zh},
            {"language": "en-GB", "value": site.name_en},
        ],
        "domain": site.domain,
        "region": site.region,
        "city": site.city,
        "produces": list(produces),
        "consumes": list(consumes),
        "hoursPerCredit": site.hours_per_credit,
        "gradeNotations": [_VALUE_TYPES[site.notation]],
        "contactUnit": "教务处",
        "ruleSet": {"id": name, "version": version, "text": text},
        "state": "active",
    }


def enrollment_request(
    enrollment_id: str,
    student: Row,
    home: str,
    offering: Row,
    until: date,
    domain: str,
) -> Body:
    """`student`: a row of the table student; `offering`: one of the table catalogue; `domain`: home's on the Internet."""
    return {
        "associationId": enrollment_id,
        "associationType": "courseOfferingAssociation",
        "role": "student",
        "state": "pending",
        "person": {
            "personId": student["student_id"],
            "level": student["level"],
            "majorCode": student["major"],
            "activeRegistration": True,
            "displayName": student["name"],
            "mail": f"{student['number']}@stu.{domain}",
        },
        "homeOrganization": home,
        "organization": offering["host"],
        "offering": {
            "offeringId": offering["offering_id"],
            "startDate": offering["start_date"],
            "modeOfDelivery": offering["mode"],
        },
        "activity": "course",
        "expiryDate": until.isoformat(),
    }


def enrollment_step(enrollment: Row, step: str) -> Body:
    """What decisions and status changes have in common."""
    return {
        "associationId": enrollment["enrollment_id"],
        "state": STATES[step],
        "homeOrganization": enrollment["home"],
        "organization": enrollment["host"],
        "offeringId": enrollment["offering_id"],
    }


def decision(enrollment: Row, step: str, reason: str | None, position: int | None) -> Body:
    conditions = (
        [
            {"language": "zh-CN", "value": "请在开课前完成跨校选课注册。"},
            {
                "language": "en-GB",
                "value": "Register as a visiting student before the course starts.",
            },
        ]
        if step == "accepted"
        else []
    )
    return enrollment_step(enrollment, step) | {
        "reason": reason,
        "queuePosition": position,
        "conditions": conditions,
    }


def status(enrollment: Row, step: str, day: date, reason: str | None) -> Body:
    return enrollment_step(enrollment, step) | {"effectiveDate": day.isoformat(), "reason": reason}


def result(
    award: Row,
    mark: Mark,
    offering: Mapping[str, Any],
    course: Mapping[str, Any],
    day: date,
) -> Body:
    """`award`: a row of the table award; offering and course as the campus keeps them."""
    return _result(award, mark, award["credit_milli"], day) | {
        "offering": {"offeringId": offering["offeringId"], "startDate": offering["startDate"]},
        "course": {
            "courseId": course["courseId"],
            "primaryCode": course["primaryCode"],
            "name": course["name"],
        },
        "contactHours": course.get("ext", {}).get("contactHours"),
        "attempt": 1,
        "final": True,
        "transcript": {
            "coursework": f"{mark.label} / {mark.notation}",
            "examinedOn": day.isoformat(),
        },
    }


def correction(
    award: Row, mark: Mark, credit_milli: int, kind: str, reason: str, day: date
) -> Body:
    return _result(award, mark, credit_milli, day) | {"change": kind, "reason": reason}


def _result(award: Row, mark: Mark, credit_milli: int, day: date) -> Body:
    return {
        "resultId": award["award_id"],
        "association": {
            "associationId": award["enrollment_id"],
            "personId": award["student_id"],
            "homeOrganization": award["home"],
            "organization": award["host"],
        },
        "studyLoad": study_load(award["scheme"], credit_milli),
        "pass": "passed" if mark.passed else "failed",
        **score(mark),
        "resultDate": day.isoformat(),
    }


def recognition_request(recognition: Row, awards: Sequence[str], asked: date, due: date) -> Body:
    return {
        "recognitionId": recognition["recognition_id"],
        "personId": recognition["student_id"],
        "results": list(awards),
        "replaces": [{"code": recognition["course_code"], "category": recognition["category"]}],
        "requestDate": asked.isoformat(),
        "dueDate": due.isoformat(),
    }


def recognition_decision(
    recognition: Row,
    awards: Sequence[Row],
    ruling: Ruling,
    mark: Mark,
    original_milli: int,
    stage: str,
    number: str,
    decided: date,
    appeal: date | None,
    rule: tuple[str, int],
) -> Body:
    """One mapping from all awards of the case to one home course, or to none when nothing is recognized."""
    scheme = awards[0]["scheme"]
    replaced = {
        "code": recognition["course_code"],
        "category": ruling.category,
        "studyLoad": study_load(scheme, ruling.milli),
        **score(mark),
    }
    converted = awards[0]["notation"] != mark.notation
    return {
        "recognitionId": recognition["recognition_id"],
        "personId": recognition["student_id"],
        "stage": stage,
        "outcome": ruling.outcome,
        "mappings": [
            {
                "results": [award["award_id"] for award in awards],
                "courses": [replaced] if ruling.milli else [],
                "outcome": ruling.outcome,
                "reason": ruling.reason,
                "rule": {"id": rule[0], "version": rule[1]},
                "facts": _facts(recognition, ruling),
                "conversion": {
                    "method": "table" if converted else "none",
                    "from": awards[0]["notation"],
                    "to": mark.notation,
                },
            }
        ],
        "originalTotal": study_load(scheme, original_milli),
        "recognizedTotal": study_load(scheme, ruling.milli),
        "documentNumber": number,
        "decisionDate": decided.isoformat(),
        "appealDate": appeal.isoformat() if appeal else None,
    }


def _facts(recognition: Row, ruling: Ruling) -> Body:
    """What the office found, for the rules to weigh."""
    milli = recognition["course_milli"]
    return {
        "homeCredits": None if milli is None else milli / 1000,
        "overlapPercent": recognition["overlap"],
        "alreadyEarned": ruling.reason == "already_earned",
    }


def project(
    project_id: str,
    lead: str,
    partners: Sequence[str],
    theme: Mapping[str, Any],
    starts: date,
    state: str,
) -> Body:
    organizations = [{"organization": lead, "role": "lead"}]
    organizations += [{"organization": partner, "role": "partner"} for partner in partners]
    return {
        "projectId": project_id,
        "lead": lead,
        "grantNumber": f"CY2026-{project_id[:6].upper()}",
        "name": [
            {"language": "zh-CN", "value": theme["zh"]},
            {"language": "en-GB", "value": theme["en"]},
        ],
        "kind": theme["kind"],
        "programs": list(theme["programs"]),
        "organizations": [
            row | {"startDate": starts.isoformat(), "endDate": None} for row in organizations
        ],
        "startDate": starts.isoformat(),
        "endDate": starts.replace(year=starts.year + 3).isoformat(),
        "access": "open",
        "state": state,
    }


def project_member(
    project_id: str,
    person_id: str,
    employer: str,
    position: str,
    action: str,
    since: date,
    until: date | None,
) -> Body:
    return {
        "projectId": project_id,
        "personId": person_id,
        "organization": employer,
        "position": position,
        "roles": ["supervision"] if position in ("lead", "co_lead") else ["investigation"],
        "startDate": since.isoformat(),
        "endDate": until.isoformat() if until else None,
        "action": action,
    }
