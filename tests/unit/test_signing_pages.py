"""Page signatures, signatures over other things than events, and one answer whichever library does the curve."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import curve, signing
from schemas.signing import (
    KEY_TYPE,
    PAGE_LIMIT,
    PAGE_SIGNATURE_BYTES,
    PAGE_TYPE,
    PAYLOAD_TYPE,
    PROMISE_TYPE,
    Verifier,
    new_signer,
    possession_body,
    pre_authentication_encoding,
    sign_page,
    verify_as,
)
from schemas.tlog.merkle import Frontier, inclusion_proof, leaf_hash, node_hash, verify_inclusion
from tests.support.strategies import calm

ROOT = Path(__file__).parents[2]
SIGNER = new_signer(bytes(range(32)))
OTHER = new_signer(bytes(range(1, 33)))


def _verifier() -> Verifier:
    """A new one each time: it remembers pages."""
    return Verifier({s.key_id: (m, s.public) for m, s in (("10610", SIGNER), ("10611", OTHER))})


def _bodies(size: int) -> list[bytes]:
    return [b"event %d" % number for number in range(size)]


@given(size=st.integers(2, 70) | st.sampled_from([127, 128, 129, 1000, 1023, 1024]))
@settings(calm, max_examples=40)
def test_a_page_is_the_ledgers_own_kind_of_tree_over_its_events(size: int) -> None:
    """Whoever writes a connector in another language follows RFC 6962: root, index, size and path are laid out as published."""
    bodies = _bodies(size)
    leaves = [leaf_hash(body) for body in bodies]
    root = Frontier().extend(leaves).root()
    for index, signature in enumerate(sign_page(SIGNER, bodies)):
        assert verify_as(SIGNER.public, PAGE_TYPE, root + size.to_bytes(4, "big"), signature[:64])
        assert signature[64:72] == index.to_bytes(4, "big") + size.to_bytes(4, "big")
        path = [signature[at : at + 32] for at in range(72, len(signature), 32)]
        verify_inclusion(index, size, leaves[index], path, root)
        assert len(signature) <= PAGE_SIGNATURE_BYTES
    hashes = {(0, index): leaf for index, leaf in enumerate(leaves)}

    def read(level: int, index: int) -> bytes:
        if (level, index) not in hashes:
            hashes[level, index] = node_hash(
                read(level - 1, 2 * index), read(level - 1, 2 * index + 1)
            )
        return hashes[level, index]

    last = size - 1
    assert b"".join(inclusion_proof(last, size, read)) == sign_page(SIGNER, bodies)[last][72:]


@given(bodies=st.lists(st.binary(max_size=20), max_size=40), data=st.data())
@settings(calm)
def test_every_event_of_a_page_is_valid_alone_and_for_no_other_event(
    bodies: list[bytes], data: st.DataObject
) -> None:
    """Events of a page travel on alone: into entries, inboxes, receipts."""
    signatures = sign_page(SIGNER, bodies)
    assert len(signatures) == len(bodies)
    for body, signature in zip(bodies, signatures, strict=True):
        assert _verifier().valid(SIGNER.key_id, body, signature)
        assert not _verifier().valid(OTHER.key_id, body, signature)
        other = data.draw(st.sampled_from(bodies) | st.binary(max_size=20))
        assert _verifier().valid(SIGNER.key_id, other, signature) == (other == body)


def test_a_single_event_has_a_plain_signature_and_a_page_has_a_limit() -> None:
    """A page of one would be 8 bytes longer for nothing; of 1,025 nobody would take it."""
    assert sign_page(SIGNER, []) == []
    assert sign_page(SIGNER, [b"event"]) == [SIGNER.sign(b"event")]
    assert len(sign_page(SIGNER, _bodies(PAGE_LIMIT))[0]) == PAGE_SIGNATURE_BYTES
    with pytest.raises(ValueError, match="1025 events, wanted at most 1024; split it"):
        sign_page(SIGNER, _bodies(PAGE_LIMIT + 1))


@given(size=st.integers(2, 9), data=st.data())
@settings(calm)
def test_a_flipped_bit_anywhere_breaks_a_page_signature(size: int, data: st.DataObject) -> None:
    """Also after the page was found valid: what is remembered is the root, not the event."""
    bodies = _bodies(size)
    signatures = sign_page(SIGNER, bodies)
    verifier = _verifier()
    assert all(map(verifier.valid, [SIGNER.key_id] * size, bodies, signatures))
    index = data.draw(st.integers(0, size - 1))
    whole = bytearray(bodies[index] + signatures[index])
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    cut = len(bodies[index])
    for asked in (verifier, _verifier()):
        assert not asked.valid(SIGNER.key_id, bytes(whole[:cut]), bytes(whole[cut:]))


@given(
    index=st.integers(0, 2**32 - 1) | st.integers(0, 1100),
    size=st.integers(0, 2**32 - 1) | st.integers(0, 1100),
    path=st.binary(max_size=400) | st.integers(0, 12).map(lambda hashes: bytes(32 * hashes)),
)
@settings(calm)
def test_a_malformed_page_signature_is_not_valid_and_raises_nothing(
    index: int, size: int, path: bytes
) -> None:
    """The header is whatever a member sent; an exception there would stop admission for everybody."""
    head = index.to_bytes(4, "big") + size.to_bytes(4, "big")
    assert not _verifier().valid(SIGNER.key_id, b"event", SIGNER.sign(b"event") + head + path)


@pytest.mark.parametrize("length", [0, 1, 63, 65, 71, 72, 73, 103, 105, 136])
def test_a_page_signature_of_another_length_is_not_valid(length: int) -> None:
    """Cut or continued, at each border of its parts."""
    signature = sign_page(SIGNER, [b"a", b"b"])[0]
    assert _verifier().valid(SIGNER.key_id, b"a", signature)
    assert len(signature) == 104
    assert not _verifier().valid(SIGNER.key_id, b"a", (signature + bytes(40))[:length])


def test_a_page_of_one_is_refused_though_it_was_signed() -> None:
    """One form for each event: the same event under two lengths of signature would be two spellings of one statement."""
    root = leaf_hash(b"event")
    signed = SIGNER.sign_as(PAGE_TYPE, root + (1).to_bytes(4, "big"))
    head = (0).to_bytes(4, "big") + (1).to_bytes(4, "big")
    assert not _verifier().valid(SIGNER.key_id, b"event", signed + head)


def test_a_node_of_the_tree_does_not_pass_for_an_event() -> None:
    """Leaves and nodes are hashed apart (RFC 6962): else two hashes, sent as an event, would be signed, too."""
    bodies = _bodies(4)
    leaves = [leaf_hash(body) for body in bodies]
    forged = sign_page(SIGNER, bodies)[0]
    shorter = forged[:64] + (0).to_bytes(4, "big") + (2).to_bytes(4, "big") + forged[-32:]
    assert not _verifier().valid(SIGNER.key_id, leaves[0] + leaves[1], shorter)
    assert not _verifier().valid(SIGNER.key_id, b"\x01" + leaves[0] + leaves[1], shorter)


def test_a_page_costs_one_check_of_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit of a million entries hangs on it. Counted, not timed: what the clock says depends on the machine."""
    asked: list[bytes] = []
    real = curve.checks

    def counted(public: bytes) -> curve.Check:
        check = real(public)

        def count(message: bytes, signature: bytes) -> bool:
            asked.append(message)
            return check(message, signature)

        return count

    monkeypatch.setattr(signing, "checks", counted)
    verifier = _verifier()
    bodies = _bodies(200)
    for body, signature in zip(bodies, sign_page(SIGNER, bodies), strict=True):
        assert verifier.valid(SIGNER.key_id, body, signature)
    assert len(asked) == 1


def test_what_a_verifier_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of years has more pages than memory; the oldest is forgotten, and checked again when it comes up."""
    monkeypatch.setattr(signing, "_PAGES_KEPT", 3)
    verifier = _verifier()
    pages = [[b"a%d" % page, b"b"] for page in range(8)]
    signed = [sign_page(SIGNER, bodies)[0] for bodies in pages]
    for _ in range(2):
        for bodies, signature in zip(pages, signed, strict=True):
            assert verifier.valid(SIGNER.key_id, bodies[0], signature)
            assert len(verifier._pages) <= 3
    wrong = signed[0][:63] + bytes([signed[0][63] ^ 1]) + signed[0][64:]
    before = list(verifier._pages)
    assert not verifier.valid(SIGNER.key_id, pages[0][0], wrong)
    assert list(verifier._pages) == before


def test_a_removed_key_signs_nothing_not_even_in_pages_checked_before() -> None:
    """A key is revoked by an entry of the ledger; what comes after it must not ride on what came before."""
    verifier = _verifier()
    signature = sign_page(SIGNER, [b"a", b"b"])[0]
    assert verifier.valid(SIGNER.key_id, b"a", signature)
    verifier.remove(SIGNER.key_id)
    verifier.remove("never known")
    assert verifier.owner(SIGNER.key_id) is None
    assert not verifier.valid(SIGNER.key_id, b"a", signature)
    verifier.add(SIGNER.key_id, "10614", OTHER.public)  # the name alone proves nothing
    assert not verifier.valid(SIGNER.key_id, b"a", signature)
    verifier.add(SIGNER.key_id, "10614", SIGNER.public)
    assert verifier.owner(SIGNER.key_id) == "10614"
    assert verifier.valid(SIGNER.key_id, b"a", signature)


def test_a_key_of_another_length_is_not_taken() -> None:
    """It comes from an event, so a person must learn which one and why."""
    with pytest.raises(ValueError, match="key abc of 10610 has 31 bytes, wanted 32"):
        _verifier().add("abc", "10610", bytes(31))


@pytest.mark.parametrize("meant", [PAYLOAD_TYPE, PAGE_TYPE, PROMISE_TYPE, KEY_TYPE])
def test_what_was_signed_as_one_thing_does_not_pass_for_another(meant: str) -> None:
    """One key signs events, pages and possession: a signature of one kind must not be carried over to another."""
    body = leaf_hash(b"event") + (2).to_bytes(4, "big")
    signature = SIGNER.sign_as(meant, body)
    for said in (PAYLOAD_TYPE, PAGE_TYPE, PROMISE_TYPE, KEY_TYPE):
        assert verify_as(SIGNER.public, said, body, signature) == (said == meant)
    assert _verifier().valid(SIGNER.key_id, body, signature) == (meant == PAYLOAD_TYPE)


def test_possession_names_member_and_key() -> None:
    """Else the proof of one member could be shown by another."""
    assert possession_body("10610", "21fe31dfa154a261") == b"10610\n21fe31dfa154a261\n"


@given(
    public=st.binary(max_size=40) | st.just(SIGNER.public),
    signature=st.binary(max_size=70) | st.binary(min_size=64, max_size=64),
)
@settings(calm)
def test_rubbish_is_not_signed_and_raises_nothing(public: bytes, signature: bytes) -> None:
    """Keys and signatures of strangers arrive in events."""
    assert not verify_as(public, KEY_TYPE, b"body", signature)


# One answer from both libraries.

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def _plus(a: Point, b: Point) -> Point:
    """RFC 8032 section 5.1.4, in affine coordinates."""
    cross = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + cross, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - cross, -1, P) % P


def _times(factor: int, point: Point) -> Point:
    found = (0, 1)
    for bit in bin(factor)[2:]:
        found = _plus(found, found)
        found = _plus(found, point) if bit == "1" else found
    return found


def _decoded(y: int) -> Point | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    for x in (root, root * pow(2, (P - 1) // 4, P) % P):
        if x * x % P == square:
            return x, y
    return None


def _encoded(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _small_points() -> Iterator[Point]:
    """All eight, as multiples of one of order 8: a point times the order of the group without its cofactor."""
    for y in range(2, 100):
        point = _decoded(y)
        if point is not None and _times(4, small := _times(L, point)) != (0, 1):
            yield from (_times(factor, small) for factor in range(8))
            return


SMALL = list(_small_points())
BASE = _decoded(4 * pow(5, -1, P) % P) or (0, 1)
BASE = BASE if BASE[0] % 2 == 0 else (P - BASE[0], BASE[1])


def test_the_points_of_small_order_are_all_known() -> None:
    """Computed here from the curve; beyond the prime, y has a second spelling where it fits 255 bits."""
    ys = {y for _, y in SMALL}
    assert len(set(SMALL)) == 8
    assert ys | {y + P for y in ys if y + P < 2**255} == curve._SMALL


any_point = st.tuples(st.sampled_from([0, 1, 5, L - 1]), st.sampled_from(SMALL))


@pytest.mark.skipif(not curve.SODIUM, reason="compares libsodium with OpenSSL, needs PyNaCl")
@given(
    key=any_point,
    first=any_point,
    more=st.sampled_from([0, 0, 1, L]),
    spelled=st.none() | st.tuples(st.integers(0, 18), st.booleans(), st.booleans()),
)
@settings(calm, max_examples=300)
def test_both_libraries_say_the_same_of_keys_and_signatures_made_to_part_them(
    key: tuple[int, Point],
    first: tuple[int, Point],
    more: int,
    spelled: tuple[int, bool, bool] | None,
) -> None:
    """What admission takes, an auditor with the other library must take: else a member could make the hub look false.

    Points of small order alone and on top of honest ones, scalars beyond the order, spellings beyond the prime.
    """
    public = _encoded(_plus(_times(key[0], BASE), key[1]))
    start = _encoded(_plus(_times(first[0], BASE), first[1]))
    if spelled is not None:
        beyond = (P + spelled[0] | spelled[1] << 255).to_bytes(32, "little")
        public, start = (beyond, start) if spelled[2] else (public, beyond)
    challenge = int.from_bytes(hashlib.sha512(start + public + b"m").digest(), "little")
    scalar = (first[0] + challenge * key[0]) % L + more
    signature = start + scalar.to_bytes(32, "little")
    assert curve.openssl_checks(public)(b"m", signature) == curve.checks(public)(b"m", signature)


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=50))
@settings(calm, max_examples=30)
def test_both_libraries_sign_alike(seed: bytes, message: bytes) -> None:
    """Ed25519 has one signature for each key and message."""
    public, sign = curve.openssl_signs(seed)
    assert (public, sign(message)) == (curve.signs(seed)[0], curve.signs(seed)[1](message))
    assert curve.openssl_checks(public)(message, sign(message))


def test_signing_works_without_libsodium() -> None:
    """The stand-alone verifier has `cryptography` and the standard library."""
    script = (
        "import sys; sys.modules['nacl'] = None\n"
        "from schemas import curve, signing\n"
        "signer = signing.new_signer(bytes(range(32)))\n"
        "verifier = signing.Verifier({signer.key_id: ('10610', signer.public)})\n"
        "signed = signing.sign_page(signer, [b'a', b'b'])\n"
        "assert not curve.SODIUM\n"
        "assert verifier.valid(signer.key_id, b'a', signed[0]) and not verifier.valid(signer.key_id, b'b', signed[0])\n"
        "print(signer.sign(b'a').hex(), signed[1].hex())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout.split() == [
        SIGNER.sign(b"a").hex(),
        sign_page(SIGNER, [b"a", b"b"])[1].hex(),
    ]


def test_a_private_key_of_another_length_is_refused() -> None:
    """An empty seed is a broken file, not a wish for a new key."""
    for seed in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match="wanted 32"):
            new_signer(seed)


def test_the_encoding_takes_a_type_in_bytes() -> None:
    """DSSE counts the bytes of the type, not its letters."""
    assert pre_authentication_encoding(b"b", "é") == b"DSSEv1 2 \xc3\xa9 1 b"
