"""What a person should know of an outbox before the start: table, columns, rights, index, and who holds rows back.

Changes nothing. What stops us is raised with the statement that mends it; what only costs is said in the line of check.
"""

from __future__ import annotations

import warnings
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SAWarning

from connectors.sdk.contract import ConfigError, NoPermission
from connectors.sdk.database import fault_of
from connectors.sql_outbox.kind import OutboxOptions
from connectors.sql_outbox.strategies import Strategy


def examine(db: sa.Connection, options: OutboxOptions, strategy: Strategy) -> str:
    """One line on the outbox. Raises `ConfigError` or `NoPermission` with what is to be done."""
    outbox = strategy.outbox
    schema = outbox.table.schema
    look = sa.inspect(db)
    try:
        # xid8 is no type of SQLAlchemy's, and need not be.
        with warnings.catch_warnings(action="ignore", category=SAWarning):
            columns = look.get_columns(outbox.table.name, schema)
    except NoSuchTableError as error:
        raise ConfigError(
            f"there is no table {options.table}, or we may not see it; have it made from the statements in the kind's README"
        ) from error
    found = {column["name"]: column["type"] for column in columns}
    _columns(options, outbox.told, found)
    if options.order.strategy == "xid_fence":
        _xid(db, options)
    _try(db, options, "SELECT", "SELECT", outbox.select().where(_never()))
    waiting = int(db.execute(strategy.waiting(None)).scalar_one())
    _rights(db, options, strategy)
    said = [
        f"{options.table}: {waiting} rows {'to read from the start' if options.order.strategy != 'mark' else 'wait'}"
    ]
    said += _index(look, options, schema)
    if options.order.strategy == "xid_fence" and (who := oldest_open(db)):
        said.append(f"oldest open transaction: {who}")
    return "; ".join(said)


def _columns(options: OutboxOptions, told: dict[str, str], found: dict[str, Any]) -> None:
    names = options.columns
    wanted = {*told.values(), names.position}
    strategy = options.order.strategy
    if strategy == "xid_fence":
        wanted.add(names.xid)
    if strategy == "rowversion":
        wanted.add(names.rowversion)
    if options.after == "mark":
        wanted.add(names.mark)
    missing = sorted(wanted - set(found))
    if missing:
        raise ConfigError(
            f"{options.table} has no {', '.join(missing)}, only {', '.join(sorted(found))}; "
            "add them, or name yours in columns"
        )
    kind = found[names.position]
    if not isinstance(kind, (sa.Integer, sa.Numeric)):
        raise ConfigError(
            f"{options.table}.{names.position} is {kind}, wanted a whole number that counts up; "
            "name such a column in columns.position, or add one"
        )


def _xid(db: sa.Connection, options: OutboxOptions) -> None:
    """The transaction id must be the long one, and made by this server."""
    name = options.columns.xid
    kind = db.execute(
        sa.text(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass(:t) AND attname = :c"
        ),
        {"t": options.table, "c": name},
    ).scalar()
    if kind != "xid8":
        raise ConfigError(
            f"{options.table}.{name} is {kind}, wanted xid8 default pg_current_xact_id(); the short xid begins anew "
            "after four thousand million"
        )


def _rights(db: sa.Connection, options: OutboxOptions, strategy: Strategy) -> None:
    """Try what will be done to rows."""
    outbox = strategy.outbox
    if options.after == "delete":
        _try(db, options, "DELETE", "DELETE", sa.delete(outbox.table).where(_never()))
    if options.after == "mark":
        now = {outbox.columns.mark: sa.func.current_timestamp()}
        statement = sa.update(outbox.table).where(_never()).values(now)
        _try(db, options, f"UPDATE ({outbox.columns.mark})", "UPDATE", statement)


def _never() -> sa.ColumnElement[bool]:
    """No row: rights are checked all the same, and nothing changes."""
    return sa.literal(1) == sa.literal(0)


def _try(
    db: sa.Connection, options: OutboxOptions, right: str, verb: str, statement: sa.Executable
) -> None:
    try:
        db.execute(statement)
    except DBAPIError as error:
        if fault_of(error).verdict != "permission":
            raise
        keep = "" if verb == "SELECT" else ', or write after = "keep"'
        raise NoPermission(
            f"{options.table}: we may not {verb.lower()}; run: GRANT {right} ON {options.table} TO the connector's user{keep}"
        ) from error


def _index(look: Any, options: OutboxOptions, schema: str | None) -> list[str]:
    """Advice, if no index begins with what rows are ordered by: each question would read the whole table."""
    names = options.columns
    table = options.table.rpartition(".")[2]
    first = {"xid_fence": names.xid, "rowversion": names.rowversion}.get(
        options.order.strategy, names.position
    )
    begins = [index["column_names"][:1] for index in look.get_indexes(table, schema)]
    begins.append(look.get_pk_constraint(table, schema)["constrained_columns"][:1])
    begins += [unique["column_names"][:1] for unique in look.get_unique_constraints(table, schema)]
    if [first] in begins:
        return []
    columns = first if first == names.position else f"{first}, {names.position}"
    return [
        f"no index begins with {first}, so each question reads the whole table; CREATE INDEX {table}_order ON {options.table} ({columns})"
    ]


def oldest_open(db: sa.Connection) -> str:
    """PostgreSQL: the process that holds the fence back, its age in seconds and its application; empty if there is none."""
    found = db.execute(
        sa.text(
            "SELECT pid, extract(epoch FROM now() - xact_start), application_name, state FROM pg_stat_activity "
            "WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() ORDER BY age(backend_xid) DESC LIMIT 1"
        )
    ).first()
    if found is None:
        return ""
    age = "?" if found[1] is None else f"{float(found[1]):.0f}"
    return f"pid {found[0]} ({found[2] or 'no name'}, {found[3] or 'state hidden'}) for {age} s"
