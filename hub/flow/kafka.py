"""aiokafka, typed: producers and consumers as the path of value uses them.

Idempotent producers with `acks=all`; one batch per output partition in flight, so that order holds. Consumers fetch
without committing; who commits says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata

from hub.errors import RetryLater
from schemas.envelope import LEDGER_SEQ, Headers, header

log = structlog.get_logger("kafka")

BATCH_BYTES = 700_000  # below Kafka's default limit of 1 MiB for a batch, headers included
REQUEST_BYTES = 8_000_000  # what ledger.entries takes at once, see `hub.flow.plan`
FETCH_BYTES = 4_000_000
# After a broker was killed a client of aiokafka now and then never answers again (1 of 20 trials); a new one does.
ANSWER_WITHIN_S = 45.0  # three times what a single request may take
QUIET_S = 15.0  # nothing came for so long: ask whether there is something

Partition: TypeAlias = tuple[str, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """A Kafka record as read. `timestamp_ms` is Kafka's, since 1970. With a `fault`, nothing else of it could be read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to write."""

    key: bytes | None
    value: bytes
    headers: Headers


@asynccontextmanager
async def producer(bootstrap: str, name: str) -> AsyncIterator[Writer]:
    """A started idempotent producer, stopped (and flushed) at the end."""
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id=name,
        enable_idempotence=True,
        acks="all",
        max_batch_size=REQUEST_BYTES,  # we cut batches ourselves
        max_request_size=REQUEST_BYTES,
        linger_ms=0,
        request_timeout_ms=15_000,
    )
    await client.start()
    try:
        yield Writer(client)
    finally:
        await client.stop()


class Writer:
    """Writes whole batches; a future resolves to the offset of the batch's first record."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def send(
        self, topic: str, records: Sequence[Outgoing], partition: int = 0
    ) -> list[Awaitable[int]]:
        """Append the records in order, in as few batches as their size allows.

        Each awaitable is done when all replicas have its batch, and raises what Kafka said otherwise.
        """
        return [
            await self._batch(topic, partition, records[start:end])
            for start, end in cut(records, BATCH_BYTES)
        ]

    async def send_whole(
        self, topic: str, records: Sequence[Outgoing], partition: int = 0
    ) -> Awaitable[int]:
        """Append the records as one batch, whatever its size: all of them get in, or none."""
        return await self._batch(topic, partition, records)

    async def _batch(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[int]:
        builder = self._client.create_batch()
        for record in records:
            if (
                builder.append(
                    timestamp=None, key=record.key, value=record.value, headers=record.headers
                )
                is None
            ):
                raise ValueError(
                    f"{topic}: {len(records)} records do not fit one batch of {REQUEST_BYTES} bytes"
                )
        future = await answered(
            self._client.send_batch(builder, topic, partition=partition), f"writing to {topic}"
        )
        return asyncio.ensure_future(_offset(future, topic))


async def _offset(future: Awaitable[Any], topic: str) -> int:
    return int((await answered(future, f"writing to {topic}")).offset)


async def answered(call: Awaitable[T], what: str, within_s: float = ANSWER_WITHIN_S) -> T:
    """The call's result. Raises `RetryLater` when there is none in time: begin anew with another client."""
    try:
        async with asyncio.timeout(within_s):
            return await call
    except TimeoutError as error:
        raise RetryLater(
            f"{what}: Kafka's client has not answered for {within_s:.0f} s; start this part again"
        ) from error


def cut(records: Sequence[Outgoing], limit_bytes: int) -> list[tuple[int, int]]:
    """Ranges of records that stay under the limit together; a record over the limit stands alone."""
    ranges: list[tuple[int, int]] = []
    start, size = 0, 0
    for index, record in enumerate(records):
        weight = 100 + len(record.value) + len(record.key or b"")  # framing is below 100 bytes
        weight += sum(len(name) + len(value) + 10 for name, value in record.headers)
        if index > start and size + weight > limit_bytes:
            ranges.append((start, index))
            start, size = index, 0
        size += weight
    if start < len(records):
        ranges.append((start, len(records)))
    return ranges


class Reader:
    """A consumer that hands out batches in partition order."""

    def __init__(self, client: Any, *, in_group: bool = False) -> None:
        self._client = client
        self._in_group = in_group
        self._next: dict[Any, int] = {}  # offset behind the last message handed out
        self._quiet_ms = 0
        self._suspected = ""

    async def batch(self, timeout_ms: int, most: int) -> list[Message]:
        """The next messages, at most `most`; empty when none came within `timeout_ms`.

        Raises `RetryLater` when nothing comes although there is something: the client has lost its way.
        """
        try:
            found = await self._client.getmany(timeout_ms=timeout_ms, max_records=most)
        except UnicodeDecodeError:
            return await self._one_by_one(most)
        await self._watch(timeout_ms, quiet=not found)
        for tp, records in found.items():
            self._next[tp] = records[-1].offset + 1
        return [_message(record) for records in found.values() for record in records]

    async def _watch(self, waited_ms: int, *, quiet: bool) -> None:
        """After `QUIET_S` without a message look whether messages wait; if they still do after as long, it is in vain."""
        if not quiet:
            self._quiet_ms, self._suspected = 0, ""
            return
        self._quiet_ms += waited_ms
        if self._quiet_ms < 1000 * QUIET_S:
            return
        self._quiet_ms = 0
        assigned = list(self._client.assignment())
        if not assigned:
            return
        missed = await answered(self._missed(assigned), "looking for messages")
        if missed and self._suspected:
            raise RetryLater(f"{missed}, and none is handed out; start this part again")
        self._suspected = missed

    async def _missed(self, assigned: Sequence[Any]) -> str:
        """Where messages are that were not handed out; empty when there are none."""
        ends = await self._client.end_offsets(assigned)
        for tp in assigned:
            position = await self._client.position(tp)
            if ends[tp] > position:
                return f"{tp.topic} has messages up to {ends[tp]}, read is up to {position}"
        return ""

    async def _one_by_one(self, most: int) -> list[Message]:
        """The next messages, when aiokafka cannot read one of them: it takes header names for UTF-8, Kafka does not.

        What it took and did not hand out is fetched again. The rest of a batch behind such a name is as unreadable.
        """
        for tp in self._client.assignment():
            start = self._next.get(tp)
            if start is None and self._in_group:
                start = await self._client.committed(tp)
            if start is None:
                await self._client.seek_to_beginning(tp)
            else:
                self._client.seek(tp, start)
        found: list[Message] = []
        for tp in self._client.assignment():
            while len(found) < most:
                try:
                    got = await self._client.getmany(tp, timeout_ms=200, max_records=1)
                    messages = [_message(record) for record in got.get(tp, ())]
                except UnicodeDecodeError as error:
                    offset = await self._client.position(tp)
                    self._client.seek(tp, offset + 1)
                    fault = (
                        f"a header name of its batch is not UTF-8 ({error}); name headers in ASCII"
                    )
                    messages = [Message(tp.topic, tp.partition, offset, 0, None, None, (), fault)]
                if not messages:
                    break
                self._next[tp] = messages[-1].offset + 1
                found += messages
        return found

    async def end(self, topic: str, partition: int = 0) -> int:
        """The offset after the newest record."""
        return int(
            (await self._client.end_offsets([TopicPartition(topic, partition)]))[
                TopicPartition(topic, partition)
            ]
        )

    async def ends(self, topics: Iterable[str]) -> dict[str, int]:
        """The offset after the newest record of partition 0 of each topic, in one request."""
        found = await self._client.end_offsets([TopicPartition(topic, 0) for topic in topics])
        return {tp.topic: int(offset) for tp, offset in found.items()}

    async def begin(self, topic: str, partition: int = 0) -> int:
        """The offset of the oldest record kept."""
        tp = TopicPartition(topic, partition)
        return int((await self._client.beginning_offsets([tp]))[tp])

    def seek(self, topic: str, offset: int, partition: int = 0) -> None:
        tp = TopicPartition(topic, partition)
        self._client.seek(tp, offset)
        self._next[tp] = offset

    async def position(self, topic: str, partition: int = 0) -> int:
        return int(await self._client.position(TopicPartition(topic, partition)))

    def assigned(self) -> set[Partition]:
        return {(tp.topic, tp.partition) for tp in self._client.assignment()}

    async def committed(self, topic: str, partition: int = 0) -> tuple[int, str] | None:
        """Offset and note of the last commit, or None."""
        tp = TopicPartition(topic, partition)
        # The public call gives the offset without its note.
        found = (await self._client._coordinator.fetch_committed_offsets([tp])).get(tp)
        return (
            None if found is None or found.offset < 0 else (int(found.offset), str(found.metadata))
        )

    async def commit(self, offsets: Mapping[Partition, tuple[int, str]]) -> None:
        """Remember, per partition, the next offset to read, with a note of ours.

        Refused by Kafka while the group changes hands: then the next owner starts a little earlier, which all stages
        can take.
        """
        wanted = {
            TopicPartition(*tp): OffsetAndMetadata(offset, note)
            for tp, (offset, note) in offsets.items()
        }
        try:
            await answered(self._client.commit(wanted), "committing a position")
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("commit_refused", why=str(error)[:200])


def _message(record: Any) -> Message:
    return Message(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        record.headers,
    )


@asynccontextmanager
async def group_reader(
    bootstrap: str, topics: Iterable[str], group: str, instance: str, listener: Any | None = None
) -> AsyncIterator[Reader]:
    """A consumer in a group, with a fixed instance id: a restarted process takes its partitions back at once."""
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        group_instance_id=f"{group}.{instance}",
        client_id=f"{group}.{instance}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
        max_poll_interval_ms=300_000,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=100,
    )
    async with AsyncExitStack() as stack:
        client.subscribe(list(topics), listener=listener)
        await client.start()
        stack.push_async_callback(client.stop)
        yield Reader(client, in_group=True)


@asynccontextmanager
async def plain_reader(
    bootstrap: str, partitions: Iterable[Partition], name: str
) -> AsyncIterator[Reader]:
    """A consumer of fixed partitions, outside any group, from their beginning."""
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id=name,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=50,
    )
    await client.start()
    try:
        tps = [TopicPartition(*partition) for partition in partitions]
        client.assign(tps)
        for tp in tps:
            await client.seek_to_beginning(tp)
        yield Reader(client)
    finally:
        await client.stop()


class OnAssignment(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Counts assignments: a change of the count means that what was believed must be read again."""

    def __init__(self) -> None:
        self.generation = 0

    async def on_partitions_revoked(self, revoked: Any) -> None:
        self.generation += 1

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self.generation += 1


async def newest_seqs(reader: Reader, outputs: Sequence[str]) -> dict[str, int]:
    """The largest ledger sequence number in each output topic, 0 if there is none.

    Deliveries stand in ascending order, so the last one tells; messages without a number (refusals) are passed over,
    looking further and further back.
    """
    first = {topic: await reader.begin(topic) for topic in outputs}
    end = await reader.ends(outputs)
    found = dict.fromkeys(outputs, 0)
    open_topics, span = [topic for topic in outputs if end[topic] > first[topic]], 50
    while open_topics:
        start = {topic: max(first[topic], end[topic] - span) for topic in open_topics}
        for topic in outputs:
            reader.seek(topic, start.get(topic, end[topic]))
        reached = dict(start)
        while any(reached[topic] < end[topic] for topic in open_topics):
            for message in await reader.batch(200, 2000):
                raw = header(message.headers, LEDGER_SEQ)
                reached[message.topic] = message.offset + 1
                if raw:
                    found[message.topic] = max(found[message.topic], int(raw))
        open_topics = [t for t in open_topics if not found[t] and start[t] > first[t]]
        span *= 8
    return found
