"""Periods of the ledger: stretches of entries, closed for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Period:
    """A closed period: entries `first_seq` to `last_seq`, and the root over all balances as they stood then."""

    KIND: ClassVar[str] = "period"
    name: str
    first_seq: int
    last_seq: int
    balances_root: bytes
    closed_ms: int

    @property
    def id(self) -> str:
        return self.name
