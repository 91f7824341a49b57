"""Keys that change while the hub runs: what a new one signs is applied, what a revoked one signs is rejected."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.domain.keys import REVOKED, VALID, MemberKey
from hub.run.supervisor import alliance_command
from schemas.signing import KEY_TYPE, Signer, new_signer, possession_body
from tests.support.broker import private_broker
from tests.support.flow import SIGNERS, STRANGER, Sent, sent
from tests.support.flow_kafka import PARTS, Hub, assert_told_once, hub, publish, told
from tests.support.ledger import HOME, HOST, Ledger

pytestmark = pytest.mark.kafka

FIRST, RESERVE, THIRD = SIGNERS[HOST], new_signer(b"\x31" * 32), new_signer(b"\x32" * 32)


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker whose ledger topics are ours alone."""
    with private_broker(tmp_path_factory.mktemp("keys-broker")) as found:
        yield found.bootstrap


class Script:
    """What HOST says, numbered as a campus numbers it."""

    def __init__(self) -> None:
        self.desk = Ledger()

    def added(self, key: Signer, by: Signer) -> Sent:
        return self._changed(
            by, action="add", key_id=key.key_id, public_key=key.public, replaces=None, reason=None,
            possession=key.sign_as(KEY_TYPE, possession_body(HOST, key.key_id)),
        )  # fmt: skip

    def revoked(self, key: Signer, by: Signer) -> Sent:
        return self._changed(
            by, action="revoke", key_id=key.key_id, public_key=None, replaces=None, reason="lost", possession=None,
        )  # fmt: skip

    def _changed(self, by: Signer, **fields: Any) -> Sent:
        return sent(self.desk.record("member.key-changed", code=HOST, **fields), by)

    def offering(self, name: str, by: Signer) -> Sent:
        return sent(self.desk.record("offering.changed", offering_id=name, host=HOST), by)


def ids(*messages: Sent) -> list[str]:
    return [dict(message.headers)["ce_id"].decode() for message in messages]


def test_a_key_counts_from_the_entry_that_adds_it_to_the_one_that_revokes_it(
    own_broker: str, tmp_path: Path
) -> None:
    """Through admission, ledger, delivery and back; a worker that is killed learns it all again."""

    async def scenario() -> None:
        async with hub(own_broker, tmp_path, *PARTS) as running:
            await _keys_change(running)

    asyncio.run(scenario())


async def _keys_change(running: Hub) -> None:
    script = Script()

    async def say(*messages: Sent) -> None:
        await publish(running.bootstrap, messages)
        await running.settled(ids(*messages))

    async def outcomes() -> dict[str, tuple[str, str | None]]:
        found, _ = await told(running.bootstrap, HOST)
        return {name: (rows[-1].outcome, rows[-1].reason) for name, rows in found.items()}

    added = script.added(RESERVE, FIRST)
    await say(added)
    by_reserve = script.offering("by-reserve", RESERVE)
    third = script.added(THIRD, RESERVE)  # a key that came later brings the next one
    await say(by_reserve, third)
    running.kill("admission")
    revoked = script.revoked(RESERVE, FIRST)
    by_third = script.offering("by-third", THIRD)
    await say(revoked, by_third)
    stolen, unknown = script.offering("stolen", RESERVE), script.offering("unknown", STRANGER)
    foreign = sent(
        script.desk.record(
            "member.key-changed", code=HOME, action="revoke", key_id=FIRST.key_id, public_key=None, replaces=None,
            possession=None, reason="lost",
        )
    )  # fmt: skip
    await publish(running.bootstrap, [unknown, foreign])
    await say(stolen)

    said = await outcomes()
    assert [said[name] for name in ids(added, by_reserve, third, revoked, by_third)] == [
        ("applied", None)
    ] * 5
    assert said[ids(stolen)[0]] == ("rejected", "KEY_REVOKED")
    _, refusals = await told(running.bootstrap, HOST)
    assert [refusal.reason for refusal in refusals.values()] == ["SIGNATURE_INVALID"]

    async def told_home() -> list[str | None]:
        return [row.reason for row in (await told(running.bootstrap, HOME))[1].values()]

    await running.until("the foreign revocation is refused", told_home)
    assert await told_home() == ["NOT_WRITER"]

    replayed, _ = await running.replayed()  # audits every signature with the keys of its time
    keys = {name: replayed.state.find(MemberKey, name) for name in (RESERVE.key_id, THIRD.key_id)}
    assert [key.state for key in keys.values() if key] == [REVOKED, VALID]
    assert replayed.state.find(MemberKey, FIRST.key_id) is None
    await assert_told_once(running)
    verified = await asyncio.to_thread(
        subprocess.run,
        alliance_command("ledger", "verify"),
        env={
            "ALLIANCE_BOOTSTRAP": running.bootstrap, "ALLIANCE_FILE": str(running.folder / "alliance.toml"),
            "ALLIANCE_STATE": str(running.folder), "PATH": "/usr/bin:/bin",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr
