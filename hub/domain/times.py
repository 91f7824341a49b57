"""Deadlines and academic years. The alliance's days are those of Asia/Shanghai, which has had no daylight saving since 1991."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

from schemas.envelope import from_millis, to_millis

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")
DAY_MS = 24 * 3600 * 1000
NEAR_MS = 3 * DAY_MS  # so long before a deadline those concerned are reminded


def day_over_ms(day: date) -> int:
    """When a day is over in the alliance: the first millisecond of the next one."""
    return to_millis(datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)) + DAY_MS


def day_of(ms: int) -> date:
    """The alliance's day of a moment."""
    return from_millis(ms).astimezone(SHANGHAI).date()


def is_over(deadline_ms: int | None, now_ms: int) -> bool:
    """Whether a deadline is over by the ledger's clock; before its first look at the clock nothing is."""
    return deadline_ms is not None and now_ms > 0 and deadline_ms <= now_ms


def academic_year(day: date) -> str:
    """`2026-2027` for a day from September 2026 to August 2027."""
    first = day.year if day.month >= 9 else day.year - 1
    return f"{first}-{first + 1}"


def minutes(start: datetime, end: datetime) -> int:
    """Whole minutes from start to end; a begun one counts."""
    return -((start - end) // timedelta(minutes=1))
