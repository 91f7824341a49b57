"""The loops around one campus: read, publish, deliver, say how we are.

Owns retries, parking and the order of effects; the kinds own the systems, `State` the memory. Four loops run side by
side and share nothing but the state file, so a campus that cannot be written to can still be read. A step that fails
is repeated after a growing pause and changes nothing until it succeeds; a step that is cancelled or killed is begun
again by the next start.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import structlog

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config, SinkConfig, SourceConfig
from connectors.sdk.contract import (
    ConfigError,
    ConnectorError,
    Context,
    Delivery,
    Item,
    Page,
    Permanent,
    Rejected,
    RetryLater,
    Sink,
    Source,
    Transient,
)
from connectors.sdk.incoming import Found, InboxReader, kind_of, park, unparked
from connectors.sdk.kafka import Bus, Inbox, Incoming, Message
from connectors.sdk.outgoing import Mapper, event_of
from connectors.sdk.private import Vault
from connectors.sdk.proofs import RETRIED
from connectors.sdk.state import Outgoing, Parked, State, Taken
from connectors.sdk.witness import Cosigner, Witness
from schemas import envelope, topics
from schemas.codec import encode
from schemas.records import Heartbeat

PUBLISH_LIMIT = 1_000  # events published and marked together
OUTBOX_FULL = 10_000  # unsent events at which reading pauses; the campus keeps the rest
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_FIRST_PAUSE_FAILED_S, _LONGEST_PAUSE_FAILED_S = 5.0, 120.0  # a person must act first

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


@dataclass(slots=True)
class Health:
    """How each part is: `running`, `degraded` (being retried) or `failed` (a person must act), with a reason."""

    parts: dict[str, tuple[str, str]] = field(default_factory=dict)

    def say(self, part: str, state: str, reason: str = "") -> bool:
        """Note it; whether that is news."""
        news = self.parts.get(part, ("running", "")) != (state, reason)
        self.parts[part] = (state, reason)
        return news

    def overall(self) -> tuple[str, str]:
        """The worst part speaks."""
        for state in ("failed", "degraded"):
            reasons = [f"{part}: {why}" for part, (how, why) in self.parts.items() if how == state]
            if reasons:
                return state, "; ".join(reasons)
        return "running", ""


@dataclass(slots=True)
class _OpenSource:
    config: SourceConfig
    source: Source
    mapper: Mapper
    retried: bool = False

    @property
    def name(self) -> str:
        return self.config.name


@dataclass(slots=True)
class _OpenSink:
    config: SinkConfig
    sink: Sink

    def wants(self, delivery: Delivery) -> bool:
        table = self.config.table
        if delivery.kind == "outcome":
            return table.outcomes
        if delivery.kind == "flag":
            return table.flags
        return "*" in table.events or delivery.event in table.events


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
        self._inbox = inbox
        self._clock = clock
        self._rng = rng
        trust = config.trust
        self._reader = InboxReader(config.member.code, config.alliance, trust, state)
        self._cosigner = (
            Cosigner(Witness(trust.witness, trust.policy), state, self._now_ms)
            if trust.witness and trust.policy
            else None
        )
        self._checkpoints = checkpoints
        self._held_checkpoints: Sequence[Incoming] = ()
        self._outbox_waiting = asyncio.Event()
        self._resend_at = 0.0
        self._held: Sequence[Incoming] = ()
        self._vault = vault
        self._payloads = payloads
        self._held_payloads: Sequence[Incoming] = ()
        self._payload_came = asyncio.Event()
        self._retried = False

        def context(name: str) -> Context:
            return Context(config.folder, config.member.code, name, clock, transport)

        self._sources = [
            _OpenSource(
                s, s.kind.open(s.options, context(s.name)), Mapper(s, config.signer, state, vault)
            )
            for s in config.sources
        ]
        self._sinks = [_OpenSink(s, s.kind.open(s.options, context(s.name))) for s in config.sinks]
        self._log = log.bind(member=config.member.code, connector=config.member.name)

    async def run(self) -> None:
        """Work until cancelled, then say so and close."""
        if self.config.trust.policy is None and (count := self.state.release_answered()):
            self._log.info("receipts_not_wanted", events=count)
        try:
            async with asyncio.TaskGroup() as loops:
                for source in self._sources:
                    part = f"source.{source.name}"
                    loops.create_task(self._keep(part, partial(self._read, source)))
                loops.create_task(self._keep("publish", self._publish))
                loops.create_task(self._keep("inbox", self._deliver))
                loops.create_task(self._keep("heartbeat", self._beat))
                if self._vault is not None:
                    loops.create_task(self._keep("private", self._follow_payloads))
                if self._cosigner is not None:
                    self._start_witness(loops, self._cosigner)
        finally:
            await self._stop()

    async def close(self) -> None:
        """Close sources and sinks."""
        for source in self._sources:
            await source.source.close()
        for sink in self._sinks:
            await sink.sink.close()

    async def _stop(self) -> None:
        with suppress(ConnectorError, TimeoutError):
            await asyncio.wait_for(self._say("stopped", ""), 2)
        await self.close()

    async def _keep(self, part: str, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a step. Whatever fails is tried again after a pause; the reason shows in heartbeat and status."""
        failures = 0
        while True:
            try:
                await step()
            except Exception as error:  # noqa: BLE001, the outermost loop: one campus's surprise must not end the others
                state, pause_s = self._judge(error, failures)
                failures += 1
                if self.health.say(part, state, _said(error)):
                    surprise = error if not isinstance(error, ConnectorError) else None
                    self._log.warning(
                        "step_failed", part=part, state=state, reason=str(error), retry_in_s=round(pause_s, 2),
                        exc_info=surprise,
                    )  # fmt: skip
                await self._clock.sleep(pause_s)
                continue
            failures = 0
            if self.health.say(part, "running"):
                self._log.info("step_recovered", part=part)

    def _judge(self, error: Exception, failures: int) -> tuple[str, float]:
        """State and pause in seconds: exponential with jitter, unless the other side named its pause."""
        if isinstance(error, RetryLater):
            return "degraded", error.after_s
        first, longest = _FIRST_PAUSE_FAILED_S, _LONGEST_PAUSE_FAILED_S
        if isinstance(error, Transient):
            first, longest = _FIRST_PAUSE_S, _LONGEST_PAUSE_S
        pause_s = min(first * 2 ** min(failures, 10), longest) * self._rng.uniform(0.5, 1.0)
        return ("degraded" if isinstance(error, Transient) else "failed"), pause_s

    def _now_ms(self) -> int:
        return envelope.to_millis(self._clock.now())

    # From the campus ------------------------------------------------------------------------------------------------

    async def _read(self, open_: _OpenSource) -> None:
        """One page: read, map, store with its cursor."""
        if not open_.retried:
            self._retry_parked_records(open_)
            open_.retried = True
        if self.state.unsent_count() >= OUTBOX_FULL:
            raise Transient(
                f"{OUTBOX_FULL} events wait to be published; reading pauses until the broker takes them"
            )
        before = self.state.cursor(open_.name)
        page = await open_.source.page(before)
        self._store(open_, page, moved=page.cursor != before)
        if page.items:
            await open_.source.ack(page.cursor)
        if not page.more:
            await self._clock.sleep(open_.config.table.every_s)

    def _store(self, open_: _OpenSource, page: Page, *, moved: bool) -> None:
        """Events, what could not be mapped, and the cursor, in one commit; their private parts in one before it."""
        with self._vault.store.together() if self._vault else nullcontext():
            mapped = open_.mapper.page(page.items, self._clock.now())
        if not (moved or mapped.events or mapped.parked or mapped.mended):
            return
        added = self.state.commit_page(open_.name, page.cursor, mapped, self._now_ms())
        if added:
            self._outbox_waiting.set()
        self._log.info(
            "page_stored", source=open_.name, records=len(page.items), events=added, parked=len(mapped.parked),
            cursor=page.cursor,
        )  # fmt: skip

    def _retry_parked_records(self, open_: _OpenSource) -> None:
        """At start: a corrected mapping or code table lets records pass that were parked."""
        rows = [row for row in self.state.parked("map") if row.payload["source"] == open_.name]
        items = [Item(row.payload["data"], row.payload["origin"]) for row in rows]
        mapped = open_.mapper.page(items, self._clock.now())
        if mapped.mended:
            self.state.commit_page(open_.name, None, mapped, self._now_ms())
            self._log.info("parked_records_passed", source=open_.name, records=len(mapped.mended))

    # To the hub -----------------------------------------------------------------------------------------------------

    async def _publish(self) -> None:
        """One batch in the order of change; or wait for something to publish."""
        self._outbox_waiting.clear()
        events = self.state.unsent(PUBLISH_LIMIT)
        again = not events
        if again:
            events = self._overdue()
        await self._publish_private()
        if not events:
            await self._clock.wait(self._outbox_waiting, self.config.runtime.resend_after_s / 4)
            return
        messages = [Message(event.key, event.value, event.headers) for event in events]
        await self._bus.publish(topics.outbox(self.config.member.code), messages)
        self.state.mark_sent(events, self._now_ms())
        self._log.info("events_published", events=len(events), again=again)

    async def _publish_private(self) -> None:
        """What the private topic must have before the events that wait now; and the events of erasures, which wait too."""
        if self._vault is None:
            return
        store = self._vault.store
        for event_id, record in self._vault.erasures_due(self.config.ce_source):
            self.state.queue_own(event_of(record, self.config.signer), self._now_ms())
            store.mark_queued(event_id, self._now_ms())
            self._log.info("erasure_queued", event_id=event_id)
        store.scrub()
        self.state.scrub()
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
        resend_after_s = self.config.runtime.resend_after_s
        if self._clock.monotonic() < self._resend_at:
            return []
        self._resend_at = self._clock.monotonic() + resend_after_s / 4
        return self.state.overdue(self._now_ms(), round(resend_after_s * 1000), PUBLISH_LIMIT)

    # To the campus --------------------------------------------------------------------------------------------------

    async def _deliver(self) -> None:
        """One batch of the inbox: bring it to the campus, then move the position on."""
        if not self._retried:
            self._retry_receipts()
            await self._retry_parked_deliveries()
            self._retried = True
        if not self._held:
            limit = min((sink.config.table.batch for sink in self._sinks), default=200)
            self._held = await self._inbox.take(limit)
        _, seq = self.state.inbox_position()
        deliveries, taken = self._reader.sort(self._held, seq)
        await self._bring(deliveries, taken)
        self._held = ()

    async def _follow_payloads(self) -> None:
        """Keep what of the private topic is for us, before the events that belong to it are delivered."""
        if self._vault is None or self._payloads is None:
            await self._clock.sleep(_LONGEST_PAUSE_S)
            return
        self._held_payloads = self._held_payloads or await self._payloads.take(PUBLISH_LIMIT)
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
                gone := self.state.forget_parked([student_id])
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
        wanted = self.config.trust.policy is not None
        self.state.commit_inbox(taken, self._now_ms(), receipts=wanted)
        own = self.state.own_ids([one.event_id for one in taken.done]) if taken.done else ()
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
        position, seq = self.state.inbox_position()
        for number, found in self.state.proofs.evidence():
            if found.kind != RETRIED:
                continue
            proven = self._reader.proof(Incoming(-1, found.payload, []))
            if not proven.evidence:
                self._commit(Taken(position, seq, proven=proven))
                self.state.drop_evidence(number)

    async def _retry_parked_deliveries(self) -> None:
        """At start: an upgrade, a new key in alliance.toml or a mended campus lets pass what was parked."""
        position, seq = self.state.inbox_position()
        for row in self.state.parked("read", "verify", "push"):
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
                self.state.unpark(row.stage, row.id)

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

    # For the other members ------------------------------------------------------------------------------------------

    def _start_witness(self, loops: asyncio.TaskGroup, cosigner: Cosigner) -> None:
        address = self.config.trust.witness_http
        if self._checkpoints is not None:
            loops.create_task(self._keep("witness", partial(self._cosign, cosigner)))
        if address is not None:
            from connectors.sdk.witness_http import serve_witness  # not every campus has its server

            loops.create_task(self._keep("witness_http", partial(serve_witness, cosigner, address)))

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


def _said(error: Exception) -> str:
    """The reason in words that may leave the campus."""
    return error.brief if isinstance(error, Permanent) else str(error) or type(error).__name__
