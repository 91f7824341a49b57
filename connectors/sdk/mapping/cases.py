"""Cases of a mapping: a record of the campus and the event, or the refusal, that must come of it.

    my-campus/cases/<mapping>/<name>.toml        for mapping/<mapping>.toml

Owns reading such files, and comparing. They need no key, no broker and no campus, so a folder's mappings can be tested
wherever it is edited.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from connectors.sdk.contract import ConfigError, Permanent
from connectors.sdk.mapping.event import EventMapping, load_mapping
from connectors.sdk.mapping.file import read_mapping_file
from connectors.sdk.private.vault import Person, prefix
from schemas.codec import to_json

FOLDER = "cases"
_MEMBER = "10611"  # whose mapping it is, where neither case nor connector.toml says so


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExpectedError(_Table):
    """`[expect_error]`: the refusal's code and, if given, its field and words that its message holds."""

    code: str
    field: str | None = None
    says: str | None = None


class CaseFile(_Table):
    """A case. The record stands in `given`, or in a JSON file beside it; expected is an event or a refusal.

    `expect` names the fields that matter, the others may be anything; `expect_empty` those that must be null or empty.
    """

    why: str = ""
    member: str | None = None
    given: dict[str, Any] | None = None
    file: str | None = None
    expect: dict[str, Any] = {}
    expect_private: dict[str, Any] | None = None
    expect_empty: tuple[str, ...] = ()
    expect_error: ExpectedError | None = Field(default=None)


@dataclass(frozen=True, slots=True)
class Case:
    """A case, read. `name` is its path below the folder."""

    name: str
    mapping: str
    table: CaseFile
    record: Any


@dataclass(frozen=True, slots=True)
class Finding:
    """How one case went: `differences` has a line for each, none when it passed."""

    case: str
    mapping: str
    differences: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "mapping": self.mapping,
            "passed": not self.differences,
            "differences": list(self.differences),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All cases of a folder, and the mappings that have none."""

    findings: Sequence[Finding]
    without: Sequence[str]

    @property
    def failed(self) -> int:
        return sum(bool(finding.differences) for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {
            "cases": [finding.to_json() for finding in self.findings],
            "passed": len(self.findings) - self.failed,
            "failed": self.failed,
            "mappingsWithoutCases": list(self.without),
        }

    def lines(self) -> Iterator[str]:
        for finding in self.findings:
            yield f"{'FAILED' if finding.differences else 'ok    '} {finding.case}"
            yield from (f"         {line}" for line in finding.differences)
        count = len(self.findings)
        yield f"{count} cases: {count - self.failed} passed, {self.failed} failed"
        if self.without:
            yield f"note: no case for {len(self.without)} mappings: {', '.join(self.without)}"


def run_cases(folder: Path) -> Report:
    """Try every case of a campus's folder. Raises `ConfigError` for what cannot be read, one line for each fault."""
    faults: list[str] = []
    member, connector = _identity(folder)
    cases = [
        case
        for path in sorted((folder / FOLDER).glob("*/*.toml"))
        for case in _case(folder, path, faults)
    ]
    loaded: dict[tuple[str, str], EventMapping] = {}
    for case in cases:
        key = case.mapping, case.table.member or member
        if key not in loaded:
            try:
                path = folder / "mapping" / f"{case.mapping}.toml"
                loaded[key] = load_mapping(
                    path, folder / "codes", member=key[1], connector=connector
                )
            except ConfigError as error:
                faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
    findings = [
        Finding(
            case.name, case.mapping, tried(case, loaded[case.mapping, case.table.member or member])
        )
        for case in cases
    ]
    with_case = {case.mapping for case in cases}
    known = sorted(path.stem for path in (folder / "mapping").glob("*.toml"))
    return Report(findings, [name for name in known if name not in with_case])


def tried(case: Case, mapping: EventMapping) -> list[str]:
    """What differs from what the case expects. Pure."""
    wanted = case.table.expect_error
    try:
        record = to_json(mapping.record(case.record, _pseudonym(mapping.member)))
        part = mapping.part(case.record)
    except Permanent as error:
        if wanted is None:
            return [f"refused: {error}"]
        return _error_differences(wanted, error)
    if wanted is not None:
        return [
            f"wanted the refusal {wanted.code}, found an event; correct the case or the mapping"
        ]
    found = list(differences(case.table.expect, record, ""))
    if case.table.expect_private is not None:
        found += differences(case.table.expect_private, part, "private")
    for name in case.table.expect_empty:
        value = _inside(record, name)
        if value not in (None, [], {}, ""):
            found.append(f"{name}: wanted nothing, found {value!r}")
    return found


def differences(wanted: Any, found: Any, at: str) -> Iterator[str]:
    """Where `found` is not as `wanted`: of an object only the keys that are wanted, of a list every item."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            yield f"{at or 'the event'}: wanted an object, found {found!r}"
            return
        for name, value in wanted.items():
            inner = f"{at}.{name}" if at else name
            if name in found:
                yield from differences(value, found[name], inner)
            else:
                yield f"{inner}: wanted {_plain(value)!r}, found no such field; it has {', '.join(found)}"
    elif isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            count = f"{len(found)} items: {found!r}" if isinstance(found, list) else repr(found)
            yield f"{at}: wanted {len(wanted)} items, found {count}"
            return
        for i, value in enumerate(wanted):
            yield from differences(value, found[i], f"{at}[{i}]")
    elif not _same(_plain(wanted), found):
        yield f"{at}: wanted {_plain(wanted)!r}, found {found!r}"


def _plain(value: Any) -> Any:
    """A TOML value as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def _same(wanted: Any, found: Any) -> bool:
    """Numbers are compared as numbers, since events hold amounts as texts, and times as moments."""
    if isinstance(wanted, bool) or isinstance(found, bool) or wanted == found:
        return type(wanted) is type(found) and bool(wanted == found)
    try:
        if isinstance(wanted, (int, float)) or isinstance(found, (int, float)):
            return Decimal(str(wanted)) == Decimal(str(found))
        if len(str(wanted)) > 10 and isinstance(found, str):
            return datetime.fromisoformat(str(wanted)) == datetime.fromisoformat(found)
    except (InvalidOperation, ValueError, TypeError):
        return False
    return False


def _error_differences(wanted: ExpectedError, error: Permanent) -> list[str]:
    found = []
    if error.code != wanted.code:
        found.append(
            f"wanted the refusal {wanted.code}, found {error.code or 'one without code'}: {error}"
        )
    field = getattr(error, "field", "")
    if wanted.field is not None and field != wanted.field:
        found.append(
            f"wanted a refusal of {wanted.field}, found one of {field or 'no field'}: {error}"
        )
    if wanted.says is not None and wanted.says not in str(error):
        found.append(f"wanted a refusal that says {wanted.says!r}, found: {error}")
    return found


def _pseudonym(member: str) -> Any:
    """Stands in for real ones, which no case can know."""

    def name(_: Person) -> str:
        return f"{prefix(member)}{'0' * 32}"

    return name


def _inside(value: Any, name: str) -> Any:
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _identity(folder: Path) -> tuple[str, str]:
    """Our code and the connector's name, if connector.toml gives them plainly."""
    try:
        raw = tomllib.loads((folder / "connector.toml").read_text(encoding="utf-8"))
        member = raw["member"]
        code, name = member.get("code"), member.get("name", "campus")
    except (OSError, ValueError, KeyError, AttributeError):
        return _MEMBER, "campus"
    plain = isinstance(code, str) and code.isdigit()
    return code if plain else _MEMBER, name if isinstance(name, str) else "campus"


def _case(folder: Path, path: Path, faults: list[str]) -> Iterator[Case]:
    try:
        table, lines = read_mapping_file(path, CaseFile)
    except ConfigError as error:
        faults.append(str(error))
        return
    before = len(faults)
    if (table.given is None) == (table.file is None):
        faults.append(lines.said((), "write the record as [given], or name its JSON file in file"))
    expects = table.expect or table.expect_empty or table.expect_private is not None
    if bool(expects) == (table.expect_error is not None):
        faults.append(
            lines.said((), "write [expect] for an event, or [expect_error] for a refusal")
        )
    record: Any = table.given
    if table.file is not None:
        try:
            record = json.loads((path.parent / table.file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            faults.append(lines.said(("file",), f"cannot read {table.file}: {error}; correct it"))
    if len(faults) == before:
        yield Case(str(path.relative_to(folder)), path.parent.name, table, _json_values(record))


def _json_values(value: Any) -> Any:
    """TOML has days and times, a campus's JSON has texts."""
    if isinstance(value, dict):
        return {name: _json_values(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_json_values(item) for item in value]
    return _plain(value)
