"""Bodies of change rows of the office `recruitment`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

from connectors.sandbox.offices.shapes_common import localized
from connectors.sandbox.shapes import Body

Counts: TypeAlias = tuple[int, int, int, int]  # applied, interviewed, offered, accepted
_COUNTED = ("applied", "interviewed", "offered", "accepted")


def posting(
    posting_id: str,
    post: Mapping[str, Any],
    members: Sequence[str],
    headcount: int,
    fair: str,
    days: tuple[date, date],
) -> Body:
    """A post nobody applied for yet. `post`: a row of `data/posts.toml`; `days`: the first and the last to apply."""
    return {
        "postingId": posting_id,
        "organizations": list(members),
        "name": localized(post["zh"], post["en"]),
        "fieldsOfStudy": post["discipline"],
        "rank": post["rank"],
        "headcount": headcount,
        "fair": fair,
        "startDate": days[0].isoformat(),
        "endDate": days[1].isoformat(),
        "counts": dict.fromkeys(_COUNTED, 0),
        "state": "planned",
    }


def counts(body: Body) -> Counts:
    applied, interviewed, offered, accepted = (int(body["counts"][name]) for name in _COUNTED)
    return applied, interviewed, offered, accepted


def counted(body: Body, state: str, people: Counts) -> Body:
    """The post in a state with new counts."""
    return body | {"state": state, "counts": dict(zip(_COUNTED, people, strict=True))}


def overfilled(text: str) -> Body:
    """The post, with more accepted than wanted."""
    body: Body = json.loads(text)
    applied, interviewed, offered, _ = counts(body)
    accepted = body["headcount"] + 1
    offered = max(offered, accepted)
    interviewed = max(interviewed, offered)
    return counted(body, body["state"], (max(applied, interviewed), interviewed, offered, accepted))
