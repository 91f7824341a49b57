"""credit.award-corrected: the host amends or revokes an award. What was recognized stays: the home decides again."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.credit import AWARD, Award, Recognition
from hub.domain.flags import Flag, FlagName
from hub.domain.quantities import credit_milli, credits_text
from hub.domain.reasons import Reason
from hub.events import Names, Sentence
from hub.events.credit._common import reserve
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from schemas.records import CreditAwardCorrected

LIFE = AWARD
REASONS = frozenset(
    {
        Reason.NOT_WRITER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.QUOTA_EXCEEDED,
    }
)


def decide(event: CreditAwardCorrected, view: View) -> Verdict:
    """Void what is still pending of the old award and reserve the new amount; never edit, never re-decide."""
    award = view.find(Award, event.award_id)
    if award is None:
        return waits_until_known(
            Award,
            event.award_id,
            f"award {event.award_id} is not known yet; it waits for credit.awarded of {event.host}",
        )
    if (award.student_id, award.home, award.host) != (event.student_id, event.home, event.host):
        return Rejected(
            Reason.NOT_WRITER,
            f"award {event.award_id} is of {award.host} for a student of {award.home}; only {award.host} corrects it",
            about=award,
        )
    if AWARD.closed(award.state):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"award {event.award_id} is {award.state}; issue a new award instead",
            about=award,
        )
    if event.kind not in ("amended", "revoked"):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"correction of award {event.award_id} has kind {event.kind!r}; use amended or revoked",
        )
    audience = frozenset({award.home})
    milli = credit_milli(event.credits)
    if milli < 0:
        return Rejected(
            Reason.QUOTA_EXCEEDED,
            f"award of {event.credits.value} credits; it must not be negative, correct the event",
        )
    corrected = replace(
        award,
        scheme=event.credits.scheme,
        milli=milli,
        passed=event.kind == "amended" and event.result == "passed" and milli > 0,
        state="revoked" if event.kind == "revoked" else "awarded",
    )
    if award.decided:
        return Applied(
            changes=(corrected,),
            audience=audience,
            flags=_raised(FlagName.AWARD_CORRECTED_AFTER_DECISION, award, view),
        )
    return _correct_open(award, corrected, view, audience)


def _correct_open(award: Award, corrected: Award, view: View, audience: frozenset[str]) -> Verdict:
    voided = (view.book.settle("void", award.pending_id, award.milli),) if award.pending_id else ()
    corrected, reserved = reserve(corrected)
    flags = _raised(FlagName.AWARD_CORRECTED_IN_OPEN_CASE, award, view)
    return Applied((*voided, *reserved), (corrected,), audience, flags)


def _raised(name: FlagName, award: Award, view: View) -> tuple[Flag, ...]:
    """The home is asked to look at the case that has the award. The hub never decides again."""
    case = view.find(Recognition, award.case) if award.case else None
    return (Flag(name, case, (award.home,)),) if case else ()


def sentence(event: CreditAwardCorrected, names: Names) -> Sentence:
    credit = credits_text(credit_milli(event.credits))
    if event.kind == "revoked":
        return Sentence(
            f"{names.en(event.host)} revoked an award to a student of {names.en(event.home)} ({event.reason_code})",
            f"{names.zh(event.host)}撤销了{names.zh(event.home)}一名学生的学分（{event.reason_code}）",
        )
    return Sentence(
        f"{names.en(event.host)} corrected an award to a student of {names.en(event.home)}: {credit} credits, grade {event.grade.label} ({event.reason_code})",
        f"{names.zh(event.host)}更正了{names.zh(event.home)}一名学生的成绩：{credit}学分，{event.grade.label}（{event.reason_code}）",
    )
