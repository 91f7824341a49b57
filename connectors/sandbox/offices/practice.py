"""Practice: placements of other members' students here, and own students placed elsewhere.

The host offers a placement to students that it knows from its courses; home endorses it with a supervisor of its own
or lets it be; the host carries it through and awards credits, which the office `credit` of either side handles like any
others. Offices that were told of a step act at once, so nothing here waits for this office.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectors.sandbox import rules
from connectors.sandbox.desk import (
    Case,
    Contradiction,
    Desk,
    Phase,
    Receive,
    Received,
    Settle,
    Settled,
)
from connectors.sandbox.offices import _agreements, credit
from connectors.sandbox.offices import shapes_practice as shapes
from connectors.sandbox.seeds import make_id, themes
from connectors.sandbox.store import Change, Effect

TABLES = """
-- begun: it was started, so the places of its agreement are used up whatever comes after.
CREATE TABLE placement (
  placement_id TEXT PRIMARY KEY, kind TEXT NOT NULL, home TEXT NOT NULL, host TEXT NOT NULL, agreement_id TEXT,
  heads INTEGER NOT NULL, body TEXT NOT NULL, begun INTEGER NOT NULL DEFAULT 0, state TEXT, doing TEXT, cause TEXT
) STRICT;
"""
EFFECTS = (Effect("placement", "state", "placement_id", "NEW.state"),)
RESOURCES: Mapping[str, str] = {
    "placement": "practice.placement-changed",
    "placement-result": "credit.awarded",
}

MOST_STUDENTS = 3
AGAIN_SHARE = (
    0.7  # of the hosts with an agreement: a second placement under it, until its places run out
)
DECLINED_SHARE = 0.08
UNANSWERED_SHARE = 0.05  # at the end of the term home has not said yes or no
OVERLOOKED_SHARE = (
    0.4  # of the placements beyond an agreement's places: home's office does not count
)
CALLED_OFF_SHARE = 0.08  # by the host, before the start
NOT_BEGUN_SHARE = 0.06  # at the end of the term
UNCHECKED_SHARE = 0.15  # of the long ones: nobody looks in halfway
CALLED_BACK_SHARE = 0.1  # by home, after the look
BROKEN_OFF_SHARE = 0.04  # by the host
LONG_SHARE = 0.12  # goes on beyond the term

STATES = {
    "proposed": "proposed",
    "endorsed": "approved",
    "started": "ongoing",
    "mid_checked": "mid_checked",
    "completed": "completed",
    "graded": "graded",
    "terminated": "terminated",
}
_HOLDS_PLACES = ("approved", "ongoing", "mid_checked", "completed", "graded")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of placement, with thousandths of a credit (None: nothing is awarded) and the weeks it takes."""

    name: str
    zh: str
    en: str
    milli: int | None
    weeks: int


_PRODUCTION = _Kind("production_practice", "生产实习", "Production practice", 2000, 6)
_DESIGN = _Kind("graduation_design", "毕业设计", "Graduation design", 8000, 16)
_SOCIAL = _Kind("social_practice", "社会实践", "Social practice", 1000, 4)
_CULTURAL = _Kind("cultural_event", "巴蜀文化活动", "Ba-Shu cultural event", None, 2)
_COURSE = _Kind("joint_project_course", "联合项目课程", "Joint project course", 3000, 10)
_CHECKED = (_PRODUCTION.name, _DESIGN.name, _COURSE.name)  # somebody looks in halfway

_SITES = ("产教融合基地", "科技园", "重点实验室", "文化馆", "乡村振兴工作站")


def propose(desk: Desk) -> None:
    """Offer three placements: under an agreement, in a joint project, and a free one, as far as there are such."""
    known = _students(desk)
    homes = sorted(known, key=lambda home: desk.draw("placement-home", desk.code, home))
    agreed = {
        home: _agreements.find(desk, "practice", home, desk.code, desk.day()) for home in homes
    }
    partners = [home for home in homes if agreed[home]]
    joint = {home: _project(desk, home) for home in homes}
    colleagues = [home for home in homes if joint[home]]
    if partners:
        _propose(desk, 0, (_PRODUCTION, _SOCIAL), partners[0], known, None, agreed[partners[0]])
    if colleagues:
        _propose(desk, 1, (_COURSE, _DESIGN), colleagues[0], known, joint[colleagues[0]], None)
    if partners and desk.draw("again", desk.code) < AGAIN_SHARE:
        _propose(desk, 2, (_PRODUCTION,), partners[0], known, None, agreed[partners[0]])
    elif homes:
        kinds = (_DESIGN, _CULTURAL, _SOCIAL, _CULTURAL)
        _propose(desk, 2, kinds, homes[-1], known, None, None)


def _students(desk: Desk) -> dict[str, list[str]]:
    """Other members' students in courses here, by home."""
    rows = desk.store.all(
        "SELECT DISTINCT home, student_id FROM enrollment WHERE host = ? AND state = 'active' ORDER BY 1, 2",
        desk.code,
    )
    known: dict[str, list[str]] = {}
    for row in rows:
        known.setdefault(row["home"], []).append(row["student_id"])
    return known


def _project(desk: Desk, home: str) -> str | None:
    """A joint project under way that both take part in."""
    rows = desk.store.all(
        "SELECT project_id, members FROM project WHERE status = 'active' ORDER BY project_id"
    )
    both = {desk.code, home}
    return next((row["project_id"] for row in rows if both <= set(row["members"].split(","))), None)


def _propose(
    desk: Desk,
    number: int,
    kinds: Sequence[_Kind],
    home: str,
    known: Mapping[str, Sequence[str]],
    project_id: str | None,
    agreement_id: str | None,
) -> None:
    placement_id = make_id(str(desk.seed), desk.code, "placement", str(number))
    kind = kinds[int(desk.draw("placement-kind", placement_id) * len(kinds))]
    students = sorted(known[home], key=lambda student: desk.draw("placed", placement_id, student))[
        : 1 + int(desk.draw("heads", placement_id) * MOST_STUDENTS)
    ]
    theme = themes()[int(desk.draw("placement-theme", placement_id) * len(themes()))]
    body = shapes.placement(
        placement_id,
        kind.name,
        desk.code,
        home,
        students,
        _supervisors(desk, placement_id, home, project_id, kind),
        (f"{kind.zh}：{theme['zh']}", f"{kind.en}: {theme['en']}"),
        f"{desk.site.city}{_SITES[int(desk.draw('site', placement_id) * len(_SITES))]}",
        (desk.day(), desk.day(7 * kind.weeks)),
        kind.milli,
        project_id,
        agreement_id,
    )
    _enter(desk, body, None)
    _say(desk, body, "proposed", None)


def _supervisors(
    desk: Desk, placement_id: str, home: str, project_id: str | None, kind: _Kind
) -> list[dict[str, Any]]:
    """Somebody of ours, in production somebody of the enterprise, in a project a colleague of a third member."""
    ours = _staff(desk, placement_id)
    found = [shapes.supervisor(ours[0], desk.code, "main")]
    if kind is _PRODUCTION:
        found.append(shapes.supervisor(ours[1], desk.code, "enterprise"))
    if project_id:
        third = desk.store.one(
            "SELECT person_id, employer FROM project_member WHERE project_id = ? AND employer NOT IN (?, ?) "
            "AND state = 'active' ORDER BY employer, person_id",
            project_id,
            desk.code,
            home,
        )
        if third:
            found.append(shapes.supervisor(third["person_id"], third["employer"], "co"))
    return found


def _staff(desk: Desk, placement_id: str) -> list[str]:
    people = [row["staff_id"] for row in desk.store.all("SELECT staff_id FROM staff")]
    return sorted(people, key=lambda person: desk.draw("guide", placement_id, person))


def _enter(
    desk: Desk, body: Mapping[str, Any], state: str | None, cause: str | None = None
) -> None:
    """Note a placement as it was last said. `begun` stays once it was started."""
    desk.db.execute(
        "INSERT INTO placement (placement_id, kind, home, host, agreement_id, heads, body, begun, state, cause) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (placement_id) DO UPDATE SET body = excluded.body, "
        "begun = max(begun, excluded.begun), state = excluded.state, cause = excluded.cause",
        (
            body["placementId"],
            body["placementType"],
            body["homeOrganization"],
            body["organization"],
            body["agreementId"],
            len(body["persons"]),
            json.dumps(body, ensure_ascii=False),
            int(state == "ongoing"),
            state,
            cause,
        ),
    )


def _known(desk: Desk, placement_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM placement WHERE placement_id = ?", placement_id)
    if row is None:
        raise Contradiction(
            f"placement {placement_id} is not here; its proposal should have come before"
        )
    return row


def _say(
    desk: Desk,
    body: Mapping[str, Any],
    step: str,
    because: str | None,
    reason: str | None = None,
    *,
    mark: bool = True,
) -> None:
    """Publish a step. Home, host and the members of all supervisors are told."""
    guides = [person["organization"] for person in body["supervisors"]]
    desk.publish(
        "placement",
        body["placementId"],
        {**body, "state": step, "reason": reason},
        step=step,
        to=[body["homeOrganization"], body["organization"], *guides],
        case=body["placementId"],
        because=because,
    )
    if mark:
        desk.db.execute(
            "UPDATE placement SET doing = ? WHERE placement_id = ?", (step, body["placementId"])
        )


def _received(desk: Desk, told: Received) -> None:
    said = told.record
    body = shapes.from_record(said)
    if said["step"] != "proposed":
        _known(desk, said["placement_id"])
    _enter(desk, body, STATES[said["step"]], told.event_id)
    row = _known(desk, said["placement_id"])
    if row["home"] == desk.code:
        _as_home(desk, row, said["step"], told.event_id)
    elif row["host"] == desk.code and said["step"] == "endorsed":
        _begin(desk, row, told.event_id)


def _as_home(desk: Desk, row: sqlite3.Row, step: str, because: str) -> None:
    """Home endorses or declines what is proposed, and calls a few back after the look halfway."""
    body = json.loads(row["body"])
    chance = desk.draw(f"home-{step}", row["placement_id"])
    if step == "mid_checked" and chance < CALLED_BACK_SHARE:
        _say(desk, body, "terminated", because, "illness")
    elif step == "proposed" and chance < DECLINED_SHARE:
        _say(desk, body, "terminated", because, "academic")
    elif step == "proposed" and chance >= DECLINED_SHARE + UNANSWERED_SHARE:
        if _place_left(desk, row):
            _say(desk, _with_guide(desk, body), "endorsed", because)
        else:
            _say(desk, body, "terminated", because, "x-no-places")


def _with_guide(desk: Desk, body: dict[str, Any]) -> dict[str, Any]:
    person = shapes.supervisor(_staff(desk, body["placementId"])[0], desk.code, "co")
    return body | {"supervisors": [*body["supervisors"], person]}


def _place_left(desk: Desk, row: sqlite3.Row) -> bool:
    """Whether the agreement has a place for each student, as this office counts them. Now and then it does not count."""
    if row["agreement_id"] is None:
        return True
    places = _agreements.places(desk, row["agreement_id"], row["home"], row["host"])
    if places is None or desk.draw("placement-overlooked", row["placement_id"]) < OVERLOOKED_SHARE:
        return True
    taken = desk.store.count(
        "SELECT coalesce(sum(heads), 0) FROM placement WHERE agreement_id = ? AND home = ? AND host = ? AND "
        "(doing = 'endorsed' OR begun OR state IN (SELECT value FROM json_each(?)))",
        row["agreement_id"],
        row["home"],
        row["host"],
        json.dumps(_HOLDS_PLACES),
    )
    return taken + int(row["heads"]) <= places


def _begin(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """Start what home endorsed, unless the money is gone or it is to begin later."""
    body = json.loads(row["body"])
    chance = desk.draw("begin", row["placement_id"])
    if chance < CALLED_OFF_SHARE:
        _say(desk, body, "terminated", because, "funding")
    elif chance >= CALLED_OFF_SHARE + NOT_BEGUN_SHARE:
        _say(desk, body, "started", because)


def _settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Go on from the ledger's word. An endorsement it refused for want of places becomes a refusal of ours."""
    row = desk.store.one("SELECT * FROM placement WHERE placement_id = ?", change.subject)
    desk.db.execute(
        "UPDATE placement SET doing = NULL WHERE placement_id = ? AND doing = ?",
        (change.subject, change.step),
    )
    if settled.applied:
        body = {
            name: value for name, value in change.data.items() if name not in ("state", "reason")
        }
        _enter(desk, body, STATES[change.step], change.event_id)
        _go_on(desk, _known(desk, change.subject), change)
    elif row and row["doing"] == "endorsed" and settled.reason == "QUOTA_EXCEEDED":
        _say(desk, json.loads(row["body"]), "terminated", change.event_id, "x-no-places")


def _go_on(desk: Desk, row: sqlite3.Row, change: Change) -> None:
    body = json.loads(row["body"])
    if change.step == "started":
        if (
            row["kind"] in _CHECKED
            and desk.draw("unchecked", row["placement_id"]) >= UNCHECKED_SHARE
        ):
            _say(desk, body, "mid_checked", change.event_id)
    elif change.step == "completed" and body["studyLoad"]:
        for student in body["persons"]:
            _award(desk, body, student, change.event_id)
        _say(desk, body, "graded", change.event_id)


def finish(desk: Desk) -> None:
    """The term is over: most placements are completed, some go on, a few are broken off."""
    rows = desk.store.all(
        "SELECT * FROM placement WHERE host = ? AND state IN ('ongoing', 'mid_checked') AND doing IS NULL "
        "ORDER BY placement_id",
        desk.code,
    )
    for row in rows:
        chance = desk.draw("finish", row["placement_id"])
        body = json.loads(row["body"])
        if chance < BROKEN_OFF_SHARE:
            _say(desk, body, "terminated", row["cause"], "force_majeure")
        elif chance >= BROKEN_OFF_SHARE + LONG_SHARE:
            _say(desk, body, "completed", row["cause"])


def _award(desk: Desk, body: dict[str, Any], student: str, because: str) -> None:
    """Credits for one student, in the table of the office `credit`, which corrects and counts them with the others."""
    award_id = make_id("award", body["placementId"], student)
    mark = rules.mark(desk.site.notation, rules.percent_drawn(desk.seed, award_id))
    scheme, milli = shapes.load(body)
    award = {
        "award_id": award_id,
        "enrollment_id": None,
        "placement_id": body["placementId"],
        "student_id": student,
        "home": body["homeOrganization"],
        "host": desk.code,
        "title": body["name"][0]["value"],
        "scheme": scheme,
        "credit_milli": milli,
    }
    credit.enter(desk, award, mark, _publish_result(desk, award_id, student, body, mark, because))


def _publish_result(
    desk: Desk,
    award_id: str,
    student: str,
    body: dict[str, Any],
    mark: rules.Mark,
    because: str | None,
) -> str:
    return desk.publish(
        "placement-result",
        award_id,
        shapes.result(award_id, student, body, mark, desk.day()),
        step="awarded",
        to=[body["homeOrganization"]],
        case=body["placementId"],
        because=because,
    )


def err(desk: Desk) -> None:
    """Mistakes: beginning what is over, credits for what was not completed, nobody at home, an end before the start."""
    over = _first(desk, "host", "terminated")
    if over:
        body = json.loads(over["body"])
        _say(desk, body, "started", over["cause"], mark=False)
        if body["studyLoad"]:
            student = body["persons"][0]
            award_id = make_id("award", "early", over["placement_id"], student)
            mark = rules.mark(desk.site.notation, 80)
            _publish_result(desk, award_id, student, body, mark, over["cause"])
    lying = _first(desk, "home", "proposed")
    if lying:
        _say(desk, json.loads(lying["body"]), "endorsed", lying["cause"], mark=False)
    done = _first(desk, "host", "graded")
    if done and desk.draw("placement-mistake", desk.code) < 0.5:
        body = json.loads(done["body"])
        body["placementId"] = make_id(str(desk.seed), desk.code, "placement", "backwards")
        body["endDate"] = (desk.day() - timedelta(days=400)).isoformat()
        _say(desk, body, "proposed", None, mark=False)


_FIRST = {
    "home": "SELECT * FROM placement WHERE home = ? AND state = ? ORDER BY placement_id LIMIT 1",
    "host": "SELECT * FROM placement WHERE host = ? AND state = ? ORDER BY placement_id LIMIT 1",
}


def _first(desk: Desk, side: str, state: str) -> sqlite3.Row | None:
    return desk.store.one(_FIRST[side], desk.code, state)


def _cases(desk: Desk) -> list[Case]:
    rows = desk.store.all("SELECT placement_id, state FROM placement WHERE state IS NOT NULL")
    return [
        {"kind": "placement", "id": row["placement_id"], "summary": row["state"]} for row in rows
    ]


PHASES: Mapping[str, Phase] = {"placements": propose, "results": finish, "mistakes": err}
RECEIVES: Mapping[str, Receive] = {"practice.placement-changed": _received}
SETTLES: Mapping[str, Settle] = {
    "placement": _settled,
    "placement-result": credit.award_settled,
}
CASES = _cases
