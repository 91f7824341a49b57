"""How much passes through each topic, counted by the minutes of Kafka's timestamps. Pure.

The clock of whoever counts plays no part: counting the same topic again gives the same numbers, in whatever order its
partitions are read. A count names, per partition, the place up to which it counts, so a message delivered again changes
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.codec import from_json, to_json
from schemas.envelope import from_millis, to_millis
from schemas.records import TopicRate

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Count:
    """The rate of a topic over every message before `next_offsets`, by partition."""

    rate: TopicRate
    next_offsets: Mapping[int, int]


def fold(count: Count | None, topic: str, partition: int, offset: int, timestamp_ms: int) -> Count:
    """The count with one more message, or the same count when that message is in it already.

    Offsets may jump forward where Kafka has deleted old messages. A message older than the previous minute counts in
    `messages` alone.
    """
    minute_ms = timestamp_ms - timestamp_ms % MINUTE_MS
    if count is None:
        rate = TopicRate(topic, 0, from_millis(minute_ms), 0, 0, from_millis(timestamp_ms))
        count = Count(rate, {})
    if offset < count.next_offsets.get(partition, 0):
        return count
    return Count(
        _one_more(count.rate, minute_ms, timestamp_ms),
        {**count.next_offsets, partition: offset + 1},
    )


def _one_more(rate: TopicRate, minute_ms: int, timestamp_ms: int) -> TopicRate:
    current_ms = to_millis(rate.minute)
    in_minute, previous = rate.in_minute, rate.previous_minute
    if minute_ms > current_ms:
        previous = in_minute if minute_ms == current_ms + MINUTE_MS else 0
        current_ms, in_minute = minute_ms, 0
    in_minute += minute_ms == current_ms
    previous += minute_ms == current_ms - MINUTE_MS
    return TopicRate(
        topic=rate.topic,
        messages=rate.messages + 1,
        minute=from_millis(current_ms),
        in_minute=in_minute,
        previous_minute=previous,
        last_at=max(rate.last_at, from_millis(timestamp_ms)),
    )


def to_bytes(count: Count) -> bytes:
    """The count as JSON, one value, so that it is written whole or not at all."""
    fields = {"rate": to_json(count.rate), "next_offsets": dict(count.next_offsets)}
    return json.dumps(fields, separators=(",", ":")).encode()


def from_bytes(value: bytes | None) -> Count | None:
    """The count that `to_bytes` wrote; None for nothing."""
    if value is None:
        return None
    fields = json.loads(value)
    rate = from_json(TopicRate.EVENT, fields["rate"])
    if not isinstance(rate, TopicRate):
        raise TypeError(f"rate is a {type(rate).__name__}, wanted TopicRate")
    return Count(rate, {int(name): offset for name, offset in fields["next_offsets"].items()})
