"""The ledger at growing sizes: what an entry costs, what a start takes, how much memory the state needs.

Each step is a process of its own (`hub.bench.ledger_steps`). No broker takes part. Wall clocks of shared machines say
little, so times are CPU seconds, with the clock's beside them where two cores work.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hub.errors import HubError

SIGNED_UP_TO = 100_000  # entries: one signature for each costs the same at any size
Progress = Callable[[str, int, int], None]  # what, done, of how many


class StepFailed(HubError):
    """A step of the ladder ended without figures."""


def ladder(folder: Path, sizes: Iterable[int], progress: Progress) -> dict[str, Any]:
    """Figures by size. `folder` is emptied.

    `apply_rate_to_empty` compares with an empty ledger in the same process at the same moment.
    """
    steps = sorted(set(sizes))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    figures = _run("write", folder, steps, progress)
    signed = [size for size in steps if size <= SIGNED_UP_TO] or steps[:1]
    _run("write-paged", folder, steps, progress)
    signatures = _run("signatures", folder, steps[:1], progress)
    for size in steps:
        found = figures[str(size)]
        for step in ("tree", "start-full", "start-alone", "start-quick", "audit-plain", "verify"):
            found |= _run(step, folder, [size], progress)
        found |= _run("audit-paged", folder, [size], progress)
        if size in signed:
            found |= _run("audit-each", folder, [size], progress)
            found["audit_paged_ratio"] = _ratio(found["audit_each_us"], found["audit_paged_us"])
        found["apply_per_s"] = round(1e6 / found["apply_us"])
        found["apply_rate_to_empty"] = _ratio(found["apply_us_when_empty"], found["apply_us"])
        found["start_ratio"] = _ratio(found["start_full_wall_s"], found["start_snapshot_wall_s"])
        found["start_ratio_to_alone"] = _ratio(
            found["start_full_wall_s"], found["start_alone_wall_s"]
        )
    return {"sizes": figures, "signatures": signatures}


def _ratio(one: float, other: float) -> float:
    return round(one / max(other, 1e-3), 2)


def _run(step: str, folder: Path, sizes: Sequence[int], progress: Progress) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "hub.bench.ledger_steps", step, str(folder)]
    command += [str(size) for size in sizes]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # our own module
        last = ""
        for line in process.stdout or ():
            last = line
            done, _, of = line.partition(" ")
            if done.isdecimal():
                progress(step, int(done), int(of))
    if process.returncode:
        raise StepFailed(
            f"step {step} of {sizes[-1]} entries ended with {process.returncode}; read its error above"
        )
    found: dict[str, Any] = json.loads(last)
    return found
