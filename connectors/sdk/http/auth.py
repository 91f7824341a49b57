"""Who we are at a campus's API: the options, and what they add to a request.

Owns tokens: fetched when needed, kept until shortly before their end, fetched anew once when refused. Nothing of a
secret is in any message; where they would stand in a URL, URLs are shown without query.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import quote_plus, urlencode

from pydantic import BeforeValidator, Field, SecretStr

from connectors.sdk.contract import ConfigError, NoPermission, Options, Transient
from connectors.sdk.http.answers import Refused, Reply, Respond, complain

# What a token endpoint may say. Source: RFC 6749, section 5.2. Other words are not repeated.
_REFUSALS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)
_EARLY_S = 30.0  # a token is renewed so long before its end: clocks differ, and requests take time


def _text(value: object) -> object:
    """A number is a fine password; refused as one, it would be shown."""
    return str(value) if isinstance(value, int | float) else value


Secret: TypeAlias = Annotated[SecretStr, BeforeValidator(_text)]


class NoAuth(Options):
    """No credentials."""

    type: Literal["none"] = "none"


class BearerAuth(Options):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"]
    token: Secret


class BasicAuth(Options):
    """Username and password."""

    type: Literal["basic"]
    username: str
    password: Secret


class ApiKeyAuth(Options):
    """A key in a header or in the query, under `name`."""

    type: Literal["api_key"]
    key: Secret
    name: str = "X-API-Key"
    place: Literal["header", "query"] = Field(default="header", alias="in")


class ClientCredentials(Options):
    """OAuth 2.0 client credentials. Source: RFC 6749, section 4.4; `client_auth` by section 2.3.1."""

    type: Literal["oauth2_client_credentials"]
    token_url: str = Field(pattern=r"^https?://")
    client_id: str
    client_secret: Secret
    scope: str | None = None
    audience: str | None = None
    client_auth: Literal["basic", "body"] = "basic"


def _named(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


Auth: TypeAlias = Annotated[
    NoAuth | BearerAuth | BasicAuth | ApiKeyAuth | ClientCredentials,
    Field(discriminator="type"),
    BeforeValidator(_named),
]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request carries. `token` is what may have to be renewed."""

    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. `until` is when a new one is due, in seconds that only grow; None: when it is refused."""

    text: str
    until: float | None


Post: TypeAlias = Callable[[str, Mapping[str, str], bytes], Awaitable[Reply]]


class Authenticator:
    """The credentials of one client. `post(url, headers, body)` reaches the token endpoint."""

    def __init__(
        self, auth: Auth, post: Post, now: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self._auth = auth
        self._post = post
        self._now = now
        self._monotonic = monotonic
        self._token: Token | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def renews(self) -> bool:
        """Whether a refusal may be mended by new credentials."""
        return isinstance(self._auth, ClientCredentials)

    async def credentials(self, refused: str | None = None) -> Credentials:
        """What to send. `refused` is a token that was just refused: it is not used again.

        Raises `Transient` when the token endpoint is unwell, `NoPermission` when it refuses us.
        """
        auth = self._auth
        if isinstance(auth, BearerAuth):
            return Credentials({"Authorization": f"Bearer {auth.token.get_secret_value()}"})
        if isinstance(auth, BasicAuth):
            return Credentials(_basic(auth.username, auth.password.get_secret_value()))
        if isinstance(auth, ApiKeyAuth):
            pair = {auth.name: auth.key.get_secret_value()}
            return Credentials(pair) if auth.place == "header" else Credentials(params=pair)
        if isinstance(auth, NoAuth):
            return Credentials()
        async with self._one_at_a_time:  # whoever comes second finds the first one's token
            token = self._token
            due = token is None or (token.until is not None and self._monotonic() >= token.until)
            if token is None or due or token.text == refused:
                self._token = None
                token = self._token = await self._fetch(auth)
        return Credentials({"Authorization": f"Bearer {token.text}"}, token=token.text)

    async def _fetch(self, auth: ClientCredentials) -> Token:
        form = {"grant_type": "client_credentials"}
        form |= {"scope": auth.scope} if auth.scope else {}
        form |= {"audience": auth.audience} if auth.audience else {}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        secret = auth.client_secret.get_secret_value()
        if (
            auth.client_auth == "basic"
        ):  # both parts are form-encoded first: RFC 6749, section 2.3.1
            headers |= _basic(quote_plus(auth.client_id), quote_plus(secret))
        else:
            form |= {"client_id": auth.client_id, "client_secret": secret}
        asked = self._monotonic()
        reply = await self._post(auth.token_url, headers, urlencode(form).encode())
        if not reply.ok:
            self._refused(reply)
        return _token(reply, asked)

    def _refused(self, reply: Reply) -> None:
        """Raise what a token endpoint's refusal comes to."""
        said = f"token endpoint: {reply.shown()}"
        try:
            complain(reply, Respond(), self._now())
        except NoPermission as error:
            raise NoPermission(
                f"{said}: refuses our client; correct client_id and client_secret"
            ) from error
        except Refused as error:
            why = _json(reply).get("error")
            word = why if why in _REFUSALS else "no reason that we know"
            raise NoPermission(
                f"{said}: {word}; correct client_id, client_secret and scope"
            ) from error
        except ConfigError as error:
            raise ConfigError(f"{said}: is no token endpoint; correct token_url") from error


def _token(reply: Reply, asked: float) -> Token:
    found = _json(reply)
    text, life_s = found.get("access_token"), found.get("expires_in", "")
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text:
        raise Transient(
            f"token endpoint: {reply.shown()}: no access_token; is a proxy or login page in the way?"
        )
    try:
        seconds = float(life_s)  # some write it as text
    except (TypeError, ValueError):
        return Token(text, None)
    return Token(text, asked + seconds - min(_EARLY_S, seconds / 10))


def _json(reply: Reply) -> dict[str, Any]:
    try:
        found = json.loads(reply.content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _basic(username: str, password: str) -> dict[str, str]:
    pair = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    return {"Authorization": f"Basic {pair}"}
