"""Bringing news of alerts to people and machines: by webhook, by mail. What is said holds codes, names and counts, no data of events."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import smtplib
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any, Protocol

import httpx

from hub.errors import RetryLater
from hub.watch.alert_settings import AlertSettings, MailSettings, WebhookSettings
from hub.watch.alert_store import Outgoing
from hub.watch.alerts import Alert, State

TIMEOUT_S = 10.0


class NotBrought(RetryLater):
    """The other side did not take the news."""


class Notifier(Protocol):
    """Brings news. `name` is how the store knows it."""

    @property
    def name(self) -> str: ...

    async def bring(self, news: Sequence[Outgoing], now_s: int) -> None:
        """Bring all of it in one message. Raises `NotBrought`."""


def alert_json(alert: Alert) -> dict[str, Any]:
    """An alert as API, command line and webhooks show it. Times are ISO 8601 in UTC."""
    finding = alert.finding
    return {
        "fingerprint": alert.fingerprint,
        "code": finding.code,
        "about": finding.about,
        "severity": finding.severity,
        "state": alert.state.value,
        "silenced": alert.silenced,
        "title": finding.title,
        "detail": finding.detail,
        "next_step": finding.next_step,
        "since": when(alert.since_ms),
        "fired_at": when(alert.fired_ms),
        "resolved_at": when(alert.resolved_ms),
    }


def when(ms: int | None) -> str | None:
    """Milliseconds since 1970 as ISO 8601 in UTC, to the second."""
    if ms is None:
        return None
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def message_id(news: Sequence[Outgoing]) -> str:
    """The same for the same news, so that who gets it twice can tell."""
    text = "\n".join(sorted(one.id for one in news))
    return f"msg_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def signature(key: bytes, webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """Standard Webhooks' `webhook-signature`, version 1.

    Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    signed = f"{webhook_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class Webhook:
    """POSTs JSON: `{"type": "alliance.alerts", "timestamp", "data": {"alerts": [...]}}`. A status from 200 to 299 takes it."""

    def __init__(
        self, settings: WebhookSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings, self._transport = settings, transport

    @property
    def name(self) -> str:
        return self._settings.name

    async def bring(self, news: Sequence[Outgoing], now_s: int) -> None:
        body = json.dumps(
            {
                "type": "alliance.alerts",
                "timestamp": when(1000 * now_s),
                "data": {"alerts": [alert_json(one.alert) for one in news]},
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        webhook_id = message_id(news)
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(now_s),
        }
        if self._settings.key:
            headers["webhook-signature"] = signature(self._settings.key, webhook_id, now_s, body)
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, transport=self._transport) as client:
                answer = await client.post(self._settings.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise NotBrought(
                f"{self.name}: no answer ({type(error).__name__}); see its url"
            ) from error
        if not answer.is_success:
            raise NotBrought(f"{self.name}: answered {answer.status_code}, wanted 200 to 299")


def mail_of(news: Sequence[Outgoing], settings: MailSettings) -> EmailMessage:
    """One mail with all the news, errors first."""
    ordered = sorted(news, key=lambda one: (one.alert.state is State.RESOLVED, one.alert.finding.severity, one.id))  # fmt: skip
    firing = [one.alert for one in ordered if one.alert.state is not State.RESOLVED]
    over = [one.alert for one in ordered if one.alert.state is State.RESOLVED]
    first = (firing or over)[0].finding
    counts = [f"{len(firing)} firing"] * bool(firing) + [f"{len(over)} resolved"] * bool(over)
    mail = EmailMessage()
    mail["Subject"] = f"[Alliance Hub] {', '.join(counts)}: {first.title}"[:200].replace("\n", " ")
    mail["From"] = settings.sender
    mail["To"] = ", ".join(settings.to)
    mail["Message-ID"] = f"<{message_id(news)}@alliance-hub>"
    parts = [_paragraph(alert) for alert in (*firing, *over)]
    mail.set_content("\n\n".join(parts) + "\n")
    return mail


def _paragraph(alert: Alert) -> str:
    finding = alert.finding
    lines = [
        f"{alert.state.value.upper()} {finding.severity} {finding.code} {finding.about}",
        f"  {finding.title}",
        f"  {finding.detail}" if finding.detail else "",
        f"  Since {when(alert.since_ms)}"
        + (f", over {when(alert.resolved_ms)}" if alert.resolved_ms else ""),
        f"  Next: {finding.next_step}" if alert.state is not State.RESOLVED else "",
    ]
    return "\n".join(line for line in lines if line)


class Mail:
    """Sends by a mail server. `deliver` blocks and runs in a thread."""

    def __init__(
        self, settings: MailSettings, deliver: Callable[[MailSettings, EmailMessage], None]
    ) -> None:
        self._settings, self._deliver = settings, deliver

    @property
    def name(self) -> str:
        return self._settings.name

    async def bring(self, news: Sequence[Outgoing], now_s: int) -> None:
        mail = mail_of(news, self._settings)
        try:
            await asyncio.to_thread(self._deliver, self._settings, mail)
        except (OSError, smtplib.SMTPException) as error:
            raise NotBrought(f"{self.name}: {type(error).__name__}: {error}") from error


def deliver(settings: MailSettings, mail: EmailMessage) -> None:
    """Hand a mail to the server. Raises `OSError` or `smtplib.SMTPException`."""
    context = ssl.create_default_context()
    if settings.security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            settings.host, settings.port, timeout=TIMEOUT_S, context=context
        )
    else:
        server = smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT_S)
    with server:
        if settings.security == "starttls":
            server.starttls(context=context)
        if settings.user:
            server.login(settings.user, settings.password)
        server.send_message(mail)


def notifiers_of(settings: AlertSettings) -> list[Notifier]:
    """All notifiers of the settings."""
    hooks: list[Notifier] = [Webhook(one) for one in settings.webhooks]
    return hooks + [Mail(one, deliver) for one in settings.mails]
