"""A source at work: one page after another is read, mapped and stored with its cursor.

Owns the order of effects between a campus's changes and the outbox. A step that is cancelled or killed changes nothing
and is begun again by the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from connectors.sdk.clock import Clock
from connectors.sdk.config import SourceConfig
from connectors.sdk.contract import Item, Page, Source, Transient, place
from connectors.sdk.private.vault import Vault
from connectors.sdk.runtime.breaker import Breaker
from connectors.sdk.runtime.outgoing import Mapper
from connectors.sdk.runtime.redrive import Report, SourceQueues
from connectors.sdk.state.file import Mapped, State
from connectors.sdk.state.parking import Choice
from schemas import envelope

# Unsent events at which reading pauses; the campus keeps the rest. Ten thousand are some minutes of publishing; of the
# largest events (40 KiB each) so many would be 400 MB in the state file, hence the second limit.
OUTBOX_FULL = 10_000
OUTBOX_FULL_BYTES = 64 * 1024 * 1024


class Intake:
    """One source of one connector. `stored` is set when there is something to publish."""

    def __init__(
        self, config: SourceConfig, source: Source, mapper: Mapper, state: State, clock: Clock,
        stored: asyncio.Event, vault: Vault | None, log: Any, breaker: Breaker,
    ) -> None:  # fmt: skip
        self.name = config.name
        self.part = f"source.{config.name}"
        self.queues = SourceQueues(config.name, mapper, state, vault, clock)
        self._config = config
        self._source = source
        self._mapper = mapper
        self._state = state
        self._clock = clock
        self._stored = stored
        self._vault = vault
        self._log = log
        self._breaker = breaker
        self._retried = False

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()

    async def step(self) -> None:
        """One page: read, map, store with its cursor."""
        self._retry_parked_records()
        self._breaker.check(self.part)
        self.pause_when_full()
        before = self._state.cursor(self.name)
        page = await self._source.page(before)
        self._store(page, moved=page.cursor != before)
        if page.items:
            await self._source.ack(page.cursor)
        if not page.more:
            await self._clock.sleep(self._config.table.every_s)

    def pause_when_full(self) -> None:
        """Raises `Transient` while too much waits to be published."""
        events, size = self._state.unsent_size(OUTBOX_FULL)
        if events >= OUTBOX_FULL or size >= OUTBOX_FULL_BYTES:
            raise Transient(
                f"{events} events of {size} bytes wait to be published; reading pauses until the broker takes them"
            )

    def store(self, items: Sequence[Item], cursor: str | None) -> tuple[Mapped, int]:
        """Events, what could not be mapped, and the cursor (None: it stays), in one commit; private parts in one before it.

        What the items came to, and how many events are new. Raises `ConfigError` when too much would be parked: then
        nothing is stored.
        """
        with self._vault.store.together() if self._vault else nullcontext():
            mapped = self._mapper.page(items, self._clock.now())
        for words in self._mapper.unread():
            self._log.warning("input_not_read", source=self.name, reason=words)
        now = envelope.to_millis(self._clock.now())
        if mapped.parked:
            self._breaker.admit(self.part, mapped.parked, now)
        if cursor is None and not (mapped.events or mapped.parked or mapped.mended):
            return mapped, 0
        added = self._state.commit_page(self.name, cursor, mapped, now)
        if added:
            self._stored.set()
        return mapped, added

    def redrive(self, choice: Choice, *, commanded: bool) -> Report:
        """Try parked records again, in their order. Raises nothing that a record does."""
        report = self.queues.redrive(choice, commanded=commanded)
        if report.passed:
            self._stored.set()
            self._log.info("parked_records_passed", source=self.name, records=report.passed)
        return report

    def rehearse(self, choice: Choice, source: SourceConfig | None = None) -> Report:
        """What `redrive` would come to, mapping as `source` says; stores nothing."""
        return self.queues.rehearse(choice, source)

    def use(self, source: SourceConfig) -> None:
        """From now on, map as this says."""
        self.queues.use(source)

    def reread(self, page: Page) -> None:
        """Store a page of a second reading: the cursor of the first stays. Raises `ConfigError` as `store` does."""
        self._breaker.check(self.part)
        self.store(page.items, None)

    def _store(self, page: Page, *, moved: bool) -> None:
        mapped, added = self.store(page.items, page.cursor if moved else None)
        if moved or added or mapped.parked or mapped.mended:
            self._log.info(
                "page_stored", source=self.name, records=len(page.items), events=added, parked=len(mapped.parked),
                cursor=place(page.cursor),
            )  # fmt: skip

    def _retry_parked_records(self) -> None:
        """At start all, since a corrected mapping or code table lets pass what was parked; later what is due."""
        if not self._state.parking.has(self.part):
            self._retried = True
            return
        now = envelope.to_millis(self._clock.now())
        choice = Choice(self.part) if not self._retried else Choice(self.part, due_before=now)
        self.redrive(choice, commanded=False)
        if not self._retried:
            self._breaker.tried_again(self.part, now)
        self._retried = True
