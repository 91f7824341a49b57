"""What deliveries said that answers of the campus must name again, in a small file beside the connector.

Sink and source write it and read it. Nothing in it is personal: pseudonyms, ids and hashes. `student.erased` takes
the student's lines out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from connectors.sdk.contract import Delivery
from connectors.sdk.xml.sink import Delivered

HASH: Final = re.compile(r"[0-9a-f]{64}")

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS enrollments (
    enrollment_id TEXT PRIMARY KEY, student_id TEXT, home TEXT, host TEXT, offering_id TEXT, decides_version INTEGER);
CREATE TABLE IF NOT EXISTS proposals (
    enrollment_id TEXT, proposal_id TEXT, plan_id TEXT, home TEXT, host TEXT, plan_hash TEXT, decides_version INTEGER,
    PRIMARY KEY (enrollment_id, proposal_id));
"""


@dataclass(frozen=True, slots=True)
class KnownEnrollment:
    """A request that was brought to this campus."""

    enrollment_id: str
    student_id: str
    home: str
    host: str
    offering_id: str
    decides_version: int

    def fields(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class KnownProposal:
    """A plan that was brought to this campus, by the id its home gave the proposal."""

    enrollment_id: str
    plan_id: str
    home: str
    host: str
    plan_hash: str
    decides_version: int

    def fields(self) -> dict[str, Any]:
        return asdict(self)


class Links(Delivered):
    """The file. Without a sink there is none, and nothing is known."""

    TABLES = _TABLES

    def __init__(self, path: Path, *, write: bool) -> None:
        super().__init__(path, write=write)

    def enrollment(self, enrollment_id: str) -> KnownEnrollment | None:
        """A request by its id."""
        row = self._one(
            "SELECT enrollment_id, student_id, home, host, offering_id, decides_version FROM enrollments "
            "WHERE enrollment_id = ?",
            enrollment_id,
        )
        return KnownEnrollment(*row) if row else None

    def proposal(self, enrollment_id: str, proposal_id: str) -> KnownProposal | None:
        """A plan by the id of its proposal."""
        row = self._one(
            "SELECT enrollment_id, plan_id, home, host, plan_hash, decides_version FROM proposals "
            "WHERE enrollment_id = ? AND proposal_id = ?",
            enrollment_id,
            proposal_id,
        )
        return KnownProposal(*row) if row else None

    def proposal_of(self, enrollment_id: str, plan_hash: str) -> str | None:
        """The id in the network of the proposal whose plan has that hash."""
        row = self._one(
            "SELECT proposal_id FROM proposals WHERE enrollment_id = ? AND plan_hash = ? ORDER BY decides_version DESC",
            enrollment_id,
            plan_hash,
        )
        return str(row[0]) if row else None

    def note_own(self, data: Mapping[str, Any]) -> None:
        """Keep which plan a proposal of ours is, for the other side's answer names the plan."""
        self._propose(
            data["enrollment_id"],
            data["proposal_id"],
            data["plan_id"],
            data["home"],
            data["host"],
            data["plan_hash"],
            0,
        )

    def note(self, delivery: Delivery) -> None:
        """Keep of a delivery what an answer will need. The same delivery again changes nothing."""
        record: Any = delivery.record
        if delivery.kind != "event":
            return
        if delivery.event == "enrollment.requested":
            self._run(
                "INSERT OR REPLACE INTO enrollments VALUES (?, ?, ?, ?, ?, ?)",
                record.enrollment_id, record.student_id, record.home, record.host, record.offering_id,
                record.envelope.aggregate_version,
            )  # fmt: skip
        elif delivery.event == "enrollment.plan-proposed":
            self._propose(
                record.enrollment_id, record.envelope.correlation_id or record.plan_hash, record.plan_id, record.home,
                record.host, record.plan_hash, record.envelope.aggregate_version,
            )  # fmt: skip
        elif delivery.event == "student.erased":
            self._run(
                "DELETE FROM proposals WHERE enrollment_id IN (SELECT enrollment_id FROM enrollments WHERE student_id = ?)",
                record.student_id,
            )
            self._run("DELETE FROM enrollments WHERE student_id = ?", record.student_id)

    def _propose(self, *row: Any) -> None:
        self._run("INSERT OR REPLACE INTO proposals VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
