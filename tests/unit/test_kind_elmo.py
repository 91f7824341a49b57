"""ELMO: results to awards, awards and decisions back to documents."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from connectors.elmo.conformance import result
from connectors.elmo.kind import SINK, SOURCE
from connectors.elmo.results import awards
from connectors.sdk.contract import (
    Applied,
    ConfigError,
    Context,
    Duplicate,
    NotNow,
    Rejected,
    Transient,
)
from connectors.sdk.testing import FakeClock, their_request
from connectors.sdk.xml.document import XmlError, parse
from hub.flow.personal import suspected
from schemas.codec import encode
from tests.support.documents import ROOT, Campus, an_event, bring, delivered, sample
from tests.support.ledger import HOME, HOST
from tests.support.xsd import assert_valid

KEY = "thirty-two bytes that nobody sees"
ELMO = "https://github.com/emrex-eu/elmo-schemas/tree/"


def campus(folder: Path, **tables: str) -> Campus:
    """A campus with the mappings that come with the kind; code tables of one line by keyword."""
    made = Campus(folder, SOURCE, HOST, award_key=KEY, settle_s=0, learner_identifiers=["local"])
    shutil.copytree(ROOT / "connectors/elmo/mapping", made.folder / "mapping", dirs_exist_ok=True)
    for path in (ROOT / "connectors/elmo/codes").glob("*.csv"):
        if path.name != "institution.csv":
            shutil.copy(path, made.folder / "codes")
    for table, line in tables.items():
        with (made.folder / "codes" / f"{table}.csv").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    return made


@pytest.fixture
def ours(tmp_path) -> Campus:
    """A campus that knows student 1, and document `result(1)`."""
    return campus(
        tmp_path, student=f"1,urn:alliance:student:{HOME}:p1", student_home=f"1,{HOME}", enrollment="1/1,e1"
    )  # fmt: skip


def test_a_result_becomes_an_award(ours):
    """The way of a result: document, mapping of the kind, event."""
    ours.write("1.xml", result(1))
    (award,) = ours.events()
    assert (award.student_id, award.home, award.host) == (f"urn:alliance:student:{HOME}:p1", HOME, HOST)  # fmt: skip
    assert (award.enrollment_id, award.course.course_code) == ("e1", "1")
    assert (award.credits.scheme, award.credits.value) == ("cn_credit", Decimal("3.000"))
    assert (award.result, award.grade.label, award.grade.numeric) == ("passed", "86", Decimal("86.000"))  # fmt: skip
    assert award.assessed_on == date(2027, 1, 15)
    assert (award.envelope.aggregate_version, award.term.term_number) == (1, 1)
    assert ours.events() == []


def test_the_learner_s_data_stay_out_of_the_public_part(ours):
    """Name, birthday and number of a learner must never reach the ledger, whatever the document holds."""
    text = result(1).decode().replace("<givenNames>N<", "<givenNames>Mei Lin<").replace("<familyName>N<", "<familyName>Zhang<")  # fmt: skip
    text = text.replace("</familyName>", "</familyName><alternativeName>-</alternativeName><dateOfBirth>2004-05-06</dateOfBirth>")  # fmt: skip
    ours.write("1.xml", text)
    (item,) = ours.items()
    mapping = ours.mapping("awarded")
    record = mapping.record(item.data)
    assert mapping.part(item.data) == {"given_names": "Mei Lin", "family_name": "Zhang"}
    for word in ("Mei Lin", "Zhang", "2004"):
        assert word not in repr(record)
    assert suspected(record, encode(record)) is None


def test_a_corrected_result_is_a_correction_of_the_same_award(ours):
    """A regrade must not become a second award, and it names the event that it corrects."""
    ours.write("1.xml", result(1))
    (first,) = ours.events()
    ours.write("1.xml", result(1).replace(b">86<", b">91<"))
    (second,) = ours.events()
    assert second.EVENT == "credit.award-corrected"
    assert second.award_id == first.award_id
    assert (second.grade.label, second.envelope.aggregate_version) == ("91", 2)
    assert second.envelope.supersedes_id == first.envelope.event_id
    ours.write("1.xml", result(1))
    (third,) = ours.events()
    assert (third.grade.label, third.envelope.aggregate_version) == ("86", 3)
    assert third.envelope.supersedes_id == second.envelope.event_id


def test_the_same_result_in_another_document_is_not_told_again(ours):
    """A transcript is issued anew whenever a student asks for one."""
    ours.write("1.xml", result(1))
    assert len(ours.events()) == 1
    ours.write("again.xml", result(1).replace(b"2027-01-20T08", b"2027-06-20T08"))
    ours.restart()
    assert ours.events() == []


def test_an_older_transcript_beside_a_newer_one_changes_nothing(ours):
    """A folder keeps what was issued before; read again, it must not undo a correction."""
    ours.write(
        "new.xml", result(1).replace(b">86<", b">91<").replace(b"2027-01-20T08", b"2027-03-20T08")
    )
    assert [r.grade.label for r in ours.events()] == ["91"]
    ours.write("old.xml", result(1))
    assert ours.events() == []
    ours.write("newest.xml", result(1).replace(b"2027-01-20T08", b"2027-06-20T08"))
    assert [r.grade.label for r in ours.events()] == ["86"]
    ours.restart()
    assert ours.events() == []


def test_a_dry_run_shows_all_facts_and_leaves_nothing_behind(tmp_path):
    """Without memory nothing can be told as new, so everything is, numbered as it would be."""
    made = Campus(tmp_path, SOURCE, HOST, award_key=KEY, settle_s=0)
    for number in (1, 2):
        made.write(f"{number}.xml", result(number))
    options = SOURCE.options.model_validate({"folder": "out", "award_key": KEY})
    source = SOURCE.open(options, replace(made.context, memory=None))
    page = asyncio.run(source.page(None))
    assert [item.data["_change"]["version"] for item in page.items] == [1, 1]
    assert (page.more, sorted(path.name for path in tmp_path.iterdir())) == (
        False,
        ["codes", "in", "mapping", "out"],
    )


def test_a_page_that_was_not_stored_is_offered_again(tmp_path):
    """The disk of the state file may be full for a while; what was read then must not be passed over."""
    made = Campus(tmp_path, SOURCE, HOST, award_key=KEY, settle_s=0)
    made.write("1.xml", result(1))
    options = SOURCE.options.model_validate({"folder": "out", "award_key": KEY})
    source = SOURCE.open(options, made.context)
    first, again = (asyncio.run(source.page(None)) for _ in range(2))
    assert [item.seen for item in first.items] == [item.seen for item in again.items] != []


def test_a_file_above_the_limit_is_not_read_to_its_end(tmp_path):
    """A disk image in the wrong folder must not end the process."""
    made = Campus(tmp_path, SOURCE, HOST, award_key=KEY, settle_s=0, max_bytes=2048)
    with (made.out / "big.xml").open("wb") as file:
        file.truncate(50 * 1024**3)  # a sparse file: 50 GB of nothing
    assert [item.fault.code for item in made.items()] == ["XML_TOO_LARGE"]


def test_more_documents_than_fit_a_page_are_all_told_once(tmp_path):
    """Pages end between documents; a restart goes on from the last page."""
    made = Campus(tmp_path, SOURCE, HOST, award_key=KEY, settle_s=0)
    for number in range(120):
        made.write(f"{number:03d}.xml", result(number))
    assert len({item.key for item in made.items()}) == 120
    made.restart()
    assert made.items() == []
    options = SOURCE.options.model_validate({"folder": "out", "award_key": KEY})
    source = SOURCE.open(options, made.context)
    cursor, more = None, True
    while more:
        page = asyncio.run(source.page(cursor))
        cursor, more = page.cursor, page.more
    idle = asyncio.run(source.page(cursor))
    assert (idle.items, idle.cursor, idle.more) == ([], cursor, False)  # nothing to commit


def test_an_award_s_id_tells_nothing_without_the_key(tmp_path):
    """National numbers are few enough to be tried out: an id under another key must be another."""
    root = parse(result(1), "x")
    one, other, same = (
        awards(root, "x", "", key=key)[0]["award_id"] for key in (b"one", b"other", b"one")
    )
    assert one == same != other
    with pytest.raises(ValidationError, match="could be guessed"):
        SOURCE.options.model_validate({"folder": "out", "award_key": "short"})


@pytest.mark.parametrize(
    ("table", "value", "said"),
    [("credit_scheme", ">florins<", "florins"), ("grade_scheme", "<gradingSchemeLocalId>Zz<", "Zz")],
)  # fmt: skip
def test_a_scheme_that_is_in_no_table_is_named(ours, table, value, said):
    """A guess would turn half a credit into one, or a grade of 1 into the worst."""
    text = result(1).decode().replace("<resultLabel>", "<gradingSchemeLocalId>0-100</gradingSchemeLocalId><resultLabel>")  # fmt: skip
    text = text.replace(">cn_credit<", value) if table == "credit_scheme" else text.replace("<gradingSchemeLocalId>0-100<", value)  # fmt: skip
    ours.write("1.xml", text)
    assert ours.events() == []
    assert any(f"codes/{table}.csv" in reason and said in reason.lower() + reason for reason in ours.parked)  # fmt: skip


def test_the_public_sample_gives_its_courses_and_counts_none_twice():
    """A degree is not its courses once more, and a lecture is a part of its course."""
    found = awards(parse(sample("elmo/example.xml"), "example"), "example", "", key=b"k")
    assert [(a["course"]["code"], a["credit"]["scheme"], a["credit"]["value"]) for a in found] == [
        ("EKSTERN", "ects", "15"),
        ("1000-217bMRJ", "ects", "6"),
        (None, None, None),
    ]
    compiler = found[1]
    assert compiler["course"]["titles"][1] == {"lang": "en", "value": "Compiler construction"}
    assert (compiler["grade"]["label"], compiler["grade"]["numeric"]) == ("45.1", "45.1")
    assert compiler["levels"]["eqf"] == "5"
    assert compiler["contact_hours"] == "60"
    assert len(compiler["distribution"]) == 5
    assert found[2]["course"]["titles"] == [{"lang": "und", "value": "The importance of <br> in HTML"}]  # fmt: skip
    assert found[0]["result"] == "passed"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (f"{ELMO}v2", f"{ELMO}v3", "XML_VERSION"),
        (f"{ELMO}v2", "urn:other", "XML_NAMESPACE"),
        (f' xmlns="{ELMO}v2"', "", "XML_NAMESPACE"),
        ("elmo", "transcript", "XML_ROOT"),
    ],
)
def test_another_document_is_refused_by_what_is_wrong_with_it(old, new, code):
    """Half of a format that nobody here has read is worse than none."""
    text = result(1).decode()
    document = text.replace(old, new) if old != "elmo" else text.replace("<elmo ", "<transcript ").replace("</elmo>", "</transcript>")  # fmt: skip
    with pytest.raises(XmlError) as caught:
        awards(parse(document.encode(), "x"), "x", "", key=b"k")
    assert caught.value.code == code


def test_a_prefix_or_another_version_of_the_namespace_changes_nothing():
    """Every system writes its namespaces in its own way."""
    prefixed = result(1).decode().replace("<", "<e:").replace("<e:/", "</e:").replace("xmlns=", "xmlns:e=")  # fmt: skip
    older = result(1).decode().replace("tree/v2", "tree/v1")
    one, two, three = (
        awards(parse(text.encode(), "x"), "x", "", key=b"k")
        for text in (result(1).decode(), prefixed, older)
    )
    assert one == two == three


def test_results_that_are_not_final_are_left_out():
    """Who is still studying has earned nothing yet."""
    text = result(1).decode().replace(">passed<", ">in-progress<")
    assert awards(parse(text.encode(), "x"), "x", "", key=b"k") == []
    failed = result(1).decode().replace(">passed<", ">failed<")
    assert awards(parse(failed.encode(), "x"), "x", "", key=b"k")[0]["result"] == "failed"


def test_a_broken_document_parks_alone_and_its_neighbors_flow(ours):
    """One bad file in a folder of a thousand."""
    ours.write("0-bad.xml", b"<elmo><report>")
    ours.write("1.xml", result(1))
    assert [award.enrollment_id for award in ours.events()] == ["e1"]
    (said,) = ours.parked
    assert "0-bad.xml:1: ends too early" in said


def test_a_file_that_is_still_being_written_is_waited_for(tmp_path):
    """A copy over a slow share shows half a document for a while."""
    made = Campus(tmp_path, SOURCE, HOST, award_key=KEY, settle_s=30)
    made.write("1.xml", result(1)[:200])
    assert made.items() == []
    made.clock._elapsed_s += 10
    assert made.items() == []
    made.write("1.xml", result(1))
    assert [item.data["event"] for item in made.items()] == ["awarded"]
    made.write("2.xml", result(2)[:200])
    assert made.items() == []
    made.clock._elapsed_s += 31
    assert [item.fault.code for item in made.items()] == ["XML_TRUNCATED"]


# Back to documents


def bytes_of(record: Any, folder: Path, **options: Any) -> bytes:
    made = Campus(folder, SOURCE, HOME, award_key=KEY)
    (verdict,) = bring(SINK, made, [delivered(record, 7)], folder="in", **options)
    assert verdict == Applied()
    (path,) = (made.folder / "in").iterdir()
    assert path.name == f"000000000007-elmo-{record.envelope.event_id}.xml"
    return path.read_bytes()


@pytest.mark.parametrize("version", [1, 2])
def test_an_award_written_is_the_award_read(version, tmp_path):
    """What home imports must be what the host awarded."""
    record = an_event("credit.awarded")
    (read,) = awards(parse(bytes_of(record, tmp_path, version=version), "x"), "x", "", key=b"k")
    assert read["course"]["code"] == record.course.course_code
    assert read["course"]["los_id"] == record.course.los_id
    assert read["course"]["titles"] == [{"lang": t.lang, "value": t.value} for t in record.titles]
    assert (read["credit"]["scheme"], Decimal(read["credit"]["value"])) == (record.credits.scheme, record.credits.value)  # fmt: skip
    assert (read["grade"]["scheme"], read["grade"]["label"]) == (record.grade.scheme, record.grade.label)  # fmt: skip
    assert (read["result"], read["assessed_on"]) == (record.result, record.assessed_on.isoformat())
    assert [int(s["count"]) for s in read["distribution"]] == [s.count for s in record.grade_distribution]  # fmt: skip
    assert read["learner"]["ids"] == {"allianceStudentId": record.student_id}


@pytest.mark.parametrize("version", [1, 2])
def test_an_award_is_valid_by_the_schema(version, tmp_path):
    """The receiving system checks before it reads."""
    assert_valid(bytes_of(an_event("credit.awarded"), tmp_path, version=version))


@pytest.mark.parametrize("outcome", ["positive", "negative", "partially_positive"])
def test_a_final_decision_is_valid_and_says_what_became_what(outcome, tmp_path):
    """The host notes on its award what became of it; only the document's mapping says so."""
    record = an_event("credit.recognition-decided", outcome=outcome)
    if outcome == "negative":
        record = replace(record, mappings=(replace(record.mappings[0], to=()),))
    data = bytes_of(record, tmp_path)
    result_ = parse(data, "x").child("report", "resultOfRecognition")
    assert result_ is not None
    assert (result_.value("status") or "").lower().replace(" ", "_") == outcome
    mapping = result_.child("recognitionMapping", "mapping")
    assert mapping is not None
    assert mapping.value("fromMapping", "ref") == record.mappings[0].award_ids[0]
    assert mapping.value("toMapping", "ref") == (None if outcome == "negative" else "201074030")
    assert_valid(data)


def test_an_invalid_document_is_seen_to_be_invalid(tmp_path):
    """Else the tests above would pass whatever is written."""
    data = bytes_of(an_event("credit.awarded"), tmp_path)
    with pytest.raises(AssertionError, match="learner"):
        assert_valid(data.replace(b"familyName>", b"lastName>"))


def test_names_come_from_the_private_part_or_are_missed_by_name(tmp_path):
    """A pseudonym in a name's place must be the campus's choice."""
    made = Campus(tmp_path, SOURCE, HOME, award_key=KEY)
    record = an_event("credit.awarded")
    (verdict,) = bring(SINK, made, [delivered(record, private_state="missing")], folder="in", student_names="required")  # fmt: skip
    assert isinstance(verdict, Rejected)
    assert (verdict.code, "is missing" in verdict.message) == ("NO_NAME", True)
    named = delivered(record, private={"given_names": "Mei", "family_name": "Zhang"}, private_state="readable", local_id="2023010417")  # fmt: skip
    assert bring(SINK, made, [named], folder="in", student_names="required") == [Applied()]
    (path,) = (made.folder / "in").iterdir()
    learner = parse(path.read_bytes(), "x").child("learner")
    assert learner is not None
    assert (learner.value("givenNames"), learner.value("familyName"), learner.value("identifier")) == ("Mei", "Zhang", "2023010417")  # fmt: skip


def test_what_elmo_has_no_document_for_is_laid_beside_whole(tmp_path):
    """Outcomes, flags and other events must not vanish because a format has no word for them."""
    made = Campus(tmp_path, SOURCE, HOME, award_key=KEY)
    bring(SINK, made, [delivered(their_request(1))], folder="in")
    (path,) = (made.folder / "in").iterdir()
    assert json.loads(path.read_text("utf-8"))["record"]["enrollment_id"] == "enrollment-1"
    assert path.suffix == ".json"


def test_a_delivery_is_brought_once_even_when_its_file_was_taken(tmp_path):
    """The campus moves files away; a repeat after a crash must not come back as news."""
    made = Campus(tmp_path, SOURCE, HOME, award_key=KEY)
    delivery = delivered(an_event("credit.awarded"))
    assert bring(SINK, made, [delivery], folder="in") == [Applied()]
    (path,) = (made.folder / "in").iterdir()
    path.unlink()
    assert bring(SINK, made, [delivery], folder="in") == [Duplicate()]
    assert list((made.folder / "in").iterdir()) == []


def test_behind_a_refused_delivery_those_of_its_key_wait(tmp_path):
    """A correction must not overtake the award it corrects."""
    made = Campus(tmp_path, SOURCE, HOME, award_key=KEY)
    unknown = an_event("credit.awarded", host="10699")
    later = an_event("credit.award-corrected")
    later = replace(later, envelope=replace(later.envelope, subject=unknown.envelope.subject))
    other = delivered(their_request(5))
    first, second, third = bring(SINK, made, [delivered(unknown), delivered(later), other], folder="in")  # fmt: skip
    assert isinstance(first, Rejected)
    assert (first.code, "10699" in first.message) == ("NO_INSTITUTION", True)
    assert isinstance(second, NotNow)
    assert third == Applied()


# HTTP


def context(folder: Path, answer: Any) -> Context:
    return Context(folder, HOST, "campus", FakeClock(), transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (200, "<html><body>Please log in</body></html>", Transient),
        (200, '<!DOCTYPE html><html><body>Please log in', Transient),
        (200, "<elmo><rep", Transient),
        (503, "", Transient),
        (404, "", ConfigError),
        (401, "", ConfigError),
        (422, "", ConfigError),
        (302, "", ConfigError),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_document_is_the_system_s_fault(status, text, error, tmp_path):
    """A login page must not be parked as somebody's transcript."""
    options = SOURCE.options.model_validate({"award_key": KEY, "http": {"base_url": "http://sis.example", "paths": ["/r"]}})  # fmt: skip
    source = SOURCE.open(options, context(tmp_path, lambda _: httpx.Response(status, text=text)))
    with pytest.raises(error):
        asyncio.run(source.page(None))
    asyncio.run(source.close())


def test_documents_are_posted_and_a_refusal_parks_with_the_status(tmp_path):
    """A system that takes documents says no to one without stopping the others."""
    seen: list[bytes] = []
    answers: Iterator[int] = iter([201, 422])

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        assert request.headers["content-type"].startswith("application/xml")
        return httpx.Response(next(answers))

    made = Campus(tmp_path, SOURCE, HOME, award_key=KEY)
    options = SINK.options.model_validate({"http": {"base_url": "http://sis.example", "post": "/import"}})  # fmt: skip
    sink = SINK.open(options, context(made.folder, answer))
    one, two = (an_event("credit.awarded", award_id=name) for name in "ab")
    two = replace(two, envelope=replace(two.envelope, event_id="other", subject="b"))
    first, second = asyncio.run(sink.apply([delivered(one), delivered(two)]))
    asyncio.run(sink.close())
    assert first == Applied()
    assert isinstance(second, Rejected)
    assert (second.code, len(seen)) == ("HTTP_422", 2)


@pytest.mark.parametrize("options", [{}, {"folder": "a", "http": {"base_url": "http://x.example"}}, {"http": {"base_url": "http://x.example"}}])  # fmt: skip
def test_where_documents_lie_is_said_once(options):
    """Two places or none: refused before anything runs."""
    with pytest.raises(ValidationError):
        SOURCE.options.model_validate({"award_key": KEY} | options)
    with pytest.raises(ValidationError):
        SINK.options.model_validate(options)
