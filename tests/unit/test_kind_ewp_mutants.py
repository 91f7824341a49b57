"""Other systems' documents: whatever is missing or strange in one, it is read or refused by name, and never ends a sweep."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.elmo.institutions import Institution, Institutions
from connectors.elmo.kind import Results
from connectors.ewp.agreements import Agreements
from connectors.ewp.documents import Us
from connectors.ewp.learning import LearningAgreements
from connectors.ewp.links import Links
from connectors.ewp.nominations import Nominations
from connectors.ewp.transcripts import Transcripts
from connectors.sdk.xml.document import Node, XmlError, parse, serialize
from tests.support.documents import sample

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOWHERE = Links(Path("/nonexistent/ewp.db"), write=False)
STRANGE = ["", " ", "NaN", "-1", "1e9", "Infinity", "2026", "2026/2027", "9999-99-99", "x" * 70, "学", "１２", "0", "true"]  # fmt: skip


def readers() -> list[tuple[str, Any]]:
    us = [Institution("uio.no", "10610"), Institution("uw.edu.pl", "10611"), Institution("hibo.no", "10613")]  # fmt: skip
    table = Institutions("-", {one.hei_id: one for one in us}, {one.member: one for one in us})
    norway, poland = Us("uio.no", "10610", table), Us("uw.edu.pl", "10611", table)
    return [
        ("ewp-nomination/get-response-example.xml", Nominations(norway, NOWHERE, bare=False)),
        ("ewp-learning-agreement/get-response-example.xml", LearningAgreements(norway, NOWHERE, lambda _: None, bare=False)),
        ("ewp-transcript/get-response-example.xml", Transcripts(poland, NOWHERE, bare=False)),
        ("ewp-agreement/get-response-example.xml", Agreements(poland, bare=False)),
        ("elmo/example.xml", Results(b"k", ("local",))),
    ]  # fmt: skip


def tried(read: Callable[[], Any]) -> Any:
    """What was read, or the refusal. Anything else that is raised fails the test."""
    try:
        return read()
    except XmlError as error:
        return error


def mutant(node: Node, data: st.DataObject) -> Node:
    """The element with something missing, doubled or strange in it, at any depth."""
    at = data.draw(st.integers(0, len(node.children)))
    if at < len(node.children) and data.draw(st.booleans()):
        inner = mutant(node.children[at], data)
        return replace(node, children=(*node.children[:at], inner, *node.children[at + 1 :]))
    what = data.draw(st.sampled_from(["text", "drop", "double", "attribute", "rename", "empty"]))
    children = node.children
    if what == "text":
        return replace(node, text=data.draw(st.sampled_from(STRANGE)))
    if what == "drop":
        return replace(node, children=children[:at] + children[at + 1 :])
    if what == "double":
        return replace(node, children=children + children[at : at + 1])
    if what == "attribute":
        return replace(node, attributes=dict.fromkeys(node.attributes, data.draw(st.sampled_from(STRANGE))))  # fmt: skip
    return replace(node, name="other") if what == "rename" else replace(node, children=())


@settings(SLOW, max_examples=300)
@given(st.data())
def test_a_strange_document_is_read_or_refused_by_name(data):
    """What a reader does not expect must not raise anything the runtime has no answer for."""
    name, reader = data.draw(st.sampled_from(readers()))
    root = parse(sample(name), name)
    assert reader.facts(root, name, "")
    for _ in range(data.draw(st.integers(1, 4))):
        root = mutant(root, data)
    facts = tried(lambda: reader.facts(root, name, ""))
    if isinstance(facts, XmlError):
        assert facts.code.startswith("XML_")
        assert name in str(facts)
        return
    for fact in facts:
        json.dumps([fact.identity, fact.data], ensure_ascii=False)
        assert isinstance(fact.thing, str)
        assert fact.thing


@SLOW
@given(st.data())
def test_a_cut_or_spoiled_document_is_read_or_refused_by_name(data):
    """Half a file, a flipped byte, two files run together: Expat's faults all have names here."""
    whole = sample("ewp-nomination/Ex1.xml")
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(whole)), st.integers(0, len(whole)))))  # fmt: skip
    spoiled = whole[:start] + data.draw(st.binary(max_size=3)) + whole[end:]
    found = tried(lambda: parse(serialize(parse(spoiled, "x"), "x"), "x"))
    assert isinstance(found, Node) or found.code.startswith("XML_")


@SLOW
@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused_by_name(data):
    """A picture in the wrong folder."""
    found = tried(lambda: parse(data, "x"))
    assert isinstance(found, Node) or found.code.startswith("XML_")
