"""Looking at records ahead of the recomputing changes nothing: for any history, honest or forged, both ways say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hub.errors import LedgerCorrupt
from hub.events import rules
from hub.ledger.head import GENESIS
from hub.ledger.looking import Looking
from hub.ledger.replay import Replay
from hub.ledger.state import State
from schemas.codec import encode
from schemas.records import Entry
from tests.support.histories_catalogue import THEME_NAMES, step_of
from tests.support.histories_twins import Twins
from tests.support.histories_world import CODES
from tests.support.ledger import Ledger

usual = settings(
    deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)  # fmt: skip
# The reading rule looks at the first two. The rest stands in the entry alone: an input could have had any of these.
FORGED = [item.name for item in fields(Entry) if item.name not in ("seq", "prev_hash")]
OF_THE_INPUT = frozenset(
    {
        "event", "input_offset", "key_id", "ledger_at", "published_at", "signature", "source_offset", "source_partition",
        "source_topic",
    }
)  # fmt: skip
numbers = st.integers(0, 2**64 - 1)


@st.composite
def histories(draw: st.DrawFn) -> Ledger:
    """Twenty members, right and wrong, with a running clock."""
    twins = Twins(draw(st.integers(0, len(CODES) - 1)))
    theme = draw(st.sampled_from(THEME_NAMES))
    for drawn in draw(st.lists(numbers, min_size=5, max_size=40)):
        twins.take(step_of(drawn, theme))
    return twins.ledger


def _alone(values: Sequence[bytes]) -> tuple[Replay, str]:
    return _read(values, lambda replay, value: replay.feed(value))


def _ahead(values: Sequence[bytes]) -> tuple[Replay, str]:
    found, trouble = Looking(GENESIS).many(values)
    left = iter(found)
    replay, said = _read(
        values[: len(found)], lambda replay, value: replay.feed_looked(value, next(left))
    )
    return replay, said or trouble


def _read(values: Sequence[bytes], feed: Callable[[Replay, bytes], Any]) -> tuple[Replay, str]:
    replay = Replay(rules(), State(frozenset(CODES)))
    try:
        for value in values:
            feed(replay, value)
    except LedgerCorrupt as error:
        return replay, str(error)
    return replay, ""


def _same(values: Sequence[bytes]) -> str:
    one, said = _alone(values)
    two, also = _ahead(values)
    assert said == also
    assert (one.head, one.void) == (two.head, two.void)
    if not said:
        assert one.state == two.state
        assert one.rest() == two.rest()
    return said


@usual
@given(histories(), st.data())
def test_any_log_gives_the_same_state_both_ways(ledger: Ledger, data: st.DataObject) -> None:
    """Junk, repeats, holes and an end inside a group of entries included: what is void for one is void for the other."""
    values = [written.value for written in ledger.entries]
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(values)))
        junk = data.draw(
            st.sampled_from([b"", b"\0\0\0", *values, *(value[:-1] for value in values)])
        )
        values.insert(at, junk)
    assert _same(values[: data.draw(st.integers(0, len(values)))]) == ""


@usual
@given(histories(), st.data())
def test_a_forged_entry_is_named_the_same_both_ways(ledger: Ledger, data: st.DataObject) -> None:
    """Any field of any entry; all but what an input itself tells is found, and the entry named."""
    assume(ledger.entries)
    at = data.draw(st.integers(0, len(ledger.entries) - 1))
    name = data.draw(st.sampled_from(FORGED))
    entry = ledger.entries[at].entry
    others = [getattr(written.entry, name) for written in ledger.entries]
    value = data.draw(st.sampled_from([*_near(getattr(entry, name)), *others]))
    forged = encode(replace(entry, **{name: value}))
    values = [*(written.value for written in ledger.entries[:at]), forged]
    said = _same(values)
    if forged != ledger.entries[at].value and name not in OF_THE_INPUT:
        assert f"entry {at + 1}" in said


def _near(value: Any) -> list[Any]:
    """Other values of the same type."""
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, str):
        return [value + "x"]
    if isinstance(value, bytes):
        return [value[:-1] + b"\xff"] if len(value) == 32 else [value[:-1], value + b"\xff"]
    return [value[:-1]] if isinstance(value, tuple) else []
