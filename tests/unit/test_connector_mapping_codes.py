"""Code tables: their form, the days on which lines hold, and both directions."""

from datetime import date

import pytest

from connectors.sdk.contract import ConfigError
from connectors.sdk.mapping.codes import UnknownCode, looked_up, read_codes
from connectors.sdk.mapping.event import MappingError, load_mapping
from connectors.sdk.testing import OFFERING_MAPPING, offering_row

MODE = 'mode = { const = "online" }'


@pytest.fixture
def table(tmp_path):
    """A function from a table's text to the table and its faults, without the folder's name."""

    def make(text: str):
        path = tmp_path / "mode.csv"
        path.write_text(text, "utf-8")
        found, faults = read_codes(path)
        return found, [fault.replace(str(path), "mode.csv") for fault in faults]

    return make


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("local,alliance\na,x\na,y\n", ["mode.csv:3: 'a' is there already in line 2; remove one"]),
        ("local,alliance\na,\n", ["mode.csv:2: alliance is empty; fill it or remove the line"]),
        ("local,alliance\n,x\n", ["mode.csv:2: local is empty; fill it or remove the line"]),
        ("local,alliance\na ,x\n", ["mode.csv:2: local 'a ' has spaces around it; remove them"]),
        ("local,alliance\na,b,c\n", ["mode.csv:2: 3 cells, wanted 2; put a value with a comma in double quotes"]),
        ("local,alliance,remark\na,x,\n", ["mode.csv:1: column 'remark' is not known; write one of local, alliance, valid_from, valid_to, preferred, note, or note for remarks"]),
        ("lokal,alliance\na,x\n", ["mode.csv:1: has no column 'local'; its head is local,alliance"]),
        ("local,alliance,valid_from\na,x,1.9.2026\n", ["mode.csv:2: valid_from '1.9.2026' is no day such as 2026-09-01; correct it"]),
        ("local,alliance,valid_from,valid_to\na,x,2026-09-01,2026-08-01\n", ["mode.csv:2: valid_to 2026-08-01 is before valid_from 2026-09-01; exchange them"]),
        ("local,alliance,valid_from,valid_to\na,x,,2026-09-01\na,y,2026-09-01,\n", ["mode.csv:3: 'a' holds on the same days as line 2; correct valid_from and valid_to"]),
        ("local,alliance,preferred\na,x,maybe\n", ["mode.csv:2: preferred is 'maybe'; write yes or nothing"]),
        ('local,alliance\n"a\nb",x\nc,\n', ["mode.csv:4: alliance is empty; fill it or remove the line"]),
    ],
)  # fmt: skip
def test_a_faulty_line_is_named_by_its_number(table, text, faults):
    """Offices keep these tables in spreadsheets; a doubled line would decide by its place which one counts."""
    assert [fault for fault in table(text)[1] if "'lokal'" not in fault] == faults


def test_blank_lines_and_a_byte_order_mark_do_no_harm(table):
    """Excel writes both."""
    found, faults = table("\ufefflocal,alliance\n\na,x\n,\n")
    assert not faults
    assert [(row.local, row.alliance, row.line) for row in found.rows] == [("a", "x", 3)]


def test_lines_follow_each_other_in_time(table):
    """A campus may change what a code means; its old records keep the old meaning. Both days are included."""
    found, faults = table(
        "local,alliance,valid_from,valid_to\nA,x-old,,2026-08-31\nA,x-new,2026-09-01,\n"
    )
    assert not faults
    rows = found.by_local()
    assert looked_up(rows, "A", date(2026, 8, 31), "t").alliance == "x-old"
    assert looked_up(rows, "A", date(2026, 9, 1), "t").alliance == "x-new"


def test_a_code_outside_its_days_is_unknown_and_its_line_named(table):
    """It was known once: the person looks at the days, not for a missing line."""
    rows = table("local,alliance,valid_from,valid_to\nA,x,2020-01-01,2025-12-31\n")[0].by_local()
    with pytest.raises(UnknownCode, match=r"'A' does not hold on 2026-01-01 by line 2 of t.csv"):
        looked_up(rows, "A", date(2026, 1, 1), "t.csv")
    with pytest.raises(UnknownCode, match="without a day"):
        looked_up(rows, "A", None, "t.csv")


def test_the_way_back_takes_the_preferred_word_and_names_what_it_cannot_decide(table):
    """Three words of a campus may mean one thing here; which one to write back is the campus's choice."""
    found, _ = table("local,alliance,preferred\nsituated,p,\non campus,p,yes\nnet,o,\n")
    assert looked_up(found.by_alliance(), "p", None, "t").local == "on campus"
    assert not list(found.ambiguous())
    found, _ = table("local,alliance\nsituated,p\non campus,p\nnet,o\n")
    assert list(found.ambiguous()) == [
        f"{found.file}: 'p' may be 'situated' (line 2), 'on campus' (line 3); "
        "write yes in the column preferred of one of them"
    ]
    found, _ = table("local,alliance,valid_to,valid_from\na,p,2025-12-31,\nb,p,,2026-01-01\n")
    assert not list(found.ambiguous())


@pytest.fixture
def mapped(tmp_path):
    """A mapping whose field `mode` is written as given, with a table mode.csv."""

    def make(field: str, text: str):
        path = tmp_path / "mapping" / "offering.toml"
        (tmp_path / "codes").mkdir(exist_ok=True)
        path.parent.mkdir(exist_ok=True)
        (tmp_path / "codes" / "mode.csv").write_text(text, "utf-8")
        path.write_text(OFFERING_MAPPING.replace(MODE, field), "utf-8")
        return load_mapping(path, tmp_path / "codes", member="10611", connector="sis")

    return make


DATED = "local,alliance,valid_from,valid_to\nA,blended,,2026-08-31\nA,hybrid,2026-09-01,\n"


@pytest.mark.parametrize(
    ("at", "mode"),
    [
        ("2026-08-31T15:59:59Z", "blended"),
        ("2026-08-31T16:00:00Z", "hybrid"),  # midnight at the campus
        ("2026-09-01T00:00:00+08:00", "hybrid"),
    ],
)
def test_the_day_of_a_code_is_the_campus_s_day_of_the_change(mapped, at, mode):
    """Sixteen hundred hours in Greenwich is the next day in China."""
    mapping = mapped('mode = { path = "how", codes = "mode" }', DATED)
    assert mapping.record(offering_row(1, how="A", at=at)).mode == mode


def test_the_day_of_a_code_is_converted_as_the_envelope_s_time_is(mapped, tmp_path):
    """A campus that writes its times in its own way has but one notation for both."""
    mapped('mode = { path = "how", codes = "mode" }', DATED)
    path = tmp_path / "mapping" / "offering.toml"
    text = path.read_text("utf-8")
    for name in ("occurred_at", "recorded_at"):
        table = '{ path = "at", convert = "datetime", formats = ["%d.%m.%Y %H:%M"] }'
        text = text.replace(f'{name} = "at"', f"{name} = {table}")
    path.write_text(text, "utf-8")
    mapping = load_mapping(path, tmp_path / "codes", member="10611", connector="sis")
    assert mapping.record(offering_row(1, how="A", at="31.08.2026 23:59")).mode == "blended"
    assert mapping.record(offering_row(1, how="A", at="01.09.2026 00:00")).mode == "hybrid"


def test_the_day_of_a_code_may_stand_elsewhere_in_the_record(mapped):
    """A grade is read by the day it was given, however late it is recorded."""
    mapping = mapped('mode = { path = "how", codes = "mode", codes_on = "start" }', DATED)
    assert mapping.record(offering_row(1, how="A", start="2026-08-20")).mode == "blended"
    assert mapping.record(offering_row(1, how="A", start="2026-09-07")).mode == "hybrid"


def test_the_day_of_a_code_is_the_whole_record_s_also_inside_a_list(mapped, tmp_path):
    """An item of a list has no day of its own."""
    path = tmp_path / "mapping" / "offering.toml"
    mapped(MODE, DATED)
    text = OFFERING_MAPPING.replace('lang = "lang"', 'lang = { path = "lang", codes = "mode" }')
    path.write_text(text, "utf-8")
    mapping = load_mapping(path, tmp_path / "codes", member="10611", connector="sis")
    row = offering_row(1, titles=[{"lang": "A", "value": "x"}], at="2026-08-01T00:00:00Z")
    assert mapping.record(row).titles[0].lang == "blended"


def test_an_unreadable_day_is_a_refusal_of_the_field(mapped):
    """Not a surprise that names nothing."""
    mapping = mapped('mode = { path = "how", codes = "mode", codes_on = "from_day" }', DATED)
    with pytest.raises(MappingError) as caught:
        mapping.record(offering_row(1, how="A", from_day="soon"))
    assert (caught.value.code, caught.value.field) == ("MAP_CONVERT", "mode")
    assert "the code's day 'soon' is no day such as 2026-09-01" in str(caught.value)


def test_full_width_codes_are_found_where_normalize_is_set(mapped):
    """Input methods write Ａ for A; the same table serves both."""
    table = "local,alliance\nＡ1,hybrid\n"
    mapping = mapped('mode = { path = "how", normalize = true, codes = "mode" }', table)
    assert mapping.record(offering_row(1, how=" Ａ１")).mode == "hybrid"
    assert mapping.record(offering_row(1, how="A1")).mode == "hybrid"
    plain = mapped('mode = { path = "how", codes = "mode" }', table)
    with pytest.raises(MappingError, match=r"is not in codes/mode.csv"):
        plain.record(offering_row(1, how="A1"))


def test_conversion_comes_before_the_table(mapped):
    """Notations differ in case and space more often than in words."""
    mapping = mapped('mode = { path = "how", convert = ["trim", "upper"], codes = "mode" }', "local,alliance\nA,hybrid\n")  # fmt: skip
    assert mapping.record(offering_row(1, how=" a ")).mode == "hybrid"


def test_numbers_and_truth_are_looked_up_as_json_writes_them(mapped):
    """A table's cell is text; `True` would be Python's spelling."""
    mapping = mapped('mode = { path = "how", codes = "mode" }', "local,alliance\ntrue,hybrid\n7,online\n")  # fmt: skip
    assert mapping.record(offering_row(1, how=True)).mode == "hybrid"
    assert mapping.record(offering_row(1, how=7)).mode == "online"


def test_a_faulty_table_is_refused_with_its_own_file_and_line(mapped):
    """The mapping is right; the person must open the table."""
    with pytest.raises(ConfigError, match=r"codes/mode.csv:3: 'a' is there already in line 2"):
        mapped('mode = { path = "how", codes = "mode" }', "local,alliance\na,x\na,y\n")
