"""Coverage: what mappings and tables met in the data, and what of the data nobody reads."""

import json

import pytest

from connectors.sdk.contract import Permanent
from connectors.sdk.mapping.coverage import Coverage
from connectors.sdk.mapping.event import MappingError, load_mapping
from connectors.sdk.mapping.expressions import paths_of
from connectors.sdk.testing import OFFERING_MAPPING, offering_row

MODE = 'mode = { const = "online" }'


@pytest.fixture
def covered(tmp_path):
    """A function from mapping changes, table and rows to the coverage of those rows."""

    def make(rows, *changes, mode="local,alliance\n1,online\n2,hybrid\n3,blended\n", also=()):
        text = OFFERING_MAPPING
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "codes").mkdir(exist_ok=True)
        (tmp_path / "mapping").mkdir(exist_ok=True)
        (tmp_path / "codes" / "mode.csv").write_text(mode, "utf-8")
        path = tmp_path / "mapping" / "offering.toml"
        path.write_text(text, "utf-8")
        mapping = load_mapping(path, tmp_path / "codes", member="10611", connector="sis")
        coverage = Coverage([mapping], also)
        for row in rows:
            try:
                result = mapping.record(row)
            except MappingError as error:
                result = error
            coverage.add(mapping, row, result)
        return coverage

    return make


CODED = (MODE, 'mode = { path = "how", codes = "mode" }')


def test_a_table_says_how_many_local_values_it_has_and_which_rows_lack_one(covered):
    """One line in the table would bring twelve grades: that is the sentence an office can act on."""
    rows = [offering_row(i, how=str(i % 2 + 1)) for i in range(8)]
    rows += [offering_row(9, how="5,0 (Täuschung)") for _ in range(12)]
    coverage = covered(rows, CODED)
    assert coverage.lines()[-2:] == [
        'codes/mode.csv: 2 of 3 local values mapped; unmapped: "5,0 (Täuschung)" (12 rows)',
        "  never used: 3",
    ]
    table = coverage.to_json()["tables"][0]
    assert table["unmapped"] == [{"local": "5,0 (Täuschung)", "rows": 12}]
    assert (table["values"], table["mapped"], table["neverUsed"]) == (3, 2, ["3"])


def test_refusals_are_counted_by_cause(covered):
    """Forty records of one cause are one thing to do."""
    rows = [offering_row(1, how="x"), offering_row(2, how="y"), offering_row(3, how="1"), offering_row(4, how="1", credits="many")]  # fmt: skip
    coverage = covered(rows, CODED)
    assert coverage.refused() == 3
    assert coverage.lines()[:3] == [
        "mapping/offering.toml (offering.changed): 4 records, 1 mapped, 3 refused",
        "  refused: MAP_UNKNOWN_CODE mode (2 records)",
        "  refused: MAP_CONVERT credits.value (1 record)",
    ]


def test_a_value_that_a_policy_replaces_is_still_told(covered):
    """Replaced is not mapped: the office should know what it guesses."""
    coverage = covered([offering_row(1, how="x")], (MODE, 'mode = { path = "how", codes = "mode", unknown_code = { default = "online" } }'))  # fmt: skip
    assert coverage.refused() == 0
    assert 'unmapped: "x" (1 row)' in "\n".join(coverage.lines())


def test_fields_that_no_record_fills_are_named(covered):
    """A path that is written wrongly is empty in every record, and optional fields stay silent about it."""
    change = (MODE, f'{MODE}\nmin_students = "leest"\nlanguage = "tongue"')
    coverage = covered([offering_row(1, tongue="zh"), offering_row(2)], change)
    fields = coverage.to_json()["mappings"][0]["fields"]
    assert fields["language"] == {"filled": 1, "empty": 1}
    assert fields["titles.value"] == {"filled": 2, "empty": 0}
    assert "  never filled: min_students" in coverage.lines()


def test_what_of_the_input_nobody_reads_is_named_once_at_its_top(covered):
    """A new field of an upgrade is found by whoever looks at this line; nested ones are not listed leaf by leaf."""
    row = offering_row(1, room={"house": "A", "no": 7}, titles=[{"lang": "en", "value": "x", "short": "y"}])  # fmt: skip
    coverage = covered([row, row, offering_row(2, note=None)], also=["number"])
    assert coverage.to_json()["mappings"][0]["notRead"] == {"room": 2, "titles.short": 2}


def test_new_input_is_reported_once_where_the_policy_asks_for_it(covered):
    """Said at every record it would be noise, and never said it would be missed."""
    row = offering_row(1, room="A")
    silent = covered([row], also=["number"])
    assert silent.news() == []
    policy = ("[fields]", '[policy]\nextra_input = "report"\n[fields]')
    coverage = covered([row, row], policy, also=["number"])
    assert [said.partition(",")[0] for said in coverage.news()] == [
        "mapping/offering.toml: the record holds room"
    ]
    assert coverage.news() == []


@pytest.mark.parametrize("value", ["zhang@uestc.edu.cn", "2023010417", "x" * 41])
def test_values_that_look_like_a_person_s_are_not_shown(covered, value):
    """A field that reads the wrong path meets names and numbers of students; this report goes by mail."""
    coverage = covered([offering_row(1, how=value) | {value: 1}], CODED)
    said = json.dumps(coverage.to_json(), ensure_ascii=False) + "\n".join(coverage.lines())
    assert value not in said
    assert f"a value of {len(value)} characters" in said


def test_many_different_unmapped_values_point_at_the_path(covered):
    """A table that lacks fifty values is not what is wrong; and the count of values kept is bounded."""
    coverage = covered([offering_row(i, how=f"w{i}") for i in range(1100)], CODED)
    assert "1000 different ones are not: does the field read the right path?" in "\n".join(coverage.lines())  # fmt: skip


def test_records_without_a_mapping_and_records_left_out_are_counted(covered):
    """All records of a source add up."""
    coverage = covered([])
    coverage.add(None, {}, Permanent("no mapping", code="NO_MAPPING"))
    coverage.add(None, {}, None)
    assert coverage.to_json()["leftOut"] == 1
    assert coverage.lines() == [
        "refused before mapping: NO_MAPPING (1 record)",
        "no record came for: mapping/offering.toml",
    ]


@pytest.mark.parametrize("row", [None, 7, "text", [], {"titles": {"a": 1}}, {"titles": [1, None, {}]}, {"how": {"a": 1}}])  # fmt: skip
def test_a_record_of_any_shape_is_counted(covered, row):
    """Coverage looks at what mapping refused: nothing may surprise it."""
    assert covered([row], CODED).refused() == 1


@pytest.mark.parametrize(
    ("expression", "paths"),
    [
        ("a.b", {"a.b"}),
        ("a.b || c", {"a.b", "c"}),
        ("a[0].b", {"a.b"}),
        ("a[?k=='en'].v | [0]", {"a.k", "a.v"}),
        ("a[].b.c", {"a.b.c"}),
        ("length(a.b)", {"a.b"}),
        ("{x: a.b, y: c}", {"a.b", "c"}),
        ("a[?b > `1` && c.d].e", {"a.b", "a.c.d", "a.e"}),
        ("@", {""}),
    ],
)
def test_the_paths_that_an_expression_reads_are_known(expression, paths):
    """What is read in a condition is read, too."""
    assert {".".join(path) for path in paths_of(expression)} == paths
