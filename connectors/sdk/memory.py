"""What a source's records held when they were last published, as kinds may read it. Written only with a page's commit."""

from __future__ import annotations

from pathlib import Path

from connectors.sdk.contract import Seen
from connectors.sdk.state import State


class SeenMemory:
    """One source's rows of the table `seen`."""

    def __init__(self, state: State, source: str, path: Path) -> None:
        self._state = state
        self._source = source
        self._path = path

    def get(self, key: str) -> Seen | None:
        """What is remembered of one record."""
        return self._state.seen(self._source, key)

    def path(self) -> Path:
        """The state file."""
        return self._path
