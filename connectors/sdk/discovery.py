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
from connectors.sdk.contract import SinkKind, SourceKind

ENTRY_POINTS = "alliance.connectors"


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


@cache
def kinds() -> dict[str, Kind]:
    """Every kind of this installation by name; ours win over private ones of the same name."""
    found = {
        entry.name: _kind(entry.name, entry.load()) for entry in entry_points(group=ENTRY_POINTS)
    }
    for module in pkgutil.iter_modules(connectors.__path__):
        name = f"connectors.{module.name}.kind"
        if module.ispkg and find_spec(name) is not None:
            found[module.name] = _kind(module.name, importlib.import_module(name))
    return found
