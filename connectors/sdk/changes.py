"""Changes found by comparing contents: their numbers and event ids, the same whoever finds them and however often.

A mapping finds them in `_change` of the record: `eventId`, `version`, `at`, and `op` (`upsert` or `delete`).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from connectors.sdk.contract import Seen
from schemas import envelope

GONE = b""  # the hash of a record that is no longer there


def digest(data: Any) -> bytes:
    """SHA-256 of a record's contents, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).digest()


def changed(
    data: Mapping[str, Any], now: Seen, at: datetime, *, owner: str, source: str
) -> dict[str, Any]:
    """The record with its `_change`. `owner` and `source` keep the ids of two campuses and two sources apart."""
    name = f"{owner}/{source}/{now.key}/{now.version}/{now.hash.hex()}"
    op: Literal["upsert", "delete"] = "delete" if now.hash == GONE else "upsert"
    change = {
        "eventId": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
        "version": now.version,
        "at": envelope.rfc3339(at),
        "op": op,
    }
    return {**data, "_change": change}
