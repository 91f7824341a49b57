"""Which broker is taken, in which order, and what is said when there is none."""

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from hub.broker import kafka, resolve
from hub.broker.errors import NoBroker, RungUnavailable, Unreachable
from hub.broker.java import find_java
from hub.broker.resolve import Broker, BrokerSettings, Rung, Way, resolve_broker
from hub.errors import SettingsError


def settings(tmp_path: Path, **environ: str) -> BrokerSettings:
    return BrokerSettings.read({"PATH": "", **environ}, state=tmp_path)


def works(rung: Rung) -> Way:
    return lambda _settings: Broker("127.0.0.1:9", rung, "works", owned=False)


def unavailable(rung: Rung) -> Way:
    def way(_settings: BrokerSettings) -> NoReturn:
        raise RungUnavailable(f"no {rung} here", f"get {rung}")

    return way


def ways(*working: Rung) -> Mapping[Rung, Way]:
    return {rung: works(rung) if rung in working else unavailable(rung) for rung in Rung}


@pytest.mark.parametrize(
    ("working", "taken"),
    [
        ((Rung.RUNNING, Rung.DOCKER, Rung.JAVA), Rung.RUNNING),
        ((Rung.DOCKER, Rung.JAVA), Rung.DOCKER),
        ((Rung.JAVA,), Rung.JAVA),
    ],
)
def test_the_first_way_that_works_is_taken(
    tmp_path: Path, working: tuple[Rung, ...], taken: Rung
) -> None:
    """A broker of ours before Docker, Docker before a Java process."""
    assert resolve_broker(settings(tmp_path), ways(*working)).rung is taken


def test_the_note_says_why_earlier_ways_did_not_apply(tmp_path: Path) -> None:
    """One line answers both questions people ask: what runs, and why not the other thing."""
    note = resolve_broker(settings(tmp_path), ways(Rung.JAVA)).note
    assert note == "java: works; running: no running here; docker: no docker here"


def test_a_given_address_is_used_and_nothing_is_started(tmp_path: Path) -> None:
    """Production has its own cluster; a Kafka beside it would swallow events."""
    given = settings(tmp_path, ALLIANCE_BOOTSTRAP="kafka.example:9092", ALLIANCE_BROKER="java")
    assert resolve_broker(given, ways(*Rung)).rung is Rung.EXTERNAL


def test_a_given_address_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    """Falling back to another broker would hide that the configured one is down."""
    given = settings(tmp_path, ALLIANCE_BOOTSTRAP="127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        resolve_broker(given)


@pytest.mark.parametrize(
    ("forced", "tried"),
    [("java", (Rung.RUNNING, Rung.JAVA)), ("docker", (Rung.DOCKER,))],
)
def test_a_forced_way_has_no_fallback(tmp_path: Path, forced: str, tried: tuple[Rung, ...]) -> None:
    """`java` may find its own process again; `docker` must not end up on it."""
    assert resolve.order(settings(tmp_path, ALLIANCE_BROKER=forced)) == tried


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALLIANCE_BROKER", "podman"), ("ALLIANCE_MAVEN_TIMEOUT_S", "2 minutes")],
)
def test_a_senseless_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    """The message must name the variable and the value, not the line of code that read it."""
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        settings(tmp_path, **{name: value})


def test_external_without_an_address_is_refused(tmp_path: Path) -> None:
    """Forcing `external` and giving no address is a contradiction, not a reason to guess."""
    with pytest.raises(SettingsError, match="ALLIANCE_BOOTSTRAP"):
        resolve_broker(settings(tmp_path, ALLIANCE_BROKER="external"))


def test_without_any_way_the_error_lists_each_with_its_next_step(tmp_path: Path) -> None:
    """Whoever reads it must be able to choose which one to mend."""
    with pytest.raises(NoBroker) as caught:
        resolve_broker(settings(tmp_path), ways())
    assert caught.value.tried == (
        "running: no running here; get running",
        "docker: no docker here; get docker",
        "java: no java here; get java",
    )
    assert "ALLIANCE_BOOTSTRAP=host:port" in str(caught.value)


def test_a_machine_without_java_is_told_the_commands(tmp_path: Path) -> None:
    """One sentence with the exact command for each system, so that nobody has to search."""
    empty = settings(tmp_path)
    without_docker = {**resolve.WAYS, Rung.DOCKER: unavailable(Rung.DOCKER)}
    with pytest.raises(NoBroker) as caught:
        resolve_broker(empty, without_docker)
    for command in (
        "sudo apt-get install openjdk-17-jre-headless maven",
        "sudo dnf install java-21-openjdk-headless maven",
        "brew install openjdk@17 maven",
    ):
        assert command in str(caught.value)


def test_an_old_java_is_named_with_its_version(tmp_path: Path) -> None:
    """`Java not found` on a machine with Java 11 would send people the wrong way."""
    java = program(tmp_path / "home" / "bin" / "java", "echo 'openjdk version \"11.0.2\"' >&2")
    with pytest.raises(RungUnavailable, match=f"{java} is Java 11.0.2, 17 or newer needed"):
        find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": ""})


def test_a_new_java_on_path_serves_when_java_home_is_broken(tmp_path: Path) -> None:
    """A JAVA_HOME left over from an uninstalled Java is common."""
    java = program(tmp_path / "java", "echo 'openjdk version \"21\" 2023-09-19' >&2")
    found = find_java({"JAVA_HOME": "/nowhere", "PATH": str(tmp_path)})
    assert (found.path, found.version, found.major) == (java, "21", 21)


def test_docker_without_the_compose_file_falls_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package has no compose file; that is a reason to go on, not to stop."""
    program(tmp_path / "docker", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RungUnavailable, match=r"no docker-compose\.yml"):
        resolve.use_docker(settings(tmp_path))


def test_docker_without_an_engine_says_what_docker_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client alone is present on many machines."""
    program(tmp_path / "docker", "echo Cannot connect >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RungUnavailable, match="no Docker engine answers: Cannot connect"):
        resolve.use_docker(settings(tmp_path))


def test_the_state_folder_of_one_machine_is_not_anothers(tmp_path: Path) -> None:
    """Two state folders are two brokers, so nothing may be shared between their paths."""
    assert kafka.broker_dir(tmp_path / "a") != kafka.broker_dir(tmp_path / "b")


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
