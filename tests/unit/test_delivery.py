"""Who is told what about an entry, and where delivery goes on after a crash."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.errors import LedgerCorrupt
from hub.flow.delivery import deliveries, head_of, note_of, outcome_record
from hub.flow.kafka import Message, Outgoing, cut, newest_seqs, plain_reader
from hub.flow.latency import percentiles
from hub.flow.plan import topic_plan
from hub.flow.sequencer import read_input
from hub.ledger.head import Head
from schemas import topics
from schemas.codec import decode
from schemas.envelope import KEY_ID, KIND, LEDGER_SEQ, PUBLISHED_AT, SIGNATURE
from schemas.records import Entry, Outcome
from tests.support.flow import ALLIANCE, sent
from tests.support.flow_bus import Bus, on_the_bus, run_virtually
from tests.support.ledger import FOURTH, HOME, HOST, MEMBERS, OTHER, T0_MS, Ledger


def told(entry: Entry) -> dict[str, list[Outgoing]]:
    found: dict[str, list[Outgoing]] = {}
    for topic, message in deliveries(entry, MEMBERS):
        found.setdefault(topic, []).append(message)
    return found


def kinds(entry: Entry) -> dict[str, list[str]]:
    return {
        topic: [dict(message.headers).get(KIND, b"").decode() for message in messages]
        for topic, messages in told(entry).items()
    }


def test_of_an_applied_event_the_sender_gets_the_outcome_and_the_others_the_event() -> None:
    """Nobody gets both: one message per member and entry, so that one number orders an inbox."""
    ledger = Ledger()
    ledger.offer()
    entry = ledger.request("e1")
    assert kinds(entry) == {
        topics.inbox(HOME): ["outcome"],
        topics.inbox(HOST): ["event"],
        "alliance.enrollment": ["event"],
    }
    assert kinds(ledger.entries[0].entry) == {
        topics.inbox(HOST): ["outcome"],
        "alliance.offering": ["event"],
        **{topics.inbox(member): ["event"] for member in (HOME, OTHER, FOURTH)},
    }


@pytest.mark.parametrize("outcome", ["rejected", "parked", "duplicate", "conflict"])
def test_of_anything_else_only_the_sender_hears(outcome: str) -> None:
    """What had no effect is nobody else's business."""
    ledger = Ledger()
    if outcome == "rejected":
        ledger.offer(capacity=-1)
    elif outcome == "parked":
        ledger.request("e1")
    elif outcome == "duplicate":
        ledger.again(ledger.offer())
    else:
        ledger.offer(id=ledger.offer().event_id)
    entry = ledger.last[0]
    assert entry.outcome == outcome
    assert kinds(entry) == {topics.inbox(entry.member): ["outcome"]}


def test_an_outcome_names_event_number_reason_and_who_acts_next() -> None:
    """What a connector shows to people, in both languages."""
    ledger = Ledger()
    first = ledger.offer(capacity=2)
    entry = ledger.offer(capacity=-1)
    (message,) = told(entry)[topics.inbox(HOST)]
    outcome = decode(message.value)
    assert outcome == outcome_record(entry)
    assert isinstance(outcome, Outcome)
    assert (outcome.event_id, outcome.seq, outcome.outcome) == (entry.event_id, 2, "rejected")
    assert (outcome.reason, outcome.next_actor) == ("QUOTA_EXCEEDED", "office")
    assert (outcome.source_topic, outcome.source_offset) == ("member.10611.out", 1)
    assert outcome.developer_message == entry.detail
    assert outcome.user_message_zh
    assert outcome.user_message_en
    done = outcome_record(first)
    assert (done.reason, done.next_actor, done.user_message_en, done.retryable) == (
        None,
        None,
        "",
        False,
    )


def test_an_event_is_delivered_as_its_member_signed_it() -> None:
    """Bytes, key id and signature verbatim: the receiver checks them itself."""
    ledger = Ledger()
    message = sent(ledger.record("offering.changed", host=HOST, offering_id="calculus"))
    held = dict(message.headers)
    entry = replace(
        ledger.say(decode(message.value or b"")),
        key_id=held[KEY_ID].decode(),
        signature=held[SIGNATURE],
    )
    (event,) = told(entry)["alliance.offering"]
    headers = dict(event.headers)
    assert event.value == message.value
    assert ALLIANCE.verifier().valid(headers[KEY_ID].decode(), event.value, headers[SIGNATURE])
    for name in ("ce_id", "ce_type", "ce_subject", "ce_time", "ce_specversion", "content-type"):
        assert headers[name] == held[name]
    assert headers[LEDGER_SEQ] == str(entry.seq).encode()
    assert headers[PUBLISHED_AT] == str(T0_MS).encode()
    assert event.key == b"calculus"


def test_every_message_has_the_entrys_number() -> None:
    """The reading rule of the inboxes rests on it."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    for written in ledger.entries:
        for _, message in deliveries(written.entry, MEMBERS):
            assert dict(message.headers)[LEDGER_SEQ] == str(written.entry.seq).encode()


def test_a_university_that_left_gets_nothing_and_stops_nobody() -> None:
    """Its last events still concern others; its inbox is gone."""
    ledger = Ledger()
    entry = ledger.offer()
    left = frozenset(MEMBERS) - {HOST, FOURTH}
    assert {topic for topic, _ in deliveries(entry, left)} == {
        "alliance.offering", topics.inbox(HOME), topics.inbox(OTHER),
    }  # fmt: skip


def test_all_that_is_delivered_has_a_planned_topic() -> None:
    """Topics are never made on the way."""
    planned = {spec.name for spec in topic_plan(MEMBERS)}
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.project("p1", HOST)
    ledger.tell("member.profile-changed", code=HOST)
    used = {topic for w in ledger.entries for topic, _ in deliveries(w.entry, MEMBERS)}
    assert used <= planned


def test_the_head_is_kept_with_the_position() -> None:
    """Offset and head in one commit: they cannot disagree."""
    head = Head(17, bytes(range(32)))
    assert head_of(note_of(head)) == head


@pytest.mark.parametrize(
    "note", ["", "17", "17:abc", ":" + "0" * 64, "-1:" + "0" * 64, "x:" + "0" * 64]
)
def test_a_position_without_a_head_stops_delivery(note: str) -> None:
    """Someone reset the group by hand; the message says how to do it right."""
    with pytest.raises(LedgerCorrupt, match="wanted seq:hash; reset"):
        head_of(note)


@pytest.mark.parametrize(
    ("numbers", "newest"),
    [
        ([], 0),
        ([None] * 3, 0),
        ([1], 1),
        ([1, 5, 7], 7),
        ([1, 5, 7, 5, 6], 7),
        ([1, 2] + [None] * 60, 2),
        ([3] + [None] * 2000, 3),
        (list(range(1, 500)), 499),
    ],
    ids=[
        "empty",
        "refusals",
        "one",
        "some",
        "a late repeat",
        "behind refusals",
        "far behind",
        "many",
    ],
)
def test_the_newest_number_of_an_output_is_found_behind_refusals(
    numbers: list[int | None], newest: int
) -> None:
    """An inbox ends with refusals when a connector goes wrong; delivery must not begin again for that."""

    async def look() -> dict[str, int]:
        bus = Bus(1)
        for number in numbers:
            headers = () if number is None else ((LEDGER_SEQ, str(number).encode()),)
            bus.append("inbox", [(None, b"", headers)])
        bus.append("other", [(None, b"", ((LEDGER_SEQ, b"9"),))])
        with on_the_bus(bus):
            async with plain_reader("bus", [("inbox", 0), ("other", 0)], "test") as reader:
                return await newest_seqs(reader, ["inbox", "other"])

    assert run_virtually(look()) == {"inbox": newest, "other": 9}


@pytest.mark.parametrize(
    ("sizes", "ranges"),
    [([], []), ([10], [(0, 1)]), ([10, 10, 10], [(0, 3)]), ([800, 800], [(0, 1), (1, 2)]),
     ([5000], [(0, 1)]), ([10, 5000, 10], [(0, 1), (1, 2), (2, 3)])],
)  # fmt: skip
def test_records_are_cut_into_batches_kafka_takes(
    sizes: list[int], ranges: list[tuple[int, int]]
) -> None:
    """In order, none lost; one over the limit stands alone."""
    assert cut([Outgoing(None, bytes(size), []) for size in sizes], 1000) == ranges


def test_keys_and_headers_count_as_well() -> None:
    """They repeat the subject, which may be longer than the record's other fields together."""
    record = Outgoing(bytes(300), bytes(10), [("name", bytes(300))])
    assert cut([record, record], 1000) == [(0, 1), (1, 2)]


def test_percentiles_of_nothing_are_zeros() -> None:
    """A run without deliveries has no latency, and no exception."""
    assert percentiles([]) == {"p50": 0.0, "p99": 0.0, "max": 0.0, "deliveries": 0}
    assert percentiles(list(range(100))) == {
        "p50": 50.0,
        "p99": 99.0,
        "max": 99.0,
        "deliveries": 100,
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "cannot be read"),
        (b"junk", "cannot be read"),
        (b"\0\0\0\xff\xff", "must not be older than admission"),
        (Ledger().offer().event, "holds a OfferingChanged"),
    ],
)
def test_the_sequencer_takes_only_what_admission_wrote(value: bytes | None, said: str) -> None:
    """Anything else in its input was not checked by anyone; it stops and names the place."""
    message = Message(topics.LEDGER_IN, 0, 17, T0_MS, None, value, ())
    with pytest.raises(LedgerCorrupt, match=f"offset 17 {said}|offset 17 .*{said}") as raised:
        read_input(message)
    assert "only admission may write this topic" in str(raised.value)
