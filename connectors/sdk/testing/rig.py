"""A connector of a case on a fake hub. A case is what a kind brings to be examined with."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from connectors.sdk.config import load_config
from connectors.sdk.runtime.connector import Connector
from connectors.sdk.state.file import State
from connectors.sdk.testing.clock import FakeClock
from connectors.sdk.testing.folders import write_alliance, write_folder
from connectors.sdk.testing.fuse import Fuse, FusedState, Killed, fused_vault
from connectors.sdk.testing.hub import FakeHub
from connectors.sdk.testing.names import US
from schemas import topics


@dataclass(slots=True)
class Case:
    """A campus of one kind that a test can make things happen at.

    `tables` is the TOML of its source and sink tables, `mappings` its mapping files by name, with `../codes/` tables of codes. `happen(n)` makes n changes and
    `spoil()` one that cannot be mapped; both None for a kind without source. `to_tell()` counts the events that must
    reach the ledger. `told` are the keys of the deliveries the
    campus applied, each time it applied one; `poison` are event ids it will not take; `fault(mode, times)` makes the
    campus misbehave that often in one of `faults`. `tricks` are things that a healthy campus does and that must cost
    nothing (`connectors.sdk.testing.faults` has their names); what a trick adds counts in `to_tell()`.
    """

    tables: str
    mappings: Mapping[str, str] = field(default_factory=dict)
    transport: Any = None
    happen: Callable[[int], None] | None = None
    spoil: Callable[[], None] | None = None
    to_tell: Callable[[], int] = lambda: 0
    told: list[str] | None = None
    poison: set[str] = field(default_factory=set)
    faults: tuple[str, ...] = ()
    fault: Callable[[str, int], None] = lambda mode, times: None
    tricks: Mapping[str, Callable[[], None]] = field(default_factory=dict)


class _Pausing(httpx.AsyncBaseTransport):
    """HTTP that takes a moment: a process may die while it asks, and after the campus acted but before it heard of it."""

    def __init__(self, inner: httpx.MockTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        response = await self._inner.handle_async_request(request)
        await asyncio.sleep(0)
        return response


def _with_pauses(transport: Any) -> Any:
    return _Pausing(transport) if isinstance(transport, httpx.MockTransport) else transport


class Rig:
    """A connector of a case on a fake hub. Each `life` is one process on the same folder."""

    def __init__(self, folder: Path, case: Case, hub: FakeHub | None = None) -> None:
        self.case = case
        self.clock = FakeClock()
        self.hub = hub or FakeHub()
        self._random = random.Random(7)  # noqa: S311, keys that a test can make again
        self.signers = write_alliance(folder, log=self.hub.log)
        self.config = write_folder(folder, case)

    async def life(
        self, until: Callable[[], bool], *, fuse: Fuse | None = None, within_s: float = 600
    ) -> bool:
        """Run until `until()`, then end the process: by cancelling it, or as the fuse has it. Whether it came true."""
        fuse = self.hub.fuse = fuse or Fuse()
        state = FusedState(self.config.state_path, fuse)
        inbox = self.hub.inbox(topics.inbox(US), state.inbox_position()[0])
        vault = fused_vault(self.config.private, fuse, self._random.randbytes)
        connector = Connector(
            self.config,
            state,
            self.hub,
            inbox,
            self.clock,
            random.Random(7),  # noqa: S311, jitter that repeats
            _with_pauses(self.case.transport),
            vault=vault,
            payloads=self.hub.inbox(topics.PRIVATE, vault.store.position()) if vault else None,
            checkpoints=self.hub.inbox(topics.CHECKPOINTS, state.checkpoints_position()),
            commands=self.hub.inbox(topics.COMMANDS, state.commands.position()),
        )
        with fuse.counting_awaits():
            running = asyncio.ensure_future(connector.run())
            try:
                return await self.clock.until(lambda: running.done() or until(), within_s) and not (
                    running.done() and not until()
                )
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError, BaseExceptionGroup, Killed):
                    await running
                state.close()
                if vault is not None:
                    vault.store.close()

    def reload(self) -> None:
        """Read the folder again, after a test changed a file."""
        self.config = load_config(self.config.folder, {})

    def state(self) -> State:
        """The state file, between lives."""
        return State(self.config.state_path)

    def quiet(self) -> bool:
        """Whether nothing is under way: no event without outcome, no message of the inbox left."""
        state = State(self.config.state_path, readonly=True)
        try:
            left = self.hub.delivered(US) - state.inbox_position()[0]
            return left == 0 and state.counts()["outbox_events"] == 0
        finally:
            state.close()
