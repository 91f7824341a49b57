"""The jars of the embedded broker: where they lie, whether they are the right ones, how they come.

Right means: exactly the files of `kafka-<version>.sha256` beside this module, hash by hash. They are
fetched once by the user's own Maven into the user's cache; running them is `kafka`'s business.
"""

import fcntl
import hashlib
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from shutil import which
from typing import Final

from hub.broker.errors import RungUnavailable
from hub.broker.java import INSTALL

KAFKA_VERSION: Final = "4.4.0"  # The same as in pom.xml. Decision 2 says which versions were tried.


@dataclass(frozen=True, slots=True)
class Jars:
    """A directory of jars to put on the class path, and the Kafka version in it.

    `archives` is where class archives made from these very jars are kept, None for "nowhere".
    """

    libs: Path
    version: str
    archives: Path | None = None


@dataclass(frozen=True, slots=True)
class JarSource:
    """Where jars may come from: the cache, a Kafka distribution, or the network by Maven."""

    cache_dir: Path
    kafka_home: Path | None
    offline: bool
    maven_timeout_s: float

    @property
    def home(self) -> Path:
        """The cached jars with their manifest and class archives."""
        return self.cache_dir / f"kafka-{KAFKA_VERSION}"


def cache_home(environ: Mapping[str, str]) -> Path:
    """`$XDG_CACHE_HOME/alliance-hub`, else `~/.cache/alliance-hub` (XDG Base Directory 0.8)."""
    base = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "alliance-hub"


def find_jars(source: JarSource, environ: Mapping[str, str]) -> Jars:
    """The verified jars, fetched by Maven when the cache has none and the network is allowed.

    A Kafka distribution named by KAFKA_HOME is the operator's choice and is not checked.
    Raises RungUnavailable: no jars and no way to get them, or a jar that is not the expected one.
    """
    if source.kafka_home is not None:
        return _distribution(source.kafka_home)
    with locked(source.home.with_name(f"{source.home.name}.lock")):
        if not source.home.exists():
            _fetch(source, environ)
        _verify(source.home)
    return Jars(libs=source.home / "libs", version=KAFKA_VERSION, archives=source.home)


def find_maven(environ: Mapping[str, str]) -> Path:
    """`mvn` on PATH. Raises RungUnavailable with the install command."""
    found = which("mvn", path=environ.get("PATH"))
    if found is None:
        raise RungUnavailable("no `mvn` on PATH to fetch the jars of Kafka", INSTALL)
    return Path(found)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock on `path`; others wait, in this and in other processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _distribution(home: Path) -> Jars:
    server = next(iter(sorted((home / "libs").glob("kafka_2.*.jar"))), None)
    version = re.fullmatch(r"kafka_2\.\d+-(.+)\.jar", server.name) if server else None
    if version is None:
        raise RungUnavailable(
            f"KAFKA_HOME={home} has no libs/kafka_2.*.jar",
            "point it at an unpacked Kafka, or unset it",
        )
    return Jars(libs=(home / "libs").absolute(), version=version.group(1))


def _fetch(source: JarSource, environ: Mapping[str, str]) -> None:
    """Fetch into a scratch directory and rename, so that the cache is never half full."""
    if source.offline:
        raise RungUnavailable(
            f"no Kafka jars in {source.home} and --offline given", "start once without --offline"
        )
    maven = find_maven(environ)
    with tempfile.TemporaryDirectory(dir=source.cache_dir, prefix=".fetch-") as scratch:
        libs = Path(scratch) / "kafka" / "libs"
        _run_maven(maven, libs, source.maven_timeout_s, environ)
        _refuse_other_jars(libs, "look at the repository or mirror your Maven uses")
        _write_manifest(libs)
        libs.parent.rename(source.home)


def _run_maven(maven: Path, libs: Path, timeout_s: float, environ: Mapping[str, str]) -> None:
    with as_file(files("hub.broker") / "pom.xml") as pom:
        command = [
            str(maven), "-B", "-q", "-f", str(pom), "dependency:copy-dependencies",
            "-DincludeScope=runtime", f"-DoutputDirectory={libs}",
        ]  # fmt: skip
        try:
            done = subprocess.run(  # noqa: S603 -- the operator's own Maven
                command, capture_output=True, text=True, timeout=timeout_s, check=False, env=environ
            )
        except subprocess.TimeoutExpired as error:
            raise RungUnavailable(
                f"Maven did not finish within {timeout_s:.0f} s",
                "check the network, or raise ALLIANCE_MAVEN_TIMEOUT_S",
            ) from error
    if done.returncode != 0:
        raise RungUnavailable(
            f"Maven could not fetch the jars: {_first_error(done.stdout)}",
            "make a Maven repository reachable (settings.xml), or set KAFKA_HOME to an unpacked Kafka",
        )


def _first_error(output: str) -> str:
    errors = [line for line in output.splitlines() if line.startswith(("[ERROR]", "[FATAL]"))]
    return (errors or [output.strip() or "it printed nothing"])[0].removeprefix("[ERROR]").strip()


def _write_manifest(libs: Path) -> None:
    entries = [
        {"name": jar.name, "size": jar.stat().st_size, "sha256": digest}
        for jar, digest in _hashes(libs).items()
    ]
    manifest = {"version": KAFKA_VERSION, "files": entries}
    (libs.parent / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def _verify(home: Path) -> None:
    """Compare the cached jars with the manifest of their delivery and with what we expect.

    Reads 45 MB, well below a second. Raises RungUnavailable naming the first wrong jar.
    """
    next_step = f"remove {home} and start again to fetch it anew"
    try:
        manifest = json.loads((home / "manifest.json").read_text())
        sizes = {entry["name"]: entry["size"] for entry in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RungUnavailable(f"{home}/manifest.json is unreadable ({error})", next_step) from error
    for name, size in sizes.items():
        jar = home / "libs" / name
        if jar.exists() and jar.stat().st_size != size:
            raise RungUnavailable(
                f"{name} has {jar.stat().st_size} bytes, {size} were delivered", next_step
            )
    _refuse_other_jars(home / "libs", next_step)


def _refuse_other_jars(libs: Path, next_step: str) -> None:
    """Raise RungUnavailable unless `libs` holds exactly the expected jars."""
    expected = _expected_hashes()
    found = {jar.name: digest for jar, digest in _hashes(libs).items()}
    for name in sorted(found.keys() | expected.keys()):
        if name not in found:
            raise RungUnavailable(f"{name} is missing", next_step)
        if name not in expected:
            raise RungUnavailable(f"{name} does not belong to Kafka {KAFKA_VERSION}", next_step)
        if found[name] != expected[name]:
            raise RungUnavailable(
                f"{name} has SHA-256 {found[name]}, {expected[name]} expected", next_step
            )


def _expected_hashes() -> dict[str, str]:
    """File name to SHA-256 in hex, from the committed list (the format of `sha256sum`)."""
    text = (files("hub.broker") / f"kafka-{KAFKA_VERSION}.sha256").read_text()
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


def _hashes(libs: Path) -> dict[Path, str]:
    return {jar: _sha256(jar) for jar in sorted(libs.iterdir())} if libs.is_dir() else {}


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
