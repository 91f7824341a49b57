"""credit.recognition-requested: the home university opens a case for awards of one of its students."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.reasons import Reason
from hub.domain.things import Award, Recognition
from hub.events import Names, Sentence
from hub.events.credit._common import reserve
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting, waits_for_thing
from schemas.records import CreditRecognitionRequested, Posting


def decide(event: CreditRecognitionRequested, view: View) -> Verdict:
    """Claim the awards for the case, so that no second case can use them.

    Moves nothing, but that awards whose case ended negative are reserved again: an appeal is a new case.
    """
    if view.find(Recognition, event.recognition_id):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"recognition case {event.recognition_id} exists; give a new case an id of its own",
        )
    if not event.award_ids or len(set(event.award_ids)) != len(event.award_ids):
        return Rejected(
            Reason.UNKNOWN_REFERENCE,
            f"recognition case {event.recognition_id} names no award or one twice; name each award once",
        )
    awards: list[Award] = []
    postings: list[Posting] = []
    for award_id in event.award_ids:
        award = view.find(Award, award_id)
        if award is None:
            return Waiting(
                waits_for_thing(Award.KIND, award_id),
                Reason.UNKNOWN_REFERENCE,
                f"award {award_id} is not known yet; the case waits for credit.awarded",
            )
        refusal = _refusal(event, award, view)
        if refusal:
            return refusal
        if award.decided:
            award, reserved = reserve(replace(award, decided=False))
            postings += reserved
        awards.append(award)
    case = Recognition(
        event.recognition_id, event.student_id, event.home, event.award_ids, "requested", 0, 0
    )
    claimed = tuple(replace(award, case=event.recognition_id) for award in awards)
    return Applied(tuple(postings), (case, *claimed), frozenset(award.host for award in awards))


def _refusal(event: CreditRecognitionRequested, award: Award, view: View) -> Rejected | None:
    if (award.student_id, award.home) != (event.student_id, event.home):
        return Rejected(
            Reason.NOT_WRITER,
            f"award {award.award_id} is another student's; name awards of this student",
        )
    if award.state == "revoked" or not award.passed:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"award {award.award_id} is {'revoked' if award.state == 'revoked' else 'not passed'}; leave it out",
        )
    case = view.find(Recognition, award.case) if award.case else None
    if case and case.state != "negative":
        return Rejected(
            Reason.DUPLICATE_CREDIT,
            f"award {award.award_id} is in case {award.case}, which is {case.state}; an award counts once",
        )
    return None


def sentence(event: CreditRecognitionRequested, names: Names) -> Sentence:
    count = len(event.award_ids)
    return Sentence(
        f"{names.en(event.home)} opened a recognition case for {count} award{'s' if count > 1 else ''} of one of its students",
        f"{names.zh(event.home)}为一名学生的{count}项成绩启动学分认定",
    )
