"""What watching found, as troubles with a next step, and as the API gives it."""

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

from hub.api.alert_routes import findings
from hub.api.overview import Facts, Overview, Stage, make_overview
from hub.api.rhythms import Rhythms
from hub.api.troubles import Trouble, troubles
from hub.api.troubles_watched import watched_troubles
from hub.console.app import build_app
from hub.flow.admission import GROUP as ADMISSION_GROUP
from hub.store import tables
from hub.store.fold import fold
from hub.store.queries import Reader
from hub.watch.alert_store import AlertStore, open_alert_store
from hub.watch.alerts import Rule, Silence, step
from hub.watch.burrow import Status
from hub.watch.commits import GroupStatus, PartitionStatus
from hub.watch.silence import Rhythm
from hub.watch.view import Cluster, Disk, Headroom, ReaderLag, Skew, Watched
from hub.watch.watcher import PROJECTOR
from schemas import topics
from schemas.members import load_alliance
from schemas.records import ConnectorPart
from tests.support.readmodel import (
    START,
    Chain,
    FakeKafka,
    activity,
    heartbeat,
    request,
    sample_broker,
)

ALLIANCE = load_alliance(Path(__file__).parents[2] / "alliance.toml")
CODES = list(ALLIANCE.members)
GIB = 1024**3


def seen(watched: Watched, facts: Facts | None = None, **changed: Any) -> Overview:
    broker = replace(sample_broker(CODES, [], START), watched=watched)
    return replace(make_overview(ALLIANCE, broker, facts or Facts(), START), **changed)


def found(watched: Watched, facts: Facts | None = None, **changed: Any) -> list[Trouble]:
    return watched_troubles(seen(watched, facts, **changed))


def group(name: str, status: Status, topic: str = topics.LEDGER_ENTRIES) -> GroupStatus:
    return GroupStatus(name, status, 1.0, (PartitionStatus(topic, 0, status, 3, 10, 1.0),))


@pytest.mark.parametrize(
    ("status", "code", "severity", "step"),
    [
        (Status.WARN, "READER_SLOW", "warning", "Wait for the peak"),
        (Status.STOP, "READER_STOPPED", "error", "Start `alliance run admission`"),
        (Status.STALL, "READER_STALLED", "error", "Read the log of `alliance run admission`"),
        (Status.REWIND, "READER_REWOUND", "warning", "Nothing, if somebody moved it back"),
    ],
)
def test_each_verdict_has_its_own_next_step(
    status: Status, code: str, severity: str, step: str
) -> None:
    """A reader that is gone is started; one that stands still is looked at first."""
    (trouble,) = found(Watched(groups=(group(ADMISSION_GROUP, status),)))
    assert (trouble.code, trouble.severity, trouble.about) == (code, severity, ADMISSION_GROUP)
    assert trouble.next_step.en.startswith(step)
    assert trouble.next_step.zh
    assert "ledger.entries (7)" in trouble.detail.en


def test_a_stalled_stage_is_told_once() -> None:
    """The stage's own trouble comes after 15 seconds; the reader's verdict later says no more."""
    watched = Watched(groups=(group(ADMISSION_GROUP, Status.STOP),))
    stalled = (Stage("admission", 0, 5, stalled_s=100),)
    assert found(watched, stages=stalled) == []


def test_a_reader_that_keeps_up_is_no_trouble() -> None:
    """Lag alone is none."""
    assert found(Watched(groups=(group(PROJECTOR, Status.OK),))) == []


def test_a_connector_that_is_away_is_not_called_stopped_as_well() -> None:
    """Silence, a pause and a failure have troubles of their own."""
    verdict = Watched(groups=(group("10611.campus", Status.STALL, topics.inbox("10611")),))
    here = Facts(heartbeats=(heartbeat("10611"),))
    paused = Facts(heartbeats=(heartbeat("10611", "paused"),))
    assert [trouble.code for trouble in found(verdict, here)] == ["READER_STALLED"]
    assert "Chongqing University" in found(verdict, here)[0].title.en
    assert found(verdict, paused) == []
    assert found(verdict) == []


def test_lost_messages_and_a_topic_made_anew_are_errors() -> None:
    """Nothing of it mends itself. Of heartbeats only the newest matter."""
    lags = (
        ReaderLag("hub.delivery", topics.LEDGER_ENTRIES, 0, 5, 7, 12),
        ReaderLag("projector", topics.LEDGER_ENTRIES, 0, 50, 0, 12),
        ReaderLag("projector", topics.HEARTBEATS, 0, 5, 700, 900),
    )
    lost, ahead = found(Watched(lags=lags))
    assert (lost.code, lost.severity, lost.about) == ("MESSAGES_LOST", "error", "hub.delivery/ledger.entries")  # fmt: skip
    assert lost.detail.en.startswith("2 messages from offset 5 are gone")
    assert (ahead.code, ahead.severity) == ("READER_AHEAD", "error")


def test_clocks_cluster_disk_and_retention_name_what_to_do() -> None:
    """One of each, and none for those that are well."""
    bad = Watched(
        headrooms=(Headroom("hub.dead-letters", "projector", 1000, 100), Headroom("b", "x", 1000, 900)),
        clocks=(Skew("10611", "campus", -62.4, "broker", 15), Skew("10618", "campus", 0.2, "broker", 15)),
        cluster=Cluster(2, 1, 30, ("ledger.in-0",), ("ledger.in-1",)),
        disk=Disk(GIB // 2, 100 * GIB),
    )  # fmt: skip
    troubled = {trouble.code: trouble for trouble in found(bad)}
    assert set(troubled) == {
        "RETENTION_SHORT", "CLOCK_SKEWED", "PARTITIONS_LEADERLESS", "PARTITIONS_UNDER_REPLICATED", "DISK_LOW",
    }  # fmt: skip
    assert troubled["CLOCK_SKEWED"].title.en == "Chongqing University: clock 62 s slow"
    assert troubled["RETENTION_SHORT"].detail.en == "Kept for 17 min; its oldest unread message may go in 100 s"  # fmt: skip
    assert all(trouble.next_step.en and trouble.next_step.zh for trouble in troubled.values())
    well = Watched(cluster=Cluster(3, 1, 30), disk=Disk(50 * GIB, 100 * GIB))
    assert found(well) == []


def test_a_declared_stream_is_missed_by_name_and_a_member_by_its_past() -> None:
    """The declared one says more, so the learned one keeps quiet beside it."""
    part = ConnectorPart(
        name="source.grades", kind="sql_rows", state="degraded", reason="no records for 3 days; expected every 24 hours, Mon-Fri",
        cursor=None, parked_keys=0, parked_events=0, last_record_at=START - timedelta(days=3), expected_s=86_400, behind_s=None,
    )  # fmt: skip
    facts = Facts(
        heartbeats=(heartbeat("10611", "degraded", parts=[part]), heartbeat("10618"), heartbeat("10610", "paused"))
    )  # fmt: skip
    quiet = Rhythm(START - timedelta(days=5), 86_400.0)
    rhythms = {"10611": quiet, "10618": quiet, "10610": quiet}
    about = {trouble.about: trouble for trouble in found(Watched(), facts, rhythms=rhythms)}
    assert set(about) == {"10611/campus/source.grades", "10618"}
    assert about["10611/campus/source.grades"].detail.en == "Last 3 d ago; expected every 24 h"
    assert about["10618"].detail.en == "Last 5 d ago; usually within 24 h"


def test_an_alert_is_about_one_object() -> None:
    """A trouble that many members share is one line for operators and an alert for each."""
    silent = Facts(heartbeats=tuple(heartbeat(code, at=START - timedelta(hours=1)) for code in CODES[:5]))  # fmt: skip
    about = [one.about for one in findings(troubles(seen(Watched(), silent))) if one.code == "CONNECTOR_SILENT"]  # fmt: skip
    assert about == CODES[:5]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    tables.prepare(made)
    yield made
    made.dispose()


def test_a_rhythm_is_learned_from_the_read_model(engine: Engine) -> None:
    """Three weeks of a batch each night; the newest event is the one that activity tells of."""
    chain = Chain()
    for day in range(21):
        for number in range(5):
            at = START + timedelta(days=day, seconds=number)
            chain.add(request(day * 10 + number, home="10610", at=at))
    fold(engine, {}, chain.taken)
    rhythms = Rhythms(Reader(engine), ["10610", "10611"])
    now = START + timedelta(days=21)
    later = now + timedelta(minutes=5)
    learned = rhythms.at(now, {"10610": activity("10610", 105, later)})
    assert set(learned) == {"10610"}
    assert learned["10610"].usual_s == 86_400
    assert learned["10610"].last_at == later


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AlertStore]:
    made = open_alert_store(f"sqlite:///{tmp_path / 'alerts.db'}")
    yield made
    made._engine.dispose()


def get(app: Starlette, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            return await client.get(path)

    return asyncio.run(ask())


def app_of(engine: Engine, watched: Watched, store: AlertStore | None = None) -> Starlette:
    broker = replace(sample_broker(CODES, [], START), watched=watched)
    return build_app(Reader(engine), ALLIANCE, FakeKafka(broker), lambda: START, alert_store=store)


def test_lag_is_given_by_reader_and_partition(engine: Engine) -> None:
    """Verdict, messages, seconds and losses, and null where nobody knows."""
    watched = Watched(
        groups=(group("hub.delivery", Status.STOP), group(PROJECTOR, Status.OK)),
        lags=(ReaderLag("hub.delivery", topics.LEDGER_ENTRIES, 0, 3, 5, 10, lag_s=61.26),),
        headrooms=(Headroom("a", "x", 1000, 100),),
    )
    said = get(app_of(engine, watched), "/api/v1/lag").json()
    delivery, projector = said["items"]
    assert (delivery["status"], delivery["lag_messages"], delivery["lag_s"]) == ("STOP", 7, 61.3)
    assert delivery["partitions"][0]["lost_messages"] == 2
    assert projector["lag_s"] is None
    assert said["retention"][0]["headroom_s"] == 100


def test_the_cluster_is_given_before_and_after_the_first_look(engine: Engine) -> None:
    """Before it: null, never zero."""
    before = get(app_of(engine, Watched()), "/api/v1/cluster").json()
    assert (before["brokers"], before["disk"], before["clocks"]) == (None, None, [])
    watched = Watched(
        clocks=(Skew("10611", "campus", 6.5, "broker", 3),), cluster=Cluster(2, 1, 30, ("a-0",))
    )
    after = get(app_of(engine, watched), "/api/v1/cluster").json()
    assert (after["brokers"], after["under_replicated"]) == (2, ["a-0"])
    assert after["clocks"][0]["skew_s"] == 6.5


def test_alerts_are_given_with_silences_and_what_waits(engine: Engine, store: AlertStore) -> None:
    """Before the part has run, 503 with what to start; a console without alerts, 404."""
    app = app_of(engine, Watched(), store)
    early = get(app, "/api/v1/alerts")
    assert (early.status_code, early.json()["code"]) == (503, "STORE_UNAVAILABLE")
    assert "alliance run alerts" in early.json()["detail"]
    assert "alliance_alerts" not in get(app, "/metrics").text
    store.prepare()
    bad = Watched(groups=(group(ADMISSION_GROUP, Status.STOP),))
    known, notices = step({}, findings(found(bad)), {"*": Rule(0, 0)}, [], 1000)
    store.store(known, notices, {"error": ("webhook.channel",)}, 1000)
    store.silence(Silence("s1", "*", "*", 2000, "Li", "move", 1000))
    said = get(app, "/api/v1/alerts").json()
    assert [one["code"] for one in said["items"]] == ["READER_STOPPED"]
    assert (said["silences"][0]["active"], said["waiting"][0]["notifier"]) == (
        False,
        "webhook.channel",
    )
    assert get(app, "/api/v1/alerts?state=resolved").json()["items"] == []
    assert 'alliance_alerts{state="firing"} 1.0' in get(app, "/metrics").text
    assert get(app, "/api/v1/alerts?state=odd").json()["code"] == "INVALID_PARAMETER"
    assert get(app, "/api/v1/alerts?page=2").status_code == 400
    assert get(app_of(engine, Watched()), "/api/v1/alerts").status_code == 404
