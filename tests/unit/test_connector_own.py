"""Events of the connector's own commands: published like any other, and the campus hears nothing of them."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import Result
from typer.testing import CliRunner

from connectors.reference.conformance import both_ways
from connectors.sdk.cli.key import standing
from connectors.sdk.cli.main import app
from connectors.sdk.contract import Seen
from connectors.sdk.runtime.outgoing import event_of
from connectors.sdk.state.file import Own, State
from connectors.sdk.testing import START, THEM, US, FakeHub, Fuse, Rig, their_request
from connectors.sdk.testing.log import FakeLog
from schemas.records import MemberKeyChanged, Record

T = TypeVar("T")


def own_says(outcome: str) -> Callable[[Record], str]:
    """A hub that applies what the campus says, and answers its keys otherwise."""
    return lambda record: outcome if isinstance(record, MemberKeyChanged) else "applied"


def rig_of(folder: Path, outcome: str = "applied") -> Rig:
    folder.mkdir(exist_ok=True)
    return Rig(folder, both_ways(), FakeHub(own_says(outcome), FakeLog((US, THEM), 2, START)))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return rig_of(tmp_path)


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def add_key(rig: Rig) -> dict[str, Any]:
    result = call("key", "add", rig.config.folder, "--json")
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def shown(rig: Rig, *command: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(call(*command, rig.config.folder, "--json").stdout)
    return facts


def look(rig: Rig, what: Callable[[State], T]) -> T:
    with closing(rig.state()) as state:
        return what(state)


def settled(rig: Rig, own: int = 1) -> Callable[[], bool]:
    """All that the campus and our commands had to tell is done with."""

    def done() -> bool:
        told = {record.envelope.event_id for record in rig.hub.published}  # type: ignore[attr-defined]
        return len(told) == rig.case.to_tell() + own and rig.quiet()

    return done


def happen(rig: Rig, count: int) -> None:
    assert rig.case.happen is not None
    rig.case.happen(count)


def told(rig: Rig) -> list[str]:
    assert rig.case.told is not None
    return rig.case.told


def test_the_outcome_of_an_own_event_is_kept_and_shown_and_not_brought_to_the_campus(
    rig: Rig,
) -> None:
    """A campus would refuse the outcome of an event it has never heard of, and people would look for a fault."""
    key = add_key(rig)
    happen(rig, 2)
    (waits,) = shown(rig, "status")["own"]
    assert (waits["outcome"], waits["event_id"]) == (None, key["event_id"])
    assert asyncio.run(rig.life(settled(rig)))
    assert [kind for kind in told(rig) if key["event_id"] in kind] == []
    assert len(told(rig)) == 2
    (own,) = shown(rig, "status")["own"]
    assert (own["event_id"], own["event"]) == (key["event_id"], "member.key-changed")
    assert (own["outcome"], own["reason"]) == ("applied", "")
    assert f"own              {key['event_id']} (member.key-changed): applied" in call("status", rig.config.folder).stdout  # fmt: skip
    assert look(rig, lambda state: state.parked()) == []


def test_an_own_event_leaves_with_its_receipt_as_any_other(rig: Rig) -> None:
    """Who adds a key wants to prove since when it counts."""
    key = add_key(rig)
    rig.hub.withhold = True
    assert not asyncio.run(rig.life(lambda: False, within_s=30))
    assert look(rig, lambda state: state.counts()["outbox_events"]) == 1
    assert shown(rig, "status")["own"][0]["outcome"] == "applied"

    async def story() -> None:
        assert rig.hub.log is not None
        await rig.hub.receipts(US, rig.hub.log.receipts([0]))
        assert await rig.life(rig.quiet)

    asyncio.run(story())
    (held,) = look(rig, lambda state: state.proofs.held(key["event_id"]))
    assert held.outcome == "applied"
    assert look(rig, lambda state: state.counts()["final_total"]) == 1


@pytest.mark.parametrize("outcome", ["rejected", "refused"])
def test_an_own_event_that_the_hub_does_not_want_is_shown_with_the_reason(
    tmp_path: Path, outcome: str
) -> None:
    """Nobody at the campus is told, so status must."""
    rig = rig_of(tmp_path, outcome)
    key = add_key(rig)
    assert asyncio.run(rig.life(settled(rig)))
    (own,) = shown(rig, "status")["own"]
    assert (own["outcome"], own["reason"]) == (outcome, "TEST")
    facts = shown(rig, "key", "show")
    assert (facts["keys"][0]["counts"], facts["keys"][0]["key_id"]) == ("no", key["key_id"])
    assert told(rig) == []


def test_the_word_on_a_second_copy_does_not_cover_the_first(tmp_path: Path) -> None:
    """Parked, then applied; that a copy was a duplicate says nothing of the key."""

    async def story(rig: Rig) -> None:
        assert await rig.life(lambda: bool(rig.hub.published) and _inbox_empty(rig))
        assert look(rig, lambda state: state.own())[0].outcome == "parked"
        for outcome in ("duplicate", "applied", "duplicate"):
            await rig.hub.answer(US, rig.hub.published[0], outcome)
        assert await rig.life(rig.quiet)

    rig = rig_of(tmp_path, "parked")
    add_key(rig)
    asyncio.run(story(rig))
    assert look(rig, lambda state: state.own())[0].outcome == "applied"
    assert told(rig) == []


def _inbox_empty(rig: Rig) -> bool:
    position: int = look(rig, lambda state: state.inbox_position()[0])
    return rig.hub.delivered(US) == position


def test_no_kill_loses_an_own_outcome_or_brings_it_to_the_campus(tmp_path: Path) -> None:
    """At every moment between two effects, with events of the campus and deliveries around it."""

    async def story(moment: int) -> bool:
        rig = rig_of(tmp_path / str(moment))
        key = add_key(rig)
        happen(rig, 1)
        theirs = their_request(1)
        await rig.hub.deliver(US, theirs, rig.signers[THEM])

        def done() -> bool:
            return settled(rig)() and len(told(rig)) == rig.case.to_tell() + 1

        fuse = Fuse(burns_at=moment)
        await rig.life(done, fuse=fuse)
        assert await rig.life(done), f"killed at {fuse.passed[-1]}, then lost something"
        assert len(told(rig)) == len(set(told(rig))) == rig.case.to_tell() + 1
        assert [one for one in told(rig) if key["event_id"] in one] == []
        (own,) = look(rig, lambda state: state.own())
        assert (own.event_id, own.outcome) == (key["event_id"], "applied")
        assert look(rig, lambda state: state.proofs.held(key["event_id"]))
        assert look(rig, lambda state: state.parked()) == []
        return fuse.burnt

    moment = 1
    while asyncio.run(story(moment)):
        moment += 1
    assert moment > 10


def test_an_own_event_is_queued_once_even_after_it_has_left(rig: Rig) -> None:
    """A command that was killed before it could note what it did is run again; the number it used up stays used up."""
    event = event_of(their_request(1, home=US, host=THEM), rig.config.signer)
    counted = ("", Seen("member.key-changed", b"", 4))
    with closing(rig.state()) as state:
        assert state.queue_own(event, 1, None, counted)
        assert state.unsent(9)[0].value == event.value
        state._leave(event.event_id)
        assert not state.queue_own(event, 2, None, ("", Seen("member.key-changed", b"", 5)))
        assert state.unsent(9) == []
        seen = state.seen("", "member.key-changed")
        assert seen is not None
        assert seen.version == 4


@pytest.mark.parametrize("readonly", [True, False], ids=["status", "run"])
def test_a_state_file_from_before_own_events_goes_on(rig: Rig, readonly: bool) -> None:
    """An upgrade in the middle of a day; status must not ask for a run first."""
    happen(rig, 1)
    rig.hub.down = True
    assert not asyncio.run(rig.life(lambda: False, within_s=5))
    with closing(sqlite3.connect(rig.config.state_path)) as db:
        db.execute("DROP TABLE own")
    if readonly:
        assert shown(rig, "status")["own"] == []
    rig.hub.down = False
    assert asyncio.run(rig.life(settled(rig, own=0)))
    assert len(told(rig)) == 1


def test_show_says_which_key_counts_already(rig: Rig) -> None:
    """Who changes over too early has every event refused."""
    old = rig.config.signer.key_id
    key = add_key(rig)
    facts = shown(rig, "key", "show")
    assert (facts["key_id"], facts["counts"]) == (old, "yes")
    (row,) = facts["keys"]
    assert (row["key_id"], row["action"]) == (key["key_id"], "add")
    assert (row["counts"], row["event_id"]) == ("not yet", key["event_id"])
    assert asyncio.run(rig.life(settled(rig)))
    assert shown(rig, "key", "show")["keys"][0]["counts"] == "yes"
    assert f"{key['key_id']} add: counts yes" in call("key", "show", rig.config.folder).stdout


def said(action: str, key_id: str, outcome: str | None, replaces: str | None = None) -> Own:
    about = {"action": action, "key_id": key_id, "replaces": replaces}
    return Own("event", "member.key-changed", about, 1, outcome, "", 1, 2)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([said("add", "new", "parked")], {"first": "yes", "new": "not yet"}),
        ([said("add", "new", "applied")], {"first": "yes", "new": "yes"}),
        ([said("rotate", "new", "applied", "first")], {"first": "no", "new": "yes"}),
        ([said("rotate", "new", None, "first")], {"first": "yes", "new": "not yet"}),
        ([said("rotate", "new", "rejected", "first")], {"first": "yes", "new": "no"}),
        ([said("revoke", "first", None)], {"first": "yes"}),
        ([said("revoke", "first", "applied")], {"first": "no"}),
        ([said("revoke", "first", "rejected")], {"first": "yes"}),
        ([said("revoke", "elsewhere", "rejected")], {"first": "yes", "elsewhere": "unknown"}),
        ([said("add", "new", "applied"), said("add", "new", "rejected")], {"first": "yes", "new": "yes"}),
        ([said("add", "new", "duplicate")], {"first": "yes", "new": "unknown"}),
        ([said("add", "new", "applied"), said("revoke", "new", "applied")], {"first": "yes", "new": "no"}),
    ],
)  # fmt: skip
def test_a_key_counts_from_the_entry_that_brought_it_to_the_one_that_took_it(
    changes: list[Own], expected: dict[str, str]
) -> None:
    """Only what the ledger applied changes anything."""
    assert standing(["first"], changes) == expected


def test_state_files_survive_the_loss_of_power(tmp_path: Path) -> None:
    """Tests that kill processes need not wait for a disk; connectors must."""
    with closing(State(tmp_path / "state.db")) as state:
        assert state._db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
