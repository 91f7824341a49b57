"""Notes, checkpoints, cosignatures, proofs and witness messages: the examples of the specifications, and refusals."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from schemas.tlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from schemas.tlog.cosignature import (
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    CosignatureSigner,
    CosignatureVerifier,
    Subtree,
    ed25519_message,
    ml_dsa_44_message,
    timestamp_of,
)
from schemas.tlog.errors import BadProof, BadSignature, Forged, Malformed, Unsigned
from schemas.tlog.merkle import EMPTY_ROOT, leaf_hash, node_hash
from schemas.tlog.note import (
    SIGNATURE_LIMIT,
    Note,
    Signature,
    Signer,
    Verifier,
    ed25519_sign,
    join_note,
    open_note,
    sign_note,
    split_note,
)
from schemas.tlog.policy import Policy
from schemas.tlog.proof import LogProof, verify_checkpoint, verify_proof
from schemas.tlog.witness import (
    AddCheckpoint,
    conflict_body,
    cosigned_body,
    parse_conflict_body,
    parse_cosigned_body,
)

SUPPORT = Path(__file__).parents[1] / "support" / "tlog_go"
# Examples of the C2SP texts at 5ba5ee8.
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
SOFA_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
SOFA_LINES = (
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
ADD_CHECKPOINT = (
    "old 20852014\n"
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
    "\n" + SOFA_TEXT + "\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n"
)
COSIGNED = (
    "— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n"
    "— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==\n"
    "— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==\n"
)
LOG = Signer("alliance.example/ledger", bytes(range(32)))
OTHER = Signer("alliance.example/other", bytes(32))
WITNESSES = [
    CosignatureSigner(f"w{n}.example/witness", ED25519_COSIGNATURE, bytes([n] * 32))
    for n in range(3)
]
PQ_WITNESS = CosignatureSigner("pq.example/witness", ML_DSA_44_COSIGNATURE, bytes([9] * 32))
LEFT, RIGHT = leaf_hash(b"left"), leaf_hash(b"right")
CHECKPOINT = Checkpoint(LOG.name, 2, node_hash(LEFT, RIGHT))
POLICY = Policy.parse(
    (
        f"log {LOG.verifier.vkey}\n"
        + "".join(f"witness w{n} {one.verifier.vkey}\n" for n, one in enumerate(WITNESSES))
        + f"witness pq {PQ_WITNESS.verifier.vkey}\ngroup two 2 w0 w1 w2 pq\nquorum two\n"
    ).encode()
)


def cosigned(*cosigners: CosignatureSigner, checkpoint: Checkpoint = CHECKPOINT) -> bytes:
    lines = [one.cosign(checkpoint.text(), 1_700_000_000) for one in cosigners]
    return sign_checkpoint(checkpoint, [LOG], lines)


def test_the_example_note_opens_under_the_example_key() -> None:
    """signed-note, Verifier keys, Example."""
    verifier = Verifier.from_vkey(FOO)
    note = open_note(FOO_NOTE.encode(), [verifier])
    assert note.text == "This is an example message.\n"
    assert [signature.name for signature in note.verified] == ["example.com/foo"]
    assert verifier.vkey == FOO
    assert note.to_bytes() == FOO_NOTE.encode()


def test_the_other_example_notes_are_read_and_written_back() -> None:
    """Their keys are not published, so nothing is verified."""
    poem = (
        "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
        "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
    )
    text, signatures = split_note(poem.encode())
    assert text.endswith("\n\ned è subito sera.\n")
    assert join_note(text, signatures) == poem.encode()


def test_a_key_made_by_go_signs_and_opens() -> None:
    """The private text form is that of Go's notes; key and id are from its documentation."""
    private = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
    public = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    signer = Signer.from_private_text(private)
    assert signer.verifier.vkey == public
    assert signer.private_text == private
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    assert sign_note(text, [signer]) == f"{text}\n{line}".encode()


def test_a_private_key_shows_itself_nowhere() -> None:
    """Neither when printed nor in a refusal."""
    for signer in (LOG, WITNESSES[0]):
        assert str(list(signer.seed)[:3])[1:-1] not in repr(signer)
        assert "seed" not in repr(signer)
        secret = signer.private_text
        for broken in (secret[:-1], secret + "=", secret.replace("+", " ", 3), secret + "\n"):
            with pytest.raises(Malformed) as refused:
                type(signer).from_private_text(broken)
            assert secret[-30:-5] not in str(refused.value)


@pytest.mark.parametrize(
    "vkey",
    [
        "", "+", "++", "name", "name+530d903a", FOO + "\n", " " + FOO, FOO.replace("530d903a", "530D903A"), FOO.replace("530d903a", "530d903b"),
        FOO.replace("foo", "fop"), FOO.replace("example.com/foo", ""), FOO.replace("/foo", " foo"), FOO.replace("/", "\u2003"),
        FOO.replace("/", "\x00"), FOO.replace("/", "\ud800"), FOO[:-1], FOO + "=", FOO[:-4], FOO.replace("U2k", "U2l="), "a+00000000+",
        WITNESSES[0].verifier.vkey, PQ_WITNESS.verifier.vkey,
    ],
)  # fmt: skip
def test_a_vkey_with_any_fault_is_refused(vkey: str) -> None:
    """Spelling, id, name, type."""
    with pytest.raises(Malformed):
        Verifier.from_vkey(vkey)


SIGNED = sign_note("text\n", [LOG, OTHER])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"\n\n", b"text\n", b"text\n\n", SIGNED[:-1], SIGNED + b"\n", SIGNED + b"x", SIGNED + b"x\n", SIGNED.replace(b"\n", b"\r\n"),
        SIGNED.replace(b"text", b"te\tt"), SIGNED.replace(b"text", b"te\x00t"), SIGNED.replace(b"text", b"te\xfft"),
        SIGNED.replace(b"text", b"te\xed\xa0\x80t"), SIGNED.replace("— ".encode(), b"- "), SIGNED.replace("— ".encode(), "—".encode()),
        SIGNED.replace(b"alliance.example/ledger ", b""), SIGNED.replace(b"alliance.example/ledger", b"a+b"),
        SIGNED.replace(b"alliance.example/ledger", "a\u2028b".encode()), SIGNED.replace(b"alliance.example/ledger ", b"alliance.example/ledger  "),
        SIGNED.replace(b"alliance.example/ledger ", b" "), "text\n\n— a AAAAAA==\n".encode(), "text\n\n— a AAAAAB==\n".encode(),
        "text\n\n— a AAAAAAAA=\n".encode(), "text\n\n— a \n".encode(), "text\n\n— a AAAA\n".encode(), "text\n\n— a AAAAAAA=\n— a AAAAAAB=\n".encode(),
    ],
)  # fmt: skip
def test_a_note_with_any_fault_is_refused(data: bytes) -> None:
    """Line ends, controls, UTF-8, dashes, names, base64, lengths."""
    with pytest.raises(Malformed):
        open_note(data, [LOG.verifier])


def test_a_false_line_in_a_known_name_fells_the_note() -> None:
    """Even if another known key signed truly, and even behind a true line of the same key."""
    false = Signature(LOG.name, LOG.key_id, bytes(64))
    for lines in ([false], [false, *split_note(SIGNED)[1]], [*split_note(SIGNED)[1], false]):
        with pytest.raises(BadSignature, match=LOG.name):
            open_note(join_note("text\n", lines), [LOG.verifier, OTHER.verifier])


def test_lines_of_unknown_keys_are_passed_on_and_not_believed() -> None:
    """Also where only the name or only the id is known; repeated lines are dropped."""
    same_name = Signature(LOG.name, b"\0\0\0\1", bytes(64))
    same_id = Signature("someone.example/else", LOG.key_id, bytes(64))
    data = sign_note("text\n", [LOG, LOG], [same_name, same_id, same_name])
    note = open_note(data, [LOG.verifier])
    assert note.unverified == (same_name, same_id)
    assert [signature.key for signature in note.verified] == [(LOG.name, LOG.key_id)]
    with pytest.raises(Unsigned, match="wanted one of 1 known keys"):
        open_note(data, [OTHER.verifier])
    with pytest.raises(Unsigned, match="wanted one of 0 known keys"):
        open_note(data, [])


def test_two_keys_with_one_name_and_id_are_refused() -> None:
    """One of the two would be taken for the other."""

    class Same(Verifier):
        @property
        def key_id(self) -> bytes:
            return LOG.key_id

    with pytest.raises(Malformed, match="two keys"):
        open_note(SIGNED, [LOG.verifier, Same(LOG.name, bytes(32))])
    assert open_note(SIGNED, [LOG.verifier, LOG.verifier]).verified


def test_a_note_has_at_most_64_lines() -> None:
    """Twenty members and their kinds of key fit; a note without end does not."""
    lines = [Signature(f"w{n}", b"\0\0\0\0", b"x") for n in range(SIGNATURE_LIMIT)]
    assert len(split_note(join_note("text\n", lines))[1]) == SIGNATURE_LIMIT
    with pytest.raises(Malformed, match="65 signature lines"):
        sign_note("text\n", [LOG], lines)
    with pytest.raises(Malformed, match="65 signature lines"):
        split_note(join_note("text\n", lines) + lines[0].line().encode())
    with pytest.raises(Malformed, match="0 signature lines"):
        join_note("text\n", [])


@pytest.mark.parametrize("text", ["", "text", "te\rxt\n", "te\0xt\n", "\ud800\n"])
def test_a_text_no_note_can_carry_is_not_signed(text: str) -> None:
    """Before the key is used."""
    with pytest.raises(Malformed):
        sign_note(text, [LOG])


def test_the_example_checkpoint_is_read_and_written_back() -> None:
    """tlog-checkpoint and tlog-cosignature share it."""
    text, signatures = split_note(f"{SOFA_TEXT}\n{SOFA_LINES}".encode())
    checkpoint = Checkpoint.parse(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == SOFA_TEXT
    assert (
        timestamp_of(signatures[1], ED25519_COSIGNATURE) == 1679315147
    )  # as in the signed message of the text
    assert "".join(signature.line() for signature in signatures) == SOFA_LINES
    assert ed25519_message(1679315147, SOFA_TEXT).startswith(
        b"cosignature/v1\ntime 1679315147\nexample.com/behind"
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "a\n1\n", "a\n1\n\n", SOFA_TEXT[:-1], SOFA_TEXT + "\n", SOFA_TEXT + "x", SOFA_TEXT + "x\n\n", "\n" + SOFA_TEXT,
        SOFA_TEXT.replace("example", "exa\nmple"), SOFA_TEXT.replace("\n", "\r\n"), SOFA_TEXT.replace("2085", "02085"),
        SOFA_TEXT.replace("2085", "+2085"), SOFA_TEXT.replace("2085", " 2085"), SOFA_TEXT.replace("2085", "-2085"),
        SOFA_TEXT.replace("20852163", "٢"), SOFA_TEXT.replace("20852163", "1_0"), SOFA_TEXT.replace("20852163", "9223372036854775808"),
        SOFA_TEXT.replace("q2I=", "q2J="), SOFA_TEXT.replace("q2I=", "q2I"), SOFA_TEXT.replace("q2I=", "q2I==="), SOFA_TEXT.replace("CsUY", ""),
        SOFA_TEXT.replace("CsUY", "CsUYCsUY"), SOFA_TEXT.replace("+", "-").replace("/X", "_X"), "a\n00\n" + SOFA_TEXT.split("\n")[2] + "\n",
    ],
)  # fmt: skip
def test_a_checkpoint_with_any_fault_is_refused(text: str) -> None:
    """Lines, numbers, base64."""
    with pytest.raises(Malformed):
        Checkpoint.parse(text)


def test_extension_lines_are_kept() -> None:
    """Opaque, not empty."""
    checkpoint = Checkpoint("o", 0, EMPTY_ROOT, ("one", "two "))
    assert Checkpoint.parse(checkpoint.text()) == checkpoint
    data = sign_checkpoint(checkpoint, [LOG])
    assert open_checkpoint(data, [LOG.verifier])[0] == checkpoint
    for line in ("", "a\nb", "a\rb"):
        with pytest.raises(Malformed):
            Checkpoint("o", 0, EMPTY_ROOT, (line,))


@pytest.mark.parametrize("cosigner", [WITNESSES[0], PQ_WITNESS])
def test_a_cosignature_holds_for_its_checkpoint_and_time(cosigner: CosignatureSigner) -> None:
    """And for no other."""
    line = cosigner.cosign(SOFA_TEXT, 1_700_000_000)
    verifier = CosignatureVerifier.from_vkey(cosigner.verifier.vkey)
    assert verifier.verify(SOFA_TEXT, line.signature)
    assert timestamp_of(line, cosigner.key_type) == 1_700_000_000
    assert not verifier.verify(SOFA_TEXT.replace("20852163", "20852164"), line.signature)
    assert not verifier.verify("no checkpoint\n", line.signature)
    for at in (0, 7, 8, -1):
        data = bytearray(line.signature)
        data[at] ^= 1
        assert not verifier.verify(SOFA_TEXT, bytes(data))
    for broken in (b"", line.signature[:-1], line.signature + b"\0"):
        assert not verifier.verify(SOFA_TEXT, broken)
    assert CosignatureSigner.from_private_text(cosigner.private_text) == cosigner


def test_what_is_truly_signed_but_no_cosignature_is_refused() -> None:
    """A text that is no checkpoint, a time past 2**63 - 1, bytes behind the signature: the key holder's own slips."""
    cosigner = WITNESSES[0]
    for text, timestamp_s, more in (
        ("a\n1\n", 1, b""),
        (SOFA_TEXT, 2**63, b""),
        (SOFA_TEXT, 1, b"\0"),
    ):
        made = ed25519_sign(cosigner.seed, ed25519_message(timestamp_s, text))
        assert not cosigner.verifier.verify(text, timestamp_s.to_bytes(8, "big") + made + more)
    line = cosigner.cosign(SOFA_TEXT, 1)
    for broken in (line.signature + b"\0", b"\xff" + line.signature[1:]):
        with pytest.raises(Malformed):
            timestamp_of(Signature(line.name, line.key_id, broken), ED25519_COSIGNATURE)


def test_extension_lines_are_covered_by_ed25519_only() -> None:
    """tlog-cosignature says so of both; whoever reads extension lines must know."""
    longer = SOFA_TEXT + "extension\n"
    ed, pq = WITNESSES[0].cosign(SOFA_TEXT, 1), PQ_WITNESS.cosign(SOFA_TEXT, 1)
    assert not WITNESSES[0].verifier.verify(longer, ed.signature)
    assert PQ_WITNESS.verifier.verify(longer, pq.signature)


def test_an_ml_dsa_44_cosignature_made_elsewhere_verifies() -> None:
    """A subtree cosignature by another implementation, as its test has it: key, line, origin, range and root."""
    known = json.loads((SUPPORT / "ml_dsa_44_subtree.json").read_text(encoding="utf-8"))
    verifier = CosignatureVerifier.from_vkey(known["vkey"])
    line = Signature.parse(known["line"])
    root = base64.b64decode(known["root"])
    assert line.key == (verifier.name, verifier.key_id)
    assert verifier.verify_subtree(Subtree(known["origin"], 8, 13, root), line.signature)
    assert not verifier.verify_subtree(Subtree(known["origin"], 8, 14, root), line.signature)
    assert not verifier.verify_subtree(Subtree(known["origin"], 0, 13, root), line.signature)


def test_the_ml_dsa_44_message_has_its_fields_in_order() -> None:
    """tlog-cosignature, structure cosigned_message."""
    message = ml_dsa_44_message("w", 258, Subtree("log", 0, 3, bytes(32)))
    assert message == b"subtree/v1\n\0\x01w\0\0\0\0\0\0\x01\x02\x03log" + bytes(
        8
    ) + b"\0\0\0\0\0\0\0\x03" + bytes(32)


@pytest.mark.parametrize(
    ("name", "timestamp_s", "subtree"),
    [
        ("n" * 256, 0, Subtree("o", 0, 1, bytes(32))),
        ("n", 0, Subtree("", 0, 1, bytes(32))),
        ("n", 0, Subtree("é" * 128, 0, 1, bytes(32))),
        ("n", 1, Subtree("o", 1, 2, bytes(32))),
    ],
)
def test_what_the_ml_dsa_44_message_cannot_carry_is_refused(
    name: str, timestamp_s: int, subtree: Subtree
) -> None:
    """Names of more than 255 bytes; a time on a subtree that starts later."""
    with pytest.raises(Malformed):
        ml_dsa_44_message(name, timestamp_s, subtree)


def test_times_and_keys_out_of_range_are_refused() -> None:
    """Before anything is signed."""
    for timestamp_s in (-1, 2**63):
        with pytest.raises(Malformed, match="timestamp"):
            WITNESSES[0].cosign(SOFA_TEXT, timestamp_s)
    with pytest.raises(Malformed):
        WITNESSES[0].cosign("no checkpoint\n", 1)
    with pytest.raises(Malformed, match="0x06"):
        WITNESSES[0].cosign_subtree(Subtree("o", 0, 1, bytes(32)))
    with pytest.raises(Malformed, match="0x04 or 0x06"):
        CosignatureVerifier.from_vkey(FOO)
    for key_type in (ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE):
        with pytest.raises(Malformed):
            CosignatureVerifier("n", key_type, bytes(31))
        with pytest.raises(Malformed):
            CosignatureSigner("n", key_type, bytes(31))
    with pytest.raises(Malformed):
        Subtree("o", 2, 1, bytes(32))


def test_a_receipt_that_meets_the_policy_is_believed() -> None:
    """Index, path, log, two witnesses of two kinds."""
    proof = LogProof(1, (LEFT,), cosigned(WITNESSES[0], PQ_WITNESS), b"extra")
    logged = verify_proof(LogProof.parse(proof.to_bytes()), RIGHT, POLICY)
    assert logged.checkpoint == CHECKPOINT
    assert logged.witnesses == {"w0", "pq"}


def test_a_receipt_is_spelt_as_the_specification_spells_it() -> None:
    """Header, extra, index, path, empty line, checkpoint."""
    note = cosigned(WITNESSES[0])
    lines = LogProof(1, (LEFT,), note, b"\0").to_bytes().decode().split("\n")
    assert lines[:5] == [
        "c2sp.org/tlog-proof@v1",
        "extra AA==",
        "index 1",
        base64.b64encode(LEFT).decode(),
        "",
    ]
    assert LogProof(0, (), note).to_bytes() == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + note


def test_a_receipt_that_proves_too_little_is_refused() -> None:
    """Each lack by its own name."""
    good = LogProof(1, (LEFT,), cosigned(WITNESSES[0], WITNESSES[1]))
    with pytest.raises(BadProof):
        verify_proof(good, LEFT, POLICY)
    with pytest.raises(BadProof):
        verify_proof(LogProof(0, (LEFT,), good.checkpoint), RIGHT, POLICY)
    with pytest.raises(Unsigned, match="the quorum 'two'"):
        verify_proof(LogProof(1, (LEFT,), cosigned(WITNESSES[0])), RIGHT, POLICY)
    with pytest.raises(Unsigned, match="no witness"):
        verify_proof(LogProof(1, (LEFT,), cosigned()), RIGHT, POLICY)
    lines = [one.cosign(CHECKPOINT.text(), 1) for one in WITNESSES]
    with pytest.raises(Unsigned, match="no signature of this log"):
        verify_checkpoint(join_note(CHECKPOINT.text(), lines), POLICY)
    twice = [WITNESSES[0].cosign(CHECKPOINT.text(), 1), WITNESSES[0].cosign(CHECKPOINT.text(), 2)]
    with pytest.raises(Unsigned, match="the quorum"):
        verify_checkpoint(sign_checkpoint(CHECKPOINT, [LOG], twice), POLICY)


def test_a_log_speaks_for_its_own_origin_only() -> None:
    """The policy knows the key, the checkpoint names another log."""
    foreign = Checkpoint("someone.example/else", 2, CHECKPOINT.root)
    with pytest.raises(Unsigned, match="no signature of this log"):
        verify_checkpoint(cosigned(WITNESSES[0], WITNESSES[1], checkpoint=foreign), POLICY)


def test_extension_lines_the_log_did_not_sign_are_refused() -> None:
    """An ML-DSA-44 signature leaves them out: anyone could add one."""
    log = CosignatureSigner("pq.example/log", ML_DSA_44_COSIGNATURE, bytes([7] * 32))
    policy = Policy.parse(f"log {log.verifier.vkey}\nquorum none\n".encode())
    checkpoint = Checkpoint(log.name, 2, CHECKPOINT.root)
    data = sign_checkpoint(checkpoint, [log.at(1_700_000_000)])
    assert verify_checkpoint(data, policy).checkpoint == checkpoint
    text, signatures = split_note(data)
    with pytest.raises(Unsigned, match="extension lines"):
        verify_checkpoint(join_note(text + "added\n", signatures), policy)


PROOF = LogProof(1, (LEFT,), cosigned(WITNESSES[0]), b"x").to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n\n", PROOF[:-1], PROOF[1:], PROOF + b"\n", PROOF.replace(b"@v1", b"@v2"), PROOF.replace(b"\n", b"\r\n"), PROOF.replace(b"index 1", b"index 01"),
        PROOF.replace(b"index 1", b"index"), PROOF.replace(b"index 1\n", b""), PROOF.replace(b"index 1", b"index -1"), PROOF.replace(b"extra eA==", b"extra "),
        PROOF.replace(b"extra eA==", b"extra eB=="), PROOF.replace(b"extra eA==\n", b"extra eA==\nextra eA==\n"), PROOF.replace(b"extra eA==\nindex 1\n", b"index 1\nextra eA==\n"),
        PROOF.replace(b"\n\nalliance", b"\nalliance"), PROOF.replace(b"\n\nalliance", b"\n\n\nalliance"), PROOF.replace(b"index 1\n", b"index 1\n" + b"A" * 43 + b"=\n" * 1 + b"AAAA\n"),
        PROOF.replace(b"index 1\n", b"index 1\n" + (b"A" * 43 + b"=\n") * 63), PROOF.replace(b"\n2\n", b"\n02\n"), b"\xff" + PROOF, PROOF.replace(b"eA==", b"\xff=="),
    ],
)  # fmt: skip
def test_a_receipt_with_any_fault_is_refused(data: bytes) -> None:
    """Header, order of lines, numbers, base64, length, checkpoint."""
    assert LogProof.parse(PROOF).index == 1
    with pytest.raises(Malformed):
        LogProof.parse(data)


def test_the_example_messages_of_a_witness_are_read_and_written_back() -> None:
    """tlog-witness, add-checkpoint."""
    request = AddCheckpoint.parse(ADD_CHECKPOINT.encode())
    assert (request.old_size, len(request.proof), request.checkpoint.size) == (
        20852014,
        4,
        20852163,
    )
    assert request.to_bytes() == ADD_CHECKPOINT.encode()
    signatures = parse_cosigned_body(COSIGNED.encode())
    assert [signature.name for signature in signatures] == [
        "witness.example/w1",
        "witness.example/w1",
        "witness.example/w2",
    ]
    assert cosigned_body(signatures) == COSIGNED.encode()
    assert parse_conflict_body(b"20852014\n") == 20852014
    assert conflict_body(0) == b"0\n"


@pytest.mark.parametrize(
    "body",
    [
        "", "old 1\n", ADD_CHECKPOINT[1:], ADD_CHECKPOINT[:-1], ADD_CHECKPOINT.replace("old 2", "old 02"), ADD_CHECKPOINT.replace("old 2", "old  2"),
        ADD_CHECKPOINT.replace("old 20852014", "old 20852164"), ADD_CHECKPOINT.replace("old 20852014", "old"), ADD_CHECKPOINT.replace("old ", "OLD "),
        ADD_CHECKPOINT.replace("\n", "\r\n"), ADD_CHECKPOINT.replace("kaw=", "kax="), ADD_CHECKPOINT.replace("PlRN", ""), ADD_CHECKPOINT.replace("\n\nexample", "\nexample"),
        ADD_CHECKPOINT.replace("old 20852014\n", "old 20852014\n" + ("A" * 43 + "=\n") * 60), ADD_CHECKPOINT.replace("\n20852163\n", "\n020852163\n"),
    ],
)  # fmt: skip
def test_a_request_with_any_fault_is_refused(body: str) -> None:
    """A witness answers 400."""
    with pytest.raises(Malformed):
        AddCheckpoint.parse(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        COSIGNED.encode()[:-1],
        COSIGNED.encode() + b"\n",
        COSIGNED.encode().replace(b"w1 ", b"w1"),
        b"\xff\n",
    ],
)
def test_an_answer_with_any_fault_is_refused(body: bytes) -> None:
    """Of a witness, to the log."""
    with pytest.raises(Malformed):
        parse_cosigned_body(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"1", b"\n", b"01\n", b"1\n\n", b"1\r\n", b"-1\n", b"\xff\n", b"9223372036854775808\n"],
)
def test_a_known_size_with_any_fault_is_refused(body: bytes) -> None:
    """As above."""
    with pytest.raises(Malformed):
        parse_conflict_body(body)


def test_the_answer_of_a_witness_joins_the_checkpoint() -> None:
    """The log appends the lines to its note, as tlog-witness suggests."""
    request = AddCheckpoint(0, (), cosigned())
    line = WITNESSES[0].cosign(request.checkpoint.text(), 5)
    joined = request.note + cosigned_body([line])
    note = open_note(joined, POLICY.verifiers())
    assert isinstance(note, Note)
    assert POLICY.witness_names(note.verified) == {"w0"}


def test_an_error_tells_place_found_and_wanted() -> None:
    """In words and as attributes."""
    with pytest.raises(Forged) as refused:
        Checkpoint("o", -1, EMPTY_ROOT)
    assert str(refused.value) == f"checkpoint size: found -1, wanted a number from 0 to {2**63 - 1}"
    assert (refused.value.place, refused.value.found) == ("checkpoint size", "-1")
