"""Members and what they say of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class MemberProfile:
    """`rules_id` names the member's own rules of recognition, if it registered any."""

    KIND: ClassVar[str] = "member"
    code: str
    status: str
    rules_id: str | None = None

    @property
    def id(self) -> str:
        return self.code
