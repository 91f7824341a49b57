"""Disputes and keys in a term of twenty campuses over the real ledger rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sandbox.offices import keys
from connectors.sandbox.offices.directory import PHASES
from connectors.sandbox.report import applied_twice
from hub.domain.dispute import DISPUTE, Dispute
from hub.domain.keys import REVOKED, VALID, MemberKey
from tests.support.campuses import Campuses, differences, facts

NEEDED = (
    "profiles", "keys", "offerings", "requests", "decisions", "appointments", "start", "teaching", "results", "recognition",
    "disputes", "mistakes",
)  # fmt: skip


def term(folder: Path, shuffle: int) -> Campuses:
    """The phases that disputes need, at an end."""
    found = Campuses(folder, students=120, shuffle=shuffle)
    for phase in PHASES:
        if phase in NEEDED:
            found.run(phase)
    return found


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campuses]:
    found = term(tmp_path_factory.mktemp("disputes"), 1)
    yield found
    found.close()


def disputes(alliance: Campuses) -> list[Dispute]:
    return list(alliance.state.things["dispute"].values())


def test_campuses_and_ledger_agree_on_every_dispute(alliance: Campuses) -> None:
    """Claimant, respondent and arbiters; nothing is put aside, nothing counts twice."""
    held = {
        code: {(case["id"], case["summary"]) for case in holdings["cases"] if case["kind"] == "dispute"}
        for code, holdings in alliance.holdings().items()
    }  # fmt: skip
    assert held == {
        code: {(one.id, one.summary()) for one in disputes(alliance) if code in one.concerned()}
        for code in alliance.codes
    }
    assert differences(alliance) == []
    assert alliance.rejected == []
    assert sum(applied_twice(campus.desk) for campus in alliance.open.values()) == 0


def test_every_end_occurs_and_some_stay_open(alliance: Campuses) -> None:
    """By agreement, withdrawn, decided by arbiters; one that nobody answers is a case for all to see."""
    ends = Counter(one.state for one in disputes(alliance))
    assert {"settled", "withdrawn", "decided"} <= {state for state in ends if DISPUTE.closed(state)}
    assert ends["open"] >= 1
    about = {one.holds[0][0] for one in disputes(alliance)}
    assert about == {"award", "delivery"}


def test_what_is_in_dispute_is_left_alone_and_corrected_afterwards(alliance: Campuses) -> None:
    """A hasty host hears DISPUTED; once it is settled, an ordinary correction does what was agreed."""
    seen = alliance.by_type()
    assert seen["credit.award-corrected", "rejected", "DISPUTED"] >= 1
    corrected = {
        entry.subject: entry.seq
        for entry in alliance.sent()
        if entry.event_type == "credit.award-corrected" and entry.outcome == "applied"
    }
    for one in disputes(alliance):
        if one.summary() == "settled correct":
            assert corrected[one.holds[0][1]] > alliance.state.changed_at["dispute", one.id]


def test_nothing_stands_still_but_what_is_still_disputed(alliance: Campuses) -> None:
    held = {
        (one.kind, one.thing_id)
        for one in alliance.state.things["frozen"].values()
        if one.dispute_id
    }
    assert held == {
        thing for one in disputes(alliance) if not DISPUTE.closed(one.state) for thing in one.holds
    }


def test_every_campus_registers_a_reserve_key_and_a_few_give_it_up(alliance: Campuses) -> None:
    """All campuses know the same keys as the ledger, with the same state."""
    known: list[MemberKey] = list(alliance.state.things["key"].values())
    assert {key.member for key in known} == set(alliance.codes)
    states = Counter(key.state for key in known)
    assert states[VALID] > states[REVOKED] >= 2
    for campus in alliance.open.values():
        rows = campus.store.all("SELECT key_id, member, state FROM member_key")
        assert {tuple(row) for row in rows} == {
            (key.key_id, key.member, key.state) for key in known
        }
    campus = alliance.open["10611"]
    assert alliance.state.find(MemberKey, keys.reserve_key(campus.desk).key_id) is not None


def test_mistakes_with_keys_and_disputes_end_rejected(alliance: Campuses) -> None:
    """A key registered twice, a dispute that is over."""
    seen = alliance.by_type()
    assert seen["member.key-changed", "rejected", "ILLEGAL_TRANSITION"] >= 2
    assert seen["dispute.changed", "rejected", "ILLEGAL_TRANSITION"] >= 1


def test_disputes_end_alike_whatever_the_order_of_delivery(
    alliance: Campuses, tmp_path: Path
) -> None:
    """Of three arbiters, the third may come too late; the decision is the same."""
    again = term(tmp_path, 5)
    ended = {code: facts(holdings)["cases"] for code, holdings in again.holdings().items()}
    again.close()
    assert ended == {
        code: facts(holdings)["cases"] for code, holdings in alliance.holdings().items()
    }
