"""All offices, by phase of the term, by event received and by resource settled."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.sandbox.desk import Phase, Receive, Settle
from connectors.sandbox.offices import admissions, catalog, credit, research

_OFFICES = (catalog, admissions, credit, research)

PHASES: Mapping[str, tuple[Phase, ...]] = {
    name: tuple(office.PHASES[name] for office in _OFFICES if name in office.PHASES)
    for name in (
        "profiles",
        "offerings",
        "requests",
        "capacity",
        "decisions",
        "withdrawals",
        "start",
        "dropouts",
        "results",
        "regrades",
        "recognition",
        "corrections",
        "projects",
        "mistakes",
    )
}
RECEIVES: Mapping[str, Receive] = {
    event: handler for office in _OFFICES for event, handler in office.RECEIVES.items()
}
SETTLES: Mapping[str, Settle] = {
    resource: handler for office in _OFFICES for resource, handler in office.SETTLES.items()
}
