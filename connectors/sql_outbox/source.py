"""An outbox table as a source: one batch of rows to a page, and marks for what is stored here.

Owns the order of effects in the campus's database. Which rows come next is in `strategies.py`, what a row tells in
`rows.py`, what a person should know before the start in `findings.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog

from connectors.sdk.contract import Context, Page
from connectors.sdk.database import Database
from connectors.sql_outbox.findings import examine, oldest_open
from connectors.sql_outbox.kind import OutboxOptions
from connectors.sql_outbox.rows import Row, Shape
from connectors.sql_outbox.strategies import Batch, strategy_of

log = structlog.get_logger("connector")

_MARKED_AT_ONCE = 500  # positions in one statement; Oracle takes 1,000, SQL Server 2,100
_PAGES_KEPT = 64  # given out and not marked: who only looks (a dry run, a backfill) never marks
_STALLED_S = 60.0  # rows held back for longer have a cause that a person can end


class SqlOutbox:
    """One outbox of one campus."""

    def __init__(self, options: OutboxOptions, context: Context) -> None:
        self._options = options
        self._clock = context.clock
        self._strategy = strategy_of(options, context.clock.monotonic)
        zone = ZoneInfo(options.timezone) if options.timezone else None
        self._shape = Shape(options.table, f"{context.member}/{context.name}", zone)
        self._database = Database(options, context.folder, stage=context.transport)
        self._handed: list[tuple[str, tuple[int, ...]]] = []  # pages given out and not yet marked
        self._owed: str | None = None  # stored here, but the marks failed
        self._held_since: float | None = None

    async def check(self) -> str:
        """Look at table, columns, rights and what holds rows back; says how many rows wait."""
        return await self._database.run(lambda db: examine(db, self._options, self._strategy))

    async def page(self, cursor: str | None) -> Page:
        """The next rows. What could not be marked before is marked first, or rows would pile up unmarked."""
        if self._owed is not None:
            await self.ack(self._owed)
        self._forget_after(cursor)
        handed = [position for _, positions in self._handed for position in positions]
        limit = self._options.batch
        batch = await self._database.run(lambda db: self._strategy.read(db, cursor, limit, handed))
        if batch.rows and self._options.after != "keep":
            self._handed.append((batch.cursor, tuple(row.position for row in batch.rows)))
            del self._handed[:-_PAGES_KEPT]
        await self._say_if_stalled(batch)
        items = [self._shape.item(row) for row in batch.rows]
        return Page(items, batch.cursor, batch.more, watermark=self._watermark(batch))

    async def ack(self, cursor: str) -> None:
        """The rows of the page are stored here: mark or delete them. A crash before this leaves them as they are."""
        known = next((n for n, (at, _) in enumerate(self._handed, 1) if at == cursor), 0)
        stored = [position for _, positions in self._handed[:known] for position in positions]
        if not stored:
            return
        self._owed = cursor
        await self._database.run(lambda db: self._take_away(db, stored))
        self._owed = None
        del self._handed[:known]

    async def count(self, after: str | None, until: str | None) -> int | None:
        """Rows after one cursor up to another."""
        query = self._strategy.waiting(after, until)
        return await self._database.run(lambda db: int(db.execute(query).scalar_one()))

    async def close(self) -> None:
        """Close the connection."""
        await self._database.close()

    def _forget_after(self, cursor: str | None) -> None:
        """Pages beyond the cursor were not stored: their rows come again."""
        known = next((n for n, (at, _) in enumerate(self._handed, 1) if at == cursor), 0)
        del self._handed[known:]

    def _take_away(self, db: sa.Connection, positions: Sequence[int]) -> None:
        outbox = self._strategy.outbox
        for some in _in_parts(positions):
            these = outbox.position.in_(some)
            if self._options.after == "delete":
                db.execute(sa.delete(outbox.table).where(these))
            else:
                now = {outbox.columns.mark: sa.func.current_timestamp()}
                db.execute(sa.update(outbox.table).where(these).values(now))

    async def _say_if_stalled(self, batch: Batch) -> None:
        """Rows that are held back for long are late because somebody forgot to commit: say who."""
        now = self._clock.monotonic()
        if not batch.held:
            self._held_since = None
            return
        if self._held_since is None:
            self._held_since = now
        if now - self._held_since < _STALLED_S:
            return
        self._held_since = now
        who = ""
        if self._options.backend == "postgresql":
            who = await self._database.run(oldest_open)
        log.warning("outbox_rows_held_back", table=self._options.table, held_s=_STALLED_S, by=who)

    def _watermark(self, batch: Batch) -> datetime | None:
        """Now, when everything was read; else the time of the newest row, where rows have one."""
        if not batch.more and not batch.held:
            return self._clock.now()
        times = [found for row in batch.rows if (found := _time(row)) is not None]
        return max(times, default=None)


def _time(row: Row) -> datetime | None:
    found = row.values.get("time")
    return found if isinstance(found, datetime) and found.tzinfo is not None else None


def _in_parts(positions: Sequence[int]) -> list[Sequence[int]]:
    return [
        positions[start : start + _MARKED_AT_ONCE]
        for start in range(0, len(positions), _MARKED_AT_ONCE)
    ]
