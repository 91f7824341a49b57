"""What mapping a record costs: the sandbox's mapping and the one that `ooapi` brings."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from connectors.ooapi.conformance import course5, offering5
from connectors.ooapi.shape import offering
from connectors.sdk.mapping.event import load_mapping

_ROUNDS = 5


def cheapest_us(work: Callable[[], Any], times: int) -> float:
    """CPU of one call in microseconds: the best of some rounds, since other work only ever adds."""
    found = []
    for _ in range(_ROUNDS):
        begun = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - begun) / times * 1e6)
    return round(min(found), 1)


def mappings(times: int) -> dict[str, float]:
    """Microseconds of CPU by mapping: from the campus's record to the event's, before Avro."""
    template = Path(str(files("connectors.sandbox") / "connector_template"))
    text = (template / "cases" / "offering" / "published.toml").read_text("utf-8")
    sandbox = load_mapping(
        template / "mapping" / "offering.toml",
        template / "codes",
        member="10633",
        connector="campus",
    )
    given = tomllib.loads(text)["given"]
    own = Path(str(files("connectors.ooapi")))
    ooapi = load_mapping(
        own / "mapping" / "offering.toml", own / "codes", member="10633", connector="campus"
    )
    change = {
        "eventId": "00000000-0000-4000-8000-000000000001",
        "version": 1,
        "at": "2026-09-01T08:00:00Z",
    }
    record = offering(offering5(1), course5(1)) | {"_change": change}
    return {
        "sandbox offering": cheapest_us(lambda: sandbox.record(given), times),
        "ooapi offering": cheapest_us(lambda: ooapi.record(record), times),
    }
