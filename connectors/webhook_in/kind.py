"""Takes signed webhooks (Standard Webhooks 1.0.0) that a campus's system sends.

Owns the way from the spool to pages. Who may leave a message is the door's word, and what is done with records the
runtime's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import Field, field_validator

from connectors.sdk.contract import Context, Item, Options, Page, RetryLater, SourceKind
from connectors.sdk.mapping.expressions import MISSING, compile_path
from connectors.sdk.webhooks import TOLERANCE_S, WebhookSecret, secret_bytes
from connectors.webhook_in.door import Door, Rules, whole
from connectors.webhook_in.server import Server, needed
from connectors.webhook_in.spool import Message, Spool
from schemas.envelope import from_millis, rfc3339, to_millis

_PAGE = 200  # messages
_TOLD_FOR_S = 10.0  # how long a concern shows as the reason: some heartbeats
_TOLD_EVERY_S = 600.0


class WebhookOptions(Options):
    """Options of `webhook_in`; times in seconds, sizes in bytes, expressions in JMESPath."""

    listen: str
    path: str = Field(default="/webhooks", pattern=r"^/[\w/.~-]*$")
    secrets: tuple[WebhookSecret, ...] = Field(min_length=1)
    tolerance_s: float = Field(default=TOLERANCE_S, gt=0)
    remember_s: float = Field(default=7 * 86_400, ge=600)
    max_bytes: int = Field(default=256 * 1024, ge=1024)
    max_waiting: int = Field(default=10_000, ge=1)
    records: str = "@"
    key: str | None = None

    @field_validator("listen")
    @classmethod
    def _is_address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65_536:
            raise ValueError(f'found {value!r}, wanted "host:port"; write "127.0.0.1:8090"')
        return value

    @field_validator("records", "key")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        compile_path(value or "@")
        return value

    @property
    def address(self) -> tuple[str, int]:
        """Where to listen."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


@runtime_checkable
class Stand(Protocol):
    """What takes the place of the network in tests: it calls the door itself."""

    def serve(self, app: Door) -> Callable[[], Awaitable[None]]:
        """Begin to send to the door. What ends it."""


class WebhookIn:
    """One endpoint. The cursor is the number of a message in the spool."""

    def __init__(self, options: WebhookOptions, context: Context) -> None:
        self._options = options
        self._context = context
        self._clock = context.clock
        self._records = compile_path(options.records)
        self._key = compile_path(options.key) if options.key else None
        self._path: Path = context.folder / f"{context.name}.spool.db"
        self._door: Door | None = None
        self._server: Server | None = None
        self._end: Callable[[], Awaitable[None]] | None = None
        self._told = float("-inf")

    async def check(self) -> str:
        """What waits. The address is left to the connector that runs, or will."""
        needed()
        options = self._options
        return f"POST http://{options.listen}{options.path}: {self._waiting()} messages wait; listens while it runs"

    async def page(self, cursor: str | None) -> Page:
        """Messages that wait. The first call begins to listen; where nothing may be remembered, none does."""
        if self._context.memory is None:
            return self._glance(cursor)
        door = await self._open()
        self._tell(door)
        return self._page(door.spool, cursor)

    async def ack(self, cursor: str) -> None:
        """The records are stored here: their messages may leave the spool."""
        if self._door is not None:
            oldest = self._clock.now() - timedelta(seconds=self._options.remember_s)
            self._door.spool.forget(cursor, to_millis(oldest))

    async def close(self) -> None:
        """Listen no more, and close the spool."""
        if self._end is not None:
            await self._end()
        if self._server is not None:
            await self._server.stop()
        if self._door is not None:
            self._door.spool.close()
        self._door = self._server = self._end = None

    async def _open(self) -> Door:
        options = self._options
        if self._door is None:
            rules = Rules(
                options.path,
                [secret_bytes(secret.get_secret_value()) for secret in options.secrets],
                options.tolerance_s,
                options.max_bytes,
                options.max_waiting,
                self._records,
            )
            spool = Spool(self._path, to_millis(self._clock.now()))
            self._door = Door(rules, spool, self._clock)
        transport = self._context.transport
        if isinstance(transport, Stand):
            self._end = self._end or transport.serve(self._door)
            return self._door
        self._server = self._server or Server(self._door, options.address)
        await self._server.start()
        return self._door

    def _tell(self, door: Door) -> None:
        """Show for a while what the door noted: senders cannot tell our operators themselves."""
        now = self._clock.monotonic()
        if door.concern and now - self._told >= _TOLD_EVERY_S:
            self._told = now
            said, door.concern = door.concern, ""
            raise RetryLater(said, _TOLD_FOR_S)

    def _glance(self, cursor: str | None) -> Page:
        """A dry run's page: what waits, if there is a spool."""
        if not self._path.exists():
            return Page([], cursor or "", more=False)
        spool = Spool(self._path, 0, readonly=True)
        try:
            return self._page(spool, cursor)
        finally:
            spool.close()

    def _page(self, spool: Spool, cursor: str | None) -> Page:
        found = spool.after(cursor, _PAGE)
        items = [item for _, message in found for item in self._items(message)]
        return Page(items, found[-1][0] if found else cursor or "", more=len(found) == _PAGE)

    def _items(self, message: Message) -> list[Item]:
        """The records of a message. One that does not come apart any more stays whole, to be parked with a reason."""
        data = json.loads(message.body)
        records = self._records(data) if whole(self._records, data) else data
        listed = records if isinstance(records, list) else [records]
        return [self._item(message, index, record) for index, record in enumerate(listed)]

    def _item(self, message: Message, index: int, record: Any) -> Item:
        key = self._key(record) if self._key else None
        name = f"{self._context.member}/{self._context.name}/{message.webhook_id}/{index}"
        if isinstance(record, dict):
            told = {
                "id": message.webhook_id,
                "eventId": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
                "sentAt": rfc3339(from_millis(message.sent_s * 1000)),
                "receivedAt": rfc3339(from_millis(message.received_ms)),
            }
            record = {**record, "_webhook": told}
        return Item(
            record,
            f"webhook {message.webhook_id}#{index}",
            None if key is None or key is MISSING else str(key),
        )

    def _waiting(self) -> int:
        if not self._path.exists():
            return 0
        spool = Spool(self._path, 0, readonly=True)
        try:
            return spool.count()
        finally:
            spool.close()


SOURCE = SourceKind(options=WebhookOptions, open=WebhookIn)
