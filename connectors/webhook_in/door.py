"""The endpoint: who may leave a message, and what each is answered. An ASGI application with one path."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from connectors.sdk.clock import Clock
from connectors.sdk.mapping.expressions import Getter
from connectors.sdk.webhooks import Doubtful, verify
from connectors.webhook_in.spool import Message, Spool, Taken
from schemas.envelope import to_millis

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_FULL_RETRY_S = 60  # by then the connector has taken what waits, or a person must look at it


@dataclass(frozen=True, slots=True)
class Rules:
    """What the door asks of a message. Sizes in bytes, times in seconds."""

    path: str
    keys: Sequence[bytes]
    tolerance_s: float
    max_bytes: int
    max_waiting: int
    records: Getter


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a sender: a status, words, more headers."""

    status: int
    text: str
    headers: Sequence[tuple[str, str]] = ()


@dataclass(slots=True)
class Door:
    """Lets genuine messages into the spool. `concern` is what its operators should hear of, until it is taken away."""

    rules: Rules
    spool: Spool
    clock: Clock
    concern: str = ""
    _pending: list[tuple[Message, asyncio.Future[Taken]]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        reply = await self._reply(scope, receive)
        if reply is None:
            return
        body = json.dumps({"message": reply.text}).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        headers += reply.headers
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [(name.encode(), value.encode()) for name, value in headers],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, scope: Any, receive: Receive) -> Reply | None:
        """The answer; None when the sender has gone before the message was whole."""
        rules = self.rules
        if scope["path"] != rules.path:
            return Reply(404, f"no such path; webhooks are taken at {rules.path}")
        if scope["method"] != "POST":
            return Reply(405, "POST a webhook", [("allow", "POST")])
        headers = {
            name.decode("latin-1").lower(): v.decode("latin-1") for name, v in scope["headers"]
        }
        too_large = Reply(413, f"more than {rules.max_bytes} bytes; send less in one message")
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > rules.max_bytes:
            return too_large
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > rules.max_bytes:
                return too_large
        return await self._judged(headers, body)

    async def _judged(self, headers: dict[str, str], body: bytes) -> Reply:
        rules, now = self.rules, self.clock.now()
        found = verify(headers, body, rules.keys, now, rules.tolerance_s)
        if isinstance(found, Doubtful):
            if found.skew_s is not None:
                self.concern = (
                    f"POST {rules.path}: refused a genuine message: {found.reason}, or ours"
                )
            return Reply(401, found.reason)
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            return Reply(400, "the body is no JSON")
        if not whole(rules.records, data):
            self.concern = f"POST {rules.path}: a genuine message has no list where `records` looks; correct records or the sender"
            return Reply(422, "the body has no list of records where one is expected")
        return await self._stored(Message(found.id, found.timestamp, to_millis(now), body))

    async def _stored(self, message: Message) -> Reply:
        """One commit for all that arrive in the same turn of the loop: a disk's pause is paid once."""
        waiter: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._pending.append((message, waiter))
        if len(self._pending) == 1:
            asyncio.get_running_loop().call_soon(self._commit)
        try:
            taken = await waiter
        except sqlite3.Error as error:
            self.concern = f"POST {self.rules.path}: messages cannot be stored: {error}; make room on that disk"
            return Reply(503, "cannot store messages now", [("retry-after", str(_FULL_RETRY_S))])
        if taken is Taken.FULL:
            self.concern = (
                f"POST {self.rules.path}: {self.rules.max_waiting} messages wait, so more are turned away; "
                "find out why they are not taken"
            )
            return Reply(503, "too many messages wait", [("retry-after", str(_FULL_RETRY_S))])
        return Reply(200, taken.value)

    def _commit(self) -> None:
        pending, self._pending = self._pending, []
        try:
            found = self.spool.accept([message for message, _ in pending], self.rules.max_waiting)
        except sqlite3.Error as error:
            for _, waiter in pending:
                if not waiter.done():
                    waiter.set_exception(error)
            return
        for (_, waiter), taken in zip(pending, found, strict=True):
            if not waiter.done():  # else its sender has gone; it will send again and be known
                waiter.set_result(taken)


def whole(records: Getter, data: Any) -> bool:
    """Whether `records` finds something in a body, so that it can be taken apart."""
    try:
        return isinstance(records(data), dict | list)
    except ValueError:  # a JMESPath that does not fit the body
        return False
