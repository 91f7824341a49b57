"""The codec as an independent library has it: fastavro reads and writes, and what it leaves open is checked here.

It shares nothing with `schemas.avro_plain` but the schemas. `lax` names what fastavro takes though it should not.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import fastavro
from fastavro.read import LOGICAL_READERS, SchemaResolutionError
from fastavro.write import LOGICAL_WRITERS

from schemas.catalogue import Schema, catalogue
from schemas.records import BY_NAME, Record

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BROKEN = (
    SchemaResolutionError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
    InvalidOperation, struct.error,
)  # fmt: skip


class Refused(Exception):
    """fastavro cannot read it, or reads what does not fit the schema."""


def _read_decimal(
    data: bytes, writer: dict[str, Any] | None, _reader: dict[str, Any] | None = None
) -> Decimal:
    """fastavro alone rounds what has too many digits, and takes minutes over a long one."""
    if writer is None:
        raise TypeError("decimal without its schema")
    unscaled = int.from_bytes(data, "big", signed=True)
    if abs(unscaled) >= 10 ** writer["precision"]:
        raise ValueError(data)
    return Decimal(unscaled).scaleb(-writer["scale"])


def _write_time(moment: datetime, _schema: object) -> int:
    """fastavro alone would take a time without a zone for the local one."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


# fastavro keeps these tables per process; nothing else uses it.
LOGICAL_READERS["bytes-decimal"] = _read_decimal
LOGICAL_WRITERS["long-timestamp-millis"] = _write_time


@cache
def parsed(schema_id: int) -> Any:
    """The schema as fastavro wants it, checked by its own rules on the way."""
    return fastavro.schema.parse_schema(catalogue().by_id[schema_id].avro)


def _check_ints(kind: Any, value: Any, names: dict[str, Any]) -> None:
    """fastavro alone reads ints of any length."""
    if isinstance(kind, str) and kind in names:
        kind = names[kind]
    if isinstance(kind, list):
        if value is not None:
            _check_ints(kind[1], value, names)
    elif kind == "int":
        if not -(2**31) <= value < 2**31:
            raise ValueError(value)
    elif isinstance(kind, dict) and "logicalType" not in kind:
        if "namespace" in kind:
            names[f"{kind['namespace']}.{kind['name']}"] = kind
        if kind["type"] == "record":
            for field in kind["fields"]:
                _check_ints(field["type"], value[field["name"]], names)
        elif kind["type"] == "array":
            for item in value:
                _check_ints(kind["items"], item, names)
    _name(kind, names)


def _name(kind: Any, names: dict[str, Any]) -> None:
    """Named types count from where they are defined, also inside a list that is empty."""
    if isinstance(kind, dict):
        if "namespace" in kind:
            names[f"{kind['namespace']}.{kind['name']}"] = kind
        for field in kind.get("fields", ()):
            _name(field["type"], names)
        _name(kind.get("items", kind.get("values")), names)
    elif isinstance(kind, list):
        for item in kind:
            _name(item, names)


def frame(schema: Schema) -> bytes:
    return struct.pack(">bI", 0, catalogue().schema_id(schema))


def write_as(schema: Schema, values: Mapping[str, Any]) -> bytes:
    """Framed bytes of Avro values under any version."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed(catalogue().schema_id(schema)), values)
    return frame(schema) + out.getvalue()


def read(value: bytes) -> Record:
    """Framed bytes as a record of the newest version. Raises `Refused`."""
    schema_id = struct.unpack(">I", value[1:5])[0]
    schema = catalogue().by_id[schema_id]
    newest = catalogue().newest[schema.event]
    target = None if schema is newest else parsed(catalogue().schema_id(newest))
    source = io.BytesIO(value[5:])
    try:
        values: Any = fastavro.schemaless_reader(source, parsed(schema_id), target)
        if source.tell() != len(value) - 5:
            raise ValueError("bytes left")
        _check_ints(newest.avro, values, {})
        return BY_NAME[newest.full_name].from_avro(values)
    except _BROKEN as error:
        raise Refused(str(error)) from error
