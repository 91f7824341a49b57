"""Many connectors in one process: one that dies is started again, and the others do not notice."""

import asyncio
import itertools
import os
import random
from contextlib import closing, suppress

import pytest

from connectors.reference.conformance import both_ways
from connectors.sdk.contract import ConfigError
from connectors.sdk.runtime.connector import Connector
from connectors.sdk.runtime.host import Hosted, host, wait_minutes
from connectors.sdk.runtime.kafka import KafkaBus, _SharedLane
from connectors.sdk.state.commands import Command
from connectors.sdk.state.file import State
from connectors.sdk.testing import THEM, US, FakeClock, FakeHub, write_alliance, write_folder


class Lane:
    """One reader of a topic of the fake hub."""

    def __init__(self, inbox, left) -> None:
        self.take = inbox.take
        self.leave = lambda: left.append(self)


class Bus:
    """The fake hub as the host wants it."""

    def __init__(self, hub: FakeHub) -> None:
        self.publish = hub.publish
        self._hub = hub
        self.left: list[Lane] = []
        self.closed = False

    def inbox(self, topic, position):
        return Lane(self._hub.inbox(topic, position), self.left)

    def shared(self, topic, position, *, may_skip=False):
        return Lane(self._hub.inbox(topic, position), self.left)

    def start(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        self.closed = True


class Process:
    """Two campuses in one process; `deaths` says what each life of ours dies of, a second after its start."""

    def __init__(self, tmp_path, monkeypatch) -> None:
        write_alliance(tmp_path)
        self.cases = {code: both_ways() for code in (US, THEM)}
        self.configs = [
            write_folder(tmp_path / code, case, code=code) for code, case in self.cases.items()
        ]
        self.clock, self.hub = FakeClock(), FakeHub()
        self.buses: list[Bus] = []
        self.starts: list[float] = []
        self.deaths: list[Exception] = []
        process, real = self, Connector.run

        async def run(connector) -> None:
            if connector.config.member.code != US:
                await real(connector)
            process.starts.append(process.clock.monotonic())
            working = asyncio.ensure_future(real(connector))
            try:
                if process.deaths:
                    await process.clock.sleep(1)
                    raise process.deaths.pop(0)
                await working
            finally:
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working

        monkeypatch.setattr(Connector, "run", run)

    def bus(self, settings, clock):
        self.buses.append(Bus(self.hub))
        return self.buses[-1]

    async def life(self, until, within_s: float = 10_000) -> bool:
        running = asyncio.ensure_future(
            host(self.configs, self.clock, random.Random(7), self.bus)  # type: ignore[arg-type]
        )
        try:
            return (
                await self.clock.until(lambda: running.done() or until(), within_s)
                and not running.done()
            )
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    def health(self):
        with closing(State(self.configs[0].state_path, readonly=True)) as state:
            return state.health()

    def beats(self, code: str) -> list[float]:
        return [beat.at for beat in self.hub.heartbeats if beat.member == code]


@pytest.fixture
def process(tmp_path, monkeypatch):
    return Process(tmp_path, monkeypatch)


def test_the_wait_grows_up_to_an_hour():
    """n*n + n minutes: a passing trouble costs two minutes, a lasting one no log full of starts."""
    assert [wait_minutes(n) for n in (1, 2, 3, 7, 8, 100)] == [2, 6, 12, 56, 60, 60]


def test_a_connector_that_dies_is_started_again_and_the_others_live_on(process):
    """One campus's surprise at three in the morning is nobody else's, and needs nobody to get up."""

    async def story():
        process.deaths = [RuntimeError("a surprise"), RuntimeError("another")]
        assert await process.life(lambda: len(process.starts) == 3)
        first, second, third = process.starts
        assert 120 <= second - first < 130
        assert 360 <= third - second < 370
        theirs = process.beats(THEM)
        gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(theirs)]
        assert max(gaps) < 3
        assert len(process.buses[0].left) >= 2  # its lanes of the shared consumer hold nobody up
        assert not process.buses[0].closed or process.buses[1].closed

    asyncio.run(story())


def test_what_it_died_of_and_when_it_starts_again_is_said(process):
    """Who looks in the morning must see that it happened, and that it passes by itself."""

    async def story():
        process.deaths = [RuntimeError("a surprise")]
        assert await process.life(lambda: process.health()[0] == "failed", within_s=60)
        assert "a surprise" in process.health()[1]
        assert "starts again at 2026-09-01T00:02:01" in process.health()[1]

    asyncio.run(story())


def test_a_connector_started_again_does_its_work(process):
    """It begins where the file says, with connections of its own."""

    async def story():
        process.deaths = [RuntimeError("a surprise")]
        assert await process.life(lambda: len(process.starts) == 1, within_s=60)
        process.deaths = [RuntimeError("a surprise")]

        def worked() -> bool:
            return len(process.starts) >= 3 and len(process.hub.published) == 2

        process.cases[US].happen(2)
        assert await process.life(worked)
        assert len(process.hub.applied) == len(set(process.hub.applied)) == 2

    asyncio.run(story())


def test_wrong_configuration_waits_for_its_files_not_for_time(process):
    """No waiting mends a wrong password; trying it every hour locks the account."""

    async def story():
        del process.configs[1:]
        process.deaths = [ConfigError("the password is wrong")]
        mended = []

        def later() -> bool:
            if not mended and process.clock.monotonic() > 4_000:
                assert len(process.starts) == 1
                os.utime(process.configs[0].folder / "connector.toml", ns=(1, 1))
                mended.append(process.clock.monotonic())
            return len(process.starts) == 2

        assert await process.life(later)
        assert process.starts[1] - mended[0] < 10

    asyncio.run(story())


def test_a_person_s_restart_ends_the_wait(process):
    """Who has mended it does not want to wait for an hour."""

    async def story():
        process.deaths = [ConfigError("no such table")]
        assert await process.life(lambda: process.health()[0] == "failed", within_s=60)
        process.deaths = [ConfigError("no such table")]
        asked = []

        def started() -> bool:
            dead = len(process.starts) == 2 and process.clock.monotonic() > process.starts[1] + 1
            if dead and not asked and process.health()[0] == "failed":
                with closing(State(process.configs[0].state_path)) as state:
                    state.commands.write(Command("r", "restart", {}, "li", "", 0))
                asked.append(process.clock.monotonic())
            return len(process.starts) == 3

        assert await process.life(started, within_s=600)
        assert process.starts[2] - asked[0] < 10
        with closing(State(process.configs[0].state_path, readonly=True)) as state:
            assert state.commands.get("r").outcome == "done"

    asyncio.run(story())


def test_the_end_of_the_process_ends_one_that_waits(process):
    """SIGTERM finds it asleep."""

    async def story():
        process.deaths = [RuntimeError("a surprise")]
        assert await process.life(lambda: process.health()[0] == "failed", within_s=60)
        for config in process.configs:
            with closing(State(config.state_path)):  # closed by the process, locks and all
                pass

    asyncio.run(story())


def test_a_dead_connector_is_still_known_and_takes_orders_for_its_next_start(tmp_path):
    """Who looks at the process's pages must not think that there is one campus less."""
    write_alliance(tmp_path)
    config = write_folder(tmp_path, both_ways())
    hosted = Hosted(config, FakeClock(), random.Random(7))
    hosted.open(Bus(FakeHub()))  # type: ignore[arg-type]
    hosted.connector.newest = beat = object()
    hosted.close()
    assert (hosted.newest, hosted.name) == (beat, f"{US}.campus")
    hosted.ask(Command("p", "pause", {}, "li", "", 0))
    with closing(State(config.state_path, readonly=True)) as state:
        assert [one.id for one in state.commands.open()] == ["p"]


class Record:
    def __init__(self, offset: int) -> None:
        self.offset, self.value, self.headers = offset, b"x", ()


def test_a_reader_that_is_gone_holds_nobody_up():
    """A dead connector's lane fills and fills; the shared consumer would pause for all."""
    lane = _SharedLane("hub.commands")
    dead, alive = lane.reader(0), lane.reader(0)
    dead.leave()
    for start in range(0, 3_000, 500):
        lane.fill([Record(offset) for offset in range(start, start + 500)])
        asyncio.run(alive.take(500))
    assert not lane.full


def test_readers_that_may_skip_go_on_at_the_oldest_message_there_is():
    """A connector that was away for a month has missed commands nobody waits for any more."""
    lane = _SharedLane("hub.commands", may_skip=True)
    reader = lane.reader(5)
    lane.go_to(900)
    lane.fill([Record(900)])
    assert [one.offset for one in asyncio.run(reader.take(10))] == [900]


def test_a_bus_remembers_which_topics_may_be_skipped():
    """Skipping an inbox would lose events; skipping commands loses nothing."""
    bus = KafkaBus(None, FakeClock())  # type: ignore[arg-type]  # it is not started
    assert not bus.inbox("member.1.in", 0).may_skip
    bus.shared("hub.commands", 0, may_skip=True)
    bus.shared("private.payloads", 0)
    assert {topic: lane.may_skip for topic, lane in bus._shared.items()} == {
        "hub.commands": True,
        "private.payloads": False,
    }
