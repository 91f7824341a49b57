"""Campuses for the conformance suite: an API that takes batches, and one that takes signed webhooks one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from connectors.http_poll.conformance import FAULTS, FakeApi
from connectors.sdk.testing import Case
from connectors.sdk.webhooks import TIMESTAMP, Genuine, secret_bytes, verify


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


_SECRET = "whsec_" + "c2lnbmVkIGZvciBhIHRlc3QgYW5kIG5vdGhpbmc="  # of a campus that is none


def _now_of(headers: Mapping[str, str]) -> datetime:
    """The campus's clock agrees with ours."""
    return datetime.fromtimestamp(int(headers[TIMESTAMP]), UTC)


def singles() -> Case:
    """An API that takes one signed delivery at a time; it knows repeats by their idempotency key and says 409."""
    told: list[str] = []
    poison: set[str] = set()
    known: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        headers = dict(request.headers)
        keys = [secret_bytes(_SECRET)]
        found = verify(headers, request.content, keys, _now_of(headers))
        if not isinstance(found, Genuine):
            return httpx.Response(400, json={"error": "not signed"})
        item = json.loads(request.content)
        if item["eventId"] in poison:
            return httpx.Response(422, json={"error": "no such course"})
        key = headers["idempotency-key"]
        if key in known:
            return httpx.Response(409, json={})
        known.add(key)
        told.append(f"{item['kind']}:{item['eventId']}:{item.get('outcome', '')}")
        return httpx.Response(204)

    api = FakeApi(answer)
    tables = f"""
[sink.campus]
kind = "http_push"
form = "single"
base_url = "http://campus.example"
path = "/inbox"
batch = 50
sign = {{ secret = "{_SECRET}" }}
"""
    return Case(
        tables,
        transport=httpx.MockTransport(api.handle),
        told=told,
        poison=poison,
        faults=("500", "lost answer", "429", "401"),
        # One for each of five requests at once, so that nothing gets through.
        fault=lambda mode, times: api.fault(mode, times + 2),
    )


CASES = {"batches": batches, "strict": lambda: batches(strict=True), "singles": singles}
