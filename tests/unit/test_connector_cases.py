"""`alliance connector test`: cases of mappings."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.sdk.cli.main import app
from connectors.sdk.mapping.cases import differences, run_cases
from connectors.sdk.testing import OFFERING_MAPPING, offering_row

ROOT = Path(__file__).parents[2]
SHIPPED = ("connectors/reference/sample", "connectors/sandbox/connector_template")

EVENT = '[expect]\ncapacity = 30\ncredits = { value = 2.5 }\nterm = { academic_year = "2026-2027" }\n'  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mapping").mkdir()
    (tmp_path / "mapping" / "offering.toml").write_text(OFFERING_MAPPING, "utf-8")
    (tmp_path / "cases" / "offering").mkdir(parents=True)
    (tmp_path / "cases" / "offering" / "row.json").write_text(json.dumps(offering_row(1)), "utf-8")
    return tmp_path


def case(folder, text, name="one"):
    (folder / "cases" / "offering" / f"{name}.toml").write_text(text, "utf-8")


def call(*words):
    return CliRunner().invoke(app, ["test", *(str(word) for word in words)])


@pytest.mark.parametrize("shipped", SHIPPED)
def test_the_cases_we_ship_pass(shipped):
    """They are what a campus copies from."""
    report = run_cases(ROOT / shipped)
    assert report.findings
    assert not report.failed, "\n".join(report.lines())


def test_a_case_passes_whose_fields_come_out_as_expected(folder):
    """Amounts are compared as numbers and times as moments; fields that are not named may be anything."""
    case(folder, f'file = "row.json"\nexpect_empty = ["min_students"]\n{EVENT}envelope = {{ occurred_at = "2026-09-01T16:00:00+08:00" }}\n')  # fmt: skip
    result = call(folder)
    assert result.exit_code == 0, result.output
    assert "ok     cases/offering/one.toml" in result.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[expect]\ncapacity = 31\n", "capacity: wanted 31, found 30"),
        ('[expect]\ntitles = [{ value = "x" }]\n', "titles[0].value: wanted 'x', found 'Course 1'"),
        ("[expect]\nteachers = [1]\n", "teachers: wanted 1 items, found 0 items"),
        ("[expect]\nkapacity = 31\n", "kapacity: wanted 31, found no such field; it has envelope, "),
        ('[expect_error]\ncode = "MAP_MISSING"\n', "wanted the refusal MAP_MISSING, found an event"),
        ('expect_empty = ["capacity"]\n', "capacity: wanted nothing, found 30"),
    ],
)  # fmt: skip
def test_a_case_that_fails_says_field_wanted_and_found(folder, text, said):
    """Exit 1, so that an office's pipeline stops before a wrong mapping runs."""
    case(folder, f'file = "row.json"\n{text}')
    result = call(folder)
    assert result.exit_code == 1
    assert "FAILED cases/offering/one.toml" in result.stdout
    assert said in result.stdout


def test_a_refusal_can_be_expected_by_code_field_and_words(folder):
    """What must not pass is half of what a mapping does."""
    given = "[given]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in offering_row(1, credits="many").items() if key != "titles")  # fmt: skip
    case(folder, f'{given}\n[expect_error]\ncode = "MAP_CONVERT"\nfield = "credits.value"\nsays = "many"\n')  # fmt: skip
    assert call(folder).exit_code == 0
    case(folder, f'{given}\n[expect_error]\ncode = "MAP_MISSING"\nfield = "capacity"\nsays = "few"\n')  # fmt: skip
    result = call(folder, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["passed"], found["failed"]) == (0, 1)
    assert [line.partition(":")[0] for line in found["cases"][0]["differences"]] == [
        "wanted the refusal MAP_MISSING, found MAP_CONVERT",
        "wanted a refusal of capacity, found one of credits.value",
        "wanted a refusal that says 'few', found",
    ]


def test_mappings_without_cases_are_noted(folder):
    """A note, not a failure: whoever has tested nothing yet may start with one."""
    result = call(folder)
    assert result.exit_code == 0
    assert "note: no case for 1 mappings: offering" in result.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[expect]\na = 1\n", "write the record as [given], or name its JSON file in file"),
        ('file = "gone.json"\n[expect]\na = 1\n', "one.toml:1: file: cannot read gone.json"),
        ('file = "row.json"\n', "write [expect] for an event, or [expect_error] for a refusal"),
        ('file = "row.json"\n[expekt]\na = 1\n', "one.toml:2: expekt: no such key; did you mean expect?"),
        ('file = "row.json"\nx = yes\n', "one.toml:2: not TOML"),
    ],
)  # fmt: skip
def test_a_faulty_case_is_refused_with_its_line(folder, text, said):
    """Exit 2: nothing was tested."""
    case(folder, text)
    result = call(folder)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_case_of_a_mapping_that_is_not_there_is_refused(folder):
    """A mapping was renamed and its cases were not."""
    (folder / "mapping" / "offering.toml").rename(folder / "mapping" / "course.toml")
    case(folder, f'file = "row.json"\n{EVENT}')
    result = call(folder)
    assert result.exit_code == 2
    assert "offering.toml: No such file" in result.stderr
    assert call(folder / "cases").exit_code == 2


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        (2.5, "2.500", True),
        ("2.500", "2.500", True),
        ("2.5", "2.500", False),  # two texts: a label is not an amount
        (True, 1, False),
        (1, True, False),
        ("2026-09-01T08:00:00+08:00", "2026-09-01T00:00:00Z", True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ([1], [1, 2], False),
        ({"a": 1}, None, False),
    ],
)
def test_objects_may_hold_more_and_lists_may_not(wanted, found, same):
    """A list that grew by an item is another fact; an event that got a field is not."""
    assert (not list(differences(wanted, found, "x"))) == same
