"""`check_erasure` alone: what it finds wrong with an erasure, each thing by its name, and nothing where nothing is wrong.

The command around it is in `test_verify_erasure.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.verify.erasure import Report, check_erasure
from schemas.codec import encode
from schemas.private import commitment
from schemas.records import PrivatePart
from schemas.signing import KEY_TYPE, Signer, Verifier, new_signer, possession_body, sign_page
from schemas.tlog.checkpoint import Checkpoint
from schemas.tlog.merkle import Frontier, consistency_proof, leaf_hash
from schemas.topics import payload_key
from tests.support.ledger import HOME, HOST
from tests.support.verified_log import (
    ORIGIN,
    SignedLedger,
    alliance,
    rechained,
    signer_of,
)

SID = f"urn:alliance:student:{HOME}:0a1b"
OTHER_SID = f"urn:alliance:student:{HOME}:0a1bc"  # begins like the one above
AT = datetime(2030, 9, 1, 2, tzinfo=UTC)
FIRST = signer_of(HOME).key_id
BEFORE = 3  # entries that stood in the log when a checkpoint was kept


def part(key: str) -> PrivatePart:
    return PrivatePart(key, commitment(bytes(12), key.encode()), 64)


def studied() -> SignedLedger:
    """An enrollment and an award of the student, each with a private part under a key of its own."""
    ledger = SignedLedger()
    ledger.offer(capacity=9)
    ledger.applied(ledger.request("e1", student_id=SID, private=part("k1")))
    ledger.applied(ledger.decide("e1", "accepted"))
    ledger.applied(ledger.move("e1", "started"))
    ledger.applied(ledger.award("w1", "e1", private=part("k2")))
    return ledger


def erasure(ledger: SignedLedger, *key_ids: str, **changed: Any) -> Any:
    """The home's event, not said yet."""
    facts: dict[str, Any] = {
        "student_id": SID, "home": HOME, "key_ids": key_ids, "erased_at": AT, "backups_clear_at": AT,
    }  # fmt: skip
    return ledger.record("student.erased", **facts | changed)


def erased(*key_ids: str) -> SignedLedger:
    """The same, then erased with these keys; the log goes on afterwards."""
    ledger = studied()
    ledger.applied(ledger.say(erasure(ledger, *(key_ids or ("k1", "k2")))))
    ledger.offer("physics")
    return ledger


def added(key: Signer) -> dict[str, Any]:
    """The fields with which the home adds a key."""
    return {
        "code": HOME, "action": "add", "key_id": key.key_id, "public_key": key.public, "replaces": None,
        "possession": key.sign_as(KEY_TYPE, possession_body(HOME, key.key_id)), "reason": None,
    }  # fmt: skip


def values_of(ledger: SignedLedger) -> list[bytes]:
    return [written.value for written in ledger.entries]


def checkpoint(values: Sequence[bytes]) -> Checkpoint:
    tree = Frontier().extend([leaf_hash(value) for value in values])
    return Checkpoint(ORIGIN, tree.size, tree.root())


def proof_of(values: Sequence[bytes], old: int) -> tuple[bytes, ...]:
    """Of consistency, from the tree of so many entries to that of all."""
    hashes = [leaf_hash(value) for value in values]
    return consistency_proof(old, len(values), lambda level, index: _node(hashes, level, index))


def _node(hashes: Sequence[bytes], level: int, index: int) -> bytes:
    return Frontier().extend(hashes[index << level : index + 1 << level]).root()


def report(
    source: SignedLedger | Sequence[bytes],
    payloads: Sequence[tuple[str, bytes | None]] = (),
    verifier: Verifier | None = None,
    **more: Any,
) -> Report:
    values = values_of(source) if isinstance(source, SignedLedger) else source
    return check_erasure(SID, values, payloads, verifier or alliance().verifier(), **more)


def problems(found: Report) -> list[tuple[str, str]]:
    """Names with places."""
    return [(one.name, one.place) for one in found.problems]


def spoiled(ledger: SignedLedger, **fields: Any) -> list[bytes]:
    """The log with other fields in the entry of the erasure, its chain mended as an operator could."""
    entries = [written.entry for written in ledger.entries]
    at = next(place for place, one in enumerate(entries) if one.event_type == "student.erased")
    entries[at] = replace(entries[at], **fields)
    return rechained(entries)


def test_an_erasure_that_holds_has_no_problem_and_says_what_it_stands_on() -> None:
    """Said by the home, every key named, tombstones only, the tree grown from the one of before."""
    values = values_of(erased())
    payloads = [
        (payload_key(SID, "e-1"), b"cipher"),
        (payload_key(OTHER_SID, "e-2"), b"somebody else's"),
        (payload_key(SID, "e-1"), None),
        (payload_key(SID, "e-3"), b""),
    ]
    found = report(
        values, payloads, before=checkpoint(values[:BEFORE]), after=checkpoint(values), proof=proof_of(values, BEFORE)
    )  # fmt: skip
    assert found == Report(SID, len(values), (6,), (2, 5), ("k1", "k2"), ("k1", "k2"), 4, (), ())
    assert found.holds


def test_not_erased_where_the_home_never_said_so() -> None:
    """A topic without payloads is no erasure: the keys may still be there."""
    found = report(studied())
    assert problems(found) == [("NOT_ERASED", SID)]
    assert (found.holds, found.erased_seqs, found.keys_listed) == (False, (), ())


def test_not_erased_where_the_ledger_refused_the_erasure() -> None:
    """Hosts never heard of it."""
    ledger = studied()
    ledger.say(erasure(ledger, "k1", "k2", backups_clear_at=datetime(2030, 8, 1, tzinfo=UTC)))
    assert problems(report(ledger)) == [("NOT_ERASED", SID)]


def test_not_erased_by_the_erasure_of_another_student() -> None:
    """Of the same home, with a pseudonym that begins like this one."""
    ledger = studied()
    ledger.applied(ledger.say(erasure(ledger, "k1", "k2", student_id=OTHER_SID)))
    assert problems(report(ledger)) == [("NOT_ERASED", SID)]


def test_not_erased_by_a_void_record() -> None:
    """A record that does not extend the log's head is none of its entries; one that comes twice is one entry."""
    ledger = erased()
    values = values_of(ledger)
    void = encode(replace(ledger.entries[5].entry, prev_hash=bytes(32)))
    assert problems(report([*values[:5], void])) == [("NOT_ERASED", SID)]
    found = report([*values[:5], void, *values[5:], values[5]], after=checkpoint(values))
    assert (problems(found), found.entries) == ([], 7)


@pytest.mark.parametrize(
    "signature",
    [
        bytes(64),
        signer_of(HOME).sign(b"something else"),
        signer_of(HOST).sign(encode(erasure(SignedLedger(), "k1", "k2"))),
    ],
    ids=["none", "of-other-bytes", "of-another-member"],
)
def test_not_by_home_where_the_homes_key_did_not_sign_it(signature: bytes) -> None:
    """Whoever runs the hub can write the entry; the home's key it does not have."""
    found = report(spoiled(erased(), signature=signature))
    assert problems(found) == [("NOT_BY_HOME", "entry 6"), ("NOT_ERASED", SID)]
    assert found.keys_listed == ()


def test_not_by_home_where_another_members_key_is_named() -> None:
    """A valid signature, but of somebody whose student it is not."""
    ledger = erased()
    event = next(one.entry.event for one in ledger.entries if one.entry.seq == 6)
    host = signer_of(HOST)
    found = report(spoiled(ledger, key_id=host.key_id, signature=host.sign(event)))
    assert problems(found)[0] == ("NOT_BY_HOME", "entry 6")
    assert HOST in found.problems[0].found


def test_not_by_home_where_another_university_says_to_be_it() -> None:
    """The event names a home of which the pseudonym says otherwise; signed by that one, and no rule ever let it in."""
    ledger = erased()
    event = encode(erasure(ledger, "k1", "k2", home=HOST))
    host = signer_of(HOST)
    values = spoiled(ledger, event=event, key_id=host.key_id, signature=host.sign(event))
    assert problems(report(values))[0] == ("NOT_BY_HOME", "entry 6")


def test_not_by_home_where_the_code_only_begins_like_the_homes() -> None:
    """A member `1061` has no students of `10610`."""
    ledger, verifier = erased(), alliance().verifier()
    shorter, key = HOME[:-1], new_signer(b"shorter".ljust(32, b"."))
    verifier.add(key.key_id, shorter, key.public)
    event = encode(erasure(ledger, "k1", "k2", home=shorter, by=HOME))
    values = spoiled(ledger, event=event, key_id=key.key_id, signature=key.sign(event))
    assert problems(report(values, verifier=verifier))[0] == ("NOT_BY_HOME", "entry 6")


def test_not_by_home_where_the_home_never_signed_for_the_key() -> None:
    """The hub could write an entry that adds a key of its own making for a member."""
    ledger, made = studied(), new_signer(b"made up".ljust(32, b"."))
    facts = added(made)
    ledger.applied(ledger.say(ledger.record("member.key-changed", **facts), (FIRST, bytes(64))))
    record = erasure(ledger, "k1", "k2")
    ledger.applied(ledger.say(record, (made.key_id, made.sign(encode(record)))))
    assert problems(report(ledger)) == [("NOT_BY_HOME", "entry 7"), ("NOT_ERASED", SID)]


def test_a_key_that_the_home_added_signs_an_erasure_too() -> None:
    """Keys change by entries; whoever reads the log learns them from it. So does a page's signature."""
    ledger, new = studied(), new_signer(b"second".ljust(32, b"."))
    ledger.applied(ledger.tell("member.key-changed", **added(new)))
    record = erasure(ledger, "k1", "k2")
    made = sign_page(new, [encode(record), b"another event"])
    ledger.applied(ledger.say(record, (new.key_id, made[0])))
    assert report(ledger).holds


def test_key_not_listed_where_a_private_part_was_sealed_with_another() -> None:
    """What the home did not destroy it can still read; the entry that shows the key is named."""
    found = report(erased("k1", "k3"))
    assert problems(found) == [("KEY_NOT_LISTED", "entry 5")]
    assert "k2" in found.problems[0].found


def test_key_not_listed_where_the_private_part_is_of_an_event_that_was_rejected() -> None:
    """Its payload was sent before anyone decided, and can be read like any other."""
    ledger = studied()
    rejected = ledger.request("e1", student_id=SID, private=part("k9"))
    assert rejected.outcome == "rejected"
    ledger.applied(ledger.say(erasure(ledger, "k1", "k2")))
    assert problems(report(ledger)) == [("KEY_NOT_LISTED", f"entry {rejected.seq}")]


def test_not_by_home_where_a_key_signed_that_the_home_had_revoked() -> None:
    """Who stole it cannot say that a student was erased, even with the hub's help."""
    ledger, stolen = studied(), new_signer(b"stolen".ljust(32, b"."))
    ledger.applied(ledger.tell("member.key-changed", **added(stolen)))
    gone = added(stolen) | {"action": "revoke", "public_key": None, "possession": None, "reason": "lost"}  # fmt: skip
    ledger.applied(ledger.tell("member.key-changed", **gone))
    record = erasure(ledger, "k1", "k2")
    ledger.applied(ledger.say(record))
    values = spoiled(ledger, key_id=stolen.key_id, signature=stolen.sign(encode(record)))
    assert problems(report(values))[0] == ("NOT_BY_HOME", "entry 8")


def test_keys_may_be_listed_by_several_erasures() -> None:
    """A key that was forgotten is named afterwards."""
    ledger = erased("k1")
    ledger.applied(ledger.say(erasure(ledger, "k2")))
    found = report(ledger)
    assert (problems(found), found.erased_seqs, found.keys_listed) == ([], (6, 8), ("k1", "k2"))


def test_keys_of_other_students_need_not_be_listed() -> None:
    """Each student has keys of their own."""
    ledger = erased()
    ledger.applied(ledger.request("e2", student_id=OTHER_SID, private=part("k9")))
    assert report(ledger).holds


def test_payload_left_where_the_newest_message_of_a_key_has_a_value() -> None:
    """A tombstone before it erases nothing; each payload is named by its key."""
    one, other = payload_key(SID, "e-1"), payload_key(SID, "e-2")
    found = report(erased(), [(one, None), (one, b"cipher"), (other, b"cipher"), (other, b"")])
    assert problems(found) == [("PAYLOAD_LEFT", one)]
    assert (found.payloads_left, found.payloads_seen) == ((one,), 4)


def test_other_root_where_the_log_is_not_the_one_that_was_signed() -> None:
    """Erasing must not touch the ledger: not one byte of an entry before, nor of one after."""
    values, other = values_of(erased()), values_of(erased("k1", "k2", "k3"))
    changed = [values[0], *(b"x" + value for value in values[1:BEFORE])]
    found = report(values, before=checkpoint(changed), after=checkpoint(other))
    assert problems(found) == [
        ("OTHER_ROOT", f"checkpoint before of size {BEFORE}"),
        ("OTHER_ROOT", f"checkpoint after of size {len(values)}"),
    ]


def test_other_root_where_the_log_is_shorter_than_what_was_signed() -> None:
    """Entries that were cut off at the end cannot be under the root."""
    values = values_of(erased())
    found = report(values[:-1], after=checkpoint(values))
    assert problems(found) == [("OTHER_ROOT", "checkpoint after")]
    assert (found.problems[0].found, found.problems[0].wanted) == ("6 entries", "7 entries")


def test_a_checkpoint_of_the_empty_log_is_under_every_log() -> None:
    """Whoever kept one from the very beginning has asked for nothing impossible."""
    values = values_of(erased())
    found = report(values, before=checkpoint([]), after=checkpoint(values), proof=[])
    assert found.holds


@pytest.mark.parametrize("change", ["hash", "shorter", "longer"])
def test_not_consistent_where_the_proof_does_not_lead_from_one_root_to_the_other(
    change: str,
) -> None:
    """Both roots may be right and the proof wrong: then whoever made it is asked, not believed."""
    values = values_of(erased())
    proof = proof_of(values, BEFORE)
    wrong = {
        "hash": [bytes(32), *proof[1:]],
        "shorter": proof[:-1],
        "longer": [*proof, bytes(32)],
    }[change]
    found = report(
        values, before=checkpoint(values[:BEFORE]), after=checkpoint(values), proof=wrong
    )
    assert [one.name for one in found.problems] == ["NOT_CONSISTENT"]
    assert not found.holds


def test_not_consistent_where_the_log_shrank() -> None:
    """A checkpoint of afterwards that is smaller than one of before was signed of another log."""
    values = values_of(erased())
    found = report(
        values, before=checkpoint(values), after=checkpoint(values[:BEFORE]), proof=[bytes(32)]
    )
    assert [one.name for one in found.problems] == ["NOT_CONSISTENT"]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """Whoever mends one thing need not ask again to hear of the next."""
    values = values_of(erased("k1"))
    found = report(
        values, [(payload_key(SID, "e-1"), b"cipher")], before=checkpoint(values[1:BEFORE]), after=checkpoint(values),
        proof=proof_of(values, BEFORE - 1),
    )  # fmt: skip
    names = [one.name for one in found.problems]
    assert names == ["KEY_NOT_LISTED", "PAYLOAD_LEFT", "OTHER_ROOT", "NOT_CONSISTENT"]
    assert all(one.name in str(one) and one.wanted in str(one) for one in found.problems)
