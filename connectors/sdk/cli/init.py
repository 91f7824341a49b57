"""A campus's folder to begin with: `alliance connector init`.

Owns what the folder holds and which lines are left for people. A kind says in `template.toml` beside its `kind.py` how its
tables begin and which example's mappings its records look like; a kind without one gets its required options as
placeholders. Pure but for reading what packages ship: `start_cli` asks and writes.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SecretStr
from pydantic.fields import FieldInfo

from connectors.sdk.cli.about import default_of, folder_of, type_name
from connectors.sdk.cli.lint import EDIT
from connectors.sdk.config import FILE
from connectors.sdk.contract import ConfigError
from connectors.sdk.discovery import Kind, kinds
from schemas.catalogue import catalogue
from schemas.members import Alliance

EVENTS = (
    "offering.changed",
    "enrollment.requested",
    "enrollment.decided",
    "enrollment.status-changed",
    "credit.awarded",
)
ALL, NONE = "all", "none"
_EXAMPLE = "connectors.sandbox/connector_template"
_NAME = "campus"
_COLUMN = 44  # where marks stand


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceTemplate(_Table):
    """`[source]` of a kind's `template.toml`.

    `text` are the lines below `[source.campus]`, without mappings. `example` is a package and a folder in it with
    `mapping/`, and if there are any `codes/` and `cases/`. `select` finds in a record what it is: the name of a mapping
    file or, with `by = "event"`, the type of event. Where records are not as the example's, `data` is the place of the
    campus's own fields and `envelope` says where the rest stands. `mappings` are always all taken; otherwise those of the
    events that were asked for. `secrets` are files to fill with random bytes, and what stands before these.
    """

    text: str
    example: str = _EXAMPLE
    select: str | None = None
    by: Literal["mapping", "event"] = "mapping"
    ignore: bool = False
    data: str | None = None
    envelope: dict[str, str] = {}
    mappings: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    secrets: dict[str, str] = {}
    pseudonyms: bool = False


class SinkTemplate(_Table):
    """`[sink]` of a kind's `template.toml`: the lines below `[sink.campus]`, and code tables it needs."""

    text: str
    example: str = _EXAMPLE
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """What `init` was told. `events` are types of events, or `all`. `source` and `sink` are kinds, or `none`."""

    member: str
    source: str
    sink: str
    bootstrap: str
    alliance: Path
    keys: Path
    events: Sequence[str] = EVENTS


@dataclass(frozen=True, slots=True)
class Machine:
    """What of this machine goes into unit and compose snippet."""

    command: str
    user: str
    uid: int
    gid: int


@dataclass(slots=True)
class Prepared:
    """Files by path below the folder, and files to fill with random bytes (base64) behind a prefix."""

    files: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def edits(self) -> list[tuple[int, str]]:
        """The lines of connector.toml that are left for people, from 1."""
        lines = self.files[FILE].splitlines()
        return [(number, line) for number, line in enumerate(lines, 1) if EDIT in line]


def choices(direction: Literal["source", "sink"]) -> list[Kind]:
    """Kinds that can go this way, by name."""
    return [kind for _, kind in sorted(kinds().items()) if getattr(kind, direction) is not None]


def prepare(folder: Path, answers: Answers, alliance: Alliance, machine: Machine) -> Prepared:
    """All files of the folder. Raises `ConfigError` for answers that fit nothing, all of them at once."""
    faults = list(_faults(answers, alliance))
    if faults:
        raise ConfigError("\n".join(faults))
    found = Prepared()
    head = [_head(folder, answers, alliance)]
    source = sink = None
    if answers.source != NONE:
        source = _source_template(kinds()[answers.source])
        chosen = _chosen(source, answers.events)
        _add_example(found, source, chosen)
        found.secrets |= source.secrets
        head.append(_source_lines(source, chosen))
    if answers.sink != NONE:
        sink = _sink_template(kinds()[answers.sink])
        _add_codes(found, files_of(sink.example), sink.codes)
        head.append(f"[sink.{_NAME}]\n{sink.text.strip()}\n")
    private = _private(folder, answers, alliance, wants=source is not None and source.pseudonyms)
    if private:
        head.insert(1, private)
        found.secrets |= {"home.key": ""} if "home_key" in private else {}
    found.files[FILE] = "\n".join(head)
    found.files |= _around(folder, answers, machine, found.files[FILE])
    return found


def _faults(answers: Answers, alliance: Alliance) -> Iterator[str]:
    if answers.member not in alliance.members:
        members = ", ".join(sorted(alliance.members))
        yield f"--member: {answers.member} is not in {answers.alliance}; write one of {members}"
    for direction, name in (("source", answers.source), ("sink", answers.sink)):
        names = [kind.name for kind in choices(direction)]  # type: ignore[arg-type]  # mypy reads the loop's names as str
        if name != NONE and name not in names:
            yield f"--{direction}: no such kind {name!r}; write one of {', '.join(names)}, or {NONE}"
    for address in answers.bootstrap.split(","):
        if not re.fullmatch(r"\S+:[0-9]{1,5}", address.strip()):
            yield f"--bootstrap: found {answers.bootstrap!r}; write host:port, several with commas between"
    if answers.source == answers.sink == NONE:
        yield "--source, --sink: neither reads nor brings anything; name a kind for one of them"
    known = [schema.event for schema in catalogue().events()]
    for event in answers.events:
        if event != ALL and event not in known:
            yield f"--events: no event is called {event!r}; see: alliance schemas list"


def files_of(example: str) -> Traversable:
    """The folder that `example` names."""
    package, _, inner = example.partition("/")
    return files(package) / inner if inner else files(package)


def _template(kind: Kind) -> Mapping[str, Any]:
    path = folder_of(kind) / "template.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _source_template(kind: Kind) -> SourceTemplate:
    found = _template(kind).get("source")
    if found is not None:
        return SourceTemplate.model_validate(found)
    text = placeholders(kind.name, kind.source.options if kind.source else BaseModel)
    return SourceTemplate(text=text, select="event", by="event", data="")


def _sink_template(kind: Kind) -> SinkTemplate:
    found = _template(kind).get("sink")
    if found is not None:
        return SinkTemplate.model_validate(found)
    return SinkTemplate(text=placeholders(kind.name, kind.sink.options if kind.sink else BaseModel))


def placeholders(kind: str, model: type[BaseModel]) -> str:
    """A kind's table from its options alone: required ones as placeholders, others commented with their defaults."""
    lines = [f'kind = "{kind}"']
    for name, info in model.model_fields.items():
        key, default = info.alias or name, default_of(info)
        if default is None:
            given = f"{key} = {_placeholder(key, info)}"
            lines.append(f"{given:<{_COLUMN}}{EDIT}: {type_name(info.annotation)}")
        else:
            lines.append(f"# {key} = {default}")
    return "\n".join(lines) + "\n"


def _placeholder(name: str, info: FieldInfo) -> str:
    kind = info.annotation
    if kind is SecretStr:
        return f'{{ env = "CAMPUS_{name.upper()}" }}'
    args = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        return json.dumps(args[0])
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        inner = {key: one for key, one in kind.model_fields.items() if one.is_required()}
        return (
            f"{{ {', '.join(f'{key} = {_placeholder(key, one)}' for key, one in inner.items())} }}"
        )
    plain = {int: "1", float: "1", bool: "false"}
    if isinstance(kind, type) and kind in plain:
        return plain[kind]
    if name.endswith("url"):
        return '"https://sis.example/api"'
    return '["..."]' if typing.get_origin(kind) in (tuple, list) else '"..."'


@dataclass(frozen=True, slots=True)
class _Example:
    """A mapping of an example: its file's stem, type of event and text."""

    stem: str
    event: str
    text: str


def _examples(template: SourceTemplate) -> list[_Example]:
    folder = files_of(template.example) / "mapping"
    found = []
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        if path.name.endswith(".toml"):
            text = path.read_text(encoding="utf-8")
            event = tomllib.loads(text)["event"]["type"]
            found.append(_Example(path.name.removesuffix(".toml"), event, text))
    return found


def _chosen(template: SourceTemplate, events: Sequence[str]) -> list[_Example]:
    """The mappings to write. Raises `ConfigError` when the example has none of the events."""
    examples = _examples(template)
    if template.mappings:
        return [one for one in examples if one.stem in template.mappings]
    found = [one for one in examples if ALL in events or one.event in events]
    if template.by == "event" or template.select is None:
        # One mapping for each event: that with the plainest name.
        by_event = {one.event: one for one in sorted(found, key=lambda one: -len(one.stem))}
        found = sorted(by_event.values(), key=lambda one: one.stem)
    if not found:
        known = ", ".join(sorted({one.event for one in examples}))
        raise ConfigError(f"--events: no example for {', '.join(events)}; write some of {known}")
    return found


def _add_example(found: Prepared, template: SourceTemplate, chosen: Sequence[_Example]) -> None:
    """Mappings, the code tables they read and, where records look the same, their cases."""
    folder = files_of(template.example)
    codes: set[str] = set(template.codes)
    for one in chosen:
        text = one.text if template.data is None else rewritten(one.text, template)
        found.files[f"mapping/{one.stem}.toml"] = text
        codes |= set(re.findall(r'\bcodes = "([^"]+)"', text))
        cases = folder / "cases" / one.stem
        if template.data is None and cases.is_dir():
            for case in cases.iterdir():
                path = f"cases/{one.stem}/{case.name}"
                found.files[path] = case.read_text(encoding="utf-8")
    _add_codes(found, folder, sorted(codes))


def _add_codes(found: Prepared, folder: Traversable, names: Sequence[str]) -> None:
    for name in names:
        path = folder / "codes" / f"{name}.csv"
        if path.is_file():
            found.files[f"codes/{name}.csv"] = path.read_text(encoding="utf-8")


def rewritten(text: str, template: SourceTemplate) -> str:
    """An example's mapping for records that keep the campus's own fields under `template.data`."""
    inner = f"{template.data}." if template.data else ""
    head, _, rest = text.partition("[envelope]\n")
    old, _, below = rest.partition("\n\n")
    kept = [line for line in old.splitlines() if line.startswith(("subject", "partition_key"))]
    if "decides_version" in old:
        kept.insert(0, f'decides_version = "{inner}decidesVersion"')
    new = [f'{name} = "{path}"' for name, path in template.envelope.items()] or [
        line for line in old.splitlines() if line not in kept and not line.startswith("decides_")
    ]
    fields = re.sub(r"\bdata\.", lambda _: inner, below)
    body = "\n".join([*new, *kept])
    return f"{head}[envelope]\n{body}\n\n{fields}"


def _source_lines(template: SourceTemplate, chosen: Sequence[_Example]) -> str:
    lines = [f"[source.{_NAME}]", template.text.strip()]
    if template.select is None:
        return "\n".join([*lines, f'mapping = "mapping/{chosen[0].stem}.toml"', ""])
    lines.append(f'select = "{template.select}"')
    if template.ignore:
        passed = [one.stem for one in _examples(template) if one not in chosen]
        if passed:
            inner = "".join(f'  "{name}",\n' for name in passed)
            lines.append(
                f"ignore = [                                  # what we do not tell\n{inner}]"
            )
    lines += ["", f"[source.{_NAME}.mappings]"]
    for one in chosen:
        value = one.event if template.by == "event" else one.stem
        key = value if re.fullmatch(r"[\w-]+", value) else f'"{value}"'
        lines.append(f'{key} = "mapping/{one.stem}.toml"')
    return "\n".join([*lines, ""])


def _head(folder: Path, answers: Answers, alliance: Alliance) -> str:
    member = alliance.members[answers.member]
    kinds_named = sorted({answers.source, answers.sink} - {NONE})
    about = ", ".join(f"alliance connector about {name}" for name in kinds_named)
    key = json.dumps(_shown(folder, answers.keys / f"{answers.member}.key"), ensure_ascii=False)
    where = json.dumps(_shown(folder, answers.alliance), ensure_ascii=False)
    return f"""# Connector of {member.name_en} ({member.code}). Paths are relative to this folder, times are in seconds.
# Yours are the lines with an arrow, `{EDIT.removeprefix("# ")}`. All options: {about}

[member]
code = "{member.code}"
name = "{_NAME}"
key = {{ file = {key} }}
alliance = {where}

[kafka]
bootstrap = {json.dumps(answers.bootstrap)}
# security = "SASL_SSL"                     # as the hub's operators say
# username = "{member.code}"
# password = {{ env = "KAFKA_PASSWORD" }}
"""


def _shown(folder: Path, path: Path) -> str:
    """Relative where it lies in the folder, which may move; absolute elsewhere."""
    whole, inside = path.absolute(), folder.absolute()
    return str(whole.relative_to(inside)) if whole.is_relative_to(inside) else str(whole)


def _private(folder: Path, answers: Answers, alliance: Alliance, *, wants: bool) -> str:
    """`[private]`, where there is a key for it and the others know its public half."""
    key = answers.keys / f"{answers.member}.encryption"
    if alliance.members[answers.member].encryption is None or not key.exists():
        return ""
    home = 'home_key = { file = "home.key" }            # pseudonyms are made with it; keep it\n'
    where = json.dumps(_shown(folder, key), ensure_ascii=False)
    return f"[private]\nencryption = {{ file = {where} }}\n" + (home if wants else "")


def _around(folder: Path, answers: Answers, machine: Machine, text: str) -> dict[str, str]:
    """Everything beside configuration and mappings."""
    whole = folder.absolute()
    outside = [answers.alliance.absolute(), answers.keys.absolute()]
    mounts = [
        f'      - "{path}:{path}:ro"' for path in outside if not path.is_relative_to(whole)
    ] or ["      # nothing else"]
    about = [f"`alliance connector about {name}`" for name in {answers.source: 0, answers.sink: 0}]
    values = {
        "code": answers.member,
        "folder": str(whole),
        "unit_folder": str(whole).replace("%", "%%"),  # systemd's own sign
        "unit_command": machine.command.replace("%", "%%"),
        "user": machine.user,
        "uid": str(machine.uid),
        "gid": str(machine.gid),
        "mounts": "\n".join(mounts),
        "source": answers.source,
        "sink": answers.sink,
        "about": ", ".join(one for one in about if not one.endswith(f"{NONE}`")),
    }
    shipped = files("connectors.sdk") / "templates"
    filled = {
        name: Template((shipped / file).read_text(encoding="utf-8")).substitute(values)
        for name, file in (
            ("alliance-connector.service", "alliance-connector.service"),
            ("compose.yaml", "compose.yaml"),
            ("README.md", "folder.md"),
        )
    }
    names = sorted(set(re.findall(r'\benv = "([A-Z][A-Z0-9_]*)"', text)))
    lines = [
        "# Copy to .env and fill in; the lines in connector.toml that name these may be comments yet."
    ]
    filled[".env.example"] = "\n".join([*lines, *(f"{name}=" for name in names), ""])
    filled[".gitignore"] = "\n".join(
        (".env", "*.key", "*.encryption", "*.witness", "*.secret", "*.db", "*.db-*", "spool-*/", "")
    )
    return filled


def write(folder: Path, prepared: Prepared, random_text: typing.Callable[[], str]) -> None:
    """Write the folder. Raises `ConfigError` when something is in it already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: is there already and not empty; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in prepared.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name, prefix in prepared.secrets.items():
        write_secret(folder / name, f"{prefix}{random_text()}".encode())


def write_secret(path: Path, content: bytes) -> None:
    """A file that only its owner may read; an existing one is never overwritten."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
