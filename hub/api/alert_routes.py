"""`/api/v1/alerts`: what is wrong for how long, who was told, what is silenced. Reading only; silences are made by `alliance alerts`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.api.problems import Problem
from hub.api.trouble import Trouble
from hub.watch.alert_store import AlertStore, AlertsUnavailable, Outgoing
from hub.watch.alerts import SEVERITIES, Alert, Finding, Silence, State
from hub.watch.notify import alert_json, when

STATES = tuple(state.value for state in State)


def wall_ms() -> int:
    """The wall clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def findings(troubles: Iterable[Trouble]) -> list[Finding]:
    """Troubles as alerts take them, in English. One about several objects becomes one for each."""
    return [
        Finding(
            trouble.code,
            about,
            trouble.severity,
            trouble.title.en,
            trouble.detail.en,
            trouble.next_step.en,
        )
        for trouble in troubles
        for about in trouble.about.split(",")
    ]


def ordered(alerts: Iterable[Alert]) -> list[Alert]:
    """Firing ones first, then worst, then newest."""
    rank = {State.FIRING: 0, State.PENDING: 1, State.RESOLVED: 2}
    return sorted(
        alerts,
        key=lambda one: (
            rank[one.state],
            SEVERITIES.index(one.finding.severity),
            -one.since_ms,
            one.fingerprint,
        ),
    )


def silence_json(silence: Silence, now_ms: int) -> dict[str, Any]:
    """A silence; `active` while it is not over."""
    return {
        "id": silence.id,
        "code": silence.code,
        "about": silence.about,
        "until": when(silence.until_ms),
        "active": now_ms < silence.until_ms,
        "by": silence.by,
        "why": silence.why,
        "made_at": when(silence.made_ms),
    }


def news_json(news: Outgoing) -> dict[str, Any]:
    """News that a notifier did not take yet."""
    return {
        "notifier": news.notifier,
        "code": news.alert.finding.code,
        "about": news.alert.finding.about,
        "state": news.alert.state.value,
        "made_at": when(news.made_ms),
        "attempts": news.attempts,
        "error": news.error,
    }


class Alerts:
    """The handlers. `store` None: this console knows no alerts."""

    def __init__(
        self, store: AlertStore | None = None, clock_ms: Callable[[], int] = wall_ms
    ) -> None:
        self._store, self._clock_ms = store, clock_ms

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/v1/alerts", self.alerts)]

    def counts(self) -> tuple[dict[str, int] | None, int]:
        """How many alerts are in each state, and how much news waits; None while nobody can tell. Blocks."""
        if self._store is None:
            return None, 0
        try:
            states = Counter(alert.state.value for alert in self._store.alerts().values())
            return dict(states), len(self._store.waiting())
        except AlertsUnavailable:
            return None, 0

    def alerts(self, request: Request) -> Response:
        """Alerts (`state=` for those of one state), silences and news not brought yet."""
        unknown = sorted(request.query_params.keys() - {"state"})
        state = request.query_params.get("state")
        if unknown:
            raise Problem("INVALID_PARAMETER", f"unknown {', '.join(unknown)}, wanted state")
        if state is not None and state not in STATES:
            raise Problem(
                "INVALID_PARAMETER", f"state is {state[:40]!r}, wanted one of {', '.join(STATES)}"
            )
        if self._store is None:
            raise Problem("NOT_FOUND", "this console keeps no alerts; start `alliance run alerts`")
        try:
            alerts = ordered(self._store.alerts().values())
            silences, waiting = self._store.silences(), self._store.waiting()
        except AlertsUnavailable as error:
            raise Problem("STORE_UNAVAILABLE", str(error)) from error
        now_ms = self._clock_ms()
        return JSONResponse(
            {
                "at": when(now_ms),
                "items": [alert_json(one) for one in alerts if state in (None, one.state.value)],
                "silences": [silence_json(one, now_ms) for one in silences],
                "waiting": [news_json(one) for one in waiting],
            }
        )
