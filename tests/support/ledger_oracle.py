"""A second ledger, written from the rules as the alliance states them and from nothing else.

It keeps facts in plain dictionaries and counts seats and credits anew whenever asked; no postings, no accounts, no
hashes. It knows the outcome of an event, not its reason. Where it and the hub's rules differ, one of them is wrong.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

ZERO, ONE = Decimal(0), Decimal(1)

LIFE = {
    "pending": {"accepted": "associated", "queued": "queued", "denied": "denied",
                "withdrawn": "cancelled", "cancelled": "cancelled"},
    "queued": {"accepted": "associated", "denied": "denied", "withdrawn": "cancelled", "cancelled": "cancelled"},
    "associated": {"started": "active", "withdrawn": "cancelled", "cancelled": "cancelled"},
    "active": {"finished": "finished", "withdrawn": "withdrawn"},
}  # fmt: skip
SEATED = {"associated", "active", "finished", "withdrawn"}  # withdrawn: after the start only
OFFERING_LIFE = {
    "concept": {"active", "cancelled"},
    "active": {"inactive", "cancelled"},
    "inactive": {"active", "cancelled"},
    "cancelled": set(),
}
PROJECT_LIFE = {
    "idea": {"drafted", "terminated"},
    "drafted": {"submitted", "terminated"},
    "submitted": {"funded", "declined", "terminated"},
    "funded": {"active", "terminated"},
    "active": {"completed", "terminated"},
    "declined": set(),
    "completed": set(),
    "terminated": set(),
}


@dataclass(frozen=True)
class Missing:
    """What an event has to wait for: a thing, or the statement before it."""

    what: str
    key: Any


class Oracle:
    """Hears events one by one and says what becomes of each."""

    def __init__(self, members: tuple[str, ...]) -> None:
        self.members = members
        self.first: dict[str, Any] = {}  # event id -> the event first heard under it
        self.newest: Counter[tuple[str, str, str]] = (
            Counter()
        )  # (domain, subject, member) -> version
        self.waiting: list[tuple[Any, Missing]] = []
        self.offerings: dict[str, dict[str, Any]] = {}
        self.enrollments: dict[str, dict[str, Any]] = {}
        self.awards: dict[str, dict[str, Any]] = {}
        self.cases: dict[str, dict[str, Any]] = {}
        self.projects: dict[str, dict[str, Any]] = {}
        self.people: dict[tuple[str, str], dict[str, str]] = {}

    def hear(self, event: Any) -> list[tuple[str, str]]:
        """(event id, outcome) of this event, then of those that it set free, first come first served."""
        name = event.envelope.event_id
        if name in self.first:
            return [(name, "duplicate" if self.first[name] == event else "conflict")]
        self.first[name] = event
        told = [(name, self._decide(event))]
        while free := next((w for w in self.waiting if self._has_come(w[1])), None):
            self.waiting.remove(free)
            told.append((free[0].envelope.event_id, self._decide(free[0])))
        return told

    # What a person would ask

    def seats_free(self, offering: str) -> int:
        taken = sum(1 for e in self.enrollments.values() if e["offering"] == offering and e["seat"])
        return int(self.offerings[offering]["capacity"]) - taken

    def credits_waiting(self, home: str, host: str) -> Decimal:
        return sum(
            (a["credits"] for a in self.awards.values()
             if (a["home"], a["host"]) == (home, host) and self._counts(a)),
            ZERO,
        )  # fmt: skip

    def credits_recognized(self, student: str) -> Decimal:
        return sum((c["got"] for c in self.cases.values() if c["student"] == student), ZERO)

    # How an event is decided

    def _decide(self, event: Any) -> str:
        envelope = event.envelope
        domain, _, fact = event.EVENT.partition(".")
        place = (domain, envelope.subject, envelope.member)
        if envelope.aggregate_version <= self.newest[place]:
            return "rejected"
        if envelope.aggregate_version > self.newest[place] + 1:
            before = (*place, envelope.aggregate_version - 1)
            self.waiting.append((event, Missing("version", before)))
            return "parked"
        verdict = getattr(self, f"_{domain}_{fact.replace('-', '_')}")(event)
        if isinstance(verdict, Missing):
            self.waiting.append((event, verdict))
            return "parked"
        self.newest[place] += 1
        return "applied" if verdict else "rejected"

    def _has_come(self, missing: Missing) -> bool:
        if missing.what == "version":
            return self.newest[missing.key[:3]] >= int(missing.key[3])
        return missing.key in getattr(self, missing.what)

    # Rules: True applied, False rejected, Missing parked

    def _member_profile_changed(self, event: Any) -> bool:
        return True

    def _offering_changed(self, event: Any) -> bool:
        known = self.offerings.get(event.offering_id)
        before = known["status"] if known else event.status
        if known and known["host"] != event.host:
            return False
        if event.status not in OFFERING_LIFE or event.status not in OFFERING_LIFE[before] | {
            before
        }:
            return False
        taken = known["capacity"] - self.seats_free(event.offering_id) if known else 0
        if event.capacity < max(0, taken):
            return False
        self.offerings[event.offering_id] = {
            "host": event.host, "status": event.status, "capacity": event.capacity,
        }  # fmt: skip
        return True

    def _enrollment_requested(self, event: Any) -> bool | Missing:
        if event.host not in self.members or event.host == event.home:
            return False
        if event.enrollment_id in self.enrollments:
            return False
        if event.offering_id not in self.offerings:
            return Missing("offerings", event.offering_id)
        offering = self.offerings[event.offering_id]
        if offering["host"] != event.host or offering["status"] != "active":
            return False
        if not event.home_active_registration:
            return False
        self.enrollments[event.enrollment_id] = {
            "student": event.student_id, "home": event.home, "host": event.host,
            "offering": event.offering_id, "state": "pending", "seat": False,
        }  # fmt: skip
        return True

    def _about(self, event: Any) -> dict[str, Any] | Missing | None:
        if event.enrollment_id not in self.enrollments:
            return Missing("enrollments", event.enrollment_id)
        case = self.enrollments[event.enrollment_id]
        same = (case["home"], case["host"], case["offering"]) == (
            event.home,
            event.host,
            event.offering_id,
        )
        return case if same else None

    def _enrollment_decided(self, event: Any) -> bool | Missing:
        case = self._about(event)
        if not isinstance(case, dict):
            return case or False
        if event.decision not in ("accepted", "queued", "denied"):
            return False
        if (
            event.envelope.decides_version
            != self.newest["enrollment", event.enrollment_id, case["home"]]
        ):
            return False
        reached = LIFE.get(case["state"], {}).get(event.decision)
        if reached is None:
            return False
        if event.decision == "accepted":
            open_now = self.offerings[case["offering"]]["status"] == "active"
            if not open_now or self.seats_free(case["offering"]) < 1:
                return False
        case.update(state=reached, seat=event.decision == "accepted")
        return True

    def _enrollment_status_changed(self, event: Any) -> bool | Missing:
        case = self._about(event)
        if not isinstance(case, dict):
            return case or False
        writers = {"started": "host", "finished": "host", "cancelled": "host", "withdrawn": "home"}
        if event.new_status not in writers:
            return False
        if event.envelope.member != case[writers[event.new_status]]:
            return False
        reached = LIFE.get(case["state"], {}).get(event.new_status)
        if reached is None:
            return False
        case.update(state=reached, seat=reached in SEATED)
        return True

    def _credit_awarded(self, event: Any) -> bool | Missing:
        if event.award_id in self.awards or event.home not in self.members:
            return False
        if event.enrollment_id is None:
            return False
        if event.enrollment_id not in self.enrollments:
            return Missing("enrollments", event.enrollment_id)
        case = self.enrollments[event.enrollment_id]
        if (case["student"], case["home"], case["host"]) != (
            event.student_id,
            event.home,
            event.host,
        ):
            return False
        if case["state"] not in ("active", "finished") or event.credits.value < 0:
            return False
        self.awards[event.award_id] = {
            "student": event.student_id, "home": event.home, "host": event.host,
            "credits": event.credits.value, "passed": event.result == "passed", "revoked": False,
            "case": None,
        }  # fmt: skip
        return True

    def _credit_award_corrected(self, event: Any) -> bool | Missing:
        if event.award_id not in self.awards:
            return Missing("awards", event.award_id)
        award = self.awards[event.award_id]
        if (award["student"], award["home"], award["host"]) != (
            event.student_id,
            event.home,
            event.host,
        ):
            return False
        if award["revoked"] or event.kind not in ("amended", "revoked") or event.credits.value < 0:
            return False
        award.update(
            credits=event.credits.value, passed=event.result == "passed", revoked=event.kind == "revoked"
        )  # fmt: skip
        return True

    @staticmethod
    def _worth(award: dict[str, Any]) -> bool:
        return bool(award["passed"] and not award["revoked"] and award["credits"] > 0)

    def _counts(self, award: dict[str, Any]) -> bool:
        """Waiting for the home: worth something, and no decision fell on the case it is in."""
        case = self.cases.get(award["case"] or "")
        return self._worth(award) and (case is None or case["state"] == "open")

    def _credit_recognition_requested(self, event: Any) -> bool | Missing:
        if event.recognition_id in self.cases:
            return False
        if not event.award_ids or len(set(event.award_ids)) < len(event.award_ids):
            return False
        for name in event.award_ids:  # in the order they are named
            if name not in self.awards:
                return Missing("awards", name)
            award = self.awards[name]
            if (award["student"], award["home"]) != (event.student_id, event.home):
                return False
            if not self._worth(award):
                return False
            case = self.cases.get(award["case"] or "")
            if case is not None and case["state"] != "negative":
                return False
        for name in event.award_ids:
            self.awards[name]["case"] = event.recognition_id
        self.cases[event.recognition_id] = {
            "student": event.student_id, "home": event.home, "awards": event.award_ids,
            "state": "open", "got": ZERO,
        }  # fmt: skip
        return True

    def _credit_recognition_decided(self, event: Any) -> bool | Missing:
        if event.recognition_id not in self.cases:
            return Missing("cases", event.recognition_id)
        case = self.cases[event.recognition_id]
        if (case["student"], case["home"]) != (event.student_id, event.home) or case[
            "state"
        ] != "open":
            return False
        if event.outcome not in ("positive", "partially_positive", "negative"):
            return False
        if event.stage == "faculty":
            return True
        if event.stage != "academic_affairs":
            return False
        worth = {
            name: self.awards[name]["credits"]
            for name in case["awards"]
            if self._worth(self.awards[name])
        }
        if event.original_credits_total.value != sum(worth.values(), ZERO):
            return False
        good = [m for m in event.mappings if m.outcome != "negative"]
        courses = [course.credits.value for m in good for course in m.to]
        named = [name for m in good for name in m.award_ids]
        got = event.recognized_credits_total.value
        if got != sum(courses, ZERO) or any(course < 0 for course in courses):
            return False
        if (got == 0) != (event.outcome == "negative"):
            return False
        if len(set(named)) < len(named) or not set(named) <= set(case["awards"]):
            return False
        if got > sum((worth.get(name, ZERO) for name in named), ZERO) + ONE:
            return False
        case.update(state=event.outcome, got=got)
        return True

    def _project_changed(self, event: Any) -> bool:
        partners = {organization.member for organization in event.organizations} | {event.lead}
        known = self.projects.get(event.project_id)
        if not partners <= set(self.members) or (known and known["lead"] != event.lead):
            return False
        before = known["status"] if known else event.status
        if event.status not in PROJECT_LIFE or event.status not in PROJECT_LIFE[before] | {before}:
            return False
        self.projects[event.project_id] = {
            "lead": event.lead, "partners": partners, "status": event.status,
        }  # fmt: skip
        return True

    def _project_member_changed(self, event: Any) -> bool | Missing:
        if event.project_id not in self.projects:
            return Missing("projects", event.project_id)
        if event.employer not in self.projects[event.project_id]["partners"]:
            return False
        key = (event.project_id, event.person_id)
        employer = self.people.get(key, {}).get("employer")
        if event.action == "joined":
            if employer is not None:
                return False
            self.people[key] = {"employer": event.employer}
            return True
        if event.action not in ("left", "role_changed") or employer != event.employer:
            return False
        if event.action == "left":
            del self.people[key]
        return True
