"""Paths with fields of a delivery: `/enrollments/{enrollment_id}`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from connectors.sdk.contract import Delivery
from schemas.codec import to_json

_FIELD = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def names(path: str) -> Sequence[str]:
    """The fields that a path names. Raises `ValueError` for braces that name none."""
    found = _FIELD.findall(path)
    left = _FIELD.sub("", path)
    wrong = [name for name in found if not _NAME.fullmatch(name)]
    if wrong or "{" in left or "}" in left:
        raise ValueError(
            f"found {path!r}: braces hold the name of a field, as in /enrollments/{{enrollment_id}}; correct it"
        )
    return found


def filled(path: str, delivery: Delivery) -> str:
    """The path for a delivery, each value as one segment. Raises `ValueError` naming the field that has none."""
    if "{" not in path:
        return path
    head: dict[str, Any] = {
        "kind": delivery.kind,
        "event": delivery.event,
        "event_id": delivery.event_id,
        "outcome": delivery.outcome,
        "subject": delivery.order_key,
    }
    fields = {**to_json(delivery.record), **head}

    def value(match: re.Match[str]) -> str:
        found: Any = fields
        for name in match[1].split("."):
            found = found.get(name) if isinstance(found, dict) else None
        text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
        if text in ("", ".", ".."):
            raise ValueError(
                f"a {delivery.kind} of {delivery.event} has no {match[1]} for path; "
                "name a field that each has, or narrow events, outcomes and flags of this sink"
            )
        return quote(text, safe="")

    return _FIELD.sub(value, path)
