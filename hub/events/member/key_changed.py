"""member.key-changed: a member adds, rotates or revokes a key that signs its events; it counts from the next entry on."""

from __future__ import annotations

import re
from typing import Final

from hub.domain.keys import REVOKED, VALID, MemberKey
from hub.domain.reasons import Reason
from hub.events import Names, Sentence
from hub.ledger.state import Applied, Rejected, Verdict, View, known_key
from schemas.records import MemberKeyChanged
from schemas.signing import KEY_TYPE, key_id, possession_body, verify_as

REASONS = frozenset({Reason.CONTENT_INVALID, Reason.NOT_WRITER, Reason.ILLEGAL_TRANSITION})
ACTIONS: Final = ("add", "rotate", "revoke")
WHY: Final = ("superseded", "retired", "lost", "compromised")
_KEY_ID = re.compile(r"[0-9a-f]{16}")
_PUBLIC_BYTES = 32  # Ed25519


def decide(event: MemberKeyChanged, view: View) -> Verdict:
    """Keep the key as valid or revoked; every member is told. Moves nothing.

    A key that the ledger never heard of counts as one of the member's first, from the alliance's configuration: revoked,
    it is kept without its public half. Whose first key it is admission has checked.

    A member may revoke its last key, even the one that signs this event: stopping a thief matters more than going on.
    It cannot sign any more then, until the operators put a new first key into the configuration, for all to see.
    Source: certificate revocation reasons of RFC 5280, 5.3.1.
    """
    fault = _fault(event)
    if fault is not None:
        return Rejected(Reason.CONTENT_INVALID, f"key {event.key_id} of {event.code} {fault}")
    gone = event.key_id if event.action == "revoke" else event.replaces
    refusal = _not_new(event, view) or (_not_revocable(event, gone, view) if gone else None)
    if refusal is not None:
        return refusal
    changes = []
    if event.public_key is not None:
        changes.append(MemberKey(event.key_id, event.code, event.public_key, VALID))
    if gone is not None:
        known = known_key(view, event.code, gone)
        changes.append(MemberKey(gone, event.code, known.public if known else b"", REVOKED))
    return Applied(changes=tuple(changes), audience=view.members)


def _fault(event: MemberKeyChanged) -> str | None:
    """What is wrong with the event whatever is known."""
    subject = f"{event.code}/keys"
    if event.envelope.subject != subject:
        return f"has subject {event.envelope.subject!r}, wanted {subject!r}; keys are numbered by themselves"
    if event.action not in ACTIONS:
        return f"has action {event.action!r}, wanted one of {', '.join(ACTIONS)}; correct it"
    if not _KEY_ID.fullmatch(event.key_id):
        return "has no id of 16 hex digits; take it from the key: alliance connector key show"
    if event.action == "revoke":
        return _fault_of_revocation(event)
    if (event.replaces is not None) != (event.action == "rotate"):
        return f"has replaces {event.replaces!r} in action {event.action}; name the old key when you rotate, only then"
    if event.replaces == event.key_id:
        return "replaces itself; rotate to another key"
    if event.replaces is not None and not _KEY_ID.fullmatch(event.replaces):
        return f"replaces {event.replaces!r}, wanted an id of 16 hex digits; correct it"
    return _fault_of_key(event)


def _fault_of_revocation(event: MemberKeyChanged) -> str | None:
    if event.public_key is not None or event.possession is not None or event.replaces is not None:
        return "is revoked with a key, possession or replacement; leave them out, or rotate"
    why = event.reason or ""
    if why not in WHY and not why.startswith("x-"):
        return f"is revoked for {why!r}, wanted {', '.join(WHY)} or x-...; correct it"
    return None


def _fault_of_key(event: MemberKeyChanged) -> str | None:
    """Whether the new key is one, has its own name, and is in the member's hands."""
    public, possession = event.public_key or b"", event.possession or b""
    if len(public) != _PUBLIC_BYTES:
        return f"has {len(public)} bytes, wanted {_PUBLIC_BYTES} (raw Ed25519); make it with: alliance connector key add"
    if key_id(public) != event.key_id:
        return f"is named wrongly, its bytes make {key_id(public)}; take the name from the key"
    if not verify_as(public, KEY_TYPE, possession_body(event.code, event.key_id), possession):
        return "did not sign its own name; sign it with the new key: alliance connector key add"
    return None


def _not_new(event: MemberKeyChanged, view: View) -> Rejected | None:
    """A key that is added or takes over must be one the ledger never heard of: what was revoked never comes back."""
    known = known_key(view, event.code, event.key_id)
    if event.action == "revoke" or known is None:
        return None
    reason = Reason.ILLEGAL_TRANSITION if known.member == event.code else Reason.NOT_WRITER
    return Rejected(
        reason,
        f"key {known.key_id} of {known.member} is {known.state} already; make a new key",
        about=known,
    )


def _not_revocable(event: MemberKeyChanged, gone: str, view: View) -> Rejected | None:
    known = known_key(view, event.code, gone)
    if known is None:
        return None
    if known.member != event.code:
        return Rejected(
            Reason.NOT_WRITER,
            f"key {gone} belongs to {known.member}, the event is of {event.code}; leave it to its owner",
            about=known,
        )
    if known.state == REVOKED:
        return Rejected(
            Reason.ILLEGAL_TRANSITION,
            f"key {gone} is revoked already; nothing is left to do, or name another key",
            about=known,
        )
    return None


_EN = {"add": "adds the key", "rotate": "changes over to the key", "revoke": "revokes the key"}
_ZH = {"add": "新增密钥", "rotate": "启用新密钥", "revoke": "撤销密钥"}


def sentence(event: MemberKeyChanged, names: Names) -> Sentence:
    old = event.replaces
    why = event.reason
    return Sentence(
        f"{names.en(event.code)} {_EN.get(event.action, event.action)} {event.key_id}"
        f"{f' in place of {old}' if old else ''}{f' ({why})' if why else ''}",
        f"{names.zh(event.code)}{_ZH.get(event.action, f'密钥变更 {event.action} ')}{event.key_id}"
        f"{f'，替换{old}' if old else ''}{f'（{why}）' if why else ''}",
    )
