"""Open cases: whose turn it is and since when, the same after any crash, and rebuilt from the log alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import LedgerCorrupt
from hub.ledger.head import GENESIS
from hub.streams import cases
from hub.streams.activity import StateBehind
from hub.streams.cases import FIRST, Place, follow
from schemas.codec import encode
from schemas.records import OpenCase
from tests.support.case_entries import (
    ACTORS,
    FLAGS,
    HOME,
    HOST,
    IDS,
    STATES,
    Happened,
    case_values,
    change,
    flagged,
    plainly_open,
    some_happened,
)
from tests.support.entries import START, Told, entry, with_voids
from tests.support.ledger import Ledger
from tests.support.strategies import calm

any_change = st.builds(
    lambda key, state, actors, days: change(
        key, state, *actors, due_at=None if days is None else START + timedelta(days=days)
    ),
    st.sampled_from(IDS),
    st.sampled_from(STATES),
    st.sampled_from(ACTORS),
    st.none() | st.integers(0, 5),
)
any_flag = st.builds(
    lambda key, name, state, actors: flagged(key, name, state, *actors),
    st.sampled_from(IDS),
    st.sampled_from(FLAGS),
    st.sampled_from(STATES),
    st.sampled_from(ACTORS),
)
any_happened = st.lists(
    st.builds(
        Happened,
        st.lists(any_change, max_size=3).map(tuple),
        st.none() | any_flag,
    ),
    max_size=20,
)


@dataclass
class Kafka:
    """What the worker writes: the output topic and its changelog, each with the newest value of a key, and the place."""

    output: dict[str, OpenCase] = field(default_factory=dict)
    changelog: dict[str, OpenCase] = field(default_factory=dict)
    place: Place = FIRST
    published: list[tuple[str, OpenCase | None]] = field(default_factory=list)

    def take_in(self, log: list[bytes], most: int, writes: int | None = None) -> None:
        """One batch from the place on, written as the worker does; killed after so many writes."""
        batch = list(enumerate(log))[self.place.next_offset :][:most]
        place, changed = follow(self.place, batch, self.changelog.get)
        left = len(changed) * 2 + 1 if writes is None else writes
        for topic in (self.output, self.changelog):
            for key, case in changed.items():
                if left == 0:
                    return
                left -= 1
                self._write(topic, key, case)
        if left:
            self.place = cases.from_bytes(cases.to_bytes(place))

    def _write(self, topic: dict[str, OpenCase], key: str, case: OpenCase | None) -> None:
        if topic is self.output:
            self.published.append((key, case))
        if case is None:
            topic.pop(key, None)
        else:
            topic[key] = case

    def read_all(self, log: list[bytes], most: int = 7) -> None:
        while self.place.next_offset < len(log):
            self.take_in(log, most)


def after(*happened: Happened) -> Mapping[str, OpenCase]:
    """The open cases after what happened, checked against the plain way."""
    kafka = Kafka()
    kafka.read_all(case_values(happened))
    assert kafka.output == kafka.changelog == plainly_open(happened)
    return kafka.output


@settings(calm)
@given(happened=any_happened, seed=st.integers(0, 1000), most=st.integers(1, 9))
def test_open_cases_follow_from_the_entries_that_count(
    happened: list[Happened], seed: int, most: int
) -> None:
    """In batches of any size; two sequencers may have written the partition, and only the chain counts."""
    kafka = Kafka()
    kafka.read_all(with_voids(case_values(happened), seed), most)
    assert kafka.output == kafka.changelog == plainly_open(happened)
    assert kafka.place.head.seq == len(happened)
    for key, case in kafka.published:
        if case is not None:
            assert case == plainly_open(happened[: case.seq])[key]


@settings(calm, max_examples=200)
@given(happened=any_happened, data=st.data())
def test_a_kill_at_any_write_ends_in_the_same_cases(
    happened: list[Happened], data: st.DataObject
) -> None:
    """Values are ahead of the place then, closed cases gone before their opening is read again; nobody must notice."""
    log = with_voids(case_values(happened), seed=len(happened))
    kafka = Kafka()
    for _ in range(data.draw(st.integers(0, 6), label="kills")):
        size = data.draw(st.integers(1, 8), label="batch")
        kafka.take_in(log, size, writes=data.draw(st.integers(0, 12), label="writes"))
    kafka.read_all(log, data.draw(st.integers(1, 8), label="batches"))
    assert kafka.output == kafka.changelog == plainly_open(happened)


@settings(calm)
@given(happened=any_happened, most=st.integers(1, 9), reached=st.integers(0, 20))
def test_a_dropped_state_is_built_again_and_closes_what_readers_still_have(
    happened: list[Happened], most: int, reached: int
) -> None:
    """A case opened and closed within one batch must be closed for those who have it from before."""
    log = case_values(happened)
    kafka = Kafka()
    kafka.read_all(log[:reached])
    again = Kafka(output=kafka.output)
    again.read_all(log, most)
    assert again.output == again.changelog == plainly_open(happened)


def test_a_case_keeps_its_opening_and_counts_anew_when_the_turn_changes() -> None:
    """`opened_at` tells how long the student waits in all, `since` how long the present university has had it."""
    pending = Happened((change("enrollment/e1", "pending", HOST),))
    again = Happened((change("enrollment/e1", "pending", HOST, due_at=START),))
    home = Happened((change("enrollment/e1", "pending", HOME),))
    first = after(pending)["enrollment/e1"]
    same = after(pending, again)["enrollment/e1"]
    assert (same.opened_at, same.since) == (first.opened_at, first.since)
    assert (same.due_at, same.seq) == (START, 2)
    moved = after(pending, again, home)["enrollment/e1"]
    assert (moved.opened_at, moved.since) == (first.since, START + timedelta(milliseconds=3))
    assert moved.next_actors == (HOME,)


def test_a_closed_case_that_opens_again_starts_anew() -> None:
    """An award freed by an expired recognition waits from then on, not from its first day."""
    waits = Happened((change("award/w1", "awarded", HOME),))
    claimed = Happened((change("award/w1", "awarded"),))
    assert after(waits, claimed) == {}
    assert after(waits, claimed, waits)["award/w1"].opened_at == START + timedelta(milliseconds=3)


def test_what_nobody_saw_open_is_not_closed() -> None:
    """Offerings and agreements change every day and wait for nobody; the topic is for those that do."""
    never = change("offering/o1", "open")
    at_once = (change("award/w1", "awarded", HOME), change("award/w1", "awarded"))
    log = case_values([Happened((never,)), Happened(at_once)])
    assert follow(FIRST, enumerate(log), lambda _: None)[1] == {}


def test_a_flag_stays_while_the_state_does() -> None:
    """What was to be looked at in one state is settled by the next."""
    pending = Happened((change("enrollment/e1", "pending", HOST),))
    near = Happened(flag=flagged("enrollment/e1", "deadline_near", "pending", HOST))
    queued = Happened((change("enrollment/e1", "queued", HOST),))
    one = after(pending, near)["enrollment/e1"]
    assert (one.flag, one.since, one.seq) == ("deadline_near", START + timedelta(milliseconds=1), 2)
    assert after(pending, near, pending)["enrollment/e1"].flag == "deadline_near"
    assert after(pending, near, queued)["enrollment/e1"].flag is None


def test_a_flag_on_a_closed_case_opens_it_until_its_next_change() -> None:
    """A decision that rests on a corrected award needs a look, though no step leads on from it."""
    closed = Happened((change("recognition/r/1", "positive", closed=True),))
    look = Happened(
        flag=flagged("recognition/r/1", "award_corrected_after_decision", "positive", HOME)
    )
    one = after(closed, look)["recognition/r/1"]
    assert (one.id, one.state, one.next_actors) == ("r/1", "positive", (HOME,))
    assert one.flag == "award_corrected_after_decision"
    assert after(closed, look, closed) == {}


def test_a_flag_that_asks_nobody_opens_nothing() -> None:
    """An expired case is over; the flag only tells."""
    over = change("enrollment/e1", "expired", closed=True)
    assert after(Happened((over,), flagged("enrollment/e1", "expired", "expired"))) == {}


def test_a_flag_takes_the_turn_from_nobody() -> None:
    """If it asks others, they have to act besides."""
    pending = Happened((change("enrollment/e1", "pending", HOST),))
    asks_home = Happened(flag=flagged("enrollment/e1", "deadline_over", "pending", HOME))
    assert after(pending, asks_home)["enrollment/e1"].next_actors == (HOME, HOST)


def test_an_entry_that_is_not_newer_changes_nothing() -> None:
    """It comes again after a kill between a case and the place."""
    log = case_values([Happened((change("enrollment/e1", "pending", HOST),))] * 2)
    _, changed = follow(FIRST, enumerate(log), lambda _: None)
    _, again = follow(FIRST, enumerate(log), changed.get)
    assert again == {}


def test_a_repeat_and_a_void_record_change_nothing() -> None:
    """Kafka may deliver twice; a second sequencer may have written."""
    log = case_values(some_happened(5, seed=1))
    place, _ = follow(FIRST, enumerate(log), lambda _: None)
    assert follow(place, enumerate(log), lambda _: None) == (place, {})
    for value in (log[0], b"noise", None):
        moved = replace(place, next_offset=6)
        assert follow(place, [(5, value)], lambda _: None) == (moved, {})


def test_missing_records_are_noticed() -> None:
    """A place restored from an old copy would otherwise miss closings for ever."""
    log = case_values(some_happened(3, seed=1))
    with pytest.raises(StateBehind, match="read again from 0"):
        follow(FIRST, [(2, log[2])], lambda _: None)


def test_what_a_newer_hub_wrote_stops_the_processor() -> None:
    """Passed over, a case would be shown as waiting for the wrong one, in silence."""
    unknown = b"\0" + (2**31).to_bytes(4, "big")
    with pytest.raises(LedgerCorrupt, match="newer hub"):
        follow(FIRST, [(0, unknown)], lambda _: None)
    flag = replace(entry(GENESIS, Told(event_type="hub.case-flagged")), event=unknown)
    with pytest.raises(LedgerCorrupt, match=r"entry 1 .* newer hub"):
        follow(FIRST, [(0, encode(flag))], lambda _: None)


def test_a_flag_that_cannot_be_read_is_on_no_case() -> None:
    """It must not hold up the cases of everyone."""
    flag = entry(GENESIS, Told(event_type="hub.case-flagged"))
    place, changed = follow(FIRST, [(0, encode(flag))], lambda _: None)
    assert (place.head.seq, changed) == (1, {})


def test_the_rules_entries_give_the_cases_people_expect() -> None:
    """From a request to a decision that has to be looked at again, through the real ledger."""
    ledger = Ledger()

    def open_now() -> dict[str, tuple[str, tuple[str, ...]]]:
        _, changed = follow(
            FIRST, enumerate(written.value for written in ledger.entries), lambda _: None
        )
        return {key: (c.state, c.next_actors) for key, c in changed.items() if c is not None}

    ledger.offer()
    ledger.applied(ledger.request("e1", student_id="student"))
    assert open_now() == {"enrollment/e1": ("pending", (HOST,))}
    ledger.applied(ledger.decide("e1", "accepted"))
    for step in ("started", "finished"):
        ledger.applied(ledger.move("e1", step))
    assert open_now() == {}
    ledger.applied(ledger.award("w1", "e1"))
    assert open_now() == {"award/w1": ("awarded", (HOME,))}
    ledger.applied(ledger.ask("r1", ["w1"]))
    assert open_now() == {"recognition/r1": ("requested", (HOME,))}
    ledger.applied(ledger.rule("r1", "3"))
    assert open_now() == {}
    ledger.applied(ledger.correct("w1", "2"))
    assert open_now() == {"recognition/r1": ("positive", (HOME,))}


def test_the_place_comes_back_from_its_bytes() -> None:
    """It is what a restart begins with."""
    assert cases.from_bytes(None) == FIRST
    assert cases.open_case(None) is None
    with pytest.raises(TypeError, match="wanted OpenCase"):
        cases.open_case(case_values([Happened()])[0])
