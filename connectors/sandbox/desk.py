"""What every office of a campus works with: the database, who we are, the clock, and the way to publish.

Owns the words an office module is written in; `offices/__init__.py` says which names it offers.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final, TypeAlias, TypedDict

from connectors.sandbox.rules import draw
from connectors.sandbox.seeds import Site
from connectors.sandbox.store import Change, Store
from schemas.envelope import rfc3339

SHANGHAI: Final = timezone(
    timedelta(hours=8)
)  # no daylight saving since 1991; the ledger counts days so


class Contradiction(Exception):
    """A message does not fit what the campus holds; an earlier one is missing. The message is put aside, not lost."""


@dataclass(frozen=True, slots=True)
class Received:
    """Another member's event as the connector hands it over. `record` has the fields of the event's schema."""

    event: str
    event_id: str
    record: Mapping[str, Any]
    private: Mapping[str, Any] | None = (
        None  # what only home and host may read, if the connector could
    )


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of an own change. `outcome` is applied, rejected or refused; `reason` the ledger's code."""

    outcome: str
    reason: str | None

    @property
    def applied(self) -> bool:
        return self.outcome == "applied"


@dataclass(frozen=True, slots=True)
class Flagged:
    """A case of ours needs a person, or ran out of time. `record` has the fields of hub.case-flagged.

    Unlike a member's event it may change a state: `expired` is the ledger's own step.
    """

    event_id: str
    record: Mapping[str, Any]

    @property
    def flag(self) -> str:
        return str(self.record["flag"])

    @property
    def case_id(self) -> str:
        return str(self.record["case_id"])

    @property
    def state(self) -> str:
        """State of the case in the ledger now."""
        return str(self.record["state"])


class Case(TypedDict):
    """A thing as the ledger knows it, in one line: `{"kind": "placement", "id": "...", "summary": "ongoing"}`."""

    kind: str
    id: str
    summary: str


Rows: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Desk:
    """One campus at work. `members` are the codes of all members of the alliance, ours too."""

    store: Store
    site: Site
    members: tuple[str, ...]
    seed: int
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    @property
    def code(self) -> str:
        return self.site.code

    @property
    def db(self) -> sqlite3.Connection:
        return self.store.db

    def others(self) -> list[str]:
        return [member for member in self.members if member != self.code]

    def day(self, after: int = 0) -> date:
        """Today at the campus, or so many days after today. Deadlines are counted from it: the ledger has a clock, too."""
        return self.now().astimezone(SHANGHAI).date() + timedelta(days=after)

    def rows(self, sql: str, *values: object) -> Rows:
        """Rows as holdings show them, with the names the query gives to its columns."""
        return [dict(row) for row in self.store.all(sql, *values)]

    def draw(self, *parts: str) -> float:
        return draw(self.seed, *parts)

    def publish(
        self,
        resource: str,
        subject: str,
        data: Mapping[str, Any],
        *,
        step: str,
        to: Iterable[str],
        decides: int | None = None,
        case: str | None = None,
        because: str | None = None,
        corrects: str | None = None,
    ) -> str:
        """Write a change row; the connector fetches it once the transaction is committed. Gives its event id.

        `to` are the members that the alliance will tell (without us); `case` the correlation, `because` the event that
        caused this one.
        """
        event_id = self.new_id()
        at = rfc3339(self.now())
        self.db.execute(
            "INSERT INTO change (resource, event_id, subject, step, occurred_at, recorded_at, version, decides_version, "
            "correlation_id, causation_id, supersedes_id, audience, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                resource,
                event_id,
                subject,
                step,
                at,
                at,
                self.store.next_version(subject),
                decides,
                case,
                because,
                corrects,
                ",".join(sorted(set(to) - {self.code})),
                json.dumps(data, ensure_ascii=False, separators=(",", ":")),
            ),
        )
        return event_id


Phase: TypeAlias = Callable[[Desk], None]
Receive: TypeAlias = Callable[[Desk, Received], None]
Settle: TypeAlias = Callable[[Desk, Change, Settled], None]
Flag: TypeAlias = Callable[[Desk, Flagged], None]
Holdings: TypeAlias = Mapping[str, Rows]
