"""Brings deliveries to a JSON API: in batches with one result for each item, or one request for each.

Owns which form is taken, and the options of both. Trying again is the runtime's business: the same deliveries come again,
under the same keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from connectors.http_push.batches import Batches, idempotency_key
from connectors.http_push.options import PushOptions
from connectors.http_push.singles import Singles
from connectors.sdk.contract import Context, Delivery, SinkKind, Verdict
from connectors.sdk.http import JsonClient
from connectors.sdk.mapping.local import load_local_mapping

__all__ = ["SINK", "HttpPush", "PushOptions", "idempotency_key"]


class _Form(Protocol):
    async def check(self) -> str:
        """Say what answered."""

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """One verdict for each delivery."""


class HttpPush:
    """One API of one campus."""

    def __init__(self, options: PushOptions, context: Context) -> None:
        self._client = JsonClient.of(options, context.clock, context.transport)
        if options.form == "batch":
            self._form: _Form = Batches(options, self._client, context.clock)
            return
        codes = context.folder / "codes"
        bodies = {
            event: load_local_mapping(context.folder / file, codes, member=context.member)
            for event, file in options.bodies.items()
        }
        self._form = Singles(options, self._client, context.clock, bodies)

    async def check(self) -> str:
        """Ask the API without telling it anything."""
        return await self._form.check()

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """The API's verdicts."""
        return await self._form.apply(batch)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


SINK = SinkKind(options=PushOptions, open=HttpPush)
