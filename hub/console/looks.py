"""Pages that are drawn when asked for: connectors, audit, messages, an event's way, schemas.

Each is a form or a link and a table; the questions behind them are in `hub.api`. What cannot be answered is a sentence on
the page, which stays usable: a broker that is away is when people look.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from hub.api.connectors_view import COOKIE as ORDER_COOKIE
from hub.api.connectors_view import VERBS, Audit, ConnectorsView, chosen, new_token, order_form, who
from hub.api.event_path import EventPath
from hub.api.messages_view import DEFAULT_LIMIT, NEWEST, MessagesView
from hub.api.overview import STATES, Overview, Watch
from hub.api.problems import KINDS, Problem
from hub.api.sentences import name_of, sentence
from hub.api.troubles import duration
from hub.console.pages import CHINA, answer, environment
from hub.console.schema_rows import Row, by_domain, readers
from hub.console.words import COOKIE, LANGS, domain_name, wanted_lang, word
from hub.store.queries import StoreUnavailable
from schemas import topics
from schemas.catalogue import catalogue

LOOKED = ("topic", "partition", "offset", "limit", "filter")


class Looks:
    """The handlers with what they ask."""

    def __init__(
        self, watch: Watch, connectors: ConnectorsView, messages: MessagesView, paths: EventPath
    ) -> None:
        self._watch, self._connectors = watch, connectors
        self._messages, self._paths = messages, paths
        self._templates = environment()
        self._rows: list[tuple[str, list[Row]]] | None = None  # nothing in it changes while we run

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/connectors", self.connectors, methods=["GET"]),
            Route("/connectors", self.order, methods=["POST"]),
            Route("/audit", self.audit),
            Route("/messages", self.messages),
            Route("/event", self.event_asked),
            Route("/events/{event_id:path}", self.event),
            Route("/schemas", self.schemas),
        ]

    async def connectors(self, request: Request) -> Response:
        """Every connector with its parts; with `asked`, the order of that id and its answer."""
        return await self._connectors_page(request)

    async def _connectors_page(self, request: Request, problem: Problem | None = None) -> Response:
        now = await self._watch.current()
        query = {k: v for k, v in request.query_params.items() if k in ("state", "member") and v}
        every, asked_id = chosen(now, {}), request.query_params.get("asked", "")
        found, asked = every, None
        try:
            found = chosen(now, query)
            if asked_id:
                done = await self._connectors.audit()
                asked = next((one for one in done.actions if one.command_id == asked_id), None)
        except Problem as error:
            problem = problem or error
        counts = Counter(one.state for one in every)
        token = request.cookies.get(ORDER_COOKIE) or new_token()
        response = self._page(
            request,
            now,
            "connectors",
            problem,
            found=found,
            total=len(every),
            states=[(name, counts[name]) for name in STATES if counts[name]],
            state=query.get("state", ""),
            member=query.get("member", ""),
            operate=self._connectors.operate,
            verbs=VERBS,
            token=token,
            asked=asked,
            asked_id=asked_id,
            again=f"/connectors?{urlencode({**query, 'asked': asked_id})}",
            inbox_end=lambda code: _end(now, topics.inbox(code)),
        )
        if self._connectors.operate:
            response.set_cookie(
                ORDER_COOKIE, token, samesite="strict", httponly=True, path="/connectors"
            )
        return response

    async def order(self, request: Request) -> Response:
        """One order from the page's own form, then the page again with what was asked."""
        try:
            fields = await order_form(request)
            member = fields.get("member", "")
            command_id = await self._connectors.order(
                member,
                fields.get("connector", ""),
                fields.get("verb", ""),
                who(request),
                fields.get("why", "").strip(),
            )
        except Problem as error:
            return await self._connectors_page(request, error)
        shown = urlencode({"member": member, "asked": command_id})
        return RedirectResponse(f"/connectors?{shown}", status_code=303)

    async def audit(self, request: Request) -> Response:
        """Who asked what of which connector and why, newest first, with the answers."""
        now, problem, found = await self._watch.current(), None, Audit((), whole=True)
        try:
            found = await self._connectors.audit()
        except Problem as error:
            problem = error
        return self._page(
            request, now, "audit", problem, actions=found.actions, all_read=found.whole
        )

    async def messages(self, request: Request) -> Response:
        """The newest messages of a partition, or those from an offset on."""
        now, problem, found = await self._watch.current(), None, None
        asked = {name: request.query_params.get(name, "") for name in LOOKED}
        asked = {name: value for name, value in asked.items() if value}
        if asked.get("topic"):
            try:
                found = await self._messages.look(asked)
            except Problem as error:
                problem = error
        older = newer = ""
        if found is not None:
            if found.start > found.first:
                older = _at(asked, max(found.first, found.start - found.limit))
            if found.following is not None:
                newer = _at(asked, found.following)
        newest = asked.get("offset", NEWEST) == NEWEST
        shown = (found.shown[::-1] if newest else found.shown) if found else ()
        defaults = {"topic": "", "partition": "0", "offset": NEWEST, "limit": str(DEFAULT_LIMIT)}
        return self._page(
            request,
            now,
            "messages",
            problem,
            query={**defaults, "filter": "", **asked},
            topic_names=sorted(now.broker.topics),
            found=found,
            messages=shown,
            older=older,
            newer=newer,
            pretty=lambda value: json.dumps(value, ensure_ascii=False, indent=2),
        )

    async def event_asked(self, request: Request) -> Response:
        """The form's way to an event's page."""
        event_id = request.query_params.get("id", "").strip()
        return RedirectResponse(f"/events/{quote(event_id)}" if event_id else "/messages", 303)

    async def event(self, request: Request) -> Response:
        """An event's way, hop by hop."""
        now, problem, path = await self._watch.current(), None, None
        event_id = request.path_params["event_id"]
        try:
            path = await self._paths.find(event_id)
        except Problem as error:
            problem = error
        except StoreUnavailable as error:
            problem = Problem("STORE_UNAVAILABLE", str(error))
        return self._page(request, now, "event", problem, path=path, event_id=event_id)

    async def schemas(self, request: Request) -> Response:
        """Schemas with versions, how these go together, and how many members read each."""
        now = await self._watch.current()
        if self._rows is None:
            self._rows = await asyncio.to_thread(by_domain, catalogue())
        telling, counts = readers(now.facts.heartbeats)
        return self._page(
            request,
            now,
            "schemas",
            None,
            domains=self._rows,
            telling=telling,
            readers=lambda event, version: counts.get(f"{event}/{version}", 0),
        )

    def _page(
        self,
        request: Request,
        now: Overview,
        name: str,
        problem: Problem | None,
        **found: Any,
    ) -> Response:
        lang = wanted_lang(request)
        context = self._context(request, now, lang)
        context |= {"title": word(_TITLES.get(name, name), lang), "problem": _said(problem, lang)}
        page = self._templates.get_template(f"{name}.html").render(context | found)
        response = answer(request, page, lang)
        if problem is not None:
            response.status_code = KINDS[problem.code].status
        return response

    def _context(self, request: Request, now: Overview, lang: str) -> dict[str, Any]:
        members = now.alliance.members
        query = {k: v for k, v in request.query_params.items() if k != COOKIE}
        path = quote(request.url.path)
        return {
            "now": now,
            "lang": lang,
            "here": request.url.path,
            "lang_links": {one: f"{path}?{urlencode({**query, COOKIE: one})}" for one in LANGS},
            "t": lambda key: word(key, lang),
            "of": lambda group, key: _of(group, key, lang),
            "said": lambda text: getattr(text, lang),
            "member_name": lambda code: getattr(name_of(members, code), lang),
            "sentence": lambda entry: getattr(sentence(entry, members), lang),
            "domain_name": lambda key: domain_name(key, lang),
            "duration": lambda seconds: getattr(duration(seconds), lang),
            "age": lambda at: getattr(duration(max(0.0, (now.at - at).total_seconds())), lang),
            "spell": lambda ms: _spell(ms, lang),
            "day": _day,
        }


_TITLES: Mapping[str, str] = {"messages": "messages_page", "event": "event_way"}


def _of(group: str, key: str, lang: str) -> str:
    """A word of a group, such as a verb; the key itself when it is newer than `words`."""
    said = word(f"{group}_{key}", lang)
    return key if said == f"{group}_{key}" else said


def _said(problem: Problem | None, lang: str) -> Mapping[str, str] | None:
    """A problem for the page. Titles are words of both languages, details are what a program said."""
    if problem is None:
        return None
    kind = KINDS[problem.code]
    title, step = f"problem_{problem.code}", f"step_{problem.code}"
    found = {"title": word(title, lang), "next_step": word(step, lang), "detail": str(problem)}
    if found["title"] == title or lang == "en":
        found |= {"title": kind.title, "next_step": kind.next_step}
    return found


def _at(query: Mapping[str, str], offset: int) -> str:
    return f"/messages?{urlencode({**query, 'offset': str(offset)})}"


def _end(now: Overview, topic: str) -> str:
    end = now.broker.end(topic)
    return "–" if end is None else f"{end:,}"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(CHINA):%Y-%m-%d}"


def _spell(ms: int, lang: str) -> str:
    """A time between hops, with its sign: clocks differ."""
    sign, size = ("+" if ms >= 0 else "−"), abs(ms)
    if size < 10_000:
        return f"{sign}{size} ms" if lang == "en" else f"{sign}{size} 毫秒"
    return f"{sign}{getattr(duration(size / 1000), lang)}"
