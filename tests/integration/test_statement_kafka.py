"""Closing a period and making statements on a real broker, through the processes that a hub runs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hub.errors import RetryLater, SettingsError
from hub.flow.close import close_period
from hub.ledger.statement_check import check_statement, succession_problems
from hub.run import periods_cli, statement_cli
from hub.run.topics_cli import apply_all
from schemas.records import Close
from tests.support.broker import private_broker
from tests.support.flow import alliance_toml, sent
from tests.support.flow_kafka import Hub, hub, publish
from tests.support.ledger import HOME, HOST, Ledger

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker whose ledger topics are ours alone."""
    with private_broker(tmp_path_factory.mktemp("statement-broker")) as found:
        yield found.bootstrap


def test_nobody_answers_a_close_while_no_sequencer_runs_and_nothing_is_lost(
    own_broker: str, tmp_path: Path
) -> None:
    """The operator is told so; the request is answered when one comes, and later closes follow it."""
    asyncio.run(_closes(own_broker, tmp_path))


async def _closes(bootstrap: str, folder: Path) -> None:
    (folder / "alliance.toml").write_text(alliance_toml(), encoding="utf-8")
    await apply_all(bootstrap, folder / "alliance.toml")
    with pytest.raises(RetryLater, match="not answered within 1 s"):
        await close_period(bootstrap, Close("before", "hub.operator.test", 1), 1.0)
    async with hub(bootstrap, folder, "admission", "sequencer") as running:
        first = await close_period(bootstrap, Close("autumn", "hub.operator.test", 2), 60.0)
        assert (first.record.first_seq, first.record.last_seq, first.seq) == (1, 2, 4)
        desk = Ledger()
        desk.awarded("w1")
        events = [sent(given.event) for given in desk.inputs]
        await publish(bootstrap, events)
        await _decided(running, desk)
        second = await close_period(bootstrap, Close("winter", "hub.operator.test", 3), 60.0)
        assert second.record.first_seq == first.record.last_seq + 1
        assert second.record.last_seq >= first.seq + len(
            events
        )  # some were parked before others came
        assert second.seq == second.record.last_seq + 2
        with pytest.raises(SettingsError, match="period autumn holds entries 1 to 2"):
            await close_period(bootstrap, Close("autumn", "hub.operator.test", 4), 60.0)
        await _by_command(running)
        await running.replayed()


async def _decided(running: Hub, desk: Ledger) -> None:
    wanted = {given.event.envelope.event_id for given in desk.inputs}

    async def all_there() -> bool:
        _, entries = await running.replayed()
        return wanted <= {entry.event_id for entry in entries if entry.outcome == "applied"}

    await running.until("the events are applied", all_there)


async def _by_command(running: Hub) -> None:
    """The commands, as an operator calls them."""
    closed = await _said(running, periods_cli.__name__, "close", "spring", "--json")
    assert closed["period"] == "spring"
    listed = await _said(running, periods_cli.__name__, "list", "--json")
    assert [one["period"] for one in listed["periods"]] == ["before", "autumn", "winter", "spring"]
    assert listed["periods"][-1]["last_seq"] == closed["last_seq"] == closed["closed_seq"] - 2
    made: list[Any] = await _said(
        running,
        statement_cli.__name__,
        "--member",
        HOME,
        "--with",
        HOST,
        "--period",
        "all",
        "--json",
    )
    names = [values["period"]["name"] for values in made]
    assert names == ["before", "autumn", "winter", "spring", "open"]
    for values in made:
        assert check_statement(values) == []
    assert [len(values["entries"]) > 0 for values in made] == [False, False, True, False, False]
    for before, after in pairwise(made):
        assert succession_problems(before, after) == []
    assert made[2]["period"]["balances_root"] == listed["periods"][2]["balances_root"]


async def _said(running: Hub, module: str, *words: str) -> Any:
    """What a command prints as JSON, called as the one command `alliance` calls it."""
    code = f"import sys, typer, {module} as m; typer.main.get_group(m.app)(sys.argv[1:])"
    environment = os.environ | {
        "ALLIANCE_BOOTSTRAP": running.bootstrap,
        "ALLIANCE_FILE": str(running.folder / "alliance.toml"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *words, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)
