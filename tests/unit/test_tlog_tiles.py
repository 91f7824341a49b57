"""Tiles: names, contents, and what a reader refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from schemas.tlog.errors import BadTile, Malformed
from schemas.tlog.merkle import inclusion_proof, leaf_hash, verify_inclusion
from schemas.tlog.tiles import (
    Bundle,
    Tile,
    TileReader,
    Tiles,
    changed_bundles,
    changed_tiles,
    edge_tiles,
    entry_bundle,
    parse_entry_bundle,
    parse_hash_tile,
    parse_path,
)

SIZE = 70_000  # the example of tlog-tiles
ENTRIES = [str(number).encode() for number in range(SIZE)]


@pytest.fixture(scope="module")
def grown() -> tuple[Tiles, dict[str, bytes]]:
    return Tiles().grow(ENTRIES)


@pytest.mark.parametrize(
    ("place", "path"),
    [
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(4, 1234067, 1), "tile/4/x001/x234/067.p/1"),
        (Tile(63, 0), "tile/63/000"),
        (Tile(1, 1000, 255), "tile/1/x001/000.p/255"),
        (Bundle(999), "tile/entries/999"),
        (Bundle(1_000_000, 7), "tile/entries/x001/x000/000.p/7"),
    ],
)
def test_every_place_has_its_path(place: Tile | Bundle, path: str) -> None:
    """There and back; the first is the example of tlog-tiles."""
    assert place.path == path
    assert parse_path(path) == place


@pytest.mark.parametrize(
    "path",
    [
        "", "tile", "tile/0", "tile/0/", "tile/0/1", "tile/0/0001", "tile/00/001", "tile/01/001", "tile/64/000", "tile/-1/000",
        "tile/0/x000/001", "tile/0/001/x002", "tile/0/x001", "tile/0/001/002", "tile/0/x001/x002", "tile/0/000.p/0",
        "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p/1/", "/tile/0/000", "tile/0/000 ", "tile/0/000\n",
        "tile/entries/x000/000", "tile/entry/000", "tile/0/٠٠٠", "tile/0/x999/x999/x999/x999/x999/x999/999", "tile/8/0/000",
    ],
)  # fmt: skip
def test_a_path_with_another_spelling_is_refused(path: str) -> None:
    """Two names for one tile would be two tiles in a cache."""
    with pytest.raises(Malformed):
        parse_path(path)


def test_the_example_tree_has_the_tiles_the_specification_counts(
    grown: tuple[Tiles, dict[str, bytes]],
) -> None:
    """70,000 leaves: 273 full tiles and one of 112, one full and one of 17, one of 1."""
    tiles = changed_tiles(0, SIZE)
    assert [tile for tile in tiles if tile.level == 0] == [
        *(Tile(0, n) for n in range(273)),
        Tile(0, 273, 112),
    ]
    assert [tile for tile in tiles if tile.level > 0] == [Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert edge_tiles(SIZE) == (Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1))
    assert changed_tiles(0, 256) == (Tile(0, 0), Tile(1, 0, 1))
    paths = [tile.path for tile in tiles] + [bundle.path for bundle in changed_bundles(0, SIZE)]
    assert set(paths) == set(grown[1])


def test_nothing_changes_where_nothing_grows() -> None:
    """And a tree does not shrink."""
    assert changed_tiles(SIZE, SIZE) == ()
    assert changed_bundles(SIZE, SIZE) == ()
    assert Tiles().grow([]) == (Tiles(), {})
    with pytest.raises(Malformed, match="old at most new"):
        changed_tiles(2, 1)


def test_proofs_come_from_tiles(grown: tuple[Tiles, dict[str, bytes]]) -> None:
    """Where tiles begin, end and are cut."""
    tiles, files = grown
    reader = TileReader(files.__getitem__, SIZE, tiles.root())
    for index in (0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999):
        proof = inclusion_proof(index, SIZE, reader.read_hash)
        verify_inclusion(index, SIZE, leaf_hash(ENTRIES[index]), proof, tiles.root())
        assert reader.entry(index) == ENTRIES[index]


def test_a_full_tile_stands_in_for_a_partial_one_that_is_gone(
    grown: tuple[Tiles, dict[str, bytes]],
) -> None:
    """tlog-tiles lets a log delete partial tiles once the full one is there."""
    files = {path: content for path, content in grown[1].items() if ".p/" not in path}
    past, _ = Tiles().grow(ENTRIES[:300])
    reader = TileReader(
        (files | {"tile/1/000.p/1": grown[1]["tile/1/000"][:32]}).__getitem__, 300, past.root()
    )
    assert reader.entry(299) == ENTRIES[299]
    with pytest.raises(KeyError, match="tile/0/273"):
        TileReader(files.__getitem__, SIZE, grown[0].root())


def swapped(files: dict[str, bytes]) -> None:
    files["tile/0/000"], files["tile/0/001"] = files["tile/0/001"], files["tile/0/000"]


def truncated(files: dict[str, bytes]) -> None:
    files["tile/0/000"] = files["tile/0/000"][:-32]


def longer(files: dict[str, bytes]) -> None:
    files["tile/0/000"] += bytes(32)


def flipped(files: dict[str, bytes]) -> None:
    files["tile/0/000"] = bytes([files["tile/0/000"][0] ^ 1]) + files["tile/0/000"][1:]


def flipped_above(files: dict[str, bytes]) -> None:
    files["tile/1/000"] = files["tile/1/000"][:-1] + b"\0"


def other_entries(files: dict[str, bytes]) -> None:
    files["tile/entries/000"] = entry_bundle([b"x"] * 256)


def fewer_entries(files: dict[str, bytes]) -> None:
    files["tile/entries/000"] = entry_bundle(ENTRIES[:255])


def cut_entries(files: dict[str, bytes]) -> None:
    files["tile/entries/000"] = files["tile/entries/000"][:-1]


@pytest.mark.parametrize(
    "spoil",
    [swapped, truncated, longer, flipped, flipped_above, other_entries, fewer_entries, cut_entries],
)
def test_a_spoilt_file_is_found(
    grown: tuple[Tiles, dict[str, bytes]], spoil: Callable[[dict[str, bytes]], None]
) -> None:
    """Whoever stores the tiles may be anyone; the root decides."""
    files = dict(grown[1])
    spoil(files)
    reader = TileReader(files.__getitem__, SIZE, grown[0].root())
    with pytest.raises(BadTile, match="tile/"):
        reader.entry(0)


@pytest.mark.parametrize("path", ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"])
def test_a_spoilt_edge_is_found_before_anything_is_read(
    grown: tuple[Tiles, dict[str, bytes]], path: str
) -> None:
    """The partial tiles make the root together."""
    files = dict(grown[1])
    files[path] = bytes([files[path][0] ^ 1]) + files[path][1:]
    with pytest.raises(BadTile, match="root over the partial tiles"):
        TileReader(files.__getitem__, SIZE, grown[0].root())
    with pytest.raises(BadTile, match="root over the partial tiles"):
        Tiles.load(SIZE, grown[0].root(), files.__getitem__)


def test_a_spoilt_last_bundle_is_found_before_anything_is_added(
    grown: tuple[Tiles, dict[str, bytes]],
) -> None:
    """Else the log would write the wrong entries again into the full bundle."""
    files = grown[1] | {"tile/entries/273.p/112": entry_bundle([b"x"] * 112)}
    with pytest.raises(BadTile, match="entry 0 of tile/entries/273"):
        Tiles.load(SIZE, grown[0].root(), files.__getitem__)


@pytest.mark.parametrize(("level", "index"), [(0, SIZE), (17, 0), (-1, 0), (0, -1), (8, 273)])
def test_no_node_is_read_outside_the_tree(
    grown: tuple[Tiles, dict[str, bytes]], level: int, index: int
) -> None:
    """Nor one that is not complete."""
    reader = TileReader(grown[1].__getitem__, SIZE, grown[0].root())
    with pytest.raises(Malformed, match="one inside the tree"):
        reader.read_hash(level, index)
    with pytest.raises(Malformed, match="entry"):
        reader.entry(SIZE)
    with pytest.raises(Malformed, match="one inside the tree"):
        reader.entries(274)


def test_a_tree_that_ends_with_a_full_tile_has_no_bundle_behind_it() -> None:
    """Its row of level 0 is empty."""
    tiles, files = Tiles().grow(ENTRIES[:256])
    reader = TileReader(files.__getitem__, 256, tiles.root())
    assert reader.entries(0) == tuple(ENTRIES[:256])
    with pytest.raises(Malformed, match="one inside the tree of size 256"):
        reader.entries(1)


def test_bundles_hold_entries_of_any_length_up_to_two_bytes_of_it() -> None:
    """Empty ones too."""
    entries = (b"", b"a", bytes(65_535))
    data = entry_bundle(entries)
    assert data[:5] == b"\0\0\0\x01a"
    assert parse_entry_bundle(data, 3) == entries
    for broken, width in (
        (data, 2),
        (data, 4),
        (data[:-1], 3),
        (data + b"\0", 3),
        (b"\0", 1),
        (b"", 1),
    ):
        with pytest.raises(Malformed):
            parse_entry_bundle(broken, width)
    with pytest.raises(Malformed, match="at most 65535"):
        entry_bundle([bytes(65_536)])
    with pytest.raises(Malformed, match="hash tile"):
        parse_hash_tile(bytes(33), 1)
