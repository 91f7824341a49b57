"""The path of value as real processes on a real broker, and what a test sends and reads there."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hub.events import rules
from hub.flow.delivery import deliveries
from hub.flow.kafka import Message, Outgoing, newest_seqs, plain_reader, producer
from hub.flow.log import Replayed, replay_log
from hub.ledger.audit import Audit
from hub.ledger.head import GENESIS, Head, read_entry
from hub.run.supervisor import Supervisor, alliance_command
from hub.run.topics_cli import apply_all
from schemas import topics
from schemas.catalogue import catalogue
from schemas.codec import decode
from schemas.envelope import KIND, LEDGER_SEQ, header
from schemas.records import DeadLetter, Entry, Outcome
from tests.support.flow import ALLIANCE, Sent, alliance_toml

PARTS = ("admission", "sequencer", "delivery")
PATIENCE_S = 120.0  # machines of CI are slow, and a killed member of a group is missed for 6 s


@dataclass(slots=True)
class Hub:
    """Running parts of the hub on one broker, each under its own instance name."""

    bootstrap: str
    folder: Path
    supervisor: Supervisor
    _entries: list[Entry] = field(default_factory=list)
    _head: Head = GENESIS
    _next: int = 0
    _last: dict[str, int] = field(default_factory=dict)  # by output
    _replayed: tuple[Replayed, list[Entry]] | None = None

    async def start(self, part: str, instance: str = "1", **settings: str) -> None:
        """A part as its own process, kept running; `settings` are variables of its environment."""
        given = [f"{name}={value}" for name, value in settings.items()]
        command = [
            "/usr/bin/env", f"ALLIANCE_INSTANCE={instance}", *given, *alliance_command("run", part),
        ]  # fmt: skip
        await self.supervisor.start(f"{part}.{instance}", command)

    def kill(self, part: str, instance: str = "1") -> None:
        """SIGKILL; the supervisor starts it again."""
        self.supervisor.kill(f"{part}.{instance}")

    def last_said(self, name: str, event: str) -> str:
        """The time of the newest line of that event in a part's log; empty if there is none."""
        text = (self.supervisor.folder / f"{name}.log").read_text(errors="replace")
        lines = [json.loads(line) for line in text.splitlines() if f'"{event}"' in line]
        return str(lines[-1]["timestamp"]) if lines else ""

    async def until(
        self, what: str, done: Callable[[], object], within_s: float = PATIENCE_S
    ) -> None:
        """Wait for a condition (sync or async), or fail naming it with the ends of the logs."""
        give_up = time.monotonic() + within_s
        while True:
            found = done()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            self.supervisor.raise_if_failed()
            if time.monotonic() > give_up:
                logs = "\n".join(
                    f"{path.name}: {path.read_text(errors='replace')[-1500:]}"
                    for path in sorted(self.supervisor.folder.glob("*.log"))
                )
                raise AssertionError(f"not within {within_s:.0f} s: {what}\n{logs}")
            await asyncio.sleep(0.2)

    async def replayed(self) -> tuple[Replayed, list[Entry]]:
        """The whole log, recomputed and audited, signatures included; fails on any breach."""
        await self._read_on()
        if self._replayed is None or self._replayed[0].end_offset != self._next:
            audit, entries = Audit(ALLIANCE.verifier()), list[Entry]()

            def see(entry: Entry) -> None:
                audit.see(entry)
                entries.append(entry)

            found = await replay_log(self.bootstrap, frozenset(ALLIANCE.members), rules(), see=see)
            breaches = audit.finish(found.state)
            assert not breaches, breaches
            assert found.replay.rest() == []
            self._replayed = found, entries
        return self._replayed

    async def settled(self, event_ids: Iterable[str]) -> None:
        """Wait until each event has an outcome in the ledger and all outputs are told of the whole log."""
        wanted = set(event_ids)

        async def decided() -> bool:
            await self._read_on()
            return wanted <= {entry.event_id for entry in self._entries}

        await self.until(f"{len(wanted)} events are decided", decided)

        async def told_all() -> bool:
            await self._read_on()
            async with plain_reader(self.bootstrap, [(t, 0) for t in outputs()], "test") as reader:
                told = await newest_seqs(reader, outputs())
            return all(told[topic] >= seq for topic, seq in self._last.items())

        await self.until("all outputs are told", told_all)

    async def ticked(self) -> bool:
        """Whether the ledger has looked at its clock."""
        await self._read_on()
        return any(entry.event_type == "ledger.tick" for entry in self._entries)

    async def _read_on(self) -> None:
        """Take new records of the log through the reading rule, without recomputing them."""
        for message in await read(self.bootstrap, topics.LEDGER_ENTRIES, self._next):
            self._next = message.offset + 1
            entry = read_entry(message.value)
            head = self._head.extended_by(entry, message.value or b"") if entry else None
            if entry and head:
                self._head = head
                self._entries.append(entry)
                self._last |= {t: entry.seq for t, _ in deliveries(entry, ALLIANCE.members)}


@asynccontextmanager
async def hub(bootstrap: str, folder: Path, *parts: str) -> AsyncIterator[Hub]:
    """Topics, and these parts running; all stopped at the end. `folder` keeps their logs."""
    alliance_file = _configuration(folder)
    await apply_all(bootstrap, alliance_file)
    supervisor = Supervisor(
        folder / "log",
        {
            "ALLIANCE_FILE": str(alliance_file),
            "ALLIANCE_BOOTSTRAP": bootstrap,
            "ALLIANCE_STATE": str(folder),
        },
    )
    running = Hub(bootstrap, folder, supervisor)
    try:
        for part in parts:
            await running.start(part)
        yield running
    finally:
        await supervisor.stop()


def _configuration(folder: Path) -> Path:
    path = folder / "alliance.toml"
    path.write_text(alliance_toml(), encoding="utf-8")
    return path


async def publish(bootstrap: str, messages: Sequence[Sent], slices: int = 1) -> list[int]:
    """Append to the outboxes, in order within each; returns the offsets. In slices, with a breath between them."""
    offsets: list[int] = []
    size = max(1, -(-len(messages) // slices))
    async with producer(bootstrap, "test") as writer:
        for start in range(0, len(messages), size):
            part = messages[start : start + size]
            acks = [
                (await writer.send_whole(m.topic, [Outgoing(m.key, m.value, m.headers)]))  # type: ignore[arg-type]
                for m in part
            ]
            offsets += await asyncio.gather(*acks)
            if slices > 1:
                await asyncio.sleep(0.25)
    return offsets


async def read(bootstrap: str, topic: str, start: int = 0) -> list[Message]:
    """All of a topic's only partition, from an offset on."""
    async with plain_reader(bootstrap, [(topic, 0)], "test") as reader:
        end, found = await reader.end(topic), list[Message]()
        reader.seek(topic, start)
        while start < end:
            found += await reader.batch(200, 5000)
            start = found[-1].offset + 1 if found else start
        return found


async def dead_letters(bootstrap: str) -> dict[tuple[str, int], DeadLetter]:
    """Dead letters by topic and offset of the message they are about."""
    letters = [decode(m.value or b"") for m in await read(bootstrap, topics.DEAD_LETTERS)]
    return {(d.source_topic, d.source_offset): d for d in letters if isinstance(d, DeadLetter)}


async def told(bootstrap: str, member: str) -> tuple[dict[str, list[Outcome]], dict[int, Outcome]]:
    """What a member was told of its own: outcomes by event id, in order; refusals by offset in its outbox."""
    outcomes: dict[str, list[Outcome]] = {}
    refusals: dict[int, Outcome] = {}
    for message in await read(bootstrap, topics.inbox(member)):
        kind = header(message.headers, KIND)
        if kind in (b"event", b"flag", b"promise", b"receipts"):
            continue
        record = decode(message.value or b"")
        assert isinstance(record, Outcome)
        if kind == b"refusal":
            refusals[record.source_offset] = record
        else:
            outcomes.setdefault(record.event_id, []).append(record)
    return outcomes, refusals


def seq_of(message: Message) -> int | None:
    raw = header(message.headers, LEDGER_SEQ)
    return int(raw) if raw else None


def outputs() -> list[str]:
    """All topics that delivery writes."""
    return [
        *(topics.inbox(member) for member in ALLIANCE.members),
        *(topics.domain(name) for name in catalogue().domains()),
    ]


def expected(entries: Iterable[Entry]) -> dict[str, list[tuple[int, bytes]]]:
    """What each output must hold after these entries: seq and value, in order."""
    found: dict[str, list[tuple[int, bytes]]] = {topic: [] for topic in outputs()}
    for entry in entries:
        for topic, message in deliveries(entry, ALLIANCE.members):
            found[topic].append((entry.seq, message.value))
    return found


async def assert_told_once(running: Hub) -> None:
    """Each output holds what the log says it should, each number once and in order, and nothing else."""
    _, entries = await running.replayed()
    wanted = expected(entries)
    for topic in outputs():
        messages = await read(running.bootstrap, topic)
        held = [(seq, m.value) for m in messages if (seq := seq_of(m)) is not None]
        assert held == wanted[topic], f"{topic} differs"
