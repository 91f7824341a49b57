"""The path of value on a real broker: bad input, crashes, and two sequencers at once.

One broker of our own and one ledger for all tests here, each going on where the last one stopped.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import signal
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.record._crc32c import crc as crc32c

from hub.bench.workload import Maker, make_cases, waves
from hub.broker.kafka import remembered
from hub.broker.resolve import BrokerSettings, resolve_broker
from hub.events import rules
from hub.flow import sequencer
from hub.flow.kafka import REQUEST_BYTES
from hub.run.supervisor import alliance_command
from schemas import topics
from schemas.catalogue import catalogue
from schemas.codec import decode, encode
from schemas.envelope import EVENT_BYTES, SIGNATURE
from tests.support.broker import private_broker
from tests.support.flow import ALLIANCE, SIGNERS, STRANGER, Sent, sent, signed_bytes
from tests.support.flow_kafka import (
    PARTS,
    Hub,
    assert_told_once,
    dead_letters,
    hub,
    publish,
    read,
    told,
)
from tests.support.ledger import HOME, HOST, MEMBERS, OTHER, Ledger

pytestmark = pytest.mark.kafka

CRASH_EVENTS = 2000


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the broker keeps its data."""
    return tmp_path_factory.mktemp("flow-broker")


@pytest.fixture(scope="module")
def own_broker(state: Path) -> Iterator[str]:
    """A broker whose ledger topics are ours alone."""
    with private_broker(state) as found:
        yield found.bootstrap


def ids(messages: list[Sent]) -> list[str]:
    return [decode(m.value or b"").envelope.event_id for m in messages]  # type: ignore[union-attr]


def test_bad_input_has_its_named_end_and_the_next_good_event_goes_through(
    own_broker: str, tmp_path: Path
) -> None:
    """Whatever a member sends: a reason, a message in its inbox, and no one held up."""
    asyncio.run(_bad_input(own_broker, tmp_path))


async def _bad_input(bootstrap: str, folder: Path) -> None:
    desk = Ledger()
    good = iter(
        sent(desk.record("offering.changed", host=HOST, offering_id=f"good-{number}"))
        for number in range(100)
    )
    hub_record = struct.pack(">bI", 0, catalogue().schema_id(catalogue().newest["ledger.entry"]))
    offering = sent(desk.record("offering.changed", host=HOST, offering_id="bad", id="bad"))
    stolen = Ledger().record("offering.changed", host=OTHER, offering_id="stolen")
    stranger = Ledger().record("offering.changed", host="99999", offering_id="strange")
    of_home = Ledger().record("enrollment.requested", home=HOME, host=HOST, by=HOST)
    bad: list[tuple[str, Sent]] = [
        ("UNREADABLE", offering.but(value=b"\xde\xad\xbe\xef")),
        ("UNREADABLE", offering.but(value=None)),
        ("UNREADABLE", signed_bytes((offering.value or b"")[:-4], HOST)),
        ("SCHEMA_UNKNOWN", signed_bytes(struct.pack(">bI", 0, 4711) + b"x", HOST)),
        ("SCHEMA_INVALID", signed_bytes(hub_record + b"x", HOST)),
        ("SIGNATURE_INVALID", offering.with_header(SIGNATURE, None)),
        ("SIGNATURE_INVALID", offering.with_header(SIGNATURE, bytes(64))),
        ("SIGNATURE_INVALID", sent(desk.record("offering.changed", host=HOST), STRANGER)),
        ("NOT_WRITER", sent(of_home)),
        ("NOT_WRITER", sent(stolen).but(topic=topics.outbox(HOST))),
        ("UNKNOWN_MEMBER", sent(stranger, SIGNERS[HOST]).but(topic=topics.outbox(HOST))),
        ("KEY_MISMATCH", offering.but(key=b"other")),
        ("TOO_LARGE", sent(desk.record("offering.changed", host=HOST, offering_id="big", discipline_code="x" * EVENT_BYTES))),
        ("UNREADABLE", Sent(topics.outbox(HOST), b"k" * 300_000, b"v" * 20_000, [("h", b"x" * 600_000)])),
    ]  # fmt: skip
    mixed: list[Sent] = []
    after: list[str] = []
    for _, message in bad:
        following = next(good)
        mixed += [message, following]
        after += ids([following])
    async with hub(bootstrap, folder, *PARTS) as running:
        offsets = await publish(bootstrap, mixed)
        await running.settled(after)
        outcomes, refusals = await told(bootstrap, HOST)
        letters = await dead_letters(bootstrap)
        for (reason, message), offset in zip(bad, offsets[::2], strict=True):
            refusal, letter = refusals[offset], letters[topics.outbox(HOST), offset]
            assert (refusal.outcome, refusal.reason, refusal.seq) == ("refused", reason, None)
            assert letter.reason == reason
            assert refusal.developer_message == letter.developer_message != ""
            assert refusal.user_message_zh
            assert refusal.user_message_en
            assert refusal.next_actor in ("it", "office")
            if len(message.value or b"") <= EVENT_BYTES:
                assert letter.value == message.value
        assert len(refusals) == len(bad)
        assert all([o.outcome for o in outcomes[event]] == ["applied"] for event in after)
        assert ids([offering])[0] not in outcomes, "what was refused is not in the ledger"

        await _packed(bootstrap, running, next(good))
        await _handmade(bootstrap, running, good)
        await _ledger_refusals(bootstrap, running, desk, good)
        await assert_told_once(running)


async def _packed(bootstrap: str, running: Hub, good: Sent) -> None:
    """A small batch on the wire, a large one unpacked: what the hub could not pass on is not taken from the member."""
    record = Ledger().record(
        "offering.changed", host=HOST, offering_id="packed", discipline_code="x" * 3_000_000
    )
    message = sent(record)
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type="gzip", max_request_size=20_000_000
    )
    assert len(gzip.compress(message.value or b"")) < 100_000
    await client.start()
    try:
        with pytest.raises(MessageSizeTooLargeError):
            await client.send_and_wait(message.topic, message.value, key=message.key)
        small = await client.send_and_wait(
            good.topic, good.value, key=good.key, headers=good.headers, timestamp_ms=1
        )
    finally:
        await client.stop()
    await running.settled(ids([good]))
    stored = (await read(bootstrap, good.topic))[small.offset]
    assert stored.timestamp_ms > 1_700_000_000_000, "the broker's time, not the member's"


async def _handmade(bootstrap: str, running: Hub, good: Iterator[Sent]) -> None:
    """A header name that is no UTF-8, as a client in C may write it: Kafka takes it, Python clients raise."""
    before, behind, after = next(good), next(good), next(good)
    await publish(bootstrap, [before])
    client = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await client.start()
    try:
        batch = client.create_batch()
        batch.append(timestamp=None, key=b"k", value=b"v", headers=[("NAME", b"x")])
        batch.append(timestamp=None, key=behind.key, value=behind.value, headers=behind.headers)
        build = batch._build

        def built() -> bytes:
            return with_checksum(bytes(build()).replace(b"NAME", b"\xff\xfe\xff\xfe"))

        batch._build = built
        first = (await (await client.send_batch(batch, topics.outbox(HOST), partition=0))).offset
    finally:
        await client.stop()
    await publish(bootstrap, [after])
    await running.settled(ids([before, after]))
    outcomes, refusals = await told(bootstrap, HOST)
    for offset in (first, first + 1):
        assert refusals[offset].reason == "UNREADABLE"
        assert "not UTF-8" in refusals[offset].developer_message
    assert [o.outcome for o in outcomes[ids([after])[0]]] == ["applied"]


def with_checksum(batch: bytes) -> bytes:
    """A record batch (format 2) with its CRC-32C made right: over all from the attributes on, at byte 17."""
    return batch[:17] + struct.pack(">I", crc32c(batch[21:])) + batch[21:]


async def _ledger_refusals(
    bootstrap: str, running: Hub, desk: Ledger, good: Iterator[Sent]
) -> None:
    """What admission lets in and the rules do not, each with a good event behind it."""
    offer = desk.record("offering.changed", host=HOST, offering_id="calculus", capacity=1)
    await publish(bootstrap, [sent(offer)])
    await running.settled([offer.envelope.event_id])
    facts: dict[str, Any] = {"home": HOME, "host": HOST, "offering_id": "calculus"}
    requests = [
        desk.record("enrollment.requested", enrollment_id=name, student_id="s", **facts)
        for name in ("e1", "e2")
    ]
    early = desk.record("enrollment.requested", enrollment_id="e3", student_id="s", home=HOME, host=HOST,
                        offering_id="later")  # fmt: skip
    await publish(bootstrap, [sent(record) for record in (*requests, early)])
    await running.settled([record.envelope.event_id for record in (*requests, early)])

    def decided(name: str, **said: Any) -> Any:
        return desk.record("enrollment.decided", enrollment_id=name, **facts, **said)

    first = decided("e1", decision="accepted", decides=1)
    expected: list[tuple[str, str | None, Any]] = [
        ("applied", None, first),
        ("rejected", "ILLEGAL_TRANSITION", decided("e1", decision="accepted", decides=1)),
        ("rejected", "QUOTA_EXCEEDED", decided("e2", decision="accepted", decides=1)),
        ("rejected", "STALE_VERSION", decided("e2", decision="denied", decides=7)),
        ("rejected", "STALE_VERSION", decided("e2", decision="denied", decides=1, version=1)),
        ("parked", "VERSION_GAP", decided("e2", decision="denied", decides=1, version=9)),
        ("duplicate", "SAME_EVENT", first),
        ("conflict", "SAME_ID_OTHER_CONTENT", decided("e2", decision="denied", decides=1, id=first.envelope.event_id)),
    ]  # fmt: skip
    mixed = [m for _, _, record in expected for m in (sent(record), next(good))]
    offsets = await publish(bootstrap, mixed)
    await running.settled(ids(mixed))
    outcomes, _ = await told(bootstrap, HOST)
    by_offset = {o.source_offset: o for held in outcomes.values() for o in held}
    for (outcome, reason, _), offset in zip(expected, offsets[::2], strict=True):
        found = by_offset[offset]
        assert (found.outcome, found.reason) == (outcome, reason), found.developer_message
        assert reason is None or (found.developer_message and found.user_message_zh)
        assert by_offset[offset + 1].outcome == "applied", "the good event behind it"

    late = desk.record("offering.changed", host=HOST, offering_id="later")
    await publish(bootstrap, [sent(late)])
    await running.settled([late.envelope.event_id])
    outcomes, _ = await told(bootstrap, HOME)
    assert [o.outcome for o in outcomes[early.envelope.event_id]] == ["parked", "applied"]


def workload(seed: int, cases: int) -> list[Sent]:
    """Signed events of whole cases with their own offerings, each member's own in order."""
    rooms = [
        Ledger().record("offering.changed", host=host, offering_id=f"{seed}-{host}", capacity=10_000,
                        id=f"offering-{seed}-{host}")
        for host in MEMBERS
    ]  # fmt: skip
    made = [
        replace(case, number=case.number + seed * 100_000, offering_id=f"{seed}-{case.host}")
        for case in make_cases(MEMBERS, cases, seed)
    ]
    signed = [event for _, wave in waves(Maker(SIGNERS, seed), made) for event in wave]
    return [sent(room) for room in rooms] + [
        Sent(topics.outbox(event.member), event.key, event.value, event.headers) for event in signed
    ]


async def assert_applied_once(running: Hub, events: list[Sent]) -> None:
    """Nothing lost, nothing doubled: each event took effect exactly once, whatever was repeated on the way."""
    _, entries = await running.replayed()
    wanted = set(ids(events))
    applied = Counter(
        e.event_id for e in entries if e.outcome == "applied" and e.event_id in wanted
    )
    assert set(applied.values()) == {1}
    assert applied.keys() == wanted
    others = {e.outcome for e in entries if e.event_id in wanted and e.outcome != "applied"}
    assert others <= {"parked", "duplicate"}


def test_kills_at_random_lose_nothing_and_double_nothing(own_broker: str, tmp_path: Path) -> None:
    """kill -9 of admission, sequencer and delivery while 2,000 events run."""
    asyncio.run(_kills(own_broker, tmp_path))


async def _kills(bootstrap: str, folder: Path) -> None:
    rng = random.Random(20)
    events = workload(2, CRASH_EVENTS // 6)
    async with hub(bootstrap, folder, *PARTS) as running:
        sending = asyncio.create_task(publish(bootstrap, events, slices=80))
        kills = 0
        while not sending.done() or kills < 9:
            await asyncio.sleep(rng.uniform(0.5, 3.0))
            running.kill(PARTS[kills % 3] if kills < 6 else rng.choice(PARTS))
            kills += 1
        await sending
        await running.settled(ids(events))
        await assert_applied_once(running, events)
        await assert_told_once(running)
        assert sum(part.kills for part in running.supervisor.parts.values()) >= 6


def test_a_second_sequencer_stands_by_and_takes_over(own_broker: str, tmp_path: Path) -> None:
    """The group gives the one partition to one of them; when that one dies, to the other."""
    asyncio.run(_take_over(own_broker, tmp_path))


async def _take_over(bootstrap: str, folder: Path) -> None:
    events = workload(3, 20)
    async with hub(bootstrap, folder, "admission", "delivery") as running:
        await running.start("sequencer", "1")
        await running.start("sequencer", "2")

        half = len(events) // 2
        await publish(bootstrap, events[:half])
        await running.settled(ids(events[:half]))
        first, second = sorted(
            ("sequencer.1", "sequencer.2"),
            key=lambda name: running.last_said(name, "leading"),
            reverse=True,
        )
        before = running.last_said(second, "leading")
        await running.supervisor.stop(first)
        await publish(bootstrap, events[half:])
        await running.settled(ids(events))
        assert running.last_said(second, "leading") > before
        await assert_applied_once(running, events)
        await assert_told_once(running)


def test_two_sequencers_at_once_are_harmless(
    own_broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zombie in a group of its own: both append, readers take the first that fits, the log stays dense."""
    monkeypatch.setattr(sequencer, "GROUP", "hub.sequencer.zombie")
    asyncio.run(_zombie(own_broker, tmp_path))


async def _zombie(bootstrap: str, folder: Path) -> None:
    events = workload(4, 60)
    async with hub(bootstrap, folder, *PARTS) as running:
        stop = asyncio.Event()
        zombie = asyncio.create_task(
            sequencer.run_sequencer(bootstrap, ALLIANCE, rules(), stop, "zombie")
        )
        try:
            await running.until("both lead", lambda: running.last_said("sequencer.1", "leading"))
            await publish(bootstrap, events, slices=16)
            await running.settled(ids(events))
        finally:
            stop.set()
            await zombie
        found, _ = await running.replayed()
        records = await read(bootstrap, topics.LEDGER_ENTRIES)
        assert len(records) == found.state.head.seq + found.replay.void
        assert found.replay.void > 0, "they never met; the test proved nothing"
        await assert_applied_once(running, events)
        await assert_told_once(running)


def test_a_killed_broker_costs_time_and_nothing_else(
    own_broker: str, state: Path, tmp_path: Path
) -> None:
    """kill -9 of the broker with events on their way; the parts find it again, or are started again."""
    asyncio.run(_broker_killed(own_broker, state, tmp_path))


async def _broker_killed(bootstrap: str, state: Path, folder: Path) -> None:
    events = workload(6, 60)
    async with hub(bootstrap, folder, *PARTS) as running:
        await publish(bootstrap, events[:20])
        await running.settled(ids(events[:20]))
        sending = asyncio.create_task(publish(bootstrap, events[20:], slices=20))
        for _ in range(2):
            await asyncio.sleep(2)
            node = remembered(state)
            assert node is not None
            assert node.pid is not None
            os.kill(node.pid, signal.SIGKILL)
            await asyncio.sleep(1)
            environ = {**os.environ, "ALLIANCE_BROKER": "java", "ALLIANCE_BOOTSTRAP": ""}
            again = await asyncio.to_thread(
                resolve_broker, BrokerSettings.read(environ, state=state)
            )
            assert again.bootstrap == bootstrap
        await sending
        await running.settled(ids(events))
        await assert_applied_once(running, events)
        await assert_told_once(running)


def test_one_input_may_release_more_than_kafka_takes_in_one_batch(
    own_broker: str, tmp_path: Path
) -> None:
    """Two hundred large requests wait for one offering: all come free with one input, none of them halts the log."""
    asyncio.run(_large_release(own_broker, tmp_path))


LARGE = 220  # times 40 kB


async def _large_release(bootstrap: str, folder: Path) -> None:
    desk = Ledger()
    waiting = [
        sent(
            desk.record(
                "enrollment.requested", enrollment_id=f"large-{number}", offering_id="large", home=HOME,
                host=HOST, major_code="x" * 40_000, id=f"large-{number}",
            )
        )
        for number in range(LARGE)
    ]  # fmt: skip
    key = sent(desk.record("offering.changed", host=HOST, offering_id="large", id="large"))
    assert sum(len(message.value or b"") for message in waiting) > REQUEST_BYTES
    async with hub(bootstrap, folder, *PARTS) as running:
        await publish(bootstrap, waiting)
        await running.settled(ids(waiting))
        await publish(bootstrap, [key])
        await running.settled(ids([key]))
        _, entries = await running.replayed()
        assert [e.input_index for e in entries[-LARGE - 1 :]] == list(range(LARGE + 1))
        await assert_applied_once(running, [key, *waiting])
        await assert_told_once(running)


def test_a_slip_in_the_log_topic_is_void(own_broker: str, tmp_path: Path) -> None:
    """Someone wrote junk into ledger.entries by hand: no reader stops, and none takes it."""
    asyncio.run(_junk(own_broker, tmp_path))


async def _junk(bootstrap: str, folder: Path) -> None:
    events = workload(5, 4)
    async with hub(bootstrap, folder, *PARTS) as running:
        await publish(bootstrap, events[:12])
        await running.settled(ids(events[:12]))
        before, entries = await running.replayed()
        again = encode(entries[-1])
        junk = [Sent(topics.LEDGER_ENTRIES, None, value, []) for value in (b"junk", again)]
        await publish(bootstrap, junk)
        await publish(bootstrap, events[12:])
        await running.settled(ids(events))
        found, _ = await running.replayed()
        assert found.replay.void >= before.replay.void + 2
        await assert_applied_once(running, events)
        await assert_told_once(running)
        await _verified(running, found.state.head.seq)


async def _verified(running: Hub, seq: int) -> None:
    """`alliance ledger verify` recomputes it all, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *alliance_command("ledger", "verify", "--json"),
        env={**os.environ, **running.supervisor.env}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    said = json.loads(output)
    assert (process.returncode, said["verify"], said["seq"]) == (0, "ok", seq), said
