"""The two adapters around the campus: everything an author writes for a new kind is in this file.

Copy this folder, rename it, and put your system's calls where these say `self._campus`. The runtime does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from connectors.reference.campus import Campus
from connectors.sdk.contract import (
    Applied,
    Context,
    Delivery,
    Duplicate,
    Item,
    Options,
    Page,
    Rejected,
    SinkKind,
    SourceKind,
    Verdict,
)


class ReferenceOptions(Options):
    """Options of `reference`, for source and sink alike; times in seconds."""

    enroll_every_s: float = Field(default=5, gt=0)
    seats: int = Field(default=10_000, ge=1)


_campuses: dict[tuple[Path, str], Campus] = {}


def campus_of(options: ReferenceOptions, context: Context) -> Campus:
    """The campus of a folder: its source and its sink are two doors of one system."""
    if isinstance(context.transport, Campus):
        return context.transport
    key = (context.folder.resolve(), context.member)
    if key not in _campuses:
        _campuses[key] = Campus(context.member, options.enroll_every_s, options.seats)
    return _campuses[key]


class ReferenceSource:
    """The campus's changes, by number."""

    PAGE = 100

    def __init__(self, options: ReferenceOptions, context: Context) -> None:
        self._campus = campus_of(options, context)
        self._clock = context.clock

    async def check(self) -> str:
        return f"campus {self._campus.code} has {len(self._campus.changes)} changes"

    async def page(self, cursor: str | None) -> Page:
        number = int(cursor or 0)
        self._campus.resume(number)
        self._campus.work(self._clock.now())
        changes = self._campus.after(number)
        items = [Item(change, f"change {change['number']}") for change in changes[: self.PAGE]]
        last = items[-1].data["number"] if items else number
        return Page(items, str(last), more=len(changes) > self.PAGE)

    async def ack(self, cursor: str) -> None:
        """The campus keeps its changes; one that may delete them would do it here."""

    async def close(self) -> None:
        """No connection to close."""


class ReferenceSink:
    """What the campus is told, one by one."""

    def __init__(self, options: ReferenceOptions, context: Context) -> None:
        self._campus = campus_of(options, context)
        self._clock = context.clock

    async def check(self) -> str:
        return f"campus {self._campus.code} took {len(self._campus.taken)} deliveries"

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        return [self._apply(delivery) for delivery in batch]

    async def close(self) -> None:
        """No connection to close."""

    def _apply(self, delivery: Delivery) -> Verdict:
        try:
            new = self._campus.take(delivery.to_json(), self._clock.now())
        except ValueError as error:
            return Rejected(str(error))
        return Applied() if new else Duplicate()


SOURCE = SourceKind(options=ReferenceOptions, open=ReferenceSource)
SINK = SinkKind(options=ReferenceOptions, open=ReferenceSink)
