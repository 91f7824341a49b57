"""Where processors read on, and what importing them may not do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from hub.streams import activity, cases
from hub.streams.plan import Names
from hub.streams.position import next_offsets
from hub.streams.rates import fold
from hub.streams.worker import Standstill, notice_standstill
from tests.support.entries import ledger_values, some_told


def _python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if "FAUST" not in name}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )


def test_processors_read_on_where_their_state_ends() -> None:
    """Not where the consumer group says: a dropped state must be counted again from the first message."""
    names = Names("x.")
    state = activity.EMPTY
    for offset, value in enumerate(ledger_values(some_told(3, seed=1))):
        state, _ = activity.take(state, offset, value)
    count = fold(None, names.domains[0], 0, 41, 1_790_000_000_000)
    nothing = dict.fromkeys(((topic, 0) for topic in names.inputs), 0)
    assert next_offsets(names, activity.EMPTY, cases.FIRST, []) == nothing
    assert next_offsets(names, state, cases.Place(7, state.head), [count]) == nothing | {
        ("x.ledger.entries", 0): 3,
        (names.domains[0], 0): 42,
    }


def test_the_ledger_is_read_from_where_the_state_that_is_behind_ends() -> None:
    """Two states follow `ledger.entries`; dropping one to build it again must not leave out what the other has."""
    names = Names("x.")
    state = activity.EMPTY
    for offset, value in enumerate(ledger_values(some_told(3, seed=1))):
        state, _ = activity.take(state, offset, value)
    for place, wanted in ((cases.FIRST, 0), (cases.Place(2, state.head), 2)):
        assert next_offsets(names, state, place, [])["x.ledger.entries", 0] == wanted


def test_the_topic_plan_is_made_without_faust() -> None:
    """`alliance topics` must not need the extra that only stream workers need."""
    done = _python("import sys, hub.streams.plan; sys.exit('faust' in sys.modules)")
    assert done.returncode == 0, done.stderr


def test_our_command_line_is_not_fausts() -> None:
    """Faust reads `--datadir` and `-L` of whoever imports it, and refuses to be imported when it dislikes them."""
    code = (
        "import os, sys, hub.streams.worker;"
        "assert sys.argv[1:] == ['-L', '--datadir'], sys.argv;"
        "assert not any('FAUST' in name for name in os.environ)"
    )
    done = _python(code, "-L", "--datadir")
    assert done.returncode == 0, done.stderr


def test_the_app_keeps_the_settings_that_make_counts_exact() -> None:
    """Measured one by one; an upgrade of Faust or a well-meant default must not change them unseen."""
    code = (
        "from hub.streams.worker import build_app; app = build_app('a:1,b:2'); app.finalize(); c = app.conf;"
        "print(c.id, c.processing_guarantee.value, c.topic_allow_declare, c.topic_disable_leader, c.web_enabled,"
        " c.stream_wait_empty, c.producer_linger, c.producer_acks, c.store, len(c.broker),"
        " sorted(name.rpartition('.')[2] for name in app.agents), sorted(app.tables))"
    )
    done = _python(code)
    assert done.stdout.strip() == (
        "alliance-streams at_least_once False True False False 0.02 -1 memory: 2 "
        "['ledger-entries', 'topic-rates'] ['cases', 'member-activity', 'topic-rates']"
    ), done.stdout + done.stderr


class Moves:
    """What a standstill is told by, step by step; the last step stays."""

    def __init__(self, *steps: tuple[bool, int]) -> None:
        self.steps = list(steps)

    def settled(self) -> bool:
        return self.steps[0][0]

    def progress(self) -> int:
        if len(self.steps) > 1:
            self.steps.pop(0)
        return self.steps[0][1]


def test_an_assignment_that_is_never_taken_over_is_noticed() -> None:
    """Faust waits for ever then; who runs the processors sees no counts and no error."""
    moves = Moves((True, 0), (True, 0), (False, 0))
    with pytest.raises(Standstill, match="assigned anew"):
        asyncio.run(notice_standstill(moves.settled, moves.progress, within_s=0.03, step_s=0.01))


@pytest.mark.parametrize(
    "moves", [Moves((True, 0)), Moves(*((False, number) for number in range(1000)))]
)
def test_settled_workers_and_those_that_read_long_changelogs_are_left_alone(moves: Moves) -> None:
    """A restart in the midst of reading would begin at the front again."""

    async def watched() -> None:
        async with asyncio.timeout(0.2):
            await notice_standstill(moves.settled, moves.progress, within_s=0.03, step_s=0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(watched())
