"""All connectors of the alliance in Kafka Connect's dialect, under `/connect`: what heartbeats say, and orders into `hub.commands`.

Owns the transport of orders. Shapes are in `schemas.connect_dialect`; a connector obeys what its campus allows, and says so in
`hub.command-answers`. Unlike the rest of the API this writes, so what other sites' pages make a browser ask is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.api.kafka_close import closed
from hub.api.overview import Overview, Watch
from schemas import connect_dialect, topics
from schemas.codec import encode
from schemas.connect_dialect import Fleet, Order, Reply, Shown
from schemas.records import ConnectorCommand

PREFIX = "/connect"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_SEND_S = 10_000  # milliseconds; who asked waits for it


class Commands(Protocol):
    """Where orders go."""

    async def send(self, bootstrap: str, command: ConnectorCommand) -> None:
        """Return when every replica has it. Raises `KafkaError` or `OSError`."""


class KafkaCommands:
    """`hub.commands`. People give few orders, so each has its own connection and none waits idle."""

    async def send(self, bootstrap: str, command: ConnectorCommand) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", request_timeout_ms=_SEND_S
        )
        try:
            await producer.start()
            await producer.send_and_wait(
                topics.COMMANDS, encode(command), key=command.member.encode(), partition=0
            )
        finally:
            await closed(producer.stop)


class Connect:
    """The handlers with what they answer from."""

    def __init__(
        self,
        watch: Watch,
        commands: Commands | None = None,
        new_id: Callable[[], str] = lambda: str(uuid4()),
        *,
        operate: bool = False,
    ) -> None:
        self._operate = operate
        self._watch = watch
        self._commands = commands or KafkaCommands()
        self._new_id = new_id

    def routes(self) -> list[BaseRoute]:
        """All paths below `PREFIX`."""
        return [
            Route(PREFIX, self.handle, methods=_METHODS),
            Route(f"{PREFIX}/{{path:path}}", self.handle, methods=_METHODS),
        ]

    async def handle(self, request: Request) -> Response:
        """One request: a reply from the newest heartbeats, and its order on its way before the reply says so."""
        if request.method != "GET" and from_elsewhere(request):
            return _response(
                connect_dialect.error(403, "asked by a page of another site; ask from here")
            )
        now = await self._watch.current()
        fleet = fleet_of(now)
        path = request.url.path.removeprefix(PREFIX)
        query = connect_dialect.joined(request.query_params.multi_items())
        reply = connect_dialect.answer(request.method, path, query, fleet)
        if now.facts.error and path.strip("/") not in ("", "health"):
            reply = connect_dialect.error(503, now.facts.error)
        if reply.order is not None and not self._operate:
            reply = connect_dialect.error(
                403, "this hub takes no orders; start it with: alliance console --operate"
            )
        if reply.order is not None:
            client = request.client.host if request.client else "unknown"
            try:
                await self._commands.send(
                    now.broker.bootstrap, self._command(reply.order, f"hub operator at {client}")
                )
            except (KafkaError, OSError) as error:
                why = f"{type(error).__name__}: {error}"
                reply = connect_dialect.error(
                    503, f"the broker does not take the command ({why}); ask again"
                )
        return _response(reply)

    def _command(self, order: Order, by: str) -> ConnectorCommand:
        return ConnectorCommand(
            command_id=self._new_id(),
            member=order.member,
            connector=order.connector,
            verb=order.verb,
            args=json.dumps(dict(order.args)),
            by=by,
            why="",
            at=self._watch.now(),
        )


def fleet_of(now: Overview) -> Fleet:
    """The connectors as the overview judges them: a silent one is not what it last said."""
    connectors = [
        Shown(connector.heartbeat, connector.state)
        for view in now.members
        for connector in view.connectors
    ]
    return Fleet(
        connectors,
        connect_dialect.plugins_of(connectors),
        version="alliance-hub",
        cluster_id=now.alliance.origin,
        unhealthy=now.facts.error or ("" if now.broker.reachable else now.broker.error),
    )


def from_elsewhere(request: Request) -> bool:
    """Whether a browser asks on behalf of another site (Fetch Metadata, https://www.w3.org/TR/fetch-metadata/; else Origin)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _response(reply: Reply) -> Response:
    if reply.body is None:
        return Response(status_code=reply.status)
    return JSONResponse(reply.body, status_code=reply.status)
