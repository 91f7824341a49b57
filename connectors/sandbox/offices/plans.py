"""Learning plans: what an own student will study elsewhere and what it will count as, agreed between both offices.

Home proposes, the host answers, then home gives its own word. Each word names the hash of the plan as it was read; home
reads it off the host's answer, for the hash is made on the way out. Offices that were told of a proposal act at once, so
nothing here waits for this office.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

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
from connectors.sandbox.offices import shapes_plans as shapes
from connectors.sandbox.seeds import make_id
from connectors.sandbox.store import Change, Effect

TABLES = """
-- hash: of the newest proposal, null at home until the host has answered; before: of the one it replaced.
CREATE TABLE study_plan (
  enrollment_id TEXT PRIMARY KEY, plan_id TEXT NOT NULL UNIQUE, student_id TEXT NOT NULL, home TEXT NOT NULL,
  host TEXT NOT NULL, body TEXT, hash TEXT, before TEXT, proposals INTEGER NOT NULL DEFAULT 0,
  approved TEXT NOT NULL DEFAULT '', state TEXT, doing TEXT, cause TEXT
) STRICT;
-- Other members' courses as far as a plan names them.
CREATE TABLE plannable (
  offering_id TEXT PRIMARY KEY, host TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL, title TEXT NOT NULL,
  start_date TEXT NOT NULL, mode TEXT NOT NULL, scheme TEXT NOT NULL, credit_milli INTEGER NOT NULL
) STRICT;
"""
EFFECTS = (
    Effect(
        "study_plan",
        "state, approved, proposals",
        "enrollment_id",
        "NEW.state || ' ' || NEW.proposals || ' ' || NEW.approved",
    ),
)
RESOURCES: Mapping[str, str] = {
    "plan": "enrollment.plan-proposed",
    "plan-decision": "enrollment.plan-decided",
}

MOST_PLANS = 7  # of one home university, and at most half of its accepted students
RETURNED_SHARE = 0.16
GIVEN_UP_SHARE = 0.25  # of the returned plans: the student goes without
WITHHELD_SHARE = 0.05  # home's own faculty has not signed at the end of the term
RETURNED_AT_HOME_SHARE = 0.05
CHANGED_SHARE = 0.7  # of the plans for a whole term, after its start
PACKAGE_SHARE = 0.4  # of the plans with two courses: both together count as one at home
MOST_PROPOSALS = 4
DECIDE_DAYS = 14

_TOO_MUCH = (
    "所选课程与先修要求不符，请调整后重新提交。",
    "Prerequisites are missing; please choose another course.",
)
_CONDITION = "须提交课程大纲"  # the syllabus has to be handed in


def plan(desk: Desk) -> None:
    """Propose plans: for whoever goes for a term, and for some who take one course."""
    rows = desk.store.all(
        "SELECT * FROM enrollment WHERE home = ? AND state = 'associated' AND doing IS NULL",
        desk.code,
    )
    rows.sort(
        key=lambda row: (row["activity"] == "course", desk.draw("planned", row["enrollment_id"]))
    )
    for row in rows[: min(MOST_PLANS, (len(rows) + 1) // 2)]:
        plan_id = make_id("plan", row["enrollment_id"])
        desk.db.execute(
            "INSERT INTO study_plan (enrollment_id, plan_id, student_id, home, host) VALUES (?, ?, ?, ?, ?)",
            (row["enrollment_id"], plan_id, row["student_id"], row["home"], row["host"]),
        )
        whole_term = row["activity"] != "course"
        count = 2 + int(desk.draw("courses", plan_id) * 2) if whole_term else 1
        _propose(desk, plan_id, _courses(desk, row, plan_id)[:count], None, row["cause"])


def change(desk: Desk) -> None:
    """In the middle of the term one course is replaced in some plans. Those for one course stay as agreed."""
    rows = desk.store.all(
        "SELECT p.*, e.offering_id FROM study_plan p JOIN enrollment e USING (enrollment_id) WHERE p.home = ? "
        "AND p.state = 'agreed' AND p.doing IS NULL AND e.state = 'active' AND e.doing IS NULL "
        "AND e.activity = 'exchange_term' ORDER BY p.plan_id",
        desk.code,
    )
    for row in rows:
        if desk.draw("plan-changed", row["plan_id"]) < CHANGED_SHARE:
            _replace(desk, row)


def _replace(desk: Desk, row: sqlite3.Row) -> None:
    body = json.loads(row["body"])
    named = [component["offeringId"] for component in body["components"]]
    offers = [
        offer
        for offer in _courses(desk, row, row["plan_id"])
        if offer["offering_id"] in named[:-1] or offer["offering_id"] not in named
    ]
    dropped = body["components"][-1] | {"change": "deleted", "reason": "timetable"}
    _propose(desk, row["plan_id"], offers[: len(named)], dropped, row["cause"])


def _courses(desk: Desk, enrollment: sqlite3.Row, plan_id: str) -> list[sqlite3.Row]:
    """Courses of the host, the one that the student was accepted for first."""
    rows = desk.store.all("SELECT * FROM plannable WHERE host = ?", enrollment["host"])
    rows.sort(
        key=lambda row: (
            row["offering_id"] != enrollment["offering_id"],
            desk.draw("course-planned", plan_id, row["offering_id"]),
        )
    )
    return rows


def _propose(
    desk: Desk,
    plan_id: str,
    offers: Sequence[sqlite3.Row],
    dropped: Mapping[str, Any] | None,
    because: str | None,
    condition: str | None = None,
) -> None:
    """Publish the plan; a course that was dropped is named last, with the course that takes its place before it."""
    row = _known(desk, plan_id)
    components = [shapes.component(offer, json.loads(offer["name"]), None) for offer in offers]
    if dropped:
        components[-1] |= {"change": "inserted", "reason": "timetable"}
    recognized, mappings = _recognized(desk, plan_id, offers, condition)
    body = shapes.plan(
        plan_id,
        row,
        [*components, dict(dropped)] if dropped else components,
        recognized,
        mappings,
        desk.day(),
        desk.day(DECIDE_DAYS),
    )
    _publish(desk, row, body, because)


def _recognized(
    desk: Desk, plan_id: str, offers: Sequence[sqlite3.Row], condition: str | None
) -> tuple[list[dict[str, Any]], list[tuple[list[int], list[int]]]]:
    """Courses at home and what they stand for: the one of the same title, an elective, or one for two."""
    if len(offers) == 2 and desk.draw("plan-package", plan_id) < PACKAGE_SHARE:
        total = sum(offer["credit_milli"] for offer in offers)
        near = desk.store.one(
            "SELECT code, credit_milli FROM course WHERE scheme = ? ORDER BY abs(credit_milli - ?), code",
            offers[0]["scheme"],
            total,
        )
        if near:
            one = shapes.recognized(
                near["code"], "required", "cn_credit", near["credit_milli"], condition
            )
            return [one], [([0, 1], [0])]
    found = [_counts_as(desk, offer, condition) for offer in offers]
    return found, [([at], [at]) for at in range(len(found))]


def _counts_as(desk: Desk, offer: sqlite3.Row, condition: str | None) -> dict[str, Any]:
    ours = desk.store.one(
        "SELECT code, credit_milli FROM course WHERE title = ? ORDER BY code", offer["title"]
    )
    if ours:
        return shapes.recognized(
            ours["code"], "required", "cn_credit", ours["credit_milli"], condition
        )
    code = f"GX-{offer['code']}"
    return shapes.recognized(code, "elective", offer["scheme"], offer["credit_milli"], condition)


def _publish(
    desk: Desk, row: sqlite3.Row, body: Mapping[str, Any], because: str | None, *, mark: bool = True
) -> None:
    desk.publish(
        "plan",
        row["plan_id"],
        body,
        step="proposed",
        to=[row["host"]],
        case=row["enrollment_id"],
        because=because,
    )
    _mark(desk, row, "proposed" if mark else None)


def _decide(
    desk: Desk,
    row: sqlite3.Row,
    side: str,
    said: str,
    because: str | None,
    *,
    mark: bool = True,
) -> None:
    comment = _TOO_MUCH if said == "returned" else None
    desk.publish(
        "plan-decision",
        row["plan_id"],
        shapes.decision(row, side, said, comment, "教务处" if side == "host" else "学院"),
        step=said,
        to=[row["home"], row["host"]],
        case=row["enrollment_id"],
        because=because,
    )
    _mark(desk, row, said if mark else None)


def _mark(desk: Desk, row: sqlite3.Row, step: str | None) -> None:
    if step:
        desk.db.execute("UPDATE study_plan SET doing = ? WHERE plan_id = ?", (step, row["plan_id"]))


def _known(desk: Desk, plan_id: str) -> sqlite3.Row:
    row = desk.store.one("SELECT * FROM study_plan WHERE plan_id = ?", plan_id)
    if row is None:
        raise Contradiction(
            f"plan {plan_id} is not here; its enrollment.plan-proposed should have come before"
        )
    return row


def _proposal_received(desk: Desk, told: Received) -> None:
    """A host looks at a plan and answers."""
    said = told.record
    desk.db.execute(
        "INSERT INTO study_plan (enrollment_id, plan_id, student_id, home, host, hash, proposals, state, cause) "
        "VALUES (?, ?, ?, ?, ?, ?, 1, 'proposed', ?) ON CONFLICT (enrollment_id) DO UPDATE SET before = hash, "
        "hash = excluded.hash, proposals = proposals + 1, approved = '', state = 'proposed', cause = excluded.cause",
        (
            said["enrollment_id"],
            said["plan_id"],
            said["student_id"],
            said["home"],
            said["host"],
            said["plan_hash"],
            told.event_id,
        ),
    )
    row = _known(desk, said["plan_id"])
    returned = row["proposals"] < MOST_PROPOSALS and (
        desk.draw("plan-returned", row["plan_id"], str(row["proposals"])) < RETURNED_SHARE
    )
    _decide(desk, row, "host", "returned" if returned else "approved", told.event_id)


def _decision_received(desk: Desk, told: Received) -> None:
    said = told.record
    row = _take(desk, said["plan_id"], said["side"], said["decision"], told.event_id)
    if row["home"] != desk.code:
        return
    desk.db.execute(
        "UPDATE study_plan SET hash = ? WHERE plan_id = ?", (said["decides_hash"], row["plan_id"])
    )
    if said["decision"] == "returned":
        _propose_anew(desk, row, told.event_id)
    else:
        _give_word(desk, _known(desk, row["plan_id"]), told.event_id)


def _take(desk: Desk, plan_id: str, side: str, said: str, event_id: str) -> sqlite3.Row:
    """A side's word as the ledger applied it. Raises `Contradiction` when the plan is not here."""
    row = _known(desk, plan_id)
    approved = sorted({*row["approved"].split(), side}) if said == "approved" else []
    state = {0: "returned", 1: "proposed", 2: "agreed"}[len(approved)]
    desk.db.execute(
        "UPDATE study_plan SET approved = ?, state = ?, cause = ? WHERE plan_id = ?",
        (" ".join(approved), state, event_id, plan_id),
    )
    return _known(desk, plan_id)


def _give_word(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """The host can teach it; home's faculty says whether it will recognize it, or nothing yet."""
    chance = desk.draw("home-word", row["plan_id"], str(row["proposals"]))
    if chance < WITHHELD_SHARE:
        return
    returned = chance < WITHHELD_SHARE + RETURNED_AT_HOME_SHARE and row["proposals"] == 1
    _decide(desk, row, "home", "returned" if returned else "approved", because)


def _propose_anew(desk: Desk, row: sqlite3.Row, because: str) -> None:
    """Another proposal with another content, unless the student goes without a plan."""
    number = str(row["proposals"])
    if desk.draw("plan-given-up", row["plan_id"], number) < GIVEN_UP_SHARE:
        return
    body = json.loads(row["body"])
    for course in body["recognized"]:
        course["conditions"] = f"{_CONDITION}（第{number}次修改）"
    dates = {
        "studentConfirmedDate": desk.day().isoformat(),
        "decideBy": desk.day(DECIDE_DAYS).isoformat(),
    }
    _publish(desk, row, body | dates, because)


def _settled(desk: Desk, change: Change, settled: Settled) -> None:
    """Go on from the ledger's word on our proposal or decision. What it refused did not happen."""
    desk.db.execute(
        "UPDATE study_plan SET doing = NULL WHERE plan_id = ? AND doing = ?",
        (change.subject, change.step),
    )
    if not settled.applied:
        return
    if change.resource == "plan":
        desk.db.execute(
            "UPDATE study_plan SET body = ?, before = hash, hash = NULL, proposals = proposals + 1, approved = '', "
            "state = 'proposed', cause = ? WHERE plan_id = ?",
            (change.body, change.event_id, change.subject),
        )
        return
    row = _take(desk, change.subject, change.data["side"], change.step, change.event_id)
    if row["home"] == desk.code and change.step == "returned":
        _propose_anew(desk, row, change.event_id)


def _offering_received(desk: Desk, told: Received) -> None:
    said = told.record
    titles = {text["lang"]: text["value"] for text in said["titles"]}
    name = [
        {"language": language, "value": titles[lang]}
        for lang, language in (("zh", "zh-CN"), ("en", "en-GB"))
        if lang in titles
    ]
    desk.db.execute(
        "INSERT OR REPLACE INTO plannable VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            said["offering_id"],
            said["host"],
            said["course"]["course_code"],
            json.dumps(name, ensure_ascii=False),
            titles.get("zh", ""),
            said["start_date"],
            said["mode"],
            said["credits"]["scheme"],
            round(float(said["credits"]["value"]) * 1000),
        ),
    )


def err(desk: Desk) -> None:
    """Mistakes: a word on a plan that was replaced, a word for the other side, a change when the course is over."""
    replaced = desk.store.one(
        "SELECT plan_id, enrollment_id, student_id, home, host, before AS hash, cause FROM study_plan "
        "WHERE host = ? AND before IS NOT NULL ORDER BY plan_id LIMIT 1",
        desk.code,
    )
    if replaced:
        _decide(desk, replaced, "host", "approved", replaced["cause"], mark=False)
    ours = desk.store.one(
        "SELECT * FROM study_plan WHERE home = ? AND state = 'agreed' ORDER BY plan_id LIMIT 1",
        desk.code,
    )
    if ours and desk.draw("plan-mistake", desk.code) < 0.5:
        _decide(desk, ours, "host", "approved", ours["cause"], mark=False)
    elif ours:
        body = json.loads(ours["body"])
        body["recognized"][0]["conditions"] = _CONDITION
        _publish(desk, ours, body, ours["cause"], mark=False)


def _cases(desk: Desk) -> list[Case]:
    rows = desk.store.all(
        "SELECT enrollment_id, state, hash FROM study_plan WHERE state IS NOT NULL"
    )
    return [
        {
            "kind": "plan",
            "id": row["enrollment_id"],
            "summary": f"{row['state']} {(row['hash'] or '')[:16]}",
        }
        for row in rows
    ]


PHASES: Mapping[str, Phase] = {"plans": plan, "dropouts": change, "mistakes": err}
RECEIVES: Mapping[str, Receive] = {
    "offering.changed": _offering_received,
    "enrollment.plan-proposed": _proposal_received,
    "enrollment.plan-decided": _decision_received,
}
SETTLES: Mapping[str, Settle] = {"plan": _settled, "plan-decision": _settled}
CASES = _cases
