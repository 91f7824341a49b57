"""What offices for staff, research and transfer say: appointments, hours, secondments, achievements, postings, and lab time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas import records as r
from tests.support import oracle_teaching
from tests.support.histories_world import AMOUNTS, DAYS, Speech, Step, amount, mistake

MAX_HOURS = (amount("8"), None, amount("8"), amount("3"))
WAY = (
    "disclosed",
    "published",
    "negotiating",
    "signed",
    "registered",
    "implemented",
    "income_shared",
)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
LEGS = (0, 30, 60, 90, 120, 180)  # minutes after noon


def _pick(options: Any, choice: int) -> Any:
    return options[choice % len(options)]


class WorkSpeech(Speech):
    """Makers of the events about teachers, achievements and postings."""

    def use(self, step: Step, number: int) -> str | None:
        raise NotImplementedError

    # Appointments and hours

    def _appointment(self, number: int) -> dict[str, Any]:
        home, host = self.pair(number)
        return {
            "appointment_id": f"n{number}",
            "staff_id": f"k{number}",
            "home": home,
            "host": host,
        }

    def appointment(self, step: Step, said: str | None = None) -> Any:
        number = step.which % 4
        said = said or _pick(
            ("approved", "started", "ended", "revoked", "declined", "proposed"), step.choice
        )
        wish = self.planned("appointment", f"n{number}", lambda: {
            "from_date": self.day(0 if step.amount != 5 else 2000), "to_date": self.day(DAYS[step.days] + (2000 if step.amount == 5 else 0)),
            "max_hours": MAX_HOURS[number],
            "offering_id": (None, None, None, "o0", "o1")[step.amount % 5], "agreement_id": self.use(step, 2),
        })  # fmt: skip
        if wish["from_date"] > wish["to_date"]:
            wish = wish | {"from_date": wish["to_date"]}
        known = self.fact("appointment", f"n{number}")
        facts = self._appointment(number)
        sides = ("host", "home")
        if said == "proposed":
            sides = ("home", "host") if number % 2 else ("host", "home")
        elif said in ("approved", "declined"):
            proposer = known["proposer"] if known else facts["host"]
            sides = ("home", "host") if proposer == facts["host"] else ("host", "home")
        return self.make(step, "teaching.appointment-changed", facts | wish, sides=sides, step=said)

    def delivered(self, step: Step, said: str | None = None) -> Any:
        number = (step.which + 4 * (step.days % 2)) % 6
        about = number // 2
        said = said or _pick(
            ("reported", "confirmed", "disputed", "offered", "settled"), step.choice
        )
        known = self.fact("delivery", f"d{number}")
        hours = amount(AMOUNTS[step.amount])
        if known and step.choice < 6:
            hours = {"confirmed": known["hours"], "settled": known["offered"] or hours}.get(
                said, hours
            )
        if said == "reported" and step.days in (3, 4):
            hours = self._all_that_is_left(f"n{about}") or hours
        sides = ("host", "home") if said in ("reported", "offered") else ("home", "host")
        return self.make(
            step, "teaching.delivered", self._appointment(about), sides=sides, delivery_id=f"d{number}",
            hours=hours, step=said, period_start=self.day(-7), period_end=self.day(-1), offering_id=None,
            confirm_by=self.date_of(step) if step.amount % 2 == 0 else None,
        )  # fmt: skip

    def _all_that_is_left(self, name: str) -> Decimal | None:
        """The hours of an appointment's stock that nobody reported yet; none where there is no stock, or nothing in it."""
        known = self.fact("appointment", name)
        if known is None or known["stock"] is None:
            return None
        return oracle_teaching.hours_left(self.oracle.books, name) or None

    def go_teaching(self, step: Step) -> Any:
        """Appointed, approved, started; then hours reported, confirmed, or disputed and settled."""
        number = step.which % 4
        state = self.state("appointment", f"n{number}")
        nearest = {"": "proposed", "proposed": "approved", "approved": "started"}.get(state)
        if nearest is not None:
            leaves = step.choice == 7 and state
            return self.appointment(
                replace(step, choice=step.choice % 7), "revoked" if leaves else nearest
            )
        if state == "active" and step.choice == 7:
            return self.appointment(step, "ended")
        return self.go_hours(step)

    def go_hours(self, step: Step) -> Any:
        number = (step.which + 4 * (step.days % 2)) % 6
        about = self.state("appointment", f"n{number // 2}")
        if about not in ("active", "ended"):
            return (
                self.go_teaching(replace(step, which=number // 2))
                if about in ("", "proposed", "approved")
                else self.appointment(step)
            )
        state = self.state("delivery", f"d{number}")
        nearest = {
            "reported": ("confirmed", "disputed"),
            "disputed": ("offered",),
            "offered": ("settled", "disputed"),
        }
        said = _pick(nearest.get(state, ("reported",)), step.choice)
        return self.delivered(replace(step, choice=0, amount=step.amount % 5), said)

    # Secondments

    def secondment(self, step: Step, said: str | None = None) -> Any:
        number = step.which % 4
        said = said or _pick(
            ("approved", "started", "extended", "ended", "recalled", "declined", "proposed"),
            step.choice,
        )
        lender, borrower = self.pair(number)
        wish = self.planned("secondment", f"c{number}", lambda: {
            "from_date": self.day(min(0, DAYS[step.days])), "to_date": self.day(DAYS[step.days]), "agreement_id": self.use(step, 3),
        })  # fmt: skip
        known = self.fact("secondment", f"c{number}")
        said_to = dict(wish)
        if known and said == "extended":
            said_to["to_date"] = known["to"] + timedelta(days=DAYS[step.days])
        elif known and said == "ended":
            said_to["to_date"] = known["to"] - timedelta(days=step.amount % 4 - (step.choice == 7))
            said_to["assessment"] = (None, "competent", "outstanding", "basic", "not", "good")[
                step.days % 6
            ]
        side = "lender" if said in ("proposed", "extended", "recalled") else "borrower"
        other = "borrower" if side == "lender" else "lender"
        return self.make(
            step, "teaching.secondment-changed",
            {"secondment_id": f"c{number}", "staff_id": f"k{number}", "lender": lender, "borrower": borrower} | said_to,
            sides=(side, other), step=said,
        )  # fmt: skip

    def go_secondment(self, step: Step) -> Any:
        state = self.state("secondment", f"c{step.which % 4}")
        nearest = {
            "": "proposed",
            "proposed": "approved",
            "approved": "started",
            "started": "ended",
        }.get(state)
        if nearest is None or (step.choice == 7 and state):
            nearest = "recalled"
        elif state == "started" and step.choice < 4:
            nearest = "extended"
        elif nearest == "ended":
            step = replace(step, days=1 + step.days % 4, choice=0)
        return self.secondment(step, nearest)

    # Achievements and postings

    def achievement(self, step: Step, status: str | None = None) -> Any:
        number = step.which % 2
        status = status or _pick((*WAY, "withdrawn", "terminated"), step.choice + step.amount)
        shares = (
            ((self.cast[0], "60"), (self.cast[1], "40")) if number else ((self.cast[0], "100"),)
        )
        if step.days == 6:
            shares = ((self.cast[0], "50"), (self.cast[1], "50"))
        income = tuple(
            r.IncomeShare(member, amount(AMOUNTS[step.amount].strip("-")) + 1)
            for member, _ in shares[: 1 + step.days % 2]
        )
        return self.make(
            step, "transfer.achievement-changed",
            {"achievement_id": f"v{number}", "owner": self.cast[0],
             "project_id": ("p0", "p1")[number] if step.days == 7 else None},
            sides=("owner",), status=status, maturity=1 + step.choice % 9, owners=tuple(r.OwnershipShare(m, amount(s)) for m, s in shares),
            visibility=("public", "members", "owners")[step.days % 3], mode="assignment", contract_kind="assignment",
            contract_registration_no="No. 7", income_shares=income if status == "income_shared" else (),
        )  # fmt: skip

    def go_transfer(self, step: Step) -> Any:
        state = self.state("achievement", f"v{step.which % 2}")
        if not state or state in ("withdrawn", "terminated"):
            return self.achievement(step, "disclosed")
        at = WAY.index(state)
        if step.choice == 7 and step.amount == 7:
            return self.achievement(step, "withdrawn" if at < 3 else "terminated")
        return self.achievement(step, WAY[min(at + (step.choice != 6), 6)])

    def posting(self, step: Step, status: str | None = None) -> Any:
        number = step.which % 3
        status = status or _pick(
            ("open", "planned", "closed", "filled", "cancelled", "open"), step.choice
        )
        known = self.fact("posting", f"j{number}")
        counts = known["counts"] if known else (0, 0, 0, 0)
        grown = tuple(count + (step.amount > 3) for count in counts)
        if step.choice == 7:
            grown = tuple(count - 1 for count in counts)
        closes = self.date_of(step)
        members = (*self.cast[: 2 + step.days % 3], *((self.cast[19],) if number == 2 else ()))
        return self.make(
            step, "talent.posting-changed",
            {"posting_id": f"j{number}", "recruiter": self.cast[0]}, sides=("recruiter",), status=status, members=members,
            headcount=1 + number, opens_on=min(closes, self.day(0)), closes_on=closes,
            accepted=grown[0], offered=grown[1], interviewed=grown[2], applied=grown[3],
        )  # fmt: skip

    def go_talent(self, step: Step) -> Any:
        state = self.state("posting", f"j{step.which % 3}")
        nearest = {"": "planned", "planned": "open", "open": "closed", "closed": "filled"}.get(
            state, "cancelled"
        )
        if state in ("planned", "open") and step.choice in (4, 5):
            nearest = state
        elif step.choice == 6 and state:
            nearest = "cancelled"
        elif not state and step.choice == 3:
            nearest = "open"
        return self.posting(
            replace(
                step, choice=0, amount=max(step.amount, 4) if nearest == "filled" else step.amount
            ),
            nearest,
        )


class LabSpeech(Speech):
    """Makers of the events about resources, bookings and use."""

    def _resource(self, number: int) -> dict[str, Any]:
        return {"resource_id": f"q{number}", "owner": self.cast[2 if number == 2 else 1]}

    def resource(self, step: Step, status: str | None = None) -> Any:
        number = step.which % 3
        status = status or _pick(
            (
                "operational",
                "outage",
                "operational",
                "operational",
                "registered",
                "retired",
                "operational",
                "closed",
            ),
            step.choice,
        )
        policy = (
            r.BookingPolicy(30, 120, 30, 150, "gpc")
            if number == 0
            else r.BookingPolicy(None, None, None, None, None)
        )
        if number == 1:
            policy = r.BookingPolicy(None, None, None, 150, None)
        outages: tuple[r.Outage, ...] = ()
        if step.amount == 3:
            outages = (
                r.Outage(
                    self.noon(1) + timedelta(minutes=60),
                    self.noon(1) + timedelta(minutes=120),
                    None,
                ),
            )
        return self.make(
            step, "lab.resource-changed", self._resource(number), sides=("owner",), status=status, kind="instrument",
            capacity=(1, 2, 1)[number], policy=policy, price=None, outages=outages, joint_members=self.cast[:3],
        )  # fmt: skip

    def _access(self, step: Step) -> tuple[str, dict[str, Any]]:
        number = (step.which + 4 * (step.amount % 2)) % 8
        resource = self._resource((0, 0, 0, 1, 1, 1, 2, 2)[number])
        home = self.cast[0] if number < 6 else self.cast[3]
        return f"x{number}", {"home": home, **resource}

    def access(self, step: Step) -> Any:
        name, facts = self._access(step)
        number = int(name[1])
        from_noon, span = LEGS[step.amount % 6], (60, 60, 120, 90, 30, 10, 181, 240)[step.choice]
        start = self.noon(DAYS[step.days] if step.days in (0, 6, 7, 8) else 1) + timedelta(
            minutes=from_noon
        )
        end = start + timedelta(minutes=span) - timedelta(seconds=step.days % 2)
        reason: dict[str, Any] = {"project_id": None, "enrollment_id": None, "placement_id": None}
        if step.days > 4:
            reason |= (
                {"project_id": "p0"},
                {"enrollment_id": "e0"},
                {"placement_id": "t0"},
                {"project_id": "p1"},
            )[step.days % 4]
        replaces = f"x{(number + 3) % 6}" if step.days == 4 else None
        return self.make(
            step, "lab.access-requested", facts, sides=("home",), request_id=name, start=start, end=end, remote=False,
            qualification="gpc" if step.choice != 6 else None, replaces_request_id=replaces,
            decide_by=start - timedelta(hours=12 * (step.days % 3)) if step.days else None, **reason,
        )  # fmt: skip

    def answered(self, step: Step, said: str | None = None) -> Any:
        name, facts = self._access(step)
        said = said or _pick(
            ("approved", "waitlisted", "denied", "cancelled", "cancelled_by_owner", "no_show", "approved", "used"), step.choice
        )  # fmt: skip
        known = self.fact("access", name)
        start = end = None
        if known and said == "approved" and step.days in (3, 5, 8):
            start = known["span"][0] + timedelta(minutes=15 if step.days != 8 else -15)
            end = None if step.days == 5 else known["span"][1] - timedelta(minutes=15)
        newest = self.oracle.books.newest.get(("lab", name, facts["home"]), 0)
        sides = ("home", "owner") if said == "cancelled" else ("owner", "home")
        return self.make(
            step, "lab.access-decided", facts, sides=sides, request_id=name, decision=said, start=start, end=end,
            decides=max(1, newest),
        )  # fmt: skip

    def usage(self, step: Step) -> Any:
        number = (step.which + 4 * (step.days % 2)) % 8
        name, facts = f"g{number}", self._access(step)[1]
        asked = self._access(step)[0]
        known, request = self.fact("usage", name), self.fact("access", asked)
        old = f"g{(number + 5) % 8}" if step.days in (4, 5) else None
        before = self.fact("usage", old) if old else None
        start, end = (
            self.noon(-1),
            self.noon(-1)
            + timedelta(minutes=(60, 45, 75, 120)[step.amount % 4], seconds=step.days % 2),
        )
        if request and request["slot"]:
            start = request["slot"][0]
            end = start + (request["slot"][1] - start) * (step.amount + 1) // 4
        request_id: str | None = asked if step.choice < 6 else None
        charge = (
            r.Charge("CNY", amount(AMOUNTS[step.choice % 8].strip("-")))
            if step.choice % 2 == 0
            else None
        )
        if before:
            request_id = before["request"] if step.choice < 7 else request_id
            facts = facts | {
                "resource_id": before["resource"],
                "owner": before["owner"],
                "home": before["home"],
            }
        if known and step.choice < 6:
            facts = facts | {
                "resource_id": known["resource"],
                "owner": known["owner"],
                "home": known["home"],
            }
            start, end = known["span"]
            request_id = known["request"]
        return self.make(
            step, "lab.usage-recorded", facts, sides=("owner",), usage_id=name, request_id=request_id, start=start, end=end,
            samples=None, charge=charge, validated=bool(known) or step.choice == 1, waived=step.choice == 4,
            waive_reason="first use" if step.choice == 4 else None, supersedes_usage_id=old,
        )  # fmt: skip

    def go_lab(self, step: Step) -> Any:
        """A resource, a request, an answer, the use; superseded now and then."""
        name, facts = self._access(step)
        number = int(facts["resource_id"][1])
        if self.state("resource", f"q{number}") != "operational":
            return self.resource(
                replace(step, which=number, choice=0, amount=3 if step.amount == 3 else 0),
                "operational",
            )
        state = self.state("access", name)
        if not state:
            return self.access(
                replace(step, choice=step.choice % 5, days=step.days if step.days < 6 else 0)
            )
        if state in ("requested", "waitlisted"):
            said = {
                5: "denied",
                6: "cancelled",
                7: "waitlisted" if state == "requested" else "approved",
            }
            return self.answered(step, said.get(step.choice, "approved"))
        if state == "approved":
            if step.choice > 4:
                return self.answered(
                    step, ("cancelled", "cancelled_by_owner", "no_show")[step.choice - 5]
                )
            unused = [place for place in range(8) if self.fact("usage", f"g{place}") is None]
            if unused:
                return self.usage_of(replace(step, days=unused[0] // 4), unused[0], name)
        return self.usage(step)

    def usage_of(self, step: Step, number: int, request: str) -> Any:
        """The use of an approved request under an unused id."""
        facts = self.fact("access", request) or {}
        start = facts["slot"][0]
        end = start + (facts["slot"][1] - start) * (step.amount + 1) // 4
        return self.make(
            step, "lab.usage-recorded",
            {"resource_id": facts["resource"], "owner": facts["owner"], "home": facts["home"]}, sides=("owner",),
            usage_id=f"g{number}", request_id=request, start=start, end=end, samples=3,
            charge=r.Charge("cny", Decimal("10.000")), validated=False, waived=step.choice == 4,
            waive_reason="first use" if step.choice == 4 else None, supersedes_usage_id=None,
        )  # fmt: skip


def _shares(*shares: str) -> Any:
    return lambda known: {
        "owners": tuple(
            r.OwnershipShare(member, amount(share))
            for member, share in zip((known["owner"], "10650", "10617"), shares, strict=False)
        )
    }


mistake(
    "teaching.appointment-changed",
    lambda known: {"to_date": known["from_date"] - timedelta(days=1)},
    lambda known: {"max_hours": amount("0")},
    lambda known: {"max_hours": amount("-1")},
    lambda known: {"max_hours": amount("9")},
)
mistake(
    "teaching.delivered",
    lambda known: {"hours": amount("0")},
    lambda known: {"hours": amount("-1")},
    lambda known: {"period_end": known["period_start"] - timedelta(days=1)},
    lambda known: {"appointment_id": "n1"},
)
mistake(
    "teaching.secondment-changed",
    lambda known: {"to_date": known["from_date"] - timedelta(days=1)},
    lambda known: {"assessment": None},
    lambda known: {"to_date": known["to_date"] + timedelta(days=400)},
)
mistake(
    "transfer.achievement-changed",
    lambda known: {"maturity": 0},
    lambda known: {"maturity": 10},
    lambda known: {"owners": ()},
    lambda known: {"owners": known["owners"] * 2},
    _shares("99.999"),
    _shares("100", "0"),
    _shares("70", "30"),
    _shares("50", "50"),
    lambda known: {"visibility": "x"},
    lambda known: {"mode": None},
    lambda known: {"contract_kind": None},
    lambda known: {"contract_registration_no": None},
    lambda known: {"income_shares": ()},
    lambda known: {"income_shares": (r.IncomeShare(known["owner"], amount("5")),)},
    lambda known: {"income_shares": (r.IncomeShare("10650", amount("5")),)},
    lambda known: {"income_shares": (r.IncomeShare(known["owner"], amount("0")),)},
    lambda known: {"owners": (r.OwnershipShare("10650", amount("100")),)},
    lambda known: {
        "owners": (
            r.OwnershipShare(known["owner"], amount("50")),
            r.OwnershipShare("99999", amount("50")),
        )
    },
)
mistake(
    "talent.posting-changed",
    lambda known: {"headcount": 0},
    lambda known: {"opens_on": known["closes_on"] + timedelta(days=1)},
    lambda known: {"accepted": -1},
    lambda known: {"accepted": known["offered"] + 1},
    lambda known: {"applied": known["interviewed"] - 1},
    lambda known: {"members": known["members"] * 2},
    lambda known: {"members": (*known["members"], "99999")},
    lambda known: {"members": known["members"][1:]},
    lambda known: {"accepted": 5, "offered": 5, "interviewed": 5, "applied": 5},
)
mistake(
    "lab.resource-changed",
    lambda known: {"capacity": 0},
    lambda known: {"capacity": known["capacity"] + 1},
    lambda known: {"policy": r.BookingPolicy(0, None, None, None, None)},
    lambda known: {"policy": r.BookingPolicy(60, 30, None, None, None)},
    lambda known: {"policy": r.BookingPolicy(None, None, None, -1, None)},
    lambda known: {"outages": (r.Outage(LONG_AGO, LONG_AGO, None),)},
    lambda known: {"price": r.Price("cny", amount("-1"))},
    lambda known: {"joint_members": ("99999",)},
)
mistake(
    "lab.access-requested",
    lambda known: {"end": known["start"]},
    lambda known: {"qualification": "other"},
    lambda known: {"end": known["end"] + timedelta(days=1)},
    lambda known: {"end": known["start"] + timedelta(minutes=1)},
    lambda known: {
        "start": known["start"] + timedelta(days=40),
        "end": known["end"] + timedelta(days=40),
    },
    lambda known: {"replaces_request_id": "x0"},
)
mistake(
    "lab.access-decided",
    lambda known: {"start": known["end"] or known["start"]},
    lambda known: {"resource_id": "q1"},
)
mistake(
    "lab.usage-recorded",
    lambda known: {"end": known["start"]},
    lambda known: {"samples": -1},
    lambda known: {"charge": r.Charge("cny", amount("-1"))},
    lambda known: {"waived": True, "waive_reason": None},
    lambda known: {"resource_id": "q1"},
    lambda known: {"validated": True},
    lambda known: {"request_id": None},
    lambda known: {"waived": True, "waive_reason": ""},
    lambda known: {"home": "99999"},
    lambda known: {"supersedes_usage_id": known["usage_id"]},
    lambda known: {"supersedes_usage_id": "g0"},
)
