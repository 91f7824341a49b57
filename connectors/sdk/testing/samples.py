"""Records to test with: a campus's row and its mapping, another member's request, a flag."""

from __future__ import annotations

from typing import Any

from connectors.sdk.testing.names import THEM, US
from schemas.codec import from_json
from schemas.records import Record

OFFERING_MAPPING = """
[event]
type = "offering.changed"
[envelope]
event_id = "eventId"
occurred_at = "at"
recorded_at = "at"
aggregate_version = "version"
[fields]
offering_id = { path = "id", required = true }
host = { member = true }
"course.member" = { member = true }
"course.course_code" = { path = "id", required = true }
titles = { each = "titles", fields = { lang = "lang", value = "value" } }
term = { path = "start", required = true, convert = "term" }
mode = { const = "online" }
"credits.scheme" = { const = "cn_credit" }
"credits.value" = { path = "credits", required = true, convert = "decimal" }
capacity = { const = 30 }
teachers = { const = [] }
joint_members = { const = [] }
status = { const = "active" }
"""


def offering_row(number: int, **changes: Any) -> dict[str, Any]:
    """A campus's row that `OFFERING_MAPPING` understands; `credits="many"` makes it one it does not."""
    return {
        "number": number,
        "eventId": f"00000000-0000-4000-8000-{number:012d}",
        "id": f"course-{number}",
        "at": "2026-09-01T08:00:00Z",
        "version": 1,
        "titles": [{"lang": "en", "value": f"Course {number}"}],
        "start": "2026-09-07",
        "credits": 2.5,
    } | changes


def their_request(number: int, home: str = THEM, host: str = US, version: int = 1) -> Record:
    """An enrollment another member asks us for, or asks for again in a newer version."""
    enrollment = f"enrollment-{number}"
    about = {
        "event_id": f"10000000-0000-4000-{7999 + version}-{number:012d}",
        "source": f"urn:alliance:member:{home}:campus",
        "member": home,
        "subject": enrollment,
        "partition_key": enrollment,
        "occurred_at": "2026-09-01T08:00:00Z",
        "recorded_at": "2026-09-01T08:00:00Z",
        "aggregate_version": version,
    }
    return from_json(
        "enrollment.requested",
        {
            "envelope": about,
            "enrollment_id": enrollment,
            "student_id": f"urn:alliance:student:{home}:{number}",
            "home": home,
            "host": host,
            "offering_id": "course-1",
            "term": {"academic_year": "2026-2027", "term_number": 1, "total_terms": 2},
            "activity": "course",
            "delivery": "online",
            "home_active_registration": True,
        },
    )


def case_flag(flag: str = "deadline_near", case_id: str = "enrollment-1") -> Record:
    """A flag of a case of ours."""
    return from_json(
        "hub.case-flagged",
        {
            "flag": flag,
            "case_kind": "enrollment",
            "case_id": case_id,
            "state": "pending",
            "next_actors": [US],
            "due_at": "2026-09-04T00:00:00Z",
            "cause_seq": 1,
            "message_en": "3 days left to decide on this request.",
            "message_zh": "该申请须在 3 天内作出决定。",
            "flagged_at": "2026-09-01T00:00:00Z",
        },
    )
