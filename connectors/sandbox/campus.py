"""One campus: what happens when a message comes in, a phase begins or someone looks.

Owns order and transactions; the offices own the answers. Others' events and the outcomes of own ones arrive in the
ledger's order, and states change on those alone: so a campus holds what the ledger holds as soon as all is delivered.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.sandbox import report
from connectors.sandbox.desk import Contradiction, Desk, Flagged, Received, Settled
from connectors.sandbox.offices import catalog
from connectors.sandbox.offices.directory import FLAGS, LAYOUT, PHASES, RECEIVES, SETTLES
from connectors.sandbox.seeds import Site
from connectors.sandbox.store import Store

_FINAL = frozenset({"applied", "rejected", "refused"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one delivered item: applied, duplicate or rejected (put aside, with the reason)."""

    event_id: str
    status: str
    message: str = ""


class UnknownPhase(Exception):
    """No phase of the term has that name."""


def system_now() -> datetime:
    return datetime.now(UTC)


def random_id() -> str:
    return str(uuid.uuid4())


class Campus:
    """A campus over its database. Opening it again after a crash goes on where the last commit was."""

    def __init__(
        self,
        path: Path,
        now: Callable[[], datetime] = system_now,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        """Open a database made by `folders.seed_campus`. Raises `FileNotFoundError` when there is none."""
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there; run: alliance sandbox init")
        self.store = Store(path, LAYOUT)
        setting = self.store.setting
        site = Site(
            setting("code"),
            setting("name_zh"),
            setting("name_en"),
            setting("domain"),
            setting("region"),
            setting("city"),
            tuple(setting("fields").split(",")),
            int(setting("hours_per_credit")),
            setting("notation"),
        )
        members = tuple(setting("members").split(","))
        self.desk = Desk(self.store, site, members, int(setting("seed")), now, new_id)
        self._status: tuple[int, dict[str, Any]] | None = None

    @property
    def code(self) -> str:
        return self.desk.code

    def close(self) -> None:
        self.store.close()

    def inbox(self, items: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Take a batch, one answer each in order. One transaction; an item that does not fit leaves no trace."""
        with self.store.transaction():
            return [self._take(item) for item in items]

    def _take(self, item: Mapping[str, Any]) -> Answer:
        event_id = str(item.get("eventId"))
        try:
            with self.store.savepoint():
                new = self._remember(item)
                if new:
                    self._apply(item)
            return Answer(event_id, "applied" if new else "duplicate")
        except Contradiction as error:
            return Answer(event_id, "rejected", str(error))
        except sqlite3.IntegrityError as error:
            return Answer(
                event_id, "rejected", f"{item.get('event')} is of a thing known already: {error}"
            )
        except (KeyError, TypeError, ValueError) as error:
            return Answer(
                event_id,
                "rejected",
                f"{item.get('event')} cannot be read ({type(error).__name__}: {error}); check the connector's mapping",
            )

    def _remember(self, item: Mapping[str, Any]) -> bool:
        """Note the item; False when it was noted before."""
        added = self.store.db.execute(
            "INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, ?, ?)",
            (
                item["kind"],
                item["eventId"],
                item.get("outcome", ""),
                item["event"],
                item["ledgerSeq"],
            ),
        )
        return added.rowcount == 1

    def _apply(self, item: Mapping[str, Any]) -> None:
        """An event type or a kind of case that no office has a use for is taken and let be."""
        kind = item["kind"]
        if kind == "outcome":
            self._settle(item)
        elif kind == "event":
            for receive in RECEIVES.get(item["event"], ()):
                told = Received(item["event"], item["eventId"], item["record"], item.get("private"))
                receive(self.desk, told)
        elif kind == "flag":
            for flag in FLAGS.get(item["record"]["case_kind"], ()):
                flag(self.desk, Flagged(item["eventId"], item["record"]))
        else:
            raise Contradiction(
                f"item is of kind {kind!r}, known here are event, outcome and flag; upgrade this campus"
            )

    def _settle(self, item: Mapping[str, Any]) -> None:
        """Mark an own change with its outcome and act on it. `duplicate` and `conflict` say nothing new about it."""
        change = self.store.own_change(item["eventId"])
        if change is None:
            raise Contradiction(
                f"no change here has event id {item['eventId']}; this outcome is another system's"
            )
        outcome = item["outcome"]
        if change.outcome in _FINAL or outcome == "duplicate":
            return
        self.store.db.execute(
            "UPDATE change SET outcome = ?, ledger_seq = ?, reason = ?, message = ? WHERE event_id = ?",
            (
                outcome,
                item["ledgerSeq"],
                item.get("reason"),
                item.get("userMessageZh"),
                change.event_id,
            ),
        )
        if outcome in _FINAL:
            SETTLES[change.resource](self.desk, change, Settled(outcome, item.get("reason")))

    def phase(self, name: str) -> int:
        """Begin a phase of the term; the number of changes it made. Beginning it again makes none.

        Raises `UnknownPhase`.
        """
        if name not in PHASES:
            raise UnknownPhase(f"phase {name!r} is unknown; the term has {', '.join(PHASES)}")
        with self.store.transaction():
            if self.store.one("SELECT 1 FROM phase WHERE name = ?", name):
                return 0
            before = self._changes()
            for begin in PHASES[name]:
                begin(self.desk)
            made = self._changes() - before
            self.store.db.execute("INSERT INTO phase VALUES (?, ?)", (name, made))
        return made

    def _changes(self) -> int:
        return self.store.count("SELECT coalesce(max(number), 0) FROM change")

    def put_course(self, body: Mapping[str, Any]) -> bool:
        """See `offices.catalog.put_course`."""
        with self.store.transaction():
            return catalog.put_course(self.desk, body)

    def put_offering(self, body: Mapping[str, Any]) -> bool:
        """See `offices.catalog.put_offering`."""
        with self.store.transaction():
            return catalog.put_offering(self.desk, body)

    def status(self) -> dict[str, Any]:
        """Numbers that tell whether the campus is quiet; computed anew only after a write."""
        writes = self.store.db.total_changes
        if self._status is None or self._status[0] != writes:
            self._status = (writes, report.status(self.desk))
        return self._status[1]

    def holdings(self) -> dict[str, Any]:
        """All that the campus holds to be true, to compare with the ledger."""
        return report.holdings(self.desk)
