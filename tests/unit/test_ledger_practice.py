"""Rules of placements: who takes which step, the places they use up, and the awards that rest on them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from hub.domain.credit import Award
from hub.domain.practice import PLACEMENT, Placement
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
    credit,
    organization,
    postings,
)

RULES = event_rules()["practice.placement-changed"]
STUDENTS = ("student-1", "student-2")
# The steps that lead to each state.
WAYS: dict[str, tuple[str, ...]] = {
    "proposed": (),
    "approved": ("endorsed",),
    "ongoing": ("endorsed", "started"),
    "mid_checked": ("endorsed", "started", "mid_checked"),
    "completed": ("endorsed", "started", "completed"),
    "graded": ("endorsed", "started", "completed", "graded"),
    "terminated": ("terminated",),
}
HOST_STEPS = ("proposed", "started", "mid_checked", "completed", "graded")
STEPS = (*HOST_STEPS, "endorsed", "terminated")
END = date(2027, 7, 9)
OVER = datetime(2027, 7, 9, 16, tzinfo=UTC)  # midnight in Shanghai
NEAR = datetime(2027, 7, 6, 16, tzinfo=UTC)
SPRING = date(2027, 5, 17)
YEAR, NEXT = "2026-2027", "2027-2028"


def guide(member: str, role: str = "main") -> r.Supervisor:
    return r.Supervisor(f"urn:alliance:staff:{member}:1", member, role)


BOTH = (guide(HOST), guide(HOME, "co"))


def take(ledger: Ledger, step: str, **said: Any) -> r.Entry:
    """A step of placement `p1`, signed by the side whose it is. It runs from May to July 2027."""
    facts = {
        "placement_id": "p1",
        "home": HOME,
        "host": HOST,
        "students": STUDENTS,
        "supervisors": BOTH,
        "start_date": SPRING,
        "end_date": END,
        "project_id": None,
        "resource_id": None,
        "agreement_id": None,
        "by": HOME if step == "endorsed" else HOST,
    } | said
    return ledger.tell("practice.placement-changed", step=step, **facts)


def at(ledger: Ledger, state: str, **said: Any) -> None:
    for step in ("proposed", *WAYS[state]):
        ledger.applied(take(ledger, step, **said))


def state_of(ledger: Ledger) -> str:
    return str(ledger.find(Placement, "p1").state)


def agreed(ledger: Ledger, per_year: int, kind: str = "practice") -> None:
    """Agreement `a1` of home and host in effect: so many students a year, 2026-2027 and 2027-2028."""
    sample: Any = from_json("agreement.changed", example(catalogue().newest["agreement.changed"]))
    conditions = r.AgreementConditions(
        kind, YEAR, NEXT, (r.AgreementQuota(HOME, HOST, per_year),), None, None, None, None
    )
    for party, step in ((HOME, "proposed"), (HOST, "approved")):
        ledger.applied(
            ledger.tell(
                sample.EVENT,
                agreement_id="a1",
                party=party,
                parties=(HOME, HOST),
                conditions=conditions,
                step=step,
            )
        )


def places(ledger: Ledger, year: str = YEAR) -> tuple[int, int, int]:
    """Places of `a1` from home to host: left, reserved, filled."""
    where = ("a1", HOME, HOST, year)
    filled = ledger.state.book.balance(filled_account(*where), PLACE)
    left = ledger.state.book.balance(quota_account(*where), PLACE).available
    return left, filled.pending_in, filled.posted_in


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


# The walk


def test_the_life_of_a_placement_is_the_agreed_one() -> None:
    """What campuses were told, line by line; the tests below take the table for granted."""
    agreed_lines = """
        host proposed endorsed=home approved
        host approved started ongoing
        host ongoing mid_checked mid_checked
        host ongoing completed completed
        host mid_checked completed completed
        host completed graded graded
        either proposed terminated terminated
        either approved terminated terminated
        either ongoing terminated terminated
        either mid_checked terminated terminated
    """
    roles = {"host": ("host",), "home": ("home",), "either": ("home", "host")}
    table: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
        ("", "proposed"): ("proposed", ("host",))
    }
    for line in agreed_lines.strip().splitlines():
        by, state, named, reached = line.split()
        step, _, own = named.partition("=")
        table[state, step] = (reached, roles[own or by])
    assert {(step.before, step.name): (step.after, step.by) for step in PLACEMENT.steps} == table


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("by", [HOME, HOST])
def test_a_placement_walks_its_table_and_each_side_takes_its_own_steps(
    ledger: Ledger, state: str, step: str, by: str
) -> None:
    """Every state, every step, either side. The wrong side is told so whatever the state."""
    at(ledger, state)
    entry = take(ledger, step, by=by)
    walked = PLACEMENT.step(state, step)
    rightly = {"endorsed": (HOME,), "terminated": (HOME, HOST)}.get(step, (HOST,))
    if by not in rightly:
        assert_refused(entry, "NOT_WRITER", f"{step} is stated by {rightly[0]}", f"signed by {by}")
    elif walked is None:
        possible = () if step == "proposed" else ("possible:",)
        assert_refused(entry, "ILLEGAL_TRANSITION", state, *possible)
    else:
        assert entry.outcome == "applied", entry.detail
    assert state_of(ledger) == (walked.after if entry.outcome == "applied" and walked else state)


def test_a_closed_placement_says_that_nothing_is_possible(ledger: Ledger) -> None:
    """What now: nothing."""
    at(ledger, "graded")
    assert_refused(
        take(ledger, "started"), "ILLEGAL_TRANSITION", "p1 is graded", "placement is closed"
    )


@pytest.mark.parametrize(
    ("state", "turn"),
    [
        ("proposed", (HOME,)),
        ("approved", (HOST,)),
        ("ongoing", (HOST,)),
        ("mid_checked", (HOST,)),
        ("completed", (HOST,)),
        ("graded", ()),
        ("terminated", ()),
    ],
)
def test_whose_turn_it_is_stands_in_the_log(
    ledger: Ledger, state: str, turn: tuple[str, ...]
) -> None:
    """Home endorses, all else is the host's; a deadline runs only while the students are there."""
    at(ledger, state)
    [change] = ledger.last[0].changes
    assert (change.kind, change.id, change.state, change.next_actors) == (
        "placement",
        "p1",
        state,
        turn,
    )
    assert change.due_at == (OVER if state in ("ongoing", "mid_checked") else None)
    assert change.closed == (not turn)


def test_home_host_and_the_supervisors_members_are_told(ledger: Ledger) -> None:
    """An enterprise's supervisor may answer to a third member; one that stops is told that, and no more."""
    entry = take(ledger, "proposed", supervisors=(*BOTH, guide(OTHER, "enterprise")))
    assert entry.audience == (HOME, OTHER)
    assert ledger.find(Placement, "p1").concerned() == {HOME, HOST, OTHER}
    entry = take(ledger, "endorsed", supervisors=(*BOTH, guide(FOURTH, "enterprise")))
    assert entry.audience == (HOST, OTHER, FOURTH)
    assert take(ledger, "started").audience == (HOME, FOURTH)
    assert take(ledger, "mid_checked").audience == (HOME,)


def test_without_an_agreement_nothing_moves(ledger: Ledger) -> None:
    """Practice is free of postings until credits are awarded."""
    at(ledger, "graded")
    assert all(not written.entry.postings for written in ledger.entries)


# What a placement may say


@pytest.mark.parametrize("step", ["", "approved", "ongoing", "x-paused"])
def test_a_step_is_one_of_the_table(ledger: Ledger, step: str) -> None:
    """States are not steps; and the unknown step comes before the unknown member."""
    entry = take(ledger, step, host="99999", by=HOME)
    assert_refused(entry, "CONTENT_INVALID", repr(step), "endorsed", "correct it")


@pytest.mark.parametrize("side", ["home", "host"])
def test_home_and_host_are_members(ledger: Ledger, side: str) -> None:
    """A code that is no member would wait for ever."""
    entry = take(ledger, "proposed", **{side: "99999"})
    assert_refused(entry, "UNKNOWN_MEMBER", "99999")


def test_a_placement_is_at_another_university(ledger: Ledger) -> None:
    """Practice at home is the campus's own business."""
    assert_refused(take(ledger, "proposed", home=HOST), "ILLEGAL_TRANSITION", HOST, "at home")


def test_a_third_member_takes_no_step(ledger: Ledger) -> None:
    """Admission lets either side write; the ledger says which, and for terminating names both."""
    at(ledger, "proposed")
    entry = take(ledger, "terminated", by=OTHER)
    assert_refused(entry, "NOT_WRITER", f"{HOME} or {HOST}", OTHER)


@pytest.mark.parametrize("students", [(), ("student-1", "student-1")])
def test_a_placement_is_for_students_each_named_once(
    ledger: Ledger, students: tuple[str, ...]
) -> None:
    """Each takes one place and may get one award."""
    entry = take(ledger, "proposed", students=students)
    assert_refused(entry, "CONTENT_INVALID", f"names {len(students)} students", "at least one")


def test_a_placement_does_not_end_before_it_starts(ledger: Ledger) -> None:
    """One day is the least."""
    entry = take(ledger, "proposed", start_date=date(2027, 7, 10))
    assert_refused(entry, "CONTENT_INVALID", "ends on 2027-07-09", "2027-07-10")
    ledger.applied(take(ledger, "proposed", start_date=END))


@pytest.mark.parametrize("step", ["proposed", "endorsed"])
def test_supervisors_are_of_members(ledger: Ledger, step: str) -> None:
    """They are told of every step; a stranger cannot be."""
    if step == "endorsed":
        at(ledger, "proposed")
    entry = take(ledger, step, supervisors=(*BOTH, guide("99999")))
    assert_refused(entry, "UNKNOWN_MEMBER", "99999")


def test_credits_of_a_placement_are_not_negative(ledger: Ledger) -> None:
    """None is possible, unknown too."""
    entry = take(ledger, "proposed", credits=credit("-0.001"))
    assert_refused(entry, "CONTENT_INVALID", "-0.001", "0 or more")
    ledger.applied(take(ledger, "proposed", credits=credit("0")))
    ledger.applied(take(ledger, "endorsed", credits=None))


def test_a_placement_id_is_used_once(ledger: Ledger) -> None:
    """A second proposal under the id would take over the first one's case."""
    at(ledger, "ongoing")
    assert_refused(
        take(ledger, "proposed"), "ILLEGAL_TRANSITION", "p1 exists", "ongoing", "id of its own"
    )


@pytest.mark.parametrize("step", [step for step in STEPS if step != "proposed"])
def test_a_step_waits_for_the_proposal(ledger: Ledger, step: str) -> None:
    """Two outboxes have no order between them."""
    by = HOME if step in ("endorsed", "terminated") else HOST
    assert_waits(take(ledger, step, by=by, version=1), "UNKNOWN_REFERENCE", "p1", HOST)


def test_an_early_endorsement_is_taken_up_when_the_proposal_comes(ledger: Ledger) -> None:
    """It was parked, not lost."""
    take(ledger, "endorsed")
    take(ledger, "proposed")
    assert [entry.outcome for entry in ledger.last] == ["applied", "applied"]
    assert state_of(ledger) == "approved"


@pytest.mark.parametrize(
    ("step", "other"),
    [("started", {"home": OTHER}), ("endorsed", {"host": OTHER}), ("terminated", {"home": OTHER})],
)
def test_a_placement_keeps_home_and_host(ledger: Ledger, step: str, other: dict[str, str]) -> None:
    """Else a third member could speak of it by calling itself one of them."""
    at(ledger, "proposed")
    entry = take(ledger, step, **other)
    assert_refused(entry, "NOT_WRITER", f"students of {HOME} at {HOST}", OTHER)


@pytest.mark.parametrize(
    "students", [("student-1",), (*STUDENTS, "student-3"), ("student-1", "student-3")]
)
def test_a_placement_keeps_its_students(ledger: Ledger, students: tuple[str, ...]) -> None:
    """Home endorsed these, and these take the places."""
    at(ledger, "approved")
    entry = take(ledger, "started", students=students)
    assert_refused(entry, "NOT_WRITER", "2 students", "same ones")


def test_the_order_of_the_students_means_nothing(ledger: Ledger) -> None:
    """Lists come out of databases as they come."""
    at(ledger, "approved")
    ledger.applied(take(ledger, "started", students=STUDENTS[::-1]))


@pytest.mark.parametrize("supervisors", [(), (guide(HOST),), (guide(HOST), guide(OTHER))])
def test_an_endorsement_names_a_supervisor_at_home(ledger: Ledger, supervisors: Any) -> None:
    """Somebody at home answers for the students; the host could propose without knowing whom."""
    ledger.applied(take(ledger, "proposed", supervisors=(guide(HOST),)))
    entry = take(ledger, "endorsed", supervisors=supervisors)
    assert_refused(entry, "CONTENT_INVALID", f"no supervisor of home {HOME}", "name one")
    ledger.applied(take(ledger, "endorsed"))


# Projects and resources


def test_a_proposal_waits_for_its_project(ledger: Ledger) -> None:
    """Released when the lead states it."""
    assert_waits(
        take(ledger, "proposed", project_id="p9"), "UNKNOWN_REFERENCE", "p9", "project.changed"
    )
    ledger.project("p9", HOST, status="active")
    assert [entry.outcome for entry in ledger.last] == ["applied", "applied"]


@pytest.mark.parametrize(
    "status", ["idea", "drafted", "submitted", "funded", "active", "completed"]
)
def test_students_work_in_projects_that_are_funded_or_active(ledger: Ledger, status: str) -> None:
    """Before there is nothing to do, afterwards nothing left."""
    for reached in ("active", "completed") if status == "completed" else (status,):
        ledger.applied(ledger.project("p9", HOST, status=reached))
    entry = take(ledger, "proposed", project_id="p9")
    if status in ("funded", "active"):
        assert entry.outcome == "applied", entry.detail
    else:
        assert_refused(
            entry, "ILLEGAL_TRANSITION", f"p9 of {HOME}, {HOST} is {status}", "funded or active"
        )


@pytest.mark.parametrize("partners", [(HOME, OTHER), (HOST, OTHER), (OTHER, FOURTH)])
def test_home_and_host_take_part_in_the_project(ledger: Ledger, partners: tuple[str, str]) -> None:
    """Nobody sends students into what others do."""
    ledger.project("p9", partners[1], lead=partners[0], status="active")
    entry = take(ledger, "proposed", project_id="p9")
    assert_refused(entry, "ILLEGAL_TRANSITION", ", ".join(partners), f"{HOME} and {HOST}")


def test_a_project_that_ends_later_does_not_stop_the_placement(ledger: Ledger) -> None:
    """What it names counts when it is proposed."""
    ledger.project("p9", HOST, status="active")
    ledger.applied(take(ledger, "proposed", project_id="p9"))
    ledger.tell(
        "project.changed", project_id="p9", lead=HOME, status="completed",
        organizations=(organization(HOME, "lead"), organization(HOST)),
    )  # fmt: skip
    ledger.applied(take(ledger, "endorsed", project_id="p9"))


def test_a_proposal_waits_for_its_resource(ledger: Ledger) -> None:
    """Released when the owner registers it as operational."""
    entry = take(ledger, "proposed", resource_id="gpc")
    assert_waits(entry, "UNKNOWN_REFERENCE", "gpc", "lab.resource-changed")
    ledger.tell("lab.resource-changed", resource_id="gpc", owner=HOST, status="operational")
    assert [entry.outcome for entry in ledger.last] == ["applied", "applied"]


@pytest.mark.parametrize(
    "ways", [("registered",), ("operational", "outage"), ("operational", "retired")]
)
def test_students_work_at_resources_in_operation(ledger: Ledger, ways: tuple[str, ...]) -> None:
    """The owner says when."""
    for status in ways:
        ledger.applied(
            ledger.tell("lab.resource-changed", resource_id="gpc", owner=HOST, status=status)
        )
    entry = take(ledger, "proposed", resource_id="gpc")
    assert_refused(entry, "ILLEGAL_TRANSITION", f"gpc of {HOST} is {ways[-1]}", "operational")


# Agreements


def test_a_proposal_waits_for_its_agreement(ledger: Ledger) -> None:
    """And is refused when that is not in effect once it is known."""
    assert_waits(take(ledger, "proposed", agreement_id="a1"), "UNKNOWN_REFERENCE", "a1")
    agreed(ledger, 2)
    assert ledger.state.parked_count() == 0
    assert ledger.find(Placement, "p1") is None


@pytest.mark.parametrize(
    ("kind", "start", "said"),
    [
        ("student_studies", SPRING, "on student_studies"),
        ("practice", date(2026, 8, 31), "and 2025-2026"),
        ("practice", date(2028, 9, 1), "and 2028-2029"),
    ],
)
def test_an_agreement_on_practice_covers_the_year_of_the_start(
    ledger: Ledger, kind: str, start: date, said: str
) -> None:
    """Academic years begin in September."""
    agreed(ledger, 2, kind)
    entry = take(ledger, "proposed", agreement_id="a1", start_date=start, end_date=date(2029, 1, 1))
    assert_refused(entry, "ILLEGAL_TRANSITION", said)


def test_each_student_takes_one_place_when_home_endorses(ledger: Ledger) -> None:
    """All of them in one posting; a proposal takes none."""
    agreed(ledger, 3)
    assert postings(take(ledger, "proposed", agreement_id="a1")) == []
    entry = ledger.applied(take(ledger, "endorsed", agreement_id="a1"))
    assert postings(entry) == [("pend", 2)]
    assert entry.postings[0].pending_id == "quota/placement/p1"
    assert (places(ledger), places(ledger, NEXT)) == ((1, 2, 0), (3, 0, 0))


def test_places_are_of_the_year_in_which_the_placement_starts(ledger: Ledger) -> None:
    """September belongs to the new one. A later step with other days does not move it to another year."""
    agreed(ledger, 3)
    dates = {"start_date": date(2027, 9, 1), "end_date": date(2027, 12, 1), "agreement_id": "a1"}
    take(ledger, "proposed", **dates)
    ledger.applied(take(ledger, "endorsed", agreement_id="a1"))
    assert (places(ledger), places(ledger, NEXT)) == ((3, 0, 0), (1, 2, 0))


def test_starting_uses_the_places_up(ledger: Ledger) -> None:
    """And what happens afterwards changes nothing."""
    agreed(ledger, 3)
    at(ledger, "approved", agreement_id="a1")
    assert postings(ledger.applied(take(ledger, "started"))) == [("post", 2)]
    assert places(ledger) == (1, 0, 2)
    assert postings(ledger.applied(take(ledger, "terminated"))) == []
    assert places(ledger) == (1, 0, 2)


@pytest.mark.parametrize("by", [HOME, HOST])
def test_ending_before_the_start_gives_the_places_back(ledger: Ledger, by: str) -> None:
    """Others can have them."""
    agreed(ledger, 2)
    at(ledger, "approved", agreement_id="a1")
    assert postings(ledger.applied(take(ledger, "terminated", by=by))) == [("void", 2)]
    assert places(ledger) == (2, 0, 0)
    ledger.applied(take(ledger, "proposed", placement_id="p2", agreement_id="a1"))
    ledger.applied(take(ledger, "endorsed", placement_id="p2", agreement_id="a1"))


def test_ending_a_proposal_gives_nothing_back(ledger: Ledger) -> None:
    """Nothing was taken."""
    agreed(ledger, 2)
    take(ledger, "proposed", agreement_id="a1")
    assert postings(ledger.applied(take(ledger, "terminated"))) == []


def test_all_students_need_a_place(ledger: Ledger) -> None:
    """One place for two students endorses none; the placement stays open and can be ended or endorsed later."""
    agreed(ledger, 1)
    take(ledger, "proposed", agreement_id="a1")
    entry = take(ledger, "endorsed", agreement_id="a1")
    assert_refused(entry, "QUOTA_EXCEEDED", "a1 has 1 places left", YEAR, "2 needed")
    assert (state_of(ledger), places(ledger)) == ("proposed", (1, 0, 0))


def test_the_agreement_is_the_one_of_the_proposal(ledger: Ledger) -> None:
    """Home cannot endorse its way around the quota by leaving the agreement out."""
    agreed(ledger, 1)
    take(ledger, "proposed", agreement_id="a1")
    assert_refused(take(ledger, "endorsed", agreement_id=None), "QUOTA_EXCEEDED")


# Deadlines


@pytest.mark.parametrize("state", ["ongoing", "mid_checked"])
def test_the_host_is_reminded_to_complete(ledger: Ledger, state: str) -> None:
    """Three days before the last day is over, and when it is; the placement stays as it is."""
    at(ledger, state)
    [near] = ledger.tick(NEAR)
    assert (near.flags, near.audience) == (("deadline_near",), (HOST,))
    [over] = ledger.tick(OVER)
    assert (over.flags, over.audience, over.changes) == (("deadline_over",), (HOST,), ())
    assert ledger.tick() == []
    assert state_of(ledger) == state


@pytest.mark.parametrize("state", ["proposed", "approved", "completed", "graded", "terminated"])
def test_the_last_day_means_nothing_while_nobody_is_there(ledger: Ledger, state: str) -> None:
    """Before the start and after the end nobody is late."""
    at(ledger, state)
    assert ledger.tick(OVER) == []


def test_a_check_halfway_reminds_nobody_twice(ledger: Ledger) -> None:
    """The last day is the same; the flag was raised."""
    at(ledger, "ongoing")
    ledger.tick(NEAR)
    take(ledger, "mid_checked")
    assert ledger.tick() == []


def test_the_newest_last_day_counts(ledger: Ledger) -> None:
    """The check halfway may prolong the stay."""
    at(ledger, "ongoing")
    take(ledger, "mid_checked", end_date=date(2027, 8, 9))
    assert ledger.tick(OVER) == []
    assert [e.flags for e in ledger.tick(datetime(2027, 8, 9, 16, tzinfo=UTC))][-1] == (
        "deadline_over",
    )


# Awards that rest on a placement


def award(ledger: Ledger, award_id: str = "w1", **said: Any) -> r.Entry:
    facts = {
        "student_id": STUDENTS[0],
        "home": HOME,
        "host": HOST,
        "credits": credit("2"),
        "enrollment_id": None,
        "placement_id": "p1",
    } | said
    return ledger.tell("credit.awarded", award_id=award_id, **facts)


@pytest.mark.parametrize("state", WAYS)
def test_credits_are_awarded_once_a_placement_is_completed(ledger: Ledger, state: str) -> None:
    """Completed or graded; not while it goes on, nor when it was ended."""
    at(ledger, state)
    entry = award(ledger)
    if state in ("completed", "graded"):
        assert postings(ledger.applied(entry)) == [("pend", 2000)]
        assert entry.audience == (HOME,)
        assert ledger.claim() == (2000, 0)
    else:
        assert_refused(entry, "ILLEGAL_TRANSITION", f"p1 is {state}", "completed or graded")


def test_each_student_of_a_placement_gets_an_award(ledger: Ledger) -> None:
    """One placement, several students."""
    at(ledger, "graded")
    ledger.applied(award(ledger, "w1"))
    ledger.applied(award(ledger, "w2", student_id=STUDENTS[1]))
    assert ledger.claim() == (4000, 0)


def test_an_award_waits_for_its_placement(ledger: Ledger) -> None:
    """Also one completed long ago elsewhere: the hub knows nothing of it yet."""
    assert_waits(award(ledger), "UNKNOWN_REFERENCE", "p1", "practice.placement-changed")
    take(ledger, "proposed")
    assert [entry.reason for entry in ledger.last] == [None, "ILLEGAL_TRANSITION"]


@pytest.mark.parametrize(
    "other",
    [{"student_id": "another"}, {"home": OTHER}, {"host": OTHER}],
    ids=lambda other: next(iter(other)),
)
def test_an_award_is_for_a_student_of_the_placement(ledger: Ledger, other: dict[str, str]) -> None:
    """And by its host, to its home."""
    at(ledger, "graded")
    assert_refused(award(ledger, **other), "NOT_WRITER", "p1", HOME, HOST)


@pytest.mark.parametrize("both", [True, False])
def test_an_award_rests_on_an_enrollment_or_on_a_placement(ledger: Ledger, both: bool) -> None:
    """On both the credits would count twice, on none for nothing."""
    at(ledger, "graded")
    ledger.enrolled("e1", student_id=STUDENTS[0])
    named = {"enrollment_id": "e1"} if both else {"placement_id": None}
    assert_refused(award(ledger, **named), "CONTENT_INVALID", "w1", "one of the two")


def test_credits_of_a_placement_are_recognized_as_any_other(ledger: Ledger) -> None:
    """From award to the student's credits."""
    at(ledger, "graded")
    ledger.applied(award(ledger))
    ledger.applied(ledger.ask("r1", ["w1"]))
    ledger.applied(ledger.rule("r1", "2", original="2"))
    assert ledger.recognized(STUDENTS[0]) == 2000


@pytest.mark.parametrize("agreement_id", ["a1", None])
def test_an_award_remembers_the_agreement_of_its_placement(
    ledger: Ledger, agreement_id: str | None
) -> None:
    """Its rules of recognition may be the agreement's."""
    agreed(ledger, 2)
    at(ledger, "graded", agreement_id=agreement_id)
    award(ledger)
    assert ledger.find(Award, "w1").agreement_id == agreement_id


# For people


def test_reasons_and_life_are_declared() -> None:
    """The catalogue page and the console read them."""
    assert RULES.life is PLACEMENT
    assert {reason.value for reason in RULES.reasons} == {
        "CONTENT_INVALID",
        "UNKNOWN_MEMBER",
        "NOT_WRITER",
        "UNKNOWN_REFERENCE",
        "ILLEGAL_TRANSITION",
        "QUOTA_EXCEEDED",
    }


NAMES = Names({HOME: ("Sichuan", "川大"), HOST: ("Chongqing", "重大")})


@pytest.mark.parametrize(
    ("step", "by", "english", "chinese"),
    [
        ("proposed", HOST, "Chongqing proposed", "重大提出"),
        ("endorsed", HOME, "Sichuan endorsed", "川大确认"),
        ("mid_checked", HOST, "Chongqing checked halfway", "重大中期检查"),
        ("terminated", HOME, "Sichuan terminated", "川大终止"),
        ("x-paused", HOST, "Chongqing x-paused", "重大x-paused"),
    ],
)
def test_a_sentence_names_who_did_what(step: str, by: str, english: str, chinese: str) -> None:
    """With students, topic, days and credits; a later step is shown as it is."""
    record = Ledger().record("practice.placement-changed", step=step, by=by)
    said = RULES.sentence(record, NAMES)
    assert said.en == (
        f"{english} a placement (joint project course) of 1 student of Sichuan at Chongqing: "
        "Numerical inversion of molar mass distributions of polymers, 2027-05-17 to 2027-07-09, 2 credits"
    )
    assert said.zh == (
        f"{chinese}川大1名学生在重大的联合项目课程“聚合物分子量分布的数值反演”（2027-05-17至2027-07-09，2学分）"
    )


def test_a_sentence_needs_neither_topic_nor_credits() -> None:
    """What was refused is shown, too."""
    record = Ledger().record(
        "practice.placement-changed", topic=(), credits=None, students=(), kind="x-field_trip"
    )
    said = RULES.sentence(record, NAMES)
    assert "(x-field trip) of 0 students" in said.en
    assert said.zh.endswith("0名学生在重大的x-field_trip“”（2027-05-17至2027-07-09）")
