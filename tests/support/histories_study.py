"""What offices for students say: offerings, enrollments, plans, awards, recognition, placements, agreements, projects."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from schemas import records as r
from tests.support.histories_world import (
    AMOUNTS,
    DAYS,
    STUDENTS,
    THIS_YEAR,
    Speech,
    Step,
    amount,
    credit,
    mistake,
)
from tests.support.ledger import organization

CASES = {
    "r0": ("w0",), "r1": ("w0", "w1"), "r2": ("w2", "w1"), "r3": ("w3",), "r4": ("w0",), "r5": ("w4",),
    "r6": ("w4", "w0"), "r7": ("w5",), "r8": ("w1",), "r9": ("w2",),
}  # fmt: skip
AGREEMENTS = ("student_studies", "practice", "teacher", "secondment")
PROJECT_STATES = (
    "active", "funded", "active", "completed", "submitted", "terminated", "idea", "drafted", "declined",
)  # fmt: skip


def rule_set(owner: str, name: str, version: int, variant: int) -> str:
    """The text of a rule set that lets most decisions pass; the variant says how strict it is."""
    cap, late = ("30", "5.5", "4")[variant % 3], (40, 6)[variant % 2]
    category = ', category = "elective"' if variant == 7 else ""
    deadlines = "request_days = 5\ndecide_days = 9" if variant in (1, 2, 3, 6) else ""
    return f"""
id = "{name}"
version = {version}
owner = "{owner}"
title = {{ zh = "认定办法", en = "Rules" }}
scheme = "cn_credit"

[credits]
tolerance = "{variant % 2}.5"
case_cap = "{cap}"

[deadlines]
{deadlines}

[[rule]]
name = "late"
when = {{ days_since_award = "> {late}" }}
then = {{ outcome = "negative", reason = "deadline_passed" }}

[[rule]]
name = "package"
when = {{ awards = "2..9", courses = 1 }}
then = {{ outcome = "positive", credits = "lower", reason = "package_substitution" }}

[[rule]]
name = "far apart"
when = {{ difference = ">= 2" }}
then = {{ outcome = "partially_positive", credits = "host", reason = "credit_shortfall" }}

[[rule]]
then = {{ outcome = "positive", credits = "home", reason = "equivalent"{category} }}
"""


def _pick(options: Any, choice: int) -> Any:
    return options[choice % len(options)]


class StudySpeech(Speech):
    """Makers of the events about students."""

    # Members, offerings, projects

    def profile(self, step: Step) -> Any:
        """A profile; now and then with a rule set, mostly in its next version."""
        code = _pick(self.cast, step.which + 4 * step.choice)
        text, version = None, None
        if step.days % 2:
            code = _pick(self.cast, step.which)
            known = self.fact("rules", f"{code}-rules")
            version = max(known["texts"]) + 1 if known else 1
            text = rule_set(code, f"{code}-rules", version, step.choice)
            if step.days == 5 and known:
                version -= 1
                text = known["texts"][version]
            elif step.days == 7 and step.amount < 4:
                wrong = (
                    "no = rules =",
                    rule_set("a0", f"{code}-rules", version, 0),
                    rule_set(code, f"{self.cast[0]}-rules", version, 0),
                    rule_set(code, f"{code}-rules", version + 1, 0),
                )
                text = wrong[step.amount]
        name = f"{code}-rules" if step.amount != 2 or step.days != 7 else f"{self.cast[0]}-rules"
        return self.make(
            step, "member.profile-changed", {"code": code}, sides=("code",), rule_set=text,
            rule_set_id=name if text else None, rule_set_version=version if step.amount != 5 else 99,
        )  # fmt: skip

    def go_rules(self, step: Step) -> Any:
        """The home of most students registers rules, or the next version of them."""
        known = self.fact("rules", f"{self.cast[0]}-rules")
        if known is None:
            return self.profile(replace(step, which=0, days=1, amount=0))
        return (
            self.go_credit(step) if step.days % 3 else self.profile(replace(step, which=0, days=1))
        )

    def offering(self, step: Step, status: str | None = None) -> Any:
        number = step.which % 2
        status = status or _pick(
            ("active", "active", "inactive", "concept", "cancelled", "open"), step.choice
        )
        capacity = int(float(AMOUNTS[step.amount]))
        facts = {"offering_id": f"o{number}", "host": self.cast[1 + number]}
        return self.make(
            step, "offering.changed", facts, sides=("host",), capacity=capacity, status=status
        )

    def project(self, step: Step, status: str | None = None) -> Any:
        number = step.which % 3
        partners = {0: (0, 1, 2), 1: (0, 1), 2: range(20)}[number]
        if step.choice > 6:
            partners = range(5)
        named = [organization(self.cast[place]) for place in partners]
        if step.twist == "content":
            named.append(organization("99999"))
        facts = {"project_id": f"p{number}", "lead": self.cast[0], "organizations": tuple(named)}
        status = status or _pick(PROJECT_STATES, step.choice + step.days)
        return self.make(replace(step, twist="" if step.twist == "unknown" else step.twist), "project.changed", facts,
                         sides=("lead",), status=status)  # fmt: skip

    def person(self, step: Step) -> Any:
        number, person = step.which % 3, f"x{step.days % 2}"
        known = self.fact("participant", f"2/p{number}/{person}")
        inside = known is not None and known["state"] == "active"
        action = _pick(("left", "role_changed") if inside else ("joined",), step.choice)
        employer = known["employer"] if inside and known else self.cast[step.choice % 3]
        if step.amount > 4:
            action = _pick(("joined", "left", "role_changed", "promoted"), step.amount)
            employer = self.cast[step.choice % 4]
        facts = {"project_id": f"p{number}", "employer": employer}
        return self.make(
            step, "project.member-changed", facts, sides=("employer",), person_id=person, action=action
        )  # fmt: skip

    # Agreements

    def agreement(self, step: Step, said: str | None = None, party: str | None = None) -> Any:
        number = step.which % 4
        name, parties = f"a{number}", self.cast[: 2 + number % 2]
        said = said or _pick(
            ("proposed", "approved", "approved", "terminated", "proposed"), step.choice
        )
        per_year = int(float(AMOUNTS[step.amount]))
        if step.twist != "content":
            per_year = abs(per_year)
        known = self.fact("agreement", name)
        conditions = r.AgreementConditions(
            AGREEMENTS[number], "2025-2026", "2028-2029",
            (r.AgreementQuota(self.cast[0], self.cast[1], per_year),
             r.AgreementQuota(self.cast[1], self.cast[0], 40)) if step.choice != 7 else (),
            None, amount(_pick(("6", "3.5", "3"), step.choice)) if step.choice < 4 else None,
            None, None,
        )  # fmt: skip
        if number == 0 and step.choice in (3, 4, 6):
            text = rule_set(name, f"{name}-rules", 1 + step.days % 2, step.amount)
            if step.amount == 6:
                text = rule_set(name, f"{self.cast[0]}-rules", 1, 0)
            conditions = replace(conditions, rule_set=text)
        given = f"hash-{per_year}-{step.choice}-{step.days}"
        if known is not None and said != "proposed":
            conditions, given = known["conditions"], known["hash"]
        party = party or _pick(parties, step.days)
        return self.make(
            step, "agreement.changed", {"agreement_id": name, "party": party}, sides=("party",), parties=parties,
            conditions=conditions, conditions_hash=given, step=said,
        )  # fmt: skip

    def go_agreement(self, step: Step) -> Any:
        """Proposed by one, approved by each."""
        known = self.fact("agreement", f"a{step.which % 4}")
        if known is None or known["state"] != "proposed":
            ends = known is not None and step.choice == 5
            return self.agreement(step, "terminated" if ends else "proposed")
        parties = self.cast[: 2 + step.which % 2]
        rest = [party for party in parties if party not in known["approved"]] or parties
        return self.agreement(replace(step, choice=step.choice % 4), "approved", rest[0])

    def use(self, step: Step, number: int) -> str | None:
        """The agreement that something may rest on: one in effect, now and then any."""
        name = f"a{number}"
        return name if self.state("agreement", name) == "in_effect" or step.choice == 6 else None

    # Enrollments

    def _stay(self, number: int) -> dict[str, Any]:
        home, host = self.pair(number)
        offering = "o0" if host == self.cast[1] else "o1"
        return {"enrollment_id": f"e{number}", "home": home, "host": host, "offering_id": offering}

    def requested(self, step: Step) -> Any:
        number = step.which % 4
        year = ("2031-2032", "2026")[step.amount % 2] if step.choice == 5 else THIS_YEAR
        return self.make(
            step, "enrollment.requested", self._stay(number) | {"student_id": STUDENTS[number]}, sides=("home",),
            home_active_registration=step.choice != 7, agreement_id=self.use(step, 0) if number < 2 else None,
            activity=_pick(("course", "exchange_term"), number), term=r.Term(year, 1, 2),
            valid_until=self.date_of(step) if step.days else None,
        )  # fmt: skip

    def decided(self, step: Step, decision: str | None = None) -> Any:
        number = step.which % 4
        decision = decision or _pick(
            ("accepted", "accepted", "queued", "denied", "withdrawn"), step.choice
        )
        facts = self._stay(number)
        newest = self.oracle.books.newest.get(("enrollment", f"e{number}", facts["home"]), 0)
        return self.make(
            step,
            "enrollment.decided",
            facts,
            sides=("host",),
            decision=decision,
            decides=max(1, newest),
        )

    def moved(self, step: Step, status: str | None = None) -> Any:
        status = status or _pick(
            ("started", "finished", "cancelled", "withdrawn", "accepted"), step.choice
        )
        sides = ("home", "host") if status == "withdrawn" else ("host", "home")
        return self.make(
            step,
            "enrollment.status-changed",
            self._stay(step.which % 4),
            sides=sides,
            new_status=status,
        )

    def go_study(self, step: Step) -> Any:
        """The next usual step from an offering to recognized credits; now and then a stay ends early."""
        number = step.which % 4
        stay, plain = self._stay(number), replace(step, which=number)
        state = self.state("enrollment", stay["enrollment_id"])
        if self.state("offering", stay["offering_id"]) != "active":
            return self.offering(
                replace(
                    step, which=int(stay["offering_id"][1]), amount=0 if step.amount < 4 else 2
                ),
                "active",
            )
        if not state:
            return self.requested(replace(plain, choice=step.choice % 5))
        if state in ("pending", "queued"):
            return self.decided(
                plain, "queued" if step.choice == 7 and state == "pending" else "accepted"
            )
        if state == "associated":
            return self.moved(plain, "cancelled" if step.choice == 7 else "started")
        if state == "active" and step.choice > 5:
            return self.moved(plain, "withdrawn" if step.choice == 7 else "finished")
        return self.go_credit(plain)

    # Plans

    def plan(self, step: Step) -> Any:
        number = step.which % 4
        variant = step.amount % 3
        home, host = self.pair(number)
        course = r.StudiedComponent(
            None, f"C{variant}", (), r.Term(THIS_YEAR, 1, 2), credit("3"), "online", None, None
        )
        ours = r.PlannedCourse(f"H{variant}", "required", credit("3"), None)
        return self.make(
            step, "enrollment.plan-proposed",
            {"enrollment_id": f"e{number}", "home": home, "host": host, "student_id": STUDENTS[number]},
            sides=("home",), plan_id=f"b{number}" if step.choice != 6 else "b-other", studied=(course, course),
            recognized=(ours,), mappings=(r.PlanMapping((0, 1), (0,)),), plan_hash=f"plan-{variant}",
            decide_by=self.date_of(step) if step.days else None,
        )  # fmt: skip

    def plan_decided(self, step: Step, side: str | None = None) -> Any:
        number = step.which % 4
        home, host = self.pair(number)
        known = self.fact("plan", f"e{number}")
        side = side or _pick(("home", "host"), step.days)
        sides = ("home", "host") if side == "home" else ("host", "home")
        return self.make(
            step, "enrollment.plan-decided", {"enrollment_id": f"e{number}", "home": home, "host": host}, sides=sides,
            plan_id=f"b{number}" if step.choice != 6 else "b-other", side=side if step.choice != 5 else "both",
            decides_hash=known["hash"] if known else "plan-0",
            decision="returned" if step.choice in (4, 7) else "approved",
        )  # fmt: skip

    def go_plan(self, step: Step) -> Any:
        """Proposed by home, approved by both, changed later on."""
        number = step.which % 4
        case, plan = self.state("enrollment", f"e{number}"), self.fact("plan", f"e{number}")
        if case not in ("pending", "queued", "associated", "active"):
            return self.go_study(step)
        if plan is None or plan["state"] != "proposed":
            return self.plan(replace(step, choice=0))
        rest = [side for side in ("home", "host") if side not in plan["approved"]]
        return self.plan_decided(replace(step, choice=4 if step.choice == 7 else 0), rest[0])

    # Placements

    def _placement(self, number: int) -> dict[str, Any]:
        home, host = self.pair(number)
        students = (("s0",), ("s0", "s1"), ("s0", "s2"), ("s3",))[number]
        return {"placement_id": f"t{number}", "home": home, "host": host, "students": students}

    def placement(self, step: Step, said: str | None = None) -> Any:
        number = step.which % 4
        said = said or _pick(
            ("endorsed", "started", "mid_checked", "completed", "graded", "terminated", "terminated", "proposed"), step.choice
        )  # fmt: skip
        facts = self._placement(number)
        wish = self.planned("placement", f"t{number}", lambda: {
            "start_date": self.day(0), "end_date": self.day(max(0, DAYS[step.days])),
            "project_id": "p0" if step.amount == 3 else None, "resource_id": "q0" if step.amount == 4 else None,
            "agreement_id": self.use(step, 1),
        })  # fmt: skip
        staff = [r.Supervisor("k0", facts["home"], "main"), r.Supervisor("k1", self.cast[6], "co")]
        sides = ("home", "host") if said == "endorsed" else ("host", "home")
        if said == "terminated":
            sides = ("home", "host") if step.amount % 2 else ("host", "home")
            step = replace(step, twist="" if step.twist == "swap" else step.twist)
        if step.amount == 2:
            facts["students"] = facts["students"][::-1]
        return self.make(
            step, "practice.placement-changed", facts | wish, sides=sides, step=said,
            supervisors=tuple(staff if said != "endorsed" or step.choice != 7 else staff[1:]), credits=credit("2"),
        )  # fmt: skip

    def go_practice(self, step: Step) -> Any:
        """From the proposal to the grade, and to credits."""
        number = step.which % 4
        state = self.state("placement", f"t{number}")
        nearest = {"": "proposed", "proposed": "endorsed", "approved": "started", "ongoing": "mid_checked",
                   "mid_checked": "completed", "completed": "graded"}.get(state)  # fmt: skip
        if nearest is None:
            return self.go_credit(replace(step, which=4 + number % 2))
        if step.choice == 7 and state not in ("", "completed"):
            nearest = "terminated"
        elif state == "ongoing" and step.choice > 4:
            nearest = "completed"
        return self.placement(replace(step, which=number, choice=min(step.choice, 6)), nearest)

    # Credits

    def _award_facts(self, number: int) -> dict[str, Any]:
        """Awards 0 to 3 are of the enrollments, 4 and 5 of placements."""
        place = number if number < 4 else number - 4
        home, host = self.pair(place)
        return {"award_id": f"w{number}", "student_id": STUDENTS[place], "home": home, "host": host}

    def awarded(self, step: Step) -> Any:
        number = (step.which + 4 * (step.days % 2)) % 6
        basis: dict[str, Any] = {"enrollment_id": f"e{number}", "placement_id": None}
        if number > 3:
            basis = {"enrollment_id": None, "placement_id": f"t{number - 4}"}
        return self.make(
            step, "credit.awarded", self._award_facts(number) | basis, sides=("host",), credits=credit(AMOUNTS[step.amount]),
            result="failed" if step.choice == 7 else "passed",
        )  # fmt: skip

    def corrected(self, step: Step) -> Any:
        kind = _pick(("amended", "amended", "amended", "revoked", "erased"), step.choice)
        return self.make(
            step, "credit.award-corrected", self._award_facts((step.which + 4 * (step.days % 2)) % 6), sides=("host",), kind=kind,
            credits=credit(AMOUNTS[step.amount]), result="failed" if step.choice == 7 else "passed",
        )  # fmt: skip

    def asked(self, step: Step, name: str | None = None) -> Any:
        name = name or _pick(tuple(CASES), step.which + 4 * step.amount)
        facts = self._award_facts(int(CASES[name][0][1]))
        return self.make(
            step, "credit.recognition-requested", {"student_id": facts["student_id"], "home": facts["home"]},
            sides=("home",), recognition_id=name, award_ids=CASES[name] * (2 if step.choice == 7 else 1),
            due_by=self.date_of(step) if step.days else None,
        )  # fmt: skip

    def ruled(self, step: Step, name: str | None = None) -> Any:
        name = name or _pick(tuple(CASES), step.which + 4 * step.days)
        case = self.fact("recognition", name)
        awards = case["awards"] if case else CASES[name]
        facts = self._award_facts(int(awards[0][1]))
        held = [self.fact("award", award) for award in awards]
        original = sum(
            (a["credits"] for a in held if a and a["passed"] and a["state"] != "revoked"),
            Decimal(0),
        )
        got = amount(AMOUNTS[step.amount]) if step.amount else original
        if step.amount == 6:
            got = original + 1 + (Decimal("0.001") if step.choice % 2 else 0)
        outcome = "negative"
        if got:
            outcome = "positive" if got >= original else "partially_positive"
        course = "K" if step.choice in (0, 3, 6) else f"K-{name}"
        named = awards[:1] if step.choice == 2 else (*awards, "w5") if step.choice == 5 else awards
        halves = (got / 2, got / 2) if step.choice in (1, 6) and got else (got,)
        courses = tuple(
            r.RecognizedCourse(course if step.choice == 6 else f"{course}{half or ''}", "required",
                               r.Credit("cn_credit", value), r.Grade("percent_100", "86", None))
            for half, value in enumerate(halves)
        ) if got else ()  # fmt: skip
        courses = tuple(replace(c, credits=credit(str(c.credits.value))) for c in courses)
        got = sum((c.credits.value for c in courses), Decimal(0))
        rules = self.fact("rules", f"{facts['home']}-rules")
        rule, version, found = "rule", 1, None
        if rules is not None and step.amount != 7:
            rule, version = f"{facts['home']}-rules", max(rules["texts"]) - (step.days in (2, 3))
            profile = self.fact("member", facts["home"]) or {}
            if step.days > 3 and profile.get(
                "rules"
            ):  # else the alliance's own rules would weigh them
                found = r.RecognitionFacts(original + step.days % 3, None, None, None, None)
        if step.amount == 5 or step.choice == 4:
            rule = "a0-rules"
        maps = r.RecognitionMapping(
            named, courses, outcome, "equivalent", rule, version, None, found
        )
        if step.twist == "stale":
            original += 1
        return self.make(
            step, "credit.recognition-decided", {"student_id": facts["student_id"], "home": facts["home"]}, sides=("home",),
            recognition_id=name, stage="faculty" if step.choice == 4 else "academic_affairs", outcome=outcome,
            mappings=(maps,), original_credits_total=credit(str(original)), recognized_credits_total=credit(str(got)),
        )  # fmt: skip

    def go_credit(self, step: Step) -> Any:
        """Awarded, asked for, decided."""
        number, step = step.which % 6, replace(step, days=step.days - step.days % 2)
        award = self.fact("award", f"w{number}")
        if (
            award is None
            and number < 4
            and self.state("enrollment", f"e{number}") in ("", "pending", "queued", "associated")
        ):
            return self.go_study(step)
        if (
            award is None
            and number > 3
            and self.state("placement", f"t{number - 4}")
            not in ("completed", "graded", "terminated")
        ):
            return self.go_practice(replace(step, which=number - 4, choice=step.choice % 7))
        if award is None:
            return self.awarded(
                replace(step, which=number, choice=0, amount=0 if step.amount < 5 else step.amount)
            )
        if award["case"] is None or self.state("recognition", award["case"]) == "negative":
            free = [
                name for name, ids in CASES.items()
                if f"w{number}" in ids and self.fact("recognition", name) is None
                and all(self.fact("award", other) for other in ids)
            ]  # fmt: skip
            return (
                self.asked(replace(step, choice=0), _pick(free, step.choice))
                if free
                else self.corrected(step)
            )
        if self.state("recognition", award["case"]) not in ("requested", "faculty_decided"):
            return self.corrected(step)
        share = 1 if step.choice == 7 else step.amount if step.amount > 3 else 0
        return self.ruled(replace(step, amount=share), award["case"])


def _conditions(**said: Any) -> Any:
    return lambda known: {"conditions": replace(known["conditions"], **said)}


mistake(
    "agreement.changed",
    lambda known: {"parties": known["parties"][:1]},
    lambda known: {"parties": (*known["parties"], known["party"])},
    lambda known: {"parties": (*known["parties"], "99999")},
    lambda known: {"party": "10650" if "10650" not in known["parties"] else "10614"},
    _conditions(first_year="2026"),
    _conditions(first_year="2026-2028"),
    _conditions(first_year="2029-2030"),
    _conditions(last_year="2035-2036"),
    _conditions(credit_cap=Decimal("-0.001")),
    _conditions(total_days_per_year=-1),
    _conditions(quotas=(r.AgreementQuota("99999", "10610", 1),)),
    lambda known: {
        "parties": (*known["parties"], "10650")
        if "10650" not in known["parties"]
        else known["parties"][:2]
    },
    lambda known: _conditions(quotas=(r.AgreementQuota(known["party"], known["party"], 1),))(known),
    lambda known: _conditions(quotas=known["conditions"].quotas * 2)(known),
    lambda known: {"step": "x-step"},
    _conditions(rule_set="no = rules ="),
)
mistake(
    "enrollment.plan-proposed",
    lambda known: {"studied": ()},
    lambda known: {"studied": (replace(known["studied"][0], credits=credit("-1")),)},
    lambda known: {"recognized": (replace(known["recognized"][0], credits=credit("-0.001")),)},
    lambda known: {"mappings": (r.PlanMapping((2,), (0,)),)},
    lambda known: {"mappings": (r.PlanMapping((-1,), (0,)),)},
    lambda known: {"mappings": (r.PlanMapping((0,), (1,)),)},
    lambda known: {"mappings": (r.PlanMapping((0,), ()), r.PlanMapping((0,), (0,)))},
    lambda known: {"mappings": (r.PlanMapping((0,), (0,)), r.PlanMapping((1,), (0,)))},
)
mistake(
    "enrollment.plan-decided", lambda known: {"side": "both"}, lambda known: {"decision": "x-step"}
)
mistake(
    "practice.placement-changed",
    lambda known: {"students": ()},
    lambda known: {"students": known["students"] * 2},
    lambda known: {"end_date": known["start_date"] - timedelta(days=1)},
    lambda known: {"credits": credit("-1")},
    lambda known: {"supervisors": (r.Supervisor("k9", "99999", "main"),)},
    lambda known: {"supervisors": (r.Supervisor("k9", known["host"], "main"),)},
    lambda known: {"supervisors": ()},
)
mistake(
    "credit.awarded",
    lambda known: {"enrollment_id": None, "placement_id": None},
    lambda known: {"enrollment_id": "e0", "placement_id": "t0"},
    lambda known: {"enrollment_id": None, "placement_id": "t0"},
    lambda known: {"enrollment_id": "e2", "placement_id": None},
    lambda known: {"home": "99999"},
)
mistake(
    "credit.recognition-decided",
    lambda known: {"mappings": known["mappings"] * 2},
    lambda known: {"outcome": "negative"},
    lambda known: {"outcome": "x-step"},
    lambda known: {"recognized_credits_total": credit("9")},
    lambda known: {"original_credits_total": credit("9")},
)
mistake(
    "credit.recognition-requested",
    lambda known: {"award_ids": ()},
    lambda known: {"award_ids": (*known["award_ids"], "w3")},
)
