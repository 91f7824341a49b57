"""Research: joint projects led here, and own people in projects of any member."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta

from connectors.sandbox import shapes
from connectors.sandbox.desk import (
    Contradiction,
    Desk,
    Holdings,
    Phase,
    Receive,
    Received,
    Settle,
    Settled,
)
from connectors.sandbox.seeds import make_id, themes
from connectors.sandbox.store import Change, Effect

TABLES = """
CREATE TABLE project (
  project_id TEXT PRIMARY KEY, lead TEXT NOT NULL, members TEXT NOT NULL, body TEXT, status TEXT, cause TEXT
) STRICT;
CREATE TABLE project_member (
  project_id TEXT NOT NULL, person_id TEXT NOT NULL, employer TEXT NOT NULL, position TEXT NOT NULL, state TEXT,
  cause TEXT, PRIMARY KEY (project_id, person_id)
) STRICT;
"""
EFFECTS = (
    Effect("project", "status", "project_id", "NEW.status"),
    Effect(
        "project_member",
        "state",
        "project_id || '/' || NEW.person_id",
        "NEW.state || ' ' || NEW.position",
    ),
)
RESOURCES: Mapping[str, str] = {
    "project": "project.changed",
    "project-member": "project.member-changed",
}

SECOND_PROJECT_SHARE = 0.25
DECLINED_SHARE = 0.12
ROLE_CHANGED_SHARE = 0.25
LEFT_SHARE = 0.15

_STARTS = date(2026, 9, 1)


def propose(desk: Desk) -> None:
    """Submit one or two joint projects with two to four other members."""
    count = 2 if desk.draw("projects", desk.code) < SECOND_PROJECT_SHARE else 1
    for i in range(count):
        project_id = make_id(str(desk.seed), desk.code, "project", str(i))
        partners = sorted(
            desk.others(), key=lambda member: desk.draw("partner", project_id, member)
        )
        partners = partners[: 2 + int(desk.draw("partners", project_id) * 3)]
        theme = themes()[int(desk.draw("theme", project_id) * len(themes()))]
        body = shapes.project(project_id, desk.code, partners, theme, _STARTS, "submitted")
        members = sorted({desk.code, *partners})
        desk.db.execute(
            "INSERT INTO project VALUES (?, ?, ?, ?, NULL, NULL)",
            (project_id, desk.code, ",".join(members), json.dumps(body, ensure_ascii=False)),
        )
        _publish(desk, project_id, "submitted", None)


def err(desk: Desk) -> None:
    """A mistake: a project that was declined cannot become active."""
    row = desk.store.one(
        "SELECT project_id FROM project WHERE lead = ? AND status = 'declined' ORDER BY 1",
        desk.code,
    )
    if row:
        _publish(desk, row["project_id"], "active", None)


def _publish(desk: Desk, project_id: str, state: str, because: str | None) -> None:
    row = desk.store.one("SELECT * FROM project WHERE project_id = ?", project_id)
    if row is None:
        raise Contradiction(f"project {project_id} is not here; restore it from a backup")
    desk.publish(
        "project",
        project_id,
        json.loads(row["body"]) | {"state": state},
        step=state,
        to=row["members"].split(","),
        case=project_id,
        because=because,
    )


def _join(desk: Desk, project_id: str, members: str, because: str) -> None:
    """One or two of our people join, the first in charge."""
    lead = desk.store.one("SELECT lead FROM project WHERE project_id = ?", project_id)
    ours = desk.store.all("SELECT staff_id FROM staff ORDER BY staff_id")
    ours.sort(key=lambda row: desk.draw("person", project_id, row["staff_id"]))
    count = 1 + int(desk.draw("people", project_id, desk.code) * 2)
    head = "lead" if lead and lead["lead"] == desk.code else "co_lead"
    for i, person in enumerate(ours[:count]):
        position = head if i == 0 else "key_member"
        desk.db.execute(
            "INSERT OR IGNORE INTO project_member VALUES (?, ?, ?, ?, NULL, NULL)",
            (project_id, person["staff_id"], desk.code, position),
        )
        _say(desk, project_id, members, person["staff_id"], position, "joined", because)


def _say(
    desk: Desk, project_id: str, members: str, person: str, position: str, action: str, because: str
) -> None:
    until = _STARTS + timedelta(days=200) if action == "left" else None
    desk.publish(
        "project-member",
        f"{project_id}/{person}",
        shapes.project_member(project_id, person, desk.code, position, action, _STARTS, until),
        step=action,
        to=members.split(","),
        case=project_id,
        because=because,
    )


def _project_settled(desk: Desk, change: Change, settled: Settled) -> None:
    if not settled.applied:
        return
    desk.db.execute(
        "UPDATE project SET status = ?, cause = ? WHERE project_id = ?",
        (change.step, change.event_id, change.subject),
    )
    if change.step == "submitted":
        declined = desk.draw("declined", change.subject) < DECLINED_SHARE
        _publish(desk, change.subject, "declined" if declined else "funded", change.event_id)
    elif change.step == "funded":
        _publish(desk, change.subject, "active", change.event_id)
    elif change.step == "active":
        row = desk.store.one("SELECT members FROM project WHERE project_id = ?", change.subject)
        _join(desk, change.subject, row["members"] if row else "", change.event_id)


def _project_received(desk: Desk, told: Received) -> None:
    said = told.record
    members = sorted({said["lead"], *(row["member"] for row in said["organizations"])})
    desk.db.execute(
        "INSERT INTO project VALUES (?, ?, ?, NULL, ?, ?) ON CONFLICT (project_id) DO UPDATE SET "
        "members = excluded.members, status = excluded.status, cause = excluded.cause",
        (said["project_id"], said["lead"], ",".join(members), said["status"], told.event_id),
    )
    here = desk.store.count(
        "SELECT count(*) FROM project_member WHERE project_id = ? AND employer = ?",
        said["project_id"],
        desk.code,
    )
    if said["status"] == "active" and not here and desk.code in members:
        _join(desk, said["project_id"], ",".join(members), told.event_id)


def _person_settled(desk: Desk, change: Change, settled: Settled) -> None:
    if not settled.applied:
        return
    body = change.data
    project_id, person = body["projectId"], body["personId"]
    desk.db.execute(
        "UPDATE project_member SET state = ?, position = ?, cause = ? WHERE project_id = ? AND person_id = ?",
        (_STATE[change.step], body["position"], change.event_id, project_id, person),
    )
    row = desk.store.one("SELECT members FROM project WHERE project_id = ?", project_id)
    members = row["members"] if row else ""
    chance = desk.draw("career", project_id, person)
    if change.step == "joined" and chance < ROLE_CHANGED_SHARE:
        _say(desk, project_id, members, person, "co_lead", "role_changed", change.event_id)
    elif change.step != "left" and 1 - chance < LEFT_SHARE:
        _say(desk, project_id, members, person, body["position"], "left", change.event_id)


_STATE = {"joined": "active", "role_changed": "active", "left": "left"}


def _person_received(desk: Desk, told: Received) -> None:
    said = told.record
    desk.db.execute(
        "INSERT INTO project_member VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (project_id, person_id) DO UPDATE SET "
        "employer = excluded.employer, position = excluded.position, state = excluded.state, cause = excluded.cause",
        (
            said["project_id"],
            said["person_id"],
            said["employer"],
            said["position"],
            _STATE[said["action"]],
            told.event_id,
        ),
    )


def holdings(desk: Desk) -> Holdings:
    """Projects we take part in, and their people."""
    return {
        "projects": desk.rows(
            "SELECT project_id AS projectId, lead, status FROM project WHERE status IS NOT NULL ORDER BY 1"
        ),
        "projectMembers": desk.rows(
            "SELECT project_id AS projectId, person_id AS personId, employer, state FROM project_member "
            "WHERE state IS NOT NULL ORDER BY 1, 2"
        ),
    }


PHASES: Mapping[str, Phase] = {"projects": propose, "mistakes": err}
RECEIVES: Mapping[str, Receive] = {
    "project.changed": _project_received,
    "project.member-changed": _person_received,
}
SETTLES: Mapping[str, Settle] = {"project": _project_settled, "project-member": _person_settled}
