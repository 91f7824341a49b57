"""A folder on a disk of this machine, and a `file_drop` source on it without runtime: pages are committed one by one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectors.file_drop.conformance import inline
from connectors.file_drop.folder import LocalFolder
from connectors.file_drop.kind import Substitute, open_drop
from connectors.file_drop.options import DropOptions
from connectors.sdk.contract import Context, Item, Source, Transient
from connectors.sdk.memory import SeenMemory
from connectors.sdk.state.file import Mapped, State
from connectors.sdk.testing import FakeClock, Fuse, Killed

NAME = "campus"


class _QuickState(State):
    """Nothing here outlives the machine, so nothing waits for its disk."""

    SYNCHRONOUS = "OFF"


class FusedFolder(LocalFolder):
    """A folder whose reader may die just before or just after anything is done there."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        super().__init__(path, inline)
        self._fuse = fuse

    async def fetch(
        self, name: str, target: Path, start: int = 0, count: int | None = None
    ) -> None:
        self._fuse.point(f"before reading {name}")
        await super().fetch(name, target, start, count)
        self._fuse.point(f"after reading {name}")

    async def move(self, name: str, to: str) -> None:
        self._fuse.point(f"before moving {name}")
        await super().move(name, to)
        self._fuse.point(f"after moving {name}")

    async def write(self, name: str, text: str) -> None:
        self._fuse.point(f"before writing {name}")
        await super().write(name, text)
        self._fuse.point(f"after writing {name}")

    async def remove(self, name: str) -> None:
        self._fuse.point(f"before deleting {name}")
        await super().remove(name)
        self._fuse.point(f"after deleting {name}")


class Drop:
    """A campus's folder and the connector's. Each `life` is a process that reads what there is and ends."""

    def __init__(self, tmp_path: Path, **options: Any) -> None:
        self.folder = tmp_path / "drop"
        self.home = tmp_path / "home"
        self.folder.mkdir(exist_ok=True)
        self.home.mkdir()
        self.clock = FakeClock()
        self.options = {"location": str(self.folder), "ready": {"type": "rename"}} | options
        if self.options.get("mode") == "append":
            self.options.pop("ready")
        self.said = ""  # why the source was degraded at the end of the last life
        self.pages = 0
        self.fuse = Fuse()

    def put(self, name: str, data: str | bytes, mtime: float | None = None) -> Path:
        """A file appears, in place of one of that name."""
        path = self.folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        if mtime is not None:
            os.utime(path, (mtime, mtime))
        return path

    def names(self, inner: str = "") -> list[str]:
        """The files of a folder inside the location."""
        folder = self.folder / inner
        return (
            sorted(path.name for path in folder.iterdir() if path.is_file())
            if folder.is_dir()
            else []
        )

    def archived(self) -> list[str]:
        """The files that were put away, whatever the day."""
        return sorted(path.name for path in (self.folder / "archive").rglob("*") if path.is_file())

    def open(self, state: State | None) -> Source:
        """The source; without a state nothing may be left behind."""
        memory = None if state is None else SeenMemory(state, NAME, self.home / "state.db")
        here = "://" not in self.options["location"]
        transport = Substitute(FusedFolder(self.folder, self.fuse), inline) if here else None
        context = Context(self.home, "10611", NAME, self.clock, transport, memory)
        return open_drop(DropOptions.model_validate(self.options), context)

    def life(
        self, pages: int = 1_000, *, acks: bool = True, skip: Sequence[str] = ()
    ) -> list[Item]:
        """Read and commit at most so many pages. Items of the keys in `skip` are not remembered, as if they were parked."""
        return asyncio.run(self._life(pages, acks, skip))

    def lost(self) -> None:
        """Read a page, and die before it is committed."""

        async def read() -> None:
            state = _QuickState(self.home / "state.db")
            source = self.open(state)
            try:
                await source.page(state.cursor(NAME))
            finally:
                await source.close()
                state.close()

        asyncio.run(read())

    async def _life(self, pages: int, acks: bool, skip: Sequence[str]) -> list[Item]:
        items: list[Item] = []
        self.said, self.pages = "", 0
        state = _QuickState(self.home / "state.db")
        source = self.open(state)
        try:
            while self.pages < pages:
                page = await source.page(state.cursor(NAME))
                self.fuse.point("before a commit")
                seen = [item.seen for item in page.items if item.seen and item.key not in skip]
                state.commit_page(NAME, page.cursor, Mapped(seen=seen), 0)
                self.pages += 1
                items += page.items
                self.fuse.point("after a commit")
                if acks and page.items:
                    await source.ack(page.cursor)
                if not page.more:
                    break
        except Transient as error:
            self.said = str(error)
        except Killed:
            pass
        finally:
            await source.close()
            state.close()
        return items
