"""A source is read a second time while it goes on: nothing twice in the ledger, live first, whatever is killed."""

import asyncio
import json
from contextlib import closing

import pytest

from connectors.reference.conformance import both_ways
from connectors.reference.kind import ReferenceOptions, ReferenceSource
from connectors.sdk.cli.control import progress_line
from connectors.sdk.contract import ConfigError, SourceKind
from connectors.sdk.runtime import backfiller
from connectors.sdk.runtime.backfiller import order
from connectors.sdk.state.backfill import Backfill, reached
from connectors.sdk.state.commands import Command
from connectors.sdk.state.file import State
from connectors.sdk.testing import US, Fuse, Rig
from schemas.envelope import to_millis


@pytest.fixture
def rig(tmp_path, monkeypatch):
    monkeypatch.setattr(ReferenceSource, "PAGE", 10)
    return Rig(tmp_path, both_ways())


def ask(rig: Rig, id: str, action: str, **args) -> None:
    given = {"source": "campus", "action": action, **args}
    with closing(State(rig.config.state_path)) as state:
        state.commands.write(Command(id, "backfill", given, "li", "", to_millis(rig.clock.now())))


def answer(rig: Rig, id: str) -> Command | None:
    with closing(State(rig.config.state_path, readonly=True)) as state:
        found = state.commands.get(id)
    return found if found and found.outcome else None


def job(rig: Rig) -> Backfill | None:
    with closing(State(rig.config.state_path, readonly=True)) as state:
        return next(iter(state.backfills.newest()), None)


def done(rig: Rig):
    return lambda: (found := job(rig)) is not None and found.state == "done"


def settled(rig: Rig):
    return lambda: len(rig.hub.published) >= rig.case.to_tell() and rig.quiet()


async def alive(rig: Rig, changes: int) -> None:
    """A campus whose changes are all in the ledger."""
    rig.case.happen(changes)
    assert await rig.life(settled(rig))


def test_a_backfill_publishes_the_same_events_again_and_the_ledger_keeps_one(rig):
    """A lost hub, a moved broker: everything is told once more, and nobody is enrolled twice."""

    async def story():
        await alive(rig, 35)
        before = set(rig.case.told)
        ask(rig, "b", "start")
        assert await rig.life(lambda: done(rig)() and settled(rig)())
        found = job(rig)
        assert (found.pages, found.rows, found.until, found.cursor) == (4, 35, "35", "35")
        assert len(rig.hub.published) == 70
        assert len(rig.hub.applied) == len(set(rig.hub.applied)) == 35
        since = set(rig.case.told) - before
        assert {key.rpartition(":")[2] for key in since} == {"duplicate"}
        with closing(rig.state()) as state:
            assert state.cursor("campus") == "35"

    asyncio.run(story())


def test_a_backfill_between_two_places_reads_what_lies_between(rig):
    """One bad afternoon is told again, not three years."""

    async def story():
        await alive(rig, 35)
        ask(rig, "b", "start", **{"from": "10", "to": "20"})
        assert await rig.life(lambda: done(rig)() and settled(rig)())
        assert (job(rig).rows, len(rig.hub.published)) == (10, 45)

    asyncio.run(story())


def test_a_killed_backfill_goes_on_where_it_was(tmp_path, monkeypatch):
    """Three years take days, and machines are restarted meanwhile."""
    monkeypatch.setattr(ReferenceSource, "PAGE", 5)

    async def story(moment: int) -> bool:
        folder = tmp_path / str(moment)
        folder.mkdir()
        rig = Rig(folder, both_ways())
        await alive(rig, 12)
        ask(rig, "b", "start")
        whole = lambda: done(rig)() and settled(rig)() and len(rig.hub.published) >= 24  # noqa: E731, as short as it reads
        fuse = Fuse(burns_at=moment)
        await rig.life(whole, fuse=fuse)
        assert await rig.life(whole), f"killed at {fuse.passed[-1]}, then lost the backfill"
        assert job(rig).rows == 12
        assert len(rig.hub.applied) == len(set(rig.hub.applied)) == 12
        return fuse.burnt

    moment = 1
    while asyncio.run(story(moment)):
        moment += 1
    assert moment > 20


def test_live_changes_go_first(rig, monkeypatch):
    """Enrollment opens while three years are read again: the students of today do not wait."""

    async def story():
        await alive(rig, 40)
        ask(rig, "b", "start", rate=5)
        assert await rig.life(lambda: (job(rig) or Backfill).rows == 10, within_s=100)
        rig.case.happen(60)

        def live_is_in() -> bool:
            with closing(State(rig.config.state_path, readonly=True)) as state:
                return state.cursor("campus") == "100"

        assert await rig.life(live_is_in)
        assert job(rig).rows <= 20
        assert await rig.life(done(rig))

    asyncio.run(story())


def test_the_rate_is_kept_over_the_whole_of_a_backfill(rig):
    """A campus lends us its system; ten records a second is what its people agreed to."""

    async def story():
        await alive(rig, 50)
        at = rig.clock.monotonic()
        ask(rig, "b", "start", rate=2)
        assert await rig.life(done(rig))
        assert rig.clock.monotonic() - at >= 20  # 50 records but for the last page, 2 a second
        assert rig.clock.monotonic() - at < 40

    asyncio.run(story())


def test_a_long_outbox_holds_the_backfill_back(rig, monkeypatch):
    """A broker that is away for a night: the outbox is for what happens now."""
    monkeypatch.setattr(backfiller, "_OUTBOX_SHARE", 15)

    async def story():
        await alive(rig, 40)
        rig.hub.down = True
        ask(rig, "b", "start")
        await rig.life(lambda: False, within_s=60)
        assert job(rig).rows == 20
        rig.hub.down = False
        assert await rig.life(done(rig))

    asyncio.run(story())


def test_a_backfill_is_held_and_ended_by_people(rig):
    """Pausing keeps its place; stopping gives it up."""

    async def story():
        await alive(rig, 40)
        ask(rig, "b", "start", rate=1)
        ask(rig, "p", "pause")
        assert await rig.life(lambda: answer(rig, "p") is not None)
        held = job(rig)
        await rig.life(lambda: False, within_s=60)
        assert (job(rig).state, job(rig).rows) == ("paused", held.rows)
        ask(rig, "again", "start")
        assert await rig.life(lambda: answer(rig, "again") is not None)
        assert "stop it before the next" in answer(rig, "again").answer["error"]
        ask(rig, "r", "resume")
        ask(rig, "s", "stop")
        assert await rig.life(lambda: answer(rig, "s") is not None)
        assert job(rig).state == "stopped"
        ask(rig, "new", "start")
        assert await rig.life(done(rig))

    asyncio.run(story())


def test_a_paused_source_is_not_read_by_its_backfill_either(rig):
    """People pause a source because its system must be left alone."""

    async def story():
        await alive(rig, 40)
        with closing(State(rig.config.state_path)) as state:
            state.commands.write(
                Command(
                    "p", "pause", {"part": "source.campus"}, "li", "", to_millis(rig.clock.now())
                )
            )
        ask(rig, "b", "start")
        assert await rig.life(lambda: answer(rig, "b") is not None)
        await rig.life(lambda: False, within_s=60)
        assert job(rig).rows == 0

    asyncio.run(story())


def test_stopping_a_source_closes_the_connection_of_its_backfill_too(rig):
    """A database that is to be shut down waits for its last client, whatever that client reads."""
    open_now: list[ReferenceSource] = []
    real = ReferenceSource.__init__

    def opens(self, options, context) -> None:
        real(self, options, context)
        open_now.append(self)

    async def closes(self) -> None:
        open_now.remove(self)

    async def story():
        await alive(rig, 40)
        object.__setattr__(rig.config.sources[0], "kind", SourceKind(ReferenceOptions, Counted))

        async def people() -> list[int]:
            ask(rig, "b", "start", rate=1)
            while (job(rig) or Backfill).rows != 10:
                await rig.clock.sleep(1)
            before = len(open_now)
            with closing(State(rig.config.state_path)) as state:
                at = to_millis(rig.clock.now())
                state.commands.write(Command("s", "stop", {}, "li", "", at))
            while answer(rig, "s") is None:
                await rig.clock.sleep(1)
            await rig.clock.sleep(2)
            return [before, len(open_now)]

        asked = asyncio.ensure_future(people())
        assert await rig.life(asked.done)
        assert asked.result() == [2, 0]

    class Counted(ReferenceSource):
        __init__ = opens
        close = closes

    asyncio.run(story())


def test_progress_tells_percent_and_time_left_where_the_source_can_count(rig, monkeypatch):
    """People ask whether it will be done by Monday."""
    counted = []

    async def count(self, after, until):
        counted.append((after, until))
        return int(until) - int(after or 0)

    monkeypatch.setattr(ReferenceSource, "count", count, raising=False)

    async def story():
        await alive(rig, 40)
        ask(rig, "b", "start", rate=1)
        assert await rig.life(lambda: job(rig) is not None and job(rig).rows == 30)
        found = job(rig)
        assert (found.rows_total, found.part_done) == (40, 0.75)
        assert found.left_s == pytest.approx(10 / found.rows_per_s)
        assert "30 records" in progress_line(found)
        assert "75 %" in progress_line(found)
        beat = next(b for b in reversed(rig.hub.heartbeats) if b.backfills)
        assert (beat.backfills[0].source, beat.backfills[0].rows_total) == ("campus", 40)
        json.dumps(found.to_json())

    asyncio.run(story())


def test_a_record_that_cannot_be_mapped_stays_parked_once_and_holds_nothing_up(rig):
    """It is the same reading, with the same care: what is parked already is not parked a second time."""

    async def story():
        rig.case.spoil()
        rig.case.happen(3)
        assert await rig.life(lambda: len(rig.hub.published) == 3 and rig.quiet())
        ask(rig, "b", "start")
        assert await rig.life(lambda: done(rig)() and len(rig.hub.published) == 6)
        assert job(rig).rows == 4
        with closing(rig.state()) as state:
            assert len(state.parked("map")) == 1

    asyncio.run(story())


def test_the_end_is_known_by_name_by_number_or_by_nothing_more_to_read():
    """Cursors are the kind's own; only equal ones and whole numbers can be compared here."""
    assert reached("5", "5")
    assert reached("10", "9")
    assert not reached("9", "10")
    assert not reached("2026-01-02", "2026-01-01")
    assert not reached("5", None)


def test_a_backfill_without_an_end_is_refused_before_the_first_page(tmp_path):
    """There is no live place to fill up to, and `everything` is what live is doing."""
    with closing(State(tmp_path / "state.db")) as state:
        args = {"action": "start", "command": "c", "by": "li", "why": ""}
        with pytest.raises(ConfigError, match="first page"):
            order(state, "campus", args, 1)
        with pytest.raises(ConfigError, match="start one first"):
            order(state, "campus", {**args, "action": "pause"}, 1)
        assert order(state, "campus", {**args, "to": "9"}, 1)["backfill"]["state"] == "running"
        # A kill before the answer: the same command again begins nothing new.
        assert order(state, "campus", {**args, "to": "9"}, 2)["backfill"]["id"] == "c"
        assert state.backfills.under_way("campus").started_at == 1


def test_heartbeats_show_the_member_as_running_while_it_fills_back(rig):
    """A backfill is work, not trouble."""

    async def story():
        await alive(rig, 40)
        ask(rig, "b", "start", rate=2)
        assert await rig.life(done(rig))
        during = [
            b for b in rig.hub.heartbeats if b.backfills and b.backfills[0].state == "running"
        ]
        assert during
        assert {b.state for b in during} == {"running"}
        assert during[0].member == US

    asyncio.run(story())
