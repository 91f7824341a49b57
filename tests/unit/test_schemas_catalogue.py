"""The schema files, what follows from them, and the story their examples tell."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from schemas import build
from schemas.catalogue import (
    CatalogueError,
    Schema,
    build_catalogue,
    catalogue,
    example,
    prose,
    read_ids,
    read_schemas,
)
from schemas.codec import decode, encode, from_json, to_json
from schemas.members import MEMBER_CODE
from schemas.records import BY_NAME

FOLDER = Path(build.__file__).parent
EVENTS = catalogue().events()
every_event = pytest.mark.parametrize("schema", EVENTS, ids=lambda schema: schema.event)


@every_event
def test_an_example_is_what_the_codec_writes(schema: Schema) -> None:
    """People copy examples; each must be a whole event in exactly the JSON form the hub hands out."""
    values = example(schema)
    record = from_json(schema.event, values)
    assert to_json(record) == values
    assert decode(encode(record)) == record


@every_event
def test_an_example_keeps_the_rules_of_the_envelope(schema: Schema) -> None:
    """Key, subject, writer and source follow from the schema; an example that broke them would be refused."""
    values = example(schema)
    envelope = values["envelope"]
    assert envelope["partition_key"] == values[schema.key]
    assert envelope["subject"].startswith(values[schema.subject])
    assert envelope["member"] in {values[name] for name in schema.writer}
    assert envelope["source"] == f"urn:alliance:member:{envelope['member']}:campus"
    assert MEMBER_CODE.fullmatch(envelope["member"])
    assert envelope["occurred_at"] <= envelope["recorded_at"]


def test_the_examples_tell_one_story() -> None:
    """A newcomer reads them in order; causes come before effects and ids agree from event to event."""
    told = {schema.event: example(schema) for schema in EVENTS}
    order = sorted(told, key=lambda event: told[event]["envelope"]["occurred_at"])
    assert order == [
        "member.profile-changed",
        "member.key-changed",
        "agreement.changed",
        "offering.changed",
        "teaching.appointment-changed",
        "enrollment.requested",
        "enrollment.decided",
        "enrollment.plan-proposed",
        "enrollment.plan-decided",
        "enrollment.status-changed",
        "teaching.delivered",
        "credit.awarded",
        "credit.recognition-requested",
        "credit.recognition-decided",
        "credit.award-corrected",
        "project.changed",
        "project.member-changed",
        "lab.resource-changed",
        "practice.placement-changed",
        "lab.access-requested",
        "lab.access-decided",
        "lab.usage-recorded",
        "teaching.secondment-changed",
        "dispute.changed",
        "talent.posting-changed",
        "transfer.achievement-changed",
        "student.erased",
    ]
    for name in (
        "enrollment_id", "student_id", "offering_id", "award_id", "recognition_id", "plan_id", "project_id",
        "appointment_id", "resource_id", "request_id",
    ):  # fmt: skip
        assert len({values[name] for values in told.values() if values.get(name)}) == 1
    assert not any(
        values.get("agreement_id") for event, values in told.items() if event != "agreement.changed"
    )
    ids = {event: values["envelope"]["event_id"] for event, values in told.items()}
    assert len(set(ids.values())) == len(ids)
    for event, values in told.items():
        cause = values["envelope"]["causation_id"]
        assert cause is None or cause in {ids[earlier] for earlier in order[: order.index(event)]}
    corrected = told["credit.award-corrected"]["envelope"]
    assert corrected["supersedes_id"] == ids["credit.awarded"]
    for decided in ("enrollment.decided", "enrollment.plan-decided", "lab.access-decided"):
        assert told[decided]["envelope"]["decides_version"] == 1
    assert told["credit.recognition-decided"]["envelope"]["decides_version"] is None


def test_versions_in_the_examples_count_up_for_each_subject_and_member() -> None:
    """The ledger parks an event behind a gap, so a story with one would stand still."""
    seen: dict[tuple[str, str, str], list[int]] = {}
    for domain, values in sorted(
        ((schema.domain, example(schema)) for schema in EVENTS),
        key=lambda item: str(item[1]["envelope"]["occurred_at"]),
    ):
        envelope = values["envelope"]
        seen.setdefault((domain, envelope["subject"], envelope["member"]), []).append(
            envelope["aggregate_version"]
        )
    assert all(versions == list(range(1, len(versions) + 1)) for versions in seen.values())


@pytest.mark.parametrize("schema", read_schemas(), ids=lambda schema: schema.event)
def test_every_schema_has_a_paragraph_for_people(schema: Schema) -> None:
    """The console and the documentation site show it; events are told in both languages."""
    title, *paragraphs = [part for part in prose(schema).strip().split("\n\n") if part]
    assert title.startswith(f"# {schema.event}: ")
    assert len(paragraphs) == (2 if schema.is_event() else 1)
    if schema.is_event():
        assert any("一" <= letter <= "鿿" for letter in paragraphs[1])


def test_ids_and_records_are_up_to_date_with_the_schema_files() -> None:
    """`python -m schemas build` was run after the last change to a schema."""
    schemas = read_schemas()
    ids = (FOLDER / "ids.toml").read_text(encoding="utf-8")
    assert build.next_ids(ids, schemas) == ids
    source = (FOLDER / "records.py").read_text(encoding="utf-8")
    assert build.formatted(build.records_source(schemas)) == source


def test_every_published_schema_is_still_there_under_its_own_id() -> None:
    """Messages under an id stay in the topics for ever; an id without a schema would make them unreadable."""
    rows = read_ids((FOLDER / "ids.toml").read_text(encoding="utf-8"))
    assert sorted(row["id"] for row in rows) == list(range(1, len(rows) + 1))
    there = {(schema.full_name, schema.version) for schema in read_schemas()}
    assert {(row["name"], row["version"]) for row in rows} == there


def test_every_schema_has_its_class() -> None:
    """A schema without a class could be registered and yet not be read."""
    known = catalogue().newest.values()
    assert {schema.full_name: schema.class_name for schema in known} == {
        name: record.__name__ for name, record in BY_NAME.items()
    }
    assert {schema.event for schema in known} == {record.EVENT for record in BY_NAME.values()}


def _schema_folder(base: Path, event: str, name: str, **changes: Any) -> Path:
    """A schema package with one event, as `read_schemas` takes it."""
    avro = {
        "type": "record",
        "name": name,
        "namespace": "alliance.lab",
        "doc": "Someone asks for time on an instrument.",
        "event": event,
        "key": "resource_id",
        "subject": "request_id",
        "writer": ["home"],
        "fields": [
            {"name": field, "type": "string"} for field in ("request_id", "resource_id", "home")
        ],
    } | changes
    (base / "types").mkdir(exist_ok=True)
    folder = base / "lab" / "access_requested"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "v1.avsc").write_text(json.dumps(avro), encoding="utf-8")
    return folder


def test_a_new_schema_gets_the_next_id_and_old_rows_stay(tmp_path: Path) -> None:
    """Ids are given once and for ever: adding an event must not renumber any other."""
    _schema_folder(tmp_path, "lab.access-requested", "LabAccessRequested")
    before = '[[schema]]\nid = 7\nname = "alliance.old.Thing"\nversion = 1\nfingerprint = "f00"\n'
    after = build.next_ids(before, read_schemas(tmp_path))
    assert after.startswith(before)
    assert [row["id"] for row in read_ids(after)] == [7, 8]
    assert build.next_ids(after, read_schemas(tmp_path)) == after


@pytest.mark.parametrize("change", [{"doc": "Other words."}, {"key": "home"}, {"fields": []}])
def test_an_edited_published_schema_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Twenty teams hold the published text; a silent edit would part what they read from what was written."""
    _schema_folder(tmp_path, "lab.access-requested", "LabAccessRequested")
    published = build.next_ids("", read_schemas(tmp_path))
    _schema_folder(tmp_path, "lab.access-requested", "LabAccessRequested", **change)
    with pytest.raises(CatalogueError, match=r"edited .* undo the edit and add v2\.avsc"):
        build.next_ids(published, read_schemas(tmp_path))
    with pytest.raises(CatalogueError, match="edited"):
        build_catalogue(read_schemas(tmp_path), read_ids(published))


def test_a_schema_without_an_id_says_what_to_run(tmp_path: Path) -> None:
    """The usual cause is a forgotten build."""
    _schema_folder(tmp_path, "lab.access-requested", "LabAccessRequested")
    with pytest.raises(CatalogueError, match="run: python -m schemas build"):
        build_catalogue(read_schemas(tmp_path), [])


def test_a_schema_in_the_wrong_folder_is_refused(tmp_path: Path) -> None:
    """The folder is the event's name everywhere; two names for one thing would part rule, topic and console."""
    _schema_folder(tmp_path, "lab.access-asked", "LabAccessRequested")
    with pytest.raises(CatalogueError, match=r"'lab\.access-asked'.*'lab\.access-requested'"):
        read_schemas(tmp_path)


def test_a_second_version_becomes_the_newest_and_the_first_stays_readable(tmp_path: Path) -> None:
    """Campuses upgrade one after the other; both versions are in use for months."""
    folder = _schema_folder(tmp_path, "lab.access-requested", "LabAccessRequested")
    avro = json.loads((folder / "v1.avsc").read_text(encoding="utf-8"))
    avro["fields"].append({"name": "purpose", "type": ["null", "string"], "default": None})
    (folder / "v2.avsc").write_text(json.dumps(avro), encoding="utf-8")
    schemas = read_schemas(tmp_path)
    known = build_catalogue(schemas, read_ids(build.next_ids("", schemas)))
    assert known.newest["lab.access-requested"].version == 2
    assert [schema.version for schema in known.by_id.values()] == [1, 2]
    assert [schema.event for schema in known.events()] == ["lab.access-requested"]
    assert "purpose: str | None" in build.records_source(schemas)


def test_times_in_the_examples_are_utc() -> None:
    """Examples show the form to copy."""
    for schema in EVENTS:
        for name in ("occurred_at", "recorded_at"):
            moment = datetime.fromisoformat(example(schema)["envelope"][name])
            assert moment.utcoffset() is not None
