"""HTTP as connectors use it: one client construction, one reading of answers. The only place that knows httpx.

Owns what an answer means: which are worth another try, which need a person, and words that say so without repeating
the campus's data.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Annotated, Any, Literal, TypeAlias

import httpx
from pydantic import BeforeValidator, Field, SecretStr

from connectors.sdk.contract import ConfigError, NoPermission, Options, RetryLater, Transient


class NoAuth(Options):
    """No credentials."""

    type: Literal["none"] = "none"


class BearerAuth(Options):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"]
    token: SecretStr


class BasicAuth(Options):
    """Username and password."""

    type: Literal["basic"]
    username: str
    password: SecretStr


def _named(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


Auth: TypeAlias = Annotated[
    NoAuth | BearerAuth | BasicAuth, Field(discriminator="type"), BeforeValidator(_named)
]


class Refused(Exception):
    """The other side understood and says no to this very content (4xx that another try cannot mend)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer and where it came from."""

    data: Any
    url: str


@cache
def _tls() -> ssl.SSLContext:
    """One for the process: reading the root certificates costs more than many requests."""
    return httpx.create_ssl_context()


class JsonClient:
    """One campus API. Connections are kept and reused; redirects are not followed (a login page is no answer)."""

    def __init__(
        self, base_url: str, *, timeout_s: float, auth: Auth, transport: Any = None
    ) -> None:
        headers = {"Accept": "application/json", "User-Agent": "alliance-connector"}
        basic: httpx.BasicAuth | None = None
        if isinstance(auth, BearerAuth):
            headers["Authorization"] = f"Bearer {auth.token.get_secret_value()}"
        elif isinstance(auth, BasicAuth):
            basic = httpx.BasicAuth(auth.username, auth.password.get_secret_value())
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=timeout_s,
            headers=headers,
            auth=basic,
            transport=transport,
            trust_env=False,
            verify=_tls() if base_url.startswith("https:") else False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

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
        """Ask and read JSON. `now` is for `Retry-After` given as a date.

        Raises `Transient`, `RetryLater`, `NoPermission`, `ConfigError`, or `Refused` for 4xx about the content.
        """
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        extra = {
            **(headers or {}),
            **({"Content-Type": "application/json"} if body is not None else {}),
        }
        try:
            response = await self._client.request(
                method, path, params=params, content=content, headers=extra
            )
        except httpx.TimeoutException as error:
            raise Transient(
                f"{method} {self._url(path)}: no answer in {self._timeout_s:g} s; raise timeout_s if that system is slow"
            ) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigError(f"{method} {self._url(path)}: {error}; correct base_url") from error
        except httpx.HTTPError as error:
            raise Transient(
                f"{method} {self._url(path)}: {type(error).__name__}: {error}; is that system up and reachable?"
            ) from error
        return self._read(method, response, now)

    def _url(self, path: str) -> str:
        return f"{str(self._client.base_url).rstrip('/')}/{path.lstrip('/')}"

    def _read(self, method: str, response: httpx.Response, now: datetime | None) -> Answer:
        status = response.status_code
        if 200 <= status < 300:
            try:
                return Answer(json.loads(response.content), str(response.url))
            except ValueError as error:
                raise Transient(
                    f"{_shown(method, response)}: not JSON; is a proxy or login page in the way?"
                ) from error
        said = _shown(method, response)
        if status in (429, 503) and "retry-after" in response.headers:
            after_s = _retry_after_s(response.headers["retry-after"], now)
            if after_s is not None:
                raise RetryLater(f"{said}: asks for a pause of {after_s:g} s", after_s)
        if status in (401, 403):
            raise NoPermission(
                f"{said}: refuses our credentials; correct auth or have access granted"
            )
        if status in (404, 405, 501):
            raise ConfigError(f"{said}: there is no such address; correct base_url and path")
        if 300 <= status < 400:
            raise ConfigError(
                f"{said}: redirects to {response.headers.get('location', 'nowhere')}; write the final address, "
                "or have the login page removed for this client"
            )
        if status >= 500 or status in (408, 425, 429):
            raise Transient(f"{said}: is that system well? It is asked again")
        raise Refused(status, said)


def _shown(method: str, response: httpx.Response) -> str:
    """An answer in one line. Only the start of a body that is no JSON is shown: it is a page, not a record."""
    kind = response.headers.get("content-type", "no content type")
    body = response.content
    first = ascii(body[:40].decode("latin-1")) if "json" not in kind else "not shown"
    url = str(response.url.copy_with(query=None))
    return (
        f"{method} {url}: status {response.status_code}, {kind}, {len(body)} bytes, first: {first}"
    )


def _retry_after_s(value: str, now: datetime | None) -> float | None:
    """Seconds from a `Retry-After` header: a number of seconds or a date (RFC 9110, 10.2.3)."""
    if value.strip().isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
