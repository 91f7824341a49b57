"""Teachers, their hours and secondments: a term of twenty campuses over the real ledger rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.sandbox.offices import personnel
from connectors.sandbox.offices.directory import PHASES
from connectors.sandbox.report import applied_twice
from hub.domain.teaching import APPOINTMENT, DELIVERY, SECONDMENT
from schemas.codec import decode
from tests.support.campuses import Campuses

KINDS = ("appointment", "delivery", "secondment")
NEEDED = ("profiles", "agreements", "offerings", *personnel.PHASES)


def term(folder: Path, **how: int) -> Campuses:
    """A term of the phases that personnel needs, at an end."""
    found = Campuses(folder, students=60, **how)
    for phase in PHASES:
        if phase in NEEDED:
            found.run(phase)
    return found


def cases(alliance: Campuses) -> dict[str, set[tuple[str, str, str]]]:
    """What the campuses hold of our kinds: kind, id and summary."""
    return {
        code: {
            (case["kind"], case["id"], case["summary"])
            for case in holdings["cases"]
            if case["kind"] in KINDS
        }
        for code, holdings in alliance.holdings().items()
    }


def booked(alliance: Campuses) -> dict[str, set[tuple[str, str, str]]]:
    """The same as the ledger holds it."""
    things = [thing for kind in KINDS for thing in alliance.state.things.get(kind, {}).values()]
    return {
        code: {
            (thing.KIND, thing.id, thing.summary()) for thing in things if code in thing.concerned()
        }
        for code in alliance.codes
    }


def steps(alliance: Campuses, event: str) -> Counter[tuple[str, str, str | None]]:
    """Steps of an event type with outcome and reason."""
    return Counter(
        (decode(entry.event).step, entry.outcome, entry.reason)
        for entry in alliance.sent()
        if entry.event_type == event
    )


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campuses]:
    """A term that has ended."""
    found = term(tmp_path_factory.mktemp("personnel"), shuffle=1)
    yield found
    found.close()


def test_campuses_and_ledger_agree_on_every_teacher(alliance: Campuses) -> None:
    """Refusals and mistakes included; nothing is put aside and nothing counts twice."""
    assert cases(alliance) == booked(alliance)
    assert alliance.rejected == []
    assert alliance.state.parked_count() == 0
    assert sum(applied_twice(campus.desk) for campus in alliance.open.values()) == 0


def test_every_state_of_the_tables_is_reached(alliance: Campuses) -> None:
    """People refuse, keep silent, think better of it and argue: each step that a person can take is taken."""
    for event, life in (
        ("teaching.appointment-changed", APPOINTMENT),
        ("teaching.delivered", DELIVERY),
        ("teaching.secondment-changed", SECONDMENT),
    ):
        taken = {step for step, outcome, _ in steps(alliance, event) if outcome == "applied"}
        assert taken == life.names
    ended = Counter(thing.state for thing in alliance.state.things["appointment"].values())
    assert set(ended) == {"proposed", "declined", "revoked", "active", "ended"}


def test_revocations_come_before_the_answer_before_the_start_and_in_the_middle(
    alliance: Campuses,
) -> None:
    """Three ways to think better of it, by both sides."""
    before: Counter[str] = Counter()
    signers = set()
    last: dict[str, str] = {}
    for entry in alliance.sent():
        if entry.event_type == "teaching.appointment-changed" and entry.outcome == "applied":
            event = decode(entry.event)
            if event.step == "revoked":
                before[last[event.appointment_id]] += 1
                signers.add("home" if entry.member == event.home else "host")
            last[event.appointment_id] = event.step
    assert set(before) == {"proposed", "approved", "started"}
    assert signers == {"home", "host"}


def test_hours_beyond_the_limit_are_refused_and_then_reported_as_far_as_it_goes(
    alliance: Campuses,
) -> None:
    """The host learns it from the ledger; the smaller report takes all that is left."""
    refused = [
        entry.subject
        for entry in alliance.sent()
        if entry.event_type == "teaching.delivered" and entry.reason == "QUOTA_EXCEEDED"
    ]
    assert refused
    again = [alliance.state.things["delivery"].get(subject) for subject in refused]
    known = [delivery for delivery in again if delivery is not None]
    assert known
    for delivery in known:
        hours = f"hours:{delivery.appointment_id}"
        left = alliance.state.book.balance(hours, "hour").available
        agreed = delivery.hours_milli if delivery.offered_milli is None else delivery.offered_milli
        assert left == delivery.hours_milli - agreed


def test_some_hours_are_disputed_twice_and_all_disputes_are_settled(alliance: Campuses) -> None:
    """Reports may lie about, disputes may not."""
    disputed = Counter(
        entry.subject
        for entry in alliance.sent()
        if entry.event_type == "teaching.delivered"
        and entry.outcome == "applied"
        and decode(entry.event).step == "disputed"
    )
    assert set(disputed.values()) == {1, 2}
    states = {alliance.state.things["delivery"][subject].state for subject in disputed}
    assert states == {"settled"}


def test_agreements_cover_some_appointments_and_secondments(alliance: Campuses) -> None:
    """Partners with an agreement come first."""
    for kind in ("appointment", "secondment"):
        under = {thing.agreement_id is not None for thing in alliance.state.things[kind].values()}
        assert under == {True, False}


def test_mistakes_are_refused_for_the_reason_meant(alliance: Campuses) -> None:
    """And change nothing: see the comparison with the ledger."""
    refused = {
        (event, step, reason)
        for event in personnel.RESOURCES.values()
        for step, outcome, reason in steps(alliance, event)
        if outcome == "rejected"
    }
    assert refused == {
        ("teaching.appointment-changed", "approved", "NOT_WRITER"),
        ("teaching.appointment-changed", "approved", "STALE_VERSION"),
        ("teaching.delivered", "reported", "QUOTA_EXCEEDED"),
        ("teaching.delivered", "confirmed", "STALE_VERSION"),
        ("teaching.secondment-changed", "ended", "CONTENT_INVALID"),
    }


def test_an_approval_refused_for_want_of_places_becomes_a_refusal(tmp_path: Path) -> None:
    """The receiver promised more than the agreement lets come; the proposer must not wait for ever."""
    alliance = Campuses(tmp_path, students=20)
    for phase in ("profiles", "agreements", "offerings"):
        alliance.run(phase)
    _use_up_places(alliance)
    for phase in ("appointments", "secondments"):
        alliance.run(phase)
    found, books = cases(alliance), booked(alliance)
    declined = {
        event: steps(alliance, event)["approved", "rejected", "QUOTA_EXCEEDED"]
        for event in ("teaching.appointment-changed", "teaching.secondment-changed")
    }
    reasons = Counter(
        decode(entry.event).reason_code
        for entry in alliance.sent()
        if entry.event_type in declined and entry.outcome == "applied"
    )
    alliance.close()
    assert found == books
    assert min(declined.values()) > 0
    assert reasons["x-no-places"] == sum(declined.values())


def _use_up_places(alliance: Campuses) -> None:
    """As if all places of all years were taken already."""
    for (account, _), balance in alliance.state.book.balances.items():
        if account.startswith("quota:"):
            balance.posted_in = balance.posted_out + balance.pending_out


def test_a_rerun_ends_alike_whatever_the_order_of_delivery(
    alliance: Campuses, tmp_path: Path
) -> None:
    """Other batches, other interleaving, other repeats: the same decisions."""
    again = term(tmp_path, shuffle=99)
    found = cases(again)
    again.close()
    assert found == cases(alliance)


def test_campuses_killed_between_batches_agree_with_the_ledger(tmp_path: Path) -> None:
    """Whatever was committed is there after a restart; what was not comes again."""
    alliance = Campuses(tmp_path, students=20, shuffle=3)
    for phase in PHASES:
        if phase in NEEDED:
            for campus in alliance.open.values():
                campus.phase(phase)
            while alliance.fetch() + alliance.deliver():
                alliance.reopen(alliance.random.choice(alliance.codes))
    found, books = cases(alliance), booked(alliance)
    alliance.close()
    assert found == books


def test_deadlines_that_are_over_remind_people_and_change_nothing(tmp_path: Path) -> None:
    """Nothing of teachers expires by itself: what was agreed on stays until somebody ends it."""
    alliance = term(tmp_path)
    before = cases(alliance)
    alliance.tick(timedelta(days=800))
    while alliance.fetch() + alliance.deliver():
        pass
    flagged = {
        decode(entry.event).case_kind
        for entry in alliance.entries
        if entry.event_type == "hub.case-flagged" and decode(entry.event).flag == "deadline_over"
    }
    found, books = cases(alliance), booked(alliance)
    alliance.close()
    assert flagged >= set(KINDS)
    assert found == books == before


@pytest.mark.parametrize("seed", [1, 2])
def test_other_seeds_reach_the_same_states(tmp_path: Path, seed: int) -> None:
    """What happens to a member's first proposal follows from its place, not from chance."""
    alliance = term(tmp_path, seed=seed)
    found, books = cases(alliance), booked(alliance)
    taken = {
        event: {step for step, outcome, _ in steps(alliance, event) if outcome == "applied"}
        for event in personnel.RESOURCES.values()
    }
    alliance.close()
    assert found == books
    assert taken == {
        "teaching.appointment-changed": APPOINTMENT.names,
        "teaching.delivered": DELIVERY.names,
        "teaching.secondment-changed": SECONDMENT.names,
    }
