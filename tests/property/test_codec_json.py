"""Records to JSON and back by the functions made for each schema, against the slow way field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.catalogue import Schema, catalogue, example
from schemas.codec import from_json, to_json
from tests.support.strategies import calm, records_of

SCHEMAS = sorted(catalogue().newest.values(), key=lambda schema: schema.event)
every_schema = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.event)

# Values of every kind in which campuses and mappings err, and some that fit by chance.
STRANGE = st.sampled_from(
    [None, True, False, 0, 1, -1, 2**31, 2**63, 1.0, 1.5, "", "x", "1", "2.500", "2.5678", "NaN", "1e3", "1_0", "ab12", "é",
     "2026-09-01", "20260901", "2026-09-01T08:00:00Z", "2026-09-01T08:00:00", "2026-09-01T08:00:00.123456+08:00", "0" * 64,
     [], ["x"], [1], {}, {"a": 1}, {"lang": "zh", "value": "x"}, float("inf"), 10**30]
)  # fmt: skip


@every_schema
@settings(calm, max_examples=30)
@given(data=st.data())
def test_a_record_s_json_is_what_json_itself_makes_of_it(
    schema: Schema, data: st.DataObject
) -> None:
    """Campuses and the console read these texts; and what comes back is the record."""
    record = data.draw(records_of(schema))
    slow = json.loads(json.dumps(record.to_avro(), default=codec._plain, ensure_ascii=False))
    made = to_json(record)
    assert made == slow
    assert json.loads(json.dumps(made)) == made
    assert from_json(schema.event, made) == record
    assert codec._with_words(schema.event, made) == record


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()  # fmt: skip
    return [at, *(place for key, held in inner for place in _places(held, (*at, key)))]


def _put(value: Any, at: tuple[Any, ...], strange: Any) -> Any:
    """The value with something else at one place; `...` takes the place away."""
    if not at:
        return strange
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(at) == 1 and strange is ...:
        del copy[at[0]]
    else:
        copy[at[0]] = _put(copy[at[0]], at[1:], strange)
    return copy


def _answer(read: Any, event: str, values: Any) -> Any:
    try:
        return read(event, values)
    except (ValueError, TypeError, AttributeError) as error:
        return type(error), str(error)


@every_schema
@settings(calm, max_examples=60)
@given(data=st.data())
def test_what_does_not_fit_is_refused_in_the_same_words_and_what_fits_is_the_same_record(
    schema: Schema, data: st.DataObject
) -> None:
    """The quick way must take nothing that the slow way refuses, or records would depend on which one read them."""
    values: Any = to_json(data.draw(records_of(schema)))
    places = _places(values)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places))
        try:
            values = _put(values, place, data.draw(STRANGE | st.just(...)))
        except (LookupError, TypeError):
            continue  # an earlier change took the place away
    if values is ...:
        return
    quick, slow = (_answer(read, schema.event, values) for read in (from_json, codec._with_words))
    assert quick == slow
    assert repr(quick) == repr(slow)  # equal values may hide 1 for True, or another zone


def test_the_quick_way_reads_and_writes_every_example_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Falling back costs ten times as much and is never seen: no example may need it."""
    monkeypatch.setattr(codec, "_with_words", None)
    monkeypatch.setattr(codec, "json", None)
    for schema in catalogue().events():
        record = from_json(schema.event, example(schema))
        assert from_json(schema.event, to_json(record)) == record
