"""Deliveries as documents of Erasmus Without Paper, valid against the schemas of their versions.

Pure but for the links it keeps. A delivery that the network has no document for (outcomes, flags, what only the alliance
knows) has none here either.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from connectors.elmo import writing as elmo
from connectors.ewp.agreements import KINDS
from connectors.ewp.documents import BASE, Us, ewp_year
from connectors.ewp.iia_hash import iia_hash
from connectors.ewp.links import Links
from connectors.sdk.contract import Delivery, Permanent
from connectors.sdk.xml.document import Node, element, maybe, serialize

_OMOBILITIES: Final = f"{BASE}/ewp-specs-api-omobilities/blob/stable-v2/endpoints/get-response.xsd"
_IMOBILITIES_1: Final = (
    f"{BASE}/ewp-specs-api-imobilities/blob/stable-v1/endpoints/get-response.xsd"
)
_IMOBILITIES_2: Final = (
    f"{BASE}/ewp-specs-api-imobilities/blob/stable-v2/endpoints/get-response.xsd"
)
_LAS: Final = f"{BASE}/ewp-specs-api-omobility-las/blob/stable-v1/endpoints"
_TORS: Final = f"{BASE}/ewp-specs-api-imobility-tors/blob/stable-v2/endpoints/get-response.xsd"
_IIAS: Final = f"{BASE}/ewp-specs-api-iias/blob/stable-v7/endpoints/get-response.xsd"

# Version 1 of imobilities has the receiving side's word, version 2 arrival and departure.
_STATUS: Final = {"accepted": "verified", "denied": "rejected", "queued": "pending"}
_ARRIVALS: Final = {"started": "actual-arrival-date", "finished": "actual-departure-date"}
_EQF: Final = {"bachelor": "6", "undergraduate": "6", "master": "7", "doctoral": "8", "doctor": "8"}
_SPECS: Final = {kind: spec for spec, kind in KINDS.items()}
_LONGEST_ID: Final = 64  # EWP architecture, AsciiPrintableIdentifier


class EwpWriter:
    """What deliveries become."""

    def __init__(
        self, us: Us, links: Links, *, names_required: bool, signer_name: str, signer_app: str
    ) -> None:
        self._us = us
        self._links = links
        self._names_required = names_required
        self._signer_name = signer_name
        self._signer_app = signer_app

    def document(self, delivery: Delivery) -> tuple[str, bytes] | None:
        """The document of another member's event. Raises `Permanent`."""
        make = {
            "enrollment.requested": self._nomination,
            "enrollment.decided": self._answer,
            "enrollment.status-changed": self._arrival,
            "enrollment.plan-decided": self._plan_answer,
            "credit.awarded": self._transcript,
            "agreement.changed": self._agreement,
        }.get(delivery.event)
        root = make(delivery) if make and delivery.kind == "event" else None
        return None if root is None else (root.name, serialize(root, delivery.event))

    def note(self, delivery: Delivery) -> None:
        """Keep what our answers must name."""
        self._links.note(delivery)

    def _nomination(self, delivery: Delivery) -> Node:
        said: Any = delivery.record
        given, family = elmo.names_of(delivery, said.student_id, required=self._names_required)
        part = delivery.private or {}
        year = ewp_year(said.term.academic_year)
        mobility = element(
            "student-mobility",
            element("omobility-id", _id(said.enrollment_id)),
            element(
                "sending-hei",
                element("hei-id", self._hei(said.home)),
                element("iia-id", _id(_iia_id(said.agreement_id))) if said.agreement_id else None,
            ),
            element("receiving-hei", element("hei-id", self._hei(said.host))),
            element("sending-academic-term-ewp-id", f"{year}-{said.term.term_number}/{said.term.total_terms}"),
            element("receiving-academic-year-id", year),
            element(
                "student",
                element("given-names", given),
                element("family-name", family),
                element("global-id", said.student_id),
                maybe("email", part.get("email")),
            ),
            element("status", "nomination"),
            element("activity-type", "student-studies"),
            element("activity-attributes", "short-term-blended" if said.delivery == "blended" else "long-term"),
            maybe("eqf-level-studied-at-nomination", _EQF.get(said.level or "")),
        )  # fmt: skip
        return element("omobilities-get-response", mobility, namespace=_OMOBILITIES)

    def _answer(self, delivery: Delivery) -> Node | None:
        said: Any = delivery.record
        status = _STATUS.get(said.decision)
        if status is None:
            return None
        comment = (
            "; ".join(dict.fromkeys(text.value for text in said.conditions)) or said.reason_code
        )
        mobility = element(
            "student-mobility-for-studies",
            element("omobility-id", _id(said.enrollment_id)),
            element("status", status),
            maybe("comment", comment),
        )
        return element("imobilities-get-response", mobility, namespace=_IMOBILITIES_1)

    def _arrival(self, delivery: Delivery) -> Node | None:
        said: Any = delivery.record
        name = _ARRIVALS.get(said.new_status)
        if name is None:
            return None  # a withdrawal is a whole nomination there, and the event has no more than its id
        mobility = element(
            "student-mobility",
            element("omobility-id", _id(said.enrollment_id)),
            element(name, said.effective_date.isoformat()),
        )
        return element("imobilities-get-response", mobility, namespace=_IMOBILITIES_2)

    def _plan_answer(self, delivery: Delivery) -> Node | None:
        """The host's word on a plan of ours, as the update request it would have sent us."""
        said: Any = delivery.record
        if said.side != "host" or said.home != self._us.member:
            return None
        approved = said.decision == "approved"
        la = f"{_LAS}/get-response.xsd"
        signature = element(
            "signature",
            replace(element("signer-name", self._signer_name), namespace=la) if self._signer_name else None,
            element("timestamp", said.envelope.occurred_at.isoformat(), namespace=la),
            element("signer-app", self._signer_app, namespace=la),
        )  # fmt: skip
        comment = "\n".join(dict.fromkeys(text.value for text in said.comment))
        answer = element(
            "approve-proposal-v1" if approved else "comment-proposal-v1",
            element("omobility-id", _id(said.enrollment_id)),
            element("changes-proposal-id", self._proposal(said)),
            None if approved else element("comment", comment or "-"),
            signature,
        )
        return element(
            "omobility-las-update-request",
            element("sending-hei-id", self._us.hei_id),
            answer,
            namespace=f"{_LAS}/update-request.xsd",
        )

    def _proposal(self, said: Any) -> str:
        """The proposal that an answer is about: ours with that plan; else the one it names, or its plan by its hash."""
        known = self._links.proposal_of(said.enrollment_id, said.decides_hash)
        named = said.envelope.correlation_id
        return known or (named if named not in (None, said.enrollment_id) else said.decides_hash)

    def _transcript(self, delivery: Delivery) -> Node | None:
        said: Any = delivery.record
        if said.enrollment_id is None:
            return None  # a placement is no mobility of the network
        tor = element(
            "tor",
            element("omobility-id", _id(said.enrollment_id)),
            elmo.award(delivery, self._us.institutions, 1, self._names_required),
        )
        return element("imobility-tors-get-response", tor, namespace=_TORS)

    def _agreement(self, delivery: Delivery) -> Node | None:
        """The other party's proposal as its copy. An approval names the hash of our copy, which no event has."""
        said: Any = delivery.record
        spec = _SPECS.get(said.conditions.kind)
        if said.step != "proposed" or len(said.parties) != 2 or spec is None:
            return None
        ours = next(party for party in said.parties if party != said.party)
        quotas = [quota for quota in said.conditions.quotas if quota.per_year > 0]
        iia = element(
            "iia",
            element(
                "partner",
                element("hei-id", self._hei(said.party)),
                element("iia-id", _id(_iia_id(said.agreement_id))),
            ),
            element("partner", element("hei-id", self._hei(ours))),
            element("in-effect", "false"),
            element(
                "cooperation-conditions",
                *(self._specification(spec, quota, said.conditions) for quota in quotas),
            ),
        )
        hashed = replace(iia, children=(*iia.children, element("iia-hash", iia_hash(iia))))
        return element("iias-get-response", hashed, namespace=_IIAS)

    def _specification(self, spec: str, quota: Any, conditions: Any) -> Node:
        student = spec.startswith("student-")
        days = conditions.total_days_per_year
        # The schema wants a language; that none was agreed on has a mark of its own there.
        language = element(
            "recommended-language-skill", element("language", "en"), not_yet_defined="true"
        )
        return element(
            spec,
            element("sending-hei-id", self._hei(quota.sender)),
            element("receiving-hei-id", self._hei(quota.receiver)),
            element("receiving-first-academic-year-id", ewp_year(conditions.first_year)),
            element("receiving-last-academic-year-id", ewp_year(conditions.last_year)),
            element("mobilities-per-year", str(quota.per_year)),
            language,
            element("total-days-per-year", str(days)) if days and not student else None,
            element("blended", "false") if student else None,
        )

    def _hei(self, member: str) -> str:
        return elmo.institution(self._us.institutions, member).hei_id


def _iia_id(agreement_id: str) -> str:
    """The network's id in the alliance's: what follows tells its parts apart, see `connectors.ewp.agreements`."""
    return agreement_id.partition(":")[0]


def _id(text: str) -> str:
    """An id as the network takes it. Raises `Permanent`."""
    if not 1 <= len(text) <= _LONGEST_ID or not all("!" <= character <= "~" for character in text):
        said = "an id that the network does not take"
        raise Permanent(
            f"id {text!r}: {said}; wanted 1 to {_LONGEST_ID} printable characters of ASCII without blanks",
            said,
            code="EWP_ID",
        )
    return text
