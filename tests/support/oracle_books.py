"""What every rule of the oracle stands on: the facts, the words for a refusal, days and deadlines.

Facts are plain dictionaries by kind and id. Nothing is booked: whoever asks how many seats are left counts who sits.
Times are milliseconds since 1970, days those of Asia/Shanghai.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple, NoReturn

Fact = dict[str, Any]
SHANGHAI = timezone(timedelta(hours=8))
DAY_MS = 86_400_000
NEAR_DAYS = 3


class Refused(Exception):
    """The rules forbid it, for this reason."""


class Missing(Exception):
    """It has to wait for this: `("version", domain, subject, member, number)` or `(kind, id)`."""

    def __init__(self, *key: Any) -> None:
        super().__init__(*key)
        self.key = key


class Flag(NamedTuple):
    """Somebody must look at a thing."""

    name: str
    kind: str
    id: str
    actors: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """It took effect: who is told besides the member that said it, what a person must look at."""

    told: frozenset[str] = frozenset()
    flags: tuple[Flag, ...] = ()


def refuse(reason: str) -> NoReturn:
    raise Refused(reason)


def need(holds: object, reason: str) -> None:
    """The next check of a rule: what must hold, and the reason if it does not."""
    if not holds:
        raise Refused(reason)


def told(*members: str) -> Done:
    return Done(frozenset(members))


# Days and times


def ms_of(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def after_day_ms(day: date) -> int:
    """The first millisecond that no longer belongs to a day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
    return ms_of(midnight) + DAY_MS


def shanghai_day(moment: datetime) -> date:
    return moment.astimezone(SHANGHAI).date()


def year_of(day: date) -> str:
    """The academic year, which begins in September."""
    start = day.year - (day.month < 9)
    return f"{start}-{start + 1}"


def begun_minutes(start: datetime, end: datetime) -> int:
    whole, rest = divmod(end - start, timedelta(minutes=1))
    return whole + bool(rest)


def overlap(one: tuple[datetime, datetime], other: tuple[datetime, datetime]) -> bool:
    """Whether two spans share a moment; the end of a span is not in it."""
    return one[0] < other[1] and other[0] < one[1]


# The lives of things that name their state in a step: state -> step -> state


def walk(table: Mapping[str, Mapping[str, str]], state: str, step: str) -> str:
    reached = table.get(state, {}).get(step)
    if reached is None:
        refuse("ILLEGAL_TRANSITION")
    return reached


@dataclass
class Alarm:
    """A deadline as it was set: the flags still to come. A dispute moves `rings_ms` on, the deadline stays."""

    due_ms: int
    near: bool
    over: bool = True
    rings_ms: int = 0

    def __post_init__(self) -> None:
        self.rings_ms = self.rings_ms or self.due_ms


@dataclass
class Books:
    """All facts. `due` and `turn` say per kind when the present wait of a thing is over and whose turn it is."""

    members: tuple[str, ...]
    due: Mapping[str, Callable[[Fact], int | None]]
    turn: Mapping[str, Callable[[Fact], Iterable[str]]]
    now_ms: int = 0
    facts: dict[str, dict[str, Fact]] = field(default_factory=dict)
    newest: dict[tuple[str, str, str], int] = field(default_factory=dict)
    alarms: dict[tuple[str, str], Alarm] = field(default_factory=dict)
    genuine: set[tuple[str, str, bytes, bytes]] = field(
        default_factory=set
    )  # keys that are what they say
    before: list[tuple[str, str, Fact | None, Alarm | None]] = field(default_factory=list)

    def all(self, kind: str) -> dict[str, Fact]:
        return self.facts.setdefault(kind, {})

    def get(self, kind: str, name: str | None) -> Fact | None:
        return self.all(kind).get(name or "")

    def find(self, kind: str, name: str) -> Fact:
        """A thing that an event refers to; it has to wait for one that is not there."""
        if name not in self.all(kind):
            raise Missing(kind, name)
        return self.all(kind)[name]

    def put(self, kind: str, name: str, **said: Any) -> Fact:
        """Keep what was said of a thing, and set its deadline if that is another than before."""
        old = self.all(kind).get(name)
        self.before.append((kind, name, old and dict(old), self.alarms.get((kind, name))))
        fact = self.all(kind).setdefault(name, {})
        fact.update(said)
        due_ms = self.due[kind](fact) if kind in self.due else None
        set_for = self.alarms.get((kind, name))
        if due_ms is None:
            self.alarms.pop((kind, name), None)
        elif set_for is None or set_for.due_ms != due_ms:
            near = due_ms - NEAR_DAYS * DAY_MS > self.now_ms
            self.alarms[kind, name] = Alarm(due_ms, near)
        return fact

    def undo(self) -> None:
        """As if nothing had been put since `before` was emptied."""
        for kind, name, old, alarm in reversed(self.before):
            if old is None:
                del self.all(kind)[name]
            else:
                self.all(kind)[name] = old
            self.alarms.pop((kind, name), None)
            if alarm is not None:
                self.alarms[kind, name] = alarm
        self.before.clear()

    def actors(self, kind: str, name: str) -> tuple[str, ...]:
        turn = self.turn.get(kind)
        return tuple(sorted(set(turn(self.all(kind)[name])))) if turn else ()

    def is_over(self, deadline_ms: int | None) -> bool:
        """Before the ledger first looks at its clock nothing is over."""
        return deadline_ms is not None and 0 < self.now_ms >= deadline_ms

    def day_over(self, day: date | None) -> bool:
        return day is not None and self.is_over(after_day_ms(day))

    def need_members(self, *codes: str) -> None:
        need(set(codes) <= set(self.members), "UNKNOWN_MEMBER")
