"""Rules of posts to fill: steps, counts of people, and the last day to apply."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from hub.domain.talent import JOB_POSTING, JobPosting
from hub.events import Names, sentence
from hub.events.talent import posting_changed
from schemas import records as r
from tests.support.ledger import FOURTH, HOME, HOST, OTHER, Ledger, assert_refused

NAMES = Names({HOME: ("Sichuan University", "四川大学"), HOST: ("Chongqing", "重庆大学")})
WAYS = {
    "": (),
    "planned": ("planned",),
    "open": ("planned", "open"),
    "closed": ("planned", "open", "closed"),
    "filled": ("planned", "open", "closed", "filled"),
    "cancelled": ("planned", "cancelled"),
}
OPEN = ("planned", "open", "closed")


def counts(applied: int, interviewed: int, offered: int, accepted: int) -> dict[str, int]:
    """People up to now."""
    return {
        "applied": applied, "interviewed": interviewed, "offered": offered, "accepted": accepted,
    }  # fmt: skip


def post(ledger: Ledger, status: str, **said: Any) -> r.Entry:
    """A statement of HOST about post `j1`, which it fills together with HOME: 2 people wanted, 1 accepted."""
    facts = {
        "posting_id": "j1", "recruiter": HOST, "members": (HOME, HOST), "headcount": 2,
    } | counts(9, 3, 2, 1) | said  # fmt: skip
    return ledger.tell("talent.posting-changed", status=status, **facts)


def known(state: str, **said: Any) -> Ledger:
    """A ledger with post `j1` in that state."""
    ledger = Ledger()
    for status in WAYS[state]:
        ledger.applied(post(ledger, status, **said))
    return ledger


def test_the_life_of_a_post_is_the_agreed_one() -> None:
    """What campuses were told, line by line; the tests below take the table for granted."""
    agreed_lines = """
        planned open
        planned cancelled
        open closed
        open cancelled
        closed filled
        closed cancelled
    """
    lines = {tuple(line.split()) for line in agreed_lines.strip().splitlines()}
    assert lines == {(step.before, step.after) for step in JOB_POSTING.steps if step.before}
    assert posting_changed.LIFE is JOB_POSTING


@pytest.mark.parametrize("status", [state for state in WAYS if state])
@pytest.mark.parametrize("state", WAYS)
def test_a_post_goes_on_only_along_its_table(state: str, status: str) -> None:
    """It begins planned or open, may stay in any open state, and waits for its recruiter until it is closed for good."""
    ledger = known(state)
    entry = post(ledger, status)
    if JOB_POSTING.step(state, status) or (status == state and state in OPEN):
        assert entry.outcome == "applied", entry.detail
        assert entry.audience == (HOME, OTHER, FOURTH)
        assert not entry.postings
        (change,) = entry.changes
        assert (change.kind, change.id, change.state) == ("posting", "j1", status)
        assert change.next_actors == ((HOST,) if status in OPEN else ())
        assert change.closed is (status not in OPEN)
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"is {state or 'new'}", status, "possible:")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"status": "frozen"}, "'frozen'"),
        ({"headcount": 0}, "wants 0 people"),
        ({"opens_on": date(2027, 12, 1)}, "before it opens on 2027-12-01"),
        (counts(-1, -1, -1, -1), "-1 applied"),
        (counts(0, 0, 0, -1), "-1 accepted"),
        (counts(1, 2, 0, 0), "1 applied, 2 interviewed"),
        (counts(9, 2, 3, 0), "2 interviewed, 3 offered"),
        (counts(9, 3, 1, 2), "1 offered, 2 accepted"),
        ({"members": (HOST, HOME, HOST)}, f"{HOST}, {HOME}, {HOST}"),
    ],
)
def test_a_post_contradicts_itself_nowhere(said: dict[str, Any], told: str) -> None:
    """Nobody is offered the post who was not interviewed, nobody interviewed who did not apply."""
    facts = {"status": "planned"} | said
    assert_refused(post(Ledger(), **facts), "CONTENT_INVALID", "j1", told)


def test_one_day_to_apply_is_enough() -> None:
    """As at a fair."""
    ledger = Ledger()
    ledger.applied(post(ledger, "open", opens_on=date(2027, 11, 30)))


def test_members_recruit_and_the_recruiter_is_one_of_them() -> None:
    """A code that is no member is told, and so is a recruiter for others."""
    ledger = Ledger()
    entry = post(ledger, "planned", members=(HOST, "99999"))
    assert_refused(entry, "UNKNOWN_MEMBER", "99999")
    entry = post(ledger, "planned", members=(HOME, OTHER))
    assert_refused(entry, "NOT_WRITER", f"is of {HOME}, {OTHER}", f"{HOST} is not among them")
    assert_refused(post(ledger, "planned", members=()), "NOT_WRITER", "nobody")


def test_only_the_recruiter_changes_a_post() -> None:
    """Members that recruit with it ask it."""
    entry = post(known("planned"), "open", recruiter=HOME)
    assert_refused(entry, "NOT_WRITER", f"stated by {HOST}, not {HOME}", f"ask {HOST}")


@pytest.mark.parametrize("fewer", [(8, 3, 2, 1), (9, 2, 2, 1), (9, 3, 1, 1), (9, 3, 2, 0)])
def test_counts_of_people_do_not_shrink(fewer: tuple[int, int, int, int]) -> None:
    """They count people up to now; who withdraws has applied all the same."""
    entry = post(known("open"), "open", **counts(*fewer))
    assert_refused(entry, "ILLEGAL_TRANSITION", "had 9 applied", f"says {fewer[0]} applied")


def test_counts_grow_in_every_open_state() -> None:
    """Interviews are held after the call has closed."""
    ledger = known("closed")
    ledger.applied(post(ledger, "closed", **counts(9, 5, 4, 2)))
    assert ledger.find(JobPosting, "j1").counts == (9, 5, 4, 2)


def test_no_more_accept_than_are_wanted() -> None:
    """Or more are wanted: the headcount may be raised."""
    ledger = known("closed")
    entry = post(ledger, "filled", **counts(9, 3, 3, 3))
    assert_refused(entry, "QUOTA_EXCEEDED", "wants 2 people, 3 accepted", "raise the headcount")
    ledger.applied(post(ledger, "filled", headcount=3, **counts(9, 3, 3, 3)))


def test_a_post_that_nobody_accepted_is_not_filled() -> None:
    """One is enough, though more were wanted."""
    ledger = known("closed", **counts(9, 3, 2, 0))
    entry = post(ledger, "filled", **counts(9, 3, 2, 0))
    assert_refused(entry, "ILLEGAL_TRANSITION", "0 accepted", "cancel it")
    ledger.applied(post(ledger, "filled"))


@pytest.mark.parametrize("state", ["", "planned"])
def test_a_post_is_not_opened_after_its_last_day(state: str) -> None:
    """The day is over when it has ended in Shanghai. With a later day it opens."""
    ledger = known(state)
    ledger.tick(datetime(2027, 11, 30, 16, tzinfo=UTC))
    entry = post(ledger, "open")
    assert_refused(entry, "DEADLINE_PASSED", "2027-11-30", "2027-12-01", "later day")
    ledger.applied(post(ledger, "open", closes_on=date(2027, 12, 1)))


def test_a_post_opens_on_its_last_day() -> None:
    """A second before midnight in Shanghai."""
    ledger = known("planned")
    ledger.tick(datetime(2027, 11, 30, 15, 59, 59, tzinfo=UTC))
    ledger.applied(post(ledger, "open"))


def test_the_recruiter_is_reminded_to_close_a_call() -> None:
    """It stays open until the recruiter says so; counts can still be told. Only open calls have a last day."""
    ledger = known("planned")
    assert ledger.last[0].changes[0].due_at is None
    ledger.applied(post(ledger, "open"))
    assert ledger.last[0].changes[0].due_at == datetime(2027, 11, 30, 16, tzinfo=UTC)
    (near,) = ledger.tick(datetime(2027, 11, 27, 16, tzinfo=UTC))
    (over,) = ledger.tick(datetime(2027, 11, 30, 16, tzinfo=UTC))
    assert [near.flags, over.flags] == [("deadline_near",), ("deadline_over",)]
    assert near.audience == over.audience == (HOST,)
    ledger.applied(post(ledger, "open", **counts(10, 3, 2, 1)))
    ledger.applied(post(ledger, "closed", **counts(10, 3, 2, 1)))
    assert ledger.last[0].changes[0].due_at is None


def test_a_planned_post_may_have_its_last_day_behind_it() -> None:
    """Plans are moved; only opening looks at the day."""
    ledger = Ledger()
    ledger.tick(datetime(2028, 1, 1, tzinfo=UTC))
    ledger.applied(post(ledger, "planned"))


def test_members_that_recruit_together_hold_a_post() -> None:
    """And agree on its state and how many accepted."""
    thing = known("closed").find(JobPosting, "j1")
    assert thing.concerned() == {HOME, HOST}
    assert thing.summary() == "closed 1 of 2 accepted"


@pytest.mark.parametrize(
    ("said", "english", "chinese"),
    [
        ({}, "Chongqing with Sichuan University recruits for Early-career teacher", "重庆大学与四川大学计划招聘“"),
        ({"members": (HOST,)}, "Chongqing recruits for", "重庆大学计划招聘“"),
        ({"status": "filled", **counts(9, 3, 2, 1)}, ": filled, 2 wanted, 9 applied, 1 accepted", "报名9人，接受聘用1人"),
        ({"status": "x-{}", "post": ()}, "recruits for a post: x-{}", "x-{}“”"),
    ],
)  # fmt: skip
def test_a_post_as_a_sentence(said: dict[str, Any], english: str, chinese: str) -> None:
    """Who recruits for what, and the counts; nobody is named."""
    record = Ledger().record("talent.posting-changed", recruiter=HOST, **said)
    text = sentence(record, NAMES)
    assert english in text.en
    assert chinese in text.zh
