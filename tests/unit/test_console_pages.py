"""Pages that are drawn when asked for: what they show, what they hide, who may order what. Topics and read model in memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from hub.console.app import build_app
from tests.support.operators_day import HOST, Day, operators_day

NOW = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
ORIGIN = "http://console.example"


class Commands:
    """Orders as they would leave."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, ...]] = []

    async def send(self, bootstrap, command) -> None:
        self.sent.append((command.member, command.connector, command.verb, command.by, command.why))


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    found = operators_day(tmp_path, NOW)
    yield found
    found.engine.dispose()


def asked(day: Day, *requests: tuple, commands: Commands | None = None, operate: bool = False):
    """The answers to requests, one after another, as one browser gets them."""

    async def all_of_them():
        app = build_app(
            day.reader, day.alliance, day.kafka, lambda: NOW,
            messages=day.messages, commands=commands, operate=operate,
        )  # fmt: skip
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                return [await _one(client, *request) for request in requests]

    return asyncio.run(all_of_them())


async def _one(client, path, form=None, headers=None):
    if form is None:
        return await client.get(path)
    page = await client.get("/connectors")
    found = re.search(r'name="token" value="([^"]+)"', page.text)
    body = {"token": found[1] if found else "none", **form}
    return await client.post("/connectors", data=body, headers=headers or {"origin": ORIGIN})


ORDER = {"member": HOST, "connector": "campus", "verb": "pause", "why": "SIS upgrade"}


def test_connectors_are_shown_with_their_parts_and_what_they_say_stays_text(day):
    """A reason may hold anything a campus wrote; it must not become a part of the page."""
    page, filtered = asked(day, ("/connectors",), ("/connectors?state=degraded",))
    assert page.status_code == 200
    for words in ("sql_outbox", "source.grades", "0123456789abcdef", "6000"):
        assert words in page.text
    assert "grade &lt;b&gt;A++&lt;/b&gt; has no code" in page.text
    assert "<b>A++</b>" not in page.text
    assert "source.rows" in filtered.text
    assert "source.grades" not in filtered.text


def test_without_operate_there_are_no_orders(day):
    """A console without login must not hold up a university."""
    commands = Commands()
    page, refused = asked(day, ("/connectors",), ("/connectors", ORDER), commands=commands)
    assert 'name="verb"' not in page.text
    assert "--operate" in page.text
    assert refused.status_code == 403
    assert commands.sent == []


def test_an_order_leaves_once_with_who_and_why(day):
    """Who held a part of a campus is asked about later."""
    commands = Commands()
    (answer,) = asked(day, ("/connectors", ORDER), commands=commands, operate=True)
    assert answer.status_code == 303
    assert [one[:3] + one[4:] for one in commands.sent] == [(HOST, "campus", "pause", "SIS upgrade")]  # fmt: skip
    assert commands.sent[0][3]


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({**ORDER, "token": "another"}, None),
        (ORDER, {"origin": "http://elsewhere.example"}),
        ({**ORDER, "verb": "drop"}, None),
        ({**ORDER, "member": "99999"}, None),
    ],
    ids=["no token", "another site", "a verb that is none", "nobody"],
)
def test_an_order_from_elsewhere_or_about_nothing_is_refused(day, form, headers):
    """A page of somebody else's may send forms in the operator's name."""
    commands = Commands()
    (answer,) = asked(day, ("/connectors", form, headers), commands=commands, operate=True)
    assert answer.status_code in (400, 403, 404)
    assert commands.sent == []


def test_the_audit_shows_orders_newest_first_with_their_answers(day):
    """What was asked, by whom and why, and what came of it."""
    (page,) = asked(day, ("/audit",))
    text = page.text
    assert text.index("SIS upgrade &lt;tonight&gt;") < text.index("new certificate")
    assert "li.na at 10.0.0.7" in text
    assert "<tonight>" not in text


def test_a_message_that_does_not_decode_says_why_and_shows_no_record(day):
    """The campus's text may be about a person; the reason is enough."""
    inbox = "member.10650.in"
    page, listed = asked(
        day, (f"/messages?topic={inbox}",), (f"/api/v1/messages?topic={inbox}&partition=0",)
    )
    assert page.status_code == listed.status_code == 200
    for text in (page.text, listed.text):
        assert "Zhang Wei" not in text
        assert "2026012345678" not in text
    assert len(listed.json()["items"]) == 3


def test_an_event_is_followed_hop_by_hop(day):
    """From the member's outbox to the other member's inbox, with the time each hop took."""
    from schemas.codec import decode

    event_id = decode(day.entry.event).envelope.event_id
    page, path, unknown = asked(
        day, (f"/events/{event_id}",), (f"/api/v1/events/{event_id}",), ("/api/v1/events/none",)
    )
    assert page.status_code == path.status_code == 200
    assert unknown.status_code == 404
    said = path.text
    for topic in (day.entry.source_topic, "ledger.in", "ledger.entries", "member.10610.in"):
        assert topic in said
        assert topic in page.text


def test_an_absent_broker_is_a_sentence_and_the_page_stays(day):
    """That is when people look."""
    day.messages.down = True
    for path in ("/messages?topic=ledger.in", "/audit"):
        (page,) = asked(day, (path,))
        assert page.status_code in (200, 503)
        assert "broker" in page.text.lower()


def test_schemas_say_how_many_members_read_a_version(day):
    """Before a version ends, its readers are counted."""
    english, chinese = asked(day, ("/schemas?lang=en",), ("/schemas?lang=zh",))
    assert "credit.awarded" in english.text
    assert 'lang="zh' in chinese.text
