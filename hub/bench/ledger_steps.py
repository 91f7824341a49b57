"""One step of the ledger's ladder, in a process of its own so that its memory is its own.

`python -m hub.bench.ledger_steps STEP FOLDER SIZE` prints `<done> <all>` lines while it works and its figures as JSON at
the end. CPU is user and system time of the process around the calls that are measured; making, signing, reading and
writing the workload is outside, but for the steps on two cores, whose clocks say something only with the reading in.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.bench.workload import LIFE, Maker, make_cases, offering
from hub.broker.kafka import resident_mb
from hub.events import rules
from hub.flow.snapshots import newest_first, save, without_collection
from hub.ledger.apply import Written, apply
from hub.ledger.audit import Audit
from hub.ledger.head import entry_hash, read_entry
from hub.ledger.replay import Replay
from hub.ledger.snapshot import load
from hub.ledger.state import Input, State
from hub.rebuild.rebuild import Rebuild
from hub.verify.recompute import INVARIANTS, Recompute, feed_all
from schemas.codec import encode
from schemas.members import Alliance, Member
from schemas.signing import Signer, Verifier, new_signer, sign_page
from schemas.tlog.merkle import Frontier, leaf_hash
from schemas.tlog.tiles import Tiles

MEMBERS = tuple(f"{10601 + number}" for number in range(20))
SEED = 7
BLOCK = 2000  # cases that go side by side: a member then has about a hundred events in a row, which make a page
WINDOW = 10_000  # entries before a size over which the rate at that size is taken
BATCH = 1000
SAMPLE = 10_000
SIGNED, PAGE, ROUNDS = 4_000, 200, 5  # events that are checked, those of a page, how often
_LENGTH_BYTES = 4
_AT_MS = 1_790_000_000_000


@dataclass(slots=True)
class Stopwatch:
    """CPU seconds of this process inside `with`."""

    seconds: float = 0.0
    _since: float = 0.0

    def __enter__(self) -> None:
        self._since = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._since


@dataclass(slots=True)
class Workload:
    """Signed inputs in the order of the ledger. If `paged`, the events of a member in a row share a signature."""

    paged: bool
    keys: dict[str, Signer] = field(default_factory=lambda: signers())
    offset: int = 0

    def batches(self, entries: int) -> Iterator[list[Input]]:
        """At least so many, wave after wave. Each makes one entry."""
        maker = Maker(self.keys, SEED)
        yield self._inputs([offering(maker, host) for host in MEMBERS])
        cases = make_cases(MEMBERS, -(-entries // len(LIFE)), SEED)
        for start in range(0, len(cases), BLOCK):
            for record in LIFE:
                events = [record(maker, case) for case in cases[start : start + BLOCK]]
                yield self._inputs(sorted(events, key=lambda event: str(event.envelope.member)))

    def _inputs(self, events: Sequence[Any]) -> list[Input]:
        values = [encode(event) for event in events]
        found = []
        for event, value, signature in zip(
            events, values, self._signed(events, values), strict=True
        ):
            member = event.envelope.member
            at_ms = _AT_MS + self.offset
            found.append(
                Input(
                    self.offset, at_ms, event, event.EVENT, value, self.keys[member].key_id, signature,
                    f"member.{member}.out", 0, self.offset, at_ms,
                )
            )  # fmt: skip
            self.offset += 1
        return found

    def _signed(self, events: Sequence[Any], values: Sequence[bytes]) -> list[bytes]:
        pages: dict[str, list[bytes]] = {}
        for event, value in zip(events, values, strict=True):
            pages.setdefault(event.envelope.member, []).append(value)
        return [
            signature
            for member, bodies in pages.items()
            for signature in (
                sign_page(self.keys[member], bodies)
                if self.paged
                else [self.keys[member].sign(body) for body in bodies]
            )
        ]


def signers() -> dict[str, Signer]:
    """The same keys in every step."""
    return {code: new_signer(hashlib.sha256(f"bench {code}".encode()).digest()) for code in MEMBERS}


def verifier() -> Verifier:
    return Verifier({s.key_id: (code, s.public) for code, s in signers().items()})


def log_file(folder: Path, *, paged: bool = False) -> Path:
    return folder / ("entries-paged.log" if paged else "entries.log")


def read_log(path: Path, entries: int) -> Iterator[list[bytes]]:
    """The first so many entries of a written log, in batches."""
    left = entries
    with path.open("rb") as file:
        while left:
            batch: list[bytes] = []
            while left and len(batch) < BATCH:
                length = int.from_bytes(file.read(_LENGTH_BYTES), "big")
                batch.append(file.read(length))
                left -= 1
            yield batch
            _progress(entries - left, entries)


def _progress(done: int, entries: int) -> None:
    if done % 10_000 < BATCH or done >= entries:
        _say(f"{done} {entries}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _rss() -> float:
    return round(resident_mb(os.getpid()) or 0.0, 1)


def write(folder: Path, sizes: Sequence[int], *, paged: bool) -> dict[str, Any]:
    """Apply the workload and keep the log. Per size: CPU of `apply` over the entries just before it, memory then."""
    state, entries = State(frozenset(MEMBERS)), sizes[-1]
    watch, began_mb = Stopwatch(), _rss()
    marks, figures = [(0, 0.0)], dict[str, Any]()
    left = list(sizes)
    with log_file(folder, paged=paged).open("wb") as file:
        for inputs in Workload(paged).batches(entries):
            for start in range(0, len(inputs), BATCH):
                written: list[Written] = []
                with watch:
                    for item in inputs[start : start + BATCH]:
                        written += apply(state, item, rules())
                for made in written:
                    file.write(len(made.value).to_bytes(_LENGTH_BYTES, "big") + made.value)
                marks.append((state.head.seq, watch.seconds))
                while left and state.head.seq >= left[0]:
                    found = _at(marks) | {"state_mb": round(_rss() - began_mb, 1)}
                    figures[str(left.pop(0))] = found | {"apply_us_when_empty": _when_empty()}
                _progress(state.head.seq, entries)
    return figures


def _when_empty() -> float:
    """What `apply` costs on an empty ledger at this moment: machines that are shared change their speed by the minute."""
    state, watch = State(frozenset(MEMBERS)), Stopwatch()
    for inputs in Workload(paged=False).batches(WINDOW):
        with watch:
            for item in inputs:
                apply(state, item, rules())
    return _us(watch.seconds, state.head.seq)


def _at(marks: Sequence[tuple[int, float]]) -> dict[str, float]:
    """Rate of the newest entries, and over all."""
    seq, seconds = marks[-1]
    before = next(mark for mark in reversed(marks) if mark[0] <= max(0, seq - WINDOW))
    return {
        "apply_us": _us(seconds - before[1], seq - before[0]),
        "apply_us_over_all": _us(seconds, seq),
    }


def _us(seconds: float, entries: int) -> float:
    return round(seconds / entries * 1e6, 2)


def tree(folder: Path, entries: int) -> dict[str, Any]:
    """Encoding and hashing an entry once more, the tree over the leaves, and the tiles as a log publishes them."""
    coding, growing, tiling = Stopwatch(), Stopwatch(), Stopwatch()
    frontier, tiles, coded = Frontier(), Tiles(), 0
    for batch in read_log(log_file(folder), entries):
        if coded < SAMPLE:
            read = [entry for value in batch if (entry := read_entry(value))]
            with coding:
                for entry in read:
                    entry_hash(encode(entry))
            coded += len(read)
        with growing:
            frontier = frontier.extend([leaf_hash(value) for value in batch])
        with tiling:
            for start in range(0, len(batch), 250):
                tiles, _ = tiles.grow(batch[start : start + 250])
    if tiles.root() != frontier.root():
        raise ValueError("tiles and frontier have different roots; one of them is wrong")
    return {
        "encode_and_hash_us": _us(coding.seconds, coded),
        "tree_us": _us(growing.seconds, entries),
        "tiles_us": _us(tiling.seconds, entries),
    }


def audit(folder: Path, entries: int, how: str) -> dict[str, Any]:
    """Recompute every entry and check the invariants; `how` says which signatures are checked as well."""
    watch, state = Stopwatch(), State(frozenset(MEMBERS))
    replay = Replay(rules(), state)
    checks = Audit(None if how == "plain" else verifier())
    for batch in read_log(log_file(folder, paged=how == "paged"), entries):
        with watch:
            for value in batch:
                entry = replay.feed(value)
                if entry is None:
                    raise ValueError(f"a void record behind entry {replay.head.seq}")
                checks.see(entry, value, replay.event)
    with watch:
        breaches = checks.finish(state)
    if breaches or state.head.seq != entries:
        raise ValueError(f"{len(breaches)} breaches in the bench's own ledger: {breaches[:3]}")
    return {f"audit_{how}_us": _us(watch.seconds, entries), f"audit_{how}_mb": _rss()}


def start_full(folder: Path, entries: int) -> dict[str, Any]:
    """A start from the log's beginning, on two cores where there are two; then the snapshot that a quick start takes."""
    replay, found = _started(folder, entries, alone=False)
    resident, saving, frontier = _rss(), Stopwatch(), Frontier()
    for batch in read_log(log_file(folder), entries):
        frontier = frontier.extend([leaf_hash(value) for value in batch])
    with saving:
        path = save(_snapshots(folder, entries), replay.state, entries - 1, frontier)
    return {
        **{f"start_full_{name}": figure for name, figure in found.items()},
        "start_full_mb": resident,
        "snapshot_save_s": round(saving.seconds, 2),
        "snapshot_mb": round(path.stat().st_size / 1e6, 1),
    }


def start_alone(folder: Path, entries: int) -> dict[str, Any]:
    """The same start by one process."""
    _, found = _started(folder, entries, alone=True)
    return {f"start_alone_{name}": figure for name, figure in found.items()}


def _started(folder: Path, entries: int, *, alone: bool) -> tuple[Replay, dict[str, float]]:
    watch, began = Stopwatch(), time.monotonic()
    replay = Replay(rules(), State(frozenset(MEMBERS)))
    with watch, without_collection(), Rebuild(replay) as rebuild:
        rebuild.expect(0 if alone else entries)
        for batch in read_log(log_file(folder), entries):
            rebuild.take(batch)
        rebuild.finish()
    found = _seconds(watch, began)
    if replay.head.seq != entries:
        raise ValueError(f"the start ended at entry {replay.head.seq}, wanted {entries}")
    return replay, found


def _seconds(watch: Stopwatch, began: float) -> dict[str, float]:
    """By the clock since `began`, CPU of this process, CPU of those it started that have ended."""
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "wall_s": round(time.monotonic() - began, 2),
        "s": round(watch.seconds, 2),
        "ahead_s": round(others.ru_utime + others.ru_stime, 2),
    }


def verify(folder: Path, entries: int) -> dict[str, Any]:
    """What `alliance verify replay` does with the entries: every rule, every invariant, every signature, in pages."""
    members = {
        code: Member(code, code, code, "", "", "", {signer.key_id: signer.public})
        for code, signer in signers().items()
    }
    work = Recompute(Alliance("bench", "bench", members), frozenset(INVARIANTS))
    watch, began = Stopwatch(), time.monotonic()
    with watch:
        feed_all(work, read_log(log_file(folder, paged=True), entries), entries, void_allowed=False)
        _, failure = work.finish()
    if failure is not None or work.head.seq != entries:
        raise ValueError(
            f"the bench's own ledger does not hold at entry {work.head.seq}: {failure}"
        )
    return {f"verify_{name}": figure for name, figure in _seconds(watch, began).items()}


def start_quick(folder: Path, entries: int) -> dict[str, Any]:
    """A start from the snapshot."""
    watch, began_mb = Stopwatch(), _rss()
    began = time.monotonic()
    with without_collection(), watch:
        state = load(newest_first(_snapshots(folder, entries))[0].read_bytes())
    seconds = time.monotonic() - began
    if state.head.seq != entries:
        raise ValueError(f"the snapshot is of entry {state.head.seq}, wanted {entries}")
    return {
        "start_snapshot_s": round(watch.seconds, 2),
        "start_snapshot_wall_s": round(seconds, 2),
        "start_snapshot_mb": _rss(),
        "start_snapshot_state_mb": round(_rss() - began_mb, 1),
    }


def _snapshots(folder: Path, entries: int) -> Path:
    return folder / f"snapshots-{entries}"


def signatures(folder: Path) -> dict[str, Any]:
    """Checking the same events, each with a signature of its own and in pages of one; best of several rounds of both."""
    bodies = [
        entry.event
        for batch in read_log(log_file(folder), SIGNED)
        for value in batch
        if (entry := read_entry(value)) is not None
    ]
    key = signers()[MEMBERS[0]]
    alone = [key.sign(body) for body in bodies]
    paged = [
        signature
        for start in range(0, len(bodies), PAGE)
        for signature in sign_page(key, bodies[start : start + PAGE])
    ]
    best = {"each": float("inf"), "paged": float("inf")}
    for _ in range(ROUNDS):
        for how, made in (("each", alone), ("paged", paged)):
            watch, checks = Stopwatch(), verifier()
            with watch:
                good = all(
                    checks.valid(key.key_id, body, signature)
                    for body, signature in zip(bodies, made, strict=True)
                )
            if not good:
                raise ValueError(f"a signature of the bench does not hold ({how})")
            best[how] = min(best[how], watch.seconds)
    return {
        "page_events": PAGE,
        "check_each_us": _us(best["each"], len(bodies)),
        "check_paged_us": _us(best["paged"], len(bodies)),
        "check_paged_ratio": round(best["each"] / best["paged"], 1),
    }


STEPS: dict[str, Callable[[Path, list[int]], dict[str, Any]]] = {
    "write": lambda folder, sizes: write(folder, sizes, paged=False),
    "write-paged": lambda folder, sizes: write(folder, sizes, paged=True),
    "tree": lambda folder, sizes: tree(folder, sizes[0]),
    "start-full": lambda folder, sizes: start_full(folder, sizes[0]),
    "start-alone": lambda folder, sizes: start_alone(folder, sizes[0]),
    "start-quick": lambda folder, sizes: start_quick(folder, sizes[0]),
    "signatures": lambda folder, _: signatures(folder),
    "audit-plain": lambda folder, sizes: audit(folder, sizes[0], "plain"),
    "audit-each": lambda folder, sizes: audit(folder, sizes[0], "each"),
    "audit-paged": lambda folder, sizes: audit(folder, sizes[0], "paged"),
    "verify": lambda folder, sizes: verify(folder, sizes[0]),
}


def main() -> None:
    """One step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sizes", type=int, nargs="+")
    given = parser.parse_args()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as the hub's processes have it
    _say(json.dumps(STEPS[given.step](given.folder, given.sizes)))


if __name__ == "__main__":
    main()
