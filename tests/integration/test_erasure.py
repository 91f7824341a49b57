"""The private topic on a real broker: read once for many connectors, and erased as compaction wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from connectors.sdk.clock import SystemClock
from connectors.sdk.config import KafkaTable
from connectors.sdk.runtime.kafka import Inbox, Incoming, KafkaBus, Message

pytestmark = pytest.mark.kafka
_TOPIC = "private.payloads.erasure"


async def _take(inbox: Inbox, count: int) -> list[Incoming]:
    found: list[Incoming] = []
    while len(found) < count:
        found += await asyncio.wait_for(inbox.take(100), 30)
    return found


def test_an_erasing_message_has_no_value_and_reaches_every_reader_of_the_process(
    broker: str,
) -> None:
    """An empty value would stay under its key for ever; only a message without one lets compaction drop all before it.

    Two connectors share a consumer, each from its own position.
    """

    async def story() -> tuple[Sequence[Incoming], Sequence[Incoming], list[bytes | None]]:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        await admin.start()
        await admin.create_topics([NewTopic(_TOPIC, 1, 1)])
        await admin.close()
        bus = KafkaBus(KafkaTable(bootstrap=broker), SystemClock())
        first, second = bus.shared(_TOPIC, 0), bus.shared(_TOPIC, 2)
        bus.start()
        key = b"urn:alliance:student:10610:aa/e1"
        await bus.publish(_TOPIC, [Message(key, b"sealed", []), Message(b"other/e2", b"kept", [])])
        await bus.publish(_TOPIC, [Message(key, b"", [])])
        heard = await _take(first, 3), await _take(second, 1)
        await bus.close()
        consumer = aiokafka.AIOKafkaConsumer(
            _TOPIC, bootstrap_servers=broker, auto_offset_reset="earliest"
        )
        await consumer.start()
        raw = [(await asyncio.wait_for(consumer.getone(), 30)).value for _ in range(3)]
        await consumer.stop()
        return *heard, raw

    first, second, raw = asyncio.run(story())
    assert [one.value for one in first] == [b"sealed", b"kept", b""]
    assert [(one.offset, one.value) for one in second] == [(2, b"")]
    assert raw == [b"sealed", b"kept", None]
