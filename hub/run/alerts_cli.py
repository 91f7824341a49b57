"""`alliance alerts`: what is wrong and who was told; try notifiers; silence what is known. And the part that does the work."""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import typer

from hub.api.alert_routes import findings, news_json, ordered, silence_json, wall_ms
from hub.api.kafka_view import KafkaPoller
from hub.api.log_view import LogWatch, cosignature_reader, policy_of
from hub.api.overview import Watch
from hub.api.troubles import troubles
from hub.errors import SettingsError
from hub.settings import Settings, read_settings
from hub.store.queries import Reader
from hub.store.tables import open_engine
from hub.watch.alert_settings import AlertSettings, read_alert_settings
from hub.watch.alert_store import AlertStore, Outgoing, open_alert_store
from hub.watch.alerting import Alerting
from hub.watch.alerts import Alert, Finding, Silence, State
from hub.watch.notify import NotBrought, Notifier, alert_json, notifiers_of
from hub.watch.settings import read_watch_settings
from schemas.members import Alliance

app = typer.Typer(
    help="Alerts: list them, try notifiers, silence what is known.", no_args_is_help=True
)
_UNITS_S = {"m": 60, "h": 3600, "d": 86_400}


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def run_alerts(
    settings: Settings, bootstrap: str, alliance: Alliance, stop: asyncio.Event
) -> None:
    """The part: look at everything as the console does, and keep alerts. Until stopped."""
    # The view says once when the broker is away.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    watch_settings = read_watch_settings(settings, os.environ)
    rules = read_alert_settings(watch_settings.rules_file, os.environ)
    settings.state.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database_url)
    reader = Reader(engine)
    policy, why_none = policy_of(alliance, settings.policy_file)
    view = KafkaPoller(
        bootstrap,
        utc_now,
        cosignature_reader(policy, alliance.origin) if policy else None,
        folder=settings.state,
        positions=lambda: {key: at.next_offset for key, at in reader.positions().items()},
    )
    watch = Watch(
        reader, alliance, view, utc_now, LogWatch(alliance, settings.tlog, policy, why_none)
    )

    async def find() -> Sequence[Finding]:
        return findings(troubles(await watch.current()))

    store = open_alert_store(watch_settings.database_url)
    polling = asyncio.create_task(view.run())
    try:
        await Alerting(find, store, rules, notifiers_of(rules), wall_ms).run(stop)
    finally:
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling
        engine.dispose()


def _store() -> AlertStore:
    settings = read_settings()
    store = open_alert_store(read_watch_settings(settings, os.environ).database_url)
    settings.state.mkdir(parents=True, exist_ok=True)
    store.prepare()
    return store


def _rules() -> AlertSettings:
    watch_settings = read_watch_settings(read_settings(), os.environ)
    return read_alert_settings(watch_settings.rules_file, os.environ)


def _print(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


@app.command("list")
def list_alerts(
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    everything: bool = typer.Option(False, "--all", help="Resolved alerts of the last week too."),
) -> None:
    """Alerts, silences, and news that no notifier has taken yet. Exit code 1 while an unsilenced alert fires."""
    store, now_ms = _store(), wall_ms()
    alerts = ordered(store.alerts().values())
    shown = [one for one in alerts if everything or one.state is not State.RESOLVED]
    silences = [one for one in store.silences() if everything or now_ms < one.until_ms]
    waiting = store.waiting()
    if as_json:
        _print(
            {
                "items": [alert_json(one) for one in shown],
                "silences": [silence_json(one, now_ms) for one in silences],
                "waiting": [news_json(one) for one in waiting],
            }
        )
    else:
        _show(shown, silences, waiting, now_ms)
    if any(one.state is State.FIRING and not one.silenced for one in alerts):
        raise typer.Exit(1)


def _show(
    alerts: Sequence[Alert], silences: Sequence[Silence], waiting: Sequence[Outgoing], now_ms: int
) -> None:
    for alert in alerts:
        shown = alert_json(alert)
        silenced = ", silenced" if alert.silenced else ""
        print(
            f"{shown['state']}{silenced}  {shown['severity']}  {shown['code']}  {shown['about']}  since {shown['since']}"
        )
        print(f"  {shown['title']}. {shown['detail']}".rstrip(". "))
        print(f"  Next: {shown['next_step']}")
    if not alerts:
        print("no alerts")
    for silence in silences:
        shown = silence_json(silence, now_ms)
        print(
            f"silence {silence.id}  {silence.code} {silence.about} until {shown['until']}  by {silence.by}: {silence.why}"
        )
    for news in waiting:
        print(
            f"not brought by {news.notifier} after {news.attempts} attempts: {news.alert.finding.code}  {news.error}"
        )


@app.command("test")
def try_notifiers(
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """Send a test message by every notifier of ALLIANCE_ALERTS. Exit code 1 when one does not take it."""
    notifiers = notifiers_of(_rules())
    if not notifiers:
        raise SettingsError(
            "no notifier is configured; name a file with [webhook.NAME] or [mail.NAME] in ALLIANCE_ALERTS"
        )
    results = asyncio.run(_tried(notifiers, int(time.time())))
    if as_json:
        _print({"items": [{"notifier": name, "error": error} for name, error in results]})
    for name, error in results if not as_json else ():
        print(f"{name}: {error or 'taken'}")
    if any(error for _, error in results):
        raise typer.Exit(1)


async def _tried(notifiers: Sequence[Notifier], now_s: int) -> list[tuple[str, str]]:
    finding = Finding("TEST", "alerts", "info", "A test of this notifier", "Nothing is wrong", "None")  # fmt: skip
    alert = Alert(finding, State.FIRING, now_s * 1000, now_s * 1000, now_s * 1000)
    results = []
    for notifier in notifiers:
        news = [Outgoing(f"test.{now_s}", notifier.name, alert, now_s * 1000, 0)]
        try:
            await notifier.bring(news, now_s)
        except NotBrought as error:
            results.append((notifier.name, str(error)))
        else:
            results.append((notifier.name, ""))
    return results


def until_of(text: str, now_ms: int) -> int:
    """Milliseconds since 1970 of `2h`, `3d`, `30m` from now, or of an ISO 8601 time with its zone. Raises `SettingsError`."""
    if found := re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text):
        return now_ms + int(found[1]) * _UNITS_S[found[2]] * 1000
    wanted = "a span such as 2h or 3d, or a time such as 2026-09-01T18:00+08:00"
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"--until is {text!r}, wanted {wanted}") from error
    if at.tzinfo is None:
        raise SettingsError(f"--until is {text!r}, which has no time zone; wanted {wanted}")
    if (until_ms := int(at.timestamp() * 1000)) <= now_ms:
        raise SettingsError(f"--until is {text!r}, which is past; wanted {wanted}")
    return until_ms


def _somebody() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without names for its users
        return "unknown"


@app.command()
def silence(
    code: str = typer.Argument(..., help="Code of alerts, such as CONNECTOR_SILENT; * for all."),
    about: str = typer.Argument("*", help="Their object, such as a member's code; * for all."),
    until: str = typer.Option(..., help="2h, 3d, or an ISO 8601 time with its zone."),
    why: str = typer.Option(..., help="For those who wonder later."),
    by: str = typer.Option("", help="Who says so; the login otherwise."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """Tell nobody of these alerts for a while. They are listed all the same."""
    now_ms = wall_ms()
    made = Silence(
        uuid4().hex[:8], code, about, until_of(until, now_ms), by or _somebody(), why, now_ms
    )
    _store().silence(made)
    shown = silence_json(made, now_ms)
    if as_json:
        _print(shown)
    else:
        print(f"silence {made.id} until {shown['until']}; end it with: alliance alerts unsilence {made.id}")  # fmt: skip


@app.command()
def unsilence(
    silence_id: str = typer.Argument(..., help="From `alliance alerts list`."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """End a silence now."""
    done = _store().unsilence(silence_id, wall_ms())
    if as_json:
        _print({"id": silence_id, "ended": done})
    elif done:
        print(f"silence {silence_id} has ended")
    if not done:
        print(f"no silence {silence_id} is in force; see: alliance alerts list", file=sys.stderr)
        raise typer.Exit(1)
