"""The campus's HTTP interface: pages, the Open Education API's collections, faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.sandbox import seeds, server
from connectors.sandbox.campus import Campus
from connectors.sandbox.folders import seed_campus
from connectors.sandbox.server import campus_app
from tests.support.campuses import ALLIANCE

Talk = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]

COURSE = {
    "courseId": "1668dd09-0000-4303-a2bf-14bea154b39d",
    "primaryCode": {"codeType": "identifier", "code": "PHYS101"},
    "name": [{"language": "en-GB", "value": "Physics"}, {"language": "fr-FR", "value": "Physique"}],
    "studyLoad": {"studyLoadUnit": "ects", "value": 7.5},
}
OFFERING = {
    "offeringId": "123e4567-0000-12d3-a456-134564174000",
    "offeringType": "course",
    "name": [{"language": "en-GB", "value": "Physics, autumn"}],
    "modeOfDelivery": ["situated"],
    "maxNumberStudents": 30,
    "startDate": "2026-09-08",
    "course": COURSE["courseId"],
}


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[Campus]:
    path = tmp_path / "campus.db"
    seed_campus(path, seeds.site(7, ALLIANCE.members["10611"]), list(ALLIANCE.members), 7, 30)
    found = Campus(path)
    yield found
    found.close()


def talk(campus: Campus, conversation: Talk) -> None:
    """Hold a conversation with the campus over its interface, without a network."""

    async def held() -> None:
        transport = httpx.ASGITransport(campus_app(campus))
        async with httpx.AsyncClient(transport=transport, base_url="http://campus") as client:
            await conversation(client)

    asyncio.run(held())


def test_changes_come_in_pages_that_join_without_gap_or_repeat(campus: Campus) -> None:
    """The connector asks after the last number it stored, until hasMore is false."""

    async def conversation(client: httpx.AsyncClient) -> None:
        await client.post("/sim/phase", json={"phase": "offerings"})
        whole = (await client.get("/changes", params={"after": 0, "limit": 500})).json()
        after, joined, more = 0, [], True
        while more:
            page = (await client.get("/changes", params={"after": after, "limit": 5})).json()
            joined += page["items"]
            after, more = joined[-1]["changeNumber"], page["hasMore"]
        assert joined == whole["items"]
        assert len(joined) >= 12
        assert not (await client.get("/changes", params={"after": after})).json()["items"]
        assert (await client.get("/changes?after=x")).status_code == 400

    talk(campus, conversation)


def test_collections_are_paged_as_the_open_education_api_says(campus: Campus) -> None:
    """pageSize, pageNumber, hasNextPage, items."""

    async def conversation(client: httpx.AsyncClient) -> None:
        page = (await client.get("/students?pageSize=20&pageNumber=2")).json()
        assert (page["pageSize"], page["pageNumber"]) == (20, 2)
        assert (page["hasPreviousPage"], page["hasNextPage"], len(page["items"])) == (
            True,
            False,
            10,
        )
        offerings = (await client.get("/offerings?pageSize=500")).json()["items"]
        first = offerings[0]
        assert (await client.get(f"/offerings/{first['offeringId']}")).json() == first
        assert (await client.get(f"/courses/{first['course']}")).json()["courseId"] == first[
            "course"
        ]
        assert (await client.get("/courses/none")).status_code == 404
        assert (await client.get("/courses?pageSize=many")).status_code == 400

    talk(campus, conversation)


def test_objects_of_the_open_education_api_are_taken_unchanged_and_published(
    campus: Campus,
) -> None:
    """What another system exports can be put in as it is; putting it again publishes nothing."""

    async def conversation(client: httpx.AsyncClient) -> None:
        early = await client.put(f"/offerings/{OFFERING['offeringId']}", json=OFFERING)
        assert early.status_code == 422
        assert "PUT /courses/" in early.json()["detail"]
        course = f"/courses/{COURSE['courseId']}"
        assert (await client.put(course, json=COURSE)).status_code == 201
        offering = f"/offerings/{OFFERING['offeringId']}"
        assert (await client.put(offering, json=OFFERING)).status_code == 201
        assert (await client.put(offering, json=OFFERING)).status_code == 200
        items = (await client.get("/changes")).json()["items"]
        assert [item["data"] for item in items] == [OFFERING | {"course": COURSE}]
        assert (await client.get(offering)).json() == OFFERING
        heavier = COURSE | {"studyLoad": {"studyLoadUnit": "ects", "value": 9}}
        await client.put(course, json=heavier)
        items = (await client.get("/changes")).json()["items"]
        assert [item["version"] for item in items] == [1, 2]
        assert (await client.put(course, json=COURSE | {"courseId": "other"})).status_code == 400
        assert (await client.put(course, json={"courseId": COURSE["courseId"]})).status_code == 422

    talk(campus, conversation)


def _profile_outcome(event_id: str) -> dict[str, Any]:
    return {
        "items": [
            {
                "kind": "outcome",
                "eventId": event_id,
                "event": "member.profile-changed",
                "outcome": "applied",
                "ledgerSeq": 1,
            }
        ]
    }


def test_a_lost_answer_does_not_undo_the_work(campus: Campus) -> None:
    """`half_json`: the batch was taken, the answer broke; the repeat says `duplicate`."""

    async def conversation(client: httpx.AsyncClient) -> None:
        await client.post("/sim/phase", json={"phase": "profiles"})
        event_id = (await client.get("/changes")).json()["items"][0]["eventId"]
        await client.put("/sim/fault", json={"mode": "half_json", "requests": 1, "path": "/inbox"})
        assert (await client.get("/changes")).json()["items"]
        broken = await client.post("/inbox", json=_profile_outcome(event_id))
        with pytest.raises(json.JSONDecodeError):
            broken.json()
        again = (await client.post("/inbox", json=_profile_outcome(event_id))).json()
        assert [result["status"] for result in again["results"]] == ["duplicate"]
        assert (await client.get("/holdings")).json()["sent"][0]["outcome"] == "applied"

    talk(campus, conversation)


@pytest.mark.parametrize(("mode", "status"), [("500", 500), ("html", 200)])
def test_an_error_page_means_that_nothing_was_done(campus: Campus, mode: str, status: int) -> None:
    """Gateways answer with 500, or with a friendly page and status 200."""

    async def conversation(client: httpx.AsyncClient) -> None:
        await client.post("/sim/phase", json={"phase": "profiles"})
        event_id = (await client.get("/changes")).json()["items"][0]["eventId"]
        await client.put("/sim/fault", json={"mode": mode, "requests": 1})
        answer = await client.post("/inbox", json=_profile_outcome(event_id))
        assert answer.status_code == status
        assert "results" not in answer.text
        assert (await client.get("/sim/status")).json()["open"] == 1
        assert (await client.post("/inbox", json=_profile_outcome(event_id))).status_code == 200

    talk(campus, conversation)


def test_a_fault_can_hang_and_be_called_off(
    campus: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`timeout` answers after any connector has given up."""
    monkeypatch.setattr(server, "HANG_S", 0.05)

    async def conversation(client: httpx.AsyncClient) -> None:
        await client.put("/sim/fault", json={"mode": "timeout", "requests": 2})
        began = asyncio.get_running_loop().time()
        await client.get("/changes")
        assert asyncio.get_running_loop().time() - began >= 0.05
        assert (await client.put("/sim/fault", json={"mode": "ok"})).json()["requests"] == 0
        assert (await client.put("/sim/fault", json={"mode": "fire"})).status_code == 400

    talk(campus, conversation)


def test_a_body_that_is_no_batch_is_refused_whole(campus: Campus) -> None:
    """The message says what was wanted."""

    async def conversation(client: httpx.AsyncClient) -> None:
        for body in (b"", b"[]", b'{"items": 3}', b'{"items": [1]}', b"{"):
            answer = await client.post("/inbox", content=body)
            assert answer.status_code == 400
            assert "eventId" in answer.json()["detail"]
        assert (await client.post("/sim/phase", json={"phase": "nap"})).status_code == 404
        assert (await client.get("/health")).json() == {"status": "ok"}

    talk(campus, conversation)
