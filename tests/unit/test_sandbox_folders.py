"""`alliance sandbox`: what init writes, the processes, and the driver of a term."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp
from typer.testing import CliRunner

from connectors.sandbox import term
from connectors.sandbox.campus import Campus
from connectors.sandbox.cli import app
from connectors.sandbox.folders import Place, SandboxError, read_places, write_sandbox
from connectors.sandbox.offices.directory import RESOURCES
from connectors.sandbox.server import by_port, campus_app
from connectors.sandbox.term import NotSettled, Progress, run_term, unsettled
from connectors.sdk.config import load_config
from schemas.signing import new_signer
from tests.support.campuses import ALLIANCE, Campuses

ROOT = Path(__file__).parents[2]


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    for base in range(20000, 60000, 100):
        with suppress(OSError):
            for port in range(base, base + count):
                with closing(socket.socket()) as probe:
                    probe.bind(("127.0.0.1", port))
            return base
    raise OSError("no free ports")


def test_the_connector_folders_are_complete_and_correct(tmp_path: Path) -> None:
    """They are what a real campus would write, so they must pass the SDK's own reading."""
    places = write_sandbox(tmp_path, ALLIANCE, "127.0.0.1:9092", 7, 40, 18700)
    (tmp_path / "keys").mkdir()
    lines = [f'[alliance]\nname = "{ALLIANCE.name}"\n']
    for member in ALLIANCE.members.values():
        signer = new_signer()
        (tmp_path / "keys" / f"{member.code}.key").write_bytes(signer.pem())
        lines.append(_member_rows(member, signer.public))
    (tmp_path / "alliance.toml").write_text("\n".join(lines), encoding="utf-8")
    assert len(places) == 20
    for place in places:
        config = load_config(tmp_path / "connectors" / place.code)
        assert config.member.code == place.code
        found = {name: mapping.schema.event for name, mapping in config.sources[0].mappings.items()}
        assert found == RESOURCES


def _member_rows(member: object, public: bytes) -> str:
    import base64

    values = {
        name: getattr(member, name)
        for name in ("code", "name_en", "name_zh", "region", "city", "domain")
    }
    rows = "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
    key = base64.b64encode(public).decode()
    return f'[[member]]\n{rows}\n[[member.key]]\npublic = "{key}"\n'


def test_a_sandbox_is_not_written_over(tmp_path: Path) -> None:
    """Its rows may be on their way to a ledger that keeps them for ever."""
    write_sandbox(tmp_path, ALLIANCE, "127.0.0.1:9092", 7, 20, 18700)
    with pytest.raises(SandboxError, match="name another folder"):
        write_sandbox(tmp_path, ALLIANCE, "127.0.0.1:9092", 7, 20, 18700)


def test_one_seed_makes_the_same_campuses(tmp_path: Path) -> None:
    """A run that went wrong must be there again tomorrow; another seed is another alliance."""
    rows = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        places = write_sandbox(tmp_path / name, ALLIANCE, "127.0.0.1:9092", seed, 40, 18700)
        with closing(Campus(places[3].database)) as campus:
            tables = [
                [tuple(row) for row in campus.store.all(f"SELECT * FROM {table}")]  # noqa: S608, names are fixed
                for table in ("student", "staff", "course", "offering")
            ]
        rows.append(tables)
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_a_folder_without_a_sandbox_says_how_to_make_one(tmp_path: Path) -> None:
    """Exit code 1 and one line, no traceback."""
    with pytest.raises(SandboxError, match="alliance sandbox init"):
        read_places(tmp_path)
    result = CliRunner().invoke(app, ["term", "--dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "alliance sandbox init" in result.output


def test_init_prints_what_is_missing(tmp_path: Path) -> None:
    """The connectors need keys; saying so here saves a search later."""
    result = CliRunner().invoke(
        app,
        [
            "init",
            "--out",
            str(tmp_path),
            "--students",
            "20",
            "--alliance",
            str(ROOT / "alliance.toml"),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "alliance members keygen" in result.output


@contextmanager
def pumped(alliance: Campuses) -> Iterator[dict[int, ASGIApp]]:
    """The alliance's campuses by port, with connector and ledger at work in the background of each request."""
    apps: dict[int, ASGIApp] = {}
    for i, campus in enumerate(alliance.open.values()):
        apps[18700 + i] = campus_app(campus)
    yield apps


async def _led(alliance: Campuses, places: list[Place], shown: list[Progress]) -> None:
    with pumped(alliance) as apps:
        transport = httpx.ASGITransport(by_port(apps))

        async def pump() -> None:
            while True:
                alliance.fetch()
                alliance.deliver()
                await asyncio.sleep(0)

        task = asyncio.create_task(pump())
        try:
            await run_term(places, shown.append, settled_s=0.01, limit_s=60, transport=transport)
        finally:
            task.cancel()


def test_the_driver_leads_a_term_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every phase is shown, ends settled, and the counts add up to all events."""
    monkeypatch.setattr(term, "POLL_S", 0.01)
    alliance = Campuses(tmp_path, students=20)
    places = [Place(code, alliance.paths[code], 18700 + i) for i, code in enumerate(alliance.codes)]
    shown: list[Progress] = []
    asyncio.run(_led(alliance, places, shown))
    alliance.close()
    ended = [progress for progress in shown if progress.settled]
    assert [progress.phase for progress in ended] == list(term.PHASES)
    assert all(progress.done == progress.total for progress in ended)
    assert ended[-1].events == sum(progress.total for progress in ended) == len(alliance.sent())


def test_a_phase_that_does_not_settle_names_campus_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody should have to search twenty campuses."""
    monkeypatch.setattr(term, "POLL_S", 0.01)
    alliance = Campuses(tmp_path, students=20)
    places = [Place(code, alliance.paths[code], 18700 + i) for i, code in enumerate(alliance.codes)]
    with pumped(alliance) as apps:
        transport = httpx.ASGITransport(by_port(apps))
        with pytest.raises(NotSettled) as caught:
            asyncio.run(run_term(places, lambda _: None, limit_s=0.1, transport=transport))
    alliance.close()
    assert "phase profiles did not settle" in str(caught.value)
    assert "campus 10610: 1 changes are open; member.profile-changed" in str(caught.value)


def test_an_event_that_did_not_reach_its_addressee_is_missed() -> None:
    """Applied by the ledger is not yet delivered: the counts of the two sides are compared."""

    def status(member: str, **fields: object) -> dict[str, object]:
        quiet = {
            "member": member,
            "open": 0,
            "oldestOpen": None,
            "work": 0,
            "sent": [],
            "received": {},
        }
        return quiet | fields

    home = status("A", sent=[["enrollment.requested", ["B"], 3]])
    host = status("B", received={"enrollment.requested": 2})
    assert unsettled([home, host]) == [
        "campus B: has 2 of 3 enrollment.requested addressed to it; look at delivery and at its connector"
    ]
    assert unsettled([home, status("B", received={"enrollment.requested": 3})]) == []
    assert "cases wait for its office" in unsettled([status("A", work=1)])[0]


@contextmanager
def served(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The real process, once it says that it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "connectors.sandbox.cli", "campuses", "--dir", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        assert "campuses answer" in process.stdout.readline()
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def test_committed_rows_survive_a_kill_and_sigterm_ends_cleanly(tmp_path: Path) -> None:
    """kill -9 between batches loses nothing; a polite end has exit code 0 even with connections open."""
    base = free_ports(20)
    write_sandbox(tmp_path, ALLIANCE, "127.0.0.1:9092", 7, 20, base)
    url = f"http://127.0.0.1:{base + 4}"
    with served(tmp_path) as process, httpx.Client(base_url=url) as client:
        made = client.post("/sim/phase", json={"phase": "offerings"}).json()["changes"]
        process.send_signal(signal.SIGKILL)
        process.wait()
    with served(tmp_path) as process, httpx.Client(base_url=url) as client:
        assert len(client.get("/changes").json()["items"]) == made
        assert client.post("/sim/phase", json={"phase": "offerings"}).json()["changes"] == 0
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - began < 5


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """With twenty ports one is easily taken."""
    base = free_ports(20)
    write_sandbox(tmp_path, ALLIANCE, "127.0.0.1:9092", 7, 20, base)
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", base + 3))
        other.listen()
        result = CliRunner().invoke(app, ["campuses", "--dir", str(tmp_path)])
    assert result.exit_code == 1
    assert f"port {base + 3} of campus" in result.output
