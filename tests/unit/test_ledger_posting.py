"""The book: amounts move between accounts, pending ones once; a rule that errs stops the ledger."""

from __future__ import annotations

import pytest

from hub.domain.quantities import credit_milli, credit_unit, credits_text
from hub.errors import LedgerCorrupt
from hub.ledger.posting import Book, move, pend, reverse
from schemas.records import Posting
from tests.support.ledger import credit

SEATS, ENROLLED = "seats:10611:calculus", "enrolled:10611:calculus:10610"


def counters(book: Book, account: str, unit: str = "seat") -> tuple[int, int, int, int]:
    balance = book.balance(account, unit)
    return (balance.pending_in, balance.posted_in, balance.pending_out, balance.posted_out)


@pytest.fixture
def book() -> Book:
    """Two free seats."""
    made = Book()
    made.apply([move(2, "seat", "capacity:10611", SEATS)])
    return made


def test_a_move_is_posted_at_once(book: Book) -> None:
    """Out of one, into the other."""
    assert counters(book, "capacity:10611") == (0, 0, 0, 2)
    assert counters(book, SEATS) == (0, 2, 0, 0)


def test_a_pending_amount_is_not_available_and_not_posted(book: Book) -> None:
    """Nobody else gets the seat while it waits."""
    book.apply([pend("seat/e1", 1, "seat", SEATS, ENROLLED)])
    assert counters(book, SEATS) == (0, 2, 1, 0)
    assert counters(book, ENROLLED) == (1, 0, 0, 0)
    assert book.balance(SEATS, "seat").available == 1


def test_posting_a_part_and_voiding_the_rest_settles_it(book: Book) -> None:
    """Both are entries of their own; together they are the amount."""
    book.apply([pend("p", 2, "seat", SEATS, ENROLLED)])
    book.apply([book.settle("post", "p", 1), book.settle("void", "p", 1)])
    assert counters(book, ENROLLED) == (0, 1, 0, 0)
    assert book.pendings["p"].open == 0
    assert book.balance(SEATS, "seat").available == 1


def test_a_reversal_moves_back(book: Book) -> None:
    """The counters keep both ways."""
    book.apply([reverse(2, "seat", SEATS, "capacity:10611")])
    assert counters(book, "capacity:10611") == (0, 2, 0, 2)
    assert book.balance("capacity:10611", "seat").net == 0


def test_units_do_not_mix(book: Book) -> None:
    """One account has a balance per unit."""
    book.apply([move(5, "credit.ects", "conversion:10610", SEATS)])
    assert book.balance(SEATS, "seat").posted_in == 2


def test_looking_at_an_account_that_never_moved_leaves_no_trace(book: Book) -> None:
    """Two books are equal when their movements are."""
    before = dict(book.balances)
    assert counters(book, "seats:nobody:nothing") == (0, 0, 0, 0)
    assert book.balances == before


@pytest.mark.parametrize(
    ("postings", "said"),
    [
        ([move(0, "seat", "a", "b")], "must be positive"),
        ([move(-1, "seat", "a", "b")], "must be positive"),
        ([move(3, "seat", SEATS, ENROLLED)], "gave out 1 seat more than it had"),
        ([reverse(3, "seat", SEATS, "capacity:10611")], "more than it had"),
        ([pend("p", 3, "seat", SEATS, ENROLLED)], "more than it had"),
        ([pend("p", 2, "seat", SEATS, ENROLLED), pend("q", 1, "seat", SEATS, ENROLLED)], "more"),
        ([pend("p", 1, "seat", SEATS, ENROLLED), pend("p", 1, "seat", SEATS, ENROLLED)], "twice"),
        ([Posting("pend", SEATS, ENROLLED, "seat", 1, None)], "no id"),
        ([Posting("post", SEATS, ENROLLED, "seat", 1, "p")], "nothing is open"),
        ([Posting("void", SEATS, ENROLLED, "seat", 1, None)], "nothing is open"),
        ([pend("p", 1, "seat", SEATS, ENROLLED), Posting("post", SEATS, ENROLLED, "seat", 2, "p")], "1 is open"),
        ([Posting("grant", SEATS, ENROLLED, "seat", 1, None)], "unknown action 'grant'"),
    ],
)  # fmt: skip
def test_a_posting_against_the_rules_of_the_book_stops_it(
    book: Book, postings: list[Posting], said: str
) -> None:
    """Such a posting is a rule's mistake, never a member's; better no ledger than a wrong one."""
    with pytest.raises(LedgerCorrupt, match=said):
        book.apply(postings)


def test_a_pending_amount_is_settled_once(book: Book) -> None:
    """The second settlement finds nothing open."""
    book.apply([pend("p", 1, "seat", SEATS, ENROLLED)])
    once = book.settle("post", "p", 1)
    book.apply([once])
    with pytest.raises(LedgerCorrupt, match="0 is open"):
        book.apply([once])


def test_what_was_never_reserved_cannot_be_settled(book: Book) -> None:
    """The message names the pending amount."""
    with pytest.raises(LedgerCorrupt, match="seat/e9 does not exist"):
        book.settle("void", "seat/e9", 1)


@pytest.mark.parametrize(
    ("text", "milli"), [("3", 3000), ("0.001", 1), ("2.5", 2500), ("999999.999", 999_999_999)]
)
def test_credits_are_thousandths_in_the_ledger(text: str, milli: int) -> None:
    """The schema's scale is three: nothing is rounded, and people read the shortest form."""
    assert credit_milli(credit(text)) == milli
    assert credits_text(milli) == text


def test_people_read_whole_credits_without_zeros() -> None:
    """`10`, not `1E+1` or `10.000`."""
    assert [credits_text(milli) for milli in (0, 10_000, 100, -1500)] == ["0", "10", "0.1", "-1.5"]


def test_each_scheme_is_a_unit_of_its_own() -> None:
    """Three ECTS are not three Chinese credits."""
    assert credit_unit("ects") == "credit.ects"
