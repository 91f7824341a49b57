"""Before a version is published: whom it breaks, who parks it, who says nothing, and how far the old one's sunset is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from hub.errors import RetryLater, SettingsError
from hub.registry import cli
from hub.registry.files import Draft, read_draft
from hub.registry.impact import Reader, Verdict, impact, impact_json, impact_lines, readers_of
from schemas.catalogue import catalogue, read_schemas

SCHEMAS = Path(read_schemas.__code__.co_filename).parent
MEMBERS = ("10610", "10611", "10613", "10614")


def reader(member: str, *schemas: str, connector: str = "campus") -> Reader:
    return Reader(member, connector, "running", schemas, "0123456789abcdef")


def draft(tmp_path: Path, *fields: Any, of: str = "credit/awarded/v2.avsc", **more: Any) -> Draft:
    """A published schema with more at its end, in a file of its own."""
    raw = json.loads((SCHEMAS / of).read_text())
    raw["fields"] += fields
    path = tmp_path / "v3.avsc"
    path.write_text(json.dumps(raw | more))
    return read_draft(path, catalogue())


OPTIONAL = {"name": "note", "type": ["null", "string"], "default": None}
DEMANDED = {"name": "note", "type": "string"}


def test_a_field_with_a_default_breaks_nobody_and_is_parked_until_the_upgrade(
    tmp_path: Path,
) -> None:
    """A connector knows a schema by its id; what it does not know yet it keeps, and reads after its upgrade."""
    found = impact(draft(tmp_path, OPTIONAL), [reader("10610", "credit.awarded/1", "credit.awarded/2"), reader("10611", "credit.awarded/1")], MEMBERS)  # fmt: skip
    assert found.event == "credit.awarded"
    assert found.by_verdict(Verdict.PARKS) == ["10610", "10611"]
    assert [one.version for one in found.judged] == [2, 1]
    assert found.without_connector() == ["10613", "10614"]


def test_a_breaking_draft_names_the_members_the_field_and_the_fix(tmp_path: Path) -> None:
    """The team that writes the draft must hear whom to talk to, and about which field."""
    found = impact(draft(tmp_path, DEMANDED), [reader("10610", "credit.awarded/2"), reader("10611", "hub.outcome/2")], MEMBERS)  # fmt: skip
    assert found.by_verdict(Verdict.BREAKS) == ["10610"]
    assert found.by_verdict(Verdict.NEW) == ["10611"]
    (finding,) = found.judged[0].findings
    assert (finding.code, finding.path) == ("FIELD_WITHOUT_DEFAULT", "note")
    said = impact_lines(found, draft(tmp_path, DEMANDED))
    assert said[0] == "version 2 and this one do not go together, at 10610.campus:"
    assert "1 of 4 members break: 10610" in said


def test_what_avro_would_let_pass_breaks_here(tmp_path: Path) -> None:
    """Another key: every message decodes, and comes in another order."""
    found = impact(draft(tmp_path, key="home"), [reader("10610", "credit.awarded/2")], MEMBERS)
    assert [one.code for one in found.judged[0].findings] == ["PROMISE"]


def test_a_connector_that_does_not_say_what_it_reads_is_not_counted_as_fine(tmp_path: Path) -> None:
    """Heartbeats before version 2 say nothing; silence is no consent."""
    readers = [reader("10610"), reader("10611", "credit.awarded/77")]
    found = impact(draft(tmp_path, OPTIONAL), readers, MEMBERS)
    assert found.by_verdict(Verdict.UNKNOWN) == ["10610", "10611"]


def test_a_member_is_as_well_as_its_worst_connector(tmp_path: Path) -> None:
    """One upgraded connector does not make a university ready."""
    readers = [
        reader("10610", "credit.awarded/2", connector="a"),
        reader("10610", "credit.awarded/1", connector="b"),
        reader("10611", "credit.awarded/1", "credit.awarded/2"),
    ]
    published = read_draft(SCHEMAS / "credit/awarded/v2.avsc", catalogue())
    found = impact(published, readers, MEMBERS)
    assert found.by_verdict(Verdict.READS) == ["10611"]
    assert found.by_verdict(Verdict.PARKS) == ["10610"]
    assert found.reading(2) == ["10611"]
    assert "1 of 4 members read v2" in impact_lines(found, published)
    as_json = impact_json(found, published)
    assert as_json["reading"] == {"1": ["10611"], "2": ["10611"]}
    assert as_json["published_as"] == 2


def test_every_published_file_is_read_as_what_was_published() -> None:
    """Shared types are put in place as the catalogue does it, or each file would look like a change."""
    for path in SCHEMAS.rglob("v*.avsc"):
        found = read_draft(path, catalogue())
        assert found.published is not None
        assert found.published.avro == found.avro


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "enum", "name": "E", "symbols": []}', '{"type": "record", "name": "R", "fields": [{"name": "x", "type": "nothing"}]}'])  # fmt: skip
def test_a_file_that_is_no_event_is_refused_by_name(tmp_path: Path, text: str) -> None:
    """The file is named, for people give many."""
    path = tmp_path / "v1.avsc"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"v1\.avsc"):
        read_draft(path, catalogue())


def answer(schemas: list[str]) -> Any:
    """`/api/v1/members`, as far as it is read."""
    beat = {"connector": "campus", "state": "running", "reader_schemas": schemas, "mapping_hash": ""}  # fmt: skip
    return {"items": [{"code": "10610", "connectors": [beat]}, {"code": "10611", "connectors": []}]}


def run(monkeypatch: pytest.MonkeyPatch, said: Any, *words: str) -> Any:
    def get(url: str, **_: Any) -> httpx.Response:
        return httpx.Response(200, json=said, request=httpx.Request("GET", url))

    monkeypatch.setattr(cli.httpx, "get", get)
    return CliRunner().invoke(cli.app, ["impact", *words])


def test_the_command_exits_1_when_it_breaks_somebody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """So a pipeline stops before the version is published."""
    path = str(draft(tmp_path, DEMANDED).path)
    said = answer(["credit.awarded/2"])
    assert run(monkeypatch, said, path).exit_code == 1
    shown = run(monkeypatch, said, path, "--json")
    assert json.loads(shown.stdout)["verdicts"]["breaks"] == ["10610"]
    draft(tmp_path, OPTIONAL)
    assert run(monkeypatch, said, path).exit_code == 0


def test_another_servers_answer_is_told_and_so_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """`0 of 0 members break` would read as a yes."""
    path = str(draft(tmp_path, OPTIONAL).path)
    assert isinstance(run(monkeypatch, {"error": "no"}, path).exception, SettingsError)
    monkeypatch.undo()
    gone = CliRunner().invoke(cli.app, ["impact", path, "--api", "http://127.0.0.1:9"])
    assert isinstance(gone.exception, RetryLater)


def test_readers_come_from_heartbeats_as_the_api_shows_them() -> None:
    """A heartbeat of version 1 has neither schemas nor hash."""
    said = answer(["hub.outcome/2"])
    del said["items"][0]["connectors"][0]["reader_schemas"]
    readers, members = readers_of(said)
    assert readers == [Reader("10610", "campus", "running", (), "")]
    assert members == ["10610", "10611"]
