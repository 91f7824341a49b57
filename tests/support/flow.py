"""An alliance with keys, and its members' messages as they stand in Kafka."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Any

from hub.flow.kafka import Message
from schemas import topics
from schemas.catalogue import catalogue
from schemas.codec import encode
from schemas.envelope import KEY_ID, SIGNATURE, Headers, event_headers
from schemas.members import Alliance, Member
from schemas.signing import Signer, new_signer
from tests.support.ledger import MEMBERS, T0_MS

SIGNERS: dict[str, Signer] = {
    code: new_signer(bytes([number]) * 32) for number, code in enumerate(MEMBERS, 1)
}
STRANGER = new_signer(b"\xff" * 32)  # a key that belongs to nobody
ALLIANCE = Alliance(
    "Test Alliance",
    "test.example/ledger",
    {
        code: Member(
            code, f"University {code}", f"大学{code}", "Sichuan", "成都", f"u{code}.example",
            {signer.key_id: signer.public},
        )
        for code, signer in SIGNERS.items()
    },
)  # fmt: skip


def alliance_toml() -> str:
    """The alliance as its configuration file, public keys included."""
    parts = [f'[alliance]\nname = "{ALLIANCE.name}"\norigin = "{ALLIANCE.origin}"\n']
    for code, member in ALLIANCE.members.items():
        public = base64.b64encode(SIGNERS[code].public).decode()
        parts.append(
            f'[[member]]\ncode = "{code}"\nname_en = "{member.name_en}"\nname_zh = "{member.name_zh}"\n'
            f'region = "Sichuan"\ncity = "成都"\ndomain = "{member.domain}"\n\n'
            f'  [[member.key]]\n  public = "{public}"\n'
        )
    return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a member gives to Kafka."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers

    def at(self, offset: int = 0, timestamp_ms: int = T0_MS) -> Message:
        """As the hub reads it."""
        return Message(self.topic, 0, offset, timestamp_ms, self.key, self.value, self.headers)

    def but(self, **changed: Any) -> Sent:
        """The same with something changed."""
        return replace(self, **changed)

    def with_header(self, name: str, value: bytes | None) -> Sent:
        """The same with another header of that name; None takes it away."""
        rest = [(key, held) for key, held in self.headers if key != name]
        return self.but(headers=rest if value is None else [*rest, (name, value)])


def sent(record: Any, signer: Signer | None = None) -> Sent:
    """An event as its member's connector sends it."""
    envelope = record.envelope
    signer = signer or SIGNERS[envelope.member]
    value = encode(record)
    headers = event_headers(
        envelope, catalogue().newest[record.EVENT], signer.key_id, signer.sign(value)
    )
    return Sent(topics.outbox(envelope.member), envelope.partition_key.encode(), value, headers)


def signed_bytes(value: bytes, member: str, key: bytes | None = None) -> Sent:
    """Any bytes with a good signature of a member: a hostile campus has its own key, too."""
    signer = SIGNERS[member]
    headers: Headers = [(KEY_ID, signer.key_id.encode()), (SIGNATURE, signer.sign(value))]
    return Sent(topics.outbox(member), key, value, headers)
