"""member.profile-changed: a member says who it is and by which rules it recognizes credits; everyone is told."""

from __future__ import annotations

from hub.domain.member import MemberProfile
from hub.domain.reasons import Reason
from hub.events import Names, Sentence
from hub.events._rules import register
from hub.ledger.state import Applied, Rejected, Verdict, View
from schemas.records import MemberProfileChanged

REASONS = frozenset({Reason.CONTENT_INVALID, Reason.NOT_WRITER})


def decide(event: MemberProfileChanged, view: View) -> Verdict:
    """Keep the status of the member's connector, register its rule set, pass the profile on to all members.

    Moves nothing. Source of the rules as data: the statutes of Chinese universities, one rule set each.
    """
    known = view.find(MemberProfile, event.code)
    rules_id = known.rules_id if known else None
    if event.rule_set is None:
        return Applied(
            changes=(MemberProfile(event.code, event.status, rules_id),), audience=view.members
        )
    registered = register(event.rule_set, event.code, view)
    if isinstance(registered, Rejected):
        return registered
    said = (event.rule_set_id, event.rule_set_version)
    if said != (registered.id, registered.newest.number):
        return Rejected(
            Reason.CONTENT_INVALID,
            f"the profile names rule set {said[0]} version {said[1]}, its text is {registered.id} version "
            f"{registered.newest.number}; make the two agree",
        )
    profile = MemberProfile(event.code, event.status, registered.id)
    return Applied(changes=(profile, registered), audience=view.members)


def sentence(event: MemberProfileChanged, names: Names) -> Sentence:
    rules = f", rules {event.rule_set_id} version {event.rule_set_version}"
    rules_zh = f"，学分认定规则{event.rule_set_id}第{event.rule_set_version}版"
    return Sentence(
        f"{names.en(event.code)} is {event.status} with connector version {event.connector_version}"
        f"{rules if event.rule_set else ''}",
        f"{names.zh(event.code)}的状态为{event.status}，连接器版本{event.connector_version}"
        f"{rules_zh if event.rule_set else ''}",
    )
