"""What Prometheus reads: pages that parse, and rules and a dashboard that ask for nothing that is not there."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from prometheus_client.parser import text_string_to_metric_families

from hub.api.metrics import metrics_page
from hub.api.overview import Facts, make_overview
from hub.errors import SettingsError
from hub.store.queries import OutcomeCount
from hub.watch.burrow import Status
from hub.watch.commits import GroupStatus
from hub.watch.exposition import MOST_EVENTS, Counted, address_of, answer, exposed, part_page
from hub.watch.view import Cluster, Disk, Headroom, ReaderLag, Skew, Watched
from schemas.members import load_alliance
from schemas.records import ConnectorPart
from tests.support.readmodel import START, heartbeat, sample_broker

ROOT = Path(__file__).parents[2]
WATCH = ROOT / "hub" / "watch"
ALLIANCE = load_alliance(ROOT / "alliance.toml")
PART = ConnectorPart(
    name="source.grades", kind="sql_rows", state="running", reason="", cursor=None, parked_keys=2, parked_events=3,
    last_record_at=START, expected_s=86_400, behind_s=4,
)  # fmt: skip
WATCHED = Watched(
    groups=(GroupStatus("hub.delivery", Status.STALL, 1.0, ()),),
    lags=(
        ReaderLag("hub.delivery", "ledger.entries", 0, 5, 7, 12, lag_s=61.5),
        ReaderLag("hub.delivery", "ledger.entries", 1, 3, 0, 4, lag_s=2.0),
    ),
    headrooms=(Headroom("hub.dead-letters", "projector", 1000, 100),),
    clocks=(Skew("10611", "campus", 6.5, "broker", 15),),
    cluster=Cluster(2, 1, 30, ("ledger.in-0",)),
    disk=Disk(1024, 4096),
)
CANARY = re.compile(r"\| `(alliance_canary_\w+)")
NAME = re.compile(r"\balliance_[a-z_]+")


def page() -> bytes:
    broker = replace(sample_broker(list(ALLIANCE.members), [], START), watched=WATCHED)
    facts = Facts(
        heartbeats=(heartbeat("10611", parts=[PART]),), outcomes=(OutcomeCount("applied", "", 5),)
    )
    overview = make_overview(ALLIANCE, broker, facts, START)
    return metrics_page(overview, {"firing": 2}, 1)


def samples(text: bytes) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def known() -> dict[str, list[tuple[dict[str, str], float]]]:
    """All samples of both pages. Those of the transparency log need files and are named here."""
    logs = ("alliance_log_signed_size", "alliance_log_witnessed_size")
    none: dict[str, str] = {}
    counted = Counted("admission", "1", lambda: 100.0)
    counted.see(None, "info", {"event": "batch_admitted"})
    pages = samples(page()) | samples(part_page(counted))
    return pages | {name: [(none, 1.0)] for name in logs}


def test_what_watching_found_is_on_the_page() -> None:
    """Seconds are those of the slowest partition, messages those of all."""
    found = samples(page())
    whose = {"reader": "hub.delivery", "topic": "ledger.entries"}
    assert found["alliance_reader_status"] == [({"reader": "hub.delivery"}, 5)]
    assert found["alliance_reader_lag_messages"] == [(whose, 6)]
    assert found["alliance_reader_lag_seconds"] == [(whose, 61.5)]
    assert found["alliance_reader_lost_messages"] == [(whose, 2)]
    assert found["alliance_clock_skew_seconds"][0][1] == 6.5
    assert found["alliance_connector_parked_keys"] == [
        ({"member": "10611", "connector": "campus", "part": "source.grades"}, 2)
    ]
    assert found["alliance_alerts"] == [({"state": "pending"}, 0), ({"state": "firing"}, 2), ({"state": "resolved"}, 0)]  # fmt: skip
    codes = {labels["code"] for labels, _ in found["alliance_troubles"]}
    assert {"READER_STALLED", "MESSAGES_LOST", "RETENTION_SHORT", "CLOCK_SKEWED", "DISK_LOW"} <= codes  # fmt: skip


def test_no_name_is_written_twice_with_the_same_labels() -> None:
    """Prometheus drops the whole page when one sample is on it twice."""
    for name, values in samples(page()).items():
        seen = [tuple(sorted(labels.items())) for labels, _ in values]
        assert len(seen) == len(set(seen)), name


def rules() -> list[dict[str, Any]]:
    text = (WATCH / "prometheus" / "alliance.yml").read_text("utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((WATCH / "grafana" / "alliance.json").read_text("utf-8"))
    return found


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for one in dashboard()["panels"] for target in one.get("targets", ()))  # fmt: skip
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_every_metric_that_is_asked_for_exists_with_its_labels(expression: str) -> None:
    """A rule on a metric that is not there never fires, and nobody notices."""
    found = known()
    names = NAME.findall(expression)
    assert names
    for name in names:
        assert name in found, name
    for name, selector in re.findall(r"(alliance_[a-z_]+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)\s*(?:=~|=|!~|!=)", selector):
            assert all(label in labels for labels, _ in found[name]), (name, label)


def test_rules_say_what_happened_and_what_to_do() -> None:
    """Each has a name of its own, a severity, and two sentences; labels in them are labels of its metric."""
    found = known()
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        words = rule["annotations"]["summary"] + rule["annotations"]["description"]
        labels = found[NAME.findall(rule["expr"])[0]][0][0]
        for label in re.findall(r"\$labels\.(\w+)", words):
            assert label in labels, (rule["alert"], label)


def test_the_dashboard_can_be_imported_as_it_is() -> None:
    """Panel ids are unique, panels lie beside each other, and every one asks the data source that the reader chooses."""
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    assert [one["name"] for one in board["templating"]["list"] if one["type"] == "datasource"] == ["datasource"]  # fmt: skip
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] != "row":
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in sources)
            refs = [target["refId"] for target in panel["targets"]]
            assert len(refs) == len(set(refs))


def test_every_metric_is_in_the_table_and_the_table_has_no_other() -> None:
    """Whoever writes a rule of their own reads the table, not the code."""
    text = (WATCH / "README.md").read_text("utf-8")
    told = {name for row in re.findall(r"^\|([^|]*)\|", text, re.MULTILINE) for name in NAME.findall(row)}  # fmt: skip
    there = {name for name in known() if name.startswith("alliance_")}
    to_come = set(CANARY.findall(text))
    assert to_come
    assert told == there | to_come


def counted() -> Counted:
    now = [100.0]
    made = Counted("admission", "1", lambda: now[0])
    now[0] = 160.0
    return made


def test_lines_of_a_part_are_counted_and_passed_on() -> None:
    """A part logs one line for each batch; the count tells that it works, and the log stays as it was."""
    part = counted()
    line = {"event": "batch_admitted", "messages": 3}
    assert part.see(None, "info", line) is line
    part.see(None, "info", {"event": "batch_admitted"})
    part.see(None, "warning", {"event": "commit_refused"})
    found = samples(part_page(part))
    assert sorted((labels["event"], value) for labels, value in found["alliance_process_log_lines_total"]) == [
        ("batch_admitted", 2), ("commit_refused", 1),
    ]  # fmt: skip
    assert found["alliance_process_last_log_timestamp_seconds"][0][1] == 160.0
    assert found["alliance_process_up_since_timestamp_seconds"][0][1] == 100.0


def test_names_of_lines_are_bounded() -> None:
    """A name that somebody made of data must not fill Prometheus."""
    part = counted()
    for number in range(MOST_EVENTS + 50):
        part.see(None, "info", {"event": f"event {number}"})
    assert len(part.events) == MOST_EVENTS + 1
    assert part.events[("other", "info")] == 50


def test_readiness_comes_with_reasons() -> None:
    """503 alone sends people searching."""
    part = counted()
    assert answer("GET", "/readyz", part)[0] == 200
    part.loop_delay_s = 9
    status, _, body = answer("GET", "/readyz", part)
    assert status == 503
    assert json.loads(body)["reasons"] == ["admission is late by 9 s; give it more of the machine"]
    assert [answer("GET", path, part)[0] for path in ("/livez", "/metrics?x=1", "/else")] == [200, 200, 404]  # fmt: skip
    assert answer("POST", "/metrics", part)[0] == 405


@pytest.mark.parametrize(
    ("base", "asked", "address"),
    [
        ("", "", None),
        ("9400", "", ("127.0.0.1", 9401)),
        ("10.0.0.1:9400", "", ("10.0.0.1", 9401)),
        ("9400", "10.0.0.1:9999", ("10.0.0.1", 9999)),
    ],
)
def test_parts_stand_beside_each_other(base: str, asked: str, address: object) -> None:
    """One variable serves all parts of a machine; they are off where nobody asks."""
    environ = {"ALLIANCE_METRICS_PORT_BASE": base}
    assert address_of("sequencer", ["admission", "sequencer"], environ, asked) == address


@pytest.mark.parametrize("base", ["none", "host:", "0", "65535", "99999999"])
def test_a_base_that_is_no_port_is_refused(base: str) -> None:
    """Named at the start, not found missing in Prometheus."""
    with pytest.raises(SettingsError, match="ALLIANCE_METRICS_PORT_BASE"):
        address_of("sequencer", ["admission", "sequencer"], {"ALLIANCE_METRICS_PORT_BASE": base})


async def asked(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    found = await reader.read()
    writer.close()
    await writer.wait_closed()
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_part_answers_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Over a real socket; what it logs meanwhile is counted."""

    async def story() -> tuple[bytes, bytes]:
        port = free_port()
        async with exposed(counted(), ("127.0.0.1", port)):
            structlog.get_logger("part").info("batch_admitted")
            page = await asked(port, b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            return page, await asked(port, b"HEAD /livez HTTP/1.1\r\nhost: x\r\n\r\n")

    page, head = asyncio.run(story())
    assert page.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'event="batch_admitted",level="info",part="admission"' in page.replace(b" ", b"")
    assert head.endswith(b"\r\n\r\n")
    assert "batch_admitted" in capsys.readouterr().out


def test_an_address_that_is_taken_costs_the_figures_and_nothing_else() -> None:
    """Metrics must never keep the path of value from running."""

    async def story() -> str:
        port = free_port()
        async with exposed(counted(), ("127.0.0.1", port)), exposed(counted(), ("127.0.0.1", port)):
            return "the part"

    assert asyncio.run(story()) == "the part"
