"""The server around the door: uvicorn on one address. Owns starting and ending it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from connectors.sdk.contract import ConfigError, Transient

_AT_ONCE = 256  # connections; more are answered 503 by uvicorn
_listening: set[tuple[str, int]] = (
    set()
)  # of this process: a backfill reads, but does not listen again


class Server:
    """One address. It is not listened to before `start`."""

    def __init__(self, app: Any, address: tuple[str, int]) -> None:
        self._app = app
        self._address = address
        self._socket: socket.socket | None = None
        self._server: Any = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, unless this process listens there already.

        Raises `ConfigError` without uvicorn or a free port, `Transient` when the server has ended.
        """
        if self._serving is not None and self._serving.done():
            await self.stop()
            raise Transient(f"listen {self._shown()}: the server ended; it is started again")
        if self._serving is not None or self._address in _listening:
            return
        uvicorn = needed()
        try:
            self._socket = socket.create_server(self._address, backlog=_AT_ONCE)
        except OSError as error:
            raise ConfigError(
                f"listen {self._shown()}: {error.strerror}; name a free port of this machine"
            ) from error

        class Quiet(uvicorn.Server):  # type: ignore[name-defined,misc] # loaded only where it is used
            @contextlib.contextmanager
            def capture_signals(self) -> Any:
                """Signals end the connectors, which end this."""
                yield

        config = uvicorn.Config(
            self._app,
            lifespan="off",
            ws="none",
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=_AT_ONCE,
            timeout_graceful_shutdown=2,
        )
        self._server = Quiet(config)
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        _listening.add(self._address)

    async def stop(self) -> None:
        """Answer what is being answered, then listen no more. May be called twice."""
        if self._serving is None:
            return
        serving, self._serving = self._serving, None
        self._server.should_exit = True
        try:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(serving, 4)
        finally:
            _listening.discard(self._address)
            if self._socket is not None:
                self._socket.close()

    def _shown(self) -> str:
        return f"{self._address[0]}:{self._address[1]}"


def needed() -> Any:
    """The module uvicorn. Raises `ConfigError` when it is not installed."""
    try:
        import uvicorn
    except ImportError as error:
        raise ConfigError(
            "webhook_in needs uvicorn, which is not installed; run: pip install 'alliance-hub[sandbox]'"
        ) from error
    return uvicorn
