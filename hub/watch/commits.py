"""The memory behind `hub.watch.burrow`: a window of commits for each partition that a group reads, bounded.

Positions are sampled. Kafka gives a group's committed offset without its time, so a sample counts as a commit when the offset
moved, and also when it did not while the group has members: a reader that is there and does not move is STALL, one that
is gone is STOP. Samples nearer to each other than `every_ms` become one.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from hub.watch.burrow import Commit, Status, judge, lately_at_the_end, worst

COMMITS = 15  # of a window; Burrow's example configuration has as many intervals
EVERY_MS = 10_000
MOST_PLACES = 4_000  # partitions remembered: some hundred bytes each and window
ENOUGH = 0.5  # of a window, before its commits are judged


class Place(NamedTuple):
    """A partition that a group reads. Readers without a group have a name of their own."""

    group: str
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """The verdict on one partition. `complete` is the part of the window that is filled, from 0 to 1."""

    topic: str
    partition: int
    status: Status
    offset: int
    end: int
    complete: float

    @property
    def lag_messages(self) -> int:
        return max(0, self.end - self.offset)


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """A group, as well as its worst partition. `complete` is the part of its partitions with a full window."""

    group: str
    status: Status
    complete: float
    partitions: tuple[PartitionStatus, ...]

    @property
    def lag_messages(self) -> int:
        return sum(partition.lag_messages for partition in self.partitions)


@dataclass(slots=True)
class _Window:
    commits: deque[Commit]
    ends: deque[tuple[int, int]]  # when, end offset
    offset: int = 0
    end: int = 0


@dataclass(slots=True)
class Commits:
    """Windows by place; the place not sampled for longest makes room for a new one."""

    size: int = COMMITS
    every_ms: int = EVERY_MS
    most: int = MOST_PLACES
    _windows: OrderedDict[Place, _Window] = field(default_factory=OrderedDict)

    def saw(
        self, place: Place, offset: int, end: int, at_ms: int, *, alive: bool | None = None
    ) -> None:
        """A sample: the reader's position and the end of the partition. `alive`: it has members; None: nobody knows."""
        window = self._windows.get(place)
        if window is None:
            window = _Window(deque(maxlen=self.size), deque(maxlen=self.size))
            self._windows[place] = window
            if len(self._windows) > self.most:
                self._windows.popitem(last=False)
        self._windows.move_to_end(place)
        window.offset, window.end = offset, end
        if not window.ends or at_ms - window.ends[-1][0] >= self.every_ms:
            window.ends.append((at_ms, end))
        self._commit(window.commits, Commit(offset, at_ms, max(0, end - offset)), alive=alive)

    def _commit(self, commits: deque[Commit], new: Commit, *, alive: bool | None) -> None:
        last = commits[-1] if commits else None
        if last is not None and last.offset == new.offset and not alive:
            if new.lag == 0:  # it has all there is; what it committed then is as good as new
                commits[-1] = replace(last, lag=0)
            return
        if last is None or new.at_ms - last.at_ms >= self.every_ms or new.offset < last.offset:
            commits.append(new)
        else:
            commits[-1] = Commit(new.offset, last.at_ms, 0 if last.lag == 0 else new.lag)

    def keep(self, groups: Container[str], partitions: Container[tuple[str, int]]) -> None:
        """Forget groups and partitions that are not there any more."""
        for place in list(self._windows):
            if place.group not in groups or (place.topic, place.partition) not in partitions:
                del self._windows[place]

    def groups(self, now_ms: int) -> tuple[GroupStatus, ...]:
        """All groups by name, judged now."""
        found: dict[str, list[PartitionStatus]] = {}
        for place, window in self._windows.items():
            found.setdefault(place.group, []).append(self._judged(place, window, now_ms))
        return tuple(
            GroupStatus(
                group,
                worst(partition.status for partition in partitions),
                sum(partition.complete >= 1 for partition in partitions) / len(partitions),
                tuple(sorted(partitions, key=lambda one: (one.topic, one.partition))),
            )
            for group, partitions in sorted(found.items())
        )

    def _judged(self, place: Place, window: _Window, now_ms: int) -> PartitionStatus:
        lag = max(0, window.end - window.offset)
        commits, ends = list(window.commits), [end for _, end in window.ends]
        complete = len(commits) / self.size
        if complete >= ENOUGH:
            status = judge(commits, ends, lag, now_ms)
        else:  # Burrow says nothing here; but who has work and was quiet for a whole window has stopped
            quiet_ms = now_ms - commits[-1].at_ms if commits else 0
            quiet = quiet_ms >= self.size * self.every_ms and not lately_at_the_end(commits, ends)
            status = Status.STOP if lag and quiet else Status.OK
        return PartitionStatus(
            place.topic, place.partition, status, window.offset, window.end, complete
        )

    def __len__(self) -> int:
        return len(self._windows)

    def __iter__(self) -> Iterator[Place]:
        return iter(self._windows)
