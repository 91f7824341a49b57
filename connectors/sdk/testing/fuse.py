"""A fuse that ends the process of a test at a chosen moment: between two effects, or at a chosen await.

Owns the moments, and the files whose commits are such moments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.sdk.private.store import PrivateStore
from connectors.sdk.private.vault import PrivateSettings, RandomBytes, Vault
from connectors.sdk.state.file import State


class Killed(BaseException):
    """The process is gone. Not an `Exception`: nothing may answer it."""


class Fuse:
    """Counts the moments at which a process could die, and dies at the chosen one; then nothing has effects.

    Two counts, both from 1, 0 for never: `burns_at` of the moments between two effects, `burns_at_await` of the times
    that a task of the process goes on after it waited.
    """

    def __init__(self, burns_at: int = 0, *, burns_at_await: int = 0) -> None:
        self.burns_at = burns_at
        self.burns_at_await = burns_at_await
        self.passed: list[str] = []
        self.awaits = 0
        self.burnt = False

    def resumed(self) -> None:
        """A task goes on after it waited."""
        self.awaits += 1
        if self.awaits == self.burns_at_await:
            self.burnt = True
            raise Killed(f"await {self.awaits}")

    @contextmanager
    def counting_awaits(self) -> Iterator[None]:
        """Tasks made inside of this count, and so do the tasks they make while it lasts."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()

        def factory(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
            return asyncio.Task(_Stepped(work, self), loop=loop, **more)

        loop.set_task_factory(factory)
        try:
            yield
        finally:
            loop.set_task_factory(before)

    def point(self, name: str) -> None:
        """A moment between two effects."""
        self.passed.append(name)
        if self.burnt or len(self.passed) == self.burns_at:
            self.burnt = True
            raise Killed(name)


class _Stepped(Coroutine[Any, Any, Any]):
    """A coroutine that asks a fuse before each of its steps."""

    def __init__(self, work: Coroutine[Any, Any, Any], fuse: Fuse) -> None:
        self._work = work
        self._fuse = fuse

    def send(self, value: Any) -> Any:
        try:
            self._fuse.resumed()
        except Killed as killed:
            return self._work.throw(killed)  # it unwinds here, where nothing has effects any more
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Any:
        return self._work.__await__()


class FusedState(State):
    """A state file whose process may die just before or just after a commit.

    What a process has written outlives it without reaching the disk, so nothing here waits for one.
    """

    SYNCHRONOUS = "OFF"

    def __init__(self, path: Path, fuse: Fuse) -> None:
        self._fuse = fuse
        super().__init__(path)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        self._fuse.point("before commit")
        with super()._transaction() as db:
            yield db
        self._fuse.point("after commit")


class FusedStore(PrivateStore):
    """A file of private parts whose process may die just before or just after a commit."""

    SYNCHRONOUS = "OFF"

    def __init__(self, path: Path, member: str, fuse: Fuse) -> None:
        self._fuse = fuse
        super().__init__(path, member)

    def _begin(self) -> None:
        self._fuse.point("before private commit")
        super()._begin()

    def _commit(self) -> None:
        super()._commit()
        self._fuse.point("after private commit")


def fused_vault(
    settings: PrivateSettings | None, fuse: Fuse, random_bytes: RandomBytes
) -> Vault | None:
    if settings is None:
        return None
    store = FusedStore(settings.path, settings.member, fuse)
    return Vault(settings, store, random_bytes)
