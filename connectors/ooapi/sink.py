"""Writes enrollments and results to a campus as associations of the Open Education API.

Owns the conversation: look at the association, then create or change it. Deliveries go one after another. A result that is
not known (no answer in time) is asked for by the next look: the association says itself which event it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.ooapi.associations import Wanted, known, wanted
from connectors.ooapi.options import SinkOptions
from connectors.sdk.contract import (
    Applied,
    ConfigError,
    ConnectorError,
    Context,
    Delivery,
    Duplicate,
    NotNow,
    Rejected,
    Stale,
    Transient,
    Verdict,
)
from connectors.sdk.http import JsonClient, Refused, Reply, json_bytes

_MERGE = {"Content-Type": "application/merge-patch+json"}  # RFC 7396, as the specification asks
_MISSING = frozenset({404, 410})


class Associations:
    """The associations of one campus."""

    def __init__(self, options: SinkOptions, context: Context) -> None:
        self._options = options
        self._client = JsonClient.of(options, context.clock, context.transport)
        self._own_ids = ""  # once seen, nothing more is created: each try would leave one behind

    async def check(self) -> str:
        """GET /, which the specification has for this; it tells the campus nothing."""
        answer = await self._client.request("GET", "/")
        return f"GET {answer.url}: it answers"

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """One verdict for each delivery. What fails before anything was done is raised; later it is about the rest."""
        verdicts: list[Verdict] = []
        for delivery in batch:
            try:
                verdicts.append(await self._one(delivery))
            except Transient as error:
                if not verdicts:
                    raise
                # Those before are done; of one key, none may overtake this one.
                verdicts += [NotNow(str(error), 0)] * (len(batch) - len(verdicts))
                break
            except ConnectorError:
                if not verdicts:
                    raise
                verdicts += [
                    NotNow("a delivery before it was refused by the campus as a whole", 0)
                ] * (len(batch) - len(verdicts))
                break
        return verdicts

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _one(self, delivery: Delivery) -> Verdict:
        found = wanted(delivery, self._options)
        if isinstance(found, str):
            return Rejected(f"{delivery.event_id}: {found}", "OOAPI_NO_PLACE")
        held = await self._held(found.association_id)
        if held is not None:
            stands = known(held, delivery)
            if stands:
                return Duplicate() if stands == "same" else Stale()
            return await self._change(found, delivery)
        if found.new is None:
            return Rejected(
                f"{delivery.event_id}: the campus has no association {found.association_id} for this {delivery.event}; "
                "was its request brought here?",
                "OOAPI_NO_ASSOCIATION",
            )
        return await self._create(found, found.new, delivery)

    async def _held(self, id: str) -> Mapping[str, Any] | None:
        reply = await self._client.exchange(
            "GET", f"{self._options.associations()}/{id}", params=self._asked()
        )
        if reply.status in _MISSING:
            return None
        data = self._client.read(reply).data
        if not isinstance(data, dict):
            raise Transient(f"GET {reply.url}: no JSON object; is this the Open Education API?")
        return data

    async def _create(self, found: Wanted, body: dict[str, Any], delivery: Delivery) -> Verdict:
        path = self._options.associations()
        if self._options.create == "put":
            where, method = f"{path}/{found.association_id}", "PUT"
        else:
            where, method = f"{path}/external/me", "POST"
            if self._own_ids:
                raise ConfigError(self._own_ids)
        reply = await self._client.exchange(method, where, content=json_bytes(body))
        verdict = self._verdict(reply, delivery)
        if not isinstance(verdict, Applied) or method == "PUT":
            return verdict
        given = self._client.read(reply).data.get("associationId")
        if given not in (None, found.association_id):
            self._own_ids = (
                f"POST {reply.url}: the campus gave the association an id of its own, and would not be found again under "
                'ours; have it keep associationId, or write create = "put" (version 6)'
            )
            raise ConfigError(self._own_ids)
        return verdict

    async def _change(self, found: Wanted, delivery: Delivery) -> Verdict:
        where = f"{self._options.associations()}/{found.association_id}"
        reply = await self._client.exchange(
            "PATCH", where, content=json_bytes(found.changes), headers=_MERGE
        )
        return self._verdict(reply, delivery)

    def _verdict(self, reply: Reply, delivery: Delivery) -> Verdict:
        if reply.ok:
            return Applied()
        try:
            self._client.complain(reply)
        except Refused as error:
            return Rejected(f"{delivery.event_id}: {error}", f"HTTP_{reply.status}")

    def _asked(self) -> dict[str, str]:
        return {"consumer": self._options.consumer} if self._options.consumer else {}
