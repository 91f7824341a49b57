"""A second process looks ahead: the state is the same, a wrong entry is named the same, and its own end is told."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.errors import LedgerCorrupt
from hub.events import rules
from hub.flow.log import replay_log
from hub.ledger.audit import Audit
from hub.ledger.head import GENESIS, Head, entry_hash
from hub.ledger.looking import Looking
from hub.ledger.replay import Replay
from hub.ledger.state import State
from hub.rebuild import ahead as second
from hub.rebuild import rebuild as rebuilding
from hub.rebuild.ahead import Ahead, AheadEnded
from hub.rebuild.rebuild import Rebuild
from schemas import topics
from schemas.codec import encode
from schemas.records import Entry
from tests.support.flow_bus import Bus, on_the_bus
from tests.support.ledger import MEMBERS, Ledger

ROOT = Path(__file__).parents[2]
NEWER = b"\0\0\xff\xff\xff" + b"entry"


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has, and for logs of any length."""
    monkeypatch.setattr(second, "cores", lambda: 2)
    monkeypatch.setattr(rebuilding, "WORTH_IT", 1)


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    """Cases with duplicates, an event that waits and its release, and flags."""
    made = Ledger()
    made.request("first", student_id="student")  # waits for the offering
    made.offer(capacity=200)
    for number in range(12):
        case = f"e{number}"
        made.request(case, student_id=f"student-{number}")
        made.again(made.entries[-1].entry)
        made.decide(case, "accepted")
        made.move(case, "started")
        made.applied(made.award(f"w{number}", case))
        made.applied(made.ask(f"r{number}", [f"w{number}"]))
        made.applied(made.correct(f"w{number}", "2"))  # in an open case: a flag follows
    assert any(w.entry.flags for w in made.entries if w.entry.input_index)
    return made


def values(ledger: Ledger) -> list[bytes]:
    return [written.value for written in ledger.entries]


def chunks(log: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (log[start : start + size] for start in range(0, len(log), size))


def rebuilt(log: Sequence[bytes], size: int, see: Any = None) -> Replay:
    """All of a log by two processes."""
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    with Rebuild(replay, see) as rebuild:
        rebuild.expect(len(log))
        assert rebuild.ahead is not None
        for chunk in chunks(log, size):
            rebuild.take(chunk)
        rebuild.finish()
    return replay


def alone(log: Sequence[bytes]) -> tuple[Replay, str]:
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    try:
        for value in log:
            replay.feed(value)
    except LedgerCorrupt as error:
        return replay, str(error)
    return replay, ""


# The same by both ways


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_two_processes_and_one_give_the_same_state(ledger: Ledger, size: int) -> None:
    """In chunks of any size, with void records between: nothing of the second process shows in the ledger."""
    log = [b"junk", *values(ledger)[:20], values(ledger)[3], *values(ledger)[20:]]
    replay = rebuilt(log, size)
    assert (replay.state, replay.void, replay.rest()) == (ledger.state, 2, [])


def test_who_looks_on_sees_the_same_entries(ledger: Ledger) -> None:
    """An audit beside the recomputing gets every entry once, as it stands in the log."""
    seen: list[Entry] = []
    audit = Audit()

    def see(entry: Entry) -> None:
        seen.append(entry)
        audit.see(entry)

    replay = rebuilt(values(ledger), 10, see)
    assert seen == [written.entry for written in ledger.entries]
    assert audit.finish(replay.state) == []


def test_entries_of_the_last_input_that_are_not_there_yet_are_left_to_write(ledger: Ledger) -> None:
    """A writer may die inside a group; the next one writes the rest first, whoever read the log for it."""
    waits = next(at for at, w in enumerate(ledger.entries) if w.entry.input_index == 1)
    replay = rebuilt(values(ledger)[:waits], 4)
    assert replay.rest() == [ledger.entries[waits]]


def test_a_start_from_a_snapshot_goes_on_from_its_head(ledger: Ledger) -> None:
    """The second process must look from the head of the state at hand, not from the log's beginning."""
    half = len(ledger.entries) // 2
    while ledger.entries[half].entry.input_index:
        half += 1
    replay, _ = alone(values(ledger)[:half])
    with Rebuild(replay) as rebuild:
        rebuild.expect(1)
        rebuild.take(values(ledger)[half:])
        rebuild.finish()
    assert (replay.state, replay.void) == (ledger.state, 0)


def test_the_log_of_a_broker_is_recomputed_the_same(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sequencer starts this way, inside its event loop."""
    began: list[Ahead] = []
    start = Ahead.start

    def noted(head: Head) -> Ahead | None:
        ahead = start(head)
        began.extend([ahead] if ahead else [])
        return ahead

    monkeypatch.setattr(Ahead, "start", noted)

    async def main() -> Any:
        bus = Bus(1)
        bus.append(topics.LEDGER_ENTRIES, [(None, value, ()) for value in values(ledger)])
        with on_the_bus(bus):
            return await replay_log("", frozenset(MEMBERS), rules())

    found = asyncio.run(main())
    assert (found.state, found.end_offset) == (ledger.state, len(ledger.entries))
    assert [ahead.returncode for ahead in began] == [0]


# What is wrong


@pytest.mark.parametrize("at", [0, 9, 10, 19, 20, 33])
def test_an_entry_that_the_rules_make_otherwise_is_named_in_whatever_chunk(
    ledger: Ledger, at: int
) -> None:
    """Chunks have ten records here; the entries behind the wrong one link to it, as whoever wrote it would see to."""
    log = values(ledger)
    wrong = replace(ledger.entries[at].entry, audience=("10699",))
    log[at:] = relinked([wrong, *(written.entry for written in ledger.entries[at + 1 :])])
    _, said = alone(log)
    assert said.startswith(f"entry {at + 1}: audience")
    with pytest.raises(LedgerCorrupt) as caught:
        rebuilt(log, 10)
    assert str(caught.value) == said


def relinked(entries: Sequence[Entry]) -> list[bytes]:
    made = [encode(entries[0])]
    for entry in entries[1:]:
        made.append(encode(replace(entry, prev_hash=entry_hash(made[-1]))))
    return made


@pytest.mark.parametrize("at", [1, 9, 10, 25])
def test_behind_a_broken_link_nothing_counts_in_whatever_chunk(ledger: Ledger, at: int) -> None:
    """A changed byte or a dropped entry: both readers stay at the entry before it."""
    for log in (
        [*values(ledger)[:at], *values(ledger)[at + 1 :]],
        [*values(ledger)[: at - 1], encode(replace(ledger.entries[at - 1].entry, signature=b"?" * 64)), *values(ledger)[at:]],
    ):  # fmt: skip
        one, _ = alone(log)
        two = rebuilt(log, 10)
        assert (two.head, two.void, two.state) == (one.head, one.void, one.state)
        assert two.head.seq == at


@pytest.mark.parametrize("at", [0, 5, 10, 30])
def test_a_record_of_a_newer_hub_stops_both_at_the_same_place(ledger: Ledger, at: int) -> None:
    """What stands before it was accepted by then; what stands behind it is not looked at."""
    log = [*values(ledger)[:at], NEWER, *values(ledger)[at:]]
    one, said = alone(log)
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    with Rebuild(replay) as rebuild:
        rebuild.expect(1)
        with pytest.raises(LedgerCorrupt, match="newer hub") as caught:
            go_on(rebuild, chunks(log, 10))
    assert (str(caught.value), replay.head) == (said, one.head)


def test_an_entry_whose_bytes_are_spelled_otherwise_is_refused(ledger: Ledger) -> None:
    """Equal fields in other bytes are another leaf of the log: the second process vouches for bytes, too."""
    value = values(ledger)[0]
    body = value[5:]
    assert body[0] == 2  # seq 1 in one byte; Avro also reads it from two
    spelled = value[:5] + b"\x82\x00" + body[1:]
    assert Looking(GENESIS).look(spelled) is not None
    _, said = alone([spelled])
    assert "same fields, other bytes" in said
    with pytest.raises(LedgerCorrupt, match="same fields, other bytes"):
        rebuilt([spelled], 10)


# The second process


def test_the_end_of_the_second_process_is_told_with_the_entry(ledger: Ledger) -> None:
    """Memory may run short and the system kill it: an operator must read which process and how far it was."""
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    with Rebuild(replay) as rebuild:
        rebuild.expect(1)
        ahead = rebuild.ahead
        assert ahead is not None
        rebuild.take(values(ledger)[:10])
        rebuild.take(values(ledger)[10:20])
        assert replay.head.seq == 10
        os.kill(ahead.pid, signal.SIGKILL)
        said = rf"process {ahead.pid} .* ended with -9 before it had looked at entry (11|21) "
        with pytest.raises(AheadEnded, match=said):
            go_on(
                rebuild, chunks(values(ledger)[20:40], 10)
            )  # an answer may be in the pipe already
    assert replay.head.seq in (10, 20)


def go_on(rebuild: Rebuild, log: Iterator[Sequence[bytes]]) -> None:
    for chunk in log:
        rebuild.take(chunk)
    rebuild.finish()


@pytest.mark.parametrize("times", [1, 40])
def test_leaving_early_ends_the_second_process(
    ledger: Ledger, times: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """An error in the middle must leave no process behind, and no word of its own beside the error's.

    A short answer stays in the process's own buffer, a long one is more than a pipe holds.
    """
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    with Rebuild(replay) as rebuild:
        rebuild.expect(1)
        rebuild.take(values(ledger)[:2] if times == 1 else values(ledger) * times)
    assert rebuild.ahead is not None
    assert rebuild.ahead.returncode == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("why", ["one core", "no interpreter", "frozen", "refused"])
def test_where_no_second_process_can_be_had_one_does_all(
    ledger: Ledger, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small machine starts more slowly, and that is all."""
    if why == "one core":
        monkeypatch.setattr(second, "cores", lambda: 1)
    elif why == "no interpreter":
        monkeypatch.setattr(sys, "executable", "")
    elif why == "frozen":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    else:
        monkeypatch.setattr(sys, "executable", str(ROOT / "no-such-python"))
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    with Rebuild(replay) as rebuild:
        rebuild.expect(10**6)
        assert rebuild.ahead is None
        for chunk in chunks(values(ledger), 10):
            rebuild.take(chunk)
        rebuild.finish()
    assert replay.state == ledger.state


def test_a_few_records_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own start takes longer than they do; what is said first decides."""
    monkeypatch.setattr(rebuilding, "WORTH_IT", 100)
    with Rebuild(Replay(rules(), State(frozenset(MEMBERS)))) as rebuild:
        rebuild.expect(99)
        rebuild.expect(10**6)
        assert rebuild.ahead is None


def test_it_finds_the_modules_where_its_starter_does(tmp_path: Path) -> None:
    """Another folder, a safe path (-P) and a main module that may not be run twice: none of it is the process's business."""
    main = tmp_path / "main.py"
    main.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from hub.rebuild import ahead\n"
        "from hub.ledger.head import GENESIS\n"
        "ahead.cores = lambda: 2\n"
        "with ahead.Ahead.start(GENESIS) as process:\n"
        "    print([done.found for done in process.over([[b'junk']])])\n"
    )
    said = subprocess.run(
        [sys.executable, "-P", str(main)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (said.stdout, said.stderr) == ("[[None]]\n", "")


def test_looking_goes_on_from_a_head(ledger: Ledger) -> None:
    """A record that extends another head is void for it."""
    looking = Looking(Head(2, entry_hash(values(ledger)[1])))
    assert looking.look(values(ledger)[1]) is None
    found = looking.look(values(ledger)[2])
    assert found is not None
    assert looking.head == Head(3, found.hash)
