"""Whether records written with one schema are readable with another, and if not: where, why, and what to do.

`avro.compatibility` of the Apache project judges; its answer is a set of words without a place. The walk here finds the
place: it follows the rules of schema resolution (https://avro.apache.org/docs/1.12.0/specification/#schema-resolution) and
says for each fault the path of the field, a sentence and a fix. What Avro does not look at is in `hub.registry.lint`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from hub.registry.shape import NAMED, PRIMITIVE, NotAvro, check_shape
from hub.registry.subjects import full_name

# Type of the reader -> what it takes of the writer besides itself (the promotions of schema resolution).
_PROMOTED = {
    "long": {"int"},
    "float": {"int", "long"},
    "double": {"int", "long", "float"},
    "string": {"bytes"},
    "bytes": {"string"},
}
Spaces: TypeAlias = tuple[str, str]
Seen: TypeAlias = frozenset[tuple[str, str]]


class Level(StrEnum):
    """Confluent's compatibility levels: who must be able to read whom."""

    NONE = "NONE"
    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"


OURS = Level.FULL_TRANSITIVE  # members upgrade in any order: every version reads every other


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `path` is the field as people write it (`credits.value`, `titles[]`); empty for the record itself."""

    code: str
    path: str
    sentence: str
    fix: str
    severe: bool = True

    def __str__(self) -> str:
        return f"{self.path or 'the record'}: {self.sentence}; {self.fix} [{self.code}]"


def parsed(avro: Any) -> Any:
    """The schema as the Apache library has it. Raises `NotAvro`."""
    from avro.errors import AvroException
    from avro.schema import parse

    known = avro_of(avro)
    check_shape(known)
    try:
        return parse(json.dumps(known))
    except (AvroException, ValueError, TypeError, KeyError, RecursionError) as error:
        raise NotAvro(f"not an Avro schema: {error}") from None


def avro_of(text_or_schema: Any) -> Any:
    """A schema as JSON values. A text that is no JSON is the name of a primitive type, as registries have it."""
    if not isinstance(text_or_schema, str) or text_or_schema in PRIMITIVE:
        return text_or_schema
    try:
        return json.loads(text_or_schema)
    except (ValueError, RecursionError) as error:
        raise NotAvro(f"not an Avro schema: {error}") from None


def reads(reader: Any, writer: Any) -> bool:
    """Whether Apache's checker lets `reader` read what `writer` wrote. Raises `NotAvro`."""
    from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]  # its __init__ has no types
    result = checker.get_compatibility(parsed(reader), parsed(writer))
    return bool(result.compatibility is SchemaCompatibilityType.compatible)


def faults(
    reader: Any, writer: Any, who: str = "the reader", whose: str = "the writer"
) -> list[Finding]:
    """Why `reader` cannot read what `writer` wrote; empty when it can. `who` and `whose` name them in the sentences."""
    if reads(reader, writer):
        return []
    walk = _Walk(named_types(reader), named_types(writer), who, whose)
    found = list(walk.faults(reader, writer, "", ("", "")))
    return found or [
        Finding(
            "UNREADABLE",
            "",
            f"{who} cannot read {whose}, says Apache Avro",
            "compare the two schemas by hand",
        )
    ]


def against(
    candidate: Any, earlier: Sequence[tuple[str, Any]], level: Level = OURS
) -> list[Finding]:
    """What stands against publishing `candidate` after `earlier`: (label, schema), oldest first."""
    others = earlier if level.endswith("_TRANSITIVE") else earlier[-1:]
    found: list[Finding] = []
    for label, schema in others:
        if level.startswith(("BACKWARD", "FULL")):
            found += faults(candidate, schema, "the new schema", label)
        if level.startswith(("FORWARD", "FULL")):
            found += faults(schema, candidate, label, "the new schema")
    return list(dict.fromkeys(found))


def named_types(avro: Any, inside: str = "") -> dict[str, Any]:
    """Named types of a schema by full name, each with its namespace written out."""
    found: dict[str, Any] = {}
    if isinstance(avro, list):
        for item in avro:
            found |= named_types(item, inside)
    elif isinstance(avro, dict):
        if avro.get("type") in NAMED:
            name = full_name(avro, inside)
            inside = name.rpartition(".")[0]
            found[name] = {**avro, "namespace": inside, "name": name.rpartition(".")[2]}
        for key in ("type", "items", "values"):
            if isinstance(avro.get(key), (dict, list)):
                found |= named_types(avro[key], inside)
        for field in avro.get("fields", ()):
            found |= named_types(field["type"], inside)
    return found


@dataclass(frozen=True)
class _Walk:
    """One comparison. `spaces` are the namespaces in which reader's and writer's types stand, `seen` the pairs of records
    above: a record inside itself is looked at once."""

    of_reader: Mapping[str, Any]
    of_writer: Mapping[str, Any]
    who: str
    whose: str

    def faults(
        self, reader: Any, writer: Any, path: str, spaces: Spaces, seen: Seen = frozenset()
    ) -> Iterator[Finding]:
        reader = opened(reader, self.of_reader, spaces[0])
        writer = opened(writer, self.of_writer, spaces[1])
        if isinstance(writer, list):
            for branch in writer:
                yield from self.faults(reader, branch, path, spaces, seen)
            return
        if isinstance(reader, list):
            yield from self._into_union(reader, writer, path, spaces, seen)
            return
        kinds = _kind(reader), _kind(writer)
        if kinds[0] != kinds[1]:
            if kinds[1] not in _PROMOTED.get(kinds[0], ()):
                yield self._type(reader, writer, path)
        elif kinds[0] == "record":
            yield from self._record(reader, writer, path, seen)
        elif kinds[0] in ("enum", "fixed"):
            yield from self._flat(reader, writer, path)
        elif kinds[0] == "array":
            yield from self.faults(reader["items"], writer["items"], f"{path}[]", spaces, seen)
        elif kinds[0] == "map":
            yield from self.faults(reader["values"], writer["values"], f"{path}{{}}", spaces, seen)

    def _into_union(
        self, reader: list[Any], writer: Any, path: str, spaces: Spaces, seen: Seen
    ) -> Iterator[Finding]:
        tried = [list(self.faults(branch, writer, path, spaces, seen)) for branch in reader]
        if not all(tried):
            return
        alike = [
            found
            for branch, found in zip(reader, tried, strict=True)
            if _kind(opened(branch, self.of_reader, spaces[0])) == _kind(writer)
        ]
        if len(alike) == 1:  # the branch that was meant: what is wrong with it says more
            yield from alike[0]
            return
        yield Finding(
            "UNION",
            path,
            f"{self.whose} may hold {_said(writer)}, {self.who} takes {_said(reader)}",
            f"let both hold {_said(writer)}, or make a new event",
        )

    def _record(self, reader: Any, writer: Any, path: str, seen: Seen) -> Iterator[Finding]:
        names = full_name(reader, ""), full_name(writer, "")
        if names in seen:
            return
        if not _same_name(reader, writer):
            yield self._name(reader, writer, path)
            return
        spaces = names[0].rpartition(".")[0], names[1].rpartition(".")[0]
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            at = f"{path}.{field['name']}" if path else field["name"]
            source = next(
                (written[n] for n in (field["name"], *field.get("aliases", ())) if n in written),
                None,
            )
            if source is not None:
                yield from self.faults(field["type"], source["type"], at, spaces, seen | {names})
            elif "default" not in field:
                yield Finding(
                    "FIELD_WITHOUT_DEFAULT",
                    at,
                    f"{self.who} needs it, {self.whose} does not have it",
                    'give it a default: "default": null with type ["null", ...], or the value that was meant so far',
                )

    def _flat(self, reader: Any, writer: Any, path: str) -> Iterator[Finding]:
        if not _same_name(reader, writer):
            yield self._name(reader, writer, path)
        elif "size" in reader and reader["size"] != writer["size"]:
            yield Finding(
                "FIXED_SIZE",
                path,
                f"{self.whose} writes {writer['size']} bytes, {self.who} takes {reader['size']}",
                "keep the size; another size is a new field",
            )
        elif "symbols" in reader and "default" not in reader:
            unknown = [one for one in writer["symbols"] if one not in reader["symbols"]]
            if unknown:
                yield Finding(
                    "ENUM_SYMBOL",
                    path,
                    f"{self.whose} may say {', '.join(unknown)}, which {self.who} does not know",
                    "give the enumeration a default in every version, or use a string with known values in its doc",
                )

    def _type(self, reader: Any, writer: Any, path: str) -> Finding:
        return Finding(
            "TYPE",
            path,
            f"{self.whose} writes {_said(writer)}, {self.who} takes {_said(reader)}",
            "keep the type; what has another type is a new field with a default",
        )

    def _name(self, reader: Any, writer: Any, path: str) -> Finding:
        old = full_name(writer, "")
        return Finding(
            "NAME",
            path,
            f"{self.whose} calls it {old}, {self.who} {full_name(reader, '')}",
            f'keep the name, or add "aliases": ["{old}"]',
        )


def opened(kind: Any, named: Mapping[str, Any], inside: str) -> Any:
    """A type with names followed and `{"type": "string"}` unwrapped; named types with their namespace."""
    if isinstance(kind, str) and kind not in PRIMITIVE:
        return named.get(kind) or named.get(f"{inside}.{kind}", kind)
    if isinstance(kind, dict):
        if kind.get("type") in NAMED:
            return named.get(full_name(kind, inside), kind)
        if isinstance(kind.get("type"), (dict, list)):
            return opened(kind["type"], named, inside)
    return kind


def _kind(kind: Any) -> str:
    if isinstance(kind, dict):
        return str(kind["type"])
    return "union" if isinstance(kind, list) else str(kind)


def _same_name(reader: Any, writer: Any) -> bool:
    """Names match without their namespace, or by a full alias, as Apache's checker has it."""
    if reader["name"] == writer["name"]:
        return True
    return full_name(writer, "") in [
        alias if "." in alias else f"{reader['namespace']}.{alias}"
        for alias in reader.get("aliases", ())
    ]


def _said(kind: Any) -> str:
    """A type as people say it."""
    if isinstance(kind, list):
        return " or ".join(_said(item) for item in kind)
    if isinstance(kind, dict):
        if kind.get("type") in NAMED:
            return f"{kind['type']} {kind['name']}"
        if isinstance(kind.get("type"), (dict, list)):
            return _said(kind["type"])
        inner = {"array": "items", "map": "values"}.get(str(kind.get("type")))
        return f"{kind['type']} of {_said(kind[inner])}" if inner else str(kind["type"])
    return str(kind)
