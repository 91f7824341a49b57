"""One campus's connector: its parts, side by side.

Owns which parts there are and how the whole says that it is well. Reading, publishing and delivering share nothing but
the state file, so a campus that cannot be written to can still be read. A step that fails is repeated after a growing
pause (`connectors.sdk.keeping`) and changes nothing until it succeeds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import structlog

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config
from connectors.sdk.contract import ConnectorError, Context
from connectors.sdk.deliverer import Deliverer, OpenSink
from connectors.sdk.incoming import kind_of
from connectors.sdk.intake import Intake
from connectors.sdk.kafka import Bus, Inbox, Incoming, Message
from connectors.sdk.keeping import Health, Keeper
from connectors.sdk.memory import SeenMemory
from connectors.sdk.outgoing import Mapper
from connectors.sdk.private import Vault
from connectors.sdk.publisher import Publisher
from connectors.sdk.state import State
from connectors.sdk.witness import Cosigner, Witness
from schemas import envelope, topics
from schemas.codec import encode
from schemas.records import Heartbeat

_LONGEST_REASON = 1_000  # characters, in heartbeats
_WORST = ("failed", "degraded", "running")
_CHECKPOINTS_LIMIT = 200  # verified in one step, each with a commit

log = structlog.get_logger("connector")


@cache
def connector_version() -> str:
    """The version in heartbeats."""
    try:
        return version("alliance-hub")
    except PackageNotFoundError:
        return "unpackaged"


class Connector:
    """One campus folder at work. `run` ends only by cancellation."""

    def __init__(
        self, config: Config, state: State, bus: Bus, inbox: Inbox, clock: Clock, rng: random.Random,
        transport: Any = None, vault: Vault | None = None, payloads: Inbox | None = None,
        checkpoints: Inbox | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self.state = state
        self.health = Health()
        self._bus = bus
        self._clock = clock
        self._vault = vault
        self._log = log.bind(member=config.member.code, connector=config.member.name)
        self._keeper = Keeper(self.health, clock, rng, self._log)
        trust = config.trust
        self._cosigner = (
            Cosigner(Witness(trust.witness, trust.policy), state, self._now_ms)
            if trust.witness and trust.policy
            else None
        )
        self._checkpoints = checkpoints
        self._held_checkpoints: Sequence[Incoming] = ()

        def context(name: str) -> Context:
            memory = SeenMemory(state, name, config.state_path)
            return Context(config.folder, config.member.code, name, clock, transport, memory)

        self._publisher = Publisher(config, state, bus, clock, vault, self._log)
        self._intakes = [
            Intake(
                s, s.kind.open(s.options, context(s.name)), Mapper(s, config.signer, state, vault),
                state, clock, self._publisher.waiting, vault, self._log,
            )
            for s in config.sources
        ]  # fmt: skip
        sinks = [OpenSink(s, s.kind.open(s.options, context(s.name))) for s in config.sinks]
        self._deliverer = Deliverer(config, sinks, state, inbox, clock, vault, payloads, self._log)

    async def run(self) -> None:
        """Work until cancelled, then say so and close."""
        if self.config.trust.policy is None and (count := self.state.release_answered()):
            self._log.info("receipts_not_wanted", events=count)
        keep = self._keeper.keep
        try:
            async with asyncio.TaskGroup() as loops:
                for intake in self._intakes:
                    loops.create_task(keep(f"source.{intake.name}", intake.step))
                loops.create_task(keep("publish", self._publisher.step))
                loops.create_task(keep("inbox", self._deliverer.step))
                loops.create_task(keep("heartbeat", self._beat))
                if self._vault is not None:
                    loops.create_task(keep("private", self._deliverer.follow_payloads))
                if self._cosigner is not None:
                    self._start_witness(loops, self._cosigner)
        finally:
            await self._stop()

    async def close(self) -> None:
        """Close sources and sinks."""
        for intake in self._intakes:
            await intake.close()
        await self._deliverer.close()

    async def _stop(self) -> None:
        with suppress(ConnectorError, TimeoutError):
            await asyncio.wait_for(self._say("stopped", ""), 2)
        await self.close()

    def _now_ms(self) -> int:
        return envelope.to_millis(self._clock.now())

    # For the other members ------------------------------------------------------------------------------------------

    def _start_witness(self, loops: asyncio.TaskGroup, cosigner: Cosigner) -> None:
        address = self.config.trust.witness_http
        if self._checkpoints is not None:
            loops.create_task(self._keeper.keep("witness", partial(self._cosign, cosigner)))
        if address is not None:
            from connectors.sdk.witness_http import serve_witness  # not every campus has its server

            loops.create_task(
                self._keeper.keep("witness_http", partial(serve_witness, cosigner, address))
            )

    async def _cosign(self, cosigner: Cosigner) -> None:
        """Some of the log's checkpoints: what is cosigned is stored first, then published, then behind us."""
        if self._checkpoints is None:
            return
        if not self._held_checkpoints:
            self._held_checkpoints = await self._checkpoints.take(_CHECKPOINTS_LIMIT)
        asked = [one.value for one in self._held_checkpoints if kind_of(one) == "checkpoint"]
        notes, fault = cosigner.hear(asked)
        code = self.config.member.code
        if notes:
            messages = [Message(code.encode(), note, []) for note in notes]
            await self._bus.publish(topics.COSIGNATURES, messages)
        self.state.checkpoints_taken(self._held_checkpoints[-1].offset + 1)
        self._held_checkpoints = ()
        if asked and self.health.say("log", "degraded" if fault else "running", fault) and fault:
            self._log.error("checkpoint_not_cosigned", reason=fault)

    # How we are -----------------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        state, reason = self._condition()
        await self._say(state, reason)
        await self._clock.sleep(self.config.runtime.heartbeat_s)

    def _condition(self) -> tuple[str, str]:
        """The worst state, and all that people should look at."""
        said = [self.health.overall()]
        evidence = self.state.proofs.evidence_count()
        if evidence:
            newest = self.state.proofs.newest_brief()
            said.append(("failed", f"{evidence} pieces of evidence, newest: {newest}"))
        count, newest = self.state.parked_count()
        if count:
            said.append(("degraded", f"{count} parked, newest: {newest}"))
        if self.config.trust.policy is not None:
            count, oldest = self.state.receipts_overdue_count(
                self._now_ms(), self.config.trust.receipt_after_ms
            )
            if count:
                said.append(("degraded", f"{count} events without receipt, oldest: {oldest}"))
        words = "; ".join(reason for _, reason in said if reason)
        if len(said) > 1:
            words += "; run: alliance connector status"
        state = min((state for state, _ in said), key=_WORST.index)
        return state, words

    async def _say(self, state: str, reason: str) -> None:
        now = self._clock.now()
        if self.state.health()[:2] != (state, reason):
            self.state.say_health(state, reason, envelope.to_millis(now))
        counts = self.state.counts()
        beat = Heartbeat(
            member=self.config.member.code,
            connector=self.config.member.name,
            version=connector_version(),
            state=state,
            reason=reason[:_LONGEST_REASON],
            cursor=" ".join(f"{name}={cursor}" for name, cursor in self.state.cursors().items()),
            outbox_events=counts["outbox_events"],
            inbox_position=self.state.inbox_position()[0],
            published_total=counts["published_total"],
            applied_total=counts["applied_total"],
            at=now,
        )
        await self._bus.publish(
            topics.HEARTBEATS, [Message(beat.member.encode(), encode(beat), [])]
        )
