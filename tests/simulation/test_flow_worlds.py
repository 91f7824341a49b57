"""The hub's own code in seeded worlds: lost, late and doubled batches, kills, zombies, a split brain.

Any seed printed by a failure is run again by `run_world(Plan(seed=...))`. The checker is tested, too: broken hubs must
not pass it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest
import structlog

from hub.flow import delivery, kafka, sequencer
from hub.flow.delivery import run_delivery
from hub.ledger import replay
from hub.ledger.apply import Written
from hub.ledger.apply import apply as real_apply
from hub.ledger.head import Head, entry_hash
from hub.ledger.state import Input, Rules, State
from schemas import topics
from schemas.envelope import LEDGER_SEQ, header
from schemas.records import Entry
from tests.support.flow import ALLIANCE
from tests.support.flow_bus import Bus, Faults, Process, on_the_bus, run_virtually
from tests.support.flow_kafka import expected, outputs
from tests.support.flow_world import Plan, World, run_world
from tests.support.ledger import Ledger
from tests.support.ledger_histories import whole_cases

SEEDS = range(12)


def plan(seed: int) -> Plan:
    """Every second world has three sequencers that all believe to lead."""
    return Plan(seed, sequencers=2 + seed % 2, split_brain=seed % 2 == 1)


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    """A dozen worlds, run once."""
    return [run_world(plan(seed)) for seed in SEEDS]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_world_comes_to_rest_with_nothing_lost_and_nothing_doubled(
    worlds: list[World], seed: int
) -> None:
    """Readers agree, the sequence is dense, each input has one outcome, the log is a single writer's byte for byte,
    and every inbox holds its messages once and in order."""
    assert worlds[seed].problems == []


def test_the_worlds_were_rough_enough(worlds: list[World]) -> None:
    """What never happened was not tested: void records, repeats, parking, kills in all places."""
    outcomes = Counter(entry.outcome for world in worlds for entry in world.log())
    assert outcomes.keys() >= {"applied", "parked", "duplicate"}
    assert sum(world.void() for world in worlds if world.plan.split_brain) > 50
    assert sum(world.void() for world in worlds if not world.plan.split_brain) > 0
    killed = {p.name.split(".")[0] for world in worlds for p in world.processes if p.kills > 1}
    assert killed == {"admission", "sequencer", "delivery"}
    repeated = [
        topic
        for world in worlds
        for topic in outputs()
        if len(world.bus.topics.get(topic, [])) > len(world.inbox(topic))
    ]
    assert repeated, "no inbox ever held a repeat"


def test_a_seed_is_a_world() -> None:
    """A failure can be looked at again, to the byte."""
    first, second = run_world(plan(5)), run_world(plan(5))
    assert first.bus.topics == second.bus.topics


@pytest.mark.slow
def test_hundreds_of_worlds() -> None:
    """The same, many times; the first bad seed is named."""
    for seed in range(1000, 1500):
        found = run_world(plan(seed)).problems
        assert not found, f"seed {seed}: {found}"


# Broken hubs


def patched(owner: Any, name: str, value: Any) -> AbstractContextManager[None]:
    @contextlib.contextmanager
    def context() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, value)
            yield

    return context()


@contextlib.contextmanager
def accept_everything() -> Iterator[None]:
    """A reader without the reading rule."""

    def extended(self: Head, entry: Entry, value: bytes) -> Head:
        return Head(entry.seq, entry_hash(value))

    with patched(Head, "extended_by", extended):
        yield


@contextlib.contextmanager
def no_dedup() -> Iterator[None]:
    """A ledger that forgets which events it has had. Versions alone must not save it."""

    def forgetful(state: State, item: Input, rules: Rules) -> list[Written]:
        state.seen.clear()
        return real_apply(state, item, rules)

    with patched(sequencer, "apply", forgetful), patched(replay, "apply", forgetful):
        yield


@contextlib.contextmanager
def no_doubt() -> Iterator[None]:
    """A sequencer that takes an acknowledgement for acceptance, wherever its batch landed."""

    async def confirm(unconfirmed: list[tuple[Any, int]], end: int) -> int:
        for ack, count in unconfirmed:
            with contextlib.suppress(Exception):
                await ack
            end += count
        return end

    with patched(sequencer, "_confirm", confirm):
        yield


@contextlib.contextmanager
def no_waiting() -> Iterator[None]:
    """Stages that commit their position before their output is acknowledged."""
    real = kafka.Writer.send

    async def send(*args: Any, **kwargs: Any) -> list[Any]:
        await real(*args, **kwargs)
        return []

    with patched(kafka.Writer, "send", send):
        yield


@contextlib.contextmanager
def one_producer() -> Iterator[None]:
    """A sequencer that keeps its producer after a batch was lost: its numbering has a hole for ever."""
    kept: dict[str, Any] = {}

    @contextlib.asynccontextmanager
    async def producer(bootstrap: str, name: str) -> Any:
        if name not in kept:
            kept[name] = kafka.AIOKafkaProducer(bootstrap_servers=bootstrap)
        yield kafka.Writer(kept[name])

    with patched(sequencer, "producer", producer):
        yield


MUTANTS: list[Callable[[], AbstractContextManager[None]]] = [
    accept_everything, no_dedup, no_doubt, no_waiting, one_producer,
]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_broken_hub_does_not_pass(mutant: Callable[[], AbstractContextManager[None]]) -> None:
    """In most worlds at least; a checker that finds nothing here would find nothing anywhere."""
    gentle = [replace(plan(seed), kills=2, freezes=1, patience_s=30.0) for seed in (1, 3, 5, 7)]
    caught = [world.seed for world in gentle if run_world(world, mutant).problems]
    assert len(caught) >= 3, f"caught in worlds {caught} only"


# Delivery, killed everywhere


def deliver(seed: int, kill_at: int) -> tuple[Bus, int]:
    """Deliver a short log while killing delivery after the nth batch; returns the bus and the kills."""

    async def main() -> tuple[Bus, int]:
        bus = Bus(seed, Faults())
        stop = asyncio.Event()
        process = Process("delivery", lambda: run_delivery("bus", ALLIANCE, stop))
        with on_the_bus(bus):
            for written in LOG:
                bus.append(topics.LEDGER_ENTRIES, [(None, written.value, ())])
            before = bus.appends
            bus.on_append = lambda count: process.kill() if count == before + kill_at else None
            running = asyncio.create_task(process.run())
            wanted = expected(written.entry for written in LOG)
            for _ in range(200):
                await asyncio.sleep(1)
                if all(raw(bus, topic)[-1:] == told[-1:] for topic, told in wanted.items()):
                    break
            process.wanted = False
            process.kill()
            await asyncio.wait([running])
        return bus, process.kills - 1

    with patched(delivery, "BATCH", 6):
        return run_virtually(main())  # type: ignore[no-any-return]


def raw(bus: Bus, topic: str) -> list[tuple[int, bytes]]:
    """All that an output holds, repeats included."""
    return [
        (int(header(record.headers, LEDGER_SEQ) or 0), record.value or b"")
        for record in bus.topics.get(topic, [])
    ]


def _log() -> list[Written]:
    ledger = Ledger()
    for event in whole_cases(2):
        ledger.say(event)
    return ledger.entries


LOG = _log()


def test_delivery_killed_after_any_batch_goes_on_where_each_output_stopped() -> None:
    """Every place between two outputs: each output has each number once, in order, without any reader's help."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    wanted = expected(written.entry for written in LOG)
    kill_at, killed = 0, 1
    while killed:
        kill_at += 1
        bus, killed = deliver(kill_at, kill_at)
        for topic, told in wanted.items():
            assert raw(bus, topic) == told, f"killed after batch {kill_at}: {topic}"
    assert kill_at > 15, "too few batches to be killed between"


def test_without_a_look_at_the_outputs_delivery_would_double(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The test above can fail: a delivery that trusts its commits alone writes again what was written."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    async def nothing(reader: object, names: list[str]) -> dict[str, int]:
        return dict.fromkeys(names, 0)

    monkeypatch.setattr(delivery, "newest_seqs", nothing)
    wanted = expected(written.entry for written in LOG)
    doubled = [
        kill_at
        for kill_at in range(1, 12)
        if any(raw(deliver(kill_at, kill_at)[0], topic) != told for topic, told in wanted.items())
    ]
    assert doubled
