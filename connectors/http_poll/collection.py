"""A list of what *is*, read page by page; after the last page the next sweep begins."""

from __future__ import annotations

from dataclasses import replace

from connectors.http_poll.api import Api, Forgotten
from connectors.http_poll.paging import ByPage, Offsets, Pager, Position
from connectors.http_poll.sweep import START, Sweep, identity, sweep_of, unread
from connectors.sdk.contract import ConfigError, Page


class Collection:
    """The cursor is the number of a page, or the text of a `Sweep`."""

    def __init__(self, api: Api, pager: Pager) -> None:
        self._api = api
        self._pager = pager
        paging = api.options.paging
        self._first = paging.first if isinstance(paging, ByPage) else None
        self._begun_anew = False

    async def page(self, cursor: str | None) -> Page:
        """One request. A record that moves between pages while they are read is met in the next sweep."""
        sweep = self._sweep(cursor)
        try:
            listing = await self._api.ask(self._pager.ask(sweep.position))
        except Forgotten:
            if sweep.position is None or self._begun_anew or self._first is not None:
                raise
            self._begun_anew = True
            return Page([], self._text(sweep.anew()), more=True)
        after = self._pager.after(sweep.position, listing.answer, listing.records)
        begin = 0
        if isinstance(self._pager, Offsets):
            names = [identity(record, None, "") for record in listing.records]
            if sweep.position not in (None, 0):
                found = unread(names, sweep.tail)
                if found is None:
                    back = replace(sweep, position=self._pager.before(sweep.position))
                    return Page([], self._text(back), more=True)
                begin = found
            sweep = replace(sweep, tail=names[-self._pager.overlap :])
        items = [
            self._api.item(record, f"{self._api.options.path}{self._place(sweep.position)}#{index}")
            for index, record in enumerate(listing.records)
            if index >= begin
        ]
        if after is None:
            self._begun_anew = False
            return Page(items, START if self._first is None else str(self._first), more=False)
        return Page(items, self._text(replace(sweep, position=after)), more=True)

    def _sweep(self, cursor: str | None) -> Sweep:
        if self._first is not None:
            if cursor is not None and not cursor.lstrip("-").isdigit():
                raise ConfigError(
                    f"the stored cursor is no page number, found {cursor[:40]!r}; set it anew"
                )
            return Sweep("", position=None if cursor is None else int(cursor))
        sweep = sweep_of(cursor or START)
        return sweep if sweep.since is not None else Sweep("sweep", since="")

    def _text(self, sweep: Sweep) -> str:
        if self._first is not None:
            return str(self._first if sweep.position is None else sweep.position)
        return sweep.text()

    def _place(self, at: Position) -> str:
        """Where in the collection a page stands, for finding a record again. Links and tokens stay out: they may hold keys."""
        paging = self._api.options.paging
        if isinstance(paging, ByPage):
            return f"?{paging.param}={paging.first if at is None else at}"
        return f"?offset={at or 0}" if self._pager.overlap else ""
