"""Why a person must look at a case: one code each, with what to tell people. Source: the catalogue, hub.case.flagged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hub.domain.life import Living


class FlagName(StrEnum):
    """Codes of flags."""

    DEADLINE_NEAR = "deadline_near"
    DEADLINE_OVER = "deadline_over"
    EXPIRED = "expired"
    AWARD_CORRECTED_AFTER_DECISION = "award_corrected_after_decision"
    AWARD_CORRECTED_IN_OPEN_CASE = "award_corrected_in_open_case"
    HOURS_DISPUTED = "hours_disputed"


@dataclass(frozen=True, slots=True)
class Flag:
    """A case that needs a person: `case` as it is after the entry, `actors` whose turn it is, `told` who else hears."""

    name: FlagName
    case: Living
    actors: tuple[str, ...]
    told: frozenset[str] = frozenset()


def flag(name: FlagName, case: Living, *, told: frozenset[str] = frozenset()) -> Flag:
    """A flag for those whose turn it is by the case's table."""
    return Flag(name, case, case.turn(), told)


MESSAGES: dict[FlagName, tuple[str, str]] = {
    FlagName.DEADLINE_NEAR: (
        "The deadline of this case is near. Those named as next actors must act before it.",
        "该事项的期限临近，请列明的责任方在期限前处理。",
    ),
    FlagName.DEADLINE_OVER: (
        "The deadline of this case is over and nothing happened. Those named as next actors must act now.",
        "该事项已超过期限仍未处理，请列明的责任方立即处理。",
    ),
    FlagName.EXPIRED: (
        "Nobody acted before the deadline; the case has expired. If it is still wanted, open a new one.",
        "期限内无人处理，该事项已失效；如仍需要，请重新发起。",
    ),
    FlagName.AWARD_CORRECTED_AFTER_DECISION: (
        "An award was corrected after its credits had been decided on. The home university must look at its decision again.",
        "成绩在学分认定之后被更正，学籍所在高校须复核其认定决定。",
    ),
    FlagName.AWARD_CORRECTED_IN_OPEN_CASE: (
        "An award was corrected while a recognition case about it is open. Decide on the corrected one.",
        "认定过程中成绩被更正，请按更正后的成绩决定。",
    ),
    FlagName.HOURS_DISPUTED: (
        "The university that employs the teacher disputes the hours reported. The host must offer others or explain.",
        "教师所在高校对上报的课时有异议，请授课高校重新提出课时或作出说明。",
    ),
}
