"""Kafka as a connector sees it: publish in order, take the inbox from a position. The only place that knows aiokafka.

All connectors of a process share one idempotent producer and one consumer. Neither holds anything of value: what is to
be sent and where the inbox stands is in each connector's `State`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import aiokafka
from aiokafka import TopicPartition
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)

from connectors.sdk.clock import Clock
from connectors.sdk.config import KafkaTable
from connectors.sdk.contract import ConfigError, NoPermission, Transient
from schemas.envelope import Headers

_BATCH_BYTES = 512 * 1024
_FEW = 20  # up to so many, messages of several connectors may share a batch (heartbeats have one topic)
_BACKLOG = 2_000  # messages one campus may have waiting here before its partition is paused
_GATHER_S = (
    0.05  # the pump's rest: messages gather, so that campuses get batches and not single events
)


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish. An empty value goes out as none: only that makes Kafka's compaction drop what had the key."""

    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Incoming:
    """Something from the inbox. `offset` is Kafka's."""

    offset: int
    value: bytes
    headers: Headers


class Inbox(Protocol):
    """One member's inbox, from the position it was opened at."""

    async def take(self, limit: int) -> Sequence[Incoming]:
        """Wait for messages; at most `limit`, in order, each once. Raises `Transient` or `ConfigError`."""


class Bus(Protocol):
    """What connectors need of Kafka; `connectors.sdk.testing.FakeHub` is the other one."""

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Return when every replica has all of them, in this order. On `Transient` some may have been taken."""


class _Lane:
    """The waiting messages of one inbox.

    Where messages that the broker dropped matter to nobody, `may_skip` goes on at the oldest one there is.
    """

    def __init__(self, topic: str, position: int, *, may_skip: bool = False) -> None:
        self.may_skip = may_skip
        self.left = False  # its reader is gone: what comes is let go of
        self.tp = TopicPartition(topic, 0)
        self.position = position  # where the consumer goes on
        self.paused = False
        self.fault: Exception | None = None
        self._waiting: deque[Incoming] = deque()
        self._filled = asyncio.Event()
        self.resume: Any = None

    def fill(self, records: Sequence[Any]) -> None:
        if self.left:
            self.position = records[-1].offset + 1
            return
        self._waiting.extend(
            Incoming(record.offset, record.value or b"", list(record.headers)) for record in records
        )
        self.position = records[-1].offset + 1
        self._filled.set()

    def fail(self, fault: Exception) -> None:
        self.fault = fault
        self._filled.set()

    def go_to(self, position: int) -> None:
        """What is between here and there is gone."""
        self.position = position

    def leave(self) -> None:
        """Nobody reads here any more; the other lanes of the consumer go on."""
        self.left = True
        self._waiting.clear()
        if self.paused and self.resume is not None:
            self.resume()

    @property
    def full(self) -> bool:
        return len(self._waiting) >= _BACKLOG

    async def take(self, limit: int) -> Sequence[Incoming]:
        while not self._waiting:
            if self.fault is not None:
                fault, self.fault = self.fault, None
                raise fault
            self._filled.clear()
            await self._filled.wait()
        taken = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        if self.paused and not self.full:
            self.resume()
        return taken


class _SharedLane(_Lane):
    """A topic read once and given to several readers, each from its own position."""

    def __init__(self, topic: str, *, may_skip: bool = False) -> None:
        super().__init__(topic, 0, may_skip=may_skip)
        self._readers: list[_Lane] = []

    def reader(self, position: int) -> _Lane:
        reader = _Lane(self.tp.topic, position)
        reader.resume = self._resume
        self._readers.append(reader)
        self.position = min(one.position for one in self._readers)
        return reader

    def fill(self, records: Sequence[Any]) -> None:
        for reader in self._readers:
            new = [record for record in records if record.offset >= reader.position]
            if new:
                reader.fill(new)
                reader.paused = reader.full
        self.position = records[-1].offset + 1

    def fail(self, fault: Exception) -> None:
        for reader in self._readers:
            reader.fail(fault)

    def go_to(self, position: int) -> None:
        self.position = position
        for reader in self._readers:
            reader.position = position

    @property
    def full(self) -> bool:
        return any(reader.full for reader in self._readers)

    def _resume(self) -> None:
        """One reader has room again; the consumer goes on when all have."""
        for reader in self._readers:
            reader.paused = reader.full
        if self.paused and not self.full:
            self.resume()


class KafkaBus:
    """One producer, and as many consumers as inboxes named twice make necessary (usually one)."""

    def __init__(self, settings: KafkaTable, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._producer: Any = None
        self._lock = asyncio.Lock()
        self._groups: list[dict[str, _Lane]] = []
        self._shared: dict[str, _SharedLane] = {}
        self._pumps: list[asyncio.Task[None]] = []
        self._sending: set[asyncio.Task[None]] = set()

    def inbox(self, topic: str, position: int) -> _Lane:
        """Open an inbox; call before `start`."""
        group = next((group for group in self._groups if topic not in group), None)
        if group is None:
            group = {}
            self._groups.append(group)
        group[topic] = _Lane(topic, position)
        return group[topic]

    def shared(self, topic: str, position: int, *, may_skip: bool = False) -> _Lane:
        """Open a topic that every connector of this process reads; one consumer reads it once for all. Before `start`.

        `may_skip`: what retention took away before we read it is no fault.
        """
        lane = self._shared.get(topic)
        if lane is None:
            lane = self._shared[topic] = _SharedLane(topic, may_skip=may_skip)
            self._groups.append({topic: lane})
        return lane.reader(position)

    def start(self) -> None:
        """Begin to read; connecting happens in the background and is repeated."""
        self._pumps = [asyncio.create_task(self._pump(group)) for group in self._groups]

    async def close(self) -> None:
        """Stop reading and let go of connections."""
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._sending:
            await asyncio.wait(self._sending, timeout=5)
        async with self._lock:
            await self._drop_producer()

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        producer = await self._started_producer()
        try:
            # A task of its own: aiokafka must not be cancelled halfway through a batch it has already numbered.
            sending = asyncio.create_task(_send(producer, topic, messages))
            self._sending.add(sending)
            sending.add_done_callback(self._sent)
            await asyncio.shield(sending)
        except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
            raise NoPermission(
                f"the broker refuses writing to {topic}: {type(error).__name__}; ask the hub for the ACL"
            ) from error
        except (KafkaError, TimeoutError) as error:
            async with self._lock:
                if self._producer is producer:
                    await self._drop_producer()
            raise Transient(
                f"publishing {len(messages)} messages to {topic} failed: {_said(error)}; "
                f"is the broker at {self._settings.bootstrap} well, and does the topic exist?"
            ) from error

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled():
            sending.exception()  # whoever waited has it; whoever was cancelled sends again

    async def _started_producer(self) -> Any:
        async with self._lock:
            if self._producer is None:
                producer = aiokafka.AIOKafkaProducer(
                    **client_options(self._settings),
                    acks="all",
                    enable_idempotence=True,
                    max_batch_size=_BATCH_BYTES,
                    request_timeout_ms=10_000,
                )
                try:
                    await producer.start()
                except (KafkaError, OSError, TimeoutError) as error:
                    await producer.stop()
                    raise connect_fault(self._settings, error) from error
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.stop(), 5)

    async def _pump(self, lanes: Mapping[str, _Lane]) -> None:
        """Keep one consumer going; after a fault, a new one from where each lane stands."""
        pause_s = 0.5
        while True:
            consumer = aiokafka.AIOKafkaConsumer(
                **client_options(self._settings),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
            )
            try:
                await self._read(consumer, lanes)
            except Exception as error:  # noqa: BLE001, the outermost loop of reading: it must never end
                for lane in lanes.values():
                    lane.fail(connect_fault(self._settings, error))
                await self._clock.sleep(pause_s)
                pause_s = min(2 * pause_s, 15)
            finally:
                with suppress(KafkaError, TimeoutError):
                    await consumer.stop()

    async def _read(self, consumer: Any, lanes: Mapping[str, _Lane]) -> None:
        by_tp = {lane.tp: lane for lane in lanes.values()}
        consumer.assign(list(by_tp))
        await consumer.start()
        for tp, lane in by_tp.items():
            consumer.seek(tp, lane.position)
            lane.paused = False
        while True:
            try:
                found = await consumer.getmany(timeout_ms=1_000)
            except OffsetOutOfRangeError as error:
                await self._out_of_range(consumer, by_tp, error)
                continue
            for tp, records in found.items():
                lane = by_tp[tp]
                lane.fill(records)
                if lane.full:
                    self._pause(consumer, lane)
            await self._clock.sleep(_GATHER_S)

    def _pause(self, consumer: Any, lane: _Lane) -> None:
        """A slow campus keeps its messages at the broker; the other campuses of this process go on."""

        def resume() -> None:
            lane.paused = False
            consumer.resume(lane.tp)

        consumer.pause(lane.tp)
        lane.paused = True
        lane.resume = resume

    async def _out_of_range(
        self, consumer: Any, by_tp: Mapping[TopicPartition, _Lane], error: OffsetOutOfRangeError
    ) -> None:
        """The broker has no such offset: a person must look, since skipping could lose an event silently."""
        offsets = error.args[0] if error.args else {}
        for tp in offsets:
            lane = by_tp[tp]
            if lane.may_skip:
                first = await consumer.beginning_offsets([tp])
                lane.go_to(first[tp])
                consumer.seek(tp, first[tp])
                continue
            consumer.pause(tp)
            lane.fail(
                ConfigError(
                    f"{tp.topic} has no offset {lane.position} any more: the topic was made anew or trimmed; "
                    "compare with the ledger (alliance reconcile), then move the state file away"
                )
            )
        await self._clock.sleep(1)


async def _send(producer: Any, topic: str, messages: Sequence[Message]) -> None:
    if len(messages) <= _FEW:
        sent = [
            await producer.send(
                topic, message.value or None, key=message.key, headers=message.headers, partition=0
            )
            for message in messages
        ]
    else:
        sent = await _send_batches(producer, topic, messages)
    for result in await asyncio.gather(*sent, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


async def _send_batches(producer: Any, topic: str, messages: Sequence[Message]) -> list[Any]:
    sent = []
    batch = producer.create_batch()
    for message in messages:
        fields = {"key": message.key, "value": message.value or None, "headers": message.headers}
        if batch.append(timestamp=None, **fields) is None:
            sent.append(await producer.send_batch(batch, topic, partition=0))
            batch = producer.create_batch()
            batch.append(timestamp=None, **fields)
    sent.append(await producer.send_batch(batch, topic, partition=0))
    return sent


def client_options(settings: KafkaTable) -> dict[str, Any]:
    """The options that producer, consumer and check share."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "client_id": "alliance-connector",
        "security_protocol": settings.security,
    }
    if "SSL" in settings.security:
        options["ssl_context"] = ssl.create_default_context(cafile=settings.ca_file)
    if settings.security.startswith("SASL"):
        options["sasl_mechanism"] = settings.mechanism
        options["sasl_plain_username"] = settings.username
        options["sasl_plain_password"] = (
            settings.password.get_secret_value() if settings.password else None
        )
    return options


def connect_fault(settings: KafkaTable, error: Exception) -> Exception:
    """The error of a connection as the runtime knows it."""
    if isinstance(error, (SaslAuthenticationFailed, AuthenticationFailedError)):
        return NoPermission(
            f"the broker at {settings.bootstrap} refuses us: {_said(error)}; check kafka.username and kafka.password"
        )
    return Transient(
        f"no broker answers at {settings.bootstrap} ({_said(error)}); check kafka.bootstrap and the network"
    )


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def check_topics(settings: KafkaTable, topics: Sequence[str]) -> list[str]:
    """Topics the broker does not have. Raises `Transient` or `NoPermission` when it cannot be asked."""
    consumer = aiokafka.AIOKafkaConsumer(**client_options(settings), group_id=None)
    try:
        await consumer.start()
        known = await consumer.topics()
    except (KafkaError, OSError, TimeoutError) as error:
        raise connect_fault(settings, error) from error
    finally:
        await consumer.stop()
    return [topic for topic in topics if topic not in known]
