"""What every office of a campus works with: the database, who we are, the clock, and the way to publish."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from connectors.sandbox.rules import draw
from connectors.sandbox.seeds import Site
from connectors.sandbox.store import Change, Store
from schemas.envelope import rfc3339


class Contradiction(Exception):
    """A message does not fit what the campus holds; an earlier one is missing. The message is put aside, not lost."""


@dataclass(frozen=True, slots=True)
class Received:
    """Another member's event as the connector hands it over. `record` has the fields of the event's schema."""

    event: str
    event_id: str
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of an own change. `outcome` is applied, rejected or refused; `reason` the ledger's code."""

    outcome: str
    reason: str | None

    @property
    def applied(self) -> bool:
        return self.outcome == "applied"


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
