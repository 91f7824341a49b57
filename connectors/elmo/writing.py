"""Awards and recognition decisions of the alliance as ELMO documents.

Pure. Order and names of elements follow the schemas of ELMO 1 and 2.1 (https://github.com/emrex-eu/elmo-schemas). Every
time in a document comes from the event, so the same event always gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from connectors.elmo.institutions import Institution, Institutions
from connectors.sdk.contract import Delivery, Permanent
from connectors.sdk.xml.document import Node, element, maybe, serialize

NAMESPACES: Final = {
    1: "https://github.com/emrex-eu/elmo-schemas/tree/v1",
    2: "https://github.com/emrex-eu/elmo-schemas/tree/v2",
}
_STATUS: Final = {
    "positive": "Positive",
    "negative": "Negative",
    "partially_positive": "Partially Positive",
}
_FINAL_STAGE: Final = "academic_affairs"


class ElmoWriter:
    """What deliveries become. `names_required` refuses a delivery whose private part has no name."""

    def __init__(self, institutions: Institutions, *, version: int, names_required: bool) -> None:
        self._institutions = institutions
        self._version = version
        self._names_required = names_required

    def document(self, delivery: Delivery) -> tuple[str, bytes] | None:
        """An award, or a final decision on recognition (which only version 2 can hold). Raises `Permanent`."""
        record: Any = delivery.record
        if delivery.kind != "event":
            return None
        if delivery.event == "credit.awarded":
            root = award(delivery, self._institutions, self._version, self._names_required)
        elif delivery.event == "credit.recognition-decided" and record.stage == _FINAL_STAGE:
            root = recognition(delivery, self._institutions, self._names_required)
        else:
            return None
        return "elmo", serialize(root, delivery.event)

    def note(self, delivery: Delivery) -> None:
        """Nothing is needed later."""


def award(
    delivery: Delivery,
    institutions: Institutions,
    version: int,
    names_required: bool = False,  # noqa: FBT001, FBT002
) -> Node:
    """One award as a report of its host. Raises `Permanent`."""
    said: Any = delivery.record
    loi = element(
        "learningOpportunityInstance",
        element("identifier", said.award_id, type="local"),
        element("date", said.assessed_on.isoformat()),
        element("status", said.result),
        element("gradingSchemeLocalId", said.grade.scheme),
        element("resultLabel", said.grade.label),
        _spread(said.grade_distribution),
        element(
            "credit",
            element("scheme", said.credits.scheme),
            element("value", _plain(said.credits.value)),
        ),
        maybe(
            "engagementHours", None if said.contact_hours is None else _plain(said.contact_hours)
        ),
    )
    los = element(
        "learningOpportunitySpecification",
        element("identifier", said.course.course_code, type="local"),
        element("identifier", said.course.los_id, type="ewp-los-id")
        if said.course.los_id
        else None,
        *_titles(said.titles, said.course.course_code),
        element("type", "Course"),
        element("specifies", loi),
    )
    report = element(
        "report",
        issuer(institution(institutions, said.host), version),
        los,
        element("issueDate", _time(said.envelope.occurred_at)),
        element("gradingScheme", localId=said.grade.scheme),
    )
    return _elmo(delivery, version, report, names_required)


def recognition(
    delivery: Delivery,
    institutions: Institutions,
    names_required: bool = False,  # noqa: FBT001, FBT002
) -> Node:
    """A final decision as a report of the home university: what it rests on, what it gives, and what became what."""
    said: Any = delivery.record
    home = institution(institutions, said.home)
    issued = element("issueDate", _time(said.envelope.occurred_at))
    award_ids = dict.fromkeys(one for mapping in said.mappings for one in mapping.award_ids)
    basis = element(
        "recognitionReport",
        issuer(home, 2),
        *(_named_course(award_id, f"Award {award_id}") for award_id in award_ids),
        issued,
    )
    given = [course for mapping in said.mappings for course in mapping.to]
    result = element(
        "resultOfRecognition",
        element("identifier", said.recognition_id, type="local"),
        maybe("title", said.decision_no),
        element("status", _status(said.outcome)),
        element("decisionDate", said.decided_on.isoformat()),
        element("recognitionBasis", basis) if award_ids else None,
        *(element("recognitionResult", _recognized(course)) for course in given),
        *(_mapping(mapping) for mapping in said.mappings),
    )
    return _elmo(delivery, 2, element("report", issuer(home, 2), result, issued), names_required)


def issuer(found: Institution, version: int) -> Node:
    """An institution as an issuer."""
    country = found.country.upper() or None
    coded = element("country", country, type="ISO 3166-1 alpha-2") if version == 2 else None
    return element(
        "issuer",
        (coded if version == 2 else maybe("country", country)) if country else None,
        element("identifier", found.hei_id, type="schac"),
        element("title", found.title or found.hei_id),
        element("url", found.url or f"https://{found.hei_id}"),
    )


def institution(institutions: Institutions, member: str) -> Institution:
    """A member in the table. Raises `Permanent`."""
    found = institutions.by_member.get(member)
    if found is None:
        brief = "a member that the table of institutions does not have"
        raise Permanent(
            f"{institutions.file}: has no member {member}; add its line",
            brief,
            code="NO_INSTITUTION",
        )
    return found


def names_of(delivery: Delivery, pseudonym: str, *, required: bool) -> tuple[str, str]:
    """Given and family name: from the private part, or the pseudonym where there is none. Raises `Permanent`.

    Formats want a name. A pseudonym is honest about there being none to show.
    """
    part: Mapping[str, Any] = delivery.private or {}
    given = part.get("given_names") or part.get("given_name")
    family = part.get("family_name") or (part.get("name") if given is None else None)
    if family is None and given is None:
        if required:
            raise Permanent(
                f"{delivery.event} {delivery.event_id}: its private part is {delivery.private_state or 'not there'} and "
                'a name is required; set student_names = "pseudonym", or have the sender map a name into [private]',
                "a document without a name",
                code="NO_NAME",
            )
        return "-", pseudonym
    return str(given or "-"), str(family or "-")


def _elmo(delivery: Delivery, version: int, report: Node, names_required: bool) -> Node:  # noqa: FBT001
    said: Any = delivery.record
    given, family = names_of(delivery, said.student_id, required=names_required)
    local_id = delivery.local_id
    learner = element(
        "learner",
        element("identifier", local_id, type="local") if local_id else None,
        element("identifier", said.student_id, type="allianceStudentId"),
        element("givenNames", given),
        element("familyName", family),
        element("alternativeName", f"{family} {given}".removesuffix(" -"))
        if version == 2
        else None,
    )
    generated = element("generatedDate", _time(said.envelope.recorded_at))
    return element("elmo", generated, learner, report, namespace=NAMESPACES[version])


def _status(outcome: str) -> str:
    found = _STATUS.get(outcome)
    if found is None:
        said = "an outcome that ELMO has no word for"
        raise Permanent(
            f"outcome {outcome!r}: {said}; update the connector", said, code="UNKNOWN_OUTCOME"
        )
    return found


def _recognized(course: Any) -> Node:
    credit = element(
        "credit",
        element("scheme", course.credits.scheme),
        element("value", _plain(course.credits.value)),
    )
    grade = course.grade
    return _named_course(
        course.home_course_code,
        course.home_course_code,
        element("status", "passed"),
        maybe("gradingSchemeLocalId", grade.scheme if grade else None),
        maybe("resultLabel", grade.label if grade else None),
        credit,
    )


def _named_course(local_id: str, title: str, *instance: Node | None) -> Node:
    return element(
        "learningOpportunitySpecification",
        element("identifier", local_id, type="local"),
        element("title", title),
        element("specifies", element("learningOpportunityInstance", *instance)),
    )


def _mapping(mapping: Any) -> Node:
    """Awards and home courses refer to the identifiers of type local above."""
    from_ = element("fromMapping", *(element("ref", one) for one in mapping.award_ids))
    to = element("toMapping", *(element("ref", one.home_course_code) for one in mapping.to))
    return element("recognitionMapping", element("mapping", from_, to if mapping.to else None))


def _titles(titles: Any, otherwise: str) -> list[Node]:
    found = [
        element("title", text.value, lang=None if text.lang == "und" else text.lang)
        for text in titles
    ]
    return found or [element("title", otherwise)]


def _spread(shares: Any) -> Node | None:
    found = [element("category", label=one.label, count=str(one.count)) for one in shares]
    return element("resultDistribution", *found) if found else None


def _plain(amount: Decimal) -> str:
    """3.000 as 3: documents are read by people."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _time(at: datetime | date) -> str:
    return at.isoformat()
