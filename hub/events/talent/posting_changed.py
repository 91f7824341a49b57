"""talent.posting-changed: a post to fill, and how many applied; it moves nothing."""

from __future__ import annotations

from itertools import pairwise

from hub.domain.life import START
from hub.domain.reasons import Reason
from hub.domain.talent import JOB_POSTING, JobPosting
from hub.domain.times import day_of, day_over_ms, is_over
from hub.events import Names, Sentence, title
from hub.ledger.state import Applied, Rejected, Verdict, View
from schemas.records import TalentPostingChanged

LIFE = JOB_POSTING
REASONS = frozenset(
    {
        Reason.CONTENT_INVALID,
        Reason.UNKNOWN_MEMBER,
        Reason.NOT_WRITER,
        Reason.ILLEGAL_TRANSITION,
        Reason.QUOTA_EXCEEDED,
        Reason.DEADLINE_PASSED,
    }
)
_COUNTED = ("applied", "interviewed", "offered", "accepted")


def decide(event: TalentPostingChanged, view: View) -> Verdict:
    """Keep the newest state and counts of a post; counts of people only grow. All members are told."""
    known = view.find(JobPosting, event.posting_id)
    refusal = (
        _wrong_in_itself(event, view)
        or _wrong_now(event, known)
        or _wrong_count(event, known)
        or _too_late(event, known, view)
    )
    if refusal:
        return refusal
    post = JobPosting(
        event.posting_id, event.recruiter, tuple(sorted(event.members)), event.headcount, _counts(event),
        event.closes_on, event.status,
    )  # fmt: skip
    return Applied(changes=(post,), audience=view.members)


def _counts(event: TalentPostingChanged) -> tuple[int, int, int, int]:
    return event.applied, event.interviewed, event.offered, event.accepted


def _counts_text(counts: tuple[int, int, int, int]) -> str:
    return ", ".join(f"{count} {name}" for count, name in zip(counts, _COUNTED, strict=True))


def _what(event: TalentPostingChanged) -> str:
    return f"post {event.posting_id}"


def _wrong_in_itself(event: TalentPostingChanged, view: View) -> Rejected | None:
    """What can be seen from the event alone, and from who is a member."""
    fault = _fault(event)
    if fault:
        return Rejected(Reason.CONTENT_INVALID, f"{_what(event)} {fault}")
    strangers = [member for member in event.members if member not in view.members]
    if strangers:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"{_what(event)} names {', '.join(strangers)}, no member of the alliance; correct the code",
        )
    if event.recruiter not in event.members:
        return Rejected(
            Reason.NOT_WRITER,
            f"{_what(event)} is of {', '.join(event.members) or 'nobody'}; {event.recruiter} is not among them, add it",
        )
    return None


def _fault(event: TalentPostingChanged) -> str | None:
    if event.status not in JOB_POSTING.names:
        return f"has status {event.status!r}; use one of {', '.join(JOB_POSTING.states)}"
    if event.headcount < 1:
        return f"wants {event.headcount} people; want 1 or more"
    if event.opens_on > event.closes_on:
        return (
            f"closes on {event.closes_on}, before it opens on {event.opens_on}; correct the dates"
        )
    counts = _counts(event)
    if min(counts) < 0 or any(later > earlier for earlier, later in pairwise(counts)):
        return f"counts {_counts_text(counts)}; count 0 or more, none more than the one before"
    if len(set(event.members)) < len(event.members):
        return f"names members {', '.join(event.members)}; name each once"
    return None


def _wrong_now(event: TalentPostingChanged, known: JobPosting | None) -> Rejected | None:
    """Another member's, or not possible in the present state. An open post may stay where it is."""
    if known and known.recruiter != event.recruiter:
        return Rejected(
            Reason.NOT_WRITER,
            f"{_what(event)} is stated by {known.recruiter}, not {event.recruiter}; ask {known.recruiter}",
            about=known,
        )
    before = known.state if known else START
    stays = event.status == before and not JOB_POSTING.closed(before)
    if not stays and JOB_POSTING.step(before, event.status) is None:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"{_what(event)} is {before or 'new'} and cannot become {event.status}; "
            f"possible: {', '.join(JOB_POSTING.possible(before)) or 'nothing, it is closed'}",
            about=known,
        )
    shrunk = known is not None and any(
        now < then for now, then in zip(_counts(event), known.counts, strict=True)
    )
    if known and shrunk:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"{_what(event)} had {_counts_text(known.counts)}, the event says {_counts_text(_counts(event))}; "
            "count all people up to now",
            about=known,
        )
    return None


def _wrong_count(event: TalentPostingChanged, known: JobPosting | None) -> Rejected | None:
    """More accepted than wanted, or a filled post that nobody accepted."""
    if event.accepted > event.headcount:
        return Rejected(
            Reason.QUOTA_EXCEEDED,
            f"{_what(event)} wants {event.headcount} people, {event.accepted} accepted; raise the headcount",
            about=known,
        )
    if event.status == "filled" and event.accepted < 1:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"{_what(event)} has 0 accepted, filled needs 1 or more; cancel it or count who accepted",
            about=known,
        )
    return None


def _too_late(event: TalentPostingChanged, known: JobPosting | None, view: View) -> Rejected | None:
    """A call is not opened after its last day; one that is open stays so until its recruiter closes it."""
    opens = event.status == "open" and (known is None or known.state == "planned")
    if not opens or not is_over(day_over_ms(event.closes_on), view.now_ms):
        return None
    return Rejected(
        Reason.DEADLINE_PASSED,
        f"{_what(event)} closes on {event.closes_on}, the ledger's day is {day_of(view.now_ms)}; open it with a later day",
        about=known,
    )


_ZH = {
    "planned": "计划招聘",
    "open": "招聘",
    "closed": "截止招聘",
    "filled": "已聘满",
    "cancelled": "取消招聘",
}


def sentence(event: TalentPostingChanged, names: Names) -> Sentence:
    others = [member for member in event.members if member != event.recruiter]
    with_en = f" with {', '.join(map(names.en, others))}" if others else ""
    with_zh = f"与{'、'.join(map(names.zh, others))}" if others else ""
    return Sentence(
        f"{names.en(event.recruiter)}{with_en} recruits for {title(event.post, 'en') or 'a post'}: {event.status}, "
        f"{event.headcount} wanted, {event.applied} applied, {event.accepted} accepted "
        f"({event.opens_on} to {event.closes_on})",
        f"{names.zh(event.recruiter)}{with_zh}{_ZH.get(event.status, event.status)}“{title(event.post, 'zh')}”："
        f"计划{event.headcount}人，报名{event.applied}人，接受聘用{event.accepted}人"
        f"（{event.opens_on}至{event.closes_on}）",
    )
