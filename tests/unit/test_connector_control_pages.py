"""What a connector process serves at `runtime.http`: Connect's dialect, health and metrics."""

import asyncio
import json
import socket
import urllib.request
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from connectors.reference.conformance import both_ways
from connectors.sdk.contract import ConfigError
from connectors.sdk.runtime.connect_server import Pages, metrics, pages_app, serve_pages
from connectors.sdk.state.commands import Command
from connectors.sdk.testing import START, FakeClock, Rig, write_folder
from schemas.records import Heartbeat


@dataclass
class Run:
    """One connector of the process."""

    newest: Heartbeat | None
    name: str = "10611.campus"
    heartbeat_s: float = 2
    asked: list[Command] = field(default_factory=list)

    def ask(self, command: Command) -> None:
        self.asked.append(command)


@pytest.fixture
def beat(tmp_path) -> Heartbeat:
    """What a connector of the reference kind really says."""
    rig = Rig(tmp_path, both_ways())
    rig.case.happen(2)
    asyncio.run(rig.life(lambda: any(b.published_total == 2 for b in rig.hub.heartbeats)))
    return next(b for b in rig.hub.heartbeats if b.published_total == 2)


def pages(*runs: Run, later_s: float = 0) -> Pages:
    clock = FakeClock()
    at = max((run.newest.at for run in runs if run.newest), default=START)
    clock.now = lambda: at + timedelta(seconds=later_s)
    return Pages(runs, clock, lambda: "id-1")


def get(of: Pages, path: str, method: str = "GET", query: str = ""):
    page = of.page(method, path, query, "somebody")
    return page.status, json.loads(page.body) if page.body[:1] in (b"{", b"[") else page.body


def test_the_dialect_is_served_of_this_process_and_orders_become_commands(beat):
    """A monitoring tool at the campus needs no hub."""
    run = Run(beat)
    of = pages(run)
    assert get(of, "/connectors") == (200, ["10611.campus"])
    status, body = get(of, "/connectors/10611.campus/status")
    assert (status, len(body["tasks"])) == (200, 2)
    assert get(of, "/connectors/10611.campus/pause", "PUT")[0] == 202
    assert [(one.id, one.verb, one.by) for one in run.asked] == [("id-1", "pause", "somebody")]


def test_plugins_are_all_kinds_of_this_installation_with_their_options(beat):
    """Tools show what a campus could connect."""
    _, found = get(pages(Run(beat)), "/connector-plugins")
    assert {"class": "http_poll", "type": "source"}.items() <= next(p for p in found if p["class"] == "http_poll").items()  # fmt: skip
    _, keys = get(pages(Run(beat)), "/connector-plugins/reference/config")
    assert "seats" in {key["name"] for key in keys}


def test_ready_says_which_connector_is_not_and_why(beat, tmp_path):
    """A process manager reads the number, a person the reason."""
    assert get(pages(Run(beat)), "/readyz")[0] == 200
    status, body = get(pages(Run(beat), later_s=60), "/readyz")
    assert (status, body["reasons"]) == (503, {"10611.campus": "no heartbeat"})
    status, body = get(pages(Run(None)), "/readyz")
    assert (status, body["reasons"]) == (503, {"10611.campus": "no heartbeat"})
    assert get(pages(Run(None)), "/livez")[0] == 200


def test_a_silent_connector_is_unassigned_and_the_worker_unhealthy(beat):
    """The process answers, but its connector hangs."""
    of = pages(Run(beat), later_s=60)
    assert get(of, "/connectors/10611.campus/status")[1]["connector"]["state"] == "UNASSIGNED"
    assert get(of, "/health")[0] == 500


def test_metrics_are_prometheus_text_with_a_help_line_for_each_name(beat):
    """Prometheus refuses a page with one line it cannot read."""
    parser = pytest.importorskip("prometheus_client.parser")
    text = metrics([beat])
    found = {family.name: family for family in parser.text_string_to_metric_families(text)}
    states = {s.labels["state"]: s.value for s in found["hub_connector_state"].samples}
    assert states["running"] == 1
    assert sum(states.values()) == 1
    assert found["hub_events_published"].samples[0].value == 2
    assert all(family.documentation for family in found.values())


def test_a_label_with_quotes_does_not_break_the_page():
    """Versions and names come from files that people write."""
    parser = pytest.importorskip("prometheus_client.parser")
    odd = Heartbeat("10611", 'a"b\\c\nd', "1", "running", "", "", 0, 0, 0, 0, START, "", (), (), (), "", 0, None)  # fmt: skip
    (family, *_) = parser.text_string_to_metric_families(metrics([odd]))
    assert family.samples[0].labels["connector"] == '10611.a"b\\c\nd'


def test_a_browser_orders_nothing():
    """No page of ours asks; a browser that does is led by another site."""
    sent = []

    async def send(message) -> None:
        sent.append(message)

    run = Run(None)
    scope = {"type": "http", "method": "POST", "path": "/connectors/x/restart", "query_string": b"", "headers": [(b"origin", b"http://elsewhere")]}  # fmt: skip
    asyncio.run(pages_app(pages(run))(scope, None, send))
    assert sent[0]["status"] == 403


def test_it_is_served_on_a_port_until_it_ends(beat):
    """With the real server: one request of a real client, and the port free again afterwards."""
    pytest.importorskip("uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()

    def fetch() -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{address[1]}/livez") as reply:
            return reply.status

    async def story() -> None:
        serving = asyncio.create_task(serve_pages(pages(Run(beat)), address))
        for _ in range(100):
            await asyncio.sleep(0.05)
            try:
                assert await asyncio.to_thread(fetch) == 200
                break
            except OSError:
                continue
        else:
            pytest.fail("nobody answered")
        with pytest.raises(ConfigError, match="cannot listen"):
            await serve_pages(pages(Run(beat)), address)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(story())
    socket.create_server(address).close()


@pytest.mark.parametrize("text", ["8089", "127.0.0.1:", "127.0.0.1:99999", ":80"])
def test_an_address_is_host_and_port(tmp_path, text):
    """A port alone would listen to the whole campus."""
    case = both_ways()
    case.tables = f'[runtime]\nhttp = "{text}"\n' + case.tables
    Rig(tmp_path, both_ways())  # writes the alliance
    with pytest.raises(ConfigError, match=r"runtime.http.*host:port"):
        write_folder(tmp_path, case)
