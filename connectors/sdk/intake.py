"""A source at work: one page after another is read, mapped and stored with its cursor.

Owns the order of effects between a campus's changes and the outbox. A step that is cancelled or killed changes nothing
and is begun again by the next start.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

from connectors.sdk.clock import Clock
from connectors.sdk.config import SourceConfig
from connectors.sdk.contract import Item, Page, Source, Transient
from connectors.sdk.outgoing import Mapper
from connectors.sdk.private import Vault
from connectors.sdk.state import State
from schemas import envelope

OUTBOX_FULL = 10_000  # unsent events at which reading pauses; the campus keeps the rest


class Intake:
    """One source of one connector. `stored` is set when there is something to publish."""

    def __init__(
        self, config: SourceConfig, source: Source, mapper: Mapper, state: State, clock: Clock,
        stored: asyncio.Event, vault: Vault | None, log: Any,
    ) -> None:  # fmt: skip
        self.name = config.name
        self._config = config
        self._source = source
        self._mapper = mapper
        self._state = state
        self._clock = clock
        self._stored = stored
        self._vault = vault
        self._log = log
        self._retried = False

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()

    async def step(self) -> None:
        """One page: read, map, store with its cursor."""
        if not self._retried:
            self._retry_parked_records()
            self._retried = True
        if self._state.unsent_count() >= OUTBOX_FULL:
            raise Transient(
                f"{OUTBOX_FULL} events wait to be published; reading pauses until the broker takes them"
            )
        before = self._state.cursor(self.name)
        page = await self._source.page(before)
        self._store(page, moved=page.cursor != before)
        if page.items:
            await self._source.ack(page.cursor)
        if not page.more:
            await self._clock.sleep(self._config.table.every_s)

    def _store(self, page: Page, *, moved: bool) -> None:
        """Events, what could not be mapped, and the cursor, in one commit; their private parts in one before it."""
        with self._vault.store.together() if self._vault else nullcontext():
            mapped = self._mapper.page(page.items, self._clock.now())
        if not (moved or mapped.events or mapped.parked or mapped.mended):
            return
        added = self._state.commit_page(self.name, page.cursor, mapped, self._now_ms())
        if added:
            self._stored.set()
        self._log.info(
            "page_stored", source=self.name, records=len(page.items), events=added, parked=len(mapped.parked),
            cursor=page.cursor,
        )  # fmt: skip

    def _retry_parked_records(self) -> None:
        """At start: a corrected mapping or code table lets records pass that were parked."""
        rows = [row for row in self._state.parked("map") if row.payload["source"] == self.name]
        items = [Item(row.payload["data"], row.payload["origin"]) for row in rows]
        mapped = self._mapper.page(items, self._clock.now())
        if mapped.mended:
            self._state.commit_page(self.name, None, mapped, self._now_ms())
            self._log.info("parked_records_passed", source=self.name, records=len(mapped.mended))

    def _now_ms(self) -> int:
        return envelope.to_millis(self._clock.now())
