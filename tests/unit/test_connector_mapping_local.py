"""The way back: a delivery in a campus's own fields, for the body of a request or the columns of a row."""

import pytest

from connectors.sdk.contract import ConfigError, Delivery
from connectors.sdk.mapping.converters import converter
from connectors.sdk.mapping.file import FieldTable, LocalFieldTable, MappingError
from connectors.sdk.mapping.local import load_local_mapping
from connectors.sdk.mapping.writers import writer
from connectors.sdk.testing import their_request
from schemas.codec import from_json, to_json

LOCAL = """
[event]
type = "enrollment.requested"
[fields]
EXT_ID = { path = "record.enrollment_id", required = true }
"student.id" = "record.student_id"
"student.home" = { path = "record.home", codes = "member" }
TERM = "record.term.academic_year"
WAY = { path = "record.delivery", codes = "mode" }
ACTIVE = { path = "record.home_active_registration", write = "bool", yes = "J", no = "N" }
AT = { path = "record.envelope.occurred_at", write = "datetime", format = "%d.%m.%Y %H:%M" }
UNTIL = { path = "record.valid_until", write = "date" }
VERSION = { path = "record.envelope.aggregate_version", write = "string" }
US = { member = true }
SOURCE = { const = "alliance" }
"""
TABLES = {
    "mode": "local,alliance,preferred\n网络,online,\n线上,online,yes\n面授,presential,\n",
    "member": "local,alliance\n电子科大,10614\n",
}


@pytest.fixture
def local(tmp_path):
    """A function from changes of `LOCAL` and tables to the compiled mapping."""

    def make(*changes, **tables):
        text = LOCAL
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "codes").mkdir(exist_ok=True)
        for name, lines in (TABLES | tables).items():
            (tmp_path / "codes" / f"{name}.csv").write_text(lines, "utf-8")
        path = tmp_path / "out" / "request.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        return load_local_mapping(path, tmp_path / "codes", member="10611")

    return make


def delivery(**changes):
    """Another member's request, as it arrives."""
    record = their_request(1, home="10614")
    record = from_json(record.EVENT, to_json(record) | changes)
    return Delivery("event", record.EVENT, record.envelope.event_id, 7, record)


def test_a_delivery_becomes_the_campus_s_own_body(local):
    """Names, words, days and truth as the campus writes them; dotted names nest."""
    assert local().body(delivery()) == {
        "EXT_ID": "enrollment-1",
        "student": {"id": "urn:alliance:student:10614:1", "home": "电子科大"},
        "TERM": "2026-2027",
        "WAY": "线上",
        "ACTIVE": "J",
        "AT": "01.09.2026 16:00",
        "UNTIL": None,
        "VERSION": "1",
        "US": "10611",
        "SOURCE": "alliance",
    }


def test_a_row_has_every_column_in_the_file_s_order(local):
    """A statement is prepared once: a column that comes and goes would make it another one."""
    mapping = local()
    row = mapping.row(delivery())
    assert tuple(row) == mapping.names
    assert row["student.home"] == "电子科大"
    assert row["UNTIL"] is None
    outcome = {"kind": "outcome", "eventId": "x", "record": {"enrollment_id": "e-1"}}
    assert mapping.row(outcome)["student.home"] is None


def test_an_alliance_word_that_the_campus_lacks_parks_the_delivery(local):
    """Writing the alliance's word into a campus's column would break that system's own rules."""
    with pytest.raises(MappingError, match=r"'hybrid' is not in codes/mode.csv") as caught:
        local().body(delivery(delivery="hybrid"))
    assert (caught.value.code, caught.value.field) == ("MAP_UNKNOWN_CODE", "WAY")
    assert "hybrid" not in caught.value.brief
    lenient = local(("[fields]", '[policy]\nunknown_code = { default = "其他" }\n[fields]'))
    assert lenient.body(delivery(delivery="hybrid"))["WAY"] == "其他"


def test_an_ambiguous_way_back_is_refused_before_anything_runs(local):
    """Two local words for one of ours: the campus says which it writes."""
    with pytest.raises(ConfigError, match=r"request.toml:9: fields.WAY: codes/mode.csv: 'online' may be '网络' \(line 2\), '线上' \(line 3\)"):  # fmt: skip
        local(mode=TABLES["mode"].replace("yes", ""))


def test_the_day_of_a_code_is_that_of_the_event(local):
    """The campus renamed its word this year; what happened before keeps the old one."""
    table = "local,alliance,valid_from,valid_to\n网,online,,2026-08-31\n线,online,2026-09-01,\n"
    assert local(mode=table).body(delivery())["WAY"] == "线"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("record.delivery", "record.delivry", ":9: fields.WAY: path record.delivry: enrollment.requested has no delivry; write one of envelope, "),
        ("record.term.academic_year", "record.home.year", "enrollment.requested holds no object there"),
        ('write = "date" }', 'write = "date", decimals = 2 }', "decimals is for write = decimal"),
        ('yes = "J", no = "N"', 'yes = "J"', "yes and no go together"),
        ("enrollment.requested", "enrollment.asked", "event.type: found 'enrollment.asked'; write one of"),
        ('codes = "mode"', 'codez = "mode"', "no such key; did you mean codes?"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_refused_with_its_line(local, old, new, said):
    """The schema knows all paths of a record, so a misspelt one is found at the desk."""
    with pytest.raises(ConfigError) as caught:
        local((old, new))
    assert said in str(caught.value)


def write(value, how, **options):
    """The value as a field with these options writes it."""
    return writer(LocalFieldTable(path="x", write=how, **options))(value)


@pytest.mark.parametrize(
    ("value", "how", "options", "found"),
    [
        ("1234.500", "decimal", {}, "1234.500"),
        ("1234.500", "decimal", {"number": "1.234,5", "decimals": 1}, "1.234,5"),
        ("-1234567", "decimal", {"number": "1'234.5", "decimals": 2}, "-1'234'567.00"),
        ("2.500", "float", {}, 2.5),
        ("2.000", "int", {}, 2),
        (True, "bool", {}, True),
        (False, "string", {}, "false"),
        ("2026-09-01", "date", {"format": "%d.%m.%Y"}, "01.09.2026"),
        ("2026-09-01T00:00:00Z", "datetime", {}, "2026-09-01T08:00:00+08:00"),
        ("2026-07-01T00:00:00Z", "datetime", {"zone": "Europe/Vienna"}, "2026-07-01T02:00:00+02:00"),
        ([{"lang": "zh", "value": "课"}], "json", {}, '[{"lang":"zh","value":"课"}]'),
    ],
)  # fmt: skip
def test_values_are_written_in_the_campus_s_notation(value, how, options, found):
    """The way back of each converter."""
    assert write(value, how, **options) == found
    if how == "decimal":
        back = converter(FieldTable(path="x", convert="decimal", number=options.get("number")))
        assert float(back(found)) == float(value)


@pytest.mark.parametrize(
    ("value", "how", "options"),
    [
        ("2.567", "decimal", {"decimals": 2}),
        ("2.5", "int", {}),
        ("x", "float", {}),
        (True, "decimal", {}),
        ("yes", "bool", {}),
        ("soon", "date", {}),
        ("2026-09-01T00:00:00", "datetime", {}),
        ({"a": 1}, "string", {}),
    ],
)
def test_what_would_lose_something_is_refused(value, how, options):
    """Amounts are not rounded on the way out either."""
    with pytest.raises(ValueError, match="value "):
        write(value, how, **options)
