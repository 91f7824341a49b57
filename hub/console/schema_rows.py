"""The catalogue as rows for people: each schema with its versions and how they go together, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hub.api.sentences import Text
from hub.registry.compare import against
from hub.registry.lint import lint
from schemas.catalogue import Catalogue, Schema
from schemas.records import Heartbeat


@dataclass(frozen=True, slots=True)
class Version:
    """One version and the id it has in the wire format."""

    number: int
    id: int


@dataclass(frozen=True, slots=True)
class Row:
    """One schema; `sentences` has one for each version after the first, more where something is wrong."""

    event: str
    full_name: str
    doc: str
    versions: tuple[Version, ...]
    sentences: tuple[Text, ...]


def by_domain(known: Catalogue) -> list[tuple[str, list[Row]]]:
    """All schemas, records of the hub last. Takes a while: Apache's checker compares the versions."""
    grouped: dict[str, list[Row]] = {}
    for event in sorted(known.newest):
        grouped.setdefault(event.partition(".")[0], []).append(_row(known, event))
    hub_last = sorted(grouped, key=lambda domain: (domain in ("hub", "ledger"), domain))
    return [(domain, grouped[domain]) for domain in hub_last]


def _row(known: Catalogue, event: str) -> Row:
    found = sorted(
        (one for one in known.by_id.values() if one.event == event), key=lambda one: one.version
    )
    newest = found[-1]
    return Row(
        event,
        newest.full_name,
        newest.doc,
        tuple(Version(one.version, known.schema_id(one)) for one in found),
        tuple(text for number in range(1, len(found)) for text in sentences(found[: number + 1])),
    )


def sentences(versions: Sequence[Schema]) -> list[Text]:
    """How the last of these goes together with those before it."""
    *earlier, new = versions
    old = earlier[-1]
    faults = against(new.avro, [(f"v{one.version}", one.avro) for one in earlier])
    found = [Text(f"v{new.version}: {fault}", f"v{new.version}：{fault}") for fault in faults]
    if not found:
        others = ", ".join(f"v{one.version}" for one in earlier)
        gained, lost = _fields(new) - _fields(old), _fields(old) - _fields(new)
        found = [
            Text(
                f"v{new.version} and {others} read each other."
                + _listed(" It has new, with a default: {}.", gained)
                + _listed(" It no longer has: {}.", lost),
                f"v{new.version} 与 {others} 可互相读取。"
                + _listed("新增（有默认值）：{}。", gained)
                + _listed("不再包含：{}。", lost),
            )
        ]
    meaning = [one for one in lint(old.avro, new.avro) if one.severe]
    return found + [Text(f"v{new.version}: {one}", f"v{new.version}：{one}") for one in meaning]


def _fields(schema: Schema) -> set[str]:
    return {field["name"] for field in schema.avro["fields"]}


def _listed(said: str, names: set[str]) -> str:
    return said.format(", ".join(sorted(names))) if names else ""


def readers(heartbeats: Iterable[Heartbeat]) -> tuple[int, Mapping[str, int]]:
    """How many members say what they read, and for `<event>/<version>` how many of them read it with every connector."""
    read: dict[str, set[str]] = {}
    for beat in heartbeats:
        if beat.reader_schemas:
            held = set(beat.reader_schemas)
            read[beat.member] = read[beat.member] & held if beat.member in read else held
    counts: dict[str, int] = {}
    for names in read.values():
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return len(read), counts
