"""Trees of all sizes: every proof verifies, no changed proof does, tiles do not depend on how they grew."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.tlog.errors import BadProof, BadTile, Forged
from schemas.tlog.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from schemas.tlog.tiles import (
    TileReader,
    Tiles,
    changed_bundles,
    changed_tiles,
    edge_tiles,
    parse_path,
)

LARGEST = 300
LEAVES = [leaf_hash(str(number).encode()) for number in range(LARGEST)]


def split(leaves: int) -> int:
    """RFC 6962 section 2.1, word for word: the largest power of two smaller than n."""
    power = 1
    while power * 2 < leaves:
        power *= 2
    return power


@cache
def root_of(start: int, end: int) -> bytes:
    """MTH of the leaves from `start` to before `end`, by the definition."""
    if start == end:
        return EMPTY_ROOT
    if end - start == 1:
        return LEAVES[start]
    middle = start + split(end - start)
    return node_hash(root_of(start, middle), root_of(middle, end))


def path_of(index: int, start: int, end: int) -> list[tuple[str, bytes]]:
    """PATH by the definition, each hash with its side."""
    if end - start == 1:
        return []
    middle = start + split(end - start)
    if index < middle:
        return [*path_of(index, start, middle), ("right", root_of(middle, end))]
    return [*path_of(index, middle, end), ("left", root_of(start, middle))]


def subproof_of(old: int, start: int, end: int, *, whole: bool) -> list[tuple[str, bytes]]:
    """SUBPROOF by the definition, each hash with its side."""
    if old == end:
        return [] if whole else [("seed", root_of(start, end))]
    middle = start + split(end - start)
    if old <= middle:
        return [*subproof_of(old, start, middle, whole=whole), ("right", root_of(middle, end))]
    return [*subproof_of(old, middle, end, whole=False), ("left", root_of(start, middle))]


def read_hash(level: int, index: int) -> bytes:
    return root_of(index << level, (index + 1) << level)


ROOTS = [root_of(0, size) for size in range(LARGEST + 1)]


def sides(path: list[tuple[str, bytes]]) -> list[str]:
    return [side for side, _ in path]


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_frontiers_of_all_sizes_have_the_root_of_the_definition() -> None:
    """One by one, in one go, and stored in between."""
    frontier = Frontier()
    for size, leaf in enumerate(LEAVES):
        assert frontier.root() == ROOTS[size]
        assert (
            Frontier.from_bytes(frontier.to_bytes()) == frontier == Frontier().extend(LEAVES[:size])
        )
        frontier = frontier.append(leaf)
    assert len({Frontier().extend(LEAVES[:size]) for size in range(LARGEST)}) == LARGEST


def test_all_inclusion_proofs_of_all_sizes_are_those_of_the_definition_and_verify() -> None:
    """45,150 of them."""
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, read_hash)
            assert list(proof) == [found for _, found in path_of(index, 0, size)]
            verify_inclusion(index, size, LEAVES[index], proof, ROOTS[size])


def test_all_consistency_proofs_of_all_sizes_are_those_of_the_definition_and_verify() -> None:
    """45,451 of them, the empty tree included."""
    for new in range(LARGEST + 1):
        for old in range(new + 1):
            proof = consistency_proof(old, new, read_hash)
            wanted = subproof_of(old, 0, new, whole=True) if old else []
            assert list(proof) == [found for _, found in wanted]
            verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)


@st.composite
def leaf_places(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(1, LARGEST))
    return draw(st.integers(0, size - 1)), size


@given(place=leaf_places(), data=st.data())
def test_no_changed_bit_passes_an_inclusion_proof(
    place: tuple[int, int], data: st.DataObject
) -> None:
    """Of leaf, root or path; nor a hash more, a hash less, two swapped, another index."""
    index, size = place
    proof = inclusion_proof(index, size, read_hash)
    hashes = [LEAVES[index], ROOTS[size], *proof]
    at = data.draw(st.integers(0, len(hashes) - 1))
    changed = [*hashes]
    changed[at] = flip(changed[at], data.draw(st.integers(0, 255)))
    other = (
        data.draw(st.integers(0, size - 1).filter(lambda found: found != index))
        if size > 1
        else size
    )
    lies: list[tuple[int, bytes, Sequence[bytes], bytes]] = [
        (index, changed[0], changed[2:], changed[1]),
        (index, hashes[0], [*proof, proof[0] if proof else EMPTY_ROOT], hashes[1]),
        (other, hashes[0], proof, hashes[1]),
    ]
    if proof:
        lies += [
            (index, hashes[0], proof[1:], hashes[1]),
            (index, hashes[0], proof[:-1], hashes[1]),
        ]
    if len(proof) > 1:
        lies.append((index, hashes[0], proof[::-1], hashes[1]))
    for lie, leaf, path, root in lies:
        with pytest.raises(BadProof):
            verify_inclusion(lie, size, leaf, path, root)


@st.composite
def growths(draw: st.DrawFn) -> tuple[int, int]:
    new = draw(st.integers(1, LARGEST))
    return draw(st.integers(1, new)), new


@given(sizes=growths(), data=st.data())
def test_no_changed_bit_passes_a_consistency_proof(
    sizes: tuple[int, int], data: st.DataObject
) -> None:
    """Of either root or of the proof; nor a hash more or less."""
    old, new = sizes
    proof = consistency_proof(old, new, read_hash)
    changed = [ROOTS[old], ROOTS[new], *proof]
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] = flip(changed[at], data.draw(st.integers(0, 255)))
    lies: list[tuple[bytes, bytes, Sequence[bytes]]] = [
        (changed[0], changed[1], changed[2:]),
        (ROOTS[old], ROOTS[new], [*proof, ROOTS[new]]),
    ]
    if proof:
        lies += [(ROOTS[old], ROOTS[new], proof[1:]), (ROOTS[old], ROOTS[new], proof[:-1])]
    for old_root, new_root, path in lies:
        with pytest.raises(BadProof):
            verify_consistency(old, new, old_root, new_root, path)


def accepted(check: object, *items: object) -> bool:
    assert callable(check)
    try:
        check(*items)
    except BadProof:
        return False
    return True


def test_a_changed_size_passes_only_where_the_path_is_the_same() -> None:
    """A root does not tell its size: that is what the signature over both is for.

    Where another size turns left and right at the same steps, the proof says the same of the leaf. Everywhere else the
    changed size is refused.
    """
    small = 24
    for size in range(1, small):
        for index in range(size):
            proof = inclusion_proof(index, size, read_hash)
            for lie in range(small):
                same = index < lie and sides(path_of(index, 0, lie)) == sides(
                    path_of(index, 0, size)
                )
                assert (
                    accepted(verify_inclusion, index, lie, LEAVES[index], proof, ROOTS[size])
                    == same
                )


def test_changed_sizes_pass_a_consistency_proof_only_where_the_path_is_the_same() -> None:
    """As above, for both sizes."""
    small = 16
    for new in range(1, small):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, read_hash)
            wanted = sides(subproof_of(old, 0, new, whole=True))
            for new_lie in range(1, small):
                for old_lie in range(1, new_lie + 1):
                    same = sides(subproof_of(old_lie, 0, new_lie, whole=True)) == wanted
                    found = accepted(
                        verify_consistency, old_lie, new_lie, ROOTS[old], ROOTS[new], proof
                    )
                    assert found == same


STEPS = st.lists(
    st.one_of(st.integers(0, 3), st.integers(0, 700), st.sampled_from([255, 256, 257, 512])),
    max_size=8,
)


def entries_of(start: int, end: int) -> list[bytes]:
    return [str(number).encode() * (number % 3) for number in range(start, end)]


def grown_in(steps: list[int]) -> tuple[Tiles, dict[str, bytes]]:
    tiles, files = Tiles(), dict[str, bytes]()
    for step in steps:
        before = tiles.size
        tiles, new = tiles.grow(entries_of(before, before + step))
        changed = [tile.path for tile in changed_tiles(before, tiles.size)]
        changed += [bundle.path for bundle in changed_bundles(before, tiles.size)]
        assert sorted(new) == sorted(changed)
        files |= new
    return tiles, files


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_tiles_grown_in_any_steps_are_those_made_at_once(steps: list[int]) -> None:
    """Also when read back from the files between any two steps."""
    tiles, files = grown_in(steps)
    at_once, wanted = Tiles().grow(entries_of(0, sum(steps)))
    frontier = Frontier().extend(leaf_hash(entry) for entry in entries_of(0, sum(steps)))
    assert tiles == at_once == Tiles.load(tiles.size, tiles.root(), files.__getitem__)
    assert tiles.frontier() == frontier
    assert {path: files[path] for path in wanted} == wanted
    assert all(parse_path(path).path == path for path in files)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS.filter(any), data=st.data())
def test_a_changed_bit_in_any_file_is_found_by_its_reader(
    steps: list[int], data: st.DataObject
) -> None:
    """Every node and entry of the tree is read; a changed file is either refused or never used."""
    tiles, files = grown_in(steps)
    _, current = Tiles().grow(entries_of(0, tiles.size))
    path = data.draw(st.sampled_from(sorted(current)))
    bit = data.draw(st.integers(0, 8 * len(files[path]) - 1))
    files[path] = flip(files[path], bit)
    with pytest.raises(BadTile):
        read_all(tiles, files)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS.filter(any), data=st.data())
def test_a_swapped_or_cut_file_is_found_by_its_reader(
    steps: list[int], data: st.DataObject
) -> None:
    """Another file of the same log is not the file."""
    tiles, files = grown_in(steps)
    _, current = Tiles().grow(entries_of(0, tiles.size))
    path = data.draw(st.sampled_from(sorted(current)))
    other = data.draw(st.sampled_from(sorted(current)))
    cut = data.draw(st.integers(0, len(files[path]) - 1))
    for content in (files[other], files[path][:cut], files[path] + b"\0"):
        if content != files[path]:
            with pytest.raises(BadTile):
                read_all(tiles, files | {path: content})


def read_all(tiles: Tiles, files: dict[str, bytes]) -> None:
    reader = TileReader(files.__getitem__, tiles.size, tiles.root())
    for index in range(-(-tiles.size // 256)):
        assert reader.entries(index)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS.filter(any), data=st.data())
def test_proofs_from_tiles_are_those_from_all_leaves(steps: list[int], data: st.DataObject) -> None:
    """For any two sizes the log has had, and a leaf in both."""
    tiles, files = grown_in(steps)
    leaves = [leaf_hash(entry) for entry in entries_of(0, tiles.size)]
    old = data.draw(st.integers(0, tiles.size))
    index = data.draw(st.integers(0, tiles.size - 1))
    reader = TileReader(files.__getitem__, tiles.size, tiles.root())
    old_root = Frontier().extend(leaves[:old]).root()
    verify_consistency(
        old,
        tiles.size,
        old_root,
        tiles.root(),
        consistency_proof(old, tiles.size, reader.read_hash),
    )
    proof = inclusion_proof(index, tiles.size, reader.read_hash)
    verify_inclusion(index, tiles.size, leaves[index], proof, tiles.root())


@given(size=st.integers(0, 2**63 - 1))
def test_the_edge_of_a_tree_covers_it(size: int) -> None:
    """The partial tiles count every leaf once, at any size."""
    assert sum(tile.width << 8 * tile.level for tile in edge_tiles(size)) == size


@given(old=st.integers(0, 2**40), more=st.integers(0, 2000), most=st.integers(0, 2000))
def test_two_steps_change_what_one_step_changes(old: int, more: int, most: int) -> None:
    """Beside the partial tiles in between."""
    middle, new = old + more, old + more + most
    both = {*changed_tiles(old, middle), *changed_tiles(middle, new)}
    at_once = set(changed_tiles(old, new))
    assert at_once <= both
    assert all(tile.width < 256 for tile in both - at_once)


@given(data=st.binary(max_size=100))
def test_any_bytes_are_a_frontier_or_refused(data: bytes) -> None:
    """And written back as they were."""
    try:
        frontier = Frontier.from_bytes(data)
    except Forged:
        return
    assert frontier.to_bytes() == data
