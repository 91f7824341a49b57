"""A seeded workload of signed events in waves; the events of a wave do not depend on each other.

The same cases run through the hub and through the baseline. A case is one student at one host: requested, accepted,
started, awarded, recognition requested and decided.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from schemas import records as r
from schemas.catalogue import catalogue
from schemas.codec import encode
from schemas.envelope import Headers, event_headers
from schemas.signing import Signer

START = datetime(2026, 9, 1, tzinfo=UTC)
TERM = r.Term("2026-2027", 1, 2)
CREDIT = r.Credit("cn_credit", Decimal("3.000"))
GRADE = r.Grade("percent_100", "88", Decimal("88.000"))
SEATS_PER_OFFERING = 1_000_000  # the bench measures the path, not the quota


@dataclass(frozen=True, slots=True)
class Signed:
    """An event ready for its member's outbox."""

    member: str
    event_id: str
    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Case:
    """One student of `home` at `host`."""

    number: int
    home: str
    host: str
    offering_id: str

    @property
    def student_id(self) -> str:
        return f"urn:alliance:student:{self.home}:{self.number:08x}"


def make_cases(members: Sequence[str], count: int, seed: int) -> list[Case]:
    """Cases between random pairs of members."""
    rng = random.Random(seed)  # noqa: S311  # a repeatable workload, not a secret
    cases = []
    for number in range(count):
        home, host = rng.sample(list(members), 2)
        cases.append(Case(number, home, host, f"offering-{host}"))
    return cases


class Maker:
    """Makes and signs events with ids that follow from the seed."""

    def __init__(self, signers: Mapping[str, Signer], seed: int) -> None:
        self._signers = signers
        self._rng = random.Random(seed + 1)  # noqa: S311  # as above

    def envelope(
        self, member: str, subject: str, key: str, version: int = 1, decides: int | None = None
    ) -> r.Envelope:
        event_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        source = f"urn:alliance:member:{member}:bench"
        return r.Envelope(
            event_id, source, member, subject, key, START, START, version, decides,
            None, None, None, None, None, None,
        )  # fmt: skip

    def signed(self, record: r.OfferingChanged | r.Record) -> Signed:
        """Encode and sign."""
        envelope: r.Envelope = record.envelope  # type: ignore[union-attr]  # hub records never come here
        value = encode(record)
        signer = self._signers[envelope.member]
        schema = catalogue().newest[record.EVENT]
        headers = event_headers(envelope, schema, signer.key_id, signer.sign(value))
        return Signed(
            envelope.member, envelope.event_id, envelope.partition_key.encode(), value, headers
        )


def offerings(maker: Maker, members: Sequence[str]) -> list[Signed]:
    """One offering per member, with room for all."""
    return [maker.signed(offering(maker, host)) for host in members]


def offering(maker: Maker, host: str) -> r.OfferingChanged:
    return r.OfferingChanged(
        maker.envelope(host, f"offering-{host}", f"offering-{host}"), f"offering-{host}", host,
        r.CourseRef(host, "MATH101", None),
        (r.LangText("zh", "高等数学"), r.LangText("en", "Calculus")), TERM, None, None, "presential",
        CREDIT, Decimal("48.000"), "zh", None, SEATS_PER_OFFERING, None, None, None, "percent_100", (), (), "active",
    )  # fmt: skip


def waves(maker: Maker, cases: Sequence[Case]) -> Iterator[tuple[str, list[Signed]]]:
    """The events of the cases, wave by wave, signed."""
    for record in LIFE:
        made = [record(maker, case) for case in cases]
        yield made[0].EVENT, [maker.signed(event) for event in made]


def _enrollment(case: Case) -> str:
    return f"enrollment-{case.number:08x}"


def requested(maker: Maker, case: Case) -> r.EnrollmentRequested:
    enrollment = _enrollment(case)
    return r.EnrollmentRequested(
        maker.envelope(case.home, enrollment, enrollment), enrollment, case.student_id, case.home, case.host,
        case.offering_id, TERM, "course", "presential", None, "bachelor", None, True, None, None,
    )  # fmt: skip


def accepted(maker: Maker, case: Case) -> r.EnrollmentDecided:
    enrollment = _enrollment(case)
    return r.EnrollmentDecided(
        maker.envelope(case.host, enrollment, enrollment, decides=1), enrollment, case.home, case.host,
        case.offering_id, "accepted", None, None, None, (),
    )  # fmt: skip


def started(maker: Maker, case: Case) -> r.EnrollmentStatusChanged:
    enrollment = _enrollment(case)
    return r.EnrollmentStatusChanged(
        maker.envelope(case.host, enrollment, enrollment, version=2), enrollment, case.home, case.host,
        case.offering_id, "started", date(2026, 9, 7), None,
    )  # fmt: skip


def awarded(maker: Maker, case: Case) -> r.CreditAwarded:
    award = f"award-{case.number:08x}"
    return r.CreditAwarded(
        maker.envelope(case.host, award, case.student_id), award, case.student_id, case.home, case.host,
        _enrollment(case), None, r.CourseRef(case.host, "MATH101", None), case.offering_id,
        (r.LangText("zh", "高等数学"), r.LangText("en", "Calculus")), TERM, CREDIT, Decimal("48.000"), "passed",
        GRADE, (), 1, True, date(2027, 1, 14), None, None, None,
    )  # fmt: skip


def recognition(maker: Maker, case: Case) -> r.CreditRecognitionRequested:
    name = f"recognition-{case.number:08x}"
    return r.CreditRecognitionRequested(
        maker.envelope(case.home, name, case.student_id), name, case.student_id, case.home,
        (f"award-{case.number:08x}",), None, (r.WantedCourse("M-1", "required"),), date(2027, 2, 20), None,
    )  # fmt: skip


def recognized(maker: Maker, case: Case) -> r.CreditRecognitionDecided:
    name = f"recognition-{case.number:08x}"
    mapping = r.RecognitionMapping(
        (f"award-{case.number:08x}",), (r.RecognizedCourse("M-1", "required", CREDIT, GRADE),), "positive",
        "equivalent", "rule-1", 1, None, None,
    )  # fmt: skip
    return r.CreditRecognitionDecided(
        maker.envelope(case.home, name, case.student_id, version=2), name, case.student_id, case.home,
        "academic_affairs", "positive", (mapping,), CREDIT, CREDIT, f"教务〔2027〕{case.number}号", date(2027, 3, 1), None,
    )  # fmt: skip


# What happens in a case, in order; each event needs the one before it.
LIFE: tuple[Callable[[Maker, Case], Any], ...] = (
    requested, accepted, started, awarded, recognition, recognized,
)  # fmt: skip
