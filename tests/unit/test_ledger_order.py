"""Order in the ledger: versions and their gaps, parking and release, what comes twice, and the clock."""

from __future__ import annotations

import itertools
from copy import deepcopy
from dataclasses import replace

import pytest

from hub.domain.credit import Award, Recognition
from hub.domain.enrollment import Enrollment
from hub.domain.offering import Offering
from hub.errors import LedgerCorrupt
from hub.events import rules
from hub.ledger.apply import DETAIL_CHARS, ENTRY_BYTES, apply
from schemas.codec import decode, encode
from schemas.envelope import EVENT_BYTES, NAME_BYTES
from tests.support.ledger import (
    HOME,
    HOST,
    OTHER,
    T0_MS,
    Ledger,
    assert_refused,
    assert_waits,
    credit,
    mapping,
)


def outcomes(ledger: Ledger) -> list[tuple[str, str]]:
    return [(entry.event_type, entry.outcome) for entry in ledger.last]


# Versions


@pytest.mark.parametrize("version", [0, -1, -(2**31), 1])
def test_a_version_that_was_used_is_stale(version: int) -> None:
    """Also one that never was a version; the refusal names the next one."""
    ledger = Ledger()
    ledger.offer(capacity=2)
    entry = ledger.offer(capacity=9, version=version)
    assert_refused(entry, "STALE_VERSION", "version 1", f"says {version}", "publish version 2")
    assert ledger.seats() == (2, 0)


@pytest.mark.parametrize("version", [0, -1])
def test_versions_begin_at_one(version: int) -> None:
    """Nothing is applied under version 0."""
    entry = Ledger().offer(version=version)
    assert_refused(entry, "STALE_VERSION", "version 0", "publish version 1")


def test_a_rejected_statement_uses_its_version_up() -> None:
    """Sender and ledger count alike, whatever becomes of a statement."""
    ledger = Ledger()
    assert ledger.offer(capacity=-1).outcome == "rejected"
    assert_refused(ledger.offer(version=1), "STALE_VERSION", "version 1")
    ledger.applied(ledger.offer(version=2))


def test_a_stale_statement_uses_nothing_up() -> None:
    """Else one repeated mistake would move the count for ever."""
    ledger = Ledger()
    ledger.offer()
    for _ in range(3):
        ledger.offer(version=1)
    ledger.applied(ledger.offer(version=2))


def test_each_member_counts_its_own_versions_of_a_subject() -> None:
    """Home and host both speak about one enrollment."""
    ledger = Ledger()
    ledger.enrolled("e1", "active")
    assert ledger.state.version("enrollment", "e1", HOME) == 1
    assert ledger.state.version("enrollment", "e1", HOST) == 2


def test_versions_of_different_domains_are_counted_apart() -> None:
    """An offering and a project may have the same id."""
    ledger = Ledger()
    ledger.applied(ledger.offer("x", host=HOST))
    ledger.applied(ledger.project("x", lead=HOST))


def test_a_gap_is_parked_until_the_missing_version_comes() -> None:
    """Then all that waited follows in the order of the versions, in the same group."""
    ledger = Ledger()
    third = ledger.offer(capacity=3, version=3)
    assert_waits(third, "VERSION_GAP", "version 0", "says 3", "waits for version 2")
    second = ledger.offer(capacity=2, version=2)
    assert_waits(second, "VERSION_GAP", "waits for version 1")
    ledger.offer(capacity=1, version=1)
    assert [entry.outcome for entry in ledger.last] == ["applied"] * 3
    assert [entry.refers_to for entry in ledger.last] == [None, second.seq, third.seq]
    assert [entry.input_index for entry in ledger.last] == [0, 1, 2]
    assert {entry.input_offset for entry in ledger.last} == {2}
    assert ledger.find(Offering, "calculus").capacity == 3


def test_a_rejected_statement_closes_a_gap_too() -> None:
    """What waited for version 1 needs its place in the order, not its success."""
    ledger = Ledger()
    ledger.offer(capacity=2, version=2)
    ledger.offer(capacity=-1, version=1)
    assert outcomes(ledger) == [("offering.changed", "rejected"), ("offering.changed", "applied")]


def test_of_two_statements_that_wait_under_one_version_the_first_wins() -> None:
    """The order of `ledger.in` decides; the second is stale."""
    ledger = Ledger()
    ledger.offer(capacity=5, version=2)
    ledger.offer(capacity=9, version=2)
    ledger.offer(capacity=1, version=1)
    assert [entry.reason for entry in ledger.last] == [None, None, "STALE_VERSION"]
    assert ledger.find(Offering, "calculus").capacity == 5


def test_a_statement_that_waits_for_a_thing_holds_its_followers_back() -> None:
    """Version 2 is a gap while version 1 is parked; both come free together, in order."""
    ledger = Ledger()
    ledger.request("e1")
    assert_waits(ledger.move("e1", "withdrawn"), "VERSION_GAP", "waits for version 1")
    ledger.offer()
    assert outcomes(ledger) == [
        ("offering.changed", "applied"),
        ("enrollment.requested", "applied"),
        ("enrollment.status-changed", "applied"),
    ]
    assert ledger.find(Enrollment, "e1").state == "cancelled"


# Parking and release


def test_any_interleaving_of_the_outboxes_ends_in_the_same_state() -> None:
    """Each member's own word stays in order, between members there is none: all 56 mixtures have to work."""
    said = Ledger()
    said.offer(capacity=1)
    said.request("e1", student_id="student")
    said.decide("e1", "accepted")
    said.move("e1", "started")
    said.award("w1", "e1")
    said.move("e1", "finished")
    said.ask("r1", ["w1"])
    said.rule("r1", "3")
    events = [decode(item.value) for item in said.inputs]
    home = [event for event in events if event.envelope.member == HOME]
    host = [event for event in events if event.envelope.member == HOST]
    for places in itertools.combinations(range(len(events)), len(home)):
        ledger, left = Ledger(), {True: iter(home), False: iter(host)}
        for place in range(len(events)):
            ledger.say(next(left[place in places]))
        assert ledger.state.parked_count() == 0
        assert ledger.state.things == said.state.things
        assert ledger.state.book.balances == said.state.book.balances


def test_what_is_released_may_have_to_wait_again() -> None:
    """It was parked for its version; now it is parked for the thing it names."""
    ledger = Ledger()
    ledger.offer("a")
    early = ledger.request("e1", "b", version=2)
    assert_waits(early, "VERSION_GAP")
    ledger.request("e1", "a", home_active_registration=False, version=1)
    assert_waits(ledger.last[1], "UNKNOWN_REFERENCE", "offering b")
    assert ledger.last[1].refers_to == early.seq
    ledger.offer("b")
    assert outcomes(ledger)[1] == ("enrollment.requested", "applied")


def test_what_is_released_may_be_rejected() -> None:
    """Waiting promises a decision, not a good one."""
    ledger = Ledger()
    for name in ("e1", "e2"):
        ledger.enrolled(name, student_id="student")
    ledger.ask("r1", ["w1"], student_id="student")
    ledger.ask("r2", ["w1"], student_id="student")
    ledger.award("w1", "e1")
    assert [(entry.outcome, entry.reason) for entry in ledger.last] == [
        ("applied", None),
        ("applied", None),
        ("rejected", "DUPLICATE_CREDIT"),
    ]


def test_releases_follow_the_order_of_parking() -> None:
    """First parked, first served: it may be the last seat."""
    ledger = Ledger()
    for name in ("e3", "e1", "e2"):
        ledger.decide(name, "accepted", decides=1)
        ledger.request(name)
    ledger.offer(capacity=2)
    accepted = [e for e in ledger.last if e.event_type == "enrollment.decided"]
    assert [(e.subject, e.outcome) for e in accepted] == [
        ("e3", "applied"),
        ("e1", "applied"),
        ("e2", "rejected"),
    ]


def test_a_parked_event_that_comes_again_is_a_duplicate() -> None:
    """It waits once, and takes effect once."""
    ledger = Ledger()
    first = ledger.request("e1")
    again = ledger.again(first)
    assert (again.outcome, again.reason, again.refers_to) == ("duplicate", "SAME_EVENT", first.seq)
    ledger.offer()
    assert outcomes(ledger) == [
        ("offering.changed", "applied"),
        ("enrollment.requested", "applied"),
    ]
    assert ledger.state.parked_count() == 0


def test_a_release_is_told_to_whom_it_concerns() -> None:
    """The released entry has the audience and the postings; the parked one had none."""
    ledger = Ledger()
    ledger.request("e1")
    ledger.offer()
    assert ledger.last[1].audience == (HOST,)


# Twice


def test_an_event_that_comes_again_moves_nothing() -> None:
    """Kafka may deliver twice, a connector may send again: the seat is taken once."""
    ledger = Ledger()
    ledger.enrolled("e1", "pending")
    first = ledger.decide("e1", "accepted")
    before = ledger.seats()
    again = ledger.again(first)
    assert (again.outcome, again.reason) == ("duplicate", "SAME_EVENT")
    assert again.refers_to == first.seq
    assert f"entry {first.seq}" in again.detail
    assert (again.postings, again.audience) == ((), ())
    assert ledger.seats() == before


def test_a_rejected_event_that_comes_again_stays_rejected() -> None:
    """Sending again cannot turn a refusal; the world has changed, the decision has not."""
    ledger = Ledger()
    ledger.offer(capacity=0)
    ledger.request("e1")
    refused = ledger.decide("e1", "accepted")
    ledger.offer(capacity=1)
    assert ledger.again(refused).outcome == "duplicate"
    assert ledger.find(Enrollment, "e1").state == "pending"


def test_the_same_id_with_other_content_is_a_conflict() -> None:
    """Both hashes are on record: evidence against the signer. The first stands."""
    ledger = Ledger()
    first = ledger.offer(capacity=1)
    other = ledger.record("offering.changed", offering_id="calculus", host=HOST, capacity=9,
                          id=first.event_id)  # fmt: skip
    entry = ledger.say(other)
    assert (entry.outcome, entry.reason) == ("conflict", "SAME_ID_OTHER_CONTENT")
    assert entry.refers_to == first.seq
    assert entry.event_hash != first.event_hash
    for said in (first.event_hash.hex()[:16], entry.event_hash.hex()[:16], "new event id"):
        assert said in entry.detail
    assert ledger.seats() == (1, 0)


def test_a_conflict_uses_no_version_up() -> None:
    """The sender gives the new content an id of its own, and the next version."""
    ledger = Ledger()
    first = ledger.offer(capacity=1)
    ledger.offer(capacity=9, id=first.event_id)
    ledger.applied(ledger.offer(capacity=9, version=2))


def test_the_conflicting_content_that_comes_again_is_a_conflict_again() -> None:
    """Its hash is compared with the first entry's, not with its own."""
    ledger = Ledger()
    first = ledger.offer(capacity=1)
    conflict = ledger.offer(capacity=9, id=first.event_id)
    again = ledger.again(conflict)
    assert (again.outcome, again.refers_to) == ("conflict", first.seq)


# The log


def test_every_input_has_one_outcome_and_the_sequence_is_dense() -> None:
    """Lost and doubled become counting checks."""
    ledger = Ledger()
    ledger.in_case("r1", "3")
    ledger.again(ledger.entries[0].entry)
    entries = [written.entry for written in ledger.entries]
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert [e.input_offset for e in entries if e.input_index == 0] == list(
        range(len(ledger.inputs))
    )


def test_the_ledgers_clock_never_goes_back() -> None:
    """Kafka's clock may: of the broker's host, after a change of the leader."""
    ledger = Ledger()
    first = ledger.offer("a")
    late = replace(ledger.inputs[0], offset=1, timestamp_ms=T0_MS - 3_600_000)
    (again,) = apply(ledger.state, late, rules())
    assert (again.entry.ledger_at - first.ledger_at).total_seconds() == pytest.approx(0.001)


def test_an_input_that_was_accounted_for_stops_the_ledger() -> None:
    """That is no repeat of a member but a sequencer that lost its place."""
    ledger = Ledger()
    ledger.offer()
    with pytest.raises(LedgerCorrupt, match="input 0 was accounted for already"):
        apply(ledger.state, ledger.inputs[0], rules())


def test_what_a_refusal_quotes_is_cut_to_a_length() -> None:
    """A field may be as long as an event; an entry must fit the log, its outcome the sender's inbox."""
    ledger = Ledger()
    entry = ledger.offer(status="x" * 38_000)
    assert (entry.outcome, entry.reason) == ("rejected", "ILLEGAL_TRANSITION")
    assert len(entry.detail) == DETAIL_CHARS


def test_an_event_that_moves_more_than_an_entry_holds_is_rejected() -> None:
    """A case of a few awards with long names would make an entry that no bundle of the log takes, and halt the ledger."""
    ledger = Ledger()
    names = [f"{number:010000}" for number in range(2)]
    for name in names:
        ledger.enrolled(f"e-{name[-1]}", student_id="student")
        ledger.applied(ledger.award(name, f"e-{name[-1]}"))
    ledger.applied(ledger.ask("r1", names))
    balances = deepcopy(ledger.state.book)
    entry = ledger.rule("r1", "4", "6", outcome="partially_positive")
    assert_refused(entry, "TOO_LARGE", f"at most {ENTRY_BYTES}", "split")
    assert len(entry.event) < EVENT_BYTES, "admission would not have let it in"
    assert ledger.state.book == balances
    ledger.applied(ledger.rule("r1", "0", "6"))


def test_the_largest_event_fits_an_entry_with_the_longest_refusal() -> None:
    """A refusal that did not fit could not be written at all: the ledger would stop on a member's word."""
    ledger = Ledger()
    name = "学" * (NAME_BYTES // 3)
    longest = {"subject": name, "id": name, "offering_id": name, "status": ""}
    room = EVENT_BYTES - len(encode(ledger.record("offering.changed", **longest)))
    longest["status"] = "学" * (room // 3 - 2)
    ledger = Ledger()
    entry = ledger.say(ledger.record("offering.changed", **longest))
    assert (entry.outcome, entry.reason) == ("rejected", "ILLEGAL_TRANSITION")
    assert EVENT_BYTES - 10 <= len(entry.event) <= EVENT_BYTES
    assert len(entry.detail) == DETAIL_CHARS
    assert len(entry.detail.encode()) > 2 * DETAIL_CHARS
    assert len(ledger.entries[0].value) <= ENTRY_BYTES


def test_a_whole_life_reads_as_written() -> None:
    """One student, from the offering to the recognized credits, with the balances at the end."""
    ledger = Ledger()
    ledger.offer(capacity=1)
    ledger.enrolled("e1", "finished", student_id="student")
    ledger.applied(ledger.award("w1", "e1", "3"))
    ledger.applied(ledger.ask("r1", ["w1"]))
    ledger.applied(
        ledger.rule("r1", "2.5", outcome="partially_positive", mappings=[mapping(["w1"], "2.5")],
                    recognized_credits_total=credit("2.5"))
    )  # fmt: skip
    assert ledger.seats() == (0, 1)
    assert ledger.claim() == (0, 2500)
    assert ledger.recognized() == 2500
    assert ledger.find(Award, "w1").decided
    assert ledger.find(Recognition, "r1").state == "partially_positive"
    assert ledger.state.outcomes == {"applied": len(ledger.entries)}
    assert OTHER in ledger.entries[0].entry.audience
