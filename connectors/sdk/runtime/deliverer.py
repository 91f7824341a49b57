"""From the inbox to the campus: what is genuine is brought to the sinks, then the position moves on.

Owns the order of effects between the hub's messages and the campus. What a sink will not have is parked with the campus's
words, what it cannot have at present waits; later ones of the same key go behind, and the rest flows. Whoever speaks with
sinks takes turns: the inbox, what waits, and people who have parked things tried again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config, SinkConfig
from connectors.sdk.contract import (
    ConfigError,
    Delivery,
    NotNow,
    Permanent,
    Rejected,
    Sink,
    Verdict,
)
from connectors.sdk.private.vault import Vault
from connectors.sdk.runtime.breaker import Breaker
from connectors.sdk.runtime.incoming import Found, InboxReader, packed, unparked
from connectors.sdk.runtime.kafka import Inbox, Incoming
from connectors.sdk.runtime.redrive import Report
from connectors.sdk.state.file import State, Taken
from connectors.sdk.state.parking import (
    BLOCKED,
    INBOX,
    NOT_NOW,
    READ,
    RETRY_BUDGET,
    SINK_REJECTED,
    Choice,
    Failure,
    Parked,
    Parking,
)
from connectors.sdk.trust.proofs import RETRIED
from schemas import envelope

_PAYLOADS_LIMIT = 1_000  # of the private topic, kept in one commit
_NO_PAYLOADS_S = 30.0
_BATCH_BYTES = 4 * 1024 * 1024  # messages brought at once; as JSON they are some times larger
_LOOK_S = 30.0  # what waits is looked at so often, if nothing says when it is due
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = (
    1_000,
    60_000,
)  # before a delivery that could not be brought is tried again
_LONGEST_AFTER_S = 86_400.0  # a campus that names a longer pause is asked once a day


@dataclass(frozen=True, slots=True)
class OpenSink:
    """A sink of the connector, and what it wants."""

    config: SinkConfig
    sink: Sink

    @property
    def part(self) -> str:
        return f"sink.{self.config.name}"

    def wants(self, delivery: Delivery) -> bool:
        table = self.config.table
        if delivery.kind == "outcome":
            return table.outcomes
        if delivery.kind == "flag":
            return table.flags
        return "*" in table.events or delivery.event in table.events

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """The sink's verdicts. Raises `ConfigError` when they are not one for each delivery."""
        verdicts = await self.sink.apply(batch)
        if len(verdicts) != len(batch):
            raise ConfigError(
                f"{self.part}: {len(verdicts)} verdicts for {len(batch)} deliveries; correct that kind"
            )
        return verdicts


@dataclass(slots=True)
class _Brought:
    """What became of a batch: what is to be parked, in order, and of which deliveries a sink has not taken all."""

    parked: list[Parked] = field(default_factory=list)
    missed: set[str] = field(default_factory=set)
    _stopped: set[tuple[str, str | None]] = field(default_factory=set)

    def park(self, delivery: Delivery, row: Parked) -> None:
        self.parked.append(row)
        self.missed.add(delivery.key)
        self._stopped.add((row.part, row.key))

    def stops(self, part: str, key: str) -> bool:
        return (part, key) in self._stopped


class Deliverer:
    """One connector's inbox and its sinks."""

    def __init__(
        self, config: Config, sinks: Sequence[OpenSink], state: State, inbox: Inbox, clock: Clock,
        vault: Vault | None, payloads: Inbox | None, log: Any, breaker: Breaker,
        is_held: Callable[[str], bool] = lambda _: False,
    ) -> None:  # fmt: skip
        self.waiting = asyncio.Event()  # something waits that did not before
        self._config = config
        self._sinks = sinks
        self._state = state
        self._inbox = inbox
        self._clock = clock
        self._vault = vault
        self._payloads = payloads
        self._log = log
        self._breaker = breaker
        self._is_held = is_held
        self._turn = asyncio.Lock()
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
        await self._retry_at_start()
        if not self._held:
            limit = min((sink.config.table.batch for sink in self._sinks), default=200)
            self._held = await self._inbox.take(limit)
        async with self._turn:
            batch = _bounded(self._held)
            _, seq = self._state.inbox_position()
            deliveries, taken = self._reader.sort(batch, seq)
            await self._bring(deliveries, taken)
            self._held = self._held[len(batch) :]

    async def retry_waiting(self) -> None:
        """Bring what waited and is due now; then wait for the next."""
        self.waiting.clear()
        parts = [
            part
            for part in self._parts()
            if not self._breaker.reason(part) and not self._is_held(part)
        ]
        if self._retried and any(self._state.parking.has(part) for part in parts):
            for open_ in self._sinks:
                if open_.part in parts:
                    due = Choice(open_.part, due_before=self._now_ms())
                    await self._redrive_sink(open_, due, commanded=False)
        due_at = self._state.parking.next_due(parts)
        pause_s = _LOOK_S if due_at is None else (due_at - self._now_ms()) / 1000
        await self._clock.wait(self.waiting, max(0.0, min(pause_s, _LOOK_S)))

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

    async def _bring(self, deliveries: Sequence[Found], taken: Taken) -> None:
        """Push, then commit what follows."""
        deliveries = await self._with_private(deliveries)
        brought = _Brought()
        for open_ in self._sinks:
            await self._push(open_, deliveries, brought)
        for part in {row.part for row in brought.parked}:
            rows = [row for row in brought.parked if row.part == part]
            self._breaker.admit(part, rows, self._now_ms())
        applied = sum(delivery.key not in brought.missed for delivery, _ in deliveries)
        parked = (*taken.parked, *brought.parked)
        self._commit(replace(taken, parked=parked, applied=applied))
        if brought.parked:
            self.waiting.set()
        self._log.info(
            "inbox_taken", deliveries=len(deliveries), parked=len(parked), position=taken.position
        )

    async def _push(self, open_: OpenSink, deliveries: Sequence[Found], brought: _Brought) -> None:
        """Give a sink what it wants, in the order of the ledger.

        A key stands once in each batch: whether its next delivery may follow is known only when the sink has spoken.
        """
        self._breaker.check(open_.part)
        held = self._state.parking.held(open_.part)
        batch: dict[str, Found] = {}
        for found in deliveries:
            delivery, incoming = found
            if not open_.wants(delivery):
                continue
            key = delivery.order_key
            if key in batch:
                await self._apply(open_, list(batch.values()), brought)
                batch = {}
            if key in held or brought.stops(open_.part, key):
                brought.park(delivery, _behind(open_, delivery, incoming))
            else:
                batch[key] = found
        if batch:
            await self._apply(open_, list(batch.values()), brought)

    async def _apply(self, open_: OpenSink, batch: Sequence[Found], brought: _Brought) -> None:
        verdicts = await open_.apply([delivery for delivery, _ in batch])
        for (delivery, incoming), verdict in zip(batch, verdicts, strict=True):
            if (failure := self._failure(open_, delivery, verdict, None)) is not None:
                brought.park(delivery, _row(open_, delivery, incoming, failure, self._now_ms()))

    def _failure(
        self, open_: OpenSink, delivery: Delivery, verdict: Verdict, row: Parked | None
    ) -> Failure | None:
        """What follows for a delivery the sink has not taken; `row` is where it is parked already."""
        if not isinstance(verdict, Rejected | NotNow):
            return None
        number = row.number if row else 0
        what = f"{open_.part}: {delivery.event} {delivery.event_id}: {verdict.message}"
        if isinstance(verdict, Rejected):
            brief = f"{open_.part}: rejected {_article(delivery.kind)} of {delivery.event}"
            return Failure(number, what, brief, verdict.code or SINK_REJECTED)
        now = self._now_ms()
        since = row.since if row and row.since is not None else now
        if now - since >= open_.config.table.park_after_s * 1000:
            brief = f"{open_.part}: could not be brought in {round((now - since) / 1000)} s"
            return Failure(number, what, brief, RETRY_BUDGET)
        brief = f"{open_.part}: cannot be brought at present"
        tries = row.attempts if row and row.since is not None else 0
        return Failure(number, what, brief, NOT_NOW, now + _pause_ms(tries, verdict.after_s))

    # Again ----------------------------------------------------------------------------------------------------------

    async def redrive(self, choice: Choice, *, commanded: bool) -> Report:
        """Try again what is parked of the inbox and the sinks. Of one key in order, up to the first that does not pass.

        Raises what sinks raise; what was brought before that is noted, and the rest is where it was.
        """
        report = Report()
        if choice.part in (None, INBOX):
            report.add(await self._redrive_inbox(choice, commanded=commanded))
        for open_ in self._sinks:
            if choice.part not in (None, open_.part):
                continue
            if self._is_held(open_.part):
                report.stopped = f"{open_.part} is paused; resume it first"
                continue
            report.add(await self._redrive_sink(open_, choice, commanded=commanded))
        return report

    def rehearse(self, choice: Choice) -> Report:
        """What can be told of a redrive without writing: which messages can be read and are genuine. Sinks are not asked."""
        report = Report()
        for row in self._state.parking.rows(choice, heads=True):
            if row.part != INBOX and row.part not in self._parts():
                continue
            try:
                self._read(row)
            except Permanent as error:
                report.failed.append(
                    Failure(row.number, str(error), error.brief, error.code or READ)
                )
                report.behind += self._queue_size(row) - 1
                continue
            report.unknown += self._queue_size(row)
        return report

    def turn(self) -> asyncio.Lock:
        """Held by whoever changes what is parked of the inbox or a sink."""
        return self._turn

    def _parts(self) -> list[str]:
        return [open_.part for open_ in self._sinks]

    def _queue_size(self, row: Parked) -> int:
        return 1 if row.key is None else self._state.parking.size(row.part, row.key)

    def _read(self, row: Parked) -> Found | None:
        """The delivery that was parked; None for a message that is none. Raises `Permanent`."""
        incoming = unparked(row.payload)
        if row.part != INBOX:
            return self._reader.delivery(incoming, verified=True), incoming
        found, taken = self._reader.sort([incoming], -1)
        for still in taken.parked:
            raise Permanent(still.reason, still.brief, code=still.code)
        return found[0] if found else None

    async def _redrive_sink(self, open_: OpenSink, choice: Choice, *, commanded: bool) -> Report:
        """The heads of all keys that are meant, then the next of those that passed, and so on."""
        report = Report()
        heads = (
            deque(
                number for number, _ in self._state.parking.heads(replace(choice, part=open_.part))
            )
            if choice.part in (None, open_.part)
            else deque[int]()
        )
        while heads:
            async with self._turn:
                numbers = [
                    heads.popleft() for _ in range(min(len(heads), open_.config.table.batch))
                ]
                rows = [row for number in numbers if (row := self._state.parking.row(number))]
                passed, failures = await self._try(open_, rows)
                self._note(passed, failures, commanded=commanded)
                for row in passed:
                    if row.key is not None:
                        heads += [
                            one.number for one in self._state.parking.queue(row.part, row.key, 1)
                        ]
            report.passed += len(passed)
            report.failed += [one for one in failures if one.due_at is None]
            report.waiting += [one for one in failures if one.due_at is not None]
            stopped = {one.number for one in failures}
            report.behind += sum(self._queue_size(row) - 1 for row in rows if row.number in stopped)
        if report.waiting:
            self.waiting.set()
        if report.passed:
            self._log.info("parked_deliveries_passed", part=open_.part, deliveries=report.passed)
        return report

    def _note(
        self, passed: Sequence[Parked], failures: Sequence[Failure], *, commanded: bool
    ) -> None:
        """What came of a trial, in one commit."""
        now = self._now_ms()

        def change(parking: Parking) -> None:
            parking.passed([row.number for row in passed], now)
            parking.failed(failures, now, commanded=commanded)

        self._state.repark(change, applied=len(passed))

    async def _try(
        self, open_: OpenSink, rows: Sequence[Parked]
    ) -> tuple[list[Parked], list[Failure]]:
        """Bring these heads; which are through (also what this sink wants no longer), and why the others are not."""
        passed: list[Parked] = []
        failures: list[Failure] = []
        wanted: list[tuple[Parked, Found]] = []
        for row in rows:
            try:
                found = self._read(row)
            except Permanent as error:
                failures.append(Failure(row.number, str(error), error.brief, error.code or READ))
                continue
            if found is None or not open_.wants(found[0]):
                passed.append(row)
            else:
                wanted.append((row, found))
        if wanted:
            batch = await self._with_private([found for _, found in wanted])
            verdicts = await open_.apply([delivery for delivery, _ in batch])
            for (row, _), (delivery, _), verdict in zip(wanted, batch, verdicts, strict=True):
                failure = self._failure(open_, delivery, verdict, row)
                if failure is None:
                    passed.append(row)
                else:
                    failures.append(failure)
        return passed, failures

    async def _redrive_inbox(self, choice: Choice, *, commanded: bool) -> Report:
        """Messages that could not be read or verified: an upgrade, or a new key in alliance.toml, lets them pass."""
        report = Report()
        for number, _ in self._state.parking.heads(replace(choice, part=INBOX)):
            async with self._turn:
                row = self._state.parking.row(number)
                if row is None:
                    continue
                found, taken = self._reader.sort([unparked(row.payload)], -1)
                if taken.parked:
                    still = taken.parked[0]
                    report.failed.append(Failure(number, still.reason, still.brief, still.code))
                    continue
                position, seq = self._state.inbox_position()
                here = replace(taken, position=position, seq=seq, passed=[number])
                await self._bring(found, here)
                report.passed += 1
        if report.failed:
            self._note([], report.failed, commanded=commanded)
        return report

    async def _retry_at_start(self) -> None:
        """An upgrade, a new key in alliance.toml or a mended campus lets pass what was parked."""
        if self._retried:
            return
        async with self._turn:
            self._retry_receipts()
        now = self._now_ms()
        await self.redrive(Choice(ripe_at=now), commanded=False)
        for part in self._parts():
            self._breaker.tried_again(part, now)
        self._retried = True
        self.waiting.set()

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

    def _now_ms(self) -> int:
        return envelope.to_millis(self._clock.now())


def _behind(open_: OpenSink, delivery: Delivery, incoming: Incoming) -> Parked:
    said = f"{open_.part}: waits behind an earlier delivery of its key"
    failure = Failure(0, said, said, BLOCKED)
    return _row(open_, delivery, incoming, failure, None)


def _row(
    open_: OpenSink, delivery: Delivery, incoming: Incoming, failure: Failure, now: int | None
) -> Parked:
    since = now if failure.due_at is not None else None
    return Parked(
        "push", delivery.key, failure.reason, failure.brief, packed(incoming), open_.part,
        delivery.order_key, failure.code, None, failure.due_at, since,
    )  # fmt: skip


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeio" else f"a {kind}"


def _pause_ms(tries: int, after_s: float | None) -> int:
    """Twice as long each time; never shorter than the campus asks."""
    own: int = min(_FIRST_PAUSE_MS << min(tries, 10), _LONGEST_PAUSE_MS)
    return max(own, round(min(after_s or 0.0, _LONGEST_AFTER_S) * 1000))


def _bounded(batch: Sequence[Incoming]) -> Sequence[Incoming]:
    """As many of the first as fit into `_BATCH_BYTES`; one in any case."""
    total = 0
    for number, message in enumerate(batch):
        total += len(message.value)
        if total > _BATCH_BYTES and number:
            return batch[:number]
    return batch
