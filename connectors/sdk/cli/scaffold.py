"""A package of a private kind to begin with: `alliance connector new`. It works as it stands; people replace its system."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from connectors.sdk.contract import ConfigError
from connectors.sdk.discovery import kinds

_NAME = re.compile(r"[a-z][a-z0-9_]{1,30}")
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "src/$package/__init__.py": "init.py",
    "src/$package/kind.py": "kind.py",
    "src/$package/system.py": "system.py",
    "src/$package/conformance.py": "conformance.py",
    "src/$package/template.toml": "template.toml",
    "src/$package/README.md": "kind.md",
    "src/$package/py.typed": None,
    "tests/conftest.py": "conftest.py",
    "tests/test_kind.py": "test_kind.py",
    "tests/test_conformance.py": "test_conformance.py",
}


def package(system: str) -> dict[str, str]:
    """The files of the package of a kind by path. Raises `ConfigError` for a name that cannot be one."""
    if not _NAME.fullmatch(system) or keyword.iskeyword(system):
        raise ConfigError(
            f"{system!r} cannot name a kind; write small letters, digits and _, a letter first"
        )
    found = kinds().get(system)
    if found is not None and found.module.startswith("connectors."):
        raise ConfigError(f"there is a kind {system} already; name the system it connects to")
    values = {
        "kind": system,
        "package": f"connector_{system}",
        "dist": f"connector-{system.replace('_', '-')}",
    }
    shipped = files("connectors.sdk") / "templates" / "new"
    return {
        Template(path).substitute(values): ""
        if name is None
        else Template((shipped / f"{name}.txt").read_text(encoding="utf-8")).substitute(values)
        for path, name in _FILES.items()
    }


def write(folder: Path, system: str) -> list[Path]:
    """Write the package. Raises `ConfigError` when something is in the folder already."""
    contents = package(system)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: is there already and not empty; name another with --out")
    written = []
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
