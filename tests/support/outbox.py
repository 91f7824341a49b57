"""An outbox of a test: a campus file, its source, and a clock that tests turn."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from connectors.sdk.contract import Context
from connectors.sdk.testing import US, FakeClock
from connectors.sql_outbox.conformance import OUTBOX, CampusFile
from connectors.sql_outbox.kind import OutboxOptions
from connectors.sql_outbox.source import SqlOutbox

MARK, GAP = {"strategy": "mark"}, {"strategy": "gap_wait", "max_s": 3}


def options(**more: Any) -> OutboxOptions:
    raw = {"dsn": "sqlite:///campus.db", "table": "hub_outbox", "order": MARK} | more
    return OutboxOptions.model_validate(raw)


class Outbox:
    """A campus file, its source, and a clock that tests turn."""

    def __init__(self, folder: Path, order: dict[str, Any], **more: Any) -> None:
        self.campus = CampusFile(OUTBOX)
        self.clock = FakeClock()
        self._folder = folder
        self._options = options(dsn=f"sqlite:///{self.campus.path}", order=order, **more)
        self.source = self.opened()

    def opened(self) -> SqlOutbox:
        """As another process would open it."""
        return SqlOutbox(self._options, Context(self._folder, US, "sis", self.clock, self.campus))

    def write(self, *positions: int, key: str = "k") -> None:
        for position in positions:
            self.campus.execute(
                "INSERT INTO hub_outbox (position, id, aggregatetype, aggregateid, type, payload) VALUES (?, ?, 'a', ?, 't', '{}')",
                position, f"row {position}", key,
            )  # fmt: skip

    def left(self) -> list[int]:
        """Positions of rows without mark."""
        return [row[0] for row in self.campus.execute("SELECT position FROM hub_outbox WHERE taken_at IS NULL")]  # fmt: skip

    async def later(self, seconds: float) -> None:
        sleeper = asyncio.ensure_future(self.clock.sleep(seconds))
        assert await self.clock.until(sleeper.done, seconds + 1)


def positions(page: Any) -> list[int]:
    return [int(item.origin.rpartition("#")[2]) for item in page.items]
