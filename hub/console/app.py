"""API and console in one application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.api.connect import Commands
from hub.api.connectors_view import ConnectorsView
from hub.api.event_path import EventPath
from hub.api.kafka_messages import Messages
from hub.api.kafka_view import KafkaView
from hub.api.log_view import LogWatch, policy_of
from hub.api.messages_view import MessagesView
from hub.api.overview import Watch
from hub.api.problems import HANDLERS
from hub.api.routes import Api
from hub.console.looks import Looks
from hub.console.pages import Pages
from hub.store.queries import Reader
from hub.watch.alert_store import AlertStore
from schemas.members import Alliance
from schemas.tlog.policy import Policy

# Everything comes from this server: no script, style or picture of anyone else, none written into the page, and no
# other site may show the page in a frame.
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def build_app(
    reader: Reader,
    alliance: Alliance,
    kafka_view: KafkaView,
    clock: Callable[[], datetime] = utc_now,
    log_folder: Path = Path(),
    policy: tuple[Policy | None, str] | None = None,
    alert_store: AlertStore | None = None,
    *,
    messages: Messages | None = None,
    commands: Commands | None = None,
    operate: bool = False,
) -> Starlette:
    """The application: API under `/api/v1`, console at `/`, health and metrics beside, files of the log under `/log/`.

    `policy` is what `hub.api.log_view.policy_of` says, by default of the alliance alone.
    With `operate`, the page of connectors takes orders. `messages` and `commands` are Kafka's own by default.
    It polls `kafka_view` while it runs. Setting the event `app.state.closing` ends the streams of live updates, so
    that a server can stop without waiting for browsers.
    """
    closing = asyncio.Event()
    log_watch = LogWatch(alliance, log_folder, *(policy or policy_of(alliance)))
    watch = Watch(reader, alliance, kafka_view, clock, log_watch)

    @asynccontextmanager
    async def polling(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(kafka_view.run())
        try:
            yield
        finally:
            closing.set()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    looks = Looks(
        watch,
        ConnectorsView(watch, messages, commands, operate=operate),
        MessagesView(watch, messages),
        EventPath(reader, watch, messages),
    )
    app = Starlette(
        routes=[
            *Api(
                reader, alliance, watch, log_folder, alert_store, messages, operate=operate
            ).routes(),
            *Pages(watch, closing).routes(),
            *looks.routes(),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers=HANDLERS,
        lifespan=polling,
    )
    app.state.closing = closing
    return app


class SecurityHeaders:
    """Puts `SECURITY_HEADERS` on every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self._app(scope, receive, guarded if scope["type"] == "http" else send)
