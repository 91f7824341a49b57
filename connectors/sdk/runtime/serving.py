"""A small HTTP server inside a connector: uvicorn, where it is installed. Owns starting and ending it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from connectors.sdk.contract import ConfigError

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def serve(app: Callable[..., Any], listener: socket.socket, setting: str) -> None:
    """Answer until cancelled, then close the listener. Raises `ConfigError` naming the setting without uvicorn."""
    try:
        import uvicorn
    except ImportError as error:
        listener.close()
        raise ConfigError(
            f"{setting} needs uvicorn, which is not installed; run: pip install 'alliance-hub[sandbox]', "
            f"or remove {setting}"
        ) from error

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Any:
            """Signals end the connectors, which end this."""
            yield

    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(serving, 4)
        listener.close()
