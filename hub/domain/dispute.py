"""Disputes: two members disagree about an item of the ledger; while they do, the item stands still."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from hub.domain.life import Living, Machine, steps
from hub.domain.times import DAY_MS

ANSWER_DAYS = 30  # ours: one month to settle, then those whose turn it is are reminded and the dispute stays open

DISPUTE = Machine(
    kind="dispute",
    title_en="Dispute",
    title_zh="争议",
    steps=(
        *steps("claimant", ": open -> open"),
        *steps("respondent", "open: answer -> answered"),
        *steps("claimant|respondent", "open answered proposed: propose -> proposed"),
        *steps("counterpart", "proposed: agree -> settled"),
        *steps("claimant", "open answered proposed: withdraw -> withdrawn"),
        *steps(
            "arbiters",
            "open: vote -> open",
            "answered: vote -> answered",
            "proposed: vote -> proposed",
            "open answered proposed: decide -> decided",
        ),
    ),
    waits={"open": "respondent", "answered": "deciders", "proposed": "counterpart"},
    source="ours: an arbiter's `decide` is a vote until more than half of the arbiters decide alike",
)


def frozen_id(kind: str, thing_id: str) -> str:
    """Under what id the ledger keeps whether a thing stands still."""
    return f"{kind}/{thing_id}"


@dataclass(frozen=True, slots=True)
class Frozen:
    """A thing that a dispute holds, or held: `dispute_id` is empty when it moves again. Times in milliseconds since 1970.

    `paused_ms` is how long it stood still in disputes that are over; its deadlines move on by as much.
    """

    KIND: ClassVar[str] = "frozen"
    kind: str
    thing_id: str
    dispute_id: str
    since_ms: int
    paused_ms: int = 0

    @property
    def id(self) -> str:
        return frozen_id(self.kind, self.thing_id)


@dataclass(frozen=True, slots=True)
class Dispute(Living):
    """`holds` are the things that stand still, by kind and id, the item itself first; `votes` are arbiters' newest ones.

    `resolution` is the one proposed last, at the end the one agreed to or decided; `proposer` who proposed it.
    """

    KIND: ClassVar[str] = "dispute"
    LIFE: ClassVar[Machine] = DISPUTE
    dispute_id: str
    claimant: str
    respondent: str
    arbiters: tuple[str, ...]
    holds: tuple[tuple[str, str], ...]
    ground: str
    state: str
    due_ms: int | None = None
    proposer: str = ""
    resolution: str = ""
    votes: tuple[tuple[str, str], ...] = ()  # arbiter, resolution

    @property
    def id(self) -> str:
        return self.dispute_id

    @property
    def counterpart(self) -> str:
        """The side that did not make the newest proposal: it agrees, or proposes something else."""
        return self.respondent if self.proposer == self.claimant else self.claimant

    @property
    def deciders(self) -> tuple[str, ...]:
        """Arbiters who have not voted yet; the claimant where nobody was named, or all have voted in vain."""
        voted = {arbiter for arbiter, _ in self.votes}
        return tuple(one for one in self.arbiters if one not in voted) or (self.claimant,)

    def decided_by_votes(self) -> str | None:
        """The resolution of more than half of all arbiters, or None."""
        for resolution, count in Counter(resolution for _, resolution in self.votes).items():
            if 2 * count > len(self.arbiters):
                return resolution
        return None

    def turn(self) -> tuple[str, ...]:
        if self.state == "answered":
            return self.deciders
        return Living.turn(self)

    def deadline_ms(self) -> int | None:
        return None if DISPUTE.closed(self.state) else self.due_ms

    def concerned(self) -> frozenset[str]:
        return frozenset({self.claimant, self.respondent, *self.arbiters})

    def summary(self) -> str:
        return f"{self.state} {self.resolution}".rstrip()


def answer_by_ms(now_ms: int) -> int | None:
    """When a dispute opened now should be over; None as long as the ledger has not looked at its clock."""
    return now_ms + ANSWER_DAYS * DAY_MS if now_ms else None
