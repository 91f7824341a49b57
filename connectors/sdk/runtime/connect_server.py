"""The pages of a connector process: Kafka Connect's dialect, health for a process manager, metrics for Prometheus.

Owns what is served at `runtime.http`, for all connectors of the process. It answers from their newest heartbeats, which hold no
data of the campus, and knows no login: keep it on the loopback address. The server is uvicorn, of the extras `sandbox` and
`hub`.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

from connectors.sdk.clock import Clock
from connectors.sdk.contract import ConfigError, SinkKind, SourceKind
from connectors.sdk.discovery import kinds
from connectors.sdk.runtime.beat import connector_version
from connectors.sdk.runtime.serving import Receive, Send, serve
from connectors.sdk.state.commands import Command
from schemas import envelope
from schemas.connect_dialect import Fleet, Key, Order, Plugin, Reply, Shown, answer, error, joined
from schemas.records import Heartbeat

_STATES = ("running", "degraded", "paused", "stopped", "failed", "restarting")
_BEATS_LATE = 10  # heartbeats; one that is so late will hardly come


class Runs(Protocol):
    """One connector of this process."""

    @property
    def newest(self) -> Heartbeat | None:
        """What it last said; None before it said anything."""

    @property
    def heartbeat_s(self) -> float:
        """How often it says so."""

    @property
    def name(self) -> str:
        """`10611.campus`."""

    def ask(self, command: Command) -> None:
        """Have a command executed."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is sent back."""

    status: int
    body: bytes
    content_type: str


class Pages:
    """The paths, over the connectors of this process."""

    def __init__(self, runs: Sequence[Runs], clock: Clock, new_id: Callable[[], str]) -> None:
        self._runs = runs
        self._clock = clock
        self._new_id = new_id

    def page(self, method: str, path: str, query: str, asked_by: str) -> Page:
        """One request. `query` as it stands in the address."""
        match method, path:
            case "GET", "/livez":
                return Page(200, b"ok\n", "text/plain; charset=utf-8")
            case "GET", "/readyz":
                return self._ready()
            case "GET", "/metrics":
                text = metrics([beat for beat in (run.newest for run in self._runs) if beat])
                return Page(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")
        pairs = joined(parse_qsl(query, keep_blank_values=True))
        reply = answer(method, path, pairs, self._fleet())
        if reply.order is not None:
            reply = self._carry_out(reply.order, reply, asked_by)
        body = b"" if reply.body is None else json.dumps(reply.body, ensure_ascii=False).encode()
        return Page(reply.status, body, "application/json")

    def _carry_out(self, order: Order, reply: Reply, asked_by: str) -> Reply:
        for run in self._runs:
            if run.name == f"{order.member}.{order.connector}":
                at = envelope.to_millis(self._clock.now())
                run.ask(Command(self._new_id(), order.verb, order.args, asked_by, "", at))
                return reply
        return error(409, f"{order.member}.{order.connector} is being started; ask again")

    def _fleet(self) -> Fleet:
        shown = [
            Shown(beat, "silent" if late else beat.state) for beat, late in self._beats() if beat
        ]
        late = [run.name for run, (_, late) in zip(self._runs, self._beats(), strict=True) if late]
        return Fleet(
            shown,
            plugins(),
            connector_version(),
            unhealthy=f"no heartbeat of {', '.join(late)}" if late else "",
        )

    def _beats(self) -> Iterable[tuple[Heartbeat | None, bool]]:
        """Each connector's newest heartbeat, and whether the next one is late."""
        now = self._clock.now()
        for run in self._runs:
            beat = run.newest
            age_s = (now - beat.at).total_seconds() if beat else 0
            yield beat, beat is None or age_s > _BEATS_LATE * run.heartbeat_s

    def _ready(self) -> Page:
        """200 when every connector runs; 503 with the reasons. A part that people hold is as they want it."""
        reasons = {}
        for run, (beat, late) in zip(self._runs, self._beats(), strict=True):
            if beat is None or late:
                reasons[run.name] = "no heartbeat"
            elif beat.state in ("failed", "degraded"):
                reasons[run.name] = f"{beat.state}: {beat.reason}"
        body = {"status": "not ready" if reasons else "ready", "reasons": reasons}
        return Page(
            503 if reasons else 200,
            json.dumps(body, ensure_ascii=False).encode(),
            "application/json",
        )


def plugins() -> list[Plugin]:
    """The kinds of this installation with their options."""
    found = []
    for kind in kinds().values():
        for type, one in (("source", kind.source), ("sink", kind.sink)):
            if one is not None:
                found.append(Plugin(kind.name, type, connector_version(), keys_of(one)))
    return found


def keys_of(kind: SourceKind[Any] | SinkKind[Any]) -> list[Key]:
    """The keys of a kind's options. Defaults that are tables are not shown."""
    keys = []
    for name, field in kind.options.model_fields.items():
        default = field.default if isinstance(field.default, (str, int, float, bool)) else None
        type = (
            "STRING" if field.annotation is str else "INT" if field.annotation is int else "STRING"
        )
        shown = None if default is None or field.is_required() else str(default)
        keys.append(Key(name, type, field.is_required(), shown, field.description or ""))
    return keys


# Metrics ------------------------------------------------------------------------------------------------------------


def metrics(beats: Sequence[Heartbeat]) -> str:
    """Prometheus text (https://prometheus.io/docs/instrumenting/exposition_formats/) of these heartbeats."""
    page = _Metrics()
    for beat in beats:
        about = {"connector": f"{beat.member}.{beat.connector}"}
        for state in _STATES:
            page.add("hub_connector_state", beat.state == state, **about, state=state)
        build = {"version": beat.version, "mapping": beat.mapping_hash}
        page.add("hub_build_info", 1, **about, **build)
        page.add("hub_events_published_total", beat.published_total, **about)
        page.add("hub_events_applied_total", beat.applied_total, **about)
        page.add("hub_in_flight", beat.outbox_events, **about)
        for part in beat.parts:
            mine = {**about, "part": part.name}
            page.add("hub_parked_keys", part.parked_keys, **mine)
            page.add("hub_parked_events", part.parked_events, **mine)
            page.add("hub_breaker_open", part.reason.startswith("breaker open"), **mine)
            page.add("hub_source_behind_seconds", part.behind_s, **mine)
            page.add("hub_expected_interval_seconds", part.expected_s, **mine)
            if part.last_record_at is not None:
                page.add(
                    "hub_last_event_timestamp_seconds", part.last_record_at.timestamp(), **mine
                )
        for fill in beat.backfills:
            page.add(
                "hub_backfill_records", fill.rows, **about, source=fill.source, state=fill.state
            )
    return page.text()


_HELP = {
    "hub_connector_state": ("gauge", "1 for the state the connector is in"),
    "hub_build_info": ("gauge", "version and hash of mappings of what runs"),
    "hub_events_published_total": ("counter", "events published"),
    "hub_events_applied_total": ("counter", "deliveries the campus took"),
    "hub_in_flight": ("gauge", "events without outcome or receipt yet"),
    "hub_parked_keys": ("gauge", "keys with something parked"),
    "hub_parked_events": ("gauge", "records or deliveries parked"),
    "hub_breaker_open": ("gauge", "1 while a part has stopped itself"),
    "hub_source_behind_seconds": ("gauge", "how far a source is behind its campus"),
    "hub_expected_interval_seconds": ("gauge", "how often a source should give a record"),
    "hub_last_event_timestamp_seconds": ("gauge", "when a source last gave a record, Unix time"),
    "hub_backfill_records": ("gauge", "records read by the newest backfill"),
}


class _Metrics:
    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def add(self, name: str, value: float | None, **labels: str) -> None:
        if value is None:
            return
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        number = str(int(value)) if float(value).is_integer() else repr(float(value))
        self._lines.setdefault(name, []).append(f"{name}{{{pairs}}} {number}")

    def text(self) -> str:
        found = []
        for name, lines in self._lines.items():
            kind, words = _HELP[name]
            found += [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *lines]
        return "\n".join(found) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


# Serving ------------------------------------------------------------------------------------------------------------


def pages_app(pages: Pages) -> Callable[[Any, Receive, Send], Any]:
    """The paths as an ASGI application."""

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = {
            name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        client = scope.get("client") or ("unknown", 0)
        if method != "GET" and ("origin" in headers or "sec-fetch-site" in headers):
            # No page of ours asks; a browser that does is led by another site.
            refused = error(403, "asked by a browser; use a tool, or alliance connector")
            page = Page(403, json.dumps(refused.body).encode(), "application/json")
        else:
            query = scope["query_string"].decode("latin-1")
            page = pages.page(method, scope["path"], query, f"{client[0]} over HTTP")
        await _send(send, page, with_body=scope["method"] != "HEAD")

    return app


async def _send(send: Send, page: Page, *, with_body: bool) -> None:
    headers = [(b"content-length", b"%d" % len(page.body))] if page.status != 204 else []
    if page.body:
        headers.append((b"content-type", page.content_type.encode()))
    await send({"type": "http.response.start", "status": page.status, "headers": headers})
    await send({"type": "http.response.body", "body": page.body if with_body else b""})


async def serve_pages(pages: Pages, address: tuple[str, int]) -> None:
    """Answer until cancelled. Raises `ConfigError` when uvicorn is not installed or the port is taken."""
    try:
        listener = socket.create_server(address)
    except OSError as fault:
        raise ConfigError(
            f"runtime.http: cannot listen on {address[0]}:{address[1]}: {fault.strerror}; name another port"
        ) from fault
    await serve(pages_app(pages), listener, "runtime.http")
