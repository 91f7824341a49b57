"""From a campus's record to an alliance event: field maps in TOML, compiled once, then pure.

Owns the meaning of a mapping file (see `connectors/README.md` for the writer's view). Strict: an unmapped code, a
value that does not fit or a missing required path stops this one record and names file, field, path and value.
"""

from __future__ import annotations

import csv
import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.sdk.contract import ConfigError, Permanent
from connectors.sdk.expressions import MISSING, compile_path
from connectors.sdk.private import Person
from schemas.catalogue import Schema, catalogue
from schemas.codec import from_json
from schemas.content import content_hash
from schemas.records import Record


class MappingError(Permanent):
    """A record does not fit its mapping."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PseudonymTable(_Table):
    """The value of `path` is our own id of a student: a pseudonym towards one host takes its place."""

    host: str  # JMESPath to the host's code
    purpose: str = "study"


class FieldTable(_Table):
    """One field: where its value comes from (`path`, `each`, `const` or `member`) and what is done with it."""

    path: str | None = None
    each: str | None = None
    const: Any = None
    member: bool = False
    fields: dict[str, FieldTable | str] | None = None
    required: bool = False
    default: Any = None
    codes: str | None = None
    convert: Literal["date", "decimal", "int", "bool", "string", "term"] | None = None
    formats: tuple[str, ...] = ()
    pseudonym: PseudonymTable | None = None


class Template(_Table):
    """A text made of mapped fields: `{project_id}/{person_id}`."""

    template: str


class _EventTable(_Table):
    type: str


class EnvelopeTable(_Table):
    """Where the envelope's values stand in a record; member and source come from connector.toml."""

    event_id: str
    occurred_at: str
    recorded_at: str
    aggregate_version: str
    decides_version: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    supersedes_id: str | None = None
    traceparent: str | None = None
    actor_ref: str | None = None
    unit_ref: str | None = None
    subject: Template | None = None
    partition_key: Template | None = None


class _File(_Table):
    event: _EventTable
    envelope: EnvelopeTable
    fields: dict[str, FieldTable | str]
    private: dict[str, FieldTable | str] = {}


Put: TypeAlias = Callable[[Any], Any]  # a record to the value of one field, or MISSING
Naming: TypeAlias = Callable[[Person], str]  # a student of ours to a pseudonym
_REQUIRED_IN_ENVELOPE = {"event_id", "occurred_at", "recorded_at", "aggregate_version"}


def no_pseudonyms(person: Person) -> str:
    """The naming of a connector that has no secret to make pseudonyms with."""
    raise MappingError(
        f"the mapping makes a pseudonym towards {person.host} and connector.toml has no [private]; add it",
        "a pseudonym without [private]",
    )


@dataclass(frozen=True, slots=True)
class EventMapping:
    """A compiled mapping file. `record` is pure, but for the pseudonyms that `naming` gives."""

    file: str
    schema: Schema
    member: str
    source: str
    envelope: Mapping[str, Put]
    fields: Mapping[tuple[str, ...], Put]
    subject: str | None
    partition_key: str | None
    private: Mapping[tuple[str, ...], Put]

    def record(self, data: Any, naming: Naming = no_pseudonyms) -> Record:
        """The event a campus's record tells of, without its private part. Raises `MappingError`."""
        values = {
            name: naming(value) if isinstance(value, Person) else value
            for name, value in _assembled(self.fields, data).items()
        }
        envelope = {name: _absent_is_none(put(data)) for name, put in self.envelope.items()}
        envelope["member"] = self.member
        envelope["source"] = self.source
        envelope["subject"] = self._text(self.subject, self.schema.subject, values)
        envelope["partition_key"] = self._text(self.partition_key, self.schema.key, values)
        values["envelope"] = envelope
        try:
            return _hashed(self.schema, values)
        except (ValueError, InvalidOperation) as error:
            said = str(error)
            field = said.partition(":")[0].partition(" ")[0]
            raise MappingError(
                f"{self.file}: {said}", f"{self.file}: {field} does not fit"
            ) from error

    def part(self, data: Any) -> dict[str, Any]:
        """The private part of the same record, without what is null; empty when there is none."""
        return {
            name: value
            for name, value in _assembled(self.private, data).items()
            if value is not None
        }

    def _text(self, template: str | None, field: str, values: Mapping[str, Any]) -> str:
        return template.format_map(values) if template else str(values.get(field))


def _hashed(schema: Schema, values: Mapping[str, Any]) -> Record:
    """The record, with the hash of its content where the schema wants one and the mapping gives none."""
    if not schema.hash or values.get(schema.hash):
        return from_json(schema.event, values)
    unhashed = from_json(schema.event, {**values, schema.hash: ""})
    return from_json(schema.event, {**values, schema.hash: content_hash(unhashed)})


def _assembled(fields: Mapping[tuple[str, ...], Put], data: Any) -> dict[str, Any]:
    """Nested values from dotted names. A group whose every value is null or absent is null itself."""
    out: dict[str, Any] = {}
    groups: dict[str, dict[tuple[str, ...], Put]] = {}
    for name, put in fields.items():
        if len(name) > 1:
            groups.setdefault(name[0], {})[name[1:]] = put
            continue
        value = put(data)
        if value is not MISSING:
            out[name[0]] = value
    for head, inner in groups.items():
        values = _assembled(inner, data)
        out[head] = values if any(value is not None for value in values.values()) else None
    return out


def _absent_is_none(value: Any) -> Any:
    return None if value is MISSING else value


def load_mapping(path: Path, codes: Path, *, member: str, connector: str) -> EventMapping:
    """Read and compile a mapping file; code tables are `<codes>/<name>.csv` with columns local,alliance.

    Raises `ConfigError` with one line for each fault.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; add the mapping or correct its name"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}; correct that line") from error
    try:
        table = _File.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(
            "\n".join(f"{path}: {_fault(item)}" for item in error.errors())
        ) from error
    schema = catalogue().newest.get(table.event.type)
    if schema is None or not schema.is_event():
        known = ", ".join(item.event for item in catalogue().events())
        raise ConfigError(f"{path}: event.type: found {table.event.type!r}; write one of {known}")
    builder = _Compiler(path, codes, member)
    fields = builder.fields(table.fields, "fields")
    envelope = {
        name: builder.field(
            FieldTable(path=expression, required=name in _REQUIRED_IN_ENVELOPE), f"envelope.{name}"
        )
        for name, expression in table.envelope
        if isinstance(expression, str)
    }
    private = builder.fields(table.private, "private")
    builder.fit(schema, fields)
    builder.fit_private(schema, private)
    if builder.faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in builder.faults))
    return EventMapping(
        file=f"{path.parent.name}/{path.name}",
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
    )


def _fault(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"] if part not in ("FieldTable", "str"))
    if item["type"] == "extra_forbidden":
        return f"{where}: no such key; remove it"
    if item["type"] == "missing":
        return f"{where}: missing; add it"
    return f"{where}: {item['msg']}; correct it"


class _Compiler:
    """Turns tables into functions and collects what is wrong."""

    def __init__(self, path: Path, codes: Path, member: str) -> None:
        self._file = f"{path.parent.name}/{path.name}"
        self._folder = codes
        self._member = member
        self._tables: dict[str, Mapping[str, str]] = {}
        self.faults: list[str] = []

    def fields(self, tables: Mapping[str, FieldTable | str], at: str) -> dict[tuple[str, ...], Put]:
        return {
            tuple(name.split(".")): self.field(
                FieldTable(path=table) if isinstance(table, str) else table, f"{at}.{name}"
            )
            for name, table in tables.items()
        }

    def field(self, table: FieldTable, at: str) -> Put:
        given = [
            name for name in ("path", "each", "const", "member") if name in table.model_fields_set
        ]
        if len(given) != 1:
            self.faults.append(
                f"{at}: found {given or 'nothing'}; write one of path, each, const, member"
            )
            return lambda _: MISSING
        if given == ["const"]:
            return lambda _: table.const
        if given == ["member"]:
            return lambda _: self._member
        return self._each(table, at) if table.each is not None else self._path(table, at)

    def _path(self, table: FieldTable, at: str) -> Put:
        expression = table.path or ""
        get = self._getter(expression, at)
        change = self._change(table, at)
        if table.pseudonym is not None:
            return self._person(table.pseudonym, get, expression, at)
        file = self._file
        default = table.default if "default" in table.model_fields_set else MISSING

        def put(data: Any) -> Any:
            try:
                value = get(data)
                if value is MISSING or value is None:
                    if table.required:
                        said = "is missing" if value is MISSING else "is null"
                        raise MappingError(
                            f"{file}: {at}: path {expression} {said} and required; correct the record or the mapping",
                            f"{file}: {at}: path {expression} {said}",
                        )
                    return value if default is MISSING else default
                return change(value)
            except (ValueError, TypeError, ArithmeticError) as error:
                raise MappingError(
                    f"{file}: {at}: path {expression}: {error}", f"{file}: {at}: does not fit"
                ) from error

        return put

    def _person(self, table: PseudonymTable, get: Put, expression: str, at: str) -> Put:
        host = self._getter(table.host, f"{at}.pseudonym.host")
        file = self._file

        def put(data: Any) -> Person:
            local_id, of = get(data), host(data)
            for path, value in ((expression, local_id), (table.host, of)):
                if value in (MISSING, None, ""):
                    raise MappingError(
                        f"{file}: {at}: path {path} is missing and a pseudonym needs it; correct the record or the mapping",
                        f"{file}: {at}: path {path} is missing",
                    )
            return Person(str(local_id), str(of), table.purpose)

        return put

    def _each(self, table: FieldTable, at: str) -> Put:
        expression = table.each or ""
        get = self._getter(expression, at)
        file = self._file
        inner = self.fields(table.fields, f"{at}.fields") if table.fields else None
        change = self._change(table, at)

        def put(data: Any) -> Any:
            found = get(data)
            if found is MISSING or found is None:
                if table.required:
                    raise MappingError(
                        f"{file}: {at}: path {expression} is missing and required; correct the record or the mapping",
                        f"{file}: {at}: path {expression} is missing",
                    )
                return [] if table.default is None else table.default
            if not isinstance(found, list):
                raise MappingError(
                    f"{file}: {at}: path {expression} holds {found!r}, wanted a list; correct the mapping",
                    f"{file}: {at}: is no list",
                )
            if inner is not None:
                return [_assembled(inner, item) for item in found]
            try:
                return [change(item) for item in found]
            except (ValueError, TypeError, ArithmeticError) as error:
                raise MappingError(
                    f"{file}: {at}: path {expression}: {error}", f"{file}: {at}: does not fit"
                ) from error

        return put

    def _getter(self, expression: str, at: str) -> Put:
        try:
            return compile_path(expression)
        except ValueError as error:
            self.faults.append(f"{at}: {error}")
            return lambda _: MISSING

    def _change(self, table: FieldTable, at: str) -> Put:
        if table.codes is not None:
            return _code(self._codes(table.codes, at), table.codes)
        if table.convert is not None:
            return _converter(table.convert, table.formats)
        return lambda value: value

    def _codes(self, name: str, at: str) -> Mapping[str, str]:
        if name not in self._tables:
            path = self._folder / f"{name}.csv"
            try:
                with path.open(encoding="utf-8-sig", newline="") as lines:
                    rows = list(csv.DictReader(lines))
                self._tables[name] = {row["local"]: row["alliance"] for row in rows}
            except OSError as error:
                self.faults.append(
                    f"{at}: codes: cannot read {path}: {error.strerror}; add the table"
                )
                return {}
            except KeyError as error:
                self.faults.append(
                    f"{at}: codes: {path} has no column {error}; its head is local,alliance"
                )
                return {}
        return self._tables[name]

    def fit_private(self, schema: Schema, fields: Mapping[tuple[str, ...], Put]) -> None:
        """A private part belongs to the events that have a field for its commitment, and nowhere else."""
        known = {field["name"] for field in schema.avro["fields"]}
        if fields and "private" not in known:
            self.faults.append(
                f"private: {schema.event} has no private part; take the table out, and its contents with it"
            )

    def fit(self, schema: Schema, fields: Mapping[tuple[str, ...], Put]) -> None:
        """Say which fields the schema does not know, and which it wants and nobody maps."""
        known = {
            field["name"]: field for field in schema.avro["fields"] if field["name"] != "envelope"
        }
        mapped = {name[0] for name in fields}
        for name in sorted(mapped - set(known)):
            near = difflib.get_close_matches(name, known, n=1)
            self.faults.append(
                f"fields.{name}: {schema.event} has no such field; "
                + (f"did you mean {near[0]}?" if near else "remove it")
            )
        for name, field in known.items():
            if name not in mapped and name != schema.hash and "default" not in field:
                self.faults.append(
                    f"fields.{name}: {schema.event} needs it; map it or give it a const"
                )


def _code(table: Mapping[str, str], name: str) -> Put:
    def change(value: Any) -> str:
        try:
            return table[str(value)]
        except KeyError:
            raise ValueError(
                f"value {value!r} is not in codes/{name}.csv; add a line there"
            ) from None

    return change


def _converter(kind: str, formats: tuple[str, ...]) -> Put:
    if kind == "date":
        return lambda value: _date(value, formats).isoformat()
    if kind == "term":
        return lambda value: term_of(_date(value, formats))
    return _CONVERT[kind]


def _date(value: Any, formats: tuple[str, ...]) -> date:
    """A day from text: ISO 8601, with or without a time, or one of the given strptime formats."""
    for layout in formats:
        try:
            return datetime.strptime(value, layout).date()  # noqa: DTZ007, only the day is taken
        except ValueError:
            continue
    if formats:
        raise ValueError(
            f"value {value!r} is no day of format {' or '.join(formats)}; add its format"
        )
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise ValueError(
            f"value {value!r} is no day such as 2026-09-01; give formats = [...]"
        ) from None


def term_of(day: date) -> dict[str, Any]:
    """The term a course starting that day belongs to, by the calendar of Chinese universities.

    Autumn (September to January) is term 1 of 2, spring (February to August) term 2 of the same academic year.
    """
    autumn = day.month >= 9 or day.month == 1
    first_year = day.year if day.month >= 9 else day.year - 1
    return {
        "academic_year": f"{first_year}-{first_year + 1}",
        "term_number": 1 if autumn else 2,
        "total_terms": 2,
    }


_LONGEST_NUMBER = (
    30  # digits before or after the point; written out, 1E999999999 would fill the memory
)


def _decimal(value: Any) -> str:
    if isinstance(value, bool):
        raise ValueError(f"value {value!r} is no number")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"value {value!r} is no number such as 2.5; correct the record") from None
    if not number.is_finite() or abs(number.adjusted()) > _LONGEST_NUMBER:
        raise ValueError(f"value {value!r} is no number of this world; correct the record")
    return format(number, "f")


def _int(value: Any) -> int:
    number = Decimal(_decimal(value))
    if number != number.to_integral_value():
        raise ValueError(f"value {value!r} is no whole number; correct the record")
    return int(number)


_TRUTH = {"true": True, "1": True, "yes": True, "y": True, "是": True}
_TRUTH |= {"false": False, "0": False, "no": False, "n": False, "否": False}


def _bool(value: Any) -> bool:
    found = _TRUTH.get(str(value).strip().lower())
    if found is None:
        raise ValueError(f"value {value!r} is neither true nor false; use codes")
    return found


def _string(value: Any) -> str:
    if isinstance(value, (dict, list)):
        raise ValueError(f"value {value!r} is no text; name a path inside it")
    return str(value).lower() if isinstance(value, bool) else str(value)


_CONVERT: Mapping[str, Put] = {"decimal": _decimal, "int": _int, "bool": _bool, "string": _string}
