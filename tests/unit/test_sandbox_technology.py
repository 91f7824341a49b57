"""Research results on their way into use: a term of twenty campuses over the real ledger rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sandbox.offices.directory import PHASES
from connectors.sandbox.offices.shapes_common import number, parts, text, thousandths
from connectors.sandbox.report import applied_twice
from hub.domain.quantities import credits_text
from hub.domain.transfer import ACHIEVEMENT
from schemas.codec import decode
from schemas.records import TransferAchievementChanged
from tests.support.campuses import Campuses

EVENT = "transfer.achievement-changed"
NEEDED = ("profiles", "projects", "achievements", "mistakes")


def term(folder: Path, **how: int) -> Campuses:
    """A term of the phases that technology needs, at an end."""
    found = Campuses(folder, students=20, **how)
    for phase in PHASES:
        if phase in NEEDED:
            found.run(phase)
    return found


def cases(alliance: Campuses) -> dict[str, set[tuple[str, str]]]:
    """What the campuses hold of research results: id and summary."""
    return {
        code: {
            (case["id"], case["summary"])
            for case in holdings["cases"]
            if case["kind"] == "achievement"
        }
        for code, holdings in alliance.holdings().items()
    }


def booked(alliance: Campuses) -> dict[str, set[tuple[str, str]]]:
    """The same as the ledger holds it."""
    things = alliance.state.things["achievement"].values()
    return {
        code: {(thing.id, thing.summary()) for thing in things if code in thing.concerned()}
        for code in alliance.codes
    }


def told(alliance: Campuses, outcome: str = "applied") -> list[TransferAchievementChanged]:
    """Events about research results in the ledger's order."""
    return [
        decode(entry.event)
        for entry in alliance.sent()
        if entry.event_type == EVENT and entry.outcome == outcome
    ]


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campuses]:
    """A term that has ended."""
    found = term(tmp_path_factory.mktemp("technology"), shuffle=1)
    yield found
    found.close()


def test_campuses_and_ledger_agree_on_every_result(alliance: Campuses) -> None:
    """An owner that sold its share drops out at the same time; nothing is put aside and nothing counts twice."""
    assert cases(alliance) == booked(alliance)
    assert alliance.rejected == []
    assert alliance.state.parked_count() == 0
    assert sum(applied_twice(campus.desk) for campus in alliance.open.values()) == 0


def test_every_state_of_the_table_is_reached(alliance: Campuses) -> None:
    """From disclosure to income, withdrawn at three places, one contract ended."""
    events = told(alliance)
    assert {event.status for event in events} == set(ACHIEVEMENT.states)
    ends = Counter(thing.state for thing in alliance.state.things["achievement"].values())
    assert ends["terminated"] >= 1
    last: dict[str, str] = {}
    withdrawn = set()
    for event in events:
        if event.status == "withdrawn":
            withdrawn.add(last[event.achievement_id])
        last[event.achievement_id] = event.status
    assert withdrawn == {"disclosed", "published", "negotiating"}


def test_results_have_several_owners_and_some_come_from_a_joint_project(
    alliance: Campuses,
) -> None:
    """Owners are partners of the project; what they own adds up, thirds included."""
    first = [event for event in told(alliance) if event.status == "disclosed"]
    assert all(len(event.owners) > 1 for event in first)
    assert {sum(owner.share_percent for owner in event.owners) for event in first} == {100}
    joint = [event for event in first if event.project_id]
    assert 0 < len(joint) < len(first)
    projects = alliance.state.things["project"]
    for event in joint:
        assert {owner.member for owner in event.owners} <= set(projects[event.project_id].members)


def test_each_reader_group_occurs(alliance: Campuses) -> None:
    """Events for owners alone reach other members than those for all."""
    assert {event.visibility for event in told(alliance)} == {"owners", "members", "public"}


def test_income_is_distributed_twice_by_shares(alliance: Campuses) -> None:
    """Every fen is given out, and the book has what each owner got."""
    shared = [event for event in told(alliance) if event.status == "income_shared"]
    rounds = Counter(event.achievement_id for event in shared)
    assert set(rounds.values()) == {2}
    for event in shared:
        total = sum(share.amount for share in event.income_shares)
        assert total % 1000 == 0
        assert {share.member for share in event.income_shares} == {o.member for o in event.owners}
    book = alliance.state.book
    for achievement_id in rounds:
        given = sum(
            share.amount
            for event in shared
            if event.achievement_id == achievement_id
            for share in event.income_shares
        )
        balance = book.balance(f"proceeds:{achievement_id}", "cny")
        assert -balance.available == given * 1000


def test_some_owners_sell_their_share_before_the_contract(alliance: Campuses) -> None:
    """The seller hears of it, and holds no case any more."""
    owners: dict[str, set[str]] = {}
    sold = []
    for event in told(alliance):
        now = {owner.member for owner in event.owners}
        left = owners.get(event.achievement_id, now) - now
        sold += [(event.achievement_id, seller, event.status) for seller in left]
        owners[event.achievement_id] = now
    assert sold
    assert {status for _, _, status in sold} == {"negotiating"}
    held = cases(alliance)
    for achievement_id, seller, _ in sold:
        assert achievement_id not in {thing_id for thing_id, _ in held[seller]}
        row = alliance.open[seller].store.one(
            "SELECT state FROM achievement WHERE achievement_id = ?", achievement_id
        )
        assert row is not None


def test_shares_that_do_not_add_up_are_refused(alliance: Campuses) -> None:
    """The only mistake of this office; what the owner holds stays as it was."""
    refused = [entry for entry in alliance.sent() if entry.event_type == EVENT and entry.reason]
    assert {(entry.outcome, entry.reason) for entry in refused} == {("rejected", "CONTENT_INVALID")}
    assert {sum(o.share_percent for o in event.owners) for event in told(alliance, "rejected")} == {
        105
    }


def test_a_rerun_ends_alike_whatever_the_order_of_delivery(
    alliance: Campuses, tmp_path: Path
) -> None:
    """Other batches, other interleaving, other repeats: the same shares and states."""
    again = term(tmp_path, shuffle=99)
    found = cases(again)
    again.close()
    assert found == cases(alliance)


def test_campuses_killed_between_batches_agree_with_the_ledger(tmp_path: Path) -> None:
    """Whatever was committed is there after a restart; what was not comes again."""
    alliance = Campuses(tmp_path, students=20, shuffle=3)
    for phase in NEEDED:
        for campus in alliance.open.values():
            campus.phase(phase)
        while alliance.fetch() + alliance.deliver():
            alliance.reopen(alliance.random.choice(alliance.codes))
    found, books = cases(alliance), booked(alliance)
    alliance.close()
    assert found == books


@pytest.mark.parametrize("milli", [0, 500, 1000, 33_333, 60_000, 100_000, 12_345_678])
def test_thousandths_are_written_as_the_ledger_writes_them(milli: int) -> None:
    """Both sides of the comparison spell amounts alike, and nothing is lost on the way through JSON."""
    assert text(milli) == credits_text(milli)
    assert thousandths(str(number(milli))) == milli


def test_parts_lose_nothing() -> None:
    """Thirds do not divide; the first one takes what is left."""
    assert parts(100_000, [1, 1, 1]) == [33_334, 33_333, 33_333]
    assert parts(100_000, [3, 2]) == [60_000, 40_000]
