"""Burrow's rules, by the cases its project publishes, and the memory that feeds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.watch import burrow
from hub.watch.burrow import Commit, Status, judge
from hub.watch.commits import Commits, GroupStatus, Place

PLACE = Place("hub.delivery", "ledger.entries", 0)


@dataclass(frozen=True)
class Case:
    """A window, and what each rule and all of them say. Times in milliseconds."""

    name: str
    commits: tuple[Commit, ...]
    ends: tuple[int, ...]
    lag: int
    now_ms: int
    always_behind: bool = False
    rewound: bool = False
    stopped: bool = False
    stalled: bool = False
    never_catching_up: bool = True
    lately_at_the_end: bool = False
    status: Status = Status.OK


def window(offsets: Sequence[int], lags: Sequence[int | None]) -> tuple[Commit, ...]:
    """Commits 100 s apart, the first at 100 s."""
    pairs = zip(offsets, lags, strict=True)
    return tuple(Commit(offset, 100_000 * n, lag) for n, (offset, lag) in enumerate(pairs, 1))


RISING = (1000, 2000, 3000, 4000, 5000)
STILL = (1000,) * 5
QUICK_AT_MS = (
    618356, 619362, 620366, 621367, 622370, 623373, 624378, 625379, 626383, 627383, 628383, 629388, 630391, 631394,
    632397,
)  # fmt: skip
QUICK = tuple(
    Commit(792748079 + n, 1512224000000 + at_ms, 0) for n, at_ms in enumerate(QUICK_AT_MS)
)
HALVES = tuple(
    Commit(1000 + 500 * n, 100_000 + 50_000 * n, 25 * n if n % 2 == 0 else None) for n in range(10)
)
# The cases of `core/internal/evaluator/caching_test.go` at https://github.com/linkedin/Burrow, in its order.
CASES = [
    Case("0 no lag somewhere", window(RISING, (0, 50, 100, 150, 200)), (5200,), 200, 600_000),
    Case("1 quiet as long as the window is wide", window(RISING, (0, 50, 100, 150, 200)), (5200,), 200, 900_000),
    Case("2 quiet for longer", window(RISING, (0, 50, 100, 150, 200)), (5200,), 200, 1_000_000, stopped=True, status=Status.STOP),
    Case("3 quiet and always behind", window(RISING, (50, 100, 150, 200, 250)), (5250,), 250, 1_000_000,
         always_behind=True, stopped=True, status=Status.STOP),
    Case("4 does not move, no lag at first", window(STILL, (0, 50, 100, 150, 200)), (1200,), 200, 600_000, stalled=True),
    Case("5 does not move, always behind", window(STILL, (100, 150, 200, 250, 300)), (1300,), 300, 600_000,
         always_behind=True, stalled=True, status=Status.STALL),
    Case("6 does not move, same lag", window(STILL, (100,) * 5), (1100,), 100, 600_000,
         always_behind=True, stalled=True, status=Status.STALL),
    Case("7 goes back", window((1000, 2000, 3000, 2000, 4000), (100, 150, 200, 1250, 300)), (4300,), 300, 600_000,
         always_behind=True, rewound=True, never_catching_up=False, status=Status.REWIND),
    Case("8 no lag now", window(RISING, (50, 100, 150, 200, 250)), (5250,), 0, 1_000_000, always_behind=True, stopped=True),
    Case("9 quiet since there is work", QUICK, (792749024, 792749000, 792748800, 792748600, 792748500), 931, 1512224650000,
         stopped=True, status=Status.STOP),
    Case("10 work came a moment ago", QUICK, (792748094, 792748093, 792748093, 792748093), 1, 1512224650000,
         stopped=True, lately_at_the_end=True),
    Case("11 lags not known say nothing", HALVES, (5700,), 200, 600_000),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_rule_and_all_of_them_say_what_burrow_says(case: Case) -> None:
    """Operators know these verdicts; they must mean here what they mean there."""
    assert burrow.always_behind(case.commits) == case.always_behind
    assert burrow.rewound(case.commits) == case.rewound
    assert burrow.stopped(case.commits, case.now_ms) == case.stopped
    assert burrow.stalled(case.commits) == case.stalled
    assert burrow.never_catching_up(case.commits) == case.never_catching_up
    assert burrow.lately_at_the_end(case.commits, case.ends) == case.lately_at_the_end
    assert judge(case.commits, case.ends, case.lag, case.now_ms) is case.status


def test_a_reader_that_gets_further_behind_is_slow() -> None:
    """It moves, and its lag never fell: not an error yet."""
    slow = window(RISING, (50, 100, 100, 150, 200))
    assert judge(slow, (5200,), 200, 600_000) is Status.WARN
    once_better = window(RISING, (50, 100, 90, 150, 200))
    assert judge(once_better, (5200,), 200, 600_000) is Status.OK


def test_a_group_is_as_well_as_its_worst_partition() -> None:
    """One stuck partition must not hide behind nineteen good ones."""
    assert burrow.worst([Status.OK, Status.STALL, Status.WARN]) is Status.STALL
    assert burrow.worst([]) is Status.OK


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), max_size=20), st.integers(0, 10**6)
)
def test_who_has_read_everything_is_well_whatever_happened(
    pairs: list[tuple[int, int]], now_ms: int
) -> None:
    """No lag, no alarm."""
    commits = [Commit(offset, 10 * n, lag) for n, (offset, lag) in enumerate(pairs)]
    assert judge(commits, [], 0, now_ms) is Status.OK


def only(commits: Commits, now_ms: int) -> GroupStatus:
    (found,) = commits.groups(now_ms)
    return found


def test_a_reader_that_left_is_stopped_and_one_that_came_back_is_well() -> None:
    """The verdict follows the reader, on a window of five samples a second apart."""
    commits = Commits(size=5, every_ms=1000)
    for second in range(10):
        commits.saw(PLACE, second * 10, second * 10, second * 1000, alive=True)
    assert only(commits, 9000).status is Status.OK
    for second in range(10, 20):  # gone; messages come
        commits.saw(PLACE, 90, second * 10, second * 1000, alive=False)
    stopped = only(commits, 19_000)
    assert (stopped.status, stopped.lag_messages) == (Status.STOP, 100)
    for second in range(20, 26):
        commits.saw(PLACE, second * 10, second * 10, second * 1000, alive=True)
    assert only(commits, 25_000).status is Status.OK


def test_a_reader_that_is_there_and_does_not_move_is_stalled() -> None:
    """Who is there commits, even when always the same: that is another fault than being gone."""
    commits = Commits(size=5, every_ms=1000)
    for second in range(8):
        commits.saw(PLACE, 50, 60 + second, second * 1000, alive=True)
    assert only(commits, 7000).status is Status.STALL


def test_a_reader_never_seen_to_move_is_stopped_after_a_whole_window() -> None:
    """It died before anybody looked; Burrow would say nothing for ever."""
    commits = Commits(size=5, every_ms=1000)
    for second in range(8):
        commits.saw(PLACE, 50, 60, second * 1000)
        assert only(commits, second * 1000).status is (Status.STOP if second >= 5 else Status.OK)


def test_samples_near_each_other_become_one_commit() -> None:
    """Fifteen looks in a second are no window; what was reached in between is not forgotten."""
    commits = Commits(size=4, every_ms=1000)
    for look in range(20):
        commits.saw(PLACE, look, max(10, look), look * 50, alive=True)
    assert only(commits, 1000).partitions[0].complete == 0.25
    commits.saw(PLACE, 19, 30, 1000, alive=True)
    assert only(commits, 1000).partitions[0].complete == 0.5


def test_a_step_back_is_never_merged_away() -> None:
    """A rewind between two near looks is one all the same."""
    commits = Commits(size=4, every_ms=1000)
    for at_ms, offset in ((0, 50), (100, 20), (1200, 25)):
        commits.saw(PLACE, offset, 99, at_ms, alive=True)
    assert only(commits, 1300).status is Status.REWIND


def test_memory_is_bounded() -> None:
    """The console runs for months; topics and groups come and go."""
    commits = Commits(most=10)
    for number in range(100):
        commits.saw(Place("group", "topic", number), 1, 2, number)
    assert [place.partition for place in commits] == list(range(90, 100))
    commits.keep({"group"}, {("topic", 95), ("topic", 96)})
    assert [place.partition for place in commits] == [95, 96]
    commits.keep({"another"}, {("topic", 95), ("topic", 96)})
    assert len(commits) == 0
