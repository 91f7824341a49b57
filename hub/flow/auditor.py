"""The auditor: recomputes every entry as it is written, adds the book up on its own, and leaves snapshots to start from.

It reads `ledger.entries` alone and writes no topic, so it can run on any machine, and more than once. A sequencer that
lies, or that another version of the rules misled, is named by the first entry that is not what the rules make of its
event. Signatures are left to `alliance ledger verify`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from hub.errors import LedgerCorrupt
from hub.flow.kafka import Message, plain_reader
from hub.flow.snapshots import Start, newest_start, try_to_save
from hub.ledger.audit import Audit
from hub.ledger.replay import Replay
from hub.ledger.state import Rules, State
from schemas import topics
from schemas.members import Alliance
from schemas.tlog.merkle import Frontier

log = structlog.get_logger("auditor")

BATCH = 1000
IDLE_S = 30.0
# In a pause: fewer entries are recomputed in less time than a large state is written, and ticks alone never pause.
WORTH_SAVING = 1000


@dataclass(slots=True)
class Auditing:
    """One auditor's view of the ledger. `offset` is where the newest entry stands, `saved_seq` the one of the last snapshot."""

    replay: Replay
    audit: Audit = field(default_factory=Audit)
    frontier: Frontier = field(default_factory=Frontier)
    offset: int = -1
    saved_seq: int = 0

    @classmethod
    def go_on(cls, rules: Rules, start: Start) -> Auditing:
        """From a snapshot."""
        mark = start.mark
        return cls(
            Replay(rules, start.state, start.state.head),
            start.audit or Audit(),
            mark.frontier,
            mark.offset,
            mark.seq,
        )

    def take(self, messages: Sequence[Message]) -> int:
        """Recompute what these records hold; returns how many entries counted. Raises `LedgerCorrupt` naming the first wrong one."""
        leaves: list[bytes] = []
        for message in messages:
            value = message.value or b""
            entry = self.replay.feed(value)
            if entry is None:
                continue
            self.offset = message.offset
            leaves.append(self.replay.head.hash)
            self.audit.see(entry, value)
            self._stop_on_a_breach()
        self.frontier = self.frontier.extend(leaves)
        return len(leaves)

    def between_inputs(self) -> bool:
        """Whether the log has all that the newest input made: only then is the state that of the log."""
        return not self.replay.rest()

    def new_entries(self) -> int:
        """Since the last snapshot."""
        return self.replay.head.seq - self.saved_seq

    def save(self, folder: Path) -> None:
        """Check the state as a whole, then write it down. Raises `LedgerCorrupt` instead of saving a book that does not add up."""
        self.audit.finish(self.replay.state)
        self._stop_on_a_breach()
        try_to_save(folder, self.replay.state, self.offset, self.frontier, self.audit)
        self.saved_seq = self.replay.head.seq

    def _stop_on_a_breach(self) -> None:
        if self.audit.breaches:
            name, place = self.audit.breaches[0]
            raise LedgerCorrupt(
                f"entry {self.replay.head.seq}: invariant {name} does not hold, {place}; "
                "stop the sequencer and run: alliance ledger verify"
            )


async def run_auditor(
    bootstrap: str,
    alliance: Alliance,
    rules: Rules,
    stop: asyncio.Event,
    folder: Path,
    *,
    every: int = 100_000,
    idle_s: float = IDLE_S,
    worth_saving: int = WORTH_SAVING,
) -> None:
    """Follow the log until `stop` is set. Raises `LedgerCorrupt`, naming the entry, when the books disagree.

    A snapshot is written every so many entries, when nothing came for `idle_s` and it is `worth_saving`, and at the end.
    """
    members = frozenset(alliance.members)
    start = await newest_start(bootstrap, folder, members, audited=True)
    auditing = Auditing.go_on(rules, start) if start else Auditing(Replay(rules, State(members)))
    log.info("auditing", seq=auditing.replay.head.seq)
    async with plain_reader(bootstrap, [(topics.LEDGER_ENTRIES, 0)], "hub.auditor") as reader:
        reader.seek(topics.LEDGER_ENTRIES, auditing.offset + 1)
        loop = asyncio.get_running_loop()
        newest = loop.time()
        while not stop.is_set():
            messages = await reader.batch(500, BATCH)
            if messages:
                newest = loop.time()
                log.info("audited", entries=auditing.take(messages), seq=auditing.replay.head.seq)
            wanted = worth_saving if loop.time() - newest >= idle_s else every
            if auditing.new_entries() >= wanted and auditing.between_inputs():
                await asyncio.to_thread(auditing.save, folder)
        if auditing.new_entries() > 0 and auditing.between_inputs():
            await asyncio.to_thread(auditing.save, folder)
