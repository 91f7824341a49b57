"""Campuses for the conformance suite: offerings of both versions, and associations of both."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import httpx

from connectors.http_poll.conformance import FAULTS, FakeApi
from connectors.sdk.testing import Case

_PAGE = 2  # small, so that a sweep has several pages
_ROOT = "333e4567-e89b-42d3-a456-123514174eee"


def mapping() -> str:
    """The mapping that the kind brings."""
    return (files("connectors.ooapi") / "mapping" / "offering.toml").read_text("utf-8")


def course5(number: int) -> dict[str, Any]:
    """A course as version 5 has it."""
    return {
        "courseId": f"course-{number}",
        "primaryCode": {"codeType": "identifier", "code": f"C{number}"},
        "name": [{"language": "en-GB", "value": f"Course {number}"}],
        "studyLoad": {"studyLoadUnit": "ects", "value": 3},
    }


def offering5(number: int, **changes: Any) -> dict[str, Any]:
    """An offering as version 5 has it; its course by id, or whole where `expand` says so."""
    return {
        "offeringId": f"offering-{number}",
        "primaryCode": {"codeType": "identifier", "code": f"O{number}"},
        "offeringType": "course",
        "name": [{"language": "en-GB", "value": f"Offering {number}"}],
        "teachingLanguage": "eng",
        "modeOfDelivery": ["online"],
        "maxNumberStudents": 30,
        "startDate": "2026-09-07",
        "endDate": "2027-01-15",
        "course": f"course-{number}",
    } | changes


def offering6(number: int, **changes: Any) -> dict[str, Any]:
    """The same offering as version 6 has it, with its course."""
    course = course5(number)
    return {
        "courseOfferingId": f"offering-{number}",
        "primaryCode": {"codeType": "identifier", "code": f"O{number}"},
        "name": [{"language": "en-GB", "value": f"Offering {number}"}],
        "state": "active",
        "teachingLanguages": ["eng"],
        "modesOfDelivery": ["online"],
        "maxNumberStudents": 30,
        "startDateTime": "2026-09-07T08:30:00+08:00",
        "endDateTime": "2027-01-15T18:00:00+08:00",
        "courseId": f"course-{number}",
        "course": course | {"studyLoad": [course["studyLoad"]]},
    } | changes


def codes() -> dict[str, str]:
    """The tables of codes that the kind brings, by their place beside the mappings."""
    folder = files("connectors.ooapi") / "codes"
    return {f"../codes/{one.name}": one.read_text("utf-8") for one in folder.iterdir() if one.name.endswith(".csv")}  # fmt: skip


def _offerings(version: str) -> Case:
    made: list[dict[str, Any]] = []
    removed: list[str] = []
    six = version == "6"
    key = "courseOfferingId" if six else "offeringId"
    listing = f"/organisations/{_ROOT}/course-offerings" if six else f"/organizations/{_ROOT}/offerings"  # fmt: skip
    single = "/course-offerings/" if six else "/offerings/"

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == listing:
            number, size = (int(request.url.params[name]) for name in ("pageNumber", "pageSize"))
            start, there = (number - 1) * size, [one for one in made if one[key] not in removed]
            return httpx.Response(
                200,
                json={
                    "items": there[start : start + size],
                    "hasNextPage": start + size < len(there),
                },
            )
        name = path.rpartition("/")[2]
        if path.startswith("/courses/"):
            return httpx.Response(200, json=course5(int(name.rpartition("-")[2])))
        if path.startswith(single):
            found = [one for one in made if one[key] == name and name not in removed]
            return httpx.Response(200, json=found[0]) if found else httpx.Response(404, json={})
        return httpx.Response(404, json={})

    def add(**changes: Any) -> None:
        number = len(made) + 1
        made.append(offering6(number, **changes) if six else offering5(number, **changes))

    def happen(count: int) -> None:
        for _ in range(count):
            add()

    api = FakeApi(answer)
    tables = f"""
[source.campus]
kind = "ooapi"
version = "{version}"
organization = "{_ROOT}"
base_url = "http://campus.example"
page_size = {_PAGE}
batch = 2
expand = {'["course"]' if six else "[]"}
mapping = "mapping/offering.toml"
"""
    return Case(
        tables,
        mappings={"offering.toml": mapping(), **codes()},
        transport=httpx.MockTransport(api.handle),
        happen=happen,
        spoil=lambda: add(maxNumberStudents="many"),
        to_tell=lambda: sum(one["maxNumberStudents"] != "many" for one in made) + len(removed),
        faults=FAULTS,
        fault=api.fault,
        # It is told once more, as inactive.
        tricks={"shrunk": lambda: removed.append(made[0][key])},
    )


def _associations(version: str, create: str) -> Case:
    told: list[str] = []
    poison: set[str] = set()
    held: dict[str, dict[str, Any]] = {}
    base = "/associations" if version == "5" else "/course-offering-associations"

    def taken(id: str, body: dict[str, Any], status: int) -> httpx.Response:
        event = next(iter(body["ext"]["alliance"].values()))["eventId"]
        if event in poison:
            return httpx.Response(422, json={"status": "422", "title": "no such offering"})
        held[id] = held.get(id, {}) | body
        told.append(f"event:{event}:")
        return httpx.Response(status, json={"associationId": id, "state": "pending", "message": []})

    def answer(request: httpx.Request) -> httpx.Response:
        id = request.url.path.rpartition("/")[2]
        if request.method == "GET":
            if request.url.path == "/":
                return httpx.Response(200, json={"contactEmail": "a@campus.example"})
            return httpx.Response(200, json=held[id]) if id in held else httpx.Response(404, json={})  # fmt: skip
        body = json.loads(request.content)
        if request.method == "PATCH":
            merge = request.headers["content-type"] == "application/merge-patch+json"
            return taken(id, body, 200) if merge else httpx.Response(415, json={})
        if request.url.path == f"{base}/external/me":
            id = body["associationId"]
        return taken(id, body, 201)

    api = FakeApi(answer)
    tables = f"""
[sink.campus]
kind = "ooapi"
version = "{version}"
create = "{create}"
base_url = "http://campus.example"
outcomes = false
flags = false
batch = 50
"""
    return Case(
        tables,
        transport=httpx.MockTransport(api.handle),
        told=told,
        poison=poison,
        faults=(*FAULTS, "lost answer"),
        fault=api.fault,
    )


CASES = {
    "offerings of version 5": lambda: _offerings("5"),
    "offerings of version 6": lambda: _offerings("6"),
    "associations of version 5": lambda: _associations("5", "external_me"),
    "associations of version 6": lambda: _associations("6", "put"),
}
WAIVED = {
    "a flag is told once": "the Open Education API has no place for flags; `flags = false` leaves them to another sink",
}
