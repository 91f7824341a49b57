"""The signer's process over a bus of lists: where it goes on, how often it signs, when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hub.errors import LedgerCorrupt, SettingsError
from hub.settings import read_settings
from hub.transparency.bus import Record
from hub.transparency.files import CHECKPOINT, LogFiles
from hub.transparency.record import AnotherSigner
from hub.transparency.signer import (
    EVERY_S,
    MANY,
    SOONEST_S,
    Pace,
    load_key,
    newest_checkpoint,
    run_signer,
)
from schemas import topics
from schemas.envelope import KIND
from schemas.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from schemas.tlog.witness import AddCheckpoint
from tests.support.transparency import (
    ALLIANCE,
    KEY,
    Bench,
    Crash,
    ListBus,
    bench,
    entries,
    other_key,
)

VALUES = entries(900)


async def sign_until(bus: ListBus, folder: Path, done: Callable[[], bool]) -> None:
    """A signer's process, stopped in order when `done` says so."""
    stop = asyncio.Event()

    async def watch() -> None:
        while not done():  # noqa: ASYNC110 - a condition over lists and files has no event
            await asyncio.sleep(0.005)
        stop.set()

    async with asyncio.timeout(60):
        await asyncio.gather(
            run_signer(bus, KEY, folder / "tlog", f"sqlite:///{folder}/signer.db", stop), watch()
        )


def sizes(bus: ListBus) -> list[int]:
    return [
        AddCheckpoint.parse(v).checkpoint.size
        for v in bus.values(topics.CHECKPOINTS, b"checkpoint")
    ]


def assert_chain(bus: ListBus, folder: Path) -> None:
    with bench(folder) as place:
        Bench(
            place.files, place.record, bus.values(topics.CHECKPOINTS, b"checkpoint")
        ).assert_chain()


def test_it_follows_the_ledger_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The topic has a chain of checkpoints, each leading from the one before; the key is the origin."""
    bus = ListBus(most=100)
    bus.ledger(VALUES[:300])
    asyncio.run(sign_until(bus, tmp_path, lambda: sizes(bus)[-1:] == [300]))
    bus.ledger(VALUES[300:])
    asyncio.run(sign_until(bus, tmp_path, lambda: sizes(bus)[-1:] == [900]))
    assert_chain(bus, tmp_path)
    assert {read.key for read in bus.topics[topics.CHECKPOINTS]} == {KEY.name.encode()}
    checkpoint, _ = open_checkpoint((tmp_path / "tlog" / CHECKPOINT).read_bytes(), [KEY.verifier])
    assert checkpoint.size == 900


@pytest.mark.parametrize("moment", ["before_send", "after_send"])
def test_what_a_crash_left_unsaid_is_said_at_the_next_start(tmp_path: Path, moment: str) -> None:
    """Signed and recorded, but the topic does not have it; or has it, and the signer never heard so."""

    def crash(_topic: str) -> None:
        raise Crash(moment)

    bus = ListBus()
    bus.ledger(VALUES[:300])
    setattr(bus, moment, crash)
    with pytest.raises(Crash):
        asyncio.run(sign_until(bus, tmp_path, lambda: False))
    setattr(bus, moment, lambda _topic: None)
    asyncio.run(sign_until(bus, tmp_path, lambda: sizes(bus) == [300]))  # once, without a new entry
    bus.ledger(VALUES[300:])
    asyncio.run(sign_until(bus, tmp_path, lambda: sizes(bus)[-1:] == [900]))
    assert_chain(bus, tmp_path)


def test_a_second_signer_on_the_same_record_stops_by_name(tmp_path: Path) -> None:
    """Whichever comes second at a size: it has published nothing, the other goes on."""
    bus = ListBus()
    bus.ledger(VALUES[:300])
    url = f"sqlite:///{tmp_path}/signer.db"

    async def both() -> list[object]:
        stop = asyncio.Event()
        tasks = [
            asyncio.create_task(run_signer(bus, KEY, tmp_path / name, url, stop)) for name in "ab"
        ]
        async with asyncio.timeout(60):
            while not any(task.done() for task in tasks):
                bus.ledger(VALUES[len(bus.topics[topics.LEDGER_ENTRIES]) :][:300])
                await asyncio.sleep(0.05)
            stop.set()
            return await asyncio.gather(*tasks, return_exceptions=True)

    ends = asyncio.run(both())
    assert {type(end) for end in ends} == {AnotherSigner, type(None)}
    assert_chain(bus, tmp_path)


def test_lost_entries_stop_the_signer(tmp_path: Path) -> None:
    """A ledger shorter than what was signed is never grown from there."""
    bus = ListBus()
    bus.ledger(VALUES[:300])
    asyncio.run(sign_until(bus, tmp_path, lambda: sizes(bus) == [300]))
    del bus.topics[topics.LEDGER_ENTRIES][200:]
    with pytest.raises(LedgerCorrupt, match="entries that were signed are gone"):
        asyncio.run(sign_until(bus, tmp_path, lambda: False))
    (tmp_path / "tlog/tile/0/000").unlink()  # now it has to read all again, and finds too little
    with pytest.raises(LedgerCorrupt, match="ends with entry 200, 300 entries were signed"):
        asyncio.run(sign_until(bus, tmp_path, lambda: False))
    assert sizes(bus) == [300]


def test_lost_files_come_back(tmp_path: Path) -> None:
    """By reading the ledger from its start, once."""
    bus = ListBus(most=100)
    bus.ledger(VALUES)
    asyncio.run(sign_until(bus, tmp_path, lambda: sizes(bus)[-1:] == [900]))
    lost = tmp_path / "tlog/tile/0/001"
    content = lost.read_bytes()
    lost.unlink()
    asyncio.run(
        sign_until(
            bus,
            tmp_path,
            lambda: lost.exists() and LogFiles(tmp_path / "tlog").read("tile/0/001") == content,
        )
    )
    assert sizes(bus)[-1] == 900


def test_a_lost_checkpoint_file_is_back_at_the_next_start(tmp_path: Path) -> None:
    """Without waiting for an entry: a mirror that finds none takes the log for empty."""
    bus = ListBus()
    bus.ledger(VALUES[:300])
    asyncio.run(sign_until(bus, tmp_path, lambda: sizes(bus) == [300]))
    path = tmp_path / "tlog" / CHECKPOINT
    held = path.read_bytes()
    path.unlink()
    asyncio.run(sign_until(bus, tmp_path, path.exists))
    assert path.read_bytes() == held
    assert sizes(bus) == [300]


def test_what_others_write_into_the_topic_is_no_checkpoint_of_ours(tmp_path: Path) -> None:
    """Only the log's key counts; and a late repeat does not hide a newer one."""
    bus = ListBus()
    forged = sign_checkpoint(Checkpoint(KEY.name, 9000, bytes(32)), [other_key(KEY)])
    ours = [
        AddCheckpoint(
            0, (), sign_checkpoint(Checkpoint(KEY.name, size, bytes(32)), [KEY])
        ).to_bytes()
        for size in (5, 9, 5)
    ]
    kind = [(KIND, b"checkpoint")]
    for value in (*ours, AddCheckpoint(0, (), forged).to_bytes(), b"noise"):
        bus.put(topics.CHECKPOINTS, Record(b"", value, kind))
    bus.put(topics.CHECKPOINTS, *(Record(b"", b"x", [(KIND, b"witnessed")]) for _ in range(1200)))

    async def ask() -> Checkpoint | None:
        async with bus.reader(topics.CHECKPOINTS) as reader:
            return await newest_checkpoint(reader, KEY.verifier)

    found = asyncio.run(ask())
    assert found is not None
    assert found.size == 9


def test_it_signs_every_second_or_sooner_when_many_wait() -> None:
    """And at once after a quiet time, so that a single entry need not wait."""
    now = 100.0
    pace = Pace(lambda: now)
    assert pace.due(1)
    pace.signed()
    now += SOONEST_S / 2
    assert not pace.due(1)
    assert not pace.due(10 * MANY)
    now += SOONEST_S
    assert pace.due(MANY)
    assert not pace.due(MANY - 1)
    assert 0 < pace.wait_ms(1) <= 500
    assert pace.wait_ms(MANY) == 1
    now += EVERY_S
    assert pace.due(1)


def test_the_key_must_be_the_one_members_know(tmp_path: Path) -> None:
    """A checkpoint under another key would be of another log."""
    path = tmp_path / "log.key"
    with pytest.raises(SettingsError, match="holds no log key"):
        load_key(path, ALLIANCE)
    path.write_text(f"{KEY.private_text}\n")
    assert load_key(path, ALLIANCE) == KEY
    with pytest.raises(SettingsError, match="the alliance configuration names none"):
        load_key(path, replace(ALLIANCE, log=None))
    path.write_text(other_key(KEY).private_text)
    with pytest.raises(SettingsError, match="checkpoint_key"):
        load_key(path, ALLIANCE)


def test_the_settings_name_folders_and_record() -> None:
    """Defaults lie in the state folder, beside the read model and never in it."""
    plain = read_settings({"ALLIANCE_STATE": "/var/hub"})
    assert (plain.tlog, plain.hub_keys) == (Path("/var/hub/tlog"), Path("/var/hub/hub-keys"))
    assert plain.signer_database_url == "sqlite:////var/hub/signer.db"
    given = read_settings(
        {"ALLIANCE_TLOG": "/log", "ALLIANCE_HUB_KEYS": "/keys", "ALLIANCE_SIGNER_DATABASE": "postgresql://db/s", "ALLIANCE_POLICY": "p"}
    )  # fmt: skip
    assert (given.tlog, given.hub_keys, given.signer_database_url, given.policy_file) == (
        Path("/log"), Path("/keys"), "postgresql://db/s", "p",
    )  # fmt: skip
