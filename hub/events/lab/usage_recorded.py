"""lab.usage-recorded: an owner records who used a resource, how long, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hub.domain.lab import USAGE, AccessRequest, Resource, Span, Usage
from hub.domain.quantities import CNY, MINUTE, credits_text, milli
from hub.domain.reasons import Reason
from hub.domain.times import minutes
from hub.events import Names, Sentence
from hub.events.lab._common import (
    in_words,
    known_request,
    known_resource,
    local,
    slot_id,
)
from hub.ledger.posting import (
    Book,
    charged_account,
    instrument_account,
    move,
    owed_account,
    reverse,
    usage_account,
)
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from schemas.envelope import to_millis
from schemas.records import LabUsageRecorded, Posting

LIFE = USAGE
REASONS = frozenset(
    {
        Reason.UNKNOWN_REFERENCE,
        Reason.NOT_WRITER,
        Reason.UNKNOWN_MEMBER,
        Reason.CONTENT_INVALID,
        Reason.ILLEGAL_TRANSITION,
    }
)


def decide(event: LabUsageRecorded, view: View) -> Verdict:
    """Move the minutes as they were, and what is charged. A mistake is mended by a record that supersedes the wrong one.

    Minutes are whole, a begun one counts; charges are thousandths of their unit. The slot of the request stays in the
    calendar: it happened. Source: NEMO usage events.
    """
    resource = known_resource(event, view)
    if not isinstance(resource, Resource):
        return resource
    if event.home not in view.members:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"usage {event.usage_id} is by {event.home!r}, no member of the alliance; correct the code",
        )
    fault = _fault(event)
    if fault:
        return Rejected(Reason.CONTENT_INVALID, f"usage {event.usage_id} {fault}")
    stated = _stated(event)
    known = view.find(Usage, event.usage_id)
    if known:
        return _validate(known, stated)
    if stated.supersedes is not None:
        return _supersede(stated.supersedes, stated, view)
    if stated.request_id is not None:
        return _end_booking(stated.request_id, stated, view)
    return Applied(tuple(_moved(stated)), (stated,), stated.concerned())


def _fault(event: LabUsageRecorded) -> str | None:
    """What is wrong with the record."""
    if event.start >= event.end:
        return (
            f"runs from {local(event.start)} to {local(event.end)}; the end must be after the start"
        )
    if (event.samples or 0) < 0:
        return f"has {event.samples} samples; their number must not be negative"
    if event.charge is not None and event.charge.amount < 0:
        return f"charges {event.charge.amount} {event.charge.unit}; a charge must not be negative"
    unit = event.charge.unit.lower() if event.charge is not None else CNY
    if unit != CNY and not unit.startswith("x-"):  # else a charge could be made in credits or seats
        return f"charges in {unit!r}; use {CNY} or a unit of your own that starts with x-"
    if event.waived and not (event.waive_reason or "").strip():
        return "waives the charge and does not say why; give waive_reason"
    if event.supersedes_usage_id == event.usage_id:
        return "supersedes itself; name another record or none"
    return None


def _stated(event: LabUsageRecorded) -> Usage:
    charge = event.charge
    asked = charge is not None and not event.waived and charge.amount > 0
    return Usage(
        event.usage_id, event.resource_id, event.owner, event.home, event.request_id,
        Span(to_millis(event.start), to_millis(event.end)),
        (charge.unit.lower(), milli(charge.amount)) if charge is not None and asked else None,
        event.supersedes_usage_id, "validated" if event.validated else "recorded",
    )  # fmt: skip


def _validate(known: Usage, stated: Usage) -> Verdict:
    """The same record once more, as final. Nothing moves: what is booked was booked when it was recorded."""
    same = replace(stated, state=known.state) == known
    if same and stated.state == "validated" and USAGE.step(known.state, "validated") is not None:
        return Applied(changes=(stated,), audience=stated.concerned())
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"usage {known.id} is {known.state}, of {known.home} {in_words(known.span)}, charged {_charge_text(known)}; "
        f"wanted one that is recorded, and a validated event of the same content; "
        "record another usage that supersedes it",
        about=known,
    )


def _charge_text(usage: Usage) -> str:
    return f"{credits_text(usage.charged[1])} {usage.charged[0]}" if usage.charged else "nothing"


def _supersede(old_id: str, stated: Usage, view: View) -> Verdict:
    """Take back what the old record moved, move what the new one says."""
    old = view.find(Usage, old_id)
    if old is None:
        return waits_until_known(
            Usage,
            old_id,
            f"usage {old_id} is not known yet; it waits for lab.usage-recorded of {stated.owner}",
        )
    if (old.resource_id, old.home) != (stated.resource_id, stated.home):
        return Rejected(
            Reason.NOT_WRITER,
            f"usage {old.id} is of {old.resource_id} by {old.home}, the event names {stated.resource_id} and {stated.home}; "
            "correct the event",
            about=old,
        )
    step = USAGE.step(old.state, "superseded")
    if step is None:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"usage {old.id} is {old.state}; supersede the record that took its place",
            about=old,
        )
    if old.request_id != stated.request_id:
        return Rejected(
            Reason.CONTENT_INVALID,
            f"usage {old.id} is under request {old.request_id}, the event says {stated.request_id}; name the same one",
            about=old,
        )
    return Applied(
        (*_taken_back(old), *_moved(stated)),
        (stated, replace(old, state=step.after)),
        stated.concerned(),
    )


def _end_booking(request_id: str, stated: Usage, view: View) -> Verdict:
    """The booking was used: its minutes are posted as far as they were, the rest is set free, what goes beyond is moved."""
    request = known_request(stated, request_id, view)
    if not isinstance(request, AccessRequest):
        return request
    step = request.LIFE.step(request.state, "used")
    if step is None:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"request {request.id} is {request.state}, wanted approved; "
            "supersede the record there is, or record the use without a request",
            about=request,
        )
    return Applied(
        (*_settled(view.book, request.id, stated), *_charged(stated)),
        (stated, replace(request, state=step.after)),
        stated.concerned(),
    )


def _settled(book: Book, request_id: str, usage: Usage) -> Iterator[Posting]:
    held, name = book.pendings[slot_id(request_id)].open, slot_id(request_id)
    used = min(usage.minutes, held)
    if used:
        yield book.settle("post", name, used)
    if held > used:
        yield book.settle("void", name, held - used)
    if usage.minutes > used:
        yield move(usage.minutes - used, MINUTE, *_way(usage))


def _way(usage: Usage) -> tuple[str, str]:
    return instrument_account(usage.owner, usage.home), usage_account(usage.home, usage.owner)


def _moved(usage: Usage) -> Iterator[Posting]:
    yield move(usage.minutes, MINUTE, *_way(usage))
    yield from _charged(usage)


def _charged(usage: Usage) -> Iterator[Posting]:
    if usage.charged is not None:
        unit, amount = usage.charged
        charged, owed = (
            charged_account(usage.owner, usage.home),
            owed_account(usage.home, usage.owner),
        )
        yield move(amount, unit, charged, owed)


def _taken_back(old: Usage) -> Iterator[Posting]:
    """The way back of all that a record moved."""
    for posting in _moved(old):
        yield reverse(posting.amount, posting.unit, posting.destination, posting.source)


def sentence(event: LabUsageRecorded, names: Names) -> Sentence:
    length = minutes(event.start, event.end)
    charge, en, zh = event.charge, "", ""
    if charge is not None:
        amount = f"{credits_text(milli(charge.amount))} {charge.unit}"
        en = f", {amount} {'waived' if event.waived else 'charged'}"
        zh = f"，{'免收' if event.waived else '收费'}{amount}"
    word_en, word_zh = ("confirms", "确认") if event.validated else ("records", "记录")
    return Sentence(
        f"{names.en(event.owner)} {word_en} {length} minutes on {event.resource_id} used by {names.en(event.home)}{en}",
        f"{names.zh(event.owner)}{word_zh}{names.zh(event.home)}使用{event.resource_id}共{length}分钟{zh}",
    )
