"""`alliance connector key`: what is made, what is queued, and that the connector then starts with it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from connectors.reference.conformance import both_ways
from connectors.sdk.cli.main import app
from connectors.sdk.config import load_config, noted
from connectors.sdk.state.file import State
from connectors.sdk.testing import write_alliance, write_folder
from hub.domain.keys import REVOKED, VALID, MemberKey
from schemas.codec import decode
from schemas.envelope import KEY_ID, SIGNATURE, header
from schemas.signing import Signer, Verifier, load_signer
from tests.support.ledger import Ledger

US = "10611"


@pytest.fixture
def old(tmp_path: Path) -> Signer:
    """A campus folder of US, and the key it signs with."""
    signers: dict[str, Signer] = write_alliance(tmp_path)
    write_folder(tmp_path, both_ways())
    return signers[US]


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["key", *map(str, words)])


def done(*words: object) -> dict[str, Any]:
    """A call that must succeed, as JSON."""
    result = call(*words, "--json")
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def queued(folder: Path) -> list[Any]:
    """The events in the outbox, each checked against the key in use."""
    config = load_config(folder)
    verifier = Verifier({config.signer.key_id: (US, config.signer.public)})
    with closing(State(config.state_path)) as state:
        waiting = state.unsent(100)
    for event in waiting:
        signature = header(event.headers, SIGNATURE) or b""
        assert header(event.headers, KEY_ID) == config.signer.key_id.encode()
        assert verifier.valid(config.signer.key_id, event.value, signature)
        assert (event.topic, event.key) == (f"member.{US}.out", US.encode())
    return [decode(event.value) for event in waiting]


def test_show_names_the_key_in_use(tmp_path: Path, old: Signer) -> None:
    facts = done("show", tmp_path)
    assert (facts["key_id"], facts["first"], facts["changes"]) == (old.key_id, True, 0)


def test_an_added_key_is_private_and_its_event_is_one_the_ledger_applies(
    tmp_path: Path, old: Signer
) -> None:
    """Signed by the key in use, the possession by the new one."""
    facts = done("add", tmp_path)
    path = Path(facts["file"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_signer(path).key_id == facts["key_id"] != old.key_id
    [event] = queued(tmp_path)
    assert event.envelope.event_id == facts["event_id"]
    ledger = Ledger()
    ledger.applied(ledger.say(event, old.key_id))
    assert ledger.find(MemberKey, facts["key_id"]).state == VALID
    assert facts["event_id"] in facts["next"]


def test_the_connector_starts_with_a_key_that_was_added_and_with_no_other(
    tmp_path: Path, old: Signer
) -> None:
    """The configuration does not list it; the note beside it says which event brought it."""
    facts = done("add", tmp_path)
    text = (tmp_path / "connector.toml").read_text("utf-8")
    (tmp_path / "connector.toml").write_text(
        text.replace(f"./{US}.key", Path(facts["file"]).name), "utf-8"
    )
    assert load_config(tmp_path).signer.key_id == facts["key_id"]
    assert done("show", tmp_path)["first"] is False
    noted(Path(facts["file"])).unlink()
    result = call("show", tmp_path)
    assert result.exit_code == 2
    assert "alliance connector key add" in result.stderr


def test_changes_are_numbered_one_after_the_other(tmp_path: Path, old: Signer) -> None:
    """Add, rotate, revoke: applied in the order they were said, gapless, though the outbox forgets them."""
    added = done("add", tmp_path)
    rotated = done("rotate", tmp_path, "--file", tmp_path / "next.key")
    revoked = done("revoke", tmp_path, added["key_id"], "--reason", "retired")
    events = queued(tmp_path)
    assert [event.action for event in events] == ["add", "rotate", "revoke"]
    assert [event.envelope.aggregate_version for event in events] == [1, 2, 3]
    ledger = Ledger()
    ledger.applied(ledger.say(events[0], old.key_id))
    ledger.applied(ledger.say(events[1], old.key_id))
    assert ledger.find(MemberKey, f"{events[1].code}/{old.key_id}").state == REVOKED
    behind = ledger.say(events[2], old.key_id)
    assert behind.reason == "KEY_REVOKED"  # the warning of rotate: what the old key signs behind it
    assert rotated["replaces"] == old.key_id
    assert revoked["event_id"] == events[2].envelope.event_id
    assert done("show", tmp_path)["changes"] == 3
    assert done("revoke", tmp_path, added["key_id"], "--version", 9)["event_id"]
    assert queued(tmp_path)[-1].envelope.aggregate_version == 9


def test_a_key_that_is_there_already_is_told_of_again(tmp_path: Path, old: Signer) -> None:
    """After a crash between file and outbox, the same command with that file goes on."""
    made = done("add", tmp_path, "--file", tmp_path / "next.key")
    again = done("add", tmp_path, "--file", tmp_path / "next.key")
    assert again["key_id"] == made["key_id"]
    assert again["event_id"] != made["event_id"]
    (tmp_path / "rubbish.key").write_text("rubbish")
    result = call("add", tmp_path, "--file", tmp_path / "rubbish.key")
    assert result.exit_code == 2
    assert "rubbish.key" in result.stderr


def test_the_key_in_use_is_revoked_only_on_a_second_word(tmp_path: Path, old: Signer) -> None:
    """It would lock the connector out."""
    result = call("revoke", tmp_path, old.key_id, "--reason", "compromised")
    assert result.exit_code == 1
    assert "operators" in result.stderr
    assert not (tmp_path / "state.db").exists() or queued(tmp_path) == []
    done("revoke", tmp_path, old.key_id, "--reason", "compromised", "--yes")
    [event] = queued(tmp_path)
    assert (event.action, event.key_id, event.reason) == ("revoke", old.key_id, "compromised")


def test_nothing_is_overwritten_and_a_folder_that_is_none_is_named(
    tmp_path: Path, old: Signer
) -> None:
    result = call("add", tmp_path, "--file", tmp_path / "missing" / "next.key")
    assert result.exit_code == 2
    assert "missing" in result.stderr
    assert call("show", tmp_path / "nowhere").exit_code == 2
