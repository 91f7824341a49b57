"""project.changed: the lead member starts or changes a joint research project."""

from __future__ import annotations

from hub.domain.life import START
from hub.domain.project import PROJECT, Project
from hub.domain.reasons import Reason
from hub.events import Names, Sentence, title
from hub.ledger.state import Applied, Rejected, Verdict, View
from schemas.records import ProjectChanged

LIFE = PROJECT
REASONS = frozenset({Reason.UNKNOWN_MEMBER, Reason.NOT_WRITER, Reason.ILLEGAL_TRANSITION})


def decide(event: ProjectChanged, view: View) -> Verdict:
    """Keep the project's partners and status. All partners, those that left included, are told."""
    known = view.find(Project, event.project_id)
    members = tuple(
        sorted({organization.member for organization in event.organizations} | {event.lead})
    )
    strangers = [member for member in members if member not in view.members]
    if strangers:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"project {event.project_id} names {', '.join(strangers)}, no member of the alliance; correct the code",
        )
    if known and known.lead != event.lead:
        return Rejected(
            Reason.NOT_WRITER,
            f"project {event.project_id} is led by {known.lead}, not {event.lead}; ask {known.lead}",
            about=known,
        )
    before = known.state if known else START
    if event.status != before and PROJECT.step(before, event.status) is None:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"project {event.project_id} is {before or 'new'} and cannot become {event.status!r}; "
            f"possible: {', '.join(PROJECT.possible(before)) or 'nothing'}",
            about=known,
        )
    told = frozenset(members) | frozenset(known.members if known else ())
    return Applied(
        changes=(Project(event.project_id, event.lead, members, event.status),), audience=told
    )


def sentence(event: ProjectChanged, names: Names) -> Sentence:
    partners = len({organization.member for organization in event.organizations} | {event.lead})
    return Sentence(
        f"{names.en(event.lead)} leads {title(event.titles, 'en')} with {partners} members ({event.status})",
        f"{names.zh(event.lead)}牵头“{title(event.titles, 'zh')}”，共{partners}所高校参与（{event.status}）",
    )
