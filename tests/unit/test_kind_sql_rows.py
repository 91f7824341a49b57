"""What the SQL kinds send and hear: values of columns, statements of each database, and what an error means."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql

from connectors.sdk.contract import (
    Transient,
)
from connectors.sdk.database import fault_of, told
from connectors.sql_outbox.conformance import sqlite_error
from connectors.sql_upsert import statements
from connectors.sql_upsert.rows import Change, Target, fit, plain_row

# Values and statements ----------------------------------------------------------------------------------------------

UTC8 = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        ("2026-09-01T00:00:00Z", sa.DateTime(timezone=True), datetime(2026, 9, 1, tzinfo=UTC)),
        ("2026-09-01T00:00:00Z", sa.DateTime(), datetime(2026, 9, 1, 8)),  # noqa: DTZ001, a column without zone
        ("2026-09-01", sa.Date(), date(2026, 9, 1)),
        ("2.50", sa.Numeric(), Decimal("2.50")),
        (2.5, sa.Numeric(), Decimal("2.5")),
        ("7", sa.Integer(), 7),
        (True, sa.SmallInteger(), 1),
        (True, sa.Boolean(), True),
        ({"a": "汉"}, sa.Text(), '{"a": "汉"}'),
        ({"a": 1}, sa.JSON(), {"a": 1}),
        (7, sa.String(), "7"),
        ("00000000-0000-0000-0000-000000000001", sa.Uuid(), UUID(int=1)),
        (None, sa.Integer(), None),
    ],
)  # fmt: skip
def test_values_become_those_of_their_columns(value: Any, kind: Any, wanted: Any) -> None:
    """Databases differ in which texts they take for a time; none differs in what a time is."""
    assert fit(value, kind, UTC8) == wanted


@pytest.mark.parametrize(
    ("value", "kind"),
    [(2.5, sa.Integer()), ("x", sa.Integer()), (2**63, sa.BigInteger()), ("maybe", sa.Boolean()), ("soon", sa.Date()), ([1], sa.Numeric())],
)  # fmt: skip
def test_what_does_not_fit_is_not_bent(value: Any, kind: Any) -> None:
    """Half a credit in a whole-number column would be a wrong grade that nobody sees."""
    with pytest.raises((ValueError, ArithmeticError)):
        fit(value, kind, UTC8)


def target(version: str | None) -> Target:
    table = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("k", sa.String(9)),
        sa.Column("v", sa.Integer),
        sa.Column("x", sa.Text),
    )
    return Target(table, ("k",), version, plain_row)


NAMES = frozenset({"k", "v", "x"})


@pytest.mark.parametrize(
    ("dialect", "version", "wanted"),
    [
        (postgresql, "v", r"ON CONFLICT \(k\) DO UPDATE SET v = excluded.v, x = excluded.x WHERE t.v IS NULL OR excluded.v >= t.v"),
        (mysql, None, r"ON DUPLICATE KEY UPDATE v = VALUES\(v\), x = VALUES\(x\)"),
    ],
)  # fmt: skip
def test_the_upsert_is_each_database_s_own(dialect: Any, version: str | None, wanted: str) -> None:
    """One statement, so that two writers of one row cannot both find it missing."""
    statement = statements.upsert(target(version), NAMES, dialect.dialect.name)
    assert re.search(wanted, " ".join(str(statement.compile(dialect=dialect.dialect())).split()))


@pytest.mark.parametrize("dialect", [mysql, mssql, oracle])
def test_others_look_first_and_hold_the_row(dialect: Any) -> None:
    """Where no upsert of ours can guard a version. Not tried against these databases, only as text."""
    assert statements.upsert(target("v"), NAMES, dialect.dialect.name) is None
    change = Change(target("v"), {"k": "a", "v": 2, "x": ""}, gone=False)
    said = str(statements.held_version(change).compile(dialect=dialect.dialect()))
    assert ("FOR UPDATE" in said) == (dialect is not mssql)


# What an error means ------------------------------------------------------------------------------------------------


def raised(kind: type[exc.DBAPIError], orig: BaseException) -> exc.DBAPIError:
    """As SQLAlchemy hands on what a driver raised."""
    return kind("INSERT", {}, orig)


class Oracle(Exception):
    """python-oracledb: its first argument has the number."""


def oracle_error(number: int) -> Oracle:
    return Oracle(
        type("_Error", (), {"code": number, "__str__": lambda _: f"ORA-{number:05}: said"})()
    )


@pytest.mark.parametrize(
    ("kind", "orig", "verdict", "code"),
    [
        (exc.ProgrammingError, Exception({"C": "23514", "M": "violates", "D": "row (x)"}), "row", "SQL_23514"),
        (exc.ProgrammingError, Exception({"C": "40P01", "M": "deadlock", "D": "row (x)"}), "transient", "SQL_40P01"),
        (exc.ProgrammingError, Exception({"C": "42501", "M": "denied"}), "permission", "SQL_42501"),
        (exc.ProgrammingError, Exception({"C": "42P01", "M": "no table"}), "config", "SQL_42P01"),
        (exc.ProgrammingError, Exception({"C": "P0001", "M": "the trigger says no"}), "row", "SQL_P0001"),
        (exc.ProgrammingError, Exception({"C": "40002", "M": "integrity"}), "row", "SQL_40002"),
        (exc.OperationalError, sqlite_error("locked", "SQLITE_BUSY_SNAPSHOT"), "transient", "SQL_SQLITE_BUSY_SNAPSHOT"),
        (exc.OperationalError, sqlite_error("no such table: x", "SQLITE_ERROR"), "config", "SQL_SQLITE_ERROR"),
        (exc.OperationalError, Exception(1205, "Lock wait timeout"), "transient", "SQL_1205"),
        (exc.OperationalError, Exception(1045, "Access denied"), "permission", "SQL_1045"),
        (exc.IntegrityError, Exception(1062, "Duplicate entry"), "row", "SQL_1062"),
        (exc.ProgrammingError, Exception("42S02", "[42S02] Invalid object name"), "config", "SQL_42S02"),
        (exc.DBAPIError, Exception("40001", "[40001] deadlock victim"), "transient", "SQL_40001"),
        (exc.DatabaseError, oracle_error(942), "config", "SQL_942"),
        (exc.DatabaseError, oracle_error(12899), "row", "SQL_12899"),
        (exc.DatabaseError, oracle_error(60), "transient", "SQL_60"),
        (exc.DatabaseError, oracle_error(20001), "row", "SQL_20001"),
        (exc.IntegrityError, Exception("of a driver nobody knows"), "row", "SQL_Exception"),
        (exc.DatabaseError, Exception("of a driver nobody knows"), "transient", "SQL_Exception"),
    ],
)  # fmt: skip
def test_each_driver_s_errors_are_read(
    kind: type[exc.DBAPIError], orig: Exception, verdict: str, code: str
) -> None:
    """Five drivers hide the code in five places; a wrong reading parks good rows, or asks for ever for a bad one."""
    found = fault_of(raised(kind, orig))
    assert (found.verdict, found.code) == (verdict, code)


def test_what_may_leave_the_campus_holds_no_row() -> None:
    """The reason goes to the hub with the heartbeat: a server's detail repeats values, its sentence does not."""
    deadlock = fault_of(
        raised(exc.DBAPIError, Exception({"C": "40P01", "M": "deadlock detected", "D": "Liu Yang"}))
    )
    assert "deadlock detected" in str(told(deadlock, "postgresql h/d"))
    assert "Liu" not in str(told(deadlock, "postgresql h/d"))
    refused = fault_of(
        raised(exc.DBAPIError, Exception({"C": "23505", "M": "exists", "D": "Liu Yang"}))
    )
    assert "Liu" in refused.words
    assert "Liu" not in str(told(refused, "postgresql h/d"))
    unknown = fault_of(raised(exc.DatabaseError, Exception("Liu Yang")))
    assert "Liu" not in str(told(unknown, "postgresql h/d"))
    assert isinstance(told(unknown, ""), Transient)
