"""A campus for the conformance suite: it sends webhooks, each until it is answered 2xx, and then once more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from connectors.sdk.testing import OFFERING_MAPPING, Case, offering_row
from connectors.sdk.webhooks import secret_bytes, signed_headers
from connectors.webhook_in.door import Door

SECRET = "whsec_" + "c2lnbmVkIGZvciBhIHRlc3QgYW5kIG5vdGhpbmc="  # of a campus that is none
_PAUSE_S = 0.5


async def post(app: Door, body: bytes, headers: dict[str, str], path: str = "/webhooks") -> int:
    """Leave a message at a door; the status it was answered with."""
    statuses: list[int] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": raw}
    await app(scope, receive, send)
    return statuses[0]


class Sender:
    """A system that sends its changes in order. In the fault `clock off` its clock is an hour behind."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        self._done = 0
        self._faults = 0

    def fault(self, mode: str, times: int) -> None:
        """Send the next messages with a wrong time."""
        self._faults = times

    def serve(self, app: Door) -> Callable[[], Awaitable[None]]:
        """Send while the door is there."""
        sending = asyncio.ensure_future(self._send(app))

        async def end() -> None:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending

        return end

    async def _send(self, app: Door) -> None:
        while True:
            while self._done < len(self._rows) and await self._one(app, self._done):
                self._done += 1
            await app.clock.sleep(_PAUSE_S)

    async def _one(self, app: Door, number: int) -> bool:
        body = json.dumps(self._rows[number]).encode()
        now = app.clock.now()
        if self._faults:
            self._faults -= 1
            now -= timedelta(hours=1)
        headers = signed_headers([secret_bytes(SECRET)], f"msg_{number}", now, body)
        statuses = [await post(app, body, headers) for _ in range(2)]
        return all(200 <= status < 300 for status in statuses)


def sender() -> Case:
    """One record in each message."""
    rows: list[dict[str, Any]] = []
    campus = Sender(rows)
    tables = f"""
[source.campus]
kind = "webhook_in"
listen = "127.0.0.1:1"
secrets = ["{SECRET}"]
key = "id"
mapping = "mapping/offering.toml"
"""
    return Case(
        tables,
        mappings={"offering.toml": OFFERING_MAPPING.replace('"eventId"', '"_webhook.eventId"')},
        transport=campus,
        happen=lambda n: rows.extend([offering_row(len(rows) + 1 + i) for i in range(n)]),
        spoil=lambda: rows.append(offering_row(len(rows) + 1, credits="many")),
        to_tell=lambda: sum(row["credits"] != "many" for row in rows),
        faults=("clock off",),
        fault=campus.fault,
    )


CASES = {"sender": sender}
