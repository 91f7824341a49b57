"""The console as an operator sees it: in a browser, over a seeded store, without a broker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine

from hub.console.app import build_app
from hub.store import tables
from hub.store.fold import Taken, fold, load_positions
from hub.store.queries import Reader
from hub.transparency.files import CHECKPOINT, WITNESSED, LogFiles
from schemas import topics
from schemas.catalogue import catalogue
from schemas.codec import decode
from schemas.members import Alliance, load_alliance
from schemas.records import ConnectorCommand
from schemas.tlog.checkpoint import Checkpoint, sign_checkpoint
from schemas.tlog.cosignature import ED25519_COSIGNATURE, CosignatureSigner
from schemas.tlog.note import Signer, join_note, split_note
from tests.support.browser import chromium, served, watched_page
from tests.support.operators_day import operators_day
from tests.support.readmodel import Chain, FakeKafka, alliance_day, award, sample_broker

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


class Hub:
    """A served console, and the two things a test may change behind it."""

    def __init__(self, url: str, engine: Engine, kafka: FakeKafka, ledger: list[Taken]) -> None:
        self.url, self.kafka = url, kafka
        self._engine, self._ledger = engine, ledger

    def decide(self, number: int) -> int:
        """One more entry reaches the store; returns its seq."""
        with self._engine.connect() as connection:
            positions = load_positions(connection)
        at = positions[topics.LEDGER_ENTRIES, 0]
        chain = Chain(at.head, self._ledger)
        entry = chain.add(award(number, "10617", "10650", datetime.now(UTC)))
        fold(self._engine, positions, chain.taken[-1:])
        return entry.seq


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    alliance = load_alliance(ROOT / "alliance.toml")
    codes, now = list(alliance.members), datetime.now(UTC)
    records = alliance_day(codes, now)
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    tables.prepare(engine)
    fold(engine, {}, records)
    kafka = FakeKafka(sample_broker(codes, records, now))
    ledger = [record for record in records if record.topic == topics.LEDGER_ENTRIES]
    with served(build_app(Reader(engine), alliance, kafka)) as url:
        yield Hub(url, engine, kafka, ledger)
    engine.dispose()


def test_the_page_shows_the_alliance_and_asks_nobody_else(browser: Browser, hub: Hub) -> None:
    """Twenty members, the ledger and what is wrong; no console error, no request off this machine."""
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(hub.url)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        expect(page.locator(".member")).to_have_count(20)
        expect(page.locator("#attention")).to_contain_text("no code in grades.csv")
        expect(page.locator("#flow")).to_contain_text("400")
        expect(page.locator("#topics")).to_contain_text("ledger.entries")
        assert page.locator("#outcomes rect.applied").count() > 20
        assert page.title().startswith("(")
        page.wait_for_timeout(2500)  # one refresh
        assert watched.complaints == []
        assert all(url.startswith(hub.url) for url in watched.urls), watched.urls


def test_a_new_entry_appears_by_itself(browser: Browser, hub: Hub) -> None:
    """Operators do not press reload; and what they paused stays as it is."""
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(hub.url)
        expect(page.locator("#live")).to_have_attribute("data-state", "live")
        newest = page.locator("#entries tbody tr").first
        seq = hub.decide(9001)
        expect(newest).to_contain_text(str(seq), timeout=8000)
        expect(newest).to_contain_text("Chongqing University of Posts and Telecommunications")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#live")).to_have_attribute("data-state", "paused")
        later = hub.decide(9002)
        page.wait_for_timeout(3000)
        expect(newest).to_contain_text(str(seq))
        page.get_by_role("button", name="Resume").click()
        expect(newest).to_contain_text(str(later))
        assert watched.complaints == []


def test_the_page_speaks_chinese_and_remembers(browser: Browser, hub: Hub) -> None:
    """The choice in the address is kept; live updates come in the same language."""
    with watched_page(browser, width=390, height=844, dark=True) as watched:
        page = watched.page
        page.goto(hub.url)
        page.get_by_role("link", name="中文").click()
        expect(page.locator("h2").first).to_have_text("需要处理")
        page.goto(hub.url)
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        seq = hub.decide(9003)
        newest = page.locator("#entries tbody tr").first
        expect(newest).to_contain_text(str(seq), timeout=8000)
        expect(newest).to_contain_text("重庆邮电大学")
        assert (
            page.evaluate("document.documentElement.scrollWidth") == 390
        )  # nothing to scroll sideways
        assert watched.complaints == []


def test_an_absent_broker_is_said_and_its_return_too(browser: Browser, hub: Hub) -> None:
    """The page must be there when things are broken."""
    there = hub.kafka.broker
    hub.kafka.broker = replace(there, reachable=False, error="connection refused")
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(hub.url)
        expect(page.locator("#attention li").first).to_contain_text("Broker unreachable")
        hub.kafka.broker = there
        expect(page.locator("#attention")).not_to_contain_text("Broker unreachable", timeout=8000)
        assert watched.complaints == []


def test_the_page_works_by_keyboard_and_without_a_script(browser: Browser, hub: Hub) -> None:
    """First the skip link, then the controls; and a browser without scripts still shows everything."""
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(hub.url)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Pause")).to_be_focused()
        link = page.locator("#entries tbody a").first
        link.focus()
        page.wait_for_timeout(2500)  # a refresh must not take the focus away
        expect(page.locator("#entries tbody a").first).to_be_focused()
        assert watched.complaints == []
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(hub.url)
    expect(page.locator(".member")).to_have_count(20)
    expect(page.locator("#live")).to_have_text(re.compile("Not live"))
    context.close()


def test_the_catalogue_is_read_in_both_languages_and_on_a_phone(browser: Browser, hub: Hub) -> None:
    """From the main page and back; pictures with their words inside, nothing to scroll sideways."""
    with watched_page(browser) as watched:
        page = watched.page
        page.goto(hub.url)
        page.get_by_role("link", name="Catalogue").click()
        expect(page.locator(".types td:first-child code")).to_have_count(len(catalogue().events()))
        expect(page.get_by_role("img", name="Enrollment")).to_contain_text("associated")
        assert words_outside(page) == []
        page.locator("#life-enrollment summary").click()
        expect(page.locator("#life-enrollment table")).to_contain_text("not there yet")
        page.get_by_role("link", name="中文").click()
        expect(page.get_by_role("img", name="跨校选课")).to_contain_text("候补")
        assert words_outside(page) == []
        page.get_by_role("link", name="控制台").click()
        expect(page.locator("#members")).to_be_visible()
        assert watched.complaints == []
        assert all(url.startswith(hub.url) for url in watched.urls), watched.urls
    for lang in ("en", "zh"):
        with watched_page(browser, width=390, height=844, dark=True) as watched:
            watched.page.goto(f"{hub.url}/catalogue?lang={lang}")
            assert watched.page.evaluate("document.documentElement.scrollWidth") == 390
            assert watched.complaints == []


LOOKED_AT = ("/connectors", "/audit", "/messages?topic=member.10650.in", "/events/", "/schemas")


@pytest.mark.parametrize("path", LOOKED_AT)
def test_the_pages_for_looking_stand_on_a_laptop_and_a_phone(
    browser: Browser, tmp_path: Path, path: str
) -> None:
    """Two languages, light and dark; no console error, nothing to scroll sideways, no request off this machine."""
    now = datetime.now(UTC)
    day = operators_day(tmp_path, now)
    if path == "/events/":
        path += decode(day.entry.event).envelope.event_id  # type: ignore[attr-defined]
    app = build_app(day.reader, day.alliance, day.kafka, messages=day.messages, operate=True)
    with served(app) as url:
        for lang, width, dark in (("en", 1440, False), ("zh", 390, True)):
            with watched_page(browser, width=width, height=844, dark=dark) as watched:
                watched.page.goto(f"{url}{path}{'&' if '?' in path else '?'}lang={lang}")
                expect(watched.page.locator("main")).to_be_visible()
                assert watched.page.locator("main").inner_text().strip()
                assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
                assert watched.complaints == []
                assert all(one.startswith(url) for one in watched.urls), watched.urls
    day.engine.dispose()


def test_an_operator_holds_a_connector_and_sees_that_it_was_asked(
    browser: Browser, tmp_path: Path
) -> None:
    """By the page's own form, with a reason; the order is listed."""
    sent = []

    class Commands:
        async def send(self, bootstrap: str, command: ConnectorCommand) -> None:
            sent.append((command.member, command.verb, command.why))

    day = operators_day(tmp_path, datetime.now(UTC))
    app = build_app(
        day.reader,
        day.alliance,
        day.kafka,
        messages=day.messages,
        commands=Commands(),
        operate=True,
    )
    with served(app) as url, watched_page(browser) as watched:
        page = watched.page
        page.goto(f"{url}/connectors?member=10611&lang=en")
        page.locator("input[name=why]").first.fill("SIS upgrade tonight")
        page.get_by_role("button", name=re.compile("pause", re.IGNORECASE)).first.click()
        expect(page).to_have_url(re.compile("asked="))
        assert sent == [("10611", "pause", "SIS upgrade tonight")]
        assert watched.complaints == []
    day.engine.dispose()


class Log:
    """The alliance with keys, and the checkpoints of a folder as signer and collector write them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        plain = load_alliance(ROOT / "alliance.toml")
        self._key = Signer(plain.origin, bytes(32))
        self._witnesses = {
            code: CosignatureSigner(
                f"{member.domain}/witness", ED25519_COSIGNATURE, bytes([number]) * 32
            )
            for number, (code, member) in enumerate(plain.members.items())
        }
        self.alliance: Alliance = replace(
            plain,
            log=self._key.verifier.vkey,
            members={
                code: replace(member, witness=self._witnesses[code].verifier.vkey)
                for code, member in plain.members.items()
            },
        )

    def sign(self, size: int) -> None:
        LogFiles(self.folder).write({CHECKPOINT: self._checkpoint(size)})

    def witness(self, size: int) -> None:
        text, lines = split_note(self._checkpoint(size))
        given = [signer.cosign(text, 1_790_000_000) for signer in self._witnesses.values()]
        LogFiles(self.folder).write({WITNESSED: join_note(text, (*lines, *given))})

    def _checkpoint(self, size: int) -> bytes:
        return sign_checkpoint(
            Checkpoint(self.alliance.origin, size, bytes([size % 251]) * 32), [self._key]
        )


def test_the_log_s_proof_is_seen_to_grow(browser: Browser, tmp_path: Path) -> None:
    """Signed and witnessed sizes come by themselves, on a screen and on a phone, and lead to the files."""
    log, now = Log(tmp_path), datetime.now(UTC)
    codes = list(log.alliance.members)
    records = alliance_day(codes, now)
    engine = tables.open_engine(f"sqlite:///{tmp_path / 'hub.db'}")
    tables.prepare(engine)
    fold(engine, {}, records)
    kafka = FakeKafka(sample_broker(codes, records, now))
    log.sign(390)
    log.witness(380)
    with served(build_app(Reader(engine), log.alliance, kafka, log_folder=tmp_path)) as url:
        with watched_page(browser) as watched:
            page = watched.page
            page.goto(url)
            panel = page.locator("#proof")
            expect(panel).to_contain_text("10 to sign")
            expect(panel).to_contain_text("10 to be cosigned")
            expect(panel).to_contain_text("20 of 20")
            log.sign(400)
            log.witness(400)
            expect(panel.get_by_role("link", name="400")).to_have_count(2, timeout=8000)
            expect(panel).not_to_contain_text("to sign")
            for link in panel.get_by_role("link", name="400").all():
                told = page.request.get(f"{url}{link.get_attribute('href')}").text()
                assert told.startswith(f"{log.alliance.origin}\n400\n")
            assert watched.complaints == []
        for lang, words in (("en", "Members that cosign"), ("zh", "四川 12 / 12，至少 6")):
            with watched_page(browser, width=390, height=844, dark=True) as watched:
                watched.page.goto(f"{url}/?lang={lang}")
                expect(watched.page.locator("#proof")).to_contain_text(words)
                assert watched.page.evaluate("document.documentElement.scrollWidth") == 390
                assert watched.complaints == []
    engine.dispose()


def words_outside(page: Page) -> list[str]:
    """Texts of pictures that do not fit into their box or their picture, as this browser measures them."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("svg.life")].flatMap((svg) => {
          const whole = svg.viewBox.baseVal;
          const over = [...svg.querySelectorAll("text")].filter((text) => {
            const box = text.getBBox();
            return box.x < 0 || box.y < 0 || box.x + box.width > whole.width || box.y + box.height > whole.height;
          });
          const wide = [...svg.querySelectorAll("g.box > text")].filter(
            (text) => text.getBBox().width > text.parentElement.querySelector(".edge").getBBox().width - 4);
          return [...over, ...wide].map((text) => text.textContent);
        })"""
    )
    return found
