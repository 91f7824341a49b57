"""Credits: awarded by the host, asked for and recognized by the home, counted once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support.oracle_books import Books, Done, Fact, Flag, after_day_ms, need, refuse, told
from tests.support.oracle_rules import check, due_in, own

ZERO, ONE = Decimal(0), Decimal(1)
OPEN = ("requested", "faculty_decided")
POSITIVE = ("positive", "partially_positive")


def _basis(books: Books, event: Any) -> Fact:
    """What the award rests on: an enrollment that began, or a placement that was completed."""
    need((event.enrollment_id is None) != (event.placement_id is None), "CONTENT_INVALID")
    if event.enrollment_id is not None:
        case = books.find("enrollment", event.enrollment_id)
        named = (event.student_id, event.home, event.host)
        need((case["student"], case["home"], case["host"]) == named, "NOT_WRITER")
        need(case["state"] in ("active", "finished"), "ILLEGAL_TRANSITION")
        return case
    case = books.find("placement", event.placement_id)
    need((case["home"], case["host"]) == (event.home, event.host), "NOT_WRITER")
    need(event.student_id in case["students"], "NOT_WRITER")
    need(case["state"] in ("completed", "graded"), "ILLEGAL_TRANSITION")
    return case


def awarded(books: Books, event: Any) -> Done:
    need(books.get("award", event.award_id) is None, "ILLEGAL_TRANSITION")
    books.need_members(event.home)
    basis = _basis(books, event)
    need(event.credits.value >= 0, "QUOTA_EXCEEDED")
    books.put(
        "award", event.award_id, state="awarded", student=event.student_id, home=event.home, host=event.host,
        credits=event.credits.value, passed=event.result == "passed", case=None, agreement=basis["use"][0],
        awarded_ms=books.now_ms, due_ms=due_in(books, event.home, "request_days"),
    )  # fmt: skip
    return told(event.home)


def award_corrected(books: Books, event: Any) -> Done:
    award = books.find("award", event.award_id)
    named = (event.student_id, event.home, event.host)
    need((award["student"], award["home"], award["host"]) == named, "NOT_WRITER")
    need(award["state"] == "awarded", "ILLEGAL_TRANSITION")
    need(event.kind in ("amended", "revoked"), "ILLEGAL_TRANSITION")
    need(event.credits.value >= 0, "QUOTA_EXCEEDED")
    books.put(
        "award", event.award_id, credits=event.credits.value, passed=event.result == "passed",
        state="revoked" if event.kind == "revoked" else "awarded",
    )  # fmt: skip
    flags: tuple[Flag, ...] = ()
    if award["case"] is not None:
        still_open = books.all("recognition")[award["case"]]["state"] in OPEN
        name = "in_open_case" if still_open else "after_decision"
        flags = (Flag(f"award_corrected_{name}", "recognition", award["case"], (award["home"],)),)
    return Done(frozenset({award["home"]}), flags)


def worth(award: Fact) -> bool:
    """Whether there is something to recognize."""
    return bool(award["passed"] and award["state"] == "awarded" and award["credits"] > 0)


def award_due(award: Fact) -> int | None:
    """By when the home has to ask for it, if nobody did."""
    due_ms: int | None = award["due_ms"] if worth(award) and award["case"] is None else None
    return due_ms


def award_turn(award: Fact) -> set[str]:
    return {award["home"]} if worth(award) and award["case"] is None else set()


def counts(books: Books, award: Fact) -> bool:
    """Waiting for the home: worth something, and no decision fell on the case it is in."""
    case = books.get("recognition", award["case"])
    return worth(award) and (case is None or case["state"] in OPEN)


def recognition_requested(books: Books, event: Any) -> Done:
    need(books.get("recognition", event.recognition_id) is None, "ILLEGAL_TRANSITION")
    named = event.award_ids
    need(named and len(set(named)) == len(named), "UNKNOWN_REFERENCE")
    rules = own(books, event.home)
    due_ms = due_in(books, event.home, "decide_days")
    if event.due_by is not None:
        due_ms = after_day_ms(event.due_by)
    need(not books.is_over(due_ms), "DEADLINE_PASSED")
    for name in named:  # in the order they are named
        award = books.find("award", name)
        need((award["student"], award["home"]) == (event.student_id, event.home), "NOT_WRITER")
        need(award["passed"] and award["credits"] > 0, "ILLEGAL_TRANSITION")
        need(award["state"] != "revoked", "ILLEGAL_TRANSITION")
        need(award["state"] != "expired", "DEADLINE_PASSED")
        case = books.get("recognition", award["case"])
        need(case is None or case["state"] == "negative", "DUPLICATE_CREDIT")
    for name in named:
        books.put("award", name, case=event.recognition_id)
    books.put(
        "recognition", event.recognition_id, state="requested", student=event.student_id, home=event.home,
        awards=named, due_ms=due_ms, rules=rules[:2] if rules else None, got=ZERO, courses=(),
    )  # fmt: skip
    return told(*(books.all("award")[name]["host"] for name in named))


def recognition_due(fact: Fact) -> int | None:
    due_ms: int | None = fact["due_ms"] if fact["state"] in OPEN else None
    return due_ms


def recognition_turn(fact: Fact) -> set[str]:
    return {fact["home"]} if fact["state"] in OPEN else set()


def expire(books: Books, name: str) -> set[str]:
    """The awards leave the case; they can be asked for again. Home and hosts are told."""
    case = books.put("recognition", name, state="expired")
    awards = [books.put("award", award, case=None) for award in case["awards"]]
    return {case["home"], *(award["host"] for award in awards)}


def recognition_decided(books: Books, event: Any) -> Done:
    case = books.find("recognition", event.recognition_id)
    need((case["student"], case["home"]) == (event.student_id, event.home), "NOT_WRITER")
    need(case["state"] in OPEN, "ILLEGAL_TRANSITION")
    need(event.outcome in (*POSITIVE, "negative"), "ILLEGAL_TRANSITION")
    need(event.stage in ("faculty", "academic_affairs"), "ILLEGAL_TRANSITION")
    awards = {name: books.all("award")[name] for name in case["awards"]}
    hosts = told(*(award["host"] for award in awards.values()))
    if event.stage == "faculty":
        books.put("recognition", event.recognition_id, state="faculty_decided")
        return hosts
    got, courses = _judged(books, event, case, awards)
    books.put(
        "recognition", event.recognition_id, state=event.outcome, got=got,
        courses=courses if event.outcome in POSITIVE else (),
    )  # fmt: skip
    return hosts


def _judged(
    books: Books, event: Any, case: Fact, awards: dict[str, Fact]
) -> tuple[Decimal, tuple[str, ...]]:
    """Credits and home courses that the student gets, if the decision keeps the rules."""
    value = {name: award["credits"] for name, award in awards.items() if worth(award)}
    need(event.original_credits_total.value == sum(value.values(), ZERO), "STALE_VERSION")
    good = [mapping for mapping in event.mappings if mapping.outcome in POSITIVE]
    courses = [course for mapping in good for course in mapping.to]
    amounts = [course.credits.value for course in courses]
    got: Decimal = event.recognized_credits_total.value
    need(got == sum(amounts, ZERO), "ILLEGAL_TRANSITION")
    need((got == 0) == (event.outcome == "negative"), "ILLEGAL_TRANSITION")
    need(all(amount >= 0 for amount in amounts), "ILLEGAL_TRANSITION")
    named = [name for mapping in good for name in mapping.award_ids]
    need(len(set(named)) == len(named) and set(named) <= set(awards), "DUPLICATE_CREDIT")
    codes = tuple(course.home_course_code for course in courses)
    need(len(set(codes)) == len(codes), "DUPLICATE_CREDIT")
    need(not earned(books, case["home"], case["student"]) & set(codes), "DUPLICATE_CREDIT")
    if got > sum((value.get(name, ZERO) for name in named), ZERO) + ONE:
        refuse("QUOTA_EXCEEDED")
    caps = [
        agreement["conditions"].credit_cap
        for award in awards.values()
        if (agreement := books.get("agreement", award["agreement"])) is not None
        and agreement["conditions"].credit_cap is not None
    ]
    need(not caps or got <= min(caps), "QUOTA_EXCEEDED")
    check(books, case, good, {name: awards[name] for name in value})
    return got, codes


def earned(books: Books, home: str, student: str) -> set[str]:
    """Home courses that were recognized for a student before."""
    cases = books.all("recognition").values()
    return {
        code
        for case in cases
        if (case["home"], case["student"]) == (home, student)
        for code in case["courses"]
    }
