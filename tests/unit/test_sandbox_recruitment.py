"""Posts at the joint fair: a term of twenty campuses over the real ledger rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from connectors.sandbox.report import applied_twice
from hub.domain.talent import JOB_POSTING
from schemas.codec import decode
from schemas.records import TalentPostingChanged
from tests.support.campuses import Campuses

EVENT = "talent.posting-changed"
NEEDED = ("profiles", "postings", "mistakes")


def term(folder: Path, **how: int) -> Campuses:
    """A term of the phases that recruitment needs, at an end."""
    found = Campuses(folder, students=20, **how)
    for phase in NEEDED:
        found.run(phase)
    return found


def cases(alliance: Campuses) -> dict[str, set[tuple[str, str]]]:
    """What the campuses hold of posts: id and summary."""
    return {
        code: {
            (case["id"], case["summary"]) for case in holdings["cases"] if case["kind"] == "posting"
        }
        for code, holdings in alliance.holdings().items()
    }


def booked(alliance: Campuses) -> dict[str, set[tuple[str, str]]]:
    """The same as the ledger holds it."""
    things = alliance.state.things["posting"].values()
    return {
        code: {(thing.id, thing.summary()) for thing in things if code in thing.concerned()}
        for code in alliance.codes
    }


def told(alliance: Campuses, outcome: str = "applied") -> list[TalentPostingChanged]:
    """Events about posts in the ledger's order."""
    return [
        decode(entry.event)
        for entry in alliance.sent()
        if entry.event_type == EVENT and entry.outcome == outcome
    ]


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campuses]:
    """A term that has ended."""
    found = term(tmp_path_factory.mktemp("recruitment"), shuffle=1)
    yield found
    found.close()


def test_campuses_and_ledger_agree_on_every_post(alliance: Campuses) -> None:
    """Those who recruit hold it; all others have heard of it."""
    assert cases(alliance) == booked(alliance)
    assert alliance.rejected == []
    assert alliance.state.parked_count() == 0
    assert sum(applied_twice(campus.desk) for campus in alliance.open.values()) == 0
    posts = len(alliance.state.things["posting"])
    known = {
        campus.store.count("SELECT count(*) FROM posting") for campus in alliance.open.values()
    }
    assert known == {posts}


def test_every_state_of_the_table_is_reached_and_some_remain_in_each(alliance: Campuses) -> None:
    """The fair is not over: some posts are planned, open or not decided on."""
    assert {event.status for event in told(alliance)} == set(JOB_POSTING.states)
    ends = {thing.state for thing in alliance.state.things["posting"].values()}
    assert ends == set(JOB_POSTING.states)


def test_posts_are_cancelled_planned_open_or_closed(alliance: Campuses) -> None:
    """Whenever the money is gone."""
    before: dict[str, str] = {}
    cancelled = set()
    for event in told(alliance):
        if event.status == "cancelled":
            cancelled.add(before[event.posting_id])
        before[event.posting_id] = event.status
    assert cancelled == {"planned", "open", "closed"}


def test_members_recruit_alone_and_together(alliance: Campuses) -> None:
    """The recruiter writes for all of them."""
    sizes = Counter(len(thing.members) for thing in alliance.state.things["posting"].values())
    assert sizes[1] > 0
    assert max(sizes) > 1


def test_counts_of_people_grow_and_end_within_the_headcount(alliance: Campuses) -> None:
    """Nobody is named: numbers are all there is."""
    by_post: dict[str, list[tuple[int, ...]]] = {}
    for event in told(alliance):
        counts = (event.applied, event.interviewed, event.offered, event.accepted)
        by_post.setdefault(event.posting_id, []).append(counts)
        assert event.accepted <= event.headcount
        assert (event.accepted > 0) or event.status != "filled"
    for counted in by_post.values():
        assert all(
            now >= then
            for before, after in pairwise(counted)
            for then, now in zip(before, after, strict=True)
        )
    assert any(counts[-1][0] > 0 for counts in by_post.values())


def test_more_accepted_than_posts_are_refused(alliance: Campuses) -> None:
    """The only mistake of this office."""
    refused = {
        (entry.outcome, entry.reason)
        for entry in alliance.sent()
        if entry.event_type == EVENT and entry.reason
    }
    assert refused == {("rejected", "QUOTA_EXCEEDED")}
    assert all(event.accepted > event.headcount for event in told(alliance, "rejected"))


def test_a_rerun_ends_alike_whatever_the_order_of_delivery(
    alliance: Campuses, tmp_path: Path
) -> None:
    """Other batches, other interleaving, other repeats: the same posts."""
    again = term(tmp_path, shuffle=99)
    found = cases(again)
    again.close()
    assert found == cases(alliance)


def test_a_kill_between_batches_and_a_last_day_that_is_over_change_nothing(tmp_path: Path) -> None:
    """What was committed is there after a restart; an open post stays open until its recruiter closes it."""
    alliance = Campuses(tmp_path, students=20, shuffle=3)
    for phase in NEEDED:
        for campus in alliance.open.values():
            campus.phase(phase)
        while alliance.fetch() + alliance.deliver():
            alliance.reopen(alliance.random.choice(alliance.codes))
    before = cases(alliance)
    alliance.tick(timedelta(days=60))
    while alliance.fetch() + alliance.deliver():
        pass
    found, books = cases(alliance), booked(alliance)
    flags = sum(entry.event_type == "hub.case-flagged" for entry in alliance.entries)
    alliance.close()
    assert flags > 0
    assert found == books == before
