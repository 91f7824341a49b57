"""Inter-institutional agreements: what our copy of one, and our approval of theirs, come to.

In the network each partner keeps a copy of its own under an id of its own, and approves the other's copy by its hash. In the
alliance there is one agreement that all approve. It goes by the copy that was there first: ours while we know of no
other, else theirs. Specifications of one kind of mobility and the same years are one agreement; its quotas are sums.
Source: https://github.com/erasmus-without-paper/ewp-specs-api-iias, versions 6 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from connectors.ewp.documents import Us, academic_year, version_of
from connectors.sdk.xml.document import Node, XmlError
from connectors.sdk.xml.source import Fact

ROOTS: Final = ("iias-get-response", "iias-approval-response")
_MOST: Final = 1_000_000  # people or days in a year: above it is no agreement
KINDS: Final = {
    "student-studies-mobility-spec": "student_studies",
    "student-traineeship-mobility-spec": "practice",
    "staff-teacher-mobility-spec": "teacher",
    "staff-training-mobility-spec": "secondment",
}


class Agreements:
    """Reads agreements and approvals, and remembers for this life what belongs together: an approval names only an id."""

    def __init__(self, us: Us, *, bare: bool) -> None:
        self._us = us
        self._bare = bare
        self._ours: dict[
            str, list[dict[str, Any]]
        ] = {}  # by the partner's id of the same agreement
        self._approved: set[str] = set()  # ids of partners' copies that we approved

    def facts(self, root: Node, at: str, sha256: str) -> Sequence[Fact]:
        """The facts of a document. Raises `XmlError`."""
        version_of(root, at, ROOTS, bare=self._bare)
        if root.name == ROOTS[1]:
            ids = [found for node in root.all("approval") if (found := node.value("iia-id"))]
            self._approved |= set(ids)
            return [_approval(data) for iia_id in ids for data in self._ours.get(iia_id, ())]
        return [fact for iia in root.all("iia") for fact in self._copy(iia, at)]

    def complete(self, event: str, data: dict[str, Any]) -> bool:
        """Everything is in the documents."""
        return True

    def _copy(self, iia: Node, at: str) -> Iterator[Fact]:
        partners = list(iia.all("partner"))
        ours = [one for one in partners if self._us.is_us(one.value("hei-id"))]
        theirs = [one for one in partners if one not in ours]
        if len(ours) != 1 or len(theirs) != 1 or partners[0] is not ours[0]:
            return  # the first partner is the one whose copy it is
        own, partner = ours[0].value("iia-id"), theirs[0].value("iia-id")
        if own is None:
            raise XmlError(
                "XML_CONTENT", f"{at}:{iia.line}", "our agreement has no iia-id", "wanted one"
            )
        in_effect = iia.value("in-effect") == "true"
        conditions = iia.child("cooperation-conditions") or Node("cooperation-conditions")
        ended = conditions.attributes.get("terminated-as-a-whole") == "true"
        known = []
        for data in self._conditions(conditions, theirs[0].value("hei-id"), at):
            mine = {**data, "agreement_id": f"{own}{data['part']}"}
            them = {
                **data,
                "agreement_id": f"{partner}{data['part']}",
                "own_id": mine["agreement_id"],
            }
            known.append(them)
            if ended:
                yield _fact("terminated", mine, needs_told=mine["agreement_id"])
                if partner:
                    yield _fact("terminated", them, needs_told=them["agreement_id"])
                continue
            # Both may have agreed before they had connectors: then one of them proposes, and both know which.
            first = (
                in_effect and self._us.hei_id.lower() < (theirs[0].value("hei-id") or "").lower()
            )
            if partner is None or first:
                bars = them["agreement_id"] if partner else None
                yield _fact("proposed", mine, bars_told=bars)
            else:
                yield _fact("proposed", mine, needs_told=mine["agreement_id"])
                if in_effect or partner in self._approved:
                    yield _approval(them)
        if partner:
            self._ours[partner] = [] if ended else known

    def _conditions(
        self, conditions: Node, partner: str | None, at: str
    ) -> Iterator[dict[str, Any]]:
        """One set of conditions for each kind and span of years, in one order whoever keeps the copy."""
        them = self._us.institutions.member(partner)
        parties = sorted([self._us.member, them or ""])
        groups: dict[tuple[str, str, str], list[Node]] = {}
        for name, kind in KINDS.items():
            for spec in conditions.all(name):
                groups.setdefault((kind, *_years(spec, at)), []).append(spec)
        for (kind, first, last), specs in sorted(groups.items(), key=lambda group: group[0]):
            places: dict[tuple[str | None, str | None], int] = {}
            days = Decimal(0)
            for spec in specs:
                pair = tuple(
                    self._us.institutions.member(spec.value(f"{side}-hei-id"))
                    for side in ("sending", "receiving")
                )
                places[pair[0], pair[1]] = places.get((pair[0], pair[1]), 0) + int(
                    _amount(spec, "mobilities-per-year", at)
                )
                days += _amount(spec, "total-days-per-year", at)
            yield {
                "part": f":{kind}:{first}:{last}",
                "party": self._us.member,
                "parties": parties if them else None,
                "kind": kind,
                "first_year": first,
                "last_year": last,
                "quotas": [
                    {"sender": sender, "receiver": receiver, "per_year": number}
                    for (sender, receiver), number in sorted(places.items(), key=str)
                ],
                "total_days_per_year": int(days) or None,
            }


def _fact(
    step: str, data: dict[str, Any], *, needs_told: str | None = None, bars_told: str | None = None
) -> Fact:
    content = [data["parties"], data["quotas"], data["total_days_per_year"]]
    identity = [step, content if step == "proposed" else None]
    return Fact(
        "agreement", data["agreement_id"], identity, {**data, "step": step},
        follows="agreement", needs_told=needs_told, bars_told=bars_told,
    )  # fmt: skip


def _approval(them: dict[str, Any]) -> Fact:
    """Our word on their copy, unless the alliance has the agreement by our own: then proposing it was our word."""
    content = [them["parties"], them["quotas"], them["total_days_per_year"]]
    data = {**them, "step": "approved"}
    return Fact(
        "agreement",
        them["agreement_id"],
        ["approved", content],
        data,
        "agreement",
        bars_told=them["own_id"],
    )


def _years(spec: Node, at: str) -> tuple[str, str]:
    """First and last year, as 2026-2027. Version 6 lists them one by one."""
    listed = spec.values("receiving-academic-year-id")
    first = spec.value("receiving-first-academic-year-id") or min(listed, default=None)
    last = spec.value("receiving-last-academic-year-id") or max(listed, default=None)
    years = academic_year(first), academic_year(last)
    if years[0] is None or years[1] is None:
        raise XmlError(
            "XML_CONTENT",
            f"{at}:{spec.line}",
            f"{spec.name} has no academic years",
            "wanted 2026/2027",
        )
    return years[0], years[1]


def _amount(spec: Node, name: str, at: str) -> Decimal:
    text = spec.value(name)
    try:
        found = Decimal(text or "0")
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or not 0 <= found <= _MOST:
        raise XmlError(
            "XML_CONTENT", f"{at}:{spec.line}", f"{name} is no such number", "wanted 0 or more"
        )
    return found
