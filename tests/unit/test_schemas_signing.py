"""Signatures, headers, topic names and the members' file."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import topics
from schemas.catalogue import catalogue, example
from schemas.codec import from_json
from schemas.envelope import event_headers, from_millis, header, rfc3339, to_millis
from schemas.members import AllianceFileError, load_alliance
from schemas.records import EnrollmentRequested
from schemas.signing import Verifier, key_id, load_signer, new_signer, pre_authentication_encoding

ALLIANCE = Path(__file__).parents[2] / "alliance.toml"
# RFC 8032 section 7.1, test 1: secret and public key.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SIGNER = new_signer(SECRET)
VERIFIER = Verifier({SIGNER.key_id: ("10610", SIGNER.public)})


def test_what_is_signed_follows_the_published_encoding() -> None:
    """DSSE's protocol.md: "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body, and its own example in these words."""
    assert pre_authentication_encoding(b"hello world") == (
        b"DSSEv1 35 application/vnd.alliance.event+avro 11 hello world"
    )
    assert pre_authentication_encoding(b"") == (b"DSSEv1 35 application/vnd.alliance.event+avro 0 ")
    published = "http://example.com/HelloWorld"
    assert pre_authentication_encoding(b"hello world", published) == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_keys_are_those_of_the_standard() -> None:
    """RFC 8032's first test key: another implementation derives the same public key from the same secret."""
    assert SIGNER.public == PUBLIC
    assert SIGNER.key_id == key_id(PUBLIC) == "21fe31dfa154a261"
    assert len(SIGNER.sign(b"")) == 64


@given(body=st.binary(min_size=1, max_size=60), data=st.data())
def test_a_flipped_bit_anywhere_breaks_the_signature(body: bytes, data: st.DataObject) -> None:
    """In the event or in the signature: one bit is enough."""
    signature = SIGNER.sign(body)
    assert VERIFIER.valid(SIGNER.key_id, body, signature)
    whole = bytearray(body + signature)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    assert not VERIFIER.valid(SIGNER.key_id, bytes(whole[: len(body)]), bytes(whole[len(body) :]))


@given(body=st.binary(max_size=30), cut=st.integers(0, 63), tail=st.binary(min_size=1, max_size=8))
def test_a_signature_of_another_length_is_not_valid(body: bytes, cut: int, tail: bytes) -> None:
    """Nor may it raise: the header is whatever a member sent."""
    signature = SIGNER.sign(body)
    assert not VERIFIER.valid(SIGNER.key_id, body, signature[:cut])
    assert not VERIFIER.valid(SIGNER.key_id, body, signature + tail)
    assert not VERIFIER.valid(SIGNER.key_id, body + tail, signature)


def test_an_unknown_key_has_no_owner_and_signs_nothing() -> None:
    """A key that is not in the alliance's file cannot speak for anybody."""
    stranger = new_signer(bytes(32))
    assert VERIFIER.owner(SIGNER.key_id) == "10610"
    assert VERIFIER.owner(stranger.key_id) is None
    assert not VERIFIER.valid(stranger.key_id, b"event", stranger.sign(b"event"))
    assert not VERIFIER.valid(SIGNER.key_id, b"event", stranger.sign(b"event"))


def test_a_private_key_is_read_back_and_never_shown(tmp_path: Path) -> None:
    """Logs print objects; a key in a log is a key lost."""
    path = tmp_path / "10610.key"
    path.write_bytes(SIGNER.pem())
    assert load_signer(path).sign(b"event") == SIGNER.sign(b"event")
    assert repr(SIGNER) == "Signer(21fe31dfa154a261)"
    assert SECRET.hex() not in repr(SIGNER)


def test_headers_repeat_the_envelope_for_tools() -> None:
    """Tools of others route by CloudEvents attributes without knowing our schemas."""
    schema = catalogue().newest["enrollment.requested"]
    record = from_json(schema.event, example(schema))
    assert isinstance(record, EnrollmentRequested)
    headers = event_headers(record.envelope, schema, SIGNER.key_id, b"signature")
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": record.envelope.event_id.encode(),
        "ce_type": b"alliance.enrollment.requested.v2",
        "ce_source": b"urn:alliance:member:10610:campus",
        "ce_subject": b"10610-2026-1-000417",
        "ce_time": b"2026-08-26T03:12:45.000Z",
        "ce_partitionkey": b"10610-2026-1-000417",
        "content-type": b"application/avro",
        "alliance_keyid": b"21fe31dfa154a261",
        "alliance_signature": b"signature",
    }
    assert header(headers, "ce_id") == record.envelope.event_id.encode()
    assert header([("a", b"1"), ("a", b"2")], "a") == b"2"
    assert header(headers, "absent") is None


@given(millis=st.integers(0, 253_402_300_799_999))
def test_kafka_milliseconds_survive_the_way_through_a_time(millis: int) -> None:
    """Ledger sequence and minute counts depend on whole milliseconds; a float on the way must not move them."""
    assert to_millis(from_millis(millis)) == millis


def test_a_time_is_written_with_milliseconds_and_z() -> None:
    """CloudEvents wants RFC 3339; one form makes texts comparable."""
    assert rfc3339(datetime(2026, 9, 1, 8, 0, 0, 5000, UTC)) == "2026-09-01T08:00:00.005Z"


@pytest.mark.parametrize(
    ("topic", "owner"),
    [
        ("member.10610.out", "10610"),
        ("member.M-AMU.out", "M-AMU"),
        ("member.10610.in", None),
        ("member..out", None),
        ("member.10610.out.x", None),
        ("ledger.in", None),
        ("alliance.credit", None),
        ("", None),
    ],
)
def test_only_an_outbox_has_an_owner(topic: str, owner: str | None) -> None:
    """Admission asks whose topic a message came through; anything but an outbox is nobody's."""
    assert topics.owner(topic) == owner


def test_topic_names_never_hold_an_underscore() -> None:
    """Kafka's metrics confuse `.` with `_`."""
    names = [value for name, value in vars(topics).items() if name.isupper()]
    names += [topics.outbox("10610"), topics.inbox("M-AMU"), topics.domain("credit")]
    assert len(set(names)) == len(names)
    assert not any("_" in name for name in names)


def test_the_alliance_has_twenty_members_on_both_sides_of_the_border() -> None:
    """Region is not city and not name: Sichuan International Studies University stands in Chongqing."""
    alliance = load_alliance(ALLIANCE)
    regions = [member.region for member in alliance.members.values()]
    assert len(alliance.members) == 20
    assert (regions.count("Sichuan"), regions.count("Chongqing")) == (12, 8)
    assert alliance.members["10650"].region == "Chongqing"
    assert len({member.domain for member in alliance.members.values()}) == 20


ROW = """
[[member]]
code = "{code}"
name_en = "Test University"
name_zh = "测试大学"
region = "Sichuan"
city = "成都"
domain = "test.example"
"""


def _key(raw: bytes) -> str:
    return f'[[member.key]]\npublic = "{base64.b64encode(raw).decode()}"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[alliance", "is not TOML"),
        ("", r"list at least one"),
        ("[member]\ncode = '10610'", r"write \[\[member\]\]"),
        ("alliance = 3\n" + ROW.format(code="10610"), r"write \[alliance\]"),
        (ROW.format(code="106100"), "neither five digits nor M-LETTERS"),
        (ROW.format(code="１０６１０"), "neither five digits nor M-LETTERS"),
        (
            '[[member]]\ncode = "10610"\nname_en = "X"',
            "lacks name_zh, region, city, domain; add it",
        ),
        (ROW.format(code="10610") * 2, "member 10610 stands twice; remove one"),
        (ROW.format(code="10610") + '[[member.key]]\npublic = "%"', "run: alliance members keygen"),
        (ROW.format(code="10610") + '[[member.key]]\npublic = "é"', "run: alliance members keygen"),
        (ROW.format(code="10610") + "[[member.key]]\npublic = 3", "run: alliance members keygen"),
        (ROW.format(code="10610") + 'key = "abc"', r"write \[\[key\]\]"),
        (ROW.format(code="10610") + _key(b"short"), "5 bytes, wanted 32"),
        (
            ROW.format(code="10610") + _key(PUBLIC) + ROW.format(code="10611") + _key(PUBLIC),
            "belongs to 10610 and to 10611; give each member its own",
        ),
    ],
)
def test_a_wrong_members_file_is_refused_with_the_fix(tmp_path: Path, text: str, said: str) -> None:
    """Whoever edits the file is an operator, not a programmer: say what to write instead."""
    path = tmp_path / "alliance.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AllianceFileError, match=said) as caught:
        load_alliance(path)
    assert str(path) in str(caught.value)


def test_a_members_file_that_cannot_be_read_names_the_setting(tmp_path: Path) -> None:
    """The usual cause is the wrong folder."""
    with pytest.raises(AllianceFileError, match="ALLIANCE_FILE"):
        load_alliance(tmp_path / "absent.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes(b'name = "\xe9"')
    with pytest.raises(AllianceFileError, match="UTF-8"):
        load_alliance(path)


def test_a_members_keys_check_its_signatures(tmp_path: Path) -> None:
    """The file is the only place where the hub learns whose key is whose."""
    path = tmp_path / "alliance.toml"
    path.write_text(ROW.format(code="10610") + _key(PUBLIC), encoding="utf-8")
    verifier = load_alliance(path).verifier()
    assert verifier.owner("21fe31dfa154a261") == "10610"
    assert verifier.valid("21fe31dfa154a261", b"event", SIGNER.sign(b"event"))
