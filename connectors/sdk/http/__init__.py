"""HTTP as connectors use it: one client construction, one reading of answers. The only place that knows httpx.

`auth`     credentials, and tokens that expire     `breaker`  a system that is down is left alone for a while
`budget`   how many calls a campus allows          `answers`  what a status means, in words without the campus's data
`client`   the client that puts them together
"""

from __future__ import annotations

from connectors.sdk.http.answers import Answer, Refused, Reply, Respond, Statuses, sent_at
from connectors.sdk.http.auth import (
    ApiKeyAuth,
    Auth,
    BasicAuth,
    BearerAuth,
    ClientCredentials,
    NoAuth,
    Secret,
)
from connectors.sdk.http.breaker import Breaker, BreakerTable
from connectors.sdk.http.budget import Budget, Rate
from connectors.sdk.http.client import ClientOptions, JsonClient, json_bytes, plain_url

__all__ = [
    "Answer",
    "ApiKeyAuth",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "Breaker",
    "BreakerTable",
    "Budget",
    "ClientCredentials",
    "ClientOptions",
    "JsonClient",
    "NoAuth",
    "Rate",
    "Refused",
    "Reply",
    "Respond",
    "Secret",
    "Statuses",
    "json_bytes",
    "plain_url",
    "sent_at",
]
