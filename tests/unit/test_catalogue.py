"""The catalogue: every event type with what belongs to it, every clause of the statute with what serves it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.domain.reasons import ADVICE
from hub.events import COMMON_REASONS, machines, reference
from hub.events.reference import ADMISSION_REASONS, Coverage, event_types
from hub.flow import admission
from hub.run import catalogue_cli
from schemas import topics
from schemas.catalogue import catalogue, prose
from schemas.clauses import Clause, clauses

KEYS = {
    "event", "version", "id", "topic", "writer", "key", "subject", "thing", "states", "reasons", "clauses", "doc",
    "hash",
}  # fmt: skip


def said(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(catalogue_cli.app, list(words))
    assert result.exit_code == code, result.output
    return result.output


def as_json(*words: str, code: int = 0) -> Any:
    return json.loads(said(*words, "--json", code=code))


def test_all_event_types_are_listed_with_what_belongs_to_them() -> None:
    """24 types; a portal reads this and needs no other source."""
    rows = as_json()
    assert len(rows) == len(catalogue().events()) >= 24
    for row in rows:
        schema = catalogue().newest[row["event"]]
        assert row.keys() == KEYS
        assert row["topic"] == topics.domain(schema.domain)
        assert catalogue().by_id[row["id"]] is schema
        assert set(row["reasons"]) >= COMMON_REASONS
        assert len(row["reasons"]) == len(set(row["reasons"]))
        assert (row["thing"] is None) == (row["states"] == [])
        assert row["clauses"]
    assert {row["event"] for row in rows if row["hash"]} == {
        schema.event for schema in catalogue().events() if schema.hash
    }


def test_the_list_for_people_names_every_type_and_reason() -> None:
    """Own reasons beside each type, the common ones and those of admission once."""
    text = said()
    for one in event_types():
        assert f"{one.event} v{one.schema.version}" in text
    for reason in COMMON_REASONS | ADMISSION_REASONS:
        assert reason in text


def test_every_clause_is_served_but_policy() -> None:
    """S1 to S16 have event types, S17 cannot; and no type names a clause that is not there."""
    found = as_json("--clauses")
    assert [one["id"] for one in found] == [f"S{number}" for number in range(1, 18)]
    assert all(one["covered"] and one["events"] for one in found[:16])
    assert [one["id"] for one in found if one["outside"]] == ["S17"]
    assert all(one["en"] and one["zh"] for one in found)
    named = {clause for schema in catalogue().events() for clause in schema.clauses}
    assert named <= {clause.id for clause in clauses()}
    assert "policy" in said("--clauses")


def test_a_clause_that_nothing_serves_ends_with_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a build tells; one that is policy does not count."""
    bare = Coverage(Clause("S16", "Libraries.", "图书。"), ())
    policy = Coverage(Clause("S17", "Majors.", "专业。", outside=True), ())
    monkeypatch.setattr(catalogue_cli, "coverage", lambda: [bare, policy])
    assert "no event type serves S16" in said("--clauses", code=1)
    assert [one["covered"] for one in as_json("--clauses", code=1)] == [False, False]
    monkeypatch.setattr(catalogue_cli, "coverage", lambda: [policy])
    said("--clauses")


@pytest.mark.parametrize("one", event_types(), ids=lambda one: one.event)
def test_a_type_is_shown_whole(one: reference.EventType) -> None:
    """Prose, fields, table, reasons with what people are told in both languages."""
    text = said(one.event)
    assert prose(one.schema) in text
    for field in one.schema.avro["fields"]:
        assert field["name"] in text
    for reason in one.reasons:
        assert ADVICE[reason].en in text
        assert ADVICE[reason].zh in text
    if one.life is not None:
        for step in one.life.steps:
            assert step.name in text
            assert step.after in text
    whole = as_json(one.event)
    assert whole.keys() >= KEYS | {"prose", "fields", "machine", "advice"}
    assert whole == json.loads(said("--json", one.event))


def test_fields_inside_records_are_shown_where_they_are() -> None:
    """Also those of a type that Avro wrote out further above."""
    rows = reference.fields(catalogue().newest["credit.recognition-decided"])
    at = {row.name: row for row in rows}
    assert at["mappings"].type == "list of RecognitionMapping"
    assert (at["appeal_until"].type, at["appeal_until"].depth) == ("date or null", 0)
    total = [row.name for row in rows].index("recognized_credits_total")
    assert [(row.name, row.depth) for row in rows[total : total + 3]] == [
        ("recognized_credits_total", 0), ("scheme", 1), ("value", 1),
    ]  # fmt: skip
    assert rows[total + 2].type == "decimal(3)"


def test_an_unknown_type_is_said_with_the_next_step() -> None:
    assert "event type 'credit.stolen' is not in the catalogue" in said("credit.stolen", code=2)


def test_every_table_is_printed() -> None:
    """By kind, with the steps and who takes them."""
    text, found = said("--machines"), as_json("--machines")
    assert [one["thing"] for one in found] == [machine.kind for machine in machines()]
    for machine, one in zip(machines(), found, strict=True):
        assert f"{machine.kind}: {machine.title_en} · {machine.title_zh}" in text
        assert len(one["steps"]) == len(machine.steps)
        assert one["events"]


def test_a_page_that_is_not_up_to_date_is_found_and_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """`make lint` checks, a developer writes."""
    page = tmp_path / "MACHINES.md"
    monkeypatch.setattr(catalogue_cli, "PAGE", page)
    assert "--write-diagrams" in said("--check-diagrams", code=1)
    said("--write-diagrams")
    assert "up to date" in said("--check-diagrams")


def test_admission_gives_no_other_reasons_than_listed() -> None:
    """The list stands beside the rules, which may not import admission; this holds the two together."""
    source = admission.__loader__.get_source(admission.__name__)  # type: ignore[union-attr]
    given = {reason for reason in ADVICE if f"Reason.{reason.name}" in source}
    assert given == ADMISSION_REASONS


def test_every_role_and_domain_has_words() -> None:
    """A reader of Chinese is not left with the name of a field."""
    for machine in machines():
        for step in machine.steps:
            assert not reference.actors(machine, step).zh.isascii(), (machine.kind, step)
        for state in machine.waits:
            whose = reference.turn(machine, state)
            assert whose is not None
            assert not whose.zh.isascii(), (machine.kind, state)
    for one in event_types():
        assert not one.writers.zh.isascii(), one.event
        assert not one.meaning.zh.isascii(), one.event
