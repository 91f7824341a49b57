"""Directory office: the keys that sign for us. A reserve key is registered at the start; a few are given up later.

A reserve key lies in a safe, so that a lost first key stops nobody. Here it follows from the seed of the simulation and
is no secret; a real one is made by `alliance connector key add`, where no simulation can see it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from connectors.sandbox.desk import (
    Contradiction,
    Desk,
    Phase,
    Receive,
    Received,
    Settle,
    Settled,
)
from connectors.sandbox.shapes import Body
from connectors.sandbox.store import Change, Effect
from schemas.signing import KEY_TYPE, Signer, new_signer, possession_body

TABLES = """
CREATE TABLE member_key (key_id TEXT PRIMARY KEY, member TEXT NOT NULL, state TEXT, cause TEXT) STRICT;
"""
EFFECTS = (Effect("member_key", "state", "key_id", "NEW.state"),)
RESOURCES: Mapping[str, str] = {"member-key": "member.key-changed"}

RETIRED_EVERY = 7  # by the member's place in the alliance: whose reserve key is given up in the middle of the term


def reserve_key(desk: Desk) -> Signer:
    return new_signer(hashlib.sha256(f"reserve/{desk.seed}/{desk.code}".encode()).digest())


def register(desk: Desk) -> None:
    """Add the reserve key, signed by itself to show that we hold it."""
    _add(desk, reserve_key(desk))


def _add(desk: Desk, key: Signer) -> None:
    body = {
        "keyId": key.key_id,
        "publicKey": key.public.hex(),
        "possession": key.sign_as(KEY_TYPE, possession_body(desk.code, key.key_id)).hex(),
    }
    _publish(desk, body, "add")


def retire(desk: Desk) -> None:
    """Give the reserve key up, at one member in a few."""
    place = sorted(desk.members).index(desk.code)
    row = desk.store.one(
        "SELECT * FROM member_key WHERE member = ? AND state = 'valid' ORDER BY 1", desk.code
    )
    if row and place % RETIRED_EVERY == RETIRED_EVERY // 2:
        _publish(desk, {"keyId": row["key_id"], "reason": "retired"}, "revoke")


def err(desk: Desk) -> None:
    """A mistake: the reserve key is registered a second time, whatever became of it."""
    place = sorted(desk.members).index(desk.code)
    known = desk.store.one("SELECT 1 FROM member_key WHERE member = ?", desk.code)
    if known and place % RETIRED_EVERY < 2:
        _add(desk, reserve_key(desk))


def _publish(desk: Desk, body: Body, action: str) -> None:
    desk.publish(
        "member-key",
        f"{desk.code}/keys",
        body | {"action": action},
        step=action,
        to=desk.members,
    )


def _received(desk: Desk, told: Received) -> None:
    said = told.record
    _take(desk, told.event_id, said["code"], said["key_id"], said["action"])


def _settled(desk: Desk, change: Change, settled: Settled) -> None:
    if settled.applied:
        _take(desk, change.event_id, desk.code, change.data["keyId"], change.step)


def _take(desk: Desk, event_id: str, member: str, key_id: str, action: str) -> None:
    if action == "add":
        desk.db.execute(
            "INSERT INTO member_key VALUES (?, ?, 'valid', ?)", (key_id, member, event_id)
        )
        return
    changed = desk.db.execute(
        "UPDATE member_key SET state = 'revoked', cause = ? WHERE key_id = ? AND member = ?",
        (event_id, key_id, member),
    )
    if changed.rowcount == 0:
        raise Contradiction(
            f"key {key_id} of {member} is not here; the event that added it should have come before"
        )


PHASES: Mapping[str, Phase] = {"keys": register, "appointments": retire, "mistakes": err}
RECEIVES: Mapping[str, Receive] = {"member.key-changed": _received}
SETTLES: Mapping[str, Settle] = {"member-key": _settled}
