"""The loops around one campus: read, publish, deliver, say how we are.

Owns retries, parking and the order of effects; the kinds own the systems, `State` the memory. Four loops run side by
side and share nothing but the state file, so a campus that cannot be written to can still be read. A step that fails
is repeated after a growing pause and changes nothing until it succeeds; a step that is cancelled or killed is begun
again by the next start.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
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
from connectors.sdk.expressions import MISSING, compile_path
from connectors.sdk.kafka import MAX_EVENT_BYTES, Bus, Inbox, Incoming, Message
from connectors.sdk.mapping import EventMapping
from connectors.sdk.state import Mapped, Outgoing, Parked, Seen, State, Taken
from schemas import envelope, topics
from schemas.codec import Unreadable, decode, encode, schema_of
from schemas.records import Envelope, Heartbeat, Outcome, Record
from schemas.signing import Signer, Verifier

PUBLISH_LIMIT = 1_000  # events published and marked together
OUTBOX_FULL = (
    10_000  # unsent events at which reading pauses: the campus keeps its changes better than we do
)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_FIRST_PAUSE_FAILED_S, _LONGEST_PAUSE_FAILED_S = 5.0, 120.0  # a person must act first

log = structlog.get_logger("connector")


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
        return "*" in table.events or delivery.event in table.events


def envelope_of(record: Record) -> Envelope:
    """The envelope of a member's event. Raises `Permanent` for a record of the hub, which has none."""
    found = getattr(record, "envelope", None)
    if not isinstance(found, Envelope):
        raise Permanent(
            f"{record.EVENT} where a member's event belongs; tell the hub's operators",
            f"{record.EVENT} where a member's event belongs",
        )
    return found


def event_of(record: Record, signer: Signer) -> Outgoing:
    """The record as it will be published: encoded once, signed once. Raises `Permanent` when it cannot be."""
    about = envelope_of(record)
    try:
        value = encode(record)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise Permanent(
            f"{record.EVENT}: does not encode: {error}; correct the mapping",
            f"{record.EVENT}: does not encode",
        ) from error
    if len(value) > MAX_EVENT_BYTES:
        raise Permanent(
            f"{record.EVENT} {about.event_id}: {len(value)} bytes, at most {MAX_EVENT_BYTES} fit; map less text",
            f"{record.EVENT}: too large",
        )
    return Outgoing(
        event_id=about.event_id,
        event=record.EVENT,
        topic=topics.outbox(about.member),
        key=about.partition_key.encode(),
        value=value,
        headers=envelope.event_headers(about, schema_of(value), signer.key_id, signer.sign(value)),
    )


class Mapper:
    """A source's records to signed events, without network or storage except to look up what was `seen`."""

    def __init__(self, source: SourceConfig, signer: Signer, state: State | None) -> None:
        self._source = source
        self._signer = signer
        self._state = state
        self._select = compile_path(source.table.select) if source.table.select else None
        self._key = compile_path(source.table.changes.key) if source.table.changes else None
        self._fresh: dict[str, Seen] = {}

    def id(self, item: Item) -> str:
        """Under what name a record is parked: where it stands, or in a collection its key."""
        key = self._key(item.data) if self._key else MISSING
        return f"{self._source.name}:{item.origin if key in (MISSING, None) else key}"

    def event(self, item: Item, now: datetime) -> tuple[Outgoing | None, Seen | None]:
        """The item's event (None: nothing to tell, by a named rule). Raises `Permanent`."""
        mapping = self._mapping(item)
        if mapping is None:
            return None, None
        if self._key is None:
            return event_of(mapping.record(item.data), self._signer), None
        seen, data = self._changed(item, now)
        if seen is None:
            return None, None
        event = event_of(mapping.record(data), self._signer)
        self._fresh[seen.key] = seen
        return event, seen

    def stored(self) -> None:
        """The page is stored: what was fresh is in the state now."""
        self._fresh.clear()

    def _mapping(self, item: Item) -> EventMapping | None:
        if self._select is None:
            return self._source.mappings[""]
        value = self._select(item.data)
        if value in self._source.table.ignore:
            return None
        found = self._source.mappings.get(value) if isinstance(value, str) else None
        if found is None:
            raise Permanent(
                f"source.{self._source.name}: {self._source.table.select} is {value!r}, which no mapping names; "
                f"add it to [source.{self._source.name}.mappings] or to ignore",
                f"source.{self._source.name}: no mapping for this kind of record",
            )
        return found

    def _changed(self, item: Item, now: datetime) -> tuple[Seen | None, Any]:
        """What a collection's record holds now, if that is not what it held before."""
        key = self._key(item.data) if self._key else MISSING
        if key is MISSING or key is None:
            raise Permanent(
                f"source.{self._source.name}: a record has no {self._source.table.changes}; correct changes.key",
                f"source.{self._source.name}: record without key",
            )
        text = json.dumps(item.data, sort_keys=True, ensure_ascii=False)
        digest = hashlib.sha256(text.encode()).digest()
        before = self._fresh.get(str(key))
        if before is None and self._state is not None:
            before = self._state.seen(self._source.name, str(key))
        if before is not None and before.hash == digest:
            return None, None
        number = before.version + 1 if before else 1
        at = envelope.rfc3339(now)
        name = f"{self._signer.key_id}/{self._source.name}/{key}/{number}/{digest.hex()}"
        change = {"eventId": str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "version": number, "at": at}
        return Seen(str(key), digest, number), {**item.data, "_change": change}


class Connector:
    """One campus folder at work. `run` ends only by cancellation."""

    def __init__(
        self, config: Config, state: State, bus: Bus, inbox: Inbox, clock: Clock, rng: random.Random,
        transport: Any = None,
    ) -> None:  # fmt: skip
        self.config = config
        self.state = state
        self.health = Health()
        self._bus = bus
        self._inbox = inbox
        self._clock = clock
        self._rng = rng
        self._verifier: Verifier = config.alliance.verifier()
        self._outbox_waiting = asyncio.Event()
        self._resend_at = 0.0
        self._held: Sequence[Incoming] = ()
        self._retried = False
        self._sources = [
            _OpenSource(s, s.kind.open(s.options, self._context(s.name, transport)))
            for s in config.sources
        ]
        self._sinks = [
            _OpenSink(s, s.kind.open(s.options, self._context(s.name, transport)))
            for s in config.sinks
        ]
        self._mappers = {s.name: Mapper(s, config.signer, state) for s in config.sources}
        self._log = log.bind(member=config.member.code, connector=config.member.name)

    def _context(self, name: str, transport: Any) -> Context:
        return Context(self.config.folder, self.config.member.code, name, self._clock, transport)

    async def run(self) -> None:
        """Work until cancelled, then say so and close."""
        try:
            async with asyncio.TaskGroup() as loops:
                for source in self._sources:
                    part = f"source.{source.name}"
                    self._retry_parked_records(source)
                    loops.create_task(self._keep(part, partial(self._read, source)))
                loops.create_task(self._keep("publish", self._publish))
                loops.create_task(self._keep("inbox", self._deliver))
                loops.create_task(self._keep("heartbeat", self._beat))
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
                if self.health.say(part, state, str(error) or type(error).__name__):
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
        """Events, what could not be mapped, and the cursor, in one commit."""
        mapped = self._mapped(open_.name, page.items)
        if not (moved or mapped.events or mapped.parked or mapped.mended):
            return
        added = self.state.commit_page(open_.name, page.cursor, mapped, self._now_ms())
        self._mappers[open_.name].stored()
        if added:
            self._outbox_waiting.set()
        self._log.info(
            "page_stored", source=open_.name, records=len(page.items), events=added, parked=len(mapped.parked),
            cursor=page.cursor,
        )  # fmt: skip

    def _mapped(self, source: str, items: Sequence[Item]) -> Mapped:
        """The items as events. Those parked in an earlier life that pass now are mended."""
        mapped = Mapped()
        mapper, now = self._mappers[source], self._clock.now()
        before = self.state.parked_ids("map")
        for item in items:
            try:
                event, seen = mapper.event(item, now)
            except Permanent as error:
                payload = {"source": source, "origin": item.origin, "data": item.data}
                mapped.parked.append(
                    Parked("map", mapper.id(item), str(error), error.brief, payload)
                )
                continue
            mapped.events += [event] if event else []
            mapped.seen += [seen] if seen else []
            mapped.mended += [mapper.id(item)] if before and mapper.id(item) in before else []
        return mapped

    def _retry_parked_records(self, open_: _OpenSource) -> None:
        """At start: a corrected mapping or code table lets records pass that were parked."""
        rows = [row for row in self.state.parked("map") if row.payload["source"] == open_.name]
        items = [Item(row.payload["data"], row.payload["origin"]) for row in rows]
        mapped = self._mapped(open_.name, items)
        if mapped.mended:
            self.state.commit_page(open_.name, None, mapped, self._now_ms())
            self._log.info("parked_records_passed", source=open_.name, records=len(mapped.mended))
        self._mappers[open_.name].stored()

    # To the hub -----------------------------------------------------------------------------------------------------

    async def _publish(self) -> None:
        """One batch in the order of change; or wait for something to publish."""
        self._outbox_waiting.clear()
        events = self.state.unsent(PUBLISH_LIMIT)
        again = not events
        if again:
            events = self._overdue()
        if not events:
            await self._clock.wait(self._outbox_waiting, self.config.runtime.resend_after_s / 4)
            return
        messages = [Message(event.key, event.value, event.headers) for event in events]
        await self._bus.publish(topics.outbox(self.config.member.code), messages)
        self.state.mark_sent(events, self._now_ms())
        self._log.info("events_published", events=len(events), again=again)

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
            await self._retry_parked_deliveries()
            self._retried = True
        if not self._held:
            limit = min((sink.config.table.batch for sink in self._sinks), default=200)
            self._held = await self._inbox.take(limit)
        _, seq = self.state.inbox_position()
        deliveries, taken = self._sorted(self._held, seq)
        await self._bring(deliveries, taken)
        self._held = ()

    async def _bring(
        self, deliveries: Sequence[tuple[Delivery, Incoming]], taken: Taken
    ) -> Sequence[Parked]:
        """Push, then commit what follows. What the campus rejected."""
        rejected = await self._push(deliveries)
        applied = len(deliveries) - len(rejected)
        parked = (*taken.parked, *rejected)
        self.state.commit_inbox(replace(taken, parked=parked, applied=applied), self._now_ms())
        self._log.info(
            "inbox_taken", deliveries=len(deliveries), parked=len(parked), position=taken.position
        )
        return rejected

    async def _retry_parked_deliveries(self) -> None:
        """At start: an upgrade, a new key in alliance.toml or a mended campus lets pass what was parked."""
        position, seq = self.state.inbox_position()
        for row in self.state.parked("read", "verify", "push"):
            incoming = _incoming(row.payload)
            if row.stage == "push":
                found, taken = [(self._delivery(incoming), incoming)], Taken(position, seq)
            else:
                found, taken = self._sorted([incoming], -1)
                if taken.parked:
                    continue
            rejected = await self._bring(found, replace(taken, position=position, seq=seq))
            if row.stage != "push" or not rejected:
                self.state.unpark(row.stage, row.id)

    async def _push(self, deliveries: Sequence[tuple[Delivery, Incoming]]) -> list[Parked]:
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
                    reason = f"sink.{open_.config.name}: {delivery.event} {delivery.event_id}: {verdict.message}"
                    brief = (
                        f"sink.{open_.config.name}: rejected a {delivery.kind} of {delivery.event}"
                    )
                    rejected.append(Parked("push", delivery.key, reason, brief, _payload(incoming)))
        return rejected

    def _sorted(
        self, batch: Sequence[Incoming], seq: int
    ) -> tuple[list[tuple[Delivery, Incoming]], Taken]:
        """What of a batch is new and for the campus, and what it will change in the state.

        A message whose ledger seq is not above the largest taken is a repeat. Refusals carry no seq and are told
        apart by the message they refuse. Changes nothing itself.
        """
        readable: list[tuple[Delivery, Incoming]] = []
        parked: list[Parked] = []
        for incoming in batch:
            found = _seq(incoming)
            if found is not None and found <= seq:
                continue
            seq = seq if found is None else found
            try:
                readable.append((self._delivery(incoming), incoming))
            except Permanent as error:
                stage = "verify" if isinstance(error, _Forged) else "read"
                name = str(incoming.offset)
                parked.append(Parked(stage, name, str(error), error.brief, _payload(incoming)))
        ours = [delivery.event_id for delivery, _ in readable if delivery.kind == "outcome"]
        book = _OutcomeBook(self.state.waiting(ours), self.state)
        deliveries = [
            (delivery, incoming)
            for delivery, incoming in readable
            if not isinstance(delivery.record, Outcome) or book.matters(delivery.record)
        ]
        position = batch[-1].offset + 1
        return deliveries, Taken(position, seq, book.done, book.still, book.refusals, parked)

    def _delivery(self, incoming: Incoming) -> Delivery:
        """The message as the campus will get it. Raises `Permanent`."""
        if envelope.header(incoming.headers, envelope.KIND) == b"event":
            return self._verified(incoming, _seq(incoming))
        said = _outcome(incoming)
        return Delivery(
            "outcome", said.event_type, said.event_id, _seq(incoming), said, said.outcome
        )

    def _verified(self, incoming: Incoming, seq: int | None) -> Delivery:
        """Another member's event, if that member's key signed these bytes."""
        record = _decoded(incoming)
        about = envelope_of(record)
        key = (envelope.header(incoming.headers, envelope.KEY_ID) or b"").decode("latin-1")
        signature = envelope.header(incoming.headers, envelope.SIGNATURE) or b""
        owner = self._verifier.owner(key)
        if owner != about.member or not self._verifier.valid(key, incoming.value, signature):
            raise _Forged(
                f"{record.EVENT} {about.event_id} says {about.member}, but key {key} of {owner} does not vouch "
                "for it; is alliance.toml up to date? If so, tell the hub's operators",
                f"{record.EVENT} of {about.member}: signature does not verify",
            )
        return Delivery("event", record.EVENT, about.event_id, seq, record)

    # How we are -----------------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        state, reason = self.health.overall()
        count, newest = self.state.parked_count()
        if count:
            words = f"{count} parked, newest: {newest}; run: alliance connector status"
            state = "degraded" if state == "running" else state
            reason = f"{reason}; {words}" if reason else words
        await self._say(state, reason)
        await self._clock.sleep(self.config.runtime.heartbeat_s)

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
            reason=reason,
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


class _Forged(Permanent):
    """An event whose signature does not hold."""


class _OutcomeBook:
    """Which outcomes the campus must hear of, and what they make of our outbox.

    The outcome of a second copy (`duplicate`, or a refusal of the copy) says nothing about the event once the first
    copy has its own. `parked` is not the last word: the event stays until the ledger says `applied` or `rejected`.
    """

    def __init__(self, waiting: dict[str, str | None], state: State) -> None:
        self._waiting = waiting
        self._state = state
        self.done: list[str] = []
        self.still: list[str] = []
        self.refusals: list[tuple[str, int, int]] = []

    def matters(self, said: Outcome) -> bool:
        """Whether the campus must hear of it; notes what follows for the outbox."""
        ours = said.event_id in self._waiting
        known = self._waiting.get(said.event_id)
        if said.outcome == "refused":
            refusal = (said.source_topic, said.source_partition, said.source_offset)
            if refusal in self.refusals or self._state.refusal_seen(refusal):
                return False
            self.refusals.append(refusal)
        if said.outcome in ("duplicate", "refused") and (not ours or known == "parked"):
            return False
        if said.outcome == "parked":
            if ours:
                self._waiting[said.event_id] = "parked"
                self.still.append(said.event_id)
        elif ours and not (said.outcome == "conflict" and known == "parked"):
            del self._waiting[said.event_id]
            self.done.append(said.event_id)
        return True


def _seq(incoming: Incoming) -> int | None:
    raw = envelope.header(incoming.headers, envelope.LEDGER_SEQ)
    return int(raw) if raw and raw.isdigit() else None


def _decoded(incoming: Incoming) -> Record:
    try:
        return decode(incoming.value)
    except Unreadable as error:
        raise Permanent(
            f"inbox offset {incoming.offset}: {error}; upgrade this connector, then start it again",
            "inbox: a message this version cannot read",
        ) from error


def _outcome(incoming: Incoming) -> Outcome:
    record = _decoded(incoming)
    if not isinstance(record, Outcome):
        raise Permanent(
            f"inbox offset {incoming.offset}: {record.EVENT} where an outcome belongs; tell the hub's operators",
            "inbox: a message of unknown kind",
        )
    return record


def _payload(incoming: Incoming) -> Any:
    headers = [(name, value.hex()) for name, value in incoming.headers]
    return {"offset": incoming.offset, "value": incoming.value.hex(), "headers": headers}


def _incoming(payload: Any) -> Incoming:
    headers = [(name, bytes.fromhex(value)) for name, value in payload["headers"]]
    return Incoming(payload["offset"], bytes.fromhex(payload["value"]), headers)
