"""Learning agreements: the public negotiation in twelve steps between two campuses, judged by the ledger's own rules."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.elmo.institutions import Institutions
from connectors.ewp.documents import BASE, Us
from connectors.ewp.kind import SINK, SOURCE
from connectors.ewp.learning import LearningAgreements
from connectors.ewp.links import Links
from connectors.sdk.xml.document import parse
from hub.domain.plan import Plan
from hub.flow.personal import suspected
from schemas.codec import encode
from tests.support.documents import ROOT, Campus, bring, delivered, sample
from tests.support.ledger import HOME, HOST, Ledger

LAS = f"{BASE}/ewp-specs-api-omobility-las/blob/stable-v1/endpoints"
FILES = {
    1: "01-initial-version", 2: "02-comment-proposal", 3: "03-update-initial-version", 4: "04-approve-proposal",
    5: "05-signed-first-version", 6: "06-changes-proposal", 7: "07-approve-proposal", 8: "08-changes-proposal",
    9: "09-comment-proposal", 10: "10-changes-proposal", 11: "11-approve-proposal", 12: "12-final-version",
}  # fmt: skip
ANSWERS = (2, 4, 7, 9, 11)  # the other steps are states of the agreement at its home


def state_of(step: int) -> str:
    """A step of the home's as a whole document: the samples hold components and signatures only."""
    part = sample(f"ewp-learning-agreement/{FILES[step]}.part.xml").decode()
    return f"""<omobility-las-get-response xmlns="{LAS}/get-response.xsd"><la>
<omobility-id>e1</omobility-id>
<sending-hei><hei-id>a.example</hei-id></sending-hei><receiving-hei><hei-id>b.example</hei-id></receiving-hei>
<receiving-academic-year-id>2026/2027</receiving-academic-year-id>
<student><global-id>student-of-e1</global-id></student>{part}</la></omobility-las-get-response>"""


def answer_of(step: int) -> str:
    """A step of the host's as a whole update request."""
    part = sample(f"ewp-learning-agreement/{FILES[step]}.part.xml").decode()
    part = re.sub(r"(<changes-proposal-id>)", r"<omobility-id>e1</omobility-id>\1", part)
    return (
        f'<omobility-las-update-request xmlns="{LAS}/update-request.xsd">'
        f"<sending-hei-id>a.example</sending-hei-id>{part}</omobility-las-update-request>"
    )


class Negotiation:
    """Two campuses and the ledger between them. `said` is what each step told: side, event and outcome."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger()
        self.ledger.enrolled("e1", "associated", activity="exchange_term")
        options = {"api": "omobility-las", "settle_s": 0}
        self.home = Campus(folder / "home", SOURCE, HOME, hei_id="a.example", **options)
        self.host = Campus(folder / "host", SOURCE, HOST, hei_id="b.example", **options)
        for campus in (self.home, self.host):
            shutil.copytree(ROOT / "connectors/ewp/mapping", campus.folder / "mapping", dirs_exist_ok=True)  # fmt: skip
            shutil.copy(ROOT / "connectors/ewp/codes/credit_scheme.csv", campus.folder / "codes")
            path = campus.folder / "mapping" / "plan-proposed.toml"
            text = path.read_text("utf-8").replace(', pseudonym = { host = "host" }', "")
            # The samples leave out credits, and terms of online courses.
            text = re.sub(r'"credits.scheme" = .*', '"credits.scheme" = { const = "ects" }', text)
            text = re.sub(r'"credits.value" = .*', '"credits.value" = { const = "5" }', text)
            text = re.sub(
                r'term = \{ path = "term", required = true \}',
                'term = { path = "term", default = { academic_year = "2026-2027", term_number = 1, total_terms = 2 } }',
                text,
            )
            path.write_text(text, "utf-8")

    def step(self, number: int) -> list[tuple[str, str]]:
        """Take a step: event (and decision) with its outcome in the ledger, for each event it came to."""
        campus = self.host if number in ANSWERS else self.home
        name = f"answer-{number:02d}.xml" if number in ANSWERS else "la.xml"
        campus.write(name, answer_of(number) if number in ANSWERS else state_of(number))
        campus.clock._elapsed_s += 100
        told = []
        for record in campus.events():
            assert suspected(record, encode(record)) is None
            entry = self.ledger.say(record)
            told.append((getattr(record, "decision", "proposed"), entry.outcome))
            other = self.home if campus is self.host else self.host
            bring(SINK, other, [delivered(record)], hei_id="a.example" if other is self.home else "b.example")  # fmt: skip
        assert campus.parked == []
        return told

    @property
    def plan(self) -> Plan:
        found = self.ledger.find(Plan, "e1")
        assert found is not None
        return found


OURS = [("proposed", "applied"), ("approved", "applied")]
EXPECTED = {
    1: (OURS, "proposed", ("home",)),
    2: ([("returned", "applied")], "returned", ()),
    3: (OURS, "proposed", ("home",)),
    4: ([("approved", "applied")], "agreed", ("home", "host")),
    5: ([], "agreed", ("home", "host")),
    6: (OURS, "proposed", ("home",)),
    7: ([("approved", "applied")], "agreed", ("home", "host")),
    8: (OURS, "proposed", ("home",)),
    9: ([("returned", "applied")], "returned", ()),
    10: (OURS, "proposed", ("home",)),
    11: ([("approved", "applied")], "agreed", ("home", "host")),
    12: ([], "agreed", ("home", "host")),
}


def test_twelve_steps_of_a_negotiation_end_in_one_agreed_plan(tmp_path):
    """What the network negotiates, the alliance must come to as well: step by step, and nothing is told twice."""
    story = Negotiation(tmp_path)
    for number, (told, state, approved) in EXPECTED.items():
        assert story.step(number) == told, number
        assert (story.plan.state, story.plan.approved_by) == (state, approved), number
    last = [item for item in story.ledger.inputs if item.event_type == "enrollment.plan-proposed"][-1].event  # fmt: skip
    stays = [course.titles[0].value for course in last.studied if course.change != "deleted"]
    assert sorted(stays) == [
        "Artificial Intelligence and Expert Systems",
        "Aspect oriented programming use cases",
        "Big Data Mining and Processing",
        "Computational Social Choice Theory",
    ]
    gone = {c.titles[0].value: c.reason_code for c in last.studied if c.change == "deleted"}
    assert gone == {
        "Advanced Logics for Computer Scientists": "timetable",
        "Advanced Functional Programming": "language",
    }
    assert [course.home_course_code for course in last.recognized] == ["Analiza matematyczna II"]
    assert story.plan.plan_hash == last.plan_hash
    online = [course.titles[0].value for course in last.studied if course.mode == "online"]
    assert online == ["Aspect oriented programming use cases"]


def test_a_restart_between_any_two_steps_changes_nothing(tmp_path):
    """What is known only to the running process must not matter for what is told."""
    story = Negotiation(tmp_path)
    for number, (told, _, _) in EXPECTED.items():
        story.home.restart()
        story.host.restart()
        assert story.step(number) == told, number
    assert story.plan.state == "agreed"


def test_the_same_plan_signed_anew_is_proposed_again(tmp_path):
    """After a comment, student and office may insist: without a new proposal, nobody could decide again."""
    story = Negotiation(tmp_path)
    story.step(1)
    story.step(2)
    again = state_of(1).replace("2020-01-1", "2020-02-1").replace('id="BAF', 'id="CAF')
    story.home.write("la.xml", again)
    records = story.home.events()
    assert [story.ledger.say(record).outcome for record in records] == ["applied", "applied"]
    assert (story.plan.state, story.plan.version) == ("proposed", 2)


def test_the_final_document_alone_tells_the_versions_it_holds(tmp_path):
    """A connector that starts late sees two versions of twelve steps: both are told, the last one stands."""
    story = Negotiation(tmp_path)
    assert story.step(12) == OURS + OURS
    assert (story.plan.state, story.plan.version) == ("proposed", 2)
    assert story.step(12) == []


def test_an_answer_that_comes_before_its_plan_waits_by_name(tmp_path):
    """The host's system may be quicker than the alliance: nothing may be approved whose content is not known here."""
    story = Negotiation(tmp_path)
    story.host.write("answer.xml", answer_of(2))
    assert story.host.events() == []
    (said,) = story.host.parked
    assert "decides_hash" in said
    assert "plan_hash" in said
    story.host.parked.clear()
    story.step(1)
    story.host.clock._elapsed_s += 100
    (record,) = story.host.events()
    assert record.decides_hash == story.plan.plan_hash
    assert record.envelope.decides_version == 1
    assert story.ledger.say(record).outcome == "applied"
    assert story.plan.state == "returned"


def test_the_answer_reaches_home_under_the_id_of_its_proposal(tmp_path):
    """The network answers 409 to an answer about another proposal than the one that is open."""
    story = Negotiation(tmp_path)
    story.step(1)
    story.step(2)
    (path,) = [p for p in (story.home.folder / "in").iterdir() if p.suffix == ".xml"]
    request = parse(path.read_bytes(), path.name)
    answer = request.child("comment-proposal-v1")
    assert answer is not None
    assert answer.value("changes-proposal-id") == "BAF222F868493C167125FA32452E9460731C575"
    assert "is not available" in (answer.value("comment") or "")


def test_an_answer_without_the_network_s_id_is_found_by_its_plan(tmp_path):
    """A host with another system than the network's knows a plan by its hash alone."""
    story = Negotiation(tmp_path)
    story.step(1)
    decided = story.ledger.record(
        "enrollment.plan-decided", plan_id="e1-LA", enrollment_id="e1", home=HOME, host=HOST, by=HOST, side="host",
        decides_hash=story.plan.plan_hash, decision="approved",
    )  # fmt: skip
    decided = replace(decided, envelope=replace(decided.envelope, correlation_id="e1"))
    bring(SINK, story.home, [delivered(decided, 9)], hei_id="a.example")
    (path,) = [p for p in (story.home.folder / "in").iterdir() if p.suffix == ".xml"]
    assert b"<changes-proposal-id>BAF222F868493C167125FA32452E9460731C575<" in path.read_bytes()


def reader(tmp_path: Path, hei_id: str = "uio.no") -> LearningAgreements:
    table = Institutions("-", {}, {})
    return LearningAgreements(Us(hei_id, HOME, table), Links(tmp_path / "x.db", write=False), lambda _: None, bare=False)  # fmt: skip


def test_a_document_of_the_specification_is_read_whole(tmp_path):
    """Terms, credits, codes and ids in namespaces of their own; changes are told against the first version."""
    root = parse(sample("ewp-learning-agreement/get-response-example.xml"), "example")
    facts = reader(tmp_path).facts(root, "example", "")
    assert [fact.event for fact in facts] == ["plan-proposed", "plan-approved"] * 3
    first, changed, proposal = (facts[n].data for n in (0, 2, 4))
    assert [c["title"] for c in first["studied"]] == ["Introductory calculus"]
    assert [c["code"] for c in first["recognized"]] == [
        "CR/8f0d7dad-2bb6-d401-48c3-c7e0baf03efb",
        "CR/7fdg347d-h45g-h445-02md-mdkd02kch2h5",
    ]
    assert [(c["code"], c["change"]) for c in changed["studied"]] == [
        ("Introductory calculus", None),
        ("KR502B", "inserted"),
    ]
    assert [(c["code"], c["change"], c["reason"]) for c in proposal["studied"]] == [
        ("Introductory calculus", "deleted", "language"),
        ("KR630", "inserted", "substituted"),
    ]
    course = changed["studied"][1]
    assert course["credit"] == {"scheme": "ects", "value": "6"}
    assert course["term"] == {"academic_year": "2018-2019", "term_number": 2, "total_terms": 2}
    assert proposal["proposal_id"] == "59B15BAF222F868493C167125FA32452E946"
    assert proposal["occurred_at"] == "2019-03-14T09:31:48+02:00"


def test_whose_agreement_it_is_not_tells_nothing(tmp_path):
    """One writer for each fact: the receiving side has a copy of the document, and its word comes in a request."""
    root = parse(sample("ewp-learning-agreement/get-response-example.xml"), "example")
    assert reader(tmp_path, "uw.edu.pl").facts(root, "example", "") == []


def test_facts_hold_no_data_of_the_person_outside_of_the_student(tmp_path):
    """A mapping that takes a component's field by a wrong name must not find a name or a mail there."""
    root = parse(sample("ewp-learning-agreement/get-response-example.xml"), "example")
    for fact in reader(tmp_path).facts(root, "example", ""):
        data: dict[str, Any] = dict(fact.data)
        student = data.pop("student")
        assert student["family_name"] == "Sidorov"
        for word in ("Sidorov", "ivan@", "Bardal", "Kowalski", "1234567890"):
            assert word not in repr(data)


@pytest.mark.parametrize("names", [("los-id",), ("los-code",), ("title",)])
def test_a_deleted_component_is_found_by_whatever_names_it(names, tmp_path):
    """Not every campus has ids for its courses."""
    name = names[0]
    part = "".join(f"<{one}>X</{one}>" for one in (("title",) if name == "title" else (name, "title")))  # fmt: skip
    signed = "<student-signature><timestamp>2026-01-01T00:00:00Z</timestamp></student-signature>"
    signed += signed.replace("student-", "sending-hei-")
    text = f"""<omobility-las-get-response xmlns="{LAS}/get-response.xsd"><la><omobility-id>m</omobility-id>
    <sending-hei><hei-id>UIO.no</hei-id></sending-hei>
    <first-version><components-studied><component>{part}</component></components-studied>{signed}</first-version>
    <changes-proposal id="p"><components-studied><component status="deleted" reason-code="made-up">{part}</component>
    </components-studied>{signed}</changes-proposal></la></omobility-las-get-response>"""
    facts = reader(tmp_path).facts(parse(text.encode(), "x"), "x", "")
    (course,) = facts[2].data["studied"]
    assert (course["change"], course["reason"]) == ("deleted", None)
