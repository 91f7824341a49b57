"""The measures of connectors measure what they say: all of it arrives, and nothing fails in silence."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from connectors.bench import cli
from connectors.bench.compare import diff, export
from connectors.bench.mappings import cheapest_us
from connectors.bench.whole import WAYS
from connectors.sdk.discovery import kinds


def test_each_measure_finishes_with_all_its_events():
    """A kind that parks everything would be the fastest of all."""
    report = cli.measured(1_000)
    assert set(report["kinds"]) == set(WAYS)
    assert [name for name, found in report["kinds"].items() if "error" in found] == []
    assert all(found["events"] > 0 for found in report["kinds"].values())


def test_every_kind_of_ours_has_a_measure():
    """A new kind is compared with its neighbors, or says in its README why not."""
    measured = {name.partition(" ")[0] for name in WAYS}
    assert set(kinds()) - measured == set()


def test_the_comparison_finds_what_differs(tmp_path):
    """Each hundredth row changes from export to export; `diff` raises when it finds others."""
    assert diff(tmp_path, 1_000) > 0
    export(tmp_path / "one", 200, 0)
    export(tmp_path / "other", 200, 1)
    pairs = zip(
        (tmp_path / "one").read_text().splitlines(),
        (tmp_path / "other").read_text().splitlines(),
        strict=True,
    )
    assert sum(one != other for one, other in pairs) == 2


def test_the_cheapest_round_counts():
    """Other work on the machine only ever adds."""
    assert cheapest_us(lambda: None, 100) < cheapest_us(lambda: sum(range(2_000)), 100)


def test_a_report_keeps_what_the_file_held(tmp_path, monkeypatch):
    """The figures of the hub stand in the same file."""
    out = tmp_path / "bench.json"
    out.write_text('{"ledger": 1}')
    monkeypatch.setattr(cli, "measured", lambda part, postgres: {"part": part})
    done = CliRunner().invoke(cli.app, ["--quick", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text()) == {"ledger": 1, "connectors": {"part": 10}}
    assert json.loads(done.stdout) == {"part": 10}
