"""Only the expected jars run, and they come only when they may."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from hub.broker import jars
from hub.broker.errors import RungUnavailable
from hub.broker.jars import KAFKA_VERSION, JarSource, find_jars

DELIVERED = {"kafka_2.13.jar": b"the broker", "zstd.jar": b"a codec"}


@pytest.fixture(autouse=True)
def expected(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in DELIVERED.items()}
    monkeypatch.setattr(jars, "_expected_hashes", lambda: hashes)


@pytest.fixture
def source(tmp_path: Path) -> JarSource:
    return JarSource(tmp_path / "cache", kafka_home=None, offline=False, maven_timeout_s=5)


def maven_delivers(tmp_path: Path, contents: Mapping[str, bytes]) -> dict[str, str]:
    """An environment whose `mvn` copies these files where it is told to, and counts its runs."""
    for name, data in contents.items():
        (tmp_path / "repository").mkdir(exist_ok=True)
        (tmp_path / "repository" / name).write_bytes(data)
    return maven(
        tmp_path,
        'for a; do case "$a" in -DoutputDirectory=*) out="${a#*=}";; esac; done\n'
        f'mkdir -p "$out"; cp {tmp_path}/repository/* "$out"',
    )


def maven(tmp_path: Path, script: str) -> dict[str, str]:
    path = tmp_path / "bin" / "mvn"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\necho run >>{tmp_path}/runs\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{path.parent}:/usr/bin:/bin"}


def test_maven_is_asked_once_and_the_cache_serves_ever_after(
    tmp_path: Path, source: JarSource
) -> None:
    """The second start must work on a train."""
    environ = maven_delivers(tmp_path, DELIVERED)
    first = find_jars(source, environ)
    second = find_jars(replace(source, offline=True), {"PATH": ""})
    assert first == second
    assert sorted(jar.name for jar in first.libs.iterdir()) == sorted(DELIVERED)
    assert (tmp_path / "runs").read_text() == "run\n"


def test_another_jar_from_maven_is_refused_by_name_and_not_kept(
    tmp_path: Path, source: JarSource
) -> None:
    """A mirror that delivers something else must not put code into our broker."""
    environ = maven_delivers(tmp_path, {**DELIVERED, "zstd.jar": b"another codec"})
    with pytest.raises(RungUnavailable, match=r"zstd\.jar has SHA-256 \w+, \w+ expected"):
        find_jars(source, environ)
    assert not source.home.exists()


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"kafka_2.13.jar": b"the broker"}, "zstd.jar is missing"),
        ({**DELIVERED, "extra.jar": b""}, "extra.jar does not belong to Kafka"),
    ],
)
def test_a_missing_or_additional_jar_is_refused_by_name(
    tmp_path: Path, source: JarSource, contents: Mapping[str, bytes], message: str
) -> None:
    """Everything on the class path runs, so an extra file is as bad as a changed one."""
    with pytest.raises(RungUnavailable, match=message):
        find_jars(source, maven_delivers(tmp_path, contents))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"a code", r"zstd\.jar has 6 bytes, 7 were delivered"),
        (b"A codec", r"zstd\.jar has SHA-256"),
    ],
)
def test_a_jar_changed_in_the_cache_is_refused_by_name(
    tmp_path: Path, source: JarSource, damage: bytes, message: str
) -> None:
    """A full disk or a curious hand may change the cache after the delivery."""
    environ = maven_delivers(tmp_path, DELIVERED)
    (find_jars(source, environ).libs / "zstd.jar").write_bytes(damage)
    with pytest.raises(RungUnavailable, match=message) as caught:
        find_jars(source, environ)
    assert caught.value.next_step == f"remove {source.home} and start again to fetch it anew"


def test_a_broken_manifest_is_named(tmp_path: Path, source: JarSource) -> None:
    """Without the manifest nobody knows what was delivered."""
    environ = maven_delivers(tmp_path, DELIVERED)
    find_jars(source, environ)
    (source.home / "manifest.json").write_text("{")
    with pytest.raises(RungUnavailable, match=r"manifest\.json is unreadable"):
        find_jars(source, environ)


def test_the_manifest_records_name_size_and_hash(tmp_path: Path, source: JarSource) -> None:
    """An operator can tell what runs without running it."""
    find_jars(source, maven_delivers(tmp_path, DELIVERED))
    manifest = json.loads((source.home / "manifest.json").read_text())
    assert manifest["version"] == KAFKA_VERSION
    assert manifest["files"][1] == {
        "name": "zstd.jar",
        "size": 7,
        "sha256": hashlib.sha256(b"a codec").hexdigest(),
    }


def test_offline_never_runs_maven(tmp_path: Path, source: JarSource) -> None:
    """`--offline` is a promise; a machine without network must not wait for a time-out."""
    environ = maven_delivers(tmp_path, DELIVERED)
    with pytest.raises(RungUnavailable, match="--offline given; start once without --offline"):
        find_jars(replace(source, offline=True), environ)
    assert not (tmp_path / "runs").exists()


def test_a_machine_without_maven_is_told_the_command(source: JarSource) -> None:
    """Java alone is not enough the first time."""
    with pytest.raises(RungUnavailable, match="sudo apt-get install openjdk-17-jre-headless maven"):
        find_jars(source, {"PATH": ""})


def test_a_hanging_maven_is_given_up(tmp_path: Path, source: JarSource) -> None:
    """A repository behind a firewall that drops packets else blocks for minutes."""
    environ = maven(tmp_path, "exec sleep 60")
    with pytest.raises(RungUnavailable, match="did not finish within 0 s") as caught:
        find_jars(replace(source, maven_timeout_s=0.3), environ)
    assert "ALLIANCE_MAVEN_TIMEOUT_S" in caught.value.next_step


def test_mavens_own_reason_is_passed_on(tmp_path: Path, source: JarSource) -> None:
    """Maven prints pages; its first error line is the one that matters."""
    environ = maven(tmp_path, "echo '[INFO] x'; echo '[ERROR] Unknown host repo'; exit 1")
    with pytest.raises(RungUnavailable, match="could not fetch the jars: Unknown host repo"):
        find_jars(source, environ)


def test_kafka_home_is_used_as_it_is(tmp_path: Path, source: JarSource) -> None:
    """Who unpacked a Kafka wants that one."""
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.2.0.jar").touch()
    found = find_jars(replace(source, kafka_home=tmp_path), {"PATH": ""})
    assert (found.libs, found.version, found.archives) == (tmp_path / "libs", "4.2.0", None)


def test_a_kafka_home_without_kafka_is_named(tmp_path: Path, source: JarSource) -> None:
    """A typo in the variable must not lead to a silent download."""
    with pytest.raises(RungUnavailable, match=f"KAFKA_HOME={tmp_path} has no libs"):
        find_jars(replace(source, kafka_home=tmp_path), {"PATH": ""})


def test_pom_list_and_code_speak_of_one_version() -> None:
    """The version stands in three places; moving one alone would refuse every jar."""
    package = files("hub.broker")
    pom = (package / "pom.xml").read_text()
    listed = (package / f"kafka-{KAFKA_VERSION}.sha256").read_text()
    assert f"<kafka.version>{KAFKA_VERSION}</kafka.version>" in pom
    assert re.search(
        rf"^[0-9a-f]{{64}}  kafka_2\.13-{re.escape(KAFKA_VERSION)}\.jar$", listed, re.M
    )


def test_the_pom_names_no_repository() -> None:
    """Universities have mirrors; their Maven settings decide, not we."""
    pom = (files("hub.broker") / "pom.xml").read_text()
    assert "repositor" not in re.sub(r"<!--.*?-->", "", pom, flags=re.S).lower()
