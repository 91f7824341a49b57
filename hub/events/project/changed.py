"""project.changed: the lead member starts or changes a joint research project."""

from __future__ import annotations

from hub.domain.reasons import Reason
from hub.domain.things import PROJECT, Project
from hub.events import Names, Sentence, title
from hub.ledger.state import Applied, Rejected, Verdict, View
from schemas.records import ProjectChanged


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
        )
    before = known.status if known else event.status
    if event.status not in PROJECT or (
        event.status != before and event.status not in PROJECT[before]
    ):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"project {event.project_id} is {before} and cannot become {event.status}; "
            f"possible: {', '.join(sorted(PROJECT.get(before, PROJECT))) or 'nothing'}",
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
