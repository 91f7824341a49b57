"""Descriptions made from the schemas: an AsyncAPI document and a data contract of a member, and the commands.

The JSON Schemas of both formats are other projects' files: ALLIANCE_ASYNCAPI_SCHEMA names AsyncAPI's 3.0.0.json
(npm `@asyncapi/specs`, `schemas/3.0.0.json`), ALLIANCE_ODCS_SCHEMA the contract standard's
(https://github.com/bitol-io/open-data-contract-standard, `schema/odcs-json-schema-v3.1.0.json`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.errors import SettingsError
from hub.registry import cli
from hub.registry.asyncapi import asyncapi
from hub.registry.contract import contract
from hub.registry.subjects import Subjects
from schemas.catalogue import catalogue
from schemas.members import Alliance, load_alliance

ROOT = Path(__file__).parents[2]
WHERE = ("broker-1:9092,broker-2:9092", "http://hub:8700/registry")


@pytest.fixture(scope="module")
def alliance() -> Alliance:
    return load_alliance(ROOT / "alliance.toml")


@pytest.fixture(scope="module")
def document(alliance: Alliance) -> dict[str, Any]:
    return asyncapi(Subjects(catalogue(), tuple(alliance.members)), alliance, "10611", *WHERE)


@pytest.fixture(scope="module")
def promise(alliance: Alliance) -> dict[str, Any]:
    return contract(Subjects(catalogue(), tuple(alliance.members)), alliance, "10611", *WHERE)


def valid(made: Any, variable: str) -> list[str]:
    """Faults by the JSON Schema that a variable names. Skips where it names none."""
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} names no JSON Schema")
    jsonschema = pytest.importorskip("jsonschema")
    said = json.loads(Path(path).read_text())
    check = jsonschema.validators.validator_for(said)(said)
    return [f"{one.json_path}: {one.message[:200]}" for one in check.iter_errors(made)]


def test_the_document_is_asyncapi(document: dict[str, Any]) -> None:
    """Generators and portals refuse what is not."""
    assert valid(document, "ALLIANCE_ASYNCAPI_SCHEMA") == []
    assert valid({**document, "channels": {"x": {"address": 1}}}, "ALLIANCE_ASYNCAPI_SCHEMA")


def test_the_contract_is_odcs(promise: dict[str, Any]) -> None:
    """Catalogs of data contracts refuse what is not."""
    assert valid(promise, "ALLIANCE_ODCS_SCHEMA") == []
    assert valid({**promise, "kind": "Promise"}, "ALLIANCE_ODCS_SCHEMA")


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    """A JSON Schema does not follow references; readers do."""

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [found for inner in node.values() for found in references(inner)]
        return [found for inner in node for found in references(inner)] if isinstance(node, list) else []  # fmt: skip

    found = references({key: document[key] for key in ("channels", "operations")})
    assert found
    for reference in found:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


def test_a_member_sends_every_event_and_hears_outcomes_besides(document: dict[str, Any]) -> None:
    """Both channels are the member's own; the registry and both brokers are named."""
    outbox, inbox = document["channels"]["outbox"], document["channels"]["inbox"]
    assert (outbox["address"], inbox["address"]) == ("member.10611.out", "member.10611.in")
    assert set(outbox["messages"]) == {one.class_name for one in catalogue().events()}
    assert set(inbox["messages"]) - set(outbox["messages"]) == {"CaseFlagged", "Outcome", "Promise", "Receipts"}  # fmt: skip
    assert [one["host"] for one in document["servers"].values()] == ["broker-1:9092", "broker-2:9092"]  # fmt: skip
    payload = document["components"]["messages"]["CreditAwarded"]["payload"]
    assert payload["schema"] == catalogue().newest["credit.awarded"].avro


def properties(node: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one for one in node["properties"]}


def test_a_contract_says_scale_optionality_and_what_is_inside(promise: dict[str, Any]) -> None:
    """Three decimals and `may be missing` are the part of a promise that is found out late."""
    (awarded,) = [one for one in promise["schema"] if one["name"] == "CreditAwarded"]
    fields = properties(awarded)
    assert fields["contact_hours"]["required"] is False
    scale = {"property": "scale", "value": 3}
    assert scale in fields["contact_hours"]["customProperties"]
    value = properties(fields["credits"])["value"]
    assert (value["logicalType"], value["required"]) == ("number", True)
    assert scale in value["customProperties"]
    assert fields["assessed_on"]["logicalType"] == "date"
    assert properties(fields["titles"]["items"])["value"]["logicalType"] == "string"
    assert properties(fields["envelope"])["event_id"]["unique"] is True


def test_a_contract_is_the_same_each_time_and_another_for_each_member(
    alliance: Alliance, promise: dict[str, Any]
) -> None:
    """Contracts are kept and compared; one that changed by itself would be noise."""
    subjects = Subjects(catalogue(), tuple(alliance.members))
    assert contract(subjects, alliance, "10611", *WHERE) == promise
    assert contract(subjects, alliance, "10610", *WHERE)["id"] != promise["id"]


def run(*words: str) -> Any:
    return CliRunner().invoke(cli.app, list(words))


def test_the_commands_print_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed is the JSON alone, to be sent into a file."""
    monkeypatch.setenv("ALLIANCE_FILE", str(ROOT / "alliance.toml"))
    assert json.loads(run("asyncapi", "--member", "10611").stdout)["asyncapi"] == "3.0.0"
    assert json.loads(run("contract", "--member", "10611").stdout)["tenant"] == "10611"
    assert isinstance(run("contract", "--member", "99999").exception, SettingsError)


def test_our_own_versions_pass_our_own_check() -> None:
    """Whoever adds a version that does not fit hears it from `make lint`."""
    assert cli.own_faults() == []
    done = run("check")
    assert done.exit_code == 0, done.output
    assert "means what it meant" in done.output


def test_a_version_that_does_not_fit_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can fail, and names the version and the field."""
    from dataclasses import replace

    known = catalogue()
    schema = known.newest["credit.awarded"]
    avro = {**schema.avro, "fields": [*schema.avro["fields"], {"name": "note", "type": "string"}]}
    worse = replace(
        known, by_id={**known.by_id, known.schema_id(schema): replace(schema, avro=avro)}
    )
    monkeypatch.setattr(cli, "catalogue", lambda: worse)
    (line,) = cli.own_faults()
    assert line.startswith("alliance.credit.CreditAwarded v2: note: the new schema needs it")


def test_diff_compares_files_and_published_versions(tmp_path: Path) -> None:
    """Exit code 1 stops a pipeline; a note does not."""
    avro = json.loads(json.dumps(catalogue().newest["credit.awarded"].avro))
    (hours,) = [one for one in avro["fields"] if one["name"] == "contact_hours"]
    hours["type"][1]["scale"] = 2
    path = tmp_path / "v3.avsc"
    path.write_text(json.dumps(avro))
    done = run("diff", "credit.awarded/v2", str(path))
    assert done.exit_code == 1
    assert "contact_hours: decimals had scale 3, now 2" in done.output
    found = json.loads(run("diff", "credit.awarded/2", str(path), "--json").stdout)
    assert [one["code"] for one in found["findings"]] == ["DECIMAL_SCALE"]
    assert run("diff", "ledger.entry/1", "ledger.entry/2").exit_code == 0
    assert isinstance(run("diff", "no.such/1", str(path)).exception, SettingsError)


def test_publishing_needs_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, with an example."""
    monkeypatch.delenv("ALLIANCE_REGISTRY", raising=False)
    assert "ALLIANCE_REGISTRY" in str(run("publish").exception)
