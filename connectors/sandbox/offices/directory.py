"""All offices, found by folder: their handlers by phase, event, resource and kind of case, and what they hold.

Owns the order of a term. A module of this package is an office unless its name says that it helps one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TypeVar

from connectors.sandbox import offices
from connectors.sandbox.desk import Case, Desk, Flag, Holdings, Phase, Receive, Rows, Settle
from connectors.sandbox.store import Effect, Layout

V = TypeVar("V")

# Phases in their order. Those that no office has are passed over.
TERM = (
    "profiles",
    "keys",
    "agreements",
    "resources",
    "postings",
    "offerings",
    "requests",
    "capacity",
    "decisions",
    "plans",
    "withdrawals",
    "appointments",
    "start",
    "projects",
    "placements",
    "access",
    "dropouts",
    "teaching",
    "results",
    "regrades",
    "recognition",
    "corrections",
    "secondments",
    "usage",
    "achievements",
    "erasures",
    "disputes",
    "mistakes",
)


class OfficeError(Exception):
    """An office module does not fit the others; the message says what to change in it."""


@dataclass(frozen=True, slots=True)
class Office:
    """What one module offers; see `offices/__init__.py`."""

    name: str
    phases: Mapping[str, Phase]
    receives: Mapping[str, Receive]
    settles: Mapping[str, Settle]
    resources: Mapping[str, str]
    flags: Mapping[str, Flag]
    tables: str
    effects: Sequence[Effect]
    holdings: Callable[[Desk], Holdings]
    cases: Callable[[Desk], Sequence[Case]]
    work: Callable[[Desk], int]


def discovered(package: ModuleType) -> tuple[Office, ...]:
    """The offices of a package, by name. Raises `OfficeError`."""
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(
        _office(importlib.import_module(f"{package.__name__}.{name}"), name)
        for name in names
        if name != "directory" and not name.startswith(("_", "shapes_"))
    )


def _office(module: ModuleType, name: str) -> Office:
    for wanted in ("PHASES", "RECEIVES", "SETTLES"):
        if not hasattr(module, wanted):
            raise OfficeError(
                f"office {name} has no {wanted}; give it one, or call the module _{name} if it is a helper"
            )
    unknown = sorted(set(module.PHASES) - set(TERM))
    if unknown:
        raise OfficeError(
            f"office {name} has the phase {unknown[0]}, which no term comes to; add it to TERM in directory.py"
        )
    return Office(
        name=name,
        phases=module.PHASES,
        receives=module.RECEIVES,
        settles=module.SETTLES,
        resources=getattr(module, "RESOURCES", {}),
        flags=getattr(module, "FLAGS", {}),
        tables=getattr(module, "TABLES", ""),
        effects=getattr(module, "EFFECTS", ()),
        holdings=getattr(module, "holdings", _holds_nothing),
        cases=getattr(module, "CASES", _no_cases),
        work=getattr(module, "work", _no_work),
    )


def _holds_nothing(desk: Desk) -> Holdings:
    return {}


def _no_cases(desk: Desk) -> Sequence[Case]:
    return ()


def _no_work(desk: Desk) -> int:
    return 0


def owned(parts: Iterable[tuple[Office, Mapping[str, V]]]) -> dict[str, V]:
    """Names with one owner each. Raises `OfficeError` for a second one."""
    owners: dict[str, str] = {}
    found: dict[str, V] = {}
    for office, values in parts:
        for name, value in values.items():
            if name in found:
                raise OfficeError(
                    f"{name} belongs to the offices {owners[name]} and {office.name}; rename it in one of them"
                )
            owners[name], found[name] = office.name, value
    return found


def shared(parts: Iterable[Mapping[str, V]]) -> dict[str, tuple[V, ...]]:
    """Names that several offices may act on, in the order of the offices."""
    found: dict[str, tuple[V, ...]] = {}
    for values in parts:
        for name, value in values.items():
            found[name] = (*found.get(name, ()), value)
    return found


def layout(found: Sequence[Office]) -> Layout:
    """What the offices bring to a campus's database."""
    return Layout(
        tables=[office.tables for office in found],
        effects=[effect for office in found for effect in office.effects],
        events=owned((office, office.resources) for office in found),
    )


OFFICES = discovered(offices)
LAYOUT = layout(OFFICES)
RESOURCES: Mapping[str, str] = LAYOUT.events
SETTLES: Mapping[str, Settle] = owned((office, office.settles) for office in OFFICES)
RECEIVES: Mapping[str, tuple[Receive, ...]] = shared(office.receives for office in OFFICES)
FLAGS: Mapping[str, tuple[Flag, ...]] = shared(office.flags for office in OFFICES)
_BEGUN: Mapping[str, tuple[Phase, ...]] = shared(office.phases for office in OFFICES)
PHASES: Mapping[str, tuple[Phase, ...]] = {name: _BEGUN[name] for name in TERM if name in _BEGUN}


def holdings(desk: Desk) -> dict[str, Rows]:
    """The lists of all offices. Raises `OfficeError` when two give one of the same name."""
    return owned((office, office.holdings(desk)) for office in OFFICES)


def cases(desk: Desk) -> list[Case]:
    """Things as the ledger knows them, of all offices."""
    found = [case for office in OFFICES for case in office.cases(desk)]
    return sorted(found, key=lambda case: (case["kind"], case["id"]))


def work(desk: Desk) -> int:
    """Cases where it is this campus's turn."""
    return sum(office.work(desk) for office in OFFICES)
