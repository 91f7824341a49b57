"""`alliance connector`: exit codes and words."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from connectors.reference.conformance import both_ways
from connectors.sdk.cli.main import app
from connectors.sdk.config import load_config
from connectors.sdk.runtime.host import FolderLock, folders, is_running
from connectors.sdk.testing import Rig, write_alliance, write_folder


@pytest.fixture
def folder(tmp_path):
    write_alliance(tmp_path)
    write_folder(tmp_path, both_ways())
    return tmp_path


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_lint_says_what_it_found(folder):
    """0 well, 2 configuration."""
    assert call("lint", folder).exit_code == 0
    (folder / "connector.toml").write_text("[member]\n", "utf-8")
    assert call("lint", folder).exit_code == 2


def test_check_tells_each_connection_and_fails_with_the_worst(folder):
    """No broker listens on port 1: 3, no connection; the campus is still checked."""
    result = call("check", folder)
    assert result.exit_code == 3
    assert "FAULT kafka: no broker answers at 127.0.0.1:1" in result.stdout
    assert "ok    source.campus" in result.stdout


def test_a_dry_run_publishes_nothing_and_prints_events(folder):
    """The last look before the first event."""
    result = call("dry-run", folder, "-n", "3")
    assert result.exit_code == 0, result.output
    first = json.loads(result.stdout.splitlines()[0])
    assert first["offering.changed"]["host"] == "10611"
    assert not (folder / "state.db").exists()


def test_status_reads_the_state_file(tmp_path):
    """Also while the connector is down, which is when people ask."""
    rig = Rig(tmp_path, both_ways())
    assert call("status", tmp_path).exit_code == 1
    rig.case.happen(2)
    rig.case.spoil()
    asyncio.run(rig.life(lambda: len(rig.hub.applied) == 2 and rig.quiet()))
    result = call("status", tmp_path, "--json")
    facts = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (facts["running"], facts["state"], facts["applied_total"]) == (False, "stopped", 2)
    assert facts["parked"][0]["stage"] == "map"
    assert "someday" in call("status", tmp_path).stdout


def test_one_folder_runs_once(folder):
    """Two copies would publish everything twice and fight over the cursor."""
    config = load_config(folder, {})
    config.state_path.touch()
    assert not is_running(config)
    lock = FolderLock(config)
    assert is_running(config)
    assert call("run", folder).exit_code == 2
    lock.release()


def test_a_folder_of_folders_stands_for_all_of_them(tmp_path):
    """`run sandbox/connectors` instead of twenty names."""
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "connector.toml").touch()
    assert folders([tmp_path]) == [tmp_path / "a", tmp_path / "b"]
    assert folders([tmp_path / "b"]) == [tmp_path / "b"]
