"""What may enter the ledger's input, and what a sender hears about what may not."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domain.reasons import ADVICE, Reason
from hub.flow.admission import (
    LETTER_BYTES,
    Refusal,
    check,
    dead_letter,
    notice,
    sort_out,
)
from hub.flow.plan import topic_plan
from schemas import topics
from schemas.catalogue import catalogue
from schemas.codec import decode, encode
from schemas.envelope import EVENT_BYTES, KEY_ID, KIND, LEDGER_SEQ, SIGNATURE, to_millis
from schemas.records import Admitted, DeadLetter, Outcome
from tests.support.flow import ALLIANCE, SIGNERS, STRANGER, Sent, sent, signed_bytes
from tests.support.ledger import HOME, HOST, MEMBERS, OTHER, T0_MS, Ledger
from tests.support.strategies import calm, mutated

VERIFIER = ALLIANCE.verifier()
KAFKA_LIMIT = 1_048_588  # message.max.bytes, Kafka's default for a batch


def offering(**said: Any) -> Any:
    return Ledger().record("offering.changed", host=HOST, offering_id="calculus", **said)


def verdict(message: Sent) -> Admitted | Refusal:
    return check(message.at(offset=7), MEMBERS, VERIFIER)


def assert_refused(message: Sent, reason: str, *said: str) -> Refusal:
    found = verdict(message)
    assert isinstance(found, Refusal), found
    assert found.reason == reason, found
    missing = [text for text in said if text not in found.detail]
    assert not missing, f"{missing} not said in: {found.detail}"
    return found


def test_a_good_event_is_admitted_verbatim_with_where_it_came_from() -> None:
    """The signed bytes are never encoded again; the place is how lost and doubled are counted."""
    message = sent(offering())
    admitted = verdict(message)
    assert isinstance(admitted, Admitted)
    assert admitted.event == message.value
    assert (admitted.source_topic, admitted.source_partition, admitted.source_offset) == (
        "member.10611.out", 0, 7,
    )  # fmt: skip
    assert to_millis(admitted.published_at) == T0_MS
    assert VERIFIER.valid(admitted.key_id, admitted.event, admitted.signature)


@pytest.mark.parametrize("schema", catalogue().events(), ids=lambda schema: schema.event)
def test_every_event_type_is_admitted_from_each_of_its_writers(schema: Any) -> None:
    """A new type needs no line in admission: writer, key and subject stand in its schema."""
    for field in schema.writer:
        record = Ledger().record(schema.event)
        member = getattr(record, field)
        message = sent(Ledger().record(schema.event, by=member))
        assert isinstance(verdict(message), Admitted)


# What cannot be read


def test_a_message_without_value_is_refused() -> None:
    """A tombstone would mean "forget"; the ledger does not."""
    assert_refused(sent(offering()).but(value=None), "UNREADABLE", "no value", "correction")


def test_what_the_kafka_client_could_not_read_is_refused_with_its_words() -> None:
    """The rest of the message is unknown; its place is not."""
    found = check(
        replace(sent(offering()).at(), fault="a header name is not UTF-8"), MEMBERS, VERIFIER
    )
    assert isinstance(found, Refusal)
    assert (found.reason, found.detail) == ("UNREADABLE", "a header name is not UTF-8")


@pytest.mark.parametrize("value", [b"", b"\0", b"hello", b'{"json": true}', b"\1\0\0\0\1x"])
def test_bytes_without_the_frame_are_refused(value: bytes) -> None:
    """Signed or not."""
    for message in (Sent("member.10611.out", None, value, []), signed_bytes(value, HOST)):
        assert_refused(message, "UNREADABLE", "wanted a zero byte and a 4-byte schema id")


def test_an_unknown_schema_id_is_refused_and_may_be_sent_again() -> None:
    """The hub may just be older than the sender."""
    found = assert_refused(
        signed_bytes(struct.pack(">bI", 0, 9999) + b"x", HOST), "SCHEMA_UNKNOWN", "9999"
    )
    assert ADVICE[found.reason].retryable


@pytest.mark.parametrize("name", ["hub.outcome", "ledger.entry", "hub.admitted", "hub.dead-letter"])
def test_records_of_the_hub_are_not_for_members(name: str) -> None:
    """A member could else write entries, or words in the hub's name."""
    schema_id = catalogue().schema_id(catalogue().newest[name])
    message = signed_bytes(struct.pack(">bI", 0, schema_id) + b"x", HOST)
    assert_refused(message, "SCHEMA_INVALID", name, "events of the catalogue")


def test_a_record_that_does_not_follow_its_schema_is_refused() -> None:
    """A good frame and a good signature over a broken record."""
    value = encode(offering())
    for broken in (value[:-3], value + b"\0", value[:5]):
        found = assert_refused(signed_bytes(broken, HOST), "UNREADABLE", "offering.changed")
        assert found.event_type == "offering.changed"


def test_an_event_over_the_size_limit_is_refused_before_anything_else() -> None:
    """Each hop adds to it; what Kafka takes from the member it must take from the hub as well."""
    big = sent(offering(discipline_code="x" * EVENT_BYTES))
    assert_refused(big, "TOO_LARGE", str(EVENT_BYTES), "by their URL")
    almost = sent(offering(discipline_code="x" * (EVENT_BYTES - 1000)))
    assert isinstance(verdict(almost), Admitted)


# Who may write


@pytest.mark.parametrize("header", [KEY_ID, SIGNATURE])
def test_an_unsigned_event_is_refused(header: str) -> None:
    """Either header alone is none."""
    message = sent(offering()).with_header(header, None)
    assert_refused(message, "SIGNATURE_INVALID", KEY_ID, SIGNATURE, "missing", "sign")


def test_an_unknown_key_is_refused() -> None:
    """The next step is to register it."""
    message = sent(offering(), STRANGER)
    assert_refused(message, "SIGNATURE_INVALID", STRANGER.key_id, "alliance members keygen")


@pytest.mark.parametrize("signature", [bytes(64), b"short", bytes(65), b"\xff" * 64])
def test_a_signature_that_does_not_fit_is_refused(signature: bytes) -> None:
    """Whatever its length."""
    message = sent(offering()).with_header(SIGNATURE, signature)
    assert_refused(message, "SIGNATURE_INVALID", "does not fit", SIGNERS[HOST].key_id)


def test_the_signature_covers_every_byte() -> None:
    """One bit of the capacity, changed on the way."""
    message = sent(offering(capacity=2))
    other = encode(offering(capacity=3))
    assert_refused(message.but(value=other), "SIGNATURE_INVALID", "does not fit")


def test_a_key_that_is_no_text_is_refused_and_not_fatal() -> None:
    """Header values are bytes of the sender's choice."""
    message = sent(offering()).with_header(KEY_ID, b"\xff\xfe\x00")
    assert_refused(message, "SIGNATURE_INVALID", "not in the alliance configuration")


def test_a_member_speaks_for_itself_only() -> None:
    """Its own key over another member's event."""
    record = Ledger().record("offering.changed", host=HOST, offering_id="calculus")
    forged = sent(record, SIGNERS[OTHER])
    assert_refused(forged, "NOT_WRITER", f"speaks for {HOST}", f"belongs to {OTHER}")


def test_a_member_publishes_in_its_own_topic_only() -> None:
    """A good event, carried by another member."""
    message = sent(offering()).but(topic=topics.outbox(OTHER))
    assert_refused(message, "NOT_WRITER", f"topic to {OTHER}", "must be one member")


def test_each_fact_has_its_writer() -> None:
    """A home that wrote an award in its own name would give itself credits."""
    record = Ledger().record("credit.awarded", home=HOME, host=HOST, by=HOME)
    assert_refused(sent(record), "NOT_WRITER", "credit.awarded", "host", HOST, f"not by {HOME}")


def test_an_event_for_a_stranger_is_refused() -> None:
    """A code that is no member has no key, but an envelope may say anything."""
    record = Ledger().record("offering.changed", host="99999", offering_id="calculus")
    message = sent(record, SIGNERS[HOST]).but(topic=topics.outbox(HOST))
    assert_refused(message, "UNKNOWN_MEMBER", "'99999'", "not a member")


# Keys and subjects


@pytest.mark.parametrize("key", [None, b"", b"physics", b"\xff"])
def test_the_message_key_is_what_the_type_wants(key: bytes | None) -> None:
    """The key decides what stays in order, wherever a topic has more than one partition."""
    assert_refused(sent(offering()).but(key=key), "KEY_MISMATCH", "offering_id", "'calculus'")


def test_the_key_in_the_envelope_is_the_same() -> None:
    """It is what the signature covers."""
    record = offering()
    wrong = replace(record, envelope=replace(record.envelope, partition_key="physics"))
    assert_refused(sent(wrong).but(key=b"calculus"), "KEY_MISMATCH", "'physics'", "'calculus'")


def test_the_subject_is_the_thing_the_event_is_about() -> None:
    """Versions are counted by it: under another name they would be out of order."""
    assert_refused(sent(offering(subject="physics")), "KEY_MISMATCH", "'physics'", "offering_id")
    person = Ledger().record("project.member-changed")
    assert "/" in person.envelope.subject
    assert isinstance(verdict(sent(person)), Admitted), "a person's part is named after the project"


# What the sender hears


def refused(message: Sent) -> tuple[DeadLetter, Outcome]:
    found = verdict(message)
    assert isinstance(found, Refusal)
    letter = dead_letter(message.at(offset=7), found, T0_MS + 5)
    return letter, notice(letter, found.subject)


def test_a_dead_letter_holds_the_message_whole_and_the_reason() -> None:
    """It can be repaired and sent again from there."""
    message = sent(offering()).but(key=b"physics")
    letter, _ = refused(message)
    assert (letter.key, letter.value) == (message.key, message.value)
    assert [(h.name, h.value) for h in letter.headers] == list(message.headers)
    assert (letter.source_topic, letter.source_offset, letter.member) == (
        "member.10611.out",
        7,
        HOST,
    )
    assert (letter.reason, letter.event_type) == ("KEY_MISMATCH", "offering.changed")
    assert to_millis(letter.refused_at) == T0_MS + 5
    assert decode(encode(letter)) == letter


def test_the_sender_hears_which_event_why_and_who_acts_next() -> None:
    """In both languages, with the place in its own outbox."""
    message = sent(offering()).but(key=b"physics")
    letter, told = refused(message)
    assert (told.outcome, told.seq, told.reason) == ("refused", None, "KEY_MISMATCH")
    assert told.event_id == decode(message.value or b"").envelope.event_id  # type: ignore[union-attr]
    assert (told.subject, told.event_type) == ("calculus", "offering.changed")
    assert (told.source_topic, told.source_offset) == ("member.10611.out", 7)
    assert told.developer_message == letter.developer_message
    assert told.user_message_zh
    assert told.user_message_en
    assert (told.next_actor, told.retryable) == ("it", True)


def test_of_an_unreadable_event_the_sender_hears_the_id_its_headers_claim() -> None:
    """Unverified, but enough to find it in the outbox."""
    message = sent(offering()).but(value=b"junk")
    letter, told = refused(message)
    assert letter.event_id == dict(message.headers)["ce_id"].decode()
    assert told.event_id == letter.event_id
    letter, told = refused(Sent("member.10611.out", None, b"junk", []))
    assert (letter.event_id, told.event_id) == (None, "")


@pytest.mark.parametrize(
    "message",
    [
        Sent("member.10611.out", b"k" * 5_000_000, b"v" * 5_000_000, [("h", b"x" * 5_000_000)]),
        Sent("member.10611.out", None, None, [("ce_id", b"x" * 5_000_000)]),
        Sent("member.10611.out", None, b"junk", [(KEY_ID, b"x" * 5_000_000)]),
        sent(offering(discipline_code="x" * 5_000_000)),
        sent(offering(subject="s" * 250_000)),
        sent(offering()).but(key=b"k" * 5_000_000),
        sent(offering()).with_header(KEY_ID, b"x" * 5_000_000),
    ],
    ids=["all", "ce_id", "key id, unread", "event", "subject", "key", "key id"],
)
def test_what_follows_from_a_message_fits_kafka_whatever_its_size(message: Sent) -> None:
    """A message that could be read and not be passed on would stop admission for all members."""
    work = sort_out([message.at()], MEMBERS, VERIFIER, lambda: T0_MS)
    (dead,) = work.dead
    (told,) = work.notices[HOST]
    for record in (dead, told):
        size = len(record.value) + len(record.key or b"") + sum(len(v) for _, v in record.headers)
        assert size < KAFKA_LIMIT * 9 // 10
    letter = decode(dead.value)
    assert isinstance(letter, DeadLetter)
    kept = len(letter.value or b"") + len(letter.key or b"")
    assert kept <= LETTER_BYTES
    if kept == LETTER_BYTES:
        assert "are kept" in letter.developer_message


@pytest.mark.parametrize("timestamp_ms", [-1, -(10**15), 10**15, 2**63 - 1, -(2**63)])
def test_no_timestamp_stops_admission(timestamp_ms: int) -> None:
    """A client writes what it likes there, unless the topic keeps the broker's time."""
    work = sort_out(
        [sent(offering()).at(timestamp_ms=timestamp_ms), Sent("member.10611.out", None, b"", []).at(timestamp_ms=timestamp_ms)],
        MEMBERS, VERIFIER, lambda: T0_MS,
    )  # fmt: skip
    assert (len(work.admitted), len(work.dead)) == (1, 1)


def test_outboxes_keep_the_brokers_time_and_unpacked_records() -> None:
    """Else a member could date its events, hide their size, or use a codec that the hub lacks."""
    (plan,) = (spec for spec in topic_plan([HOST]) if spec.name == topics.outbox(HOST))
    assert plan.config["message.timestamp.type"] == "LogAppendTime"
    assert plan.config["compression.type"] == "uncompressed"
    assert plan.partitions == 1


# Batches


def test_bad_messages_do_not_hold_good_ones_back() -> None:
    """One batch of both: order is kept, each sender hears of its own, the position is behind all."""
    good = [sent(offering(id=f"id-{number}")) for number in range(3)]
    bad = [
        sent(offering()).but(value=b"junk"),
        sent(offering()).but(topic=topics.outbox(OTHER)),
        sent(offering()).with_header(SIGNATURE, bytes(64)),
    ]
    mixed = [message for pair in zip(good, bad, strict=True) for message in pair]
    work = sort_out(
        [message.at(offset) for offset, message in enumerate(mixed)], MEMBERS, VERIFIER, lambda: 0
    )
    admitted = [decode(record.value) for record in work.admitted]
    assert [a.event for a in admitted] == [message.value for message in good]  # type: ignore[union-attr]
    assert len(work.dead) == 3
    assert {member: len(told) for member, told in work.notices.items()} == {HOST: 2, OTHER: 1}
    assert work.positions == {("member.10611.out", 0): (6, ""), ("member.10613.out", 0): (4, "")}


def test_a_refusal_has_no_ledger_number() -> None:
    """It never got into the ledger; readers of the inbox tell it from outcomes by its kind."""
    work = sort_out([Sent("member.10611.out", None, b"", []).at()], MEMBERS, VERIFIER, lambda: 0)
    (told,) = work.notices[HOST]
    assert told.headers == [(KIND, b"refusal")]
    assert LEDGER_SEQ not in dict(told.headers)


@calm
@given(mutated(st.just(encode(offering()))), st.binary(max_size=8))
def test_no_bytes_stop_admission(value: bytes, key: bytes) -> None:
    """Signed by a member gone mad: admitted or refused, never an exception, and what is admitted is its own."""
    found = verdict(signed_bytes(value, HOST, key))
    if isinstance(found, Admitted):
        event: Any = decode(found.event)
        assert event.envelope.member == HOST


def test_every_reason_has_words_in_both_languages() -> None:
    """People see them, and who acts next is one of three."""
    for reason in Reason:
        advice = ADVICE[reason]
        assert advice.en.endswith(".")
        assert advice.zh.endswith("。")
        assert advice.next_actor in ("it", "office", "nobody")
