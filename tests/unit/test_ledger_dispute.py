"""Disputes: who takes which step, what stands still meanwhile, and how they end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hub.domain.credit import Award, Recognition
from hub.domain.dispute import ANSWER_DAYS, Dispute, Frozen
from hub.ledger.audit import Audit
from schemas import records as r
from schemas.envelope import from_millis
from tests.support.ledger import (
    FOURTH,
    HOME,
    HOST,
    MEMBERS,
    OTHER,
    Ledger,
    assert_refused,
    assert_waits,
)

FIFTH = "10651"
LATER: dict[str, Any] = {
    "about_kind": None, "about_id": None, "respondent": None, "arbiters": (), "ground": None, "statement_hash": None,
}  # fmt: skip


def start(ledger: Ledger, dispute_id: str = "d1", **said: Any) -> r.Entry:
    """Home disputes award w1 with its host."""
    facts = {
        "party": HOME, "step": "open", "about_kind": "award", "about_id": "w1", "respondent": HOST, "arbiters": (),
        "ground": "amount", "resolution": None, "statement_hash": None,
    } | said  # fmt: skip
    return ledger.tell("dispute.changed", dispute_id=dispute_id, **facts)


def step(
    ledger: Ledger, party: str, name: str, resolution: str | None = None, **said: Any
) -> r.Entry:
    facts = {"dispute_id": "d1", "party": party, "step": name, "resolution": resolution}
    return ledger.tell("dispute.changed", **(LATER | facts | said))


def disputed(**said: Any) -> Ledger:
    """Award w1 of HOST for a student of HOME, in dispute."""
    ledger = Ledger((*MEMBERS, FIFTH))
    ledger.awarded()
    ledger.applied(start(ledger, **said))
    return ledger


def dispute(ledger: Ledger) -> Any:
    return ledger.find(Dispute, "d1")


def frozen(ledger: Ledger, thing: str = "award/w1") -> Any:
    return ledger.find(Frozen, thing)


# What stands still


def test_while_a_dispute_is_open_the_item_stands_still() -> None:
    """Neither side creates facts: the host corrects nothing, the home opens no case. Afterwards both go on."""
    ledger = disputed()
    assert_refused(ledger.correct("w1", "2"), "DISPUTED", "award w1", "d1")
    assert_refused(ledger.ask("r1", ["w1"]), "DISPUTED", "award w1", "d1")
    ledger.applied(step(ledger, HOME, "withdraw"))
    ledger.applied(ledger.correct("w1", "2"))
    ledger.applied(ledger.ask("r2", ["w1"]))


def test_other_things_of_both_sides_go_on() -> None:
    """A dispute about one award is no embargo."""
    ledger = disputed()
    ledger.awarded("w2")
    ledger.applied(ledger.ask("r2", ["w2"]))


def test_an_award_in_an_open_case_holds_the_case_too() -> None:
    """The case cannot be decided without the award, so its clock stands still with it."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.applied(start(ledger))
    assert dispute(ledger).holds == (("award", "w1"), ("recognition", "r1"))
    assert_refused(ledger.rule("r1", "3"), "DISPUTED")
    due_ms = ledger.find(Recognition, "r1").due_ms
    ledger.tick(from_millis(due_ms) + timedelta(days=2))
    assert ledger.find(Recognition, "r1").state == "requested"
    ledger.applied(step(ledger, HOME, "withdraw"))
    ledger.applied(ledger.rule("r1", "3"))


def test_a_decided_case_does_not_stand_still_with_its_award() -> None:
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.applied(ledger.rule("r1", "3"))
    ledger.applied(start(ledger))
    assert dispute(ledger).holds == (("award", "w1"),)


def test_the_clock_of_an_item_goes_on_where_it_stood() -> None:
    """Ten days in dispute are ten days more; a second dispute adds its own."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    due = from_millis(ledger.find(Recognition, "r1").due_ms)
    ledger.tick(due - timedelta(days=5))
    ledger.applied(start(ledger))
    ledger.tick(due + timedelta(days=5))
    assert ledger.find(Recognition, "r1").state == "requested"
    ledger.applied(step(ledger, HOME, "withdraw"))
    paused_ms = frozen(ledger, "recognition/r1").paused_ms
    assert abs(paused_ms - 10 * 86_400_000) < 60_000
    assert frozen(ledger, "recognition/r1").dispute_id == ""
    ledger.tick(due + timedelta(days=9))
    assert ledger.find(Recognition, "r1").state == "requested"
    ledger.applied(start(ledger, "d2"))
    assert frozen(ledger, "recognition/r1").paused_ms == paused_ms
    ledger.tick(due + timedelta(days=11))
    ledger.applied(step(ledger, HOME, "withdraw", dispute_id="d2"))
    assert abs(frozen(ledger, "recognition/r1").paused_ms - 12 * 86_400_000) < 120_000
    flags = ledger.tick(due + timedelta(days=13))
    assert [flag.flags for flag in flags] == [("expired",)]
    assert ledger.find(Recognition, "r1").state == "expired"


def test_before_the_ledger_looked_at_its_clock_nothing_is_paused() -> None:
    """Its clock shows 0 then; fifty years would be a long pause."""
    ledger = disputed()
    assert dispute(ledger).deadline_ms() is None
    ledger.tick()
    ledger.applied(step(ledger, HOME, "withdraw"))
    assert frozen(ledger).paused_ms == 0


# Opening


def test_those_whose_item_it_is_and_the_arbiters_hear_of_it() -> None:
    """And nobody else: a dispute is between two."""
    ledger = disputed(arbiters=(OTHER,))
    assert ledger.last[0].audience == tuple(sorted((HOST, OTHER)))
    assert dispute(ledger).turn() == (HOST,)
    assert not ledger.last[0].postings


@pytest.mark.parametrize(
    ("said", "reason", "what"),
    [
        ({"about_kind": None}, "CONTENT_INVALID", "lacks item"),
        ({"about_id": ""}, "CONTENT_INVALID", "lacks item"),
        ({"respondent": None}, "CONTENT_INVALID", "lacks item, respondent"),
        ({"ground": None}, "CONTENT_INVALID", "or ground"),
        ({"ground": "taste"}, "CONTENT_INVALID", "amount, identity"),
        ({"step": "appeal"}, "CONTENT_INVALID", "open, answer"),
        ({"resolution": "void"}, "CONTENT_INVALID", "only propose"),
        ({"statement_hash": "f00"}, "CONTENT_INVALID", "64 hex digits"),
        ({"about_kind": "offering"}, "CONTENT_INVALID", "'offering'"),
        ({"about_kind": "dispute"}, "CONTENT_INVALID", "'dispute'"),
        ({"arbiters": (OTHER, OTHER)}, "CONTENT_INVALID", "different members"),
        ({"arbiters": (HOST,)}, "CONTENT_INVALID", "different members"),
        ({"respondent": HOME}, "CONTENT_INVALID", "different members"),
        ({"respondent": "99999"}, "UNKNOWN_MEMBER", "99999"),
        ({"arbiters": ("99998",)}, "UNKNOWN_MEMBER", "99998"),
        ({"respondent": OTHER}, "NOT_WRITER", HOME, ),
        ({"party": OTHER}, "NOT_WRITER", OTHER),
    ],
)  # fmt: skip
def test_a_faulty_opening_is_refused_and_nothing_stops(
    said: dict[str, Any], reason: str, what: str
) -> None:
    """A dispute by the way, or about a stranger's item, would be a means to stop other people's work."""
    ledger = Ledger()
    ledger.awarded()
    assert_refused(start(ledger, **said), reason, what)
    assert frozen(ledger) is None


def test_a_dispute_about_something_that_is_not_there_yet_waits() -> None:
    ledger = Ledger()
    assert_waits(start(ledger), "UNKNOWN_REFERENCE", "award w1")
    assert_waits(step(ledger, HOST, "answer", dispute_id="d9"), "UNKNOWN_REFERENCE", "dispute d9")
    ledger.awarded()
    assert [entry.event_type for entry in ledger.last] == ["credit.awarded", "dispute.changed"]
    assert frozen(ledger).dispute_id == "d1"


def test_an_item_is_in_one_dispute_at_a_time() -> None:
    """Whoever comes second takes part in the first, or waits for its end."""
    ledger = disputed()
    assert_refused(start(ledger, "d2", party=HOST, respondent=HOME), "DISPUTED", "d1")
    assert_refused(start(ledger), "ILLEGAL_TRANSITION", "exists and is open")
    ledger.applied(step(ledger, HOME, "withdraw"))
    ledger.applied(start(ledger, "d2", party=HOST, respondent=HOME))


def test_a_host_may_dispute_a_recognition_of_its_award() -> None:
    """The case is the home's, the credits are not only."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    about = {"about_kind": "recognition", "about_id": "r1", "party": HOST, "respondent": HOME}
    ledger.applied(start(ledger, **about))
    assert_refused(ledger.rule("r1", "3"), "DISPUTED", "recognition r1")
    strange = about | {"party": OTHER}
    assert_refused(start(ledger, "d2", **strange), "NOT_WRITER", OTHER)


# The steps between


def test_answer_propose_and_agree_settle_a_dispute() -> None:
    """Both signatures are there: of whoever proposed, and of the other side under the same resolution."""
    ledger = disputed()
    ledger.applied(step(ledger, HOST, "answer"))
    assert dispute(ledger).turn() == (HOME,)
    ledger.applied(step(ledger, HOST, "propose", "correct"))
    assert dispute(ledger).turn() == (HOME,)
    ledger.applied(step(ledger, HOME, "agree", "correct"))
    assert (dispute(ledger).state, dispute(ledger).summary()) == ("settled", "settled correct")
    assert dispute(ledger).turn() == ()
    assert frozen(ledger).dispute_id == ""


def test_nobody_agrees_with_itself_or_to_something_else() -> None:
    ledger = disputed()
    ledger.applied(step(ledger, HOME, "propose", "void"))
    assert_refused(step(ledger, HOME, "agree", "void"), "NOT_WRITER", HOST, HOME)
    assert_refused(step(ledger, HOST, "agree", "uphold"), "CONTENT_INVALID", "'void'", "'uphold'")
    ledger.applied(step(ledger, HOST, "propose", "uphold"))
    assert dispute(ledger).turn() == (HOME,)
    assert_refused(step(ledger, HOME, "agree", "void"), "CONTENT_INVALID", "'uphold'")
    ledger.applied(step(ledger, HOME, "agree", "uphold"))


def test_only_the_claimant_withdraws_and_only_the_respondent_answers() -> None:
    ledger = disputed()
    assert_refused(step(ledger, HOST, "withdraw"), "NOT_WRITER", HOME)
    assert_refused(step(ledger, HOME, "answer"), "NOT_WRITER", HOST)
    assert_refused(step(ledger, OTHER, "propose", "void"), "NOT_WRITER", OTHER)
    assert_refused(step(ledger, HOST, "agree", "void"), "ILLEGAL_TRANSITION", "is open")
    ledger.applied(step(ledger, HOST, "answer"))
    assert_refused(step(ledger, HOST, "answer"), "ILLEGAL_TRANSITION", "is answered")
    ledger.applied(step(ledger, HOME, "withdraw"))
    assert dispute(ledger).state == "withdrawn"
    assert_refused(step(ledger, HOST, "propose", "void"), "ILLEGAL_TRANSITION", "is over")


def test_more_than_half_of_the_arbiters_must_decide_alike() -> None:
    """Of three, two; what one thinks stands still until a second thinks so, too."""
    ledger = disputed(arbiters=(OTHER, FOURTH, FIFTH))
    ledger.applied(step(ledger, HOST, "answer"))
    assert dispute(ledger).turn() == (OTHER, FOURTH, FIFTH)
    ledger.applied(step(ledger, OTHER, "decide", "void"))
    assert dispute(ledger).turn() == (FOURTH, FIFTH)
    ledger.applied(step(ledger, FOURTH, "decide", "correct"))
    assert dispute(ledger).state == "answered"
    assert frozen(ledger).dispute_id == "d1"
    ledger.applied(step(ledger, FIFTH, "decide", "correct"))
    assert dispute(ledger).summary() == "decided correct"
    assert dict(dispute(ledger).votes) == {OTHER: "void", FOURTH: "correct", FIFTH: "correct"}
    assert frozen(ledger).dispute_id == ""


def test_half_is_not_more_than_half_and_an_arbiter_may_change_its_mind() -> None:
    """One vote each: two arbiters must agree; the newest vote of each counts."""
    ledger = disputed(arbiters=(OTHER, FOURTH))
    ledger.applied(step(ledger, OTHER, "decide", "void"))
    ledger.applied(step(ledger, OTHER, "decide", "void"))
    assert dispute(ledger).state == "open"
    ledger.applied(step(ledger, FOURTH, "decide", "uphold"))
    ledger.applied(step(ledger, HOST, "answer"))
    assert dispute(ledger).turn() == (HOME,)  # all have voted in vain
    ledger.applied(step(ledger, OTHER, "decide", "uphold"))
    assert dispute(ledger).summary() == "decided uphold"


@pytest.mark.parametrize("ending", ["decide", "withdraw"])
def test_nothing_is_agreed_to_when_the_dispute_is_over(ending: str) -> None:
    """Whatever was proposed before: the refusal says that it is over, not what to agree to."""
    ledger = disputed(arbiters=(OTHER,))
    ledger.applied(step(ledger, HOME, "propose", "uphold"))
    if ending == "decide":
        ledger.applied(step(ledger, OTHER, "decide", "x-half"))
    else:
        ledger.applied(step(ledger, HOME, "withdraw"))
    assert_refused(step(ledger, HOST, "agree", "uphold"), "ILLEGAL_TRANSITION", "over")


def test_only_those_named_as_arbiters_decide() -> None:
    ledger = disputed(arbiters=(OTHER,))
    assert_refused(step(ledger, FOURTH, "decide", "void"), "NOT_WRITER", OTHER)
    assert_refused(step(ledger, HOST, "decide", "void"), "NOT_WRITER", OTHER)
    ledger.applied(step(ledger, OTHER, "decide", "x-half"))
    nobody = disputed()
    assert_refused(step(nobody, OTHER, "decide", "void"), "NOT_WRITER", "no arbiters")


@pytest.mark.parametrize(
    "said",
    [
        {"about_id": "w1"},
        {"about_kind": "award"},
        {"respondent": HOST},
        {"ground": "amount"},
        {"arbiters": (OTHER,)},
        {"resolution": "void"},
    ],
)
def test_what_is_said_once_is_not_said_again(said: dict[str, Any]) -> None:
    """A later step that names another item would read as if it were about that."""
    ledger = disputed()
    assert_refused(step(ledger, HOST, "answer", **said), "CONTENT_INVALID")


def test_a_step_with_a_resolution_needs_one_that_is_known() -> None:
    ledger = disputed()
    assert_refused(step(ledger, HOST, "propose"), "CONTENT_INVALID", "only propose")
    assert_refused(step(ledger, HOST, "propose", "forget"), "CONTENT_INVALID", "'forget'")


def test_a_dispute_that_nobody_ends_is_flagged_and_stays_open() -> None:
    """A month to settle; the ledger decides nothing."""
    ledger = Ledger()
    ledger.awarded()
    ledger.tick()
    ledger.applied(start(ledger))
    opened = from_millis(ledger.state.now_ms)
    near = ledger.tick(opened + timedelta(days=ANSWER_DAYS - 2))
    over = ledger.tick(opened + timedelta(days=ANSWER_DAYS, hours=1))
    assert [entry.flags for entry in (*near, *over)] == [("deadline_near",), ("deadline_over",)]
    assert over[0].audience == (HOST,)
    assert dispute(ledger).state == "open"
    assert_refused(ledger.correct("w1", "2"), "DISPUTED")


def test_a_dispute_moves_nothing_and_the_books_stay_books() -> None:
    """Whatever its end: what follows is done by ordinary events."""
    ledger = disputed()
    before = ledger.claim()
    ledger.applied(step(ledger, HOST, "propose", "void"))
    ledger.applied(step(ledger, HOME, "agree", "void"))
    assert ledger.claim() == before
    assert ledger.find(Award, "w1").state == "awarded"
    audit = Audit()
    for written in ledger.entries:
        audit.see(written.entry)
    assert audit.finish(ledger.state) == []
