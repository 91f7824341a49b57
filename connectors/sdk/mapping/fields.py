"""Field tables compiled to functions: where a value comes from, what becomes of it, how it is refused.

Shared by both directions: records to events (`connectors.sdk.mapping.event`) and deliveries to a campus's own fields
(`connectors.sdk.mapping.local`). Compiled once, then pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from connectors.sdk.mapping.codes import (
    Code,
    CodeTable,
    UnknownCode,
    code_text,
    looked_up,
    read_codes,
    shown,
)
from connectors.sdk.mapping.converters import Change, converter, zone_of
from connectors.sdk.mapping.expressions import (
    MISSING,
    Getter,
    WrongShape,
    compile_path,
    never_raises,
)
from connectors.sdk.mapping.file import (
    MISSING_PATH,
    UNKNOWN_CODE,
    WRONG_TYPE,
    FieldTable,
    Instead,
    LocalFieldTable,
    MappingError,
    PseudonymTable,
    code_of,
    option_faults,
)
from connectors.sdk.mapping.toml_lines import Lines, Part
from connectors.sdk.private.vault import Person

Finish: TypeAlias = Callable[[Any, Any], Any]  # what a path holds and the whole record, to a value
Table: TypeAlias = FieldTable | LocalFieldTable
OUR_ERRORS = (ValueError, TypeError, ArithmeticError)
_CODES: Mapping[type[Exception], str] = {
    MappingError: "",
    UnknownCode: UNKNOWN_CODE,
    WrongShape: WRONG_TYPE,
}


@dataclass(frozen=True, slots=True)
class Lookup:
    """Values to values by a code table, in one direction. `on` finds the day in the whole record."""

    table: CodeTable
    rows: Mapping[str, Sequence[Code]]
    back: bool
    on: Callable[[Any], date | None] | None

    def row(self, value: Any, root: Any) -> Code:
        """The table's line. Raises `UnknownCode`."""
        on = None if self.on is None else self.on(root)
        return looked_up(self.rows, code_text(value), on, self.table.file)


@dataclass(frozen=True, slots=True)
class Use:
    """One field of a mapping, for looking at it from outside (coverage, lint): what it reads, and by which table.

    `get` finds what `path` holds in its scope: the record or, inside `each`, the item. `change` comes before the lookup.
    """

    field: str
    at: tuple[Part, ...]  # its place in the file
    expression: str = ""
    get: Getter | None = None
    change: Change | None = None
    lookup: Lookup | None = None
    listed: bool = False
    inner: Sequence[Use] = ()
    reads: Sequence[str] = ()  # other expressions: of the pseudonym, of the day


def with_inner(uses: Sequence[Use]) -> Iterator[Use]:
    """All fields, those inside lists behind their list."""
    for use in uses:
        yield use
        yield from with_inner(use.inner)


@dataclass(frozen=True, slots=True)
class Plan:
    """Fields in the order they are filled, and groups of fields (dotted names) below a name of their own."""

    steps: Sequence[tuple[str, Getter, Finish | None]] = ()
    groups: Sequence[tuple[str, Plan]] = ()

    def __bool__(self) -> bool:
        return bool(self.steps or self.groups)

    def values(self, data: Any, root: Any) -> dict[str, Any]:
        """Nested values of one record, or one item of it. A group whose every value is null or absent is null itself."""
        out: dict[str, Any] = {}
        for name, get, finish in self.steps:
            value = get(data)
            if finish is not None:
                value = finish(value, root)
            if value is not MISSING:
                out[name] = value
        for name, plan in self.groups:
            inner = plan.values(data, root)
            for value in inner.values():
                if value is not None:
                    out[name] = inner
                    break
            else:
                out[name] = None
        return out


def planned(steps: Mapping[tuple[str, ...], tuple[Getter, Finish | None]]) -> Plan:
    """The plan of fields by their dotted names, cut."""
    groups: dict[str, dict[tuple[str, ...], tuple[Getter, Finish | None]]] = {}
    for name, step in steps.items():
        if len(name) > 1:
            groups.setdefault(name[0], {})[name[1:]] = step
    return Plan(
        [(name[0], *step) for name, step in steps.items() if len(name) == 1],
        [(head, planned(inner)) for head, inner in groups.items()],
    )


class Compiler:
    """Turns field tables into plans and collects what is wrong. `day` is where a record's day stands, for code tables.

    `absent_parks`: each path must be in the record, be it null, unless its field says `optional`. `back`: code tables are
    read from the alliance's side.
    """

    def __init__(
        self,
        path: Path,
        codes: Path,
        member: str,
        lines: Lines,
        *,
        unknown: str | Instead = "park",
        day: Getter | None = None,
        absent_parks: bool = False,
        back: bool = False,
        changes: Callable[[Any], Change | None] = converter,
    ) -> None:
        self.file = f"{path.parent.name}/{path.name}"
        self.faults: list[str] = []
        self.uses: list[Use] = []
        self._folder = codes
        self._member = member
        self._lines = lines
        self._unknown = unknown
        self._day = day
        self._absent_parks = absent_parks
        self._back = back
        self._changes = changes
        self._tables: dict[str, CodeTable | None] = {}

    def fault(self, at: Sequence[Part], what: str) -> None:
        self.faults.append(self._lines.said(at, what))

    def plan(self, tables: Mapping[str, Table], at: tuple[Part, ...], under: str = "") -> Plan:
        """The plan of a table of fields. `under` stands before the fields' names in errors and uses."""
        steps: dict[tuple[str, ...], tuple[Getter, Finish | None]] = {}
        for name, table in tables.items():
            cut = tuple(name.split("."))
            for other in steps:
                if cut[: len(other)] == other or other[: len(cut)] == cut:
                    self.fault((*at, name), f"is also inside {'.'.join(other)}; map one of them")
            steps[cut] = self.field(table, (*at, name), f"{under}{name}")
        return planned(steps)

    def field(self, table: Table, at: tuple[Part, ...], name: str) -> tuple[Getter, Finish | None]:
        """Where one field's value comes from and what becomes of it."""
        given = [
            key for key in ("path", "each", "const", "member") if key in table.model_fields_set
        ]
        if len(given) != 1:
            self.fault(at, f"found {given or 'nothing'}; write one of path, each, const, member")
            return (lambda _: MISSING), None
        if isinstance(table, FieldTable):
            for key, what in option_faults(table):
                self.fault((*at, key), what)
        if given == ["const"]:
            self.uses.append(Use(name, at))
            return (lambda _: table.const), None
        if given == ["member"]:
            self.uses.append(Use(name, at))
            return (lambda _: self._member), None
        expression = table.each if table.each is not None else table.path or ""
        if getattr(table, "pseudonym", None) is not None and (len(at) > 2 or "." in name):
            self.fault((*at, "pseudonym"), "is inside another field; give it a field of its own")
        get = self._getter(expression, at)
        if isinstance(table, FieldTable) and table.pseudonym is not None:
            return get, self._person(table.pseudonym, expression, at, name, get)
        change = self._changing(table, at)
        lookup = self._lookup(table, at) if table.codes is not None else None
        refuse = _Refusing(self.file, ".".join(str(part) for part in at), name, expression)
        use = Use(name, at, expression, get, change, lookup, table.each is not None)
        if isinstance(table, FieldTable) and table.codes_on:
            use = replace(use, reads=(table.codes_on,))
        finish = _finished(change, lookup, table.unknown_code or self._unknown, refuse)
        if table.each is not None:
            inner = None
            if table.fields:
                mark = len(self.uses)
                inner = self.plan(table.fields, (*at, "fields"), f"{name}.")
                use = replace(use, inner=tuple(self.uses[mark:]))
                del self.uses[mark:]
            finish = _each(table, inner, finish, refuse)
        self.uses.append(use)
        parks = self._absent_parks and not getattr(table, "optional", False)
        if not never_raises(expression):
            get = _careful(get, refuse)
        return get, _guarded(table, finish, refuse, absent_parks=parks)

    def _getter(self, expression: str, at: Sequence[Part]) -> Getter:
        try:
            get = compile_path(expression)
        except ValueError as error:
            self.fault(at, str(error))
            return lambda _: MISSING
        return get

    def _changing(self, table: Table, at: tuple[Part, ...]) -> Change | None:
        try:
            return self._changes(table)
        except ValueError as error:
            self.fault(at, str(error))
            return None

    def _lookup(self, table: Table, at: tuple[Part, ...]) -> Lookup | None:
        found = self._codes(table.codes or "", (*at, "codes"))
        if found is None:
            return None
        if self._back:
            self.faults += [self._lines.said(at, said) for said in found.ambiguous()]
            rows = found.by_alliance()
        else:
            rows = found.by_local(normalize=bool(getattr(table, "normalize", False)))
        on = self._getter(table.codes_on, (*at, "codes_on")) if table.codes_on else self._day
        dated = found.dated and on is not None
        return Lookup(found, rows, self._back, _day_in(on) if dated and on else None)

    def _codes(self, name: str, at: tuple[Part, ...]) -> CodeTable | None:
        if name not in self._tables:
            path = self._folder / f"{name}.csv"
            try:
                table, faults = read_codes(path)
            except OSError as error:
                self.fault(at, f"cannot read {path}: {error.strerror}; add the table")
                table, faults = None, []
            self.faults += faults
            self._tables[name] = None if faults else table
        return self._tables[name]

    def _person(
        self, table: PseudonymTable, expression: str, at: tuple[Part, ...], name: str, get: Getter
    ) -> Finish:
        host = self._getter(table.host, (*at, "pseudonym", "host"))
        refuse = _Refusing(self.file, ".".join(str(part) for part in at), name, expression)
        self.uses.append(Use(name, at, expression, get, reads=(table.host,)))

        def put(local_id: Any, root: Any) -> Person:
            of = host(root)
            for path, value in ((expression, local_id), (table.host, of)):
                if value in (MISSING, None, ""):
                    refuse.absent(path, "is missing and a pseudonym needs it", "is missing")
            return Person(str(local_id), str(of), table.purpose)

        return put


@dataclass(frozen=True, slots=True)
class _Refusing:
    """Says what is wrong with one field: for people here (with values) and for the outside (without)."""

    file: str
    at: str
    field: str
    expression: str

    def error(self, message: str, brief: str, code: str) -> MappingError:
        where = f"{self.file}: {self.at}: "
        return MappingError(
            where + message, where + brief, code=code, field=self.field, file=self.file
        )

    def absent(self, path: str, said: str, brief: str) -> NoReturn:
        raise self.error(
            f"path {path} {said}; correct the record or the mapping",
            f"path {path} {brief}",
            MISSING_PATH,
        )

    def misfit(self, error: Exception) -> MappingError:
        """Of what a converter or a table raised; a field inside this one has spoken for itself."""
        if isinstance(error, MappingError):
            return error
        return self.error(
            f"path {self.expression}: {error}", "does not fit", code_of(error, _CODES)
        )

    def no_list(self, value: Any) -> MappingError:
        return self.error(
            f"path {self.expression} holds {shown(value)}, wanted a list; correct the mapping",
            "is no list",
            WRONG_TYPE,
        )


def _careful(get: Getter, refuse: _Refusing) -> Getter:
    """An expression that met a value it cannot work on is a refusal of its field."""

    def find(data: Any) -> Any:
        try:
            return get(data)
        except WrongShape as error:
            raise refuse.misfit(error) from error

    return find


def _finished(
    change: Change | None, lookup: Lookup | None, unknown: str | Instead, refuse: _Refusing
) -> Finish | None:
    """Conversion, then the code table; a list that a converter made is looked up item by item."""
    if change is None and lookup is None:
        return None
    look = None if lookup is None else _looking(lookup, unknown)

    def finish(value: Any, root: Any) -> Any:
        try:
            if change is not None:
                value = change(value)
            if look is None:
                return value
            if isinstance(value, list):
                return [look(item, root) for item in value]
            return look(value, root)
        except OUR_ERRORS as error:
            raise refuse.misfit(error) from error

    return finish


def _looking(lookup: Lookup, unknown: str | Instead) -> Finish:
    back = lookup.back
    if lookup.on is None:
        plain = {
            key: (row.local if back else row.alliance)
            for key, rows in lookup.rows.items()
            for row in reversed(rows)
            if row.holds(None)
        }
    else:
        plain = {}

    def look(value: Any, root: Any) -> Any:
        found = plain.get(value) if type(value) is str else None
        if found is not None:
            return found
        try:
            row = lookup.row(value, root)
        except UnknownCode:
            if unknown == "park":
                raise
            return unknown.default if isinstance(unknown, Instead) else None
        return row.local if back else row.alliance

    return look


def _guarded(
    table: Table, finish: Finish | None, refuse: _Refusing, *, absent_parks: bool
) -> Finish | None:
    """What happens when there is no value: refused, replaced, or left empty."""
    has_default = "default" in table.model_fields_set
    default = table.default if has_default else MISSING
    if table.each is not None and not has_default:
        default = []
    required = table.required
    parks = absent_parks and not has_default
    if finish is None and not required and default is MISSING and not parks:
        return None
    expression = refuse.expression

    def guard(value: Any, root: Any) -> Any:
        if value is MISSING or value is None:
            if required:
                said = "is missing" if value is MISSING else "is null"
                refuse.absent(expression, f"{said} and required", said)
            if parks and value is MISSING:
                refuse.absent(expression, "is missing, and absent = park wants it", "is missing")
            return value if default is MISSING else default
        return value if finish is None else finish(value, root)

    return guard


def _each(table: Table, inner: Plan | None, finish: Finish | None, refuse: _Refusing) -> Finish:
    def put(found: Any, root: Any) -> Any:
        if not isinstance(found, list):
            raise refuse.no_list(found)
        if inner is not None:
            return [inner.values(item, root) for item in found]
        return found if finish is None else [finish(item, root) for item in found]

    return put


def _day_in(get: Getter) -> Callable[[Any], date | None]:
    """The day of a record in the campus's zone: code tables change there at midnight."""
    zone = zone_of(None)

    def day(root: Any) -> date | None:
        value = get(root)
        if value is MISSING or value is None:
            return None
        text = str(value)
        try:
            moment = datetime.fromisoformat(text) if len(text) > 10 else None
            if moment is None or moment.tzinfo is None:
                return date.fromisoformat(text[:10])
        except ValueError:
            raise ValueError(
                f"the code's day {shown(value)} is no day such as 2026-09-01; name another path in codes_on"
            ) from None
        return moment.astimezone(zone).date()

    return day
