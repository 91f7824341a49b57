"""What the registry knows: the catalogue's schemas under the subject names that clients of a Confluent registry ask for.

Owns names, the text that is served, and which schema a text is. HTTP is in `hub.api.registry_routes`. Nothing here can be
changed at run time: a schema comes with a release, its id from `ids.toml`.

Names follow the strategies of Confluent's serializers
(https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#subject-name-strategy):

- the full name of a record, for every type: `alliance.credit.CreditAwarded`;
- `<topic>-value` for a topic of one type: `hub.heartbeats-value`;
- `<topic>-<full name>` for a type of a topic with several. These are answered, not listed: twenty members' outboxes would
  list each type twenty times;
- `<topic>-value` of a topic with several types has no versions, for it has no one schema. A schema the topic carries is still
  found and "registered" under it, so that a serializer with its defaults works on an outbox.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from hub.registry.shape import NAMED, PRIMITIVE
from schemas import topics
from schemas.catalogue import Avro, Catalogue, Schema

# Topics of one record type. Checkpoints and cosignatures are texts of their own formats (schemas/tlog).
ONE_TYPE = {
    topics.LEDGER_IN: "hub.admitted",
    topics.LEDGER_ENTRIES: "ledger.entry",
    topics.DEAD_LETTERS: "hub.dead-letter",
    topics.HEARTBEATS: "hub.heartbeat",
    topics.COMMANDS: "hub.command",
    topics.COMMAND_ANSWERS: "hub.command-answer",
    topics.MEMBER_ACTIVITY: "hub.member-activity",
    topics.TOPIC_RATES: "hub.topic-rate",
    topics.CASES: "hub.open-case",
    topics.PRIVATE: "hub.private-payload",
}
# What comes to an inbox besides events: answers to the member, and what the hub says to those concerned.
TOLD = (
    "hub.case-flagged",
    "hub.outcome",
    "hub.promise",
    "hub.receipts",
)
_MEANS = (
    "type", "name", "namespace", "aliases", "fields", "items", "values", "symbols", "size",
    "default", "logicalType", "precision", "scale",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Version:
    """One schema under one subject. `guid` is Confluent's: MD5 over the text, as a UUID; equal in every registry that keeps
    this very text."""

    subject: str
    version: int
    id: int
    guid: str
    text: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class Subject:
    """A name with its versions, oldest first; none where `several` types share the topic."""

    name: str
    versions: tuple[Version, ...]
    several: tuple[Version, ...] = ()

    def candidates(self) -> tuple[Version, ...]:
        """All that a schema sent to this subject may be."""
        return self.versions + self.several

    def version(self, number: int) -> Version | None:
        return next((found for found in self.versions if found.version == number), None)


@dataclass(frozen=True)
class Subjects:
    """The catalogue by subject, for an alliance of `members` (codes)."""

    known: Catalogue
    members: tuple[str, ...]

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Schema, ...]]:
        """Versions of each record by its full name, oldest first."""
        found: dict[str, list[Schema]] = {}
        for schema in sorted(self.known.by_id.values(), key=lambda one: one.version):
            found.setdefault(schema.full_name, []).append(schema)
        return {name: tuple(versions) for name, versions in sorted(found.items())}

    @cached_property
    def topic_names(self) -> Mapping[str, tuple[str, ...]]:
        """Of each topic of several types, the full names of its records."""
        events = tuple(schema.full_name for schema in self.known.events())
        told = tuple(self.known.newest[event].full_name for event in TOLD)
        found: dict[str, tuple[str, ...]] = {
            topics.domain(domain): tuple(
                one.full_name for one in self.known.events() if one.domain == domain
            )
            for domain in self.known.domains()
        }
        for member in self.members:
            found[topics.outbox(member)] = events
            found[topics.inbox(member)] = events + told
        return found

    def listed(self) -> list[str]:
        """Subjects with versions of their own, by name."""
        return sorted([*self.by_name, *(f"{topic}-value" for topic in ONE_TYPE)])

    def find(self, name: str) -> Subject | None:
        """The subject of that name, or None. A leading `:.:` names the default context and changes nothing."""
        plain = name.removeprefix(":.:")
        if plain in self.by_name:
            return self._subject(name, plain)
        topic, _, rest = plain.rpartition("-")
        if rest == "value" and topic in ONE_TYPE:
            return self._subject(name, self.known.newest[ONE_TYPE[topic]].full_name)
        carried = self.topic_names.get(topic, ())
        if rest in carried:
            return self._subject(name, rest)
        if rest == "value" and carried:
            several = tuple(
                self._version(name, schema) for full in carried for schema in self.by_name[full]
            )
            return Subject(name, (), several)
        return None

    def of_id(self, schema_id: int) -> Version | None:
        schema = self.known.by_id.get(schema_id)
        return None if schema is None else self._version(schema.full_name, schema)

    def of_guid(self, guid: str) -> Version | None:
        return self._by_guid.get(guid.lower())

    def all(self) -> Iterable[Version]:
        """Every schema under each listed subject."""
        for name in self.listed():
            subject = self.find(name)
            if subject:
                yield from subject.versions

    def names_of(self, schema: Schema) -> list[str]:
        """Listed subjects that hold this schema."""
        return sorted(
            [
                schema.full_name,
                *(f"{topic}-value" for topic, event in ONE_TYPE.items() if event == schema.event),
            ]
        )

    @cached_property
    def _by_guid(self) -> Mapping[str, Version]:
        made = (self._version(one.full_name, one) for one in self.known.by_id.values())
        return {version.guid: version for version in made}

    def _subject(self, name: str, full_name: str) -> Subject:
        return Subject(name, tuple(self._version(name, one) for one in self.by_name[full_name]))

    def _version(self, subject: str, schema: Schema) -> Version:
        text = schema_text(schema.avro)
        return Version(
            subject, schema.version, self.known.schema_id(schema), guid_of(text), text, schema
        )


def schema_text(avro: Avro) -> str:
    """A schema as the registry serves it: compact, in the order of its file."""
    return json.dumps(avro, ensure_ascii=False, separators=(",", ":"))


def guid_of(text: str) -> str:
    """MD5 as Confluent's registry takes it for its GUIDs, where a schema has neither references nor rules."""
    return str(UUID(bytes=hashlib.md5(text.encode(), usedforsecurity=False).digest()))


def same_schema(candidates: Iterable[Version], avro: Any) -> Version | None:
    """Which version a client's schema is: the one with every word equal, else the newest that means the same to Avro.

    Documentation, and attributes Avro does not know, may differ: many clients drop them.
    """
    told = sorted(candidates, key=lambda one: one.version, reverse=True)
    for version in told:
        if version.schema.avro == avro:
            return version
    wanted = meaning(avro)
    return next((one for one in told if meaning(one.schema.avro) == wanted), None)


def meaning(avro: Any, inside: str = "") -> Any:
    """A schema without what Avro ignores, full names written out; to compare, not to serve."""
    if isinstance(avro, list):
        return [meaning(item, inside) for item in avro]
    if isinstance(avro, str):
        return avro if "." in avro or avro in PRIMITIVE or not inside else f"{inside}.{avro}"
    if not isinstance(avro, dict):
        return avro
    if set(avro) == {"type"}:
        return meaning(avro["type"], inside)
    kept = {key: avro[key] for key in _MEANS if key in avro}
    if "name" in kept and kept.get("type") in NAMED:
        name = full_name(kept, inside)
        kept["name"], inside = name, name.rpartition(".")[0]
        kept.pop("namespace", None)
    for key in ("type", "items", "values"):
        if key in kept and not (key == "type" and kept["type"] in _COMPLEX):
            kept[key] = meaning(kept[key], inside)
    if "fields" in kept:
        kept["fields"] = [
            {
                **{key: field[key] for key in ("name", "aliases", "default") if key in field},
                "type": meaning(field["type"], inside),
            }
            for field in kept["fields"]
        ]
    return kept


_COMPLEX = (*NAMED, "array", "map")


def full_name(avro: Mapping[str, Any], inside: str) -> str:
    """The full name of a named type that stands in namespace `inside`."""
    name = str(avro.get("name", ""))
    if "." in name:
        return name
    space = avro.get("namespace", inside)
    return f"{space}.{name}" if space else name
