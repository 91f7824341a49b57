"""Research results on their way into use, and who owns which share of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hub.domain.life import START, Living, Machine, moves
from hub.domain.quantities import credits_text

_OPEN = ("disclosed", "published", "negotiating", "signed", "registered", "implemented", "income_shared")  # fmt: skip
ACHIEVEMENT = Machine(
    kind="achievement",
    title_en="Research result",
    title_zh="科技成果",
    steps=moves(
        "owner",
        {
            START: "disclosed",
            "disclosed": "published withdrawn",
            "published": "negotiating withdrawn",
            "negotiating": "signed withdrawn",
            "signed": "registered terminated",
            "registered": "implemented terminated",
            "implemented": "income_shared terminated",
            "income_shared": "income_shared terminated",
        },
    ),
    waits=dict.fromkeys(_OPEN, "owner"),
    source="Law on Promoting the Transformation of Scientific and Technological Achievements; "
    "registration of technology contracts (技术合同认定登记)",
)
# From here on a contract names the owners; their shares are fixed.
UNDER_CONTRACT = frozenset({"signed", "registered", "implemented", "income_shared"})


@dataclass(frozen=True, slots=True)
class Share:
    """`percent_milli` are thousandths of a percent; the shares of a result add up to 100 000."""

    member: str
    percent_milli: int


@dataclass(frozen=True, slots=True)
class Achievement(Living):
    """`owner` is the member that speaks for all owners; `shares` are sorted by member."""

    KIND: ClassVar[str] = "achievement"
    LIFE: ClassVar[Machine] = ACHIEVEMENT
    achievement_id: str
    owner: str
    shares: tuple[Share, ...]
    state: str

    @property
    def id(self) -> str:
        return self.achievement_id

    def concerned(self) -> frozenset[str]:
        return frozenset(share.member for share in self.shares)

    def summary(self) -> str:
        shares = (f"{share.member} {credits_text(share.percent_milli)}%" for share in self.shares)
        return f"{self.state} {', '.join(shares)}"
