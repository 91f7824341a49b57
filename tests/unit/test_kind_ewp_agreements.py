"""Agreements of Erasmus Without Paper: two copies there, one agreement here."""

from __future__ import annotations

import re

from connectors.ewp.documents import BASE
from connectors.ewp.iia_hash import iia_hash
from connectors.sdk.xml.document import parse
from hub.domain.agreement import Agreement
from tests.support.documents import ewp_campus, sample
from tests.support.ledger import HOME, HOST, Ledger


def iia_part(name: str) -> str:
    """A step of the public scenario, its partners A and B under the names of this test."""
    text = sample(f"ewp-agreement/{name}.part.xml").decode()
    text = re.sub(r"<((?:[a-z]+-)*hei-id)>A<", r"<\1>a.example<", text)
    return re.sub(r"<((?:[a-z]+-)*hei-id)>B<", r"<\1>b.example<", text)


def test_the_public_scenario_of_an_agreement_ends_in_effect(tmp_path):
    """A prepares, B copies and approves A's, A approves B's: in the alliance, one agreement that both approved."""
    ledger = Ledger()
    a, b = (ewp_campus(tmp_path / m, m, "iias", require_namespace=False) for m in (HOME, HOST))
    steps = [(a, "01-A-get-response"), (b, "02-B-get-response"), (b, "03-B-approval-response"), (a, "04-A-approval-response")]  # fmt: skip
    told = []
    for one, name in steps:
        one.write(f"{name}.xml", iia_part(name))
        records = one.events()
        told.append([(record.step, ledger.say(record).outcome) for record in records])
    assert told == [[("proposed", "applied")], [], [("approved", "applied")], []]
    found = ledger.find(Agreement, "0f7a5682-faf7-49a7-9cc7-ec486c49a281:student_studies:2019-2020:2020-2021")  # fmt: skip
    assert found.state == "in_effect"
    assert {(q.sender, q.receiver, q.per_year) for q in found.quotas} == {(HOME, HOST, 2), (HOST, HOME, 2)}  # fmt: skip
    assert a.parked + b.parked == []


def test_approving_the_copy_of_our_own_agreement_says_nothing_new(tmp_path):
    """The alliance has it by our copy, and proposing that was our word: theirs would be a second agreement."""
    a = ewp_campus(tmp_path, HOME, "iias", require_namespace=False)
    first = iia_part("01-A-get-response")
    a.write("1.xml", first)
    assert [record.step for record in a.events()] == ["proposed"]
    named = "<hei-id>b.example</hei-id>\n            <iia-id>79364</iia-id>"
    a.write("1.xml", first.replace("<hei-id>b.example</hei-id>", named, 1))
    a.write("2.xml", iia_part("04-A-approval-response"))
    assert a.events() == []


def test_other_conditions_are_no_approval(tmp_path):
    """B copied another number than A wrote: the ledger must not take that for agreement."""
    ledger = Ledger()
    a, b = (ewp_campus(tmp_path / m, m, "iias", require_namespace=False) for m in (HOME, HOST))
    a.write("1.xml", iia_part("01-A-get-response"))
    ledger.applied(ledger.say(a.events()[0]))
    copy = iia_part("02-B-get-response").replace("per-year>2<", "per-year>3<")
    b.write("2.xml", copy)
    b.write("3.xml", iia_part("03-B-approval-response"))
    (approved,) = b.events()
    assert (ledger.say(approved).outcome, ledger.last[0].reason) == ("rejected", "STALE_VERSION")


def test_changed_conditions_are_proposed_anew_and_the_end_is_told(tmp_path):
    """An agreement that is negotiated, and one that is ended."""
    a = ewp_campus(tmp_path, HOME, "iias", require_namespace=False)
    first = iia_part("01-A-get-response")
    a.write("1.xml", first)
    assert [r.step for r in a.events()] == ["proposed"]
    a.write("1.xml", first.replace("per-year>2<", "per-year>4<"))
    (again,) = a.events()
    assert (again.step, again.envelope.aggregate_version) == ("proposed", 2)
    a.write("1.xml", first)
    assert [r.conditions.quotas[0].per_year for r in a.events()] == [2]  # back to the first offer
    a.write("1.xml", first.replace("<cooperation-conditions>", '<cooperation-conditions terminated-as-a-whole="true">'))  # fmt: skip
    assert [r.step for r in a.events()] == ["terminated"]


def test_the_example_of_version_7_is_one_agreement_for_each_kind_and_years(tmp_path):
    """The alliance has one kind in each agreement; quotas of one direction are summed, days kept."""
    a = ewp_campus(tmp_path, HOME, "iias")
    text = sample("ewp-agreement/get-response-example.xml").decode()
    a.write("1.xml", text.replace("uw.edu.pl", "a.example").replace("hibo.no", "b.example"))
    records = a.events()
    assert a.parked == []
    assert [(r.step, r.conditions.kind, r.conditions.first_year, r.conditions.last_year) for r in records] == [
        ("proposed", "practice", "2014-2015", "2020-2021"),
        ("proposed", "secondment", "2016-2017", "2017-2018"),
        ("proposed", "student_studies", "2014-2015", "2020-2021"),
        ("proposed", "teacher", "2016-2017", "2017-2018"),
    ]  # fmt: skip
    teacher = records[3].conditions
    assert {(q.sender, q.receiver, q.per_year) for q in teacher.quotas} == {(HOME, HOST, 2), (HOST, HOME, 2)}  # fmt: skip
    assert teacher.total_days_per_year == 22


def test_an_agreement_both_have_had_for_years_is_proposed_by_one(tmp_path):
    """Both would wait for the other's proposal, or make two of one: the earlier name proposes, the later approves."""
    text = sample("ewp-agreement/get-response-example.xml").decode()
    text = text.replace("uw.edu.pl", "a.example").replace("hibo.no", "b.example")
    one, two = re.findall(r"<partner>.*?</partner>", text, re.DOTALL)
    theirs = text.replace(one, "@").replace(two, one).replace("@", two)
    a, b = ewp_campus(tmp_path / "a", HOME, "iias"), ewp_campus(tmp_path / "b", HOST, "iias")
    a.write("1.xml", text)
    b.write("1.xml", theirs)
    ledger = Ledger()
    for record in (*a.events(), *b.events()):
        ledger.applied(ledger.say(record))
    assert {thing.state for thing in ledger.state.things[Agreement.KIND].values()} == {"in_effect"}


def test_version_6_lists_its_years_one_by_one(tmp_path):
    """Partners change to a new major at different times."""
    a = ewp_campus(tmp_path, HOME, "iias")
    text = iia_part("01-A-get-response").replace("<iias-get-response>", f'<iias-get-response xmlns="{BASE}/ewp-specs-api-iias/blob/stable-v6/endpoints/get-response.xsd">')  # fmt: skip
    text = re.sub(r"receiving-(first|last)-academic-year-id", "receiving-academic-year-id", text)
    a.write("1.xml", text)
    (record,) = a.events()
    assert (record.conditions.first_year, record.conditions.last_year) == ("2019-2020", "2020-2021")


def test_the_hash_is_the_one_of_the_specification():
    """Version 7 defines it by a transformation; partners compare it before they approve."""
    root = parse(sample("ewp-agreement/get-response-example.xml"), "example")
    (iia,) = root.all("iia")
    assert iia_hash(iia) == iia.value("iia-hash")
