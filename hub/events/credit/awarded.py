"""credit.awarded: the host awards credits; they are pending until the home university decides."""

from __future__ import annotations

from hub.domain.quantities import credit_milli, credits_text
from hub.domain.reasons import Reason
from hub.domain.things import Award, Enrollment
from hub.events import Names, Sentence, title
from hub.events.credit._common import reserve
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting, waits_for_thing
from schemas.records import CreditAwarded


def decide(event: CreditAwarded, view: View) -> Verdict:
    """Reserve the awarded credits between host and home, in thousandths of a credit.

    A failed result is recorded but moves nothing. An award rests on an enrollment that started.
    """
    if view.find(Award, event.award_id):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"award {event.award_id} exists; correct it with credit.award-corrected or use an id of its own",
        )
    if event.home not in view.members:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"home {event.home!r} is not a member of the alliance; correct the code",
        )
    if event.enrollment_id is None:
        return Rejected(
            Reason.UNKNOWN_REFERENCE,
            f"award {event.award_id} names no enrollment; name the enrollment it is for",
        )
    case = view.find(Enrollment, event.enrollment_id)
    if case is None:
        return Waiting(
            waits_for_thing(Enrollment.KIND, event.enrollment_id),
            Reason.UNKNOWN_REFERENCE,
            f"enrollment {event.enrollment_id} is not known yet; it waits for enrollment.requested of {event.home}",
        )
    if (case.student_id, case.home, case.host) != (event.student_id, event.home, event.host):
        return Rejected(
            Reason.NOT_WRITER,
            f"enrollment {event.enrollment_id} is another student's or another university's; correct the award",
        )
    if case.state not in ("active", "finished"):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"enrollment {event.enrollment_id} is {case.state}, wanted active or finished; start it first",
        )
    milli = credit_milli(event.credits)
    if milli < 0:
        return Rejected(
            Reason.QUOTA_EXCEEDED,
            f"award of {event.credits.value} credits; it must not be negative",
        )
    award = Award(
        event.award_id, event.student_id, event.home, event.host, event.credits.scheme, milli,
        event.result == "passed" and milli > 0, "awarded", None, decided=False, pending_id=None, revision=0,
    )  # fmt: skip
    award, postings = reserve(award)
    return Applied(postings=postings, changes=(award,), audience=frozenset({event.home}))


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
