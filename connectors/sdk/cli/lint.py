"""What in a folder that can run would still surprise: left out in silence, never used, or told twice.

Owns findings that `load_config` does not refuse. Reads files, asks nobody. A *warning* makes `lint` end with 1; a *note* is
worth a look and may be meant.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from connectors.sdk.config import FILE, Config
from connectors.sdk.mapping.cases import FOLDER as CASES
from connectors.sdk.mapping.toml_lines import Lines, read_toml
from schemas.catalogue import catalogue

EDIT = "# <-- edit"  # what `init` leaves for people
_FAULT = re.compile(
    r"(?P<file>[^\n]*?\.(?:toml|csv))(?::(?P<line>\d+))?: (?:(?P<key>[\w.\"-]+): )?"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of lint: where, which key, what is the matter and what to do. `fault` is what cannot run at all."""

    severity: Literal["fault", "warning", "note"]
    file: str
    line: int | None
    key: str
    what: str

    def to_json(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            "key": self.key,
            "what": self.what,
        }

    def __str__(self) -> str:
        at = self.file if self.line is None else f"{self.file}:{self.line}"
        said = f"{self.key}: {self.what}" if self.key else self.what
        return f"{self.severity}: {at}: {said}"


def faults_of(message: str) -> list[Finding]:
    """The lines of a refused configuration as findings."""
    found = []
    for line in message.splitlines():
        at = _FAULT.match(line)
        if at is None:
            found.append(Finding("fault", "", None, "", line))
            continue
        number = int(at["line"]) if at["line"] else None
        found.append(Finding("fault", at["file"], number, at["key"] or "", line[at.end() :]))
    return found


def findings_of(config: Config) -> list[Finding]:
    """Everything `lint` has to say of a configuration that loads, by file and line."""
    _, lines = read_toml(config.folder / FILE)
    found = [
        *_unsealed(config, lines),
        *_unused(config),
        *_sinks(config, lines),
        *_told_twice(config, lines),
        *_unedited(config),
    ]
    return sorted(found, key=lambda one: (one.severity == "note", one.file, one.line or 0))


def _unsealed(config: Config, lines: Lines) -> Iterator[Finding]:
    """Mappings of private parts that nothing could seal: their events would go without."""
    if config.private is not None:
        return
    for source in config.sources:
        for mapping in source.mappings.values():
            if mapping.private:
                path = config.folder / mapping.file
                where = _lines(path).line(("private",))
                yield Finding(
                    "warning", str(path), where, "private",
                    f"{lines.file} has no [private], so these events go without their private part; add [private] with "
                    f'encryption = {{ file = "{config.member.code}.encryption" }} there, or take the table out here',
                )  # fmt: skip


def _unused(config: Config) -> Iterator[Finding]:
    """Files that look like they count and do not."""
    folder = config.folder
    named = set(_named_files(config))
    mappings = {path for path in named if path.suffix == ".toml"}
    for path in sorted((folder / "mapping").glob("*.toml")):
        if path.resolve() not in mappings:
            yield Finding(
                "warning", str(path), None, "",
                f"nothing in {FILE} names this mapping; name it in a source, or remove it",
            )  # fmt: skip
    tables = {path.stem for path in named if path.suffix == ".csv"}
    tables |= {name for path in mappings for name in _codes_in(path)}
    for path in sorted((folder / "codes").glob("*.csv")):
        if path.stem not in tables:
            near = difflib.get_close_matches(path.stem, tables, n=1)
            advice = f"did you mean {near[0]}.csv? " if near else ""
            yield Finding(
                "warning", str(path), None, "",
                f"no mapping in use reads this code table; {advice}Write codes = \"{path.stem}\" where it belongs, or remove it",
            )  # fmt: skip
    stems = {path.stem for path in mappings}
    for path in sorted((folder / CASES).glob("*/")):
        if path.name not in stems:
            yield Finding(
                "warning", str(path), None, "",
                f"no mapping in use is called {path.name}.toml, so these cases try nothing that counts; rename or remove them",
            )  # fmt: skip


def _named_files(config: Config) -> Iterator[Path]:
    """Files of the folder that sources, sinks and options of kinds name."""
    for source in config.sources:
        for mapping in source.mappings.values():
            yield (config.folder / "mapping" / Path(mapping.file).name).resolve()
            yield (config.folder / mapping.file).resolve()
    for options in (*(s.options for s in config.sources), *(s.options for s in config.sinks)):
        for text in _texts(options):
            if text.endswith((".toml", ".csv")):
                yield (config.folder / text).resolve()
    for source in config.sources:
        for text in (source.table.mapping or "", *source.table.mappings.values()):
            yield (config.folder / text).resolve()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)


def _codes_in(path: Path) -> Iterator[str]:
    """Names of code tables in a mapping file. One that cannot be read was refused before."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    yield from _codes(values)


def _codes(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "codes" and isinstance(inner, str):
                yield inner
            else:
                yield from _codes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _codes(inner)


def _sinks(config: Config, lines: Lines) -> Iterator[Finding]:
    """Sinks that wait for what never comes."""
    known = [schema.event for schema in catalogue().events()]
    for sink in config.sinks:
        at = ("sink", sink.name)
        for event in sink.table.events:
            if event != "*" and event not in known:
                near = difflib.get_close_matches(event, known, n=1)
                advice = f"did you mean {near[0]}?" if near else "see: alliance schemas list"
                yield _at(lines, (*at, "events"), f"no event is called {event!r}; {advice}")
        if not sink.table.events and not sink.table.outcomes and not sink.table.flags:
            yield _at(lines, at, "brings nothing: no events, no outcomes, no flags; remove it")


def _told_twice(config: Config, lines: Lines) -> Iterator[Finding]:
    """Two sources of one event may number the same thing twice."""
    tellers: dict[str, list[str]] = defaultdict(list)
    for source in config.sources:
        for event in {mapping.schema.event for mapping in source.mappings.values()}:
            tellers[event].append(source.name)
    for event, names in sorted(tellers.items()):
        if len(names) > 1:
            yield _at(
                lines,
                ("source", names[1]),
                f"{event} is told by {' and '.join(names)}; fine for different things, but versions of one thing must "
                "come from one source",
                "note",
            )


def _unedited(config: Config) -> Iterator[Finding]:
    path = config.folder / FILE
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if EDIT in line:
            yield Finding(
                "note", str(path), number, line.partition("=")[0].strip(),
                f"still marked {EDIT!r}; take the mark away once it is right",
            )  # fmt: skip


def _at(
    lines: Lines,
    path: Iterable[str],
    what: str,
    severity: Literal["warning", "note"] = "warning",
) -> Finding:
    key = tuple(path)
    return Finding(severity, lines.file, lines.line(key), ".".join(key), what)


def _lines(path: Path) -> Lines:
    try:
        return read_toml(path)[1]
    except (OSError, ValueError):
        return Lines(str(path))
