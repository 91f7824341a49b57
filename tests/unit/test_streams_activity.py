"""Counts per member: exact under any delivery, by the reading rule, and rebuilt from the log alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import LedgerCorrupt
from hub.ledger.head import GENESIS
from hub.streams import activity
from hub.streams.activity import EMPTY, Activity, StateBehind, take
from schemas.codec import encode
from schemas.records import MemberActivity
from tests.support.entries import (
    MEMBERS,
    OUTCOMES,
    START,
    TYPES,
    Told,
    entry,
    ledger_values,
    some_told,
    with_voids,
)
from tests.support.strategies import calm

any_told = st.lists(
    st.builds(
        Told,
        st.sampled_from(MEMBERS),
        st.sampled_from(TYPES),
        st.sampled_from(sorted(set(OUTCOMES))),
        st.integers(0, 2),
    ),
    max_size=25,
)


def read(log: Sequence[bytes], state: Activity = EMPTY, start: int = 0) -> Activity:
    for offset in range(start, len(log)):
        state, _ = take(state, offset, log[offset])
    return state


def plainly_counted(told: Sequence[Told], member: str) -> MemberActivity:
    """The same counts by other means."""
    mine = [(seq, item) for seq, item in enumerate(told, start=1) if item.member == member]
    outcomes = Counter(item.outcome for _, item in mine)
    first_met = [item for _, item in mine if item.input_index == 0]
    return MemberActivity(
        member,
        len(first_met),
        outcomes["applied"],
        outcomes["rejected"],
        outcomes["duplicate"],
        outcomes["conflict"],
        outcomes["parked"],
        dict(Counter(item.event_type for item in first_met)),
        START + timedelta(milliseconds=mine[0][0]),
        START + timedelta(milliseconds=mine[-1][0]),
        mine[-1][0],
    )


@settings(calm)
@given(told=any_told, seed=st.integers(0, 1000))
def test_every_entry_counts_once_and_void_records_never(told: list[Told], seed: int) -> None:
    """Two sequencers may have written the partition; only the chain counts."""
    state = read(with_voids(ledger_values(told), seed))
    assert state.members == {
        member: plainly_counted(told, member) for member in {item.member for item in told}
    }
    assert state.head.seq == len(told)


@settings(calm)
@given(told=any_told, data=st.data())
def test_any_redelivery_gives_the_same_counts(told: list[Told], data: st.DataObject) -> None:
    """Kafka hands out again from any acknowledged place, any number of times; workers are killed at will."""
    log = with_voids(ledger_values(told), seed=len(told))
    state, reached = EMPTY, 0
    while reached < len(log):
        start = data.draw(st.integers(0, reached), label="read again from")
        end = data.draw(st.integers(reached + 1, len(log)), label="up to")
        if data.draw(st.booleans(), label="restart"):
            state = activity.from_bytes(activity.to_bytes(state))
        state = read(log[:end], state, start)
        reached = end
    assert state == read(log)


def test_a_repeat_names_its_member_and_changes_nothing() -> None:
    """The counts may be in the changelog while their publication was lost: they must go out again."""
    values = ledger_values(some_told(5, seed=1))
    state = read(values)
    for offset, value in enumerate(values):
        again, member = take(state, offset, value)
        assert again is state
        assert member in state.members


def test_a_void_record_names_nobody() -> None:
    """Nothing follows from it."""
    values = ledger_values([Told(), Told()])
    state, member = take(read(values), 2, values[0])
    assert (state.next_offset, member) == (3, None)
    assert take(state, 3, b"noise") == (replace(state, next_offset=4), None)
    assert take(state, 3, None) == (replace(state, next_offset=4), None)
    assert take(EMPTY, 0, encode(next(iter(read(values).members.values()))))[1] is None


def test_an_entry_of_a_newer_hub_stops_the_count() -> None:
    """Passed over as void it would make everything after it void too, and the counts would stand still in silence."""
    with pytest.raises(LedgerCorrupt, match="newer hub"):
        take(EMPTY, 0, b"\0" + (2**31).to_bytes(4, "big"))


def test_missing_records_are_noticed_and_not_counted_over() -> None:
    """A state restored from an old copy would otherwise miss entries for ever, in silence."""
    values = ledger_values([Told(), Told(), Told()])
    state = read(values[:1])
    with pytest.raises(StateBehind, match="read again from 1"):
        take(state, 2, values[2])


def test_a_released_event_adds_to_the_outcomes_and_not_to_the_events() -> None:
    """One event, two entries: parked, and later applied. It is still one event."""
    told = [Told(outcome="parked"), Told("10611"), Told(outcome="applied", input_index=1)]
    mine = read(ledger_values(told)).members["10610"]
    assert (mine.events, mine.parked, mine.applied) == (1, 1, 1)
    assert mine.by_type == {"enrollment.requested": 1}
    assert mine.events - mine.applied - mine.rejected - mine.duplicate - mine.conflict == 0


@settings(calm)
@given(told=any_told)
def test_a_state_comes_back_from_its_bytes(told: list[Told]) -> None:
    """It is what a restart begins with."""
    state = read(ledger_values(told))
    assert activity.from_bytes(activity.to_bytes(state)) == state
    assert activity.from_bytes(None) == EMPTY


def test_the_first_entry_extends_the_empty_ledger() -> None:
    """A processor that starts from nothing needs no other source than the log."""
    value = encode(entry(GENESIS, Told()))
    state, member = take(EMPTY, 0, value)
    assert member == "10610"
    assert state.head.seq == 1
