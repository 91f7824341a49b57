"""transfer.achievement-changed: a research result on its way into use; only shared income moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hub.domain.life import START
from hub.domain.project import Project
from hub.domain.quantities import CNY, credits_text, milli
from hub.domain.reasons import Reason
from hub.domain.transfer import ACHIEVEMENT, UNDER_CONTRACT, Achievement, Share
from hub.events import Names, Sentence, title
from hub.ledger.posting import income_account, move, proceeds_account
from hub.ledger.state import Applied, Rejected, Verdict, View, Waiting, waits_until_known
from schemas.records import OwnershipShare, Posting, TransferAchievementChanged

LIFE = ACHIEVEMENT
REASONS = frozenset(
    {
        Reason.CONTENT_INVALID,
        Reason.UNKNOWN_MEMBER,
        Reason.NOT_WRITER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
    }
)
_VISIBILITIES = ("public", "members", "owners")
_ALL_MILLI = 100_000  # 100.000 percent
# Technology readiness levels, ISO 16290.
_MATURITIES = range(1, 10)


def decide(event: TransferAchievementChanged, view: View) -> Verdict:
    """Keep who owns what and how far it is; a distribution of income counts for each owner, in thousandths of a yuan.

    Shares are fixed once a contract is signed. Owners that sold their share meanwhile are told so.
    """
    known = view.find(Achievement, event.achievement_id)
    refusal = (
        _wrong_in_itself(event, view)
        or _wrong_now(event, known)
        or _wrong_project(event, view)
        or _shares_changed(event, known)
        or _wrong_for_status(event)
    )
    if refusal:
        return refusal
    changed = Achievement(event.achievement_id, event.owner, _shares(event), event.status)
    told = view.members
    if event.visibility == "owners":
        told = changed.concerned() | (known.concerned() if known else frozenset())
    return Applied(tuple(_income(event)), (changed,), told)


def _shares(event: TransferAchievementChanged) -> tuple[Share, ...]:
    shares = (Share(owner.member, milli(owner.share_percent)) for owner in event.owners)
    return tuple(sorted(shares, key=lambda share: share.member))


def _what(event: TransferAchievementChanged) -> str:
    return f"achievement {event.achievement_id}"


def _invalid(event: TransferAchievementChanged, fault: str) -> Rejected:
    return Rejected(Reason.CONTENT_INVALID, f"{_what(event)} {fault}")


def _wrong_in_itself(event: TransferAchievementChanged, view: View) -> Rejected | None:
    """What can be seen from the event alone, and from who is a member."""
    fault = _fault(event)
    if fault:
        return _invalid(event, fault)
    owners = [owner.member for owner in event.owners]
    strangers = [owner for owner in owners if owner not in view.members]
    if strangers:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"{_what(event)} names {', '.join(strangers)}, no member of the alliance; correct the code",
        )
    if event.owner not in owners:
        return Rejected(
            Reason.NOT_WRITER,
            f"{_what(event)} is owned by {', '.join(owners)}; {event.owner} is no owner, ask one of them",
        )
    return None


def _fault(event: TransferAchievementChanged) -> str | None:
    if event.status not in ACHIEVEMENT.names:
        return f"has status {event.status!r}; use one of {', '.join(ACHIEVEMENT.states)}"
    if event.maturity not in _MATURITIES:
        return f"has maturity {event.maturity}; use a level from 1 to 9"
    owners = [owner.member for owner in event.owners]
    if not owners or _repeated(owners):
        return f"names owners {', '.join(owners) or 'none'}; name one or more, each once"
    shares = [milli(owner.share_percent) for owner in event.owners]
    if min(shares) <= 0 or sum(shares) != _ALL_MILLI:
        return (
            f"has shares of {', '.join(map(credits_text, shares))} percent, {credits_text(sum(shares))} in all; "
            "give each owner more than 0 and all together 100"
        )
    receivers = [share.member for share in event.income_shares]
    if _repeated(receivers) or any(share.amount <= 0 for share in event.income_shares):
        return "shares income twice with a member or not more than 0 yuan; name each once with what it gets"
    if event.visibility not in _VISIBILITIES:
        return f"has visibility {event.visibility!r}; use one of {', '.join(_VISIBILITIES)}"
    return None


def _repeated(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)


def _wrong_now(event: TransferAchievementChanged, known: Achievement | None) -> Rejected | None:
    """Another member's, or not possible in the present state. An open result may stay where it is."""
    if known and known.owner != event.owner:
        return Rejected(
            Reason.NOT_WRITER,
            f"{_what(event)} is stated by {known.owner}, not {event.owner}; ask {known.owner}",
            about=known,
        )
    before = known.state if known else START
    stays = event.status == before and not ACHIEVEMENT.closed(before)
    if stays or ACHIEVEMENT.step(before, event.status):
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"{_what(event)} is {before or 'new'} and cannot become {event.status}; "
        f"possible: {', '.join(ACHIEVEMENT.possible(before)) or 'nothing, it is closed'}",
        about=known,
    )


def _wrong_project(event: TransferAchievementChanged, view: View) -> Rejected | Waiting | None:
    if event.project_id is None:
        return None
    project = view.find(Project, event.project_id)
    if project is None:
        return waits_until_known(
            Project,
            event.project_id,
            f"project {event.project_id} is not known yet; it waits for project.changed of its lead",
        )
    if event.owner not in project.members:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"project {project.id} is of {', '.join(project.members)}, {event.owner} is no partner; name another project or none",
            about=project,
        )
    return None


def _shares_changed(
    event: TransferAchievementChanged, known: Achievement | None
) -> Rejected | None:
    if known is None or known.state not in UNDER_CONTRACT or known.shares == _shares(event):
        return None
    return Rejected(
        Reason.ILLEGAL_TRANSITION,
        f"{_what(event)} is {known.summary()}, the event has other shares; after the signature they stay as they are",
        about=known,
    )


def _wrong_for_status(event: TransferAchievementChanged) -> Rejected | None:
    """What a status needs, and what belongs to that status only."""
    if event.status == "signed" and not (event.mode and event.contract_kind):
        return _invalid(event, "is signed without mode or contract_kind; give both")
    if event.status == "registered" and not event.contract_registration_no:
        return _invalid(event, "is registered without contract_registration_no; give the number")
    if event.status == "income_shared" and not event.income_shares:
        return _invalid(event, "shares income among nobody; give income_shares")
    owners = {owner.member for owner in event.owners}
    others = [share.member for share in event.income_shares if share.member not in owners]
    if others:
        return Rejected(
            Reason.NOT_WRITER,
            f"{_what(event)} shares income with {', '.join(others)}, owners are {', '.join(sorted(owners))}; share with owners",
        )
    if event.income_shares and event.status != "income_shared":
        return _invalid(
            event, f"has income_shares and is {event.status}; give them with income_shared"
        )
    return None


def _income(event: TransferAchievementChanged) -> Iterable[Posting]:
    """What each owner gets of this distribution."""
    source = proceeds_account(event.achievement_id)
    for share in event.income_shares:
        destination = income_account(share.member, event.achievement_id)
        yield move(milli(share.amount), CNY, source, destination)


_EN = {
    "negotiating": "under negotiation",
    "signed": "under contract",
    "registered": "under a registered contract",
    "implemented": "in use",
    "income_shared": "in use and its income shared",
}
_ZH = {
    "disclosed": "已披露",
    "published": "已公开",
    "negotiating": "正在洽谈",
    "signed": "已签订合同",
    "registered": "合同已登记",
    "implemented": "已实施",
    "income_shared": "已分配收益",
    "withdrawn": "已撤回",
    "terminated": "已终止",
}


def sentence(event: TransferAchievementChanged, names: Names) -> Sentence:
    income = [(share.member, credits_text(milli(share.amount))) for share in event.income_shares]
    income_en = ", ".join(f"{names.en(member)} {amount}" for member, amount in income)
    income_zh = "、".join(f"{names.zh(member)}{amount}元" for member, amount in income)
    return Sentence(
        f"{names.en(event.owner)} reports that {title(event.titles, 'en') or 'a research result'} "
        f"({', '.join(f'{names.en(owner.member)} {_percent(owner)}' for owner in event.owners)}) is "
        f"{_EN.get(event.status, event.status)}{f'; yuan: {income_en}' if income else ''}",
        f"{names.zh(event.owner)}报告：成果“{title(event.titles, 'zh')}”"
        f"（{'、'.join(f'{names.zh(owner.member)}{_percent(owner)}' for owner in event.owners)}）"
        f"{_ZH.get(event.status, event.status)}{f'：{income_zh}' if income else ''}",
    )


def _percent(owner: OwnershipShare) -> str:
    return f"{credits_text(milli(owner.share_percent))}%"
