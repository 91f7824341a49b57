"""`alliance connector check` against a broker that authorizes: a right that is missing is named before the first event."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String

from connectors.reference.conformance import both_ways
from connectors.sdk.cli import rights
from connectors.sdk.cli.checks import connections, wanted_topics
from connectors.sdk.clock import SystemClock
from connectors.sdk.config import load_config
from connectors.sdk.contract import NoPermission
from connectors.sdk.testing import US, write_alliance, write_folder
from hub.broker import kafka
from schemas import topics
from tests.support.broker import private_broker

pytestmark = pytest.mark.kafka

AUTHORIZER = (
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
    "allow.everyone.if.no.acl.found=true\n"
)
TOPIC, LITERAL, ALLOW = 2, 3, 3  # codes of ResourceType, PatternType, AclPermissionType
TEXT = String("utf-8")


class CreateAclsAnswer(Response):
    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("results", Array(("error_code", Int16), ("message", TEXT)))
    )


class CreateAclsQuestion(RequestStruct):
    """Source: https://kafka.apache.org/protocol.html#The_Messages_CreateAcls."""

    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = CreateAclsAnswer
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8),
                ("resource_name", TEXT),
                ("pattern_type", Int8),
                ("principal", TEXT),
                ("host", TEXT),
                ("operation", Int8),
                ("permission_type", Int8),
            ),
        )
    )


class CreateAcls(Request[CreateAclsQuestion]):
    API_KEY = 30

    def __init__(self, rules: list[tuple[str, int]]) -> None:
        self._rules = rules

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(
            [
                (TOPIC, topic, LITERAL, "User:ANONYMOUS", "*", operation, ALLOW)
                for topic, operation in self._rules
            ]
        )


async def allow(bootstrap: str, names: list[str], rules: list[tuple[str, int]]) -> None:
    """Make topics and say what an unnamed caller may do with some; with the others everything."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in names])
    await admin.close()
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    answer = await client.send(client.get_random_node(), CreateAcls(rules))
    await client.close()
    assert [code for code, _ in answer.results] == [0] * len(rules)


def test_a_right_that_is_missing_is_named_before_the_first_event(tmp_path, monkeypatch):
    """Else it shows as an outbox that grows, at night. What is allowed is not complained of."""
    plain = kafka._properties
    monkeypatch.setattr(kafka, "_properties", lambda state, node: plain(state, node) + AUTHORIZER)
    write_alliance(tmp_path)
    with private_broker(tmp_path / "broker") as broker:
        write_folder(tmp_path, both_ways(), bootstrap=broker.bootstrap)
        config = load_config(tmp_path, {})
        inbox, outbox = topics.inbox(US), topics.outbox(US)

        async def checked() -> Any:
            await allow(
                broker.bootstrap,
                list(wanted_topics(config)),
                [(inbox, rights.READ), (outbox, rights.READ)],
            )
            return await anext(connections(config, SystemClock()))

        check = asyncio.run(checked())
    assert isinstance(check.error, NoPermission)
    assert f"write {outbox}" in check.said
    assert inbox not in check.said
