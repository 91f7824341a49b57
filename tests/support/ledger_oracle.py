"""A second ledger, written from the rules as the alliance states them and from nothing else.

It keeps facts in plain dictionaries and counts seats, places, hours, minutes and credits anew whenever asked; no
postings, no accounts, no hashes. It knows what becomes of an event and why, who is told, and what the clock brings.
Where it and the hub's rules differ, one of them is wrong. The rules of each domain are in the `oracle_` modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from tests.support import (
    oracle_agreement,
    oracle_credit,
    oracle_dispute,
    oracle_erasure,
    oracle_lab,
    oracle_market,
    oracle_practice,
    oracle_rules,
    oracle_study,
    oracle_teaching,
)
from tests.support.oracle_books import (
    DAY_MS,
    NEAR_DAYS,
    Alarm,
    Books,
    Done,
    Flag,
    Missing,
    Refused,
)

RULES: dict[str, Callable[[Books, Any], Done]] = {
    "agreement.changed": oracle_agreement.changed,
    "credit.awarded": oracle_credit.awarded,
    "credit.award-corrected": oracle_credit.award_corrected,
    "credit.recognition-decided": oracle_credit.recognition_decided,
    "credit.recognition-requested": oracle_credit.recognition_requested,
    "dispute.changed": oracle_dispute.changed,
    "enrollment.decided": oracle_study.decided,
    "enrollment.plan-decided": oracle_study.plan_decided,
    "enrollment.plan-proposed": oracle_study.plan_proposed,
    "enrollment.requested": oracle_study.requested,
    "enrollment.status-changed": oracle_study.status_changed,
    "lab.access-decided": oracle_lab.access_decided,
    "lab.access-requested": oracle_lab.access_requested,
    "lab.resource-changed": oracle_lab.resource_changed,
    "lab.usage-recorded": oracle_lab.usage_recorded,
    "member.key-changed": oracle_dispute.key_changed,
    "member.profile-changed": oracle_rules.profile_changed,
    "offering.changed": oracle_study.offering_changed,
    "practice.placement-changed": oracle_practice.changed,
    "project.changed": oracle_study.project_changed,
    "project.member-changed": oracle_study.project_member_changed,
    "student.erased": oracle_erasure.erased,
    "talent.posting-changed": oracle_market.posting_changed,
    "teaching.appointment-changed": oracle_teaching.appointment_changed,
    "teaching.delivered": oracle_teaching.delivered,
    "teaching.secondment-changed": oracle_teaching.secondment_changed,
    "transfer.achievement-changed": oracle_market.achievement_changed,
}
DUE = {
    "access": oracle_lab.access_due,
    "appointment": oracle_teaching.appointment_due,
    "award": oracle_credit.award_due,
    "delivery": oracle_teaching.delivery_due,
    "dispute": oracle_dispute.due,
    "enrollment": oracle_study.enrollment_due,
    "placement": oracle_practice.due,
    "plan": oracle_study.plan_due,
    "posting": oracle_market.posting_due,
    "recognition": oracle_credit.recognition_due,
    "secondment": oracle_teaching.secondment_due,
}
TURN = {
    "access": oracle_lab.access_turn,
    "achievement": oracle_market.achievement_turn,
    "agreement": oracle_agreement.turn,
    "appointment": oracle_teaching.appointment_turn,
    "award": oracle_credit.award_turn,
    "delivery": oracle_teaching.delivery_turn,
    "dispute": oracle_dispute.turn,
    "enrollment": oracle_study.enrollment_turn,
    "placement": oracle_practice.turn,
    "plan": oracle_study.plan_turn,
    "posting": oracle_market.posting_turn,
    "recognition": oracle_credit.recognition_turn,
    "secondment": oracle_teaching.secondment_turn,
    "usage": oracle_lab.usage_turn,
}


class Told(NamedTuple):
    """A line of the log: an event's id with its outcome, or a flag's name with the thing and whose turn it is."""

    name: str
    outcome: str
    why: str | None
    audience: tuple[str, ...] = ()


@dataclass
class Parked:
    """An event that waits, since when, and for what."""

    event: Any
    since_ms: int
    key: tuple[Any, ...]


class Oracle:
    """Hears events one by one and says what becomes of each; looks at the clock when told to."""

    def __init__(self, members: tuple[str, ...]) -> None:
        self.books = Books(members, DUE, TURN)
        self.first: dict[str, Any] = {}  # event id -> the event first heard under it
        self.signed: dict[str, str] = {}  # event id -> the key that signed it then
        self.waiting: list[Parked] = []
        self._at_ms = 0  # of the newest line: each line has a later time than the one before
        self._lines: list[Told] = []

    def hear(self, event: Any, at_ms: int = 0, key: str = "") -> list[Told]:
        """What becomes of this event, signed with that key and heard at that time, then of those that it set free."""
        self._lines, name = [], event.envelope.event_id
        if name in self.first:
            same = self.first[name] == event
            outcome = "duplicate" if same else "conflict"
            reason = "SAME_EVENT" if same else "SAME_ID_OTHER_CONTENT"
            self._say(Told(name, outcome, reason), at_ms)
        else:
            self.first[name], self.signed[name] = event, key
            self._decide(event, at_ms)
            self._release()
        return self._lines

    def tick(self, at_ms: int, parked_after_s: int) -> list[Told]:
        """What the clock brings: flags and what expires by time, kind and id; then what waited too long, oldest first."""
        self._lines = []
        books = self.books
        self._at_ms = books.now_ms = max(at_ms, self._at_ms + 1)
        while rings := self._ringing(
            books.now_ms
        ):  # what rings may set another deadline that is over
            _, kind, name, near = min(rings)
            self._ring(kind, name, near=near)
        late = [one for one in self.waiting if one.since_ms <= books.now_ms - parked_after_s * 1000]
        for one in late:
            if one in self.waiting and not self._has_come(one.key):
                self.waiting.remove(one)
                version = one.key[0] == "version"
                reason = "VERSION_GAP_TIMEOUT" if version else "REFERENCE_TIMEOUT"
                self._use_up(one.event)
                self._say(Told(one.event.envelope.event_id, "rejected", reason))
        self._release()
        return self._lines

    # How an event is decided

    def _decide(self, event: Any, at_ms: int = 0) -> None:
        name, member = event.envelope.event_id, event.envelope.member
        if not oracle_dispute.signs(self.books, self.signed[name], member):
            self._say(Told(name, "rejected", "KEY_REVOKED"), at_ms)  # no version is used up
            return
        try:
            self._check_version(event)
            done = self._ruled(event)
        except Missing as missing:
            version = missing.key[0] == "version"
            self._say(
                Told(name, "parked", "VERSION_GAP" if version else "UNKNOWN_REFERENCE"), at_ms
            )
            self.waiting.append(Parked(event, self._at_ms, missing.key))
            return
        except Refused as refused:
            self._use_up(event)
            self._say(Told(name, "rejected", str(refused)), at_ms)
            return
        self._use_up(event)
        audience = tuple(sorted(done.told - {member}))
        self._say(Told(name, "applied", None, audience), at_ms)
        for flag in done.flags:
            self._flag(flag)

    def _ruled(self, event: Any) -> Done:
        """What the rule makes of it, unless it touches something that a dispute holds."""
        books = self.books
        books.before.clear()
        done = RULES[event.EVENT](books, event)
        touched = {(kind, name) for kind, name, _, _ in books.before}
        new = {event.dispute_id} if event.EVENT == "dispute.changed" else set()
        if not new and any(oracle_dispute.held(books, *thing) for thing in touched):
            books.undo()
            raise Refused("DISPUTED")
        return done

    def _place(self, event: Any) -> tuple[str, str, str]:
        domain = event.EVENT.partition(".")[0]
        return domain, event.envelope.subject, event.envelope.member

    def _check_version(self, event: Any) -> None:
        place, version = self._place(event), event.envelope.aggregate_version
        newest = self.books.newest.get(place, 0)
        if version <= newest:
            raise Refused("STALE_VERSION")
        if version > newest + 1:
            raise Missing("version", *place, version - 1)

    def _use_up(self, event: Any) -> None:
        """A refused statement uses up its version, too."""
        place = self._place(event)
        if event.envelope.aggregate_version == self.books.newest.get(place, 0) + 1:
            self.books.newest[place] = event.envelope.aggregate_version

    def _has_come(self, key: tuple[Any, ...]) -> bool:
        if key[0] == "version":
            return self.books.newest.get(key[1:4], 0) >= int(key[4])
        return self.books.get(key[0], key[1]) is not None

    def _release(self) -> None:
        while free := next((one for one in self.waiting if self._has_come(one.key)), None):
            self.waiting.remove(free)
            self._decide(free.event)

    # What the clock brings

    def _ringing(self, now_ms: int) -> list[tuple[int, str, str, bool]]:
        rings = []
        for (kind, name), alarm in self.books.alarms.items():
            near_ms = alarm.due_ms - NEAR_DAYS * DAY_MS
            if oracle_dispute.ever_held(self.books, kind, name):
                self._stand_still(kind, name, alarm, now_ms)
            if alarm.near and near_ms <= now_ms:
                rings.append((near_ms, kind, name, True))
            if alarm.over and alarm.rings_ms <= now_ms:
                rings.append((alarm.rings_ms, kind, name, False))
        return rings

    def _stand_still(self, kind: str, name: str, alarm: Alarm, now_ms: int) -> None:
        """A deadline that a dispute moved: nobody is reminded of the old one, and it is over later by the time lost."""
        if alarm.due_ms - NEAR_DAYS * DAY_MS <= now_ms:
            alarm.near = False
        if alarm.rings_ms > now_ms:
            return
        again_ms = alarm.due_ms + oracle_dispute.paused_ms(self.books, kind, name)
        if oracle_dispute.held(self.books, kind, name):
            again_ms = max(again_ms, now_ms + 1)
        alarm.rings_ms = max(alarm.rings_ms, again_ms)

    def _ring(self, kind: str, name: str, *, near: bool) -> None:
        """Each flag once for each deadline."""
        books, alarm = self.books, self.books.alarms[kind, name]
        if near:
            alarm.near = False
            self._flag(Flag("deadline_near", kind, name, books.actors(kind, name)))
            return
        alarm.over = False
        if kind == "recognition":
            told = oracle_credit.expire(books, name)
        elif kind == "enrollment":
            case = books.put(kind, name, state="expired")
            told = {case["home"], case["host"]}
        elif kind == "award":
            award = books.put(kind, name, state="expired")
            told = {award["home"], award["host"]}
        elif kind == "access":
            told = oracle_lab.expire_access(books, name)
        else:
            self._flag(Flag("deadline_over", kind, name, books.actors(kind, name)))
            return
        self._flag(Flag("expired", kind, name, ()), told)

    def _flag(self, flag: Flag, told: set[str] | None = None) -> None:
        state = self.books.all(flag.kind)[flag.id]["state"]
        why = f"{flag.kind} {flag.id} {state}: {' '.join(flag.actors)}"
        self._say(
            Told(flag.name, "flagged", why, tuple(sorted(set(flag.actors) | (told or set()))))
        )

    def _say(self, line: Told, at_ms: int = 0) -> None:
        self._at_ms = max(at_ms, self._at_ms + 1)
        self._lines.append(line)

    # What a person would ask

    def state(self, kind: str, name: str) -> str | None:
        fact = self.books.get(kind, name)
        return fact["state"] if fact else None

    def seats_free(self, offering: str) -> int:
        return oracle_study.seats_free(self.books, offering)

    def credits_waiting(self, home: str, host: str) -> Decimal:
        awards = self.books.all("award").values()
        return sum(
            (award["credits"] for award in awards
             if (award["home"], award["host"]) == (home, host) and oracle_credit.counts(self.books, award)),
            Decimal(0),
        )  # fmt: skip

    def credits_recognized(self, student: str) -> Decimal:
        cases = self.books.all("recognition").values()
        return sum((case["got"] for case in cases if case["student"] == student), Decimal(0))
