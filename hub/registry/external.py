"""Publish the catalogue to a registry elsewhere, under the ids that stand in every message.

Each record is a subject of its full name. Ids are ours to say, so a registry has to take them: Confluent's does in mode
IMPORT (https://docs.confluent.io/platform/current/schema-registry/installation/migrate.html). One that gives ids of its own
would answer for another schema than a message names, so the first such id ends the work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from hub.errors import RetryLater, SettingsError
from hub.registry.compare import avro_of
from hub.registry.shape import NotAvro
from hub.registry.subjects import Version, same_schema

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True)
class Published:
    """What happened: versions that were registered now, and those that were there."""

    registered: tuple[str, ...]
    there: tuple[str, ...]


def publish_to(client: httpx.Client, versions: Iterable[Version]) -> Published:
    """Register each version that is missing; `client` has the registry's URL as its base.

    Safe to repeat. Raises `RetryLater` when the registry is unwell, `SettingsError` when it holds something else under a name
    or id of ours, or takes no ids.
    """
    registered: list[str] = []
    there: list[str] = []
    by_subject: dict[str, list[Version]] = {}
    for one in versions:
        by_subject.setdefault(one.subject, []).append(one)
    for subject, wanted in by_subject.items():
        missing = [one for one in wanted if not _is_there(client, one)]
        there += [_label(one) for one in wanted if one not in missing]
        if missing:
            _import(client, subject, missing)
            registered += [_label(one) for one in missing]
    return Published(tuple(registered), tuple(there))


def _import(client: httpx.Client, subject: str, missing: list[Version]) -> None:
    """Mode IMPORT for this subject alone, and back, whatever happens between."""
    path = f"mode/{quote(subject, safe='')}"
    _ask(client, "PUT", f"{path}?force=true", {"mode": "IMPORT"})
    try:
        for one in missing:
            body = {"schema": one.text, "schemaType": "AVRO", "id": one.id, "version": one.version}
            said = _ask(client, "POST", f"subjects/{quote(subject, safe='')}/versions", body)
            if said.get("id") != one.id:
                raise SettingsError(
                    f"{_label(one)} got id {said.get('id')} at {client.base_url}, wanted {one.id}, which stands in the messages; "
                    "take a registry that imports ids, and delete the subject there"
                )
    finally:
        _ask(client, "DELETE", path, None)


def _is_there(client: httpx.Client, one: Version) -> bool:
    """Whether the registry has this version; raises `SettingsError` when it has another under its name or id."""
    found = _ask(client, "GET", f"subjects/{quote(one.subject, safe='')}/versions/{one.version}", None, missing_ok=True)  # fmt: skip
    if not found:
        return False
    try:
        same = same_schema([one], avro_of(found.get("schema", "")))
    except NotAvro:
        same = None
    if same is None or found.get("id") != one.id:
        raise SettingsError(
            f"{client.base_url} has id {found.get('id')} for {_label(one)}, wanted {one.id} and our schema; "
            "it was registered by somebody else: delete it there, or take another registry"
        )
    return True


def _ask(
    client: httpx.Client, method: str, path: str, body: Any, *, missing_ok: bool = False
) -> dict[str, Any]:
    try:
        answer = client.request(method, path, json=body, headers={"content-type": _MEDIA_TYPE, "accept": _MEDIA_TYPE})  # fmt: skip
    except httpx.HTTPError as error:
        raise RetryLater(f"the registry {client.base_url} does not answer ({error}); start it, or correct ALLIANCE_REGISTRY") from None  # fmt: skip
    if answer.status_code == 404 and (missing_ok or method == "DELETE"):
        return {}
    if answer.status_code >= 400:
        kind = RetryLater if answer.status_code >= 500 else SettingsError
        raise kind(
            f"{method} {path} at the registry {client.base_url} answered {answer.status_code} {answer.text[:200]!r}; "
            "it must allow writing and mode IMPORT to whoever publishes"
        )
    said = answer.json()
    return said if isinstance(said, dict) else {}


def _label(one: Version) -> str:
    return f"{one.subject} v{one.version}"
