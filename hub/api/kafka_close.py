"""Closing a Kafka client in bounded time, whether or not its broker is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

CLOSE_S = 1.0
CLOSE_TRIES = 4

log = structlog.get_logger("console")


async def closed(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Close a client, and leave it when it does not close.

    Without its broker, aiokafka 0.14's fetcher takes a cancellation for one of its own requests and goes on trying; waiting for it
    would keep the poller from ever seeing the broker come back.
    """
    closing = asyncio.create_task(close())
    for _ in range(CLOSE_TRIES):
        await asyncio.wait({closing}, timeout=CLOSE_S)
        if closing.done():
            break
        closing.cancel()
    if closing.done() and not closing.cancelled() and (error := closing.exception()) is not None:
        log.debug("client_not_closed", error=str(error))
