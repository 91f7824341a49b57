"""An API that lists changes since a value: read in sweeps, each from the safe cursor to the end of the list."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from connectors.http_poll.api import Api, Forgotten, Listing
from connectors.http_poll.cursors import CursorTable, Mark, micros, moment, read, safe, since
from connectors.http_poll.paging import Offsets, Pager, Position, Question
from connectors.http_poll.sweep import (
    Row,
    Sweep,
    by_value,
    identity,
    remembered,
    sweep_of,
    unread,
)
from connectors.sdk.clock import Clock
from connectors.sdk.contract import ConfigError, Page, RetryLater, Transient
from connectors.sdk.http import sent_at
from connectors.sdk.mapping.expressions import MISSING, compile_path
from schemas.envelope import from_millis, to_millis

_AHEAD_S = 60.0  # clocks of two machines may differ by so much without a word
_TOLD_FOR_S = 10.0  # how long a record of the future shows as the reason: some heartbeats
_TOLD_EVERY_S = 3600.0

log = structlog.get_logger("connector")


class Feed:
    """Changes since a value. The cursor is the text of a `Sweep`."""

    def __init__(self, api: Api, table: CursorTable, pager: Pager | None, clock: Clock) -> None:
        self._api = api
        self._table = table
        self._pager = pager
        self._clock = clock
        self._value = compile_path(table.field)
        self._id = compile_path(api.options.id) if api.options.id else None
        self._at = f"GET {api.client.address(api.options.path)}"
        self._begun_anew = False
        self._odd = ""  # of times that cannot be: shown for a while, see `_tell`
        self._told = float("-inf")

    async def page(self, cursor: str | None) -> Page:
        """One request; what was taken before is left out."""
        self._tell()
        sweep = self._begun(cursor)
        question = self._pager.ask(sweep.position) if self._pager else Question()
        asked = self._clock.monotonic()
        try:
            listing = await self._api.ask(question, sweep.since)
        except Forgotten:
            if sweep.position is None or self._begun_anew:
                raise
            self._begun_anew = True
            return Page([], sweep.anew().text(), more=True)
        sweep = self._by_their_clock(sweep, listing, self._clock.monotonic() - asked)
        rows = [self._row(n, record) for n, record in enumerate(listing.records, 1)]
        position: Position = None
        if self._pager:
            position = self._pager.after(sweep.position, listing.answer, listing.records)
        if isinstance(self._pager, Offsets):
            names = [row.identity for row in rows]
            if sweep.position not in (None, 0):
                found = unread(names, sweep.tail)
                if found is None:
                    back = replace(sweep, position=self._pager.before(sweep.position))
                    return Page([], back.text(), more=True)
                rows = rows[found:]
            sweep = replace(sweep, tail=names[-self._pager.overlap :])
        return self._taken(sweep, rows, listing, position)

    def _begun(self, cursor: str | None) -> Sweep:
        """The reading under way, or a new one."""
        form = self._table.format
        sweep = sweep_of(self._table.initial if cursor is None else cursor)
        try:
            at = read(sweep.at, form)
        except ValueError as error:
            raise ConfigError(f"{self._at}: the stored cursor: {error}; set it anew") from error
        if sweep.since is not None:
            return sweep
        return replace(
            sweep,
            since=since(at, self._table).text,
            started=to_millis(self._clock.now()),
            top=at.text,
        )

    def _by_their_clock(self, sweep: Sweep, listing: Listing, took_s: float) -> Sweep:
        """The reading began when the campus's clock says so, if that is earlier: its times of change are of that clock.

        Else a campus an hour behind us would have no `settle_s` left. An answer out of a cache is as old as its `Date`.
        """
        sent = sent_at(listing.answer.headers)
        if sent is None or not self._table.timed:
            return sweep
        behind = self._clock.now() - sent
        if behind.total_seconds() > took_s + _AHEAD_S:
            self._odd = (
                f"{self._at}: answers are dated {behind} behind our clock; changes are looked for by theirs; "
                "correct one of the clocks, or have a cache between us taken away"
            )
        began = to_millis(sent - timedelta(seconds=took_s))
        return replace(sweep, started=min(sweep.started, began))

    def _row(self, number: int, record: Any) -> Row:
        found = self._value(record)
        if found is MISSING or found is None:
            raise Transient(
                f"{self._at}: a record has no {self._table.field}; correct `cursor` or the API"
            )
        try:
            mark = read(found, self._table.format)
        except ValueError as error:
            raise Transient(
                f"{self._at}: {self._table.field} of record {number} of an answer is not in format "
                f'"{self._table.format}"; correct `cursor` or the API'
            ) from error
        id = self._id(record) if self._id else None
        return Row(mark, identity(record, None if id is MISSING else id, mark.text), number, record)

    def _taken(self, sweep: Sweep, rows: list[Row], listing: Listing, position: Position) -> Page:
        form = self._table.format
        kept, on = list(rows), None
        if self._pager is None:
            more = bool(self._api.more and self._api.more(listing.answer.data) is True)
            try:
                found, on = by_value(rows, read(sweep.since or "", form), more=more)
            except ValueError as error:
                raise Transient(f"{self._at}: {error}") from error
            kept = list(found)
        seen = dict(sweep.seen)
        fresh: list[Row] = []
        for row in kept:
            if row.identity not in seen:
                fresh.append(row)
            seen[row.identity] = row.mark.text
        self._look_ahead(fresh)
        top = max([read(sweep.top, form), *(row.mark for row in kept)])
        started = from_millis(sweep.started)
        at = safe(read(sweep.at, form), top, started, self._table)
        seen = remembered(seen, since(at, self._table), self._table)
        items = [
            self._api.item(row.data, f"{self._api.options.path}#{self._name(row)}") for row in fresh
        ]
        if position is not None or on is not None:
            sweep = replace(sweep, seen=seen, top=top.text, position=position)
            sweep = replace(sweep, since=on.text) if on is not None else sweep
            return Page(items, sweep.text(), more=True)
        self._begun_anew = False
        done = Sweep(at.text, seen)
        settled = started - timedelta(seconds=self._table.settle) if self._table.timed else None
        return Page(items, done.text(), more=False, watermark=settled)

    def _name(self, row: Row) -> str:
        id = self._id(row.data) if self._id else MISSING
        return row.mark.text if id is MISSING or id is None else str(id)

    def _look_ahead(self, rows: list[Row]) -> None:
        """Note a value of the future. It is taken, but the cursor does not follow it."""
        if not self._table.timed:
            return
        bound = Mark(micros(self._clock.now()) + int(_AHEAD_S * 1e6), "")
        for row in rows:
            if row.mark > bound:
                late = moment(row.mark) - self._clock.now()
                self._odd = (
                    f"{self._at}: record {row.number} of an answer has {self._table.field} {row.mark.text}, "
                    f"{late} ahead of our clock; it is taken and the cursor stays behind; correct it there, or our clock"
                )
                log.warning("cursor_in_future", origin=self._name(row), ahead=str(late))

    def _tell(self) -> None:
        """Show for a while what was noted, now and then, between two pages: reading goes on."""
        now = self._clock.monotonic()
        if self._odd and now - self._told >= _TOLD_EVERY_S:
            self._told = now
            said, self._odd = self._odd, ""
            raise RetryLater(said, _TOLD_FOR_S)
