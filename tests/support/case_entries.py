"""Histories of cases as ledger entries, and which of them are open afterwards, found by other means than the processor's."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hub.ledger.head import GENESIS, Head, entry_hash
from hub.store.fold import Taken
from schemas import topics
from schemas.codec import encode
from schemas.records import CaseFlagged, Change, OpenCase
from tests.support.entries import START, Told, entry

HOME, HOST = "10610", "10611"
FLAGS = ("deadline_near", "deadline_over", "award_corrected_after_decision")
IDS = ("enrollment/e1", "enrollment/e2", "award/w1", "recognition/r/1")
STATES = ("pending", "associated", "finished")
ACTORS = ((), (), (HOME,), (HOST,), (HOME, HOST))


@dataclass(frozen=True, slots=True)
class Happened:
    """One entry about cases."""

    changes: tuple[Change, ...] = ()
    flag: CaseFlagged | None = None


def change(
    key: str, state: str, *actors: str, due_at: datetime | None = None, closed: bool = False
) -> Change:
    """A case (`kind/id`) after an entry."""
    kind, _, case_id = key.partition("/")
    return Change(kind, case_id, state, actors, due_at, closed)


def flagged(key: str, name: str, state: str, *actors: str) -> CaseFlagged:
    """A flag on a case."""
    kind, _, case_id = key.partition("/")
    return CaseFlagged(name, kind, case_id, state, actors, None, 1, None, "look", "请看", START)


def some_happened(count: int, seed: int, cases: int = 40) -> list[Happened]:
    """A mixed history: cases that open, change hands, are flagged, close and open again."""
    rng = random.Random(seed)
    keys = [f"enrollment/en-{number}" for number in range(cases)]
    found = []
    for _ in range(count):
        key = rng.choice(keys)
        if rng.random() < 0.15:
            flag = flagged(key, rng.choice(FLAGS), rng.choice(STATES), *rng.choice(ACTORS))
            found.append(Happened(flag=flag))
            continue
        abouts = [key, *rng.sample(keys, rng.choice((0, 0, 1, 2)))]
        due_at = rng.choice((None, START + timedelta(days=rng.randrange(9))))
        found.append(
            Happened(
                tuple(
                    change(about, rng.choice(STATES), *rng.choice(ACTORS), due_at=due_at)
                    for about in abouts
                )
            )
        )
    return found


def case_values(happened: Sequence[Happened]) -> list[bytes]:
    """The framed entries of a log, from the first on; the nth is of `START` and n milliseconds."""
    values, head = [], GENESIS
    for item in happened:
        made = replace(entry(head, Told()), changes=item.changes)
        if item.flag is not None:
            event = encode(item.flag)
            made = replace(made, event_type=CaseFlagged.EVENT, member="", event=event)
        value = encode(made)
        head = Head(head.seq + 1, entry_hash(value))
        values.append(value)
    return values


def open_case(
    key: str = "enrollment/e1",
    *actors: str,
    state: str = "pending",
    since: datetime = START,
    due_at: datetime | None = None,
    flag: str | None = None,
    seq: int = 1,
) -> OpenCase:
    """A case as `hub.cases` has it; the host has to act unless told otherwise."""
    kind, _, case_id = key.partition("/")
    return OpenCase(kind, case_id, state, actors or (HOST,), due_at, START, since, flag, seq)


def cases_taken(*records: OpenCase | str) -> list[Taken]:
    """Records of `hub.cases` as fetched, offsets from 0; a key alone closes its case."""
    return [
        Taken(topics.CASES, 0, offset, None, record.encode())
        if isinstance(record, str)
        else Taken(topics.CASES, 0, offset, encode(record), f"{record.kind}/{record.id}".encode())
        for offset, record in enumerate(records)
    ]


def plainly_open(happened: Sequence[Happened]) -> dict[str, OpenCase]:
    """The open cases by key, each from its whole history: what follows its last closing, looked at from the end."""
    told: dict[str, list[tuple[int, Change | CaseFlagged]]] = defaultdict(list)
    for seq, item in enumerate(happened, start=1):
        for about in item.changes:
            told[f"{about.kind}/{about.id}"].append((seq, about))
        if item.flag is not None:
            told[f"{item.flag.case_kind}/{item.flag.case_id}"].append((seq, item.flag))
    found = {key: _newest_life(key, steps) for key, steps in told.items()}
    return {key: case for key, case in found.items() if case is not None}


def _newest_life(key: str, steps: list[tuple[int, Change | CaseFlagged]]) -> OpenCase | None:
    closings = [
        place
        for place, (_, about) in enumerate(steps)
        if isinstance(about, Change) and not about.next_actors
    ]
    life = steps[closings[-1] + 1 :] if closings else steps
    while life and not life[0][1].next_actors:
        life = life[1:]
    if not life:
        return None
    turns = [_turn(life[:end]) for end in range(1, len(life) + 1)]
    state, actors = turns[-1]
    began = max(
        (place for place in range(1, len(turns)) if turns[place] != turns[place - 1]), default=0
    )
    in_state = max(
        (place for place in range(1, len(turns)) if turns[place][0] != turns[place - 1][0]),
        default=0,
    )
    flags = [about.flag for _, about in life[in_state:] if isinstance(about, CaseFlagged)]
    changes = [about.due_at for _, about in life if isinstance(about, Change)]
    kind, _, case_id = key.partition("/")
    return OpenCase(
        kind=kind,
        id=case_id,
        state=state,
        next_actors=actors,
        due_at=changes[-1] if changes else life[0][1].due_at,
        opened_at=_at(life[0][0]),
        since=_at(life[began][0]),
        flag=flags[-1] if flags else None,
        seq=life[-1][0],
    )


def _turn(life: Sequence[tuple[int, Change | CaseFlagged]]) -> tuple[str, tuple[str, ...]]:
    """State and next actors after these steps: of the last change, and whom flags after it ask besides."""
    changes = [place for place, (_, about) in enumerate(life) if isinstance(about, Change)]
    start = changes[-1] if changes else 0
    first = life[start][1]
    asked = {actor for _, about in life[start:] for actor in about.next_actors}
    return first.state, first.next_actors if start == len(life) - 1 else tuple(sorted(asked))


def _at(seq: int) -> datetime:
    return START + timedelta(milliseconds=seq)
