"""Commands to a running connector: what is asked is done once, survives a kill, and is answered."""

import asyncio
from contextlib import closing
from datetime import timedelta

import pytest

from connectors.reference.conformance import both_ways
from connectors.reference.kind import ReferenceSource
from connectors.sdk.contract import Permanent, RetryLater
from connectors.sdk.runtime.connector import Connector
from connectors.sdk.runtime.control import TOO_OLD_S, judged
from connectors.sdk.state.commands import Command
from connectors.sdk.state.file import State
from connectors.sdk.testing import START, THEM, US, Fuse, Rig, case_flag, their_request
from schemas.envelope import to_millis
from schemas.records import ConnectorCommand


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path, both_ways())


def ask(rig: Rig, id: str, verb: str, **args) -> None:
    """What the command line does: a row, written by another process."""
    with closing(State(rig.config.state_path)) as state:
        state.commands.write(Command(id, verb, args, "li", "exams", to_millis(rig.clock.now())))


def answer(rig: Rig, id: str) -> Command | None:
    with closing(State(rig.config.state_path, readonly=True)) as state:
        found = state.commands.get(id)
    return found if found and found.outcome else None


def remote(verb: str, id: str = "c-1", connector: str = "campus", args: str = "{}", age_s: float = 0) -> ConnectorCommand:  # fmt: skip
    at = START - timedelta(seconds=age_s)
    return ConnectorCommand(id, US, connector, verb, args, "hub operator", "drill", at)


def settled(rig: Rig):
    return lambda: len(rig.hub.published) >= rig.case.to_tell() and rig.quiet()


def newest(rig: Rig):
    return rig.hub.heartbeats[-1]


def parts(rig: Rig) -> dict[str, str]:
    return {part.name: part.state for part in newest(rig).parts}


async def alone(rig: Rig, seconds: float) -> None:
    """Let time pass without anything being waited for."""
    until = rig.clock.monotonic() + seconds
    await rig.life(lambda: rig.clock.monotonic() >= until, within_s=seconds)


def test_a_paused_connector_reads_and_delivers_nothing_and_says_so(rig):
    """A campus that is migrating its database must be left alone, without its connector looking dead."""

    async def story():
        rig.case.happen(2)
        assert await rig.life(settled(rig))
        ask(rig, "p", "pause")
        assert await rig.life(lambda: answer(rig, "p") is not None)
        told = list(rig.case.told)
        rig.case.happen(3)
        await rig.hub.deliver(US, their_request(1), rig.signers[THEM])
        beats = len(rig.hub.heartbeats)
        await alone(rig, 60)
        assert len(rig.hub.published) == 2
        assert rig.case.told == told
        assert len(rig.hub.heartbeats) > beats + 20
        alive = [beat for beat in rig.hub.heartbeats[beats:] if beat.state != "stopped"]
        assert {beat.state for beat in alive} == {"paused"}
        assert "paused by li: exams" in alive[-1].reason

    asyncio.run(story())


def test_what_came_during_a_pause_is_done_after_it_and_once(rig):
    """Pausing drops nothing: changes wait at the campus, messages in the inbox."""

    async def story():
        ask(rig, "p", "pause")
        assert await rig.life(lambda: answer(rig, "p") is not None)
        rig.case.happen(3)
        for number in range(3):
            await rig.hub.flag(US, f"flag-{number}", case_flag())
        await alone(rig, 30)
        assert rig.hub.published == []
        ask(rig, "r", "resume")
        assert await rig.life(settled(rig))
        assert len(rig.hub.applied) == 3
        assert sum(key.startswith("flag:") for key in rig.case.told) == 3
        assert len(set(rig.case.told)) == len(rig.case.told)
        assert await rig.life(lambda: newest(rig).state == "running")

    asyncio.run(story())


def test_a_pause_outlives_the_process(rig):
    """A machine that restarts at night must not undo what people decided by day."""

    async def story():
        ask(rig, "p", "pause", part="source.campus")
        assert await rig.life(lambda: answer(rig, "p") is not None)
        rig.case.happen(2)
        await alone(rig, 30)
        assert rig.hub.published == []
        assert parts(rig) == {"source.campus": "paused", "sink.campus": "running"}

    asyncio.run(story())


def test_parts_are_held_one_by_one(rig):
    """While the source is held for a repair, what others tell us is still brought."""

    async def story():
        ask(rig, "p", "pause", part="source.campus")
        assert await rig.life(lambda: answer(rig, "p") is not None)
        rig.case.happen(1)
        await rig.hub.deliver(US, their_request(1), rig.signers[THEM])
        assert await rig.life(lambda: len(rig.case.told) == 1)
        assert rig.hub.published == []
        ask(rig, "s", "pause", part="sink.campus")
        ask(rig, "r", "resume", part="source.campus")
        assert await rig.life(lambda: answer(rig, "r") is not None and rig.hub.published)
        await alone(rig, 20)
        assert len(rig.case.told) == 1  # the outcome of our event waits in the inbox

    asyncio.run(story())


def test_a_part_that_nobody_has_is_named_with_those_there_are(rig):
    """`--part sink` is a typing error, not a command for nothing."""

    async def story():
        ask(rig, "p", "pause", part="sink")
        assert await rig.life(lambda: answer(rig, "p") is not None)
        said = answer(rig, "p")
        assert said.outcome == "failed"
        assert "source.campus, sink.campus" in said.answer["error"]
        assert parts(rig)["sink.campus"] == "running"

    asyncio.run(story())


def test_a_long_pause_between_questions_delays_no_answer(tmp_path):
    """A source that is asked once a day stands still most of the time; pausing it takes seconds."""

    async def story():
        case = both_ways()
        case.tables = case.tables.replace(
            'kind = "reference"', 'kind = "reference"\nevery_s = 86400', 1
        )
        rig = Rig(tmp_path, case)
        assert await rig.life(lambda: rig.hub.heartbeats != [])
        at = rig.clock.monotonic()
        ask(rig, "p", "pause")
        assert await rig.life(lambda: answer(rig, "p") is not None, within_s=100)
        assert answer(rig, "p").answer["settled"] is True
        ask(rig, "r", "resume")
        rig.case.happen(1)
        assert await rig.life(lambda: len(rig.hub.published) == 1, within_s=100)
        assert rig.clock.monotonic() - at < 200

    asyncio.run(story())


def test_what_failed_before_a_pause_is_no_trouble_during_it(rig, monkeypatch):
    """People pause a source because its system is down; the alliance's console must not go on alarming."""

    async def down(self, cursor):
        raise RetryLater("the campus is down for maintenance", 3_600)

    monkeypatch.setattr(ReferenceSource, "page", down)

    async def story():
        assert await rig.life(lambda: rig.hub.heartbeats and newest(rig).state == "degraded")

        async def people():
            await rig.clock.sleep(5)
            ask(rig, "p", "pause")

        asked = asyncio.ensure_future(people())
        assert await rig.life(lambda: newest(rig).state == "paused", within_s=60)
        assert "maintenance" not in newest(rig).reason
        await asked

    asyncio.run(story())


class _Counted:
    """Counts how often a kind is opened and closed."""

    def __init__(self, kind) -> None:
        self.opened, self.closed = 0, 0
        real = kind.open

        def opens(options, context):
            self.opened += 1
            one = real(options, context)
            close = one.close

            async def closes():
                self.closed += 1
                await close()

            one.close = closes
            return one

        self.open = opens
        self.options = kind.options


@pytest.fixture
def counted(rig):
    """The rig's source and sink, counted."""
    found = []
    for config in (rig.config.sources[0], rig.config.sinks[0]):
        kind = _Counted(config.kind)
        object.__setattr__(config, "kind", kind)
        found.append(kind)
    return found


def test_stop_closes_connections_and_resume_opens_them(rig, counted):
    """A database that is to be shut down waits for its last client."""

    async def story():
        async def people():
            ask(rig, "s", "stop")
            while answer(rig, "s") is None:
                await rig.clock.sleep(1)
            assert [one.closed for one in counted] == [1, 1]
            assert newest(rig).state in ("running", "stopped")
            await rig.clock.sleep(5)
            assert newest(rig).state == "stopped"
            ask(rig, "r", "resume")
            rig.case.happen(1)
            await rig.hub.flag(US, "flag-1", case_flag())

        asked = asyncio.ensure_future(people())
        assert await rig.life(lambda: asked.done() and settled(rig)() and len(rig.case.told) == 2)
        asked.result()
        assert [one.opened for one in counted] == [2, 2]

    asyncio.run(story())


def test_restart_opens_anew_and_retries_at_once(rig, counted):
    """A renewed certificate or a changed name: people want the next try now, not in two minutes."""

    async def story():
        async def people():
            await rig.clock.sleep(3)
            ask(rig, "r", "restart", part="source.campus")
            while answer(rig, "r") is None:
                await rig.clock.sleep(1)

        asked = asyncio.ensure_future(people())
        rig.case.happen(1)
        assert await rig.life(lambda: asked.done() and counted[0].opened == 2 and settled(rig)())
        asked.result()
        assert (counted[0].closed, counted[1].opened) == (2, 1)  # closed again at the end

    asyncio.run(story())


def test_a_command_that_a_kill_cuts_short_is_done_by_the_next_start(tmp_path):
    """Who was told `accepted` may rely on it, whatever moment the machine chose to die."""

    async def story(moment: int) -> bool:
        folder = tmp_path / str(moment)
        folder.mkdir()
        rig = Rig(folder, both_ways())
        assert await rig.life(lambda: rig.hub.heartbeats != [])
        await rig.hub.command(remote("pause", "c-1"))
        await rig.hub.command(remote("resume", "c-2"))
        await rig.hub.command(remote("stop", "c-3"))
        ask(rig, "l", "pause", part="sink.campus")

        def done() -> bool:
            return (
                len({one.command_id for one in rig.hub.answers}) == 3
                and answer(rig, "l") is not None
            )

        fuse = Fuse(burns_at=moment)
        await rig.life(done, fuse=fuse)
        assert await rig.life(done), f"killed at {fuse.passed[-1]}, then lost a command"
        assert {one.outcome for one in rig.hub.answers} == {"done"}
        for id in ("c-1", "c-2", "c-3"):  # a second answer says the same
            assert len({one.reason for one in rig.hub.answers if one.command_id == id}) == 1
        with closing(rig.state()) as state:
            held = {name: one.state for name, one in state.commands.wanted().items()}
        assert held["source.campus"] == "stopped"
        return fuse.burnt

    moment = 1
    while asyncio.run(story(moment)):
        moment += 1
    assert moment > 20


def test_a_command_of_the_hub_is_done_once_and_answered(rig):
    """The hub's broker may deliver twice; a connector paused and resumed by people must not be paused again."""

    async def story():
        for _ in range(2):
            await rig.hub.command(remote("pause"))
        assert await rig.life(lambda: rig.hub.answers != [] and newest(rig).state == "paused")
        ask(rig, "r", "resume")
        await rig.hub.command(remote("pause"))
        await alone(rig, 20)
        assert [one.outcome for one in rig.hub.answers] == ["done"]
        assert "source.campus, sink.campus paused" in rig.hub.answers[0].reason
        assert parts(rig)["source.campus"] == "running"

    asyncio.run(story())


def test_commands_for_others_are_none_of_ours(rig):
    """All connectors of the alliance read one topic."""

    async def story():
        await rig.hub.command(remote("pause", connector="library"))
        await rig.hub.command(remote("pause", "c-2"))
        assert await rig.life(lambda: rig.hub.answers != [])
        assert [one.command_id for one in rig.hub.answers] == ["c-2"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("asked", "allowed", "words"),
    [
        (remote("cursor"), ("pause",), "does not let others cursor"),
        (remote("pause"), (), "it allows none"),
        (remote("pause", age_s=TOO_OLD_S + 1), ("pause",), "too old"),
        (remote("drop"), ("drop",), "does not know"),
        (remote("pause", args="[1]"), ("pause",), "no JSON object"),
        (remote("pause", args="{"), ("pause",), "not JSON"),
    ],
)
def test_what_a_campus_does_not_allow_is_refused_with_the_reason(asked, allowed, words):
    """The campus decides who may touch its connector; the hub's operators must learn why nothing happened."""
    row = judged(asked, START, allowed, {"pause": None, "cursor": None})
    assert row.outcome == "refused"
    assert words in row.answer["brief"]


def test_a_command_as_old_as_allowed_still_counts():
    """The limit is against surprises after a long night, not against slow networks."""
    row = judged(remote("pause", age_s=TOO_OLD_S), START, ("pause",), {"pause": None})
    assert (row.outcome, row.origin) == (None, "hub")


def test_a_campus_that_allows_nothing_answers_every_command_with_a_refusal(tmp_path):
    """Where `remote` leaves verbs out, they are refused; nobody waits for an answer in vain."""

    async def story():
        case = both_ways()
        case.tables = '[runtime]\nremote = ["resume"]\n' + case.tables
        rig = Rig(tmp_path, case)
        await rig.hub.command(remote("pause"))
        assert await rig.life(lambda: rig.hub.answers != [])
        assert rig.hub.answers[0].outcome == "refused"
        assert parts(rig)["source.campus"] == "running"

    asyncio.run(story())


@pytest.mark.parametrize(
    "error", [Permanent("no 2023010417", "no such id"), KeyError("2023010417")]
)
def test_an_answer_to_the_hub_holds_no_data_of_the_campus(tmp_path, monkeypatch, error):
    """What a verb says to people at the campus may name a student; the hub gets its `brief` alone."""

    async def story():
        case = both_ways()
        case.tables = '[runtime]\nremote = ["pause", "backfill"]\n' + case.tables
        rig = Rig(tmp_path, case)

        async def fails(self, args):
            raise error

        monkeypatch.setattr(Connector, "_backfill", fails)
        await rig.hub.command(remote("backfill"))
        assert await rig.life(lambda: rig.hub.answers != [])
        assert rig.hub.answers[0].outcome == "failed"
        assert rig.hub.answers[0].reason
        assert "2023010417" not in rig.hub.answers[0].reason
        assert "2023010417" in answer(rig, "c-1").answer["error"]

    asyncio.run(story())


# Cursors --------------------------------------------------------------------------------------------------------------


def test_a_cursor_moves_only_while_its_source_stands_still(rig):
    """Two hands on one cursor would lose a page."""

    async def story():
        rig.case.happen(3)
        assert await rig.life(settled(rig))
        ask(rig, "c", "cursor", source="campus", action="reset")
        assert await rig.life(lambda: answer(rig, "c") is not None)
        assert "pause it first" in answer(rig, "c").answer["error"]
        ask(rig, "p", "pause", part="source.campus")
        ask(rig, "d", "cursor", source="campus", action="reset")
        assert await rig.life(lambda: answer(rig, "d") is not None)
        assert answer(rig, "d").answer["after"] is None
        ask(rig, "r", "resume")
        copies = len(rig.hub.published)
        assert await rig.life(lambda: len(rig.hub.published) == copies + 3)
        assert len(rig.hub.applied) == 3  # the same event ids: the ledger says duplicate

    asyncio.run(story())


def test_who_moved_a_cursor_is_kept_and_it_can_be_undone(rig):
    """A wrong cursor is noticed days later; then one wants to know where it stood, and who to ask."""

    async def story():
        rig.case.happen(3)
        assert await rig.life(settled(rig))
        with closing(rig.state()) as state:
            before = state.cursor("campus")
        ask(rig, "p", "pause")
        ask(rig, "c", "cursor", source="campus", action="set", cursor="1")
        assert await rig.life(lambda: answer(rig, "c") is not None)
        with closing(rig.state()) as state:
            (moved,) = state.commands.moves("campus")
            assert (moved.before, moved.after, moved.by, moved.why) == (before, "1", "li", "exams")
        ask(rig, "u", "cursor", source="campus", action="undo")
        assert await rig.life(lambda: answer(rig, "u") is not None)
        with closing(rig.state()) as state:
            assert state.cursor("campus") == before
            assert len(state.commands.moves("campus")) == 2

    asyncio.run(story())


def test_a_cursor_command_done_again_after_a_kill_moves_nothing_twice(tmp_path):
    """Between its effect and its answer a process may die; an `undo` done twice would redo."""
    with closing(State(tmp_path / "state.db")) as state:
        for _ in range(2):
            state.commands.move_cursor("c-1", "campus", "7", by="li", why="", now=1)
        state.commands.move_cursor("c-2", "campus", None, by="li", why="", now=2)
        state.commands.move_cursor("c-1", "campus", "7", by="li", why="", now=3)
        assert state.cursor("campus") is None
        assert [(m.before, m.after) for m in state.commands.moves("campus")] == [
            ("7", None),
            (None, "7"),
        ]


# Heartbeats -----------------------------------------------------------------------------------------------------------


def test_a_heartbeat_tells_how_each_part_is(rig):
    """Operators of the hub see which half of a campus is ill without asking its people."""

    async def story():
        rig.case.happen(1)
        rig.case.spoil()
        assert await rig.life(lambda: settled(rig)() and "1 parked" in newest(rig).reason)
        source, sink = (
            newest(rig).parts if newest(rig).state != "stopped" else rig.hub.heartbeats[-2].parts
        )
        assert (source.name, source.kind, source.state) == (
            "source.campus",
            "reference",
            "degraded",
        )
        assert (source.parked_events, sink.parked_events) == (1, 0)
        assert source.cursor == "2"
        assert source.last_record_at is not None
        assert (sink.cursor, sink.state) == (None, "running")

    asyncio.run(story())


def test_a_heartbeat_names_the_mappings_and_schemas_of_what_runs(rig):
    """After an upgrade of twenty campuses, one wants to see who still maps by the old table."""

    async def story():
        await rig.life(lambda: rig.hub.heartbeats != [])
        first = newest(rig)
        assert len(first.mapping_hash) == 16
        assert "hub.heartbeat/2" in first.reader_schemas
        file = rig.config.folder / "mapping" / "offering.toml"
        file.write_text(file.read_text("utf-8") + "\n# corrected\n", "utf-8")
        rig.reload()
        await rig.life(lambda: False, within_s=5)
        assert newest(rig).mapping_hash != first.mapping_hash

    asyncio.run(story())


def test_a_silent_source_is_degraded_and_a_held_one_is_not(tmp_path):
    """No error is raised by a campus that simply stops telling."""

    async def story():
        case = both_ways()
        case.tables = case.tables.replace('[source.campus.mappings]', '[source.campus.expect]\nevery_s = 3600\n[source.campus.mappings]')  # fmt: skip
        rig = Rig(tmp_path, case)
        rig.case.happen(1)
        assert await rig.life(settled(rig))
        assert await rig.life(lambda: newest(rig).state == "degraded", within_s=4_000)
        assert "source.campus: no records for 60 minutes; expected every 60 minutes" in newest(rig).reason or "no records for 60" in rig.hub.heartbeats[-2].reason  # fmt: skip
        assert rig.hub.heartbeats[-2].parts[0].expected_s == 3600
        ask(rig, "p", "pause")
        assert await rig.life(lambda: newest(rig).state == "paused", within_s=60)
        ask(rig, "r", "resume")
        rig.case.happen(1)
        assert await rig.life(lambda: newest(rig).state == "running", within_s=60)

    asyncio.run(story())


def test_a_start_does_not_make_a_silent_source_look_fresh(tmp_path):
    """A process manager that restarts the connector every hour would hide the silence for ever."""

    async def story():
        case = both_ways()
        case.tables = case.tables.replace('[source.campus.mappings]', '[source.campus.expect]\nevery_s = 3600\n[source.campus.mappings]')  # fmt: skip
        rig = Rig(tmp_path, case)
        for _ in range(3):
            await alone(rig, 1_500)
        assert "no records yet" in rig.hub.heartbeats[-2].reason

    asyncio.run(story())
