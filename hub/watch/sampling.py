"""From samples to a `Watched`: the memory of one watching process, and how a sample changes it. No input or output of its own."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hub.watch.commits import Commits, GroupStatus, Place
from hub.watch.view import Cluster, Disk, ReaderLag, Retention, Skew, Watched, headrooms, skew

BEATS_KEPT = 15
MOST_CONNECTORS = 500


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a reader stands at one partition. `alive`: its group has members; None where that is not known."""

    reader: str
    topic: str
    partition: int
    position: int
    alive: bool | None = None


@dataclass(slots=True)
class Clocks:
    """Differences between members' clocks and ours, of the newest heartbeats of each connector."""

    _seen: OrderedDict[tuple[str, str], deque[float]] = field(default_factory=OrderedDict)
    _by: dict[tuple[str, str], str] = field(default_factory=dict)

    def saw(self, member: str, connector: str, difference_s: float, by: str) -> None:
        """A heartbeat whose time, less `by`'s time of it, was so much."""
        key = (member, connector)
        if self._by.get(key) != by:
            self._seen.pop(key, None)
        self._seen.setdefault(key, deque(maxlen=BEATS_KEPT)).append(difference_s)
        self._seen.move_to_end(key)
        self._by[key] = by
        while len(self._seen) > MOST_CONNECTORS:
            gone, _ = self._seen.popitem(last=False)
            del self._by[gone]

    def all(self) -> tuple[Skew, ...]:
        """Every connector's, by member."""
        return tuple(
            Skew(*key, skew(tuple(differences)), self._by[key], len(differences))
            for key, differences in sorted(self._seen.items())
        )


@dataclass(slots=True)
class Sampler:
    """All memory of watching: commits and clocks."""

    commits: Commits = field(default_factory=Commits)
    clocks: Clocks = field(default_factory=Clocks)

    def sample(
        self,
        readings: Iterable[Reading],
        first: Mapping[tuple[str, int], int],
        end: Mapping[tuple[str, int], int],
        now_ms: int,
    ) -> list[ReaderLag]:
        """Take in where readers stand; those of partitions that are gone say nothing. Gives their lags, without times."""
        lags = []
        for one in readings:
            place = (one.topic, one.partition)
            if place not in end:
                continue
            self.commits.saw(
                Place(one.reader, *place), one.position, end[place], now_ms, alive=one.alive
            )
            lags.append(
                ReaderLag(one.reader, *place, one.position, first.get(place, 0), end[place])
            )
        return lags

    def watched(
        self,
        lags: Iterable[ReaderLag],
        kept: Mapping[str, Retention],
        now_ms: int,
        cluster: Cluster | None,
        disk: Disk | None,
    ) -> Watched:
        """Everything, judged now. `lags` have their times as far as known."""
        known = tuple(lags)
        groups: tuple[GroupStatus, ...] = self.commits.groups(now_ms)
        return Watched(
            groups, known, tuple(headrooms(known, kept)), self.clocks.all(), cluster, disk
        )
