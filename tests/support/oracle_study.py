"""Studying at another member: offerings, enrollments, learning plans; and the projects that students and staff join."""

from __future__ import annotations

from typing import Any

from tests.support.oracle_agreement import check_use, places_for
from tests.support.oracle_books import Books, Done, Fact, after_day_ms, need, refuse, told, walk

OFFERING_LIFE = {
    "concept": {"active", "cancelled"},
    "active": {"inactive", "cancelled"},
    "inactive": {"active", "cancelled"},
    "cancelled": set(),
}
LIFE = {
    "pending": {"accepted": "associated", "queued": "queued", "denied": "denied",
                "withdrawn": "cancelled", "cancelled": "cancelled"},
    "queued": {"accepted": "associated", "denied": "denied", "withdrawn": "cancelled", "cancelled": "cancelled"},
    "associated": {"started": "active", "withdrawn": "cancelled", "cancelled": "cancelled"},
    "active": {"finished": "finished", "withdrawn": "withdrawn"},
}  # fmt: skip
SEATED = {"associated", "active", "finished", "withdrawn"}  # withdrawn: after the start only
OPEN = ("pending", "queued", "associated", "active")
SHORT = ("course", "summer_school")
PROJECT_LIFE = {
    "idea": {"drafted", "terminated"},
    "drafted": {"submitted", "terminated"},
    "submitted": {"funded", "declined", "terminated"},
    "funded": {"active", "terminated"},
    "active": {"completed", "terminated"},
    "declined": set(),
    "completed": set(),
    "terminated": set(),
}


# Offerings


def seats_free(books: Books, name: str) -> int:
    taken = sum(
        1 for fact in books.all("enrollment").values() if fact["offering"] == name and fact["seat"]
    )
    return int(books.all("offering")[name]["capacity"]) - taken


def offering_changed(books: Books, event: Any) -> Done:
    known = books.get("offering", event.offering_id)
    need(known is None or known["host"] == event.host, "NOT_WRITER")
    before = known["state"] if known else event.status
    need(event.status in OFFERING_LIFE, "ILLEGAL_TRANSITION")
    need(event.status in OFFERING_LIFE[before] | {before}, "ILLEGAL_TRANSITION")
    taken = known["capacity"] - seats_free(books, event.offering_id) if known else 0
    need(event.capacity >= taken and event.capacity >= 0, "QUOTA_EXCEEDED")
    books.put(
        "offering", event.offering_id, host=event.host, state=event.status, capacity=event.capacity
    )
    return Done(frozenset(books.members))


# Enrollments


def requested(books: Books, event: Any) -> Done:
    books.need_members(event.host)
    need(event.host != event.home, "ILLEGAL_TRANSITION")
    need(books.get("enrollment", event.enrollment_id) is None, "ILLEGAL_TRANSITION")
    offering = books.find("offering", event.offering_id)
    need(offering["host"] == event.host, "UNKNOWN_REFERENCE")
    need(offering["state"] == "active", "ILLEGAL_TRANSITION")
    need(event.home_active_registration, "ILLEGAL_TRANSITION")
    need(not books.day_over(event.valid_until), "DEADLINE_PASSED")
    use = (event.agreement_id, event.home, event.host, event.term.academic_year)
    check_use(books, event.agreement_id, "student_studies", *use[1:])
    books.put(
        "enrollment", event.enrollment_id, state="pending", student=event.student_id, home=event.home,
        host=event.host, offering=event.offering_id, seat=False, activity=event.activity,
        valid_until=event.valid_until, use=use, places=0,
    )  # fmt: skip
    return told(event.host)


def enrollment_due(fact: Fact) -> int | None:
    waits = fact["state"] in ("pending", "queued") and fact["valid_until"] is not None
    return after_day_ms(fact["valid_until"]) if waits else None


def enrollment_turn(fact: Fact) -> set[str]:
    return {fact["host"]} if fact["state"] in OPEN else set()


def _about(books: Books, event: Any) -> Fact:
    case = books.find("enrollment", event.enrollment_id)
    named = (event.home, event.host, event.offering_id)
    need((case["home"], case["host"], case["offering"]) == named, "NOT_WRITER")
    return case


def decided(books: Books, event: Any) -> Done:
    case = _about(books, event)
    newest = books.newest.get(("enrollment", event.enrollment_id, case["home"]), 0)
    need(event.envelope.decides_version == newest, "STALE_VERSION")
    need(event.decision in ("accepted", "queued", "denied"), "ILLEGAL_TRANSITION")
    reached = walk(LIFE, case["state"], event.decision)
    places = 0
    if event.decision == "accepted":
        need(books.all("offering")[case["offering"]]["state"] == "active", "ILLEGAL_TRANSITION")
        need(seats_free(books, case["offering"]) >= 1, "QUOTA_EXCEEDED")
        places = places_for(books, case, 1)
    books.put(
        "enrollment", event.enrollment_id, state=reached, seat=event.decision == "accepted", places=places
    )  # fmt: skip
    return told(case["home"])


def status_changed(books: Books, event: Any) -> Done:
    case = _about(books, event)
    writers = {"started": "host", "finished": "host", "cancelled": "host", "withdrawn": "home"}
    need(event.new_status in writers, "ILLEGAL_TRANSITION")
    need(event.envelope.member == case[writers[event.new_status]], "NOT_WRITER")
    reached = walk(LIFE, case["state"], event.new_status)
    seated = reached in SEATED
    books.put(
        "enrollment", event.enrollment_id, state=reached, seat=seated, places=case["places"] if seated else 0
    )  # fmt: skip
    return told(case["home"], case["host"])


# Learning plans: one of each enrollment, kept under the enrollment's id


def plan_proposed(books: Books, event: Any) -> Done:
    case = books.find("enrollment", event.enrollment_id)
    named = (event.student_id, event.home, event.host)
    need((case["student"], case["home"], case["host"]) == named, "NOT_WRITER")
    need(case["state"] in OPEN, "ILLEGAL_TRANSITION")
    need(_sound(event), "CONTENT_INVALID")
    need(not books.day_over(event.decide_by), "DEADLINE_PASSED")
    plan = books.get("plan", event.enrollment_id)
    if plan is not None:
        need(plan["plan"] == event.plan_id, "ILLEGAL_TRANSITION")
        if plan["state"] == "agreed" and case["activity"] in SHORT:
            refuse("ILLEGAL_TRANSITION")
        if plan["state"] in ("proposed", "agreed") and plan["hash"] == event.plan_hash:
            refuse("ILLEGAL_TRANSITION")
    books.put(
        "plan", event.enrollment_id, plan=event.plan_id, state="proposed", home=event.home, host=event.host,
        hash=event.plan_hash, approved=set(), decide_by=event.decide_by,
    )  # fmt: skip
    return told(event.host)


def _sound(event: Any) -> bool:
    mapped = [index for mapping in event.mappings for index in mapping.studied]
    onto = [index for mapping in event.mappings for index in mapping.recognized]
    credited = [*event.studied, *event.recognized]
    return (
        bool(event.studied)
        and all(course.credits.value >= 0 for course in credited)
        and all(0 <= index < len(event.studied) for index in mapped)
        and all(0 <= index < len(event.recognized) for index in onto)
        and len(set(mapped)) == len(mapped)
        and len(set(onto)) == len(onto)
    )


def plan_decided(books: Books, event: Any) -> Done:
    plan = books.find("plan", event.enrollment_id)
    named = (event.plan_id, event.home, event.host)
    need((plan["plan"], plan["home"], plan["host"]) == named, "NOT_WRITER")
    need(event.side in ("home", "host"), "CONTENT_INVALID")
    need(event.decision in ("approved", "returned"), "CONTENT_INVALID")
    need(event.envelope.member == plan[event.side], "NOT_WRITER")
    need(event.decides_hash == plan["hash"], "STALE_VERSION")
    need(plan["state"] == "proposed", "ILLEGAL_TRANSITION")
    need(event.side not in plan["approved"], "ILLEGAL_TRANSITION")
    if event.decision == "returned":
        books.put("plan", event.enrollment_id, state="returned")
    else:
        approved = plan["approved"] | {event.side}
        state = "agreed" if len(approved) == 2 else "proposed"
        books.put("plan", event.enrollment_id, state=state, approved=approved)
    return told(plan["home"], plan["host"])


def plan_due(fact: Fact) -> int | None:
    waits = fact["state"] == "proposed" and fact["decide_by"] is not None
    return after_day_ms(fact["decide_by"]) if waits else None


def plan_turn(fact: Fact) -> set[str]:
    if fact["state"] != "proposed":
        return set()
    return {fact[side] for side in ("home", "host") if side not in fact["approved"]}


# Projects


def project_changed(books: Books, event: Any) -> Done:
    partners = {organization.member for organization in event.organizations} | {event.lead}
    books.need_members(*partners)
    known = books.get("project", event.project_id)
    need(known is None or known["lead"] == event.lead, "NOT_WRITER")
    before = known["state"] if known else event.status
    need(event.status in PROJECT_LIFE, "ILLEGAL_TRANSITION")
    need(event.status in PROJECT_LIFE[before] | {before}, "ILLEGAL_TRANSITION")
    were = known["partners"] if known else set()
    books.put("project", event.project_id, lead=event.lead, partners=partners, state=event.status)
    return Done(frozenset(partners | were))


def project_member_changed(books: Books, event: Any) -> Done:
    project = books.find("project", event.project_id)
    need(event.employer in project["partners"], "NOT_WRITER")
    key = f"{len(event.project_id)}/{event.project_id}/{event.person_id}"
    known = books.get("participant", key)
    active = known is not None and known["state"] == "active"
    need(event.action in ("joined", "role_changed", "left"), "ILLEGAL_TRANSITION")
    need((event.action == "joined") != active, "ILLEGAL_TRANSITION")
    need(known is None or not active or known["employer"] == event.employer, "NOT_WRITER")
    state = "left" if event.action == "left" else "active"
    books.put("participant", key, employer=event.employer, state=state)
    return Done(frozenset(project["partners"]))
