"""Settings of the hub's processes: one frozen value, read once at start-up from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hub.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. Each field's comment names its variable."""

    alliance_file: Path = field(default_factory=lambda: Path("alliance.toml"))  # ALLIANCE_FILE
    bootstrap: str = (
        ""  # ALLIANCE_BOOTSTRAP, host:port[,host:port]; empty: the broker we started, or start one
    )
    state: Path = field(default_factory=lambda: Path(".state"))  # ALLIANCE_STATE
    database: str = ""  # ALLIANCE_DATABASE, SQLAlchemy URL; empty: SQLite in the state folder
    http: str = "127.0.0.1:8700"  # ALLIANCE_HTTP, host:port of API and console
    instance: str = "1"  # ALLIANCE_INSTANCE, name of this process within its consumer group
    tick_s: float = 60.0  # ALLIANCE_TICK_S, how often the ledger looks at its clock
    parked_after_s: int = 14 * 86400  # ALLIANCE_PARKED_AFTER_S, then a parked event is rejected

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{(self.state / 'hub.db').absolute()}"

    @property
    def http_address(self) -> tuple[str, int]:
        host, _, port = self.http.rpartition(":")
        return host, int(port)


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment. Raises `SettingsError` naming the variable and what it should look like."""
    env = os.environ if environ is None else environ
    http = env.get("ALLIANCE_HTTP", "127.0.0.1:8700")
    host, _, port = http.rpartition(":")
    if not host or not port.isdecimal():
        raise SettingsError(f"ALLIANCE_HTTP is {http!r}, wanted host:port such as 127.0.0.1:8700")
    return Settings(
        alliance_file=Path(env.get("ALLIANCE_FILE", "alliance.toml")),
        bootstrap=env.get("ALLIANCE_BOOTSTRAP", ""),
        state=Path(env.get("ALLIANCE_STATE", ".state")),
        database=env.get("ALLIANCE_DATABASE", ""),
        http=http,
        instance=env.get("ALLIANCE_INSTANCE", "1"),
        tick_s=_seconds(env, "ALLIANCE_TICK_S", 60.0),
        parked_after_s=int(_seconds(env, "ALLIANCE_PARKED_AFTER_S", 14 * 86400)),
    )


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise SettingsError(
            f"{name} is {text!r}, wanted a number of seconds above 0 such as {default:g}"
        )
    return seconds


def require_bootstrap(settings: Settings) -> str:
    """The broker's address. Raises `SettingsError` when it is not set."""
    if not settings.bootstrap:
        raise SettingsError(
            "ALLIANCE_BOOTSTRAP is not set; set it to your brokers (host:port), "
            "or run `alliance broker start` and use the address it prints"
        )
    return settings.bootstrap
