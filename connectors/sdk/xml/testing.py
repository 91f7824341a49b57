"""A folder in memory for kinds of XML documents: no disk, nothing that takes time, and it can misbehave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from connectors.sdk.contract import Applied, NoPermission, Rejected, Transient, Verdict
from connectors.sdk.xml.source import Named, Substitute

FAULTS = ("away", "401")


class MemoryFolder(Substitute):
    """Both ways: documents that are read, and documents that are brought. `told` gets the key of each, once."""

    incremental = False

    def __init__(self, told: list[str] | None = None, poison: set[str] | None = None) -> None:
        self.files: dict[str, bytes] = {}
        self.brought: dict[str, bytes] = {}
        self._stamps: dict[str, int] = {}
        self._told = [] if told is None else told
        self._poison = set() if poison is None else poison
        self._faults: list[str] = []

    def write(self, name: str, data: bytes) -> None:
        """A document appears, in place of one of that name."""
        self.files[name] = data
        self._stamps[name] = self._stamps.get(name, 0) + 1

    def fault(self, mode: str, times: int) -> None:
        """Answer the next requests in this way."""
        self._faults = [mode] * times

    def _trouble(self) -> None:
        mode = self._faults.pop() if self._faults else ""
        if mode == "away":
            raise Transient("the share is away; is it mounted?")
        if mode == "401":
            raise NoPermission("the share refuses us; have access granted")

    async def check(self) -> str:
        """How much there is."""
        self._trouble()
        return f"{len(self.files)} documents"

    async def names(self, since: datetime | None) -> Sequence[Named]:
        """The documents there are."""
        self._trouble()
        return [Named(name, str(self._stamps[name])) for name in self.files]

    async def read(self, names: Sequence[Named]) -> Sequence[tuple[Named, bytes]]:
        """Their bytes."""
        self._trouble()
        return [(named, self.files[named.name]) for named in names]

    async def put(self, name: str, suffix: str, data: bytes) -> Verdict:
        """Take a document. An event is named by the end of its name, anything else by what it says."""
        self._trouble()
        said = json.loads(data) if suffix == "json" else {"kind": "event", "eventId": name[-36:]}
        if said["eventId"] in self._poison:
            return Rejected("no such course", "HTTP_422")
        if name not in self.brought:
            self._told.append(f"{said['kind']}:{said['eventId']}:{said.get('outcome', '')}")
        self.brought[name] = data
        return Applied()

    async def close(self) -> None:
        """Nothing is open."""
