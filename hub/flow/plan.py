"""All topics of the hub, as data. `alliance topics plan|apply` makes the cluster agree; nothing else creates topics."""

from __future__ import annotations

from collections.abc import Iterable

from hub.broker.admin import TopicSpec
from schemas import topics
from schemas.catalogue import catalogue

FOREVER = {"retention.ms": "-1", "retention.bytes": "-1"}
A_YEAR = {"retention.ms": str(365 * 24 * 3600 * 1000)}
A_WEEK = {"retention.ms": str(7 * 24 * 3600 * 1000)}
# Members write these with any client. The broker's time cannot be lied about; unpacked records need no codec of ours
# and cannot hide their size (KIP-32; `compression.type` in Kafka's topic configuration).
OUTBOX = {**A_YEAR, "message.timestamp.type": "LogAppendTime", "compression.type": "uncompressed"}
COMPACTED = {"cleanup.policy": "compact"}
# A closed case is a message without value, which Kafka drops a day after compaction unless told otherwise (Kafka's
# `delete.retention.ms`). A read model that was away for longer would show the case as open for ever.
CASES = {**COMPACTED, "delete.retention.ms": A_YEAR["retention.ms"]}
# An erased payload leaves an empty message, which stays long enough for every replica and host to see it.
PRIVATE = {
    **COMPACTED,
    "delete.retention.ms": A_YEAR["retention.ms"],
    "max.compaction.lag.ms": A_WEEK["retention.ms"],
}
# The order is Kafka's, so the time is: the ledger's clock follows the broker's append time.
LEDGER = {**FOREVER, "message.timestamp.type": "LogAppendTime"}
# A heartbeat says what its member's clock shows; the broker's own time beside it tells how far that is off.
HEARTBEATS = {**A_WEEK, "message.timestamp.type": "LogAppendTime"}
ENTRIES = {
    **FOREVER,
    "max.message.bytes": "8388608",
}  # room for a whole batch, whatever the broker's own limit


def topic_plan(members: Iterable[str], extra: Iterable[TopicSpec] = ()) -> list[TopicSpec]:
    """Every topic with partitions and settings. `extra` are those of the stream processors.

    One partition where order is the point: the ledger, and each member's outbox and inbox.
    """
    plan = [
        TopicSpec(topics.LEDGER_IN, 1, LEDGER),
        TopicSpec(topics.LEDGER_ENTRIES, 1, ENTRIES),
        TopicSpec(topics.DEAD_LETTERS, 1, A_YEAR),
        TopicSpec(topics.HEARTBEATS, 1, HEARTBEATS),
        TopicSpec(topics.COMMANDS, 1, A_YEAR),
        TopicSpec(topics.COMMAND_ANSWERS, 1, A_YEAR),
        TopicSpec(topics.MEMBER_ACTIVITY, 1, COMPACTED),
        TopicSpec(topics.TOPIC_RATES, 1, COMPACTED),
        TopicSpec(topics.CASES, 1, CASES),
        TopicSpec(topics.SCHEMAS, 1, COMPACTED),
        TopicSpec(topics.CHECKPOINTS, 1, FOREVER),
        TopicSpec(topics.COSIGNATURES, 1, A_YEAR),
        TopicSpec(topics.PRIVATE, 1, PRIVATE),
    ]
    plan += [TopicSpec(topics.domain(name), 1, FOREVER) for name in catalogue().domains()]
    for member in members:
        plan.append(TopicSpec(topics.outbox(member), 1, OUTBOX))
        plan.append(TopicSpec(topics.inbox(member), 1, FOREVER))
    return plan + list(extra)
