"""Teachers shared between members: appointments, the hours delivered under them, and secondments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from hub.domain.life import Living, Machine, steps
from hub.domain.quantities import credits_text
from hub.domain.times import academic_year, day_over_ms

APPOINTMENT = Machine(
    kind="appointment",
    title_en="Appointment of a teacher",
    title_zh="教师互聘",
    steps=(
        *steps("home|host", ": proposed -> proposed"),
        *steps(
            "counterpart",
            "proposed: approved -> approved",
            "proposed: declined -> declined",
        ),
        *steps("host", "approved: started -> active", "active: ended -> ended"),
        *steps("home|host", "proposed approved active: revoked -> revoked"),
    ),
    waits={"proposed": "counterpart", "approved": "host", "active": "host"},
    source="Open Education API v6 association roles; Erasmus Without Paper staff mobility for teaching; "
    "approval by the side that did not propose is ours",
)
DELIVERY = Machine(
    kind="delivery",
    title_en="Hours taught",
    title_zh="授课课时",
    steps=(
        *steps("host", ": reported -> reported", "disputed: offered -> offered"),
        *steps(
            "home",
            "reported: confirmed -> confirmed",
            "reported offered: disputed -> disputed",
            "offered: settled -> settled",
        ),
    ),
    waits={"reported": "home", "disputed": "host", "offered": "home"},
    source="ours: no standard carries hours taught between universities",
)
SECONDMENT = Machine(
    kind="secondment",
    title_en="Secondment",
    title_zh="挂职与访学",
    steps=(
        *steps("lender", ": proposed -> proposed", "started: extended -> started"),
        *steps(
            "borrower",
            "proposed: approved -> approved",
            "proposed: declined -> declined",
            "approved: started -> started",
            "started: ended -> ended",
        ),
        *steps("lender", "proposed approved started: recalled -> recalled"),
    ),
    waits={"proposed": "borrower", "approved": "borrower", "started": "borrower"},
    source="Erasmus Without Paper staff mobility for training, CERIF employment; "
    "four grades as in the annual assessment of public servants (优秀, 称职, 基本称职, 不称职)",
)


@dataclass(frozen=True, slots=True)
class Appointment(Living):
    """`hours_milli` are the hours, in thousandths, that home lends at most; None without a limit."""

    KIND: ClassVar[str] = "appointment"
    LIFE: ClassVar[Machine] = APPOINTMENT
    appointment_id: str
    staff_id: str
    home: str
    host: str
    proposer: str
    hours_milli: int | None
    agreement_id: str | None
    from_date: date
    to_date: date
    state: str

    @property
    def id(self) -> str:
        return self.appointment_id

    @property
    def counterpart(self) -> str:
        """The side that did not propose: it approves or declines."""
        return self.host if self.proposer == self.home else self.home

    @property
    def year(self) -> str:
        """The academic year whose quota it counts towards."""
        return academic_year(self.from_date)

    def deadline_ms(self) -> int | None:
        return day_over_ms(self.to_date) if self.state == "active" else None

    def summary(self) -> str:
        hours = "" if self.hours_milli is None else f" {credits_text(self.hours_milli)} hours"
        return f"{self.state}{hours}"


@dataclass(frozen=True, slots=True)
class Delivery(Living):
    """Hours in thousandths: as reported, and as the host offers them in a dispute, until home disputes that."""

    KIND: ClassVar[str] = "delivery"
    LIFE: ClassVar[Machine] = DELIVERY
    delivery_id: str
    appointment_id: str
    home: str
    host: str
    hours_milli: int
    offered_milli: int | None
    confirm_by: date | None
    state: str

    @property
    def id(self) -> str:
        return self.delivery_id

    def deadline_ms(self) -> int | None:
        due = self.confirm_by if self.state == "reported" else None
        return None if due is None else day_over_ms(due)

    def summary(self) -> str:
        hours = self.hours_milli if self.offered_milli is None else self.offered_milli
        return f"{self.state} {credits_text(hours)} hours"


@dataclass(frozen=True, slots=True)
class Secondment(Living):
    """`from_date` is as proposed; `to_date` is the last day as planned, extended, or as it was when ended."""

    KIND: ClassVar[str] = "secondment"
    LIFE: ClassVar[Machine] = SECONDMENT
    secondment_id: str
    staff_id: str
    lender: str
    borrower: str
    agreement_id: str | None
    from_date: date
    to_date: date
    state: str

    @property
    def id(self) -> str:
        return self.secondment_id

    @property
    def year(self) -> str:
        """The academic year whose quota it counts towards."""
        return academic_year(self.from_date)

    def deadline_ms(self) -> int | None:
        return day_over_ms(self.to_date) if self.state == "started" else None

    def summary(self) -> str:
        return f"{self.state} until {self.to_date}"
