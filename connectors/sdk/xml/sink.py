"""A sink that brings documents: each delivery becomes one file, or one request.

Owns that a delivery is brought once, in the order of its key, and that a file is whole or not there. What a delivery
becomes is a `Writer`, which belongs to the kinds. What no document exists for is laid beside as JSON, so nothing is lost.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from connectors.sdk.contract import (
    Applied,
    ConfigError,
    Delivery,
    Duplicate,
    NotNow,
    Permanent,
    Rejected,
    Transient,
    Verdict,
)
from connectors.sdk.http import Refused
from connectors.sdk.xml.http import XmlClient

_KEYS: Final = "CREATE TABLE IF NOT EXISTS delivered (key TEXT PRIMARY KEY) WITHOUT ROWID;"


class Delivered:
    """The keys of deliveries that were brought, in a file of its own. Reading where there is no file finds nothing."""

    TABLES: ClassVar[str] = ""

    def __init__(self, path: Path, *, write: bool) -> None:
        self._path = path
        self._write = write
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def has(self, key: str) -> bool:
        """Whether it was brought."""
        return self._one("SELECT 1 FROM delivered WHERE key = ?", key) is not None

    def add(self, key: str) -> None:
        """It is brought now."""
        self._run("INSERT OR IGNORE INTO delivered VALUES (?)", key)

    def _open(self) -> sqlite3.Connection | None:
        if self._db is None and (self._write or self._path.exists()):
            try:
                self._db = sqlite3.connect(self._path, isolation_level=None, timeout=10)
                self._db.executescript(_KEYS + self.TABLES)
            except sqlite3.Error as error:
                self.close()
                raise ConfigError(
                    f"{self._path}: {error}; give the connector's account the right to it, or name another in `memory`"
                ) from error
        return self._db

    def _one(self, sql: str, *values: Any) -> Any:
        db = self._open()
        try:
            return db.execute(sql, values).fetchone() if db else None
        except sqlite3.OperationalError as error:
            raise Transient(f"{self._path}: {error}; it is asked again") from error

    def _run(self, sql: str, *values: Any) -> None:
        db = self._open()
        try:
            if db is not None:
                db.execute(sql, values)
        except sqlite3.OperationalError as error:
            raise Transient(f"{self._path}: {error}; is the disk full?") from error


class Writer(Protocol):
    """What deliveries become."""

    def document(self, delivery: Delivery) -> tuple[str, bytes] | None:
        """The document's name (of its root element) and its bytes; None where there is none for such a delivery.

        Raises `Permanent` for one that cannot be written.
        """

    def note(self, delivery: Delivery) -> None:
        """Keep what later documents will need. Called before the delivery counts as brought, perhaps twice."""


class Outlet(Protocol):
    """Where documents go."""

    async def check(self) -> str:
        """Say in one line where that is; changes nothing."""

    async def put(self, name: str, suffix: str, data: bytes) -> Verdict:
        """Bring one. The same name again is the same document."""

    async def close(self) -> None:
        """Let go of connections."""


class OutFolder:
    """Files in a folder. A file appears whole; hidden ones are being written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def check(self) -> str:
        """Whether files can be made there."""
        if not self._path.is_dir():
            raise ConfigError(f"{self._path}: is no folder; create it or correct `folder`")
        if not os.access(self._path, os.W_OK):
            raise ConfigError(
                f"{self._path}: may not be written; give the connector's account the right to"
            )
        return f"{self._path}: may be written"

    async def put(self, name: str, suffix: str, data: bytes) -> Verdict:
        """One file."""
        await self.check()
        await asyncio.to_thread(self._write, name, suffix, data)
        return Applied()

    def _write(self, name: str, suffix: str, data: bytes) -> None:
        path = self._path / f"{name}.{suffix}"
        partial = self._path / f".{name}.partial"
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise Transient(
                f"{path}: {error.strerror}; is the disk full, is the share there?"
            ) from error

    async def close(self) -> None:
        """Nothing is open."""


class OutHttp:
    """A path that takes documents. What has no document goes nowhere: such a system knows documents only."""

    def __init__(self, client: XmlClient, path: str) -> None:
        self._client = client
        self._path = path

    async def check(self) -> str:
        """Nothing can be asked without bringing something."""
        return f"POST {self._path}: not tried, for whatever is sent there counts"

    async def put(self, name: str, suffix: str, data: bytes) -> Verdict:
        """One request."""
        if suffix != "xml":
            return Applied()
        try:
            await self._client.post(self._path, data)
        except Refused as error:
            return Rejected(str(error), f"HTTP_{error.status}")
        return Applied()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class XmlSink:
    """Documents to an outlet, one after another."""

    def __init__(self, writer: Writer, outlet: Outlet, delivered: Delivered) -> None:
        self._writer = writer
        self._outlet = outlet
        self._delivered = delivered

    async def check(self) -> str:
        """Look at the outlet."""
        return await self._outlet.check()

    async def close(self) -> None:
        """Close everything."""
        self._delivered.close()
        await self._outlet.close()

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """One verdict for each. Behind one that is refused, the later ones of its key wait."""
        verdicts: list[Verdict] = []
        stopped: set[str] = set()
        for delivery in batch:
            if delivery.order_key in stopped:
                verdicts.append(NotNow("an earlier one about the same thing was refused"))
                continue
            verdict = await self._bring(delivery)
            if isinstance(verdict, Rejected):
                stopped.add(delivery.order_key)
            verdicts.append(verdict)
        return verdicts

    async def _bring(self, delivery: Delivery) -> Verdict:
        if self._delivered.has(delivery.key):
            return Duplicate()
        try:
            document = self._writer.document(delivery)
        except Permanent as error:
            return Rejected(str(error), error.code)
        if document is None:
            said = json.dumps(delivery.to_json(), ensure_ascii=False, indent=1)
            verdict = await self._outlet.put(_name(delivery, delivery.kind), "json", said.encode())
        else:
            verdict = await self._outlet.put(_name(delivery, document[0]), "xml", document[1])
        if isinstance(verdict, Applied):
            self._writer.note(delivery)
            self._delivered.add(delivery.key)
        return verdict


def _name(delivery: Delivery, what: str) -> str:
    """In a listing, the order of the ledger. Always the same for the same delivery."""
    seq = "refused" if delivery.ledger_seq is None else f"{delivery.ledger_seq:012d}"
    outcome = f"-{delivery.outcome}" if delivery.outcome else ""
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in delivery.event_id)
    return f"{seq}-{what}-{safe}{outcome}"
