"""The tree as files: which tiles there are, what is in them, how they grow, how they are read and not believed.

A tile holds up to 256 hashes of one level, a bundle the entries beneath one tile of level 0. Owns paths and contents;
leaves storing and fetching to the caller. Source: C2SP tlog-tiles at 5ba5ee8.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from schemas.tlog.errors import BadTile, Malformed
from schemas.tlog.merkle import (
    EMPTY_ROOT,
    Frontier,
    complete_subtrees,
    fold,
    leaf_hash,
    node_hash,
    split_hashes,
)
from schemas.tlog.wire import HASH_BYTES, SIZE_LIMIT, checked_number, from_decimal, shown

TILE_HEIGHT = 8
TILE_WIDTH = 256
LEVEL_LIMIT = 64  # exclusive
ENTRY_BYTES_LIMIT = 65_535  # a bundle writes the length of an entry in two bytes
CACHED_TILES = 1024  # ours: 39 MB of hashes and the nodes over them in one reader
_LENGTH_BYTES = 2
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)

# The bytes at a path; raises FileNotFoundError or LookupError when there are none.
Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Tile:
    """Coordinates of a hash tile: hash `i` in it is the root over 256**level leaves. Partial when narrower than 256."""

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        checked_number(self.level, "tile level", limit=LEVEL_LIMIT)
        _check_place(self.index, self.width)

    @property
    def path(self) -> str:
        """Where the tile lies, below the prefix of the log."""
        return f"tile/{self.level}/{_spelled(self.index)}{_suffix(self.width)}"

    def full(self) -> Tile:
        """The tile this one becomes when 256 hashes are there."""
        return Tile(self.level, self.index)


@dataclass(frozen=True, slots=True)
class Bundle:
    """Coordinates of an entry bundle: the entries whose leaf hashes are in the tile of level 0 with this index."""

    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        _check_place(self.index, self.width)

    @property
    def path(self) -> str:
        """Where the bundle lies, below the prefix of the log."""
        return f"tile/entries/{_spelled(self.index)}{_suffix(self.width)}"

    def full(self) -> Bundle:
        """The bundle this one becomes when 256 entries are there."""
        return Bundle(self.index)


def parse_path(path: str) -> Tile | Bundle:
    """The coordinates a path spells; each has one spelling."""
    parts = _PATH.fullmatch(path)
    if parts is None:
        raise Malformed(
            "tile path", shown(path), "tile/<level or entries>/<x000/...>000[.p/<width>]"
        )
    width = int(parts["width"] or TILE_WIDTH)
    index = from_decimal(_digits(parts["index"]), "tile index")
    found = (
        Bundle(index, width)
        if parts["level"] == "entries"
        else Tile(int(parts["level"]), index, width)
    )
    if found.path != path:
        raise Malformed("tile path", shown(path), found.path)
    return found


def _digits(spelled: str) -> str:
    """001 of x001/x234/067 and so on, as the number 1234067."""
    return spelled.replace("x", "").replace("/", "").lstrip("0") or "0"


def _spelled(index: int) -> str:
    """1234067 as x001/x234/067."""
    groups = f"{index:,}".split(",")
    *parents, last = [group.zfill(3) for group in groups]
    return "".join(f"x{parent}/" for parent in parents) + last


def _suffix(width: int) -> str:
    return "" if width == TILE_WIDTH else f".p/{width}"


def _check_place(index: int, width: int) -> None:
    checked_number(index, "tile index")
    if not 1 <= width <= TILE_WIDTH:
        raise Malformed("tile width", width, f"1 to {TILE_WIDTH}")


def changed_tiles(old: int, new: int) -> tuple[Tile, ...]:
    """The tiles a tree of size `new` has and one of size `old` has not, level by level, left to right."""
    _check_growth(old, new)
    tiles: list[Tile] = []
    level = 0
    while new >> TILE_HEIGHT * level:
        tiles += [Tile(level, index, width) for index, width in _changed(old, new, level)]
        level += 1
    return tuple(tiles)


def changed_bundles(old: int, new: int) -> tuple[Bundle, ...]:
    """The entry bundles a tree of size `new` has and one of size `old` has not, left to right."""
    _check_growth(old, new)
    return tuple(Bundle(index, width) for index, width in _changed(old, new, 0))


def _changed(old: int, new: int, level: int) -> Iterator[tuple[int, int]]:
    """Index and width of what changed on one level."""
    had, has = old >> TILE_HEIGHT * level, new >> TILE_HEIGHT * level
    if had == has:
        return
    for index in range(had // TILE_WIDTH, has // TILE_WIDTH):
        yield index, TILE_WIDTH
    if has % TILE_WIDTH:
        yield has // TILE_WIDTH, has % TILE_WIDTH


def _check_growth(old: int, new: int) -> None:
    if not 0 <= old <= new < SIZE_LIMIT:
        raise Malformed(
            "tree sizes", f"{old} and {new}", f"old at most new, both below {SIZE_LIMIT}"
        )


def edge_tiles(size: int) -> tuple[Tile, ...]:
    """The partial tiles of a tree, the right edge that commits to everything else, from level 0 up."""
    levels = -(-size.bit_length() // TILE_HEIGHT)
    widths = [(size >> TILE_HEIGHT * level) % TILE_WIDTH for level in range(levels)]
    return tuple(
        Tile(level, size >> TILE_HEIGHT * (level + 1), width)
        for level, width in enumerate(widths)
        if width
    )


def entry_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each behind its length in two bytes, big endian."""
    return b"".join(_length(entry) + entry for entry in entries)


def _length(entry: bytes) -> bytes:
    if len(entry) > ENTRY_BYTES_LIMIT:
        raise Malformed("entry", f"{len(entry)} bytes", f"at most {ENTRY_BYTES_LIMIT}")
    return len(entry).to_bytes(_LENGTH_BYTES, "big")


def parse_entry_bundle(data: bytes, width: int) -> tuple[bytes, ...]:
    """The `width` entries of a bundle."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + _LENGTH_BYTES
        end = start + int.from_bytes(data[at:start], "big")
        if end > len(data):
            raise Malformed(
                f"entry {len(entries)} of a bundle", f"{len(data) - at} bytes", f"{end - at}"
            )
        entries.append(data[start:end])
        at = end
    if len(entries) != width:
        raise Malformed("entry bundle", f"{len(entries)} entries", width)
    return tuple(entries)


def parse_hash_tile(data: bytes, width: int) -> tuple[bytes, ...]:
    """The `width` hashes of a tile."""
    if len(data) != width * HASH_BYTES:
        raise Malformed("hash tile", f"{len(data)} bytes", width * HASH_BYTES)
    return split_hashes(data)


@dataclass(frozen=True, slots=True)
class Tiles:
    """The growing side of a tree: the hashes of its partial tiles, one row per level, and the entries of the last bundle.

    At most 8 rows of 255 hashes and 255 entries, however large the tree.
    """

    size: int = 0
    rows: tuple[tuple[bytes, ...], ...] = ()
    entries: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, size: int, root: bytes, read: Read) -> Tiles:
        """The edge of a stored tree, checked against its root; `BadTile` when the files are not that tree."""
        rows = load_edge(size, root, read)
        width = size % TILE_WIDTH
        leaves = rows[0] if rows else ()
        entries = load_entries(Bundle(size // TILE_WIDTH, width), leaves, read) if width else ()
        return cls(size, rows, entries)

    def frontier(self) -> Frontier:
        """The compact range of the same tree."""
        return Frontier(self.size, _edge_subtrees(self.rows))

    def root(self) -> bytes:
        """The root of the same tree."""
        return self.frontier().root()

    def grow(self, entries: Sequence[bytes]) -> tuple[Tiles, dict[str, bytes]]:
        """The tiles after `entries`, and the files to write, path to content, those that others build on first."""
        size = self.size + len(entries)
        files = dict(_bundle_files(self, entries))
        rows: list[tuple[bytes, ...]] = []
        added = [leaf_hash(entry) for entry in entries]
        for level in range(-(-size.bit_length() // TILE_HEIGHT)):
            known = self.rows[level] if level < len(self.rows) else ()
            hashes = (*known, *added)
            first = self.size >> TILE_HEIGHT * (level + 1)
            if added:
                files |= {
                    Tile(level, first + at, len(chunk)).path: b"".join(chunk)
                    for at, chunk in enumerate(_chunks(hashes))
                }
            added = [_full_root(chunk) for chunk in _chunks(hashes) if len(chunk) == TILE_WIDTH]
            rows.append(hashes[len(added) * TILE_WIDTH :])
        return Tiles(size, tuple(rows), _rest((*self.entries, *entries))), files


def _bundle_files(tiles: Tiles, entries: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    if not entries:
        return
    first = tiles.size // TILE_WIDTH
    for at, chunk in enumerate(_chunks((*tiles.entries, *entries))):
        yield Bundle(first + at, len(chunk)).path, entry_bundle(chunk)


def _chunks(items: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    bounds = [*range(0, len(items), TILE_WIDTH), len(items)]
    return [items[start:end] for start, end in pairwise(bounds)]


def _rest(items: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return items[len(items) - len(items) % TILE_WIDTH :]


def _full_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of adjacent hashes."""
    return _nodes(hashes)[-1][0]


def _nodes(hashes: Sequence[bytes]) -> tuple[Sequence[bytes], ...]:
    """The complete nodes over adjacent hashes by their height, the hashes themselves first."""
    rows = [hashes]
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes) - 1, 2)]
        rows.append(hashes)
    return tuple(rows)


def _edge_subtrees(rows: Sequence[Sequence[bytes]]) -> tuple[bytes, ...]:
    """The complete subtrees of a whole tree, largest first: those of its highest row come first."""
    return tuple(
        _full_root(row[index << height : (index + 1) << height])
        for row in reversed(rows)
        for height, index in complete_subtrees(0, len(row))
    )


def load_edge(size: int, root: bytes, read: Read) -> tuple[tuple[bytes, ...], ...]:
    """The hashes of the partial tiles, one row per level; together they make the root, so none of them can lie."""
    checked_number(size, "tree size")
    rows = [()] * -(-size.bit_length() // TILE_HEIGHT)  # type: list[tuple[bytes, ...]]
    for tile in edge_tiles(size):
        rows[tile.level] = load_tile(tile, read)
    found = fold(_edge_subtrees(rows)) if size else EMPTY_ROOT
    if found != root:
        raise BadTile(f"root over the partial tiles of size {size}", found.hex(), root.hex())
    return tuple(rows)


def load_tile(tile: Tile, read: Read) -> tuple[bytes, ...]:
    """The hashes of one tile, not yet believed; where a partial tile is gone, cut from the full one that replaced it."""
    data, width = _load(tile, read)
    try:
        return parse_hash_tile(data, width)[: tile.width]
    except Malformed as broken:
        raise BadTile(tile.path, broken.found, broken.wanted) from broken


def load_entries(bundle: Bundle, leaves: Sequence[bytes], read: Read) -> tuple[bytes, ...]:
    """The entries of one bundle, whose leaf hashes must be `leaves`."""
    data, width = _load(bundle, read)
    try:
        entries = parse_entry_bundle(data, width)[: bundle.width]
    except Malformed as broken:
        raise BadTile(bundle.path, f"{broken.place} with {broken.found}", broken.wanted) from broken
    for at, (entry, wanted) in enumerate(zip(entries, leaves, strict=True)):
        if leaf_hash(entry) != wanted:
            raise BadTile(f"entry {at} of {bundle.path}", leaf_hash(entry).hex(), wanted.hex())
    return entries


def _load(place: Tile | Bundle, read: Read) -> tuple[bytes, int]:
    """The bytes and how many items they hold. Source: tlog-tiles, Partial Tiles: a full tile may stand in for a part."""
    try:
        return read(place.path), place.width
    except (FileNotFoundError, LookupError):
        if place.width == TILE_WIDTH:
            raise
        return read(place.full().path), TILE_WIDTH


class TileReader:
    """Reads nodes and entries of the tree of `size` leaves under `root` from files nobody has to trust.

    The partial tiles are checked together against the root, every full tile against its hash in the tile above, which
    was checked before. A hash that comes out is therefore one the root commits to, or `BadTile` is raised. The nodes
    inside a tile are hashed once, when it is checked: proofs of one log share most of them.
    """

    def __init__(self, read: Read, size: int, root: bytes) -> None:
        self.size = size
        self._read = read
        self._edge = tuple(_nodes(row) for row in load_edge(size, root, read))
        self._known: dict[tuple[int, int], tuple[Sequence[bytes], ...]] = {}

    def read_hash(self, level: int, index: int) -> bytes:
        """The root over the leaves index * 2**level and following, 2**level of them."""
        if level < 0 or index < 0 or (index + 1) << level > self.size:
            raise Malformed(
                "node", f"level {level}, index {index}", f"one inside the tree of size {self.size}"
            )
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, start = divmod(index << height, TILE_WIDTH)
        return self._tile(tile_level, tile_index)[height][start >> height]

    def entries(self, index: int) -> tuple[bytes, ...]:
        """All entries of one bundle."""
        leaves = self._tile(0, index)[0]
        return load_entries(Bundle(index, len(leaves)), leaves, self._read)

    def entry(self, index: int) -> bytes:
        """One entry."""
        checked_number(index, "entry", limit=self.size)
        return self.entries(index // TILE_WIDTH)[index % TILE_WIDTH]

    def _tile(self, level: int, index: int) -> tuple[Sequence[bytes], ...]:
        """The nodes of a tile by their height, authenticated."""
        known = self._known.get((level, index))
        if known is not None:
            return known
        full_tiles = self.size >> TILE_HEIGHT * (level + 1)
        if index == full_tiles and level < len(self._edge) and self._edge[level][0]:
            return self._edge[level]
        tile = Tile(level, index)
        if index >= full_tiles:
            raise Malformed("tile", tile.path, f"one inside the tree of size {self.size}")
        nodes = self._authentic(tile)
        if len(self._known) >= CACHED_TILES:
            del self._known[next(iter(self._known))]
        self._known[level, index] = nodes
        return nodes

    def _authentic(self, tile: Tile) -> tuple[Sequence[bytes], ...]:
        above, at = divmod(tile.index, TILE_WIDTH)
        wanted = self._tile(tile.level + 1, above)[0][at]
        nodes = _nodes(load_tile(tile, self._read))
        found = nodes[-1][0]
        if found != wanted:
            raise BadTile(tile.path, found.hex(), wanted.hex())
        return nodes
