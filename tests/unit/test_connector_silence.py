"""A source that says nothing is as bad as one that fails, only quieter. When that is, on which days."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.sdk.runtime.silence import CHINA, Expect, days_of, missed_at, silence, spoken

DAILY = Expect(every_s=86_400, grace_s=21_600, days="Mon-Fri")
FRIDAY_10 = datetime(2026, 9, 4, 10, tzinfo=CHINA)  # a Friday


def test_a_week_end_does_not_count():
    """Nobody enters grades on a Sunday: a record of Friday, ten o'clock, is followed by one on Monday."""
    assert missed_at(FRIDAY_10, DAILY) == datetime(2026, 9, 7, 16, tzinfo=CHINA)
    assert silence(FRIDAY_10, FRIDAY_10, datetime(2026, 9, 7, 15, 59, tzinfo=CHINA), DAILY) == ""


def test_a_silent_source_is_named_with_what_was_expected():
    """The office that reads this must see at once how long, and against what."""
    now = datetime(2026, 9, 9, 10, tzinfo=CHINA)
    said = silence(FRIDAY_10, FRIDAY_10, now, DAILY)
    assert said == "no records for 5 days; expected every 24 hours, Mon-Fri"


def test_a_source_that_never_spoke_is_missed_from_its_first_start_on():
    """A wrong cursor at the first start reads nothing for ever, and fails nowhere."""
    start = datetime(2026, 9, 1, tzinfo=UTC)
    wanted = Expect(every_s=3_600)
    assert silence(None, start, start + timedelta(minutes=59), wanted) == ""
    said = silence(None, start, start + timedelta(hours=1), wanted)
    assert said == "no records yet; expected every 60 minutes, any day"


def test_days_end_at_midnight_in_china_wherever_the_machine_is():
    """A Friday record at 15:30 UTC came half an hour before Saturday."""
    last = datetime(2026, 9, 4, 15, 30, tzinfo=UTC)
    wanted = Expect(every_s=3_600, days="Mon-Fri")
    assert missed_at(last, wanted) == datetime(2026, 9, 7, 0, 30, tzinfo=CHINA)


@pytest.mark.parametrize(
    ("text", "found"),
    [("Mon-Fri", {0, 1, 2, 3, 4}), ("Sat-Mon", {5, 6, 0}), ("Tue", {1}), ("Mon, Wed,Fri-Sat", {0, 2, 4, 5})],
)  # fmt: skip
def test_days_are_written_as_people_write_them(text, found):
    """Ranges may go over the week end."""
    assert days_of(text) == found


@pytest.mark.parametrize("text", ["", "Monday", "Mon-", "mon-fri", "1-5", "Mon;Tue"])
def test_other_days_are_refused_with_those_that_can_be_written(text):
    """A typing error must not make a source expected on no day."""
    with pytest.raises(ValidationError, match="Mon-Fri"):
        Expect(every_s=1, days=text)


_times = st.integers(0, 20 * 366 * 86_400).map(
    lambda seconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
_wanted = st.builds(
    Expect,
    every_s=st.integers(1, 120 * 86_400),
    grace_s=st.integers(0, 86_400),
    days=st.sampled_from(["Mon-Sun", "Mon-Fri", "Wed", "Sat-Sun", "Mon,Thu"]),
)


def _counted(start: datetime, end: datetime, days: frozenset[int]) -> timedelta:
    """Time on expected days between the two, day by day: slow and plain."""
    at, total = start.astimezone(CHINA), timedelta(0)
    end = end.astimezone(CHINA)
    while at < end:
        midnight = datetime(at.year, at.month, at.day, tzinfo=CHINA) + timedelta(days=1)
        if at.weekday() in days:
            total += min(midnight, end) - at
        at = midnight
    return total


@given(last=_times, wanted=_wanted)
def test_a_source_has_exactly_its_time_on_expected_days(last, wanted):
    """However the weeks fall, what counts until it is missed is the time it was given, and no more."""
    at = missed_at(last, wanted)
    given_s = timedelta(seconds=wanted.every_s + wanted.grace_s)
    assert _counted(last, at, days_of(wanted.days)) == given_s
    assert (at - timedelta(microseconds=1)).astimezone(CHINA).weekday() in days_of(wanted.days)


@given(last=_times, later=st.integers(0, 10**7), wanted=_wanted)
def test_a_later_record_is_never_missed_earlier(last, later, wanted):
    """Else a source that speaks would be called silent."""
    assert missed_at(last + timedelta(seconds=later), wanted) >= missed_at(last, wanted)


def test_spans_are_said_in_the_largest_unit_that_fits_twice():
    """25 hours say more than 1 day."""
    found = [spoken(timedelta(seconds=s)) for s in (59, 3_600, 90_000, 3 * 86_400)]
    assert found == ["59 s", "60 minutes", "25 hours", "3 days"]
