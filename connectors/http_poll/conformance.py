"""Two campuses for the conformance suite: one with an API of changes, one with a plain collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from connectors.sdk.testing import OFFERING_MAPPING, Case, offering_row

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
            "429": httpx.Response(429, headers={"retry-after": "7"}, json={}),
            "401": httpx.Response(401, json={}),
        }
        return bad[mode] if mode in bad else self._answer(request)


FAULTS = ("500", "timeout", "html", "half json", "429", "401")


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


CASES = {"changes": changes, "collection": collection}
