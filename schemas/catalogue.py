"""The catalogue: every schema found in this package, with what its file says about it.

Owns discovery. A schema is a folder `<domain>/<fact>/` with `v1.avsc`, `v2.avsc` ...; nothing lists them. Shared
types stand once in `types/` and are put in place where a schema names them, so that each registered schema is whole.
Ids come from `ids.toml`, which only ever grows (see `schemas.build`).
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, TypeAlias

Avro: TypeAlias = dict[str, Any]

HUB_KIND = "hub"


class CatalogueError(Exception):
    """The schema files disagree with each other or with `ids.toml`; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one record type.

    `event` is the name people use (`credit.awarded`), `full_name` Avro's, `ce_type` CloudEvents'. `writer` are the
    fields that may hold the signing member's code; `key` and `subject` the fields whose values become the Kafka key
    and the CloudEvents subject. Where both sides must mean the same content, `hash` is the field that holds the hash
    and `hashed` the fields it is over (see `schemas.content`); both are empty elsewhere. Records of the hub itself
    have `kind == "hub"` and no writer.
    """

    event: str
    version: int
    full_name: str
    doc: str
    kind: str
    writer: tuple[str, ...]
    key: str
    subject: str
    clauses: tuple[str, ...]
    hash: str
    hashed: tuple[str, ...]
    avro: Avro
    fingerprint: str

    @property
    def domain(self) -> str:
        return self.event.partition(".")[0]

    @property
    def class_name(self) -> str:
        return self.full_name.rpartition(".")[2]

    @property
    def ce_type(self) -> str:
        return f"alliance.{self.event}.v{self.version}"

    @property
    def folder(self) -> str:
        domain, _, fact = self.event.partition(".")
        return f"{domain}/{fact.replace('-', '_')}"

    def is_event(self) -> bool:
        """Whether members publish it, as against records of the hub."""
        return self.kind == "event"


def _package() -> Traversable:
    return files("schemas")


def _folders(base: Traversable) -> Iterator[tuple[str, Traversable]]:
    for domain in sorted(base.iterdir(), key=lambda item: item.name):
        if not domain.is_dir() or domain.name.startswith(("_", ".")) or domain.name == "types":
            continue
        for fact in sorted(domain.iterdir(), key=lambda item: item.name):
            if fact.is_dir() and not fact.name.startswith(("_", ".")):
                yield f"{domain.name}.{fact.name.replace('_', '-')}", fact


def _shared_types(base: Traversable) -> dict[str, Avro]:
    found: dict[str, Avro] = {}
    for item in (base / "types").iterdir():
        if item.name.endswith(".avsc"):
            avro = json.loads(item.read_text(encoding="utf-8"))
            found[f"{avro['namespace']}.{avro['name']}"] = avro
    return found


def _whole(node: Any, shared: Mapping[str, Avro], placed: set[str]) -> Any:
    """Put each shared type in place where it is first named; later names stay names, as Avro wants it."""
    if isinstance(node, str):
        if node in shared and node not in placed:
            placed.add(node)
            return _whole(shared[node], shared, placed)
        return node
    if isinstance(node, list):
        return [_whole(item, shared, placed) for item in node]
    if isinstance(node, dict):
        whole = dict(node)
        for key in ("type", "items", "values"):
            if key in whole:
                whole[key] = _whole(whole[key], shared, placed)
        if "fields" in whole:
            whole["fields"] = [_whole(field, shared, placed) for field in whole["fields"]]
        return whole
    return node


def read_schemas(base: Traversable | None = None) -> list[Schema]:
    """Read every schema under `base` (this package by default), oldest version first within an event.

    Raises `CatalogueError` when a file's record does not say the name its folder has.
    """
    base = base or _package()
    shared = _shared_types(base)
    found: list[Schema] = []
    for event, folder in _folders(base):
        versions = sorted(
            (item for item in folder.iterdir() if item.name.endswith(".avsc")),
            key=lambda item: int(item.name.removeprefix("v").removesuffix(".avsc")),
        )
        for item in versions:
            raw = json.loads(item.read_text(encoding="utf-8"))
            kind = raw.get("kind", "event")
            if kind == "event" and raw.get("event") != event:
                raise CatalogueError(
                    f"{event}/{item.name} says event {raw.get('event')!r}, its folder says {event!r}; rename one of them"
                )
            avro = _whole(raw, shared, set())
            found.append(
                Schema(
                    event=event,
                    version=int(item.name.removeprefix("v").removesuffix(".avsc")),
                    full_name=f"{raw['namespace']}.{raw['name']}",
                    doc=raw["doc"],
                    kind=kind,
                    writer=tuple(raw.get("writer", ())),
                    key=raw.get("key", ""),
                    subject=raw.get("subject", ""),
                    clauses=tuple(raw.get("clauses", ())),
                    hash=raw.get("hash", ""),
                    hashed=tuple(raw.get("hashed", ())),
                    avro=avro,
                    fingerprint=fingerprint(avro),
                )
            )
    return found


def fingerprint(avro: Avro) -> str:
    """SHA-256 (hex) of the schema with sorted keys: docs, units and our own attributes count too."""
    text = json.dumps(avro, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All schemas with their ids. `by_id` serves decoding, `newest` encoding."""

    by_id: Mapping[int, Schema]
    ids: Mapping[tuple[str, int], int]
    newest: Mapping[str, Schema]

    def events(self) -> list[Schema]:
        """The newest version of each event type that members publish, by name."""
        return sorted((s for s in self.newest.values() if s.is_event()), key=lambda s: s.event)

    def domains(self) -> list[str]:
        return sorted({schema.domain for schema in self.events()})

    def schema_id(self, schema: Schema) -> int:
        return self.ids[schema.full_name, schema.version]


def read_ids(text: str) -> list[dict[str, Any]]:
    """The rows of `ids.toml`: `id`, `name`, `version`, `fingerprint`."""
    rows: list[dict[str, Any]] = tomllib.loads(text).get("schema", [])
    return rows


def build_catalogue(schemas: list[Schema], rows: list[dict[str, Any]]) -> Catalogue:
    """Join schemas with their ids. Raises `CatalogueError` for a schema without an id or one edited after publication."""
    ids: dict[tuple[str, int], int] = {}
    prints: dict[tuple[str, int], str] = {}
    for row in rows:
        ids[row["name"], row["version"]] = row["id"]
        prints[row["name"], row["version"]] = row["fingerprint"]
    by_id: dict[int, Schema] = {}
    newest: dict[str, Schema] = {}
    for schema in schemas:
        key = (schema.full_name, schema.version)
        if key not in ids:
            raise CatalogueError(
                f"{schema.event} v{schema.version} has no id; run: python -m schemas build"
            )
        if prints[key] != schema.fingerprint:
            raise CatalogueError(
                f"{schema.event} v{schema.version} was edited after it got id {ids[key]}; "
                f"undo the edit and add v{schema.version + 1}.avsc"
            )
        by_id[ids[key]] = schema
        newest[schema.event] = schema
    return Catalogue(by_id=by_id, ids=ids, newest=newest)


@cache
def catalogue() -> Catalogue:
    """The catalogue of this installation, read once."""
    rows = read_ids((_package() / "ids.toml").read_text(encoding="utf-8"))
    return build_catalogue(read_schemas(), rows)


def example(schema: Schema) -> Any:
    """The example of an event as JSON values, from its folder."""
    return json.loads((_package() / schema.folder / "example.json").read_text(encoding="utf-8"))


def prose(schema: Schema) -> str:
    """The paragraph for people, Markdown, from the event's folder."""
    return (_package() / schema.folder / "README.md").read_text(encoding="utf-8")
