"""The API answers from the read model, says what it cannot do, and lives without the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from hub.api.kafka_view import Broker
from hub.api.overview import by_stage, lags, read_facts
from hub.console.app import build_app
from hub.flow.admission import GROUP as ADMISSION_GROUP
from hub.store import tables
from hub.store.fold import Taken, fold
from hub.store.queries import Reader
from schemas import topics
from schemas.members import Alliance, load_alliance
from tests.support.ledger import Ledger
from tests.support.readmodel import START, FakeKafka, alliance_day, heartbeat, sample_broker, taken

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def alliance() -> Alliance:
    return load_alliance(ROOT / "alliance.toml")


@pytest.fixture(scope="module")
def engine(alliance: Alliance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = tables.open_engine(f"sqlite:///{tmp_path_factory.mktemp('store') / 'hub.db'}")
    tables.prepare(made)
    fold(made, {}, alliance_day(list(alliance.members), START, entries=250))
    yield made
    made.dispose()


@pytest.fixture
def kafka(alliance: Alliance) -> FakeKafka:
    codes = list(alliance.members)
    return FakeKafka(sample_broker(codes, alliance_day(codes, START, entries=250), START))


@pytest.fixture
def app(engine: Engine, alliance: Alliance, kafka: FakeKafka) -> Starlette:
    return build_app(Reader(engine), alliance, kafka, lambda: START + timedelta(seconds=2))


def get(app: Starlette, path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def body(app: Starlette, path: str) -> Any:
    answer = get(app, path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_pages_of_entries_follow_each_other(app: Starlette) -> None:
    """Following `next` to its end gives every entry once, in order."""
    path: str | None = "/api/v1/ledger/entries?limit=60"
    seqs: list[int] = []
    while path:
        page = body(app, path)
        seqs += [item["seq"] for item in page["items"]]
        path = page["next"]
    assert seqs == list(range(1, 251))


def test_entries_are_filtered_by_outcome_and_member(app: Starlette) -> None:
    """A member asks what was refused to it."""
    rejected = body(app, "/api/v1/ledger/entries?outcome=rejected")["items"]
    member = rejected[0]["member"]
    found = body(app, f"/api/v1/ledger/entries?outcome=rejected&member={member}")["items"]
    assert found == [item for item in rejected if item["member"] == member]
    assert all("event" not in item for item in found)


def test_an_entry_comes_with_its_event_and_sentence(app: Starlette) -> None:
    """Nobody should need Avro to look at one event."""
    entry = body(app, "/api/v1/ledger/entries/7")
    assert entry["event"]["envelope"]["event_id"] == entry["event_id"]
    assert entry["sentence"]["en"]
    assert entry["sentence"]["zh"]
    assert len(bytes.fromhex(entry["hash"])) == 32
    following = body(app, "/api/v1/ledger/entries/8")
    assert following["prev_hash"] == entry["hash"]


def test_the_head_has_an_etag(app: Starlette) -> None:
    """Polling an unchanged ledger costs a 304."""
    first = get(app, "/api/v1/ledger/head")
    assert first.json()["seq"] == 250
    assert sum(first.json()["outcomes"].values()) == 250
    again = get(app, "/api/v1/ledger/head", **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "status", "code", "said"),
    [
        ("/api/v1/ledger/entries?limit=0", 400, "INVALID_PARAMETER", "limit is '0', wanted a number from 1 to 1000"),
        ("/api/v1/ledger/entries?after=-1", 400, "INVALID_PARAMETER", "after is '-1'"),
        ("/api/v1/ledger/entries?after=" + "9" * 30, 400, "INVALID_PARAMETER", "after"),
        ("/api/v1/ledger/entries?outcome=odd", 400, "INVALID_PARAMETER", "wanted one of applied"),
        ("/api/v1/ledger/entries?member=1", 400, "INVALID_PARAMETER", "member is '1'"),
        ("/api/v1/ledger/entries?page=2", 400, "INVALID_PARAMETER", "unknown page"),
        ("/api/v1/ledger/entries/999", 404, "NOT_FOUND", "newest is 250"),
        ("/api/v1/schemas/no.such", 404, "NOT_FOUND", "no.such"),
        ("/api/v1/nothing", 404, "NOT_FOUND", "/api/v1/nothing"),
    ],
)  # fmt: skip
def test_errors_are_problem_details(
    app: Starlette, path: str, status: int, code: str, said: str
) -> None:
    """Clients branch on a stable code; people read what was wrong."""
    answer = get(app, path)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in problem["detail"]
    assert body(app, problem["type"])["code"] == code


def test_members_show_their_connectors_as_judged(app: Starlette) -> None:
    """A connector that said `running` four minutes ago is not running, as far as anyone knows."""
    members = {item["code"]: item for item in body(app, "/api/v1/members")["items"]}
    assert len(members) == 20
    assert members["10611"]["name"]["zh"] == "重庆大学"
    states = [item["state"] for item in members.values()]
    assert [states.count(s) for s in ("running", "silent", "degraded", "failed", "paused", "absent")] == [
        15, 1, 1, 1, 1, 1,
    ]  # fmt: skip
    silent = next(item for item in members.values() if item["state"] == "silent")
    assert silent["connectors"][0]["reported_state"] == "running"
    assert silent["activity"]["events"] > 0


def test_topics_show_who_is_behind(app: Starlette) -> None:
    """Lag is counted where each stage keeps its position."""
    found = {item["name"]: item for item in body(app, "/api/v1/topics")["items"]}
    assert found["ledger.entries"]["readers"] == [
        {"stage": "delivery", "position": 250, "lag_messages": 0},
        {"stage": "read_model", "position": 250, "lag_messages": 0},
    ]
    assert found["ledger.in"]["readers"][0]["stage"] == "sequencer"
    assert found["member.10613.out"]["readers"][0]["lag_messages"] == 4
    assert found["member.10610.in"]["readers"][0]["stage"] == "connectors"
    assert found["hub.member-activity"]["partitions"] == 1


def test_troubles_name_a_next_step_worst_first(app: Starlette) -> None:
    """The operator's first question is what to do."""
    health = body(app, "/api/v1/health")
    assert health["status"] == "attention"
    codes = [(item["severity"], item["code"]) for item in health["troubles"]]
    assert codes[:2] == [("error", "CONNECTOR_FAILED"), ("error", "CONNECTOR_SILENT")]
    assert {code for _, code in codes[2:]} == {
        "CONNECTOR_DEGRADED", "DEAD_LETTERS", "CONNECTOR_PAUSED", "EVENTS_PARKED", "MEMBERS_ABSENT",
    }  # fmt: skip
    assert all(item["next_step"]["en"] and item["next_step"]["zh"] for item in health["troubles"])


def test_without_the_broker_the_api_answers_and_blames_nobody(
    app: Starlette, kafka: FakeKafka
) -> None:
    """Heartbeats cannot reach us then, so no member may be called silent."""
    kafka.broker = Broker("127.0.0.1:9092", error="connection refused")
    health = body(app, "/api/v1/health")
    assert health["troubles"][0]["code"] == "BROKER_UNREACHABLE"
    assert "CONNECTOR_SILENT" not in {item["code"] for item in health["troubles"]}
    assert {stage["lag_messages"] for stage in health["stages"]} == {None}
    assert body(app, "/api/v1/ledger/head")["seq"] == 250
    assert get(app, "/readyz").status_code == 200


def test_without_the_store_it_is_not_ready_and_says_why(
    tmp_path: Path, alliance: Alliance, kafka: FakeKafka
) -> None:
    """The console may start first; then it points at the projector."""
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'none.db'}")
    try:
        app = build_app(Reader(engine), alliance, kafka, lambda: START)
        ready = get(app, "/readyz")
        assert (ready.status_code, ready.json()["code"]) == (503, "STORE_UNAVAILABLE")
        assert ready.headers["retry-after"] == "1"
        assert get(app, "/livez").text == "ok"
        assert body(app, "/api/v1/health")["troubles"][0]["code"] == "STORE_UNAVAILABLE"
        assert get(app, "/").status_code == 200
    finally:
        engine.dispose()


def test_a_stage_that_does_not_move_is_called_stalled(
    engine: Engine, alliance: Alliance, kafka: FakeKafka
) -> None:
    """Lag alone is no alarm; lag without a step is."""
    now = [START]
    app = build_app(Reader(engine), alliance, kafka, lambda: now[0])
    for seconds in (0, 10, 20):
        now[0] = START + timedelta(seconds=seconds)
        health = body(app, "/api/v1/health")
    stalled = [item for item in health["troubles"] if item["code"] == "STAGE_STALLED"]
    assert [item["about"] for item in stalled] == ["admission"]
    assert stalled[0]["detail"]["en"] == "4 messages wait, none taken for 20 s"


def test_a_group_that_never_committed_has_everything_before_it(
    engine: Engine, kafka: FakeKafka
) -> None:
    """A stage that was never started must show; one that nobody can ask about has no figure, not zero."""
    broker = replace(kafka.broker, committed={ADMISSION_GROUP: {}})
    stages = {
        stage.name: stage for stage in by_stage(lags(broker, read_facts(Reader(engine), START)))
    }
    assert stages["admission"].lag_messages == sum(20 + index for index in range(20))
    assert stages["delivery"].lag_messages is None


def test_many_connectors_in_one_state_are_one_trouble(
    app: Starlette, engine: Engine, alliance: Alliance, kafka: FakeKafka
) -> None:
    """When the network is gone, twenty lines saying the same hide the one that matters."""
    later = build_app(Reader(engine), alliance, kafka, lambda: START + timedelta(minutes=3))
    found = [
        t for t in body(later, "/api/v1/health")["troubles"] if t["code"] == "CONNECTOR_SILENT"
    ]
    assert len(found) == 1
    assert found[0]["title"]["en"] == "No heartbeat: 19 of 20 members"
    assert "Chongqing University" in found[0]["detail"]["en"]


def test_metrics_are_few_and_explained(app: Starlette) -> None:
    """Each has a help text; the console's own figures are the same."""
    text = get(app, "/metrics").text
    assert "alliance_ledger_head_seq 250.0" in text
    assert 'alliance_stage_lag_messages{stage="admission"} 4.0' in text
    assert 'alliance_ledger_entries_total{outcome="applied"}' in text
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    helped = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP")}
    assert families == helped
    assert len(families) < 40


def test_outcomes_dead_letters_and_schemas_are_listed(app: Starlette) -> None:
    """The rest of the contract in one glance."""
    outcomes = body(app, "/api/v1/outcomes")
    assert sum(outcomes["totals"].values()) == 250
    assert 200 < sum(item["entries"] for item in outcomes["series"]) <= 250  # the last ten minutes
    first = body(app, "/api/v1/dead-letters?limit=1")
    assert first["items"][0]["value_bytes"] == 2
    assert len(body(app, first["next"])["items"]) == 1
    assert "credit.awarded" in {item["event"] for item in body(app, "/api/v1/schemas")["items"]}
    assert body(app, "/api/v1/schemas/credit.awarded")["avsc"]["name"] == "CreditAwarded"


def test_every_answer_forbids_foreign_content(app: Starlette) -> None:
    """A page about universities loads nothing from elsewhere and is framed by nobody."""
    for path in ("/", "/api/v1/health", "/static/live.js", "/api/v1/nothing"):
        policy = get(app, path).headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy


def test_what_campuses_write_is_shown_as_text(
    tmp_path: Path, alliance: Alliance, kafka: FakeKafka
) -> None:
    """A connector's words reach operators' browsers; they must not become markup there."""
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    try:
        tables.prepare(engine)
        beat = heartbeat("10610", "degraded", "<img src=x> `<b>` \"'&", START)
        fold(engine, {}, taken(topics.HEARTBEATS, [beat]))
        page = get(build_app(Reader(engine), alliance, kafka, lambda: START), "/").text
        assert "&lt;img src=x&gt; <code>&lt;b&gt;</code>" in page
        assert "<img src=x>" not in page
    finally:
        engine.dispose()


def test_ticks_are_no_backlog(alliance: Alliance, tmp_path: Path) -> None:
    """The page shows entries without ticks; how far the sequencer is, the tick at the end of the log says."""
    ledger = Ledger()
    ledger.offer()
    for _ in range(30):
        ledger.tick()
    log = [
        Taken(topics.LEDGER_ENTRIES, 0, at, item.value) for at, item in enumerate(ledger.entries)
    ]
    made = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    try:
        tables.prepare(made)
        fold(made, {}, log)
        facts = read_facts(Reader(made), START)
        stages = by_stage(lags(sample_broker(list(alliance.members), log, START), facts))
        assert [stage.lag_messages for stage in stages if stage.name == "sequencer"] == [0]
        assert [stored.entry.seq for stored in facts.newest] == [1]
        assert facts.last is not None
        assert facts.last.entry.seq == facts.head.seq == 31
    finally:
        made.dispose()
