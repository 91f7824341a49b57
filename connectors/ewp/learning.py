"""Learning agreements: a negotiation between student, sending and receiving institution, as plans that are proposed and decided.

The sending institution keeps the document: a first version that all three signed, the changes to it that all three
signed, and one proposal that waits for the receiving side's word. Changes are always told against the first version, so
the plan of any of them is the first version without what is deleted and with what is inserted. The receiving
institution answers with update requests that name the proposal; a comment is its way to say no.
Source: https://github.com/erasmus-without-paper/ewp-specs-api-omobility-las, README and get-response.xsd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from connectors.ewp.documents import Us, academic_year, hei, student, term, version_of
from connectors.ewp.links import HASH, Links
from connectors.sdk.xml.document import Node
from connectors.sdk.xml.source import Fact

ROOTS: Final = ("omobility-las-get-response", "omobility-las-update-request")
# Table of the agreement, and how such a course is held.
_STUDIED: Final = (
    ("components-studied", "presential"),
    ("virtual-components", "online"),
    ("blended-mobility-components", "blended"),
    ("short-term-doctoral-components", "presential"),
)
_RECOGNIZED: Final = "components-recognized"
_REASONS: Final = {
    "not-available": "not_available",
    "language-mismatch": "language",
    "timetable-conflict": "timetable",
    "substituting-deleted": "substituted",
    "extending-mobility": "extended_stay",
    "adding-virtual-component": "x-virtual_component",
}
_ANSWERS: Final = {"approve-proposal-v1": "approved", "comment-proposal-v1": "returned"}

PlanHash: TypeAlias = Callable[[dict[str, Any]], str | None]


class LearningAgreements:
    """Reads learning agreements of ours, and our answers to those of others.

    `plan_hash` gives the hash of the plan that a fact's data are mapped to: our own approval must name it.
    """

    def __init__(self, us: Us, links: Links, plan_hash: PlanHash, *, bare: bool) -> None:
        self._us = us
        self._links = links
        self._plan_hash = plan_hash
        self._bare = bare

    def facts(self, root: Node, at: str, sha256: str) -> Sequence[Fact]:
        """The facts of a document. Raises `XmlError`."""
        version_of(root, at, ROOTS, bare=self._bare)
        if root.name == ROOTS[1]:
            return list(self._answered(root))
        return [fact for la in root.all("la") for fact in self._proposed(la)]

    def complete(self, event: str, data: dict[str, Any]) -> bool:
        """A decision names the plan by its hash: our own by mapping it, the other side's as it was delivered to us."""
        if event == "plan-approved":
            data["plan_hash"] = self._plan_hash(data)
            if data["plan_hash"] and data["proposal_id"]:
                self._links.note_own(data)
        elif event == "plan-answered":
            proposal = data["proposal_id"] or ""
            known = self._links.proposal(data["enrollment_id"], proposal)
            data |= known.fields() if known else {}
            if known is None and HASH.fullmatch(proposal):
                data["plan_hash"] = proposal
        return event == "plan-proposed" or data["plan_hash"] is not None

    def _proposed(self, la: Node) -> Iterator[Fact]:
        """Every version in the document, oldest first: what of them was told is not told again."""
        sending, receiving = hei(la.child("sending-hei")), hei(la.child("receiving-hei"))
        mobility = la.value("omobility-id")
        if mobility is None or not self._us.is_us(sending["hei_id"]):
            return
        about = {
            "enrollment_id": mobility,
            "plan_id": plan_id(mobility),
            "home": self._us.member,
            "host": self._us.institutions.member(receiving["hei_id"]),
            "sending_hei": sending,
            "receiving_hei": receiving,
            "student": student(la.child("student")),
        }
        year = academic_year(la.value("receiving-academic-year-id"))
        first = la.child("first-version")
        versions = [(first, None), (la.child("approved-changes"), first)]
        versions.append((la.child("changes-proposal"), first))
        for version, base in versions:
            if version is not None:
                yield from _facts(version, base, about, year)

    def _answered(self, request: Node) -> Iterator[Fact]:
        home = request.value("sending-hei-id")
        if self._us.is_us(home):
            return  # the other side's word on a plan of ours is theirs to tell
        for name, decision in _ANSWERS.items():
            for answer in request.all(name):
                mobility = answer.value("omobility-id") or ""
                proposal = answer.value("changes-proposal-id")
                comment = answer.value("comment")
                data = {
                    "enrollment_id": mobility,
                    "plan_id": plan_id(mobility),
                    "home": self._us.institutions.member(home),
                    "host": self._us.member,
                    "side": "host",
                    "decision": decision,
                    "proposal_id": proposal,
                    "comments": [{"lang": "und", "value": comment}] if comment else [],
                    "occurred_at": answer.value("signature", "timestamp"),
                    "plan_hash": None,
                }
                yield Fact("plan-answered", plan_id(mobility), [decision, proposal], data)


def plan_id(mobility: str) -> str:
    """The plan of a mobility: an id of its own, for plan and enrollment are numbered apart."""
    return f"{mobility}-LA"


def _facts(
    version: Node, base: Node | None, about: dict[str, Any], year: str | None
) -> Iterator[Fact]:
    """The proposal that a version is, and the sending side's own approval: its signature."""
    plan = {
        "studied": [
            {**course, "mode": mode}
            for table, mode in _STUDIED
            for course in _courses(table, version, base, year)
        ],
        "recognized": [
            course
            for course in _courses(_RECOGNIZED, version, base, year)
            if course["change"] != "deleted"
        ],
    }
    signed = {
        side: version.value(f"{side}-signature", "timestamp") for side in ("student", "sending-hei")
    }
    identity = [plan, signed]
    data = {
        **about,
        **plan,
        "proposal_id": version.attributes.get("id"),
        "student_confirmed_on": (signed["student"] or "")[:10] or None,
        "occurred_at": signed["sending-hei"] or signed["student"],
    }
    yield Fact("plan-proposed", about["plan_id"], ["proposed", identity], data)
    if signed["sending-hei"] is not None:
        approved = {**data, "side": "home", "decision": "approved", "comments": []}
        yield Fact("plan-approved", about["plan_id"], ["approved", identity], approved)


def _courses(
    table: str, version: Node, base: Node | None, year: str | None
) -> Iterator[dict[str, Any]]:
    """The courses of a table as they would stand, those that go included: first what was there, then what comes."""
    changes = list(_components(version, table))
    gone = {_name(node): node for node in changes if node.attributes.get("status") == "deleted"}
    for node in _components(base, table) if base else ():
        change = gone.pop(_name(node), None)
        yield _course(node if change is None else change, node, year)
    for node in changes:
        if node.attributes.get("status") != "deleted" or _name(node) in gone:
            yield _course(node, node, year)


def _components(version: Node, table: str) -> Iterator[Node]:
    for listed in version.all(table):
        yield from listed.all("component")


def _name(component: Node) -> tuple[str, str]:
    """By what a component is the same in two versions: the best of its names."""
    for name in ("loi-id", "los-id", "los-code", "title"):
        if found := component.value(name):
            return name, found
    return "", ""


def _course(change: Node, component: Node, year: str | None) -> dict[str, Any]:
    """A component; `change` says what becomes of it, `component` what it is."""
    credit = component.child("credit")
    title = component.value("title")
    reason = change.attributes.get("reason-code") or change.attributes.get("reason")
    return {
        "los_id": component.value("los-id"),
        "los_code": component.value("los-code"),
        "loi_id": component.value("loi-id"),
        "code": component.value("los-code") or component.value("los-id") or title,
        "title": title,
        "titles": [{"lang": "und", "value": title}] if title else [],
        "term": term(
            year,
            component.value("term-id", "term-number"),
            component.value("term-id", "total-terms"),
        ),
        "credit": {
            "scheme": (credit.value("scheme") or "").lower() if credit else None,
            "value": credit.value("value") if credit else None,
        },
        "conditions": component.value("recognition-conditions"),
        "change": change.attributes.get("status"),
        "reason": _REASONS.get(reason or ""),
    }
