"""Bodies of change rows of the office `personnel`: associations of staff with another university, hours, secondments. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from connectors.sandbox.offices.shapes_common import number
from connectors.sandbox.shapes import Body, Row

RANKS: Final[Mapping[str, str]] = {
    "教授": "professor",
    "副教授": "associate_professor",
    "讲师": "lecturer",
    "助理教授": "x-assistant-professor",
}


def appointment(row: Row, step: str, reason: str | None) -> Body:
    """`row`: one of the table appointment."""
    hours = row["hours_milli"]
    return {
        "associationId": row["appointment_id"],
        "associationType": "x-staffAssociation",
        "personId": row["staff_id"],
        "homeOrganization": row["home"],
        "organization": row["host"],
        "role": row["role"],
        "unit": row["unit"],
        "rank": row["rank"],
        "startDate": row["from_date"],
        "endDate": row["to_date"],
        "maxContactHours": None if hours is None else number(hours),
        "offeringId": row["offering_id"],
        "agreementId": row["agreement_id"],
        "state": step,
        "reason": reason,
    }


def hours(appointed: Row, row: Row, step: str, milli: int, reason: str | None) -> Body:
    """`row`: one of the table delivery, under the appointment; `milli` are the hours this step is about."""
    return {
        "reportId": row["delivery_id"],
        "associationId": appointed["appointment_id"],
        "personId": appointed["staff_id"],
        "homeOrganization": appointed["home"],
        "organization": appointed["host"],
        "offeringId": appointed["offering_id"],
        "students": json.loads(row["students"]),
        "startDate": row["period_start"],
        "endDate": row["period_end"],
        "contactHours": number(milli),
        "kind": row["kind"],
        "confirmBy": row["confirm_by"],
        "state": step,
        "reason": reason,
    }


def secondment(row: Row, step: str, assessment: str | None, reason: str | None) -> Body:
    """`row`: one of the table secondment."""
    post: list[dict[str, Any]] = json.loads(row["post"])
    return {
        "secondmentId": row["secondment_id"],
        "personId": row["staff_id"],
        "homeOrganization": row["lender"],
        "organization": row["borrower"],
        "post": post,
        "kind": row["kind"],
        "startDate": row["from_date"],
        "endDate": row["to_date"],
        "agreementId": row["agreement_id"],
        "assessment": assessment,
        "state": step,
        "reason": reason,
    }
