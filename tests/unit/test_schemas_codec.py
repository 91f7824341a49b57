"""Bytes and records: what is written comes back, and whatever else arrives is refused in one way only."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalogue import Schema, catalogue, example
from schemas.codec import (
    UnknownSchema,
    Unreadable,
    decode,
    encode,
    from_json,
    schema_of,
    to_json,
)
from schemas.records import CreditAwarded, Record
from tests.support.codec_fastavro import write_as
from tests.support.strategies import calm, mutated, records_of, values_of

SCHEMAS = sorted(catalogue().newest.values(), key=lambda schema: schema.event)
EVENTS = catalogue().events()
OLDER = [schema for schema in catalogue().by_id.values() if schema not in SCHEMAS]
every_schema = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.event)
any_record = st.sampled_from(SCHEMAS).flatmap(records_of)


def _award() -> CreditAwarded:
    record = from_json("credit.awarded", example(catalogue().newest["credit.awarded"]))
    assert isinstance(record, CreditAwarded)
    return record


@every_schema
@settings(calm, max_examples=40)
@given(data=st.data())
def test_a_record_comes_back_from_its_bytes_and_its_json(
    schema: Schema, data: st.DataObject
) -> None:
    """The ledger judges the record, keeps the bytes, and campuses get JSON: all three must say the same."""
    record = data.draw(records_of(schema))
    value = encode(record)
    assert decode(value) == record
    assert encode(decode(value)) == value
    assert schema_of(value).event == schema.event
    assert from_json(schema.event, to_json(record)) == record


@pytest.mark.parametrize("schema", OLDER, ids=lambda schema: f"{schema.event}-v{schema.version}")
@settings(calm, max_examples=40)
@given(data=st.data())
def test_what_an_older_version_wrote_is_read_as_the_newest(
    schema: Schema, data: st.DataObject
) -> None:
    """Members upgrade one after the other: nothing they said before may be lost, and what is new has its default."""
    values = data.draw(values_of(schema.avro))
    record = decode(write_as(schema, values))
    assert schema.full_name == record.FULL_NAME
    _assert_kept(values, record.to_avro(), catalogue().newest[schema.event].avro)
    assert decode(encode(record)) == record


def _assert_kept(old: Any, new: Any, kind: Any) -> None:
    """The new value holds all of the old one, and defaults where the old had nothing."""
    if isinstance(kind, list):
        kind = next(item for item in kind if item != "null")
    if isinstance(old, dict) and isinstance(kind, dict) and kind["type"] == "record":
        for field in kind["fields"]:
            if field["name"] in old:
                _assert_kept(old[field["name"]], new[field["name"]], field["type"])
            else:
                assert new[field["name"]] == field["default"]
    elif isinstance(old, list) and isinstance(kind, dict):
        for before, after in zip(old, new, strict=True):
            _assert_kept(before, after, kind["items"])
    else:
        assert new == old


@settings(calm)
@given(value=mutated(any_record.map(encode)) | st.binary(max_size=200))
def test_damaged_bytes_are_unreadable_and_never_anything_else(value: bytes) -> None:
    """A worker that meets an unforeseen exception stops; one broken message must not stop the alliance."""
    try:
        record = decode(value)
    except Unreadable:
        return
    assert decode(encode(record)) == record  # still a record: then a whole one


@settings(calm)
@given(record=any_record, tail=st.binary(min_size=1, max_size=40))
def test_bytes_after_the_record_are_unreadable(record: Record, tail: bytes) -> None:
    """What is signed is what is read: nothing may ride along unseen."""
    with pytest.raises(Unreadable):
        decode(encode(record) + tail)


@settings(calm)
@given(record=any_record, data=st.data())
def test_a_truncated_record_is_unreadable(record: Record, data: st.DataObject) -> None:
    """A cut message must not pass for a shorter one."""
    value = encode(record)
    with pytest.raises(Unreadable):
        decode(value[: data.draw(st.integers(0, len(value) - 1))])


@pytest.mark.parametrize(
    "value", [b"", b"\x00", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00\x02", b'{"json":1}']
)
def test_a_wrong_frame_is_unreadable(value: bytes) -> None:
    """Bytes that do not begin like a registry message are not guessed at."""
    with pytest.raises(Unreadable, match="wanted a zero byte"):
        decode(value)


@pytest.mark.parametrize("schema_id", [0, max(catalogue().by_id) + 1, 2**32 - 1])
def test_an_unknown_schema_id_is_named(schema_id: int) -> None:
    """The usual cause is a reader older than the writer: the message says which id is missing."""
    value = struct.pack(">bI", 0, schema_id) + encode(_award())[5:]
    for read in (decode, schema_of):
        with pytest.raises(UnknownSchema, match=str(schema_id)) as caught:
            read(value)
        assert caught.value.schema_id == schema_id


def test_an_amount_with_too_many_digits_is_unreadable_and_not_rounded() -> None:
    """fastavro alone would read 1234567890.123 credits as 1234567890: a signed amount must not change on reading."""
    award = _award()
    # 3.000 credits are written as one length byte and 0x0bb8; nine bytes hold far more than nine digits.
    value = encode(award).replace(b"\x04\x0b\xb8", b"\x12" + (10**15).to_bytes(9, "big"), 1)
    with pytest.raises(Unreadable, match="more than 9 digits"):
        decode(value)


def test_a_huge_amount_is_refused_at_once() -> None:
    """fastavro alone computes for minutes over a decimal of a megabyte: one message would stop admission."""
    size = 1_000_000
    length = b"\x80\x89\x7a"  # zigzag varint of 1,000,000
    value = encode(_award()).replace(b"\x04\x0b\xb8", length + b"\x7f" * size, 1)
    began = time.monotonic()
    with pytest.raises(Unreadable, match=f"decimal of {size} bytes"):
        decode(value)
    assert time.monotonic() - began < 5


def test_an_int_beyond_32_bits_is_neither_written_nor_read() -> None:
    """Other languages and the read model's columns hold 32 bits; fastavro alone lets longer ones pass."""
    award = _award()
    too_long = replace(award, attempt_no=2**31)
    with pytest.raises(ValueError, match="32 bits"):
        encode(too_long)
    marked = replace(award, attempt_no=1_234_567)
    value = encode(marked).replace(_varint(1_234_567), _varint(2**31), 1)
    with pytest.raises(Unreadable, match="32 bits"):
        decode(value)


def _varint(number: int) -> bytes:
    number, out = number << 1, b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def test_a_time_without_a_zone_is_not_written() -> None:
    """It would be taken for the local time of whatever machine writes it."""
    award = _award()
    naive = replace(award, envelope=replace(award.envelope, occurred_at=datetime(2027, 1, 20)))  # noqa: DTZ001 (the case)
    with pytest.raises(ValueError, match="zone"):
        encode(naive)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("credits.value", "3.0005", "credit.awarded.credits.value: '3.0005' is not a number"),
        ("credits.value", 1234567, "at most 6 digits"),
        ("credits.value", "NaN", "3 decimals"),
        ("credits.value", True, "3 decimals"),
        ("credits.value", None, "credit.awarded.credits.value: None is not a number"),
        ("attempt_no", "first", "credit.awarded.attempt_no: 'first' is not a 32-bit whole number"),
        ("attempt_no", 1.5, "whole number"),
        ("attempt_no", 2**31, "whole number"),
        ("attempt_no", True, "whole number"),
        ("assessed_on", "15 January", "a date such as 2026-09-01"),
        ("envelope.occurred_at", "2027-01-20T06:00:00", "a time with a zone"),
        ("final", "yes", "not a boolean"),
        ("grade", "86", "credit.awarded.grade: '86' is not an object"),
        ("titles", "高等数学", "credit.awarded.titles: '高等数学' is not a list"),
        ("titles", [{"lang": "zh"}], r"titles\[0\].value is missing"),
        ("student_id", 417, "credit.awarded.student_id: 417 is not a string"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_field(
    path: str, value: Any, said: str
) -> None:
    """People write mappings by these messages: they must name the place, the value and what is wanted."""
    values = example(catalogue().newest["credit.awarded"])
    *parents, last = path.split(".")
    target = values
    for name in parents:
        target = target[name]
    target[last] = value
    with pytest.raises(ValueError, match=said):
        from_json("credit.awarded", values)


def test_a_missing_field_is_named_and_a_nullable_one_becomes_null() -> None:
    """A mapping need not mention what it has not got, unless the schema insists."""
    values = example(catalogue().newest["credit.awarded"])
    del values["transcript_uri"]
    record = from_json("credit.awarded", values)
    assert isinstance(record, CreditAwarded)
    assert record.transcript_uri is None
    del values["award_id"]
    with pytest.raises(ValueError, match=r"credit\.awarded\.award_id is missing"):
        from_json("credit.awarded", values)


def test_json_numbers_and_zones_are_taken_as_campus_systems_write_them() -> None:
    """Numbers for amounts and local offsets for times are common; the record holds exact amounts and UTC."""
    values = example(catalogue().newest["credit.awarded"])
    values["credits"]["value"] = 2.5
    values["attempt_no"] = 1.0
    values["envelope"]["occurred_at"] = "2027-01-20T14:00:00.123456+08:00"
    record = from_json("credit.awarded", values)
    assert isinstance(record, CreditAwarded)
    assert record.credits.value == Decimal("2.500")
    assert record.attempt_no == 1
    moment = record.envelope.occurred_at
    assert moment == datetime(2027, 1, 20, 6, 0, 0, 123000, UTC)
    assert moment.utcoffset() == timedelta(0)
    assert decode(encode(record)) == record


def test_a_time_of_another_zone_is_shown_in_utc() -> None:
    """Two readers of one event must not see two texts for one moment."""
    award = _award()
    east = award.envelope.occurred_at.astimezone(timezone(timedelta(hours=8)))
    shown = to_json(replace(award, envelope=replace(award.envelope, occurred_at=east)))
    assert shown["envelope"]["occurred_at"] == "2027-01-20T06:00:00Z"


def test_a_whole_number_keeps_all_its_digits_from_json() -> None:
    """Offsets and counts are 64 bits long, more than a float holds."""
    number = 2**53 + 1
    values = dict.fromkeys(("outbox_events", "inbox_position", "published_total"), number)
    values |= {"applied_total": str(number)}  # type: ignore[dict-item]  # JSON may carry it as text
    texts = dict.fromkeys(("member", "connector", "version", "state", "reason", "cursor"), "")
    record = from_json("hub.heartbeat", values | texts | {"at": "2027-01-20T06:00:00Z"})
    assert {to_json(record)[name] for name in values} == {number}
