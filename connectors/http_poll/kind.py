"""Reads a JSON API: its numbered changes, its changes since a value, or a collection that lists what is.

Owns which of the three ways is taken, and the first of them. What a fault of the campus's system means is in
`connectors.sdk.http`, what is done about it in the runtime.
"""

from __future__ import annotations

from typing import Any, Protocol

from connectors.http_poll.api import Api
from connectors.http_poll.collection import Collection
from connectors.http_poll.cursors import CursorTable
from connectors.http_poll.feed import Feed
from connectors.http_poll.options import PollOptions
from connectors.http_poll.paging import Question, pager
from connectors.sdk.contract import ConfigError, Context, Page, SourceKind, Transient
from connectors.sdk.mapping.expressions import MISSING, compile_path


class _Reading(Protocol):
    async def page(self, cursor: str | None) -> Page:
        """The changes after a cursor."""


class HttpPoll:
    """One list of one campus."""

    def __init__(self, options: PollOptions, context: Context) -> None:
        self._api = Api(options, context)
        self._reading = _reading(self._api, context)

    async def check(self) -> str:
        """Read the first page and throw it away."""
        page = await self.page(None)
        where = self._api.client.address(self._api.options.path)
        return f"GET {where}: {len(page.items)} records on the first page"

    async def page(self, cursor: str | None) -> Page:
        """One request."""
        return await self._reading.page(cursor)

    async def ack(self, cursor: str) -> None:
        """The API keeps no state of ours."""

    async def close(self) -> None:
        """Close the connections."""
        await self._api.client.close()


class Numbered:
    """An API that lists changes after a number; the cursor is that number, as the API wrote it."""

    def __init__(self, api: Api, field: str) -> None:
        self._api = api
        self._field = field
        self._cursor = compile_path(field)

    async def page(self, cursor: str | None) -> Page:
        """One request; the last record's number is the next cursor."""
        options = self._api.options
        at = options.initial if cursor is None else cursor
        listing = await self._api.ask(Question(), at)
        items = [
            self._api.item(record, f"{options.path}#{self._at(record)}")
            for record in listing.records
        ]
        last = self._at(listing.records[-1]) if listing.records else at
        more = bool(self._api.more and self._api.more(listing.answer.data) is True)
        if more and last == at:
            raise Transient(
                f"GET {options.path}: says there is more after {at!r} but the cursor stays; correct `cursor` or the API"
            )
        return Page(items, last, more)

    def _at(self, record: Any) -> str:
        found = self._cursor(record)
        if found is MISSING or found is None:
            raise Transient(
                f"GET {self._api.options.path}: a record has no {self._field}; correct `cursor` or the API"
            )
        return str(found)


def _reading(api: Api, context: Context) -> _Reading:
    options = api.options
    way = (
        pager(
            options.paging, api.more, options.base_url, options.allow_hosts, api.client.without_key
        )
        if options.paging
        else None
    )
    if isinstance(options.cursor, CursorTable):
        return Feed(api, options.cursor, way, context.clock)
    if options.cursor is not None:
        return Numbered(api, options.cursor)
    if way is None:
        raise ConfigError("neither cursor nor paging is set; write one")
    return Collection(api, way)


SOURCE = SourceKind(options=PollOptions, open=HttpPoll)
