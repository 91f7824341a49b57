"""The state folder: what is remembered, and whose process may be stopped."""

import json
import os
import socket
from pathlib import Path
from threading import Timer

import pytest
from typer.testing import CliRunner

from hub.broker import kafka
from hub.broker.cli import app
from hub.broker.doctor import Level, examine
from hub.broker.errors import BrokerError, RungUnavailable
from hub.broker.jars import Jars
from hub.broker.java import Java
from hub.broker.resolve import BrokerSettings, use_running


def remember(state: Path, **values: object) -> None:
    node = {
        "bootstrap_port": 1,
        "controller_port": 2,
        "cluster_id": "c",
        "version": "4",
        "pid": None,
        **values,
    }
    kafka.broker_dir(state).mkdir(parents=True)
    (kafka.broker_dir(state) / "state.json").write_text(json.dumps(node))


def settings(state: Path, **environ: str) -> BrokerSettings:
    return BrokerSettings.read({"PATH": "", "XDG_CACHE_HOME": str(state), **environ}, state=state)


def failing_java(folder: Path) -> Java:
    """A `java` that writes down what it was asked and fails."""
    path = folder / "java"
    path.write_text(f'#!/bin/sh\necho "$@" >>{folder}/arguments\nexit 1\n')
    path.chmod(0o755)
    return Java(path, "17", 17)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_reused_pid_is_never_stopped(tmp_path: Path) -> None:
    """After a reboot the recorded pid may be anyone's; here it is this very test."""
    remember(tmp_path, pid=os.getpid())
    assert kafka.stop(tmp_path) is False
    with pytest.raises(RungUnavailable, match="has ended or is another program"):
        use_running(settings(tmp_path))


def test_an_unreadable_state_file_is_named(tmp_path: Path) -> None:
    """Half a state file must not look like "no broker", or a second one would be started."""
    remember(tmp_path, surprise=True)
    with pytest.raises(BrokerError, match=r"state\.json is unreadable .*alliance broker reset"):
        kafka.remembered(tmp_path)


def test_reset_deletes_even_what_it_cannot_read(tmp_path: Path) -> None:
    """It is the advice given for an unreadable state file, so it has to work there."""
    remember(tmp_path, surprise=True)
    kafka.reset(tmp_path)
    assert not kafka.broker_dir(tmp_path).exists()


def test_a_cluster_id_that_begins_with_a_dash_is_no_option(tmp_path: Path) -> None:
    """One random id in 64 does, and the formatter then asked for the missing value."""
    java = failing_java(tmp_path)
    remember(tmp_path, cluster_id="-JAAAAAAAAAAAAAAAAAAAA", bootstrap_port=free_port())
    with pytest.raises(RungUnavailable, match=r"formatting .* failed"):
        kafka.start(tmp_path, java, Jars(tmp_path, "4"), timeout_s=1)
    assert "--cluster-id=-JAAAAAAAAAAAAAAAAAAAA" in (tmp_path / "arguments").read_text()


def test_the_port_of_a_dying_broker_is_waited_for(tmp_path: Path) -> None:
    """After kill -9 a process loses its command line first and its sockets a moment later."""
    with socket.create_server(("127.0.0.1", 0)) as dying:
        remember(tmp_path, bootstrap_port=dying.getsockname()[1])
        Timer(0.3, dying.close).start()
        with pytest.raises(RungUnavailable, match=r"formatting .* failed"):
            kafka.start(tmp_path, failing_java(tmp_path), Jars(tmp_path, "4"), timeout_s=1)


def test_the_port_of_another_program_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moving to another port would leave every configured client at the wrong door."""
    monkeypatch.setattr(kafka, "PORT_FREE_WITHIN_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        remember(tmp_path, bootstrap_port=other.getsockname()[1])
        with pytest.raises(RungUnavailable, match="is taken by another program"):
            kafka.start(tmp_path, failing_java(tmp_path), Jars(tmp_path, "4"), timeout_s=1)


def test_ports_lie_below_those_the_kernel_gives_to_clients() -> None:
    """A client that retries its dead broker from a kernel-given port can connect to itself."""
    assert max(kafka.PORT_RANGE) < 32768


def test_status_of_a_stopped_broker_is_a_sentence_and_a_code(tmp_path: Path) -> None:
    """Scripts look at the code, people at the sentence."""
    result = CliRunner().invoke(app, ["status", "--state", str(tmp_path)])
    assert result.exit_code == 3
    assert result.stdout.startswith(f"not running: none in {tmp_path}")


def test_stop_without_a_broker_is_no_error(tmp_path: Path) -> None:
    """Stopping twice is what careful scripts do."""
    result = CliRunner().invoke(app, ["stop", "--state", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (0, f"no broker of {tmp_path} is running\n")


def test_reset_asks_for_yes(tmp_path: Path) -> None:
    """It deletes every message."""
    remember(tmp_path)
    result = CliRunner().invoke(app, ["reset", "--state", str(tmp_path)])
    assert result.exit_code == 2
    assert kafka.broker_dir(tmp_path).exists()


def test_start_at_an_address_without_broker_is_a_sentence(tmp_path: Path) -> None:
    """A stack trace is no answer to a wrong address."""
    environ = {"ALLIANCE_BOOTSTRAP": "127.0.0.1:1"}
    result = CliRunner().invoke(app, ["start", "--state", str(tmp_path)], env=environ)
    assert result.exit_code == 3
    assert result.stderr.startswith("alliance broker: no Kafka broker answers at 127.0.0.1:1")


def test_the_doctor_finds_nothing_to_run_and_says_what_to_install(tmp_path: Path) -> None:
    """Its last line is the verdict, its next steps are commands."""
    findings = {finding.check: finding for finding in examine(settings(tmp_path, PATH="/nowhere"))}
    assert findings["java"].level is Level.UNUSED
    assert "apt-get install" in findings["java"].next_step


def test_the_doctor_sees_a_port_taken_by_someone_else(tmp_path: Path) -> None:
    """Clients know the port, so the broker cannot quietly move to another."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        remember(tmp_path, bootstrap_port=other.getsockname()[1])
        ports = next(f for f in examine(settings(tmp_path)) if f.check == "ports")
    assert ports.level is Level.PROBLEM
    assert "alliance broker reset" in ports.next_step


def test_the_doctor_reports_an_unreachable_address_with_its_own_code(tmp_path: Path) -> None:
    """Connection trouble has another owner than a wrong installation."""
    environ = {"ALLIANCE_BOOTSTRAP": "127.0.0.1:1", "XDG_CACHE_HOME": str(tmp_path)}
    result = CliRunner().invoke(app, ["doctor", "--json", "--state", str(tmp_path)], env=environ)
    assert result.exit_code == 3
    assert json.loads(result.stdout)[-1]["level"] == "unreachable"
