"""credit.recognition-requested: the home university opens a case for awards of one of its students."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.credit import RECOGNITION, Award, Recognition
from hub.domain.flags import FlagName, flag
from hub.domain.reasons import Reason
from hub.domain.times import DAY_MS, day_of, day_over_ms, is_over
from hub.events import Names, Sentence
from hub.events._rules import own_rules
from hub.events.credit._common import reserve
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from hub.recognition.registered import RegisteredRules
from schemas.envelope import from_millis
from schemas.records import CreditRecognitionRequested, Posting

LIFE = RECOGNITION
REASONS = frozenset(
    {
        Reason.NOT_WRITER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.DUPLICATE_CREDIT,
        Reason.DEADLINE_PASSED,
    }
)


def decide(event: CreditRecognitionRequested, view: View) -> Verdict:
    """Claim the awards for the case, so that no second case can use them.

    Moves nothing, but that awards whose case ended negative are reserved again: an appeal is a new case.
    """
    known = view.find(Recognition, event.recognition_id)
    if known:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"recognition case {event.recognition_id} exists; give a new case an id of its own",
            about=known,
        )
    if not event.award_ids or len(set(event.award_ids)) != len(event.award_ids):
        return Rejected(
            Reason.UNKNOWN_REFERENCE,
            f"recognition case {event.recognition_id} names no award or one twice; name each award once",
        )
    own = own_rules(event.home, view)
    due_ms = _due_ms(event, own, view.now_ms)
    if is_over(due_ms, view.now_ms):
        return Rejected(
            Reason.DEADLINE_PASSED,
            f"the case is due by {event.due_by}, the ledger's day is {day_of(view.now_ms)}; open it with a later date",
        )
    awards: list[Award] = []
    postings: list[Posting] = []
    for award_id in event.award_ids:
        award = view.find(Award, award_id)
        if award is None:
            return waits_until_known(
                Award,
                award_id,
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
        event.recognition_id,
        event.student_id,
        event.home,
        event.award_ids,
        "requested",
        0,
        0,
        due_ms,
        own.id if own else None,
        own.newest.number if own else 0,
    )
    claimed = tuple(replace(award, case=event.recognition_id) for award in awards)
    return Applied(tuple(postings), (case, *claimed), frozenset(award.host for award in awards))


def _due_ms(
    event: CreditRecognitionRequested, own: RegisteredRules | None, now_ms: int
) -> int | None:
    """By when to decide: the day that the request names, else what the home's rules give."""
    if event.due_by is not None:
        return day_over_ms(event.due_by)
    days = own.newest.rules.decide_days if own else None
    return now_ms + days * DAY_MS if days is not None and now_ms else None


def _refusal(event: CreditRecognitionRequested, award: Award, view: View) -> Rejected | None:
    if (award.student_id, award.home) != (event.student_id, event.home):
        return Rejected(
            Reason.NOT_WRITER,
            f"award {award.award_id} is another student's; name awards of this student",
            about=award,
        )
    if award.state == "expired":
        return Rejected(
            Reason.DEADLINE_PASSED,
            f"award {award.award_id} expired at {from_millis(award.due_ms or 0)}: nobody asked for its recognition in time; leave it out",
            about=award,
        )
    if award.state == "revoked" or not award.passed:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"award {award.award_id} is {'revoked' if award.state == 'revoked' else 'not passed'}; leave it out",
            about=award,
        )
    case = view.find(Recognition, award.case) if award.case else None
    if case and case.state != "negative":
        return Rejected(
            Reason.DUPLICATE_CREDIT,
            f"award {award.award_id} is in case {award.case}, which is {case.state}; an award counts once",
            about=case,
        )
    return None


def expire(case: Recognition, view: View) -> Applied:
    """Nobody decided in time. The awards leave the case, still pending, and can be asked for again."""
    over = replace(case, state="expired")
    awards = [view.find(Award, award_id) for award_id in case.award_ids]
    freed = tuple(replace(award, case=None) for award in awards if award)
    told = frozenset({case.home, *(award.host for award in freed)})
    return Applied(
        changes=(over, *freed), audience=told, flags=(flag(FlagName.EXPIRED, over, told=told),)
    )


OVERDUE = {Recognition.KIND: expire}


def sentence(event: CreditRecognitionRequested, names: Names) -> Sentence:
    count = len(event.award_ids)
    return Sentence(
        f"{names.en(event.home)} opened a recognition case for {count} award{'s' if count > 1 else ''} of one of its students",
        f"{names.zh(event.home)}为一名学生的{count}项成绩启动学分认定",
    )
