"""`alliance connector sample`, `dry-run`, `check` and `doctor`: looking without leaving a trace."""

import asyncio
import json
import os
import sqlite3
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from connectors.reference.conformance import both_ways
from connectors.sdk.cli import rights
from connectors.sdk.cli.checks import expiry, machine, skew, wanted_topics
from connectors.sdk.cli.main import app
from connectors.sdk.cli.trying import attempt, begun
from connectors.sdk.config import load_config
from connectors.sdk.testing import START, US, FakeClock, write_alliance, write_folder
from schemas import topics

DROP = """
[source.courses]
kind = "file_drop"
location = "drop"
pattern = "*.jsonl"
mode = "changes"
format = { type = "jsonl" }
ready = { type = "rename" }
mapping = "mapping/offering.toml"
"""


@pytest.fixture
def folder(tmp_path):
    write_alliance(tmp_path)
    write_folder(tmp_path, both_ways())
    return tmp_path


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_sample_is_the_raw_record(folder):
    """Mappings are written by looking at records, not at documentation."""
    result = call("sample", folder, "-n", "1")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    found = json.loads(line)
    assert (found["source"], found["record"]["resource"]) == ("campus", "offering")
    assert "leaves this machine" in result.stderr
    assert not (folder / "state.db").exists()


def test_a_source_that_is_not_there_is_named(folder):
    """With those that are."""
    result = call("sample", folder, "--source", "camps")
    assert result.exit_code == 2
    assert "write one of campus" in result.stderr


def test_a_dry_run_tells_refusals_and_coverage_and_fails(folder):
    """The office sees what its tables lack before anything is parked."""
    path = folder / "mapping" / "offering.toml"
    text = path.read_text("utf-8").replace('path = "startDate"', 'path = "began"')
    assert 'path = "began"' in text
    path.write_text(text, "utf-8")
    result = call("dry-run", folder, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    (source,) = told["sources"]
    assert told["published"] == 0
    assert [one["code"] for one in source["refused"]] == ["MAP_MISSING"]
    assert source["coverage"]["mappings"][0]["refused"][0]["records"] == 1
    plain = call("dry-run", folder, "--no-show")
    assert "FAULT change 1" in plain.stdout
    assert "refused: MAP_MISSING" in plain.stdout


def test_a_dry_run_counts_what_it_read(folder):
    """`ignore` passes records over by name: neither event nor refusal."""
    toml = folder / "connector.toml"
    toml.write_text(toml.read_text("utf-8").replace('select = "resource"', 'select = "resource"\nignore = ["offering"]'), "utf-8")  # fmt: skip
    config = load_config(folder, {})

    async def tried():
        found = begun(config.sources[0])
        await attempt(config, config.sources[0], FakeClock(), found, count=5)
        return found

    found = asyncio.run(tried())
    assert (found.records, found.left_out, found.events, found.refused) == (1, 1, [], [])


def test_check_says_all_of_it_as_json(folder):
    """Monitoring asks as people do."""
    result = call("check", folder, "--json")
    assert result.exit_code == 3
    states = {one["what"]: one["state"] for one in json.loads(result.stdout)}
    assert states == {"kafka": "fault", "source.campus": "ok", "sink.campus": "ok"}


def test_the_topics_asked_for_are_those_a_connector_uses(folder):
    """A right that is asked for too late stops it in the night."""
    wanted = wanted_topics(load_config(folder, {}))
    assert wanted[topics.outbox(US)] == rights.WRITE
    assert wanted[topics.inbox(US)] == rights.READ
    assert wanted[topics.COMMAND_ANSWERS] == rights.WRITE


def test_a_right_that_is_missing_is_named_and_one_not_told_is_not():
    """Brokers without authorization, and old ones, must not look like refusals."""
    wanted = {"out": rights.WRITE, "in": rights.READ, "old": rights.READ}
    found = {"out": frozenset({rights.READ}), "in": frozenset({rights.READ})}
    assert rights.lacking(found, wanted) == ["write out"]


def doctor(folder):
    async def checks():
        return {one.what: one async for one in machine(load_config(folder, {}), FakeClock())}

    return asyncio.run(checks())


def test_the_doctor_finds_a_key_that_others_may_read(folder):
    """Whoever reads it can speak for the whole university."""
    (folder / f"{US}.key").chmod(0o644)
    found = doctor(folder)[f"{US}.key"]
    assert found.state == "warning"
    assert "chmod 600" in found.said
    (folder / f"{US}.key").chmod(0o600)
    assert doctor(folder)[f"{US}.key"].state == "ok"


def test_the_doctor_looks_through_our_files(folder):
    """A damaged state file shows today, not at the next restart."""
    path = folder / "state.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
        db.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 200)
    db.close()
    assert doctor(folder)["state.db"].state == "ok"
    content = bytearray(path.read_bytes())
    content[8192:12288] = os.urandom(4096)
    path.write_bytes(content)
    assert doctor(folder)["state.db"].state == "fault"


@pytest.mark.parametrize(
    ("date", "state"),
    [
        ("Tue, 01 Sep 2026 00:00:10 GMT", "ok"),
        ("Tue, 01 Sep 2026 00:02:00 GMT", "warning"),
        ("Mon, 31 Aug 2026 23:58:00 GMT", "warning"),
        ("yesterday", "ok"),
        (None, "ok"),
    ],
)
def test_a_clock_that_is_off_is_told(date, state):
    """Changes since a time are lost or seen twice when two clocks differ; a server that tells no time is none to blame."""
    assert skew("sis.example", date, START).state == state


@pytest.mark.parametrize(
    ("end", "state"), [("Sep 10 00:00:00 2026 GMT", "warning"), ("Dec 1 00:00:00 2026 GMT", "ok")]
)
def test_a_certificate_that_ends_soon_is_told(end, state):
    """In the week before, not in the night after."""
    assert expiry("sis.example", end, START).state == state
    assert datetime(2026, 9, 1, tzinfo=UTC) == START


def test_doctor_takes_the_worst_of_machine_and_connections(folder):
    """No broker here: 3, though all else is well."""
    result = call("doctor", folder, "--json")
    assert result.exit_code == 3
    assert {"versions", "disk", "kafka"} <= {one["what"] for one in json.loads(result.stdout)}
