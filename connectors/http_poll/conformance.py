"""Campuses for the conformance suite: an API of numbered changes, one of changes since a time, and collections."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from connectors.sdk.testing import OFFERING_MAPPING, START, Case, offering_row
from schemas.envelope import rfc3339

_PAGE = 2  # small, so that pages end between changes that belong together


class FakeApi:
    """A JSON API that can misbehave. `answer` makes the good answer."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self._answer = answer
        self._faults: list[str] = []

    def fault(self, mode: str, times: int) -> None:
        """Answer the next requests in this way."""
        self._faults = [mode] * times

    def handle(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request, good or bad."""
        mode = self._faults.pop() if self._faults else "ok"
        if mode == "timeout":
            raise httpx.ReadTimeout("too slow", request=request)
        if mode == "lost answer":  # it is done, but nobody hears of it
            self._answer(request)
            raise httpx.ReadTimeout("too slow", request=request)
        bad = {
            "500": httpx.Response(500, json={"error": "down"}),
            "html": httpx.Response(200, html="<html><body>Please log in</body></html>"),
            "half json": httpx.Response(
                200, content=b'{"items": [{"numb', headers={"content-type": "application/json"}
            ),
            "429 storm": httpx.Response(429, json={}),
            "503 for a while": httpx.Response(503, headers={"retry-after": "20"}, json={}),
            "429": httpx.Response(429, headers={"retry-after": "7"}, json={}),
            "401": httpx.Response(401, json={}),
        }
        return bad[mode] if mode in bad else self._answer(request)


FAULTS = ("500", "timeout", "html", "half json", "429", "429 storm", "503 for a while", "401")


def changes() -> Case:
    """An API that lists changes after a number."""
    rows: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        after = [row for row in rows if row["number"] > int(request.url.params["after"])]
        return httpx.Response(200, json={"items": after[:_PAGE], "hasMore": len(after) > _PAGE})

    api = FakeApi(answer)
    tables = """
[source.campus]
kind = "http_poll"
base_url = "http://campus.example"
path = "/changes"
params = { after = "{cursor}" }
records = "items"
more = "hasMore"
cursor = "number"
initial = "0"
mapping = "mapping/offering.toml"
"""
    return Case(
        tables,
        mappings={"offering.toml": OFFERING_MAPPING},
        transport=httpx.MockTransport(api.handle),
        happen=lambda n: rows.extend([offering_row(len(rows) + 1 + i) for i in range(n)]),
        spoil=lambda: rows.append(offering_row(len(rows) + 1, credits="many")),
        to_tell=lambda: sum(row["credits"] != "many" for row in rows),
        faults=FAULTS,
        fault=api.fault,
    )


def collection() -> Case:
    """A collection in numbered pages, as the Open Education API has them: it lists what is, not what changed."""
    rows: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        number, size = (int(request.url.params[name]) for name in ("pageNumber", "pageSize"))
        start = (number - 1) * size
        items = [{k: v for k, v in row.items() if k != "eventId"} for row in rows]
        return httpx.Response(
            200,
            json={"items": items[start : start + size], "hasNextPage": start + size < len(rows)},
        )

    api = FakeApi(answer)
    tables = f"""
[source.campus]
kind = "http_poll"
base_url = "http://campus.example/v5"
path = "/offerings"
paging = {{ type = "page", param = "pageNumber", size_param = "pageSize", size = {_PAGE} }}
records = "items"
more = "hasNextPage"
changes = {{ key = "id" }}
mapping = "mapping/offering.toml"
"""
    mapping = OFFERING_MAPPING.replace('"eventId"', '"_change.eventId"').replace(
        '"version"', '"_change.version"'
    )
    return Case(
        tables,
        mappings={"offering.toml": mapping},
        transport=httpx.MockTransport(api.handle),
        happen=lambda n: rows.extend([offering_row(len(rows) + 1 + i) for i in range(n)]),
        spoil=lambda: rows.append(offering_row(len(rows) + 1, credits="many")),
        to_tell=lambda: sum(row["credits"] != "many" for row in rows),
        faults=FAULTS,
        fault=api.fault,
    )


def since() -> Case:
    """Changes since a time, in linked pages; three changes have each time, so that pages end between equals.

    A token opens the API, and each is good for three answers only.
    """
    rows: list[dict[str, Any]] = []
    tokens = {"issued": 0, "left": 0}

    def token(_: httpx.Request) -> httpx.Response:
        tokens["issued"] += 1
        tokens["left"] = 3
        return httpx.Response(
            200, json={"access_token": f"token-{tokens['issued']}", "expires_in": 3600}
        )

    def page(request: httpx.Request) -> httpx.Response:
        since = datetime.fromisoformat(request.url.params["since"])
        found = [row for row in rows if datetime.fromisoformat(row["changedAt"]) >= since]
        start = int(request.url.params.get("from", "0"))
        body: dict[str, Any] = {"items": found[start : start + _PAGE]}
        if start + _PAGE < len(found):
            on = request.url.copy_set_param("from", str(start + _PAGE))
            body["links"] = {"next": on.raw_path.decode()}
        return httpx.Response(200, json=body)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            return token(request)
        tokens["left"] -= 1
        good = request.headers.get("authorization") == f"Bearer token-{tokens['issued']}"
        return page(request) if good and tokens["left"] >= 0 else httpx.Response(401, json={})

    def add(**changes: Any) -> None:
        number = len(rows) + 1
        at = START - timedelta(hours=1) + timedelta(seconds=number // 3)
        rows.append(offering_row(number, changedAt=rfc3339(at), **changes))

    def happen(count: int) -> None:
        for _ in range(count):
            add()

    def appear(at: datetime) -> None:
        rows.append(offering_row(len(rows) + 1, changedAt=rfc3339(at)))

    api = FakeApi(answer)
    tables = """
[source.campus]
kind = "http_poll"
base_url = "http://campus.example"
path = "/changes"
params = { since = "{cursor}" }
records = "items"
cursor = { field = "changedAt", initial = "2026-01-01T00:00:00Z", lookback_s = 60 }
paging = { type = "next_link", path = "links.next" }
id = "eventId"
key = "id"
mapping = "mapping/offering.toml"
[source.campus.auth]
type = "oauth2_client_credentials"
token_url = "http://campus.example/token"
client_id = "hub"
client_secret = "s3cret"
"""
    return Case(
        tables,
        mappings={"offering.toml": OFFERING_MAPPING},
        transport=httpx.MockTransport(api.handle),
        happen=happen,
        spoil=lambda: add(credits="many"),
        to_tell=lambda: sum(row["credits"] != "many" for row in rows),
        faults=FAULTS,
        fault=api.fault,
        tricks={
            "late row": lambda: appear(START - timedelta(hours=1, seconds=20)),
        },
    )


CASES = {"changes": changes, "since": since, "collection": collection}
