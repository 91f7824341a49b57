"""Typed access to the admin side of Kafka: who is there, which topics, made as declared.

aiokafka's admin client hands out protocol structures without types; they stay inside this module.
Nothing here deletes a topic or a message.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    for_code,
)

from hub.broker.errors import BrokerError, TopicConflict, Unreachable

REQUEST_TIMEOUT_S: Final = 15.0
VISIBLE_WITHIN_S: Final = 15.0  # KRaft applies metadata after it answered; 6 ms when measured idle.
SET_ON_TOPIC: Final = 1  # config_source DYNAMIC_TOPIC_CONFIG of DescribeConfigs v1+ (KIP-226).
TOPIC_EXISTS: Final = 36
GONE: Final = (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that answers. `brokers` counts those that take clients now."""

    cluster_id: str
    brokers: int


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as we want it. `config` holds only what differs from the broker's defaults."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is: `config` is what applies, `overrides` what was set on this topic."""

    name: str
    partitions: int
    config: Mapping[str, str]
    overrides: Mapping[str, str]


class ChangeKind(StrEnum):
    CREATE = "create"
    ADD_PARTITIONS = "add-partitions"
    ALTER_CONFIG = "alter-config"
    TOO_MANY_PARTITIONS = "too-many-partitions"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between a declared topic and the cluster, in words an operator can read.

    `setting` is `partitions` or a configuration key; `found` is empty for a topic not there yet.
    """

    topic: str
    kind: ChangeKind
    setting: str
    found: str
    wanted: str


async def describe_cluster(bootstrap: str, timeout_s: float = REQUEST_TIMEOUT_S) -> Cluster:
    """Ask who is there. Raises Unreachable when nothing that speaks Kafka answers in time."""
    async with _admin(bootstrap, timeout_s) as client:
        answer: dict[str, Any] = await client.describe_cluster()
    return Cluster(cluster_id=answer["cluster_id"], brokers=len(answer["brokers"]))


async def describe(bootstrap: str) -> tuple[TopicState, ...]:
    """Every topic of the cluster except Kafka's own, by name, with its configuration."""
    async with _admin(bootstrap) as client:
        names = [name for name in await client.list_topics() if not name.startswith("__")]
        return tuple((await _states(client, sorted(names))).values())


async def plan(bootstrap: str, specs: Sequence[TopicSpec]) -> list[Change]:
    """What `apply` would change so that every topic is at least as declared.

    Configuration set on a topic but not declared is left alone and not reported.
    """
    async with _admin(bootstrap) as client:
        return await _differences(client, specs)


async def apply(bootstrap: str, specs: Sequence[TopicSpec]) -> list[Change]:
    """Create missing topics, add partitions, alter configurations; return what was changed.

    Returns when the cluster shows the result. Safe to repeat and to run twice at once.
    Raises TopicConflict, before changing anything, when a topic has more partitions than declared.
    """
    async with _admin(bootstrap) as client:
        changes = await _differences(client, specs)
        _refuse_conflicts(changes)
        by_name = {spec.name: spec for spec in specs}
        await _create(client, [by_name[c.topic] for c in changes if c.kind is ChangeKind.CREATE])
        await _add_partitions(
            client, [by_name[c.topic] for c in changes if c.kind is ChangeKind.ADD_PARTITIONS]
        )
        altered = {c.topic for c in changes if c.kind is ChangeKind.ALTER_CONFIG}
        await _alter_configs(client, [by_name[name] for name in sorted(altered)])
        await _until_visible(client, specs)
        return changes


ensure_topics = apply  # for callers who want the topics and not the report


async def end_offsets(bootstrap: str, topics: Sequence[str]) -> dict[str, dict[int, int]]:
    """Topic to partition to the offset the next message will get."""
    async with _admin(bootstrap) as client:
        states = await _states(client, topics)
    partitions = [
        TopicPartition(topic.name, number)
        for topic in states.values()
        for number in range(topic.partitions)
    ]
    ends = await _ends(bootstrap, partitions) if partitions else {}
    found: dict[str, dict[int, int]] = {name: {} for name in states}
    for partition, offset in ends.items():
        found[partition.topic][partition.partition] = offset
    return found


async def _ends(bootstrap: str, partitions: Sequence[Any]) -> dict[Any, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    try:
        await consumer.start()
        ends: dict[Any, int] = await consumer.end_offsets(partitions)
    except KafkaError as error:
        raise BrokerError(
            f"{bootstrap} did not tell its end offsets: {error}; try again"
        ) from error
    finally:
        await consumer.stop()
    return ends


@asynccontextmanager
async def _admin(bootstrap: str, timeout_s: float = REQUEST_TIMEOUT_S) -> AsyncIterator[Any]:
    """A started admin client, typed Any because aiokafka ships no types; its errors become ours."""
    client: Any = None
    try:
        async with asyncio.timeout(timeout_s):
            await _knock(bootstrap)
            client = AIOKafkaAdminClient(
                bootstrap_servers=bootstrap, request_timeout_ms=int(timeout_s * 1000)
            )
            await client.start()
        yield client
    except GONE as error:
        raise Unreachable(
            f"no Kafka broker answers at {bootstrap} ({error or type(error).__name__}); "
            "check the address, or see `alliance broker doctor`"
        ) from error
    except KafkaError as error:
        raise BrokerError(f"{bootstrap} refused: {error}; see the broker's log") from error
    finally:
        if client is not None:
            await client.close()


async def _knock(bootstrap: str) -> None:
    """Fail on a closed port before aiokafka does, which would log an error for each attempt."""
    failure: OSError = OSError("no address given")
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            failure = error
            continue
        writer.close()
        return
    raise failure


async def _states(client: Any, names: Sequence[str]) -> dict[str, TopicState]:
    """The topics of `names` that exist, in that order."""
    if not names:
        return {}
    wanted = set(names)
    partitions = {
        topic["topic"]: len(topic["partitions"])
        for topic in await client.describe_topics()
        if topic["topic"] in wanted
    }
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, name) for name in names if name in partitions
    ]
    states: dict[str, TopicState] = {}
    for answer in await client.describe_configs(resources) if resources else []:
        for code, message, _type, name, entries in answer.resources:
            _raise_for(code, message, f"read the configuration of {name}")
            config = {entry[0]: entry[1] or "" for entry in entries}
            overrides = {entry[0]: entry[1] or "" for entry in entries if entry[3] == SET_ON_TOPIC}
            states[name] = TopicState(name, partitions[name], config, overrides)
    return states


async def _differences(client: Any, specs: Sequence[TopicSpec]) -> list[Change]:
    states = await _states(client, [spec.name for spec in specs])
    return [change for spec in specs for change in _difference(spec, states.get(spec.name))]


def _difference(spec: TopicSpec, state: TopicState | None) -> list[Change]:
    wanted = str(spec.partitions)
    if state is None:
        return [Change(spec.name, ChangeKind.CREATE, "partitions", "", wanted)]
    changes: list[Change] = []
    if state.partitions != spec.partitions:
        fewer = state.partitions < spec.partitions
        kind = ChangeKind.ADD_PARTITIONS if fewer else ChangeKind.TOO_MANY_PARTITIONS
        changes.append(Change(spec.name, kind, "partitions", str(state.partitions), wanted))
    changes.extend(
        Change(spec.name, ChangeKind.ALTER_CONFIG, key, state.config.get(key, ""), value)
        for key, value in sorted(spec.config.items())
        if state.config.get(key) != value
    )
    return changes


def _refuse_conflicts(changes: Sequence[Change]) -> None:
    conflicts = [c for c in changes if c.kind is ChangeKind.TOO_MANY_PARTITIONS]
    if conflicts:
        named = "; ".join(f"{c.topic} has {c.found}, {c.wanted} declared" for c in conflicts)
        raise TopicConflict(
            f"too many partitions: {named}. Kafka cannot remove partitions: declare what is there, "
            "or move the messages to a new topic"
        )


async def _create(client: Any, specs: Sequence[TopicSpec]) -> None:
    """One request for all; -1 leaves the replication factor to the cluster (1 here, 3 elsewhere)."""
    if not specs:
        return
    topics = [
        NewTopic(s.name, s.partitions, -1, replica_assignments={}, topic_configs=dict(s.config))
        for s in specs
    ]
    answer = await client.create_topics(topics)
    for name, code, message in answer.topic_errors:
        if code != TOPIC_EXISTS:  # someone else was faster, which is as good
            _raise_for(code, message, f"create topic {name}")


async def _add_partitions(client: Any, specs: Sequence[TopicSpec]) -> None:
    if specs:
        await client.create_partitions({s.name: NewPartitions(s.partitions) for s in specs})


async def _alter_configs(client: Any, specs: Sequence[TopicSpec]) -> None:
    """AlterConfigs replaces the whole set, so what others set on the topic is sent along."""
    states = await _states(client, [spec.name for spec in specs])
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, s.name, {**states[s.name].overrides, **s.config})
        for s in specs
    ]
    for answer in await client.alter_configs(resources) if resources else []:
        for code, message, _type, name in answer.resources:
            _raise_for(code, message, f"alter the configuration of {name}")


async def _until_visible(client: Any, specs: Sequence[TopicSpec]) -> None:
    deadline = asyncio.get_running_loop().time() + VISIBLE_WITHIN_S
    while remaining := await _differences(client, specs):
        if asyncio.get_running_loop().time() > deadline:
            first = remaining[0]
            raise BrokerError(
                f"topic {first.topic}: {first.setting} is {first.found or 'not there'} and not "
                f"{first.wanted} {VISIBLE_WITHIN_S:.0f} s after the change; run it again"
            )
        await asyncio.sleep(0.05)


def _raise_for(code: int, message: str | None, intent: str) -> None:
    if code:
        error = for_code(code)
        raise BrokerError(f"the cluster refused to {intent}: {error.__name__}: {message or ''}")
