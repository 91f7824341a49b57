"""The folder of the log: `checkpoint`, `checkpoint.witnessed`, tiles and bundles under their C2SP paths.

Owns how a file comes to be: whole or not at all, and on the disk before anything that builds on it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hub.transparency.record import AnotherSigner
from schemas.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, Bundle, Tile
from schemas.tlog.wire import HASH_BYTES

CHECKPOINT = "checkpoint"
WITNESSED = "checkpoint.witnessed"
_LOCK = ".lock"
_NEW = ".new"  # no path of the log ends so


class LogFiles:
    """The files of one log. Any number of processes may read them while one writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, path: str) -> bytes:
        """The bytes at a path of the log. Raises `FileNotFoundError`."""
        return (self.folder / path).read_bytes()

    def read_if_there(self, path: str) -> bytes | None:
        """The bytes at a path, or None."""
        try:
            return self.read(path)
        except FileNotFoundError:
            return None

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put files in place in this order; when it returns, they survive a loss of power.

        A file that holds these bytes already is left alone.
        """
        touched: set[Path] = set()
        for path, content in files.items():
            if self.read_if_there(path) != content:
                touched |= self._put(self.folder / path, content)
        for folder in sorted(touched):
            _sync_folder(folder)

    def _put(self, path: Path, content: bytes) -> set[Path]:
        """Write beside and rename; returns the folders whose entries changed."""
        changed = {path.parent}
        parent = path.parent
        while not parent.exists():
            parent = parent.parent
            changed.add(parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + _NEW)
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        return changed

    def missing(self, size: int) -> Iterator[str]:
        """Full tiles and bundles of a tree that are not there, or not as long as they must be."""
        for index in range(size // TILE_WIDTH):
            bundle = Bundle(index).path
            if not self._bytes(bundle):
                yield bundle
        level = 0
        while size >> TILE_HEIGHT * (level + 1):
            for index in range(size >> TILE_HEIGHT * (level + 1)):
                tile = Tile(level, index).path
                if self._bytes(tile) != TILE_WIDTH * HASH_BYTES:
                    yield tile
            level += 1

    def _bytes(self, path: str) -> int:
        try:
            return (self.folder / path).stat().st_size
        except OSError:
            return 0

    def drop_parts(self, written: Iterable[str]) -> None:
        """Delete the partial tiles and bundles that full ones among `written` replaced.

        Kept, the parts of one bundle of 256 entries would take 128 times its size. Source: tlog-tiles, Partial Tiles:
        whoever finds none takes the full one.
        """
        for path in written:
            if ".p/" not in path:
                shutil.rmtree(self.folder / f"{path}.p", ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else on this machine signs into this folder meanwhile. Raises `AnotherSigner`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AnotherSigner(
                    f"another signer works in {self.folder}, wanted one; stop it, or leave this one off"
                ) from None
            yield


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
