"""The picture of a table: everything in it, nothing over anything else, whatever the table."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from hub.console.app import build_app
from hub.console.machines import layers, layout, svg
from hub.console.words import DOMAINS, STATES_AND_STEPS
from hub.domain.life import CLOCK, START, Machine, Step
from hub.events import machines
from hub.events.reference import actors, event_types
from hub.store import tables
from hub.store.queries import Reader
from schemas.clauses import clauses
from schemas.members import load_alliance
from tests.support.readmodel import START as NOON
from tests.support.readmodel import FakeKafka, sample_broker

ROOT = Path(__file__).parents[2]
NAMES = [f"s{number}" for number in range(7)]


@st.composite
def any_machine(draw: st.DrawFn) -> Machine:
    """Any table at all, with ways back, loops, states nobody reaches, several beginnings."""
    ends = st.sampled_from(NAMES)
    rows = draw(
        st.lists(
            st.tuples(
                st.one_of(st.just(START), ends),
                st.sampled_from(["go", "halt", "turn"]),
                ends,
                st.sampled_from([("home",), ("home", "host"), (CLOCK,)]),
            ),
            min_size=1,
            max_size=20,
            unique_by=lambda row: row[:2],
        )
    )
    steps = tuple(Step(*row) for row in rows)
    return Machine("any", "Any", "任意", steps, {draw(ends): "home"})


def texts(picture: str) -> list[str]:
    root = ElementTree.fromstring(picture)  # noqa: S314 - our own
    return [node.text or "" for node in root.iter("text")]


def check(machine: Machine, lang: str) -> None:
    drawn = svg(machine, lang)
    shown = texts(drawn)
    for state in machine.states:
        assert state in shown
    for step in machine.steps:
        by = getattr(actors(machine, step), lang)
        assert any(step.name in text for text in shown)
        assert any(by in text for text in shown)
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own
    closed = [node for node in root.iter("g") if node.get("class") == "box closed"]
    assert len(closed) == sum(machine.closed(state) for state in machine.states)
    made = layout(machine, lang)
    for row in made.rows:
        for left, right in pairwise(made.nodes[key] for key in row):
            assert left.x + left.right < right.x - right.width / 2 + 0.2  # places are rounded
    for node in made.nodes.values():
        assert node.x - node.width / 2 >= 0
        assert node.x + node.right <= made.width
    assert "NaN" not in drawn


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.kind)
def test_a_picture_has_every_state_and_step(machine: Machine, lang: str) -> None:
    """And fits a column of the page, or nearly."""
    check(machine, lang)
    assert layout(machine, lang).width < 620


@given(machine=any_machine(), lang=st.sampled_from(["en", "zh"]))
@settings(max_examples=60, deadline=None)
def test_any_table_has_a_picture(machine: Machine, lang: str) -> None:
    """Tables come and go; nobody should have to look after their pictures."""
    check(machine, lang)


@given(machine=any_machine())
@settings(max_examples=60, deadline=None)
def test_steps_lead_down_but_those_that_lead_back(machine: Machine) -> None:
    """A reader follows a life from top to bottom."""
    ranks, back = layers(machine)
    for step in machine.steps:
        if step.before not in (START, step.after):
            up = (step.before, step.after) in back
            assert (ranks[step.before] > ranks[step.after]) == up
            assert ranks[step.before] != ranks[step.after]


def test_a_picture_is_the_same_every_time() -> None:
    """Or reloading a page would be restless."""
    for machine in machines():
        assert svg(machine, "en") == svg(machine, "en")


def test_names_are_escaped() -> None:
    """A table's words are text, whatever is in them."""
    odd = Machine("odd", "<i>", "x", (Step(START, "<b>&", "<u>", ("home",)),), {"<u>": "<script>"})
    assert {"<b>&", "<u>", "turn: <script>"} <= set(texts(svg(odd, "en")))


def test_states_steps_and_domains_have_chinese_words() -> None:
    """A new word shows its code until somebody gives it one; those of today have theirs."""
    words = {
        word for one in machines() for step in one.steps for word in (step.before, step.name, step.after)
    } - {START}  # fmt: skip
    assert words <= STATES_AND_STEPS.keys()
    assert {one.schema.domain for one in event_types()} <= DOMAINS.keys()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starlette]:
    alliance = load_alliance(ROOT / "alliance.toml")
    engine = tables.open_engine(f"sqlite:///{tmp_path_factory.mktemp('store') / 'hub.db'}")
    tables.prepare(engine)
    kafka = FakeKafka(sample_broker(list(alliance.members), [], NOON))
    yield build_app(Reader(engine), alliance, kafka)
    engine.dispose()


def get(app: Starlette, path: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            return await client.get(path)

    return asyncio.run(ask())


@pytest.mark.parametrize(("lang", "title"), [("en", "Event types"), ("zh", "事件类型")])
def test_the_catalogue_page_keeps_the_content_security_policy(
    app: Starlette, lang: str, title: str
) -> None:
    """No script or style in the page, nothing from elsewhere; every type, table and clause is there."""
    answer = get(app, f"/catalogue?lang={lang}")
    assert answer.status_code == 200
    assert answer.headers["content-language"] == lang
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    page = answer.text
    assert title in page
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://|javascript:", page)
    for one in event_types():
        assert f"<code>{one.event}</code>" in page
        assert getattr(one.meaning, lang)[:20].replace("'", "&#39;") in page
    for machine in machines():
        assert f'id="life-{machine.kind}"' in page
        assert svg(machine, lang) in page
    for clause in clauses():
        assert f'id="{clause.id}"' in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_the_main_page_leads_to_the_catalogue(app: Starlette) -> None:
    assert 'href="/catalogue"' in get(app, "/").text


def test_the_api_answers_with_the_whole_catalogue(app: Starlette) -> None:
    """Types, clauses, tables and reasons at once, for a portal."""
    body = get(app, "/api/v1/catalogue").json()
    assert [item["event"] for item in body["items"]] == [one.event for one in event_types()]
    assert len(body["clauses"]) == 17
    assert [one["thing"] for one in body["machines"]] == [one.kind for one in machines()]
    assert all(one["en"] and one["zh"] for one in body["reasons"])
