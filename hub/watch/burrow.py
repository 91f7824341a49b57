"""Whether a reader keeps up, judged from a window of its commits and without a threshold of lag. Pure.

The rules and their order are those of LinkedIn's Burrow (https://github.com/linkedin/Burrow/wiki/Consumer-Lag-Evaluation-Rules,
and `core/internal/evaluator/caching_test.go` in the same repository, whose published cases our tests hold as data):

1. No lag now: OK.
2. Longer since the last commit than from the first to the last one of the window: STOP. Not so if a recent end of the partition
   was at or below the last commit: then the reader had nothing to do until a moment ago.
3. No lag at some commit of the window: OK.
4. A commit below the one before: REWIND.
5. All commits at one offset: STALL.
6. The lag never fell from one commit to the next: WARN.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise


class Status(IntEnum):
    """How a reader does, worse is more. WARN is slow; of STOP, STALL and REWIND none mends itself."""

    OK = 1
    WARN = 2
    STOP = 4
    STALL = 5
    REWIND = 6


@dataclass(frozen=True, slots=True)
class Commit:
    """A position that a reader committed, when, and how many messages it was behind then; None where nobody looked."""

    offset: int
    at_ms: int
    lag: int | None


def judge(commits: Sequence[Commit], ends: Iterable[int], lag: int, now_ms: int) -> Status:
    """The verdict on one partition. `commits` oldest first; `ends` are recent end offsets of the partition; `lag` is now's."""
    if lag <= 0 or not commits:
        return Status.OK
    if stopped(commits, now_ms) and not lately_at_the_end(commits, ends):
        return Status.STOP
    if not always_behind(commits):
        return Status.OK
    if rewound(commits):
        return Status.REWIND
    if stalled(commits):
        return Status.STALL
    return Status.WARN if never_catching_up(commits) else Status.OK


def always_behind(commits: Sequence[Commit]) -> bool:
    """Whether no commit of the window reached the end."""
    return all(commit.lag != 0 for commit in commits)


def rewound(commits: Sequence[Commit]) -> bool:
    """Whether a commit lies below the one before."""
    return any(later.offset < earlier.offset for earlier, later in pairwise(commits))


def stopped(commits: Sequence[Commit], now_ms: int) -> bool:
    """Whether the reader has been quiet for longer than its window is wide."""
    return now_ms - commits[-1].at_ms > commits[-1].at_ms - commits[0].at_ms


def stalled(commits: Sequence[Commit]) -> bool:
    """Whether all commits are at one offset."""
    return all(later.offset == earlier.offset for earlier, later in pairwise(commits))


def never_catching_up(commits: Sequence[Commit]) -> bool:
    """Whether the lag never fell. Commits whose lag nobody knows say nothing."""
    lags = [commit.lag for commit in commits if commit.lag is not None]
    return all(later >= earlier for earlier, later in pairwise(lags))


def lately_at_the_end(commits: Sequence[Commit], ends: Iterable[int]) -> bool:
    """Whether the last commit was all there was, at one of the recent looks."""
    return any(end <= commits[-1].offset for end in ends)


def worst(found: Iterable[Status]) -> Status:
    """A group is as well as its worst partition; one without partitions is well."""
    return max(found, default=Status.OK)
