"""The Merkle tree: hashes, the compact range that grows it, both proofs. Owns no storage: hashes are read by a function.

A node is named (level, index): the root of the complete subtree over the leaves index * 2**level and following,
2**level of them. Source: RFC 6962 section 2, with the example trees of its section 2.1.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from schemas.tlog.errors import BadProof, Malformed
from schemas.tlog.wire import HASH_BYTES, SIZE_LIMIT, checked_hash, checked_number

ReadHash = Callable[[int, int], bytes]  # (level, index) -> hash
Proof = tuple[bytes, ...]
LeafRange = tuple[int, int]  # first leaf, leaf after the last

EMPTY_ROOT = sha256(b"").digest()
PROOF_LIMIT = 63  # hashes; no tree below SIZE_LIMIT has a longer path
_SIZE_BYTES = 8


def leaf_hash(data: bytes) -> bytes:
    """Hash of one entry. Source: RFC 6962 section 2.1, prefix 0x00."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two children. Source: RFC 6962 section 2.1, prefix 0x01."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """All a log has to remember to grow: the roots of its complete subtrees, largest first, one for each bit of `size`."""

    size: int = 0
    hashes: Proof = ()

    def __post_init__(self) -> None:
        if self.size < 0 or self.size.bit_count() != len(self.hashes):
            raise Malformed(
                "frontier",
                f"{len(self.hashes)} hashes",
                f"{self.size.bit_count()} for size {self.size}",
            )

    def append(self, leaf: bytes) -> Frontier:
        """The frontier with one leaf hash more."""
        kept = len(self.hashes)
        bits = self.size
        while bits & 1:
            kept -= 1
            leaf = node_hash(self.hashes[kept], leaf)
            bits >>= 1
        return Frontier(self.size + 1, (*self.hashes[:kept], leaf))

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """As `append` for each leaf hash, without the frontiers in between."""
        size, hashes = self.size, list(self.hashes)
        for leaf in leaves:
            joined, bits = leaf, size
            while bits & 1:
                joined = node_hash(hashes.pop(), joined)
                bits >>= 1
            hashes.append(joined)
            size += 1
        return Frontier(size, tuple(hashes))

    def root(self) -> bytes:
        """The root of the tree. Source: RFC 6962 section 2.1."""
        return fold(self.hashes) if self.hashes else EMPTY_ROOT

    def to_bytes(self) -> bytes:
        """Size in 8 bytes, big endian, then the hashes. Ours: no specification stores frontiers."""
        return self.size.to_bytes(_SIZE_BYTES, "big") + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> Frontier:
        """What `to_bytes` wrote, or `Malformed`."""
        size = checked_number(int.from_bytes(data[:_SIZE_BYTES], "big"), "frontier size")
        wanted = _SIZE_BYTES + HASH_BYTES * size.bit_count()
        if len(data) != wanted:
            raise Malformed("frontier", f"{len(data)} bytes", f"{wanted} for size {size}")
        return cls(size, split_hashes(data[_SIZE_BYTES:]))


def fold(subtrees: Sequence[bytes]) -> bytes:
    """The root over adjacent complete subtrees, largest first. At least one."""
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def split_hashes(data: bytes) -> Proof:
    """Hashes written one after the other; the caller has checked the length."""
    return tuple(data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES))


def inclusion_proof(index: int, size: int, read_hash: ReadHash) -> Proof:
    """The hashes from leaf `index` up to the root of the first `size` leaves, the leaf's sibling first.

    Source: RFC 6962 section 2.1.1.
    """
    _check_leaf(index, size)
    return tuple(_range_hash(beside, read_hash) for beside in _beside_leaf(index, size))


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Refuse with `BadProof` unless `leaf`, a leaf hash, is leaf `index` of the tree of `size` leaves under `root`."""
    _check_leaf(index, size)
    _check_lengths((leaf, root, *proof), "inclusion proof")
    ranges = _beside_leaf(index, size)
    if len(proof) != len(ranges):
        raise BadProof(f"inclusion proof of {index} in {size}", f"{len(proof)} hashes", len(ranges))
    found = leaf
    for (_, end), beside in zip(ranges, proof, strict=True):
        found = node_hash(beside, found) if end <= index else node_hash(found, beside)
    _check_root(f"root over leaf {index} of {size}", found, root)


def consistency_proof(old: int, new: int, read_hash: ReadHash) -> Proof:
    """The hashes that show the first `old` leaves unchanged under the root of the first `new`.

    Empty when `old` is 0, as tlog-witness asks. Source: RFC 6962 section 2.1.2.
    """
    _check_sizes(old, new)
    shared, ranges = _beside_old(old, new)
    seed = () if shared[0] == 0 else (shared,)
    return tuple(_range_hash(leaves, read_hash) for leaves in (*seed, *ranges))


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Refuse with `BadProof` unless the tree under `new_root` begins with all leaves of the tree under `old_root`.

    The empty tree is consistent with every tree, and has one root only.
    """
    _check_sizes(old_size, new_size)
    _check_lengths((old_root, new_root, *proof), "consistency proof")
    place = f"consistency proof from {old_size} to {new_size}"
    (start, _), ranges = _beside_old(old_size, new_size)
    wanted = len(ranges) + (start > 0)
    if len(proof) != wanted:
        raise BadProof(place, f"{len(proof)} hashes", wanted)
    if old_size == 0:
        _check_root("root of size 0", old_root, EMPTY_ROOT)
        _check_root(f"root of size {new_size}", new_root, new_root if new_size else EMPTY_ROOT)
        return
    seed = proof[0] if start else old_root
    old_found = new_found = seed
    for (_, end), beside in zip(ranges, proof[len(proof) - len(ranges) :], strict=True):
        if end <= start:
            old_found = node_hash(beside, old_found)
            new_found = node_hash(beside, new_found)
        else:
            new_found = node_hash(new_found, beside)
    _check_root(f"old root of {place}", old_found, old_root)
    _check_root(f"new root of {place}", new_found, new_root)


def _beside_leaf(index: int, size: int) -> list[LeafRange]:
    """What lies beside the path from leaf `index` to the root, from the bottom up."""
    start, end = 0, size
    beside: list[LeafRange] = []
    while end - start > 1:
        middle = start + _left_leaves(end - start)
        if index < middle:
            beside.append((middle, end))
            end = middle
        else:
            beside.append((start, middle))
            start = middle
    return beside[::-1]


def _beside_old(old: int, new: int) -> tuple[LeafRange, list[LeafRange]]:
    """The last subtree both trees share, and what lies beside its path to the new root, from the bottom up."""
    if old == 0:
        return (0, 0), []
    start, end = 0, new
    beside: list[LeafRange] = []
    while end != old:
        middle = start + _left_leaves(end - start)
        if old <= middle:
            beside.append((middle, end))
            end = middle
        else:
            beside.append((start, middle))
            start = middle
    return (start, end), beside[::-1]


def _left_leaves(leaves: int) -> int:
    """The largest power of two below `leaves`, which is 2 or more."""
    return 1 << ((leaves - 1).bit_length() - 1)


def _range_hash(leaves: LeafRange, read_hash: ReadHash) -> bytes:
    """The root over a range of leaves that begins where a subtree of its size may begin."""
    start, end = leaves
    level = (end - start).bit_length() - 1
    if end - start == 1 << level:  # but for the right edge every range is one node
        return read_hash(level, start >> level)
    return fold([read_hash(level, index) for level, index in complete_subtrees(*leaves)])


def complete_subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The nodes (level, index) that cover the leaves from `start` to before `end`, largest first."""
    leaves = end - start
    for level in range(leaves.bit_length() - 1, -1, -1):
        if leaves >> level & 1:
            yield level, start >> level
            start += 1 << level


def _check_leaf(index: int, size: int) -> None:
    if not 0 <= index < size < SIZE_LIMIT:
        raise BadProof(
            "leaf",
            f"index {index} in a tree of size {size}",
            f"an index below the size, below {SIZE_LIMIT}",
        )


def _check_sizes(old: int, new: int) -> None:
    if not 0 <= old <= new < SIZE_LIMIT:
        raise BadProof(
            "sizes", f"old {old}, new {new}", f"old at most new, both below {SIZE_LIMIT}"
        )


def _check_lengths(hashes: Iterable[bytes], place: str) -> None:
    for found in hashes:
        checked_hash(found, place)


def _check_root(place: str, found: bytes, wanted: bytes) -> None:
    if found != wanted:
        raise BadProof(place, found.hex(), wanted.hex())
