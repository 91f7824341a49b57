"""Rules of learning plans: home proposes, both sides approve the very plan they looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from hub.domain.enrollment import Enrollment
from hub.domain.plan import PLAN, Plan
from hub.events import Names, event_rules
from schemas import records as r
from schemas.catalogue import catalogue, example
from schemas.codec import from_json
from tests.support.ledger import (
    HOME,
    HOST,
    OTHER,
    Ledger,
    assert_refused,
    assert_waits,
    credit,
    postings,
)

FIRST, SECOND = (
    "1" * 64,
    "2" * 64,
)  # hashes; whether they are those of the content is admission's to check
EXAMPLE: Any = from_json(
    "enrollment.plan-proposed", example(catalogue().newest["enrollment.plan-proposed"])
)
PROPOSED, DECIDED = (
    event_rules()["enrollment.plan-proposed"],
    event_rules()["enrollment.plan-decided"],
)
STATES = ("proposed", "approved by home", "approved by host", "returned", "agreed")
DAY = date(2026, 10, 10)
LAST_MOMENT = datetime(2026, 10, 10, 15, 59, 59, tzinfo=UTC)  # 23:59:59 in Shanghai
OVER = datetime(2026, 10, 10, 16, tzinfo=UTC)


def propose(ledger: Ledger, plan_hash: str = FIRST, **said: Any) -> r.Entry:
    """Home proposes plan `p1` of enrollment `e1`."""
    facts = {
        "plan_id": "p1",
        "enrollment_id": "e1",
        "student_id": "student-of-e1",
        "home": HOME,
        "host": HOST,
        "decide_by": None,
    } | said
    return ledger.tell("enrollment.plan-proposed", plan_hash=plan_hash, **facts)


def decide(ledger: Ledger, side: str, decision: str = "approved", **said: Any) -> r.Entry:
    """A side's word on plan `p1`, signed by that side."""
    facts = {
        "plan_id": "p1",
        "enrollment_id": "e1",
        "home": HOME,
        "host": HOST,
        "decides_hash": FIRST,
        "by": HOME if side == "home" else HOST,
    } | said
    return ledger.tell("enrollment.plan-decided", side=side, decision=decision, **facts)


def at(ledger: Ledger, state: str) -> None:
    ledger.applied(propose(ledger))
    for side in {
        "approved by home": ("home",),
        "approved by host": ("host",),
        "agreed": ("home", "host"),
    }.get(state, ()):
        ledger.applied(decide(ledger, side))
    if state == "returned":
        ledger.applied(decide(ledger, "host", "returned"))


def plan_of(ledger: Ledger) -> Plan:
    return ledger.find(Plan, "e1")  # type: ignore[no-any-return]  # the helper finds things of any kind


def studied(*amounts: str) -> tuple[r.StudiedComponent, ...]:
    return tuple(replace(EXAMPLE.studied[0], credits=credit(amount)) for amount in amounts)


def planned(*amounts: str) -> tuple[r.PlannedCourse, ...]:
    return tuple(replace(EXAMPLE.recognized[0], credits=credit(amount)) for amount in amounts)


@pytest.fixture
def ledger() -> Ledger:
    """An exchange term that was accepted."""
    made = Ledger()
    made.enrolled("e1", "associated", activity="exchange_term")
    return made


def test_the_life_of_a_plan_is_the_agreed_one() -> None:
    """What campuses were told; `approved_by_both` is the second side's `approved`."""
    home, either = ("home",), ("home", "host")
    table = {(step.before, step.name): (step.after, step.by) for step in PLAN.steps}
    assert table == {
        ("", "proposed"): ("proposed", home),
        ("proposed", "proposed"): ("proposed", home),
        ("returned", "proposed"): ("proposed", home),
        ("agreed", "proposed"): ("proposed", home),
        ("proposed", "approved"): ("proposed", either),
        ("proposed", "approved_by_both"): ("agreed", either),
        ("proposed", "returned"): ("returned", either),
    }


# Proposing


def test_a_plan_waits_for_both_sides(ledger: Ledger) -> None:
    """Home's office that recognizes is not the one that proposed; the host is told. Nothing moves."""
    entry = ledger.applied(propose(ledger, decide_by=DAY))
    assert (entry.audience, postings(entry)) == ((HOST,), [])
    [change] = entry.changes
    assert (change.kind, change.id, change.state) == ("plan", "e1", "proposed")
    assert (change.next_actors, change.due_at, change.closed) == ((HOME, HOST), OVER, False)


def test_a_plan_is_held_by_home_and_host(ledger: Ledger) -> None:
    """And both must hold the same one: state and hash."""
    propose(ledger)
    assert plan_of(ledger).concerned() == {HOME, HOST}
    assert plan_of(ledger).summary() == f"proposed {FIRST[:16]}"


def test_a_plan_waits_for_its_enrollment() -> None:
    """Home's outbox may be quicker with the plan than with the request."""
    ledger = Ledger()
    ledger.offer()
    assert_waits(propose(ledger), "UNKNOWN_REFERENCE", "e1", "enrollment.requested")
    ledger.request("e1")
    assert [entry.outcome for entry in ledger.last] == ["applied", "applied"]


@pytest.mark.parametrize(
    "other",
    [{"student_id": "another"}, {"home": OTHER}, {"host": OTHER}],
    ids=lambda other: next(iter(other)),
)
def test_a_plan_is_of_the_enrollments_student_and_universities(
    ledger: Ledger, other: dict[str, str]
) -> None:
    """Else a member could plan for another one's student."""
    assert_refused(
        propose(ledger, **other), "NOT_WRITER", "student-of-e1", HOME, HOST, *other.values()
    )


@pytest.mark.parametrize("state", ["pending", "queued", "associated", "active"])
def test_an_open_enrollment_can_be_planned_for(state: str) -> None:
    """Plans are made before the decision, and changed during the stay."""
    ledger = Ledger()
    ledger.enrolled("e1", "pending" if state == "queued" else state)
    if state == "queued":
        ledger.decide("e1", "queued")
    ledger.applied(propose(ledger))


@pytest.mark.parametrize("state", ["denied", "cancelled", "finished", "withdrawn", "expired"])
def test_an_enrollment_that_has_ended_is_not_planned_for(state: str) -> None:
    """The plan would be a promise about nothing."""
    ledger = Ledger()
    started = state in ("finished", "withdrawn")
    ledger.enrolled("e1", "active" if started else "pending", valid_until=DAY)
    if state == "expired":
        ledger.tick(OVER)
    elif state == "denied":
        ledger.decide("e1", "denied")
    else:
        ledger.move("e1", state)
    assert ledger.find(Enrollment, "e1").state == state
    assert_refused(
        propose(ledger), "ILLEGAL_TRANSITION", f"e1 is {state}", "pending", "new enrollment"
    )


def test_a_plan_has_a_course_at_the_host(ledger: Ledger) -> None:
    """Without one there is nothing to recognize."""
    entry = propose(ledger, studied=(), mappings=())
    assert_refused(entry, "CONTENT_INVALID", "p1 has no course", "at least one")


@pytest.mark.parametrize("side", ["studied", "recognized"])
def test_credits_of_a_plan_are_not_negative(ledger: Ledger, side: str) -> None:
    """Nobody loses credits by studying; none at all is possible."""
    courses: Any = {"studied": studied("3", "-0.5"), "recognized": planned("3", "-0.5")}
    entry = propose(ledger, **{side: courses[side]})
    assert_refused(entry, "CONTENT_INVALID", "-0.5 credits", "0 or more")
    ledger.applied(propose(ledger, studied=studied("0"), recognized=planned("0")))


@pytest.mark.parametrize("place", [-1, 2, 2**31 - 1])
@pytest.mark.parametrize("side", ["studied", "recognized"])
def test_a_mapping_points_at_courses_of_the_plan(ledger: Ledger, side: str, place: int) -> None:
    """Positions count from 0; a negative one is none, whatever a programming language makes of it."""
    places = {"studied": (0,), "recognized": (1,)} | {side: (place,)}
    entry = propose(
        ledger,
        studied=studied("3", "2"),
        recognized=planned("3", "2"),
        mappings=(r.PlanMapping(**places),),
    )
    assert_refused(
        entry, "CONTENT_INVALID", f"{side} course {place}", "0 to 1", "correct the mapping"
    )


def test_a_mapping_points_at_nothing_where_nothing_is_listed(ledger: Ledger) -> None:
    """A plan may leave open what is recognized; then nothing is mapped to it."""
    entry = propose(ledger, recognized=())
    assert_refused(entry, "CONTENT_INVALID", "recognized course 0", "lists none")
    ledger.applied(propose(ledger, recognized=(), mappings=()))


@pytest.mark.parametrize("side", ["studied", "recognized"])
@pytest.mark.parametrize("within_one", [True, False])
def test_a_course_is_mapped_once_on_its_side(ledger: Ledger, side: str, within_one: bool) -> None:
    """The same course would count twice."""
    other = {"studied": "recognized", "recognized": "studied"}[side]
    if within_one:
        mappings = [{side: (0, 0), other: (0,)}]
    else:
        mappings = [{side: (0,), other: (0,)}, {side: (0,), other: (1,)}]
    entry = propose(
        ledger,
        studied=studied("3", "2"),
        recognized=planned("3", "2"),
        mappings=tuple(r.PlanMapping(**places) for places in mappings),
    )
    assert_refused(entry, "CONTENT_INVALID", f"{side} course 0 twice", "at most once")


def test_the_same_position_on_both_sides_is_two_courses(ledger: Ledger) -> None:
    """0 with 0 and 1 with 1 is the most usual mapping there is."""
    mappings = (r.PlanMapping((0,), (0,)), r.PlanMapping((1,), (1,)))
    ledger.applied(
        propose(ledger, studied=studied("3", "2"), recognized=planned("3", "2"), mappings=mappings)
    )


def test_a_plan_to_be_decided_yesterday_is_refused(ledger: Ledger) -> None:
    """Until midnight in Shanghai it is taken; before the ledger's first look at the clock, too."""
    ledger.applied(propose(ledger, decide_by=date(2020, 1, 1)))
    ledger.tick(LAST_MOMENT)
    ledger.applied(propose(ledger, SECOND, decide_by=DAY))
    ledger.tick(OVER)
    entry = propose(ledger, decide_by=DAY)
    assert_refused(entry, "DEADLINE_PASSED", "by 2026-10-10", "2026-10-11", "later day")


def test_an_enrollment_has_one_plan(ledger: Ledger) -> None:
    """Two plans of one stay would both be approved; a changed one keeps its id."""
    propose(ledger)
    entry = propose(ledger, SECOND, plan_id="p2")
    assert_refused(entry, "ILLEGAL_TRANSITION", "e1 has plan p1", "p2", "keep the id")
    assert plan_of(ledger).plan_hash == FIRST


@pytest.mark.parametrize("state", STATES)
def test_a_new_plan_voids_the_approvals_of_the_old_one(ledger: Ledger, state: str) -> None:
    """In every state, an agreed plan included: both sides look at the new one."""
    at(ledger, state)
    entry = ledger.applied(propose(ledger, SECOND))
    assert (entry.changes[0].state, entry.changes[0].next_actors) == ("proposed", (HOME, HOST))
    assert entry.audience == (HOST,)
    assert (plan_of(ledger).version, plan_of(ledger).plan_hash) == (2, SECOND)
    assert_refused(decide(ledger, "home"), "STALE_VERSION", FIRST[:16], SECOND[:16], "proposal 2")
    ledger.applied(decide(ledger, "home", decides_hash=SECOND))
    ledger.applied(decide(ledger, "host", decides_hash=SECOND))
    assert plan_of(ledger).state == "agreed"


@pytest.mark.parametrize("state", STATES)
def test_a_plan_proposed_again_must_be_another_one(ledger: Ledger, state: str) -> None:
    """Else approvals would be void for nothing; only a returned plan may come back as it was."""
    at(ledger, state)
    entry = propose(ledger)
    if state == "returned":
        assert (entry.outcome, plan_of(ledger).state) == ("applied", "proposed")
    else:
        standing = "agreed" if state == "agreed" else "proposed"
        assert_refused(entry, "ILLEGAL_TRANSITION", f"p1 is {standing}", "same content", FIRST[:16])
        assert plan_of(ledger).version == 1


@pytest.mark.parametrize("activity", ["course", "summer_school"])
def test_the_agreed_plan_of_a_short_stay_stays(activity: str) -> None:
    """There is one course to talk about, and it was talked about."""
    ledger = Ledger()
    ledger.enrolled("e1", activity=activity)
    propose(ledger)
    ledger.applied(propose(ledger, SECOND))  # until it is agreed it may change
    decide(ledger, "home", decides_hash=SECOND)
    decide(ledger, "host", decides_hash=SECOND)
    entry = propose(ledger)
    assert_refused(
        entry, "ILLEGAL_TRANSITION", "p1 is agreed", f"e1 is a {activity}", "stays as agreed"
    )


@pytest.mark.parametrize("activity", ["exchange_term", "joint_training", "x-other"])
def test_the_agreed_plan_of_a_long_stay_may_change(activity: str) -> None:
    """Courses fall through after arrival; that is what changes are for."""
    ledger = Ledger()
    ledger.enrolled("e1", activity=activity)
    at(ledger, "agreed")
    ledger.applied(propose(ledger, SECOND))


# Deciding


def test_a_decision_waits_for_its_plan(ledger: Ledger) -> None:
    """Home's approval may overtake nothing of home, but the host's can be here first."""
    assert_waits(decide(ledger, "host"), "UNKNOWN_REFERENCE", "e1 has no plan", "plan-proposed")
    propose(ledger)
    assert [entry.outcome for entry in ledger.last] == ["applied", "applied"]
    assert plan_of(ledger).approved_by == ("host",)


@pytest.mark.parametrize("order", [("home", "host"), ("host", "home")])
def test_a_plan_is_agreed_when_both_sides_approved(ledger: Ledger, order: tuple[str, str]) -> None:
    """In either order; each hears of the other's word, and the one that is left acts next."""
    members = {"home": HOME, "host": HOST}
    propose(ledger, decide_by=DAY)
    first = ledger.applied(decide(ledger, order[0]))
    assert first.changes[0].next_actors == (members[order[1]],)
    assert (first.changes[0].state, first.changes[0].due_at) == ("proposed", OVER)
    assert first.audience == (members[order[1]],)
    second = ledger.applied(decide(ledger, order[1]))
    [change] = second.changes
    assert (change.state, change.next_actors, change.due_at) == ("agreed", (), None)
    assert second.audience == (members[order[0]],)
    assert (postings(first), postings(second)) == ([], [])


@pytest.mark.parametrize("side", ["home", "host"])
def test_one_return_ends_the_proposal(ledger: Ledger, side: str) -> None:
    """Whoever else approved: what was approved is not what will be done."""
    at(ledger, f"approved by {'host' if side == 'home' else 'home'}")
    entry = ledger.applied(decide(ledger, side, "returned"))
    [change] = entry.changes
    assert (change.state, change.next_actors) == ("returned", ())
    assert plan_of(ledger).approved_by == ()
    assert entry.audience == ((HOST,) if side == "home" else (HOME,))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("side", ["home", "host"])
@pytest.mark.parametrize("decision", ["approved", "returned"])
def test_each_side_decides_once_while_the_plan_is_open(
    ledger: Ledger, state: str, side: str, decision: str
) -> None:
    """Every state against every decision of each side; an approval is not taken back, home proposes anew."""
    at(ledger, state)
    before = plan_of(ledger)
    entry = decide(ledger, side, decision)
    if before.state == "proposed" and side not in before.approved_by:
        assert entry.outcome == "applied", entry.detail
        second = len(before.approved_by) == 1
        reached = {"approved": "agreed" if second else "proposed"}.get(decision, decision)
        assert plan_of(ledger).state == reached
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"p1 is {before.state}", "nothing is")
        assert plan_of(ledger) == before


@pytest.mark.parametrize(
    "other",
    [{"plan_id": "p2"}, {"home": OTHER}, {"host": OTHER}],
    ids=lambda other: next(iter(other)),
)
def test_a_decision_names_the_plan_and_its_universities(
    ledger: Ledger, other: dict[str, str]
) -> None:
    """Else a third member could decide by calling itself the host."""
    propose(ledger)
    entry = decide(ledger, "home" if "host" in other else "host", **other)
    assert_refused(entry, "NOT_WRITER", f"plan p1 between {HOME} and {HOST}", *other.values())


@pytest.mark.parametrize(
    ("side", "decision"),
    [
        ("home", "x-maybe"),
        ("host", "agreed"),
        ("both", "approved"),
        ("", ""),
        ("home", "approved_by_both"),
    ],
)
def test_a_decision_is_one_sides_approval_or_return(
    ledger: Ledger, side: str, decision: str
) -> None:
    """`approved_by_both` is the ledger's word: no side speaks for the other."""
    propose(ledger)
    entry = decide(ledger, side, decision)
    assert_refused(entry, "CONTENT_INVALID", repr(side), repr(decision), "home or host")


@pytest.mark.parametrize("side", ["home", "host"])
def test_nobody_decides_for_the_other_side(ledger: Ledger, side: str) -> None:
    """A host that approves as home would promise the recognition of its own courses."""
    propose(ledger)
    signer, member = (HOST, HOME) if side == "home" else (HOME, HOST)
    entry = decide(ledger, side, by=signer)
    assert_refused(entry, "NOT_WRITER", f"the {side} of plan p1 is {member}", f"ask {member}")


def test_a_decision_on_another_content_is_stale(ledger: Ledger) -> None:
    """Nobody approves a plan that changed under their hands; returning one is no different."""
    propose(ledger)
    for decision in ("approved", "returned"):
        entry = decide(ledger, "host", decision, decides_hash=SECOND)
        assert_refused(entry, "STALE_VERSION", FIRST[:16], SECOND[:16], "decide again")
    assert plan_of(ledger).state == "proposed"


# Deadlines


def test_the_sides_that_have_not_approved_are_reminded(ledger: Ledger) -> None:
    """Three days before and when the day is over; the plan stays open."""
    propose(ledger, decide_by=DAY)
    decide(ledger, "home")
    [near] = ledger.tick(datetime(2026, 10, 7, 16, tzinfo=UTC))
    assert (near.flags, near.audience) == (("deadline_near",), (HOST,))
    assert ledger.tick(LAST_MOMENT) == []
    [over] = ledger.tick(OVER)
    assert (over.flags, over.audience, over.changes) == (("deadline_over",), (HOST,), ())
    assert ledger.tick() == []
    ledger.applied(decide(ledger, "host"))
    assert plan_of(ledger).state == "agreed"


@pytest.mark.parametrize("state", ["returned", "agreed"])
def test_a_decided_plan_has_no_deadline(ledger: Ledger, state: str) -> None:
    """What was to be done is done."""
    propose(ledger, decide_by=DAY)
    if state == "agreed":
        decide(ledger, "home")
    decide(ledger, "host", {"agreed": "approved"}.get(state, state))
    assert plan_of(ledger).state == state
    assert ledger.tick(OVER) == []


def test_a_new_plan_brings_its_own_deadline(ledger: Ledger) -> None:
    """Also none."""
    propose(ledger, decide_by=DAY)
    propose(ledger, SECOND)
    assert ledger.tick(OVER) == []


# For people


def test_reasons_and_life_are_declared() -> None:
    """The catalogue page and the console read them."""
    assert PROPOSED.life is DECIDED.life is PLAN
    both = {"UNKNOWN_REFERENCE", "NOT_WRITER", "CONTENT_INVALID", "ILLEGAL_TRANSITION"}
    assert {reason.value for reason in PROPOSED.reasons} == both | {"DEADLINE_PASSED"}
    assert {reason.value for reason in DECIDED.reasons} == both | {"STALE_VERSION"}


NAMES = Names({HOME: ("Sichuan", "川大"), HOST: ("Chongqing", "重大")})


def test_the_sentence_of_a_plan_names_courses_and_credits() -> None:
    """How much is studied, and what it counts as."""
    said = PROPOSED.sentence(Ledger().record("enrollment.plan-proposed"), NAMES)
    assert said.en == (
        "Sichuan plans for one of its students at Chongqing: Advanced Mathematics (3 credits), "
        "to count as 1 course at home (3 credits)"
    )
    assert said.zh == (
        "川大为一名学生提出在重大的学习计划：“高等数学”（3学分），对接本校1门课程（3学分）"
    )


def test_the_sentence_of_a_plan_leaves_out_what_was_struck_out() -> None:
    """A course that is deleted is in the plan to be seen, not to be studied. Schemes are not added up."""
    gone = replace(EXAMPLE.studied[0], change="deleted")
    foreign = replace(EXAMPLE.studied[0], credits=credit("6", "ects"))
    record = Ledger().record(
        "enrollment.plan-proposed",
        studied=(gone, *studied("3", "2.5"), foreign),
        recognized=planned("3", "2"),
    )
    said = PROPOSED.sentence(record, NAMES)
    assert (
        "Advanced Mathematics and 2 more (5.5 + 6 ects credits), to count as 2 courses at home (5 credits)"
        in said.en
    )
    assert "“高等数学”等3门课程（5.5 + 6 ects学分），对接本校2门课程（5学分）" in said.zh


@pytest.mark.parametrize("courses", [(), (replace(EXAMPLE.studied[0], titles=()),)])
def test_the_sentence_of_a_plan_needs_no_course(courses: Any) -> None:
    """What was refused is shown, too."""
    record = Ledger().record("enrollment.plan-proposed", studied=courses, recognized=())
    said = PROPOSED.sentence(record, NAMES)
    assert "0 courses at home (0 credits)" in said.en
    assert "0门课程（0学分）" in said.zh


@pytest.mark.parametrize(
    ("by", "decision", "english", "chinese"),
    [
        (HOST, "approved", "Chongqing approved the learning plan of a student of Sichuan", "重大同意川大一名学生的学习计划"),
        (HOME, "approved", "Sichuan approved the learning plan of one of its students at Chongqing", "川大同意本校一名学生在重大的学习计划"),
        (HOST, "returned", "Chongqing returned the learning plan of a student of Sichuan", "重大退回川大一名学生的学习计划"),
        (HOST, "x-later", "Chongqing x-later the learning plan of a student of Sichuan", "重大x-later川大一名学生的学习计划"),
    ],
)  # fmt: skip
def test_the_sentence_of_a_decision_names_side_and_comment(
    by: str, decision: str, english: str, chinese: str
) -> None:
    """The comment tells what to change."""
    facts: dict[str, Any] = {"by": by, "decision": decision}
    said = DECIDED.sentence(Ledger().record("enrollment.plan-decided", **facts), NAMES)
    assert (said.en, said.zh) == (english, chinese)
    comment = (r.LangText("zh", "换一门课"), r.LangText("en", "Take another course"))
    said = DECIDED.sentence(
        Ledger().record("enrollment.plan-decided", comment=comment, **facts), NAMES
    )
    assert said.en == f"{english}: Take another course"
    assert said.zh == f"{chinese}：换一门课"
