"""One embedded Kafka node: its data, its settings, its process. Loopback only.

Owns everything below `<state>/broker/`. Which jars and which Java it runs on are decided before;
topics are made by `admin`.
"""

import asyncio
import base64
import json
import os
import random
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import move, rmtree
from typing import Final

from hub.broker.admin import Cluster, describe_cluster
from hub.broker.errors import BrokerError, RungUnavailable, Unreachable
from hub.broker.jars import Jars, locked
from hub.broker.java import Java

LOOPBACK: Final = "127.0.0.1"
# Below the range from which the kernel picks client ports: a client that retries a dead broker may
# else connect to itself and take the port (ip_local_port_range is 32768-60999 on Linux).
PORT_RANGE: Final = range(20_000, 32_000)
TERM_TIMEOUT_S: Final = 15.0
FORMAT_TIMEOUT_S: Final = 60.0
PORT_FREE_WITHIN_S: Final = 5.0
POLL_S: Final = 0.1

# Measured in decision 2: half the heap does not start, G1 costs memory, C2 pays off after minutes.
JVM_OPTIONS: Final = ("-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LOG_OPTIONS: Final = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


@dataclass(frozen=True, slots=True)
class Node:
    """What the state file remembers. `pid` is None while the node is stopped.

    `archive` is where the class archive this process writes when it stops is to be kept, if any.
    """

    bootstrap_port: int
    controller_port: int
    cluster_id: str
    version: str
    pid: int | None = None
    archive: str | None = None

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.bootstrap_port}"


def broker_dir(state: Path) -> Path:
    return state.resolve() / "broker"


def log_file(state: Path) -> Path:
    return broker_dir(state) / "kafka.log"


def remembered(state: Path) -> Node | None:
    """The node of this state directory, running or not; None when there never was one."""
    path = broker_dir(state) / "state.json"
    try:
        return Node(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise BrokerError(f"{path} is unreadable ({error}); run `alliance broker reset`") from error


def alive(state: Path, node: Node) -> bool:
    """Whether the recorded pid is still our node: a reused pid has another command line."""
    ours = f"kafka.Kafka {_properties_file(state)}"
    return node.pid is not None and ours in command_line(node.pid)


def start(state: Path, java: Java, jars: Jars, timeout_s: float) -> Node:
    """Start the node of `state`, or take the one that runs, and return when it serves clients.

    The data directory is formatted on first use. A restart keeps the ports. Raises RungUnavailable
    with the end of the log when the node exits or does not answer within `timeout_s` seconds.
    """
    with locked(broker_dir(state) / "lock"):
        node = remembered(state)
        if node is None or not alive(state, node):
            node = _launch(state, _prepare(state, node, java, jars), java, jars)
        _wait_until_ready(state, node, timeout_s)
        return node


def stop(state: Path, timeout_s: float = TERM_TIMEOUT_S) -> bool:
    """Stop our node, by SIGTERM and after `timeout_s` by SIGKILL. False when none was running."""
    with locked(broker_dir(state) / "lock"):
        node = remembered(state)
        if node is None or node.pid is None or not alive(state, node):
            return False
        os.kill(node.pid, signal.SIGTERM)
        if _wait(lambda: not alive(state, node), timeout_s):
            _keep_archive(state, node)
        else:
            os.kill(node.pid, signal.SIGKILL)
            _wait(lambda: not alive(state, node), timeout_s)
        _remember(state, replace(node, pid=None, archive=None))
        return True


def reset(state: Path) -> None:
    """Stop our node and delete its data, settings, log and ports. Nothing is there: nothing happens."""
    with suppress(BrokerError):  # an unreadable state file names no process to stop
        stop(state)
    rmtree(broker_dir(state), ignore_errors=True)


def ask(bootstrap: str, timeout_s: float = 2.0) -> Cluster:
    """Who answers at `bootstrap`? Raises Unreachable. Not for use inside a running event loop."""
    return asyncio.run(describe_cluster(bootstrap, timeout_s))


def command_line(pid: int) -> str:
    """The command line of a process, empty when there is none (or it is a zombie)."""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            return ""
    return _ps(pid, "command")


def resident_mb(pid: int) -> float | None:
    """Resident memory in MB (10^6 bytes), None when the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        kib = _ps(pid, "rss").strip()
    return int(kib) * 1024 / 1e6 if kib else None


def _ps(pid: int, column: str) -> str:
    command = ["ps", "-ww", "-o", f"{column}=", "-p", str(pid)]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    except OSError:
        return ""


def _prepare(state: Path, before: Node | None, java: Java, jars: Jars) -> Node:
    node = _with_free_ports(before, jars)
    _remember(state, node)
    _properties_file(state).write_text(_properties(state, node))
    if not (_data_dir(state) / "meta.properties").exists():
        _format(state, node, java, jars)
    return node


def _with_free_ports(before: Node | None, jars: Jars) -> Node:
    if before is None:
        bootstrap_port, controller_port = _free_ports(2)
        # As StorageTool random-uuid does, without starting a JVM for it.
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        return Node(bootstrap_port, controller_port, cluster_id, jars.version)
    # A killed process loses its command line before the kernel closes its sockets.
    if not _wait(lambda: is_free(before.bootstrap_port), PORT_FREE_WITHIN_S):
        raise RungUnavailable(
            f"port {before.bootstrap_port}, known to this broker's clients, is taken by another program",
            "stop that one, or `alliance broker reset` for a new port and empty topics",
        )
    controller = before.controller_port if is_free(before.controller_port) else _free_ports(1)[0]
    return replace(before, controller_port=controller, version=jars.version, pid=None, archive=None)


def _free_ports(count: int) -> list[int]:
    shuffled = random.sample(PORT_RANGE, len(PORT_RANGE))
    free: list[int] = []
    for port in shuffled:
        if is_free(port):
            free.append(port)
        if len(free) == count:
            return free
    raise RungUnavailable(
        f"no {count} free ports between {PORT_RANGE[0]} and {PORT_RANGE[-1]}", "end some servers"
    )


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _properties(state: Path, node: Node) -> str:
    """server.properties of one node that is broker and controller.

    Short session timeouts let a killed node back in after seconds. Topics must be declared, so a
    forgotten one shows. Sources: Kafka 4.4 broker configuration reference; decision 2.
    """
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{node.controller_port}",
        "listeners": f"PLAINTEXT://{node.bootstrap},CONTROLLER://{LOOPBACK}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{node.bootstrap}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(_data_dir(state)),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _format(state: Path, node: Node, java: Java, jars: Jars) -> None:
    # With `=`, because one id in 64 begins with a dash.
    arguments = (f"--cluster-id={node.cluster_id}", "--config", str(_properties_file(state)))
    command = _java_command(java, jars, (), "kafka.tools.StorageTool", "format", *arguments)
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=FORMAT_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise RungUnavailable(
            f"formatting {_data_dir(state)} took over {FORMAT_TIMEOUT_S:.0f} s", "try again"
        ) from error
    if done.returncode != 0:
        raise RungUnavailable(
            f"formatting {_data_dir(state)} failed: {_tail(done.stderr)}", "`alliance broker reset`"
        )


def _launch(state: Path, node: Node, java: Java, jars: Jars) -> Node:
    """Start Kafka through a shell that exits at once, so that it outlives us and is nobody's zombie."""
    options, archive = _archive_options(state, java, jars)
    command = _java_command(java, jars, options, "kafka.Kafka", str(_properties_file(state)))
    if log_file(state).exists():
        log_file(state).replace(log_file(state).with_suffix(".previous.log"))
    script = 'log=$1; shift; "$@" >"$log" 2>&1 </dev/null & echo $!'
    shell = ["/bin/sh", "-c", script, "sh", str(log_file(state)), *command]
    done = subprocess.run(  # noqa: S603
        shell, stdout=subprocess.PIPE, text=True, check=True, start_new_session=True
    )
    started = replace(node, pid=int(done.stdout), archive=archive)
    _remember(state, started)
    return started


def _archive_options(state: Path, java: Java, jars: Jars) -> tuple[tuple[str, ...], str | None]:
    """Start from the class archive of these jars, or have this run write it where the second value says.

    It takes 1.2 s off every later start (decision 2).
    """
    if jars.archives is None:
        return (), None
    archive = jars.archives / f"java-{java.version}.jsa"
    if archive.exists():
        return (f"-XX:SharedArchiveFile={archive}",), None
    quietly = "-Xlog:cds=error"  # else it logs each class it leaves out
    return (f"-XX:ArchiveClassesAtExit={_fresh_archive(state)}", quietly), str(archive)


def _java_command(
    java: Java, jars: Jars, options: Sequence[str], main: str, *arguments: str
) -> list[str]:
    class_path = ("-cp", f"{jars.libs}/*")
    return [str(java.path), *JVM_OPTIONS, *LOG_OPTIONS, *options, *class_path, main, *arguments]


def _keep_archive(state: Path, node: Node) -> None:
    """Move a complete class archive to the cache; a half one, after a kill, never gets here."""
    fresh = _fresh_archive(state)
    if node.archive is None or not fresh.exists():
        return
    scratch = Path(f"{node.archive}.{node.pid}")
    move(fresh, scratch)  # may cross file systems, so not atomic
    scratch.replace(node.archive)


def _wait_until_ready(state: Path, node: Node, timeout_s: float) -> None:
    log = log_file(state)
    if not _wait(lambda: not alive(state, node) or _serves(node), timeout_s):
        raise RungUnavailable(
            f"process {node.pid} does not answer at {node.bootstrap} after {timeout_s:.0f} s",
            f"see {log}, then `alliance broker stop`",
        )
    if not alive(state, node):
        raise RungUnavailable(
            f"Kafka exited while starting: {_tail(log.read_text())}", f"see {log}"
        )


def _serves(node: Node) -> bool:
    try:
        cluster = ask(node.bootstrap)
    except Unreachable:
        return False
    return cluster.cluster_id == node.cluster_id and cluster.brokers > 0


def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _tail(text: str) -> str:
    """The last line that says something: stack frames and blank lines do not."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("at ", "..."))]
    return telling[-1] if telling else "it logged nothing"


def _remember(state: Path, node: Node) -> None:
    path = broker_dir(state) / "state.json"
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(asdict(node), indent=1) + "\n")
    scratch.replace(path)


def _data_dir(state: Path) -> Path:
    return broker_dir(state) / "data"


def _properties_file(state: Path) -> Path:
    return broker_dir(state) / "server.properties"


def _fresh_archive(state: Path) -> Path:
    return broker_dir(state) / "classes.jsa"
