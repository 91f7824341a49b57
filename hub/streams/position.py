"""Where to read on. The state decides, not the consumer group.

The group's committed offsets say what was acknowledged; the changelogs say what is counted. Normally the first are not
ahead. When they are (a changelog was dropped to count again, or restored from an older copy), reading on from them
would leave a hole. `rewind` sets them back before a worker starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hub.errors import RetryLater, SettingsError
from hub.streams import activity, rates
from hub.streams.plan import ACTIVITY_TABLE, RATES_TABLE, Names

Offsets: TypeAlias = dict[tuple[str, int], int]

SESSION_TIMEOUT_S = 10.0
# A worker that was killed stays in its group until its session ends, and Kafka refuses commits from outside meanwhile.
GROUP_EMPTY_WITHIN_S = SESSION_TIMEOUT_S + 5

log = structlog.get_logger(__name__)


async def rewind(bootstrap: str, names: Names) -> Offsets:
    """Set the group back to where the state ends, where it is ahead of it. Returns the offsets that were set.

    Raises `SettingsError` when a topic is missing, and `RetryLater` when the broker does not answer or another worker
    of the group is running and must be stopped first.
    """
    try:
        async with _consumer(bootstrap, None) as consumer:
            await _require_topics(consumer, names)
            partitions = _partitions(consumer, names.inputs)
            states = {name: await _newest(consumer, name) for name in names.changelogs}
        counted = counted_offsets(names, states)
        async with _consumer(bootstrap, names.app_id) as consumer:
            consumer.assign(partitions)
            ahead = {
                tp: counted.get((tp.topic, tp.partition), 0)
                for tp in partitions
                if (await consumer.committed(tp) or 0) > counted.get((tp.topic, tp.partition), 0)
            }
            if ahead:
                await _commit(consumer, ahead, names.app_id)
    except (KafkaError, OSError) as error:
        raise RetryLater(
            f"{bootstrap} does not answer as a broker ({type(error).__name__}: {error}); check that it runs"
        ) from error
    moved = {(tp.topic, tp.partition): offset for tp, offset in ahead.items()}
    if moved:
        log.warning(
            "group_set_back",
            group=names.app_id,
            offsets={f"{t}/{p}": o for (t, p), o in moved.items()},
        )
    return moved


def counted_offsets(names: Names, states: Mapping[str, Mapping[bytes, bytes]]) -> Offsets:
    """The next offset of each input that the states, by changelog and key, have not counted yet."""
    found: Offsets = {}
    for value in states[names.changelog(ACTIVITY_TABLE)].values():
        found[names.entries, 0] = activity.from_bytes(value).next_offset
    for key, value in states[names.changelog(RATES_TABLE)].items():
        count = rates.from_bytes(value)
        for partition, offset in (count.next_offsets if count else {}).items():
            found[key.decode(), partition] = offset
    return found


@asynccontextmanager
async def _consumer(bootstrap: str, group: str | None) -> AsyncIterator[Any]:
    """A started consumer that never joins its group, typed Any because aiokafka ships no types."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _require_topics(consumer: Any, names: Names) -> None:
    """Faust waits for ever, without a word, for a topic that is not there."""
    there = await consumer.topics()
    wanted = [*names.inputs, names.activity, names.rates, *names.changelogs]
    missing = [name for name in wanted if name not in there]
    if missing:
        raise SettingsError(
            f"the cluster has no topic {', '.join(missing)}; run: alliance topics apply"
        )


def _partitions(consumer: Any, topics: Iterable[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, number)
        for topic in topics
        for number in sorted(consumer.partitions_for_topic(topic) or ())
    ]


async def _newest(consumer: Any, changelog: str) -> dict[bytes, bytes]:
    """The newest value of each key, read from the beginning of the one partition to its present end."""
    partition = TopicPartition(changelog, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    found: dict[bytes, bytes] = {}
    while await consumer.position(partition) < end:
        for message in (await consumer.getmany(timeout_ms=200)).get(partition, []):
            if message.value is None:
                found.pop(message.key, None)
            else:
                found[message.key] = message.value
    return found


async def _commit(consumer: Any, offsets: Mapping[TopicPartition, int], group: str) -> None:
    deadline = asyncio.get_running_loop().time() + GROUP_EMPTY_WITHIN_S
    while True:
        try:
            await consumer.commit(dict(offsets))
        except KafkaError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise RetryLater(
                    f"the state of {group} is behind its group, and another worker holds the group; "
                    "stop all workers of the group, then start one"
                ) from error
            await asyncio.sleep(1)
        else:
            return
