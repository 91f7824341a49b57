"""Which event ids the ledger has met: the first entry of each, for ever, in little memory.

Corrections come months later, so no id is ever forgotten. Of a million ids, packed rows take 95 MB (55 bytes an id and the
buckets), a dict of objects 290. A row stands in one of 65,536 buckets by the first bytes of its id's hash; a bucket
is searched as bytes, which at ten million ids is 2.4 KB.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple, TypeAlias

Buckets: TypeAlias = dict[bytes, bytearray]

NAME_BYTES = 16  # of an id's SHA-256: meeting another member's id takes 2**128 tries
_PLACE_BYTES = 2
_HASH_BYTES = 32
_FACT_BYTES = _HASH_BYTES + 6  # the seq in six bytes


class Seen(NamedTuple):
    """The first entry about an event id."""

    event_hash: bytes
    seq: int


class SeenIds:
    """Event ids with their first entries."""

    __slots__ = ("facts", "names")

    def __init__(self, names: Buckets | None = None, facts: Buckets | None = None) -> None:
        """`names` and `facts` are rows in the same order, by bucket."""
        self.names: Buckets = {} if names is None else names
        self.facts: Buckets = {} if facts is None else facts

    def __len__(self) -> int:
        return sum(map(len, self.names.values())) // NAME_BYTES

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SeenIds):
            return NotImplemented
        return self.names == other.names and self.facts == other.facts

    __hash__ = None  # type: ignore[assignment]  # its content changes

    def meet(self, event_id: str, event_hash: bytes, seq: int) -> Seen | None:
        """The first entry about an id; None if this one is, which is remembered."""
        name = _name(event_id)
        first = self._find(name)
        if first is None:
            place = name[:_PLACE_BYTES]
            fact = event_hash + seq.to_bytes(_FACT_BYTES - _HASH_BYTES, "big")
            names = self.names.get(place)
            if names is None:
                self.names[place], self.facts[place] = bytearray(name), bytearray(fact)
            else:
                names += name
                self.facts[place] += fact
        return first

    def get(self, event_id: str) -> Seen | None:
        """The first entry about an id, or None before it."""
        return self._find(_name(event_id))

    def _find(self, name: bytes) -> Seen | None:
        names = self.names.get(name[:_PLACE_BYTES])
        if names is None:
            return None
        at = names.find(name)
        while at % NAME_BYTES:  # across two rows, or nowhere (-1)
            if at < 0:
                return None
            at = names.find(name, at + 1)
        start = at // NAME_BYTES * _FACT_BYTES
        fact = self.facts[name[:_PLACE_BYTES]][start : start + _FACT_BYTES]
        return Seen(bytes(fact[:_HASH_BYTES]), int.from_bytes(fact[_HASH_BYTES:], "big"))

    def clear(self) -> None:
        """Forget all."""
        self.names.clear()
        self.facts.clear()


def _name(event_id: str) -> bytes:
    return sha256(event_id.encode("utf-8", "surrogatepass")).digest()[:NAME_BYTES]
