"""Kafka in memory, seeded and in virtual time, for the hub's own code: admission, sequencer and delivery run unchanged.

It stands in for aiokafka's two clients, which is all of Kafka that `hub.flow` knows. Producers lose acknowledgements and
batches, batches land late or twice, processes are killed and frozen, groups notice late. Everything follows from the
seed. What it keeps of Kafka's promises: a partition has an order, and batches of one producer's session keep theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaTimeoutError
from aiokafka.structs import OffsetAndMetadata

from hub.errors import LedgerCorrupt
from tests.support.ledger import T0_MS

SESSION_S = 6.0


# Virtual time


class _Selector(selectors.SelectSelector):
    """Nothing ever comes from outside; waiting only moves the clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everything waits for everything: a deadlock")
        self.loop.now += max(timeout, 0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while all tasks wait."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def run_virtually(main: Awaitable[Any]) -> Any:
    """Run to the end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)  # type: ignore[arg-type]


# Processes


@dataclass(eq=False)
class Process:
    """One of the hub's processes: restarted when it dies, as a supervisor does."""

    name: str
    main: Callable[[], Awaitable[None]]
    alive: bool = True
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    kills: int = 0
    corrupt: str = ""
    wanted: bool = True
    errors: list[BaseException] = field(default_factory=list)

    async def run(self) -> None:
        """Until it is no longer wanted. `LedgerCorrupt` ends it for good: the checker wants to know."""
        while self.wanted:
            self.alive = True
            self.awake.set()
            context = copy_context()
            context.run(_process.set, self)
            self.task = asyncio.create_task(self.main(), context=context)  # type: ignore[arg-type]
            await asyncio.wait([self.task])
            self.alive = False
            error = None if self.task.cancelled() else self.task.exception()
            if isinstance(error, LedgerCorrupt):
                self.corrupt = str(error)
                return
            if error is not None and not isinstance(error, KafkaTimeoutError):
                self.errors.append(error)
            await asyncio.sleep(0.2)

    def kill(self) -> None:
        """As SIGKILL: no cleanup reaches the broker."""
        self.alive = False
        self.kills += 1
        if self.task is not None:
            self.task.cancel()

    async def freeze(self, seconds: float) -> None:
        """As SIGSTOP and SIGCONT: a zombie when it wakes."""
        self.awake.clear()
        await asyncio.sleep(seconds)
        self.awake.set()


_process: ContextVar[Process] = ContextVar("process")


# The broker


@dataclass(frozen=True, slots=True)
class Record:
    """What aiokafka's consumer hands out."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a batch meets which fate; the rest is written and acknowledged."""

    lost: float = 0.0  # never written, no acknowledgement
    unacked: float = 0.0  # written, no acknowledgement
    late: float = 0.0  # no acknowledgement, written up to `late_s` later
    twice: float = 0.0  # written, and a second time up to `late_s` later
    late_s: float = 20.0


@dataclass(eq=False)
class Group:
    """A consumer group: members by instance name, committed positions."""

    members: dict[str, FakeConsumer] = field(default_factory=dict)
    generation: int = 0
    committed: dict[TopicPartition, OffsetAndMetadata] = field(default_factory=dict)


class Bus:
    """All topics, one partition each."""

    def __init__(self, seed: int, faults: Faults = Faults(), *, split_brain: bool = False) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.split_brain = split_brain  # every member of a group believes to own all partitions
        self.topics: dict[str, list[Record]] = {}
        self.groups: dict[str, Group] = {}
        self.changed = asyncio.Event()
        self.appends = 0
        self.on_append: Callable[[int], None] = lambda _: None
        self.closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def append(self, topic: str, batch: list[tuple[Any, Any, Any]]) -> int:
        """Write a batch; returns the offset of its first record."""
        log = self.topics.setdefault(topic, [])
        first = len(log)
        now = asyncio.get_running_loop().time()
        stamp = T0_MS + int(now * 1000) - self.random.randrange(20)  # Kafka's clock is not perfect
        for key, value, headers in batch:
            log.append(Record(topic, 0, len(log), stamp, key, value, tuple(headers)))
        self.changed.set()
        self.appends += 1
        self.on_append(self.appends)
        return first

    def background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Something that happens by itself, while the bus is in use."""
        if self.closed:
            work.close()
            return
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def later(self, seconds: float, act: Callable[[], Any]) -> None:
        await asyncio.sleep(seconds)
        act()

    # Groups

    def join(self, group: str, member: FakeConsumer) -> None:
        """A new member; one of the same instance name takes the old one's place at once."""
        self.groups.setdefault(group, Group()).members[member.instance] = member
        self._rebalance(group)

    def leave(self, group: str, member: FakeConsumer) -> None:
        """Noticed when its session ends, if nobody took its place by then."""

        def gone() -> None:
            held = self.groups[group].members
            if held.get(member.instance) is member:
                del held[member.instance]
                self._rebalance(group)

        self.background(self.later(SESSION_S, gone))

    def _rebalance(self, name: str) -> None:
        group = self.groups[name]
        group.generation += 1
        members = [group.members[instance] for instance in sorted(group.members)]
        wanted = sorted({TopicPartition(t, 0) for m in members for t in m.subscribed})
        for number, member in enumerate(members):
            share = wanted if self.split_brain else wanted[number :: len(members)]
            delay = self.random.uniform(0, 1)
            self.background(member.take(delay, group.generation, set(share)))

    # What aiokafka offers

    def clients(self) -> dict[str, Any]:
        """Replacements for the names `hub.flow.kafka` imports from aiokafka."""
        return {
            "AIOKafkaProducer": lambda **_: FakeProducer(self),
            "AIOKafkaConsumer": lambda **said: FakeConsumer(self, **said),
        }


class FakeBatch:
    def __init__(self) -> None:
        self.records: list[tuple[Any, Any, Any]] = []

    def append(self, *, timestamp: None, key: Any, value: Any, headers: Any) -> object:
        self.records.append((key, value, tuple(headers)))
        return self


@dataclass(frozen=True, slots=True)
class Metadata:
    offset: int


class FakeProducer:
    """One session: batches of a topic are written in order; after one that failed, none is."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.process = _process.get(None)
        self.broken = False
        self.queues: dict[str, asyncio.Queue[tuple[list[Any], asyncio.Future[Metadata]]]] = {}
        self.open: set[asyncio.Future[Metadata]] = set()

    async def start(self) -> None:
        await asyncio.sleep(0)

    async def stop(self) -> None:
        if self.process is None or self.process.alive:
            while self.open:
                await asyncio.wait(self.open)

    def create_batch(self) -> FakeBatch:
        return FakeBatch()

    async def send_batch(
        self, batch: FakeBatch, topic: str, *, partition: int
    ) -> asyncio.Future[Metadata]:
        if self.process is not None:
            await self.process.awake.wait()
        assert partition == 0
        future: asyncio.Future[Metadata] = asyncio.get_running_loop().create_future()
        future.add_done_callback(self._done)
        self.open.add(future)
        if topic not in self.queues:
            self.queues[topic] = asyncio.Queue()
            self.bus.background(self._write(topic))
        self.queues[topic].put_nowait((batch.records, future))
        return future

    def _done(self, future: asyncio.Future[Metadata]) -> None:
        self.open.discard(future)
        if not future.cancelled():
            future.exception()  # whoever wanted to know has asked

    async def _write(self, topic: str) -> None:
        bus, rng = self.bus, self.bus.random
        while True:
            records, future = await self.queues[topic].get()
            await asyncio.sleep(rng.uniform(0.001, 0.05))
            dead = self.process is not None and not self.process.alive
            if dead and rng.random() < 0.5:  # was still in the process, not on the wire
                self.broken = True
            fate = self._fate(rng.random())
            if self.broken or fate in ("lost", "late"):
                if fate == "late" and not self.broken:
                    self._write_later(topic, records)
                self.broken = True
                await self._fail(future)
                continue
            offset = bus.append(topic, records)
            if fate == "twice":
                self._write_later(topic, records)
            if fate == "unacked":
                self.broken = True
                await self._fail(future)
            elif not future.done():
                future.set_result(Metadata(offset))

    def _write_later(self, topic: str, records: list[Any]) -> None:
        seconds = self.bus.random.uniform(0, self.bus.faults.late_s)
        self.bus.background(self.bus.later(seconds, lambda: self.bus.append(topic, records)))

    def _fate(self, drawn: float) -> str:
        for name in ("lost", "unacked", "late", "twice"):
            drawn -= getattr(self.bus.faults, name)
            if drawn < 0:
                return name
        return "written"

    async def _fail(self, future: asyncio.Future[Metadata]) -> None:
        await asyncio.sleep(self.bus.random.uniform(0.1, 3))
        if not future.done():
            future.set_exception(KafkaTimeoutError())


class FakeConsumer:
    """A consumer of fixed partitions, or a member of a group."""

    def __init__(
        self,
        bus: Bus,
        *,
        group_id: str | None = None,
        group_instance_id: str | None = None,
        **_: Any,
    ) -> None:
        self.bus = bus
        self.process = _process.get(None)
        self.group = group_id
        self.instance = group_instance_id or ""
        self.subscribed: list[str] = []
        self.listener: Any = None
        self.generation = 0
        self.held: set[TopicPartition] = set()
        self.next: dict[TopicPartition, int] = {}
        self._coordinator = self

    # aiokafka's names from here on

    def subscribe(self, topics: list[str], listener: Any = None) -> None:
        self.subscribed, self.listener = topics, listener

    async def start(self) -> None:
        if self.group is not None:
            self.bus.join(self.group, self)
        await asyncio.sleep(0)

    async def stop(self) -> None:
        if self.group is not None:
            self.bus.leave(self.group, self)

    def assign(self, partitions: list[TopicPartition]) -> None:
        self.held = set(partitions)

    def assignment(self) -> set[TopicPartition]:
        return self.held

    async def take(self, delay: float, generation: int, share: set[TopicPartition]) -> None:
        """The group's word reaches this member, some time later."""
        await asyncio.sleep(delay)
        if self.process is not None:
            await self.process.awake.wait()
            if not self.process.alive:
                return
        if generation < self.generation:
            return
        if self.listener is not None:
            await self.listener.on_partitions_revoked(self.held)
        self.generation = generation
        kept = self.bus.groups[self.group or ""].committed
        for tp in share - self.held:
            self.next[tp] = kept[tp].offset if tp in kept else 0
        self.held = share
        if self.listener is not None:
            await self.listener.on_partitions_assigned(share)

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Record]]:
        give_up = asyncio.get_running_loop().time() + timeout_ms / 1000
        while True:
            await asyncio.sleep(self.bus.random.uniform(0.0005, 0.01))
            if self.process is not None:
                await self.process.awake.wait()
            left = self.bus.random.randint(1, max_records)  # a fetch brings what it brings
            found: dict[TopicPartition, list[Record]] = {}
            for tp in sorted(self.held):
                start = self.next.get(tp, 0)
                records = self.bus.topics.get(tp.topic, [])[start : start + left]
                if records:
                    found[tp] = records
                    self.next[tp] = start + len(records)
                    left -= len(records)
                if not left:
                    break
            now = asyncio.get_running_loop().time()
            if found or now >= give_up:
                return found
            self.bus.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.bus.changed.wait(), give_up - now)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(0)
        return {tp: len(self.bus.topics.get(tp.topic, [])) for tp in partitions}

    async def beginning_offsets(
        self, partitions: list[TopicPartition]
    ) -> dict[TopicPartition, int]:
        await asyncio.sleep(0)
        return dict.fromkeys(partitions, 0)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.next[partition] = offset

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        for tp in partitions:
            self.next[tp] = 0

    async def position(self, partition: TopicPartition) -> int:
        return self.next.get(partition, 0)

    async def fetch_committed_offsets(
        self, partitions: list[TopicPartition]
    ) -> Mapping[TopicPartition, OffsetAndMetadata]:
        await asyncio.sleep(0)
        kept = self.bus.groups[self.group or ""].committed
        return {tp: kept[tp] for tp in partitions if tp in kept}

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        await asyncio.sleep(self.bus.random.uniform(0.001, 0.02))
        if self.process is not None:
            await self.process.awake.wait()
        group = self.bus.groups[self.group or ""]
        if group.members.get(self.instance) is not self or group.generation != self.generation:
            raise CommitFailedError("the group has changed")
        group.committed.update(offsets)


@contextlib.contextmanager
def on_the_bus(bus: Bus) -> Iterator[None]:
    """`hub.flow` talks to this bus."""
    from hub.flow import kafka

    real = {name: getattr(kafka, name) for name in bus.clients()}
    try:
        for name, fake in bus.clients().items():
            setattr(kafka, name, fake)
        yield
    finally:
        bus.closed = True
        for name, held in real.items():
            setattr(kafka, name, held)
