"""What watching asks of Kafka beside offsets: times of messages, members of groups. Untyped clients stay inside."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

log = structlog.get_logger("watch")

MOST_TIMES = 10_000  # remembered; a topic, two numbers and a time each
AT_ONCE = 50  # messages looked up in one look; the others have their turn at the next
FETCH_BYTES = 1  # Kafka then gives one batch of each partition, which is the least it can
WITHIN_S = 2.0


@dataclass(slots=True)
class MessageTimes:
    """Kafka's times of messages by place, in milliseconds since 1970. A message keeps its time, so each is read once.

    Where compaction took the message, the time of the next one stands for it.
    """

    most: int = MOST_TIMES
    at_once: int = AT_ONCE
    _known: OrderedDict[tuple[str, int, int], int] = field(default_factory=OrderedDict)

    def get(self, topic: str, partition: int, offset: int) -> int | None:
        """The time, when it was looked up before."""
        return self._known.get((topic, partition, offset))

    async def look_up(self, consumer: Any, wanted: Iterable[tuple[str, int, int]]) -> None:
        """Read the times of messages at these places. `consumer` is in no group and is used for nothing else."""
        missing = [place for place in wanted if place not in self._known]
        unread = {TopicPartition(*place[:2]): place for place in missing[: self.at_once]}
        if not unread:
            return
        consumer.assign(list(unread))
        for partition, place in unread.items():
            consumer.seek(partition, place[2])
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while unread and (left_s := deadline - asyncio.get_running_loop().time()) > 0:
            got = await consumer.getmany(*unread, timeout_ms=int(min(left_s, 0.5) * 1000))
            for partition, records in got.items():
                if records:
                    self._remember(unread.pop(partition), int(records[0].timestamp))

    def _remember(self, place: tuple[str, int, int], at_ms: int) -> None:
        self._known[place] = at_ms
        while len(self._known) > self.most:
            self._known.popitem(last=False)


async def group_is_alive(admin: Any, group: str) -> bool | None:
    """Whether a consumer group has members now; None when its coordinator does not say."""
    try:
        answers = await admin.describe_consumer_groups([group])
    except KafkaError as error:
        log.debug("group_not_described", group=group, error=str(error))
        return None
    for answer in answers:
        for described in answer.to_object()["groups"]:
            if described["group"] == group and not described["error_code"]:
                return bool(described["members"])
    return None
