"""The kinds of systems we can connect: found by folder, never listed.

A folder of `connectors/` with a `kind.py` that exports `SOURCE`, `SINK` or both is a kind. A campus with a private
system ships its own package with an entry point in the group `alliance.connectors` naming such a module.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import connectors
from connectors.sdk.contract import ConfigError, SinkKind, SourceKind

ENTRY_POINTS = "alliance.connectors"
_added: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of system and the directions it can go."""

    name: str
    module: str
    source: SourceKind[Any] | None
    sink: SinkKind[Any] | None


def _kind(name: str, module: ModuleType) -> Kind:
    return Kind(
        name, module.__name__, getattr(module, "SOURCE", None), getattr(module, "SINK", None)
    )


def add(name: str, module: str) -> None:
    """Make a kind known that is not installed, as tests of its package do. `module` exports `SOURCE`, `SINK` or both."""
    _added[name] = module
    kinds.cache_clear()


@cache
def kinds() -> dict[str, Kind]:
    """Every kind of this installation by name; ours win over private ones of the same name.

    Raises `ConfigError` for a private one that cannot be loaded.
    """
    found = {}
    private = {entry.name: entry.value for entry in entry_points(group=ENTRY_POINTS)}
    for name, value in (private | _added).items():
        found[name] = _kind(name, _loaded(name, value))
    for module in pkgutil.iter_modules(connectors.__path__):
        name = f"connectors.{module.name}.kind"
        if module.ispkg and find_spec(name) is not None:
            found[module.name] = _kind(module.name, importlib.import_module(name))
    return found


def _loaded(name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever a package raises while it is loaded
        raise ConfigError(
            f"the kind {name} cannot be loaded from {module} ({type(error).__name__}: {error}); "
            "correct its package, or uninstall it"
        ) from error
