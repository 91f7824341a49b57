"""The form of a mapping file: its tables and options, read strictly, each refusal with file, line, key and fix.

Owns what may be written. What it means is `connectors.sdk.mapping.fields`; see `connectors/README.md` for writers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from connectors.sdk.contract import ConfigError, Permanent
from connectors.sdk.mapping.converters import READERS, Name, Number
from connectors.sdk.mapping.toml_lines import Lines, TomlFault, read_toml

MISSING_PATH = "MAP_MISSING"
UNKNOWN_CODE = "MAP_UNKNOWN_CODE"
NOT_CONVERTED = "MAP_CONVERT"
WRONG_TYPE = "MAP_TYPE"
WRONG_FIELD = "MAP_FIELD"


class MappingError(Permanent):
    """A record does not fit its mapping. `code`, `field` and `file` name the cause without any value.

    MAP_MISSING: a path that is wanted is not there, or null. MAP_UNKNOWN_CODE: a value outside its code table.
    MAP_CONVERT: a value that is not written as its converter reads it. MAP_TYPE: a list or object where something else
    belongs. MAP_FIELD: a value that the event's schema does not take.
    """

    def __init__(
        self, message: str, brief: str, *, code: str = WRONG_FIELD, field: str = "", file: str = ""
    ) -> None:
        super().__init__(message, brief, code=code)
        self.field = field
        self.file = file


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Instead(_Table):
    """What stands for a value that its code table lacks."""

    default: str


Unknown = Literal["park", "null"] | Instead


class PseudonymTable(_Table):
    """The value of `path` is our own id of a student: a pseudonym towards one host takes its place."""

    host: str  # JMESPath to the host's code
    purpose: str = "study"


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class FieldTable(_Table):
    """One field: where its value comes from (`path`, `each`, `const` or `member`) and what is done with it."""

    path: str | None = None
    each: str | None = None
    const: Any = None
    member: bool = False
    fields: dict[str, FieldTable] | None = None
    required: bool = False
    optional: bool = False
    default: Any = None
    normalize: bool = False
    convert: Annotated[tuple[Name, ...], BeforeValidator(_listed)] = ()
    formats: tuple[str, ...] = ()
    zone: str | None = None
    ambiguous: Literal["earlier", "later"] | None = None
    number: Number | None = None
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    separator: str | None = None
    scheme: str | None = None
    codes: str | None = None
    codes_on: str | None = None
    unknown_code: Unknown | None = None
    pseudonym: PseudonymTable | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """A text is short for a table with that path."""
        return {"path": value} if isinstance(value, str) else value


class Template(_Table):
    """A text made of mapped fields: `{project_id}/{person_id}`."""

    template: str


class _EventTable(_Table):
    type: str


class EnvelopeTable(_Table):
    """Where the envelope's values stand in a record; member and source come from connector.toml."""

    event_id: FieldTable
    occurred_at: FieldTable
    recorded_at: FieldTable
    aggregate_version: FieldTable
    decides_version: FieldTable | None = None
    correlation_id: FieldTable | None = None
    causation_id: FieldTable | None = None
    supersedes_id: FieldTable | None = None
    traceparent: FieldTable | None = None
    actor_ref: FieldTable | None = None
    unit_ref: FieldTable | None = None
    subject: Template | None = None
    partition_key: Template | None = None


class PolicyTable(_Table):
    """What a mapping does where a record and it do not quite meet."""

    unknown_code: Unknown = "park"
    extra_input: Literal["ignore", "report"] = "ignore"
    absent: Literal["empty", "park"] = "empty"


class MappingFile(_Table):
    """A file in `mapping/`: a campus's record to an alliance event."""

    event: _EventTable
    envelope: EnvelopeTable
    fields: dict[str, FieldTable]
    private: dict[str, FieldTable] = {}
    policy: PolicyTable = PolicyTable()


class LocalFieldTable(_Table):
    """One value for a campus's system: where it stands in the delivery's JSON, and how the campus writes it."""

    path: str | None = None
    each: str | None = None
    const: Any = None
    member: bool = False
    fields: dict[str, LocalFieldTable] | None = None
    required: bool = False
    default: Any = None
    codes: str | None = None
    codes_on: str | None = None
    unknown_code: Unknown | None = None
    write: (
        Literal["bool", "date", "datetime", "decimal", "float", "int", "json", "string"] | None
    ) = None
    format: str | None = None
    zone: str | None = None
    number: Number | None = None
    decimals: int | None = Field(default=None, ge=0, le=12)
    yes: str | None = None
    no: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """A text is short for a table with that path."""
        return {"path": value} if isinstance(value, str) else value


class LocalPolicyTable(_Table):
    """What an outgoing mapping does with an alliance value that a code table lacks."""

    unknown_code: Unknown = "park"


class LocalFile(_Table):
    """A file that maps a delivery to a campus's own fields. `event` lets `lint` look at the paths."""

    event: _EventTable | None = None
    fields: dict[str, LocalFieldTable]
    policy: LocalPolicyTable = LocalPolicyTable()


M = TypeVar("M", bound=BaseModel)


def read_mapping_file(path: Path, model: type[M]) -> tuple[M, Lines]:
    """The tables of a file, and the lines they stand on. Raises `ConfigError` with one line for each fault."""
    try:
        raw, lines = read_toml(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; add the mapping or correct its name"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except TomlFault as fault:
        at = path if fault.line is None else f"{path}:{fault.line}"
        raise ConfigError(f"{at}: {fault}") from fault
    try:
        return model.model_validate(raw), lines
    except ValidationError as error:
        names = list(_names(model))
        raise ConfigError(
            "\n".join(_fault(item, lines, names) for item in error.errors())
        ) from error


def _names(model: type[BaseModel], known: set[type[BaseModel]] | None = None) -> Iterator[str]:
    """All keys that a file may hold, for saying what was meant."""
    known = set() if known is None else known
    known.add(model)
    for name, found in model.model_fields.items():
        yield name
        for kind in _models_in(found.annotation):
            if kind not in known:
                yield from _names(kind, known)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)


def _fault(item: Any, lines: Lines, names: Sequence[str]) -> str:
    path = [
        part for part in item["loc"] if part != "Instead" and not str(part).startswith("literal[")
    ]
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), names, n=1)
        return lines.said(
            path, "no such key; " + (f"did you mean {near[0]}?" if near else "remove it")
        )
    if item["type"] == "missing":
        return lines.said(path, "missing; add it")
    words = f"{item['msg'][:1].lower()}{item['msg'][1:]}"
    shown = f"found {item['input']!r}: " if isinstance(item["input"], (int, float, str)) else ""
    return lines.said(path, f"{shown}{words}; correct it")


def option_faults(table: FieldTable) -> Iterator[tuple[str, str]]:
    """Options that nothing reads, or that contradict each other: key and what to do."""
    given = table.model_fields_set
    for option, readers in READERS.items():
        if option in given and not set(readers) & set(table.convert):
            yield option, f"is for convert = {' or '.join(readers)}; add it, or remove {option}"
    if bool(table.yes) != bool(table.no):
        yield "yes" if table.no else "no", "is missing; give the words for both"
    if table.required and table.optional:
        yield "optional", "contradicts required; remove one"
    if table.codes is None:
        for option in ("codes_on", "unknown_code"):
            if option in given:
                yield option, "is for codes; add codes, or remove it"
    if table.fields is not None and table.each is None:
        yield "fields", "is for each; write each instead of path"
    for option in ("convert", "codes"):
        if option in given and given & {"const", "member"}:
            yield option, "changes nothing here; write the value as it is to be"
        if option in given and table.fields is not None:
            yield option, "is not read beside fields; write it inside them"


def code_of(error: Exception, codes: Mapping[type[Exception], str]) -> str:
    """The cause of what a getter or converter raised."""
    return next((code for kind, code in codes.items() if isinstance(error, kind)), NOT_CONVERTED)
