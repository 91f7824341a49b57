"""The folder files are dropped into: what the source needs of it, and the one on this machine's file systems.

Paths are names inside the location, with `/` between folders. What a fault of the place means is decided here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from connectors.sdk.contract import ConfigError, NoPermission, Transient

T = TypeVar("T")
_PIECE = 1 << 20  # bytes copied at once


class Work(Protocol):
    """Runs a function that blocks, as `asyncio.to_thread` does."""

    def __call__(self, function: Callable[..., T], /, *args: object) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as the listing has it: size in bytes, time of change in seconds since 1970."""

    name: str
    size: int
    mtime: float


class Folder(Protocol):
    """A place with files. Any method may raise `Transient`, `ConfigError` or `NoPermission`."""

    async def check(self) -> str:
        """Say in one line what is there. Changes nothing."""

    async def entries(self, inner: str = "") -> list[Entry]:
        """The files of a folder, without links and folders; none if an inner folder is not there."""

    async def fetch(
        self, name: str, target: Path, start: int = 0, count: int | None = None
    ) -> None:
        """Copy a file's bytes from `start` on (all, or at most `count`) to a file of ours."""

    async def move(self, name: str, to: str) -> None:
        """Rename, making folders. A file that is not there (any more) was moved before."""

    async def write(self, name: str, text: str) -> None:
        """A small text beside the files, making folders."""

    async def remove(self, name: str) -> None:
        """Delete. A file that is not there was deleted before."""

    async def close(self) -> None:
        """Let go of the connection."""


class LocalFolder:
    """A folder of this machine, or one mounted here."""

    def __init__(self, path: Path, work: Work) -> None:
        self._path = path
        self._work = work

    async def check(self) -> str:
        found = await self.entries()
        return f"{self._path}: {len(found)} files"

    async def entries(self, inner: str = "") -> list[Entry]:
        return await self._work(self._entries, inner)

    async def fetch(
        self, name: str, target: Path, start: int = 0, count: int | None = None
    ) -> None:
        await self._work(self._fetch, name, target, start, count)

    async def move(self, name: str, to: str) -> None:
        await self._work(self._move, name, to)

    async def write(self, name: str, text: str) -> None:
        await self._work(self._write, name, text)

    async def remove(self, name: str) -> None:
        await self._work(self._remove, name)

    async def close(self) -> None:
        """Nothing is held open."""

    def _entries(self, inner: str) -> list[Entry]:
        with self._told("list", inner):
            try:
                with os.scandir(self._path / inner) as found:
                    return [
                        Entry(one.name, one.stat().st_size, one.stat().st_mtime)
                        for one in found
                        if stat.S_ISREG(one.stat(follow_symlinks=False).st_mode)
                    ]
            except FileNotFoundError:
                if inner and self._path.is_dir():
                    return []
                raise
        return []

    def _fetch(self, name: str, target: Path, start: int, count: int | None) -> None:
        with self._told("read", name), (self._path / name).open("rb") as found:
            found.seek(start)
            with target.open("wb") as copy:
                left = count
                while piece := found.read(_PIECE if left is None else min(_PIECE, left)):
                    copy.write(piece)
                    left = None if left is None else left - len(piece)

    def _move(self, name: str, to: str) -> None:
        with self._told("move", name):
            (self._path / to).parent.mkdir(parents=True, exist_ok=True)
            try:
                (self._path / name).rename(self._path / to)
            except FileNotFoundError:
                if not self._path.is_dir():
                    raise

    def _write(self, name: str, text: str) -> None:
        with self._told("write", name):
            (self._path / name).parent.mkdir(parents=True, exist_ok=True)
            (self._path / name).write_text(text, encoding="utf-8")

    def _remove(self, name: str) -> None:
        with self._told("delete", name):
            (self._path / name).unlink(missing_ok=True)

    @contextmanager
    def _told(self, what: str, name: str) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise NoPermission(
                f"{self._path}: may not {what} {name or 'it'}: {error.strerror}; give the connector's login the right to"
            ) from error
        except (FileNotFoundError, NotADirectoryError) as error:
            if not self._path.is_dir():
                raise ConfigError(
                    f"{self._path}: no such folder; correct location, make it, or mount it"
                ) from error
            raise Transient(
                f"{self._path}: {name} vanished while it was read; the folder is looked at again"
            ) from error
        except OSError as error:
            raise Transient(
                f"{self._path}: cannot {what} {name or 'it'}: {error.strerror}; look at the disk or the mount"
            ) from error
