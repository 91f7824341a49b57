"""Rules of agreements: who approved what, the places they grant, and who takes and gives back places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from hub.domain.agreement import AGREEMENT, Agreement, years
from hub.domain.enrollment import Enrollment
from hub.domain.quantities import PLACE
from hub.events import Names, event_rules
from hub.ledger.posting import filled_account, quota_account
from schemas import records as r
from schemas.catalogue import catalogue, example
from schemas.codec import from_json
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

TWO, THREE = (HOME, HOST), (HOME, HOST, OTHER)
FIRST, SECOND = (
    "1" * 64,
    "2" * 64,
)  # hashes; whether they are those of the conditions is admission's to check
YEAR, NEXT = "2026-2027", "2027-2028"
STEPS = ("proposed", "approved", "terminated")
RULES = event_rules()["agreement.changed"]
EXAMPLE: Any = from_json("agreement.changed", example(catalogue().newest["agreement.changed"]))
BAD_RULES = 'id = "10610-10611"\nversion = 1\n'


def conditions(*quotas: tuple[str, str, int], **said: Any) -> r.AgreementConditions:
    """On studies in 2026-2027 and 2027-2028, with these quotas a year."""
    facts = {
        "first_year": YEAR,
        "last_year": NEXT,
        "quotas": tuple(r.AgreementQuota(*quota) for quota in quotas),
    } | said
    return replace(EXAMPLE.conditions, **facts)


def word(
    ledger: Ledger, party: str, step: str, parties: Sequence[str] = TWO, **said: Any
) -> r.Entry:
    """A party's word on agreement `a1`."""
    facts: dict[str, Any] = {"conditions": conditions(), "conditions_hash": FIRST} | said
    return ledger.tell(
        "agreement.changed",
        **({"agreement_id": "a1"} | facts),
        party=party,
        parties=tuple(parties),
        step=step,
    )


def agreed(
    ledger: Ledger, *quotas: tuple[str, str, int], parties: Sequence[str] = TWO, **said: Any
) -> None:
    """Agreement `a1` in effect."""
    facts = {"conditions": conditions(*quotas, **said)}
    for party in parties:
        step = "proposed" if party == parties[0] else "approved"
        ledger.applied(word(ledger, party, step, parties, **facts))


def at(ledger: Ledger, state: str) -> None:
    ledger.applied(word(ledger, HOME, "proposed"))
    if state != "proposed":
        ledger.applied(word(ledger, HOST, "approved"))
    if state == "terminated":
        ledger.applied(word(ledger, HOME, "terminated"))


def state_of(ledger: Ledger) -> str:
    return str(ledger.find(Agreement, "a1").state)


def places(
    ledger: Ledger, year: str = YEAR, sender: str = HOME, receiver: str = HOST
) -> tuple[int, int, int]:
    """Places of `a1`: left, reserved, filled."""
    where = ("a1", sender, receiver, year)
    filled = ledger.state.book.balance(filled_account(*where), PLACE)
    left = ledger.state.book.balance(quota_account(*where), PLACE).available
    return left, filled.pending_in, filled.posted_in


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def seated() -> Ledger:
    """An offering with room, so that only the agreement limits."""
    made = Ledger()
    made.offer(capacity=10)
    return made


# Proposing, approving, ending


def test_the_life_of_an_agreement_is_the_agreed_one() -> None:
    """What campuses were told; `approved_by_all` is the last party's `approved`."""
    table = {(step.before, step.name): (step.after, step.by) for step in AGREEMENT.steps}
    party = ("party",)
    assert table == {
        ("", "proposed"): ("proposed", party),
        ("proposed", "proposed"): ("proposed", party),
        ("proposed", "approved"): ("proposed", party),
        ("proposed", "approved_by_all"): ("in_effect", party),
        ("proposed", "terminated"): ("terminated", party),
        ("in_effect", "terminated"): ("terminated", party),
    }


def test_a_proposal_is_its_authors_approval(ledger: Ledger) -> None:
    """The others are told, and it is their turn; there is no deadline and nothing is granted yet."""
    entry = ledger.applied(
        word(ledger, HOME, "proposed", THREE, conditions=conditions((HOME, HOST, 2)))
    )
    assert entry.audience == (HOST, OTHER)
    [change] = entry.changes
    assert (change.kind, change.id, change.state) == ("agreement", "a1", "proposed")
    assert (change.next_actors, change.due_at, change.closed) == ((HOST, OTHER), None, False)
    assert postings(entry) == []


def test_two_parties_need_both_words(ledger: Ledger) -> None:
    """The second one's approval puts it into effect; the author is told."""
    ledger.applied(word(ledger, HOME, "proposed"))
    entry = ledger.applied(word(ledger, HOST, "approved"))
    [change] = entry.changes
    assert (change.state, change.next_actors, change.closed) == ("in_effect", (), False)
    assert entry.audience == (HOME,)


def test_three_parties_need_three_words(ledger: Ledger) -> None:
    """Two of three agree on nothing yet; the third is the one to act."""
    facts = {"conditions": conditions((HOME, OTHER, 2))}
    ledger.applied(word(ledger, HOME, "proposed", THREE, **facts))
    second = ledger.applied(word(ledger, OTHER, "approved", THREE, **facts))
    assert (second.changes[0].state, second.changes[0].next_actors) == ("proposed", (HOST,))
    assert postings(second) == []
    third = ledger.applied(word(ledger, HOST, "approved", THREE, **facts))
    assert (third.changes[0].state, third.changes[0].next_actors) == ("in_effect", ())
    assert third.audience == (HOME, OTHER)
    assert postings(third) == [("move", 2), ("move", 2)]


def test_quotas_open_for_each_year_and_direction(ledger: Ledger) -> None:
    """Whole places a year; those left over do not pass to the next."""
    agreed(ledger, (HOME, HOST, 3), (HOST, HOME, 1))
    assert places(ledger, YEAR) == places(ledger, NEXT) == (3, 0, 0)
    assert places(ledger, YEAR, HOST, HOME) == places(ledger, NEXT, HOST, HOME) == (1, 0, 0)
    entry = ledger.entries[-1].entry
    assert {posting.source for posting in entry.postings} == {"grant:a1"}
    assert [posting.destination for posting in entry.postings] == [
        f"quota:a1:{HOME}:{HOST}:{YEAR}",
        f"quota:a1:{HOME}:{HOST}:{NEXT}",
        f"quota:a1:{HOST}:{HOME}:{YEAR}",
        f"quota:a1:{HOST}:{HOME}:{NEXT}",
    ]


def test_a_quota_of_none_opens_nothing(ledger: Ledger) -> None:
    """Amounts in the book are positive; that the direction is limited stays known."""
    agreed(ledger, (HOME, HOST, 0))
    assert postings(ledger.entries[-1].entry) == []
    assert ledger.find(Agreement, "a1").quota(HOME, HOST).per_year == 0


def test_an_approval_of_other_conditions_is_stale(ledger: Ledger) -> None:
    """Nobody approves a text that changed under their hands."""
    ledger.applied(word(ledger, HOME, "proposed"))
    entry = word(ledger, HOST, "approved", conditions_hash=SECOND)
    assert_refused(entry, "STALE_VERSION", FIRST[:16], SECOND[:16], "decide again")
    assert entry.about_seq == 1
    assert state_of(ledger) == "proposed"


def test_a_new_proposal_voids_the_approvals_of_the_old_one(ledger: Ledger) -> None:
    """Two had agreed, the third proposes otherwise: all but the third are asked again, and about the new one."""
    word(ledger, HOME, "proposed", THREE)
    word(ledger, HOST, "approved", THREE)
    entry = ledger.applied(word(ledger, OTHER, "proposed", THREE, conditions_hash=SECOND))
    assert entry.changes[0].next_actors == (HOME, HOST)
    assert_refused(word(ledger, HOME, "approved", THREE), "STALE_VERSION")
    ledger.applied(word(ledger, HOME, "approved", THREE, conditions_hash=SECOND))
    ledger.applied(word(ledger, HOST, "approved", THREE, conditions_hash=SECOND))
    assert state_of(ledger) == "in_effect"


def test_the_places_are_those_of_the_newest_proposal(ledger: Ledger) -> None:
    """Counted from what was approved, not from what was proposed first or sent along with an approval."""
    word(ledger, HOME, "proposed", conditions=conditions((HOME, HOST, 9)))
    word(ledger, HOST, "proposed", conditions=conditions((HOME, HOST, 2)), conditions_hash=SECOND)
    ledger.applied(word(ledger, HOME, "approved", conditions_hash=SECOND))
    assert places(ledger) == (2, 0, 0)


def test_a_party_approves_once(ledger: Ledger) -> None:
    """Else one party could approve for two; the author has approved by proposing."""
    word(ledger, HOME, "proposed", THREE)
    entry = word(ledger, HOME, "approved", THREE)
    assert_refused(entry, "ILLEGAL_TRANSITION", f"approved by {HOME} already", f"{HOST}, {OTHER}")


def test_an_approval_of_an_old_text_is_stale_even_from_one_that_approved(ledger: Ledger) -> None:
    """What is wrong with it first is the text."""
    word(ledger, HOME, "proposed")
    assert_refused(word(ledger, HOME, "approved", conditions_hash=SECOND), "STALE_VERSION")


@pytest.mark.parametrize("step", ["approved", "terminated"])
def test_a_word_on_an_unknown_agreement_waits_for_its_proposal(ledger: Ledger, step: str) -> None:
    """Two outboxes have no order between them."""
    assert_waits(word(ledger, HOST, step), "UNKNOWN_REFERENCE", "a1")
    word(ledger, HOME, "proposed")
    assert [entry.outcome for entry in ledger.last] == ["applied", "applied"]
    assert state_of(ledger) == {"approved": "in_effect"}.get(step, step)


@pytest.mark.parametrize("state", ["proposed", "in_effect", "terminated"])
@pytest.mark.parametrize("step", STEPS)
def test_an_agreement_walks_its_table_and_nothing_else(
    ledger: Ledger, state: str, step: str
) -> None:
    """Conditions in effect are not changed but replaced, by an agreement with an id of its own."""
    at(ledger, state)
    entry = word(ledger, HOST, step)
    if AGREEMENT.step(state, step):
        reached = {"approved": "in_effect"}.get(step, step)
        assert (entry.outcome, state_of(ledger)) == ("applied", reached)
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"a1 is {state}")
        assert state_of(ledger) == state


@pytest.mark.parametrize("state", ["proposed", "in_effect"])
@pytest.mark.parametrize("by", TWO)
def test_either_party_ends_an_agreement(ledger: Ledger, state: str, by: str) -> None:
    """Nobody is held; the other one is told, and the case is closed."""
    at(ledger, state)
    entry = ledger.applied(word(ledger, by, "terminated"))
    assert (entry.changes[0].state, entry.changes[0].closed) == ("terminated", True)
    assert entry.audience == tuple({HOME, HOST} - {by})


@pytest.mark.parametrize("step", STEPS)
def test_an_agreement_keeps_its_parties(ledger: Ledger, step: str) -> None:
    """A party that was left out would be bound by nothing, one that was added by everything."""
    word(ledger, HOME, "proposed", THREE)
    entry = word(ledger, HOST, step)
    reason = "ILLEGAL_TRANSITION" if step == "proposed" else "NOT_WRITER"
    assert_refused(entry, reason, f"{HOME}, {HOST}, {OTHER}")


@pytest.mark.parametrize("step", ["approved", "terminated"])
def test_the_order_of_the_parties_means_nothing(ledger: Ledger, step: str) -> None:
    """Each names itself first, perhaps."""
    word(ledger, HOME, "proposed", (HOST, HOME))
    ledger.applied(word(ledger, HOST, step, (HOME, HOST)))


# What an agreement may say


@pytest.mark.parametrize("parties", [(HOME,), (HOME, HOME), (HOME, HOST, HOME)])
def test_an_agreement_is_between_two_members_or_more(ledger: Ledger, parties: Any) -> None:
    """Each named once, or one could be counted twice."""
    assert_refused(word(ledger, HOME, "proposed", parties), "CONTENT_INVALID", "two or more")


def test_an_agreement_is_between_members(ledger: Ledger) -> None:
    """A party outside could never approve."""
    entry = word(ledger, HOME, "proposed", (HOME, "99999"))
    assert_refused(entry, "UNKNOWN_MEMBER", "99999")


def test_only_a_party_speaks_of_an_agreement(ledger: Ledger) -> None:
    """A third member neither proposes nor ends what two others agree on."""
    word(ledger, HOME, "proposed")
    for step in STEPS:
        assert_refused(word(ledger, FOURTH, step), "NOT_WRITER", FOURTH, f"{HOME}, {HOST}")


@pytest.mark.parametrize("step", ["", "approved_by_all", "in_effect"])
def test_a_step_is_proposed_approved_or_terminated(ledger: Ledger, step: str) -> None:
    """`approved_by_all` is the ledger's word: a party that could say it would approve for the others."""
    word(ledger, HOME, "proposed")
    assert_refused(word(ledger, HOST, step), "CONTENT_INVALID", repr(step), "approved")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("2026-2028", "2028-2029"),
        ("2026", "2027"),
        ("2026-2027", "2025-2026"),
        ("2026-2027", "2036-2037"),
        ("026-00027", "2026-2027"),
        ("-026--025", "2026-2027"),
        ("２０２６-２０２７", "2026-2027"),
        ("", ""),
        ("x-abcdefg", "2026-2027"),
    ],
)
def test_an_agreement_runs_one_to_ten_academic_years(ledger: Ledger, first: str, last: str) -> None:
    """Places are granted for each year at once; a slip of the pen must not grant them for a century."""
    said = conditions(first_year=first, last_year=last)
    entry = word(ledger, HOME, "proposed", conditions=said)
    assert_refused(entry, "CONTENT_INVALID", repr(first), "correct the years")


def test_academic_years_are_counted_from_first_to_last() -> None:
    """Both included; ten at most."""
    assert years("2026-2027", "2026-2027") == ["2026-2027"]
    assert years("1999-2000", "2001-2002") == ["1999-2000", "2000-2001", "2001-2002"]
    assert len(years("2026-2027", "2035-2036")) == 10


@pytest.mark.parametrize(
    "quotas",
    [
        [(HOME, HOST, 1), (HOME, HOST, 2)],
        [(HOME, HOME, 1)],
        [(HOME, OTHER, 1)],
        [(OTHER, HOST, 1)],
    ],
)
def test_a_quota_is_for_a_direction_between_parties_once(ledger: Ledger, quotas: Any) -> None:
    """Two for one direction contradict each other; one for a stranger binds nobody."""
    entry = word(ledger, HOME, "proposed", conditions=conditions(*quotas))
    assert_refused(entry, "CONTENT_INVALID", f"from {quotas[-1][0]} to {quotas[-1][1]}")


@pytest.mark.parametrize(
    "said",
    [
        {"quotas": (r.AgreementQuota(HOME, HOST, -1),)},
        {"total_days_per_year": -1},
        {"credit_cap": Decimal("-0.001")},
    ],
)
def test_amounts_of_an_agreement_are_not_negative(ledger: Ledger, said: dict[str, Any]) -> None:
    """The book knows no negative places."""
    entry = word(ledger, HOME, "proposed", conditions=conditions(**said))
    assert_refused(entry, "CONTENT_INVALID", "-", "0 or more")


def test_nothing_of_all_that_may_be_limited_need_be(ledger: Ledger) -> None:
    """Many agreements only name the years."""
    said = conditions(credit_cap=None, total_days_per_year=None, text_uri=None)
    ledger.applied(word(ledger, HOME, "proposed", conditions=said))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("text", ["", "not TOML", BAD_RULES])
def test_rules_of_recognition_in_an_agreement_hold(ledger: Ledger, text: str, step: str) -> None:
    """A rule set that cannot be read would decide on credits one day; its first error is told."""
    word(ledger, HOME, "proposed")
    entry = word(ledger, HOST, step, conditions=conditions(rule_set=text))
    assert_refused(entry, "CONTENT_INVALID", "unfit", "alliance rules lint")


# Acting under an agreement


def ask(ledger: Ledger, enrollment_id: str = "e1", **said: Any) -> r.Entry:
    return ledger.request(enrollment_id, **({"agreement_id": "a1"} | said))


def in_year(year: str) -> r.Term:
    return r.Term(year, 1, 2)


def test_a_request_takes_no_place(seated: Ledger) -> None:
    """The host decides first."""
    agreed(seated, (HOME, HOST, 2))
    assert postings(seated.applied(ask(seated))) == []
    assert places(seated) == (2, 0, 0)


def test_a_request_waits_for_its_agreement(seated: Ledger) -> None:
    """Released when the agreement becomes known; while that is only proposed, it is refused."""
    assert_waits(ask(seated), "UNKNOWN_REFERENCE", "a1", "agreement.changed")
    word(seated, HOME, "proposed")
    released = seated.last[1]
    assert (released.event_type, released.reason) == ("enrollment.requested", "ILLEGAL_TRANSITION")


@pytest.mark.parametrize("state", ["proposed", "terminated"])
def test_a_request_needs_an_agreement_in_effect(seated: Ledger, state: str) -> None:
    """Not one that is only proposed, nor one that was ended."""
    at(seated, state)
    assert_refused(ask(seated), "ILLEGAL_TRANSITION", f"a1 is {state}", "in effect")


@pytest.mark.parametrize("kind", ["practice", "teacher", "research", "x-other"])
def test_a_request_needs_an_agreement_on_studies(seated: Ledger, kind: str) -> None:
    """Places of teachers are not places of students."""
    agreed(seated, kind=kind)
    assert_refused(ask(seated), "ILLEGAL_TRANSITION", f"on {kind}", "student_studies")


@pytest.mark.parametrize("parties", [(HOME, OTHER), (HOST, OTHER), (OTHER, FOURTH)])
def test_a_request_needs_an_agreement_of_home_and_host(seated: Ledger, parties: Any) -> None:
    """Nobody uses up what others agreed on."""
    agreed(seated, parties=parties)
    assert_refused(ask(seated), "ILLEGAL_TRANSITION", "between " + ", ".join(parties))


@pytest.mark.parametrize("year", ["2025-2026", "2028-2029", "2026", ""])
def test_a_request_is_for_a_year_of_the_agreement(seated: Ledger, year: str) -> None:
    """Before and after there are no places."""
    agreed(seated)
    entry = ask(seated, term=in_year(year))
    assert_refused(entry, "ILLEGAL_TRANSITION", f"from {YEAR} to {NEXT}", f"and {year}")


def test_home_and_host_of_three_parties_are_covered(seated: Ledger) -> None:
    """An agreement of three holds between any two of them, each way."""
    agreed(seated, parties=(OTHER, HOST, HOME))
    seated.applied(ask(seated))
    seated.applied(ask(seated, "e2", home=OTHER))


def test_accepting_takes_seat_and_place_together(seated: Ledger) -> None:
    """In one entry: either both are reserved or none."""
    agreed(seated, (HOME, HOST, 2))
    ask(seated)
    entry = seated.applied(seated.decide("e1", "accepted"))
    assert postings(entry) == [("pend", 1), ("pend", 1)]
    assert [posting.unit for posting in entry.postings] == ["seat", "place"]
    assert [posting.pending_id for posting in entry.postings] == ["seat/e1", "quota/enrollment/e1"]
    assert (seated.seats(), places(seated)) == ((9, 1), (1, 1, 0))


@pytest.mark.parametrize("decision", ["denied", "queued"])
def test_a_student_that_is_not_accepted_takes_no_place(seated: Ledger, decision: str) -> None:
    """Queueing keeps nothing free."""
    agreed(seated, (HOME, HOST, 1))
    ask(seated)
    assert postings(seated.applied(seated.decide("e1", decision))) == []
    assert places(seated) == (1, 0, 0)


def test_accepting_from_the_queue_takes_a_place(seated: Ledger) -> None:
    """The quota counts when a student is admitted, not when they asked."""
    agreed(seated, (HOME, HOST, 1))
    ask(seated)
    seated.decide("e1", "queued")
    seated.applied(seated.decide("e1", "accepted"))
    assert places(seated) == (0, 1, 0)


def test_starting_uses_the_place_up(seated: Ledger) -> None:
    """Posted together with the seat."""
    agreed(seated, (HOME, HOST, 2))
    ask(seated)
    seated.decide("e1", "accepted")
    assert postings(seated.applied(seated.move("e1", "started"))) == [("post", 1), ("post", 1)]
    assert (seated.seats_of(), places(seated)) == ((0, 1), (1, 0, 1))


@pytest.mark.parametrize("step", ["cancelled", "withdrawn"])
def test_leaving_before_the_start_gives_seat_and_place_back(seated: Ledger, step: str) -> None:
    """The next student gets both."""
    agreed(seated, (HOME, HOST, 1))
    ask(seated)
    seated.decide("e1", "accepted")
    assert postings(seated.applied(seated.move("e1", step))) == [("void", 1), ("void", 1)]
    assert (seated.seats(), places(seated)) == ((10, 0), (1, 0, 0))
    ask(seated, "e2")
    seated.applied(seated.decide("e2", "accepted"))


def test_leaving_after_the_start_gives_nothing_back(seated: Ledger) -> None:
    """The year's place was used."""
    agreed(seated, (HOME, HOST, 1))
    ask(seated)
    seated.decide("e1", "accepted")
    seated.move("e1", "started")
    assert postings(seated.applied(seated.move("e1", "withdrawn"))) == []
    assert places(seated) == (0, 0, 1)


@pytest.mark.parametrize("limit", [0, 1])
def test_no_student_is_accepted_under_the_last_place(seated: Ledger, limit: int) -> None:
    """Seats or not: the quota is the tighter one here. The seat is not taken either, and the request stays open."""
    agreed(seated, (HOME, HOST, limit))
    for number in range(limit + 1):
        ask(seated, f"e{number}")
    for number in range(limit):
        seated.applied(seated.decide(f"e{number}", "accepted"))
    entry = seated.decide(f"e{limit}", "accepted")
    assert_refused(entry, "QUOTA_EXCEEDED", "a1 has 0 places left", HOME, HOST, YEAR, "1 needed")
    assert seated.find(Enrollment, f"e{limit}").state == "pending"
    assert (seated.seats(), places(seated)) == ((10 - limit, limit), (0, limit, 0))


def test_no_place_is_taken_without_a_seat() -> None:
    """The other way round: the offering is full, the place stays free."""
    ledger = Ledger()
    ledger.offer(capacity=0)
    agreed(ledger, (HOME, HOST, 1))
    ask(ledger)
    assert_refused(ledger.decide("e1", "accepted"), "QUOTA_EXCEEDED", "calculus has 0 seats left")
    assert places(ledger) == (1, 0, 0)


def test_each_year_and_direction_has_places_of_its_own(seated: Ledger) -> None:
    """A full year says nothing about the next."""
    agreed(seated, (HOME, HOST, 1), (HOST, HOME, 1))
    seated.offer("algebra", 5, host=HOME)
    ask(seated, "e1")
    ask(seated, "e2", term=in_year(NEXT))
    ask(seated, "e3", offering_id="algebra", home=HOST, host=HOME)
    for enrollment_id in ("e1", "e2", "e3"):
        seated.applied(seated.decide(enrollment_id, "accepted"))
    assert places(seated) == places(seated, NEXT) == places(seated, YEAR, HOST, HOME) == (0, 1, 0)


def test_a_direction_without_a_quota_has_no_limit(seated: Ledger) -> None:
    """Only what was agreed is counted."""
    agreed(seated, (HOST, HOME, 1))
    ask(seated)
    assert postings(seated.applied(seated.decide("e1", "accepted"))) == [("pend", 1)]
    assert postings(seated.applied(seated.move("e1", "started"))) == [("post", 1)]


def test_a_request_without_an_agreement_takes_a_seat_only(seated: Ledger) -> None:
    """Most courses of the alliance are open to all members."""
    agreed(seated, (HOME, HOST, 1))
    ask(seated, agreement_id=None)
    assert postings(seated.applied(seated.decide("e1", "accepted"))) == [("pend", 1)]
    assert places(seated) == (1, 0, 0)


def test_who_was_accepted_keeps_the_place_when_the_agreement_ends(seated: Ledger) -> None:
    """Students on their way are not sent home; new requests are refused."""
    agreed(seated, (HOME, HOST, 2))
    ask(seated)
    seated.decide("e1", "accepted")
    word(seated, HOST, "terminated")
    assert_refused(ask(seated, "e2"), "ILLEGAL_TRANSITION", "terminated")
    seated.applied(seated.move("e1", "started"))
    assert places(seated) == (1, 0, 1)


# Deadlines of requests

DAY = datetime(2026, 10, 10, tzinfo=UTC).date()
LAST_MOMENT = datetime(2026, 10, 10, 15, 59, 59, tzinfo=UTC)  # 23:59:59 in Shanghai
OVER = datetime(2026, 10, 10, 16, tzinfo=UTC)


@pytest.mark.parametrize("state", ["pending", "queued"])
def test_a_request_that_nobody_decided_expires(seated: Ledger, state: str) -> None:
    """At the end of its last day in Shanghai; home and host are told, nothing moves, and the case is closed."""
    seated.request("e1", valid_until=DAY)
    if state == "queued":
        seated.decide("e1", "queued")
    assert [entry.flags for entry in seated.tick(LAST_MOMENT)] == [("deadline_near",)]
    [entry] = seated.tick(OVER)
    assert entry.flags == ("expired",)
    assert entry.audience == (HOME, HOST)
    assert (entry.member, postings(entry)) == ("", [])
    [change] = entry.changes
    assert (change.state, change.next_actors, change.closed) == ("expired", (), True)
    assert_refused(seated.decide("e1", "accepted"), "ILLEGAL_TRANSITION", "e1 is expired")
    assert seated.tick() == []


def test_the_host_is_reminded_three_days_before(seated: Ledger) -> None:
    """Whose turn it is, and nobody else; once."""
    seated.request("e1", valid_until=DAY)
    assert seated.tick(datetime(2026, 10, 7, 15, 59, 59, tzinfo=UTC)) == []
    [entry] = seated.tick(datetime(2026, 10, 7, 16, tzinfo=UTC))
    assert (entry.flags, entry.audience) == (("deadline_near",), (HOST,))
    assert seated.find(Enrollment, "e1").state == "pending"
    assert seated.tick() == []


@pytest.mark.parametrize("decision", ["accepted", "denied"])
def test_a_decided_request_does_not_expire(seated: Ledger, decision: str) -> None:
    """Its deadline was for the host's decision."""
    seated.request("e1", valid_until=DAY)
    seated.decide("e1", decision)
    assert seated.tick(OVER) == []
    assert seated.find(Enrollment, "e1").state != "expired"


def test_a_request_without_a_last_day_never_expires(seated: Ledger) -> None:
    """It waits for the host, however long."""
    seated.request("e1", valid_until=None)
    assert seated.tick(datetime(2036, 1, 1, tzinfo=UTC)) == []


def test_a_request_whose_last_day_is_over_is_refused(seated: Ledger) -> None:
    """It could not be decided any more; today's are taken until midnight."""
    seated.tick(LAST_MOMENT)
    seated.applied(seated.request("e1", valid_until=DAY))
    seated.tick(OVER)
    entry = seated.request("e2", valid_until=DAY)
    assert_refused(entry, "DEADLINE_PASSED", "2026-10-10", "2026-10-11", "valid longer")


def test_before_the_ledger_looked_at_its_clock_no_deadline_is_over(seated: Ledger) -> None:
    """It knows no time then; the first look catches up."""
    seated.applied(seated.request("e1", valid_until=datetime(2020, 1, 1, tzinfo=UTC).date()))
    assert seated.tick()[-1].flags == ("expired",)


# For people


def test_reasons_and_life_are_declared() -> None:
    """The catalogue page and the console read them."""
    assert RULES.life is AGREEMENT
    assert {reason.value for reason in RULES.reasons} == {
        "CONTENT_INVALID",
        "UNKNOWN_MEMBER",
        "NOT_WRITER",
        "UNKNOWN_REFERENCE",
        "ILLEGAL_TRANSITION",
        "STALE_VERSION",
    }


@pytest.mark.parametrize(
    ("step", "english", "chinese"),
    [
        ("proposed", "proposed", "提议"),
        ("approved", "approved", "同意"),
        ("terminated", "ended", "终止"),
    ],
)
def test_a_sentence_names_step_subject_and_years(step: str, english: str, chinese: str) -> None:
    """What a person wants to know before opening it."""
    record = Ledger().record(
        "agreement.changed", step=step, party=HOST, parties=THREE, conditions=conditions()
    )
    said = RULES.sentence(record, Names({HOST: ("Chongqing", "重大")}))
    assert said.en == (
        f"Chongqing {english} an agreement on student studies with {HOME}, {OTHER}, {YEAR} to {NEXT}"
    )
    assert said.zh == (f"重大{chinese}与{HOME}、{OTHER}的学生交流学习协议（{YEAR}至{NEXT}学年）")


def test_a_sentence_has_words_for_what_is_not_known() -> None:
    """Later kinds and steps, and parties that contradict each other, are shown as they are."""
    record = Ledger().record(
        "agreement.changed", step="x-paused", parties=(), conditions=conditions(kind="x-choir")
    )
    said = RULES.sentence(record, Names({}))
    assert "x-paused" in said.en
    assert "x-choir" in said.zh
