"""Reads a collection of the Open Education API in sweeps, and tells what differs from the sweep before.

Owns the sweep: all pages, the course of each offering, what is gone. A sweep is read whole before the first change of it
is told, so a fault in the middle tells nothing. The same cursor gives the same changes with the same ids: they follow from
the memory of what was told and from the contents.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from connectors.ooapi.last import Last
from connectors.ooapi.options import SourceOptions
from connectors.ooapi.shape import course_of, identifier, shaped
from connectors.sdk.changes import GONE, changed, digest
from connectors.sdk.contract import ConfigError, Context, Item, Page, Seen, Transient
from connectors.sdk.http import JsonClient
from schemas.envelope import to_millis

_MISSING = frozenset({404, 410})
_MAX_PAGES = 10_000  # an API whose pages never end


@dataclass(frozen=True, slots=True)
class _Sweep:
    """What a sweep found. `name` is in its cursors."""

    name: str
    items: list[Item]


class Ooapi:
    """One collection of one campus."""

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._client = JsonClient.of(options, context.clock, context.transport)
        self._at = f"GET {self._client.address(options.listing())}"
        memory = context.memory
        path = memory.path() if memory else None
        self._last = Last(path.with_name(f"{path.stem}.{context.name}.last.db") if path else None)
        self._sweep: _Sweep | None = None

    async def check(self) -> str:
        """Read the first page and throw it away."""
        records, _ = await self._page(1)
        return f"{self._at}: {len(records)} {self._options.collection} on the first page"

    async def page(self, cursor: str | None) -> Page:
        """The next changes of the sweep under way, or those of a new one."""
        name, _, place = (cursor or "").partition("/")
        at = int(place) if place.isdecimal() else 0
        if self._sweep is None or name != self._sweep.name or at >= len(self._sweep.items):
            self._sweep, at = await self._swept(), 0
        sweep, end = self._sweep, at + self._options.batch
        if not sweep.items:
            self._sweep = None
            return Page([], cursor or "-", more=False)
        end = min(end, len(sweep.items))
        return Page(sweep.items[at:end], f"{sweep.name}/{end}", more=end < len(sweep.items))

    async def ack(self, cursor: str) -> None:
        """The API keeps no state of ours."""

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _swept(self) -> _Sweep:
        name = str(to_millis(self._context.clock.now()))
        listed = await self._listed()
        courses: dict[str, Mapping[str, Any] | None] = {}
        found: dict[str, dict[str, Any]] = {}
        for key, record in listed.items():
            found[key] = await self._shaped(record, courses)
        gone = await self._gone(found, courses)
        items = [item for key, data in found.items() if (item := self._change(key, data))]
        items += [self._farewell(key) for key in gone]
        fresh = {item.key: found[item.key] for item in items if item.key and item.key in found}
        self._last.keep(fresh)
        return _Sweep(name, items)

    async def _listed(self) -> dict[str, Mapping[str, Any]]:
        """Every record of the collection by id, in the API's order. Met twice, since pages moved: the later one counts."""
        options = self._options
        found: dict[str, Mapping[str, Any]] = {}
        for number in range(1, _MAX_PAGES + 1):
            records, more = await self._page(number)
            for place, record in enumerate(records, 1):
                key = identifier(record, options.version, options.collection)
                if key is None:
                    raise Transient(
                        f"{self._at}: record {place} of page {number} has no {options.place().id}; "
                        "correct version or collection, or the API"
                    )
                found[key] = record
            if not more:
                return found
        raise Transient(f"{self._at}: more than {_MAX_PAGES} pages; is hasNextPage ever false?")

    async def _page(self, number: int) -> tuple[list[Any], bool]:
        options = self._options
        params = {**options.params, "pageNumber": str(number), "pageSize": str(options.page_size)}
        if options.expand:
            params["expand"] = ",".join(options.expand)
        answer = await self._client.request("GET", options.listing(), params=self._asked(params))
        data = answer.data
        items = data.get("items") if isinstance(data, dict) else None
        if not isinstance(items, list):
            raise Transient(
                f"{self._at}: page {number} has no list `items`; is this the Open Education API?"
            )
        more = data.get("hasNextPage") is True
        if more and not items:
            raise Transient(f"{self._at}: page {number} is empty, yet hasNextPage; correct the API")
        return items, more

    def _asked(self, params: Mapping[str, str]) -> dict[str, str]:
        consumer = self._options.consumer
        return dict(params) | ({"consumer": consumer} if consumer else {})

    async def _shaped(
        self, record: Mapping[str, Any], courses: dict[str, Mapping[str, Any] | None]
    ) -> dict[str, Any]:
        collection = self._options.collection
        course: Mapping[str, Any] | None = None
        if collection == "offerings":
            named = course_of(record)
            if isinstance(named, str):
                if named not in courses:
                    courses[named] = await self._one(f"/courses/{named}")
                course = courses[named]
        return shaped(record, collection, course)

    async def _one(self, path: str) -> Mapping[str, Any] | None:
        """One object; None when the API does not have it (any more)."""
        reply = await self._client.exchange("GET", path, params=self._asked({}))
        if reply.status in _MISSING:
            return None
        data = self._client.read(reply).data
        if not isinstance(data, dict):
            raise Transient(f"GET {reply.url}: no JSON object; is this the Open Education API?")
        return data

    async def _gone(
        self, found: dict[str, dict[str, Any]], courses: dict[str, Mapping[str, Any] | None]
    ) -> list[str]:
        """What was told and is listed no more. Each is asked for by its id: a list may be a selection, or have moved
        while it was read. What is there after all goes into `found`. Raises `ConfigError` beyond `max_delete`.
        """
        known = self._told()
        missing = [key for key in known if key not in found]
        if self._options.deletes == "ignore" or not missing:
            return []
        gone = []
        for key in missing:
            record = await self._one(f"{self._options.place().path}/{key}")
            if record is None:
                gone.append(key)
            else:
                found[key] = await self._shaped(record, courses)
        if len(gone) > max(1, self._options.max_delete * len(known)):
            raise ConfigError(
                f"{self._at}: {len(gone)} of {len(known)} records are gone, max_delete is {self._options.max_delete:g}; "
                "nothing was told; mend the API, or raise max_delete for one run"
            )
        return gone

    def _told(self) -> list[str]:
        """Keys of what was told and is not gone."""
        memory = self._context.memory
        if memory is None:
            return []
        where = f"{memory.path().resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(where, uri=True)) as db:
            rows = db.execute(
                "SELECT key FROM seen WHERE source = ? AND hash <> x'' ORDER BY key",
                (self._context.name,),
            )
            return [str(row[0]) for row in rows]

    def _change(self, key: str, data: dict[str, Any]) -> Item | None:
        before = self._context.memory.get(key) if self._context.memory else None
        now = digest(data)
        if before is not None and before.hash == now:
            return None
        return self._item(key, data, Seen(key, now, before.version + 1 if before else 1))

    def _farewell(self, key: str) -> Item:
        before = self._context.memory.get(key) if self._context.memory else None
        last = self._last.get(key) or {self._options.place().id: key}
        state = {"state": "inactive"} if self._options.collection == "offerings" else {}
        return self._item(key, last | state, Seen(key, GONE, before.version + 1 if before else 1))

    def _item(self, key: str, data: dict[str, Any], seen: Seen) -> Item:
        context = self._context
        whole = changed(data, seen, context.clock.now(), owner=context.member, source=context.name)
        return Item(whole, f"{self._options.place().path}/{key}", key, seen)
