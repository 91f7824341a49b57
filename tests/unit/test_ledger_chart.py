"""The chart of accounts against the names that are made, and against itself."""

from __future__ import annotations

import inspect
from itertools import pairwise

import pytest

from hub.domain.quantities import CNY, DAY, HOUR, MINUTE, PLACE, SEAT
from hub.errors import LedgerCorrupt
from hub.ledger import posting as made
from hub.ledger.chart import (
    BY_NAME,
    MEMBER_FIELDS,
    ROLES,
    STOCKS,
    UNITS,
    classify,
    decimal_text,
    odd_postings,
    read_posting,
    unit_of,
    unknown_accounts,
)
from hub.ledger.posting import Book, Posting, claim_account, issued_account, move, pend, reverse

CREDIT = "credit.cn_credit"
MAKERS = {
    name.removesuffix("_account"): maker
    for name, maker in inspect.getmembers(made, inspect.isfunction)
    if name.endswith("_account")
}
PARTS = {  # what the makers of names call the parts that the chart calls otherwise
    "offering_id": "offering", "student_id": "student", "agreement_id": "agreement", "appointment_id": "appointment",
    "achievement_id": "achievement",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_every_name_that_is_made_is_read_back(name: str) -> None:
    """Who adds a kind of account adds its role; ids may hold colons, line feeds, or look like a member's code."""
    for odd in ("calculus", "urn:alliance:student:10610:x", "a:b:", "10611", "line\nfeed", ""):
        given = {
            part: "2026-2027" if part == "year" else odd if part.endswith("_id") else f"1061{at}"
            for at, part in enumerate(inspect.signature(MAKERS[name]).parameters)
        }
        account = classify(MAKERS[name](**given))
        assert account is not None, f"{name} is not in the chart"
        assert account.parts == {PARTS.get(part, part): value for part, value in given.items()}


def test_the_chart_has_no_role_that_nobody_makes() -> None:
    """A table that only grows is no map."""
    kinds = {
        maker(*"abcd"[: len(inspect.signature(maker).parameters)]) for maker in MAKERS.values()
    }
    assert {kind.partition(":")[0] for kind in kinds} == BY_NAME.keys()


def test_the_stocks_are_those_of_the_book() -> None:
    """What the book refuses to overdraw is what the chart calls a stock."""
    assert sorted(STOCKS) == sorted(made.STOCKS)


def test_every_way_is_bound_by_an_account_of_one_pair() -> None:
    """A statement's line cannot be hidden in an account that others share; what members are to each other counts once."""
    for role in ROLES:
        for name in role.gives_to:
            ends = (role, BY_NAME[name])
            assert not all(end.shared for end in ends), f"{role.name} to {name}"
            members = {part for end in ends for part in end.members}
            between_two = len(members) == 2
            assert sum(end.measure for end in ends) == between_two, f"{role.name} to {name}"
            assert set(role.units) & set(BY_NAME[name].units)
    for role in ROLES:
        assert not role.measure or (len(role.members) == 2 and not role.shared)
        assert set(role.members) <= set(MEMBER_FIELDS)
        assert role.en
        assert role.zh


@pytest.mark.parametrize(
    ("posting", "pair", "giver", "taker"),
    [
        (pend("p", 1, CREDIT, "issued:10611:10610", "claim:10610:10611"), ("10610", "10611"), "10611", "10610"),
        (reverse(1, CREDIT, "claim:10610:10611", "issued:10611:10610"), ("10610", "10611"), "10610", "10611"),
        (move(1, SEAT, "capacity:10611", "seats:10611:o"), ("10611",), "10611", "10611"),
        (move(1, SEAT, "seats:10611:o", "enrolled:10611:o:10610"), ("10610", "10611"), "10611", "10610"),
        (move(1, PLACE, "grant:a", "quota:a:10610:10611:2026-2027"), ("10610", "10611"), "10611", "10610"),
        (move(1, PLACE, "quota:a:10610:10611:2026-2027", "filled:a:10610:10611:2026-2027"), ("10610", "10611"), "10610", "10611"),
        (move(1, HOUR, "workload:10610", "hours:x"), ("10610",), "10610", "10610"),
        (move(1, HOUR, "hours:x", "lent:10610:10611"), ("10610", "10611"), "10611", "10610"),
        (move(1, DAY, "seconded:10611:10610", "borrowed:10610:10611"), ("10610", "10611"), "10611", "10610"),
        (move(1, MINUTE, "instrument:10611:10610", "usage:10610:10611"), ("10610", "10611"), "10611", "10610"),
        (move(1, "x-points", "charged:10611:10610", "owed:10610:10611"), ("10610", "10611"), "10611", "10610"),
        (move(1, CNY, "proceeds:v", "income:10610:v"), ("10610",), "10610", "10610"),
    ],
)  # fmt: skip
def test_a_posting_says_between_whom_and_which_way(
    posting: Posting, pair: tuple[str, ...], giver: str, taker: str
) -> None:
    """What one side gets the other gives, and taking back goes the other way."""
    way = read_posting(posting)
    assert (way.pair, way.giver, way.taker) == (pair, giver, taker)


@pytest.mark.parametrize(
    ("posting", "said"),
    [
        (move(1, CREDIT, "issued:10611:10610", "claim:10610:10613"), "host of one end is 10611, of the other 10613"),
        (move(1, CREDIT, "claim:10610:10611", "issued:10611:10610"), "claim gives to issued"),
        (reverse(1, CREDIT, "issued:10611:10610", "claim:10610:10611"), "claim gives to issued"),
        (move(1, SEAT, "issued:10611:10610", "claim:10610:10611"), "holds 'seat'"),
        (move(1, CREDIT, "issued:10611", "claim:10610:10611"), "'issued:10611' is not in the chart"),
        (move(1, CREDIT, "gift:10611:10610", "claim:10610:10611"), "'gift:10611:10610' is not in the chart"),
        (move(1, HOUR, "issued", "lent:10610:10611"), "'issued' is not in the chart"),
    ],
)  # fmt: skip
def test_a_posting_that_the_chart_does_not_have_is_named(posting: Posting, said: str) -> None:
    """Between three members, the wrong way, in the wrong unit, or by an unknown name."""
    with pytest.raises(LedgerCorrupt, match=said.replace("(", r"\(")):
        read_posting(posting)
    assert len(odd_postings([posting, posting])) == 2


def test_unknown_accounts_and_units_of_a_book_are_listed() -> None:
    """The audit's view: names and units, sorted; nothing for what the chart knows."""
    book = Book()
    book.apply([move(1, CREDIT, issued_account("a", "b"), claim_account("b", "a"))])
    assert unknown_accounts(book) == []
    book.apply([move(1, "gold", "mine:a", issued_account("a", "b"))])
    assert unknown_accounts(book) == ["issued:a:b in gold", "mine:a in gold"]


def test_every_unit_is_one_of_the_charts_at_most() -> None:
    """No unit begins as another does, or an amount would have two scales."""
    names = sorted(unit.name.removesuffix("*") for unit in UNITS)
    assert not [pair for pair in pairwise(names) if pair[1].startswith(pair[0])]
    found = [unit_of(name) for name in ("credit.ects", "hour", "x-points")]
    assert [unit.name if unit else None for unit in found] == ["credit.*", "hour", "x-*"]
    assert unit_of("gold") is None


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (2500, CREDIT, "2.500"), (-5, HOUR, "-0.005"), (0, CNY, "0.000"), (-1000, "x-p", "-1.000"), (3, SEAT, "3"),
        (-3, DAY, "-3"), (7, "gold", "7"), (10**18 + 1, CNY, "1000000000000000.001"),
    ],
)  # fmt: skip
def test_amounts_are_shown_exactly(amount: int, unit: str, text: str) -> None:
    """No float on the way: the last thousandth is there."""
    assert decimal_text(amount, unit) == text
