"""credit.awarded: the host awards credits; they are pending until the home university decides."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.credit import AWARD, Award
from hub.domain.enrollment import Enrollment
from hub.domain.flags import FlagName, flag
from hub.domain.practice import Placement
from hub.domain.quantities import credit_milli, credits_text
from hub.domain.reasons import Reason
from hub.domain.times import DAY_MS
from hub.events import Names, Sentence, title
from hub.events._rules import own_rules
from hub.events.credit._common import reserve
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting, waits_until_known
from schemas.records import CreditAwarded

LIFE = AWARD
REASONS = frozenset(
    {
        Reason.UNKNOWN_MEMBER,
        Reason.NOT_WRITER,
        Reason.CONTENT_INVALID,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.QUOTA_EXCEEDED,
    }
)


def decide(event: CreditAwarded, view: View) -> Verdict:
    """Reserve the awarded credits between host and home, in thousandths of a credit.

    A failed result is recorded but moves nothing. An award rests on an enrollment that started or on a placement
    that was completed.
    """
    known = view.find(Award, event.award_id)
    if known:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"award {event.award_id} exists; correct it with credit.award-corrected or use an id of its own",
            about=known,
        )
    if event.home not in view.members:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"home {event.home!r} is not a member of the alliance; correct the code",
        )
    basis = _basis(event, view)
    if not isinstance(basis, (Enrollment, Placement)):
        return basis
    milli = credit_milli(event.credits)
    if milli < 0:
        return Rejected(
            Reason.QUOTA_EXCEEDED,
            f"award of {event.credits.value} credits; it must not be negative",
        )
    award = Award(
        event.award_id, event.student_id, event.home, event.host, event.credits.scheme, milli,
        event.result == "passed" and milli > 0, "awarded", None, decided=False, pending_id=None, revision=0,
        agreement_id=basis.agreement_id, awarded_ms=view.now_ms, due_ms=_due_ms(event.home, view),
    )  # fmt: skip
    award, postings = reserve(award)
    return Applied(postings=postings, changes=(award,), audience=frozenset({event.home}))


def _basis(event: CreditAwarded, view: View) -> Enrollment | Placement | Rejected | Waiting:
    """The enrollment or placement that the award is for, or why it cannot be."""
    if (event.enrollment_id is None) == (event.placement_id is None):
        return Rejected(
            Reason.CONTENT_INVALID,
            f"award {event.award_id} names enrollment {event.enrollment_id} and placement {event.placement_id}; "
            "name one of the two",
        )
    if event.placement_id is not None:
        return _placement(event, event.placement_id, view)
    return _enrollment(event, event.enrollment_id or "", view)


def _enrollment(
    event: CreditAwarded, enrollment_id: str, view: View
) -> Enrollment | Rejected | Waiting:
    case = view.find(Enrollment, enrollment_id)
    if case is None:
        return waits_until_known(
            Enrollment,
            enrollment_id,
            f"enrollment {enrollment_id} is not known yet; it waits for enrollment.requested of {event.home}",
        )
    if (case.student_id, case.home, case.host) != (event.student_id, event.home, event.host):
        return Rejected(
            Reason.NOT_WRITER,
            f"enrollment {enrollment_id} is another student's or another university's; correct the award",
            about=case,
        )
    if case.state not in ("active", "finished"):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"enrollment {enrollment_id} is {case.state}, wanted active or finished; start it first",
            about=case,
        )
    return case


def _placement(
    event: CreditAwarded, placement_id: str, view: View
) -> Placement | Rejected | Waiting:
    case = view.find(Placement, placement_id)
    if case is None:
        return waits_until_known(
            Placement,
            placement_id,
            f"placement {placement_id} is not known yet; it waits for practice.placement-changed of {event.host}",
        )
    if (case.home, case.host) != (event.home, event.host) or event.student_id not in case.students:
        return Rejected(
            Reason.NOT_WRITER,
            f"placement {placement_id} is between {case.home} and {case.host} and not with this student; correct the award",
            about=case,
        )
    if case.state not in ("completed", "graded"):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"placement {placement_id} is {case.state}, wanted completed or graded; complete it first",
            about=case,
        )
    return case


def _due_ms(home: str, view: View) -> int | None:
    """By when the home must ask for recognition, if its rules say."""
    own = own_rules(home, view)
    days = own.newest.rules.request_days if own else None
    return view.now_ms + days * DAY_MS if days is not None and view.now_ms else None


def expire(award: Award, view: View) -> Applied:
    """The home did not ask for recognition in the time its rules give; what was pending is voided."""
    over = replace(award, state="expired", pending_id=None)
    void = (view.book.settle("void", award.pending_id, award.milli),) if award.pending_id else ()
    told = frozenset({award.home, award.host})
    return Applied(void, (over,), told, (flag(FlagName.EXPIRED, over, told=told),))


OVERDUE = {Award.KIND: expire}


def sentence(event: CreditAwarded, names: Names) -> Sentence:
    credit = credits_text(credit_milli(event.credits))
    if event.result != "passed":
        return Sentence(
            f"{names.en(event.host)} reported a failed result in {title(event.titles, 'en')} for a student of {names.en(event.home)}",
            f"{names.zh(event.host)}报告{names.zh(event.home)}一名学生“{title(event.titles, 'zh')}”未通过",
        )
    return Sentence(
        f"{names.en(event.host)} awarded {credit} credits for {title(event.titles, 'en')} to a student of {names.en(event.home)}",
        f"{names.zh(event.host)}向{names.zh(event.home)}一名学生授予“{title(event.titles, 'zh')}”{credit}学分",
    )
