"""Invented universities' contents: students, staff, courses, offerings. Pure; all of it follows from the seed.

No real person stands behind a name. Course titles, specialties and names come from the files in `data/`.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import tomllib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from connectors.sandbox.rules import choose, draw
from schemas.members import Member

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:alliance:sandbox")

TERM_STARTS = date(2026, 9, 7)  # first Monday of the simulated autumn term
TERM_ENDS = date(2027, 1, 15)
ENROLLMENT_OPENS = date(2026, 6, 15)
ENROLLMENT_CLOSES = date(2026, 7, 10)

_CREDIT_DELTAS = (
    ("-2", 0.04),
    ("-1", 0.1),
    ("-0.5", 0.14),
    ("0", 0.44),
    ("0.5", 0.16),
    ("1", 0.12),
)
_MODES = (("situated", 0.72), ("online", 0.16), ("hybrid", 0.12))
_MAJORS = {
    "mathematics": "0701", "computing": "0809", "electronics": "0807", "transport": "0818", "construction": "0810",
    "energy": "0820", "geology": "0709", "meteorology": "0706", "machinery": "0802", "materials": "0804",
    "agriculture": "0901", "chinese-medicine": "1005", "medicine": "1002", "education": "0401", "finance": "0203",
    "law": "0301", "languages": "0502", "humanities": "0501", "general": "0000",
}  # fmt: skip  # Ministry of Education, catalogue of undergraduate programs, class codes


def make_id(*parts: str) -> str:
    """A UUID that follows from the parts."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def opaque(key: str, number: str) -> str:
    """A pseudonym that only the holder of the key can make: HMAC-SHA256, 80 bits in hex."""
    return hmac.new(key.encode(), number.encode(), hashlib.sha256).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Site:
    """A university with its simulated habits."""

    code: str
    name_zh: str
    name_en: str
    domain: str
    region: str
    city: str
    fields: tuple[str, ...]
    hours_per_credit: int
    notation: str  # of grades


@dataclass(frozen=True, slots=True)
class Title:
    """A course as the list in `data/courses.csv` has it."""

    field: str
    zh: str
    en: str
    credits: Decimal


@cache
def _data(name: str) -> str:
    return (files("connectors.sandbox") / "data" / name).read_text(encoding="utf-8")


@cache
def titles() -> tuple[Title, ...]:
    """All course titles."""
    rows = csv.DictReader(_data("courses.csv").splitlines())
    return tuple(Title(row["field"], row["zh"], row["en"], Decimal(row["credits"])) for row in rows)


@cache
def _names() -> Mapping[str, Any]:
    return tomllib.loads(_data("names.toml"))


def themes() -> Sequence[Mapping[str, Any]]:
    """Themes of joint projects: zh, en, kind, programs."""
    found: Sequence[Mapping[str, Any]] = _names()["project"]
    return found


def rule_set(at: Site) -> tuple[str, int, str]:
    """The university's rules of recognition: id, version and text, made from `data/rule_set.toml`."""
    text = Template(_data("rule_set.toml")).substitute(
        code=at.code, name_zh=at.name_zh, name_en=at.name_en, hours=at.hours_per_credit
    )
    head = tomllib.loads(text)
    return head["id"], head["version"], text


def site(seed: int, member: Member) -> Site:
    """A member with its habits: those in `data/profiles.toml`, or drawn ones."""
    known = tomllib.loads(_data("profiles.toml")).get(member.code)
    if known is None:
        fields = sorted({title.field for title in titles()} - {"general"})
        fields.sort(key=lambda field: draw(seed, "fields", member.code, field))
        known = {"fields": fields[:4], "hours_per_credit": 16, "grades": "percent_100"}
    return Site(
        member.code,
        member.name_zh,
        member.name_en,
        member.domain,
        member.region,
        member.city,
        tuple(known["fields"]),
        known["hours_per_credit"],
        known["grades"],
    )


def _person(seed: int, *where: str) -> str:
    names = _names()
    surnames: str = names["surnames"]
    given: list[str] = names["given"]
    return (
        surnames[int(draw(seed, "surname", *where) * len(surnames))]
        + given[int(draw(seed, "given", *where) * len(given))]
    )


def students(seed: int, at: Site, count: int, key: str) -> list[tuple[str, str, str, str, str]]:
    """Rows of the table `student`: id, number, name, level, class code of the major."""
    rows = []
    for i in range(count):
        number = f"{2023 + i % 4}{i:05d}"
        level = "bachelor" if draw(seed, "level", at.code, number) < 0.85 else "master"
        field = at.fields[int(draw(seed, "major", at.code, number) * len(at.fields))]
        student_id = f"urn:alliance:student:{at.code}:{opaque(key, number)}"
        rows.append((student_id, number, _person(seed, at.code, number), level, _MAJORS[field]))
    return rows


def staff(seed: int, at: Site, count: int, key: str) -> list[tuple[str, str, str, str]]:
    """Rows of the table `staff`: id, name, title, unit."""
    ranks: list[str] = _names()["titles"]
    rows = []
    for i in range(count):
        number = f"T{i:04d}"
        staff_id = f"urn:alliance:staff:{at.code}:{opaque(key, number)}"
        rank = ranks[int(draw(seed, "rank", at.code, number) * len(ranks))]
        rows.append((staff_id, _person(seed, at.code, number), rank, at.fields[i % len(at.fields)]))
    return rows


def taught(at: Site) -> list[Title]:
    """What a university teaches: its fields and the general courses."""
    return [title for title in titles() if title.field in (*at.fields, "general")]


def course_body(seed: int, at: Site, title: Title) -> dict[str, Any]:
    """An Open Education API Course. Credits differ a little between universities, as they do."""
    delta = _drawn(_CREDIT_DELTAS, draw(seed, "credits", at.code, title.zh))
    credit = max(title.credits + Decimal(delta), Decimal("0.5"))
    number = 1000 + int(draw(seed, "course", at.code, title.zh) * 9000)
    return {
        "courseId": make_id(str(seed), at.code, "course", title.zh),
        "primaryCode": {"codeType": "identifier", "code": f"{title.field[:2].upper()}{number}"},
        "name": [
            {"language": "zh-CN", "value": title.zh},
            {"language": "en-GB", "value": title.en},
        ],
        "abbreviation": title.en[:24],
        "level": "bachelor",
        "studyLoad": {"studyLoadUnit": "x-cn-credit", "value": _number(credit)},
        "teachingLanguage": "zho",
        "fieldsOfStudy": _MAJORS[title.field],
        "ext": {"contactHours": _number(credit * at.hours_per_credit)},
    }


def offering_body(
    seed: int, at: Site, course: Mapping[str, Any], teachers: Sequence[str]
) -> dict[str, Any]:
    """An Open Education API CourseOffering of a course, in the simulated term."""
    offering_id = make_id(str(seed), course["courseId"], "offering", str(TERM_STARTS))
    starts = TERM_STARTS + timedelta(days=7 * int(draw(seed, "starts", offering_id) * 3))
    capacity = 5 + int(draw(seed, "capacity", offering_id) ** 2.4 * 36)
    teacher = teachers[int(draw(seed, "teacher", offering_id) * len(teachers))]
    notations = {"percent_100": "0-100", "five_level": "x-five-level", "letter": "US-letter"}
    return {
        "offeringId": offering_id,
        "offeringType": "course",
        "primaryCode": {
            "codeType": "identifier",
            "code": f"{course['primaryCode']['code']}-2026-1",
        },
        "name": course["name"],
        "abbreviation": course["abbreviation"],
        "description": [{"language": "zh-CN", "value": ""}],
        "teachingLanguage": "zho",
        "modeOfDelivery": [_drawn(_MODES, draw(seed, "mode", offering_id))],
        "maxNumberStudents": capacity,
        "minNumberStudents": 3,
        "resultExpected": True,
        "resultValueType": notations[at.notation],
        "startDate": starts.isoformat(),
        "endDate": TERM_ENDS.isoformat(),
        "enrollStartDate": ENROLLMENT_OPENS.isoformat(),
        "enrollEndDate": ENROLLMENT_CLOSES.isoformat(),
        "state": "active",
        "course": course["courseId"],
        "ext": {"teachers": [teacher], "jointMembers": []},
    }


def offered(seed: int, at: Site) -> list[Title]:
    """The 12 to 15 titles a university opens to the others."""
    count = 12 + int(draw(seed, "offerings", at.code) * 4)
    pool = sorted(taught(at), key=lambda title: draw(seed, "offered", at.code, title.zh))
    return pool[:count]


def _drawn(shares: Sequence[tuple[str, float]], point: float) -> str:
    return choose([name for name, _ in shares], [share for _, share in shares], point)


def _number(value: Decimal) -> int | float:
    """A JSON number without a trailing .0, as campus systems write credits."""
    return int(value) if value == value.to_integral_value() else float(value)
