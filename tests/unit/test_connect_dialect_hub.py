"""The hub's `/connect`: what heartbeats say in Kafka Connect's words, and orders that reach `hub.commands`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from aiokafka.errors import KafkaConnectionError
from starlette.applications import Starlette

from hub.api.connect import Connect
from hub.api.overview import Watch
from hub.store import tables
from hub.store.fold import fold
from hub.store.queries import Reader
from schemas import topics
from schemas.members import load_alliance
from schemas.records import ConnectorCommand, ConnectorPart
from tests.support.readmodel import START, FakeKafka, heartbeat, sample_broker, taken

ROOT = Path(__file__).parents[2]
PARTS = (
    ConnectorPart("source.grades", "http_poll", "running", "", "41", 0, 0, None, None, None),
    ConnectorPart("sink.lms", "http_push", "failed", "401", None, 2, 5, None, None, None),
)


class Sent:
    """Takes commands down; `down` as long as no broker answers."""

    def __init__(self) -> None:
        self.commands: list[ConnectorCommand] = []
        self.down = False

    async def send(self, bootstrap: str, command: ConnectorCommand) -> None:
        if self.down:
            raise KafkaConnectionError("no broker")
        self.commands.append(command)


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def app(tmp_path: Path, sent: Sent) -> Iterator[Starlette]:
    alliance = load_alliance(ROOT / "alliance.toml")
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    tables.prepare(engine)
    beats = [
        heartbeat("10610", "failed", "sink.lms: 401", START, PARTS),
        heartbeat("10611", at=START - timedelta(minutes=5)),
    ]
    fold(engine, {}, taken(topics.HEARTBEATS, beats))
    broker = sample_broker(list(alliance.members), taken(topics.HEARTBEATS, beats), START)
    watch = Watch(Reader(engine), alliance, FakeKafka(broker), lambda: START + timedelta(seconds=2))
    yield Starlette(routes=Connect(watch, sent, lambda: "id-1", operate=True).routes())
    engine.dispose()


def ask(app: Starlette, method: str, path: str, **headers: str) -> httpx.Response:
    async def one() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            return await client.request(method, f"/connect{path}", headers=headers)

    return asyncio.run(one())


def test_connectors_of_all_members_are_listed_by_code_and_name(app: Starlette) -> None:
    """One list for the operators of the alliance, without asking twenty campuses."""
    assert ask(app, "GET", "/connectors").json() == ["10610.campus", "10611.campus"]
    status = ask(app, "GET", "/connectors/10610.campus/status").json()
    both = ask(app, "GET", "/connectors?expand=status&expand=info").json()["10610.campus"]
    assert (set(both), both["status"]) == ({"status", "info"}, status)
    assert status["connector"]["state"] == "FAILED"
    assert [task["state"] for task in status["tasks"]] == ["RUNNING", "FAILED"]
    assert status["tasks"][1]["trace"] == "401"


def test_a_connector_that_fell_silent_is_unassigned(app: Starlette) -> None:
    """Its last heartbeat said `running`, five minutes ago."""
    status = ask(app, "GET", "/connectors/10611.campus/status").json()
    assert status["connector"]["state"] == "UNASSIGNED"


def test_an_order_reaches_the_connector_s_topic_before_it_is_accepted(
    app: Starlette, sent: Sent
) -> None:
    """202 means that the campus will see it, whatever becomes of us."""
    assert ask(app, "PUT", "/connectors/10610.campus/pause").status_code == 202
    assert ask(app, "POST", "/connectors/10610.campus/tasks/1/restart").status_code == 204
    first, second = sent.commands
    assert (first.command_id, first.member, first.connector, first.verb) == ("id-1", "10610", "campus", "pause")  # fmt: skip
    assert first.at == START + timedelta(seconds=2)
    assert (second.verb, json.loads(second.args)) == ("restart", {"part": "sink.lms"})


def test_an_order_that_no_broker_takes_is_not_accepted(app: Starlette, sent: Sent) -> None:
    """Who reads 202 goes home."""
    sent.down = True
    reply = ask(app, "PUT", "/connectors/10610.campus/pause")
    assert reply.status_code == 503
    assert reply.json()["error_code"] == 503


def test_configuration_is_not_changed_from_here(app: Starlette, sent: Sent) -> None:
    """Not even asked for: no command is sent."""
    assert ask(app, "DELETE", "/connectors/10610.campus").status_code == 409
    assert ask(app, "POST", "/connectors").status_code == 409
    assert sent.commands == []


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "http://elsewhere.example"}]
)
def test_a_page_of_another_site_orders_nothing(
    app: Starlette, sent: Sent, headers: dict[str, str]
) -> None:
    """The console knows no login: an operator's browser must not be led to stop a campus."""
    assert ask(app, "POST", "/connectors/10610.campus/restart", **headers).status_code == 403
    assert sent.commands == []
    same = {"origin": "http://hub"}
    assert ask(app, "PUT", "/connectors/10610.campus/pause", **same).status_code == 202


def test_a_hub_that_takes_no_orders_shows_all_and_sends_none(tmp_path: Path, sent: Sent) -> None:
    """The console has no login: who may hold a university's connector is switched on by its operators."""
    alliance = load_alliance(ROOT / "alliance.toml")
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    tables.prepare(engine)
    beats = taken(topics.HEARTBEATS, [heartbeat("10610", at=START)])
    fold(engine, {}, beats)
    broker = sample_broker(list(alliance.members), beats, START)
    watch = Watch(Reader(engine), alliance, FakeKafka(broker), lambda: START)
    app = Starlette(routes=Connect(watch, sent).routes())
    assert ask(app, "GET", "/connectors").json() == ["10610.campus"]
    refused = ask(app, "PUT", "/connectors/10610.campus/pause")
    assert refused.status_code == 403
    assert "--operate" in refused.json()["message"]
    assert sent.commands == []
    engine.dispose()


def test_a_read_model_that_is_away_is_said_so_and_not_an_empty_alliance(tmp_path: Path, sent: Sent) -> None:  # fmt: skip
    """An empty list would read as twenty campuses gone."""
    alliance = load_alliance(ROOT / "alliance.toml")
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'none' / 'hub.db'}")
    broker = sample_broker(list(alliance.members), [], START)
    watch = Watch(Reader(engine), alliance, FakeKafka(broker), lambda: START)
    app = Starlette(routes=Connect(watch, sent, lambda: "id-1", operate=True).routes())
    assert ask(app, "GET", "/connectors").status_code == 503
    assert ask(app, "GET", "/health").json()["status"] == "unhealthy"
    engine.dispose()
