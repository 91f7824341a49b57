"""Rules of offering.changed: seats come from the host's capacity and go back there."""

from __future__ import annotations

import pytest

from hub.domain.offering import OFFERING, Offering
from tests.support.ledger import FOURTH, HOME, HOST, OTHER, Ledger, assert_refused, postings


def test_a_new_offering_gets_its_seats_from_the_hosts_capacity() -> None:
    """The seats are a stock of the offering; everyone in the alliance may know of them."""
    ledger = Ledger()
    entry = ledger.applied(ledger.offer(capacity=30))
    assert postings(entry) == [("move", 30)]
    assert ledger.seats() == (30, 0)
    assert set(entry.audience) == {HOME, OTHER, FOURTH}, "the sender knows it already"


def test_raising_the_capacity_adds_only_the_difference() -> None:
    """A change carries the whole capacity; booking it twice would double the seats."""
    ledger = Ledger()
    ledger.offer(capacity=2)
    entry = ledger.applied(ledger.offer(capacity=5))
    assert postings(entry) == [("move", 3)]
    assert ledger.seats() == (5, 0)


def test_lowering_the_capacity_gives_free_seats_back() -> None:
    """The way back is a reversal; nothing is edited."""
    ledger = Ledger()
    ledger.offer(capacity=5)
    entry = ledger.applied(ledger.offer(capacity=1))
    assert postings(entry) == [("reverse", 4)]
    assert ledger.seats() == (1, 0)


def test_a_change_that_leaves_the_capacity_moves_nothing() -> None:
    """Other fields of the offering may change without a posting."""
    ledger = Ledger()
    ledger.offer(capacity=5)
    assert postings(ledger.applied(ledger.offer(capacity=5, language="en"))) == []


def test_an_offering_without_seats_is_possible() -> None:
    """A course may be announced before its places are."""
    ledger = Ledger()
    assert postings(ledger.applied(ledger.offer(capacity=0))) == []


def test_the_capacity_may_fall_to_the_seats_taken_and_no_further() -> None:
    """An accepted student keeps the seat; the host is told how many are taken."""
    ledger = Ledger()
    ledger.offer(capacity=3)
    for name in ("e1", "e2"):
        ledger.enrolled(name, "associated")
    assert_refused(ledger.offer(capacity=1), "QUOTA_EXCEEDED", "2 seats taken", "capacity 1")
    assert ledger.find(Offering, "calculus").capacity == 3
    ledger.applied(ledger.offer(capacity=2))
    assert ledger.seats() == (0, 2)


def test_seats_used_up_count_as_taken() -> None:
    """A started enrollment has its seat for good; lowering the capacity must respect it too."""
    ledger = Ledger()
    ledger.offer(capacity=2)
    ledger.enrolled("e1", "finished")
    assert_refused(ledger.offer(capacity=0), "QUOTA_EXCEEDED", "1 seats taken")


def test_a_negative_capacity_is_refused() -> None:
    """The schema has a plain int; the rule has to look."""
    ledger = Ledger()
    assert_refused(ledger.offer(capacity=-1), "QUOTA_EXCEEDED", "-1", "must not be negative")
    ledger.offer(capacity=2)
    assert_refused(ledger.offer(capacity=-2), "QUOTA_EXCEEDED", "-2")


def test_an_offering_belongs_to_the_host_that_made_it() -> None:
    """An id is taken by its first user; a second host cannot change the seats of the first."""
    ledger = Ledger()
    ledger.offer(capacity=2, host=HOST)
    assert_refused(ledger.offer(capacity=9, host=OTHER), "NOT_WRITER", HOST, OTHER)
    assert ledger.seats() == (2, 0)


@pytest.mark.parametrize("before", OFFERING.states)
@pytest.mark.parametrize("after", OFFERING.states)
def test_an_offering_changes_status_only_along_its_table(before: str, after: str) -> None:
    """Staying is allowed, all else is in the table; the refusal lists what would be possible."""
    ledger = Ledger()
    ledger.applied(ledger.offer(status=before))
    entry = ledger.offer(status=after)
    if after == before or OFFERING.step(before, after):
        assert entry.outcome == "applied"
        assert ledger.find(Offering, "calculus").state == after
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", before, after, "possible:")


def test_an_unknown_status_is_refused_for_a_new_offering_and_for_an_old_one() -> None:
    """Enums are strings on the wire, so that old readers survive new values; the ledger knows its own."""
    ledger = Ledger()
    assert_refused(ledger.offer(status="open"), "ILLEGAL_TRANSITION", "'open'", "active")
    assert ledger.find(Offering, "calculus") is None
    ledger.applied(ledger.offer(status="active"))
    assert_refused(ledger.offer(status="open"), "ILLEGAL_TRANSITION", "active", "open")
