"""teaching.secondment-changed: a member lends a person to another; the days count when the stay has ended."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.quantities import DAY
from hub.domain.reasons import Reason
from hub.domain.teaching import SECONDMENT, Secondment
from hub.events import Names, Sentence, title
from hub.events._agreements import Use, covered, settle_places, take_places
from hub.events.teaching._common import (
    day_is_over,
    days_reversed,
    exists,
    invalid,
    not_two_members,
    others_step,
    unknown_step,
    walk,
)
from hub.ledger.posting import borrowed_account, move, seconded_account
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from schemas.records import Posting, TeachingSecondmentChanged

LIFE = SECONDMENT
REASONS = frozenset(
    {
        Reason.CONTENT_INVALID,
        Reason.UNKNOWN_MEMBER,
        Reason.NOT_WRITER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.QUOTA_EXCEEDED,
        Reason.DEADLINE_PASSED,
    }
)
# 优秀, 称职, 基本称职, 不称职: the grades of the annual assessment of public servants.
_ASSESSMENTS = ("outstanding", "competent", "basic", "not")


def decide(event: TeachingSecondmentChanged, view: View) -> Verdict:
    """Walk a secondment from the lender's proposal to the borrower's assessment.

    Approval takes a place of the agreement, if that has a quota. The end counts whole days, first and last included.
    """
    what = _what(event)
    refusal = unknown_step(what, event.step, SECONDMENT) or not_two_members(
        what, event.lender, event.borrower, view
    )
    if refusal:
        return refusal
    writers = {getattr(event, role) for role in SECONDMENT.roles(event.step)}
    refusal = others_step(what, event.step, event.envelope.member, writers) or days_reversed(
        what, event.from_date, event.to_date
    )
    if refusal:
        return refusal
    return _propose(event, view) if event.step == "proposed" else _go_on(event, view)


def _what(event: TeachingSecondmentChanged) -> str:
    return f"secondment {event.secondment_id}"


def _propose(event: TeachingSecondmentChanged, view: View) -> Verdict:
    known = view.find(Secondment, event.secondment_id)
    if known:
        return exists(_what(event), known)
    proposal = Secondment(
        event.secondment_id, event.staff_id, event.lender, event.borrower, event.agreement_id,
        event.from_date, event.to_date, "proposed",
    )  # fmt: skip
    refusal = day_is_over(_what(event), event.to_date, view) or covered(view, _use(proposal))
    if refusal:
        return refusal
    return Applied(changes=(proposal,), audience=_told(proposal))


def _go_on(event: TeachingSecondmentChanged, view: View) -> Verdict:
    what = _what(event)
    known = view.find(Secondment, event.secondment_id)
    if known is None:
        return waits_until_known(
            Secondment,
            event.secondment_id,
            f"{what} is not known yet; it waits for the proposal of {event.lender}",
        )
    named = (event.staff_id, event.lender, event.borrower)
    if named != (known.staff_id, known.lender, known.borrower):
        return Rejected(
            Reason.NOT_WRITER,
            f"{what} is of {known.staff_id} from {known.lender} at {known.borrower}, the event says {' '.join(named)}; "
            "correct the event",
            about=known,
        )
    reached = walk(what, known, event.step)
    if isinstance(reached, Rejected):
        return reached
    fault = _fault(event, known)
    if fault:
        return invalid(what, fault, known)
    postings = _effect(event, known, view)
    if isinstance(postings, Rejected):
        return postings
    last = event.to_date if event.step in ("extended", "ended") else known.to_date
    return Applied(postings, (replace(known, state=reached, to_date=last),), _told(known))


def _fault(event: TeachingSecondmentChanged, known: Secondment) -> str | None:
    """What an extension or an end says that does not fit the stay."""
    if event.step == "extended" and event.to_date <= known.to_date:
        return f"ends on {known.to_date}, the extension is to {event.to_date}; name a later day"
    if event.step != "ended":
        return None
    if event.assessment not in _ASSESSMENTS:
        return f"ended with assessment {event.assessment!r}; use one of {', '.join(_ASSESSMENTS)}"
    if event.from_date != known.from_date:
        return f"is from {known.from_date}, the end counts from {event.from_date}; name the first day as proposed"
    if event.to_date > known.to_date:
        return f"is until {known.to_date}, the end is on {event.to_date}; ask {known.lender} to extend it first"
    return None


def _effect(
    event: TeachingSecondmentChanged, known: Secondment, view: View
) -> tuple[Posting, ...] | Rejected:
    """What a step moves: approval reserves a place, the start uses it up, else it comes back; the end counts the days."""
    thing = f"{Secondment.KIND}/{known.id}"
    if event.step == "approved":
        return take_places(view, _use(known))
    if event.step == "started":
        return settle_places(view.book, "post", thing)
    if event.step in ("declined", "recalled"):
        return settle_places(view.book, "void", thing)
    if event.step != "ended":
        return ()
    days = (event.to_date - known.from_date).days + 1
    lender, borrower = known.lender, known.borrower
    return (
        move(days, DAY, seconded_account(lender, borrower), borrowed_account(borrower, lender)),
    )


def _use(secondment: Secondment) -> Use:
    """What the secondment takes of its agreement."""
    return Use(
        secondment.agreement_id, "secondment", secondment.lender, secondment.borrower, secondment.year,
        f"{Secondment.KIND}/{secondment.id}",
    )  # fmt: skip


def _told(secondment: Secondment) -> frozenset[str]:
    return frozenset({secondment.lender, secondment.borrower})


_EN = {"started": "reported the start of", "ended": "reported the end of"}
_ZH = {
    "proposed": "提议",
    "approved": "同意",
    "declined": "谢绝",
    "started": "报告开始",
    "extended": "延长",
    "ended": "报告结束",
    "recalled": "召回",
}
_KINDS_ZH = {
    "temporary_post": "挂职",
    "visiting": "访学",
    "training": "培训",
    "double_appointment": "双聘",
}
_ASSESSMENTS_ZH = {
    "outstanding": "优秀",
    "competent": "称职",
    "basic": "基本称职",
    "not": "不称职",
}


def sentence(event: TeachingSecondmentChanged, names: Names) -> Sentence:
    signer, graded = event.envelope.member, event.assessment
    graded_en = "not competent" if graded == "not" else graded
    post_en, post_zh = title(event.post, "en"), title(event.post, "zh")
    return Sentence(
        f"{names.en(signer)} {_EN.get(event.step, event.step)} the secondment of a person of {names.en(event.lender)} "
        f"to {names.en(event.borrower)}{f' as {post_en}' if post_en else ''} ({event.from_date} to {event.to_date}"
        f"{f', assessment: {graded_en}' if graded else ''})",
        f"{names.zh(signer)}{_ZH.get(event.step, event.step)}：{names.zh(event.lender)}人员到{names.zh(event.borrower)}"
        f"{_KINDS_ZH.get(event.kind, event.kind)}{f'，任“{post_zh}”' if post_zh else ''}"
        f"（{event.from_date}至{event.to_date}{f'，考核{_ASSESSMENTS_ZH.get(graded, graded)}' if graded else ''}）",
    )
