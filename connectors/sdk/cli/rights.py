"""What the broker lets us do with a topic, asked without writing anything.

Owns one request that aiokafka does not have: Metadata version 8, whose answer lists the operations that the caller may do.
Sources: https://kafka.apache.org/protocol.html#The_Messages_Metadata and KIP-430,
https://cwiki.apache.org/confluence/display/KAFKA/KIP-430+-+Return+Authorized+Operations+in+Describe+Responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from connectors.sdk.config import KafkaTable
from connectors.sdk.runtime.kafka import client_options, connect_fault

READ, WRITE = 3, 4  # codes of AclOperation: bits of the answer
_NOT_TOLD = -(2**31)
_TEXT = String("utf-8")


class _Answer(Response):  # type: ignore[misc]  # aiokafka ships no complete types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _Question(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", Array(_TEXT)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _Rights(Request[_Question]):  # type: ignore[misc]  # as above
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._topics, False, False, True)


async def operations(settings: KafkaTable, topics: Sequence[str]) -> Mapping[str, frozenset[int]]:
    """What we may do with each topic, by code of AclOperation; without topics whose rights the broker does not tell.

    Raises `Transient` or `NoPermission` when it cannot be asked.
    """
    client = AIOKafkaClient(**client_options(settings))
    try:
        await client.bootstrap()
        answer = await client.send(client.get_random_node(), _Rights(topics))
    except NotImplementedError:  # a broker older than this request
        return {}
    except (KafkaError, OSError, TimeoutError) as error:
        raise connect_fault(settings, error) from error
    finally:
        await client.close()
    return {
        topic: frozenset(code for code in range(32) if bits >> code & 1)
        for _, topic, _, _, bits in answer.topics
        if bits != _NOT_TOLD
    }


def lacking(found: Mapping[str, frozenset[int]], wanted: Mapping[str, int]) -> list[str]:
    """Which of the wanted operations the broker would refuse: `write 10611.outbox`. What is not told counts as allowed."""
    names = {READ: "read", WRITE: "write"}
    return [
        f"{names[operation]} {topic}"
        for topic, operation in wanted.items()
        if topic in found and operation not in found[topic]
    ]
