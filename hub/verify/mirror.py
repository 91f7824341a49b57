"""Every byte of a copy of the log, up to the signed root: what `fsck` is for a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from hub.verify.outcome import Code, Failure, reading
from hub.verify.progress import Progress
from hub.verify.sources import Files
from hub.verify.trust import Copy
from schemas.tlog.errors import BadTile, Malformed
from schemas.tlog.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Bundle,
    Tile,
    TileReader,
    load_entries,
    load_tile,
    parse_path,
)

T = TypeVar("T")


@dataclass(slots=True)
class Mirrored:
    """What was read: hash tiles, bundles, entries; `beyond` are files behind the copy's largest checkpoint."""

    tiles: int = 0
    bundles: int = 0
    entries: int = 0
    beyond: int = 0


def bundles(copy: Copy, progress: Progress) -> Iterator[tuple[bytes, ...]]:
    """All entries under the checkpoint, bundle by bundle, each under the root. Holds one bundle at a time."""
    return _bundles(copy, copy.signed.size, progress)


def _bundles(copy: Copy, size: int, progress: Progress) -> Iterator[tuple[bytes, ...]]:
    with reading(copy.files.name):
        reader = copy.reader()
        for first in range(0, size, TILE_WIDTH):
            entries = _read(copy.files, partial(reader.entries, first // TILE_WIDTH))
            progress.add(len(entries))
            yield entries[: size - first]


def check_copy(copy: Copy, progress: Progress) -> Mirrored:
    """Read every hash tile and bundle that the tree of the copy has, and every other one that lies about.

    Raises `Failure`, naming the first file that is not what the root commits to, or is missing.
    """
    found = Mirrored()
    for entries in _bundles(copy, copy.top.size, progress):
        found.entries += len(entries)
    with reading(copy.files.name):
        reader = copy.reader()
        for path in _paths(copy.files, copy.top.size):
            _check_file(copy.files, reader, path, found)
    return found


def _paths(files: Files, size: int) -> list[str]:
    """The files to look at one by one: all there are, or those a tree of that size has."""
    stored = files.stored()
    return list(tree_paths(size)) if stored is None else stored


def tree_paths(size: int) -> Iterator[str]:
    """All tiles and bundles of a tree, level by level."""
    for index, width in _widths(size):
        yield Bundle(index, width).path
    level = 0
    while size >> TILE_HEIGHT * level:
        for index, width in _widths(size >> TILE_HEIGHT * level):
            yield Tile(level, index, width).path
        level += 1


def _widths(hashes: int) -> Iterator[tuple[int, int]]:
    for index in range(hashes // TILE_WIDTH):
        yield index, TILE_WIDTH
    if hashes % TILE_WIDTH:
        yield hashes // TILE_WIDTH, hashes % TILE_WIDTH


def _check_file(files: Files, reader: TileReader, path: str, found: Mirrored) -> None:
    """One stored file against the tree. A partial one of an older tree must be the beginning of what is there now."""
    try:
        place = parse_path(path)
    except Malformed as error:
        raise Failure(
            Code.MALFORMED, f"{files.name}/{path}", "a file of no log", "tiles and bundles",
            "take it out of the copy",
        ) from error  # fmt: skip
    level = place.level if isinstance(place, Tile) else 0
    whole = reader.size >> TILE_HEIGHT * level
    if place.index * TILE_WIDTH + place.width > whole:
        found.beyond += 1
        return
    first = place.index * TILE_WIDTH
    wanted = tuple(reader.read_hash(TILE_HEIGHT * level, first + at) for at in range(place.width))
    if isinstance(place, Bundle):
        load_entries(place, wanted, files.read)
        found.bundles += 1
        return
    hashes = _read(files, lambda: load_tile(place, files.read))
    for at, (has, hash_wanted) in enumerate(zip(hashes, wanted, strict=True)):
        if has != hash_wanted:
            raise BadTile(f"hash {at} of {path}", has.hex(), hash_wanted.hex())
    found.tiles += 1


def _read(files: Files, load: Callable[[], T]) -> T:
    try:
        return load()
    except FileNotFoundError as error:
        raise Failure(
            Code.UNREADABLE, str(error.filename or files.name), "no such file", "a file of the tree",
            "the copy is incomplete; fetch it again",
        ) from error  # fmt: skip
