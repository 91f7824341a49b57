"""Laboratories of the simulated campuses: resources opened, time booked on others', use recorded, over the real rules."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.campus import Campus
from connectors.sandbox.offices import labs
from connectors.sandbox.report import applied_twice
from hub.domain.lab import ACCESS, RESOURCE, USAGE, most_at_once
from hub.domain.life import Living
from hub.domain.quantities import MINUTE
from hub.domain.times import DAY_MS
from hub.flow.personal import suspected
from hub.ledger.posting import charged_account, owed_account, usage_account
from schemas.codec import decode
from tests.support.campuses import Campuses, facts

PHASES = (
    "agreements", "resources", "offerings", "requests", "decisions", "start", "projects", "placements", "access", "usage",
    "mistakes",
)  # fmt: skip
STUDENTS = 100
MACHINES = {"resource": RESOURCE, "access": ACCESS, "usage": USAGE}


def _until(folder: Path, last: str, shuffle: int = 1) -> Campuses:
    """An alliance at rest after a phase."""
    found = Campuses(folder, students=STUDENTS, shuffle=shuffle)
    for phase in PHASES[: PHASES.index(last) + 1]:
        found.run(phase)
    return found


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campuses]:
    """The part of a term that deals with laboratories."""
    found = _until(tmp_path_factory.mktemp("labs"), "mistakes")
    yield found
    found.close()


def _things(alliance: Campuses, kind: str) -> dict[str, Any]:
    return dict(alliance.state.things.get(kind, {}))


def _said(alliance: Campuses, event: str) -> list[Any]:
    """Applied events of a type, in the ledger's order."""
    return [
        decode(entry.event)
        for entry in alliance.sent()
        if (entry.event_type, entry.outcome) == (event, "applied")
    ]


def _differences(alliance: Campuses) -> list[str]:
    """Where a campus knows something else of a resource, a request or a use than the ledger."""
    found = []
    for code, holdings in alliance.holdings().items():
        for kind in MACHINES:
            held = {
                (case["id"], case["summary"]) for case in holdings["cases"] if case["kind"] == kind
            }
            things: list[Living] = list(_things(alliance, kind).values())
            known = {(thing.id, thing.summary()) for thing in things if code in thing.concerned()}
            found += [f"{code} {kind} {row}" for row in sorted(held ^ known)]
    return found


def _state(campus: Campus, request_id: str) -> str | None:
    row = campus.store.one("SELECT state FROM lab_request WHERE request_id = ?", request_id)
    return row["state"] if row else None


def test_owner_and_home_hold_what_the_ledger_holds(alliance: Campuses) -> None:
    """Refused approvals, bookings that took another's place and requests that ran out of time included."""
    assert _differences(alliance) == []
    assert alliance.rejected == []


def test_no_event_has_its_effect_twice_although_batches_come_twice(alliance: Campuses) -> None:
    """One approval may end another booking: two rows, each changed once."""
    assert alliance.answers["duplicate"] > 50
    assert [applied_twice(campus.desk) for campus in alliance.open.values()] == [0] * 20


def test_every_state_and_every_decision_occurs(alliance: Campuses) -> None:
    """What never happens here is tried first by a real university."""
    for kind, machine in MACHINES.items():
        table = {"resource": "lab_resource", "access": "lab_request", "usage": "lab_usage"}[kind]
        seen = {
            row[0].partition(" ")[0]
            for campus in alliance.open.values()
            for row in campus.store.all("SELECT said FROM journal WHERE thing = ?", table)
        }
        assert seen == set(machine.states)
    decisions = {said.decision for said in _said(alliance, "lab.access-decided")}
    assert decisions == {
        "approved", "denied", "waitlisted", "cancelled", "cancelled_by_owner", "no_show",
    }  # fmt: skip
    assert {resource.state for resource in _things(alliance, "resource").values()} == {
        "registered",
        "operational",
        "outage",
        "retired",
    }


def test_refusals_are_those_of_a_careless_owner_and_of_mistakes(alliance: Campuses) -> None:
    """Anything else that is refused would be a fault of the office, and every mistake must be refused."""
    refused = {
        (event, reason)
        for event, outcome, reason in alliance.by_type()
        if outcome == "rejected" and event.startswith("lab.")
    }
    assert refused == {
        ("lab.access-decided", "SLOT_CONFLICT"),
        ("lab.access-decided", "STALE_VERSION"),
        ("lab.access-requested", "QUOTA_EXCEEDED"),
        ("lab.usage-recorded", "NOT_WRITER"),
    }
    labs_made = 0
    for campus in alliance.open.values():
        made = campus.store.count("SELECT changes FROM phase WHERE name = 'mistakes'")
        rows = campus.store.all("SELECT * FROM change ORDER BY number DESC LIMIT ?", made)
        mine = [row for row in rows if row["resource"] in labs.RESOURCES]
        assert {row["outcome"] for row in mine} <= {"rejected"}
        labs_made += len(mine)
    assert labs_made > 20


def test_a_time_promised_twice_is_refused_and_then_denied(alliance: Campuses) -> None:
    """The ledger keeps the calendar; the owner takes back its word."""
    denied = 0
    for code, campus in alliance.open.items():
        for row in campus.store.all(
            "SELECT r.request_id FROM change c JOIN lab_request r ON r.request_id = c.subject "
            "WHERE c.resource = 'access-decision' AND c.reason = 'SLOT_CONFLICT' AND r.owner = ? AND r.state != 'waitlisted'",
            code,
        ):
            assert _state(campus, row["request_id"]) == "denied"
            denied += 1
    assert denied >= 2


def test_no_resource_is_ever_fuller_than_it_has_room(alliance: Campuses) -> None:
    """People asked for the same hours on purpose; several got them, one after the other."""
    resources = _things(alliance, "resource")
    asked, given = defaultdict(list), defaultdict(list)
    for request in _things(alliance, "access").values():
        asked[request.resource_id].append(request.span)
        if request.state in ("approved", "used"):
            given[request.resource_id].append(request.span)
    assert all(most_at_once(given[id]) <= resources[id].capacity for id in given)
    contested = [id for id in asked if most_at_once(asked[id]) > resources[id].capacity]
    assert len(contested) >= 5


def test_resources_are_described_and_of_every_kind(alliance: Campuses) -> None:
    """Instruments in the words of PIDINST; what is no instrument has none of them."""
    said = _said(alliance, "lab.resource-changed")
    owners = Counter(
        owner for owner, _ in {(resource.owner, resource.resource_id) for resource in said}
    )
    assert set(owners) == set(alliance.codes)
    assert set(owners.values()) <= {2, 3, 4}
    kinds = {resource.kind for resource in said}
    assert kinds == {
        "instrument", "laboratory", "joint_lab", "platform", "library", "sports", "campus",
    }  # fmt: skip
    for resource in said:
        assert (resource.instrument is not None) == (resource.kind == "instrument")
        assert bool(resource.joint_members) == (resource.kind == "joint_lab")
        if resource.instrument is not None:
            assert resource.instrument.pid
            assert resource.instrument.measured_variables
    assert {resource.grade for resource in said} == {"national_key", "provincial_key", "other"}
    assert any(resource.outages for resource in said)


def test_people_ask_within_projects_enrollments_and_placements_and_without(
    alliance: Campuses,
) -> None:
    """Each rests on a thing of another office, and none of them was refused for it."""
    asked = _said(alliance, "lab.access-requested")
    causes = Counter(
        next(
            (
                name
                for name in ("project_id", "enrollment_id", "placement_id")
                if getattr(request, name)
            ),
            "none",
        )
        for request in asked
    )
    assert set(causes) == {"project_id", "enrollment_id", "placement_id", "none"}
    for request in asked:
        kind = "student" if request.enrollment_id or request.placement_id else "staff"
        assert request.requester_id.startswith(f"urn:alliance:{kind}:{request.home}:")


def test_an_urgent_request_runs_out_of_time_unanswered(alliance: Campuses) -> None:
    """Only the ledger's clock can close it; both sides hear of it by the flag."""
    expired = {id: r for id, r in _things(alliance, "access").items() if r.state == "expired"}
    assert len(expired) == 20
    assert not expired.keys() & {said.request_id for said in _said(alliance, "lab.access-decided")}
    for id, request in expired.items():
        for code in (request.home, request.owner):
            assert _state(alliance.open[code], id) == "expired"


def test_a_request_that_waits_for_the_clock_is_work_at_both_sides(tmp_path: Path) -> None:
    """The driver must not begin the next phase before the flag has come."""
    alliance = _until(tmp_path, "placements")
    for campus in alliance.open.values():
        campus.phase("access")
    ticked: list[timedelta] = []
    alliance.tick = ticked.append  # type: ignore[method-assign]
    while alliance.fetch() + alliance.deliver():
        pass
    work = [labs.work(campus.desk) for campus in alliance.open.values()]
    assert sum(work) == 40
    assert all(work)
    del alliance.tick
    alliance.settle()
    assert ticked
    assert [labs.work(campus.desk) for campus in alliance.open.values()] == [0] * 20
    alliance.close()


def test_an_urgent_request_that_comes_too_late_is_refused_and_nobody_waits(tmp_path: Path) -> None:
    """A slow connector: the ledger's clock is past the time when an answer was of use."""
    alliance = _until(tmp_path, "placements")
    for campus in alliance.open.values():
        campus.phase("access")
    alliance.tick(timedelta(hours=1))
    alliance.settle()
    assert alliance.by_type()["lab.access-requested", "rejected", "DEADLINE_PASSED"] == 20
    assert _differences(alliance) == []
    alliance.close()


def test_a_booking_that_is_moved_gives_up_its_old_time(alliance: Campuses) -> None:
    """One event, two requests: the new one is approved, the old one is over, at both sides."""
    access = _things(alliance, "access")
    moved = [request for request in access.values() if request.replaces]
    assert len(moved) >= 3
    for request in moved:
        assert request.state in ("approved", "used", "no_show", "cancelled")
        for code in (request.home, request.owner):
            assert _state(alliance.open[code], request.replaces) == "cancelled"


def test_an_owner_cancels_what_falls_into_an_outage(alliance: Campuses) -> None:
    """Nobody travels to an instrument that is broken."""
    outages = {
        resource_id: resource.outages
        for resource_id, resource in _things(alliance, "resource").items()
    }
    access = _things(alliance, "access")
    cancelled = [
        access[said.request_id]
        for said in _said(alliance, "lab.access-decided")
        if said.decision == "cancelled_by_owner"
    ]
    assert cancelled
    for request in cancelled:
        assert any(outage.overlaps(request.span) for outage in outages[request.resource_id])


def test_the_books_show_the_minutes_and_charges_that_the_campuses_show(alliance: Campuses) -> None:
    """Longer than booked, shorter, corrected, waived: what stands in the end is what was used."""
    minutes: Counter[tuple[str, str]] = Counter()
    charges: Counter[tuple[str, str]] = Counter()
    for code, campus in alliance.open.items():
        for row in campus.store.all(
            "SELECT * FROM lab_usage WHERE owner = ? AND state IN ('recorded', 'validated')", code
        ):
            body = json.loads(row["body"])
            minutes[row["home"], code] += row["minutes"]
            if body["charge"] and not body["waived"]:
                charges[row["home"], code] += round(body["charge"]["amount"] * 1000)
    book = alliance.state.book
    assert minutes == {
        (home, owner): book.balance(usage_account(home, owner), MINUTE).net
        for home, owner in minutes
    }
    assert +charges == {
        (home, owner): book.balance(owed_account(home, owner), "cny").net
        for home, owner in +charges
    }
    assert all(
        book.balance(charged_account(owner, home), "cny").net == -charge
        for (home, owner), charge in charges.items()
    )


def test_use_is_longer_or_shorter_for_training_free_mended_and_made_final(
    alliance: Campuses,
) -> None:
    """Each way in which a record of use differs from the plain one."""
    access = _things(alliance, "access")
    said = _said(alliance, "lab.usage-recorded")
    recorded = {record.usage_id: record for record in reversed(said)}  # the first of each
    booked = [
        (record, access[record.request_id].span)
        for record in recorded.values()
        if record.request_id and not record.supersedes_usage_id
    ]
    lengths = {
        (record.end - record.start).total_seconds() - (span.end_ms - span.start_ms) / 1000
        for record, span in booked
    }
    assert min(lengths) < 0 < max(lengths)
    for found in (
        [record for record in recorded.values() if record.training],
        [record for record in recorded.values() if record.waived and record.waive_reason],
        [record for record in recorded.values() if record.charge is None],
        [record for record in recorded.values() if record.request_id is None],
        [record for record in recorded.values() if record.supersedes_usage_id],
        [record for record in recorded.values() if record.validated],  # checked at once
    ):
        assert found
    final = [usage for usage in _things(alliance, "usage").values() if usage.state == "validated"]
    assert len(final) * 2 > len(recorded)


def test_a_request_after_the_lots_were_drawn_is_answered_at_once(tmp_path: Path) -> None:
    """There is nothing left to wait for: what is free is given, the rest denied."""
    alliance = _until(tmp_path, "usage")
    campus = alliance.open["10610"]
    access = _things(alliance, "access")
    full = next(
        request
        for request in access.values()
        if request.home != "10610" and request.state == "used" and _lot(campus, request.resource_id)
    )
    free = tuple(at + 2 * DAY_MS for at in full.span)
    with campus.store.transaction():
        resource = labs._resource(campus.desk, full.resource_id)
        cause = labs._Cause(labs._person(campus.desk, "late"), frozenset())
        for what, span in (("late", tuple(full.span)), ("later", free)):
            labs._request(campus.desk, labs._wanted(campus.desk, resource, cause, span, what))
    later, late = (
        row["subject"]
        for row in campus.store.all("SELECT subject FROM change ORDER BY number DESC LIMIT 2")
    )
    alliance.settle()
    owner = alliance.open[full.owner]
    assert _state(owner, late) == "denied"
    assert _state(owner, later) in ("used", "no_show", "approved")
    assert _differences(alliance) == []
    alliance.close()


def _lot(campus: Campus, resource_id: str) -> bool:
    row = campus.store.one(
        "SELECT * FROM lab_resource WHERE resource_id = ? AND owner != ?", resource_id, campus.code
    )
    return (
        row is not None
        and row["capacity"] == 1
        and row["state"] == "operational"
        and labs._by_lot(campus.desk, row)
    )


def test_another_order_of_delivery_ends_alike(alliance: Campuses, tmp_path: Path) -> None:
    """Who gets a time hangs on the seed and not on whose message came first."""
    again = _until(tmp_path, "mistakes", shuffle=99)
    ended = {code: facts(holdings) for code, holdings in again.holdings().items()}
    again.close()
    assert ended == {code: facts(holdings) for code, holdings in alliance.holdings().items()}


def test_campuses_killed_between_batches_still_agree_with_the_ledger(tmp_path: Path) -> None:
    """Whatever was committed is there after a restart; what was not comes again."""
    alliance = Campuses(tmp_path, students=60, shuffle=3)
    for phase in PHASES:
        for campus in alliance.open.values():
            campus.phase(phase)
        while alliance.fetch() + alliance.deliver():
            alliance.reopen(alliance.random.choice(alliance.codes))
    found = _differences(alliance)
    twice = sum(applied_twice(campus.desk) for campus in alliance.open.values())
    alliance.close()
    assert found == []
    assert twice == 0


def test_nothing_in_the_events_looks_like_personal_data(alliance: Campuses) -> None:
    """Rooms, identifiers and purposes name nobody."""
    told = [entry for entry in alliance.sent() if entry.event_type in labs.RESOURCES.values()]
    assert [found for entry in told if (found := suspected(decode(entry.event), entry.event))] == []


def test_a_message_that_does_not_fit_is_put_aside(alliance: Campuses) -> None:
    """A decision without its request, a step that is not possible: an earlier message is missing."""
    campus = alliance.open["10610"]
    row = campus.store.one("SELECT * FROM lab_request WHERE state = 'used' AND home = ?", "10610")
    assert row is not None
    said = {
        "request_id": row["request_id"],
        "decision": "no_show",
        "start": None,
        "end": None,
        "envelope": {"aggregate_version": 9},
    }
    item = {
        "kind": "event",
        "event": "lab.access-decided",
        "eventId": "e-1",
        "ledgerSeq": 1,
        "record": said,
    }
    (answer,) = campus.inbox([item])
    assert answer.status == "rejected"
    assert "is used here, the ledger applied no_show" in answer.message
    (answer,) = campus.inbox(
        [item | {"eventId": "e-2", "record": said | {"request_id": "unknown"}}]
    )
    assert "its lab.access-requested should have come before" in answer.message
    assert _differences(alliance) == []
