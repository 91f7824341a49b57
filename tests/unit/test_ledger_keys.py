"""Keys as entries: who may add, rotate and revoke which, and from which entry on a key counts."""

from __future__ import annotations

from typing import Any

import pytest

from hub.domain.keys import REVOKED, VALID, MemberKey
from schemas import records as r
from schemas.signing import KEY_TYPE, PROMISE_TYPE, Signer, new_signer, possession_body
from tests.support.ledger import HOME, HOST, MEMBERS, OTHER, Ledger, assert_refused

FIRST = "0123456789abcdef"  # a key of the configuration: the ledger never heard of it


def signer(number: int) -> Signer:
    return new_signer(bytes([number]) * 32)


def said(key: Signer, action: str = "add", *, code: str = HOST, **changed: Any) -> dict[str, Any]:
    """The fields with which a member adds or rotates to a key that it holds."""
    return {
        "code": code,
        "action": action,
        "key_id": key.key_id,
        "public_key": key.public,
        "replaces": None,
        "possession": key.sign_as(KEY_TYPE, possession_body(code, key.key_id)),
        "reason": None,
    } | changed


def gone(key_id: str, why: str | None = "lost", *, code: str = HOST, **changed: Any) -> Any:
    """The fields with which a member revokes a key."""
    return {
        "code": code,
        "action": "revoke",
        "key_id": key_id,
        "public_key": None,
        "replaces": None,
        "possession": None,
        "reason": why,
    } | changed


def tell(ledger: Ledger, fields: dict[str, Any]) -> r.Entry:
    return ledger.tell("member.key-changed", **fields)


def test_an_added_key_is_known_and_every_member_hears_of_it() -> None:
    """Whoever checks signatures must learn of it: all of them."""
    ledger, key = Ledger(), signer(1)
    entry = ledger.applied(tell(ledger, said(key)))
    assert ledger.find(MemberKey, key.key_id) == MemberKey(key.key_id, HOST, key.public, VALID)
    assert {*entry.audience, HOST} == set(MEMBERS)
    assert not entry.postings


def test_a_rotation_takes_the_old_key_out_with_the_entry_that_brings_the_new_one() -> None:
    """One entry, so there is no time with two keys or none."""
    ledger, old, new = Ledger(), signer(1), signer(2)
    ledger.applied(tell(ledger, said(old)))
    ledger.applied(tell(ledger, said(new, "rotate", replaces=old.key_id)))
    assert ledger.find(MemberKey, old.key_id) == MemberKey(old.key_id, HOST, old.public, REVOKED)
    assert ledger.find(MemberKey, new.key_id).state == VALID


def test_a_first_key_can_be_rotated_and_revoked_although_the_ledger_never_heard_of_it() -> None:
    """The keys of the configuration are not in the ledger, and are the first to be replaced."""
    ledger = Ledger()
    ledger.applied(tell(ledger, said(signer(1), "rotate", replaces=FIRST)))
    assert ledger.find(MemberKey, f"{HOST}/{FIRST}") == MemberKey(FIRST, HOST, b"", REVOKED)
    ledger.applied(tell(ledger, gone("fedcba9876543210")))
    assert ledger.find(MemberKey, f"{HOST}/fedcba9876543210").state == REVOKED


def test_a_first_key_named_by_another_member_goes_on_as_its_owner_says() -> None:
    """The ledger does not know whose a first key is, so a member's word on one holds for that member alone."""
    ledger = Ledger()
    offering = {"host": HOST}
    ledger.applied(tell(ledger, gone(FIRST, code=HOME)))
    own = ledger.record("offering.changed", offering_id="o1", **offering)
    ledger.applied(ledger.say(own, FIRST))
    ledger.applied(tell(ledger, gone(FIRST)))
    ledger.applied(tell(ledger, gone(FIRST, code=OTHER)))
    stolen = ledger.record("offering.changed", offering_id="o2", **offering)
    assert_refused(ledger.say(stolen, FIRST), "KEY_REVOKED")


def test_what_a_revoked_key_signs_afterwards_is_rejected_and_uses_no_version_up() -> None:
    """A thief must not block the owner; what the key signed before stays."""
    ledger, key = Ledger(), signer(1)
    ledger.applied(tell(ledger, said(key)))
    before = ledger.say(
        ledger.record("offering.changed", offering_id="before", host=HOST), key.key_id
    )
    ledger.applied(before)
    ledger.applied(tell(ledger, gone(key.key_id, "compromised")))
    stolen = ledger.say(ledger.record("offering.changed", offering_id="o1", host=HOST), key.key_id)
    assert_refused(stolen, "KEY_REVOKED", key.key_id, HOST)
    ledger.applied(
        ledger.say(ledger.record("offering.changed", offering_id="o1", host=HOST, version=1), FIRST)
    )
    assert ledger.again(ledger.entries[1].entry).outcome == "duplicate"


def test_a_key_of_one_member_signs_nothing_of_another() -> None:
    """Admission looks first; the ledger does not rest on it for keys it knows."""
    ledger, key = Ledger(), signer(1)
    ledger.applied(tell(ledger, said(key)))
    foreign = ledger.say(ledger.record("enrollment.requested", home=HOME, host=HOST), key.key_id)
    assert_refused(foreign, "KEY_REVOKED", key.key_id)


def test_the_entry_that_revokes_may_be_signed_by_the_key_it_revokes() -> None:
    """The last key, stolen, must be stoppable; a new first key in the configuration brings the member back."""
    ledger, key = Ledger(), signer(1)
    ledger.applied(tell(ledger, said(key)))
    ledger.applied(ledger.say(ledger.record("member.key-changed", **gone(key.key_id)), key.key_id))
    again = signer(2)
    locked_out = ledger.say(ledger.record("member.key-changed", **said(again)), key.key_id)
    assert_refused(locked_out, "KEY_REVOKED")
    new_first = ledger.record("member.key-changed", version=3, **said(again))
    ledger.applied(ledger.say(new_first, "aaaabbbbccccdddd"))


def test_a_revoked_key_never_comes_back() -> None:
    """Who stole it still has it."""
    ledger, key = Ledger(), signer(1)
    ledger.applied(tell(ledger, said(key)))
    assert_refused(tell(ledger, said(key)), "ILLEGAL_TRANSITION", "valid already")
    ledger.applied(tell(ledger, gone(key.key_id)))
    assert_refused(tell(ledger, said(key)), "ILLEGAL_TRANSITION", "revoked already")
    assert_refused(tell(ledger, gone(key.key_id)), "ILLEGAL_TRANSITION", "revoked already")
    assert_refused(
        tell(ledger, said(signer(2), "rotate", replaces=key.key_id)), "ILLEGAL_TRANSITION"
    )


def test_another_members_key_is_left_alone() -> None:
    """Neither taken over nor revoked, whoever asks."""
    ledger, key = Ledger(), signer(1)
    ledger.applied(tell(ledger, said(key)))
    assert_refused(tell(ledger, said(key, code=HOME)), "NOT_WRITER", HOST)
    assert_refused(tell(ledger, gone(key.key_id, code=HOME)), "NOT_WRITER", HOST, HOME)
    rotation = said(signer(2), "rotate", code=HOME, replaces=key.key_id)
    assert_refused(tell(ledger, rotation), "NOT_WRITER", HOST, HOME)
    assert ledger.find(MemberKey, key.key_id).state == VALID


KEY, OTHER_KEY = signer(1), signer(2)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (said(KEY, subject=HOST), "subject"),
        (said(KEY, "swap"), "add, rotate, revoke"),
        (said(KEY, key_id="x" * 16), "16 hex digits"),
        (said(KEY, key_id=OTHER_KEY.key_id), KEY.key_id),
        (said(KEY, public_key=None), "0 bytes"),
        (said(KEY, public_key=KEY.public[:31]), "31 bytes"),
        (said(KEY, possession=None), "did not sign its own name"),
        (said(KEY, possession=said(OTHER_KEY)["possession"]), "did not sign its own name"),
        (said(KEY, possession=said(KEY, code=HOME)["possession"]), "did not sign its own name"),
        (
            said(KEY, possession=KEY.sign_as(PROMISE_TYPE, possession_body(HOST, KEY.key_id))),
            "did not sign its own name",
        ),
        (said(KEY, possession=KEY.sign(possession_body(HOST, KEY.key_id))), "did not sign"),
        (said(KEY, replaces=FIRST), "only then"),
        (said(KEY, "rotate"), "only then"),
        (said(KEY, "rotate", replaces=KEY.key_id), "replaces itself"),
        (said(KEY, "rotate", replaces="old"), "16 hex digits"),
        (gone(FIRST, None), "superseded, retired, lost, compromised"),
        (gone(FIRST, "mislaid"), "mislaid"),
        (gone(FIRST, public_key=KEY.public), "leave them out"),
        (gone(FIRST, possession=bytes(64)), "leave them out"),
        (gone(FIRST, replaces=KEY.key_id), "leave them out"),
    ],
)
def test_a_faulty_change_is_refused_and_says_what_is_wrong(fields: Any, fault: str) -> None:
    """A key that nobody holds, or under another's name, would lock a member out or let a stranger in."""
    ledger = Ledger()
    assert_refused(tell(ledger, fields), "CONTENT_INVALID", fault)
    assert not ledger.state.things.get("key")


def test_reasons_of_ones_own_begin_with_x() -> None:
    ledger = Ledger()
    ledger.applied(tell(ledger, gone(FIRST, "x-left-the-building")))
