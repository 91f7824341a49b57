"""`/api/v1/lag` and `/api/v1/cluster`: how readers keep up, what retention leaves them, clocks, brokers, disk."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hub.api.overview import Watch
from hub.watch.commits import GroupStatus
from hub.watch.view import ReaderLag
from schemas.envelope import rfc3339


class Lags:
    """The handlers, over the newest overview."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/v1/lag", self.lag),
            Route("/api/v1/cluster", self.cluster),
        ]

    async def lag(self, _request: Request) -> Response:
        """Every reader with its verdict, partition by partition, and topics whose retention may come first."""
        now = await self._watch.current()
        watched = now.broker.watched
        lags = {(lag.reader, lag.topic, lag.partition): lag for lag in watched.lags}
        return JSONResponse(
            {
                "at": rfc3339(now.broker.at) if now.broker.at else None,
                "reachable": now.broker.reachable,
                "items": [_group_json(group, lags) for group in watched.groups],
                "retention": [
                    {
                        "topic": room.topic,
                        "slowest": room.slowest,
                        "retention_s": round(room.retention_s),
                        "headroom_s": round(room.headroom_s),
                        "short": room.is_short,
                        "limited_by_size_too": room.bounded_bytes,
                    }
                    for room in watched.headrooms
                ],
            }
        )

    async def cluster(self, _request: Request) -> Response:
        """Brokers and partitions, members' clocks, the disk of the hub's state."""
        now = await self._watch.current()
        watched = now.broker.watched
        cluster, disk = watched.cluster, watched.disk
        return JSONResponse(
            {
                "at": rfc3339(now.broker.at) if now.broker.at else None,
                "reachable": now.broker.reachable,
                "brokers": None if cluster is None else cluster.brokers,
                "controller": None if cluster is None else cluster.controller,
                "partitions": None if cluster is None else cluster.partitions,
                "under_replicated": [] if cluster is None else list(cluster.under_replicated),
                "leaderless": [] if cluster is None else list(cluster.leaderless),
                "disk": None
                if disk is None
                else {"free_bytes": disk.free_bytes, "total_bytes": disk.total_bytes},
                "clocks": [
                    {
                        "member": clock.member,
                        "connector": clock.connector,
                        "skew_s": round(clock.skew_s, 3),
                        "against": clock.by,
                        "heartbeats": clock.beats,
                    }
                    for clock in watched.clocks
                ],
            }
        )


def _group_json(group: GroupStatus, lags: dict[tuple[str, str, int], ReaderLag]) -> dict[str, Any]:
    partitions: list[dict[str, Any]] = []
    for one in group.partitions:
        lag = lags.get((group.group, one.topic, one.partition))
        seconds = None if lag is None or lag.lag_s is None else round(lag.lag_s, 1)
        partitions.append(
            {
                "topic": one.topic,
                "partition": one.partition,
                "status": one.status.name,
                "position": one.offset,
                "end": one.end,
                "lag_messages": one.lag_messages,
                "lag_s": seconds,
                "lost_messages": 0 if lag is None else lag.lost,
                "complete": round(one.complete, 2),
            }
        )
    known = [one["lag_s"] for one in partitions if one["lag_s"] is not None]
    return {
        "reader": group.group,
        "status": group.status.name,
        "complete": round(group.complete, 2),
        "lag_messages": group.lag_messages,
        "lag_s": max(known, default=None),
        "partitions": partitions,
    }
