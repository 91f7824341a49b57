"""The statements that put one row into a table, in the words of each database, and the tables we make ourselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateTable

from connectors.sql_upsert.kind import TableOptions
from connectors.sql_upsert.rows import Change, Target

_KEY = 300  # characters; MySQL's and SQL Server's indexes hold them


def default_table(name: str, schema: str | None) -> sa.Table:
    """Every delivery as one row: for campuses that read the alliance's words with SQL of their own."""
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("delivery_key", sa.String(_KEY), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("event", sa.String(100), nullable=False),
        sa.Column("event_id", sa.String(255), nullable=False),
        sa.Column("outcome", sa.String(32)),
        sa.Column("subject", sa.String(500), nullable=False),
        sa.Column("version", sa.BigInteger),
        sa.Column("ledger_seq", sa.BigInteger),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("brought_at", sa.DateTime(timezone=True), nullable=False),
        schema=schema,
    )


def applied_table(name: str, schema: str | None) -> sa.Table:
    """What was brought, by sink: the same delivery may go to two sinks of one database."""
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("sink", sa.String(100), primary_key=True),
        sa.Column("delivery_key", sa.String(_KEY), primary_key=True),
        sa.Column("ledger_seq", sa.BigInteger),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        schema=schema,
    )


def suggested(
    name: str, schema: str | None, names: Sequence[str], options: TableOptions
) -> sa.Table:
    """A table with these columns, all of text: to begin with."""
    columns: list[sa.Column[Any]] = [
        sa.Column(
            column,
            sa.BigInteger if column == options.version else sa.String(255),
            primary_key=column in options.key,
        )
        for column in names
    ]
    return sa.Table(name, sa.MetaData(), *columns, schema=schema)


def ddl(table: sa.Table, dialect: sa.Dialect) -> str:
    """The statement that makes a table, on one line."""
    return " ".join(str(CreateTable(table).compile(dialect=dialect)).split())


def upsert(
    target: Target, names: frozenset[str], dialect: str, rows: Sequence[Change] = ()
) -> sa.Executable | None:
    """One statement that inserts or replaces rows, unless the table holds newer versions; None: there is no such.

    Without `rows` it is for one row, and its parameters are the columns' values. No row is changed where the table's
    version is newer, and none of those counts as changed.
    """
    table, version = target.table, target.version
    # In the table's own order, so that one statement serves all rows.
    columns = [column.name for column in table.columns if column.name in names]
    values: Any = {name: sa.bindparam(name, type_=table.c[name].type) for name in columns}
    if rows:
        values = [dict(row.values) for row in rows]
    rest = [name for name in columns if name not in target.key]
    if dialect in ("postgresql", "sqlite"):
        make = postgresql.insert if dialect == "postgresql" else sqlite.insert
        statement = make(table).values(values)
        if not rest:
            return statement.on_conflict_do_nothing(index_elements=list(target.key))
        newer = None
        if version is not None:
            held = table.c[version]
            newer = sa.or_(held.is_(None), statement.excluded[version] >= held)
        return statement.on_conflict_do_update(
            index_elements=list(target.key),
            set_={name: statement.excluded[name] for name in rest},
            where=newer,
        )
    if dialect == "mysql" and version is None:
        insert = mysql.insert(table).values(values)
        # A row without other columns is set to itself: MySQL has no way to do nothing.
        return insert.on_duplicate_key_update(
            {name: insert.inserted[name] for name in rest or target.key}
        )
    return None


def where_key(change: Change) -> sa.ColumnElement[bool]:
    """Picks the change's row."""
    table = change.target.table
    return sa.and_(*(table.c[name] == value for name, value in change.key.items()))


def held_version(change: Change) -> sa.Select[Any]:
    """The row's version (or a one), locked until the end where the database can lock a row."""
    version = change.target.version
    shown = change.target.table.c[version] if version else sa.literal(1)
    return (
        sa.select(shown).select_from(change.target.table).where(where_key(change)).with_for_update()
    )
