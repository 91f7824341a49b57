"""teaching.delivered: hours taught at another member, pending until home confirms them or both settle on a number."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.flags import FlagName, flag
from hub.domain.quantities import HOUR, credits_text, milli
from hub.domain.reasons import Reason
from hub.domain.teaching import DELIVERY, Appointment, Delivery
from hub.events import Names, Sentence
from hub.events.teaching._common import (
    day_is_over,
    days_reversed,
    exists,
    hours_text,
    invalid,
    others_step,
    unknown_step,
    walk,
)
from hub.ledger.posting import Book, hours_account, lent_account, pend, taught_account
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from schemas.records import Posting, TeachingDelivered

LIFE = DELIVERY
REASONS = frozenset(
    {
        Reason.CONTENT_INVALID,
        Reason.NOT_WRITER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.STALE_VERSION,
        Reason.QUOTA_EXCEEDED,
        Reason.DEADLINE_PASSED,
    }
)


def decide(event: TeachingDelivered, view: View) -> Verdict:
    """Hold reported hours, in thousandths, until home has answered; what both agree on counts, the rest falls away.

    Under an appointment with a limit they come from its stock of lent hours.
    """
    what = _what(event)
    refusal = unknown_step(what, event.step, DELIVERY)
    if refusal:
        return refusal
    appointment = view.find(Appointment, event.appointment_id)
    if appointment is None:
        return waits_until_known(
            Appointment,
            event.appointment_id,
            f"appointment {event.appointment_id} is not known yet; it waits for teaching.appointment-changed",
        )
    named = (event.staff_id, event.home, event.host)
    if named != (appointment.staff_id, appointment.home, appointment.host):
        return Rejected(
            Reason.NOT_WRITER,
            f"appointment {appointment.id} is of {appointment.staff_id} from {appointment.home} at {appointment.host}, "
            f"the event says {' '.join(named)}; correct the event",
            about=appointment,
        )
    writers = {getattr(event, role) for role in DELIVERY.roles(event.step)}
    refusal = (
        others_step(what, event.step, event.envelope.member, writers)
        or _too_few_hours(event)
        or days_reversed(what, event.period_start, event.period_end)
    )
    if refusal:
        return refusal
    return _report(event, appointment, view) if event.step == "reported" else _go_on(event, view)


def _what(event: TeachingDelivered) -> str:
    return f"delivery {event.delivery_id}"


def _too_few_hours(event: TeachingDelivered) -> Rejected | None:
    """Nobody reports or confirms nothing; an offer may be nothing, and what answers it."""
    some = event.step in ("reported", "confirmed")
    if event.hours > 0 or (event.hours == 0 and not some):
        return None
    return invalid(
        _what(event),
        f"is of {hours_text(event.hours)} hours; {event.step} takes {'more than 0' if some else '0 or more'}",
    )


def _report(event: TeachingDelivered, appointment: Appointment, view: View) -> Verdict:
    late = day_is_over(f"{_what(event)} to confirm", event.confirm_by, view)
    if late:
        return late
    known = view.find(Delivery, event.delivery_id)
    if known:
        return exists(_what(event), known)
    if appointment.state not in ("active", "ended"):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"appointment {appointment.id} is {appointment.state}, wanted active or ended; report its start first",
            about=appointment,
        )
    delivery = Delivery(
        event.delivery_id, event.appointment_id, event.home, event.host, milli(event.hours), None, event.confirm_by,
        "reported",
    )  # fmt: skip
    source = taught_account(event.host, event.home)
    if appointment.hours_milli is not None:
        source = hours_account(appointment.id)
        left = view.book.balance(source, HOUR).available
        if left < delivery.hours_milli:
            return Rejected(
                Reason.QUOTA_EXCEEDED,
                f"appointment {appointment.id} has {credits_text(left)} hours left, {hours_text(event.hours)} reported; "
                "report fewer or agree on another appointment",
                about=appointment,
            )
    held = pend(
        _pending_id(delivery),
        delivery.hours_milli,
        HOUR,
        source,
        lent_account(event.home, event.host),
    )
    return Applied((held,), (delivery,), _told(delivery))


def _go_on(event: TeachingDelivered, view: View) -> Verdict:
    what = _what(event)
    known = view.find(Delivery, event.delivery_id)
    if known is None:
        return waits_until_known(
            Delivery,
            event.delivery_id,
            f"{what} is not known yet; it waits for the report of {event.host}",
        )
    if known.appointment_id != event.appointment_id:
        return Rejected(
            Reason.NOT_WRITER,
            f"{what} is under appointment {known.appointment_id}, the event says {event.appointment_id}; correct the event",
            about=known,
        )
    reached = walk(what, known, event.step)
    if isinstance(reached, Rejected):
        return reached
    changed = replace(known, state=reached)
    if event.step == "disputed":
        changed = replace(changed, offered_milli=None)
        disputed = flag(FlagName.HOURS_DISPUTED, changed)
        return Applied(changes=(changed,), audience=_told(known), flags=(disputed,))
    if event.step == "offered":
        return _offer(event, changed)
    agreed_milli = known.hours_milli if event.step == "confirmed" else known.offered_milli or 0
    if milli(event.hours) != agreed_milli:
        return Rejected(
            Reason.STALE_VERSION,
            f"{what} is {known.state} with {credits_text(agreed_milli)} hours, the event is of {hours_text(event.hours)}; "
            "agree to exactly these or dispute them",
            about=known,
        )
    return Applied(tuple(_settled(view.book, known, agreed_milli)), (changed,), _told(known))


def _offer(event: TeachingDelivered, changed: Delivery) -> Verdict:
    if milli(event.hours) > changed.hours_milli:
        return Rejected(
            Reason.QUOTA_EXCEEDED,
            f"{_what(event)} was reported with {credits_text(changed.hours_milli)} hours, {hours_text(event.hours)} offered; "
            "offer no more than that and report further hours on their own",
            about=changed,
        )
    offer = replace(changed, offered_milli=milli(event.hours))
    return Applied(changes=(offer,), audience=_told(offer))


def _settled(book: Book, delivery: Delivery, agreed_milli: int) -> list[Posting]:
    """The agreed hours count, the rest of those reported falls away."""
    parts = {"post": agreed_milli, "void": delivery.hours_milli - agreed_milli}
    return [
        book.settle(action, _pending_id(delivery), amount)
        for action, amount in parts.items()
        if amount > 0
    ]


def _pending_id(delivery: Delivery) -> str:
    """The pending amount that holds the hours of a delivery."""
    return f"hours/{delivery.id}"


def _told(delivery: Delivery) -> frozenset[str]:
    return frozenset({delivery.home, delivery.host})


_EN = {"offered": "offered to settle for", "settled": "settled for"}
_ZH = {
    "reported": "报告",
    "confirmed": "确认",
    "disputed": "不认可",
    "offered": "提出按以下课时结清：",
    "settled": "同意按以下课时结清：",
}
_KINDS = {
    "lecture": ("lectures", "讲授"),
    "lab": ("laboratory classes", "实验"),
    "supervision": ("supervision", "指导"),
    "examination": ("examinations", "考试"),
}


def sentence(event: TeachingDelivered, names: Names) -> Sentence:
    signer, hours = event.envelope.member, hours_text(event.hours)
    kind_en, kind_zh = _KINDS.get(event.kind, (event.kind, event.kind))
    return Sentence(
        f"{names.en(signer)} {_EN.get(event.step, event.step)} {hours} hour{'' if hours == '1' else 's'} of {kind_en} "
        f"at {names.en(event.host)} by a teacher of {names.en(event.home)} ({event.period_start} to {event.period_end})",
        f"{names.zh(signer)}{_ZH.get(event.step, event.step)}{names.zh(event.home)}教师在{names.zh(event.host)}"
        f"{kind_zh}{hours}课时（{event.period_start}至{event.period_end}）",
    )
