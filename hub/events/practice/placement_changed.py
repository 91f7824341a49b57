"""practice.placement-changed: a host offers students a placement, home endorses it, the host carries it through."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.lab import Resource
from hub.domain.life import START
from hub.domain.practice import PLACEMENT, Placement
from hub.domain.project import Project
from hub.domain.quantities import credit_milli, credits_text
from hub.domain.reasons import Reason
from hub.domain.times import academic_year, day_over_ms
from hub.events import Names, Sentence, title
from hub.events._agreements import Use, covered, settle_places, take_places
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting, waits_until_known
from schemas.records import Posting, PracticePlacementChanged

LIFE = PLACEMENT
REASONS = frozenset(
    {
        Reason.CONTENT_INVALID,
        Reason.UNKNOWN_MEMBER,
        Reason.NOT_WRITER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.QUOTA_EXCEEDED,
    }
)
_SETTLES = {"started": "post", "terminated": "void"}  # what happens to reserved places


def decide(event: PracticePlacementChanged, view: View) -> Verdict:
    """Walk the placement on. Under an agreement each student takes one place, from home's endorsement on.

    Starting uses the places up, ending before the start gives them back.
    Source: Erasmus Without Paper student traineeships; endorsement by the home's supervisor is ours.
    """
    refusal = _refusal(event, view)
    if refusal:
        return refusal
    known = view.find(Placement, event.placement_id)
    case = _proposal(event, known, view) if event.step == "proposed" else _named(event, known)
    if not isinstance(case, Placement):
        return case
    step = PLACEMENT.step(case.state, event.step)
    if step is None:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"placement {case.id} is {case.state}, {event.step} is not possible; "
            f"possible: {', '.join(PLACEMENT.possible(case.state)) or 'nothing, the placement is closed'}",
            about=case,
        )
    places = _endorse(event, case, view) if event.step == "endorsed" else _settle(event, view)
    if isinstance(places, Rejected):
        return places
    guides = tuple(sorted({supervisor.member for supervisor in event.supervisors}))
    reached = replace(case, state=step.after, guides=guides, ends_ms=day_over_ms(event.end_date))
    return Applied(places, (reached,), case.concerned() | reached.concerned())


def _refusal(event: PracticePlacementChanged, view: View) -> Rejected | None:
    """What is wrong with the event whatever is known of the placement."""
    if event.step not in PLACEMENT.names:
        return _invalid(
            event,
            f"has step {event.step!r}, wanted one of {', '.join(sorted(PLACEMENT.names))}; correct it",
        )
    strangers = [member for member in (event.home, event.host) if member not in view.members]
    if strangers:
        return _unknown(event, strangers)
    if event.home == event.host:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"home and host of placement {event.placement_id} are both {event.home}; "
            "arrange practice at home without the alliance",
        )
    writers = [
        event.host if role == "host" else event.home for role in sorted(PLACEMENT.roles(event.step))
    ]
    if event.envelope.member not in writers:
        return Rejected(
            Reason.NOT_WRITER,
            f"{event.step} is stated by {' or '.join(writers)}, the event is signed by {event.envelope.member}; "
            f"ask {' or '.join(writers)}",
        )
    return _fault(event, view)


def _invalid(event: PracticePlacementChanged, fault: str) -> Rejected:
    return Rejected(Reason.CONTENT_INVALID, f"placement {event.placement_id} {fault}")


def _unknown(event: PracticePlacementChanged, strangers: list[str]) -> Rejected:
    return Rejected(
        Reason.UNKNOWN_MEMBER,
        f"placement {event.placement_id} names {', '.join(strangers)}, no member of the alliance; correct the code",
    )


def _fault(event: PracticePlacementChanged, view: View) -> Rejected | None:
    """What is wrong with students, days, supervisors or credits."""
    if not event.students or len(set(event.students)) < len(event.students):
        return _invalid(
            event,
            f"names {len(event.students)} students, {len(set(event.students))} different ones; name at least one, each once",
        )
    if event.end_date < event.start_date:
        return _invalid(
            event,
            f"ends on {event.end_date}, before it starts on {event.start_date}; correct the days",
        )
    guides = {supervisor.member for supervisor in event.supervisors}
    if not guides <= view.members:
        return _unknown(event, sorted(guides - view.members))
    if event.credits is not None and credit_milli(event.credits) < 0:
        return _invalid(
            event, f"is worth {event.credits.value} credits, wanted 0 or more; correct it"
        )
    return None


def _proposal(
    event: PracticePlacementChanged, known: Placement | None, view: View
) -> Placement | Rejected | Waiting:
    """The placement before its first step, or why it cannot be proposed."""
    if known:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"placement {known.id} exists and is {known.state}; give a new placement an id of its own",
            about=known,
        )
    case = Placement(
        event.placement_id, event.home, event.host, event.students, (), START, academic_year(event.start_date),
        event.agreement_id, day_over_ms(event.end_date),
    )  # fmt: skip
    obstacle = _project(event, view) or _resource(event, view) or covered(view, _use(case))
    return obstacle or case


def _project(event: PracticePlacementChanged, view: View) -> Rejected | Waiting | None:
    """Why the students cannot work in the project."""
    if event.project_id is None:
        return None
    project = view.find(Project, event.project_id)
    if project is None:
        return waits_until_known(
            Project,
            event.project_id,
            f"project {event.project_id} is not known yet; it waits for project.changed of its lead",
        )
    if project.state in ("funded", "active") and {event.home, event.host} <= set(project.members):
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"project {project.id} of {', '.join(project.members)} is {project.state}, wanted funded or active with "
        f"{event.home} and {event.host} in it; name another project or none",
        about=project,
    )


def _resource(event: PracticePlacementChanged, view: View) -> Rejected | Waiting | None:
    """Why the students cannot work at the laboratory or instrument."""
    if event.resource_id is None:
        return None
    resource = view.find(Resource, event.resource_id)
    if resource is None:
        return waits_until_known(
            Resource,
            event.resource_id,
            f"resource {event.resource_id} is not known yet; it waits for lab.resource-changed of its owner",
        )
    if resource.state == "operational":
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"resource {resource.id} of {resource.owner} is {resource.state}, wanted operational; "
        "name another resource or wait until it is back",
        about=resource,
    )


def _named(
    event: PracticePlacementChanged, known: Placement | None
) -> Placement | Rejected | Waiting:
    """The placement the event is about, or why there is none."""
    if known is None:
        return waits_until_known(
            Placement,
            event.placement_id,
            f"placement {event.placement_id} is not known yet; it waits for the proposal of {event.host}",
        )
    if (event.home, event.host) != (known.home, known.host):
        return Rejected(
            Reason.NOT_WRITER,
            f"placement {known.id} is of students of {known.home} at {known.host}, the event says {event.home} "
            f"at {event.host}; correct the event",
            about=known,
        )
    if set(event.students) != set(known.students):
        return Rejected(
            Reason.NOT_WRITER,
            f"placement {known.id} is of {len(known.students)} students, the event names others; "
            "name the same ones, or propose a new placement",
            about=known,
        )
    return known


def _endorse(
    event: PracticePlacementChanged, case: Placement, view: View
) -> tuple[Posting, ...] | Rejected:
    """The places that the students take, once somebody at home guides them."""
    if all(supervisor.member != case.home for supervisor in event.supervisors):
        return _invalid(
            event, f"has no supervisor of home {case.home}, wanted at least one; name one"
        )
    return take_places(view, _use(case), len(case.students))


def _settle(event: PracticePlacementChanged, view: View) -> tuple[Posting, ...]:
    action = _SETTLES.get(event.step)
    return settle_places(view.book, action, _thing(event.placement_id)) if action else ()


def _use(case: Placement) -> Use:
    """What the placement takes of its agreement."""
    return Use(case.agreement_id, "practice", case.home, case.host, case.year, _thing(case.id))


def _thing(placement_id: str) -> str:
    return f"{Placement.KIND}/{placement_id}"


_EN = {"mid_checked": "checked halfway"}
_ZH = {
    "proposed": "提出", "endorsed": "确认", "started": "开始", "mid_checked": "中期检查", "completed": "完成",
    "graded": "评定", "terminated": "终止",
}  # fmt: skip
_KIND_ZH = {
    "production_practice": "生产实习", "graduation_design": "毕业设计", "social_practice": "社会实践",
    "cultural_event": "文化活动", "joint_project_course": "联合项目课程",
}  # fmt: skip


def sentence(event: PracticePlacementChanged, names: Names) -> Sentence:
    signer, count = event.envelope.member, len(event.students)
    credit = "" if event.credits is None else credits_text(credit_milli(event.credits))
    return Sentence(
        f"{names.en(signer)} {_EN.get(event.step, event.step)} a placement ({event.kind.replace('_', ' ')}) of {count} "
        f"student{'' if count == 1 else 's'} of {names.en(event.home)} at {names.en(event.host)}: "
        f"{title(event.topic, 'en')}, {event.start_date} to {event.end_date}{f', {credit} credits' if credit else ''}",
        f"{names.zh(signer)}{_ZH.get(event.step, event.step)}{names.zh(event.home)}{count}名学生在{names.zh(event.host)}的"
        f"{_KIND_ZH.get(event.kind, event.kind)}“{title(event.topic, 'zh')}”（{event.start_date}至{event.end_date}"
        f"{f'，{credit}学分' if credit else ''}）",
    )
