"""credit.recognition-decided: the home university recognizes awards in whole, in part or not at all."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.credit import RECOGNITION, Award, Earned, Recognition, earned_id
from hub.domain.quantities import TOLERANCE_MILLI, credit_milli, credit_unit, credits_text
from hub.domain.reasons import Reason
from hub.events import Names, Sentence
from hub.events.credit._weigh import against_rules, credit_cap, weighed
from hub.ledger.posting import conversion_account, move, student_account
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from schemas.records import CreditRecognitionDecided, Posting, RecognitionMapping

LIFE = RECOGNITION
REASONS = frozenset(
    {
        Reason.NOT_WRITER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.STALE_VERSION,
        Reason.DUPLICATE_CREDIT,
        Reason.QUOTA_EXCEEDED,
        Reason.RULES_NOT_MET,
    }
)
_POSITIVE = frozenset({"positive", "partially_positive"})
_OUTCOMES = _POSITIVE | {"negative"}


def decide(event: CreditRecognitionDecided, view: View) -> Verdict:
    """Post what is recognized of the pending awards and void the rest; give the student the home's credits.

    Amounts are thousandths of a credit. Home may record up to one credit more than the hosts awarded; a surplus is
    forfeited; the rules cited may allow less. Only the stage `academic_affairs` is final. Source: regulations of Chinese universities on credit
    recognition (class rule: record the home's credits within a tolerance of one credit).
    """
    case = view.find(Recognition, event.recognition_id)
    if case is None:
        return waits_until_known(
            Recognition,
            event.recognition_id,
            f"recognition case {event.recognition_id} is not known yet; it waits for credit.recognition-requested",
        )
    refusal = _refusal(event, case)
    if refusal:
        return refusal
    awards = [view.find(Award, award_id) for award_id in case.award_ids]
    known = [award for award in awards if award]
    hosts = frozenset(award.host for award in known)
    if event.stage == "faculty":
        return Applied(changes=(replace(case, state="faculty_decided"),), audience=hosts)
    return _final(event, case, known, view, hosts)


def _refusal(event: CreditRecognitionDecided, case: Recognition) -> Rejected | None:
    if (case.student_id, case.home) != (event.student_id, event.home):
        return Rejected(
            Reason.NOT_WRITER,
            f"case {case.recognition_id} is another student's of {case.home}; correct the event",
        )
    if RECOGNITION.closed(case.state):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"case {case.recognition_id} is closed as {case.state}; open a new case to decide again",
            about=case,
        )
    if event.stage not in ("faculty", "academic_affairs") or event.outcome not in _OUTCOMES:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"stage {event.stage!r} with outcome {event.outcome!r}; use faculty or academic_affairs "
            "and positive, partially_positive or negative",
        )
    return None


def _final(
    event: CreditRecognitionDecided,
    case: Recognition,
    awards: list[Award],
    view: View,
    hosts: frozenset[str],
) -> Verdict:
    original = sum(award.milli for award in awards if award.pending_id)
    named = credit_milli(event.original_credits_total)
    if named != original:
        return Rejected(
            Reason.STALE_VERSION,
            f"the awards of case {case.recognition_id} are worth {credits_text(original)} credits, "
            f"the decision is on {credits_text(named)}; an award was corrected since, decide again",
        )
    recognized = credit_milli(event.recognized_credits_total)
    mappings = [mapping for mapping in event.mappings if mapping.outcome in _POSITIVE]
    listed = [credit_milli(to.credits) for mapping in mappings for to in mapping.to]
    agree = recognized == sum(listed) and (event.outcome == "negative") == (recognized == 0)
    if not agree or min(listed, default=0) < 0:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"case {case.recognition_id}: outcome {event.outcome}, total {credits_text(recognized)}, "
            f"positive mappings {' + '.join(map(credits_text, listed)) or '0'}; make the three agree",
        )
    named_ids = [award_id for mapping in mappings for award_id in mapping.award_ids]
    used = set(named_ids)
    if len(used) != len(named_ids) or not used <= set(case.award_ids):
        return Rejected(
            Reason.DUPLICATE_CREDIT,
            f"case {case.recognition_id} maps an award twice or one that is not in the case; map each of its awards once",
        )
    earned = _already_earned(event, case, mappings, view)
    if isinstance(earned, Rejected):
        return earned
    mapped = sum(award.milli for award in awards if award.pending_id and award.award_id in used)
    if recognized > mapped + TOLERANCE_MILLI:
        return Rejected(
            Reason.QUOTA_EXCEEDED,
            f"case {case.recognition_id} recognizes {credits_text(recognized)} for {credits_text(mapped)} awarded credits; "
            f"at most {credits_text(mapped + TOLERANCE_MILLI)} are allowed",
        )
    refusal = _over_cap(case, recognized, awards, view) or against_rules(
        case, weighed(mappings, [award for award in awards if award.pending_id]), view
    )
    if refusal:
        return refusal
    positive = event.outcome in _POSITIVE
    postings = _settle(awards, recognized if positive else 0, used, view)
    if positive:
        postings.append(
            move(
                recognized,
                credit_unit(event.recognized_credits_total.scheme),
                conversion_account(case.home),
                student_account(case.home, case.student_id),
            )
        )
    changed = tuple(replace(award, decided=True, pending_id=None) for award in awards)
    closed = replace(
        case, state=event.outcome, original_milli=original, recognized_milli=recognized
    )
    return Applied(
        postings=tuple(postings),
        changes=(closed, *changed, *(earned if positive else ())),
        audience=hosts,
    )


def _already_earned(
    event: CreditRecognitionDecided,
    case: Recognition,
    mappings: list[RecognitionMapping],
    view: View,
) -> list[Earned] | Rejected:
    """The home courses that the student earns by this decision, each once and not a second time."""
    codes = [course.home_course_code for mapping in mappings for course in mapping.to]
    for code in codes:
        known = view.find(Earned, earned_id(case.home, case.student_id, code))
        if known or codes.count(code) > 1:
            where = f"in case {known.recognition_id}" if known else "twice in this decision"
            return Rejected(
                Reason.DUPLICATE_CREDIT,
                f"course {code} is recognized {where}; a home course is earned once, map the awards to another",
                about=view.find(Recognition, known.recognition_id) if known else None,
            )
    return [Earned(case.home, case.student_id, code, case.recognition_id) for code in codes]


def _over_cap(
    case: Recognition, recognized: int, awards: list[Award], view: View
) -> Rejected | None:
    capped = credit_cap(awards, view)
    if capped is None or recognized <= capped[1]:
        return None
    return Rejected(
        Reason.QUOTA_EXCEEDED,
        f"case {case.recognition_id} recognizes {credits_text(recognized)} credits, agreement {capped[0].id} allows "
        f"{credits_text(capped[1])} in one case; recognize less",
        about=capped[0],
    )


def _settle(awards: list[Award], recognized: int, used: set[str], view: View) -> list[Posting]:
    """Post the awards as far as the recognized amount reaches, void the rest."""
    postings: list[Posting] = []
    left = recognized
    for award in awards:
        if award.pending_id is None:
            continue
        posted = min(left, award.milli) if award.award_id in used else 0
        left -= posted
        if posted:
            postings.append(view.book.settle("post", award.pending_id, posted))
        if award.milli > posted:
            postings.append(view.book.settle("void", award.pending_id, award.milli - posted))
    return postings


def sentence(event: CreditRecognitionDecided, names: Names) -> Sentence:
    original = credits_text(credit_milli(event.original_credits_total))
    recognized = credits_text(credit_milli(event.recognized_credits_total))
    stage = "" if event.stage == "academic_affairs" else " (faculty stage)"
    stage_zh = "" if event.stage == "academic_affairs" else "（学院初审）"
    return Sentence(
        f"{names.en(event.home)} recognized {recognized} of {original} credits of one of its students{stage}",
        f"{names.zh(event.home)}认定本校一名学生{original}学分中的{recognized}学分{stage_zh}",
    )
