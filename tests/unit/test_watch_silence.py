"""Streams that should have spoken: declared by the campus, or learned from how they spoke before."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hub.watch.silence import Rhythm, Silence, declared, learned, rhythm
from schemas.records import ConnectorPart, Heartbeat
from tests.support.readmodel import START, heartbeat

DAY = timedelta(days=1)
GRADES = ConnectorPart(
    name="source.grades", kind="sql_rows", state="running", reason="", cursor=None, parked_keys=0, parked_events=0,
    last_record_at=START, expected_s=86_400, behind_s=None,
)  # fmt: skip


def beat(**changed: object) -> Heartbeat:
    return heartbeat("10611", parts=[replace(GRADES, **changed)])  # type: ignore[arg-type]  # fields of the test's choice


def test_the_campus_knows_best_when_it_misses_records() -> None:
    """It knows its days and its grace; the hub repeats what it says."""
    late = beat(
        state="degraded", reason="no records for 25 hours; expected every 24 hours, any day"
    )
    found = declared([late], START + timedelta(hours=25))
    assert found == [Silence("10611", "campus/source.grades", START, 86_400, learned=False)]
    ill = beat(state="degraded", reason="campus answers 503")
    assert declared([ill], START + timedelta(hours=25)) == []


@pytest.mark.parametrize(
    ("changed", "after", "silent"),
    [
        ({}, 4 * DAY, False),  # a long week end
        ({}, 6 * DAY, True),
        ({"state": "paused"}, 60 * DAY, False),
        ({"expected_s": None}, 60 * DAY, False),
        ({"expected_s": 30 * 86_400}, 59 * DAY, False),
        ({"expected_s": 30 * 86_400}, 61 * DAY, True),
        (
            {"last_record_at": None},
            60 * DAY,
            False,
        ),  # never spoke, and nobody knows since when it could
    ],
)
def test_behind_the_campus_stands_a_bound(
    changed: dict[str, object], after: timedelta, silent: bool
) -> None:
    """A connector that forgets to miss its records is found all the same, and no week end is an alarm."""
    assert bool(declared([beat(**changed)], START + after)) is silent


def spoken(moments: Callable[[int], list[float]], days: int) -> list[datetime]:
    """Times of events: `moments` gives the hours of a day."""
    return [START + timedelta(days=day, hours=hour) for day in range(days) for hour in moments(day)]


def working_days(day: int) -> list[float]:
    weekday = (START + timedelta(days=day)).weekday()
    return [1 + n / 1000 for n in range(300)] if weekday < 5 else []


def test_a_nightly_batch_is_one_act_of_speaking() -> None:
    """Three hundred events within minutes say nothing about how often a member speaks."""
    found = rhythm(spoken(working_days, 42))
    assert found is not None
    assert found.usual_s == pytest.approx(3 * 86_400, rel=0.05)  # the week end
    silent_on_monday = learned([("10611", found)], found.last_at + timedelta(days=3, hours=1))
    silent_for_a_week = learned([("10611", found)], found.last_at + 7 * DAY)
    assert silent_on_monday == []
    assert [one.member for one in silent_for_a_week] == ["10611"]


def test_one_long_holiday_does_not_hide_the_next_silence() -> None:
    """The quantile is robust: a pause of a month once is not usual."""
    before = spoken(lambda _day: [0, 6, 12, 18], 30)
    after = [at + 60 * DAY for at in before]
    found = rhythm(before + after)
    assert found is not None
    assert found.usual_s == 6 * 3600
    assert found.limit_s == 12 * 3600


@pytest.mark.parametrize("days", [0, 1, 6])
def test_too_little_is_no_rhythm(days: int) -> None:
    """Nobody is called silent by what was seen on a few days."""
    assert rhythm(spoken(lambda _day: [0, 3, 6, 9, 12], days)) is None


def test_the_order_of_times_does_not_matter() -> None:
    """The database may give them as it likes."""
    times = spoken(lambda _day: [0, 6, 12, 18], 10)
    mixed = list(times)
    random.Random(3).shuffle(mixed)
    assert rhythm(mixed) == rhythm(times)


def test_nobody_is_silent_for_less_than_six_hours() -> None:
    """A busy member may have a quiet lunch."""
    busy = Rhythm(START, 60)
    assert learned([("10611", busy)], START + timedelta(hours=5, minutes=59)) == []
    assert len(learned([("10611", busy)], START + timedelta(hours=6, minutes=1))) == 1
