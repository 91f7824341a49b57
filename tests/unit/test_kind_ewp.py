"""Erasmus Without Paper but for learning agreements: nominations and transcripts, folders and HTTP."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.ewp.conformance import INSTITUTIONS, MAPPING, document, nomination
from connectors.ewp.documents import BASE
from connectors.ewp.kind import SINK, SOURCE
from connectors.sdk.config import load_config
from connectors.sdk.contract import ConfigError, Context
from connectors.sdk.testing import START, Case, FakeClock, write_alliance, write_folder
from hub.domain.credit import Award
from hub.domain.enrollment import Enrollment
from tests.support.documents import Campus, Told, an_event, bring, delivered, ewp_campus, sample
from tests.support.ledger import HOME, HOST, Ledger


def outgoing(status: str = "nomination") -> str:
    """A nomination of a.example for b.example."""
    text = document(nomination(1)).decode()
    text = text.replace("u10611.example", "a.example").replace("U10610.example", "B.example")
    return text.replace(">nomination<", f">{status}<")


def incoming(inner: str, version: int = 1) -> str:
    """What the receiving side says of mobility-1."""
    name = "student-mobility-for-studies" if version == 1 else "student-mobility"
    return (
        f'<imobilities-get-response xmlns="{BASE}/ewp-specs-api-imobilities/blob/stable-v{version}/endpoints/get-response.xsd">'
        f"<{name}><omobility-id>mobility-1</omobility-id>{inner}</{name}></imobilities-get-response>"
    )


# Nominations


def test_a_nomination_goes_its_way_from_request_to_departure(tmp_path):
    """Two campuses that speak only documents, and the ledger between them: nominated, verified, arrived, departed."""
    ledger = Ledger()
    ledger.offer(capacity=3)
    home, host = (ewp_campus(tmp_path / m, m, "omobilities") for m in (HOME, HOST))
    home.write("1.xml", outgoing())
    (request,) = home.events()
    ledger.applied(ledger.say(request))
    assert (request.level, request.delivery, request.activity) == (None, "presential", "exchange_term")  # fmt: skip
    bring(SINK, host, [delivered(request)], hei_id="b.example")

    host.write("1.xml", incoming("<status>verified</status>"))
    host.write("2.xml", incoming("<actual-arrival-date>2026-09-05</actual-arrival-date>", 2))
    answers = host.events()
    assert [record.EVENT for record in answers] == ["enrollment.decided", "enrollment.status-changed"]  # fmt: skip
    assert answers[0].envelope.decides_version == 1
    for record in answers:
        ledger.applied(ledger.say(record))
    assert ledger.find(Enrollment, "mobility-1").state == "active"
    days = "<actual-arrival-date>2026-09-05</actual-arrival-date><actual-departure-date>2027-01-20</actual-departure-date>"
    host.write("2.xml", incoming(days, 2))
    (left,) = host.events()
    ledger.applied(ledger.say(left))
    assert ledger.find(Enrollment, "mobility-1").state == "finished"
    assert home.parked + host.parked == []


def test_a_cancelled_nomination_is_a_withdrawal_if_it_was_ever_told(tmp_path):
    """Whoever was never asked need not hear that nobody comes."""
    home = ewp_campus(tmp_path, HOME, "omobilities")
    home.write("1.xml", outgoing("cancelled"))
    assert home.events() == []
    home.write("1.xml", outgoing("live"))
    (request,) = home.events()
    home.write("1.xml", outgoing("cancelled"))
    (withdrawn,) = home.events()
    assert (withdrawn.new_status, withdrawn.offering_id) == ("withdrawn", request.offering_id)
    assert (withdrawn.envelope.aggregate_version, withdrawn.effective_date) == (2, START.date())
    home.write("1.xml", outgoing("recognized"))
    assert home.events() == []


def test_a_nomination_of_another_institution_is_not_ours_to_tell(tmp_path):
    """A folder may hold what partners sent."""
    host = ewp_campus(tmp_path, HOST, "omobilities")
    host.write("1.xml", outgoing())
    assert host.events() == []


def test_the_example_of_version_2_is_read_whole(tmp_path):
    """Names in two scripts, a term with its number, institutions by id."""
    home = ewp_campus(tmp_path, HOME, "omobilities")
    text = sample("ewp-nomination/get-response-example.xml").decode()
    home.write("1.xml", text.replace(">uio.no<", ">A.Example<"))
    (item,) = home.items()
    assert item.key == "c442c289-5541-4cae-9edb-8ad83e133613"
    assert item.data["student"]["given_names"] == "Ivan Petrovich"
    assert item.data["term"] == {"academic_year": "2009-2010", "term_number": 2, "total_terms": 2}
    assert item.data["offering_key"] == "uw.edu.pl/2009-2010"
    assert (item.data["eqf_level"], item.data["isced_code"]) == ("8", "1234")
    assert item.data["host"] is None


def test_documents_without_namespace_are_read_only_when_the_campus_says_so(tmp_path):
    """Some systems leave it out; taken silently, a document of any kind would do."""
    text = sample("ewp-nomination/Ex1.xml").decode().replace("aexample_a.edu", "a.example")
    strict = ewp_campus(tmp_path / "strict", HOME, "omobilities")
    strict.write("1.xml", text)
    assert [item.fault.code for item in strict.items()] == ["XML_NAMESPACE"]
    bare = ewp_campus(tmp_path / "bare", HOME, "omobilities", require_namespace=False)
    bare.write("1.xml", text)
    (item,) = bare.items()
    assert (item.data["event"], item.data["academic_year"]) == ("nominated", "2022-2023")
    assert item.data["term"] == {"academic_year": "2022-2023", "term_number": 2, "total_terms": 2}
    bare.write("1.xml", sample("ewp-nomination/Ex3.xml").decode().replace("example_a.edu", "a.example"))  # fmt: skip
    assert [item.data["event"] for item in bare.items()] == ["withdrawn"]


@pytest.mark.parametrize(("name", "decision"), [("Ex2", "accepted"), ("Ex4", "denied")])
def test_the_examples_of_answers_are_decisions(name, decision, tmp_path):
    """Verified and rejected, as the receiving side says it in version 1."""
    host = ewp_campus(tmp_path, HOST, "omobilities", require_namespace=False)
    host.write("1.xml", sample(f"ewp-nomination/{name}.xml"))
    (item,) = host.items()
    assert (item.data["event"], item.data["decision"]) == ("decided", decision)


def test_version_3_keeps_the_student_apart_from_the_nomination(tmp_path):
    """Majors differ in structure, not only in namespace."""
    home = ewp_campus(tmp_path, HOME, "omobilities")
    text = f"""<o:omobilities-get-response xmlns:o="{BASE}/ewp-specs-api-omobilities/blob/stable-v3/endpoints/get-response.xsd">
    <o:student-mobility><o:omobility-id>m3</o:omobility-id>
    <o:student><o:given-names>N</o:given-names><o:family-name>N</o:family-name><o:global-id>g</o:global-id></o:student>
    <o:nomination proposal-id="p"><o:sending-hei><o:hei-id>a.example</o:hei-id></o:sending-hei>
    <o:receiving-hei><o:hei-id>b.example</o:hei-id></o:receiving-hei>
    <o:sending-academic-term-ewp-id>2026/2027-1/2</o:sending-academic-term-ewp-id>
    <o:receiving-academic-year-id>2026/2027</o:receiving-academic-year-id>
    <o:activity-type>student-studies</o:activity-type><o:activity-attributes>short-term-blended</o:activity-attributes>
    <o:eqf-level-studied-at-departure>7</o:eqf-level-studied-at-departure></o:nomination>
    <o:status>pending</o:status></o:student-mobility></o:omobilities-get-response>"""
    home.write("3.xml", text)
    (record,) = home.events()
    assert (record.enrollment_id, record.host) == ("m3", HOST)
    assert (record.delivery, record.level, record.student_id) == ("blended", "master", "g")
    home.write("3.xml", text.replace(">pending<", ">rejected<"))
    assert home.events() == []


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("stable-v2", "stable-v9", "XML_VERSION"),
        ("ewp-specs-api-omobilities", "ewp-specs-api-iias", "XML_NAMESPACE"),
        ("omobilities-get-response", "omobilities-index-response", "XML_ROOT"),
    ],
)
def test_another_document_is_parked_by_what_is_wrong_with_it(old, new, code, tmp_path):
    """The wrong folder, or a version of tomorrow."""
    home = ewp_campus(tmp_path, HOME, "omobilities")
    home.write("1.xml", outgoing().replace(old, new))
    (item,) = home.items()
    assert item.fault.code == code
    assert home.items() == []


def test_a_parked_fact_holds_back_the_later_ones_of_its_mobility_alone(tmp_path):
    """Numbers have no gaps, or the ledger would wait for the one that is missing."""
    home = ewp_campus(tmp_path, HOME, "omobilities")
    home.write("1.xml", outgoing())
    home.write("2.xml", outgoing().replace("mobility-1<", "mobility-2<"))
    table = home.folder / "codes" / "delivery.csv"
    whole = table.read_text("utf-8")
    table.write_text("local,alliance\n", "utf-8")
    assert home.events() == []
    assert len(home.parked) == 2
    home.write("1.xml", outgoing("cancelled"))
    table.write_text(whole, "utf-8")
    home.restart()
    (only,) = home.events()
    assert only.enrollment_id == "mobility-2"


def test_behind_a_parked_fact_the_next_of_the_same_mobility_waits(tmp_path):
    """A start before the acceptance would be refused, and a number left out would be waited for."""
    host = ewp_campus(tmp_path, HOST, "omobilities")
    request = an_event("enrollment.requested", enrollment_id="mobility-1")
    bring(SINK, host, [delivered(request)], hei_id="b.example")
    mapping = host.folder / "mapping" / "decided.toml"
    text = mapping.read_text("utf-8")
    mapping.unlink()
    day = "<actual-arrival-date>2026-09-05</actual-arrival-date>"
    host.write("1.xml", incoming(f"<status>verified</status>{day}"))
    assert host.events() == []
    assert host.parked == ["no mapping for decided"]
    mapping.write_text(text, "utf-8")
    host.restart()
    records = host.events()
    assert [record.EVENT for record in records] == [
        "enrollment.decided",
        "enrollment.status-changed",
    ]
    assert [record.envelope.aggregate_version for record in records] == [1, 2]


# Transcripts


def transcript(folder: Path) -> Campus:
    """A host that knows the request for this mobility, and whose code tables know the sample's grade."""
    host = ewp_campus(folder, HOST, "imobility-tors")
    request = an_event("enrollment.requested", enrollment_id="b1ab0888-a5ce-45e8-8c51-e3c6f677b58f", student_id="student-of-e1")  # fmt: skip
    bring(SINK, host, [delivered(request)], hei_id="b.example")
    return host


def graded(label: str) -> str:
    """The sample with another grade, and with the credit and the days it leaves out."""
    text = sample("ewp-transcript/get-response-example.xml").decode()
    days = "<start>2014-09-10</start><date>2015-01-20</date>"
    text = text.replace("<resultLabel>C", f"{days}<resultLabel>{label}")
    credit = "<credit><scheme>ECTS</scheme><value>6</value></credit>"
    return text.replace("</resultDistribution>", f"</resultDistribution>{credit}")


def test_a_transcript_s_results_are_awards_for_the_student_of_the_request(tmp_path):
    """The document names a person, the ledger a pseudonym: the request ties them together."""
    host = transcript(tmp_path)
    host.write("1.xml", graded("C"))
    (award,) = host.events()
    assert host.parked == []
    assert (award.student_id, award.home, award.host) == ("student-of-e1", HOME, HOST)
    assert (award.course.los_id, award.titles[0].value) == (
        "CR/19560ed8-5183-4842-9bb0-2b7e23f56522",
        "The importance of <br> in HTML",
    )
    for word in ("Kowalski", "Łukasz", "83041234567", "1983"):
        assert word not in repr(award)
    ledger = Ledger()
    ledger.enrolled(award.enrollment_id, "active", student_id="student-of-e1")
    ledger.applied(ledger.say(award))
    host.write("1.xml", graded("B"))
    (corrected,) = host.events()
    ledger.applied(ledger.say(corrected))
    assert ledger.find(Award, award.award_id).state == "awarded"
    assert (corrected.grade.label, corrected.envelope.supersedes_id) == ("B", award.envelope.event_id)  # fmt: skip


def test_a_transcript_for_nobody_we_know_waits_by_name(tmp_path):
    """Without the request there is no pseudonym, and none may be made up."""
    host = ewp_campus(tmp_path, HOST, "imobility-tors")
    host.write("1.xml", graded("C"))
    assert host.events() == []
    (said,) = host.parked
    assert "student_id" in said


def test_an_erased_student_leaves_the_links(tmp_path):
    """What ties documents to a student goes with the student."""
    host = transcript(tmp_path)
    erased = an_event("student.erased", student_id="student-of-e1")
    bring(SINK, host, [delivered(erased, 2)], hei_id="b.example")
    db = sqlite3.connect(host.folder / "ewp.db")
    assert db.execute("SELECT count(*) FROM enrollments").fetchone() == (0,)
    db.close()


# Options and HTTP


def opened(folder: Path, answer: Any, **http: Any) -> Any:
    (folder / "codes").mkdir()
    (folder / "codes" / "institution.csv").write_text(INSTITUTIONS, "utf-8")
    options = SOURCE.options.model_validate(
        {
            "api": "omobilities",
            "hei_id": "u10611.example",
            "full_every_s": 1000,
            "http": {"base_url": "http://node.example", "index": "/i", "get": "/g"} | http,
        }
    )
    clock = FakeClock()
    told = Told(folder / "state.db")
    return SOURCE.open(options, Context(folder, HOST, "campus", clock, httpx.MockTransport(answer), told)), clock  # fmt: skip


def test_the_index_is_asked_for_what_changed_and_now_and_then_for_all(tmp_path):
    """A notification or a clock that is off may lose a change: the whole index finds it."""
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        name = "index" if request.url.path == "/i" else "get"
        ids = "".join(f"<omobility-id>{n}</omobility-id>" for n in (1, 2, 3)) if name == "index" else ""  # fmt: skip
        space = f"{BASE}/ewp-specs-api-omobilities/blob/stable-v2/endpoints/{name}-response.xsd"
        return httpx.Response(200, text=f'<omobilities-{name}-response xmlns="{space}">{ids}</omobilities-{name}-response>')  # fmt: skip

    source, clock = opened(tmp_path, answer, chunk=2)
    cursor = None
    for _ in range(3):
        cursor = asyncio.run(source.page(cursor)).cursor
        clock._elapsed_s += 600
    asyncio.run(source.close())
    index = [url.params.get("modified_since") for url in asked if url.path == "/i"]
    assert index == [None, START.isoformat(), None]
    first = [url.params.get_list("omobility_id") for url in asked if url.path == "/g"][:2]
    assert first == [["1", "2"], ["3"]]
    assert {url.params["sending_hei_id"] for url in asked} == {"u10611.example"}


def test_an_index_that_is_none_needs_a_person(tmp_path):
    """The address of something else."""
    source, _ = opened(tmp_path, lambda _: httpx.Response(200, text="<error-response/>"))
    with pytest.raises(ConfigError, match="correct `index`"):
        asyncio.run(source.page(None))
    asyncio.run(source.close())


def test_a_table_that_calls_us_otherwise_is_refused(tmp_path):
    """Signed by one member and spoken for another: refused before anything is read."""
    made = ewp_campus(tmp_path, HOME, "omobilities", hei_id="b.example")
    with pytest.raises(ConfigError, match=r"b\.example is 10611, we are 10610"):
        made.items()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("local,alliance\na.example,\n", "institution.csv:2: local or alliance is empty"),
        ("local,alliance\na.example,1\nA.example,2\n", "twice"),
        (None, "cannot be read"),
    ],
)
def test_a_faulty_table_of_institutions_is_named(text, said, tmp_path):
    """Whose students these are must not hang on which line comes last."""
    made = ewp_campus(tmp_path, HOME, "omobilities")
    path = made.folder / "codes" / "institution.csv"
    path.unlink() if text is None else path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=said):
        made.items()


def test_the_options_are_read_from_a_campus_s_folder(tmp_path):
    """As a campus writes them; a key that is none is refused by name."""
    write_alliance(tmp_path)
    tables = '[source.x]\nkind = "ewp"\napi = "iias"\nhei_id = "h"\nfolder = "f"\nmapping = "mapping/m.toml"\n'
    write_folder(tmp_path, Case(tables, mappings={"m.toml": MAPPING}))
    path = tmp_path / "connector.toml"
    path.write_text(path.read_text("utf-8") + 'foldr = "x"\n', "utf-8")
    with pytest.raises(ConfigError, match="foldr: no such key; did you mean folder"):
        load_config(tmp_path, {})
