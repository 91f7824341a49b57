"""How well mappings and code tables cover the records that come by: fields filled and empty, codes mapped and not, what
was refused and why, and what of the input nobody reads.

Owns counting and saying. It looks at each record beside the mapping, so the mapping itself stays as fast as it is; a
record costs here about twice what mapping it costs. What it shows may be read by people outside the office: of the data
only local codes and names of paths are shown, and neither where it looks like a person's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from connectors.sdk.contract import Permanent
from connectors.sdk.mapping.codes import CodeTable, UnknownCode, code_text
from connectors.sdk.mapping.event import EventMapping
from connectors.sdk.mapping.expressions import MISSING, Names, paths_of
from connectors.sdk.mapping.fields import OUR_ERRORS, Use
from schemas.records import Record

Result: TypeAlias = Record | Permanent | None  # None: left out by a named rule

_SHOWN = 10  # of each list in `lines`; `to_json` has all that were kept
_KEPT = 1000  # different values or paths of one kind: a wrong path must not fill the memory
_TOO_MANY = 50  # different unmapped values: then it is the path that is wrong, not the table
_PERSONAL = re.compile(r"@|\d{6}|^.{41}", re.DOTALL)  # mail addresses, numbers of people, sentences


@dataclass(slots=True)
class TableCoverage:
    """One code table: which lines were used, which local values it lacks. Values are counted once a record."""

    table: CodeTable
    mapped: set[str] = field(default_factory=set)
    unmapped: Counter[str] = field(default_factory=Counter)
    used: set[int] = field(default_factory=set)

    def unused(self) -> list[str]:
        """Local values of the lines that no record used, in the file's order."""
        return [row.local for row in self.table.rows if row.line not in self.used]

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.table.file,
            "values": len(self.mapped | set(self.unmapped)),
            "mapped": len(self.mapped - set(self.unmapped)),
            "unmapped": [
                {"local": _shown(value), "rows": rows}
                for value, rows in self.unmapped.most_common()
            ],
            "neverUsed": self.unused(),
        }

    def lines(self) -> Iterator[str]:
        values = self.mapped | set(self.unmapped)
        whole = len(values)
        said = f"{self.table.file}: {whole - len(self.unmapped)} of {whole} local values mapped"
        if len(self.unmapped) >= _TOO_MANY:
            said += f"; {len(self.unmapped)} different ones are not: does the field read the right path?"
        elif self.unmapped:
            found = [
                f'"{_shown(value)}" ({_count(rows, "row")})'
                for value, rows in self.unmapped.most_common()
            ]
            said += f"; unmapped: {_some(found)}"
        yield said
        if self.used and (unused := self.unused()):
            yield f"  never used: {_some(unused)}"


@dataclass(slots=True)
class MappingCoverage:
    """One mapping: what its fields found. `filled` and `empty` count what the record held, before defaults."""

    mapping: EventMapping
    records: int = 0
    mapped: int = 0
    filled: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)  # by code and field
    not_read: Counter[str] = field(default_factory=Counter)
    told: set[str] = field(default_factory=set)

    def to_json(self) -> dict[str, Any]:
        names = list(dict.fromkeys((*self.filled, *self.empty)))
        return {
            "mapping": self.mapping.file,
            "event": self.mapping.schema.event,
            "records": self.records,
            "mapped": self.mapped,
            "refused": [
                {"code": code, "field": name, "records": count}
                for (code, name), count in self.refused.most_common()
            ],
            "fields": {
                name: {"filled": self.filled[name], "empty": self.empty[name]} for name in names
            },
            "notRead": dict(self.not_read.most_common()),
        }

    def lines(self) -> Iterator[str]:
        refused = sum(self.refused.values())
        yield (
            f"{self.mapping.file} ({self.mapping.schema.event}): {_count(self.records, 'record')}, {self.mapped} mapped"
            + (f", {refused} refused" if refused else "")
        )
        for (code, name), count in self.refused.most_common(_SHOWN):
            yield f"  refused: {code} {name} ({_count(count, 'record')})".replace("  (", " (")
        # Of the envelope most is empty at most campuses; that is told in `to_json` alone.
        never = [
            name
            for name in self.empty
            if not self.filled[name] and not name.startswith("envelope.")
        ]
        if self.records and never:
            yield f"  never filled: {_some(never)}"
        if self.not_read:
            found = [
                f"{path} ({_count(rows, 'row')})" for path, rows in self.not_read.most_common()
            ]
            yield f"  not read: {_some(found)}"


class Coverage:
    """What was seen of a source's records. `also_read` are expressions outside the mappings (`select`, `changes.key`)."""

    def __init__(self, mappings: Iterable[EventMapping], also_read: Iterable[str] = ()) -> None:
        self.mappings = {mapping.file: MappingCoverage(mapping) for mapping in mappings}
        self.tables: dict[str, TableCoverage] = {}
        self.elsewhere: Counter[str] = Counter()  # refused before a mapping was found, by code
        self.left_out = 0
        also = {path for expression in also_read for path in paths_of(expression)}
        also.add(("_change",))  # ours, put there for records without change numbers
        self._read = {file: _Read(each.mapping, also) for file, each in self.mappings.items()}
        for each in self.mappings.values():
            for table in _tables(each.mapping.uses):
                self.tables.setdefault(table.file, TableCoverage(table))

    def add(self, mapping: EventMapping | None, data: Any, result: Result) -> None:
        """Count one record. `mapping` None: there was none for it. Never raises, whatever the record is."""
        if result is None:
            self.left_out += 1
            return
        if mapping is None:
            self.elsewhere[_cause(result)[0]] += 1
            return
        seen = self.mappings[mapping.file]
        seen.records += 1
        if isinstance(result, Permanent):
            seen.refused[_cause(result)] += 1
        else:
            seen.mapped += 1
        values: set[tuple[str, str, bool]] = set()
        self._fields(seen, mapping.uses, data, data, values)
        for file, value, mapped in values:
            table = self.tables[file]
            if not mapped and (value in table.unmapped or len(table.unmapped) < _KEPT):
                table.unmapped[value] += 1
        for path in self._read[mapping.file].left(data):
            if path in seen.not_read or len(seen.not_read) < _KEPT:
                seen.not_read[path] += 1

    def news(self) -> list[str]:
        """Input paths that nobody reads and that were not told before, of mappings with `extra_input = "report"`."""
        found = []
        for seen in self.mappings.values():
            if seen.mapping.policy.extra_input == "report":
                fresh = [path for path in seen.not_read if path not in seen.told]
                seen.told.update(fresh)
                found += [
                    f"{seen.mapping.file}: the record holds {path}, which the mapping does not read; map it, "
                    'or set extra_input = "ignore"'
                    for path in fresh
                ]
        return found

    def refused(self) -> int:
        """Records that were refused."""
        inside = sum(sum(seen.refused.values()) for seen in self.mappings.values())
        return inside + sum(self.elsewhere.values())

    def to_json(self) -> dict[str, Any]:
        """All of it: `mappings`, `tables`, records refused before a mapping was found, records left out."""
        return {
            "mappings": [seen.to_json() for seen in self.mappings.values()],
            "tables": [table.to_json() for table in self.tables.values()],
            "refusedBeforeMapping": dict(self.elsewhere),
            "leftOut": self.left_out,
        }

    def lines(self) -> list[str]:
        """The same for people, without mappings and tables that no record came to."""
        found = [line for seen in self.mappings.values() if seen.records for line in seen.lines()]
        for table in self.tables.values():
            if table.mapped or table.unmapped:
                found += table.lines()
        found += [
            f"refused before mapping: {code} ({_count(n, 'record')})"
            for code, n in self.elsewhere.most_common()
        ]
        unmet = [file for file, seen in self.mappings.items() if not seen.records]
        if unmet:
            found.append(f"no record came for: {_some(unmet)}")
        return found

    def _fields(
        self,
        seen: MappingCoverage,
        uses: Sequence[Use],
        data: Any,
        root: Any,
        values: set[tuple[str, str, bool]],
    ) -> None:
        for use in uses:
            if use.get is None:
                continue
            try:
                found = use.get(data)
            except OUR_ERRORS:
                found = MISSING
            empty = found is MISSING or found is None or found == "" or found == []
            (seen.empty if empty else seen.filled)[use.field] += 1
            if empty:
                continue
            if use.inner and isinstance(found, list):
                for item in found:
                    self._fields(seen, use.inner, item, root, values)
            elif use.lookup is not None:
                self._codes(use, found, root, values)

    def _codes(self, use: Use, found: Any, root: Any, values: set[tuple[str, str, bool]]) -> None:
        if use.lookup is None:
            return
        table = self.tables[use.lookup.table.file]
        for each in found if use.listed and isinstance(found, list) else [found]:
            try:
                value = each if use.change is None else use.change(each)
            except OUR_ERRORS:
                continue
            for one in value if isinstance(value, list) else [value]:
                try:
                    local = code_text(one)
                    row = use.lookup.row(one, root)
                except UnknownCode:
                    values.add((table.table.file, local, False))
                except OUR_ERRORS:
                    continue
                else:
                    table.used.add(row.line)
                    table.mapped.add(row.local)


class _Read:
    """Which paths of a record a mapping reads, so that the rest can be told."""

    def __init__(self, mapping: EventMapping, also: set[Names]) -> None:
        self.whole = set(also) | set(_read_by(mapping.uses, ()))
        self.above = {path[:i] for path in self.whole for i in range(len(path))}

    def left(self, data: Any) -> list[str]:
        """The paths of one record that nothing reads and that hold something; the nearest to the top of each branch."""
        found: set[str] = set()
        if () not in self.whole:
            self._walk(data, (), found)
        return sorted(found)

    def _walk(self, value: Any, at: Names, found: set[str]) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                path = (*at, name)
                if inner is None or path in self.whole:
                    continue
                if path in self.above and isinstance(inner, (dict, list)):
                    self._walk(inner, path, found)
                elif len(found) < _KEPT:
                    found.add(".".join("*" if _PERSONAL.search(part) else part for part in path))
        elif isinstance(value, list):
            for item in value:
                self._walk(item, at, found)


def _read_by(uses: Sequence[Use], base: Names) -> Iterator[Names]:
    for use in uses:
        if not use.expression:
            continue
        ends = paths_of(use.expression)
        for path in ends:
            if use.inner:
                yield from _read_by(use.inner, (*base, *path))
            else:
                yield (*base, *path)
        for expression in use.reads:  # a day stands in the whole record, a pseudonym's host too
            yield from paths_of(expression)


def _tables(uses: Sequence[Use]) -> Iterator[CodeTable]:
    for use in uses:
        if use.lookup is not None:
            yield use.lookup.table
        yield from _tables(use.inner)


def _cause(error: Any) -> tuple[str, str]:
    return getattr(error, "code", "") or "OTHER", getattr(error, "field", "")


def _shown(value: str) -> str:
    return f"a value of {len(value)} characters" if _PERSONAL.search(value) else value


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _some(items: Sequence[str]) -> str:
    more = len(items) - _SHOWN
    return ", ".join(islice(items, _SHOWN)) + (f" and {more} more" if more > 0 else "")
