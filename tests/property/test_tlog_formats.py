"""Every format under any bytes, and under each flipped bit of a true file: a value or a named error, never a lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from schemas.tlog.cosignature import (
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    CosignatureSigner,
    CosignatureVerifier,
)
from schemas.tlog.errors import Forged, Malformed
from schemas.tlog.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
)
from schemas.tlog.note import (
    Signature,
    Signer,
    Verifier,
    Verifies,
    join_note,
    open_note,
    sign_note,
    split_note,
)
from schemas.tlog.policy import Policy, parse_any_vkey
from schemas.tlog.proof import LogProof, verify_proof
from schemas.tlog.tiles import (
    TileReader,
    Tiles,
    entry_bundle,
    parse_entry_bundle,
    parse_hash_tile,
    parse_path,
)
from schemas.tlog.witness import (
    AddCheckpoint,
    conflict_body,
    cosigned_body,
    parse_conflict_body,
    parse_cosigned_body,
)

LOG = Signer("alliance.example/ledger", bytes(range(32)))
ED = CosignatureSigner("w1.example/witness", ED25519_COSIGNATURE, bytes([1] * 32))
PQ = CosignatureSigner("w2.example/witness", ML_DSA_44_COSIGNATURE, bytes([2] * 32))
ENTRIES = [str(number).encode() for number in range(7)]
TILES, FILES = Tiles().grow(ENTRIES)
READER = TileReader(FILES.__getitem__, 7, TILES.root())
CHECKPOINT = Checkpoint(LOG.name, 7, TILES.root())
OLD_ROOT = Frontier().extend(leaf_hash(entry) for entry in ENTRIES[:3]).root()
COSIGNATURE = ED.cosign(CHECKPOINT.text(), 1_700_000_000)
COSIGNED = sign_checkpoint(CHECKPOINT, [LOG], [COSIGNATURE])
PROOF = LogProof(4, inclusion_proof(4, 7, READER.read_hash), COSIGNED)
REQUEST = AddCheckpoint(
    3, consistency_proof(3, 7, READER.read_hash), sign_checkpoint(CHECKPOINT, [LOG])
)
POLICY_FILE = (
    f"log {LOG.verifier.vkey}\nwitness w1 {ED.verifier.vkey} https://w1.example/\nwitness w2 {PQ.verifier.vkey}\n"
    "group g 1 w1 w2\nquorum g\n"
).encode()
POLICY = Policy.parse(POLICY_FILE)


def flips(data: bytes) -> Iterator[bytes]:
    """The data with each bit flipped, one at a time, then cut at each place, then with a byte doubled."""
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)
    for at in range(len(data)):
        yield data[:at]
        yield data[:at] + data[at : at + 1] + data[at:]


def read_text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """A reader of text, given any bytes: those that are no UTF-8 arrive as surrogates."""
    return lambda data: parse(data.decode("utf-8", "surrogateescape"))


# Each reader with a true file and how its value is written back.
FORMATS: dict[str, tuple[Callable[[bytes], object], bytes, Callable[..., bytes]]] = {
    "note": (split_note, COSIGNED, lambda found: join_note(*found)),
    "signature line": (read_text(Signature.parse), COSIGNATURE.line()[:-1].encode(), lambda found: found.line()[:-1].encode()),
    "checkpoint": (read_text(Checkpoint.parse), CHECKPOINT.text().encode(), lambda found: found.text().encode()),
    "vkey": (read_text(Verifier.from_vkey), LOG.verifier.vkey.encode(), lambda found: found.vkey.encode()),
    "cosigner vkey": (read_text(CosignatureVerifier.from_vkey), ED.verifier.vkey.encode(), lambda found: found.vkey.encode()),
    "any vkey": (read_text(parse_any_vkey), ED.verifier.vkey.encode(), lambda found: found.vkey.encode()),
    "private key": (read_text(Signer.from_private_text), LOG.private_text.encode(), lambda found: found.private_text.encode()),
    "cosigner key": (read_text(CosignatureSigner.from_private_text), ED.private_text.encode(), lambda found: found.private_text.encode()),
    "proof": (LogProof.parse, PROOF.to_bytes(), lambda found: found.to_bytes()),
    "policy": (Policy.parse, POLICY_FILE, lambda found: found.to_bytes()),
    "request": (AddCheckpoint.parse, REQUEST.to_bytes(), lambda found: found.to_bytes()),
    "cosigned": (parse_cosigned_body, COSIGNATURE.line().encode(), cosigned_body),
    "conflict": (parse_conflict_body, b"20852014\n", conflict_body),
    "path": (read_text(parse_path), b"tile/entries/x001/234.p/56", lambda found: found.path.encode()),
    "bundle": (lambda data: parse_entry_bundle(data, 7), FILES["tile/entries/000.p/7"], entry_bundle),
    "hash tile": (lambda data: parse_hash_tile(data, 7), FILES["tile/0/000.p/7"], lambda found: b"".join(found)),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
def test_any_bytes_are_a_value_or_refused(name: str, data: st.DataObject) -> None:
    """Of random bytes, and of a true file with a piece replaced. What is read is written back byte for byte."""
    parse, true, write = FORMATS[name]
    start = data.draw(st.integers(0, len(true)))
    end = data.draw(st.integers(start, len(true)))
    piece = data.draw(
        st.one_of(st.binary(max_size=40), st.text(max_size=20).map(lambda text: text.encode()))
    )
    for given_bytes in (piece, true[:start] + piece + true[end:]):
        try:
            found = parse(given_bytes)
        except Forged:
            continue
        if name == "policy":  # layout and comments are free there
            assert parse(write(found)) == found
        else:
            assert write(found) == given_bytes


@pytest.mark.parametrize("name", FORMATS)
def test_each_flipped_bit_is_refused_or_another_value(name: str) -> None:
    """No two files mean the same: a change that is not refused here is seen by whoever checks the signature or root."""
    parse, true, _ = FORMATS[name]
    value = parse(true)
    for changed in flips(true):
        try:
            assert parse(changed) != value or name == "policy"
        except Forged:
            continue


@pytest.mark.parametrize(
    "name", ["vkey", "cosigner vkey", "any vkey", "private key", "cosigner key"]
)
def test_each_flipped_bit_of_a_key_is_refused(name: str) -> None:
    """The key id binds name, type and key."""
    parse, true, _ = FORMATS[name]
    for changed in flips(true):
        with pytest.raises(Malformed):
            parse(changed)


def test_each_flipped_bit_of_a_policy_changes_it_or_is_refused() -> None:
    """Beside the white space between words, which may be doubled."""
    found = 0
    for changed in flips(POLICY_FILE):
        try:
            same = Policy.parse(changed) == POLICY
        except Malformed:
            continue
        assert not same or changed.split() == POLICY_FILE.split()
        found += not same
    assert found  # names, urls and thresholds do change


def test_each_flipped_bit_of_a_signed_note_is_refused_or_hides_a_signature() -> None:
    """The text never changes; a line whose name, id or dash is spoilt may become one of an unknown key."""
    verifiers: list[Verifies] = [LOG.verifier, ED.verifier]
    true = open_note(COSIGNED, verifiers)
    for changed in flips(COSIGNED):
        try:
            found = open_note(changed, verifiers)
        except Forged:
            continue
        assert found.text == true.text
        assert set(found.verified) < set(true.verified)


def test_each_flipped_bit_of_a_checkpoint_with_one_signature_is_refused() -> None:
    """With the only line gone nothing is left to believe."""
    data = sign_checkpoint(CHECKPOINT, [LOG])
    for changed in flips(data):
        with pytest.raises(Forged):
            open_checkpoint(changed, [LOG.verifier])


def test_each_flipped_bit_of_a_receipt_is_refused() -> None:
    """All of it is bound: index and path by the root, the root by the log, the log by the quorum."""
    leaf = leaf_hash(ENTRIES[4])
    assert verify_proof(PROOF, leaf, POLICY).witnesses == {"w1"}
    for changed in flips(PROOF.to_bytes()):
        with pytest.raises(Forged):
            verify_proof(LogProof.parse(changed), leaf, POLICY)


def test_the_extra_line_of_a_receipt_is_not_bound() -> None:
    """tlog-proof warns of it; nothing else changes with it."""
    leaf = leaf_hash(ENTRIES[4])
    with_extra = LogProof(4, PROOF.hashes, COSIGNED, b"anything")
    assert verify_proof(LogProof.parse(with_extra.to_bytes()), leaf, POLICY) == verify_proof(
        PROOF, leaf, POLICY
    )


def witnessed(body: bytes) -> None:
    """What a witness that knows size 3 checks."""
    request = AddCheckpoint.parse(body)
    note = open_note(request.note, [LOG.verifier])
    checkpoint = Checkpoint.parse(note.text)
    if request.old_size != 3:
        raise Malformed("old size", request.old_size, 3)
    verify_consistency(3, checkpoint.size, OLD_ROOT, checkpoint.root, request.proof)


def test_each_flipped_bit_of_a_request_is_refused() -> None:
    """By the format, the signature, the known size or the proof."""
    witnessed(REQUEST.to_bytes())
    for changed in flips(REQUEST.to_bytes()):
        with pytest.raises(Forged):
            witnessed(changed)


def test_each_flipped_bit_of_an_answer_is_refused() -> None:
    """The log learns nothing false from a witness's line."""
    for changed in flips(COSIGNATURE.line().encode()):
        with pytest.raises(Forged):
            open_note(CHECKPOINT.text().encode() + b"\n" + join_lines(changed), [ED.verifier])


def join_lines(body: bytes) -> bytes:
    return cosigned_body(parse_cosigned_body(body))


def test_flipped_bits_of_an_ml_dsa_44_cosignature_are_refused() -> None:
    """Of each byte one bit, since the signature is long."""
    signature = PQ.cosign(CHECKPOINT.text(), 1_700_000_000).signature
    for at in range(0, len(signature), 7):
        changed = bytearray(signature)
        changed[at] ^= 1 << at % 8
        assert not PQ.verifier.verify(CHECKPOINT.text(), bytes(changed))


NAMES = (
    st.text(min_size=1, max_size=20)
    .map(lambda text: "".join(c for c in text if c.isalnum()))
    .filter(bool)
)
LINES = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(
    origin=LINES, size=st.integers(0, 2**63 - 1), root=st.binary(min_size=32, max_size=32), more=st.lists(LINES, max_size=3),
    seeds=st.lists(st.tuples(NAMES, st.binary(min_size=32, max_size=32)), min_size=1, max_size=4),
)  # fmt: skip
def test_every_checkpoint_comes_back_from_its_note(
    origin: str, size: int, root: bytes, more: list[str], seeds: list[tuple[str, bytes]]
) -> None:
    """Any origin, any names, any keys, extension lines."""
    checkpoint = Checkpoint(origin, size, root, tuple(more))
    signers = [Signer(name, seed) for name, seed in seeds]
    found, note = open_checkpoint(
        sign_checkpoint(checkpoint, signers), [signer.verifier for signer in signers]
    )
    assert found == checkpoint
    assert {signature.key for signature in note.verified} == {
        (signer.name, signer.key_id) for signer in signers
    }
    assert note.unverified == ()


@given(
    text=st.lists(
        st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=20), max_size=6
    )
)
def test_every_text_comes_back_from_its_note(text: list[str]) -> None:
    """Empty lines, dashes and line separators of Unicode inside the text included."""
    whole = "".join(f"{line}\n" for line in text) or "\n"
    assert open_note(sign_note(whole, [LOG]), [LOG.verifier]).text == whole
