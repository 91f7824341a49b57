"""Nominations: what documents of outgoing and incoming mobilities come to.

The sending institution is the one writer of a nomination and of its withdrawal, the receiving one of its answer and of
arrival and departure: a document in which we are the other side tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from connectors.ewp.documents import (
    Us,
    academic_year,
    hei,
    student,
    term_of_day,
    term_of_id,
    version_of,
)
from connectors.ewp.links import Links
from connectors.sdk.xml.document import Node
from connectors.sdk.xml.source import Fact

ROOTS: Final = ("omobilities-get-response", "imobilities-get-response")
_ELEMENTS: Final = ("student-mobility", "student-mobility-for-studies")
_WITHDRAWN: Final = "cancelled"
_REJECTED: Final = "rejected"  # version 3 shows the receiving side's word in the same element
_DECISIONS: Final = {"verified": "accepted", "rejected": "denied"}


class Nominations:
    """Reads omobilities and imobilities."""

    def __init__(self, us: Us, links: Links, *, bare: bool) -> None:
        self._us = us
        self._links = links
        self._bare = bare

    def facts(self, root: Node, at: str, sha256: str) -> Sequence[Fact]:
        """The facts of a document. Raises `XmlError`."""
        version_of(root, at, ROOTS, bare=self._bare)
        read = self._outgoing if root.name == ROOTS[0] else self._incoming
        return [fact for name in _ELEMENTS for node in root.all(name) for fact in read(node)]

    def complete(self, event: str, data: dict[str, Any]) -> bool:
        """Our answers name the request they answer, which the sink of this connector has brought."""
        if event not in ("decided", "started", "finished"):
            return True
        known = self._links.enrollment(data["enrollment_id"] or "")
        data |= known.fields() if known else {}
        return known is not None

    def _outgoing(self, node: Node) -> Sequence[Fact]:
        nomination = node.child("nomination") or node  # version 3 keeps the student apart from it
        sending, receiving = (
            hei(nomination.child("sending-hei")),
            hei(nomination.child("receiving-hei")),
        )
        mobility = node.value("omobility-id")
        if mobility is None or not self._us.is_us(sending["hei_id"]):
            return ()
        year = academic_year(nomination.value("receiving-academic-year-id"))
        arrives_on = nomination.value("planned-arrival-date")
        data = {
            "enrollment_id": mobility,
            "home": self._us.member,
            "host": self._us.institutions.member(receiving["hei_id"]),
            "sending_hei": sending,
            "receiving_hei": receiving,
            "academic_year": year,
            "term": term_of_id(nomination.value("sending-academic-term-ewp-id"))
            or term_of_day(year, arrives_on),
            "offering_key": f"{(receiving['hei_id'] or '').lower()}/{year}",
            "student": student(node.child("student")),
            "status": node.value("status"),
            "activity_type": nomination.value("activity-type") or "student-studies",
            "activity_attributes": nomination.value("activity-attributes") or "long-term",
            "eqf_level": nomination.value("eqf-level-studied-at-departure"),
            "isced_code": nomination.value("nominee-isced-f-code"),
            "arrives_on": arrives_on,
            "departs_on": nomination.value("planned-departure-date"),
        }
        if data["status"] == _WITHDRAWN:
            return (Fact("withdrawn", mobility, "withdrawn", data, needs_told=mobility),)
        if data["status"] == _REJECTED:
            return ()
        return (Fact("nominated", mobility, "nominated", data),)

    def _incoming(self, node: Node) -> Sequence[Fact]:
        mobility = node.value("omobility-id")
        if mobility is None:
            return ()
        said = (node.value("status") or "").lower()
        about = {"enrollment_id": mobility, "comment": node.value("comment")}
        facts = []
        if decision := _DECISIONS.get(said):
            facts.append(
                Fact("decided", mobility, ["decided", decision], {**about, "decision": decision})
            )
        for event, name in (
            ("started", "actual-arrival-date"),
            ("finished", "actual-departure-date"),
        ):
            day = node.value(name)
            if day is not None:
                facts.append(Fact(event, mobility, event, {**about, "day": day}))
        return facts
