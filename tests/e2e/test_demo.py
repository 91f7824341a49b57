"""The demo as a newcomer runs it: one command, one JSON object as the last line, every figure counted."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kafka]

ROOT = Path(__file__).parents[2]
FIELDS = {
    "members", "events", "outcomes", "lost", "doubled", "unreconciled", "invariants", "ledger_head", "seconds",
    "events_per_s", "latency_ms", "receipts", "verify", "period",
}  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.usefixtures("broker")  # so that a machine without Java skips here as everywhere
def test_a_small_term_ends_with_campuses_and_ledger_agreeing(tmp_path: Path) -> None:
    """The whole system in its own processes: nothing lost, nothing doubled, every campus database reconciled."""
    environment = {
        **os.environ,
        "ALLIANCE_STATE": str(tmp_path),
        "ALLIANCE_HTTP": f"127.0.0.1:{free_port()}",
        "ALLIANCE_BOOTSTRAP": "",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hub", "demo", "--exit", "--json", "--students", "200"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result.keys() >= FIELDS
    assert result["members"] == 20
    assert (result["lost"], result["doubled"], result["unreconciled"]) == (0, 0, 0)
    assert result["invariants"] == "ok"
    assert result["ledger_entries"] >= sum(result["outcomes"].values()) > 3000
    assert len(result["events_by_type"]) == 27
    assert min(result["events_by_type"].values()) > 0, result["events_by_type"]
    assert result["receipts"]["overdue"] == result["receipts"]["waiting"] == 0
    assert result["receipts"]["final"] >= result["events"]
    assert result["verify"] == "ok"
    assert result["verified_invariants"].keys() >= {f"I{number}" for number in range(1, 16)}
    assert result["flags"]["expired"] > 0, (
        "nobody answers some requests, and the ledger's clock ends them"
    )
    assert result["outcomes"]["rejected"] > 0, (
        "the term contains mistakes, and they must be refused"
    )
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"]
