"""A campus's folder: `connector.toml`, read strictly.

Owns the meaning of each key. Every refusal names file, line, key and fix, and all refusals are told at once. A value may be
`{ env = "NAME" }` (with `default = ...` if it may be unset) or `{ file = "path" }` (its text, for secrets).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from connectors.sdk.contract import ConfigError, Options, SinkKind, SourceKind
from connectors.sdk.discovery import Kind, kinds
from connectors.sdk.mapping.event import EventMapping, load_mapping
from connectors.sdk.mapping.expressions import compile_path
from connectors.sdk.mapping.toml_lines import Lines, TomlFault, read_toml
from connectors.sdk.private.vault import PrivateSettings, PrivateTable, load_private
from connectors.sdk.runtime.silence import Expect
from connectors.sdk.trust.settings import Trust, TrustTable, load_trust, path_of_file
from schemas.members import Alliance, AllianceFileError, load_alliance
from schemas.signing import Signer, load_signer

FILE = "connector.toml"
# Of these `{ file = }` the path is kept; of all others the text is the value.
_PATHS = (("member", "key"), ("trust", "policy"), ("trust", "witness"))


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MemberTable(_Table):
    """`[member]`: who we are. Paths are relative to the folder."""

    code: str
    name: str = Field(default="campus", pattern=r"^[a-z0-9-]{1,40}$")
    key: Annotated[str, BeforeValidator(path_of_file)]
    alliance: str = "alliance.toml"


class KafkaTable(_Table):
    """`[kafka]`: where the hub's broker is."""

    bootstrap: str
    security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = None
    ca_file: str | None = None

    @model_validator(mode="after")
    def _nothing_is_idle(self) -> KafkaTable:
        """A login or certificates that `security` leaves unused would be a connection less safe than it reads."""
        login = self.username is not None or self.password is not None
        if login and not self.security.startswith("SASL"):
            raise ValueError(
                f'security = "{self.security}" uses neither username nor password; write "SASL_SSL", or remove them'
            )
        if self.ca_file is not None and "SSL" not in self.security.split("_")[-1]:
            raise ValueError(
                f'security = "{self.security}" is not encrypted, so ca_file is unused; write "SSL" or "SASL_SSL", or remove it'
            )
        if self.security.startswith("SASL") and (self.username is None or self.password is None):
            raise ValueError(f'security = "{self.security}" needs username and password; add them')
        return self


# What a command may ask for. The first four change nothing that is stored; the others a campus allows by name.
Verb: TypeAlias = Literal[
    "pause", "resume", "stop", "restart", "cursor", "backfill", "redrive", "drop"
]


def _address(value: Any) -> Any:
    """`host:port` as both; an IPv6 host in brackets."""
    if not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"found {value!r}; write host:port, such as 127.0.0.1:8089")
    return host.strip("[]"), int(port)


class RuntimeTable(_Table):
    """`[runtime]`: times in seconds."""

    state: str = "state.db"
    heartbeat_s: float = Field(default=2, gt=0)
    resend_after_s: float = Field(default=20, gt=0)
    parked_keys_limit: int = Field(default=50, ge=1)
    parked_window_s: float = Field(default=600, gt=0)
    remote: tuple[Verb, ...] = ("pause", "resume", "stop", "restart")
    http: Annotated[tuple[str, int] | None, BeforeValidator(_address)] = None


class Changes(_Table):
    """For a plain collection, which lists what is and not what changed: tell changes by comparing contents.

    `key` is a JMESPath to the id of a record. Mappings then find `_change.eventId`, `_change.version` and
    `_change.at` in each record.
    """

    key: str


class SourceTable(_Table):
    """What the SDK reads in `[source.<name>]`; all other keys belong to the kind."""

    kind: str
    every_s: float = Field(default=1, gt=0)
    select: str | None = None
    ignore: tuple[str, ...] = ()
    mapping: str | None = None
    mappings: dict[str, str] = {}
    changes: Changes | None = None
    expect: Expect | None = None


class SinkTable(_Table):
    """What the SDK reads in `[sink.<name>]`; all other keys belong to the kind."""

    kind: str
    batch: int = Field(default=200, ge=1, le=2000)
    events: tuple[str, ...] = ("*",)
    outcomes: bool = True
    flags: bool = True
    park_after_s: float = Field(default=900, gt=0)


class _File(_Table):
    member: MemberTable
    kafka: KafkaTable
    runtime: RuntimeTable = RuntimeTable()
    trust: TrustTable = TrustTable()
    private: PrivateTable | None = None
    source: dict[str, dict[str, Any]] = {}
    sink: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One source, ready to open. `mappings` by the value that `select` gives; `""` is for all."""

    name: str
    table: SourceTable
    kind: SourceKind[Any]
    options: Options
    mappings: Mapping[str, EventMapping]


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """One sink, ready to open."""

    name: str
    table: SinkTable
    kind: SinkKind[Any]
    options: Options


@dataclass(frozen=True, slots=True)
class Config:
    """A campus's folder, read and checked without the network."""

    folder: Path
    member: MemberTable
    kafka: KafkaTable
    runtime: RuntimeTable
    signer: Signer
    alliance: Alliance
    sources: Sequence[SourceConfig]
    sinks: Sequence[SinkConfig]
    trust: Trust = field(default_factory=Trust)
    private: PrivateSettings | None = None

    @property
    def state_path(self) -> Path:
        return self.folder / self.runtime.state

    @property
    def ce_source(self) -> str:
        """The CloudEvents source of our events."""
        return f"urn:alliance:member:{self.member.code}:{self.member.name}"


def load_config(folder: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read a campus's folder. Raises `ConfigError` with one line for each fault found."""
    path = folder / FILE
    try:
        raw, lines = read_toml(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; name a folder that holds {FILE}, or make one: alliance connector init {folder}"
        ) from error
    except TomlFault as error:
        at = str(path) if error.line is None else f"{path}:{error.line}"
        raise ConfigError(f"{at}: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    faults: list[str] = []
    raw = _resolved(raw, (), path, os.environ if environ is None else environ, faults)
    config = _checked(path, folder, raw, faults)
    if faults or config is None:
        raise ConfigError("\n".join(_located(line, path, lines) for line in faults))
    return config


def _checked(path: Path, folder: Path, raw: Mapping[str, Any], faults: list[str]) -> Config | None:
    """The values as a configuration. None, or faults beside it, when something is wrong."""
    whole: _File | None = _validated(_File, raw, path, (), faults)
    if whole is None:
        return None
    if not whole.source and not whole.sink:
        faults.append(f"{path}: has neither [source.<name>] nor [sink.<name>]; add one")
    alliance, signer = _identity(path, folder, whole.member, faults)
    sources = [
        _source(path, folder, name, raw, whole, faults) for name, raw in whole.source.items()
    ]
    sinks = [_sink(path, name, raw, faults) for name, raw in whole.sink.items()]
    if alliance is None or signer is None:
        return None
    trust = load_trust(str(path), folder, whole.member.key, whole.trust, alliance, faults)
    private = (
        load_private(str(path), folder, whole.private, whole.member.code, alliance, faults)
        if whole.private
        else None
    )
    return Config(
        folder,
        whole.member,
        _kafka(path, folder, whole.kafka, faults),
        whole.runtime,
        signer,
        alliance,
        [source for source in sources if source],
        [sink for sink in sinks if sink],
        trust,
        private,
    )


def _kafka(path: Path, folder: Path, table: KafkaTable, faults: list[str]) -> KafkaTable:
    """The table with `ca_file` found from the folder, wherever the process was started."""
    if table.ca_file is None:
        return table
    found = folder / table.ca_file
    if not found.is_file():
        faults.append(f"{path}: kafka.ca_file: there is no file {table.ca_file}; put it there")
    return table.model_copy(update={"ca_file": str(found)})


def _located(fault: str, path: Path, lines: Lines) -> str:
    """A fault of this file with the line of its key, or of the table where the key is missing."""
    found = re.match(rf"{re.escape(str(path))}: ([\w.-]+): ", fault)
    if found is None:
        return fault
    return f"{lines.at(found[1].split('.'))}: {fault[len(str(path)) + 2 :]}"


def _resolved(
    value: Any, at: tuple[str, ...], path: Path, environ: Mapping[str, str], faults: list[str]
) -> Any:
    """Put the values of `{ env = }` and `{ file = }` in place."""
    if isinstance(value, list):
        return [_resolved(item, at, path, environ, faults) for item in value]
    if not isinstance(value, dict):
        return value
    key = ".".join(at)
    if "env" in value and set(value) <= {"env", "default"}:
        found = environ.get(value["env"], value.get("default"))
        if found is None:
            faults.append(f"{path}: {key}: the variable {value['env']} is not set; set it")
        return found
    inner = {
        name: _resolved(item, (*at, name), path, environ, faults) for name, item in value.items()
    }
    if set(inner) == {"file"} and isinstance(inner["file"], str) and at not in _PATHS:
        try:
            return (path.parent / inner["file"]).read_text(encoding="utf-8").strip()
        except OSError as error:
            faults.append(
                f"{path}: {key}: cannot read {inner['file']}: {error.strerror}; put it there"
            )
    return inner


def _validated(
    model: type[BaseModel],
    raw: Mapping[str, Any],
    path: Path,
    at: tuple[str, ...],
    faults: list[str],
    known: Iterable[str] = (),
) -> Any:
    """The table as its model, or None with the faults told."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        for fault in error.errors():
            if faults and fault["input"] is None and fault["type"] != "missing":
                continue  # TOML has no null: a variable that is not set, of which was told
            where = ".".join((*at, *(str(part) for part in fault["loc"])))
            faults.append(f"{path}: {where}: {_said(fault, [*_names(model), *known])}")
        return None


def _names(model: type[BaseModel]) -> Iterator[str]:
    """The keys of a table and of the tables in it."""
    for name, found in model.model_fields.items():
        yield name
        if isinstance(found.annotation, type) and issubclass(found.annotation, BaseModel):
            yield from _names(found.annotation)


def _said(fault: Any, names: Sequence[str]) -> str:
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(fault["loc"][-1]), names, n=1)
        return "no such key; " + (f"did you mean {near[0]}?" if near else "remove it")
    if fault["type"] == "missing":
        return "missing; add it"
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    words = f"{fault['msg'][:1].lower()}{fault['msg'][1:]}"
    secret = fault["loc"] and fault["loc"][-1] in ("password", "token")
    shown = isinstance(fault["input"], (int, float, str)) and not secret
    return f"found {fault['input']!r}: {words}; correct it" if shown else f"{words}; correct it"


def _identity(
    path: Path, folder: Path, member: MemberTable, faults: list[str]
) -> tuple[Alliance | None, Signer | None]:
    alliance: Alliance | None = None
    signer: Signer | None = None
    try:
        alliance = load_alliance(folder / member.alliance)
    except AllianceFileError as error:
        faults.append(f"{path}: member.alliance: {error}")
    try:
        signer = load_signer(folder / member.key)
    except OSError as error:
        faults.append(
            f"{path}: member.key: cannot read {member.key}: {error.strerror}; run: alliance members keygen"
        )
    except ValueError as error:
        faults.append(f"{path}: member.key: {error}")
    if alliance and member.code not in alliance.members:
        faults.append(
            f"{path}: member.code: {member.code} is not in {member.alliance}; "
            f"write one of {', '.join(sorted(alliance.members))}"
        )
    elif (
        alliance
        and signer
        and signer.key_id not in alliance.members[member.code].keys
        and not noted(folder / member.key).exists()
    ):
        faults.append(
            f"{path}: member.key: key {signer.key_id} is not listed for {member.code} in {member.alliance}, "
            "so the hub would refuse every event; add its public key there, or make one with: alliance connector key add"
        )
    return alliance, signer


def noted(key: Path) -> Path:
    """The note beside a private key that an event brought into the ledger, see `connectors.sdk.cli.key`."""
    return key.with_name(f"{key.name}.added")


def _kind(
    path: Path, at: tuple[str, ...], raw: Mapping[str, Any], faults: list[str]
) -> Kind | None:
    where = ".".join((*at, "kind"))
    kind = kinds().get(str(raw.get("kind")))
    if kind is None:
        near = difflib.get_close_matches(str(raw.get("kind")), kinds(), n=1)
        advice = f"did you mean {near[0]}? " if near else ""
        faults.append(
            f"{path}: {where}: found {raw.get('kind')!r}; {advice}write one of {', '.join(sorted(kinds()))}"
        )
    return kind


def _split(table: type[BaseModel], raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    ours = {key: value for key, value in raw.items() if key in table.model_fields}
    return ours, {key: value for key, value in raw.items() if key not in ours}


def _source(
    path: Path, folder: Path, name: str, raw: Mapping[str, Any], whole: _File, faults: list[str]
) -> SourceConfig | None:
    at = ("source", name)
    kind = _kind(path, at, raw, faults)
    if kind is None:
        return None
    if kind.source is None:
        faults.append(
            f"{path}: source.{name}.kind: {kind.name} is a sink only; write [sink.{name}]"
        )
        return None
    ours, theirs = _split(SourceTable, raw)
    table = _validated(SourceTable, ours, path, at, faults)
    options = _validated(kind.source.options, theirs, path, at, faults, SourceTable.model_fields)
    if table is None or options is None:
        return None
    named = {"": table.mapping} if table.mapping else table.mappings
    chooses = bool(table.select or table.ignore)
    if bool(table.mapping) == bool(table.mappings) or bool(table.mapping) == chooses:
        faults.append(
            f'{path}: source.{name}: write either mapping = "..." for all records, '
            f'or select = "..." with [source.{name}.mappings]'
        )
    for expression in (table.select, table.changes and table.changes.key):
        try:
            compile_path(expression or "@")
        except ValueError as error:
            faults.append(f"{path}: source.{name}: {error}")
    mappings = {}
    for value, file in named.items():
        try:
            mappings[value] = load_mapping(
                folder / file,
                folder / "codes",
                member=whole.member.code,
                connector=whole.member.name,
            )
        except ConfigError as error:
            faults.append(str(error))
    return SourceConfig(name, table, kind.source, options, mappings)


def _sink(path: Path, name: str, raw: Mapping[str, Any], faults: list[str]) -> SinkConfig | None:
    at = ("sink", name)
    kind = _kind(path, at, raw, faults)
    if kind is None:
        return None
    if kind.sink is None:
        faults.append(
            f"{path}: sink.{name}.kind: {kind.name} is a source only; write [source.{name}]"
        )
        return None
    ours, theirs = _split(SinkTable, raw)
    table = _validated(SinkTable, ours, path, at, faults)
    options = _validated(kind.sink.options, theirs, path, at, faults, SinkTable.model_fields)
    if table is None or options is None:
        return None
    return SinkConfig(name, table, kind.sink, options)
