"""teaching.appointment-changed: a teacher of one member is to teach at another; approval lends the hours."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.offering import Offering
from hub.domain.quantities import HOUR, credits_text, milli
from hub.domain.reasons import Reason
from hub.domain.teaching import APPOINTMENT, Appointment
from hub.events import Names, Sentence
from hub.events._agreements import Use, covered, settle_places, take_places
from hub.events.teaching._common import (
    day_is_over,
    days_reversed,
    exists,
    hours_text,
    invalid,
    not_two_members,
    others_step,
    unknown_step,
    walk,
)
from hub.ledger.posting import hours_account, move, workload_account
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting, waits_until_known
from schemas.records import Posting, TeachingAppointmentChanged

LIFE = APPOINTMENT
REASONS = frozenset(
    {
        Reason.CONTENT_INVALID,
        Reason.UNKNOWN_MEMBER,
        Reason.NOT_WRITER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.STALE_VERSION,
        Reason.QUOTA_EXCEEDED,
        Reason.DEADLINE_PASSED,
    }
)


def decide(event: TeachingAppointmentChanged, view: View) -> Verdict:
    """Walk an appointment from the proposal of one side over the other's approval to its end.

    Approval takes a place of the agreement, if that has a quota, and lends the hours, in thousandths, of which
    teaching.delivered takes. Hours left over stay lent: the two sides agreed on them.
    """
    what = _what(event)
    refusal = (
        unknown_step(what, event.step, APPOINTMENT)
        or not_two_members(what, event.home, event.host, view)
        or days_reversed(what, event.from_date, event.to_date)
        or _no_hours(event)
    )
    if refusal:
        return refusal
    return _propose(event, view) if event.step == "proposed" else _go_on(event, view)


def _what(event: TeachingAppointmentChanged) -> str:
    return f"appointment {event.appointment_id}"


def _no_hours(event: TeachingAppointmentChanged) -> Rejected | None:
    if event.max_hours is None or event.max_hours > 0:
        return None
    return invalid(_what(event), f"lends {event.max_hours} hours; lend more than 0 or set no limit")


def _propose(event: TeachingAppointmentChanged, view: View) -> Verdict:
    known = view.find(Appointment, event.appointment_id)
    if known:
        return exists(_what(event), known)
    proposal = Appointment(
        event.appointment_id, event.staff_id, event.home, event.host, event.envelope.member,
        None if event.max_hours is None else milli(event.max_hours),
        event.agreement_id, event.from_date, event.to_date, "proposed",
    )  # fmt: skip
    refusal = (
        day_is_over(_what(event), event.to_date, view)
        or _no_offering(event, view)
        or covered(view, _use(proposal))
    )
    if refusal:
        return refusal
    return Applied(changes=(proposal,), audience=_told(proposal))


def _no_offering(event: TeachingAppointmentChanged, view: View) -> Rejected | Waiting | None:
    if event.offering_id is None:
        return None
    offering = view.find(Offering, event.offering_id)
    if offering is None:
        return waits_until_known(
            Offering,
            event.offering_id,
            f"offering {event.offering_id} is not known yet; it waits for offering.changed of {event.host}",
        )
    if offering.host != event.host:
        return Rejected(
            Reason.NOT_WRITER,
            f"offering {offering.id} belongs to {offering.host}, the appointment is at {event.host}; "
            "name an offering of the host or none",
            about=offering,
        )
    return None


def _go_on(event: TeachingAppointmentChanged, view: View) -> Verdict:
    what, step = _what(event), event.step
    known = view.find(Appointment, event.appointment_id)
    if known is None:
        return waits_until_known(
            Appointment,
            event.appointment_id,
            f"{what} is not known yet; it waits for the proposal of {event.home} or {event.host}",
        )
    named = (event.staff_id, event.home, event.host)
    if named != (known.staff_id, known.home, known.host):
        return Rejected(
            Reason.NOT_WRITER,
            f"{what} is of {known.staff_id} from {known.home} at {known.host}, the event says {' '.join(named)}; "
            "correct the event",
            about=known,
        )
    writers = {getattr(known, role) for role in APPOINTMENT.roles(step)}
    refusal = others_step(what, step, event.envelope.member, writers, known)
    if refusal:
        return refusal
    reached = walk(what, known, step)
    if isinstance(reached, Rejected):
        return reached
    postings = _effect(event, known, view)
    if isinstance(postings, Rejected):
        return postings
    return Applied(postings, (replace(known, state=reached),), _told(known))


def _effect(
    event: TeachingAppointmentChanged, known: Appointment, view: View
) -> tuple[Posting, ...] | Rejected:
    """What a step moves: approval reserves a place and lends hours, the start uses the place up, else it comes back."""
    thing = f"{Appointment.KIND}/{known.id}"
    if event.step == "started":
        return settle_places(view.book, "post", thing)
    if event.step in ("declined", "revoked"):
        return settle_places(view.book, "void", thing)
    if event.step != "approved":
        return ()
    approved_milli = None if event.max_hours is None else milli(event.max_hours)
    if approved_milli != known.hours_milli:
        return Rejected(
            Reason.STALE_VERSION,
            f"{_what(event)} is proposed with {_limit(known.hours_milli)}, the approval is of {_limit(approved_milli)}; "
            "approve what was proposed, or decline it",
            about=known,
        )
    places = take_places(view, _use(known))
    if isinstance(places, Rejected) or known.hours_milli is None:
        return places
    lent = move(known.hours_milli, HOUR, workload_account(known.home), hours_account(known.id))
    return (lent, *places)


def _limit(hours_milli: int | None) -> str:
    return "no limit of hours" if hours_milli is None else f"{credits_text(hours_milli)} hours"


def _use(appointment: Appointment) -> Use:
    """What the appointment takes of its agreement."""
    return Use(
        appointment.agreement_id, "teacher", appointment.home, appointment.host, appointment.year,
        f"{Appointment.KIND}/{appointment.id}",
    )  # fmt: skip


def _told(appointment: Appointment) -> frozenset[str]:
    return frozenset({appointment.home, appointment.host})


_EN = {"started": "reported the start of", "ended": "reported the end of"}
_ZH = {
    "proposed": "提出聘任",
    "approved": "同意聘任",
    "declined": "谢绝聘任",
    "started": "报告到任",
    "ended": "报告聘任结束",
    "revoked": "撤销聘任",
}
_ROLES_ZH = {
    "lecturer": "主讲教师",
    "co_lecturer": "合作授课教师",
    "thesis_supervisor": "论文指导教师",
    "committee": "答辩委员",
    "guest": "客座教师",
}


def sentence(event: TeachingAppointmentChanged, names: Names) -> Sentence:
    signer, role = event.envelope.member, event.role.replace("_", " ")
    hours = None if event.max_hours is None else hours_text(event.max_hours)
    return Sentence(
        f"{names.en(signer)} {_EN.get(event.step, event.step)} the appointment of a teacher of {names.en(event.home)} "
        f"at {names.en(event.host)} as {role} ({event.from_date} to {event.to_date}"
        f"{f', at most {hours} hours' if hours else ''})",
        f"{names.zh(signer)}{_ZH.get(event.step, event.step)}：{names.zh(event.home)}教师在{names.zh(event.host)}"
        f"任{_ROLES_ZH.get(event.role, event.role)}（{event.from_date}至{event.to_date}"
        f"{f'，至多{hours}课时' if hours else ''}）",
    )
