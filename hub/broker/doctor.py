"""What a person would look at when there is no broker: each rung, then the machine.

Starts and changes nothing, and uses no network except to knock at the broker's address.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from hub.broker import jars, kafka, resolve
from hub.broker.errors import BrokerError, RungUnavailable
from hub.broker.java import find_java
from hub.broker.resolve import BrokerSettings, Rung

DISK_AT_LEAST_MB: Final = 1000  # jars 45, class archive 48, the rest is for messages


class Level(StrEnum):
    OK = "ok"
    UNUSED = "unused"  # not there, and needed only if the other ways fail
    PROBLEM = "problem"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `next_step` is empty where there is nothing to do."""

    check: str
    level: Level
    found: str
    next_step: str = ""


def examine(settings: BrokerSettings) -> list[Finding]:
    """All findings, the verdict last. Takes seconds, longer when an address or Docker hangs."""
    rungs = {
        "external": _external(settings),
        "running": _look("running", lambda: _running(settings)),
        "docker": _look("docker", lambda: _docker(settings)),
        "java": _look("java", lambda: _java(settings)),
        "maven": _look("maven", lambda: _maven(settings)),
        "jars": _jars(settings),
    }
    machine = [_ports(settings), _disk(settings.state), _disk(settings.jars.cache_dir)]
    return [*rungs.values(), *machine, _verdict(settings, rungs)]


def _look(check: str, at: Callable[[], str]) -> Finding:
    try:
        return Finding(check, Level.OK, at())
    except RungUnavailable as reason:
        return Finding(check, Level.UNUSED, reason.found, reason.next_step)
    except BrokerError as error:
        return Finding(check, Level.PROBLEM, str(error), "`alliance broker reset`")


def _external(settings: BrokerSettings) -> Finding:
    if not settings.bootstrap:
        return Finding(
            "external",
            Level.UNUSED,
            "ALLIANCE_BOOTSTRAP is not set",
            "set it to use your own Kafka",
        )
    try:
        return Finding("external", Level.OK, resolve.use_external(settings).note)
    except BrokerError as error:
        return Finding(
            "external",
            Level.UNREACHABLE,
            str(error),
            "mend the address or unset ALLIANCE_BOOTSTRAP",
        )


def _running(settings: BrokerSettings) -> str:
    broker = resolve.use_running(settings)
    memory_mb = kafka.resident_mb(broker.pid) if broker.pid else None
    return f"{broker.bootstrap}: {broker.note}, {memory_mb or 0:.0f} MB resident"


def _docker(settings: BrokerSettings) -> str:
    resolve.require_compose(settings)
    return f"an engine answers, {settings.compose_file} is here"


def _java(settings: BrokerSettings) -> str:
    java = find_java(settings.environ)
    return f"Java {java.version} at {java.path}"


def _maven(settings: BrokerSettings) -> str:
    maven = jars.find_maven(settings.environ)
    try:
        told = subprocess.run(  # noqa: S603 -- the operator's own Maven
            [maven, "-B", "--version"], capture_output=True, text=True, check=False, timeout=20
        )
    except subprocess.TimeoutExpired as error:
        raise RungUnavailable(f"{maven} does not tell its version within 20 s") from error
    version = re.search(r"Apache Maven (\S+)", told.stdout)
    return f"Maven {version.group(1) if version else 'of unknown version'} at {maven}"


def _jars(settings: BrokerSettings) -> Finding:
    source = settings.jars
    if source.kafka_home is None and not source.home.exists():
        return Finding(
            "jars",
            Level.UNUSED,
            f"none in {source.home} yet",
            "`alliance broker start` fetches 45 MB",
        )
    try:
        found = jars.find_jars(source, settings.environ)
    except RungUnavailable as reason:
        return Finding("jars", Level.PROBLEM, reason.found, reason.next_step)
    checked = "not checked" if source.kafka_home else "manifest and hashes agree"
    return Finding("jars", Level.OK, f"Kafka {found.version} in {found.libs}, {checked}")


def _ports(settings: BrokerSettings) -> Finding:
    try:
        node = kafka.remembered(settings.state)
    except BrokerError as error:
        return Finding("ports", Level.PROBLEM, str(error), "`alliance broker reset`")
    if node is None:
        ends = f"{kafka.PORT_RANGE[0]} and {kafka.PORT_RANGE[-1]}"
        return Finding("ports", Level.OK, f"two free ones between {ends} will be chosen")
    found = f"clients {node.bootstrap_port}, controller {node.controller_port}, on 127.0.0.1"
    if kafka.alive(settings.state, node) or kafka.is_free(node.bootstrap_port):
        return Finding("ports", Level.OK, found)
    return Finding(
        "ports",
        Level.PROBLEM,
        f"{found}; another program listens at {node.bootstrap_port}",
        "stop that program, or `alliance broker reset` for a new port and empty topics",
    )


def _disk(folder: Path) -> Finding:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free_mb = shutil.disk_usage(there).free / 1e6
    found = f"{free_mb:.0f} MB free for {folder}"
    if free_mb >= DISK_AT_LEAST_MB:
        return Finding("disk", Level.OK, found)
    return Finding("disk", Level.PROBLEM, f"{found}, {DISK_AT_LEAST_MB} wanted", "make room")


def _verdict(settings: BrokerSettings, rungs: Mapping[str, Finding]) -> Finding:
    """Which rung `start` would take now."""
    ready = {name for name, finding in rungs.items() if finding.level is Level.OK}
    fetchable = (
        rungs["jars"].level is Level.UNUSED and "maven" in ready and not settings.jars.offline
    )
    if "jars" not in ready and not fetchable:
        ready.discard("java")
    for rung in resolve.order(settings):
        if rung in ready:
            return Finding("verdict", Level.OK, f"`alliance broker start` takes: {rung}")
        if rung is Rung.EXTERNAL:
            return Finding("verdict", Level.UNREACHABLE, "the given address does not answer")
    return Finding("verdict", Level.PROBLEM, "no way to a broker", "take one of the steps above")
