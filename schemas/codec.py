"""Records to bytes and back: Avro in Confluent's wire format (a zero byte, the schema id in four bytes, the record).

Owns framing and the two ways reading can fail. The bytes are what a member signs, so they are made once and carried
verbatim; nothing here encodes a received event again.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, TypeAlias

import fastavro
from fastavro.read import LOGICAL_READERS, SchemaResolutionError
from fastavro.write import LOGICAL_WRITERS

from schemas.catalogue import Schema, catalogue, parsed
from schemas.records import BY_NAME, Record

_FRAME = struct.Struct(">bI")  # Confluent wire format: magic byte 0, schema id big-endian
_BITS = {"int": 32, "long": 64}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_BROKEN = (
    SchemaResolutionError,
    EOFError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    InvalidOperation,
    struct.error,
)


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


def _read_decimal(
    data: bytes, writer: dict[str, Any] | None, _reader: dict[str, Any] | None = None
) -> Decimal:
    """An amount exactly as written. fastavro rounds what has too many digits, and takes minutes over a long one."""
    if writer is None:
        raise TypeError("decimal without its schema")
    unscaled = int.from_bytes(data, "big", signed=True)
    if abs(unscaled) >= 10 ** writer["precision"]:
        raise ValueError(f"decimal of {len(data)} bytes has more than {writer['precision']} digits")
    return Decimal(unscaled).scaleb(-writer["scale"])


def _write_time(moment: object, _schema: object) -> int:
    """Whole milliseconds since 1970. fastavro would take a time without a zone for the local one."""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError(f"{moment!r} is not a time with a zone; use datetime.now(UTC)")
    return (moment - _EPOCH) // _MILLISECOND


# fastavro keeps these tables per process; nothing else here uses it.
LOGICAL_READERS["bytes-decimal"] = _read_decimal
LOGICAL_WRITERS["long-timestamp-millis"] = _write_time


_Check: TypeAlias = Callable[[Any], None]


def _range_check(kind: Any, names: Mapping[str, Any]) -> _Check | None:
    """A check that every int of a value has 32 bits (fastavro reads and writes longer ones), or None without ints."""
    if isinstance(kind, str) and kind in names:
        kind = names[kind]
    if isinstance(kind, list):
        return _optional(_range_check(next(item for item in kind if item != "null"), names))
    if kind == "int":
        return _check_int
    if not isinstance(kind, dict) or "logicalType" in kind:
        return None
    if kind["type"] == "record":
        found = [(field["name"], _range_check(field["type"], names)) for field in kind["fields"]]
        return _fields([(name, check) for name, check in found if check is not None])
    if kind["type"] == "array":
        return _items(_range_check(kind["items"], names))
    return None


def _check_int(value: int) -> None:
    if not -(2**31) <= value < 2**31:
        raise ValueError(f"{value} does not fit the 32 bits of an int")


def _optional(check: _Check | None) -> _Check | None:
    return check and (lambda value: None if value is None else check(value))


def _fields(checks: list[tuple[str, _Check]]) -> _Check | None:
    def check_fields(values: Mapping[str, Any]) -> None:
        for name, check in checks:
            check(values[name])

    return check_fields if checks else None


def _items(check: _Check | None) -> _Check | None:
    def check_items(values: list[Any]) -> None:
        if check is not None:
            for value in values:
                check(value)

    return check and check_items


def _check(schema: Schema) -> _Check:
    names = _named(schema.full_name, schema.version)
    return _range_check(schema.avro, names) or (lambda _: None)


@cache
def _writer(event: str) -> tuple[bytes, Any, _Check]:
    known = catalogue()
    schema = known.newest[event]
    check = _check(schema)
    frame = _FRAME.pack(0, known.schema_id(schema))
    return frame, parsed(schema.full_name, schema.version), check


@cache
def _reader(schema_id: int) -> tuple[Schema, Any, Any | None, type[Record], _Check] | None:
    known = catalogue()
    schema = known.by_id.get(schema_id)
    if schema is None:
        return None
    newest = known.newest[schema.event]
    target = None if newest is schema else parsed(newest.full_name, newest.version)
    check = _check(newest)
    writer = parsed(schema.full_name, schema.version)
    return schema, writer, target, BY_NAME[newest.full_name], check


def encode(record: Record) -> bytes:
    """The record, framed, under the newest schema of its type.

    Raises `ValueError` or `TypeError` when a field does not fit its schema.
    """
    frame, schema, check = _writer(record.EVENT)
    values = record.to_avro()
    out = io.BytesIO()
    out.write(frame)
    fastavro.schemaless_writer(out, schema, values)
    check(values)
    return out.getvalue()


def schema_of(value: bytes) -> Schema:
    """The schema that framed bytes name. Raises `UnknownSchema` or `Unreadable`."""
    if len(value) < _FRAME.size or value[0] != 0:
        shown = value[:5].hex() or "nothing"
        raise Unreadable(
            f"value starts with {shown}, wanted a zero byte and a 4-byte schema id; use the wire format of the registry"
        )
    found = _reader(_FRAME.unpack_from(value)[1])
    if found is None:
        raise UnknownSchema(_FRAME.unpack_from(value)[1])
    return found[0]


def decode(value: bytes) -> Record:
    """Framed bytes as a typed record of the newest schema version. Raises `UnknownSchema` or `Unreadable`."""
    schema = schema_of(value)
    found = _reader(_FRAME.unpack_from(value)[1])
    if found is None:
        raise UnknownSchema(_FRAME.unpack_from(value)[1])
    _, writer, reader, record, check = found
    source = io.BytesIO(value)
    source.seek(_FRAME.size)
    try:
        values: Any = fastavro.schemaless_reader(source, writer, reader)
        if source.tell() != len(value):
            raise Unreadable(
                f"{schema.event}: {len(value) - source.tell()} bytes are left after the record; send one record a message"
            )
        check(values)
        return record.from_avro(values)
    except _BROKEN as error:
        raise Unreadable(
            f"{schema.event}: bytes do not follow schema id {catalogue().schema_id(schema)} ({type(error).__name__}: {error}); "
            "encode with the schema the frame names"
        ) from error


def to_json(record: Record) -> dict[str, Any]:
    """The record as JSON values: decimals as strings, dates and times in ISO 8601, bytes in hex."""
    values: dict[str, Any] = json.loads(
        json.dumps(record.to_avro(), default=_plain, ensure_ascii=False)
    )
    return values


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def from_json(event: str, values: Mapping[str, Any]) -> Record:
    """A record from JSON values as `to_json` writes them; absent nullable fields become null.

    Raises `ValueError` naming the field that is missing or does not fit.
    """
    schema = catalogue().newest[event]
    return BY_NAME[schema.full_name].from_avro(
        _value(schema.avro, values, event, _named(schema.full_name, schema.version))
    )


@cache
def _named(full_name: str, version: int) -> Mapping[str, Any]:
    """The named types inside a schema, for the places that mention one again."""
    names: dict[str, Any] = {}
    for schema in catalogue().by_id.values():
        if (schema.full_name, schema.version) == (full_name, version):
            _collect(schema.avro, names)
    return names


def _collect(node: Any, names: dict[str, Any]) -> None:
    if isinstance(node, list):
        for item in node:
            _collect(item, names)
    elif isinstance(node, dict):
        if "name" in node and "namespace" in node:
            names[f"{node['namespace']}.{node['name']}"] = node
        for key in ("type", "items", "values", "fields"):
            if key in node:
                _collect(node[key], names)


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
        return _decimal(value, kind["precision"], kind["scale"])
    if logical == "date":
        return date.fromisoformat(value)
    if logical == "timestamp-millis":
        return _time(datetime.fromisoformat(value))
    raw = bytes.fromhex(value)
    if len(raw) != kind["size"]:
        raise ValueError(len(raw))
    return raw


def _decimal(value: Any, precision: int, scale: int) -> Decimal:
    """The amount, exactly: more decimals than the schema has are refused, not rounded away."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise TypeError(type(value).__name__)
    number = Decimal(repr(value) if isinstance(value, float) else value)
    exact = number.quantize(Decimal(1).scaleb(-scale))
    if exact != number or abs(exact) >= Decimal(1).scaleb(precision - scale):
        raise ValueError(str(number))
    return exact


def _time(moment: datetime) -> datetime:
    """UTC, cut to the milliseconds that the schema keeps."""
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
