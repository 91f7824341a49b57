"""`alliance connector pause|resume|stop|restart|cursor|backfill`: words and exit codes, beside a running connector and without."""

import asyncio
import json
import random
import threading
from contextlib import closing, contextmanager

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from connectors.reference.conformance import both_ways
from connectors.reference.kind import ReferenceSource
from connectors.sdk.cli import asking
from connectors.sdk.cli.main import app
from connectors.sdk.clock import SystemClock
from connectors.sdk.contract import Item, Page
from connectors.sdk.runtime.connector import Connector
from connectors.sdk.runtime.host import FolderLock
from connectors.sdk.state.file import State
from connectors.sdk.testing import US, Rig
from schemas import topics


@pytest.fixture
def rig(tmp_path, monkeypatch):
    """A campus with three changes in the ledger. The reference campus of the command line is another one, with changes of its own."""
    found = Rig(tmp_path, both_ways())
    found.case.happen(3)
    asyncio.run(found.life(lambda: len(found.hub.published) == 3 and found.quiet()))
    return found


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@contextmanager
def running(rig: Rig):
    """The connector at work in a thread, as `run` would have it: with the lock, and on the real clock."""
    stop = threading.Event()
    started = threading.Event()

    async def life() -> None:
        lock = FolderLock(rig.config)
        state = State(rig.config.state_path)
        inbox = rig.hub.inbox(topics.inbox(US), state.inbox_position()[0])
        one = Connector(
            rig.config, state, rig.hub, inbox, SystemClock(), random.Random(7), rig.case.transport
        )
        task = asyncio.ensure_future(one.run())
        started.set()
        await asyncio.to_thread(stop.wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        state.close()
        lock.release()

    thread = threading.Thread(target=lambda: asyncio.run(life()))
    with capture_logs():  # else they stand between the lines of the command
        thread.start()
        assert started.wait(10)
        try:
            yield
        finally:
            stop.set()
            thread.join()


def held(rig: Rig) -> dict[str, str]:
    with closing(State(rig.config.state_path, readonly=True)) as state:
        return {name: one.state for name, one in state.commands.wanted().items()}


def test_a_running_connector_answers_the_command_line(rig):
    """The whole way: a row in the file, the connector at work, its answer on the screen."""
    with running(rig):
        paused = call("pause", rig.config.folder, "--why", "exams", "--json")
        assert paused.exit_code == 0, paused.output
        assert json.loads(paused.stdout)["parts"] == {"source.campus": "paused", "sink.campus": "paused"}  # fmt: skip
        moved = call("cursor", "set", rig.config.folder, "campus", "1", "--yes")
        assert moved.exit_code == 0, moved.output
        resumed = call("resume", rig.config.folder, "--part", "source.campus")
        assert (resumed.exit_code, resumed.stdout) == (0, "source.campus running\n")
        refused = call("cursor", "reset", rig.config.folder, "campus", "--yes")
        assert refused.exit_code == 1
        assert "pause it first" in refused.stdout
        assert call("restart", rig.config.folder).exit_code == 0
    assert held(rig) == {"sink.campus": "paused"}


def test_who_does_not_wait_is_told_where_to_look(rig, monkeypatch):
    """A script that pauses twenty campuses does not want to wait for each."""
    lock = FolderLock(rig.config)  # runs, and answers nothing
    result = call("pause", rig.config.folder, "--no-wait")
    assert result.exit_code == 0
    assert "no answer yet" in result.stdout
    monkeypatch.setattr(asking, "WAIT_S", 0.2)
    assert call("pause", rig.config.folder).exit_code == 1
    lock.release()
    with closing(State(rig.config.state_path, readonly=True)) as state:
        assert [one.verb for one in state.commands.open()] == ["pause", "pause"]


def test_without_a_running_connector_the_file_is_changed(rig):
    """Before a start, people decide that one half stays off."""
    result = call("stop", rig.config.folder, "--part", "sink.campus", "--why", "move")
    assert (result.exit_code, result.stdout) == (0, "sink.campus stopped from the next start on\n")
    assert held(rig) == {"sink.campus": "stopped"}
    assert "sink.campus stopped by " in call("status", rig.config.folder).stdout
    status = json.loads(call("status", rig.config.folder, "--json").stdout)
    assert (status["held"][0]["why"], status["commands"][0]["verb"]) == ("move", "stop")
    assert call("resume", rig.config.folder).exit_code == 0
    assert held(rig) == {}
    with closing(State(rig.config.state_path, readonly=True)) as state:
        newest = state.commands.newest(2)
    assert [(one.verb, one.outcome, one.why) for one in newest] == [("resume", "done", ""), ("stop", "done", "move")]  # fmt: skip


def test_what_cannot_be_done_without_it_is_refused_with_the_next_step(rig, tmp_path):
    """2: something must be put right first."""
    result = call("restart", rig.config.folder)
    assert result.exit_code == 2
    assert "alliance connector run" in result.stderr
    assert call("pause", rig.config.folder, "--part", "sink.x").exit_code == 2
    assert call("cursor", "show", rig.config.folder, "x").exit_code == 2
    assert call("pause", tmp_path / "nowhere").exit_code == 2
    assert call("cursor", "undo", rig.config.folder, "campus").exit_code == 2


def test_a_cursor_is_previewed_before_it_is_moved(rig, monkeypatch):
    """A wrong cursor skips a term or publishes three years; people see the page before they say yes."""

    async def page(self, cursor):
        first = int(cursor or 0) + 1
        return Page(
            [Item({}, f"change {n}") for n in (first, first + 1)], str(first + 1), more=True
        )

    monkeypatch.setattr(ReferenceSource, "page", page)
    preview = json.loads(call("cursor", "reset", rig.config.folder, "campus", "--json").stdout)
    assert preview["to"] is None
    assert preview["preview"]["first"] == "change 1"
    shown = call("cursor", "set", rig.config.folder, "campus", "2")
    assert shown.exit_code == 0, shown.output
    assert "stands at 3; from 2 it would read" in shown.stdout
    assert "2 records, change 3 to change 4, and there is more" in shown.stdout
    assert "nothing changed" in shown.stdout
    assert json.loads(call("cursor", "show", rig.config.folder, "campus", "--json").stdout) == {
        "source": "campus", "cursor": "3", "moved": [],
    }  # fmt: skip


def test_a_moved_cursor_is_shown_with_who_moved_it_and_moves_back(rig):
    """Whoever finds it next week can ask, and undo."""
    assert call("cursor", "set", rig.config.folder, "campus", "1", "--yes", "--why", "lost hub").exit_code == 0  # fmt: skip
    shown = call("cursor", "show", rig.config.folder, "campus").stdout
    assert shown.startswith("source.campus: 1\n")
    assert "3 -> 1 by " in shown
    assert ": lost hub" in shown
    assert call("cursor", "undo", rig.config.folder, "campus", "--yes").exit_code == 0
    assert call("cursor", "show", rig.config.folder, "campus").stdout.startswith(
        "source.campus: 3\n"
    )


def test_a_backfill_is_asked_for_before_the_start_and_shown(rig):
    """It begins when the connector runs; until then its row waits."""
    folder = rig.config.folder
    assert "no backfill so far" in call("backfill", "status", folder).stdout
    started = call("backfill", "start", folder, "campus", "--from", "1", "--rate", "50")
    assert started.exit_code == 0, started.output
    (job,) = json.loads(call("backfill", "status", folder, "--json").stdout)
    assert (job["state"], job["from"], job["to"], job["rate"]) == ("running", "1", "3", 50)
    assert call("backfill", "start", folder, "campus").exit_code == 2
    assert "campus: running, 0 pages, 0 records" in call("backfill", "status", folder).stdout
    assert call("backfill", "pause", folder, "campus").exit_code == 0
    assert call("backfill", "resume", folder, "campus").exit_code == 0
    assert call("backfill", "stop", folder, "campus").exit_code == 0
    assert call("backfill", "stop", folder, "campus").exit_code == 2
