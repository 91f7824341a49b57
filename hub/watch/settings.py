"""Where alerts are kept and which file rules them, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hub.settings import Settings


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """`ALLIANCE_ALERTS`, a TOML file (none: nobody is told); `ALLIANCE_ALERTS_DATABASE`, SQLAlchemy URL.

    Without it alerts are kept in `ALLIANCE_DATABASE`, in tables of their own; without that, in a SQLite file of the state folder.
    """

    rules_file: Path | None
    database_url: str


def read_watch_settings(settings: Settings, environ: Mapping[str, str]) -> WatchSettings:
    """The settings; nothing is opened or checked here."""
    rules = environ.get("ALLIANCE_ALERTS", "")
    url = environ.get("ALLIANCE_ALERTS_DATABASE", "") or settings.database
    return WatchSettings(
        Path(rules) if rules else None,
        url or f"sqlite:///{(settings.state / 'alerts.db').absolute()}",
    )
