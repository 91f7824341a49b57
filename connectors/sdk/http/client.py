"""The client of one campus API: credentials, limits and breaker around each request, and one reading of answers."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx
from pydantic import Field, field_validator

from connectors.sdk.clock import Clock, SystemClock
from connectors.sdk.contract import ConfigError, Options, RetryLater, Transient
from connectors.sdk.http.answers import (
    Answer,
    Reply,
    Respond,
    complain,
    judged,
    named,
    read_json,
)
from connectors.sdk.http.auth import (
    ApiKeyAuth,
    Auth,
    Authenticator,
    ClientCredentials,
    Credentials,
    NoAuth,
)
from connectors.sdk.http.breaker import Breaker, BreakerTable
from connectors.sdk.http.budget import Budget, Rate

_WAIT_HERE_S = (
    5.0  # a shorter pause is waited out; a longer one is told, and the part shows why it waits
)


class ClientOptions(Options):
    """What every kind that speaks HTTP lets a campus configure. Times in seconds."""

    base_url: str
    auth: Auth = NoAuth()
    timeout_s: float = Field(default=10, gt=0)
    rate: tuple[Rate, ...] = ()
    breaker: BreakerTable = BreakerTable()
    respond: Respond = Respond()

    @field_validator("base_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        try:
            url = httpx.URL(value)
        except httpx.InvalidURL as error:
            raise ValueError(f"no URL: {error}; write https://host/path") from error
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("no URL of HTTP; write https://host/path")
        return value


@cache
def _tls() -> ssl.SSLContext:
    """One for the process: reading the root certificates costs more than many requests."""
    return httpx.create_ssl_context()


def plain_url(url: str) -> str:
    """A URL as it may be shown: without query, fragment and credentials, each of which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(slots=True)
class _Outcome:
    """What a call was, for the breaker: None as long as it is not known."""

    well: bool | None = None


class JsonClient:
    """One campus API. Connections are kept and reused; redirects are not followed (a login page is no answer)."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float,
        auth: Auth,
        transport: Any = None,
        clock: Clock | None = None,
        rates: Sequence[Rate] = (),
        breaker: BreakerTable | None = None,
        respond: Respond | None = None,
        other_hosts: bool = False,
    ) -> None:
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._budget = Budget(rates)
        self._breaker = Breaker(breaker or BreakerTable())
        self._probed = asyncio.Event()
        self._newest = ""  # the newest failure, in words
        self._respond = respond or Respond()
        self._auth = Authenticator(auth, self._post, self._clock.now, self._clock.monotonic)
        self._key_name = (
            auth.name if isinstance(auth, ApiKeyAuth) and auth.place == "query" else None
        )
        secure = base_url.startswith("https:") or other_hosts
        secure = secure or (
            isinstance(auth, ClientCredentials) and auth.token_url.startswith("https:")
        )
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=timeout_s,
            headers={"Accept": "application/json", "User-Agent": "alliance-connector"},
            transport=transport,
            trust_env=False,
            verify=_tls() if secure else False,
        )

    @classmethod
    def of(
        cls, options: ClientOptions, clock: Clock, transport: Any, *, other_hosts: bool = False
    ) -> JsonClient:
        """The client that a kind's options describe."""
        return cls(
            options.base_url,
            timeout_s=options.timeout_s,
            auth=options.auth,
            transport=transport,
            clock=clock,
            rates=options.rate,
            breaker=options.breaker,
            respond=options.respond,
            other_hosts=other_hosts,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def address(self, path: str) -> str:
        """The whole URL of a path; one that is whole already stays."""
        return (
            path if _whole(path) else f"{str(self._client.base_url).rstrip('/')}/{path.lstrip('/')}"
        )

    def without_key(self, url: str) -> str:
        """A URL of the campus without our key in its query, for keeping; it is added again when asked."""
        if self._key_name is None:
            return url
        return str(httpx.URL(url).copy_remove_param(self._key_name))

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        now: datetime | None = None,
    ) -> Answer:
        """Ask and read JSON. `path` may be a whole URL; `now` is for `Retry-After` given as a date.

        Raises `Transient`, `RetryLater`, `NoPermission`, `ConfigError`, or `Refused` for 4xx about the content.
        """
        content = None if body is None else json_bytes(body)
        reply = await self.exchange(method, path, params=params, content=content, headers=headers)
        return read_json(reply, self._respond, now or self._clock.now())

    def read(self, reply: Reply) -> Answer:
        """The JSON of an answer to `exchange`. Raises as `request` does."""
        return read_json(reply, self._respond, self._clock.now())

    def complain(self, reply: Reply) -> NoReturn:
        """Raise what an answer that is not good comes to. Raises as `request` does."""
        complain(reply, self._respond, self._clock.now())

    def ignores(self, reply: Reply) -> bool:
        """Whether `respond.ignore_on` names the answer."""
        return judged(reply.status, self._respond) == "ignore"

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        shown: str | None = None,
    ) -> Reply:
        """Ask and return the answer, whatever its status; a body is JSON unless `headers` say otherwise.

        `shown` stands for `path` in messages, where the path itself holds data. An expired token is renewed once and the same question asked again. Raises `Transient` when there is no
        answer, `RetryLater` when a limit or the breaker holds the call back, `ConfigError` for a URL that is none, and
        what the token endpoint comes to.
        """
        extra = {} if content is None else {"Content-Type": "application/json"}
        extra |= headers or {}
        credentials = await self._auth.credentials()
        at = f"{method} {plain_url(self.address(shown or path))}"
        reply = await self._once(at, path, params, content, extra, credentials)
        if self._auth.renews and named(reply.status, self._respond.refresh_auth_on):
            credentials = await self._auth.credentials(credentials.token)
            reply = await self._once(at, path, params, content, extra, credentials)
        return reply

    async def _once(
        self, at: str, path: str, params: Mapping[str, str] | None, content: bytes | None,
        headers: Mapping[str, str], credentials: Credentials,
    ) -> Reply:  # fmt: skip
        url = _url(at, path, {**(params or {}), **credentials.params})
        await self._not_broken(at)
        outcome = _Outcome()
        try:
            await self._room(at)
            reply = await self._sent(at, url, content, {**headers, **credentials.headers})
            meaning = judged(reply.status, self._respond)
            outcome.well = meaning != "retry" and (meaning != "backoff" or reply.status == 429)
            self._newest = self._newest if outcome.well else f"status {reply.status}"
        except RetryLater:
            raise  # our own limit: the system was not asked
        except Transient as error:
            outcome.well = False
            self._newest = str(error).removeprefix(f"{at}: ")
            raise
        finally:
            self._note(outcome)
        self._budget.hear(reply.headers, self._clock.monotonic())
        return reply

    async def _not_broken(self, what: str) -> None:
        while self._breaker.probing:
            await self._probed.wait()
        wait_s = self._breaker.wait_s(self._clock.monotonic())
        if wait_s > 0:
            until = (self._clock.now() + timedelta(seconds=wait_s)).strftime("%H:%M:%SZ")
            raise RetryLater(
                f"{what}: breaker open until {until} after {self._breaker.failures} failures in a row, "
                f"newest: {self._newest}",
                wait_s,
            )
        if self._breaker.probing:
            self._probed.clear()

    def _note(self, outcome: _Outcome) -> None:
        if outcome.well is None:
            self._breaker.given_up()
        elif outcome.well:
            self._breaker.succeeded()
        else:
            self._breaker.failed(self._clock.monotonic())
        self._probed.set()

    async def _room(self, what: str) -> None:
        """Wait until a limit lets the next call through; a long wait is told instead."""
        while (wait_s := self._budget.wait_s(self._clock.monotonic())) > 0:
            if wait_s > _WAIT_HERE_S:
                why = self._budget.spent(self._clock.monotonic())
                raise RetryLater(f"{what}: {why}; the next call is due in {wait_s:.0f} s", wait_s)
            await self._clock.sleep(wait_s)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The token endpoint: outside of limits and breaker, which are the API's."""
        return await self._sent(f"POST {plain_url(url)}", httpx.URL(url), body, headers)

    async def _sent(
        self, at: str, url: httpx.URL, content: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        """Send, and put what can go wrong on the way into words. `at` is method and shown URL."""
        method, _, where = at.partition(" ")
        try:
            response = await self._client.request(
                method, url, content=content, headers=dict(headers)
            )
        except httpx.TimeoutException as error:
            raise Transient(
                f"{at}: no answer in {self._timeout_s:g} s; raise timeout_s if that system is slow"
            ) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise _no_request(at, error) from error
        except httpx.HTTPError as error:
            raise Transient(
                f"{at}: {type(error).__name__}: {error}; is that system up and reachable?"
            ) from error
        headers = _headers(response.headers)
        return Reply(method, where, response.status_code, headers, response.content)


def json_bytes(data: Any) -> bytes:
    """JSON as it is sent and signed."""
    return json.dumps(data, ensure_ascii=False).encode()


def _headers(headers: httpx.Headers) -> dict[str, str]:
    """Lower case; several of one name are one with commas (RFC 9110, section 5.3)."""
    return {name.lower(): headers[name] for name in headers}


def _url(what: str, path: str, params: Mapping[str, str]) -> httpx.URL:
    """A URL with more in its query. Raises `ConfigError` when it is none."""
    try:
        return httpx.URL(path).copy_merge_params(params) if params else httpx.URL(path)
    except httpx.InvalidURL as error:
        raise _no_request(what, error) from error


def _no_request(what: str, error: Exception) -> ConfigError:
    """The fault by its name only: its words may repeat a header."""
    return ConfigError(
        f"{what}: {type(error).__name__}: not a request that HTTP allows; correct base_url, path and auth"
    )


def _whole(path: str) -> bool:
    return path.startswith(("http://", "https://"))
