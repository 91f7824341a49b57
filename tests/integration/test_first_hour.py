"""The first hour of a campus: from `alliance up` to a student of another member who asks for one of its courses.

Every step is a command that a person types, in processes of their own; each says how long it took.
"""

from __future__ import annotations

import difflib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from hub.run.supervisor import alliance_command

pytestmark = pytest.mark.kafka

US = "10611"
MOST_EDITS = 6
MOST_RESIDENT_BYTES = 150_000_000
UP_S = 180


def out(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Hour:
    """Runs commands of `alliance` in one environment and says how long each took."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.began = time.monotonic()
        self.env = {
            **os.environ,
            "ALLIANCE_STATE": str(folder / "state"),
            "ALLIANCE_HTTP": f"127.0.0.1:{free_port()}",
            "ALLIANCE_BOOTSTRAP": "",
            "NO_COLOR": "1",
        }

    def say(self, what: str, since: float) -> None:
        now = time.monotonic()
        out(f"{now - self.began:6.1f} s  {what} ({now - since:.1f} s)")

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        since = time.monotonic()
        done = subprocess.run(
            [*alliance_command(*words)], env=self.env, cwd=self.folder, capture_output=True, text=True, check=False
        )  # fmt: skip
        self.say(f"alliance {' '.join(words[:3])}: exit code {done.returncode}", since)
        return done

    @contextmanager
    def runs(self, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process that stays until the end of the block, and then goes when it is asked to."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*alliance_command(*words)], env=self.env, stdout=log, stderr=log
            )
            try:
                yield process
            finally:
                since = time.monotonic()
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                self.say(f"{name} ended: exit code {process.returncode}", since)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text("utf-8", errors="replace")[-4000:]


def place_of(hour: Hour, process: subprocess.Popen[bytes]) -> dict[str, object]:
    """Where things are, once all of them answer. Skips where no broker can be had, except where CI=true."""
    path = hour.folder / "state" / "up" / "place.json"
    until = time.monotonic() + UP_S
    while not path.exists():
        if process.poll() is not None:
            said = hour.log("up")
            if "no Kafka broker found" in said and os.environ.get("CI") != "true":
                pytest.skip(said)
            pytest.fail(said)
        assert time.monotonic() < until, hour.log("up")
        time.sleep(0.2)
    found: dict[str, object] = json.loads(path.read_text("utf-8"))
    return found


def edited(path: Path, old: str, new: str) -> int:
    """Replace a text in a file; how many lines now differ."""
    before = path.read_text("utf-8")
    after = before.replace(old, new)
    path.write_text(after, "utf-8")
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return sum(line.startswith("+ ") for line in lines)


def test_a_campus_is_connected_with_six_lines_and_seven_commands(tmp_path):
    """Two people of a campus have an hour. What they type is here; what they must change by hand is counted."""
    hour = Hour(tmp_path)
    campus_folder = tmp_path / "my-campus"
    since = time.monotonic()
    with hour.runs("up", "up", "--without", US, "--students", "40") as alliance:
        place = place_of(hour, alliance)
        hour.say("alliance up: everything answers", since)
        campus = place["campuses"][US]

        made = hour.call(
            "connector", "init", str(campus_folder), "--member", US, "--source", "http_poll", "--sink", "http_push",
            "--bootstrap", str(place["bootstrap"]), "--alliance", str(place["alliance"]), "--keys", str(place["keys"]),
            "--events", "all",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        edits = edited(campus_folder / "connector.toml", "https://sis.example/api", campus)
        out(f"          {edits} lines edited")
        assert 0 < edits <= MOST_EDITS

        # The campus has something to tell before anybody listens.
        httpx.post(f"{campus}/sim/phase", json={"phase": "profiles"}).raise_for_status()
        for words in (
            ("lint", str(campus_folder)),
            ("check", str(campus_folder)),
            ("test", str(campus_folder)),
            ("doctor", str(campus_folder)),
        ):
            done = hour.call("connector", *words)
            assert done.returncode == 0, done.stdout + done.stderr
            if words[0] == "check":
                assert "lets us read and write" in done.stdout
        tried = hour.call("connector", "dry-run", str(campus_folder), "--json")
        assert tried.returncode == 0, tried.stdout + tried.stderr
        (source,) = json.loads(tried.stdout)["sources"]
        assert source["records"] == len(source["events"]) > 0
        assert not (campus_folder / "state.db").exists()

        with hour.runs("connector", "connector", "run", str(campus_folder), "--quiet") as connector:
            term = hour.call(
                "sandbox", "term", "--dir", str(tmp_path / "state" / "up"), "--until", "decisions", "--limit-s", "120",
            )  # fmt: skip
            assert term.returncode == 0, term.stdout + term.stderr + hour.log("connector")
            status = httpx.get(f"{campus}/sim/status").json()
            # `sent` counts events of ours that the ledger applied, by type and by whom they concern.
            applied = {event for event, _, count in status["sent"] if count}
            out(
                f"          received {sum(status['received'].values())} events, {len(applied)} types of ours applied"
            )
            assert status["received"]["enrollment.requested"] > 0
            assert {name for name in applied if name.startswith("enrollment.")}

            resident = psutil.Process(connector.pid).memory_info().rss
            out(f"          resident memory of one connector: {resident / 1e6:.0f} MB")
            assert resident < MOST_RESIDENT_BYTES
            said = hour.call("connector", "status", str(campus_folder), "--json")
            facts = json.loads(said.stdout)
            assert facts["running"] is True
            assert facts["parked"] == []
        assert connector.returncode == 0
    assert alliance.returncode == 0
    assert not (tmp_path / "state" / "up" / "place.json").exists()
