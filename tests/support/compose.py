"""`docker-compose.yml` as data: its services, and what their commands and paths mean outside a container."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@dataclass(frozen=True)
class Service:
    """One service. `mounts` are (source, target) in the file's order; a source with a slash is a path in the repository."""

    name: str
    raw: Mapping[str, Any]

    @property
    def is_ours(self) -> bool:
        """Whether it runs this project's image."""
        return "build" in self.raw

    @property
    def environment(self) -> dict[str, str]:
        """Variables as the container sees them when the operator sets none."""
        return {name: interpolated(value) for name, value in self.raw["environment"].items()}

    @property
    def command(self) -> list[str]:
        """The command's words; for a shell script, `sh -euc <script>`."""
        return [interpolated(word) for word in self.raw["command"]]

    @property
    def mounts(self) -> list[tuple[str, str]]:
        return [tuple(mount.split(":")[:2]) for mount in self.raw.get("volumes", [])]

    @property
    def writable_targets(self) -> list[str]:
        """Where it may write a volume."""
        return [m.split(":")[1] for m in self.raw.get("volumes", []) if not m.endswith(":ro")]

    @property
    def needs(self) -> dict[str, str]:
        """Services it waits for, with the condition."""
        return {
            name: needed["condition"] for name, needed in self.raw.get("depends_on", {}).items()
        }

    @property
    def health_test(self) -> list[str] | None:
        """Words of the health check after `CMD`; None when there is none."""
        test = self.raw.get("healthcheck", {}).get("test")
        return [str(word) for word in test[1:]] if test else None

    def alliance_lines(self) -> Iterator[list[str]]:
        """The words after `alliance` of each such line in command and health check."""
        for words in (self.command, self.health_test or []):
            lines = shell_lines(words[-1]) if words[:1] == ["sh"] else [words]
            yield from (line[1:] for line in lines if line[:1] == ["alliance"])


def interpolated(value: object) -> str:
    """A value after Compose has put defaults in place; bools and numbers must be quoted in the file."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text; quote it in {FILE.name}")
    return _VARIABLE.sub(lambda found: found[2], value).replace("$$", "$")


def shell_lines(script: str) -> list[list[str]]:
    """Commands of a script that uses nothing but lines and `||`."""
    parts = [part for line in script.splitlines() for part in line.split("||")]
    return [shlex.split(part) for part in parts if part.strip()]


@cache
def compose() -> dict[str, Any]:
    """The file as it stands."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


@cache
def services() -> dict[str, Service]:
    """Services by name."""
    return {name: Service(name, raw) for name, raw in compose()["services"].items()}


def our_services() -> list[Service]:
    return [service for service in services().values() if service.is_ours]


def outside(text: str, service: Service, volumes: Path) -> str:
    """A text with the container's paths replaced: volumes are folders in `volumes`, other mounts stand in the repository."""
    for source, target in sorted(service.mounts, key=lambda mount: -len(mount[1])):
        place = ROOT / source if "/" in source else volumes / source
        text = re.sub(rf"(?<![\w/]){re.escape(target)}(?![\w-])", str(place), text)
    return text


def outside_words(words: Sequence[str], service: Service, volumes: Path) -> list[str]:
    return [outside(word, service, volumes) for word in words]
