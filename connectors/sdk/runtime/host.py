"""Many connectors in one process: they share a producer and a consumer, and nothing else.

Owns what happens when one of them dies: the others go on, and it is started again after a pause, unless its configuration is at
fault; then it waits for its files to change. A person's `restart` ends either wait.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from connectors.sdk.clock import Clock
from connectors.sdk.config import FILE, Config, KafkaTable, load_config
from connectors.sdk.contract import ConfigError
from connectors.sdk.private.vault import Vault, open_vault
from connectors.sdk.runtime.connector import Connector, leaves
from connectors.sdk.runtime.kafka import KafkaBus
from connectors.sdk.state.commands import Command
from connectors.sdk.state.file import State
from schemas import envelope, topics
from schemas.records import Heartbeat

_LONGEST_WAIT_MIN = 60
_WELL_S = 3_600.0  # who ran so long has recovered: its next death is the first one again
_LOOK_S = 2.0  # how often a connector that waits looks for a command or a changed file
_OURS = (".db", ".db-wal", ".db-shm", ".db-journal", ".lock")  # changed by running

log = structlog.get_logger("connector")


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


def wait_minutes(deaths: int) -> int:
    """Minutes before a connector that died so often is started again: 2, 6, 12, 20 ... at most an hour.

    Source: Strimzi's restart of failed connectors, n*n + n minutes (https://github.com/strimzi/strimzi-kafka-operator/pull/9041).
    """
    return min(deaths * deaths + deaths, _LONGEST_WAIT_MIN)


class Hosted:
    """One folder of the process, over all lives of its connector."""

    def __init__(self, config: Config, clock: Clock, rng: random.Random) -> None:
        self.config = config
        self.connector: Connector | None = None
        self._last: Heartbeat | None = None
        self._clock = clock
        self._rng = rng
        self._state: State | None = None
        self._vault: Vault | None = None
        self._lanes: list[Any] = []
        self._log = log.bind(member=config.member.code, connector=config.member.name)

    # What the process's pages ask ----------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return f"{self.config.member.code}.{self.config.member.name}"

    @property
    def heartbeat_s(self) -> float:
        return self.config.runtime.heartbeat_s

    @property
    def newest(self) -> Heartbeat | None:
        return self._last if self.connector is None else self.connector.newest or self._last

    def ask(self, command: Command) -> None:
        """Have a command executed; one that is dead executes it when it is started again."""
        if self.connector is not None and self._state is not None:
            self.connector.control.ask(command)
            return
        with closing(State(self.config.state_path)) as state:
            state.commands.write(command)

    # Its lives ------------------------------------------------------------------------------------------------------

    def open(self, bus: KafkaBus) -> None:
        """Open files and lanes; before the bus starts."""
        config = self.config
        state = self._state = State(config.state_path)
        inbox = bus.inbox(topics.inbox(config.member.code), state.inbox_position()[0])
        self._lanes = [inbox]
        vault = self._vault = open_vault(config.private)
        payloads = checkpoints = commands = None
        if vault is not None:
            payloads = bus.shared(topics.PRIVATE, vault.store.position())
            self._lanes.append(payloads)
        if config.trust.witness is not None:
            checkpoints = bus.shared(topics.CHECKPOINTS, state.checkpoints_position())
            self._lanes.append(checkpoints)
        if config.runtime.remote:
            commands = bus.shared(topics.COMMANDS, state.commands.position(), may_skip=True)
            self._lanes.append(commands)
        self.connector = Connector(
            config, state, bus, inbox, self._clock, self._rng,
            vault=vault, payloads=payloads, checkpoints=checkpoints, commands=commands,
        )  # fmt: skip

    def close(self) -> None:
        """Close files, and leave the lanes to nobody."""
        self._last = self.newest
        self.connector = None
        for lane in self._lanes:
            lane.leave()
        self._lanes = []
        if self._state is not None:
            self._state.close()
        if self._vault is not None:
            self._vault.store.close()
        self._state = self._vault = None

    async def live(self, bus_of: Callable[[KafkaTable, Clock], KafkaBus]) -> None:
        """Run the connector, and again whenever it dies, until cancelled. It has been opened for its first life.

        Each later life has its own connections, so that the others' are not touched.
        """
        deaths = 0
        bus: KafkaBus | None = None
        while True:
            began = self._clock.monotonic()
            try:
                if self.connector is None:
                    self.config = load_config(self.config.folder)
                    bus = bus_of(self.config.kafka, self._clock)
                    self.open(bus)
                    bus.start()
                if self.connector is not None:
                    await self.connector.run()
            except Exception as error:  # noqa: BLE001, the outermost loop: one connector's death must not end the others
                deaths = 1 if self._clock.monotonic() - began > _WELL_S else deaths + 1
                fault = cause(error)
            else:
                deaths, fault = deaths + 1, RuntimeError("ended without being asked to")
            finally:
                self.close()
                if bus is not None:
                    with suppress(TimeoutError):
                        await bus.close()
                    bus = None
            await self._rest(fault, deaths)

    async def _rest(self, fault: Exception, deaths: int) -> None:
        """Wait as long as this death wants, or until a person asks for a restart."""
        wait_s = 60.0 * wait_minutes(deaths)
        ours_to_mend = isinstance(fault, ConfigError)
        again = self._clock.now() + timedelta(seconds=wait_s)
        when = "once its files change" if ours_to_mend else f"at {envelope.rfc3339(again)}"
        self._say(
            f"ended: {fault}; starts again {when}, or now: alliance connector restart {self.config.folder}"
        )
        self._log.error(
            "connector_died", reason=str(fault), deaths=deaths, again=when,
            exc_info=None if ours_to_mend else fault,
        )  # fmt: skip
        files = fingerprint(self.config)
        until = self._clock.monotonic() + wait_s
        while not self._asked():
            if ours_to_mend and fingerprint(self.config) != files:
                return
            if not ours_to_mend and self._clock.monotonic() >= until:
                return
            await self._clock.sleep(_LOOK_S)

    def _say(self, reason: str) -> None:
        """For `alliance connector status`; a file that cannot be written has its reason in the log."""
        with suppress(sqlite3.Error), closing(State(self.config.state_path)) as state:
            state.say_health("failed", reason, envelope.to_millis(self._clock.now()))

    def _asked(self) -> bool:
        """Whether somebody asked for a restart meanwhile; that is then done."""
        with suppress(sqlite3.Error), closing(State(self.config.state_path)) as state:
            asked = [one for one in state.commands.open() if one.verb == "restart"]
            for one in asked:
                now = envelope.to_millis(self._clock.now())
                state.commands.finish(one.id, "done", {"brief": "started again"}, now)
            return bool(asked)
        return False


def cause(error: Exception) -> Exception:
    """What a connector died of: the fault of its configuration if there is one, else the first error."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    found = [one for one in leaves(error) if isinstance(one, Exception)]
    return next((one for one in found if isinstance(one, ConfigError)), found[0])


def fingerprint(config: Config) -> frozenset[tuple[str, int]]:
    """The files that people edit, with the times they were changed (nanoseconds)."""
    files = [
        *config.folder.rglob("*"),
        config.folder / config.member.alliance,
        config.folder / FILE,
    ]
    found = set()
    for file in files:
        if file.name.endswith(_OURS):
            continue
        with suppress(OSError):
            if file.is_file():
                found.add((str(file), file.stat().st_mtime_ns))
    return frozenset(found)


async def host(
    configs: Sequence[Config],
    clock: Clock,
    rng: random.Random,
    bus_of: Callable[[KafkaTable, Clock], KafkaBus] = KafkaBus,
) -> None:
    """Run the connectors of these folders until cancelled. Raises `ConfigError` when one runs elsewhere."""
    locks = [FolderLock(config) for config in configs]
    hosted = [Hosted(config, clock, rng) for config in configs]
    buses: dict[KafkaTable, KafkaBus] = {}
    try:
        for one in hosted:
            kafka = one.config.kafka
            if kafka not in buses:
                buses[kafka] = bus_of(kafka, clock)
            one.open(buses[kafka])
        for bus in buses.values():
            bus.start()
        async with asyncio.TaskGroup() as tasks:
            for one in hosted:
                tasks.create_task(one.live(bus_of))
            for address in {config.runtime.http for config in configs} - {None}:
                tasks.create_task(_serve(hosted, clock, address))
    finally:
        for bus in buses.values():
            with suppress(TimeoutError):
                await bus.close()
        for one in hosted:
            one.close()
        for lock in locks:
            lock.release()


async def _serve(hosted: Sequence[Hosted], clock: Clock, address: Any) -> None:
    """The process's pages. Without them the connectors run as well, so a port that is taken is tried again."""
    from connectors.sdk.runtime.connect_server import (  # not every campus has its server
        Pages,
        serve_pages,
    )

    pages = Pages(hosted, clock, lambda: str(uuid.uuid4()))
    while True:
        try:
            await serve_pages(pages, address)
        except ConfigError as error:
            log.error("pages_not_served", reason=str(error))
            await clock.sleep(60)


def folders(names: Sequence[Path]) -> list[Path]:
    """The folders meant: a folder without connector.toml stands for those inside it that have one."""
    found: list[Path] = []
    for name in names:
        inside = sorted(path.parent for path in name.glob("*/connector.toml"))
        found += [name] if (name / "connector.toml").exists() or not inside else inside
    return found
