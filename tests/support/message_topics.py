"""Topics in memory for whoever looks single messages up: the contract of `hub.api.kafka_messages.Messages`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from aiokafka.errors import KafkaConnectionError

from hub.api.kafka_messages import Ask, Got
from hub.flow.kafka import Message
from schemas.codec import encode
from schemas.envelope import to_millis
from schemas.records import ConnectorCommand, Record


class FakeMessages:
    """Topics of one partition. `asks` are all that were read; `down` as long as no broker answers."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Message]] = {}
        self.asks: list[Ask] = []
        self.down = False

    def put(
        self,
        topic: str,
        value: Record | bytes | None,
        at: datetime,
        headers: Sequence[tuple[str, bytes]] = (),
        key: bytes | None = None,
        offset: int | None = None,
    ) -> int:
        """Append a message, with a gap before it when `offset` says so; returns its offset."""
        held = self.topics.setdefault(topic, [])
        here = offset if offset is not None else (held[-1].offset + 1 if held else 0)
        raw = value if value is None or isinstance(value, bytes) else encode(value)
        held.append(Message(topic, 0, here, to_millis(at), key, raw, tuple(headers)))
        return here

    async def read(self, bootstrap: str, asks: Sequence[Ask]) -> list[Got]:
        if self.down:
            raise KafkaConnectionError("no broker")
        assert len({(ask.topic, ask.partition) for ask in asks}) == len(asks)
        self.asks += asks
        return [self._got(ask) for ask in asks]

    def _got(self, ask: Ask) -> Got:
        held = self.topics.get(ask.topic, [])
        first, end = (held[0].offset, held[-1].offset + 1) if held else (0, 0)
        if ask.offset is not None:
            start = min(max(ask.offset, first), end)
        elif ask.at_ms is not None:
            start = next((m.offset for m in held if m.timestamp_ms >= ask.at_ms), end)
        else:
            start = max(first, end - ask.most)
        found = [m for m in held if m.offset >= start][: ask.most]
        return Got(ask, first, end, start, tuple(found), whole=True)


class FakeCommands:
    """Takes orders down; `down` as long as no broker answers."""

    def __init__(self) -> None:
        self.sent: list[ConnectorCommand] = []
        self.down = False

    async def send(self, bootstrap: str, command: ConnectorCommand) -> None:
        if self.down:
            raise KafkaConnectionError("no broker")
        self.sent.append(command)
