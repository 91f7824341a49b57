"""Many connectors in one process: they share a producer and a consumer, and nothing else."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from connectors.sdk.clock import Clock
from connectors.sdk.config import Config, KafkaTable
from connectors.sdk.contract import ConfigError
from connectors.sdk.kafka import KafkaBus
from connectors.sdk.private import Vault, open_vault
from connectors.sdk.runtime import Connector
from connectors.sdk.state import State
from schemas import topics


class FolderLock:
    """Held while a connector runs: a second copy on the same folder would send everything twice."""

    def __init__(self, config: Config) -> None:
        path = config.state_path.with_suffix(".lock")
        self._db = sqlite3.connect(path, isolation_level=None, timeout=1)
        try:
            self._db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            self._db.close()
            raise ConfigError(
                f"{config.folder}: another process runs this connector; stop it, or copy the folder under another member.name"
            ) from error

    def release(self) -> None:
        """Let go; the end of the process does it too."""
        self._db.close()


def is_running(config: Config) -> bool:
    """Whether some process runs this folder's connector."""
    if not config.state_path.exists():
        return False
    try:
        FolderLock(config).release()
    except ConfigError:
        return True
    return False


async def host(configs: Sequence[Config], clock: Clock, rng: random.Random) -> None:
    """Run the connectors of these folders until cancelled. Raises `ConfigError` when one runs elsewhere."""
    locks = [FolderLock(config) for config in configs]
    states = [State(config.state_path) for config in configs]
    buses: dict[KafkaTable, KafkaBus] = {}
    connectors = []
    vaults: list[Vault] = []
    for config, state in zip(configs, states, strict=True):
        bus = buses.setdefault(config.kafka, KafkaBus(config.kafka, clock))
        inbox = bus.inbox(topics.inbox(config.member.code), state.inbox_position()[0])
        vault = open_vault(config.private)
        payloads = None
        if vault is not None:
            vaults.append(vault)
            payloads = bus.shared(topics.PRIVATE, vault.store.position())
        checkpoints = None
        if config.trust.witness is not None:
            checkpoints = bus.shared(topics.CHECKPOINTS, state.checkpoints_position())
        connectors.append(
            Connector(
                config, state, bus, inbox, clock, rng, vault=vault, payloads=payloads, checkpoints=checkpoints
            )
        )  # fmt: skip
    try:
        for bus in buses.values():
            bus.start()
        async with asyncio.TaskGroup() as tasks:
            for connector in connectors:
                tasks.create_task(connector.run())
    finally:
        for bus in buses.values():
            with suppress(TimeoutError):
                await bus.close()
        for state in states:
            state.close()
        for vault in vaults:
            vault.store.close()
        for lock in locks:
            lock.release()


def folders(names: Sequence[Path]) -> list[Path]:
    """The folders meant: a folder without connector.toml stands for those inside it that have one."""
    found: list[Path] = []
    for name in names:
        inside = sorted(path.parent for path in name.glob("*/connector.toml"))
        found += [name] if (name / "connector.toml").exists() or not inside else inside
    return found
