"""A registry elsewhere gets our schemas under the ids in our messages, or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from hub.errors import RetryLater, SettingsError
from hub.registry.external import publish_to
from hub.registry.subjects import Subjects, Version
from schemas.catalogue import catalogue


@dataclass
class Elsewhere:
    """A registry in memory, as far as publishing asks. `imports` says whether it takes ids; else it counts its own."""

    imports: bool = True
    kept: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    status: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        parts = [unquote(one) for one in request.url.raw_path.decode().partition("?")[0].split("/")[1:]]  # fmt: skip
        if self.status:
            return httpx.Response(self.status, json={"error_code": 1, "message": "no"})
        if parts[0] == "mode":
            return self._mode(request, parts[1])
        if request.method == "GET":
            found = self.kept.get((parts[1], int(parts[3])))
            return httpx.Response(200 if found else 404, json=found or {"error_code": 40401})
        body = json.loads(request.content)
        if "id" in body and self.modes.get(parts[1]) != "IMPORT":
            return httpx.Response(422, json={"error_code": 42205, "message": "not in import mode"})
        schema_id = body["id"] if self.imports else len(self.kept) + 100
        self.kept[parts[1], body["version"]] = {"id": schema_id, "schema": body["schema"]}
        return httpx.Response(200, json={"id": schema_id})

    def _mode(self, request: httpx.Request, subject: str) -> httpx.Response:
        if request.method == "DELETE":
            self.modes.pop(subject, None)
            return httpx.Response(200, json={})
        self.modes[subject] = json.loads(request.content)["mode"]
        return httpx.Response(200, json={})


def wanted() -> list[Version]:
    subjects = Subjects(catalogue(), ())
    found = [subjects.find(name) for name in subjects.by_name]
    return [version for one in found if one for version in one.versions]


def client(handler: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(handler), base_url="http://registry:8081/")


def test_every_version_is_registered_under_its_id_and_a_second_run_changes_nothing() -> None:
    """A reader with that registry meets the ids that stand in our messages."""
    there = Elsewhere()
    done = publish_to(client(there), wanted())
    assert len(done.registered) == len(catalogue().by_id)
    assert {one["id"]: json.loads(one["schema"]) for one in there.kept.values()} == {
        schema_id: schema.avro for schema_id, schema in catalogue().by_id.items()
    }
    assert there.modes == {}, "no subject stays open for import"
    before = dict(there.kept)
    again = publish_to(client(there), wanted())
    assert (len(again.registered), len(again.there)) == (0, len(before))
    assert there.kept == before


def test_a_registry_with_ids_of_its_own_is_left_at_the_first() -> None:
    """It would answer our id with another schema, and every reader of it would decode nonsense."""
    there = Elsewhere(imports=False)
    with pytest.raises(SettingsError, match="got id 100"):
        publish_to(client(there), wanted())
    assert len(there.kept) == 1
    assert there.modes == {}


def test_what_somebody_else_registered_under_our_name_is_not_overwritten() -> None:
    """Neither is it taken for ours."""
    first = wanted()[0]
    for held in ({"id": 4711, "schema": first.text}, {"id": first.id, "schema": '"string"'}, {"id": first.id, "schema": "{"}):  # fmt: skip
        there = Elsewhere(kept={(first.subject, first.version): dict(held)})
        with pytest.raises(SettingsError, match=first.subject):
            publish_to(client(there), wanted())
        assert len(there.kept) == 1


@pytest.mark.parametrize(("status", "verdict"), [(503, RetryLater), (401, SettingsError)])
def test_a_registry_that_is_unwell_is_asked_later_and_one_that_refuses_is_a_setting(
    status: int, verdict: type[Exception]
) -> None:
    """What helps is told apart: waiting, or another right."""
    with pytest.raises(verdict, match=f"answered {status}"):
        publish_to(client(Elsewhere(status=status)), wanted())


def test_an_absent_registry_is_named() -> None:
    """The address is the first thing to look at."""

    def gone(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(RetryLater, match="registry:8081"):
        publish_to(client(gone), wanted())
