"""Two processes write the same ledger: nothing in an entry may hang on how one of them hashes or orders its sets.

A replay in the same process cannot see it; a sequencer that takes over, and every auditor, is another process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEEDS = 200
HEADS = f"""
import hashlib
from tests.support.histories_catalogue import drawn
from tests.support.histories_twins import told
from tests.support.histories_world import CODES

heads = hashlib.sha256()
for seed in range({SEEDS}):
    heads.update(told(drawn(seed, 40), seed % len(CODES)).ledger.state.head.hash)
print(heads.hexdigest())
"""


def heads(hash_seed: str) -> str:
    """One hash over the heads of many histories, told in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", HEADS],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_processes_that_hash_texts_differently_write_the_same_bytes() -> None:
    """Python gives each process a hash of its own; a set of names comes out in another order then."""
    assert len({heads(seed) for seed in ("0", "1", "4711")}) == 1
