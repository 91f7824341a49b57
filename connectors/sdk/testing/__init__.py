"""Pieces to test connectors with: a clock that jumps, a hub in memory, a fuse that kills at a chosen moment.

Importable by private kinds too; README.md shows how. `Case` is what a kind brings (its `conformance.py`), `Rig` puts it
to work, and `connectors.sdk.testing.suite` asks the same questions of every kind.
"""

from connectors.sdk.testing.clock import FakeClock
from connectors.sdk.testing.folders import write_alliance, write_folder
from connectors.sdk.testing.fuse import Fuse, Killed
from connectors.sdk.testing.hub import FakeHub
from connectors.sdk.testing.log import FakeLog, other_history
from connectors.sdk.testing.names import START, THEM, US
from connectors.sdk.testing.rig import Case, Rig
from connectors.sdk.testing.samples import (
    OFFERING_MAPPING,
    case_flag,
    offering_row,
    their_request,
)
from schemas.signing import new_signer

__all__ = [
    "OFFERING_MAPPING",
    "START",
    "THEM",
    "US",
    "Case",
    "FakeClock",
    "FakeHub",
    "FakeLog",
    "Fuse",
    "Killed",
    "Rig",
    "case_flag",
    "new_signer",
    "offering_row",
    "other_history",
    "their_request",
    "write_alliance",
    "write_folder",
]
