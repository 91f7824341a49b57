"""One campus's connector: its parts, side by side.

Owns which parts there are and how the whole says that it is well. Reading, publishing and delivering share nothing but
the state file, so a campus that cannot be written to can still be read. A step that fails is repeated after a growing
pause (`connectors.sdk.runtime.keeping`) and changes nothing until it succeeds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config, SinkConfig, SourceConfig
from connectors.sdk.contract import ConfigError, ConnectorError, Context, Sink, Source
from connectors.sdk.memory import SeenMemory
from connectors.sdk.private.vault import Vault
from connectors.sdk.runtime.backfiller import Backfiller
from connectors.sdk.runtime.beat import Beats
from connectors.sdk.runtime.breaker import Breaker
from connectors.sdk.runtime.control import Control, Handler
from connectors.sdk.runtime.deliverer import Deliverer, OpenSink
from connectors.sdk.runtime.incoming import kind_of
from connectors.sdk.runtime.intake import Intake
from connectors.sdk.runtime.kafka import Bus, Inbox, Incoming, Message
from connectors.sdk.runtime.keeping import Gate, GatedClock, GatedInbox, Health, Keeper, said
from connectors.sdk.runtime.outgoing import Mapper
from connectors.sdk.runtime.parts import OpenedSink, OpenedSource, Part, Parts
from connectors.sdk.runtime.publisher import Publisher
from connectors.sdk.runtime.redrive import Redriver, sources_now
from connectors.sdk.state.file import State
from connectors.sdk.trust.witness import Cosigner, Witness
from schemas import envelope, topics
from schemas.codec import encode
from schemas.records import Heartbeat

_CHECKPOINTS_LIMIT = 200  # verified in one step, each with a commit

log = structlog.get_logger("connector")


class Connector:
    """One campus folder at work. `run` ends only by cancellation."""

    def __init__(
        self, config: Config, state: State, bus: Bus, inbox: Inbox, clock: Clock, rng: random.Random,
        transport: Any = None, vault: Vault | None = None, payloads: Inbox | None = None,
        checkpoints: Inbox | None = None, commands: Inbox | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self.state = state
        self.health = Health()
        self._bus = bus
        self._clock = clock
        self._backfill_gates: dict[str, Gate] = {}
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

        def source_of(one: SourceConfig) -> Source:
            opened: Source = one.kind.open(one.options, context(one.name))
            return opened

        def sink_of(one: SinkConfig) -> Sink:
            opened: Sink = one.kind.open(one.options, context(one.name))
            return opened

        self._publisher = Publisher(config, state, bus, clock, vault, self._log)
        sources = {s.name: OpenedSource(partial(source_of, s), clock) for s in config.sources}
        opened_sinks = {s.name: OpenedSink(partial(sink_of, s)) for s in config.sinks}
        self._inbox_gate = Gate(partial(self._release, sinks=True))
        self.parts = Parts(
            [
                *(self._source_part(s, sources[s.name]) for s in config.sources),
                *(self._sink_part(s, opened_sinks[s.name]) for s in config.sinks),
            ],
            self._inbox_gate,
            state.commands.wanted(),
        )
        gates = {part.name: part.gate for part in self.parts}
        breaker = Breaker(
            state, config.runtime.parked_keys_limit, round(1000 * config.runtime.parked_window_s)
        )
        self._intakes = [
            Intake(
                s, sources[s.name], Mapper(s, config.signer, state, vault),
                state, GatedClock(clock, gates[f"source.{s.name}"]), self._publisher.waiting, vault, self._log,
                breaker,
            )
            for s in config.sources
        ]  # fmt: skip
        sinks = [OpenSink(s, opened_sinks[s.name]) for s in config.sinks]
        held_inbox = GatedInbox(inbox, self._inbox_gate)
        self._deliverer = Deliverer(
            config,
            sinks,
            state,
            held_inbox,
            clock,
            vault,
            payloads,
            self._log,
            breaker,
            self.parts.is_held,
        )
        self._backfillers = {
            intake.name: Backfiller(
                intake.name, sources[intake.name], intake.reread, state, clock,
                self._backfill_gates[intake.name], self._log,
            )
            for intake in self._intakes
        }  # fmt: skip
        self._control = Control(config, state, bus, clock, self.parts, self.health, self._log)
        self._commands = commands
        self.handlers["backfill"] = self._backfill
        redriver = Redriver(
            {intake.part: intake for intake in self._intakes}, self._deliverer, state, breaker, self._now_ms,
            partial(sources_now, config), lambda part: gates[part].nudged.set(),
        )  # fmt: skip
        self.handlers["redrive"] = partial(self._redrive, redriver)
        self.handlers["drop"] = redriver.on_drop
        self._control.resumed.append(redriver.on_resumed)
        self.beats = Beats(config, state, clock, self.health, self.parts, sources)
        self.newest: Heartbeat | None = None

    async def _redrive(self, redriver: Redriver, args: Mapping[str, Any]) -> dict[str, Any]:
        """Trying again reads mappings and code tables anew; heartbeats then tell of those."""
        answer = await redriver.on_redrive(args)
        if not args.get("dry"):
            self.beats.mappings_read()
        return answer

    @property
    def handlers(self) -> MutableMapping[str, Handler]:
        """What answers each verb of a command."""
        return self._control.handlers

    @property
    def control(self) -> Control:
        """Where commands from inside this process go."""
        return self._control

    def _source_part(self, config: SourceConfig, source: OpenedSource) -> Part:
        name = f"source.{config.name}"
        gate = Gate(partial(self._release, sinks=False, name=name))
        follows = self._backfill_gates[config.name] = Gate(
            partial(self._close_backfill, config.name)
        )
        return Part(name, config.table.kind, name, gate, source.close, follows)

    def _sink_part(self, config: SinkConfig, sink: OpenedSink) -> Part:
        return Part(f"sink.{config.name}", config.table.kind, "inbox", self._inbox_gate, sink.close)

    async def _release(self, *, sinks: bool, name: str = "") -> None:
        await self.parts.release(sinks=sinks, name=name)

    async def _close_backfill(self, source: str) -> None:
        await self._backfillers[source].close()

    async def _backfill(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Start, pause, resume or stop a second reading of a source."""
        found = self._backfillers.get(str(args.get("source")))
        if found is None:
            names = ", ".join(self._backfillers) or "none"
            raise ConfigError(f"no source {args.get('source')!r}; this connector has {names}")
        return found.command(args)

    async def run(self) -> None:
        """Work until cancelled, then say so and close. Raises what no part of it could answer."""
        ended = ("stopped", "")
        if self.config.trust.policy is None and (count := self.state.release_answered()):
            self._log.info("receipts_not_wanted", events=count)
        keep = self._keeper.keep
        try:
            async with asyncio.TaskGroup() as loops:
                gates = {part.name: part.gate for part in self.parts}
                for intake in self._intakes:
                    name = f"source.{intake.name}"
                    loops.create_task(keep(name, intake.step, gates[name]))
                for name, backfiller in self._backfillers.items():
                    gate = self._backfill_gates[name]
                    loops.create_task(keep(f"backfill.{name}", backfiller.step, gate))
                loops.create_task(keep("publish", self._publisher.step))
                loops.create_task(keep("inbox", self._deliverer.step, self._inbox_gate))
                loops.create_task(keep("waiting", self._deliverer.retry_waiting))
                loops.create_task(keep("heartbeat", self._beat))
                loops.create_task(keep("control", self._control.step))
                if self._commands is not None:
                    loops.create_task(keep("commands", partial(self._control.hear, self._commands)))
                    loops.create_task(keep("answers", self._control.tell))
                if self._vault is not None:
                    loops.create_task(keep("private", self._deliverer.follow_payloads))
                if self._cosigner is not None:
                    self._start_witness(loops, self._cosigner)
        except BaseExceptionGroup as group:
            first = next(iter(leaves(group)))
            ended = ("failed", f"ended: {said(first) if isinstance(first, Exception) else first!r}")
            raise
        finally:
            await self._stop(*ended)

    async def close(self) -> None:
        """Close sources and sinks."""
        for intake in self._intakes:
            await intake.close()
        await self._deliverer.close()
        for backfiller in self._backfillers.values():
            await backfiller.close()

    async def _stop(self, state: str, reason: str) -> None:
        with suppress(ConnectorError, TimeoutError):
            await asyncio.wait_for(self._say(state, reason), 2)
        await self.close()

    def _now_ms(self) -> int:
        return envelope.to_millis(self._clock.now())

    # For the other members ------------------------------------------------------------------------------------------

    def _start_witness(self, loops: asyncio.TaskGroup, cosigner: Cosigner) -> None:
        address = self.config.trust.witness_http
        if self._checkpoints is not None:
            loops.create_task(self._keeper.keep("witness", partial(self._cosign, cosigner)))
        if address is not None:
            from connectors.sdk.trust.witness_http import (
                serve_witness,  # not every campus has its server
            )

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
        state, reason = self.beats.condition()
        await self._say(state, reason)
        await self._clock.sleep(self.config.runtime.heartbeat_s)

    async def _say(self, state: str, reason: str) -> None:
        if self.state.health()[:2] != (state, reason):
            self.state.say_health(state, reason, self._now_ms())
        self.newest = beat = self.beats.make(state, reason)
        await self._bus.publish(
            topics.HEARTBEATS, [Message(beat.member.encode(), encode(beat), [])]
        )


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors inside a group, and inside groups of it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error
