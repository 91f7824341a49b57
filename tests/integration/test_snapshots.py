"""Starting from snapshots on a real broker: the auditor leaves them, a killed sequencer takes them, broken ones cost time only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.bench.workload import Maker, make_cases, waves
from hub.events import rules
from hub.flow.log import replay_log
from hub.flow.snapshots import newest_first, newest_start
from hub.ledger.snapshot import read_mark
from schemas import topics
from schemas.codec import decode
from tests.support.broker import private_broker
from tests.support.flow import ALLIANCE, SIGNERS, Sent, sent
from tests.support.flow_kafka import Hub, hub, publish
from tests.support.ledger import MEMBERS, Ledger

pytestmark = pytest.mark.kafka

EVERY = 150  # entries between two snapshots


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker whose ledger is ours alone."""
    with private_broker(tmp_path_factory.mktemp("snapshot-broker")) as found:
        yield found.bootstrap


def workload(seed: int, cases: int) -> list[Sent]:
    """Signed events of whole cases with their own offerings, each member's own in order."""
    rooms = [
        Ledger().record(
            "offering.changed", host=host, offering_id=f"{seed}-{host}", capacity=10_000,
            id=f"offering-{seed}-{host}",
        )
        for host in MEMBERS
    ]  # fmt: skip
    made = [
        replace(case, number=case.number + seed * 100_000, offering_id=f"{seed}-{case.host}")
        for case in make_cases(MEMBERS, cases, seed)
    ]
    signed = [event for _, wave in waves(Maker(SIGNERS, seed), made) for event in wave]
    return [sent(room) for room in rooms] + [
        Sent(topics.outbox(event.member), event.key, event.value, event.headers) for event in signed
    ]


def ids(messages: Sequence[Sent]) -> list[str]:
    return [decode(m.value or b"").envelope.event_id for m in messages]  # type: ignore[union-attr]


def said(running: Hub, part: str, event: str) -> list[dict[str, Any]]:
    """The lines of that event in a part's log."""
    text = (running.supervisor.folder / f"{part}.log").read_text(errors="replace")
    return [json.loads(line) for line in text.splitlines() if f'"event": "{event}"' in line]


async def pushed(running: Hub, bootstrap: str, events: list[Sent]) -> None:
    await publish(bootstrap, events, slices=4)
    await running.settled(ids(events))


async def restarted(running: Hub) -> dict[str, Any]:
    """Kill the sequencer; returns the line with which its successor says where it begins."""
    before = len(said(running, "sequencer.1", "leading"))
    running.kill("sequencer")
    await running.until(
        "the sequencer leads again", lambda: len(said(running, "sequencer.1", "leading")) > before
    )
    return said(running, "sequencer.1", "leading")[-1]


def test_a_killed_sequencer_goes_on_from_the_newest_good_snapshot(
    own_broker: str, tmp_path: Path
) -> None:
    """From the newest; from an older one when that is cut off; from the log when none is left. The ledger is the same."""
    asyncio.run(_killed(own_broker, tmp_path))


async def _killed(bootstrap: str, folder: Path) -> None:
    snapshots = folder / "snapshots"
    everything = [workload(seed, cases) for seed, cases in enumerate((60, 60, 10, 10, 10))]
    async with hub(bootstrap, folder, "admission", "sequencer", "delivery") as running:
        await running.start("auditor", ALLIANCE_SNAPSHOT_EVERY=str(EVERY))
        await pushed(running, bootstrap, everything[0])
        await running.until("a snapshot", lambda: newest_first(snapshots))
        await pushed(running, bootstrap, everything[1])
        await running.supervisor.stop("auditor.1")  # it leaves one of all entries
        newest, older = newest_first(snapshots)
        assert not list(snapshots.glob("*.new"))

        first = await restarted(running)
        assert said(running, "sequencer.1", "snapshot_taken")[-1]["file"] == str(newest)
        assert first["seq"] == read_mark(newest.read_bytes()).seq
        await pushed(running, bootstrap, everything[2])

        newest.write_bytes(newest.read_bytes()[:-1])
        second = await restarted(running)
        assert said(running, "sequencer.1", "snapshot_unfit")[-1]["file"] == str(newest)
        assert said(running, "sequencer.1", "snapshot_taken")[-1]["file"] == str(older)
        assert second["seq"] > first["seq"]
        await pushed(running, bootstrap, everything[3])

        older.write_bytes(b"")
        taken = len(said(running, "sequencer.1", "snapshot_taken"))
        await restarted(running)
        assert len(said(running, "sequencer.1", "snapshot_taken")) == taken
        await pushed(running, bootstrap, everything[4])

        found, entries = await running.replayed()
        applied = [entry.event_id for entry in entries if entry.outcome == "applied"]
        assert sorted(applied) == sorted(name for cases in everything for name in ids(cases))
        assert found.state.parked_count() == 0


def test_an_auditor_that_was_killed_goes_on_from_its_snapshot_and_agrees_with_a_full_replay(
    own_broker: str, tmp_path: Path
) -> None:
    """The state it saves at last is that of whoever reads everything."""
    asyncio.run(_auditor(own_broker, tmp_path))


async def _auditor(bootstrap: str, folder: Path) -> None:
    snapshots = folder / "snapshots"
    async with hub(bootstrap, folder, "admission", "sequencer", "delivery") as running:
        await running.start("auditor", ALLIANCE_SNAPSHOT_EVERY=str(EVERY))
        await pushed(running, bootstrap, workload(6, 40))
        await running.until("a snapshot", lambda: newest_first(snapshots))
        running.kill("auditor")
        await pushed(running, bootstrap, workload(7, 40))
        await running.until(
            "the auditor is back", lambda: len(said(running, "auditor.1", "auditing")) == 2
        )
        full, _ = await running.replayed()
        await running.until(
            "the auditor has read all",
            lambda: said(running, "auditor.1", "audited")[-1]["seq"] == full.state.head.seq,
        )
        await running.supervisor.stop("auditor.1")
        assert said(running, "auditor.1", "auditing")[-1]["seq"] > 0
        members = frozenset(ALLIANCE.members)
        start = await newest_start(bootstrap, snapshots, members, audited=True)
        assert start is not None
        assert start.state == full.state
        quick = await replay_log(bootstrap, members, rules(), start=start)
        assert quick.end_offset == full.end_offset
