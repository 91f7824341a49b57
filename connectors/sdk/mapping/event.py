"""From a campus's record to an alliance event: field maps in TOML, compiled once, then pure.

Owns the meaning of a mapping file (see `connectors/README.md` for the writer's view). Strict: an unmapped code, a
value that does not fit or a missing required path stops this one record and names file, field, path and value.
"""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import InvalidOperation
from pathlib import Path
from typing import Any, TypeAlias

from connectors.sdk.contract import ConfigError
from connectors.sdk.mapping.converters import converter, term_of
from connectors.sdk.mapping.expressions import MISSING, Getter, compile_path
from connectors.sdk.mapping.fields import Compiler, Finish, Plan, Use, with_inner
from connectors.sdk.mapping.file import (
    MISSING_PATH,
    WRONG_FIELD,
    EnvelopeTable,
    FieldTable,
    MappingError,
    MappingFile,
    PolicyTable,
    Template,
    read_mapping_file,
)
from connectors.sdk.private.vault import Person
from schemas.avro_plain import named_types
from schemas.catalogue import Avro, Schema, catalogue
from schemas.codec import from_json
from schemas.content import content_hash
from schemas.records import Record

__all__ = ["EventMapping", "MappingError", "Naming", "load_mapping", "no_pseudonyms", "term_of"]

Naming: TypeAlias = Callable[[Person], str]  # a student of ours to a pseudonym
_REQUIRED_IN_ENVELOPE = {"event_id", "occurred_at", "recorded_at", "aggregate_version"}
_PLACE = re.compile(r"\[\d+\]")


def no_pseudonyms(person: Person) -> str:
    """The naming of a connector that has no secret to make pseudonyms with."""
    raise MappingError(
        f"the mapping makes a pseudonym towards {person.host} and connector.toml has no [private]; add it",
        "a pseudonym without [private]",
    )


@dataclass(frozen=True, slots=True)
class EventMapping:
    """A compiled mapping file. `record` is pure, but for the pseudonyms that `naming` gives.

    `uses` lists the fields and what they read, `persons` those that become pseudonyms.
    """

    file: str
    schema: Schema
    member: str
    source: str
    envelope: Plan
    fields: Plan
    subject: str | None
    partition_key: str | None
    private: Plan
    policy: PolicyTable
    uses: Sequence[Use]
    persons: Sequence[str]

    def record(self, data: Any, naming: Naming = no_pseudonyms) -> Record:
        """The event a campus's record tells of, without its private part. Raises `MappingError`."""
        values = self.fields.values(data, data)
        for name in self.persons:
            if isinstance(values.get(name), Person):
                values[name] = naming(values[name])
        envelope = self.envelope.values(data, data)
        envelope["member"] = self.member
        envelope["source"] = self.source
        envelope["subject"] = self._text(self.subject, self.schema.subject, values)
        envelope["partition_key"] = self._text(self.partition_key, self.schema.key, values)
        values["envelope"] = envelope
        try:
            return _hashed(self.schema, values)
        except (ValueError, InvalidOperation) as error:
            said = str(error)
            at = said.partition(":")[0].partition(" ")[0]
            field = _PLACE.sub("", at.removeprefix(f"{self.schema.event}."))
            raise MappingError(
                f"{self.file}: {said}",
                f"{self.file}: {at} does not fit",
                code=WRONG_FIELD,
                field=field,
                file=self.file,
            ) from error

    def part(self, data: Any) -> dict[str, Any]:
        """The private part of the same record, without what is null; empty when there is none."""
        if not self.private:
            return {}
        values = self.private.values(data, data)
        return {name: value for name, value in values.items() if value is not None}

    def _text(self, template: str | None, field: str, values: Mapping[str, Any]) -> str:
        if template is None:
            return str(values.get(field))
        try:
            return template.format_map(values)
        except LookupError as error:
            said = f"the record has no {error.args[0]} for {template}"
            raise MappingError(
                f"{self.file}: {said}; make that field required",
                f"{self.file}: {said}",
                code=MISSING_PATH,
                field=str(error.args[0]),
                file=self.file,
            ) from error


def _hashed(schema: Schema, values: Mapping[str, Any]) -> Record:
    """The record, with the hash of its content where the schema wants one and the mapping gives none."""
    if not schema.hash or values.get(schema.hash):
        return from_json(schema.event, values)
    unhashed: Any = from_json(schema.event, {**values, schema.hash: ""})
    hashed: Record = replace(unhashed, **{schema.hash: content_hash(unhashed)})
    return hashed


def load_mapping(path: Path, codes: Path, *, member: str, connector: str) -> EventMapping:
    """Read and compile a mapping file; code tables are `<codes>/<name>.csv` with columns local,alliance.

    Raises `ConfigError` with one line for each fault.
    """
    table, lines = read_mapping_file(path, MappingFile)
    schema = catalogue().newest.get(table.event.type)
    if schema is None or not schema.is_event():
        known = ", ".join(item.event for item in catalogue().events())
        raise ConfigError(
            lines.said(("event", "type"), f"found {table.event.type!r}; write one of {known}")
        )
    compiler = Compiler(
        path,
        codes,
        member,
        lines,
        unknown=table.policy.unknown_code,
        day=_day(table.envelope),
        absent_parks=table.policy.absent == "park",
    )
    fields = compiler.plan(table.fields, ("fields",))
    envelope = _envelope(compiler, table.envelope)
    private = compiler.plan(table.private, ("private",), "private.")
    _fit(compiler, schema, table)
    _fit_private(compiler, schema, table)
    if compiler.faults:
        raise ConfigError("\n".join(dict.fromkeys(compiler.faults)))
    return EventMapping(
        file=compiler.file,
        schema=schema,
        member=member,
        source=f"urn:alliance:member:{member}:{connector}",
        envelope=envelope,
        fields=fields,
        subject=table.envelope.subject.template if table.envelope.subject else None,
        partition_key=table.envelope.partition_key.template
        if table.envelope.partition_key
        else None,
        private=private,
        policy=table.policy,
        uses=tuple(compiler.uses),
        persons=tuple(name for name, field in table.fields.items() if field.pseudonym),
    )


def _day(envelope: EnvelopeTable) -> Getter | None:
    """Where a record's day stands for code tables, unless a field says `codes_on`: when the change happened."""
    try:
        get = compile_path(envelope.occurred_at.path or "")
        change = converter(envelope.occurred_at)
    except ValueError:  # said where the envelope is compiled
        return None
    if change is None:
        return get

    def converted(root: Any) -> Any:
        found = get(root)
        return found if found is MISSING or found is None else change(found)

    return converted


def _envelope(compiler: Compiler, table: EnvelopeTable) -> Plan:
    steps: list[tuple[str, Getter, Finish | None]] = []
    for name in EnvelopeTable.model_fields:
        field = getattr(table, name)
        if isinstance(field, FieldTable):
            if name in _REQUIRED_IN_ENVELOPE:
                field = field.model_copy(update={"required": True})
            get, finish = compiler.field(field, ("envelope", name), f"envelope.{name}")
            steps.append((name, get, finish))
        elif isinstance(field, Template):
            _fit_template(compiler, name, field.template)
    return Plan(steps)


def _fit_template(compiler: Compiler, name: str, template: str) -> None:
    """The names in a template are those of mapped fields."""
    at = ("envelope", name, "template")
    known = {use.field.partition(".")[0] for use in compiler.uses}
    try:
        wanted = [held for _, held, _, _ in string.Formatter().parse(template) if held is not None]
    except ValueError as error:
        compiler.fault(at, f"{error}; write names of fields in braces")
        return
    for held in wanted:
        if held not in known:
            compiler.fault(at, f"no field {held!r} is mapped; map it or take it out")


def _fit_private(compiler: Compiler, schema: Schema, table: MappingFile) -> None:
    """A private part belongs to the events that have a field for its commitment, and nowhere else."""
    known = {field["name"] for field in schema.avro["fields"]}
    if table.private and "private" not in known:
        compiler.fault(
            ("private",),
            f"{schema.event} has no private part; take the table out, and its contents with it",
        )


def _fit(compiler: Compiler, schema: Schema, table: MappingFile) -> None:
    """Say which fields the schema does not know, and which it wants and nobody maps."""
    known = {field["name"]: field for field in schema.avro["fields"] if field["name"] != "envelope"}
    names = named_types(schema.avro)
    for use in with_inner(compiler.uses):
        if use.at[0] == "fields":
            _fit_name(compiler, schema, use, known, names)
    mapped = {name.partition(".")[0] for name in table.fields}
    for name, field in known.items():
        if name not in mapped and name != schema.hash and "default" not in field:
            compiler.fault(("fields", name), f"{schema.event} needs it; map it or give it a const")


def _fit_name(
    compiler: Compiler,
    schema: Schema,
    use: Use,
    known: Mapping[str, Avro],
    names: Mapping[str, Avro],
) -> None:
    """Follow a field's dotted name through the records of the schema."""
    fields = known
    place = schema.event
    for name in use.field.split("."):
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            compiler.fault(
                use.at,
                f"{place} has no such field; "
                + (f"did you mean {near[0]}?" if near else "remove it"),
            )
            return
        record = _record_in(fields[name]["type"], names)
        if record is None:
            return
        place = f"{place} {name}" if place == schema.event else f"{place}.{name}"
        fields = {field["name"]: field for field in record["fields"]}


def _record_in(kind: Any, names: Mapping[str, Avro]) -> Avro | None:
    """The record that a field holds: itself, or null, or a list of it."""
    if isinstance(kind, list):
        return _record_in(next(item for item in kind if item != "null"), names)
    if isinstance(kind, str):
        return _record_in(names[kind], names) if kind in names else None
    if kind["type"] == "array":
        return _record_in(kind["items"], names)
    return kind if kind["type"] == "record" else None
