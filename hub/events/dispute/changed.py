"""dispute.changed: two members disagree about an item, which stands still until they agree, one gives in or arbiters decide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hub.domain.agreement import Agreement
from hub.domain.credit import Award, Recognition
from hub.domain.dispute import DISPUTE, Dispute, Frozen, answer_by_ms, frozen_id
from hub.domain.enrollment import Enrollment
from hub.domain.lab import AccessRequest, Usage
from hub.domain.life import Living
from hub.domain.plan import Plan
from hub.domain.practice import Placement
from hub.domain.project import Participant, Project
from hub.domain.reasons import Reason
from hub.domain.talent import JobPosting
from hub.domain.teaching import Appointment, Delivery, Secondment
from hub.domain.transfer import Achievement
from hub.events import Names, Sentence
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting, waits_until_known
from schemas.records import DisputeChanged

LIFE = DISPUTE
REASONS = frozenset(
    {
        Reason.CONTENT_INVALID,
        Reason.UNKNOWN_MEMBER,
        Reason.NOT_WRITER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.DISPUTED,
    }
)
STEPS: Final = ("open", "answer", "propose", "agree", "withdraw", "decide")
GROUNDS: Final = ("amount", "identity", "quality", "late", "rules")
RESOLUTIONS: Final = ("uphold", "correct", "void")
# What can be disputed; whether it is these two members' is asked of the item.
ITEMS: Final[Mapping[str, type[Living]]] = {
    kind.KIND: kind
    for kind in (
        AccessRequest, Achievement, Agreement, Appointment, Award, Delivery, Enrollment, JobPosting, Participant,
        Placement, Plan, Project, Recognition, Secondment, Usage,
    )
}  # fmt: skip
_HASH = re.compile(r"[0-9a-f]{64}")


def decide(event: DisputeChanged, view: View) -> Verdict:
    """Walk a dispute on. Moves nothing: opening stops what it is about, its end lets that go on, by ordinary events.

    The clock of the item stands still meanwhile (`Frozen`). Source: ours; recourse between banks works alike.
    """
    fault = _fault(event)
    if fault is not None:
        return _invalid(event, fault)
    if event.step == "open":
        return _open(event, view)
    known = view.find(Dispute, event.dispute_id)
    if known is None:
        return waits_until_known(
            Dispute,
            event.dispute_id,
            f"dispute {event.dispute_id} is not known yet; it waits for the member that opens it",
        )
    return _go_on(event, known, view)


def _invalid(event: DisputeChanged, fault: str) -> Rejected:
    return Rejected(Reason.CONTENT_INVALID, f"dispute {event.dispute_id} {fault}")


def _fault(event: DisputeChanged) -> str | None:
    """What is wrong with the event whatever is known."""
    if event.step not in STEPS:
        return f"has step {event.step!r}, wanted one of {', '.join(STEPS)}; correct it"
    opening = (event.about_kind, event.about_id, event.respondent, event.ground)
    opens = event.step == "open"
    if opens and not all(opening):
        return "lacks item, respondent or ground; name all of them when it is opened"
    if not opens and (any(opening) or event.arbiters):
        return f"names what it is about in a later step ({event.step}); that is said once, leave it out"
    if (event.resolution is not None) != (event.step in ("propose", "agree", "decide")):
        return f"has resolution {event.resolution!r} in step {event.step}; only propose, agree and decide have one"
    for name, said, known in (
        ("ground", event.ground, GROUNDS),
        ("resolution", event.resolution, RESOLUTIONS),
    ):
        if said and said not in known and not said.startswith("x-"):
            return f"has {name} {said!r}, wanted {', '.join(known)} or x-...; correct it"
    if event.statement_hash is not None and not _HASH.fullmatch(event.statement_hash):
        return "has a statement_hash that is no SHA-256 in 64 hex digits; correct it"
    return None


def _open(event: DisputeChanged, view: View) -> Verdict:
    known = view.find(Dispute, event.dispute_id)
    if known is not None:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"dispute {known.id} exists and is {known.state}; give a new one an id of its own",
            about=known,
        )
    respondent = event.respondent or ""
    strangers = sorted({respondent, *event.arbiters} - view.members)
    if strangers:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"dispute {event.dispute_id} names {', '.join(strangers)}, no member of the alliance; correct the code",
        )
    named = (event.party, respondent, *event.arbiters)
    if len(set(named)) < len(named):
        return _invalid(
            event, f"names {', '.join(named)}; parties and arbiters must all be different members"
        )
    item = _item(event, view)
    if not isinstance(item, Living):
        return item
    holders = _holders(item, view)
    if not {event.party, respondent} <= holders:
        return Rejected(
            Reason.NOT_WRITER,
            f"{item.KIND} {item.id} is between {', '.join(sorted(holders))}, the dispute is between {event.party} and "
            f"{respondent}; name the member that it concerns",
            about=item,
        )
    held = _held_with(item, view)
    for thing in held:
        frozen = view.find(Frozen, frozen_id(thing.KIND, thing.id))
        if frozen is not None and frozen.dispute_id:
            return Rejected(
                Reason.DISPUTED,
                f"{thing.KIND} {thing.id} stands still in dispute {frozen.dispute_id}; end that first",
                about=thing,
            )
    opened = Dispute(
        event.dispute_id, event.party, respondent, event.arbiters, tuple((one.KIND, one.id) for one in held),
        event.ground or "", "open", answer_by_ms(view.now_ms),
    )  # fmt: skip
    stopped = tuple(
        Frozen(one.KIND, one.id, opened.id, view.now_ms, _paused_ms(one.KIND, one.id, view))
        for one in held
    )
    return Applied((), (opened, *stopped), opened.concerned() | holders)


def _item(event: DisputeChanged, view: View) -> Living | Rejected | Waiting:
    """What the dispute is about, or why it cannot be."""
    name, thing_id = event.about_kind or "", event.about_id or ""
    kind = ITEMS.get(name)
    if kind is None:
        return _invalid(event, f"is about a {name!r}, wanted one of {', '.join(ITEMS)}; correct it")
    item = view.find(kind, thing_id)
    if item is None:
        return waits_until_known(
            kind,
            thing_id,
            f"{name} {thing_id} is not known yet; the dispute waits for whose it is",
        )
    return item


def _holders(item: Living, view: View) -> frozenset[str]:
    """Whose the item is. A recognition is also of those whose awards it is about."""
    if not isinstance(item, Recognition):
        return item.concerned()
    awards = (view.find(Award, award_id) for award_id in item.award_ids)
    return item.concerned().union(*(award.concerned() for award in awards if award))


def _held_with(item: Living, view: View) -> tuple[Living, ...]:
    """What stands still: the item, and of an award the open case that cannot be decided without it."""
    case = view.find(Recognition, item.case) if isinstance(item, Award) and item.case else None
    if case is None or case.LIFE.closed(case.state):
        return (item,)
    return (item, case)


def _paused_ms(kind: str, thing_id: str, view: View) -> int:
    """How long the thing stood still up to now, this time and before."""
    frozen = view.find(Frozen, frozen_id(kind, thing_id))
    if frozen is None:
        return 0
    # Before its first look the ledger's clock shows 0; nothing had a deadline then that could be over.
    since_ms = frozen.since_ms if frozen.dispute_id and frozen.since_ms else view.now_ms
    return frozen.paused_ms + view.now_ms - since_ms


def _go_on(event: DisputeChanged, known: Dispute, view: View) -> Verdict:
    refusal = _not_yours(event, known)
    if refusal is not None:
        return refusal
    if DISPUTE.closed(known.state):
        return _not_possible(event, known)
    said = _said(event, known)
    if isinstance(said, Rejected):
        return said
    step, reached = said
    taken = DISPUTE.step(known.state, step)
    if taken is None:
        return _not_possible(event, known)
    reached = replace(reached, state=taken.after)
    told = known.concerned().union(*(_holders(item, view) for item in _items(known, view)))
    if not DISPUTE.closed(reached.state):
        return Applied((), (reached,), told)
    moving = tuple(
        Frozen(kind, thing_id, "", 0, _paused_ms(kind, thing_id, view))
        for kind, thing_id in known.holds
    )
    return Applied((), (reached, *moving), told)


def _not_possible(event: DisputeChanged, known: Dispute) -> Rejected:
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"dispute {known.id} is {known.state}, {event.step} is not possible; "
        f"possible: {', '.join(DISPUTE.possible(known.state)) or 'nothing, the dispute is over'}",
        about=known,
    )


def _items(known: Dispute, view: View) -> tuple[Living, ...]:
    found = (view.find(ITEMS[kind], thing_id) for kind, thing_id in known.holds)
    return tuple(item for item in found if item is not None)


def _not_yours(event: DisputeChanged, known: Dispute) -> Rejected | None:
    """Whether the member speaks for the side whose step this is."""
    sides = {
        "answer": {known.respondent},
        "propose": {known.claimant, known.respondent},
        "agree": {known.counterpart} if known.proposer else {known.claimant, known.respondent},
        "withdraw": {known.claimant},
        "decide": set(known.arbiters),
    }[event.step]
    if event.party in sides:
        return None
    wanted = " or ".join(sorted(sides)) or "nobody: no arbiters were named"
    return Rejected(
        Reason.NOT_WRITER,
        f"{event.step} in dispute {known.id} is stated by {wanted}, the event is of {event.party}; leave it to them",
        about=known,
    )


def _said(event: DisputeChanged, known: Dispute) -> tuple[str, Dispute] | Rejected:
    """The step of the table that the event takes, and the dispute with what it says; the state is as before."""
    resolution = event.resolution or ""
    if event.step == "propose":
        return "propose", replace(known, proposer=event.party, resolution=resolution)
    if event.step == "withdraw":
        return "withdraw", replace(known, resolution="")
    if event.step == "agree" and known.proposer and resolution != known.resolution:
        return _invalid(
            event,
            f"agrees to {resolution!r}, proposed is {known.resolution!r}; agree to that or propose your own",
        )
    if event.step != "decide":
        return event.step, known
    votes = tuple(sorted({**dict(known.votes), event.party: resolution}.items()))
    voted = replace(known, votes=votes)
    decided = voted.decided_by_votes()
    if decided is None:
        return "vote", voted
    return "decide", replace(voted, resolution=decided)


_EN = {
    "answer": "answers", "propose": "proposes a settlement", "agree": "agrees to the settlement",
    "withdraw": "withdraws the claim", "decide": "decides as an arbiter",
}  # fmt: skip
_ZH = {
    "answer": "作出答复", "propose": "提出解决方案", "agree": "同意解决方案", "withdraw": "撤回异议", "decide": "作出裁决",
}  # fmt: skip
_GROUND_ZH = {
    "amount": "数额", "identity": "身份", "quality": "质量", "late": "逾期", "rules": "规则",
}  # fmt: skip
_RESOLUTION_ZH = {"uphold": "维持", "correct": "更正", "void": "作废"}


def sentence(event: DisputeChanged, names: Names) -> Sentence:
    if event.step == "open":
        ground = event.ground or ""
        return Sentence(
            f"{names.en(event.party)} disputes {event.about_kind} {event.about_id} with {names.en(event.respondent or '')}: "
            f"{ground}",
            f"{names.zh(event.party)}就{event.about_kind} {event.about_id}向{names.zh(event.respondent or '')}提出异议："
            f"{_GROUND_ZH.get(ground, ground)}",
        )
    how = event.resolution or ""
    return Sentence(
        f"{names.en(event.party)} {_EN.get(event.step, event.step)} in dispute {event.dispute_id}{f': {how}' if how else ''}",
        f"争议{event.dispute_id}：{names.zh(event.party)}{_ZH.get(event.step, event.step)}"
        f"{f'：{_RESOLUTION_ZH.get(how, how)}' if how else ''}",
    )
