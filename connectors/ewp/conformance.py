"""Campuses for the conformance suite: one that exchanges nominations by a folder, one that has them behind an index."""

from __future__ import annotations

from typing import Any

import httpx

from connectors.ewp.documents import BASE
from connectors.http_poll.conformance import FAULTS, FakeApi
from connectors.sdk.testing import Case
from connectors.sdk.xml.testing import FAULTS as FOLDER_FAULTS
from connectors.sdk.xml.testing import MemoryFolder

INSTITUTIONS = (
    "local,alliance,title,country,url\nu10610.example,10610,U10610,CN,https://u10610.example\n"
    "u10611.example,10611,U10611,CN,https://u10611.example\n"
)
MAPPING = """
[event]
type = "enrollment.requested"
[envelope]
event_id = "_change.eventId"
occurred_at = "occurred_at"
recorded_at = "_change.at"
aggregate_version = "_change.version"
[fields]
enrollment_id = { path = "enrollment_id", required = true }
student_id = { path = "student.global_id", required = true }
home = { member = true }
host = { path = "host", required = true }
offering_id = { path = "offering_key", required = true }
term = { path = "term", required = true }
activity = { const = "exchange_term" }
delivery = { const = "presential" }
home_active_registration = { const = true }
"""
_OPTIONS = 'hei_id = "u10611.example"\ninstitutions = "mapping/institution.csv"\n'
_SOURCE = f"""
[source.campus]
kind = "ewp"
api = "omobilities"
{_OPTIONS}
select = "event"
[source.campus.mappings]
nominated = "mapping/offering.toml"
"""
_FOLDER = 'folder = "exchange"\n'
_NAMESPACE = f"{BASE}/ewp-specs-api-omobilities/blob/stable-v2/endpoints"


def _with(tables: str, place: str) -> str:
    return tables.replace("select", f"{place}select", 1)


def nomination(number: int, *, term: str = "2026/2027-1/2") -> str:
    """One mobility of ours, as it stands in a document."""
    return f"""<student-mobility>
  <omobility-id>mobility-{number}</omobility-id>
  <sending-hei><hei-id>u10611.example</hei-id></sending-hei>
  <receiving-hei><hei-id>U10610.example</hei-id></receiving-hei>
  <sending-academic-term-ewp-id>{term}</sending-academic-term-ewp-id>
  <receiving-academic-year-id>2026/2027</receiving-academic-year-id>
  <student><given-names>N</given-names><family-name>N</family-name><global-id>student-{number}</global-id></student>
  <status>nomination</status>
  <activity-type>student-studies</activity-type>
  <activity-attributes>long-term</activity-attributes>
</student-mobility>"""


def document(*mobilities: str) -> bytes:
    """A document of mobilities."""
    whole = "".join(mobilities)
    return f'<omobilities-get-response xmlns="{_NAMESPACE}/get-response.xsd">{whole}</omobilities-get-response>'.encode()


def folder() -> Case:
    """Documents in a folder both ways."""
    told: list[str] = []
    poison: set[str] = set()
    share = MemoryFolder(told, poison)
    spoiled: list[int] = []

    def happen(count: int, term: str = "2026/2027-1/2") -> None:
        for _ in range(count):
            number = len(share.files) + 1
            share.write(f"{number:06d}.xml", document(nomination(number, term=term)))

    def spoil() -> None:
        happen(1, "someday")
        spoiled.append(1)

    sink = f'[sink.campus]\nkind = "ewp"\n{_OPTIONS}{_FOLDER}'
    return Case(
        f"{_with(_SOURCE, _FOLDER)}{sink}",
        mappings={"offering.toml": MAPPING, "institution.csv": INSTITUTIONS},
        transport=share,
        happen=happen,
        spoil=spoil,
        to_tell=lambda: len(share.files) - len(spoiled),
        told=told,
        poison=poison,
        faults=FOLDER_FAULTS,
        fault=share.fault,
    )


def index() -> Case:
    """Documents behind an index, several in an answer."""
    mobilities: dict[str, str] = {}
    spoiled: list[int] = []

    def happen(count: int, term: str = "2026/2027-1/2") -> None:
        for _ in range(count):
            number = len(mobilities) + 1
            mobilities[f"mobility-{number}"] = nomination(number, term=term)

    def spoil() -> None:
        happen(1, "someday")
        spoiled.append(1)

    def answer(request: httpx.Request) -> httpx.Response:
        params: Any = request.url.params
        if request.url.path == "/index":
            ids = "".join(f"<omobility-id>{one}</omobility-id>" for one in mobilities)
            text = f'<omobilities-index-response xmlns="{_NAMESPACE}/index-response.xsd">{ids}</omobilities-index-response>'
            return httpx.Response(200, text=text)
        asked = [mobilities[one] for one in params.get_list("omobility_id") if one in mobilities]
        return httpx.Response(200, content=document(*asked))

    api = FakeApi(answer)
    http = (
        'http = { base_url = "http://campus.example", index = "/index", get = "/get", chunk = 2 }\n'
    )
    return Case(
        _with(_SOURCE, http),
        mappings={"offering.toml": MAPPING, "institution.csv": INSTITUTIONS},
        transport=httpx.MockTransport(api.handle),
        happen=happen,
        spoil=spoil,
        to_tell=lambda: len(mobilities) - len(spoiled),
        faults=FAULTS,
        fault=api.fault,
    )


CASES = {"folder": folder, "index": index}
