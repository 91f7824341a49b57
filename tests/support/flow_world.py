"""A world: members, the hub's processes and a nemesis on one simulated bus; and the checker that looks at what it left."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from hub.events import rules
from hub.flow.admission import run_admission
from hub.flow.delivery import run_delivery
from hub.flow.kafka import Message
from hub.flow.sequencer import read_input, run_sequencer
from hub.ledger.apply import apply
from hub.ledger.audit import Audit
from hub.ledger.head import GENESIS, read_entry
from hub.ledger.state import State
from schemas import topics
from schemas.envelope import LEDGER_SEQ, header
from schemas.records import Entry
from tests.support.flow import ALLIANCE, sent
from tests.support.flow_bus import Bus, Faults, Process, Record, on_the_bus, run_virtually
from tests.support.flow_kafka import expected, outputs
from tests.support.ledger_histories import by_member, whole_cases

ROUGH = Faults(lost=0.05, unacked=0.05, late=0.08, twice=0.08)


@dataclass(frozen=True, slots=True)
class Plan:
    """What kind of world. `sequencers` compete for one partition, all at once where the brain is split."""

    seed: int
    cases: int = 4
    sequencers: int = 2
    faults: Faults = ROUGH
    split_brain: bool = False
    kills: int = 8
    freezes: int = 3
    repeats: float = 0.2
    patience_s: float = 300.0  # virtual, after the last fault


@dataclass(eq=False)
class World:
    """What is left when a world has come to rest, and what went wrong on the way."""

    plan: Plan
    bus: Bus
    event_ids: list[str] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def log(self) -> list[Entry]:
        """The entries that count."""
        return [entry for entry, _ in self.accepted()]

    def accepted(self) -> list[tuple[Entry, bytes]]:
        found, head = [], GENESIS
        for record in self.bus.topics.get(topics.LEDGER_ENTRIES, []):
            entry = read_entry(record.value)
            extended = head.extended_by(entry, record.value or b"") if entry else None
            if entry and extended:
                head = extended
                found.append((entry, record.value or b""))
        return found

    def void(self) -> int:
        return len(self.bus.topics.get(topics.LEDGER_ENTRIES, [])) - len(self.accepted())

    def inbox(self, topic: str) -> list[tuple[int, bytes]]:
        """What a reader takes from an output: a number it has had, or one before, is a repeat."""
        taken: list[tuple[int, bytes]] = []
        for record in self.bus.topics.get(topic, []):
            raw = header(record.headers, LEDGER_SEQ)
            if raw and (not taken or int(raw) > taken[-1][0]):
                taken.append((int(raw), record.value or b""))
        return taken


def run_world(plan: Plan, mutate: Callable[[], Any] | None = None) -> World:
    """Run a world to rest and check it. `mutate` is entered around it, to break something."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    async def main() -> World:
        world = World(plan, Bus(plan.seed, plan.faults, split_brain=plan.split_brain))
        with on_the_bus(world.bus):
            await _live(world)
        return world

    if mutate is None:
        world = run_virtually(main())
    else:
        with mutate():
            world = run_virtually(main())
    world.problems += check(world)
    return world  # type: ignore[no-any-return]


async def _live(world: World) -> None:
    stop = asyncio.Event()
    world.processes += _processes(world.plan, stop)
    running = [asyncio.create_task(process.run()) for process in world.processes]
    await asyncio.gather(_campuses(world), _nemesis(world))
    world.bus.faults = Faults()
    await asyncio.sleep(world.plan.faults.late_s)  # what is late lands
    try:
        await asyncio.wait_for(_rest(world), world.plan.patience_s)
    except TimeoutError:
        world.problems.append(f"no rest: {len(world.log())} entries count")
    for process in world.processes:
        process.wanted = False
        process.kill()
    await asyncio.wait(running)


def _processes(plan: Plan, stop: asyncio.Event) -> list[Process]:
    def admission(name: str) -> Process:
        return Process(
            f"admission.{name}", lambda: run_admission("bus", ALLIANCE, stop, lambda: 0, name)
        )

    def sequencer(name: str) -> Process:
        return Process(
            f"sequencer.{name}", lambda: run_sequencer("bus", ALLIANCE, rules(), stop, name)
        )

    def delivery(name: str) -> Process:
        return Process(f"delivery.{name}", lambda: run_delivery("bus", ALLIANCE, stop, name))

    numbers = [str(number) for number in range(1, plan.sequencers + 1)]
    return [
        admission("1"), admission("2"), *map(sequencer, numbers), delivery("1"), delivery("2"),
    ]  # fmt: skip


async def _campuses(world: World) -> None:
    """Every member publishes its events in order, with pauses, and now and then one again."""
    rng = world.bus.random
    boxes = by_member(whole_cases(world.plan.cases))
    world.event_ids = [event.envelope.event_id for box in boxes.values() for event in box]
    said: list[Any] = []
    while boxes:
        member = rng.choice(sorted(boxes))
        said.append(boxes[member].pop(0))
        if not boxes[member]:
            del boxes[member]
        again = [rng.choice(said)] if rng.random() < world.plan.repeats else []
        for event in (said[-1], *again):
            message = sent(event)
            world.bus.append(message.topic, [(message.key, message.value, message.headers)])
        await asyncio.sleep(rng.expovariate(2))


async def _nemesis(world: World) -> None:
    """Kills and freezes processes of any kind."""
    rng = world.bus.random
    acts = ["kill"] * world.plan.kills + ["freeze"] * world.plan.freezes
    rng.shuffle(acts)
    for act in acts:
        await asyncio.sleep(rng.uniform(0.1, 3))
        process = rng.choice(world.processes)
        if act == "kill":
            process.kill()
        else:
            world.bus.background(process.freeze(rng.uniform(1, 20)))


async def _rest(world: World) -> None:
    """All events are decided, all outputs told."""
    while True:
        await asyncio.sleep(2)
        entries = world.log()
        if not set(world.event_ids) <= {entry.event_id for entry in entries}:
            continue
        if entries[-1].input_offset + 1 != len(world.bus.topics[topics.LEDGER_IN]):
            continue
        last = {topic: told[-1][0] if told else 0 for topic, told in expected(entries).items()}
        if all((world.inbox(topic) or [(0, b"")])[-1][0] >= last[topic] for topic in outputs()):
            return


def check(world: World) -> list[str]:
    """Everything that must hold of a world at rest; empty when it does."""
    found = [f"{p.name}: {p.corrupt}" for p in world.processes if p.corrupt]
    found += [f"{p.name}: {error!r}" for p in world.processes for error in p.errors]
    accepted = world.accepted()
    entries = [entry for entry, _ in accepted]
    if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
        found.append("the sequence is not dense")
    inputs = world.bus.topics.get(topics.LEDGER_IN, [])
    decided = Counter(entry.input_offset for entry in entries if entry.input_index == 0)
    if decided != Counter(range(len(inputs))):
        found.append(f"{len(inputs)} inputs, outcomes {sorted(decided.items())[:5]}...")
    applied = Counter(entry.event_id for entry in entries if entry.outcome == "applied")
    if applied != Counter(world.event_ids):
        found.append(
            f"{len(world.event_ids)} events, {len(applied)} applied, most {max(applied.values(), default=0)} times"
        )
    found += _against_single_writer(inputs, accepted)
    for topic, told in expected(entries).items():
        if world.inbox(topic) != told:
            found.append(f"{topic} holds {len(world.inbox(topic))} of {len(told)}")
    return found


def _against_single_writer(inputs: list[Record], accepted: list[tuple[Entry, bytes]]) -> list[str]:
    """One writer alone, from the same inputs: the same bytes, the same balances, and a clean audit."""
    state, audit = State(frozenset(ALLIANCE.members)), Audit(ALLIANCE.verifier())
    written = []
    for r in inputs:
        message = Message(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
        written += apply(state, read_input(message), rules())
    for item in written:
        audit.see(item.entry)
    found = [f"{name}: {place}" for name, place in audit.finish(state)]
    if [item.value for item in written] != [value for _, value in accepted]:
        found.append("the log differs from a single writer's")
    return found
