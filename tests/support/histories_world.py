"""A small world for histories of the whole catalogue: twenty members, few ids, a clock, and what can be wrong.

Ids are few so that they collide. What a thing is (whose, about whom) is fixed by its number; when and how much is the
step's choice. `Speech` turns a step into an event, from what the oracle knows, as campuses do from their own systems.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from schemas import records as r
from tests.support.ledger import Ledger
from tests.support.ledger_oracle import Oracle

CODES = (
    "10610", "10614", "10613", "10651", "10615", "10616", "10626", "10633", "10636", "10621", "10623", "10619",
    "10611", "10635", "M-AMU", "10618", "10652", "10631", "10617", "10650",
)  # fmt: skip
SHANGHAI = timezone(timedelta(hours=8))
THIS_YEAR = "2026-2027"
PAIRS = ((0, 1), (0, 1), (0, 2), (2, 1))  # home and host of thing number n, as places in the cast
STUDENTS = ("s0", "s0", "s0", "s3")
AMOUNTS = ("3", "0", "1", "2.5", "4", "4.001", "5", "-1")
DAYS = (2, 0, 1, 3, 5, 12, 30, 200, -1)  # from today, for the dates that a step names
SPANS = (1, 3600, 43_200, 86_400, 3 * 86_400, 7 * 86_400, 15 * 86_400, 45 * 86_400)  # seconds
TWISTS = (
    "content", "content", "content", "content", "content", "content", "swap", "person", "home", "host", "unknown", "same", "step", "stale", "reference",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens. `twist` is what is wrong about it, `shift` how far its version is off.

    `what` is an event type, `go:<domain>` for the next usual step of a case, `tick`, or one of `late`, `again` and
    `other` about events that were made before; `keep` makes the event but does not say it yet. `times` goes on so many steps; what is wrong is wrong about the last.
    """

    what: str
    which: int = 0
    choice: int = 0
    amount: int = 0
    days: int = 0
    twist: str = ""
    shift: int = 0
    keep: bool = False
    times: int = 1


class Speech:
    """What all makers of events share."""

    def __init__(self, ledger: Ledger, oracle: Oracle, cast: Sequence[str]) -> None:
        self.ledger = ledger
        self.oracle = oracle
        self.cast = tuple(cast)
        self._said: dict[tuple[str, str, str], int] = {}
        self._plans: dict[tuple[str, str], dict[str, Any]] = {}

    # Looking

    def fact(self, kind: str, name: str) -> dict[str, Any] | None:
        return self.oracle.books.get(kind, name)

    def state(self, kind: str, name: str) -> str:
        fact = self.fact(kind, name)
        return str(fact["state"]) if fact else ""

    def pair(self, number: int) -> tuple[str, str]:
        home, host = PAIRS[number % len(PAIRS)]
        return self.cast[home], self.cast[host]

    def day(self, offset: int) -> date:
        """So many days from today, in the alliance."""
        now = datetime.fromtimestamp(self.ledger.at_ms / 1000, tz=SHANGHAI)
        return now.date() + timedelta(days=offset)

    def date_of(self, step: Step) -> date:
        return self.day(DAYS[step.days])

    def noon(self, days: int) -> datetime:
        """Noon of a coming day, for slots that meet each other."""
        day = self.day(days)
        return datetime(day.year, day.month, day.day, 12, tzinfo=SHANGHAI).astimezone(UTC)

    def planned(self, kind: str, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What stays the same about a thing from its first event on. Planned anew while nobody heard of it."""
        known = self.fact(kind, name)
        waits = any(parked.key == (kind, name) for parked in self.oracle.waiting)
        if (kind, name) not in self._plans or (known is None and not waits):
            self._plans[kind, name] = make()
        return self._plans[kind, name]

    # Saying

    def make(
        self,
        step: Step,
        event: str,
        facts: dict[str, Any],
        /,
        *,
        sides: Sequence[str] = (),
        **said: Any,
    ) -> Any:
        """The event of these facts, with what the step twists. `sides` are the fields of those who may sign, the right one first."""
        known = facts | said
        signer = known[sides[0]] if sides else None
        known |= self._twisted(step, event, known)
        if step.twist == "swap" and len(sides) > 1:
            signer = known[sides[1]]
        elif sides and step.twist in ("home", "host", "unknown", "same"):
            signer = known[sides[0]]
        decides = known.pop("decides", None)
        record = self.ledger.record(event, by=signer, decides=decides, **known)
        place = (event.partition(".")[0], record.envelope.subject, record.envelope.member)
        version = self._said.get(place, 0) + 1
        if not step.shift:
            self._said[place] = version
        envelope = replace(record.envelope, aggregate_version=version + step.shift)
        return replace(record, envelope=envelope)

    def unsaid(self, record: Any) -> None:
        """A statement that used up no version: its number is free again, if nothing was said behind it."""
        envelope = record.envelope
        place = (record.EVENT.partition(".")[0], envelope.subject, envelope.member)
        if self._said.get(place) == envelope.aggregate_version:
            self._said[place] -= 1

    def _twisted(self, step: Step, event: str, known: dict[str, Any]) -> dict[str, Any]:
        twist = step.twist
        if twist == "content" and event in MISTAKES:
            wrong = MISTAKES[event]
            return wrong[(5 * step.choice + 7 * step.amount + step.days) % len(wrong)](known)
        if twist == "stale" and "decides" in known:
            return {"decides": (known["decides"] or 0) + 1 - 2 * (step.choice % 2)}
        homes = [name for name in ("home", "lender", "party", "recruiter", "lead") if name in known]
        hosts = [name for name in ("host", "borrower", "owner", "employer") if name in known]
        twists: dict[str, dict[str, Any]] = {
            "home": dict.fromkeys(homes, self.cast[3]),
            "host": dict.fromkeys(hosts, self.cast[4]),
            "unknown": dict.fromkeys(hosts or homes, "99999"),
            "same": dict.fromkeys(hosts, known[homes[0]]) if homes else {},
            "person": {name: "s9" for name in ("student_id", "staff_id", "students") if name in known},
            "step": {name: "x-step" for name in ("step", "decision", "status", "kind", "new_status", "stage", "action")
                     if name in known},
            "stale": {name: "other-hash" for name in ("decides_hash", "conditions_hash") if name in known},
            "reference": {name: "nobody-knows" for name in ("offering_id", "project_id", "resource_id", "agreement_id")
                          if known.get(name)},
        }  # fmt: skip
        changed = twists.get(twist, {})
        if "students" in changed:
            changed["students"] = ("s9",)
        if twist == "step" and event in KIND_IS_FREE:
            changed.pop("kind", None)
        if twist == "person" and event == "teaching.delivered":
            changed.pop("students", None)
        return changed


KIND_IS_FREE = frozenset(
    {
        "practice.placement-changed", "teaching.delivered", "teaching.secondment-changed", "lab.resource-changed",
        "transfer.achievement-changed", "project.changed",
    }
)  # fmt: skip
MISTAKES: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], ...]] = {}


def mistake(event: str, *wrong: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """What can be wrong about the content of an event type."""
    MISTAKES[event] = (*MISTAKES.get(event, ()), *wrong)


def amount(text: str) -> Decimal:
    return Decimal(text).quantize(Decimal("0.001"))


def credit(text: str) -> r.Credit:
    return r.Credit("cn_credit", amount(text))
