"""offering.changed: a host opens places for students of other members, or changes their number."""

from __future__ import annotations

from hub.domain.life import START
from hub.domain.offering import OFFERING, Offering
from hub.domain.quantities import SEAT, credit_milli, credits_text
from hub.domain.reasons import Reason
from hub.events import Names, Sentence, title
from hub.ledger.posting import capacity_account, move, reverse, seats_account
from hub.ledger.state import Applied, Rejected, Verdict, View
from schemas.records import OfferingChanged, Posting

LIFE = OFFERING
REASONS = frozenset({Reason.NOT_WRITER, Reason.ILLEGAL_TRANSITION, Reason.QUOTA_EXCEEDED})


def decide(event: OfferingChanged, view: View) -> Verdict:
    """Move places from the host's capacity to the offering, or free ones back.

    Places are whole seats. The capacity may not fall below the places already given away.
    """
    known = view.find(Offering, event.offering_id)
    if known and known.host != event.host:
        return Rejected(
            Reason.NOT_WRITER,
            f"offering {event.offering_id} belongs to {known.host}, not {event.host}; use an id of your own",
            about=known,
        )
    before = known.state if known else START
    if event.status != before and OFFERING.step(before, event.status) is None:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"offering {event.offering_id} is {before or 'new'} and cannot become {event.status!r}; "
            f"possible: {', '.join(OFFERING.possible(before)) or 'nothing'}",
            about=known,
        )
    if event.capacity < 0:
        return Rejected(
            Reason.QUOTA_EXCEEDED, f"capacity is {event.capacity}; it must not be negative"
        )
    account = seats_account(event.host, event.offering_id)
    free = view.book.balance(account, SEAT).available
    change = event.capacity - (known.capacity if known else 0)
    if free + change < 0:
        taken = (known.capacity if known else 0) - free
        return Rejected(
            Reason.QUOTA_EXCEEDED,
            f"offering {event.offering_id} has {taken} seats taken, capacity {event.capacity} is less; "
            f"keep at least {taken} or cancel enrollments first",
            about=known,
        )
    return Applied(
        postings=_seats(event.host, account, change),
        changes=(Offering(event.offering_id, event.host, event.capacity, event.status),),
        audience=view.members,
    )


def _seats(host: str, account: str, change: int) -> tuple[Posting, ...]:
    if change > 0:
        return (move(change, SEAT, capacity_account(host), account),)
    if change < 0:
        return (reverse(-change, SEAT, account, capacity_account(host)),)
    return ()


def sentence(event: OfferingChanged, names: Names) -> Sentence:
    credit = credits_text(credit_milli(event.credits))
    return Sentence(
        f"{names.en(event.host)} offers {title(event.titles, 'en')} ({credit} credits, {event.capacity} places, {event.status})",
        f"{names.zh(event.host)}开放课程“{title(event.titles, 'zh')}”（{credit}学分，{event.capacity}个名额，{event.status}）",
    )
