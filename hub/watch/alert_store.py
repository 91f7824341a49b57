"""Alerts, silences and news still to be sent, in tables of their own: none of it can be worked out again from topics."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    select,
)
from sqlalchemy.exc import DBAPIError

from hub.database import engine_of
from hub.errors import RetryLater
from hub.watch.alerts import Alert, Finding, Notice, Silence, State, backoff_ms

DONE_KEPT_MS = 30 * 86_400_000
metadata = MetaData()
_alerts = Table(
    "alerts",
    metadata,
    Column("fingerprint", String(16), primary_key=True),
    Column("finding", Text, nullable=False),  # JSON
    Column("state", String(16), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("fired_ms", BigInteger),
    Column("resolved_ms", BigInteger),
    Column("silenced", Boolean, nullable=False),
    Column("told", Boolean, nullable=False),
)
_silences = Table(
    "alert_silences",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("code", String(200), nullable=False),
    Column("about", String(400), nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("why", String(1000), nullable=False),
    Column("made_ms", BigInteger, nullable=False),
)
# One row for each notifier that is to bring a piece of news.
_news = Table(
    "alert_news",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("notifier", String(200), primary_key=True),
    Column("alert", Text, nullable=False),  # JSON, as it was then
    Column("made_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("done_ms", BigInteger),
    Column("error", String(1000), nullable=False),
)


class AlertsUnavailable(RetryLater):
    """The database of alerts does not answer, or was never made."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """News for one notifier, how often it was tried, and what the last attempt said."""

    id: str
    notifier: str
    alert: Alert
    made_ms: int
    attempts: int
    error: str = ""
    done_ms: int | None = None


class AlertStore:
    """The tables. Calls block; each is one transaction. Any number may read, one process writes alerts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prepare(self) -> None:
        """Make the tables that are missing."""
        metadata.create_all(self._engine)

    def alerts(self) -> dict[str, Alert]:
        """All alerts by fingerprint, resolved ones of the last week too."""
        rows = self._rows(select(_alerts))
        return {row.fingerprint: _alert_of(row._mapping) for row in rows}

    def silences(self) -> list[Silence]:
        """All silences, those that are over too, by end."""
        rows = self._rows(select(_silences).order_by(_silences.c.until_ms))
        return [Silence(**row._mapping) for row in rows]

    def store(
        self,
        alerts: Mapping[str, Alert],
        notices: Iterable[Notice],
        notifiers: Mapping[str, Sequence[str]],
        now_ms: int,
    ) -> None:
        """Replace the alerts, and remember the news. `notifiers`: who brings news of each severity.

        Both in one commit: an alert that was told of has its news stored, whatever dies afterwards.
        """
        with self._engine.begin() as connection:
            known = {row.id for row in connection.execute(select(_news.c.id))}
            connection.execute(_alerts.delete())
            for key, alert in alerts.items():
                connection.execute(_alerts.insert().values(fingerprint=key, **_columns(alert)))
            for notice in notices:
                if notice.id in known:
                    continue
                text = json.dumps(_columns(notice.alert), ensure_ascii=False)
                for notifier in notifiers.get(notice.alert.finding.severity, ()):
                    connection.execute(
                        _news.insert().values(
                            id=notice.id, notifier=notifier, alert=text, made_ms=now_ms, attempts=0, next_ms=now_ms,
                            error="",
                        )
                    )  # fmt: skip
            over = _news.c.done_ms < now_ms - DONE_KEPT_MS
            connection.execute(_news.delete().where(over))

    def due(self, now_ms: int) -> list[Outgoing]:
        """News to be brought now, oldest first."""
        wanted = select(_news).where(_news.c.done_ms.is_(None), _news.c.next_ms <= now_ms)
        return [_outgoing(row) for row in self._rows(wanted.order_by(_news.c.made_ms, _news.c.id))]

    def waiting(self) -> list[Outgoing]:
        """All news not brought yet."""
        wanted = select(_news).where(_news.c.done_ms.is_(None)).order_by(_news.c.made_ms)
        return [_outgoing(row) for row in self._rows(wanted)]

    def brought(self, ids: Iterable[str], notifier: str, now_ms: int) -> None:
        """These were taken."""
        with self._engine.begin() as connection:
            connection.execute(
                _news.update()
                .where(_news.c.id.in_(list(ids)), _news.c.notifier == notifier)
                .values(done_ms=now_ms, attempts=_news.c.attempts + 1, error="")
            )

    def failed(self, news: Iterable[Outgoing], error: str, now_ms: int) -> None:
        """These were not taken; again later."""
        with self._engine.begin() as connection:
            for one in news:
                connection.execute(
                    _news.update()
                    .where(_news.c.id == one.id, _news.c.notifier == one.notifier)
                    .values(
                        attempts=one.attempts + 1,
                        next_ms=now_ms + backoff_ms(one.attempts + 1),
                        error=error[:1000],
                    )
                )

    def silence(self, silence: Silence) -> None:
        """Remember a silence."""
        with self._engine.begin() as connection:
            connection.execute(_silences.insert().values(**asdict(silence)))

    def unsilence(self, silence_id: str, now_ms: int) -> bool:
        """End a silence now; it stays listed. Whether it was there and not over."""
        with self._engine.begin() as connection:
            done = connection.execute(
                _silences.update()
                .where(_silences.c.id == silence_id, _silences.c.until_ms > now_ms)
                .values(until_ms=now_ms)
            )
            return bool(done.rowcount)

    def _rows(self, statement: Any) -> Sequence[Any]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(statement).all()
        except DBAPIError as error:
            raise AlertsUnavailable(
                f"the alerts' database does not answer ({error.orig}); start `alliance run alerts`, "
                "or see ALLIANCE_ALERTS_DATABASE"
            ) from error


def open_alert_store(database_url: str) -> AlertStore:
    """The store at a URL of SQLite or PostgreSQL. Raises `SettingsError` for another database."""
    return AlertStore(engine_of(database_url, "ALLIANCE_ALERTS_DATABASE", "FULL"))


def _columns(alert: Alert) -> dict[str, Any]:
    return {
        "finding": json.dumps(asdict(alert.finding), ensure_ascii=False),
        "state": alert.state.value,
        "since_ms": alert.since_ms,
        "seen_ms": alert.seen_ms,
        "fired_ms": alert.fired_ms,
        "resolved_ms": alert.resolved_ms,
        "silenced": alert.silenced,
        "told": alert.told,
    }


def _alert_of(row: Mapping[str, Any]) -> Alert:
    return Alert(
        Finding(**json.loads(row["finding"])),
        State(row["state"]),
        row["since_ms"],
        row["seen_ms"],
        row["fired_ms"],
        row["resolved_ms"],
        bool(row["silenced"]),
        bool(row["told"]),
    )


def _outgoing(row: Any) -> Outgoing:
    alert = _alert_of(json.loads(row.alert))
    return Outgoing(row.id, row.notifier, alert, row.made_ms, row.attempts, row.error, row.done_ms)
