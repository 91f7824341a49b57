"""The hub's promises: what is signed, who can be held to it, and when admission makes one."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from connectors.sdk.testing import THEM, US, their_request, write_alliance
from connectors.sdk.testing.log import FakeLog
from hub.errors import SettingsError
from hub.flow.admission import Promiser, _settle, load_promiser, sort_out
from hub.flow.kafka import Message
from hub.settings import read_settings
from schemas import topics
from schemas.codec import decode, encode
from schemas.envelope import KEY_ID, SIGNATURE, header, to_millis
from schemas.members import load_alliance
from schemas.promises import event_hash, kept_to, promise, statement
from schemas.signing import new_signer

MADE = datetime(2026, 9, 1, tzinfo=UTC)
MERGE = MADE + timedelta(hours=1)
KEY = new_signer(b"k" * 32)


def test_the_statement_is_member_time_and_hashes_line_by_line():
    """Another language must be able to make the same bytes from this sentence."""
    hashes = [sha256(b"a").digest(), sha256(b"b").digest()]
    assert statement("10611", 1_788_224_400_000, hashes) == (
        b"10611\n1788224400000\n"
        + hashes[0].hex().encode()
        + b"\n"
        + hashes[1].hex().encode()
        + b"\n"
    )


def test_a_promise_holds_its_maker_and_nobody_else():
    """It is read years later, by people who do not trust one another."""
    said = decode(encode(promise(KEY, US, [b"one", b"two"], MADE, MERGE)))
    assert said.event_hashes == (event_hash(b"one"), event_hash(b"two"))
    assert kept_to(said, KEY.public)
    assert not kept_to(said, new_signer(b"o" * 32).public)


@pytest.mark.parametrize(
    "change",
    [
        {"member": THEM},
        {"merge_by": MERGE + timedelta(milliseconds=1)},
        {"event_hashes": (event_hash(b"two"),)},
        {"event_hashes": ()},
        {"signature": bytes(64)},
        {"signature": b""},
        {"key_id": "0" * 16},
    ],
    ids=lambda change: next(iter(change)),
)
def test_nothing_of_a_promise_can_be_changed(change):
    """Neither may the hub move its deadline, nor a member invent a promise."""
    said = promise(KEY, US, [b"one"], MADE, MERGE)
    assert not kept_to(replace(said, **change), KEY.public)


def test_a_promise_is_no_signature_of_an_event():
    """The hub's promise key must not be able to sign anything that moves value, nor a member's key to promise."""
    said = promise(KEY, US, [b"one"], MADE, MERGE)
    body = statement(US, to_millis(MERGE), said.event_hashes)
    assert said.signature != KEY.sign(body)
    assert not kept_to(replace(said, signature=KEY.sign(body)), KEY.public)


@pytest.fixture
def alliance(tmp_path):
    write_alliance(tmp_path, log=FakeLog((US, THEM), 1, MADE))
    return load_alliance(tmp_path / "alliance.toml")


def admitted(alliance, signers, *numbers_of: tuple[str, int]):
    """The work of a batch with one request for each (home, number); a number of 0 is not signed."""
    messages = []
    for home, number in numbers_of:
        record = their_request(number, home, THEM if home == US else US)
        value = encode(record)
        headers = [
            (KEY_ID, signers[home].key_id.encode()),
            (SIGNATURE, signers[home].sign(value) if number else b"x" * 64),
        ]
        key = record.envelope.partition_key.encode()
        messages.append(Message(topics.outbox(home), 0, number, 0, key, value, headers))
    return sort_out(messages, frozenset(alliance.members), alliance.verifier(), lambda: 0), messages


def test_each_member_of_a_batch_gets_one_promise_for_what_was_admitted(alliance, tmp_path):
    """One signature for up to 500 events; what was refused is promised to nobody."""
    signers = write_alliance(tmp_path)
    work, messages = admitted(alliance, signers, (US, 1), (THEM, 2), (US, 3), (US, 0))
    made = dict(Promiser(KEY, 3_600_000).promises(work, to_millis(MADE)))
    assert sorted(made) == [topics.inbox(THEM), topics.inbox(US)]
    ours = decode(made[topics.inbox(US)].value)
    assert ours.event_hashes == (event_hash(messages[0].value), event_hash(messages[2].value))
    assert (ours.member, ours.made_at, ours.merge_by) == (US, MADE, MERGE)
    assert kept_to(ours, KEY.public)
    assert header(made[topics.inbox(US)].headers, "alliance_kind") == b"promise"
    assert header(made[topics.inbox(US)].headers, "alliance_ledgerseq") is None


class SlowWriter:
    """Writes what it is given, and remembers the order."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def send(self, topic, records):
        self.seen.append(topic)
        return [asyncio.ensure_future(asyncio.sleep(0, len(records)))]


@pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without"])
def test_a_promise_is_made_only_of_what_kafka_has(alliance, tmp_path, key):
    """A promise before the acknowledgement would be broken by a broker that dies right then."""
    signers = write_alliance(tmp_path)

    async def story():
        work, _ = admitted(alliance, signers, (US, 1))
        writer = SlowWriter()
        ack = asyncio.get_running_loop().create_future()
        promiser = Promiser(key, 1000) if key else None
        settling = asyncio.ensure_future(_settle(writer, work, [ack], promiser, lambda: 0))
        for _ in range(10):
            await asyncio.sleep(0)
        assert writer.seen == []
        ack.set_result(7)
        await settling
        assert writer.seen == ([topics.inbox(US)] if key else [])

    asyncio.run(story())


def test_admission_promises_with_the_key_that_members_expect_or_not_at_all(alliance, tmp_path):
    """A promise under any other key would count as evidence against the hub."""
    log = FakeLog((US, THEM), 1, MADE)
    file = tmp_path / "promises.key"
    assert load_promiser(file, alliance, 1000) is None
    file.write_bytes(log.promises.pem())
    assert load_promiser(file, alliance, 1000) == Promiser(log.promises, 1000)
    assert load_promiser(file, replace(alliance, promise_key=None), 1000) is None
    file.write_bytes(KEY.pem())
    with pytest.raises(SettingsError, match=r"is not log\.promise_key"):
        load_promiser(file, alliance, 1000)
    file.write_bytes(b"rubbish")
    with pytest.raises(SettingsError, match="holds no key for promises"):
        load_promiser(file, alliance, 1000)


def test_how_long_a_promise_takes_is_a_setting():
    """An hour unless the operators say otherwise; members can hold them to it either way."""
    assert read_settings({}).merge_s == 3600
    assert read_settings({"ALLIANCE_MERGE_S": "60"}).merge_s == 60
    with pytest.raises(SettingsError, match="ALLIANCE_MERGE_S is 'soon'"):
        read_settings({"ALLIANCE_MERGE_S": "soon"})
