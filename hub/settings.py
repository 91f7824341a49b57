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
    merge_s: int = 3600  # ALLIANCE_MERGE_S, promised: so soon an admitted event has its entry
    tlog_folder: str = (
        ""  # ALLIANCE_TLOG, files of the transparency log; empty: in the state folder
    )
    hub_keys_folder: str = (
        ""  # ALLIANCE_HUB_KEYS, log.key and promises.key; empty: in the state folder
    )
    signer_database: str = ""  # ALLIANCE_SIGNER_DATABASE, SQLAlchemy URL of the signer's own record
    policy_file: str = (
        ""  # ALLIANCE_POLICY, a C2SP policy file instead of the alliance's own policy
    )

    snapshots_folder: str = (
        ""  # ALLIANCE_SNAPSHOTS, states to start from; empty: in the state folder
    )
    snapshot_every: int = 100_000  # ALLIANCE_SNAPSHOT_EVERY, entries between two snapshots

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{(self.state / 'hub.db').absolute()}"

    @property
    def tlog(self) -> Path:
        """Folder of checkpoints, tiles and entry bundles."""
        return Path(self.tlog_folder) if self.tlog_folder else self.state / "tlog"

    @property
    def hub_keys(self) -> Path:
        """Folder of the hub's private keys."""
        return Path(self.hub_keys_folder) if self.hub_keys_folder else self.state / "hub-keys"

    @property
    def signer_database_url(self) -> str:
        return self.signer_database or f"sqlite:///{(self.state / 'signer.db').absolute()}"

    @property
    def snapshots(self) -> Path:
        """Folder of snapshots of the ledger's state."""
        return Path(self.snapshots_folder) if self.snapshots_folder else self.state / "snapshots"

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
        merge_s=int(_seconds(env, "ALLIANCE_MERGE_S", 3600)),
        tlog_folder=env.get("ALLIANCE_TLOG", ""),
        hub_keys_folder=env.get("ALLIANCE_HUB_KEYS", ""),
        signer_database=env.get("ALLIANCE_SIGNER_DATABASE", ""),
        policy_file=env.get("ALLIANCE_POLICY", ""),
        snapshots_folder=env.get("ALLIANCE_SNAPSHOTS", ""),
        snapshot_every=int(
            _number(env, "ALLIANCE_SNAPSHOT_EVERY", 100_000, "entries, at least 1", 1)
        ),
    )


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    return _number(env, name, default, "seconds above 0")


def _number(
    env: Mapping[str, str], name: str, default: float, unit: str, least: float = 0
) -> float:
    text = env.get(name, str(default))
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (0 < number < 1e9 and number >= least):
        raise SettingsError(f"{name} is {text!r}, wanted a number of {unit} such as {default:g}")
    return number


def require_bootstrap(settings: Settings) -> str:
    """The broker's address. Raises `SettingsError` when it is not set."""
    if not settings.bootstrap:
        raise SettingsError(
            "ALLIANCE_BOOTSTRAP is not set; set it to your brokers (host:port), "
            "or run `alliance broker start` and use the address it prints"
        )
    return settings.bootstrap
