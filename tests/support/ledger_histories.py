"""Histories of an alliance as hypothesis draws them: members acting rightly, wrongly, late and twice.

Few ids, so that they collide. A step is small and says what to do next; `Speaker` makes the event of it, from what the
ledger under test knows, as campuses do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from hub.domain.credit import Award, Recognition
from hub.domain.enrollment import Enrollment
from hub.domain.offering import Offering
from schemas import records as r
from tests.support.ledger import (
    FOURTH,
    HOME,
    HOST,
    MEMBERS,
    OTHER,
    Ledger,
    credit,
    mapping,
    organization,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a student wants: fixed by the number, so that most events of one case fit each other."""

    enrollment: str
    student: str
    home: str
    host: str
    offering: str
    award: str


PLANS = (
    Plan("e0", "s0", HOME, HOST, "o0", "w0"),
    Plan("e1", "s0", HOME, HOST, "o0", "w1"),
    Plan("e2", "s0", HOME, OTHER, "o1", "w2"),
    Plan("e3", "s3", OTHER, HOST, "o0", "w3"),
)
CASES = {"r0": ("w0",), "r1": ("w0", "w1"), "r2": ("w2", "w1"), "r3": ("w3",), "r4": ("w0",)}
AMOUNTS = ("3", "0", "1", "2.5", "4", "4.001", "5", "-1")
KINDS = (
    "go", "go", "go", "go", "go", "go", "offer", "request", "decide", "move", "award", "correct", "ask", "rule",
    "project", "person", "profile",
)  # fmt: skip
TWISTS = ("", "", "", "", "", "", "student", "home", "host", "offering", "by", "unknown")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a campus says. `twist` is what is wrong about it, `shift` how far its version is off."""

    what: str
    which: int = 0
    choice: int = 0
    amount: str = "3"
    twist: str = ""
    shift: int = 0


def steps() -> st.SearchStrategy[Step]:
    """Any step; half of them carry a case on."""
    return st.builds(
        Step,
        what=st.sampled_from(KINDS),
        which=st.integers(0, 4),
        choice=st.integers(0, 5),
        amount=st.sampled_from(AMOUNTS),
        twist=st.sampled_from(TWISTS),
        shift=st.sampled_from((0, 0, 0, 0, 0, 0, 0, -1, 1, 2)),
    )


class Speaker:
    """Makes the event of a step. Counts versions as campuses do; a shifted version is not counted."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._said: dict[tuple[str, str, str], int] = {}

    def record(self, step: Step) -> Any:
        """The event, not said yet."""
        make: Callable[[Step], Any] = getattr(self, f"_{step.what}")
        record = make(step)
        envelope = record.envelope
        place = (record.EVENT.partition(".")[0], envelope.subject, envelope.member)
        version = self._said.get(place, 0) + 1
        if not step.shift:
            self._said[place] = version
        version += step.shift
        return replace(record, envelope=replace(envelope, aggregate_version=version))

    def _make(self, step: Step, event: str, facts: dict[str, Any], **said: Any) -> Any:
        twisted = {
            "student": {"student_id": "s9"},
            "home": {"home": FOURTH},
            "host": {"host": FOURTH},
            "offering": {"offering_id": "o1" if facts.get("offering_id") == "o0" else "o0"},
            # Where one side alone may sign, admission lets no other through.
            "by": {"by": FOURTH} if event == "enrollment.status-changed" else {},
            "unknown": {"host": "99999"} if "home" in facts else {},
        }.get(step.twist, {})
        known = facts | said
        if step.twist == "unknown":
            known["by"] = known.get("by") or known.get("host")
        known |= {name: value for name, value in twisted.items() if name in known or name == "by"}
        return self.ledger.record(event, **known)

    def _go(self, step: Step) -> Any:
        """The next usual step of a student's stay; now and then it ends early."""
        plan = PLANS[step.which % len(PLANS)]
        case = self.ledger.find(Enrollment, plan.enrollment)
        award = self.ledger.find(Award, plan.award)
        state = case.state if case else "none"
        leaves = state in ("associated", "active") and step.choice > 3
        step = replace(step, choice=step.choice - 2 if leaves else 0)  # 4: cancelled, 5: withdrawn
        if leaves:
            return self._move(step)
        if self.ledger.find(Offering, plan.offering) is None:
            return self._offer(replace(step, which=int(plan.offering[1]), amount="1"))
        if case is None:
            return self._request(step)
        if state in ("pending", "queued"):
            return self._decide(step)
        if state == "associated":
            return self._move(step)
        if award is None:
            return self._award(replace(step, amount="3"))
        name = next((n for n, ids in CASES.items() if plan.award in ids), "r0")
        if award.case is None:
            return self._ask(replace(step, which=int(name[1])))
        return self._rule(replace(step, which=int(award.case[1])))

    def _offer(self, step: Step) -> Any:
        number = step.which % 2
        capacity = int(float(step.amount))
        status = ("active", "active", "active", "inactive", "cancelled", "open")[step.choice]
        facts = {"offering_id": f"o{number}", "host": (HOST, OTHER)[number]}
        return self._make(step, "offering.changed", facts, capacity=capacity, status=status)

    def _request(self, step: Step) -> Any:
        plan = PLANS[step.which % len(PLANS)]
        facts = self._parties(plan) | {"student_id": plan.student}
        registered = step.choice != 5
        return self._make(step, "enrollment.requested", facts, home_active_registration=registered)

    def _decide(self, step: Step) -> Any:
        plan = PLANS[step.which % len(PLANS)]
        decision = ("accepted", "accepted", "queued", "denied", "withdrawn", "started")[step.choice]
        seen = self.ledger.state.version("enrollment", plan.enrollment, plan.home)
        seen = max(1, seen) if step.twist != "student" else seen + 1
        return self._make(
            step, "enrollment.decided", self._parties(plan), decision=decision, decides=seen
        )

    def _move(self, step: Step) -> Any:
        plan = PLANS[step.which % len(PLANS)]
        status = ("started", "finished", "cancelled", "withdrawn", "accepted", "started")[
            step.choice
        ]
        by = plan.home if status == "withdrawn" else plan.host
        if step.choice == 5:
            by = plan.home
        return self._make(
            step, "enrollment.status-changed", self._parties(plan), new_status=status, by=by
        )

    def _award(self, step: Step) -> Any:
        plan = PLANS[step.which % len(PLANS)]
        facts = {"student_id": plan.student, "home": plan.home, "host": plan.host}
        result = "failed" if step.choice == 5 else "passed"
        return self._make(
            step, "credit.awarded", facts, award_id=plan.award, enrollment_id=plan.enrollment,
            credits=credit(step.amount), result=result,
        )  # fmt: skip

    def _correct(self, step: Step) -> Any:
        plan = PLANS[step.which % len(PLANS)]
        facts = {"student_id": plan.student, "home": plan.home, "host": plan.host}
        kind = ("amended", "amended", "amended", "revoked", "erased", "amended")[step.choice]
        return self._make(
            step, "credit.award-corrected", facts, award_id=plan.award, kind=kind,
            credits=credit(step.amount), result="failed" if step.choice == 5 else "passed",
        )  # fmt: skip

    def _ask(self, step: Step) -> Any:
        name, awards = list(CASES.items())[step.which]
        plan = next(plan for plan in PLANS if plan.award == awards[0])
        facts = {"student_id": plan.student, "home": plan.home}
        return self._make(
            step, "credit.recognition-requested", facts, recognition_id=name,
            award_ids=awards if step.choice < 5 else awards * 2,
        )  # fmt: skip

    def _rule(self, step: Step) -> Any:
        name, awards = list(CASES.items())[step.which]
        case = self.ledger.find(Recognition, name)
        awards = case.award_ids if case else awards
        plan = next(plan for plan in PLANS if plan.award == awards[0])
        held = [self.ledger.find(Award, award) for award in awards]
        original = sum(a.milli for a in held if a and a.passed and a.state != "revoked")
        amount = step.amount if step.choice else _text(original)
        outcome = "positive" if float(amount) else "negative"
        maps = [mapping(awards, amount, outcome)]
        if step.choice == 2:
            maps = [mapping(awards[:1], amount, outcome)]
        elif step.choice == 3:
            maps = [mapping(["w1", "w0"], amount, outcome)]
        stage = "faculty" if step.choice == 4 else "academic_affairs"
        if step.choice == 5:
            original += 500
        return self._make(
            step, "credit.recognition-decided", {"student_id": plan.student, "home": plan.home},
            recognition_id=name, stage=stage, outcome=outcome, mappings=tuple(maps),
            original_credits_total=credit(_text(original)), recognized_credits_total=credit(amount),
        )  # fmt: skip

    def _project(self, step: Step) -> Any:
        status = ("active", "funded", "active", "completed", "submitted", "running")[step.choice]
        partners = (HOME, HOST, OTHER) if step.which < 3 else (HOME, HOST)
        if step.twist == "unknown":
            partners = (*partners, "99999")
        lead = OTHER if step.twist == "by" else HOME
        return self.ledger.record(
            "project.changed", project_id="p0", lead=lead, status=status,
            organizations=tuple(organization(partner) for partner in partners),
        )  # fmt: skip

    def _person(self, step: Step) -> Any:
        action = ("joined", "joined", "role_changed", "left", "left", "promoted")[step.choice]
        employer = MEMBERS[step.which % len(MEMBERS)]
        return self.ledger.record(
            "project.member-changed",
            project_id="p0",
            person_id="x",
            employer=employer,
            action=action,
        )

    def _profile(self, step: Step) -> Any:
        code = MEMBERS[step.which % len(MEMBERS)]
        return self.ledger.record("member.profile-changed", code=code, rule_set=None)

    @staticmethod
    def _parties(plan: Plan) -> dict[str, Any]:
        return {
            "enrollment_id": plan.enrollment,
            "home": plan.home,
            "host": plan.host,
            "offering_id": plan.offering,
        }


def _text(milli: int) -> str:
    return f"{milli // 1000}.{milli % 1000:03}"


def told(history: list[Step]) -> Ledger:
    """A ledger that heard these steps in order."""
    ledger = Ledger()
    speaker = Speaker(ledger)
    for step in history:
        ledger.say(speaker.record(step))
    return ledger


def whole_cases(count: int) -> list[Any]:
    """Events of students who do everything right, with room for all: any mixture of outboxes ends the same."""
    ledger = Ledger()
    ledger.offer("o0", 100, host=HOST)
    ledger.offer("o1", 100, host=OTHER)
    for number in range(count):
        home, host = (HOME, HOST) if number % 2 else (FOURTH, OTHER)
        name, offering = f"e{number}", "o0" if host == HOST else "o1"
        ledger.request(name, offering, home=home, host=host, student_id=f"s{number}")
        ledger.decide(name, "accepted")
        ledger.move(name, "started")
        ledger.award(f"w{number}", name)
        ledger.ask(f"r{number}", [f"w{number}"])
        ledger.rule(f"r{number}", "2")
    assert set(ledger.state.outcomes) == {"applied"}
    return [given.event for given in ledger.inputs]


def by_member(events: list[Any]) -> dict[str, list[Any]]:
    """The outboxes: each member's events in its order."""
    boxes: dict[str, list[Any]] = {}
    for event in events:
        boxes.setdefault(event.envelope.member, []).append(event)
    return boxes


Record = r.Record
