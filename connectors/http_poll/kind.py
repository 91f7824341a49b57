"""Reads a JSON API: by cursor (an API that lists changes) or by page (one that lists what is).

Owns the request and the reading of pages. What a fault of the campus's system means is in `connectors.sdk.http`, what
is done about it in the runtime.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from connectors.sdk.contract import ConfigError, Context, Item, Options, Page, SourceKind, Transient
from connectors.sdk.expressions import MISSING, compile_path
from connectors.sdk.http import Auth, JsonClient, NoAuth, Refused


class Paging(Options):
    """Pages by number, as in an Open Education API collection."""

    type: Literal["page"]
    param: str
    first: int = 1
    size_param: str | None = None
    size: int = Field(default=100, ge=1)


class PollOptions(Options):
    """Options of `http_poll`; times in seconds, expressions in JMESPath."""

    base_url: str
    path: str
    params: dict[str, str] = Field(default_factory=dict)
    records: str = "@"
    more: str | None = None
    cursor: str | None = None
    initial: str = ""
    paging: Paging | None = None
    timeout_s: float = Field(default=5, gt=0)
    auth: Auth = NoAuth()

    @field_validator("records", "more", "cursor")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        compile_path(value or "@")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> PollOptions:
        if (self.cursor is None) == (self.paging is None):
            raise ValueError(
                'write either cursor = "..." (an API of changes) or paging = { type = "page", ... } (a collection)'
            )
        return self


class HttpPoll:
    """One API of one campus. The cursor is a text: a change's cursor, or a page number."""

    def __init__(self, options: PollOptions, context: Context) -> None:
        self._options = options
        self._clock = context.clock
        self._records = compile_path(options.records)
        self._more = compile_path(options.more) if options.more else None
        self._cursor = compile_path(options.cursor) if options.cursor else None
        self._client = JsonClient(
            options.base_url,
            timeout_s=options.timeout_s,
            auth=options.auth,
            transport=context.transport,
        )

    async def check(self) -> str:
        """Read the first page and throw it away."""
        page = await self.page(None)
        return f"GET {self._options.base_url}{self._options.path}: {len(page.items)} records on the first page"

    async def page(self, cursor: str | None) -> Page:
        """One request."""
        return await (self._changes(cursor) if self._cursor else self._numbered(cursor))

    async def ack(self, cursor: str) -> None:
        """The API keeps no state of ours."""

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _changes(self, cursor: str | None) -> Page:
        at = self._options.initial if cursor is None else cursor
        data, records = await self._ask(
            {name: value.replace("{cursor}", at) for name, value in self._options.params.items()}
        )
        items = [Item(record, f"{self._options.path}#{self._at(record)}") for record in records]
        last = self._at(records[-1]) if records else at
        more = bool(self._more and self._more(data) is True)
        if more and last == at:
            raise Transient(
                f"GET {self._options.path}: says there is more after {at!r} but the cursor stays; correct `cursor` or the API"
            )
        return Page(items, last, more)

    def _at(self, record: Any) -> str:
        found = self._cursor(record) if self._cursor else MISSING
        if found is MISSING or found is None:
            raise Transient(
                f"GET {self._options.path}: a record has no {self._options.cursor}; correct `cursor` or the API"
            )
        return str(found)

    async def _numbered(self, cursor: str | None) -> Page:
        """The page of that number; after the last one the next sweep begins."""
        paging = self._options.paging
        if paging is None:
            raise ConfigError("paging is not set")
        number = paging.first if cursor is None else int(cursor)
        params = {**self._options.params, paging.param: str(number)}
        if paging.size_param:
            params[paging.size_param] = str(paging.size)
        data, records = await self._ask(params)
        more = self._more(data) is True if self._more else len(records) >= paging.size
        items = [
            Item(record, f"{self._options.path}?{paging.param}={number}#{index}")
            for index, record in enumerate(records)
        ]
        return Page(items, str(number + 1 if more else paging.first), more)

    async def _ask(self, params: dict[str, str]) -> tuple[Any, list[Any]]:
        try:
            answer = await self._client.request(
                "GET", self._options.path, params=params, now=self._clock.now()
            )
        except Refused as error:
            raise ConfigError(f"{error}: refuses our question; correct path and params") from error
        records = self._records(answer.data)
        if not isinstance(records, list):
            raise Transient(
                f"GET {self._options.path}: {self._options.records!r} is {type(records).__name__}, wanted a list; "
                "correct `records` or the API"
            )
        return answer.data, records


SOURCE = SourceKind(options=PollOptions, open=HttpPoll)
