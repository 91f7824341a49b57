"""The read model is a function of the topics: neither batching nor crashes nor repeats show in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select

from hub.errors import HubError, LedgerCorrupt, RetryLater, SettingsError
from hub.store import tables
from hub.store.fold import LogReplaced, Position, Taken, balance_changes, fold, load_positions
from hub.store.queries import Reader, StoreUnavailable
from schemas import topics
from schemas.records import Posting, StudentErased
from tests.support.case_entries import cases_taken, open_case
from tests.support.ledger import Ledger
from tests.support.readmodel import (
    START,
    Chain,
    activity,
    award,
    dead_letter,
    heartbeat,
    pend,
    rate,
    request,
    taken,
)

REPEATED = 3  # records of each topic that come again after a restart


@contextmanager
def store(folder: Path, name: str = "hub.db") -> Iterator[Engine]:
    engine = tables.open_engine(f"sqlite:///{folder / name}")
    try:
        tables.prepare(engine)
        tables.clear(engine)
        yield engine
    finally:
        engine.dispose()


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in key order."""
    with engine.connect() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in tables.metadata.sorted_tables
        }


def sample_log() -> list[Taken]:
    """A ledger with void records among its entries, and all other topics, in one possible order of arrival."""
    chain = Chain()
    for number in range(12):
        chain.add(award(number), postings=[pend(number)])
        if number % 3 == 0:
            chain.put(chain.taken[-1].value)  # a late repeat of the head: void
        if number % 4 == 1:
            chain.put(chain.taken[0].value)  # an old entry again: void
            chain.put(b"not framed")
        if number % 2:
            chain.add(request(100 + number), "rejected", "QUOTA_EXCEEDED", detail="0 seats left")
        if number == 8:
            chain.add(award(200), postings=[pend(3, action="post"), pend(5, action="void")])
    beside = [
        *taken(topics.HEARTBEATS, [heartbeat("10610"), heartbeat("10611"), heartbeat("10610", "degraded", "x"), None]),
        *taken(topics.MEMBER_ACTIVITY, [activity("10610", 3), activity("10610", 9)]),
        *taken(topics.TOPIC_RATES, [rate("ledger.in", 4), rate("ledger.in", 5)]),
        *taken(topics.DEAD_LETTERS, [dead_letter(4), dead_letter(4), dead_letter(7)]),
        *cases_taken(
            open_case("enrollment/e1", "10610"), open_case("award/w/1"), "enrollment/e1", "award/w/2",
            open_case("award/w/1", "10610", "10611", seq=9), open_case("enrollment/e1", seq=12),
        ),
    ]  # fmt: skip
    mixed: list[Taken] = []
    while chain.taken or beside:
        mixed += chain.taken[:3] + beside[:1]
        del chain.taken[:3], beside[:1]
    return mixed


class Crash(BaseException):
    """The process dies here."""


class CrashAt:
    """Raises at the n-th statement, or at the commit when n is one more than there are."""

    def __init__(self, engine: Engine) -> None:
        self.steps_left: int | None = None
        self._engine = engine

    def __enter__(self) -> CrashAt:
        for name in ("before_cursor_execute", "commit"):
            event.listen(self._engine, name, self._step)
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("before_cursor_execute", "commit"):
            event.remove(self._engine, name, self._step)

    def _step(self, *_: object) -> None:
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                self.steps_left = None
                raise Crash


def follow(
    engine: Engine,
    log: list[Taken],
    sizes: Callable[[], int],
    crash: CrashAt,
    steps: list[int | None],
) -> None:
    """Read the whole log; after each crash go on a little before the stored positions."""
    while True:
        with engine.connect() as connection:
            positions = load_positions(connection)
        waiting = [
            record
            for record in log
            if record.offset >= positions.get((record.topic, 0), Position()).next_offset - REPEATED
        ]
        try:
            while waiting:
                size = sizes()
                crash.steps_left = steps.pop() if steps else None
                positions = fold(engine, positions, waiting[:size])
                crash.steps_left = None
                del waiting[:size]
            return
        except Crash:
            continue


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), steps=st.lists(st.none() | st.integers(0, 14), max_size=25))
def test_a_crash_at_any_step_neither_loses_nor_doubles_a_row(
    tmp_path: Path, data: st.DataObject, steps: list[int | None]
) -> None:
    """kill -9 may hit between any two statements, at the commit, or after it; the rows must not tell."""
    log = sample_log()
    with store(tmp_path, "straight.db") as straight, store(tmp_path, "crashing.db") as crashing:
        fold(straight, {}, log)
        with CrashAt(crashing) as crash:
            follow(crashing, log, lambda: data.draw(st.integers(1, 12)), crash, steps)
        assert contents(crashing) == contents(straight)


def test_void_records_leave_no_trace(tmp_path: Path) -> None:
    """What a second sequencer writes late must not be shown to anyone."""
    clean, dirty = Chain(), Chain()
    for chain in (clean, dirty):
        for number in range(4):
            chain.add(award(number), postings=[pend(number)])
            if chain is dirty:
                chain.put(chain.taken[0].value)
                chain.put(b"\x00\x00")
                chain.put(None)
    with store(tmp_path) as engine:
        fold(engine, {}, dirty.taken)
        assert Reader(engine).head() == clean.head == dirty.head
        assert [found.entry.seq for found in Reader(engine).entries()] == [1, 2, 3, 4]
        assert [found.posted_in for found in Reader(engine).balances("10610/")] == [0] * 4


def test_an_entry_of_a_newer_hub_stops_the_projector(tmp_path: Path) -> None:
    """Calling it void would freeze the read model in silence."""
    with store(tmp_path) as engine, pytest.raises(HubError, match="upgrade the reader"):
        fold(engine, {}, [Taken(topics.LEDGER_ENTRIES, 0, 0, b"\x00\x00\x01\x00\x00")])


def test_pending_amounts_are_posted_or_voided_once() -> None:
    """What recognition posts and a refusal voids must leave the pending amount."""
    whole = balance_changes([pend(1), pend(1, action="post"), pend(2), pend(2, action="void")])
    assert whole["10611/issued", "credit.hours16"] == {
        "pending_in": 0, "posted_in": 0, "pending_out": 0, "posted_out": 3500,
    }  # fmt: skip
    assert whole["10610/st-1", "credit.hours16"]["posted_in"] == 3500
    assert not any(whole["10610/st-2", "credit.hours16"].values())


def test_a_reversal_flows_back() -> None:
    """A reversal names its accounts exchanged; nothing is pending in between."""
    changes = balance_changes(
        [Posting("move", "a", "b", "seat", 2, None), Posting("reverse", "b", "a", "seat", 1, None)]
    )
    assert changes["a", "seat"] == {
        "pending_in": 0,
        "posted_in": 1,
        "pending_out": 0,
        "posted_out": 2,
    }
    assert changes["b", "seat"] == {
        "pending_in": 0,
        "posted_in": 2,
        "pending_out": 0,
        "posted_out": 1,
    }


def test_an_unknown_posting_action_is_not_guessed() -> None:
    """Balances that silently miss an action would be wrong for ever."""
    with pytest.raises(LedgerCorrupt, match="'burn'"):
        balance_changes([Posting("burn", "a", "b", "seat", 1, None)])


def test_two_projectors_cannot_both_write(tmp_path: Path) -> None:
    """A second process that believes in an old position writes nothing."""
    chain = Chain()
    for number in range(3):
        chain.add(award(number))
    with store(tmp_path) as engine:
        first = fold(engine, {}, chain.taken[:1])
        fold(engine, first, chain.taken[1:])
        before = contents(engine)
        with pytest.raises(RetryLater, match="another projector"):
            fold(engine, first, chain.taken[1:])
        with pytest.raises(RetryLater, match="another projector"):
            fold(engine, {}, chain.taken)
        assert contents(engine) == before


def test_a_replaced_ledger_is_noticed(tmp_path: Path) -> None:
    """After a broker was made anew its offsets look familiar and its entries are others."""
    ours, other = Chain(), Chain()
    for number in range(3):
        ours.add(award(number))
        other.add(award(50 + number))
    with store(tmp_path) as engine:
        positions = fold(engine, {}, ours.taken)
        with pytest.raises(LogReplaced, match="emptied and read again"):
            fold(engine, positions, other.taken[2:])


def test_a_store_of_another_layout_is_emptied(tmp_path: Path) -> None:
    """There are no migrations; what is stored can always be read again."""
    chain = Chain()
    chain.add(award(1))
    with store(tmp_path) as engine:
        fold(engine, {}, chain.taken)
        assert not tables.prepare(engine)
        with engine.begin() as connection:
            connection.execute(tables.layout.update().values(fingerprint="older"))
        assert tables.prepare(engine)
        assert Reader(engine).head().seq == 0


def test_released_events_are_no_longer_parked(tmp_path: Path) -> None:
    """Operators see what waits now, not what ever waited."""
    chain = Chain()
    chain.add(award(1), "parked", "UNKNOWN_REFERENCE")
    chain.add(award(2), "parked", "UNKNOWN_REFERENCE")
    chain.add(award(1), "applied")
    with store(tmp_path) as engine:
        fold(engine, {}, chain.taken)
        assert Reader(engine).still_parked() == 1


def test_ticks_and_flags_are_nobodys_events(tmp_path: Path) -> None:
    """A clock that ticks must neither look like work nor push what was said off the page."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.rule("r1", "3")
    ledger.correct("w1", "2")
    for _ in range(50):
        ledger.tick()
    said = [item.entry for item in ledger.entries if item.entry.member]
    taken = [
        Taken(topics.LEDGER_ENTRIES, 0, at, item.value) for at, item in enumerate(ledger.entries)
    ]
    with store(tmp_path) as engine:
        fold(engine, {}, taken)
        reader = Reader(engine)
        assert sum(count.entries for count in reader.outcomes()) == len(said)
        newest = [stored.entry for stored in reader.newest(3)]
        assert next(entry.flags for entry in newest) == ("award_corrected_after_decision",)
        assert "ledger.tick" not in {entry.event_type for entry in newest}
        assert len(reader.entries(limit=500)) == len(ledger.entries)


@pytest.mark.parametrize("letters_first", [True, False])
def test_dead_letters_that_name_an_erased_student_are_dropped(
    tmp_path: Path, letters_first: bool
) -> None:
    """What was refused may hold anything; which of the two topics is read first does not matter."""
    student = "urn:alliance:student:10610:0a1b"
    named = replace(dead_letter(0), value=b"\0\0\0\0\x05" + student.encode())
    letters = taken(topics.DEAD_LETTERS, [named, dead_letter(1)])
    chain = Chain()
    at = START
    about = replace(award(1).envelope, event_id="e-erased", subject=student, member="10610")
    chain.add(StudentErased(about, student, "10610", (), at, at))
    with store(tmp_path) as engine:
        batches = [letters, chain.taken] if letters_first else [chain.taken, letters]
        for batch in batches:
            with engine.connect() as connection:
                positions = load_positions(connection)
            fold(engine, positions, batch)
        reader = Reader(engine)
        assert [one.offset for one in reader.dead_letters()] == [1]
        assert reader.entry(1) is not None


def test_reading_filters_and_counts(tmp_path: Path) -> None:
    """The console's figures are those of the entries."""
    with store(tmp_path) as engine:
        fold(engine, {}, sample_log())
        reader = Reader(engine)
        rejected = reader.entries(outcome="rejected", member="10610", limit=3)
        assert [found.entry.reason for found in rejected] == ["QUOTA_EXCEEDED"] * 3
        counts = {(c.outcome, c.reason): c.entries for c in reader.outcomes()}
        assert counts == {("applied", ""): 13, ("rejected", "QUOTA_EXCEEDED"): 6}
        assert sum(beat.entries for beat in reader.pulse(START)) == 19
        assert reader.activity()["10610"].events == 9
        assert reader.topic_rates()["ledger.in"].in_minute == 5
        assert [beat.state for beat in reader.heartbeats()] == ["degraded", "running"]
        assert [found.offset for found in reader.dead_letters()] == [0, 2]
        assert reader.dead_letter_count() == 2
        assert reader.newest_dead_letters(1)[0].letter.source_offset == 7
        newest = reader.newest(1)[0]
        assert reader.entry(newest.entry.seq) == newest
        assert reader.entry(10_000) is None


def test_a_store_not_made_yet_says_what_to_start(tmp_path: Path) -> None:
    """The console may start before the projector."""
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'none.db'}")
    try:
        with pytest.raises(StoreUnavailable, match="alliance run projector"):
            Reader(engine).head()
    finally:
        engine.dispose()


def test_an_unknown_database_is_refused() -> None:
    """Refuse at the start, not at the first query."""
    with pytest.raises(SettingsError, match="wanted sqlite or postgresql"):
        tables.open_engine("mysql://localhost/hub")
