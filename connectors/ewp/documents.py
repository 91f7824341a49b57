"""What all documents of Erasmus Without Paper share: root elements, versions, institutions, terms.

Sources: the specifications at https://github.com/erasmus-without-paper; namespaces carry the major version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from connectors.elmo.institutions import Institutions
from connectors.sdk.xml.document import Node, XmlError

BASE: Final = "https://github.com/erasmus-without-paper"
_NAMESPACE = re.compile(
    r"https://github\.com/erasmus-without-paper/(ewp-specs-api-[a-z-]+)/(?:blob|tree)/stable-v(\d+)(?:/.*)?"
)


@dataclass(frozen=True, slots=True)
class Root:
    """A root element: whose specification it belongs to, and which of its major versions are read."""

    api: str
    versions: tuple[int, ...]


ROOTS: Final[Mapping[str, Root]] = {
    "omobilities-get-response": Root("ewp-specs-api-omobilities", (1, 2, 3)),
    "omobilities-index-response": Root("ewp-specs-api-omobilities", (1, 2, 3)),
    "imobilities-get-response": Root("ewp-specs-api-imobilities", (1, 2)),
    "omobility-las-get-response": Root("ewp-specs-api-omobility-las", (1,)),
    "omobility-las-index-response": Root("ewp-specs-api-omobility-las", (1,)),
    "omobility-las-update-request": Root("ewp-specs-api-omobility-las", (1,)),
    "imobility-tors-get-response": Root("ewp-specs-api-imobility-tors", (1, 2, 3)),
    "imobility-tors-index-response": Root("ewp-specs-api-imobility-tors", (1, 2, 3)),
    "iias-get-response": Root("ewp-specs-api-iias", (6, 7)),
    "iias-index-response": Root("ewp-specs-api-iias", (6, 7)),
    "iias-approval-response": Root("ewp-specs-api-iias-approval", (1, 2)),
}


@dataclass(frozen=True, slots=True)
class Us:
    """Who reads: our id in the network, our member code, and everybody's codes."""

    hei_id: str
    member: str
    institutions: Institutions

    def is_us(self, hei_id: str | None) -> bool:
        return (hei_id or "").lower() == self.hei_id.lower()


def version_of(root: Node, at: str, wanted: tuple[str, ...], *, bare: bool = False) -> int:
    """The major version of a document. Raises `XmlError` for another root, namespace or version than is read here.

    `bare` takes a document without a namespace for the newest version: some systems export such.
    """
    known = ROOTS.get(root.name) if root.name in wanted else None
    if known is None:
        raise XmlError(
            "XML_ROOT", at, f"the document is {root.name!r}", f"wanted {' or '.join(wanted)}"
        )
    if not root.namespace and bare:
        return known.versions[-1]
    found = _NAMESPACE.fullmatch(root.namespace)
    if found is None or found[1] != known.api:
        raise XmlError(
            "XML_NAMESPACE",
            at,
            f"{root.name} is of namespace {root.namespace or 'none'!r}",
            f"wanted one of {known.api}",
        )
    if int(found[2]) not in known.versions:
        versions = ", ".join(map(str, known.versions))
        raise XmlError(
            "XML_VERSION", at, f"{root.name} is version {found[2]}", f"read are {versions}"
        )
    return int(found[2])


def academic_year(text: str | None) -> str | None:
    """`2009/2010` as 2009-2010. Source: EWP academic term, AcademicYearId."""
    found = re.fullmatch(r"(\d{4})/(\d{4})", text or "")
    return f"{found[1]}-{found[2]}" if found else None


def ewp_year(text: str) -> str:
    """2009-2010 as `2009/2010`."""
    return text.replace("-", "/")


def term(
    year: str | None, number: str | int | None, total: str | int | None
) -> dict[str, Any] | None:
    """A term of an academic year, or None when some of it is not given."""
    if year is None or number is None or total is None:
        return None
    try:
        return {
            "academic_year": year,
            "term_number": int(number),
            "total_terms": int(total),
        }
    except ValueError:
        return None


def term_of_id(text: str | None) -> dict[str, Any] | None:
    """`2009/2010-2/2`: the second of two terms. Source: EWP academic term, EwpAcademicTermId."""
    found = re.fullmatch(r"(\d{4}/\d{4})-(\d)/(\d)", text or "")
    return term(academic_year(found[1]), found[2], found[3]) if found else None


def term_of_day(year: str | None, day: str | None) -> dict[str, Any] | None:
    """Where only the year and the planned arrival are given: who arrives from August to January comes for the first half."""
    found = re.match(r"\d{4}-(\d{2})", day or "")
    return (
        term(year, 1 if found[1] in ("08", "09", "10", "11", "12", "01") else 2, 2)
        if found
        else None
    )


def hei(node: Node | None) -> dict[str, str | None]:
    """An institution as a mobility names it."""
    node = node or Node("hei")
    names = ("hei_id", "ounit_id", "ounit_name", "iia_id", "iia_code")
    return {name: node.value(name.replace("_", "-")) for name in names}


def student(node: Node | None) -> dict[str, Any]:
    """The student. All of it is personal: a mapping may make a pseudonym of `global_id`, and put the rest into the private part only."""
    node = node or Node("student")
    names = ("global_id", "birth_date", "citizenship", "nationality", "gender", "email")
    latin = {
        name: next(
            (
                " ".join(one.text.split())
                for one in node.all(name.replace("_", "-"))
                if not one.lang
            ),
            node.value(name.replace("_", "-")),
        )
        for name in ("given_names", "family_name")
    }
    return latin | {name: node.value(name.replace("_", "-")) for name in names}
