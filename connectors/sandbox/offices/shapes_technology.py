"""Bodies of change rows of the office `technology`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from connectors.sandbox.offices.shapes_common import localized, number
from connectors.sandbox.shapes import Body

# Owners with their shares in thousandths of a percent, who speaks for all first.
Owners: TypeAlias = Sequence[tuple[str, int]]


def achievement(
    achievement_id: str,
    result: Mapping[str, Any],
    numbers: Sequence[str],
    shares: Owners,
    project_id: str | None,
    visibility: str,
) -> Body:
    """A result as it is disclosed. `result`: a row of `data/achievements.toml`."""
    return {
        "achievementId": achievement_id,
        "name": localized(result["zh"], result["en"]),
        "kind": result["kind"],
        "registryNumbers": list(numbers),
        "owners": owners(shares),
        "projectId": project_id,
        "readinessLevel": 3,
        "visibility": visibility,
        "contract": None,
        "distribution": [],
        "state": "disclosed",
    }


def owners(shares: Owners) -> list[Body]:
    return [{"organization": member, "percent": number(milli)} for member, milli in shares]


def distribution(shares: Owners) -> list[Body]:
    """Income by member, in thousandths of a yuan."""
    return [{"organization": member, "yuan": number(milli)} for member, milli in shares]
