"""Rules of secondments: the lender proposes, the borrower takes, assesses, and the days count at the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from hub.domain.quantities import DAY, PLACE
from hub.domain.teaching import SECONDMENT, Secondment
from hub.events import Names, sentence
from hub.events.teaching import secondment_changed
from hub.ledger.posting import (
    borrowed_account,
    filled_account,
    quota_account,
    seconded_account,
)
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

LENDER, BORROWER = HOME, HOST
NAMES = Names({LENDER: ("Sichuan University", "四川大学"), BORROWER: ("Chongqing", "重庆大学")})
FIRST, LAST = date(2027, 9, 1), date(2028, 8, 31)
SIGNERS = {
    "proposed": LENDER,
    "approved": BORROWER,
    "declined": BORROWER,
    "started": BORROWER,
    "extended": LENDER,
    "ended": BORROWER,
    "recalled": LENDER,
}
WAYS = {
    "": (),
    "proposed": ("proposed",),
    "approved": ("proposed", "approved"),
    "declined": ("proposed", "declined"),
    "started": ("proposed", "approved", "started"),
    "ended": ("proposed", "approved", "started", "ended"),
    "recalled": ("proposed", "recalled"),
}
# What a step says beside the facts of the proposal.
WORDS: dict[str, dict[str, Any]] = {
    "extended": {"to_date": date(2028, 12, 31)},
    "ended": {"assessment": "competent"},
}


def second(ledger: Ledger, step: str, **said: Any) -> r.Entry:
    """A step of secondment `s1`: a person of LENDER at BORROWER for a year."""
    facts = {
        "secondment_id": "s1", "staff_id": "t1", "lender": LENDER, "borrower": BORROWER,
        "from_date": FIRST, "to_date": LAST, "by": SIGNERS.get(step, LENDER),
    } | WORDS.get(step, {}) | said  # fmt: skip
    return ledger.tell("teaching.secondment-changed", step=step, **facts)


def seconded(state: str, **said: Any) -> Ledger:
    """A ledger with secondment `s1` in that state."""
    ledger = Ledger()
    for step in WAYS[state]:
        ledger.applied(second(ledger, step, **said))
    return ledger


def agreed(ledger: Ledger, per_year: int, kind: str = "secondment") -> None:
    """Agreement `g1` in effect for 2027-2028: so many people of LENDER at BORROWER."""
    conditions = replace(
        ledger.record("agreement.changed").conditions,
        kind=kind, first_year="2027-2028", last_year="2027-2028",
        quotas=(r.AgreementQuota(LENDER, BORROWER, per_year),),
    )  # fmt: skip
    for step, party in (("proposed", LENDER), ("approved", BORROWER)):
        said = {"party": party, "parties": (LENDER, BORROWER), "conditions": conditions}
        ledger.applied(ledger.tell("agreement.changed", agreement_id="g1", step=step, **said))


def places(ledger: Ledger) -> tuple[int, int, int]:
    """Places of LENDER at BORROWER under `g1`: left, reserved, filled."""
    book, where = ledger.state.book, ("g1", LENDER, BORROWER, "2027-2028")
    filled = book.balance(filled_account(*where), PLACE)
    left = book.balance(quota_account(*where), PLACE).available
    return left, filled.pending_in, filled.posted_in


def test_the_life_of_a_secondment_is_the_agreed_one() -> None:
    """What campuses were told, line by line; the tests below take the table for granted."""
    agreed_lines = """
        proposed approved approved
        proposed declined declined
        approved started started
        started extended started
        started ended ended
        proposed recalled recalled
        approved recalled recalled
        started recalled recalled
    """
    lines = [line.split() for line in agreed_lines.strip().splitlines()]
    table = {(step.before, step.name): step.after for step in SECONDMENT.steps if step.before}
    assert {(before, step): after for before, step, after in lines} == table
    assert secondment_changed.LIFE is SECONDMENT


@pytest.mark.parametrize("signer", [LENDER, BORROWER])
@pytest.mark.parametrize("step", SIGNERS)
@pytest.mark.parametrize("state", WAYS)
def test_a_secondment_goes_on_only_along_its_table_by_the_right_side(
    state: str, step: str, signer: str
) -> None:
    """The lender proposes, extends and recalls, the borrower does the rest. The wrong side is told first."""
    ledger = seconded(state)
    entry = second(ledger, step, by=signer)
    if signer != SIGNERS[step]:
        assert_refused(entry, "NOT_WRITER", f"{step} is stated by {SIGNERS[step]}", f"by {signer}")
    elif step == "proposed":
        if state:
            assert_refused(entry, "ILLEGAL_TRANSITION", "s1", state, "id of its own")
        else:
            assert entry.outcome == "applied"
    elif not state:
        assert_waits(entry, "UNKNOWN_REFERENCE", "s1", f"proposal of {LENDER}")
    elif reached := SECONDMENT.step(state, step):
        assert entry.outcome == "applied", entry.detail
        assert ledger.find(Secondment, "s1").state == reached.after
        assert entry.audience == ((BORROWER,) if signer == LENDER else (LENDER,))
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"is {state}", step, "possible:")
        assert ledger.find(Secondment, "s1").state == state


@pytest.mark.parametrize("state", [state for state in WAYS if state])
def test_the_borrower_is_next_until_the_end(state: str) -> None:
    """It approves, reports the start and the end; closed secondments wait for nobody."""
    (change,) = seconded(state).last[0].changes
    is_open = state in ("proposed", "approved", "started")
    assert (change.kind, change.id, change.state) == ("secondment", "s1", state)
    assert change.next_actors == ((BORROWER,) if is_open else ())
    assert change.closed is not is_open


def test_a_step_nobody_knows_is_refused() -> None:
    """It is told before anything else."""
    entry = second(Ledger(), "promoted", borrower="99999")
    assert_refused(entry, "CONTENT_INVALID", "'promoted'", "approved, declined, ended")


def test_a_secondment_is_between_two_members() -> None:
    """A code that is no member would wait for ever; a post at home is no secondment."""
    ledger = Ledger()
    assert_refused(second(ledger, "proposed", borrower="99999"), "UNKNOWN_MEMBER", "99999")
    entry = second(ledger, "proposed", borrower=LENDER)
    assert_refused(entry, "ILLEGAL_TRANSITION", f"between {LENDER} and itself")


def test_the_last_day_is_not_before_the_first() -> None:
    """One day is enough."""
    ledger = Ledger()
    entry = second(ledger, "proposed", to_date=date(2027, 8, 31))
    assert_refused(entry, "CONTENT_INVALID", "2027-08-31", "2027-09-01")
    ledger.applied(second(ledger, "proposed", to_date=FIRST))


def test_a_secondment_that_would_be_over_is_not_proposed() -> None:
    """The day is over when it has ended in Shanghai."""
    ledger = Ledger()
    ledger.tick(datetime(2028, 8, 31, 15, 59, 58, tzinfo=UTC))
    ledger.applied(second(ledger, "proposed", secondment_id="s0"))
    ledger.tick(datetime(2028, 8, 31, 16, tzinfo=UTC))
    entry = second(ledger, "proposed")
    assert_refused(entry, "DEADLINE_PASSED", "2028-08-31", "2028-09-01", "later day")


@pytest.mark.parametrize("said", [{"staff_id": "t2"}, {"lender": OTHER}, {"borrower": FOURTH}])
def test_a_later_step_names_the_same_people(said: dict[str, str]) -> None:
    """Else a step would reach another member's secondment."""
    ledger = seconded("proposed")
    signer = said.get("borrower", BORROWER)
    entry = second(ledger, "approved", by=signer, **said)
    assert_refused(entry, "NOT_WRITER", "t1", LENDER, BORROWER, "correct")


def test_a_step_that_overtook_the_proposal_waits_for_it() -> None:
    """Two outboxes have no order between them."""
    ledger = Ledger()
    assert_waits(second(ledger, "approved"), "UNKNOWN_REFERENCE", "s1", LENDER)
    second(ledger, "proposed")
    assert [entry.outcome for entry in ledger.last] == ["applied", "applied"]
    assert ledger.find(Secondment, "s1").state == "approved"


def test_the_lender_extends_a_stay_to_a_later_day() -> None:
    """As often as it likes; the borrower is reminded at the new day only."""
    ledger = seconded("started")
    assert ledger.last[0].changes[0].due_at == datetime(2028, 8, 31, 16, tzinfo=UTC)
    for later in (date(2028, 9, 30), date(2028, 10, 31)):
        entry = ledger.applied(second(ledger, "extended", to_date=later))
        assert not entry.postings
    assert entry.changes[0].due_at == datetime(2028, 10, 31, 16, tzinfo=UTC)
    assert ledger.tick(datetime(2028, 10, 1, tzinfo=UTC)) == []


@pytest.mark.parametrize("day", [LAST, date(2028, 8, 30)])
def test_an_extension_is_to_a_later_day(day: date) -> None:
    """A shorter stay is ended or recalled."""
    ledger = seconded("started")
    entry = second(ledger, "extended", to_date=day)
    assert_refused(entry, "CONTENT_INVALID", f"ends on {LAST}", str(day), "later day")


@pytest.mark.parametrize(
    ("last", "days"), [(LAST, 366), (date(2028, 3, 1), 183), (FIRST, 1), (date(2027, 9, 2), 2)]
)
def test_the_days_count_when_the_stay_has_ended(last: date, days: int) -> None:
    """First and last day included, February 29th too, from the lender to the borrower. It may end early."""
    ledger = seconded("started")
    (moved,) = ledger.applied(second(ledger, "ended", to_date=last)).postings
    where = (seconded_account(LENDER, BORROWER), borrowed_account(BORROWER, LENDER))
    assert moved == r.Posting("move", *where, DAY, days, None)
    assert ledger.find(Secondment, "s1").summary() == f"ended until {last}"


@pytest.mark.parametrize("assessment", ["outstanding", "competent", "basic", "not"])
def test_the_end_has_one_of_four_assessments(assessment: str) -> None:
    """优秀, 称职, 基本称职, 不称职."""
    ledger = seconded("started")
    ledger.applied(second(ledger, "ended", assessment=assessment))


@pytest.mark.parametrize("assessment", [None, "excellent", ""])
def test_an_end_without_a_proper_assessment_is_refused(assessment: str | None) -> None:
    """The lender needs it for the person's file."""
    ledger = seconded("started")
    entry = second(ledger, "ended", assessment=assessment)
    assert_refused(entry, "CONTENT_INVALID", repr(assessment), "outstanding, competent, basic, not")


def test_an_end_after_the_last_day_needs_an_extension_first() -> None:
    """Days beyond what the lender allowed are not counted; after the extension they are."""
    ledger = seconded("started")
    later = date(2028, 9, 1)
    entry = second(ledger, "ended", to_date=later)
    assert_refused(entry, "CONTENT_INVALID", str(LAST), str(later), f"ask {LENDER} to extend")
    ledger.applied(second(ledger, "extended", to_date=later))
    assert postings(ledger.applied(second(ledger, "ended", to_date=later))) == [("move", 367)]


def test_the_end_counts_from_the_first_day_as_proposed() -> None:
    """What moves is what both sides signed."""
    ledger = seconded("started")
    entry = second(ledger, "ended", from_date=date(2027, 10, 1))
    assert_refused(entry, "CONTENT_INVALID", str(FIRST), "2027-10-01", "as proposed")


def test_an_approval_takes_a_place_of_the_agreement_and_the_start_uses_it_up() -> None:
    """One person, one place of the year in which the stay begins; recalled later, it stays used."""
    ledger = Ledger()
    agreed(ledger, 2)
    assert not postings(ledger.applied(second(ledger, "proposed", agreement_id="g1")))
    assert postings(ledger.applied(second(ledger, "approved"))) == [("pend", 1)]
    assert places(ledger) == (1, 1, 0)
    assert postings(ledger.applied(second(ledger, "started"))) == [("post", 1)]
    assert places(ledger) == (1, 0, 1)
    assert not postings(ledger.applied(second(ledger, "recalled")))
    assert places(ledger) == (1, 0, 1)


def test_recalling_before_the_start_gives_the_place_back() -> None:
    """Another person can have it. A proposal has taken none."""
    ledger = Ledger()
    agreed(ledger, 1)
    for name in ("s1", "s2", "s3"):
        ledger.applied(second(ledger, "proposed", secondment_id=name, agreement_id="g1"))
    ledger.applied(second(ledger, "approved"))
    assert postings(ledger.applied(second(ledger, "recalled"))) == [("void", 1)]
    assert places(ledger) == (1, 0, 0)
    assert not postings(ledger.applied(second(ledger, "recalled", secondment_id="s2")))
    assert not postings(ledger.applied(second(ledger, "declined", secondment_id="s3")))


def test_without_a_place_left_a_secondment_is_not_approved() -> None:
    """It stays proposed."""
    ledger = Ledger()
    agreed(ledger, 0)
    ledger.applied(second(ledger, "proposed", agreement_id="g1"))
    entry = second(ledger, "approved")
    assert_refused(entry, "QUOTA_EXCEEDED", "g1", "0 places left", "2027-2028")
    assert ledger.find(Secondment, "s1").state == "proposed"


def test_a_secondment_waits_for_its_agreement() -> None:
    """Known is not yet in effect: under a mere proposal nobody is lent."""
    ledger = Ledger()
    assert_waits(second(ledger, "proposed", agreement_id="g1"), "UNKNOWN_REFERENCE", "g1")
    agreed(ledger, 1)
    (refused,) = [entry.entry for entry in ledger.entries if entry.entry.outcome == "rejected"]
    assert_refused(refused, "ILLEGAL_TRANSITION", "g1 is proposed", "in effect on secondment")
    ledger.applied(second(ledger, "proposed", agreement_id="g1"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("teacher", {}),
        ("secondment", {"borrower": OTHER}),
        ("secondment", {"from_date": date(2027, 8, 31)}),
    ],
)
def test_the_agreement_covers_the_secondment(kind: str, said: dict[str, Any]) -> None:
    """Its kind, its parties, its years: the year is that of the first day."""
    ledger = Ledger()
    agreed(ledger, 1, kind)
    entry = second(ledger, "proposed", agreement_id="g1", **said)
    assert_refused(entry, "ILLEGAL_TRANSITION", "g1", f"on {kind}", "another agreement")


@pytest.mark.parametrize("state", ["proposed", "approved", "ended", "recalled"])
def test_only_a_stay_under_way_has_a_deadline(state: str) -> None:
    """Before the start nobody is late by the last day, and after the end neither."""
    assert seconded(state).last[0].changes[0].due_at is None


def test_the_borrower_is_reminded_of_a_stay_whose_last_day_is_over() -> None:
    """It stays open until the borrower has assessed the person."""
    ledger = seconded("started")
    (near,) = ledger.tick(datetime(2028, 8, 28, 16, tzinfo=UTC))
    (over,) = ledger.tick(datetime(2028, 8, 31, 16, tzinfo=UTC))
    assert [near.flags, over.flags] == [("deadline_near",), ("deadline_over",)]
    assert near.audience == over.audience == (BORROWER,)
    ledger.applied(second(ledger, "ended"))


def test_both_campuses_hold_a_secondment() -> None:
    """And agree on its state and its last day."""
    thing = seconded("started").find(Secondment, "s1")
    assert thing.concerned() == {LENDER, BORROWER}
    assert thing.summary() == "started until 2028-08-31"


@pytest.mark.parametrize(
    ("step", "said", "english", "chinese"),
    [
        ("proposed", {}, "proposed the secondment of a person of Sichuan University to Chongqing as Deputy", "到重庆大学挂职，任“"),
        ("started", {"post": ()}, "reported the start of the secondment of a person of Sichuan University to Chongqing (", "挂职（"),
        ("ended", {"assessment": "not"}, "2028-08-31, assessment: not competent)", "考核不称职"),
        ("ended", {"assessment": "x-{}"}, "assessment: x-{}", "考核x-{}"),
        ("x-paused", {"kind": "x-tour"}, "x-paused the", "x-tour"),
    ],
)  # fmt: skip
def test_a_secondment_as_a_sentence(step: str, said: Any, english: str, chinese: str) -> None:
    """Who, from where to where, as what, how long, how well; unknown words stand for themselves."""
    facts = {"lender": LENDER, "borrower": BORROWER, "step": step, "by": LENDER} | said
    text = sentence(Ledger().record("teaching.secondment-changed", **facts), NAMES)
    assert english in text.en
    assert chinese in text.zh
