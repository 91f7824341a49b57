"""Rule sets as the ledger keeps them: every version that was registered, because decisions cite the one they follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hub.recognition.ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class Version:
    """A registered text: its number, the hash of its text and what it says."""

    number: int
    text_hash: str
    rules: RuleSet


@dataclass(frozen=True, slots=True)
class RegisteredRules:
    """The versions of one rule set, oldest first, without gaps. `owner` is a member's code or an agreement's id."""

    KIND: ClassVar[str] = "rules"
    rules_id: str
    owner: str
    versions: tuple[Version, ...]

    @property
    def id(self) -> str:
        return self.rules_id

    @property
    def newest(self) -> Version:
        return self.versions[-1]

    def version(self, number: int) -> RuleSet | None:
        """The rules of a version, or None if it was never registered."""
        place = number - self.versions[0].number
        return self.versions[place].rules if 0 <= place < len(self.versions) else None
