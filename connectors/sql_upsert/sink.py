"""A campus's tables as a sink: rows and the note of what was brought are one transaction.

Owns the order of effects. A batch is tried as a whole; only when the database refuses a row is each tried behind a
savepoint of its own, so that the one is found and the others are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from connectors.sdk.contract import (
    Applied,
    ConfigError,
    ConnectorError,
    Context,
    Delivery,
    Duplicate,
    NotNow,
    Permanent,
    Rejected,
    Stale,
    Transient,
    Verdict,
)
from connectors.sdk.database import Database, fault_of
from connectors.sdk.mapping.local import load_local_mapping
from connectors.sql_upsert import statements
from connectors.sql_upsert.kind import UpsertOptions
from connectors.sql_upsert.rows import Change, Unfit, change_of, runs
from connectors.sql_upsert.tables import Tables

# When so many are refused for one cause and none passes, it is the table or our columns that are wrong, not the rows.
_ALL_REFUSED = 5
# Rows in one statement; databases count its parameters in 15 or 16 bits, and a wide table has a hundred columns.
_ROWS_AT_ONCE = 100
_MANY = ("postgresql", "sqlite")  # whose upsert of many rows is tried here
_ASKED_AT_ONCE = 500  # delivery keys in one statement; Oracle takes 1,000


class SqlUpsert:
    """One database of one campus."""

    def __init__(self, options: UpsertOptions, context: Context) -> None:
        self._options = options
        self._clock = context.clock
        self._name = f"{context.member}/{context.name}"
        self._zone = ZoneInfo(options.timezone)
        self._tables = Tables(
            options,
            lambda file: load_local_mapping(
                context.folder / file, context.folder / "codes", member=context.member
            ),
        )
        self._database = Database(options, context.folder, stage=context.transport, writes=True)

    async def check(self) -> str:
        """Look at tables, columns, keys and rights."""
        self._tables.forget()
        return await self._database.run(self._tables.examine)

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """Write the rows of a batch and the note of it, or nothing. A lost connection leaves the answer to the note."""
        now = self._clock.now()
        try:
            return await self._database.run(lambda db: self._apply(db, batch, now))
        except ConnectorError:
            self._tables.forget()  # whoever mends a table should not have to start us again
            raise

    async def close(self) -> None:
        """Close the connection."""
        await self._database.close()

    def _apply(self, db: sa.Connection, batch: Sequence[Delivery], now: datetime) -> list[Verdict]:
        self._tables.make(db)
        if db.dialect.name == "postgresql":
            # A constraint that is checked at the commit names no row; checked at once, it does.
            db.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        noted = self._tables.applied(db)
        verdicts: dict[str, Verdict] = dict.fromkeys(self._known(db, noted, batch), Duplicate())
        todo = list({one.key: one for one in batch if one.key not in verdicts}.values())
        verdicts |= self._write(db, todo, now)
        _refuse_nonsense(list(verdicts.values()))
        self._note(db, noted, [one for one in todo if isinstance(verdicts[one.key], (Applied, Stale))], now)  # fmt: skip
        return _in_order(batch, verdicts)

    def _known(self, db: sa.Connection, noted: sa.Table, batch: Sequence[Delivery]) -> list[str]:
        """The keys of those that were brought before."""
        known: list[str] = []
        keys = [one.key for one in batch]
        for start in range(0, len(keys), _ASKED_AT_ONCE):
            these = noted.c.delivery_key.in_(keys[start : start + _ASKED_AT_ONCE])
            query = sa.select(noted.c.delivery_key).where(noted.c.sink == self._name, these)
            known += db.execute(query).scalars()
        return known

    def _note(
        self, db: sa.Connection, noted: sa.Table, brought: Sequence[Delivery], now: datetime
    ) -> None:
        if not brought:
            return
        aware = getattr(noted.c["at"].type, "timezone", True)
        at = now if aware else now.astimezone(self._zone).replace(tzinfo=None)
        rows: list[dict[str, Any]] = [
            {"sink": self._name, "delivery_key": one.key, "ledger_seq": one.ledger_seq, "at": at}
            for one in brought
        ]
        try:
            if db.dialect.name not in _MANY:
                db.execute(sa.insert(noted), rows)
                return
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                db.execute(sa.insert(noted).values(rows[start : start + _ROWS_AT_ONCE]))
        except IntegrityError as error:
            raise Transient(
                f"{self._options.applied}: another has just brought deliveries of this batch; they are looked up again"
            ) from error

    # Writing --------------------------------------------------------------------------------------------------------

    def _write(
        self, db: sa.Connection, todo: Sequence[Delivery], now: datetime
    ) -> dict[str, Verdict]:
        """All at once, or where the database refuses a row, one by one."""
        try:
            with db.begin_nested():
                return self._together(db, todo, now)
        except (_Refusal, _SomeOlder):
            pass
        except SQLAlchemyError as error:
            if fault_of(error).verdict != "row":
                raise
        return self._one_by_one(db, todo, now)

    def _together(
        self, db: sa.Connection, todo: Sequence[Delivery], now: datetime
    ) -> dict[str, Verdict]:
        """Many rows in a statement where they are neighbors: each question costs a way to the server and back."""
        verdicts: list[Verdict] = []
        for run in runs((self._change(db, one, now) for one in todo), _ROWS_AT_ONCE):
            first = run[0]
            rows = [change for change in run if change is not None]
            if len(rows) == 1 or first is None or db.dialect.name not in _MANY:
                verdicts += [self._put(db, change) for change in run]
                continue
            names = frozenset(first.values)
            statement = statements.upsert(first.target, names, db.dialect.name, rows)
            if statement is None or db.execute(statement).rowcount != len(rows):
                raise _SomeOlder
            verdicts += [Applied()] * len(rows)
        return {one.key: verdict for one, verdict in zip(todo, verdicts, strict=True)}

    def _one_by_one(
        self, db: sa.Connection, todo: Sequence[Delivery], now: datetime
    ) -> dict[str, Verdict]:
        """Each behind a savepoint. What is about the same thing as a refused one waits behind it."""
        verdicts: dict[str, Verdict] = {}
        refused: dict[str, str] = {}  # order key -> key of the delivery that was refused
        for one in todo:
            if (first := refused.get(one.order_key)) is not None:
                verdicts[one.key] = NotNow(f"waits behind {first}")
                continue
            verdicts[one.key] = self._put_alone(db, one, now)
            if isinstance(verdicts[one.key], Rejected):
                refused[one.order_key] = one.key
        return verdicts

    def _put_alone(self, db: sa.Connection, one: Delivery, now: datetime) -> Verdict:
        try:
            with db.begin_nested():
                return self._put(db, self._change(db, one, now))
        except _Refusal as refusal:
            return Rejected(str(refusal), refusal.code)
        except SQLAlchemyError as error:
            fault = fault_of(error)
            if fault.verdict != "row":
                raise
            return Rejected(fault.words, fault.code)

    def _change(self, db: sa.Connection, one: Delivery, now: datetime) -> Change | None:
        """What a delivery does to its table. Raises `_Refusal`."""
        try:
            return change_of(self._tables.target(db, one), one, now, self._zone)
        except Unfit as unfit:
            raise _Refusal(str(unfit), "SQL_VALUE") from unfit
        except Permanent as error:  # of a mapping file
            raise _Refusal(str(error), error.code) from error

    def _put(self, db: sa.Connection, change: Change | None) -> Verdict:
        """One row. Raises what the database says."""
        if change is None:
            return Applied()
        if change.removes:
            return _removed(db, change)
        statement = self._tables.upsert(change, db.dialect.name)
        if statement is None:
            return _looked_up_and_put(db, change)
        changed = db.execute(statement, dict(change.values)).rowcount
        return Stale() if change.target.version is not None and changed == 0 else Applied()


class _SomeOlder(Exception):
    """Of many rows in one statement some were not written: which, only single ones tell."""


class _Refusal(Exception):
    """A delivery that makes no row of its table."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def _removed(db: sa.Connection, change: Change) -> Verdict:
    if _is_older(db.execute(statements.held_version(change)).first(), change):
        return Stale()
    db.execute(sa.delete(change.target.table).where(statements.where_key(change)))
    return Applied()


def _looked_up_and_put(db: sa.Connection, change: Change) -> Verdict:
    """For databases without an upsert of ours: we are the only writer, and hold the row while we look."""
    table = change.target.table
    held = db.execute(statements.held_version(change)).first()
    if held is None:
        db.execute(sa.insert(table), dict(change.values))
        return Applied()
    if _is_older(held, change):
        return Stale()
    rest = {name: value for name, value in change.values.items() if name not in change.target.key}
    if rest:
        db.execute(sa.update(table).where(statements.where_key(change)).values(rest))
    return Applied()


def _is_older(held: Any, change: Change) -> bool:
    """Whether the campus has a newer version. Without a version, the order of the ledger decides."""
    version = change.target.version
    if version is None or held is None or held[0] is None or change.values[version] is None:
        return False
    return bool(change.values[version] < held[0])


def _refuse_nonsense(verdicts: Sequence[Verdict]) -> None:
    """Many refusals for one cause and nothing that passes: stop, rather than park a term's events. Raises `ConfigError`."""
    refusals = [verdict for verdict in verdicts if isinstance(verdict, Rejected)]
    passed = any(isinstance(verdict, (Applied, Duplicate, Stale)) for verdict in verdicts)
    causes = {refusal.code for refusal in refusals}
    if len(refusals) >= _ALL_REFUSED and not passed and len(causes) == 1:
        raise ConfigError(
            f"each of {len(refusals)} rows is refused with {causes.pop()}, so table or columns must be wrong; nothing is "
            "parked; compare them, the database's log has its words"
        )


def _in_order(batch: Sequence[Delivery], verdicts: dict[str, Verdict]) -> list[Verdict]:
    """One verdict for each delivery; a copy within the batch is one of what came first."""
    seen: set[str] = set()
    answers: list[Verdict] = []
    for one in batch:
        verdict = verdicts[one.key]
        again = one.key in seen and isinstance(verdict, (Applied, Stale))
        answers.append(Duplicate() if again else verdict)
        seen.add(one.key)
    return answers
