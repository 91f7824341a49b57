"""Typed records of every schema. Written by `python -m schemas build`; edit the `.avsc` files instead.

Each class comes from and goes into a dictionary of Avro values: `from_avro` and `to_avro`. Decimals are `Decimal`, dates
`date`, times aware UTC `datetime`, arrays tuples. `schemas.codec` reads and writes their bytes without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who says what about which thing, when. Signed with the rest of the event; the CloudEvents headers repeat parts of it."""

    event_id: str
    source: str
    member: str
    subject: str
    partition_key: str
    occurred_at: datetime
    recorded_at: datetime
    aggregate_version: int
    decides_version: int | None
    correlation_id: str | None
    causation_id: str | None
    supersedes_id: str | None
    traceparent: str | None
    actor_ref: str | None
    unit_ref: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Envelope:
        return cls(
            values["event_id"],
            values["source"],
            values["member"],
            values["subject"],
            values["partition_key"],
            values["occurred_at"],
            values["recorded_at"],
            values["aggregate_version"],
            values["decides_version"],
            values["correlation_id"],
            values["causation_id"],
            values["supersedes_id"],
            values["traceparent"],
            values["actor_ref"],
            values["unit_ref"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "source": self.source,
            "member": self.member,
            "subject": self.subject,
            "partition_key": self.partition_key,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "aggregate_version": self.aggregate_version,
            "decides_version": self.decides_version,
            "correlation_id": self.correlation_id,
            "causation_id": self.causation_id,
            "supersedes_id": self.supersedes_id,
            "traceparent": self.traceparent,
            "actor_ref": self.actor_ref,
            "unit_ref": self.unit_ref,
        }


@dataclass(frozen=True, slots=True)
class AgreementQuota:
    """How many may go from one party to another. A pair that is not named has no limit."""

    sender: str
    receiver: str
    per_year: int

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> AgreementQuota:
        return cls(values["sender"], values["receiver"], values["per_year"])

    def to_avro(self) -> dict[str, Any]:
        return {"sender": self.sender, "receiver": self.receiver, "per_year": self.per_year}


@dataclass(frozen=True, slots=True)
class AgreementConditions:
    """What the parties agree on (EWP: cooperation conditions of an interinstitutional agreement)."""

    kind: str
    first_year: str
    last_year: str
    quotas: tuple[AgreementQuota, ...]
    total_days_per_year: int | None
    credit_cap: Decimal | None
    rule_set: str | None
    text_uri: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> AgreementConditions:
        return cls(
            values["kind"],
            values["first_year"],
            values["last_year"],
            tuple(AgreementQuota.from_avro(item) for item in values["quotas"]),
            values["total_days_per_year"],
            values["credit_cap"],
            values["rule_set"],
            values["text_uri"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "first_year": self.first_year,
            "last_year": self.last_year,
            "quotas": [item.to_avro() for item in self.quotas],
            "total_days_per_year": self.total_days_per_year,
            "credit_cap": self.credit_cap,
            "rule_set": self.rule_set,
            "text_uri": self.text_uri,
        }


@dataclass(frozen=True, slots=True)
class AgreementChanged:
    """A member proposes an agreement with others, approves its conditions, or ends it. It is in effect once every party has approved the same conditions."""

    EVENT: ClassVar[str] = "agreement.changed"
    FULL_NAME: ClassVar[str] = "alliance.agreement.AgreementChanged"

    envelope: Envelope
    agreement_id: str
    party: str
    parties: tuple[str, ...]
    conditions: AgreementConditions
    conditions_hash: str
    step: str
    effective_on: date

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> AgreementChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["agreement_id"],
            values["party"],
            tuple(values["parties"]),
            AgreementConditions.from_avro(values["conditions"]),
            values["conditions_hash"],
            values["step"],
            values["effective_on"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "agreement_id": self.agreement_id,
            "party": self.party,
            "parties": list(self.parties),
            "conditions": self.conditions.to_avro(),
            "conditions_hash": self.conditions_hash,
            "step": self.step,
            "effective_on": self.effective_on,
        }


@dataclass(frozen=True, slots=True)
class Credit:
    """An amount of study credit."""

    scheme: str
    value: Decimal

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Credit:
        return cls(values["scheme"], values["value"])

    def to_avro(self) -> dict[str, Any]:
        return {"scheme": self.scheme, "value": self.value}


@dataclass(frozen=True, slots=True)
class Grade:
    """A grade in the awarding university's notation."""

    scheme: str
    label: str
    numeric: Decimal | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Grade:
        return cls(values["scheme"], values["label"], values["numeric"])

    def to_avro(self) -> dict[str, Any]:
        return {"scheme": self.scheme, "label": self.label, "numeric": self.numeric}


@dataclass(frozen=True, slots=True)
class CreditAwardCorrected:
    """The host amends or revokes an award. The old award stays on record."""

    EVENT: ClassVar[str] = "credit.award-corrected"
    FULL_NAME: ClassVar[str] = "alliance.credit.CreditAwardCorrected"

    envelope: Envelope
    award_id: str
    student_id: str
    home: str
    host: str
    kind: str
    credits: Credit
    result: str
    grade: Grade
    assessed_on: date
    reason_code: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> CreditAwardCorrected:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["award_id"],
            values["student_id"],
            values["home"],
            values["host"],
            values["kind"],
            Credit.from_avro(values["credits"]),
            values["result"],
            Grade.from_avro(values["grade"]),
            values["assessed_on"],
            values["reason_code"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "award_id": self.award_id,
            "student_id": self.student_id,
            "home": self.home,
            "host": self.host,
            "kind": self.kind,
            "credits": self.credits.to_avro(),
            "result": self.result,
            "grade": self.grade.to_avro(),
            "assessed_on": self.assessed_on,
            "reason_code": self.reason_code,
        }


@dataclass(frozen=True, slots=True)
class CourseRef:
    """A course of a member."""

    member: str
    course_code: str
    los_id: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> CourseRef:
        return cls(values["member"], values["course_code"], values["los_id"])

    def to_avro(self) -> dict[str, Any]:
        return {"member": self.member, "course_code": self.course_code, "los_id": self.los_id}


@dataclass(frozen=True, slots=True)
class LangText:
    """A text in one language."""

    lang: str
    value: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> LangText:
        return cls(values["lang"], values["value"])

    def to_avro(self) -> dict[str, Any]:
        return {"lang": self.lang, "value": self.value}


@dataclass(frozen=True, slots=True)
class Term:
    """An academic term."""

    academic_year: str
    term_number: int
    total_terms: int

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Term:
        return cls(values["academic_year"], values["term_number"], values["total_terms"])

    def to_avro(self) -> dict[str, Any]:
        return {
            "academic_year": self.academic_year,
            "term_number": self.term_number,
            "total_terms": self.total_terms,
        }


@dataclass(frozen=True, slots=True)
class GradeShare:
    """How many of the course got a grade."""

    label: str
    count: int

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> GradeShare:
        return cls(values["label"], values["count"])

    def to_avro(self) -> dict[str, Any]:
        return {"label": self.label, "count": self.count}


@dataclass(frozen=True, slots=True)
class PrivatePart:
    """Commitment to the private part of an event, which is encrypted and travels outside the ledger."""

    key_id: str
    commitment: bytes
    size: int

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> PrivatePart:
        return cls(values["key_id"], values["commitment"], values["size"])

    def to_avro(self) -> dict[str, Any]:
        return {"key_id": self.key_id, "commitment": self.commitment, "size": self.size}


@dataclass(frozen=True, slots=True)
class CreditAwarded:
    """The host awards credits for a course to a student of another member. Recognition at home is still open."""

    EVENT: ClassVar[str] = "credit.awarded"
    FULL_NAME: ClassVar[str] = "alliance.credit.CreditAwarded"

    envelope: Envelope
    award_id: str
    student_id: str
    home: str
    host: str
    enrollment_id: str | None
    placement_id: str | None
    course: CourseRef
    offering_id: str | None
    titles: tuple[LangText, ...]
    term: Term
    credits: Credit
    contact_hours: Decimal | None
    result: str
    grade: Grade
    grade_distribution: tuple[GradeShare, ...]
    attempt_no: int
    final: bool
    assessed_on: date
    transcript_hash: str | None
    transcript_uri: str | None
    private: PrivatePart | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> CreditAwarded:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["award_id"],
            values["student_id"],
            values["home"],
            values["host"],
            values["enrollment_id"],
            values["placement_id"],
            CourseRef.from_avro(values["course"]),
            values["offering_id"],
            tuple(LangText.from_avro(item) for item in values["titles"]),
            Term.from_avro(values["term"]),
            Credit.from_avro(values["credits"]),
            values["contact_hours"],
            values["result"],
            Grade.from_avro(values["grade"]),
            tuple(GradeShare.from_avro(item) for item in values["grade_distribution"]),
            values["attempt_no"],
            values["final"],
            values["assessed_on"],
            values["transcript_hash"],
            values["transcript_uri"],
            None if values["private"] is None else PrivatePart.from_avro(values["private"]),
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "award_id": self.award_id,
            "student_id": self.student_id,
            "home": self.home,
            "host": self.host,
            "enrollment_id": self.enrollment_id,
            "placement_id": self.placement_id,
            "course": self.course.to_avro(),
            "offering_id": self.offering_id,
            "titles": [item.to_avro() for item in self.titles],
            "term": self.term.to_avro(),
            "credits": self.credits.to_avro(),
            "contact_hours": self.contact_hours,
            "result": self.result,
            "grade": self.grade.to_avro(),
            "grade_distribution": [item.to_avro() for item in self.grade_distribution],
            "attempt_no": self.attempt_no,
            "final": self.final,
            "assessed_on": self.assessed_on,
            "transcript_hash": self.transcript_hash,
            "transcript_uri": self.transcript_uri,
            "private": None if self.private is None else self.private.to_avro(),
        }


@dataclass(frozen=True, slots=True)
class RecognizedCourse:
    """What the student gets at home."""

    home_course_code: str
    category: str
    credits: Credit
    grade: Grade

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> RecognizedCourse:
        return cls(
            values["home_course_code"],
            values["category"],
            Credit.from_avro(values["credits"]),
            Grade.from_avro(values["grade"]),
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "home_course_code": self.home_course_code,
            "category": self.category,
            "credits": self.credits.to_avro(),
            "grade": self.grade.to_avro(),
        }


@dataclass(frozen=True, slots=True)
class Conversion:
    """How credits and grades were turned into home notation."""

    method: str
    from_scheme: str
    to_scheme: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Conversion:
        return cls(values["method"], values["from_scheme"], values["to_scheme"])

    def to_avro(self) -> dict[str, Any]:
        return {"method": self.method, "from_scheme": self.from_scheme, "to_scheme": self.to_scheme}


@dataclass(frozen=True, slots=True)
class RecognitionFacts:
    """What the home university found, for the rules to weigh. What is null is not known."""

    home_credits: Decimal | None
    overlap_percent: int | None
    in_plan: bool | None
    already_earned: bool | None
    grade_percent: int | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> RecognitionFacts:
        return cls(
            values["home_credits"],
            values["overlap_percent"],
            values["in_plan"],
            values["already_earned"],
            values["grade_percent"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "home_credits": self.home_credits,
            "overlap_percent": self.overlap_percent,
            "in_plan": self.in_plan,
            "already_earned": self.already_earned,
            "grade_percent": self.grade_percent,
        }


@dataclass(frozen=True, slots=True)
class RecognitionMapping:
    """Awards on the left, home courses on the right (ELMO recognitionMapping)."""

    award_ids: tuple[str, ...]
    to: tuple[RecognizedCourse, ...]
    outcome: str
    reason_code: str
    rule_id: str
    rule_version: int
    conversion: Conversion | None
    facts: RecognitionFacts | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> RecognitionMapping:
        return cls(
            tuple(values["award_ids"]),
            tuple(RecognizedCourse.from_avro(item) for item in values["to"]),
            values["outcome"],
            values["reason_code"],
            values["rule_id"],
            values["rule_version"],
            None if values["conversion"] is None else Conversion.from_avro(values["conversion"]),
            None if values["facts"] is None else RecognitionFacts.from_avro(values["facts"]),
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "award_ids": list(self.award_ids),
            "to": [item.to_avro() for item in self.to],
            "outcome": self.outcome,
            "reason_code": self.reason_code,
            "rule_id": self.rule_id,
            "rule_version": self.rule_version,
            "conversion": None if self.conversion is None else self.conversion.to_avro(),
            "facts": None if self.facts is None else self.facts.to_avro(),
        }


@dataclass(frozen=True, slots=True)
class CreditRecognitionDecided:
    """The home university recognizes awards in whole, in part or not at all."""

    EVENT: ClassVar[str] = "credit.recognition-decided"
    FULL_NAME: ClassVar[str] = "alliance.credit.CreditRecognitionDecided"

    envelope: Envelope
    recognition_id: str
    student_id: str
    home: str
    stage: str
    outcome: str
    mappings: tuple[RecognitionMapping, ...]
    original_credits_total: Credit
    recognized_credits_total: Credit
    decision_no: str
    decided_on: date
    appeal_until: date | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> CreditRecognitionDecided:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["recognition_id"],
            values["student_id"],
            values["home"],
            values["stage"],
            values["outcome"],
            tuple(RecognitionMapping.from_avro(item) for item in values["mappings"]),
            Credit.from_avro(values["original_credits_total"]),
            Credit.from_avro(values["recognized_credits_total"]),
            values["decision_no"],
            values["decided_on"],
            values["appeal_until"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "recognition_id": self.recognition_id,
            "student_id": self.student_id,
            "home": self.home,
            "stage": self.stage,
            "outcome": self.outcome,
            "mappings": [item.to_avro() for item in self.mappings],
            "original_credits_total": self.original_credits_total.to_avro(),
            "recognized_credits_total": self.recognized_credits_total.to_avro(),
            "decision_no": self.decision_no,
            "decided_on": self.decided_on,
            "appeal_until": self.appeal_until,
        }


@dataclass(frozen=True, slots=True)
class WantedCourse:
    """A course of the home university to be replaced."""

    home_course_code: str
    category: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> WantedCourse:
        return cls(values["home_course_code"], values["category"])

    def to_avro(self) -> dict[str, Any]:
        return {"home_course_code": self.home_course_code, "category": self.category}


@dataclass(frozen=True, slots=True)
class CreditRecognitionRequested:
    """The home university opens a case: shall these awards count for the student's program?"""

    EVENT: ClassVar[str] = "credit.recognition-requested"
    FULL_NAME: ClassVar[str] = "alliance.credit.CreditRecognitionRequested"

    envelope: Envelope
    recognition_id: str
    student_id: str
    home: str
    award_ids: tuple[str, ...]
    plan_hash: str | None
    wanted: tuple[WantedCourse, ...]
    requested_on: date
    due_by: date | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> CreditRecognitionRequested:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["recognition_id"],
            values["student_id"],
            values["home"],
            tuple(values["award_ids"]),
            values["plan_hash"],
            tuple(WantedCourse.from_avro(item) for item in values["wanted"]),
            values["requested_on"],
            values["due_by"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "recognition_id": self.recognition_id,
            "student_id": self.student_id,
            "home": self.home,
            "award_ids": list(self.award_ids),
            "plan_hash": self.plan_hash,
            "wanted": [item.to_avro() for item in self.wanted],
            "requested_on": self.requested_on,
            "due_by": self.due_by,
        }


@dataclass(frozen=True, slots=True)
class DisputeChanged:
    """Two members disagree about an item of the ledger. While the dispute is open the item stands still; it ends by agreement of both, by withdrawal or by the arbiters."""

    EVENT: ClassVar[str] = "dispute.changed"
    FULL_NAME: ClassVar[str] = "alliance.dispute.DisputeChanged"

    envelope: Envelope
    dispute_id: str
    party: str
    step: str
    about_kind: str | None
    about_id: str | None
    respondent: str | None
    arbiters: tuple[str, ...]
    ground: str | None
    resolution: str | None
    statement_hash: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> DisputeChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["dispute_id"],
            values["party"],
            values["step"],
            values["about_kind"],
            values["about_id"],
            values["respondent"],
            tuple(values["arbiters"]),
            values["ground"],
            values["resolution"],
            values["statement_hash"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "dispute_id": self.dispute_id,
            "party": self.party,
            "step": self.step,
            "about_kind": self.about_kind,
            "about_id": self.about_id,
            "respondent": self.respondent,
            "arbiters": list(self.arbiters),
            "ground": self.ground,
            "resolution": self.resolution,
            "statement_hash": self.statement_hash,
        }


@dataclass(frozen=True, slots=True)
class EnrollmentDecided:
    """The host accepts, denies or queues a requested enrollment."""

    EVENT: ClassVar[str] = "enrollment.decided"
    FULL_NAME: ClassVar[str] = "alliance.enrollment.EnrollmentDecided"

    envelope: Envelope
    enrollment_id: str
    home: str
    host: str
    offering_id: str
    decision: str
    reason_code: str | None
    queue_position: int | None
    host_student_ref: str | None
    conditions: tuple[LangText, ...]

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> EnrollmentDecided:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["enrollment_id"],
            values["home"],
            values["host"],
            values["offering_id"],
            values["decision"],
            values["reason_code"],
            values["queue_position"],
            values["host_student_ref"],
            tuple(LangText.from_avro(item) for item in values["conditions"]),
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "enrollment_id": self.enrollment_id,
            "home": self.home,
            "host": self.host,
            "offering_id": self.offering_id,
            "decision": self.decision,
            "reason_code": self.reason_code,
            "queue_position": self.queue_position,
            "host_student_ref": self.host_student_ref,
            "conditions": [item.to_avro() for item in self.conditions],
        }


@dataclass(frozen=True, slots=True)
class EnrollmentPlanDecided:
    """One side approves a learning plan or returns it: the host that it can teach it, home that it will recognize it."""

    EVENT: ClassVar[str] = "enrollment.plan-decided"
    FULL_NAME: ClassVar[str] = "alliance.enrollment.EnrollmentPlanDecided"

    envelope: Envelope
    plan_id: str
    enrollment_id: str
    home: str
    host: str
    side: str
    decides_hash: str
    decision: str
    comment: tuple[LangText, ...]
    signer_unit: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> EnrollmentPlanDecided:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["plan_id"],
            values["enrollment_id"],
            values["home"],
            values["host"],
            values["side"],
            values["decides_hash"],
            values["decision"],
            tuple(LangText.from_avro(item) for item in values["comment"]),
            values["signer_unit"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "plan_id": self.plan_id,
            "enrollment_id": self.enrollment_id,
            "home": self.home,
            "host": self.host,
            "side": self.side,
            "decides_hash": self.decides_hash,
            "decision": self.decision,
            "comment": [item.to_avro() for item in self.comment],
            "signer_unit": self.signer_unit,
        }


@dataclass(frozen=True, slots=True)
class StudiedComponent:
    """A course at the host (EWP learning agreement, table A)."""

    offering_id: str | None
    course_code: str
    titles: tuple[LangText, ...]
    term: Term
    credits: Credit
    mode: str
    change: str | None
    reason_code: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> StudiedComponent:
        return cls(
            values["offering_id"],
            values["course_code"],
            tuple(LangText.from_avro(item) for item in values["titles"]),
            Term.from_avro(values["term"]),
            Credit.from_avro(values["credits"]),
            values["mode"],
            values["change"],
            values["reason_code"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "offering_id": self.offering_id,
            "course_code": self.course_code,
            "titles": [item.to_avro() for item in self.titles],
            "term": self.term.to_avro(),
            "credits": self.credits.to_avro(),
            "mode": self.mode,
            "change": self.change,
            "reason_code": self.reason_code,
        }


@dataclass(frozen=True, slots=True)
class PlannedCourse:
    """A course at home that the studied ones shall count as (EWP learning agreement, table B)."""

    home_course_code: str
    category: str
    credits: Credit
    conditions: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> PlannedCourse:
        return cls(
            values["home_course_code"],
            values["category"],
            Credit.from_avro(values["credits"]),
            values["conditions"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "home_course_code": self.home_course_code,
            "category": self.category,
            "credits": self.credits.to_avro(),
            "conditions": self.conditions,
        }


@dataclass(frozen=True, slots=True)
class PlanMapping:
    """Which studied courses count as which at home. Positions in the two lists, from 0, each at most once."""

    studied: tuple[int, ...]
    recognized: tuple[int, ...]

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> PlanMapping:
        return cls(tuple(values["studied"]), tuple(values["recognized"]))

    def to_avro(self) -> dict[str, Any]:
        return {"studied": list(self.studied), "recognized": list(self.recognized)}


@dataclass(frozen=True, slots=True)
class EnrollmentPlanProposed:
    """The home university proposes what a student will study at the host and what it will recognize for it (EWP learning agreement, 学分对接表)."""

    EVENT: ClassVar[str] = "enrollment.plan-proposed"
    FULL_NAME: ClassVar[str] = "alliance.enrollment.EnrollmentPlanProposed"

    envelope: Envelope
    plan_id: str
    enrollment_id: str
    student_id: str
    home: str
    host: str
    studied: tuple[StudiedComponent, ...]
    recognized: tuple[PlannedCourse, ...]
    mappings: tuple[PlanMapping, ...]
    plan_hash: str
    student_confirmed_on: date | None
    decide_by: date | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> EnrollmentPlanProposed:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["plan_id"],
            values["enrollment_id"],
            values["student_id"],
            values["home"],
            values["host"],
            tuple(StudiedComponent.from_avro(item) for item in values["studied"]),
            tuple(PlannedCourse.from_avro(item) for item in values["recognized"]),
            tuple(PlanMapping.from_avro(item) for item in values["mappings"]),
            values["plan_hash"],
            values["student_confirmed_on"],
            values["decide_by"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "plan_id": self.plan_id,
            "enrollment_id": self.enrollment_id,
            "student_id": self.student_id,
            "home": self.home,
            "host": self.host,
            "studied": [item.to_avro() for item in self.studied],
            "recognized": [item.to_avro() for item in self.recognized],
            "mappings": [item.to_avro() for item in self.mappings],
            "plan_hash": self.plan_hash,
            "student_confirmed_on": self.student_confirmed_on,
            "decide_by": self.decide_by,
        }


@dataclass(frozen=True, slots=True)
class EnrollmentRequested:
    """A home university asks a host to admit one of its students to an offering."""

    EVENT: ClassVar[str] = "enrollment.requested"
    FULL_NAME: ClassVar[str] = "alliance.enrollment.EnrollmentRequested"

    envelope: Envelope
    enrollment_id: str
    student_id: str
    home: str
    host: str
    offering_id: str
    term: Term
    activity: str
    delivery: str
    agreement_id: str | None
    level: str | None
    major_code: str | None
    home_active_registration: bool
    valid_until: date | None
    private: PrivatePart | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> EnrollmentRequested:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["enrollment_id"],
            values["student_id"],
            values["home"],
            values["host"],
            values["offering_id"],
            Term.from_avro(values["term"]),
            values["activity"],
            values["delivery"],
            values["agreement_id"],
            values["level"],
            values["major_code"],
            values["home_active_registration"],
            values["valid_until"],
            None if values["private"] is None else PrivatePart.from_avro(values["private"]),
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "enrollment_id": self.enrollment_id,
            "student_id": self.student_id,
            "home": self.home,
            "host": self.host,
            "offering_id": self.offering_id,
            "term": self.term.to_avro(),
            "activity": self.activity,
            "delivery": self.delivery,
            "agreement_id": self.agreement_id,
            "level": self.level,
            "major_code": self.major_code,
            "home_active_registration": self.home_active_registration,
            "valid_until": self.valid_until,
            "private": None if self.private is None else self.private.to_avro(),
        }


@dataclass(frozen=True, slots=True)
class EnrollmentStatusChanged:
    """An enrollment starts, finishes, is cancelled by the host or withdrawn by the home university."""

    EVENT: ClassVar[str] = "enrollment.status-changed"
    FULL_NAME: ClassVar[str] = "alliance.enrollment.EnrollmentStatusChanged"

    envelope: Envelope
    enrollment_id: str
    home: str
    host: str
    offering_id: str
    new_status: str
    effective_date: date
    reason_code: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> EnrollmentStatusChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["enrollment_id"],
            values["home"],
            values["host"],
            values["offering_id"],
            values["new_status"],
            values["effective_date"],
            values["reason_code"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "enrollment_id": self.enrollment_id,
            "home": self.home,
            "host": self.host,
            "offering_id": self.offering_id,
            "new_status": self.new_status,
            "effective_date": self.effective_date,
            "reason_code": self.reason_code,
        }


@dataclass(frozen=True, slots=True)
class Admitted:
    """An event that passed framing, schema, signature and authority, on its way to the sequencer."""

    EVENT: ClassVar[str] = "hub.admitted"
    FULL_NAME: ClassVar[str] = "alliance.hub.Admitted"

    source_topic: str
    source_partition: int
    source_offset: int
    published_at: datetime
    key_id: str
    signature: bytes
    event: bytes

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Admitted:
        return cls(
            values["source_topic"],
            values["source_partition"],
            values["source_offset"],
            values["published_at"],
            values["key_id"],
            values["signature"],
            values["event"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "source_topic": self.source_topic,
            "source_partition": self.source_partition,
            "source_offset": self.source_offset,
            "published_at": self.published_at,
            "key_id": self.key_id,
            "signature": self.signature,
            "event": self.event,
        }


@dataclass(frozen=True, slots=True)
class CaseFlagged:
    """A case needs a person: a deadline is near or over, or something happened that only people can judge. Made by the ledger's rules, sent to those concerned."""

    EVENT: ClassVar[str] = "hub.case-flagged"
    FULL_NAME: ClassVar[str] = "alliance.hub.CaseFlagged"

    flag: str
    case_kind: str
    case_id: str
    state: str
    next_actors: tuple[str, ...]
    due_at: datetime | None
    cause_seq: int
    cause_event_id: str | None
    message_en: str
    message_zh: str
    flagged_at: datetime

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> CaseFlagged:
        return cls(
            values["flag"],
            values["case_kind"],
            values["case_id"],
            values["state"],
            tuple(values["next_actors"]),
            values["due_at"],
            values["cause_seq"],
            values["cause_event_id"],
            values["message_en"],
            values["message_zh"],
            values["flagged_at"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "flag": self.flag,
            "case_kind": self.case_kind,
            "case_id": self.case_id,
            "state": self.state,
            "next_actors": list(self.next_actors),
            "due_at": self.due_at,
            "cause_seq": self.cause_seq,
            "cause_event_id": self.cause_event_id,
            "message_en": self.message_en,
            "message_zh": self.message_zh,
            "flagged_at": self.flagged_at,
        }


@dataclass(frozen=True, slots=True)
class ConnectorCommand:
    """The hub's operators ask a connector for something."""

    EVENT: ClassVar[str] = "hub.command"
    FULL_NAME: ClassVar[str] = "alliance.hub.ConnectorCommand"

    command_id: str
    member: str
    connector: str
    verb: str
    args: str
    by: str
    why: str
    at: datetime

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> ConnectorCommand:
        return cls(
            values["command_id"],
            values["member"],
            values["connector"],
            values["verb"],
            values["args"],
            values["by"],
            values["why"],
            values["at"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "command_id": self.command_id,
            "member": self.member,
            "connector": self.connector,
            "verb": self.verb,
            "args": self.args,
            "by": self.by,
            "why": self.why,
            "at": self.at,
        }


@dataclass(frozen=True, slots=True)
class ConnectorCommandAnswer:
    """What a connector did about a command of the hub's operators."""

    EVENT: ClassVar[str] = "hub.command-answer"
    FULL_NAME: ClassVar[str] = "alliance.hub.ConnectorCommandAnswer"

    command_id: str
    member: str
    connector: str
    verb: str
    outcome: str
    reason: str
    at: datetime

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> ConnectorCommandAnswer:
        return cls(
            values["command_id"],
            values["member"],
            values["connector"],
            values["verb"],
            values["outcome"],
            values["reason"],
            values["at"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "command_id": self.command_id,
            "member": self.member,
            "connector": self.connector,
            "verb": self.verb,
            "outcome": self.outcome,
            "reason": self.reason,
            "at": self.at,
        }


@dataclass(frozen=True, slots=True)
class Header:
    """A Kafka header."""

    name: str
    value: bytes

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Header:
        return cls(values["name"], values["value"])

    def to_avro(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be admitted to the ledger, kept whole, with the reason."""

    EVENT: ClassVar[str] = "hub.dead-letter"
    FULL_NAME: ClassVar[str] = "alliance.hub.DeadLetter"

    source_topic: str
    source_partition: int
    source_offset: int
    member: str
    reason: str
    developer_message: str
    user_message_zh: str
    user_message_en: str
    event_id: str | None
    event_type: str | None
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    published_at: datetime
    refused_at: datetime

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> DeadLetter:
        return cls(
            values["source_topic"],
            values["source_partition"],
            values["source_offset"],
            values["member"],
            values["reason"],
            values["developer_message"],
            values["user_message_zh"],
            values["user_message_en"],
            values["event_id"],
            values["event_type"],
            values["key"],
            values["value"],
            tuple(Header.from_avro(item) for item in values["headers"]),
            values["published_at"],
            values["refused_at"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "source_topic": self.source_topic,
            "source_partition": self.source_partition,
            "source_offset": self.source_offset,
            "member": self.member,
            "reason": self.reason,
            "developer_message": self.developer_message,
            "user_message_zh": self.user_message_zh,
            "user_message_en": self.user_message_en,
            "event_id": self.event_id,
            "event_type": self.event_type,
            "key": self.key,
            "value": self.value,
            "headers": [item.to_avro() for item in self.headers],
            "published_at": self.published_at,
            "refused_at": self.refused_at,
        }


@dataclass(frozen=True, slots=True)
class ConnectorPart:
    """One source or sink of a connector."""

    name: str
    kind: str
    state: str
    reason: str
    cursor: str | None
    parked_keys: int
    parked_events: int
    last_record_at: datetime | None
    expected_s: int | None
    behind_s: int | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> ConnectorPart:
        return cls(
            values["name"],
            values["kind"],
            values["state"],
            values["reason"],
            values["cursor"],
            values["parked_keys"],
            values["parked_events"],
            values["last_record_at"],
            values["expected_s"],
            values["behind_s"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "state": self.state,
            "reason": self.reason,
            "cursor": self.cursor,
            "parked_keys": self.parked_keys,
            "parked_events": self.parked_events,
            "last_record_at": self.last_record_at,
            "expected_s": self.expected_s,
            "behind_s": self.behind_s,
        }


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """A second reading of a source, from an older place."""

    source: str
    state: str
    pages: int
    rows: int
    rows_total: int | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> BackfillProgress:
        return cls(
            values["source"], values["state"], values["pages"], values["rows"], values["rows_total"]
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "state": self.state,
            "pages": self.pages,
            "rows": self.rows,
            "rows_total": self.rows_total,
        }


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A connector says how it is."""

    EVENT: ClassVar[str] = "hub.heartbeat"
    FULL_NAME: ClassVar[str] = "alliance.hub.Heartbeat"

    member: str
    connector: str
    version: str
    state: str
    reason: str
    cursor: str
    outbox_events: int
    inbox_position: int
    published_total: int
    applied_total: int
    at: datetime
    mapping_hash: str
    reader_schemas: tuple[str, ...]
    parts: tuple[ConnectorPart, ...]
    backfills: tuple[BackfillProgress, ...]
    host: str
    pid: int
    started_at: datetime | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Heartbeat:
        return cls(
            values["member"],
            values["connector"],
            values["version"],
            values["state"],
            values["reason"],
            values["cursor"],
            values["outbox_events"],
            values["inbox_position"],
            values["published_total"],
            values["applied_total"],
            values["at"],
            values["mapping_hash"],
            tuple(values["reader_schemas"]),
            tuple(ConnectorPart.from_avro(item) for item in values["parts"]),
            tuple(BackfillProgress.from_avro(item) for item in values["backfills"]),
            values["host"],
            values["pid"],
            values["started_at"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "member": self.member,
            "connector": self.connector,
            "version": self.version,
            "state": self.state,
            "reason": self.reason,
            "cursor": self.cursor,
            "outbox_events": self.outbox_events,
            "inbox_position": self.inbox_position,
            "published_total": self.published_total,
            "applied_total": self.applied_total,
            "at": self.at,
            "mapping_hash": self.mapping_hash,
            "reader_schemas": list(self.reader_schemas),
            "parts": [item.to_avro() for item in self.parts],
            "backfills": [item.to_avro() for item in self.backfills],
            "host": self.host,
            "pid": self.pid,
            "started_at": self.started_at,
        }


@dataclass(frozen=True, slots=True)
class MemberActivity:
    """What a member did so far, by the ledger."""

    EVENT: ClassVar[str] = "hub.member-activity"
    FULL_NAME: ClassVar[str] = "alliance.hub.MemberActivity"

    member: str
    events: int
    applied: int
    rejected: int
    duplicate: int
    conflict: int
    parked: int
    by_type: Mapping[str, int]
    first_at: datetime
    last_at: datetime
    last_seq: int

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> MemberActivity:
        return cls(
            values["member"],
            values["events"],
            values["applied"],
            values["rejected"],
            values["duplicate"],
            values["conflict"],
            values["parked"],
            values["by_type"],
            values["first_at"],
            values["last_at"],
            values["last_seq"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "member": self.member,
            "events": self.events,
            "applied": self.applied,
            "rejected": self.rejected,
            "duplicate": self.duplicate,
            "conflict": self.conflict,
            "parked": self.parked,
            "by_type": dict(self.by_type),
            "first_at": self.first_at,
            "last_at": self.last_at,
            "last_seq": self.last_seq,
        }


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A case that is not closed, by who acts next: the newest state in hub.cases. A closed case is a message without value."""

    EVENT: ClassVar[str] = "hub.open-case"
    FULL_NAME: ClassVar[str] = "alliance.hub.OpenCase"

    kind: str
    id: str
    state: str
    next_actors: tuple[str, ...]
    due_at: datetime | None
    opened_at: datetime
    since: datetime
    flag: str | None
    seq: int

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> OpenCase:
        return cls(
            values["kind"],
            values["id"],
            values["state"],
            tuple(values["next_actors"]),
            values["due_at"],
            values["opened_at"],
            values["since"],
            values["flag"],
            values["seq"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "id": self.id,
            "state": self.state,
            "next_actors": list(self.next_actors),
            "due_at": self.due_at,
            "opened_at": self.opened_at,
            "since": self.since,
            "flag": self.flag,
            "seq": self.seq,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a member's event. Sent to that member alone."""

    EVENT: ClassVar[str] = "hub.outcome"
    FULL_NAME: ClassVar[str] = "alliance.hub.Outcome"

    event_id: str
    event_type: str
    subject: str
    outcome: str
    seq: int | None
    refers_to: int | None
    about_seq: int | None
    about_version: int | None
    reason: str | None
    developer_message: str
    user_message_zh: str
    user_message_en: str
    next_actor: str | None
    retryable: bool
    retry_when: str
    source_topic: str
    source_partition: int
    source_offset: int
    decided_at: datetime

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Outcome:
        return cls(
            values["event_id"],
            values["event_type"],
            values["subject"],
            values["outcome"],
            values["seq"],
            values["refers_to"],
            values["about_seq"],
            values["about_version"],
            values["reason"],
            values["developer_message"],
            values["user_message_zh"],
            values["user_message_en"],
            values["next_actor"],
            values["retryable"],
            values["retry_when"],
            values["source_topic"],
            values["source_partition"],
            values["source_offset"],
            values["decided_at"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "event_type": self.event_type,
            "subject": self.subject,
            "outcome": self.outcome,
            "seq": self.seq,
            "refers_to": self.refers_to,
            "about_seq": self.about_seq,
            "about_version": self.about_version,
            "reason": self.reason,
            "developer_message": self.developer_message,
            "user_message_zh": self.user_message_zh,
            "user_message_en": self.user_message_en,
            "next_actor": self.next_actor,
            "retryable": self.retryable,
            "retry_when": self.retry_when,
            "source_topic": self.source_topic,
            "source_partition": self.source_partition,
            "source_offset": self.source_offset,
            "decided_at": self.decided_at,
        }


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """The data key, readable by one member alone."""

    member: str
    ephemeral: bytes
    sealed: bytes

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> WrappedKey:
        return cls(values["member"], values["ephemeral"], values["sealed"])

    def to_avro(self) -> dict[str, Any]:
        return {"member": self.member, "ephemeral": self.ephemeral, "sealed": self.sealed}


@dataclass(frozen=True, slots=True)
class PrivatePayload:
    """The private part of an event, encrypted under the student's key. Its commitment stands in the event; erasing the key makes it unreadable for ever."""

    EVENT: ClassVar[str] = "hub.private-payload"
    FULL_NAME: ClassVar[str] = "alliance.hub.PrivatePayload"

    student_id: str
    event_id: str
    member: str
    key_id: str
    nonce: bytes
    ciphertext: bytes
    wrapped: tuple[WrappedKey, ...]

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> PrivatePayload:
        return cls(
            values["student_id"],
            values["event_id"],
            values["member"],
            values["key_id"],
            values["nonce"],
            values["ciphertext"],
            tuple(WrappedKey.from_avro(item) for item in values["wrapped"]),
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "student_id": self.student_id,
            "event_id": self.event_id,
            "member": self.member,
            "key_id": self.key_id,
            "nonce": self.nonce,
            "ciphertext": self.ciphertext,
            "wrapped": [item.to_avro() for item in self.wrapped],
        }


@dataclass(frozen=True, slots=True)
class Promise:
    """The hub has these events and will have them in the ledger, with an outcome, before merge_by. A promise that is not kept is proof of a dropped event."""

    EVENT: ClassVar[str] = "hub.promise"
    FULL_NAME: ClassVar[str] = "alliance.hub.Promise"

    member: str
    event_hashes: tuple[bytes, ...]
    made_at: datetime
    merge_by: datetime
    key_id: str
    signature: bytes

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Promise:
        return cls(
            values["member"],
            tuple(values["event_hashes"]),
            values["made_at"],
            values["merge_by"],
            values["key_id"],
            values["signature"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "member": self.member,
            "event_hashes": list(self.event_hashes),
            "made_at": self.made_at,
            "merge_by": self.merge_by,
            "key_id": self.key_id,
            "signature": self.signature,
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """One entry and its way to the root."""

    index: int
    entry: bytes
    path: tuple[bytes, ...]

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Receipt:
        return cls(values["index"], values["entry"], tuple(values["path"]))

    def to_avro(self) -> dict[str, Any]:
        return {"index": self.index, "entry": self.entry, "path": list(self.path)}


@dataclass(frozen=True, slots=True)
class Receipts:
    """Proofs that entries about a member's events are in the ledger, under one checkpoint that a quorum of members cosigned."""

    EVENT: ClassVar[str] = "hub.receipts"
    FULL_NAME: ClassVar[str] = "alliance.hub.Receipts"

    checkpoint: str
    proofs: tuple[Receipt, ...]

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Receipts:
        return cls(
            values["checkpoint"], tuple(Receipt.from_avro(item) for item in values["proofs"])
        )

    def to_avro(self) -> dict[str, Any]:
        return {"checkpoint": self.checkpoint, "proofs": [item.to_avro() for item in self.proofs]}


@dataclass(frozen=True, slots=True)
class TopicRate:
    """Messages of one topic, in all and in the last whole minute."""

    EVENT: ClassVar[str] = "hub.topic-rate"
    FULL_NAME: ClassVar[str] = "alliance.hub.TopicRate"

    topic: str
    messages: int
    minute: datetime
    in_minute: int
    previous_minute: int
    last_at: datetime

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> TopicRate:
        return cls(
            values["topic"],
            values["messages"],
            values["minute"],
            values["in_minute"],
            values["previous_minute"],
            values["last_at"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "topic": self.topic,
            "messages": self.messages,
            "minute": self.minute,
            "in_minute": self.in_minute,
            "previous_minute": self.previous_minute,
            "last_at": self.last_at,
        }


@dataclass(frozen=True, slots=True)
class LabAccessDecided:
    """The owner answers a request for lab time, or a booking is cancelled or missed."""

    EVENT: ClassVar[str] = "lab.access-decided"
    FULL_NAME: ClassVar[str] = "alliance.lab.LabAccessDecided"

    envelope: Envelope
    request_id: str
    resource_id: str
    home: str
    owner: str
    decision: str
    reason_code: str | None
    start: datetime | None
    end: datetime | None
    conditions: tuple[LangText, ...]

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> LabAccessDecided:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["request_id"],
            values["resource_id"],
            values["home"],
            values["owner"],
            values["decision"],
            values["reason_code"],
            values["start"],
            values["end"],
            tuple(LangText.from_avro(item) for item in values["conditions"]),
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "request_id": self.request_id,
            "resource_id": self.resource_id,
            "home": self.home,
            "owner": self.owner,
            "decision": self.decision,
            "reason_code": self.reason_code,
            "start": self.start,
            "end": self.end,
            "conditions": [item.to_avro() for item in self.conditions],
        }


@dataclass(frozen=True, slots=True)
class LabAccessRequested:
    """A member asks for time on a resource of another member, for one of its people."""

    EVENT: ClassVar[str] = "lab.access-requested"
    FULL_NAME: ClassVar[str] = "alliance.lab.LabAccessRequested"

    envelope: Envelope
    request_id: str
    resource_id: str
    home: str
    owner: str
    requester_id: str
    project_id: str | None
    enrollment_id: str | None
    placement_id: str | None
    start: datetime
    end: datetime
    purpose: tuple[LangText, ...]
    remote: bool
    qualification: str | None
    replaces_request_id: str | None
    decide_by: datetime | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> LabAccessRequested:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["request_id"],
            values["resource_id"],
            values["home"],
            values["owner"],
            values["requester_id"],
            values["project_id"],
            values["enrollment_id"],
            values["placement_id"],
            values["start"],
            values["end"],
            tuple(LangText.from_avro(item) for item in values["purpose"]),
            values["remote"],
            values["qualification"],
            values["replaces_request_id"],
            values["decide_by"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "request_id": self.request_id,
            "resource_id": self.resource_id,
            "home": self.home,
            "owner": self.owner,
            "requester_id": self.requester_id,
            "project_id": self.project_id,
            "enrollment_id": self.enrollment_id,
            "placement_id": self.placement_id,
            "start": self.start,
            "end": self.end,
            "purpose": [item.to_avro() for item in self.purpose],
            "remote": self.remote,
            "qualification": self.qualification,
            "replaces_request_id": self.replaces_request_id,
            "decide_by": self.decide_by,
        }


@dataclass(frozen=True, slots=True)
class InstrumentDetails:
    """What an instrument is, in terms of PIDINST."""

    pid: str | None
    manufacturer: str | None
    model: str | None
    instrument_type: str | None
    measured_variables: tuple[str, ...]
    national_platform_no: str | None
    value_band: str | None
    commissioned_on: date | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> InstrumentDetails:
        return cls(
            values["pid"],
            values["manufacturer"],
            values["model"],
            values["instrument_type"],
            tuple(values["measured_variables"]),
            values["national_platform_no"],
            values["value_band"],
            values["commissioned_on"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "pid": self.pid,
            "manufacturer": self.manufacturer,
            "model": self.model,
            "instrument_type": self.instrument_type,
            "measured_variables": list(self.measured_variables),
            "national_platform_no": self.national_platform_no,
            "value_band": self.value_band,
            "commissioned_on": self.commissioned_on,
        }


@dataclass(frozen=True, slots=True)
class BookingPolicy:
    """Limits of a booking, after the policy rules of NEMO. Null is no limit."""

    min_minutes: int | None
    max_minutes: int | None
    horizon_days: int | None
    minutes_per_day: int | None
    qualification: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> BookingPolicy:
        return cls(
            values["min_minutes"],
            values["max_minutes"],
            values["horizon_days"],
            values["minutes_per_day"],
            values["qualification"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "min_minutes": self.min_minutes,
            "max_minutes": self.max_minutes,
            "horizon_days": self.horizon_days,
            "minutes_per_day": self.minutes_per_day,
            "qualification": self.qualification,
        }


@dataclass(frozen=True, slots=True)
class Price:
    """What use costs; what is charged stands in lab.usage-recorded."""

    unit: str
    amount: Decimal

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Price:
        return cls(values["unit"], values["amount"])

    def to_avro(self) -> dict[str, Any]:
        return {"unit": self.unit, "amount": self.amount}


@dataclass(frozen=True, slots=True)
class Outage:
    """Time in which nothing can be booked (NEMO ScheduledOutage)."""

    start: datetime
    end: datetime
    reason: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Outage:
        return cls(values["start"], values["end"], values["reason"])

    def to_avro(self) -> dict[str, Any]:
        return {"start": self.start, "end": self.end, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class LabResourceChanged:
    """A member opens an instrument, laboratory or other facility to the alliance, or changes what can be booked."""

    EVENT: ClassVar[str] = "lab.resource-changed"
    FULL_NAME: ClassVar[str] = "alliance.lab.LabResourceChanged"

    envelope: Envelope
    resource_id: str
    owner: str
    titles: tuple[LangText, ...]
    kind: str
    grade: str
    instrument: InstrumentDetails | None
    location: str | None
    capacity: int
    policy: BookingPolicy
    price: Price | None
    outages: tuple[Outage, ...]
    joint_members: tuple[str, ...]
    status: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> LabResourceChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["resource_id"],
            values["owner"],
            tuple(LangText.from_avro(item) for item in values["titles"]),
            values["kind"],
            values["grade"],
            None
            if values["instrument"] is None
            else InstrumentDetails.from_avro(values["instrument"]),
            values["location"],
            values["capacity"],
            BookingPolicy.from_avro(values["policy"]),
            None if values["price"] is None else Price.from_avro(values["price"]),
            tuple(Outage.from_avro(item) for item in values["outages"]),
            tuple(values["joint_members"]),
            values["status"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "resource_id": self.resource_id,
            "owner": self.owner,
            "titles": [item.to_avro() for item in self.titles],
            "kind": self.kind,
            "grade": self.grade,
            "instrument": None if self.instrument is None else self.instrument.to_avro(),
            "location": self.location,
            "capacity": self.capacity,
            "policy": self.policy.to_avro(),
            "price": None if self.price is None else self.price.to_avro(),
            "outages": [item.to_avro() for item in self.outages],
            "joint_members": list(self.joint_members),
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class Charge:
    """What the use costs."""

    unit: str
    amount: Decimal

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Charge:
        return cls(values["unit"], values["amount"])

    def to_avro(self) -> dict[str, Any]:
        return {"unit": self.unit, "amount": self.amount}


@dataclass(frozen=True, slots=True)
class LabUsageRecorded:
    """The owner records that a resource was used by people of another member, how long, and what it costs (NEMO UsageEvent)."""

    EVENT: ClassVar[str] = "lab.usage-recorded"
    FULL_NAME: ClassVar[str] = "alliance.lab.LabUsageRecorded"

    envelope: Envelope
    usage_id: str
    resource_id: str
    owner: str
    home: str
    request_id: str | None
    start: datetime
    end: datetime
    operator_id: str | None
    training: bool
    samples: int | None
    charge: Charge | None
    validated: bool
    waived: bool
    waive_reason: str | None
    supersedes_usage_id: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> LabUsageRecorded:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["usage_id"],
            values["resource_id"],
            values["owner"],
            values["home"],
            values["request_id"],
            values["start"],
            values["end"],
            values["operator_id"],
            values["training"],
            values["samples"],
            None if values["charge"] is None else Charge.from_avro(values["charge"]),
            values["validated"],
            values["waived"],
            values["waive_reason"],
            values["supersedes_usage_id"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "usage_id": self.usage_id,
            "resource_id": self.resource_id,
            "owner": self.owner,
            "home": self.home,
            "request_id": self.request_id,
            "start": self.start,
            "end": self.end,
            "operator_id": self.operator_id,
            "training": self.training,
            "samples": self.samples,
            "charge": None if self.charge is None else self.charge.to_avro(),
            "validated": self.validated,
            "waived": self.waived,
            "waive_reason": self.waive_reason,
            "supersedes_usage_id": self.supersedes_usage_id,
        }


@dataclass(frozen=True, slots=True)
class Close:
    """Operators ask the ledger to close a period: what was posted up to here is its content for ever. It moves nothing."""

    EVENT: ClassVar[str] = "ledger.close"
    FULL_NAME: ClassVar[str] = "alliance.ledger.Close"

    period: str
    clock: str
    number: int

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Close:
        return cls(values["period"], values["clock"], values["number"])

    def to_avro(self) -> dict[str, Any]:
        return {"period": self.period, "clock": self.clock, "number": self.number}


@dataclass(frozen=True, slots=True)
class Posting:
    """An amount of a unit moves from source to destination."""

    action: str
    source: str
    destination: str
    unit: str
    amount: int
    pending_id: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Posting:
        return cls(
            values["action"],
            values["source"],
            values["destination"],
            values["unit"],
            values["amount"],
            values["pending_id"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "action": self.action,
            "source": self.source,
            "destination": self.destination,
            "unit": self.unit,
            "amount": self.amount,
            "pending_id": self.pending_id,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """A thing with a life after this entry."""

    kind: str
    id: str
    state: str
    next_actors: tuple[str, ...]
    due_at: datetime | None
    closed: bool

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Change:
        return cls(
            values["kind"],
            values["id"],
            values["state"],
            tuple(values["next_actors"]),
            values["due_at"],
            values["closed"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "id": self.id,
            "state": self.state,
            "next_actors": list(self.next_actors),
            "due_at": self.due_at,
            "closed": self.closed,
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the ledger log. A record of the topic counts only if seq and prev_hash extend the head its reader already has; any other is void."""

    EVENT: ClassVar[str] = "ledger.entry"
    FULL_NAME: ClassVar[str] = "alliance.ledger.Entry"

    seq: int
    prev_hash: bytes
    input_offset: int
    input_index: int
    event_id: str
    event_hash: bytes
    event_type: str
    source: str
    member: str
    subject: str
    source_topic: str
    source_partition: int
    source_offset: int
    published_at: datetime
    outcome: str
    reason: str | None
    detail: str
    refers_to: int | None
    about_seq: int | None
    about_version: int | None
    rule_version: int
    effective_at: datetime
    ledger_at: datetime
    audience: tuple[str, ...]
    postings: tuple[Posting, ...]
    changes: tuple[Change, ...]
    flags: tuple[str, ...]
    event: bytes
    key_id: str
    signature: bytes

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Entry:
        return cls(
            values["seq"],
            values["prev_hash"],
            values["input_offset"],
            values["input_index"],
            values["event_id"],
            values["event_hash"],
            values["event_type"],
            values["source"],
            values["member"],
            values["subject"],
            values["source_topic"],
            values["source_partition"],
            values["source_offset"],
            values["published_at"],
            values["outcome"],
            values["reason"],
            values["detail"],
            values["refers_to"],
            values["about_seq"],
            values["about_version"],
            values["rule_version"],
            values["effective_at"],
            values["ledger_at"],
            tuple(values["audience"]),
            tuple(Posting.from_avro(item) for item in values["postings"]),
            tuple(Change.from_avro(item) for item in values["changes"]),
            tuple(values["flags"]),
            values["event"],
            values["key_id"],
            values["signature"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "prev_hash": self.prev_hash,
            "input_offset": self.input_offset,
            "input_index": self.input_index,
            "event_id": self.event_id,
            "event_hash": self.event_hash,
            "event_type": self.event_type,
            "source": self.source,
            "member": self.member,
            "subject": self.subject,
            "source_topic": self.source_topic,
            "source_partition": self.source_partition,
            "source_offset": self.source_offset,
            "published_at": self.published_at,
            "outcome": self.outcome,
            "reason": self.reason,
            "detail": self.detail,
            "refers_to": self.refers_to,
            "about_seq": self.about_seq,
            "about_version": self.about_version,
            "rule_version": self.rule_version,
            "effective_at": self.effective_at,
            "ledger_at": self.ledger_at,
            "audience": list(self.audience),
            "postings": [item.to_avro() for item in self.postings],
            "changes": [item.to_avro() for item in self.changes],
            "flags": list(self.flags),
            "event": self.event,
            "key_id": self.key_id,
            "signature": self.signature,
        }


@dataclass(frozen=True, slots=True)
class PeriodClosed:
    """A period is closed. Entries first_seq to last_seq are its content; a later entry belongs to the next period, whatever day it speaks of."""

    EVENT: ClassVar[str] = "ledger.period-closed"
    FULL_NAME: ClassVar[str] = "alliance.ledger.PeriodClosed"

    period: str
    first_seq: int
    last_seq: int
    accounts: int
    balances_root: bytes
    closed_at: datetime

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> PeriodClosed:
        return cls(
            values["period"],
            values["first_seq"],
            values["last_seq"],
            values["accounts"],
            values["balances_root"],
            values["closed_at"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "period": self.period,
            "first_seq": self.first_seq,
            "last_seq": self.last_seq,
            "accounts": self.accounts,
            "balances_root": self.balances_root,
            "closed_at": self.closed_at,
        }


@dataclass(frozen=True, slots=True)
class Tick:
    """The ledger looks at its clock. It carries no time: the ledger's time is Kafka's, of the message that brings it."""

    EVENT: ClassVar[str] = "ledger.tick"
    FULL_NAME: ClassVar[str] = "alliance.ledger.Tick"

    clock: str
    number: int
    parked_after_s: int

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Tick:
        return cls(values["clock"], values["number"], values["parked_after_s"])

    def to_avro(self) -> dict[str, Any]:
        return {"clock": self.clock, "number": self.number, "parked_after_s": self.parked_after_s}


@dataclass(frozen=True, slots=True)
class MemberKeyChanged:
    """A member adds, rotates or revokes a key that signs its events. From the entry after this one on, the change holds; wall clocks do not matter."""

    EVENT: ClassVar[str] = "member.key-changed"
    FULL_NAME: ClassVar[str] = "alliance.member.MemberKeyChanged"

    envelope: Envelope
    code: str
    action: str
    key_id: str
    public_key: bytes | None
    replaces: str | None
    possession: bytes | None
    reason: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> MemberKeyChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["code"],
            values["action"],
            values["key_id"],
            values["public_key"],
            values["replaces"],
            values["possession"],
            values["reason"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "code": self.code,
            "action": self.action,
            "key_id": self.key_id,
            "public_key": self.public_key,
            "replaces": self.replaces,
            "possession": self.possession,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class MemberProfileChanged:
    """A member tells who it is and what its connector can do."""

    EVENT: ClassVar[str] = "member.profile-changed"
    FULL_NAME: ClassVar[str] = "alliance.member.MemberProfileChanged"

    envelope: Envelope
    code: str
    name_zh: str
    name_en: str
    domain: str
    region: str
    city: str
    connector_version: str
    produces: tuple[str, ...]
    consumes: tuple[str, ...]
    key_ids: tuple[str, ...]
    hours_per_credit: Decimal | None
    grade_schemes: tuple[str, ...]
    rule_set_id: str | None
    rule_set_version: int | None
    rule_set: str | None
    contact_unit: str | None
    status: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> MemberProfileChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["code"],
            values["name_zh"],
            values["name_en"],
            values["domain"],
            values["region"],
            values["city"],
            values["connector_version"],
            tuple(values["produces"]),
            tuple(values["consumes"]),
            tuple(values["key_ids"]),
            values["hours_per_credit"],
            tuple(values["grade_schemes"]),
            values["rule_set_id"],
            values["rule_set_version"],
            values["rule_set"],
            values["contact_unit"],
            values["status"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "code": self.code,
            "name_zh": self.name_zh,
            "name_en": self.name_en,
            "domain": self.domain,
            "region": self.region,
            "city": self.city,
            "connector_version": self.connector_version,
            "produces": list(self.produces),
            "consumes": list(self.consumes),
            "key_ids": list(self.key_ids),
            "hours_per_credit": self.hours_per_credit,
            "grade_schemes": list(self.grade_schemes),
            "rule_set_id": self.rule_set_id,
            "rule_set_version": self.rule_set_version,
            "rule_set": self.rule_set,
            "contact_unit": self.contact_unit,
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class OfferingChanged:
    """A host offers a course to the students of other members, or changes or withdraws that offer."""

    EVENT: ClassVar[str] = "offering.changed"
    FULL_NAME: ClassVar[str] = "alliance.offering.OfferingChanged"

    envelope: Envelope
    offering_id: str
    host: str
    course: CourseRef
    titles: tuple[LangText, ...]
    term: Term
    start_date: date | None
    end_date: date | None
    mode: str
    credits: Credit
    contact_hours: Decimal | None
    language: str | None
    discipline_code: str | None
    capacity: int
    min_students: int | None
    enrollment_opens: date | None
    enrollment_closes: date | None
    result_scheme: str | None
    teachers: tuple[str, ...]
    joint_members: tuple[str, ...]
    status: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> OfferingChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["offering_id"],
            values["host"],
            CourseRef.from_avro(values["course"]),
            tuple(LangText.from_avro(item) for item in values["titles"]),
            Term.from_avro(values["term"]),
            values["start_date"],
            values["end_date"],
            values["mode"],
            Credit.from_avro(values["credits"]),
            values["contact_hours"],
            values["language"],
            values["discipline_code"],
            values["capacity"],
            values["min_students"],
            values["enrollment_opens"],
            values["enrollment_closes"],
            values["result_scheme"],
            tuple(values["teachers"]),
            tuple(values["joint_members"]),
            values["status"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "offering_id": self.offering_id,
            "host": self.host,
            "course": self.course.to_avro(),
            "titles": [item.to_avro() for item in self.titles],
            "term": self.term.to_avro(),
            "start_date": self.start_date,
            "end_date": self.end_date,
            "mode": self.mode,
            "credits": self.credits.to_avro(),
            "contact_hours": self.contact_hours,
            "language": self.language,
            "discipline_code": self.discipline_code,
            "capacity": self.capacity,
            "min_students": self.min_students,
            "enrollment_opens": self.enrollment_opens,
            "enrollment_closes": self.enrollment_closes,
            "result_scheme": self.result_scheme,
            "teachers": list(self.teachers),
            "joint_members": list(self.joint_members),
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class Supervisor:
    """A person who guides the students."""

    staff_id: str
    member: str
    role: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Supervisor:
        return cls(values["staff_id"], values["member"], values["role"])

    def to_avro(self) -> dict[str, Any]:
        return {"staff_id": self.staff_id, "member": self.member, "role": self.role}


@dataclass(frozen=True, slots=True)
class PracticePlacementChanged:
    """Students of one member do practice, a project or a thesis at another: proposed, endorsed by home, under way, completed, graded."""

    EVENT: ClassVar[str] = "practice.placement-changed"
    FULL_NAME: ClassVar[str] = "alliance.practice.PracticePlacementChanged"

    envelope: Envelope
    placement_id: str
    host: str
    home: str
    kind: str
    students: tuple[str, ...]
    supervisors: tuple[Supervisor, ...]
    topic: tuple[LangText, ...]
    site: str | None
    start_date: date
    end_date: date
    credits: Credit | None
    project_id: str | None
    resource_id: str | None
    agreement_id: str | None
    step: str
    reason_code: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> PracticePlacementChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["placement_id"],
            values["host"],
            values["home"],
            values["kind"],
            tuple(values["students"]),
            tuple(Supervisor.from_avro(item) for item in values["supervisors"]),
            tuple(LangText.from_avro(item) for item in values["topic"]),
            values["site"],
            values["start_date"],
            values["end_date"],
            None if values["credits"] is None else Credit.from_avro(values["credits"]),
            values["project_id"],
            values["resource_id"],
            values["agreement_id"],
            values["step"],
            values["reason_code"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "placement_id": self.placement_id,
            "host": self.host,
            "home": self.home,
            "kind": self.kind,
            "students": list(self.students),
            "supervisors": [item.to_avro() for item in self.supervisors],
            "topic": [item.to_avro() for item in self.topic],
            "site": self.site,
            "start_date": self.start_date,
            "end_date": self.end_date,
            "credits": None if self.credits is None else self.credits.to_avro(),
            "project_id": self.project_id,
            "resource_id": self.resource_id,
            "agreement_id": self.agreement_id,
            "step": self.step,
            "reason_code": self.reason_code,
        }


@dataclass(frozen=True, slots=True)
class Organization:
    """A member's part in a project."""

    member: str
    role: str
    from_date: date
    to_date: date | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> Organization:
        return cls(values["member"], values["role"], values["from_date"], values["to_date"])

    def to_avro(self) -> dict[str, Any]:
        return {
            "member": self.member,
            "role": self.role,
            "from_date": self.from_date,
            "to_date": self.to_date,
        }


@dataclass(frozen=True, slots=True)
class ProjectChanged:
    """The lead member starts or changes a joint research project."""

    EVENT: ClassVar[str] = "project.changed"
    FULL_NAME: ClassVar[str] = "alliance.project.ProjectChanged"

    envelope: Envelope
    project_id: str
    lead: str
    raid: str | None
    grant_no: str | None
    titles: tuple[LangText, ...]
    kind: str
    programs: tuple[str, ...]
    organizations: tuple[Organization, ...]
    start_date: date
    end_date: date | None
    access: str
    status: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> ProjectChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["project_id"],
            values["lead"],
            values["raid"],
            values["grant_no"],
            tuple(LangText.from_avro(item) for item in values["titles"]),
            values["kind"],
            tuple(values["programs"]),
            tuple(Organization.from_avro(item) for item in values["organizations"]),
            values["start_date"],
            values["end_date"],
            values["access"],
            values["status"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "project_id": self.project_id,
            "lead": self.lead,
            "raid": self.raid,
            "grant_no": self.grant_no,
            "titles": [item.to_avro() for item in self.titles],
            "kind": self.kind,
            "programs": list(self.programs),
            "organizations": [item.to_avro() for item in self.organizations],
            "start_date": self.start_date,
            "end_date": self.end_date,
            "access": self.access,
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class ProjectMemberChanged:
    """A member's researcher or student joins, changes role in or leaves a joint project."""

    EVENT: ClassVar[str] = "project.member-changed"
    FULL_NAME: ClassVar[str] = "alliance.project.ProjectMemberChanged"

    envelope: Envelope
    project_id: str
    person_id: str
    employer: str
    position: str
    credit_roles: tuple[str, ...]
    from_date: date
    to_date: date | None
    action: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> ProjectMemberChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["project_id"],
            values["person_id"],
            values["employer"],
            values["position"],
            tuple(values["credit_roles"]),
            values["from_date"],
            values["to_date"],
            values["action"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "project_id": self.project_id,
            "person_id": self.person_id,
            "employer": self.employer,
            "position": self.position,
            "credit_roles": list(self.credit_roles),
            "from_date": self.from_date,
            "to_date": self.to_date,
            "action": self.action,
        }


@dataclass(frozen=True, slots=True)
class StudentErased:
    """The home university destroyed the keys of a student. Private parts under them are unreadable for ever; the ledger's amounts stay under a pseudonym that leads nowhere."""

    EVENT: ClassVar[str] = "student.erased"
    FULL_NAME: ClassVar[str] = "alliance.student.StudentErased"

    envelope: Envelope
    student_id: str
    home: str
    key_ids: tuple[str, ...]
    erased_at: datetime
    backups_clear_at: datetime

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> StudentErased:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["student_id"],
            values["home"],
            tuple(values["key_ids"]),
            values["erased_at"],
            values["backups_clear_at"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "student_id": self.student_id,
            "home": self.home,
            "key_ids": list(self.key_ids),
            "erased_at": self.erased_at,
            "backups_clear_at": self.backups_clear_at,
        }


@dataclass(frozen=True, slots=True)
class TalentPostingChanged:
    """A member tells of a post to fill, alone or with others, and of how many applied. Counts only: no applicant is ever named."""

    EVENT: ClassVar[str] = "talent.posting-changed"
    FULL_NAME: ClassVar[str] = "alliance.talent.TalentPostingChanged"

    envelope: Envelope
    posting_id: str
    recruiter: str
    members: tuple[str, ...]
    post: tuple[LangText, ...]
    discipline: str | None
    rank: str | None
    headcount: int
    event_label: str | None
    opens_on: date
    closes_on: date
    applied: int
    interviewed: int
    offered: int
    accepted: int
    status: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> TalentPostingChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["posting_id"],
            values["recruiter"],
            tuple(values["members"]),
            tuple(LangText.from_avro(item) for item in values["post"]),
            values["discipline"],
            values["rank"],
            values["headcount"],
            values["event_label"],
            values["opens_on"],
            values["closes_on"],
            values["applied"],
            values["interviewed"],
            values["offered"],
            values["accepted"],
            values["status"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "posting_id": self.posting_id,
            "recruiter": self.recruiter,
            "members": list(self.members),
            "post": [item.to_avro() for item in self.post],
            "discipline": self.discipline,
            "rank": self.rank,
            "headcount": self.headcount,
            "event_label": self.event_label,
            "opens_on": self.opens_on,
            "closes_on": self.closes_on,
            "applied": self.applied,
            "interviewed": self.interviewed,
            "offered": self.offered,
            "accepted": self.accepted,
            "status": self.status,
        }


@dataclass(frozen=True, slots=True)
class TeachingAppointmentChanged:
    """A teacher of one member is to teach or supervise at another: proposed by one side, approved by the other, started and ended by the host."""

    EVENT: ClassVar[str] = "teaching.appointment-changed"
    FULL_NAME: ClassVar[str] = "alliance.teaching.TeachingAppointmentChanged"

    envelope: Envelope
    appointment_id: str
    staff_id: str
    home: str
    host: str
    role: str
    unit: str | None
    rank: str | None
    from_date: date
    to_date: date
    max_hours: Decimal | None
    offering_id: str | None
    agreement_id: str | None
    step: str
    reason_code: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> TeachingAppointmentChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["appointment_id"],
            values["staff_id"],
            values["home"],
            values["host"],
            values["role"],
            values["unit"],
            values["rank"],
            values["from_date"],
            values["to_date"],
            values["max_hours"],
            values["offering_id"],
            values["agreement_id"],
            values["step"],
            values["reason_code"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "appointment_id": self.appointment_id,
            "staff_id": self.staff_id,
            "home": self.home,
            "host": self.host,
            "role": self.role,
            "unit": self.unit,
            "rank": self.rank,
            "from_date": self.from_date,
            "to_date": self.to_date,
            "max_hours": self.max_hours,
            "offering_id": self.offering_id,
            "agreement_id": self.agreement_id,
            "step": self.step,
            "reason_code": self.reason_code,
        }


@dataclass(frozen=True, slots=True)
class TeachingDelivered:
    """Hours taught at another member: reported by the host, confirmed or disputed by home, settled by both."""

    EVENT: ClassVar[str] = "teaching.delivered"
    FULL_NAME: ClassVar[str] = "alliance.teaching.TeachingDelivered"

    envelope: Envelope
    delivery_id: str
    appointment_id: str
    staff_id: str
    home: str
    host: str
    offering_id: str | None
    students: tuple[str, ...]
    period_start: date
    period_end: date
    hours: Decimal
    kind: str
    step: str
    confirm_by: date | None
    reason_code: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> TeachingDelivered:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["delivery_id"],
            values["appointment_id"],
            values["staff_id"],
            values["home"],
            values["host"],
            values["offering_id"],
            tuple(values["students"]),
            values["period_start"],
            values["period_end"],
            values["hours"],
            values["kind"],
            values["step"],
            values["confirm_by"],
            values["reason_code"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "delivery_id": self.delivery_id,
            "appointment_id": self.appointment_id,
            "staff_id": self.staff_id,
            "home": self.home,
            "host": self.host,
            "offering_id": self.offering_id,
            "students": list(self.students),
            "period_start": self.period_start,
            "period_end": self.period_end,
            "hours": self.hours,
            "kind": self.kind,
            "step": self.step,
            "confirm_by": self.confirm_by,
            "reason_code": self.reason_code,
        }


@dataclass(frozen=True, slots=True)
class TeachingSecondmentChanged:
    """A member lends a person to another for a post (挂职) or a visit: proposed by the lender, approved, started and assessed by the borrower."""

    EVENT: ClassVar[str] = "teaching.secondment-changed"
    FULL_NAME: ClassVar[str] = "alliance.teaching.TeachingSecondmentChanged"

    envelope: Envelope
    secondment_id: str
    staff_id: str
    lender: str
    borrower: str
    post: tuple[LangText, ...]
    kind: str
    from_date: date
    to_date: date
    agreement_id: str | None
    assessment: str | None
    step: str
    reason_code: str | None

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> TeachingSecondmentChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["secondment_id"],
            values["staff_id"],
            values["lender"],
            values["borrower"],
            tuple(LangText.from_avro(item) for item in values["post"]),
            values["kind"],
            values["from_date"],
            values["to_date"],
            values["agreement_id"],
            values["assessment"],
            values["step"],
            values["reason_code"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "secondment_id": self.secondment_id,
            "staff_id": self.staff_id,
            "lender": self.lender,
            "borrower": self.borrower,
            "post": [item.to_avro() for item in self.post],
            "kind": self.kind,
            "from_date": self.from_date,
            "to_date": self.to_date,
            "agreement_id": self.agreement_id,
            "assessment": self.assessment,
            "step": self.step,
            "reason_code": self.reason_code,
        }


@dataclass(frozen=True, slots=True)
class OwnershipShare:
    """A member's share in the result."""

    member: str
    share_percent: Decimal

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> OwnershipShare:
        return cls(values["member"], values["share_percent"])

    def to_avro(self) -> dict[str, Any]:
        return {"member": self.member, "share_percent": self.share_percent}


@dataclass(frozen=True, slots=True)
class IncomeShare:
    """Income that a member gets of one distribution."""

    member: str
    amount: Decimal

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> IncomeShare:
        return cls(values["member"], values["amount"])

    def to_avro(self) -> dict[str, Any]:
        return {"member": self.member, "amount": self.amount}


@dataclass(frozen=True, slots=True)
class TransferAchievementChanged:
    """A member tells of a research result on its way into use: disclosed, published, negotiated, signed, registered, in use, income shared."""

    EVENT: ClassVar[str] = "transfer.achievement-changed"
    FULL_NAME: ClassVar[str] = "alliance.transfer.TransferAchievementChanged"

    envelope: Envelope
    achievement_id: str
    owner: str
    titles: tuple[LangText, ...]
    kind: str
    registry_numbers: tuple[str, ...]
    owners: tuple[OwnershipShare, ...]
    project_id: str | None
    maturity: int
    visibility: str
    mode: str | None
    contract_kind: str | None
    contract_registration_no: str | None
    partner: str | None
    region: str | None
    amount_band: str | None
    income_shares: tuple[IncomeShare, ...]
    status: str

    @classmethod
    def from_avro(cls, values: Mapping[str, Any]) -> TransferAchievementChanged:
        return cls(
            Envelope.from_avro(values["envelope"]),
            values["achievement_id"],
            values["owner"],
            tuple(LangText.from_avro(item) for item in values["titles"]),
            values["kind"],
            tuple(values["registry_numbers"]),
            tuple(OwnershipShare.from_avro(item) for item in values["owners"]),
            values["project_id"],
            values["maturity"],
            values["visibility"],
            values["mode"],
            values["contract_kind"],
            values["contract_registration_no"],
            values["partner"],
            values["region"],
            values["amount_band"],
            tuple(IncomeShare.from_avro(item) for item in values["income_shares"]),
            values["status"],
        )

    def to_avro(self) -> dict[str, Any]:
        return {
            "envelope": self.envelope.to_avro(),
            "achievement_id": self.achievement_id,
            "owner": self.owner,
            "titles": [item.to_avro() for item in self.titles],
            "kind": self.kind,
            "registry_numbers": list(self.registry_numbers),
            "owners": [item.to_avro() for item in self.owners],
            "project_id": self.project_id,
            "maturity": self.maturity,
            "visibility": self.visibility,
            "mode": self.mode,
            "contract_kind": self.contract_kind,
            "contract_registration_no": self.contract_registration_no,
            "partner": self.partner,
            "region": self.region,
            "amount_band": self.amount_band,
            "income_shares": [item.to_avro() for item in self.income_shares],
            "status": self.status,
        }


Record: TypeAlias = (
    AgreementChanged
    | CreditAwardCorrected
    | CreditAwarded
    | CreditRecognitionDecided
    | CreditRecognitionRequested
    | DisputeChanged
    | EnrollmentDecided
    | EnrollmentPlanDecided
    | EnrollmentPlanProposed
    | EnrollmentRequested
    | EnrollmentStatusChanged
    | Admitted
    | CaseFlagged
    | ConnectorCommand
    | ConnectorCommandAnswer
    | DeadLetter
    | Heartbeat
    | MemberActivity
    | OpenCase
    | Outcome
    | PrivatePayload
    | Promise
    | Receipts
    | TopicRate
    | LabAccessDecided
    | LabAccessRequested
    | LabResourceChanged
    | LabUsageRecorded
    | Close
    | Entry
    | PeriodClosed
    | Tick
    | MemberKeyChanged
    | MemberProfileChanged
    | OfferingChanged
    | PracticePlacementChanged
    | ProjectChanged
    | ProjectMemberChanged
    | StudentErased
    | TalentPostingChanged
    | TeachingAppointmentChanged
    | TeachingDelivered
    | TeachingSecondmentChanged
    | TransferAchievementChanged
)

BY_NAME: Mapping[str, type[Record]] = {
    "alliance.agreement.AgreementChanged": AgreementChanged,
    "alliance.credit.CreditAwardCorrected": CreditAwardCorrected,
    "alliance.credit.CreditAwarded": CreditAwarded,
    "alliance.credit.CreditRecognitionDecided": CreditRecognitionDecided,
    "alliance.credit.CreditRecognitionRequested": CreditRecognitionRequested,
    "alliance.dispute.DisputeChanged": DisputeChanged,
    "alliance.enrollment.EnrollmentDecided": EnrollmentDecided,
    "alliance.enrollment.EnrollmentPlanDecided": EnrollmentPlanDecided,
    "alliance.enrollment.EnrollmentPlanProposed": EnrollmentPlanProposed,
    "alliance.enrollment.EnrollmentRequested": EnrollmentRequested,
    "alliance.enrollment.EnrollmentStatusChanged": EnrollmentStatusChanged,
    "alliance.hub.Admitted": Admitted,
    "alliance.hub.CaseFlagged": CaseFlagged,
    "alliance.hub.ConnectorCommand": ConnectorCommand,
    "alliance.hub.ConnectorCommandAnswer": ConnectorCommandAnswer,
    "alliance.hub.DeadLetter": DeadLetter,
    "alliance.hub.Heartbeat": Heartbeat,
    "alliance.hub.MemberActivity": MemberActivity,
    "alliance.hub.OpenCase": OpenCase,
    "alliance.hub.Outcome": Outcome,
    "alliance.hub.PrivatePayload": PrivatePayload,
    "alliance.hub.Promise": Promise,
    "alliance.hub.Receipts": Receipts,
    "alliance.hub.TopicRate": TopicRate,
    "alliance.lab.LabAccessDecided": LabAccessDecided,
    "alliance.lab.LabAccessRequested": LabAccessRequested,
    "alliance.lab.LabResourceChanged": LabResourceChanged,
    "alliance.lab.LabUsageRecorded": LabUsageRecorded,
    "alliance.ledger.Close": Close,
    "alliance.ledger.Entry": Entry,
    "alliance.ledger.PeriodClosed": PeriodClosed,
    "alliance.ledger.Tick": Tick,
    "alliance.member.MemberKeyChanged": MemberKeyChanged,
    "alliance.member.MemberProfileChanged": MemberProfileChanged,
    "alliance.offering.OfferingChanged": OfferingChanged,
    "alliance.practice.PracticePlacementChanged": PracticePlacementChanged,
    "alliance.project.ProjectChanged": ProjectChanged,
    "alliance.project.ProjectMemberChanged": ProjectMemberChanged,
    "alliance.student.StudentErased": StudentErased,
    "alliance.talent.TalentPostingChanged": TalentPostingChanged,
    "alliance.teaching.TeachingAppointmentChanged": TeachingAppointmentChanged,
    "alliance.teaching.TeachingDelivered": TeachingDelivered,
    "alliance.teaching.TeachingSecondmentChanged": TeachingSecondmentChanged,
    "alliance.transfer.TransferAchievementChanged": TransferAchievementChanged,
}
