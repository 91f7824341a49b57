"""The calendar of a resource: who has it when, how full it is, what is taken and set free.

A calendar is kept by day, so that a booking looks at the few slots of its own days however many there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from hub.domain.lab import Calendar, Slot, Span, calendar_id, days, most_at_once
from hub.domain.times import day_of
from hub.ledger.state import View


def running(view: View, resource_id: str, span: Span, without: str | None) -> int:
    """How many slots run at the same moment of a span, at most. The slot of request `without` does not count."""
    touched = {slot for day in days(span) for slot in _slots(view, resource_id, day)}
    # Spans that meet the wanted one and each other have a moment in common with it, so none need be cut to it.
    return most_at_once(
        slot.span for slot in touched if slot.request_id != without and slot.span.overlaps(span)
    )


def minutes_that_day(view: View, wanted: Slot, resource_id: str, without: str | None) -> int:
    """Minutes in slots of the same home that begin on the day on which the wanted one begins."""
    day = day_of(wanted.start_ms)
    return sum(
        slot.minutes
        for slot in _slots(view, resource_id, day.isoformat())
        if slot.home == wanted.home and slot.request_id != without and day_of(slot.start_ms) == day
    )


def rebooked(
    view: View, resource_id: str, *, taken: Iterable[Slot] = (), freed: Iterable[Slot] = ()
) -> Iterator[Calendar]:
    """The calendars of all days that change when slots are taken and others set free."""
    new, old = _by_day(taken), _by_day(freed)
    for day in sorted(new.keys() | old.keys()):
        kept = set(_slots(view, resource_id, day)) - old[day]
        yield Calendar(resource_id, day, tuple(sorted(kept | new[day])))


def _by_day(slots: Iterable[Slot]) -> defaultdict[str, set[Slot]]:
    found: defaultdict[str, set[Slot]] = defaultdict(set)
    for slot in slots:
        for day in days(slot.span):
            found[day].add(slot)
    return found


def _slots(view: View, resource_id: str, day: str) -> tuple[Slot, ...]:
    calendar = view.find(Calendar, calendar_id(resource_id, day))
    return calendar.slots if calendar else ()
