"""agreement.changed: members propose, approve and end an agreement; once all have approved, its quotas open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from hub.domain.agreement import AGREEMENT, Agreement, Quota, years
from hub.domain.quantities import PLACE, milli
from hub.domain.reasons import Reason
from hub.events import Names, Sentence
from hub.events._rules import register
from hub.ledger.posting import grant_account, move, quota_account
from hub.ledger.state import Applied, Rejected, Verdict, View, waits_until_known
from hub.recognition.registered import RegisteredRules
from schemas.records import AgreementChanged, Posting

LIFE = AGREEMENT
REASONS = frozenset(
    {
        Reason.CONTENT_INVALID,
        Reason.UNKNOWN_MEMBER,
        Reason.NOT_WRITER,
        Reason.UNKNOWN_REFERENCE,
        Reason.ILLEGAL_TRANSITION,
        Reason.STALE_VERSION,
    }
)


def decide(event: AgreementChanged, view: View) -> Verdict:
    """Take a party's word for the conditions with that hash; the agreement is in effect when all have given theirs.

    Quotas are whole places for each academic year and direction. The hash was held against the conditions at admission.
    Source: Erasmus Without Paper, approval of inter-institutional agreements by hash.
    """
    refusal = _refusal(event, view)
    if refusal:
        return refusal
    rules = _rules(event, view)
    if isinstance(rules, Rejected):
        return rules
    known = view.find(Agreement, event.agreement_id)
    if event.step == "proposed":
        return _propose(event, known)
    if known is None:
        return waits_until_known(
            Agreement,
            event.agreement_id,
            f"agreement {event.agreement_id} is not known yet; it waits for the proposal of another party",
        )
    if set(known.parties) != set(event.parties):
        return Rejected(
            Reason.NOT_WRITER,
            f"agreement {event.agreement_id} is between {', '.join(known.parties)}, the event names "
            f"{', '.join(event.parties)}; correct the event",
            about=known,
        )
    return _approve(event, known, rules) if event.step == "approved" else _terminate(known)


def _refusal(event: AgreementChanged, view: View) -> Rejected | None:
    parties = event.parties
    if len(parties) < 2 or len(set(parties)) < len(parties):
        return _invalid(event, f"names {len(set(parties))} parties; name two or more, each once")
    strangers = [party for party in parties if party not in view.members]
    if strangers:
        return Rejected(
            Reason.UNKNOWN_MEMBER,
            f"agreement {event.agreement_id} names {', '.join(strangers)}, no member of the alliance; correct the code",
        )
    if event.party not in parties:
        return Rejected(
            Reason.NOT_WRITER,
            f"agreement {event.agreement_id} is between {', '.join(parties)}; {event.party} is no party, ask them",
        )
    fault = _fault(event)
    return _invalid(event, fault) if fault else None


def _invalid(event: AgreementChanged, fault: str) -> Rejected:
    return Rejected(Reason.CONTENT_INVALID, f"agreement {event.agreement_id} {fault}")


def _fault(event: AgreementChanged) -> str | None:
    """What is wrong with the conditions."""
    said = event.conditions
    if event.step not in ("proposed", "approved", "terminated"):
        return f"has step {event.step!r}; use proposed, approved or terminated"
    try:
        years(said.first_year, said.last_year)
    except ValueError as error:
        return f"runs from {said.first_year!r} to {said.last_year!r}: {error}; correct the years"
    for (sender, receiver), times in Counter(
        (quota.sender, quota.receiver) for quota in said.quotas
    ).items():
        if times > 1 or sender == receiver or not {sender, receiver} <= set(event.parties):
            return (
                f"has {times} quotas from {sender} to {receiver}, wanted one at most, from a party to another; "
                "correct the quotas"
            )
    amounts = [
        *(quota.per_year for quota in said.quotas),
        said.total_days_per_year or 0,
        said.credit_cap or 0,
    ]
    if min(amounts) < 0:
        return f"has an amount of {min(amounts)}, wanted 0 or more; correct it"
    return None


def _rules(event: AgreementChanged, view: View) -> RegisteredRules | Rejected | None:
    """The agreement's own rules of recognition, fit to be registered; its id owns them."""
    text = event.conditions.rule_set
    return None if text is None else register(text, event.agreement_id, view)


def _propose(event: AgreementChanged, known: Agreement | None) -> Verdict:
    if known and (known.state != "proposed" or set(known.parties) != set(event.parties)):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"agreement {event.agreement_id} is {known.state} between {', '.join(known.parties)}; "
            "propose other conditions or parties under an id of their own",
            about=known,
        )
    said = event.conditions
    proposal = Agreement(
        event.agreement_id, tuple(sorted(event.parties)), said.kind, said.first_year, said.last_year,
        tuple(Quota(quota.sender, quota.receiver, quota.per_year) for quota in said.quotas),
        None if said.credit_cap is None else milli(said.credit_cap), event.conditions_hash, (event.party,), "proposed",
    )  # fmt: skip
    return Applied(changes=(proposal,), audience=frozenset(proposal.parties))


def _approve(event: AgreementChanged, known: Agreement, rules: RegisteredRules | None) -> Verdict:
    if known.state != "proposed":
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"agreement {event.agreement_id} is {known.state}, wanted proposed; "
            "nothing is left to approve, propose new conditions under an id of their own",
            about=known,
        )
    if event.conditions_hash != known.conditions_hash:
        return Rejected(
            Reason.STALE_VERSION,
            f"agreement {event.agreement_id} has conditions {known.conditions_hash[:16]}, the approval is of "
            f"{event.conditions_hash[:16]}; read the newest proposal and decide again",
            about=known,
        )
    if event.party in known.approved_by:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"agreement {event.agreement_id} is approved by {', '.join(known.approved_by)} already; "
            f"wait for {', '.join(known.turn())}",
            about=known,
        )
    approved = replace(known, approved_by=tuple(sorted({*known.approved_by, event.party})))
    told = frozenset(known.parties)
    if len(approved.approved_by) < len(approved.parties):
        return Applied(changes=(approved,), audience=told)
    in_effect = replace(approved, state="in_effect")
    return Applied(tuple(_opened(in_effect)), (in_effect, *([rules] if rules else ())), told)


def _opened(agreement: Agreement) -> Iterable[Posting]:
    """The places of each year and direction."""
    for quota in agreement.quotas:
        for year in years(agreement.first_year, agreement.last_year) if quota.per_year else ():
            account = quota_account(agreement.id, quota.sender, quota.receiver, year)
            yield move(quota.per_year, PLACE, grant_account(agreement.id), account)


def _terminate(known: Agreement) -> Verdict:
    if AGREEMENT.closed(known.state):
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"agreement {known.id} is {known.state}; there is nothing to end",
            about=known,
        )
    return Applied(changes=(replace(known, state="terminated"),), audience=frozenset(known.parties))


_EN = {"terminated": "ended"}
_ZH = {"proposed": "提议", "approved": "同意", "terminated": "终止"}
_KIND_ZH = {
    "student_studies": "学生交流学习", "practice": "实践实习", "teacher": "教师互聘", "secondment": "挂职交流",
    "lab": "实验资源共享", "research": "科研合作", "transfer": "成果转化", "staff_policy": "人事政策",
}  # fmt: skip


def sentence(event: AgreementChanged, names: Names) -> Sentence:
    others = [party for party in event.parties if party != event.party]
    said = event.conditions
    return Sentence(
        f"{names.en(event.party)} {_EN.get(event.step, event.step)} an agreement on {said.kind.replace('_', ' ')} with "
        f"{', '.join(map(names.en, others))}, {said.first_year} to {said.last_year}",
        f"{names.zh(event.party)}{_ZH.get(event.step, event.step)}与{'、'.join(map(names.zh, others))}的"
        f"{_KIND_ZH.get(said.kind, said.kind)}协议（{said.first_year}至{said.last_year}学年）",
    )
