"""enrollment.status-changed: an enrollment starts, finishes, is cancelled by the host or withdrawn by the home."""

from __future__ import annotations

from dataclasses import replace

from hub.domain.enrollment import ENROLLMENT
from hub.domain.reasons import Reason
from hub.events import Names, Sentence
from hub.events.enrollment._common import known_case, settle_seat, walk
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting
from schemas.records import EnrollmentStatusChanged

LIFE = ENROLLMENT
REASONS = frozenset({Reason.NOT_WRITER, Reason.UNKNOWN_REFERENCE, Reason.ILLEGAL_TRANSITION})
_HOST_STEPS = frozenset({"started", "finished", "cancelled"})
_STEPS = _HOST_STEPS | {"withdrawn"}
_SEAT = {
    "started": "post",
    "cancelled": "void",
    "withdrawn": "void",
}  # what happens to a reserved seat


def decide(event: EnrollmentStatusChanged, view: View) -> Verdict:
    """Walk the case on; starting uses the reserved seat up, leaving before the start frees it."""
    case = known_case(event, view)
    if isinstance(case, (Rejected, Waiting)):
        return case
    writer = case.host if event.new_status in _HOST_STEPS else case.home
    if event.new_status in _STEPS and event.envelope.member != writer:
        return Rejected(
            Reason.NOT_WRITER,
            f"{event.new_status} is stated by {writer}, the event is signed by {event.envelope.member}; ask {writer}",
            about=case,
        )
    reached = walk(case, event.new_status, _STEPS)
    if isinstance(reached, Rejected):
        return reached
    action = _SEAT.get(event.new_status)
    return Applied(
        postings=settle_seat(view.book, action, case.enrollment_id) if action else (),
        changes=(replace(case, state=reached),),
        audience=frozenset({case.home, case.host}),
    )


_ZH = {"started": "开始学习", "finished": "完成学习", "cancelled": "被取消", "withdrawn": "退选"}


def sentence(event: EnrollmentStatusChanged, names: Names) -> Sentence:
    return Sentence(
        f"A student of {names.en(event.home)} at {names.en(event.host)}: {event.new_status}",
        f"{names.zh(event.home)}一名学生在{names.zh(event.host)}的选课{_ZH.get(event.new_status, event.new_status)}",
    )
