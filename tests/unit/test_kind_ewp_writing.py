"""Events of other members as documents of Erasmus Without Paper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.ewp.iia_hash import iia_hash
from connectors.ewp.kind import SINK
from connectors.sdk.contract import Applied, Rejected
from connectors.sdk.xml.document import parse
from tests.support.documents import an_event, bring, delivered, ewp_campus
from tests.support.ledger import HOME, HOST
from tests.support.xsd import assert_valid


def written(folder: Path, record: Any, member: str, **more: Any) -> bytes:
    made = ewp_campus(folder, member, "omobilities")
    hei_id = "a.example" if member == HOME else "b.example"
    (verdict,) = bring(SINK, made, [delivered(record, **more)], hei_id=hei_id, signer_name="International Office")  # fmt: skip
    assert verdict == Applied()
    (path,) = (p for p in (made.folder / "in").iterdir() if p.suffix == ".xml")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("event", "changes", "member", "wanted"),
    [
        ("enrollment.requested", {"agreement_id": "iia-1:student_studies:2026-2027:2028-2029"}, HOST, ">iia-1<"),
        ("enrollment.requested", {}, HOST, ">2026/2027-1/2<"),
        ("enrollment.decided", {}, HOME, ">verified<"),
        ("enrollment.decided", {"decision": "denied", "conditions": (), "reason_code": "no_capacity"}, HOME, ">no_capacity<"),
        ("enrollment.decided", {"decision": "queued"}, HOME, ">pending<"),
        ("enrollment.status-changed", {}, HOME, "actual-arrival-date>2026-09-07<"),
        ("enrollment.status-changed", {"new_status": "finished"}, HOME, "actual-departure-date>2026-09-07<"),
        ("enrollment.plan-decided", {}, HOME, "approve-proposal-v1"),
        ("enrollment.plan-decided", {"decision": "returned"}, HOME, ">-<"),
        ("credit.awarded", {}, HOME, ">86<"),
        ("agreement.changed", {}, HOST, ">40<"),
    ],
)  # fmt: skip
def test_each_document_says_what_the_event_said_and_is_valid(event, changes, member, wanted, tmp_path):  # fmt: skip
    """A campus's system checks documents against the network's schemas before it reads them."""
    data = written(tmp_path, an_event(event, **changes), member)
    assert wanted in data.decode()
    assert_valid(data)


def test_a_nomination_that_is_written_can_be_read_back(tmp_path):
    """Both directions must mean the same."""
    record = an_event("enrollment.requested")
    data = written(tmp_path / "host", record, HOST, private={"given_names": "Mei", "family_name": "Zhang"}, private_state="readable")  # fmt: skip
    home = ewp_campus(tmp_path / "home", HOME, "omobilities")
    home.write("1.xml", data)
    (item,) = home.items()
    assert item.data["enrollment_id"] == record.enrollment_id
    assert item.data["term"] == {"academic_year": "2026-2027", "term_number": 1, "total_terms": 2}
    assert (item.data["host"], item.data["student"]["family_name"]) == (HOST, "Zhang")


def test_a_written_agreement_carries_the_hash_its_partner_will_check(tmp_path):
    """And the marks of what was not agreed on, so that nobody approves a guess."""
    root = parse(written(tmp_path, an_event("agreement.changed"), HOST), "x")
    (iia,) = root.all("iia")
    assert iia_hash(iia) == iia.value("iia-hash")
    assert b'not-yet-defined="true"' in written(tmp_path / "again", an_event("agreement.changed"), HOST)  # fmt: skip


@pytest.mark.parametrize(
    ("event", "changes", "member"),
    [
        ("enrollment.status-changed", {"new_status": "cancelled"}, HOME),
        ("enrollment.plan-decided", {"side": "home"}, HOST),
        ("agreement.changed", {"step": "approved"}, HOST),
        ("agreement.changed", {"parties": (HOME, HOST, "10613")}, HOST),
        ("offering.changed", {}, HOST),
    ],
)
def test_what_the_network_has_no_document_for_is_laid_beside(event, changes, member, tmp_path):
    """Nothing is lost because a network has no word for it, and nothing is said that was not meant."""
    made = ewp_campus(tmp_path, member, "omobilities")
    hei_id = "a.example" if member == HOME else "b.example"
    bring(SINK, made, [delivered(an_event(event, **changes))], hei_id=hei_id)
    (path,) = (made.folder / "in").iterdir()
    assert json.loads(path.read_text("utf-8"))["event"] == event


@pytest.mark.parametrize("name", ["x" * 65, "mobility 1", "学生1", ""])
def test_an_id_that_the_network_does_not_take_is_refused_by_name(name, tmp_path):
    """Cut or replaced, it would name something else."""
    made = ewp_campus(tmp_path, HOST, "omobilities")
    (verdict,) = bring(SINK, made, [delivered(an_event("enrollment.requested", enrollment_id=name))], hei_id="b.example")  # fmt: skip
    assert isinstance(verdict, Rejected)
    assert verdict.code == "EWP_ID"
