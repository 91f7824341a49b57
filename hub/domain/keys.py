"""Members' signing keys as the ledger knows them, and what it knows of erased students.

A key that the ledger never heard of is one of the alliance's first, from its configuration: admission vouches for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

VALID, REVOKED = "valid", "revoked"


def named_key(member: str, key_id: str) -> str:
    """Under what id the ledger keeps a key that a member called its own without showing that it holds it."""
    return f"{member}/{key_id}"


@dataclass(frozen=True, slots=True)
class MemberKey:
    """A key that a member added or revoked. The change counts for the entries behind the one that made it."""

    KIND: ClassVar[str] = "key"
    key_id: str
    member: str
    public: bytes  # 32 bytes, Ed25519; empty for a first key that was revoked
    state: str

    @property
    def id(self) -> str:
        """A key that showed who holds it has its own name; one that was only named stands under who named it, for that one alone."""
        return self.key_id if self.public else named_key(self.member, self.key_id)


@dataclass(frozen=True, slots=True)
class ErasedStudent:
    """A pseudonym whose keys the home university destroyed."""

    KIND: ClassVar[str] = "erased"
    student_id: str
    home: str
    key_ids: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.student_id
