"""A ledger in memory for tests of the rules: state events in a few words, look at what became of them.

Events are made from the examples beside the schemas, so a new field with a default changes nothing here. Versions are
counted as a campus counts them; every statement uses one up, whatever becomes of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from hub.domain.credit import Award, Recognition
from hub.domain.enrollment import Enrollment
from hub.domain.life import Thing
from hub.domain.offering import Offering
from hub.domain.project import Participant, Project
from hub.domain.quantities import SEAT, credit_unit
from hub.events import COMMON_REASONS, event_rules, rules
from hub.ledger.apply import Written, apply
from hub.ledger.posting import (
    claim_account,
    enrolled_account,
    issued_account,
    seats_account,
    student_account,
)
from hub.ledger.state import Input, State
from schemas import records as r
from schemas.catalogue import catalogue, example
from schemas.codec import decode, encode, from_json
from schemas.envelope import to_millis

HOME, HOST, OTHER, FOURTH = "10610", "10611", "10613", "10614"
MEMBERS = (HOME, HOST, OTHER, FOURTH)
T0_MS = 1_790_000_000_000
CREDIT_UNIT = credit_unit("cn_credit")
KINDS: dict[str, type[Thing]] = {
    kind.KIND: kind for kind in (Offering, Enrollment, Award, Recognition, Project, Participant)
}


def credit(amount: str, scheme: str = "cn_credit") -> r.Credit:
    """`credit("2.5")`: as a schema writes it, three decimals."""
    return r.Credit(scheme, Decimal(amount).quantize(Decimal("0.001")))


def mapping(
    award_ids: Sequence[str], amount: str, outcome: str = "positive", scheme: str = "cn_credit"
) -> r.RecognitionMapping:
    """Awards on the left, one home course of `amount` credits on the right (none for a negative one)."""
    course = r.RecognizedCourse(
        "201074030",
        "required",
        credit(amount, scheme),
        r.Grade("percent_100", "86", Decimal("86.000")),
    )
    return r.RecognitionMapping(
        tuple(award_ids),
        (course,) if Decimal(amount) else (),
        outcome,
        "equivalent",
        "rule",
        1,
        None,
        None,
    )


def organization(member: str, role: str = "partner") -> r.Organization:
    return r.Organization(member, role, datetime(2027, 4, 1, tzinfo=UTC).date(), None)


@cache
def _sample(event: str) -> Any:
    return from_json(event, example(catalogue().newest[event]))


def subject_of(record: Any) -> str:
    """The subject a campus gives an event: the schema's field, with the person for a part in a project, `keys` for a key."""
    if isinstance(record, r.ProjectMemberChanged):
        return f"{record.project_id}/{record.person_id}"
    if isinstance(record, r.MemberKeyChanged):
        return f"{record.code}/keys"
    return str(getattr(record, catalogue().newest[record.EVENT].subject))


def event_id(number: int) -> str:
    """A UUID that repeats from run to run."""
    return str(uuid.UUID(int=number, version=4))


class Ledger:
    """The state after what was said so far. `entries` is the log, `last` the group of the newest input."""

    def __init__(self, members: Sequence[str] = MEMBERS) -> None:
        self.state = State(frozenset(members))
        self.entries: list[Written] = []
        self.inputs: list[Input] = []
        self.last: list[r.Entry] = []
        self._said: dict[tuple[str, str, str], int] = {}
        self._ids = 0
        self.at_ms = T0_MS - 1000  # Kafka's time of the newest input

    # Saying things

    def record(
        self,
        event: str,
        *,
        by: str | None = None,
        version: int | None = None,
        decides: int | None = None,
        id: str | None = None,
        subject: str | None = None,
        **fields: Any,
    ) -> Any:
        """An event that was not said yet: the schema's example with these fields. `by` signs it."""
        record = replace(_sample(event), **fields)
        schema = catalogue().newest[event]
        member = by or getattr(record, schema.writer[0])
        subject = subject or subject_of(record)
        place = (schema.domain, subject, member)
        if version is None:
            version = self._said.get(place, 0) + 1
        self._said[place] = max(version, self._said.get(place, 0))
        self._ids += 1
        envelope = replace(
            record.envelope,
            event_id=id or event_id(self._ids),
            source=f"urn:alliance:member:{member}:campus",
            member=member,
            subject=subject,
            partition_key=getattr(record, schema.key),
            aggregate_version=version,
            decides_version=decides,
        )
        return replace(record, envelope=envelope)

    def say(self, record: Any, key_id: str = "21fe31dfa154a261") -> r.Entry:
        """Put an event before the ledger; returns its outcome. What follows from it is in `last[1:]`."""
        self.at_ms += 1000  # a second apart
        given = Input(
            offset=len(self.inputs),
            timestamp_ms=self.at_ms,
            event=record,
            event_type=record.EVENT,
            value=encode(record),
            key_id=key_id,
            signature=bytes(64),
            source_topic=f"member.{record.envelope.member}.out",
            source_partition=0,
            source_offset=len(self.inputs),
            published_ms=self.at_ms,
        )
        return self._take(given)

    def tick(self, at: datetime | None = None, parked_after_s: int = 14 * 86400) -> list[r.Entry]:
        """The ledger looks at its clock, which shows `at` (or a second more); returns what follows from it."""
        self.at_ms = max(self.at_ms + 1000, to_millis(at) if at else 0)
        tick = r.Tick("clock-1", len(self.inputs), parked_after_s)
        self._take(
            Input(
                len(self.inputs),
                self.at_ms,
                tick,
                tick.EVENT,
                encode(tick),
                "",
                b"",
                "",
                0,
                0,
                self.at_ms,
            )
        )
        return self.last[1:]

    def _take(self, given: Input) -> r.Entry:
        self.inputs.append(given)
        written = apply(self.state, given, rules())
        self.entries += written
        self.last = [item.entry for item in written]
        for entry in self.last:
            self._assert_well_told(entry)
        return self.last[0]

    def _assert_well_told(self, entry: r.Entry) -> None:
        """What no test should have to think of: reasons are declared, and who holds a thing hears of its changes."""
        if entry.outcome in ("rejected", "parked"):
            known = event_rules()[entry.event_type].reasons | COMMON_REASONS
            assert entry.reason in known, f"{entry.event_type} does not declare {entry.reason}"
        later = {
            (c.kind, c.id) for other in self.last if other.seq > entry.seq for c in other.changes
        }
        for change in entry.changes:
            if (change.kind, change.id) in later:
                continue  # changed again in the same group: that entry tells
            thing = self.state.things[change.kind][change.id]
            deaf = thing.concerned() - {*entry.audience, entry.member}
            assert not deaf, (
                f"{deaf} hold {change.kind} {change.id} and hear nothing of entry {entry.seq}"
            )

    def again(self, entry: r.Entry) -> r.Entry:
        """The event of an entry comes once more."""
        return self.say(decode(entry.event))

    def tell(self, event: str, **said: Any) -> r.Entry:
        """`record` and `say` in one."""
        return self.say(self.record(event, **said))

    # What members say, with everything filled in that a campus would know

    def offer(
        self, offering_id: str = "calculus", capacity: int = 2, *, host: str = HOST, **said: Any
    ) -> r.Entry:
        return self.tell(
            "offering.changed", offering_id=offering_id, host=host, capacity=capacity, **said
        )

    def request(
        self, enrollment_id: str = "e1", offering_id: str = "calculus", **said: Any
    ) -> r.Entry:
        facts = {"student_id": f"student-of-{enrollment_id}", "home": HOME, "host": HOST} | said
        return self.tell(
            "enrollment.requested", enrollment_id=enrollment_id, offering_id=offering_id, **facts
        )

    def decide(self, enrollment_id: str, decision: str, **said: Any) -> r.Entry:
        facts = self._parties(enrollment_id) | said
        if "decides" not in facts:
            facts["decides"] = self.state.version("enrollment", enrollment_id, facts["home"])
        return self.tell(
            "enrollment.decided", enrollment_id=enrollment_id, decision=decision, **facts
        )

    def move(self, enrollment_id: str, new_status: str, **said: Any) -> r.Entry:
        facts = self._parties(enrollment_id) | said
        if "by" not in facts:
            facts["by"] = facts["home"] if new_status == "withdrawn" else facts["host"]
        return self.tell(
            "enrollment.status-changed",
            enrollment_id=enrollment_id,
            new_status=new_status,
            **facts,
        )

    def award(self, award_id: str, enrollment_id: str, amount: str = "3", **said: Any) -> r.Entry:
        case = self.find(Enrollment, enrollment_id)
        facts = {
            "student_id": case.student_id if case else f"student-of-{enrollment_id}",
            "home": case.home if case else HOME,
            "host": case.host if case else HOST,
        } | said
        return self.tell(
            "credit.awarded",
            award_id=award_id,
            enrollment_id=enrollment_id,
            credits=credit(amount),
            **facts,
        )

    def correct(
        self, award_id: str, amount: str = "3", kind: str = "amended", **said: Any
    ) -> r.Entry:
        award = self.find(Award, award_id)
        facts = {
            "student_id": award.student_id if award else "student-of-e1",
            "home": award.home if award else HOME,
            "host": award.host if award else HOST,
            "credits": credit(amount),
        } | said
        return self.tell("credit.award-corrected", award_id=award_id, kind=kind, **facts)

    def ask(self, recognition_id: str, award_ids: Sequence[str], **said: Any) -> r.Entry:
        award = self.find(Award, award_ids[0]) if award_ids else None
        facts = {
            "student_id": award.student_id if award else "student-of-e1",
            "home": award.home if award else HOME,
        } | said
        return self.tell(
            "credit.recognition-requested",
            recognition_id=recognition_id,
            award_ids=tuple(award_ids),
            **facts,
        )

    def rule(
        self,
        recognition_id: str,
        recognized: str,
        original: str = "3",
        *,
        outcome: str | None = None,
        mappings: Sequence[r.RecognitionMapping] | None = None,
        **said: Any,
    ) -> r.Entry:
        """The home decides a case. Without `mappings`, one mapping of all its awards."""
        case = self.find(Recognition, recognition_id)
        outcome = outcome or ("positive" if Decimal(recognized) else "negative")
        if mappings is None:
            mappings = [mapping(case.award_ids if case else ("w1",), recognized, outcome)]
        facts = {
            "student_id": case.student_id if case else "student-of-e1",
            "home": case.home if case else HOME,
            "stage": "academic_affairs",
            "original_credits_total": credit(original),
            "recognized_credits_total": credit(recognized),
        } | said
        return self.tell(
            "credit.recognition-decided",
            recognition_id=recognition_id,
            outcome=outcome,
            mappings=tuple(mappings),
            **facts,
        )

    def project(
        self, project_id: str = "p1", *partners: str, lead: str = HOME, **said: Any
    ) -> r.Entry:
        named = [organization(lead, "lead"), *(organization(partner) for partner in partners)]
        return self.tell(
            "project.changed",
            **({"project_id": project_id, "lead": lead, "organizations": tuple(named)} | said),
        )

    def person(
        self, action: str, employer: str = HOST, project_id: str = "p1", **said: Any
    ) -> r.Entry:
        facts = {"person_id": "person-1"} | said
        return self.tell(
            "project.member-changed",
            project_id=project_id,
            employer=employer,
            action=action,
            **facts,
        )

    def _parties(self, enrollment_id: str) -> dict[str, Any]:
        case = self.find(Enrollment, enrollment_id)
        if case is None:
            return {"home": HOME, "host": HOST, "offering_id": "calculus"}
        return {"home": case.home, "host": case.host, "offering_id": case.offering_id}

    # Getting somewhere quickly

    def enrolled(self, enrollment_id: str = "e1", state: str = "active", **said: Any) -> None:
        """An enrollment in that state, on an offering that has room."""
        if self.find(Offering, "calculus") is None:
            self.offer(capacity=100)
        self.applied(self.request(enrollment_id, **said))
        if state != "pending":
            self.applied(self.decide(enrollment_id, "accepted"))
        for step in {"active": ("started",), "finished": ("started", "finished")}.get(state, ()):
            self.applied(self.move(enrollment_id, step))

    def awarded(self, award_id: str = "w1", amount: str = "3", **said: Any) -> None:
        """A passed award of an enrollment of its own, `e-<award>`; all of them are one student's."""
        self.enrolled(f"e-{award_id}", student_id=said.get("student_id", "student"))
        self.applied(self.award(award_id, f"e-{award_id}", amount))

    def in_case(self, recognition_id: str, *amounts: str) -> None:
        """An open recognition case over awards `w1`, `w2` ... of those amounts."""
        names = [f"w{number}" for number in range(1, len(amounts) + 1)]
        for name, amount in zip(names, amounts, strict=True):
            self.awarded(name, amount)
        self.applied(self.ask(recognition_id, names))

    @staticmethod
    def applied(entry: r.Entry) -> r.Entry:
        """The entry, which must be `applied`."""
        if entry.outcome != "applied":
            raise AssertionError(f"{entry.event_type} is {entry.outcome}: {entry.detail}")
        return entry

    # Looking

    def find(self, kind: type[Any], thing_id: str) -> Any:
        return self.state.find(kind, thing_id)

    def seats(self, offering_id: str = "calculus", host: str = HOST) -> tuple[int, int]:
        """Seats of an offering: free, and not free (reserved or used up)."""
        free = self.state.book.balance(seats_account(host, offering_id), SEAT).available
        return free, self.find(Offering, offering_id).capacity - free

    def seats_of(
        self, home: str = HOME, offering_id: str = "calculus", host: str = HOST
    ) -> tuple[int, int]:
        """Seats of a home's students: reserved, and used up."""
        balance = self.state.book.balance(enrolled_account(host, offering_id, home), SEAT)
        return balance.pending_in, balance.posted_in

    def claim(self, home: str = HOME, host: str = HOST, unit: str = CREDIT_UNIT) -> tuple[int, int]:
        """Thousandths of credits of a host for a home: pending, and posted."""
        balance = self.state.book.balance(claim_account(home, host), unit)
        mirror = self.state.book.balance(issued_account(host, home), unit)
        if (balance.pending_in, balance.posted_in) != (mirror.pending_out, mirror.posted_out):
            raise AssertionError(f"claim {balance} and issue {mirror} differ")
        return balance.pending_in, balance.posted_in

    def recognized(
        self, student_id: str = "student", home: str = HOME, unit: str = CREDIT_UNIT
    ) -> int:
        """Thousandths of credits recognized for a student at home."""
        return self.state.book.balance(student_account(home, student_id), unit).net


def postings(entry: r.Entry) -> list[tuple[str, int]]:
    """What an entry moves, without the accounts: `[("pend", 1)]`."""
    return [(posting.action, posting.amount) for posting in entry.postings]


def assert_refused(entry: r.Entry, reason: str, *said: str) -> None:
    """The entry is rejected for that reason, moved nothing, and tells found, wanted and the next step."""
    _assert_told(entry, "rejected", reason, said)
    assert "; " in entry.detail, f"no next step: {entry.detail}"


def assert_waits(entry: r.Entry, reason: str, *said: str) -> None:
    """The entry is parked for that reason and tells what it waits for."""
    _assert_told(entry, "parked", reason, said)
    assert "waits for" in entry.detail


def _assert_told(entry: r.Entry, outcome: str, reason: str, said: Sequence[str]) -> None:
    assert (entry.outcome, entry.reason) == (outcome, reason), entry.detail
    assert not entry.postings
    assert not entry.audience
    missing = [text for text in said if text not in entry.detail]
    assert not missing, f"{missing} not said in: {entry.detail}"
