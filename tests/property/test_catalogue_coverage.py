"""Where the histories of the catalogue get to, over fixed seeds: a generator that never gets there tests nothing there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest

from hub.domain.flags import FlagName
from hub.domain.reasons import Reason
from hub.events import COMMON_REASONS, event_rules, machines
from schemas.records import Entry
from tests.support.histories_catalogue import drawn
from tests.support.histories_twins import told
from tests.support.histories_world import CODES

HISTORIES, LENGTH = 800, 40  # the last pair of type and reason comes up in history 562
TOO_LARGE = {Reason.TOO_LARGE}  # takes half a megabyte of names


@dataclass
class Reached:
    """What happened in all histories."""

    reasons: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    flags: set[str] = field(default_factory=set)
    states: set[tuple[str, str]] = field(default_factory=set)
    speakers: set[str] = field(default_factory=set)

    def add(self, entry: Entry) -> None:
        self.reasons[entry.event_type, entry.reason] += 1
        self.flags.update(entry.flags)
        self.states |= {(change.kind, change.state) for change in entry.changes}
        if entry.outcome == "applied":
            self.speakers.add(entry.member)


@pytest.fixture(scope="module")
def reached() -> Reached:
    found = Reached()
    for seed in range(HISTORIES):
        for written in told(drawn(seed, LENGTH), seed % len(CODES)).ledger.entries:
            found.add(written.entry)
    return found


def test_every_type_takes_effect_and_is_refused_for_every_reason_it_declares(
    reached: Reached,
) -> None:
    """Of a type and a reason that never met, nobody knows whether both books agree."""
    declared = {(event, None) for event in event_rules()} | {
        (event, reason) for event, rule in event_rules().items() for reason in rule.reasons
    }
    assert declared <= reached.reasons.keys()
    given = {reason for _, reason in reached.reasons}
    assert given >= COMMON_REASONS - TOO_LARGE


def test_every_flag_is_raised(reached: Reached) -> None:
    """By an event or by the clock."""
    assert reached.flags == {name.value for name in FlagName}


def test_every_state_of_every_table_is_reached(reached: Reached) -> None:
    """And no other."""
    tables = {(table.kind, state) for table in machines() for state in table.states}
    assert reached.states == tables


def test_every_member_plays_a_part(reached: Reached) -> None:
    """Nothing depends on who somebody is."""
    assert reached.speakers >= set(CODES)
