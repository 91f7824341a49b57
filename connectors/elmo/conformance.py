"""A campus for the conformance suite: it issues results as ELMO documents, and takes documents back."""

from __future__ import annotations

from connectors.sdk.testing import Case
from connectors.sdk.xml.testing import FAULTS, MemoryFolder

_INSTITUTIONS = (
    "local,alliance,title,country,url\nu10610.example,10610,U10610,CN,https://u10610.example\n"
    "u10611.example,10611,U10611,CN,https://u10611.example\n"
)
_MAPPING = """
[event]
type = "credit.awarded"
[envelope]
event_id = "_change.eventId"
occurred_at = "occurred_at"
recorded_at = "_change.at"
aggregate_version = "_change.version"
subject = { template = "award-{attempt_no}" }
[fields]
award_id = { path = "award_id", required = true }
student_id = { path = "learner.id", required = true }
home = { const = "10610" }
host = { member = true }
enrollment_id = { path = "enrollment_key", required = true }
"course.member" = { member = true }
"course.course_code" = { path = "course.code", required = true }
titles = { each = "course.titles", fields = { lang = "lang", value = "value" } }
term = { path = "begins_on", required = true, convert = "term" }
"credits.scheme" = { path = "credit.scheme", required = true }
"credits.value" = { path = "credit.value", required = true, convert = "decimal" }
result = { path = "result", required = true }
"grade.scheme" = { const = "percent_100" }
"grade.label" = { path = "grade.label", required = true }
grade_distribution = { const = [] }
attempt_no = { path = "course.code", convert = "int" }
final = { const = true }
assessed_on = { path = "assessed_on", required = true, convert = "date" }
"""
_TABLES = """
[source.campus]
kind = "elmo"
folder = "results"
award_key = "a key that only this test knows"
select = "event"
[source.campus.mappings]
awarded = "mapping/offering.toml"
[sink.campus]
kind = "elmo"
folder = "taken"
institutions = "mapping/institution.csv"
"""


def result(number: int, *, credits: str = "3") -> bytes:
    """A document with one result of one learner."""
    return f"""<elmo xmlns="https://github.com/emrex-eu/elmo-schemas/tree/v2">
<generatedDate>2027-01-20T08:00:00Z</generatedDate>
<learner><identifier type="local">{number}</identifier><givenNames>N</givenNames><familyName>N</familyName></learner>
<report><issuer><identifier type="schac">u10611.example</identifier><title>U10611</title><url>-</url></issuer>
<learningOpportunitySpecification>
  <identifier type="local">{number}</identifier><title xml:lang="en">Course {number}</title><type>Course</type>
  <specifies><learningOpportunityInstance>
    <start>2026-09-07</start><date>2027-01-15</date><status>passed</status><resultLabel>86</resultLabel>
    <credit><scheme>cn_credit</scheme><value>{credits}</value></credit>
  </learningOpportunityInstance></specifies>
</learningOpportunitySpecification>
<issueDate>2027-01-20T08:00:00Z</issueDate></report></elmo>""".encode()


def folder() -> Case:
    """Documents in a folder both ways."""
    told: list[str] = []
    poison: set[str] = set()
    share = MemoryFolder(told, poison)
    spoiled: list[int] = []

    def happen(count: int, credits: str = "3") -> None:
        for _ in range(count):
            number = len(share.files) + 1
            share.write(f"{number:06d}.xml", result(number, credits=credits))

    def spoil() -> None:
        happen(1, "many")
        spoiled.append(1)

    return Case(
        _TABLES,
        mappings={"offering.toml": _MAPPING, "institution.csv": _INSTITUTIONS},
        transport=share,
        happen=happen,
        spoil=spoil,
        to_tell=lambda: len(share.files) - len(spoiled),
        told=told,
        poison=poison,
        faults=FAULTS,
        fault=share.fault,
    )


CASES = {"folder": folder}
