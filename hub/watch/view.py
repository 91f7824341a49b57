"""What watching found, as values: lag in messages and seconds, retention, clocks, the cluster, the disk. Pure.

Seconds of lag are the age of the first message that a reader has not taken, by the time Kafka keeps with that message; nothing
is interpolated. Sizes of partitions are not here: the client's admin side cannot ask for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hub.watch.commits import GroupStatus

SKEW_WARN_S = 5.0  # heartbeats travel for less; members' clocks are kept by NTP to well below
SHORT_HEADROOM = 0.2  # of the retention left: then somebody should hurry
DISK_WARN_BYTES = 5 * 1024**3
DISK_ERROR_BYTES = 1024**3


@dataclass(frozen=True, slots=True)
class ReaderLag:
    """One reader of one partition.

    `position` is the next offset it reads, `first` the oldest kept. `lag_s` is None where the time of its next message is not
    known. `lost` counts messages that retention took before the reader came; `ahead` those its position lies beyond the end,
    which happens when a topic was made anew.
    """

    reader: str
    topic: str
    partition: int
    position: int
    first: int
    end: int
    lag_s: float | None = None

    @property
    def lag_messages(self) -> int:
        return max(0, self.end - max(self.position, self.first))

    @property
    def lost(self) -> int:
        return max(0, self.first - self.position)

    @property
    def ahead(self) -> int:
        return max(0, self.position - self.end)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a topic keeps messages. None: for ever, or by key (compaction), which takes nothing from who is late."""

    topic: str
    retention_s: float | None
    bounded_bytes: bool = False  # a limit by size as well, of which nobody can say how near it is


@dataclass(frozen=True, slots=True)
class Headroom:
    """Until when at the earliest retention may take what the slowest reader of a topic has not read."""

    topic: str
    slowest: str
    retention_s: float
    headroom_s: float
    bounded_bytes: bool = False

    @property
    def is_short(self) -> bool:
        return self.headroom_s < SHORT_HEADROOM * self.retention_s


def retention_of(topic: str, config: Mapping[str, str]) -> Retention:
    """What a topic's configuration says. Source: Kafka's topic configurations `cleanup.policy`, `retention.ms`, `retention.bytes`."""
    if "delete" not in config.get("cleanup.policy", "delete"):
        return Retention(topic, None)
    retention_ms, limit = int(config.get("retention.ms", "-1")), int(config.get("retention.bytes", "-1"))  # fmt: skip
    return Retention(topic, None if retention_ms < 0 else retention_ms / 1000, limit >= 0)


def headrooms(lags: Iterable[ReaderLag], kept: Mapping[str, Retention]) -> list[Headroom]:
    """For each topic with a limit and a reader that is behind; least time first. A lower bound: Kafka drops whole segments."""
    found: dict[str, Headroom] = {}
    for lag in lags:
        kept_for = kept.get(lag.topic)
        if kept_for is None or kept_for.retention_s is None or lag.lag_s is None:
            continue
        if not lag.lag_messages:
            continue
        room = Headroom(
            lag.topic, lag.reader, kept_for.retention_s, kept_for.retention_s - lag.lag_s, kept_for.bounded_bytes,
        )  # fmt: skip
        before = found.get(lag.topic)
        if before is None or room.headroom_s < before.headroom_s:
            found[lag.topic] = room
    return sorted(found.values(), key=lambda room: room.headroom_s)


@dataclass(frozen=True, slots=True)
class Skew:
    """A member's clock against ours: above 0 it is fast. `by` is whose time it was held against, `broker` or `arrival`."""

    member: str
    connector: str
    skew_s: float
    by: str
    beats: int

    @property
    def is_bad(self) -> bool:
        return abs(self.skew_s) >= SKEW_WARN_S


def skew(differences_s: Sequence[float]) -> float:
    """A clock's error from several heartbeats: the campus's time less ours, of each.

    The largest: what delays a heartbeat only makes a clock look slow, so the least delayed one is nearest to the truth.
    """
    return max(differences_s)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The brokers. Partitions lack a copy when fewer are in sync than there should be; without a leader they take no messages."""

    brokers: int
    controller: int
    partitions: int
    under_replicated: tuple[str, ...] = ()  # topic-partition
    leaderless: tuple[str, ...] = ()


def cluster_of(described: Iterable[Mapping[str, object]], brokers: int, controller: int) -> Cluster:
    """From topic metadata as Kafka gives it: partitions with `leader`, `replicas` and `isr`."""
    lacking, leaderless, count = [], [], 0
    for topic in described:
        partitions = topic["partitions"]
        for one in partitions if isinstance(partitions, (list, tuple)) else ():
            name, count = f"{topic['topic']}-{one['partition']}", count + 1
            if int(one["leader"]) < 0:
                leaderless.append(name)
            if len(one["isr"]) < len(one["replicas"]):
                lacking.append(name)
    return Cluster(brokers, controller, count, tuple(sorted(lacking)), tuple(sorted(leaderless)))


@dataclass(frozen=True, slots=True)
class Disk:
    """Room on the disk of the hub's state folder."""

    free_bytes: int
    total_bytes: int

    @property
    def severity(self) -> str:
        """`error`, `warning` or empty."""
        if self.free_bytes < DISK_ERROR_BYTES:
            return "error"
        low = self.free_bytes < DISK_WARN_BYTES and self.free_bytes < self.total_bytes / 10
        return "warning" if low else ""


@dataclass(frozen=True, slots=True)
class Watched:
    """Everything watching found at the newest look; empty before the first."""

    groups: tuple[GroupStatus, ...] = ()
    lags: tuple[ReaderLag, ...] = ()
    headrooms: tuple[Headroom, ...] = ()
    clocks: tuple[Skew, ...] = ()
    cluster: Cluster | None = None
    disk: Disk | None = None
