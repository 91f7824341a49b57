"""Finding Java: which `java` to run and whether it is new enough. Starts nothing else."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Final

from hub.broker.errors import RungUnavailable

JAVA_AT_LEAST: Final = 17  # Kafka 4 brokers need it (KIP-1013).

# Fedora 42 retired 17; Homebrew links no versioned Java into PATH.
INSTALL: Final = (
    "install Java and Maven with `sudo apt-get install openjdk-17-jre-headless maven` (Debian, Ubuntu), "
    "`sudo dnf install java-21-openjdk-headless maven` (Fedora) or `brew install openjdk@17 maven` and "
    "`export JAVA_HOME=$(brew --prefix openjdk@17)` (macOS)"
)


@dataclass(frozen=True, slots=True)
class Java:
    """One usable Java: `major` is 17 for version 17.0.15."""

    path: Path
    version: str
    major: int


def find_java(environ: Mapping[str, str]) -> Java:
    """The Java of JAVA_HOME, else of PATH, if it is 17 or newer.

    Raises RungUnavailable with the install command when there is none or it is too old.
    """
    found: list[str] = []
    for path in _candidates(environ):
        version = _version(path)
        major = int(version.split(".", 1)[0]) if version else 0
        if version and major >= JAVA_AT_LEAST:
            return Java(path=path, version=version, major=major)
        found.append(f"{path} is Java {version}" if version else f"{path} does not run")
    what = ", ".join(found) or "no Java in JAVA_HOME or on PATH"
    raise RungUnavailable(f"{what}, {JAVA_AT_LEAST} or newer needed", INSTALL)


def _candidates(environ: Mapping[str, str]) -> list[Path]:
    home = environ.get("JAVA_HOME")
    on_path = which("java", path=environ.get("PATH"))
    candidates = [Path(home) / "bin" / "java"] if home else []
    return candidates + ([Path(on_path)] if on_path else [])


def _version(java: Path) -> str | None:
    """`17.0.15` from `openjdk version "17.0.15" ...`; None if it is no Java (macOS ships a stub)."""
    try:
        answer = subprocess.run(  # noqa: S603 -- the operator's own Java
            [java, "-version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(\d+[^"]*)"', answer.stderr)
    return match.group(1) if match else None
