"""Reads a source a second time from an older place, while its first reading goes on.

Owns the order of effects of a backfill and who gives way to whom: live pages go first, and only a short outbox is added to.
Pages are mapped, parked and stored by the source's own `Intake`; the live cursor does not move, and files and rows of the
campus are not acknowledged a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.sdk.clock import Clock
from connectors.sdk.contract import ConfigError, ConnectorError, Countable, Page, Source
from connectors.sdk.runtime.keeping import Gate, GatedClock
from connectors.sdk.runtime.parts import OpenedSource
from connectors.sdk.state.backfill import Backfill, reached
from connectors.sdk.state.file import State
from schemas import envelope

_OUTBOX_SHARE = (
    2_000  # unsent events above which a backfill waits: live changes keep the rest of the outbox
)
_GIVES_WAY_S = 1.0


class Backfiller:
    """The backfills of one source, one after another. `store` keeps a page without moving the live cursor."""

    def __init__(
        self, name: str, live: OpenedSource, store: Callable[[Page], None], state: State, clock: Clock, gate: Gate, log: Any,
    ) -> None:  # fmt: skip
        self.name = name
        self._live = live
        self._store = store
        self._state = state
        self._clock = GatedClock(clock, gate)
        self._gate = gate
        self._log = log
        self._source: Source | None = None
        self._free_at = 0.0
        self._since: float | None = None

    async def close(self) -> None:
        """Close its own connection."""
        source, self._source = self._source, None
        self._since = None
        if source is not None:
            await source.close()

    async def step(self) -> None:
        """One page; or wait for a backfill, for its turn, or for its rate."""
        job = self._state.backfills.under_way(self.name)
        if job is None or job.state != "running":
            await self.close()
            await self._gate.nudged.wait()
            return
        now = self._clock.monotonic()
        if self._live.more or self._outbox_is_long():
            await self._clock.sleep(_GIVES_WAY_S)
            return
        if now < self._free_at:
            await self._clock.sleep(self._free_at - now)
            return
        if self._source is None:
            self._source = self._live.again()
        if self._since is None:
            self._since = now
        await self._count(job, self._source)
        await self._page(job, self._source)

    def _outbox_is_long(self) -> bool:
        return self._state.unsent_size(_OUTBOX_SHARE)[0] >= _OUTBOX_SHARE

    async def _count(self, job: Backfill, source: Source) -> None:
        if job.pages or job.rows_total is not None or not isinstance(source, Countable):
            return
        total = await source.count(job.start, job.until)
        if total is not None:
            self._state.backfills.counted(job.id, total)

    async def _page(self, job: Backfill, source: Source) -> None:
        """Read and store. Nothing is awaited between the two: what a kind compares with must not change meanwhile."""
        async with self._live.turn:
            page = await source.page(job.cursor)
            last = not page.more or reached(page.cursor, job.until) or page.cursor == job.cursor
            if not last and job.until is not None and isinstance(source, Countable):
                last = await source.count(page.cursor, job.until) == 0
            self._store(page)
        now = self._clock.monotonic()
        rows, before = len(page.items), self._since if self._since is not None else now
        self._since = now
        ended_at = envelope.to_millis(self._clock.now()) if last else None
        active_ms = round(1000 * (now - before))
        self._state.backfills.advance(job.id, page.cursor, rows, active_ms, ended_at)
        if job.rate:
            self._free_at = max(now, self._free_at) + rows / job.rate
        self._log.info(
            "backfill_page_stored", source=self.name, records=rows, cursor=page.cursor, done=last
        )

    # Commands -------------------------------------------------------------------------------------------------------

    def command(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Start, pause, resume or stop a backfill of this source, and say how it is."""
        said = order(self._state, self.name, args, envelope.to_millis(self._clock.now()))
        self._gate.nudged.set()
        return said


def order(state: State, source: str, args: Mapping[str, Any], now: int) -> dict[str, Any]:
    """What a command does to the table, whether or not the connector runs. Raises `ConnectorError` for what cannot be done.

    `args`: action, command (its id), by, why; for `start` also `from`, `to` (None: where live stands) and `rate`.
    """
    table = state.backfills
    action = args.get("action")
    job = table.under_way(source)
    if action == "start":
        job = table.get(str(args["command"])) or _started(state, source, args, job, now)
    elif action in ("pause", "resume", "stop"):
        if job is None:
            raise ConfigError(f"source.{source} has no backfill under way; start one first")
        wanted = {"pause": "paused", "resume": "running", "stop": "stopped"}
        table.set_state(job.id, wanted[action], now)  # type: ignore[arg-type]  # the three states of these verbs
        job = table.get(job.id)
    elif action != "status":
        raise ConfigError(f"found action {action!r}; write start, pause, resume, stop or status")
    if job is None:
        raise ConnectorError(f"source.{source} has no backfill; start one first")
    return {"brief": f"backfill of source.{source} {job.state}", "backfill": job.to_json()}


def _started(
    state: State, source: str, args: Mapping[str, Any], other: Backfill | None, now: int
) -> Backfill | None:
    if other is not None:
        raise ConfigError(
            f"source.{source} has a backfill {other.state} since {other.rows} records; stop it before the next"
        )
    until = args.get("to") or state.cursor(source)
    if until is None:
        raise ConfigError(
            f"source.{source} has not read its first page, so there is nothing to fill back to; name the end with --to"
        )
    rate = float(args.get("rate") or 0)
    if rate < 0:
        raise ConfigError(f"found rate {rate}; write records a second, 0 for no limit")
    id = str(args["command"])
    state.backfills.start(
        id, source, args.get("from"), until, rate=rate, by=str(args["by"]), why=str(args["why"]), now=now
    )  # fmt: skip
    return state.backfills.get(id)
