"""The loop of `alliance run alerts`: look, work out what becomes of alerts, store, bring the news."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import DBAPIError

from hub.watch.alert_settings import AlertSettings
from hub.watch.alert_store import AlertStore, AlertsUnavailable, Outgoing
from hub.watch.alerts import SEVERITIES, Finding, step
from hub.watch.notify import NotBrought, Notifier

log = structlog.get_logger("alerts")

EVERY_S = 5.0
AT_ONCE = 50  # alerts in one message

Find = Callable[[], Awaitable[Sequence[Finding]]]


def heard_by(least: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """By severity the notifiers that want to hear of it. `least`: by notifier, the mildest it wants."""
    return {
        severity: tuple(
            name
            for name, mildest in least.items()
            if SEVERITIES.index(severity) <= SEVERITIES.index(mildest)
        )
        for severity in SEVERITIES
    }


@dataclass(slots=True)
class Alerting:
    """One process's alerting. `find` says what is wrong now; `clock_ms` since 1970."""

    find: Find
    store: AlertStore
    settings: AlertSettings
    notifiers: Sequence[Notifier]
    clock_ms: Callable[[], int]

    async def look(self) -> None:
        """Find, decide, store. What was decided is stored before anybody is told."""
        found = await self.find()
        now_ms = self.clock_ms()
        known = await asyncio.to_thread(self.store.alerts)
        silences = await asyncio.to_thread(self.store.silences)
        then, notices = step(known, found, self.settings.rules, silences, now_ms)
        if then != known or notices:
            hearers = heard_by(self.settings.least_of())
            await asyncio.to_thread(self.store.store, then, notices, hearers, now_ms)
        for notice in notices:
            finding = notice.alert.finding
            log.info(
                "alert", code=finding.code, about=finding.about, state=notice.alert.state.value
            )

    async def tell(self) -> None:
        """Bring what is due, one message for each notifier. One that does not take it does not hold up the others."""
        due = await asyncio.to_thread(self.store.due, self.clock_ms())
        for notifier in self.notifiers:
            mine = [one for one in due if one.notifier == notifier.name][:AT_ONCE]
            if mine:
                await self._bring(notifier, mine)

    async def _bring(self, notifier: Notifier, news: Sequence[Outgoing]) -> None:
        now_ms = self.clock_ms()
        try:
            await notifier.bring(news, now_ms // 1000)
        except NotBrought as error:
            log.warning("news_not_brought", notifier=notifier.name, count=len(news), why=str(error))
            await asyncio.to_thread(self.store.failed, news, str(error), now_ms)
        else:
            ids = [one.id for one in news]
            await asyncio.to_thread(self.store.brought, ids, notifier.name, now_ms)
            log.info("news_brought", notifier=notifier.name, count=len(news))

    async def run(self, stop: asyncio.Event, every_s: float = EVERY_S) -> None:
        """Until stopped. A database that is away is waited for."""
        prepared = False
        while not stop.is_set():
            try:
                if not prepared:
                    await asyncio.to_thread(self.store.prepare)
                    prepared = True
                await self.look()
                await self.tell()
            except (AlertsUnavailable, DBAPIError) as error:
                log.warning("alerts_database_away", why=str(error)[:300])
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every_s)
