"""The registry's paths, shapes and error codes are those of Confluent's; nothing in it can be changed over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette

from hub.api.registry_routes import MEDIA_TYPE, Registry
from hub.console.app import build_app
from hub.registry.impact import readers_of
from hub.registry.subjects import ONE_TYPE, TOLD, Subjects, guid_of, meaning, schema_text
from hub.store import tables
from hub.store.fold import fold
from hub.store.queries import Reader
from schemas.catalogue import catalogue
from schemas.members import load_alliance
from tests.support.readmodel import START, FakeKafka, alliance_day, sample_broker

ROOT = Path(__file__).parents[2]
MEMBERS = ("10610", "10611")
AWARDED = "alliance.credit.CreditAwarded"


def ask(method: str, path: str, body: Any = None, external: str = "", **headers: str) -> httpx.Response:  # fmt: skip
    app = Starlette(routes=Registry(Subjects(catalogue(), MEMBERS), external).routes())

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://hub/registry"
        ) as client:
            return await client.request(method, path, json=body, headers=headers)

    return asyncio.run(asked())


def got(path: str) -> Any:
    answer = ask("GET", path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    return answer.json()


def schema(name: str, version: int) -> Any:
    return next(
        one for one in catalogue().by_id.values() if (one.full_name, one.version) == (name, version)
    )


def sent(avro: Any) -> dict[str, Any]:
    return {"schema": json.dumps(avro)}


def test_every_id_on_the_wire_is_answered_with_its_schema() -> None:
    """A reader that meets an id in a message must find its schema, for every version there ever was."""
    for schema_id, one in catalogue().by_id.items():
        assert json.loads(got(f"/schemas/ids/{schema_id}")["schema"]) == one.avro
    assert got("/schemas/ids/1?fetchMaxId=true")["maxId"] == max(catalogue().by_id)


def test_versions_of_a_record_are_its_subject_and_the_newest_is_latest() -> None:
    """Record names are subjects, as under Confluent's RecordNameStrategy."""
    assert got(f"/subjects/{AWARDED}/versions") == [1, 2]
    newest = got(f"/subjects/{AWARDED}/versions/latest")
    assert (newest["version"], newest["id"]) == (2, catalogue().ids[AWARDED, 2])
    assert (
        newest == got(f"/subjects/{AWARDED}/versions/-1") == got(f"/subjects/{AWARDED}/versions/2")
    )
    assert got(f"/subjects/{AWARDED}/versions/1/schema") == schema(AWARDED, 1).avro
    assert got(f"/subjects/{AWARDED}/versions/1/referencedby") == []


def test_a_topic_of_one_type_is_a_subject_with_that_types_versions() -> None:
    """Consoles show a topic's schema by `<topic>-value`."""
    listed = got("/subjects")
    assert {f"{topic}-value" for topic in ONE_TYPE} <= set(listed)
    assert listed == sorted(listed)
    assert got("/subjects/ledger.entries-value/versions") == got(
        "/subjects/alliance.ledger.Entry/versions"
    )
    ids = got(f"/schemas/ids/{catalogue().ids['alliance.ledger.Entry', 1]}/versions")
    assert ids == [{"subject": "alliance.ledger.Entry", "version": 1}, {"subject": "ledger.entries-value", "version": 1}]  # fmt: skip


def test_a_type_of_an_outbox_is_found_by_topic_and_name_and_is_not_listed() -> None:
    """Twenty members' outboxes would list each type twenty times."""
    name = f"member.10610.out-{AWARDED}"
    assert got(f"/subjects/{name}/versions") == [1, 2]
    assert name not in got("/subjects")
    assert (
        ask("GET", f"/subjects/member.99999.out-{AWARDED}/versions").json()["error_code"] == 40401
    )


def test_an_outbox_takes_each_of_its_types_under_its_own_subject() -> None:
    """A serializer with its defaults registers under `<topic>-value`; a known schema gets its id there, another one none."""
    where = "/subjects/member.10611.out-value"
    for path in (where, f"{where}/versions"):
        said = ask("POST", path, sent(schema(AWARDED, 1).avro)).json()
        assert said["id"] == catalogue().ids[AWARDED, 1]
    told = schema("alliance.hub.Outcome", 2).avro
    assert ask("POST", where, sent(told)).json()["error_code"] == 40403
    assert ask("POST", "/subjects/member.10611.in-value", sent(told)).status_code == 200
    assert got(f"{where}/versions") == []
    none = ask("GET", f"{where}/versions/latest").json()
    assert none["error_code"] == 40402
    assert AWARDED in none["message"]


def test_what_is_told_to_an_inbox_is_in_the_catalogue() -> None:
    """A name mistyped in the tables of topics would be a subject that cannot be found."""
    assert {*TOLD, *ONE_TYPE.values()} <= set(catalogue().newest)


def test_a_schema_without_docs_is_the_same_and_one_with_another_default_is_not() -> None:
    """Clients drop what Avro ignores; what changes the reading is another schema."""
    avro = schema(AWARDED, 2).avro
    bare = meaning(avro)
    assert ask("POST", f"/subjects/{AWARDED}", sent(bare)).json()["version"] == 2
    other = {**avro, "fields": [{**one, "default": "x"} if one["name"] == "result" else one for one in avro["fields"]]}  # fmt: skip
    assert ask("POST", f"/subjects/{AWARDED}", sent(other)).json()["error_code"] == 40403


def test_guids_are_md5_over_the_text_that_is_served() -> None:
    """Confluent's rule; a message with the GUID in its header is readable with it."""
    newest = got(f"/subjects/{AWARDED}/versions/latest")
    assert (
        UUID(newest["guid"]).bytes
        == hashlib.md5(newest["schema"].encode(), usedforsecurity=False).digest()
    )
    assert got(f"/schemas/guids/{newest['guid']}")["schema"] == newest["schema"]
    assert got(f"/schemas/guids/{newest['guid']}/ids") == [{"context": ".", "id": newest["id"]}]
    assert guid_of(schema_text(schema(AWARDED, 2).avro)) == newest["guid"]


NOTHING: list[tuple[str, str, Any, int, int]] = [
    ("GET", "/subjects/nobody-value/versions", None, 404, 40401),
    ("GET", f"/subjects/{AWARDED}/versions/9", None, 404, 40402),
    ("GET", f"/subjects/{AWARDED}/versions/0", None, 422, 42202),
    ("GET", f"/subjects/{AWARDED}/versions/" + "9" * 5000, None, 422, 42202),
    ("GET", f"/subjects/{AWARDED}/versions/newest", None, 422, 42202),
    ("GET", "/schemas/ids/4711", None, 404, 40403),
    ("GET", "/schemas/ids/" + "9" * 5000, None, 404, 40403),
    ("GET", "/schemas/guids/0", None, 404, 40403),
    ("POST", "/subjects/nobody-value", {"schema": '"string"'}, 404, 40401),
    ("POST", f"/subjects/{AWARDED}", {"schema": '"string"'}, 404, 40403),
    ("POST", f"/subjects/{AWARDED}", {"schema": "{"}, 422, 42201),
    ("POST", f"/subjects/{AWARDED}", {}, 422, 42201),
    ("POST", f"/subjects/{AWARDED}", {"schema": "{}", "schemaType": "JSON"}, 422, 42201),
    ("POST", f"/subjects/{AWARDED}/versions", {"schema": '"string"'}, 422, 42205),
    ("POST", "/subjects/mine-value/versions", {"schema": '"string"'}, 422, 42205),
    ("DELETE", f"/subjects/{AWARDED}", None, 422, 42205),
    ("DELETE", f"/subjects/{AWARDED}/versions/1", None, 422, 42205),
    ("GET", f"/config/{AWARDED}", None, 404, 40408),
    ("PUT", "/config", {"compatibility": "SOME"}, 422, 42203),
    ("PUT", "/config", {"compatibility": ["NONE"]}, 422, 42203),
    ("PUT", f"/config/{AWARDED}", {"compatibility": "NONE"}, 422, 42205),
    ("GET", f"/mode/{AWARDED}", None, 404, 40409),
    ("PUT", "/mode", {"mode": "SOME"}, 422, 42204),
    ("PUT", "/mode", {"mode": "IMPORT"}, 422, 42205),
    ("GET", "/associations/resources/-/member.10610.out?resourceType=topic", None, 404, 40410),
    ("GET", "/exporters", None, 404, 404),
    ("PATCH", "/subjects", None, 405, 405),
    ("POST", "/subjects", {}, 405, 405),
    ("POST", f"/subjects/{AWARDED}", [], 422, 422),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), NOTHING, ids=[f"{m} {p[:60]} {c}" for m, p, _, _, c in NOTHING])  # fmt: skip
def test_what_is_not_there_or_not_allowed_has_confluents_code(
    method: str, path: str, body: Any, status: int, code: int
) -> None:
    """Clients branch on `error_code`: 40401 is how they know that a subject is new."""
    answer = ask(method, path, body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert answer.json()["message"]
    assert answer.headers["content-type"] == MEDIA_TYPE


def test_a_request_too_big_for_a_schema_is_not_read_to_its_end() -> None:
    """Anybody on the network may send; memory is not theirs."""
    answer = ask("POST", f"/subjects/{AWARDED}", {"schema": "x" * 300_000})
    assert (answer.status_code, answer.json()["error_code"]) == (422, 42209)


def test_settings_that_are_as_wished_are_confirmed() -> None:
    """Programs that set the level at their start must not fail where it is that already."""
    assert got("/config") == {"compatibilityLevel": "FULL_TRANSITIVE"}
    assert got(f"/config/{AWARDED}?defaultToGlobal=true") == {"compatibilityLevel": "FULL_TRANSITIVE"}  # fmt: skip
    assert ask("PUT", "/config", {"compatibility": "FULL_TRANSITIVE"}).json() == {"compatibility": "FULL_TRANSITIVE"}  # fmt: skip
    assert got("/mode") == {"mode": "READONLY"}
    assert got(f"/mode/{AWARDED}?defaultToGlobal=true") == {"mode": "READONLY"}
    assert ask("PUT", "/mode", {"mode": "READONLY"}).json() == {"mode": "READONLY"}
    assert got("/schemas/types") == ["AVRO"]
    assert got("/contexts") == ["."]
    assert got("/") == got("") == {}


def compatible(avro: Any, where: str) -> Any:
    answer = ask("POST", f"/compatibility/subjects/{AWARDED}/{where}", sent(avro))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_compatibility_says_path_reason_and_fix_when_asked_for_words() -> None:
    """`is_compatible: false` alone helps nobody."""
    avro = schema(AWARDED, 2).avro
    fits = {**avro, "fields": [*avro["fields"], {"name": "note", "type": "string", "default": ""}]}
    breaks = {**avro, "fields": [*avro["fields"], {"name": "note", "type": "string"}]}
    for where in ("versions", "versions/latest", "versions/1"):
        assert compatible(fits, where) == {"is_compatible": True}
        assert compatible(breaks, where) == {"is_compatible": False}
    said = compatible(breaks, "versions?verbose=true")
    assert said["messages"][0].startswith(
        "note: the new schema needs it, version 1 does not have it"
    )
    assert len(said["messages"]) == 2


def test_a_changed_scale_is_incompatible_though_avro_would_take_it() -> None:
    """Another member would book a tenth of the hours."""
    avro = json.loads(json.dumps(schema(AWARDED, 2).avro))
    (hours,) = [one for one in avro["fields"] if one["name"] == "contact_hours"]
    hours["type"][1]["scale"] = 2
    said = compatible(avro, "versions/latest?verbose=true")
    assert not said["is_compatible"]
    assert said["messages"][0].startswith("contact_hours: decimals had scale 3, now 2")


def test_a_new_subject_is_compatible_with_nothing_there() -> None:
    """As in Confluent's: the check over all versions of a subject without versions."""
    answer = ask("POST", "/compatibility/subjects/new-value/versions", sent("string"))
    assert answer.json() == {"is_compatible": True}


def test_lists_are_cut_and_filtered_as_clients_ask() -> None:
    """The newest Confluent client pages through subjects with offset and limit."""
    every = got("/subjects")
    assert got("/subjects?deleted=false&deleted_only=false&offset=0&limit=-1") == every
    assert got("/subjects?offset=2&limit=3") == every[2:5]
    assert got("/subjects?deleted_only=true") == []
    assert set(got("/subjects?subjectPrefix=alliance.credit.")) == {one for one in every if one.startswith("alliance.credit.")}  # fmt: skip
    latest = got(f"/schemas?latestOnly=true&subjectPrefix={AWARDED}")
    assert [one["version"] for one in latest if one["subject"] == AWARDED] == [2]
    assert ask("GET", "/subjects?limit=many").status_code == 404
    assert got(f"/subjects/:.:{AWARDED}/versions") == [1, 2]


def test_an_unchanged_answer_is_not_sent_again() -> None:
    """Consoles poll."""
    first = ask("GET", "/subjects")
    again = ask("GET", "/subjects", **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert ask("GET", "/config").headers["etag"] != first.headers["etag"]


def test_the_registry_elsewhere_is_named() -> None:
    """Who asks the hub learns where the alliance publishes besides."""
    assert "externalRegistry" not in got("/v1/metadata/version")
    said = ask("GET", "/v1/metadata/version", external="http://registry:8081").json()
    assert said["externalRegistry"] == "http://registry:8081"
    assert "id" in got("/v1/metadata/id")


def broken(avro: Any, rnd: random.Random) -> Any:
    """The schema with one place deleted, or filled with something odd."""
    whole = json.loads(json.dumps(avro))
    places: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                collect(node[key])

    collect(whole)
    node, key = rnd.choice(places)
    if rnd.random() < 0.3:
        del node[key]
    else:
        node[key] = rnd.choice(ODD)
    return whole


ODD: list[Any] = [
    None, 0, True, "", "x", "a.b", [], {}, ["null"], ["int", "int"], [["null"]], {"type": "int"}, {"type": {"type": "string"}},
    {"type": "array"}, {"type": "map", "values": "x"}, {"type": "enum", "name": "E", "symbols": ["A"], "default": "B"},
    {"type": "fixed", "name": "F", "size": -1}, {"type": "bytes", "logicalType": "decimal"}, {"type": "error", "name": "Z", "fields": []},
    {"type": "array", "items": "int", "fields": "x"}, {"type": "record", "name": "alliance.types.Envelope", "fields": []},
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # the Apache library warns of logical types it does not know
@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_sent_the_answer_is_a_verdict(seed: int) -> None:
    """A schema half written is what people send most; it must never be a fault of the server."""
    rnd = random.Random(seed)
    known = sorted(catalogue().by_id.items())
    for _ in range(60):
        one = rnd.choice(known)[1]
        where = rnd.choice([f"/compatibility/subjects/{one.full_name}/versions?verbose=true", f"/subjects/{one.full_name}", "/subjects/member.10610.out-value/versions"])  # fmt: skip
        answer = ask("POST", where, sent(broken(one.avro, rnd)))
        assert answer.status_code in (200, 404, 422), (seed, where, answer.text)


def test_the_consoles_process_serves_it_beside_the_api_each_with_its_own_errors(
    tmp_path: Path,
) -> None:
    """Clients of the registry read Confluent's errors, all others problem details; impact reads the members of the same API."""
    alliance = load_alliance(ROOT / "alliance.toml")
    codes = list(alliance.members)
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    tables.prepare(engine)
    taken = alliance_day(codes, START, entries=20)
    fold(engine, {}, taken)
    app = build_app(
        Reader(engine),
        alliance,
        FakeKafka(sample_broker(codes, taken, START)),
        lambda: START + timedelta(seconds=2),
    )

    async def asked() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            paths = (
                "/registry/subjects",
                "/registry/nothing",
                "/api/v1/nothing",
                "/api/v1/members",
            )
            return [await client.get(path) for path in paths]

    subjects, nothing, problem, members = asyncio.run(asked())
    engine.dispose()
    assert AWARDED in subjects.json()
    assert nothing.json() == {"error_code": 404, "message": "HTTP 404 Not Found"}
    assert problem.json()["code"] == "NOT_FOUND"
    readers, found = readers_of(members.json())
    assert found == codes
    assert {one.member for one in readers} <= set(codes)
    assert readers
