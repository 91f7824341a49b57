"""What every connector kind owes, whoever wrote it. Kinds and their campuses are found by folder."""

import asyncio
import importlib
from collections.abc import Callable

import pytest

from connectors.sdk.discovery import kinds
from connectors.sdk.state import Parked
from connectors.sdk.testing import (
    START,
    THEM,
    US,
    Case,
    FakeHub,
    Fuse,
    Rig,
    case_flag,
    their_request,
)
from connectors.sdk.testing_log import FakeLog

CASES: dict[str, Callable[[], Case]] = {
    f"{kind.name}: {name}": make
    for kind in kinds().values()
    for name, make in importlib.import_module(
        kind.module.removesuffix("kind") + "conformance"
    ).CASES.items()
}
SOURCES = [name for name, make in CASES.items() if make().happen]
SINKS = [name for name, make in CASES.items() if make().told is not None]


def every(names):
    return pytest.mark.parametrize("name", names)


def told_of(rig: Rig, event_id: str) -> int:
    return sum(event_id in key for key in rig.case.told or ())


async def send_requests(rig: Rig, count: int, first: int = 1) -> list[str]:
    """Requests of the other member, delivered to us; their event ids."""
    records = [their_request(first + i) for i in range(count)]
    for record in records:
        await rig.hub.deliver(US, record, rig.signers[THEM])
    return [record.envelope.event_id for record in records]


def parked_in(rig: Rig) -> list[Parked]:
    state = rig.state()
    try:
        return state.parked()
    finally:
        state.close()


def cosigned_size(rig: Rig) -> int:
    """The size of the newest checkpoint that our connector cosigned."""
    sizes = [message.value.split(b"\n")[1] for message in rig.hub.cosignatures]
    return int(sizes[-1]) if sizes else 0


def with_receipts(rig: Rig, log: FakeLog) -> None:
    """Every event left with its receipt, no evidence was made up, and no size has two cosigned roots."""
    state = rig.state()
    try:
        assert state.counts()["final_total"] == rig.case.to_tell()
        assert all(state.proofs.held(event) for event in rig.hub.applied)
        assert state.proofs.evidence() == []
    finally:
        state.close()
    texts = [message.value.partition(b"\n\n")[0] for message in rig.hub.cosignatures]
    assert len(set(texts)) == len({text.split(b"\n")[1] for text in texts})
    assert texts[-1].split(b"\n")[1] == str(len(log.entries)).encode()


def everything_told(rig: Rig) -> bool:
    return len(rig.hub.applied) >= rig.case.to_tell() and rig.quiet()


@every(SOURCES)
def test_a_second_run_tells_nothing_new(name, tmp_path):
    """Restarts are daily bread; each would double the books otherwise."""

    async def story():
        rig = Rig(tmp_path, CASES[name]())
        rig.case.happen(5)
        assert await rig.life(lambda: everything_told(rig))
        before = len(rig.hub.published)
        assert not await rig.life(lambda: len(rig.hub.published) > before, within_s=120)
        assert len(rig.hub.applied) == rig.case.to_tell() == 5

    asyncio.run(story())


@every(SOURCES)
def test_changes_arrive_in_their_order(name, tmp_path):
    """Versions count up per subject; out of order the ledger would have to park."""

    async def story():
        rig = Rig(tmp_path, CASES[name]())
        rig.case.happen(7)
        assert await rig.life(lambda: everything_told(rig))
        about = [record.envelope.subject for record in rig.hub.published]
        assert about == sorted(about, key=lambda subject: int(subject.rpartition("-")[2]))

    asyncio.run(story())


@pytest.mark.parametrize("trusting", [True, False], ids=["hub believed", "nobody believed"])
@every(CASES)
def test_a_kill_at_any_moment_loses_and_doubles_nothing(name, trusting, tmp_path):
    """Power fails between any two effects. We kill at each one in turn and look at the books after the restart.

    Where nobody is believed, an event is done with only when its receipt is here, and the connector is a witness as well.
    """

    async def story(moment: int) -> bool:
        folder = tmp_path / str(moment)
        folder.mkdir()
        log = None if trusting else FakeLog((US, THEM), 1, START)
        rig = Rig(folder, CASES[name](), FakeHub(log=log))
        if rig.case.happen:
            rig.case.happen(3)
        sent = await send_requests(rig, 3)

        def done() -> bool:
            told = rig.case.told
            cosigned = log is None or cosigned_size(rig) == len(log.entries)
            return (
                everything_told(rig)
                and cosigned
                and (
                    told is None or all(told_of(rig, event) for event in (*sent, *rig.hub.applied))
                )
            )

        fuse = Fuse(burns_at=moment)
        await rig.life(done, fuse=fuse)
        assert await rig.life(done), f"killed at {fuse.passed[-1]}, then lost something"
        assert len(rig.hub.applied) == len(set(rig.hub.applied)) == rig.case.to_tell()
        if rig.case.told is not None:
            assert len(rig.case.told) == len(set(rig.case.told)) == len(sent) + rig.case.to_tell()
        if log is not None:
            with_receipts(rig, log)
        return fuse.burnt

    moment = 1
    while asyncio.run(story(moment)):
        moment += 1
    assert moment > 10


@every(CASES)
def test_ends_cleanly_when_asked_and_goes_on_later(name, tmp_path):
    """SIGTERM may come at any time; the next start finishes the work."""

    async def story():
        rig = Rig(tmp_path, CASES[name]())
        for _ in range(3):
            if rig.case.happen:
                rig.case.happen(2)
            sent = await send_requests(rig, 1, first=len(rig.case.told or ()) + 100)
            await rig.life(lambda: bool(rig.hub.heartbeats), within_s=0)
        assert rig.hub.heartbeats[-1].state == "stopped"
        assert await rig.life(
            lambda: everything_told(rig) and (rig.case.told is None or told_of(rig, sent[0]))
        )

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name in CASES for fault in CASES[name]().faults]
)
def test_a_campus_that_misbehaves_is_asked_again_and_shown(name, fault, tmp_path):
    """Campus systems restart, time out and hide behind login pages; operators must see it and nothing may be lost."""

    async def story():
        rig = Rig(tmp_path, CASES[name]())
        if rig.case.happen:
            rig.case.happen(5)
        sent = await send_requests(rig, 5) if rig.case.told is not None else []
        rig.case.fault(fault, 3)
        shown = "failed" if fault == "401" else "degraded"
        assert await rig.life(
            lambda: (
                everything_told(rig)
                and all(told_of(rig, event) for event in sent)
                and rig.hub.heartbeats[-1].state == "running"
            )
        )
        seen = [beat for beat in rig.hub.heartbeats if beat.state == shown]
        assert seen
        assert "campus" in seen[0].reason
        assert len(rig.hub.applied) == rig.case.to_tell()
        assert all(told_of(rig, event) == 1 for event in sent)
        assert parked_in(rig) == []

    asyncio.run(story())


@every(SOURCES)
def test_a_record_that_cannot_be_mapped_parks_alone(name, tmp_path):
    """One wrong record of a student must not hold up the thousand behind it, nor vanish."""

    async def story():
        rig = Rig(tmp_path, CASES[name]())
        rig.case.happen(2)
        rig.case.spoil()
        rig.case.happen(2)
        assert await rig.life(lambda: everything_told(rig))
        assert len(rig.hub.applied) == 4
        (parked,) = parked_in(rig)
        assert parked.stage == "map"
        assert "offering.toml" in parked.reason
        assert await rig.life(lambda: any("1 parked" in beat.reason for beat in rig.hub.heartbeats))

    asyncio.run(story())


@every(SINKS)
def test_what_the_hub_delivers_twice_is_applied_once(name, tmp_path):
    """A hub that crashed may deliver again; a student must not be enrolled twice."""

    async def story():
        rig = Rig(tmp_path, CASES[name]())
        rig.hub.repeats = True
        sent = await send_requests(rig, 4)
        assert await rig.life(lambda: all(told_of(rig, event) for event in sent))
        assert [told_of(rig, event) for event in sent] == [1, 1, 1, 1]

    asyncio.run(story())


@every(SINKS)
def test_the_flag_of_a_case_is_told_once_under_its_own_id(name, tmp_path):
    """A deadline that nobody hears of is missed; one told twice is believed less the next time."""

    async def story():
        rig = Rig(tmp_path, CASES[name]())
        rig.hub.repeats = True
        await rig.hub.flag(US, "flag-1", case_flag("deadline_near"))
        await rig.hub.flag(US, "flag-2", case_flag("deadline_over"))
        assert await rig.life(rig.quiet)
        assert rig.case.told == ["flag:flag-1:", "flag:flag-2:"]
        assert parked_in(rig) == []

    asyncio.run(story())


@every(SINKS)
def test_a_poison_item_parks_alone_with_the_campus_s_words(name, tmp_path):
    """The campus refuses one enrollment; the others go on, and a person finds out why."""

    async def story():
        rig = Rig(tmp_path, CASES[name]())
        sent = await send_requests(rig, 9)
        rig.case.poison.add(sent[4])
        good = [event for event in sent if event != sent[4]]
        assert await rig.life(lambda: any(beat.state == "degraded" for beat in rig.hub.heartbeats))
        (parked,) = parked_in(rig)
        assert parked.stage == "push"
        assert sent[4] in parked.reason
        assert [key.split(":")[1] for key in rig.case.told if "event:" in key] == good

    asyncio.run(story())


def test_every_kind_brings_a_campus_for_this_suite():
    """A new kind is one folder; nobody may forget to have it examined."""
    assert {name.partition(":")[0] for name in CASES} == set(kinds())
