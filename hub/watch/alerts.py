"""Alerts: what becomes of troubles over time. Pure: what was known, what is wrong now, rules and the time give what is known then.

One alert for each code and object. It is pending until the trouble has lasted `hold_s`, then firing; gone for `clear_s` it is
resolved. Somebody is told when it fires and when it is resolved, unless a silence covers it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase

BLINDING = frozenset({"BROKER_UNREACHABLE", "STORE_UNAVAILABLE"})
KEEP_RESOLVED_MS = 7 * 86_400_000
SEVERITIES = ("error", "warning", "info")


class State(StrEnum):
    """Where an alert is in its life."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong now, about one object, in words that may leave the house."""

    code: str
    about: str
    severity: str
    title: str
    detail: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Rule:
    """How patient to be with troubles of a code, in seconds. `notify` False: listed, and nobody is told."""

    hold_s: float = 60.0
    clear_s: float = 60.0
    notify: bool = True


@dataclass(frozen=True, slots=True)
class Silence:
    """Maintenance: nobody is told of alerts whose code and object fit, until a time. `*` stands for anything."""

    id: str
    code: str
    about: str
    until_ms: int
    by: str
    why: str
    made_ms: int

    def covers(self, code: str, about: str, now_ms: int) -> bool:
        fits = fnmatchcase(code, self.code) and fnmatchcase(about, self.about)
        return fits and now_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Alert:
    """One trouble over time. Times in milliseconds since 1970; `seen_ms` is when it was last found.

    `told` says whether people know that it fires: then they are owed the news of its end.
    """

    finding: Finding
    state: State
    since_ms: int
    seen_ms: int
    fired_ms: int | None = None
    resolved_ms: int | None = None
    silenced: bool = False
    told: bool = False

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.finding.code, self.finding.about)


@dataclass(frozen=True, slots=True)
class Notice:
    """News of an alert: that it fires, or that it is over. `id` is the same however often it is worked out."""

    id: str
    alert: Alert


def fingerprint(code: str, about: str) -> str:
    """What tells one alert from others: 16 hex digits."""
    return hashlib.sha256(f"{code}\0{about}".encode()).hexdigest()[:16]


def step(
    known: Mapping[str, Alert],
    findings: Iterable[Finding],
    rules: Mapping[str, Rule],
    silences: Sequence[Silence],
    now_ms: int,
) -> tuple[dict[str, Alert], list[Notice]]:
    """Alerts by fingerprint as they are now, and what people are to be told.

    `rules` has one rule for each code, and `*` for all others. While the hub cannot see (no broker, no read model), what it does
    not find is not over. Resolved alerts are forgotten after a week.
    """
    found = {fingerprint(one.code, one.about): one for one in findings}
    blind = any(one.code in BLINDING for one in found.values())
    then: dict[str, Alert] = {}
    notices: list[Notice] = []
    for key in sorted({*known, *found}):
        before, finding = known.get(key), found.get(key)
        code = (finding or known[key].finding).code
        rule = rules.get(code) or rules.get("*") or Rule()
        if finding is not None:
            alert: Alert | None = _found(before, finding, rule, now_ms)
        else:
            alert = _missing(known[key], rule, now_ms, blind=blind and code not in BLINDING)
        if alert is None:
            continue
        alert = replace(alert, silenced=_covered(alert, silences, now_ms))
        alert, notice = _news(alert, rule)
        then[key] = alert
        if notice is not None:
            notices.append(notice)
    return then, notices


def _found(before: Alert | None, finding: Finding, rule: Rule, now_ms: int) -> Alert:
    if before is None or before.state is State.RESOLVED:
        before = Alert(finding, State.PENDING, now_ms, now_ms)
    alert = replace(before, finding=finding, seen_ms=now_ms)
    if alert.state is State.PENDING and now_ms - alert.since_ms >= 1000 * rule.hold_s:
        return replace(alert, state=State.FIRING, fired_ms=now_ms)
    return alert


def _missing(alert: Alert, rule: Rule, now_ms: int, *, blind: bool) -> Alert | None:
    """An alert whose trouble is not there. None: nothing is left to say of it."""
    if alert.state is State.RESOLVED:
        over_ms = now_ms - (alert.resolved_ms or now_ms)
        return None if over_ms > KEEP_RESOLVED_MS else alert
    if blind:
        return replace(alert, seen_ms=now_ms)
    if alert.state is State.PENDING:
        return None  # it never fired
    if now_ms - alert.seen_ms < 1000 * rule.clear_s:
        return alert
    return replace(alert, state=State.RESOLVED, resolved_ms=now_ms)


def _covered(alert: Alert, silences: Sequence[Silence], now_ms: int) -> bool:
    finding = alert.finding
    return any(silence.covers(finding.code, finding.about, now_ms) for silence in silences)


def _news(alert: Alert, rule: Rule) -> tuple[Alert, Notice | None]:
    """Firing is told once; when a silence ends while it still fires, then. The end is told to those who were told."""
    if alert.state is State.FIRING and not alert.told and rule.notify and not alert.silenced:
        alert = replace(alert, told=True)
        return alert, Notice(f"{alert.fingerprint}.{alert.fired_ms}.firing", alert)
    if alert.state is State.RESOLVED and alert.told:
        alert = replace(alert, told=False)
        return alert, Notice(f"{alert.fingerprint}.{alert.fired_ms}.resolved", alert)
    return alert, None


def backoff_ms(attempts: int) -> int:
    """How long to wait before the next attempt after so many: 30 s, doubled each time, an hour at most."""
    doublings: int = min(max(attempts - 1, 0), 20)
    return min(30_000 << doublings, 3_600_000)
