"""Transcripts of records: the results of one incoming mobility, an ELMO document inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from connectors.elmo import results
from connectors.ewp.documents import Us, academic_year, version_of
from connectors.ewp.links import Links
from connectors.sdk.xml.document import Node, XmlError
from connectors.sdk.xml.source import Fact

ROOTS: Final = ("imobility-tors-get-response",)
# A mobility is no person's number: an award's id need hide nothing here, it must only be the same each time.
_KEY: Final = b"imobility-tors"


class Transcripts:
    """Reads transcripts that we issue."""

    def __init__(self, us: Us, links: Links, *, bare: bool) -> None:
        self._us = us
        self._links = links
        self._bare = bare

    def facts(self, root: Node, at: str, sha256: str) -> Sequence[Fact]:
        """The facts of a document. Raises `XmlError`."""
        version_of(root, at, ROOTS, bare=self._bare)
        found = []
        for tor in root.all("tor"):
            mobility, elmo = tor.value("omobility-id"), tor.child("elmo")
            if mobility is None or elmo is None:
                raise XmlError(
                    "XML_CONTENT",
                    f"{at}:{tor.line}",
                    "a tor without omobility-id or elmo",
                    "wanted both",
                )
            year = academic_year(tor.value("receiving-academic-year-id"))
            for award in results.awards(elmo, at, sha256, key=_KEY, learner=mobility):
                data = {
                    **award,
                    "enrollment_id": mobility,
                    "academic_year": year,
                    "frequencies": _frequencies(tor, award["course"]["isced_code"]),
                }
                same = results.identity(award)
                found.append(
                    Fact(
                        "awarded",
                        award["award_id"],
                        same,
                        data,
                        "award-corrected",
                        results.as_of(elmo),
                    )
                )
        return found

    def complete(self, event: str, data: dict[str, Any]) -> bool:
        """Whose results these are the sink of this connector has learned from the request."""
        known = self._links.enrollment(data["enrollment_id"])
        data |= known.fields() if known else {}
        return known is not None


def _frequencies(tor: Node, isced_code: str | None) -> list[dict[str, str]]:
    """How grades are spread in that field of study, in percent."""
    return [
        dict(share.attributes)
        for conversion in tor.all("gradeConversionTable")
        for table in conversion.all("iscedTable")
        if table.attributes.get("iscedCode") == isced_code
        for share in table.all("gradeFrequency")
    ]
