"""Rules of research results on their way into use: steps, shares, and the income that is shared."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hub.domain.quantities import CNY
from hub.domain.transfer import ACHIEVEMENT, Achievement, Share
from hub.events import Names, sentence
from hub.events.transfer import achievement_changed
from hub.ledger.posting import income_account, proceeds_account
from schemas import records as r
from tests.support.ledger import (
    FOURTH,
    HOME,
    HOST,
    OTHER,
    Ledger,
    assert_refused,
    assert_waits,
    postings,
)

NAMES = Names({HOME: ("Sichuan University", "四川大学"), HOST: ("Chongqing", "重庆大学")})
_TO_SIGNED = ("disclosed", "published", "negotiating", "signed")
WAYS = {
    "": (),
    "disclosed": _TO_SIGNED[:1],
    "published": _TO_SIGNED[:2],
    "negotiating": _TO_SIGNED[:3],
    "signed": _TO_SIGNED,
    "registered": (*_TO_SIGNED, "registered"),
    "implemented": (*_TO_SIGNED, "registered", "implemented"),
    "income_shared": (*_TO_SIGNED, "registered", "implemented", "income_shared"),
    "withdrawn": ("disclosed", "withdrawn"),
    "terminated": (*_TO_SIGNED, "terminated"),
}
OPEN = tuple(state for state in WAYS if state not in ("", "withdrawn", "terminated"))


def owners(*shares: tuple[str, str]) -> tuple[r.OwnershipShare, ...]:
    """`owners((HOME, "60"), (HOST, "40"))`."""
    return tuple(r.OwnershipShare(member, _three(percent)) for member, percent in shares)


def income(*shares: tuple[str, str]) -> tuple[r.IncomeShare, ...]:
    """Yuan by member."""
    return tuple(r.IncomeShare(member, _three(amount)) for member, amount in shares)


def _three(amount: str) -> Decimal:
    return Decimal(amount).quantize(Decimal("0.001"))


TWO = owners((HOME, "60"), (HOST, "40"))
# What a status needs beside the facts of the result.
WORDS: dict[str, dict[str, Any]] = {
    "signed": {"mode": "license", "contract_kind": "license"},
    "registered": {"contract_registration_no": "2028510101000123"},
    "income_shared": {"income_shares": income((HOME, "60000"), (HOST, "40000.5"))},
}


def result(ledger: Ledger, status: str, **said: Any) -> r.Entry:
    """A statement about result `x1` of HOME and HOST, for which HOME speaks."""
    facts = {
        "achievement_id": "x1", "owner": HOME, "owners": TWO, "project_id": None, "visibility": "owners",
    } | WORDS.get(status, {}) | said  # fmt: skip
    return ledger.tell("transfer.achievement-changed", status=status, **facts)


def known(state: str) -> Ledger:
    """A ledger with result `x1` in that state."""
    ledger = Ledger()
    for status in WAYS[state]:
        ledger.applied(result(ledger, status))
    return ledger


def test_the_life_of_a_result_is_the_agreed_one() -> None:
    """What campuses were told, line by line; the tests below take the table for granted."""
    agreed_lines = """
        disclosed published
        disclosed withdrawn
        published negotiating
        published withdrawn
        negotiating signed
        negotiating withdrawn
        signed registered
        signed terminated
        registered implemented
        registered terminated
        implemented income_shared
        implemented terminated
        income_shared income_shared
        income_shared terminated
    """
    lines = {tuple(line.split()) for line in agreed_lines.strip().splitlines()}
    assert lines == {(step.before, step.after) for step in ACHIEVEMENT.steps if step.before}
    assert achievement_changed.LIFE is ACHIEVEMENT


@pytest.mark.parametrize("status", [state for state in WAYS if state])
@pytest.mark.parametrize("state", WAYS)
def test_a_result_goes_on_only_along_its_table(state: str, status: str) -> None:
    """It begins disclosed, may stay in any open state, and has one owner next until it is closed."""
    ledger = known(state)
    entry = result(ledger, status)
    if ACHIEVEMENT.step(state, status) or (status == state and state in OPEN):
        assert entry.outcome == "applied", entry.detail
        (change,) = entry.changes
        assert (change.kind, change.id, change.state) == ("achievement", "x1", status)
        assert change.next_actors == ((HOME,) if status in OPEN else ())
        assert change.closed is (status not in OPEN)
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"is {state or 'new'}", status, "possible:")


def test_only_the_member_that_speaks_for_the_owners_changes_a_result() -> None:
    """Another owner with a wish asks it."""
    entry = result(known("disclosed"), "published", owner=HOST)
    assert_refused(entry, "NOT_WRITER", f"stated by {HOME}, not {HOST}", f"ask {HOME}")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"status": "sold"}, "'sold'"),
        ({"maturity": 0}, "maturity 0"),
        ({"maturity": 10}, "maturity 10"),
        ({"owners": ()}, "owners none"),
        ({"owners": owners((HOME, "60"), (HOME, "40"))}, f"owners {HOME}, {HOME}"),
        ({"owners": owners((HOME, "100"), (HOST, "0"))}, "shares of 100, 0 percent"),
        ({"owners": owners((HOME, "110"), (HOST, "-10"))}, "shares of 110, -10 percent"),
        ({"owners": owners((HOME, "60"), (HOST, "39.999"))}, "99.999 in all"),
        ({"owners": owners((HOME, "60"), (HOST, "40.001"))}, "100.001 in all"),
        ({"income_shares": income((HOME, "0"))}, "more than 0 yuan"),
        ({"income_shares": income((HOME, "1"), (HOME, "2"))}, "twice with a member"),
        ({"visibility": "world"}, "'world'"),
    ],
)
def test_a_result_contradicts_itself_nowhere(said: dict[str, Any], told: str) -> None:
    """A status there is, a level from 1 to 9, owners once with shares of 100 percent, income above zero."""
    facts = {"status": "disclosed"} | said
    assert_refused(result(Ledger(), **facts), "CONTENT_INVALID", "x1", told)


def test_three_thirds_are_not_a_hundred_percent() -> None:
    """Shares are exact; one of the owners takes the last thousandth."""
    ledger = Ledger()
    thirds = [(HOME, "33.333"), (HOST, "33.333"), (OTHER, "33.333")]
    assert_refused(result(ledger, "disclosed", owners=owners(*thirds)), "CONTENT_INVALID", "99.999")
    thirds[0] = (HOME, "33.334")
    ledger.applied(result(ledger, "disclosed", owners=owners(*thirds)))


def test_owners_are_members_and_the_owner_is_one_of_them() -> None:
    """Enterprises are no owners here; they are partners of a contract."""
    ledger = Ledger()
    entry = result(ledger, "disclosed", owners=owners((HOME, "50"), ("99999", "50")))
    assert_refused(entry, "UNKNOWN_MEMBER", "99999")
    entry = result(ledger, "disclosed", owners=owners((HOST, "100")))
    assert_refused(entry, "NOT_WRITER", f"owned by {HOST}", f"{HOME} is no owner")


def test_a_result_waits_for_its_project() -> None:
    """It may be of a project that another member leads."""
    ledger = Ledger()
    entry = result(ledger, "disclosed", project_id="p1")
    assert_waits(entry, "UNKNOWN_REFERENCE", "p1", "project.changed")
    ledger.project("p1", HOME, lead=OTHER)
    assert ledger.last[1].outcome == "applied"


def test_the_owner_is_in_the_project() -> None:
    """Nobody has results of a project of others."""
    ledger = Ledger()
    ledger.project("p1", OTHER, lead=HOST)
    entry = result(ledger, "disclosed", project_id="p1")
    assert_refused(entry, "ILLEGAL_TRANSITION", "p1", f"{HOME} is no partner")


@pytest.mark.parametrize("state", ["disclosed", "published", "negotiating"])
def test_shares_may_change_until_a_contract_is_signed(state: str) -> None:
    """Up to and with the signature."""
    ledger = known(state)
    other = owners((HOST, "50"), (HOME, "50"))
    ledger.applied(result(ledger, state, owners=other))
    if state == "negotiating":
        ledger.applied(result(ledger, "signed", owners=owners((HOME, "70"), (HOST, "30"))))
        assert ledger.find(Achievement, "x1").shares == (Share(HOME, 70_000), Share(HOST, 30_000))


@pytest.mark.parametrize(
    ("state", "status"),
    [("signed", "signed"), ("signed", "registered"), ("registered", "implemented"),
     ("implemented", "income_shared"), ("income_shared", "income_shared"), ("signed", "terminated")],
)  # fmt: skip
def test_shares_stay_once_a_contract_is_signed(state: str, status: str) -> None:
    """The contract names them. Their order does not matter."""
    ledger = known(state)
    entry = result(ledger, status, owners=owners((HOME, "59.999"), (HOST, "40.001")))
    assert_refused(entry, "ILLEGAL_TRANSITION", f"{HOME} 60%, {HOST} 40%", "stay as they are")
    ledger.applied(result(ledger, status, owners=owners((HOST, "40"), (HOME, "60"))))


@pytest.mark.parametrize(
    ("status", "field", "nothing"),
    [
        ("signed", "mode", None),
        ("signed", "contract_kind", ""),
        ("registered", "contract_registration_no", None),
        ("income_shared", "income_shares", ()),
    ],
)
def test_a_status_needs_its_facts(status: str, field: str, nothing: Any) -> None:
    """A contract has a kind, a registration a number, a distribution somebody who gets it."""
    ledger = known(WAYS[status][-2])
    assert_refused(result(ledger, status, **{field: nothing}), "CONTENT_INVALID", field)
    ledger.applied(result(ledger, status))


def test_income_is_shared_among_owners() -> None:
    """What inventors get is their university's business."""
    ledger = known("implemented")
    entry = result(ledger, "income_shared", income_shares=income((HOME, "1"), (OTHER, "1")))
    assert_refused(entry, "NOT_WRITER", OTHER, f"owners are {HOME}, {HOST}")


def test_income_is_given_with_its_status_alone() -> None:
    """Else it would be taken for one more distribution, or for none."""
    entry = result(known("registered"), "implemented", income_shares=income((HOME, "1")))
    assert_refused(entry, "CONTENT_INVALID", "implemented", "with income_shared")


def test_shared_income_counts_for_each_owner() -> None:
    """In thousandths of a yuan; whether it follows the shares is the owners' business."""
    ledger = known("implemented")
    entry = ledger.applied(result(ledger, "income_shared"))
    source = proceeds_account("x1")
    assert entry.postings == (
        r.Posting("move", source, income_account(HOME, "x1"), CNY, 60_000_000, None),
        r.Posting("move", source, income_account(HOST, "x1"), CNY, 40_000_500, None),
    )


def test_income_is_shared_as_often_as_there_is_some() -> None:
    """Each event tells of one distribution; they add up."""
    ledger = known("income_shared")
    shares = income((HOME, "0.001"))
    entry = ledger.applied(result(ledger, "income_shared", income_shares=shares))
    assert postings(entry) == [("move", 1)]
    assert ledger.state.book.balance(income_account(HOME, "x1"), CNY).net == 60_000_001


@pytest.mark.parametrize("state", [state for state in OPEN if state != "income_shared"])
def test_only_shared_income_moves(state: str) -> None:
    """All else is told, not booked."""
    assert not postings(known(state).last[0])


@pytest.mark.parametrize(
    ("visibility", "told"),
    [("owners", (HOST,)), ("members", (HOST, OTHER, FOURTH)), ("public", (HOST, OTHER, FOURTH))],
)
def test_the_owner_says_who_is_told(visibility: str, told: tuple[str, ...]) -> None:
    """Before it is published, often the owners alone."""
    ledger = Ledger()
    assert ledger.applied(result(ledger, "disclosed", visibility=visibility)).audience == told


def test_a_member_that_sold_its_share_is_told_so() -> None:
    """Else it would keep the result as its own."""
    ledger = known("disclosed")
    entry = ledger.applied(result(ledger, "disclosed", owners=owners((HOME, "100"))))
    assert entry.audience == (HOST,)
    entry = ledger.applied(result(ledger, "published", owners=owners((HOME, "100"))))
    assert entry.audience == ()


def test_owners_campuses_hold_a_result() -> None:
    """And agree on its state and shares. Nothing is due."""
    thing = known("signed").find(Achievement, "x1")
    assert thing.concerned() == {HOME, HOST}
    assert thing.summary() == f"signed {HOME} 60%, {HOST} 40%"
    assert thing.deadline_ms() is None


@pytest.mark.parametrize(
    ("said", "english", "chinese"),
    [
        ({}, "polyethylene (Sichuan University 60%, Chongqing 40%) is disclosed", "（四川大学60%、重庆大学40%）已披露"),
        ({"status": "negotiating", "titles": ()}, "a research result (", "成果“”（"),
        (
            {"status": "income_shared", "income_shares": income((HOME, "60000"), (HOST, "0.5"))},
            "income shared; yuan: Sichuan University 60000, Chongqing 0.5",
            "已分配收益：四川大学60000元、重庆大学0.5元",
        ),
        ({"status": "x-{}"}, "is x-{}", "x-{}"),
    ],
)  # fmt: skip
def test_a_result_as_a_sentence(said: dict[str, Any], english: str, chinese: str) -> None:
    """What, whose, how far, and who got how much."""
    record = Ledger().record("transfer.achievement-changed", owner=HOME, owners=TWO, **said)
    text = sentence(record, NAMES)
    assert english in text.en
    assert chinese in text.zh
