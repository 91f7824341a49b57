"""From the outbox to the hub: what waits is published in the order of change, and again when no outcome comes."""

from __future__ import annotations

import asyncio
from typing import Any

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config
from connectors.sdk.private.vault import Vault
from connectors.sdk.runtime.kafka import Bus, Message
from connectors.sdk.runtime.outgoing import event_of
from connectors.sdk.state.file import Outgoing, State
from schemas import envelope, topics

PUBLISH_LIMIT = 1_000  # events published and marked together
PUBLISH_BYTES = 8 * 1024 * 1024  # of the largest events, a thousand would be 40 MB in memory, twice


class Publisher:
    """One connector's outbox. Whoever stores events there sets `waiting`."""

    def __init__(
        self, config: Config, state: State, bus: Bus, clock: Clock, vault: Vault | None, log: Any
    ) -> None:
        self.waiting = asyncio.Event()
        self._config = config
        self._state = state
        self._bus = bus
        self._clock = clock
        self._vault = vault
        self._log = log
        self._resend_at = 0.0

    async def step(self) -> None:
        """One batch in the order of change; or wait for something to publish."""
        self.waiting.clear()
        events = self._state.unsent(PUBLISH_LIMIT)
        again = not events
        if again:
            events = self._overdue()
        events = _bounded(events)
        await self._publish_private()
        if not events:
            await self._clock.wait(self.waiting, self._config.runtime.resend_after_s / 4)
            return
        messages = [Message(event.key, event.value, event.headers) for event in events]
        await self._bus.publish(topics.outbox(self._config.member.code), messages)
        self._state.mark_sent(events, self._now_ms())
        self._log.info("events_published", events=len(events), again=again)

    async def _publish_private(self) -> None:
        """What the private topic must have before the events that wait now; and the events of erasures, which wait too."""
        if self._vault is None:
            return
        store = self._vault.store
        for event_id, record in self._vault.erasures_due(self._config.ce_source):
            self._state.queue_own(event_of(record, self._config.signer), self._now_ms())
            store.mark_queued(event_id, self._now_ms())
            self._log.info("erasure_queued", event_id=event_id)
        store.scrub()
        self._state.scrub()
        while payloads := store.unsent(PUBLISH_LIMIT):
            messages = [
                Message(topics.payload_key(p.student_id, p.event_id).encode(), p.value, [])
                for p in payloads
            ]
            await self._bus.publish(topics.PRIVATE, messages)
            store.mark_sent(payloads, self._now_ms())
            self._log.info("payloads_published", payloads=len(payloads))

    def _overdue(self) -> list[Outgoing]:
        """Events to publish again; looked for rarely, since it reads the whole outbox."""
        resend_after_s = self._config.runtime.resend_after_s
        if self._clock.monotonic() < self._resend_at:
            return []
        self._resend_at = self._clock.monotonic() + resend_after_s / 4
        return self._state.overdue(self._now_ms(), round(resend_after_s * 1000), PUBLISH_LIMIT)

    def _now_ms(self) -> int:
        return envelope.to_millis(self._clock.now())


def _bounded(events: list[Outgoing]) -> list[Outgoing]:
    """As many of the first as fit into `PUBLISH_BYTES`; one in any case."""
    total = 0
    for number, event in enumerate(events):
        total += len(event.value)
        if total > PUBLISH_BYTES and number:
            return events[:number]
    return events
