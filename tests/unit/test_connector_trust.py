"""What a connector believes: when an event is done with, and what becomes of what cannot be true."""

import asyncio
import json
import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from connectors.reference.conformance import both_ways
from connectors.sdk.cli.main import app
from connectors.sdk.config import load_config
from connectors.sdk.contract import ConfigError
from connectors.sdk.state.file import Mapped, Outgoing, State
from connectors.sdk.testing import (
    START,
    THEM,
    US,
    FakeHub,
    Rig,
    their_request,
    write_alliance,
)
from connectors.sdk.testing.log import FakeLog, other_history
from schemas.codec import decode, encode, from_json
from schemas.envelope import to_millis
from schemas.records import Receipts
from schemas.signing import new_signer
from schemas.tlog.merkle import leaf_hash
from schemas.tlog.proof import LogProof, verify_proof


@pytest.fixture
def rig(tmp_path):
    """Receipts only when a test sends them; two witnesses, both wanted."""
    rig = Rig(tmp_path, both_ways(), FakeHub(log=FakeLog((US, THEM), 2, START)))
    rig.hub.withhold = True
    return rig


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def look(rig: Rig, what):
    state = rig.state()
    try:
        return what(state)
    finally:
        state.close()


def evidence(rig: Rig):
    return look(rig, lambda state: [one for _, one in state.proofs.evidence()])


def waiting(rig: Rig) -> int:
    return look(rig, lambda state: state.counts()["outbox_events"])


def inbox_empty(rig: Rig):
    def empty() -> bool:
        state = State(rig.config.state_path, readonly=True)
        try:
            return rig.hub.delivered(US) == state.inbox_position()[0]
        finally:
            state.close()

    return lambda: bool(rig.hub.applied or rig.hub.published) and empty()


async def one_event(rig: Rig) -> str:
    """An event that has its outcome and no receipt; its id."""
    rig.case.happen(1)
    assert await rig.life(lambda: rig.hub.delivered(US) >= 2 and inbox_empty(rig)())
    return rig.hub.published[0].envelope.event_id


def test_an_event_is_done_with_only_when_its_receipt_is_here(rig):
    """The hub says `applied`; until the ledger shows it under a cosigned root, that is a word and no more."""

    async def story():
        event = await one_event(rig)
        assert waiting(rig) == 1
        assert [key.rpartition(":")[2] for key in rig.case.told] == ["applied"]
        await rig.hub.receipts(US, rig.hub.log.receipts([0]))
        assert await rig.life(rig.quiet)
        assert look(rig, lambda state: state.counts()["final_total"]) == 1
        (held,) = look(rig, lambda state: state.proofs.held(event))
        assert (held.index, held.outcome) == (0, "applied")
        assert look(rig, lambda s: s._db.execute("SELECT count(*) FROM promise_notes").fetchone()[0]) == 0  # fmt: skip

    asyncio.run(story())


def test_a_receipt_may_come_before_the_outcome(rig):
    """Two processes of the hub tell us; nothing says which is faster."""

    async def story():
        rig.hub.silent = True
        rig.case.happen(1)
        assert await rig.life(lambda: len(rig.hub.published) == 1)
        record = rig.hub.published[0]
        rig.hub.log.enter(US, record, encode(record), "applied")
        await rig.hub.receipts(US, rig.hub.log.receipts([0]))
        assert await rig.life(inbox_empty(rig))
        assert waiting(rig) == 1
        rig.hub.log.entries.clear()
        rig.hub.log._leaves.clear()
        await rig.hub.answer(US, record, "applied")
        assert await rig.life(rig.quiet)
        assert evidence(rig) == []

    asyncio.run(story())


def test_an_event_that_waits_for_its_receipt_alone_is_not_published_again(rig):
    """The ledger has it; more copies would only make duplicates."""

    async def story():
        await one_event(rig)
        assert not await rig.life(lambda: len(rig.hub.published) > 1, within_s=3_000)

    asyncio.run(story())


def test_what_is_overdue_is_named(rig, monkeypatch):
    """A hub that answers and never proves, or promises and never enters, is found by each member on its own."""
    monkeypatch.setattr("connectors.sdk.cli.status.SystemClock", lambda: rig.clock)

    async def story():
        event = await one_event(rig)
        assert call("receipts", rig.config.folder).exit_code == 0
        words = f"1 events without receipt, oldest: {event}; run: alliance connector status"

        def told() -> bool:
            return rig.hub.heartbeats[-1].reason == words

        assert not await rig.life(told, within_s=500)
        assert await rig.life(told, within_s=200)
        assert rig.hub.heartbeats[-2].state == "degraded"
        facts = json.loads(call("receipts", rig.config.folder, "--json").stdout)
        found = [facts[name] for name in ("final", "waiting", "overdue", "evidence")]
        assert found == [0, 1, 1, 0]
        (late,) = facts["overdue_events"]
        assert (late["event_id"], late["why"]) == (event, "outcome without receipt")
        result = call("status", rig.config.folder)
        assert result.exit_code == 1
        assert f"overdue          {US} {event} (offering.changed)" in result.stdout

    asyncio.run(story())


def test_a_promise_that_is_over_names_its_event(rig):
    """The hub had the event, said so, and dropped it: the promise is the proof."""

    async def story():
        rig.hub.silent = True
        rig.case.happen(2)
        assert await rig.life(lambda: len(rig.hub.published) == 2 and inbox_empty(rig)())
        first = rig.hub.published[0]
        rig.hub.silent = False
        await rig.hub.answer(US, rig.hub.published[1], "parked")
        assert await rig.life(inbox_empty(rig))
        await rig.hub.receipts(US, rig.hub.log.receipts([0]))
        assert await rig.life(inbox_empty(rig))
        within, over = (to_millis(START + timedelta(minutes=minutes)) for minutes in (59, 61))

        def late(state, now):
            return [(one.event_id, one.promised) for one in state.receipts_overdue(now, 600_000)]

        assert look(rig, lambda state: late(state, within)) == []
        # The parked one is in the ledger, which is all that was promised.
        assert look(rig, lambda state: late(state, over)) == [(first.envelope.event_id, True)]

    asyncio.run(story())


FORGERIES = {
    "the log did not sign": (
        lambda log: log.receipts(
            [0], log.witnessed().replace("— test.example/ledger ".encode(), "— other.example/ledger ".encode())
        ),
        "no signature of this log",
    ),
    "a false signature": (
        lambda log: Receipts(
            log.witnessed().decode().replace("— test.example/ledger ", "— test.example/ledger ", 1).replace("\n1\n", "\n2\n", 1),
            (log.receipt(0),),
        ),
        "signature of",
    ),
    "too few witnesses": (
        lambda log: log.receipts([0], log.witnessed(by=[US])),
        "wanted the quorum",
    ),
    "no witness": (lambda log: log.receipts([0], log.checkpoint()), "wanted the quorum"),
    "a wrong path": (
        lambda log: Receipts(log.witnessed().decode(), (replace(log.receipt(0), path=(bytes(32),)),)),
        "inclusion proof of 0",
    ),
    "another index": (
        lambda log: Receipts(log.witnessed().decode(), (replace(log.receipt(0), index=7),)),
        "index 7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_receipt_that_proves_nothing_is_evidence_and_the_event_stays(rig, name):
    """Whoever sends it hopes that we let go of our copy. We keep both, and say which event it is about."""
    forge, named = FORGERIES[name]

    async def story():
        event = await one_event(rig)
        await rig.hub.receipts(US, forge(rig.hub.log))
        assert await rig.life(inbox_empty(rig))
        (found,) = evidence(rig)
        assert waiting(rig) == 1
        assert found.event_id == event
        assert event in found.reason
        assert named in found.reason
        assert decode(found.payload).proofs
        assert await rig.life(lambda: rig.hub.heartbeats[-1].state == "failed")
        assert event in [beat for beat in rig.hub.heartbeats if beat.state == "failed"][-1].reason
        await rig.hub.receipts(US, rig.hub.log.receipts([0]))  # the true one still counts
        assert await rig.life(rig.quiet)
        assert call("receipts", rig.config.folder).exit_code == 1

    asyncio.run(story())


def test_a_ledger_with_other_bytes_than_we_signed_is_named(rig):
    """Well proven, cosigned, and about another event than ours under our event's name."""

    async def story():
        event = await one_event(rig)
        record = rig.hub.published[0]
        other = replace(record, capacity=31)
        rig.hub.log.enter(US, other, encode(other), "applied")
        await rig.hub.receipts(US, rig.hub.log.receipts([1]))
        assert await rig.life(inbox_empty(rig))
        (found,) = evidence(rig)
        assert f"the ledger shows other bytes for event {event} than we signed" in found.reason
        assert waiting(rig) == 1
        assert look(rig, lambda state: state.proofs.held(event)) == []

    asyncio.run(story())


def test_the_receipt_of_another_members_event_is_none_of_ours(rig):
    """Well proven and useless: it must not stand in for the one we wait for."""

    async def story():
        event = await one_event(rig)
        theirs = their_request(1)
        rig.hub.log.enter(THEM, theirs, encode(theirs), "applied")
        await rig.hub.receipts(US, rig.hub.log.receipts([1]))
        assert await rig.life(inbox_empty(rig))
        (found,) = evidence(rig)
        assert f"the entry is about an event of {THEM}" in found.reason
        assert waiting(rig) == 1
        assert look(rig, lambda state: state.proofs.held(event)) == []

    asyncio.run(story())


def test_the_receipt_must_show_the_outcome_that_the_campus_was_told(rig):
    """The hub said `applied` and the office enrolled the student; the ledger says `rejected`."""

    async def story():
        rig.hub.silent = True
        rig.case.happen(1)
        assert await rig.life(lambda: len(rig.hub.published) == 1)
        record = rig.hub.published[0]
        await rig.hub.answer(US, record, "applied")
        rig.hub.log.entries.clear()
        rig.hub.log._leaves.clear()
        rig.hub.log.enter(US, record, encode(record), "rejected")
        await rig.hub.receipts(US, rig.hub.log.receipts([0]))
        assert await rig.life(inbox_empty(rig))
        (found,) = [one for one in evidence(rig) if one.kind == "outcome"]
        event = record.envelope.event_id
        assert (
            f"the hub said applied for event {event}, entry 1 of the ledger says rejected"
            in found.reason
        )
        assert decode(found.payload).outcome == "rejected"
        assert waiting(rig) == 1

    asyncio.run(story())


def test_a_parked_receipt_is_kept_and_not_the_last_word(rig):
    """It shows that the ledger has the event, so the promise was kept; the decision is still to come."""

    async def story():
        rig.hub.decide = lambda _: "parked"
        event = await one_event(rig)
        await rig.hub.receipts(US, rig.hub.log.receipts([0]))
        assert await rig.life(inbox_empty(rig))
        assert waiting(rig) == 1
        await rig.hub.answer(US, rig.hub.published[0], "applied")
        assert await rig.life(inbox_empty(rig))
        assert waiting(rig) == 1
        await rig.hub.receipts(US, rig.hub.log.receipts([1]))
        assert await rig.life(rig.quiet)
        assert [one.outcome for one in look(rig, lambda s: s.proofs.held(event))] == [
            "parked",
            "applied",
        ]

    asyncio.run(story())


def test_receipts_may_be_repeated_at_any_time(rig):
    """Whoever sends them may crash and begin anew."""

    async def story():
        rig.hub.repeats = True
        await one_event(rig)
        for _ in range(3):
            await rig.hub.receipts(US, rig.hub.log.receipts([0]))
        assert await rig.life(rig.quiet)
        await rig.hub.receipts(US, rig.hub.log.receipts([0]))
        assert await rig.life(rig.quiet)
        assert evidence(rig) == []
        assert look(rig, lambda state: state.counts()["final_total"]) == 1

    asyncio.run(story())


def test_a_refused_event_leaves_without_receipt(rig):
    """The ledger never saw it, so there is nothing to prove."""

    async def story():
        rig.hub.decide = lambda _: "refused"
        rig.case.happen(1)
        assert await rig.life(lambda: rig.case.told != [] and rig.quiet())

    asyncio.run(story())


def test_what_was_promised_cannot_be_refused(rig):
    """Else a hub could drop any event by refusing it afterwards. The refusal is one of a second copy."""

    async def story():
        rig.hub.silent = True
        rig.case.happen(1)
        assert await rig.life(lambda: len(rig.hub.published) == 1 and inbox_empty(rig)())
        await rig.hub.answer(US, rig.hub.published[0], "refused")
        assert await rig.life(inbox_empty(rig))
        assert waiting(rig) == 1
        assert rig.case.told == []

    asyncio.run(story())


@pytest.mark.parametrize("forge", ["key", "member"])
def test_a_promise_that_nobody_can_be_held_to_is_evidence(rig, forge):
    """It would keep us waiting an hour for a proof that is none."""

    async def story():
        await one_event(rig)
        said = rig.hub.log.promise(US, [b"x"])
        if forge == "key":
            rig.hub.log.promises = new_signer(bytes(32))
            said = rig.hub.log.promise(US, [b"x"])
        else:
            said = replace(said, member=THEM)
        await rig.hub.promise(US, said)
        assert await rig.life(inbox_empty(rig))
        (found,) = evidence(rig)
        assert found.kind == "promise"

    asyncio.run(story())


def test_a_checkpoint_with_another_root_than_ours_shows_two_logs(rig):
    """We cosigned one history; the receipt, cosigned by others, is of another one of the same size."""

    async def story():
        await one_event(rig)
        assert await rig.life(lambda: len(rig.hub.cosignatures) > 0)
        fork = other_history(rig.hub.log, lambda entry: entry[:-1] + b"!")
        await rig.hub.receipts(US, Receipts(fork.witnessed().decode(), ()))
        assert await rig.life(inbox_empty(rig))
        (found,) = evidence(rig)
        assert found.kind == "equivocation"
        shown = json.loads(found.payload)
        assert shown["first"].encode() == rig.hub.log.checkpoint()
        assert shown["second"].encode() == fork.witnessed()

    asyncio.run(story())


def test_receipts_that_an_old_policy_refused_are_tried_again(rig):
    """A member got a new witness key and our alliance.toml was behind: nobody sends those receipts a second time."""

    async def story():
        await one_event(rig)
        file = rig.config.folder / "alliance.toml"
        right = file.read_text("utf-8")
        other = FakeLog((US, "x"), 2, START).witnesses["x"].verifier.vkey
        file.write_text(right.replace(rig.hub.log.witnesses[THEM].verifier.vkey, other), "utf-8")
        rig.reload()
        await rig.hub.receipts(US, rig.hub.log.receipts([0]))
        assert await rig.life(inbox_empty(rig))
        assert [one.kind for one in evidence(rig)] == ["receipt"]
        file.write_text(right, "utf-8")
        rig.reload()
        assert await rig.life(rig.quiet)
        assert evidence(rig) == []

    asyncio.run(story())


def test_without_a_policy_the_outcome_is_enough(rig):
    """The first hour, and an alliance whose ledger has no log key yet."""

    async def story():
        await one_event(rig)
        assert waiting(rig) == 1
        file = rig.config.folder / "connector.toml"
        file.write_text(file.read_text("utf-8") + '\n[trust]\npolicy = "none"\n', "utf-8")
        rig.reload()
        assert await rig.life(rig.quiet)
        rig.case.happen(1)
        assert await rig.life(lambda: len(rig.hub.applied) == 2 and rig.quiet())
        assert look(rig, lambda state: state.counts()["final_total"]) == 0
        assert evidence(rig) == []

    asyncio.run(story())


def test_a_receipt_can_be_taken_along_and_verified_elsewhere(rig):
    """One file, the policy, nothing else: it must not need the hub or our state file."""

    async def story():
        event = await one_event(rig)
        out = rig.config.folder / "one.tlog-proof"
        assert call("receipts", rig.config.folder, "--event", event, "--out", out).exit_code == 2
        await rig.hub.receipts(US, rig.hub.log.receipts([0]))
        assert await rig.life(rig.quiet)
        assert call("receipts", rig.config.folder, "--event", event, "--out", out).exit_code == 0
        proof = LogProof.parse(out.read_bytes())
        logged = verify_proof(proof, leaf_hash(proof.extra), rig.config.trust.policy)
        assert logged.witnesses == {US, THEM}
        assert decode(proof.extra).event_id == event

    asyncio.run(story())


def test_people_settle_evidence_by_its_number(rig):
    """Else one mistake of the hub would be `failed` for ever."""

    async def story():
        await one_event(rig)
        await rig.hub.receipts(US, rig.hub.log.receipts([0], rig.hub.log.checkpoint()))
        assert await rig.life(inbox_empty(rig))
        out = rig.config.folder / "evidence.bin"
        assert call("receipts", rig.config.folder, "--evidence", 1, "--out", out).exit_code == 0
        assert decode(out.read_bytes()).proofs
        assert call("receipts", rig.config.folder, "--settle", 2).exit_code == 2
        assert call("receipts", rig.config.folder, "--settle", 1).exit_code == 0
        assert evidence(rig) == []

    asyncio.run(story())


_OLD_OUTBOX = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE cursors (source TEXT PRIMARY KEY, cursor TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (
  change INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, event TEXT NOT NULL, topic TEXT NOT NULL,
  key BLOB NOT NULL, value BLOB NOT NULL, headers TEXT NOT NULL,
  sent_at INTEGER, tries INTEGER NOT NULL DEFAULT 0, outcome TEXT);
CREATE TABLE parked (
  stage TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL, brief TEXT NOT NULL,
  payload TEXT NOT NULL, UNIQUE (stage, id));
"""


@pytest.mark.parametrize("readonly", [True, False], ids=["status", "run"])
def test_a_state_file_of_the_version_before_goes_on(rig, readonly):
    """Universities upgrade with events under way; the file is all they have of them."""

    async def story():
        rig.case.happen(1)
        rig.hub.down = True
        assert not await rig.life(lambda: False, within_s=5)
        (event,) = look(rig, lambda state: state.unsent(10))
        for file in rig.config.folder.glob("state.db*"):
            file.unlink()
        old = sqlite3.connect(rig.config.state_path)
        old.executescript(_OLD_OUTBOX)
        headers = json.dumps([(name, value.decode("latin-1")) for name, value in event.headers])
        row = (event.event_id, event.event, event.topic, event.key, event.value, headers)
        old.execute(
            "INSERT INTO outbox (event_id, event, topic, key, value, headers) VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )
        old.execute("INSERT INTO cursors VALUES ('campus', '1')")
        old.commit()
        old.close()
        if readonly:
            assert call("receipts", rig.config.folder, "--json").exit_code == 0
        rig.hub.down = rig.hub.withhold = False
        assert await rig.life(lambda: len(rig.hub.applied) == 1 and rig.quiet())
        assert look(rig, lambda state: state.counts()["final_total"]) == 1

    asyncio.run(story())


def test_events_of_one_page_have_one_signature_and_each_stands_alone(rig):
    """One check of the curve for a page, and yet any event of it can be shown without the others."""

    async def story():
        rig.hub.silent = True
        rig.case.happen(3)
        assert await rig.life(lambda: len(rig.hub.published) == 3)
        events = look(rig, lambda state: state._outgoing("1", (), 10))
        signatures = [dict(event.headers)["alliance_signature"] for event in events]
        assert len({signature[:64] for signature in signatures}) == 1
        key = rig.signers[US].key_id
        for event, signature in zip(events, signatures, strict=True):
            assert rig.config.alliance.verifier().valid(key, event.value, signature)
            assert not rig.config.alliance.verifier().valid(key, event.value + b"x", signature)

    asyncio.run(story())


# Keys that members announce -------------------------------------------------------------------------------------------


def key_changed(action: str, key: bytes | None, key_id: str, replaces: str | None = None, version: int = 1):  # fmt: skip
    about = {
        "event_id": f"20000000-0000-4000-8000-{version:012d}",
        "source": f"urn:alliance:member:{THEM}:campus",
        "member": THEM,
        "subject": f"{THEM}/keys",
        "partition_key": THEM,
        "occurred_at": "2026-09-01T08:00:00Z",
        "recorded_at": "2026-09-01T08:00:00Z",
        "aggregate_version": version,
    }
    values = {
        "envelope": about,
        "code": THEM,
        "action": action,
        "key_id": key_id,
        "replaces": replaces,
    }
    record = from_json("member.key-changed", values)
    return replace(record, public_key=key)


def parked_stages(rig: Rig) -> list[str]:
    return look(rig, lambda state: [row.stage for row in state.parked()])


def told_events(rig: Rig) -> set[str]:
    return {key.split(":")[1] for key in rig.case.told if key.startswith("event")}


NEW = new_signer(b"n" * 32)


@pytest.mark.parametrize("restart", [True, False])
def test_a_key_that_a_member_announced_is_believed_from_then_on(rig, restart):
    """alliance.toml is written once; keys are lost and replaced in the years after."""

    async def story():
        added = key_changed("add", NEW.public, NEW.key_id)
        await rig.hub.deliver(US, added, rig.signers[THEM])
        if restart:
            assert await rig.life(lambda: rig.case.told != [] and rig.quiet())
        request = their_request(1)
        await rig.hub.deliver(US, request, NEW)
        assert await rig.life(lambda: request.envelope.event_id in told_events(rig))
        assert parked_stages(rig) == []

    asyncio.run(story())


@pytest.mark.parametrize("action", ["revoke", "rotate"])
def test_a_key_that_a_member_gave_up_is_not_believed_after(rig, action):
    """Whoever stole it may still sign; the ledger refuses that, and we do not take the hub's word for it."""

    async def story():
        old = rig.signers[THEM]
        said = (
            key_changed("revoke", None, old.key_id)
            if action == "revoke"
            else key_changed("rotate", NEW.public, NEW.key_id, old.key_id)
        )
        await rig.hub.deliver(US, their_request(1), old)
        await rig.hub.deliver(US, said, old)
        await rig.hub.deliver(US, their_request(2), old)
        assert await rig.life(lambda: len(told_events(rig)) == 2 and rig.quiet())
        assert their_request(2).envelope.event_id not in told_events(rig)
        assert parked_stages(rig) == ["verify"]
        assert not await rig.life(lambda: len(told_events(rig)) > 2, within_s=60)

    asyncio.run(story())


def test_a_batch_that_the_campus_did_not_take_is_verified_as_before(rig):
    """The event that gives up a key is signed by it; brought again, it must still verify."""

    async def story():
        old = rig.signers[THEM]
        said = key_changed("revoke", None, old.key_id)
        reader = InboxReaderOf(rig)
        await rig.hub.deliver(US, said, old)
        (message,) = rig.hub._inboxes[f"member.{US}.in"]
        first, _ = reader.sort([message], 0)
        again, taken = reader.sort([message], 0)
        assert len(first) == len(again) == 1
        assert [key.valid for key in taken.proven.keys] == [False]

    asyncio.run(story())


def InboxReaderOf(rig: Rig):  # noqa: N802, stands for the class
    from connectors.sdk.runtime.incoming import InboxReader

    return InboxReader(US, rig.config.alliance, rig.config.trust, rig.state())


@pytest.mark.parametrize("lie", ["other owner", "other id"])
def test_a_member_cannot_take_anothers_key(rig, lie):
    """Else it could make another university's signature its own."""

    async def story():
        ours = rig.signers[US]
        key_id = ours.key_id if lie == "other owner" else NEW.key_id
        await rig.hub.deliver(US, key_changed("add", ours.public, key_id), rig.signers[THEM])
        assert await rig.life(rig.quiet)
        assert parked_stages(rig) == ["verify"]
        assert look(rig, lambda state: state.proofs.learned_keys()) == []

    asyncio.run(story())


# The table [trust] ----------------------------------------------------------------------------------------------------


def configured(tmp_path, table: str, log: FakeLog | None):
    write_alliance(tmp_path, log=log)
    rig_file = tmp_path / "connector.toml"
    rig_file.write_text(
        f'[member]\ncode = "{US}"\nkey = {{ file = "{US}.key" }}\n[kafka]\nbootstrap = "b:1"\n'
        f'[trust]\n{table}\n[sink.campus]\nkind = "http_push"\nbase_url = "http://c"\npath = "/inbox"\n',
        "utf-8",
    )
    return load_config(tmp_path, {})


FAULTS = {
    "no file": ('policy = "policy.txt"', "trust.policy: cannot read policy.txt"),
    "no policy": ('policy = { file = "connector.toml" }', "trust.policy: connector.toml: policy line 1"),
    "no key": ('witness = { file = "x.witness" }', "trust.witness: cannot read x.witness"),
    "not a key": (f'witness = {{ file = "{US}.key" }}', "trust.witness"),
    "no cosigner": ('witness = "none"\nwitness_http = "127.0.0.1:80"', "nobody to cosign; add trust.witness"),
    "a typing mistake": ('witnes = "x"', "did you mean witness?"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_trust_that_cannot_be_is_refused_with_the_fix(tmp_path, name):
    """A connector that quietly believed everybody would be worse than one that does not start."""
    table, words = FAULTS[name]
    with pytest.raises(ConfigError, match=r"connector\.toml") as found:
        configured(tmp_path, table, FakeLog((US, THEM), 1, START))
    assert words in str(found.value)


def test_a_witness_that_no_policy_knows_is_refused(tmp_path):
    """It would cosign for years and never count."""
    log = FakeLog((US, THEM), 1, START)
    stranger = FakeLog((US, "x"), 1, START).witnesses["x"]
    (tmp_path / "x.witness").write_text(stranger.private_text, "ascii")
    with pytest.raises(ConfigError, match="is no witness of the alliance"):
        configured(tmp_path, 'witness = { file = "x.witness" }', log)


@pytest.mark.parametrize("say_no", [True, False])
def test_a_member_with_a_witness_key_is_a_witness_unless_it_says_no(tmp_path, say_no):
    """A quorum is reached by what happens by itself; keygen puts that key beside the member's own."""
    config = configured(
        tmp_path, 'witness = "none"' if say_no else "", FakeLog((US, THEM), 1, START)
    )
    assert (config.trust.witness is None) == say_no


def test_a_policy_file_stands_for_itself(tmp_path):
    """A member may ask for more than the alliance does."""
    log = FakeLog((US, THEM), 1, START)
    write_alliance(tmp_path, log=log)
    (tmp_path / "policy.txt").write_text(
        f"log {log.signer.verifier.vkey}\nwitness w {log.witnesses[THEM].verifier.vkey}\nquorum w\n", "utf-8"
    )  # fmt: skip
    config = configured(tmp_path, 'policy = { file = "policy.txt" }', log)
    assert config.trust.policy.quorum == "w"


def test_an_alliance_without_a_log_key_is_believed(tmp_path):
    """Everything is as it was before there were receipts; a witness key in the folder waits."""
    config = configured(tmp_path, 'witness = { file = "not-yet.witness" }', None)
    assert config.trust.policy is None
    assert config.trust.witness is None


def test_an_outbox_of_ten_thousand_is_looked_through_quickly(tmp_path):
    """Each heartbeat asks what is overdue; twenty campuses share a process."""
    state = State(tmp_path / "state.db")
    events = [
        Outgoing(str(number), "offering.changed", "t", b"k", str(number).encode(), [])
        for number in range(10_000)
    ]
    state.commit_page("campus", "1", Mapped(events=events), 0)
    assert state.receipts_overdue_count(10**13, 1) == (0, "")
    plan = state._db.execute(
        "EXPLAIN QUERY PLAN SELECT 1 FROM promises WHERE event_hash = ?", (b"",)
    )
    assert "PRIMARY KEY" in str(plan.fetchall())
    state.close()
