"""The file of alert rules and notifiers, `ALLIANCE_ALERTS`. Sensible without one: everything is listed, nobody is told.

Secrets are not in the file: it names the variables of the environment that hold them.
"""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.errors import SettingsError
from hub.watch.alerts import SEVERITIES, Rule

DEFAULT_RULES: Mapping[str, Rule] = {
    "*": Rule(60, 60),
    "BROKER_UNREACHABLE": Rule(30, 60),
    "STORE_UNAVAILABLE": Rule(60, 60),
    "STAGE_STALLED": Rule(60, 60),
    "LOG_UNREADABLE": Rule(0, 60),
    "MESSAGES_LOST": Rule(0, 300),
    "READER_AHEAD": Rule(0, 300),
    "READER_SLOW": Rule(900, 300),
    "READER_REWOUND": Rule(300, 300),
    "CONNECTOR_SILENT": Rule(300, 60),
    "CONNECTOR_DEGRADED": Rule(600, 60),
    "CLOCK_SKEWED": Rule(600, 600),
    "DEAD_LETTERS": Rule(0, 3600),
    "SILENT_STREAM": Rule(600, 0),
    "EVENTS_PARKED": Rule(86_400, 60, notify=False),
    "MEMBERS_ABSENT": Rule(0, 60, notify=False),
    "CONNECTOR_STOPPED": Rule(86_400, 60),
    "CONNECTOR_PAUSED": Rule(86_400, 60),
}
_RULE_KEYS = {"hold_s", "clear_s", "notify"}
_WEBHOOK_KEYS = {"url", "secret_env", "least"}
_MAIL_KEYS = {"host", "port", "security", "user", "password_env", "from", "to", "least"}
_PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where a POST goes. `key` signs it (Standard Webhooks); `least` is the mildest severity that is sent."""

    name: str
    url: str
    key: bytes = field(default=b"", repr=False)
    least: str = "warning"


@dataclass(frozen=True, slots=True)
class MailSettings:
    """By which server mail goes to whom. `security` is `starttls`, `tls` or `none`."""

    name: str
    host: str
    port: int
    security: str
    sender: str
    to: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    least: str = "warning"


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Rules by code, and notifiers."""

    rules: Mapping[str, Rule] = field(default_factory=lambda: dict(DEFAULT_RULES))
    webhooks: tuple[WebhookSettings, ...] = ()
    mails: tuple[MailSettings, ...] = ()

    def least_of(self) -> dict[str, str]:
        """Notifiers by name with the mildest severity each wants."""
        hooks = {one.name: one.least for one in self.webhooks}
        return hooks | {one.name: one.least for one in self.mails}


def read_alert_settings(path: Path | None, environ: Mapping[str, str]) -> AlertSettings:
    """The settings of a file, the defaults without one. Raises `SettingsError` naming file, key, found and wanted."""
    if path is None:
        return AlertSettings()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"ALLIANCE_ALERTS names {path}, which cannot be read: {error}") from error  # fmt: skip
    _known(path, "", found, {"rules", "webhook", "mail"})
    rules = dict(DEFAULT_RULES)
    for code, table in _tables(path, found, "rules").items():
        where = f"rules.{code}"
        _known(path, where, table, _RULE_KEYS)
        default = rules.get(code, rules["*"])
        rules[code] = Rule(
            _number(path, where, table, "hold_s", default.hold_s),
            _number(path, where, table, "clear_s", default.clear_s),
            _typed(path, where, table, "notify", bool, default.notify),
        )
    hooks = tuple(
        _webhook(path, name, table, environ)
        for name, table in _tables(path, found, "webhook").items()
    )
    mails = tuple(
        _mail(path, name, table, environ) for name, table in _tables(path, found, "mail").items()
    )
    return AlertSettings(rules, hooks, mails)


def _webhook(
    path: Path, name: str, table: Mapping[str, Any], environ: Mapping[str, str]
) -> WebhookSettings:
    where = f"webhook.{name}"
    _known(path, where, table, _WEBHOOK_KEYS)
    url = _typed(path, where, table, "url", str, "")
    if not url.startswith(("https://", "http://")):
        raise _wrong(path, f"{where}.url", url, "an address such as https://host/hook")
    variable = _typed(path, where, table, "secret_env", str, "")
    key = signing_key(_secret(path, f"{where}.secret_env", variable, environ)) if variable else b""
    return WebhookSettings(f"webhook.{name}", url, key, _least(path, where, table))


def _mail(
    path: Path, name: str, table: Mapping[str, Any], environ: Mapping[str, str]
) -> MailSettings:
    where = f"mail.{name}"
    _known(path, where, table, _MAIL_KEYS)
    security = _typed(path, where, table, "security", str, "starttls")
    if security not in _PORTS:
        raise _wrong(path, f"{where}.security", security, " or ".join(_PORTS))
    to = table.get("to", [])
    if not to or not isinstance(to, list) or not all(isinstance(one, str) for one in to):
        raise _wrong(path, f"{where}.to", to, 'a list of addresses such as ["it@example.edu"]')
    texts = {key: _typed(path, where, table, key, str, "") for key in ("host", "from", "user", "password_env")}  # fmt: skip
    for key in ("host", "from"):
        if not texts[key]:
            raise _wrong(path, f"{where}.{key}", "", "a value")
    password = ""
    if texts["password_env"]:
        password = _secret(path, f"{where}.password_env", texts["password_env"], environ)
    port = _typed(path, where, table, "port", int, _PORTS[security])
    return MailSettings(
        f"mail.{name}", texts["host"], port, security, texts["from"], tuple(to), texts["user"], password,
        _least(path, where, table),
    )  # fmt: skip


def signing_key(secret: str) -> bytes:
    """The key of a Standard Webhooks secret, `whsec_` and Base64; another text is the key itself, in UTF-8."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise SettingsError("a webhook secret starts with whsec_ but is not Base64 after it; copy it again") from error  # fmt: skip


def _secret(path: Path, where: str, variable: str, environ: Mapping[str, str]) -> str:
    found = environ.get(variable, "")
    if not found:
        raise SettingsError(f"{path}: {where} names {variable}, which is not set; set it, or remove the key")  # fmt: skip
    return found


def _least(path: Path, where: str, table: Mapping[str, Any]) -> str:
    found: str = _typed(path, where, table, "least", str, "warning")
    if found not in SEVERITIES:
        raise _wrong(path, f"{where}.least", found, ", ".join(SEVERITIES))
    return found


def _tables(path: Path, found: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    tables = found.get(name, {})
    if not isinstance(tables, dict):
        raise _wrong(path, name, tables, f"tables such as [{name}.NAME]")
    for key, table in tables.items():
        if not isinstance(table, dict):
            raise _wrong(path, f"{name}.{key}", table, f"a table [{name}.{key}]")
    return tables


def _known(path: Path, where: str, table: Mapping[str, Any], allowed: set[str]) -> None:
    for key in sorted(table.keys() - allowed):
        full = f"{where}.{key}" if where else key
        raise SettingsError(f"{path}: {full} is not known, wanted one of {', '.join(sorted(allowed))}")  # fmt: skip


def _number(path: Path, where: str, table: Mapping[str, Any], key: str, default: float) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise _wrong(path, f"{where}.{key}", value, "seconds, 0 or more")
    return float(value)


def _typed(
    path: Path, where: str, table: Mapping[str, Any], key: str, kind: type, default: Any
) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _wrong(path, f"{where}.{key}", value, f"a {kind.__name__}")
    return value


def _wrong(path: Path, where: str, found: object, wanted: str) -> SettingsError:
    return SettingsError(f"{path}: {where} is {found!r}, wanted {wanted}")
