"""Placements: students in practice at another member."""

from __future__ import annotations

from typing import Any

from tests.support.oracle_agreement import check_use, places_for
from tests.support.oracle_books import Books, Done, Fact, after_day_ms, need, told, walk, year_of

SIGNERS = {
    "proposed": ("host",), "endorsed": ("home",), "started": ("host",), "mid_checked": ("host",),
    "completed": ("host",), "graded": ("host",), "terminated": ("home", "host"),
}  # fmt: skip
LIFE = {
    "proposed": {"endorsed": "approved", "terminated": "terminated"},
    "approved": {"started": "ongoing", "terminated": "terminated"},
    "ongoing": {"mid_checked": "mid_checked", "completed": "completed", "terminated": "terminated"},
    "mid_checked": {"completed": "completed", "terminated": "terminated"},
    "completed": {"graded": "graded"},
}
TURN = {
    "proposed": "home",
    "approved": "host",
    "ongoing": "host",
    "mid_checked": "host",
    "completed": "host",
}


def signed_by(event: Any, sides: tuple[str, ...]) -> None:
    """The signer is one of these sides, as the event names them."""
    need(event.envelope.member in {getattr(event, side) for side in sides}, "NOT_WRITER")


def changed(books: Books, event: Any) -> Done:
    name = event.placement_id
    need(event.step in SIGNERS, "CONTENT_INVALID")
    books.need_members(event.home, event.host)
    need(event.home != event.host, "ILLEGAL_TRANSITION")
    signed_by(event, SIGNERS[event.step])
    need(event.students and len(set(event.students)) == len(event.students), "CONTENT_INVALID")
    need(event.start_date <= event.end_date, "CONTENT_INVALID")
    books.need_members(*(supervisor.member for supervisor in event.supervisors))
    need(event.credits is None or event.credits.value >= 0, "CONTENT_INVALID")
    guides = {person.member for person in event.supervisors}
    if event.step == "proposed":
        _propose(books, event)
        books.put("placement", name, guides=guides)
        return told(event.home, event.host, *guides)
    known = books.find("placement", name)
    need((known["home"], known["host"]) == (event.home, event.host), "NOT_WRITER")
    need(set(known["students"]) == set(event.students), "NOT_WRITER")
    reached = walk(LIFE, known["state"], event.step)
    places = known["places"]
    if event.step == "endorsed":
        ours = [person for person in event.supervisors if person.member == event.home]
        need(ours, "CONTENT_INVALID")
        places = places_for(books, known, len(event.students))
    elif event.step == "terminated" and known["state"] in ("proposed", "approved"):
        places = 0
    were = known["guides"]
    books.put("placement", name, state=reached, places=places, guides=guides, end=event.end_date)
    return told(event.home, event.host, *guides, *were)


def _propose(books: Books, event: Any) -> None:
    need(books.get("placement", event.placement_id) is None, "ILLEGAL_TRANSITION")
    if event.project_id is not None:
        project = books.find("project", event.project_id)
        need({event.home, event.host} <= project["partners"], "ILLEGAL_TRANSITION")
        need(project["state"] in ("funded", "active"), "ILLEGAL_TRANSITION")
    if event.resource_id is not None:
        resource = books.find("resource", event.resource_id)
        need(resource["state"] == "operational", "ILLEGAL_TRANSITION")
    use = (event.agreement_id, event.home, event.host, year_of(event.start_date))
    check_use(books, event.agreement_id, "practice", *use[1:])
    books.put(
        "placement", event.placement_id, state="proposed", home=event.home, host=event.host,
        students=event.students, end=event.end_date, use=use, places=0,
    )  # fmt: skip


def due(fact: Fact) -> int | None:
    return after_day_ms(fact["end"]) if fact["state"] in ("ongoing", "mid_checked") else None


def turn(fact: Fact) -> set[str]:
    return {fact[TURN[fact["state"]]]} if fact["state"] in TURN else set()
