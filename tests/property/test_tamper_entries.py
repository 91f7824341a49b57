"""Not even all keys of the hub and of a whole quorum together make a false ledger pass.

The attacker here signs every checkpoint and every cosignature, so the tree is always sound. What is left to find the
fraud are the members' signatures, the rules, the invariants, and one checkpoint that somebody kept from before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.ledger.apply import RULE_VERSION, Written
from hub.ledger.state import Input
from hub.verify.outcome import Code
from schemas.codec import decode, encode
from schemas.records import Change, Entry, Posting
from tests.support.ledger import FOURTH, HOST, Ledger
from tests.support.verified_log import (
    Log,
    SignedLedger,
    alliance,
    alliance_toml,
    checkpoint_note,
    log_of,
    place_of,
    rechained,
    signer_of,
    verify,
    written_again,
)

AWARD = "credit.awarded"


def made() -> SignedLedger:
    """A study with its recognition, a closed period, a look at the clock, a page of events under one signature."""
    ledger = SignedLedger()
    ledger.in_case("r1", "3", "2")
    ledger.rule("r1", "4", "5")
    ledger.close("2026-2027-1")
    ledger.say_page([_offering(ledger, number) for number in range(3)])
    ledger.tick()
    return ledger


def _offering(ledger: Ledger, number: int) -> Any:
    return ledger.record("offering.changed", by=HOST, offering_id=f"page-{number}", host=HOST)


LEDGER = made()
ENTRIES = [written.entry for written in LEDGER.entries]
HONEST = log_of([written.value for written in LEDGER.entries])


def at(event_type: str, number: int = 0) -> int:
    """Index of an entry of that type."""
    return [i for i, entry in enumerate(ENTRIES) if entry.event_type == event_type][number]


def replayed(folder: Path, log: Log, *more: str | Path) -> tuple[int, dict[str, Any]]:
    (folder / "alliance.toml").write_text(alliance_toml(alliance()), encoding="utf-8")
    log.write(folder / "log")
    return verify("replay", "--entries", folder / "log", "--alliance", folder / "alliance.toml", *more)  # fmt: skip


def test_the_honest_ledger_passes(tmp_path: Path) -> None:
    """What every case below starts from."""
    (tmp_path / "kept").write_bytes(checkpoint_note(HONEST.entries[:10]))
    code, values = replayed(tmp_path, HONEST, "--since", tmp_path / "kept")
    assert code == Code.OK, values
    results = {one["result"] for one in values["invariants"].values()}
    assert results == {"ok", "elsewhere"}
    assert values["entries"] == len(ENTRIES)


# Edited entries

APPLIED = at(AWARD)
EDITS: dict[str, Any] = {
    "input_index": 1,
    "event_id": "another",
    "event_hash": bytes(32),
    "event_type": "credit.award-corrected",
    "source": "urn:alliance:member:10611:other",
    "member": FOURTH,
    "subject": "w2",
    "outcome": "rejected",
    "reason": "NO_SEAT",
    "detail": "because",
    "refers_to": 1,
    "about_seq": 1,
    "about_version": 1,
    "effective_at": ENTRIES[APPLIED].effective_at - timedelta(days=30),
    "audience": (FOURTH,),
    "postings": (),
    "changes": (Change("award", "w1", "revoked", (), None, True),),
    "flags": ("award_corrected_after_decision",),
}


@pytest.mark.parametrize("field", EDITS)
def test_an_edited_field_is_named(tmp_path: Path, field: str) -> None:
    """The chain is mended behind it, every checkpoint signed anew: the event does not give this entry."""
    entries = list(ENTRIES)
    entries[APPLIED] = replace(entries[APPLIED], **{field: EDITS[field]})
    code, values = replayed(tmp_path, log_of(rechained(entries)))
    assert code == Code.ENTRY
    assert place_of(values) == f"entry {APPLIED + 1}, field {field}"
    if field == "input_index":
        assert "nothing more follows" in values["failure"]["wanted"]
    assert values["invariants"]["I8"]["result"] == "broken"


def test_every_field_of_an_entry_is_tried() -> None:
    """The others have tests of their own below, or follow from the place in the log."""
    elsewhere = {
        "seq",
        "prev_hash",
        "rule_version",
        "ledger_at",
        "event",
        "key_id",
        "signature",
        "source_topic",
    }
    not_judged = {"source_partition", "source_offset", "published_at"}
    names = {field.name for field in fields(Entry)}
    assert names == set(EDITS) | {"input_offset"} | elsewhere | not_judged


def test_an_input_that_was_passed_over_is_named(tmp_path: Path) -> None:
    """A gap between two inputs is an event without an outcome; it is named before what it breaks later."""
    entries = list(ENTRIES)
    entries[APPLIED] = replace(entries[APPLIED], input_offset=999)
    code, values = replayed(tmp_path, log_of(rechained(entries)))
    assert (code, place_of(values)) == (Code.INVARIANT, "I6")
    assert f"entry {APPLIED + 1}: input 999" in values["failure"]["found"]


@pytest.mark.parametrize(
    "change",
    [
        lambda p: replace(p, amount=p.amount + 1),
        lambda p: replace(p, source=p.destination, destination=p.source),
        lambda p: replace(p, unit="credit.ects"),
        lambda p: replace(p, action="move", pending_id=None),
    ],
)
def test_an_edited_posting_is_named(tmp_path: Path, change: Callable[[Posting], Posting]) -> None:
    """Amounts follow from the event."""
    entries = list(ENTRIES)
    entries[APPLIED] = replace(entries[APPLIED], postings=(change(entries[APPLIED].postings[0]),))
    code, values = replayed(tmp_path, log_of(rechained(entries)))
    assert (code, place_of(values)) == (Code.ENTRY, f"entry {APPLIED + 1}, field postings")


def test_other_rules_are_refused_by_name(tmp_path: Path) -> None:
    """Neither right nor wrong: this installation cannot tell, and says which one can."""
    entries = [replace(entry, rule_version=RULE_VERSION + 1) for entry in ENTRIES]
    code, values = replayed(tmp_path, log_of(rechained(entries)))
    assert code == Code.OTHER_RULES
    assert place_of(values) == "entry 1, field rule_version"
    assert f"version {RULE_VERSION + 1}" in values["failure"]["next"]


def test_a_back_dated_entry_is_found(tmp_path: Path) -> None:
    """Before its predecessor: the ledger's time only grows. Within the gap between two it is Kafka's word that falls."""
    entries = list(ENTRIES)
    earlier = entries[APPLIED - 1].ledger_at - timedelta(hours=1)
    entries[APPLIED] = replace(entries[APPLIED], ledger_at=earlier)
    code, values = replayed(tmp_path / "a", log_of(rechained(entries)))
    assert (code, place_of(values)) == (Code.ENTRY, f"entry {APPLIED + 1}, field ledger_at")


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()


def test_a_time_moved_within_its_gap_contradicts_a_kept_checkpoint(tmp_path: Path) -> None:
    """No rule says when Kafka took an event; whoever saw the log before does."""
    entries = list(ENTRIES)
    moved = entries[APPLIED].ledger_at - timedelta(milliseconds=500)
    entries[APPLIED] = replace(entries[APPLIED], ledger_at=moved)
    kept = tmp_path / "kept"
    kept.write_bytes(checkpoint_note(HONEST.entries))
    assert replayed(tmp_path / "a", log_of(rechained(entries)))[0] == Code.OK
    code, values = replayed(tmp_path / "b", log_of(rechained(entries)), "--since", kept)
    assert code == Code.EQUIVOCATION
    assert place_of(values).startswith("I13")


# Entries that come, go and change places


def test_a_dropped_entry_is_found(tmp_path: Path) -> None:
    """With its number, or with all numbers mended: what follows from it is missing."""
    left = [written.value for i, written in enumerate(LEDGER.entries) if i != APPLIED]
    code, values = replayed(tmp_path / "a", log_of(left))
    assert (code, place_of(values)) == (Code.ENTRY, f"leaf {APPLIED}, field seq")
    entries = [entry for i, entry in enumerate(ENTRIES) if i != APPLIED]
    code, values = replayed(tmp_path / "b", log_of(rechained(entries)))
    assert code in (Code.ENTRY, Code.INVARIANT)


def test_an_inserted_copy_is_found(tmp_path: Path) -> None:
    """The same event again is a duplicate, not another award."""
    entries = [*ENTRIES, replace(ENTRIES[APPLIED], input_offset=ENTRIES[-1].input_offset + 1)]
    code, values = replayed(tmp_path, log_of(rechained(entries)))
    assert code == Code.ENTRY
    assert place_of(values).startswith(f"entry {len(entries)}, field")


def test_reordered_entries_are_found(tmp_path: Path) -> None:
    """As they are, and with the chain mended."""
    values_ = [written.value for written in LEDGER.entries]
    values_[3], values_[4] = values_[4], values_[3]
    code, values = replayed(tmp_path / "a", log_of(values_))
    assert (code, place_of(values)) == (Code.ENTRY, "leaf 3, field seq")
    entries = list(ENTRIES)
    entries[3], entries[4] = entries[4], entries[3]
    code, values = replayed(tmp_path / "b", log_of(rechained(entries)))
    assert code in (Code.ENTRY, Code.INVARIANT)
    assert "entry 4" in values["failure"]["detail"]


def test_a_broken_chain_is_found(tmp_path: Path) -> None:
    """prev_hash of another entry: the tree is sound, the chain is not."""
    values_ = [written.value for written in LEDGER.entries]
    values_[5] = encode(replace(ENTRIES[5], prev_hash=ENTRIES[4].prev_hash))
    code, values = replayed(tmp_path, log_of(values_))
    assert (code, place_of(values)) == (Code.ENTRY, "entry 6, field prev_hash")


def test_what_is_no_entry_is_found(tmp_path: Path) -> None:
    """A leaf may hold anything; of the ledger it is none."""
    for name, junk in (("a", b"junk"), ("b", ENTRIES[0].event)):
        values_ = [written.value for written in LEDGER.entries[:4]]
        code, values = replayed(tmp_path / name, log_of([*values_, junk]))
        assert code == Code.ENTRY
        assert place_of(values).startswith("leaf 4")


def test_an_event_from_another_outbox_is_named(tmp_path: Path) -> None:
    """A member's events come out of its own outbox, which no other writes."""
    inputs = list(LEDGER.inputs)
    inputs[award_input()] = replace(inputs[award_input()], source_topic=f"member.{FOURTH}.out")
    code, values = replayed(tmp_path, log_by_rules(inputs))
    assert (code, place_of(values)) == (Code.SIGNATURE, "I9")
    assert f"member.{FOURTH}.out" in values["failure"]["found"]


# Ledgers written by the rules, from events nobody signed


def log_by_rules(inputs: Sequence[Input]) -> Log:
    written: list[Written] = written_again(inputs)
    return log_of([one.value for one in written])


def award_input() -> int:
    return next(i for i, item in enumerate(LEDGER.inputs) if item.event_type == AWARD)


def test_the_inputs_give_the_honest_log() -> None:
    """What the forgeries below change."""
    assert log_by_rules(LEDGER.inputs).entries == HONEST.entries


@pytest.mark.parametrize("forge", ["edited", "resigned", "unsigned", "inserted", "other member"])
def test_an_event_that_its_member_did_not_sign_is_named(tmp_path: Path, forge: str) -> None:
    """The rules are content with every one of these; the member's key is not (I9)."""
    inputs = list(LEDGER.inputs)
    where = award_input()
    item = inputs[where]
    stranger = signer_of(FOURTH)
    if forge == "edited":
        event = (
            replace(item.event, revision_note="x")
            if hasattr(item.event, "revision_note")
            else item.event
        )
        envelope = replace(
            event.envelope, occurred_at=event.envelope.occurred_at - timedelta(days=1)
        )
        event = replace(event, envelope=envelope)
        inputs[where] = replace(item, event=event, value=encode(event))
    elif forge == "resigned":
        inputs[where] = replace(item, key_id=stranger.key_id, signature=stranger.sign(item.value))
    elif forge == "unsigned":
        inputs[where] = replace(item, signature=b"")
    elif forge == "inserted":
        event = replace(item.event, envelope=replace(item.event.envelope, event_id="new"))
        inputs.append(
            replace(item, event=event, value=encode(event), timestamp_ms=LEDGER.at_ms + 1)
        )
    else:  # the event says another member, whose key signs it
        envelope = replace(item.event.envelope, member=FOURTH)
        event = replace(item.event, envelope=envelope)
        value = encode(event)
        inputs[where] = replace(
            item, event=event, value=value, key_id=stranger.key_id, signature=stranger.sign(value)
        )
    code, values = replayed(tmp_path, log_by_rules(inputs))
    assert code == Code.SIGNATURE, values
    assert place_of(values) == "I9"
    assert values["invariants"]["I9"]["result"] == "broken"
    assert "entry " in values["failure"]["found"]


@pytest.mark.parametrize("part", ["signature", "index", "size", "path", "another's"])
def test_a_page_signature_counts_for_its_own_event_alone(tmp_path: Path, part: str) -> None:
    """One signature for many events must not vouch for one that was not among them."""
    inputs = list(LEDGER.inputs)
    pages = [i for i, item in enumerate(inputs) if len(item.signature) > 64]
    assert len(pages) == 3
    item = inputs[pages[0]]
    spot = {"signature": 3, "index": 67, "size": 71, "path": 80}.get(part)
    made_of = bytearray(inputs[pages[1]].signature if spot is None else item.signature)
    if spot is not None:
        made_of[spot] ^= 1
    inputs[pages[0]] = replace(item, signature=bytes(made_of))
    code, values = replayed(tmp_path, log_by_rules(inputs))
    assert (code, place_of(values)) == (Code.SIGNATURE, "I9")


def test_a_ledger_without_one_members_event_contradicts_a_kept_checkpoint(tmp_path: Path) -> None:
    """Censored from the beginning, all numbers right: the member's receipt or any kept checkpoint shows it."""
    page = next(i for i, item in enumerate(LEDGER.inputs) if len(item.signature) > 64)
    inputs = [item for i, item in enumerate(LEDGER.inputs) if i != page]
    kept = tmp_path / "kept"
    kept.write_bytes(checkpoint_note(HONEST.entries[: page + 2]))
    assert replayed(tmp_path / "a", log_by_rules(inputs))[0] == Code.OK
    code, values = replayed(tmp_path / "b", log_by_rules(inputs), "--since", kept)
    assert code == Code.EQUIVOCATION
    assert str(kept) in place_of(values)


# Periods


def test_a_false_balances_root_is_found(tmp_path: Path) -> None:
    """What a period closed on recomputes."""
    where = at("ledger.period-closed")
    record = decode(ENTRIES[where].event)
    entries = list(ENTRIES)
    forged = encode(replace(record, balances_root=bytes(32)))  # type: ignore[type-var]  # a PeriodClosed
    entries[where] = replace(entries[where], event=forged)
    code, values = replayed(tmp_path, log_of(rechained(entries)))
    assert code == Code.ENTRY
    assert place_of(values).startswith(f"entry {where + 1}, field")
