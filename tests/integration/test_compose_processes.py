"""The pilot without containers: what `docker-compose.yml` starts, as plain processes on a broker of their own.

Commands, environment and volumes are the file's; only addresses and paths are put in their place outside a container,
and SQLite stands in for PostgreSQL. So this shows that the file's parts fit together, not that the image builds.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.broker import private_broker
from tests.support.compose import Service, our_services, outside, outside_words, services

pytestmark = pytest.mark.kafka
PATIENCE_S = 60.0


@pytest.fixture
def pilot(tmp_path: Path) -> Iterator["Pilot"]:
    with private_broker(tmp_path / "broker") as broker:
        yield Pilot(broker.bootstrap, tmp_path / "volumes")


class Pilot:
    """Runs services of the file as processes."""

    def __init__(self, bootstrap: str, volumes: Path) -> None:
        self.bootstrap = bootstrap
        self.volumes = volumes
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.http = f"127.0.0.1:{probe.getsockname()[1]}"
        for service in our_services():
            for source, _ in service.mounts:
                if "/" not in source:
                    (volumes / source).mkdir(parents=True, exist_ok=True)

    def environment(self, service: Service) -> dict[str, str]:
        """The service's variables and no others of ours; `alliance` and `python` are those of these tests."""
        given = {n: outside(v, service, self.volumes) for n, v in service.environment.items()}
        replaced = {
            "ALLIANCE_BOOTSTRAP": self.bootstrap,
            "ALLIANCE_DATABASE": f"sqlite:///{self.volumes}/hub.db",
            "ALLIANCE_HTTP": self.http,
        }
        kept = {n: v for n, v in os.environ.items() if not n.startswith("ALLIANCE_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return kept | {n: replaced.get(n, v) for n, v in given.items()} | {"PATH": path}

    def run(self, service: Service, words: list[str]) -> subprocess.CompletedProcess[str]:
        """Run one command of a service to its end."""
        command = [word.replace("127.0.0.1:8700", self.http) for word in words]
        return subprocess.run(
            outside_words(command, service, self.volumes),
            env=self.environment(service),
            cwd=self.volumes,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    @contextmanager
    def running(self, started: list[Service]) -> Iterator[None]:
        """The services' processes, ended by SIGTERM; each must end by itself and well."""
        processes = {}
        for service in started:
            with (self.volumes / f"{service.name}.log").open("wb") as output:
                processes[service.name] = subprocess.Popen(
                    outside_words(service.command, service, self.volumes),
                    env=self.environment(service),
                    cwd=self.volumes,
                    stdout=output,
                    stderr=output,
                )
        try:
            yield
            for process in processes.values():
                process.send_signal(signal.SIGTERM)
            codes = {name: process.wait(20) for name, process in processes.items()}
            asked = (0, -signal.SIGTERM)  # uvicorn ends in order, then raises the signal again
            assert {n: code for n, code in codes.items() if code not in asked} == {}, self.logs()
        finally:
            for process in processes.values():
                process.kill()
                process.wait()

    def logs(self) -> str:
        """The last lines of each process."""
        return "\n".join(
            f"--- {log.stem}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:])
            for log in sorted(self.volumes.glob("*.log"))
        )

    def ask(self, path: str) -> dict[str, object]:
        """The API's answer, empty while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=5) as answer:
                found: dict[str, object] = json.load(answer)
                return found
        except OSError:
            return {}

    def until(self, what: str, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f"{what} did not come\n{self.logs()}"
            time.sleep(0.5)


def test_the_two_campuses_of_the_pilot_send_each_other_students(pilot):
    """The first thing a newcomer sees: requests accepted on both sides, healthy services, and an orderly end."""
    setup = services()["setup"]
    for _ in range(2):  # each start of the pilot runs it again
        done = pilot.run(setup, setup.command)
        assert done.returncode == 0, done.stderr
    started = [service for service in our_services() if service.name != "setup"]
    with pilot.running(started):
        pilot.until("an accepted request at each campus", lambda: deciders(pilot) == codes(started))
        for service in started:
            if (
                service.health_test and service.health_test[0] != "grep"
            ):  # that one reads a container's own sockets
                pilot.until(
                    f"health of {service.name}",
                    lambda service=service: pilot.run(service, service.health_test).returncode == 0,
                )
        health = pilot.ask("/api/v1/health")
        assert [t["code"] for t in health["troubles"]] == ["MEMBERS_ABSENT"], health


def codes(started: list[Service]) -> set[str]:
    return {s.environment["ALLIANCE_MEMBER"] for s in started if "ALLIANCE_MEMBER" in s.environment}


def deciders(pilot: Pilot) -> set[str]:
    """Members whose acceptance of a student the ledger has applied."""
    entries = pilot.ask("/api/v1/ledger/entries?limit=1000&outcome=applied").get("items", [])
    return {e["member"] for e in entries if e["event_type"] == "enrollment.decided"}
