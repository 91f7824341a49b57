"""The invariants that only signed entries show: each is broken once, and only it, or what must break with it, is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from hub.ledger.audit import Audit
from hub.ledger.state import State
from schemas.codec import decode, encode
from schemas.records import Entry, Posting
from schemas.signing import KEY_TYPE, Signer, new_signer, possession_body
from tests.support.ledger import FOURTH, HOME, HOST
from tests.support.verified_log import SignedLedger, alliance, signer_of


def made() -> SignedLedger:
    ledger = SignedLedger()
    ledger.in_case("r1", "3", "2")
    ledger.rule("r1", "4", "5")
    ledger.close("2026-2027-1")
    ledger.offer("physics")
    ledger.close("2026-2027-2")
    ledger.tick()
    return ledger


def audited(ledger: SignedLedger, entries: Sequence[Entry] | None = None) -> dict[str, str]:
    """The first breach of each invariant."""
    audit = Audit(alliance().verifier())
    for entry in entries or [written.entry for written in ledger.entries]:
        audit.see(entry)
    first: dict[str, str] = {}
    for name, place in audit.finish(ledger.state):
        first.setdefault(name, place)
    return first


def edited(ledger: SignedLedger, where: int, **fields: Any) -> list[Entry]:
    entries = [written.entry for written in ledger.entries]
    entries[where] = replace(entries[where], **fields)
    return entries


def index_of(ledger: SignedLedger, event_type: str) -> int:
    return next(
        i for i, written in enumerate(ledger.entries) if written.entry.event_type == event_type
    )


def test_a_signed_ledger_has_no_breach() -> None:
    """Recognition, two periods, a tick."""
    assert audited(made()) == {}


# I5, I6: places


def test_hashes_that_do_not_link_are_named() -> None:
    """Who gives the framed entries has the chain checked, too."""
    ledger, audit = made(), Audit()
    for number, written in enumerate(ledger.entries):
        value = ledger.entries[0].value if number == 3 else written.value
        audit.see(written.entry, value)
    assert audit.breaches == [("I5", audit.breaches[0][1])]
    assert audit.breaches[0][1].startswith("entry 5: prev_hash")


def test_places_in_a_group_are_dense() -> None:
    """What follows from one input is numbered without gaps."""
    ledger = made()
    where = index_of(ledger, "ledger.period-closed")
    assert "place 2" in audited(ledger, edited(ledger, where, input_index=2))["I6"]


# What takes effect (I7)


def test_a_statement_takes_effect_once() -> None:
    """An older version behind a newer one, under another event id."""
    ledger = SignedLedger()
    ledger.offer("physics", capacity=3)
    ledger.offer("physics", capacity=4)
    entries = [written.entry for written in ledger.entries]
    again = replace(entries[0], seq=3, input_offset=2, event_id="another", postings=())
    entries.append(replace(again, ledger_at=entries[1].ledger_at + timedelta(seconds=1)))
    assert audited(ledger, entries)["I7"].startswith("entry 3: version 1 of physics")


# I9: keys by sequence number


def key_changed(
    ledger: SignedLedger, by: str, action: str, key: Signer | None, **other: Any
) -> Entry:
    """A member changes its keys; the new one is used from now on."""
    fields = {
        "code": by,
        "action": action,
        "key_id": key.key_id if key else other.pop("key_id"),
        "public_key": key.public if key else None,
        "replaces": None,
        "possession": key.sign_as(KEY_TYPE, possession_body(by, key.key_id)) if key else None,
        "reason": None if key else "lost",
    }
    record = ledger.record("member.key-changed", subject=f"{by}/keys", **(fields | other))
    return ledger.applied(ledger.say(record))


def test_an_added_key_counts_from_the_next_entry_on() -> None:
    """Not before: the same event a place earlier is signed by a key that nobody knew."""
    ledger, key = SignedLedger(), new_signer(b"a" * 32)
    key_changed(ledger, HOST, "add", key)
    ledger.signers[HOST] = key
    ledger.offer("physics")
    assert audited(ledger) == {}
    entries = [written.entry for written in ledger.entries]
    entries = [replace(entries[1], seq=1, input_offset=0, ledger_at=entries[0].ledger_at), replace(entries[0], seq=2, input_offset=1, ledger_at=entries[1].ledger_at)]  # fmt: skip
    assert f"key {key.key_id} belongs to nobody known by then" in audited(ledger, entries)["I9"]


def test_a_revoked_key_counts_no_longer_and_what_it_signed_stays() -> None:
    """Rotation replaces a key of the configuration; an event that the old one signs later must not be applied."""
    ledger, key = SignedLedger(), new_signer(b"b" * 32)
    ledger.offer("physics")
    key_changed(ledger, HOST, "rotate", key, replaces=signer_of(HOST).key_id)
    late = ledger.offer("history")
    assert late.reason == "KEY_REVOKED"
    assert audited(ledger) == {}
    as_applied = edited(ledger, 2, outcome="applied", reason=None)
    assert "was revoked by entry 2" in audited(ledger, as_applied)["I9"]


def test_a_key_of_another_member_cannot_be_revoked() -> None:
    """Nobody silences another university."""
    ledger = SignedLedger()
    record = ledger.record(
        "member.key-changed", subject=f"{HOST}/keys", code=HOST, action="revoke", key_id=signer_of(HOME).key_id,
        public_key=None, replaces=None, possession=None, reason="lost",
    )  # fmt: skip
    entry = replace(ledger.say(record), outcome="applied", reason=None)
    assert f"changes key {signer_of(HOME).key_id} of {HOME}" in audited(ledger, [entry])["I9"]


def test_a_key_has_the_name_that_follows_from_it() -> None:
    """Else two keys could go under one name."""
    ledger, key = SignedLedger(), new_signer(b"c" * 32)
    record = ledger.record(
        "member.key-changed", subject=f"{HOST}/keys", code=HOST, action="add", key_id="0" * 16, public_key=key.public,
        replaces=None, possession=None, reason=None,
    )  # fmt: skip
    entry = replace(ledger.say(record), outcome="applied", reason=None)
    assert "has the name of another" in audited(ledger, [entry])["I9"]


def test_the_writer_is_one_that_the_schema_names() -> None:
    """An award is its host's to state: another member's own key does not help."""
    ledger = made()
    where = index_of(ledger, "credit.awarded")
    event: Any = decode(ledger.entries[where].entry.event)
    event = replace(event, envelope=replace(event.envelope, member=FOURTH))
    value, key = encode(event), signer_of(FOURTH)
    entries = edited(
        ledger, where, event=value, member=FOURTH, key_id=key.key_id, signature=key.sign(value)
    )
    assert f"wanted {HOST}" in audited(ledger, entries)["I9"]


# I10: what a student gets


@pytest.mark.parametrize("amount", [3000, 5000])
def test_a_student_gets_what_the_decision_lists(amount: int) -> None:
    """The decision lists 4 credits."""
    ledger = made()
    where = index_of(ledger, "credit.recognition-decided")
    postings = [
        replace(posting, amount=amount) if posting.source.startswith("conversion:") else posting
        for posting in ledger.entries[where].entry.postings
    ]
    found = audited(ledger, edited(ledger, where, postings=tuple(postings)))
    assert f"gives {amount} thousandths" in found["I10"]


def test_nothing_else_gives_a_student_credits() -> None:
    """Credits come out of a recognition and from nowhere else."""
    ledger = made()
    where = index_of(ledger, "offering.changed")
    gift = Posting("move", f"conversion:{HOME}", f"student:{HOME}:x", "credit.cn_credit", 1, None)
    entry = ledger.entries[where].entry
    assert "I10" in audited(ledger, edited(ledger, where, postings=(*entry.postings, gift)))


# Periods: I12 holds


@pytest.mark.parametrize(
    ("field", "change", "said"),
    [
        ("first_seq", lambda seq: seq + 1, "wanted ("),
        ("last_seq", lambda seq: seq - 1, "wanted ("),
        ("accounts", lambda count: count - 1, "accounts under"),
        ("balances_root", lambda _: bytes(32), "accounts under"),
        ("period", lambda _: "2026-2027-1", "closed already"),
    ],
)
def test_a_false_close_is_named(field: str, change: Callable[[Any], Any], said: str) -> None:
    """Bounds, root, count, name: each recomputes."""
    ledger = made()
    where = [i for i, w in enumerate(ledger.entries) if w.entry.event_type == "ledger.period-closed"][1]  # fmt: skip
    record: Any = decode(ledger.entries[where].entry.event)
    forged = replace(record, **{field: change(getattr(record, field))})
    found = audited(ledger, edited(ledger, where, event=encode(forged)))
    assert set(found) == {"I12"}
    assert said in found["I12"]


# I14, I15


def test_a_posting_that_the_chart_does_not_have_is_named() -> None:
    """Between three members, or in a unit that an account cannot hold."""
    ledger = made()
    where = index_of(ledger, "offering.changed")
    entry = ledger.entries[where].entry
    odd = Posting("move", f"issued:{HOST}:{HOME}", f"claim:{FOURTH}:{HOST}", "credit.cn_credit", 1, None)  # fmt: skip
    assert "I14" in audited(ledger, edited(ledger, where, postings=(*entry.postings, odd)))


def test_an_entry_holds_an_event_or_a_record_of_the_hubs_own() -> None:
    """A member cannot put a tick into the ledger, the hub cannot speak for a member, and junk is no event."""
    ledger = made()
    tick, offer = index_of(ledger, "ledger.tick"), index_of(ledger, "offering.changed")
    by_hub = edited(ledger, offer, member="", key_id="", signature=b"")
    assert audited(ledger, by_hub)["I15"].startswith(f"entry {offer + 1}: offering.changed")
    value, key = ledger.entries[tick].entry.event, signer_of(HOST)
    by_member = edited(ledger, tick, member=HOST, key_id=key.key_id, signature=key.sign(value))
    assert "ledger.tick of member" in audited(ledger, by_member)["I15"]
    junk = ledger.entries[offer].entry.event + b"\0"
    signed = edited(ledger, offer, event=junk, signature=key.sign(junk))
    assert "I15" in audited(ledger, signed)


# I8, I17: the end state


def test_the_postings_give_the_open_amounts() -> None:
    """A settled amount that the state still holds open, and the reverse."""
    ledger = SignedLedger()
    ledger.in_case("r1", "3")
    name = next(iter(ledger.state.book.pendings))
    ledger.state.book.pendings[name].open -= 1
    assert name in audited(ledger)["I8"]


def test_what_is_parked_beyond_its_time_is_named() -> None:
    """A tick gives up on it; if it did not, the audit says so."""
    ledger = SignedLedger()
    ledger.request("e1", "unknown-offering")
    assert ledger.state.parked_count() == 1
    ledger.tick()
    assert audited(ledger) == {}
    state: State = ledger.state
    state.now_ms += 15 * 86_400_000
    assert audited(ledger)["I17"].startswith("entry 1: still parked")
