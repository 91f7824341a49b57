"""Batches: one request for many items, one result for each.

Owns the request and the search for a poison item.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.http_push.options import PushOptions, headers, idempotency_key
from connectors.sdk.clock import Clock
from connectors.sdk.contract import (
    Applied,
    Delivery,
    Duplicate,
    Rejected,
    Stale,
    Transient,
    Verdict,
)
from connectors.sdk.http import JsonClient, Refused, json_bytes

__all__ = ["Batches", "idempotency_key"]

# When a system refuses this many at once and each alone, it is the request that is wrong, not the items.
ALL_REFUSED = 5
_VERDICTS: dict[str, Verdict] = {"applied": Applied(), "duplicate": Duplicate(), "stale": Stale()}


class Batches:
    """The form `batch`."""

    def __init__(self, options: PushOptions, client: JsonClient, clock: Clock) -> None:
        self._options = options
        self._client = client
        self._clock = clock
        self._at = f"{options.method} {options.path}"

    async def check(self) -> str:
        """Send an empty batch."""
        await self._send([])
        at = self._client.address(self._options.path)
        return f"{self._options.method} {at}: took an empty batch"

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """The API's verdicts. A batch refused as a whole is halved until the poison item stands alone."""
        verdicts = await self._apply(batch)
        if len(batch) >= ALL_REFUSED and all(isinstance(v, RefusedAlone) for v in verdicts):
            raise all_refused(self._at, verdicts)
        return [plain(verdict) for verdict in verdicts]

    async def _apply(self, batch: Sequence[Delivery]) -> list[Verdict]:
        try:
            return await self._send(batch)
        except Refused as error:
            if len(batch) == 1:
                return [RefusedAlone(str(error), f"HTTP_{error.status}")]
            half = len(batch) // 2
            return await self._apply(batch[:half]) + await self._apply(batch[half:])

    async def _send(self, batch: Sequence[Delivery]) -> list[Verdict]:
        body = json_bytes({"items": [delivery.to_json() for delivery in batch]})
        reply = await self._client.exchange(
            self._options.method,
            self._options.path,
            content=body,
            headers=headers(self._options, batch, body, self._clock.now()),
        )
        return self._verdicts(batch, self._client.read(reply).data)

    def _verdicts(self, batch: Sequence[Delivery], data: Any) -> list[Verdict]:
        """Read one result for each item; an answer that does not fit is an unknown result, so all is sent again."""
        results = data.get("results") if isinstance(data, dict) else None
        if not isinstance(results, list) or len(results) != len(batch):
            found = len(results) if isinstance(results, list) else "no"
            raise Transient(
                f"{self._at}: {found} results for {len(batch)} items; the API must answer one result for each, in order"
            )
        return [self._verdict(item, result) for item, result in zip(batch, results, strict=True)]

    def _verdict(self, delivery: Delivery, result: Any) -> Verdict:
        status = result.get("status") if isinstance(result, dict) else None
        if status is None or result.get("eventId") != delivery.event_id:
            raise Transient(
                f"{self._at}: a result does not name event {delivery.event_id} "
                "where its item stands; the API must answer in order"
            )
        if isinstance(status, str) and status in _VERDICTS:
            return _VERDICTS[status]
        return Rejected(str(result.get("message") or f"status {status!r} without a message"))


class RefusedAlone(Rejected):
    """Refused by the status of a request that held this item only."""


def plain(verdict: Verdict) -> Verdict:
    """The verdict as the runtime knows it."""
    if isinstance(verdict, RefusedAlone):
        return Rejected(verdict.message, verdict.code)
    return verdict


def all_refused(at: str, verdicts: Sequence[Verdict]) -> Transient:
    """What a system says that refuses many, each by itself."""
    return Transient(
        f"{at}: refuses each of {len(verdicts)} items ({verdicts[0]}); the request must be wrong, so nothing is "
        "parked; correct sink or API"
    )
