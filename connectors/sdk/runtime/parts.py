"""The sources and sinks of one connector as people see them: each with a state, each can be held and opened anew.

Owns which part is held by whom, and kinds that are opened again after they were closed. What holding means for a step is
in `connectors.sdk.runtime.keeping`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from connectors.sdk.clock import Clock
from connectors.sdk.contract import (
    ConfigError,
    ConnectorError,
    Delivery,
    Page,
    Sink,
    Source,
    Verdict,
)
from connectors.sdk.runtime.keeping import Gate, Health
from connectors.sdk.state.commands import Wanted


class OpenedSource:
    """A source that can be closed and opened anew, and notes what passes.

    `turn` is held while a page is read, so that a backfill of the same source reads between two pages and what a kind
    compares with is as new as the page. Whoever reads must store a page before it next awaits.
    """

    def __init__(self, opens: Callable[[], Source], clock: Clock) -> None:
        self.turn = asyncio.Lock()
        self.more = False
        self.watermark: datetime | None = None
        self.last_record_at: datetime | None = None
        self._opens = opens
        self._clock = clock
        self._source: Source | None = opens()

    def _now(self) -> Source:
        if self._source is None:
            self._source = self._opens()
        return self._source

    def again(self) -> Source:
        """Another reading of the same system, with its own connection."""
        return self._opens()

    async def check(self) -> str:
        return await self._now().check()

    async def page(self, cursor: str | None) -> Page:
        async with self.turn:
            page = await self._now().page(cursor)
        self.more = page.more
        self.watermark = page.watermark
        if page.items:
            self.last_record_at = self._clock.now()
        return page

    async def ack(self, cursor: str) -> None:
        await self._now().ack(cursor)

    async def close(self) -> None:
        source, self._source = self._source, None
        self.more = False
        if source is not None:
            await source.close()


class OpenedSink:
    """A sink that can be closed and opened anew."""

    def __init__(self, opens: Callable[[], Sink]) -> None:
        self._opens = opens
        self._sink: Sink | None = opens()

    def _now(self) -> Sink:
        if self._sink is None:
            self._sink = self._opens()
        return self._sink

    async def check(self) -> str:
        return await self._now().check()

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        return await self._now().apply(batch)

    async def close(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            await sink.close()


@dataclass(slots=True)
class Part:
    """One source or sink. Its health is that of the step named `step`, which `gate` holds; `backfill` follows a source's.

    Sinks share the step and the gate of the inbox. `close` lets go of connections.
    """

    name: str
    kind: str
    step: str
    gate: Gate
    close: Callable[[], Awaitable[None]]
    backfill: Gate | None = None
    held: Wanted | None = None
    reopen: bool = False

    @property
    def is_sink(self) -> bool:
        return self.name.startswith("sink.")

    def state(self, health: Health) -> tuple[str, str]:
        """State and reason, in words that may leave the campus: what people say of a pause is theirs to choose."""
        if self.held is not None:
            return self.held.state, spoken(self.held)
        if self.reopen:
            return "restarting", ""
        return health.parts.get(self.step, ("running", ""))


class Parts:
    """The parts in the order of connector.toml, and the one gate of the inbox, which any held sink holds.

    Sinks are given the same messages in the same order: while one is held the inbox keeps its place, for all of them.
    """

    def __init__(self, parts: Sequence[Part], inbox: Gate, wanted: Mapping[str, Wanted]) -> None:
        self._parts = parts
        self._inbox = inbox
        for part in parts:
            part.held = wanted.get(part.name)
        self._obey()

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def is_held(self, name: str) -> bool:
        """Whether people hold this part."""
        return any(part.held for part in self._parts if part.name == name)

    def select(self, name: str | None) -> Sequence[Part]:
        """The part of this name, or all. Raises `ConfigError` when there is none."""
        found = [part for part in self._parts if name in (None, part.name)]
        if not found:
            names = ", ".join(part.name for part in self._parts)
            raise ConfigError(f"no part {name!r}; write one of {names}")
        return found

    def hold(self, wanted: Sequence[Wanted]) -> None:
        """These should not run; they obey when their step is over."""
        by_name = {one.part: one for one in wanted}
        for part in self._parts:
            part.held = by_name.get(part.name, part.held)
            part.reopen |= part.name in by_name and by_name[part.name].state == "stopped"
        self._obey()

    def let_go(self, names: Sequence[str]) -> None:
        """These should run again."""
        for part in self._parts:
            if part.name in names:
                part.held = None
        self._obey()

    def restart(self, names: Sequence[str]) -> None:
        """Open the connections of these anew, and retry at once. What is held stays held."""
        for part in self._parts:
            part.reopen |= part.name in names
        self._obey()

    async def release(self, *, sinks: bool, name: str = "") -> None:
        """Between two steps: close what is to be opened anew, of all sinks or of one source."""
        for part in self._parts:
            mine = part.is_sink if sinks else part.name == name
            if part.reopen and mine:
                part.reopen = False
                with suppress(ConnectorError):  # what cannot be closed is let go of
                    await part.close()

    def _obey(self) -> None:
        sinks = [part for part in self._parts if part.is_sink]
        self._inbox.want("paused" if any(part.held for part in sinks) else "running")
        if any(part.reopen for part in sinks):
            self._inbox.restart()
        for part in self._parts:
            if part.is_sink:
                continue
            for gate in (part.gate, *([part.backfill] if part.backfill else [])):
                gate.want("paused" if part.held else "running")
                if part.reopen:
                    gate.restart()

    def condition(self) -> tuple[str, str] | None:
        """State and reason of the whole where people hold something: `paused` or `stopped` when they hold all of it."""
        held = [part.held for part in self._parts if part.held]
        if not held:
            return None
        words = "; ".join(f"{one.part} {spoken(one)}" for one in held)
        if len(held) < len(self._parts):
            return "running", words
        return ("stopped" if all(one.state == "stopped" for one in held) else "paused"), words


def spoken(held: Wanted) -> str:
    """Who holds a part, and why."""
    return f"{held.state} by {held.by}" + (f": {held.why}" if held.why else "")
