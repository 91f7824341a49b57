"""What a member would do at the end of a term: close the period, wait for the receipts, verify the log with public keys alone.

Each is a command line of its own, run as anyone would run it; nothing here looks into another's state.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.errors import HubError
from hub.run.supervisor import alliance_command

SETTLE_S = 90.0
POLL_S = 1.0


class NotShown(HubError):
    """A command did not answer; the message holds its own words."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What came out. `verify` is `ok`, or the words of the first finding; `receipts` as the connectors count them."""

    period: Mapping[str, Any] = field(default_factory=dict)
    receipts: Mapping[str, Any] = field(default_factory=dict)
    verify: str = ""
    invariants: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The fields of `alliance demo --json` that are about proof."""
        return {
            "receipts": {name: self.receipts.get(name, 0) for name in ("final", "waiting", "overdue", "evidence")},
            "verify": self.verify,
            "verified_invariants": dict(self.invariants),
            "period": dict(self.period),
        }  # fmt: skip

    @property
    def is_good(self) -> bool:
        receipts = self.as_json()["receipts"]
        final = receipts.pop("final")
        return self.verify == "ok" and final > 0 and not any(receipts.values())


async def show_trust(folder: Path, environment: Mapping[str, str], name: str) -> Trust:
    """Close the period `name`, wait up to `SETTLE_S` for receipts, verify the files of the log."""
    _, period = await _asked(environment, "period", "close", name, "--json")
    folders = sorted(str(path) for path in (folder / "connectors").iterdir())
    deadline = time.monotonic() + SETTLE_S
    while True:
        _, receipts = await _asked(environment, "connector", "receipts", *folders, "--json")
        if receipts["waiting"] == 0 or time.monotonic() > deadline:
            break
        await asyncio.sleep(POLL_S)
    code, found = await _asked(
        environment, "verify", "replay", "--entries", str(folder / "tlog"),
        "--alliance", str(folder / "alliance.toml"), "--invariants", "all", "--json",
    )  # fmt: skip
    invariants = {key: value["result"] for key, value in found.get("invariants", {}).items()}
    verdict = "ok" if code == 0 else str(found.get("failure") or found)
    return Trust(period, receipts, verdict, invariants)


async def _asked(environment: Mapping[str, str], *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of one of our own commands."""
    process = await asyncio.create_subprocess_exec(
        *alliance_command(*words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    output, errors = await process.communicate()
    try:
        found: dict[str, Any] = json.loads(output.decode().splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise NotShown(
            f"alliance {_short(words)} ended with exit code {process.returncode} and no JSON: "
            f"{errors.decode(errors='replace').strip()[-1000:] or output.decode(errors='replace')[-1000:]}"
        ) from error
    return process.returncode or 0, found


def _short(words: Sequence[str]) -> str:
    return " ".join(words[:3]) + (" ..." if len(words) > 3 else "")
