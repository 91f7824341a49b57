"""When a source has been silent for too long. Pure: times and days in, a verdict out.

Time counts on expected days alone, so that a source that speaks on working days is not missed on a Sunday. Days are those
of China (UTC+8 all year; no summer time since 1991, IANA time zone database, Asia/Shanghai). Public holidays are not known
here: expect less often, or pause the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from pydantic import BaseModel, ConfigDict, Field, field_validator

CHINA = timezone(timedelta(hours=8))
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WEEK = timedelta(days=7)


class Expect(BaseModel):
    """`[source.<name>.expect]`: a record at least every `every_s` seconds of expected days, `grace_s` later it is missed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every_s: int = Field(gt=0)
    grace_s: int = Field(default=0, ge=0)
    days: str = "Mon-Sun"

    @field_validator("days")
    @classmethod
    def _readable(cls, text: str) -> str:
        days_of(text)
        return text


def days_of(text: str) -> frozenset[int]:
    """Days of the week, 0 for Monday, of a text such as `Mon-Fri` or `Mon,Wed,Sat-Sun`. Raises `ValueError`."""
    found: set[int] = set()
    for piece in text.split(","):
        first, dash, last = (word.strip() for word in piece.partition("-"))
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(
                f"found {piece.strip()!r} in days; write days such as Mon-Fri or Mon,Wed, of {', '.join(DAYS)}"
            )
        start, end = DAYS.index(first), DAYS.index(last if dash else first)
        found |= {(start + step) % 7 for step in range((end - start) % 7 + 1)}
    return frozenset(found)


def missed_at(last: datetime, wanted: Expect) -> datetime:
    """From when on a source is overdue whose last record came at `last`; both aware."""
    days = days_of(wanted.days)
    left = timedelta(seconds=wanted.every_s + wanted.grace_s)
    at = last.astimezone(CHINA)
    weeks = left // (len(days) * timedelta(days=1)) - 1
    if weeks > 0:  # whole weeks count alike, wherever they begin
        at += weeks * _WEEK
        left -= weeks * len(days) * timedelta(days=1)
    while True:
        midnight = datetime(at.year, at.month, at.day, tzinfo=CHINA) + timedelta(days=1)
        if at.weekday() in days:
            if left <= midnight - at:
                return at + left
            left -= midnight - at
        at = midnight


def silence(last: datetime | None, since: datetime, now: datetime, wanted: Expect) -> str:
    """What is wrong, in words; empty while the source is in time. `since` is when it was first watched."""
    if now < missed_at(last or since, wanted):
        return ""
    missing = "no records yet" if last is None else f"no records for {spoken(now - last)}"
    return (
        f"{missing}; expected every {spoken(timedelta(seconds=wanted.every_s))}, {_on(wanted.days)}"
    )


def _on(days: str) -> str:
    return "any day" if len(days_of(days)) == len(DAYS) else days


def spoken(span: timedelta) -> str:
    """A span as people say it: `3 days`, `25 hours`, `90 s`."""
    units: Sequence[tuple[str, timedelta]] = (
        ("days", timedelta(days=1)),
        ("hours", timedelta(hours=1)),
        ("minutes", timedelta(minutes=1)),
    )
    for name, unit in units:
        if span >= 2 * unit:
            return f"{span // unit} {name}"
    return f"{span // timedelta(seconds=1)} s"
