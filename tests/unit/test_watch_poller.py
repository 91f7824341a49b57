"""The poller outlives its clients."""

from __future__ import annotations

import asyncio

import pytest

from hub.api import kafka_close


def test_a_client_that_does_not_close_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka takes a cancellation for one of its own requests; waiting for it, the console never saw the broker again."""
    monkeypatch.setattr(kafka_close, "CLOSE_S", 0.001)
    cancelled = 0

    async def stop() -> None:
        nonlocal cancelled
        while cancelled < kafka_close.CLOSE_TRIES:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1

    async def story() -> None:
        async with asyncio.timeout(30):
            await kafka_close.closed(stop)

    asyncio.run(story())
    assert cancelled == kafka_close.CLOSE_TRIES


def test_a_client_that_fails_to_close_is_left_as_well() -> None:
    """The connection it wanted to close is gone anyway."""

    async def stop() -> None:
        raise ConnectionResetError("gone")

    asyncio.run(kafka_close.closed(stop))
