"""Postings and balances: an amount of a unit moves from a source to a destination account.

Two-phase amounts are pending until posted or voided, in whole or in part. Every account has four counters; accounts
that stand for a stock (`seats:`, `quota:`, `hours:`) never give out more than they got.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from sys import intern

from hub.errors import LedgerCorrupt
from schemas.records import Posting

# Accounts under these names have a limit: out (pending and posted) <= in.
STOCKS = ("seats:", "quota:", "hours:")


def seats_account(host: str, offering_id: str) -> str:
    """Free places of an offering."""
    return f"seats:{host}:{offering_id}"


def capacity_account(host: str) -> str:
    """Where a host's places come from."""
    return f"capacity:{host}"


def enrolled_account(host: str, offering_id: str, home: str) -> str:
    """Places of an offering taken by students of a home university."""
    return f"enrolled:{host}:{offering_id}:{home}"


def issued_account(host: str, home: str) -> str:
    """Credits a host awarded to students of a home university."""
    return f"issued:{host}:{home}"


def claim_account(home: str, host: str) -> str:
    """Credits of a host that wait for, or got, the home's recognition."""
    return f"claim:{home}:{host}"


def conversion_account(home: str) -> str:
    """Where recognized credits come from: the home turns a claim into its own credits."""
    return f"conversion:{home}"


def student_account(home: str, student_id: str) -> str:
    """Credits recognized at home for a student."""
    return f"student:{home}:{student_id}"


def grant_account(agreement_id: str) -> str:
    """Where the places of an agreement come from."""
    return f"grant:{agreement_id}"


def quota_account(agreement_id: str, sender: str, receiver: str, year: str) -> str:
    """Places that a sender can still fill at a receiver in an academic year."""
    return f"quota:{agreement_id}:{sender}:{receiver}:{year}"


def filled_account(agreement_id: str, sender: str, receiver: str, year: str) -> str:
    """Places of an agreement that were filled."""
    return f"filled:{agreement_id}:{sender}:{receiver}:{year}"


def workload_account(home: str) -> str:
    """Where hours come from that a home lends under appointments."""
    return f"workload:{home}"


def hours_account(appointment_id: str) -> str:
    """Hours that can still be taught under an appointment with a limit."""
    return f"hours:{appointment_id}"


def taught_account(host: str, home: str) -> str:
    """Hours taught at a host by teachers of a home under appointments without a limit."""
    return f"taught:{host}:{home}"


def lent_account(home: str, host: str) -> str:
    """Hours of a home's teachers at a host that wait for, or got, the home's agreement."""
    return f"lent:{home}:{host}"


def seconded_account(lender: str, borrower: str) -> str:
    """Days that people of a lender worked at a borrower."""
    return f"seconded:{lender}:{borrower}"


def borrowed_account(borrower: str, lender: str) -> str:
    """Days that a borrower had people of a lender."""
    return f"borrowed:{borrower}:{lender}"


def proceeds_account(achievement_id: str) -> str:
    """Where the income from an achievement comes from."""
    return f"proceeds:{achievement_id}"


def income_account(member: str, achievement_id: str) -> str:
    """Income of a member from an achievement."""
    return f"income:{member}:{achievement_id}"


def instrument_account(owner: str, home: str) -> str:
    """Minutes on an owner's resources that a member had."""
    return f"instrument:{owner}:{home}"


def usage_account(home: str, owner: str) -> str:
    """Minutes that a member used at an owner."""
    return f"usage:{home}:{owner}"


def charged_account(owner: str, home: str) -> str:
    """What an owner charged a member for the use of its resources."""
    return f"charged:{owner}:{home}"


def owed_account(home: str, owner: str) -> str:
    """What a member owes an owner for the use of its resources."""
    return f"owed:{home}:{owner}"


def pend(pending_id: str, amount: int, unit: str, source: str, destination: str) -> Posting:
    """Reserve an amount until it is posted or voided under the same `pending_id`."""
    return Posting("pend", source, destination, unit, amount, pending_id)


def move(amount: int, unit: str, source: str, destination: str) -> Posting:
    """Move an amount at once."""
    return Posting("move", source, destination, unit, amount, None)


def reverse(amount: int, unit: str, source: str, destination: str) -> Posting:
    """Move an amount back: source and destination are those of the way back."""
    return Posting("reverse", source, destination, unit, amount, None)


@dataclass(slots=True)
class Balance:
    """Counters of one account in one unit. All only grow, but for pending amounts that are settled."""

    pending_in: int = 0
    posted_in: int = 0
    pending_out: int = 0
    posted_out: int = 0

    @property
    def available(self) -> int:
        """What a stock can still give out."""
        return self.posted_in - self.posted_out - self.pending_out

    @property
    def net(self) -> int:
        """Posted in less posted out."""
        return self.posted_in - self.posted_out


@dataclass(slots=True)
class Pending:
    """A reserved amount: `open` of `amount` is neither posted nor voided yet."""

    source: str
    destination: str
    unit: str
    amount: int
    open: int


@dataclass(slots=True)
class Book:
    """All balances and pending amounts, and their running sums (invariants I1-I3, I11 hold after every posting)."""

    balances: dict[tuple[str, str], Balance] = field(default_factory=dict)
    pendings: dict[str, Pending] = field(default_factory=dict)

    def balance(self, account: str, unit: str) -> Balance:
        """The balance of an account; zero for one that never moved."""
        return self.balances.get((account, unit)) or Balance()

    def settle(self, action: str, pending_id: str, amount: int) -> Posting:
        """A posting that posts or voids a part of an open pending amount. Raises `LedgerCorrupt` if there is none."""
        pending = self.pendings.get(pending_id)
        if pending is None:
            raise LedgerCorrupt(
                f"pending amount {pending_id} does not exist; a rule settled what was never reserved"
            )
        return Posting(
            action, pending.source, pending.destination, pending.unit, amount, pending_id
        )

    def apply(self, postings: Iterable[Posting]) -> None:
        """Book the postings. Raises `LedgerCorrupt` if one breaks a rule of the book: a rule's bug, never a member's."""
        for posting in postings:
            self._apply(posting)

    def _apply(self, posting: Posting) -> None:
        if posting.amount <= 0:
            raise LedgerCorrupt(
                f"posting of {posting.amount} {posting.unit}; amounts must be positive"
            )
        source = self.balances.setdefault((posting.source, posting.unit), Balance())
        destination = self.balances.setdefault((posting.destination, posting.unit), Balance())
        if posting.action in ("move", "reverse"):
            source.posted_out += posting.amount
            destination.posted_in += posting.amount
        elif posting.action == "pend":
            self._open(posting)
            source.pending_out += posting.amount
            destination.pending_in += posting.amount
        elif posting.action in ("post", "void"):
            self._close(posting)
            source.pending_out -= posting.amount
            destination.pending_in -= posting.amount
            if posting.action == "post":
                source.posted_out += posting.amount
                destination.posted_in += posting.amount
        else:
            raise LedgerCorrupt(f"posting with unknown action {posting.action!r}")
        if posting.source.startswith(STOCKS) and source.available < 0:
            raise LedgerCorrupt(
                f"{posting.source} gave out {-source.available} {posting.unit} more than it had"
            )

    def _open(self, posting: Posting) -> None:
        if posting.pending_id is None or posting.pending_id in self.pendings:
            raise LedgerCorrupt(f"pending amount {posting.pending_id} is opened twice or has no id")
        # Pending amounts stay for ever, most of them between the same few accounts: one string for all.
        source, destination, unit = map(intern, (posting.source, posting.destination, posting.unit))
        self.pendings[posting.pending_id] = Pending(
            source, destination, unit, posting.amount, posting.amount
        )

    def _close(self, posting: Posting) -> None:
        pending = self.pendings.get(posting.pending_id or "")
        if pending is None or posting.amount > pending.open:
            raise LedgerCorrupt(
                f"{posting.action} of {posting.amount} {posting.unit} on {posting.pending_id}, "
                f"of which {pending.open if pending else 'nothing'} is open"
            )
        pending.open -= posting.amount
