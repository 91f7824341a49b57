"""The campus's tables as the database has them: found once, compared with the options, made only when asked.

Every refusal names the statement that mends it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SAWarning

from connectors.sdk.contract import ConfigError, Delivery, NoPermission
from connectors.sdk.database import fault_of
from connectors.sdk.mapping.local import LocalMapping
from connectors.sql_upsert import statements
from connectors.sql_upsert.kind import FLAG, OUTCOME, TableOptions, UpsertOptions
from connectors.sql_upsert.rows import Change, Target, plain_row, target_of


class Tables:
    """Which table a delivery goes to. What was found is kept until `forget`; `load` reads a mapping file."""

    def __init__(self, options: UpsertOptions, load: Callable[[str], LocalMapping]) -> None:
        self._options = options
        self._load = load
        self._written: dict[str, list[str]] = {}  # columns of the tables that have named ones
        self._targets: dict[str, Target] = {}
        self._upserts: dict[tuple[str, frozenset[str]], sa.Executable | None] = {}
        self._applied: sa.Table | None = None
        self._made = not options.create

    def forget(self) -> None:
        """Look at the database anew when next asked."""
        self._targets.clear()
        self._upserts.clear()
        self._applied = None
        self._made = not self._options.create

    def make(self, db: sa.Connection) -> None:
        """Make our own tables where they are missing, if the options ask for it."""
        if self._made:
            return
        for table in self._own():
            table.create(db, checkfirst=True)
        self._made = True

    def applied(self, db: sa.Connection) -> sa.Table:
        """The table of what was brought."""
        if self._applied is None:
            own = statements.applied_table(*_name(self._options.applied))
            self._applied = self._found(db, own, [column.name for column in own.columns])
        return self._applied

    def target(self, db: sa.Connection, delivery: Delivery) -> Target:
        """The table of a delivery. Raises `ConfigError` where the options name none."""
        name = {"outcome": OUTCOME, "flag": FLAG}.get(delivery.kind, delivery.event)
        if name not in self._options.tables:
            name = ""
            if not self._options.table:
                raise ConfigError(
                    f"no table for a {delivery.kind} of {delivery.event}: name one in tables, give the sink a table for "
                    "the rest, or take it out of events, outcomes or flags"
                )
        if name not in self._targets:
            self._targets[name] = self._target(db, name)
        return self._targets[name]

    def upsert(self, change: Change, dialect: str) -> sa.Executable | None:
        """The statement that puts the change's row, see `statements.upsert`."""
        names = frozenset(change.values)
        at = (change.target.table.fullname, names)
        if at not in self._upserts:
            self._upserts[at] = statements.upsert(change.target, names, dialect)
        return self._upserts[at]

    def examine(self, db: sa.Connection) -> str:
        """One line on all tables. Raises `ConfigError` or `NoPermission` with what is to be done; changes nothing."""
        said: list[str] = []
        missing = [own for own in self._own() if not sa.inspect(db).has_table(own.name, own.schema)]
        if self._options.create and missing:
            said.append(f"{', '.join(own.name for own in missing)} will be made")
        absent = {own.name for own in missing} if self._options.create else set()
        if _name(self._options.applied)[0] not in absent:
            noted = self.applied(db)
            _rights(db, noted, [column.name for column in noted.columns])
        names = [*self._options.tables, *([""] if self._options.table else [])]
        for name in names:
            if not name and _name(self._options.table)[0] in absent:
                continue
            target = self._targets[name] = self._target(db, name)
            _rights(db, target.table, self._written.get(name, [*target.table.c.keys()]))
            _unique(db, target)
            said.append(f"{name or 'the rest'} -> {target.table.name}")
        return "; ".join(said)

    def _own(self) -> list[sa.Table]:
        """The tables whose columns are ours to say."""
        own = [statements.applied_table(*_name(self._options.applied))]
        if self._options.table:
            own.append(statements.default_table(*_name(self._options.table)))
        return own

    def _target(self, db: sa.Connection, name: str) -> Target:
        if not name:
            own = statements.default_table(*_name(self._options.table))
            table = self._found(db, own, [column.name for column in own.columns])
            return Target(table, ("delivery_key",), None, plain_row)
        options = self._options.tables[name]
        mapping = None if options.file is None else self._load(options.file)
        if mapping is not None and mapping.event not in ("", name):
            raise ConfigError(
                f"{mapping.file}: event.type is {mapping.event}, but the file is of tables.{name}; correct one of them"
            )
        names = _named(options, mapping)
        wanted = statements.suggested(*_name(options.table), names, options)
        table = self._found(db, wanted, names)
        self._written[name] = [*table.c.keys()] if options.columns == "*" else names
        return target_of(table, options, mapping)

    def _found(self, db: sa.Connection, wanted: sa.Table, named: Sequence[str]) -> sa.Table:
        """The table as the database has it, with the columns that must be there."""
        try:
            with warnings.catch_warnings(action="ignore", category=SAWarning):  # types of others
                found = sa.Table(
                    wanted.name,
                    sa.MetaData(),
                    schema=wanted.schema,
                    autoload_with=db,
                    resolve_fks=False,
                )
        except NoSuchTableError as error:
            raise ConfigError(
                f"there is no table {wanted.fullname}, or we may not see it; have it made, to begin with: "
                f"{statements.ddl(wanted, db.dialect)}"
            ) from error
        _has(found, list(dict.fromkeys(named)))
        return found


def _named(options: TableOptions, mapping: LocalMapping | None) -> list[str]:
    """The columns that must be there."""
    deletes = options.deletes
    names = [*options.key, *([options.version] if options.version else [])]
    if mapping is not None:
        missing = [name for name in names if name not in mapping.names]
        if missing:
            raise ConfigError(
                f"{mapping.file}: {', '.join(missing)} is in key or version; say in [fields] what it holds"
            )
        names += mapping.names
    elif not isinstance(options.columns, str):
        names += options.columns
    names += [deletes.column] if deletes and deletes.column else []
    return list(dict.fromkeys(names))


def _has(table: sa.Table, names: list[str]) -> None:
    missing = [name for name in names if name not in table.c]
    if missing:
        raise ConfigError(
            f"{table.fullname} has no {', '.join(missing)}; correct columns, or run: "
            + "; ".join(f"ALTER TABLE {table.fullname} ADD {name} VARCHAR(255)" for name in missing)
        )


def _name(text: str) -> tuple[str, str | None]:
    """Table and schema of `schema.table`."""
    schema, _, name = text.rpartition(".")
    return name, schema or None


def _rights(db: sa.Connection, table: sa.Table, names: Sequence[str]) -> None:
    """Try what will be done to rows on no row at all: rights are checked, nothing changes."""
    never = sa.literal(1) == sa.literal(0)
    # What the database fills in by itself cannot be written.
    columns = [
        table.c[name] for name in names if not (table.c[name].identity or table.c[name].computed)
    ]
    tried: tuple[tuple[str, Any], ...] = (
        ("SELECT", sa.select(*columns).where(never)),
        ("INSERT", sa.insert(table).from_select(columns, sa.select(*columns).where(never))),
        ("UPDATE", sa.update(table).where(never).values({columns[-1]: columns[-1]})),
    )
    for right, statement in tried:
        try:
            with db.begin_nested():
                db.execute(statement)
        except DBAPIError as error:
            if fault_of(error).verdict != "permission":
                raise
            raise NoPermission(
                f"{table.fullname}: we may not {right.lower()}; "
                f"run: GRANT SELECT, INSERT, UPDATE ON {table.fullname} TO the connector's user"
            ) from error


def _unique(db: sa.Connection, target: Target) -> None:
    """Two rows of one key would be one too many, and an upsert needs to know which columns may not repeat."""
    look, name, schema = sa.inspect(db), target.table.name, target.table.schema
    found: list[Any] = [look.get_pk_constraint(name, schema)["constrained_columns"]]
    found += [one["column_names"] for one in look.get_unique_constraints(name, schema)]
    found += [one["column_names"] for one in look.get_indexes(name, schema) if one["unique"]]
    if sorted(target.key) not in [sorted(filter(None, names)) for names in found]:
        columns = ", ".join(target.key)
        raise ConfigError(
            f"{target.table.fullname}: nothing says that {columns} is unique; "
            f"run: ALTER TABLE {target.table.fullname} ADD UNIQUE ({columns})"
        )
