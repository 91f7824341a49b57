"""A campus for the conformance suite: an API that takes batches."""

from __future__ import annotations

import json
from typing import Any

import httpx

from connectors.http_poll.conformance import FAULTS, FakeApi
from connectors.sdk.testing import Case


def batches(*, strict: bool = False) -> Case:
    """An API with one result for each item; a strict one refuses a whole batch for one bad item."""
    told: list[str] = []
    poison: set[str] = set()

    def take(item: dict[str, Any]) -> dict[str, str]:
        key = f"{item['kind']}:{item['eventId']}:{item.get('outcome', '')}"
        if item["eventId"] in poison:
            return {"eventId": item["eventId"], "status": "rejected", "message": "no such course"}
        status = "duplicate" if key in told else "applied"
        if status == "applied":
            told.append(key)
        return {"eventId": item["eventId"], "status": status, "message": ""}

    def answer(request: httpx.Request) -> httpx.Response:
        items = json.loads(request.content)["items"]
        if strict and any(item["eventId"] in poison for item in items):
            return httpx.Response(422, json={"error": "bad item"})
        return httpx.Response(200, json={"results": [take(item) for item in items]})

    api = FakeApi(answer)
    tables = """
[sink.campus]
kind = "http_push"
base_url = "http://campus.example"
path = "/inbox"
batch = 50
"""
    return Case(
        tables,
        transport=httpx.MockTransport(api.handle),
        told=told,
        poison=poison,
        faults=(*FAULTS, "lost answer"),
        fault=api.fault,
    )


CASES = {"batches": batches, "strict": lambda: batches(strict=True)}
