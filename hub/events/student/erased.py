"""student.erased: a student's keys were destroyed; hosts destroy their copies, projections forget."""

from __future__ import annotations

from hub.domain.keys import ErasedStudent
from hub.domain.reasons import Reason
from hub.events import Names, Sentence
from hub.ledger.state import Applied, Rejected, Verdict, View
from schemas.records import StudentErased

REASONS = frozenset({Reason.CONTENT_INVALID})


def decide(event: StudentErased, view: View) -> Verdict:
    """Remember the pseudonym as erased and tell every member. Moves nothing: amounts stay, they lead to nobody.

    Source: Personal Information Protection Law of the PRC, article 47 (deletion).
    """
    if event.backups_clear_at < event.erased_at:
        return Rejected(
            Reason.CONTENT_INVALID,
            "backups_clear_at lies before erased_at; say when the last backup with the keys is gone",
        )
    if not event.student_id.startswith(f"urn:alliance:student:{event.home}:"):
        return Rejected(
            Reason.CONTENT_INVALID,
            f"student_id is {event.student_id}, not a pseudonym of {event.home}; a university erases its own students only",
        )
    known = view.find(ErasedStudent, event.student_id)
    key_ids = tuple(sorted({*event.key_ids, *(known.key_ids if known else ())}))
    erased = ErasedStudent(event.student_id, event.home, key_ids)
    return Applied(changes=(erased,), audience=view.members)


def sentence(event: StudentErased, names: Names) -> Sentence:
    count = len(event.key_ids)
    return Sentence(
        f"{names.en(event.home)} destroyed {count} data keys of a student",
        f"{names.zh(event.home)}销毁了一名学生的{count}个数据密钥",
    )
