"""The Open Education API as a source: both versions come out alike, and nothing is called gone that is not."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import sqlite3
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.ooapi.conformance import course5, mapping, offering5, offering6
from connectors.ooapi.kind import SOURCE
from connectors.ooapi.shape import offering, shaped
from connectors.ooapi.source import Ooapi
from connectors.sdk.changes import GONE
from connectors.sdk.contract import ConfigError, Context, Page, Seen, Transient
from connectors.sdk.mapping.event import load_mapping
from connectors.sdk.testing import US, FakeClock
from schemas.records import Credit, LangText, OfferingChanged, Term

ROOT = Path(__file__).parents[2]
SEEDS = Path(os.environ.get("OOAPI_SEEDS") or ROOT.parent / "shared" / "fixtures" / "ooapi-v5")
CODES = Path(str(files("connectors.ooapi") / "codes"))
SHIPPED = Path(str(files("connectors.ooapi") / "mapping" / "offering.toml"))


class Memory:
    """The table `seen` of a state file, written when a test says that a page was stored."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE seen (source TEXT, key TEXT, hash BLOB, version INTEGER)")

    def get(self, key: str) -> Seen | None:
        with sqlite3.connect(self._path) as db:
            row = db.execute("SELECT key, hash, version FROM seen WHERE key = ?", (key,)).fetchone()
        return None if row is None else Seen(*row)

    def path(self) -> Path:
        return self._path

    def store(self, page: Page) -> None:
        with sqlite3.connect(self._path) as db:
            for item in page.items:
                db.execute("DELETE FROM seen WHERE key = ?", (item.key,))
                seen = item.seen
                db.execute(
                    "INSERT INTO seen VALUES ('campus', ?, ?, ?)",
                    (seen.key, seen.hash, seen.version),
                )


class Campus:
    """An API of version 5 whose offerings tests change; `unlisted` are there, but not in the list."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.offerings = {f"offering-{n}": offering5(n) for n in range(1, 6)}
        self.unlisted: set[str] = set()
        self.asked: list[str] = []
        self.memory = Memory(folder / "state.db")
        self.context = Context(
            folder, US, "campus", FakeClock(), httpx.MockTransport(self.answer), self.memory
        )
        self.options = SOURCE.options.model_validate(
            {"base_url": "http://campus.example", "path": "/offerings", "page_size": 2} | options
        )
        self.source = Ooapi(self.options, self.context)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(path)
        name = path.rpartition("/")[2]
        if path == "/offerings":
            there = [one for key, one in self.offerings.items() if key not in self.unlisted]
            start = (int(request.url.params["pageNumber"]) - 1) * 2
            return httpx.Response(
                200, json={"items": there[start : start + 2], "hasNextPage": start + 2 < len(there)}
            )
        if path.startswith("/courses/"):
            return httpx.Response(200, json=course5(int(name[-1])))
        found = self.offerings.get(name)
        return httpx.Response(200, json=found) if found else httpx.Response(404, json={})

    def read(self, source: Ooapi | None = None) -> list[Any]:
        """One sweep, page by page, each stored."""

        async def pages() -> list[Any]:
            found: list[Any] = []
            cursor = None
            while True:
                page = await (source or self.source).page(cursor)
                self.memory.store(page)
                found += page.items
                cursor = page.cursor
                if not page.more:
                    return found

        return asyncio.run(pages())


def mapped(data: dict[str, Any], folder: Path) -> OfferingChanged:
    """The shipped mapping, through the strict check of the event's schema."""
    found = load_mapping(SHIPPED, CODES, member=US, connector="campus")
    change = {
        "eventId": "00000000-0000-4000-8000-000000000001",
        "version": 1,
        "at": "2026-09-01T08:00:00Z",
    }
    record = found.record(data | {"_change": change})
    assert isinstance(record, OfferingChanged)
    return record


def test_the_versions_come_out_alike():
    """One mapping serves both, and a campus that moves to version 6 tells nothing anew."""
    assert offering(offering5(1), course5(1)) == offering(offering6(1), None)


def test_a_student_who_enrolls_changes_no_offering():
    """The counts of an offering change daily; each would be an event that says nothing new."""
    one = offering5(1, enrolledNumberStudents=3, pendingNumberStudents=1)
    other = offering5(1, enrolledNumberStudents=4)
    assert shaped(one, "offerings") == shaped(other, "offerings")


def test_of_several_study_loads_the_credits_count():
    """Version 6 lists hours and credits side by side; credits are what is recognized."""
    loads = [
        {"studyLoadUnit": "contact_time", "value": 48},
        {"studyLoadUnit": "hour", "value": 84},
        {"studyLoadUnit": "ects", "value": 3},
    ]
    course = offering5(1) | {"course": course5(1) | {"studyLoad": loads}}
    found = offering(course, None)["course"]
    assert (found["credits"], found["contactHours"]) == ({"unit": "ects", "value": 3}, 48)


def test_periods_of_enrollment_become_first_and_last_day():
    """Version 6 has a period for each target group, and one may have no end."""
    periods = [
        {"startDateTime": "2026-06-01T08:00:00+08:00", "endDateTime": "2026-06-30T20:00:00+08:00"},
        {"startDateTime": "2026-05-20T08:00:00+08:00", "endDateTime": "2026-06-15T20:00:00+08:00"},
    ]
    found = offering(offering6(1, enrolmentPeriods=periods), None)
    assert (found["enrollmentOpens"], found["enrollmentCloses"]) == ("2026-05-20", "2026-06-30")
    periods[1]["endDateTime"] = ""
    assert offering(offering6(1, enrolmentPeriods=periods), None)["enrollmentCloses"] is None


def test_a_course_of_many_offerings_is_asked_for_once(tmp_path):
    """A course has some offerings in each term; asking each time would double the load on the campus."""
    campus = Campus(tmp_path)
    for one in campus.offerings.values():
        one["course"] = "course-1"
    campus.read()
    assert campus.asked.count("/courses/course-1") == 1


def test_a_change_is_told_with_the_next_version(tmp_path):
    """The ledger orders by versions; a change in the course is a change of what is offered."""
    campus = Campus(tmp_path)
    assert [item.data["_change"]["version"] for item in campus.read()] == [1] * 5
    assert campus.read() == []
    campus.offerings["offering-3"]["maxNumberStudents"] = 31
    (item,) = campus.read()
    assert (item.key, item.data["_change"]["version"], item.data["capacity"]) == (
        "offering-3",
        2,
        31,
    )


def test_what_is_gone_is_told_as_it_was_but_inactive(tmp_path):
    """Other members must take it from their catalogs, and an event needs more than an id; a restart changes nothing."""
    campus = Campus(tmp_path)
    campus.read()
    del campus.offerings["offering-4"]
    (item,) = campus.read(Ooapi(campus.options, campus.context))
    assert (item.data["state"], item.data["_change"]["op"], item.seen.hash) == (
        "inactive",
        "delete",
        GONE,
    )
    record = mapped({k: v for k, v in item.data.items() if k != "_change"}, tmp_path)
    assert (record.offering_id, record.status) == ("offering-4", "inactive")
    assert campus.read() == []


def test_what_is_only_not_listed_is_not_gone(tmp_path):
    """Version 5 lists future offerings unless asked otherwise, so each leaves the list when its term begins."""
    campus = Campus(tmp_path)
    campus.read()
    campus.unlisted.add("offering-1")
    assert campus.read() == []
    assert "/offerings/offering-1" in campus.asked


def test_a_collection_that_empties_itself_tells_nothing(tmp_path):
    """An API that lost its database would withdraw every course of the university."""
    campus = Campus(tmp_path)
    campus.read()
    campus.offerings.clear()
    with pytest.raises(ConfigError, match=r"5 of 5 records are gone, max_delete is 0\.05"):
        campus.read()
    assert campus.memory.get("offering-1").hash != GONE


def test_the_same_cursor_gives_the_same_changes(tmp_path):
    """A page whose commit failed is asked for again, and its events must have the ids they had."""
    campus = Campus(tmp_path, batch=2)

    async def twice() -> list[Page]:
        first = await campus.source.page(None)
        return [await campus.source.page(first.cursor), await campus.source.page(first.cursor)]

    one, other = asyncio.run(twice())
    assert one == other
    assert len(one.items) == 2


def test_pages_that_never_end_are_refused(tmp_path):
    """Else one wrong flag of the API keeps the connector reading for ever."""
    campus = Campus(tmp_path)
    campus.context = Context(
        tmp_path, US, "campus", FakeClock(),
        httpx.MockTransport(lambda _: httpx.Response(200, json={"items": [], "hasNextPage": True})),
    )  # fmt: skip
    with pytest.raises(Transient, match="page 1 is empty, yet hasNextPage"):
        campus.read(Ooapi(campus.options, campus.context))


@pytest.mark.skipif(not SEEDS.is_dir(), reason=f"no Open Education API seed objects at {SEEDS}")
@pytest.mark.parametrize("expanded", [False, True], ids=["by id", "expanded"])
def test_the_seed_objects_become_an_offering(tmp_path, expanded):
    """Foreign data, not written for us: the kind bends, the objects do not."""
    course = json.loads((SEEDS / "3-Course.json").read_text("utf-8"))
    seed = json.loads((SEEDS / "4-Offering.json").read_text("utf-8"))
    whole = copy.deepcopy(seed) | ({"course": course} if expanded else {})

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/offerings":
            return httpx.Response(200, json={"items": [whole], "hasNextPage": False})
        assert request.url.path == f"/courses/{course['courseId']}"
        return httpx.Response(200, json=course)

    campus = Campus(tmp_path)
    campus.context = Context(
        tmp_path, US, "campus", FakeClock(), httpx.MockTransport(answer), campus.memory
    )
    (item,) = campus.read(Ooapi(campus.options, campus.context))
    record = mapped(item.data, tmp_path)
    assert record.offering_id == seed["offeringId"]
    assert (record.course.course_code, record.course.los_id) == ("221110", course["courseId"])
    assert record.titles == (LangText("en", "Course Example"), LangText("es", "Ejemplo de Curso"))
    assert record.credits == Credit("ects", Decimal("6.000"))
    assert (record.mode, record.language) == ("presential", "nl")
    assert record.term == Term("2018-2019", 2, 2)
    assert (record.start_date, record.end_date) == (date(2019, 8, 21), date(2019, 10, 23))
    assert (record.capacity, record.min_students, record.status) == (200, 15, "active")


@pytest.mark.parametrize(
    ("collection", "record", "found"),
    [
        ("programs", {"programmeId": "p", "programmeType": "minor"}, {"programId": "p", "programType": "minor"}),
        ("organizations", {"organisationId": "o", "organisationType": "root"}, {"organizationId": "o", "organizationType": "root"}),
    ],
)  # fmt: skip
def test_programs_and_organizations_have_one_spelling(collection, record, found):
    """Version 6 spells them in British English; a mapping need not know the version."""
    shape = shaped(record | {"primaryCode": {"code": "1"}}, collection)
    assert shape == found | {"primaryCode": {"code": "1"}, "code": "1"}


def test_the_shipped_mapping_takes_version_6(tmp_path):
    """Samples of the specification's own form, with all that version 6 names anew."""
    record = mapped(offering(offering6(1), None), tmp_path)
    assert (record.offering_id, record.mode, record.language) == ("offering-1", "online", "en")
    assert record.term == Term("2026-2027", 1, 2)
    assert mapping() == SHIPPED.read_text("utf-8")
