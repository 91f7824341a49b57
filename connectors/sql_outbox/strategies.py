"""In which order rows are read so that none is lost, though transactions commit in another order than they number rows.

Owns statements and cursors; a strategy reads one batch in one statement or two, and changes nothing in the table. A
cursor is JSON. Who marks or deletes rows, and when, is in `source.py`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.types import UserDefinedType

from connectors.sdk.contract import ConfigError
from connectors.sql_outbox.kind import Columns, OutboxOptions
from connectors.sql_outbox.rows import Row

T = TypeVar("T")

log = structlog.get_logger("connector")

_LOOKS = 20  # at the table's largest number, within `max_s`
_GAPS_KEPT = 200  # skipped numbers that are still looked for; each is a range in the next statement


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows, the cursor after them, whether there is more at once, and whether rows are held back for a while."""

    rows: Sequence[Row]
    cursor: str
    more: bool
    held: bool = False


class _Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id (13 and later)."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"


class OutboxTable:
    """The outbox's table and columns, as the options name them."""

    def __init__(self, options: OutboxOptions) -> None:
        names: Columns = options.columns
        schema, _, name = options.table.rpartition(".")
        told = {
            "id": names.id,
            "aggregateid": names.aggregateid,
            "type": names.type,
            "payload": names.payload,
            "aggregatetype": names.aggregatetype,
            "time": names.time,
            "version": names.version,
            **{name: name for name in options.extra},
        }
        self.told = {label: name for label, name in told.items() if name}
        self.columns = names
        self._postgres = options.backend == "postgresql"
        every = {*self.told.values(), names.position, names.xid, names.mark, names.rowversion}
        self.table = sa.table(
            name, *(sa.column(column) for column in sorted(every)), schema=schema or None
        )
        self.position: sa.ColumnElement[Any] = self.table.c[names.position]
        self.mark: sa.ColumnElement[Any] = self.table.c[names.mark]
        self.xid: sa.ColumnElement[Any] = self.table.c[names.xid]
        self.rowversion: sa.ColumnElement[Any] = self.table.c[names.rowversion]

    def select(self, *first: Any) -> sa.Select[Any]:
        """The columns of a row: those asked for, then what the mapping gets."""
        return sa.select(*first, *(self._read(label) for label in self.told))

    def _read(self, label: str) -> sa.ColumnElement[Any]:
        column = self.table.c[self.told[label]]
        if label != "payload":
            return column
        # Text of JSON, whatever the column's type: drivers differ in what they make of it.
        return sa.cast(column, sa.Text) if self._postgres else sa.type_coerce(column, sa.Text)

    def values(self, found: Sequence[Any]) -> dict[str, Any]:
        """What the mapping gets of a row that `select` found."""
        return dict(zip(self.told, found, strict=True))


class Strategy(ABC):
    """How the rows of an outbox are read."""

    def __init__(self, options: OutboxOptions) -> None:
        self.outbox = OutboxTable(options)

    @abstractmethod
    def read(
        self, db: sa.Connection, cursor: str | None, limit: int, handed: Sequence[int]
    ) -> Batch:
        """The next rows after a cursor. `handed` are positions that were given out and not yet marked."""

    @abstractmethod
    def waiting(self, after: str | None, until: str | None = None) -> sa.Select[Any]:
        """Counts the rows after one cursor up to another."""

    def _counted(self, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
        return sa.select(sa.func.count()).select_from(self.outbox.table).where(*conditions)


class XidFence(Strategy):
    """PostgreSQL: rows of transactions older than any that is still open, in the order of transaction ids.

    A row's transaction id is in the row (`xid8 default pg_current_xact_id()`). Below the oldest open one nothing can
    appear any more; fence and rows are of one snapshot, because they are of one statement.
    """

    def read(
        self, db: sa.Connection, cursor: str | None, limit: int, handed: Sequence[int]
    ) -> Batch:
        outbox = self.outbox
        at = self._cursor(cursor)
        xmin = sa.func.pg_snapshot_xmin(sa.func.pg_current_snapshot())
        query = (
            outbox.select(sa.cast(outbox.xid, sa.Text), outbox.position)
            .where(self._after(at), outbox.xid < xmin)
            .order_by(outbox.xid, outbox.position)
            .limit(limit)
        )
        found = db.execute(query).all()
        rows = [Row(each[1], outbox.values(each[2:]), xid=int(each[0])) for each in found]
        more = len(rows) == limit
        held = False
        if not more:
            held = self._held(db, at)
        newest = (rows[-1].xid, rows[-1].position) if rows else at
        # All of them are committed, so inside a batch the numbers tell the order better than the transactions do.
        return Batch(
            sorted(rows, key=lambda row: row.position), self._text(newest, cursor), more, held
        )

    def waiting(self, after: str | None, until: str | None = None) -> sa.Select[Any]:
        conditions = [self._after(self._cursor(after))]
        if until is not None:
            conditions.append(sa.not_(self._after(self._cursor(until))))
        return self._counted(*conditions)

    def _held(self, db: sa.Connection, at: tuple[int, int]) -> bool:
        """Whether rows wait behind the fence. Raises `ConfigError` where the ids are those of another server."""
        outbox = self.outbox
        snapshot = sa.func.pg_current_snapshot()
        xmax = sa.cast(sa.func.pg_snapshot_xmax(snapshot), sa.Text)
        behind = outbox.xid >= sa.func.pg_snapshot_xmin(snapshot)
        newest, held = db.execute(
            sa.select(xmax, sa.exists(sa.select(sa.literal(1)).where(behind)))
        ).one()
        if at[0] >= int(newest):
            raise ConfigError(
                f"{outbox.table.name}: our cursor is at transaction {at[0]}, the server only at {newest}: it was "
                "restored elsewhere, where ids begin anew, and new rows would never be read; "
                f"set {outbox.columns.xid} of the unread rows to pg_current_xact_id() and the cursor to one before that"
            )
        return bool(held)

    def _after(self, at: tuple[int, int]) -> sa.ColumnElement[bool]:
        xid = sa.cast(sa.literal(str(at[0]), sa.Text), _Xid8)
        pair = sa.tuple_(self.outbox.xid, self.outbox.position)
        return pair > sa.tuple_(xid, sa.literal(at[1], sa.BigInteger))

    @staticmethod
    def _cursor(cursor: str | None) -> tuple[int, int]:
        return _read_cursor(cursor, (0, 0), lambda at: (int(at["xid"]), int(at["position"])))

    @staticmethod
    def _text(at: tuple[int, int], before: str | None) -> str:
        if at == (0, 0) and before is not None:
            return before
        return json.dumps({"xid": at[0], "position": at[1]})


class Mark(Strategy):
    """Any database: rows without a mark, oldest first; the mark comes when they are stored here.

    There is one reader (a folder runs once), so rows need not be locked between reading and marking. A crash between
    gives them again, with the same ids. A cursor `{"again": 120}` reads rows after that one whatever their mark says.
    """

    def read(
        self, db: sa.Connection, cursor: str | None, limit: int, handed: Sequence[int]
    ) -> Batch:
        outbox = self.outbox
        again: Any = _read_cursor(cursor, None, lambda at: at.get("again"))
        query = outbox.select(outbox.position).where(*self._due(again))
        if handed and again is None:
            query = query.where(outbox.position.not_in(handed))
        found = db.execute(query.order_by(outbox.position).limit(limit)).all()
        rows = [Row(int(each[0]), outbox.values(each[1:])) for each in found]
        if not rows:
            return Batch((), '{"position": 0}' if cursor is None else cursor, more=False)
        name = "position" if again is None else "again"
        return Batch(rows, json.dumps({name: rows[-1].position}), len(rows) == limit)

    def waiting(self, after: str | None, until: str | None = None) -> sa.Select[Any]:
        again: Any = _read_cursor(after, None, lambda at: at.get("again"))
        conditions = self._due(again)
        last: Any = _read_cursor(until, None, lambda at: at.get("again", at.get("position")))
        if again is not None and last is not None:
            conditions.append(self.outbox.position <= int(last))
        return self._counted(*conditions)

    def _due(self, again: Any) -> list[sa.ColumnElement[bool]]:
        if again is None:
            return [self.outbox.mark.is_(None)]
        return [self.outbox.position > int(again)]


class Rowversion(Strategy):
    """SQL Server: rows below the lowest `rowversion` that an open transaction may still use.

    https://learn.microsoft.com/sql/t-sql/functions/min-active-rowversion-transact-sql
    """

    def read(
        self, db: sa.Connection, cursor: str | None, limit: int, handed: Sequence[int]
    ) -> Batch:
        outbox = self.outbox
        found = db.execute(self.statement(cursor, limit)).all()
        rows = [
            Row(int(each[1]), outbox.values(each[2:]), rowversion=bytes(each[0]).hex())
            for each in found
        ]
        newest = rows[-1].rowversion if rows else self._cursor(cursor).hex()
        return Batch(rows, json.dumps({"rowversion": newest}), len(rows) == limit)

    def statement(self, cursor: str | None, limit: int) -> sa.Select[Any]:
        """The rows after a cursor, as SQL Server is asked for them."""
        outbox = self.outbox
        return (
            outbox.select(outbox.rowversion, outbox.position)
            .where(
                outbox.rowversion > sa.literal(self._cursor(cursor), sa.LargeBinary),
                outbox.rowversion < sa.func.MIN_ACTIVE_ROWVERSION(),
            )
            .order_by(outbox.rowversion)
            .limit(limit)
        )

    def waiting(self, after: str | None, until: str | None = None) -> sa.Select[Any]:
        conditions = [self.outbox.rowversion > sa.literal(self._cursor(after), sa.LargeBinary)]
        if until is not None:
            last = sa.literal(self._cursor(until), sa.LargeBinary)
            conditions.append(self.outbox.rowversion <= last)
        return self._counted(*conditions)

    @staticmethod
    def _cursor(cursor: str | None) -> bytes:
        return _read_cursor(cursor, bytes(8), lambda at: bytes.fromhex(at["rowversion"]))


class _Watch:
    """When a table's largest number was first seen to be so large: below it, whoever is missing has been missing since."""

    def __init__(self) -> None:
        self._tops: deque[tuple[float, int]] = deque()
        self._settled = 0

    def look(self, top: int, now: float, max_s: float) -> int:
        """Note the largest number; gives the one below which gaps have had their time."""
        if not self._tops or now - self._tops[-1][0] >= max_s / _LOOKS:
            self._tops.append((now, top))
        while self._tops and now - self._tops[0][0] >= max_s:
            self._settled = max(self._settled, self._tops.popleft()[1])
        return self._settled


# By URL and table: a second reading of a table need not wait again for what the first has waited for.
_watches: dict[tuple[str, str], _Watch] = {}


class GapWait(Strategy):
    """Any database: numbers in their order, stopping before a missing one until it comes or `max_s` is over.

    A gap counts from the moment a number above it was first seen, so a table full of old gaps costs one pause and not
    one for each. A number that was given up stays in the cursor, and its row is taken should it still come. `monotonic`
    gives seconds.
    """

    def __init__(self, options: OutboxOptions, monotonic: Callable[[], float]) -> None:
        super().__init__(options)
        self._max_s = options.order.max_s
        self._monotonic = monotonic
        at = (options.dsn.get_secret_value(), options.table)
        self._watch = _watches.setdefault(at, _Watch())

    def read(
        self, db: sa.Connection, cursor: str | None, limit: int, handed: Sequence[int]
    ) -> Batch:
        last, gaps = self._cursor(cursor)
        position = self.outbox.position
        top = int(db.execute(sa.select(sa.func.max(position))).scalar() or 0)
        settled = self._watch.look(top, self._monotonic(), self._max_s)
        query = self.outbox.select(position).order_by(position).limit(limit)
        wanted = [position.between(low, high) for low, high in gaps]
        late = self._rows(db, query.where(sa.or_(*wanted))) if wanted else []
        found = self._rows(db, query.where(position > last))
        more = max(len(late), len(found)) == limit
        for row in late:
            gaps = _without(gaps, row.position)
        taken, given_up, held = self._up_to_gap(found, last, settled)
        if len(gaps) + len(given_up) > _GAPS_KEPT:
            log.warning("outbox_gaps_forgotten", gaps=len(gaps) + len(given_up) - _GAPS_KEPT)
        gaps = [*gaps, *given_up][-_GAPS_KEPT:]
        last = taken[-1].position if taken else last
        return Batch([*late, *taken], self._text(last, gaps), more and not held, held)

    def waiting(self, after: str | None, until: str | None = None) -> sa.Select[Any]:
        last, gaps = self._cursor(after)
        position = self.outbox.position
        ahead = position > last
        if until is not None:
            ahead = sa.and_(ahead, position <= self._cursor(until)[0])
        return self._counted(sa.or_(ahead, *(position.between(low, high) for low, high in gaps)))

    def _rows(self, db: sa.Connection, query: sa.Select[Any]) -> list[Row]:
        return [Row(int(each[0]), self.outbox.values(each[1:])) for each in db.execute(query).all()]

    def _up_to_gap(
        self, rows: Sequence[Row], last: int, settled: int
    ) -> tuple[list[Row], list[tuple[int, int]], bool]:
        """The rows that may be taken, the gaps given up on the way, and whether a gap stopped it."""
        taken: list[Row] = []
        given_up: list[tuple[int, int]] = []
        for row in rows:
            if row.position > last + 1:
                if row.position > settled:
                    return taken, given_up, True
                given_up.append((last + 1, row.position - 1))
            taken.append(row)
            last = row.position
        for low, high in given_up:
            log.warning("outbox_gap_given_up", table=self.outbox.table.name, first=low, last=high, waited_s=self._max_s)  # fmt: skip
        return taken, given_up, False

    @staticmethod
    def _cursor(cursor: str | None) -> tuple[int, list[tuple[int, int]]]:
        start: tuple[int, list[tuple[int, int]]] = (0, [])
        return _read_cursor(
            cursor,
            start,
            lambda at: (int(at["position"]), [(int(a), int(b)) for a, b in at.get("gaps", ())]),
        )

    @staticmethod
    def _text(last: int, gaps: Sequence[tuple[int, int]]) -> str:
        return json.dumps(
            {"position": last} | ({"gaps": [list(gap) for gap in gaps]} if gaps else {})
        )


def strategy_of(options: OutboxOptions, monotonic: Callable[[], float]) -> Strategy:
    """The strategy that the options name."""
    if options.order.strategy == "gap_wait":
        return GapWait(options, monotonic)
    made: dict[str, type[Strategy]] = {
        "xid_fence": XidFence,
        "mark": Mark,
        "rowversion": Rowversion,
    }
    return made[options.order.strategy](options)


def _read_cursor(cursor: str | None, start: T, read: Callable[[dict[str, Any]], T]) -> T:
    if cursor is None:
        return start
    try:
        return read(json.loads(cursor))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ConfigError(
            f"the cursor {cursor[:80]!r} is not one of this order of reading; was order.strategy changed? "
            "Set the cursor anew, or remove it to read the table from the start"
        ) from error


def _without(gaps: Sequence[tuple[int, int]], position: int) -> list[tuple[int, int]]:
    """The gaps after a late row filled a place in one."""
    left: list[tuple[int, int]] = []
    for low, high in gaps:
        if not low <= position <= high:
            left.append((low, high))
            continue
        left += [(a, b) for a, b in ((low, position - 1), (position + 1, high)) if a <= b]
    return left
