"""`alliance connector lint`: what can run and would still surprise, each with file, line and fix, all at once."""

import json

import pytest
from typer.testing import CliRunner

from connectors.reference.conformance import both_ways
from connectors.sdk.cli.lint import EDIT, faults_of, findings_of
from connectors.sdk.cli.main import app
from connectors.sdk.config import FILE, load_config
from connectors.sdk.testing import write_alliance, write_folder


@pytest.fixture
def folder(tmp_path):
    write_alliance(tmp_path)
    write_folder(tmp_path, both_ways())
    return tmp_path


def lint(folder, *words):
    return CliRunner().invoke(app, ["lint", str(folder), *words])


def findings(folder):
    return findings_of(load_config(folder, {}))


def line_of(folder, text):
    lines = (folder / FILE).read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def edit(folder, old, new):
    path = folder / FILE
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")


def test_a_folder_in_order_has_no_findings(folder):
    """Else people learn to look past them."""
    assert findings(folder) == []
    assert lint(folder).exit_code == 0


def test_mappings_tables_and_cases_that_nobody_uses_are_found(folder):
    """A file that looks like it counts and does not is corrected for hours."""
    (folder / "mapping" / "spare.toml").write_text("[event]\n", "utf-8")
    (folder / "codes").mkdir()
    (folder / "codes" / "grade.csv").write_text("local,alliance\n", "utf-8")
    (folder / "cases" / "offerings").mkdir(parents=True)
    found = findings(folder)
    assert [one.severity for one in found] == ["warning"] * 3
    assert {one.file.rpartition("/")[2] for one in found} == {
        "spare.toml",
        "grade.csv",
        "offerings",
    }
    assert lint(folder).exit_code == 1


def test_a_code_table_that_a_mapping_reads_is_used(folder):
    """Also where it stands deep in a list's fields."""
    (folder / "codes").mkdir()
    (folder / "codes" / "mode.csv").write_text("local,alliance\na,online\n", "utf-8")
    path = folder / "mapping" / "offering.toml"
    text = path.read_text("utf-8")
    path.write_text(text.replace('mode = { const = "online" }', 'mode = { path = "m", codes = "mode" }'), "utf-8")  # fmt: skip
    assert 'codes = "mode"' in path.read_text("utf-8")
    assert findings(folder) == []


def test_an_event_that_no_sink_can_wait_for_is_found_with_the_nearest_name(folder):
    """A misspelled type is a delivery that never comes."""
    edit(folder, "[sink.campus]\n", '[sink.campus]\nevents = ["credit.award"]\n')
    (found,) = findings(folder)
    assert "credit.award" in found.what
    assert "did you mean" in found.what
    assert found.line == line_of(folder, "events = ")


def test_a_sink_that_brings_nothing_is_found(folder):
    """It runs, is well, and does nothing."""
    edit(folder, "[sink.campus]\n", "[sink.campus]\nevents = []\noutcomes = false\nflags = false\n")
    (found,) = findings(folder)
    assert "brings nothing" in found.what


def test_two_sources_of_one_event_are_a_note(folder):
    """It may be meant: two systems, different courses. So it does not fail."""
    edit(
        folder,
        "[sink.campus]\n",
        '[source.other]\nkind = "reference"\nmapping = "mapping/offering.toml"\n[sink.campus]\n',
    )
    (found,) = findings(folder)
    assert (found.severity, found.line) == ("note", line_of(folder, "[source.other]"))
    assert lint(folder).exit_code == 0


def test_lines_left_to_edit_are_named(folder):
    """A placeholder that was forgotten shows before the first connection fails."""
    edit(
        folder,
        '[source.campus]\nkind = "reference"',
        f'[source.campus]\nkind = "reference"  {EDIT}',
    )
    (found,) = findings(folder)
    assert (found.severity, found.key) == ("note", "kind")


def test_what_cannot_run_is_told_as_findings_too(folder):
    """A program that reads the JSON gets file, line and key of each."""
    edit(folder, '[source.campus]\nkind = "reference"', '[source.campus]\nkind = "referense"')
    result = lint(folder, "--json")
    (found,) = json.loads(result.stdout)["findings"]
    assert result.exit_code == 2
    assert (found["severity"], found["key"]) == ("fault", "source.campus.kind")
    assert found["line"] == line_of(folder, "referense")
    assert "did you mean reference?" in found["what"]


def test_a_fault_that_names_no_file_is_kept_whole():
    """Nothing may get lost on the way to JSON."""
    (found,) = faults_of("something else")
    assert (found.file, found.line, found.what) == ("", None, "something else")


def test_a_folder_that_is_none_says_how_to_make_one(tmp_path):
    """The first thing that anybody types wrong."""
    result = lint(tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "alliance connector init" in result.stderr
