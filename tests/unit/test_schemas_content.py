"""The hash of what two sides agree on: the same for the same content, another for any other."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import fastavro.schema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import Schema, catalogue, example
from schemas.codec import decode, encode, from_json
from schemas.content import content_hash, hashed_schema
from schemas.records import AgreementChanged, EnrollmentPlanProposed
from tests.support.strategies import calm, records_of

HASHING = [schema for schema in catalogue().by_id.values() if schema.hash]
every_hash = pytest.mark.parametrize("schema", HASHING, ids=lambda schema: schema.event)


def _agreement() -> AgreementChanged:
    record = from_json("agreement.changed", example(catalogue().newest["agreement.changed"]))
    assert isinstance(record, AgreementChanged)
    return record


def _plan() -> EnrollmentPlanProposed:
    event = "enrollment.plan-proposed"
    record = from_json(event, example(catalogue().newest[event]))
    assert isinstance(record, EnrollmentPlanProposed)
    return record


def test_the_bytes_hashed_are_those_of_avro_and_nothing_else() -> None:
    """Another language computes the same from the schema alone; here the bytes are written out by hand."""
    conditions = replace(
        _agreement().conditions,
        kind="lab",
        first_year="2026-2027",
        last_year="2027-2028",
        quotas=(),
        total_days_per_year=3,
        credit_cap=Decimal("1.500"),
        rule_set=None,
        text_uri=None,
    )
    agreement = replace(_agreement(), parties=("10610", "10611"), conditions=conditions)
    by_hand = (
        b"\x04\x0a10610\x0a10611\x00"  # a list: block of two texts of five letters, end
        b"\x06lab\x122026-2027\x122027-2028"
        b"\x00"  # no quotas: end
        b"\x02\x06"  # days: there, 3
        b"\x02\x04\x05\xdc"  # cap: there, two bytes, 1500 thousandths
        b"\x00\x00"
    )
    assert content_hash(agreement) == hashlib.sha256(by_hand).hexdigest()


def test_the_hashes_of_the_examples_stay_what_they_are() -> None:
    """Approvals in the log name them: a change of library or code that moved one would void every approval."""
    agreement = "d5b869806b2a124e3c1f6daec4749be252f29e2f1f8c60697f90f8214973829a"
    plan = "b1674352204be09574aeede81b323966d319904826f2e203d7f3b779af7ec413"
    assert (content_hash(_agreement()), content_hash(_plan())) == (agreement, plan)
    assert (_agreement().conditions_hash, _plan().plan_hash) == (agreement, plan)
    decided = example(catalogue().newest["enrollment.plan-decided"])
    assert decided["decides_hash"] == plan


def test_every_hashed_value_counts() -> None:
    """Who approves three credits has not approved two, nor the same courses the other way round."""
    agreement, plan = _agreement(), _plan()
    conditions, course = agreement.conditions, plan.studied[0]
    changed: list[Any] = [
        replace(agreement, parties=("10611", "10610")),
        replace(agreement, conditions=replace(conditions, credit_cap=None)),
        replace(agreement, conditions=replace(conditions, quotas=conditions.quotas[::-1])),
        replace(agreement, conditions=replace(conditions, text_uri="")),
        replace(plan, studied=(replace(course, course_code="MATH1022"),)),
        replace(plan, studied=(course, course)),
        replace(plan, recognized=()),
        replace(plan, mappings=()),
    ]
    hashes = {content_hash(record) for record in (agreement, plan, *changed)}
    assert len(hashes) == len(changed) + 2


def test_what_is_not_hashed_does_not_count() -> None:
    """The same conditions have the same hash when proposed, when approved and whoever says so."""
    agreement, plan = _agreement(), _plan()
    other = replace(
        agreement,
        envelope=replace(agreement.envelope, member="10611", aggregate_version=7),
        party="10611",
        step="approved",
        conditions_hash="",
        effective_on=date(2027, 1, 1),
    )
    assert content_hash(other) == content_hash(agreement)
    assert content_hash(replace(plan, student_confirmed_on=None)) == content_hash(plan)


@every_hash
@calm
@given(data=st.data())
def test_a_hash_survives_the_wire(schema: Schema, data: st.DataObject) -> None:
    """The sender hashes before it encodes, the hub after it decodes."""
    record = data.draw(records_of(schema))
    assert content_hash(decode(encode(record))) == content_hash(record)


@every_hash
def test_the_order_of_the_hash_is_the_one_the_schema_names(schema: Schema) -> None:
    """Field order in the record may differ from it; only the named order counts."""
    fields = hashed_schema(schema)["fields"]
    assert tuple(field["name"] for field in fields) == schema.hashed
    swapped = replace(schema, hashed=schema.hashed[::-1])
    turned = hashed_schema(swapped)["fields"]
    assert tuple(field["name"] for field in turned) == schema.hashed[::-1]
    for whole in (schema, swapped):  # each type written out where it now comes first
        fastavro.schema.parse_schema(hashed_schema(whole))


@every_hash
def test_a_hash_field_is_a_text_beside_what_it_covers(schema: Schema) -> None:
    """A hash over itself, or over a field that is not there, could never be right."""
    kinds = {field["name"]: field["type"] for field in schema.avro["fields"]}
    assert kinds[schema.hash] == "string"
    assert set(schema.hashed) <= set(kinds) - {schema.hash, "envelope"}


@every_hash
def test_hashed_fields_are_the_same_in_every_version(schema: Schema) -> None:
    """A member with the older version hashes what it knows; the hub with the newer one must get the same."""
    newest = catalogue().newest[schema.event]
    canonical = fastavro.schema.to_parsing_canonical_form
    assert canonical(hashed_schema(schema)) == canonical(hashed_schema(newest))
    assert (schema.hash, schema.hashed) == (newest.hash, newest.hashed)


def test_an_event_without_a_hash_is_refused() -> None:
    """An empty hash would compare equal to another empty one."""
    event = "enrollment.requested"
    with pytest.raises(ValueError, match=r"enrollment\.requested declares no hash"):
        content_hash(from_json(event, example(catalogue().newest[event])))
