"""Field maps: what they turn records into, and how they refuse."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sdk.contract import ConfigError
from connectors.sdk.mapping.event import MappingError, load_mapping, term_of
from connectors.sdk.testing import OFFERING_MAPPING, offering_row
from schemas.codec import decode, encode
from schemas.content import content_hash


@pytest.fixture
def mapped(tmp_path):
    """A function from more or other mapping lines to a compiled mapping."""

    def make(*changes: tuple[str, str], **codes: str):
        text = OFFERING_MAPPING
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "mapping").mkdir(exist_ok=True)
        (tmp_path / "codes").mkdir(exist_ok=True)
        for name, lines in codes.items():
            (tmp_path / "codes" / f"{name}.csv").write_text(lines, "utf-8")
        path = tmp_path / "mapping" / "offering.toml"
        path.write_text(text, "utf-8")
        return load_mapping(path, tmp_path / "codes", member="10611", connector="sis")

    return make


MODE = 'mode = { const = "online" }'


def test_a_record_becomes_the_event_it_tells_of(mapped):
    """The whole path once: nested names, lists, decimals, terms, envelope."""
    record = mapped().record(offering_row(7))
    assert decode(encode(record)) == record
    assert record.envelope.subject == record.envelope.partition_key == "course-7"
    assert record.envelope.source == "urn:alliance:member:10611:sis"
    assert record.host == record.course.member == "10611"
    assert record.titles[0].value == "Course 7"
    assert record.credits.value == Decimal("2.5")
    assert (record.term.academic_year, record.term.term_number) == ("2026-2027", 1)
    assert record.start_date is None


def test_missing_and_null_are_told_apart(mapped):
    """A field that vanished means an upgrade over there; one that is null means a gap in the data."""
    row = offering_row(1)
    with pytest.raises(MappingError, match=r"offering.toml: fields.offering_id: path id is null"):
        mapped().record(row | {"id": None})
    del row["id"]
    with pytest.raises(MappingError, match=r"fields.offering_id: path id is missing"):
        mapped().record(row)


def test_a_value_that_does_not_fit_names_file_field_path_and_value(mapped):
    """The person reading it looks at the mapping and at the record, not at our code."""
    with pytest.raises(
        MappingError,
        match=r"mapping/offering.toml: fields.credits.value: path credits: value 'many'",
    ) as caught:
        mapped().record(offering_row(1, credits="many"))
    assert "many" not in caught.value.brief


def test_a_code_outside_its_table_stops_the_record(mapped):
    """Guessing a code would put a wrong fact into twenty universities' books."""
    mapping = mapped(
        (MODE, 'mode = { path = "how", codes = "mode" }'), mode="local,alliance\n面授,presential\n"
    )
    assert mapping.record(offering_row(1, how="面授")).mode == "presential"
    with pytest.raises(
        MappingError, match=r"value '夜校' is not in codes/mode.csv; add a line there"
    ):
        mapping.record(offering_row(1, how="夜校"))


def test_defaults_stand_in_for_what_is_absent(mapped):
    """Old systems leave fields out."""
    mapping = mapped((MODE, 'mode = { path = "how", default = "blended" }'))
    assert mapping.record(offering_row(1)).mode == "blended"
    assert mapping.record(offering_row(1, how=None)).mode == "blended"


def test_lists_of_texts_can_be_converted_one_by_one(mapped):
    """Teachers come as numbers from some systems."""
    mapping = mapped(
        ("teachers = { const = [] }", 'teachers = { each = "staff[].no", convert = "string" }')
    )
    assert mapping.record(offering_row(1, staff=[{"no": 7}, {"no": 8}])).teachers == ("7", "8")
    assert mapping.record(offering_row(1)).teachers == ()


def test_a_subject_may_be_a_template(mapped):
    """A project's participants count their versions per person."""
    at = '"version"\n[fields]'
    mapping = mapped(
        (at, f'{at[:9]}\nsubject = {{ template = "{{offering_id}}/{{mode}}" }}\n[fields]')
    )
    assert mapping.record(offering_row(1)).envelope.subject == "course-1/online"


@pytest.mark.parametrize(
    ("text", "lang"), [("2026-09-07T08:00:00+08:00", None), ("07.09.2026", '["%d.%m.%Y"]')]
)
def test_days_are_read_in_the_campus_s_notation(mapped, text, lang):
    """ISO without being asked, others by format."""
    formats = f", formats = {lang}" if lang else ""
    mapping = mapped((MODE, f'{MODE}\nstart_date = {{ path = "day", convert = "date"{formats} }}'))
    assert mapping.record(offering_row(1, day=text)).start_date == date(2026, 9, 7)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("capacity =", "capazity =", "fields.capazity: offering.changed has no such field; did you mean capacity?"),
        (MODE, "", "fields.mode: offering.changed needs it"),
        (MODE, 'mode = { path = "how", codes = "gone" }', "cannot read"),
        (MODE, 'mode = { path = "how", convert = "text" }', "fields.mode.convert"),
        (MODE, 'mode = { path = "how", const = "x" }', "write one of path, each, const, member"),
        (MODE, 'mode = "a["', "is no JMESPath"),
        ("offering.changed", "offering.change", "event.type: found 'offering.change'; write one of"),
        ('event_id = "eventId"', "", "envelope.event_id: missing; add it"),
    ],
)  # fmt: skip
def test_a_faulty_mapping_is_refused_before_anything_runs(mapped, old, new, said):
    """`lint` finds it at the desk, not at night."""
    with pytest.raises(ConfigError, match=r"offering.toml:\d+: ") as caught:
        mapped((old, new))
    assert said in str(caught.value)


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_autumn_is_term_one_and_january_still_belongs_to_it(day):
    """The Chinese academic calendar: September to January, February to August."""
    term = term_of(day)
    first, second = (int(year) for year in term["academic_year"].split("-"))
    assert second == first + 1
    assert date(first, 9, 1) <= day <= date(second, 8, 31)
    assert (term["term_number"] == 1) == (day < date(second, 2, 1))


AGREEMENT = """
[event]
type = "agreement.changed"
[envelope]
event_id = "eventId"
occurred_at = "at"
recorded_at = "at"
aggregate_version = "version"
[fields]
agreement_id = "id"
party = { member = true }
parties = { each = "parties" }
"conditions.kind" = { const = "student_studies" }
"conditions.first_year" = { const = "2026-2027" }
"conditions.last_year" = { const = "2027-2028" }
"conditions.quotas" = { const = [] }
step = { const = "proposed" }
effective_on = { const = "2026-09-01" }
"""
AGREED = {"id": "a-1", "parties": ["10611", "10614"], "version": 1, "at": "2026-09-01T08:00:00Z"}


def _agreement(tmp_path, more=""):
    path = tmp_path / "agreement.toml"
    path.write_text(AGREEMENT + more, "utf-8")
    return load_mapping(path, tmp_path, member="10611", connector="sis").record(
        AGREED | {"eventId": "5b0e8d37-a2f4-4c69-b1d8-7e3f90c2a412"}
    )


@pytest.mark.parametrize("given", ["", 'conditions_hash = { const = "" }', 'conditions_hash = "no"'])  # fmt: skip
def test_the_hash_of_the_content_need_not_be_made_by_the_campus(tmp_path, given):
    """It is over Avro bytes, which no campus system has; admission refuses another hash."""
    record = _agreement(tmp_path, given)
    assert record.conditions_hash == content_hash(record)
    assert len(record.conditions_hash) == 64
    assert decode(encode(record)) == record


def test_a_hash_that_the_campus_gives_is_kept(tmp_path):
    """Who approves repeats the hash of what was read, not of what our system holds now."""
    assert _agreement(tmp_path, 'conditions_hash = { const = "ab12" }').conditions_hash == "ab12"


def refused(mapping, row) -> MappingError:
    with pytest.raises(MappingError) as caught:
        mapping.record(row)
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "row", "code", "field"),
    [
        (MODE, MODE, {"id": None}, "MAP_MISSING", "offering_id"),
        (MODE, 'mode = { path = "how", codes = "mode" }', {"how": "x"}, "MAP_UNKNOWN_CODE", "mode"),
        (MODE, MODE, {"credits": "many"}, "MAP_CONVERT", "credits.value"),
        (MODE, MODE, {"titles": "高等数学"}, "MAP_TYPE", "titles"),
        (MODE, MODE, {"credits": "2.5678"}, "MAP_FIELD", "credits.value"),
        (MODE, 'mode = { path = "how" }', {"how": 7}, "MAP_FIELD", "mode"),
        (MODE, 'mode = "length(how)"', {"how": 7}, "MAP_TYPE", "mode"),
        (MODE, MODE, {"titles": [{"lang": 1, "value": "x"}]}, "MAP_FIELD", "titles.lang"),
        (MODE, MODE, {"at": "2026-09-01T08:00:00"}, "MAP_FIELD", "envelope.occurred_at"),
    ],
)
def test_each_refusal_names_its_cause_by_code_field_and_file(mapped, old, new, row, code, field):
    """Parked records are grouped by these three: forty of one cause are mended by one correction."""
    error = refused(mapped((old, new), mode="local,alliance\ny,online\n"), offering_row(1, **row))
    assert (error.code, error.field, error.file) == (code, field, "mapping/offering.toml")
    assert all(str(value) not in error.brief for value in row.values() if isinstance(value, str))


def test_a_misspelt_field_inside_a_group_or_a_list_is_refused(mapped):
    """It would be left out of every event, and nobody would notice."""
    with pytest.raises(ConfigError, match=r"credits\.valeu: offering.changed credits has no such"):
        mapped(('"credits.value" =', '"credits.valeu" ='))
    with pytest.raises(ConfigError, match=r"titles\.fields\.text: offering.changed titles has no"):
        mapped(('value = "value"', 'text = "value"'))


def test_a_refused_mapping_names_file_line_key_and_fix(mapped, tmp_path):
    """Mapping files have a hundred lines; who is told only the file looks for a long time."""
    with pytest.raises(ConfigError) as caught:
        mapped((MODE, 'mode = { path = "how", requierd = true }'))
    line = OFFERING_MAPPING.splitlines().index(MODE) + 1
    file = tmp_path / "mapping" / "offering.toml"
    assert str(caught.value) == (
        f"{file}:{line}: fields.mode.requierd: no such key; did you mean required?"
    )
    with pytest.raises(ConfigError, match=rf"offering.toml:{line}: not TOML: "):
        mapped((MODE, "mode = { path = how }"))


def test_a_vanished_path_parks_where_the_mapping_asks_for_it(mapped):
    """An upgrade over there renamed a field: without this its value would quietly turn empty."""
    strict = ("[fields]", '[policy]\nabsent = "park"\n[fields]')
    seats = ("capacity = { const = 30 }", 'capacity = { const = 30 }\nmin_students = "least"')
    loose = mapped(seats)
    assert loose.record(offering_row(1)).min_students is None
    mapping = mapped(strict, seats)
    assert mapping.record(offering_row(1, least=None)).min_students is None
    error = refused(mapping, offering_row(1))
    assert (error.code, error.field) == ("MAP_MISSING", "min_students")
    may = (
        seats[0],
        'capacity = { const = 30 }\nmin_students = { path = "least", optional = true }',
    )
    assert mapped(strict, may).record(offering_row(1)).min_students is None


@pytest.mark.parametrize(
    ("policy", "field", "mode"),
    [
        ('unknown_code = "null"', "", None),
        ('unknown_code = { default = "online" }', "", "online"),
        ("", ', unknown_code = { default = "blended" }', "blended"),
        ('unknown_code = "null"', ', unknown_code = { default = "blended" }', "blended"),
    ],
)
def test_unknown_codes_park_unless_file_or_field_say_what_stands_for_them(
    mapped, policy, field, mode
):
    """Guessing is allowed to a campus that writes its guess down; the field's word goes before the file's."""
    language = f'language = {{ path = "how", codes = "mode"{field} }}'
    mapping = mapped(
        (MODE, f"{MODE}\n{language}"),
        ("[fields]", f"[policy]\n{policy}\n[fields]"),
        mode="local,alliance\n面授,presential\n",
    )
    assert mapping.record(offering_row(1, how="夜校")).language == mode
    assert mapping.record(offering_row(1, how="面授")).language == "presential"


def test_times_of_the_envelope_may_be_converted_like_any_field(mapped):
    """Most campus databases keep the campus's clock without an offset."""
    mapping = mapped(
        ('occurred_at = "at"', 'occurred_at = { path = "at", convert = "datetime" }'),
        ('recorded_at = "at"', 'recorded_at = { path = "at", convert = "datetime" }'),
    )
    envelope = mapping.record(offering_row(1, at="2026-09-01 08:00:00")).envelope
    assert envelope.occurred_at.isoformat() == "2026-09-01T00:00:00+00:00"


def test_a_template_names_mapped_fields_only(mapped):
    """A subject without its id would put all records of a kind into one order."""
    at = '"version"\n[fields]'
    with pytest.raises(ConfigError, match=r"no field 'offering' is mapped"):
        mapped((at, f'{at[:9]}\nsubject = {{ template = "{{offering}}/1" }}\n[fields]'))


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ('{ path = "how", formats = ["%d"] }', "formats: is for convert = date or datetime or term"),
        ('{ path = "how", convert = "bool", yes = ["j"] }', "no: is missing; give the words for both"),
        ('{ path = "how", codes_on = "at" }', "codes_on: is for codes"),
        ('{ path = "how", convert = "datetime", zone = "Mars/Base" }', "'Mars/Base' is no time zone"),
        ('{ path = "how", required = true, optional = true }', "contradicts required"),
        ('{ path = "how", fields = { a = "b" } }', "fields: is for each"),
        ('{ path = "how", convert = "decimal", number = "1;2" }', "mode.number: found '1;2'"),
        ('"how"\n"mode.inner" = "x"', "is also inside mode; map one of them"),
        ('{ const = "online", convert = "upper" }', "convert: changes nothing here"),
        ('"how"\n"course.los_id" = { path = "x", pseudonym = { host = "h" } }', "give it a field of its own"),
    ],
)  # fmt: skip
def test_options_that_nothing_reads_are_refused(mapped, new, said):
    """An option that has no effect looks as if it had one."""
    with pytest.raises(ConfigError) as caught:
        mapped((MODE, f"mode = {new}"))
    assert said in str(caught.value)
