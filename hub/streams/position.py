"""Where to read on. The state decides, not the consumer group.

A processor's state says what is counted, the group's committed offsets say what Faust has noted of it. The two part
when a changelog was dropped to count again or came back from an older copy; and a worker killed before its first commit
leaves none, whereupon Faust reads on from wherever its consumer happens to stand (measured: it left out 1,500
messages). So every start begins where the state ends, and publishes counts first: a publication may have been lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from hub.errors import RetryLater, SettingsError
from hub.streams.activity import Activity
from hub.streams.cases import Place
from hub.streams.plan import Names
from hub.streams.rates import Count

Partition: TypeAlias = tuple[str, int]


def next_offsets(
    names: Names, state: Activity, place: Place, counts: Iterable[Count]
) -> dict[Partition, int]:
    """The first message of each input that some processor has not taken yet; inputs have one partition each, see the plan.

    `ledger.entries` is read for two states, from where the one that is behind ends; the other knows what it has.
    """
    places: dict[Partition, int] = {(topic, 0): 0 for topic in names.inputs}
    places[names.entries, 0] = min(state.next_offset, place.next_offset)
    for count in counts:
        for partition, offset in count.next_offsets.items():
            places[count.rate.topic, partition] = offset
    return places


async def require_topics(bootstrap: str, names: Names) -> None:
    """Raise `SettingsError` when a topic is missing: Faust waits for ever for one, without a word.

    Raises `RetryLater` when no broker answers.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        await consumer.start()
        there = await consumer.topics()
    except (KafkaError, OSError) as error:
        raise RetryLater(
            f"no Kafka broker answers at {bootstrap} ({type(error).__name__}: {error}); check that it runs"
        ) from error
    finally:
        await consumer.stop()
    wanted = [*names.inputs, *names.outputs, *names.changelogs]
    missing = [name for name in wanted if name not in there]
    if missing:
        raise SettingsError(
            f"the cluster has no topic {', '.join(missing)}; run: alliance topics apply"
        )
