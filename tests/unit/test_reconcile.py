"""Campuses against the ledger: every difference is found and names both sides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from hub.errors import RetryLater, SettingsError
from hub.reconcile.compare import Decided, Reconciliation, reconcile
from hub.reconcile.fetch import fetch_holdings, read_campuses
from tests.support.ledger import HOME, HOST, Ledger


@pytest.fixture
def ledger() -> Ledger:
    """A recognized award, an open case, a project, a rejection, a duplicate and something parked."""
    made = Ledger()
    made.offer(capacity=3)
    made.in_case("r1", "3", "2")
    made.applied(made.rule("r1", "4", "5"))
    made.project("p1", HOST)
    made.applied(made.person("joined"))
    made.offer(capacity=0)
    made.again(made.entries[0].entry)
    made.request("e9", "physics")
    return made


def decided(ledger: Ledger) -> Decided:
    found = Decided()
    for written in ledger.entries:
        found.see(written.entry)
    return found


def holdings(ledger: Ledger, member: str) -> dict[str, Any]:
    """What a campus holds that did everything right."""
    outcomes = decided(ledger).outcome
    things = ledger.state.things
    seats = {"calculus": ledger.seats()[1]}
    mine = [p for p in things["project"].values() if member in p.members]
    return {
        "member": member,
        "sent": [
            {"eventId": event, "event": "", "subject": "", "outcome": outcome, "ledgerSeq": 1}
            for event, (owner, outcome) in outcomes.items()
            if owner == member
        ],
        "applied": 0,
        "appliedTwice": 0,
        "enrollments": [
            {"enrollmentId": e.enrollment_id, "state": e.state, "offeringId": e.offering_id}
            for e in things["enrollment"].values()
            if member in (e.home, e.host)
        ],
        "offerings": [
            {"offeringId": o.offering_id, "capacity": o.capacity, "seatsTaken": seats[o.offering_id]}
            for o in things["offering"].values()
            if o.host == member
        ],
        "awards": [
            {"awardId": a.award_id, "state": a.state, "creditMilli": a.milli, "scheme": a.scheme}
            for a in things["award"].values()
            if member in (a.home, a.host)
        ],
        "recognitions": [
            {"recognitionId": c.recognition_id, "state": c.state, "recognizedMilli": c.recognized_milli}
            for c in things["recognition"].values()
            if c.home == member
        ],
        "projects": [
            {"projectId": p.project_id, "status": p.state, "lead": p.lead} for p in mine
        ],
        "projectMembers": [
            {"projectId": p.project_id, "personId": p.person_id, "state": p.state, "employer": p.employer}
            for p in things["participant"].values()
            if p.project_id in {project.project_id for project in mine}
        ],
    }  # fmt: skip


def compared(ledger: Ledger, *held: dict[str, Any]) -> Reconciliation:
    return reconcile(held, ledger.state, decided(ledger))


def test_campuses_that_hold_what_the_ledger_holds_are_clean(ledger: Ledger) -> None:
    """Including what was refused, what came twice and what still waits."""
    result = compared(ledger, holdings(ledger, HOME), holdings(ledger, HOST))
    assert result.is_clean, result
    assert result.campuses == 2
    assert result.events == len(decided(ledger).outcome)


def test_an_event_without_outcome_is_lost(ledger: Ledger) -> None:
    """It was sent and never came back; its id is named, and it is counted once."""
    held = holdings(ledger, HOME)
    held["sent"].append({"eventId": "gone", "outcome": None})
    held["sent"][0]["outcome"] = None
    result = compared(ledger, held)
    assert set(result.lost) == {"gone", held["sent"][0]["eventId"]}
    assert result.differences == ()
    assert not result.is_clean


def test_a_refused_event_is_not_expected_in_the_ledger(ledger: Ledger) -> None:
    """Admission turned it away; the campus knows, the ledger never heard of it."""
    held = holdings(ledger, HOME)
    held["sent"].append({"eventId": "turned-away", "outcome": "refused"})
    assert compared(ledger, held).is_clean


def test_an_effect_that_happened_twice_is_found_on_either_side(ledger: Ledger) -> None:
    """At the campus by its own journal, in the ledger by counting."""
    held = holdings(ledger, HOME)
    held["appliedTwice"] = 2
    assert compared(ledger, held).doubled == ("10610: 2 effects at the campus",)
    seen = decided(ledger)
    seen.see(ledger.entries[0].entry)
    assert seen.doubled() == [ledger.entries[0].entry.event_id]
    assert not reconcile([], ledger.state, seen).is_clean


def _change(part: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda held: held[part][0].update(fields)


def _drop(part: str) -> Callable[[dict[str, Any]], None]:
    return lambda held: held[part].pop(0) and None


@pytest.mark.parametrize(
    ("member", "edit", "said"),
    [
        (HOME, _change("sent", outcome="applied", eventId="never-sent"), "event"),
        (HOME, _change("sent", outcome="conflict"), "event"),
        (HOME, _drop("sent"), "event"),
        (HOME, _change("enrollments", state="withdrawn"), "enrollment e-w1"),
        (HOST, _change("enrollments", offeringId="chemistry"), "enrollment e-w1"),
        (HOST, _drop("enrollments"), "enrollment e-w1: campus says nothing"),
        (HOST, _change("offerings", seatsTaken=1), "1 of 3 seats, ledger says 2 of 3"),
        (HOST, _change("offerings", capacity=4), "offering calculus"),
        (HOST, _drop("offerings"), "offering calculus"),
        (HOME, _change("awards", creditMilli=2999), "award w1"),
        (HOME, _change("awards", state="revoked"), "award w1"),
        (HOST, _change("awards", scheme="ects"), "award w1"),
        (HOME, _change("recognitions", recognizedMilli=5000), "recognition r1"),
        (HOME, _change("recognitions", state="negative"), "recognition r1"),
        (HOST, _change("projects", status="funded"), "project p1"),
        (HOST, _change("projects", lead=HOST), "led by 10611"),
        (HOME, _change("projectMembers", state="left"), "project member p1/person-1"),
        (HOME, _change("projectMembers", employer=HOME), "project member p1/person-1"),
    ],
)  # fmt: skip
def test_each_difference_is_found_and_names_campus_thing_and_both_sides(
    ledger: Ledger, member: str, edit: Callable[[dict[str, Any]], None], said: str
) -> None:
    """A check that never finds anything proves nothing: one edit for each thing compared."""
    held = holdings(ledger, member)
    edit(held)
    result = compared(ledger, held)
    assert result.differences
    text = str(result.differences[0])
    for part in (member, said, "campus says", "ledger says"):
        assert part in " | ".join(map(str, result.differences)), text


def test_a_case_before_its_last_stage_is_requested_for_the_campus() -> None:
    """Campuses do not keep the faculty's stage."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.rule("r1", "3", stage="faculty")
    ledger.project("p1", HOST)
    ledger.person("joined")
    held = holdings(ledger, HOME)
    held["recognitions"][0]["state"] = "requested"
    assert compared(ledger, held).is_clean


def test_campuses_are_read_from_a_file_of_urls_or_ports(tmp_path: Path) -> None:
    """The sandbox writes ports, an operator writes URLs."""
    path = tmp_path / "campuses.toml"
    path.write_text(
        '[[campus]]\ncode = "10610"\nurl = "http://a.example/x/"\n[[campus]]\ncode = "10611"\nport = 18701\n'
    )
    assert read_campuses(path) == {
        "10610": "http://a.example/x/",
        "10611": "http://127.0.0.1:18701",
    }


@pytest.mark.parametrize("text", [None, "campus = [", "[[campus]]\ncode = '10610'\n", "[other]\n"])
def test_a_file_that_names_no_campuses_says_what_it_should_hold(
    tmp_path: Path, text: str | None
) -> None:
    """The file and the wanted form are in the message."""
    path = tmp_path / "campuses.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(
        SettingsError, match=r"campuses\.toml.*\[\[campus\]\] tables of code and url"
    ):
        read_campuses(path)


@pytest.fixture
def campus(request: pytest.FixtureRequest) -> Any:
    """A campus that answers what the test wants."""
    status, body = request.param

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            self.send_response(status if self.path == "/holdings" else 404)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("campus", [(200, json.dumps({"member": "10610"}).encode())], indirect=True)
def test_holdings_are_asked_for_over_http(campus: str) -> None:
    """A slash too many in the configuration does no harm."""
    assert asyncio.run(fetch_holdings({"10610": campus})) == [{"member": "10610"}]


@pytest.mark.parametrize(
    "campus", [(500, b"{}"), (200, b"<html>"), (200, b'{"member": ')], indirect=True
)
def test_a_campus_that_does_not_answer_properly_is_named(campus: str) -> None:
    """Half an answer must not pass for agreement."""
    with pytest.raises(RetryLater, match="campus 10610 at http"):
        asyncio.run(fetch_holdings({"10610": campus}))


def test_a_campus_that_does_not_answer_at_all_is_named() -> None:
    """Nobody listens on port 1."""
    with pytest.raises(RetryLater, match="is it running"):
        asyncio.run(fetch_holdings({"10610": "http://127.0.0.1:1"}))
