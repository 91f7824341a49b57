"""Our reading and writing of Avro against fastavro's: the same bytes, the same records, the same refusals."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import records
from schemas.avro_plain import BROKEN, CannotResolve, reader, writer
from schemas.catalogue import Schema, catalogue, example
from schemas.codec import Unreadable, decode, encode, from_json
from schemas.content import content_hash, hashed_schema
from schemas.records import CreditAwarded
from tests.support import codec_fastavro as other
from tests.support.strategies import calm, mutated, records_of, values_of

ROOT = Path(__file__).parents[2]
NEWEST = sorted(catalogue().newest.values(), key=lambda schema: schema.event)
ALL = [catalogue().by_id[number] for number in sorted(catalogue().by_id)]
any_schema = st.sampled_from(ALL)
each_newest = pytest.mark.parametrize("schema", NEWEST, ids=lambda schema: schema.event)
each = pytest.mark.parametrize(
    "schema", ALL, ids=lambda schema: f"{schema.event}-v{schema.version}"
)

# What fastavro takes and we refuse, by the words of our refusal. Avro allows neither.
LAX = ("more than 64 bits", "more than ten bytes", "branch -1 of", "branch -2 of")


@each_newest
@settings(calm, max_examples=30)
@given(data=st.data())
def test_both_write_the_same_bytes(schema: Schema, data: st.DataObject) -> None:
    """Hashes and signatures are over these bytes: a new writer must not move one."""
    record = data.draw(records_of(schema))
    assert encode(record) == other.write_as(schema, record.to_avro())


@each
@settings(calm, max_examples=30)
@given(data=st.data())
def test_both_read_the_same_record_from_every_version(schema: Schema, data: st.DataObject) -> None:
    """Old versions are read as the newest: what is new has its default, and types are those of the class."""
    values = data.draw(values_of(schema.avro))
    value = other.write_as(schema, values)
    assert decode(value) == other.read(value)
    assert _types(decode(value)) == _types(other.read(value))


def _types(value: Any) -> Any:
    """All types inside: equal values may hide a list for a tuple, or a bool for an int."""
    if is_dataclass(value):
        return type(value), [_types(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, (tuple, list)):
        return type(value), [_types(item) for item in value]
    return type(value), getattr(value, "tzinfo", None) is not None


def _judge(value: bytes) -> None:
    """Both read the same, or both refuse, but for what only fastavro takes."""
    theirs, _ = _outcome(other.read, value)
    ours, said = _outcome(decode, value)
    assert ours == theirs or (ours is None and any(word in said for word in LAX)), said


def _outcome(read: Callable[[bytes], Any], value: bytes) -> tuple[Any, str]:
    """The record, or None and what the refusal says."""
    try:
        return read(value), ""
    except (other.Refused, Unreadable) as refused:
        return None, str(refused)


@each
@settings(calm, max_examples=60)
@given(data=st.data())
def test_both_say_the_same_of_damaged_bytes(schema: Schema, data: st.DataObject) -> None:
    """Flipped, cut, doubled, added: what one takes and the other refuses would part hub and auditors."""
    frame = other.frame(schema)
    values = values_of(schema.avro).map(lambda drawn: other.write_as(schema, drawn)[len(frame) :])
    _judge(frame + data.draw(mutated(values)))


@settings(calm, max_examples=300)
@given(schema=any_schema, tail=st.binary(max_size=300))
def test_both_say_the_same_of_any_bytes(schema: Schema, tail: bytes) -> None:
    """Rubbish behind a good frame."""
    _judge(other.frame(schema) + tail)


@pytest.mark.parametrize("schema", catalogue().events(), ids=lambda schema: schema.event)
def test_every_truncation_of_an_example_and_every_eleventh_flipped_bit(schema: Schema) -> None:
    """Not by chance, for the events that members send; eleven has no factor in common with the eight bits of a byte."""
    value = encode(from_json(schema.event, example(schema)))
    for cut in range(5, len(value)):
        with pytest.raises(Unreadable):
            decode(value[:cut])
    for bit in range(40, 8 * len(value), 11):
        flipped = bytearray(value)
        flipped[bit // 8] ^= 1 << bit % 8
        _judge(bytes(flipped))


def _both(kind: Any, data: bytes) -> tuple[Any, Any]:
    """One value read by fastavro and by us, as the field of a record; None for a refusal."""
    schema = {"type": "record", "name": "LangText", "namespace": "alliance.types", "fields": [{"name": "lang", "type": kind}, {"name": "value", "type": "string"}]}  # fmt: skip
    body = data + b"\x00"
    source = io.BytesIO(body)
    try:
        theirs: Any = fastavro.schemaless_reader(source, fastavro.parse_schema(schema), None)
        theirs = theirs["lang"] if source.tell() == len(body) else None
    except Exception:  # noqa: BLE001 (whatever it raises is a refusal here)
        theirs = None
    try:
        return theirs, reader(schema, schema, vars(records))(body, 0, len(body)).lang
    except BROKEN:
        return theirs, None


@pytest.mark.parametrize(
    ("kind", "data", "wanted"),
    [
        ("long", b"\x80\x80\x00", 0),  # more bytes than needed
        ("long", b"\xff" * 9 + b"\x01", -(2**63)),
        ("long", b"\xfe" + b"\xff" * 8 + b"\x01", 2**63 - 1),
        ("boolean", b"\x02", True),
        (["null", "string"], b"\x80\x00", None),
        (["null", "string"], b"\x82\x00\x02a", "a"),
        ("string", b"\x82\x00a", "a"),
        ("string", b"\x01", None),  # a length below zero
        ("string", b"\x02\xff", None),  # not UTF-8
        ({"type": "array", "items": "string"}, b"\x03\x08\x02a\x02b\x00", ("a", "b")),
        ({"type": "array", "items": "string"}, b"\x02\x02a\x02\x02b\x00", ("a", "b")),
        ({"type": "array", "items": "string"}, b"\x03\x80\x01\x02a\x02b\x00", ("a", "b")),
        ({"type": "map", "values": "string"}, b"\x04\x02a\x02b\x02a\x02c\x00", {"a": "c"}),
        ({"type": "map", "values": "long"}, b"\x01\x06\x02a\x02\x02\x02b\x05\x00", {"a": 1, "b": -3}),
    ],
)  # fmt: skip
def test_odd_spellings_are_read_alike(kind: Any, data: bytes, wanted: Any) -> None:
    """Avro allows them and nobody writes them; random bytes seldom find them."""
    theirs, ours = _both(kind, data)
    assert ours == wanted
    assert (tuple(theirs) if isinstance(theirs, list) else theirs) == wanted


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("long", b"\xff" * 9 + b"\x03", "64 bits"),
        ("long", b"\x80" * 20 + b"\x01", "ten bytes"),
        ("long", b"\x80" * 10 + b"\x00", "ten bytes"),
        (["null", "string"], b"\x01\x02a", "branch -1"),
        (["null", "string"], b"\x03", "branch -2"),
        (["null", "string"], b"\x04\x02a", "branch 2"),
        ({"type": "array", "items": {"type": "fixed", "name": "H", "size": 32}}, b"\xfe" + b"\xff" * 7 + b"\x7f", "too early"),
    ],
)  # fmt: skip
def test_what_avro_does_not_allow_is_refused_at_once(kind: Any, data: bytes, said: str) -> None:
    """fastavro takes the first five and reads something else from them; the last is a list of 2**62 hashes."""
    schema = {"type": "record", "name": "LangText", "namespace": "alliance.types", "fields": [{"name": "lang", "type": kind}]}  # fmt: skip
    with pytest.raises(ValueError, match=said):
        reader(schema, schema, vars(records))(data, 0, len(data))


@given(
    millis=st.integers(-(2**63), 2**63 - 1)
    | st.integers(-62_135_596_800_000, 253_402_300_799_999)
    | st.sampled_from([2**34 - 1, 2**34, 2**41 - 1, 2**41, 0, -1])
)
@settings(calm, max_examples=300)
def test_times_are_read_and_written_alike_wherever_they_lie(millis: int) -> None:
    """Six-byte times have a way of their own: its borders, and what no calendar holds."""
    kind = {"type": "long", "logicalType": "timestamp-millis"}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", millis)
    theirs, ours = _both(kind, out.getvalue())
    assert ours == theirs
    if ours is not None:
        assert ours == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
        assert writer(kind)(ours) == out.getvalue()


@given(record=st.sampled_from([s for s in NEWEST if s.hash]).flatmap(records_of))
@settings(calm)
def test_content_hashes_are_over_the_bytes_that_fastavro_writes(record: Any) -> None:
    """Approvals in the ledger name them."""
    out = io.BytesIO()
    schema = fastavro.parse_schema(hashed_schema(catalogue().newest[record.EVENT]))
    fastavro.schemaless_writer(out, schema, record.to_avro())
    assert content_hash(record) == hashlib.sha256(out.getvalue()).hexdigest()


@given(record=st.sampled_from(NEWEST).flatmap(records_of))
@settings(calm)
def test_a_record_that_was_read_is_as_any_other(record: Any) -> None:
    """It is made faster than by its class: still frozen, still equal, still hashed alike, still without a dictionary."""
    read = decode(encode(record))
    assert type(read) is type(record)
    assert read == record
    if not any(isinstance(getattr(read, field.name), Mapping) for field in fields(read)):
        assert hash(read) == hash(record)
    name = fields(read)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(read, name, None)
    assert not hasattr(read, "__dict__")
    assert replace(read) == read


def _award() -> CreditAwarded:
    record = from_json("credit.awarded", example(catalogue().newest["credit.awarded"]))
    assert isinstance(record, CreditAwarded)
    return record


AWARD = _award()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"student_id": 3}, r"credit\.awarded\.student_id: 'int' object"),
        ({"student_id": None}, r"credit\.awarded\.student_id: 'NoneType'"),
        ({"student_id": b"3"}, r"credit\.awarded\.student_id: 'bytes'"),
        ({"student_id": "\ud800"}, r"credit\.awarded\.student_id: .*surrogates"),
        ({"attempt_no": None}, r"credit\.awarded\.attempt_no: "),
        ({"attempt_no": 1.0}, r"credit\.awarded\.attempt_no: "),
        ({"attempt_no": 100.0}, r"credit\.awarded\.attempt_no: "),
        ({"attempt_no": "1"}, r"credit\.awarded\.attempt_no: "),
        ({"final": 1}, r"credit\.awarded\.final: 1 is neither True nor False"),
        ({"final": None}, r"credit\.awarded\.final: None is neither True nor False"),
        ({"titles": None}, r"credit\.awarded\.titles: "),
        ({"assessed_on": "2027-01-15"}, r"credit\.awarded\.assessed_on: "),
        ({"credits": replace(AWARD.credits, value=3)}, r"credit\.awarded\.credits\.value: 'int'"),
        ({"credits": replace(AWARD.credits, value=Decimal("1.0005"))}, r"value: 1.0005 has more than 3 decimals"),
        ({"credits": replace(AWARD.credits, value=Decimal("1234567"))}, r"value: 1234567 has more than 6 digits"),
        ({"credits": replace(AWARD.credits, value=Decimal("NaN"))}, r"credits\.value: "),
        ({"credits": replace(AWARD.credits, value=Decimal("Infinity"))}, r"credits\.value: "),
        ({"credits": replace(AWARD.credits, value=Decimal("1E+999999"))}, r"credits\.value: "),
        ({"envelope": replace(AWARD.envelope, occurred_at="now")}, r"envelope\.occurred_at: 'now' is not a time"),
        ({"envelope": AWARD.credits}, r"credit\.awarded\.envelope: Credit has no event_id"),
        ({"titles": (*AWARD.titles, AWARD.credits)}, r"titles\[2\]: Credit has no lang"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_not_written_and_named(changed: Any, said: str) -> None:
    """Whoever builds records in a connector finds the field by the message."""
    with pytest.raises((ValueError, TypeError), match=said):
        encode(replace(AWARD, **changed))


@given(number=st.integers(-(10**9) + 1, 10**9 - 1), precision=st.integers(1, 12))
def test_amounts_do_not_depend_on_the_callers_decimal_context(number: int, precision: int) -> None:
    """A library that sets the precision of a thread must not change what we read or write."""
    amount = Decimal(number).scaleb(-3)
    award = replace(AWARD, credits=replace(AWARD.credits, value=amount))
    value = encode(award)
    with localcontext(Context(prec=precision)):
        assert encode(award) == value
        assert decode(value) == award


AMOUNT = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}


@pytest.mark.parametrize("number", [0, -128, 128, 10**9 - 1, 1 - 10**9, 10**9, -(10**9)])
def test_an_amount_has_as_many_digits_as_its_schema_says_and_no_more(number: int) -> None:
    """The first number beyond is refused on both ways; a byte's largest negative keeps room for its sign."""
    size = (number.bit_length() + 8) // 8
    data = bytes([size * 2]) + number.to_bytes(size, "big", signed=True)
    amount = Decimal(number).scaleb(-3)
    if abs(number) < 10**9:
        assert _both(AMOUNT, data) == (amount, amount)
        assert writer(AMOUNT)(amount) == data
    else:
        assert _both(AMOUNT, data) == (None, None)
        with pytest.raises(ValueError, match="more than 6 digits"):
            writer(AMOUNT)(amount)


@pytest.mark.parametrize("number", [-8193, -8192, -65, -64, -1, 0, 1, 63, 64, 8191, 8192])
def test_numbers_and_lengths_are_alike_on_both_sides_of_each_byte(number: int) -> None:
    """One byte is looked up, more are computed."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", number)
    assert writer("long")(number) == writer("int")(number) == out.getvalue()
    assert _both("int", out.getvalue()) == (number, number)
    if number >= 0:
        text = "x" * number
        assert (
            writer("string")(text)
            == writer("bytes")(text.encode())
            == out.getvalue() + text.encode()
        )
        assert _both("string", out.getvalue() + text.encode()) == (text, text)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_hash_of_another_length_is_not_written(size: int) -> None:
    """Whatever follows it would be read from the wrong place."""
    with pytest.raises(ValueError, match=f"{size} bytes, wanted 32"):
        writer({"type": "fixed", "name": "Hash", "size": 32})(bytes(size))


RECORD = {"type": "record", "name": "Term", "namespace": "alliance.types"}


def _versions(old: Any, new: Any) -> tuple[Any, Any]:
    fixed = [{"name": "academic_year", "type": "string"}, {"name": "term_number", "type": "int"}]
    return {**RECORD, "fields": [*fixed, *old]}, {**RECORD, "fields": [*fixed, *new]}


@pytest.mark.parametrize(("default", "wanted"), [(7, 7), (-1, -1), (0, 0)])
def test_a_new_field_has_its_default_and_one_that_is_gone_is_passed_over(
    default: int, wanted: int
) -> None:
    """The two changes that the README allows."""
    total = {"name": "total_terms", "type": "int"}
    gone = {"name": "gone", "type": {"type": "array", "items": "string"}, "default": []}
    old, new = _versions([gone], [{**total, "default": default}])
    read = reader(old, new, vars(records))
    data = b"\x02y\x04" + b"\x02\x02a\x00"
    assert read(data, 0, len(data)) == records.Term("y", 2, wanted)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ([], [{"name": "total_terms", "type": "int"}], "total_terms is new and has no default"),
        ([], [{"name": "total_terms", "type": "int", "default": {}}], "has the default {}"),
        ([{"name": "total_terms", "type": "string"}], [{"name": "total_terms", "type": "int"}], "total_terms: string cannot be read as int"),
        ([{"name": "total_terms", "type": "double"}], [{"name": "total_terms", "type": "double"}], "double is a type that no schema"),
        ([{"name": "total_terms", "type": ["int", "null"]}], [{"name": "total_terms", "type": ["int", "null"]}], "wanted null and one other"),
        (
            [{"name": "total_terms", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}}],
            [{"name": "total_terms", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}],
            "other digits",
        ),
    ],
)  # fmt: skip
def test_versions_that_do_not_fit_each_other_are_refused_before_anything_is_read(
    old: Any, new: Any, said: str
) -> None:
    """A change that the README forbids is found when the schema is added, not when a member's message comes."""
    with pytest.raises(CannotResolve, match=said):
        reader(*_versions(old, new), vars(records))


def test_every_published_version_is_readable_as_the_newest() -> None:
    """The test above for the schemas there are."""
    for schema in ALL:
        newest = catalogue().newest[schema.event].avro
        assert callable(reader(schema.avro, newest, vars(records)))


def test_reading_and_writing_work_without_fastavro() -> None:
    """The stand-alone verifier has the standard library and `cryptography`."""
    script = (
        "import sys; sys.modules['fastavro'] = None\n"
        "from schemas.catalogue import catalogue, example\n"
        "from schemas.codec import decode, encode, from_json\n"
        "from schemas.content import content_hash\n"
        "record = from_json('agreement.changed', example(catalogue().newest['agreement.changed']))\n"
        "assert decode(encode(record)) == record\n"
        "assert content_hash(record) == record.conditions_hash\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
