"""A schema file that is not published yet: shared types put in place, and the event it belongs to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.errors import SettingsError
from hub.registry.compare import parsed
from hub.registry.shape import NAMED, NotAvro
from hub.registry.subjects import full_name
from schemas.catalogue import Avro, Catalogue, Schema


@dataclass(frozen=True, slots=True)
class Draft:
    """A schema from a file. `earlier` are the published versions of its event, oldest first; `published` is the one that
    is the same to the last word, if there is one."""

    path: Path
    avro: Avro
    event: str
    earlier: tuple[Schema, ...]
    published: Schema | None


def read_draft(path: Path, known: Catalogue) -> Draft:
    """Read a `.avsc`. Raises `SettingsError` naming the file and what is wrong with it."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}; name a readable .avsc file") from None
    if not isinstance(raw, dict) or raw.get("type") != "record":
        raise SettingsError(f"{path} is no record schema; events are records")
    avro = placed(raw, shared_types(known))
    try:
        parsed(avro)
    except NotAvro as error:
        raise SettingsError(f"{path}: {error}") from None
    name = full_name(avro, "")
    versions = sorted(
        (
            one
            for one in known.by_id.values()
            if one.full_name == name or (avro.get("event") and one.event == avro["event"])
        ),
        key=lambda one: one.version,
    )
    same = next((one for one in versions if one.avro == avro), None)
    event = versions[0].event if versions else str(avro.get("event", name))
    return Draft(path, avro, event, tuple(versions), same)


def shared_types(known: Catalogue) -> dict[str, Avro]:
    """Named types that published schemas hold, by full name: what a file may name without writing it out."""
    found: dict[str, Avro] = {}
    for schema in known.by_id.values():
        for field in schema.avro["fields"]:
            _collect(field["type"], schema.avro["namespace"], found)
    return found


def _collect(kind: Any, inside: str, found: dict[str, Avro]) -> None:
    if isinstance(kind, list):
        for item in kind:
            _collect(item, inside, found)
    elif isinstance(kind, dict):
        if kind.get("type") in NAMED:
            name = full_name(kind, inside)
            inside = name.rpartition(".")[0]
            found.setdefault(name, kind)
        for key in ("type", "items", "values"):
            _collect(kind.get(key), inside, found)
        for field in kind.get("fields", ()):
            _collect(field["type"], inside, found)


def placed(avro: Any, shared: dict[str, Avro]) -> Any:
    """The schema with each shared type written out where it is first named, as Avro wants it."""
    return _placed(avro, shared, set())


def _placed(kind: Any, shared: dict[str, Avro], done: set[str]) -> Any:
    if isinstance(kind, str):
        if kind not in shared or kind in done:
            return kind
        done.add(kind)
        return _placed(shared[kind], shared, done)
    if isinstance(kind, list):
        return [_placed(item, shared, done) for item in kind]
    if not isinstance(kind, dict):
        return kind
    whole = dict(kind)
    if whole.get("type") in NAMED:
        done.add(full_name(whole, ""))
    for key in ("type", "items", "values"):
        if key in whole and not (key == "type" and whole["type"] in NAMED):
            whole[key] = _placed(whole[key], shared, done)
    if "fields" in whole:
        whole["fields"] = [
            {**field, "type": _placed(field["type"], shared, done)} for field in whole["fields"]
        ]
    return whole
