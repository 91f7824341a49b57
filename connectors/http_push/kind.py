"""Sends batches to a JSON API and reads one result for each item.

Owns the request, the idempotency key and the search for a poison item. Retrying a batch is the runtime's business: it
comes again with the same items, hence under the same key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from connectors.sdk.contract import (
    Applied,
    Context,
    Delivery,
    Duplicate,
    Options,
    Rejected,
    SinkKind,
    Transient,
    Verdict,
)
from connectors.sdk.http import Auth, JsonClient, NoAuth, Refused

# When a system refuses this many at once and each alone, it is the request that is wrong, not the items.
_ALL_REFUSED = 5


class PushOptions(Options):
    """Options of `http_push`; times in seconds."""

    base_url: str
    path: str
    method: Literal["POST", "PUT"] = "POST"
    timeout_s: float = Field(default=10, gt=0)
    auth: Auth = NoAuth()


class HttpPush:
    """One API of one campus."""

    def __init__(self, options: PushOptions, context: Context) -> None:
        self._options = options
        self._clock = context.clock
        self._client = JsonClient(
            options.base_url,
            timeout_s=options.timeout_s,
            auth=options.auth,
            transport=context.transport,
        )

    async def check(self) -> str:
        """Send an empty batch."""
        await self._send([])
        return f"{self._options.method} {self._options.base_url}{self._options.path}: took an empty batch"

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """The API's verdicts. A batch refused as a whole is halved until the poison item stands alone."""
        verdicts = await self._apply(batch)
        if len(batch) >= _ALL_REFUSED and all(
            isinstance(verdict, _RefusedAlone) for verdict in verdicts
        ):
            raise Transient(
                f"{self._options.method} {self._options.path}: refuses each of {len(batch)} items "
                f"({verdicts[0]}); the request must be wrong, so nothing is parked; correct sink or API"
            )
        return [Rejected(v.message) if isinstance(v, _RefusedAlone) else v for v in verdicts]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _apply(self, batch: Sequence[Delivery]) -> list[Verdict]:
        try:
            return await self._send(batch)
        except Refused as error:
            if len(batch) == 1:
                return [_RefusedAlone(str(error))]
            half = len(batch) // 2
            return await self._apply(batch[:half]) + await self._apply(batch[half:])

    async def _send(self, batch: Sequence[Delivery]) -> list[Verdict]:
        answer = await self._client.request(
            self._options.method,
            self._options.path,
            body={"items": [delivery.to_json() for delivery in batch]},
            headers={"Idempotency-Key": idempotency_key(batch)},
            now=self._clock.now(),
        )
        return self._verdicts(batch, answer.data)

    def _verdicts(self, batch: Sequence[Delivery], data: Any) -> list[Verdict]:
        """Read one result for each item; an answer that does not fit is an unknown result, so all is sent again."""
        results = data.get("results") if isinstance(data, dict) else None
        if not isinstance(results, list) or len(results) != len(batch):
            found = len(results) if isinstance(results, list) else "no"
            raise Transient(
                f"{self._options.method} {self._options.path}: {found} results for {len(batch)} items; "
                "the API must answer one result for each, in order"
            )
        return [self._verdict(item, result) for item, result in zip(batch, results, strict=True)]

    def _verdict(self, delivery: Delivery, result: Any) -> Verdict:
        status = result.get("status") if isinstance(result, dict) else None
        if status is None or result.get("eventId") != delivery.event_id:
            raise Transient(
                f"{self._options.method} {self._options.path}: a result does not name event {delivery.event_id} "
                "where its item stands; the API must answer in order"
            )
        if status == "applied":
            return Applied()
        if status == "duplicate":
            return Duplicate()
        return Rejected(str(result.get("message") or f"status {status!r} without a message"))


class _RefusedAlone(Rejected):
    """Refused by the status of a request that held this item only."""


def idempotency_key(batch: Sequence[Delivery]) -> str:
    """The same for the same items in the same order, whenever they are sent."""
    return hashlib.sha256("\n".join(item.key for item in batch).encode()).hexdigest()[:32]


SINK = SinkKind(options=PushOptions, open=HttpPush)
