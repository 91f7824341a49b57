"""The verifier reads a real broker: entries and checkpoints as the hub writes them, to the end and no further."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from hub.verify.outcome import Code
from hub.verify.sources import Broker
from schemas import topics
from schemas.envelope import KIND
from schemas.tlog.witness import AddCheckpoint
from tests.support.verified_log import (
    alliance,
    alliance_toml,
    checkpoint_note,
    place_of,
    small_log,
    verify,
)

pytestmark = pytest.mark.kafka

Sent = tuple[bytes, list[tuple[str, bytes]]]


@pytest.fixture
def names(broker: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Topics of this test's own: the broker is shared."""
    own = f"verify-{uuid.uuid4().hex[:8]}"
    monkeypatch.setattr(topics, "LEDGER_ENTRIES", f"{own}.entries")
    monkeypatch.setattr(topics, "CHECKPOINTS", f"{own}.checkpoints")
    asyncio.run(_create(broker, (topics.LEDGER_ENTRIES, topics.CHECKPOINTS)))
    return topics.LEDGER_ENTRIES, topics.CHECKPOINTS


async def _create(broker: str, wanted: Sequence[str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1) for name in wanted])
    finally:
        await admin.close()


async def _send(broker: str, topic: str, messages: Sequence[Sent]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        for value, headers in messages:
            await producer.send(topic, value, headers=headers)
        await producer.flush()
    finally:
        await producer.stop()


def test_a_ledger_in_kafka_is_recomputed(
    broker: str, names: tuple[str, str], tmp_path: Path
) -> None:
    """Void records between the entries, a checkpoint that the quorum cosigned; then one entry more that is false."""
    (tmp_path / "alliance.toml").write_text(alliance_toml(alliance()), encoding="utf-8")
    given = ("replay", "--entries", f"kafka://{broker}", "--alliance", tmp_path / "alliance.toml")
    entries = list(small_log().entries)
    records: list[Sent] = [
        (value, []) for value in (*entries[:40], b"junk", entries[3], *entries[40:])
    ]
    note = checkpoint_note(entries, witnesses=())
    checkpoints: list[Sent] = [
        (AddCheckpoint(0, (), note).to_bytes(), [(KIND, b"checkpoint")]),
        (checkpoint_note(entries), [(KIND, b"witnessed")]),
    ]
    asyncio.run(_send(broker, names[0], records))
    asyncio.run(_send(broker, names[1], checkpoints))
    code, values = verify(*given)
    assert code == Code.OK, values
    assert (values["entries"], values["void"]) == (len(entries), 2)
    assert list(Broker(broker).records(names[1]))[1][1] == checkpoints[1][0]
    forged = checkpoint_note(entries[:-1], witnesses=())
    asyncio.run(_send(broker, names[1], [(AddCheckpoint(0, (), forged).to_bytes(), [(KIND, b"checkpoint")])]))  # fmt: skip
    code, values = verify(*given)
    assert code == Code.INVARIANT
    assert place_of(values) == f"I13: {names[1]}, record 2"


def test_a_broker_that_is_not_there_is_no_finding(tmp_path: Path) -> None:
    """Nothing was read, so nothing is said about the ledger."""
    (tmp_path / "alliance.toml").write_text(alliance_toml(alliance()), encoding="utf-8")
    code, values = verify(
        "replay", "--entries", "kafka://127.0.0.1:1", "--alliance", tmp_path / "alliance.toml"
    )
    assert code == Code.UNREADABLE
    assert place_of(values) == "kafka://127.0.0.1:1"
