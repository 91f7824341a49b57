"""Trees and proofs against the vectors Certificate Transparency implementations share."""

from __future__ import annotations

import pytest

from schemas.tlog.errors import BadProof, Forged, Malformed
from schemas.tlog.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    fold,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves, their roots and proofs as the Certificate Transparency reference tests have them.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
G = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
H = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
I = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"  # noqa: E741  the ninth hash
J = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
INCLUSION = [(0, 1, []), (0, 8, [A, B, C]), (5, 8, [D, E, F]), (2, 3, [I]), (1, 5, [J, B, D])]
CONSISTENCY = [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [G, E, F]), (2, 5, [B, D]), (6, 7, [G, H, F])]


def read_hash(level: int, index: int) -> bytes:
    """The nodes of the eight leaves."""
    if level == 0:
        return leaf_hash(LEAVES[index])
    return node_hash(read_hash(level - 1, 2 * index), read_hash(level - 1, 2 * index + 1))


def hashes(proof: list[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text) for text in proof)


def test_the_roots_of_the_known_trees_come_out() -> None:
    """One leaf more at a time; the root of nothing is the hash of nothing."""
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT == ROOTS[0]
    for size, leaf in enumerate(LEAVES, 1):
        frontier = frontier.append(leaf_hash(leaf))
        assert (frontier.size, frontier.root()) == (size, ROOTS[size])


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_the_known_inclusion_proofs_come_out_and_verify(
    index: int, size: int, proof: list[str]
) -> None:
    """Made and verified, since a fault shared by both would agree with itself."""
    assert inclusion_proof(index, size, read_hash) == hashes(proof)
    verify_inclusion(index, size, leaf_hash(LEAVES[index]), hashes(proof), ROOTS[size])


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_the_known_consistency_proofs_come_out_and_verify(
    old: int, new: int, proof: list[str]
) -> None:
    """As above."""
    assert consistency_proof(old, new, read_hash) == hashes(proof)
    verify_consistency(old, new, ROOTS[old], ROOTS[new], hashes(proof))


def test_the_proofs_of_the_example_tree_in_the_rfc_have_its_shape() -> None:
    """RFC 6962 section 2.1.3: seven leaves d0 to d6, nodes named a to l."""
    a, b, c, d, e, f, j = (read_hash(0, index) for index in range(7))
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, el = node_hash(g, h), node_hash(i, j)
    assert fold((k, i, j)) == node_hash(k, el) == ROOTS[7]
    assert inclusion_proof(0, 7, read_hash) == (b, h, el)
    assert inclusion_proof(3, 7, read_hash) == (c, g, el)
    assert inclusion_proof(4, 7, read_hash) == (f, j, k)
    assert inclusion_proof(6, 7, read_hash) == (i, k)
    assert consistency_proof(3, 7, read_hash) == (c, d, g, el)
    assert consistency_proof(4, 7, read_hash) == (el,)
    assert consistency_proof(6, 7, read_hash) == (i, j, k)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (1, 0), (-1, 1), (0, 2**63)])
def test_no_leaf_is_in_a_tree_too_small_for_it(index: int, size: int) -> None:
    """Nor may sizes run without end."""
    with pytest.raises(BadProof, match="an index below the size"):
        verify_inclusion(index, size, ROOTS[1], (), ROOTS[1])
    with pytest.raises(BadProof, match="an index below the size"):
        inclusion_proof(index, size, read_hash)


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root", "proof"),
    [
        (2, 1, ROOTS[2], ROOTS[1], ()),  # backwards
        (-1, 1, ROOTS[1], ROOTS[1], ()),
        (1, 2, ROOTS[1], ROOTS[2], ()),  # no proof
        (0, 0, ROOTS[0], ROOTS[1], ()),
        (0, 0, ROOTS[1], ROOTS[1], ()),  # size 0 has one root
        (0, 8, ROOTS[1], ROOTS[8], ()),
        (0, 8, ROOTS[0], ROOTS[8], (ROOTS[0],)),  # a proof where none is needed
        (3, 3, ROOTS[3], ROOTS[3], (ROOTS[0],)),
        (3, 3, ROOTS[3], ROOTS[4], ()),  # two roots for one size
        (1, 8, ROOTS[8], ROOTS[1], hashes([A, B, C])),  # swapped
    ],
)
def test_what_is_not_consistent_is_refused(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: tuple[bytes, ...]
) -> None:
    """Each way to be inconsistent once."""
    with pytest.raises(BadProof):
        verify_consistency(old, new, old_root, new_root, proof)


def test_the_empty_tree_is_consistent_with_all_trees() -> None:
    """No proof is needed, as tlog-witness says."""
    assert consistency_proof(0, 8, read_hash) == ()
    for size in range(9):
        verify_consistency(0, size, EMPTY_ROOT, ROOTS[size], ())


def test_a_hash_of_another_length_is_refused() -> None:
    """Else bytes could move from one hash to the next and leave the node as it is."""
    left, right = hashes([A, B])
    with pytest.raises(Malformed, match="32 bytes"):
        verify_inclusion(0, 2, left + right[:1], (right[1:],), node_hash(left, right))
    with pytest.raises(Malformed, match="32 bytes"):
        verify_consistency(1, 2, left, right[:31], (right,))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        b"\0" * 9,
        b"\xff" * 8,
        (1).to_bytes(8, "big"),
        (1).to_bytes(8, "big") + bytes(31),
        (1).to_bytes(8, "big") + bytes(33),
    ],
)
def test_stored_frontiers_are_read_whole_or_not_at_all(data: bytes) -> None:
    """A frontier read wrongly would sign a wrong root."""
    with pytest.raises(Malformed, match="frontier"):
        Frontier.from_bytes(data)


def test_a_frontier_holds_one_hash_for_each_bit_of_its_size() -> None:
    """Made by hand as well."""
    with pytest.raises(Forged, match="frontier: found 1 hashes, wanted 2 for size 3"):
        Frontier(3, (ROOTS[1],))
