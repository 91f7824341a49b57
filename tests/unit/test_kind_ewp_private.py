"""A whole connector on documents: pseudonyms and private parts, with the mappings that come with the kind."""

from __future__ import annotations

import asyncio
import base64
import shutil

from connectors.ewp.conformance import INSTITUTIONS, document, nomination
from connectors.ewp.documents import BASE
from connectors.sdk.testing import THEM, US, Case, Rig
from schemas.codec import encode
from tests.support.documents import ROOT

TABLES = """
[private]
encryption = { file = "10611.encryption" }
home_key = { file = "home.key" }
[source.nominations]
kind = "ewp"
api = "omobilities"
hei_id = "u10611.example"
folder = "nominations"
select = "event"
[source.nominations.mappings]
nominated = "mapping/nominated.toml"
[source.agreements]
kind = "ewp"
api = "omobility-las"
hei_id = "u10611.example"
folder = "agreements"
select = "event"
[source.agreements.mappings]
plan-proposed = "mapping/plan-proposed.toml"
plan-approved = "mapping/plan-approved.toml"
"""
LA = f"""<omobility-las-get-response xmlns="{BASE}/ewp-specs-api-omobility-las/blob/stable-v1/endpoints/get-response.xsd">
<la><omobility-id>mobility-1</omobility-id>
<sending-hei><hei-id>u10611.example</hei-id></sending-hei><receiving-hei><hei-id>u10610.example</hei-id></receiving-hei>
<receiving-academic-year-id>2026/2027</receiving-academic-year-id>
<student><family-name>Zhang</family-name><global-id>student-1</global-id></student>
<changes-proposal id="p1"><components-studied><component><los-code>M1</los-code><title>Logic</title>
<term-id><term-number>1</term-number><total-terms>2</total-terms></term-id>
<credit><scheme>ECTS</scheme><value>6</value></credit></component></components-studied>
<student-signature><timestamp>2026-08-11T11:31:45+08:00</timestamp></student-signature>
<sending-hei-signature><signer-name>Li Na</signer-name><timestamp>2026-08-13T14:03:23+08:00</timestamp></sending-hei-signature>
</changes-proposal></la></omobility-las-get-response>"""


def test_documents_with_names_go_out_under_pseudonyms(tmp_path):
    """The whole way with the kind's own mappings: no name, mail or number of a student reaches what is published.

    Nomination and plan must name the same pseudonym, and the approval the very plan that was published.
    """
    for name in ("mapping", "codes"):
        shutil.copytree(ROOT / "connectors" / "ewp" / name, tmp_path / name)
    (tmp_path / "codes" / "institution.csv").write_text(INSTITUTIONS, "utf-8")
    (tmp_path / "codes" / "exchange_offering.csv").write_text(
        "local,alliance\nu10610.example/2026-2027,exchange\n", "utf-8"
    )
    (tmp_path / "home.key").write_bytes(base64.b64encode(bytes(range(32))))
    (tmp_path / "nominations").mkdir()
    (tmp_path / "agreements").mkdir()
    named = nomination(1).replace("<family-name>N<", "<family-name>Zhang<")
    named = named.replace("</global-id>", "</global-id><email>zhang.mei@mail.example</email>")
    (tmp_path / "nominations" / "1.xml").write_bytes(document(named))
    (tmp_path / "agreements" / "1.xml").write_text(LA, "utf-8")

    async def story() -> Rig:
        rig = Rig(tmp_path, Case(TABLES))
        assert await rig.life(lambda: len(rig.hub.applied) == 3 and rig.quiet())
        assert not await rig.life(lambda: len(rig.hub.applied) > 3, within_s=120)
        return rig

    rig = asyncio.run(story())
    by_event = {record.EVENT: record for record in rig.hub.published}
    request, plan, decided = (
        by_event[f"enrollment.{name}"] for name in ("requested", "plan-proposed", "plan-decided")
    )
    assert request.student_id == plan.student_id
    assert request.student_id.startswith(f"urn:alliance:student:{US}:")
    assert (request.host, plan.host, request.private is None) == (THEM, THEM, False)
    assert (decided.decides_hash, decided.side) == (plan.plan_hash, "home")
    assert plan.envelope.correlation_id == decided.envelope.correlation_id == "p1"
    for record in rig.hub.published:
        for word in (b"Zhang", b"zhang.mei", b"student-1", b"Li Na"):
            assert word not in encode(record)
    assert len(rig.hub.payloads) == 1
