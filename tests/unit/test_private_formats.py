"""Formats of personal data: pseudonym, private part, commitment, wrapped key. With vectors, so that others can build them."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from schemas import private
from schemas.private import NotCommitted, PrivateError, Undecipherable
from schemas.records import PrivatePayload, WrappedKey

HOME_KEY, SALT, DATA_KEY = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
NONCE, EPHEMERAL = bytes(range(12)), bytes(range(96, 128))
OURS = X25519PrivateKey.from_private_bytes(bytes(range(128, 160)))
STUDENT, EVENT = "urn:alliance:student:10610:aa", "00000000-0000-4000-8000-000000000001"
PART = {"name": "张三", "contact": None, "years": 3}


def name(**changes: object) -> str:
    values = {"home": "10610", "local_id": "2023010417", "host": "10611", "purpose": "study", "salt": SALT}  # fmt: skip
    return private.pseudonym(HOME_KEY, **(values | changes))  # type: ignore[arg-type]


def sealed(part: dict[str, object] | None = None) -> PrivatePayload:
    ciphertext = private.seal(part or PART, DATA_KEY, NONCE, student_id=STUDENT, event_id=EVENT)
    return PrivatePayload(
        STUDENT, EVENT, "10610", private.key_id(DATA_KEY), NONCE, ciphertext, (wrapped(),)
    )


def wrapped() -> WrappedKey:
    public = OURS.public_key().public_bytes_raw()
    return private.wrap(DATA_KEY, public, EPHEMERAL, member="10611", student_id=STUDENT)


def test_the_formats_are_what_they_were() -> None:
    """Vectors: what is sealed today must open in ten years, and in another language."""
    message = b"\0\0\0\n2023010417\0\0\0\x0510611\0\0\0\x05study\0\0\0\x20" + SALT
    opaque = hmac.new(HOME_KEY, message, hashlib.sha256).hexdigest()[:32]
    assert name() == f"urn:alliance:student:10610:{opaque}"
    payload = sealed()
    said = {
        "pseudonym": name().rpartition(":")[2],
        "key_id": private.key_id(DATA_KEY),
        "size": len(payload.ciphertext),
        "commitment": private.commitment(NONCE, payload.ciphertext).hex(),
        "wrapped": hashlib.sha256(wrapped().ephemeral + wrapped().sealed).hexdigest(),
    }
    assert said == VECTORS


VECTORS: dict[str, object] = {
    "pseudonym": "f5c0d4b3bed07e7972e6602bc1dcd774",
    "key_id": "4c1b9b3770068b5a0114e905d23eb41b",
    "size": 80,
    "commitment": "b3172ae50f8a680b43a909c7fbcf37d3daf5fecd8b9dd99b8665979dac45e2e3",
    "wrapped": "5432fc972ba1b364d6bc05b2f77ca61596a3b75b2ef06e21fd3793a2d65f8aac",
}


def test_a_commitment_is_of_the_ciphertext() -> None:
    """Of the plaintext it could be guessed: a grade has a handful of values."""
    payload = sealed()
    wanted = hashlib.sha256(b"pc-v1" + payload.nonce + payload.ciphertext).digest()
    assert private.commitment(payload.nonce, payload.ciphertext) == wanted


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "10613"}, {"purpose": "practice"}, {"salt": bytes(32)}, {"local_id": "2023010418"},
        {"local_id": "202301041710611", "host": ""},
    ],
    ids=str,
)  # fmt: skip
def test_another_host_purpose_salt_or_student_has_another_pseudonym(
    changes: dict[str, object],
) -> None:
    """Hosts and hub cannot link them; with the salt gone, nobody can."""
    assert name(**changes) != name()


@given(
    st.dictionaries(
        st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(), max_size=5
    )
)
def test_what_was_sealed_is_what_is_read(part: dict[str, object]) -> None:
    """Any text, any number, in steps of 64 bytes."""
    payload = sealed(part or {"": None})
    assert private.unseal(payload, DATA_KEY) == (part or {"": None})
    assert (len(payload.ciphertext) - 16) % 64 == 0


def test_an_unwrapped_key_is_the_key_of_its_name() -> None:
    """The host reads with what the home wrapped for it."""
    found = private.unwrap(wrapped(), OURS, student_id=STUDENT, key=private.key_id(DATA_KEY))
    assert found == DATA_KEY


@pytest.mark.parametrize(
    "change",
    [
        {"student_id": "urn:alliance:student:10610:bb"}, {"event_id": "other"}, {"nonce": bytes(12)}, {"nonce": b""},
        {"ciphertext": b""}, {"ciphertext": bytes(15)},
    ],
    ids=str,
)  # fmt: skip
def test_a_part_opens_for_its_own_student_and_event_alone(change: dict[str, object]) -> None:
    """Somebody who moves a payload to another event must not make it that event's."""
    with pytest.raises(Undecipherable):
        private.unseal(replace(sealed(), **change), DATA_KEY)  # type: ignore[arg-type]


@given(st.integers(0, 10_000))
def test_every_flipped_bit_and_every_cut_is_found(at: int) -> None:
    """By the commitment without a key, and by the cipher with it."""
    payload = sealed()
    part = private.part_of(payload.nonce, payload.ciphertext, payload.key_id)
    bit = at % (8 * len(payload.ciphertext))
    broken = bytearray(payload.ciphertext)
    broken[bit // 8] ^= 1 << bit % 8
    for ciphertext in (bytes(broken), payload.ciphertext[: bit // 8]):
        false = replace(payload, ciphertext=ciphertext)
        with pytest.raises(NotCommitted):
            private.checked(false, part)
        with pytest.raises(Undecipherable):
            private.unseal(false, DATA_KEY)
    assert private.checked(payload, part) == payload
    with pytest.raises(NotCommitted, match="names the key"):
        private.checked(replace(payload, key_id="other"), part)


def test_a_key_opens_for_its_member_student_and_name_alone() -> None:
    """A wrapped key that was moved, changed or given another name is refused, and so is a point that agrees with everybody."""
    good, key = wrapped(), private.key_id(DATA_KEY)
    other = X25519PrivateKey.from_private_bytes(bytes(32))
    cases = [
        (good, other, STUDENT, key),
        (replace(good, member="10613"), OURS, STUDENT, key),
        (good, OURS, "urn:alliance:student:10610:bb", key),
        (good, OURS, STUDENT, private.key_id(bytes(32))),
        (replace(good, sealed=good.sealed[:-1]), OURS, STUDENT, key),
        (replace(good, sealed=bytes([good.sealed[0] ^ 1]) + good.sealed[1:]), OURS, STUDENT, key),
        (replace(good, ephemeral=bytes(32)), OURS, STUDENT, key),
        (replace(good, ephemeral=b"short"), OURS, STUDENT, key),
    ]
    for given_key, ours, student, named in cases:
        with pytest.raises(Undecipherable):
            private.unwrap(given_key, ours, student_id=student, key=named)


@pytest.mark.parametrize("part", [{"grade": 3.5}, {"raw": b"x"}, {"deep": [{"x": 1.0}]}])
def test_what_json_writes_in_several_ways_is_refused(part: dict[str, object]) -> None:
    """Amounts are text or whole numbers."""
    with pytest.raises(PrivateError, match="write it as text"):
        sealed(part)


@pytest.mark.parametrize(
    "text", ["", "AAAA", "no base64!", "A" * 43], ids=["empty", "short", "not", "odd"]
)
def test_a_secret_that_is_none_is_refused_by_name(text: str) -> None:
    """Such a file would otherwise make keys that everybody can guess."""
    with pytest.raises(PrivateError, match="home secret"):
        private.read_secret(text)
