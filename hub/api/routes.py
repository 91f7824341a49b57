"""The handlers of `/api/v1`, and health and metrics beside them. Reading only, but for `/connect` (`hub.api.connect`).

Owns paths, parameters and JSON shapes. Times are ISO 8601 in UTC, hashes and signatures hex, decimals strings.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hub.api.alert_routes import Alerts
from hub.api.cases import case_json, turns_json
from hub.api.connect import Connect
from hub.api.connectors_view import ConnectorsView
from hub.api.event_path import EventPath
from hub.api.kafka_messages import Messages
from hub.api.lag_routes import Lags
from hub.api.log_files import LogPages
from hub.api.log_view import log_json
from hub.api.messages_view import MessagesView
from hub.api.metrics import metrics_page
from hub.api.overview import Lag, MemberView, TopicView, Watch
from hub.api.problems import KINDS, Problem
from hub.api.registry_routes import registry_routes
from hub.api.sentences import sentence
from hub.api.troubles import Trouble, troubles
from hub.events import machines
from hub.events.reference import whole_json
from hub.store.fold import STEP_MS
from hub.store.queries import (
    CaseOrder,
    CasePlace,
    Reader,
    StoredEntry,
    StoredLetter,
    case_place,
)
from hub.watch.alert_store import AlertStore
from schemas.catalogue import Schema, catalogue, example, prose
from schemas.codec import Unreadable, decode, to_json
from schemas.envelope import rfc3339
from schemas.members import Alliance

OUTCOMES = ("applied", "rejected", "duplicate", "conflict", "parked")
MAX_LIMIT = 1000
Json = dict[str, Any]


class Api:
    """The handlers with what they answer from. Handlers that touch the database are plain functions: Starlette runs
    those in a thread."""

    def __init__(
        self,
        reader: Reader,
        alliance: Alliance,
        watch: Watch,
        log_folder: Path,
        alert_store: AlertStore | None = None,
        messages: Messages | None = None,
        *,
        operate: bool = False,
    ) -> None:
        self._reader, self._alliance, self._watch = reader, alliance, watch
        self._log_pages = LogPages(log_folder, reader)
        self._connect = Connect(watch, operate=operate)
        self._alerts, self._lags = Alerts(alert_store), Lags(watch)
        self._looks: tuple[ConnectorsView | MessagesView | EventPath, ...] = (
            ConnectorsView(watch, messages),
            MessagesView(watch, messages),
            EventPath(reader, watch, messages),
        )

    def routes(self) -> list[BaseRoute]:
        """All routes, with their full paths."""
        v1 = {
            "/health": self.health,
            "/members": self.members,
            "/topics": self.topics,
            "/outcomes": self.outcomes,
            "/log": self.log,
            "/ledger/head": self.ledger_head,
            "/ledger/entries": self.ledger_entries,
            "/ledger/entries/{seq:int}": self.ledger_entry,
            "/cases": self.cases,
            "/cases/summary": self.cases_summary,
            "/dead-letters": self.dead_letters,
            "/catalogue": self.catalogue,
            "/schemas": self.schemas,
            "/schemas/{event}": self.schema,
            "/problems/{code}": self.problem,
        }
        return [
            Route("/livez", self.livez),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            *(Route(f"/api/v1{path}", handler) for path, handler in v1.items()),
            *self._log_pages.routes(),
            *self._connect.routes(),
            *self._alerts.routes(),
            *self._lags.routes(),
            *(route for look in self._looks for route in look.routes()),
            *registry_routes(self._alliance),
        ]

    async def livez(self, _request: Request) -> Response:
        """This process answers."""
        return PlainTextResponse("ok")

    def readyz(self, _request: Request) -> Response:
        """The read model answers. An absent broker does not count: then operators need this page most."""
        self._reader.head()
        return PlainTextResponse("ok")

    async def metrics(self, _request: Request) -> Response:
        counts, waiting = await asyncio.to_thread(self._alerts.counts)
        page = metrics_page(await self._watch.current(), counts, waiting)
        return Response(page, headers={"content-type": CONTENT_TYPE_LATEST})

    async def health(self, _request: Request) -> Response:
        """`ok`, or `attention` with what is wrong and what to do, worst first."""
        now = await self._watch.current()
        found = troubles(now)
        return JSONResponse(
            {
                "status": "attention" if any(t.severity != "info" for t in found) else "ok",
                "at": rfc3339(now.at),
                "broker": {
                    "bootstrap": now.broker.bootstrap,
                    "reachable": now.broker.reachable,
                    "error": now.broker.error,
                },
                "store": {"available": not now.facts.error, "error": now.facts.error},
                "stages": [
                    {
                        "stage": stage.name,
                        "lag_messages": stage.lag_messages,
                        "stalled_s": round(stage.stalled_s),
                    }
                    for stage in now.all_stages()
                ],
                "troubles": [_trouble_json(trouble) for trouble in found],
            }
        )

    async def members(self, _request: Request) -> Response:
        now = await self._watch.current()
        return JSONResponse({"items": [_member_json(view) for view in now.members]})

    async def topics(self, _request: Request) -> Response:
        now = await self._watch.current()
        return JSONResponse(
            {
                "at": rfc3339(now.broker.at) if now.broker.at else None,
                "reachable": now.broker.reachable,
                "items": [_topic_json(view) for view in now.topics],
            }
        )

    async def outcomes(self, _request: Request) -> Response:
        """Totals, reasons, and the last minutes in steps of `step_ms`; steps without entries are left out."""
        now = await self._watch.current()
        return JSONResponse(
            {
                "totals": now.totals(),
                "reasons": [
                    {"outcome": count.outcome, "reason": count.reason, "entries": count.entries}
                    for count in now.facts.outcomes
                    if count.reason
                ],
                "step_ms": STEP_MS,
                "series": [
                    {"at": rfc3339(beat.at), "outcome": beat.outcome, "entries": beat.entries}
                    for beat in now.facts.pulse
                ],
            }
        )

    async def log(self, _request: Request) -> Response:
        """The transparency log: what is signed, what is witnessed, and by whom."""
        now = await self._watch.current()
        if now.log is None:
            raise Problem(
                "NOT_FOUND",
                "the alliance configuration has no [log] checkpoint_key; run: alliance members keygen --hub",
            )
        return JSONResponse({"at": rfc3339(now.at)} | log_json(now.log, now.at))

    def ledger_head(self, request: Request) -> Response:
        """The newest entry stored. Its ETag changes with it, so a poll with If-None-Match costs nothing."""
        head = self._reader.head()
        etag = f'"{head.seq}-{head.hash.hex()[:16]}"'
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers={"etag": etag})
        newest = self._reader.entry(head.seq)
        totals: dict[str, int] = {}
        for count in self._reader.outcomes():
            totals[count.outcome] = totals.get(count.outcome, 0) + count.entries
        body = {
            "seq": head.seq,
            "hash": head.hash.hex(),
            "at": rfc3339(newest.entry.ledger_at) if newest else None,
            "outcomes": totals,
        }
        return JSONResponse(body, headers={"etag": etag, "cache-control": "no-cache"})

    def ledger_entries(self, request: Request) -> Response:
        """Entries with a seq above `after`, oldest first. `next` is the following page, null at the end."""
        query = _query(request, "after", "limit", "outcome", "member")
        after, limit = _whole(query, "after", 0, None), _whole(query, "limit", 100, MAX_LIMIT)
        outcome, member = query.get("outcome"), query.get("member")
        _one_of("outcome", outcome, OUTCOMES)
        _one_of("member", member, tuple(self._alliance.members))
        found = self._reader.entries(after=after, limit=limit + 1, outcome=outcome, member=member)
        items = [self._entry_json(stored) for stored in found[:limit]]
        following = dict(query) | {"after": str(items[-1]["seq"])} if len(found) > limit else None
        return JSONResponse({"items": items, "next": _next(request, following)})

    def ledger_entry(self, request: Request) -> Response:
        """One entry with its event decoded."""
        seq = int(request.path_params["seq"])
        stored = self._reader.entry(seq)
        if stored is None:
            head = self._reader.head().seq
            raise Problem("NOT_FOUND", f"ledger entry {seq} is not stored, newest is {head}")
        try:
            event: Json | None = to_json(decode(stored.entry.event))
        except Unreadable:
            event = None
        return JSONResponse(self._entry_json(stored) | {"event": event})

    def cases(self, request: Request) -> Response:
        """Open cases, longest waiting first, or by deadline. `after` is where a case stands: `<ms>/<kind>/<id>`."""
        query = _query(request, "member", "kind", "overdue", "order", "after", "limit")
        member, kind = query.get("member"), query.get("kind")
        _one_of("member", member, tuple(self._alliance.members))
        _one_of("kind", kind, tuple(machine.kind for machine in machines()))
        _one_of("overdue", query.get("overdue"), ("true",))
        _one_of("order", query.get("order"), ("age", "due"))
        order: CaseOrder = "due" if query.get("order") == "due" else "age"
        limit, now = _whole(query, "limit", 100, MAX_LIMIT), self._watch.now()
        found = self._reader.open_cases(
            member=member,
            kind=kind,
            due_before=now if "overdue" in query else None,
            order=order,
            after=_case_place(query.get("after")),
            limit=limit + 1,
        )
        following = None
        if len(found) > limit:
            following = dict(query) | {"after": _spelled(case_place(found[limit - 1], order))}
        items = [case_json(case, self._alliance.members, now) for case in found[:limit]]
        return JSONResponse({"items": items, "next": _next(request, following)})

    def cases_summary(self, request: Request) -> Response:
        """Open cases by next actor, those with most overdue ones first."""
        _query(request)
        now = self._watch.now()
        found = self._reader.turns(now)
        items = [turns_json(turns, self._alliance.members, now) for turns in found]
        return JSONResponse({"at": rfc3339(now), "items": items})

    def dead_letters(self, request: Request) -> Response:
        """Dead letters with an offset above `after`, oldest first."""
        query = _query(request, "after", "limit")
        limit = _whole(query, "limit", 100, MAX_LIMIT)
        after = _whole(query, "after", -1, None)
        found = self._reader.dead_letters(after=after, limit=limit + 1)
        following = (
            dict(query) | {"after": str(found[limit - 1].offset)} if len(found) > limit else None
        )
        items = [_letter_json(stored) for stored in found[:limit]]
        return JSONResponse({"items": items, "next": _next(request, following)})

    async def catalogue(self, _request: Request) -> Response:
        """Event types with what belongs to each, clauses they serve, tables of lives, reasons with their advice."""
        return JSONResponse(whole_json())

    async def schemas(self, _request: Request) -> Response:
        return JSONResponse({"items": [_schema_json(schema) for schema in catalogue().events()]})

    def schema(self, request: Request) -> Response:
        """One event type: its schema, an example and what people should know."""
        event = request.path_params["event"]
        schema = catalogue().newest.get(event)
        if schema is None:
            raise Problem(
                "NOT_FOUND", f"event type {event!r} is not in the catalogue, see /api/v1/schemas"
            )
        return JSONResponse(
            _schema_json(schema)
            | {
                "avsc": schema.avro,
                "example": _if_there(example, schema),
                "prose": _if_there(prose, schema),
            }
        )

    async def problem(self, request: Request) -> Response:
        """What a problem code means."""
        code = request.path_params["code"]
        kind = KINDS.get(code)
        if kind is None:
            raise Problem("NOT_FOUND", f"problem code {code!r}, wanted one of {', '.join(KINDS)}")
        return JSONResponse(
            {"code": code, "status": kind.status, "title": kind.title, "next_step": kind.next_step}
        )

    def _entry_json(self, stored: StoredEntry) -> Json:
        """The fields of the entry's schema, the event apart; its hash; a sentence about it."""
        values = to_json(stored.entry)
        del values["event"]
        words = sentence(stored.entry, self._alliance.members)
        return values | {"hash": stored.hash.hex(), "sentence": words._asdict()}


def _trouble_json(trouble: Trouble) -> Json:
    return {
        "code": trouble.code,
        "severity": trouble.severity,
        "about": trouble.about,
        "title": trouble.title._asdict(),
        "detail": trouble.detail._asdict(),
        "next_step": trouble.next_step._asdict(),
    }


def _member_json(view: MemberView) -> Json:
    member = view.member
    return {
        "code": member.code,
        "name": {"en": member.name_en, "zh": member.name_zh},
        "region": member.region,
        "city": member.city,
        "state": view.state,
        "activity": to_json(view.activity) if view.activity else None,
        "connectors": [
            to_json(connector.heartbeat)
            | {
                "reported_state": connector.heartbeat.state,
                "state": connector.state,
                "age_s": round(connector.age_s, 1),
            }
            for connector in view.connectors
        ],
    }


def _topic_json(view: TopicView) -> Json:
    return {
        "name": view.offsets.name,
        "partitions": len(view.offsets.end),
        "end_offset": sum(view.offsets.end.values()),
        "messages": view.offsets.messages,
        "rate_per_s": None if view.rate_per_s is None else round(view.rate_per_s, 2),
        "readers": [_lag_json(lag) for lag in view.lags],
    }


def _lag_json(lag: Lag) -> Json:
    return {"stage": lag.stage, "position": lag.position, "lag_messages": lag.lag_messages}


def _letter_json(stored: StoredLetter) -> Json:
    """The fields of the dead letter's schema, key, value and headers apart: they may be anything."""
    values = to_json(stored.letter)
    for name in ("key", "value", "headers"):
        del values[name]
    return values | {"offset": stored.offset, "value_bytes": len(stored.letter.value or b"")}


def _schema_json(schema: Schema) -> Json:
    return {
        "event": schema.event,
        "version": schema.version,
        "id": catalogue().schema_id(schema),
        "writer": list(schema.writer),
        "key": schema.key,
        "subject": schema.subject,
        "clauses": list(schema.clauses),
        "doc": schema.doc,
    }


def _if_there(read: Any, schema: Schema) -> Any:
    try:
        return read(schema)
    except FileNotFoundError:  # records of the hub need neither example nor prose
        return None


def _query(request: Request, *allowed: str) -> Mapping[str, str]:
    query = dict(request.query_params)
    unknown = sorted(query.keys() - set(allowed))
    if unknown:
        raise Problem(
            "INVALID_PARAMETER",
            f"unknown {', '.join(unknown)}, wanted {', '.join(allowed) or 'none'}",
        )
    return query


def _whole(query: Mapping[str, str], name: str, default: int, most: int | None) -> int:
    raw = query.get(name)
    if raw is None:
        return default
    if (
        not (raw.isascii() and raw.isdecimal())
        or len(raw) > 18
        or (most and not 1 <= int(raw) <= most)
    ):
        wanted = f"a number from 1 to {most}" if most else "a whole number"
        raise Problem("INVALID_PARAMETER", f"{name} is {raw[:40]!r}, wanted {wanted}")
    return int(raw)


def _one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise Problem(
            "INVALID_PARAMETER", f"{name} is {value[:40]!r}, wanted one of {', '.join(allowed)}"
        )


def _case_place(raw: str | None) -> CasePlace | None:
    if raw is None:
        return None
    found = re.fullmatch(r"(-?[0-9]{1,18})/([^/]+)/(.+)", raw, re.DOTALL)
    if not found:
        raise Problem(
            "INVALID_PARAMETER", f"after is {raw[:40]!r}, wanted what `next` said, <ms>/<kind>/<id>"
        )
    return CasePlace(int(found[1]), found[2], found[3])


def _spelled(place: CasePlace) -> str:
    return f"{place.at_ms}/{place.kind}/{place.id}"


def _next(request: Request, query: Mapping[str, str] | None) -> str | None:
    return f"{request.url.path}?{urlencode(query)}" if query else None
