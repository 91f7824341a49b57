"""Trying parked things again, in order and only what is meant; giving them up; from a running connector and beside it."""

import asyncio
import json
from contextlib import closing

import pytest
from typer.testing import CliRunner

from connectors.sdk.cli.main import app
from connectors.sdk.contract import ConfigError
from connectors.sdk.runtime.host import FolderLock
from connectors.sdk.runtime.redrive import chosen
from connectors.sdk.state.parking import Choice
from connectors.sdk.testing import THEM, US, Fuse, new_signer, their_request
from tests.support.connector_parking import ParkingRig


@pytest.fixture
def rig(tmp_path):
    return ParkingRig(tmp_path)


def call(*words):
    return CliRunner().invoke(app, ["parked", *map(str, words)])


def answered(rig, id):
    found = rig.answer(id)
    assert found.outcome == "done", found.answer
    return found.answer


async def with_parked(rig):
    """Two keys with poison and followers, parked; the connector is stopped."""
    rig.ids = [rig.campus.happen(key, mode) for key, mode in (("a", "odd"), ("a", "ok"), ("b", "strange"), ("b", "ok"))]  # fmt: skip
    assert await rig.settle()
    assert len(rig.parked()) == 4


# While the connector runs ---------------------------------------------------------------------------------------------


def test_a_redrive_reads_the_corrected_code_table_and_empties_the_queue_in_order(rig):
    """Nobody must restart a connector because a code was missing."""

    async def story():
        await with_parked(rig)

        def work():
            rig.mend("odd")
            return rig.ask("redrive", key="a")

        assert await rig.meanwhile(work)
        assert rig.published("a") == rig.ids[:2]
        assert rig.published("b") == []
        rig.reload()
        rig.campus.happen("a", "odd")
        assert await rig.settle()
        assert len(rig.published("a")) == 3

    asyncio.run(story())


def test_heartbeats_tell_of_the_tables_that_a_redrive_read(rig):
    """The hub judges a change of schemas by the mappings that really run."""

    async def story():
        await with_parked(rig)
        before = {beat.mapping_hash for beat in rig.hub.heartbeats}
        assert len(before) == 1

        asked = []

        def told():
            if not asked and rig.idle():
                rig.mend("odd")
                asked.append(rig.ask("redrive", key="a"))
            return rig.hub.heartbeats[-1].mapping_hash not in before

        assert await rig.life(told)  # the same process

    asyncio.run(story())


def test_the_corrected_table_holds_for_what_comes_after_a_redrive(rig):
    """Else the next record would be parked for the fault that was just corrected."""

    async def story():
        await with_parked(rig)
        rig.mend("odd")

        def work():
            id = rig.ask("redrive", all=True)
            rig.campus.happen("c", "odd")
            return id

        assert await rig.meanwhile(work)
        assert len(rig.published("c")) == 1

    asyncio.run(story())


def test_the_first_that_fails_again_stays_head_and_is_counted(rig):
    """Whoever looks sees that somebody tried, and why it failed this time."""

    async def story():
        rig.campus.happen("a", "odd")
        rig.campus.happen("a", "strange")
        rig.campus.happen("a")
        assert await rig.settle()
        rig.mend("odd")
        id = ""

        def work():
            nonlocal id
            id = rig.ask("redrive", key="a")
            return id

        assert await rig.meanwhile(work)
        head, behind = rig.parked()
        assert "strange" in head.reason
        assert (head.redrives, head.code != "BLOCKED", behind.code) == (1, True, "BLOCKED")
        assert answered(rig, id)["passed"] == 1
        assert answered(rig, id)["behind"] == 1
        assert "strange" not in answered(rig, id)["brief"]

    asyncio.run(story())


def test_only_the_meant_cause_is_tried(rig):
    """One cause is corrected at a time; trying the others would only make noise at the campus."""

    async def story():
        first, second = await rig.request(1), await rig.request(2)
        rig.campus.poison |= {first, second}
        rig.campus.happen("a", "odd")
        assert await rig.settle()
        rig.campus.poison.clear()
        offered = len(rig.campus.offered)
        (odd,) = [row for row in rig.parked() if row.part == "source.campus"]
        # A new life tries all once; hold what that is about to do.
        with closing(rig.state()) as state:
            assert len(state.parking.heads(Choice(cause="HTTP_422"))) == 2
            assert state.parking.heads(Choice(cause=odd.fingerprint)) == [(odd.number, "a")]
        assert len(rig.campus.offered) == offered

    asyncio.run(story())


def test_deliveries_that_come_during_a_redrive_keep_their_order(rig):
    """The key is let go of only when its queue is empty; until then new ones go to its end."""

    async def story():
        rig.campus.poison.add(await rig.request(1))
        for _ in range(3):
            await rig.request(1)

        async def more():
            while not rig.told(1):  # noqa: ASYNC110, the campus tells nobody
                await asyncio.sleep(0)
            for _ in range(4):
                await rig.request(1)
                await asyncio.sleep(0)

        def work():
            rig.campus.poison.clear()
            rig.later = asyncio.ensure_future(more())
            return rig.ask("redrive", part="sink.campus", all=True)

        assert await rig.meanwhile(work)
        await rig.later
        assert await rig.settle()
        assert rig.told(1) == rig.requests["enrollment-1"]
        assert rig.parked() == []

    asyncio.run(story())


def test_a_redrive_at_a_campus_that_is_down_says_so_and_loses_nothing(rig):
    """What was brought before is noted, the rest is where it was."""

    async def story():
        rig.campus.poison.add(await rig.request(1))
        id = ""

        def work():
            nonlocal id
            rig.campus.down = True
            id = rig.ask("redrive", all=True)
            return id

        assert await rig.meanwhile(work)
        assert "down for this test" in answered(rig, id)["stopped"]
        assert len(rig.parked()) == 1

    asyncio.run(story())


def test_a_message_that_could_not_be_verified_passes_when_its_key_is_known(rig):
    """And goes behind what of its key is parked at the sink."""

    async def story():
        rig.campus.poison.add(await rig.request(2))
        await rig.hub.deliver(US, their_request(2), new_signer(bytes(32)))
        assert await rig.settle()
        assert {row.part for row in rig.parked()} == {"inbox", "sink.campus"}
        file = rig.config.folder / "alliance.toml"
        import base64

        key = base64.b64encode(new_signer(bytes(32)).public).decode()
        text = file.read_text("utf-8").replace(f'code = "{THEM}"', f'code = "{THEM}"#', 1)
        at = text.index("[[member.key]]", text.index(f'"{THEM}"#'))
        text = text[:at] + f'[[member.key]]\npublic = "{key}"\n' + text[at:]
        file.write_text(text.replace(f'"{THEM}"#', f'"{THEM}"'), "utf-8")
        rig.reload()
        assert await rig.settle()
        rows = rig.parked()
        assert [row.part for row in rows] == ["sink.campus", "sink.campus"]
        assert rows[1].code == "BLOCKED"

    asyncio.run(story())


@pytest.mark.parametrize("why", ["", "  "])
def test_dropping_needs_a_reason(rig, why):
    """Whoever asks for the record a year later will want to know."""

    async def story():
        await with_parked(rig)
        id = rig.ask("drop", numbers=[1], why=why)
        assert await rig.meanwhile(lambda: id)
        assert rig.answer(id).outcome == "failed"
        assert len(rig.parked()) == 4

    asyncio.run(story())


def test_dropping_a_head_lets_the_next_of_its_key_pass_at_once(rig):
    """It never failed; and who dropped what, when and why stays, without the record."""

    async def story():
        await with_parked(rig)
        assert await rig.meanwhile(lambda: rig.ask("drop", numbers=[1], why="entered by mistake"))
        assert rig.published("a") == [rig.ids[1]]
        with closing(rig.state()) as state:
            (dropped,) = state.parking.dropped()
        assert (dropped["key"], dropped["by"], dropped["why"]) == (
            "a",
            "operator",
            "entered by mistake",
        )
        assert len(dropped["digest"]) == 64

    asyncio.run(story())


def test_dropped_contents_are_not_parked_again_until_they_change(rig):
    """A collection lists what is: the record that was given up is still there at the next look."""

    async def story():
        rig.campus.state_like("1", 1, "odd")
        assert await rig.settle()
        assert await rig.meanwhile(lambda: rig.ask("drop", numbers=[1], why="never ran"))
        with closing(rig.state()) as state:
            seen = state.seen("campus", "1")
        assert (seen.version, seen.hash) == (0, rig.campus.items[0].seen.hash)
        rig.campus.state_like("1", 1, "ok")  # as the kind numbers it, after what is remembered
        assert await rig.settle()
        assert len(rig.published("1")) == 1

    asyncio.run(story())


# Kills ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["redrive", "drop"])
def test_a_kill_at_any_moment_of_a_redrive_or_a_drop_loses_doubles_and_overtakes_nothing(
    tmp_path, verb
):
    """Operators work when things are broken, which is when processes die."""

    async def story(moment: int) -> bool:
        folder = tmp_path / str(moment)
        folder.mkdir()
        rig = ParkingRig(folder)
        ids = [rig.campus.happen("a", mode) for mode in ("odd", "ok", "ok")]
        rig.campus.poison.add(await rig.request(1))
        for key in (1, 2, 1):
            await rig.request(key)
        assert await rig.settle()
        rows = rig.parked()
        heads = [rows[0].number, next(r.number for r in rows if r.part == "sink.campus")]
        if verb == "redrive":
            rig.mend("odd")
            rig.campus.poison.clear()
        fuse = Fuse(burns_at=moment)
        asked = [rig.ask(verb, all=True, numbers=heads, why="a test")]
        await rig.life(lambda: rig.idle() and rig.answer(asked[0]) is not None, fuse=fuse)
        for _ in range(2):  # whatever the kill left, the next starts finish
            rig.reload()
            assert await rig.settle()
        first = 1 if verb == "drop" else 0
        assert rig.answer(asked[0]).outcome == "done"
        assert rig.published("a") == ids[first:]
        assert rig.told(1) == rig.requests["enrollment-1"][first:]
        assert rig.told(2) == rig.requests["enrollment-2"]
        assert rig.parked() == []
        with closing(rig.state()) as state:
            assert len(state.parking.dropped()) == 2 * first
        return fuse.burnt

    moment = 1
    while asyncio.run(story(moment)):
        moment += 1
    assert moment > 10


# The command line -----------------------------------------------------------------------------------------------------


def test_ls_groups_by_cause_and_exits_with_findings(rig, tmp_path):
    """Forty wrong records are one missing code."""
    assert call("ls", tmp_path).exit_code == 2  # never ran
    asyncio.run(with_parked(rig))
    result = call("ls", tmp_path, "--json")
    assert result.exit_code == 1
    (cause,) = json.loads(result.stdout)["causes"]
    assert (cause["part"], cause["keys"], cause["things"]) == ("source.campus", 2, 4)
    assert "odd" not in cause["brief"]
    assert cause["fingerprint"] in call("ls", tmp_path).stdout
    status = json.loads(CliRunner().invoke(app, ["status", str(tmp_path), "--json"]).stdout)
    assert status["causes"] == [cause]


def test_show_prints_reason_and_record(rig, tmp_path):
    """On this machine, where the record comes from, nothing is hidden."""
    asyncio.run(with_parked(rig))
    shown = json.loads(call("show", tmp_path, 2, "--json").stdout)
    assert (shown["blocked_by"], shown["code"], shown["payload"]["id"]) == (
        1,
        "BLOCKED",
        "course-a",
    )
    assert "'odd'" in call("show", tmp_path, 1).stdout
    assert call("show", tmp_path, 99).exit_code == 2


def test_a_trial_says_how_many_would_pass_and_changes_nothing(rig, tmp_path):
    """Before a term's records go out, one looks."""
    asyncio.run(with_parked(rig))
    before = [(row.number, row.attempts, row.last_at) for row in rig.parked()]
    rig.mend("odd")
    result = call("redrive", tmp_path, "--all", "--dry-run", "--json")
    said = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (said["passed"], len(said["failed"]), said["behind"]) == (2, 1, 1)
    assert said["brief"].startswith("2 of 4 would now pass")
    assert "'strange'" in said["failed"][0]["reason"]
    assert [(row.number, row.attempts, row.last_at) for row in rig.parked()] == before


def test_a_stopped_connector_s_records_are_tried_by_the_command(rig, tmp_path):
    """And leave with its next start, in order."""
    asyncio.run(with_parked(rig))
    rig.mend("odd", "strange")
    result = call("redrive", tmp_path, "--all")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ["4 of 4 would now pass", "4 of 4 passed"]
    assert rig.parked() == []
    asyncio.run(rig.settle())
    assert rig.published("a") + rig.published("b") == rig.ids
    assert call("ls", tmp_path).exit_code == 0


def test_what_waits_behind_another_is_not_tried_before_it(rig, tmp_path):
    """Order is the whole point; the message names the head."""
    asyncio.run(with_parked(rig))
    result = call("redrive", tmp_path, 2)
    assert result.exit_code == 2
    assert "waits behind number 1" in result.output


def test_drop_at_the_command_line(rig, tmp_path):
    """Refused without --why; afterwards the next of the key goes with the next start."""
    asyncio.run(with_parked(rig))
    assert call("drop", tmp_path, 1).exit_code == 2
    assert call("drop", tmp_path, 99, "--why", "x").exit_code == 2
    result = call("drop", tmp_path, 1, "--why", "entered by mistake", "--by", "Li", "--json")
    assert json.loads(result.stdout)["dropped"] == [1]
    with closing(rig.state()) as state:
        assert state.parking.dropped()[0]["by"] == "Li"
    asyncio.run(rig.settle())
    assert rig.published("a") == [rig.ids[1]]


def test_beside_a_running_connector_the_command_asks_it(rig, tmp_path):
    """Only who runs may write; a command that is not answered says so and stays asked."""
    asyncio.run(with_parked(rig))
    lock = FolderLock(rig.config)
    try:
        result = call("redrive", tmp_path, "--all", "--wait", "0.2")
    finally:
        lock.release()
    assert result.exit_code == 3
    assert "has not answered" in result.output
    with closing(rig.state()) as state:
        (command,) = state.commands.open()
    assert (command.verb, command.args["all"]) == ("redrive", True)


def test_all_must_be_said():
    """A slip of the finger must not send a term."""
    with pytest.raises(ConfigError, match="or --all"):
        chosen({})
    assert chosen({"number": 3}) == Choice(number=3)
    assert chosen({"all": True}) == Choice()
