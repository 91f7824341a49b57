"""project.member-changed: a researcher or student joins, changes role in or leaves a joint project."""

from __future__ import annotations

from hub.domain.project import PARTICIPANT, Participant, Project, participant_id
from hub.domain.reasons import Reason
from hub.events import Names, Sentence
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from schemas.records import ProjectMemberChanged

LIFE = PARTICIPANT
REASONS = frozenset({Reason.NOT_WRITER, Reason.UNKNOWN_REFERENCE, Reason.ILLEGAL_TRANSITION})
_ACTIONS = {"joined": "active", "role_changed": "active", "left": "left"}


def decide(event: ProjectMemberChanged, view: View) -> Verdict:
    """Keep who takes part, stated by the member that employs the person. All partners are told."""
    project = view.find(Project, event.project_id)
    if project is None:
        return waits_until_known(
            Project,
            event.project_id,
            f"project {event.project_id} is not known yet; it waits for project.changed of its lead",
        )
    if event.employer not in project.members:
        return Rejected(
            Reason.NOT_WRITER,
            f"{event.employer} is no partner of project {event.project_id}; ask {project.lead} to add it first",
            about=project,
        )
    known = view.find(Participant, participant_id(event.project_id, event.person_id))
    active = known is not None and known.state == "active"
    if event.action not in _ACTIONS or (event.action == "joined") == active:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"person is {known.state if known else 'not'} in project {event.project_id}, {event.action!r} is not possible; "
            "join first, then change role or leave",
            about=known,
        )
    if known and known.employer != event.employer and active:
        return Rejected(
            Reason.NOT_WRITER,
            f"the person takes part for {known.employer}; {known.employer} states changes",
        )
    changed = Participant(
        event.project_id, event.person_id, event.employer, event.position, _ACTIONS[event.action]
    )
    return Applied(changes=(changed,), audience=frozenset(project.members))


_ZH = {"joined": "加入", "role_changed": "变更角色于", "left": "退出"}


def sentence(event: ProjectMemberChanged, names: Names) -> Sentence:
    said = {"joined": "joined", "role_changed": "changed role in", "left": "left"}.get(
        event.action, event.action
    )
    return Sentence(
        f"A {event.position.replace('_', ' ')} of {names.en(event.employer)} {said} project {event.project_id}",
        f"{names.zh(event.employer)}一名成员{_ZH.get(event.action, event.action)}项目{event.project_id}",
    )
