"""One look at everything that is watched, with the clients of whoever polls Kafka.

Owns when what is asked: positions at each look, times of messages and members of groups every few seconds, topics' settings
every few minutes. What is made of the answers is in `hub.watch.sampling`.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from hub.broker.admin import describe
from hub.broker.errors import BrokerError
from hub.watch.kafka import MessageTimes, group_is_alive
from hub.watch.sampling import MOST_CONNECTORS, Reading, Sampler
from hub.watch.view import Cluster, Disk, ReaderLag, Retention, Watched, cluster_of, retention_of
from schemas import topics
from schemas.codec import Unreadable, decode
from schemas.envelope import to_millis
from schemas.records import Heartbeat

log = structlog.get_logger("watch")

SLOW_MS = 5_000  # between two looks at groups, times and disk
SETTINGS_MS = 300_000
BEATING_MS = 15_000
APPEND_TIME = 1  # Kafka's timestamp type for the broker's own time, message format v2

Positions = Callable[[], Mapping[tuple[str, int], int]]
PROJECTOR = "projector"


@dataclass(slots=True)
class Watcher:
    """The watching of one process.

    `groups` are consumer groups to watch; `positions` says what the read model has read and may fail; `folder` is the one
    whose disk must not run full; `clock` in milliseconds since 1970.
    """

    groups: Sequence[str]
    clock_ms: Callable[[], int]
    folder: Path | None = None
    positions: Positions | None = None
    sampler: Sampler = field(default_factory=Sampler)
    times: MessageTimes = field(default_factory=MessageTimes)
    _beats: OrderedDict[tuple[str, str], tuple[Heartbeat, int]] = field(default_factory=OrderedDict)
    _alive: dict[str, bool | None] = field(default_factory=dict)
    _stored: Mapping[tuple[str, int], int] = field(default_factory=dict)
    _kept: dict[str, Retention] = field(default_factory=dict)
    _cluster: Cluster | None = None
    _disk: Disk | None = None
    _slow_at: int | None = None
    _settings_at: int | None = None

    def heard(self, records: Iterable[Any], *, now_ms: int, live: bool) -> None:
        """Heartbeats as they came. `live`: they came just now, so that their arrival tells a time."""
        for record in records:
            try:
                beat = decode(record.value or b"")
            except Unreadable:
                continue
            if not isinstance(beat, Heartbeat):
                continue
            key, at_ms = (beat.member, beat.connector), to_millis(beat.at)
            if record.timestamp_type == APPEND_TIME:
                self.sampler.clocks.saw(*key, (at_ms - record.timestamp) / 1000, "broker")
            elif live:
                self.sampler.clocks.saw(*key, (at_ms - now_ms) / 1000, "arrival")
            seen_ms = now_ms if live else min(now_ms, int(record.timestamp))
            self._beats[key] = (beat, seen_ms)
            self._beats.move_to_end(key)
            while len(self._beats) > MOST_CONNECTORS:
                self._beats.popitem(last=False)

    async def look(
        self,
        admin: Any,
        consumer: Any,
        bootstrap: str,
        described: Sequence[Mapping[str, Any]],
        first: Mapping[tuple[str, int], int],
        end: Mapping[tuple[str, int], int],
    ) -> Watched:
        """Everything at this moment. `consumer` is in no group and is used for nothing else. Raises what Kafka raises."""
        now_ms = self.clock_ms()
        slow = self._slow_at is None or now_ms - self._slow_at >= SLOW_MS
        if slow:
            self._slow_at = now_ms
            await self._look_slowly(admin, bootstrap, described, now_ms)
        readings = [*await self._of_groups(admin), *self._of_store(), *self._of_connectors(now_ms)]
        # A group that is not answered for just now is still one; what is known of it is kept.
        self.sampler.commits.keep({*self.groups, *(one.reader for one in readings)}, end)
        lags = self.sampler.sample(readings, first, end, now_ms)
        if slow:
            await self.times.look_up(consumer, [_next(lag) for lag in lags if lag.lag_messages])
        return self.sampler.watched(
            [self._timed(lag, now_ms) for lag in lags],
            self._kept,
            now_ms,
            self._cluster,
            self._disk,
        )

    def _timed(self, lag: ReaderLag, now_ms: int) -> ReaderLag:
        if not lag.lag_messages:
            return replace(lag, lag_s=0.0)
        at_ms = self.times.get(*_next(lag))
        return lag if at_ms is None else replace(lag, lag_s=max(0.0, (now_ms - at_ms) / 1000))

    async def _look_slowly(
        self, admin: Any, bootstrap: str, described: Sequence[Mapping[str, Any]], now_ms: int
    ) -> None:
        cluster = await admin.describe_cluster()
        self._cluster = cluster_of(described, len(cluster["brokers"]), int(cluster["controller_id"]))  # fmt: skip
        self._alive = {group: await group_is_alive(admin, group) for group in self.groups}
        if self.folder is not None:
            self._disk = await asyncio.to_thread(_room, self.folder)
        if self.positions is not None:
            try:
                self._stored = await asyncio.to_thread(self.positions)
            except Exception as error:  # noqa: BLE001 - whatever ails the database is told elsewhere
                log.debug("positions_unknown", error=str(error))
        if self._settings_at is None or now_ms - self._settings_at >= SETTINGS_MS:
            try:
                found = await describe(bootstrap)
            except BrokerError as error:
                log.debug("settings_unknown", error=str(error))
                return
            self._settings_at = now_ms
            self._kept = {topic.name: retention_of(topic.name, topic.config) for topic in found}

    async def _of_groups(self, admin: Any) -> list[Reading]:
        found = []
        for group in self.groups:
            try:
                offsets = await admin.list_consumer_group_offsets(group)
            except KafkaError as error:
                log.debug("group_unknown", group=group, error=str(error))
                continue
            found += [
                Reading(group, p.topic, p.partition, item.offset, self._alive.get(group))
                for p, item in offsets.items()
                if item.offset >= 0
            ]
        return found

    def _of_store(self) -> list[Reading]:
        return [
            Reading(PROJECTOR, topic, partition, at)
            for (topic, partition), at in self._stored.items()
        ]

    def _of_connectors(self, now_ms: int) -> list[Reading]:
        return [
            Reading(
                f"{beat.member}.{beat.connector}",
                topics.inbox(beat.member),
                0,
                beat.inbox_position,
                now_ms - seen_ms < BEATING_MS,
            )
            for beat, seen_ms in self._beats.values()
        ]


def _next(lag: ReaderLag) -> tuple[str, int, int]:
    """The first message the reader can still take."""
    return lag.topic, lag.partition, max(lag.position, lag.first)


def _room(folder: Path) -> Disk | None:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(usage.free, usage.total)
