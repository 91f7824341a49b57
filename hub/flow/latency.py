"""How long events took from a member's outbox to the inboxes, by Kafka's times of both messages."""

from __future__ import annotations

from collections.abc import Mapping

from hub.flow.kafka import Reader
from schemas.envelope import PUBLISHED_AT, header


async def latencies(reader: Reader, starts: Mapping[str, int]) -> dict[str, float]:
    """Milliseconds from publication to delivery over the inboxes' messages from `starts` on."""
    for inbox, start in starts.items():
        reader.seek(inbox, start)
    left = await reader.ends(list(starts))
    left = {inbox: end for inbox, end in left.items() if end > starts[inbox]}
    found: list[int] = []
    while left:
        for message in await reader.batch(500, 5000):
            raw = header(message.headers, PUBLISHED_AT)
            if raw:
                found.append(message.timestamp_ms - int(raw))
            if message.offset + 1 >= left.get(message.topic, 0):
                left.pop(message.topic, None)
    return percentiles(found)


def percentiles(values: list[int]) -> dict[str, float]:
    """p50, p99, maximum and how many; zeros for none."""
    if not values:
        return {"p50": 0.0, "p99": 0.0, "max": 0.0, "deliveries": 0}
    ordered = sorted(values)
    return {
        "p50": float(ordered[len(ordered) // 2]),
        "p99": float(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]),
        "max": float(ordered[-1]),
        "deliveries": len(ordered),
    }
