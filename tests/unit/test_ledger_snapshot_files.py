"""Starting from a snapshot file: which one is taken, which is passed over and why, and who writes them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from hub.errors import LedgerCorrupt, SettingsError
from hub.events import rules
from hub.flow import snapshots
from hub.flow.auditor import run_auditor
from hub.flow.log import replay_log
from hub.flow.snapshots import Start, newest_first, newest_start, rules_name, save
from hub.ledger.audit import Audit
from hub.ledger.snapshot import dump, mark_of, read_mark
from hub.settings import read_settings
from schemas import topics
from schemas.codec import encode
from schemas.tlog.merkle import Frontier
from tests.support.flow import ALLIANCE
from tests.support.flow_bus import Bus, on_the_bus
from tests.support.ledger import Ledger

MEMBERS = frozenset(ALLIANCE.members)


@pytest.fixture
def ledger() -> Ledger:
    """One with something parked, and its release: the last input makes two entries."""
    made = Ledger(sorted(MEMBERS))
    made.in_case("r1", "3", "2")
    made.rule("r1", "3", "5")
    made.request("e9", "physics")
    made.offer("physics")
    return made


def prefix(ledger: Ledger, inputs: int) -> Ledger:
    """What the ledger was after so many inputs."""
    made = Ledger(sorted(MEMBERS))
    for item in ledger.inputs[:inputs]:
        made._take(item)
    return made


def tree(ledger: Ledger) -> Frontier:
    return Frontier().extend(
        [w.entry.prev_hash for w in ledger.entries[1:]] + [ledger.state.head.hash]
    )


def kept(folder: Path, ledger: Ledger, offset: int | None = None) -> Path:
    audit = Audit()
    for written in ledger.entries:
        audit.see(written.entry, written.value)
    place = len(ledger.entries) - 1 if offset is None else offset
    return save(folder, ledger.state, place, tree(ledger), audit)


def with_log(values: list[bytes], act: Callable[[Bus], Awaitable[Any]]) -> Any:
    """Do something on a bus whose `ledger.entries` holds these records."""

    async def main() -> Any:
        bus = Bus(1)
        bus.append(topics.LEDGER_ENTRIES, [(None, value, ()) for value in values])
        with on_the_bus(bus):
            return await act(bus)

    return asyncio.run(main())


def values(ledger: Ledger) -> list[bytes]:
    return [written.value for written in ledger.entries]


def started(folder: Path, log: list[bytes], **said: Any) -> tuple[Start | None, list[str]]:
    """The snapshot that is taken, and why others were not."""
    with capture_logs() as lines:
        start = with_log(log, lambda _: newest_start("", folder, MEMBERS, **said))
    return start, [line["why"] for line in lines if line["event"] == "snapshot_unfit"]


# Which one is taken


def test_the_newest_snapshot_is_taken_and_the_tail_is_recomputed(
    ledger: Ledger, tmp_path: Path
) -> None:
    """The state at the end is the one of a full replay."""
    kept(tmp_path, prefix(ledger, 4))
    half = prefix(ledger, 7)
    kept(tmp_path, half)

    async def both(_: Bus) -> tuple[int, Any, Any]:
        start = await newest_start("", tmp_path, MEMBERS)
        seq = start.mark.seq if start else 0
        quick = await replay_log("", MEMBERS, rules(), start=start)
        return seq, quick, await replay_log("", MEMBERS, rules())

    seq, quick, full = with_log(values(ledger), both)
    assert seq == half.state.head.seq
    assert quick.state == full.state == ledger.state
    assert quick.end_offset == full.end_offset == len(ledger.entries)


def test_a_snapshot_of_the_very_end_needs_no_tail(ledger: Ledger, tmp_path: Path) -> None:
    """Then nothing is read but the one record it names."""
    kept(tmp_path, ledger)

    async def quick(_: Bus) -> Any:
        start = await newest_start("", tmp_path, MEMBERS)
        return await replay_log("", MEMBERS, rules(), start=start)

    found = with_log(values(ledger), quick)
    assert (found.state, found.end_offset) == (ledger.state, len(ledger.entries))


def test_void_records_before_and_behind_do_no_harm(ledger: Ledger, tmp_path: Path) -> None:
    """Offsets count them, sequence numbers do not."""
    half = prefix(ledger, 6)
    log = [b"junk", *values(half), values(half)[-1], *values(ledger)[len(half.entries) :]]
    kept(tmp_path, half, offset=len(half.entries))

    async def quick(_: Bus) -> Any:
        start = await newest_start("", tmp_path, MEMBERS)
        assert start is not None
        return await replay_log("", MEMBERS, rules(), start=start)

    assert with_log(log, quick).state == ledger.state


def test_without_a_folder_the_log_is_read(ledger: Ledger, tmp_path: Path) -> None:
    """A second machine has no files of the first."""
    assert started(tmp_path / "nothing", values(ledger)) == (None, [])


# Which is passed over, and why


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(_truncated, "SHA-256"), (_flipped, "SHA-256"), (_empty, "begins with"), (_folder, "directory")],
)  # fmt: skip
def test_a_broken_file_gives_way_to_the_one_before_it(
    ledger: Ledger, tmp_path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    """It never stops the start."""
    old = kept(tmp_path, prefix(ledger, 4))
    spoil(kept(tmp_path, prefix(ledger, 7)))
    start, reasons = started(tmp_path, values(ledger))
    assert start is not None
    assert start.mark == read_mark(old.read_bytes())
    assert len(reasons) == 1
    assert why in reasons[0]


def test_with_all_files_broken_the_log_is_read(ledger: Ledger, tmp_path: Path) -> None:
    """At last there is always the log."""
    for inputs in (4, 7):
        _truncated(kept(tmp_path, prefix(ledger, inputs)))
    start, reasons = started(tmp_path, values(ledger))
    assert start is None
    assert len(reasons) == 2


def test_a_snapshot_of_another_ledger_is_not_taken(ledger: Ledger, tmp_path: Path) -> None:
    """Same members, same length, other content: a start from it would append to a log that it does not know."""
    other = Ledger(sorted(MEMBERS))
    for number in range(6):
        other.offer(f"o{number}")
    kept(tmp_path, other)
    start, reasons = started(tmp_path, values(ledger))
    assert start is None
    assert "another ledger" in reasons[0]


def test_a_snapshot_of_a_place_behind_the_log_is_not_taken(ledger: Ledger, tmp_path: Path) -> None:
    """The log lost its end, or is a new one."""
    kept(tmp_path, ledger)
    start, reasons = started(tmp_path, values(ledger)[:-3])
    assert start is None
    assert f"ends at {len(ledger.entries) - 3}" in reasons[0]


def test_a_snapshot_by_other_rules_is_not_taken(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they decided otherwise is in the state and cannot be seen there; from the log it is recomputed and found."""
    kept(tmp_path, ledger)
    monkeypatch.setattr(snapshots, "rules_name", lambda: "others")
    start, reasons = started(tmp_path, values(ledger))
    assert start is None
    assert reasons == [f"it is of rules {rules_name()}, here are others"]


def test_a_snapshot_of_other_members_is_not_taken(ledger: Ledger, tmp_path: Path) -> None:
    """Who hears of what all members hear follows from the configuration."""
    state = replace(ledger.state, members=frozenset({*MEMBERS, "99999"}))
    path = tmp_path / f"ledger-{state.head.seq:012d}.snapshot"
    mark = mark_of(state, len(ledger.entries) - 1, tree(ledger), rules_name())
    path.write_bytes(b"".join(dump(state, mark)))
    start, reasons = started(tmp_path, values(ledger))
    assert start is None
    assert "99999" in reasons[0]


def test_a_snapshot_without_its_audit_is_nothing_for_an_auditor(
    ledger: Ledger, tmp_path: Path
) -> None:
    """It would have to trust sums that it did not add up."""
    path = kept(tmp_path, ledger)
    path.with_suffix(".audit").unlink()
    assert started(tmp_path, values(ledger))[0] is not None
    start, reasons = started(tmp_path, values(ledger), audited=True)
    assert start is None
    assert ".audit" in reasons[0]


def test_looking_for_garbage_goes_on_after_a_start(ledger: Ledger, tmp_path: Path) -> None:
    """It is only switched off while millions of objects are made."""
    kept(tmp_path, ledger)
    _truncated(kept(tmp_path, prefix(ledger, 4)))
    assert gc.isenabled()
    started(tmp_path, values(ledger))
    assert gc.isenabled()


# Files


def test_the_newest_two_are_kept(ledger: Ledger, tmp_path: Path) -> None:
    """One may be broken; a third would only fill the disk."""
    written = [kept(tmp_path, prefix(ledger, inputs)) for inputs in (3, 5, 7)]
    assert newest_first(tmp_path) == written[:0:-1]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".audit"] * 2 + [".snapshot"] * 2


def test_a_snapshot_that_cannot_be_finished_leaves_nothing(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full in the middle must not leave half a file under a good name, nor its beginning for ever."""
    good = kept(tmp_path, prefix(ledger, 4))
    before = sorted(tmp_path.iterdir())

    def full(*_: Any) -> Any:
        yield b"the first part"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots, "dump_audit", full)
    with pytest.raises(OSError, match="No space"):
        kept(tmp_path, ledger)
    assert sorted(tmp_path.iterdir()) == before
    assert newest_first(tmp_path) == [good]


def test_the_rules_have_another_name_when_a_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources and schemas, not what Python compiles of them."""
    package = tmp_path / "bent_rules"
    package.mkdir()
    rule = package / "__init__.py"
    rule.write_text("LIMIT = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(snapshots, "_DECIDING", ("bent_rules",))
    named = rules_name.__wrapped__
    first = named()
    (package / "notes.txt").write_text("no rule")
    assert named() == first
    rule.write_text("LIMIT = 2\n")
    second = named()
    (package / "more.avsc").write_text("{}")
    assert len({first, second, named()}) == 3


# The auditor


async def until(done: Callable[[], object]) -> None:
    for _ in range(2000):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 20 s")


def audited(
    log: list[bytes],
    folder: Path,
    more: Sequence[bytes] = (),
    pause: Callable[[], object] = lambda: True,
    **said: Any,
) -> list[dict[str, Any]]:
    """Run an auditor until it has read all, with a pause before `more` comes; returns what it logged."""
    lines: list[dict[str, Any]] = []

    async def main(bus: Bus) -> None:
        stop = asyncio.Event()
        running = asyncio.ensure_future(
            run_auditor("", ALLIANCE, rules(), stop, folder, **({"idle_s": 60.0} | said))
        )

        def read_up_to(seq: int) -> bool:
            return running.done() or any(line.get("seq") == seq for line in lines)

        await until(lambda: read_up_to(len(log)))
        if more:
            await until(pause)
            bus.append(topics.LEDGER_ENTRIES, [(None, value, ()) for value in more])
            await until(lambda: read_up_to(len(log) + len(more)))
        stop.set()
        await running

    with capture_logs() as captured:
        lines = captured  # type: ignore[assignment]  # mappings that can be changed
        with_log(log, main)
    return lines


def test_an_auditor_leaves_a_snapshot_when_it_is_stopped(ledger: Ledger, tmp_path: Path) -> None:
    """The next start of whoever is quick."""
    audited(values(ledger), tmp_path)
    start, _ = started(tmp_path, values(ledger), audited=True)
    assert start is not None
    assert start.state == ledger.state
    assert (start.mark.offset, start.mark.frontier) == (len(ledger.entries) - 1, tree(ledger))


def test_an_auditor_goes_on_from_its_own_snapshot(ledger: Ledger, tmp_path: Path) -> None:
    """With all it has added up: in the end it says what one says that read everything."""
    half = prefix(ledger, 6)
    audited(values(half), tmp_path)
    lines = audited(values(half), tmp_path, values(ledger)[len(half.entries) :])
    assert [line["seq"] for line in lines if line["event"] == "auditing"] == [half.state.head.seq]
    at_once = tmp_path / "at-once"
    audited(values(ledger), at_once)
    (name, *_), (other, *_) = newest_first(tmp_path), newest_first(at_once)
    assert name.name == other.name
    start, _ = started(tmp_path, values(ledger), audited=True)
    whole, _ = started(at_once, values(ledger), audited=True)
    assert start == whole


@pytest.mark.parametrize("said", [{"every": 5}, {"idle_s": 0.05, "worth_saving": 5}])
def test_an_auditor_saves_each_so_many_entries_and_in_a_pause(
    ledger: Ledger, tmp_path: Path, said: dict[str, Any]
) -> None:
    """Not only at its end: a machine that is lost gives no signal."""
    half = prefix(ledger, 7)
    rest = values(ledger)[len(half.entries) :]
    lines = audited(values(half), tmp_path, rest, lambda: newest_first(tmp_path), **said)
    saved = [line["seq"] for line in lines if line["event"] == "snapshot_written"]
    assert saved[0] <= half.state.head.seq
    assert saved[-1] == ledger.state.head.seq


@pytest.mark.parametrize("said", [{"every": 10_000}, {"idle_s": 0.01, "worth_saving": 10_000}])
def test_an_auditor_does_not_write_a_large_state_for_a_few_entries(
    ledger: Ledger, tmp_path: Path, said: dict[str, Any]
) -> None:
    """They are recomputed sooner than the file is written."""
    half = prefix(ledger, 7)
    lines = audited(values(half), tmp_path, values(ledger)[len(half.entries) :], **said)
    saved = [line["seq"] for line in lines if line["event"] == "snapshot_written"]
    assert saved == [ledger.state.head.seq]


def test_a_snapshot_is_of_whole_inputs_only(ledger: Ledger, tmp_path: Path) -> None:
    """The last input made two entries, the log has one of them: the state is already that of both."""
    audited(values(ledger)[:-1], tmp_path)
    assert newest_first(tmp_path) == []


def test_an_entry_that_the_rules_do_not_make_stops_the_auditor(
    ledger: Ledger, tmp_path: Path
) -> None:
    """It names it, and saves nothing."""
    forged = replace(ledger.entries[5].entry, detail="edited")
    log = [*values(ledger)[:5], encode(forged)]
    with pytest.raises(LedgerCorrupt, match=f"entry {forged.seq}: detail is 'edited'"):
        audited(log, tmp_path)
    assert newest_first(tmp_path) == []


def test_a_book_that_does_not_add_up_stops_the_auditor(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that makes something from nothing is recomputed faithfully by everyone; the sums see it."""

    def generous(self: Any, postings: Any) -> None:
        for posting in postings:
            self._apply(posting)
            self.balances[posting.destination, posting.unit].posted_in += 1

    monkeypatch.setattr("hub.ledger.posting.Book.apply", generous)
    bent = Ledger(sorted(MEMBERS))
    bent.offer(capacity=2)
    with pytest.raises(LedgerCorrupt, match="entry 1: invariant I"):
        audited(values(bent), tmp_path)
    assert newest_first(tmp_path) == []


def test_a_full_disk_does_not_stop_the_auditor(ledger: Ledger, tmp_path: Path) -> None:
    """To check is worth more than to save."""
    (tmp_path / "file").write_text("no folder")
    lines = audited(values(ledger), tmp_path / "file")
    assert [line["event"] for line in lines].count("snapshot_not_written") == 1


# Settings


def test_snapshots_lie_in_the_state_folder_unless_told_otherwise() -> None:
    """Every hundred thousand entries: that many are recomputed in some ten seconds."""
    usual = read_settings({"ALLIANCE_STATE": "/var/hub"})
    assert (usual.snapshots, usual.snapshot_every) == (Path("/var/hub/snapshots"), 100_000)
    other = read_settings({"ALLIANCE_SNAPSHOTS": "/big/disk", "ALLIANCE_SNAPSHOT_EVERY": "5000"})
    assert (other.snapshots, other.snapshot_every) == (Path("/big/disk"), 5000)


@pytest.mark.parametrize("text", ["0", "-1", "0.5", "many", "nan", ""])
def test_a_number_of_entries_that_is_none_is_refused(text: str) -> None:
    """At 0 an auditor would do nothing but save."""
    with pytest.raises(SettingsError, match=r"ALLIANCE_SNAPSHOT_EVERY is .* at least 1 such as"):
        read_settings({"ALLIANCE_SNAPSHOT_EVERY": text})
