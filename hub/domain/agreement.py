"""Agreements between members: what they exchange, how much a year, by whose approval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hub.domain.life import Living, Machine, steps

AGREEMENT = Machine(
    kind="agreement",
    title_en="Agreement",
    title_zh="合作协议",
    steps=steps(
        "party",
        ": proposed -> proposed",
        "proposed: proposed -> proposed",
        "proposed: approved -> proposed",
        "proposed: approved_by_all -> in_effect",
        "proposed in_effect: terminated -> terminated",
    ),
    waits={"proposed": "party"},
    source="Erasmus Without Paper inter-institutional agreements v7 with approval by the same hash",
)


@dataclass(frozen=True, slots=True)
class Quota:
    """Places a year that a sender may fill at a receiver."""

    sender: str
    receiver: str
    per_year: int


@dataclass(frozen=True, slots=True)
class Agreement(Living):
    """`approved_by` are the parties that signed the conditions with that hash; years are academic, `2026-2027`."""

    KIND: ClassVar[str] = "agreement"
    LIFE: ClassVar[Machine] = AGREEMENT
    agreement_id: str
    parties: tuple[str, ...]
    kind: str
    first_year: str
    last_year: str
    quotas: tuple[Quota, ...]
    credit_cap_milli: int | None
    conditions_hash: str
    approved_by: tuple[str, ...]
    state: str

    @property
    def id(self) -> str:
        return self.agreement_id

    def turn(self) -> tuple[str, ...]:
        if self.state != "proposed":
            return ()
        return tuple(party for party in self.parties if party not in self.approved_by)

    def concerned(self) -> frozenset[str]:
        return frozenset(self.parties)

    def quota(self, sender: str, receiver: str) -> Quota | None:
        """The limit for a direction, or None where the agreement sets none."""
        return next(
            (
                quota
                for quota in self.quotas
                if (quota.sender, quota.receiver) == (sender, receiver)
            ),
            None,
        )


def years(first: str, last: str) -> list[str]:
    """The academic years of an agreement: `2026-2027` to `2028-2029` are three. Raises `ValueError` for anything else."""
    begin, end = _year(first), _year(last)
    if not begin <= end <= begin + 9:
        raise ValueError(f"{first} to {last} are not 1 to 10 academic years")
    return [f"{year}-{year + 1}" for year in range(begin, end + 1)]


def _year(text: str) -> int:
    first, _, second = text.partition("-")
    digits = text.isascii() and first.isdecimal() and second.isdecimal()
    if (len(first), len(second)) != (4, 4) or not digits or int(second) != int(first) + 1:
        raise ValueError(f"{text!r} is no academic year, wanted 2026-2027")
    return int(first)
