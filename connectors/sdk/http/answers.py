"""What an answer means: which statuses are worth another try, which need a person, and words without the campus's data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, NoReturn, TypeAlias

from pydantic import BeforeValidator

from connectors.sdk.contract import ConfigError, NoPermission, Options, RetryLater, Transient

_LONGEST_PAUSE_S = 86_400.0  # a day: whoever asks for more is asked again then


class Refused(Exception):
    """The other side understood and says no to this very content (4xx that another try cannot mend)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of any status. Names of headers are lower case; `url` has neither query nor credentials."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def shown(self) -> str:
        """The answer in one line. Only the start of a body that is no JSON is shown: it is a page, not a record."""
        kind = self.headers.get("content-type", "no content type")
        first = "not shown" if "json" in kind else ascii(self.content[:40].decode("latin-1"))
        return (
            f"{self.method} {self.url}: status {self.status}, {kind}, {len(self.content)} bytes, "
            f"first: {first}"
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer and where it came from. `data` is None for an answer that is to be ignored."""

    data: Any
    url: str
    headers: Mapping[str, str]
    ignored: bool = False


def _statuses(value: object) -> object:
    given = value if isinstance(value, list | tuple) else [value]
    for one in given:
        if not re.fullmatch(r"[1-5]\d\d|[1-5]xx", str(one)):
            raise ValueError(f'found {one!r}; write statuses such as 429 or "5xx"')
    return frozenset(str(one) for one in given)


Statuses: TypeAlias = Annotated[frozenset[str], BeforeValidator(_statuses)]


class Respond(Options):
    """Statuses that a system uses otherwise than usual; all others keep their meaning (see `judged`)."""

    retry_on: Statuses = frozenset()
    backoff_on: Statuses = frozenset()
    refresh_auth_on: Statuses = frozenset({"401"})
    ignore_on: Statuses = frozenset()
    fail_on: Statuses = frozenset()


def named(status: int, statuses: frozenset[str]) -> bool:
    """Whether a list of statuses names this one, by itself or by its class."""
    return str(status) in statuses or f"{status // 100}xx" in statuses


def judged(status: int, respond: Respond) -> str:
    """`ok`, `retry`, `backoff`, `ignore`, `auth`, `address`, `redirect`, `fail`, or `refused` for 4xx about the content.

    A status on its own outweighs its class, so that `retry_on = ["4xx"]` leaves `fail_on = [403]` in force.
    """
    lists = {
        "ignore": respond.ignore_on,
        "backoff": respond.backoff_on,
        "retry": respond.retry_on,
        "fail": respond.fail_on,
    }
    for name in (str(status), f"{status // 100}xx"):
        for meaning, statuses in lists.items():
            if name in statuses:
                return meaning
    if 200 <= status < 300:
        return "ok"
    if status in (429, 503):
        return "backoff"
    if status in (401, 403):
        return "auth"
    if status in (404, 405, 501):
        return "address"
    if 300 <= status < 400:
        return "redirect"
    return "retry" if status >= 500 or status in (408, 425) else "refused"


def read_json(reply: Reply, respond: Respond, now: datetime) -> Answer:
    """The JSON of a good answer. Raises what `complain` raises; no JSON is `Transient`."""
    meaning = judged(reply.status, respond)
    if meaning == "ignore":
        return Answer(None, reply.url, reply.headers, ignored=True)
    if meaning != "ok":
        complain(reply, respond, now)
    try:
        return Answer(json.loads(reply.content), reply.url, reply.headers)
    except (ValueError, RecursionError) as error:
        raise Transient(
            f"{reply.shown()}: not JSON; is a proxy or login page in the way?"
        ) from error


def complain(reply: Reply, respond: Respond, now: datetime) -> NoReturn:
    """Raise what an answer that is not good comes to: `Transient`, `RetryLater`, `NoPermission`, `ConfigError`, `Refused`."""
    meaning = judged(reply.status, respond)
    said = reply.shown()
    # A date in `Retry-After` is of the sender's clock, which may be an hour off ours.
    theirs = sent_at(reply.headers) or now
    after_s = retry_after_s(reply.headers.get("retry-after", ""), theirs)
    if meaning == "backoff" and after_s is not None:
        raise RetryLater(f"{said}: asks for a pause of {after_s:g} s", after_s)
    if meaning in ("retry", "backoff"):
        raise Transient(f"{said}: is that system well? It is asked again")
    if meaning == "auth":
        raise NoPermission(f"{said}: refuses our credentials; correct auth or have access granted")
    if meaning == "address":
        raise ConfigError(f"{said}: there is no such address; correct base_url and path")
    if meaning == "redirect":
        target = re.split(r"[?#]", reply.headers.get("location", "nowhere"))[0]
        raise ConfigError(
            f"{said}: redirects to {target}; write the final address, "
            "or have the login page removed for this client"
        )
    if meaning == "fail":
        raise ConfigError(f"{said}: respond.fail_on names this status; have that system looked at")
    raise Refused(reply.status, said)


def sent_at(headers: Mapping[str, str]) -> datetime | None:
    """When the answer was made, by the clock of who made it. Source: RFC 9110, section 6.6.1 (`Date`)."""
    try:
        at = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
    return at if at.tzinfo else None


def retry_after_s(value: str, now: datetime) -> float | None:
    """Seconds from a `Retry-After` header: a number of seconds or a date. Source: RFC 9110, section 10.2.3."""
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return min(float(text), _LONGEST_PAUSE_S)
    try:
        until = parsedate_to_datetime(text)
        left = (until - now).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a zone
        return None
    return min(max(0.0, left), _LONGEST_PAUSE_S)
