"""What the teaching rules share: checks of what an event says, and walking the table of its thing.

Each check returns why the event is refused, or None. `what` names the thing in the refusal: `appointment A-1`.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal

from hub.domain.life import Living, Machine
from hub.domain.quantities import credits_text, milli
from hub.domain.reasons import Reason
from hub.domain.times import day_of, day_over_ms, is_over
from hub.ledger.state import Rejected, View


def unknown_step(what: str, step: str, life: Machine) -> Rejected | None:
    """The step must be one of the table's."""
    if step in life.names:
        return None
    return Rejected(
        Reason.CONTENT_INVALID,
        f"{what} has step {step!r}; use one of {', '.join(sorted(life.names))}",
    )


def not_two_members(what: str, one: str, other: str, view: View) -> Rejected | None:
    """Two different members take part."""
    strangers = sorted({one, other} - view.members)
    if strangers:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"{what} names {', '.join(strangers)}, no member of the alliance; correct the code",
        )
    if one == other:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"{what} is between {one} and itself, wanted two members; arrange it at the university alone",
        )
    return None


def days_reversed(what: str, first: date, last: date) -> Rejected | None:
    """The last day is not before the first."""
    if first <= last:
        return None
    return invalid(what, f"ends on {last}, before its first day {first}; correct the dates")


def invalid(what: str, fault: str, about: Living | None = None) -> Rejected:
    """A refusal of what the event says; `fault` tells what was found and what to do."""
    return Rejected(Reason.CONTENT_INVALID, f"{what} {fault}", about=about)


def exists(what: str, known: Living) -> Rejected:
    """A second proposal or report under an id that is taken."""
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"{what} exists and is {known.state}; give a new one an id of its own",
        about=known,
    )


def day_is_over(what: str, last: date | None, view: View) -> Rejected | None:
    """It is too late for something whose last day is over."""
    if last is None or not is_over(day_over_ms(last), view.now_ms):
        return None
    return Rejected(
        Reason.DEADLINE_PASSED,
        f"{what} has {last} as its last day, the ledger's day is {day_of(view.now_ms)}; publish a new one with a later day",
    )


def others_step(
    what: str, step: str, signer: str, writers: AbstractSet[str], about: Living | None = None
) -> Rejected | None:
    """The step must be stated by one of `writers`."""
    if signer in writers:
        return None
    right = " or ".join(sorted(writers))
    return Rejected(
        Reason.NOT_WRITER,
        f"{what}: {step} is stated by {right}, the event is signed by {signer}; ask {right}",
        about=about,
    )


def walk(what: str, thing: Living, step: str) -> str | Rejected:
    """The state after a step, or why it is not possible."""
    reached = thing.LIFE.step(thing.state, step)
    if reached is not None:
        return reached.after
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"{what} is {thing.state}, {step} is not possible; "
        f"possible: {', '.join(thing.LIFE.possible(thing.state)) or 'nothing, it is closed'}",
        about=thing,
    )


def hours_text(hours: Decimal) -> str:
    """`10.500` as `10.5`."""
    return credits_text(milli(hours))
