"""The Open Education API as a sink: enrollments and results as associations, each fact once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.ooapi.associations import association_id
from connectors.ooapi.kind import SINK
from connectors.sdk.contract import (
    Applied,
    ConfigError,
    Context,
    Delivery,
    Duplicate,
    Rejected,
    Stale,
    Verdict,
)
from connectors.sdk.testing import US, FakeClock, case_flag, their_request
from schemas.catalogue import catalogue, example
from schemas.codec import from_json


def of(record: Any) -> Delivery:
    return Delivery("event", record.EVENT, record.envelope.event_id, 1, record)


def told(event: str, version: int = 1, **changes: Any) -> Delivery:
    """The example of an event, about the enrollment of `their_request(1)`."""
    data = example(catalogue().newest[event])
    data["envelope"] |= {"subject": "enrollment-1", "aggregate_version": version}
    return of(from_json(event, data | {"enrollment_id": "enrollment-1"} | changes))


class Campus:
    """Associations in memory. It may give ids of its own."""

    def __init__(self, version: str = "5", **options: Any) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.own_ids = False
        self.written: list[tuple[str, str, dict[str, Any]]] = []
        self.options = SINK.options.model_validate(
            {"base_url": "http://campus.example", "version": version} | options
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        id = request.url.path.rpartition("/")[2]
        if request.method == "GET":
            held = self.held.get(id)
            return httpx.Response(200, json=held) if held else httpx.Response(404, json={})
        body = json.loads(request.content)
        id = body["associationId"] if request.method == "POST" else id
        id = "own" if self.own_ids else id
        self.held[id] = self.held.get(id, {}) | body
        self.written.append((request.method, request.url.path, body))
        return httpx.Response(201, json={"associationId": id})

    def take(self, *deliveries: Delivery) -> list[Verdict]:
        context = Context(Path(), US, "campus", FakeClock(), httpx.MockTransport(self.answer))

        async def apply() -> list[Verdict]:
            sink = SINK.open(self.options, context)
            return list(await sink.apply(deliveries))

        return asyncio.run(apply())


def test_a_request_becomes_a_pending_association():
    """The campus sees who asks for what; the state is ours to state as `remoteState`."""
    campus = Campus()
    assert campus.take(of(their_request(1))) == [Applied()]
    method, path, body = campus.written[0]
    assert (method, path) == ("POST", "/associations/external/me")
    assert (body["remoteState"], body["offering"], body["role"]) == (
        "pending",
        "course-1",
        "student",
    )
    assert body["associationId"] == association_id("enrollment-1")
    assert body["person"] == {"personId": "urn:alliance:student:10610:1"}


@pytest.mark.parametrize(
    ("version", "delivery", "state"),
    [
        ("5", told("enrollment.decided", decision="accepted"), "associated"),
        ("5", told("enrollment.decided", decision="denied"), "denied"),
        ("6", told("enrollment.decided", decision="queued"), "queued"),
        ("5", told("enrollment.status-changed", new_status="withdrawn"), "canceled"),
        ("6", told("enrollment.status-changed", new_status="cancelled"), "cancelled"),
        ("6", told("enrollment.status-changed", new_status="started"), "associated"),
    ],
)
def test_states_are_those_of_the_version(version, delivery, state):
    """Version 5 writes canceled with one l, version 6 with two; a campus refuses the other."""
    campus = Campus(version)
    assert campus.take(of(their_request(1)), delivery) == [Applied(), Applied()]
    assert campus.written[1][2]["remoteState"] == state


@pytest.mark.parametrize(("version", "day"), [("5", "resultDate"), ("6", "resultDateTime")])
def test_a_result_is_patched_into_the_association(version, day):
    """The home university's system shows the grade where it shows the enrollment."""
    campus = Campus(version)
    campus.take(of(their_request(1)))
    assert campus.take(told("credit.awarded")) == [Applied()]
    result = campus.written[1][2]["result"]
    assert (result["state"], result["pass"], result["score"]) == ("completed", "passed", "86")
    assert result[day].startswith("2027-01-15")
    assert result["studyLoad"]["value"] == 3.0


def test_what_is_brought_again_writes_nothing():
    """After a lost answer nobody knows whether it was done; the association says so itself."""
    campus = Campus()
    request = of(their_request(1))
    assert campus.take(request, request) == [Applied(), Duplicate()]
    assert len(campus.written) == 1


def test_an_older_version_of_a_member_changes_nothing():
    """A redelivery of old days must not set an enrollment back."""
    campus = Campus()
    newer = told("enrollment.status-changed", version=3, new_status="cancelled")
    older = told("enrollment.decided", version=2)
    assert campus.take(of(their_request(1)), newer, older) == [Applied(), Applied(), Stale()]


def test_members_count_their_versions_apart():
    """The request of home has version 1, the decision of the host as well; one does not make the other old."""
    campus = Campus()
    assert campus.take(of(their_request(1, version=4)), told("enrollment.decided")) == [
        Applied(),
        Applied(),
    ]


def test_a_decision_about_an_enrollment_the_campus_does_not_have_is_parked():
    """Making one up would lack the student."""
    (verdict,) = Campus().take(told("enrollment.decided"))
    assert isinstance(verdict, Rejected)
    assert verdict.code == "OOAPI_NO_ASSOCIATION"


def test_an_id_of_the_campus_s_own_stops_the_sink():
    """Under an id that we cannot compute the association would never be found again."""
    campus = Campus()
    campus.own_ids = True
    with pytest.raises(ConfigError, match="an id of its own"):
        campus.take(of(their_request(1)))


def test_an_id_of_the_campus_s_own_is_not_asked_for_again_and_again():
    """The runtime tries again every two minutes; each try would leave an association behind at the campus."""
    campus = Campus()
    campus.own_ids = True
    context = Context(Path(), US, "campus", FakeClock(), httpx.MockTransport(campus.answer))

    async def tries() -> None:
        sink = SINK.open(campus.options, context)
        for _ in range(3):
            with pytest.raises(ConfigError):
                await sink.apply([of(their_request(1))])

    asyncio.run(tries())
    assert len(campus.written) == 1


def test_a_flag_has_no_place_and_says_what_to_write():
    """The person who sees it parked must learn which option ends it."""
    flag = Delivery("flag", "hub.case-flagged", "flag-1", 1, case_flag())
    (verdict,) = Campus().take(flag)
    assert isinstance(verdict, Rejected)
    assert "flags = false" in verdict.message
