"""A headless Chromium for tests that look at pages, and a server in a thread for them to look at.

The browser is the distribution's own (`chromium`), driven by Playwright's Python package; nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright
from starlette.applications import Starlette

from hub.console.cli import make_server

LAUNCH_ARGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
]  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; skips with the reason when there is none, and fails instead where CI=true."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        reason = "no chromium on PATH; run: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=LAUNCH_ARGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A page with everything it complained about and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def shot(self, path: Path) -> Path:
        """Save a picture of the whole page."""
        self.page.screenshot(path=path, full_page=True)
        return path


@contextmanager
def watched_page(
    browser: Browser,
    *,
    width: int = 1440,
    height: int = 900,
    dark: bool = False,
    locale: str = "en-US",
) -> Iterator[Watched]:
    """A fresh page of that size; console errors, page errors and failed requests become complaints."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        locale=locale,
    )
    watched = Watched(context.new_page())

    def failed(request: Request) -> None:
        if not request.url.partition("?")[0].endswith("/events"):  # a stream ends with its page
            watched.complaints.append(f"{request.failure} {request.url}")

    watched.page.on(
        "console",
        lambda said: (
            watched.complaints.append(said.text) if said.type in ("error", "warning") else None
        ),
    )
    watched.page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    watched.page.on("requestfailed", failed)
    context.on("request", lambda request: watched.urls.append(request.url))
    try:
        yield watched
    finally:
        context.close()


@contextmanager
def served(application: Starlette) -> Iterator[str]:
    """The application on a free loopback port, in a thread of this process; gives its address."""
    server = make_server(application, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, name="console")
    thread.start()
    try:
        give_up = time.monotonic() + 20
        while not server.started:
            if time.monotonic() > give_up or not thread.is_alive():
                raise RuntimeError("the console did not start within 20 s")
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.handle_exit(signal.SIGTERM, None)
        thread.join(20)
