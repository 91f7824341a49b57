"""The root over all balances: what a closed period commits to, and proofs of single accounts under it.

A line is `account,unit,pending_in,posted_in,pending_out,posted_out` in UTF-8, numbers in decimal; names have no line
feeds (a rule's ids could: they are escaped). Lines are sorted by their bytes, each is one leaf of an RFC 6962 tree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from hub.ledger.posting import Book
from schemas.tlog.errors import BadProof, Malformed
from schemas.tlog.merkle import Frontier, inclusion_proof, leaf_hash, node_hash, verify_inclusion


class Counters(Protocol):
    """The four counters of an account in one unit."""

    @property
    def pending_in(self) -> int: ...
    @property
    def posted_in(self) -> int: ...
    @property
    def pending_out(self) -> int: ...
    @property
    def posted_out(self) -> int: ...


def balance_line(account: str, unit: str, balance: Counters) -> bytes:
    """The leaf of one account and unit."""
    name = account.replace("\\", "\\\\").replace("\n", "\\n").replace(",", "\\,")
    numbers = (balance.pending_in, balance.posted_in, balance.pending_out, balance.posted_out)
    return ",".join((name, unit, *map(str, numbers))).encode("utf-8", "surrogatepass")


def balance_lines(book: Book) -> list[bytes]:
    """All leaves in their order."""
    return sorted(balance_line(*key, balance) for key, balance in book.balances.items())


def balances_root(book: Book) -> bytes:
    """32 bytes over every account of the book."""
    return Frontier().extend([leaf_hash(line) for line in balance_lines(book)]).root()


@dataclass(frozen=True, slots=True)
class BalanceProof:
    """Shows one line under a root: its place among the lines, and the hashes beside its way up."""

    index: int
    path: tuple[bytes, ...]


class BalanceTree:
    """The tree over the lines of a book as it stood. Proves single lines; the book may go on."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        kept = list(lines)
        self._places = {line: index for index, line in enumerate(kept)}
        self._rows = [[leaf_hash(line) for line in kept]]
        while len(self._rows[-1]) > 1:  # complete subtrees only, as proofs want them
            row = self._rows[-1]
            self._rows.append([node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)])

    def __len__(self) -> int:
        return len(self._rows[0])

    def root(self) -> bytes:
        """The same as `balances_root`."""
        return Frontier().extend(self._rows[0]).root()

    def prove(self, account: str, unit: str, balance: Counters) -> BalanceProof:
        """The proof of a line. Raises `KeyError` when the book has no such line."""
        index = self._places[balance_line(account, unit, balance)]
        path = inclusion_proof(index, len(self), lambda level, at: self._rows[level][at])
        return BalanceProof(index, path)


def line_fault(line: bytes, proof: BalanceProof, accounts: int, root: bytes) -> str | None:
    """Why the proof does not lead from the line to the root over so many lines; None when it does."""
    try:
        verify_inclusion(proof.index, accounts, leaf_hash(line), proof.path, root)
    except (BadProof, Malformed) as error:
        return str(error)
    return None
