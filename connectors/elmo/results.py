"""What an ELMO document says: the tree of courses to awards, as plain values.

Owns the reading of ELMO 1 and 2 (https://github.com/emrex-eu/elmo-schemas). Pure. What a scheme of credits or grades is
called in the alliance is left to code tables of the campus: a scheme that is not in them parks its award by name.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from connectors.sdk.xml.document import Node, XmlError

NAMESPACE: Final = re.compile(r"https://github\.com/emrex-eu/elmo-schemas/tree/v([12])")
_FINAL: Final = {"passed": "passed", "failed": "failed"}
# A whole degree is no credit for a course; a class (a lecture, a lab) is a part of one.
_NOT_AWARDED: Final = frozenset({"Degree Programme"})
_PART_OF_COURSE: Final = "Class"


def version_of(root: Node, at: str) -> int:
    """1 or 2. Raises `XmlError` for what is no ELMO document, or one of a version nobody here has read."""
    if root.name != "elmo":
        raise XmlError("XML_ROOT", at, f"the document is {root.name!r}", "wanted elmo")
    known = NAMESPACE.fullmatch(root.namespace)
    if known is None:
        code = "XML_VERSION" if "elmo-schemas" in root.namespace else "XML_NAMESPACE"
        wanted = "wanted https://github.com/emrex-eu/elmo-schemas/tree/v1 or v2"
        raise XmlError(code, at, f"elmo is of namespace {root.namespace or 'none'!r}", wanted)
    return int(known[1])


def awards(
    root: Node, at: str, sha256: str, *, key: bytes, learner: str | None = None,
    learner_ids: Sequence[str] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """Every final result of the document, in its order.

    `learner` names whose results these are, where that is known from elsewhere; else it is one of the learner's own
    identifiers, `learner_ids` by type, best first. Awards are named by a hash under `key`, for national numbers are few
    enough to be tried out. Amounts, days and counts stay texts as the document has them; texts in several languages are
    lists of lang and value.
    """
    version_of(root, at)
    whose = _learner(root.child("learner"), learner_ids)
    name = Naming(key, learner or whose["id"] or "")
    found = []
    for report in root.all("report"):
        issuer = _issuer(report)
        about = {
            "learner": whose,
            "issuer": issuer,
            "issued_on": _day(report.value("issueDate")),
            "document_sha256": sha256,
        }
        schemes = _schemes(report)
        for los in report.all("learningOpportunitySpecification"):
            found += [_award(course, about, schemes, name) for course in _awarded(los)]
    return found


def _awarded(los: Node) -> Iterator[Node]:
    """The courses in a tree that have a result of their own. A whole whose parts are told is not told again: it would count twice."""
    parts = list(_parts(los))
    inner = [course for part in parts for course in _awarded(part)]
    if inner:
        yield from inner
        return
    loi = _instance(los)
    kind = los.value("type") or ""
    if loi is None or kind in _NOT_AWARDED:
        return
    status = loi.value("status")
    credit = bool(_credits(loi))
    decided = status in _FINAL or (status is None and (credit or loi.value("resultLabel")))
    if decided and (kind != _PART_OF_COURSE or credit):
        yield los


def _parts(los: Node) -> Iterator[Node]:
    for part in los.all("hasPart"):
        yield from part.all("learningOpportunitySpecification")


def _instance(los: Node) -> Node | None:
    return los.child("specifies", "learningOpportunityInstance")


@dataclass(frozen=True, slots=True)
class Naming:
    """How awards get ids that nobody can work back to a learner without the key."""

    key: bytes
    learner: str

    def award_id(self, *about: Any) -> str:
        said = json.dumps([self.learner, *about], sort_keys=True).encode()
        return f"elmo-{hmac.new(self.key, said, hashlib.sha256).hexdigest()[:32]}"


def _award(
    los: Node, about: Mapping[str, Any], schemes: Mapping[str, list[dict[str, str]]], name: Naming
) -> dict[str, Any]:
    loi = _instance(los) or Node("learningOpportunityInstance")
    ids, loi_ids = identifiers(los), identifiers(loi)
    titles = texts(los, "title")
    credit = _credits(loi)
    scheme = loi.value("gradingSchemeLocalId")
    label = loi.value("resultLabel")
    status = loi.value("status") or "passed"  # what the schema says an absent one means
    began = loi.value("academicTerm", "start") or loi.value("start")
    issuer_id = about["issuer"]["id"]
    names = ids or {text["lang"]: text["value"] for text in titles}
    held = loi_ids or {"begins": began or "", "ends": loi.value("date") or ""}
    return {
        **about,
        "award_id": name.award_id(issuer_id, names, held),
        "course": {
            "code": ids.get("local") or next(iter(ids.values()), None),
            "los_id": ids.get("ewp-los-id"),
            "ids": ids,
            "titles": titles,
            "type": los.value("type"),
            "isced_code": los.value("iscedCode"),
        },
        "loi_ids": loi_ids,
        "credit": _preferred(credit),
        "credits": credit,
        "contact_hours": loi.value("engagementHours") or _hours(los),
        "result": _FINAL.get(status),
        "grade": {
            "scheme": scheme,
            "scheme_texts": schemes.get(scheme or "", []),
            "label": label or status,
            "numeric": _number(label),
        },
        "distribution": [
            dict(share.attributes)
            for spread in loi.all("resultDistribution")
            for share in spread.all("category")
        ],
        "levels": {
            (level.value("type") or "").lower(): level.value("value") for level in loi.all("level")
        },
        "language": loi.value("languageOfInstruction"),
        "begins_on": began,
        "assessed_on": loi.value("date") or loi.value("academicTerm", "end") or about["issued_on"],
    }  # fmt: skip


def as_of(root: Node) -> int:
    """When the document was made, in milliseconds since 1970; 0 where it does not say so."""
    try:
        made = datetime.fromisoformat(root.value("generatedDate") or "")
    except ValueError:
        return 0
    if made.tzinfo is None:  # the schema lets it out
        made = made.replace(tzinfo=UTC)
    return max(0, round(made.timestamp() * 1000))


def identity(award: Mapping[str, Any]) -> list[Any]:
    """What a correction of an award changes."""
    return [award["credit"], award["result"], award["grade"]["label"], award["assessed_on"]]


def identifiers(node: Node) -> dict[str, str]:
    """The identifiers directly in an element by their type; the first of each type counts."""
    found: dict[str, str] = {}
    for one in node.all("identifier"):
        text = " ".join(one.text.split())
        if text:
            found.setdefault(one.attributes.get("type", ""), text)
    return found


def texts(node: Node, name: str) -> list[dict[str, str]]:
    """A text in the languages it is given in; `und` where the document does not say which (RFC 5646)."""
    return [
        {"lang": one.lang or "und", "value": " ".join(one.text.split())}
        for one in node.all(name)
        if one.text.strip()
    ]


def _learner(node: Node | None, wanted: Sequence[str]) -> dict[str, Any]:
    """The learner. All of it is personal: a mapping may put it into the private part, and nowhere else."""
    node = node or Node("learner")
    ids = identifiers(node)
    best = next((ids[kind] for kind in wanted if kind in ids), None)
    return {
        "id": best or next(iter(ids.values()), None),
        "ids": ids,
        "given_names": node.value("givenNames"),
        "family_name": node.value("familyName"),
        "birth_date": node.value("dateOfBirth") or node.value("bday"),
        "citizenship": node.value("citizenship"),
    }


def _issuer(report: Node) -> dict[str, Any]:
    node = report.child("issuer") or Node("issuer")
    ids = identifiers(node)
    return {
        "id": ids.get("schac") or next(iter(ids.values()), None),
        "ids": ids,
        "titles": texts(node, "title"),
        "country": node.value("country"),
        "url": node.value("url"),
    }


def _schemes(report: Node) -> dict[str, list[dict[str, str]]]:
    """Grading schemes of this report; their ids mean nothing outside of it."""
    return {
        scheme.attributes.get("localId", ""): texts(scheme, "description")
        for scheme in report.all("gradingScheme")
    }


def _credits(loi: Node) -> list[dict[str, str | None]]:
    return [
        {
            "scheme": (
                one.value("scheme") or ""
            ).lower(),  # samples of one document write ECTS and ects
            "value": one.value("value"),
            "level": one.value("level"),
        }
        for one in loi.all("credit")
    ]


def _preferred(credit: Sequence[dict[str, str | None]]) -> dict[str, str | None]:
    """Of one result in several schemes, the one that all of Europe reads; else the first."""
    first: dict[str, str | None] = {"scheme": None, "value": None, "level": None}
    ects = [one for one in credit if one["scheme"] == "ects"]
    return next(iter([*ects, *credit]), first)


def _hours(los: Node) -> str | None:
    """Contact hours of a course whose lectures and labs say theirs."""
    found = [
        hours for part in _parts(los) if (loi := _instance(part)) and (hours := _number(loi.value("engagementHours")))
    ]  # fmt: skip
    return format(sum(map(Decimal, found)), "f") if found else None


def _number(text: str | None) -> str | None:
    """A text that is a number, with a point; None for any other."""
    try:
        number = Decimal((text or "").replace(",", "."))
    except InvalidOperation:
        return None
    return format(number, "f") if number.is_finite() and abs(number.adjusted()) < 9 else None


def _day(text: str | None) -> str | None:
    return text[:10] if text else None
