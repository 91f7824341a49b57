"""How an API spreads a list over answers: five ways, each pure. A position is plain JSON, and None before the first page."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol, TypeAlias
from urllib.parse import urljoin, urlsplit

from pydantic import Field, field_validator

from connectors.sdk.contract import ConfigError, Options, Transient
from connectors.sdk.http import Answer, plain_url
from connectors.sdk.mapping.expressions import MISSING, Getter, compile_path


class ByPage(Options):
    """Pages by number, as in an Open Education API collection."""

    type: Literal["page"]
    param: str
    first: int = 1
    size_param: str | None = None
    size: int = Field(default=100, ge=1)


class ByOffset(Options):
    """Pages by the number of records before them. They overlap by some records, to see whether the list moved."""

    type: Literal["offset"]
    param: str = "offset"
    size_param: str = "limit"
    size: int = Field(default=100, ge=2)


class _Path(Options):
    path: str

    @field_validator("path")
    @classmethod
    def _compiles(cls, value: str) -> str:
        compile_path(value)
        return value


class ByToken(_Path):
    """The answer names the next page by a token (`path`), to be sent as `param`."""

    type: Literal["cursor"]
    param: str


class ByLink(_Path):
    """The answer holds the next page's URL (`path`)."""

    type: Literal["next_link"]


class ByHeader(Options):
    """The header `Link` holds the next page's URL. Source: RFC 8288."""

    type: Literal["link_header"]


Paging: TypeAlias = Annotated[
    ByPage | ByOffset | ByToken | ByLink | ByHeader, Field(discriminator="type")
]
Position: TypeAlias = int | str | None
_OVERLAP = (
    10  # a list that loses no more records than that between two questions costs no question more
)


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask for a page: a URL of its own, or parameters besides the usual ones."""

    url: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)


class Pager(Protocol):
    """One way of paging. Pages of `overlap` above 0 repeat so many records of the page before."""

    overlap: int

    def ask(self, at: Position) -> Question:
        """The question for a page."""

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position:
        """The next page's position, None when this was the last. Raises `Transient` or `ConfigError`."""


class Numbers:
    """Pages by number."""

    overlap = 0

    def __init__(self, table: ByPage, more: Getter | None) -> None:
        self._table = table
        self._more = more

    def ask(self, at: Position) -> Question:
        table = self._table
        params = {table.param: str(table.first if at is None else at)}
        if table.size_param:
            params[table.size_param] = str(table.size)
        return Question(params=params)

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position:
        more = self._more(answer.data) is True if self._more else len(records) >= self._table.size
        return int(self._table.first if at is None else at) + 1 if more else None


class Offsets:
    """Pages by offset; from the second on, each begins with the last records of the one before."""

    def __init__(self, table: ByOffset, more: Getter | None) -> None:
        self.overlap = min(_OVERLAP, table.size // 2)
        self._table = table
        self._more = more

    def ask(self, at: Position) -> Question:
        table = self._table
        return Question(params={table.param: str(at or 0), table.size_param: str(table.size)})

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position:
        more = self._more(answer.data) is True if self._more else len(records) >= self._table.size
        if more and len(records) <= self.overlap:
            raise Transient(
                f"GET {answer.url}: says there is more after {len(records)} records; correct `more`, or "
                "the size that the API allows"
            )
        return int(at or 0) + len(records) - self.overlap if more else None

    def before(self, at: Position) -> Position:
        """One page back."""
        return max(0, int(at or 0) - self._table.size)


class Tokens:
    """Pages by token."""

    overlap = 0

    def __init__(self, table: ByToken, more: Getter | None) -> None:
        self._table = table
        self._more = more
        self._path = compile_path(table.path)

    def ask(self, at: Position) -> Question:
        return Question() if at is None else Question(params={self._table.param: str(at)})

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position:
        if self._more and self._more(answer.data) is not True:
            return None
        token = self._path(answer.data)
        if token in (MISSING, None, ""):
            return None
        if not isinstance(token, str | int) or isinstance(token, bool):
            raise Transient(
                f"GET {answer.url}: {self._table.path} is {type(token).__name__}, wanted a text; correct paging"
            )
        return _moved(str(token), at, answer)


class Links:
    """Pages by URL, in the body (`path`) or in the header `Link`."""

    overlap = 0

    def __init__(
        self, table: ByLink | ByHeader, more: Getter | None, base_url: str, hosts: Sequence[str],
        kept: Callable[[str], str],
    ) -> None:  # fmt: skip
        self._path = compile_path(table.path) if isinstance(table, ByLink) else None
        self._more = more
        self._base = base_url
        self._hosts = hosts
        self._kept = kept

    def ask(self, at: Position) -> Question:
        return Question() if at is None else Question(url=str(at))

    def after(self, at: Position, answer: Answer, records: Sequence[Any]) -> Position:
        if self._more and self._more(answer.data) is not True:
            return None
        link = self._path(answer.data) if self._path else next_of(answer.headers.get("link", ""))
        if link in (MISSING, None, ""):
            return None
        if not isinstance(link, str):
            raise Transient(
                f"GET {answer.url}: the next link is {type(link).__name__}, wanted a URL; correct paging"
            )
        whole = urljoin(answer.url, link)
        self._may_ask(whole, answer)
        return _moved(self._kept(whole), at, answer)

    def _may_ask(self, url: str, answer: Answer) -> None:
        """Our credentials go where a link leads: only to the campus, or where a person allowed it."""
        target = urlsplit(url)
        if _origin(url) == _origin(self._base) or (
            target.netloc in self._hosts and target.scheme == "https"
        ):
            return
        raise ConfigError(
            f"GET {answer.url}: the next link leads to {target.scheme}://{target.netloc.rpartition('@')[2]}, which is "
            f"not {plain_url(self._base)}; if our credentials may go there, add it to allow_hosts (https only)"
        )


def pager(
    table: Paging,
    more: Getter | None,
    base_url: str,
    hosts: Sequence[str],
    kept: Callable[[str], str] = str,
) -> Pager:
    """The way of paging that the options name. `kept` takes our key out of a link before it is stored."""
    if isinstance(table, ByPage):
        return Numbers(table, more)
    if isinstance(table, ByOffset):
        return Offsets(table, more)
    if isinstance(table, ByToken):
        return Tokens(table, more)
    return Links(table, more, base_url, hosts, kept)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _moved(found: str, at: Position, answer: Answer) -> str:
    if found == at:
        raise Transient(
            f"GET {answer.url}: the next page is this page again; correct paging or the API"
        )
    return found


_LINK = re.compile(r'<([^>]*)>((?:[^,"]|"(?:[^"\\]|\\.)*")*)')
_REL = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)


def next_of(header: str) -> str | None:
    """The target of `rel=next`. Source: RFC 8288, section 3; a relation is one of several words, case does not matter."""
    for target, params in _LINK.findall(header):
        found = _REL.search(params)  # only the first rel counts
        if found and "next" in (found[1] or found[2] or "").lower().split():
            return str(target)
    return None
