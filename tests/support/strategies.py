"""Hypothesis strategies that follow from the schema files, so that a new event is tested without a line here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from schemas.catalogue import Schema
from schemas.records import BY_NAME, Record

# Records are wide and machines busy: how long one example takes says nothing about the code.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# fastavro counts milliseconds from 1970; datetime holds the years 1 to 9999.
_TIMES = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 (the strategy wants naive bounds and adds the zone)
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))


def records_of(schema: Schema) -> st.SearchStrategy[Record]:
    """Any typed record of a schema, whether or not it would make sense to the ledger."""
    return values_of(schema.avro).map(BY_NAME[schema.full_name].from_avro)


def values_of(kind: Any, names: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Any value of an Avro type, as fastavro takes it."""
    names = {} if names is None else names
    if isinstance(kind, list):
        rest = next(item for item in kind if item != "null")
        return st.none() | values_of(rest, names)
    if isinstance(kind, str):
        return values_of(names[kind], names) if kind in names else _primitive(kind)
    if "name" in kind and "namespace" in kind:
        names[f"{kind['namespace']}.{kind['name']}"] = kind
    if "logicalType" in kind:
        return _logical(kind)
    if kind["type"] == "record":
        return st.fixed_dictionaries(
            {field["name"]: values_of(field["type"], names) for field in kind["fields"]}
        )
    if kind["type"] == "array":
        return st.lists(values_of(kind["items"], names), max_size=3)
    if kind["type"] == "map":
        return st.dictionaries(st.text(max_size=8), values_of(kind["values"], names), max_size=3)
    if kind["type"] == "fixed":
        return st.binary(min_size=kind["size"], max_size=kind["size"])
    return _primitive(kind["type"])


def _primitive(kind: str) -> st.SearchStrategy[Any]:
    return {
        "string": st.text(max_size=12),
        "int": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
        "boolean": st.booleans(),
        "bytes": st.binary(max_size=24),
    }[kind]


def _logical(kind: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if kind["logicalType"] == "decimal":
        bound = 10 ** kind["precision"] - 1
        whole: st.SearchStrategy[int] = st.integers(-bound, bound)
        return whole.map(lambda number: Decimal(number).scaleb(-kind["scale"]))
    return {"date": st.dates(min_value=date(1, 1, 1)), "timestamp-millis": _TIMES}[
        kind["logicalType"]
    ]


@st.composite
def mutated(draw: st.DrawFn, values: st.SearchStrategy[bytes]) -> bytes:
    """Bytes with some of them changed, cut off, doubled or added."""
    value = bytearray(draw(values))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(value) - 1, 0)))
        match draw(st.sampled_from(["flip", "cut", "insert", "repeat", "append"])):
            case "flip" if value:
                value[at] ^= draw(st.integers(1, 255))
            case "cut":
                del value[at:]
            case "insert":
                value[at:at] = draw(st.binary(min_size=1, max_size=12))
            case "repeat":
                value[at:at] = value[at : at + draw(st.integers(1, 40))]
            case _:
                value += draw(st.binary(min_size=1, max_size=12))
    return bytes(value)
