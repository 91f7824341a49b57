"""Which schema reads which: judged as Apache Avro does, held against another library that really decodes, told by path."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.registry.compare import Level, against, faults, parsed, reads
from hub.registry.lint import lint, lint_alone
from hub.registry.shape import NotAvro


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "a.b", "fields": list(fields), **more}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


DECIMAL_2 = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
TREE = record(field("left", ["null", "R"], default=None), field("label", "string"))
TREE_MORE = record(*TREE["fields"], field("weight", "long", default=0))


@dataclass(frozen=True)
class Case:
    """`datum` is written with `writer` and read with `reader`. `decodes` where fastavro differs from the verdict, and why."""

    name: str
    writer: Any
    reader: Any
    datum: Any
    readable: bool
    code: str = ""
    differs: str = ""


S, X = field("s", "string"), {"s": "x"}
CASES = [
    Case("a field with a default came", record(S), record(S, field("n", "long", default=1)), X, readable=True),
    Case("a field without a default came", record(S), record(S, field("n", "long")), X, readable=False, code="FIELD_WITHOUT_DEFAULT"),
    Case("a field went", record(S, field("n", "long")), record(S), {"s": "x", "n": 1}, readable=True),
    Case("int to long", record(field("n", "int")), record(field("n", "long")), {"n": 1}, readable=True),
    Case("long to int", record(field("n", "long")), record(field("n", "int")), {"n": 1}, readable=False, code="TYPE"),
    Case("int to double", record(field("n", "int")), record(field("n", "double")), {"n": 1}, readable=True),
    Case("float to double", record(field("n", "float")), record(field("n", "double")), {"n": 1.5}, readable=True),
    Case("double to float", record(field("n", "double")), record(field("n", "float")), {"n": 1.5}, readable=False, code="TYPE"),
    Case("string to bytes", record(S), record(field("s", "bytes")), X, readable=True),
    Case("bytes to string", record(field("s", "bytes")), record(S), {"s": b"x"}, readable=True),
    Case("string to long", record(S), record(field("s", "long")), X, readable=False, code="TYPE"),
    Case("a field found by its alias", record(S), record(field("t", "string", aliases=["s"])), X, readable=True),
    Case("a field renamed", record(S), record(field("t", "string")), X, readable=False, code="FIELD_WITHOUT_DEFAULT"),
    Case("a record found by its full alias", record(S), record(S, name="Q", aliases=["a.b.R"]), X, readable=True),
    Case("a record renamed", record(S), record(S, name="Q"), X, readable=False, code="NAME", differs="fastavro decodes the outermost record whatever its name"),
    Case("an enumeration grew in the reader", record(field("e", enum("A"))), record(field("e", enum("A", "B"))), {"e": "A"}, readable=True),
    Case("an enumeration grew in the writer", record(field("e", enum("A", "B"))), record(field("e", enum("A"))), {"e": "B"}, readable=False, code="ENUM_SYMBOL"),
    Case("and the reader has a default", record(field("e", enum("A", "B"))), record(field("e", enum("A", default="A"))), {"e": "B"}, readable=True),
    Case("a union grew", record(field("n", "int")), record(field("n", ["null", "int"])), {"n": 1}, readable=True),
    Case("a union shrank, and null comes", record(field("n", ["null", "int"])), record(field("n", "int")), {"n": None}, readable=False, code="TYPE"),
    Case("a union without the writer's type", record(field("n", "string")), record(field("n", ["null", "int"])), {"n": "x"}, readable=False, code="UNION"),
    Case("a record inside itself", TREE, TREE_MORE, {"left": {"left": None, "label": "x"}, "label": "y"}, readable=True),
    Case("a fixed of another size", record(field("h", {"type": "fixed", "name": "H", "size": 4})), record(field("h", {"type": "fixed", "name": "H", "size": 8})), {"h": b"1234"}, readable=False, code="FIXED_SIZE"),
    Case("items of another type", record(field("l", {"type": "array", "items": "string"})), record(field("l", {"type": "array", "items": "int"})), {"l": ["x"]}, readable=False, code="TYPE"),
    Case("values of a wider type", record(field("m", {"type": "map", "values": "int"})), record(field("m", {"type": "map", "values": "long"})), {"m": {"k": 1}}, readable=True),
]  # fmt: skip


def decodes(case: Case) -> bool:
    """Whether fastavro really reads the datum, both schemas at hand."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(case.writer), case.datum)
    body.seek(0)
    try:
        fastavro.schemaless_reader(
            body, fastavro.parse_schema(case.writer), fastavro.parse_schema(case.reader)
        )
    except (fastavro.read.SchemaResolutionError, ValueError, KeyError, TypeError):
        return False
    return True


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_is_what_another_library_decodes(case: Case) -> None:
    """A check that passes what a deployed reader cannot decode would be found out in production."""
    assert reads(case.reader, case.writer) is case.readable
    if not case.differs:
        assert decodes(case) is case.readable


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_refusal_names_a_field_a_reason_and_a_fix(case: Case) -> None:
    """`incompatible` alone leaves people to compare two files by eye."""
    found = faults(case.reader, case.writer)
    assert [one.code for one in found] == ([case.code] if case.code else [])
    assert all(one.sentence and one.fix for one in found)
    if case.code and case.code != "NAME":
        assert found[0].path


def test_a_fault_deep_inside_is_named_by_its_path() -> None:
    """The path is written as people write it, through lists, maps and optional records."""

    def inner(kind: str) -> Any:
        return record(field("value", kind), name="Credit")

    def outer(kind: str) -> Any:
        lists = {"type": "array", "items": {"type": "map", "values": ["null", inner(kind)]}}
        return record(field("credits", lists))

    (found,) = faults(outer("int"), outer("string"), "version 1", "the new schema")
    assert found.path == "credits[]{}.value"
    assert found.sentence == "the new schema writes string, version 1 takes int"


KINDS = st.recursive(
    st.sampled_from(["int", "long", "float", "double", "string", "bytes", "boolean"]),
    lambda inner: st.one_of(
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda one: {"type": "map", "values": one}, inner),
        st.builds(lambda one: ["null", one], inner.filter(lambda one: not isinstance(one, list))),
    ),
    max_leaves=4,
)
RECORDS = st.lists(
    st.tuples(st.sampled_from("abcde"), KINDS, st.booleans()), max_size=4, unique_by=lambda one: one[0]
).map(lambda fields: record(*(field(name, ["null", kind] if null and not isinstance(kind, list) else kind, **({"default": None} if null and not isinstance(kind, list) else {})) for name, kind, null in fields)))  # fmt: skip


@given(reader=RECORDS, writer=RECORDS)
@settings(max_examples=300, deadline=None)
def test_whatever_apache_refuses_is_explained_by_our_own_walk(reader: Any, writer: Any) -> None:
    """The walk finds the place; were it to find none, people would read `says Apache Avro` and no more."""
    found = faults(reader, writer)
    assert bool(found) is not reads(reader, writer)
    assert "UNREADABLE" not in [one.code for one in found]


def test_each_level_asks_whom_it_says() -> None:
    """Backward: the new reads the old; forward: the old reads the new; transitive: all of them, not the last alone."""
    first, second = record(S), record(S, field("n", "long", default=0))
    third = record(S, field("n", "long"))  # reads the second, and not the first
    earlier = [("v1", first), ("v2", second)]
    verdicts = {level: not against(third, earlier, level) for level in Level}
    assert verdicts == {
        Level.NONE: True,
        Level.BACKWARD: True,
        Level.BACKWARD_TRANSITIVE: False,
        Level.FORWARD: True,
        Level.FORWARD_TRANSITIVE: True,
        Level.FULL: True,
        Level.FULL_TRANSITIVE: False,
    }


@pytest.mark.parametrize(
    "text", ["{", '{"type": "nothing"}', '{"type": "record", "name": "R"}', "7", "[" * 20000]
)
def test_what_is_no_schema_is_said_to_be_none(text: str) -> None:
    """Whatever a client sends, the answer is a sentence."""
    with pytest.raises(NotAvro):
        parsed(text)


LINTED = [
    ("DECIMAL_SCALE", field("c", DECIMAL_2), field("c", {**DECIMAL_2, "scale": 3})),
    ("DECIMAL_PRECISION", field("c", DECIMAL_2), field("c", {**DECIMAL_2, "precision": 12})),
    ("TIME_UNIT", field("t", {"type": "long", "logicalType": "timestamp-millis"}), field("t", {"type": "long", "logicalType": "timestamp-micros"})),
    ("LOGICAL_TYPE", field("t", "long"), field("t", {"type": "long", "logicalType": "timestamp-millis"})),
    ("NAMESPACE", field("r", record(S, name="I")), field("r", {**record(S, name="I"), "namespace": "a.c"})),
    ("NAME_UNIT", field("wait_s", "long", default=0), field("wait_ms", "long", default=0)),
    ("NAME_UNIT", field("wait_s", "long", default=0), field("wait_ms", "long", default=0, aliases=["wait_s"])),
    ("DOC_UNIT", field("n", "long", doc="Hours of teaching."), field("n", "long", doc="Days of teaching.")),
    ("DEFAULT", field("n", "long", default=0), field("n", "long", default=1)),
    ("ENUM_DEFAULT", field("e", enum("A", "B", default="A")), field("e", enum("A", "B", default="B"))),
]  # fmt: skip


@pytest.mark.parametrize(("code", "old", "new"), LINTED, ids=[f"{c}-{i}" for i, (c, *_) in enumerate(LINTED)])  # fmt: skip
def test_what_avro_reads_without_a_word_is_told(code: str, old: Any, new: Any) -> None:
    """A reader of the other version would be off by a factor, or take one thing for another."""
    before, after = record(old), record(new)
    assert reads(after, before), "the case is about what Avro lets pass"
    found = lint(before, after)
    assert [one.code for one in found if one.severe] == [code]
    assert found[0].path.split(".")[0] == new["name"]
    assert not [one for one in lint(before, before) if one.severe]


def test_a_changed_key_or_hash_is_another_event() -> None:
    """Two versions keyed or hashed differently cannot be mixed, however well they decode."""
    old = record(S, event="x.y", key="s", hash="h", hashed=["s"])
    for change in ({"key": "t"}, {"hashed": ["s", "n"]}, {"event": "x.z"}):
        assert [one.code for one in lint(old, {**old, **change})] == ["PROMISE"]
    wider = {**old, "fields": [field("s", ["null", "string"])]}
    assert "HASHED" in [one.code for one in lint(old, wider)]


def test_an_agreed_field_is_the_same_wherever_its_type_is_written_out() -> None:
    """A new field in front that writes the type out changes no hash; another field inside the type does."""
    inner = record(S, name="Inner")
    more = record(S, field("n", "long", default=0), name="Inner")
    old = record(field("agreed", {"type": "array", "items": inner}), hashed=["agreed"])

    def moved(kind: Any) -> Any:
        front = field("front", ["null", kind], default=None)
        return record(front, field("agreed", {"type": "array", "items": "Inner"}), hashed=["agreed"])  # fmt: skip

    assert not lint(old, moved(inner))
    assert [one.code for one in lint(old, moved(more))] == ["HASHED"]
    assert [one.code for one in lint(old, record(field("agreed", {"type": "array", "items": "string"}), hashed=["agreed"]))] == ["HASHED"]  # fmt: skip


def test_a_scale_is_followed_to_where_its_type_is_written_out() -> None:
    """A new field in front takes the shared type's text with it; the old field then has a name where it had the type."""

    def credit(scale: int) -> Any:
        return record(field("value", {**DECIMAL_2, "scale": scale}), name="Credit")

    old = record(field("credits", credit(2)))
    new = record(field("bonus", ["null", credit(3)], default=None), field("credits", "Credit"))
    found = [(one.code, one.path) for one in lint(old, new) if one.severe]
    assert found == [("DECIMAL_SCALE", "credits.value")]
    assert not lint(old, record(new["fields"][0] | {"type": ["null", credit(2)]}, new["fields"][1]))
    assert not lint(TREE, TREE), "a record inside itself ends"


def test_a_doc_that_says_more_is_a_note_and_a_unit_that_went_is_not() -> None:
    """People mend wording; that must not stop a release."""
    old = record(field("n", "long", doc="Whole hours."))
    more = lint(old, record(field("n", "long", doc="Whole hours, 45 minutes each.")))
    assert [(one.code, one.severe) for one in more] == [("DOC", False)]
    assert lint(old, record(field("n", "long", doc="A number.")))[0].severe


def test_a_draft_alone_is_told_what_it_can_never_change() -> None:
    """Short aliases mean different things to libraries; an enumeration without default can never grow."""
    draft = record(field("e", enum("A")), name="N", aliases=["M"])
    assert [one.code for one in lint_alone(draft)] == ["ALIAS_SHORT", "ENUM_WITHOUT_DEFAULT"]
    assert not lint_alone(record(field("e", enum("A", default="A")), aliases=["a.b.M"]))
    assert json.dumps(draft)
