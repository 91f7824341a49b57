"""Typed records of every schema. Written by `python -m schemas build`; edit the `.avsc` files instead.

Each class reads and writes the values fastavro uses: `from_avro` and `to_avro`. Decimals are `Decimal`, dates `date`,
times aware UTC `datetime`, arrays tuples.
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
class RecognitionMapping:
    """Awards on the left, home courses on the right (ELMO recognitionMapping)."""

    award_ids: tuple[str, ...]
    to: tuple[RecognizedCourse, ...]
    outcome: str
    reason_code: str
    rule_id: str
    rule_version: int
    conversion: Conversion | None

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
    reason: str | None
    developer_message: str
    user_message_zh: str
    user_message_en: str
    next_actor: str | None
    retryable: bool
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
            values["reason"],
            values["developer_message"],
            values["user_message_zh"],
            values["user_message_en"],
            values["next_actor"],
            values["retryable"],
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
            "reason": self.reason,
            "developer_message": self.developer_message,
            "user_message_zh": self.user_message_zh,
            "user_message_en": self.user_message_en,
            "next_actor": self.next_actor,
            "retryable": self.retryable,
            "source_topic": self.source_topic,
            "source_partition": self.source_partition,
            "source_offset": self.source_offset,
            "decided_at": self.decided_at,
        }


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
    rule_version: int
    effective_at: datetime
    ledger_at: datetime
    audience: tuple[str, ...]
    postings: tuple[Posting, ...]
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
            values["rule_version"],
            values["effective_at"],
            values["ledger_at"],
            tuple(values["audience"]),
            tuple(Posting.from_avro(item) for item in values["postings"]),
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
            "rule_version": self.rule_version,
            "effective_at": self.effective_at,
            "ledger_at": self.ledger_at,
            "audience": list(self.audience),
            "postings": [item.to_avro() for item in self.postings],
            "flags": list(self.flags),
            "event": self.event,
            "key_id": self.key_id,
            "signature": self.signature,
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


Record: TypeAlias = (
    CreditAwardCorrected
    | CreditAwarded
    | CreditRecognitionDecided
    | CreditRecognitionRequested
    | EnrollmentDecided
    | EnrollmentRequested
    | EnrollmentStatusChanged
    | Admitted
    | DeadLetter
    | Heartbeat
    | MemberActivity
    | Outcome
    | TopicRate
    | Entry
    | MemberProfileChanged
    | OfferingChanged
    | ProjectChanged
    | ProjectMemberChanged
)

BY_NAME: Mapping[str, type[Record]] = {
    "alliance.credit.CreditAwardCorrected": CreditAwardCorrected,
    "alliance.credit.CreditAwarded": CreditAwarded,
    "alliance.credit.CreditRecognitionDecided": CreditRecognitionDecided,
    "alliance.credit.CreditRecognitionRequested": CreditRecognitionRequested,
    "alliance.enrollment.EnrollmentDecided": EnrollmentDecided,
    "alliance.enrollment.EnrollmentRequested": EnrollmentRequested,
    "alliance.enrollment.EnrollmentStatusChanged": EnrollmentStatusChanged,
    "alliance.hub.Admitted": Admitted,
    "alliance.hub.DeadLetter": DeadLetter,
    "alliance.hub.Heartbeat": Heartbeat,
    "alliance.hub.MemberActivity": MemberActivity,
    "alliance.hub.Outcome": Outcome,
    "alliance.hub.TopicRate": TopicRate,
    "alliance.ledger.Entry": Entry,
    "alliance.member.MemberProfileChanged": MemberProfileChanged,
    "alliance.offering.OfferingChanged": OfferingChanged,
    "alliance.project.ProjectChanged": ProjectChanged,
    "alliance.project.ProjectMemberChanged": ProjectMemberChanged,
}
