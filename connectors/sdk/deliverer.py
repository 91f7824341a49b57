"""From the inbox to the campus: what is genuine is brought to the sinks, then the position moves on.

Owns the order of effects between the hub's messages and the campus. What the campus will not have is parked with its
words, and the rest flows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config, SinkConfig
from connectors.sdk.contract import ConfigError, Delivery, Permanent, Rejected, Sink
from connectors.sdk.incoming import Found, InboxReader, park, unparked
from connectors.sdk.kafka import Inbox, Incoming
from connectors.sdk.private import Vault
from connectors.sdk.proofs import RETRIED
from connectors.sdk.state import Parked, State, Taken
from schemas import envelope

_PAYLOADS_LIMIT = 1_000  # of the private topic, kept in one commit
_NO_PAYLOADS_S = 30.0


@dataclass(frozen=True, slots=True)
class OpenSink:
    """A sink of the connector, and what it wants."""

    config: SinkConfig
    sink: Sink

    def wants(self, delivery: Delivery) -> bool:
        table = self.config.table
        if delivery.kind == "outcome":
            return table.outcomes
        if delivery.kind == "flag":
            return table.flags
        return "*" in table.events or delivery.event in table.events


class Deliverer:
    """One connector's inbox and its sinks."""

    def __init__(
        self, config: Config, sinks: Sequence[OpenSink], state: State, inbox: Inbox, clock: Clock,
        vault: Vault | None, payloads: Inbox | None, log: Any,
    ) -> None:  # fmt: skip
        self._config = config
        self._sinks = sinks
        self._state = state
        self._inbox = inbox
        self._clock = clock
        self._vault = vault
        self._payloads = payloads
        self._log = log
        self._reader = InboxReader(config.member.code, config.alliance, config.trust, state)
        self._held: Sequence[Incoming] = ()
        self._held_payloads: Sequence[Incoming] = ()
        self._payload_came = asyncio.Event()
        self._retried = False

    async def close(self) -> None:
        """Close the sinks."""
        for sink in self._sinks:
            await sink.sink.close()

    async def step(self) -> None:
        """One batch of the inbox: bring it to the campus, then move the position on."""
        if not self._retried:
            self._retry_receipts()
            await self._retry_parked_deliveries()
            self._retried = True
        if not self._held:
            limit = min((sink.config.table.batch for sink in self._sinks), default=200)
            self._held = await self._inbox.take(limit)
        _, seq = self._state.inbox_position()
        deliveries, taken = self._reader.sort(self._held, seq)
        await self._bring(deliveries, taken)
        self._held = ()

    async def follow_payloads(self) -> None:
        """Keep what of the private topic is for us, before the events that belong to it are delivered."""
        if self._vault is None or self._payloads is None:
            await self._clock.sleep(_NO_PAYLOADS_S)
            return
        self._held_payloads = self._held_payloads or await self._payloads.take(_PAYLOADS_LIMIT)
        position = self._held_payloads[-1].offset + 1
        kept = self._vault.take([message.value for message in self._held_payloads], position)
        self._held_payloads = ()
        if kept:
            self._payload_came.set()

    async def _with_private(self, deliveries: Sequence[Found]) -> Sequence[Found]:
        """The deliveries with their private parts. One that does not come within `wait_s` is delivered without."""
        vault = self._vault
        if vault is None:
            return deliveries
        until = self._clock.monotonic() + vault.settings.wait_s
        found: list[Found] = []
        for delivery, incoming in deliveries:
            if (student_id := vault.forgotten(delivery, self._now_ms())) and (
                gone := self._state.forget_parked([student_id])
            ):
                self._log.info("parked_records_forgotten", records=len(gone))
            opened = vault.delivery(delivery, self._now_ms())
            while opened.private_state == "missing" and self._clock.monotonic() < until:
                self._payload_came.clear()
                await self._clock.wait(self._payload_came, until - self._clock.monotonic())
                opened = vault.delivery(delivery, self._now_ms())
            found.append((opened, incoming))
        return found

    async def _bring(self, deliveries: Sequence[Found], taken: Taken) -> Sequence[Parked]:
        """Push, then commit what follows. What the campus rejected."""
        deliveries = await self._with_private(deliveries)
        rejected = await self._push(deliveries)
        applied = len(deliveries) - len(rejected)
        parked = (*taken.parked, *rejected)
        self._commit(replace(taken, parked=parked, applied=applied))
        self._log.info(
            "inbox_taken", deliveries=len(deliveries), parked=len(parked), position=taken.position
        )
        return rejected

    def _commit(self, taken: Taken) -> None:
        for found in taken.proven.evidence:
            self._log.error("evidence_kept", kind=found.kind, reason=found.reason)
        wanted = self._config.trust.policy is not None
        self._state.commit_inbox(taken, self._now_ms(), receipts=wanted)
        own = self._state.own_ids([one.event_id for one in taken.done]) if taken.done else ()
        for one in taken.done:
            if one.event_id in own:
                say = self._log.info if one.outcome == "applied" else self._log.warning
                say(
                    "own_event_answered",
                    event_id=one.event_id,
                    outcome=one.outcome,
                    reason=one.reason,
                )

    def _retry_receipts(self) -> None:
        """At start: a policy that was put right lets pass receipts that it did not."""
        position, seq = self._state.inbox_position()
        for number, found in self._state.proofs.evidence():
            if found.kind != RETRIED:
                continue
            proven = self._reader.proof(Incoming(-1, found.payload, []))
            if not proven.evidence:
                self._commit(Taken(position, seq, proven=proven))
                self._state.drop_evidence(number)

    async def _retry_parked_deliveries(self) -> None:
        """At start: an upgrade, a new key in alliance.toml or a mended campus lets pass what was parked."""
        position, seq = self._state.inbox_position()
        for row in self._state.parked("read", "verify", "push"):
            incoming = unparked(row.payload)
            if row.stage == "push":
                delivery = self._reader.delivery(incoming, verified=True)
                found, taken = [(delivery, incoming)], Taken(position, seq)
            else:
                found, taken = self._reader.sort([incoming], -1)
                if taken.parked:
                    continue
            rejected = await self._bring(found, replace(taken, position=position, seq=seq))
            if row.stage != "push" or not rejected:
                self._state.unpark(row.stage, row.id)

    async def _push(self, deliveries: Sequence[Found]) -> list[Parked]:
        """Give each sink what it wants. What a campus rejects is parked with the campus's words."""
        rejected: list[Parked] = []
        for open_ in self._sinks:
            wanted = [pair for pair in deliveries if open_.wants(pair[0])]
            if not wanted:
                continue
            verdicts = await open_.sink.apply([delivery for delivery, _ in wanted])
            if len(verdicts) != len(wanted):
                raise ConfigError(
                    f"sink.{open_.config.name}: {len(verdicts)} verdicts for {len(wanted)} deliveries; correct that kind"
                )
            for (delivery, incoming), verdict in zip(wanted, verdicts, strict=True):
                if isinstance(verdict, Rejected):
                    at = f"sink.{open_.config.name}"
                    error = Permanent(
                        f"{at}: {delivery.event} {delivery.event_id}: {verdict.message}",
                        f"{at}: rejected a {delivery.kind} of {delivery.event}",
                    )
                    rejected.append(park("push", delivery.key, error, incoming))
        return rejected

    def _now_ms(self) -> int:
        return envelope.to_millis(self._clock.now())
