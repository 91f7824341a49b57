"""Acting under an agreement: whether it covers what is asked, and the places it grants for each year."""

from __future__ import annotations

from dataclasses import dataclass

from hub.domain.agreement import Agreement, years
from hub.domain.quantities import PLACE
from hub.domain.reasons import Reason
from hub.ledger.posting import Book, filled_account, pend, quota_account
from hub.ledger.state import Rejected, View, Waiting, waits_until_known
from schemas.records import Posting


@dataclass(frozen=True, slots=True)
class Use:
    """What wants to happen under an agreement, if one is named: `thing` is kind/id of what takes the places."""

    agreement_id: str | None
    kind: str
    sender: str
    receiver: str
    year: str
    thing: str

    @property
    def pending_id(self) -> str:
        return f"quota/{self.thing}"


def covered(view: View, use: Use) -> Rejected | Waiting | None:
    """Why the agreement does not cover the use; None when it does, or when none is named."""
    if use.agreement_id is None:
        return None
    agreement = view.find(Agreement, use.agreement_id)
    if agreement is None:
        return waits_until_known(
            Agreement,
            use.agreement_id,
            f"agreement {use.agreement_id} is not known yet; it waits for agreement.changed",
        )
    parties = {use.sender, use.receiver} <= set(agreement.parties)
    term = use.year in years(agreement.first_year, agreement.last_year)
    if agreement.state == "in_effect" and agreement.kind == use.kind and parties and term:
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"agreement {agreement.agreement_id} is {agreement.state}, on {agreement.kind} between {', '.join(agreement.parties)} "
        f"from {agreement.first_year} to {agreement.last_year}; wanted one in effect on {use.kind} that covers {use.sender}, "
        f"{use.receiver} and {use.year}; name another agreement or none",
        about=agreement,
    )


def take_places(view: View, use: Use, count: int = 1) -> tuple[Posting, ...] | Rejected:
    """Reserve places of the year's quota; none where the agreement sets no quota for the direction."""
    agreement = view.find(Agreement, use.agreement_id) if use.agreement_id else None
    if agreement is None or agreement.quota(use.sender, use.receiver) is None:
        return ()
    places = (agreement.agreement_id, use.sender, use.receiver, use.year)
    left = view.book.balance(quota_account(*places), PLACE).available
    if left < count:
        return Rejected(
            Reason.QUOTA_EXCEEDED,
            f"agreement {agreement.agreement_id} has {left} places left from {use.sender} to {use.receiver} in {use.year}, "
            f"{count} needed; agree on more or deny",
            about=agreement,
        )
    return (pend(use.pending_id, count, PLACE, quota_account(*places), filled_account(*places)),)


def settle_places(book: Book, action: str, thing: str) -> tuple[Posting, ...]:
    """`post` the reserved places of a thing (kind/id) or `void` them, if there are any."""
    pending = book.pendings.get(f"quota/{thing}")
    if pending is None or pending.open == 0:
        return ()
    return (book.settle(action, f"quota/{thing}", pending.open),)
