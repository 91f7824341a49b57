"""member.profile-changed: a member says who it is; everyone is told. Moves nothing."""

from __future__ import annotations

from hub.domain.things import MemberProfile
from hub.events import Names, Sentence
from hub.ledger.state import Applied, Verdict, View
from schemas.records import MemberProfileChanged


def decide(event: MemberProfileChanged, view: View) -> Verdict:
    """Keep the status of the member's connector; pass the profile on to all members."""
    return Applied(changes=(MemberProfile(event.code, event.status),), audience=view.members)


def sentence(event: MemberProfileChanged, names: Names) -> Sentence:
    return Sentence(
        f"{names.en(event.code)} is {event.status} with connector version {event.connector_version}",
        f"{names.zh(event.code)}的状态为{event.status}，连接器版本{event.connector_version}",
    )
