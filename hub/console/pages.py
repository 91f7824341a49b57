"""The page, its regions and their live updates.

A region is a template `<name>.html` drawn into the element with that id. The page is whole without a script; the
script only puts newer regions in place, which `/events` sends when they changed. A new page is a template and a
handler here or in `hub.console.looks`; a new region is a name in `REGIONS`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from hub.api.overview import REFRESH_S, Overview, Watch
from hub.api.sentences import name_of, sentence
from hub.api.troubles import duration, region, stage_name, troubles
from hub.console.machines import svg
from hub.console.plot import plot
from hub.console.words import COOKIE, LANGS, domain_name, gloss, wanted_lang, word
from hub.events import machines, reference
from schemas.members import Alliance

REGIONS = (
    "status",
    "attention",
    "flow",
    "proof",
    "members",
    "outcomes",
    "cases",
    "entries",
    "topics",
    "member_topics",
    "letters",
)
CHINA = timezone(timedelta(hours=8))  # one time zone, no summer time since 1991
COOKIE_S = 365 * 86_400
KEEP_ALIVE_S = 15.0  # below the idle limit of common proxies


class Pages:
    """Draws overviews. Every reader of one overview in one language gets the same drawing."""

    def __init__(self, watch: Watch, closing: asyncio.Event) -> None:
        self._watch, self._closing = watch, closing
        self._drawn: tuple[Overview, dict[str, dict[str, str]]] | None = None
        self._catalogues: dict[str, str] = {}  # by language; nothing in them changes while we run
        self._templates = environment()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.home),
            Route("/catalogue", self.catalogue),
            Route("/events", self.events),
        ]

    async def home(self, request: Request) -> Response:
        """The console, in the language asked for; asking in the address is remembered."""
        lang = wanted_lang(request)
        overview = await self._watch.current()
        page = self._templates.get_template("page.html").render(
            self._context(overview, lang), regions=self.regions(overview, lang)
        )
        return answer(request, page, lang)

    async def catalogue(self, request: Request) -> Response:
        """Event types, lives of things and clauses: what this installation knows, whatever runs or does not."""
        lang = wanted_lang(request)
        if lang not in self._catalogues:
            alliance = (await self._watch.current()).alliance
            self._catalogues[lang] = await asyncio.to_thread(self._catalogue, lang, alliance)
        return answer(request, self._catalogues[lang], lang)

    def _catalogue(self, lang: str, alliance: Alliance) -> str:
        """Takes about half a second, so not in the loop that serves live updates."""
        context = _catalogue_context(lang)
        return self._templates.get_template("catalogue.html").render(context, alliance=alliance)

    async def events(self, request: Request) -> Response:
        """Server-sent events: `region` with the name and HTML of each region that changed."""
        return StreamingResponse(
            self._changes(wanted_lang(request)),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _changes(self, lang: str) -> AsyncIterator[str]:
        sent: dict[str, str] = {}
        quiet_s = 0.0
        while not self._closing.is_set():
            drawn = self.regions(await self._watch.current(), lang)
            changed = [name for name in REGIONS if drawn[name] != sent.get(name)]
            for name in changed:
                data = json.dumps({"name": name, "html": drawn[name]}, ensure_ascii=False)
                yield f"event: region\ndata: {data}\n\n"
            quiet_s = 0.0 if changed else quiet_s + REFRESH_S
            if quiet_s >= KEEP_ALIVE_S:
                quiet_s = 0.0
                yield ": nothing new\n\n"
            sent = drawn
            try:
                await asyncio.wait_for(self._closing.wait(), REFRESH_S)
            except TimeoutError:
                continue

    def regions(self, overview: Overview, lang: str) -> dict[str, str]:
        """Every region's HTML by name."""
        if self._drawn is None or self._drawn[0] is not overview:
            self._drawn = (overview, {})
        by_lang = self._drawn[1]
        if lang not in by_lang:
            context = self._context(overview, lang)
            by_lang[lang] = {
                name: self._templates.get_template(f"{name}.html").render(context)
                for name in REGIONS
            }
        return by_lang[lang]

    def _context(self, overview: Overview, lang: str) -> Mapping[str, Any]:
        """What templates may use. Functions of two languages are given with theirs filled in."""
        members = overview.alliance.members
        return {
            "now": overview,
            "lang": lang,
            "t": lambda name: word(name, lang),
            "said": lambda text: getattr(text, lang),
            "name": lambda code: getattr(name_of(members, code), lang),
            "stage": lambda name: getattr(stage_name(name), lang),
            "region_name": lambda name: getattr(region(name), lang),
            "sentence": lambda entry: getattr(sentence(entry, members), lang),
            "duration": lambda seconds: getattr(duration(seconds), lang),
            "troubles": troubles(overview),
            "plot": plot(overview.facts.pulse, overview.at),
            "totals": overview.totals(),
            "age": lambda since: getattr(duration(_seconds(since, overview.at)), lang),
            "is_members_topic": lambda topic: topic.startswith("member."),
            "here": "/",
            "lang_links": {one: f"/?lang={one}" for one in LANGS},
        }


def environment() -> Environment:
    """The templates, with what every page may use."""
    made = Environment(
        loader=PackageLoader("hub.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"clock": _clock, "whole": _whole, "coded": _coded}
    return made


def answer(request: Request, page: str, lang: str) -> Response:
    """A page in a language; one that was asked for in the address is remembered."""
    response = HTMLResponse(page, headers={"cache-control": "no-store", "content-language": lang})
    if COOKIE in request.query_params:
        response.set_cookie(COOKIE, lang, max_age=COOKIE_S, samesite="lax", httponly=True)
    return response


def _catalogue_context(lang: str) -> Mapping[str, Any]:
    lives = machines()
    return {
        "lang": lang,
        "t": lambda name: word(name, lang),
        "said": lambda text: getattr(text, lang),
        "title": lambda machine: machine.title_zh if lang == "zh" else machine.title_en,
        "named": lambda code: _named(code, gloss(code, lang)),
        "domain_name": lambda name: domain_name(name, lang),
        "types": reference.by_domain(),
        "coverage": reference.coverage(),
        "lives": lives,
        "pictures": {machine.kind: svg(machine, lang) for machine in lives},
        "events_about": reference.events_about,
        "actors": reference.actors,
        "turn": reference.turn,
        "here": "/catalogue",
        "lang_links": {one: f"/catalogue?lang={one}" for one in LANGS},
    }


def _named(code: str, said: str) -> Markup:
    return Markup("<code>{}</code> {}").format(code, said)


def _clock(moment: datetime) -> Markup:
    """A time of day in China, with the exact time for machines."""
    local = moment.astimezone(CHINA)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="milliseconds"), f"{local:%Y-%m-%d %H:%M:%S}", f"{local:%H:%M:%S}"
    )


def _seconds(since: datetime, now: datetime) -> float:
    """Never below zero: the ledger's clock may be ahead of ours."""
    return max(0.0, (now - since).total_seconds())


def _whole(number: float) -> str:
    return f"{number:,.0f}"


def _coded(text: str) -> Markup:
    """What stands between backticks as code, everything else escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first
