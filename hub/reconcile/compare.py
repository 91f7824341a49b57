"""Compare what campuses hold with what the ledger says. Pure; every difference names both sides.

A campus answers with its holdings as JSON (see `connectors/sandbox/README.md`; any campus system can offer the same).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.domain.credit import Award, Recognition
from hub.domain.enrollment import Enrollment
from hub.domain.life import Living
from hub.domain.offering import Offering
from hub.domain.project import Participant, Project
from hub.domain.quantities import SEAT
from hub.domain.reasons import Outcome
from hub.ledger.posting import seats_account
from hub.ledger.state import State
from schemas.records import Entry

_AGAIN = frozenset({Outcome.DUPLICATE, Outcome.CONFLICT})


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which a campus and the ledger disagree."""

    member: str
    kind: str
    id: str
    campus: str
    ledger: str

    def __str__(self) -> str:
        return f"{self.member} {self.kind} {self.id}: campus says {self.campus}, ledger says {self.ledger}"


@dataclass(slots=True)
class Decided:
    """What the ledger decided about each event, from its entries: the newest decision by event id."""

    outcome: dict[str, tuple[str, str]] = field(default_factory=dict)  # event id -> member, outcome
    applied: dict[str, int] = field(default_factory=dict)  # event id -> times applied

    def see(self, entry: Entry) -> None:
        if entry.outcome in _AGAIN or not entry.member:  # the hub's own entries are nobody's events
            return
        self.outcome[entry.event_id] = (entry.member, entry.outcome)
        if entry.outcome == Outcome.APPLIED:
            self.applied[entry.event_id] = self.applied.get(entry.event_id, 0) + 1

    def doubled(self) -> list[str]:
        """Events whose effect the ledger has more than once. There must be none."""
        return [event_id for event_id, times in self.applied.items() if times > 1]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The result over all campuses. `lost` are events a campus holds as sent that have no outcome."""

    campuses: int
    events: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.differences)


def reconcile(
    holdings: Iterable[Mapping[str, Any]], state: State, decided: Decided
) -> Reconciliation:
    """Compare the holdings of campuses with the ledger's state and decisions."""
    lost: list[str] = []
    doubled = decided.doubled()
    differences: list[Difference] = []
    campuses = events = 0
    for held in holdings:
        campuses += 1
        events += len(held["sent"])
        lost += [sent["eventId"] for sent in held["sent"] if sent["outcome"] is None]
        if held["appliedTwice"]:
            doubled += [f"{held['member']}: {held['appliedTwice']} effects at the campus"]
        for check in (
            _events,
            _enrollments,
            _offerings,
            _awards,
            _recognitions,
            _projects,
            _participants,
            _cases,
        ):
            differences += check(held, state, decided)
    return Reconciliation(campuses, events, tuple(lost), tuple(doubled), tuple(differences))


def _pairs(
    member: str, kind: str, campus: Mapping[str, str], ledger: Mapping[str, str]
) -> Iterator[Difference]:
    for thing in sorted(campus.keys() | ledger.keys()):
        said, booked = campus.get(thing, "nothing"), ledger.get(thing, "nothing")
        if said != booked:
            yield Difference(member, kind, thing, said, booked)


def _events(held: Mapping[str, Any], state: State, decided: Decided) -> Iterator[Difference]:
    member = held["member"]
    campus = {
        sent["eventId"]: sent["outcome"]
        for sent in held["sent"]
        if sent["outcome"] not in (None, Outcome.REFUSED)
    }
    ledger = {
        event: outcome for event, (owner, outcome) in decided.outcome.items() if owner == member
    }
    waiting = {sent["eventId"] for sent in held["sent"] if sent["outcome"] is None}
    yield from _pairs(
        member,
        "event",
        campus,
        {event: said for event, said in ledger.items() if event not in waiting},
    )


def _of(state: State, kind: type[Any]) -> Iterable[Any]:
    return state.things.get(kind.KIND, {}).values()


def _enrollments(held: Mapping[str, Any], state: State, decided: Decided) -> Iterator[Difference]:
    member = held["member"]
    campus = {e["enrollmentId"]: f"{e['state']} {e['offeringId']}" for e in held["enrollments"]}
    ledger = {
        e.enrollment_id: f"{e.state} {e.offering_id}"
        for e in _of(state, Enrollment)
        if member in (e.home, e.host)
    }
    yield from _pairs(member, "enrollment", campus, ledger)


def _offerings(held: Mapping[str, Any], state: State, decided: Decided) -> Iterator[Difference]:
    member = held["member"]
    campus = {
        o["offeringId"]: f"{o['seatsTaken']} of {o['capacity']} seats" for o in held["offerings"]
    }
    ledger = {}
    for o in _of(state, Offering):
        if o.host == member:
            free = state.book.balance(seats_account(o.host, o.offering_id), SEAT).available
            ledger[o.offering_id] = f"{o.capacity - free} of {o.capacity} seats"
    yield from _pairs(member, "offering", campus, ledger)


def _awards(held: Mapping[str, Any], state: State, decided: Decided) -> Iterator[Difference]:
    member = held["member"]
    campus = {
        a["awardId"]: f"{a['state']} {a['creditMilli']} {a['scheme']}" for a in held["awards"]
    }
    ledger = {
        a.award_id: f"{a.state} {a.milli} {a.scheme}"
        for a in _of(state, Award)
        if member in (a.home, a.host)
    }
    yield from _pairs(member, "award", campus, ledger)


def _recognitions(held: Mapping[str, Any], state: State, decided: Decided) -> Iterator[Difference]:
    member = held["member"]
    campus = {
        c["recognitionId"]: f"{c['state']} {c['recognizedMilli']}" for c in held["recognitions"]
    }
    ledger = {
        c.recognition_id: f"{'requested' if c.state == 'faculty_decided' else c.state} {c.recognized_milli}"
        for c in _of(state, Recognition)
        if c.home == member
    }
    yield from _pairs(member, "recognition", campus, ledger)


def _projects(held: Mapping[str, Any], state: State, decided: Decided) -> Iterator[Difference]:
    member = held["member"]
    campus = {p["projectId"]: f"{p['status']} led by {p['lead']}" for p in held["projects"]}
    ledger = {
        p.project_id: f"{p.state} led by {p.lead}"
        for p in _of(state, Project)
        if member in p.members
    }
    yield from _pairs(member, "project", campus, ledger)


def _participants(held: Mapping[str, Any], state: State, decided: Decided) -> Iterator[Difference]:
    member = held["member"]
    campus = {
        f"{p['projectId']}/{p['personId']}": f"{p['state']} for {p['employer']}"
        for p in held["projectMembers"]
    }
    mine = {p.project_id for p in _of(state, Project) if member in p.members}
    ledger = {
        f"{p.project_id}/{p.person_id}": f"{p.state} for {p.employer}"
        for p in _of(state, Participant)
        if p.project_id in mine
    }
    yield from _pairs(member, "project member", campus, ledger)


_TOLD_APART = frozenset(
    kind.KIND for kind in (Offering, Enrollment, Award, Recognition, Project, Participant)
)


def _cases(held: Mapping[str, Any], state: State, decided: Decided) -> Iterator[Difference]:
    """Everything else with a life: kind, id and what campus and ledger must agree on in few words."""
    member = held["member"]
    for kind, things in sorted(state.things.items()):
        living = [thing for thing in things.values() if isinstance(thing, Living)]
        if kind in _TOLD_APART or not living:
            continue
        campus = {case["id"]: case["summary"] for case in held["cases"] if case["kind"] == kind}
        ledger = {thing.id: thing.summary() for thing in living if member in thing.concerned()}
        yield from _pairs(member, kind, campus, ledger)
