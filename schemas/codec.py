"""Records to bytes and back: Avro in Confluent's wire format (a zero byte, the schema id in four bytes, the record).

Owns framing and the two ways reading can fail. The bytes are what a member signs, so they are made once and carried
verbatim; nothing here encodes a received event again. `schemas.avro_plain` does the Avro.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from schemas import records
from schemas.avro_plain import BROKEN, UNFIT, Read, Write, misfit, named_types, reader, writer
from schemas.catalogue import Schema, catalogue
from schemas.json_plain import UNFIT as UNFIT_JSON
from schemas.json_plain import (
    FromJson,
    ToJson,
    decimal_of,
    json_reader,
    json_writer,
    moment_of,
    moment_text,
)
from schemas.records import BY_NAME, Record

_FRAME = struct.Struct(">bI")  # Confluent wire format: magic byte 0, schema id big-endian
FRAME_BYTES = _FRAME.size
_BITS = {"int": 32, "long": 64}

# By frame and by event: a function is made when the first record of its schema comes by.
_readers: dict[bytes, tuple[Schema, Read]] = {}
_writers: dict[str, Write] = {}
_from_json: dict[str, FromJson] = {}
_to_json: dict[str, ToJson] = {}


class Unreadable(Exception):
    """The bytes are not a framed record of the schema they name."""


class UnknownSchema(Unreadable):
    """The bytes name a schema id that this installation does not have."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(
            f"schema id {schema_id} is not in this installation's catalogue (newest is {max(catalogue().by_id)}); "
            "publish with a registered schema, or upgrade the reader"
        )
        self.schema_id = schema_id


def encode(record: Record) -> bytes:
    """The record, framed, under the newest schema of its type.

    Raises `ValueError` or `TypeError` naming the field that does not fit its schema.
    """
    write = _writers.get(record.EVENT) or _made_writer(record.EVENT)
    try:
        return write(record)
    except UNFIT as error:
        said = misfit(catalogue().newest[record.EVENT].avro, record, record.EVENT) or str(error)
        if isinstance(error, (TypeError, AttributeError)):
            raise TypeError(said) from error
        raise ValueError(said) from error


def _made_writer(event: str) -> Write:
    known = catalogue()
    schema = known.newest[event]
    made = writer(schema.avro, _FRAME.pack(0, known.schema_id(schema)))
    _writers[event] = made
    return made


def schema_of(value: bytes) -> Schema:
    """The schema that framed bytes name. Raises `UnknownSchema` or `Unreadable`."""
    found = _readers.get(value[:5]) or _made_reader(value)
    return found[0]


def _made_reader(value: bytes) -> tuple[Schema, Read]:
    if len(value) < _FRAME.size or value[0] != 0:
        shown = value[:5].hex() or "nothing"
        raise Unreadable(
            f"value starts with {shown}, wanted a zero byte and a 4-byte schema id; use the wire format of the registry"
        )
    known = catalogue()
    schema = known.by_id.get(_FRAME.unpack_from(value)[1])
    if schema is None:
        raise UnknownSchema(_FRAME.unpack_from(value)[1])
    read = reader(schema.avro, known.newest[schema.event].avro, vars(records))
    _readers[value[:5]] = schema, read
    return schema, read


def decode(value: bytes) -> Record:
    """Framed bytes as a typed record of the newest schema version. Raises `UnknownSchema` or `Unreadable`."""
    schema, read = _readers.get(value[:5]) or _made_reader(value)
    try:
        record: Record = read(value, 5, len(value))
    except BROKEN as error:
        said = "the bytes end too early" if isinstance(error, IndexError) else error
        raise Unreadable(
            f"{schema.event}: bytes do not follow schema id {catalogue().schema_id(schema)} ({said}); "
            "encode with the schema the frame names"
        ) from error
    return record


def to_json(record: Record) -> dict[str, Any]:
    """The record as JSON values: decimals as strings, dates and times in ISO 8601, bytes in hex."""
    write = _to_json.get(record.EVENT)
    if write is None:
        write = _to_json[record.EVENT] = json_writer(catalogue().newest[record.EVENT].avro)
    try:
        return write(record)
    except UNFIT_JSON:  # made by hand, with other types than its class says
        values: dict[str, Any] = json.loads(
            json.dumps(record.to_avro(), default=_plain, ensure_ascii=False)
        )
        return values


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def from_json(event: str, values: Mapping[str, Any]) -> Record:
    """A record from JSON values as `to_json` writes them; absent nullable fields become null.

    Raises `ValueError` naming the field that is missing or does not fit.
    """
    read = _from_json.get(event)
    if read is None:
        read = _from_json[event] = json_reader(catalogue().newest[event].avro, vars(records))
    try:
        made: Record = read(values)
    except UNFIT_JSON:
        return _with_words(event, values)
    return made


def _with_words(event: str, values: Mapping[str, Any]) -> Record:
    """Field by field: knows which one does not fit, and takes what is unusual (a whole number as 1.0)."""
    schema = catalogue().newest[event]
    return BY_NAME[schema.full_name].from_avro(
        _value(schema.avro, values, event, _named(schema.full_name, schema.version))
    )


@cache
def _named(full_name: str, version: int) -> Mapping[str, Any]:
    """The named types inside a schema, for the places that mention one again."""
    known = catalogue()
    by_key = {(schema.full_name, schema.version): schema for schema in known.by_id.values()}
    return named_types(by_key[full_name, version].avro)


def _value(kind: Any, value: Any, at: str, names: Mapping[str, Any]) -> Any:
    """A JSON value as the Avro value of its kind; `at` is the path for messages."""
    if isinstance(kind, str) and kind in names:
        kind = names[kind]
    if isinstance(kind, list):
        if value is None:
            return None
        return _value(next(item for item in kind if item != "null"), value, at, names)
    if isinstance(kind, dict) and kind["type"] == "record":
        return _record(kind, _wanted(value, Mapping, "an object", at), at, names)
    if isinstance(kind, dict) and kind["type"] == "array":
        items = _wanted(value, (list, tuple), "a list", at)
        return [_value(kind["items"], item, f"{at}[{i}]", names) for i, item in enumerate(items)]
    if isinstance(kind, dict) and kind["type"] == "map":
        pairs = _wanted(value, Mapping, "an object", at).items()
        return {key: _value(kind["values"], item, f"{at}.{key}", names) for key, item in pairs}
    try:
        return _logical(kind, value) if isinstance(kind, dict) else _primitive(kind, value)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(
            f"{at}: {value!r} is not {_said(kind)}; correct the value or its mapping"
        ) from error


def _record(
    kind: Mapping[str, Any], value: Mapping[str, Any], at: str, names: Mapping[str, Any]
) -> dict[str, Any]:
    out = {}
    for field in kind["fields"]:
        name = field["name"]
        if name not in value and "default" not in field:
            raise ValueError(f"{at}.{name} is missing; map it or give it a constant")
        out[name] = _value(
            field["type"], value.get(name, field.get("default")), f"{at}.{name}", names
        )
    return out


def _wanted(value: Any, kinds: Any, said: str, at: str) -> Any:
    if not isinstance(value, kinds):
        raise ValueError(f"{at}: {value!r} is not {said}; correct the value or its mapping")
    return value


def _said(kind: Any) -> str:
    """The kind in words for people who write mappings."""
    if not isinstance(kind, dict):
        return f"a {_BITS[kind]}-bit whole number" if kind in _BITS else f"a {kind}"
    if kind.get("logicalType") == "decimal":
        whole = kind["precision"] - kind["scale"]
        return f"a number of at most {whole} digits and {kind['scale']} decimals"
    if kind.get("logicalType") == "timestamp-millis":
        return "a time with a zone such as 2026-09-01T00:00:00Z"
    if kind.get("logicalType") == "date":
        return "a date such as 2026-09-01"
    return f"{kind['size']} bytes in hex"


def _primitive(kind: str, value: Any) -> Any:
    if kind in _BITS and not isinstance(value, bool):
        whole = int(value)
        bound = 2 ** (_BITS[kind] - 1)
        if (isinstance(value, str) or whole == value) and -bound <= whole < bound:
            return whole
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "string" and isinstance(value, str):
        return value
    if kind == "bytes" and isinstance(value, str):
        return bytes.fromhex(value)
    raise TypeError(kind)


def _logical(kind: Mapping[str, Any], value: Any) -> Any:
    logical = kind.get("logicalType")
    if logical == "decimal":
        scale = kind["scale"]
        bound = Decimal(1).scaleb(kind["precision"] - scale)
        return decimal_of(value, bound, Decimal(1).scaleb(-scale))
    if logical == "date":
        return date.fromisoformat(value)
    if logical == "timestamp-millis":
        return moment_of(value)
    raw = bytes.fromhex(value)
    if len(raw) != kind["size"]:
        raise ValueError(len(raw))
    return raw
