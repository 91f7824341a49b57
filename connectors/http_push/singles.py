"""Singles: one request for each delivery. Keys go side by side, the deliveries of one key one after another.

Owns what a status means for one delivery. A result that is not known (no answer in time) is `NotNow`: the same request
comes again under the same key, and the campus recognizes what it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.http_push.address import filled
from connectors.http_push.batches import ALL_REFUSED, RefusedAlone, all_refused, plain
from connectors.http_push.options import PushOptions, headers
from connectors.sdk.clock import Clock
from connectors.sdk.contract import (
    Applied,
    ConfigError,
    ConnectorError,
    Delivery,
    Duplicate,
    NotNow,
    Rejected,
    RetryLater,
    Stale,
    Transient,
    Verdict,
)
from connectors.sdk.http import JsonClient, Refused, Reply, json_bytes
from connectors.sdk.mapping.event import MappingError
from connectors.sdk.mapping.local import LocalMapping

_HELD: Mapping[int, Verdict] = {409: Duplicate(), 412: Stale()}
_GONE = (
    410  # nobody wants webhooks there any more: Standard Webhooks, "Delivery success and failure"
)
_ABOUT_ONE = frozenset(
    {403, 404, 410}
)  # where the path names one thing, these are about that thing


class Singles:
    """The form `single`."""

    def __init__(
        self,
        options: PushOptions,
        client: JsonClient,
        clock: Clock,
        bodies: Mapping[str, LocalMapping],
    ) -> None:
        self._options = options
        self._bodies = bodies
        self._client = client
        self._clock = clock
        self._at = f"{options.method} {options.path}"

    async def check(self) -> str:
        """GET `check_path`, or ask with OPTIONS what the address takes: neither tells it anything."""
        options = self._options
        if options.check_path is not None:
            reply = await self._client.exchange("GET", options.check_path)
            if not reply.ok:
                self._client.complain(reply)
            return f"GET {reply.url}: status {reply.status}"
        reply = await self._client.exchange("OPTIONS", options.path.partition("{")[0])
        if reply.status in (401, 403) or (reply.status >= 500 and reply.status != 501):
            self._client.complain(reply)
        return f"OPTIONS {reply.url}: status {reply.status}; name a check_path to be told more"

    async def apply(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """One verdict for each delivery. What is wrong with all of them is raised instead."""
        verdicts: list[Verdict | ConnectorError | None] = [None] * len(batch)
        at_once = asyncio.Semaphore(self._options.concurrency)
        async with asyncio.TaskGroup() as keys:
            for group in self._groups(batch):
                keys.create_task(self._in_turn(group, batch, verdicts, at_once))
        errors = [verdict for verdict in verdicts if isinstance(verdict, ConnectorError)]
        self._raise_what_is_about_all(verdicts, errors)
        said = [_verdict(verdict) for verdict in verdicts]
        if len(batch) >= ALL_REFUSED and all(isinstance(one, RefusedAlone) for one in said):
            raise all_refused(self._at, said)
        return [plain(verdict) for verdict in said]

    def _groups(self, batch: Sequence[Delivery]) -> Sequence[Sequence[int]]:
        """The places in the batch that must go one after another."""
        if self._options.order == "ledger":
            return [range(len(batch))]
        groups: dict[str, list[int]] = {}
        for place, delivery in enumerate(batch):
            groups.setdefault(delivery.order_key, []).append(place)
        return list(groups.values())

    async def _in_turn(
        self,
        places: Sequence[int],
        batch: Sequence[Delivery],
        verdicts: list[Verdict | ConnectorError | None],
        at_once: asyncio.Semaphore,
    ) -> None:
        for n, place in enumerate(places):
            async with at_once:
                verdict = verdicts[place] = await self._one(batch[place])
            if not isinstance(verdict, Applied | Duplicate | Stale):
                for later in places[n + 1 :]:
                    verdicts[later] = NotNow(
                        f"{self._at}: waits behind an earlier delivery of its key"
                    )
                return

    async def _one(self, delivery: Delivery) -> Verdict | ConnectorError:
        """The verdict on one delivery, or the error that its request came to."""
        try:
            path = filled(self._options.path, delivery)
        except ValueError as error:
            return RefusedAlone(str(error), "PATH_FIELD_MISSING")
        try:
            body = json_bytes(self._body(delivery))
        except MappingError as error:
            return Rejected(str(error), error.code)
        try:
            reply = await self._client.exchange(
                self._options.method,
                path,
                content=body,
                shown=self._options.path,
                headers=headers(self._options, [delivery], body, self._clock.now()),
            )
            return self._judged(reply)
        except ConnectorError as error:
            return error

    def _body(self, delivery: Delivery) -> Any:
        """What the campus is sent: its own form of an event, where it gave one."""
        mapping = self._bodies.get(delivery.event) if delivery.kind == "event" else None
        return delivery.to_json() if mapping is None else mapping.body(delivery)

    def _judged(self, reply: Reply) -> Verdict:
        if reply.ok or self._client.ignores(reply):
            return Applied()
        if reply.status in _HELD:
            return _HELD[reply.status]
        if reply.status in _ABOUT_ONE and "{" in self._options.path:
            return RefusedAlone(reply.shown(), f"HTTP_{reply.status}")
        if reply.status == _GONE:
            raise ConfigError(
                f"{reply.shown()}: nobody takes deliveries there any more; correct path, or remove this sink"
            )
        try:
            self._client.complain(reply)
        except Refused as error:
            return RefusedAlone(str(error), f"HTTP_{error.status}")

    def _raise_what_is_about_all(
        self, verdicts: Sequence[Verdict | ConnectorError | None], errors: Sequence[ConnectorError]
    ) -> None:
        """A person must act, or nothing at all got through: then the whole sink waits and nothing is counted against one."""
        for error in errors:
            if not isinstance(error, Transient):
                raise error
        behind = [verdict for verdict in verdicts if isinstance(verdict, NotNow)]
        if errors and len(errors) + len(behind) == len(verdicts):
            paused = [error for error in errors if isinstance(error, RetryLater)]
            raise max(paused, key=lambda error: error.after_s) if paused else errors[0]


def _verdict(found: Verdict | ConnectorError | None) -> Verdict:
    if isinstance(found, ConnectorError):
        return NotNow(str(found), found.after_s if isinstance(found, RetryLater) else None)
    if found is None:
        raise RuntimeError("a delivery was left out of its batch")
    return found
