"""Bookings of a resource against a check that looks at every moment of every booking."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.domain.lab import AccessRequest, Calendar, Span, days, most_at_once
from hub.domain.times import SHANGHAI
from hub.ledger.audit import Audit
from schemas import records as r
from schemas.envelope import from_millis
from tests.support.ledger import FOURTH, HOME, HOST, OTHER, Ledger

usual = settings(deadline=None, max_examples=200)
STEP_MINUTES = 90
STEP = timedelta(minutes=STEP_MINUTES)
FIRST = datetime(2026, 10, 12, 18, tzinfo=SHANGHAI).astimezone(UTC)
STEPS = 14  # over one midnight; so few that bookings meet
FEW_MINUTES = 5 * STEP_MINUTES


def at(step: int) -> datetime:
    return FIRST + step * STEP


spans = st.tuples(st.integers(0, STEPS - 1), st.integers(1, 6)).map(
    lambda pair: (pair[0], min(pair[0] + pair[1], STEPS))
)


class Try(NamedTuple):
    """A member asks for time, perhaps instead of an earlier request, and the owner says yes. A booking may fall away before.

    Earlier requests are counted backwards. `meanwhile` is what becomes of the request to be replaced between question and answer.
    """

    home: str
    start: int
    end: int
    replaces: int | None
    drops: int | None
    meanwhile: str | None


tries = st.builds(
    lambda home, span, *rest: Try(home, *span, *rest),
    st.sampled_from([HOME, OTHER, FOURTH]),
    spans,
    st.none() | st.integers(1, 4),
    st.none() | st.none() | st.integers(1, 6),
    st.sampled_from([None, None, "used", "cancelled", "no_show"]),
)


class Booking(NamedTuple):
    home: str
    start: int
    end: int

    def moments(self) -> range:
        return range(self.start, self.end)


@dataclass
class Naive:
    """The owner's paper calendar: for each moment, a stroke for each booking."""

    capacity: int
    per_day: int | None
    booked: dict[str, Booking] = field(default_factory=dict)

    def verdict(self, wanted: Booking, without: str | None) -> str | None:
        others = [booking for name, booking in self.booked.items() if name != without]
        strokes = Counter(moment for other in others for moment in other.moments())
        if any(strokes[moment] >= self.capacity for moment in wanted.moments()):
            return "SLOT_CONFLICT"
        had = sum(
            len(other.moments())
            for other in others
            if other.home == wanted.home and _day(other.start) == _day(wanted.start)
        )
        minutes = (had + len(wanted.moments())) * STEP_MINUTES
        return "QUOTA_EXCEEDED" if minutes > (self.per_day or minutes) else None

    def calendar(self) -> dict[str, set[str]]:
        """Names by day."""
        found: dict[str, set[str]] = defaultdict(set)
        for name, booking in self.booked.items():
            for step in booking.moments():
                # A step of 90 minutes from 18:00 ends, and does not run, at midnight.
                found[_day(step)].add(name)
        return found


def _day(step: int) -> str:
    return at(step).astimezone(SHANGHAI).date().isoformat()


def resource(capacity: int, per_day: int | None) -> Ledger:
    ledger = Ledger()
    ledger.applied(
        ledger.tell(
            "lab.resource-changed",
            resource_id="gpc",
            owner=HOST,
            capacity=capacity,
            policy=r.BookingPolicy(None, None, None, per_day, None),
            outages=(),
        )
    )
    return ledger


def decided(ledger: Ledger, name: str, home: str, decision: str) -> r.Entry:
    return ledger.tell(
        "lab.access-decided",
        request_id=name,
        resource_id="gpc",
        home=home,
        owner=HOST,
        decision=decision,
        by=home if decision == "cancelled" else HOST,
        decides=1,
    )


def used(ledger: Ledger, name: str, booking: Booking) -> r.Entry:
    return ledger.tell(
        "lab.usage-recorded",
        usage_id=f"use of {name}",
        resource_id="gpc",
        home=booking.home,
        owner=HOST,
        request_id=name,
        start=at(booking.start),
        end=at(booking.end),
        charge=None,
    )


@usual
@given(
    st.integers(1, 3),
    st.sampled_from([None, None, FEW_MINUTES]),
    # Of a set length each: hypothesis likes short lists, and a full calendar is many steps away.
    st.integers(1, 24).flatmap(lambda size: st.lists(tries, min_size=size, max_size=size)),
)
def test_a_slot_is_given_exactly_when_every_moment_of_it_has_room(
    capacity: int, per_day: int | None, history: list[Try]
) -> None:
    """Whatever was booked, replaced and given back before, over midnight or not: the rule and the strokes agree."""
    ledger, naive = resource(capacity, per_day), Naive(capacity, per_day)
    for number, wanted in enumerate(history):
        dropped = f"r{number - (wanted.drops or 0)}"
        if dropped in held(ledger):
            home = naive.booked.pop(dropped).home
            ledger.applied(decided(ledger, dropped, home, "cancelled"))
        name, booking = f"r{number}", Booking(wanted.home, wanted.start, wanted.end)
        old: AccessRequest | None = ledger.find(
            AccessRequest, f"r{number - (wanted.replaces or 0)}"
        )
        is_open = old and old.home == wanted.home and old.state in ("requested", "approved")
        replaces = old.id if old and is_open else None
        asked = ledger.tell(
            "lab.access-requested",
            request_id=name,
            resource_id="gpc",
            home=wanted.home,
            owner=HOST,
            start=at(wanted.start),
            end=at(wanted.end),
            project_id=None,
            replaces_request_id=replaces,
            decide_by=None,
        )
        if asked.outcome != "applied":
            assert asked.reason == "QUOTA_EXCEEDED", asked.detail
            assert len(booking.moments()) * STEP_MINUTES > (per_day or 0) > 0
            continue
        if replaces in naive.booked and wanted.meanwhile == "used":
            ledger.applied(used(ledger, replaces, naive.booked[replaces]))
            replaces = None
        elif replaces in naive.booked and wanted.meanwhile is not None:
            ledger.applied(
                decided(ledger, replaces, naive.booked.pop(replaces).home, wanted.meanwhile)
            )
        expected = naive.verdict(booking, replaces)
        assert decided(ledger, name, wanted.home, "approved").reason == expected
        if expected is None:
            naive.booked.pop(replaces or "", None)
            naive.booked[name] = booking
        assert kept(ledger) == naive.calendar()
        assert held(ledger) == {
            name: len(booking.moments()) * STEP_MINUTES
            for name, booking in naive.booked.items()
            if ledger.find(AccessRequest, name).state == "approved"
        }
    assert Audit().finish(ledger.state) == []


def kept(ledger: Ledger) -> dict[str, set[str]]:
    calendars: dict[str, Calendar] = ledger.state.things.get(Calendar.KIND, {})
    for calendar in calendars.values():
        assert list(calendar.slots) == sorted(set(calendar.slots))
    return {
        calendar.day: {slot.request_id for slot in calendar.slots}
        for calendar in calendars.values()
        if calendar.slots
    }


def held(ledger: Ledger) -> dict[str, int]:
    """Minutes held for each booking."""
    return {
        name.removeprefix("slot/"): pending.open
        for name, pending in ledger.state.book.pendings.items()
        if pending.open
    }


@given(st.lists(spans, max_size=12))
def test_the_most_at_once_is_what_counting_at_every_moment_gives(
    found: list[tuple[int, int]],
) -> None:
    """An end is not included: who leaves at ten makes room for who comes at ten."""
    strokes = Counter(moment for start, end in found for moment in range(start, end))
    assert most_at_once(Span(*pair) for pair in found) == max(strokes.values(), default=0)


@given(st.integers(-(10**12), 10**13), st.integers(1, 5 * 86_400_000))
def test_a_span_touches_the_days_of_its_moments(start_ms: int, length_ms: int) -> None:
    """The days of its first and last millisecond, and of one moment in every hour between."""
    span = Span(start_ms, start_ms + length_ms)
    moments = [*range(start_ms, span.end_ms, 3_600_000), span.end_ms - 1]
    expected = {from_millis(ms).astimezone(SHANGHAI).date().isoformat() for ms in moments}
    assert days(span) == sorted(expected)
