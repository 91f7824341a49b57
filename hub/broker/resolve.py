"""Which broker do we use? One function, one order, one line that says why.

1. the address given (argument or ALLIANCE_BOOTSTRAP): used, never started, never stopped
2. the one this state directory already runs
3. Docker, when an engine answers and the compose file is there
4. Kafka on this machine's Java
"""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from hub.broker import kafka
from hub.broker.errors import NoBroker, RungUnavailable, Unreachable
from hub.broker.jars import JarSource, cache_home, find_jars
from hub.broker.java import find_java
from hub.errors import SettingsError

DOCKER_ANSWERS_S: Final = 3.0  # a client without an engine may hang; an engine answers at once
COMPOSE_UP_S: Final = 300.0  # includes a first pull of the image
COMPOSE_PORT: Final = "9092"  # the client port of service `kafka` in docker-compose.yml
ANSWERS_S: Final = 10.0  # a closed port is known at once; this is for a busy machine


class Rung(StrEnum):
    EXTERNAL = "external"
    RUNNING = "running"
    DOCKER = "docker"
    JAVA = "java"


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How to come by a broker, read once at start-up. Timeouts in seconds."""

    bootstrap: str | None
    forced: Rung | None
    state: Path
    jars: JarSource
    environ: Mapping[str, str]
    compose_file: Path
    ready_timeout_s: float = 60.0

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        state: Path | None = None,
        bootstrap: str | None = None,
        offline: bool = False,
    ) -> "BrokerSettings":
        """From ALLIANCE_BOOTSTRAP, _BROKER, _STATE, _MAVEN_TIMEOUT_S and KAFKA_HOME; arguments win.

        Raises SettingsError naming the setting that makes no sense.
        """
        timeout = environ.get("ALLIANCE_MAVEN_TIMEOUT_S") or "120"
        if not timeout.isdecimal():
            raise SettingsError(f"ALLIANCE_MAVEN_TIMEOUT_S is {timeout!r}, wanted seconds, say 300")
        home = environ.get("KAFKA_HOME")
        return cls(
            bootstrap=bootstrap or environ.get("ALLIANCE_BOOTSTRAP") or None,
            forced=_forced(environ.get("ALLIANCE_BROKER")),
            state=state or Path(environ.get("ALLIANCE_STATE") or ".state"),
            jars=JarSource(
                cache_dir=cache_home(environ),
                kafka_home=Path(home) if home else None,
                offline=offline,
                maven_timeout_s=float(timeout),
            ),
            environ=environ,
            compose_file=Path("docker-compose.yml"),
        )


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answered. `owned`: it belongs to this state directory, we may stop it.

    `rung` JAVA means this call started it, RUNNING that an earlier one did. `note` is one line:
    which rung, and why the earlier ones did not apply.
    """

    bootstrap: str
    rung: Rung
    note: str
    owned: bool
    pid: int | None = None
    version: str | None = None


Way = Callable[[BrokerSettings], Broker]


def resolve_broker(settings: BrokerSettings, ways: Mapping[Rung, Way] | None = None) -> Broker:
    """A broker that answers, by the first way that works.

    Raises Unreachable when the given address does not answer, NoBroker when every way failed.
    Blocks, on a first run for up to two minutes; from async code call it in a thread.
    """
    reasons: dict[Rung, RungUnavailable] = {}
    for rung in order(settings):
        try:
            broker = (ways or WAYS)[rung](settings)
        except RungUnavailable as reason:
            reasons[rung] = reason
        else:
            why = [f"{rung}: {broker.note}", *(f"{r}: {e.found}" for r, e in reasons.items())]
            return replace(broker, note="; ".join(why))
    raise NoBroker([f"{rung}: {reason}" for rung, reason in reasons.items()])


def order(settings: BrokerSettings) -> tuple[Rung, ...]:
    """The rungs to try. Raises SettingsError when `external` is forced and no address given."""
    if settings.bootstrap:
        return (Rung.EXTERNAL,)
    match settings.forced:
        case Rung.EXTERNAL:
            raise SettingsError(
                "ALLIANCE_BROKER=external needs ALLIANCE_BOOTSTRAP=host:port as well"
            )
        case Rung.DOCKER:
            return (Rung.DOCKER,)
        case Rung.JAVA:
            return (Rung.RUNNING, Rung.JAVA)
        case _:
            return (Rung.RUNNING, Rung.DOCKER, Rung.JAVA)


def use_external(settings: BrokerSettings) -> Broker:
    """The broker at the given address. Raises Unreachable: what was asked for is never replaced."""
    bootstrap = settings.bootstrap or ""
    cluster = kafka.ask(bootstrap, ANSWERS_S)
    note = f"cluster {cluster.cluster_id} at the given address"
    return Broker(bootstrap, Rung.EXTERNAL, note, owned=False)


def use_running(settings: BrokerSettings) -> Broker:
    """The node started earlier, if its process and its cluster are the ones recorded."""
    node = kafka.remembered(settings.state)
    if node is None or node.pid is None:
        raise RungUnavailable(f"none in {settings.state}")
    if not kafka.alive(settings.state, node):
        raise RungUnavailable(f"process {node.pid} has ended or is another program")
    try:
        cluster = kafka.ask(node.bootstrap, ANSWERS_S)
    except Unreachable as error:
        raise RungUnavailable(
            f"process {node.pid} runs and does not answer at {node.bootstrap}",
            "wait for it, or `alliance broker stop`",
        ) from error
    if cluster.cluster_id != node.cluster_id:
        raise RungUnavailable(
            f"cluster {cluster.cluster_id} answers at {node.bootstrap}, {node.cluster_id} recorded",
            "`alliance broker reset`",
        )
    note = f"Kafka {node.version}, process {node.pid}"
    return Broker(
        node.bootstrap, Rung.RUNNING, note, owned=True, pid=node.pid, version=node.version
    )


def use_docker(settings: BrokerSettings) -> Broker:
    """Service `kafka` of the compose file. It stays up; `docker compose stop kafka` ends it."""
    require_compose(settings)
    compose = ["docker", "compose", "-f", str(settings.compose_file)]
    _docker([*compose, "up", "-d", "--wait", "kafka"], COMPOSE_UP_S, "service kafka did not start")
    bootstrap = _docker([*compose, "port", "kafka", COMPOSE_PORT], 10.0, "kafka publishes no port")
    try:
        cluster = kafka.ask(bootstrap, ANSWERS_S)
    except Unreachable as error:
        raise RungUnavailable(
            f"service kafka does not answer at {bootstrap}", "see `docker compose logs kafka`"
        ) from error
    note = f"cluster {cluster.cluster_id}, service kafka of {settings.compose_file}"
    return Broker(bootstrap, Rung.DOCKER, note, owned=False)


def require_compose(settings: BrokerSettings) -> None:
    """Raise RungUnavailable unless a Docker engine answers and the compose file is here."""
    _docker(["docker", "info"], DOCKER_ANSWERS_S, "no Docker engine answers")
    if not settings.compose_file.exists():
        raise RungUnavailable(
            f"no {settings.compose_file} in this folder", "run from the repository's root"
        )


def start_java(settings: BrokerSettings) -> Broker:
    """A Kafka node on this machine's Java, with the jars of the cache, KAFKA_HOME or Maven."""
    java = find_java(settings.environ)
    jars = find_jars(settings.jars, settings.environ)
    node = kafka.start(settings.state, java, jars, settings.ready_timeout_s)
    note = f"started Kafka {node.version} on Java {java.version}, process {node.pid}"
    return Broker(node.bootstrap, Rung.JAVA, note, owned=True, pid=node.pid, version=node.version)


def _docker(command: list[str], timeout_s: float, otherwise: str) -> str:
    next_step = "start Docker, or do without it"
    try:
        done = subprocess.run(  # noqa: S603 -- fixed arguments, the operator's own Docker
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError as error:
        raise RungUnavailable(f"{otherwise}: docker is not installed", next_step) from error
    except subprocess.TimeoutExpired as error:
        raise RungUnavailable(f"{otherwise} within {timeout_s:.0f} s", next_step) from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["nothing said"]
        raise RungUnavailable(f"{otherwise}: {said[-1]}", next_step)
    return done.stdout.strip()


def _forced(name: str | None) -> Rung | None:
    if not name:
        return None
    if name not in (Rung.EXTERNAL, Rung.DOCKER, Rung.JAVA):
        raise SettingsError(f"ALLIANCE_BROKER is {name!r}, wanted java, docker or external")
    return Rung(name)


WAYS: Final[Mapping[Rung, Way]] = {
    Rung.EXTERNAL: use_external,
    Rung.RUNNING: use_running,
    Rung.DOCKER: use_docker,
    Rung.JAVA: start_java,
}
